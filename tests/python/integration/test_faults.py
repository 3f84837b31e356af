"""Writes that fail: the branch is before or after, code and words are true, nothing is left behind.

`strace` lets the n-th write, rename, link or new folder of every process of a run fail: of the
command, of each git that it starts, and of the server's git. `at` is one failure (a broken pipe, an
error of a disk), `from` is a disk that is full from then on. CI tries a few n; with
GITOPS_LONG_TESTS=1 every n is tried in every command, until a run meets no failure any more.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.options import rows_of
from gitops_rollback.scratch import RESULT, RUN
from integration.shop import CART_STATE, COMMAND, FILES, Shop, image, program

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.conftest import Workshop

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))
CALLS = "write,pwrite64,writev,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,symlink"
# (errno, whether it stays so): a full disk, a reader that is gone, a disk that fails.
FAULTS = [("ENOSPC", True), ("EPIPE", False), ("EIO", False)]
SAMPLE = {"ENOSPC": (1, 3, 6, 10), "EPIPE": (2, 5), "EIO": (4, 8)}
MOST = 60  # processes of one run write less often
NAMED = ("--service", "cart")
LEFT = (RUN, RESULT, ".new-")  # what is only there while a run is


@dataclass(frozen=True)
class Act:
    """A command, the shop it runs in, and whether what it is for is done."""

    name: str
    begins: str  # released, held, or without the state file
    arguments: tuple[str, ...]
    is_done: Callable[[Shop], bool] = lambda _shop: False


def _deployed(shop: Shop) -> bool:
    return image("1.6.0") in shop.text()


def _rolled_back(shop: Shop) -> bool:
    return image("1.4.2") in shop.text() and "hold" in shop.state()


def _released(shop: Shop) -> bool:
    return "hold" not in shop.state()


def _repaired(shop: Shop) -> bool:
    return CART_STATE in shop.git("ls-tree", "-r", "--name-only", "main").splitlines()


CHANGES = (
    Act("deploy", "released", ("deploy", *NAMED, "--image", image("1.6.0")), _deployed),
    Act("rollback", "released", ("rollback", *NAMED, "--reason", "slow"), _rolled_back),
    Act("repair", "lost", ("history", *NAMED, "--repair"), _repaired),
    Act("release", "held", ("release", *NAMED, "--reason", "mended", "--accept", "automation"),
        _released),
)  # fmt: skip
QUESTIONS = tuple(
    Act(arguments[0], "released", arguments)
    for arguments in (
        ("plan", *NAMED),
        ("history", *NAMED),
        ("services",),
        ("check", *NAMED),
        ("record", *NAMED, "--image", image("1.6.0"), "--record-dir", "records"),
        ("report", *NAMED, "--report-dir", "page"),
        ("stats",),
        ("wait", *NAMED),
        ("completion", "bash", "--install"),
        ("fields", "--prove", "."),
        ("jobs", "install", "--library-url", "https://git.example/library.git",
         "--jenkins", "http://127.0.0.1:9", "--dry-run"),
    )
)  # fmt: skip


class Bed:
    """One shop, and runs of an act in which a write fails."""

    def __init__(self, workshop: Workshop, act: Act) -> None:
        self.act = act
        self.shop = workshop.shop(f"{act.begins}, to fail", BEGINNINGS[act.begins])
        self.result = self.shop.root / "result.json"

    def line(self) -> list[str]:
        """Return the act's command line, with what the command takes of what all else are given."""
        given = {"repository": self.shop.bare, "output": self.result, "timeout": 20}
        taken = {row.name for row in rows_of(self.act.arguments[0])}
        more = [f"--{name}={value}" for name, value in given.items() if name in taken]
        return [str(COMMAND), *self.act.arguments, *more]

    def run(self, fault: str, when: str) -> tuple[int, str, bool]:
        """Run the act; return exit code, what was said, and whether a write failed."""
        log = self.shop.root / "strace.log"
        said = self.shop.root / "said"
        line = [
            *("strace", "-f", "-qqq", "--seccomp-bpf", "-e", f"trace={CALLS}", "-o", str(log)),
            *("-e", f"inject={CALLS}:error={fault}:when={when}"),
            *self.line(),
        ]
        with said.open("wb") as words:
            done = subprocess.run(
                line,
                env=self.shop.environment,
                cwd=self.shop.root,
                stdout=words,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=120,
            )
        met = "(INJECTED)" in log.read_text(errors="replace")
        log.unlink()
        text = said.read_text(encoding="utf-8", errors="replace")
        said.unlink()
        return done.returncode, text, met


def _open(shop: Shop) -> Shop:
    return shop.open(FILES).release_two()


def _held(shop: Shop) -> Shop:
    _open(shop).roll_back()
    return shop


def _lost(shop: Shop) -> Shop:
    _open(shop).commit({CART_STATE: None})
    return shop


BEGINNINGS = {"released": _open, "held": _held, "lost": _lost}


def judge(bed: Bed, code: int, said: str, before: str) -> None:
    """Say what has to be true after a run in which a write failed."""
    shop = bed.shop
    words = f"exit {code}: {said}"
    assert code in (0, 1, 2, 4, 5, 6, 8), words
    assert "Traceback" not in said, words
    after = shop.log()
    moved = len(after) - int(before)
    assert moved in (0, 1), "the branch is before or after"
    is_change = bed.act in CHANGES
    if is_change and code == 0:
        assert bed.act.is_done(shop), words
    if is_change and code not in (0, 130) and moved and said.strip():
        assert any(word in said for word in ("pushed", "arrived", "either")), words
    if bed.result.exists():
        json.loads(bed.result.read_bytes())  # whole, or not at all
        bed.result.unlink()
    left = [path.name for path in shop.root.rglob("*") if path.name.startswith(LEFT)]
    left += [path.name for path in shop.scratch.iterdir()]
    assert left == [], f"left behind: {left}; {words}"
    assert shop.git("fsck", "--connectivity-only", "--no-dangling") is not None


def go_on(bed: Bed) -> None:
    """The next run does what the first was for."""
    shop = bed.shop
    done = subprocess.run(
        bed.line(), env=shop.environment, cwd=shop.root, capture_output=True, check=False
    )
    said = done.stderr.decode()
    nobody_answers = bed.act.name == "jobs"  # it asks a Jenkins that is not there
    assert done.returncode in ((1,) if nobody_answers else (0, 4, 6, 8)), said
    if bed.act in CHANGES:
        assert bed.act.is_done(shop), said
    left = [path for path in shop.root.rglob("*") if path.name.startswith(LEFT)]
    assert left == [], f"the next run leaves {left}"


ACTS = (*CHANGES, *QUESTIONS) if LONG else (*CHANGES[:2], QUESTIONS[4])
POINTS = [(act, fault, stays) for act in ACTS for fault, stays in FAULTS]


@pytest.mark.parametrize(
    ("act", "fault", "stays"), POINTS, ids=[f"{act.name}-{fault}" for act, fault, _s in POINTS]
)
def test_whatever_write_fails_the_branch_is_before_or_after_and_nothing_is_left(
    workshop: Workshop,
    act: Act,
    fault: str,
    stays: bool,  # noqa: FBT001 - a parameter of pytest
) -> None:
    program("strace", "strace")
    for n in range(1, MOST) if LONG else SAMPLE[fault]:
        bed = Bed(workshop, act)
        before = str(len(bed.shop.log()))
        code, said, met = bed.run(fault, f"{n}+" if stays else str(n))
        judge(bed, code, said, before)
        if not met:
            assert n > 1, "no write failed"
            return
        go_on(bed)


@pytest.mark.parametrize(
    ("limit", "fits"),
    [("-n 6", False), ("-n 9", None), ("-f 0", False), ("-f 2", None), ("-v 524288", True)],
)
def test_whatever_the_machine_bounds_the_words_and_the_code_are_true(
    released: Shop, limit: str, *, fits: bool | None
) -> None:
    """Open files, sizes of files (in blocks of 1 kB), memory (in kB): design's 512 MB suffice."""
    before = released.tip()
    line = released.line("rollback", *NAMED, "--reason", "slow")
    run = subprocess.run(
        ["bash", "-c", f'ulimit {limit}; exec "$@"', "bash", *line],
        env=released.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode in (0, 1), run.stderr
    assert (run.returncode == 0) is (released.tip() != before), run.stderr
    assert fits in (None, run.returncode == 0), run.stderr
    assert ("error: " in run.stderr) is (run.returncode == 1)
    assert "Traceback" not in run.stderr
    assert "is no Git work tree" not in run.stderr, "git was not even asked"
    assert not [path for path in released.scratch.iterdir() if path.name.startswith(LEFT)]


def test_whoever_starts_it_and_ignores_the_end_of_processes_has_no_harm_of_it(
    released: Shop,
) -> None:
    """So does what starts services; the system then tells nobody how a process ended."""
    line = released.line("rollback", *NAMED, "--reason", "slow")
    shell = ["bash", "-c", """trap '' CHLD; exec "$@\"""", "bash", *line]
    run = subprocess.run(
        shell, env=released.environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert _rolled_back(released)

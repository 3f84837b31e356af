"""Killed at any moment: the branch is before or after, and the next run works.

A `git` that counts its calls ends the command before, during, right after and shortly after each of
them; hooks end it while the server takes the push. CI tries every call once; `GITOPS_LONG_TESTS=1`
tries every way at each, with and without a cache, in all commands (over 400 points).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_rollback import schema
from integration.shop import CART, CART_PATH, CART_STATE, FILES, PAYMENT_PATH, Shop, image
from servers.forge import GitHubServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from integration.conftest import Workshop

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))
WAYS = ("before", "during", "after", "later")
GIT = shutil.which("git")
SECRET = "secret-token-4711"
# Ends its parent, the command, at one call; the call itself goes on, as it does in reality. What
# ends it a little later is of no group that the command may end.
WRAPPER = """\
#!/bin/sh
number=$(($(cat "$KILL_FOLDER/calls") + 1))
echo $number >"$KILL_FOLDER/calls"
case $number.$KILL_AT in
  $number.$number.before) kill -$KILL_SIGNAL $PPID; exit 1 ;;
  $number.$number.itself) kill -9 $$ ;;
  $number.$number.mute) exit 0 ;;
  $number.$number.babble) printf 'garbage \\001\\n\\0x\\n'; exit 0 ;;
  $number.$number.during) setsid sh -c "(sleep 0.004; kill -$KILL_SIGNAL $PPID) &" ;;
esac
{git} "$@"
code=$?
case $number.$KILL_AT in
  $number.$number.after) kill -$KILL_SIGNAL $PPID ;;
  $number.$number.later) setsid sh -c "(sleep 0.004; kill -$KILL_SIGNAL $PPID) &" >/dev/null 2>&1 ;;
esac
exit $code
"""


@dataclass(frozen=True)
class Act:
    """A command that is killed, and what has to be true when it was done at last."""

    name: str
    begin: str
    arguments: tuple[str, ...]
    is_done: Callable[[Shop], bool]
    again: tuple[int, ...] = (0,)  # exit codes of the next run, if the first had arrived
    cached: bool = False
    paths: frozenset[str] = frozenset({CART_PATH, CART_STATE})


def _deployed(shop: Shop) -> bool:
    return image("1.6.0") in shop.text()


def _rolled_back(shop: Shop) -> bool:
    return image("1.4.2") in shop.text() and shop.state().get("hold", {}).get("reason") == "slow"


def _set_rolled_back(shop: Shop) -> bool:
    return _rolled_back(shop) and image("2.1.0", "payment") in shop.text(PAYMENT_PATH)


def _released(shop: Shop) -> bool:
    return "hold" not in shop.state()


DEPLOY = ("deploy", "--service", "cart", "--image", image("1.6.0"))
ROLLBACK = ("rollback", "--service", "cart", "--reason", "slow")
RELEASE = ("release", "--service", "cart", "--reason", "fixed", "--accept", "automation")
SET = frozenset({CART_PATH, CART_STATE, PAYMENT_PATH, CART_STATE.replace("cart", "payment")})
SET_ROLLBACK = (*ROLLBACK, "--service", "payment")
ACTS = (
    Act("deploy", "released", DEPLOY, _deployed),
    Act("rollback with a cache", "cached", ROLLBACK, _rolled_back, (6,), cached=True),
)
FURTHER_ACTS = (
    Act("deploy with a cache", "cached", DEPLOY, _deployed, cached=True),
    Act("deploy that fills a cache", "released", DEPLOY, _deployed, cached=True),
    Act("rollback", "released", ROLLBACK, _rolled_back, (6,)),
    Act("release", "held", RELEASE, _released),
    Act("release with a cache", "cached and held", RELEASE, _released, cached=True),
    Act("rollback of a set", "released set", SET_ROLLBACK, _set_rolled_back, (6,), paths=SET),
)


def _make(workshop: Workshop, begin: str) -> Shop:
    def make(shop: Shop) -> Shop:
        shop.open(FILES).release_two()
        if "set" in begin:
            for tag in ("2.1.0", "2.2.0"):
                shop.deploy(tag, name="payment")
        if "held" in begin:
            shop.roll_back()
        if "cached" in begin:
            cache = {"GITOPS_CACHE": str(shop.root / "cache")}
            shop.ok("plan", "--service", "cart", "--again", environment=cache)
        wrapper = shop.root / "bin" / "git"
        wrapper.parent.mkdir()
        wrapper.write_text(WRAPPER.replace("{git}", str(GIT)), encoding="utf-8")
        wrapper.chmod(0o755)
        return shop

    return workshop.shop(f"{begin}, to be killed", make)


class Attempt:
    """One run of an act that is killed at one point, on a shop of its own."""

    def __init__(self, workshop: Workshop, act: Act) -> None:
        self.shop = _make(workshop, act.begin)
        self._act = act
        self._tip = self.shop.tip()
        self._number = len(self.shop.log())
        self.environment = {"GITOPS_CACHE": str(self.shop.root / "cache")} if act.cached else {}

    @property
    def calls(self) -> int:
        """How often git was called."""
        return int((self.shop.root / "calls").read_text())

    def run(self, at: str, number: int = signal.SIGKILL, repository: str | None = None) -> int:
        """Run it, killed at a point such as `3.after`; return the exit code."""
        (self.shop.root / "calls").write_text("0")
        process = self.shop.start(
            *self._act.arguments,
            repository=repository,
            environment={
                **self.environment,
                "PATH": f"{self.shop.root}/bin:{self.shop.environment['PATH']}",
                "KILL_FOLDER": str(self.shop.root),
                "KILL_AT": at,
                "KILL_SIGNAL": str(int(number)),
            },
        )
        process.wait(timeout=60)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()
        self._wait_for_git()
        return process.returncode

    def check(self, point: str) -> bool:
        """Check that the branch is before or after, and that the next run works."""
        shop = self.shop
        arrived = shop.tip() != self._tip
        assert len(shop.log()) == self._number + arrived, point
        if arrived:
            assert shop.log("%P")[0] == self._tip, point
            assert self._act.is_done(shop), f"{point}: half of it arrived"
        assert set(shop.changed()) <= self._act.paths | (_holds(shop) if arrived else set()), point
        command, *arguments = self._act.arguments
        run = shop.run(command, *arguments, environment=self.environment)
        places = (shop.scratch, shop.store, shop.root / "cache")
        left = [path.name for place in places if place.exists() for path in place.iterdir()]
        left = [name for name in left if "run-" in name or name.startswith(".new-")]
        assert left == [], f"{point}: the next run leaves what the killed one left"
        assert run.code in (self._act.again if arrived else (0,)), f"{point}: {run.stderr}"
        assert self._act.is_done(shop), point
        assert len(shop.log()) == self._number + 1, f"{point}: done twice"
        shop.git("fsck", "--strict")
        return arrived

    def _wait_for_git(self) -> None:
        """Wait for a git that lives on when the command is gone, also one that just begins."""
        mark = f"KILL_FOLDER={self.shop.root}\0".encode()
        end = time.monotonic() + 120
        while any(mark in _environment_of(path) for path in Path("/proc").glob("[0-9]*")):
            assert time.monotonic() < end
            time.sleep(0.01)


def _holds(shop: Shop) -> set[str]:
    """Return the files of the holds that the states of the newest commit name, and its parent's."""
    found = set()
    for commit in ("main^", "main"):
        for path in SET & set(shop.changed()):
            text = shop.git("show", f"{commit}:{path}") if path.endswith(".json") else "{}"
            hold = json.loads(text).get("hold")
            found |= {f".gitops-rollback/.held/{hold['id']}.json"} if hold else set()
    return found


def _environment_of(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""  # it ended meanwhile


@pytest.mark.parametrize("act", [*ACTS, *(FURTHER_ACTS if LONG else ())], ids=lambda act: act.name)
def test_killed_at_every_call_of_git_and_between(workshop: Workshop, act: Act) -> None:
    attempt = Attempt(workshop, act)
    assert attempt.run("none") == 0
    calls = attempt.calls
    assert calls >= 5
    arrived = []
    for number in range(1, calls + 1):
        for way in WAYS if LONG else (WAYS[number % 2 * 3],):  # before and later, in turns
            point = f"{number}.{way}"
            attempt = Attempt(workshop, act)
            code = attempt.run(point)
            assert code in (-signal.SIGKILL, 0), point
            arrived.append(attempt.check(point))
    assert False in arrived, "no point lay before the push"
    if LONG:
        assert True in arrived, "no point lay after the push"
    print(f"{act.name}: {len(arrived)} points, {sum(arrived)} after the push arrived")  # noqa: T201


def test_killed_while_a_pull_request_is_made(workshop: Workshop) -> None:
    """The branch stays as it was; the next run finds what is there, and there is one request."""
    again = (*ROLLBACK, "--pull-request")
    points = ["none"]
    tried = -1  # the first one is none
    while points:
        point = points.pop()
        tried += 1
        attempt = Attempt(workshop, Act("pull request", "released", again, _rolled_back))
        shop = attempt.shop
        tip = shop.tip()
        bare = shop.root / "acme" / "manifests.git"
        bare.parent.mkdir()
        shop.bare.rename(bare)
        shop.bare = bare
        with GitHubServer(shop.root, "acme/manifests", SECRET, ("robot", SECRET)) as forge:
            attempt.environment |= {
                "GIT_USERNAME": "robot",
                "GIT_PASSWORD": SECRET,
                "GITOPS_FORGE": forge.kind,
                "GITOPS_STORE": f"directory:{shop.root}/records",
            }
            code = attempt.run(point, repository=forge.remote)
            assert code == (7 if point == "none" else -signal.SIGKILL), point
            if point == "none":
                calls = range(1, attempt.calls + 1)
                points = [
                    f"{n}.{way}" for n in calls for way in (WAYS if LONG else WAYS[n % 2 * 3 :: 4])
                ]
            heads = []
            for _ in range(2):
                run = shop.run(*again, repository=forge.remote, environment=attempt.environment)
                assert run.code == 7, f"{point}: {run.stderr}"
                (proposal,) = forge.proposals
                heads.append(shop.tip(proposal.head))
            assert heads[0] == heads[1], f"{point}: a run for nothing"
            assert image("1.4.2") in shop.text(branch=proposal.head)
            assert shop.log("%P", proposal.head)[0] == tip == shop.tip(), point
    assert tried > 5
    print(f"pull request: {tried} points")  # noqa: T201


@pytest.mark.parametrize("hook", ["pre-receive", "update", "post-receive"])
@pytest.mark.parametrize("milliseconds", [0, 3, 10] if LONG else [3])
def test_killed_while_the_server_takes_the_push(
    workshop: Workshop, hook: str, milliseconds: int
) -> None:
    attempt = Attempt(workshop, ACTS[0])
    shop = attempt.shop
    path = shop.hook(
        hook,
        f"[ -e {shop.root}/once ] && exit 0; touch {shop.root}/once\n"
        f"(sleep {milliseconds / 1000}; kill -9 $(cat {shop.root}/command)) >/dev/null 2>&1 &\n"
        "sleep 0.05",
    )
    (shop.root / "calls").write_text("0")
    others = _at_work(shop)  # what an earlier test, in the same place, left waiting for good
    process = shop.start(*ACTS[0].arguments)
    (shop.root / "command").write_text(str(process.pid))
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 120
    while _at_work(shop) - others:
        assert time.monotonic() < end
        time.sleep(0.02)
    path.unlink()
    attempt.check(f"{hook} after {milliseconds} ms")


@pytest.mark.parametrize("act", ACTS if LONG else ACTS[:1], ids=lambda act: act.name)
def test_ended_at_every_call_of_git(workshop: Workshop, act: Act) -> None:
    """As SIGKILL, but it says where it stood, and is right about it."""
    attempt = Attempt(workshop, act)
    attempt.run("none")
    for number in range(1, attempt.calls + 1, 1 if LONG else 2):
        attempt = Attempt(workshop, act)
        code = attempt.run(f"{number}.during", signal.SIGTERM)
        assert code in (130, 0), number
        result = json.loads((attempt.shop.root / "result.json").read_bytes())
        schema.check(result, "plan" if "repository" in result else "result-change")
        arrived = attempt.check(f"{number}, SIGTERM")
        if arrived:
            assert "before anything was pushed" not in json.dumps(result)
        else:
            assert code == 130


@pytest.mark.parametrize("way", ["itself", "mute", "babble"])
@pytest.mark.parametrize("act", [*ACTS, *(FURTHER_ACTS if LONG else ())], ids=lambda act: act.name)
def test_where_git_itself_dies_or_says_nothing_of_use_the_words_are_true(
    workshop: Workshop, act: Act, way: str
) -> None:
    """As where the machine has no memory left, or another program is called `git`."""
    attempt = Attempt(workshop, act)
    attempt.run("none")
    failed = 0
    first = 1 if way == "itself" else 2  # of every third: calls that are read
    for number in range(1 if LONG else first, attempt.calls + 1, 1 if LONG else 3):
        attempt = Attempt(workshop, act)
        code = attempt.run(f"{number}.{way}")
        result = json.loads((attempt.shop.root / "result.json").read_bytes())
        arrived = attempt.check(f"{number}, {way}")
        assert code in ((0,) if "error" not in result else (1, 2)), (number, result)
        assert arrived or code, f"{number}: it says that it is done"
        failed += code != 0
    assert failed, "git died in vain"


def _at_work(shop: Shop) -> set[str]:
    """Return the processes that work on the shop's repository, or in it."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line = (path / "cmdline").read_bytes().decode(errors="replace")
            if str(shop.bare) in line or str(shop.bare) in str((path / "cwd").readlink()):
                found.add(path.name)
        except OSError:
            continue  # it ended meanwhile
    return found


def test_nothing_of_the_manifest_but_the_image_ever_changes(workshop: Workshop) -> None:
    """The tests above compare images; this one compares bytes, after a kill and a second run."""
    attempt = Attempt(workshop, ACTS[0])
    attempt.run("5.after")
    attempt.check("5.after")
    assert attempt.shop.text() == CART.replace("acme/cart:1.4.1", image("1.6.0"))

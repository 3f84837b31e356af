"""Runs of one machine hand on what they pushed, on a real server: asked for less, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import pytest

from gitops_rollback.clock import Deadline, Stopwatch
from gitops_rollback.decide.change import Commit
from gitops_rollback.repo.remote import PushLostError
from gitops_rollback.repo.repository import Repository
from gitops_rollback.repo.turn import Turn
from gitops_rollback.write.commit import Committer, Work
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.repo.objects import Tip

WHO = {f"GIT_{role}_{part}": "x" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
PUSH = ["GET /m.git/info/refs?service=git-receive-pack", "POST /m.git/git-receive-pack"]
FETCH = ["GET /m.git/info/refs?service=git-upload-pack", *["POST /m.git/git-upload-pack"] * 2]
FIRST = {"apps/a.yaml": "a: 1\n", "apps/b.yaml": "b: 1\n", "other/c.yaml": "c: 1\n"}
# Takes the turn, pushes or does not, and is killed before it hands anything on.
KILLED = """
import os, sys, unittest.mock
from integration.test_handed_on import run_at
from gitops_rollback.repo.remote import Remote
one = run_at(*sys.argv[1:4])
one.committer.begin()
print("has it", flush=True)
sys.stdin.readline()
with unittest.mock.patch.object(Remote, sys.argv[4], lambda *_: os.kill(os.getpid(), 9)):
    one.change("apps/a.yaml", "killed")
"""


class Run(NamedTuple):
    """One run, as far as it goes on with a branch."""

    repository: Repository
    committer: Committer
    read: Tip

    def change(self, path: str, text: str, tip: Tip | None = None) -> str:
        """Write and push a file."""
        commit = Commit((), (), {path: text.encode()}, f"{path}: {text}", "")
        done = self.committer.deliver(Work(tip or self.read, commit))
        self.committer.close()
        assert done.commit
        return done.commit

    def waits(self) -> None:
        """Find that another one has the turn."""
        self.repository.begin_push()
        assert not Turn(self.repository.turn.path).wait(0, 0)

    def goes_on(self) -> Tip:
        """Get the turn, and return the tip to go on from."""
        assert not self.committer.may_push("main", 1)
        return self.committer.next_tip("main")

    def text(self, tip: Tip, path: str) -> bytes | None:
        assert self.repository.list_files(tip.commit, [""])
        return self.repository.read_file(tip.commit, path)


def run_at(url: str, home: str, cache: str, *, pushes: bool = False) -> Run:
    environment = {**os.environ, **WHO, "HOME": home}
    repository = Repository(url, environment, Deadline(60), Path(cache) if cache else None)
    watch = Stopwatch(lambda _phase: None)
    if pushes:  # as the command does, before it waits for the tip
        repository.begin("main")
        repository.begin_push()
    return Run(
        repository, Committer(repository, Deadline(60), watch, dry_run=False),
        repository.open("main"),
    )  # fmt: skip


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttpServer]:
    bare = tmp_path / "m.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", bare], check=True)
    lines = [f"M 100644 inline {path}\ndata {len(text)}\n{text}\n" for path, text in FIRST.items()]
    stream = "commit refs/heads/main\ncommitter x <x> 0 +0000\ndata 0\n" + "".join(lines)
    git(bare, "fast-import", "--quiet", stdin=stream)
    for key in ("http.receivepack", "uploadpack.allowFilter"):
        git(bare, "config", key, "true")
    with GitHttpServer(tmp_path) as running:
        yield running


def git(bare: Path, *arguments: str, stdin: str = "") -> str:
    return subprocess.run(
        ["git", "-C", bare, *arguments],
        env={**os.environ, **WHO}, capture_output=True, check=True, text=True, input=stdin,
    ).stdout  # fmt: skip


@pytest.fixture(params=["", "cache"], ids=["without a cache", "with a cache"])
def places(
    server: GitHttpServer, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[str, str, str]:
    """The server, the home and the cache of all runs."""
    cache = str(tmp_path / request.param) if request.param else ""
    return f"{server.url}/m.git", str(tmp_path), cache


@pytest.fixture
def start(places: tuple[str, str, str]) -> Iterator[Callable[..., Run]]:
    """Start runs that have read the branch."""
    with ExitStack() as stack:

        def begun(*, pushes: bool = False) -> Run:
            one = run_at(*places, pushes=pushes)
            stack.enter_context(one.repository)
            stack.enter_context(closing(one.committer))
            return one

        yield begun


def pushed_by_hand(server: GitHttpServer) -> str:
    bare = server.root / "m.git"
    commit = git(bare, "commit-tree", "-m", "hand", "-p", "main", "main^{tree}").strip()
    git(bare, "update-ref", "refs/heads/main", commit)
    return commit


def subjects(server: GitHttpServer) -> list[str]:
    log = git(server.root / "m.git", "log", "--first-parent", "--format=%s", "main")
    return log.splitlines()[:-1]  # the first commit says nothing


def left(server: GitHttpServer) -> list[Path]:
    folders = (one for one in server.root.rglob("*") if one.is_dir())
    return [one for one in folders if one.parent.name == "turns" or ".turn." in one.name]


def test_who_waited_goes_on_from_what_was_pushed_and_asks_for_his_own_push_alone(
    server: GitHttpServer, start: Callable[[], Run]
) -> None:
    first, second, third = start(), start(), start()
    first.committer.begin()
    second.waits()
    third.waits()
    assert left(server)
    server.traffic.reset()
    first.change("apps/a.yaml", "a: 2\n")
    tip = second.goes_on()
    second.committer.begin()
    assert second.text(tip, "apps/a.yaml") == b"a: 2\n"
    second.change("apps/b.yaml", "b: 2\n", tip)
    tip = third.goes_on()
    assert third.text(tip, "apps/b.yaml") == b"b: 2\n"
    assert third.text(tip, "other/c.yaml") == b"c: 1\n"
    third.change("apps/a.yaml", "a: 3\n", tip)
    assert server.traffic.requests == PUSH * 3
    assert subjects(server) == ["apps/a.yaml: a: 3", "apps/b.yaml: b: 2", "apps/a.yaml: a: 2"]
    git(server.root / "m.git", "fsck", "--strict")
    assert left(server) == [], "nobody waits: nothing stays"


def test_who_finds_the_turn_free_at_last_goes_on_from_what_was_pushed_meanwhile(
    server: GitHttpServer, start: Callable[[], Run]
) -> None:
    first, second = start(), start()
    first.committer.begin()
    second.waits()
    commit = first.change("apps/a.yaml", "a: 2\n")
    server.traffic.reset()
    assert second.goes_on().commit == commit
    assert not server.traffic.requests
    assert second.committer.may_push("main", 1)


def test_who_read_the_branch_before_another_one_pushed_goes_on_from_that(
    server: GitHttpServer, start: Callable[..., Run]
) -> None:
    """He says that he waits as soon as he reads, and not when he comes to push."""
    first = start()
    first.committer.begin()
    second = start(pushes=True)
    commit = first.change("apps/a.yaml", "a: 2\n")
    server.traffic.reset()
    second.committer.begin()
    assert second.goes_on().commit == commit
    assert server.traffic.requests in ([], PUSH[:1]), "what a push asks first, and no more"


def test_for_who_alone_waited_himself_nothing_is_packed(
    server: GitHttpServer, start: Callable[..., Run]
) -> None:
    first = start()
    first.committer.begin()
    second = start(pushes=True)
    first.committer.close()
    second.committer.begin()
    with patch("gitops_rollback.repo.turn.Handover.leave", side_effect=AssertionError):
        second.change("apps/b.yaml", "b: 2\n")
    assert subjects(server) == ["apps/b.yaml: b: 2"]
    assert left(server) == []


def test_a_push_by_somebody_else_makes_what_was_handed_on_worth_nothing(
    server: GitHttpServer, start: Callable[[], Run]
) -> None:
    first, second = start(), start()
    first.committer.begin()
    second.waits()
    first.change("apps/a.yaml", "a: 2\n")
    hand = pushed_by_hand(server)
    tip = second.goes_on()
    with pytest.raises(PushLostError):
        second.change("apps/b.yaml", "b: 2\n", tip)
    assert git(server.root / "m.git", "rev-parse", "main").strip() == hand
    server.traffic.reset()
    with patch("gitops_rollback.write.commit.time.sleep", side_effect=AssertionError):
        second.committer.pause(1, 1, "main")  # it is no crowd that cannot be seen
    tip = second.committer.next_tip("main")
    assert (tip.commit, server.traffic.requests) == (hand, FETCH)
    second.change("apps/b.yaml", "b: 2\n", tip)
    assert subjects(server) == ["apps/b.yaml: b: 2", "hand", "apps/a.yaml: a: 2"]


def test_what_was_pushed_in_between_is_read_from_the_server(
    server: GitHttpServer, start: Callable[[], Run]
) -> None:
    """What is handed on is not upon what was read."""
    first, second = start(), start()
    first.committer.begin()
    second.waits()
    hand = pushed_by_hand(server)
    with pytest.raises(PushLostError):
        first.change("apps/a.yaml", "a: 2\n")
    commit = first.change("apps/a.yaml", "a: 2\n", first.repository.fetch("main"))
    server.traffic.reset()
    assert second.goes_on().commit == commit
    assert server.traffic.requests == FETCH
    second.change("apps/b.yaml", "b: 2\n", second.repository.fetch("main"))
    assert subjects(server) == ["apps/b.yaml: b: 2", "apps/a.yaml: a: 2", "hand"]
    assert git(server.root / "m.git", "merge-base", "main", hand).strip() == hand


@pytest.mark.parametrize("at", ["push", "hand_on"], ids=["before its push", "after it"])
def test_after_one_that_was_killed_the_branch_is_before_or_after_and_the_next_one_goes_on(
    server: GitHttpServer, places: tuple[str, str, str], start: Callable[[], Run], at: str
) -> None:
    second = start()
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, *places, at],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as killed:  # fmt: skip
        assert killed.stdout
        assert killed.stdin
        assert killed.stdout.readline() == b"has it\n"
        second.waits()
        killed.stdin.write(b"\n")
        killed.stdin.flush()
        assert killed.wait() == -9
    assert second.committer.may_push("main", 1), "the turn is free"
    if at == "hand_on":
        with pytest.raises(PushLostError):
            second.change("apps/b.yaml", "b: 2\n")
    second.change("apps/b.yaml", "b: 2\n", second.committer.next_tip("main"))
    assert subjects(server) == ["apps/b.yaml: b: 2", *["apps/a.yaml: killed"] * (at == "hand_on")]

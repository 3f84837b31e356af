"""A push that was begun ahead ends in the words of `git push --porcelain`, on a real server."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.errors import RepositoryError
from gitops_rollback.repo.remote import PushLostError
from gitops_rollback.repo.repository import Repository
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gitops_rollback.repo.objects import Tip

WHO = {f"GIT_{role}_{part}": "x" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
ASKED = "GET /m.git/info/refs?service=git-receive-pack"
SENT = "POST /m.git/git-receive-pack"


def git(folder: Path, *arguments: str) -> str:
    line = ["git", "-C", str(folder), *arguments]
    environment = {**os.environ, **WHO}
    return subprocess.run(line, env=environment, capture_output=True, check=True, text=True).stdout


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHttpServer]:
    bare = tmp_path / "m.git"
    git(tmp_path, "init", "-q", "--bare", "-b", "main", "m.git")
    tree = git(bare, "hash-object", "-w", "-t", "tree", "/dev/null").strip()
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-m", "1", tree).strip())
    for key in ("http.receivepack", "uploadpack.allowFilter"):
        git(bare, "config", key, "true")
    with GitHttpServer(tmp_path) as running:
        yield running


@pytest.fixture
def begun(server: GitHttpServer, tmp_path: Path) -> Iterator[tuple[Repository, Tip, str]]:
    """A repository, its tip, and a commit upon it; what its push asks was asked ahead."""
    environment = {**os.environ, **WHO, "HOME": str(tmp_path)}
    with Repository(f"{server.url}/m.git", environment, Deadline(60)) as repository:
        tip = repository.open("main")
        commit = repository.write(tip, {"a.yaml": b"a: 1\n"}, "2")
        server.traffic.reset()
        repository.begin_push()
        while not server.traffic.sent:
            time.sleep(0.01)
        assert server.traffic.requests == [ASKED]
        yield repository, tip, commit


def other(server: GitHttpServer, tip: str) -> str:
    """Let somebody else push a commit meanwhile."""
    bare = server.root / "m.git"
    commit = git(bare, "commit-tree", "-m", "other", "-p", tip, f"{tip}^{{tree}}").strip()
    git(bare, "update-ref", "refs/heads/main", commit)
    return commit


def hooked(server: GitHttpServer, name: str, script: str) -> None:
    hook = server.root / "m.git" / "hooks" / name
    hook.write_text(f"#!/bin/sh\n{script}\n")
    hook.chmod(0o755)


def at(server: GitHttpServer) -> str:
    return git(server.root / "m.git", "rev-parse", "main").strip()


def test_it_arrives_by_one_request_more(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, commit = begun
    repository.push(commit, "main", tip.commit)
    assert at(server) == commit
    assert server.traffic.requests == [ASKED, SENT]
    again = repository.write(repository.fetch("main"), {"a.yaml": b"a: 2\n"}, "3")
    repository.push(again, "main", commit)
    assert at(server) == again, "another one is pushed as ever"


def test_what_moved_since_it_asked_is_lost_and_left_as_it_is(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, commit = begun
    moved = other(server, tip.commit)
    with pytest.raises(PushLostError):
        repository.push(commit, "main", tip.commit)
    assert at(server) == moved
    assert server.traffic.requests == [ASKED, SENT], "the branch was there: nothing else is asked"


def test_what_it_knows_is_not_used_for_a_tip_that_was_fetched_later(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, _commit = begun
    moved = other(server, tip.commit)
    later = repository.fetch("main")
    assert later.commit == moved
    commit = repository.write(later, {"a.yaml": b"a: 3\n"}, "3")
    repository.push(commit, "main", moved)
    assert at(server) == commit
    assert server.traffic.requests.count(ASKED) == 2


def test_what_was_asked_before_the_tip_was_read_is_asked_again_where_that_moved_meanwhile(
    server: GitHttpServer, tmp_path: Path
) -> None:
    environment = {**os.environ, **WHO, "HOME": str(tmp_path)}
    with Repository(f"{server.url}/m.git", environment, Deadline(60)) as repository:
        repository.begin_push()
        assert repository.turn.is_ours
        while not server.traffic.sent:
            time.sleep(0.01)
        moved = other(server, at(server))
        tip = repository.open("main")
        assert tip.commit == moved
        commit = repository.write(tip, {"a.yaml": b"a: 1\n"}, "2")
        repository.push(commit, "main", tip.commit)
    assert at(server) == commit
    assert server.traffic.requests.count(ASKED) == 2


def test_another_expected_commit_than_it_was_told_of_is_lost(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, commit = begun
    with pytest.raises(PushLostError):
        repository.push(commit, "main", "0" * 39 + "1")
    assert at(server) == tip.commit


def test_the_commit_that_is_there_already_counts_as_lost(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, _commit = begun
    with pytest.raises(PushLostError):
        repository.push(tip.commit, "main", tip.commit)
    assert at(server) == tip.commit


def test_the_words_of_a_host_that_declines_are_told(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    repository, tip, commit = begun
    hooked(server, "pre-receive", 'echo "GH006: Protected branch update failed" >&2\nexit 1')
    declined = r"\[remote rejected\] \(pre-receive hook declined\)\): GH006"
    with pytest.raises(RepositoryError, match=declined) as raised:
        repository.push(commit, "main", tip.commit)
    assert "--pull-request" in raised.value.hint
    assert at(server) == tip.commit


def test_a_server_that_takes_it_and_does_not_report_is_asked_for_the_branch(
    server: GitHttpServer, begun: tuple[Repository, Tip, str]
) -> None:
    """As one that is ended by what the push has set off."""
    repository, tip, commit = begun
    hooked(server, "post-receive", "kill -9 $PPID")
    repository.push(commit, "main", tip.commit)
    assert at(server) == commit


def test_one_that_ended_meanwhile_leaves_the_push_to_git(
    server: GitHttpServer, tmp_path: Path
) -> None:
    environment = {**os.environ, **WHO, "HOME": str(tmp_path)}
    with Repository(f"{server.url}/m.git", environment, Deadline(60)) as repository:
        tip = repository.open("main")
        commit = repository.write(tip, {"a.yaml": b"a: 1\n"}, "2")
        server.refuses_writes = True
        repository.begin_push()
        with pytest.raises(RepositoryError, match="lets this account read, and not write"):
            repository.push(commit, "main", tip.commit)
    assert at(server) == tip.commit


@pytest.mark.parametrize(
    "settings",
    [
        '[url "{url}/"]\n\tpushInsteadOf = x:\n',
        '[url "{url}/"]\n\tinsteadOf = x:\n',
        "[push]\n\tgpgSign = if-asked\n",
    ],
)
def test_people_who_have_their_own_ways_get_git_push(
    server: GitHttpServer, tmp_path: Path, settings: str
) -> None:
    (tmp_path / ".gitconfig").write_text(settings.format(url=server.url))
    environment = {**os.environ, **WHO, "HOME": str(tmp_path)}
    with Repository(f"{server.url}/m.git", environment, Deadline(60)) as repository:
        tip = repository.open("main")
        commit = repository.write(tip, {"a.yaml": b"a: 1\n"}, "2")
        server.traffic.reset()
        repository.begin_push()
        assert not server.traffic.requests
        repository.push(commit, "main", tip.commit)
    assert at(server) == commit

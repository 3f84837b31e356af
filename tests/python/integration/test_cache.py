"""The cache: fewer requests, the same outcome, whatever happened to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from random import randbytes
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.repo.cache import open_cache
from gitops_rollback.repo.objects import head_in
from gitops_rollback.repo.repository import Repository
from integration.shop import CART, CART_PATH, COMMAND, FILES, LEDGER, Shop, image, wait_for
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.conftest import Workshop

PLAN = ("--service", "cart")
SECRET = "hush-hush-4711"
BUILDS = 8 if os.environ.get("GITOPS_LONG_TESTS") else 5  # that share a cache at once


@pytest.fixture
def server(shop: Shop) -> Iterator[GitHttpServer]:
    with GitHttpServer(shop.root) as server:
        yield server


UPLOAD = "POST /manifests.git/git-upload-pack"


class Cached:
    """A shop that is reached over HTTP, with a cache."""

    def __init__(self, shop: Shop, server: GitHttpServer) -> None:
        self.shop = shop
        self.server = server
        self.folder = shop.root / "cache"
        self.environment = {"GITOPS_CACHE": str(self.folder), "GITOPS_VERBOSE": "1"}

    def deploy(self, tag: str, *arguments: str) -> tuple[list[str], str]:
        """Deploy; return the requests it took, and what it said."""
        self.server.traffic.reset()
        url = f"{self.server.url}/manifests.git"
        run = self.shop.deploy(tag, *arguments, repository=url, environment=self.environment)
        assert image(tag) in self.shop.text()
        assert run.result["commit"] == self.shop.tip()
        return list(self.server.traffic.requests), run.stderr

    def plan(self) -> list[str]:
        self.server.traffic.reset()
        url = f"{self.server.url}/manifests.git"
        self.shop.ok("plan", *PLAN, repository=url, environment=self.environment)
        return list(self.server.traffic.requests)

    @property
    def place(self) -> Path:
        (place,) = self.folder.glob("*.git")
        return place

    @property
    def packs(self) -> list[Path]:
        return sorted(self.place.glob("objects/pack/*.pack"))


@pytest.fixture
def cached(shop: Shop, server: GitHttpServer) -> Cached:
    return Cached(shop, server)


@pytest.fixture
def warm(cached: Cached) -> Cached:
    cached.deploy("1.4.2")
    return cached


def test_a_deploy_takes_four_requests_when_nothing_else_moved(warm: Cached) -> None:
    requests, _said = warm.deploy("1.5.0")
    assert len(requests) <= 4, requests
    asked = sorted(line.partition("?")[2] for line in requests if "?" in line)
    assert asked == ["service=git-receive-pack", "service=git-upload-pack"]
    again, _said = warm.deploy("1.5.1")
    assert len(again) <= 4, again
    assert len(warm.shop.log()) == 4
    assert not list(warm.folder.glob("*.run-*"))


def test_a_plan_takes_two_requests_where_the_last_commits_are_cached(cached: Cached) -> None:
    cached.shop.commit_many(60)
    cached.deploy("1.4.2")
    cached.deploy("1.5.0")
    tip = ["GET /manifests.git/info/refs?service=git-upload-pack", UPLOAD]
    for _ in range(2):
        assert cached.plan() == tip, "the last fifty are here: the first deploy looked at them"
    cached.deploy("1.6.0")
    assert cached.plan() == tip, "and what the deploy has written"


def test_a_plan_fetches_what_others_pushed_in_one(cached: Cached) -> None:
    cached.shop.commit_many(60)
    cached.deploy("1.4.2")
    cached.plan()
    for number in range(3):
        cached.shop.commit({"README.md": f"# again {number}\n"})
    before = cached.server.traffic.sent
    requests = cached.plan()
    assert len(requests) <= 3, requests
    assert cached.server.traffic.sent < max(before, 6000), "not the last fifty again"
    tip = ["GET /manifests.git/info/refs?service=git-upload-pack", UPLOAD]
    assert cached.plan() == tip


def test_what_lies_behind_a_boundary_is_read_where_another_run_fetched_it(cached: Cached) -> None:
    """A history that leads across what was a boundary is the same as without a cache."""
    cached.shop.commit_many(60)
    for tag in ("1.4.2", "1.5.0"):
        cached.deploy(tag)
        cached.plan()
    cached.shop.commit({".gitops-rollback/default/cart.json": None})
    url = f"{cached.server.url}/manifests.git"
    plain = cached.shop.ok("history", "--service", "cart", repository=url)
    for _ in range(2):
        with_cache = cached.shop.ok(
            "history", "--service", "cart", repository=url, environment=cached.environment
        )
        assert with_cache.result["services"] == plain.result["services"]
    for line in (cached.place / "shallow").read_text().splitlines():
        parent = cached.shop.git("rev-parse", f"{line}~1")
        assert cached.shop.git("log", "-1", "--format=%H", parent) == parent


def test_what_others_changed_is_all_that_is_fetched(warm: Cached) -> None:
    warm.shop.commit({"apps/ledger/statefulset.yaml": LEDGER.replace("3.1", "3.2")})
    requests, said = warm.deploy("1.5.0")
    assert len(requests) <= 5, "as many as without a cache"
    assert "built anew" not in said
    assert warm.shop.text("apps/ledger/statefulset.yaml") == LEDGER.replace("3.1", "3.2")
    requests, _said = warm.deploy("1.5.1")
    assert len(requests) <= 4, requests


def test_what_others_deployed_of_the_same_service_comes_with_the_tip(warm: Cached) -> None:
    """Its state file and its manifest are new, and asked for with the commit."""
    other = Cached(warm.shop, warm.server)
    other.folder = warm.shop.root / "another agent's cache"
    other.environment = {"GITOPS_CACHE": str(other.folder)}
    for tag, by_other in (("1.5.0", "1.5.1"), ("1.6.0", "1.6.1")):
        warm.deploy(tag)
        other.deploy(by_other)
    requests, said = warm.deploy("1.7.0")
    assert len(requests) <= 5, requests
    assert "built anew" not in said
    for command in ("services", "history", "plan"):
        costs = []
        for environment in ({}, warm.environment):
            other.deploy(f"1.8.{len(command)}{len(environment)}")
            warm.server.traffic.reset()
            url = f"{warm.server.url}/manifests.git"
            warm.shop.ok(
                command,
                *(PLAN if command != "services" else ()),
                repository=url,
                environment=environment,
            )
            costs.append(len(warm.server.traffic.requests))
        assert costs[1] <= costs[0], command


def test_a_server_of_protocol_version_0_tells_the_branch_too(warm: Cached) -> None:
    warm.server.speaks_version_2 = False
    for tag, file in (("1.5.0", {}), ("1.6.0", {"README.md": "# Another\n"})):
        warm.shop.commit(file)
        _requests, said = warm.deploy(tag)
        assert "built anew" not in said


TIP = "1a" * 20
V2, V0 = f"fetch< {TIP} HEAD", f"git< {TIP} HEAD\\0multi_ack"


@pytest.mark.parametrize(
    ("packets", "told"),
    [
        (f"{V2} symref-target:refs/heads/main\n", "main"),
        (f"{V2} symref-target:refs/heads/main\n" * 2, "main"),
        (f"{V2} symref-target:refs/heads/main peeled:{TIP}\n", "main"),
        (f"{V0} symref=HEAD:refs/heads/main agent=x\n", "main"),
        (f"{V2} symref-target:refs/heads/ma", None),
        (f"{V2} symref-target:refs/remotes/main\n", None),
        (f"{V2} symref-target:refs/heads/main\n{V2} symref-target:refs/heads/live\n", None),
        (f"{V0} symref=HEAD:refs/heads/main symref=HEAD:refs/heads/live\n", None),
        (f"{V0.replace('1a', '1b')} symref=HEAD:refs/heads/main\n", None),
        (f"{V2}\nsideband< \\2no HEAD symref-target:refs/heads/main\n", None),
        (f"fetch> {TIP} HEAD symref-target:refs/heads/main\n", None),
        (f"{V0}\n", None),
        ("", None),
    ],
)
def test_the_branch_that_a_server_says_head_is_counts_where_it_says_one(
    packets: str, told: str | None
) -> None:
    assert head_in(packets, TIP) == told


def test_a_default_branch_may_have_any_name(warm: Cached) -> None:
    for name in ("größe/ß-1", "日本"):
        warm.shop.commit(FILES, branch=name)
        warm.shop.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
        url = f"{warm.server.url}/manifests.git"
        for tag in ("1.5.0", "1.6.0"):
            run = warm.shop.deploy(tag, repository=url, environment=warm.environment)
            assert run.result["branch"] == name
            assert "built anew" not in run.stderr


def test_a_long_history_that_is_new_is_not_fetched_for_its_tip(warm: Cached) -> None:
    """The branch was rewritten: nothing of it is cached, and it has thousands of commits."""
    stream = "".join(
        f"commit refs/heads/other\ncommitter x <x> {number} +0000\ndata 0\n"
        f"M 100644 inline f{number}.bin\ndata 8000\n{randbytes(4000).hex()}\n"
        for number in range(1500)
    )
    bare = ["git", "-C", str(warm.shop.bare)]
    subprocess.run([*bare, "fast-import", "--quiet"], input=stream.encode(), check=True)
    warm.shop.commit(FILES, branch="other")
    warm.shop.git("update-ref", "refs/heads/main", "other")
    warm.server.traffic.reset()
    warm.deploy("1.5.0")
    assert warm.server.traffic.sent < 20_000_000


def test_a_server_that_is_gone_does_not_cost_the_cache(warm: Cached) -> None:
    url = f"{warm.server.url}/manifests.git"
    (warm.shop.bare / "HEAD").rename(warm.shop.bare / "HEAD.away")
    run = warm.shop.run("plan", *PLAN, repository=url, environment=warm.environment)
    assert (run.code, run.error["category"]) == (1, "repository")
    (warm.shop.bare / "HEAD.away").rename(warm.shop.bare / "HEAD")
    requests, said = warm.deploy("1.5.0")
    assert "built anew" not in said
    assert len(requests) <= 4


def test_only_the_trees_that_changed_come_over_the_wire(two_thousand: Shop) -> None:
    with GitHttpServer(two_thousand.root) as server:
        cached = Cached(two_thousand, server)
        cached.deploy("1.4.2")
        whole = server.traffic.sent
        two_thousand.commit({"apps/s7/deployment.yaml": "moved: true\n"})
        cached.deploy("1.5.0")
        assert server.traffic.sent < whole / 10


def test_a_history_that_was_rewritten_is_taken_as_it_is(warm: Cached) -> None:
    warm.deploy("1.5.0")
    warm.shop.git("update-ref", "refs/heads/main", warm.shop.log("%H")[2])
    warm.deploy("1.5.1")
    assert len(warm.shop.log()) == 2
    warm.shop.git("update-ref", "refs/heads/main", warm.shop.commit(FILES, branch="another"))
    warm.deploy("1.5.2")
    assert len(warm.shop.log()) == 2


def test_a_branch_of_an_environment_is_cached_too(cached: Cached) -> None:
    shop = cached.shop
    shop.commit(FILES, branch="live")
    shop.commit({".gitops-rollback.toml": '[environments.live]\nbranch = "live"\n'})
    url = f"{cached.server.url}/manifests.git"
    for tag in ("1.4.2", "1.5.0", "1.6.0"):
        cached.server.traffic.reset()
        shop.deploy(tag, repository=url, environment=cached.environment)
        assert image(tag) in shop.text(branch="live")
    assert len(cached.server.traffic.requests) <= 6, cached.server.traffic.requests


def test_another_default_branch_is_noticed(warm: Cached) -> None:
    warm.shop.commit(FILES, branch="trunk")
    warm.shop.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    url = f"{warm.server.url}/manifests.git"
    run = warm.shop.deploy("1.5.0", repository=url, environment=warm.environment)
    assert run.result["branch"] == "trunk"


def test_a_branch_that_is_gone_is_the_same_error_as_without(warm: Cached) -> None:
    url = f"{warm.server.url}/manifests.git"
    run = warm.shop.run(
        "plan", *PLAN, "--branch", "gone", repository=url, environment=warm.environment
    )
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "no branch 'gone'" in run.error["message"]
    warm.shop.git("symbolic-ref", "HEAD", "refs/heads/gone")
    run = warm.shop.run("plan", *PLAN, repository=url, environment=warm.environment)
    assert "names no branch" in run.error["message"]


def test_a_history_is_walked_as_without(warm: Cached) -> None:
    warm.deploy("1.5.0")
    warm.shop.commit({".gitops-rollback/default/cart.json": None})
    url = f"{warm.server.url}/manifests.git"
    git = ("--strategy", "git")
    plain = warm.shop.ok("plan", *PLAN, *git, repository=url)
    for _ in range(2):
        run = warm.shop.ok("plan", *PLAN, *git, repository=url, environment=warm.environment)
        assert run.service()["to"] == plain.service()["to"]
    warm.deploy("1.5.1")


def test_a_sha256_repository_is_cached_too(workshop: Workshop) -> None:
    shop = workshop.shop("sha256 cached", lambda shop: shop.open(FILES, form="sha256"))
    with GitHttpServer(shop.root) as server:
        cached = Cached(shop, server)
        cached.deploy("1.4.2")
        assert len(cached.deploy("1.5.0")[0]) <= 4


def test_a_server_without_partial_clone_is_cached_too(cached: Cached) -> None:
    cached.shop.git("config", "uploadpack.allowFilter", "false")
    cached.deploy("1.4.2")
    assert len(cached.deploy("1.5.0")[0]) <= 4
    cached.shop.commit({"README.md": "# Another\n"})
    cached.deploy("1.6.0")


def _truncate(warm: Cached) -> None:
    for path in warm.packs:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:40])


def _flip(warm: Cached) -> None:
    """Change bits in every pack and loose object, sizes kept."""
    for path in (*warm.packs, *warm.place.glob("objects/??/*")):
        path.chmod(0o644)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        data[-25] ^= 0xFF
        path.write_bytes(bytes(data))


def _no_index(warm: Cached) -> None:
    for path in warm.place.glob("objects/pack/*.idx"):
        path.unlink()


def _no_objects(warm: Cached) -> None:
    shutil.rmtree(warm.place / "objects")


def _no_list(warm: Cached) -> None:
    (warm.place / "contents").unlink()


def _nonsense_list(warm: Cached) -> None:
    (warm.place / "contents").write_bytes(b"12 ../../../etc/passwd\n\xff\n")


def _nonsense_boundary(warm: Cached) -> None:
    (warm.place / "shallow").write_text("not a commit\n")


def _nonsense_tips(warm: Cached) -> None:
    (warm.place / "packed-refs").write_bytes(b"\x00\x01\x02")


def _other_tips(warm: Cached) -> None:
    """As if it were another repository's: its tips are unknown there, and the objects missing."""
    (warm.place / "packed-refs").write_text(f"{'1' * 40} refs/heads/main\n")


def _right_tip_but_nothing_else(warm: Cached) -> None:
    for path in warm.place.glob("objects/??/*"):
        path.unlink()
    for path in warm.place.glob("objects/pack/*"):
        path.unlink()
    (warm.place / "contents").write_text("")


def _a_file(warm: Cached) -> None:
    place = warm.place
    shutil.rmtree(place)
    place.write_text("what is this doing here?")


@pytest.mark.parametrize(
    "harm",
    [
        _truncate,
        _flip,
        _no_index,
        _no_objects,
        _no_list,
        _nonsense_list,
        _nonsense_boundary,
        _nonsense_tips,
        _other_tips,
        _right_tip_but_nothing_else,
        _a_file,
    ],
)
def test_a_cache_that_came_to_harm_heals_itself(
    warm: Cached, harm: Callable[[Cached], None]
) -> None:
    warm.deploy("1.5.0")
    harm(warm)
    warm.deploy("1.6.0")
    assert warm.shop.text() == CART.replace("acme/cart:1.4.1", image("1.6.0"))
    requests, said = warm.deploy("1.6.1")
    assert "built anew" not in said
    assert len(requests) <= 4, requests
    assert len(warm.shop.log()) == 5


@pytest.mark.parametrize("name", ["contents", "packed-refs"])
def test_one_that_comes_to_harm_while_a_run_works_does_not_spoil_its_end(
    shop: Shop, name: str
) -> None:
    folder = shop.root / "cache"
    for _ in range(2):
        with Repository(str(shop.bare), dict(os.environ), Deadline(60), folder) as repository:
            tip = repository.open("main")
            for place in folder.glob("*.git"):
                (place / name).write_bytes(b"\xff nonsense")
        assert tip.commit == shop.tip()
    with Repository(str(shop.bare), dict(os.environ), Deadline(60), folder) as repository:
        assert repository.open("main").commit == shop.tip()


def test_healing_is_said_only_with_v(warm: Cached) -> None:
    _truncate(warm)
    warm.environment.pop("GITOPS_VERBOSE")
    _requests, said = warm.deploy("1.5.0")
    assert "cache" not in said
    _truncate(warm)
    warm.environment["GITOPS_VERBOSE"] = "1"
    _requests, said = warm.deploy("1.5.1")
    assert "cache: built anew" in said


@pytest.mark.parametrize("where", ["a file", "below a file", "a link to itself"])
def test_a_directory_that_cannot_be_used_is_a_warning_and_no_more(
    cached: Cached, where: str
) -> None:
    if where == "a link to itself":
        cached.folder.symlink_to(cached.folder)
    else:
        cached.folder.write_text("not a folder")
    if where == "below a file":
        cached.environment["GITOPS_CACHE"] += "/below"
    _requests, said = cached.deploy("1.4.2")
    assert "warning: the cache" in said


def test_a_directory_that_others_may_write_to_is_made_private(cached: Cached) -> None:
    cached.folder.mkdir()
    cached.folder.chmod(0o777)
    cached.deploy("1.4.2")
    assert cached.folder.stat().st_mode & 0o777 == 0o700


def test_all_that_a_run_makes_at_home_is_private_whatever_the_umask(shop: Shop) -> None:
    named = ("--service", "cart", "--image", image("1.4.2"), "--cache", str(shop.home / "a" / "b"))
    environment = {**shop.environment, "XDG_CACHE_HOME": "", "XDG_STATE_HOME": ""}
    for line in (shop.line("deploy", *named), [str(COMMAND), "completion", "bash", "--install"]):
        done = subprocess.run(line, env=environment, umask=0, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    made = [path for path in shop.home.iterdir() if path.is_dir()]
    assert {path.name for path in made} == {".local", "a"}
    for path in (*made, *(below for one in made for below in one.iterdir())):
        assert path.stat().st_mode & 0o777 == 0o700, path


def test_who_turns_a_link_to_the_directory_round_meanwhile_changes_nothing(cached: Cached) -> None:
    cached.folder.mkdir()
    link = cached.shop.root / "link"
    link.symlink_to(cached.folder)
    cache = open_cache(link, "https://git.example/acme/manifests.git")
    link.unlink()
    link.symlink_to(cached.shop.root)
    assert cache is not None
    assert cache.place.parent == cached.folder.resolve()
    cache.own.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder somebody else's")
def test_a_directory_of_another_user_is_not_used(cached: Cached) -> None:
    cached.folder.mkdir()
    os.chown(cached.folder, 20001, 20001)
    _requests, said = cached.deploy("1.4.2")
    assert "it belongs to another user" in said
    assert list(cached.folder.iterdir()) == []


def on_a_small_disk(folder: Path, size: str, line: list[str]) -> list[str]:
    """Return a command line that runs another where `folder` is a disk of a size; or skip."""
    folder.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && exec "$@"'
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-ec", script, "sh", size, str(folder)]
    if subprocess.run([*inside, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    return [*inside, *line]


def test_a_full_disk_is_a_warning_and_no_more(warm: Cached) -> None:
    shop = warm.shop
    for tag, size in (("1.5.0", "40k"), ("1.6.0", "2m")):
        line = shop.line("deploy", *PLAN, "--image", image(tag), "--cache", str(warm.folder))
        done = subprocess.run(
            on_a_small_disk(warm.folder, size, line),
            env=shop.environment,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        assert "cannot be used: less than 64 MB are free there" in done.stderr
        assert image(tag) in shop.text()


@pytest.mark.parametrize("size", ["8k", "16k", "24k", "40k"])
def test_a_full_disk_for_what_is_fetched_is_said(shop: Shop, size: str) -> None:
    """Wherever it becomes full: git does not always say that this is why it fails."""
    line = shop.line("deploy", *PLAN, "--image", image("1.5.0"))
    done = subprocess.run(
        on_a_small_disk(shop.scratch, size, line),
        env=shop.environment,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert "space in TMPDIR" in done.stderr or "room in TMPDIR" in done.stderr
    assert len(shop.log()) == 1


@pytest.mark.parametrize(
    "name", ["packed-refs.lock", "shallow.lock", "config.lock", "objects/pack/tmp_pack_x"]
)
def test_what_a_killed_git_left_there_is_in_nobodys_way(warm: Cached, name: str) -> None:
    (warm.place / name).write_bytes(b"left")
    warm.deploy("1.5.0")
    requests, said = warm.deploy("1.6.0")
    assert len(requests) <= 4, requests
    assert "built anew" not in said


def test_a_branch_that_others_rewrite_in_a_run_is_taken_as_it_is(warm: Cached) -> None:
    """Between the fetch and the push, and every commit that is cached is gone from the server."""
    shop = warm.shop
    shop.commit({**FILES, "README.md": "# Begun anew\n"}, branch="another")
    folder = shop.root / "bin"
    folder.mkdir()
    git = shutil.which("git")
    forced = f"{git} -C {shop.bare} update-ref refs/heads/main another"
    (folder / "git").write_text(
        f'#!/bin/sh\n[ "$1" != fast-import ] || [ -e {folder}/once ] || '
        f'{{ touch {folder}/once; {forced}; }}\nexec {git} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    warm.environment["PATH"] = f"{folder}:{shop.environment['PATH']}"
    run = shop.run(
        *("deploy", *PLAN, "--image", image("1.5.0")),
        repository=f"{warm.server.url}/manifests.git",
        environment=warm.environment,
    )
    assert (run.code, run.error["category"]) == (5, "moved"), run.stderr
    warm.deploy("1.6.0")
    assert len(shop.log()) == 2


def test_builds_at_once_that_find_it_broken_mend_it_together(workshop: Workshop) -> None:
    names = [f"service-{number}" for number in range(BUILDS)]
    files = {f"apps/{name}.yaml": LEDGER.replace("ledger", name) for name in names}
    listed = "".join(f"- {path.removeprefix('apps/')}\n" for path in files)
    files["apps/kustomization.yaml"] = f"{FILES['apps/kustomization.yaml']}{listed}"
    shop = workshop.shop("cached, of several services", lambda shop: shop.open({**FILES, **files}))
    with GitHttpServer(shop.root) as server:
        warm = Cached(shop, server)
        for round_, harm in enumerate((_truncate, _no_objects, _right_tip_but_nothing_else)):
            warm.deploy(f"1.{round_}.0")
            harm(warm)

            def deploy(name: str, tag: str = f"4.{round_}") -> subprocess.CompletedProcess[bytes]:
                line = shop.line("deploy", "--service", name, "--image", image(tag, name))
                line[line.index("--repository") + 1] = f"{server.url}/manifests.git"
                return subprocess.run(
                    [*line[:-1], str(shop.root / f"{name}.json"), "--cache", str(warm.folder)],
                    env=shop.environment,
                    capture_output=True,
                    check=False,
                )

            with ThreadPoolExecutor(BUILDS) as pool:
                for done in pool.map(deploy, names):
                    assert done.returncode == 0, done.stderr.decode()
            for name in names:
                assert image(f"4.{round_}", name) in shop.text(f"apps/{name}.yaml")
            warm.deploy(f"1.{round_}.1")
            requests, said = warm.deploy(f"1.{round_}.2")
            assert len(requests) <= 4, requests
            assert "built anew" not in said
        assert len(shop.log()) == 1 + 3 * (3 + BUILDS)


def test_one_that_is_busy_is_not_waited_for(warm: Cached) -> None:
    lock, here = str(warm.place.with_suffix(".lock")), warm.shop.root / "here"
    hold = 'touch "$1"; exec sleep 600'
    with subprocess.Popen(["flock", "--no-fork", lock, "sh", "-c", hold, "sh", here]) as holder:
        try:
            wait_for(here)
            warm.deploy("1.5.0")
            warm.deploy("1.6.0")
            assert holder.poll() is None, "it is still busy"
        finally:
            holder.terminate()


def test_one_repository_has_one_place_whoever_comes(cached: Cached) -> None:
    with GitHttpServer(cached.shop.root, credentials=("robot", SECRET)) as private:
        url = private.url.replace("http://", "http://robot@") + "/manifests.git"
        secrets = {**cached.environment, "GIT_USERNAME": "robot", "GIT_PASSWORD": SECRET}
        cached.shop.deploy("1.4.2", repository=url, environment=secrets)
        plain = f"{private.url}/manifests.git"
        cached.shop.deploy("1.5.0", repository=plain, environment=secrets)
    assert len(list(cached.folder.glob("*.git"))) == 1
    for path in cached.folder.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()
            assert b"robot" not in path.read_bytes()
            assert SECRET not in str(path)


def test_what_is_cached_is_shown_to_nobody_whom_the_server_does_not_let_in(warm: Cached) -> None:
    with GitHttpServer(warm.shop.root, credentials=("robot", SECRET)) as private:
        url = f"{private.url}/manifests.git"
        good = {**warm.environment, "GIT_USERNAME": "robot", "GIT_PASSWORD": SECRET}
        warm.shop.deploy("1.5.0", repository=url, environment=good)
        bad = {**good, "GIT_PASSWORD": "wrong"}
        run = warm.shop.run("plan", *PLAN, repository=url, environment=bad)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "does not let us in" in run.error["message"]


def test_it_is_a_bare_partial_repository_that_git_can_read(warm: Cached) -> None:
    warm.deploy("1.5.0")
    git = ["git", "-c", "safe.bareRepository=all", "-C", str(warm.place)]
    said = subprocess.run([*git, "log", "--format=%s", "main"], capture_output=True, check=True)
    assert said.stdout.decode().splitlines()[0] == "cart: 1.4.2 → 1.5.0 (deploy)"
    settings = subprocess.run([*git, "config", "-l"], capture_output=True, check=True).stdout
    assert b"remote.gitops-rollback.partialclonefilter=blob:none" in settings
    assert b"core.bare=true" in settings


def test_a_deploy_adds_few_files(warm: Cached) -> None:
    """Each run reads and links all of them."""
    warm.deploy("1.5.0")
    before = set((warm.place / "contents").read_text().splitlines())
    warm.deploy("1.6.0")
    added = set((warm.place / "contents").read_text().splitlines()) - before
    assert len(added) == 3, added  # the commit, and a pack of two files


def test_it_does_not_grow_without_end(warm: Cached) -> None:
    contents = warm.place / "contents"
    extra = warm.place / "objects" / "aa"
    extra.mkdir(exist_ok=True)
    lines = contents.read_text().splitlines()
    for number in range(1200):
        name = f"{number:038x}"
        (extra / name).write_bytes(b"x")
        lines.append(f"{crc32(b'x')} 1 aa/{name}")
    contents.write_text("\n".join(lines) + "\n")
    _requests, said = warm.deploy("1.5.0")
    assert "built anew: it is empty, or has grown large" in said
    assert len(contents.read_text().splitlines()) < 60


def test_what_killed_runs_left_and_what_nobody_used_is_removed(warm: Cached) -> None:
    left = warm.folder / f"{warm.place.stem}.run-killed"
    (left / "repository.git").mkdir(parents=True)
    old = warm.folder / "0123456789abcdef0123456789abcdef.git"
    old.mkdir()
    for path, age in ((left, 3600), (old, 40 * 86400)):
        os.utime(path, (time.time() - age, time.time() - age))
    warm.deploy("1.5.0")
    assert not left.exists()
    assert not old.exists()
    assert warm.place.exists()


def test_builds_at_once_share_it(workshop: Workshop) -> None:
    names = [f"service-{number}" for number in range(BUILDS)]
    files = {f"apps/{name}.yaml": LEDGER.replace("ledger", name) for name in names}
    listed = "".join(f"- {path.removeprefix('apps/')}\n" for path in files)
    files["apps/kustomization.yaml"] = f"resources:\n{listed}"
    shop = workshop.shop("services for builds at once", lambda shop: shop.open(files))
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"
        cache = str(shop.root / "cache")

        def deploy(name: str) -> str:
            said = ""
            for tag in ("4.0", "4.1"):
                line = shop.line("deploy", "--service", name, "--image", image(tag, name))
                line[line.index("--repository") + 1] = url
                done = subprocess.run(
                    [*line[:-1], str(shop.root / f"{name}.json"), "--cache", cache],
                    env={**shop.environment, "GITOPS_VERBOSE": "1"},
                    capture_output=True,
                    check=False,
                    text=True,
                )
                assert done.returncode == 0, done.stderr
                said += done.stderr
            return said

        with ThreadPoolExecutor(BUILDS) as pool:
            said = "".join(pool.map(deploy, names))
    assert "built anew" not in said
    assert len(shop.log()) == 1 + 2 * BUILDS
    for name in names:
        assert image("4.1", name) in shop.text(f"apps/{name}.yaml")
    assert CART_PATH not in shop.git("ls-tree", "-r", "--name-only", "main")

"""Git as people have it set up, servers as they are, and the push as a compare-and-swap."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.errors import RepositoryError
from gitops_rollback.repo.repository import PushLostError, Repository
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from integration.shop import Shop

DEPLOY = ("--service", "cart", "--image", "acme/cart:1.5.0@sha256:" + "5" * 64)
FILES = {"apps/cart/deployment.yaml": b"kind: Deployment\n"}


SERVERS = ("path", "http", "no filter", "version 0", "tips only")


def opened(url: str) -> Repository:
    return Repository(url, dict(os.environ), Deadline(60))


@contextmanager
def served(shop: Shop, kind: str) -> Iterator[str]:
    """Serve the shop in one of the ways in which servers differ; yield its URL."""
    shop.git("config", "uploadpack.allowFilter", "false" if kind == "no filter" else "true")
    shop.git("config", "uploadpack.allowAnySHA1InWant", "false" if kind == "tips only" else "true")
    if kind == "path":
        yield str(shop.bare)
        return
    with GitHttpServer(shop.root) as server:
        server.speaks_version_2 = kind not in ("version 0", "tips only")
        yield f"{server.url}/manifests.git"


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("has_history", [False, True])
def test_a_branch_that_was_set_back_meanwhile_does_not_get_back_what_was_dropped(
    shop: Shop,
    kind: str,
    has_history: bool,  # noqa: FBT001 - a row of a table
) -> None:
    shop.commit({"README.md": "dropped later\n"})
    dropped = shop.tip()
    before = shop.git("rev-parse", "main~1").strip()
    with served(shop, kind) as url, opened(url) as repository:
        tip = repository.open("main")
        if has_history:
            repository.history(tip, "README.md", 50)
        commit = repository.write(tip, FILES, "a commit\n")
        shop.git("update-ref", "refs/heads/main", before)
        with pytest.raises(PushLostError):
            repository.push(commit, "main", tip.commit)
        assert shop.tip() == before
        again = repository.fetch("main")
        repository.push(repository.write(again, FILES, "again\n"), "main", again.commit)
    assert dropped is not None
    assert dropped not in shop.git("rev-list", "main")


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("has_moved", [False, True])
def test_the_commits_before_a_tip_are_fetched_whatever_the_server_gives_out(
    shop: Shop,
    kind: str,
    has_moved: bool,  # noqa: FBT001 - a row of a table
) -> None:
    """They are asked for by the tip's id; a server of old gives out nothing but tips."""
    shop.commit_many(3)
    with served(shop, kind) as url, opened(url) as repository:
        tip = repository.open("main")
        wanted = shop.git("log", "--format=%H", "main").split()
        if has_moved:
            shop.commit({"README.md": "meanwhile\n"})
        assert [entry.commit for entry in repository.log(tip, 50)] == wanted


def test_a_branch_that_moves_while_it_is_pushed_to_is_never_overwritten(shop: Shop) -> None:
    """The hook moves the branch after the server has said where it is, and before it takes ours."""
    shop.hook(
        "pre-receive",
        "test -e moved && exit 0; touch moved; unset GIT_QUARANTINE_PATH;"
        " git update-ref refs/heads/main"
        " $(git -c user.name=x -c user.email=y commit-tree -p main -m theirs main^{tree})",
    )
    shop.ok("deploy", *DEPLOY)
    assert "theirs" in shop.git("log", "--format=%s", "main")


def test_a_branch_that_is_made_meanwhile_is_not_overwritten(shop: Shop) -> None:
    with opened(str(shop.bare)) as repository:
        tip = repository.open("main")
        commit = repository.write(tip, FILES, "a commit\n")
        shop.git("branch", "other", "main")
        with pytest.raises(PushLostError):
            repository.push(commit, "other", None)
    assert shop.git("rev-parse", "other") == shop.git("rev-parse", "main")


SETTINGS = (
    "[clone]\n defaultRemoteName = upstream\n rejectShallow = true",
    "[safe]\n bareRepository = explicit",
    "[core]\n hooksPath = HOOKS\n autocrlf = true\n fsmonitor = true\n quotePath = false",
    "[fetch]\n prune = true\n pruneTags = true\n fsckObjects = true\n parallel = 8",
    "[transfer]\n fsckObjects = true\n bundleURI = true",
    "[init]\n defaultObjectFormat = sha256\n defaultRefFormat = reftable\n defaultBranch = ..x",
    "[push]\n default = nothing\n useForceIfIncludes = true\n negotiate = true\n followTags = true",
    "[push]\n recurseSubmodules = check\n autoSetupRemote = true\n pushOption = ci.skip",
    "[diff]\n orderFile = /nowhere\n renames = copies\n noprefix = true",
    "[log]\n follow = true\n date = iso\n showSignature = true\n decorate = full",
    "[i18n]\n commitEncoding = ISO-8859-1\n logOutputEncoding = UTF-16",
    "[user]\n useConfigOnly = true",
    "[protocol]\n version = 0",
    "[credential]\n helper = !sleep 60",
    "[remote]\n pushDefault = upstream\n[branch]\n autoSetupRebase = always",
    "[include]\n path = /nowhere/else",
    "[color]\n ui = always\n[core]\n pager = false",
    "[protocol]\n allow = never",
    '[protocol "file"]\n allow = never',
    '[remote "origin"]\n pushurl = /nowhere\n mirror = true\n push = HEAD\n tagOpt = --tags',
    '[remote "origin"]\n url = /nowhere\n receivepack = false\n uploadpack = false\n vcs = no',
    '[remote "origin"]\n fetch = +refs/pull/*/head:refs/remotes/origin/pr/*\n prune = true',
    '[filter "lfs"]\n smudge = false\n clean = false\n required = true\n[diff]\n external = false',
    "[alias]\n fetch = !false\n push = !false\n[index]\n version = 4\n[feature]\n manyFiles = true",
    "[gc]\n auto = 1\n autoPackLimit = 1\n[maintenance]\n auto = true\n[rerere]\n enabled = true",
    "[mailmap]\n file = /nowhere\n[log]\n mailmap = true\n[format]\n pretty = oneline",
)


@pytest.mark.parametrize("settings", SETTINGS)
def test_what_people_set_up_for_their_own_work_breaks_no_command(
    released: Shop, settings: str
) -> None:
    hooks = released.home / "hooks"
    hooks.mkdir()
    for name in ("pre-push", "post-checkout", "post-commit"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (released.home / ".gitconfig").write_text(settings.replace("HOOKS", str(hooks)))
    released.ok("plan", "--service", "cart")
    released.roll_back()
    released.ok("history", "--service", "cart")


@pytest.mark.parametrize(
    "allowed", [{}, {"blob:none": "true"}, {"blob:limit": "true"}], ids=["none", "all", "small"]
)
def test_a_server_that_leaves_out_but_certain_files_or_none_is_read_all_the_same(
    released: Shop, allowed: dict[str, str]
) -> None:
    """As Gitaly is set up, which allows kinds of filters one by one."""
    rules = {"allow": "false", **{f"{kind}.allow": value for kind, value in allowed.items()}}
    for name, value in rules.items():
        released.git("config", f"uploadpackfilter.{name}", value)
    cache = ("--cache", str(released.root / "cache"))
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        for _ in range(2):
            released.ok("plan", "--service", "cart", *cache, repository=url)
        released.roll_back(*cache, repository=url)
        released.ok("history", "--service", "cart", *cache, repository=url)
        released.ok("history", "--service", "cart", repository=url)


def test_a_configuration_of_git_s_that_is_broken_is_named_with_its_line(released: Shop) -> None:
    (released.home / ".gitconfig").write_text("[user]\n name = jane\n[broken\n")
    for address in (str(released.bare), "http://127.0.0.1:1/manifests.git"):
        run = released.run("plan", "--service", "cart", repository=address)
        assert (run.code, run.error["category"]) == (1, "repository")
        assert "git cannot read its own configuration" in run.error["message"]
        assert "line 3 in file" in run.error["message"]


def test_a_folder_or_a_pipe_in_the_place_of_git_s_configuration_is_told_so(released: Shop) -> None:
    path = released.home / ".gitconfig"
    path.mkdir()
    for address in (str(released.bare), "http://127.0.0.1:1/manifests.git"):
        run = released.run("plan", "--service", "cart", repository=address)
        assert (run.code, run.error["category"]) == (1, "repository")
        assert f"its own configuration: warning: unable to access '{path}'" in run.error["message"]
    path.rmdir()
    os.mkfifo(path)
    run = released.run("plan", "--service", "cart", "--timeout", "1")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert run.error["message"] == "git rev-parse, which asks no server, did not end in time"
    nowhere = "http://127.0.0.1:1/manifests.git"
    run = released.run("plan", "--service", "cart", "--timeout", "1", repository=nowhere)
    assert "whether `git config --list`, which asks none, ends here" in run.error["hint"]


def test_a_server_that_gives_out_tips_only_by_version_0_is_read_whole(released: Shop) -> None:
    released.commit(
        {".gitops-rollback.toml": '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'}
    )
    with served(released, "tips only") as url:
        released.ok("plan", "--service", "cart", repository=url)
        released.roll_back(repository=url)
        released.ok("history", "--service", "cart", repository=url)


def test_a_branch_in_the_way_is_one_clear_error_at_once(shop: Shop) -> None:
    other = "$(touch${IFS}stolen)"  # as a branch may be called; who pastes the hint runs nothing
    shop.git("branch", other, "main")
    with opened(str(shop.bare)) as repository:
        tip = repository.open("main")
        commit = repository.write(tip, FILES, "a commit\n")
        with pytest.raises(RepositoryError, match="has a branch refs/heads/") as failure:
            repository.push(commit, f"{other}/cart-1", None)
    assert f"(git push origin '{other}':NAME :'{other}')" in failure.value.hint


def test_a_backup_of_a_branch_below_other_references_is_not_taken_for_it(shop: Shop) -> None:
    """`git ls-remote refs/heads/main` lists refs/backup/refs/heads/main too, and first."""
    shop.git("branch", "staging", "main")
    cache, environment = shop.root / "cache", dict(os.environ)
    with Repository(str(shop.bare), environment, Deadline(60), cache) as repository:
        repository.open("main")
        repository.fetch("staging")
    backup, tip = shop.tip(), shop.commit({"README.md": "moved\n"}, branch="staging")
    for name in ("staging", "gone"):
        shop.git("update-ref", f"refs/backup/refs/heads/{name}", backup or "")
    with Repository(str(shop.bare), environment, Deadline(60), cache) as repository:
        repository.open("main")
        assert repository.remote_tip("staging") == tip
        assert repository.remote_tip("gone") is None
        assert repository.fetch("staging").commit == tip


def test_a_work_tree_of_another_user_is_told_with_what_git_says_of_it(shop: Shop) -> None:
    work = shop.root / "work-of-another"
    shop.git("clone", "-q", str(shop.bare), str(work))
    run = shop.refused(
        2, "usage", "plan", "--service", "cart", repository=str(work),
        environment={"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
    )  # fmt: skip
    assert "detected dubious ownership" in run.error["message"]
    assert "safe.directory" in run.error["message"]
    nowhere = shop.refused(2, "usage", "plan", "--service", "cart", repository=str(shop.root))
    assert nowhere.error["message"].endswith("is no Git work tree with an `origin`")
    shop.git("-C", str(work), "remote", "rename", "origin", "up;stream")
    renamed = shop.refused(2, "usage", "plan", "--service", "cart", repository=str(work))
    assert renamed.error["hint"].endswith("(git remote get-url 'up;stream' tells one)")


def test_a_tag_is_no_branch(shop: Shop) -> None:
    shop.git("tag", "v1", "main")
    with (
        opened(str(shop.bare)) as repository,
        pytest.raises(RepositoryError, match="has no branch 'v1'") as caught,
    ):
        repository.open("v1")
    assert "check --branch" in caught.value.hint


PASSWORD = "s3cret-pw"
INLINE = "!f() { echo username=jane; echo password=s3cret-pw; }; f"
# How git is told who asks: variables, and lines of the person's own configuration.
SETUPS = {
    "variables": ({"GIT_USERNAME": "jane", "GIT_PASSWORD": PASSWORD}, ""),
    "GIT_ASKPASS": ({"GIT_ASKPASS": "askpass"}, ""),
    "both": ({"GIT_USERNAME": "jane", "GIT_PASSWORD": PASSWORD, "GIT_ASKPASS": "askpass"}, ""),
    "SSH_ASKPASS": ({"SSH_ASKPASS": "askpass"}, ""),
    "core.askPass": ({}, "[core]\n\taskPass = {}\n"),
    "a setting": (
        {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "credential.helper",
         "GIT_CONFIG_VALUE_0": INLINE},
        "",
    ),
    "git -c": (
        {"GIT_CONFIG_PARAMETERS": rf"'credential.helper'=''\!'{INLINE[1:]}' 'x.y'= 'x.z'"}, ""
    ),
    "git -c of old": ({"GIT_CONFIG_PARAMETERS": f"'credential.helper={INLINE}'"}, ""),
    "a helper": ({}, f'[credential]\n\thelper = "{INLINE}"\n'),
    "a helper and a user": ({}, f'[credential]\n\tusername = jane\n\thelper = "{INLINE}"\n'),
}  # fmt: skip


@pytest.mark.parametrize("setup", SETUPS)
def test_what_answers_whoever_asks_is_asked_for_the_own_host_alone(shop: Shop, setup: str) -> None:
    program = shop.home / "askpass"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in Username*) echo jane;; *) echo {PASSWORD};; esac\n'
    )
    program.chmod(0o755)
    variables, lines = SETUPS[setup]
    (shop.home / ".gitconfig").write_text(lines.replace("{}", str(program)))
    environment = {name: v.replace("askpass", str(program)) for name, v in variables.items()}
    with GitHttpServer(shop.root, credentials=("jane", PASSWORD)) as own:
        url = f"{own.url}/manifests.git"
        shop.ok("deploy", *DEPLOY, repository=url, environment=environment)
    foreign = GitHttpServer(shop.root, credentials=("jane", PASSWORD))
    with foreign, Redirecting(shop.root, foreign) as front:
        run = shop.run(
            "plan",
            "--service",
            "cart",
            repository=f"{front.url}/manifests.git",
            environment=environment,
        )
    assert run.code == 1
    assert foreign.traffic.requests, "git did follow the redirect"
    assert not any(foreign.authorizations)


def test_what_git_was_told_for_one_call_counts_but_not_against_us(shop: Shop) -> None:
    """`git -c KEY=VALUE ALIAS`, where the alias is this command."""
    hook = shop.root / "hooks/reference-transaction"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\ntouch {shop.root}/ran\n")
    hook.chmod(0o755)
    told = f"'core.hooksPath'='{hook.parent}' 'user.name'='o'\\''hara' 'user.email=o@acme.example'"
    shop.ok("deploy", *DEPLOY, environment={"GIT_CONFIG_PARAMETERS": told})
    assert shop.git("log", "-1", "--format=%cn <%ce>") == "o'hara <o@acme.example>"
    assert not (shop.root / "ran").exists()
    url = f"file://{shop.bare}"
    for odd in ("x", "'a.b=c' x", "'a.b"):
        variable = {"GIT_CONFIG_PARAMETERS": odd}
        run = shop.run("plan", "--service", "cart", repository=url, environment=variable)
        assert (run.code, run.error["category"]) == (1, "repository")
        assert "bogus format in GIT_CONFIG_PARAMETERS" in run.error["message"]


@pytest.mark.parametrize(
    ("short", "stands_for"),
    [
        ("git-of-acme:", "{}/"),
        ("git-of-acme:", "http://jane:s3cret-pw@{host}/"),
        ("http://elsewhere.example/", "http://jane:s3cret-pw@{host}/"),
    ],
)
def test_an_address_that_git_writes_out_is_known_by_its_host_and_keeps_its_password(
    released: Shop, short: str, stands_for: str
) -> None:
    """As CI systems set up git: `url.https://oauth2:TOKEN@host/.insteadOf https://host/`."""
    work = released.root / "work-of-short"
    with GitHttpServer(released.root, credentials=("jane", PASSWORD)) as own:
        base = stands_for.replace("{host}", own.url.partition("//")[2]).replace("{}", own.url)
        variables = {} if PASSWORD in base else {"GIT_USERNAME": "jane", "GIT_PASSWORD": PASSWORD}
        released.git("clone", "-q", str(released.bare), str(work))
        lines = f'[url "{base}"]\n\tinsteadOf = {short}\n'
        (released.home / ".gitconfig").write_text(lines)
        (work / ".git/config").write_text(
            f'[core]\nbare = false\n[remote "origin"]\nurl = {short}manifests.git\n'
        )
        runs = [
            released.ok("plan", "--service", "cart", repository=where, environment=variables)
            for where in (f"{short}manifests.git", str(work))
        ]
    assert not any(PASSWORD in f"{run.stdout}{run.stderr}{run.result}" for run in runs)


def test_a_helper_that_knows_a_host_is_told_what_was_right_and_what_was_wrong(shop: Shop) -> None:
    said = shop.home / "said"
    helper = f"!f() {{ echo $1 >>{said}; cat >/dev/null; echo username=jane; echo password=x; }}; f"
    (shop.home / ".gitconfig").write_text(f'[credential]\n\thelper = "{helper}"\n')
    for password, last in (("x", "store"), ("y", "erase")):
        with GitHttpServer(shop.root, credentials=("jane", password)) as own:
            shop.run("plan", "--service", "cart", repository=f"{own.url}/manifests.git")
        assert said.read_text().split()[0] == "get"
        assert said.read_text().split()[-1] == last


@pytest.mark.parametrize("scope", ["http", 'http "{own}"'])
@pytest.mark.parametrize("header", ["Authorization: Basic c2VjcmV0", "PRIVATE-TOKEN: s3cret-pw"])
def test_headers_that_git_is_set_up_to_send_follow_no_redirect(
    released: Shop, scope: str, header: str
) -> None:
    """Git itself takes them along, also those that are set up for the first address alone."""
    with GitHttpServer(released.root) as foreign, Redirecting(released.root, foreign) as front:
        setup = f"[{scope.replace('{own}', front.url)}]\n\textraHeader = {header}\n"
        (released.home / ".gitconfig").write_text(setup)
        run = released.run("plan", "--service", "cart", repository=f"{front.url}/manifests.git")
        assert run.code == 1
        assert "has moved, and is not followed there" in run.error["message"]
        assert not foreign.traffic.requests
        (released.home / ".gitconfig").write_text(setup.replace(front.url, foreign.url))
        released.ok("plan", "--service", "cart", repository=f"{foreign.url}/manifests.git")


@pytest.mark.parametrize("condition", ["hasconfig:remote.*.url:{front}/**", "gitdir:{tmp}/"])
def test_a_header_that_is_set_up_under_a_condition_follows_no_redirect(
    released: Shop, condition: str, tmp_path: Path
) -> None:
    """Git is asked where the condition holds: in the repository that the fetch is made in."""
    with GitHttpServer(released.root) as foreign, Redirecting(released.root, foreign) as front:
        told = condition.format(front=front.url, tmp=tmp_path)
        (released.home / ".gitconfig").write_text(f'[includeIf "{told}"]\n\tpath = header\n')
        (released.home / "header").write_text("[http]\n\textraHeader = PRIVATE-TOKEN: s3cret-pw\n")
        run = released.run(
            "plan", "--service", "cart", repository=f"{front.url}/manifests.git",
            environment={"TMPDIR": str(tmp_path)},
        )  # fmt: skip
        assert run.code == 1, run.stdout
        assert "has moved, and is not followed there" in run.error["message"]
        assert not foreign.traffic.requests


def test_a_password_for_whatever_host_follows_no_redirect(released: Shop) -> None:
    netrc = released.home / ".netrc"
    netrc.write_text(f"default login jane password {PASSWORD}\n")
    foreign = GitHttpServer(released.root, credentials=("jane", PASSWORD))
    with foreign, Redirecting(released.root, foreign) as front:
        url = f"{front.url}/manifests.git"
        run = released.run("plan", "--service", "cart", repository=url)
        assert (run.code, "`default` in ~/.netrc" in run.error["hint"]) == (1, True)
        assert not foreign.traffic.requests
        released.ok("plan", "--service", "cart", repository=f"{foreign.url}/manifests.git")
        netrc.write_text(f"machine localhost login jane password {PASSWORD}\n")
        released.ok("plan", "--service", "cart", repository=url)


class Redirecting(GitHttpServer):
    """Sends whoever asks to another host, by another name of this machine."""

    def __init__(self, root: Path, to: GitHttpServer) -> None:
        self._to = to.url.replace("127.0.0.1", "localhost")
        super().__init__(root)

    def extend(self, handler: type) -> type:
        """Answer with a redirect, whatever is asked."""
        to = self._to

        class Handler(handler):  # type: ignore[misc]
            def do_GET(self) -> None:  # noqa: N802 - http.server's
                self.send_response(302)
                self.send_header("Location", f"{to}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()

        return Handler

"""Repositories that are not there, do not let us in, reject, or are served in other ways."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from integration.shop import CART, CART_PATH, FILES, NOWHERE, Shop, image, program, stop, wait_for
from servers.any_answer import AnyAnswer
from servers.git_http import GitHttpServer
from servers.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.conftest import Workshop

PLAN = ("--service", "cart")
ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
DEPLOY = ("--service", "cart", "--image", image("1.5.0"))
SECRET = "hush-hush-4711"


@pytest.fixture
def private(shop: Shop) -> Iterator[GitHttpServer]:
    with GitHttpServer(shop.root, credentials=("robot", SECRET)) as server:
        yield server


def command_lines() -> bytes:
    """Return the command lines of all processes of the machine."""
    listed = b""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            listed += path.read_bytes()
    return listed


@pytest.mark.parametrize(
    ("repository", "words"),
    [
        ("nowhere.git", "is not there"),
        ("/nowhere/at/all.git", "is not there"),
        ("file:///nowhere/at/all.git", "is not there"),
        (f"{NOWHERE}/shop.git", "cannot be reached"),
        ("http://host.invalid/shop.git", "cannot be reached"),
    ],
)
def test_a_repository_that_is_not_there_is_one_clear_error(
    shop: Shop, repository: str, words: str
) -> None:
    run = shop.refused(1, "repository", "deploy", *DEPLOY, repository=repository)
    assert words in run.error["message"]
    assert repository in run.error["message"]


@pytest.mark.parametrize(
    ("repository", "secret"),
    [
        (f"https://robot:{SECRET}@git.example/shop.git", SECRET),
        (f"ssh://robot:{SECRET}@git.example/shop.git", SECRET),
        (f"https://git.example/shop.git?private_token={SECRET}", SECRET),
        (f"https://git.example/shop.git#{SECRET}", SECRET),
        (f"https://git.example/shop.git?{SECRET}", SECRET),
        ("HTTPS://git.example/shop.git", ""),
        ("ext::sh -c touch% /tmp/owned", ""),
        ("fd::7", ""),
        ("--upload-pack=touch /tmp/owned", ""),
        ("-oProxyCommand=touch", ""),
        ("https://git.example/shop.git\nHost: other", ""),
        ("https://[::1/shop.git", ""),
        ("git://git.example/shop.git", ""),
        ("https://git.example:port/shop.git", ""),
    ],
)
def test_a_url_that_is_not_to_be_used_is_a_usage_error(
    shop: Shop, repository: str, secret: str
) -> None:
    run = shop.refused(2, "usage", "deploy", *DEPLOY, f"--repository={repository}", repository="")
    if secret:
        assert "password" in run.error["message"] or "has a `?` or a `#`" in run.error["message"]
        assert "GIT_PASSWORD" in run.error["hint"]
        assert secret not in run.stderr
    variable = {"GITOPS_REPOSITORY": repository}
    shop.refused(2, "usage", "deploy", *DEPLOY, repository="", environment=variable)


def test_traces_are_not_taken_for_what_git_says(shop: Shop, private: GitHttpServer) -> None:
    traced = {"GIT_TRACE_CURL": "1", "GIT_TRACE": "true", "GIT_CURL_VERBOSE": "1"}
    variables = {"GIT_USERNAME": "robot", "GIT_PASSWORD": SECRET}
    url = f"{private.url}/nowhere.git"
    plain, run = (
        shop.run("plan", *PLAN, repository=url, environment={**variables, **more})
        for more in ({}, traced)
    )
    assert (run.code, run.error) == (1, plain.error)


def test_a_hook_of_a_repository_on_this_disk_learns_no_secret_of_others(shop: Shop) -> None:
    told = shop.root / "told"
    shop.hook("pre-receive", f"env >{told}")
    names = ("DOCKERHUB_TOKEN", "REGISTRY_PASSWORD", "JENKINS_TOKEN", "JENKINS_API_EXTRA_HEADERS")
    shop.ok("deploy", *DEPLOY, environment=dict.fromkeys(names, f"x: {SECRET}"))
    assert "GIT_QUARANTINE_PATH" in told.read_text()
    assert SECRET not in told.read_text()


def test_a_token_as_the_user_of_a_url_never_shows(shop: Shop, private: GitHttpServer) -> None:
    url = private.url.replace("http://", f"http://{SECRET}@") + "/manifests.git"
    run = shop.run("deploy", *DEPLOY, repository=url)
    assert run.code == 1
    assert SECRET not in run.stderr + str(run.result)


def test_a_branch_that_is_not_there_is_named(shop: Shop) -> None:
    run = shop.refused(1, "repository", "plan", *PLAN, "--branch", "release")
    assert "no branch 'release'; there is: main" in run.error["message"]
    for also in ("live", "x/main"):
        shop.git("branch", also, "main")
    run = shop.refused(1, "repository", "plan", *PLAN, "--branch", "origin/main")
    assert run.error["message"].endswith("no branch 'origin/main'; there is: main")
    shop.git("branch", "-D", "live")
    shop.commit({".gitops-rollback.toml": '[environments.live]\nbranch = "live"\n'})
    run = shop.refused(1, "repository", "plan", *PLAN)
    assert "no branch 'live'" in run.error["message"]


@pytest.mark.parametrize("branch", ["--upload-pack=x", "a..b", "a b", "refs/heads/", ""])
def test_a_branch_that_is_no_name_is_one_clear_error(shop: Shop, branch: str) -> None:
    run = shop.run("plan", *PLAN, f"--branch={branch}")
    assert run.code in ((1, 2) if branch else (4,)), run.stderr


NO_UTF8 = b"r\xe9sum\xe9".decode(errors="surrogateescape")


@pytest.mark.parametrize("branch", ["a\x1b[31m", "a\nb", "x" * 200_000, NO_UTF8, "a.lock", "@"])
def test_a_branch_that_cannot_be_one_is_not_asked_for(shop: Shop, branch: str) -> None:
    for command in (("plan", *PLAN), ("deploy", *DEPLOY)):
        run = shop.refused(1, "repository", *command, f"--branch={branch}")
        assert "is no name of a branch" in run.error["message"]
        assert len(run.stderr) < 1000
    if branch.isascii():
        config = f"[environments.live]\nbranch = {json.dumps(branch)}\n"
        shop.commit({".gitops-rollback.toml": config})
        run = shop.refused(1, "repository", "plan", *PLAN)
        assert "is no name of a branch" in run.error["message"]


def test_a_default_branch_that_is_not_utf_8_is_one_clear_error(shop: Shop) -> None:
    shop.git("update-ref", f"refs/heads/{NO_UTF8}", "main")
    shop.git("symbolic-ref", "HEAD", f"refs/heads/{NO_UTF8}")
    run = shop.refused(1, "repository", "plan", *PLAN)
    assert "is not written in UTF-8" in run.error["message"]
    shop.ok("deploy", *DEPLOY, "--branch", "main")


def test_an_empty_repository_says_so(workshop: Workshop) -> None:
    shop = workshop.shop("empty", lambda shop: shop.open({}))
    run = shop.refused(1, "repository", "deploy", *DEPLOY)
    assert "is empty" in run.error["message"]


def test_a_head_that_names_no_branch_asks_for_one(shop: Shop) -> None:
    shop.git("symbolic-ref", "HEAD", "refs/heads/gone")
    run = shop.refused(1, "repository", "plan", *PLAN)
    assert "--branch" in run.error["hint"]
    shop.ok("deploy", *DEPLOY, "--branch", "main")


@pytest.mark.parametrize("speaks_version_2", [True, False])
def test_a_head_that_is_a_commit_is_no_branch_even_where_one_stands_there(
    shop: Shop, *, speaks_version_2: bool
) -> None:
    """`git clone` takes one of them then: `main`, else the first by name."""
    shop.git("branch", "also", "main")
    with GitHttpServer(shop.root) as server:
        server.speaks_version_2 = speaks_version_2
        url = f"{server.url}/manifests.git"
        shop.git("update-ref", "--no-deref", "HEAD", "main")
        for environment in ({}, {"GITOPS_CACHE": str(shop.root / "cache")}):
            for _ in range(2):
                run = shop.run("plan", *PLAN, repository=url, environment=environment)
                assert (run.code, run.error["category"]) == (1, "repository")
                assert "names no branch" in run.error["message"]
                assert run.error["hint"].endswith("--branch: also, main")
            given = {"repository": url, "environment": environment}
            shop.ok("deploy", *DEPLOY, "--branch", "main", "--dry-run", **given)
        shop.git("symbolic-ref", "HEAD", "refs/heads/also")
        for _ in range(2):
            run = shop.ok("deploy", *DEPLOY, "--dry-run", **given)
            assert run.result["branch"] == "also"


def test_a_line_of_a_listing_ends_where_git_ends_it(shop: Shop) -> None:
    """What Python's `splitlines` takes for the end of a line can stand in a branch's name."""
    name = "main\u2028more"
    shop.git("branch", name, "main")
    shop.git("symbolic-ref", "HEAD", f"refs/heads/{name}")
    for environment in ({}, *[{"GITOPS_CACHE": str(shop.root / "cache")}] * 2):
        run = shop.ok("deploy", *DEPLOY, "--dry-run", environment=environment)
        assert run.result["branch"] == name


def test_a_server_that_wants_a_password_says_how_to_give_it(
    shop: Shop, private: GitHttpServer
) -> None:
    url = f"{private.url}/manifests.git"
    run = shop.refused(1, "repository", "deploy", *DEPLOY, repository=url)
    assert "does not let us in" in run.error["message"]
    assert "GIT_PASSWORD" in run.error["hint"]
    wrong = {"GIT_USERNAME": "robot", "GIT_PASSWORD": "wrong-one"}
    run = shop.refused(1, "repository", "deploy", *DEPLOY, repository=url, environment=wrong)
    assert "does not let us in" in run.error["message"]
    assert "wrong-one" not in run.stderr


def test_with_user_and_password_it_works_and_they_never_appear(
    shop: Shop, private: GitHttpServer
) -> None:
    url = f"{private.url}/manifests.git"
    trace = shop.root / "trace.txt"
    credentials = {
        "GIT_USERNAME": "robot",
        "GIT_PASSWORD": SECRET,
        "GIT_TRACE": str(trace),
        "GIT_TRACE_CURL": str(trace),
        "GITOPS_VERBOSE": "true",
    }
    run = shop.ok("deploy", *DEPLOY, repository=url, environment=credentials)
    said = run.stderr + run.stdout + str(run.result) + trace.read_text(encoding="utf-8")
    for path in shop.root.rglob("*"):
        if path.is_file() and path != trace:
            said += path.read_bytes().decode(errors="replace")
    assert "git clone" in run.stderr, "each git call shows"
    assert SECRET not in said
    assert "cm9ib3Q6" not in said.replace("Basic <redacted>", ""), "nor in base64"


def test_no_process_bears_the_password_in_its_arguments(shop: Shop) -> None:
    secret = uuid4().hex  # nobody else's on this machine
    shop.hook(
        "pre-receive", f"touch {shop.root}/here; while [ ! -e {shop.root}/go ]; do sleep 0.05; done"
    )
    credentials = {"GIT_USERNAME": "robot", "GIT_PASSWORD": secret}
    with GitHttpServer(shop.root, credentials=("robot", secret)) as server:
        url = f"{server.url}/manifests.git"
        process = shop.start("deploy", *DEPLOY, repository=url, environment=credentials)
        wait_for(shop.root / "here")
        listed = command_lines()
        (shop.root / "go").touch()
        process.communicate(timeout=30)
    assert url.encode() in listed
    assert secret.encode() not in listed
    assert process.returncode == 0


def test_a_credential_goes_to_its_own_host_only(shop: Shop, private: GitHttpServer) -> None:
    with GitHttpServer(shop.root) as other:
        shop.git("config", "http.receivepack", "true")
        credentials = {"GIT_USERNAME": "robot", "GIT_PASSWORD": SECRET}
        shop.ok("deploy", *DEPLOY, repository=f"{other.url}/manifests.git", environment=credentials)
    assert private.traffic.requests == []


def test_a_pre_receive_hook_that_rejects_is_quoted_and_nothing_is_changed(shop: Shop) -> None:
    shop.hook(
        "pre-receive", "echo 'GL-HOOK-ERR: changes only by pull request, see wiki' >&2; exit 1"
    )
    tip = shop.tip()
    run = shop.run("deploy", *DEPLOY)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "pre-receive hook declined" in run.error["message"]
    assert "changes only by pull request, see wiki" in run.error["message"]
    assert shop.tip() == tip


def test_an_update_hook_that_rejects_is_no_lost_race(shop: Shop) -> None:
    asked = shop.root / "asked"
    shop.hook("update", f"echo $1 >>{asked}; echo 'this branch is frozen' >&2; exit 1")
    run = shop.run("deploy", *DEPLOY)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "hook declined" in run.error["message"]
    assert "this branch is frozen" in run.error["message"]
    assert asked.read_text() == "refs/heads/main\n", "it is not pushed again"


def test_a_server_without_partial_clone_works(shop: Shop) -> None:
    shop.git("config", "uploadpack.allowFilter", "false")
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"
        shop.ok("deploy", *DEPLOY, repository=url)
        shop.deploy("1.6.0", repository=url)
        shop.roll_back(repository=url)
    assert len(shop.log()) == 4


def test_a_folder_on_a_web_server_is_told_from_a_git_server(shop: Shop) -> None:
    shop.git("update-server-info")
    handler = partial(SimpleHTTPRequestHandler, directory=str(shop.root))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with Serving(server):
        url = f"http://127.0.0.1:{server.server_port}/manifests.git"
        run = shop.refused(1, "repository", "plan", *PLAN, repository=url)
    assert "is served as plain files" in run.error["message"]


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        ("200 OK\r\nContent-Type: text/html", b"<html>Sign in</html>", "is no Git server"),
        ("204 No Content", b"", "what answers is no Git server"),
        ("302 Found\r\nLocation: /login", b"", "is no Git server: fatal: unable to access"),
        ("418 I'm a teapot", b"", "is no Git server: fatal: unable to access"),
        ("407 Proxy Authentication Required", b"", "is behind a proxy that does not let us"),
        (f"200 OK\r\nContent-Type: {ADVERTISEMENT}", b"garbage", "is no Git server: fatal: proto"),
    ],
)
def test_what_answers_in_the_place_of_a_git_server_is_told_from_an_empty_repository(
    shop: Shop, head: str, body: bytes, words: str
) -> None:
    end = f"\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with AnyAnswer(f"HTTP/1.1 {head}{end}".encode() + body) as url:
        run = shop.run("plan", *PLAN, repository=f"{url}/manifests.git")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert words in run.error["message"]


@pytest.mark.parametrize(
    ("settings", "variables", "words", "hint"),
    [
        ("[push]\ngpgSign = true\n", {}, "does not support --signed push", "gitops-rollback -v"),
        ("", {"GIT_AUTHOR_DATE": "noon"}, "invalid date format: noon", "GIT_AUTHOR_…"),
        ("", {"GIT_ALLOW_PROTOCOL": "https"}, "that git is told not to go", "GIT_ALLOW_PROTOCOL"),
        ("", {"GIT_CONFIG_COUNT": "x"}, "cannot read its own configuration", "GIT_CONFIG_…"),
    ],
)
def test_what_the_user_wants_of_git_and_cannot_be_done_is_told(
    shop: Shop, settings: str, variables: dict[str, str], words: str, hint: str
) -> None:
    (shop.home / ".gitconfig").write_text(settings)
    tip = shop.tip()
    run = shop.run("deploy", *DEPLOY, environment=variables)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert words in run.error["message"]
    assert hint in run.error["hint"]
    assert shop.tip() == tip


def test_a_server_that_refuses_objects_by_id_works(shop: Shop) -> None:
    """As older servers do: only tips may be wanted, which protocol 2 does not check."""
    shop.git("config", "uploadpack.allowAnySHA1InWant", "false")
    with GitHttpServer(shop.root) as server:
        shop.ok("deploy", *DEPLOY, repository=f"{server.url}/manifests.git")


def test_a_server_that_does_not_answer_costs_no_more_than_the_timeout(shop: Shop) -> None:
    """It would never answer: that the run ends at all is the proof."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/shop.git"
        run = shop.refused(1, "repository", "plan", *PLAN, "--timeout", "1", repository=url)
    assert "--timeout 1 s" in run.error["message"]
    end = time.monotonic() + 60
    while url.encode() in command_lines():
        assert time.monotonic() < end, "git's own children end, too"
        time.sleep(0.05)


def test_a_push_that_takes_too_long_says_where_the_branch_stands(shop: Shop) -> None:
    shop.hook("pre-receive", f"while [ ! -e {shop.root}/go ]; do sleep 0.05; done")
    tip = shop.tip() or ""
    run = shop.run("deploy", *DEPLOY, "--timeout", "5")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "--timeout 5 s" in run.error["message"]
    assert f"main is as before, at {tip[:12]}" in run.error["message"]
    (shop.root / "go").touch()


def test_a_work_tree_means_its_origin_and_a_bare_repository_itself(shop: Shop) -> None:
    tree = shop.root / "work tree"
    shop.git("clone", "--quiet", str(shop.bare), str(tree), cwd=shop.root)
    (tree / CART_PATH).write_text("not what the origin has", encoding="utf-8")
    shop.deploy("1.4.2", repository=tree)
    shop.deploy("1.4.3", repository="work tree")
    shop.deploy("1.4.4", repository="", cwd=tree)
    shop.deploy("1.4.5", repository="", cwd=tree / "apps" / "cart")
    shop.deploy("1.4.6", repository="manifests.git")
    assert len(shop.log()) == 6
    assert shop.records.numbers() == [1, 2, 3, 4, 5], "one store, whatever names the repository"
    assert (tree / CART_PATH).read_text(encoding="utf-8") == "not what the origin has"


def test_an_origin_that_is_a_relative_path_is_found_from_the_work_tree(shop: Shop) -> None:
    tree = shop.root / "tree"
    shop.git("clone", "--quiet", str(shop.bare), str(tree), cwd=shop.root)
    shop.git("remote", "set-url", "origin", "../manifests.git", cwd=tree)
    shop.deploy("1.4.2", repository="", cwd=tree / "apps")
    assert len(shop.log()) == 2


def test_a_folder_without_a_repository_is_a_usage_error(shop: Shop) -> None:
    run = shop.refused(2, "usage", "plan", *PLAN, repository="")
    assert "--repository" in run.error["hint"]
    shop.git("init", "--quiet", "lonely", cwd=shop.root)
    run = shop.refused(2, "usage", "plan", *PLAN, repository="lonely")
    assert "origin" in run.error["message"]


@pytest.mark.parametrize(
    ("script", "mode", "words"),
    [
        ("exit 0", 0o644, "git rev-parse could not be started: Permission denied"),
        ("exit 0", 0o755, "git rev-parse ended without an error, and without its answer"),
        ("head -c 99 /dev/zero", 0o755, "git rev-parse ended without an error, and without its"),
        ("exec yes", 0o755, "git rev-parse ended without an error, and without its answer"),
    ],
)
def test_what_is_no_git_is_not_told_as_a_repository_that_is_none(
    shop: Shop, script: str, mode: int, words: str
) -> None:
    path = shop.root / "git"
    path.write_text(f"#!/bin/sh\nPATH={os.environ['PATH']}\n{script}\n", encoding="utf-8")
    path.chmod(mode)
    run = shop.run("plan", *PLAN, environment={"PATH": str(shop.root)})
    assert (run.code, run.error["category"]) == (1, "repository")
    assert words in run.error["message"]


def test_stray_git_variables_in_the_environment_are_ignored(shop: Shop) -> None:
    other = shop.root / "other.git"
    shutil.copytree(shop.bare, other)
    stray = {
        "GIT_DIR": str(other),
        "GIT_WORK_TREE": str(shop.root),
        "GIT_INDEX_FILE": str(shop.root / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / "objects"),
        "GIT_NAMESPACE": "elsewhere",
    }
    tree = shop.root / "tree"
    shop.git("clone", "--quiet", str(shop.bare), str(tree), cwd=shop.root)
    shop.deploy("1.4.2", environment=stray)
    shop.deploy("1.4.3", repository="", cwd=tree, environment=stray)
    assert len(shop.log()) == 3
    assert not (shop.root / "index").exists()
    assert len(shop.git("log", "--format=%s", "main", cwd=other).splitlines()) == 1


def test_no_crash_leaves_the_memory_of_a_run_in_a_file(shop: Shop) -> None:
    """Passwords stand in it; a git that is started inherits the limit."""
    said = shop.home / "limit"
    git = shop.home / "bin/git"
    git.parent.mkdir()
    git.write_text(f'#!/bin/sh\nulimit -c >>{said}\nPATH=${{PATH#*:}} exec git "$@"\n')
    git.chmod(0o755)
    path = f"{git.parent}:{shop.environment['PATH']}"
    line = shop.line("plan", *PLAN)
    subprocess.run(
        ["bash", "-c", 'ulimit -Sc unlimited; exec "$@"', "bash", *line],
        env={**shop.environment, "PATH": path}, check=False, capture_output=True,
    )  # fmt: skip
    assert set(said.read_text().split()) == {"0"}


def test_master_is_as_good_as_main(workshop: Workshop) -> None:
    def make(shop: Shop) -> Shop:
        shop.open({})
        shop.git("symbolic-ref", "HEAD", "refs/heads/master")
        shop.commit(FILES, branch="master")
        return shop

    shop = workshop.shop("master", make)
    assert shop.deploy("1.5.0").result["branch"] == "master"
    assert len(shop.log(branch="master")) == 2


def test_a_sha256_repository_works(workshop: Workshop) -> None:
    shop = workshop.shop("sha256", lambda shop: shop.open(FILES, form="sha256"))
    shop.release_two()
    assert shop.roll_back().service()["to"].endswith(image("1.4.2"))
    assert len(shop.tip() or "") == 64


def test_ssh_is_gits_own_affair_and_its_refusal_is_readable(shop: Shop) -> None:
    ssh = shop.root / "ssh"
    ssh.write_text("#!/bin/sh\necho 'git@host: Permission denied (publickey).' >&2; exit 255\n")
    ssh.chmod(0o755)
    run = shop.refused(
        *(1, "repository", "plan", *PLAN),
        repository="git@git.example:acme/manifests.git",
        environment={"GIT_SSH_COMMAND": str(ssh)},
    )
    assert "does not let us in" in run.error["message"]
    assert "Permission denied (publickey)" in run.error["message"]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-ssh", "cannot run no-such-ssh: No such file"),
        ("no-such-ssh -i key", "no-such-ssh: "),
        (
            "echo 'bash: line 1: git-upload-pack: command not found' >&2; exit 127;",
            "git-upload-pack",
        ),
    ],
)
def test_a_program_that_is_not_there_is_not_told_as_a_repository_that_is_not(
    shop: Shop, command: str, said: str
) -> None:
    run = shop.run(
        *("plan", *PLAN),
        repository="git@git.example:acme/manifests.git",
        environment={"GIT_SSH_COMMAND": command},
    )
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "a program is not there" in run.error["message"]
    assert said in run.error["message"]
    assert "install what it names" in run.error["hint"]


def test_over_ssh_it_works_as_over_anything_else(shop: Shop) -> None:
    ssh = shop.root / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\neval "$last"\n')
    ssh.chmod(0o755)
    shop.deploy(
        "1.5.0",
        repository=f"ssh://git@git.example{shop.bare}",
        environment={"GIT_SSH_COMMAND": str(ssh)},
    )
    assert image("1.5.0") in shop.text()


# Interruptions


def test_a_signal_while_pushing_ends_before_the_push_and_says_where_it_stands(
    shop: Shop,
) -> None:
    """The hook goes on when the client is gone, and then the server takes the commit after all."""
    shop.hook(
        "pre-receive", f"touch {shop.root}/here; while [ ! -e {shop.root}/go ]; do sleep 0.05; done"
    )
    tip = shop.tip() or ""
    process = shop.start("deploy", *DEPLOY)
    wait_for(shop.root / "here")
    code, said = stop(process)
    assert code == 130
    result = json.loads((shop.root / "result.json").read_bytes())
    assert result["error"]["category"] == "interrupted"
    assert "interrupted while pushing" in result["error"]["message"]
    assert f"main is as before, at {tip[:12]}" in result["error"]["message"]
    assert "may still take it" in result["error"]["message"]
    assert "Traceback" not in said
    assert not list(shop.scratch.iterdir())
    (shop.root / "go").touch()
    end = time.monotonic() + 60
    while shop.tip() == tip:
        assert time.monotonic() < end
        time.sleep(0.05)
    again = shop.ok("deploy", *DEPLOY)
    assert again.result["changed"] is False, "run again, it finds its work done"


def test_a_signal_after_the_commit_arrived_says_so(shop: Shop) -> None:
    shop.hook("post-receive", f"touch {shop.root}/here; sleep 2")
    process = shop.start("deploy", *DEPLOY)
    wait_for(shop.root / "here")
    code, said = stop(process)
    assert code == 130
    assert f"the push had arrived: main is at {(shop.tip() or '')[:12]}" in said


@pytest.mark.parametrize("status", [0, 143], ids=["git ended well", "git was ended first"])
@pytest.mark.parametrize("milliseconds", [0, 10, 20, 40])
def test_a_signal_after_the_push_never_says_that_nothing_was_pushed(
    shop: Shop, milliseconds: int, status: int
) -> None:
    """As a Jenkins that ends the processes of a build one by one, children first."""
    git = shutil.which("git")
    wrapper = shop.root / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(
        f'#!/bin/sh\n[ "$1" = push ] || exec {git} "$@"\n{git} "$@" || exit\n'
        f"(sleep {milliseconds / 1000}; kill -TERM $PPID) >/dev/null 2>&1 &\nexit {status}\n"
    )
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{shop.environment['PATH']}"
    shop.apart = True
    run = shop.run("deploy", *DEPLOY, environment={"PATH": path})
    assert run.code in (0, 130)
    assert (shop.tip() or "none")[:12] in run.stdout + run.stderr


def test_a_git_that_is_ended_after_the_commit_arrived_is_no_failure(shop: Shop) -> None:
    git = shutil.which("git")
    wrapper = shop.root / "bin" / "git"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n[ "$1" = push ] || exec {git} "$@"\n{git} "$@"\nexit 143\n')
    wrapper.chmod(0o755)
    path = f"{wrapper.parent}:{shop.environment['PATH']}"
    run = shop.ok("deploy", *DEPLOY, environment={"PATH": path})
    assert run.result["commit"] == shop.tip()


def test_a_signal_before_the_push_leaves_the_branch_as_it_was(shop: Shop) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/shop.git"
        process = shop.start("deploy", *DEPLOY, repository=url)
        connection, _address = silent.accept()
        code, said = stop(process, signal.SIGINT)
        connection.close()
    assert code == 130
    assert "before anything was pushed" in said
    assert not list(shop.scratch.iterdir())


# Identity and signing


def test_the_identity_is_gits_own_else_a_fallback(shop: Shop) -> None:
    shop.deploy("1.4.2")
    assert shop.log("%an <%ae> %cn <%ce>")[0] == " ".join(
        ["gitops-rollback <gitops-rollback@localhost>"] * 2
    )
    (shop.home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@acme.example\n")
    shop.deploy("1.4.3")
    assert shop.log("%an <%ae> %cn <%ce>")[0] == "Ada <ada@acme.example> Ada <ada@acme.example>"
    named = {"GIT_AUTHOR_NAME": "Jenkins", "GIT_AUTHOR_EMAIL": "ci@acme.example"}
    shop.deploy("1.4.4", environment=named)
    assert shop.log("%an <%ae> %cn")[0] == "Jenkins <ci@acme.example> Ada"
    (shop.home / ".gitconfig").unlink()
    shop.deploy("1.4.5", environment=named)
    assert shop.log("%an %cn")[0] == "Jenkins gitops-rollback"


@pytest.mark.parametrize("does", ["exit 128", "kill -9 $$", "exit 0"])
def test_a_git_that_does_not_tell_the_identity_is_not_taken_for_one_without(
    shop: Shop, does: str
) -> None:
    """The commit would be unsigned, and of nobody."""
    folder = shop.root / "bin"
    folder.mkdir()
    wrapper = folder / "git"
    real = program("git", "git")
    wrapper.write_text(f'#!/bin/sh\ncase " $* " in *get-regexp*) {does};; esac\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    tip = shop.tip()
    path = f"{folder}{os.pathsep}{shop.environment['PATH']}"
    run = shop.run("deploy", *DEPLOY, environment={"PATH": path})
    assert (run.code, run.error["category"]) == (1, "repository")
    assert shop.tip() == tip


def test_commits_are_signed_with_gpg_too(shop: Shop) -> None:
    gpg = program("gpg", "gnupg")
    keys = {**shop.environment, "GNUPGHOME": str(shop.root / "keys")}
    (shop.root / "keys").mkdir(mode=0o700)
    name = "Ada <ada@acme.example>"
    make = [gpg, "--batch", "--passphrase", "", "--quick-gen-key", name, "ed25519", "sign", "never"]
    subprocess.run(make, env=keys, capture_output=True, check=True)
    (shop.home / ".gitconfig").write_text(
        "[user]\nname = Ada\nemail = ada@acme.example\n[commit]\ngpgsign = true\n"
    )
    shop.deploy("1.4.2", environment={"GNUPGHOME": keys["GNUPGHOME"]})
    verify = ["git", "-C", str(shop.bare), "verify-commit", "main"]
    assert subprocess.run(verify, env=keys, capture_output=True, check=False).returncode == 0
    run = shop.run("deploy", *DEPLOY, environment={"GNUPGHOME": str(shop.root / "nowhere")})
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "gpg failed to sign" in run.error["message"]
    subprocess.run([program("gpgconf", "gnupg"), "--kill", "all"], env=keys, check=True)


def test_commits_are_signed_when_git_is_set_to(shop: Shop) -> None:
    keygen = program("ssh-keygen", "openssh-client")
    key = shop.root / "key"
    subprocess.run(
        [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "ci", "-f", str(key)], check=True
    )
    (shop.home / ".gitconfig").write_text(
        "[user]\nname = Ada\nemail = ada@acme.example\n"
        f"signingkey = {key}.pub\n[gpg]\nformat = ssh\n[commit]\ngpgsign = true\n"
    )
    shop.deploy("1.4.2")
    assert "gpgsig -----BEGIN SSH SIGNATURE-----" in shop.git("cat-file", "commit", "main")
    key.unlink()
    run = shop.run("deploy", *DEPLOY)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "sign" in run.error["message"] + run.error["hint"]
    assert CART.count("acme/cart") == 1


class Answering(GitHttpServer):
    """Answers who would push with a status and words of its own."""

    def __init__(self, root: Path, method: str, status: int, words: str) -> None:
        self._answer = (method, HTTPStatus(status), words.encode())
        super().__init__(root)

    def extend(self, handler: type) -> type:
        """Answer at the first question (GET), or where the commit is sent (POST)."""
        method, status, words = self._answer

        class Handler(handler):  # type: ignore[misc]
            def _serve(self) -> None:
                if "git-receive-pack" not in self.path or self.command != method:
                    super()._serve()
                    return
                self._body()
                self._answer(status, [("Content-Type", "text/plain")], words)

        return Handler


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (("GET", 403, "Write access to repository not granted."), "and not write", "the right to"),
        (("GET", 403, "Permission to acme/m.git denied to jane."), "and not write", "the right to"),
        (("GET", 403, "You are not allowed to push code to this project."), "not write", "right"),
        (
            ("GET", 403, "The 'acme' organization has an IP allow list enabled"),
            "does not let the address of this machine in",
            "allowed addresses",
        ),
        (("GET", 403, "This repository was archived so it is read-only."), "takes no requests", ""),
        (("GET", 429, "Too many requests"), "limits requests", "wait"),
        (("GET", 503, "maintenance"), "out of order", "status page"),
        (("POST", 413, ""), "takes nothing so large", "limits"),
        (("POST", 507, ""), "has no room", "limits"),
        (("POST", 500, ""), "out of order", "status page"),
        (("POST", 409, "what nobody knows"), "git push to http", "ls-remote"),
    ],
)  # fmt: skip
def test_what_a_host_answers_to_a_push_in_the_place_of_git_is_said(
    shop: Shop, answer: tuple[str, int, str], message: str, hint: str
) -> None:
    before = shop.tip()
    with Answering(shop.root, *answer) as server:
        run = shop.run("deploy", *DEPLOY, repository=f"{server.url}/manifests.git")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert message in run.error["message"]
    assert hint in run.error["hint"]
    assert "--pull-request" not in run.error["hint"]
    assert shop.tip() == before

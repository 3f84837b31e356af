"""Somebody else pushes between our reading and our pushing: nothing is lost, nothing is merged."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART_PATH, COMMAND, FILES, LEDGER, Shop, canonical, image, wait_for
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    from integration.conftest import Workshop

DEPLOY = ("--service", "cart", "--image", image("1.6.0"))
ROLLBACK = ("--service", "cart", "--reason", "slow")


def between(shop: Shop, *commands: str) -> dict[str, str]:
    """Return an environment in which, once, these run before the first push arrives.

    As on another machine: they do not wait for this one's turn.
    """
    folder = shop.root / "bin"
    folder.mkdir(exist_ok=True)
    real = subprocess.run(
        ["which", "git"], capture_output=True, check=True, text=True
    ).stdout.strip()
    once = shlex.quote(str(shop.root / "once"))
    script = "\n".join(
        [
            "#!/bin/sh",
            f'if [ "$1" = fast-import ] && mkdir {once} 2>/dev/null; then',
            *(
                "  env -u GITOPS_SERVICE XDG_CACHE_HOME={} PATH={} {} >/dev/null 2>{}.log"
                " || exit 99".format(
                    shlex.quote(str(shop.root / "elsewhere")),
                    shlex.quote(shop.environment["PATH"]),
                    command,
                    once,
                )
                for command in commands
            ),
            "fi",
            f'exec {shlex.quote(real)} "$@"',
        ]
    )
    path = folder / "git"
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return {"PATH": f"{folder}:{shop.environment['PATH']}"}


class SettingBack(GitHttpServer):
    """A server whose branch somebody sets back when a push arrives."""

    def extend(self, handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
        """Set the branch back, then take the push."""
        back = ("git", "-C", str(self.root / "manifests.git"), "reset", "--soft", "main~1")

        class Handler(handler):  # type: ignore[misc, valid-type]
            def do_POST(self) -> None:  # noqa: N802 - as the base has it
                if self.path.endswith("git-receive-pack"):
                    subprocess.run(back, check=True)
                super().do_POST()

        return Handler


def writing(shop: Shop, path: str, text: str) -> dict[str, str]:
    """Return an environment in which a commit that is made writes one more file."""
    folder = shop.root / "writing"
    folder.mkdir()
    file = f"M 100644 inline {path}\\ndata {len(text)}\\n{text}\\n"
    (folder / "git").write_text(
        f'#!/bin/sh\n[ "$1" = fast-import ] || exec {shutil.which("git")} "$@"\n'
        f"{{ cat; printf '{file}'; }} | {shutil.which('git')} \"$@\"\n"
    )
    (folder / "git").chmod(0o755)
    return {"PATH": f"{folder}:{shop.environment['PATH']}"}


def other(shop: Shop, *arguments: str) -> str:
    line = [str(COMMAND), *arguments, "--repository", str(shop.bare), "--by", "ben"]
    return shlex.join(line)


def by_hand(shop: Shop, path: str, old: str, new: str) -> str:
    """Return a shell command in which a person pushes an edit."""
    tree = shop.root / "tree"
    quoted = shlex.quote(str(tree))
    who = "-c user.name=Ben -c user.email=ben@acme.example"
    return (
        f"git clone -q {shlex.quote(str(shop.bare))} {quoted} && "
        f"sed -i s,{old},{new}, {quoted}/{path} && "
        f"git -C {quoted} {who} commit -qam edit && git -C {quoted} push -q"
    )


def test_another_file_that_moved_is_kept_and_the_edit_redone(released: Shop) -> None:
    race = between(released, by_hand(released, "apps/ledger/statefulset.yaml", "3.1", "3.2"))
    run = released.ok("deploy", *DEPLOY, environment=race)
    assert released.text("apps/ledger/statefulset.yaml") == LEDGER.replace("3.1", "3.2")
    assert image("1.6.0") in released.text()
    assert released.log()[:2] == ["cart: 1.5.0 → 1.6.0 (deploy)", "edit"]
    assert len(released.log("%P")[0].split()) == 1, "no merge"
    assert run.result["commit"] == released.tip()
    assert released.records.numbers() == [1, 2, 3], "one record, whatever the attempts"


def test_the_same_file_that_moved_elsewhere_is_kept_too(released: Shop) -> None:
    race = between(released, by_hand(released, CART_PATH, "replicas:.2", "replicas:\\ 7"))
    released.ok("rollback", *ROLLBACK, environment=race)
    assert "replicas: 7" in released.text()
    assert image("1.4.2") in released.text()
    assert len(released.state()["deployed"]) == 3


def test_on_a_server_without_partial_clone_the_edit_is_redone_too(released: Shop) -> None:
    released.git("config", "uploadpack.allowFilter", "false")
    race = between(released, by_hand(released, CART_PATH, "replicas:.2", "replicas:\\ 7"))
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        released.ok("deploy", *DEPLOY, repository=url, environment=race)
    assert "replicas: 7" in released.text()
    assert image("1.6.0") in released.text()


def test_a_branch_that_was_set_back_meanwhile_does_not_get_again_what_was_dropped(
    released: Shop,
) -> None:
    """The server lacks what a copy without history builds on, and says so in its own words."""
    dropped = released.tip()
    with SettingBack(released.root) as server:
        run = released.run("deploy", *DEPLOY, repository=f"{server.url}/manifests.git")
    assert (run.code, run.error["category"]) == (5, "moved"), run.stderr
    assert canonical("1.4.2") in run.error["message"]
    assert dropped not in released.log("%H")


def test_the_same_field_deployed_meanwhile_is_moved_with_both_values_and_whose(
    released: Shop,
) -> None:
    race = between(
        released, other(released, "deploy", "--service", "cart", "--image", image("1.5.9"))
    )
    run = released.run("deploy", *DEPLOY, environment=race)
    assert (run.code, run.error["category"]) == (5, "moved")
    assert canonical("1.5.9") in run.error["message"]
    assert canonical("1.5.0") in run.error["message"]
    assert "gitops-rollback" in run.error["message"]
    assert image("1.5.9") in released.text()
    assert len(released.log()) == 4


def test_the_same_field_edited_by_hand_meanwhile_is_moved(released: Shop) -> None:
    edit = by_hand(released, CART_PATH, image("1.5.0"), "acme/cart:hand")
    run = released.run("rollback", *ROLLBACK, environment=between(released, edit))
    assert (run.code, run.error["category"]) == (5, "moved")
    assert "by Ben" in run.error["message"]
    assert "acme/cart:hand" in run.error["message"]


def test_a_rollback_during_a_rollback_makes_the_second_already_rolled_back(released: Shop) -> None:
    race = between(released, other(released, "rollback", *ROLLBACK))
    run = released.run("rollback", *ROLLBACK, environment=race)
    assert (run.code, run.error.get("code")) == (6, "already"), run.stderr
    assert "by ben" in run.error["message"]
    assert image("1.4.2") in released.text()
    assert len(released.log()) == 4


def test_a_service_that_runs_what_is_named_already_is_no_reason_to_give_up(released: Shop) -> None:
    for tag in ("1.4.2", "1.5.0", "1.4.2"):
        released.deploy(tag, name="payment")
    race = between(released, by_hand(released, "apps/ledger/statefulset.yaml", "3.1", "3.2"))
    both = ("--service", "cart", "--service", "payment", "--reason", "slow", "--to", "1.4.2")
    run = released.ok("rollback", *both, environment=race)
    assert run.result["commit"] == released.tip()
    assert image("1.4.2") in released.text()


def test_a_rollback_during_a_deploy_is_never_undone_by_it(released: Shop) -> None:
    race = between(released, other(released, "rollback", *ROLLBACK))
    run = released.run("deploy", *DEPLOY, environment=race)
    assert run.code in (5, 6)
    assert image("1.4.2") in released.text()
    assert released.state()["hold"]["by"] == "ben"


def test_a_rollback_during_a_recorded_deploy_holds_it(released: Shop) -> None:
    released.ok("record", *DEPLOY, "--record-dir", "records")
    record = str(released.root / "records/gitops-rollback/default/cart/record.json")
    race = between(released, other(released, "rollback", *ROLLBACK))
    run = released.run("deploy", *DEPLOY, "--record", record, environment=race)
    assert (run.code, run.error.get("code")) == (6, "held"), run.stderr


def test_a_rollback_wins_over_a_deploy_that_came_first_only_by_being_told(released: Shop) -> None:
    race = between(released, other(released, "deploy", *DEPLOY))
    run = released.run("rollback", *ROLLBACK, environment=race)
    assert (run.code, run.error["category"]) == (5, "moved")
    assert canonical("1.6.0") in run.error["message"]


def test_two_that_make_the_same_commit_in_the_same_second_are_not_both_told_it_is_theirs(
    held: Shop,
) -> None:
    dates = {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
    release = ("release", "--service", "cart", "--reason", "calm", "--accept", "automation")
    twin = shlex.join(["env", *(f"{key}={value}" for key, value in dates.items())])
    race = between(held, f"{twin} {other(held, *release)}")
    run = held.ok(*release, "--by", "ben", environment={**race, **dates})
    assert run.result["changed"] is False, "the other one was first"
    assert len(held.log()) == 5


def test_a_push_whose_answer_got_lost_is_found_on_the_branch(released: Shop) -> None:
    folder = released.root / "bin"
    folder.mkdir()
    git = subprocess.run(
        ["which", "git"], capture_output=True, check=True, text=True
    ).stdout.strip()
    (folder / "git").write_text(
        f'#!/bin/sh\nif [ "$1" = push ]; then {git} "$@" >/dev/null 2>&1; '
        "echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128; fi\n"
        f'exec {git} "$@"\n'
    )
    (folder / "git").chmod(0o755)
    path = f"{folder}:{released.environment['PATH']}"
    run = released.ok("deploy", *DEPLOY, environment={"PATH": path})
    assert run.result["commit"] == released.tip()


def test_eight_deploys_at_once_all_land_as_commits_of_their_own(workshop: Workshop) -> None:
    names = [f"service-{number}" for number in range(8)]
    files = {
        f"apps/{name}.yaml": FILES["apps/ledger/statefulset.yaml"].replace("ledger", name)
        for name in names
    }
    shop = workshop.shop("eight", lambda shop: shop.open(files))
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"

        def deploy(name: str) -> tuple[int, str]:
            output = shop.root / f"{name}.json"
            line = shop.line("deploy", "--service", name, "--image", image("4.0", name))
            line[line.index("--repository") + 1] = url
            done = subprocess.run(
                [*line[:-1], str(output)], env=shop.environment, capture_output=True, check=False
            )
            found = json.loads(output.read_bytes())
            return done.returncode, str(found.get("commit", found))

        with ThreadPoolExecutor(8) as pool:
            ended = list(pool.map(deploy, names))
        # Each reads beside the others, and pushes by turns, upon what the one before handed on.
        # Eight requests is a try of what has no state file, six another try: of who came too late
        # to be handed anything.
        assert len(server.traffic.requests) <= (8 + 6) * len(names), server.traffic.requests
    assert [code for code, _commit in ended] == [0] * 8, ended
    assert len({commit for _code, commit in ended}) == 8
    assert len(shop.log()) == 9
    for name in names:
        assert image("4.0", name) in shop.text(f"apps/{name}.yaml")
    records = shop.home / "state" / "gitops-rollback" / "127.0.0.1" / "manifests"
    assert sorted(int(p.name) for p in records.iterdir() if p.name.isdecimal()) == list(range(1, 9))
    assert not shop.git("log", "--merges", "--format=%H", "main")


@pytest.mark.parametrize("broken", [False, True], ids=["nothing to do", "not to be read"])
def test_what_was_handed_on_and_dropped_since_leaves_nothing_undone(
    released: Shop, *, broken: bool
) -> None:
    """Who decides to do nothing has no push that would show which commit is the branch's.

    Nor has who cannot decide: the commit that was dropped breaks the configuration, too.
    """
    go, arrived = released.root / "go", released.root / "arrived"
    once = f"[ -e {shlex.quote(str(arrived))} ]"
    released.hook(
        "pre-receive",
        f"{once} && exit; touch {shlex.quote(str(arrived))}\n"
        f"until [ -e {shlex.quote(str(go))} ]; do sleep 0.02; done",
    )
    back = f"git update-ref refs/heads/main {released.tip()}"
    released.hook(
        "post-receive", f"[ -e {shlex.quote(str(go))} ] && rm {shlex.quote(str(go))} && {back}"
    )
    breaking = writing(released, ".gitops-rollback.toml", "[[") if broken else None
    with released.start("deploy", *DEPLOY, environment=breaking) as first:
        wait_for(arrived)
        with released.start("deploy", *DEPLOY, "--verbose") as second:
            while not any(one.is_dir() for one in released.root.rglob("turns/*")):
                assert second.poll() is None, second.communicate()
                time.sleep(0.01)
            go.touch()
            assert first.wait() == 0
            _stdout, stderr = second.communicate()
    assert second.returncode == 0, stderr.decode()
    assert image("1.6.0") in released.text(), stderr.decode()


def test_what_a_second_attempt_costs_does_not_grow_with_the_repository(two_thousand: Shop) -> None:
    """Six requests, and the trees that the other one changed: not those of two thousand others."""
    edit = by_hand(two_thousand, "apps/s7/deployment.yaml", "acme/s7:1.4.1", "acme/s7:1.4.9")
    with GitHttpServer(two_thousand.root) as server:
        url = f"{server.url}/manifests.git"
        two_thousand.deploy("1.4.2", repository=url)
        alone = (len(server.traffic.requests), server.traffic.sent)
        server.traffic.reset()
        race = between(two_thousand, edit) | {"GITOPS_VERBOSE": "1"}
        run = two_thousand.deploy("1.5.0", repository=url, environment=race)
        assert len(server.traffic.requests) <= alone[0] + 6, server.traffic.requests
        assert server.traffic.sent < alone[1] * 1.2
    calls = [line for line in run.stderr.splitlines() if line.startswith("git ")]
    again = calls[[line.startswith("git remote-http") for line in calls].index(True) + 1 :]
    assert len(again) <= 5, "fetch, list, put files, commit, push: what is here is not read again"
    assert "acme/s7:1.4.9" in two_thousand.text("apps/s7/deployment.yaml")

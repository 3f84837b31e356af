"""Waiting without a cluster: by the commit statuses of Flux, on GitHub and on GitLab."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.errors import Exit
from integration.shop import CART_PATH, Shop, canonical, stop
from servers.commit_statuses import reporting
from servers.forge import GitHubServer, GitLabServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.shop import Run

TOKEN = "secret-token-4711"
PROJECTS = {GitHubServer: "acme/manifests", GitLabServer: "acme/platform/manifests"}
APPS, INFRA = "kustomization/apps/0c9c2e41", "kustomization/infra/0c9c2e41"


class Watched:
    """A shop on a Git host to which Flux reports."""

    def __init__(self, shop: Shop, forge: Any) -> None:  # noqa: ANN401 - made for one test
        self.shop = shop
        self.forge = forge
        self.words = ("success", "failed" if forge.kind == "gitlab" else "failure")

    def post(self, commit: str, context: str, said: str, *, fails: bool = False) -> None:
        """Post a status, as notification-controller does."""
        self.forge.posted.append((commit, context, self.words[fails], said))

    def wait(self, *arguments: str, **environment: str) -> Run:
        """Wait for the cart."""
        more = {"GIT_USERNAME": "bot", "GIT_PASSWORD": TOKEN, "GITOPS_FORGE": self.forge.kind}
        return self.shop.run(
            "wait",
            *("--service", "cart", "--timeout", "6", *arguments),
            repository=self.forge.remote,
            environment={**more, **environment},
        )


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def watched(request: pytest.FixtureRequest, released: Shop) -> Iterator[Watched]:
    kind = request.param
    project = PROJECTS[kind]
    place = released.root / "host" / f"{project}.git"
    place.parent.mkdir(parents=True)
    place.symlink_to(released.bare)
    with reporting(kind)(released.root / "host", project, TOKEN, ("bot", TOKEN)) as forge:
        yield Watched(released, forge)


def test_what_flux_has_reported_is_told_and_no_more_is_claimed(watched: Watched) -> None:
    tip = watched.shop.tip() or ""
    watched.post(tip, APPS, "reconciliation succeeded")
    run = watched.wait()
    assert run.code == 0, run.stderr
    assert (run.result["state"], run.result["verifiedBy"]) == ("applied", "commit-status")
    assert run.result["commit"] == tip
    assert run.result["rollouts"][0]["image"] == canonical("1.5.0")
    assert "Flux reports apps: reconciliation succeeded" in run.stderr
    assert "no pod was looked at" in run.stderr


def test_all_that_have_reported_before_have_to_report_again(watched: Watched) -> None:
    tip = watched.shop.tip() or ""
    before = watched.shop.git("rev-parse", f"{tip}^")
    for context in (APPS, INFRA):
        watched.post(before, context, "reconciliation succeeded")
    watched.post(tip, INFRA, "reconciliation succeeded")
    run = watched.wait()
    assert run.code == 1
    assert (
        "not done after 6 s: waiting for Flux to report kustomization/apps/" in run.error["message"]
    )
    named = watched.wait("--kustomization", "infra")
    assert named.code == 0, named.stderr


def test_a_failure_is_told_in_the_words_of_flux_and_blames_no_image(watched: Watched) -> None:
    watched.post(watched.shop.tip() or "", APPS, "health check failed", fails=True)
    run = watched.wait()
    failure = run.result["rollouts"][0]["failure"]
    assert (run.code, failure["code"], failure["byImage"]) == (1, "reported", False)
    assert "Flux reports apps: health check failed" in run.error["message"]


def test_a_status_of_a_later_commit_that_holds_the_change_counts(watched: Watched) -> None:
    commit = watched.shop.tip() or ""
    later = watched.shop.commit({"README.md": "# Changed\n"})
    watched.post(later, APPS, "reconciliation succeeded")
    run = watched.wait("--commit", commit)
    assert run.code == 0, run.stderr
    assert run.result["commit"] == commit


def test_a_change_that_was_replaced_is_said(watched: Watched) -> None:
    commit = watched.shop.tip() or ""
    watched.shop.deploy("1.6.0")
    watched.post(watched.shop.git("rev-parse", f"{commit}^"), APPS, "reconciliation succeeded")
    run = watched.wait("--commit", commit)
    assert (run.code, run.error["category"]) == (5, "moved")


def test_without_the_right_token_nothing_is_verified_and_the_reason_is_told(
    watched: Watched,
) -> None:
    watched.forge.force(403, {"message": "Resource not accessible by personal access token"})
    run = watched.wait()
    assert run.code == 0, run.stderr
    assert run.result["verifiedBy"] == "nothing"
    assert "no commit status can be read" in run.stderr
    assert TOKEN not in run.stderr + json.dumps(run.result)


def test_a_kubeconfig_that_is_no_good_is_no_success_though_there_are_statuses(
    watched: Watched,
) -> None:
    watched.post(watched.shop.tip() or "", APPS, "reconciliation succeeded")
    path = watched.shop.root / "kubeconfig"
    path.write_text("{}", encoding="utf-8")
    run = watched.wait(KUBECONFIG=str(path))
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert (run.result["state"], run.result["verifiedBy"]) == ("unverified", "nothing")
    assert "cannot be used" in run.error["message"]


def test_a_kubeconfig_that_is_only_at_hand_gives_way_to_statuses(watched: Watched) -> None:
    watched.post(watched.shop.tip() or "", APPS, "reconciliation succeeded")
    path = watched.shop.home / ".kube" / "config"
    path.parent.mkdir()
    path.write_text("{}", encoding="utf-8")
    run = watched.wait()
    assert run.code == 0, run.stderr
    assert "looking at commit statuses instead" in run.stderr
    assert run.result["verifiedBy"] == "commit-status"


def test_a_kubeconfig_at_hand_and_no_status_is_no_success(released: Shop) -> None:
    path = released.home / ".kube" / "config"
    path.parent.mkdir(parents=True)
    path.write_text("{}", encoding="utf-8")
    run = released.run("wait", "--service", "cart")
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert "nothing was verified" in run.error["message"]
    assert "kubectl config view" in run.error["hint"]


def test_a_repository_that_is_a_path_has_no_statuses(released: Shop) -> None:
    run = released.ok("wait", "--service", "cart")
    assert run.result["verifiedBy"] == "nothing"
    assert "warning: nothing was verified: there is no kubeconfig" in run.stderr


def test_a_commit_that_is_not_in_the_repository_is_named(released: Shop) -> None:
    run = released.run("wait", "--service", "cart", "--commit", "d" * 40)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "does not have the commit" in run.error["message"]
    assert "dddddddddd" in run.error["message"]
    assert "pushed by force" in run.error["hint"]


def test_the_result_of_a_deploy_says_what_to_wait_for(released: Shop) -> None:
    change = released.root / "change.json"
    change.write_text(json.dumps(released.deploy("1.6.0").result), encoding="utf-8")
    released.commit({CART_PATH: released.text().replace("replicas: 2", "replicas: 3")})
    run = released.ok("wait", "--change", str(change))
    assert run.result["rollouts"][0]["image"] == canonical("1.6.0")
    assert run.result["commit"] == json.loads(change.read_text(encoding="utf-8"))["commit"]


@pytest.mark.parametrize("text", ["", "{}", '{"schemaVersion": 1, "services": []}', "[1]"])
def test_a_change_that_is_none_is_refused(released: Shop, text: str) -> None:
    change = released.root / "change.json"
    change.write_text(text, encoding="utf-8")
    run = released.run("wait", "--change", str(change))
    assert (run.code, run.error["category"]) == (2, "usage")


# After a push


def test_a_deploy_that_waits_where_nobody_asked_for_a_cluster_says_that_nothing_was_seen(
    released: Shop,
) -> None:
    run = released.run("deploy", "--service", "cart", "--image", canonical("1.6.0"), "--wait")
    assert run.code == 0, run.stderr
    assert run.result["changed"]
    assert run.result["rollout"]["state"] == "unverified"
    assert run.result["rollout"]["commit"] == run.result["commit"] == released.tip()
    assert "warning: nothing was verified" in run.stderr


@pytest.mark.parametrize("how", ["missing", "empty", "plugin"])
@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_a_change_that_cannot_be_seen_in_the_named_cluster_is_pushed_and_no_success(
    released: Shop, command: str, how: str
) -> None:
    config = released.root / "kubeconfig"
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}
    document = {
        "clusters": [{"name": "far", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "me", "user": {"exec": plugin}}],
        "contexts": [{"name": "far", "context": {"cluster": "far", "user": "me"}}],
        "current-context": "far",
    }
    if how != "missing":
        config.write_text(json.dumps(document if how == "plugin" else {}), encoding="utf-8")
    arguments = {
        "deploy": ("--image", canonical("1.6.0")),
        "rollback": ("--reason", "checkout fails"),
    }[command]
    before = released.tip()
    run = released.run(
        command, "--service", "cart", *arguments, "--wait", environment={"KUBECONFIG": str(config)}
    )
    assert (run.code, run.error["category"]) == (1, "cluster")
    assert run.result["changed"]
    assert run.result["commit"] == released.tip() != before
    said = {
        "missing": "kubeconfig is not there",
        "empty": "cannot be used",
        "plugin": "executable no-such-plugin not found",
    }[how]
    assert said in run.error["message"]
    assert run.result["rollout"]["rollouts"][0]["state"] == "unverified"


def test_nothing_is_waited_for_after_a_dry_run(released: Shop) -> None:
    run = released.run(
        *("deploy", "--service", "cart", "--image", canonical("1.6.0"), "--dry-run", "--wait"),
        environment={"KUBECONFIG": "/nowhere"},
    )
    assert run.code == 0, run.stderr
    assert "rollout" not in run.result


def test_a_step_of_the_library_that_waits_by_itself_is_not_waited_for_twice(released: Shop) -> None:
    run = released.run(
        *("deploy", "--service", "cart", "--image", canonical("1.6.0")),
        environment={
            "KUBECONFIG": "/nowhere",
            "GITOPS_WAIT": "true",
            "GITOPS_STEP": "gitopsDeploy",
        },
    )
    assert run.code == 0, run.stderr
    assert "rollout" not in run.result


def test_a_deploy_that_waits_is_told_by_commit_statuses(watched: Watched) -> None:
    known = {"GIT_USERNAME": "bot", "GIT_PASSWORD": TOKEN, "GITOPS_FORGE": watched.forge.kind}
    watched.post(watched.shop.tip() or "", APPS, "reconciliation succeeded")
    run = watched.shop.run(
        *("deploy", "--service", "cart", "--image", canonical("1.6.0")),
        *("--wait", "--wait-timeout", "4", "--auto-rollback"),
        repository=watched.forge.remote,
        environment=known,
    )
    # Flux reports for every commit, and has not reported for this one: no image is to blame.
    assert (run.code, run.error["category"]) == (1, "cluster"), run.stderr
    assert (
        "not done after 4 s: waiting for Flux to report kustomization/apps/" in run.error["message"]
    )
    assert run.result["changed"]
    assert "rolledBack" not in run.result


def test_a_tag_that_stands_there_as_it_was_deployed_was_not_replaced(watched: Watched) -> None:
    """With `pin = "tag"` the file has no digest; the state file knows it, later too."""
    shop = watched.shop
    shop.commit({".gitops-rollback.toml": '[defaults]\npin = "tag"\n'})
    shop.deploy("1.6.0")
    assert "1.6.0@" not in shop.text()
    commit = shop.tip() or ""
    later = shop.commit({"README.md": "# Changed\n"})
    watched.post(later, APPS, "reconciliation succeeded")
    run = watched.wait("--commit", commit)
    assert run.code == 0, run.stderr
    assert (run.result["state"], run.result["commit"]) == ("applied", commit)


# A change without a commit


def written(shop: Shop, result: dict[str, Any]) -> str:
    """Return the file with the result of a change that made no commit."""
    assert "commit" not in result
    path = shop.root / "change.json"
    path.write_text(json.dumps(result), encoding="utf-8")
    return str(path)


def test_what_stands_there_already_is_waited_for_until_it_is_replaced(released: Shop) -> None:
    done = released.ok("deploy", "--service", "cart", "--image", canonical("1.5.0"))
    change = written(released, done.result)
    assert released.ok("wait", "--change", change).result["commit"] == released.tip()
    released.deploy("1.6.0")
    run = released.run("wait", "--change", change)
    assert (run.code, run.error["category"]) == (5, "moved"), run.stderr
    assert "has 1.6.0, and no longer 1.5.0" in run.error["message"]


def test_a_dry_run_is_nothing_to_wait_for(released: Shop) -> None:
    image = canonical("1.6.0")
    done = released.ok("deploy", "--service", "cart", "--image", image, "--dry-run")
    run = released.run("wait", "--change", written(released, done.result))
    assert (run.code, run.error["category"]) == (2, "usage")
    assert "was a dry run: nothing was pushed" in run.error["message"]


def test_a_pull_request_is_waited_for_once_it_is_merged(released: Shop) -> None:
    done = released.ok("deploy", "--service", "cart", "--image", canonical("1.6.0"), "--dry-run")
    url = "https://git.example/acme/manifests/pull/12"
    proposed = {"url": url, "number": 12}
    change = written(released, {**done.result, "dryRun": False, "pullRequest": proposed})
    run = released.run("wait", "--change", change)
    assert (run.code, run.error["category"]) == (7, "waiting"), run.stderr
    assert "pull request #12, which proposes 1.6.0, is not merged" in run.error["message"]
    assert url in run.error["hint"]
    released.deploy("1.6.0")  # as merging it does
    assert released.ok("wait", "--change", change).result["commit"] == released.tip()


def test_a_wait_that_is_interrupted_before_it_has_read_its_change_denies_no_push(
    released: Shop,
) -> None:
    change = released.root / "change.json"
    os.mkfifo(change)
    process = released.start("wait", "--change", str(change))
    with change.open("wb"):  # once the command has opened it, which waits for what is written
        code, said = stop(process)
    assert code == Exit.INTERRUPTED
    assert "interrupted while waiting: what was pushed stays pushed" in said
    assert "before anything was pushed" not in said


def test_a_change_whose_image_is_none_is_not_sound(released: Shop) -> None:
    done = released.ok("deploy", "--service", "cart", "--image", canonical("1.5.0"))
    done.result["services"][0]["to"] = "not an image !!"
    change = released.root / "change.json"
    change.write_text(json.dumps(done.result), encoding="utf-8")
    run = released.refused(2, "usage", "wait", "--change", str(change))
    assert "is not sound: 'not an image !!' is no image" in run.error["message"]

"""Sources that do not answer, one at a time and together: still a plan while any proof is left."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART_PATH, Shop, canonical, image

if TYPE_CHECKING:
    from collections.abc import Mapping


CART = ("--service", "cart")
JENKINS_DOWN = ("--store", "jenkins:shop/cart")
NOBODY: Mapping[str, str] = {"JENKINS_URL": "http://127.0.0.1:1/"}


def test_without_jenkins_and_registry_git_alone_decides_and_says_so(built: Shop) -> None:
    run = built.ok("plan", *CART, *JENKINS_DOWN, environment=NOBODY)
    plan = run.service()
    assert (plan["to"]["image"], plan["to"]["source"]) == (canonical("1.4.2"), "git")
    assert plan["to"]["verified"] is False
    archive, registry = plan["findings"]
    assert archive.startswith("artifact: asked Jenkins at 127.0.0.1:1")
    assert "connection refused; the choice rests on what Git tells" in archive
    assert "not verified: asked 127.0.0.1:1" in registry
    assert "pods could not pull it" in registry
    built.ok("rollback", *CART, *JENKINS_DOWN, "--reason", "x", environment=NOBODY)


def test_a_lost_record_is_said_beside_the_choice_of_git(released: Shop) -> None:
    shutil.rmtree(released.store)
    plan = released.ok("plan", *CART).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert "no record proves it" in plan["findings"][0]


def test_an_account_without_a_home_goes_back_by_git_and_keeps_no_record(released: Shop) -> None:
    homeless = {"HOME": "", "XDG_STATE_HOME": ""}
    released.ok("history", *CART, environment=homeless)
    released.ok("report", *CART, "--report-dir", str(released.root / "page"), environment=homeless)
    new = ("--image", image("1.6.0"))
    run = released.refused(1, "config", "deploy", *CART, *new, environment=homeless)
    assert "--store directory:PATH" in run.error["hint"]
    run = released.ok("rollback", *CART, "--reason", "x", environment=homeless)
    assert "there is no HOME" in run.warnings[0]


def test_without_git_s_ledger_and_with_jenkins_down_history_decides(released: Shop) -> None:
    released.commit({".gitops-rollback/default/cart.json": None})
    plan = released.ok("plan", *CART, *JENKINS_DOWN, environment=NOBODY).service()
    assert (plan["to"]["image"], plan["to"]["source"]) == (canonical("1.4.2"), "git")


def test_a_source_that_was_asked_for_by_name_is_an_error(built: Shop) -> None:
    named = (*CART, *JENKINS_DOWN, "--strategy", "artifact")
    run = built.refused(1, "jenkins", "plan", *named, environment=NOBODY)
    assert "connection refused" in run.error["message"]


@pytest.mark.parametrize("command", ["plan", "rollback"])
def test_with_nothing_left_there_is_no_image_and_nothing_is_written(
    shop: Shop, command: str
) -> None:
    reason = ("--reason", "x") if command == "rollback" else ()
    run = shop.refused(4, "not-found", command, *CART, *JENKINS_DOWN, *reason, environment=NOBODY)
    findings = run.service()["findings"]
    assert [finding.partition(":")[0] for finding in findings][:2] == ["artifact", "registry"]


@pytest.fixture
def cut_off(released: Shop) -> Shop:
    """A shop with records whose repository does not answer any more."""
    released.bare.rename(released.root / "gone.git")
    return released


def everything_but_git(shop: Shop) -> list[str]:
    return sorted(str(path) for path in shop.home.rglob("*"))


def test_without_git_the_archive_s_plan_is_shown_with_the_way_round_git(cut_off: Shop) -> None:
    before = everything_but_git(cut_off)
    run = cut_off.run("plan", *CART, environment={"COLUMNS": "60"})
    assert (run.code, run.error["category"]) == (1, "repository")
    assert everything_but_git(cut_off) == before
    shown = run.said
    assert "GIT DOES NOT ANSWER. This plan is from the archive alone" in shown
    plan = run.service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["source"] == "artifact"
    assert plan["edits"] == []
    command = (
        f"kubectl --namespace NAMESPACE set image deployment/cart server=docker.io/{image('1.4.2')}"
    )
    assert command in shown
    assert f"break the glass: {command}" in plan["findings"]
    assert "flux suspend kustomization" in shown
    assert "connection refused; were it deleted, pods could not pull it" in shown
    assert f"rollback --service cart --to {image('1.4.2').partition('@')[2]}" in shown


def test_a_rollback_without_git_names_the_plan_that_goes_round_it(cut_off: Shop) -> None:
    before = everything_but_git(cut_off)
    run = cut_off.run("rollback", *CART, "--reason", "x")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "gitops-rollback plan shows what the archive alone knows" in run.error["hint"]
    assert everything_but_git(cut_off) == before


@pytest.mark.parametrize("command", ["plan", "rollback"])
def test_git_that_answers_and_has_no_such_branch_is_no_reason_to_go_round_it(
    released: Shop, command: str
) -> None:
    released.git("branch", "-m", "main", "trunk")
    released.git("symbolic-ref", "HEAD", "refs/heads/trunk")
    reason = ("--reason", "x") if command == "rollback" else ()
    for branch in ("main", "a..b"):
        run = released.refused(1, "repository", command, *CART, "--branch", branch, *reason)
        assert "break the glass" not in run.said
        assert "GIT DOES NOT ANSWER" not in run.said
        assert "archive" not in run.error["hint"]
        assert "check --branch" in run.error["hint"]


def test_the_archived_manifest_tells_the_namespace(released: Shop) -> None:
    text = released.text().replace(
        "metadata:\n  name: cart", "metadata:\n  name: cart\n  namespace: shop"
    )
    released.commit({CART_PATH: text})
    released.deploy("1.6.0")
    released.bare.rename(released.root / "gone.git")
    run = released.run("plan", *CART)
    assert "kubectl --namespace shop set image deployment/cart" in run.stderr


@pytest.mark.parametrize(
    "named", [("--to", "1.4.2"), ("--to", "9.9.9"), ("--as-of", "1h"), ("--query", "tags")]
)
def test_without_git_an_image_that_is_named_is_answered_too(
    cut_off: Shop, named: tuple[str, str]
) -> None:
    run = cut_off.run("plan", *CART, *named)
    assert (run.code, run.error["category"]) == (1, "repository")
    (shown,) = run.result.get("services", [{}])
    assert shown.get("to", {}).get("image") == (canonical("1.4.2") if named[1] == "1.4.2" else None)
    assert shown or "nor does the archive tell" in run.stderr


def test_what_a_record_names_is_quoted_for_the_shell(cut_off: Shop) -> None:
    path = cut_off.records.folder(2) / "record.json"
    text = path.read_text(encoding="utf-8").replace('"container": "server"', '"container": "$(id)"')
    path.write_text(text, encoding="utf-8")
    run = cut_off.run("plan", *CART)
    command = next(line for line in run.stderr.splitlines() if "kubectl" in line)
    echoed = subprocess.run(
        ["sh", "-c", f"printf '%s\\n' {command.strip()}"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "$(id)=docker.io/acme/cart" in echoed.stdout


def test_without_git_and_archive_there_is_one_plain_error(cut_off: Shop) -> None:
    shutil.rmtree(cut_off.store)
    run = cut_off.run("plan", *CART)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "services" not in run.result
    run = cut_off.run("plan", *CART, *JENKINS_DOWN, environment=NOBODY)
    assert run.code == 1
    assert "nor does the archive tell" in run.stderr


def test_every_candidate_is_explained_on_a_terminal_of_forty_columns(held: Shop) -> None:
    held.deploy("1.6.0", "--release", "--accept", "automation")
    run = held.ok("plan", *CART, "--explain", environment={"COLUMNS": "40"})
    explained = run.stdout.partition(": every")[2]
    candidates = run.service()["candidates"]
    assert len(candidates) == 2
    for candidate in candidates:
        assert candidate["verdict"].upper() in explained
        assert candidate["image"].partition("@")[2] in explained
    assert "proofs: artifact, git" in explained
    for line in run.stdout.splitlines():
        is_to_copy = any(text in line for text in ("sha256:", "/record.json", "to do it:"))
        assert len(line) <= 40 or is_to_copy, line

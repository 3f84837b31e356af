"""What Flux posts to a Git host, judged for a change that nobody here can see in a cluster."""

from __future__ import annotations

import pytest

from gitops_rollback.forges.rules import CommitStatus
from gitops_rollback.image import parse_image
from gitops_rollback.rollout.judge import contexts_of, judge_statuses
from gitops_rollback.rollout.standing import FOREVER, State
from gitops_rollback.rollout.target import Target

TARGET = Target("cart", "default", parse_image("acme/cart:1.5.0"), "c" * 40, "main", ())
APPS = "kustomization/apps/0c9c2e41"


def status(context: str = APPS, state: str = "success", said: str = "") -> CommitStatus:
    return CommitStatus(context, state, said)


@pytest.mark.parametrize(
    ("context", "name"),
    [
        (APPS, "apps"),
        ("helmrelease/cart/0c9c2e41", "cart"),
        ("prod cluster/kustomization/apps/0c9c2e41", "apps"),
        ("ci/jenkins/branch", ""),
        ("kustomization/apps", ""),
        ("kustomization/apps/tests", ""),
    ],
)
def test_a_status_of_flux_is_known_by_its_context(context: str, name: str) -> None:
    assert status(context).name == name


def test_what_others_post_says_nothing_of_the_change() -> None:
    found = [status("ci/jenkins/branch"), status("security/scan", "failure")]
    assert judge_statuses(TARGET, found, ()).state is State.FETCHING
    assert contexts_of(found) == set()


def test_a_success_of_all_that_are_expected_is_the_end_and_claims_no_more_than_it_knows() -> None:
    found = [status(said="reconciliation succeeded"), status("kustomization/infra/0c9c2e41")]
    standing = judge_statuses(TARGET, found, {"apps", "infra"})
    assert standing.state is State.APPLIED
    assert "apps: reconciliation succeeded" in standing.message
    assert "no pod was looked at" in standing.message


def test_one_that_is_expected_and_has_not_reported_is_waited_for_by_name() -> None:
    standing = judge_statuses(TARGET, [status("kustomization/infra/0c9c2e41")], {"apps", "infra"})
    assert standing.state is State.FETCHING
    assert "Flux to report apps for cccccccccccc" in standing.message


def test_only_the_one_that_a_person_named_counts() -> None:
    found = [status(), status("kustomization/infra/0c9c2e41", "failure", "build failed")]
    assert judge_statuses(TARGET, found, {"apps"}).state is State.APPLIED


def test_what_one_cluster_reports_says_nothing_of_another_that_has_a_name_in_common() -> None:
    """Both apply one repository, and call what they apply `apps`: staging's word is not ours."""
    staging, production = APPS, "kustomization/apps/77aa3b12"
    standing = judge_statuses(TARGET, [status(staging)], {staging, production})
    assert standing.state is State.FETCHING
    assert f"Flux to report {production} for" in standing.message
    found = [status(staging), status(production)]
    assert judge_statuses(TARGET, found, {staging, production}).state is State.APPLIED
    mine = "apps/77aa3b12"
    assert judge_statuses(TARGET, [status(staging)], {mine}).state is State.FETCHING
    assert judge_statuses(TARGET, [status(production)], {mine}).state is State.APPLIED
    failing = [status(staging, "failure"), status(production)]
    assert judge_statuses(TARGET, failing, {mine}).state is State.APPLIED


@pytest.mark.parametrize("state", ["failure", "failed"])
def test_a_failure_is_named_and_no_image_is_blamed_for_it(state: str) -> None:
    standing = judge_statuses(TARGET, [status(state=state, said="health check failed")], {"apps"})
    assert standing.suspicion is not None
    assert "Flux reports apps: health check failed" in standing.suspicion.message
    assert not standing.suspicion.by_image
    assert standing.suspicion.patience < FOREVER


def test_a_dependency_that_is_not_ready_is_waited_for_to_the_end() -> None:
    found = [status(state="failure", said="dependency not ready")]
    standing = judge_statuses(TARGET, found, {"apps"})
    assert standing.suspicion is not None
    assert standing.suspicion.patience == FOREVER

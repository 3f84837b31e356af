"""Where a change stands, judged on what a real Flux and a real API server said.

Recorded by `GITOPS_RECORD=… make test-flux` with source-controller v1.7.3, kustomize-controller
v1.9.5, helm-controller v1.6.1 and Kubernetes 1.36.
"""

from __future__ import annotations

import json

import pytest

from gitops_rollback.late import replace
from gitops_rollback.rollout.standing import State, Whose
from gitops_rollback.rollout.target import KINDS
from unit.recordings import FOLDER, load, replay, target_of

FAILURES = {
    "invalid-port": ("invalid", Whose.OTHER, "containers[0].ports[0].containerPort", False),
    "invalid-quantity": ("invalid", Whose.OTHER, "", False),
    "broken-yaml": ("build", Whose.OTHER, "", False),
    "immutable-selector": ("invalid", Whose.OTHER, "spec.selector", False),
    "wrong-type": ("invalid", Whose.OTHER, "spec.replicas", False),
    "unknown-kind": ("unknown-kind", Whose.OTHER, "kind", False),
    "unknown-field": ("invalid", Whose.OTHER, "spec.nosuch", False),
    "no-namespace": ("namespace", Whose.OTHER, "metadata.namespace", False),
    "claim-shrinks": ("invalid", Whose.OTHER, "spec.resources.requests.storage", False),
    "ours-wrong-type": ("invalid", Whose.OURS, "spec.replicas", False),
    "image-pull": ("pull", Whose.OURS, "server", True),
    "crash": ("crash", Whose.OURS, "server", True),
    "progress-deadline": ("pull", Whose.OURS, "server", True),
    "quota": ("quota", Whose.CLUSTER, "", False),
    "suspended": ("suspended", Whose.CLUSTER, "", False),
    "helm-pull": ("pull", Whose.OURS, "server", True),
    "helm-not-rendered": ("helm", Whose.OURS, "", False),
    "helm-no-chart": ("helm", Whose.CLUSTER, "", False),
    "helm-suspended": ("suspended", Whose.CLUSTER, "", False),
    "paused": ("paused", Whose.CLUSTER, "", False),
}
HELM = ("helm-rollback", "helm-values", "helm-config-map")
KEPT = {
    "stateful-set": "2 pods run 3.9",
    "partition": "cart-0 still run another image: its partition keeps 1",
    "daemon-set": "1 pod runs 3.9",
    "cron-job": "3.9 is what the next pods run (none is wanted now)",
    "none-wanted": "3.9 is what the next pods run (none is wanted now)",
    "on-delete": "cart-0, cart-1 still run another image: somebody has to delete them",
}
LASTING = {"dependency": "dependency", "source": "source"}
WAITING = {"probe": "probe", "unschedulable": "unschedulable", "claim-pending": "claim"}


def test_every_recording_is_replayed_here() -> None:
    used = {*FAILURES, *WAITING, *HELM, *KEPT, *LASTING, "ready", "rollback", "overtaken"}
    used |= {"reverted", "held-on", "by-hand", "others-unhealthy", "no-health-checks"}
    used |= {"helm-timeout", "helm-undone"}
    assert {path.stem for path in FOLDER.glob("*.json")} == used


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_is_named_with_its_object_and_field(name: str) -> None:
    code, whose, field, by_image = FAILURES[name]
    recording = load(name)
    done = replay(recording, target_of(recording))
    standing = done.track.standing
    assert standing is not None
    assert standing.state is State.FAILED, done.text
    failure = standing.failure
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == (code, whose, by_image)
    assert failure.field.endswith(field)
    assert failure.hint
    assert failure.retries or code in ("suspended", "paused")
    assert failure.serving
    assert ("another service's" in failure.sentence) == (whose is Whose.OTHER)


@pytest.mark.parametrize("name", WAITING)
def test_what_may_pass_is_only_suspected_and_named_when_time_is_up(name: str) -> None:
    recording = load(name)
    done = replay(recording, target_of(recording))
    standing = done.track.standing
    assert standing is not None
    failure = standing.failure or done.track.time_is_up(25)
    assert failure.code == WAITING[name]
    assert "still serve" in failure.sentence


@pytest.mark.parametrize("name", ["ready", "rollback", "held-on", "no-health-checks", *HELM])
def test_a_change_is_followed_from_source_to_pods(name: str) -> None:
    recording = load(name)
    target = target_of(recording, 0 if name == "held-on" else -1)
    done = replay(recording, target)
    assert done.track.standing is not None
    assert done.track.standing.state is State.READY, done.text
    assert f"2 pods run {target.image.label}" in done.lines[-1][1]
    moments = done.track.moments
    assert moments["fetched"] <= moments["applied"] < moments["ready"]
    assert list(moments) == ["fetched", "applied", "ready"]


@pytest.mark.parametrize("name", KEPT)
def test_each_kind_of_workload_is_ready_by_its_own_measure(name: str) -> None:
    recording = load(name)
    done = replay(recording, target_of(recording))
    assert done.track.standing is not None
    keeps_old_pods = name in ("partition", "on-delete")
    expected = State.APPLIED if keeps_old_pods else State.READY
    assert done.track.standing.state is expected, done.text
    assert KEPT[name] in done.lines[-1][1]
    assert bool(done.track.standing.warnings) == keeps_old_pods


@pytest.mark.parametrize("name", LASTING)
def test_what_keeps_flux_from_the_change_is_named_when_time_is_up(name: str) -> None:
    recording = load(name)
    done = replay(recording, target_of(recording))
    standing = done.track.standing
    assert standing is not None
    assert not standing.is_over, done.text
    failure = done.track.time_is_up(25)
    assert (failure.code, failure.whose, failure.by_image) == (name, Whose.CLUSTER, False)
    assert "not done after 25 s: waiting for" in failure.message


def test_ready_of_the_old_revision_is_not_taken_for_ours() -> None:
    recording = load("ready")
    done = replay(recording, target_of(recording))
    first = done.lines[0][1]
    assert first.startswith("waiting for GitRepository/shop/shop to fetch main@")


def test_a_later_commit_that_holds_our_entry_counts_and_is_looked_up_once() -> None:
    recording = load("held-on")
    done = replay(recording, target_of(recording, 0))
    assert len(done.looked_up) == len(set(done.looked_up))
    assert recording["commits"][-1]["commit"] in done.looked_up


@pytest.mark.parametrize(("name", "said"), [("overtaken", "has replaced"), ("reverted", "revert")])
def test_a_change_that_was_replaced_is_not_waited_for(name: str, said: str) -> None:
    recording = load(name)
    done = replay(recording, target_of(recording, 0))
    assert done.track.standing is not None
    assert done.track.standing.state is State.REPLACED
    assert said in done.lines[-1][1]


def test_without_the_right_to_nudge_a_revert_shows_only_by_its_state_file() -> None:
    recording = load("reverted")
    done = replay(recording, target_of(recording, 0), nudged=False)
    assert done.track.standing is not None
    assert done.track.standing.state is State.FETCHING


def test_an_edit_by_hand_is_told_with_who_made_it() -> None:
    recording = load("by-hand")
    done = replay(recording, target_of(recording), since="kubectl-set")
    assert "undo an edit by hand" in done.text
    assert "set by kubectl-set" in done.text


def test_another_service_that_is_not_healthy_is_a_warning() -> None:
    recording = load("others-unhealthy")
    done = replay(recording, target_of(recording))
    assert done.track.standing is not None
    assert done.track.standing.state is State.READY


def test_without_rights_on_workloads_the_word_of_flux_is_told_and_proves_no_pod() -> None:
    recording = load("ready")
    done = replay(recording, target_of(recording), denied=(*KINDS, "Pod"))
    assert done.track.standing is not None
    assert done.track.standing.state is State.APPLIED
    assert (
        "its workloads may not be read here; Kustomization/shop/apps reports health"
        in (done.lines[-1][1])
    )


def test_without_rights_and_without_health_checks_it_is_only_applied() -> None:
    recording = load("no-health-checks")
    done = replay(recording, target_of(recording), denied=(*KINDS, "Pod"))
    assert done.track.standing is not None
    assert done.track.standing.state is State.APPLIED
    assert "health checks are off" in done.lines[-1][1]
    assert done.track.standing.warnings


def test_without_rights_a_failed_health_check_still_tells_whose_it_is() -> None:
    recording = load("image-pull")
    done = replay(recording, target_of(recording), denied=(*KINDS, "Pod"))
    standing = done.track.standing
    assert standing is not None
    failure = standing.failure
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("health", Whose.OURS, True)
    assert failure.object == "Deployment/shop/cart"


def test_without_rights_the_services_own_claim_is_no_fault_of_the_image() -> None:
    recording = load("image-pull")
    own = frozenset({("PersistentVolumeClaim", "data")})
    target = replace(target_of(recording), belongings=own)
    said = json.dumps(recording).replace(
        "Deployment/shop/cart status", "PersistentVolumeClaim/shop/data status"
    )
    done = replay(json.loads(said), target, denied=(*KINDS, "Pod"))
    assert done.track.standing is not None
    failure = done.track.standing.failure
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("health", Whose.OURS, False)


def test_without_rights_on_pods_no_digest_is_proven() -> None:
    recording = load("ready")
    done = replay(recording, target_of(recording), denied=("Pod",))
    assert done.track.standing is not None
    assert done.track.standing.state is State.APPLIED
    assert "its pods may not be read here" in done.lines[-1][1]


def test_a_release_is_not_ready_by_the_attempt_before() -> None:
    recording = load("helm-values")
    done = replay(recording, target_of(recording), denied=(*KINDS, "Pod"))
    assert done.track.standing is not None
    assert done.track.standing.state is State.APPLIED
    at = recording["commits"][-1]["commit"][:12]
    waits = [line for _at, line in done.lines if "HelmRelease/shop/cart to upgrade" in line]
    assert waits
    assert all(f"its chart is of {at}" not in line for line in waits)


def test_helm_that_ran_out_of_time_is_named_where_pods_may_not_be_read() -> None:
    recording = load("helm-timeout")
    done = replay(recording, target_of(recording), denied=(*KINDS, "Pod"))
    standing = done.track.standing
    assert standing is not None
    failure = standing.failure
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("helm", Whose.OURS, True)
    assert "timeout waiting for: [Deployment/shop/cart status: 'InProgress']" in failure.message


def test_helm_that_went_back_is_told_to_who_comes_later() -> None:
    recording = load("helm-undone")
    done = replay(recording, target_of(recording), since="RollbackSucceeded")
    standing = done.track.standing
    assert standing is not None
    failure = standing.failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("helm", True)
    assert "Helm went back to the release before" in failure.sentence
    assert "does not try again" in failure.sentence

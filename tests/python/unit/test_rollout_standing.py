"""Where a change stands in what a recording ends with, changed in one thing each."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.standing import FOREVER, State, View
from gitops_rollback.rollout.target import Relation, Stand, Target, relation
from gitops_rollback.rollout.workloads import read_pod, read_workload
from unit.recordings import load, target_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.rollout.standing import Standing

OTHER = "d" * 40
RUNNING = "Running health checks for revision main@sha1:{} with a timeout of 30s"
UNHEALTHY = "health check failed after 4s: timeout waiting for: [Deployment/shop/cart status: 'x']"


def ended(name: str = "ready") -> tuple[Target, dict[str, dict[str, Any]]]:
    """Return the target of a recording, and its objects at the end by kind and name."""
    recording = load(name)
    found: dict[str, dict[str, Any]] = {}
    for step in recording["steps"]:
        for one in step["objects"]:
            key = f"{step['kind']}/{one['metadata']['name']}"
            if step.get("deleted"):
                found.pop(key, None)
            else:
                found[key] = {**one, "kind": step["kind"]}
    return target_of(recording), found


def view(target: Target, objects: dict[str, dict[str, Any]]) -> View:
    """Return what objects show of a target."""
    cluster = Objects(load("ready")["url"])
    for one in objects.values():
        cluster.take(Change(Query(one["kind"]), (one,)))
    found = cluster.view(target, {OTHER: Relation.BEFORE})
    assert found is not None
    return replace(found, listed=True)


def stand(change: Callable[[dict[str, dict[str, Any]]], None]) -> Standing:
    target, objects = ended()
    copied: dict[str, dict[str, Any]] = json.loads(json.dumps(objects))
    change(copied)
    return judge(target, view(target, copied))


def failing(objects: dict[str, dict[str, Any]], reason: str, message: str) -> None:
    """Let the Kustomization have failed with our revision."""
    status = objects["Kustomization/apps"]["status"]
    status["lastAppliedRevision"] = f"main@sha1:{OTHER}"
    status["conditions"] = [
        {"type": "Ready", "status": "False", "reason": reason, "message": message}
    ]


def without(objects: dict[str, dict[str, Any]], *kinds: str) -> None:
    for key in [key for key in objects if key.partition("/")[0] in kinds]:
        del objects[key]


def test_what_was_applied_counts_though_the_source_has_gone_on_to_another_commit() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        objects["GitRepository/shop"]["status"]["artifact"]["revision"] = f"main@sha1:{OTHER}"

    assert stand(change).state is State.READY


def test_a_suspended_source_is_named() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        objects["GitRepository/shop"]["spec"]["suspend"] = True
        objects["GitRepository/shop"]["status"]["artifact"]["revision"] = f"main@sha1:{OTHER}"
        objects["Kustomization/apps"]["status"]["lastAppliedRevision"] = f"main@sha1:{OTHER}"

    failure = stand(change).suspicion
    assert failure is not None
    assert failure.code == "suspended"
    assert "flux resume source git shop" in failure.hint


@pytest.mark.parametrize("name", ["GitRepository/shop", "Kustomization/apps", "Deployment/cart"])
def test_what_is_being_deleted_makes_nothing_ready(name: str) -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        objects[name]["metadata"]["deletionTimestamp"] = "2026-01-31T02:03:04Z"
        if name.startswith("GitRepository"):  # as its controller leaves it
            objects[name]["status"].pop("artifact")
            objects["Kustomization/apps"]["status"]["lastAppliedRevision"] = f"main@sha1:{OTHER}"

    standing = stand(change)
    assert not standing.is_over
    assert standing.suspicion is not None
    assert (standing.suspicion.code, standing.suspicion.by_image) == ("missing", False)
    assert "is being deleted, and is still there" in standing.suspicion.message
    assert "metadata.finalizers" in standing.suspicion.hint


def infra(objects: dict[str, dict[str, Any]], **more: Any) -> None:  # noqa: ANN401 - of the object
    """Let the Kustomization wait for another one."""
    failing(objects, "DependencyNotReady", "dependency 'shop/infra' is not ready")
    apps = objects["Kustomization/apps"]
    apps["spec"]["dependsOn"] = [{"name": "infra", **more.get("need", {})}]
    apps["status"]["lastAttemptedRevision"] = f"main@sha1:{OTHER}"
    other = json.loads(json.dumps(apps))
    other["metadata"]["name"] = "infra"
    other["spec"] = {**other["spec"], "path": "./infra", "dependsOn": [], **more.get("spec", {})}
    other["status"]["conditions"] = [{"type": "Ready", **more.get("ready", {})}]
    objects["Kustomization/infra"] = other


READY = {"status": "True", "reason": "ReconciliationSucceeded"}
BROKEN = {"status": "False", "reason": "BuildFailed", "message": "no such file"}
NOT_YET = {"status": "False", "reason": "DependencyNotReady"}


@pytest.mark.parametrize(
    ("more", "said", "patience"),
    [
        ({"spec": {"suspend": True}, "ready": READY}, "infra is suspended", 10.0),
        ({"ready": BROKEN}, "infra: BuildFailed: no such file", FOREVER),
        ({"spec": {"dependsOn": [{"name": "apps"}]}, "ready": NOT_YET},
         "infra waits for Kustomization/shop/apps, for ever", 10.0),
        ({"spec": {"dependsOn": [{"name": "crds", "namespace": "ops"}]}, "ready": NOT_YET},
         "Kustomization/ops/crds is not there", FOREVER),
        ({"ready": READY}, "is not ready", FOREVER),  # it becomes so this very moment
        # An expression of its own decides: a suspended one, or a circle, need not last.
        ({"spec": {"suspend": True}, "ready": READY, "need": {"readyExpr": "x"}}, "", FOREVER),
        ({"spec": {"dependsOn": [{"name": "apps"}]}, "ready": NOT_YET,
          "need": {"readyExpr": "x"}}, "", FOREVER),
    ],
)  # fmt: skip
def test_what_something_waits_for_is_told_to_its_cause(
    more: dict[str, Any], said: str, patience: float
) -> None:
    suspicion = stand(lambda objects: infra(objects, **more)).suspicion
    assert suspicion is not None
    assert (suspicion.code, suspicion.patience, suspicion.by_image) == (
        "dependency", patience, False,
    )  # fmt: skip
    assert said in suspicion.message


def test_a_controller_that_does_not_begin_is_named_when_time_is_up() -> None:
    target, objects = ended()
    copied: dict[str, dict[str, Any]] = json.loads(json.dumps(objects))
    for key in ("lastAppliedRevision", "lastAttemptedRevision"):
        copied["Kustomization/apps"]["status"][key] = f"main@sha1:{OTHER}"
    idle = judge(target, view(target, copied)).suspicion
    copied["GitRepository/shop"]["status"]["artifact"]["revision"] = f"main@sha1:{OTHER}"
    deaf = judge(target, replace(view(target, copied), token="now")).suspicion
    for found, who in ((idle, "kustomize-controller"), (deaf, "source-controller")):
        assert found is not None
        assert (found.code, found.patience) == ("timeout", FOREVER)
        assert f"see whether {who} runs" in found.hint
        assert f"gitops-rollback wait --service cart --commit {target.commit}" in found.hint


def exceeded(objects: dict[str, dict[str, Any]], replica_set: str) -> None:
    """Let the Deployment have made no progress, by what Kubernetes says of one of its sets."""
    status = objects["Deployment/cart"]["status"]
    status["availableReplicas"] = 0
    status["conditions"] = [
        {
            "type": "Progressing",
            "status": "False",
            "reason": "ProgressDeadlineExceeded",
            "message": f'ReplicaSet "{replica_set}" has timed out progressing.',
        }
    ]


def set_of_new(objects: dict[str, dict[str, Any]]) -> str:
    """Return the name of the ReplicaSet whose pods are there."""
    pod = next(one for key, one in objects.items() if key.startswith("Pod/"))
    return f"{pod['metadata']['name']}".rpartition("-")[0]


def test_a_deadline_that_no_pod_explains_is_named_by_what_the_deployment_says() -> None:
    failure = stand(lambda objects: exceeded(objects, set_of_new(objects))).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("deadline", True)
    assert "has timed out progressing" in failure.message


def test_a_deadline_of_the_image_before_is_none_of_this_one() -> None:
    standing = stand(lambda objects: exceeded(objects, "cart-before"))
    assert (standing.state, standing.failure, standing.suspicion) == (State.ROLLING, None, None)


def test_whose_deadline_it_was_is_waited_for_where_no_pod_tells() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        exceeded(objects, "cart-1")
        without(objects, "Pod")

    suspicion = stand(change).suspicion
    assert suspicion is not None
    assert (suspicion.code, suspicion.patience) == ("deadline", 15.0)


def test_a_health_check_that_ended_early_may_have_met_the_pods_before() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        objects["Deployment/cart"]["status"]["availableReplicas"] = 0
        early = UNHEALTHY.replace("timeout waiting for", "failed early due to stalled resources")
        failing(objects, "HealthCheckFailed", early)

    standing = stand(change)
    assert (standing.state, standing.failure, standing.suspicion) == (State.ROLLING, None, None)


def test_a_health_check_that_no_pod_explains_is_named_by_its_object() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        without(objects, "Pod")
        objects["Deployment/cart"]["status"]["availableReplicas"] = 0
        failing(objects, "HealthCheckFailed", UNHEALTHY)

    failure = stand(change).suspicion
    assert failure is not None
    assert (failure.code, failure.object, failure.by_image) == (
        "health", "Deployment/shop/cart", True,
    )  # fmt: skip
    assert failure.serving
    assert failure.patience == 10.0  # what is only late comes all the same


@pytest.mark.parametrize(
    ("reason", "expected"), [("Progressing", None), ("ProgressingWithRetry", "health")]
)
def test_the_end_of_the_check_before_is_none_of_the_one_that_runs(
    reason: str, expected: str | None
) -> None:
    """Flux leaves it beside the new revision where its own cache was behind."""

    def change(objects: dict[str, dict[str, Any]]) -> None:
        objects["Deployment/cart"]["status"]["availableReplicas"] = 0
        failing(objects, "HealthCheckFailed", UNHEALTHY)
        said = {
            "type": "Reconciling",
            "status": "True",
            "reason": reason,
            "message": RUNNING.format(ended()[0].commit),
        }
        objects["Kustomization/apps"]["status"]["conditions"].append(said)

    standing = stand(change)
    assert standing.state is State.ROLLING
    assert (standing.suspicion and standing.suspicion.code) == expected


def test_a_workload_that_stands_in_git_and_is_not_there_is_never_ready() -> None:
    def change(objects: dict[str, dict[str, Any]]) -> None:
        without(objects, "Pod", "Deployment")

    standing = stand(change)
    assert standing.state is State.APPLYING
    assert standing.suspicion is not None
    assert standing.suspicion.code == "missing"
    assert "Deployment/cart, which Git holds in apps/cart.yaml" in standing.suspicion.message


def test_pods_that_report_another_digest_under_the_tag_are_no_success() -> None:
    target, objects = ended()
    other = f"registry.k8s.io/pause@sha256:{'9' * 64}"
    text = json.dumps(objects).replace(f"pause:3.9@{target.image.digest}", "pause:3.9")
    text = text.replace('"imageID": "', f'"imageID": "{other}", "before": "')
    standing = judge(target, view(target, json.loads(text)))
    assert standing.state is State.ROLLING
    assert standing.suspicion is not None
    assert (standing.suspicion.code, standing.suspicion.by_image) == ("digest", False)
    assert "the tag was moved" in standing.suspicion.message
    assert standing.suspicion.message.startswith(
        "Deployment/shop/cart: pods report sha256:999999999999"
    )


def test_a_pod_whose_runtime_reports_no_digest_has_none() -> None:
    status = {"containerStatuses": [{"name": "server", "imageID": "docker://abc"}]}
    pod = read_pod({"spec": {"containers": [{"name": "server"}]}, "status": status})
    assert [one.digest for one in pod.containers] == [""]


@pytest.mark.parametrize(
    ("tag", "expected"), [("3.9", Relation.HOLDS), ("3.8", Relation.BEFORE), ("", Relation.BEFORE)]
)
def test_without_a_state_file_a_commit_holds_the_change_by_its_image(
    tag: str, expected: Relation
) -> None:
    target = Target("cart", "default", parse_image("acme/cart:3.9"), "c" * 40, "main", ())
    image = parse_image(f"acme/cart:{tag}") if tag else None
    assert relation(target, Stand(image)) is expected


def test_containers_and_writers_that_are_not_of_the_service_do_not_count() -> None:
    target = Target("cart", "default", parse_image("acme/cart:3.9"), "c" * 40, "main", ())
    fields: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
    found = read_workload(
        {
            "metadata": {"managedFields": [{"manager": "hpa", "fieldsV1": fields}]},
            "spec": {
                "template": {
                    "spec": {"containers": [{"name": "proxy", "image": "envoy:1"}, {"name": "x"}]}
                }
            },
        },
        "Deployment",
    )
    assert found.elsewhere(target) == ()
    assert found.set_by == ""


def test_a_new_listing_takes_away_what_is_no_longer_there() -> None:
    cluster = Objects("https://github.com/acme/fleet")
    query = Query("GitRepository")
    cluster.take(Change(query, ({"metadata": {"name": "a"}}, {"metadata": {"name": "b"}})))
    cluster.take(Change(query, ({"metadata": {"name": "b"}},), whole=True))
    assert [one.name.name for one in cluster.sources()] == ["b"]


@pytest.mark.parametrize(("seen", "state"), [(0, State.FAILED), (-1, State.ROLLING)])
def test_of_what_is_paused_the_counts_are_those_of_what_it_is_told(seen: int, state: State) -> None:
    """What the controller has not seen yet may be what its pods run: a rollback of a deploy."""

    def pause(objects: dict[str, dict[str, Any]]) -> None:
        workload = next(one for one in objects.values() if one["kind"] == "Deployment")
        workload["spec"]["paused"] = True
        workload["status"]["updatedReplicas"] = 0
        workload["status"]["observedGeneration"] = workload["metadata"]["generation"] + seen

    assert stand(pause).state is state


def test_a_file_that_cannot_be_built_is_quoted_in_the_command_to_paste() -> None:
    said = "kustomize build failed: accumulating resources from apps/$(id).yaml: no YAML"
    told = stand(lambda objects: failing(objects, "BuildFailed", said))
    failure = told.failure or told.suspicion
    assert failure is not None
    assert "(git log -- 'apps/$(id).yaml' tells" in failure.hint

"""HelmReleases: which are ours, whether they have begun with a change, and why they fail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.rollout.appliers import Reconciler, read_reconciler
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.releases import helm_failure
from gitops_rollback.rollout.standing import FOREVER, IN_STEP, Standing, State, Whose
from gitops_rollback.rollout.target import KINDS, Place, Relation, Target
from gitops_rollback.rollout.track import Track

URL = "https://github.com/acme/fleet"
DIGEST = "sha256:" + "2" * 64
IMAGE = f"docker.io/acme/cart:1.5.0@{DIGEST}"
COMMIT, BEFORE = "c" * 40, "b" * 40
CHART = f"0.1.0+{COMMIT[:12]}"
OF_HELM = {"name": "cart", "namespace": "shop"}
SUCCEEDED = ("True", "UpgradeSucceeded", "Helm upgrade succeeded")


def target(path: str = "apps/cart.yaml", kind: str = "HelmRelease") -> Target:
    place = Place(path, kind, "cart" if kind == "HelmRelease" else "values")
    return Target("cart", "production", parse_image(IMAGE), COMMIT, "main", (place,))


def conditions(**told: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [
        {"type": kind, "status": status, "reason": reason, "message": message}
        for kind, (status, reason, message) in told.items()
    ]


def helm_release(spec: dict[str, Any], status: dict[str, Any], name: str = "cart") -> Any:  # noqa: ANN401 - JSON
    metadata = {"name": name, "namespace": "shop", "generation": 2}
    return {"metadata": metadata, "spec": spec, "status": {"observedGeneration": 2, **status}}


def values(tag: str = "1.5.0", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a spec
    return {"values": {"image": {"repository": "acme/cart", "tag": tag}}, **more}


def of_chart(path: str = "./charts/cart", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    source = {"kind": "GitRepository", "name": "fleet", "namespace": "flux-system"}
    return {"chart": {"spec": {"chart": path, "sourceRef": source, **more}}}


def kustomization(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    return {
        "metadata": {"name": "apps", "namespace": "flux-system", "generation": 1},
        "spec": {
            "path": "./apps",
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": "fleet"},
            **spec,
        },
        "status": {
            "observedGeneration": 1,
            "conditions": conditions(Ready=("True", "ReconciliationSucceeded", "Applied")),
            "lastAppliedRevision": f"main@sha1:{COMMIT}",
            "lastAttemptedRevision": f"main@sha1:{COMMIT}",
            "inventory": {
                "entries": [
                    {"id": f"shop_{name}_helm.toolkit.fluxcd.io_HelmRelease", "v": "v2"}
                    for name in ("cart", "cart-web", "payment")
                ]
            },
        },
    }


def workload(reference: str = IMAGE, **status: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    counts = dict.fromkeys(("replicas", "updatedReplicas", "availableReplicas"), 1)
    return {
        "metadata": {
            "name": "cart-server",
            "namespace": "shop",
            "generation": 1,
            "labels": {f"helm.toolkit.fluxcd.io/{key}": name for key, name in OF_HELM.items()},
        },
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "cart"}},
            "template": {"spec": {"containers": [{"name": "server", "image": reference}]}},
        },
        "status": {"observedGeneration": 1, **counts, **status},
    }


def pod(**state: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a status
    status = {
        "name": "server",
        "imageID": f"acme/cart@{DIGEST}",
        "ready": not state,
        "state": state,
    }
    return {
        "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"}},
        "spec": {"containers": [{"name": "server", "image": IMAGE}]},
        "status": {
            "conditions": [{"type": "Ready", "status": str(not state)}],
            "containerStatuses": [status],
        },
    }


def objects(releases: list[Any], *workloads: Any, pods: Any = (), fetched: str = COMMIT) -> Objects:  # noqa: ANN401 - JSON
    """Return a cluster with these objects; without workloads they may not be read."""
    source = {
        "metadata": {"name": "fleet", "namespace": "flux-system"},
        "spec": {"url": URL, "ref": {"branch": "main"}},
        "status": {"artifact": {"revision": f"main@sha1:{fetched}"}},
    }
    found = Objects(URL)
    listed = {"GitRepository": (source,), "Kustomization": (kustomization(),), "Pod": tuple(pods)}
    listed |= {"HelmRelease": tuple(releases), "Deployment": workloads}
    for kind, some in listed.items():
        found.take(Change(Query(kind), some, whole=True))
    if not workloads:
        for kind in KINDS:
            found.take(Change(Query(kind), denied=True))
    return found


def stand(of: Target, found: Objects) -> Standing:
    """Judge what a cluster shows, all of it listed."""
    for query in found.queries(of):
        if query.kind in KINDS or query.kind == "Pod":
            found.take(Change(query, whole=True))
    view = found.view(of, {BEFORE: Relation.BEFORE})
    assert view is not None
    return judge(of, view)


# Which are ours


@pytest.mark.parametrize(
    ("of", "spec"),
    [
        (target(), values()),
        (target("charts/cart/values.yaml", "Values"), of_chart()),
        (
            target("apps/values/cart.yaml", "Values"),
            of_chart("charts/any", valuesFiles=["charts/any/values.yaml", "apps/values/cart.yaml"]),
        ),
        (
            target("apps/cart-values.yaml", "Values"),
            {"valuesFrom": [{"kind": "ConfigMap", "name": "cart-values"}]},
        ),
    ],
    ids=["by its name", "by its chart", "by a values file", "by a ConfigMap"],
)
def test_the_release_that_takes_the_file_is_found(of: Target, spec: dict[str, Any]) -> None:
    other = helm_release({"valuesFrom": [{"kind": "ConfigMap", "name": "p"}]}, {}, "payment")
    found = objects([helm_release(spec, {}), other])
    assert [one.name.name for one in found.releases(of)] == ["cart"]


def test_a_release_that_an_overlay_calls_otherwise_is_found_by_the_name_that_is_applied() -> None:
    found = objects([helm_release(values("1.4.2"), {"conditions": conditions(Ready=SUCCEEDED)},
                                  "cart-web")])  # fmt: skip
    of = replace(target(), lands=(Place("apps/cart.yaml", "HelmRelease", "cart-web"),))
    assert "HelmRelease/shop/cart-web to upgrade" in stand(of, found).message


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("web", {"namePrefix": "cart-"}),
        ("cart", {"nameSuffix": "-web"}),
        ("cart-${part}", {"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "x"}]}}),
    ],
)
def test_a_release_is_found_by_the_name_that_flux_makes_of_it(
    name: str, spec: dict[str, Any]
) -> None:
    """By what stands in the live Kustomization alone, or in a ConfigMap of the cluster."""
    of = replace(target(), places=(Place("apps/cart.yaml", "HelmRelease", name),))
    for tag, state in (("1.4.2", State.APPLYING), ("1.5.0", State.READY)):
        own = workload()
        own["metadata"]["labels"]["helm.toolkit.fluxcd.io/name"] = "cart-web"
        release = helm_release(values(tag), {"conditions": conditions(Ready=SUCCEEDED)}, "cart-web")
        found = objects([release], own, pods=[pod()])
        by = kustomization(**spec)
        del by["status"]["inventory"]["entries"][0]  # what is called as Git has it
        found.take(Change(Query("Kustomization"), (by,), whole=True))
        assert stand(of, found).state is state, tag


def test_a_release_that_is_not_among_what_is_applied_is_never_done() -> None:
    of = replace(target(), lands=(Place("apps/cart.yaml", "HelmRelease", "cart-lost"),))
    standing = stand(of, objects([helm_release(values(), {})], workload(), pods=[pod()]))
    assert standing.state is State.APPLYING
    assert standing.suspicion is not None
    assert standing.suspicion.code == "missing"
    assert "HelmRelease/cart-lost, which Git holds" in standing.suspicion.message
    assert standing.suspicion.hint.endswith("kubectl get --all-namespaces helmreleases")


def test_a_chart_of_the_same_path_in_another_repository_is_not_ours() -> None:
    spec = of_chart()
    spec["chart"]["spec"]["sourceRef"]["name"] = "elsewhere"
    assert objects([helm_release(spec, {})]).releases(target("charts/cart/x.yaml", "Values")) == []


def test_a_release_of_a_chart_that_it_names_is_found_by_what_that_is_made_of() -> None:
    found = objects([helm_release({"chartRef": {"kind": "HelmChart", "name": "web"}}, {})])
    of = target("charts/cart/values.yaml", "Values")
    assert found.names_charts()
    assert found.releases(of) == []
    metadata = {"name": "web", "namespace": "shop"}
    made = {"metadata": metadata, "spec": of_chart()["chart"]["spec"]}
    found.take(Change(Query("HelmChart"), (made,), whole=True))
    assert [one.name.name for one in found.releases(of)] == ["cart"]


def test_of_several_that_read_values_none_is_guessed() -> None:
    reads = {"valuesFrom": [{"kind": "ConfigMap", "name": "x"}]}
    found = objects([helm_release(reads, {}, name) for name in ("payment", "cart-web")])
    assert found.releases(target("apps/cart-values.yaml", "Values")) == []


def test_the_source_of_a_chart_that_no_kustomization_applies_is_watched() -> None:
    of = target("charts/cart/values.yaml", "Values")
    queries = objects([helm_release(of_chart(), {})]).queries(of)
    assert Query("GitRepository", "flux-system", name="fleet") in queries


# Whether it has begun


def test_a_release_that_was_not_told_yet_is_waited_for_though_it_is_ready() -> None:
    status = {"conditions": conditions(Ready=SUCCEEDED)}
    standing = stand(target(), objects([helm_release(values("1.4.2"), status)]))
    assert standing.state is State.APPLYING
    assert "HelmRelease/shop/cart to upgrade" in standing.message


@pytest.mark.parametrize(
    ("revision", "state"),
    [
        (CHART, State.APPLIED),
        (f"{CHART}.3", State.APPLIED),
        (f"0.1.0+{BEFORE[:12]}", State.APPLYING),
    ],
)
def test_a_chart_of_the_repository_tells_its_commit(revision: str, state: State) -> None:
    status = {"conditions": conditions(Ready=SUCCEEDED), "lastAttemptedRevision": revision}
    found = objects([helm_release(of_chart(), status)])
    assert stand(target("charts/cart/values.yaml", "Values"), found).state is state


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (of_chart(), "HelmRelease/shop/cart does not show which values it has"),
        (
            {"valuesFrom": [{"name": "x"}], "install": {"disableWait": True}},
            "health checks are off",
        ),
    ],
)
def test_where_nothing_shows_which_values_it_has_no_health_is_claimed(
    spec: dict[str, Any], said: str
) -> None:
    status = {"conditions": conditions(Ready=SUCCEEDED), "lastAttemptedRevision": "0.1.0"}
    path = "charts/cart/values.yaml" if "chart" in spec else "apps/cart-values.yaml"
    standing = stand(target(path, "Values"), objects([helm_release(spec, status)]))
    assert standing.state is State.APPLIED
    assert said in standing.message


def test_values_that_no_release_is_known_to_take_claim_no_health() -> None:
    standing = stand(target("apps/cart-values.yaml", "Values"), objects([]))
    assert standing.state is State.APPLIED
    assert "no HelmRelease is known to take apps/cart-values.yaml" in standing.message


OTHER_DIGEST = "sha256:" + "1" * 64


@pytest.mark.parametrize(
    ("image", "value", "has_begun"),
    [
        ({"tag": "1.5.0"}, "", True),
        ({"tag": f"1.5.0@{DIGEST}"}, IMAGE, True),
        ({"reference": IMAGE}, IMAGE, True),
        ({"tag": "1.5.0"}, "docker.io/acme/cart:1.5.0", True),
        ({"tag": "1.5.0-rc1"}, "", False),
        ({"tag": "1.5.0", "digest": OTHER_DIGEST}, IMAGE, False),
        ({"tag": "11.5.0"}, "docker.io/acme/cart:1.5.0", False),
    ],
)
def test_a_release_is_told_of_the_image_as_git_holds_it_and_not_of_one_like_it(
    image: dict[str, str],
    value: str,
    has_begun: bool,  # noqa: FBT001 - of a table
) -> None:
    of = replace(target(), places=(Place("apps/cart.yaml", "HelmRelease", "cart", value=value),))
    status = {"conditions": conditions(Ready=SUCCEEDED)}
    standing = stand(of, objects([helm_release({"values": {"image": image}}, status)]))
    assert standing.state is (State.APPLIED if has_begun else State.APPLYING), standing.message


def test_a_release_that_applies_to_another_cluster_is_not_seen_here() -> None:
    spec = values(kubeConfig={"secretRef": {"name": "elsewhere"}})
    release = helm_release(spec, {"conditions": conditions(Ready=SUCCEEDED)})
    standing = stand(target(), objects([release], workload(), pods=[pod()]))
    assert standing.state is State.APPLIED
    assert "another cluster (spec.kubeConfig)" in standing.message


def test_a_release_that_git_names_and_nobody_has_seen_reports_no_health() -> None:
    standing = stand(target(), objects([]))
    assert standing.state is State.APPLIED
    assert standing.message.endswith("HelmRelease cart was not seen")


# A service of several kinds

TOOL = Place("apps/tool.yaml", "Deployment", "tool", container="server")


def tool() -> dict[str, Any]:
    """Return a Deployment of the service that a Kustomization applies, beside the release."""
    found = workload()
    found["metadata"]["name"] = "tool"
    found["metadata"]["labels"] = {}
    found["spec"]["selector"] = {"matchLabels": {"app": "tool"}}
    return found


def pod_of(app: str, reference: str = IMAGE) -> dict[str, Any]:
    found = pod()
    found["metadata"] |= {"name": f"{app}-1", "labels": {"app": app}}
    found["spec"]["containers"][0]["image"] = reference
    found["status"]["containerStatuses"][0]["imageID"] = reference
    return found


def beside(release: list[Any], *workloads: Any, pods: Any) -> Standing:  # noqa: ANN401 - JSON
    """Judge a service that has a Deployment of its own and a HelmRelease."""
    of = replace(target(), places=(*target().places, TOOL))
    found = objects(release, *workloads, pods=pods)
    applied = kustomization()
    applied["status"]["inventory"]["entries"].append({"id": "shop_tool_apps_Deployment"})
    found.take(Change(Query("Kustomization"), (applied,), whole=True))
    return stand(of, found)


OLD = f"docker.io/acme/cart:1.4.0@{OTHER_DIGEST}"


@pytest.mark.parametrize(("reference", "state"), [(IMAGE, State.READY), (OLD, State.APPLYING)])
def test_what_helm_runs_counts_beside_a_workload_that_git_names(
    reference: str, state: State
) -> None:
    release = helm_release(values(), {"conditions": conditions(Ready=SUCCEEDED)})
    pods = [pod_of("tool"), pod_of("cart", reference)]
    assert beside([release], tool(), workload(reference), pods=pods).state is state


def test_a_release_that_is_not_seen_is_no_part_of_what_is_proven() -> None:
    standing = beside([], tool(), pods=[pod_of("tool")])
    assert standing.state is State.APPLIED
    assert standing.message.endswith("HelmRelease cart was not seen")


@pytest.mark.parametrize("is_told", [True, False])
def test_a_kind_that_may_not_be_read_may_be_what_helm_made(
    is_told: bool,  # noqa: FBT001 - of a table
) -> None:
    """Only where the release tells all that it has made is it known that none of them is."""
    entries = [{"id": "shop_cart-server_apps_Deployment"}] if is_told else []
    status = {"conditions": conditions(Ready=SUCCEEDED), "inventory": {"entries": entries}}
    found = objects([helm_release(values(), status)], workload(), pods=[pod()])
    found.take(Change(Query("CronJob"), denied=True))
    standing = stand(target(), found)
    assert standing.state is (State.READY if is_told else State.APPLIED)
    assert ("what Helm made of kind CronJob may not be read here" in standing.message) != is_told


def test_what_stands_in_a_namespace_that_may_not_be_read_is_not_proven() -> None:
    entries = [{"id": f"{space}_cart-server_apps_Deployment"} for space in ("shop", "closed")]
    status = {"conditions": conditions(Ready=SUCCEEDED), "inventory": {"entries": entries}}
    found = objects([helm_release(values(), status)], workload(), pods=[pod()])
    assert stand(target(), found).state is State.READY
    found.take(Change(Query("Deployment", labels="x"), left_out=("closed",)))
    standing = stand(target(), found)
    assert standing.state is State.APPLIED
    assert standing.message.endswith("Deployment/closed/cart-server may not be read here")


# How it goes on

RUNNING = conditions(
    Ready=("Unknown", "Progressing", "Running 'upgrade' action with timeout of 5m0s"),
    Reconciling=("True", "Progressing", "Running 'upgrade' action with timeout of 5m0s"),
)


def test_pods_are_looked_at_while_helm_still_waits_for_them() -> None:
    release = helm_release(values(), {"observedGeneration": 1, "conditions": RUNNING})
    waiting = {"reason": "ErrImagePull", "message": "manifest unknown"}
    found = objects([release], workload(availableReplicas=0), pods=[pod(waiting=waiting)])
    failure = stand(target(), found).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("pull", True)


def test_a_suspended_release_is_never_ready_though_its_pods_run_the_image() -> None:
    """helm-controller observes what Git says meanwhile, and makes none of it."""
    release = helm_release(values(), {"conditions": conditions(Ready=SUCCEEDED)})
    release["spec"]["suspend"] = True
    standing = stand(target(), objects([release], workload(), pods=[pod()]))
    assert standing.state is State.APPLIED
    assert "1 pod runs 1.5.0 (sha256:" in standing.message
    assert "HelmRelease/shop/cart is suspended: what else Git holds" in standing.warnings[0]
    failure = stand(
        target(), objects([release], workload("acme/cart:1.4.2"), pods=[pod()])
    ).suspicion
    assert failure is not None
    assert failure.code == "suspended"


def test_a_suspension_counts_once_what_is_watched_apart_has_had_time_to_come() -> None:
    """The Kustomization may be seen as it is, and the HelmRelease, which it applies, as it was."""

    def found(tag: str) -> Standing:
        release = helm_release(values(tag), {"conditions": conditions(Ready=SUCCEEDED)})
        release["spec"]["suspend"] = True
        return stand(target(), objects([release], workload(), pods=[pod()]))

    late, lost = Track(target(), ""), Track(target(), "")
    states = []
    for track, seen in ((late, "1.5.0"), (lost, "1.4.2")):
        for now, tag in ((0.0, "1.4.2"), (IN_STEP - 0.1, seen), (IN_STEP, seen)):
            track.take(found(tag), now)
            assert track.standing is not None
            states.append(track.standing.state)
    assert states == [State.APPLYING, State.APPLIED, State.APPLIED,
                      State.APPLYING, State.APPLYING, State.FAILED]  # fmt: skip


def test_a_release_that_is_being_deleted_is_never_ready_though_its_pods_run_the_image() -> None:
    release = helm_release(values(), {"conditions": conditions(Ready=SUCCEEDED)})
    release["metadata"]["deletionTimestamp"] = "2026-01-31T02:03:04Z"
    standing = stand(target(), objects([release], workload(), pods=[pod()]))
    assert standing.suspicion is not None
    assert (standing.state, standing.suspicion.code) == (State.APPLYING, "missing")
    assert "HelmRelease/shop/cart is being deleted" in standing.message


def test_what_helm_said_before_a_suspension_is_not_told_of_the_change() -> None:
    """It had failed, and gone back, at another image: Git says by now what runs."""
    failed = ("False", "UpgradeFailed", "context deadline exceeded")
    undone = ("True", "RollbackSucceeded", "Helm rollback to previous release succeeded")
    status = {"conditions": conditions(Ready=failed, Released=failed, Remediated=undone)}
    release = helm_release(values(), status)
    release["spec"]["suspend"] = True
    failure = stand(target(), objects([release], workload(), pods=[pod()])).suspicion
    assert failure is not None
    assert (failure.code, failure.by_image) == ("suspended", False)


def test_a_release_that_waits_for_another_one_is_told_with_it() -> None:
    ready = ("False", "DependencyNotReady", "dependency 'shop/infra' is not ready")
    release = helm_release(values(), {"conditions": conditions(Ready=ready)})
    standing = stand(target(), objects([release], workload("acme/cart:1.4.2"), pods=[pod()]))
    assert standing.suspicion is not None
    assert standing.suspicion.code == "dependency"
    assert "waits for another one: dependency 'shop/infra'" in standing.message


def test_pods_that_run_are_not_the_end_before_helm_is_done() -> None:
    release = helm_release(values(), {"observedGeneration": 1, "conditions": RUNNING})
    standing = stand(target(), objects([release], workload(), pods=[pod()]))
    assert standing.state is State.ROLLING
    assert "to be done with its upgrade (Running 'upgrade' action" in standing.message
    done = helm_release(values(), {"conditions": conditions(Ready=SUCCEEDED)})
    assert stand(target(), objects([done], workload(), pods=[pod()])).state is State.READY


@pytest.mark.parametrize(
    ("mode", "said", "nudge"),
    [
        ("enabled", "Flux to undo an edit by hand", True),
        ("warn", "Helm to undo an edit by hand", False),
        ("", "Helm to undo an edit by hand", False),
    ],
)
def test_an_edit_by_hand_is_undone_by_helm_only_where_it_looks_for_drift(
    mode: str,
    said: str,
    nudge: bool,  # noqa: FBT001 - of a table
) -> None:
    spec = values(driftDetection={"mode": mode})
    release = helm_release(spec, {"conditions": conditions(Ready=SUCCEEDED)})
    edited = workload("docker.io/acme/cart:1.6.0")
    image: dict[str, Any] = {'k:{"name":"server"}': {"f:image": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": image}}}}
    edited["metadata"]["managedFields"] = [{"manager": "kubectl-set", "fieldsV1": fields}]
    standing = stand(target(), objects([release], edited))
    assert said in standing.message
    assert (standing.nudge == 0.0) is nudge
    assert ("only with driftDetection" in standing.message) is not nudge


def test_a_failure_of_the_generation_before_is_not_ours() -> None:
    failed = conditions(Ready=("False", "UpgradeFailed", "timed out"))
    release = helm_release(values(), {"observedGeneration": 1, "conditions": failed})
    standing = stand(target(), objects([release]))
    assert standing.state is State.ROLLING


def test_a_failure_of_this_generation_is_ours_before_helm_gives_up() -> None:
    failed = conditions(Ready=("False", "UpgradeFailed", "timed out"))
    status = {"observedGeneration": 1, "lastAttemptedGeneration": 2, "conditions": failed}
    standing = stand(target(), objects([helm_release(values(), status)]))
    assert standing.failure is not None
    assert standing.failure.code == "helm"


def test_a_result_that_bears_our_generation_may_be_of_the_attempt_before() -> None:
    for told in (SUCCEEDED, ("False", "UpgradeFailed", "timed out")):
        said = conditions(Ready=told)
        said[0]["observedGeneration"] = 2
        status = {"observedGeneration": 1, "conditions": said}
        standing = stand(target(), objects([helm_release(values(), status)]))
        assert standing.state is State.ROLLING
        assert standing.failure is None


def test_what_fails_before_an_attempt_can_begin_is_ours_by_its_generation() -> None:
    told = conditions(Ready=("False", "ValuesError", "could not find ConfigMap 'shop/values'"))
    told[0]["observedGeneration"] = 2
    release = helm_release(values(), {"observedGeneration": 1, "conditions": told})
    failure = stand(target(), objects([release])).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("helm", False)


# How it fails


def test_an_upgrade_that_ran_out_of_time_is_named_by_what_its_pods_lack() -> None:
    failed = conditions(Ready=("False", "UpgradeFailed", "resource not ready: timed out"))
    release = helm_release(values(), {"conditions": failed})
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    found = objects([release], workload(availableReplicas=0), pods=[pod(waiting=waiting)])
    standing = stand(target(), found)
    assert standing.failure is not None
    assert (standing.failure.code, standing.failure.by_image) == ("pull", True)


def test_an_upgrade_that_ran_out_of_time_for_what_else_the_chart_has_is_not_by_the_image() -> None:
    failed = conditions(Ready=("False", "UpgradeFailed", "context deadline exceeded"))
    release = helm_release(values(), {"conditions": failed})
    failure = stand(target(), objects([release], workload(), pods=[pod()])).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("helm", False)


@pytest.mark.parametrize(("name", "by_image"), [("cart-server", True), ("redis", False)])
def test_an_upgrade_that_was_undone_is_by_the_image_of_what_was_not_ready(
    name: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    said = f"timeout waiting for: [Deployment/shop/{name} status: 'InProgress']"
    told = conditions(
        Ready=("False", "RollbackSucceeded", "Helm rollback to previous release succeeded"),
        Released=("False", "UpgradeFailed", said),
        Remediated=("True", "RollbackSucceeded", "Helm rollback to previous release"),
    )
    release = helm_release(values(), {"conditions": told})
    before = workload(IMAGE.partition(":")[0] + ":1.4.2")
    failure = stand(target(), objects([release], before, pods=[])).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("helm", by_image)


def test_a_test_of_the_chart_that_fails_is_a_failure_though_the_pods_run() -> None:
    failed = conditions(Ready=("False", "TestFailed", "Helm test failed"))
    release = helm_release(values(), {"conditions": failed})
    standing = stand(target(), objects([release], workload(), pods=[pod()]))
    assert standing.failure is not None
    assert (standing.failure.code, standing.failure.by_image) == ("helm", False)


def failed_release(spec: dict[str, Any] | None = None, **told: tuple[str, str, str]) -> Reconciler:
    return read_reconciler(
        helm_release(spec or {}, {"conditions": conditions(**told)}), "HelmRelease"
    )


def test_a_helm_upgrade_that_was_undone_names_the_upgrade_and_what_runs() -> None:
    failure = helm_failure(
        target(),
        failed_release(
            {"upgrade": {"remediation": {"remediateLastFailure": True}}},
            Ready=("False", "RollbackSucceeded", "Helm rollback to previous release succeeded"),
            Released=("False", "UpgradeFailed", "context deadline exceeded"),
            Remediated=("True", "RollbackSucceeded", "Helm rollback to previous release"),
        ),
    )
    assert "UpgradeFailed: context deadline exceeded" in failure.message
    assert "Helm went back to the release before" in failure.sentence
    assert failure.hint.startswith("Git still says 1.5.0: undo it there; to go back: ")
    assert failure.by_image
    assert failure.patience == 0


def test_where_helm_has_gone_back_the_upgrade_is_named_and_not_the_image_that_runs_again() -> None:
    told = conditions(
        Ready=("False", "RollbackSucceeded", "Helm rollback to previous release succeeded"),
        Released=("False", "UpgradeFailed", "context deadline exceeded"),
        Remediated=("True", "RollbackSucceeded", "Helm rollback to previous release"),
    )
    release = helm_release(values(), {"conditions": told})
    before = workload(IMAGE.partition(":")[0] + ":1.4.2")
    failure = stand(target(), objects([release], before, pods=[])).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("helm", True)
    assert "Helm went back to the release before" in failure.sentence


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("RollbackFailed", "could not go back"),
        ("UninstallSucceeded", "has uninstalled the release"),
        ("UninstallFailed", "could not uninstall"),
    ],
)
def test_what_helm_did_after_a_failure_is_told(reason: str, said: str) -> None:
    status = "True" if reason.endswith("Succeeded") else "False"
    failure = helm_failure(
        target(),
        failed_release(
            Released=("False", "UpgradeFailed", "timed out"), Remediated=(status, reason, "")
        ),
    )
    assert said in failure.serving


@pytest.mark.parametrize(
    ("remediation", "patience"),
    [({}, 0.0), ({"retries": 0}, 0.0), ({"retries": 2}, 10.0), ({"retries": -1}, 10.0)],
)
def test_where_helm_is_to_go_back_that_is_waited_for_a_little(
    remediation: dict[str, Any], patience: float
) -> None:
    spec = {"upgrade": {"remediation": remediation}}
    said = ("False", "UpgradeFailed", "timed out")
    assert helm_failure(target(), failed_release(spec, Released=said)).patience == patience


@pytest.mark.parametrize(
    ("reason", "message", "patience"),
    [
        ("ArtifactFailed", "could not get Source object: chart not found", 30.0),
        ("SourceNotReady", "HelmChart 'shop/shop-cart' is not ready: chart not found", 30.0),
        ("SourceNotReady", "HelmChart 'shop/shop-cart' is not ready: i/o timed out", FOREVER),
    ],
)
def test_a_chart_that_is_not_there_is_not_the_images_fault(
    reason: str, message: str, patience: float
) -> None:
    failure = helm_failure(target(), failed_release(Ready=("False", reason, message)))
    assert (failure.whose, failure.by_image) == (Whose.CLUSTER, False)
    assert failure.patience == patience
    assert "helmchart" in failure.hint


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("UpgradeFailed", "pre-upgrade hooks failed: timed out waiting for the condition"),
        ("TestFailed", "job cart-test: timed out waiting for the condition"),
    ],
)
def test_a_hook_that_ran_out_of_time_is_not_laid_to_the_image(reason: str, said: str) -> None:
    """It may be a migration of another image, which the next one would meet as well."""
    failure = helm_failure(target(), failed_release(Ready=("False", reason, said)))
    assert (failure.code, failure.by_image) == ("helm", False)
    assert "and at its hooks: kubectl --namespace shop get jobs,pods" in failure.hint
    plain = failed_release(Ready=("False", "UpgradeFailed", "timed out waiting for the condition"))
    assert helm_failure(target(), plain).by_image


def test_a_chart_that_does_not_render_is_not_the_images_fault() -> None:
    said = "execution error at (cart/templates/web.yaml:3:14): the database is not ready"
    failure = helm_failure(target(), failed_release(Ready=("False", "UpgradeFailed", said)))
    assert not failure.by_image
    assert "helm template" in failure.hint

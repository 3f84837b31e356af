"""Ready is a proof or is not said: what a recording ends with, changed in one thing each."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.manifest.objects import selects
from gitops_rollback.rollout.appliers import read_source
from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.objects import Change, Objects, Query
from gitops_rollback.rollout.standing import State, View, Whose
from gitops_rollback.rollout.target import (
    KINDS,
    InGit,
    Match,
    Place,
    Relation,
    Target,
    about,
    belongings_of,
)
from gitops_rollback.rollout.workloads import read_pod, read_workload, selector_text
from unit.recordings import load
from unit.test_rollout_standing import ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.rollout.standing import Standing

    Found = dict[str, dict[str, Any]]
    Edit = Callable[[Found], None]

MIRROR = "mirror.example/acme/pause"
EARLIER = "e" * 40


def seen(target: Target, objects: Found, *denied: str, elsewhere: str = "") -> View | None:
    """Return what objects show of a target, all that has to be listed listed.

    `elsewhere` is a file that is followed in another cluster.
    """
    cluster = Objects(load("ready")["url"])
    cluster.elsewhere = frozenset({elsewhere})
    for one in objects.values():
        cluster.take(Change(Query(one["kind"]), (one,)))
    for kind in denied:
        cluster.take(Change(Query(kind), denied=True))
    for _ in range(3):  # what one query brings asks for others
        for query in cluster.queries(target):
            if query.kind == "Pod" or query.kind in KINDS:
                cluster.take(Change(query, whole=True, denied=query.kind in denied))
        for one in objects.values():
            if one["kind"] not in denied:
                cluster.take(Change(Query(one["kind"]), (one,)))
    return cluster.view(target, {EARLIER: Relation.BEFORE})


def stand(edit: Edit, *denied: str, **changed: Any) -> Standing:  # noqa: ANN401 - of a Target
    """Judge the recording of a deploy that is ready, after an edit of its objects."""
    target, objects = ended()
    copied: Found = json.loads(json.dumps(objects))
    edit(copied)
    target = replace(target, **changed)
    view = seen(target, copied, *denied)
    assert view is not None
    return judge(target, view)


def nothing(_objects: Found) -> None:
    """Leave all as it is."""


def template(objects: Found) -> dict[str, Any]:
    found: dict[str, Any] = objects["Deployment/cart"]["spec"]["template"]["spec"]["containers"][0]
    return found


def pods(objects: Found) -> list[dict[str, Any]]:
    return [one for key, one in objects.items() if key.startswith("Pod/")]


def spec(objects: Found) -> dict[str, Any]:
    found: dict[str, Any] = objects["Kustomization/apps"]["spec"]
    return found


def test_the_recording_itself_is_ready() -> None:
    assert stand(nothing).state is State.READY


# What applies it, and what it has applied


@pytest.mark.parametrize(
    ("where", "verb", "value"),
    [("annotations", "annotate", "disabled"), ("labels", "label", "Disabled")],
)
def test_an_object_that_flux_was_told_to_leave_alone_is_named(
    where: str, verb: str, value: str
) -> None:
    def edit(objects: Found) -> None:
        metadata = objects["Deployment/cart"]["metadata"]
        metadata["labels"] = {}
        metadata[where] = {"kustomize.toolkit.fluxcd.io/reconcile": value}
        template(objects)["image"] = "registry.k8s.io/pause:3.8"

    failure = stand(edit).suspicion
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("left-alone", Whose.OURS, False)
    assert f"reconcile: {value}" in failure.message
    assert f"{verb} deployment cart kustomize.toolkit.fluxcd.io/reconcile-" in failure.hint
    assert failure.field == f"metadata.{where}.kustomize.toolkit.fluxcd.io/reconcile"


def test_an_object_that_flux_leaves_alone_is_never_ready_though_its_pods_run_the_image() -> None:
    def edit(objects: Found) -> None:
        metadata = objects["Deployment/cart"]["metadata"]
        metadata["annotations"] = {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}

    standing = stand(edit)
    assert standing.state is State.APPLIED
    assert "/cart as it is (kustomize.toolkit.fluxcd.io/reconcile: disabled)" in standing.message
    assert standing.message.endswith("what else Git holds of it may not be there")
    noted = replace(ended()[0].places[0], left_alone="apps/cart.yaml:5: ssa: Flux leaves it alone")
    standing = stand(nothing, lands=(noted,))
    assert standing.state is State.APPLIED
    assert "(apps/cart.yaml:5: ssa: Flux leaves it alone): what else" in standing.message


@pytest.mark.parametrize(
    ("entry", "state"),
    [
        ("shop_cart_flagger.app_Canary", State.APPLIED),
        ("shop_web_argoproj.io_Rollout", State.APPLIED),
        ("shop_other_flagger.app_Canary", State.READY),
    ],
)
def test_a_workload_whose_pods_another_operator_steers_shows_nothing_of_what_serves(
    entry: str, state: State
) -> None:
    def edit(objects: Found) -> None:
        objects["Kustomization/apps"]["status"]["inventory"]["entries"].append({"id": entry})

    standing = stand(edit, belongings=frozenset({("Rollout", "web")}))
    assert standing.state is state
    assert ("decides which pods serve, and when" in standing.message) == (state is State.APPLIED)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        *((kind, State.APPLIED) for kind in ("Job", "ReplicaSet", "CloneSet", "Service", "Shop")),
        *((kind, State.READY) for kind in ("ConfigMap", "Secret", "Kustomization")),
    ],
)
def test_beside_a_workload_what_runs_the_image_in_its_own_way_is_not_looked_at(
    kind: str, state: State
) -> None:
    of_git = ended()[0].places[0]
    standing = stand(nothing, places=(of_git, Place("apps/more.yaml", kind, "more")))
    assert standing.state is state
    assert (f"{kind}/more is not looked at" in standing.message) == (state is State.APPLIED)


AT, TRIED = "lastAppliedRevision", "lastAttemptedRevision"
BEHIND = dict.fromkeys((AT, TRIED), f"main@sha1:{EARLIER}")
OF_TAG = {"sourceRef": {"kind": "GitRepository", "name": "tag"}}
OF_OCI = {"sourceRef": {"kind": "OCIRepository", "name": "all"}}
SETS = {"images": [{"name": "registry.k8s.io/pause", "newTag": "3"}]}


@pytest.mark.parametrize(
    ("spec_of_it", "status", "said"),
    [
        (OF_TAG, BEHIND, "all applies it too, from GitRepository/shop/tag at eeeeeeeeeeee: it"),
        (OF_TAG, {}, ""),
        ({}, BEHIND, ""),
        (OF_OCI, dict.fromkeys((AT, TRIED), f"latest@sha256:{'a' * 64}"),
         "/all applies it too, from OCIRepository/shop/all at aaaaaaaaaaaa: it may set"),
        (SETS, {}, "/all: spec.images makes registry.k8s.io/pause:3 of registry.k8s.io/pause: it"),
        ({}, {}, ""),
        ({**OF_TAG, "suspend": True}, BEHIND, ""),
        ({**OF_TAG, "kubeConfig": {}}, BEHIND, ""),
        (OF_TAG, {**BEHIND, "inventory": {"entries": []}}, ""),
    ],
)  # fmt: skip
def test_a_workload_that_another_kustomization_applies_too_may_get_another_image(
    spec_of_it: dict[str, Any], status: dict[str, Any], said: str
) -> None:
    """As where the folder of one lies within that of another: each sets what it has."""

    def edit(objects: Found) -> None:
        rival = json.loads(json.dumps(objects["Kustomization/apps"]))
        rival["metadata"]["name"] = "all"
        rival["spec"].update({"path": "./", **spec_of_it})
        rival["status"].update(status)
        objects["Kustomization/all"] = rival

    standing = stand(edit)
    assert standing.state is (State.APPLIED if said else State.READY), standing.message
    assert said in standing.message


def test_of_two_that_apply_it_the_one_that_fails_is_told_and_not_the_one_that_waits() -> None:
    def edit(objects: Found) -> None:
        objects.pop("Deployment/cart")
        for name, reason, said in (
            ("apps", "DependencyNotReady", "dependency 'shop/infra' is not ready"),
            ("blue", "BuildFailed", "accumulating resources from apps/cart.yaml: no such file"),
        ):
            one = json.loads(json.dumps(objects["Kustomization/apps"]))
            one["metadata"]["name"] = name
            one["status"].update(
                lastAppliedRevision=BEHIND[AT], conditions=[
                    {"type": "Ready", "status": "False", "reason": reason, "message": said}
                ]
            )  # fmt: skip
            objects[f"Kustomization/{name}"] = one

    standing = stand(edit)
    assert standing.failure is not None
    assert standing.failure.code == "build"


def test_another_object_of_the_same_name_shows_nothing() -> None:
    """It is there, runs the image, and is not among what our Kustomization has applied."""

    def edit(objects: Found) -> None:
        objects["Kustomization/apps"]["status"]["inventory"] = {"entries": []}

    standing = stand(edit)
    assert standing.state is State.APPLYING
    assert standing.suspicion is not None
    assert standing.suspicion.code == "missing"
    assert standing.nudge < standing.suspicion.patience  # deleted by hand, it is made anew


def test_a_kustomization_of_another_path_applies_nothing_of_ours() -> None:
    target, objects = ended()
    target = replace(target, places=(Place("clusters/production/cart.yaml", "Deployment", "cart"),))
    assert seen(target, objects) is None


def test_what_is_applied_to_another_cluster_is_not_seen_here() -> None:
    standing = stand(lambda objects: spec(objects).update(kubeConfig={"secretRef": {"name": "x"}}))
    assert standing.state is State.APPLIED
    assert "another cluster (spec.kubeConfig)" in standing.message


def test_a_workload_whose_name_a_kustomization_prefixed_is_found_in_the_inventory() -> None:
    def edit(objects: Found) -> None:
        objects["Deployment/cart"]["metadata"]["name"] = "prod-cart"
        entries = objects["Kustomization/apps"]["status"]["inventory"]["entries"]
        entries[0]["id"] = entries[0]["id"].replace("_cart_", "_prod-cart_")

    assert stand(edit).state is State.READY


def test_an_image_in_a_config_map_is_waited_for_where_it_is_substituted() -> None:
    target, objects = ended()
    target = replace(
        target,
        places=(Place("vars/images.yaml", "ConfigMap", "images"),),
    )
    copied: Found = json.loads(json.dumps(objects))
    spec(copied)["postBuild"] = {"substituteFrom": [{"kind": "ConfigMap", "name": "images"}]}
    variables = json.loads(json.dumps(copied["Kustomization/apps"]))
    variables["metadata"]["name"] = "vars"
    variables["spec"] |= {"path": "./vars", "postBuild": {}}
    variables["status"]["inventory"] = {"entries": [{"id": "shop_images__ConfigMap", "v": "v1"}]}
    copied["Kustomization/vars"] = variables
    view = seen(target, copied)
    assert view is not None
    assert {one.name.name for one in view.kustomizations} == {"vars", "apps"}
    assert judge(target, view).state is State.READY
    template(copied)["image"] = f"registry.k8s.io/pause:3.8@sha256:{'1' * 64}"
    view = seen(target, copied)
    assert view is not None
    standing = judge(target, view)
    assert standing.state is State.APPLYING
    assert standing.nudge == 0.0
    assert standing.suspicion is not None
    assert "spec.postBuild substitutes ConfigMap images" in standing.suspicion.message


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"images": [{"name": "registry.k8s.io/pause", "newName": "elsewhere/pause"}]},
            "spec.images makes elsewhere/pause of registry.k8s.io/pause",
        ),
        (
            {"images": [{"name": "registry.k8s.io/pause", "newTag": "3.8"}]},
            "spec.images makes registry.k8s.io/pause:3.8 of registry.k8s.io/pause",
        ),
        (
            {"patches": [{"patch": "spec: {template: {spec: {containers: [{image: x}]}}}",
                          "target": {"kind": "Deployment", "name": "cart"}}]},
            "spec.patches changes Deployment cart",
        ),
        ({"components": ["../pins"]}, "spec.components has ../pins"),
        ({"postBuild": {"substitute": {"TAG": "3.8"}}}, "spec.postBuild substitutes TAG"),
        *(
            ({"ignore": [{"paths": ["/metadata", path], "target": {"kind": "Deployment"}}]},
             f"spec.ignore leaves {path} of Deployment")
            for path in ("/spec", "/spec/template/spec/containers/0/image")
        ),
        ({"commonMetadata": {"labels": {"kustomize.toolkit.fluxcd.io/ssa": "IfNotPresent"}}},
         "spec.commonMetadata gives all kustomize.toolkit.fluxcd.io/ssa: IfNotPresent"),
    ],
)  # fmt: skip
def test_what_a_live_object_makes_of_the_manifest_is_named_from_it(
    more: dict[str, Any], said: str
) -> None:
    def edit(objects: Found) -> None:
        spec(objects).update(more)
        template(objects)["image"] = "elsewhere/pause:3.8"

    places = (Place("apps/cart.yaml", "Deployment", "cart", container="server"),)
    standing = stand(edit, places=places)
    assert standing.state is State.APPLYING
    failure = standing.suspicion
    assert failure is not None
    assert (failure.code, failure.by_image) == ("overridden", False)
    assert said in failure.message
    assert "get kustomization apps -o yaml" in failure.hint


@pytest.mark.parametrize(
    "more",
    [
        {"ignore": [{"paths": ["/spec/replicas"]}]},
        {"commonMetadata": {"labels": {"team": "shop"}}},
        {"patches": [{"patch": "- {op: replace, path: /metadata/name, value: other}"}]},
        {"patches": [{"patch": "- {op: replace, path: /spec/replicas, value: 3}"}]},
    ],
)
def test_what_leaves_images_as_they_are_is_not_named_for_one(more: dict[str, Any]) -> None:
    def edit(objects: Found) -> None:
        spec(objects).update(more)
        template(objects)["image"] = "elsewhere/pause:3.8"

    suspicion = stand(edit).suspicion
    assert suspicion is not None
    assert f"spec.{next(iter(more))}" not in suspicion.message


@pytest.mark.parametrize(
    "patch",
    ["$patch: delete", "- {op: replace, path: /metadata/name, value: other}"],
)
def test_a_live_patch_that_takes_a_workload_away_is_named_where_it_is_missing(patch: str) -> None:
    def edit(objects: Found) -> None:
        spec(objects)["patches"] = [{"patch": patch, "target": {"kind": "Deployment"}}]
        objects["Kustomization/apps"]["status"]["inventory"] = {"entries": []}

    suspicion = stand(edit).suspicion
    assert suspicion is not None
    assert suspicion.code == "missing"
    assert "Kustomization/shop/apps: spec.patches changes Deployment" in suspicion.message


def test_what_a_source_puts_in_from_another_repository_is_named_from_it() -> None:
    def edit(objects: Found) -> None:
        objects["GitRepository/shop"]["spec"]["include"] = [{"repository": {"name": "pins"}}]
        template(objects)["image"] = "elsewhere/pause:3.8"

    standing = stand(edit)
    assert standing.suspicion is not None
    assert (
        "GitRepository/shop/shop: spec.include puts in what pins has" in standing.suspicion.message
    )


# What the pods run


def test_pods_that_were_made_with_another_image_than_their_workload_says_are_named() -> None:
    def edit(objects: Found) -> None:
        for one in pods(objects):
            one["spec"]["containers"][0]["image"] = "elsewhere/pause:3.8"
            one["status"]["containerStatuses"][0]["imageID"] = ""

    standing = stand(edit)
    assert standing.state is State.ROLLING
    failure = standing.suspicion
    assert failure is not None
    assert (failure.code, failure.whose, failure.by_image) == ("overridden", Whose.CLUSTER, False)
    assert "its newest pods have elsewhere/pause:3.8" in failure.message
    assert "mutatingadmissionpolicies" in failure.hint


def test_a_mirror_is_the_same_image_by_its_digest_and_is_said() -> None:
    def edit(objects: Found) -> None:
        digest = template(objects)["image"].partition("@")[2]
        template(objects)["image"] = f"{MIRROR}@{digest}"
        for one in pods(objects):
            one["spec"]["containers"][0]["image"] = f"{MIRROR}@{digest}"

    standing = stand(edit)
    assert standing.state is State.READY
    assert f"as {MIRROR}@sha256:" in standing.warnings[0]
    assert "the same image by its digest" in standing.warnings[0]


@pytest.mark.parametrize(
    ("digest", "state"), [("", State.READY), ("9" * 64, State.ROLLING), (None, State.APPLIED)]
)
def test_the_tag_of_a_mirror_is_proven_by_what_the_runtime_took(
    digest: str | None, state: State
) -> None:
    def edit(objects: Found) -> None:
        deployed = template(objects)["image"].partition("@")[2]
        template(objects)["image"] = f"{MIRROR}:3.9"
        took = f"{MIRROR}@{f'sha256:{digest}' if digest else deployed}"
        for one in pods(objects):
            one["spec"]["containers"][0]["image"] = f"{MIRROR}:3.9"
            one["status"]["containerStatuses"][0]["imageID"] = took if digest is not None else ""

    standing = stand(edit)
    assert standing.state is state, standing.message
    told = standing.suspicion.message if standing.suspicion else " ".join(standing.warnings)
    assert f"{MIRROR}:3.9" in told


@pytest.mark.parametrize(
    ("reported", "state"), [("same", State.READY), ("", State.APPLIED), ("other", State.ROLLING)]
)
def test_a_tag_is_proven_by_what_the_runtime_took_alone(reported: str, state: State) -> None:
    def edit(objects: Found) -> None:
        name, _, digest = template(objects)["image"].partition("@")
        template(objects)["image"] = name
        took = {"same": f"x@{digest}", "": "docker://abc", "other": f"x@sha256:{'9' * 64}"}
        for one in pods(objects):
            one["spec"]["containers"][0]["image"] = name
            one["status"]["containerStatuses"][0]["imageID"] = took[reported]

    standing = stand(edit)
    assert standing.state is state, standing.message
    assert bool(standing.warnings) == (state is State.APPLIED)


def test_where_no_digest_is_known_nothing_is_proven() -> None:
    standing = stand(nothing, image=parse_image("registry.k8s.io/pause:3.9"))
    assert standing.state is State.APPLIED
    assert "no digest is known of 3.9" in standing.message


def test_pods_of_another_owner_with_the_same_labels_do_not_count() -> None:
    def edit(objects: Found) -> None:
        own = pods(objects)
        for number, one in enumerate(own):
            kind, name = ("Job", "tool") if number else ("ReplicaSet", "cart-7b7b8d84f4")
            one["metadata"]["ownerReferences"] = [{"controller": True, "kind": kind, "name": name}]

    standing = stand(edit)
    assert standing.state is State.ROLLING
    assert standing.message.endswith("the pods to report the image they run")


def test_pods_that_are_ready_have_to_stay_so_for_the_time_they_are_given() -> None:
    def edit(objects: Found) -> None:
        objects["Deployment/cart"]["spec"]["minReadySeconds"] = 30
        objects["Deployment/cart"]["status"].update(availableReplicas=0, readyReplicas=2)

    assert "its pods are ready, and have to be so for 30 s" in stand(edit).message


@pytest.mark.parametrize("kinds", [("Deployment",), tuple(KINDS), ("Pod",)])
def test_what_may_not_be_read_is_never_ready(kinds: tuple[str, ...]) -> None:
    standing = stand(nothing, *kinds)
    assert standing.state is State.APPLIED
    assert "may not be read here" in standing.message


def as_stateful_set(objects: Found, strategy: dict[str, Any]) -> None:
    """Let a StatefulSet have the pods, as its controller reports it after an update."""
    found = objects.pop("Deployment/cart")
    found["kind"] = "StatefulSet"
    found["spec"]["updateStrategy"] = strategy
    found["status"].update(currentRevision="a", updateRevision="a")
    objects["StatefulSet/cart"] = found
    for entry in objects["Kustomization/apps"]["status"]["inventory"]["entries"]:
        entry["id"] = entry["id"].replace("_Deployment", "_StatefulSet")
    for one in pods(objects):
        owner = {"controller": True, "kind": "StatefulSet", "name": "cart"}
        one["metadata"]["ownerReferences"] = [owner]


SET = (Place("apps/cart.yaml", "StatefulSet", "cart", container="server"),)
ON_DELETE = {"type": "OnDelete"}


def test_pods_that_somebody_has_deleted_and_that_crash_are_not_ready() -> None:
    def edit(objects: Found) -> None:
        as_stateful_set(objects, ON_DELETE)
        crash = {"waiting": {"reason": "CrashLoopBackOff"}}
        for one in pods(objects):
            one["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
            said = one["status"]["containerStatuses"][0]
            said.update(ready=False, restartCount=5, state=crash)

    failure = stand(edit, places=SET).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("crash", True)


BARE = (Place("apps/cart.yaml", "Pod", "cart"),)


def as_bare(took: str) -> Edit:
    """Return an edit that makes the cart a pod that Git holds itself; `took` is what it runs."""

    def edit(objects: Found) -> None:
        one = pods(objects)[0]
        for key in [key for key in objects if key.startswith(("Pod/", "Deployment/"))]:
            del objects[key]
        one["metadata"].update(name="cart", ownerReferences=[])
        one["status"]["containerStatuses"][0]["imageID"] = took
        objects["Pod/cart"] = one
        inventory = {"entries": [{"id": "shop_cart__Pod", "v": "v1"}]}
        objects["Kustomization/apps"]["status"]["inventory"] = inventory

    return edit


def test_a_pod_that_git_holds_is_ready_once_its_runtime_took_the_digest() -> None:
    digest = ended()[0].image.digest
    assert stand(as_bare(f"registry.k8s.io/pause@{digest}"), places=BARE).state is State.READY
    before = stand(as_bare(f"registry.k8s.io/pause@sha256:{'1' * 64}"), places=BARE)
    assert before.state is State.ROLLING
    assert "still runs server with an earlier image" in before.message
    unknown = stand(as_bare("docker://abc"), places=BARE)
    assert unknown.state is State.APPLIED
    assert "the runtime reports none that it took" in unknown.message


def test_a_pod_that_git_holds_and_that_may_not_be_read_is_only_applied() -> None:
    assert stand(as_bare("x"), "Pod", places=BARE).state is State.APPLIED


def test_of_several_workloads_the_one_that_fails_is_told() -> None:
    def edit(objects: Found) -> None:
        slow = json.loads(json.dumps(objects["Deployment/cart"]))
        slow["metadata"]["name"] = "aside"
        slow["status"].update(updatedReplicas=0)
        objects["Deployment/aside"] = slow
        entries = objects["Kustomization/apps"]["status"]["inventory"]["entries"]
        entries.append({"id": "shop_aside_apps_Deployment", "v": "v1"})
        objects["Deployment/cart"]["status"].update(availableReplicas=0, readyReplicas=0)
        for one in pods(objects):
            one["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
            one["status"]["containerStatuses"][0].update(restartCount=5, state=state)

    both = tuple(Place("apps/cart.yaml", "Deployment", name) for name in ("aside", "cart"))
    failure = stand(edit, places=both).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("crash", True)


@pytest.mark.parametrize(
    "strategy", [ON_DELETE, {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}]
)
def test_where_no_pod_is_there_none_is_ready(strategy: dict[str, Any]) -> None:
    def edit(objects: Found) -> None:
        as_stateful_set(objects, strategy)
        for key in [key for key in objects if key.startswith("Pod/")]:
            del objects[key]

    standing = stand(edit, places=SET)
    assert standing.state is State.ROLLING
    assert "the pods to report the image they run" in standing.message
    assert standing.suspicion is not None
    assert standing.suspicion.code == "create"


def test_a_stateful_set_whose_pods_were_all_deleted_by_hand_and_run_is_ready() -> None:
    standing = stand(lambda objects: as_stateful_set(objects, ON_DELETE), places=SET)
    assert standing.state is State.READY, standing.message


def without_pods(objects: Found, kind: str, image: str, container: str = "server") -> None:
    """Let a workload want no pods now: a CronJob, or 0 replicas."""
    found = objects.pop("Deployment/cart")
    found["kind"] = kind
    pod = found["spec"]["template"]
    pod["spec"]["containers"][0].update(image=image, name=container)
    job = {"jobTemplate": {"spec": {"template": pod}}}
    found["spec"] = job if kind == "CronJob" else {**found["spec"], "replicas": 0}
    found["status"] = {"observedGeneration": found["metadata"]["generation"]}
    objects[f"{kind}/cart"] = found
    for entry in objects["Kustomization/apps"]["status"]["inventory"]["entries"]:
        entry["id"] = entry["id"].replace("_apps_Deployment", f"_{KINDS[kind][0]}_{kind}")
    for key in [key for key in objects if key.startswith("Pod/")]:
        del objects[key]


def image_of_recording() -> str:
    image: str = template(ended()[1])["image"]
    return image


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
@pytest.mark.parametrize("has_digest", [True, False])
def test_what_the_next_pods_run_is_proven_by_a_digest_alone(
    kind: str,
    has_digest: bool,  # noqa: FBT001 - of a table
) -> None:
    image = image_of_recording()
    text = image if has_digest else image.partition("@")[0]
    places = (Place("apps/cart.yaml", kind, "cart", container="server"),)
    standing = stand(lambda objects: without_pods(objects, kind, text), places=places)
    assert standing.state is (State.READY if has_digest else State.APPLIED)
    assert "3.9 is what the next pods run (none is wanted now)" in standing.message
    assert ("is not proven: registry.k8s.io/pause:3.9 has no digest" in standing.message) == (
        not has_digest
    )


@pytest.mark.parametrize("kind", ["CronJob", "Deployment"])
def test_a_workload_without_the_services_container_was_not_told(kind: str) -> None:
    for container in ("server", ""):
        places = (Place("apps/cart.yaml", kind, "cart", container=container),)
        standing = stand(
            lambda objects: without_pods(objects, kind, "acme/proxy:1", "proxy"), places=places
        )
        assert standing.state is State.APPLYING, standing.message
        assert standing.suspicion is not None
        assert standing.suspicion.code == "overridden"
        what = container or "of registry.k8s.io/pause"
        assert f"{kind}/shop/cart runs no container {what}" in standing.message


def test_one_of_two_containers_that_is_not_there_was_not_told() -> None:
    places = tuple(
        Place("apps/cart.yaml", "Deployment", "cart", container=name)
        for name in ("server", "worker")
    )
    standing = stand(nothing, places=places)
    assert standing.state is State.APPLYING
    assert "runs no container worker" in standing.message


def test_a_place_that_is_no_container_is_not_looked_at_and_that_is_said() -> None:
    """An image volume; and of two documents with one name, the second is told by a number."""
    names = ("server", "server#2", "volume:data")
    places = tuple(Place("apps/cart.yaml", "Deployment", "cart", container=n) for n in names)
    assert stand(nothing, places=places[:2]).state is State.READY
    standing = stand(nothing, places=places)
    assert standing.state is State.APPLIED
    assert "whether volume:data has 3.9 is not looked at" in standing.message
    alone = stand(nothing, places=places[2:])
    assert alone.state is State.APPLIED


def test_no_digest_is_told_that_nobody_has_seen() -> None:
    def edit(objects: Found) -> None:
        name = template(objects)["image"].partition("@")[0]
        template(objects)["image"] = name
        for one in pods(objects):
            one["spec"]["containers"][0]["image"] = name
            one["status"]["containerStatuses"][0]["imageID"] = ""

    standing = stand(edit)
    assert "2 pods run 3.9; " in standing.message
    assert "2 pods run 3.9 (sha256:" in stand(nothing).message


# After a suspension


def suspend_while_it_checks(objects: Found) -> None:
    """Somebody suspends the Kustomization while it waits for the health of our revision."""
    spec(objects)["suspend"] = True
    status = objects["Kustomization/apps"]["status"]
    status["lastAppliedRevision"] = f"main@sha1:{EARLIER}"
    revision = status["lastAttemptedRevision"]
    said = f"Running health checks for revision {revision} with a timeout of 30s"
    status["conditions"] = [
        {"type": "Reconciling", "status": "True", "reason": "Progressing", "message": said},
        {"type": "Ready", "status": "Unknown", "reason": "Progressing", "message": "in progress"},
    ]


def test_what_was_applied_before_a_suspension_is_ready_by_its_pods() -> None:
    standing = stand(suspend_while_it_checks)
    assert standing.state is State.READY
    assert "is suspended: it applies nothing more" in standing.warnings[0]


def test_after_a_suspension_the_failure_of_the_pods_is_named() -> None:
    def edit(objects: Found) -> None:
        suspend_while_it_checks(objects)
        objects["Deployment/cart"]["status"]["availableReplicas"] = 0
        waiting = {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}
        for one in pods(objects):
            one["status"]["containerStatuses"][0].update(ready=False, state=waiting)

    failure = stand(edit).failure
    assert failure is not None
    assert (failure.code, failure.by_image) == ("pull", True)


def test_what_flux_only_began_with_before_a_suspension_is_not_ready_by_an_edit_by_hand() -> None:
    """It could not build the revision, and somebody set the image: the rest of it is not there."""

    def edit(objects: Found) -> None:
        suspend_while_it_checks(objects)
        building, ready = objects["Kustomization/apps"]["status"]["conditions"]
        building["message"] = building["message"].replace("Running health checks", "Building")
        ready.update(status="False", reason="BuildFailed", message="accumulating resources")

    failure = stand(edit).suspicion
    assert failure is not None
    assert failure.code == "suspended"


def test_what_was_not_applied_before_a_suspension_waits_for_somebody_to_resume_it() -> None:
    def edit(objects: Found) -> None:
        suspend_while_it_checks(objects)
        template(objects)["image"] = f"registry.k8s.io/pause:3.8@sha256:{'1' * 64}"

    failure = stand(edit).suspicion
    assert failure is not None
    assert failure.code == "suspended"


# A health check of a bad image


def checking(objects: Found, *, healthy: bool = False) -> None:
    """Flux still waits for the health of an earlier revision."""
    status = objects["Kustomization/apps"]["status"]
    for key in ("lastAppliedRevision", "lastAttemptedRevision"):
        status[key] = f"main@sha1:{EARLIER}"
    said = f"Running health checks for revision main@sha1:{EARLIER} with a timeout of 9m30s"
    status["conditions"] = [
        {"type": "Reconciling", "status": "True", "message": said},
        {"type": "Ready", "status": "Unknown", "reason": "Progressing", "message": said},
    ]
    template(objects)["image"] = f"registry.k8s.io/pause:bad@sha256:{'0' * 64}"
    if not healthy:
        objects["Deployment/cart"]["status"]["updatedReplicas"] = 1


def test_the_command_that_ends_a_health_check_of_a_bad_image_is_told_filled_in() -> None:
    image = f"registry.k8s.io/pause:3.9@sha256:{'3' * 64}"
    places = (Place("apps/cart.yaml", "Deployment", "cart", container="server", value=image),)
    standing = stand(checking, places=places)
    assert standing.state is State.APPLYING
    [one] = standing.hastens
    assert one.pointer == "/spec/template/spec/containers/0"
    assert one.instead_of.startswith("registry.k8s.io/pause:bad@")
    command = f"kubectl --namespace shop set image deployment/cart server={image}"
    assert one.command == command
    assert command in standing.message
    named = replace(one, context="east")
    assert named.command.startswith("kubectl --context east --namespace shop set image")


@pytest.mark.parametrize("what", ["healthy", "unknown text", "not fetched"])
def test_nothing_is_hastened_that_would_end_no_check_or_is_not_known(what: str) -> None:
    def edit(objects: Found) -> None:
        checking(objects, healthy=what == "healthy")
        if what == "not fetched":
            artifact = objects["GitRepository/shop"]["status"]["artifact"]
            artifact["revision"] = f"main@sha1:{EARLIER}"

    value = "" if what == "unknown text" else "registry.k8s.io/pause:3.9"
    places = (Place("apps/cart.yaml", "Deployment", "cart", container="server", value=value),)
    assert stand(edit, places=places).hastens == ()


# Whose it is


def test_what_the_pods_take_belongs_to_the_service() -> None:
    manifest = {
        "kind": "StatefulSet",
        "metadata": {"name": "cart"},
        "spec": {
            "replicas": 2,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "template": {
                "spec": {
                    "serviceAccountName": "cart",
                    "imagePullSecrets": [{"name": "pull"}],
                    "volumes": [
                        {"persistentVolumeClaim": {"claimName": "old"}},
                        {"configMap": {"name": "settings"}},
                        {"secret": {"secretName": "tls"}},
                        {"projected": {"sources": [{"secret": {"name": "token"}}]}},
                    ],
                    "containers": [
                        {
                            "envFrom": [{"configMapRef": {"name": "env"}}],
                            "env": [{"valueFrom": {"secretKeyRef": {"name": "db"}}}],
                        }
                    ],
                }
            },
        },
    }
    assert belongings_of(manifest) == {
        ("ServiceAccount", "cart"),
        ("Secret", "pull"),
        ("PersistentVolumeClaim", "old"),
        ("PersistentVolumeClaim", "data-cart-0"),
        ("PersistentVolumeClaim", "data-cart-1"),
        ("ConfigMap", "settings"),
        ("Secret", "tls"),
        ("Secret", "token"),
        ("ConfigMap", "env"),
        ("Secret", "db"),
    }
    assert belongings_of({"kind": "Pod", "spec": {"serviceAccountName": "x"}}) == {
        ("ServiceAccount", "x")
    }


CART = {
    "kind": "Deployment",
    "metadata": {"name": "cart"},
    "spec": {"template": {"metadata": {"labels": {"app": "cart", "tier": "web"}}}},
}


@pytest.mark.parametrize(
    ("kind", "spec", "is_own"),
    [
        ("Service", {"selector": {"app": "cart"}}, True),
        ("Service", {"selector": {"app": "other"}}, False),
        ("Service", {"selector": {}}, False),
        ("Service", {}, False),
        ("PodDisruptionBudget", {"selector": {"matchLabels": {"tier": "web"}}}, True),
        ("NetworkPolicy", {"podSelector": {"matchLabels": {"app": "cart"}}}, True),
        ("Deployment", {"selector": {"matchLabels": {"app": "cart"}}}, False),
        ("HorizontalPodAutoscaler", {"scaleTargetRef": {"name": "cart"}}, True),
        ("HorizontalPodAutoscaler", {"scaleTargetRef": {"name": "other"}}, False),
        ("VerticalPodAutoscaler", {"targetRef": {"name": "cart"}}, True),
        ("Rollout", {"workloadRef": {"kind": "Deployment", "name": "cart"}}, True),
        ("Ingress", {"rules": [{"http": {"paths": [{"backend": {"service": {"name": "web"}}}]}}]},
         True),
        ("Ingress", {"defaultBackend": {"service": {"name": "other"}}}, False),
        ("HTTPRoute", {"rules": [{"backendRefs": [{"name": "cart"}]}]}, True),
    ],
)  # fmt: skip
def test_what_is_about_a_workload_is_the_services_own(
    kind: str,
    spec: dict[str, Any],
    is_own: bool,  # noqa: FBT001 - of a table
) -> None:
    one = {"kind": kind, "metadata": {"name": "it"}, "spec": spec}
    web = {"kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "cart"}}}
    assert ((kind, "it") in about([CART], [one, web])) == is_own


def test_what_is_called_as_a_workload_is_its_own_whatever_its_kind() -> None:
    place = Place("apps/cart.yaml", "Deployment", "cart")
    target = Target("cart", "live", parse_image("acme/cart:1"), "c" * 40, "main", (place,))
    assert target.owns("Service/shop/cart")
    assert not target.owns("Service/shop/cart-db")


def test_what_git_holds_beside_a_service_is_read_only_where_its_name_does_not_tell() -> None:
    asked = []

    def in_git() -> InGit:
        asked.append("once more")
        return InGit(own=frozenset({("Secret", "db")}))

    target = replace(ended()[0], in_git=in_git, spaces=frozenset({"shop"}), is_placed=True)
    assert target.owns("Deployment/shop/cart")
    assert not asked
    assert target.owns("Secret/shop/db")
    assert not target.owns("Secret/shop/other")
    assert asked


IN_GIT = InGit(
    own=frozenset({("Secret", "db"), ("ServiceMonitor", "cart")}),
    elsewhere=frozenset({"ServiceMonitor/monitoring/cart"}),
    others=frozenset({("Deployment", "cart"), ("ServiceMonitor", "cart")}),
)


@pytest.mark.parametrize(
    ("name", "spaces", "is_own"),
    [
        ("Deployment/shop/cart", {"shop"}, True),
        ("Deployment/other/cart", {"shop"}, False),
        ("Deployment/other/cart", {"shop", "other"}, True),
        ("Service/other/cart", {"shop"}, False),
        ("Secret/shop/db", {"shop"}, True),
        ("Secret/other/db", {"shop"}, False),
        ("ServiceMonitor/monitoring/cart", {"shop"}, True),
        ("ServiceMonitor/other/cart", {"shop"}, False),
        ("ClusterRole/cart", {"shop"}, True),
        ("Deployment/shop/cart", set(), False),
        ("Deployment/cart", {"shop"}, False),
        ("Secret/shop/db", set(), True),
    ],
)
def test_what_is_called_alike_in_another_namespace_is_another_teams(
    name: str,
    spaces: set[str],
    is_own: bool,  # noqa: FBT001 - of a table
) -> None:
    target = replace(ended()[0], in_git=lambda: IN_GIT, spaces=frozenset(spaces), is_placed=True)
    assert target.owns(name) is is_own
    assert target.holds_image(name) is (is_own and name.startswith("Deployment/"))


REFUSED = (
    'Deployment/{}/cart dry-run failed (Invalid): Deployment.apps "cart" is invalid: '
    "spec.template.spec.containers[0].image: Required value"
)


def in_shop(objects: Found) -> None:
    refuse(objects, REFUSED.format("shop"))
    del spec(objects)["targetNamespace"]


def in_other(objects: Found) -> None:
    refuse(objects, REFUSED.format("other"))
    del spec(objects)["targetNamespace"]


def given_other(objects: Found) -> None:
    in_other(objects)
    spec(objects)["targetNamespace"] = "other"


def not_there(objects: Found) -> None:
    in_shop(objects)
    del objects["Deployment/cart"]


def not_there_but_given(objects: Found) -> None:
    not_there(objects)
    spec(objects)["targetNamespace"] = "shop"


def as_in_git(*spaces: str, is_sure: bool = True) -> tuple[Place, ...]:
    place = ended()[0].places[0]
    return tuple(replace(place, namespace=one, is_sure=is_sure) for one in spaces)


@pytest.mark.parametrize(
    ("edit", "lands", "by_image"),
    [
        (in_shop, as_in_git("shop"), True),
        (in_shop, (), False),
        (in_other, (), False),
        (in_other, as_in_git("shop"), False),
        (given_other, as_in_git("shop"), True),
        (not_there, as_in_git("shop"), True),
        (not_there, as_in_git("prod"), False),
        (not_there, as_in_git("shop", is_sure=False), False),
        (not_there, as_in_git(""), False),
        (not_there, (), False),
        (not_there_but_given, (), True),
    ],
)
def test_an_image_is_blamed_only_where_the_failure_is_in_the_services_namespace(
    edit: Edit, lands: tuple[Place, ...], *, by_image: bool
) -> None:
    failure = stand(edit, lands=lands, in_git=lambda: IN_GIT).failure
    assert failure is not None
    assert (failure.by_image, failure.whose is Whose.OURS) == (by_image, by_image)


@pytest.mark.parametrize("more", [nothing, lambda objects: objects.pop("Deployment/cart")])
def test_what_is_applied_under_its_name_tells_a_services_namespace(more: Edit) -> None:
    def edit(objects: Found, name: str) -> None:
        refuse(objects, REFUSED.format(name))
        del spec(objects)["targetNamespace"]
        more(objects)

    for name, by_image in (("shop", True), ("other", False)):
        failure = stand(partial(edit, name=name)).failure
        assert failure is not None
        assert failure.by_image is by_image

    def twice(objects: Found) -> None:
        edit(objects, "other")
        status = objects["Kustomization/apps"]["status"]
        status["inventory"]["entries"].append({"id": "other_cart_apps_Deployment"})

    failure = stand(twice).failure
    assert failure is not None
    assert not failure.by_image


def refuse(objects: Found, message: str) -> None:
    status = objects["Kustomization/apps"]["status"]
    status["lastAppliedRevision"] = f"main@sha1:{EARLIER}"
    status["conditions"] = [
        {"type": "Ready", "status": "False", "reason": "ReconciliationFailed", "message": message}
    ]


SAID = "Deployment/shop/{} dry-run failed (Forbidden): {}"
DENIED = 'admission webhook "{}.example" denied the request: {}'
BY_POLICY = (
    "ValidatingAdmissionPolicy 'registries' with binding 'all' denied request: images have to come "
    "from the registry of acme"
)


@pytest.mark.parametrize(
    ("name", "message", "by_image"),
    [
        ("cart", DENIED.format("verify", "image registry.k8s.io/pause:3.9 is not signed"), True),
        ("cart", BY_POLICY, True),
        ("cart", DENIED.format("limits", "memory limit is missing"), False),
        ("cart", DENIED.format("k", "resource Deployment/shop/pause was blocked: limits"), False),
        ("cart", 'violates PodSecurity "restricted": (container "image-registry" must …)', False),
        ("other", DENIED.format("verify", "image acme/other:1 is not signed"), False),
    ],
)
def test_a_policy_that_refuses_the_image_is_by_the_image(
    name: str,
    message: str,
    by_image: bool,  # noqa: FBT001 - of a table
) -> None:
    failure = stand(lambda objects: refuse(objects, SAID.format(name, message))).failure
    assert failure is not None
    assert failure.by_image == by_image
    assert (failure.code == "policy") == by_image
    assert ("to go back" in failure.hint) == by_image


def test_a_policy_that_refuses_the_pods_for_their_image_is_by_the_image() -> None:
    def edit(objects: Found) -> None:
        status = objects["Deployment/cart"]["status"]
        status["updatedReplicas"] = 0
        said = (
            'admission webhook "mutate.kyverno" denied the request: failed to verify image '
            "registry.k8s.io/pause:3.9: no matching signatures"
        )
        status["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": said}]

    suspicion = stand(edit).suspicion
    assert suspicion is not None
    assert (suspicion.code, suspicion.by_image) == ("policy", True)


def test_the_services_own_claim_is_its_own() -> None:
    said = (
        'PersistentVolumeClaim/shop/data dry-run failed (Invalid): PersistentVolumeClaim "data" is'
        " invalid: spec.resources.requests.storage: Forbidden: field can not be less than status"
    )
    failure = stand(lambda objects: refuse(objects, said)).failure
    assert failure is not None
    assert failure.whose is Whose.OTHER
    own = frozenset({("PersistentVolumeClaim", "data")})
    failure = stand(lambda objects: refuse(objects, said), belongings=own).failure
    assert failure is not None
    assert (failure.whose, failure.by_image) == (Whose.OURS, False)

    def mounted(objects: Found) -> None:
        refuse(objects, said)
        pod = objects["Deployment/cart"]["spec"]["template"]["spec"]
        pod["volumes"] = [{"persistentVolumeClaim": {"claimName": "data"}}]

    failure = stand(mounted).failure
    assert failure is not None
    assert failure.whose is Whose.OURS


# The small parts


@pytest.mark.parametrize(
    ("ref", "branch", "follows"),
    [
        ({}, "master", "branch master"),
        ({"branch": "main"}, "main", "branch main"),
        ({"name": "refs/heads/main"}, "main", "branch main"),
        ({"name": "refs/pull/1/head"}, "", "ref refs/pull/1/head"),
        ({"tag": "v1"}, "", "tag v1"),
        ({"tag": "v1", "semver": ">=1.0"}, "", "semver >=1.0"),
        ({"branch": "main", "commit": "c" * 40}, "", f"commit {'c' * 40}"),
    ],
)
def test_what_a_source_follows_is_told_in_words(
    ref: dict[str, str], branch: str, follows: str
) -> None:
    found = read_source({"spec": {"url": "https://example.com/x", "ref": ref}})
    assert (found.branch, found.follows) == (branch, follows)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("acme/cart:1.5.0", Match.SAME),
        (f"acme/cart:1.5.0@sha256:{'2' * 64}", Match.SAME),
        (f"acme/cart:renamed@sha256:{'2' * 64}", Match.SAME),
        (f"acme/cart:1.5.0@sha256:{'3' * 64}", Match.OTHER),
        ("acme/cart:1.4.0", Match.OTHER),
        ("acme/cart", Match.OTHER),
        (f"mirror.example/x:y@sha256:{'2' * 64}", Match.MIRROR),
        ("mirror.example/hub/acme/cart:1.5.0", Match.MIRROR),
        ("mirror.example/acme/cart:1.4.0", Match.OTHER),
        ("mirror.example/other/cart:1.5.0", Match.OTHER),
        (f"mirror.example/acme/cart:1.5.0@sha256:{'3' * 64}", Match.OTHER),
        ("{{ image }}", Match.OTHER),
    ],
)
def test_how_a_live_image_stands_to_the_one_that_is_waited_for(text: str, match: Match) -> None:
    image = parse_image(f"acme/cart:1.5.0@sha256:{'2' * 64}")
    assert Target("cart", "default", image, "c" * 40, "main", ()).match(text) is match


@pytest.mark.parametrize(
    ("expression", "text", "fits"),
    [
        ({"key": "app", "operator": "In", "values": ["cart", "web"]}, "app in (cart,web)", True),
        ({"key": "app", "operator": "NotIn", "values": ["cart"]}, "app notin (cart)", False),
        ({"key": "tier", "operator": "NotIn", "values": ["x"]}, "tier notin (x)", True),
        ({"key": "app", "operator": "Exists"}, "app", True),
        ({"key": "tier", "operator": "DoesNotExist"}, "!tier", True),
    ],
)
def test_a_selector_selects_as_the_api_server_does(
    expression: dict[str, Any], text: str, fits: bool  # noqa: FBT001 - of a table
) -> None:  # fmt: skip
    found = {"spec": {"selector": {"matchExpressions": [expression]}}}
    selector = read_workload(found, "Deployment").selector
    assert selector_text(selector) == text
    assert selects(selector, {"app": "cart"}) == fits


def test_an_empty_selector_selects_nothing_of_ours() -> None:
    assert selector_text({"matchLabels": {}}) == ""
    nobody_knows = {"matchExpressions": [{"key": "app", "operator": "Near"}]}
    assert not selects(nobody_knows, {"app": "cart"})
    pod = read_pod({"metadata": {"name": "x", "namespace": "shop"}})
    workload = read_workload({"metadata": {"name": "cart", "namespace": "shop"}}, "Deployment")
    assert not pod.is_of(workload.name, workload.selector)


def as_bad_pod_of_before(objects: Found) -> None:
    """Let one of a StatefulSet's pods have an image that never came, from before a rollback."""
    as_stateful_set(objects, {"type": "RollingUpdate"})
    objects["StatefulSet/cart"]["status"].update(currentRevision="a", updateRevision="b")
    objects["StatefulSet/cart"]["status"].update(updatedReplicas=1, availableReplicas=1)
    one = pods(objects)[0]
    one["spec"]["containers"][0]["image"] = "registry.k8s.io/pause:bad"
    one["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    waits = {"waiting": {"reason": "ImagePullBackOff"}}
    one["status"]["containerStatuses"][0].update(ready=False, imageID="", state=waits)


def test_a_pod_for_which_a_stateful_set_waits_for_ever_is_named_with_what_frees_it() -> None:
    standing = stand(as_bad_pod_of_before, places=SET)
    failure = standing.suspicion
    assert failure is not None
    assert (failure.code, failure.by_image, failure.patience) == ("stuck", False, 15.0)
    assert "which has registry.k8s.io/pause:bad and is not ready (ImagePullBackOff)" in (
        failure.message
    )
    assert f"--namespace shop delete pod {failure.object.rpartition('/')[2]};" in failure.hint


def as_bad_pod_on_delete(objects: Found) -> None:
    as_bad_pod_of_before(objects)
    objects["StatefulSet/cart"]["spec"]["updateStrategy"] = ON_DELETE


def test_pods_that_a_person_deletes_anyway_stop_no_stateful_set() -> None:
    standing = stand(as_bad_pod_on_delete, places=SET)
    assert standing.suspicion is None or standing.suspicion.code != "stuck"


@pytest.mark.parametrize(
    ("image", "owner", "state"),
    [
        ("registry.k8s.io/pause:bad", "", State.APPLIED),
        ("", "", State.READY),
        ("registry.k8s.io/pause:bad", "ReplicaSet/legacy-5f7b6", State.APPLIED),
        ("", "ReplicaSet/legacy-5f7b6", State.READY),
        ("registry.k8s.io/other:bad", "ReplicaSet/legacy-5f7b6", State.READY),
        ("registry.k8s.io/pause:bad", "Job/migrate", State.READY),
    ],
)
def test_a_pod_beside_them_is_named_where_it_runs_another_image(
    image: str, owner: str, state: State
) -> None:
    """Nobody owns it, or a workload that was called otherwise: a Service leads to it, too."""

    def edit(objects: Found) -> None:
        one = json.loads(json.dumps(pods(objects)[0]))
        one["metadata"]["name"] = "beside"
        for own in pods(objects):
            owned_by(own, "ReplicaSet/cart-7d9c8")
        if owner:
            owned_by(one, owner)
        if image:
            one["spec"]["containers"][0]["image"] = image
            one["status"]["containerStatuses"][0]["imageID"] = ""
        objects["Pod/beside"] = one

    standing = stand(edit)
    assert standing.state is state, standing.message
    said = f"Pod/shop/beside, which {owner or 'nothing'} owns"
    assert any(said in one for one in standing.warnings) == (state is State.APPLIED)
    assert "2 pods run" in standing.message


def owned_by(pod: dict[str, Any], owner: str) -> None:
    kind, _, name = owner.partition("/")
    pod["metadata"]["ownerReferences"] = [{"controller": True, "kind": kind, "name": name}]


def test_old_pods_that_stay_beside_all_that_are_wanted_were_not_altered() -> None:
    """A ReplicaSet that the Deployment no longer counts has them, say: nothing changes pods."""

    def edit(objects: Found) -> None:
        one = json.loads(json.dumps(pods(objects)[0]))
        one["metadata"]["name"] = "cart-5f7b6-x"
        one["spec"]["containers"][0]["image"] = "registry.k8s.io/pause:3.8"
        one["status"]["containerStatuses"][0]["imageID"] = ""
        for own in pods(objects):
            owned_by(own, "ReplicaSet/cart-7d9c8")
        owned_by(one, "ReplicaSet/cart-5f7b6")
        objects["Pod/cart-5f7b6-x"] = one

    standing = stand(edit)
    assert (standing.state, standing.suspicion) == (State.ROLLING, None)
    assert standing.message.endswith("1 old pods are still there: Pod/shop/cart-5f7b6-x")

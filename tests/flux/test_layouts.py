"""Layouts: what `wait` says after a deploy and after a rollback, beside what really runs.

A state is judged by the pods: `ready` has to be what runs, and a change that runs has to be told as
`ready`, or as `applied` where it cannot be proven. With GITOPS_LAYOUTS=FILE each row of the table
of docs/flux.md is added to a file.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flux.account import PAGE
from flux.charts import CHART, VALUES, chart, helm_chart, release, released
from flux.fleet import CART, REPOSITORY, VERSIONS, Fleet, deployment, image
from flux.steps import (
    CONFIG,
    OTHER,
    annotate,
    autoscaled,
    by_hand,
    chart_host,
    chart_registry,
    circle,
    commit,
    follows,
    from_kind,
    from_tag,
    included,
    may_not_delete,
    meanwhile,
    moved,
    mutated,
    name_namespaces,
    name_space,
    needs,
    node_away,
    of_repository,
    overlaid,
    patch,
    quota,
    refused,
    restricted,
    set_by_hand,
    signed_only,
    twin,
    two_volumes,
    versions,
)
from flux.test_kinds import manifest
from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from flux.steps import Step

    Open = Callable[[dict[str, str]], Fleet]

NONE = "sha256:" + "0" * 64
VERSIONED = """\
[services.cart]
image = "registry.k8s.io/pause"
manifests = ["versions/versions.yaml"]
fields = ["/data/CART_IMAGE"]
"""


@dataclass(frozen=True)
class Layout:
    """Files of the repository, what Flux is told, and what is due.

    `first` happens before Flux is told, `before` before the deploy. `states` are those of deploy
    and rollback; `seconds` bound each wait. What is told of the deploy has the words `says`, and a
    failure this code. Health is checked only where that matters: Flux ends a
    check only every five seconds, and begins nothing else before.
    """

    files: dict[str, str]
    states: tuple[str, str] = ("ready", "ready")
    flux: dict[str, Any] = field(default_factory=dict)
    first: Step = lambda _fleet: None
    before: Step = lambda _fleet: None
    tag: str = "3.9"
    seconds: int = 90  # bound what is slow on a busy machine: what fails ends before
    arguments: tuple[str, ...] = ()
    says: str = ""
    code: str = ""
    place: Place = field(default_factory=lambda: Place(CART, "Deployment", "cart"))


def cart(**spec: Any) -> dict[str, str]:  # noqa: ANN401 - fields of a spec
    return {CART: deployment("cart", image("3.8"), **spec)}


def of_kind(kind: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    return {"files": {CART: manifest(kind, **spec)}, "place": Place(CART, kind, "cart")}


def kustomized(**more: Any) -> dict[str, str]:  # noqa: ANN401 - fields of a kustomization
    document = {"kind": "Kustomization", "resources": ["cart.yaml"], **more}
    return {"apps/kustomization.yaml": json.dumps(document) + "\n"}


def kustomized_by_flux(**spec: Any) -> str:  # noqa: ANN401 - fields of a spec
    """Return a Flux Kustomization of `./cart`, as Git holds it."""
    source = {"kind": "GitRepository", "name": "shop"}
    common = {"interval": "10m", "path": "./cart", "prune": True, "sourceRef": source}
    document = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
                "metadata": {"name": "cart"},
                "spec": {**common, "targetNamespace": "OWN", **spec}}  # fmt: skip
    return json.dumps(document, indent=1) + "\n"


CHECKED = {"wait": True}
OF_TWO = {"containers": [{"name": name, "image": image("3.8")} for name in ("server", "side")]}
RWM = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart"]}]}
HELM: dict[str, Any] = {
    "place": Place(CART, "HelmRelease", "cart"),
    "seconds": 90,
}
IN_VALUES = '[services.cart]\nimage = "registry.k8s.io/pause"\nmanifests = ["%s"]\n'
FAILED_THEN_READY = ("failed", "ready")
# Nothing was made of the image that is gone back from, nor of what else Git says.
FAILED_THEN_APPLIED = ("failed", "applied")
NEITHER = ("failed", "failed")
EDIT = ("set", "image", "deployment/cart", f"server={image('3.10')}")
UNPROVEN = ("--accept", "effect")  # what Git says keeps it from taking effect
STEPS = {"deploy": (), "rollback": ("--reason", "checkout fails")}

LAYOUTS = {
    "Deployment, wait: true": Layout(cart(), flux=CHECKED),
    "Deployment, wait: false": Layout(cart(),
        says="health checks are off: pods are looked at",
    ),
    "Deployment, healthChecks": Layout(
        cart(),
        flux={"healthChecks": [{"kind": "Deployment", "name": "cart",
              "apiVersion": "apps/v1", "namespace": "NAMESPACE"}]},
    ),
    "Deployment, 0 replicas": Layout(cart(replicas=0),
        says="3.9 is what the next pods run (none is wanted now)",
    ),
    "Deployment, Recreate": Layout(cart(strategy={"type": "Recreate"})),
    "Deployment, minReadySeconds: 3": Layout(cart(minReadySeconds=3)),
    "Deployment, selector of matchExpressions": Layout(cart(selector=RWM)),
    "Deployment, two containers": Layout(cart(pod=OF_TWO)),
    "Deployment, init container": Layout(
        cart(pod={"initContainers": [{"name": "first", "image": image("3.8")}]})
    ),
    "Deployment, paused": Layout(
        cart(),
        before=lambda f: f.shop.edit('"replicas": 2', '"replicas": 2, "paused": true', CART),
        states=("failed", "ready"),  # back to what its pods run
        says="rollout resume deployment cart", code="paused", arguments=UNPROVEN,
    ),
    "Deployment, scaled by an HPA": Layout(
        {CART: deployment("cart", image("3.8")).replace('"replicas": 2,', "")}, before=autoscaled
    ),
    "StatefulSet": Layout(**of_kind("StatefulSet", serviceName="cart"),
        says="2 pods run 3.9",
    ),
    "StatefulSet, partition: 1": Layout(
        **of_kind("StatefulSet", serviceName="cart", updateStrategy={
            "type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
        states=("applied", "ready"),  # the pod that was kept runs what is gone back to
        says="cart-0 still run another image: its partition keeps 1",
    ),
    "StatefulSet, OnDelete": Layout(
        **of_kind("StatefulSet", serviceName="cart", updateStrategy={"type": "OnDelete"}),
        states=("applied", "ready"),
    ),
    "StatefulSet, Parallel": Layout(
        **of_kind("StatefulSet", serviceName="cart", podManagementPolicy="Parallel")
    ),
    "DaemonSet": Layout(**of_kind("DaemonSet", replicas=None),
        says="pod runs 3.9",
    ),
    "DaemonSet, OnDelete": Layout(
        **of_kind("DaemonSet", replicas=None, updateStrategy={"type": "OnDelete"}),
        states=("applied", "ready"),
    ),
    "CronJob": Layout(**of_kind("CronJob"),
        says="3.9 is what the next pods run (none is wanted now)",
    ),
    "image cannot be pulled, wait: true": Layout(
        cart(), tag="does-not-exist", states=FAILED_THEN_READY, flux=CHECKED
    ),
    "image cannot be pulled, wait: false": Layout(
        cart(), tag="does-not-exist", states=FAILED_THEN_READY,
        says="2 old pods still serve", code="pull",
    ),
    "image crashes": Layout(cart(), tag="crash", states=FAILED_THEN_READY),
    "image crashes, wait: true": Layout(
        cart(), tag="crash", states=FAILED_THEN_READY, flux=CHECKED
    ),
    "Deployment, Recreate, deadline exceeded": Layout(
        cart(strategy={"type": "Recreate"}, progressDeadlineSeconds=3), tag="does-not-exist",
        states=FAILED_THEN_READY,
    ),
    "bad image, health check of 10 min, --hasten": Layout(
        cart(), tag="does-not-exist", states=FAILED_THEN_READY, flux={**CHECKED, "timeout": "10m"},
        arguments=("--hasten",),
    ),
    "StatefulSet, image cannot be pulled": Layout(
        **of_kind("StatefulSet", serviceName="cart"), tag="does-not-exist",
        states=NEITHER,  # Kubernetes waits for the bad pod, which somebody has to delete
    ),
    "StatefulSet, Parallel, image cannot be pulled": Layout(
        **of_kind("StatefulSet", serviceName="cart", podManagementPolicy="Parallel"),
        tag="does-not-exist", states=FAILED_THEN_READY,
    ),
    "DaemonSet, image cannot be pulled": Layout(
        **of_kind("DaemonSet", replicas=None), tag="does-not-exist", states=FAILED_THEN_READY
    ),
    "Deployment, Recreate, image cannot be pulled": Layout(
        cart(strategy={"type": "Recreate"}), tag="does-not-exist", states=FAILED_THEN_READY
    ),
    "CronJob, suspended": Layout(
        {CART: manifest("CronJob").replace('"schedule"', '"suspend": true, "schedule"')},
        place=Place(CART, "CronJob", "cart"),
    ),
    "a pod started by hand beside them": Layout(
        cart(), before=by_hand, states=("applied", "ready")
    ),
    "a policy refuses the image": Layout(cart(), before=refused, states=("failed", "ready")),
    "the namespace is restricted": Layout(
        cart(), before=restricted, states=("failed", "ready")
    ),
    "two Kustomizations of one path": Layout(cart(), before=twin()),
    "two Kustomizations of one path, one suspended": Layout(
        cart(), before=twin(suspend=True), states=("failed", "failed")
    ),
    "two overlays of one base, one applied": Layout(
        {
            "base/cart.yaml": deployment("cart", image("3.8")),
            "base/kustomization.yaml": kustomized()["apps/kustomization.yaml"],
            "west/kustomization.yaml": kustomized(resources=["../base"])["apps/kustomization.yaml"],
            **kustomized(resources=["../base"]),
        },
        place=Place("base/cart.yaml", "Deployment", "cart"), states=("applied", "applied"),
    ),
    "two workloads of one name in two namespaces": Layout(
        {
            **cart(),
            ".gitops-rollback.toml": IN_VALUES % CART,
            OTHER: deployment("cart", image("3.10")).replace(
                '"name": "cart"\n', '"name": "cart", "namespace": "BESIDE"\n', 1),
        },
        first=name_namespaces, flux={"targetNamespace": None},
    ),
    "source ignores the file": Layout(
        cart(), before=patch("gitrepository", "shop", {"ignore": "/apps/cart.yaml"}), states=NEITHER
    ),
    "source follows a tag": Layout(
        cart(), before=follows(tag="v1"), states=("unverified", "unverified")
    ),
    "source follows a semver": Layout(
        cart(), before=follows(semver=">=1.0.0"), states=("unverified", "unverified")
    ),
    "source follows the branch by its ref": Layout(cart(), before=follows(name="refs/heads/main")),
    "applied from an OCIRepository": Layout(
        cart(), before=from_kind("OCIRepository"), states=("unverified", "unverified")
    ),
    "applied from a Bucket": Layout(
        cart(), before=from_kind("Bucket"), states=("unverified", "unverified")
    ),
    "applied from a repository that includes this one": Layout(
        cart(), before=included, states=("unverified", "unverified"),
        says="platform includes shop",
    ),
    "source includes another repository, with a component": Layout(
        cart(), before=overlaid, states=NEITHER,
        says="spec.include puts in what pins has", code="overridden",
    ),
    "image in a ConfigMap of another Kustomization": Layout(
        {
            CART: deployment("cart", "${CART_IMAGE}"),
            "versions/versions.yaml": json.dumps({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "versions"},
                "data": {"CART_IMAGE": image("3.8")}}, indent=1) + "\n",
            ".gitops-rollback.toml": VERSIONED,
        },
        first=versions,
        flux={"postBuild": {"substituteFrom": [{"kind": "ConfigMap", "name": "versions"}]}},
        place=Place("versions/versions.yaml", "ConfigMap", "versions"),
        says="cart is applied by Kustomization/",
    ),
    "admission writes a mirror into the Deployment": Layout(
        cart(), before=mutated("deployments", "was.replace('registry.k8s.io', 'mirror.example')")
    ),
    "admission writes a mirror into the pods": Layout(
        cart(), before=mutated("pods", "was.replace('registry.k8s.io', 'mirror.example')"),
        says="another repository, and the same image by its digest",
    ),
    "admission writes another image into the Deployment": Layout(
        cart(), before=mutated("deployments", f"'{image('3.10')}'"), states=NEITHER
    ),
    "admission writes another image into the pods": Layout(
        cart(), before=mutated("pods", f"'{image('3.10')}'"), states=NEITHER,
        says="something changes pods as they are made", code="overridden",
    ),
    "Kustomization applies another path": Layout(
        cart(), before=patch("kustomization", "apps", {"path": "./other", "prune": False}),
        states=("unverified", "unverified"),
    ),
    "live spec.patches that delete the workload": Layout(
        cart(), before=patch("kustomization", "apps", {"patches": [{
            "patch": "$patch: delete\napiVersion: apps/v1\nkind: Deployment\n"
            "metadata: {name: cart}\n"}]}), states=NEITHER,
    ),
    "Kustomization's account has no rights": Layout(
        cart(), before=patch("kustomization", "apps", {"serviceAccountName": "default"}),
        states=NEITHER,
    ),
    "pin = tag, the runtime tells no digest": Layout(
        {**cart(), ".gitops-rollback.toml": '[defaults]\npin = "tag"\n'},
        states=("applied", "ready"),  # the text that is gone back to has its digest
    ),
    "kustomize namePrefix": Layout({**cart(), **kustomized(namePrefix="prod-")}),
    "kustomize images: entry": Layout(
        {
            CART: deployment("cart", REPOSITORY),
            **kustomized(images=[{"name": REPOSITORY, "newTag": "3.8",
                                  "digest": VERSIONS["3.8"]}]),
        },
        place=Place("apps/kustomization.yaml", "Kustomization", "apps"),
    ),
    "overlay of a base elsewhere": Layout(
        {
            "base/cart.yaml": deployment("cart", image("3.8")),
            "base/kustomization.yaml": kustomized()["apps/kustomization.yaml"],
            **{path: text.replace("cart.yaml", "../base") for path, text in kustomized().items()},
        },
        place=Place("base/cart.yaml", "Deployment", "cart"),
    ),
    "live spec.images with newName": Layout(
        cart(), before=patch("kustomization", "apps", of_repository(newName="elsewhere/pause",
            digest=VERSIONS["3.8"])), states=("failed", "ready"),
    ),
    "live spec.images with newTag": Layout(
        cart(), before=patch("kustomization", "apps", of_repository(digest=VERSIONS["3.10"])),
        states=NEITHER,
    ),
    "live spec.images: a mirror": Layout(
        cart(), before=patch("kustomization", "apps", of_repository(newName="mirror.example/pause"))
    ),
    "live spec.patches": Layout(
        cart(),
        before=patch("kustomization", "apps", {"patches": [{"target": {"kind": "Deployment"},
            "patch": "- {op: replace, path: /spec/template/spec/containers/0/image, "
            f"value: '{image('3.10')}'}}"}]}),
        states=NEITHER,
    ),
    "live spec.components": Layout(
        {**cart(), "pins/kustomization.yaml": json.dumps({
            "apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component",
            "images": [{"name": REPOSITORY, "digest": VERSIONS["3.10"]}]}) + "\n"},
        before=patch("kustomization", "apps", {"components": ["../pins"]}), states=NEITHER,
    ),
    "live targetNamespace, the old one not pruned": Layout(
        cart(), flux={"prune": False},
        before=moved, states=("ready", "ready"),  # where it is applied now
    ),
    "reconcile: disabled in Git": Layout(
        {CART: deployment("cart", image("3.8"))},
        before=lambda f: f.shop.edit('"name": "cart"\n', '"name": "cart", "annotations": '
            '{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}\n', CART),
        states=FAILED_THEN_APPLIED, arguments=UNPROVEN,
    ),
    "reconcile: disabled on the live object": Layout(
        cart(), before=annotate("disabled"), states=FAILED_THEN_APPLIED
    ),
    "Kustomization suspended": Layout(
        cart(), before=patch("kustomization", "apps", {"suspend": True}), states=NEITHER,
        says="flux resume kustomization apps", code="suspended",
    ),
    "source suspended": Layout(
        cart(), before=patch("gitrepository", "shop", {"suspend": True}), states=NEITHER,
        says="flux resume source git shop", code="suspended",
    ),
    "source follows another branch": Layout(
        cart(), before=patch("gitrepository", "shop", {"ref": {"branch": "next"}}),
        states=("unverified", "unverified"),
    ),
    "another service is not healthy": Layout(
        {**cart(), OTHER: deployment("other", image("3.8"))},
        before=commit(deployment("other", image("broken"))), flux=CHECKED,
    ),
    "another service cannot be applied": Layout(
        {**cart(), OTHER: deployment("other", image("3.8"))},
        before=commit(deployment("other", image("3.8"), replicas="two")), states=NEITHER,
    ),
    "StatefulSet, quota used up": Layout(
        **of_kind("StatefulSet", serviceName="cart"), before=quota("1"), states=NEITHER,
        says="exceeded quota: few", code="quota",
    ),
    "DaemonSet, the namespace is restricted": Layout(
        **of_kind("DaemonSet", replicas=None), before=restricted, states=NEITHER,
        says="violates PodSecurity", code="create",
    ),
    "what is gone from Git cannot be deleted": Layout(
        {**cart(), OTHER: CONFIG}, first=may_not_delete, flux={"serviceAccountName": "few"},
        before=commit(None), says="is not ready all the same: delete failed",
    ),
    "images: of a Flux Kustomization in Git": Layout(
        {
            "apps/flux.yaml": kustomized_by_flux(images=[
                {"name": REPOSITORY, "newTag": "3.8", "digest": VERSIONS["3.8"]}]),
            "cart/cart.yaml": deployment("cart", REPOSITORY),
        },
        first=name_space("apps/flux.yaml"),
    ),
    "variables of a Flux Kustomization in Git": Layout(
        {
            "apps/flux.yaml": kustomized_by_flux(
                postBuild={"substitute": {"TAG": f"3.8@{VERSIONS['3.8']}"}}),
            "cart/cart.yaml": deployment("cart", f"{REPOSITORY}:${{TAG}}"),
        },
        first=name_space("apps/flux.yaml"),
    ),
    "another source follows a tag, and is applied": Layout(
        cart(), before=from_tag, states=("unverified", "unverified"),
        says="which follows tag v1, not the branch main",
    ),
    "quota used up": Layout(
        cart(), before=quota("2"), states=("failed", "ready"),
        says="exceeded quota: few", code="quota",
    ),
    "edited by kubectl before": Layout(cart(), before=set_by_hand),
    "dependency not ready": Layout(
        cart(), before=patch("kustomization", "apps", {"dependsOn": [{"name": "infra"}]}),
        states=("applying", "applying"), seconds=20,
        says="not done after 20 s: waiting for Kustomization/", code="dependency",
    ),
    "dependency suspended": Layout(
        cart(), before=needs(suspend=True), states=NEITHER,
        says="infra is suspended", code="dependency",
    ),
    "two Kustomizations that wait for each other": Layout(
        cart(), before=needs(dependsOn=[{"name": "apps"}]), states=NEITHER,
        says="/apps, for ever", code="dependency",
    ),
    "two others that wait for each other": Layout(cart(), before=circle),
    "live spec.ignore with the image": Layout(
        cart(), before=patch("kustomization", "apps", {"ignore": [{
            "paths": ["/spec/template/spec/containers/0/image"],
            "target": {"kind": "Deployment"}}]}),
        states=FAILED_THEN_READY, says="spec.ignore leaves", code="overridden",
    ),
    "live commonMetadata with reconcile: disabled": Layout(
        cart(), before=patch("kustomization", "apps", {"commonMetadata": {
            "annotations": {"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}}}),
        states=FAILED_THEN_APPLIED, says="spec.commonMetadata gives all", code="overridden",
    ),
    "edited by kubectl meanwhile, again and again": Layout(
        cart(minReadySeconds=6), before=meanwhile(*((seconds, EDIT) for seconds in (2.5, 4, 6, 9)))
    ),
    "deleted by hand meanwhile": Layout(
        cart(minReadySeconds=6), before=meanwhile((4, ("delete", "deployment", "cart")))
    ),
    "a claim for each pod, none is left": Layout(
        cart(pod={"volumes": [{"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "OWN",
            "resources": {"requests": {"storage": "1Gi"}}}}}}]}),
        first=two_volumes, states=("rolling-out", "ready"), seconds=20, code="claim",
    ),
    "StatefulSet, partition above its replicas": Layout(
        **of_kind("StatefulSet", serviceName="cart", updateStrategy={
            "type": "RollingUpdate", "rollingUpdate": {"partition": 5}}),
        states=("applied", "ready"), says="cart-0, cart-1 still run another image",
    ),
    "ReplicaSet": Layout(
        {CART: deployment("cart", image("3.8")).replace('"Deployment"', '"ReplicaSet"')},
        place=Place(CART, "ReplicaSet", "cart"), states=("applied", "applied"),
        says="the image stands in a ReplicaSet",
    ),
    "commits are not signed, source wants that": Layout(
        cart(), before=signed_only, states=NEITHER, says="spec.verify", code="source",
    ),
    "node does not begin with the pods, deadline of 9 s": Layout(
        cart(progressDeadlineSeconds=9), before=node_away, states=NEITHER,
        says="its kubelet says nothing of it", code="node",
    ),
    "HelmRelease, values in it": Layout(released(), **HELM),
    "HelmRelease, kustomize namePrefix": Layout(
        {**released(), **kustomized(namePrefix="prod-")}, **HELM
    ),
    "HelmRelease, image cannot be pulled": Layout(
        released(), tag="does-not-exist", states=FAILED_THEN_READY, **HELM
    ),
    "HelmRelease, image crashes": Layout(
        released(), tag="crash", states=FAILED_THEN_READY, **HELM
    ),
    "HelmRelease, remediation": Layout(
        released(timeout="8s", upgrade={"remediation": {"remediateLastFailure": True}}),
        tag="does-not-exist", states=FAILED_THEN_READY, **HELM,
    ),
    "HelmRelease, dependency not ready": Layout(
        released(), before=patch("helmrelease", "cart", {"dependsOn": [{"name": "infra"}]}),
        states=("applying", "rolling-out"), code="dependency",
        **{**HELM, "seconds": 20},
    ),
    "HelmRelease, suspended": Layout(
        released(), before=patch("helmrelease", "cart", {"suspend": True}),
        states=FAILED_THEN_APPLIED, **HELM,
        says="flux resume helmrelease cart", code="suspended",
    ),
    "HelmRelease, post-renderer with the image": Layout(
        released(postRenderers=[{"kustomize": {"images": [
            {"name": REPOSITORY, "newTag": "3.8", "digest": VERSIONS["3.8"]}]}}]),
        place=Place(CART, "HelmRelease", "cart"), flux={"timeout": "30s"}, seconds=60,
    ),
    "HelmRelease, disableWait, image cannot be pulled": Layout(
        released(upgrade={"disableWait": True}), tag="does-not-exist", states=FAILED_THEN_READY,
        **HELM,
    ),
    "HelmRelease, retries": Layout(
        released(timeout="8s", upgrade={"remediation": {"retries": 1}}),
        tag="does-not-exist", states=FAILED_THEN_READY, **HELM,
    ),
    "HelmRelease, values in its chart": Layout(
        {CART: release({}), ".gitops-rollback.toml": IN_VALUES % VALUES, **chart("3.8")},
        **{**HELM, "place": Place(VALUES, "Values", "values")},
        says="cart is applied by HelmRelease/",
    ),
    "HelmRelease, values in the chart of a HelmChart": Layout(
        {CART: release({}, chart=None, chartRef={"kind": "HelmChart", "name": "cart"}),
         "apps/chart.yaml": helm_chart(), ".gitops-rollback.toml": IN_VALUES % VALUES,
         **chart("3.8")},
        **{**HELM, "place": Place(VALUES, "Values", "values")},
    ),
    "HelmRelease, chart of a HelmRepository": Layout(
        {CART: release({"mode": "fine", "image": image("3.8")}, chart={"spec": {
            "chart": "cart", "version": "0.1.0",
            "sourceRef": {"kind": "HelmRepository", "name": "charts"}}})},
        first=chart_host, **HELM,
    ),
    "HelmRelease, chart of an OCIRepository": Layout(
        {CART: release({"mode": "fine", "image": image("3.8")}, chart=None,
                       chartRef={"kind": "OCIRepository", "name": "charts"})},
        first=chart_registry, **HELM,
    ),
    "HelmRelease, chart with another repository": Layout(
        {
            **released(),
            f"{CHART}/templates/deployment.yaml": chart()[f"{CHART}/templates/deployment.yaml"]
            .replace("{{ .Values.image }}", f"elsewhere/pause:3.8@{VERSIONS['3.8']}"),
        },
        states=("applied", "ready"),  # what is gone back to is the same image by its digest
        arguments=UNPROVEN, **HELM,
    ),
}  # fmt: skip


def truth(fleet: Fleet, tag: str) -> tuple[bool, str]:
    """Return whether each container of the cart runs a version, and what runs, for people."""
    digest = VERSIONS.get(tag, NONE)
    specs = [one["spec"] for one in fleet.get("kustomizations")["items"]]
    spaces = {one.get("targetNamespace", fleet.namespace) for one in specs}
    living = [
        pod
        for space in spaces
        for pod in json.loads(
            fleet.kubectl("get", "pods", "-n", space, "-l", "app=cart", "-o", "json")
        )["items"]
        if "deletionTimestamp" not in pod["metadata"]
    ]
    images = sorted({c["image"] for pod in living for c in pod["spec"]["containers"]})
    ready = all(
        state["ready"] for pod in living for state in pod["status"].get("containerStatuses", [])
    )
    shown = ", ".join(text.partition("@")[0].rpartition("/")[2] for text in images) or _told(fleet)
    if not living:
        return digest in _template(fleet), shown
    return ready and all(text.endswith(digest) for text in images), shown


def _template(fleet: Fleet) -> str:
    return fleet.kubectl("get", "deployments,cronjobs", "-o", "json")


def _told(fleet: Fleet) -> str:
    tag = next((tag for tag, digest in VERSIONS.items() if digest in _template(fleet)), "none")
    return f"none (told pause:{tag})"


def test_the_docs_tell_every_layout_and_what_is_said_of_it() -> None:
    text = PAGE.read_text(encoding="utf-8")
    heading = f"## {len(LAYOUTS)} layouts, and what is said of each"
    assert heading in text
    table = text.partition(heading)[2].partition("|---|")[2]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[1:]]
    told = {row[0]: (row[1].strip("`"), row[3].strip("`")) for row in rows}
    assert told == {name: layout.states for name, layout in LAYOUTS.items()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_said_is_what_runs(open_fleet: Open, name: str) -> None:
    layout = LAYOUTS[name]
    fleet = open_fleet(layout.files)
    layout.first(fleet)
    fleet.place = layout.place
    flux = json.loads(json.dumps(layout.flux).replace("NAMESPACE", fleet.namespace))
    if not fleet.has_fakelet() and layout.tag not in VERSIONS:
        pytest.skip("only a kubelet that pretends fails an image by its name")
    fleet.follow(**{"wait": False} | flux)
    first = fleet.wait("--timeout", "60")
    assert first.code == 0, first.stderr
    layout.before(fleet)
    row = [name]
    for step, tag, due in zip(STEPS, (layout.tag, "3.8"), layout.states, strict=True):
        more = STEPS[step] or ("--image", image(tag))
        limit = ("--wait", "--wait-timeout", str(layout.seconds))
        run = fleet.run(step, "--service", "cart", *more, *limit, *layout.arguments)
        runs, shown = truth(fleet, tag)
        state = run.result["rollout"]["state"]
        row += [state, shown]
        if step == "deploy":
            failure = run.result["rollout"]["rollouts"][0].get("failure", {})
            assert layout.says in run.stderr
            assert layout.code in ("", failure.get("code")), run.stderr
        assert state == due, f"{step}: {shown}\n{run.stderr}"
        assert (run.code == 0) == (state in ("ready", "applied")), run.stderr
        assert runs or state != "ready", (step, shown, run.stderr)
        told = ("ready", "applied", "unverified")  # what nobody can see may be applied all the same
        assert state in told or not runs or step == "rollback", (step, run.stderr)
    _keep(row)


def _keep(row: list[str]) -> None:
    path = os.environ.get("GITOPS_LAYOUTS")
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

"""Forty layouts: what `wait` says after a deploy and after a rollback, beside what really runs.

A state is judged by the pods: `ready` has to be what runs, and a change that runs has to be told as
`ready`, or as `applied` where it cannot be proven. With GITOPS_LAYOUTS=FILE each row of the table
of docs/flux.md is added to a file.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flux.charts import CHART, VALUES, chart, release, released
from flux.fleet import CART, REPOSITORY, VERSIONS, Fleet, deployment, image
from flux.test_kinds import manifest
from gitops_rollback.rollout.target import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    Open = Callable[[dict[str, str]], Fleet]
    Step = Callable[[Fleet], object]

NONE = "sha256:" + "0" * 64
OTHER = "apps/other.yaml"


@dataclass(frozen=True)
class Layout:
    """Files of the repository, what Flux is told, what happens before the deploy, and what is due.

    `states` are those of deploy and rollback; `seconds` bound each wait.
    """

    files: dict[str, str]
    states: tuple[str, str] = ("ready", "ready")
    flux: dict[str, Any] = field(default_factory=dict)
    before: Step = lambda _fleet: None
    between: Step = lambda _fleet: None
    tag: str = "3.9"
    seconds: int = 40
    arguments: tuple[str, ...] = ()
    place: Place = field(default_factory=lambda: Place(CART, "Deployment", "cart"))


def cart(**spec: Any) -> dict[str, str]:  # noqa: ANN401 - fields of a spec
    return {CART: deployment("cart", image("3.8"), **spec)}


def of_kind(kind: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - the same
    return {"files": {CART: manifest(kind, **spec)}, "place": Place(CART, kind, "cart")}


def kustomized(**more: Any) -> dict[str, str]:  # noqa: ANN401 - fields of a kustomization
    document = {"kind": "Kustomization", "resources": ["cart.yaml"], **more}
    return {"apps/kustomization.yaml": json.dumps(document) + "\n"}


def patch(kind: str, name: str, spec: dict[str, Any]) -> Step:
    """Return a step that changes the spec of a live object, and lets Flux take it in."""

    def step(fleet: Fleet) -> None:
        body = json.dumps({"spec": spec})
        fleet.kubectl("patch", f"{kind}/{name}", "--type", "merge", "-p", body)
        time.sleep(2)

    return step


def annotate(value: str) -> Step:
    def step(fleet: Fleet) -> None:
        fleet.kubectl("annotate", "--overwrite", "deployment/cart",
                      f"kustomize.toolkit.fluxcd.io/reconcile={value}")  # fmt: skip

    return step


def quota(fleet: Fleet) -> None:
    few = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "few"}}
    fleet.apply({**few, "spec": {"hard": {"pods": "2"}}})
    fleet.until(lambda: "used" in fleet.get("resourcequota/few").get("status", {}))


def autoscaled(fleet: Fleet) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cart"}
    fleet.apply(
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "cart"},
            "spec": {"scaleTargetRef": target, "minReplicas": 3, "maxReplicas": 4},
        }
    )
    fleet.until(lambda: fleet.get("deployment/cart")["spec"]["replicas"] == 3)


def moved(fleet: Fleet) -> None:
    """Let Flux apply the cart to another namespace, which is this fleet's too."""
    fleet.kubectl("create", "namespace", fleet.beside())
    patch("kustomization", "apps", {"targetNamespace": fleet.beside()})(fleet)


def commit(text: str) -> Step:
    return lambda fleet: fleet.shop.commit({OTHER: text}, "Break another")


def set_by_hand(fleet: Fleet) -> None:
    fleet.kubectl("set", "image", "deployment/cart", f"server={image('3.10')}")


def of_repository(**override: str) -> dict[str, Any]:
    return {"images": [{"name": REPOSITORY, **override}]}


OF_TWO = {"containers": [{"name": name, "image": image("3.8")} for name in ("server", "side")]}
RWM = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart"]}]}
HELM: dict[str, Any] = {
    "place": Place(CART, "HelmRelease", "cart"),
    "flux": {"timeout": "30s"},
    "seconds": 60,
}
IN_VALUES = '[services.cart]\nimage = "registry.k8s.io/pause"\nmanifests = ["%s"]\n'
FAILED_THEN_READY = ("failed", "ready")
NEITHER = ("failed", "failed")

LAYOUTS = {
    "Deployment, wait: true": Layout(cart()),
    "Deployment, wait: false": Layout(cart(), flux={"wait": False}),
    "Deployment, healthChecks": Layout(
        cart(),
        flux={"wait": False, "healthChecks": [{"kind": "Deployment", "name": "cart",
              "apiVersion": "apps/v1", "namespace": "NAMESPACE"}]},
    ),
    "Deployment, 0 replicas": Layout(cart(replicas=0)),
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
    ),
    "Deployment, scaled by an HPA": Layout(
        {CART: deployment("cart", image("3.8")).replace('"replicas": 2,', "")}, before=autoscaled
    ),
    "StatefulSet": Layout(**of_kind("StatefulSet", serviceName="cart")),
    "StatefulSet, partition: 1": Layout(
        **of_kind("StatefulSet", serviceName="cart", updateStrategy={
            "type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
        states=("applied", "ready"),  # the pod that was kept runs what is gone back to
    ),
    "StatefulSet, OnDelete": Layout(
        **of_kind("StatefulSet", serviceName="cart", updateStrategy={"type": "OnDelete"}),
        states=("applied", "ready"),
    ),
    "StatefulSet, Parallel": Layout(
        **of_kind("StatefulSet", serviceName="cart", podManagementPolicy="Parallel")
    ),
    "DaemonSet": Layout(**of_kind("DaemonSet", replicas=None)),
    "DaemonSet, OnDelete": Layout(
        **of_kind("DaemonSet", replicas=None, updateStrategy={"type": "OnDelete"}),
        states=("applied", "ready"),
    ),
    "CronJob": Layout(**of_kind("CronJob")),
    "image cannot be pulled": Layout(cart(), tag="does-not-exist", states=FAILED_THEN_READY),
    "image crashes": Layout(cart(), tag="crash", states=FAILED_THEN_READY,
                            flux={"wait": False}),
    "bad image, health check of 10 min, --hasten": Layout(
        cart(), tag="does-not-exist", states=FAILED_THEN_READY, flux={"timeout": "10m"},
        arguments=("--hasten",),
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
        states=("failed", "ready"),
    ),
    "reconcile: disabled on the live object": Layout(
        cart(), before=annotate("disabled"), states=("failed", "ready")
    ),
    "Kustomization suspended": Layout(
        cart(), before=patch("kustomization", "apps", {"suspend": True}), states=NEITHER
    ),
    "source suspended": Layout(
        cart(), before=patch("gitrepository", "shop", {"suspend": True}), states=NEITHER
    ),
    "source follows another branch": Layout(
        cart(), before=patch("gitrepository", "shop", {"ref": {"branch": "next"}}),
        states=("unverified", "unverified"),
    ),
    "another service is not healthy": Layout(
        {**cart(), OTHER: deployment("other", image("3.8"))},
        before=commit(deployment("other", image("broken"))),
    ),
    "another service cannot be applied": Layout(
        {**cart(), OTHER: deployment("other", image("3.8"))}, flux={"wait": False},
        before=commit(deployment("other", image("3.8"), replicas="two")), states=NEITHER,
    ),
    "quota used up": Layout(
        cart(), before=quota, states=("failed", "ready"), seconds=30
    ),
    "edited by kubectl before": Layout(cart(), flux={"wait": False}, before=set_by_hand),
    "dependency not ready": Layout(
        cart(), before=patch("kustomization", "apps", {"dependsOn": [{"name": "infra"}]}),
        states=("applying", "applying"), seconds=8,
    ),
    "HelmRelease, values in it": Layout(released(), **HELM),
    "HelmRelease, image cannot be pulled": Layout(
        released(), tag="does-not-exist", states=FAILED_THEN_READY, **HELM
    ),
    "HelmRelease, remediation": Layout(
        released(timeout="8s", upgrade={"remediation": {"remediateLastFailure": True}}),
        tag="does-not-exist", states=FAILED_THEN_READY, **HELM,
    ),
    "HelmRelease, values in its chart": Layout(
        {CART: release({}), ".gitops-rollback.toml": IN_VALUES % VALUES, **chart("3.8")},
        **{**HELM, "place": Place(VALUES, "Values", "values")},
    ),
    "HelmRelease, chart with another repository": Layout(
        {
            **released(),
            f"{CHART}/templates/deployment.yaml": chart()[f"{CHART}/templates/deployment.yaml"]
            .replace("{{ .Values.image }}", f"elsewhere/pause:3.8@{VERSIONS['3.8']}"),
        },
        states=("applied", "ready"),  # what is gone back to is the same image by its digest
        **HELM,
    ),
}  # fmt: skip


def truth(fleet: Fleet, tag: str) -> tuple[bool, str]:
    """Return whether each container of the cart runs a version, and what runs, for people."""
    digest = VERSIONS.get(tag, NONE)
    space = fleet.get("kustomization/apps")["spec"]["targetNamespace"]
    found = json.loads(fleet.kubectl("get", "pods", "-n", space, "-l", "app=cart", "-o", "json"))
    living = [pod for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]]
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


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_said_is_what_runs(open_fleet: Open, name: str) -> None:
    layout = LAYOUTS[name]
    fleet = open_fleet(layout.files)
    fleet.place = layout.place
    flux = json.loads(json.dumps(layout.flux).replace("NAMESPACE", fleet.namespace))
    if not fleet.has_fakelet() and layout.tag not in VERSIONS:
        pytest.skip("only a kubelet that pretends fails an image by its name")
    fleet.follow(**flux)
    first = fleet.wait("--timeout", "60")
    assert first.code == 0, first.stderr
    layout.before(fleet)
    row = [name]
    for step, tag, due in zip(("deploy", "back"), (layout.tag, "3.8"), layout.states, strict=True):
        change = fleet.deploy(tag) if step == "deploy" else fleet.roll_back("checkout fails")
        limit = ("--timeout", str(layout.seconds))
        run = fleet.wait("--change", str(change), *limit, *layout.arguments)
        runs, shown = truth(fleet, tag)
        row += [run.result["state"], shown]
        state = run.result["state"]
        assert state == due, (step, shown, run.stderr)
        assert (run.code == 0) == (state in ("ready", "applied")), run.stderr
        assert runs or state != "ready", (step, shown, run.stderr)
        assert state in ("ready", "applied") or not runs or step == "back", (step, run.stderr)
    _keep(row)


def _keep(row: list[str]) -> None:
    path = os.environ.get("GITOPS_LAYOUTS")
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")

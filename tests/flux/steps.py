"""What happens to a fleet around a deploy: steps, of which layouts are made."""

from __future__ import annotations

import io
import json
import tarfile
from threading import Timer
from typing import TYPE_CHECKING, Any

from flux.charts import CHART, chart
from flux.fleet import CART, REPOSITORY, VERSIONS, Fleet, deployment, image
from integration.shop import Shop, program
from servers.docker_registry import DockerRegistry
from servers.files import FileServer

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[Fleet], object]

OTHER = "apps/other.yaml"
CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n"
SOURCES = "source.toolkit.fluxcd.io"
ADMISSION = "admissionregistration.k8s.io/v1"


def patch(kind: str, name: str, spec: dict[str, Any]) -> Step:
    """Return a step that changes the spec of a live object, and lets Flux take it in."""

    def step(fleet: Fleet) -> None:
        fleet.change(f"{kind}/{name}", **spec)
        if "suspend" not in spec:
            fleet.until(lambda: _is_taken_in(fleet.get(f"{kind}/{name}")))

    return step


def _is_taken_in(found: dict[str, Any]) -> bool:
    """Whether Flux has said something of the present generation, good or bad."""
    said = (found["status"], *found["status"].get("conditions", ()))
    return found["metadata"]["generation"] in [one.get("observedGeneration") for one in said]


def annotate(value: str) -> Step:
    def step(fleet: Fleet) -> None:
        fleet.kubectl("annotate", "--overwrite", "deployment/cart",
                      f"kustomize.toolkit.fluxcd.io/reconcile={value}")  # fmt: skip

    return step


def quota(pods: str) -> Step:
    def step(fleet: Fleet) -> None:
        few = {"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "few"}}
        fleet.apply({**few, "spec": {"hard": {"pods": pods}}})
        fleet.until(lambda: "used" in fleet.get("resourcequota/few").get("status", {}))

    return step


def may_not_delete(fleet: Fleet) -> None:
    """Make an account that may do all in the fleet's namespace but delete."""
    few, group = {"metadata": {"name": "few"}}, "rbac.authorization.k8s.io"
    verbs = ["get", "list", "watch", "create", "update", "patch"]
    rules = [{"apiGroups": ["", "apps"], "resources": ["*"], "verbs": verbs}]
    role = {"apiGroup": group, "kind": "Role", "name": "few"}
    subject = {"kind": "ServiceAccount", "name": "few", "namespace": fleet.namespace}
    fleet.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", **few},
        {"apiVersion": f"{group}/v1", "kind": "Role", **few, "rules": rules},
        {"apiVersion": f"{group}/v1", "kind": "RoleBinding", **few, "roleRef": role,
         "subjects": [subject]},
    )  # fmt: skip


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


def needs(**spec: Any) -> Step:  # noqa: ANN401 - fields of a spec
    """Return a step that lets the Kustomization wait for another one, which has this spec."""

    def step(fleet: Fleet) -> None:
        fleet.kustomization("infra", path="./infra", **spec)
        patch("kustomization", "apps", {"dependsOn": [{"name": "infra"}]})(fleet)

    return step


def circle(fleet: Fleet) -> None:
    """Let two others of the same source wait for each other: Flux then tells none of a revision."""
    for one, other in (("east", "west"), ("west", "east")):
        fleet.kustomization(one, path="./" + one, dependsOn=[{"name": other}])


def signed_only(fleet: Fleet) -> None:
    """Let the source take only commits that somebody signed whose key it knows."""
    fleet.kubectl("create", "secret", "generic", "people", "--from-literal=ann.asc=none")
    verify = {"mode": "HEAD", "secretRef": {"name": "people"}}
    patch("gitrepository", "shop", {"verify": verify})(fleet)


def node_away(fleet: Fleet) -> None:
    """Let the cart want a node that is there by its name only: no kubelet looks at its pods."""
    name = fleet.namespace
    room = {"cpu": "8", "memory": "8Gi", "pods": "9"}
    told = [{"type": "Ready", "status": "True"}]
    taint = {"key": "only", "value": name, "effect": "NoSchedule"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"at": name}},
            "spec": {"taints": [taint]}}  # fmt: skip
    fleet.apply(node)
    fleet.beyond.append(f"node/{name}")
    status = {"status": {"allocatable": room, "capacity": room, "conditions": told}}
    fleet.kubectl("patch", "node", name, "--subresource", "status", "--type", "merge",
                  "--patch", json.dumps(status))  # fmt: skip
    pod = f'"nodeSelector": {{"at": "{name}"}}, "tolerations": [{{"operator": "Exists"}}], '
    fleet.shop.edit('"containers": [', f'{pod}"containers": [', CART)


def moved(fleet: Fleet) -> None:
    """Let Flux apply the cart to another namespace, which is this fleet's too."""
    fleet.kubectl("create", "namespace", fleet.beside())
    patch("kustomization", "apps", {"targetNamespace": fleet.beside()})(fleet)


def twin(**spec: Any) -> Step:  # noqa: ANN401 - fields of a spec
    """Let a second Kustomization apply the same path, to the namespace beside."""

    def step(fleet: Fleet) -> None:
        fleet.kubectl("create", "namespace", fleet.beside())
        one = fleet.get("kustomization/apps")
        own = {"name": "twin", "namespace": fleet.namespace}
        more = {"targetNamespace": fleet.beside()}
        fleet.apply({**one, "metadata": own, "spec": {**one["spec"], **more}, "status": None})
        name = "kustomization/twin"
        fleet.until(lambda: "lastAppliedRevision" in fleet.get(name).get("status", {}))
        patch("kustomization", "twin", spec)(fleet)

    return step


def by_hand(fleet: Fleet) -> None:
    """Start a pod beside the workload's, with its labels."""
    box = {"name": "server", "image": image("3.8")}
    metadata = {"name": "by-hand", "labels": {"app": "cart"}}
    fleet.apply({"kind": "Pod", "apiVersion": "v1", "metadata": metadata,
                 "spec": {"containers": [box]}})  # fmt: skip


def refused(fleet: Fleet) -> None:
    """Let a policy of the cluster refuse one image in this fleet's namespace."""
    test = "object.spec.template.spec.containers.all(c, !c.image.contains(':3.9'))"
    said = {"expression": test, "message": "the image registry.k8s.io/pause is not signed"}
    admission(fleet, "Validating", "deployments", {"validations": [said]},
              validationActions=["Deny"])  # fmt: skip


def restricted(fleet: Fleet) -> None:
    fleet.kubectl("label", "namespace", fleet.namespace,
                  "pod-security.kubernetes.io/enforce=restricted")  # fmt: skip


def follows(**ref: str | None) -> Step:
    return patch("gitrepository", "shop", {"ref": {"branch": None, **ref}})


def from_kind(kind: str) -> Step:
    return patch("kustomization", "apps", {"sourceRef": {"kind": kind, "name": "shop"}})


def from_tag(fleet: Fleet) -> None:
    """Let the Kustomization apply from a second source, which follows a tag."""
    fleet.shop.git("tag", "v1", "main")
    fleet.source("GitRepository", "released", url=fleet.url, ref={"tag": "v1"})
    patch("kustomization", "apps", {"sourceRef": {"kind": "GitRepository", "name": "released"}})(
        fleet
    )


def commit(text: str | None) -> Step:
    return lambda fleet: fleet.shop.commit({OTHER: text}, "Break another")


def set_by_hand(fleet: Fleet) -> None:
    fleet.kubectl("set", "image", "deployment/cart", f"server={image('3.10')}")


def meanwhile(*steps: tuple[float, tuple[str, ...]]) -> Step:
    """Return a step that lets kubectl do things in some seconds, while a change is waited for."""

    def step(fleet: Fleet) -> None:
        for seconds, arguments in steps:
            timer = Timer(seconds, fleet.ask, arguments)
            timer.start()
            fleet.closing.callback(timer.join)

    return step


def two_volumes(fleet: Fleet) -> None:
    """Make two volumes of a class of the fleet's own, and write its name into the cart."""
    for name in (f"{fleet.namespace}-{number}" for number in (0, 1)):
        spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
                "storageClassName": fleet.namespace, "hostPath": {"path": "/tmp/none"}}  # fmt: skip
        fleet.apply({"apiVersion": "v1", "kind": "PersistentVolume",
                     "metadata": {"name": name}, "spec": spec})  # fmt: skip
        fleet.beyond.append(f"persistentvolume/{name}")
    name_space(CART)(fleet)


def of_repository(**override: str) -> dict[str, Any]:
    return {"images": [{"name": REPOSITORY, **override}]}


def name_space(path: str) -> Step:
    """Return a step that writes the fleet's namespace into a file."""
    return lambda fleet: fleet.shop.edit("OWN", fleet.namespace, path)


def name_namespaces(fleet: Fleet) -> None:
    """Write the fleet's namespaces into its files, where Flux is to give none."""
    fleet.kubectl("create", "namespace", fleet.beside())
    fleet.shop.edit("BESIDE", fleet.beside(), OTHER)
    own = f'"name": "cart", "namespace": "{fleet.namespace}"\n'
    fleet.shop.edit('"name": "cart"\n', own, CART)


# Other repositories


def beside(fleet: Fleet, name: str, files: dict[str, str], **spec: Any) -> None:  # noqa: ANN401
    """Make a GitRepository of another repository; `spec` goes into its spec."""
    Shop(fleet.shop.root / name).open(files)
    url = fleet.url.replace("manifests.git", f"{name}/manifests.git")
    fleet.source("GitRepository", name, url=url, ref={"branch": "main"}, **spec)


def included(fleet: Fleet) -> None:
    """Let another repository include this one, and the Kustomization apply that."""
    beside(fleet, "platform", {"README.md": "# Platform\n"},
           include=[{"repository": {"name": "shop"}}])  # fmt: skip
    taken = {"sourceRef": {"kind": "GitRepository", "name": "platform"}, "path": "./shop/apps"}
    patch("kustomization", "apps", taken)(fleet)


def overlaid(fleet: Fleet) -> None:
    """Let this repository include another one, with a component that pins another image."""
    pins = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component",
            "images": [{"name": REPOSITORY, "digest": VERSIONS["3.10"]}]}  # fmt: skip
    beside(fleet, "pins", {"kustomization.yaml": json.dumps(pins) + "\n"})
    fleet.until(lambda: "artifact" in fleet.get("gitrepository/pins").get("status", {}))
    patch("gitrepository", "shop", {"include": [{"repository": {"name": "pins"}}]})(fleet)
    patch("kustomization", "apps", {"components": ["../pins"]})(fleet)


def versions(fleet: Fleet) -> None:
    """Let a Kustomization of its own apply the ConfigMap that the cart's substitutes from."""
    fleet.source("GitRepository", "shop", url=fleet.url, ref={"branch": "main"})
    fleet.kustomization("versions", path="./versions", wait=False)
    fleet.until(lambda: "versions" in fleet.kubectl("get", "configmaps", "--output", "name"))


# Admission


def mutated(resource: str, expression: str) -> Step:
    """Let the cluster write another image into what is made here: `was` is the one it had."""
    spec = "object.spec" if resource == "pods" else "object.spec.template.spec"
    at = f"{spec.removeprefix('object').replace('.', '/')}/containers/0/image"
    value = expression.replace("was", f"{spec}.containers[0].image")
    change = f'[JSONPatch{{op: "replace", path: "{at}", value: {value}}}]'
    mutation = {"patchType": "JSONPatch", "jsonPatch": {"expression": change}}
    more = {"failurePolicy": "Fail", "reinvocationPolicy": "Never", "mutations": [mutation]}
    return lambda fleet: admission(fleet, "Mutating", resource, more)


def admission(
    fleet: Fleet,
    how: str,
    resource: str,
    spec: dict[str, Any],
    **binding: Any,  # noqa: ANN401 - fields of the binding
) -> None:
    """Let a policy of the cluster look at what is made in this fleet's namespace."""
    metadata = {"name": fleet.namespace}
    rule = {"apiGroups": ["" if resource == "pods" else "apps"], "apiVersions": ["v1"],
            "resources": [resource], "operations": ["CREATE", "UPDATE"]}  # fmt: skip
    here = {"matchLabels": {"kubernetes.io/metadata.name": fleet.namespace}}
    kind = f"{how}AdmissionPolicy"
    fleet.apply(
        {"apiVersion": ADMISSION, "kind": kind, "metadata": metadata,
         "spec": {"matchConstraints": {"resourceRules": [rule]}, **spec}},
        {"apiVersion": ADMISSION, "kind": f"{kind}Binding", "metadata": metadata,
         "spec": {"policyName": fleet.namespace, **binding,
                  "matchResources": {"namespaceSelector": here}}},
    )  # fmt: skip
    fleet.beyond += [f"{kind.lower()}{more}/{fleet.namespace}" for more in ("", "binding")]
    fleet.until(lambda: _is_looked_at(fleet, resource))


def _is_looked_at(fleet: Fleet, resource: str) -> bool:
    """Whether the API server has taken the policy in: it does so a moment later."""
    probe = json.loads(deployment("probe", image("3.9")))
    if resource == "pods":
        pod = probe["spec"]["template"] | {"metadata": {"name": "probe"}}
        probe = {"apiVersion": "v1", "kind": "Pod", **pod}
    said = fleet.ask("create", "--dry-run=server", "--output=json", "--filename=-",
                     stdin=json.dumps(probe))  # fmt: skip
    return said.returncode != 0 or image("3.9") not in said.stdout


# Charts


def packed() -> bytes:
    """Return the chart as `helm package` makes it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for path, text in chart().items():
            entry = tarfile.TarInfo(f"cart/{path.removeprefix(f'{CHART}/')}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))
    return stream.getvalue()


def chart_host(fleet: Fleet) -> None:
    """Serve the chart as a repository of charts does, over HTTP."""
    entry = {"name": "cart", "version": "0.1.0", "apiVersion": "v2", "urls": ["cart-0.1.0.tgz"]}
    index = {"apiVersion": "v1", "entries": {"cart": [entry]}}
    files = {"/index.yaml": json.dumps(index).encode(), "/cart-0.1.0.tgz": packed()}
    server = fleet.closing.enter_context(FileServer(files))
    fleet.source("HelmRepository", "charts", url=server.url)


def chart_registry(fleet: Fleet) -> None:
    """Serve the chart from a registry."""
    program("docker-registry", "docker-registry")
    folder = fleet.shop.root / "registry"
    folder.mkdir()
    registry = fleet.closing.enter_context(DockerRegistry(folder))
    registry.push_chart("charts/cart", "0.1.0", packed())
    url = f"oci://{registry.host}/charts/cart"
    fleet.source("OCIRepository", "charts", url=url, ref={"tag": "0.1.0"}, insecure=True)

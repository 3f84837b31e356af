"""What we say takes effect is what kustomize renders, before an edit and after it.

Rendered by kubectl's own kustomize and by `kustomize build`, whichever is on PATH: each of them is
a version of its own.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from gitops_rollback.effective.tree import strategic_merge
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.edit import FieldEdit, rewritten, value_of
from gitops_rollback.manifest.image_field import split_version
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from integration.overlay_trees import BASE, COMPONENT, CONTAINERS, Tree, patch_text, trees
from unit.builders import digest
from unit.test_effect_grammar import MADE, NOT_MADE
from unit.test_effect_limits import PODS, with_pod
from unit.test_effect_makeable import ROWS
from unit.test_effect_patches import node, plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.inventory import Manifests

A, B = digest("a"), digest("b")
WHOLE = Environment("production")
RENDERERS = {"kubectl": ["kubectl", "kustomize"], "kustomize": ["kustomize", "build"]}


@dataclass(frozen=True)
class Renderer:
    """A program that renders a kustomization, and a folder to put one in."""

    command: tuple[str, ...]
    folder: Path

    def render(self, tree: Tree) -> list[Any]:
        """Return the objects of the tree's top kustomization."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, text in tree.files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        done = subprocess.run(
            [*self.command, tree.top], cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{done.stderr}\n{shown(tree)}"
        return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=RENDERERS)
def renderer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    command = RENDERERS[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not on PATH: nothing to agree with")
    return Renderer(tuple(command), tmp_path_factory.mktemp("tree") / "tree")


def shown(tree: Tree) -> str:
    return "\n".join(f"=== {path}\n{text}" for path, text in tree.files.items())


def images_of(objects: list[Any]) -> dict[tuple[str, str, str], str]:
    """Take the image of each container and volume out of some objects; its place is the key."""
    found = {}
    for item in objects:
        if item["kind"] == "Service":
            continue
        spec = item["spec"]
        for key in ("jobTemplate", "spec", "template", "spec", "values"):
            spec = spec[key] if key in spec and "containers" not in spec else spec
        values = [spec, spec["extra"]] if "extra" in spec else []
        lists = [spec.get(key, []) for key in ("initContainers", "containers")]
        for container in [*values, *chain(*lists)]:
            name = (item["kind"], item["metadata"]["name"], container["name"])
            found[name] = container["image"]
            container["image"] = None
        for volume in spec.get("volumes", []):
            name = (item["kind"], item["metadata"]["name"], f"volume:{volume['name']}")
            found[name] = volume["image"]["reference"]
            volume["image"]["reference"] = None
    return found


def edited(tree: Tree, manifests: Manifests, values: Iterable[FieldEdit]) -> Tree:
    """The tree after some edits."""
    out = dict(tree.files)
    edits = list(values)
    for path in {edit.field.path for edit in edits}:
        own = [edit for edit in edits if edit.field.path == path]
        out[path] = rewritten(manifests.files[path], own).data.decode()
    return Tree(out, tree.top)


def assert_agreement(renderer: Renderer, tree: Tree) -> int:
    """Edit every field that takes effect, each to a version of its own, and compare the renders.

    Every image that changes has to be the one its field says it is, before and after; nothing else
    may change, and no image may be left out. Returns how many images were decided.
    """
    manifests = read_manifests({path: text.encode() for path, text in tree.files.items()})
    assert not manifests.skipped
    fields = manifests.effective({}, WHOLE).live
    before = renderer.render(tree)
    assert not [f"{f.place}: {f.problem}" for f in fields if f.problem], shown(tree)
    edits = [FieldEdit(field, new_value(field, number)) for number, field in enumerate(fields)]
    after = renderer.render(edited(tree, manifests, edits))
    old, new = images_of(before), images_of(after)
    assert before == after, f"more than images changed\n{shown(tree)}"
    assert old.keys() == new.keys()
    deciding = set()
    for place, image in new.items():
        number = number_of(image)
        assert number is not None, f"no field decides {place}\n{shown(tree)}"
        deciding.add(number)
        field = fields[number]
        assert old[place] == field.effective, f"{place}: {field.place}\n{shown(tree)}"
        name = field.shown_name or field.name_text
        assert image == name + split_version(edits[number].value)[1]
    idle = [field.place for number, field in enumerate(fields) if number not in deciding]
    assert not idle, f"they decide nothing: {idle}\n{shown(tree)}"
    return len(new)


def new_value(field: ImageField, number: int) -> str:
    """A version of its own for each field, with tag and digest as far as the field has room."""
    for tag, sha in ((f"9.{number}", f"sha256:{number:064x}"), (f"9.{number}", None)):
        try:
            return value_of(field, tag, sha)
        except ManifestError:
            continue
    return value_of(field, None, f"sha256:{number:064x}")


def number_of(image: str) -> int | None:
    match = re.search(r":9\.(\d+)(@sha256:0|$)|@sha256:0{40}0*([0-9a-f]+)$", image)
    if match is None:
        return None
    return int(match[1]) if match[1] else int(match[3], 16)


CART = BASE.format(
    migrate="acme/cart:1.4", server="acme/cart:1.4", proxy="envoy:1", report=f"acme/cart@{A}"
)
PLAIN = {
    "base/kustomization.yaml": "resources: [cart.yaml, service.yaml]\n",
    "base/cart.yaml": CART,
    "base/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\nspec: {}\n",
}


COMBINATIONS = [
    (name, tag, sha)
    for name in (None, "x.io/cart")
    for tag in (None, "'2'", f"v2@{B}")
    for sha in (None, B)
    if not (tag and "@" in tag and sha)  # two digests are no image
]


@pytest.mark.parametrize(("name", "tag", "sha"), COMBINATIONS)
def test_an_entry_with_any_combination_of_keys(
    renderer: Renderer, name: str | None, tag: str | None, sha: str | None
) -> None:
    keys = {"name": "acme/cart", "newName": name, "newTag": tag, "digest": sha}
    entry = ", ".join(f"{key}: {value}" for key, value in keys.items() if value)
    top = f"resources: [../base]\nimages: [{{{entry}}}]\n"
    assert assert_agreement(renderer, Tree({**PLAIN, "top/kustomization.yaml": top}, "top")) == 4


ON_BASE = "resources: [../base]\n"
TAG_A = "images: [{name: acme/cart, newTag: a}]\n"
RELEASE = """\
---
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata:
  name: shop
spec:
  values:
    name: shop
    image: acme/cart:1.4 # kustomize has no eye for it
    extra: {image: acme/cart:1.4, name: extra}
    containers:
    - name: more
      image: acme/cart:1.4
"""


def patch(image: str, name: str = "cart", container: str = "server") -> str:
    body = CONTAINERS.format(container=container, image=image)
    return patch_text("apps/v1", "Deployment", name, body)


TREES = {
    "two overlays, the outer wins": {
        "middle/kustomization.yaml": ON_BASE + TAG_A,
        "top/kustomization.yaml": "resources: [../middle]\n" + TAG_A.replace("a}", "b}"),
    },
    "a chain of new names": {
        "middle/kustomization.yaml": (
            "resources: [../base]\nimages:\n- {name: acme/cart, newName: x.io/cart, newTag: a}\n"
            "- {name: x.io/cart, newName: y.io/cart}\n"
        ),
        "top/kustomization.yaml": (
            f"resources: [../middle]\nimages:\n- {{name: acme/cart, newTag: c}}\n"
            f"- {{name: y.io/cart, digest: '{B}'}}\n"
        ),
    },
    "two entries of one name": {
        "top/kustomization.yaml": (
            f"resources: [../base]\nimages:\n- {{name: acme/cart, newTag: a}}\n"
            f"- {{name: acme/cart, digest: '{B}'}}\n"
        ),
    },
    "a dot stands for any character": {
        "top/kustomization.yaml": "resources: [../base]\nimages: [{name: acme.cart, newTag: a}]\n",
    },
    "a component between": {
        "pin/kustomization.yaml": (
            COMPONENT + "images: [{name: acme/cart, newTag: a}]\npatches: [{path: p.yaml}]\n"
        ),
        "pin/p.yaml": patch("envoy:2", container="proxy"),
        "top/kustomization.yaml": (
            "resources: [../base]\ncomponents: [../pin]\nimages: [{name: envoy, newTag: e}]\n"
        ),
    },
    "a component with workloads of its own": {
        "more/kustomization.yaml": (
            COMPONENT + "resources: [more.yaml]\nimages: [{name: acme/cart, newTag: a}]\n"
        ),
        "more/more.yaml": CART.replace("name: cart", "name: more").replace("report", "second"),
        "top/kustomization.yaml": "resources: [../base]\ncomponents: [../more]\n",
    },
    "a component within a component": {
        "in/kustomization.yaml": (COMPONENT + "images: [{name: acme/cart, newName: x.io/cart}]\n"),
        "out/kustomization.yaml": (
            COMPONENT + "components: [../in]\nimages: [{name: x.io/cart, newTag: a}]\n"
        ),
        "top/kustomization.yaml": "resources: [../base]\ncomponents: [../out]\n",
    },
    "bases, the old word": {
        "top/kustomization.yaml": "bases: [../base]\nimages: [{name: acme/cart, newTag: a}]\n",
    },
    "a patch in a file of its own": {
        "top/kustomization.yaml": "resources: [../base]\npatches: [{path: p.yaml}]\n",
        "top/p.yaml": patch(f"acme/cart:2@{B}"),
    },
    "a patch with a target": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches:\n"
            "- {path: p.yaml, target: {kind: Deployment, name: ca.*}}\n"
        ),
        "top/p.yaml": patch("acme/cart:2", name="any"),
    },
    "a patch whose target is nothing here": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.yaml, target: {name: nothing}}]\n"
            "images: [{name: acme/nothing, newTag: a}]\n"
        ),
        "top/p.yaml": patch("acme/cart:2"),
    },
    "an entry over a patch": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.yaml}]\n"
            "images: [{name: y.io/cart, newTag: a}]\n"
        ),
        "top/p.yaml": patch("y.io/cart:2"),
    },
    "a patch over the base's entry": {
        "base/kustomization.yaml": (
            "resources: [cart.yaml, service.yaml]\n"
            "images: [{name: acme/cart, newName: x.io/cart, newTag: a}]\n"
        ),
        "top/kustomization.yaml": "resources: [../base]\npatches: [{path: p.yaml}]\n",
        "top/p.yaml": patch("acme/cart:2"),
    },
    "two patches of one container": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.yaml}, {path: q.yaml}]\n"
        ),
        "top/p.yaml": patch("acme/cart:2"),
        "top/q.yaml": patch("acme/cart:3"),
    },
    "patches of the old and the new list": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.yaml}]\npatchesStrategicMerge: [q.yaml]\n"
        ),
        "top/p.yaml": patch("acme/cart:2"),
        "top/q.yaml": patch("acme/cart:3"),
    },
    "a patch that adds a container": {
        "top/kustomization.yaml": (
            "resources: [../base]\npatches: [{path: p.yaml}]\n"
            "images: [{name: acme/tail, newTag: a}]\n"
        ),
        "top/p.yaml": patch("acme/tail:2", container="tail"),
    },
    "a patch of names that were given": {
        "middle/kustomization.yaml": "resources: [../base]\nnamePrefix: p--\n",
        "top/kustomization.yaml": (
            "resources: [../middle]\npatches: [{path: p.yaml}, {path: q.yaml}]\n"
        ),
        "top/p.yaml": patch("acme/cart:2"),
        "top/q.yaml": patch("envoy:3", name="p--cart", container="proxy"),
    },
    "a target by a name that was given": {
        "middle/kustomization.yaml": "resources: [../base]\nnamePrefix: p--\nnameSuffix: -s\n",
        "top/kustomization.yaml": (
            "resources: [../middle]\n"
            "patches: [{path: p.yaml, target: {kind: Deployment, name: p--cart-s}}]\n"
        ),
        "top/p.yaml": patch("acme/cart:2"),
    },
    "one base under two names": {
        "one/kustomization.yaml": "resources: [../base]\nnamePrefix: one-\n"
        "images: [{name: acme/cart, newTag: a}]\n",
        "two/kustomization.yaml": "resources: [../base]\nnamePrefix: two-\n",
        "top/kustomization.yaml": "resources: [../one, ../two]\npatches: [{path: p.yaml}]\n",
        "top/p.yaml": patch("acme/cart:2", name="two-cart"),
    },
    "values of a Helm release that look like containers": {
        "base/cart.yaml": CART + RELEASE,
        "top/kustomization.yaml": ON_BASE + TAG_A,
    },
    "a pattern for another image": {
        "top/kustomization.yaml": "resources: [../base]\nimages: [{name: 'x.*/y', newTag: a}]\n",
    },
    "an entry that says nothing": {
        "top/kustomization.yaml": "resources: [../base]\nimages: [{name: acme/cart, newTag: ''}]\n",
    },
    "an entry for what is not there": {
        "top/kustomization.yaml": "resources: [../base]\nimages: [{name: cart, newTag: a}]\n",
    },
}


@pytest.mark.parametrize("name", TREES)
def test_what_takes_effect_in_overlays(renderer: Renderer, name: str) -> None:
    tree = Tree({**PLAIN, **TREES[name]}, "top")
    assert assert_agreement(renderer, tree) >= 4


def test_an_entry_and_an_image_volume(renderer: Renderer) -> None:
    volume = "      volumes: [{name: model, image: {reference: 'acme/cart:1.4'}}]\n---\n"
    top = ON_BASE + TAG_A
    files = {"base/cart.yaml": CART.replace("---\n", volume, 1), "top/kustomization.yaml": top}
    tree = Tree({**PLAIN, **files}, "top")
    if "reference: acme/cart:1.4" in yaml.safe_dump_all(renderer.render(tree)):
        pytest.skip("this kustomize leaves image volumes alone: it is older than 5.7")
    assert assert_agreement(renderer, tree) == 5


@settings(
    max_examples=settings().max_examples // 10,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(tree=trees())
def test_what_takes_effect_in_any_tree(renderer: Renderer, tree: Tree) -> None:
    assert_agreement(renderer, tree)


# Lists of pods, of their containers and of other kinds, and what could tell their items apart.
OF_PODS = """\
containers name
initContainers name
ephemeralContainers name
volumes name
imagePullSecrets name
hostAliases ip
topologySpreadConstraints topologyKey whenUnsatisfiable
tolerations key
readinessGates conditionType
"""
OF_CONTAINERS = """\
env name
envFrom prefix
ports containerPort protocol
volumeMounts mountPath
volumeDevices devicePath
"""
OF_OTHERS = """\
v1 Service spec.ports port protocol
v1 ServiceAccount secrets name
v1 ServiceAccount imagePullSecrets name
v1 Endpoints subsets name
networking.k8s.io/v1 Ingress spec.rules host
rbac.authorization.k8s.io/v1 Role rules name
admissionregistration.k8s.io/v1 MutatingWebhookConfiguration webhooks name
admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration webhooks name
acme.io/v1 Runner spec.template.spec.containers name
"""


def items(keys: list[str], mark: str, *names: str) -> list[dict[str, Any]]:
    return [{**dict.fromkeys(keys, name), mark: name} for name in names]


def with_lists(mark: str, *names: str) -> list[dict[str, Any]]:
    """Return an object of every kind that has a pod, and of others, with items of some names."""
    pod = {name: items(keys, mark, *names) for name, *keys in map(str.split, OF_PODS.splitlines())}
    for container in chain(*(pod[name] for name in pod if name.endswith("ontainers"))):
        for name, *keys in map(str.split, OF_CONTAINERS.splitlines()):
            container[name] = items(keys, mark, *names)
    bodies: list[tuple[list[str], Any]] = [(line.split(), pod) for line in PODS.splitlines()]
    for version, kind, where, *keys in map(str.split, OF_OTHERS.splitlines()):
        bodies.append(([version, kind, where], items(keys, mark, *names)))
    found = []
    for number, ((version, kind, where), body) in enumerate(bodies):
        made = plain(with_pod(version, kind, where, body))
        found.append({**made, "metadata": {"name": f"n{number}"}})
    return found


def test_every_list_is_merged_or_replaced_as_the_tool_does_it(renderer: Renderer) -> None:
    base, patch = with_lists("old", "1", "2"), with_lists("new", "3", "2")
    top = {"resources": ["base.yaml"], "patches": [{"path": "patch.yaml"}]}
    texts = {"kustomization.yaml": [top], "base.yaml": base, "patch.yaml": patch}
    files = {f"top/{name}": yaml.safe_dump_all(every) for name, every in texts.items()}
    built = {one["metadata"]["name"]: one for one in renderer.render(Tree(files, "top"))}
    for below, above in zip(base, patch, strict=True):
        merged = strategic_merge(node(yaml.safe_dump(below)), node(yaml.safe_dump(above)))
        assert plain(merged) == built[below["metadata"]["name"]]


@pytest.mark.parametrize("text", [*MADE, *NOT_MADE])
def test_what_cannot_be_made_is_what_the_tool_cannot_make(renderer: Renderer, text: str) -> None:
    deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\n"
    files = {"top/kustomization.yaml": f"resources: [a.yaml]\n{text}\n"}
    files |= dict.fromkeys(("top/a.yaml", "top/p.yaml"), deployment)
    if text in MADE:
        assert renderer.render(Tree(files, "top"))
        return
    with pytest.raises(AssertionError, match=r"(?i)err"):
        renderer.render(Tree(files, "top"))


@pytest.mark.parametrize("name", ROWS)
def test_what_fails_a_build_is_what_the_tool_fails_on(renderer: Renderer, name: str) -> None:
    files, is_made = ROWS[name]
    tree = Tree({f"top/{path}": text for path, text in files.items()}, "top")
    if is_made:
        assert renderer.render(tree)
        return
    with pytest.raises(AssertionError, match=r"(?i)err"):
        renderer.render(tree)

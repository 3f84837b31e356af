"""An edit changes the characters of the values and nothing else, in whatever way they are written.

What is expected is worked out from what the writer of the text knows, not from what we found in
it. 300 examples of each form; 10,000 with `HYPOTHESIS_PROFILE=long`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_rollback.image import parse_image
from gitops_rollback.manifest.edit import FieldEdit, restoring_edit, rewritten, value_of
from gitops_rollback.manifest.image_field import SUBSTITUTION
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import Manifests, read_manifests
from unit.builders import DEPLOYMENT, digest
from unit.yaml_texts import TEXTS, Slot, Tree, Written, filled, slots, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.manifest.image_field import ImageField

WHOLE = Environment("production")
OLD_TAGS = ("1.4.2", "v1", "latest", "1.10", "41", "1e3", "2020-01-01", "on", "0x1f", "a_b-c.d")
SAFE_TAGS = ("1.5.0", "v2", "main-3f2a1", "latest", "a.b_c-d", "Release")
ODD_TAGS = ("1.10", "0777", "1e3", "123e456", "on", "0x1f", "2026-01-31", "1_000", "null", "y")
OLD, NEW = digest("old"), digest("new")
NAMES = st.sampled_from(["acme/cart", "cart", "ghcr.io/acme/cart", "localhost:5000/a/cart"])


@dataclass(frozen=True)
class Example:
    """A file with one image, and what stands beside it; `image` is what takes effect.

    `name` is the name that takes effect, `before` what stands before a variable in the tag.
    """

    path: str
    written: Written
    container: str
    name: str
    image: str
    others: Mapping[str, bytes] = field(default_factory=dict)
    before: str = ""

    def read(self, data: bytes) -> tuple[Manifests, ImageField]:
        """Read all files, with other bytes in the one; return its field that takes effect."""
        manifests = read_manifests({self.path: data, **self.others})
        assert not manifests.skipped
        [found] = [
            field
            for field in manifests.effective({}, WHOLE).live
            if (field.path, field.container) == (self.path, self.container)
        ]
        return manifests, found


@st.composite
def shuffled(draw: st.DrawFn, tree: dict[str, Tree]) -> dict[str, Tree]:
    return {key: tree[key] for key in draw(st.permutations(list(tree)))}


noise: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {}, optional={"note": st.sampled_from(TEXTS), "args": st.lists(st.sampled_from(TEXTS))}
)


def version(tag: str, sha: str) -> str:
    return (f":{tag}" if tag else "") + (f"@{sha}" if sha else "")


VERSIONS = st.sampled_from([("", ""), *((tag, "") for tag in OLD_TAGS), ("", OLD), ("1.4", OLD)])


@st.composite
def workloads(draw: st.DrawFn) -> Example:
    """Containers and image volumes, in a workload or in one of a list."""
    image = draw(NAMES) + version(*draw(VERSIONS))
    slot = draw(slots("reference", image))
    container: dict[str, Tree] = {"name": "server", "image": slot, **draw(noise)}
    other: dict[str, Tree] = {"name": "other", "image": "busybox:1.36"}
    pod: dict[str, Tree] = {"containers": [other, draw(shuffled(container))]}
    name = "server"
    if draw(st.integers(0, 3)) == 0:
        volume: dict[str, Tree] = {"reference": slot, "pullPolicy": "Always"}
        pod = {"containers": [other], "volumes": [{"name": "data", "image": volume}]}
        name = "volume:data"
    tree: dict[str, Tree] = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": draw(shuffled({"name": "cart", "labels": {"app": "cart"}, **draw(noise)})),
        "spec": {"template": {"spec": pod}},
    }
    tree = draw(shuffled(tree))
    if draw(st.integers(0, 4)) == 0:
        tree = {"apiVersion": "v1", "kind": "List", "items": [tree]}
    return Example("a.yaml", draw(written(tree)), name, parse_image(image).name, image)


@st.composite
def split(draw: st.DrawFn, tag: str, sha: str) -> dict[str, Slot]:
    """Draw slots for a tag, a digest, or both, of which one may be empty, or both in one."""
    forms = ["tag", "digest", "both", "empty digest", "empty tag", "tag@digest"]
    form = draw(st.sampled_from(forms))
    texts = {
        "tag": {tag: draw(st.sampled_from(OLD_TAGS))},
        "digest": {sha: OLD},
        "both": {tag: draw(st.sampled_from(OLD_TAGS)), sha: OLD},
        "empty digest": {tag: draw(st.sampled_from(OLD_TAGS)), sha: ""},
        "empty tag": {tag: "", sha: OLD},
        "tag@digest": {tag: f"1.4@{OLD}"},
    }[form]
    roles = {tag: "tag", sha: "digest"}
    return {key: draw(slots(roles[key], text)) for key, text in texts.items()}


def effective(name: str, parts: Mapping[str, Slot]) -> str:
    texts = {slot.role: slot.text for slot in parts.values()}
    return name + version(texts.get("tag", ""), texts.get("digest", ""))


# What helm prints of numbers that YAML reads, as `helm template` shows them (v3.19).
PRINTED = {"1.10": "1.1", "0x1f": "31", "1e3": "1000", "on": "true"}


def printed(name: str, text: Written) -> str:
    """The image that a chart makes of values: of a plain number it sees the number alone."""
    found = {role: slot for role in ("tag", "digest") if (slot := text.slot(role)) is not None}
    shown = {
        role: replace(slot, text=slot.text if slot.quote else PRINTED.get(slot.text, slot.text))
        for role, slot in found.items()
    }
    return effective(name, shown)


@st.composite
def kustomize_entries(draw: st.DrawFn) -> Example:
    """Entries of a kustomization over a workload."""
    parts = draw(split("newTag", "digest"))
    new_name = draw(st.sampled_from([None, "x.io/cart"]))
    named: dict[str, Tree] = {"newName": new_name} if new_name else {}
    entry = draw(shuffled({"name": "acme/cart", **named, **parts}))
    other: Tree = {"name": "other", "newName": "elsewhere"}
    tree: dict[str, Tree] = {
        "resources": ["deployment.yaml"],
        "images": draw(st.permutations([entry, other])),
        **draw(noise),
    }
    return Example(
        "kustomization.yaml",
        draw(written(draw(shuffled(tree)))),
        "acme/cart",
        new_name or "acme/cart",
        effective(new_name or "acme/cart", parts),
        {"deployment.yaml": DEPLOYMENT.format(image="acme/cart:0").encode()},
    )


@st.composite
def helm_values(draw: st.DrawFn) -> Example:
    """Values of a release, or a file of values: one text, or parts under any key."""
    keys = draw(st.sampled_from([("image",), ("sidecar", "image"), ("web",), ("a", "b", "proxy")]))
    node: Tree
    if keys[-1] == "image" and draw(st.booleans()):
        name = draw(NAMES)
        image = name + version(*draw(VERSIONS.filter(any)))
        node = draw(slots("reference", image))
    else:
        parts = draw(split("tag", "digest"))
        registry = draw(st.sampled_from([None, "ghcr.io"]))
        own: dict[str, Tree] = {
            "repository": "acme/cart",
            **({"registry": registry} if registry else {}),
        }
        node = draw(shuffled({**own, **parts, "pullPolicy": "Always"}))
        name = f"{registry}/acme/cart" if registry else "acme/cart"
        image = ""
    for key in reversed(keys):
        node = {key: node, **draw(noise)}
    path = "values.yaml"
    tree = node
    if draw(st.booleans()):
        path = "release.yaml"
        tree = {
            "apiVersion": "helm.toolkit.fluxcd.io/v2",
            "kind": "HelmRelease",
            "metadata": {"name": "cart"},
            "spec": {"values": node, "interval": "5m"},
        }
    assert isinstance(tree, dict)
    text = draw(written(tree))
    return Example(path, text, ".".join(keys), name, image or printed(name, text))


@st.composite
def substitutions(draw: st.DrawFn) -> Example:
    """Flux variables, defined in a Flux Kustomization or in a ConfigMap."""
    before = draw(st.sampled_from(["", "", "v"]))
    tag = draw(st.sampled_from(OLD_TAGS))
    slots_of: dict[str, Slot] = {"CART_TAG": draw(slots("tag", tag))}
    text = f"acme/cart:{before}${{CART_TAG}}"
    image = f"acme/cart:{before}{tag}"
    if draw(st.booleans()):
        slots_of["CART_DIGEST"] = draw(slots("digest", OLD))
        text, image = text + "@${CART_DIGEST}", f"{image}@{OLD}"
    variables = draw(shuffled({**slots_of, "OTHER": "x"}))
    in_map = draw(st.booleans())
    source: dict[str, Tree] = {"substituteFrom": [{"kind": "ConfigMap", "name": "versions"}]}
    flux: dict[str, Tree] = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "apps"},
        "spec": {"path": "./apps", "postBuild": source if in_map else {"substitute": variables}},
    }
    config: dict[str, Tree] = {
        "kind": "ConfigMap", "metadata": {"name": "versions"}, "data": variables,
    }  # fmt: skip
    others = {"apps/a.yaml": DEPLOYMENT.format(image=f'"{text}"').encode()}
    if in_map:
        others["flux.yaml"] = draw(written(flux)).data()
    path, tree = ("versions.yaml", config) if in_map else ("flux.yaml", flux)
    return Example(path, draw(written(tree)), "CART_TAG", "acme/cart", image, others, before)


def new_texts(example: Example, tag: str, sha: str) -> dict[str, str]:
    """The text each slot is to have, from what the parts are for."""
    if example.written.slot("reference") is not None:
        return {"reference": example.name + version(tag, sha)}
    own = tag.removeprefix(example.before)
    tag_slot, digest_slot = example.written.slot("tag"), example.written.slot("digest")
    if tag_slot is None:
        return {"digest": sha}
    if digest_slot is None:
        return {"tag": own + version("", sha)}
    if not sha:
        return {"tag": own, "digest": ""}
    return {"tag": own if tag_slot.text else "", "digest": sha}


def new_raw(slot: Slot, text: str, quote: str) -> str:
    """The characters a slot is to have: its own quotes; others only where a text needs them."""
    if slot.quote:
        return f"{slot.quote}{text}{slot.quote}"
    if not text:
        return quote + quote
    return f"{quote}{text}{quote}" if text in ODD_TAGS else text


def assert_exact(example: Example, tag: str, sha: str) -> None:
    data = example.written.data()
    manifests, field = example.read(data)
    assert field.problem == ""
    assert field.effective == example.image
    is_split, is_variable = bool(field.recorded_parts), field.form == SUBSTITUTION
    has_tag = example.written.slot("tag") is not None
    has_digest = example.written.slot("digest") is not None
    if is_split and (not has_tag or (is_variable and has_digest)):
        sha = NEW  # there is no place for a tag, or none for a tag alone
    texts = new_texts(example, tag, sha)
    edit = FieldEdit(field, value_of(field, tag, sha or None))
    after = rewritten(manifests.files[example.path], [edit]).data
    if not edit.texts:
        assert after == data  # it says that already
        return
    expected = []
    for quote in ("'", '"'):
        found = {role: example.written.slot(role) for role in texts}
        raw = {role: new_raw(slot, texts[role], quote) for role, slot in found.items() if slot}
        expected.append(example.written.data(raw))
    assert after in expected

    tree = list(yaml.load_all(after.decode("utf-8-sig"), Loader=yaml.CSafeLoader))
    assert tree[example.written.number] == filled(example.written.tree, texts)

    again, found_again = example.read(after)
    shown = tag if texts.get("tag", tag) else ""
    shown = shown if example.written.slot("tag") or example.written.slot("reference") else ""
    assert found_again.effective == example.name + version(shown, sha)
    undo = restoring_edit(found_again, field.value, field.recorded_parts)
    assert rewritten(again.files[example.path], [undo]).data == data


tags = st.sampled_from([*SAFE_TAGS, *ODD_TAGS])
digests = st.sampled_from(["", NEW])
every_form = settings(suppress_health_check=[HealthCheck.too_slow])


@every_form
@given(workloads(), tags, digests)
def test_an_edit_of_a_workload_is_exact(example: Example, tag: str, sha: str) -> None:
    assert_exact(example, tag, sha)


@every_form
@given(kustomize_entries(), tags, digests)
def test_an_edit_of_a_kustomize_entry_is_exact(example: Example, tag: str, sha: str) -> None:
    assert_exact(example, tag, sha)


@every_form
@given(helm_values(), tags, digests)
def test_an_edit_of_helm_values_is_exact(example: Example, tag: str, sha: str) -> None:
    assert_exact(example, tag, sha)


@every_form
@given(substitutions(), tags, digests)
def test_an_edit_of_a_flux_variable_is_exact(example: Example, tag: str, sha: str) -> None:
    assert_exact(example, example.before + tag, sha)

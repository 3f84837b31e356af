"""What transformers, configurations and renamings of a kustomization make of an image."""

from __future__ import annotations

import pytest

from unit.test_effective import BASE, CART, OVERLAY, effect_of

BUILTIN = "apiVersion: builtin\nkind: {kind}\nmetadata: {{name: t}}\n"
TAGS = BUILTIN.format(kind="ImageTagTransformer")
JSON = (
    '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "acme/cart:8"}]'
)
MERGE = (
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cart}, spec: {template: {spec: "
    "{containers: [{name: server, image: 'acme/cart:9'}]}}}}"
)
SIX = "{name: acme/cart, newTag: '6'}"
VARS = "vars: [{name: TAG, objref: {kind: Service, name: a, apiVersion: v1}}]"


def overlaid(top: str, **files: str) -> tuple[list[str], list[str]]:
    """The images of an overlay, and why what takes effect of them is not known."""
    more = {f"overlay/{name}.yaml": text for name, text in files.items()}
    whole = {**BASE, "overlay/kustomization.yaml": f"resources: [../base]\n{top}\n", **more}
    landed = effect_of(whole, OVERLAY).landed
    return [one.image for one in landed], [why.why for one in landed for why in one.unknowns]


@pytest.mark.parametrize(
    ("kind", "body", "image"),
    [
        ("ImageTagTransformer", "imageTag: {name: acme/cart, newTag: '7'}", "acme/cart:7"),
        ("ImageTagTransformer", "imageTag: {name: acme/shop, newTag: '7'}", "acme/cart:1"),
        ("PatchTransformer", f"target: {{kind: Deployment}}\npatch: '{JSON}'", "acme/cart:8"),
        ("PatchTransformer", f"target: {{kind: Service}}\npatch: '{JSON}'", "acme/cart:1"),
        ("PatchTransformer", "target: {kind: Deployment}\npath: p.yaml", "acme/cart:9"),
        (
            "PatchJson6902Transformer",
            f"target: {{kind: Deployment, name: cart}}\njsonOp: '{JSON}'", "acme/cart:8",
        ),
        ("PatchStrategicMergeTransformer", "paths: [p.yaml]", "acme/cart:9"),
        ("PatchStrategicMergeTransformer", f'patches: "{MERGE}"', "acme/cart:9"),
        ("NamespaceTransformer", "", "acme/cart:1"),
        ("PrefixTransformer", "prefix: x-", "acme/cart:1"),
        ("SuffixTransformer", "suffix: -x", "acme/cart:1"),
        ("LabelTransformer", "labels: {a: b}", "acme/cart:1"),
        ("AnnotationsTransformer", "annotations: {a: b}", "acme/cart:1"),
        ("ReplicaCountTransformer", "replica: {name: cart, count: 2}", "acme/cart:1"),
    ],
)  # fmt: skip
def test_a_transformer_that_kustomize_has_built_in_is_followed(
    kind: str, body: str, image: str
) -> None:
    text = f"{BUILTIN.format(kind=kind)}{body}\n"
    assert overlaid("transformers: [t.yaml]", t=text, p=MERGE) == ([image], [])


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("apiVersion: acme/v1\nkind: ImageTagTransformer\n", "imageTag: {name: acme/cart}"),
        ("apiVersion: acme/builtin\nkind: PrefixTransformer\n", "prefix: x-"),
        ("apiVersion: builtin\nkind: ValueAddTransformer\n", "value: a"),
        ("apiVersion: builtin\nkind: Unheard\n", ""),
        ("apiVersion: builtin\nkind: ImageTagTransformer\n", "imageTag: {newTag: '7'}"),
        (
            "apiVersion: builtin\nkind: PrefixTransformer\n",
            "prefix: x-\nfieldSpecs: [{path: spec/template/spec/containers/image}]",
        ),
    ],
)
def test_a_transformer_that_is_not_followed_makes_the_image_unknown(head: str, body: str) -> None:
    text = f"{head}metadata: {{name: t}}\n{body}\n"
    images, why = overlaid("transformers: [t.yaml]", t=text)
    assert images == ["acme/cart:1"]
    assert len(why) == 1


def test_a_transformer_may_be_written_in_place_or_be_missing() -> None:
    text = (
        f"{BUILTIN.format(kind='ImageTagTransformer')}imageTag: {{name: acme/cart, newTag: '7'}}\n"
    )
    inline = "transformers:\n- |\n" + "".join(f"  {line}\n" for line in text.splitlines())
    images, why = overlaid(inline)
    assert (images, len(why)) == (["acme/cart:1"], 1)
    assert len(overlaid("transformers: [none.yaml]")[1]) == 1


def test_a_transformer_names_further_places_of_images() -> None:
    spec = "fieldSpecs: [{path: spec/runner/image, kind: Deployment}, {kind: Deployment}]"
    text = (
        f"{BUILTIN.format(kind='ImageTagTransformer')}imageTag: {{name: a, newTag: '7'}}\n{spec}\n"
    )
    assert overlaid("transformers: [t.yaml]", t=text) == (["acme/cart:1"], [])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("images: [{path: spec/runner/image, kind: Thing}]", 0),
        ("namePrefix: [{path: metadata/name}]", 0),
        ("nameReference: [{path: spec/template/spec/containers/image}]", 1),
        ("commonLabels: [{path: spec/image, create: true}]", 1),
    ],
)
def test_a_configuration_may_let_other_transformers_write_images(text: str, number: int) -> None:
    images, why = overlaid("configurations: [c.yaml]", c=f"{text}\n")
    assert (images, len(why)) == (["acme/cart:1"], number)


def test_a_configuration_that_is_not_there_fails_the_build() -> None:
    assert overlaid("configurations: [none.yaml]")[1] == ["it cannot be read"]


@pytest.mark.parametrize(
    ("patch", "image", "why"),
    [
        (MERGE, "acme/cart:9", []),
        (MERGE.replace("name: cart", "name: shop"), "acme/cart:1", ["there is no Deployment shop"]),
        ("{kind: Deployment, metadata: {name: cart}}", "acme/cart:1", ["there is no Deployment"]),
        (
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cart}, spec: {$odd: a}}",
            "acme/cart:1", ["the directive $odd"],
        ),
    ],
)  # fmt: skip
def test_a_patch_is_for_the_object_that_it_names(patch: str, image: str, why: list[str]) -> None:
    images, said = overlaid("patches: [{path: p.yaml}]", p=f"{patch}\n")
    assert images == [image]
    assert [text[: len(one)] for text, one in zip(said, why, strict=True)] == why


def test_a_patch_that_deletes_the_object_leaves_no_image() -> None:
    gone = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cart}, $patch: delete}\n"
    assert overlaid("patches: [{path: p.yaml}]", p=gone) == ([], [])


@pytest.mark.parametrize("operation", ["[{}]", '[{"op": "remove", "path": "/none"}]', "{"])
def test_operations_that_the_build_fails_with_make_the_image_unknown(operation: str) -> None:
    top = f"patches: [{{target: {{kind: Deployment}}, patch: '{operation}'}}]"
    images, why = overlaid(top)
    assert (images, len(why)) == (["acme/cart:1"], 1)


@pytest.mark.parametrize(
    ("top", "tag"),
    [
        ("commonLabels: {a: b}\nnamespace: shop", "1"),
        ("labels: [{pairs: {a: b}}]\ncommonAnnotations: {a: b}", "1"),
        ("namePrefix: x-\nnameSuffix: -x", "1"),
        ("imageTags: [{name: acme/cart, newTag: '5'}]", "5"),
        (
            "images: [{name: acme/cart, newTag: '6'}]\nimageTags: [{name: acme/cart, newTag: '5'}]",
            "5",
        ),
        ("replacements: [{path: r.yaml}]", "7"),
        ("configMapGenerator: [{name: a, literals: [a=b]}]", "1"),
        (VARS, "1"),
    ],
)
def test_the_other_keys_of_a_kustomization_are_followed(top: str, tag: str) -> None:
    copied = """\
- source: {kind: Deployment, name: cart, fieldPath: metadata.annotations.tag}
  targets:
  - select: {kind: Deployment}
    fieldPaths: [spec.template.spec.containers.0.image]
    options: {delimiter: ':', index: 1}
"""
    base = {
        "base/deployment.yaml": CART.replace(
            "name: cart\n", "name: cart\n  annotations: {tag: '7'}\n", 1
        )
    }
    more = {
        "overlay/r.yaml": copied,
        "overlay/kustomization.yaml": f"resources: [../base]\n{top}\n",
    }
    [landed] = effect_of({**BASE, **base, **more}, OVERLAY).landed
    assert (landed.image, landed.unknowns) == (f"acme/cart:{tag}", ())


def test_a_variable_of_a_kustomization_makes_an_image_unknown_that_names_one() -> None:
    base = {"base/deployment.yaml": CART.replace("acme/cart:1", "acme/cart:$(TAG)")}
    files = {**BASE, **base, "overlay/kustomization.yaml": f"resources: [../base]\n{VARS}\n"}
    [landed] = effect_of(files, OVERLAY).landed
    assert [one.why for one in landed.unknowns] == ["they may fill its text"]


def test_replacements_that_cannot_be_read_make_the_image_unknown() -> None:
    assert overlaid("replacements: [{path: none.yaml}]")[1] == ["it cannot be read"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ("{allowNameChange: true}", "shop"),
        ("{allowNameChange: false}", "cart"),
        ("{allowKindChange: true}", "cart"),
    ],
)
def test_a_patch_may_give_an_object_another_name_where_it_is_allowed(
    options: str, name: str
) -> None:
    patch = "{kind: StatefulSet, metadata: {name: shop}, spec: {replicas: 2}}"
    top = f"patches: [{{target: {{kind: Deployment}}, path: p.yaml, options: {options}}}]"
    whole = {**BASE, "overlay/p.yaml": patch}
    whole["overlay/kustomization.yaml"] = f"resources: [../base]\n{top}\n"
    [landed] = effect_of(whole, OVERLAY).landed
    kind = "StatefulSet" if "Kind" in options else "Deployment"
    assert f"{kind} {name}," in landed.title

"""What transformers, configurations and renamings of a kustomization make of an image."""

from __future__ import annotations

import json

import pytest

from gitops_rollback.effective.appliers import files_to_follow, folders_to_follow
from gitops_rollback.effective.effect import OTHER, judge
from gitops_rollback.image import parse_image
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.kustomize import read_kustomization
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from unit.test_effective import BASE, CART, OVERLAY, WHOLE, effect_of

BUILTIN = "apiVersion: builtin\nkind: {kind}\nmetadata: {{name: t}}\n"
TAGS = BUILTIN.format(kind="ImageTagTransformer")
JSON = (
    '[{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "acme/cart:8"}]'
)
MERGE = (
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cart}, spec: {template: {spec: "
    "{containers: [{name: server, image: 'acme/cart:9'}]}}}}"
)
BARE = "spec: {template: {spec: {containers: [{name: server, image: acme/cart:9}]}}}"
NAMED = f"{{kind: Any, metadata: {{name: any}}, {BARE}}}"
REPLACE = (
    "{source: {kind: Deployment, name: cart, fieldPath: metadata.name}, targets: [{select: {kind: "
    "Deployment}, fieldPaths: [spec.template.spec.containers.0.image]}]}"
)
SIX = "{name: acme/cart, newTag: '6'}"
VARS = "vars: [{name: TAG, objref: {kind: Deployment, name: cart, apiVersion: apps/v1}}]"


def overlaid(top: str, **files: str) -> tuple[list[str], list[str]]:
    """The images of an overlay, and why what takes effect of them is not known."""
    more = {f"overlay/{name}.yaml": text for name, text in files.items()}
    first = "" if "resources:" in top else "resources: [../base]\n"
    whole = {**BASE, "overlay/kustomization.yaml": f"{first}{top}\n", **more}
    landed = effect_of(whole, OVERLAY).landed
    return [one.image for one in landed], [why.why for one in landed for why in one.unknowns]


BESIDE = {
    "a text for somebody else": (
        "kind: Secret\nmetadata: {name: s}\nvalue: '{{ .password }}'\nmore: |\n  {{ .b }}\n",
        [],
    ),
    "a mapping to YAML": ("kind: Secret\nvalue: {{ .password }}\n", ["this file"]),
    "no YAML": ("kind: Secret\n{{- if .a }}\n", ["this file"]),
    "an image of Helm": ("kind: Secret\nimage: {{ .a }}\n", ["this file"]),
    "nothing": (None, ["resource overlay/x.yaml"]),
}


@pytest.mark.parametrize("name", BESIDE)
def test_braces_in_the_texts_of_what_an_overlay_takes_are_no_helm_template(name: str) -> None:
    text, unread = BESIDE[name]
    top = "resources: [x.yaml]\nimages: [{name: acme/cart, newTag: '2'}]\n"
    files = {"overlay/kustomization.yaml": top} | ({"overlay/x.yaml": text} if text else {})
    effect = effect_of(files, OVERLAY)
    assert [why.construct for one in effect.landed for why in one.unknowns] == unread
    assert bool(effect.idle) is not bool(unread)  # the entry surely meets nothing


@pytest.mark.parametrize(
    "top", ["namespace: shop", "labels: [{pairs: {a: b}}]", "transformers: [t.yaml]"]
)
def test_of_metadata_that_is_no_mapping_kustomize_builds_nothing(top: str) -> None:
    files = {
        "base/kustomization.yaml": f"resources: [deployment.yaml, odd.yaml]\n{top}\n",
        "base/deployment.yaml": CART,
        "base/odd.yaml": CART.replace("metadata:\n  name: cart\n", "metadata: cart\n"),
        "base/t.yaml": f"{BUILTIN.format(kind='NamespaceTransformer')[:-2]}, namespace: shop}}\n",
    }
    landed = effect_of(files, Environment("production", "base")).landed
    assert [why.construct for one in landed for why in one.unknowns] == [
        "this file",
        "metadata",
    ] * len(landed)
    assert landed


@pytest.mark.parametrize(
    ("kind", "body", "image"),
    [
        ("ImageTagTransformer", "imageTag: {name: acme/cart, newTag: '7'}", "acme/cart:7"),
        ("ImageTagTransformer", "imageTag: {name: acme/shop, newTag: '7'}", "acme/cart:1"),
        ("PatchTransformer", f"target: {{kind: Deployment}}\npatch: '{JSON}'", "acme/cart:8"),
        ("PatchTransformer", f"target: {{kind: Service}}\npatch: '{JSON}'", "acme/cart:1"),
        ("PatchTransformer", "target: {kind: Deployment}\npath: p.yaml", "acme/cart:9"),
        ("PatchTransformer", f"target: {{kind: Deployment}}\npatch: '{NAMED}'", "acme/cart:9"),
        ("PatchTransformer", "target: {kind: Deployment}\npath: list.yaml", "acme/cart:9"),
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
        ("ReplacementTransformer", f"replacements: [{REPLACE}]", "cart"),
        ("ReplacementTransformer", "replacements: [{path: r.yaml}]", "cart"),
    ],
)  # fmt: skip
def test_a_transformer_that_kustomize_has_built_in_is_followed(
    kind: str, body: str, image: str
) -> None:
    text = f"{BUILTIN.format(kind=kind)}{body}\n"
    paths = {"p": MERGE, "list": f"kind: List\nitems:\n- {MERGE}\n", "r": REPLACE}
    # Wherever it stands, kustomize takes its paths from the kustomization that names it.
    others = {f"sub/{name}": "kind: Another\n" for name in paths}
    below = {"sub/t": text, "sub/kustomization": "resources: [t.yaml]\n"}
    inline = "".join(f"\n  {line}" for line in text.splitlines())
    for top, files in (
        ("transformers: [t.yaml]", {"t": text}),
        (f"transformers:\n- |{inline}", {}),
        ("transformers: [sub/t.yaml]", below),
        ("transformers: [sub]", below),
    ):
        assert overlaid(top, **files, **paths, **others) == ([image], []), top


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("apiVersion: acme/v1\nkind: ImageTagTransformer\n", "imageTag: {name: acme/cart}"),
        ("apiVersion: acme/builtin\nkind: PrefixTransformer\n", "prefix: x-"),
        ("apiVersion: builtin\nkind: ValueAddTransformer\n", "value: a"),
        ("apiVersion: builtin\nkind: Unheard\n", ""),
        ("apiVersion: builtin\nkind: PatchTransformer\n", "target: {kind: Deployment}"),
        ("apiVersion: builtin\nkind: ImageTagTransformer\n", "imageTag: {newTag: '7'}"),
        (
            "apiVersion: builtin\nkind: PrefixTransformer\n",
            "prefix: x-\nfieldSpecs: [{path: spec/containers/image}]",
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
    assert overlaid(inline) == (["acme/cart:7"], [])
    assert len(overlaid("transformers: [none.yaml]")[1]) == 1


def test_a_transformer_names_further_places_of_images() -> None:
    spec = "fieldSpecs: [{path: spec/runner/image, kind: Deployment}]"
    text = (
        f"{BUILTIN.format(kind='ImageTagTransformer')}imageTag: {{name: a, newTag: '7'}}\n{spec}\n"
    )
    assert overlaid("transformers: [t.yaml]", t=text) == (["acme/cart:1"], [])


def test_a_transformer_in_a_file_reaches_no_image_of_a_volume_and_an_entry_does() -> None:
    volume = "{name: v, image: {reference: 'acme/cart:1'}}"
    pod = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {{volumes: [{volume}]}}\n"
    entry = "{name: acme/cart, newTag: '7'}"
    text = f"{BUILTIN.format(kind='ImageTagTransformer')}imageTag: {entry}\n"
    listed = "resources: [../base, p.yaml]\n"
    for top, wanted in (
        ("transformers: [t.yaml]", "acme/cart:1"),
        (f"images: [{entry}]", "acme/cart:7"),
    ):
        files = {"overlay/kustomization.yaml": f"{listed}{top}\n", "overlay/p.yaml": pod}
        landed = effect_of({**BASE, **files, "overlay/t.yaml": text}, OVERLAY).landed
        assert {one.place[1]: one.image for one in landed} == {
            "Deployment": "acme/cart:7", "Pod": wanted
        }  # fmt: skip


@pytest.mark.parametrize("kind", ["ImageTagTransformer", "PrefixTransformer"])
def test_a_transformer_that_names_a_place_without_a_path_fails_the_build(kind: str) -> None:
    text = f"{BUILTIN.format(kind=kind)}imageTag: {{name: a, newTag: '7'}}\nprefix: x-\n"
    spec = "fieldSpecs: [{path: spec/runner/image, kind: Thing}, {kind: Deployment}]\n"
    images, why = overlaid("transformers: [t.yaml]", t=text + spec)
    assert "fieldSpecs: it names no path, on which kustomize fails" in why
    assert images == ["acme/cart:1"]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("images: [{path: spec/runner/image, kind: Thing}]", 0),
        ("images: [{kind: Thing}]", 1),
        ("namePrefix: [{path: /}]", 1),
        ("namePrefix: [{path: metadata/name}]", 0),
        (
            "nameReference: [{kind: Secret, fieldSpecs: [{path: spec/containers/image}]}]",
            1,
        ),
        ("commonLabels: [{path: spec/image, create: true}]", 1),
    ],
)
def test_a_configuration_may_let_other_transformers_write_images(text: str, number: int) -> None:
    images, why = overlaid("configurations: [c.yaml]", c=f"{text}\n")
    assert (images, len(why)) == (["acme/cart:1"], number)


@pytest.mark.parametrize(
    ("only", "is_written"),
    [
        ("version: v2", True),
        ("version: v1", False),
        ("group: acme.example", True),
        ("group: other.example", False),
        ("kind: Thing", True),
        ("kind: Other", False),
    ],
)
def test_a_configuration_names_images_of_some_objects(only: str, is_written: bool) -> None:  # noqa: FBT001
    thing = "apiVersion: acme.example/v2\nkind: Thing\nmetadata: {name: cart}\n"
    thing += "spec: {runner: {image: 'acme/cart:1'}}\n"
    files = {
        "apps/kustomization.yaml": "resources: [t.yaml]\nconfigurations: [c.yaml]\n"
        "images: [{name: acme/cart, newTag: '2'}]\n",
        "apps/t.yaml": thing,
        "apps/c.yaml": f"images: [{{path: spec/runner/image, {only}}}]\n",
    }
    apps = Environment("production", "apps")
    data = {path: text.encode() for path, text in files.items()}
    found = read_manifests(data).effective({}, apps, ("/spec/runner/image",)).effect
    assert [one.image for one in found.landed] == ["acme/cart:2" if is_written else "acme/cart:1"]


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
            "acme/cart:1", ["$odd at spec"],
        ),
    ],
)  # fmt: skip
def test_a_patch_is_for_the_object_that_it_names(patch: str, image: str, why: list[str]) -> None:
    images, said = overlaid("patches: [{path: p.yaml}]", p=f"{patch}\n")
    assert images == [image]
    assert [text[: len(one)] for text, one in zip(said, why, strict=True)] == why


def test_an_entry_is_for_each_image_of_its_name_and_for_no_other() -> None:
    three = [{"name": f"c{n}", "image": one} for n, one in enumerate(("a:1", "acme/cart:1", "b:1"))]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "x"},
        "spec": {"containers": three},
    }
    files = {
        "base/kustomization.yaml": "resources: [pod.yaml]\n",
        "base/pod.yaml": json.dumps({**pod, "spec": {"containers": three}}),
        "overlay/kustomization.yaml": f"resources: [../base]\nimages: [{SIX}]\n",
    }
    assert [one.image for one in effect_of(files, OVERLAY).landed] == ["a:1", "acme/cart:6", "b:1"]


def test_a_patch_may_be_for_what_a_generator_makes_and_for_nothing_else_that_is_not_there() -> None:
    patch = "patches: [{patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}}'}]\n"
    [why] = overlaid(patch)[1]
    assert "there is no ConfigMap settings" in why
    assert overlaid("configMapGenerator: [{name: settings}]\n" + patch) == (["acme/cart:1"], [])


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


ENCODED = """{source: {kind: X, fieldPath: a}, targets: [{select: {}, options: {encoding: hex},
  fieldPaths: [spec.template.spec.containers.0.image]}]}"""


@pytest.mark.parametrize(
    ("top", "why"),
    [
        ("components: [../none]", "it is not there"),
        ("patches: [{path: none.yaml}]", "overlay/none.yaml is not there, or cannot be read"),
        ("patches: [{target: {kind: Deployment}}]", "the patch has neither path nor patch"),
        ("patches: [{patch: ' a: b'}]", "kustomize fails where the first line of a patch is ind"),
        ("patches: [{target: {kind: Deployment}, patch: '[a: b'}]", "a patch that begins with ["),
        (f"patches: [{{patch: '{JSON}'}}]", "a JSON patch needs a target"),
        ("patches: [{target: {kind: Deployment}, patch: a}]", "kustomize reads no p"),
        (f"patches: [{{target: {{kind: Deployment}}, patch: '{BARE}'}}]", "kustomize reads no p"),
        (f"replacements: [{ENCODED}]", "its encoding is not followed"),
    ],
)
def test_what_the_build_fails_with_or_is_not_followed_is_said(top: str, why: str) -> None:
    images, said = overlaid(top)
    assert images == ["acme/cart:1"]
    assert [text[: len(why)] for text in said] == [why]


@pytest.mark.parametrize(
    ("text", "is_read"),
    [("[{op: remove, path: /spec/x}]", False), ('[{"op": "test", "path": "/kind"}]', True)],
)
def test_a_file_that_begins_with_a_bracket_has_to_be_json(text: str, *, is_read: bool) -> None:
    _images, said = overlaid("patches: [{path: p.yaml, target: {kind: Job}}]", p=text)
    assert said == ([] if is_read else ["a patch that begins with [ has to be JSON"])


@pytest.mark.parametrize("listed", ["g.yaml", "'{kind: X, metadata: {name: x}}'", "'['"])
@pytest.mark.parametrize("api", ["builtin", "acme/v1"])
def test_what_a_generator_adds_is_none_of_the_images_that_are_known(listed: str, api: str) -> None:
    text = f"apiVersion: {api}\nkind: ConfigMapGenerator\nmetadata: {{name: g}}\n"
    assert overlaid(f"generators: [{listed}]", g=text) == (["acme/cart:1"], [])


def test_transformers_may_be_made_by_a_folder() -> None:
    made = {
        "tags/kustomization.yaml": "resources: [t.yaml]\n",
        "tags/t.yaml": f"{TAGS}imageTag: {{name: acme/cart, newTag: '7'}}\n",
        "overlay/kustomization.yaml": "resources: [../base]\ntransformers: [../tags]\n",
    }
    [landed] = effect_of({**BASE, **made}, OVERLAY).landed
    assert landed.image in ("acme/cart:7", "acme/cart:1")
    assert (landed.image == "acme/cart:7") == (landed.unknowns == ())


def test_a_transformer_that_a_folder_makes_another_of_is_not_followed() -> None:
    made = {
        "tags/kustomization.yaml": "resources: [t.yaml]\nnamePrefix: x-\n",
        "tags/t.yaml": f"{TAGS}imageTag: {{name: acme/cart, newTag: '7'}}\n",
        "overlay/kustomization.yaml": "resources: [../base]\ntransformers: [../tags]\n",
    }
    [landed] = effect_of({**BASE, **made}, OVERLAY).landed
    assert [one.why for one in landed.unknowns] == ["what it does is not followed"]


def test_a_patch_for_an_object_of_a_file_that_names_no_image_fails_nothing() -> None:
    service = "apiVersion: v1\nkind: Service\nmetadata: {name: front}\n"
    patches = "patches: [{path: p.yaml}]"
    known = overlaid(f"{patches}\ncomponents: [../part]", p=f"{service}spec: {{a: b}}\n")
    assert known[1] != []  # the component is not there, nor is such an object
    files = {
        **BASE,
        "overlay/kustomization.yaml": f"resources: [../base, s.yaml]\n{patches}\n",
        "overlay/s.yaml": service,
        "overlay/p.yaml": f"{service}spec: {{a: b}}\n",
    }
    [landed] = effect_of(files, OVERLAY).landed
    assert (landed.image, landed.unknowns) == ("acme/cart:1", ())


def test_a_patch_in_place_for_what_is_not_there_is_a_field_without_an_effect() -> None:
    text = f'resources: [../base]\npatches:\n- target: {{kind: Job}}\n  patch: "{MERGE}"\n'
    files = {**BASE, "overlay/kustomization.yaml": text}
    manifests = read_manifests({path: one.encode() for path, one in files.items()})
    [(field, idle)] = manifests.effective({}, OVERLAY).spare
    assert (field.path, field.value) == ("overlay/kustomization.yaml", "acme/cart:9")
    assert idle.why == "nothing that the patch is for has such a container"


def test_a_patch_of_which_there_are_several_objects_fails_the_build() -> None:
    twice = {
        "base/kustomization.yaml": "resources: [deployment.yaml, again.yaml]\n",
        "base/again.yaml": CART,
    }
    files = {**BASE, **twice, "overlay/p.yaml": MERGE}
    files["overlay/kustomization.yaml"] = "resources: [../base]\npatches: [{path: p.yaml}]\n"
    landed = effect_of(files, OVERLAY).landed
    assert any(one.why.endswith("of which there are several: the build fails")
               for image in landed for one in image.unknowns)  # fmt: skip


def test_a_patch_for_an_object_that_nobody_read_is_a_field_by_itself() -> None:
    files = {
        "overlay/kustomization.yaml": "resources: [https://x.org/b]\npatches: [{path: p.yaml}]\n",
        "overlay/p.yaml": MERGE,
    }
    effect = effect_of(files, OVERLAY)
    assert [one.image for one in effect.landed] == ["acme/cart:9"]


def test_a_transformer_of_replacements_copies_as_replacements_do() -> None:
    text = f"""\
{BUILTIN.format(kind="ReplacementTransformer")}replacements:
- source: {{kind: Deployment, name: cart, fieldPath: metadata.name}}
  targets:
  - select: {{kind: Deployment}}
    fieldPaths: [spec.template.spec.containers.0.image]
    options: {{delimiter: ':', index: 1}}
"""
    assert overlaid("transformers: [t.yaml]", t=text)[0] == ["acme/cart:cart"]


def test_an_image_that_an_edit_takes_away_or_makes_another_is_another_effect() -> None:
    now = effect_of(BASE, WHOLE)
    key = ("base/deployment.yaml", 0, "/spec/template/spec/containers/0/image")
    meant = {key: parse_image("acme/cart:2")}
    gone = {**BASE, "base/deployment.yaml": CART.replace("server", "other")}
    other = {**BASE, "base/deployment.yaml": CART.replace("acme/cart:1", "acme/cart:3")}
    right = {**BASE, "base/deployment.yaml": CART.replace("acme/cart:1", "acme/cart:2")}
    for to, codes in ((gone, {OTHER}), (other, {OTHER}), (right, set())):
        assert {one.code for one in judge(now, effect_of(to, WHOLE), meant)} == codes


def followed(meant: tuple[str, ...], **texts: str) -> list[str]:
    """What is to be read for the kustomizations of some folders, of which some are meant."""
    known = {
        f"{folder}/kustomization.yaml": read_kustomization(
            parse(f"{folder}/kustomization.yaml", text.encode())
        )
        for folder, text in texts.items()
    }
    return files_to_follow(known, known, [f"{one}/kustomization.yaml" for one in meant])


def test_of_what_stands_above_only_patches_and_components_are_read() -> None:
    text = "resources: [../base, a.yaml]\ncomponents: [../part]\npatches: [{path: p.yaml}]\n"
    folder = ["{0}", "{0}/kustomization.yaml", "{0}/kustomization.yml", "{0}/Kustomization"]
    part = [one.format("part") for one in folder]
    base = [one.format("base") for one in folder]
    assert {*followed(("top",), top=text)} == {*base, "top/a.yaml", *part, "top/p.yaml"}
    assert {*followed((), top=text)} == {*part, "top/p.yaml"}
    assert "base/kustomization.yaml" not in followed(("top",), top=text, base="resources: []\n")


def test_the_folder_that_flux_applies_is_read_if_nothing_of_it_was() -> None:
    flux = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n"
    file = parse("flux.yaml", f"{flux}spec: {{path: ./apps}}\n".encode())
    whole = parse("whole.yaml", f"{flux}spec: {{path: ./}}\n".encode())
    files = {"flux.yaml": file, "whole.yaml": whole}
    assert folders_to_follow(files, files) == ["apps"]
    assert folders_to_follow(files, ()) == []
    assert folders_to_follow({**files, "apps/a.yaml": whole}, files) == []


INLINE = "generators:\n- |\n  apiVersion: acme/v1\n  kind: Any\n  metadata: {name: x}"
ADDS = {  # objects that are not seen
    "generators: [g.yaml]": True,
    "generators: [none.yaml]": True,
    INLINE: True,
    "helmCharts: [{name: x}]": True,
    "helmChartInflationGenerator: [{chartName: x}]": True,
    "resources: [../base, none.yaml]": True,
    "resources: [../base, 'https://example.com/x.yaml']": True,
    "generators: [c.yaml]": False,
    "configMapGenerator: [{name: a}]": False,
    "secretGenerator: [{name: a}]": False,
    "": False,
}


@pytest.mark.parametrize(("said", "is_unseen"), ADDS.items())
def test_an_entry_that_meets_nothing_may_mean_what_is_not_seen(
    said: str, *, is_unseen: bool
) -> None:
    entry = "images: [{name: acme/other, newTag: '6'}]\n"
    images, why = overlaid(
        entry + said,
        g="kind: Any\nmetadata: {name: t}\n",
        c=BUILTIN.format(kind="ConfigMapGenerator"),
    )
    assert images == (["acme/cart:1", "acme/other:6"] if is_unseen else ["acme/cart:1"])
    assert len(why) == is_unseen

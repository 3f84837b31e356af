"""Fields of several parts, and of files that are no workloads: what they say, and why not."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.image import find_image
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse, printed
from gitops_rollback.manifest.edit import FieldEdit, part_texts, prove, value_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import find_marker, markers_in
from gitops_rollback.manifest.kustomize import candidates, read_kustomization
from gitops_rollback.manifest.patterns import UnreadablePatternError, go_matches
from gitops_rollback.manifest.scalars import read_scalar
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

ONE = digest("1")


def values(text: str) -> list[tuple[str, str, str]]:
    """The images of Helm values: container, value, and why it is not edited."""
    fields = find_fields(parse("values.yaml", text.encode()))
    return [(one.container, one.value, str(one.problem)) for one in fields]


@pytest.mark.parametrize(
    ("text", "container", "value", "problem"),
    [
        ("image: {repository: acme/cart, tag: '1'}", "image", "acme/cart:1", ""),
        ("image: {name: acme/cart, tag: '1'}", "image", "acme/cart:1", ""),
        ("web: {image: acme/cart, tag: '1'}", "web", "acme/cart:1", ""),
        ("image: acme/cart:1", "image", "acme/cart:1", ""),
        ("image: acme/${NAME}:1", "image", "acme/${NAME}:1", "it has a Flux variable"),
        ("image: acme/Cart:1", "image", "acme/Cart:1", "must be lower case"),
        ("image: {repository: acme/cart}", "image", "acme/cart", "its tag is the chart's:"),
        ("image: {repository: acme/cart, tag: }", "image", "acme/cart", "its tag is the chart's:"),
        (
            "image: {repository: 'acme/cart:1', tag: '1'}", "image", "acme/cart:1:1",
            "its name has a version in it",
        ),
        ("image: {tag: '1'}", "image", ":1", "the image's name is the chart's:"),
        (
            "image: {repository: acme/cart, tag: '{{ .x }}'}", "image", "acme/cart:{{ .x }}",
            "it is a template",
        ),
        ("image: {repository: acme/cart, tag: 'a b'}", "image", "acme/cart:a b", "'a b' is no tag"),
        ("image: {tag: 'a b'}", "image", ":a b", "'a b' is no tag"),
        (
            'image: {repository: acme/cart, tag: "\\x31"}', "image", "acme/cart:1",
            "the value is written with escapes",
        ),
    ],
)  # fmt: skip
def test_the_values_of_a_chart_say_an_image_in_many_ways(
    text: str, container: str, value: str, problem: str
) -> None:
    [(found, said, why)] = values(text)
    assert (found, said) == (container, value)
    assert (problem in why) if problem else not why


@pytest.mark.parametrize(
    "text",
    [
        "image: Enabled",
        "image: ''",
        "image: ~",
        "image: '{{ .Values.x }}'",
        "image: {name: acme/cart}",
        "? [a]\n: {image: {enabled: true}}",
    ],
)
def test_what_charts_call_image_and_is_none_is_no_field(text: str) -> None:
    assert values(text) == []


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        ("repository: acme/cart", "global.imageRegistry may stand"),
        ("registry: docker.io, repository: acme/cart", "global.imageRegistry may stand"),
        ("registry: ghcr.io, repository: acme/cart", ""),
        ("repository: ghcr.io/acme/cart", "global.imageRegistry may stand"),
        ("repository: acme/cart, digest: '{{x}}'", "it is a template"),
    ],
)
def test_a_global_registry_may_stand_in_the_place_of_the_own_one(own: str, problem: str) -> None:
    text = f"global: {{imageRegistry: ghcr.io}}\nimage: {{{own}, tag: '1'}}\n"
    [why] = [why for container, _value, why in values(text) if container == "image"]
    assert why.startswith(problem)
    assert bool(why) == bool(problem)


GLOBALS = {
    "imageRegistry": "{imageRegistry: a.io}",
    "registry": "{registry: b.io/}",
    "image": "{image: {registry: c.io}}",
    "none": "{other: d.io}",
    "empty": "{imageRegistry: '', registry: e.io}",
    "both": "{registry: f.io, imageRegistry: g.io}",
    "all": "{image: {registry: h.io}, registry: i.io}",
}
REGISTRIES = {"imageRegistry": "a", "registry": "b", "image": "c", "empty": "e", "both": "g"}


@pytest.mark.parametrize("name", GLOBALS)
@pytest.mark.parametrize("image", ["{repository: acme/cart, tag: '1'}", "acme/cart:1"])
def test_a_global_registry_has_one_of_three_names(name: str, image: str) -> None:
    text = f"global: {GLOBALS[name]}\nimage: {image}\n"
    [field] = [one for one in find_fields(parse("values.yaml", text.encode())) if one.name_text]
    registry = REGISTRIES.get(name, "i" if name == "all" else "")
    assert field.other_name == (f"{registry}.io/acme/cart" if registry else "")
    assert bool(field.problem) is bool(registry)


@pytest.mark.parametrize(
    ("image", "is_doubtful"),
    [
        ("acme/cart:1", True),
        ("cart:1", True),
        ("acme/shop.cart:1", True),
        ("docker.io/acme/cart:1", False),
        ("localhost/cart:1", False),
        ("localhost:5000/cart:1", False),
    ],
)
def test_a_global_registry_may_stand_before_a_whole_image_without_one(
    image: str, *, is_doubtful: bool
) -> None:
    text = f"global: {{imageRegistry: ghcr.io}}\nimage: '{image}'\n"
    [why] = [why for container, _value, why in values(text) if container == "image"]
    assert why.startswith("global.imageRegistry may stand" if is_doubtful else "")
    assert bool(why) is is_doubtful


def entry(text: str) -> list[tuple[str, str]]:
    """The value and the problem of each entry of a kustomization's images."""
    whole = f"resources: []\nimages:\n{text}"
    fields = find_fields(parse("kustomization.yaml", whole.encode()))
    return [(one.value, str(one.problem)) for one in fields]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- {name: acme/cart, newTag: '1'}", ""),
        (f"- {{name: acme/cart, digest: '{ONE}'}}", ""),
        ("- {name: acme/cart, newName: acme/shop}", "it sets no tag or digest"),
        ('- {name: acme/cart, newTag: "\\x31"}', "the value is written with escapes"),
        ("- {name: acme/cart, newTag: '${TAG}'}", "it has a Flux variable"),
        (f"- {{name: acme/cart, newTag: '1@{ONE}', digest: '{ONE}'}}", "it names two digests"),
        ("- {name: acme/cart, newTag: 'a b'}", "'a b' is no tag"),
        ("- {name: acme/cart, digest: 'sha256:1'}", "malformed digest"),
    ],
)
def test_an_entry_that_cannot_be_edited_says_why(text: str, problem: str) -> None:
    [(_value, why)] = entry(text)
    assert (problem in why) if problem else not why


def test_what_has_no_name_is_no_entry() -> None:
    assert entry("- {newTag: '1'}\n- nothing\n- {name: [a], newTag: '1'}\n") == []


def workload(kind: str, api: str, spec: Mapping[str, object]) -> str:
    return json.dumps({"apiVersion": api, "kind": kind, "metadata": {"name": "cart"}, "spec": spec})


POD = {"containers": [{"name": "server", "image": "acme/cart:1"}]}


def test_a_service_of_knative_has_a_pod_and_one_of_kubernetes_has_none() -> None:
    spec = {"template": {"spec": POD}}
    for api, number in (("serving.knative.dev/v1", 1), ("v1", 0)):
        text = workload("Service", api, spec)
        assert len(find_fields(parse("a.yaml", text.encode()))) == number


def test_an_image_may_be_mounted_as_a_volume() -> None:
    volumes = [
        {"name": "model", "image": {"reference": "acme/model:1"}},
        {"image": {"reference": "acme/data:1"}},
        {"name": "none", "image": {}},
    ]
    text = workload("Pod", "v1", {**POD, "volumes": volumes})
    fields = find_fields(parse("a.yaml", text.encode()))
    assert [(one.container, one.value) for one in fields] == [
        ("server", "acme/cart:1"),
        ("volume:model", "acme/model:1"),
        ("volume:1", "acme/data:1"),
    ]


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("/spec/list/1", "acme/cart:1"),
        ("/spec/list/7", None),
        ("/spec/list", None),
        ("/spec/one", "acme/cart:2"),
        ("/spec/one/image", None),
        ("/spec/one/image/tag", None),
        ("/spec/two/image", "acme/cart:3"),
        ("/spec/two/image/tag", None),
        ("/spec/two", None),
        ("/spec/none", None),
        ("/kind/x", None),
    ],
)
def test_a_pointer_leads_to_a_text_and_never_to_what_is_above_it(
    pointer: str, value: str | None
) -> None:
    spec = {"list": [{}, "acme/cart:1"], "one": "acme/cart:2", "two": {"image": "acme/cart:3"}}
    file = parse("a.yaml", workload("Thing", "acme/v1", spec).encode())
    assert [one.value for one in find_fields(file, {}, (pointer,))] == ([value] if value else [])


@pytest.mark.parametrize(
    ("only", "is_sealed"), [("", True), ("    mac_only_encrypted: true\n", False)]
)
def test_a_file_that_sops_signs_whole_is_not_edited(only: str, is_sealed: bool) -> None:  # noqa: FBT001
    text = f"apiVersion: v1\nkind: Pod\nmetadata: {{name: cart}}\nspec: {json.dumps(POD)}\n"
    [field] = find_fields(parse("a.yaml", f"{text}sops:\n    mac: x\n{only}".encode()))
    assert bool(field.problem) == is_sealed
    if is_sealed:
        assert field.problem.remedy.startswith("edit it with sops, or move the image")


def test_a_transformer_of_tags_is_a_field() -> None:
    head = "kind: ImageTagTransformer\nmetadata: {name: t}\n"
    text = f"{head}imageTag: {{name: acme/cart, newTag: '2'}}\n"
    [field] = find_fields(parse("a.yaml", text.encode()))
    assert field.value == "acme/cart:2"
    assert find_fields(parse("a.yaml", head.encode())) == ()


@pytest.mark.parametrize(
    ("form", "tag", "digest_", "value"),
    [
        ("newTag: '1'", "2", None, "acme/cart:2"),
        ("newTag: '1'", "2", ONE, f"acme/cart:2@{ONE}"),
        (f"digest: '{ONE}'", "2", ONE, f"acme/cart@{ONE}"),
        (f"digest: '{ONE}'", "2", None, None),
        ("newTag: '1'", None, ONE, None),
    ],
)
def test_a_field_says_what_its_parts_have_place_for(
    form: str, tag: str | None, digest_: str | None, value: str | None
) -> None:
    text = f"images:\n- name: acme/cart\n  {form}\n"
    [field] = find_fields(parse("kustomization.yaml", text.encode()))
    if value is None:
        with pytest.raises(ManifestError, match="has no place for"):
            value_of(field, tag, digest_)
        return
    assert value_of(field, tag, digest_) == value


def test_a_tag_that_a_chart_prints_as_another_is_written_anew_beside_a_digest() -> None:
    text = f"image:\n  repository: acme/cart\n  tag: 1.10\n  digest: {ONE}\n"
    [field] = find_fields(parse("values.yaml", text.encode()))
    assert FieldEdit(field, f"acme/cart:1.10@{digest('2')}").texts == {
        "tag": "1.10",
        "digest": digest("2"),
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("on", "true"), ("No", "false"), ("1.20", "1.2"), ("1.0", "1"), ("010", "8"), ("089", "89"),
        ("08", "8"), ("09", "9"), ("0", "0"),
        ("0x1F", "31"), ("0o17", "15"), ("0b11", "3"), ("-0x1F", "-31"), ("1e3", "1000"),
        ("1_000", "1000"), ("+7", "7"), ("1e400", ""), ("1e30", ""), ("abc", ""), ("'1.20'", ""),
        ("1.2.3", ""),
    ],
)  # fmt: skip
def test_a_number_is_printed_as_a_chart_prints_it(text: str, shown: str) -> None:
    root = parse("a.yaml", text.encode()).trees[0]
    assert printed(root) == shown  # type: ignore[arg-type]


def test_a_kustomization_is_read_whatever_the_case_of_its_keys() -> None:
    text = "Resources: [a.yaml]\nNAMESPACE: shop\nnameprefix: x-\n? [a]\n: b\n"
    found = read_kustomization(parse("kustomization.yaml", text.encode()))
    assert (found.namespace, found.resources) == ("shop", ("a.yaml",))
    twice = read_kustomization(parse("kustomization.yaml", b"namespace: a\nNamespace: b\n"))
    assert twice.namespace == "a"


def test_a_path_of_a_kustomization_is_a_file_or_a_folder_s_own() -> None:
    assert [*candidates("a.yaml")] == ["a.yaml"]
    assert [*candidates("a")] == [
        "a", "a/kustomization.yaml", "a/kustomization.yml", "a/Kustomization",
    ]  # fmt: skip


def test_markers_are_found_where_there_are_any() -> None:
    assert markers_in(parse("a.yaml", b"a: b\n")) == []
    shared = 'a: &x b # {"$imagepolicy": "flux-system:cart"}\nc: *x\n'
    assert len(markers_in(parse("a.yaml", shared.encode()))) == 1
    odd = 'a: b # {"$imagepolicy": ["flux-system:cart"]}\n'
    assert find_marker(odd, 3, 4) is None


# What Flux's setter (image-automation-controller, internal/update) makes of each of these.
M = '{"$imagepolicy": "a:b"}'


@pytest.mark.parametrize(
    ("text", "is_written"),
    [
        (f"k: v # {M}", True),
        (f"k: v #{M} ", True),
        (f"k: v ##\t{M}", True),
        (f'"k#": "v#v" # {M}', True),
        ('k: v # {"$imagepolicy": "a:b", "x": null}', True),
        ('k: v # {"$imagepolicy": "a:b", "x": 1}', False),
        (f"k: v # see # {M}", False),
        (f"k: 'v'#{M}", True),
        (f"k: v # {M} end", False),
        (f"k: v #! {M}", False),
        (f"# {M}\nk: v", False),
        (f"k: # {M}\n  v", False),
        (f"k:\n  # {M}\n  v", True),
        (f"k:\n- # {M}\n  v", True),
        (f"k:\n# {M}\n- v", True),
        (f"k:\n# {M}\n\n- v", True),
        (f"k:\n# {M}\n- v # note", False),
        (f"k:\n# {M}\n# note\n- v", False),
        (f"k: {{a: v, # {M}\n  b: c}}", True),
        (f"k: {{a: v}} # {M}", False),
        (f"k: [v] # {M}", False),
    ],
)
def test_a_marker_is_of_the_value_that_flux_writes(text: str, *, is_written: bool) -> None:
    file = parse("a.yaml", text.encode())
    found = [
        read_scalar(file, node).marker is not None
        for node in file.nodes
        if isinstance(node, yaml.ScalarNode) and str(node.value).startswith("v")
    ]
    assert found == [is_written]
    assert markers_in(file) or not is_written


def test_a_marker_behind_the_sign_of_a_block_is_one_and_within_it_none() -> None:
    text = f"a: | # {M}\n  v # {M}\nb: 'x # {M}' # {M}\n"
    assert [marker.key_start for marker in markers_in(parse("a.yaml", text.encode()))] == [
        text.index("$"), text.rindex("$")
    ]  # fmt: skip


def test_a_pattern_with_an_end_inside_is_read_by_nobody() -> None:
    with pytest.raises(UnreadablePatternError, match=r"has a \$ inside"):
        go_matches("a$b", "a")


def changes(old: str, new: str) -> list[str]:
    """What is other in a file, without what stands at an image."""
    one, two = (parse("a.yaml", text.encode()) for text in (old, new))
    return [difference.what for difference in differences(one, two, [(0, "/image")])]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("a: 1\nimage: x\n", "a: 1\nimage: y\n", []),
        ("a: 1\n", "a: 1\nimage: y\n", []),
        ("a: 1\n", "a: 1\nb: 2\n", ["document: b is new"]),
        ("a: 1\n", "a: 1\n---\n", ["document is new"]),
    ],
)
def test_what_is_other_is_named_but_for_the_image(old: str, new: str, said: list[str]) -> None:
    assert changes(old, new) == said


def test_a_proof_of_an_edit_looks_for_its_field_among_all() -> None:
    text = workload(
        "Pod", "v1", {"containers": [*POD["containers"], {"name": "b", "image": "b:1"}]}
    )
    file = parse("a.yaml", text.encode())
    first, second = find_fields(file)
    assert [prove(file, one) for one in (first, second)] == ["", ""]


NAMES = ("repository", "repo", "imageRepository", "image_repository", "imageName", "image_name")


@pytest.mark.parametrize("name", [*NAMES, "image", "name"])
@pytest.mark.parametrize("tag", ["tag", "imageTag", "image_tag", "version"])
@pytest.mark.parametrize("over", ["image", "cart", "cartImage", ""])
def test_what_charts_call_the_parts_of_an_image(name: str, tag: str, over: str) -> None:
    """`name` and `version` are parts of an image only below what is called one."""
    values = {name: "acme/cart", tag: "1"}
    text = json.dumps({over: values} if over else values)
    is_image = over.lower().endswith("image")
    found = [one.value for one in find_fields(parse("charts/cart/values.yaml", text.encode()))]
    assert ("acme/cart:1" in found) is (is_image or (name != "name" and tag != "version"))


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        ("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease", True),
        ("kind: HelmRelease", True),
        ("apiVersion: helm.acme.example/v1\nkind: HelmRelease", False),
        ("apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmThing", False),
    ],
)
def test_a_release_of_flux_has_images_in_its_values_and_in_its_post_renderers(
    head: str, *, is_one: bool
) -> None:
    text = f"""{head}
metadata: {{name: cart}}
spec:
  values: {{image: {{repository: acme/cart, tag: '1'}}}}
  postRenderers:
  - kustomize: {{patches: []}}
  - kustomize: {{images: [{{name: acme/pay, newTag: '2'}}]}}
"""
    found = [(one.value, one.pointer) for one in find_fields(parse("r.yaml", text.encode()))]
    expected = [
        ("acme/cart:1", "/spec/values/image"),
        ("acme/pay:2", "/spec/postRenderers/1/kustomize/images/0"),
    ]
    assert sorted(found) == (expected if is_one else [])


@pytest.mark.parametrize("name", ["", "acme/cart"])
@pytest.mark.parametrize("tag", ["", "1"])
@pytest.mark.parametrize("shown", [None, "ghcr.io/acme/cart"])
def test_a_field_has_its_name_from_its_parts_or_from_what_is_known_of_it(
    name: str, tag: str, shown: str | None
) -> None:
    text = json.dumps({"image": {"registry": "", "repository": name, "tag": tag}})
    [field] = find_fields(parse("charts/cart/values.yaml", text.encode()))
    field = replace(field, shown_name=shown)
    version = f":{tag}" if tag else ""
    assert field.name_text == name
    assert field.value == (name or shown or "") + version
    assert field.effective == (shown or name) + version
    assert field.image == find_image((shown or name) + version)
    assert field.named == (find_image((shown or name) + version) if shown or name else None)


OLD, NEWER = digest("old"), digest("newer")
# What stands in a split image, whether it says a text, and whether one can be written there.
SAID = {"absent": None, "null": "", '""': '""', "tag": "v1", "both": f"v1@{OLD}"}
PLACES = {"absent": None, "null": "", '""': '""', "digest": OLD}


@pytest.mark.parametrize("tag", SAID)
@pytest.mark.parametrize("sha", PLACES)
@pytest.mark.parametrize("version", [":v2", f"@{NEWER}", f":v2@{NEWER}"])
def test_a_version_is_written_where_there_is_place_for_it(tag: str, sha: str, version: str) -> None:
    text = "".join(
        f"{key}: {said}, "
        for key, said in (("tag", SAID[tag]), ("digest", PLACES[sha]))
        if said is not None
    )
    file = parse("values.yaml", f"image: {{{text}repository: acme/cart}}\n".encode())
    [field] = find_fields(file)
    wanted_tag, wanted_digest = version.startswith(":v2"), "@" in version
    holds_digest = sha in ('""', "digest") and tag != "both"
    if wanted_digest and holds_digest:
        was = {"tag": "v2" if wanted_tag else ""} if tag == "tag" else {}
        expected: dict[str, str] | str = {**was, "digest": NEWER}
    elif wanted_digest and wanted_tag and tag in ('""', "tag", "both"):
        expected = {"tag": f"v2@{NEWER}"}
    elif wanted_digest:
        expected = "a digest" if tag == "absent" else "a digest without a tag"
    elif tag in ('""', "tag", "both"):
        expected = {"tag": "v2", **({"digest": ""} if sha == "digest" else {})}
    else:
        expected = "a version" if sha == "absent" else "a tag"
    if isinstance(expected, str):
        with pytest.raises(ManifestError, match=f"has no place for {expected}: "):
            part_texts(field, f"acme/cart{version}")
    else:
        assert part_texts(field, f"acme/cart{version}") == expected

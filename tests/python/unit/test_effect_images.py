"""What an `images:` entry reaches and writes, as kustomize 5.7.1 has it (api/filters/imagetag)."""

from __future__ import annotations

import pytest
import yaml

from gitops_rollback.effective.images import (
    OF_PODS,
    DoubtfulEntryError,
    FieldSpec,
    changed_text,
    is_for,
    places_of,
    put,
    split_image,
)
from gitops_rollback.effective.tree import (
    TreeError,
    entries,
    same,
    text_node,
    with_entry,
    with_path,
    without,
)
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.kustomize import entries_of
from unit.builders import digest

ONE, TWO = digest("1"), digest("2")


def node(text: str) -> yaml.Node:
    found = parse("a.yaml", text.encode()).trees[0]
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("acme/cart", ("acme/cart", "", "")),
        ("acme/cart:1", ("acme/cart", "1", "")),
        (f"acme/cart@{ONE}", ("acme/cart", "", ONE)),
        (f"acme/cart:1@{ONE}", ("acme/cart", "1", ONE)),
        ("localhost:5000/cart", ("localhost:5000/cart", "", "")),
        ("localhost:5000/cart:1", ("localhost:5000/cart", "1", "")),
        ("cart:1", ("cart", "1", "")),
        ("", ("", "", "")),
    ],
)
def test_an_image_s_text_is_taken_apart_behind_its_first_slash(
    text: str, parts: tuple[str, str, str]
) -> None:
    assert split_image(text) == parts


@pytest.mark.parametrize(
    ("entry", "text", "expected"),
    [
        ("newTag: '2'", "acme/cart:1", "acme/cart:2"),
        ("newTag: '2'", f"acme/cart:1@{ONE}", "acme/cart:2"),
        ("newTag: '2'", "acme/cart", "acme/cart:2"),
        (f"digest: '{TWO}'", "acme/cart:1", f"acme/cart@{TWO}"),
        (f"newTag: '2'\n  digest: '{TWO}'", "acme/cart:1", f"acme/cart:2@{TWO}"),
        ("newName: acme/shop", "acme/cart:1", "acme/shop:1"),
        ("newName: acme/shop", f"acme/cart@{ONE}", f"acme/shop@{ONE}"),
        ("tagSuffix: -x", "acme/cart:1", "acme/cart:1-x"),
        ("tagSuffix: -x", f"acme/cart:1@{ONE}", "acme/cart:1-x"),
        ("newTag: '2'\n  tagSuffix: -x", "acme/cart:1", "acme/cart:2"),
    ],
)
def test_an_entry_writes_what_kustomize_writes(entry: str, text: str, expected: str) -> None:
    whole = f"images:\n- name: acme/cart\n  {entry}\n"
    [found] = entries_of(parse("kustomization.yaml", whole.encode()))
    assert changed_text(found, text) == expected


def test_a_suffix_is_added_as_often_as_an_image_is_reached() -> None:
    whole = b"images:\n- {name: acme/cart, tagSuffix: -x}\n"
    [found] = entries_of(parse("kustomization.yaml", whole))
    assert changed_text(found, "acme/cart:1", 2) == "acme/cart:1-x-x"


@pytest.mark.parametrize(
    ("name", "text", "is_it"),
    [
        ("acme/cart", "acme/cart", True),
        ("acme/cart", "acme/cart:1", True),
        ("acme/cart", f"acme/cart:1@{ONE}", True),
        ("acme/cart", f"acme/cart@{ONE}", True),
        ("acme/cart", "acme/cartwheel:1", False),
        ("acme/cart", "docker.io/acme/cart:1", False),
        ("cart", "acme/cart:1", False),
        ("acme/.*", "acme/cart:1", True),
        ("acme/(cart|shop)", "acme/shop:1", True),
        ("acme/cart|acme/shop", "acme/cart:1", None),
        ("acme/cart", f"acme/cart@sha512:{'0' * 128}", None),
        ("acme/[", "acme/cart:1", None),
        ("acme/a$b", "acme/cart:1", None),
    ],
)
def test_the_name_of_an_entry_is_a_pattern_before_tag_and_digest(
    name: str,
    text: str,
    is_it: bool | None,  # noqa: FBT001
) -> None:
    if is_it is None:
        with pytest.raises(DoubtfulEntryError):
            is_for(name, text)
        return
    assert is_for(name, text) == is_it


def images(text: str, *specs: FieldSpec) -> list[tuple[str, str, int]]:
    """The places of images in an object: path, text, and how often they are reached."""
    found = places_of(node(text), specs)
    return [("/".join(map(str, one.path)), str(one.node.value), one.times) for one in found]


def test_images_are_found_in_containers_at_any_depth_once_and_in_pods_once_more() -> None:
    text = """\
kind: Thing
spec:
  containers: [{image: a}, {image: }, {name: none}]
  deep: [[{initContainers: [{image: b}]}], text]
  volumes: [{image: {reference: c}}, {image: d}]
  template: {spec: {initContainers: [{image: e}]}}
"""
    assert images(text, *OF_PODS) == [
        ("spec/containers/0/image", "a", 2),
        ("spec/deep/0/0/initContainers/0/image", "b", 1),
        ("spec/template/spec/initContainers/0/image", "e", 2),
        ("spec/volumes/0/image/reference", "c", 1),
    ]
    assert [place for place, _text, times in images(text) if times == 1] == [
        "spec/containers/0/image",
        "spec/deep/0/0/initContainers/0/image",
        "spec/template/spec/initContainers/0/image",
    ]
    assert images(text.replace("Thing", "CustomResourceDefinition"), *OF_PODS) == []


def test_an_object_of_endless_depth_is_looked_into_to_some_depth() -> None:
    deep = "[" * 150 + "{containers: [{image: a}]}" + "]" * 150
    assert len(images(f"x: {deep}\n")) == 1
    deeper = "[" * 201 + "{containers: [{image: a}]}" + "]" * 201
    with pytest.raises(ManifestError, match="nested more than 200 levels deep"):
        images(f"x: {deeper}\n")


SPEC = ("spec", "runners[]", "image")


@pytest.mark.parametrize(
    ("spec", "number"),
    [
        (FieldSpec(SPEC), 2),
        (FieldSpec(SPEC, kind="Thing"), 2),
        (FieldSpec(SPEC, "acme", "v1", "Thing"), 2),
        (FieldSpec(SPEC, kind="Other"), 0),
        (FieldSpec(SPEC, group="other"), 0),
        (FieldSpec(SPEC, version="v2"), 0),
        (FieldSpec(("spec", "nothing", "image")), 0),
        (FieldSpec(("spec", "runners")), 0),
    ],
)
def test_a_configuration_names_further_places_of_some_kinds(spec: FieldSpec, number: int) -> None:
    text = "apiVersion: acme/v1\nkind: Thing\nspec: {runners: [{image: a}, {image: b}, {}]}\n"
    assert len(images(text, spec)) == number


def plain(found: yaml.Node) -> object:
    return yaml.safe_load(yaml.serialize(found))


def test_a_tree_is_changed_by_making_a_new_one() -> None:
    whole = node("a: [x, {b: 1}]\nc: 2\n")
    new = text_node("new", whole)
    assert plain(put(whole, ("a", 1, "b"), new)) == {"a": ["x", {"b": "new"}], "c": 2}
    assert plain(put(whole, (), new)) == "new"
    assert plain(with_entry(whole, "c", new)) == {"a": ["x", {"b": 1}], "c": "new"}
    assert plain(with_entry(whole, "d", new)) == {"a": ["x", {"b": 1}], "c": 2, "d": "new"}
    assert plain(without(whole, "a")) == {"c": 2}
    assert plain(with_path(whole, ("d", "e"), new)) == {**plain(whole), "d": {"e": "new"}}  # type: ignore[dict-item]
    assert plain(with_path(None, ("d", "e"), new)) == {"d": {"e": "new"}}
    assert plain(with_path(node("d: ~\n"), ("d", "e"), new)) == {"d": {"e": "new"}}
    assert plain(whole) == {"a": ["x", {"b": 1}], "c": 2}
    with pytest.raises(TreeError, match="there is no mapping to set 'b' in"):
        with_path(node("a: [x]\n"), ("a", "b"), new)


def test_the_entries_of_a_tree_are_those_with_a_text_for_key() -> None:
    assert [*entries(node("? [a]\n: 1\nb: 2\n"))] == ["b"]
    assert entries(node("[a]")) == {}
    assert entries(None) == {}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("{a: 1, b: [x]}", "{b: [x], a: 1}", True),
        ("{a: 1}", "{a: '1'}", False),
        ("{a: 1}", "{a: 2}", False),
        ("{a: 1}", "{a: 1, b: 2}", False),
        ("[a, b]", "[b, a]", False),
        ("[a]", "[a, b]", False),
        ("[a]", "{a: b}", False),
        ("a", "[a]", False),
    ],
)
def test_two_trees_say_the_same_as_json_has_it(one: str, other: str, is_same: bool) -> None:  # noqa: FBT001
    assert same(node(one), node(other)) == is_same
    assert same(None, None)
    assert not same(node(one), None)

"""What the readers and editors of manifests leave alone, pass over or refuse at the edges."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from gitops_rollback.effective.images import changed_text
from gitops_rollback.errors import ManifestError, ResourceError
from gitops_rollback.manifest import document, scalars
from gitops_rollback.manifest.argo import folders_of, text_fields
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import (
    duplicate_key,
    is_config_map,
    lookup,
    parse,
    values_of,
    walk,
)
from gitops_rollback.manifest.edit import (
    FieldEdit,
    first_difference,
    part_texts,
    prove,
    rewrite_to_compare,
    rewritten,
    value_of,
)
from gitops_rollback.manifest.fields import find_fields, patch_fields
from gitops_rollback.manifest.flux import flux_kustomization, inline_patches
from gitops_rollback.manifest.image_field import SUBSTITUTION, TAG, Place, find_marker
from gitops_rollback.manifest.kustomize import entries_of, read_kustomization
from gitops_rollback.manifest.objects import image_nodes, objects_of
from gitops_rollback.manifest.patterns import go_glob
from gitops_rollback.manifest.scalars import block_of
from unit.builders import DEPLOYMENT, digest

if TYPE_CHECKING:
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.kustomize import ImageEntry

CART = DEPLOYMENT.format(image="acme/cart:1")


def test_a_digest_does_not_stand_where_a_field_may_hold_a_tag_alone() -> None:
    [field] = find_fields(parse("a.yaml", CART.encode()))
    only = replace(field, tag_only="a label has it too")
    with pytest.raises(ManifestError, match="no digest can stand there: a label has it too"):
        value_of(only, "2", digest("2"))
    assert value_of(only, "2", None) == "acme/cart:2"


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("merge.yaml", "apps/merge.yaml"),
        ("../merge.yaml", "merge.yaml"),
        ("../../merge.yaml", None),
        ("https://acme.example/merge.yaml", None),
        ('{"kind": "Pod"}', None),
        (" {kind: Pod}", None),
        ("kind: Pod\n", None),
    ],
)
def test_a_patch_that_is_listed_is_a_file_or_the_patch_itself(
    written: str, path: str | None
) -> None:
    text = f"patchesStrategicMerge: [{json.dumps(written)}]\n"
    [patch] = read_kustomization(parse("apps/kustomization.yaml", text.encode())).patches
    assert (patch.path, patch.text) == (path, "" if path else written)


def test_what_aliases_repeat_is_walked_once() -> None:
    root = parse("a.yaml", b"a: &x [1, 2]\nb: *x\nc: {d: *x}\n").trees[0]
    assert sum(node.value == "1" for node in walk(root)) == 1
    assert [pointer for pointer, _node in values_of(root)].count("/a/0") <= 1
    assert len([pointer for pointer, _node in values_of(root) if pointer.endswith("/0")]) == 1
    assert [*values_of(None)] == []


def test_only_a_key_that_is_a_text_can_stand_twice() -> None:
    root = parse("a.yaml", b"? [a]\n: 1\n? [a]\n: 2\nb: 1\n").documents[0]
    assert duplicate_key(root) is None
    assert duplicate_key(parse("a.yaml", b"[a, a]\n").documents[0]) is None


def test_a_file_with_more_keys_and_values_than_anybody_writes_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "MOST_NODES", 50)
    with pytest.raises(ManifestError, match=r"a\.yaml has more than 50 keys and values"):
        parse("a.yaml", ("[" + "a, " * 60 + "&x b, *x]\n").encode())


CHAIN = "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 250))
BOMB = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 30))


@pytest.mark.parametrize(
    "text",
    [
        "&a\nkind: List\nitems: [*a]\n",
        "spec: &a {inner: {<<: *a}}\n",
        "&a [*a]\n",
        '{"x": &a {"b":*a}}\n',
        f"a0: &a0 [x]\n{CHAIN}",
        f"a0: &a0 [x]\n{BOMB}",
        f"x: {'[' * 200}{']' * 200}\n",
        f"x: {'{a: ' * 200}1{'}' * 200}\n",
        "".join(f"{' ' * n}a:\n" for n in range(201)),
        f"{'- ' * 201}a\n",
    ],
)
def test_what_contains_itself_or_is_endless_in_depth_or_size_is_not_read(text: str) -> None:
    with pytest.raises(ManifestError, match=r"a\.yaml contains itself, is nested more than 200"):
        parse("a.yaml", text.encode())


@pytest.mark.parametrize(
    "text",
    [
        f"x: {'[' * 198}{']' * 198}\n",
        "".join(f"{' ' * n}a:\n" for n in range(199)),
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 190)),
        "hosts: ['*']\nrules: [*]\n".replace("[*]", "[a*]"),
        f"x: [{'[], ' * 6_000}]\n",  # many, and none within another
    ],
)
def test_what_is_deep_within_bounds_is_read_and_gone_through(text: str) -> None:
    file = parse("a.yaml", f"base: &base {{b: 1}}\n{text}more: {{<<: *base}}\n".encode())
    assert lookup(lookup(file.trees[0], "more"), "b") is not None


@pytest.mark.parametrize(
    "text",
    ["a", "{a: [b, {c: d}], e: f}", "{a: &a {x: [y]}, b: *a, c: *a, d: [*a, e], f: {g: *a, h: i}}",
     "[&a [&b {c: d}, e], *b, *a, f, *b, {*b : g}]"],
)  # fmt: skip
def test_each_node_is_gone_through_once_however_often_an_alias_repeats_it(text: str) -> None:
    root = yaml.compose(text)
    found = [node.start_mark.index for node in walk(root)]
    starts = [
        getattr(event.start_mark, "index", -1)
        for event in yaml.parse(text)
        if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent)
    ]
    assert sorted(found) == sorted(starts)


def test_a_config_map_is_known_by_its_word() -> None:
    assert is_config_map(b"kind: ConfigMap\n")
    assert not is_config_map(b"kind: Secret\n")


def entry(text: str) -> ImageEntry:
    [found] = entries_of(parse("kustomization.yaml", f"images:\n- {text}\n".encode()))
    return found


@pytest.mark.parametrize(
    ("own", "over", "made"),
    [
        ("newTag: '1'", "newTag: '2'", "acme/cart:2"),
        ("newTag: '1'", "newName: acme/shop", "acme/shop:1"),
        ("newName: acme/shop", "newTag: '2'", "acme/shop:2"),
        ("newName: acme/shop", "newName: acme/other", "acme/other:0"),
    ],
)
def test_an_entry_of_flux_is_merged_into_the_one_of_that_name(
    own: str, over: str, made: str
) -> None:
    merged = entry(f"{{name: acme/cart, {own}}}").under(entry(f"{{name: acme/cart, {over}}}"))
    assert changed_text(merged, "acme/cart:0") == made


def flux(spec: str) -> bool:
    head = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n"
    [item] = objects_of(parse("a.yaml", f"{head}spec: {{path: ./apps, {spec}}}\n".encode()))
    found = flux_kustomization(item)
    assert found is not None
    return found.changes_images


@pytest.mark.parametrize(
    ("spec", "is_so"),
    [
        ("prune: true", False),
        ("images: [{name: acme/cart, newTag: '1'}]", True),
        ("patches: [{patch: 'a: b'}]", True),
        ("patchesStrategicMerge: [{kind: Deployment}]", True),
        ("patchesJson6902: [{patch: '[]'}]", True),
        ("components: [../c]", True),
        ("postBuild: {substitute: {A: b}}", True),
        ("postBuild: {substituteFrom: [{kind: ConfigMap, name: a}]}", True),
        ("targetNamespace: shop", False),
    ],
)
def test_whether_flux_makes_other_images_of_the_files_it_applies(spec: str, is_so: bool) -> None:  # noqa: FBT001
    assert flux(spec) == is_so


def test_an_image_of_an_application_is_one_text_called_image() -> None:
    text = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart}
spec: {source: {path: apps, kustomize: {images: ['acme/cart:1']}}}
"""
    [field] = find_fields(parse("a.yaml", text.encode()))
    assert field.pointer == "/spec/source/kustomize/images/0"
    assert part_texts(field, "acme/cart:2") == {"image": "acme/cart:2"}


def test_an_application_names_the_folders_of_its_charts_and_values() -> None:
    text = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart}
spec:
  sources:
  - {path: ./charts/cart/, helm: {valueFiles: [values.yaml, $values/envs/prod/a.yaml, $none]}}
  - {chart: cart}
"""
    [item] = objects_of(parse("a.yaml", text.encode()))
    assert [*folders_of(item)] == ["charts/cart", "envs/prod"]


def test_the_images_of_an_application_s_kustomize_are_texts() -> None:
    text = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart}
spec: {source: {path: a, kustomize: {images: [acme/cart:1, {a: b}, acme/shop=acme/other:2]}}}
"""
    fields = find_fields(parse("a.yaml", text.encode()))
    assert [(one.container, one.value, bool(one.problem)) for one in fields] == [
        ("acme/cart", "acme/cart:1", False),
        ("acme/shop", "acme/shop=acme/other:2", True),
    ]


@pytest.mark.parametrize(
    ("old", "new", "number"),
    [
        ("a: |\n  b: 1\n", "a: |\n  b: 2\n", 1),
        ("a: |\n  b: 1\n", "a: [1]\n", 1),
        ("a: ~\n", "a: text\n", 1),
        ("a: 1\n---\n", "a: 1\n", 1),
        ("a: 1\nb: 2\n", "a: 1\n", 1),
        ("kind: A\n---\nkind: A\n", "kind: A\n---\nkind: A\n", 0),
        ("kind: A\nx: 1\n---\nkind: A\n", "kind: A\n", 2),
        ("a: [1, 2]\n", "a: [1]\n", 1),
    ],
)
def test_each_difference_of_two_files_is_told(old: str, new: str, number: int) -> None:
    one, two = (parse("a.yaml", text.encode()) for text in (old, new))
    assert len(differences(one, two, ())) == number


def test_a_marker_that_names_no_policy_is_none() -> None:
    for said in ('["a"]', "1", '{"a": "b"}'):
        assert find_marker(f'a: b # {{"$imagepolicy": {said}}}\n', 3, 4) is None
    assert find_marker('a: b # {"$imagepolicy": "a:b"}\n', 3, 4) is not None


def test_an_empty_path_of_a_kustomization_names_nothing() -> None:
    text = "resources: ['', a.yaml, [b]]\npatches: [{target: {kind: X}, patch: [a]}]\n"
    found = read_kustomization(parse("kustomization.yaml", text.encode()))
    assert found.resources == ("a.yaml",)
    assert [one.text for one in found.patches] == [""]


def test_an_empty_document_beside_others_stays() -> None:
    text = f"---\n---\n{CART}---\n# nothing\n"
    file = parse("a.yaml", text.encode())
    [field] = find_fields(file)
    after = rewritten(file, [FieldEdit(field, "acme/cart:2")]).data
    assert after.decode() == text.replace("acme/cart:1", "acme/cart:2")
    assert prove(file, field) == ""


def test_a_field_is_told_with_its_problem_and_what_it_overrides() -> None:
    [field] = find_fields(parse("a.yaml", CART.replace("acme/cart:1", "${IMAGE}").encode()))
    told = replace(field, overrides=("b.yaml:3",)).to_json()
    assert told["problem"].startswith("it has a Flux variable")
    assert type(told["problem"]) is str, "a class of its own is nothing that YAML writes"
    assert told["overrides"] == ["b.yaml:3"]
    assert yaml.safe_dump(told)
    assert json.dumps(told)


def test_a_template_of_pods_has_its_pod_beside_its_metadata() -> None:
    pod = "template: {spec: {containers: [{image: a:1}]}}"
    text = f"kind: PodTemplate\nmetadata: {{name: a}}\n{pod}\n"
    [field] = find_fields(parse("a.yaml", text.encode()))
    assert field.pointer == "/template/spec/containers/0/image"


@pytest.mark.parametrize(
    ("more", "has_field"),
    [
        ("images: [{name: acme/cart, newTag: '1'}]", True),
        ("patches: [{patch: '[{op: add, path: /image, value: acme/cart:1}]'}]", True),
        ("resources: [a.yaml]", False),
    ],
)
@pytest.mark.parametrize("twice", ["namePrefix: a\nnamePrefix: b", "labels: [{a: b, a: c}]"])
def test_a_key_that_stands_twice_in_a_kustomization_is_refused_where_that_has_an_image(
    more: str, twice: str, *, has_field: bool
) -> None:
    file = parse("kustomization.yaml", f"{more}\n{twice}\n".encode())
    if has_field:
        with pytest.raises(ManifestError, match="stands twice"):
            find_fields(file)
    else:
        assert find_fields(file) == ()


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: {image: {repository: a, tag: '1'}, image: {repository: b, tag: '1'}}}",
        "a: {b: {image: {repository: a, tag: '1', tag: '2'}}}",
        "a: {b: {image: {repository: a, tag: '1'}}, b: {}}",
        "a: {b: {image: {repository: a, tag: '1'}}}\na: {}",
    ],
)
def test_a_key_that_stands_twice_anywhere_above_a_value_is_refused(text: str) -> None:
    with pytest.raises(ManifestError, match="stands twice"):
        find_fields(parse("values.yaml", f"{text}\n".encode()))


def test_replacements_are_known_by_their_lines() -> None:
    text = "resources: []\nreplacements:\n- source: {}\n- {path: r.yaml}\n"
    found = read_kustomization(parse("a/kustomization.yaml", text.encode())).replacements
    assert [(one.line, one.path) for one in found] == [(3, None), (4, "a/r.yaml")]


def test_files_that_were_read_last_are_kept_though_nobody_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = document.Parsed()
    monkeypatch.setattr(document, "_PARSED", kept)
    texts = [f"a{number}: {'x' * 1_400_000}\n".encode() for number in range(3)]
    for number, data in enumerate(texts):
        kept.add(f"{number}.yaml", data, parse(f"{number}.yaml", data))
    last = [kept.get(f"{number}.yaml", data) for number, data in enumerate(texts)][1:]
    assert None not in last
    document.let_go()
    assert [kept.get(f"{number}.yaml", texts[number]) for number in (1, 2)] == last  # held here


def test_files_that_are_used_together_are_bounded_by_what_they_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "MOST_AT_ONCE", 40)
    monkeypatch.setattr(document, "_READ", document._Read())  # noqa: SLF001 - none of other tests
    held = [parse("text.yaml", b"a: |\n" + b"  - b: [c, d]\n" * 10)]  # one value, as it turns out
    held += [parse(f"{number}.yaml", b"a: [b, c, d]\n") for number in range(3)]
    with pytest.raises(ResourceError, match=r"larger than 40 keys and values: last\.yaml and"):
        parse("last.yaml", ("[" + "a, " * 30 + "a]\n").encode())
    assert len(held) == 4
    del held
    for number in range(9):
        parse(f"{number}.yaml", b"a: [b, c, d, e, f]\n")  # what is let go does not count


def test_files_that_nobody_holds_are_let_go_before_one_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "MOST_AT_ONCE", 40)
    monkeypatch.setattr(document, "_READ", document._Read())  # noqa: SLF001 - none of other tests
    monkeypatch.setattr(document, "_PARSED", document.Parsed())
    for number in range(9):
        document.parse_once(f"{number}.yaml", b"a: [b, c, d, e, f]\n")


def test_image_fields_count_as_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    text = CART.encode()
    monkeypatch.setattr(document, "_READ", document._Read())  # noqa: SLF001 - none of other tests
    held = [parse("0.yaml", text)]
    alone = document._READ.total  # noqa: SLF001 - as above
    for _again in range(2):
        assert len(find_fields(held[0])) == 1
    assert document._READ.total == alone + 6  # noqa: SLF001 - as above
    monkeypatch.setattr(document, "MOST_AT_ONCE", 2 * alone + 6)
    held.append(parse("1.yaml", text))
    with pytest.raises(ResourceError, match=r"1\.yaml and what follows is not read"):
        find_fields(held[1])
    held.clear()
    assert document._READ.total == 0  # noqa: SLF001 - as above


def test_an_image_that_is_pointed_at_is_found_once() -> None:
    pointers = ("/spec/template/spec/containers/0/image",)
    [item] = objects_of(parse("a.yaml", CART.encode()))
    assert len([*image_nodes(item, {}, pointers)]) == len([*image_nodes(item, {})]) == 1


@pytest.mark.parametrize("text", ["kind: List\n", "kind: List\nitems: []\n"])
def test_a_list_of_nothing_is_no_object(text: str) -> None:
    assert not [*objects_of(parse("a.yaml", text.encode()))]


def test_a_patch_of_flux_that_stands_in_a_file_has_no_text_to_look_into() -> None:
    text = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\nmetadata: {name: a}\n"
        "spec:\n  patches:\n  - target: {kind: Deployment}\n  - patch: 'a: b'\n"
    )
    [item] = objects_of(parse("a.yaml", text.encode()))
    assert [node.value for node in inline_patches(item)] == ["a: b"]


def test_a_value_beside_a_flux_variable_has_to_fit_what_stands_around_it() -> None:
    [field] = find_fields(parse("a.yaml", CART.encode()))
    part = replace(field.parts[0], role=TAG, key="TAG", before="v", after="-alpine")
    around = replace(field, parts=(part,), form=SUBSTITUTION)
    assert part_texts(around, "acme/cart:v2-alpine") == {"TAG": "2"}
    for tag in ("2", "v2", "2-alpine"):
        with pytest.raises(
            ManifestError, match=rf"'{tag}' does not fit: .* writes v\$\{{TAG\}}-al"
        ):
            part_texts(around, f"acme/cart:{tag}")
    overlap = replace(around, parts=(replace(part, before="v1", after="1"),))
    with pytest.raises(ManifestError, match="'v1' does not fit"):
        part_texts(overlap, "acme/cart:v1")


def test_a_tag_that_stays_is_written_so_that_yaml_reads_it_as_a_text() -> None:
    text = f"image:\n  repository: acme/cart\n  tag: 1.10\n  digest: {digest('1')}\n"
    [field] = find_fields(parse("values.yaml", text.encode()))
    assert part_texts(field, f"acme/cart:1.1@{digest('2')}") == {
        "tag": "1.1",
        "digest": digest("2"),
    }


def test_a_key_that_only_contains_the_word_of_a_marker_is_none() -> None:
    assert find_marker('a: b # {"a\\"$imagepolicy": "a:b"}\n', 3, 4) is None


def test_a_text_that_became_something_else_has_changed_though_an_image_in_it_is_left_out() -> None:
    old, new = parse("k", b"a: 'image: b'\n"), parse("k", b"a: [b]\n")
    found = differences(old, new, {(0, "/a#/image")})
    assert [one.what for one in found] == ["document: a changed"]


def test_an_operation_without_a_value_has_no_image() -> None:
    place = Place(parse("k", b"a: b\n"), 0, "Patch", "patch", "/a")
    assert [*patch_fields(place, "/spec/values/image", None)] == []


def test_a_proof_tells_that_an_undo_changed_another_place() -> None:
    other = f"acme/cart:0.0.0-proof@sha256:{'0' * 64}"
    file = parse("a.yaml", f"{CART}        - name: b\n          image: {other}\n".encode())
    first, _second = find_fields(file)

    def strayed(after: ParsedFile) -> list[ImageField]:
        _first, twin = find_fields(after)
        return [replace(twin, pointer=first.pointer)]

    problem = prove(file, first, strayed)
    assert problem.startswith("1 lines differ after the edit, ")
    assert not problem.endswith(" 0 bytes after undo")


def test_a_text_of_values_that_is_no_yaml_has_no_fields() -> None:
    file = parse("a.yaml", b"values: 'image: ['\n")
    text = lookup(file.documents[0], "values")
    assert isinstance(text, yaml.ScalarNode)
    place = Place(file, 0, "Application", "cart")
    assert [*text_fields(place, text)] == []


@pytest.mark.parametrize(
    ("text", "is_edited"), [("'a: b'", True), ("a b", True), ("'a: bb'", False)]
)
def test_a_text_in_more_pieces_than_anybody_writes_is_not_edited(
    text: str,
    is_edited: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = parse("a.yaml", f"values: {text}\n".encode())
    node = lookup(file.documents[0], "values")
    assert isinstance(node, yaml.ScalarNode)
    monkeypatch.setattr(scalars, "_MOST_RUNS", 5 if is_edited else 0)
    assert (block_of(file, node).host is not None) == is_edited


def test_where_each_character_of_a_text_stands_is_known_on_line_and_column() -> None:
    file = parse("a.yaml", b'first: 1\nvalues: "a\\x41: b"\n')
    node = lookup(file.documents[0], "values")
    assert isinstance(node, yaml.ScalarNode)
    inner = block_of(file, node)
    assert (inner.text, inner.host is not None) == ("aA: b", True)
    assert inner.host is not None
    assert [(run.line, run.column, run.width) for run in inner.host.runs] == [
        (2, 10, 1),
        (2, 11, 4),
        (2, 15, 1),
    ]
    assert inner.host.outer_end(len(inner.text)) == file.text.rindex('"')
    assert file.text[inner.host.outer(1) :].startswith("\\x41")


def test_stars_side_by_side_are_one() -> None:
    pattern = go_glob("a**b")
    assert pattern is not None
    assert [bool(pattern.fullmatch(text)) for text in ("ab", "axyb", "axyc")] == [True, True, False]


def test_what_reads_as_another_kind_of_value_is_a_difference() -> None:
    old, new = parse("a.yaml", b"a: 1\n").documents[0], parse("a.yaml", b"a: '1'\n").documents[0]
    found = first_difference(old, new, {})
    assert found is not None
    assert found.value == "1"
    assert first_difference(old, old, {}) is None


def test_a_field_is_told_by_its_place_and_what_it_says() -> None:
    [field] = find_fields(parse("a.yaml", CART.encode()))
    told = {key: value for key, value in field.to_json().items() if value}
    assert told == {
        "path": "a.yaml",
        "line": 10,
        "column": 18,
        "kind": "Deployment",
        "name": "cart",
        "container": "server",
        "value": "acme/cart:1",
        "form": "container",
    }


def test_an_edit_for_a_comparison_writes_what_the_edit_would() -> None:
    file = parse("a.yaml", CART.encode())
    edit = FieldEdit(find_fields(file)[0], "acme/cart:2")
    assert rewrite_to_compare(file, [edit]) == CART.replace("cart:1", "cart:2").encode()

"""Edits change the characters of an image and nothing else, or they are refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import ParsedFile, parse, reads_as_string
from gitops_rollback.manifest.edit import (
    FieldEdit,
    Splice,
    prove,
    rewritten,
    value_of,
)
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import ACTIVE_KEY, HELD_KEY, Problem
from unit.builders import digest
from unit.test_manifest_fields import POD_YAML

if TYPE_CHECKING:
    from gitops_rollback.manifest.image_field import ImageField, Marker

COLLECTED = Path(__file__).resolve().parents[4] / "shared" / "data" / "manifests"
NEW = f"acme/cart:1.5.0@{digest('new')}"
MARKER = '# {"$imagepolicy": "flux-system:cart"}'


def read(text: str) -> tuple[ParsedFile, ImageField]:
    file = parse("a.yaml", text.encode())
    return file, find_fields(file)[0]


def edit(text: str, value: str = NEW) -> str:
    """The text after one edit of its first image."""
    file, field = read(text)
    return rewritten(file, [FieldEdit(field, value)]).data.decode()


STYLES = {
    "plain": POD_YAML + "    image: {} # why not\n    env: []\n",
    "single quotes": POD_YAML + "    image: '{}'   # why not\n",
    "double quotes": POD_YAML + '    image:   "{}"\n    args: ["a", \'b\']\n',
    "no final newline": POD_YAML + "    image: {}",
    "trailing blanks": POD_YAML + "    image: {}   \n\n\n",
    "anchor": POD_YAML + "    image: &img {}\n",
    "tag": POD_YAML + "    image: !!str {}\n",
    "next line": POD_YAML + "    image:\n      {} # here\n",
    "flow": "{kind: Pod, metadata: {name: cart}, spec: {containers: [{image: {}, name: c}]}}\n",
    "flow, last": "kind: Pod\nspec: {containers: [{name: c, image: {}}]}\n",
    "JSON": '{"kind": "Pod", "spec": {"containers": [{"name": "c", "image": "{}"}]}}',
    "CRLF": (POD_YAML + "    image: {} # why not\n    env: []\n").replace("\n", "\r\n"),
    "CR": (POD_YAML + "    image: {} # why not\n    env: []\n").replace("\n", "\r"),
    "NEL": (POD_YAML + "    image: {}\n    env: []\n").replace("\n", "\x85"),
    "BOM": "\ufeff" + POD_YAML + "    image: {}\n",
    "BOM and CRLF": ("\ufeff# ä\n" + POD_YAML + "    image: '{}'\n").replace("\n", "\r\n"),
    "non-BMP": "# 😀\n" + POD_YAML.replace("server", "'😀'") + "    image: {} # 😀\n",
    "documents": "%YAML 1.1\n---\na: 1\n...\n---\n" + POD_YAML + "    image: {}\n---\nkind: Pod\n",
    "complex key": POD_YAML + "    ? image\n    : {}\n",
    "aliases elsewhere": POD_YAML + "    image: {}\n    env: &e []\n    envFrom: *e\n",
    "an anchor twice": POD_YAML + "    image: &i {}\n    env: &i []\n    envFrom: *i\n",
    "block string beside": POD_YAML
    + "    image: {}\n---\nkind: ConfigMap\ndata:\n  pod.yaml: |\n    image: acme/cart:1.4.2\n",
}


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("old", ["acme/cart", "acme/cart:1.4.2", f"acme/cart@{digest('old')}"])
def test_an_edit_changes_the_characters_of_the_image_and_an_edit_back_undoes_it(
    style: str, old: str
) -> None:
    text = STYLES[style].replace("{}", old, 1)
    after = edit(text)
    assert after == STYLES[style].replace("{}", NEW, 1)
    assert edit(after, old) == text


def test_only_one_line_changes() -> None:
    before = STYLES["block string beside"].replace("{}", "acme/cart:1.4.2")
    pairs = zip(before.splitlines(), edit(before).splitlines(), strict=True)
    assert [(a, b) for a, b in pairs if a != b] == [
        ("    image: acme/cart:1.4.2", f"    image: {NEW}")
    ]


def test_several_fields_are_edited_at_once() -> None:
    text = POD_YAML + "    image: acme/cart:1\n  - {name: b, image: 'acme/cart:1'}\n"
    file = parse("a.yaml", text.encode())
    edits = [FieldEdit(field, NEW) for field in find_fields(file)]
    assert rewritten(file, edits).data.decode() == text.replace("acme/cart:1", NEW)


def test_without_edits_the_bytes_stay() -> None:
    text = "\ufeff" + POD_YAML
    assert rewritten(parse("a.yaml", text.encode()), []).data == text.encode()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("1234:30", '"1234:30"'),
        ("190:20:30", '"190:20:30"'),
        ("1234", '"1234"'),
        ("0x1f", '"0x1f"'),
        ("1e3", '"1e3"'),
        ("123e456", '"123e456"'),
        ("0o17", '"0o17"'),
        ("1_000", '"1_000"'),
        ("y", '"y"'),
        ("abc", "abc"),
        ("on", '"on"'),
        ("null", '"null"'),
        ("2026-01-31", '"2026-01-31"'),
        ("cart:1", "cart:1"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_what_yaml_would_not_read_as_a_string_is_quoted(value: str, written: str) -> None:
    after = edit(POD_YAML + "    image: cart\n", value)
    assert after == POD_YAML + f"    image: {written}\n"
    assert edit(POD_YAML + "    image: 'cart'\n", value) == POD_YAML + f"    image: '{value}'\n"


def values_edit(text: str, tag: str, sha: str | None) -> str:
    """The text of a values file after one edit of its image."""
    file = parse("values.yaml", text.encode())
    [field] = find_fields(file)
    return rewritten(file, [FieldEdit(field, value_of(field, tag, sha))]).data.decode()


def test_a_tag_that_stays_is_quoted_where_a_chart_would_print_another_one() -> None:
    text = "image: {{repository: acme/cart, tag: {}, digest: '{}'}}\n"
    old, new = digest("old"), digest("new")
    after = values_edit(text.format("1.10", old), "1.10", new)
    assert after == text.format("'1.10'", new)  # in the style of the file


@pytest.mark.parametrize("before", ["", "!!str "])
def test_a_digest_that_goes_leaves_an_empty_text_and_not_the_word_null(before: str) -> None:
    text = "image: {{repository: acme/cart, tag: v1, digest: {}}}\n"
    after = values_edit(text.format(before + digest("old")), "v2", None)
    assert after == text.replace("v1", "v2").format(before + '""')


def test_a_number_for_an_image_can_be_edited() -> None:
    assert edit(POD_YAML + "    image: 1234:30\n", "1234:31").endswith('image: "1234:31"\n')


@given(st.from_regex(r"[a-z0-9._/:-]{1,12}", fullmatch=True))
def test_what_reads_as_a_string_is_what_the_parser_says(value: str) -> None:
    try:
        node = yaml.compose(value, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    if isinstance(node, yaml.ScalarNode) and node.value == value:
        is_string = node.tag == "tag:yaml.org,2002:str"
        assert not reads_as_string(value) or is_string
        is_odd = re.fullmatch(r"[-+0-9._eEoxb]*[0-9][-+0-9._a-fA-Feoxb]*|[yn]", value)
        assert reads_as_string(value) or not is_string or is_odd  # only YAML 1.2 reads more


@pytest.mark.parametrize(
    "image",
    [
        "    image: |\n      acme/cart:1\n",
        '    image: "acme/c\\x61rt:1"\n',
        "    image: &i acme/cart:1\n    env: *i\n",
        "    image: ${IMAGE}\n",
    ],
    ids=["block", "escapes", "alias", "template"],
)
def test_what_cannot_be_edited_safely_is_refused_with_the_reason(image: str) -> None:
    file, field = read(POD_YAML + image)
    with pytest.raises(ManifestError) as caught:
        rewritten(file, [FieldEdit(field, NEW)])
    assert caught.value.message.startswith(f"{field.position}: the image of container 'server' can")
    assert field.problem in caught.value.message
    assert caught.value.hint == "write the image as a plain one-line value, then run this again"


def test_a_problem_with_a_remedy_of_its_own_is_refused_with_that() -> None:
    file, field = read(POD_YAML + "    image: acme/cart:1\n")
    signed = replace(field, problem=Problem("a tool signs the file;", "sign it anew"))
    told = r"safely: a tool signs the file; sign it anew$"
    with pytest.raises(ManifestError, match=told) as caught:
        rewritten(file, [FieldEdit(signed, NEW)])
    assert caught.value.hint == "sign it anew, then run this again"


def _elsewhere(field: ImageField) -> ImageField:
    """The field as if it stood where the container's name stands."""
    start = POD_YAML.index("server")
    part = replace(field.parts[0], scalar=replace(field.scalar, start=start, end=start + 6))
    return replace(field, parts=(part,))


@pytest.mark.parametrize(
    "value",
    [
        "acme/cart:2\n    env: []",
        "acme/cart:2 # why",
        "acme/cart:2: x",
        "acme/cart:2\n---\nkind: Pod",
        "[acme, cart]",
        "*img",
        "&img acme/cart",
        "!!int 7",
    ],
)
def test_the_proof_fails_where_a_value_would_not_read_back_as_itself(value: str) -> None:
    file, field = read(POD_YAML + "    image: acme/cart:1\n")
    with pytest.raises(ManifestError):
        rewritten(file, [FieldEdit(field, value)])


def test_the_proof_fails_where_another_place_changes() -> None:
    file, field = read(POD_YAML + "    image: acme/cart:1\n")
    with pytest.raises(ManifestError, match=r"a\.yaml:\d: the edit would change more"):
        rewritten(file, [FieldEdit(_elsewhere(field), NEW)])


@pytest.mark.parametrize("text", ["other", "server\n  - image: x", "server\n    env: []"])
def test_the_proof_fails_where_a_splice_changes_more_than_a_comment(text: str) -> None:
    file, _field = read(POD_YAML + "    image: acme/cart:1\n")
    start = POD_YAML.index("server")
    with pytest.raises(ManifestError, match="the edit would change more than the image"):
        rewritten(file, [], [Splice(start, start + 6, text)])


def test_the_proof_fails_for_a_field_of_another_version_of_the_file() -> None:
    file, _field = read(POD_YAML + "    image: acme/cart:1\n")
    _other, field = read(POD_YAML + "    image: acme/cart:0\n")
    with pytest.raises(ManifestError, match="the edit would change more than the image"):
        rewritten(file, [FieldEdit(field, NEW)])


def renamed(marker: Marker, key: str) -> Splice:
    return Splice(marker.key_start, marker.key_end, key)


@pytest.mark.parametrize(
    ("line", "policy"),
    [
        ('    image: acme/cart:1 # {"$imagepolicy": "flux-system:cart"}', "flux-system:cart"),
        ('    image: acme/cart:1 #{"$imagepolicy":"flux-system:cart"}', "flux-system:cart"),
        (
            '    image: "acme/cart:1"\t#  { "$imagepolicy" : "a:b:tag" }',
            "a:b:tag",
        ),
        ('    image:\n      acme/cart:1 # {"$imagepolicy": "a:b"}', "a:b"),
        ('    image:\n      # {"$imagepolicy": "a:b", "note": "keep"}\n      acme/cart:1', "a:b"),
        ('    image: acme/cart:1 # {"note": "x", "$imagepolicy": "a:b:name"}', "a:b:name"),
    ],
)
def test_a_flux_marker_is_held_and_restored(line: str, policy: str) -> None:
    text = POD_YAML + line + "\n    env: []\n"
    file, field = read(text)
    [marker] = field.markers
    assert (marker.policy, marker.is_held) == (policy, False)
    held = rewritten(file, [FieldEdit(field, NEW)], [renamed(marker, HELD_KEY)]).data.decode()
    assert held == text.replace("acme/cart:1", NEW).replace('policy"', 'policy-held"')
    file, field = read(held)
    [marker] = field.markers
    assert marker.is_held
    assert marker.active_text == marker.text.replace("-held", "")
    back = [renamed(marker, ACTIVE_KEY)]
    restored = rewritten(file, [FieldEdit(field, "acme/cart:1")], back).data
    assert restored.decode() == text


@pytest.mark.parametrize(
    "line",
    [
        "    image: acme/cart:1",
        '    # image: acme/cart:0 # {"$imagepolicy": "a:b"}\n    image: acme/cart:1',
        '    image: acme/cart:1\n    # {"$imagepolicy": "a:b"}',
        '    image: acme/cart:1\n    env: [] # {"$imagepolicy": "a:b"}',
        '    image: acme/cart:1 # {"$imagerepository": "a:b"}',
        "    image: acme/cart:1 # {$imagepolicy: a:b}",
        '    image: acme/cart:1 # {"$imagepolicy": "a:b"} and why',
        '    image: acme/cart:1 # {"$imagepolicy": "a:b", "n": 1}',
        '    image: acme/cart:1 # {"$imagepolicy": ["a:b"]}',
        '    image: acme/cart:1 # {"$imagepolicy": "a:b", "x": "' + "y" * 2_000 + '"}',
    ],
)
def test_a_comment_that_is_no_marker_of_this_field_is_left_alone(line: str) -> None:
    file, field = read(POD_YAML + line + "\n")
    assert field.markers == ()
    after = rewritten(file, [FieldEdit(field, NEW)]).data.decode()
    assert after == (POD_YAML + line + "\n").replace("acme/cart:1", NEW)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\x85", "\u2028"])
def test_a_marker_ends_with_its_line(end: str) -> None:
    text = POD_YAML + f"    image: acme/cart:1\n    env: [] {MARKER}\n"
    _file, field = read(text.replace("\n", end))
    assert field.markers == ()


@pytest.mark.skipif(not COLLECTED.exists(), reason="../shared/data/manifests is not there")
def test_every_field_of_collected_manifests_is_edited_and_undone_to_the_byte() -> None:
    paths = [p for p in COLLECTED.rglob("*") if p.is_file() and p.parent != COLLECTED]
    assert len(paths) >= 396
    edited = 0
    for path in paths:
        data = path.read_bytes()
        try:
            file = parse(path.name, data)
            fields = [field for field in find_fields(file) if not field.problem]
        except ManifestError:
            continue
        for field in fields:
            edited += 1
            assert prove(file, field) == "", field
    assert edited >= 299


_names = st.sampled_from(["cart", "a: b", "x#y", "😀", "ä\u00a0", "image", "- a", "'", '"', "{}"])
_images = st.sampled_from(["acme/cart:1", "cart", f"ghcr.io/a/b@{digest('x')}", "localhost:5000/x"])
_ends = st.sampled_from(["\n", "\r\n", "\r", "\x85", "\u2029"])


@st.composite
def manifests(draw: st.DrawFn) -> bytes:
    """A generated manifest: several workloads, dumped by another program in some style."""
    objects = [
        {
            "kind": draw(st.sampled_from(["Deployment", "StatefulSet", "ConfigMap"])),
            "metadata": {"name": draw(_names), "labels": {"app": draw(_names)}},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"name": draw(_names), "args": [draw(_names)], "image": draw(_images)}
                            for _ in range(draw(st.integers(1, 3)))
                        ]
                    }
                }
            },
        }
        for _ in range(draw(st.integers(1, 3)))
    ]
    text = yaml.safe_dump_all(
        objects,
        default_flow_style=draw(st.sampled_from([None, True, False])),
        default_style=draw(st.sampled_from([None, "'", '"'])),
        indent=draw(st.integers(2, 6)),
        width=10_000,
        allow_unicode=True,
        sort_keys=draw(st.booleans()),
        explicit_start=draw(st.booleans()),
    )
    comment = draw(st.sampled_from(["", "# 😀 what\n", "---\n"]))
    whole = (comment + text).replace("\n", draw(_ends))
    return (draw(st.sampled_from(["", "\ufeff"])) + whole).encode()


@given(manifests(), st.integers(0, 8), _images)
def test_any_generated_manifest_is_edited_as_the_parser_reads_it_and_undone(
    data: bytes, number: int, new: str
) -> None:
    file = parse("a.yaml", data)
    fields = find_fields(file)
    if not fields:
        return
    field = fields[number % len(fields)]
    after = rewritten(file, [FieldEdit(field, new)]).data
    again = parse("a.yaml", after)
    found = find_fields(again)
    assert [f.value for f in found] == [new if f is field else f.value for f in fields]
    outside = len(data) - len(field.value.encode())
    assert len(after) - len(new.encode()) in (outside, outside + 2)
    same = found[number % len(fields)]
    if len(after) - len(new.encode()) == outside:
        assert rewritten(again, [FieldEdit(same, field.value)]).data == data


# The proof of `fields --prove` --------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES)
def test_a_proof_edits_an_image_of_any_style_and_back_to_the_byte(style: str) -> None:
    file, field = read(STYLES[style].replace("{}", "acme/cart:1.4.2"))
    assert prove(file, field) == ""


def test_a_proof_of_an_entry_minds_the_lines_of_all_its_scalars() -> None:
    entry = f"images:\n- name: acme/cart\n  newTag: '1'  # a\n  digest: {digest('1')}\n"
    file = parse("kustomization.yaml", entry.encode())
    [field] = find_fields(file)
    assert prove(file, field) == ""


def test_a_proof_tells_where_the_edited_image_is_not_found_again() -> None:
    file, field = read(STYLES["plain"].replace("{}", "acme/cart:1.4.2"))
    assert prove(file, field, lambda _again: ()) == "the edited value is not found again"
    stale = prove(file, field, lambda _again: (field,))
    assert stale == "the edited value is not found again"


def test_a_proof_tells_why_a_field_must_not_be_edited() -> None:
    file, field = read(STYLES["plain"].replace("{}", "acme/cart:1.4.2"))
    found = prove(file, replace(field, problem=Problem("it is written twice")))
    assert "it is written twice" in found

"""The fast reader of plain YAML: node by node what PyYAML makes, or nothing."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from gitops_rollback.manifest import document
from gitops_rollback.manifest.scan import MAP, compose

COLLECTED = Path(__file__).resolve().parents[4] / "shared" / "data" / "manifests"
MANIFEST = """\
# who: the cart's people
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: &app cart  # the name
  labels: &labels
    app.kubernetes.io/name: *app
    'quoted': "it \\"says\\" \\\\ so"
  annotations: {}
spec:
  replicas: 010
  template:
    metadata: {labels: cart}
    spec:
      containers:
      - name: server
        image: docker.io/acme/cart:1.20
        command: ["sh", -c, 'it''s', {a: b, "c":1},
          2026-01-15,
        ]
        args:
          - --since=1h
          -
            - nested
          - - compact
            - null
        env:
      - name: other

        image: "acme/other:1"   # {"$imagepolicy": "a:b"}
"""
PLAIN = [
    "",
    "# nothing\n",
    "---\n---\n# no\n---\n",
    "a: b",
    "- a\n- b:\n    c\n".replace("    c\n", ""),
    "a:\n- b\n- c:\n  - d\ne: f\n",
    "a: |\n  x\n\n   y\nb: |-\n  x\n\n\nc: |+\n  x\n\n\n",
    "a: |\n\n  x\n# why\nb: c\n",
    "a: |\n  x\n   \n",
    "a: |+\n  x\n   \n\nb: c\n",
    "a: {'b':c}\n",
    f"a: {{{'k' * 1_000}: b}}\n",
    f"{'k' * 999}: b\n",
    "a:\n  [b, c]\nd: {\n e: f }\n",
    "<<: &x\n  a: b\nc:\n  <<: *x\n",
    "a: http://x:1 # y\nb: x#y\nc: -x\nd: :x\ne: a - b\n",
    "a: yes\nb: 1e3\nc: 0o7\nd: ~\ne: 2026-01-15\nf: =\n",
    MANIFEST,
    f"a: {'[' * 59}{']' * 59}\n",  # sixty levels, and as often as there are any
    "".join(f"{' ' * depth}b:\n" for depth in range(59)) + f"{' ' * 59}b: c\n",
    "a: [[[b]], [[c]]]\nd: {e: [f]}\n" + "g: [a]\n" * 70,
    "a:\n" + "- b\n" * 300 + "c: {d: e}\n",
]
NOT_PLAIN = [
    "a: |\n  b\n  c",  # no line end
    "a: b\n c\n",
    "a: >-\n  b\n",
    "a: !x b\n",
    "a: *b\n",
    "a: &b *b\n",
    "a: &b c\nd: &b e\n",
    "? a\n: b\n",
    "a:\tb\n",
    "a: b\r\n",
    "a: 'b\n  c'\n",
    'a: "\\x41"\n',
    "%YAML 1.1\n---\na: b\n",
    "a: b\n...\n",
    "--- a\n",
    "a: b: c\n",
    "a: b\n- c\n",
    " a: b\nc: d\n",
    "a: {{ .Values.image }}\n",
    "a: [b,, c]\n",
    "a: [b: c]\n",
    "a: @b\n",
    "a: 'b'c\n",
    "a:\n  b: c\n d: e\n",
    "a: \x07\n",
    "a:\n" + "".join(f"{' ' * depth}b:\n" for depth in range(1, 90)),
    "- " * 90 + "a\n",
    f"{'[' * 90}{']' * 90}\n",
    f"{'k' * 1_100}: a\n",
    '"a\tb": c\n',
    "a: 'b\tc'\n",
    "- - a\n - b\n",
    "- a\nb: c\n",
    "a: &x\nb: c\n",
    "- &x\n- a\n",
    "a: |x\n b\n",
    "a: |2\n   b\n",
    "a: |\n",
    "a: |\n\n\n",
    "a: |\nb: c\n",
    f"a: {'[' * 90}{']' * 90}\n",
    "a: &x\n  b: c\nd: *x!\n",
    "a: |\n  x",
    "a: |\n  x\n y\n",
    "a: [b] c\n",
    "x: y\na: [b] c\n",
    f"a: {'[' * 60}{']' * 60}\n",
    "".join(f"{' ' * depth}b:\n" for depth in range(60)) + f"{' ' * 60}b: c\n",
    "a: [...]\n",
    "a: {b c}\n",
    f"a: {{{'k' * 1_001}: b}}\n",
]
BITS = [
    "", "a", "b: c", "- ", "-", "a:", ": ", " #", "# c", "'", '"', "'x'", '"y"', "{", "}", "[", "]",
    ",", "|", "|-", ">", "&a ", "*a", "!t ", "? ", "---", "...", "  ", " ", "\\", "{a: b}",
    "[a, b]", "<<: *a", "http://x:1", "\t", "~", "é", "\u2028", "1.20", "x #y", "  z",
    "{a: }", "[a, ]", "@",
]  # fmt: skip


def made(node: yaml.Node) -> list[Any]:
    """Return all that a node says, and those below it."""
    marks = [(one.index, one.line, one.column) for one in (node.start_mark, node.end_mark)]
    if isinstance(node, yaml.ScalarNode):
        return [node.tag, node.value, *marks, node.style]
    assert isinstance(node, yaml.CollectionNode)
    flow = bool(node.flow_style)  # PyYAML has none for items in the column of their key
    if isinstance(node, yaml.MappingNode):
        return [node.tag, *marks, flow, [(made(key), made(value)) for key, value in node.value]]
    return [node.tag, *marks, flow, [made(item) for item in node.value]]


def by_pyyaml(text: str) -> list[Any] | None:
    """Return what PyYAML makes of a text; None if it refuses it."""
    try:
        return [made(root) for root in yaml.compose_all(text, Loader=yaml.SafeLoader)]
    except yaml.YAMLError:
        return None


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_is_read_as_pyyaml_reads_it(text: str) -> None:
    found = compose(text)
    assert found is not None
    assert [made(root) for root in found] == by_pyyaml(text)


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_is_not_plain_is_left_to_pyyaml(text: str) -> None:
    assert compose(text) is None


# What stands around two bits, and in how many of all pairs of them it is read fast.
AROUND = {
    "{}{}\n": 199,
    "a: {}{}\n": 615,
    "a:\n {}\n{}\n": 108,
    "- {}\n  {}\n": 254,
    "a: [{}, {}]\n": 156,
    "a: |\n{}\n {}\n": 89,
    "a: &a {}\nb: {}": 315,
}


@pytest.mark.parametrize("around", AROUND)
def test_all_pairs_of_bits_are_read_as_pyyaml_reads_them_or_left(around: str) -> None:
    texts = [around.format(*pair) for pair in product(BITS, BITS)]
    read = {text: found for text in texts if (found := compose(text)) is not None}
    for text, found in read.items():
        assert [made(root) for root in found] == by_pyyaml(text), text
    assert sum(text in read for text in texts) >= AROUND[around], "what was read fast is so still"


def lines() -> st.SearchStrategy[str]:
    words = st.lists(st.sampled_from(BITS), min_size=1, max_size=4).map("".join)
    line = st.tuples(st.integers(0, 4), words).map(lambda one: " " * one[0] + one[1])
    return st.lists(line, max_size=8).map("\n".join)


@given(lines(), st.sampled_from(["", "\n", "\n\n", "\n# c", " "]))
@example("a:\n  b: |\n   x", "\n  ")
def test_any_lines_are_read_as_pyyaml_reads_them_or_left(text: str, end: str) -> None:
    found = compose(text + end)
    assert found is None or [made(root) for root in found] == by_pyyaml(text + end)


@given(st.data())
def test_a_manifest_with_a_change_is_read_as_pyyaml_reads_it_or_left(data: st.DataObject) -> None:
    text = MANIFEST
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 3)))
        text = text[:start] + data.draw(st.sampled_from([*BITS, "\n"])) + text[end:]
    found = compose(text)
    assert found is None or [made(root) for root in found] == by_pyyaml(text)


def by(loader: type[Any], text: str) -> list[Any]:
    return [made(root) for root in yaml.compose_all(text, Loader=loader)]


@pytest.mark.skipif(not COLLECTED.exists(), reason="../shared/data/manifests is not there")
def test_the_manifests_of_real_repositories_are_read_as_pyyaml_reads_them() -> None:
    paths = [path for path in COLLECTED.rglob("*") if path.suffix in (".yaml", ".yml", ".json")]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in paths]
    found = [(compose(text), by_pyyaml(text)) for text in texts]
    assert all(plain is None or [made(root) for root in plain] == real for plain, real in found)
    readable_texts = [text for text, (_plain, real) in zip(texts, found, strict=True) if real]
    assert all(by(document.Loader, text) == by(yaml.CSafeLoader, text) for text in readable_texts)
    readable = [plain for plain, real in found if real is not None]
    assert sum(plain is not None for plain in readable) > 0.9 * len(readable)


@pytest.mark.parametrize("parser", [yaml.SafeLoader, yaml.CSafeLoader])
@pytest.mark.parametrize(
    "text",
    [
        MANIFEST,
        "a: 1\nb: '1'\nc: ! 1\nd: !!str 1\ne: !x [~, {}, '', yes, 2026-01-15]\n? 0x1f\n: |\n  1\n",
        "- \n- ''\n- !\n- ! {}\n- ! []\n- <<: {a: =}\n- &a 1.5\n- *a\n--- 12:30\n",
    ],
)
def test_what_asks_for_no_tag_twice_tags_as_pyyaml_does(parser: type[Any], text: str) -> None:
    names = ("resolve", "descend_resolver", "ascend_resolver")
    ours = type("Ours", (parser,), {name: getattr(document.Loader, name) for name in names})
    assert by(ours, text) == by(parser, text)


def test_where_there_is_no_parser_in_c_plain_manifests_are_read_fast() -> None:
    def unused(*_: object, **__: object) -> None:
        raise AssertionError

    with patch.object(document, "_HAS_LIBYAML", new=False):
        with patch.object(yaml, "compose_all", unused):
            file = document.parse("x.yaml", MANIFEST.encode())
        slow = document.parse("x.yaml", b"a: >-\n  b\n")
    assert document.lookup(file.documents[0], "kind") is not None
    assert [root and root.tag for root in slow.documents] == [MAP]

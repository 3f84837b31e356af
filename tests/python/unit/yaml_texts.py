"""YAML written as text by hypothesis, of which the writer knows where each image value stands.

No YAML library writes it: block and flow style and JSON, all quotes, comments and markers, anchors
and aliases, line ends, byte order marks, and texts that only look like images.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Tree: TypeAlias = "str | Slot | dict[str, Tree] | list[Tree]"

TEXTS = ["cart", "a: b", "x #y", "😀", "ä\u00a0", "image", "- a", "it's", 'say "a"', "{}", "",
          "acme/cart:1", "a\\b", "{{ x }}"]  # fmt: skip
_PLAIN = frozenset(("cart", "😀", "ä\u00a0", "image", "acme/cart:1"))
_COMMENTS = ["# 😀", "#", "# image: acme/cart:0", '# image: acme/cart:0 # {"$imagepolicy": "a:b"}',
             "# - name: {cart", "#\timage: 'a"]  # fmt: skip
_BEHIND = ["", "", "", " ", " \t ", " # why", ' # {"$imagepolicy": "a:b"}',
           '  #{"$imagepolicy": "a:b:tag"}', " # image: acme/cart:0", " # 😀"]  # fmt: skip
_NOISE = [
    "kind: ConfigMap\ndata:\n  a: |\n    image: acme/cart:1\n    # image\n\n  b: >-\n    image:\n",
    "note: 1 # only a comment: acme/cart:1\n",
    "kind: Secret\nmetadata: {name: cart, note: 'image: acme/cart:1'}\n",
    "[]\n",
    "- image: acme/cart:1\n- 'image: x'\n",
]


@dataclass(frozen=True)
class Slot:
    """A scalar of the image: its part, its text, and how it is written (quotes, or none)."""

    role: str
    text: str
    quote: str

    @property
    def raw(self) -> str:
        """The characters of the scalar."""
        return f"{self.quote}{self.text}{self.quote}"


@dataclass(frozen=True)
class Written:
    """A file as pieces of text with slots between them.

    `tree` is what YAML has to read in document `number`.
    """

    pieces: tuple[str | Slot, ...]
    tree: Tree
    number: int
    end: str
    bom: bool

    def slot(self, role: str) -> Slot | None:
        """Return the slot of a part, if the file has one."""
        slots = (piece for piece in self.pieces if isinstance(piece, Slot))
        return next((slot for slot in slots if slot.role == role), None)

    def data(self, raw: Mapping[str, str] | None = None) -> bytes:
        """Return the bytes of the file, with other characters in the slots of some parts."""
        changed = raw or {}
        text = "".join(
            piece.replace("\n", self.end)
            if isinstance(piece, str)
            else changed.get(piece.role, piece.raw)
            for piece in self.pieces
        )
        return (("\ufeff" if self.bom else "") + text).encode()


def filled(tree: Tree, texts: Mapping[str, str | None]) -> object:
    """Return a tree as data, with other values in the slots of some parts."""
    if isinstance(tree, Slot):
        return texts.get(tree.role, tree.text)
    if isinstance(tree, dict):
        return {key: filled(value, texts) for key, value in tree.items()}
    if isinstance(tree, list):
        return [filled(value, texts) for value in tree]
    return tree


@dataclass
class _Writer:
    draw: st.DrawFn
    step: int
    out: list[str | Slot] = field(default_factory=list)
    anchors: dict[str, str] = field(default_factory=dict)

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == one_in - 1

    def pick(self, *options: str) -> str:
        return self.draw(st.sampled_from(options))

    def anchor(self, text: str = "") -> str:
        """Return an anchor of its own; that of a text may be used again as an alias."""
        name = f"a{len(self.anchors)}"
        self.anchors[name] = text
        return f"&{name} "

    def json(self, tree: Tree) -> None:
        if isinstance(tree, Slot):
            self.out.append(Slot(tree.role, tree.text, '"'))
        elif isinstance(tree, str):
            self.out.append(json.dumps(tree, ensure_ascii=False))
        else:
            self._brackets(tree, self.json, lambda key: json.dumps(key) + ": ")

    def flow(self, tree: Tree) -> None:
        if isinstance(tree, Slot):
            before = self.pick("", "", "anchor", "!!str ") if tree.text else ""
            self.out += [self.anchor() if before == "anchor" else before, tree]
        elif isinstance(tree, str):
            self.out.append(self.quoted(tree))
        else:
            self._brackets(tree, self.flow, lambda key: f"{key}: ")

    def _brackets(
        self,
        tree: dict[str, Tree] | list[Tree],
        write: Callable[[Tree], None],
        before: Callable[[str], str],
    ) -> None:
        gap = self.pick("", "", " ", "\n" + " " * 24)
        pairs = list(tree.items()) if isinstance(tree, dict) else [("", value) for value in tree]
        self.out.append("{" if isinstance(tree, dict) else "[")
        for number, (key, value) in enumerate(pairs):
            self.out.append((", " if number else "") + gap + (before(key) if key else ""))
            write(value)
        self.out.append(gap + ("}" if isinstance(tree, dict) else "]"))

    def block(self, tree: dict[str, Tree] | list[Tree], indent: int, *, inline: bool) -> None:
        """Write a collection from the beginning of a line on, or behind an item's dash."""
        pairs = list(tree.items()) if isinstance(tree, dict) else [("", value) for value in tree]
        for number, (key, value) in enumerate(pairs):
            if number or not inline:
                self._comment_line()
                self.out.append(" " * indent)
            if isinstance(tree, dict):
                self.out.append(self.pick(f"{key}:", f"{key}:", f'"{key}":', f"{key} :"))
                self._value(value, indent, nested=self.pick("same", "deeper"))
            elif isinstance(value, dict) and value and not self.chance(4):
                self.out.append("-" + " " * (self.step - 1))
                self.block(value, indent + self.step, inline=True)
            else:
                self.out.append("-")
                self._value(value, indent, nested="deeper")

    def _value(self, value: Tree, indent: int, nested: str) -> None:
        """Write what stands behind a colon or a dash, to the end of the line."""
        deeper = indent + self.step
        if isinstance(value, dict | list) and value and not self.chance(4):
            behind = self.pick("", " # 😀", "  ", "anchor")
            self.out.append((f" {self.anchor()}" if behind == "anchor" else behind) + "\n")
            same = isinstance(value, list) and nested == "same"
            self.block(value, indent if same else deeper, inline=False)
            return
        self.out.append(self.pick(" ", "  ", " ", "\n" + " " * deeper))
        self.flow(value)
        self.out.append(self.pick(*_BEHIND) + "\n")

    def quoted(self, text: str) -> str:
        """Write a text that is no image of ours: in quotes, plain where that is safe, an alias."""
        known = [name for name, anchored in self.anchors.items() if text and anchored == text]
        if known and self.chance(2):
            return f"*{known[0]} "
        styles = [json.dumps(text, ensure_ascii=False), "'" + text.replace("'", "''") + "'"]
        if max(text, default="") <= "\uffff":  # the parser takes no pair of escapes for one sign
            styles.append(json.dumps(text))
        written = self.pick(*styles, *([text] if text in _PLAIN else []))
        return (self.anchor(text) if self.chance(5) else "") + written

    def _comment_line(self) -> None:
        if self.chance(6):
            self.out.append(self.pick("  ", "", " " * 11) + self.pick(*_COMMENTS) + "\n")


@st.composite
def written(draw: st.DrawFn, tree: dict[str, Tree]) -> Written:
    """Write a tree as one document of a file, with others around it."""
    writer = _Writer(draw, draw(st.sampled_from([2, 2, 4])))
    number = 0
    if writer.chance(4):
        writer.out.append(writer.pick("%YAML 1.1\n---\n", "---\n", "--- # 😀\n", "\n"))
    if writer.chance(4):
        writer.out.append(writer.pick(*_NOISE) + writer.pick("---\n", "...\n---\n", "--- # x\n"))
        number = 1
    if writer.chance(5):
        writer.json(tree)
        writer.out.append(" \n")
    else:
        writer.block(tree, 0, inline=False)
    last = str(writer.out.pop())
    if writer.chance(4):
        writer.out.append(last + "---\n" + writer.pick(*_NOISE))
    else:
        writer.out.append(last + "\n\n" if writer.chance(3) else last.rstrip("\n"))
    end = writer.pick("\n", "\n", "\r\n", "\r")
    return Written(tuple(writer.out), tree, number, end, writer.chance(4))


@st.composite
def slots(draw: st.DrawFn, role: str, text: str) -> Slot:
    """Draw how a part is written; an empty one needs quotes to be filled."""
    return Slot(role, text, draw(st.sampled_from(["", "", "'", '"'] if text else ["'", '"'])))

"""Change the pure folders at random places, one at a time, and see whether a unit test fails.

A mutant that no unit test kills is a rule that nobody proves, or one that changes nothing. Run by
hand, since it takes a while: `.venv/bin/python tools/mutants.py --count 60 --seed 1`. Each mutant
is tried in a copy of the tree, against the unit tests that reach the changed line (measured once,
by coverage's contexts); a table goes to stdout.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("python/gitops_rollback")
FOLDERS = ("decide", "ledger", "manifest", "effective")
TIMEOUT = 300  # seconds for the tests of one mutant; one that never ends is found
_COPIED = ("python", "tests", "docs", "examples", "tools", "vars", "resources", "src", "config")
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.In: "not in", ast.NotIn: "in", ast.Is: "is not", ast.IsNot: "is",
}  # fmt: skip
_COMPARISON = re.compile(r"==|!=|<=|>=|<|>|\bnot\s+in\b|\bin\b|\bis\s+not\b|\bis\b")
_WORD = re.compile(r"[\w.:/#-]{1,24}")


@dataclass(frozen=True)
class Mutant:
    """One change: the text of a file from one offset to another is replaced."""

    path: Path
    line: int
    begin: int
    end: int
    new: str

    def apply(self, source: str) -> str:
        """Return the file's text with the change."""
        return source[: self.begin] + self.new + source[self.end :]

    def told(self, source: str) -> str:
        """Return the change in one line."""
        old = " ".join(source[self.begin : self.end].split())
        return f"`{old[:60]}` → `{self.new[:60]}`"


class Source:
    """A module's text, and where its nodes stand in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = (ROOT / path).read_text(encoding="utf-8")
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = self.text.splitlines(keepends=True)

    def mutants(self) -> Iterator[Mutant]:
        """Yield every change that can be made."""
        tree = ast.parse(self.text)
        left_out = set(_left_out(tree))
        for node in ast.walk(tree):
            if node not in left_out:
                yield from self._of(node)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        yield from self._of_operators(node)
        yield from self._of_conditions(node)
        yield from self._of_values(node)
        if isinstance(node, ast.Continue):
            yield self._replace(node, "break")
        if isinstance(node, ast.AugAssign | ast.Raise) or (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        ):
            yield self._replace(node, "pass")

    def _of_operators(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                yield from self._between(left, right, _COMPARISON, _OPERATORS[type(operator)])
            case ast.BoolOp(op=operator, values=values):
                new = "or" if isinstance(operator, ast.And) else "and"
                for left, right in pairwise(values):
                    yield from self._between(left, right, re.compile(r"\b(and|or)\b"), new)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._replace(node, f"({self._code(operand)})")
            case ast.BinOp(left=left, right=right, op=ast.Add() | ast.Sub() as operator):
                new = "-" if isinstance(operator, ast.Add) else "+"
                yield from self._between(left, right, re.compile(r"[+-]"), new)

    def _of_conditions(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test):
                yield self._replace(test, f"(not ({self._code(test)}))")
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield self._replace(test, "True")

    def _of_values(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Constant(value=bool(value)):
                yield self._replace(node, str(not value))
            case ast.Constant(value=int(value)):
                yield self._replace(node, str(value + 1))
            case ast.Constant(value=str(value)) if _WORD.fullmatch(value):
                yield self._replace(node, repr(f"{value}x"))
            case ast.Return(value=ast.expr() as value) if not _is_nothing(value):
                yield self._replace(value, "None")

    def _between(
        self, left: ast.expr, right: ast.expr, pattern: re.Pattern[str], new: str
    ) -> Iterator[Mutant]:
        begin, end = self._end(left), self._begin(right)
        if found := pattern.search(self.text, begin, end):
            yield Mutant(self.path, left.end_lineno or 0, found.start(), found.end(), new)

    def _replace(self, node: ast.AST, new: str) -> Mutant:
        line: int = getattr(node, "lineno", 0)
        return Mutant(self.path, line, self._begin(node), self._end(node), new)

    def _code(self, node: ast.AST) -> str:
        return self.text[self._begin(node) : self._end(node)]

    def _begin(self, node: ast.AST) -> int:
        return self._offset(getattr(node, "lineno", 0), getattr(node, "col_offset", 0))

    def _end(self, node: ast.AST) -> int:
        return self._offset(getattr(node, "end_lineno", 0), getattr(node, "end_col_offset", 0))

    def _offset(self, line: int, column: int) -> int:
        """Return where a place is in the text; columns of `ast` count bytes."""
        before = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(before)


def _is_nothing(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _left_out(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what no test can see: docstrings, types, exports, and parts of f-strings."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant()):
                yield from (node, node.value)
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from ast.walk(node)
            case (
                ast.AnnAssign(annotation=annotation) | ast.arg(annotation=ast.expr() as annotation)
            ):
                yield from ast.walk(annotation)
            case ast.FunctionDef(returns=ast.expr() as returns, decorator_list=decorators):
                for part in (returns, *decorators):
                    yield from ast.walk(part)
            case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.JoinedStr():
                yield from ast.walk(node)
            case ast.ClassDef(decorator_list=decorators):
                for part in decorators:
                    yield from ast.walk(part)


class Reach:
    """Which unit tests reach which lines, measured by running all of them once."""

    def __init__(self, data: Path) -> None:
        self._data = data
        if not data.exists():
            self._measure()
        self._base = sqlite3.connect(data, check_same_thread=False)
        self._failing = set(self._failures.read_text(encoding="utf-8").split("\n"))

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a line, else those that run anything of its module."""
        from coverage.numbits import numbits_to_nums  # noqa: PLC0415 - of the dev dependencies

        rows = self._base.execute(
            "select context.context, numbits from line_bits"
            " join file on file.id = file_id join context on context.id = context_id"
            " where file.path like ? and context.context != ''",
            (f"%/{mutant.path.as_posix()}",),
        ).fetchall()
        reaching = [name for name, bits in rows if mutant.line in numbits_to_nums(bits)]
        names = reaching or [name for name, _bits in rows]
        # Without the case: what a case is called is not always what pytest takes for its name.
        whole = {name.partition("|")[0] for name in names}
        failing = {name.partition("[")[0] for name in self._failing}
        return sorted({name.partition("[")[0] for name in whole} - failing)

    @property
    def _failures(self) -> Path:
        """Where the tests stand that fail without any change: they kill nothing."""
        return self._data.with_suffix(".failing")

    def _measure(self) -> None:
        print("measuring which unit tests reach which lines …", file=sys.stderr)
        self._data.parent.mkdir(parents=True, exist_ok=True)
        sources = [f"--cov={PACKAGE / name}" for name in FOLDERS]
        options = (
            "--cov-context=test",
            "--cov-report=",
            "-q",
            "-n",
            "auto",
            "-p",
            "no:cacheprovider",
        )
        command = [sys.executable, "-m", "pytest", *sources, *options, "tests/python/unit"]
        environment = {**_environment(ROOT), "COVERAGE_FILE": str(self._data)}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        failing = re.findall(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
        self._failures.write_text("\n".join(failing), encoding="utf-8")
        print(*done.stdout.splitlines()[-8:], sep="\n", file=sys.stderr)


def _environment(tree: Path) -> dict[str, str]:
    import os  # noqa: PLC0415 - for this alone

    return {**os.environ, "PYTHONPATH": str(tree / "python"), "PYTHONDONTWRITEBYTECODE": "1"}


def main() -> int:
    """Draw mutants, try each, print the table; return 0 whatever lives."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", choices=FOLDERS, action="append", help="(default: all)")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "mutants.coverage",
                        help="what unit tests reach; measured if it is not there")  # fmt: skip
    options = parser.parse_args()
    reach = Reach(options.data)
    drawn = draw(options.count, options.seed, tuple(options.folder or FOLDERS))
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(options.workers):
            trees.put(_copy(Path(place) / str(number)))
        with ThreadPoolExecutor(options.workers) as pool:
            ends = list(pool.map(lambda mutant: _tried(mutant, reach, trees), drawn))
    print("| place | change | end |\n|---|---|---|")
    for mutant, end in zip(drawn, ends, strict=True):
        place_of = f"{mutant.path.relative_to(PACKAGE)}:{mutant.line}"
        print(f"| {place_of} | {mutant.told(Source(mutant.path).text)} | {end} |")
    lived = sum(not end.startswith("killed") for end in ends)
    print(f"\nseed {options.seed}: {len(drawn)} mutants, {lived} lived")
    return 0


def draw(count: int, seed: int, folders: tuple[str, ...]) -> list[Mutant]:
    """Return mutants drawn at random, the same for the same seed and source."""
    paths = sorted(p for name in folders for p in (ROOT / PACKAGE / name).rglob("*.py"))
    sources = [Source(path.relative_to(ROOT)) for path in paths]
    every = [(mutant, source) for source in sources for mutant in source.mutants()]
    random.Random(seed).shuffle(every)
    sound = (mutant for mutant, source in every if _compiles(mutant.apply(source.text)))
    return list(islice(sound, count))


def _compiles(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _copy(tree: Path) -> Path:
    tree.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    for name in _COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, tree)
    return tree


def _tried(mutant: Mutant, reach: Reach, trees: SimpleQueue[Path]) -> str:
    """Try one mutant in a tree that is free."""
    tree = trees.get()
    file = tree / mutant.path
    sound = file.read_text(encoding="utf-8")
    try:
        file.write_text(mutant.apply(sound), encoding="utf-8")
        end = _end_of(reach.tests(mutant), tree)
    finally:
        file.write_text(sound, encoding="utf-8")
        trees.put(tree)
    print(f"{mutant.path}:{mutant.line}: {end}", file=sys.stderr)
    return end


def _end_of(tests: list[str], tree: Path) -> str:
    if not tests:
        return "lived: no unit test reaches it"
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        names.write("\n".join(tests))
        names.flush()
        options = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:randomly")
        command = [sys.executable, "-m", "pytest", *options, f"@{names.name}"]
        try:
            done = subprocess.run(
                command, cwd=tree, env=_environment(tree), capture_output=True, text=True,
                timeout=TIMEOUT, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "killed: no end"
    if done.returncode == 0:
        return f"lived: {len(tests)} tests passed"
    if done.returncode in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR):
        return "killed: its tests cannot be collected"  # a table in a test calls what was changed
    if done.returncode != 1:
        return f"unknown: pytest ended with {done.returncode}"
    failed = re.search(r"^(?:FAILED|ERROR) \S+?::(\S+)", done.stdout, re.MULTILINE)
    return f"killed by {failed[1]}" if failed else f"killed: exit {done.returncode}"


if __name__ == "__main__":
    raise SystemExit(main())

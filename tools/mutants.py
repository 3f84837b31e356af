"""Change the pure folders at random places, one at a time, and see whether a unit test fails.

A mutant that no unit test kills is a rule that nobody proves, or one that changes nothing. Run by
hand, since it takes a while: `.venv/bin/python tools/mutants.py --count 60 --seed 1`. Each mutant
is tried in a process of its own, against the unit tests that reach the changed line (measured once,
by coverage's contexts): first what killed in the same module, then what is about the place of the
change, until one fails or the seconds are used up. A table goes to stdout.
"""

from __future__ import annotations

import argparse
import ast
import gc
import os
import random
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.machinery import SourceFileLoader
from itertools import islice, pairwise
from pathlib import Path
from time import process_time
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path("python/gitops_rollback")
FOLDERS = ("decide", "ledger", "manifest", "effective")
SECONDS = 6  # of computing for the tests of a mutant
LAST = 40  # for those of one that outlasts them; what outlasts these, too, has lived
ANEW = 90  # where it is imported anew: no lines tell what is about the place
ENDLESS, MOST = 20, 2 << 30  # more seconds, and memory: some mutants know no end
KILLERS = 5  # that killed last in the same module, which are tried first
NEAR = 12  # lines before and behind: what a test runs there tells that it is about the place
UNIT = Path("tests/python/unit")
_ANEW = "GITOPS_MUTANT"  # names a file whose first line is a module's path, and the rest its text
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

    def row(self) -> str:
        """Return where it is and the change, as the beginning of a table's row."""
        source = (ROOT / self.path).read_text(encoding="utf-8")
        old = " ".join(source[self.begin : self.end].split())
        place = f"{self.path.relative_to(PACKAGE)}:{self.line}"
        return f"| {place} | `{old[:60]}` → `{self.new[:60]}` |"


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
            case ast.Return(value=ast.expr() as value) if not _is_none_or_truth(value):
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


def _is_none_or_truth(value: ast.expr) -> bool:
    """Tell whether None in its place would be no change, or the one of `True` to `False`."""
    return isinstance(value, ast.Constant) and (
        value.value is None or isinstance(value.value, bool)
    )


def _left_out(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield what no test can see: docstrings, types, exports, parts of f-strings, debugging."""
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
            case (
                ast.Assign(targets=[ast.Name(id="__all__")])
                | ast.JoinedStr()
                | ast.Subscript(value=ast.Name(id="Literal"))
                | ast.keyword(arg="repr" | "strict")
            ):
                yield from ast.walk(node)
            case ast.ClassDef(decorator_list=decorators):
                for part in decorators:
                    yield from ast.walk(part)


class Reach:
    """Which unit tests reach which lines, measured by running all of them once."""

    def __init__(self, data: Path) -> None:
        if not data.exists():
            _measure(data)
        from coverage.numbits import numbits_to_nums  # noqa: PLC0415 - of the dev dependencies

        rows = sqlite3.connect(data).execute(
            "select context.context, file.path, numbits from line_bits"
            " join file on file.id = file_id join context on context.id = context_id"
            " where context.context != ''"
        )
        self._lines: dict[str, dict[str, set[int]]] = {}  # by module, then by test
        self._widths: Counter[str] = Counter()  # how many lines a test reaches in all
        for context, path, bits in rows:
            name, lines = context.rpartition("|")[0], set(numbits_to_nums(bits))
            module = PACKAGE / Path(path).relative_to(next(
                one for one in Path(path).parents if one.name == PACKAGE.name
            ))  # fmt: skip
            self._lines.setdefault(module.as_posix(), {}).setdefault(name, set()).update(lines)
            self._widths[name] += len(lines)

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that run a line; first those that run little but what few do here."""
        of_module = self._lines.get(mutant.path.as_posix(), {})
        near = set(range(mutant.line - NEAR, mutant.line + NEAR))
        beside = {n: lines & near for n, lines in of_module.items() if mutant.line in lines}
        counts = Counter(line for lines in beside.values() for line in lines)
        share = {
            name: sum(1 / counts[line] for line in lines) / self._widths[name]
            for name, lines in beside.items()
        }
        return sorted(share, key=lambda name: (-share[name], name))

    def files(self, mutant: Mutant) -> list[str]:
        """Return all files of tests that know a module, those that know little else first.

        They try what runs at import: a test that reads a table runs nothing of its module.
        """
        shares: dict[str, list[int]] = {}
        for name, lines in self._lines.get(mutant.path.as_posix(), {}).items():
            share = shares.setdefault(name.partition("::")[0], [0, 0])
            share[0] += len(lines)
            share[1] += self._widths[name]
        return sorted(shares, key=lambda file: (-shares[file][0] / shares[file][1], file))

    def every_file(self) -> list[str]:
        """Return the files of tests that reach anything."""
        return sorted({name.partition("::")[0] for name in self._widths})


def _measure(data: Path) -> None:
    print("measuring which unit tests reach which lines …", file=sys.stderr)
    data.parent.mkdir(parents=True, exist_ok=True)
    sources = [f"--cov={PACKAGE / name}" for name in FOLDERS]
    command = [sys.executable, "-m", "pytest", *sources, "--cov-context=test", "--cov-report="]
    command += [
        "-q",
        "-n",
        "auto",
        "--dist",
        "worksteal",
        "-p",
        "no:cacheprovider",
        "-p",
        "mutants",
        str(UNIT),
    ]
    environment = {**os.environ, "COVERAGE_FILE": str(data), "PYTHONPATH": _path()}
    subprocess.run(command, cwd=ROOT, env=environment, stdout=sys.stderr, check=False)


class Trial:
    """A pytest plugin: instead of running all tests, it tries each mutant.

    Tests are collected once. What is changed within functions is put into those that are there, in
    a process that is split off; all else (a table, a default, a class) needs one that imports it.
    """

    def __init__(self, mutants: Sequence[Mutant], reach: Reach) -> None:
        self.ends: dict[Mutant, str] = {}
        self._mutants = mutants
        self._reach = reach
        self._failed = ""
        self._failing: set[str] = set()  # tests that fail without any change: they kill nothing
        self._killers: dict[Path, list[str]] = {}  # the newest first

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Try each mutant, and run nothing else."""
        capture = session.config.pluginmanager.getplugin("capturemanager")
        for mutant in self._mutants:
            self.ends[mutant] = end = self._end_of(mutant, session.items)
            with capture.global_and_fixture_disabled():
                print(f"{mutant.row()} {end} |", file=sys.stderr, flush=True)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remember the first test that fails."""
        if report.failed:
            self._failed = self._failed or report.nodeid

    def _end_of(self, mutant: Mutant, every: Sequence[pytest.Item]) -> str:
        there = {item.nodeid: item for item in every}
        functions = changed_functions(mutant)
        names = self._reach.tests(mutant)
        if functions:
            known = self._killers.get(mutant.path, [])[:KILLERS]
            ordered = dict.fromkeys(n for n in (*known, *names) if n in set(names))
            items = [there[n] for n in ordered if n in there and n not in self._failing]
            failed = self._failing_of(items, functions)
            if failed == "":
                failed = self._failing_of(items, functions, LAST)
        else:
            left_out = [name for name in self._failing if name in there]
            failed = _failing_anew(mutant, self._reach.files(mutant), left_out)
        if failed is None:
            return "killed: no end"
        if not failed:
            return f"lived: {len(names)} tests reach it"
        if failed in there and self._failing_of([there[failed]], {}):
            self._failing.add(failed)
            return self._end_of(mutant, every)
        self._killers.setdefault(mutant.path, []).insert(0, failed)
        return f"killed by {failed.partition('::')[2] or failed}"

    def _failing_of(
        self,
        items: Sequence[pytest.Item],
        functions: dict[FunctionType, CodeType],
        seconds: int = SECONDS,
    ) -> str | None:
        """Return the first test that fails with other functions; None where there is no end."""
        if not items:
            return ""
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            self._run(items, functions, seconds, writing)
        os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as pipe:
            told = pipe.read()
        os.waitpid(process, 0)
        return told.rstrip("\n") if told else None

    def _run(
        self,
        items: Sequence[pytest.Item],
        functions: dict[FunctionType, CodeType],
        seconds: int,
        told: int,
    ) -> None:
        """Run tests in a process that was split off, and end it."""
        _limit(seconds)
        reporter = items[0].config.pluginmanager.getplugin("terminalreporter")
        reporter._tw._file = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SLF001, SIM115
        for function, code in functions.items():
            function.__code__ = code
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._failed or process_time() > seconds:
                break
        os.write(told, f"{self._failed}\n".encode())
        os._exit(0)


def pytest_runtest_teardown() -> None:
    """Let a mutant that is imported anew live where its seconds are used up."""
    if _ANEW in os.environ and process_time() > ANEW:
        pytest.exit("no test failed in time", returncode=0)


def changed_functions(mutant: Mutant) -> dict[FunctionType, CodeType]:
    """Return the functions that are there with their new code; none if anything else changes."""
    source = Source(mutant.path).text
    name = ".".join(mutant.path.relative_to("python").with_suffix("").parts)
    file = str(sys.modules[name].__file__)
    there: dict[CodeType, list[FunctionType]] = {}
    for one in _functions().get(name, []):
        there.setdefault(one.__code__, []).append(one)
    old, new = (compile(text, file, "exec") for text in (source, mutant.apply(source)))
    found: dict[FunctionType, CodeType] = {}
    pairs = [(old, new)]
    while pairs:
        before, after = pairs.pop()
        if _plain(before) == _plain(after):
            continue
        is_same = _plain(before, is_bare=True) == _plain(after, is_bare=True)
        functions = there.get(before, [])
        if not functions and not is_same:
            return {}
        if any(before.co_freevars != after.co_freevars for _ in functions):
            return {}
        found.update(dict.fromkeys(functions, after))
        if not functions:
            pairs += zip(_codes(before), _codes(after), strict=True)
    return found


@cache
def _functions() -> dict[str, list[FunctionType]]:
    """Return all functions that are there, by their modules."""
    found: dict[str, list[FunctionType]] = {}
    for one in gc.get_objects():
        if isinstance(one, FunctionType):
            found.setdefault(one.__module__, []).append(one)
    gc.freeze()  # or each process that is split off would copy what it only looks through
    return found


def _codes(code: CodeType) -> list[CodeType]:
    return [one for one in code.co_consts if isinstance(one, CodeType)]


def _plain(code: CodeType, *, is_bare: bool = False) -> CodeType:
    """Return code without where it stands; bare without the functions within it, too."""
    constants = tuple(
        (None if is_bare else _plain(one)) if isinstance(one, CodeType) else one
        for one in code.co_consts
    )
    return code.replace(co_firstlineno=1, co_linetable=b"", co_consts=constants)


def _failing_anew(mutant: Mutant, files: Sequence[str], left_out: Sequence[str]) -> str | None:
    """Return the first test that fails where the module is imported anew; None without an end."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        text = mutant.apply(Source(mutant.path).text)
        file.write(f"{mutant.path.as_posix()}\n{text}")
        file.flush()
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "mutants"]
        command += ["-p", "no:cacheprovider", "-p", "no:randomly", *files]
        command += [f"--deselect={name}" for name in left_out]
        environment = {**os.environ, _ANEW: file.name, "PYTHONPATH": _path()}
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    if done.returncode <= 0:
        return "" if done.returncode == 0 else None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[1] if failed else f"what cannot be collected ({done.returncode})"


def _path() -> str:
    """Return where Python finds this module as a plugin, and what it found before."""
    return os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def _limit(seconds: int) -> None:
    """Let this process end where a mutant knows no end."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + ENDLESS, seconds + ENDLESS))
    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))


def _import_mutant(named: Path) -> None:
    """Let a module be imported with another text than its file has."""
    _limit(ANEW)
    path, _, text = named.read_text(encoding="utf-8").partition("\n")
    usual = SourceFileLoader.get_code

    def get_code(loader: Any, name: str) -> CodeType | None:  # noqa: ANN401 - frozen
        file = loader.get_filename(name)
        return compile(text, file, "exec") if file.endswith(path) else usual(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


def main() -> int:
    """Draw mutants, try each, print the table; return 0 whatever lives."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", choices=FOLDERS, action="append", help="(default: all)")
    parser.add_argument("--module", action="append", help="as decide/edits.py (default: all)")
    parser.add_argument("--data", type=Path, default=ROOT / "build" / "mutants.coverage",
                        help="what unit tests reach; measured if it is not there")  # fmt: skip
    options = parser.parse_args()
    reach = Reach(options.data)
    drawn = draw(options.count, options.seed, options.module or options.folder or FOLDERS)
    trial = Trial(drawn, reach)
    os.chdir(ROOT)
    plugins = [sys.modules[__name__], trial]
    usual = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
    pytest.main([*usual, *reach.every_file()], plugins)
    print("| place | change | end |\n|---|---|---|")
    for mutant, end in trial.ends.items():
        print(f"{mutant.row()} {end} |")
    lived = sum(not end.startswith("killed") for end in trial.ends.values())
    print(f"\nseed {options.seed}: {len(trial.ends)} mutants, {lived} lived")
    return 0


def draw(count: int, seed: int, places: Sequence[str]) -> list[Mutant]:
    """Return mutants of folders or modules drawn at random, the same for same seed and source."""
    paths = sorted(p for name in places for p in (ROOT / PACKAGE).rglob(f"{name}/*.py"))
    paths += [ROOT / PACKAGE / name for name in places if name.endswith(".py")]
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


if _ANEW in os.environ:
    _import_mutant(Path(os.environ[_ANEW]))
if __name__ == "__main__":
    raise SystemExit(main())

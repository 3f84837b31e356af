"""The direction of imports (design 3), read from the source, and what starting costs."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import gitops_rollback
from gitops_rollback.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN = ("gitops_rollback",)
PACKAGE = Path(gitops_rollback.__file__).parent
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")
}
PURE = (
    "image",
    "late",
    "model",
    "schema",
    "decide/",
    "effective/",
    "ledger/",
    "manifest/",
    "policies/",
    "query/",
    "services/",
    "storage/",
    "write/proposal_text",
)
IMPURE = (
    "gitops_rollback.write.commit",
    "gitops_rollback.write.proposal",
    "gitops_rollback.commands",
    "gitops_rollback.look",
    "gitops_rollback.rollout",
    "gitops_rollback.forges",
    "gitops_rollback.registries",
    "gitops_rollback.repo",
    "gitops_rollback.stores",
    "gitops_rollback.web",
    "gitops_rollback.write.commit",
    "gitops_rollback.write.proposal",
    "http",
    "jenkins",
    "kubernetes",
    "os",
    "requests",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "urllib.request",
)


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def imports(node: ast.AST) -> Iterator[str]:
    """The full names of all that is imported at run time, in functions too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(child.orelse, []))
        else:
            yield from imports(child)


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


@cache
def imports_of(module: str) -> frozenset[str]:
    return frozenset(imports(tree_of(module)))


@cache
def taken_from(module: str) -> tuple[tuple[str, frozenset[str]], ...]:
    """What a module imports names from, for types too, and which names."""
    found = (node for node in ast.walk(tree_of(module)) if isinstance(node, ast.ImportFrom))
    return tuple(
        (node.module or "", frozenset(alias.name for alias in node.names)) for node in found
    )


def importers_of(*packages: str) -> set[str]:
    return {m for m in MODULES if any(is_within(name, packages) for name in imports_of(m))}


def is_pure(module: str) -> bool:
    return any(module == name or (name[-1] == "/" and module.startswith(name)) for name in PURE)


@pytest.mark.parametrize("module", sorted(filter(is_pure, MODULES)))
def test_a_pure_module_imports_no_client_and_nothing_that_reads_or_writes(module: str) -> None:
    assert {name for name in imports_of(module) if is_within(name, IMPURE)} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_module_imports_itself(module: str) -> None:
    own = f"gitops_rollback.{module.replace('/', '.')}"
    assert {name for name in imports_of(module) if is_within(name, (own,))} == set()


def test_every_pure_module_of_the_list_is_there() -> None:
    assert {name for name in PURE if not any(m == name or m.startswith(name) for m in MODULES)} == (
        set()
    )


def test_imports_of_types_alone_do_not_count() -> None:
    text = "if TYPE_CHECKING:\n    import socket\nelse:\n    import os\ndef f():\n    import a.b\n"
    assert set(imports(ast.parse(text))) == {"os", "a.b"}


def test_http_is_spoken_in_one_folder_alone() -> None:
    http = importers_of("requests", "http.client", "urllib.request", "urllib3", "socket")
    assert "web/http" in http
    assert {m for m in http if not m.startswith("web/")} == set()
    assert importers_of("jenkins") == {"stores/jenkins_http"}


def test_clusters_are_asked_by_one_client_alone() -> None:
    assert importers_of("kubernetes") == {"rollout/access"}


# Rooms that the rest of the house enters by one module, the package itself.
BEHIND_DOORS = ("jobs", "policies", "report", "rollout", "storage")


@pytest.mark.parametrize("room", BEHIND_DOORS)
def test_a_room_behind_a_door_is_entered_by_the_door_alone(room: str) -> None:
    """Whoever imports from it, for types too, imports what its `__init__` gives."""
    door = f"gitops_rollback.{room}"
    windows = {
        (module, name)
        for module in MODULES
        if not module.startswith(f"{room}/")
        for name, _names in taken_from(module)
        if is_within(name, (door,)) and name != door
    }
    assert windows == set()


@pytest.mark.parametrize("room", BEHIND_DOORS)
def test_a_door_gives_nothing_that_nobody_takes(room: str) -> None:
    given = set(importlib.import_module(f"gitops_rollback.{room}").__all__)
    taken = {
        one
        for module in MODULES
        if not module.startswith(f"{room}/")
        for name, names in taken_from(module)
        if name == f"gitops_rollback.{room}"
        for one in names
    }
    assert given - taken == set()


def test_processes_are_started_by_the_git_layer_alone() -> None:
    processes = importers_of("subprocess")
    assert processes
    assert {m for m in processes if not m.startswith("repo/")} == set()


def test_commands_are_imported_by_nobody_but_the_command() -> None:
    importers = {
        m for m in importers_of("gitops_rollback.commands") if m.partition("/")[0] != "commands"
    }
    assert importers <= {"cli"}


def test_clients_know_nothing_of_the_rules_of_choosing() -> None:
    clients = {
        m for m in MODULES if m.startswith(("forges/", "registries/", "repo/", "stores/", "web/"))
    }
    rules = importers_of("gitops_rollback.decide.choose", "gitops_rollback.ledger.stack")
    assert clients & rules == set()


def test_no_folder_imports_what_imports_it() -> None:
    """However many folders lie between: what a folder is made of knows nothing of it."""
    below: dict[str, set[str]] = {}
    for module in MODULES:
        names = {name.split(".")[1] for name in imports_of(module) if is_within(name, OWN)}
        below.setdefault(module.partition("/")[0], set()).update(names)
    made_of = {folder: names - {folder} for folder, names in below.items()}
    assert list(TopologicalSorter(made_of).static_order())


MOST_LINES = 40  # of code in a function's body, without its docstring, comments and blank lines
# What is one table, a row for each case: to split it would hide that it is complete.
TABLES = {("look/looker", "answer")}


def length(function: ast.FunctionDef, lines: list[str]) -> int:
    first, *_ = function.body
    is_told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    begin = first.end_lineno if is_told else first.lineno - 1
    body = (line.strip() for line in lines[begin : function.end_lineno])
    return sum(bool(line) and not line.startswith("#") for line in body)


def test_no_function_is_longer_than_a_reader_sees_at_once() -> None:
    long = {
        (module, node.name)
        for module, path in MODULES.items()
        for lines in [path.read_text(encoding="utf-8").splitlines()]
        for node in ast.walk(tree_of(module))
        if isinstance(node, ast.FunctionDef) and length(node, lines) > MOST_LINES
    }
    assert long == TABLES


def test_nothing_slow_is_imported_before_a_command_is_known() -> None:
    program = "import gitops_rollback.cli, sys; print(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, check=True, text=True
    )
    slow = {"argparse", "jmespath", "requests", "subprocess", "tomllib", "yaml"}
    assert slow & set(done.stdout.split()) == set()


# For what only some runs do: a question over HTTP, a query, a page, a document from outside.
FOR_SOME = {
    "dataclasses",
    "inspect",
    "jenkins",
    "jinja2",
    "jmespath",
    "kubernetes",
    "requests",
    "shtab",
    "ssl",
    "urllib3",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_imports_what_every_run_of_it_needs(command: str) -> None:
    program = (
        "import sys; before = len(sys.modules)\n"
        f"import gitops_rollback.parsing, gitops_rollback.commands.{command}\n"
        "print(len(sys.modules) - before, *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, check=True, text=True
    )
    number, *names = done.stdout.split()
    assert FOR_SOME & set(names) == set()
    assert int(number) <= 260


PAGE = PACKAGE.parents[1] / "docs" / "architecture.md"


def test_the_picture_of_the_house_has_all_that_stands_in_it_and_nothing_else() -> None:
    """What stands directly in the package is drawn; each folder and module that is drawn stands."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    drawn = "\n".join(line for line in lines if line.startswith("    ") and "──" not in line)
    there = {name.partition("/")[0] for name in MODULES} - {"__init__", "__main__"}
    assert {name for name in there if not re.search(rf"\b{name}\b", drawn)} == set()
    folders = set(re.findall(r"(?<![\w/])([a-z]+)/(?![\w])", drawn))
    assert folders - {name for name in there if (PACKAGE / name).is_dir()} == set()
    leaves = {name.rpartition("/")[2] for name in MODULES}
    assert {
        name for name in re.findall(r"`([a-z]+)`", drawn) if name not in leaves | there
    } == set()


def test_every_path_that_the_page_on_architecture_names_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    root = PACKAGE.parents[1]
    paths = {word for word in re.findall(r"`([\w./-]+)`", text) if "/" in word}
    assert len(paths) > 10
    bases = (root, PACKAGE, root / "resources/io/github/gitopsrollback")
    missing = [
        path
        for path in sorted(paths)
        if not any((base / path).exists() or (base / f"{path}.py").exists() for base in bases)
    ]
    assert missing == []


def test_every_module_and_name_that_the_page_on_architecture_points_at_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for module, name in re.findall(r"`([a-z]+(?:\.[a-z]+)?)\.([A-Za-z_]+)`", text):
        if (PACKAGE / module.partition(".")[0]).exists() or module in MODULES:
            found = importlib.import_module(f"gitops_rollback.{module}")
            assert hasattr(found, name) or f"{module}/{name}" in MODULES, f"{module}.{name}"

"""A pytest plugin: what unit tests alone reach of the folders whose rules they have to prove.

`make test` loads it. Coverage is measured while unit tests run and while modules are imported, and
stands still while an integration test runs. Where a folder falls below its share the run fails, and
says which lines and branches no unit test reaches. A share that was reached is never given back:
raise it here when it has grown.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import coverage
import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

# percent of lines and branches together; they are all to be 100
LEAST = {"decide": 99.9, "ledger": 99.9, "manifest": 100.0, "effective": 99.8}
ROOT = Path(__file__).parents[2]
_DATA = ROOT / "build" / "unit-coverage"
_PACKAGE = ROOT / "python" / "gitops_rollback"


@dataclass
class Folder:
    """What unit tests reach of a folder: lines and branches, and where they reach none."""

    reached: int = 0
    all: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def percent(self) -> float:
        """The share that is reached, in percent; of nothing, all."""
        return 100.0 * self.reached / self.all if self.all else 100.0


class UnitCoverage:
    """Measures in this process; the process that leads the run judges what all have measured."""

    def __init__(self, config: pytest.Config) -> None:
        self._leads = not hasattr(config, "workerinput")
        if self._leads:
            shutil.rmtree(_DATA, ignore_errors=True)
            _DATA.mkdir(parents=True)
        self._coverage = coverage.Coverage(
            data_file=str(_DATA / "data"),
            data_suffix=True,
            branch=True,
            source=[str(_PACKAGE / name) for name in LEAST],
            config_file=False,
            messages=False,
        )
        self._coverage.exclude("if TYPE_CHECKING:")
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])  # if it leads
        self._coverage.start()
        self._folders: dict[str, Folder] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        """Stand still while a test runs that is none of the unit tests, or that draws at random.

        What a rule does is to be proven by a case that somebody chose.
        """
        is_unit = "unit" in item.path.relative_to(ROOT / "tests" / "python").parts
        if is_unit and not _draws(item):
            return (yield)
        self._coverage.stop()
        try:
            return (yield)
        finally:
            self._coverage.start()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write what was measured; the leading process, the last to come here, judges all."""
        self._coverage.stop()
        self._coverage.save()
        if not self._leads:
            return
        self._folders = read(combined())
        if too_low(self._folders) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print a row for each folder, and what is missing where it is too much."""
        terminalreporter.section("what unit tests alone reach")
        for name, folder in self._folders.items():
            least = LEAST[name]
            terminalreporter.line(
                f"{name:10} {folder.percent:6.2f} % of {folder.all} lines and branches,"
                f" at least {least:g} %"
            )
            if folder.percent < least or os.environ.get("GITOPS_UNREACHED"):
                for line in folder.missing:
                    terminalreporter.line(f"  not reached: {line}")
        if short := too_low(self._folders):
            (ROOT / "build" / "pytest.short").write_text(short + "\n", encoding="utf-8")
            terminalreporter.line(short, red=True)


def _draws(item: pytest.Item) -> bool:
    """Tell whether a test draws at random, by Hypothesis or a state machine of it."""
    function = getattr(item, "obj", None)
    return getattr(function, "is_hypothesis_test", False) or item.name == "runTest"


def too_low(folders: dict[str, Folder]) -> str:
    """Return which folders fall below their share, in one line; empty if none does."""
    short = [name for name, folder in folders.items() if folder.percent < LEAST[name]]
    return f"unit tests alone reach too little of {', '.join(short)}" if short else ""


def combined() -> dict[str, Any]:
    """Return what all processes measured, as `coverage json` writes it."""
    import json  # noqa: PLC0415 - in the leading process only

    whole = coverage.Coverage(
        data_file=str(_DATA / "data"), branch=True, config_file=False, messages=False
    )
    whole.exclude("if TYPE_CHECKING:")
    whole.combine([str(_DATA)])
    report = _DATA / "report.json"
    whole.json_report(outfile=str(report))
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def read(report: dict[str, Any]) -> dict[str, Folder]:
    """Return what was reached of each folder."""
    folders = {name: Folder() for name in LEAST}
    for path, about in sorted(report["files"].items()):
        name = PurePosixPath(Path(path).resolve().relative_to(_PACKAGE)).parts[0]
        totals, folder = about["summary"], folders[name]
        folder.reached += totals["covered_lines"] + totals["covered_branches"]
        folder.all += totals["num_statements"] + totals["num_branches"]
        lines = [str(line) for line in about["missing_lines"]]
        branches = [f"{start}->{end}" for start, end in about["missing_branches"]]
        if lines or branches:
            folder.missing.append(f"{path}: {', '.join(lines + branches)}")
    return folders


def pytest_configure(config: pytest.Config) -> None:
    """Begin to measure before anything of the package is imported."""
    config.pluginmanager.register(UnitCoverage(config), "unit-coverage-of-this-process")

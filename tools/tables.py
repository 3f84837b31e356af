"""Write what is made of the tables of options and refusals: run it after a change of a row.

Written are the parameters that the Groovy steps let through (`resources/…/parameters.json`), the
parameter lines of each step's help (`vars/*.txt`), the codes in the schemas of results, and the
tables in docs/options.md and docs/troubleshooting.md. `--check` writes nothing and exits 1 where a
file is not what it should be.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "python"))

from gitops_rollback.options import STEPS, TABLE, Row, parameters_of  # noqa: E402
from gitops_rollback.refusals import JOB_ALLOWS, REASONS, accepted_by  # noqa: E402
from gitops_rollback.refusals import TABLE as REFUSALS  # noqa: E402
from gitops_rollback.refusals import Row as Refusal  # noqa: E402

PARAMETERS = "resources/io/github/gitopsrollback/parameters.json"
CODES = "python/gitops_rollback/schemas/codes.schema.json"
_KEY_LINE = re.compile(r"^\w+ \*\*\w+\*\*: \(")


def main() -> int:
    """Write the files; with --check only tell which are not current."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    is_check = parser.parse_args().check
    stale = [path for path, text in files(ROOT).items() if not _is(ROOT / path, text)]
    for path in stale:
        print(f"{path} is not current" if is_check else f"wrote {path}")
        if not is_check:
            (ROOT / path).write_text(files(ROOT)[path], encoding="utf-8")
    return 1 if is_check and stale else 0


def files(root: Path) -> dict[str, str]:
    """Return the text of every file that is made of the tables, by its path below `root`."""
    found = {PARAMETERS: parameters(), CODES: codes()}
    for step in STEPS:
        path = f"vars/{step}.txt"
        found[path] = _with_lines((root / path).read_text(encoding="utf-8"), help_lines(step))
    for path, rows in (
        ("docs/options.md", option_rows()),
        ("docs/troubleshooting.md", refusal_rows()),
        ("docs/on-call.md", card_rows()),
    ):
        found[path] = _with_table((root / path).read_text(encoding="utf-8"), rows)
    return found


def parameters() -> str:
    """Return what Groovy reads, as JSON.

    What the steps take and need, the variables of what they hand on, and the codes that the
    ready-made rollback job lets its users accept.
    """
    steps = {}
    variables: dict[str, str] = {}
    for step in STEPS:
        rows = list(parameters_of(step))
        required = [row.key for row, own in rows if own.steps[step].startswith("Required")]
        steps[step] = {"takes": [row.key for row, _own in rows], "requires": required}
        variables |= {row.key: row.variable for row, own in rows if own.is_handed_on}
    content = {"steps": steps, "variables": variables, "allowedAccept": JOB_ALLOWS}
    return json.dumps(content, indent=1) + "\n"


def codes() -> str:
    """Return the part of the schemas that lists why a candidate is passed over."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The codes of refusals, as tools/tables.py writes them",
        "definitions": {"reason": {"enum": REASONS}},
    }
    return json.dumps(schema, indent=1) + "\n"


def help_lines(step: str) -> list[str]:
    """Return the lines of a step's help that tell of its parameters."""
    return [f"{own.type} **{row.key}**: {own.words(step)}" for row, own in parameters_of(step)]


def option_rows() -> list[str]:
    """Return the rows of the table of options: option, commands, variable, parameter, meaning."""
    return [_option_row(row) for row in TABLE if row.commands and not row.is_argument]


def _option_row(row: Row) -> str:
    letter = f"`-{row.letter}`, " if row.letter else ""
    value = f" {'|'.join(row.choices) or row.metavar}".rstrip().replace("|", "\\|")
    key = f"`{row.key}`" if row.step is not None and row.step.is_handed_on else ""
    commands = ", ".join(row.commands)
    return f"| {letter}`--{row.name}{value}` | {key} | {row.help} | {commands} |"


def refusal_rows() -> list[str]:
    """Return the rows of the table of refusals: code, meaning, how one goes on."""
    return [
        f"| `{row.code}` | {row.meaning} | "
        f"{f'`{accepted_by(row.code)}`' if row.option else 'by hand'} |"
        for row in REFUSALS
    ]


def card_rows() -> list[str]:
    """Return the rows of the on-call card: code, meaning, the field of a job's form."""
    fields = {"accept": "`ACCEPT` {}", "again": "`AGAIN`", "release": "`RELEASE`"}
    fields["allow-older"] = "`ALLOW_OLDER`"
    return [f"| `{row.code}` | {row.meaning} | {_card_field(row, fields)} |" for row in REFUSALS]


def _card_field(row: Refusal, fields: dict[str, str]) -> str:
    if row.option is None:
        return "by hand: the last line says how"
    if not row.job_allows:
        return "nothing here: it is for who may deploy"
    return fields[row.option].format(row.code)


def _with_lines(text: str, lines: list[str]) -> str:
    """Put the parameters' lines in the place of those that are there, which stand together."""
    there = text.splitlines()
    places = [number for number, line in enumerate(there) if _KEY_LINE.match(line)]
    first, last = places[0], places[-1]
    return "\n".join([*there[:first], *lines, *there[last + 1 :]]) + "\n"


def _with_table(text: str, rows: list[str]) -> str:
    """Put rows in the place of those between the marks `<!-- table -->` and `<!-- end -->`."""
    head, _mark, rest = text.partition("<!-- table -->\n")
    old, _mark, tail = rest.partition("<!-- end -->")
    heading = old.splitlines()[:2]
    return "\n".join([f"{head}<!-- table -->", *heading, *rows, f"<!-- end -->{tail}"])


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    raise SystemExit(main())

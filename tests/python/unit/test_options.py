"""The table of options and parameters, and all that is made of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import gitops_rollback
from gitops_rollback.cli import COMMANDS
from gitops_rollback.errors import UsageError
from gitops_rollback.options import (
    STEPS,
    TABLE,
    Kind,
    Row,
    acceptance,
    accepted,
    limits,
    parameters_of,
    repeated,
    rows_of,
    variable_name,
)
from gitops_rollback.parsing import parse
from gitops_rollback.tell.help import EXAMPLES, help_of

PACKAGE = Path(gitops_rollback.__file__).parent
ROOT = PACKAGE.parents[1]
OPTIONS = [(command, row) for command in COMMANDS for row in rows_of(command)]
each_option = pytest.mark.parametrize(
    ("command", "row"), OPTIONS, ids=[f"{command} {row.name}" for command, row in OPTIONS]
)
VALUES = {
    Kind.TEXT: ("a", "a"),
    Kind.SECONDS: ("7.5", 7.5),
    Kind.COUNT: ("7", 7),
    Kind.LIMIT: ("0", 0),
    Kind.FILES: ("a", ["a"]),
}
NEEDED = {"jobs": ["install"], "completion": ["bash"]}


def given(command: str, *arguments: str, **variables: str) -> dict[str, object]:
    words = [*NEEDED.get(command, ()), *arguments]
    environment = {variable_name(name): text for name, text in variables.items()}
    return {**vars(parse(command, words, environment)), "output": None}


def test_every_command_has_options_and_every_option_a_command_that_is_there() -> None:
    assert {command for row in TABLE for command in row.commands} == set(COMMANDS)
    assert {step for row in TABLE if row.step for step in row.step.steps} == set(STEPS)


def test_no_command_and_no_step_has_two_of_one_name() -> None:
    for command in COMMANDS:
        names = [row.name for row in rows_of(command)]
        assert len(names) == len(set(names)), command
    for step in STEPS:
        keys = [row.key for row, _own in parameters_of(step)]
        assert len(keys) == len(set(keys)), step
    letters = [row.letter for row in TABLE if row.letter]
    assert len(letters) == len(set(letters))


@each_option
def test_an_option_is_read_from_the_command_line_and_from_its_variable(
    command: str, row: Row
) -> None:
    key, name = row.name.replace("-", "_"), f"--{row.name}"
    if row.is_argument:
        return
    if row.kind is Kind.OUTPUT:
        assert parse(command, [*NEEDED.get(command, ()), name, "yaml"], {}).output.format == "yaml"
        return
    if row.kind is Kind.FLAG:
        assert given(command)[key] is False
        assert given(command, name)[key] is given(command, **{row.name: "true"})[key] is True
        with pytest.raises(UsageError, match=row.variable):
            given(command, **{row.name: "maybe"})
        return
    text, value = VALUES.get(row.kind, ("a", ["a"]))
    if row.kind is Kind.CHOICE:
        text = value = row.choices[-1]
        with pytest.raises(UsageError, match=row.variable):
            given(command, **{row.name: "no-such-choice"})
    assert given(command, name, str(text))[key] == value
    by_variable = given(command, **{row.name: str(text)})
    assert by_variable[f"{key}_variable" if row.kind is Kind.NAMES else key] == value
    assert given(command, **{row.name: ""}) == given(command)


@each_option
def test_an_option_has_words_that_fit_its_help(command: str, row: Row) -> None:
    whole = help_of(command, "Words.", is_whole=True)
    assert row.help
    assert row.is_argument or f"--{row.name}" in whole
    assert all(len(line) <= 100 for line in whole.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_the_short_help_of_a_command_fits_a_screen_and_shows_what_to_type(command: str) -> None:
    short = help_of(command, "Words.\n\nMore words.", is_whole=False)
    assert len(short.splitlines()) <= 24
    assert "More words." not in short
    for example in EXAMPLES[command]:
        assert f"  gitops-rollback {example}" in short


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_the_help_are_understood(command: str) -> None:
    for example in EXAMPLES[command]:
        name, *arguments = shlex.split(example)
        assert parse(name, arguments, {})


@pytest.mark.parametrize(
    "words",
    [
        ["cart"],
        ["--to", "1.4.2", "cart"],
        ["--again", "cart", "--to", "1.4.2"],
        ["cart", "--again"],
    ],
    ids=" ".join,
)
def test_a_service_may_stand_anywhere_without_an_options_name(words: list[str]) -> None:
    assert repeated(parse("plan", words, {}), "service") == ("cart",)


def test_services_by_argument_and_by_option_are_both_meant_and_win_over_the_variable() -> None:
    options = parse("plan", ["cart,payment", "--service", "basket"], {"GITOPS_SERVICE": "other"})
    assert repeated(options, "service") == ("basket", "cart", "payment")
    assert repeated(parse("plan", [], {"GITOPS_SERVICE": "a, b"}), "service") == ("a", "b")


def test_limits_that_nobody_set_let_everything_through() -> None:
    assert limits(parse("plan", ["cart"], {}), "allowed_services") == ()
    unset = {"GITOPS_ALLOWED_SERVICES": "", "GITOPS_ALLOWED_ACCEPT": ""}
    assert limits(parse("plan", ["cart"], unset), "allowed_services") == ()
    assert acceptance(parse("plan", ["cart", "--accept", "bad"], unset)).codes == {"bad"}


@pytest.mark.parametrize(
    ("words", "variables", "told"),
    [
        (["--allowed-services", ""], {}, "--allowed-services"),
        (["--allowed-services", " ,"], {"GITOPS_ALLOWED_SERVICES": "cart"}, "--allowed-services"),
        ([], {"GITOPS_ALLOWED_SERVICES": ","}, "GITOPS_ALLOWED_SERVICES"),
    ],
)
def test_limits_that_name_nothing_do_not_mean_that_everything_is_allowed(
    words: list[str], variables: dict[str, str], told: str
) -> None:
    with pytest.raises(UsageError, match=f"^{told} is given and names nothing"):
        limits(parse("plan", ["cart", *words], variables), "allowed_services")
    of_accept = [word.replace("services", "accept") for word in words]
    environment = {name.replace("SERVICES", "ACCEPT"): "," for name in variables}
    with pytest.raises(UsageError, match="names nothing"):
        acceptance(parse("plan", ["cart", "--accept", "bad", *of_accept], environment))


def test_what_check_is_given_is_a_path_only_where_storage_is_read() -> None:
    drill = parse("check", ["cart"], {})
    assert (repeated(drill, "service"), drill.paths) == (("cart",), [])
    storage = parse("check", ["apps/", "--storage"], {})
    assert (repeated(storage, "service"), storage.paths) == ((), ["apps/"])


def test_an_unknown_option_is_an_error_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="'--envronment'") as failure:
        parse("plan", ["cart", "--envronment", "production"], {})
    assert failure.value.hint == "did you mean --environment?"
    with pytest.raises(UsageError, match="'completely'"):
        parse("services", ["completely"], {})


def test_the_options_that_accept_a_refusal_are_the_code_they_accept() -> None:
    assert accepted(parse("deploy", ["--release", "--allow-older"], {})) == {"held", "outdated"}
    options = parse("rollback", ["--accept", "bad", "--accept", "cart=gone"], {})
    assert accepted(options) == {"bad"}
    for given in (options, parse("plan", [], {"GITOPS_ACCEPT": "bad cart=gone"})):
        assert acceptance(given).of("cart") == {"bad", "gone"}
        assert acceptance(given).of("payment") == {"bad"}


def test_parsers_are_made_of_the_table_alone() -> None:
    makers = {p.name for p in PACKAGE.rglob("*.py") if "add_argument(" in p.read_text("utf-8")}
    assert makers == {"parsing.py", "completion.py"}  # the latter: -v and --version, for the shell


def test_a_parameter_of_a_step_stands_in_the_table_alone() -> None:
    """No Groovy names the keys of the help's lines beside the table, but to read their values."""
    lines = re.compile(r"^\w+ \*\*(\w+)\*\*: \(", re.MULTILINE)
    for step in STEPS:
        told = lines.findall((ROOT / f"vars/{step}.txt").read_text("utf-8"))
        assert told == [row.key for row, _own in parameters_of(step)]


def test_the_files_that_are_made_of_the_tables_are_current() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/tables.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), f"run tools/tables.py: {done.stderr}"

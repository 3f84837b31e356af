"""The table of refusals: each row can be made, read and accepted, wherever it is read."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

import pytest

from gitops_rollback import decide
from gitops_rollback.errors import Exit, RefusedError, UsageError
from gitops_rollback.refusals import (
    ACCEPTABLE,
    CODES,
    JOB_ALLOWS,
    ROWS,
    TABLE,
    Place,
    Refusal,
    Row,
    accepted_by,
    place_of,
    read_acceptance,
    refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).parents[3] / "docs"
each_row = pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)


def made(row: Row) -> Refusal:
    facts = {"hold": "b70c39ae7235"} if row.code == "lost-hold" else {}
    return refusal(row.code, "cart: it is so", service="cart", environment="production", **facts)


def test_no_code_stands_in_two_rows() -> None:
    assert len(ROWS) == len(TABLE)


@each_row
def test_a_refusal_of_each_row_says_how_to_go_on_in_a_shell(row: Row) -> None:
    hint = made(row).hint
    assert "{" not in hint
    if row.option is not None:
        assert accepted_by(row.code) in hint
    for command in re.findall(r"gitops-rollback \w+ (\S+ \S+ \w+)", hint):
        assert command == "cart --environment production"


@each_row
def test_a_refusal_of_each_row_names_no_option_of_the_command_line_in_jenkins(row: Row) -> None:
    hint = made(row).hint_in(Place.JENKINS)
    assert "--" not in hint
    assert "gitops-rollback" not in hint
    if row.option is not None:
        assert accepted_by(row.code, Place.JENKINS) in hint


@each_row
def test_no_hint_advises_to_accept_it_by_the_code_of_another(row: Row) -> None:
    for code in re.findall(r"--accept (\S+)", made(row).hint):
        assert code == row.code


@each_row
def test_no_row_lacks_a_fact_that_no_rule_gives(row: Row) -> None:
    for place in Place:
        names = {name for _t, name, _f, _c in Formatter().parse(row.template(place)) if name}
        assert names <= {"accept", "service", *({"hold"} if row.code == "lost-hold" else ())}


@each_row
def test_the_error_of_a_refusal_carries_both_hints(row: Row) -> None:
    error = made(row).error({"services": []})
    assert isinstance(error, RefusedError)
    assert (error.code, error.exit_code, error.category) == (row.code, Exit.REFUSED, "refused")
    assert error.jenkins_hint == made(row).hint_in(Place.JENKINS)
    assert error.found == {"services": []}


def test_a_service_of_the_only_environment_is_typed_without_it() -> None:
    assert "gitops-rollback release cart --reason" in refusal("held", "x", service="cart").hint
    default = refusal("held", "x", service="cart", environment="default")
    assert "--environment" not in default.hint
    assert "gitops-rollback release SERVICE" in refusal("held", "x").hint


def test_a_rule_that_knows_better_says_so_for_both_places() -> None:
    known = refusal("automation", "x", shell="narrow {policy}; or {accept}", jenkins="narrow it",
                    policy="apps/p.yaml")  # fmt: skip
    assert known.hint == "narrow apps/p.yaml; or --accept automation"
    assert known.hint_in(Place.JENKINS) == "narrow it"
    with pytest.raises(ValueError, match="for one place only"):
        refusal("automation", "x", shell="narrow it")
    with pytest.raises(KeyError):
        refusal("automation", "x", shell="narrow {policy}", jenkins="x")
    with pytest.raises(KeyError):
        refusal("no-such-code", "x")


def test_a_step_of_the_library_is_read_in_jenkins_and_a_shell_on_an_agent_is_not() -> None:
    assert place_of({"GITOPS_STEP": "gitopsRollback"}) is Place.JENKINS
    assert place_of({"JENKINS_URL": "https://ci.example/", "GITOPS_STEP": ""}) is Place.SHELL


def test_a_plan_shows_a_refusal_in_the_words_of_its_place() -> None:
    again = refusal("already", "cart was rolled back")
    assert again.to_json() == {"code": "already", "message": again.message, "hint": again.hint}
    assert "AGAIN" in again.to_json(Place.JENKINS)["hint"]


def test_codes_are_accepted_for_all_or_for_the_services_they_stand_behind() -> None:
    texts = ["gone", "cart=bad,platform,payment=schema", "tag storage"]
    acceptance = read_acceptance(texts)
    assert acceptance.of("basket") == {"gone", "tag", "storage"}
    assert acceptance.of("cart") == {"gone", "tag", "storage", "bad", "platform"}
    assert acceptance.of("payment") == {"gone", "tag", "storage", "schema"}
    assert acceptance.codes == {"gone", "tag", "storage", "bad", "platform", "schema"}
    assert read_acceptance([]).codes == set()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("bda", "--accept bda: no refusal has this code", "did you mean bad"),
        ("zzzzz", "no refusal has this code", "there is bad, "),
        ("held", "not accepted so", "--release"),
        ("already", "not accepted so", "--again"),
        ("outdated", "not accepted so", "--allow-older"),
        ("passed-over", "not accepted so", "gitops-rollback plan SERVICE"),
        ("lost-hold", "not accepted so", "history SERVICE --repair --hold ID --reason TEXT"),
        ("running", "no refusal has this code", ""),
        ("=bad", "no service is named", "SERVICE=CODE"),
    ],
)
def test_what_cannot_be_accepted_is_named_with_what_can(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as failure:
        read_acceptance([text])
    assert message in failure.value.message
    assert hint in failure.value.hint


@each_row
def test_each_code_is_accepted_or_answered_with_what_to_do_instead(row: Row) -> None:
    """Whatever further facts the row's own hint would name."""
    if row.code in ACCEPTABLE:
        assert read_acceptance([row.code]).codes == {row.code}
        return
    with pytest.raises(UsageError) as failure:
        read_acceptance([row.code])
    assert "{" not in failure.value.hint


def test_a_code_that_the_job_does_not_allow_is_refused_with_who_may() -> None:
    assert read_acceptance(["cart=bad"], ["bad", "gone"]).of("cart") == {"bad"}
    with pytest.raises(RefusedError) as failure:
        read_acceptance(["bad", "cart=never-ran"], JOB_ALLOWS)
    assert (failure.value.code, failure.value.exit_code) == ("never-ran", Exit.REFUSED)
    assert "GITOPS_ALLOWED_ACCEPT" in failure.value.hint
    assert failure.value.jenkins_hint
    with pytest.raises(UsageError, match="--allowed-accept bda"):
        read_acceptance([], ["bda"])


def test_the_ready_made_job_leaves_out_what_would_let_it_deploy() -> None:
    assert set(ACCEPTABLE) - set(JOB_ALLOWS) == {"never-ran", "tampered"}


def test_the_page_for_troubleshooting_has_the_table() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    told = {code: (meaning, how) for code, meaning, how in table}
    for row in TABLE:
        how = f"`{accepted_by(row.code)}`" if row.option else "by hand"
        assert told.pop(row.code) == (row.meaning, how)
    assert told == {}


# Where a code stands ------------------------------------------------------------------------------

ROOT = DOCS.parent
PACKAGE = ROOT / "python/gitops_rollback"
RULES = ("decide/", "policies/__init__.py")  # where refusals are made, or asked for
MADE = {  # of the table, by tools/tables.py; test_options proves that they are current
    "python/gitops_rollback/schemas/codes.schema.json",
    "resources/io/github/gitopsrollback/parameters.json",
}
# Codes that are no words of other trades too: they are looked for as mere texts.
OWN_WORDS = [code for code in CODES if "-" in code]
OWN_WORDS += ["already", "outdated", "retag", "unproven", "tampered"]


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))


def named(node: ast.AST) -> str:
    """What is called, asked or compared: the last name of `a.b.c`."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def texts(node: ast.AST) -> set[str]:
    found = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return {text for text in found if isinstance(text, str)}


@cache
def made_by(tree: ast.Module) -> set[str]:
    """The codes that are refused: `refusal("held", …)`, `candidate.refused("gone", …)`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    made = [call.args[0] for call in calls if named(call.func) in ("refusal", "refused")]
    return {text for one in made for text in texts(one)}


def used_by(tree: ast.Module) -> set[str]:
    """The codes that are refused, asked for or compared, in whatever words of the language."""
    found = set(made_by(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and named(node.func) == "accepted_by":
            found |= texts(node)
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        if {named(side) for side in sides} & {"accept", "accepted", "code", "reason", "codes"}:
            found |= {text for side in sides for text in texts(side)}
    return found & set(CODES)


@pytest.fixture(scope="module")
def house() -> dict[str, ast.Module]:
    return dict(trees())


@each_row
def test_each_row_has_a_rule_that_makes_it(row: Row, house: dict[str, ast.Module]) -> None:
    makers = [path for path, tree in house.items() if row.code in made_by(tree)]
    assert makers, "no rule refuses with it"
    assert all(path.startswith(RULES) for path in makers), makers


def test_a_code_is_used_by_nothing_but_its_row_and_rules(house: dict[str, ast.Module]) -> None:
    users = {path: used_by(tree) for path, tree in house.items() if not path.startswith(RULES)}
    assert {path: codes for path, codes in users.items() if codes} == {}


@cache
def written() -> dict[Path, str]:
    """What was written by hand, or is read where it runs: Groovy, schemas and jobs included."""
    kinds = {".py", ".json", ".groovy", ".properties", ".xml", ""}
    folders = (PACKAGE, ROOT / "vars", ROOT / "src", ROOT / "resources")
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in kinds]
    files += ROOT.glob("Jenkinsfile*")
    return {path: path.read_text(encoding="utf-8") for path in files if path.is_file()}


@pytest.mark.parametrize("code", OWN_WORDS)
def test_a_code_stands_in_one_source_file_but_for_its_rules(code: str) -> None:
    """Not where it is only told, as in a help or a comment."""
    told = re.compile(rf"""(?<![\w-])["']{code}["']""")
    found = {str(path.relative_to(ROOT)) for path, text in written().items() if told.search(text)}
    rules = tuple(f"python/gitops_rollback/{rule}" for rule in RULES)
    places = {path for path in found - MADE if not path.startswith(rules)}
    assert places == {"python/gitops_rollback/refusals.py"}


@each_row
def test_the_theory_of_operation_tells_where_each_refusal_is_judged(row: Row) -> None:
    assert f"`{row.code}`" in (decide.__doc__ or "")

"""The Jenkinsfiles say what the tables of the package say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gitops_rollback import __version__
from gitops_rollback.jobs.wanted import (
    ACTIONS,
    CHOICE,
    FLAG,
    TEXT,
    Parameter,
    deploy_parameters,
    names_of_forms,
    rollback_parameters,
)
from gitops_rollback.refusals import JOB_ALLOWS, TABLE

ROOT = Path(__file__).resolve().parents[3]
KINDS = {"string": TEXT, "booleanParam": FLAG, "choice": CHOICE}
VARIABLE = re.compile(r"env\.(GITOPS_[A-Z_]+)")


def form(name: str, **variables: str) -> list[Parameter]:
    """The parameters that a Jenkinsfile declares, with its expressions worked out."""
    text = (ROOT / name).read_text(encoding="utf-8")
    block = re.search(r"\n    parameters \{\n(.*?)\n    \}\n", text, re.DOTALL)
    assert block is not None
    calls = re.split(r"\n(?=        \w+\()", block[1])
    return [declared(" ".join(call.split()), variables) for call in calls]


def declared(call: str, variables: dict[str, str]) -> Parameter:
    whole = re.fullmatch(r"(\w+)\(name: (.*?), (.*)description: (.*)\)", call)
    assert whole is not None, call
    kind, name, between, description = whole.groups()
    choices = re.search(r"choices: (.*), $", between)
    if kind == "string":
        assert "trim: true" in between
    if kind == "booleanParam":
        assert "defaultValue: false" in between
    listed = value(choices[1], variables) if choices else ""
    return Parameter(
        KINDS[kind],
        value(name, variables),
        value(description, variables),
        tuple(listed.split("|")) if choices else (),
    )


def value(expression: str, variables: dict[str, str]) -> str:
    """Work out the few expressions that the forms use; lists become texts with bars."""
    condition = re.fullmatch(r"env\.(GITOPS_\w+) \? (.*) : (.*)", expression)
    if condition is not None:
        name, there, otherwise = condition.groups()
        return value(there if variables.get(name) else otherwise, variables)
    listed = re.fullmatch(r"\[''\] \+ env\.(\w+)\.tokenize\(', '\)", expression)
    if listed is not None:
        return "|".join(["", *variables[listed[1]].split(",")])
    fallback = re.fullmatch(r"\[env\.(\w+) \?: '([^']*)'\]", expression)
    if fallback is not None:
        return variables.get(fallback[1], "") or fallback[2]
    if expression.startswith("["):
        return "|".join(re.findall(r"'([^']*)'", expression))
    assert re.fullmatch(r"'[^']*'( \+ '[^']*')*", expression), expression
    return "".join(re.findall(r"'([^']*)'", expression))


@pytest.mark.parametrize("services", ["", "cart,payment"])
@pytest.mark.parametrize("environments", ["", "staging,live"])
def test_the_rollback_job_asks_for_what_jobs_install_writes(
    services: str, environments: str
) -> None:
    variables = {
        "GITOPS_SERVICES": services,
        "GITOPS_ENVIRONMENTS": environments,
        "GITOPS_REPOSITORY": "https://git.example.com/manifests.git",
    }
    wanted = rollback_parameters(
        services.split(",") if services else (),
        environments.split(",") if environments else (),
        variables["GITOPS_REPOSITORY"],
    )
    assert form("Jenkinsfile.rollback", **variables) == list(wanted)


def test_the_deploy_job_asks_for_what_jobs_install_writes() -> None:
    assert form("Jenkinsfile") == list(deploy_parameters())


def test_no_form_has_two_fields_of_one_name() -> None:
    for one in (deploy_parameters(), rollback_parameters(("a",), ("b",), "r")):
        assert len({parameter.name for parameter in one}) == len(one)
    assert {"OTHER", "MANIFESTS", "SERVICE", "ACCEPT"} <= names_of_forms()


@pytest.mark.parametrize("name", ["Jenkinsfile", "Jenkinsfile.rollback", "Jenkinsfile.drill"])
def test_a_jenkinsfile_is_of_the_version_of_the_library(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert re.findall(r"gitopsJob\(version: '([^']*)'", text) == [__version__]


@pytest.mark.parametrize("name", ["Jenkinsfile", "Jenkinsfile.rollback", "Jenkinsfile.drill"])
def test_the_top_of_a_jenkinsfile_lists_every_variable_that_it_reads(name: str) -> None:
    head, _mark, body = (ROOT / name).read_text(encoding="utf-8").partition("*/")
    assert set(VARIABLE.findall(body)) <= set(re.findall(r"GITOPS_[A-Z_]+", head))


FIELDS = re.compile(r"`([A-Z][A-Z_]{1,})`")


@pytest.mark.parametrize("page", ["on-call", "first-rollback"])
def test_the_pages_for_people_name_fields_that_the_forms_have(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    variables = {"GIT_USERNAME", "GIT_PASSWORD"}
    assert set(FIELDS.findall(text)) - variables <= names_of_forms()


def test_the_on_call_card_has_every_field_of_the_rollback_form_and_every_action() -> None:
    card = (ROOT / "docs/on-call.md").read_text(encoding="utf-8")
    asked = {p.name for p in rollback_parameters(("a",), (), "r")}
    told_elsewhere = {"ENVIRONMENT", "LIBRARY", "QUERY", "DRY_RUN"}
    assert asked - told_elsewhere <= set(FIELDS.findall(card))
    for action in ACTIONS:
        if action != "rollback":
            assert f"`ACTION` {action}" in card


def test_every_code_that_a_form_accepts_is_on_the_card_and_in_the_form() -> None:
    card = (ROOT / "docs/on-call.md").read_text(encoding="utf-8")
    for row in TABLE:
        assert f"| `{row.code}` |" in card
    forms = " ".join(
        p.description for p in (*deploy_parameters(), *rollback_parameters((), (), ""))
    )
    for code in JOB_ALLOWS:
        assert re.search(rf"[ ,]{code}\b", forms), code


def sources() -> str:
    """What the jobs, the library and the command say, with texts over several lines made whole."""
    paths = [*(ROOT / "python").rglob("*.py"), *(ROOT / "src").rglob("*.groovy")]
    paths += [*(ROOT / "vars").glob("*.groovy"), *ROOT.glob("Jenkinsfile*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    return re.sub(r"\"\s*\n\s*f?\"|' \+\s*\n\s*'", "", text)


def rows_below(page: str, heading: str) -> list[str]:
    """The first cells of the table below a heading of a page for people."""
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8").partition(heading)[2]
    table = re.search(r"\|---.*\n((?:\|.*\n)+)", text)
    assert table is not None, heading
    return [line.split("|")[1].strip() for line in table[1].splitlines()]


def test_the_card_tells_messages_that_a_build_really_has() -> None:
    said = sources()
    messages = rows_below("on-call", "| it says ")
    assert len(messages) > 4
    for cell in messages:
        for part in re.split(r" … |, at a release|, ", cell.replace("`", "")):
            assert part in said, f"{cell}: {part}"


def test_the_pages_choose_only_what_a_form_offers() -> None:
    offers = {
        p.name: {*p.choices, "auto"} for p in rollback_parameters((), (), "r") if p.kind == CHOICE
    }
    for page in ("on-call", "first-rollback", "install", "troubleshooting", "hold"):
        text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
        for field, chosen in re.findall(r"`(ACTION|STRATEGY)` `?([a-z]+)", text):
            assert chosen in offers[field], f"{page}: {field} {chosen}"


def test_the_stages_of_the_page_for_the_first_rollback_are_those_of_the_job() -> None:
    page = (ROOT / "docs/first-rollback.md").read_text(encoding="utf-8")
    job = (ROOT / "Jenkinsfile.rollback").read_text(encoding="utf-8")
    told = set(re.findall(r"\*(Plan|Apply|Approve|[A-Z][a-z]+)\*", page))
    assert told >= {"Plan", "Apply", "Approve"}
    assert told <= set(re.findall(r"stage\('([^']+)'\)", job))


def stages(text: str) -> list[tuple[str, str, str]]:
    """Each stage that has steps: its name, what it says of itself, and what is around it."""
    found = []
    for match in re.finditer(r"^( *)stage\('([^']+)'\) \{.*\n", text, re.MULTILINE):
        body = text[match.end() :].partition(f"\n{match[1]}}}\n")[0]
        if "stage('" not in body:
            around = text[: match.start()].rpartition(f"\n{match[1][8:]}stage('")[2]
            found.append((match[2], body, around.partition("stages {")[0]))
    return found


@pytest.mark.parametrize("name", ["Jenkinsfile", "Jenkinsfile.rollback", "Jenkinsfile.drill"])
def test_every_stage_ends_by_itself_one_day(name: str) -> None:
    """A stage that hangs would hold an agent until somebody looks; one that asks is limited too."""
    leaves = stages((ROOT / name).read_text(encoding="utf-8"))
    assert leaves
    for stage, own, around in leaves:
        asks = "gitopsApprove(" in own  # it waits GITOPS_APPROVAL_HOURS, without an agent
        assert "timeout(time:" in own + around or asks, stage

"""Results: where they go, and what people read of them."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops_rollback import redaction
from gitops_rollback.cli import COMMANDS
from gitops_rollback.clock import Stopwatch
from gitops_rollback.errors import UsageError
from gitops_rollback.model import some
from gitops_rollback.outlet import opened
from gitops_rollback.parsing import parse
from gitops_rollback.refusals import TABLE, Row, refusal
from gitops_rollback.tell.following import next_commands
from gitops_rollback.tell.output import Output, read_output, write_result
from gitops_rollback.tell.terminal import Ink, ink_of, show, show_progress
from gitops_rollback.tell.texts import lines_of
from gitops_rollback.tell.view import first_ones, table

if TYPE_CHECKING:
    from pathlib import Path

NEW = f"docker.io/acme/cart:1.5.0@sha256:{'5' * 64}"
OLD = f"docker.io/acme/cart:1.4.2@sha256:{'4' * 64}"


DAY = "2026-01-31T10:00:00Z"
IS_IDLE = {"changed": False, "services": "idle"}


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    redaction.forget()
    monkeypatch.setattr("gitops_rollback.clock.now", lambda: "2026-02-01T12:00:00Z")
    monkeypatch.setenv("COLUMNS", "200")


def candidate(image: str, verdict: str, **more: object) -> dict[str, Any]:
    return {"image": image, "sources": ["git"], "verdict": verdict, "message": "", "verified": True,
            **more}  # fmt: skip


def a_plan(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of the document
    return {
        "service": "cart",
        "environment": "default",
        "strategy": "auto",
        "current": {"image": NEW, "value": NEW},
        "to": {"image": OLD, "value": OLD, "source": "git", "verified": True},
        "edits": [{"path": "a.yaml", "line": 7, "container": "server", "old": NEW, "new": OLD}],
        "candidates": [
            candidate(
                OLD, "chosen", deployedAt="2026-01-31T10:00:00Z", by="jane", revision="e" * 40
            )
        ],
        "findings": [],
        "blockedBy": [],
        **more,
    }


def text(command: str, document: dict[str, Any], *arguments: str) -> list[str]:
    options = parse(command, ["cart", *arguments], {})
    return "\n".join(lines_of(document, options.output)).split("\n")


# Where a result goes


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [
        ([], None, ("text", None)),
        (["wide"], None, ("wide", None)),
        (["-"], None, ("json", None)),
        (["./result"], None, ("text", "./result")),
        (["out.json"], None, ("text", "out.json")),
        (["yaml", "out.json"], None, ("yaml", "out.json")),
        (["out.json", "yaml"], None, ("yaml", "out.json")),
        (["json"], "out.json", ("json", "out.json")),
        (["own.json"], "out.json", ("text", "own.json")),
        ([], "out.json", ("text", "out.json")),
        ([], "-", ("json", None)),
        (["name"], "-", ("name", None)),
    ],
)
def test_an_output_is_a_format_a_file_or_both(
    given: list[str],
    variable: str | None,
    expected: tuple[str, str | None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    output = read_output(given, variable)
    assert (output.format, output.file) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["result"], "a file of that name is ./result"),
        (["jsno"], "no format"),
        (["csv"], "it is a --format of stats: --format csv"),
        ([""], "no format"),
        (["json", "yaml"], "two formats"),
        (["a.json", "b.json"], "two files"),
        (["./missing/folder/a.json"], "no folder to write to"),
        (["/"], "it is a folder"),
    ],
)
def test_what_could_be_meant_as_either_or_cannot_be_written_is_an_error(
    given: list[str], words: str
) -> None:
    with pytest.raises(UsageError) as failure:
        read_output(given, None)
    assert words in failure.value.message + failure.value.hint


def test_beside_a_file_stdout_has_the_text_and_a_format_for_programs_has_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    document = {"services": [a_plan()]}
    options = parse("plan", ["cart", "-o", str(file)], {})
    write_result(document, options.output)
    shown = capsys.readouterr()
    assert shown.out.startswith("cart: 1.5.0 → 1.4.2\n")
    assert shown.err == "to do it: gitops-rollback rollback cart --reason TEXT\n"
    assert json.loads(file.read_text("utf-8")) == {"schemaVersion": 1, **document}
    for name, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        write_result(document, parse("plan", ["cart", "-o", name], {}).output)
        shown = capsys.readouterr()
        assert read(shown.out) == {"schemaVersion": 1, **document}
        assert shown.err == ""
    write_result(document, parse("plan", ["cart", "-o", "name"], {}).output)
    assert capsys.readouterr() == (f"{OLD}\n", "")


# Plans


def test_a_plan_says_where_it_goes_first_and_who_deployed_what_when() -> None:
    lines = text("plan", {"services": [a_plan()]})
    assert lines[0] == "cart: 1.5.0 → 1.4.2"
    assert "  because  deployed before, as Git tells; the registry has it" in lines
    [row] = [line for line in lines if "chosen" in line]
    shown = ["chosen", "1.4.2", "2026-01-31 10:00 (26 h ago)", "jane", "e" * 12]
    assert re.split("  +", row.strip()) == shown


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ({"to": None, "candidates": []}, "cart: no image to go back to from 1.5.0"),
        (
            {"blockedBy": [{"code": "already", "message": "m", "hint": "h"}]},
            "cart: 1.5.0 → 1.4.2 (refused: already)",
        ),
        (
            {"blockedBy": [{"code": "already", "message": "m", "hint": "h"}], "to": None},
            "cart: back at 1.5.0 already (refused: already)",
        ),
        (
            {"blockedBy": [{"code": "running", "message": "m", "hint": "h"}], "to": None},
            "cart: 1.5.0 runs already, nothing to do",
        ),
        ({"environment": "production"}, "cart production: 1.5.0 → 1.4.2"),
    ],
)
def test_the_first_line_of_a_plan_says_that_there_is_nothing_to_do(
    more: dict[str, Any], first: str
) -> None:
    whole = {key: value for key, value in a_plan(**more).items() if value is not None}
    assert text("plan", {"services": [whole]})[0] == first


def test_candidates_of_one_label_are_told_apart_by_their_digests() -> None:
    other = f"docker.io/acme/cart:1.4.2@sha256:{'3' * 64}"
    one = a_plan(candidates=[candidate(OLD, "chosen"), candidate(other, "acceptable")])
    lines = text("plan", {"services": [one]})
    assert [line.split()[1:3] for line in lines if "sha256" in line and "1.4.2 sha256" in line] == [
        ["1.4.2", "sha256:444444444444"],
        ["1.4.2", "sha256:333333333333"],
    ]


def test_no_list_is_cut_in_silence() -> None:
    many = [candidate(f"docker.io/acme/cart:1.{n}", "refused", reason="bad") for n in range(22)]
    document = {"services": [a_plan(candidates=many)]}
    lines = text("plan", document)
    assert "    … 12 more: --limit 0" in lines
    whole = text("plan", document, "--limit", "0")
    assert sum("refused" in line for line in whole) == 22
    assert not any("more:" in line for line in whole)
    assert first_ones(["a", "b"], 2) == ["a", "b"]
    assert first_ones(["a", "b", "c"], 2) == ["a", "b", "… 1 more: --limit 0"]


def test_several_plans_are_one_table_with_what_has_to_be_known_beside_it() -> None:
    lost = {key: value for key, value in a_plan(service="mail").items() if key != "to"}
    held = a_plan(service="shop", blockedBy=[{"code": "already", "message": "so", "hint": "do"}])
    lines = text("plan", {"services": [a_plan(), lost, held]})
    assert lines[0] == "3 services:"
    assert lines[1].split() == ["service", "runs", "back", "to", "because"]
    assert any("NO IMAGE to go back to" in line for line in lines)
    assert any("REFUSED: already" in line for line in lines)
    assert "  so (do)" in lines


def test_everything_of_a_candidate_is_told_where_that_is_asked_for() -> None:
    lines = text("plan", {"services": [a_plan()]}, "--explain")
    assert f"  CHOSEN {OLD}" in lines
    assert f"    revision: {'e' * 40}" in lines
    assert "    deployed: 2026-01-31 10:00 (26 h ago) by jane" in lines


# Changes


def a_change(**more: object) -> dict[str, Any]:
    one = {"service": "cart", "environment": "default", "from": NEW, "to": OLD,
           "edits": [{"path": "a"}], "warnings": []}  # fmt: skip
    return {
        "commit": "c" * 40,
        "branch": "main",
        "changed": True,
        "dryRun": False,
        "services": [one],
        "seconds": {"total": 1.5, "fetch": 0.5, "push": 1},
        **more,
    }


def test_a_change_says_what_became_of_it_and_in_which_commit() -> None:
    lines = text("rollback", a_change())
    assert lines == [
        "cart: 1.5.0 → 1.4.2 rolled back, held",
        f"commit {'c' * 40} on main in 1.5 s (fetch 0.5, push 1)",
    ]
    assert lines_of(a_change(), Output("name", command="rollback")) == ["c" * 40]


@pytest.mark.parametrize(
    ("command", "more", "line"),
    [
        ("deploy", {"changed": False, "commit": None}, "cart: 1.5.0 → 1.4.2 would be deployed"),
        (
            "release",
            IS_IDLE,
            "cart: 1.4.2 is not held, nothing to do",
        ),
        (
            "deploy",
            IS_IDLE,
            "cart: 1.4.2 runs already, nothing to do",
        ),
        ("rollback", {"dryRun": True, "changed": False}, "(dry run)"),
        ("rollback", {"error": {}, "pullRequest": {}}, "(when it is merged)"),
    ],
)
def test_what_was_not_done_is_not_said_to_be_done(
    command: str, more: dict[str, Any], line: str
) -> None:
    if more.get("services") == "idle":
        idle = {"service": "cart", "environment": "default", "from": OLD, "to": OLD, "edits": []}
        more = {**more, "services": [idle]}
    document = a_change(**more)
    if more.get("commit", "") is None:
        document = {**document, "error": {}}
        del document["commit"]
    assert line in text(command, document)[0]


def test_what_was_left_is_told_with_why_and_how_to_go_on() -> None:
    left = [{"service": "mail", "code": "held", "message": "it is held", "hint": "release it"}]
    lines = text("deploy", a_change(blocked=left))
    assert "left as they are: 1 of 2 services" in lines
    assert "  it is held (release it)" in lines


@pytest.mark.parametrize("form", ["text", "wide", "name"])
@pytest.mark.parametrize("command", COMMANDS)
def test_an_error_beside_which_nothing_was_found_is_no_text(command: str, form: str) -> None:
    document = {"error": {"category": "config", "message": "m", "hint": "h"}, "seconds": {}}
    assert lines_of(document, Output(form, command=command)) == []


# What to type next


def following(
    command: str, document: dict[str, Any], *arguments: str, **environment: str
) -> list[str]:
    options = parse(command, ["cart", *arguments], environment)
    return [line for _words, line in next_commands(document, options.output)]


def test_after_a_plan_comes_the_rollback_that_does_it_in_the_same_words() -> None:
    asked = ("--repository", "https://x/y z.git", "--to", "1.4.2", "--again", "--accept", "bad")
    [line] = following("plan", {"services": [a_plan()]}, *asked)
    assert line == (
        "gitops-rollback rollback cart --to 1.4.2 --again --accept bad "
        "--repository 'https://x/y z.git' --reason TEXT"
    )
    by_variable = following("plan", {"services": [a_plan()]}, GITOPS_TO="1.4.2")
    assert by_variable == ["gitops-rollback rollback cart --reason TEXT"]
    against_it = following(
        "plan", {"services": [a_plan()]}, "--strategy", "auto", GITOPS_STRATEGY="registry"
    )
    assert against_it == ["gitops-rollback rollback cart --strategy auto --reason TEXT"]
    [off] = following("plan", {"services": [a_plan()]}, "--effect-proof", "off")
    assert off == "gitops-rollback rollback cart --effect-proof off --reason TEXT"
    as_of = following("plan", {"services": [a_plan()]}, "--as-of", "2h")
    assert as_of == ["gitops-rollback rollback cart --as-of 2026-02-01T10:00:00Z --reason TEXT"]


def test_after_a_change_comes_its_way_back_and_after_what_was_not_done_nothing() -> None:
    assert following("deploy", a_change()) == ["gitops-rollback rollback cart --reason TEXT"]
    assert following("rollback", a_change(), "--environment", "production") == [
        "gitops-rollback deploy cart --environment production --image IMAGE --release",
        "gitops-rollback release cart --environment production --reason TEXT",
    ]
    tried = a_change(changed=False, dryRun=True)
    assert following("rollback", tried, "--reason", "it fails", "--to", "1.4.2", "--dry-run") == [
        "gitops-rollback rollback cart --to 1.4.2 --reason 'it fails'"
    ]
    assert following("deploy", tried, "--image", "acme/cart:1.5.0", "--release", "--dry-run") == [
        "gitops-rollback deploy cart --image acme/cart:1.5.0 --release"
    ]
    before = ("--image", "acme/cart:1.5.0", "--before-build")
    assert following("deploy", tried, *before) == [
        "gitops-rollback deploy cart --image acme/cart:1.5.0"
    ]
    as_proposal = ("--reason", "x", "--pull-request", "--wait", "--dry-run")
    assert following("rollback", tried, *as_proposal) == [
        "gitops-rollback rollback cart --pull-request --wait --reason x"
    ]
    assert following("deploy", a_change(changed=False)) == []
    assert following("deploy", a_change(), GITOPS_STEP="gitopsDeploy") == []


def hint_of(code: str) -> str:
    return refusal(code, "m", service="cart", policy="p", hold="h").hint


def blocked(*codes: str, service: str = "cart") -> dict[str, Any]:
    blocks = [{"code": one, "message": "m", "hint": hint_of(one)} for one in codes]
    return a_plan(service=service, blockedBy=blocks)


def refused(code: str, *services: dict[str, Any], hint: str | None = None) -> dict[str, Any]:
    error = {"category": "refused", "code": code, "message": "m", "hint": hint or hint_of(code)}
    return {"error": error, **({"services": services} if services else {})}


def test_after_a_refusal_comes_the_same_command_with_what_accepts_it() -> None:
    assert following("plan", {"services": [blocked("already", "gone")]}) == [
        "gitops-rollback rollback cart --again --accept gone --reason TEXT"
    ]
    told = refused("already", blocked("already", "gone"))
    assert following("rollback", told, "--reason", "it fails", "--timeout", "9") == [
        "gitops-rollback rollback cart --timeout 9 --reason 'it fails' --again --accept gone"
    ]
    [none] = following("rollback", refused("already"), "--reason", "None")
    assert none == "gitops-rollback rollback cart --reason None --again"
    assert following("rollback", told, "--reason", "x", "--limit", "0") == [
        "gitops-rollback rollback cart --reason x --limit 0 --again --accept gone"
    ]
    several = refused("bad", blocked("bad"), blocked("tag", service="shop"))
    assert following("rollback", several, "shop", "--reason", "x") == [
        "gitops-rollback rollback cart shop --reason x --accept cart=bad --accept shop=tag"
    ]
    given = ("--image", "acme/cart:1.5.0", "--record", "a b.json", "-o", "r.json")
    assert following("deploy", refused("held"), *given) == [
        "gitops-rollback deploy cart --image acme/cart:1.5.0 --record 'a b.json' --release",
        "gitops-rollback release cart --reason TEXT",
    ]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.code)
def test_the_command_below_a_refusal_stands_behind_who_may_type_it(row: Row) -> None:
    options = parse("rollback", ["cart", "--reason", "x"], {})
    told = next_commands(refused(row.code), options.output)
    assert bool(told) is (row.option is not None)
    for words, _command in told[:1]:
        assert re.match(r"(if|to) [a-z ,]+$", words), words
        assert f"{words}: {{accept}}" in row.shell


def test_where_the_hint_leads_elsewhere_nothing_is_offered_to_accept_it() -> None:
    given = ("--image", "acme/cart:1.5.0")
    fixed = "deploy a fixed image with --release"
    assert following("deploy", refused("held", hint=fixed), *given) == [
        "gitops-rollback release cart --reason TEXT"
    ]
    over = "deploy a fixed image by a new build"
    assert following("deploy", refused("held", hint=over), *given) == []


@pytest.mark.parametrize(
    ("allowed", "command"),
    [
        (
            "bad,automation",
            ("deploy cart --image acme/cart:1.5.0 --allowed-accept bad,automation "
            "--release --accept bad,automation"),
        ),
        ("bad", "release cart --reason TEXT"),
    ],
)  # fmt: skip
def test_what_is_to_be_accepted_with_a_hold_is_in_its_command(allowed: str, command: str) -> None:
    fixed = "deploy a fixed image with --release; if it is good after all: --release --accept bad,"
    given = ("--image", "acme/cart:1.5.0", "--allowed-accept", allowed)
    found = following("deploy", refused("held", hint=f"{fixed}automation (automation: x)"), *given)
    assert found == [f"gitops-rollback {command}"]


def test_after_a_refusal_that_this_person_cannot_accept_comes_nothing() -> None:
    assert following("rollback", refused("lost-hold"), "--reason", "x") == []
    assert following("rollback", refused("bad"), "--reason", "x", "--allowed-accept", "tag") == []
    assert following("rollback", {"error": {"category": "config"}}, "--reason", "x") == []
    assert following("plan", {"services": [blocked("lost-hold")]}) == []


def test_in_jenkins_a_rollback_is_followed_by_words_of_forms_and_no_page_by_its_path() -> None:
    [line] = following("rollback", a_change(), GITOPS_STEP="gitopsRollback")
    assert "RELEASE" in line
    assert "--" not in line
    assert following("plan", {"services": [a_plan()]}, GITOPS_STEP="gitopsRollback") == []
    for environment, lines in (({}, ["report: /tmp/a.html"]), ({"GITOPS_STEP": "x"}, [])):
        output = Output("text", command="report", environment=environment)
        assert lines_of({"page": "/tmp/a.html"}, output) == lines


# History, drills, tables


def test_a_history_has_time_age_person_and_proof_of_each_entry() -> None:
    entry = {"at": DAY, "action": "rollback", "from": NEW, "to": OLD, "by": "jane",
             "reason": "fails", "commit": "c" * 40, "proofs": ["git"], "conflicts": []}  # fmt: skip
    one = {"service": "cart", "environment": "default", "entries": [entry], "findings": ["so"]}
    lines = text("history", {"services": [one]})
    assert lines == [
        f"cart: runs {OLD}",
        "  2026-01-31 10:00 (26 h ago) rollback 1.5.0 → 1.4.2",
        "    by jane: fails",
        "    commit cccccccccccc, proven by git",
        "  note: so",
    ]
    wide = text("history", {"services": [one]}, "-o", "wide")
    assert OLD in wide[2]
    assert lines_of({"services": [one]}, Output("name", command="history")) == [OLD]


def test_a_drill_ends_with_its_verdict_and_names_what_fails() -> None:
    found = [{"check": "target", "subject": "cart", "level": "failed", "message": "m", "hint": "h"},
             {"check": "push", "subject": "main", "level": "ok", "message": "m"}]  # fmt: skip
    document = {"verdict": "failed", "summary": "a rollback would fail: all", "findings": found}
    lines = text("check", document)
    assert lines[0] == "failed   target cart: m"
    assert lines[-1] == "a rollback would fail: all"
    assert lines_of(document, Output("name", command="check")) == ["cart"]


def test_a_column_without_any_text_is_left_out() -> None:
    assert table([("a", "b", "c"), ("1", "", "3")]) == ["a  c", "1  3"]
    assert table([("a", "b")]) == ["a  b"]


# Colours


class _Terminal:
    encoding = "utf-8"

    def __init__(self) -> None:
        self.text = ""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Have nothing waiting."""


def test_colour_is_for_terminals_alone_and_no_color_turns_it_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal: Any = _Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert ink_of(terminal).is_on
    monkeypatch.setenv("NO_COLOR", "1")
    assert not ink_of(terminal).is_on
    monkeypatch.setenv("NO_COLOR", "")
    assert ink_of(terminal).is_on
    monkeypatch.setenv("TERM", "dumb")
    assert not ink_of(terminal).is_on
    assert Ink()("text", "red") == "text"


def test_a_coloured_line_lets_no_escape_of_somebody_else_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal: Any = _Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    with opened():
        show([Ink(is_on=True)("a\x1b]0;x\x07b", "red")])
    assert terminal.text.endswith("\x1b[31ma\\x1b]0;x\\x07b\x1b[0m\n")


def test_what_lasts_is_told_in_a_log_and_what_does_not_last_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gitops_rollback.tell.terminal._LONG", 0.05)
    watch = Stopwatch(show_progress)
    with watch.phase("decide"):
        with watch.phase("fetch"):
            pass
        time.sleep(0.2)  # what the outer phase waits for after an inner one counts, too
    assert capsys.readouterr().err == "still looking for the image after 0.05 s …\n"
    with watch.phase("push"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("texts", "separator", "told"),
    [
        ([], ", ", ""),
        (["a"], ", ", "a"),
        (["a", "b"], ", ", "a, b"),
        (["a", "b", "c"], ", ", "a, b and 1 more"),
        (["a", "b", "c", "d"], "; ", "a; b; and 2 more"),
    ],
)
def test_of_a_list_that_is_cut_the_rest_is_counted(
    texts: list[str], separator: str, told: str
) -> None:
    assert some(texts, 2, separator) == told


def test_a_list_of_hundreds_moves_no_other_row() -> None:
    long = "apps/cart.yaml:9, " * 40
    lines = table([("service", "fields", "from"), ("cart", long, "x"), ("web", "a.yaml:1", "x")])
    assert [line.split()[0] for line in lines] == ["service", "cart", "web"]
    assert lines[0] == "service  fields    from"
    assert lines[2] == "web      a.yaml:1  x"
    assert lines[1].endswith("x")
    assert table([("a", "x" * 300)]) == ["a  " + "x" * 300]

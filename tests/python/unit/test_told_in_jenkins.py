"""What a build of Jenkins shows of a result."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from gitops_rollback.errors import Exit
from gitops_rollback.tell.jenkins import Told, hinted, in_words_of_jenkins, told, write_told

ROOT = Path(__file__).resolve().parents[3]
NOW = "2026-01-31T12:00:00Z"
OLD, NEW = (
    f"docker.io/acme/cart:{tag}@sha256:{digit * 64}"
    for tag, digit in (("1.4.2", "1"), ("1.5.0", "2"))
)
COMMIT = "c" * 40
PLANNED = {
    "service": "cart",
    "environment": "default",
    "current": {"image": NEW},
    "to": {"image": OLD},
}


def change(**more: object) -> dict[str, Any]:
    one = {"service": "cart", "environment": "default", "from": NEW, "to": OLD, "edits": [{}]}
    return {"commit": COMMIT, "branch": "main", "changed": True, "dryRun": False,
            "services": [one], **more}  # fmt: skip


def error(category: str, **more: str) -> dict[str, Any]:
    return {"error": {"category": category, "message": "no", "hint": "do this", **more}}


def shown(command: str, code: int, result: dict[str, Any], **environment: str) -> Told:
    return told(command, code, result, environment, NOW)


TITLES: list[tuple[str, int, dict[str, Any], str]] = [
    ("plan", 0, {"services": [PLANNED]}, "plan: cart 1.5.0 → 1.4.2"),
    ("rollback", 0, change(), "cart 1.5.0 → 1.4.2, held"),
    ("deploy", 0, change(), "cart 1.5.0 → 1.4.2"),
    ("rollback", 0, change(dryRun=True), "dry run: cart 1.5.0 → 1.4.2"),
    ("deploy", 0, change(changed=False), "nothing to do: cart 1.5.0 → 1.4.2"),
    (
        "rollback",
        7,
        change(pullRequest={"url": "u", "number": 12}) | error("waiting"),
        "cart 1.5.0 → 1.4.2, waiting for pull request #12",
    ),
    (
        "rollback",
        0,
        change(blocked=[{"service": "payment", "environment": "default", "code": "held"}]),
        "cart 1.5.0 → 1.4.2, held; payment left (held)",
    ),
    ("release", 0, change(), "released cart 1.5.0"),
    ("release", 0, change(dryRun=True), "dry run: release cart 1.5.0"),
    ("deploy", 6, error("refused", code="held"), "refused: no"),
    ("rollback", 4, error("not-found"), "no image to go back to: no"),
    ("rollback", 5, error("moved"), "not done: no"),
    ("plan", 1, error("registry"), "failed: no"),
    ("deploy", 130, error("interrupted"), "interrupted: no"),
    ("record", 0, {"records": []}, ""),
    ("wait", 0, {"state": "unverified", "seconds": {}}, "not verified"),
    (
        "wait",
        0,
        {"state": "ready", "seconds": {"commit": 0.61, "applied": 1.92, "ready": 7.412}},
        "running after 7.4 s (commit 0.6, applied 1.9)",
    ),
    ("wait", 1, {"state": "failed"} | error("cluster"), "not applied: no"),
    ("wait", 1, {"state": "unverified"} | error("cluster"), "not verified: no"),
    ("wait", 5, {"state": "replaced"} | error("moved"), "overtaken"),
    ("wait", 1, error("cluster"), "not applied: no"),
]


@pytest.mark.parametrize(("command", "code", "result", "title"), TITLES)
def test_a_build_is_named_after_what_became_of_it(
    command: str, code: int, result: dict[str, Any], title: str
) -> None:
    assert shown(command, code, result).title == title


def test_what_was_written_down_alone_is_called_neither_deployed_nor_nothing() -> None:
    one = {"service": "cart", "environment": "default", "from": NEW, "to": OLD, "edits": []}
    result = change(changed=False, services=[{**one, "action": "recorded"}])
    assert shown("deploy", 0, result).title == "written down only: cart 1.5.0 → 1.4.2"


def test_a_release_of_what_is_not_held_says_so() -> None:
    one = {"service": "cart", "environment": "production", "from": OLD, "to": OLD, "edits": []}
    result = change(changed=False, services=[one])
    assert shown("release", 0, result).title == "nothing to do: cart production not held"


@pytest.mark.parametrize(
    ("holds", "hold"),
    [
        ([["a1"]], "a1"),
        ([["a1", "b2"], [], ["c3"]], "a1,b2,c3"),
        ([[]], "none"),
        ([[], []], "none"),
        ([None], ""),
    ],
)
def test_a_result_tells_which_holds_were_seen(holds: list[list[str] | None], hold: str) -> None:
    one = {"service": "cart", "environment": "default", "from": OLD, "to": OLD, "edits": []}
    services = [one if ids is None else {**one, "holds": ids} for ids in holds]
    assert shown("release", 0, change(dryRun=True, services=services)).hold == hold


def test_an_error_is_one_line_with_what_to_do_in_brackets() -> None:
    refused = shown("deploy", 6, error("refused", code="held", message="a\nb\x1b[31m"))
    assert (refused.error, refused.refused) == ("refused (held): a b [31m (do this)", "held")
    assert shown("deploy", 1, error("registry", hint="")).error == "no"
    assert shown("deploy", 130, error("interrupted")).error == "interrupted: no (do this)"


@pytest.mark.parametrize(
    ("shell", "jenkins"),
    [
        (
            "name one with --to TAG, or ask --strategy registry",
            "name one with TO TAG, or ask STRATEGY registry",
        ),
        ("accept it: --accept bad; give --as-of", "accept it: ACCEPT bad; give AS_OF"),
        ("look at it (gitops-rollback plan)", "look at it (ACTION plan of the rollback job)"),
        ("give more time with --timeout 300", "give more time with GITOPS_TIMEOUT 300"),
        (
            "to go back: gitops-rollback rollback --service cart --environment live --reason …",
            "to go back: the rollback job (SERVICE cart, ENVIRONMENT live, REASON …)",
        ),
        (
            "run gitops-rollback release SERVICE --reason 'it is mended', then look",
            "run ACTION release of the rollback job (REASON 'it is mended'), then look",
        ),
        (
            "the deploy job or gitops-rollback deploy --image x --pull-request; --again",
            "the deploy job or gitops-rollback deploy in a shell (image x, pull request); AGAIN",
        ),
        (
            "gitops-rollback services lists what is",
            "gitops-rollback services in a shell lists what is",
        ),
        (
            "gitops-rollback history --repair --service a rebuilds it; or git log",
            "gitops-rollback history in a shell (repair, service a) rebuilds it; or git log",
        ),
        ("git push --force-with-lease", "git push --force-with-lease"),
        ("`git --version` tells; --timeout 3", "`git --version` tells; GITOPS_TIMEOUT 3"),
        (
            "kubectl --context a -n b set image c=d; or gitops-rollback wait --hasten",
            "kubectl --context a -n b set image c=d; or gitops-rollback wait in a shell (hasten)",
        ),
        ("go back with --strategy git or --to", "go back with STRATEGY git or TO"),
        ("nothing to translate: a--b", "nothing to translate: a--b"),
    ],
)
def test_a_hint_names_the_fields_of_the_form_and_no_options(shell: str, jenkins: str) -> None:
    assert in_words_of_jenkins(shell) == jenkins


def test_all_that_people_read_of_a_result_is_in_the_words_of_jenkins_and_nothing_else() -> None:
    one = {"blockedBy": [{"hint": "--again"}], "to": "--to", "warnings": ["see --to", {"x": 1}]}
    assert hinted({"hint": "--to X", "message": "--as-of is a time", "services": [one]}) == {
        "hint": "TO X",
        "message": "AS_OF is a time",
        "services": [
            {"blockedBy": [{"hint": "AGAIN"}], "to": "--to", "warnings": ["see TO", {"x": 1}]}
        ],
    }


def test_a_title_stays_short_whatever_is_in_it() -> None:
    assert len(shown("deploy", 1, error("registry", message="x" * 9000)).title) <= 160
    many = [
        {"service": f"s{n}", "environment": "default", "from": NEW, "to": OLD} for n in range(200)
    ]
    told_of_many = shown("rollback", 0, change(services=many))
    assert told_of_many.title.endswith("; and 195 more, held")
    assert len(told_of_many.about) == 200


@pytest.mark.parametrize(
    ("repository", "link"),
    [
        (
            "https://github.com/acme/manifests.git",
            f"https://github.com/acme/manifests/commit/{COMMIT}",
        ),
        (
            "https://bot:secret@git.example.com:8443/a/b/",
            f"https://git.example.com:8443/a/b/commit/{COMMIT}",
        ),
        (
            "git@github.com:acme/manifests.git",
            f"https://github.com/acme/manifests/commit/{COMMIT}",
        ),
        ("/srv/manifests.git", COMMIT),
        ("", COMMIT),
    ],
)
def test_the_commit_is_linked_where_its_page_is_known(repository: str, link: str) -> None:
    assert shown("deploy", 0, change(), GITOPS_REPOSITORY=repository).links == {"commit": link}


def test_what_is_approved_is_told_in_sentences() -> None:
    plan = {
        "services": [
            {
                "service": "cart",
                "environment": "default",
                "current": {"image": NEW},
                "to": {"image": OLD, "verified": True},
                "candidates": [{"verdict": "chosen", "deployedAt": "2026-01-31T09:00:00Z"}],
                "findings": ["the claim data changed\nsince"],
            }
        ]
    }
    assert shown("plan", 0, plan).question == (
        "Roll back cart 1.5.0 → 1.4.2? 1.4.2 is seen in the registry, deployed 3 h ago "
        "(2026-01-31T09:00:00Z). Mind: the claim data changed since."
    )
    released = shown("release", 0, change(dryRun=True))
    assert released.question.startswith("End the hold of cart, which runs 1.5.0?")
    assert "dry run" not in released.question


def test_the_drill_tells_how_many_services_could_go_back_also_where_it_fails() -> None:
    failed = {"summary": "a rollback would fail: 2 of 14 services could not go back"}
    assert shown("check", 1, failed | error("config")).title == (
        "drill: 2 of 14 services could not go back"
    )
    warned = {"summary": "a rollback would work: 13 services could go back, with warnings"}
    assert shown("check", 8, warned).title == "drill: 13 services could go back, with warnings"
    assert shown("check", 1, error("config", message="m")).title == "failed: m"


def test_what_services_were_brought_to_is_told_apart() -> None:
    assert shown("rollback", 0, change()).to == "1.4.2"
    two = [{"service": name, "environment": "default", "from": NEW, "to": OLD} for name in "ab"]
    assert shown("rollback", 0, change(services=two)).to == "a 1.4.2, b 1.4.2"


def test_the_file_is_written_only_where_a_step_asks_and_a_result_is_there(tmp_path: Path) -> None:
    result, target = tmp_path / "result.json", tmp_path / "told.json"
    environment = {"GITOPS_OUTPUT": str(result), "GITOPS_TOLD": str(target)}
    write_told("deploy", Exit.DONE, environment)
    assert not target.exists()
    result.write_text(json.dumps(change()), encoding="utf-8")
    write_told("deploy", Exit.DONE, {"GITOPS_OUTPUT": str(result)})
    assert not target.exists()
    write_told("deploy", Exit.DONE, environment)
    assert json.loads(target.read_text(encoding="utf-8"))["title"] == "cart 1.5.0 → 1.4.2"
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")] == []


_TEXT = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")


def titles() -> set[str]:
    """Every title that a build can have, of a few images: the command's own, and the library's."""
    found = {shown(command, code, result).title for command, code, result, _title in TITLES}
    waits = {shown(command, code, result).title for command, code, result, _ in TITLES[-6:]}
    done = shown("rollback", 0, change()).title
    found |= {f"{done}, {wait}" for wait in waits}  # as Page.add does
    for path in (ROOT / "src").rglob("*.groovy"):
        for match in _TEXT.finditer(path.read_text(encoding="utf-8")):
            found.add(re.sub(r"\$\{[^}]*\}", "it", match[1] or match[2] or ""))
    return found


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("on-call", r"(?:(?<=^\| )|(?<=; ))`([^`]+)`"),
        ("first-rollback", r"(?:(?<=named )|(?<=as )|(?<=^   ))`([^`]+)`"),
    ],
)
def test_the_pages_for_people_tell_titles_that_a_build_really_has(page: str, place: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    if page == "on-call":
        text = text.partition("**What a build's title says**")[2].partition("\n\n**")[0]
    found = re.findall(place, text, re.MULTILINE)
    assert len(found) > 2
    for title in found:
        words = re.split(r"cart 1\.5\.0 → 1\.4\.2|12|…", title)
        pattern = ".+".join(map(re.escape, words))
        assert any(re.fullmatch(pattern, one) for one in titles()), title

"""What stands against a push by the rules that GitHub and GitLab tell of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gitops_rollback.forges.rules import Commit, _of_push_rule, _of_repository, _of_rules

OURS = Commit(False, "cart production: 1.5.0 → 1.4.2 (rollback)", "ci@acme.org", "ci@acme.org")


def pattern(kind: str, operator: str, text: str, *, negate: bool = False) -> dict[str, Any]:
    return {
        "type": kind,
        "parameters": {"operator": operator, "pattern": text, "negate": negate},
    }


@pytest.mark.parametrize(
    ("rule", "words", "by_proposal"),
    [
        ({"type": "required_signatures"}, "have to be signed", False),
        ({"type": "pull_request"}, "pull_request", True),
        ({"type": "required_status_checks"}, "required_status_checks", True),
        ({"type": "code_scanning"}, "code_scanning", True),
        ({"type": "file_path_restriction"}, "files must not be changed", False),
        ({"type": "invented_tomorrow"}, "not known here", False),
        (pattern("commit_message_pattern", "starts_with", "SHOP-"), "SHOP-", False),
        (pattern("commit_message_pattern", "regex", "^cart"), "follow a pattern", False),
        (pattern("commit_message_pattern", "contains", "cart", negate=True), "pattern", False),
        (pattern("committer_email_pattern", "ends_with", "@example.org"), "@example.org", False),
        ({"type": "commit_author_email_pattern"}, "author's e-mail", False),
    ],
)
def test_a_rule_that_a_push_breaks_or_that_is_not_understood_is_named(
    rule: dict[str, Any],
    words: str,
    by_proposal: bool,  # noqa: FBT001 - a row of a table
) -> None:
    [found] = _of_rules([rule], OURS)
    assert words in found.text
    assert found.by_proposal is by_proposal


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "deletion"},
        {"type": "non_fast_forward"},
        {"type": "required_linear_history"},
        pattern("commit_message_pattern", "starts_with", "cart"),
        pattern("commit_message_pattern", "contains", "WIP", negate=True),
        pattern("committer_email_pattern", "ends_with", "@acme.org"),
        pattern("commit_author_email_pattern", "ends_with", "@acme.org"),
    ],
)
def test_a_rule_that_a_push_meets_is_no_obstacle(rule: dict[str, Any]) -> None:
    assert list(_of_rules([rule], OURS)) == []


def test_signed_commits_meet_the_rule_of_signatures() -> None:
    signed = replace(OURS, is_signed=True)
    assert list(_of_rules([{"type": "required_signatures"}], signed)) == []
    assert list(_of_push_rule({"reject_unsigned_commits": True}, signed)) == []
    [found] = _of_push_rule({"reject_unsigned_commits": True}, OURS)
    assert "signed" in found.text


def test_gitlabs_push_rules_are_named_with_their_patterns() -> None:
    rule = {
        "commit_message_regex": "^SHOP-",
        "author_email_regex": "",
        "member_check": True,
        "commit_committer_check": False,
        "max_file_size": 100,
    }
    texts = [found.text for found in _of_push_rule(rule, OURS)]
    assert len(texts) == 2
    assert "commit_message_regex: ^SHOP-" in texts[0]
    assert "member_check" in texts[1]


def test_a_repository_that_takes_no_pushes_is_told() -> None:
    assert [one.text for one in _of_repository({"archived": True})]
    assert [one.text for one in _of_repository({"disabled": True})]
    assert [one.text for one in _of_repository({"permissions": {"push": False}})]
    assert list(_of_repository({"permissions": {"push": True}})) == []
    assert list(_of_repository({})) == []

"""The words of a pull request: complete, in bounds, and harmless whatever stands in them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.decide.plan import Candidate
from gitops_rollback.decide.wish import Wish
from gitops_rollback.ledger.message import Told
from gitops_rollback.model import Deed
from gitops_rollback.write.proposal_text import body_of, title_of
from unit.builders import PRESENT, at, changed, image, service_at_tip

if TYPE_CHECKING:
    from gitops_rollback.decide.change import Change

SOURCES = frozenset({"git", "artifact"})
CHOSEN = Candidate(image("1.4.2"), SOURCES, at(1), verdict="chosen")
GITHUB, GITLAB_TITLE = 65_536, 255


def rolled_back(*others: Candidate, reason: str = "carts are empty") -> Change:
    found = service_at_tip(str(image("1.5.0")))
    wish = Wish(
        "rollback",
        PRESENT,
        by="jane",
        reason=reason,
        to=CHOSEN.image.canonical,
        accept=frozenset({"never-ran", "unproven"}),
    )
    change = changed(wish, found)
    assert change.plan is not None
    return replace(change, plan=replace(change.plan, candidates=(*others, CHOSEN)))


def refused(message: str) -> Candidate:
    return Candidate(image("1.4.3"), SOURCES, at(2)).refused("bad", message)


def test_every_candidate_is_a_row_of_a_table_the_chosen_one_first() -> None:
    body = body_of([rolled_back(refused("rolled back from before"))], "-a\n+b")
    assert (
        "\n\n| candidate | image | deployed | what is known of it |\n| --- | --- | --- | --- |\n"
        f"| chosen | `1.4.2` | `{at(1)}` | `told by artifact, git` |\n"
        f"| refused | `1.4.3` | `{at(2)}` | `bad; rolled back from before` |\n"
    ) in body


def test_a_text_from_outside_ends_no_cell_and_calls_nobody() -> None:
    hostile = "a|b \\| c `@team` #12 <img src=x> [x](http://x)\n| new | row |"
    body = body_of([rolled_back(refused(hostile), reason=hostile)], "")
    row = next(line for line in body.splitlines() if line.startswith("| refused"))
    assert row.endswith(
        r"| `` bad; a\|b \ \| c `@team` #12 <img src=x> [x](http://x) \| new \| row \| `` |"
    )
    assert r"- reason: `` a|b \| c `@team` #12 <img src=x> [x](http://x) | new | row | ``" in body


def test_many_candidates_are_counted() -> None:
    body = body_of([rolled_back(*[refused("bad") for _ in range(30)])], "")
    assert body.count("| refused |") == 9
    assert "|  | 21 more |  |  |" in body


def test_several_services_begin_with_a_table_of_all() -> None:
    body = body_of([rolled_back(), rolled_back()], "")
    row = "| `cart` | `1.5.0` | `1.4.2` |"
    assert body.startswith(f"| service | from | to |\n|---|---|---|\n{row}\n{row}\n\n### cart")


def test_the_body_fits_whatever_the_number_of_services_and_the_length_of_their_texts() -> None:
    long = rolled_back(*[refused("x" * 5_000)] * 20, reason="`|" * 3_000)
    diff = "\n".join(f"-line {number}" for number in range(20_000))
    body = body_of([long] * 500, diff)
    assert GITHUB * 0.8 < len(body) < GITHUB
    shown = body.count("### cart")
    assert 1 <= shown < 500
    assert f"{500 - shown} more services: the commit's message names all." in body
    assert "more lines: see the changed files)\n```\n\nMade by" in body


def test_a_diff_is_cut_at_the_end_of_a_line() -> None:
    diff = "\n".join("+" + "y" * 999 for _ in range(100))
    body = body_of([rolled_back()], diff)
    shown = body.partition("```diff\n")[2].partition("\n(")[0].split("\n")
    assert set(map(len, shown)) == {1000}
    assert f"({100 - len(shown)} more lines: see the changed files)" in body


def test_the_title_is_no_longer_than_the_hosts_take() -> None:
    change = rolled_back()
    summary = Told("cart", "production", Deed("rollback", image("b" * 128), image("a" * 128)))
    title = title_of([replace(change, summary=summary)])
    assert len(title) == GITLAB_TITLE
    assert title.endswith("…")

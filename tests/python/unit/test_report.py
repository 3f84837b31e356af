"""The page of `report`: what it says, that it is safe, and that Jenkins' headers let it work."""

from __future__ import annotations

import html
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from markupsafe import escape

from gitops_rollback import redaction
from gitops_rollback.image import parse_image
from gitops_rollback.report import Documents, draw, make_page, render, safe_url

EVIL = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;\x07"
PRESENT = "2026-01-03T00:00:00Z"
REPOSITORY = "https://github.com/acme/manifests.git"
VOID = {"meta", "link", "img", "br"}


def image(tag: str) -> str:
    return f"docker.io/acme/cart:{tag}@sha256:{1:064x}"


def entry(action: str, tag: str, day: int = 1, **more: Any) -> dict[str, Any]:  # noqa: ANN401
    at = f"2026-01-0{day}T02:03:04Z"
    return {"at": at, "action": action, "to": image(tag), "proofs": ["git"], "conflicts": []} | more


def plan(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a plan
    service = {
        "service": "cart",
        "environment": "production",
        "current": {"image": image("1.5.0"), "value": "acme/cart:1.5.0"},
        "to": {"image": image("1.4.2"), "source": "artifact", "verified": True},
        "candidates": [
            {"image": image("1.4.1"), "sources": [], "verdict": "refused", "reason": "bad"},
            {"image": image("1.4.2"), "sources": ["git"], "verdict": "chosen"},
        ],
        "edits": [{"path": "a.yaml", "line": 3, "container": "c", "old": "x:1", "new": "x:2"}],
        "findings": [],
        "blockedBy": [],
    }
    return {"repository": REPOSITORY, "branch": "main", "commit": "c" * 40} | {
        "services": [service | more]
    }


def history(entries: list[dict[str, Any]], *findings: str) -> dict[str, Any]:
    own = {"service": "cart", "environment": "production"}
    return {"services": [own | {"entries": entries, "findings": list(findings)}]}


def files(**documents: Any) -> dict[str, str]:  # noqa: ANN401 - of Documents
    return render(make_page(Documents(**documents), REPOSITORY, PRESENT, {}))


class Rules(HTMLParser):
    """Collects what the Content-Security-Policy forbids, and whether every element is closed."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names
        self.broken: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("script", "style", "iframe", "object", "embed", "form", "base", "svg"):
            self.broken.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith("on"):
                self.broken.append(f"{tag} {name}")
            if name in ("src", "srcset", "data", "poster") or (tag == "link" and name == "href"):
                if value not in self.names:
                    self.broken.append(f"{tag} {name}={value}")
            elif name == "href":
                self.links.append(value or "")
            elif name == "id":
                self.ids.append(value or "")
        if tag == "img" and not dict(attrs).get("alt"):
            self.broken.append("img without alt")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def checked(made: dict[str, str]) -> Rules:
    rules = Rules(set(made))
    rules.feed(made["report.html"])
    rules.close()
    assert rules.broken == []
    assert rules.open == []
    assert len(rules.ids) == len(set(rules.ids))
    for name, text in made.items():
        if name.endswith(".svg"):
            root = ET.fromstring(text)
            for element in root.iter():
                assert element.tag.rpartition("}")[2] in (
                    "svg",
                    "title",
                    "rect",
                    "path",
                    "circle",
                    "text",
                )
                assert {"style", "class", "href"}.isdisjoint(element.attrib)
    assert "@import" not in made["report.css"]
    assert "url(" not in made["report.css"]
    assert made["report.html"].startswith("<!DOCTYPE html>")
    return rules


def test_the_page_keeps_to_what_jenkins_allows_and_says_what_the_plan_says() -> None:
    entries = [entry("rollback", "1.4.2", 2), entry("deploy", "1.5.0")]
    made = files(plan=plan(), history=history(entries))
    text = " ".join(checked(made).text)
    for words in ("cart production", "1.5.0 → 1.4.2, planned", "bad", "21 h so far"):
        assert words in " ".join(text.split()), words
    assert text.index("chosen") < text.index("refused")
    assert "timeline-production-cart.svg" in made


def test_everything_shown_is_escaped() -> None:
    hostile = plan(
        findings=[EVIL],
        blockedBy=[{"code": "held", "message": EVIL, "hint": EVIL}],
        edits=[{"path": EVIL, "line": 3, "container": EVIL, "old": EVIL, "new": EVIL}],
        hold={
            "from": image("1.5.0"),
            "to": image("1.4.2"),
            "at": PRESENT,
            "by": EVIL,
            "reason": EVIL,
        },
    )
    build = {"job": EVIL, "number": 3, "url": "javascript:alert(1)"}
    entries = [
        entry("deploy", "1.5.0", 2, by=EVIL, reason=EVIL, build=build, conflicts=[EVIL]),
        entry("deploy", "1.4.2", by=EVIL),
    ]
    error = {"category": "refused", "message": EVIL, "hint": EVIL}
    result = {"services": [], "error": error}
    rules = checked(files(plan=hostile, history=history(entries, EVIL), result=result))
    assert EVIL.replace("\x07", "\\x07") in "".join(rules.text)
    leading = [link for link in rules.links if not link.startswith("#s-")]
    assert all(link.startswith("https://github.com/acme/manifests") for link in leading)
    assert {link.removeprefix("#") for link in rules.links} - set(leading) <= set(rules.ids)


SECRET = "hunter2-Zq&<9x'"


@pytest.mark.parametrize("text", [SECRET, quote(SECRET, safe=""), html.escape(SECRET)])
def test_no_file_of_a_page_has_a_secret_or_what_turns_letters_round(text: str) -> None:
    hidden = f"\u202e\x1b\u2028 {text} \udcff"
    build = {"job": hidden, "number": 3, "url": f"https://ci.example.com/{quote(text)}/"}
    entries = [entry("deploy", "1.5.0", 2, by=hidden, reason=hidden, build=build)]
    redaction.know(SECRET)
    try:
        made = files(plan=plan(findings=[hidden]), history=history(entries, hidden))
        page = make_page(Documents(plan=plan()), REPOSITORY, PRESENT, build)
        written = "".join((*made.values(), *render(page).values()))
    finally:
        redaction.forget()
    for form in (text, html.escape(text), str(escape(text)), quote(text)):
        assert form not in written
    assert all(char.isprintable() or char in "\n\xa0" for char in written)
    assert written.encode()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "//example.com/x",
        "/job/x",
        "https://user:secret@example.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https:///x",
        "http://[::1",
        "",
        None,
    ],
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    assert safe_url(url) is None


def test_a_web_address_becomes_a_link_as_it_is() -> None:
    url = "https://ci.example.com/job/a/job/b%2Fc/7/?x=1&y=2"
    assert safe_url(url) == url
    build = {"job": "a/b", "number": 7, "url": url}
    page = make_page(Documents(plan=plan()), REPOSITORY, PRESENT, build)
    rules = checked(render(page))
    assert url in rules.links
    assert f"https://github.com/acme/manifests/commit/{'c' * 40}" in rules.links


def test_a_rollback_leads_back_to_the_column_of_its_image() -> None:
    entries = [entry("rollback", "1", 3), entry("deploy", "2", 2), entry("deploy", "1", 1)]
    picture = draw("cart", entries)
    newest, middle, oldest = picture.marks
    assert newest.x == oldest.x != middle.x
    assert newest.y < middle.y < oldest.y
    assert (newest.action, oldest.path) == ("rollback", "")
    assert parse_image(entries[0]["to"]).label in newest.title


def test_many_images_stay_within_the_width_of_a_telephone() -> None:
    picture = draw("cart", [entry("deploy", f"0.{number}") for number in range(40)])
    assert picture.width <= 360
    assert max(mark.text_x for mark in picture.marks) < 200


def test_no_image_to_go_back_to_is_said_first() -> None:
    nothing = plan()
    del nothing["services"][0]["to"]
    made = files(
        plan=nothing | {"error": {"category": "not-found", "message": "none", "hint": "h"}}
    )
    text = " ".join(checked(made).text)
    assert "1.5.0: no image to go back to" in text
    assert "What to do:" in text


def test_a_rollout_is_told_with_its_moments_and_its_failure() -> None:
    rollout = {
        "rollouts": [{"service": "cart", "environment": "default", "image": "acme/cart:1.5.0",
                      "state": "failed", "message": "Deployment/shop/cart cannot pull it"}],
        "seconds": {"total": 9.5, "decide": 0.3, "commit": 0.6, "fetched": 1.2, "applied": 1.9},
        "error": {"category": "cluster", "message": "cannot pull it", "hint": "look"},
    }  # fmt: skip
    page = make_page(Documents(rollout=rollout), REPOSITORY, PRESENT, {})
    facts = {name: link.text for name, link in page.facts}
    assert facts["Rollout"] == "cart: failed: Deployment/shop/cart cannot pull it"
    assert page.error["message"] == "cannot pull it"
    assert page.timings[-1] == ("total", 9.5)
    assert ("until applied", 1.9) in page.timings


def said(made: dict[str, str]) -> str:
    return " ".join(" ".join(checked(made).text).split())


def change(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a result
    one = {"service": "cart", "environment": "production", "from": image("1.5.0"),
           "to": image("1.4.2"), "edits": [], "warnings": []}  # fmt: skip
    return {"commit": "d" * 40, "branch": "main", "dryRun": False, "services": [one], **more}


def test_a_rollback_says_first_what_was_done_who_holds_it_whether_it_is_live_and_what_is_next() -> (
    None
):
    done = entry("rollback", "1.4.2", 2, by="jane", commit="d" * 40, **{"from": image("1.5.0")})
    live = {"rollouts": [{"service": "cart", "environment": "production", "state": "ready"}]}
    text = said(files(result=change(), history=history([done]), rollout=live))
    assert text.startswith("Rolled back: cart production 1.5.0 → 1.4.2 ")
    short = text.partition("In short")[2].partition("What ran")[0]
    for words in ("1.5.0 → 1.4.2", "rolled back", "yes, since 2026-01-02 02:03:04 UTC by jane",
                  "Live yes", "deploy the fix, which ends the hold; or release it"):  # fmt: skip
        assert words in short, words


BUILT = {
    "by": "build",
    "tool": "kustomize",
    "version": "v5.7.1",
    "builds": [{"folder": "apps/prod"}],
}


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        ({"by": "model"}, "Effect: followed exactly"),
        ({"by": "restored"}, "Effect: as it was when the image ran"),
        (BUILT, "Effect: proven by kustomize v5.7.1, which built apps/prod before and after"),
    ],
)
def test_what_proves_the_effect_is_said_below_the_difference(
    proof: dict[str, Any], words: str
) -> None:
    assert words in said(files(plan=plan(effectProof=proof)))
    [one] = change()["services"]
    result = change(
        services=[one | {"effectProof": proof, "edits": plan()["services"][0]["edits"]}]
    )
    assert words in said(files(result=result))
    assert "Effect:" not in said(files(plan=plan()))


def test_a_rollback_that_was_refused_says_so_and_what_to_do() -> None:
    block = {"code": "already", "message": "rolled back already", "hint": "look at it first"}
    refused = plan(
        blockedBy=[block], hold={"at": "2026-01-01T00:00:00Z", "by": "joe", "reason": "x"}
    )
    error = {"category": "refused", "code": "already", "message": "m", "hint": "look at it first"}
    text = said(files(plan={**refused, "error": error}))
    assert text.startswith("Refused: cart production")
    short = text.partition("In short")[2].partition("Candidates")[0]
    assert "would be refused" in short
    assert "yes, since 2026-01-01 00:00:00 UTC by joe" in short
    assert "look at it first" in short


def test_a_plan_that_passes_over_what_ran_just_before_says_so_in_its_line() -> None:
    text = said(files(plan=plan(passedOver=["1.4.9 (gone)"])))
    short = text.partition("In short")[2].partition("Candidates")[0]
    assert "How it stands planned, over 1.4.9 (gone) Held" in short


def test_of_a_service_that_is_back_already_the_page_does_not_say_that_there_is_no_image() -> None:
    block = {"code": "already", "message": "rolled back already", "hint": "look at it first"}
    back = plan(blockedBy=[block])
    del back["services"][0]["to"]
    text = said(files(plan=back))
    assert "back at 1.5.0 already" in text
    assert "no image to go back to" not in text


def test_thirty_services_are_a_table_to_scan_with_the_details_folded() -> None:
    [one] = plan()["services"]
    many = [{**one, "service": f"s{number:02}"} for number in range(30)]
    made = files(plan={**plan(), "services": many})
    rules = checked(made)
    leading = [link for link in rules.links if link.startswith("#")]
    assert leading == [f"#s-production-s{number:02}" for number in range(30)]
    assert made["report.html"].count("<details>") == 30
    assert "<h1>Plan: 30 services</h1>" in made["report.html"]
    assert "<details open>" in files(plan=plan())["report.html"]


def test_a_drill_shows_what_is_broken_first() -> None:
    [one] = plan()["services"]
    three = [{**one, "service": name} for name in ("basket", "cart", "payment")]
    levels = {"payment": "failed", "cart": "warning"}
    found = [
        {"check": "target", "subject": f"{name} production", "level": level, "message": "m"}
        for name, level in levels.items()
    ]
    summary = "a rollback would fail: 1 of 3 services could not go back"
    check = {"verdict": "failed", "summary": summary, "findings": found}
    made = files(plan={**plan(), "services": three}, check=check)
    links = [link for link in checked(made).links if link.startswith("#")]
    assert links == ["#s-production-payment", "#s-production-cart", "#s-production-basket"]


def drilled(level: str, message: str, **more: Any) -> dict[str, str]:  # noqa: ANN401 - any part of a plan
    """Return the page of a drill that found one thing about a service that has no way back."""
    [one] = plan(**more)["services"]
    del one["to"]
    found = {"check": "target", "subject": "cart production", "level": level, "message": message}
    told = {"summary": "a rollback would not work yet", "findings": [{**found, "hint": "h"}]}
    check = {"verdict": "warnings", **told}
    return files(plan={**plan(), "services": [one]}, check=check)


@pytest.mark.parametrize(
    ("seen", "words"),
    [({"verified": True}, "in order"), ({"verified": False}, "not verified at the registry")],
)
def test_the_page_of_a_drill_calls_nothing_in_order_that_no_registry_has_shown(
    seen: dict[str, bool], words: str
) -> None:
    [one] = plan()["services"]
    whole = {**plan(), "services": [{**one, "to": {**one["to"], **seen}}]}
    check = {"verdict": "ok", "summary": "a rollback would work", "findings": []}
    text = said(files(plan=whole, check=check))
    assert f"1.5.0 → 1.4.2, {words} From" in text


def test_the_page_of_a_drill_says_of_a_service_what_the_drill_says_of_it() -> None:
    new = drilled("warning", "nothing ran before")
    hold = {"at": "2026-01-01T00:00:00Z", "by": "joe", "reason": "x"}
    block = {"code": "already", "message": "rolled back already", "hint": "look at it first"}
    back = drilled("ok", "is rolled back as far as anybody knows", hold=hold, blockedBy=[block])
    for made, words in ((new, "1.5.0, nothing ran before"), (back, "1.5.0, in order")):
        text = said(made)
        assert words in text
        assert "a rollback would not work yet" in text
        assert "no image to go back to" not in text
        assert "would be refused" not in text
    assert "Refused (already)" not in said(back)
    assert "with a warning Held no" in said(new)

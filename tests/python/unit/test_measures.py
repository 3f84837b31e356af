"""The numbers of deploys and rollbacks, on a ledger whose numbers are known."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import Any

import pytest

from gitops_rollback import schema
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.ledger.measures import RELEASE, Happening, Measures, measure, together
from gitops_rollback.parsing import parse
from gitops_rollback.tell.texts import lines_of

SINCE, PRESENT = "2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z"  # ten days


def image(tag: str) -> ImageReference:
    return parse_image(f"acme/cart:{tag}@sha256:{tag.replace('.', '') * 32:0<64.64}")


def day(number: float) -> str:
    whole = int(number)
    return f"2026-01-{whole:02}T{round((number - whole) * 24):02}:00:00Z"


def deploy(at: float, tag: str) -> Happening:
    return Happening(day(at), "deploy", image(tag))


def rollback(at: float, bad: str, to: str) -> Happening:
    return Happening(day(at), "rollback", image(to), image(bad))


def measured(*told: Happening, bad: tuple[str, ...] = ()) -> Measures:
    marks = [image(tag) for tag in bad]
    return measure(told, marks, since=SINCE, present=PRESENT, complete_since=SINCE)


LEDGER = (
    deploy(1, "1.1"),
    deploy(2, "1.2"),
    rollback(2.25, "1.2", "1.1"),  # after 6 h
    deploy(3.25, "1.3"),  # ends a hold of 24 h
    deploy(5, "1.4"),
    rollback(5.75, "1.4", "1.3"),  # after 18 h
    Happening(day(7.75), RELEASE, image("1.3")),  # ends a hold of 48 h
)


def test_the_numbers_of_a_ledger_are_those_that_are_known() -> None:
    found = measured(*LEDGER).to_json()
    assert found == {
        "completeSince": SINCE,
        "deployments": 4,
        "deploymentsPerDay": 0.4,
        "failedDeployments": 2,
        "changeFailureRate": 0.5,
        "rollbacks": 2,
        "recoverySeconds": {"count": 2, "median": 12 * 3600.0, "longest": 18 * 3600.0},
        "holdSeconds": {"count": 2, "median": 36 * 3600.0, "longest": 48 * 3600.0},
        "openHolds": 0,
    }


def test_the_order_in_which_it_is_told_is_of_no_matter() -> None:
    assert measured(*reversed(LEDGER)) == measured(*LEDGER)


def test_nothing_has_no_rate_and_no_median() -> None:
    found = measured().to_json()
    assert (found["deployments"], found["openHolds"]) == (0, 0)
    assert not {"changeFailureRate", "recoverySeconds", "holdSeconds"} & set(found)


def test_an_image_that_is_marked_bad_failed_though_nobody_rolled_back() -> None:
    assert measured(deploy(1, "1.1"), deploy(2, "1.2"), bad=("1.1",)).failures == 1
    again = (deploy(1, "1.1"), deploy(2, "1.2"), deploy(3, "1.1"))
    assert measured(*again, bad=("1.1",)).failures == 1, "the deploy that was marked is the last"


def test_of_an_image_deployed_twice_the_last_deploy_failed() -> None:
    found = measured(deploy(1, "1.1"), deploy(3, "1.1"), rollback(4, "1.1", "1.0"))
    assert (found.failures, found.recoveries) == (1, (24 * 3600.0,))


def test_a_rollback_that_holds_still_counts_until_now() -> None:
    found = measured(deploy(1, "1.1"), rollback(2, "1.1", "1.0"))
    assert (found.holds, found.open_holds) == ((9 * 86_400.0,), 1)


def test_what_was_before_the_window_counts_only_for_what_is_in_it() -> None:
    old = Happening("2025-12-31T12:00:00Z", "deploy", image("1.1"))
    found = measured(old, rollback(1, "1.1", "1.0"), deploy(2, "1.2"))
    assert (found.deployments, found.failures, found.rollbacks) == (1, 0, 1)
    assert found.recoveries == (12 * 3600.0,)
    held = Happening("2025-12-30T00:00:00Z", "rollback", image("1.0"), image("0.9"))
    assert (measured(held).holds, measured(held).open_holds) == ((), 1)


def test_a_recovery_also_counts_until_clusters_had_it_where_a_wait_saw_that() -> None:
    back = Happening(day(4), "rollback", image("1.0"), image("1.1"), "2026-01-04T00:01:30.500Z")
    seen = measured(deploy(3, "1.1"), back)
    assert seen.recoveries == (24 * 3600.0,)
    assert seen.live_recoveries == (24 * 3600.0 + 90.5,)
    assert together([seen, measured(*LEDGER)]).live_recoveries == seen.live_recoveries
    assert "until applied" in shown(document(seen))[1]
    assert "until applied" not in shown(document(measured(*LEDGER)))[1]


def test_several_services_are_pooled() -> None:
    both = together([measured(*LEDGER), measured(deploy(1, "2.0"))])
    assert (both.deployments, both.failures) == (5, 2)
    assert both.to_json()["changeFailureRate"] == 0.4
    more = together([measured(*LEDGER), *(measured(deploy(1, "2.0")) for _ in range(2))])
    assert more.to_json()["changeFailureRate"] == 0.3333


def document(*ones: Measures) -> dict[str, Any]:
    names = ("cart", "payment")
    services = [
        {"service": name, "environment": "production", **one.to_json()}
        for name, one in zip(names, ones, strict=False)
    ]
    total = together(ones).to_json()
    return {"since": SINCE, "until": PRESENT, "services": services, "total": total,
            "drills": {"count": 4, "successRate": 0.75}}  # fmt: skip


def shown(found: dict[str, Any], form: str = "text") -> list[str]:
    options = parse("stats", ["--format", form], {})
    return lines_of(found, options.output)


def test_the_result_fits_its_schema() -> None:
    whole = {"schemaVersion": 1, **document(measured(*LEDGER), measured())}
    schema.check(json.loads(json.dumps(whole)), "result-stats")


def test_people_read_a_table_with_all_services_together_below() -> None:
    lines = shown(document(measured(*LEDGER), measured(deploy(1, "2.0"))))
    assert lines[0] == "2026-01-01 to 2026-01-11, as DORA defines it"
    rows = [line.split() for line in lines[2:5]]
    assert rows[0][:7] == ["cart", "production", "4", "0.4", "2", "50%", "2"]
    assert rows[2][:4] == ["all", "5", "0.5", "2"]
    assert "drills: 4, success rate 75%" in lines


def test_what_is_not_complete_says_since_when_it_is() -> None:
    late = measure([], [], since=SINCE, present=PRESENT, complete_since=day(9))
    assert shown(document(late, late))[-1] == (
        "complete since 2026-01-09T00:00:00Z only: cart production, payment production"
    )


def test_a_spreadsheet_reads_the_csv() -> None:
    rows = [line.split(",") for line in shown(document(measured(*LEDGER), measured()), "csv")]
    assert rows[0][:3] == ["service", "environment", "since"]
    assert dict(zip(rows[0], rows[1], strict=True))["recoverySeconds"] == "43200.0"
    assert dict(zip(rows[0], rows[2], strict=True))["changeFailureRate"] == ""


def test_prometheus_reads_the_textfile() -> None:
    parser = importlib.import_module("prometheus_client.parser")
    text = "\n".join(shown(document(measured(*LEDGER), measured()), "prometheus")) + "\n"
    families = {one.name: one for one in parser.text_string_to_metric_families(text)}
    deployments = families["gitops_rollback_deployments"]
    assert deployments.type == "gauge"
    assert deployments.documentation
    labels = {"service": "cart", "environment": "production"}
    assert (deployments.samples[0].labels, deployments.samples[0].value) == (labels, 4)
    assert len(families["gitops_rollback_recovery_seconds"].samples) == 1
    assert all(name.startswith("gitops_rollback_") for name in families)


@pytest.mark.parametrize("form", ["text", "csv", "prometheus"])
def test_an_error_has_no_numbers(form: str) -> None:
    assert shown({"error": {"category": "config"}}, form) == []


def test_what_a_deploy_replaced_did_not_fail_and_what_was_put_back_was_not_deployed() -> None:
    told = [replace(one, from_image=image("0.9")) for one in (deploy(1.5, "1.0"), deploy(2, "1.1"))]
    first = deploy(1, "0.9")
    assert measured(first, *told).failures == 0
    back = (rollback(3, "1.1", "1.0"), rollback(4, "1.0", "0.9"))
    found = measured(first, *told, *back)
    assert (found.failures, found.recoveries) == (2, (86_400, 2.5 * 86_400))

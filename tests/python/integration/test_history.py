"""What `history` tells of a repository, its records, and both where they disagree."""

from __future__ import annotations

import json
import shutil
import time
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import CART_PATH, CART_STATE, Shop, canonical, image, names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CART = ("--service", "cart")


def entries(shop: Shop, *arguments: str, **settings: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401
    """The entries of the cart, newest first."""
    found: list[Mapping[str, Any]] = shop.ok("history", *CART, *arguments, **settings).service()[
        "entries"
    ]
    return found


def test_it_lists_deployments_and_rollbacks_with_what_proves_each(held: Shop) -> None:
    tip = held.tip()
    before = held.everything()
    found = entries(held)
    assert names(found, "action") == ["rollback", "deploy", "deploy", "edit"]
    newest = found[0]
    assert (newest["from"], newest["to"]) == (canonical("1.5.0"), canonical("1.4.2"))
    assert (newest["by"], newest["reason"]) == ("jane", "checkout fails")
    assert newest["commit"] == tip
    assert names(found, "proofs") == [["artifact", "git"]] * 3 + [["git"]]
    assert names(found, "conflicts") == [[]] * 4
    assert held.everything() == before


def test_it_reads_on_a_terminal_of_forty_columns(held: Shop) -> None:
    run = held.ok("history", *CART, environment={"COLUMNS": "40"})
    assert "by jane: checkout fails" in run.stdout
    assert "rollback" in run.stdout
    too_long = [line for line in run.stdout.splitlines() if len(line) > 40 and "sha256" not in line]
    assert too_long == []


def test_without_a_state_file_trailers_tell_the_same(held: Shop) -> None:
    with_state = entries(held)
    shutil.rmtree(held.store)
    held.commit({CART_STATE: None}, "Lose the state")
    run = held.ok("history", *CART)
    keys = ("action", "from", "to", "by", "reason", "commit")
    assert [{key: e.get(key) for key in keys} for e in run.service()["entries"]] == [
        {key: e.get(key) for key in keys} for e in with_state
    ]
    assert any("no state file" in finding for finding in run.service()["findings"])


def test_where_no_state_file_was_written_there_is_none_yet(shop: Shop) -> None:
    assert any("yet" in one for one in shop.ok("history", *CART).service()["findings"])


def test_a_deleted_state_file_is_said_to_be_gone(held: Shop) -> None:
    held.commit({CART_STATE: None, **dict.fromkeys(held.holds())}, "Lose it all")
    [finding] = [f for f in held.ok("history", *CART).service()["findings"] if "state file" in f]
    assert finding.startswith("there is no state file any more")


def test_without_a_state_file_a_rollback_is_refused_as_already_done_and_the_bad_image_known(
    held: Shop,
) -> None:
    shutil.rmtree(held.store)
    held.commit({CART_STATE: None}, "Lose the state")
    run = held.refused(6, "refused", "rollback", *CART, "--reason", "x")
    assert run.error["code"] == "already"
    held.edit(image("1.4.2"), "acme/cart:1.7.0")
    plan = held.ok("plan", *CART, "--to", "1.5.0").service()
    assert plan["blockedBy"][0]["code"] == "bad"


def test_a_revert_of_a_deploy_shows_both_and_says_what_was_taken_back(released: Shop) -> None:
    tip = released.tip() or ""
    before = released.git("rev-parse", f"{tip}^")
    files = {path: released.bytes_of(path, before) for path in (CART_PATH, CART_STATE)}
    released.commit(files, f'Revert "cart"\n\nThis reverts commit {tip}.', by="Ada")
    found = entries(released)
    assert names(found, "action") == ["edit", "deploy", "deploy", "edit"]
    assert (found[0]["by"], found[0]["to"]) == ("Ada", canonical("1.4.2"))
    assert "it was taken back" in found[1]["conflicts"][0]
    assert found[2]["conflicts"] == []


def test_other_tools_and_people_are_named_where_no_state_file_explains(shop: Shop) -> None:
    shop.edit("acme/cart:1.4.1", "acme/cart:1.5.0", by="fluxcdbot")
    shop.edit("acme/cart:1.5.0", "acme/cart:1.6.0", by="Ada Lovelace")
    shop.edit("acme/cart:1.6.0", "acme/cart:1.5.0", by="Ben")
    found = entries(shop)
    assert [entry.get("by") for entry in found] == ["Ben", "Ada Lovelace", "fluxcdbot", "Jane Doe"]
    assert names(found, "proofs") == [["git"]] * 4
    run = shop.refused(6, "refused", "rollback", *CART, "--reason", "x")
    assert run.error["code"] == "already"
    assert "by Ben, 1.6.0 → 1.5.0" in run.error["message"]


def test_trailers_that_do_not_fit_the_manifest_count_for_nothing(released: Shop) -> None:
    text = released.text().replace(image("1.5.0"), "acme/cart:1.6.0")
    lie = released.log("%B")[:20]
    released.commit({CART_PATH: text}, "Lie\n\n" + "\n".join(lie), by="Mallory")
    newest = entries(released)[0]
    assert (newest["action"], newest["by"]) == ("edit", "Mallory")


@pytest.mark.parametrize(
    "spoil", [lambda data: data.replace(b"1.4.2", b"6.6.6"), lambda _data: b""]
)
def test_a_record_that_was_changed_proves_nothing(
    released: Shop, spoil: Callable[[bytes], bytes]
) -> None:
    path = released.records.folder(2) / "record.json"
    path.write_bytes(spoil(path.read_bytes()))
    newest, *others = entries(released)
    assert newest["proofs"] == ["git"]
    assert newest["conflicts"][0].startswith("tampered: ")
    assert [entry["conflicts"] for entry in others] == [[], []]


def test_it_goes_on_without_an_archive_that_does_not_answer(released: Shop) -> None:
    store = ("--store", "jenkins:shop/cart")
    environment = {"JENKINS_URL": "http://127.0.0.1:1/"}
    run = released.ok("history", *CART, *store, environment=environment)
    assert names(run.service()["entries"], "proofs") == [["git"]] * 3
    assert "connection refused" in run.service()["findings"][0]


def test_a_record_of_a_deploy_that_never_came_is_a_finding(released: Shop) -> None:
    released.ok("record", *CART, "--image", image("1.6.0"), "--record-dir", str(released.home))
    run = released.ok("history", *CART)
    assert len(run.service()["entries"]) == 3
    assert "1.6.0" in run.service()["findings"][0]


def test_it_shows_as_many_as_are_asked_for(held: Shop) -> None:
    assert len(entries(held, "--limit", "2")) == 2
    assert len(entries(held, environment={"GITOPS_LIMIT": "1"})) == 1
    held.refused(2, "usage", "history", *CART, "--limit", "0")


def test_a_long_history_is_not_read_to_its_end(released: Shop) -> None:
    for number in range(60):
        released.edit("replicas: ", f"replicas: {number}", by="Ada")
    run = released.ok("history", *CART)
    assert names(run.service()["entries"], "action") == ["deploy", "deploy", "edit"]
    assert json.dumps(run.result)


def test_stats_count_a_hold_that_began_in_the_second_of_its_deploy(shop: Shop) -> None:
    second = {"GIT_COMMITTER_DATE": f"@{shop.moment()} +0000"}
    shop.deploy("1.5.0", environment=second)
    shop.roll_back(environment=second)
    told = shop.ok("stats", *CART).service()
    assert (told["deployments"], told["failedDeployments"], told["rollbacks"]) == (1, 1, 1)
    assert told["openHolds"] == 1


def waited(commit: str, *moments: str) -> dict[str, Any]:
    """Return what `wait` tells of a commit in as many clusters as there are moments."""
    one = {"service": "cart", "environment": "default", "image": "acme/cart:1.4.2"}
    rollouts = [
        {**one, "cluster": f"c{number}", "state": "applied", **({"appliedAt": at} if at else {})}
        for number, at in enumerate(moments)
    ]
    seen = {"commit": commit, "branch": "main", "state": "applied", "verifiedBy": "cluster"}
    return {"schemaVersion": 1, **seen, "rollouts": rollouts}


def test_stats_tell_how_long_a_recovery_took_until_clusters_had_it(shop: Shop) -> None:
    began = shop.moment() - 3600
    shop.deploy("1.5.0", environment={"GIT_COMMITTER_DATE": f"@{began} +0000"})
    back = shop.roll_back(environment={"GIT_COMMITTER_DATE": f"@{began + 600} +0000"})
    east, west, late = (
        time.strftime("%Y-%m-%dT%H:%M:%S.500Z", time.gmtime(began + after))
        for after in (610, 630, 900)
    )
    commit = back.result["commit"]
    files = {
        "wait": waited(commit, east, west),
        "looked-again": waited(commit, late, late),
        "one-is-missing": waited(commit, east, ""),
        "another": waited("f" * 40, east),
    }
    for name, document in files.items():
        (shop.root / name).write_text(json.dumps(document), encoding="utf-8")

    def numbers(*names: str) -> dict[str, Any]:
        given = [part for name in names for part in ("--waited", str(shop.root / name))]
        return shop.ok("stats", *CART, *given).service()

    assert numbers()["recoverySeconds"]["median"] == 600
    assert "recoveryAppliedSeconds" not in numbers("one-is-missing", "another")
    assert numbers("looked-again", "wait")["recoveryAppliedSeconds"]["median"] == 630.5
    told = {**back.result, "rollout": {**files["wait"]}}
    told["rollout"].pop("schemaVersion")
    (shop.root / "both").write_text(json.dumps(told), encoding="utf-8")
    assert numbers("both")["recoveryAppliedSeconds"]["longest"] == 630.5


@pytest.mark.parametrize(("option", "what"), [("--waited", "a wait"), ("--drill", "a drill")])
def test_stats_take_no_file_that_is_something_else(shop: Shop, option: str, what: str) -> None:
    other = shop.root / "other.json"
    run = shop.run("stats", *CART, option, str(other))
    assert (run.code, "cannot be read" in run.error["message"]) == (2, True)
    other.write_text('{"schemaVersion": 1, "rows": []}', encoding="utf-8")
    run = shop.run("stats", *CART, option, str(other))
    assert (run.code, f"is no result of {what}" in run.error["message"]) == (2, True)

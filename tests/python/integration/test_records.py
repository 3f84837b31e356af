"""Record, archive, deploy: what is archived is exactly what was replaced."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import CART, CART_PATH, Shop, canonical, digest, image

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RECORD = "gitops-rollback/default/cart/record.json"
BUILD = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": "7", "BUILD_URL": "https://ci.example/7/"}
# With a Jenkins store nothing is filed: the job archives what `record` writes.
JENKINS = {**BUILD, "JENKINS_URL": "http://127.0.0.1:1/"}


def make_record(shop: Shop, tag: str, environment: dict[str, str] = JENKINS) -> Path:
    wanted = ("--service", "cart", "--image", image(tag), "--record-dir", str(shop.root))
    shop.ok("record", *wanted, environment=environment)
    return shop.root / RECORD


def deploy_recorded(shop: Shop, tag: str, *more: str) -> tuple[str, ...]:
    return (
        *("--service", "cart", "--image", image(tag), "--record", str(shop.root / RECORD)),
        *more,
    )


def test_a_record_says_what_is_about_to_be_replaced_and_keeps_the_manifest(shop: Shop) -> None:
    path = make_record(shop, "1.4.2", {**JENKINS, "GITOPS_BY": "jane"})
    record = json.loads(path.read_bytes())
    assert record["service"] == "cart"
    assert record["environment"] == "default"
    assert record["repository"] == str(shop.bare)
    assert (record["branch"], record["commit"]) == ("main", shop.tip())
    assert record["image"] == "docker.io/acme/cart:1.4.1"
    assert "digestFrom" not in record
    assert record["replacedBy"] == canonical("1.4.2")
    assert record["build"] == {"job": "shop/cart", "number": 7, "url": "https://ci.example/7/"}
    assert record["by"] == "jane"
    assert record["unchanged"] is False
    assert record["fields"] == [
        {
            "path": CART_PATH,
            "document": 1,
            "kind": "Deployment",
            "namespace": "",
            "name": "cart",
            "container": "server",
            "pointer": "/spec/template/spec/containers/0/image",
            "image": "docker.io/acme/cart:1.4.1",
            "value": "acme/cart:1.4.1",
        }
    ]
    assert record["manifests"][0]["copied"] is True
    copy = path.parent / "manifests" / CART_PATH
    assert copy.read_bytes() == CART.encode()
    assert not shop.store.exists(), "with a Jenkins store the job archives"


def test_the_result_of_record_names_file_and_sha256(shop: Shop) -> None:
    run = shop.ok("record", "--service", "cart", "--service", "payment")
    assert [entry["record"]["service"] for entry in run.result["records"]] == ["cart", "payment"]
    assert run.result["records"][0]["file"] == RECORD
    assert (shop.root / RECORD).exists()
    assert shop.records.numbers() == [1, 2], "filed in the directory store too"


def test_a_record_goes_to_a_fresh_folder(shop: Shop) -> None:
    stale = shop.root / "gitops-rollback" / "default" / "cart" / "manifests" / "old.yaml"
    stale.parent.mkdir(parents=True)
    stale.write_text("old", encoding="utf-8")
    beside = shop.root / "gitops-rollback" / "default" / "payment" / "record.json"
    beside.parent.mkdir(parents=True)
    beside.write_text("{}", encoding="utf-8")
    make_record(shop, "1.4.2")
    assert not stale.exists()
    assert beside.exists(), "only that service's path is cleared"


def test_a_file_with_a_secret_in_clear_is_not_copied(shop: Shop) -> None:
    secret = (
        "---\nkind: Secret\napiVersion: v1\nmetadata: {name: x}\nstringData: {password: hush}\n"
    )
    shop.commit({CART_PATH: CART + secret})
    path = make_record(shop, "1.4.2")
    record = json.loads(path.read_bytes())
    assert record["manifests"][0]["copied"] is False
    assert record["fields"][0]["path"] == CART_PATH
    assert not (path.parent / "manifests").exists()
    assert "hush" not in path.read_text(encoding="utf-8")


def test_deploy_takes_the_record_that_was_made(shop: Shop) -> None:
    path = make_record(shop, "1.4.2")
    shop.ok("deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)
    assert shop.state()["deployed"][0]["record"] == "sha256:" + _sha256(path)
    assert not shop.store.exists()


def test_deploying_with_the_same_record_again_finds_its_own_commit(shop: Shop) -> None:
    make_record(shop, "1.4.2")
    shop.ok("deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)
    tip = shop.tip()
    run = shop.ok("deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)
    assert run.result["changed"] is False
    # Also where somebody else deployed on top of it: the push had succeeded.
    shop.deploy("1.5.0")
    after = shop.tip()
    run = shop.ok("deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)
    assert run.result["changed"] is False
    assert run.result["services"][0]["deployedBefore"] == canonical("1.4.2")
    assert "nothing to do: this record deployed 1.4.2, and 1.5.0 runs since" in run.stdout
    assert "runs already" not in run.stdout
    assert shop.tip() == after != tip


def test_a_deploy_by_somebody_else_since_the_record_is_moved(shop: Shop) -> None:
    make_record(shop, "1.5.0")
    shop.deploy("1.4.2")
    run = shop.refused(5, "moved", "deploy", *deploy_recorded(shop, "1.5.0"), environment=JENKINS)
    assert "recorded acme/cart:1.4.1" in run.error["message"]
    assert image("1.4.2") in run.error["message"]
    assert "record" in run.error["hint"]


def test_an_edit_by_hand_since_the_record_is_moved(shop: Shop) -> None:
    make_record(shop, "1.5.0")
    shop.edit("1.4.1", "1.4.9")
    shop.refused(5, "moved", "deploy", *deploy_recorded(shop, "1.5.0"), environment=JENKINS)


def test_a_change_beside_the_fields_is_no_move(shop: Shop) -> None:
    make_record(shop, "1.5.0")
    shop.edit("replicas: 2", "replicas: 3")
    shop.ok("deploy", *deploy_recorded(shop, "1.5.0"), environment=JENKINS)
    assert "replicas: 3" in shop.text()


def test_a_rollback_since_the_record_holds_the_deploy(released: Shop) -> None:
    make_record(released, "1.6.0")
    released.roll_back()
    run = released.refused(
        6, "refused", "deploy", *deploy_recorded(released, "1.6.0"), environment=JENKINS
    )
    assert run.error["code"] == "held"
    assert "jane" in run.error["message"]


def test_a_rollback_and_a_release_since_the_record_still_hold_the_deploy(released: Shop) -> None:
    make_record(released, "1.6.0")
    released.roll_back()
    accept = ("--reason", "calm", "--accept", "automation")
    released.ok("release", "--service", "cart", *accept)
    run = released.refused(
        6, "refused", "deploy", *deploy_recorded(released, "1.6.0"), environment=JENKINS
    )
    assert run.error["code"] == "held"


def test_a_later_build_that_deployed_since_the_record_makes_it_outdated(shop: Shop) -> None:
    make_record(shop, "1.4.2")
    shop.deploy("1.5.0", environment={**BUILD, "BUILD_NUMBER": "8"})
    run = shop.refused(6, "refused", "deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)
    assert run.error["code"] == "outdated"
    assert "#8" in run.error["message"]


def test_an_older_build_is_fenced_off_unless_it_is_allowed(shop: Shop) -> None:
    shop.deploy("1.5.0", environment={**BUILD, "BUILD_NUMBER": "8"})
    deploy = ("--service", "cart", "--image", image("1.4.2"))
    run = shop.refused(6, "refused", "deploy", *deploy, environment=BUILD)
    assert run.error["code"] == "outdated"
    assert "--allow-older" in run.error["hint"]
    shop.ok("deploy", *deploy, "--allow-older", environment=BUILD)
    # Another job has its own numbers.
    other = {**BUILD, "JOB_NAME": "shop/other", "BUILD_NUMBER": "1"}
    shop.deploy("1.4.3", environment=other)


def test_a_record_made_for_another_image_is_moved(shop: Shop) -> None:
    make_record(shop, "1.4.2")
    run = shop.refused(5, "moved", "deploy", *deploy_recorded(shop, "1.5.0"), environment=JENKINS)
    assert canonical("1.4.2") in run.error["message"]


def test_with_a_jenkins_store_a_deploy_needs_a_record(shop: Shop) -> None:
    wanted = ("--service", "cart", "--image", image("1.4.2"))
    run = shop.refused(2, "usage", "deploy", *wanted, environment=JENKINS)
    assert "--record" in run.error["hint"]


def test_a_redeploy_is_recorded_as_unchanged_and_never_filed_over_another(released: Shop) -> None:
    wanted = ("--service", "cart", "--image", image("1.5.0"), "--record-dir", "records")
    run = released.ok("record", *wanted)
    assert run.result["records"][0]["unchanged"] is True
    assert released.records.numbers() == [1, 2]
    path = released.root / "records" / RECORD
    deploy = ("--service", "cart", "--image", image("1.5.0"), "--record", str(path))
    assert released.ok("deploy", *deploy).result["changed"] is False


def test_the_directory_store_numbers_its_records_without_gaps_or_leftovers(released: Shop) -> None:
    assert released.records.numbers() == [1, 2]
    (released.store / "12").mkdir()
    released.deploy("1.6.0")
    assert released.records.numbers() == [1, 2, 12, 13]
    hidden = [path.name for path in released.store.iterdir() if path.name.startswith(".")]
    assert hidden == [".records"]
    assert len(list((released.store / ".records").iterdir())) == 3


def test_a_store_of_ones_own_is_a_directory_that_need_not_exist(shop: Shop) -> None:
    store = shop.root / "my store"
    shop.deploy("1.4.2", "--store", f"directory:{store}")
    shop.deploy("1.5.0", environment={"GITOPS_STORE": f"directory:{store}"})
    assert sorted(path.name for path in store.iterdir()) == [".records", "1", "2"]
    plan = shop.ok("plan", "--service", "cart", "--store", "directory:nowhere").service()
    assert plan["to"]["source"] == "git"
    assert not (shop.root / "nowhere").exists()
    plan = shop.ok("plan", "--service", "cart", "--store", f"directory:{store}").service()
    assert plan["to"]["source"] == "artifact"


def test_a_rollback_goes_on_without_its_record_and_a_deploy_does_not(released: Shop) -> None:
    (released.root / "full").write_text("no folder\n")
    broken = ("--store", f"directory:{released.root / 'full'}")
    wanted = ("--service", "cart", "--image", image("1.6.0"))
    run = released.refused(1, "config", "deploy", *wanted, *broken)
    assert "cannot be used: " in run.error["message"]
    filed = released.records.numbers()
    run = released.roll_back(*broken)
    (warning,) = (w for w in run.service()["warnings"] if "in no archive" in w)
    assert f"the store {released.root / 'full'} cannot be used" in warning
    assert warning in run.stderr
    assert run.result["changed"] is True
    assert image("1.4.2") in released.text()
    assert released.records.numbers() == filed
    # What is in no archive is missing to whoever looks for it, and the state file goes on alone.
    again = ("--service", "cart", "--again", "--to", "1.5.0", "--accept", "bad")
    plan = released.ok("plan", *again).service()
    assert plan["to"]["source"] == "git"
    assert any("1.5.0: no record proves it: " in finding for finding in plan["findings"])


def test_a_store_that_is_none_stops_a_rollback_too(released: Shop) -> None:
    reason = ("--service", "cart", "--reason", "checkout fails")
    released.refused(2, "usage", "rollback", *reason, "--store", "drawer:there")


def test_records_explain_what_ran_where_no_state_file_does(released: Shop) -> None:
    released.take_back(".gitops-rollback/default/cart.json")
    plan = released.ok("plan", "--service", "cart", "--strategy", "artifact").service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["candidates"][0]["sources"] == ["artifact", "git"]


def test_records_alone_know_of_a_rollback_too(held: Shop) -> None:
    held.commit({".gitops-rollback/default/cart.json": None})
    run = held.refused(
        6, "refused", "rollback", "--service", "cart", "--strategy", "artifact", "--reason", "x"
    )
    assert run.error["code"] == "already"


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data.replace(b"1.4.2", b"6.6.6"), lambda data: data[:100], lambda _data: b""],
    ids=["another image", "cut off", "emptied"],
)
@pytest.mark.parametrize("strategy", ["auto", "artifact"])
def test_a_record_that_was_changed_is_tampered_and_not_merely_missing(
    released: Shop, spoil: Callable[[bytes], bytes], strategy: str
) -> None:
    path = released.records.folder(2) / "record.json"
    path.write_bytes(spoil(path.read_bytes()))
    plan = released.ok("plan", "--service", "cart", "--strategy", strategy).service()
    first = plan["candidates"][0]
    assert (first["image"], first["reason"]) == (canonical("1.4.2"), "tampered")
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.1"
    named = ("--service", "cart", "--to", "1.4.2")
    run = released.refused(6, "refused", "rollback", *named, "--reason", "x")
    assert run.error["code"] == "tampered"
    released.ok("plan", *named, "--accept", "tampered")


def test_a_record_that_was_deleted_is_missing_and_git_goes_on_alone(released: Shop) -> None:
    shutil.rmtree(released.store / "2")
    run = released.refused(4, "not-found", "plan", "--service", "cart", "--strategy", "artifact")
    (first, *older) = run.result["services"][0]["candidates"]
    assert (first["image"], first["verdict"]) == (canonical("1.4.2"), "refused")
    assert "not in the archive" in first["message"]
    assert all(candidate["verdict"] != "chosen" for candidate in older)
    assert "--strategy auto" in run.error["hint"]
    plan = released.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["source"] == "git"


@pytest.mark.parametrize("note", [None, b"", b"../../etc", b"99", b"x" * 100])
def test_a_record_is_found_by_its_note_and_without_a_sound_one_by_a_search(
    released: Shop, note: bytes | None
) -> None:
    for path in (released.store / ".records").iterdir():
        path.unlink()
        if note is not None:
            path.write_bytes(note)
    plan = released.ok("plan", "--service", "cart").service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["source"] == "artifact"


def _broken(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def apply(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return apply


def _set(key: str, value: object) -> Callable[[bytes], bytes]:
    return _broken(lambda record: record.update({key: value}))


def _of_another(key: str, value: str) -> Callable[[bytes], bytes]:
    """A record of another service or environment, whose fields are others too."""

    def change(document: dict[str, Any]) -> None:
        document[key] = value
        for noted in document["fields"]:
            noted["name"] = value

    return _broken(change)


def _path(value: str) -> Callable[[bytes], bytes]:
    return _broken(lambda record: record["fields"][0].update(path=value))


@pytest.mark.parametrize(
    ("spoil", "code", "category", "words"),
    [
        (_set("schemaVersion", 3), 1, "config", "newer"),
        (lambda data: data[:200], 1, "config", "no complete JSON"),
        (lambda data: data + b" " * 1_000_001, 1, "config", "1 MB"),
        (lambda _data: b"", 1, "config", "no complete JSON"),
        (lambda _data: b"[]", 1, "config", "not sound"),
        (lambda _data: b"[" * 100_000, 1, "config", "no complete JSON"),
        (_of_another("service", "payment"), 1, "config", "service 'payment'"),
        (_of_another("environment", "other"), 1, "config", "environment 'other'"),
        (_set("branch", "release"), 1, "config", "branch 'release'"),
        (_set("repository", "https://github.com/acme/other.git"), 1, "config", "acme/other"),
        (_set("image", "not an image"), 1, "config", "not sound"),
        (_path("../../etc/passwd"), 1, "config", "out of the repository"),
        (_path("/etc/passwd"), 1, "config", "out of the repository"),
        (_path(".git/config"), 1, "config", "out of the repository"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_record_that_is_not_sound_is_one_clear_error(
    shop: Shop,
    spoil: Callable[[bytes], bytes],
    code: int,
    category: str,
    words: str,
) -> None:
    path = make_record(shop, "1.4.2")
    path.write_bytes(spoil(path.read_bytes()))
    run = shop.refused(
        code, category, "deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS
    )
    assert words in run.error["message"]


def test_a_record_is_of_its_fields_whatever_the_service_was_called(shop: Shop) -> None:
    path = make_record(shop, "1.4.2")
    path.write_bytes(_set("service", "basket")(path.read_bytes()))
    shop.ok("deploy", *deploy_recorded(shop, "1.4.2"), environment=JENKINS)


def test_a_record_that_is_not_there_is_a_usage_error(shop: Shop) -> None:
    shop.refused(2, "usage", "deploy", *deploy_recorded(shop, "1.4.2"))


def test_records_that_are_not_sound_are_passed_over_in_a_store(released: Shop) -> None:
    for number, data in enumerate((b"{", b"\xff", b"[]"), start=50):
        folder = released.store / str(number) / "gitops-rollback" / "default" / "cart"
        folder.mkdir(parents=True)
        (folder / "record.json").write_bytes(data)
    released.commit({".gitops-rollback/default/cart.json": None})
    plan = released.ok("plan", "--service", "cart", "--strategy", "artifact").service()
    assert plan["to"]["image"] == canonical("1.4.2")


def test_a_mutable_tag_never_archives_the_bad_image_as_the_previous_one(shop: Shop) -> None:
    shop.commit({CART_PATH: CART.replace("1.4.1", "latest")})
    new = f"acme/cart:latest@{digest('new')}"
    shop.ok("deploy", "--service", "cart", "--image", new)
    record = shop.records.read(1)
    assert record["digestFrom"] == "moved"
    assert record["image"] == "docker.io/acme/cart:latest"
    plan = shop.ok("plan", "--service", "cart").service()
    assert plan["candidates"][0]["reason"] == "mutable-tag"
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.1", "what history knows below it"
    assert any("passed over what ran just before: latest" in said for said in plan["findings"])
    unattended = ("--service", "cart", "--unattended", "--reason", "x")
    run = shop.refused(6, "refused", "rollback", *unattended)
    assert run.error["code"] == "passed-over"


def test_a_record_of_a_rollback_is_made_from_its_plan(released: Shop) -> None:
    plan = released.root / "plan.json"
    released.ok("plan", "--service", "cart", environment=BUILD)
    (released.root / "result.json").rename(plan)
    run = released.ok("record", "--plan", str(plan), "--record-dir", "records", environment=JENKINS)
    assert run.result["records"][0]["record"]["action"] == "rollback"
    assert run.result["records"][0]["record"]["replacedBy"] == canonical("1.4.2")
    record = str(released.root / "records" / RECORD)
    more = ("--plan", str(plan), "--record", record, "--reason", "bad")
    store = f"directory:{released.store}"
    released.ok("rollback", *more, "--store", store, environment=JENKINS)
    recorded = run.result["records"][0]["sha256"]
    assert released.state()["deployed"][0]["record"] == recorded


def _sha256(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("place", ["", "/default", "/default/cart"])
def test_a_record_is_written_through_no_link(released: Shop, place: str) -> None:
    """What stood there before is removed first: a link may lead to what is somebody else's."""
    link = released.root / f"records/gitops-rollback{place}"
    link.parent.mkdir(parents=True)
    kept = released.root / "else/default/cart/kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    link.symlink_to(released.root / f"else{place}")
    wanted = ("--service", "cart", "--image", image("1.6.0"), "--record-dir", "records")
    run = released.run("record", *wanted)
    assert (run.code, "a link, or what is no folder" in run.stderr) == (1, True), run.stderr
    assert kept.exists()
    link.unlink()
    assert released.run("record", *wanted).code == 0

"""A rollback of a service with storage: what changed meanwhile, and what its schema needs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.look import storage as look
from integration.shop import CART, CART_PATH, FILES, Shop, canonical
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.conftest import Workshop

PLAN = ("--service", "cart")
UNDO = (*PLAN, "--reason", "carts are empty")
CLAIM_PATH = "apps/cart/claim.yaml"
MOUNT = """\
          volumeMounts:
            - {name: data, mountPath: /data}
"""
VOLUMES = """\
      volumes:
        - name: data
          persistentVolumeClaim: {claimName: cart-data}
"""
STATEFUL = (
    CART.replace("  replicas: 2", "  replicas: 1\n  strategy: {type: Recreate}").replace(
        "          env:", MOUNT + "          env:"
    )
    + VOLUMES
)
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: cart-data}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: fast
  resources: {requests: {storage: 5Gi}}
"""
CONFIGURED = '[services.cart]\nmanifests = ["apps/cart/deployment.yaml"]\n'
GUARDED = '[defaults]\nstorage-guard = "refuse"\n'


@pytest.fixture
def stateful(workshop: Workshop) -> Shop:
    """A cart that keeps its data on a claim: 1.4.2 and then 1.5.0 were deployed."""

    def make(shop: Shop) -> Shop:
        return shop.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM}).release_two()

    return workshop.shop("stateful", make)


def grow(shop: Shop, size: str = "10Gi") -> str:
    return shop.edit("5Gi", size, CLAIM_PATH)


def test_storage_that_did_not_change_is_nothing_to_speak_of(stateful: Shop) -> None:
    found = stateful.ok("plan", *PLAN).service()["findings"]
    assert not any("storage" in finding for finding in found)
    run = stateful.ok("rollback", *UNDO)
    assert run.warnings == []
    assert not any("Gitops-Storage" in line for line in stateful.log("%B"))


def test_a_claim_that_grew_for_the_first_release_counts_where_nobody_looks_on(
    workshop: Workshop,
) -> None:
    """No state file tells yet when the image before it came: its field does."""
    made = workshop.shop(
        "unused", lambda shop: shop.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM})
    )
    grow(made)
    made.deploy("1.5.0")
    run = made.run("rollback", *UNDO, "--unattended")
    assert (run.code, run.error.get("code")) == (6, "storage"), run.stderr
    assert "spec.resources.requests.storage 5Gi → 10Gi" in run.error["message"]


def test_storage_that_changed_is_told_in_plan_commit_and_result(stateful: Shop) -> None:
    commit = grow(stateful)
    expected = (
        "storage changed since 1.4.2 ran: claim cart-data: spec.resources.requests.storage "
        f"5Gi → 10Gi ({CLAIM_PATH}, commit {commit[:12]} by Jane Doe, "
    )
    stays = "it stays as it is now, and so do its data"
    plan = stateful.ok("plan", *PLAN)
    assert any(expected in f and stays in f for f in plan.service()["findings"]), plan.result
    assert "warning  storage changed since 1.4.2 ran" in plan.stdout
    run = stateful.ok("rollback", *UNDO)
    assert [w for w in run.service()["warnings"] if expected in w]
    assert f"Gitops-Storage: {expected}" in stateful.git("log", "-1", "--format=%B")
    [hold] = stateful.holds()
    assert stateful.changed() == [hold, ".gitops-rollback/default/cart.json", CART_PATH]
    assert "10Gi" in stateful.text(CLAIM_PATH), "storage is never touched"


def test_more_manifests_than_are_read_are_not_half_compared(
    stateful: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_MOST_FILES", 1)
    grow(stateful)
    found = stateful.ok("plan", *PLAN).service()["findings"]
    assert any("storage was not compared with when 1.4.2 ran: " in one for one in found), found
    assert any("manifests stand beside it, more than 1" in one for one in found), found


def test_the_guard_refuses_until_it_is_accepted(stateful: Shop) -> None:
    stateful.commit({".gitops-rollback.toml": GUARDED})
    grow(stateful)
    run = stateful.refused(6, "refused", "rollback", *UNDO)
    assert run.error["code"] == "storage"
    assert "--accept storage" in run.error["hint"]
    plan = stateful.ok("plan", *PLAN).service()
    assert [block["code"] for block in plan["blockedBy"]] == ["storage"]
    accepted = stateful.ok("rollback", *UNDO, "--accept", "storage")
    assert accepted.warnings


def test_a_rollback_that_nobody_looks_at_is_refused_without_any_guard(stateful: Shop) -> None:
    grow(stateful)
    run = stateful.refused(6, "refused", "rollback", *UNDO, "--unattended")
    assert run.error["code"] == "storage"
    assert stateful.ok("rollback", *UNDO).warnings


def test_a_rollback_that_nobody_looks_at_minds_what_changed_before_the_bad_image_came(
    stateful: Shop,
) -> None:
    grow(stateful)
    stateful.deploy("1.5.1")
    assert (
        stateful.refused(6, "refused", "rollback", *UNDO, "--unattended").error["code"] == "storage"
    )
    assert stateful.ok("rollback", *UNDO).warnings == []


def test_a_rollback_that_nobody_looks_at_minds_storage_that_the_bad_release_removed(
    stateful: Shop,
) -> None:
    text = stateful.text().replace(MOUNT, "").replace(VOLUMES, "")
    stateful.commit({CART_PATH: text, CLAIM_PATH: None}, "Keep carts in Redis")
    stateful.deploy("1.5.1")
    run = stateful.refused(6, "refused", "rollback", *UNDO, "--unattended")
    assert "claim cart-data: it is no longer there" in run.error["message"]


def test_a_rollback_that_nobody_looks_at_goes_on_where_the_storage_is_as_it_was(
    stateful: Shop,
) -> None:
    run = stateful.ok("rollback", *UNDO, "--unattended")
    assert run.service()["to"] == canonical("1.4.2")


def test_a_change_after_the_rollbacks_target_came_back_is_no_difference(stateful: Shop) -> None:
    stateful.commit({".gitops-rollback.toml": GUARDED})
    grow(stateful)
    stateful.deploy("1.5.1")
    stateful.deploy("1.6.0")
    run = stateful.ok("rollback", *UNDO)
    assert run.service()["to"] == canonical("1.5.1")


def test_the_ledger_alone_tells_when_the_target_ran(stateful: Shop) -> None:
    grow(stateful)
    run = stateful.ok("plan", *PLAN, "--strategy", "git", "--store", "directory:/nowhere")
    assert any("5Gi → 10Gi" in finding for finding in run.service()["findings"])


def test_files_beside_a_configured_manifest_are_read_too(stateful: Shop) -> None:
    stateful.commit({".gitops-rollback.toml": CONFIGURED})
    grow(stateful)
    run = stateful.ok("plan", *PLAN)
    assert any("5Gi → 10Gi" in finding for finding in run.service()["findings"])


def test_the_storage_of_a_base_is_compared_where_an_overlay_names_the_image(
    workshop: Workshop,
) -> None:
    overlay = "resources: [../../base]\nimages:\n- name: acme/cart\n  newTag: 1.4.1\n"
    base = "resources: [deployment.yaml, claim.yaml]\n"
    toml = '[environments.production]\npath = "overlays/production"\n'
    files = {
        "base/deployment.yaml": STATEFUL.replace(' # {"$imagepolicy": "flux-system:cart"}', ""),
        "base/claim.yaml": CLAIM,
        "base/kustomization.yaml": base,
        "overlays/production/kustomization.yaml": overlay,
        ".gitops-rollback.toml": toml,
    }
    shop = workshop.shop("overlay", lambda shop: shop.open(files).release_two())
    shop.edit("5Gi", "10Gi", "base/claim.yaml")
    plan = shop.ok("plan", *PLAN).service()
    assert any("5Gi → 10Gi" in finding for finding in plan["findings"]), plan["findings"]


def test_a_claim_that_is_gone_is_told_although_nothing_mentions_it_now(stateful: Shop) -> None:
    text = stateful.text().replace(MOUNT, "").replace(VOLUMES, "")
    stateful.commit({CART_PATH: text, CLAIM_PATH: None}, "Keep carts in Redis")
    found = stateful.ok("plan", *PLAN).service()["findings"]
    gone = [f for f in found if "claim cart-data: it is no longer there" in f]
    assert gone
    assert "where Flux prunes, its data went with it" in gone[0]


def test_findings_of_check_storage_are_in_plan_and_rollback(stateful: Shop) -> None:
    stateful.commit({CART_PATH: stateful.text().replace("{type: Recreate}", "{}")})
    stateful.commit({"apps/other.yaml": CLAIM.replace("cart-data", "other").replace("5Gi", "x")})
    plan = stateful.ok("plan", *PLAN).service()
    found = [finding for finding in plan["findings"] if finding.startswith("storage ")]
    assert len(found) == 1, "nothing of what others do wrong"
    assert found[0].startswith(f"storage warning: {CART_PATH}:")
    assert "updated by RollingUpdate" in found[0]
    assert stateful.ok("rollback", *UNDO).warnings[-1:] == found


def test_a_commit_that_the_server_does_not_have_is_no_reason_to_stop(stateful: Shop) -> None:
    grow(stateful)
    record = stateful.records.folder(2) / "record.json"
    text = record.read_text(encoding="utf-8")
    commit = stateful.records.read(2)["commit"]
    record.write_text(text.replace(commit, "1" * 40), encoding="utf-8")
    run = stateful.ok("plan", *PLAN, "--strategy", "artifact", "--to", "1.4.2", "--accept",
                      "tampered")  # fmt: skip
    assert run.service()["to"]["image"] == canonical("1.4.2")


@pytest.fixture
def hub() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as server:
        yield server


def labelled(
    shop: Shop, hub: RegistryStandIn, *schemas: str | None, platforms: tuple[str, ...] = ()
) -> Shop:
    """Deploy an image for each schema: 1.0, 1.1, …; with `platforms` each is an index."""
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": hub.url}
    start = datetime.now(UTC) - timedelta(hours=len(schemas))
    for number, schema in enumerate(schemas):
        labels = {"org.gitops-rollback.schema": schema} if schema else None
        moment = start + timedelta(hours=number)
        tag = f"1.{number}"
        hub.push("acme/cart", tag, pushed=moment, labels=labels, platforms=platforms)
        shop.ok("deploy", *PLAN, "--image", f"acme/cart:1.{number}")
    hub.requests.clear()
    return shop


def test_a_schema_that_went_forward_is_refused_until_it_is_accepted(
    stateful: Shop, hub: RegistryStandIn
) -> None:
    labelled(stateful, hub, "9", "10")
    run = stateful.refused(6, "refused", "rollback", *UNDO)
    assert run.error["code"] == "schema"
    assert "9 → 10" in run.error["message"]
    assert "--accept schema" in run.error["hint"]
    done = stateful.ok("rollback", *UNDO, "--accept", "schema")
    assert any("the schema went forward" in warning for warning in done.service()["warnings"])


@pytest.mark.parametrize("schemas", [("10", "10"), ("10", "9"), (None, None), ("3", None)])
def test_a_schema_that_did_not_go_forward_is_no_obstacle(
    stateful: Shop, hub: RegistryStandIn, schemas: tuple[str | None, ...]
) -> None:
    labelled(stateful, hub, *schemas)
    assert stateful.ok("rollback", *UNDO).warnings == []


def test_an_image_without_a_label_before_one_with_is_a_warning(
    stateful: Shop, hub: RegistryStandIn
) -> None:
    labelled(stateful, hub, None, "2")
    warnings = stateful.ok("rollback", *UNDO).warnings
    assert "1.0 does not say which" in warnings[0]


def test_a_service_without_storage_is_asked_only_where_the_configuration_says_so(
    shop: Shop, hub: RegistryStandIn
) -> None:
    # An index tells its platforms itself: only labels have to be read from a configuration, and a
    # plan writes no bad list for which the commit of what runs would be asked.
    labelled(shop, hub, "1", "2", platforms=("linux/amd64", "linux/arm64"))
    assert shop.ok("plan", *PLAN).service()["blockedBy"] == []
    assert [request for request in hub.requests if "/blobs/" in request] == []
    shop.commit({".gitops-rollback.toml": '[services.cart]\nschema-label = "refuse"\n'})
    blocked = shop.ok("plan", *PLAN).service()["blockedBy"]
    assert [block["code"] for block in blocked] == ["schema"]
    assert [request for request in hub.requests if "/blobs/" in request] != []


def test_a_registry_that_does_not_tell_is_no_proof(stateful: Shop, hub: RegistryStandIn) -> None:
    labelled(stateful, hub, "1", "2")
    for manifest in hub.service.repositories["acme/cart"].blobs:
        hub.service.repositories["acme/cart"].blobs[manifest] = b"{}"
    plan = stateful.ok("plan", *PLAN).service()
    assert plan["blockedBy"] == []
    assert any("org.gitops-rollback.schema was not compared" in f for f in plan["findings"])

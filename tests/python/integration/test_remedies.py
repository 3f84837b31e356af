"""Every refusal's printed remedy works, or ends in another refusal that is nearer to the goal.

Every row of the table of refusals is met once, by the real command on real git, and what it prints
in a shell is followed to the letter.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.errors import Exit
from gitops_rollback.refusals import CODES
from integration.remedies import Follower
from integration.shop import CART_PATH, CART_STATE, digest, image
from integration.test_hold import POLICY, POLICY_PATH
from integration.test_storage_guard import CLAIM, CLAIM_PATH, GUARDED, STATEFUL
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.shop import Shop

    Line = tuple[str, ...]
    Scene = Callable[[Shop, RegistryStandIn], Line]

ROLLBACK = ("rollback", "--service", "cart", "--reason", "carts are empty")
RELEASE = ("release", "--service", "cart", "--reason", "calm again")
WORDS = {"TEXT": "it is meant so", "IMAGE": image("1.9.0")}
PIN = '[defaults]\npin = "tag"\n'
# Longer than two: a hold that is tied again holds, and a policy of Flux may take the bad image.
LONGEST = {"lost-hold": 3}
BUILD = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": "41"}


def deploy(reference: str, *more: str) -> Line:
    return ("deploy", "--service", "cart", "--image", reference, *more)


def held(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    return deploy(image("1.6.0"))


def held_and_bad(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    return deploy(image("1.5.0"))


def already(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    return ROLLBACK


def outdated(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.deploy("1.4.2", environment=BUILD)
    shop.environment |= {"JOB_NAME": "shop/cart", "BUILD_NUMBER": "40"}
    return deploy(image("1.4.0"))


def bad(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    shop.ok(*RELEASE, "--accept", "automation")
    return deploy(image("1.5.0"))


def bad_and_named(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    return (*ROLLBACK, "--to", "1.5.0")


def retag(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two()
    return deploy("acme/cart:1.4.2", "--before-build")


def same_tag(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.commit({".gitops-rollback.toml": PIN})
    shop.deploy("1.4.2")
    return deploy(f"acme/cart:1.4.2@{digest('built again')}")


def tag(shop: Shop, _hub: RegistryStandIn) -> Line:
    nowhere = "http://127.0.0.1:1"
    shop.environment |= {"GITOPS_REGISTRY_URL": nowhere, "GITOPS_HUB_URL": nowhere}
    return deploy("acme/cart:1.4.2")


def effect(shop: Shop, _hub: RegistryStandIn) -> Line:
    overlay = "kind: Kustomization\nresources: [deployment.yaml]\ntransformers: [t.yaml]\n"
    other = "apiVersion: example.com/v1\nkind: Rename\nmetadata: {name: r}\n"
    shop.commit({"apps/cart/kustomization.yaml": overlay, "apps/cart/t.yaml": other})
    return deploy(image("1.4.2"))


def automation(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    shop.commit({POLICY_PATH: POLICY})
    return RELEASE


def storage(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.commit({CART_PATH: STATEFUL, CLAIM_PATH: CLAIM, ".gitops-rollback.toml": GUARDED})
    shop.release_two()
    shop.edit("5Gi", "10Gi", CLAIM_PATH)
    return ROLLBACK


def schema(shop: Shop, hub: RegistryStandIn) -> Line:
    shop.commit({".gitops-rollback.toml": '[defaults]\nschema-label = "refuse"\n'})
    for number, name in ((1, "1.4.2"), (2, "1.5.0")):
        labels = {"org.gitops-rollback.schema": str(number)}
        pushed = hub.push("acme/cart", name, content=name.encode(), labels=labels)
        shop.ok(*deploy(f"acme/cart:{name}@{pushed}"))
    return ROLLBACK


def gone(_shop: Shop, hub: RegistryStandIn) -> Line:
    hub.push("acme/cart", "1.4.1")
    return deploy(image("1.4.2"))


def platform(shop: Shop, hub: RegistryStandIn) -> Line:
    both = hub.push("acme/cart", "1.4.2", platforms=("linux/amd64", "linux/arm64"))
    shop.ok(*deploy(f"acme/cart:1.4.2@{both}"))
    one = hub.push("acme/cart", "1.5.0", platforms=("linux/amd64",))
    return deploy(f"acme/cart:1.5.0@{one}")


def not_an_image(shop: Shop, hub: RegistryStandIn) -> Line:
    shop.release_two()
    signature = f"{digest('cart:1.5.0').replace(':', '-')}.sig"
    hub.push("acme/cart", signature)
    return (*ROLLBACK, "--to", signature)


def mutable_tag(shop: Shop, hub: RegistryStandIn) -> Line:
    now = shop.moment()
    shop.moment = lambda: now  # type: ignore[method-assign]
    shop.edit("acme/cart:1.4.1", "acme/cart:main")
    while time.time() < now + 1:  # times are whole seconds
        time.sleep(0.1)
    for content in (b"one", b"two"):
        pushed = hub.push("acme/cart", "main", content=content)
        shop.ok(*deploy(f"acme/cart:main@{pushed}"))
    return (*ROLLBACK, "--as-of", datetime.fromtimestamp(now, UTC).isoformat())


def never_deployed(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two()
    shop.take_back(CART_STATE)
    record = ("record", "--service", "cart", "--record-dir", str(shop.home), "--image")
    shop.ok(*record, image("1.6.0"))
    return (*ROLLBACK, "--to", image("1.6.0"))


def never_ran(shop: Shop, hub: RegistryStandIn) -> Line:
    shop.release_two()
    hub.push("acme/cart", "1.6.0")
    return (*ROLLBACK, "--to", "1.6.0")


def unproven(shop: Shop, hub: RegistryStandIn) -> Line:
    shop.release_two()
    hub.push("acme/cart", "1.3.0", pushed=datetime(2020, 1, 1, tzinfo=UTC))
    return (*ROLLBACK, "--to", "1.3.0")


def tampered(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two()
    path = shop.records.folder(2) / "record.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**document, "by": "somebody else"}), encoding="utf-8")
    return (*ROLLBACK, "--to", "1.4.2")


def passed_over(shop: Shop, hub: RegistryStandIn) -> Line:
    pushed = {name: hub.push("acme/cart", name) for name in ("1.4.1", "1.4.2", "1.5.0")}
    for name, pinned in pushed.items():
        shop.ok(*deploy(f"acme/cart:{name}@{pinned}"))
    hub.delete("acme/cart", pushed["1.4.2"])
    return (*ROLLBACK, "--unattended")


def lost_hold(shop: Shop, _hub: RegistryStandIn) -> Line:
    shop.release_two().roll_back()
    text = shop.text().replace("name: server", "name: web")
    shop.commit({CART_PATH: text, CART_STATE: None})
    return deploy(image("1.6.0"))


SCENES: dict[str, Scene] = {
    one.__name__.replace("_", "-"): one
    for one in (
        held, held_and_bad, already, outdated, bad, bad_and_named, retag, same_tag, tag, effect,
        automation, storage, schema, gone, platform, not_an_image, mutable_tag, never_deployed,
        never_ran, unproven, tampered, passed_over, lost_hold,
    )
}  # fmt: skip


@pytest.fixture
def hub(shop: Shop) -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as registry:
        shop.environment |= {"GITOPS_REGISTRY_URL": registry.url, "GITOPS_HUB_URL": registry.url}
        yield registry


@pytest.mark.parametrize("name", SCENES)
def test_a_printed_remedy_works_or_leads_nearer(
    name: str, shop: Shop, hub: RegistryStandIn
) -> None:
    line = SCENES[name](shop, hub)
    refused = shop.run(line[0], *line[1:])
    assert refused.code == Exit.REFUSED, refused.said
    assert refused.error["code"] == name.partition("-and-")[0]
    follower = Follower(shop, WORDS)
    follower.follow((line,))
    assert all(follower.chains)
    assert max(map(len, follower.chains)) <= LONGEST.get(name, 2), follower.chains


def test_every_refusal_is_met() -> None:
    assert {name.partition("-and-")[0] for name in SCENES} == {*CODES}


def test_what_runs_already_beside_what_is_refused_is_nothing_to_accept(shop: Shop) -> None:
    shop.release_two().roll_back()
    shop.deploy("1.5.0", name="payment")
    run = shop.run(*ROLLBACK, "--service", "payment", "--to", "1.5.0")
    assert (run.code, run.error["code"]) == (Exit.REFUSED, "bad")

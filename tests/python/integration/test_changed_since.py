"""What else changed since the image ran that a rollback goes back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from integration.shop import CART_PATH, Shop, image
from integration.test_keep import Pipeline, jenkins

if TYPE_CHECKING:
    from servers.jenkins_server import JenkinsServer

CART = ("--service", "cart")
__all__ = ["jenkins"]


def changed(shop: Shop) -> list[str]:
    """What a plan says of it."""
    findings = shop.ok("plan", *CART).service()["findings"]
    start = "changed since it ran, and not undone by a rollback: "
    return [finding.removeprefix(start) for finding in findings if finding.startswith(start)]


def test_where_only_the_image_or_a_comment_changed_nothing_is_said(released: Shop) -> None:
    assert changed(released) == []
    released.edit("# selected by", "# really selected by", by="Ben")
    assert changed(released) == []


def test_a_change_of_the_environment_is_told_with_line_and_commit(released: Shop) -> None:
    commit = released.edit("value: 'héllo'", "value: 'hi'", by="Ada Lovelace")
    line = next(n for n, text in enumerate(released.text().splitlines(), 1) if "GREETING" in text)
    released.edit("# selected by", "# really selected by", by="Ben")
    (told,) = changed(released)
    place = f"{CART_PATH} line {line}: Deployment cart: containers[server].env[GREETING].value"
    assert told.startswith(f"{place} changed (")
    assert f"{commit[:12]} by Ada Lovelace" in told
    assert "héllo" not in told
    assert released.log("%H")[-1][:12] not in told


def test_a_rollback_warns_of_it_and_leaves_it(released: Shop) -> None:
    released.edit("replicas: 2", "replicas: 5", by="Ada")
    run = released.roll_back()
    (warning,) = [w for w in run.service()["warnings"] if "changed since" in w]
    assert "spec.replicas changed" in warning
    assert "warning: changed since" in run.stderr
    assert "replicas: 5" in released.text()
    assert image("1.4.2") in released.text()


def test_it_is_compared_with_the_archive_s_copy_and_only_where_bytes_differ(
    shop: Shop,
    jenkins: JenkinsServer,
) -> None:
    pipeline = Pipeline(shop, jenkins)
    pipeline.deploy(41, "1.4.2")
    pipeline.deploy(42, "1.5.0")
    jenkins.requests.clear()
    assert changed(shop) == []
    assert [path.rpartition("/")[2] for path in jenkins.paths] == ["record.json"]
    shop.edit("replicas: 2", "replicas: 5")
    jenkins.requests.clear()
    assert "spec.replicas changed" in changed(shop)[0]
    assert [path.rpartition("/")[2] for path in jenkins.paths] == ["record.json", "deployment.yaml"]


def test_a_copy_that_is_gone_or_was_changed_is_no_proof_of_anything(released: Shop) -> None:
    released.edit("replicas: 2", "replicas: 5")
    copy = released.records.folder(2) / "manifests" / CART_PATH
    copy.write_bytes(copy.read_bytes().replace(b"replicas: 2", b"replicas: 5"))
    assert changed(released) == [f"{CART_PATH} changed; its archived copy is gone"]
    copy.unlink()
    assert changed(released) == [f"{CART_PATH} changed; its archived copy is gone"]


def test_a_manifest_that_moved_is_said(released: Shop) -> None:
    text = released.text()
    released.commit({CART_PATH: None, "apps/cart/workload.yaml": text})
    assert changed(released) == [f"{CART_PATH} is no longer a manifest of cart"]

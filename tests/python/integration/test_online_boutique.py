"""The whole flow on the manifests of a public shop, with images of a real registry, over HTTP.

The manifests are those of GoogleCloudPlatform/microservices-demo, which are not part of this
repository: the tests are skipped where they do not lie beside it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, program
from servers.docker_registry import DockerRegistry
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.conftest import Workshop

MANIFESTS = (
    Path(__file__).parents[4]
    / "shared/data/manifests/GoogleCloudPlatform__microservices-demo/kustomize"
)
HOST = "us-central1-docker.pkg.dev"
PROJECT = "online-boutique-ci/microservices-demo"
VERSIONS = ("v0.10.6", "v0.10.7", "v0.10.8")
SERVICES = ("adservice", "emailservice", "paymentservice", "shippingservice")
TOML = """
[environments.base]
path = "kustomize/base"
[registries."{host}"]
registry-url = "{url}"
"""


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    program("docker-registry", "docker-registry")
    program("buildah", "buildah")
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as running:
        for service in SERVICES:
            for version in VERSIONS:
                running.build(f"{PROJECT}/{service}", version, f"{service} {version}")
        yield running


@pytest.fixture
def boutique(workshop: Workshop, registry: DockerRegistry) -> Shop:
    """The shop as it is published, with the address of the registry beside it."""
    if not MANIFESTS.exists():
        pytest.skip(f"the manifests are not at {MANIFESTS}")
    files = {
        f"kustomize/{path.relative_to(MANIFESTS)}": path.read_bytes()
        for path in sorted(MANIFESTS.rglob("*"))
        if path.is_file()
    }
    toml = TOML.format(host=HOST, url=registry.url).encode()
    shop = workshop.shop(
        "boutique", lambda shop: shop.open({**files, ".gitops-rollback.toml": toml})
    )
    shop.environment |= {"GITOPS_REGISTRY_URL": "", "GITOPS_HUB_URL": ""}
    return shop


@pytest.fixture
def url(boutique: Shop) -> Iterator[str]:
    with GitHttpServer(boutique.root) as server:
        yield f"{server.url}/manifests.git"


def name(service: str) -> str:
    return f"{HOST}/{PROJECT}/{service}"


def release(shop: Shop, url: str, service: str) -> None:
    for version in VERSIONS[1:]:
        line = ("--service", service, "--image", f"{name(service)}:{version}")
        shop.ok("deploy", *line, repository=url)


def test_every_service_of_the_shop_is_found(boutique: Shop, url: str) -> None:
    run = boutique.ok("services", repository=url)
    found = {entry["service"]: entry for entry in run.result["services"]}
    assert set(SERVICES) <= set(found)
    assert found["adservice"]["image"] == f"{name('adservice')}:v0.10.6"
    assert found["adservice"]["environment"] == "base"


def test_the_previous_image_comes_back_from_the_record(
    boutique: Shop, url: str, registry: DockerRegistry
) -> None:
    path = "kustomize/base/adservice.yaml"
    before = boutique.text(path)
    release(boutique, url, "adservice")
    reason = ("--service", "adservice", "--reason", "no ads")
    run = boutique.ok("rollback", *reason, repository=url)
    digest = registry.digest(f"{PROJECT}/adservice", "v0.10.7")
    assert run.service()["to"] == f"{name('adservice')}:v0.10.7@{digest}"
    assert boutique.text(path) == before.replace("v0.10.6", f"v0.10.7@{digest}")
    held, *others = boutique.changed()
    assert held.startswith(".gitops-rollback/.held/")
    assert others == [".gitops-rollback/base/adservice.json", path]
    # One further: its tag is as it was, so the text is what people once wrote, byte for byte.
    run = boutique.ok("rollback", *reason, "--again", repository=url)
    assert boutique.text(path) == before
    refused = boutique.run("rollback", *reason, repository=url)
    assert (refused.code, refused.error.get("code")) == (6, "already")


def test_the_previous_image_comes_back_by_asking_the_registry(
    boutique: Shop, url: str, registry: DockerRegistry
) -> None:
    release(boutique, url, "paymentservice")
    line = ("--service", "paymentservice", "--strategy", "registry")
    plan = boutique.ok("plan", *line, repository=url).service()
    digest = registry.digest(f"{PROJECT}/paymentservice", "v0.10.7")
    assert plan["to"]["image"] == f"{name('paymentservice')}:v0.10.7@{digest}"
    assert plan["to"]["verified"] is True
    boutique.ok("rollback", *line, "--reason", "no money", repository=url)
    bad = ("--service", "paymentservice", "--image", f"{name('paymentservice')}:v0.10.8")
    run = boutique.run("deploy", *bad, repository=url)
    assert (run.code, run.error.get("code")) == (6, "held")


def test_a_deleted_image_is_gone_and_the_one_before_it_is_taken(
    boutique: Shop, url: str, registry: DockerRegistry
) -> None:
    release(boutique, url, "emailservice")
    repository = f"{PROJECT}/emailservice"
    registry.delete(repository, registry.digest(repository, "v0.10.7"))
    for strategy in ("auto", "registry"):
        line = ("--service", "emailservice", "--strategy", strategy)
        plan = boutique.ok("plan", *line, repository=url).service()
        digest = registry.digest(repository, "v0.10.6")
        assert plan["to"]["image"] == f"{name('emailservice')}:v0.10.6@{digest}"
        verdicts = [(c["image"].partition("@")[0], c.get("reason")) for c in plan["candidates"]]
        if strategy == "auto":
            assert verdicts[0] == (f"{name('emailservice')}:v0.10.7", "gone")


def test_a_tag_that_was_pushed_again_is_gone_back_to_by_its_old_digest(
    boutique: Shop, url: str, registry: DockerRegistry
) -> None:
    repository = f"{PROJECT}/shippingservice"
    old = registry.digest(repository, "v0.10.7")
    release(boutique, url, "shippingservice")
    new = registry.build(repository, "v0.10.7", "not what ran")
    assert new != old
    line = ("--service", "shippingservice", "--reason", "no ships")
    run = boutique.ok("rollback", *line, repository=url)
    assert run.service()["to"] == f"{name('shippingservice')}:v0.10.7@{old}"
    assert old in boutique.text("kustomize/base/shippingservice.yaml")


def test_a_redeploy_of_the_same_tag_with_other_content_is_a_new_image(
    boutique: Shop, url: str, registry: DockerRegistry
) -> None:
    """The tag of the present image was pushed again: what ran before is not archived as that."""
    repository = f"{PROJECT}/adservice"
    registry.build(repository, "v0.10.6", "rebuilt")
    line = ("--service", "adservice", "--image", f"{name('adservice')}:v0.10.6")
    boutique.ok("deploy", *line, repository=url)
    store = boutique.home / "state" / "gitops-rollback" / "127.0.0.1" / "manifests" / "1"
    record = store / "gitops-rollback" / "base" / "adservice" / "record.json"
    assert '"digestFrom": "moved"' in record.read_text(encoding="utf-8")
    run = boutique.run("plan", "--service", "adservice", repository=url)
    assert run.code == 4
    assert run.service()["candidates"][0]["reason"] == "mutable-tag"

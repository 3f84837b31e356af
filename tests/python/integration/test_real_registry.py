"""Choosing by a real registry (docker-registry), which knows names, indexes and configurations."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from integration.shop import FILES, Shop, program
from servers.docker_registry import DockerRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.conftest import Workshop

CART = ("--service", "cart")
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
VERSIONS = ("1.9.0", "1.10.0", "1.11.0")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    program("docker-registry", "docker-registry")
    program("buildah", "buildah")
    with DockerRegistry(tmp_path_factory.mktemp("registry")) as running:
        for version in VERSIONS:
            running.build("acme/cart", version, version)
        yield running


@pytest.fixture
def shop(workshop: Workshop, registry: DockerRegistry) -> Shop:
    """A shop whose cart runs 1.11.0 of the registry; nothing of it was deployed by this tool."""
    files = {
        path: text.replace("acme/cart:1.4.1", f"{registry.host}/acme/cart:1.11.0")
        for path, text in FILES.items()
    }
    shop = workshop.shop("real registry", lambda shop: shop.open(files))
    shop.environment |= {"GITOPS_REGISTRY_URL": "", "GITOPS_HUB_URL": ""}
    return shop


def push_index(registry: DockerRegistry, tag: str, version: str, *platforms: str) -> str:
    """Push an index that names one image for several platforms; return its digest."""
    manifest = requests.get(
        f"{registry.url}/v2/acme/cart/manifests/{version}", headers={"Accept": MANIFEST}, timeout=9
    )
    one = {
        "mediaType": MANIFEST,
        "digest": manifest.headers["Docker-Content-Digest"],
        "size": len(manifest.content),
    }
    entries = [
        {**one, "platform": {"os": "linux", "architecture": platform}} for platform in platforms
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    url = f"{registry.url}/v2/acme/cart/manifests/{tag}"
    answer = requests.put(url, index, headers={"Content-Type": INDEX}, timeout=9)
    assert answer.status_code == 201, answer.text
    return answer.headers["Docker-Content-Digest"]


def test_names_alone_give_the_version_before(shop: Shop, registry: DockerRegistry) -> None:
    plan = shop.ok("plan", *CART, "--strategy", "registry").service()
    name = f"{registry.host}/acme/cart"
    digest = registry.digest("acme/cart", "1.10.0")
    assert plan["to"]["image"] == f"{name}:1.10.0@{digest}"
    assert plan["to"]["verified"] is True
    query = ("--query", "by_version(tags[?in_range(name, '<1.10')])")
    plan = shop.ok("plan", *CART, "--strategy", "registry", *query).service()
    assert plan["to"]["image"].startswith(f"{name}:1.9.0@")


def test_an_index_is_read_to_see_that_the_previous_image_lacks_a_platform(
    shop: Shop, registry: DockerRegistry
) -> None:
    name = f"{registry.host}/acme/cart"
    digest = push_index(registry, "1.12.0", "1.11.0", "amd64", "arm64")
    older = push_index(registry, "1.10.1", "1.10.0", "amd64", "arm64", "s390x")
    for image in (f"{name}:1.10.1", f"{name}:1.11.0", f"{name}:1.12.0"):
        shop.ok("deploy", *CART, "--image", image, "--accept", "platform")
    plan = shop.ok("plan", *CART).service()
    assert plan["current"]["image"] == f"{name}:1.12.0@{digest}"
    refused = plan["candidates"][0]
    assert (refused["image"].partition("@")[0], refused["reason"]) == (f"{name}:1.11.0", "platform")
    assert refused["message"] == "it is not there for linux/arm64, as the running image is"
    assert plan["to"]["image"] == f"{name}:1.10.1@{older}"


def test_an_image_that_was_deleted_is_gone_and_the_one_before_is_taken(
    shop: Shop, registry: DockerRegistry
) -> None:
    name = f"{registry.host}/acme/cart"
    registry.build("acme/cart", "1.13.0", "to be deleted")
    for version in ("1.13.0", "1.11.0"):
        shop.ok("deploy", *CART, "--image", f"{name}:{version}")
    registry.delete("acme/cart", registry.digest("acme/cart", "1.13.0"))
    run = shop.run("plan", *CART)
    (gone, *_rest) = run.result["services"][0]["candidates"]
    assert (gone["image"].partition("@")[0], gone["reason"]) == (f"{name}:1.13.0", "gone")

"""What stands under a reference, by its media types; and what runs in the place of what."""

from __future__ import annotations

from typing import Any

import pytest

from gitops_rollback.decide.facts import lacking
from gitops_rollback.registries.contents import Contents, read_manifest

OCI = "application/vnd.oci.image"
IMAGE, LAYER = f"{OCI}.config.v1+json", f"{OCI}.layer.v1.tar+gzip"
CACHE = "application/vnd.buildkit.cacheconfig.v0"
DOCKER = "application/vnd.docker"
GITHUB = "com.github.package.type"


def manifest(config: str, *layers: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {
        "schemaVersion": 2,
        "config": {"mediaType": config},
        "layers": [{"mediaType": layer} for layer in layers],
        **more,
    }


@pytest.mark.parametrize(
    "document",
    [
        manifest(IMAGE, LAYER),
        manifest(IMAGE),
        manifest(IMAGE, f"{OCI}.layer.v1.tar+zstd", f"{OCI}.layer.nondistributable.v1.tar"),
        manifest(
            f"{DOCKER}.container.image.v1+json",
            f"{DOCKER}.image.rootfs.diff.tar.gzip",
            f"{DOCKER}.image.rootfs.foreign.diff.tar.gzip",
        ),
        {"schemaVersion": 1, "architecture": "amd64"},
        manifest("", LAYER),
        manifest(IMAGE, LAYER, annotations={GITHUB: "container"}),
    ],
)
def test_an_image_is_known_by_its_configuration_and_layers(document: dict[str, Any]) -> None:
    assert read_manifest(document).no_image == ""


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (
            manifest(
                "application/vnd.cncf.helm.config.v1+json",
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
            ),
            "a Helm chart",
        ),
        (manifest(CACHE, LAYER), "a build cache"),
        ({"schemaVersion": 2, "manifests": []}, "an index of no image"),
        (manifest(IMAGE, LAYER, annotations={GITHUB: "homebrew_bottle"}), "a Homebrew bottle"),
        (
            {
                "manifests": [{"platform": {"os": "linux", "architecture": "amd64"}}],
                "annotations": {GITHUB: "homebrew_bottle"},
            },
            "a Homebrew bottle",
        ),
        (manifest(IMAGE, "application/vnd.dev.cosign.simplesigning.v1+json"), "a signature"),
        (manifest(IMAGE, "application/vnd.in-toto+json"), "an attestation"),
        (manifest(IMAGE, "application/spdx+json"), "a list of contents"),
        (manifest("application/vnd.wasm.config.v0+json", "application/wasm"), "a WebAssembly"),
        (
            manifest(f"{DOCKER}.container.image.v1+json", "application/vnd.ollama.image.model"),
            "a model",
        ),
        (manifest("application/vnd.docker.ai.model.config.v0.1+json", "x/gguf"), "a model"),
        (
            manifest(
                "application/vnd.oci.empty.v1+json",
                "application/vnd.oci.empty.v1+json",
                artifactType="application/vnd.acme.report",
            ),
            "an artifact of type application/vnd.acme.report",
        ),
        (manifest("application/vnd.acme.config.v1+json", LAYER), "application/vnd.acme.config"),
        (manifest(IMAGE, "application/vnd.acme.blob"), "application/vnd.acme.blob"),
        (
            {"manifests": [{"mediaType": LAYER}, {"mediaType": CACHE}]},
            "a build cache",
        ),
        (
            {"manifests": [{"platform": {"os": "unknown", "architecture": "unknown"}}]},
            "an attestation",
        ),
    ],
)  # fmt: skip
def test_what_is_no_image_is_named(document: dict[str, Any], what: str) -> None:
    assert what in read_manifest(document).no_image


def test_an_index_is_an_image_for_its_platforms() -> None:
    entries = [
        {"platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
        {"platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0.20348.2227"}},
        {"platform": {"os": "unknown", "architecture": "unknown"}},
    ]
    found = read_manifest({"manifests": entries})
    assert found == Contents("", ("linux/arm64", "windows/amd64@10.0.20348.2227"))


@pytest.mark.parametrize(
    ("running", "candidate", "missing"),
    [
        (["linux/amd64"], ["linux/amd64", "linux/arm64"], []),
        (["linux/amd64", "linux/arm64"], ["linux/amd64"], ["linux/arm64"]),
        (["linux/arm/v7"], ["linux/arm/v6"], []),
        (["linux/arm/v6"], ["linux/arm/v7"], ["linux/arm/v6"]),
        (["linux/arm/v7"], ["linux/arm"], []),
        (["linux/arm"], ["linux/arm/v5"], []),
        (["linux/arm64"], ["linux/arm64/v8"], []),
        (["linux/arm64/v8"], ["linux/arm64"], []),
        (["linux/arm64"], ["linux/arm64/v9"], ["linux/arm64"]),
        (["linux/amd64/v1"], ["linux/amd64"], []),
        (["linux/amd64"], ["linux/amd64/v2"], ["linux/amd64"]),
        (["linux/arm64"], ["linux/arm/v7"], ["linux/arm64"]),
        (["linux/amd64/v3"], ["linux/amd64"], []),
        (["linux/amd64"], ["linux/amd64/v3"], ["linux/amd64"]),
        (["linux/ppc64le"], ["linux/ppc64le/power9"], ["linux/ppc64le"]),
        (["linux/arm/strange"], ["linux/arm/v6"], ["linux/arm/strange"]),
        (["linux/amd64"], ["windows/amd64"], ["linux/amd64"]),
        (["windows/amd64@10.0.20348.1"], ["windows/amd64@10.0.20348.2"], []),
        (["windows/amd64@10.0.20348.1"], ["windows/amd64"], []),
        (
            ["windows/amd64@10.0.20348.1"],
            ["windows/amd64@10.0.17763.9"],
            ["windows/amd64@10.0.20348.1"],
        ),
    ],
)
def test_a_platform_is_served_by_itself_and_by_lower_variants(
    running: list[str], candidate: list[str], missing: list[str]
) -> None:
    assert list(lacking(candidate, running)) == missing

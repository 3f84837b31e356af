"""What stands in manifests and image configurations: platforms, times of build. Pure.

Media types and fields: github.com/opencontainers/image-spec (image-index.md, manifest.md,
config.md, annotations.md) and github.com/distribution/distribution (manifest-v2-2.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from gitops_rollback.image import is_digest
from gitops_rollback.late import dataclass, replace
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator


INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CONFIGS = frozenset(
    {
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/octet-stream",
    }
)
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_CACHE = "application/vnd.buildkit.cacheconfig"
# What media types of configuration, layers and artifacts begin with.
_KINDS = {
    "application/vnd.cncf.helm.": "a Helm chart",
    _CACHE: "a build cache",
    "application/vnd.dev.cosign.": "a signature",
    "application/vnd.dev.sigstore.": "a signature",
    "application/vnd.cncf.notary.": "a signature",
    "application/vnd.in-toto": "an attestation",
    "application/spdx": "a list of contents",
    "text/spdx": "a list of contents",
    "application/vnd.cyclonedx": "a list of contents",
    "application/vnd.syft": "a list of contents",
    "application/vnd.wasm.": "a WebAssembly module",
    "application/vnd.module.wasm.": "a WebAssembly module",
    "application/wasm": "a WebAssembly module",
    "application/vnd.cncf.flux.": "a Flux artifact",
    "application/vnd.docker.plugin.": "a plugin of Docker",
    "application/vnd.docker.compose.": "a Compose file",
    "application/vnd.docker.ai.": "a model",
    "application/vnd.cncf.model.": "a model",
    "application/vnd.ollama.": "a model",
    "application/vnd.cncf.openpolicyagent.": "a policy",
    "application/vnd.cncf.kyverno.": "a policy",
}
# What the annotation of GitHub's packages calls what has the types of an image, and is none
# (github.com/Homebrew/brew, Library/Homebrew/github_packages.rb).
_PACKAGE_TYPE = "com.github.package.type"
_PACKAGES = {"homebrew_bottle": "a Homebrew bottle", "actions_oci_pkg": "a GitHub action"}
_CREATED = "org.opencontainers.image.created"
# github.com/opencontainers/image-spec, annotations.md: "Source control revision identifier".
REVISION = "org.opencontainers.image.revision"
_MOST_IMAGES = 1000  # of one index
_UNKNOWN = "unknown"  # what builders write as the platform of an attestation


@dataclass(frozen=True)
class Contents:
    """What stands under a reference: "" for an image, else what it is; platforms and digest.

    `built` and `revision` are when and of which commit it says that it was built, as it has them,
    where what was read for the rest tells.
    """

    no_image: str = ""
    platforms: tuple[str, ...] = ()
    digest: str = ""
    built: str | None = None
    revision: str | None = None


def is_index(document: Mapping[str, object]) -> bool:
    """Tell whether a manifest is a list of others, whatever it calls itself."""
    return isinstance(document.get("manifests"), list)


def read_manifest(document: Mapping[str, object]) -> Contents:
    """Return what a manifest or an index tells of itself; the platform may be in its config."""
    packaged = text_at(document.get("annotations"), _PACKAGE_TYPE)
    if packaged in _PACKAGES:
        return Contents(_PACKAGES[packaged])
    built, revision = annotated_time(document), text_at(document.get("annotations"), REVISION)
    if is_index(document):
        return replace(_read_index(document), built=built, revision=revision)
    what = _of_types(_types_of(document), text_at(document, "artifactType"))
    return Contents(what, config_platforms(document), built=built, revision=revision)


def with_config(found: Contents, config: object) -> Contents:
    """Return what a manifest tells, with what only the configuration that it names does."""
    return replace(
        found,
        platforms=config_platforms(config),
        built=found.built or created_time(config),
        revision=found.revision or label(config, REVISION),
    )


def _read_index(document: Mapping[str, object]) -> Contents:
    """Read an index; entries without a platform say what it is where there are no others."""
    names = (_platform(entry.get("platform")) for entry in _images(document))
    platforms = tuple(dict.fromkeys(name for name in names if name))
    if platforms:
        return Contents("", platforms)
    entries = document.get("manifests")
    listed = entries if isinstance(entries, list) else []
    types = [text_at(entry, "mediaType") or "" for entry in listed[:_MOST_IMAGES]]
    cached = any(kind.startswith(_CACHE) for kind in types)
    named = [entry for entry in listed if isinstance(entry, Mapping) and entry.get("platform")]
    if cached:
        return Contents("a build cache")
    if not types:
        return Contents("an index of no image")
    if named and len(named) == len(listed):
        return Contents("an attestation")
    kind = text_at(document, "artifactType")
    return Contents(_of_types(["", kind], kind) if kind else "")


def _types_of(document: Mapping[str, object]) -> list[str]:
    """Return the media types of a manifest's configuration and layers."""
    layers = document.get("layers")
    entries = [document.get("config"), *(layers if isinstance(layers, list) else [])]
    return [text_at(entry, "mediaType") or "" for entry in entries[:_MOST_IMAGES]]


def _of_types(types: list[str], artifact: str | None) -> str:
    """Say what something is by its media types; "" for an image, and where they tell nothing.

    A signature has the configuration of an image, a model of Docker's layers of its own: so both
    configuration and layers count.
    """
    config, layers = types[0] if types else "", types[1:]
    for beginning, what in _KINDS.items():
        if any(kind.startswith(beginning) for kind in (config, artifact or "", *layers)):
            return what
    is_config = config in _CONFIGS or "/" not in config  # what is no media type tells nothing
    has_layers = any(kind.startswith(_LAYERS) for kind in layers)
    if is_config and (has_layers or not any(layers)) and not artifact:
        return ""
    if has_layers and is_config:
        return ""
    named = artifact or (config if not is_config else next((k for k in layers if k), ""))
    return f"an artifact of type {one_line(named, 100)}"


def config_platforms(document: object) -> tuple[str, ...]:
    """Return the platform that a configuration (or a manifest of the first schema) names."""
    name = _platform(document)
    return (name,) if name else ()


def first_image(document: Mapping[str, object]) -> str | None:
    """Return the digest of the first image of an index, if it holds one."""
    digests = (entry.get("digest") for entry in _images(document))
    return next((d for d in digests if isinstance(d, str) and is_digest(d)), None)


def config_digest(document: Mapping[str, object]) -> str | None:
    """Return the digest of the configuration that a manifest names."""
    config = document.get("config")
    digest = config.get("digest") if isinstance(config, Mapping) else None
    return digest if isinstance(digest, str) and is_digest(digest) else None


def annotated_time(document: Mapping[str, object]) -> str | None:
    """Return the time of build that a manifest's annotations tell, if they do."""
    return text_at(document.get("annotations"), _CREATED)


def label(config: object, name: str) -> str | None:
    """Return a label of an image configuration, if it has it and it is a text."""
    inner = config.get("config") if isinstance(config, Mapping) else None
    labels = inner.get("Labels") if isinstance(inner, Mapping) else None
    return text_at(labels, name) if isinstance(labels, Mapping) else None


def created_time(config: object) -> str | None:
    """Return the time of build that an image configuration tells, if it does."""
    return text_at(config, "created")


def _images(document: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    entries = document.get("manifests")
    for entry in islice(entries if isinstance(entries, list) else (), _MOST_IMAGES):
        if isinstance(entry, Mapping) and _platform(entry.get("platform")):
            yield entry


def _platform(value: object) -> str:
    """Return `os/architecture/variant@os.version`; arm64 has but one variant, often left out."""
    parts = [text_at(value, key) for key in ("os", "architecture", "variant")]
    if parts[0] is None or parts[1] in (None, _UNKNOWN):
        return ""
    if parts[1:] == ["arm64", "v8"]:
        del parts[2]
    version = text_at(value, "os.version")
    return "/".join(part for part in parts if part) + (f"@{version}" if version else "")


def text_at(document: object, key: str) -> str | None:
    """Return a text of a document, if it has one there that is not empty."""
    value = document.get(key) if isinstance(document, Mapping) else None
    return value if isinstance(value, str) and value else None

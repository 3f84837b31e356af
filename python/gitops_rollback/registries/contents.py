"""What stands in manifests and image configurations: platforms, times of build. Pure.

Media types and fields: github.com/opencontainers/image-spec (image-index.md, manifest.md,
config.md, annotations.md) and github.com/distribution/distribution (manifest-v2-2.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from gitops_rollback.image import is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.web.answers import Answer

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_CREATED = "org.opencontainers.image.created"
_MOST_IMAGES = 1000  # of one index
_UNKNOWN = "unknown"  # what builders write as the platform of an attestation


def media_type(answer: Answer) -> str:
    """Return the type of an answer, without its parameters."""
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def is_index(document: Mapping[str, object]) -> bool:
    """Tell whether a manifest is a list of others, whatever it calls itself."""
    return isinstance(document.get("manifests"), list)


def index_platforms(document: Mapping[str, object]) -> tuple[str, ...]:
    """Return the platforms of an index, each once; attestations have none."""
    named = (_platform(entry.get("platform")) for entry in _images(document))
    return tuple(dict.fromkeys(name for name in named if name))


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
    annotations = document.get("annotations")
    return _text(annotations, _CREATED) if isinstance(annotations, Mapping) else None


def label(config: object, name: str) -> str | None:
    """Return a label of an image configuration, if it has it and it is a text."""
    inner = config.get("config") if isinstance(config, Mapping) else None
    labels = inner.get("Labels") if isinstance(inner, Mapping) else None
    return _text(labels, name) if isinstance(labels, Mapping) else None


def created_time(config: object) -> str | None:
    """Return the time of build that an image configuration tells, if it does."""
    return _text(config, "created")


def _images(document: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    entries = document.get("manifests")
    for entry in islice(entries if isinstance(entries, list) else (), _MOST_IMAGES):
        if isinstance(entry, Mapping) and _platform(entry.get("platform")):
            yield entry


def _platform(value: object) -> str:
    """Return `os/architecture/variant`; arm64 has but one variant, which some leave out."""
    parts = [_text(value, key) for key in ("os", "architecture", "variant")]
    if parts[0] is None or parts[1] in (None, _UNKNOWN):
        return ""
    if parts[1:] == ["arm64", "v8"]:
        del parts[2]
    return "/".join(part for part in parts if part)


def _text(document: object, key: str) -> str | None:
    value = document.get(key) if isinstance(document, Mapping) else None
    return value if isinstance(value, str) and value else None

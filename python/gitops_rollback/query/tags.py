"""Choose tags of a registry with a JMESPath query. Pure: the tags are given, nothing is asked.

JMESPath cannot refer to `current` from inside `tags[?…]`; hence the flags `running` and `older`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import is_tag
from gitops_rollback.query.search import name_of, search

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.image import ImageReference


# Names under which signatures, attestations and lists of contents stand beside images: the
# referrers fallback of the OCI specification, and cosign's.
_NOT_AN_IMAGE = re.compile(r"sha256-[0-9a-f]{64}(?:\..*)?|.*\.(?:sig|att|sbom)")
# A short or long commit id: seven or more hexadecimal digits, at least one of them a letter.
_COMMIT = re.compile(r"(?<![a-z0-9])(?=[0-9]*[a-f])[0-9a-f]{7,64}(?![a-z0-9])")
_PIECE = re.compile(rf"({_COMMIT.pattern})|([0-9]+)")
_CREATED = re.compile(r"\bcreated\b")


@dataclass(frozen=True)
class Tag:
    """One tag as the registry tells of it; what it does not tell is None.

    `pushed`, `updated` and `created` (the time of build, read only where a query asks for it) are
    RFC 3339 texts as given. `is_image` is False for an entry that holds only signatures or
    attestations.
    """

    name: str
    digest: str | None = None
    pushed: str | None = None
    updated: str | None = None
    size: int | None = None
    platforms: tuple[str, ...] = ()
    is_image: bool = True
    created: str | None = None


def normalised_time(text: str | None) -> str | None:
    """Return an RFC 3339 time as `YYYY-MM-DDTHH:MM:SS.ffffffZ`, so that text order is time order.

    None for what is no time, and for the year 1, which Go programs write for "never".
    """
    try:
        moment = datetime.fromisoformat(text or "")
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    if moment.year == 1:
        return None
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def newest_first(
    tags: Iterable[Tag], deployed: Mapping[str, str] = MappingProxyType({})
) -> list[Tag]:
    """Sort by time of push (else of update); undated ones last, the highest version first.

    `deployed` tells when digests ran first. Pushing an image again moves its time: what ran had
    been pushed by then, whatever its time says now.
    """
    return sorted(
        tags, key=lambda tag: (_since(tag, deployed) or "", _version(tag.name)), reverse=True
    )


def prepare(
    tags: Sequence[Tag],
    current: ImageReference,
    deployed: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Build the document that a query is asked of; `current` is the image that runs.

    `deployed` tells when digests ran first, as in `newest_first`. Left out: what is no image, and
    the tags of the running digest (that is `current.digest`, else the digest that the running tag
    has now). `older` means: pushed before the first push of the running digest; a tag without a
    time is never older, and nothing is where no tag has the running digest. Only where the registry
    gives no times at all (plain OCI), `older` means: of the running tag's shape and lower in
    natural version order; commit ids have no such order.
    """
    images = newest_first((tag for tag in tags if _is_image(tag)), deployed)
    name = current.tag or (None if current.digest else "latest")
    digest = current.digest or next((t.digest for t in images if t.name == name), None)
    running = [tag for tag in images if _is_running(tag, name, digest)]
    first_push = min((_since(tag, deployed) or "" for tag in running), default="")
    dated = any(_when(tag) for tag in images)

    def older(tag: Tag) -> bool:
        pushed = _since(tag, deployed) or ""
        return "" < pushed < first_push if dated else _is_lower(tag.name, current.tag)

    others = [tag for tag in images if tag not in running]
    return {
        "current": {"name": current.tag, "digest": digest},
        "tags": [_entry(tag, older=older(tag)) for tag in others],
    }


def run(query: str | None, document: dict[str, Any]) -> list[str]:
    """Return the names of the tags that the query chooses, in its order of preference.

    Without a query: `tags[?older]`, of the running tag's shape: digits may differ (`1.2.3-alpine`
    and `1.10.0-alpine`), and so may commit ids. Where the running image has no tag or `latest`,
    every other tag will do. A query may give tags or names, or nothing (null).
    """
    if query is None:
        return _default(document)
    answer = search(query, document)
    known = {tag["name"] for tag in document["tags"]}
    chosen = answer if isinstance(answer, list) else [answer]
    names = [name_of(item, query, known) for item in chosen if item is not None]
    return list(dict.fromkeys(names))


def _default(document: dict[str, Any]) -> list[str]:
    current = document["current"]["name"]
    names = [tag["name"] for tag in document["tags"] if tag["older"]]
    if current in {None, "latest"}:
        return [name for name in names if name != "latest"]
    pattern = _shape(current)
    return [name for name in names if pattern.fullmatch(name)]


def asks_for_created(query: str | None) -> bool:
    """Tell whether a query names the time of build, which costs requests for each tag."""
    return query is not None and _CREATED.search(query) is not None


def names_no_image(tag: str) -> bool:
    """Tell whether a tag is that of a signature, an attestation or a list of contents."""
    return _NOT_AN_IMAGE.fullmatch(tag) is not None


def _is_image(tag: Tag) -> bool:
    return tag.is_image and is_tag(tag.name) and not names_no_image(tag.name)


def _is_running(tag: Tag, name: str | None, digest: str | None) -> bool:
    # Where the registry lists names only, the name is all there is to go by.
    if tag.digest is None or digest is None:
        return tag.name == name
    return tag.digest == digest


def _entry(tag: Tag, *, older: bool) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": tag.digest,
        "pushed": normalised_time(tag.pushed),
        "updated": normalised_time(tag.updated),
        "created": normalised_time(tag.created),
        "size": tag.size,
        "platforms": list(tag.platforms),
        "running": False,
        "older": older,
    }


def _since(tag: Tag, deployed: Mapping[str, str]) -> str | None:
    """Return since when an image was there at the latest."""
    times = (_when(tag), normalised_time(deployed.get(tag.digest or "")))
    return min((time for time in times if time), default=None)


def _when(tag: Tag) -> str | None:
    return normalised_time(tag.pushed) or normalised_time(tag.updated)


def _version(name: str) -> list[tuple[int, int, str]]:
    # Numbers compare as numbers and come after words, as 1.10 after 1.9 and 1.0.0 after 1.0.rc.
    pieces = re.split(r"([0-9]+)", name)
    return [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces]


def _is_lower(name: str, running: str | None) -> bool:
    if running is None or _COMMIT.search(running):
        return False
    return _shape(running).fullmatch(name) is not None and _version(name) < _version(running)


def _shape(running: str) -> re.Pattern[str]:
    pattern, end = "", 0
    for piece in _PIECE.finditer(running):
        pattern += re.escape(running[end : piece.start()])
        # A commit id may by chance have no letter; the running tag shows that it is one.
        pattern += "[0-9a-f]{7,64}" if piece.group(1) else "[0-9]+"
        end = piece.end()
    return re.compile(pattern + re.escape(running[end:]))

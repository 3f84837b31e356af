"""Tags of a registry, their times, and the document that a query is asked of. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gitops_rollback.image import is_tag
from gitops_rollback.late import dataclass, regex

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Names under which signatures, attestations and lists of contents stand beside images: the
# referrers fallback of the OCI specification, and cosign's.
_NOT_AN_IMAGE = regex(r"sha256-[0-9a-f]{64}(?:\..*)?|.*\.(?:sig|att|sbom)")
_NUMBERS = regex(r"([0-9]+)")
_CREATED = regex(r"\bcreated\b")


@dataclass(frozen=True)
class Tag:
    """One tag as the registry tells of it; what it does not tell is None.

    `pushed`, `updated` and `created` (the time of build, read only where a query asks for it) are
    RFC 3339 texts as given. `images` are the platform and the digest of each image under it.
    `no_image` says what it is where that is no image: "a Helm chart".
    """

    name: str
    digest: str | None = None
    pushed: str | None = None
    updated: str | None = None
    size: int | None = None
    platforms: tuple[str, ...] = ()
    no_image: str = ""
    created: str | None = None
    images: tuple[tuple[str, str], ...] = ()

    @property
    def time(self) -> str | None:
        """When it was pushed, else updated, in the form of `normalised_time`."""
        return normalised_time(self.pushed) or normalised_time(self.updated)

    @property
    def digests(self) -> frozenset[str]:
        """The digests under which it can run: its own, and those of its platforms' images."""
        return frozenset({self.digest or "", *(digest for _, digest in self.images)} - {""})


@dataclass(frozen=True)
class Ran:
    """An image that ran in this service's fields, by its digest, and when, if that is known."""

    digest: str
    at: str | None = None


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


def newest_first(tags: Iterable[Tag], ran: Sequence[Ran] = ()) -> list[Tag]:
    """Sort by time of push (else of update); undated ones last, the highest version first."""
    since = Times(ran).since
    return sorted(tags, key=lambda tag: (since(tag) or "", _natural(tag.name)), reverse=True)


def why_no_image(tag: Tag) -> str:
    """Return what a tag is where that is no image; an empty text for an image."""
    if not is_tag(tag.name):
        return "a name that is no tag"
    return tag.no_image or named_no_image(tag.name)


def named_no_image(name: str) -> str:
    """Return what a tag is by its name alone, where that is no image."""
    found = _NOT_AN_IMAGE.fullmatch(name)
    return "a signature, an attestation or a list of contents" if found else ""


def asks_for_created(query: str | None) -> bool:
    """Tell whether a query names the time of build, which costs requests for each tag."""
    return query is not None and _CREATED.search(query) is not None


class Times:
    """Since when images were there, by the registry and by what ran, in the branch's order.

    Pushing an image again moves its time: what ran had been pushed by then, whatever its time says
    now. `ran` is in the branch's order, the oldest first, and ends with what runs: that counts more
    than any clock.
    """

    def __init__(self, ran: Sequence[Ran] = ()) -> None:
        self._at: dict[str, str] = {}
        self._places: dict[str, int] = {}
        for place, image in enumerate(ran):
            self._places[image.digest] = place
            at = normalised_time(image.at)
            if at is not None:
                self._at.setdefault(image.digest, at)

    def since(self, tag: Tag) -> str | None:
        """Return since when an image was there at the latest."""
        times = (tag.time, self._at.get(tag.digest or ""))
        return min((time for time in times if time), default=None)

    def place(self, digest: str | None) -> int | None:
        """Return the place of an image in what ran; None where it is not known to have run."""
        return self._places.get(digest or "")


def query_document(
    images: Sequence[Tag], running: Sequence[Tag], older: Iterable[str], current: dict[str, Any]
) -> dict[str, Any]:
    """Build the document that a query is asked of, from images newest first.

    `tags` is this program's own form, without the running image. `results` is Docker Hub's
    (docs.docker.com/reference/api/hub/latest/, "List repository tags"), with it, so that what
    people ask of Hub's answer can be asked here.
    """
    lower = frozenset(older)
    of_running = {tag.name for tag in running}
    return {
        "current": current,
        "tags": [_entry(tag, lower) for tag in images if tag.name not in of_running],
        "count": len(images),
        "next": None,
        "previous": None,
        "results": [_result(tag) for tag in images],
    }


def _entry(tag: Tag, older: frozenset[str]) -> dict[str, Any]:
    return {
        "name": tag.name,
        "digest": tag.digest,
        "pushed": normalised_time(tag.pushed),
        "updated": normalised_time(tag.updated),
        "created": normalised_time(tag.created),
        "size": tag.size,
        "platforms": list(tag.platforms),
        "running": False,
        "older": tag.name in older,
    }


def _result(tag: Tag) -> dict[str, Any]:
    images = []
    for platform, digest in tag.images:
        name, _, version = platform.partition("@")
        system, architecture, variant = (*name.split("/"), "", "")[:3]
        images.append(
            {
                "os": system,
                "architecture": architecture,
                "variant": variant or None,
                "os_version": version or None,
                "digest": digest,
            }
        )
    return {
        "name": tag.name,
        "digest": tag.digest,
        "tag_last_pushed": normalised_time(tag.pushed),
        "last_updated": normalised_time(tag.updated) or normalised_time(tag.pushed),
        "full_size": tag.size,
        "images": images,
    }


def _natural(name: str) -> list[tuple[int, int, str]]:
    # Numbers compare as numbers and come after words, as 1.10 after 1.9 and 1.0.0 after 1.0.rc.
    pieces = _NUMBERS.split(name)
    return [(1, int(piece), "") if piece.isdecimal() else (0, 0, piece) for piece in pieces]

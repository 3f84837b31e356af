"""The small values that records, state files, plans and results share, and their JSON."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gitops_rollback.image import ImageReference, parse_image, step
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.redaction import hide

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

DEPLOY = "deploy"
ROLLBACK = "rollback"
# A deploy or a rollback that wrote no manifest: the tag stood there already, of another digest.
RECORDED = "recorded"
EDIT = "edit"  # a change of the manifest by hand, which only Git's history tells of

_ID_LENGTH = 12  # hexadecimal digits: enough among the deeds of one repository, and typed by hand
_LONGEST_NUMBER = 18  # digits
_NAME = regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")


def by_whom(person: str | None) -> str:
    """Return ` by jane`, for behind what was done; nothing where nobody is known."""
    return f" by {person}" if person else ""


def told_why(reason: str | None) -> str:
    """Return `: it crashed`, for behind what was done; nothing where nobody said."""
    return f": {reason}" if reason else ""


def title(service: str, environment: str | None) -> str:
    """Return what people call a service: `cart`, or `cart production` where there are several.

    Where no environment is configured the whole repository is the one that is called `default`.
    """
    return service if environment in (None, "", "default") else f"{service} {environment}"


@dataclass(frozen=True)
class Build:
    """A Jenkins build: the job's full name, the number, and the URL if it is known.

    `more` are keys of a newer version's, which are written back.
    """

    job: str
    number: int
    url: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        return f"{self.job} #{self.number}"

    def to_json(self) -> dict[str, Any]:
        """Return the build as it stands in records and results."""
        known = without_none({"job": self.job, "number": self.number, "url": self.url})
        return {**known, **self.more}


@dataclass(frozen=True)
class Deed:
    """Who did what, when and why: from which image to which, by which build.

    `image` is what runs after it, or of a mark on the bad list the image that is marked; `record`
    is the sha256 of the record of what it replaced; `id` names it in its repository, and is empty
    where nobody gave it one. What is not known is None. `more` are keys of a newer version's.
    """

    action: str
    image: ImageReference
    from_image: ImageReference | None = None
    at: str | None = None
    by: str | None = None
    reason: str | None = None
    build: Build | None = None
    record: str | None = None
    id: str = ""
    more: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def versions(self) -> str:
        """From and to, as people name them: `1.5.0 → 1.4.2`; the image alone where it stays."""
        old, new = self.from_image, self.image
        if old is None or old.canonical == new.canonical:
            return new.label
        return step(old, new)

    def to_json(self) -> dict[str, Any]:
        """Return the deed as it stands in a state file."""
        known = without_none(
            {
                "id": self.id or None,
                "action": self.action,
                "image": self.image.canonical,
                "from": self.from_image.canonical if self.from_image else None,
                "at": self.at,
                "by": self.by,
                "reason": self.reason,
                "build": self.build.to_json() if self.build else None,
                "record": self.record,
            }
        )
        return {**known, **self.more}


class OfDeed:
    """What tells of a deed, and of more than it: an event, a commit's message, a hold."""

    deed: Deed

    @property
    def image(self) -> ImageReference:
        """The image that runs after it."""
        return self.deed.image

    @property
    def from_image(self) -> ImageReference | None:
        """The image that ran before it."""
        return self.deed.from_image

    @property
    def action(self) -> str:
        """What was done."""
        return self.deed.action

    @property
    def at(self) -> str | None:
        """When."""
        return self.deed.at

    @property
    def by(self) -> str | None:
        """By whom."""
        return self.deed.by

    @property
    def reason(self) -> str | None:
        """Why."""
        return self.deed.reason

    @property
    def build(self) -> Build | None:
        """The build that did it, whose archive holds the record of what was replaced."""
        return self.deed.build

    @property
    def record(self) -> str | None:
        """The sha256 of the record of what was replaced."""
        return self.deed.record


def images_of(told: Iterable[Deed | OfDeed]) -> tuple[ImageReference, ...]:
    """Return the images that deeds tell to have run, each as often as they do."""
    both = (image for one in told for image in (one.image, one.from_image))
    return tuple(image for image in both if image is not None)


_DEED_KEYS = ("id", "action", "image", "from", "at", "by", "reason", "build", "record")


def deed_from_json(document: Mapping[str, Any]) -> Deed:
    """Return the deed of a checked document; raise `InvalidImageError` for a malformed image."""
    return Deed(
        action=document["action"],
        image=parse_image(document["image"]),
        from_image=image_from_json(document.get("from")),
        at=document.get("at"),
        by=document.get("by"),
        reason=document.get("reason"),
        build=build_from_json(document.get("build")),
        record=document.get("record"),
        id=document.get("id", ""),
        more=unknown_keys(document, _DEED_KEYS),
    )


def identified(deed: Deed, service: str, environment: str) -> Deed:
    """Return a deed with the id that it has in a service's ledger: the same deed has the same."""
    parts = (
        (service, environment, deed.action, deed.image.canonical, deed.at, deed.record),
        deed.from_image.canonical if deed.from_image else None,
    )
    return replace(deed, id=sha256(repr(parts).encode()).hexdigest()[:_ID_LENGTH])


@dataclass(frozen=True)
class LogEntry:
    """A commit of the branch: when, by whom, its whole message, and its parents in their order."""

    commit: str
    at: str
    by: str
    message: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """Which services are meant; those of `names` that have to be sets are in `sets` too.

    `allowed` are the only services and sets that may be meant; empty if any may. With
    `everything` all services of the environment are meant, of those that may. `without_states`
    leaves state files unread, for they are to be rebuilt. With `apart` those that cannot be read
    are told beside those that can.
    """

    names: tuple[str, ...]
    environment: str | None
    branch: str | None
    sets: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    everything: bool = False
    without_states: bool = False
    apart: bool = False


def build_from_json(value: Mapping[str, Any] | None) -> Build | None:
    """Return the build of a checked document, if it has one."""
    if not value:
        return None
    more = unknown_keys(value, ("job", "number", "url"))
    return Build(value["job"], int(value["number"]), value.get("url"), more)


def unknown_keys(document: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    """Return what a document has beside the keys that are known, to be written back with it."""
    return {key: value for key, value in document.items() if key not in known}


def image_from_json(text: str | None) -> ImageReference | None:
    """Return an image of a checked document; raise `InvalidImageError` if it is malformed."""
    return parse_image(text) if text is not None else None


def without_none(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping without its None values: absent in JSON, never null."""
    return {key: value for key, value in mapping.items() if value is not None}


def is_name(text: str) -> bool:
    """Tell whether a text can name a service, an environment or a set."""
    return _NAME.fullmatch(text) is not None and ".." not in text


def is_safe_path(path: str) -> bool:
    """Tell whether a path from outside stays inside the repository and out of `.git`."""
    parts = path.split("/")
    return (
        not path.startswith("/")
        and "\\" not in path
        and all(character.isprintable() for character in path)
        and all(part not in ("", ".", "..") and part.lower() != ".git" for part in parts)
    )


def repository_key(url: str) -> str:
    """Return host and path of a repository, without scheme, user, port and `.git`."""
    if "://" in url:
        try:
            parts = urlsplit(url)
        except ValueError:  # a record may name anything: it is no other repository's key
            return url
        host, path = parts.hostname or "", parts.path
    else:
        head, colon, tail = url.partition(":")
        is_scp = bool(colon) and "/" not in head
        host, path = (head.rpartition("@")[2], tail) if is_scp else ("", url)
    return f"{host.lower()}/{path.strip('/').removesuffix('.git').rstrip('/')}"


def whole_number(text: str) -> int | None:
    """Return the number that a text from outside writes in ASCII digits; None where it is none.

    Nothing here counts beyond 18 digits, and Python reads no number of more than 4,300.
    """
    is_one = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) if is_one else None


def one_line(text: str, longest: int = 500) -> str:
    """Return a text from outside as one line without control characters, cut to a length.

    Known secrets are hidden first: half of one would be found by nobody.
    """
    printable = "".join(char if char.isprintable() else " " for char in hide(text))
    short = " ".join(printable.split())
    return short if len(short) <= longest else short[: longest - 1] + "…"


def some(texts: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return the first texts of a list as one, and how many more there are: nothing is cut unsaid.

    `a, b and 3 more`; between sentences (`"; "`): `a; b; and 3 more`.
    """
    shown, left = separator.join(texts[:most]), len(texts) - most
    comma = ";" if separator.startswith(";") else ""
    return f"{shown}{comma} and {left} more" if left > 0 else shown

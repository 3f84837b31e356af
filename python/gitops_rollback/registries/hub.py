"""Docker Hub's own interface: tags with their times, which the OCI interface does not tell."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from gitops_rollback.image import is_digest, is_tag
from gitops_rollback.model import one_line
from gitops_rollback.query.tags import Tag, newest_first
from gitops_rollback.registries.contents import text_at
from gitops_rollback.registries.failures import (
    NoHubError,
    RepositoryMissingError,
    is_offset_cap,
    nonsense,
    second_factor,
    too_many,
    unexpected,
)
from gitops_rollback.web.hosts import NOBODY, bound_to, host_of
from gitops_rollback.web.http import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.registries.client import RegistryHttp
    from gitops_rollback.registries.credentials import Access
    from gitops_rollback.web.answers import Answer

    WantsMore = Callable[[Sequence[Tag], int], bool]  # of the tags of so many pages

_PAGE_SIZE = 100  # the most that Hub gives
_MOST_PAGES = 100
_LARGEST_PAGE = 3_000_000  # bytes: many are read at once, of as many services
_MOST_VALUES = 100_000  # of a page
_NOT_HUB = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_UNKNOWN = "unknown"  # system and architecture of an attestation
_KINDS = {
    "helm": "a Helm chart",
    "unrecognized": "no image that a cluster could run",
    "compose": "a Compose file",
    "plugin": "a plugin of Docker",
    "volume": "a volume",
    "wasm": "a WebAssembly module",
    "model": "a model",
}


class Hub:
    """Ask the Hub API at one address."""

    def __init__(self, http: RegistryHttp, url: str, access: Access) -> None:
        self._http = http
        self._url = url
        self._access = access
        self._who = NOBODY

    def tags(self, image: ImageReference, wants_more: WantsMore | None = None) -> tuple[Tag, ...]:
        """Return tags, newest first: one page, and more as long as they are wanted.

        A tag that is on no page read so far is older than all that are. Where nobody says what is
        wanted, one that is older than the given image suffices.
        """
        what = f"the tags of {image.full_repository}"
        self._sign_in()
        tags: list[Tag] = []
        for number in range(1, _MOST_PAGES + 1):
            answer = self._page(image, number, what)
            if number > 1 and is_offset_cap(answer) and _holds_older(tags, image):
                return tuple(tags)  # without a login no more are shown: these tell what is older
            document = self._results(answer, image, what)
            tags = newest_first([*tags, *parse_tags(document["results"])])
            if not document.get("next") or not document["results"]:
                return tuple(tags)
            if not (wants_more(tags, number) if wants_more else not _holds_older(tags, image)):
                return tuple(tags)
        raise too_many(answer, what, len(tags))

    def _page(self, image: ImageReference, number: int, what: str) -> Answer:
        namespace, _, name = image.repository.rpartition("/")
        path = f"{quote(namespace or 'library')}/repositories/{quote(name, safe='')}"
        # Not the `next` of the answer: it has named other hosts and other paths before.
        query = f"page_size={_PAGE_SIZE}&page={number}&ordering=last_updated"
        url = f"{self._url}/v2/namespaces/{path}/tags?{query}"
        return self._http.send("GET", url, what=what, who=self._who, largest=_LARGEST_PAGE)

    def _results(self, answer: Answer, image: ImageReference, what: str) -> dict[str, list[object]]:
        """Return a page as it was read; raise what its answer says in the place of one."""
        if answer.status in _NOT_HUB and not _speaks_as_hub(answer):
            raise NoHubError(
                f"asked {host_of(answer.url)} for {what}: it answered {answer}, not as Hub does",
                "look at --hub-url and hub-url; a mirror without the Hub API is named alone",
            )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise self._missing(answer, image, what)
        if answer.status != HTTPStatus.OK:
            raise unexpected(answer, what, self._access)
        document = answer.json_of(_MOST_VALUES)
        if not isinstance(document, dict) or not isinstance(document.get("results"), list):
            del document  # which the error would keep, one of each service
            raise nonsense(answer, what, "it answered something that is no list of tags")
        return document

    def _sign_in(self) -> None:
        """Get a token where there is a login: Hub says of private repositories only 404."""
        credential = self._access.credential
        if credential is None or self._who is not NOBODY:
            return
        what = "a token of the Hub API"
        secret = {"identifier": credential.username, "secret": credential.password}
        answer = self._http.send(
            "POST", f"{self._url}/v2/auth/token", what=what, sent=as_json(secret)
        )
        if answer.status != HTTPStatus.OK:
            words = answer.body.lower()
            if b"2fa" in words or b"mfa" in words:
                raise second_factor(answer, what)
            raise unexpected(answer, what, self._access)
        document = answer.json
        token = document.get("access_token") if isinstance(document, dict) else None
        if not isinstance(token, str) or not (token.isascii() and token.isprintable() and token):
            raise nonsense(answer, what, "there is no token in its answer")
        self._who = bound_to(self._url, f"Bearer {token}")

    def _missing(self, answer: Answer, image: ImageReference, what: str) -> Exception:
        return RepositoryMissingError(
            f"asked {host_of(answer.url)} for {what}: it answered {answer}",
            f"check the name {image.full_repository}; a private repository is not shown to who"
            f" is not signed in: {self._access.hint}",
        )


def _speaks_as_hub(answer: Answer) -> bool:
    """Tell whether an error is one of Hub's (`message` or `detail`), and not a registry's."""
    return isinstance(answer.json, dict) and answer.first_error is None


def parse_tags(results: Iterable[object]) -> list[Tag]:
    """Read the `results` of a page; every field but the name may be absent, null or new."""
    return [
        _tag(entry)
        for entry in results
        if isinstance(entry, dict) and is_tag(text_at(entry, "name") or "")
    ]


def _tag(entry: dict[str, object]) -> Tag:
    listed = entry.get("images")
    images = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    real = [item for item in images if item.get("architecture") != _UNKNOWN]
    digest = text_at(entry, "digest")
    if digest is None and len(images) == 1:
        digest = text_at(images[0], "digest")  # answers of old: the only image is the tag's
    size = entry.get("full_size")
    return Tag(
        name=text_at(entry, "name") or "",
        digest=digest if digest and is_digest(digest) else None,
        pushed=text_at(entry, "tag_last_pushed"),
        updated=text_at(entry, "last_updated"),
        size=size if isinstance(size, int) and not isinstance(size, bool) else None,
        platforms=tuple(dict.fromkeys(_platform(item) for item in real)),
        no_image=_what(entry, real, images),
        images=tuple((_exact(item), text_at(item, "digest") or "") for item in real),
    )


def _what(entry: dict[str, object], real: Sequence[object], images: Sequence[object]) -> str:
    """Say what a tag is that is no image; "" for an image, and where Hub tells nothing.

    `content_type` is `image`, `helm`, `plugin`, `compose`, `unrecognized` and the like. No images
    at all says nothing: since 2025 Hub leaves them out of good tags, too.
    """
    kind = text_at(entry, "content_type")
    if kind is not None and kind != "image":
        return _KINDS.get(kind, f"of the kind '{one_line(kind, 40)}'")
    return "" if real or not images else "an attestation"


def _platform(image: dict[str, object]) -> str:
    parts = [text_at(image, key) for key in ("os", "architecture", "variant")]
    # arm64 has but one variant, which is left out as often as not.
    return "/".join(part for part in parts if part).replace("arm64/v8", "arm64")


def _exact(image: dict[str, object]) -> str:
    version = text_at(image, "os_version")
    return _platform(image) + (f"@{version}" if version else "")


def _holds_older(tags: list[Tag], image: ImageReference) -> bool:
    """Tell whether a tag comes after the given image's, so that no more need be read."""
    name = image.tag or (None if image.digest else "latest")
    found = [
        place
        for place, tag in enumerate(tags)
        if (tag.digest == image.digest if tag.digest and image.digest else tag.name == name)
    ]
    return bool(found) and found[-1] < len(tags) - 1

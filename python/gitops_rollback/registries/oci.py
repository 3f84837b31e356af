"""The OCI distribution interface: which digest a manifest has, and the names of the tags."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gitops_rollback.image import is_digest, is_tag
from gitops_rollback.late import regex, replace
from gitops_rollback.model import whole_number
from gitops_rollback.query.tags import Tag, newest_first
from gitops_rollback.registries.contents import (
    INDEXES,
    MANIFESTS,
    annotated_time,
    config_digest,
    created_time,
    first_image,
    is_index,
    label,
    read_manifest,
    with_config,
)
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    RepositoryMissingError,
    nonsense,
    too_many,
    unexpected,
    without_labels,
)
from gitops_rollback.web.hosts import host_of
from gitops_rollback.web.http import LARGEST_BODY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.registries.client import Door
    from gitops_rollback.registries.contents import Contents
    from gitops_rollback.web.answers import Answer

# Without all of these an old registry converts what it has to another manifest, with another
# digest than the one that clusters pull.
_ACCEPT = ", ".join((*INDEXES, *MANIFESTS))
_PAGE_SIZES = (1000, 100, 50)  # names; 1000 is the most that ECR takes
_SMALLER = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.REQUEST_ENTITY_TOO_LARGE})
_ROUND = 50  # what full pages are a multiple of, where fewer names than were asked for are given
_MOST_PAGES = 1000
# Of a manifest or a configuration, as many services may have one read at once.
_LARGEST, _MOST_VALUES = 4_000_000, 20_000  # bytes, and values
_LARGEST_KEPT = 256_000  # bytes: what is larger is asked for again
_ONE_PAGE = Lock()  # of names, which may be millions, is read at a time
_MOST_TAGS = 100_000  # some 200 MB, and 10 s to choose among them
_LONGEST_LINK = 8192  # characters
_LAST_MOMENT = 253_402_300_799_000  # milliseconds: the end of the year 9999
_LINK = regex(r"<([^<>]*)>((?:\s*;[^,<>]*)*)")
_NEXT = regex(r'\brel\s*=\s*"?next\b', re.IGNORECASE)
_GET_INSTEAD = frozenset({HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class Oci:
    """Ask one registry through its OCI interface."""

    def __init__(self, door: Door) -> None:
        self._door = door
        # By repository and reference (a digest, else a tag): what was read, and its digest.
        self._manifests: dict[tuple[str, str], tuple[Mapping[str, object], str]] = {}
        self._configs: dict[tuple[str, str], object] = {}  # by repository and digest

    def digest_of(self, image: ImageReference, *, reads: bool = False) -> str:
        """Return the digest of the manifest that the image's digest, else its tag, names.

        A HEAD suffices, and Docker Hub does not count it as a pull. A GET follows where it says
        too little: no digest in its headers, or a 404, whose reason stands in the body. With
        `reads` a GET does both, for who asks what the image is next. Raises
        `ManifestMissingError` if the registry has no such manifest, and `RegistryUnavailableError`
        if it does not answer that question.
        """
        if reads:
            return self._verified_manifest(image)[1]
        what = f"the manifest of {image.canonical}"
        head = self._manifest("HEAD", image, what)
        if head.status == HTTPStatus.OK and _header_digest(head):
            return _confirmed(_header_digest(head), image, head, what)
        if head.status not in _GET_INSTEAD:
            raise unexpected(head, what, self._door.access)
        answer, _document = self._read_manifest(image, what)
        return _confirmed(_digest_of(answer, image.digest), image, answer, what)

    def contents(self, image: ImageReference) -> Contents:
        """Return what stands under a reference, and for which platforms; raise as `digest_of`.

        One or two GETs.
        """
        document, digest = self._verified_manifest(image)
        found = replace(read_manifest(document), digest=digest)
        if found.no_image or found.platforms or is_index(document):
            return found
        return with_config(found, self._config(image, document))

    def created(self, image: ImageReference) -> str | None:
        """Return when an image was built, as its manifest's annotation or its config says.

        Of several platforms' images, the first counts. Up to three GETs.
        """
        document, _digest = self._verified_manifest(image)
        told = annotated_time(document)
        if told is None and is_index(document):
            document = self._first_image(image, document)
            told = annotated_time(document)
        return told or created_time(self._config(image, document))

    def label(self, image: ImageReference, name: str) -> str | None:
        """Return a label of an image; of several platforms' images, the first counts.

        Up to three GETs. Raises `RegistryUnavailableError` where nothing there could have one.
        """
        document, _digest = self._verified_manifest(image)
        if is_index(document):
            document = self._first_image(image, document)
        if config_digest(document) is None:
            raise without_labels(image.canonical, self._door.url)
        return label(self._config(image, document), name)

    def all_tags(self, image: ImageReference) -> tuple[Tag, ...]:
        """Return all tags, newest first, else the highest version: few registries tell times."""
        what = f"the tags of {image.full_repository}"
        tags: dict[str, Tag] = {}
        answer, size = self._first_page(image, what)
        query, has_links, asked = f"n={size}", False, set[str]()
        for _ in range(_MOST_PAGES):
            if answer.status == HTTPStatus.NOT_FOUND:
                raise _missing(answer, image, what)
            if answer.status != HTTPStatus.OK:
                raise unexpected(answer, what, self._door.access)
            with _ONE_PAGE:
                page = _page_of_tags(answer, what)
            known = len(tags)
            tags |= page
            if len(tags) > _MOST_TAGS:
                break
            following = _linked_query(answer)
            has_links = has_links or following is not None
            asked.add(query)
            is_full = len(page) == size or len(page) % _ROUND == 0
            leads_back = following in asked or (following is not None and len(tags) == known)
            if page and (leads_back or (not has_links and is_full)):
                # A link back, or a full page where there never was one: ask for what comes after.
                following = urlencode({"n": size or len(page), "last": [*page][-1]})
            if following is None or following in asked:
                return tuple(newest_first(tags.values()))
            query = following
            answer = self._page(image, query, what)
        raise too_many(answer, what, len(tags))

    def _first_page(self, image: ImageReference, what: str) -> tuple[Answer, int | None]:
        """Ask for a page as large as the registry allows; return how many names it may have.

        Quay allows 100 and says so with 413, ECR 1000, others answer 400; none is asked for then.
        """
        for size in (*_PAGE_SIZES, None):
            answer = self._page(image, f"n={size}" if size else "", what)
            if answer.status not in _SMALLER or size is None:
                return answer, size
        raise AssertionError  # the last size is None

    def _page(self, image: ImageReference, query: str, what: str) -> Answer:
        path = f"/v2/{image.repository}/tags/list{'?' if query else ''}{query}"
        return self._ask("GET", path, image, what, "application/json", LARGEST_BODY)

    def _first_image(
        self, image: ImageReference, index: Mapping[str, object]
    ) -> Mapping[str, object]:
        """Return the manifest of the first image of an index; {} of an empty one."""
        first = first_image(index)
        return self._verified_manifest(image.with_version(None, first))[0] if first else {}

    def _read_manifest(
        self, image: ImageReference, what: str
    ) -> tuple[Answer, Mapping[str, object]]:
        answer = self._manifest("GET", image, what)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise _missing(answer, image, what)
        if answer.status != HTTPStatus.OK:
            raise unexpected(answer, what, self._door.access)
        document = answer.json_of(_MOST_VALUES)
        if not isinstance(document, dict) or "schemaVersion" not in document:
            raise nonsense(answer, what, "it answered something that is no manifest")
        return answer, document

    def _verified_manifest(self, image: ImageReference) -> tuple[Mapping[str, object], str]:
        """Return a manifest, got once, and its digest, which was asked for or told."""
        key = (image.repository, _reference(image))
        if key not in self._manifests:
            what = f"the manifest of {image.canonical}"
            answer, document = self._read_manifest(image, what)
            wanted = image.digest or _header_digest(answer)
            digest = _digest_of(answer, wanted)
            if wanted not in ("", digest):
                raise nonsense(answer, what, f"what it sent is not {wanted}")
            if len(answer.body) > _LARGEST_KEPT:
                return document, digest
            self._manifests[key] = (document, digest)
            self._manifests[image.repository, digest] = (document, digest)
        return self._manifests[key]

    def _config(self, image: ImageReference, manifest: Mapping[str, object]) -> object:
        """Return the configuration that a manifest names, asked for once; {} if it names none."""
        digest = config_digest(manifest)
        if digest is None:
            return {}
        key = (image.repository, digest)
        if key not in self._configs:
            answer = self._verified_config(image, digest)
            document = answer.json_of(_MOST_VALUES)
            if len(answer.body) > _LARGEST_KEPT:
                return document
            self._configs[key] = document
        return self._configs[key]

    def _verified_config(self, image: ImageReference, digest: str) -> Answer:
        what = f"the configuration of {image.canonical}"
        path = f"/v2/{image.repository}/blobs/{digest}"
        answer = self._ask("GET", path, image, what, "*/*")
        if answer.status != HTTPStatus.OK:
            raise unexpected(answer, what, self._door.access)
        if _digest_of(answer, digest) != digest:
            raise nonsense(answer, what, f"what it sent is not {digest}")
        return answer

    def _manifest(self, method: str, image: ImageReference, what: str) -> Answer:
        path = f"/v2/{image.repository}/manifests/{_reference(image)}"
        return self._ask(method, path, image, what, _ACCEPT)

    def _ask(
        self,
        method: str,
        path: str,
        image: ImageReference,
        what: str,
        accept: str,
        largest: int = _LARGEST,
    ) -> Answer:
        scope = f"repository:{image.repository}:pull"
        headers = {"Accept": accept}
        return self._door.send(
            method, path, what=what, scope=scope, headers=headers, largest=largest
        )


def _reference(image: ImageReference) -> str:
    return image.digest or image.tag or "latest"


def _header_digest(answer: Answer) -> str:
    digest = answer.headers.get("Docker-Content-Digest", "")
    return digest if is_digest(digest) else ""


def _digest_of(answer: Answer, like: str | None) -> str:
    """Return the digest of a body, by the algorithm of another one."""
    algorithm = (like or "sha256:").partition(":")[0]
    return f"{algorithm}:{hashlib.new(algorithm, answer.body).hexdigest()}"


def _confirmed(digest: str, image: ImageReference, answer: Answer, what: str) -> str:
    if image.digest is not None and digest != image.digest:
        raise nonsense(answer, what, f"it answered with another one, {digest}")
    return digest


def _missing(answer: Answer, image: ImageReference, what: str) -> Exception:
    error = answer.first_error
    if error is None and answer.body.strip():
        # A 404 in another language, as of a web server at the wrong address, proves nothing.
        return nonsense(answer, what, f"it answered {answer}, and not as a registry does")
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}"
    if "manifests" not in answer.url.split("/") or (error or {}).get("code") == "NAME_UNKNOWN":
        return RepositoryMissingError(
            message,
            f"check the name {image.full_repository} and the registry's URL;"
            " some registries hide private repositories from who is not signed in",
        )
    return ManifestMissingError(
        message, "the image was deleted or never pushed: choose another, or push it again"
    )


def _page_of_tags(answer: Answer, what: str) -> dict[str, Tag]:
    """Read a page of tags, by their names.

    Google's registries tell of each manifest its tags and when it was pushed, in milliseconds
    (github.com/google/go-containerregistry, pkg/v1/google/list.go).
    """
    document = answer.json
    if not isinstance(document, dict) or not isinstance(document.get("tags", ""), list | None):
        del document  # which the error would keep, one of each service
        raise nonsense(answer, what, "it answered something that is no list of tags")
    if len(document["tags"] or ()) > _MOST_TAGS:
        raise too_many(answer, what, _MOST_TAGS)
    names = (name for name in document["tags"] or [] if isinstance(name, str) and is_tag(name))
    tags = {name: Tag(name) for name in names}
    manifests = document.get("manifest")
    for digest, about in manifests.items() if isinstance(manifests, dict) else ():
        named = about.get("tag") if isinstance(about, dict) and is_digest(digest) else None
        for name in named if isinstance(named, list) else ():
            if isinstance(name, str) and name in tags:
                tags[name] = Tag(name, digest, _moment(about.get("timeUploadedMs")))
    return tags


def _moment(milliseconds: object) -> str | None:
    """Return a time that is told in milliseconds, in a text; None for none that there can be."""
    number = whole_number(milliseconds) if isinstance(milliseconds, str) else None
    if not number or number > _LAST_MOMENT:
        return None
    return datetime.fromtimestamp(number / 1000, UTC).isoformat()


def _linked_query(answer: Answer) -> str | None:
    """Return the query of the next page as the answer links to it; None where it does not.

    Only the query of the link is taken: its host and path may be those of a server behind, and a
    token must not follow it there.
    """
    for address, parameters in _LINK.findall(answer.headers.get("Link", "")[:_LONGEST_LINK]):
        if _NEXT.search(parameters):
            return address.partition("?")[2] or None
    return None

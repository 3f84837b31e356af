"""What registries say of images, as facts for the rules of choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import (
    Check,
    Digest,
    Platforms,
    Revision,
    SchemaLabels,
    Tags,
)
from gitops_rollback.decide.rollback import SCHEMA_LABEL
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.late import regex, replace
from gitops_rollback.model import one_line
from gitops_rollback.query.choose import is_open
from gitops_rollback.query.tags import asks_for_created, normalised_time, why_no_image
from gitops_rollback.registries.client import Registry
from gitops_rollback.registries.contents import REVISION
from gitops_rollback.registries.credentials import RegistryEndpoint
from gitops_rollback.registries.failures import ManifestMissingError, RegistryUnavailableError
from gitops_rollback.web.http import in_background

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from concurrent.futures import Future

    from gitops_rollback.clock import Deadline
    from gitops_rollback.decide.facts import NeedTags
    from gitops_rollback.image import ImageReference
    from gitops_rollback.query.tags import Tag
    from gitops_rollback.registries.contents import Contents
    from gitops_rollback.services.config import Config
    from gitops_rollback.web.answers import RateLimit

_COMMIT = regex(r"[0-9a-fA-F]{7,64}")  # a word, or a tree with changes in it, tells nothing
_LONGEST_SCHEMA = 100
MOST_CREATED = 20
_TOO_LITTLE = 1.0  # seconds in which nothing more can be decided and pushed
CHECK_SECONDS = 3.0  # for all checks of a run together: an unreachable registry must not stop it


class RegistryFacts:
    """Asks registries; answers are remembered, and an unreachable one is asked once.

    `hub_url` and `registry_url` are what the person named: they win over the repository's file,
    and credentials may go there.
    """

    def __init__(
        self,
        config: Config,
        environment: Mapping[str, str],
        deadline: Deadline,
        *,
        hub_url: str | None = None,
        registry_url: str | None = None,
    ) -> None:
        self._config = config
        self._environment = environment
        self._deadline = deadline
        self._hub_url = hub_url
        self._registry_url = registry_url
        self._clients: dict[tuple[str, bool], Registry] = {}
        self._checks: dict[str, Check] = {}
        self._begun: dict[str, Future[Contents]] = {}  # by image
        self._latest: Future[Contents] | None = None

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """How near the limits of the registries that were asked are, as far as they tell."""
        return tuple(limit for client in self._clients.values() for limit in client.limits)

    def check(
        self, image: ImageReference, running: ImageReference, *, looks: bool = False
    ) -> Check:
        """Ask whether an image is there: by its tag, which proves both, else by its digest.

        `gone` is said only if the same repository does hold the running image. Where `looks` tells
        that `platforms` comes next, what it will ask is read with this, or asked for meanwhile.
        """
        known = self._checks.get(image.canonical)
        if known is None:
            if looks:
                self._begin(running)
            known = self._check(image, running, looks=looks)
            self._checks[image.canonical] = known
        return known

    def platforms(self, image: ImageReference, running: ImageReference) -> Platforms:
        """Look at what an image is, and at the platforms of both; say where nobody tells."""
        client = self._client(image.registry, patient=False)
        self._begin(running)
        try:
            found = client.contents(image)
            if found.no_image:
                return Platforms(no_image=found.no_image)
            other = self._contents(running)
        except (ManifestMissingError, RegistryUnavailableError) as error:
            return Platforms(problem=error.message)
        return Platforms(
            frozenset(found.platforms),
            frozenset(other.platforms),
            is_same=found.digest == other.digest,
            built=_moment(found.built),
            revision=_commit(found.revision),
        )

    def schema_labels(self, running: ImageReference, target: ImageReference) -> SchemaLabels:
        """Read the schema that two images need; the target's only if the running one says one."""
        client = self._client(running.registry, patient=False)
        try:
            needed = client.label(running, SCHEMA_LABEL)
            offered = client.label(target, SCHEMA_LABEL) if needed is not None else None
        except (ManifestMissingError, RegistryUnavailableError) as error:
            return SchemaLabels(None, None, error.message)
        return SchemaLabels(_schema(needed), _schema(offered))

    def revision(self, image: ImageReference) -> Revision:
        """Read which commit an image says it was built from; what is no commit says nothing."""
        client = self._client(image.registry, patient=False)
        try:
            return Revision(_commit(client.label(image, REVISION)))
        except (ManifestMissingError, RegistryUnavailableError) as error:
            return Revision(problem=error.message)

    def digest(self, image: ImageReference, *, patient: bool) -> Digest:
        """Ask for the digest a reference has now; only what cannot do without it waits.

        Raises what the registry's client raised where that took all the time of the run.
        """
        try:
            return Digest(self._client(image.registry, patient=patient).digest_of(image))
        except GitopsRollbackError as error:
            if patient and self._deadline.remaining < _TOO_LITTLE:
                raise
            return Digest(None, error.with_traceback(None))  # which holds what was answered

    def tags(self, image: ImageReference, need: NeedTags) -> Tags:
        """Ask for the tags of an image's repository; only a strategy that needs them waits."""

        def wants_more(tags: Sequence[Tag], pages: int) -> bool:
            return is_open(tuple(tags), image, need.query, need.ran, pages)

        try:
            client = self._client(image.registry, patient=need.patient)
            tags = client.tags(image, wants_more if need.patient else None)
            if asks_for_created(need.query):
                tags = self.with_created(tags, image, required=need.patient)
        except GitopsRollbackError as error:
            return Tags(failure=error.with_traceback(None))
        return Tags(tags)

    def with_created(
        self, tags: tuple[Tag, ...], image: ImageReference, *, required: bool
    ) -> tuple[Tag, ...]:
        """Return tags with their times of build: those of the first `MOST_CREATED` images.

        Up to three requests each; where the registry gives out, the rest have no time.
        """
        client = self._client(image.registry, patient=required)
        images = [tag for tag in tags if not why_no_image(tag)]
        told: dict[str, str | None] = {}
        for tag in images[:MOST_CREATED]:
            try:
                told[tag.name] = client.created(image.with_version(tag.name, tag.digest))
            except ManifestMissingError:
                continue  # it was deleted while it was looked at
            except RegistryUnavailableError:
                if required:
                    raise
                break
        return tuple(replace(tag, created=told.get(tag.name)) for tag in tags)

    def _begin(self, image: ImageReference) -> None:
        """Let another thread read what an image is; one at a time, beside what asks meanwhile."""
        is_busy = self._latest is not None and not self._latest.done()
        if is_busy or image.canonical in self._begun:
            return
        client = self._client(image.registry, patient=False)
        self._latest = in_background(lambda: client.contents(image))
        self._begun[image.canonical] = self._latest

    def _contents(self, image: ImageReference) -> Contents:
        """Return what an image is, as it was read, or is being read, or will be."""
        begun = self._begun.get(image.canonical)
        if begun is not None:
            return begun.result()
        return self._client(image.registry, patient=False).contents(image)

    def _check(self, image: ImageReference, running: ImageReference, *, looks: bool) -> Check:
        client = self._client(image.registry, patient=False)
        try:
            if image.tag is not None and image.digest is not None:
                found = self._by_tag(client, image, looks=looks)
                if found is not None:
                    return found
                client.digest_of(image.with_version(None, image.digest), reads=looks)
                return Check("there", image.digest)
            digest = client.digest_of(image, reads=looks)
            return Check("there", digest, has_tag=image.tag is not None)
        except ManifestMissingError as error:
            return self._missing(client, image, running, error)
        except RegistryUnavailableError as error:
            return Check("unknown", message=error.message)

    def _by_tag(self, client: Registry, image: ImageReference, *, looks: bool) -> Check | None:
        try:
            digest = client.digest_of(image.with_version(image.tag, None), reads=looks)
        except ManifestMissingError:
            return None  # the tag is gone; the digest may still be there
        return Check("there", digest, has_tag=True) if digest == image.digest else None

    def _missing(
        self,
        client: Registry,
        image: ImageReference,
        running: ImageReference,
        error: ManifestMissingError,
    ) -> Check:
        try:
            client.digest_of(running)
        except (ManifestMissingError, RegistryUnavailableError) as other:
            return Check(
                "unknown",
                message=f"{error.message}; nor does it tell of the running image: {other.message}",
            )
        return Check("gone", message=f"the registry no longer has {image.canonical}")

    def _client(self, registry: str, *, patient: bool) -> Registry:
        key = (registry, patient)
        if key not in self._clients:
            left = self._deadline.remaining
            patience = left if patient else min(left, CHECK_SECONDS)
            endpoint = self._endpoint(registry)
            self._clients[key] = Registry(endpoint, self._environment, patience=patience)
        return self._clients[key]

    def _endpoint(self, registry: str) -> RegistryEndpoint:
        """Return how a registry is reached; never a mix of what a person and a file named.

        Else a credential meant for the one could go to the other.
        """
        if self._hub_url is not None or self._registry_url is not None:
            return RegistryEndpoint(registry, self._registry_url, self._hub_url, trusted=True)
        urls = self._config.registries.get(registry)
        if urls is None:
            return RegistryEndpoint(registry)
        return RegistryEndpoint(registry, urls.registry_url, urls.hub_url)


def _commit(told: str | None) -> str | None:
    """Return the commit that an image says it was built from; what is none says nothing."""
    found = _COMMIT.fullmatch((told or "").strip())
    return found[0].lower() if found else None


def _moment(told: str | None) -> str | None:
    """Return a time as plans have it, to the second; None for what is none."""
    whole = normalised_time(told)
    return f"{whole.partition('.')[0]}Z" if whole else None


def _schema(label: str | None) -> str | None:
    """Return a label from outside as one short line; an empty one says nothing."""
    return one_line(label, _LONGEST_SCHEMA) or None if label else None

"""All registries of a run behind one object, so that time, tokens and failures are shared."""

from __future__ import annotations

import logging
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any

from gitops_rollback.registries.credentials import RegistryEndpoint, find_access
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    NoHubError,
    RegistryUnavailableError,
    explain,
    try_later,
)
from gitops_rollback.registries.hub import Hub
from gitops_rollback.registries.oci import Oci
from gitops_rollback.registries.tokens import Door
from gitops_rollback.web.answers import retry_after
from gitops_rollback.web.http import CHECKING_PATIENCE, Http, Manners

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.query.tags import Tag
    from gitops_rollback.registries.contents import Contents
    from gitops_rollback.registries.credentials import Access
    from gitops_rollback.registries.hub import WantsMore
    from gitops_rollback.web.answers import Answer, RateLimit

_RETRIES = 2  # of what is needed; what is only checked is asked once
_LOG = logging.getLogger("gitops_rollback")


class Registries:
    """Ask registries about images.

    `endpoints` are the configured ones, by registry; others are reached where they always are.
    `patience` is the seconds that all calls together may take: 3 to only check, more where the
    answer is needed; then a host that says when it may be asked again is waited for.
    """

    def __init__(
        self,
        endpoints: Mapping[str, RegistryEndpoint],
        environment: Mapping[str, str],
        *,
        patience: float,
    ) -> None:
        self._endpoints = endpoints
        self._environment = environment
        self._http = RegistryHttp(environment, patience)
        self._lock = Lock()
        self._oci: dict[str, Oci] = {}
        self._hubs: dict[str, Hub] = {}

    @property
    def requests(self) -> int:
        """How many HTTP requests were sent so far, those for tokens included."""
        return self._http.requests

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """How near the limits of the hosts that were asked are, as far as they tell."""
        return tuple(self._http.limits.values())

    def digest_of(self, image: ImageReference, *, reads: bool = False) -> str:
        """Return the digest of the image's manifest: asked by digest if it has one, else by tag.

        `reads` gets the manifest itself, for what is asked next: `contents` asks for it no more.
        Raises `ManifestMissingError` if the registry has no such manifest, and
        `RegistryUnavailableError` if it does not answer that question.
        """
        return self._interface(image.registry).digest_of(image, reads=reads)

    def contents(self, image: ImageReference) -> Contents:
        """Return what an image is, for which platforms: up to two GETs; raise as `digest_of`."""
        return self._interface(image.registry).contents(image)

    def created(self, image: ImageReference) -> str | None:
        """Return when an image was built, if it tells; raise as `digest_of` does."""
        return self._interface(image.registry).created(image)

    def label(self, image: ImageReference, name: str) -> str | None:
        """Return a label of an image, if it has it; raise as `digest_of` does."""
        return self._interface(image.registry).label(image, name)

    def tags(self, image: ImageReference, wants_more: WantsMore | None = None) -> tuple[Tag, ...]:
        """Return the tags of the image's repository, newest first, as far as they are needed.

        Docker Hub tells them by the page: until nothing more is wanted of so many pages, else
        until there is one that is older than the image.
        """
        hub = self._hub(image.registry)
        if hub is None:
            return self._interface(image.registry).tags(image)
        try:
            return hub.tags(image, wants_more)
        except NoHubError as no_hub:
            _LOG.info("no Hub API there: the registry is asked for the names of tags")
            try:
                return self._interface(image.registry).tags(image)
            except (ManifestMissingError, RegistryUnavailableError):
                raise no_hub from None  # neither: what was named first is what is wrong

    def _endpoint(self, registry: str) -> RegistryEndpoint:
        return self._endpoints.get(registry) or RegistryEndpoint(registry)

    def _interface(self, registry: str) -> Oci:
        with self._lock:  # a login is looked for once, whoever asks first
            if registry not in self._oci:
                endpoint = self._endpoint(registry)
                url = endpoint.registry_url
                access = self._access(endpoint, url)
                self._oci[registry] = Oci(Door(self._http, url, access))
            return self._oci[registry]

    def _access(self, endpoint: RegistryEndpoint, url: str) -> Access:
        """Find the access to an address; what a credential helper takes is part of the patience."""
        with self._http.counting():
            return find_access(endpoint, url, self._environment, self._http.left)

    def _hub(self, registry: str) -> Hub | None:
        endpoint = self._endpoint(registry)
        url = endpoint.hub_api_url
        if url is not None and registry not in self._hubs:
            access = self._access(endpoint, url)
            self._hubs[registry] = Hub(self._http, url, access)
        return self._hubs.get(registry)


class RegistryHttp(Http):
    """Sends requests within `patience` seconds in all; a host that failed is not asked again."""

    def __init__(self, environment: Mapping[str, str], patience: float) -> None:
        retries = _RETRIES if patience > CHECKING_PATIENCE else 0
        super().__init__(environment, patience, Manners(explain, retries=retries))

    def send(self, method: str, url: str, *, what: str, **more: Any) -> Answer:  # noqa: ANN401 - as `Http.send`
        """Return the answer to one request, redirects followed.

        Raises `RegistryUnavailableError` where no answer came, or only 429 or 5xx.
        """
        answer = super().send(method, url, what=what, **more)
        busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS
        if not busy and answer.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            return answer
        raise self.give_up(answer.url, try_later(answer, what, retry_after(answer.headers)))

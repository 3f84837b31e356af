"""All registries of a run behind one object, so that time, tokens and failures are shared."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from gitops_rollback.registries.credentials import find_access
from gitops_rollback.registries.endpoints import RegistryEndpoint
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    NoHubError,
    RegistryUnavailableError,
)
from gitops_rollback.registries.http import RegistryHttp
from gitops_rollback.registries.hub import Hub
from gitops_rollback.registries.oci import Oci
from gitops_rollback.registries.tokens import Door

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.query.tags import Tag
    from gitops_rollback.registries.contents import Contents
    from gitops_rollback.registries.credentials import Access
    from gitops_rollback.registries.hub import WantsMore
    from gitops_rollback.web.answers import RateLimit

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

    def digest_of(self, image: ImageReference) -> str:
        """Return the digest of the image's manifest: asked by digest if it has one, else by tag.

        Raises `ManifestMissingError` if the registry has no such manifest, and
        `RegistryUnavailableError` if it does not answer that question.
        """
        return self._interface(image.registry).digest_of(image)

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

"""One registry, and its Hub API where it has one, behind one object that shares time and tokens."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gitops_rollback.registries.credentials import find_access
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
    from gitops_rollback.registries.credentials import Access, RegistryEndpoint
    from gitops_rollback.registries.hub import WantsMore
    from gitops_rollback.web.answers import Answer, RateLimit

_RETRIES = 2  # of what is needed; what is only checked is asked once
_LOG = logging.getLogger("gitops_rollback")


class Registry(Oci):
    """Ask a registry about images, all of them its own.

    `patience` is the seconds that all calls together may take: 3 to only check, more where the
    answer is needed; then a host that says when it may be asked again is waited for.
    """

    def __init__(
        self, endpoint: RegistryEndpoint, environment: Mapping[str, str], *, patience: float
    ) -> None:
        self._endpoint = endpoint
        self._environment = environment
        self._http = RegistryHttp(environment, patience)
        self._hub: Hub | None = None
        url = endpoint.registry_url
        super().__init__(Door(self._http, url, self._access(url)))

    @property
    def limits(self) -> tuple[RateLimit, ...]:
        """How near the limits of the hosts that were asked are, as far as they tell."""
        return tuple(self._http.limits.values())

    def tags(self, image: ImageReference, wants_more: WantsMore | None = None) -> tuple[Tag, ...]:
        """Return the tags of the image's repository, newest first, as far as they are needed.

        Docker Hub tells them by the page: until nothing more is wanted of so many pages, else
        until there is one that is older than the image.
        """
        url = self._endpoint.hub_api_url
        if url is None:
            return self.all_tags(image)
        if self._hub is None:
            self._hub = Hub(self._http, url, self._access(url))
        try:
            return self._hub.tags(image, wants_more)
        except NoHubError as no_hub:
            _LOG.info("no Hub API there: the registry is asked for the names of tags")
            try:
                return self.all_tags(image)
            except (ManifestMissingError, RegistryUnavailableError):
                raise no_hub from None  # neither: what was named first is what is wrong

    def _access(self, url: str) -> Access:
        """Find the access to an address; what a credential helper takes is part of the patience."""
        with self._http.counting():
            access = find_access(self._endpoint, url, self._environment, self._http.left)
        if access.credential is not None:
            self._http.hide(*access.credential.secrets)
        return access


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

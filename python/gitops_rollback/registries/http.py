"""The manners of registries: a busy one is waited for where there is time for that."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gitops_rollback.registries.failures import explain, try_later
from gitops_rollback.web.answers import retry_after
from gitops_rollback.web.http import CHECKING_PATIENCE, Http, Manners

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.web.answers import Answer

_RETRIES = 2  # of what is needed; what is only checked is asked once


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

"""One registry, and its Hub API where it has one, behind one object that shares time and tokens.

The login of registries: a 401 with a challenge, a token for it, and the request again. Token flow:
github.com/distribution/distribution, docs/content/spec/auth/token.md, and oauth.md for identity
tokens. A registry may redirect to another host that asks for tokens of its own: that one is asked
as nobody, whatever the login of the first; a token is shown to the host that asked for it.
"""

from __future__ import annotations

import logging
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from gitops_rollback.late import regex
from gitops_rollback.registries.credentials import find_access
from gitops_rollback.registries.failures import (
    ManifestMissingError,
    NoHubError,
    RegistryUnavailableError,
    explain,
    nonsense,
    try_later,
    unexpected,
)
from gitops_rollback.registries.hub import Hub
from gitops_rollback.registries.oci import Oci
from gitops_rollback.web.answers import retry_after
from gitops_rollback.web.hosts import NOBODY, Keyring, bound_to, is_web_address, origin_of
from gitops_rollback.web.http import CHECKING_PATIENCE, Http, Manners, as_form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.image import ImageReference
    from gitops_rollback.query.tags import Tag
    from gitops_rollback.registries.credentials import Access, RegistryEndpoint
    from gitops_rollback.registries.hub import WantsMore
    from gitops_rollback.web.answers import Answer, RateLimit

_SCHEME = regex(r"(?:^|,)\s*(Bearer|Basic)\b", re.IGNORECASE)
_PARAMETER = regex(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.){0,4000})"|([^\s",]+))')
_TOKEN = regex(r"[\x21-\x7e]+")  # what a header can carry
_LONGEST_CHALLENGE = 8192  # characters
_MOST_HOSTS = 2  # that ask for a token on one way: the registry, and where it redirects to
_CLIENT = "gitops-rollback"


class Door:
    """Send requests to one registry, with the tokens it and its redirects ask for, by scope."""

    def __init__(self, http: RegistryHttp, url: str, access: Access) -> None:
        self.url = url
        self.access = access
        self._http = http
        self._tokens: dict[str, Keyring] = {}
        self._asked: tuple[Answer, dict[str, str]] | None = None  # how it asked for a token

    def send(
        self,
        method: str,
        path: str,
        *,
        what: str,
        scope: str,
        headers: Mapping[str, str],
        largest: int,
    ) -> Answer:
        """Return the answer; a 401 remains one only where no login helps."""
        send = partial(
            self._http.send,
            method,
            f"{self.url}{path}",
            what=what,
            headers=headers,
            largest=largest,
        )
        tokens = self._tokens.setdefault(scope, Keyring())
        with tokens.lock:
            if not tokens.is_used:
                self._foresee(scope, tokens)
        kept = tokens.kept
        answer = send(who=tokens)
        asked: set[str] = set()
        # A kept token may have expired: a new one is asked for, once of each host.
        while answer.status == HTTPStatus.UNAUTHORIZED and origin_of(answer.url) not in asked:
            with tokens.lock:
                if tokens.kept == kept:  # else who asked at the same time has just got one
                    asked.add(origin_of(answer.url))
                    if len(asked) > _MOST_HOSTS or not self._authorize(answer, scope, tokens):
                        return answer
                kept = tokens.kept
            answer = send(who=tokens)
        return answer

    def _authorize(self, answer: Answer, scope: str, tokens: Keyring) -> bool:
        """Get what the host of an answer asks for; tell whether it is worth asking again."""
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        fresh: str | None = None
        if "bearer" in challenges:
            challenge = challenges["bearer"]
            if challenge.get("scope", scope) == scope and self._is_own(answer):
                self._asked = (answer, {k: v for k, v in challenge.items() if k != "scope"})
            fresh = f"Bearer {self._token(answer, challenge, scope)}"
        elif "basic" in challenges and self.access.credential is not None and self._is_own(answer):
            fresh = self.access.credential.basic
        return fresh is not None and tokens.keep(answer.url, fresh)

    def _is_own(self, answer: Answer) -> bool:
        """Tell whether the registry itself answered, and not where it redirects to."""
        return origin_of(answer.url) == origin_of(self.url)

    def _foresee(self, scope: str, tokens: Keyring) -> None:
        """Get a token for another repository, where this registry asked for one before.

        Else each of many repositories costs a 401 first. Where none is to be had, the registry is
        asked without: it says itself what is wrong.
        """
        if self._asked is None:
            return
        answer, challenge = self._asked
        try:
            tokens.keep(answer.url, f"Bearer {self._token(answer, challenge, scope)}")
        except RegistryUnavailableError:
            return

    def _token(self, answer: Answer, challenge: Mapping[str, str], scope: str) -> str:
        scope = challenge.get("scope", scope)
        what = f"a token for {scope}"
        granted = self._granted(answer, challenge, scope, what)
        if granted.status != HTTPStatus.OK:
            raise unexpected(granted, what, self.access)
        document = granted.json
        fields = document if isinstance(document, dict) else {}
        token = fields.get("token") or fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise nonsense(granted, what, "there is no token in its answer")
        self._http.hide(token)
        return token

    def _granted(
        self, answer: Answer, challenge: Mapping[str, str], scope: str, what: str
    ) -> Answer:
        """Ask the token server that the challenge names, as ourselves or as nobody."""
        realm = self._realm(answer, challenge)
        credential = self.access.credential if self._is_own(answer) else None
        query = {"scope": scope}
        if challenge.get("service"):
            query["service"] = challenge["service"]
        if credential is not None and credential.is_identity_token:
            form = {
                **query,
                "grant_type": "refresh_token",
                "client_id": _CLIENT,
                "refresh_token": credential.password,
            }
            return self._http.send("POST", realm, what=what, sent=as_form(form))
        who = bound_to(realm, credential.basic) if credential is not None else NOBODY
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"
        return self._http.send("GET", url, what=what, who=who)

    def _realm(self, answer: Answer, challenge: Mapping[str, str]) -> str:
        realm = challenge.get("realm", "")
        # A registry with TLS that sends its users to a server without would give away the login.
        insecure = urlsplit(answer.url).scheme == "https" and not realm.startswith("https://")
        if not is_web_address(realm) or insecure:
            raise nonsense(answer, "a token", "it names no safe address of a token server")
        return realm


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Read a WWW-Authenticate header: parameters by scheme, both in small letters."""
    header = header[:_LONGEST_CHALLENGE]
    starts = list(_SCHEME.finditer(header))
    ends = [*(start.start() for start in starts), len(header)][1:]
    challenges: dict[str, dict[str, str]] = {}
    for start, end in zip(starts, ends, strict=True):
        parameters = {
            name.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
            for name, quoted, plain in _PARAMETER.findall(header, start.end(), end)
        }
        challenges.setdefault(start.group(1).lower(), parameters)
    return challenges


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

"""The login of registries: a 401 with a challenge, a token for it, and the request again."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from gitops_rollback.registries.endpoints import is_web_address
from gitops_rollback.registries.failures import (
    Answer,
    RegistryUnavailableError,
    nonsense,
    unexpected,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.registries.credentials import Access
    from gitops_rollback.registries.http import Http

_SCHEME = re.compile(r"(?:^|,)\s*(Bearer|Basic)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_TOKEN = re.compile(r"[\x21-\x7e]+")  # what a header can carry


class Door:
    """Send requests to one registry, with the token it asks for; tokens are kept by scope."""

    def __init__(self, http: Http, url: str, access: Access) -> None:
        self.url = url
        self.access = access
        self._http = http
        self._authorization: dict[str, str] = {}
        self._asked: tuple[Answer, dict[str, str]] | None = None  # how it asked for a token
        if access.credential is not None:
            http.hide(*access.credential.secrets)

    def send(
        self, method: str, path: str, *, what: str, scope: str, headers: Mapping[str, str]
    ) -> Answer:
        """Return the answer; a 401 remains one only where no login helps."""
        known = self._authorization.get(scope) or self._foresee(scope)
        answer = self._attempt(method, path, what, headers, known)
        if answer.status != HTTPStatus.UNAUTHORIZED:
            return answer
        # A kept token may have expired: a new one is asked for, once.
        fresh = self._authorize(answer, scope)
        if fresh is None or fresh == known:
            return answer
        self._authorization[scope] = fresh
        return self._attempt(method, path, what, headers, fresh)

    def _attempt(
        self,
        method: str,
        path: str,
        what: str,
        headers: Mapping[str, str],
        authorization: str | None,
    ) -> Answer:
        extra = {"Authorization": authorization} if authorization else {}
        return self._http.send(method, f"{self.url}{path}", what=what, headers={**headers, **extra})

    def _authorize(self, answer: Answer, scope: str) -> str | None:
        challenges = parse_challenges(answer.headers.get("WWW-Authenticate", ""))
        if "bearer" in challenges:
            challenge = challenges["bearer"]
            if challenge.get("scope", scope) == scope:
                self._asked = (answer, {k: v for k, v in challenge.items() if k != "scope"})
            return f"Bearer {self._token(answer, challenge, scope)}"
        if "basic" in challenges and self.access.credential is not None:
            return self.access.credential.basic
        return None

    def _foresee(self, scope: str) -> str | None:
        """Return a token for another repository, where this registry asked for one before.

        Else each of many repositories costs a 401 first. Where none is to be had, the registry is
        asked without: it says itself what is wrong.
        """
        if self._asked is None:
            return None
        try:
            token = f"Bearer {self._token(*self._asked, scope)}"
        except RegistryUnavailableError:
            return None
        self._authorization[scope] = token
        return token

    def _token(self, answer: Answer, challenge: Mapping[str, str], scope: str) -> str:
        scope = challenge.get("scope", scope)
        what = f"a token for {scope}"
        url = self._token_url(answer, challenge, scope)
        credential = self.access.credential
        headers = {"Authorization": credential.basic} if credential is not None else {}
        granted = self._http.send("GET", url, what=what, headers=headers)
        if granted.status != HTTPStatus.OK:
            raise unexpected(granted, what, self.access)
        document = granted.json
        fields = document if isinstance(document, dict) else {}
        token = fields.get("token") or fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise nonsense(granted, what, "there is no token in its answer")
        self._http.hide(token)
        return token

    def _token_url(self, answer: Answer, challenge: Mapping[str, str], scope: str) -> str:
        realm = challenge.get("realm", "")
        # A registry with TLS that sends its users to a server without would give away the login.
        insecure = urlsplit(self.url).scheme == "https" and not realm.startswith("https://")
        if not is_web_address(realm) or insecure:
            raise nonsense(answer, "a token", "it names no safe address of a token server")
        query = {"scope": scope}
        if challenge.get("service"):
            query["service"] = challenge["service"]
        return f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(query)}"


def parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Read a WWW-Authenticate header: parameters by scheme, both in small letters."""
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

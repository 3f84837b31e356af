"""How Docker Hub and an OCI registry answer: pages, logins, errors; see `standin.py`."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
# What Hub shows to who has not signed in: no entry behind this one.
ANONYMOUS_OFFSET = 1000
_TOKEN = "stand-in-token-of-"
_TOO_FAR = "pagination offset too large for anonymous requests; sign in to page further"


@dataclass
class Repository:
    """What was pushed: manifests and blobs by digest, tags by name, what Hub tells of each."""

    manifests: dict[str, bytes] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    hub: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Service:
    """Docker Hub and registry in one; with `accounts` (user to password) all is private."""

    accounts: Mapping[str, str]
    require_token: bool
    url: str = ""
    digest_header: bool = True
    repositories: dict[str, Repository] = field(default_factory=dict)

    def answer(self, question: Question) -> Reply:
        """Return what Docker Hub or the registry would answer."""
        if question.path == "/token":
            return self._token(question)
        if question.path == "/v2/auth/token":
            return self._hub_token(question)
        if question.path.startswith("/v2/namespaces/"):
            return self._hub_tags(question)
        if question.path == "/v2" or question.path.startswith("/v2/"):
            return self._registry(question)
        return Reply(404, b"404 page not found\n", {"Content-Type": "text/plain"})

    # Logins -------------------------------------------------------------------------------------

    def _user(self, question: Question) -> str | None:
        """Return who a token was given to: "" for nobody in particular, None without a token."""
        scheme, _, token = question.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token.startswith(_TOKEN):
            return None
        return token.removeprefix(_TOKEN)

    def _token(self, question: Question) -> Reply:
        """Give a token, as auth.docker.io does: to anybody, but it opens only what is public."""
        scheme, _, pair = question.headers.get("authorization", "").partition(" ")
        user, _, password = base64.b64decode(pair).decode().partition(":")
        if scheme == "Basic" and self.accounts.get(user) != password:
            return _json(401, {"details": "incorrect username or password"})
        return _json(200, {"token": _TOKEN + user, "expires_in": 300})

    def _hub_token(self, question: Question) -> Reply:
        given = json.loads(question.body or b"{}")
        user = str(given.get("identifier"))
        if user not in self.accounts or self.accounts[user] != given.get("secret"):
            return _json(401, {"detail": "Incorrect authentication credentials"})
        return _json(200, {"access_token": _TOKEN + user})

    # Docker Hub ---------------------------------------------------------------------------------

    def _hub_tags(self, question: Question) -> Reply:
        """Answer `/v2/namespaces/{namespace}/repositories/{repository}/tags[/{tag}]`."""
        names = question.path.removeprefix("/v2/namespaces/").replace("/repositories/", "/", 1)
        name, _, tag = names.partition("/tags")
        stored = self.repositories.get(name)
        if stored is None or (self.accounts and not self._user(question)):
            return _json(404, {"message": "object not found", "errinfo": {}})
        if tag:
            entry = stored.hub.get(tag.removeprefix("/"))
            missing = f"httperror 404: tag '{tag.removeprefix('/')}' not found"
            return _json(200, entry) if entry else _json(404, {"message": missing, "errinfo": {}})
        page = int(question.query.get("page", "1"))
        size = min(100, int(question.query.get("page_size", "10")))
        if page * size > ANONYMOUS_OFFSET and not self._user(question):
            return _json(403, {"message": _TOO_FAR, "errinfo": {}})
        return _json(200, self._hub_page(question.path, stored, page, size))

    def _hub_page(self, path: str, stored: Repository, page: int, size: int) -> dict[str, object]:
        tags = sorted(stored.hub.values(), key=lambda tag: tag["last_updated"] or "", reverse=True)
        start, end = (page - 1) * size, page * size
        link = f"{self.url}{path}?page_size={size}&page="
        return {
            "count": len(tags),
            "next": f"{link}{page + 1}" if end < len(tags) else None,
            "previous": f"{link}{page - 1}" if page > 1 else None,
            "results": tags[start:end],
        }

    # The registry -------------------------------------------------------------------------------

    def _registry(self, question: Question) -> Reply:
        """Answer `/v2/`, `/v2/{name}/manifests/{reference}` and `/v2/{name}/tags/list`."""
        name, _, rest = question.path.removeprefix("/v2/").rpartition("/")
        name, _, kind = name.rpartition("/")
        user = self._user(question)
        if self.require_token and (user is None or (self.accounts and not user)):
            return self._challenge(name)
        if question.path in {"/v2", "/v2/"}:
            return _json(200, {})
        stored = self.repositories.get(name)
        if kind == "tags" and rest == "list":
            return self._tag_list(question, name, stored)
        if kind == "blobs" and stored and rest in stored.blobs:
            return Reply(200, stored.blobs[rest])
        return self._manifest(kind, rest, stored)

    def _manifest(self, kind: str, rest: str, stored: Repository | None) -> Reply:
        if kind != "manifests":
            return _error(404, "UNSUPPORTED", "The operation is unsupported.")
        digest = stored.tags.get(rest, rest) if stored else rest
        manifest = stored.manifests.get(digest) if stored else None
        if manifest is None:
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown")
        proof = {"Docker-Content-Digest": digest} if self.digest_header else {}
        kind = json.loads(manifest).get("mediaType", MANIFEST)
        return Reply(200, manifest, {"Content-Type": kind, **proof})

    def _challenge(self, name: str) -> Reply:
        scope = f',scope="repository:{name}:pull"' if name else ""
        challenge = f'Bearer realm="{self.url}/token",service="stand-in"{scope}'
        refusal = _error(401, "UNAUTHORIZED", "authentication required")
        return Reply(401, refusal.body, {**refusal.headers, "WWW-Authenticate": challenge})

    def _tag_list(self, question: Question, name: str, stored: Repository | None) -> Reply:
        if stored is None:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry")
        names = sorted(tag for tag in stored.tags if tag > question.query.get("last", ""))
        size = int(question.query.get("n", "1000"))
        page = names[:size]
        listed = _json(200, {"name": name, "tags": page})
        if len(names) <= size:
            return listed
        link = f'</v2/{name}/tags/list?n={size}&last={page[-1]}>; rel="next"'
        return Reply(200, listed.body, {**listed.headers, "Link": link})


def _json(status: int, document: object) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _error(status: int, code: str, message: str) -> Reply:
    return _json(status, {"errors": [{"code": code, "message": message}]})

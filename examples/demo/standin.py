"""A stand-in for Docker Hub and for an OCI registry, on loopback and in memory.

It answers as the real ones do, as far as `gitops-rollback` asks them: the Hub API with its pages of
tags, manifests by tag and by digest, lists of tags, logins, and errors on demand:

    with RegistryStandIn() as hub:
        digest = hub.push("acme/cart", "1.4.2")
        print(hub.url, digest)     # as `hub-url` and as `registry-url`
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from standin_answers import INDEX, MANIFEST, Question, Reply, Repository, Service

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Failure:
    """What is answered instead of the truth (None: the truth), and after which delay."""

    reply: Reply | None
    seconds: float = 0.0


class RegistryStandIn:
    """Serve what was pushed; `accounts` (user to password) makes every repository private."""

    def __init__(
        self, *, require_token: bool = False, accounts: Mapping[str, str] | None = None
    ) -> None:
        self.requests: list[str] = []  # "METHOD path?query", in the order of arrival
        self.headers: list[dict[str, str]] = []  # of each of these requests
        self.service = Service(dict(accounts or {}), require_token or bool(accounts))
        self.limits: dict[str, str] = {}  # headers of every answer, as Docker Hub sends them
        self._failures: dict[str, Failure] = {}
        self._server = _Server(self)
        self.service.url = self.url
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    @property
    def url(self) -> str:
        """The address, both of the Hub API and of the registry."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def host(self) -> str:
        """The registry's name in image references."""
        return self.url.removeprefix("http://")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def push(
        self,
        repository: str,
        tag: str,
        *,
        content: bytes | None = None,
        pushed: datetime | Literal["now"] | None = "now",
        platforms: Sequence[str] = (),
        created: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Store an image whose one layer is `content` under a tag; return its digest.

        `pushed=None` is a tag of old, of which Hub no longer knows when it was pushed; with
        `platforms` (`linux/arm64`, …) it is an index of as many images; `created` is the time of
        build, `labels` are those of its Dockerfile.
        """
        layer = f"{repository}:{tag}".encode() if content is None else content
        stored = self._repository(repository)
        told = {"created": created} if created else {}
        details = {**told, "config": {"Labels": dict(labels)}} if labels else told
        images = [_image(layer, platform, details) for platform in platforms or ("linux/amd64",)]
        for config, manifest in images:
            stored.blobs[_sha256(config)] = config
            stored.manifests[_sha256(manifest)] = manifest
        top = images[0][1]
        if platforms:
            top = _index(dict(zip(platforms, (manifest for _, manifest in images), strict=True)))
            stored.manifests[_sha256(top)] = top
        self._name(repository, tag, _sha256(top), pushed)
        stored.hub[tag]["images"] = [
            {**stored.hub[tag]["images"][0], **_platform(platform), "digest": _sha256(manifest)}
            for platform, (_, manifest) in zip(platforms or ("linux/amd64",), images, strict=True)
        ]
        return _sha256(top)

    def retag(
        self,
        repository: str,
        source: str,
        tag: str,
        *,
        pushed: datetime | Literal["now"] | None = "now",
    ) -> str:
        """Let a tag name what `source` (a tag or a digest) names; return its digest."""
        stored = self._repository(repository)
        digest = stored.tags.get(source, source)
        if digest not in stored.manifests:
            raise KeyError(f"{repository} has no {source}")
        self._name(repository, tag, digest, pushed)
        return digest

    def delete(self, repository: str, tag_or_digest: str) -> None:
        """Remove a tag, or a manifest and all its tags."""
        stored = self._repository(repository)
        stored.manifests.pop(tag_or_digest, None)
        for tag, digest in list(stored.tags.items()):
            if tag_or_digest in {tag, digest}:
                del stored.tags[tag], stored.hub[tag]

    def hub_says(self, repository: str, tag: str, **fields: object) -> None:
        """Let Hub tell something else of a tag: `images=[]`, or `digest=None`."""
        self._repository(repository).hub[tag].update(fields)

    def fail_with(
        self,
        prefix: str,
        status: int,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer every path that begins with `prefix` with this, until `recover`."""
        self._failures[prefix] = Failure(Reply(status, body, headers or {}))

    def delay(self, prefix: str, seconds: float) -> None:
        """Answer paths that begin with `prefix` rightly, but late."""
        self._failures[prefix] = Failure(None, seconds)

    def recover(self) -> None:
        """Be healthy again."""
        self._failures.clear()
        self.limits.clear()

    def answer(self, question: Question) -> Reply:
        """Return what Hub or the registry would answer."""
        for prefix, failure in list(self._failures.items()):
            if question.path.startswith(prefix):
                time.sleep(failure.seconds)
                if failure.reply is not None:
                    return failure.reply
        return self.service.answer(question)

    def _repository(self, name: str) -> Repository:
        return self.service.repositories.setdefault(name, Repository())

    def _name(self, repository: str, tag: str, digest: str, pushed: datetime | str | None) -> None:
        moment = datetime.now(UTC) if isinstance(pushed, str) else pushed
        at = moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
        stored = self._repository(repository)
        stored.tags[tag] = digest
        image = {"architecture": "amd64", "os": "linux", "variant": None, "digest": digest}
        stored.hub[tag] = {
            "name": tag,
            "digest": digest,
            "full_size": len(stored.manifests.get(digest, b"")),
            "images": [{**image, "status": "active", "last_pushed": at}],
            "last_updated": at,
            "tag_last_pushed": at,
            "tag_status": "active",
            "v2": True,
        }


def _image(layer: bytes, platform: str, details: Mapping[str, object]) -> tuple[bytes, bytes]:
    """Return configuration and manifest of an image with one layer, as a builder pushes them."""
    config = json.dumps({**_platform(platform), "rootfs": _sha256(layer), **details}).encode()
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    }
    return config, json.dumps(document, indent=2).encode()


def _index(manifests: Mapping[str, bytes]) -> bytes:
    """Return an index of images by platform, with an attestation, as buildx adds one."""
    entries = [
        {**_descriptor(MANIFEST, manifest), "platform": _platform(platform)}
        for platform, manifest in manifests.items()
    ]
    unknown = {"architecture": "unknown", "os": "unknown"}
    entries.append({**_descriptor(MANIFEST, b"attestation"), "platform": unknown})
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def _platform(name: str) -> dict[str, str]:
    parts = dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))
    return {key: parts[key] for key in ("architecture", "os", "variant") if key in parts}


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": _sha256(content), "size": len(content)}


def _sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, standin: RegistryStandIn) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.standin = standin

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that has read enough; all else is a fault of this stand-in."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """Turn HTTP into questions and replies."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: _Server

    def do_GET(self) -> None:
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the demo's words are its own."""

    def _reply(self) -> None:
        url = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        standin = self.server.standin
        standin.requests.append(f"{self.command} {self.path}")
        standin.headers.append(headers)
        question = Question(self.command, unquote(url.path), query, headers, body)
        reply = standin.answer(question)
        with suppress(ConnectionError):  # who asked may have lost patience
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        self.send_response(reply.status)
        length = {"Content-Length": str(len(reply.body))}
        for name, value in {**length, **self.server.standin.limits, **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)
        self.wfile.flush()

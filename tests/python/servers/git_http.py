"""A smart HTTP Git server on loopback: `git http-backend` behind Python's own web server.

It serves every bare repository below one folder, counts requests and bytes, and can ask for a user
name and a password. Used by tests and benchmarks; the Git side is git's own, nothing is imitated.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from servers.serving import Serving

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class Traffic:
    """What went over the wire since the last `reset`."""

    requests: list[str] = field(default_factory=list)
    received: int = 0
    sent: int = 0

    def reset(self) -> None:
        """Start counting anew."""
        self.requests.clear()
        self.received = 0
        self.sent = 0


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # fifty clients at once wait in line, and are not turned away

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - of the base
        """Say nothing of a client that has hung up: that is its right."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class GitHttpServer(Serving):
    """Serve the bare repositories below `root`; `credentials` is (user, password) or None.

    With `refuses_writes` they may read only, as GitHub tells those whose token may not write.
    `host` is the address of this machine, where others than itself have to reach it.
    """

    def __init__(
        self,
        root: Path,
        credentials: tuple[str, str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.root = root
        self.traffic = Traffic()
        self.refuses_writes = False
        self.speaks_version_2 = True
        self.authorizations: list[str] = []
        self._host = host
        handler = self.extend(_handler(self, root, credentials))
        super().__init__(_Server((host, 0), handler))

    def extend(self, handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
        """Return the handler of requests; a server that is more than Git puts its own before it."""
        return handler

    def spoken(self, wanted: str) -> str:
        """Return the protocol that is spoken: version 0 where the header does not get through."""
        return wanted if self.speaks_version_2 else ""

    @property
    def url(self) -> str:
        """The address of the folder, without a slash at its end."""
        return f"http://{self._host}:{self._server.server_port}"


def _cgi_answer(output: bytes) -> tuple[HTTPStatus, list[tuple[str, str]], bytes]:
    head, _, content = output.partition(b"\r\n\r\n")
    pairs = [line.partition(": ")[::2] for line in head.decode().split("\r\n") if line]
    status = next((value for name, value in pairs if name == "Status"), "200 OK")
    return HTTPStatus(int(status.split()[0])), [p for p in pairs if p[0] != "Status"], content


def _handler(  # noqa: C901 - a class made for one server
    server: GitHttpServer, root: Path, credentials: tuple[str, str] | None
) -> type[BaseHTTPRequestHandler]:
    traffic = server.traffic
    wanted = None
    if credentials is not None:
        wanted = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            self._serve()

        def do_POST(self) -> None:
            self._serve()

        def _serve(self) -> None:
            body = self._body()
            traffic.requests.append(f"{self.command} {self.path}")
            server.authorizations.append(self.headers.get("Authorization", ""))
            traffic.received += len(body)
            if wanted is not None and self.headers.get("Authorization") != wanted:
                self._answer(
                    HTTPStatus.UNAUTHORIZED, [("WWW-Authenticate", 'Basic realm="git"')], b""
                )
                return
            if server.refuses_writes and "git-receive-pack" in self.path:
                said = b"remote: Write access to repository not granted."
                self._answer(HTTPStatus.FORBIDDEN, [("Content-Type", "text/plain")], said)
                return
            path, _, query = self.path.partition("?")
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                stdout=subprocess.PIPE,
                env=self._environment(path, query),
                check=False,
            )
            self._answer(*_cgi_answer(done.stdout))

        def _environment(self, path: str, query: str) -> dict[str, str]:
            return {
                **os.environ,
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": server.spoken(self.headers.get("Git-Protocol", "")),
                "REMOTE_ADDR": "127.0.0.1",
                "REMOTE_USER": credentials[0] if credentials is not None else "tester",
            }

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "") != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", "0")))
            parts = []
            while size := int(self.rfile.readline().strip(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _answer(self, status: HTTPStatus, headers: list[tuple[str, str]], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            traffic.sent += len(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet: the requests are counted in `traffic`."""

    return Handler

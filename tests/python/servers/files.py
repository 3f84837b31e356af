"""A web server on loopback that has a few files."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from servers.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Mapping


class FileServer(Serving):
    """Serves files, given as bytes by the path of their address; all else is not there."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(ThreadingHTTPServer(("127.0.0.1", 0), _handler(files)))

    @property
    def url(self) -> str:
        """The address of the files, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_port}"


def _handler(files: Mapping[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            data = files.get(self.path)
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

    return Handler

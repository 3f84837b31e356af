"""The log side of a kubelet, for nodes that only pretend: the API server asks it for pods' logs.

It answers as a kubelet does below `/containerLogs/<namespace>/<pod>/<container>`
(kubernetes/kubernetes:pkg/kubelet/server/server.go). A node says in its status where its kubelet
listens; the API server takes any certificate there, as long as it is not told whose to trust.

A node has one kubelet, and tests that run beside each other have one node. So one at a time is its
kubelet, by a lock that all processes of the machine see, and it knows no pod but its own fleet's.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlsplit

from flux.alone import alone
from servers.serving import Serving

if TYPE_CHECKING:
    from pathlib import Path

    from flux.fleet import Fleet

_PATH = re.compile(r"/containerLogs/(?P<namespace>[^/]+)/(?P<pod>[^/]+)/(?P<container>[^/]+)")


class KubeletLogs(Serving):
    """Serves the logs of a fleet's pods for every node of its cluster while it is entered.

    `previous` are the lines of the container that ended last, `current` those of the one that runs,
    None where there is none. `asked` are the requests for pods of the fleet.
    """

    def __init__(
        self, fleet: Fleet, previous: list[str] | None = None, current: list[str] | None = None
    ) -> None:
        self.asked: list[str] = []
        self._fleet = fleet
        self._logs = {True: previous, False: current}
        self._stack = ExitStack()
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.socket = _wrapped(server, fleet.shop.root)
        super().__init__(server)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(alone(self._fleet.kubeconfig, "kubelet"))
            for node in json.loads(self._fleet.kubectl("get", "nodes", "-o", "json"))["items"]:
                name, ports = node["metadata"]["name"], node["status"].get("daemonEndpoints", {})
                before = ports.get("kubeletEndpoint", {}).get("Port")
                stack.callback(self._point, name, before)
                self._point(name, self._server.server_port)
            self._stack = stack.pop_all()
        return super().__enter__()

    def __exit__(self, *_error: object) -> None:
        with self._stack:
            super().__exit__(*_error)

    def answer(self, target: str) -> tuple[int, str]:
        """Return what a kubelet answers: of others' pods that it has none."""
        found = _PATH.fullmatch(urlsplit(target).path)
        if not found or found["namespace"] != self._fleet.namespace:
            return 404, "404 page not found\n"
        self.asked.append(target)
        query = parse_qs(urlsplit(target).query)
        lines = self._logs[query.get("previous") == ["true"]]
        if lines is None:
            where = f'"{found["container"]}" in pod "{found["pod"]}"'
            return 400, f"previous terminated container {where} not found\n"
        tail = int(query.get("tailLines", ["0"])[0])
        return 200, "".join(f"{line}\n" for line in lines[-tail:])

    def _point(self, node: str, port: int | None) -> None:
        """Let a node say where its kubelet listens."""
        endpoint = {"kubeletEndpoint": {"Port": port} if port else None}
        status = json.dumps({"status": {"daemonEndpoints": endpoint}})
        patch = ("patch", "node", node, "--subresource", "status", "--type", "merge")
        self._fleet.kubectl(*patch, "-p", status)


def _wrapped(server: ThreadingHTTPServer, folder: Path) -> ssl.SSLSocket:
    key, certificate = folder / "kubelet.key", folder / "kubelet.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=kubelet", "-keyout", str(key),
         "-out", str(certificate)],
        capture_output=True, check=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context.wrap_socket(server.socket, server_side=True)


def _handler(logs: KubeletLogs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401 - of the base
            """Say nothing."""

        def do_GET(self) -> None:
            status, text = logs.answer(self.path)
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    return Handler

"""A server on loopback that answers every request with the same bytes, whatever they are."""

from __future__ import annotations

import socket
import threading

_HEAD = (
    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    b"X-Jenkins: 2.426.2\r\nConnection: close\r\n\r\n"
)
_STATUSES = (
    *(b"200 OK", b"200 OK", b"200 OK", b"201 Created", b"401 Unauthorized", b"403 Forbidden"),
    *(b"404 Not Found", b"422 Unprocessable", b"429 Too Many Requests", b"500 Error"),
)


class AnyAnswer:
    """Answers with a body; a context manager that returns the server's address.

    The status is chosen by the body, so that the same bytes give the same answers. A body that
    begins as a head does (`HTTP/`) is sent as it is. `connections` counts who came.
    """

    def __init__(self, body: bytes) -> None:
        status = _STATUSES[sum(body) % len(_STATUSES)]
        is_whole = body.startswith(b"HTTP/")
        self._said = body if is_whole else _HEAD % (status, len(body)) + body
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _address = self._socket.accept()
            except OSError:  # it was closed
                return
            self.connections += 1
            with client:
                try:
                    client.settimeout(5)
                    client.recv(65536)
                    client.sendall(self._said)
                except OSError:
                    continue

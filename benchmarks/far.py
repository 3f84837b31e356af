"""A loopback proxy that makes a server far away: what goes through it takes its time.

Each way takes half of a round trip; to connect takes a whole one. Bandwidth is not limited, and no
byte waits for another: what counts is how many questions are asked one after the other.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 1 << 16
_LIMIT = 1 << 22  # bytes under way in one direction


class Far:
    """Stands before the server of `url`, `seconds` away; a context manager that gives its address.

    With 0 seconds it is that of the server itself.
    """

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.url = url

    def __enter__(self) -> Self:
        if self._seconds:
            self._thread.start()
            started = asyncio.run_coroutine_threadsafe(self._listen(), self._loop)
            port = started.result()
            self.url = f"http://127.0.0.1:{port}{urlsplit(self._url).path}"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._seconds:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=128)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._seconds)  # to connect
        address = urlsplit(self._url)
        there = await asyncio.open_connection(address.hostname, address.port)
        ways = (self._carry(reader, there[1]), self._carry(there[0], writer))
        await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carry bytes one way, each half a round trip after it came."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_LIMIT // _CHUNK)
        arriving = asyncio.create_task(self._arrive(under_way, target))
        try:
            while data := await source.read(_CHUNK):
                await under_way.put((self._loop.time() + self._seconds / 2, data))
        finally:
            await under_way.put((self._loop.time() + self._seconds / 2, b""))
            await arriving

    async def _arrive(
        self, under_way: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter
    ) -> None:
        while True:
            at, data = await under_way.get()
            await asyncio.sleep(max(0.0, at - self._loop.time()))
            if not data:
                target.close()
                return
            target.write(data)
            await target.drain()

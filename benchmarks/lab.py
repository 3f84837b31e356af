"""What benchmarks have in common: the machine, servers and repositories, turns, and tables.

`bench.py` runs all of them; each runs alone, too, and prints its tables in Markdown.
"""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "python"), str(ROOT / "examples" / "demo")]

from servers.git_http import GitHttpServer  # noqa: E402
from standin import RegistryStandIn  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

COMMAND = str(Path(sys.executable).with_name("gitops-rollback"))
# The same Python, but not that of the virtual environment, and the helper: as on an agent.
AGENT = [str(Path(sys.executable).resolve()), "-I", "-S", "-X", "utf8"]
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVES = (RESOURCES / "gitops-rollback.tar", RESOURCES / "dependencies.tar.gz")
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
        - name: server
          image: acme/{name}:1.0.0@sha256:{digest}
"""
CONFIG = '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'
_CHUNK = 1 << 16
_LIMIT = 1 << 22  # bytes under way in one direction


def describe_machine() -> str:
    """Return processor, cores, Python and git of this machine."""
    info = Path("/proc/cpuinfo")
    models = [
        line.partition(": ")[2]
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    model = models[0] if models else platform.machine()
    python = platform.python_version()
    return f"{model}, {os.cpu_count()} cores, Python {python}, {git.strip()}"


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as a Markdown table; the first row is the heading."""
    rows = list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("| " + " | ".join(cells) + " |")
        if number == 0:
            print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def print_heading(title: str) -> None:
    """Print what the next table is, and on which machine it was measured."""
    print(f"\n### {title} ({describe_machine()})\n")


def turns(most: int, seconds: float) -> Iterator[int]:
    """Yield 0, which warms up, then 1 to `most`, as long as the time allows; two at least."""
    end = time.monotonic() + seconds
    for number in range(most + 1):
        if number > 1 and time.monotonic() > end:
            return
        yield number


class Run(NamedTuple):
    """What one run of a command took, with all that it started; `megabytes` of the largest."""

    code: int
    seconds: float
    cpu: float
    megabytes: float
    said: str


def run(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    fine: Iterable[int] | None = (0,),
) -> Run:
    """Run a command, and end the benchmark where its exit code is not a `fine` one (None: any)."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=said, stderr=said, stdin=subprocess.DEVNULL
        )
        _pid, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = code = os.waitstatus_to_exitcode(status)
        said.seek(0)
        words = said.read().decode(errors="replace")
    if fine is not None and code not in fine:
        sys.exit(f"bench: {' '.join(command[:3])} ended with {code}:\n{words}")
    return Run(code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, words)


class Servers(NamedTuple):
    """A Git server and a registry on this machine; repositories are made below `root`."""

    root: Path
    git: GitHttpServer
    hub: RegistryStandIn

    def reset(self) -> None:
        """Count requests and bytes anew."""
        self.git.traffic.reset()
        self.hub.requests.clear()


@contextmanager
def servers() -> Iterator[Servers]:
    """Start both servers; what they hold is removed in the end."""
    with tempfile.TemporaryDirectory(prefix="gitops-bench-") as folder:
        root = Path(folder)
        with GitHttpServer(root) as git, RegistryStandIn() as hub:
            yield Servers(root, git, hub)


def make_repository(path: Path, files: Mapping[str, str], history: Iterable[str] = ()) -> None:
    """Make a bare repository, packed as a server keeps it; `history` goes on in fast-import."""
    head = "commit refs/heads/main\ncommitter bench <bench@localhost> 0 +0000\ndata 0\n"
    stream = [head, *(put(name, text) for name, text in files.items()), *history]
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True)
    git = ["git", "-C", str(path)]
    subprocess.run([*git, "fast-import", "--quiet"], input="".join(stream).encode(), check=True)
    for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.receivepack"):
        subprocess.run([*git, "config", setting, "true"], check=True)
    subprocess.run([*git, "config", "receive.autogc", "false"], check=True)
    subprocess.run([*git, "repack", "-adq"], check=True)


def put(path: str, text: str) -> str:
    """Return what tells fast-import that a file of a commit has this text."""
    return f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"


def services(size: int) -> dict[str, str]:
    """Return the files of a repository of so many services."""
    names = [f"svc-{number:05}" for number in range(size)]
    manifests = {
        f"apps/{name}/deployment.yaml": MANIFEST.format(name=name, digest=f"{number:064x}")
        for number, name in enumerate(names)
    }
    return {".gitops-rollback.toml": CONFIG, **manifests}


class Far:
    """Stands before the server of `url`, `seconds` away; a context manager that gives its address.

    Each way takes half of a round trip; to connect takes a whole one. Bandwidth is not limited, and
    no byte waits for another: what counts is how many questions are asked one after the other. With
    0 seconds the address is that of the server itself.
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

    def __exit__(self, *_error: object) -> None:
        if self._seconds:
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    async def _listen(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=128)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _end(self) -> None:
        """Leave nothing under way: of what is dropped in the middle asyncio tells as an error."""
        self._server.close()
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self._seconds)  # to connect
        address = urlsplit(self._url)
        there = await asyncio.open_connection(address.hostname, address.port)
        ways = (self._carry(reader, there[1]), self._carry(there[0], writer))
        with suppress(asyncio.CancelledError):  # asyncio tells it as an error of its server's
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Carry bytes one way, each half a round trip after it came."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_LIMIT // _CHUNK)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._arrive(under_way, target))
            with suppress(ConnectionError):
                while data := await source.read(_CHUNK):
                    await under_way.put((self._loop.time() + self._seconds / 2, data))
            await under_way.put((self._loop.time() + self._seconds / 2, b""))

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

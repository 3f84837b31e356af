"""Run the agent's own kustomize on files of the repository: offline, bounded, in a private folder.

What is run is `kustomize build` or `kubectl kustomize` as they are by default: they run no plugin,
no function and no Helm, and load no file from outside of a kustomization's folder. Beside that they
get nothing of the machine: an environment of their own in which they find no other program and no
proxy that answers, a home that is empty, the files that are to be built and no other, a time limit,
and limits of their memory and of what they say. Who asks for a build has seen to it that nothing
remote is named.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback import scratch
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import is_safe_path, one_line
from gitops_rollback.repo.talk import TooMuchError, ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gitops_rollback.clock import Deadline

_LOG = logging.getLogger("gitops_rollback")
_COMMANDS = {"kustomize": "build", "kubectl": "kustomize"}
_VERSIONS = {"kustomize": ("version",), "kubectl": ("version", "--client", "--output=json")}
# kustomize says its own version, kubectl that of the kustomize in it (since 1.24).
_VERSION = regex(rb'(?:"kustomizeVersion"\s*:\s*"|kustomize/|\A\s*)(v(\d+)\.(\d+)\.\d+)')
_OLDEST = 5  # what is known of the grammar is that of version 5
_LONGEST = 20.0  # seconds of one run: a build takes some hundredths
_LARGEST = 20_000_000  # bytes that a build may say
_MOST_MEMORY = 1_000_000_000  # bytes: overlays that take each other double their objects
_NOWHERE = "http://127.0.0.1:0"  # a proxy that cannot be
_NONE = "neither kustomize nor kubectl is on this machine"


class BuildError(Exception):
    """Raised where nothing was built; the text says why, for people.

    `is_missing` tells that there is no tool that could.
    """

    def __init__(self, why: str, *, is_missing: bool = False) -> None:
        super().__init__(why)
        self.is_missing = is_missing


@dataclass(frozen=True)
class Tool:
    """A program that builds, and its version as it says it: `kustomize`, `v5.7.1`."""

    name: str
    path: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class KustomizeBuilder:
    """Builds folders of kustomize with the first tool on PATH that is new enough."""

    def __init__(self, environment: Mapping[str, str], deadline: Deadline) -> None:
        self._path = environment.get("PATH", "")
        self._deadline = deadline

    @cached_property
    def tool(self) -> Tool:
        """The tool; raises `BuildError` where there is none that serves."""
        problems = []
        for name in _COMMANDS:
            path = _on_path(name, self._path)
            if path is None:
                continue
            try:
                return self._known(name, path)
            except BuildError as error:
                problems.append(str(error))
        raise BuildError("; ".join(problems) or _NONE, is_missing=not problems)

    def build(
        self, folder: str, versions: Sequence[Mapping[str, bytes]]
    ) -> tuple[Tool, list[bytes]]:
        """Build a folder of some files, then with some of them as they would be, and so on.

        Raises `BuildError`; what is left behind is nothing.
        """
        with _private_folder() as place:
            tree = place / "tree"
            built = []
            for files in versions:
                for path, data in files.items():
                    _write(tree, path, data)
                command = [
                    self.tool.path,
                    _COMMANDS[self.tool.name],
                    f"./{folder}" if folder else ".",
                ]
                built.append(self._run(str(self.tool), command, place))
        return self.tool, built

    def _known(self, name: str, path: str) -> Tool:
        with _private_folder() as place:
            (place / "tree").mkdir()
            said = self._run(name, [path, *_VERSIONS[name]], place)
        match = _VERSION.search(said)
        if match is None:
            raise BuildError(f"{name} does not say which version it is")
        version = match[1].decode()
        if int(match[2]) < _OLDEST:
            raise BuildError(f"{name} is of version {version}: it has to be v{_OLDEST} or newer")
        return Tool(name, path, version)

    def _run(self, name: str, command: list[str], place: Path) -> bytes:
        """Run a command in the tree of a private folder; raise `BuildError` if it fails."""
        seconds = min(_LONGEST, self._deadline.remaining)
        start = time.monotonic()
        try:
            code, said = ask(
                command,
                b"",
                _environment(place),
                seconds=seconds,
                most=_LARGEST,
                folder=place / "tree",
                memory=_MOST_MEMORY,
            )
        except TimeoutError as error:
            raise BuildError(f"{name} did not end within {seconds:g} s") from error
        except TooMuchError as error:
            raise BuildError(f"{name} says more than {_LARGEST // 1_000_000} MB") from error
        except OSError as error:
            raise BuildError(f"{name} could not be run: {error.strerror}") from error
        _LOG.debug("%s: %.3f s", name, time.monotonic() - start)
        if code != 0:
            raise BuildError(f"{name} fails: {_reason(said.stderr, place)}")
        return said.stdout


def _on_path(name: str, path: str) -> str | None:
    """Return where a program is; a folder that PATH names without a root may be anybody's."""
    folders = [folder for folder in path.split(os.pathsep) if folder.startswith("/")]
    return shutil.which(name, path=os.pathsep.join(folders)) if folders else None


def _environment(place: Path) -> dict[str, str]:
    """Return all that a tool gets of an environment: nothing of the machine's."""
    home = str(place / "home")
    return {
        "PATH": str(place / "bin"),
        "HOME": home,
        "XDG_CONFIG_HOME": home,
        "TMPDIR": str(place / "tmp"),
        "LC_ALL": "C",
        "HTTP_PROXY": _NOWHERE,
        "HTTPS_PROXY": _NOWHERE,
        "NO_PROXY": "",
    }


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Give a folder that nobody else may enter, and remove it with all that is in it."""
    try:
        with scratch.folder(None, scratch.RUN) as own:
            for name in ("home", "bin", "tmp"):
                (own.path / name).mkdir()
            yield own.path
    except OSError as error:
        raise BuildError(f"there is no room for a build: {error.strerror}") from error


def _write(tree: Path, path: str, data: bytes) -> None:
    """Write a file below a folder, and nowhere else."""
    if not is_safe_path(path):
        raise BuildError(f"{one_line(path, 80)} would lead out of what is built")
    target = tree / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _reason(stderr: bytes, place: Path) -> str:
    """Return what a tool says of its failure: without where its files were."""
    text = stderr.decode(errors="replace").replace(f"{place}/tree/", "").replace(str(place), "")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return one_line((errors or lines or ["it does not say why"])[-1], 300)

"""A shop whose every byte is written down: what golden files are made of.

The command runs in this process (`cli.run`, as its entry point calls it) on a real repository, with
a clock that stands still but for a minute between steps. The repository has a web address, which
Git's own `insteadOf` leads to a folder: so records, state files, trailers and with them all commits
have the same bytes wherever the folder is. What remains of the place and of time is put into words:
`<root>`, `<port>`, and 0 for seconds.
"""

from __future__ import annotations

import io
import os
import re
import shlex
import signal
import sys
import tempfile
from calendar import timegm
from contextlib import chdir, redirect_stderr, redirect_stdout
from time import gmtime, strftime
from typing import TYPE_CHECKING
from unittest.mock import patch

from gitops_rollback import cli, clock
from gitops_rollback.look import registry
from gitops_rollback.registries import client
from gitops_rollback.web import http
from integration.shop import Run, Shop, checked_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REMOTE = "https://git.acme.example/manifests.git"
BEGINNING = timegm((2026, 1, 31, 2, 0, 0))
_MINUTE = 60
_PATIENCE = 60.0  # seconds for a registry's check: what is written must not tell a slow machine
_PORT = re.compile(r"(127\.0\.0\.1|localhost):\d{4,5}\b")
_SECONDS = re.compile(r'("seconds": \{)([^}]*)(\})')
_NUMBER = re.compile(r": [0-9.]+")
_SPENT = re.compile(r"\b(in|took|after) \d+(\.\d+)? s\b")
_PHASE = re.compile(r"\b(fetch|decide|edit|push|merge|wait) \d+\.\d+\b")
_UNSEEN = ("manifests.git", "tmp", "result.json", "work")
_STATE = ".gitops-rollback/"


class Stage(Shop):
    """Runs the command and keeps a transcript of what it said and of all that it wrote."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.lines: list[str] = []
        self._time = BEGINNING
        self._words: dict[str, str] = {str(root): "<root>"}
        self._seen: set[str] = set()
        self._files: dict[str, bytes] = {}

    def open(self, files: Mapping[str, str | bytes], *, form: str = "sha1") -> Stage:
        """Make home and repository; Git finds the latter by its web address."""
        super().open(files, form=form)
        (self.home / ".gitconfig").write_text(
            f'[url "{self.root}/"]\n\tinsteadOf = https://git.acme.example/\n', encoding="utf-8"
        )
        self.environment |= {"GITOPS_REPOSITORY": REMOTE, "LOGNAME": "jane", "COLUMNS": "100"}
        self.pass_over()
        return self

    @property
    def store(self) -> Path:
        """Where records are, where no store is named: by the web address."""
        return self.home / "state" / "gitops-rollback" / "git.acme.example" / "manifests"

    @property
    def now(self) -> str:
        """What the clock says."""
        return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(self._time))

    def moment(self) -> int:
        """Return the time of a person's commit: a minute after what was before."""
        self._time += _MINUTE
        return self._time

    def let_pass(self, hours: int) -> None:
        """Move the clock."""
        self._time += hours * 60 * _MINUTE

    def call_it(self, text: str, word: str) -> None:
        """Write a word for a text that is another in each run."""
        self._words = {text: word, **self._words}

    def pass_over(self) -> None:
        """Begin here: what was said and written so far stands in no transcript."""
        self.lines.clear()
        self._seen = set(self._commits())
        self._files = dict(self._read_files())

    def note(self, text: str) -> None:
        """Write a line of explanation."""
        self.lines += [f"# {text}", ""]

    # The command

    def run(
        self,
        command: str,
        *arguments: str,
        repository: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
    ) -> Run:
        """Run the command as `Shop.run` does, but in this process, and write all of it down."""
        assert not stdin, "no scenario types anything"
        self.moment()
        output = self.root / "result.json"
        output.unlink(missing_ok=True)
        named = () if repository is None else ("--repository", str(repository))
        line = [command, *named, *arguments, "--output", str(output)]
        code, stdout, stderr = self._invoke(line, environment or {}, cwd or self.root)
        run = Run(command, code, stdout, stderr, 0.0, checked_result(output, command))
        settings = "".join(f"{name}={shlex.quote(v)} " for name, v in (environment or {}).items())
        self.lines += [f"$ {settings}gitops-rollback {shlex.join(line[:-2])}", f"exit {code}"]
        self._block("stdout", stdout)
        self._block("stderr", stderr)
        if output.exists():
            self._block("result", output.read_text(encoding="utf-8"))
        self._write_what_is_new()
        self.lines.append("")
        assert not list(self.scratch.iterdir()), "something was left in the temporary folder"
        return run

    def _invoke(
        self, line: list[str], environment: Mapping[str, str], cwd: Path
    ) -> tuple[int, str, str]:
        dates = {f"GIT_{role}_DATE": f"@{self._time} +0000" for role in ("AUTHOR", "COMMITTER")}
        whole = {**self.environment, **dates, **environment}
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        with (
            patch.dict(os.environ, whole, clear=True),
            patch.object(clock, "now", lambda: self.now),
            patch.object(clock, "moment", lambda _seconds: f"{self.now[:-1]}.000Z"),
            patch.object(tempfile, "tempdir", str(self.scratch)),
            patch.object(registry, "CHECK_SECONDS", _PATIENCE),
            patch.object(http, "CHECKING_PATIENCE", _PATIENCE),
            patch.object(client, "CHECKING_PATIENCE", _PATIENCE),
            kept_signals(),
            chdir(cwd),
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            code = cli.run(line, dict(whole))
        texts = []
        for stream in (out, err):
            stream.flush()
            stream.seek(0)
            texts.append(stream.read())
        return code, texts[0], texts[1]

    # The transcript

    def transcript(self) -> str:
        """Return all that was written down, with words for what is another in each run."""
        text = "\n".join(self.lines).rstrip("\n") + "\n"
        for found, word in self._words.items():
            text = text.replace(found, word)
        text = _PORT.sub(r"\1:<port>", text)
        text = _PHASE.sub(r"\1 0", _SPENT.sub(r"\1 0 s", text))
        return _SECONDS.sub(lambda m: m[1] + _NUMBER.sub(": 0", m[2]) + m[3], text)

    def _block(self, name: str, text: str) -> None:
        if text:
            self.lines.append(f"--- {name}")
            self.lines += [f"  {line}".rstrip(" ") for line in text.rstrip("\n").split("\n")]

    def _write_what_is_new(self) -> None:
        commits = self._commits()
        for commit in reversed([commit for commit in commits if commit not in self._seen]):
            self._seen.add(commit)
            self._write_commit(commit, commits[commit])
        files = dict(self._read_files())
        for path in sorted({*files, *self._files}):
            if path not in files:
                self.lines.append(f"--- deleted {path}")
            elif files[path] != self._files.get(path):
                self._write_file(path, files[path])
        self._files = files

    def _commits(self) -> dict[str, str]:
        """Return all commits, newest first, each with a branch that has it."""
        listed = self.git("log", "--branches", "--format=%H %S", "--source").splitlines()
        return {line.split()[0]: line.split()[1] for line in listed}

    def _write_commit(self, commit: str, branch: str) -> None:
        self._block(f"commit {commit} on {branch}", self.git("cat-file", "commit", commit))
        for path in self.git("ls-tree", "-r", "--name-only", commit, _STATE).splitlines():
            if path in self.changed(commit):
                self._block(f"file {path}", self.git("cat-file", "blob", f"{commit}:{path}"))
        others = f":(exclude){_STATE}"
        options = ("-p", "-U0", "--no-color", "--no-commit-id", "--full-index")
        self._block("difference", self.git("diff-tree", *options, commit, "--", ".", others))

    def _read_files(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.root.rglob("*")):
            name = path.relative_to(self.root).as_posix()
            is_seen = name.partition("/")[0] not in _UNSEEN and path.name != ".gitconfig"
            if path.is_file() and is_seen:
                yield name, path.read_bytes()

    def _write_file(self, path: str, content: bytes) -> None:
        text = content.decode()
        copied = path.partition("/cart/manifests/")[2]
        if copied and self._is_of_main(copied, content):
            self.lines.append(f"--- file {path}: the bytes of {copied} on main")
        else:
            self._block(f"file {path}", text)

    def _is_of_main(self, path: str, content: bytes) -> bool:
        """Tell whether the file has, or had before the newest commit, these bytes."""
        for commit in self.git("rev-list", "-2", "main").splitlines():
            if self.git("ls-tree", commit, path) and self.bytes_of(path, commit) == content:
                return True
        return False


class kept_signals:  # noqa: N801 - reads as a statement
    """Puts back the handlers that a run of the command installs for its process."""

    def __enter__(self) -> None:
        self._handlers = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)}
        self._hook = sys.unraisablehook

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook

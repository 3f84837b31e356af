"""A small shop in a manifests repository, and the command run on it as people run it.

Everything is real: a bare repository, the installed command in a process of its own, its files. The
process gets a home of its own and nothing of the machine's Git configuration or identity.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from inprocess import COMMAND as COMMAND  # noqa: PLC0414 - for who starts it
from inprocess import run_command, run_process

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

NOWHERE = "http://127.0.0.1:1"  # a port where nobody answers, and says so at once
SCHEMAS = {
    "record": "result-record",
    "deploy": "result-change",
    "rollback": "result-change",
    "release": "result-change",
    "plan": "plan",
    "history": "result-history",
    "services": "result-services",
    "fields": "result-fields",
    "check": "result-storage",
    "jobs": "result-jobs",
    "report": "result-report",
    "stats": "result-stats",
    "wait": "result-wait",
}

CART = """\
# The cart keeps what people are about to buy.   Ask team-checkout before you scale it.
apiVersion: v1
kind: Service
metadata: {name: cart}
spec: {selector: {app: cart}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
  labels: {app: cart}   # selected by the Service above
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      initContainers:
        - name: wait-for-db
          image: busybox:1.36   # not ours: stays
      containers:
        - name: server
          image: "acme/cart:1.4.1" # {"$imagepolicy": "flux-system:cart"}
          env:
            - {name: GREETING, value: 'héllo'}
        - image: envoyproxy/envoy:v1.29.0
          name: proxy
"""
PAYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: payment
spec:
  selector: {matchLabels: {app: payment}}
  template:
    metadata: {labels: {app: payment}}
    spec:
      initContainers:
      - name: migrate
        image: acme/payment:2.0.0
        args: [migrate]
      containers:
      - name: server
        image: acme/payment:2.0.0
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: payment-report}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - {name: report, image: acme/payment:2.0.0}
"""
LEDGER = """\
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: ledger}
spec:
  serviceName: ledger
  selector: {matchLabels: {app: ledger}}
  template:
    metadata: {labels: {app: ledger}}
    spec:
      containers:
      - name: ledger
        image: acme/ledger:3.1
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {requests: {storage: 1Gi}}
"""
KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- cart/deployment.yaml
- payment/deployment.yaml
- ledger/statefulset.yaml
"""
CART_PATH = "apps/cart/deployment.yaml"
PAYMENT_PATH = "apps/payment/deployment.yaml"
CART_STATE = ".gitops-rollback/default/cart.json"
FILES = {
    CART_PATH: CART,
    PAYMENT_PATH: PAYMENT,
    "apps/ledger/statefulset.yaml": LEDGER,
    "apps/kustomization.yaml": KUSTOMIZATION,
    "README.md": "# The shop\n",
}


def digest(text: str) -> str:
    """Return a digest that is as good as any other, and the same for the same text."""
    return f"sha256:{sha256(text.encode()).hexdigest()}"


def image(tag: str, name: str = "cart") -> str:
    """Return an image of the shop in full: `acme/cart:1.4.2@sha256:…`."""
    return f"acme/{name}:{tag}@{digest(f'{name}:{tag}')}"


def canonical(tag: str, name: str = "cart") -> str:
    """Return an image of the shop as results and records write it."""
    return f"docker.io/{image(tag, name)}"


@dataclass(frozen=True)
class Run:
    """How a run of the command ended."""

    command: str
    code: int
    stdout: str
    stderr: str
    seconds: float
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> dict[str, str]:
        """The error of the result file."""
        found: dict[str, str] = self.result["error"]
        return found

    @property
    def said(self) -> str:
        """What was printed for people, without line breaks and indentation."""
        return " ".join(f"{self.stdout} {self.stderr}".split())

    def service(self, number: int = 0) -> dict[str, Any]:
        """One service of the result file."""
        found: dict[str, Any] = self.result["services"][number]
        return found

    @property
    def warnings(self) -> list[str]:
        """What is warned of, but that the registry of most tests, which is not there, is silent."""
        unasked = f": not verified: asked {NOWHERE.removeprefix('http://')} for "
        every = (warning for one in self.result["services"] for warning in one["warnings"])
        return [warning for warning in every if unasked not in warning]


class Shop:
    """One manifests repository and one home; `environment` is what every run gets.

    Where the process is the point, `apart` makes each run one of its own.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.apart = False
        self.bare = root / "manifests.git"
        self.home = root / "home"
        self.scratch = root / "tmp"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "TMPDIR": str(self.scratch),
            "GIT_CONFIG_NOSYSTEM": "1",
            "LANG": "C.UTF-8",
            "GITOPS_REGISTRY_URL": NOWHERE,
            "GITOPS_HUB_URL": NOWHERE,
        }

    def open(self, files: Mapping[str, str | bytes], *, form: str = "sha1") -> Shop:
        """Make the home, and the repository with these files."""
        for folder in (self.home, self.scratch):
            folder.mkdir(parents=True)
        options = ("--quiet", "--bare", "--template=", "--initial-branch=main")
        self.git("init", *options, f"--object-format={form}", str(self.bare), cwd=self.root)
        with (self.bare / "config").open("a", encoding="utf-8") as config:
            config.write(
                "[uploadpack]\nallowFilter = true\nallowAnySHA1InWant = true\n"
                "[http]\nreceivepack = true\n"
            )
        if files:
            self.commit(files, "Open the shop")
        return self

    def release_two(self) -> Shop:
        """Deploy 1.4.2 and then 1.5.0, which is bad."""
        self.deploy("1.4.2")
        self.deploy("1.5.0")
        return self

    # The repository

    @property
    def store(self) -> Path:
        """Where records are, where no store is named."""
        path = self.bare.as_posix().strip("/").removesuffix(".git")
        return self.home / "state" / "gitops-rollback" / path

    def git(self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> str:
        """Run git in the bare repository and return what it says."""
        return (
            self.git_bytes(*arguments, stdin=stdin, cwd=cwd)
            .decode(errors="surrogateescape")
            .strip()
        )

    def git_bytes(self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None) -> bytes:
        """Run git in the bare repository and return the bytes that it writes."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=cwd or self.bare,
            input=stdin,
            env=self.environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    def commit(
        self,
        files: Mapping[str, str | bytes | None],
        message: str = "Change something",
        *,
        by: str = "Jane Doe",
        branch: str = "main",
        mode: str = "100644",
    ) -> str:
        """Commit files (None deletes) on a branch, as a person would; return the commit."""
        tip = self.tip(branch)
        stream = self._written(files, message, by, branch, mode, f"from {tip}\n" if tip else "")
        self.git("fast-import", "--quiet", stdin=stream)
        return self.tip(branch) or ""

    def commit_many(self, number: int) -> None:
        """Commit so many changes of the README, one after the other, by one call of git."""
        after = f"from {self.tip()}\n"
        stream = b""
        for one in range(number):
            change: dict[str, str | bytes | None] = {"README.md": f"# {one}\n"}
            stream += self._written(change, "Change", "Jane Doe", "main", "100644", after)
            after = ""  # fast-import goes on where it was
        self.git("fast-import", "--quiet", stdin=stream)

    def _written(
        self,
        files: Mapping[str, str | bytes | None],
        message: str,
        by: str,
        branch: str,
        mode: str,
        after: str,
    ) -> bytes:
        """Return a commit in the words of fast-import."""
        mail = f"{by.split(maxsplit=1)[0].lower()}@acme.example"
        person = f"{by} <{mail}> {self.moment()} +0000"
        lines = [
            f"commit refs/heads/{branch}\nauthor {person}\ncommitter {person}\n".encode(),
            f"data {len(message.encode())}\n{message}\n{after}".encode(),
        ]
        for path, content in files.items():
            quoted = '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'
            if content is None:
                lines.append(f"D {quoted}\n".encode())
                continue
            data = content.encode() if isinstance(content, str) else content
            lines.append(f"M {mode} inline {quoted}\ndata {len(data)}\n".encode() + data + b"\n")
        return b"".join(lines)

    def take_back(self, path: str) -> None:
        """Delete a file as a revert of what wrote it would: as if it had never been."""
        self.commit({path: None}, f'Revert "it"\n\nThis reverts commit {self.tip()}.\n')

    def moment(self) -> int:
        """Return when a person commits, in seconds since 1970."""
        return int(time.time())

    def tip(self, branch: str = "main") -> str | None:
        """Return the newest commit of a branch, None if it has none."""
        listed = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return listed or None

    def log(self, form: str = "%s", branch: str = "main") -> list[str]:
        """Return a line for each commit, newest first."""
        return self.git("log", f"--format={form}", branch).splitlines()

    def changed(self, commit: str = "main") -> list[str]:
        """Return the paths that a commit changed."""
        return self.git("diff-tree", "-r", "--name-only", "--no-commit-id", commit).splitlines()

    def holds(self, revision: str = "main") -> list[str]:
        """Return the paths of the holds in force at a revision, one small file each."""
        listed = self.git("ls-tree", "-r", "--name-only", revision, ".gitops-rollback/.held")
        return listed.splitlines()

    def bytes_of(self, path: str, branch: str = "main") -> bytes:
        """Return a file's bytes at the tip."""
        done = subprocess.run(
            ["git", "cat-file", "blob", f"{branch}:{path}"],
            cwd=self.bare,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def text(self, path: str = CART_PATH, branch: str = "main") -> str:
        """Return a file's text at the tip."""
        return self.bytes_of(path, branch).decode()

    def state(self, service: str = "cart", environment: str = "default") -> dict[str, Any]:
        """Return a service's state file at the tip, checked against its schema."""
        document = json.loads(self.bytes_of(f".gitops-rollback/{environment}/{service}.json"))
        schema.check(document, "state")
        assert isinstance(document, dict)
        return document

    def edit(self, old: str, new: str, path: str = CART_PATH, by: str = "Jane Doe") -> str:
        """Change a file by hand, as a person does."""
        text = self.text(path)
        assert old in text
        return self.commit({path: text.replace(old, new)}, f"{old} -> {new}", by=by)

    def hook(self, name: str, script: str) -> Path:
        """Install a hook on the server's side."""
        path = self.bare / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

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
        """Run the command with `--output`; the result file is checked against its schema.

        It runs in this process, unless the shop's runs are to be processes of their own.
        """
        output = self.root / "result.json"
        output.unlink(missing_ok=True)
        started = time.monotonic()
        line = self.line(command, *arguments, repository=repository)[1:]
        whole = {**self.environment, **(environment or {})}
        execute = run_process if self.apart else run_command
        done = execute(line, whole, cwd or self.root, stdin.encode())
        seconds = time.monotonic() - started
        run = Run(
            command,
            done.code,
            done.stdout.decode(),
            done.stderr.decode(),
            seconds,
            checked_result(output, command),
        )
        assert "Traceback" not in run.stderr, run.stderr
        assert not list(self.scratch.iterdir()), "something was left in the temporary folder"
        return run

    def line(
        self, command: str, *arguments: str, repository: str | Path | None = None
    ) -> list[str]:
        """Return the command line of `run`."""
        url = str(repository if repository is not None else self.bare)
        named = () if repository == "" or "--repository" in arguments else ("--repository", url)
        output = str(self.root / "result.json")
        return [str(COMMAND), command, *named, *arguments, "--output", output]

    def start(
        self,
        command: str,
        *arguments: str,
        repository: str | Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start the command and do not wait for it."""
        return subprocess.Popen(
            self.line(command, *arguments, repository=repository),
            env={**self.environment, **(environment or {})},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def ok(self, command: str, *arguments: str, **settings: Any) -> Run:  # noqa: ANN401 - of `run`
        """Run the command, which has to succeed."""
        run = self.run(command, *arguments, **settings)
        assert run.code == 0, run.stderr
        assert "error" not in run.result
        return run

    def deploy(self, tag: str, *arguments: str, name: str = "cart", **settings: Any) -> Run:  # noqa: ANN401
        """Deploy an image with digest, which has to succeed."""
        service = ("--service", name, "--image", image(tag, name))
        return self.ok("deploy", *service, *arguments, **settings)

    def roll_back(self, *arguments: str, **settings: Any) -> Run:  # noqa: ANN401 - of `run`
        """Roll the cart back, which has to succeed."""
        reason = ("--service", "cart", "--reason", "checkout fails", "--by", "jane")
        return self.ok("rollback", *reason, *arguments, **settings)

    def refused(
        self,
        code: int,
        category: str,
        command: str,
        *arguments: str,
        **settings: Any,  # noqa: ANN401 - of `run`
    ) -> Run:
        """Run the command, which has to fail in one clear way and to write nothing."""
        before = self.everything()
        run = self.run(command, *arguments, **settings)
        assert (run.code, run.error["category"]) == (code, category), run.stderr
        assert run.error["message"]
        assert run.error["hint"]
        assert ("code" in run.error) == (code == 6)
        assert f"error: {run.error['message']}\n" in run.stderr
        assert f"hint: {run.error['hint']}\n" in run.stderr
        assert run.stderr.count("error: ") == 1
        assert self.everything() == before
        return run

    def everything(self) -> dict[str, str]:
        """Return all that a run could have written: branches, and every file but the result."""
        refs = self.git("for-each-ref", "--format=%(refname) %(objectname)")
        kept = {"refs": refs}
        for path in sorted(self.root.rglob("*")):
            inside = path.relative_to(self.root).parts[0]
            if path.parent.name == "turns":
                continue  # a lock, with nothing in it, which any run makes that may push
            if path.is_file() and inside not in ("manifests.git", "result.json", "tmp"):
                kept[str(path)] = sha256(path.read_bytes()).hexdigest()
        return kept

    @cached_property
    def records(self) -> Records:
        """The records in the default store."""
        return Records(self)


class Records:
    """The directory store of a shop."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def numbers(self) -> list[int]:
        """Return the numbers that are taken."""
        if not self._shop.store.exists():
            return []
        return sorted(int(p.name) for p in self._shop.store.iterdir() if p.name.isdecimal())

    def folder(self, number: int, service: str = "cart", environment: str = "default") -> Path:
        """Return the folder of one record."""
        return self._shop.store / str(number) / "gitops-rollback" / environment / service

    def read(self, number: int, service: str = "cart") -> dict[str, Any]:
        """Return one record, checked against its schema."""
        document = json.loads((self.folder(number, service) / "record.json").read_bytes())
        schema.check(document, "record")
        assert isinstance(document, dict)
        return document


def checked_result(path: Path, command: str) -> dict[str, Any]:
    """Read a result file; it has to fit its schema and to hold no null."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    document = json.loads(text)
    assert isinstance(document, dict)
    # A rollback that is refused shows its plan beside the error.
    name = "plan" if "repository" in document else SCHEMAS.get(command, "result-change")
    if "dryRun" in document and "jobs" not in document:
        name = "result-change"  # also of `history --repair`
    if command == "history" and "blocked" in document:
        name = "result-change"  # of a repair that was refused
    name = "result-check" if "verdict" in document else name
    schema.check(document, name)
    assert document["schemaVersion"] == 1
    assert not _has_null(document), "fields are absent, never null"
    return document


def _has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(_has_null, value.values()))
    return any(map(_has_null, value)) if isinstance(value, list) else value is None


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> tuple[int, str]:
    """Send a signal; return exit code and stderr."""
    process.send_signal(number)
    _stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stderr.decode()


def wait_for(path: Path, seconds: float = 120) -> None:
    """Wait until a file is there."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.01)


def program(name: str, package: str) -> str:
    """Return a program's path, or skip; in CI a missing program is a failure."""
    import pytest  # noqa: PLC0415 - helpers are read by tools without pytest too

    found = shutil.which(name)
    if found is None:
        reason = f"{name} is missing: apt-get install -y {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def names(entries: Sequence[Mapping[str, Any]], key: str) -> list[Any]:
    """Return one value of each entry."""
    return [entry[key] for entry in entries]

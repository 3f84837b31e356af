"""Builds of the library's steps, run by the harness of `tests/groovy` on a fleet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from integration.shop import program

if TYPE_CHECKING:
    from flux.fleet import Fleet

HARNESS = Path(__file__).resolve().parents[1] / "groovy" / "run"


@dataclass(frozen=True)
class Build:
    """How one build ended."""

    result: str
    description: str
    shells: list[str]
    errors: list[str]
    log: str
    archive: str
    returned: dict[str, Any] | None = None

    @property
    def error(self) -> str:
        """The one line with which it failed."""
        assert len(self.errors) == 1, self.log
        return self.errors[0]

    def archived(self, path: str) -> str:
        """Return the text of an archived file."""
        return (Path(self.archive) / path).read_text(encoding="utf-8")


def play(fleet: Fleet, *builds: tuple[str, str], **env: str) -> list[Build]:
    """Run builds, each (job, step), one after the other, on an agent that reaches the cluster.

    The kubeconfig is a credential named `cluster`. The agent's python3 has the Kubernetes client,
    as docs/flux.md says that it must: the command that the library brings does not carry it.
    """
    program("java", "openjdk-17-jdk-headless")
    kubeconfig = fleet.kubectl("config", "view", "--raw", "--flatten", "--output", "json")
    described, told = fleet.shop.root / "play.json", fleet.shop.root / "played.json"
    play = {
        "folder": str(fleet.shop.root / "jenkins"),
        "env": {
            "GITOPS_REPOSITORY": fleet.url,
            "GITOPS_KUBECONFIG_CREDENTIALS_ID": "cluster",
            **env,
        },
        "agent": {"NO_PROXY": os.environ.get("NO_PROXY", "127.0.0.1,localhost")},
        "path": [str(Path(sys.executable).parent)],
        "credentials": {"cluster": {"text": kubeconfig}},
        "secrets": [
            user["user"]["token"] for user in _users(kubeconfig) if "token" in user["user"]
        ],
        "builds": [{"job": job, "step": step} for job, step in builds],
    }
    described.write_text(json.dumps(play), encoding="utf-8")
    done = subprocess.run(
        [HARNESS, "builds", described, told], capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ended = json.loads(told.read_bytes())
    assert ended["problems"] is None
    return [Build(**build) for build in ended["builds"]]


def _users(kubeconfig: str) -> list[dict[str, Any]]:
    users: list[dict[str, Any]] = json.loads(kubeconfig)["users"]
    return users

"""As a pod of the cluster: its account is the only access, found where Kubernetes puts it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from flux.account import documented
from integration.shop import Run, checked_result

if TYPE_CHECKING:
    from flux.account import Account
    from flux.fleet import Fleet

# A pod's files, in a mount namespace of the command's own: nothing of the machine is changed.
INSIDE = """\
set -e
mount -t tmpfs none /run
place=/var/run/secrets/kubernetes.io/serviceaccount
mkdir -p "$place"
cp "$ACCOUNT"/token "$ACCOUNT"/ca.crt "$ACCOUNT"/namespace "$place"
exec "$@"
"""
PRIVATE = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--mount")


class Pod:
    """Runs the command as a pod of the cluster would, with an account's token."""

    def __init__(self, fleet: Fleet, token: str) -> None:
        may = [*PRIVATE, "mount", "-t", "tmpfs", "none", "/run"]
        tried = subprocess.run(may, capture_output=True, check=False, text=True)
        if tried.returncode:
            pytest.skip(f"no mount namespace can be made here: {tried.stderr.strip()}")
        self._fleet = fleet
        self._files = Path(mkdtemp(dir=fleet.shop.root))
        config = json.loads(fleet.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
        cluster = config["clusters"][0]["cluster"]
        self._server = urlsplit(cluster["server"])
        authority = cluster.get("certificate-authority")
        data = cluster.get("certificate-authority-data", "")
        known = Path(authority).read_bytes() if authority else base64.b64decode(data)
        (self._files / "ca.crt").write_bytes(known)
        (self._files / "token").write_text(token, encoding="utf-8")
        (self._files / "namespace").write_text(fleet.namespace, encoding="utf-8")

    def wait(self, *arguments: str) -> Run:
        """Wait for the cart."""
        fleet = self._fleet
        command = fleet.shop.line("wait", "--service", "cart", *arguments, repository=fleet.url)
        environment = {
            **fleet.shop.environment,
            **fleet.environment,
            "KUBECONFIG": "",
            "KUBERNETES_SERVICE_HOST": self._server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(self._server.port or 443),
            "ACCOUNT": str(self._files),
        }
        done = subprocess.run(
            [*PRIVATE, "sh", "-c", INSIDE, "pod", *command],
            env=environment,
            capture_output=True,
            check=False,
            timeout=180,
            text=True,
        )
        result = checked_result(fleet.shop.root / "result.json", "wait")
        return Run("wait", done.returncode, done.stdout, done.stderr, 0.0, result)


def test_the_account_of_the_own_pod_is_enough_with_the_documented_rights(
    fleet: Fleet, account: Account
) -> None:
    pod = Pod(fleet, account.token(documented()["rules"]))
    run = pod.wait("--change", str(fleet.deploy("3.9")))
    assert run.code == 0, run.stderr
    assert (run.result["state"], run.result["verifiedBy"]) == ("ready", "cluster")
    assert "2 pods run 3.9 (sha256:7031c1b28338)" in run.stderr


def test_an_account_without_rights_verifies_nothing_and_names_the_missing_right(
    still_fleet: Fleet, still_account: Account
) -> None:
    pod = Pod(still_fleet, still_account.token([]))
    run = pod.wait()
    assert run.code == 0, run.stderr
    assert run.result["verifiedBy"] == "nothing"
    assert 'cannot list resource "gitrepositories"' in run.stderr


def test_a_token_that_is_no_longer_good_is_said(still_fleet: Fleet) -> None:
    run = Pod(still_fleet, "a.b.c").wait()
    assert run.code == 0, run.stderr
    assert run.result["verifiedBy"] == "nothing"
    assert "401" in run.stderr

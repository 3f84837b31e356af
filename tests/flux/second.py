"""A second real API server beside the cluster of KUBECONFIG: of the test bed's own programs.

It has Flux's kinds and no controller: what is in it is copied from the first cluster, with status,
as controllers of its own would have left it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from flux.fleet import Fleet

BED = Path(os.environ.get("BED") or Path.home() / ".cache" / "flux-bed")
COPIED = (
    *("gitrepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"),
    *("deployments", "pods"),
)
_OF_ITS_CLUSTER = ("uid", "resourceVersion", "managedFields", "finalizers", "selfLink")
_STARTING = 120  # seconds, where the machine is busy


def free_ports(count: int) -> list[int]:
    """Return ports on which nobody listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


class SecondCluster:
    """An API server and its store, in a folder and on ports of their own."""

    def __init__(self, folder: Path) -> None:
        if not (BED / "bin" / "k8sbox").is_file():
            pytest.skip(
                "the test bed is not built here: a second API server is one of its programs"
            )
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._store, self._peers, self._port = free_ports(3)

    def __enter__(self) -> Self:
        os.umask(0o077)
        key = self.folder / "account.key"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (self.folder / "tokens.csv").write_text("second,admin,admin,system:masters\n")
        store = f"http://127.0.0.1:{self._store}"
        peers = f"http://127.0.0.1:{self._peers}"
        self._start(
            "etcdbox", "--data-dir", "store", "--listen-client-urls", store,
            "--advertise-client-urls", store, "--listen-peer-urls", peers,
            "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
            "--unsafe-no-fsync",
        )  # fmt: skip
        self._start(
            "k8sbox", "kube-apiserver", "--etcd-servers", store, "--bind-address", "127.0.0.1",
            "--advertise-address", "127.0.0.1", "--secure-port", str(self._port), "--cert-dir",
            "certs", "--token-auth-file", "tokens.csv", "--authorization-mode", "RBAC",
            "--endpoint-reconciler-type", "none", "--disable-admission-plugins", "ServiceAccount",
            "--service-account-issuer", "https://second", "--service-account-key-file", str(key),
            "--service-account-signing-key-file", str(key), "--service-cluster-ip-range",
            "10.0.1.0/24",
        )  # fmt: skip
        self._until((self.folder / "certs" / "apiserver.crt").is_file)
        self._write_kubeconfig()
        self._until(lambda: self.kubectl("get", "--raw", "/readyz").returncode == 0)
        done = self.kubectl("apply", "--server-side", "--filename", str(BED / "crds"))
        assert done.returncode == 0, done.stderr
        return self

    def __exit__(self, *_error: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)

    def kubectl(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run kubectl in this cluster and return how it ended."""
        return subprocess.run(
            ["kubectl", "--kubeconfig", self.kubeconfig, *arguments],
            input=stdin, capture_output=True, check=False, text=True, timeout=60,
        )  # fmt: skip

    def copy(self, fleet: Fleet, edit: Callable[[dict[str, Any]], None]) -> None:
        """Have what a fleet has in its namespace, each object with an edit."""
        self.kubectl("create", "namespace", fleet.namespace)
        for kind in COPIED:
            for found in fleet.get(kind)["items"]:
                for key in _OF_ITS_CLUSTER:
                    found["metadata"].pop(key, None)
                edit(found)
                text = json.dumps(found)
                for how in (
                    ("apply", "--server-side", "--force-conflicts"),
                    ("replace", "--subresource=status"),
                ):
                    done = self.kubectl(*how, "--filename", "-", stdin=text)
                    assert done.returncode == 0, done.stderr

    def _start(self, program: str, *arguments: str) -> None:
        log = (self.folder / f"{program}.log").open("wb")
        command = [str(BED / "bin" / program), *arguments]
        with log:
            self._processes.append(
                subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
            )

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + _STARTING
        while not holds():
            assert time.monotonic() < end, (self.folder / "k8sbox.log").read_text()[-2000:]
            time.sleep(0.3)

    def _write_kubeconfig(self) -> None:
        certificate = str(self.folder / "certs" / "apiserver.crt")
        server = {"server": f"https://127.0.0.1:{self._port}", "certificate-authority": certificate}
        named = {"name": "west"}
        document = {
            "apiVersion": "v1", "kind": "Config", "current-context": "west",
            "clusters": [named | {"cluster": server}],
            "users": [named | {"user": {"token": "second"}}],
            "contexts": [named | {"context": {"cluster": "west", "user": "west"}}],
        }  # fmt: skip
        self.kubeconfig.write_text(json.dumps(document), encoding="utf-8")

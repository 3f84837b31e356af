"""A real registry on loopback (Debian's docker-registry), and images built from real Dockerfiles.

`buildah` builds without a daemon and without privileges; everything lies below one folder.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import requests

if TYPE_CHECKING:
    from pathlib import Path

_CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{folder}/registry"}}
  delete: {{enabled: true}}
http: {{addr: "{host}"}}
"""
_DOCKERFILE = """\
FROM scratch
ARG VERSION
LABEL org.opencontainers.image.version=$VERSION
COPY program /program
ENTRYPOINT ["/program"]
"""
_ACCEPT = "application/vnd.oci.image.manifest.v1+json"
_PATIENCE = 10.0  # seconds


class DockerRegistry:
    """Serve images below `folder`; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.host = f"127.0.0.1:{_free_port()}"
        self.url = f"http://{self.host}"
        config = folder / "registry.yml"
        config.write_text(_CONFIG.format(folder=folder, host=self.host), encoding="utf-8")
        (folder / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        with (folder / "registry.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(config)], stdout=log, stderr=log
            )

    def __enter__(self) -> Self:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                requests.get(f"{self.url}/v2/", timeout=1).close()
            except requests.ConnectionError:
                assert time.monotonic() < end, "docker-registry did not start"
                time.sleep(0.02)
            else:
                return self

    def __exit__(self, *_error: object) -> None:
        self._process.terminate()
        self._process.wait(_PATIENCE)

    def build(self, repository: str, tag: str, program: str) -> str:
        """Build an image that holds a program, push it; return the digest the registry gives."""
        (self._folder / "program").write_text(program, encoding="utf-8")
        name = f"{self.host}/{repository}:{tag}"
        self._buildah(
            *("bud", "--quiet", "--isolation", "chroot", "--timestamp", "0"),
            *("--build-arg", f"VERSION={tag}", "--tag", name, str(self._folder)),
        )
        self._buildah("push", "--quiet", "--tls-verify=false", name, f"docker://{name}")
        return self.digest(repository, tag)

    def push_chart(self, repository: str, tag: str, layer: bytes = b"a chart") -> str:
        """Push what `helm push` makes of a chart that is named as an image; return its digest."""
        config = f'{{"name": "cart", "version": "{tag}"}}'.encode()
        document = {
            "schemaVersion": 2,
            "mediaType": _ACCEPT,
            "config": self._blob(repository, "application/vnd.cncf.helm.config.v1+json", config),
            "layers": [
                self._blob(repository, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", layer)
            ],
        }
        url, headers = self._manifest(repository, tag), {"Content-Type": _ACCEPT}
        with requests.put(url, json.dumps(document), headers=headers, timeout=_PATIENCE) as answer:
            assert answer.status_code == HTTPStatus.CREATED, answer.text
            return answer.headers["Docker-Content-Digest"]

    def digest(self, repository: str, reference: str) -> str:
        """Return the digest that a tag has."""
        url = self._manifest(repository, reference)
        with requests.head(url, headers={"Accept": _ACCEPT}, timeout=_PATIENCE) as answer:
            assert answer.status_code == HTTPStatus.OK, answer.status_code
            return answer.headers["Docker-Content-Digest"]

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and with it all its tags."""
        with requests.delete(self._manifest(repository, digest), timeout=_PATIENCE) as answer:
            assert answer.status_code == HTTPStatus.ACCEPTED, answer.status_code

    def _blob(self, repository: str, media_type: str, content: bytes) -> dict[str, Any]:
        """Upload a blob; return its descriptor."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        uploads = f"{self.url}/v2/{repository}/blobs/uploads/"
        with requests.post(uploads, timeout=_PATIENCE) as begun:
            place = begun.headers["Location"]
        with requests.put(
            place,
            content,
            params={"digest": digest},
            headers={"Content-Type": "application/octet-stream"},
            timeout=_PATIENCE,
        ) as answer:
            assert answer.status_code == HTTPStatus.CREATED, answer.text
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def _manifest(self, repository: str, reference: str) -> str:
        return f"{self.url}/v2/{repository}/manifests/{reference}"

    def _buildah(self, *arguments: str) -> None:
        place = ("--root", str(self._folder / "root"), "--runroot", str(self._folder / "run"))
        done = subprocess.run(
            ["buildah", "--storage-driver", "vfs", *place, *arguments],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

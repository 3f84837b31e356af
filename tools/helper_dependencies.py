"""The dependencies' archive of the helper, and the list of what is in it (CycloneDX).

Exactly the files pinned by hash in `helper-requirements.txt` are fetched, and nothing compiled is
kept. The archive is built again only where a pin, or a rule of what is kept, has changed: fetching
needs a network, and a history in which it stood anew at each commit would grow by megabytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

REQUIREMENTS = Path(__file__).resolve().with_name("helper-requirements.txt")
ARCHIVE = "dependencies.tar.gz"
LIST = "dependencies.cdx.json"
_FROM_SOURCE = "multi-key-dict"  # published as a source archive only
_TIME = 946_684_800  # 2000-01-01, for every entry
# Parts of dependencies that cannot run here, or that nothing of ours reaches.
_UNUSED = re.compile(
    r"_yaml/|yaml/cyaml\.py$|certifi/tests/|urllib3/contrib/emscripten/"
    r"|[^/]+\.data/|[^/]+\.egg-info/|.*\.dist-info/(WHEEL|top_level\.txt|entry_points\.txt|pbr\.json)$"
)
_KEPT = re.compile(r".*\.(py|typed|pem)$|[^/]+\.dist-info/.*")
_PIN = re.compile(r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE)
# Trove classifiers of packages that name no SPDX expression, as SPDX writes them.
_SPDX = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


@dataclass(frozen=True)
class Pin:
    """One package of `helper-requirements.txt`: its published name, version and sha256."""

    name: str
    version: str
    sha256: str

    @property
    def normal(self) -> str:
        """The name as registries compare it (PEP 503)."""
        return re.sub(r"[-_.]+", "-", self.name).lower()


def pins(text: str) -> list[Pin]:
    """Return the packages that a requirements file pins, in its order."""
    return [Pin(*found) for found in _PIN.findall(text)]


def rules(requirements: bytes) -> str:
    """Return the sha256 of all that decides what the archive holds."""
    kept = f"{_UNUSED.pattern}\n{_KEPT.pattern}\n{_FROM_SOURCE}".encode()
    return hashlib.sha256(requirements + b"\n" + kept).hexdigest()


def build() -> bytes:
    """Fetch the pinned packages and return the archive of their files."""
    with tempfile.TemporaryDirectory() as downloads:
        _download(Path(downloads))
        return compress(pack(files_of(Path(downloads))))


def files_of(downloads: Path) -> dict[str, bytes]:
    """Return the files of the downloaded wheels and source archives that are packed."""
    files: dict[str, bytes] = {}
    for path in sorted(downloads.iterdir()):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                target = name if path.suffix == ".whl" else _target_of_source(name)
                if (
                    target
                    and not target.endswith("/")
                    and _KEPT.fullmatch(target)
                    and not _UNUSED.match(target)
                ):
                    files[target] = archive.read(name)
    return files


def pack(files: dict[str, bytes]) -> bytes:
    """Return a tar of the files that depends on nothing but their names and contents."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            entry.mtime = _TIME
            tar.addfile(entry, io.BytesIO(files[name]))
    return stream.getvalue()


def unpack(archive: bytes) -> dict[str, bytes]:
    """Return the files of an archive, compressed or not."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for entry in tar:
            stream = tar.extractfile(entry)
            files[entry.name] = stream.read() if stream else b""
    return files


def compress(data: bytes) -> bytes:
    """Return data as gzip, with a header that is the same in every version of Python.

    The compressed bytes can differ between versions of zlib; the tar inside can not.
    """
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=stream, mtime=0) as packer:
        packer.write(data)
    return stream.getvalue()


def bill_of_materials(requirements: str, files: dict[str, bytes]) -> str:
    """Return what the archive holds, as CycloneDX 1.6 in JSON.

    It names no time and no serial number: the same pins give the same bytes.
    """
    licences = _licences(files)
    components = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{pin.normal}@{pin.version}",
            "name": pin.name,
            "version": pin.version,
            "hashes": [{"alg": "SHA-256", "content": pin.sha256}],
            "licenses": [{"expression": licences[pin.normal]}],
            "purl": f"pkg:pypi/{pin.normal}@{pin.version}",
        }
        for pin in sorted(pins(requirements), key=lambda pin: pin.normal)
    ]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "gitops-rollback helper"}},
        "components": components,
    }
    return json.dumps(document, indent=2) + "\n"


def held(files: dict[str, bytes]) -> set[str]:
    """Return name and version of each packed package, as `semver 3.1.1`."""
    return {f"{Pin(about['Name'], '', '').normal} {about['Version']}" for about in _abouts(files)}


def _abouts(files: dict[str, bytes]) -> list[Message]:
    """Return what each packed package says of itself."""
    texts = (data for name, data in files.items() if name.endswith(".dist-info/METADATA"))
    return [HeaderParser().parsestr(text.decode("utf-8")) for text in texts]


def _licences(files: dict[str, bytes]) -> dict[str, str]:
    """Return the SPDX expression of each packed package."""
    found = {}
    for about in _abouts(files):
        named = [_SPDX[c] for c in about.get_all("Classifier", []) if c in _SPDX]
        known = about["License-Expression"] or next(iter(named), None) or about["License"]
        if not known or " " in known.replace(" AND ", "").replace(" OR ", ""):
            raise SystemExit(f"{about['Name']} names no licence that SPDX knows")
        found[Pin(about["Name"], "", "").normal] = known
    return found


def _download(directory: Path) -> None:
    """Fetch exactly the files that are pinned, whatever machine this is."""
    target = ("--python-version", "3.11", "--implementation", "cp")
    for_one = ("--platform", "any", "--platform", "manylinux2014_x86_64")
    abis = ("--abi", "cp311", "--abi", "none")
    kinds = ("--only-binary", ":all:", "--no-binary", _FROM_SOURCE)
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    places = ("--dest", str(directory), "--requirement", str(REQUIREMENTS))
    command = (sys.executable, "-m", "pip", "download")
    subprocess.run([*command, *options, *kinds, *for_one, *target, *abis, *places], check=True)


def _target_of_source(name: str) -> str | None:
    """Return where a file of a source archive goes: modules, and what tells whose they are."""
    folder, _, inside = name.partition("/")
    if inside in ("LICENSE.txt", "LICENSE", "PKG-INFO"):
        return f"{folder}.dist-info/{'METADATA' if inside == 'PKG-INFO' else inside}"
    is_module = PurePosixPath(inside).suffix == ".py" and "/" not in inside and inside != "setup.py"
    return inside if is_module else None

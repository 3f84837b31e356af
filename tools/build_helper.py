"""Pack the helper: one archive in `resources/` that runs with nothing but an agent's `python3`.

It holds the package as it stands in the work tree and its run-time dependencies, pinned by hash in
`helper-requirements.txt`; nothing compiled. The same sources give the same archive: entries are
sorted, times, owners and modes fixed. Only the compression can differ between versions of zlib;
therefore `helper.properties` has the sha256 of the tar inside too, as `contents`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "tools" / "helper-requirements.txt"
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVE = "gitops-rollback.tar.gz"
LARGEST = 10_000_000  # bytes, unpacked
_PACKAGE = ROOT / "python" / "gitops_rollback"
_SOURCE_SUFFIXES = (".py", ".json", ".j2", ".css")
_FROM_SOURCE = "multi-key-dict"  # published as a source archive only
_TIME = 946_684_800  # 2000-01-01, for every entry
# `python3 DIRECTORY` starts this; unlike `-m`, it works with -I, which ignores PYTHON* variables.
_MAIN = b"from gitops_rollback.cli import main\n\nmain()\n"
# Parts of dependencies that cannot run here, or that nothing of ours reaches.
_UNUSED = re.compile(
    r"_yaml/|yaml/cyaml\.py$|certifi/tests/|urllib3/contrib/emscripten/"
    r"|[^/]+\.data/|[^/]+\.egg-info/|.*\.dist-info/(WHEEL|top_level\.txt|entry_points\.txt|pbr\.json)$"
)
_KEPT = re.compile(r".*\.(py|typed|pem)$|[^/]+\.dist-info/.*")


def main() -> int:
    """Build the archive and its properties; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--output", type=Path, default=RESOURCES, help="where to (default: %(default)s)"
    )
    directory: Path = parser.parse_args().output
    with tempfile.TemporaryDirectory() as downloads:
        _download(Path(downloads))
        files = {**dependency_files(Path(downloads)), **own_files()}
    size = sum(map(len, files.values()))
    if size > LARGEST:
        print(
            f"the helper has {size} bytes unpacked, at most {LARGEST} are allowed", file=sys.stderr
        )
        return 1
    contents = pack(files)
    archive = compress(contents)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ARCHIVE).write_bytes(archive)
    (directory / "helper.properties").write_text(properties(archive, contents), encoding="ascii")
    print(f"{directory / ARCHIVE}: {len(files)} files, {size} bytes, packed {len(archive)}")
    return 0


def own_files() -> dict[str, bytes]:
    """Return the package as it stands, what starts it, and its licence."""
    files = {
        f"gitops_rollback/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes()
        for path in _PACKAGE.rglob("*")
        if path.suffix in _SOURCE_SUFFIXES and path.is_file()
    }
    for name, data in files.items():
        if name.endswith(".py"):
            compile(data, name, "exec")  # half an edit is not packed
    return {**files, "__main__.py": _MAIN, "LICENSE": (ROOT / "LICENSE").read_bytes()}


def dependency_files(downloads: Path) -> dict[str, bytes]:
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


def compress(data: bytes) -> bytes:
    """Return data as gzip, with a header that is the same in every version of Python."""
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=stream, mtime=0) as packer:
        packer.write(data)
    return stream.getvalue()


def properties(archive: bytes, contents: bytes) -> str:
    """Return `helper.properties`: version, sha256 of the archive and of the tar inside."""
    source = (_PACKAGE / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'^__version__ = "([^"]+)"', source, re.MULTILINE)
    if version is None:
        raise SystemExit(f"{_PACKAGE / '__init__.py'} names no version")
    sums = [hashlib.sha256(data).hexdigest() for data in (archive, contents)]
    return f"version={version[1]}\nsha256={sums[0]}\ncontents={sums[1]}\n"


def _download(directory: Path) -> None:
    """Fetch exactly the files that are pinned, whatever machine this is."""
    platform = [
        "--platform",
        "any",
        "--platform",
        "manylinux2014_x86_64",
        "--python-version",
        "3.11",
    ]
    platform += ["--implementation", "cp", "--abi", "cp311", "--abi", "none"]
    kinds = ["--only-binary", ":all:", "--no-binary", _FROM_SOURCE]
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, *kinds, *platform]
    subprocess.run(
        [*command, "--dest", str(directory), "--requirement", str(REQUIREMENTS)], check=True
    )


def _target_of_source(name: str) -> str | None:
    """Return where a file of a source archive goes: modules, and what tells whose they are."""
    folder, _, inside = name.partition("/")
    if inside in ("LICENSE.txt", "LICENSE", "PKG-INFO"):
        return f"{folder}.dist-info/{'METADATA' if inside == 'PKG-INFO' else inside}"
    is_module = PurePosixPath(inside).suffix == ".py" and "/" not in inside and inside != "setup.py"
    return inside if is_module else None


if __name__ == "__main__":
    raise SystemExit(main())

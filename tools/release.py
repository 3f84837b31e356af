"""Make `gitops-rollback.pyz`: one file to download, `python3 gitops-rollback.pyz plan cart`.

It holds the same two archives as the Jenkins library brings to an agent. The first run unpacks
them, whole or not at all, below `~/.cache/gitops-rollback` (XDG_CACHE_HOME), in a folder named
after their content; later runs find them there, if nobody else could have changed them. The same
archives give the same file; its sha256 is written beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVES = ("gitops-rollback.tar", "dependencies.tar.gz")
_TIME = (1980, 1, 1, 0, 0, 0)
_MAIN = """\
import fcntl, io, os, shutil, stat, sys, tarfile, tempfile, zipfile

NAME = "pyz-{digest}"
ARCHIVES = {archives!r}


def ours(path):
    about = os.lstat(path)
    own = about.st_uid in (0, os.getuid())
    return stat.S_ISDIR(about.st_mode) and own and not about.st_mode & 0o022


def unpacked():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    home = os.path.join(base, "gitops-rollback")
    target = os.path.join(home, NAME)
    mask = os.umask(0o077)
    os.makedirs(home, exist_ok=True)
    os.umask(mask)
    if os.stat(home).st_uid == os.getuid():
        os.chmod(home, stat.S_IMODE(os.stat(home).st_mode) & ~0o022)
    if not ours(os.path.realpath(home)):
        sys.exit(home + " is another user's, or others may write to it: set XDG_CACHE_HOME to a "
                 "folder of your own")
    if os.path.lexists(target):
        if ours(target):
            return target
        aside = os.path.join(home, ".not-ours-" + os.urandom(8).hex())
        os.rename(target, aside)
        shutil.rmtree(aside, ignore_errors=True)
    lock = os.open(home, os.O_RDONLY)
    try:  # what a killed run left is nobody's once this folder can be locked
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in os.listdir(home):
            if name.startswith((".unpacking-", ".not-ours-")):
                shutil.rmtree(os.path.join(home, name), ignore_errors=True)
    except OSError:
        pass
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
    except OSError:
        pass
    fresh = tempfile.mkdtemp(prefix=".unpacking-", dir=home)
    try:
        with zipfile.ZipFile(sys.argv[0]) as whole:
            for name in ARCHIVES:
                with tarfile.open(fileobj=io.BytesIO(whole.read(name))) as archive:
                    safe = {{"filter": "data"}} if hasattr(tarfile, "data_filter") else {{}}
                    archive.extractall(fresh, **safe)
        os.rename(fresh, target)
    except OSError:
        if not os.path.isdir(target):
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        os.close(lock)
    return target


if sys.version_info < (3, 11):
    sys.exit("gitops-rollback needs python3 3.11 or newer; this is " + sys.version.split()[0])
sys.path.insert(0, unpacked())
from gitops_rollback.cli import main

main()
"""


def main() -> int:
    """Write the file; print where it is and its sha256."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "gitops-rollback.pyz")
    output: Path = parser.parse_args().output
    build(output)
    line = f"{hashlib.sha256(output.read_bytes()).hexdigest()}  "
    output.with_name(f"{output.name}.sha256").write_text(f"{line}{output.name}\n")
    print(f"{line}{output}")
    return 0


def build(output: Path) -> None:
    """Write the file by rename."""
    data = {name: (RESOURCES / name).read_bytes() for name in ARCHIVES}
    digest = hashlib.sha256(b"".join(data.values())).hexdigest()
    entries = {"__main__.py": _MAIN.format(digest=digest, archives=ARCHIVES).encode(), **data}
    output.parent.mkdir(parents=True, exist_ok=True)
    fresh = output.with_suffix(".new")
    with fresh.open("wb") as stream:
        stream.write(b"#!/usr/bin/env python3\n")
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as whole:
            for name, content in entries.items():
                whole.writestr(zipfile.ZipInfo(name, _TIME), content, zipfile.ZIP_DEFLATED)
    fresh.chmod(0o755)
    fresh.replace(output)


if __name__ == "__main__":
    sys.exit(main())

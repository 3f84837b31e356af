"""Pack a helper for the tests from the checkout, laid out as the delivered one: python3 build_archive.py ROOT TARGET.

Only used while the library carries no archive of its own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path

PURE = ("yaml", "fastjsonschema", "jmespath", "jenkins", "requests", "urllib3", "idna", "certifi", "charset_normalizer", "pbr", "six.py", "multi_key_dict.py")


def main(root: Path, target: Path) -> None:
    site = next((root / ".venv" / "lib").glob("python3.*/site-packages"))
    sources = [(root / "python", "gitops_rollback")] + [(site, name) for name in PURE]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for base, name in sources:
            start = base / name
            files = [start] if start.is_file() else sorted(start.rglob("*"))
            for file in files:
                if file.is_file() and "__pycache__" not in file.parts and file.suffix not in {".so", ".pyc"}:
                    archive.add(file, str(file.relative_to(base)), filter=plain)
    packed = gzip.compress(content.getvalue(), mtime=0)
    folder = target / "io/github/gitopsrollback"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gitops-rollback.tar.gz").write_bytes(packed)
    version = {}
    exec((root / "python/gitops_rollback/__init__.py").read_text(), version)  # noqa: S102
    digest = hashlib.sha256(packed).hexdigest()
    (folder / "helper.properties").write_text(f"version={version['__version__']}\nsha256={digest}\n")


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname = 0, 0, 0, "", ""
    return entry


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

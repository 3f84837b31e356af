"""Files in which a tool changes more than the image: ours beside what people use.

Each tool sets one image in each file that has one, on a copy. A file counts if any line differs
that does not name the old image. Tools that are not installed are left out, and said so.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import may_hold_image, parse
from gitops_rollback.manifest.edit import FieldEdit, rewritten, value_of
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import CONTAINER, KUSTOMIZE
from lab import print_heading, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data" / "manifests"
TAG = "9.9.9"
_RUAMEL = """\
import sys
from ruamel.yaml import YAML
yaml = YAML()
path, old, new = sys.argv[1:]
def walk(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "image" and value == old:
                node[key] = new
            else:
                walk(value)
    elif isinstance(node, list):
        for item in node:
            walk(item)
with open(path, encoding="utf-8") as stream:
    documents = list(yaml.load_all(stream))
for document in documents:
    walk(document)
with open(path, "w", encoding="utf-8") as stream:
    yaml.dump_all(documents, stream)
"""


@dataclass(frozen=True)
class Case:
    """One file with the field to set, and the text it is to have."""

    file: ParsedFile
    field: ImageField
    new: str


def main() -> None:
    """Print the table."""
    folder = SHARED if SHARED.is_dir() else ROOT / "examples"
    cases = list(_cases(folder))
    workloads = [case for case in cases if case.field.form == CONTAINER]
    entries = [case for case in cases if case.field.form == KUSTOMIZE]
    rows: list[tuple[str, ...]] = [("tool", "files", "other lines changed", "failed")]
    rows.append(_row("gitops-rollback", workloads, _ours))
    rows += _optional("yq", ["yq"], workloads, _yq)
    rows += _optional("ruamel.yaml, round trip", [], workloads, _ruamel)
    rows += _optional("kubectl set image --local -o yaml", ["kubectl"], workloads, _kubectl)
    rows.append(_row("gitops-rollback, kustomizations", entries, _ours))
    rows += _optional("kustomize edit set image", ["kustomize"], entries, _kustomize)
    print_heading("Other bytes: one image set in each file, by this command and by what people use")
    print_table(rows)


def _cases(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix not in (".yaml", ".yml"):
            continue
        data = path.read_bytes()
        if not may_hold_image(data):
            continue
        try:
            file = parse(path.name, data)
            fields = [f for f in find_fields(file) if not f.problem]
        except ManifestError:
            continue
        field = next((f for f in fields if f.form in (CONTAINER, KUSTOMIZE)), None)
        if field is not None:
            yield Case(file, field, value_of(field, TAG, None))


def _optional(
    name: str, programs: list[str], cases: list[Case], act: Callable[[Path, Case], None]
) -> list[tuple[str, ...]]:
    missing = [program for program in programs if shutil.which(program) is None]
    if act is _ruamel and not _has_ruamel():
        missing = ["ruamel.yaml"]
    if act is _yq and not missing and b"mikefarah" not in _run("yq", "--version"):
        missing = ["yq of mikefarah"]  # another program has the same name
    if missing:
        print(f"{name}: left out, {missing[0]} is not installed", file=sys.stderr)
        return []
    return [_row(name, cases, act)]


def _row(name: str, cases: list[Case], act: Callable[[Path, Case], None]) -> tuple[str, ...]:
    changed = failed = 0
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / case.file.path
            before = case.file.encode(case.file.text)
            path.write_bytes(before)
            try:
                act(path, case)
            except (subprocess.SubprocessError, ManifestError):
                failed += 1
                continue
            changed += _changes_more(before, path.read_bytes(), case)
    return (name, str(len(cases)), str(changed), str(failed))


def _changes_more(before: bytes, after: bytes, case: Case) -> bool:
    """Tell whether a line differs that does not hold what was to be changed."""
    old, new = before.split(b"\n"), after.split(b"\n")
    if len(old) != len(new):
        return True
    texts = [part.scalar.value.encode() for part in case.field.parts]
    pairs = zip(old, new, strict=True)
    return any(a != b and not any(text in a for text in texts) for a, b in pairs)


def _ours(path: Path, case: Case) -> None:
    path.write_bytes(rewritten(case.file, [FieldEdit(case.field, case.new)]).data)


def _yq(path: Path, case: Case) -> None:
    maps = '.. | select(tag == "!!map" and has("image"))'
    select = f'({maps} | .image | select(. == "{case.field.value}"))'
    _run("yq", "-i", f'{select} = "{case.new}"', str(path))


def _ruamel(path: Path, case: Case) -> None:
    _run(sys.executable, "-c", _RUAMEL, str(path), case.field.value, case.new)


def _kubectl(path: Path, case: Case) -> None:
    setting = f"{case.field.container}={case.new}"
    done = _run("kubectl", "set", "image", "--local", "-o", "yaml", "-f", str(path), setting)
    path.write_bytes(done)


def _kustomize(path: Path, case: Case) -> None:
    target = path.with_name("kustomization.yaml")
    path.rename(target)
    _run("kustomize", "edit", "set", "image", f"{case.field.container}={case.new}", cwd=path.parent)
    target.rename(path)


def _has_ruamel() -> bool:
    line = [sys.executable, "-c", "import ruamel.yaml"]
    return subprocess.run(line, capture_output=True, check=False).returncode == 0


def _run(*line: str, cwd: Path | None = None) -> bytes:
    return subprocess.run(line, cwd=cwd, capture_output=True, check=True, timeout=30).stdout


if __name__ == "__main__":
    main()

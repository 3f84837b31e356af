"""List the image fields of local files; --prove edits each in memory and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.local_files import walk
from gitops_rollback.errors import Exit, ManifestError
from gitops_rollback.manifest.document import may_hold_image, parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.prove import Proof, prove
from gitops_rollback.output import say, table, write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.options import Options


def add_options(options: Options) -> None:
    """Add the options of `fields`."""
    options.paths("paths", "files or folders (default: this folder)", metavar="PATH")
    options.flag("prove", "edit each field in memory to another image and back; exit 1 if a byte "
                 "differs")  # fmt: skip
    options.text("output", "write the result as JSON; - is stdout", metavar="FILE")


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """List the fields; with --prove exit 1 if an edit or its undo is not exact."""
    del environment
    files, skipped, total = _read(options.paths or ["."])
    fields = [(file, field) for file in files for field in find_fields(file)]
    proofs = [prove(file, field) for file, field in fields if not field.problem and options.prove]
    failed = [proof for proof in proofs if proof.problem]
    say(*table([("where", "kind", "name", "container", "image"), *(_row(f) for _, f in fields)]))
    say(*(f"skipped: {skip['reason']}" for skip in skipped))
    say(*(f"not exact: {proof.field.place}: {proof.problem}" for proof in failed))
    say(f"{total} files, {len(fields)} image fields, {len(skipped)} files skipped")
    result: dict[str, Any] = {"fields": [f.to_json() for _, f in fields], "skipped": skipped}
    if options.prove:
        say(f"proved: {len(proofs)} edited and undone, {len(failed)} not exact")
        result["proof"] = {"edited": len(proofs), "failed": [_failure(proof) for proof in failed]}
    write_result(result, options.output)
    return Exit.FAILED if failed else Exit.DONE


def _read(paths: Iterable[str]) -> tuple[list[ParsedFile], list[dict[str, str]], int]:
    """Read all files; return the parsed, the skipped with their reasons, and how many there are."""
    parsed: list[ParsedFile] = []
    skipped = []
    total = 0
    for path in walk(paths):
        total += 1
        data = path.read_bytes()
        if not may_hold_image(data):
            continue
        try:
            file = parse(str(path), data)
            find_fields(file)
        except ManifestError as error:
            skipped.append({"path": str(path), "reason": error.message})
            continue
        parsed.append(file)
    return parsed, skipped, total


def _row(field: ImageField) -> tuple[str, ...]:
    value = f"{field.value}  (not editable: {field.problem})" if field.problem else field.value
    place = f"{field.place}:{field.scalar.column}"
    return (place, field.kind, field.name, field.container, value)


def _failure(proof: Proof) -> dict[str, Any]:
    return {"path": proof.field.path, "line": proof.field.scalar.line, "problem": proof.problem}

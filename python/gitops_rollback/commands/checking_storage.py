"""How `check --storage` goes: read manifests, review them, show what was found."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.local_files import walk
from gitops_rollback.commands.session import start
from gitops_rollback.errors import Exit, ManifestError, UsageError
from gitops_rollback.model import Request
from gitops_rollback.options import repeated
from gitops_rollback.output import error_to_json, say, table, write_result
from gitops_rollback.storage.findings import ERROR, NOTE, SEVERITIES, WARNING, Finding
from gitops_rollback.storage.kubernetes import published
from gitops_rollback.storage.review import Review, review

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

_GITHUB = {ERROR: "error", WARNING: "warning", NOTE: "notice"}


def check_storage(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check the storage of local files, or of an environment; raise `ManifestError` for errors."""
    where, files = _files(options, environment)
    found = review(files)
    result = _result(found, len(files))
    error = _error(found, where)
    if options.format == "json":
        write_result({**result, **(error_to_json(error) if error else {})}, "-")
    elif options.format == "github":
        for finding in found.findings:
            sys.stdout.write(github_command(finding) + "\n")
    _show(found, len(files), is_full=options.format == "text")
    if error is not None:
        error.found = result
        raise error
    write_result(result, options.output)
    return Exit.DONE


def github_command(finding: Finding) -> str:
    """Return a finding as a workflow command of GitHub Actions, which shows it at its line.

    Escapes as in actions/toolkit, packages/core/src/command.ts.
    """
    text = f"{finding.message}\nThat means: {finding.effect}.\nMend: {finding.mend}."
    properties = {
        "file": finding.path,
        "line": str(finding.line),
        "col": str(finding.column),
        "title": f"storage: {finding.code}",
    }
    shown = ",".join(
        f"{key}={_escaped(value).replace(':', '%3A').replace(',', '%2C')}"
        for key, value in properties.items()
    )
    return f"::{_GITHUB[finding.severity]} {shown}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _files(
    options: argparse.Namespace, environment: Mapping[str, str]
) -> tuple[str, Mapping[str, bytes]]:
    """Return what is read, in words, and the bytes of each file."""
    services = (*repeated(options, "service"), *repeated(options, "set"))
    if options.paths:
        if services:
            raise UsageError(
                "--service says which manifests of the repository are meant, and paths were given",
                "leave out one of them",
            )
        return ", ".join(options.paths), {str(p): p.read_bytes() for p in walk(options.paths)}
    session = start(options, environment)
    with session.open_repository() as repository:
        from gitops_rollback.snapshot import read_environment  # noqa: PLC0415 - see open_repository

        tip = session.open_tip(repository)
        read = read_environment(repository, Request((), options.environment, options.branch), tip)
    return f"environment {read.environment.name}", read.files


def _result(found: Review, files: int) -> dict[str, Any]:
    return {
        "kubernetes": published()["version"],
        "files": files,
        "objects": found.objects,
        "findings": [finding.to_json() for finding in found.findings],
        "claims": found.claims_to_json(),
        "skipped": [{"path": path, "reason": reason} for path, reason in found.skipped],
    }


def _error(found: Review, where: str) -> ManifestError | None:
    errors = found.count(ERROR)
    if not errors:
        return None
    first = next(finding for finding in found.findings if finding.severity == ERROR)
    some = "an error" if errors == 1 else f"{errors} errors"
    return ManifestError(
        f"the storage of {where} has {some}, the first at {first.place}: {first.message}",
        first.mend,
    )


def _show(found: Review, files: int, *, is_full: bool) -> None:
    if is_full:
        for finding in found.findings:
            say(
                f"{finding.place}: {finding.severity}: {finding.message} [{finding.code}]",
                f"    means: {finding.effect}",
                f"    mend:  {finding.mend}",
            )
        if found.bindings:
            rows = [("claim", "becomes", "why"), *_claim_rows(found)]
            say(*table(rows))
        say(*(f"skipped: {reason}" for _path, reason in found.skipped))
    counts = ", ".join(f"{found.count(s)} {s}s" for s in SEVERITIES)
    say(f"{files} files, {found.objects} objects checked: {counts}")


def _claim_rows(found: Review) -> list[tuple[str, str, str]]:
    return [
        (
            f"{binding.claim.namespace}/{binding.claim.name}".removeprefix("None/"),
            f"{binding.state} to {binding.volume.name}" if binding.volume else binding.state,
            "" if binding.volume else binding.reason,
        )
        for binding in found.bindings
    ]

"""How `check --storage` goes: read manifests, review them, show what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.given import read_manifest, walk
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.errors import Exit, ManifestError, UsageError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.model import Request
from gitops_rollback.options import repeated
from gitops_rollback.session import start
from gitops_rollback.storage import (
    ERROR,
    NOTE,
    WARNING,
    Finding,
    Review,
    in_order,
    published,
    review,
)
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import show

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session


@dataclass(frozen=True)
class _Checked:
    """What was read, in words and in files, and what was found in it."""

    where: str
    files: int
    found: Review
    findings: tuple[Finding, ...]


_GITHUB = {ERROR: "error", WARNING: "warning", NOTE: "notice"}


def check_storage(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Check the storage of local files, or of an environment; raise `ManifestError` for errors."""
    read = _read_local(options) if options.paths else _read_repository(options, environment)
    result = _result(read)
    error = _error(read)
    if options.format == "json":
        options.output = replace(options.output, format="json")
    elif options.format == "github":
        show(github_command(finding) for finding in read.findings)
        options.output = replace(options.output, format="none")
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


def _read_local(options: argparse.Namespace) -> _Checked:
    if repeated(options, "service") or repeated(options, "set"):
        raise UsageError(
            "--service says which manifests of the repository are meant, and paths were given",
            "leave out one of them",
        )
    files = {str(path): read_manifest(path) for path in walk(options.paths)}
    found = review(files)
    return _Checked(", ".join(options.paths), len(files), found, found.findings)


def _read_repository(options: argparse.Namespace, environment: Mapping[str, str]) -> _Checked:
    """Check an environment, or what belongs to the services that are named."""
    session = start(options, environment)
    with session.open_repository() as repository:
        from gitops_rollback.look.builds import lost_builds  # noqa: PLC0415 - the same
        from gitops_rollback.look.snapshot import read_environment  # noqa: PLC0415 - the same

        tip = session.open_tip(repository)
        services = _services(session, repository, tip)
        name = services[0].environment if services else options.environment
        read = read_environment(repository, Request((), name, options.branch), tip)
        found = review(read.files)
        names = [at.service for at in services]
        lost = lost_builds(session.jenkins_store(), repository, read, names)
    where = f"{', '.join(names)} {name}" if services else read.environment.told
    findings = _of_services(found, services) if services else found.findings
    return _Checked(where, len(read.files), found, in_order((*findings, *lost)))


def _services(session: Session, repository: Repository, tip: Tip) -> tuple[ServiceAtTip, ...]:
    options = session.options
    if not repeated(options, "service") and not repeated(options, "set"):
        return ()
    return session.read(repository, request_of(session.options), tip).services


def _of_services(found: Review, services: tuple[ServiceAtTip, ...]) -> list[Finding]:
    from gitops_rollback.look.storage import keys_of  # noqa: PLC0415 - the same
    from gitops_rollback.storage import findings_of  # noqa: PLC0415 - only for services

    return [f for at in services for f in findings_of(found, keys_of(at), is_all=True)]


def _result(read: _Checked) -> dict[str, Any]:
    return {
        "kubernetes": published()["version"],
        "files": read.files,
        "objects": read.found.objects,
        "findings": [finding.to_json() for finding in read.findings],
        "claims": read.found.claims_to_json(),
        "skipped": [{"path": path, "reason": reason} for path, reason in read.found.skipped],
    }


def _error(read: _Checked) -> ManifestError | None:
    errors = [finding for finding in read.findings if finding.severity == ERROR]
    if not errors:
        return None
    some = "an error" if len(errors) == 1 else f"{len(errors)} errors"
    first = errors[0]
    return ManifestError(
        f"the storage of {read.where} has {some}, the first at {first.place}: {first.message}",
        first.mend,
    )

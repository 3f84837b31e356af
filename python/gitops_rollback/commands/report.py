"""Make a page to archive: plan, difference, timeline, timings; change nothing."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.doing import plan_all
from gitops_rollback.commands.given import read_result
from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.errors import Exit
from gitops_rollback.options import repeated
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.report import Documents
    from gitops_rollback.session import Session

_MOST_ENTRIES = 20
_GIVEN = {
    "plan": "what `plan --output` wrote (default: plan now)",
    "result": "what `rollback`, `deploy` or `release` wrote with --output",
    "history": "what `history --output` wrote (default: look now)",
    "check": "what `check --output` wrote: no plan is made",
    "rollout": "what `wait --output` wrote of the change",
}
_SCHEMAS = {
    "plan": ("plan",),
    "result": ("result-change", "plan"),  # of a rollback that failed it is a plan with an error
    "history": ("result-history",),
    "check": ("result-check",),
    "rollout": ("result-wait",),
}


def run(options: Namespace, environment: Mapping[str, str]) -> int:
    """Make the page from the given documents, and gather what is not given."""
    given = {name: _read(getattr(options, name), name) for name in _GIVEN}
    if "repository" in given["result"]:  # a rollback that was refused shows its plan
        given = {**given, "plan": given["result"], "result": {}}
    found = _services(given.values())
    names = list(repeated(options, "service") or found)
    environments = set(found.values())
    chosen = options.environment or (environments.pop() if len(environments) == 1 else None)
    named = {"plan": None, "service": names, "environment": chosen}
    options = Namespace(**{**vars(options), **named})
    session = start(options, environment)
    documents, repository = _gather(session, given)
    from gitops_rollback.report import make_page, write  # noqa: PLC0415 - after git was started

    build = session.build.to_json() if session.build else {}
    page = make_page(documents, repository, session.present, build)
    path = write(page, Path(options.report_dir))
    files = sorted(file.name for file in path.parent.iterdir())
    write_result({"page": str(path), "title": page.title, "files": files}, options.output)
    return Exit.DONE


def _gather(session: Session, given: Mapping[str, Mapping[str, Any]]) -> tuple[Documents, str]:
    from gitops_rollback.report import Documents  # noqa: PLC0415 - see open_repository

    named = any(given.values())
    if named and not session.options.service:
        return Documents(**given), session.url
    with session.open_repository() as repository:
        from gitops_rollback.look.retrace import retrace_all  # noqa: PLC0415 - see open_repository

        request = request_of(session.options)
        snapshot = session.read(repository, request, session.open_tip(repository))
        documents = dict(given)
        if not named:
            wishes = rollback_wishes(session)
            _plans, documents["plan"] = plan_all(session, repository, snapshot, wishes)
        if not given["history"]:
            store = session.store(snapshot)
            found = retrace_all(repository, store, snapshot, _MOST_ENTRIES)
            documents["history"] = {"services": [retraced.to_json() for retraced in found]}
    return Documents(**documents), session.url


def _read(path: str | None, name: str) -> Mapping[str, Any]:
    """Read a result of another command."""
    if path is None:
        return {}
    return read_result(path, _SCHEMAS[name], f"{name} to show", f"--{name}: {_GIVEN[name]}")


def _services(documents: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the services that the given documents are about, each with its environment."""
    entries = (entry for document in documents for entry in document.get("services", ()))
    return {entry["service"]: entry["environment"] for entry in entries}

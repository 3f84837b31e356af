"""How often is deployed, how much of it fails, how fast it is taken back, from the ledger alone.

Nothing is changed. The numbers are DORA's: deployment frequency, change failure rate (deploys that
were rolled back from, or whose image is marked bad), failed deployment recovery time (deploy of the
bad image to the push of the rollback, and to the moment it was applied where --waited tells); and
how long rollbacks held. Without a service: all.

They come from state files and the last 1,000 commits; from when on they are complete is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.commands.given import read_drills, read_waits
from gitops_rollback.commands.wishes import request_of
from gitops_rollback.errors import Exit, UsageError
from gitops_rollback.ledger.measures import RELEASE, Happening, Measures, measure, together
from gitops_rollback.ledger.message import action_of, read_trailers
from gitops_rollback.ledger.state import path_of
from gitops_rollback.options import repeated
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.model import Deed
    from gitops_rollback.repo.objects import PathChange

_DEPTH = 1000  # commits
_LONGEST_PUSH = 1 / 24  # days from the beginning of a run to its commit


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Tell the numbers of each service, and of all together."""
    if not (repeated(options, "service") or repeated(options, "set")):
        options.all = True
    session = start(options, environment)
    since = _since(options.since, session.present)
    drills, waits = read_drills(options.drill), read_waits(options.waited)
    with session.open_repository() as repository:
        snapshot = session.read(repository, request_of(options), session.open_tip(repository))
        services = snapshot.services
        paths = [path_of(at.environment, at.service) for at in services]
        with session.watch.phase("fetch"):
            changes = repository.histories(services[0].tip, paths, _DEPTH)
    measured = [
        _measured(at, changes[path], since, session.present, waits)
        for at, path in zip(services, paths, strict=True)
    ]
    document: dict[str, Any] = {
        "since": since,
        "until": session.present,
        "services": [
            {"service": at.service, "environment": at.environment, **one.to_json()}
            for at, one in zip(services, measured, strict=True)
        ],
        "total": together(measured).to_json(),
        **({"drills": _drills(drills)} if drills else {}),
    }
    write_result(document, options.output)
    return Exit.DONE


def _since(text: str, present: str) -> str:
    try:
        return clock.instant(text, present)
    except ValueError as error:
        raise UsageError(f"--since {text} {error}", "write an age, for example 90d") from error


def _measured(
    at: ServiceAtTip,
    changes: Sequence[PathChange],
    since: str,
    present: str,
    waits: Mapping[tuple[str, str, str], str],
) -> Measures:
    # Oldest first: of what happened in the same second, nothing else tells which came first.
    oldest_first = reversed(changes)
    happenings = [found for one in oldest_first if (found := _happening(at, one, waits))]
    oldest = min((one.at for one in happenings), default=present)
    reach = min((change.at for change in changes if change.is_oldest), default=oldest)
    deeds = at.account.deployed
    # What no commit in reach tells of: the state file keeps the newest deeds however old.
    happenings += [
        Happening(deed.at, deed.action, deed.image, deed.from_image)
        for deed in reversed(deeds)
        if deed.at is not None and not any(_is_of(deed, deed.at, one) for one in happenings)
    ]
    return measure(
        happenings,
        (entry.image for entry in at.account.bad),
        since=since,
        present=present,
        complete_since=min([reach, *(one.at for one in happenings)]),
    )


def _is_of(deed: Deed, at: str, one: Happening) -> bool:
    """Tell whether a commit is that of a deed: it is made soon after the deed began."""
    is_it = (deed.action, deed.image.canonical) == (one.action, one.image.canonical)
    return is_it and abs(clock.days_between(at, one.at)) < _LONGEST_PUSH


def _happening(
    at: ServiceAtTip, change: PathChange, waits: Mapping[tuple[str, str, str], str]
) -> Happening | None:
    told = read_trailers(change.message, at.service, at.environment)
    if told is not None:
        applied = waits.get((change.commit, at.environment, at.service))
        return Happening(change.at, told.action, told.to, told.from_image, applied)
    if action_of(change.message, at.service, at.environment) == RELEASE:
        return Happening(change.at, RELEASE, at.found.image)
    return None


def _drills(verdicts: Sequence[str]) -> dict[str, Any]:
    """Return how many drills there were, and the share after which a rollback would work."""
    worked = sum(verdict != "failed" for verdict in verdicts)
    return {"count": len(verdicts), "successRate": round(worked / len(verdicts), 4)}

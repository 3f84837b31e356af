"""What `plan` and `rollback` share: options of choosing, gathering, and showing plans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gitops_rollback import clock
from gitops_rollback.commands.explaining import show_candidates
from gitops_rollback.commands.meant import expected_images
from gitops_rollback.commands.shared_options import accepted
from gitops_rollback.decide.acts import Act
from gitops_rollback.decide.facts import Choice, Plan
from gitops_rollback.decide.plan_file import plan_to_json
from gitops_rollback.decide.service import edits_to_json
from gitops_rollback.decide.targets import rollback_edits
from gitops_rollback.errors import UsageError
from gitops_rollback.look.gather import Gatherer
from gitops_rollback.options import images_by_service
from gitops_rollback.output import say, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.commands.session import Session
    from gitops_rollback.look.snapshot import ServiceAtTip, Snapshot
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.repo.repository import Repository


def choice_of(session: Session) -> Choice:
    """Return what the options ask for."""
    options = session.options
    return Choice(
        strategy=options.strategy,
        to=options.to,
        as_of=_as_of(session),
        query=options.query,
        again=options.again,
        accept=accepted(options),
        unattended=getattr(options, "unattended", False),
    )


def choices_of(
    session: Session, choice: Choice, services: Iterable[ServiceAtTip]
) -> list[tuple[ServiceAtTip, Choice]]:
    """Return what is asked for of each service: what must run now may differ."""
    services = tuple(services)
    expected = expected_images(images_by_service(session.options, "from"), services)
    return [(at, replace(choice, from_image=expected.get(at.service))) for at in services]


def _as_of(session: Session) -> str | None:
    """Return the time of `--as-of`; raise `UsageError` if it is none, or not the only choice."""
    options = session.options
    if options.as_of is None:
        return None
    other = next((name for name in ("to", "query", "again") if getattr(options, name)), None)
    if other is not None or options.strategy == "registry":
        raise UsageError(
            f"--as-of and --{other or 'strategy registry'} are two ways to choose",
            "give one of them",
        )
    try:
        return clock.instant(options.as_of, session.present)
    except ValueError as error:
        raise UsageError(
            f"--as-of {options.as_of} {error}",
            "write an age (2h, 30min, 1d12h) or a time with offset (2026-01-31T02:00:00+01:00)",
        ) from error


def gatherer_of(session: Session, repository: Repository, snapshot: Snapshot) -> Gatherer:
    """Return what gathers facts for a snapshot."""
    return Gatherer(
        repository=repository,
        store=session.store(snapshot),
        registry=session.registry(snapshot.config),
        present=session.present,
    )


def edits_of(session: Session, plan: Plan, at: ServiceAtTip) -> tuple[FieldEdit, ...]:
    """Return the exact edits of a plan; none where it chose no image."""
    if plan.chosen is None:
        return ()
    return rollback_edits(
        at.found.fields,
        plan.chosen,
        Act(session.present, accepted(session.options), pin=at.found.settings.pin),
    )


def plans_to_json(session: Session, snapshot: Snapshot, plans: Iterable[Plan]) -> dict[str, Any]:
    """Return plans as a result."""
    services = []
    for at, plan in zip(snapshot.services, plans, strict=True):
        edits = edits_of(session, plan, at)
        value = edits[0].value if edits else None
        services.append(plan_to_json(plan, edits_to_json(edits), value))
    return {
        "repository": session.url,
        "branch": snapshot.services[0].tip.branch,
        "commit": snapshot.services[0].tip.commit,
        "services": services,
        "seconds": session.watch.seconds(),
    }


def show_plan(session: Session, plan: Plan, at: ServiceAtTip) -> None:
    """Print a plan so that it can be read at three in the morning."""
    chosen = plan.chosen
    target = chosen.image.label if chosen else "no image to go back to"
    say(f"{plan.title}: {plan.running.label} → {target}")
    say(f"  runs     {plan.running.canonical}")
    if chosen is not None:
        say(f"  back to  {chosen.image.canonical}")
        say(*wrapped(f"because  {because(plan)}", "  "))
    for edit in edits_of(session, plan, at):
        say(*wrapped(f"edit     {edit.field.place} ({edit.field.container}): {edit.value}", "  "))
        if edit.field.overrides:
            say(*wrapped(f"         which overrides {', '.join(edit.field.overrides)}", "  "))
    show_candidates(plan)
    if plan.hold is not None:
        by = f" by {plan.hold.by}" if plan.hold.by else ""
        say(*wrapped(f"held     since {plan.hold.at}{by}: {plan.hold.reason}", "  "))
    for finding in plan.findings:
        say(*wrapped(f"note     {finding}", "  "))
    for warning in plan.warnings:
        say(*wrapped(f"warning  {warning}", "  "))
    for block in plan.blocks:
        say(*wrapped(f"refused  {block.code}: {block.message} ({block.hint})", "  "))


def because(plan: Plan) -> str:
    """Return why the image of a plan was chosen, for people."""
    chosen = plan.chosen
    if chosen is None:
        return ""
    source = {
        "artifact": f"archived by {chosen.build}" if chosen.build else "archived in a record",
        "git": "deployed before, as Git tells",
        "registry": "the registry's answer to the query",
    }[plan.source or "registry"]
    return f"{source}; {'the registry has it' if chosen.verified else 'not verified'}"

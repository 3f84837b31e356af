"""The rule of a rollback: choose, say what it means, refuse, or change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide import accounts, effect, holds
from gitops_rollback.decide.change import (
    Change,
    Refused,
    deed_of,
    noted_fields,
    unchanged,
    warnings_of,
)
from gitops_rollback.decide.choose import (
    ALL_THE_SAME,
    BY_LEDGER,
    NO_TAG,
    REGISTRY,
    UNKNOWN_TIME,
    all_the_same,
    choose,
)
from gitops_rollback.decide.deploy import refuse_moved, refuse_moved_since, refuse_unexpected
from gitops_rollback.decide.edits import elsewhere_warnings, holding, rollback_edits
from gitops_rollback.decide.facts import (
    NeedAuthor,
    NeedChanges,
    NeedPlatforms,
    NeedRevision,
    NeedSchemaLabels,
    NeedStorage,
)
from gitops_rollback.decide.recording import (
    has_storage,
    is_as_recorded,
    make_record,
    moved_since,
    refuse_other_record,
)
from gitops_rollback.effective.proof import RESTORED, Proof
from gitops_rollback.errors import (
    ConfigError,
    GitopsRollbackError,
    MovedError,
    NotFoundError,
)
from gitops_rollback.late import regex, replace
from gitops_rollback.ledger.holds import BAD, Bad, Hold, version_tag
from gitops_rollback.ledger.message import Told
from gitops_rollback.model import RECORDED, ROLLBACK, identified, repository_key, some, whole_number
from gitops_rollback.refusals import RUNNING, Place, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gitops_rollback.decide.facts import Facts, SchemaLabels, StorageFacts
    from gitops_rollback.decide.plan import Candidate, Plan, PlanFile
    from gitops_rollback.decide.wish import Wish

SCHEMA_LABEL = "org.gitops-rollback.schema"
_PARTS = regex(r"\d+|[^\d.\-_+]+")
_MOST_REASONS = 3  # in a message; the findings have all
_MOST_CHANGES = 8  # of one service, in a message
_AGAIN = "make the record again with --plan, then roll back"


def rollback(wish: Wish, facts: Facts) -> Change | Refused:
    """Return the change that goes back, or why not, with the plan; raise what is no refusal of it.

    A plan that was made before fixes from, to and strategy; every refusal is judged again.
    """
    facts = accounts.restored(facts)
    refuse_unexpected(wish, facts)
    wish = _as_planned(wish, facts)
    plan = choose(wish, facts)
    if plan.chosen is not None:
        plan = _looked_into(wish, facts, plan, plan.chosen)
    if plan.runs_already:
        at, running = facts.at, facts.running
        told = unchanged(wish, at, running, "deploy")
        return Change(at, told, warnings=warnings_of(at) + plan.warnings, plan=plan)
    error = obstacle(plan) or _changed(wish, facts, plan)
    if error is not None:
        return Refused(facts.at, error, plan)
    return _change(wish, facts, plan)


def obstacle(plan: Plan) -> GitopsRollbackError | None:
    """Return the error of what stands in the way of a plan: no image, or a refusal; else None.

    A service that is refused for a reason of its own (rolled back already) does not lack an image.
    """
    if plan.runs_already:
        return None
    for block in plan.blocks:
        return block.error()
    return _none_to_go_back_to(plan) if plan.chosen is None else None


def _none_to_go_back_to(plan: Plan) -> NotFoundError:
    """Return the error of a plan without an image, with the way to one."""
    refused = [c for c in plan.candidates if c.is_refused]
    why = some([f"{c.image.label}: {c.message}" for c in refused], _MOST_REASONS, "; ")
    tags = [f.removeprefix(NO_TAG) for f in plan.findings if f.startswith(NO_TAG)]
    why = why or _finding(plan, UNKNOWN_TIME) or some(tags, _MOST_REASONS, "; ")
    told = f"there is no image to go back to for {plan.title}" + (f" ({why})" if why else "")
    shell, jenkins = _way_on(plan, refused)
    error = NotFoundError(told, shell)
    error.jenkins_hint = jenkins
    return error


def _way_on(plan: Plan, refused: Sequence[Candidate]) -> tuple[str, str | None]:
    """Return how one comes to an image, for a shell; and for Jenkins, where that is otherwise."""
    by_code = next((c for c in refused if c.reason not in (None, RUNNING)), None)
    shown = next((c.image.label for c in plan.candidates if c.verdict == "acceptable"), None)
    known = _finding(plan, BY_LEDGER)
    asks = plan.strategy in ("auto", REGISTRY)
    accepted = by_code and f"--to {by_code.image.label} --accept {by_code.reason}"
    unknown = _finding(plan, UNKNOWN_TIME)
    ways = (
        (unknown, "give a later time with --as-of, or name an image with --to"),
        (
            any(c.reason is None for c in refused),
            "go by what Git tells with --strategy auto, or name an image with --to",
        ),
        (known, known),
        (shown, f"the registry knows others: --strategy registry, or --to {shown}"),
        (accepted, f"{ALL_THE_SAME}{accepted}"),
        (plan.left, plan.left and all_the_same(plan.left)),
        (
            _finding(plan, f"{REGISTRY}: "),
            "try again when the registry answers, or name one with --to TAG",
        ),
        (
            asks and _finding(plan, NO_TAG),
            "nothing older is there: deploy a fixed image, or push the one that ran again",
        ),
        (asks, "the registry has no other tag: push the image again, or name one with --to TAG"),
        (True, "name one with --to TAG, or ask the registry with --strategy registry"),
    )
    way = next(words or "" for applies, words in ways if applies)
    is_left = plan.left is not None and way == all_the_same(plan.left)
    return way, all_the_same(plan.left, Place.JENKINS) if is_left and plan.left else None


def _finding(plan: Plan, begins: str) -> str:
    return next((finding for finding in plan.findings if finding.startswith(begins)), "")


def _as_planned(wish: Wish, facts: Facts) -> Wish:
    """Return the wish as a plan says; raise if that is for another place, or another image runs."""
    if wish.planned is None:
        return wish
    _refuse_other_place(wish.planned, facts)
    planned = wish.planned.planned(facts.at.service, facts.at.environment)
    if wish.expected is None:
        again = "make the plan again with gitops-rollback plan --output FILE"
        refuse_moved(wish, facts, planned.running, "as the plan says", again)
    return replace(wish, strategy=planned.strategy)


def _refuse_other_place(plan: PlanFile, facts: Facts) -> None:
    url, branch = facts.url, facts.at.tip.branch
    if repository_key(plan.repository) == repository_key(url) and plan.branch == branch:
        return
    raise ConfigError(
        f"the plan {plan.path} is for {plan.repository}, branch {plan.branch}, not for {url}, "
        f"branch {branch}",
        "make it again with gitops-rollback plan --output FILE",
    )


def _looked_into(wish: Wish, facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    """Return the plan with its edits, and with what is said of them and of what is chosen."""
    plan = _with_effect(wish, facts, _with_edits(wish, facts, plan, chosen), chosen)
    plan = _with_storage(wish, facts, _with_changes(facts, plan, chosen), chosen)
    return _with_schema(wish, facts, plan, chosen)


def _with_edits(wish: Wish, facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    edits = rollback_edits(facts.at.found.fields, chosen, wish.accept, facts.settings.pin)
    blocks = effect.unwritten(facts, edits, chosen.image)
    refused = (block for block in blocks if block.code not in wish.accept)
    return replace(plan, edits=edits, blocks=(*plan.blocks, *refused))


def _with_effect(wish: Wish, facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    """Add what stands against the edits, but where they restore what had this effect before."""
    judged = effect.judged(wish, facts, plan.edits, chosen.image)
    findings = judged.findings
    plan = replace(plan, warnings=plan.warnings + effect.warnings_of(findings), proof=judged.proof)
    if judged.is_proven:
        return plan
    told = effect.restored(facts, findings, plan.edits, _last_run(chosen))
    if told:
        return replace(plan, findings=(*plan.findings, told), proof=Proof(RESTORED))
    blocks = effect.blocks_of(facts.at, findings)
    return plan if "effect" in wish.accept else replace(plan, blocks=plan.blocks + blocks)


def _with_changes(facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    """Add what else changed since the chosen image ran, as far as its record tells."""
    if chosen.stored is None:
        return plan
    changed = facts.ask(NeedChanges(chosen.stored.sha256))
    told = tuple(f"changed since it ran, and not undone by a rollback: {c}" for c in changed)
    return replace(plan, warnings=(*plan.warnings, *told))


def _with_storage(wish: Wish, facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    """Add what storage means for going back: told, and refused where it changed and is guarded.

    A service without any, whose manifests changed in their images only, is not looked into.
    """
    if not (wish.unattended or _is_in_question(facts, chosen)):
        return plan
    # Nobody looks on: what was changed for the bad release counts, also before its image.
    need = NeedStorage(chosen.image.label, _last_run(chosen), chosen.image, wish.unattended)
    found: StorageFacts = facts.ask(need)
    label = chosen.image.label
    changes = tuple(f"storage changed since {label} ran: {change}" for change in found.changes)
    guard = "refuse" if wish.unattended else facts.settings.storage_guard
    blocks = plan.blocks
    if changes and guard == "refuse" and "storage" not in wish.accept:
        blocks += (refusal("storage", f"{plan.title}: {some(changes, _MOST_CHANGES, '; ')}"),)
    return replace(
        plan,
        blocks=blocks,
        findings=plan.findings + found.problems,
        warnings=plan.warnings + changes + found.findings,
        storage_changes=changes,
    )


def _is_in_question(facts: Facts, chosen: Candidate) -> bool:
    if has_storage(facts.at):
        return True
    return chosen.stored is not None and not is_as_recorded(facts.at, chosen.stored)


def _last_run(chosen: Candidate) -> str | None:
    """Return the last commit in which an image ran, as far as that is known."""
    if chosen.stored is not None:
        return chosen.stored.record.commit
    return chosen.placed.commit if chosen.placed is not None else None


def _with_schema(wish: Wish, facts: Facts, plan: Plan, chosen: Candidate) -> Plan:
    """Return a plan that is refused where the running image needs a later schema."""
    if not chosen.verified:
        return plan
    said = facts.settings.schema_label
    if not (said == "refuse" if said else has_storage(facts.at)):
        return plan
    return _schema_compared(wish, plan, chosen, facts.ask(NeedSchemaLabels(chosen.image)))


def _schema_compared(wish: Wish, plan: Plan, chosen: Candidate, labels: SchemaLabels) -> Plan:
    if labels.problem:
        problem = f"{SCHEMA_LABEL} was not compared: {labels.problem}"
        return replace(plan, findings=(*plan.findings, problem))
    old, new = plan.running.label, chosen.image.label
    if labels.running is not None and labels.target is None:
        missing = (
            f"{old} needs schema {labels.running}, and {new} does not say which ({SCHEMA_LABEL})"
        )
        return replace(plan, warnings=(*plan.warnings, missing))
    if labels.running is None or _order(labels.running) <= _order(labels.target or ""):
        return plan
    forward = (
        f"{plan.title}: the schema went forward, {labels.target} → {labels.running} "
        f"({SCHEMA_LABEL}): {new} may not be able to use the data that {old} has changed"
    )
    if "schema" in wish.accept:
        return replace(plan, warnings=(*plan.warnings, forward))
    return replace(plan, blocks=(*plan.blocks, refusal("schema", forward)))


def _order(schema: str) -> tuple[tuple[bool, int | str], ...]:
    """Order schemas as people number them: 9 before 10, 1.9 before 1.10, 1.9 before 1.rc."""
    parts = ((whole_number(part), part) for part in _PARTS.findall(schema))
    return tuple((number is None, part if number is None else number) for number, part in parts)


def _changed(wish: Wish, facts: Facts, plan: Plan) -> GitopsRollbackError | None:
    """Return the error if the branch moved and the service changed while this was being pushed."""
    first = facts.first
    if first is None:
        return None
    refuse_moved_since(wish, facts, first, "as the plan says")
    target = plan.chosen.image if plan.chosen else None
    if first.target == target:
        return None
    who = facts.ask(NeedAuthor())
    return MovedError(
        f"{facts.title}: what it would go back to changed while this was being pushed (newest "
        f"commit by {who})",
        "look at the new plan (gitops-rollback plan), then run this again",
    )


def _revision(wish: Wish, facts: Facts, plan: Plan) -> str | None:
    """Return the commit that the running image was built from, where it was looked at anyway.

    A rollback asks no registry for more than it needs: what has no revision is known by its digest
    and its version tag.
    """
    looked = facts.has(NeedPlatforms(plan.chosen.image)) if plan.chosen else None
    if wish.only_looks or looked is None or looked.problem or facts.running.digest is None:
        return None
    return facts.ask(NeedRevision(facts.running)).commit


def _change(wish: Wish, facts: Facts, plan: Plan) -> Change:
    """Return the change of a rollback: the image, the bad list, the hold and the markers."""
    at, running, chosen = facts.at, facts.running, plan.chosen
    assert chosen is not None  # noqa: S101 - a plan without one was refused
    if wish.record is not None:
        refuse_other_record(facts, wish.record, chosen.image, _AGAIN)
        moved = moved_since(facts, wish.record, _AGAIN)
        if moved is not None:
            raise moved
    stored = wish.record or facts.filed
    made = None if stored else make_record(wish, facts, "rollback", chosen.image)
    record = stored.sha256 if stored else made.stored.sha256 if made else ""
    done = deed_of(wish, running, chosen.image, record)
    deed = identified(done, at.service, at.environment)
    before = facts.account
    if "bad" in wish.accept:
        before = holds.forgiven(facts, before, chosen.image)
    marked = replace(deed, action=BAD, image=running, from_image=None, record=None)
    seen = (*before.images, *(candidate.image for candidate in plan.candidates))
    bad = Bad(marked, version_tag(running, seen), _revision(wish, facts, plan))
    after = before.with_deed(deed, noted_fields(at, plan.edits, chosen.image)).with_bad(bad)
    summary = Told(
        *(at.service, at.environment),
        replace(deed, action=ROLLBACK if plan.edits else RECORDED),
        storage=plan.storage_changes,
        passed_over=plan.passed_over,
    )
    return Change(
        at=at,
        summary=summary,
        edits=plan.edits,
        markers=holding(at),
        state=replace(after, hold=Hold(deed, holds.markers_to_hold(at))),
        warnings=warnings_of(at) + plan.warnings + elsewhere_warnings(at),
        plan=plan,
        record=made,
        proof=plan.proof,
    )

"""What a deploy, a rollback or a release does to a service: edits, markers, state. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback.decide.held_markers import lost_markers, markers_to_hold, markers_without_hold
from gitops_rollback.decide.service import ServiceChange, marker_splices
from gitops_rollback.decide.targets import deploy_edits, rollback_edits
from gitops_rollback.ledger.fields import note_written
from gitops_rollback.ledger.holds import BAD, Bad, Hold
from gitops_rollback.ledger.message import Told
from gitops_rollback.ledger.state import State
from gitops_rollback.manifest.edit import hold_markers, restore_markers
from gitops_rollback.model import Deed, identified

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.decide.acts import Act
    from gitops_rollback.decide.facts import Candidate
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.manifest.forms import FieldEdit


def unchanged(at: ServiceAtTip, image: ImageReference, act: Act) -> ServiceChange:
    """Return the change that changes nothing."""
    summary = _summary("deploy", at, image, image, act)
    return ServiceChange(at, (), (), None, summary, _warnings(at))


def redeployed(at: ServiceAtTip, running: ImageReference, act: Act) -> ServiceChange:
    """Return the change of deploying what runs: nothing, but that a hold may end."""
    if not act.releases:
        return unchanged(at, running, act)
    return released(at, running, act)


def deployed(
    at: ServiceAtTip, running: ImageReference, image: ImageReference, act: Act, record: str
) -> ServiceChange:
    """Return the change of a deploy; it ends a hold where it may."""
    ends = act.ends_hold and at.state is not None and at.state.hold is not None
    edits = deploy_edits(at.found.fields, image, act)
    entry = _entry("deploy", at, running, image, act, record)
    state = _state(at).with_deed(entry, _noted(at, edits, image))
    return ServiceChange(
        at=at,
        edits=edits,
        markers=marker_splices(at.found.fields, restore_markers) if ends else (),
        state=replace(state, hold=None) if ends else state,
        summary=_summary("deploy", at, running, image, act, record),
        warnings=_warnings(at) + (lost_markers(at) if ends else markers_without_hold(at)),
    )


def rolled_back(
    at: ServiceAtTip, running: ImageReference, candidate: Candidate, act: Act, record: str
) -> ServiceChange:
    """Return the change of a rollback: the image, the bad list, the hold and the markers."""
    image = candidate.image
    before = _state(at)
    edits = rollback_edits(at.found.fields, candidate, act)
    entry = _entry("rollback", at, running, image, act, record)
    bad = Bad(replace(entry, action=BAD, image=running, from_image=None, record=None))
    state = before.with_deed(entry, _noted(at, edits, image)).with_bad(bad)
    return ServiceChange(
        at=at,
        edits=edits,
        markers=marker_splices(at.found.fields, hold_markers),
        state=replace(state, hold=Hold(entry, markers_to_hold(at))),
        summary=_summary("rollback", at, running, image, act, record),
        warnings=_warnings(at),
    )


def released(
    at: ServiceAtTip,
    running: ImageReference,
    act: Act,
    forgiven: tuple[ImageReference, ...] = (),
) -> ServiceChange:
    """Return the change of a release: the hold ends, markers go back into action.

    Markers that are out of action without a hold, as after a state file was lost, go back too.
    """
    state = at.state
    markers = marker_splices(at.found.fields, restore_markers)
    for image in forgiven:
        state = state.without_bad(image) if state else None
    return ServiceChange(
        at=at,
        edits=(),
        markers=markers,
        state=replace(state, hold=None) if state else None,
        summary=_summary("release", at, running, running, act),
        warnings=_warnings(at) + lost_markers(at),
    )


def repaired(at: ServiceAtTip, running: ImageReference, state: State, act: Act) -> ServiceChange:
    """Return the change that puts a rebuilt state file in the place of what stands there."""
    summary = _summary("repair", at, running, running, act)
    return ServiceChange(at, (), (), state, summary, _warnings(at))


def _state(at: ServiceAtTip) -> State:
    return at.state or State(at.service, at.environment)


def _entry(
    action: str,
    at: ServiceAtTip,
    running: ImageReference,
    image: ImageReference,
    act: Act,
    record: str,
) -> Deed:
    deed = Deed(
        action=action,
        image=image,
        at=act.present,
        from_image=running,
        by=act.by,
        reason=act.reason,
        build=act.build,
        record=record,
    )
    return identified(deed, at.service, at.environment)


def _noted(
    at: ServiceAtTip, edits: Iterable[FieldEdit], image: ImageReference
) -> tuple[NotedField, ...]:
    """Write down the fields of the service as the edits leave them."""
    texts = {edit.field.key: edit.value for edit in edits}
    return tuple(
        note_written(field, texts.get(field.key, field.value), image) for field in at.found.fields
    )


def _summary(
    action: str,
    at: ServiceAtTip,
    running: ImageReference,
    image: ImageReference,
    act: Act,
    record: str | None = None,
) -> Told:
    deed = Deed(
        action=action,
        image=image,
        from_image=running,
        at=act.present,
        by=act.by,
        reason=act.reason,
        build=act.build,
        record=record,
    )
    return Told(at.service, at.environment, deed)


def _warnings(at: ServiceAtTip) -> tuple[str, ...]:
    reported = tuple(
        f"{field.kind} {field.name} ({field.place}) names {field.value} too and is left alone: "
        "its template is immutable"
        for field in at.found.reported
    )
    skipped = tuple(f"not looked into: {skip.reason}" for skip in at.found.manifests.skipped)
    return at.found.notes + reported + (skipped if at.found.settings.manifests else ())

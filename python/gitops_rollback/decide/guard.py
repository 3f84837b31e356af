"""What stands in the way of a deploy or of a release, and how to accept it. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.errors import ConfigError, MovedError, RefusedError
from gitops_rollback.refusals import Block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.decide.acts import Act
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.holds import Hold
    from gitops_rollback.ledger.state import State
    from gitops_rollback.look.snapshot import ServiceAtTip
    from gitops_rollback.model import Build, Deed
    from gitops_rollback.policies.objects import Policies


def deploy_blocks(
    state: State | None, image: ImageReference, *, build: Build | None, hold_kind: str, present: str
) -> tuple[Block, ...]:
    """Return what stands in the way of deploying an image.

    `bad`: it was rolled back from; `held`: a rollback holds the service (`hold_kind` "service");
    `outdated`: a later build of the same job deployed already.
    """
    if state is None:
        return ()
    blocks = []
    bad = state.find_bad(image)
    if state.hold is not None and hold_kind == "service":
        held = _held(state, state.hold, present)
        hint = f"{image.label} is on the bad list itself: deploy a fixed image with --release"
        blocks.append(replace(held, hint=hint) if bad is not None else held)
    if bad is not None:
        blocks.append(
            Block(
                "bad",
                f"{_title(state)}: {image.label} was rolled back from on {bad.deed.at}"
                f"{_by(bad.deed.by)}{_why(bad.deed.reason)}",
                "deploy a fixed image, or --accept bad",
            )
        )
    blocks += _outdated(state, build)
    return tuple(blocks)


def asks_for_policies(at: ServiceAtTip) -> bool:
    """Tell whether putting the service's markers back depends on what image policies take."""
    return at.state is not None and bool(at.state.bad and _held_markers(at))


def release_blocks(
    at: ServiceAtTip, after: ImageReference, policies: Policies
) -> tuple[Block, ...]:
    """Return what stands in the way of ending a hold, where `after` will run then.

    A held marker that goes back into action lets Flux write whatever its policy takes; as long as
    an image is on the bad list, that may be the bad one.
    """
    if at.state is None or not asks_for_policies(at):
        return ()
    from gitops_rollback.policies.judge import (  # noqa: PLC0415 - only where markers are held
        automation_blocks,
    )

    bad = (entry.image for entry in at.state.bad if not entry.image.may_be(after))
    return automation_blocks(at.title, _held_markers(at), bad, after, policies)


def _held_markers(at: ServiceAtTip) -> list[str]:
    return [m.policy for field in at.found.fields for m in field.markers if m.is_held]


def undone_by_deploy(
    state: State | None, recorded: ImageReference, build: Build | None, present: str
) -> Block | None:
    """Return what a deploy would undo if its record, which no longer fits, were made again.

    A hold, a rollback away from the `recorded` image, or a later build's deploy. Without one of
    them the fields were changed by somebody else, and recording again is right.
    """
    newest = state.newest if state else None
    if state is None or newest is None:
        return None
    if state.hold is not None:
        return _held(state, state.hold, present)
    if newest.action == "rollback" and not newest.image.is_same_image(recorded):
        return Block(
            "held",
            f"{_title(state)} was rolled back {clock.age(newest.at or present, present)} ago"
            f"{_by(newest.by)}{_why(newest.reason)}, after this deploy had begun",
            "deploy a fixed image by a new build",
        )
    outdated = _outdated(state, build)
    return outdated[0] if outdated else None


def refuse_deploy(state: State | None, image: ImageReference, act: Act) -> None:
    """Raise `RefusedError` if something that was not accepted stands in the way of a deploy.

    Where it ends a hold, `release_blocks` are to be refused too.
    """
    blocks = deploy_blocks(
        state, image, build=act.build, hold_kind=act.hold_kind, present=act.present
    )
    refuse(blocks, act.accept)


def refuse(blocks: Iterable[Block], accept: frozenset[str]) -> None:
    """Raise `RefusedError` for the first block that was not accepted."""
    for block in blocks:
        if block.code not in accept:
            raise RefusedError(block.code, block.message, block.hint)


def refuse_other_repository(title: str, present: ImageReference, image: ImageReference) -> None:
    """Raise `ConfigError` if an image is of another repository than the service."""
    if image.full_repository != present.full_repository:
        raise ConfigError(
            f"{image.canonical} is of another repository than {title}, which runs "
            f"{present.canonical}",
            "only the version changes: give an image of the same repository, or another service",
        )


def refuse_moved(
    title: str, expected: ImageReference | None, running: ImageReference, source: str
) -> None:
    """Raise `MovedError` if another image runs than was expected; `source` says by what."""
    if expected is not None and not expected.may_be(running):
        raise MovedError(
            f"{title} runs {running.canonical}, not {expected.canonical} {source}",
            "look at what happened meanwhile (gitops-rollback plan), then run this again",
        )


def _held(state: State, hold: Hold, present: str) -> Block:
    return Block(
        "held",
        f"{_title(state)} has been held for {clock.age(hold.at, present)}{_by(hold.by)}: "
        f"{hold.from_image.label} → {hold.to.label}{_why(hold.reason)}",
        "deploy the fix with --release, or end the hold with gitops-rollback release",
    )


def _outdated(state: State, build: Build | None) -> list[Block]:
    newest = _newest_deploy(state)
    theirs = newest.build if newest else None
    if build is None or theirs is None or theirs.job != build.job or theirs.number <= build.number:
        return []
    return [
        Block(
            "outdated",
            f"{_title(state)}: {theirs} deployed {newest.image.label if newest else ''} already, "
            f"and this is {build}",
            "run the newest build again, or --allow-older",
        )
    ]


def _newest_deploy(state: State) -> Deed | None:
    return next((entry for entry in state.deployed if entry.action == "deploy"), None)


def _title(state: State) -> str:
    return f"{state.service} {state.environment}"


def _by(person: str | None) -> str:
    return f" by {person}" if person else ""


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""

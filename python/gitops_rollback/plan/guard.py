"""What stands in the way of a deploy or of a release, and how to accept it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.plan.facts import Block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.image import ImageReference
    from gitops_rollback.model import Build
    from gitops_rollback.state import Deployment, Hold, State


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
    if bad is not None:
        blocks.append(
            Block(
                "bad",
                f"{_title(state)}: {image.label} was rolled back from on {bad.at}"
                f"{_by(bad.by)}{_why(bad.reason)}",
                "deploy a fixed image, or --accept bad",
            )
        )
    if state.hold is not None and hold_kind == "service":
        blocks.append(_held(state, state.hold, present))
    blocks += _outdated(state, build)
    return tuple(blocks)


def release_blocks(state: State) -> tuple[Block, ...]:
    """Return what stands in the way of ending a hold.

    A held marker that goes back into action lets Flux write whatever its policy takes; as long as
    an image is on the bad list, that may be the bad one.
    """
    hold = state.hold
    if hold is None or not hold.markers or not state.bad:
        return ()
    bad = ", ".join(entry.image.label for entry in state.bad)
    markers = ", ".join(marker.marker for marker in hold.markers)
    return (
        Block(
            "automation",
            f"{_title(state)}: with {markers} in action again, Flux may bring back {bad}",
            "narrow the ImagePolicy so that it takes a good image, then --accept automation",
        ),
    )


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
            f"{_title(state)} was rolled back {clock.age(newest.at, present)} ago{_by(newest.by)}"
            f"{_why(newest.reason)}, after this deploy had begun",
            "deploy a fixed image by a new build",
        )
    outdated = _outdated(state, build)
    return outdated[0] if outdated else None


def not_accepted(blocks: Iterable[Block], accept: Iterable[str]) -> tuple[Block, ...]:
    """Return the blocks whose codes were not accepted."""
    accepted = set(accept)
    return tuple(block for block in blocks if block.code not in accepted)


def _held(state: State, hold: Hold, present: str) -> Block:
    return Block(
        "held",
        f"{_title(state)} is held since {clock.age(hold.at, present)}{_by(hold.by)}: "
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


def _newest_deploy(state: State) -> Deployment | None:
    return next((entry for entry in state.deployed if entry.action == "deploy"), None)


def _title(state: State) -> str:
    return f"{state.service} {state.environment}"


def _by(person: str | None) -> str:
    return f" by {person}" if person else ""


def _why(reason: str | None) -> str:
    return f" ({reason})" if reason else ""

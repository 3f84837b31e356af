"""The state file: what was deployed, what is bad, what is held. Pure.

It stands in the manifests repository as `.gitops-rollback/<environment>/<service>.json` and is
written in the same commit as every deploy, rollback and release.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from gitops_rollback import schema
from gitops_rollback.errors import RepositoryError
from gitops_rollback.image import ImageReference, InvalidImageError
from gitops_rollback.model import Build, build_from_json, image_from_json, without_none

FOLDER = ".gitops-rollback"
LONGEST_HISTORY = 20
LONGEST_BAD_LIST = 200
_LARGEST = 1_000_000  # bytes


@dataclass(frozen=True)
class Deployment:
    """One deploy or rollback, as the state file keeps it."""

    id: str
    action: str
    image: ImageReference
    at: str
    from_image: ImageReference | None = None
    by: str | None = None
    reason: str | None = None
    build: Build | None = None
    record: str | None = None


@dataclass(frozen=True)
class BadImage:
    """An image that was rolled back from."""

    image: ImageReference
    at: str
    reason: str | None = None
    by: str | None = None


@dataclass(frozen=True)
class HeldMarker:
    """A Flux marker that a rollback put out of action; `marker` is its text in action."""

    path: str
    container: str
    marker: str


@dataclass(frozen=True)
class Hold:
    """What keeps a rolled-back image from coming back."""

    from_image: ImageReference
    to: ImageReference
    reason: str
    at: str
    by: str | None = None
    build: Build | None = None
    markers: tuple[HeldMarker, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the hold as it stands in state files and plans."""
        return without_none(
            {
                "from": self.from_image.canonical,
                "to": self.to.canonical,
                "by": self.by,
                "reason": self.reason,
                "at": self.at,
                "build": self.build.to_json() if self.build else None,
                "markers": [vars(marker) for marker in self.markers],
            }
        )


@dataclass(frozen=True)
class State:
    """A service in an environment; `deployed` is newest first."""

    service: str
    environment: str
    deployed: tuple[Deployment, ...] = ()
    bad: tuple[BadImage, ...] = ()
    hold: Hold | None = None

    @property
    def newest(self) -> Deployment | None:
        """The newest deployment, if there was one."""
        return self.deployed[0] if self.deployed else None

    def find_bad(self, image: ImageReference) -> BadImage | None:
        """Return the entry of the bad list for an image, if it is on it.

        An entry without a digest stands for whatever bears its tag, and the other way round.
        """
        return next((bad for bad in self.bad if bad.image.may_be(image)), None)

    def with_deployment(self, entry: Deployment) -> State:
        """Return the state after a deploy or a rollback; its image is no longer bad."""
        return replace(
            self,
            deployed=(entry, *self.deployed)[:LONGEST_HISTORY],
            bad=tuple(bad for bad in self.bad if not bad.image.may_be(entry.image)),
        )

    def with_bad(self, bad: BadImage) -> State:
        """Return the state with one more bad image, the newest first."""
        others = (old for old in self.bad if not old.image.is_same_image(bad.image))
        return replace(self, bad=(bad, *others)[:LONGEST_BAD_LIST])

    def without_bad(self, image: ImageReference) -> State:
        """Return the state with an image forgiven."""
        return replace(self, bad=tuple(b for b in self.bad if not b.image.may_be(image)))


def path_of(environment: str, service: str) -> str:
    """Return where a service's state file stands in the repository."""
    return f"{FOLDER}/{environment}/{service}.json"


def parse_state(data: bytes, environment: str, service: str) -> State:
    """Read a state file; raise `RepositoryError`, with the path and how to mend it, if broken."""
    path = path_of(environment, service)
    try:
        state = _from_json(schema.read(data, "state", _LARGEST))
    except schema.NewerDocumentError as error:
        raise RepositoryError(
            f"the state file {path} {error}", "use that version here too"
        ) from error
    except (schema.InvalidDocumentError, InvalidImageError) as error:
        is_unmerged = b"<<<<<<< " in data and b">>>>>>> " in data
        reason = "it holds the marks of a merge conflict" if is_unmerged else str(error)
        raise _broken(environment, service, reason) from error
    if (state.service, state.environment) != (service, environment):
        raise _broken(environment, service, f"it is of {state.service} in {state.environment}")
    return state


def render_state(state: State) -> bytes:
    """Return the bytes of a state file."""
    document = without_none(
        {
            "schemaVersion": 1,
            "service": state.service,
            "environment": state.environment,
            "deployed": [_deployment_to_json(entry) for entry in state.deployed],
            "bad": [without_none({**vars(bad), "image": bad.image.canonical}) for bad in state.bad],
            "hold": state.hold.to_json() if state.hold else None,
        }
    )
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _broken(environment: str, service: str, reason: str) -> RepositoryError:
    path = path_of(environment, service)
    return RepositoryError(
        f"the state file {path} is broken: {reason}",
        f"gitops-rollback history --repair --service {service} --environment {environment} "
        f"rebuilds it; or restore it from Git (git log -- {path})",
    )


def _deployment_to_json(entry: Deployment) -> dict[str, Any]:
    return without_none(
        {
            "id": entry.id,
            "action": entry.action,
            "image": entry.image.canonical,
            "from": entry.from_image.canonical if entry.from_image else None,
            "at": entry.at,
            "by": entry.by,
            "reason": entry.reason,
            "build": entry.build.to_json() if entry.build else None,
            "record": entry.record,
        }
    )


def _from_json(document: dict[str, Any]) -> State:
    hold = document.get("hold")
    return State(
        service=document["service"],
        environment=document["environment"],
        deployed=tuple(_deployment_from_json(entry) for entry in document["deployed"]),
        bad=tuple(
            BadImage(_image(bad["image"]), bad["at"], bad.get("reason"), bad.get("by"))
            for bad in document["bad"]
        ),
        hold=_hold_from_json(hold) if hold else None,
    )


def _deployment_from_json(entry: dict[str, Any]) -> Deployment:
    return Deployment(
        id=entry["id"],
        action=entry["action"],
        image=_image(entry["image"]),
        at=entry["at"],
        from_image=image_from_json(entry.get("from")),
        by=entry.get("by"),
        reason=entry.get("reason"),
        build=build_from_json(entry.get("build")),
        record=entry.get("record"),
    )


def _hold_from_json(hold: dict[str, Any]) -> Hold:
    return Hold(
        from_image=_image(hold["from"]),
        to=_image(hold["to"]),
        reason=hold["reason"],
        at=hold["at"],
        by=hold.get("by"),
        build=build_from_json(hold.get("build")),
        markers=tuple(HeldMarker(**marker) for marker in hold["markers"]),
    )


def _image(text: str) -> ImageReference:
    image = image_from_json(text)
    assert image is not None  # noqa: S101 - the schema requires it
    return image

"""The state file: what was deployed, what is bad, what is held. Pure.

It stands in the manifests repository as `.gitops-rollback/<environment>/<service>.json` and is
written in the same commit as every deploy, rollback and release. What it says is of the fields that
it names, whatever service and environment are called today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback import schema
from gitops_rollback.errors import RepositoryError
from gitops_rollback.image import InvalidImageError, same, same_reference
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.fields import NotedField, field_from_json
from gitops_rollback.ledger.holds import (
    Bad,
    Hold,
    bad_from_json,
    digests_that_ran,
    hold_from_json,
    joined_bad,
    version_tag,
    without_bad,
)
from gitops_rollback.model import (
    Deed,
    deed_from_json,
    images_of,
    is_name,
    title,
    unknown_keys,
    without_none,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.image import ImageReference

FOLDER = ".gitops-rollback"
LONGEST_HISTORY = 20
LONGEST_BAD_LIST = 200
_LARGEST = 4_000_000  # bytes
_KEYS = ("schemaVersion", "service", "environment", "fields", "deployed", "bad", "hold")


@dataclass(frozen=True)
class State:
    """A service in an environment; `deployed` and `bad` are newest first.

    `fields` are the service's as the newest deed left them: the text of each, and the image that it
    means. Files of schema version 1 name none. `more` are keys of a newer version's.
    """

    service: str
    environment: str
    deployed: tuple[Deed, ...] = ()
    bad: tuple[Bad, ...] = ()
    hold: Hold | None = None
    fields: tuple[NotedField, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return title(self.service, self.environment)

    @property
    def newest(self) -> Deed | None:
        """The newest deployment, if there was one."""
        return self.deployed[0] if self.deployed else None

    @property
    def images(self) -> tuple[ImageReference, ...]:
        """The images that ran here, as far as this tells."""
        return images_of(self.deployed)

    @property
    def ran(self) -> frozenset[str]:
        """The digests that ran here, as far as this tells, and were not rolled back from."""
        return digests_that_ran(self.deployed, self.bad)

    def with_deed(self, deed: Deed, fields: Iterable[NotedField] = ()) -> State:
        """Return the state after a deploy or a rollback; its very image is no longer bad.

        `fields` are the service's as it leaves them.
        """
        bad = (b for b in self.bad if not same(b.image, deed.image))
        return replace(
            self,
            deployed=(deed, *self.deployed)[:LONGEST_HISTORY],
            bad=tuple(b for b in bad if not same_reference(b.image, deed.image)),
            fields=tuple(fields),
        )

    def with_bad(self, bad: Bad) -> State:
        """Return the state with one more bad image, the newest first."""
        others = (old for old in self.bad if not same_reference(old.image, bad.image))
        return replace(self, bad=(bad, *others)[:LONGEST_BAD_LIST])

    def without_bad(self, image: ImageReference) -> State:
        """Return the state with an image forgiven that a person named: its digest and its tag."""
        return replace(self, bad=without_bad(self.bad, image))


def joined(states: Sequence[State]) -> State:
    """Return one state from those of all names that a field has; the first gives the name.

    Whoever writes under one name writes what all of them told, so the deeds of most are among those
    of one. Where they are not, the times of the deeds are all that tells their order. The hold is
    the newest one: what counts for a refusal are the files of all holds in force.
    """
    first = states[0]
    deployed: tuple[Deed, ...] = ()
    bad: tuple[Bad, ...] = ()
    for state in states:
        deployed = _interleaved(deployed, state.deployed)
        bad = joined_bad(bad, state.bad)
    holds = sorted((s.hold for s in states if s.hold), key=lambda hold: hold.at)
    newest = next((s for s in states if s.deployed[:1] == deployed[:1]), first)
    return replace(
        first,
        deployed=deployed[:LONGEST_HISTORY],
        bad=bad[:LONGEST_BAD_LIST],
        hold=holds[-1] if holds else None,
        fields=newest.fields,
    )


def _interleaved(one: Sequence[Deed], other: Sequence[Deed]) -> tuple[Deed, ...]:
    """Merge two lists of deeds, newest first; each keeps its own order, and none stands twice.

    What stands in both tells the order of the rest, and times only where that leaves it open: they
    are whole seconds.
    """
    merged: list[Deed] = []
    left, right = list(one), list(other)
    while left and right:
        left_waits = _stands_in(left[0], right[1:])
        right_waits = _stands_in(right[0], left[1:])
        by_time = (left[0].at or "") >= (right[0].at or "")
        takes_left = by_time if left_waits == right_waits else right_waits
        newest = (left if takes_left else right).pop(0)
        merged.append(newest)
        left, right = ([deed for deed in rest if deed.id != newest.id] for rest in (left, right))
    return (*merged, *left, *right)


def _stands_in(deed: Deed, deeds: Iterable[Deed]) -> bool:
    return any(deed.id == one.id for one in deeds)


def path_of(environment: str, service: str) -> str:
    """Return where a service's state file stands in the repository."""
    return f"{FOLDER}/{environment}/{service}.json"


def named_at(path: str) -> tuple[str, str] | None:
    """Return the environment and the service whose state file stands at a path; None of another."""
    environment, _slash, name = path.removeprefix(f"{FOLDER}/").partition("/")
    service = name.removesuffix(".json")
    is_its = is_name(environment) and is_name(service) and path == path_of(environment, service)
    return (environment, service) if is_its else None


class BrokenStateError(RepositoryError):
    """A state file says nothing that can be read: what it said before may stand for it."""


def parse_state(data: bytes, environment: str, service: str) -> State:
    """Read a state file; raise `BrokenStateError`, with the path and how to mend it, if broken.

    Raises `RepositoryError` if a newer version wrote it: nothing that is older tells what it says.
    """
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
    """Return the bytes of a state file; raise `UnwritableError` where they could not be read."""
    known = without_none(
        {
            "schemaVersion": 2,
            "service": state.service,
            "environment": state.environment,
            "fields": [noted.to_json() for noted in state.fields] or None,
            "deployed": [deed.to_json() for deed in state.deployed],
            "bad": [entry.to_json() for entry in state.bad],
            "hold": state.hold.to_json() if state.hold else None,
        }
    )
    what = f"the state file {path_of(state.environment, state.service)}"
    return schema.write({**known, **state.more}, "state", _LARGEST, what)


def _broken(environment: str, service: str, reason: str) -> BrokenStateError:
    path = path_of(environment, service)
    return BrokenStateError(
        f"the state file {path} is broken: {reason}",
        f"gitops-rollback history --repair --service {service} --environment {environment} "
        f"rebuilds it; or restore it from Git (git log -- {path})",
    )


def _bad(document: dict[str, Any], version: int) -> Bad:
    """Return an entry of the bad list; the first version did not say which tags were versions."""
    entry = bad_from_json(document)
    return replace(entry, tag=version_tag(entry.image, ())) if version == 1 else entry


def _from_json(document: dict[str, Any]) -> State:
    hold = document.get("hold")
    return State(
        service=document["service"],
        environment=document["environment"],
        deployed=tuple(deed_from_json(entry) for entry in document["deployed"]),
        bad=tuple(_bad(entry, document["schemaVersion"]) for entry in document["bad"]),
        hold=hold_from_json(hold) if hold else None,
        fields=tuple(field_from_json(entry) for entry in document.get("fields", ())),
        more=unknown_keys(document, _KEYS),
    )

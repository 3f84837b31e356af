"""What the branch of a manifests repository holds after each act: the promises, in a few lines.

Pure, and written from the description of the product alone. A service is its image, its marker and
its state file; an act returns how it ends and the services as they are then. Images are tags.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

DONE, USAGE, NOT_FOUND, MOVED, REFUSED = 0, 2, 4, 5, 6
LONGEST_HISTORY = 20


@dataclass(frozen=True)
class Entry:
    """One deployment of a state file."""

    action: str
    image: str
    before: str
    build: int | None = None


@dataclass(frozen=True)
class Held:
    """A hold: from and to which image, and how many markers it lists."""

    before: str
    image: str
    markers: int


@dataclass(frozen=True)
class Service:
    """A service at the tip; `seen` are the images its manifest had, newest first."""

    image: str
    marker: str  # "on", "held" or "none"
    entries: tuple[Entry, ...] = ()  # newest first
    bad: tuple[str, ...] = ()
    hold: Held | None = None
    seen: tuple[str, ...] = ()
    policy: str = "none"  # of its marker: "all" takes every version, "elsewhere" cannot be read
    hold_kind: str = "service"

    @property
    def edits(self) -> tuple[str, ...]:
        """What people wrote into the manifest since the newest entry, oldest first."""
        return tuple(takewhile(lambda image: image != self.entries[0].image, self.seen))[::-1]

    def may_automation_undo(self, after: str) -> bool:
        """Whether a marker that goes back into action could bring a bad image back."""
        others = [image for image in self.bad if image != after]
        if self.marker != "held" or self.policy == "none" or not others:
            return False
        return self.policy == "elsewhere" or max(others) > after

    def shown(self) -> tuple[object, ...]:
        """What the files at the tip show."""
        return self.image, self.marker, self.entries, self.bad, self.hold

    def after(self, **changes: object) -> Service:
        """The service after a commit; its history has one image more, if that changed."""
        later: Service = replace(self, **changes)  # type: ignore[arg-type]
        if later.image == self.image:
            return later
        return replace(later, seen=(later.image, *self.seen))


@dataclass(frozen=True)
class Ended:
    """How an act ends: its exit code and the refusal's code, and what it changed."""

    code: int
    why: str = ""
    changed: Mapping[str, Service] = field(default_factory=dict)


Services = dict[str, Service]


def stack_of(service: Service) -> tuple[list[str], bool, list[str]]:
    """Return what ran below what, whether it was rolled back last, and all that ever ran."""
    events = [(e.action, e.image, e.before) for e in reversed(service.entries)]
    for image in service.edits:
        events.append(("edit", image, events[-1][1]))
    levels: list[str] = []
    known: list[str] = []
    is_back = False
    for action, image, before in events:
        if levels[-1:] != [before]:
            _place(levels, "edit" if levels else "first", before)
        is_back = action == "rollback" or (action == "edit" and image in levels[:-1])
        _place(levels, action, image)
        known += [before, image]
    return levels, is_back, known


def _place(levels: list[str], action: str, image: str) -> None:
    goes_back = action == "rollback" or (action == "edit" and image in levels[:-1])
    if goes_back and image in levels:
        del levels[len(levels) - levels[::-1].index(image) :]
    elif goes_back:
        levels[-1:] = [image]
    elif levels[-1:] != [image]:
        levels.append(image)


@dataclass(frozen=True)
class Deploy:
    """A deploy of images by service."""

    images: Mapping[str, str]
    accept: frozenset[str] = frozenset()
    release: bool = False
    skip: bool = False
    build: int | None = None

    def end(self, branch: Services, first: Services) -> Ended:
        """How it ends on a branch that was as `first` when it began."""
        if "held" in self.accept:
            return Ended(USAGE)
        if any(branch[name].image != first[name].image for name in self.images):
            return Ended(MOVED)
        return _all_or_nothing(branch, self.images, self._of, skip=self.skip)

    def _of(self, name: str, service: Service) -> tuple[str, Service]:
        image = self.images[name]
        if service.image == image:
            return _released(service, image, self.accept) if self.release else ("", service)
        accept = self.accept | ({"held"} if self.release else set())
        why = next((code for code in self._refusals(service, image) if code not in accept), "")
        if why:
            return why, service
        later = service.after(
            image=image,
            entries=(Entry("deploy", image, service.image, self.build), *service.entries)[
                :LONGEST_HISTORY
            ],
            bad=tuple(bad for bad in service.bad if bad != image),
        )
        if service.hold is None or not (self.release or service.hold_kind == "image"):
            return "", later
        if service.may_automation_undo(image) and "automation" not in self.accept:
            return "automation", service
        marker = "on" if service.marker == "held" else service.marker
        return "", replace(later, hold=None, marker=marker)

    def _refusals(self, service: Service, image: str) -> Iterator[str]:
        if service.hold is not None and service.hold_kind == "service":
            yield "held"
        if image in service.bad:
            yield "bad"
        newest = next((e for e in service.entries if e.action == "deploy"), None)
        if newest and self.build and newest.build and newest.build > self.build:
            yield "outdated"


@dataclass(frozen=True)
class Rollback:
    """A rollback of services."""

    names: tuple[str, ...]
    to: str | None = None
    again: bool = False
    accept: frozenset[str] = frozenset()
    skip: bool = False

    def end(self, branch: Services, first: Services) -> Ended:
        """How it ends on a branch that was as `first` when it began."""
        if "held" in self.accept:
            return Ended(USAGE)
        ended = _all_or_nothing(branch, self.names, self._of, skip=self.skip)
        if ended.code == DONE and any(self._is_another(first[n], branch[n]) for n in self.names):
            return Ended(MOVED)
        return ended

    def _is_another(self, before: Service, now: Service) -> bool:
        """Whether it would go back from or to another image by now."""
        (was, old), (why, new) = self._plan(before), self._plan(now)
        return not was and not why and (before.image, old) != (now.image, new)

    def _plan(self, service: Service) -> tuple[str, str]:
        """Return what stands in the way, and the image to go back to."""
        if self.to is not None:
            if self.to not in stack_of(service)[2]:
                return "tag", ""  # only a registry could tell which image has it
            if self.to in service.bad and self.to != service.image and "bad" not in self.accept:
                return "bad", ""
            return "", self.to
        levels, is_back, _known = stack_of(service)
        good = (i for i in reversed(levels[:-1]) if i not in (service.image, *service.bad))
        chosen = next(good, "")
        if is_back and not self.again:
            return "already", chosen
        return ("", chosen) if chosen else ("not-found", "")

    def _of(self, _name: str, service: Service) -> tuple[str, Service]:
        why, image = self._plan(service)
        if why or image == service.image:
            return why, service
        bad = (service.image, *(b for b in service.bad if b not in (service.image, image)))
        now = int(service.marker != "none")
        listed = max(now, service.hold.markers if service.hold else 0)
        entry = Entry("rollback", image, service.image)
        return "", service.after(
            image=image,
            marker="held" if now else "none",
            entries=(entry, *service.entries)[:LONGEST_HISTORY],
            bad=bad,
            hold=Held(service.image, image, listed),
        )


@dataclass(frozen=True)
class Release:
    """A release of services."""

    names: tuple[str, ...]
    forgive: str | None = None
    accept: frozenset[str] = frozenset()
    skip: bool = False

    def end(self, branch: Services, _first: Services) -> Ended:
        """How it ends on a branch."""
        if "held" in self.accept:
            return Ended(USAGE)  # a hold is ended with --release, not passed over
        if self.forgive and any(self.forgive not in branch[name].bad for name in self.names):
            return Ended(USAGE)
        return _all_or_nothing(branch, self.names, self._of, skip=self.skip)

    def _of(self, _name: str, service: Service) -> tuple[str, Service]:
        forgiven = replace(service, bad=tuple(b for b in service.bad if b != self.forgive))
        why, later = _released(forgiven, service.image, self.accept)
        return (why, service) if why else ("", later)


Act = Deploy | Rollback | Release


def _released(service: Service, running: str, accept: frozenset[str]) -> tuple[str, Service]:
    if service.may_automation_undo(running) and "automation" not in accept:
        return "automation", service
    marker = "on" if service.marker == "held" else service.marker
    return "", service.after(hold=None, marker=marker)


def _all_or_nothing(
    branch: Services,
    names: Sequence[str] | Mapping[str, str],
    act: Callable[[str, Service], tuple[str, Service]],
    *,
    skip: bool,
) -> Ended:
    """Do what nothing stands in the way of, if that is all or what was asked for."""
    results = {name: act(name, branch[name]) for name in names}
    refused = [why for why, _service in results.values() if why]
    if refused and not (skip and len(refused) < len(results)):
        if "not-found" in refused:
            return Ended(NOT_FOUND)
        return Ended(REFUSED, refused[0])
    done = {name: service for name, (why, service) in results.items() if not why}
    changed = {n: s for n, s in done.items() if s.shown() != branch[n].shown()}
    return Ended(DONE, changed=changed)

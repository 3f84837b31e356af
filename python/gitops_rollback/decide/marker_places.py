"""Where the markers of a service's policies stand: behind its images, and anywhere else. Pure.

Flux rewrites every value that a policy marks, of whatever kind: while one of them is in action, the
image that was rolled back from comes back there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.change import MarkerSplice
from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.edit import Splice
from gitops_rollback.manifest.markers import ACTIVE_KEY, HELD_KEY, markers_in, policy_of

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.holds import HeldMarker
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.manifest.markers import Marker

_KEY = regex(r"^[\s-]*(?:['\"]?(?P<key>[^'\":#]{1,100}?)['\"]?\s*:)?")


@dataclass(frozen=True)
class MarkerPlace:
    """A marker, and where it stands: behind a field of the service, or at another key.

    `container` is the field's, else the key in whose line the marker is.
    """

    path: str
    line: int
    container: str
    marker: Marker
    field: ImageField | None = None

    def fits(self, held: HeldMarker) -> bool:
        """Tell whether this stands where a held marker stood."""
        return (self.path, self.container) == (held.path, held.container)

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.path}:{self.line}"


def places_of(at: ServiceAtTip) -> tuple[MarkerPlace, ...]:
    """Return the markers behind the service's images, then all others of the same policies."""
    own = [
        MarkerPlace(field.path, field.scalar.line, field.container, marker, field)
        for field in at.found.fields
        for marker in field.markers
    ]
    policies = {policy_of(place.marker) for place in own}
    known = {(place.path, place.marker.key_start) for place in own}
    elsewhere = [
        MarkerPlace(path, *_line_of(file, marker), marker)
        for path, file in at.found.manifests.files.items()
        if policies and ACTIVE_KEY in file.text and at.found.environment.holds(path)
        for marker in markers_in(file)
        if policy_of(marker) in policies and (path, marker.key_start) not in known
    ]
    return (*own, *elsewhere)


def holding(at: ServiceAtTip) -> tuple[MarkerSplice, ...]:
    """Put every marker of the service's policies out of action."""
    return tuple(_splice(place, HELD_KEY) for place in places_of(at) if not place.marker.is_held)


def restoring(at: ServiceAtTip) -> tuple[MarkerSplice, ...]:
    """Put markers back into action: those behind the service's images, and those of its hold."""
    hold = at.state.hold if at.state else None
    listed = [(held.path, held.marker) for held in hold.markers] if hold else []
    found = []
    for place in places_of(at):
        key = (place.path, place.marker.active_text)
        if not place.marker.is_held:
            continue
        if place.field is None and key not in listed:
            continue
        if key in listed:
            listed.remove(key)
        found.append(_splice(place, ACTIVE_KEY))
    return tuple(found)


def elsewhere_warnings(at: ServiceAtTip) -> tuple[str, ...]:
    """Return what a hold does to markers that stand behind none of the service's images."""
    return tuple(
        f"{place.place}: the marker of the policy {place.marker.policy} at '{place.container}', "
        f"which is no image of {at.service}, is put out of action too: Flux would go on writing "
        "the bad image there"
        for place in places_of(at)
        if place.field is None and not place.marker.is_held
    )


def _splice(place: MarkerPlace, key: str) -> MarkerSplice:
    marker = place.marker
    return MarkerSplice(place.path, Splice(marker.key_start, marker.key_end, key))


def _line_of(file: ParsedFile, marker: Marker) -> tuple[int, str]:
    """Return the line of a marker, counted from 1, and the key that it stands at."""
    lines = file.text[: marker.key_start].splitlines()
    number = len(lines)
    line = lines[-1] if lines else ""
    if line.lstrip().startswith("#"):  # it stands above its value
        line = next(iter(file.text[marker.key_end :].splitlines()[1:]), "")
    match = _KEY.match(line)
    key = (match["key"] if match else None) or f"line {number}"
    return number, key.strip()

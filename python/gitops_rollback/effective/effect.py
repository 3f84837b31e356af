"""The effect of some manifests: the image of every container once all had their say. Pure.

An edit is judged by it: computed before and after, the images that were meant have to be others,
and nothing else; where something could have changed them that is not followed, nothing is proven.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.objects import ACCEPT
from gitops_rollback.image import find_image, may_be
from gitops_rollback.late import dataclass, field, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.effective.objects import Unknown
    from gitops_rollback.effective.proof import Recipe
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.image_field import FieldKey

    Place = tuple[str, str, str, str, str, int]

UNKNOWN = "unknown"
OTHER = "other"
WARNING = "warning"
_PODS = frozenset({"template", "jobTemplate"})  # where what an object makes pods of stands


@dataclass(frozen=True)
class Landed:
    """One image of one workload, as one root applies it.

    `root` is what is applied: a kustomization, a Flux Kustomization, a file. `name` and
    `version` make the image's text; the name is empty where only a chart knows it. `decider` is
    the field that decides it, `other_name` what its name may be too, as its chart has it.
    `applied` is the file that is told to be applied: the outermost kustomization, else the
    workload's own. `unknowns` say why the image is not proven, `paths` are the files it rests on.
    `recipe` is what kustomize itself builds of it; absent where that would not tell: of what Flux,
    Argo CD or Helm do to it, and of plain files.
    """

    root: str
    kind: str
    namespace: str
    workload: str
    container: str
    name: str
    version: str
    decider: FieldKey
    unknowns: tuple[Unknown, ...] = ()
    warnings: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    other_name: str = ""
    applied: str = ""
    recipe: Recipe | None = None

    @property
    def image(self) -> str:
        """The text of the image that takes effect."""
        return self.name + self.version

    @property
    def place(self) -> tuple[str, str, str, str, str]:
        """What tells it from all others: root, kind, namespace, name and container."""
        return (self.root, self.kind, self.namespace, self.workload, self.container)

    @property
    def title(self) -> str:
        """What it is, for people: `Deployment cart, container 'server' (by prod)`."""
        return f"{self.kind} {self.workload}, container '{self.container}' (by {self.root})"


@dataclass(frozen=True)
class Idle:
    """Why a field decides no image, what to do so that it does, and what files tell that."""

    why: str
    hint: str = f"name what decides in the configuration: its file in `manifests`, {ACCEPT}"
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beside:
    """A place of an object that is no image, and takes its text from elsewhere, as `by` says.

    `owner` is root, kind, namespace and name of the object.
    """

    owner: tuple[str, str, str, str]
    pointer: str
    by: str

    @property
    def is_of_pods(self) -> bool:
        """Whether another text there replaces pods."""
        return not _PODS.isdisjoint(self.pointer.split("/"))


@dataclass(frozen=True)
class Effect:
    """What takes effect: every image of every root, and the fields that decide none.

    `doubtful` are the roots of which something is not known that kustomize itself can tell;
    `beside` are the texts of no image that move where variables or what is copied does.
    """

    landed: tuple[Landed, ...] = ()
    idle: Mapping[FieldKey, Idle] = field(default_factory=dict)
    doubtful: tuple[Recipe, ...] = ()
    beside: Mapping[Beside, str] = field(default_factory=dict)

    @cached_property
    def by_place(self) -> dict[Place, Landed]:
        """Every image by its place, which has a number where there are several of one.

        So it is where others change a Flux Kustomization that is applied as it is written, too.
        """
        numbers: dict[tuple[str, ...], int] = {}
        found: dict[Place, Landed] = {}
        for one in self.landed:
            number = numbers.get(one.place, 0)
            numbers[one.place] = number + 1
            found[(*one.place, number)] = one
        return found

    def decided_by(self, keys: Iterable[FieldKey]) -> tuple[Landed, ...]:
        """Return the images that some fields decide, without a look at all others."""
        return tuple(self.placed_by(keys).values())

    def placed_by(self, keys: Iterable[FieldKey]) -> dict[Place, Landed]:
        """Return the same by their places."""
        found = {pair for key in set(keys) for pair in self._by_decider.get(key, ())}
        return {place: self.landed[number] for number, place in sorted(found)}

    @cached_property
    def _by_decider(self) -> dict[FieldKey, list[tuple[int, Place]]]:
        found: dict[FieldKey, list[tuple[int, Place]]] = {}
        for number, (place, one) in enumerate(self.by_place.items()):
            found.setdefault(one.decider, []).append((number, place))
        return found

    def paths_of(self, keys: Iterable[FieldKey]) -> tuple[str, ...]:
        """Return the files that the images of some fields rest on, those of the fields too."""
        wanted = tuple(keys)
        found = (path for one in self.decided_by(wanted) for path in one.paths)
        return tuple(sorted({*found, *(key[0] for key in wanted)}))


@dataclass(frozen=True)
class Finding:
    """What an edit's effect shows.

    `code` is `unknown` where an image is not proven (refused, and may be accepted), `other` where
    something else than was meant takes effect (refused), `warning` what is only said. `paths` are
    the files that the effect rests on. `recipe` is what a build of would tell, where the model does
    not know; `idle` the field that decides no image as far as that is known.
    """

    code: str
    message: str
    hint: str = ""
    paths: tuple[str, ...] = ()
    recipe: Recipe | None = None
    idle: FieldKey | None = None


def judge(
    before: Effect, after: Effect, meant: Mapping[FieldKey, ImageReference]
) -> tuple[Finding, ...]:
    """Return what stands against an edit: `meant` are the edited fields and their new images.

    Every image that an edited field decides has to become the one that is meant, and every other
    has to stay; what is not known of those that are reached is told.
    """
    found = _of_meant(before, after, meant)
    reached = before.placed_by(meant)
    for place, one in before.by_place.items():
        now = after.by_place.get(place)
        if place not in reached and (now is None or now.image != one.image):
            found.append(_moved_finding(one, now))
    new = (one for place, one in after.by_place.items() if place not in before.by_place)
    found += [_moved_finding(one, one) for one in new]
    found += _beside(before, after, {place[:4] for place in reached}, meant)
    return tuple(dict.fromkeys(found))


def _beside(
    before: Effect,
    after: Effect,
    owners: Collection[tuple[str, ...]],
    meant: Collection[FieldKey],
) -> Iterator[Finding]:
    """Yield what moves with the images and is none, by object: pods of others are not meant."""
    moved: dict[tuple[str, bool, str], list[str]] = {}
    for one, text in before.beside.items():
        if after.beside.get(one) != text:
            root, kind, _namespace, name = one.owner
            is_others = one.is_of_pods and one.owner not in owners
            title = f"{kind} {name}".strip() + f" (by {root})"
            moved.setdefault((title, is_others, one.by), []).append(one.pointer)
    for (title, is_others, by), pointers in moved.items():
        what = f"{', '.join(pointers)} of {title}, by {by}"
        if is_others:
            hint = f"take it out there, {ACCEPT}"
            message = f"the edit changes more than images, and replaces other pods: {what}"
            yield Finding(UNKNOWN, message, hint, before.paths_of(meant))
        else:
            yield Finding(WARNING, f"it changes more than images: {what}")


def judge_each(
    before: Effect,
    after: Callable[[Sequence[int]], Effect | None],
    meant: Sequence[Mapping[FieldKey, ImageReference]],
) -> list[tuple[Finding, ...] | None]:
    """Return what stands against each of several edits, as `judge` does of each alone.

    `after` computes the effect of some of them together, by their places in `meant`, or None where
    there is none. Where that is the effect of before but for the images that were meant, each of
    which one edit alone decides, no edit reaches what another does: each does by itself what it did
    among them. Where it is not, its halves are looked at; None for one that nothing tells of but
    its own effect. So as many effects are computed as edits do more than was meant, not as edits.
    """
    found: list[tuple[Finding, ...] | None] = [None] * len(meant)
    groups = [range(len(meant))]
    while groups:
        group = groups.pop()
        if len(group) < 2:  # noqa: PLR2004 - it is judged alone
            continue
        now = after(group)
        if now is None or not _is_as_meant(before, now, [meant[place] for place in group]):
            half = len(group) // 2
            groups += [group[:half], group[half:]]
            continue
        for place in group:
            found[place] = tuple(dict.fromkeys(_of_meant(before, now, meant[place])))
    return found


def _is_as_meant(
    before: Effect, after: Effect, meant: Sequence[Mapping[FieldKey, ImageReference]]
) -> bool:
    """Tell whether edits together change the images that each means, to these, and nothing else."""
    images = {key: image for one in meant for key, image in one.items()}
    if len(images) < sum(map(len, meant)) or len(before.landed) != len(after.landed):
        return False
    if replace(after, landed=before.landed) != before:
        return False
    for one, now in zip(before.landed, after.landed, strict=True):
        image = images.get(one.decider)
        is_right = now.image == one.image if image is None else _is(now, image)
        if not is_right or replace(now, name=one.name, version=one.version) != one:
            return False
    return True


def _of_meant(
    before: Effect, after: Effect, meant: Mapping[FieldKey, ImageReference]
) -> list[Finding]:
    """Return what stands against an edit in the images that it is to change."""
    reached = before.placed_by(meant)
    decided = {one.decider for one in reached.values()}
    found = [
        _without_effect(key, image, before.idle.get(key, Idle("no image is decided there")))
        for key, image in meant.items()
        if key not in decided
    ]
    paths = before.paths_of(meant)
    for place, one in reached.items():
        found += _of_reached(one, after.by_place.get(place), meant[one.decider], paths)
    return found


def _without_effect(key: FieldKey, image: ImageReference, idle: Idle) -> Finding:
    return Finding(
        UNKNOWN,
        f"{key[0]}: {image.canonical} written at {key[2]} has no effect that is known: {idle.why}",
        idle.hint,
        (key[0], *idle.paths),
        idle=key,
    )


def _of_reached(
    one: Landed, now: Landed | None, image: ImageReference, paths: tuple[str, ...]
) -> list[Finding]:
    left = now.unknowns if now else one.unknowns
    unknowns = dict.fromkeys((*(u for u in one.unknowns if not u.is_of_form), *left))
    recipe = one.recipe if unknowns and (now is None or now.recipe) else None
    unproven = f"the image of {one.title} is not proven"
    found = [
        Finding(UNKNOWN, f"{unproven}: {unknown.text}", unknown.hint, paths, recipe)
        for unknown in unknowns
    ]
    warnings = dict.fromkeys((*one.warnings, *(now.warnings if now else ())))
    found += [Finding(WARNING, f"{one.title}: {warning}") for warning in warnings]
    if now is None:
        message = f"after the edit {one.title} would be gone"
        hint = "look at what the overlays make of it"
    elif not _is(now, image):
        by = now.decider[0]
        message = (
            f"after the edit {now.image} would take effect in {one.title}, not "
            f"{image.canonical}: {by} decides it"
        )
        hint = f"set the image in {by} instead, or take it out there"
    else:
        return found
    return [*found, Finding(OTHER, message, hint, paths, recipe)]


def _is(now: Landed, image: ImageReference) -> bool:
    """Tell whether an image is the one that was meant; of one without a name, by its version."""
    names = (now.name or image.name, now.other_name)
    found = (find_image(name + now.version) for name in names if name)
    return any(one is not None and may_be(one, image) for one in found)


def _moved_finding(one: Landed, now: Landed | None) -> Finding:
    what = "would be gone" if now is None else f"would be {now.image}"
    return Finding(
        OTHER,
        f"the edit changes more than was meant: {one.title} {what}",
        "separate what both use: write the image out in each place",
        recipe=one.recipe if one.unknowns else None,
    )

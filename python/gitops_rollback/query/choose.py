"""Choose among the tags of a repository: the previous ones, and why not the others. Pure.

Without a query: tags of the running tag's form (see `shapes`), in the order that their versions,
dates or numbers tell, else in that of their pushes. Where the two contradict each other the tag is
not taken, or the versions win, and that is said. What ran here before comes first, in the branch's
order: what ran is known, and clocks are not asked.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, field, regex
from gitops_rollback.model import some
from gitops_rollback.query.shapes import (
    DOUBTFUL,
    IS_NEWER,
    NEWER,
    OLDER,
    OTHER,
    SAME,
    UNORDERED,
    Relation,
    Shape,
    Shapes,
)
from gitops_rollback.query.tags import Tag, Times, newest_first, query_document, why_no_image

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.query.search import Answer
    from gitops_rollback.query.tags import Ran

RUNNING = "it is the image that runs"
_LONGEST_SAMPLE = 400  # characters: all of a tag but a long list of its platforms
_FEW_PAGES = 5  # of tags, where there is one to go back to, and a better one may come
_MANY_PAGES = 30  # where there is none yet
_MOST_NOTED = 3  # tags that a note names
_INDEXED = regex(r"\]\s*\[-?\d+\]")  # `tags[?older][0]`, which gives nothing
_LATE = "it was pushed after the running image, though it is older by its name"
_NO_TIMES = "the registry tells no times of push"


@dataclass(frozen=True)
class Selection:
    """The tags to go back to, best first; why each other one is not taken; what is to be known.

    `sample` are two lines of what a query was asked of, for who wrote one that gives nothing;
    `left` is the newest image that is not taken, but for newer versions: a query takes it.
    """

    names: tuple[str, ...]
    reasons: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    sample: tuple[str, ...] = ()
    left: str | None = None


@lru_cache(maxsize=8)
def choose(
    tags: tuple[Tag, ...],
    running: ImageReference,
    query: str | None = None,
    ran: tuple[Ran, ...] = (),
) -> Selection:
    """Return the tags that come into question; raise `UsageError` for a query that is wrong.

    Remembered: `decide` asks again each time that a fact was missing.

    `ran` are the images that are known to have run before, in the branch's order: the oldest first,
    the running one last.
    """
    repository = _Repository(tags, running, ran)
    return repository.by_default() if query is None else repository.by_query(query)


def is_open(
    tags: tuple[Tag, ...],
    running: ImageReference,
    query: str | None,
    ran: tuple[Ran, ...],
    pages: int,
) -> bool:
    """Tell whether tags that were pushed before these could be a better choice.

    They could where there is none yet (many `pages` are read then), where another image is known
    to have run before, and where the best is of another minor version than the running one, which
    may have had a successor (a few are read).
    """
    selection = choose(tags, running, query, ran)
    if not selection.names:
        return pages < _MANY_PAGES
    if query is not None or pages >= _FEW_PAGES:
        return False
    return not _Repository(tags, running, ran).is_next(selection.names[0])


class _Repository:
    def __init__(self, tags: Sequence[Tag], running: ImageReference, ran: Sequence[Ran]) -> None:
        self._times = Times(ran)
        others = {tag.name: why_no_image(tag) for tag in tags}
        self._no_image = {name: f"it is {what}" for name, what in others.items() if what}
        self._images = newest_first((tag for tag in tags if not others[tag.name]), ran)
        self._name = running.effective_tag
        by_name = {tag.name: tag for tag in self._images}
        named = by_name.get(self._name or "")
        self._digest = running.digest or (named.digest if named else None)
        self._running = [tag for tag in self._images if self._is_running(tag)]
        self._shapes = Shapes(tag.name for tag in self._images)
        self._is_dated = any(tag.time for tag in self._images)
        self._first = min((t for tag in self._running if (t := self._times.since(tag))), default="")
        self._place = self._times.place(self._digest)
        self._anchor = self._find_anchor()
        self._doubt = self._doubt_of_moves() or self._doubt_of_digits()

    def by_query(self, query: str) -> Selection:
        """Return what a query gives, in its order, but what runs and what is no image."""
        from gitops_rollback.query.search import search  # noqa: PLC0415 - jmespath: 12 ms

        older = [tag.name for tag in self._images if self._is_older(tag)]
        current = {"name": self._name, "digest": self._digest}
        document = query_document(self._images, self._running, older, current)
        sample = _sample(document, query)
        given = _names_in(search(query, document, sample), self._images, self._no_image)
        running = {tag.name for tag in self._running}
        names = tuple(name for name in given if name not in running and name not in self._no_image)
        reasons = {**self._left_out(query), **dict.fromkeys(running, RUNNING), **self._no_image}
        reasons = {name: why for name, why in reasons.items() if name not in names}
        return Selection(names, reasons, (), sample, self._left(reasons))

    def by_default(self) -> Selection:
        """Return the older tags of the running tag's form, and why not the others."""
        reasons: dict[str, str] = {}
        found: list[Tag] = []
        newer: list[str] = []
        running = {tag.name for tag in self._running}
        for tag in self._images:
            why = RUNNING if tag.name in running else self._why_not(tag, newer)
            if why:
                reasons[tag.name] = why
            else:
                found.append(tag)
        found.sort(key=self._rank, reverse=True)
        found = self._without_doubts(found, reasons)
        names = self._without_ties(found, reasons)
        notes = _open(names, reasons)
        if newer:
            said = "was pushed before the running image, but is newer by its name: not taken"
            notes = [f"{some(newer, _MOST_NOTED)} {said}", *notes]
        if names and not self._running:
            decides = "what ran before" if self._is_dated else "the order of names"
            notes.append(f"{self._unlisted()}: {decides} decides")
        if names:
            notes += self._doubts(found, [name for name, why in reasons.items() if why == _LATE])
        every = {**reasons, **self._no_image}
        return Selection(names, every, tuple(notes), left=self._left(reasons))

    def _left(self, reasons: Mapping[str, str]) -> str | None:
        """Return the newest of the other images that are not newer versions: no way leads there."""
        others = {n: why for n, why in reasons.items() if n not in (self._name, *self._no_image)}
        back = (n for n, why in others.items() if why != RUNNING and not why.startswith(IS_NEWER))
        return next(back, None)

    def is_next(self, name: str) -> bool:
        """Tell whether nothing can come between a tag and the running one, as far as is known."""
        place = next(self._times.place(tag.digest) for tag in self._images if tag.name == name)
        if self._place:
            return place == self._place - 1
        if self._anchor is None:
            return True
        one, other = self._shapes.of(name).version, self._shapes.of(self._anchor).version
        return one is None or other is None or one.numbers[:-1] == other.numbers[:-1]

    def _is_running(self, tag: Tag) -> bool:
        # Where the registry lists names only, the name is all there is to go by. What runs may be
        # named by the digest that it has for its platform, as Docker Hub shows it.
        if tag.digest is None or self._digest is None:
            return tag.name == self._name
        return self._digest in tag.digests

    def _find_anchor(self) -> str | None:
        """Return the tag whose form counts: the running one, else another of its digest.

        A word (`latest`) tells nothing; `1.4.2` of the same digest does. So it does where `1.4`
        runs, which moves on from release to release.
        """
        if self._name is not None and self._shapes.of(self._name).kind:
            releases = [] if self._digest else self._shapes.releases_of(self._name)
            aliases = [tag.name for tag in self._running]
            return self._shapes.exact(self._name, releases if len(releases) == 1 else aliases)
        shapes = [self._shapes.of(tag.name) for tag in self._running]
        telling = [shape for shape in shapes if shape.kind]
        best = max(telling, key=lambda s: (bool(s.order), len(s.order), s.name), default=None)
        longest = max((len(s.version.numbers) for s in telling if s.version), default=0)
        exact = [s for s in telling if s.version and len(s.version.numbers) == longest]
        chosen = max(exact, key=lambda s: not s.is_pre_release) if exact else best
        return chosen.name if chosen else None

    def _is_older(self, tag: Tag) -> bool:
        """Tell whether a tag was there before the running image, as far as that is known."""
        place = self._times.place(tag.digest)
        if place is not None and self._place is not None:
            return place < self._place
        if self._is_dated:
            return "" < (self._times.since(tag) or "") < self._first
        return self._relation(tag).kind == OLDER

    def _doubt_of_moves(self) -> str:
        """Say why what runs tells no release: `1.4` where 1.4.2 is there, and no digest tells."""
        if self._anchor is None or not self._shapes.releases_of(self._anchor):
            return ""
        if self._digest is not None and self._shapes.of(self._anchor).version is not None:
            return ""  # no release has its digest: it is one of its own
        return f"the tag {self._anchor} moves from release to release, and nothing tells to which"

    def _doubt_of_digits(self) -> str:
        """Say why digits have no order: as numbers they would not be in the order of their pushes.

        So they may be commit ids, which have a letter mostly, but not always.
        """
        if self._anchor is None or not self._shapes.may_be_commits(self._anchor):
            return ""
        form = self._shapes.of(self._anchor).template
        shapes = ((tag, self._shapes.of(tag.name)) for tag in self._images)
        dated = [(self._times.since(tag), one) for tag, one in shapes if one.template == form]
        orders = [one.order for since, one in sorted(dated, key=lambda d: d[0] or "") if since]
        if orders == sorted(orders):
            return ""
        return "its digits may be a number or a commit id: pushes and numbers contradict each other"

    def _relation(self, tag: Tag) -> Relation:
        if self._anchor is None:
            return Relation(UNORDERED, "the running tag names no version")
        return self._shapes.compare(tag.name, self._anchor)

    def _why_not(self, tag: Tag, newer: list[str]) -> str:
        """Return why a tag is not taken; an empty text if it is. Contradictions are gathered."""
        place = self._times.place(tag.digest)
        if place is not None and self._place is not None:
            return "" if place < self._place else "it ran after the running image"
        if self._is_dated and not self._running:
            return f"{self._unlisted()}: nothing tells what is older"
        if self._anchor is None:
            return self._why_not_without_form(tag)
        relation = self._relation(tag)
        if self._doubt and relation.kind != OTHER:
            return self._doubt
        if relation.kind == NEWER and self._was_pushed_before(tag):
            newer.append(tag.name)
            return f"{relation.reason}, though it was pushed before"
        return self._why_not_by(relation, tag)

    def _why_not_by(self, relation: Relation, tag: Tag) -> str:
        if relation.kind in (OTHER, NEWER, DOUBTFUL):
            return relation.reason
        if relation.kind == OLDER:
            return self._why_not_older(tag)
        return self._why_not_unordered(tag, relation)

    def _why_not_without_form(self, tag: Tag) -> str:
        if self._name not in (None, "latest"):
            return f"the running tag, {self._name}, names no version of which it could be another"
        if tag.name == "latest":
            return "it names no version"
        if not self._is_dated:
            return f"the running image names no version, and {_NO_TIMES}"
        return "" if self._was_pushed_before(tag) else "it was not pushed before the running image"

    def _why_not_older(self, tag: Tag) -> str:
        since = self._times.since(tag)
        return _LATE if since and self._first and since > self._first else ""

    def _why_not_unordered(self, tag: Tag, relation: Relation) -> str:
        if relation.kind == SAME and not self._differs_by_commit(tag):
            return relation.reason
        if self._was_pushed_before(tag):
            return ""
        if self._is_dated:
            return "it was not pushed before the running image"
        also = ", commit ids have no order" if relation.kind == SAME else ""
        return f"{relation.reason}{also}, and {_NO_TIMES}"

    def _differs_by_commit(self, tag: Tag) -> bool:
        return any(piece.commit for piece in self._shapes.of(tag.name).pieces)

    def _was_pushed_before(self, tag: Tag) -> bool:
        return "" < (self._times.since(tag) or "") < self._first

    def _unlisted(self) -> str:
        """Say that what runs is not there: its tag was deleted, or is another image by now."""
        if any(tag.name == self._name for tag in self._images):
            return f"the tag {self._name} is another image by now than the one that runs"
        return f"the running image, {self._name or self._digest}, is not among the tags"

    def _rank(self, tag: Tag) -> tuple[Any, ...]:
        """Order what is taken: what ran, the last first; then by name; then by time of push."""
        place = self._times.place(tag.digest) if self._place is not None else None
        if place is not None:
            return (1, place)
        order = self._shapes.of(tag.name).order if self._anchor is not None else ()
        return (0, order, self._times.since(tag) or "", self._is_spelled_alike(tag))

    def _is_spelled_alike(self, tag: Tag) -> bool:
        return tag.name[:1].isalpha() == (self._anchor or "")[:1].isalpha()

    def _without_doubts(self, found: list[Tag], reasons: dict[str, str]) -> list[Tag]:
        """Return tags without those that are older than one that may be the one before."""
        last = None if self._anchor is None else self._shapes.of(self._anchor).order
        doubtful = [
            shape
            for tag in self._images
            if tag.name in reasons and last and self._relation(tag).kind == DOUBTFUL
            for shape in [self._shapes.of(tag.name)]
            if shape.order < last
        ]
        if not doubtful:
            return found
        first = max(doubtful, key=lambda shape: shape.order)
        sure = [tag for tag in found if self._rank(tag) > (0, first.order)]
        why = f"{first.name} may be the one before: {reasons[first.name]}"
        reasons |= {tag.name: why for tag in found if tag not in sure}
        return sure

    def _without_ties(self, found: list[Tag], reasons: dict[str, str]) -> tuple[str, ...]:
        """Return names up to the first two of which nothing tells which came later."""
        names: list[str] = []
        for index, (tag, rival) in enumerate(zip_longest(found, found[1:])):
            if rival is not None and self._is_tie(tag, rival):
                why = f"{tag.name} and {rival.name} are equal by name, and nothing tells the later"
                reasons |= {one.name: why for one in found[index:]}
                break
            names.append(tag.name)
        return tuple(names)

    def _is_tie(self, one: Tag, other: Tag) -> bool:
        """Tell whether two tags are other images, and nothing orders them."""
        is_same = one.digest is not None and one.digest == other.digest
        ranks = self._rank(one), self._rank(other)
        return not is_same and ranks[0] == ranks[1] and self._anchor is not None

    def _doubts(self, found: list[Tag], late: list[str]) -> list[str]:
        """Say where the best by name may not be the one that was there before.

        Another was pushed later, also than what runs (`late`); or one of another form that differs
        by numbers alone may have come between: 1.4.2-1 and 1.4.2.1 beside 1.4.2, and 1.5 beside
        1.5.1.
        """
        best = found[0]
        if self._times.place(best.digest) is not None or self._anchor is None:
            return []
        shape, running = self._shapes.of(best.name), self._shapes.of(self._anchor)
        notes = []
        since = self._times.since(best)
        later = [tag.name for tag in found[1:] if since and (self._times.since(tag) or "") > since]
        if later:
            notes.append(
                f"{some(later, _MOST_NOTED)} was pushed after {best.name}: the name decides"
            )
        skipped = [name for name in late if self._shapes.of(name).order > shape.order]
        if skipped:
            notes.append(
                f"{some(skipped, _MOST_NOTED)} was pushed after the running image: not taken"
            )
        if shape.is_finer(running):
            notes.append(f"{best.name} has more numbers than {self._anchor}: it may be no release")
        taken = {one for tag in (*found, *self._running) for one in (tag.name, tag.digest) if one}
        others = (tag for tag in self._images if taken.isdisjoint((tag.name, tag.digest)))
        rivals = [tag.name for tag in others if self._may_be_between(tag, shape, running)]
        if rivals:
            notes.append(
                f"{some(rivals, _MOST_NOTED)} may have been the one before, in another form"
            )
        return notes

    def _may_be_between(self, tag: Tag, best: Shape, running: Shape) -> bool:
        shape = self._shapes.of(tag.name)
        if shape.words != best.words or shape.version is None or shape.is_pre_release:
            return False
        numbers = [one.version_numbers for one in (best, shape, running)]
        if shape.template == running.template or numbers != sorted(numbers):
            return False
        if self._is_dated:
            return self._was_pushed_before(tag)
        return not self._shapes.is_floating(tag.name)

    def _left_out(self, query: str) -> dict[str, str]:
        why = "the query does not give it"
        if _INDEXED.search(query):
            why = f"{why}: behind a filter or [] an index is asked of each tag, so write | [0]"
        return {tag.name: why for tag in self._images}


def _open(names: Sequence[str], reasons: Mapping[str, str]) -> list[str]:
    """Say which tags could come before the best one, where the registry tells no times."""
    rivals = [name for name, why in reasons.items() if why.endswith(_NO_TIMES)]
    if not names or not rivals:
        return []
    return [f"{some(rivals, _MOST_NOTED)} may have been the one before: {_NO_TIMES}"]


def _names_in(answer: Answer, images: Sequence[Tag], others: Mapping[str, str]) -> list[str]:
    """Return the names of tags that a query gave: as tags, as names, or as digests of tags."""
    known = {digest: tag.name for tag in reversed(images) for digest in tag.digests}
    known |= {tag.digest: tag.name for tag in reversed(images) if tag.digest}
    known |= {tag.name: tag.name for tag in images} | {name: name for name in others}
    return list(dict.fromkeys(answer.name_of(item, known) for item in answer.items))


def _sample(document: Mapping[str, Any], query: str) -> tuple[str, ...]:
    """Return what there is to ask, in two lines: the first tags, as the query calls them."""
    key = "results" if "results" in query else "tags"
    shown = [json.dumps(tag, ensure_ascii=True)[:_LONGEST_SAMPLE] for tag in document[key][:2]]
    lines = [f"{key}[{index}] is {text}" for index, text in enumerate(shown)]
    return tuple(lines) or ("tags and results are empty: the repository has no other image",)

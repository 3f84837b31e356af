"""What a careful person would write on a whiteboard of an image field. Pure.

Written from design 7 and 8 alone: it knows nothing of files, of formats, of names or of how
anything is found out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_VERSION = {"main"}
MOST_DEEDS = 20  # that a state file has


@dataclass(frozen=True)
class Ran:
    """What ran: a digest, or None where nobody knows which; the tag that it had."""

    digest: str | None
    tag: str

    def is_surely(self, other: Ran) -> bool:
        """The same image is the same digest; what has none is known by a version's tag at most."""
        if self.digest or other.digest:
            return self.digest is not None and self.digest == other.digest
        return self.tag == other.tag and self.tag not in NO_VERSION

    def may_be(self, other: Ran) -> bool:
        """Of one tag, and of no two digests."""
        return self.tag == other.tag and None in {self.digest, other.digest}

    def is_written_as(self, other: Ran) -> bool:
        """Of one digest, or of one tag where neither has any."""
        if self.digest or other.digest:
            return self.digest == other.digest
        return self.tag == other.tag


@dataclass
class Field:
    """One image field, and two accounts of what ran there, both as of the tool's last deed.

    `deeds` is what the tool's own deeds tell, `whole` with what ran before them. `edits` is what
    people wrote since; `doubt` that commits were folded or moved away, so that these cannot be told
    apart.
    """

    whole: list[Ran]
    deeds: list[Ran] = field(default_factory=list)  # empty: there was none
    count: int = 0  # of the deeds
    edits: list[Ran] = field(default_factory=list)
    bad: list[tuple[Ran, bool]] = field(default_factory=list)  # and whether its tag is a version
    ever: set[Ran] = field(default_factory=set)
    taken: set[Ran] = field(default_factory=set)  # of these, what Git's history alone tells of
    unsure: set[str] = field(default_factory=set)  # digests that may be bad, or forgiven
    went_back: bool = False
    deed_went_back: bool = False  # the tool's last one
    holds: tuple[str, ...] = ()  # more than one where rollbacks were merged
    text: str = ""  # that the last deed left
    doubt: bool = False
    is_moved: bool = False  # the manifest: Git's history of its path begins there
    is_folded: bool = False  # an edit by hand is in no commit of its own any more
    is_squashed: bool = False  # so may a deed be: what an unchanged text meant is not told then

    @property
    def top(self) -> Ran:
        return (self.edits or self.whole)[-1]

    def accounts(self) -> list[list[Ran]]:
        """The stacks to look for an image in, one after the other.

        After edits history is read, and tells of all; else only where the deeds tell of no image.
        """
        stacks = [self.whole] if self.edits or not self.deeds else [self.deeds, self.whole]
        return [self._edited(stack) for stack in stacks]

    def _edited(self, stack: list[Ran]) -> list[Ran]:
        for edit in self.edits:
            stack = replayed_edit(stack, edit)[0]
        return stack

    @property
    def is_lost(self) -> bool:
        """Whether Git's history may not tell any more of all that ran."""
        return self.is_moved or self.is_squashed

    def reasons(self, image: Ran) -> set[str | None]:
        """Why an image is bad (None: it is not); more than one where that cannot be told.

        What did not run here is bad by the version tag of what was rolled back from.
        """
        doubt: set[str | None] = {None} if image.digest in self.unsure else set()
        if any(one.digest == image.digest for one, _v in self.bad if one.digest):
            return {"digest"} | doubt
        bad = {one.digest for one, _v in self.bad}
        known = {one.digest for one in self.ever} - bad - {None}
        told = self.ever - self.taken - set(self.edits)
        kept = {one.digest for one in told} - bad - {None}
        if image.digest in known and not (self.is_lost and image.digest not in kept):
            return {None}
        alike = [is_one for one, is_one in self.bad if one.tag == image.tag]
        if any(alike):
            return {"tag"} | ({None} if image.digest in known else set()) | doubt
        may_be = self.is_lost and bool(alike) and image.tag not in NO_VERSION
        return {None, "tag"} if may_be else {None}

    def forgive(self, image: Ran, reasons: set[str | None]) -> None:
        """Take off the list what says that an image is bad; what may say so is unsure from then."""
        if reasons == {None}:
            return
        for one, is_version in tuple(self.bad):
            if one.tag != image.tag or image.tag in NO_VERSION:
                continue
            if is_version or self.is_lost:
                self.bad.remove((one, is_version))
            if not is_version or None in reasons:
                self.unsure |= {one.digest} if one.digest and self.is_lost else set()

    def settle_edits(self) -> None:
        """A deed of the tool writes down what ran before it: of several edits, the last.

        Before the first deed Git's history counts, and has them all.
        """
        self.taken |= set(self.edits if self.deeds else [*self.whole, *self.edits])
        self.taken.discard(self.top)
        if not self.deeds:
            self.whole, self.deeds = self._edited(self.whole), [self.top]
        elif self.edits:
            self.whole = replayed_edit(self.whole, self.edits[-1])[0]
            self.deeds = replayed_edit(self.deeds, self.edits[-1])[0]
        self.edits, self.doubt = [], False
        self.count += 1

    def deployed(self, image: Ran, *, forgives: bool) -> None:
        if forgives:
            self.forgive(image, self.reasons(image))
        self.settle_edits()
        if not self.whole[-1].is_surely(image):
            self.whole, self.deeds = [*self.whole, image], [*self.deeds, image]
        self.ever.add(image)
        self.bad = [(one, v) for one, v in self.bad if not one.is_written_as(image)]
        self.unsure -= {image.digest or ""}
        self.went_back = self.deed_went_back = False

    def rolled_back(self, image: Ran, *holds: str) -> None:
        left = self.top
        self.settle_edits()
        digests = {one.digest for one in (*self.ever, left) if one.tag == left.tag} - {None}
        is_version = left.tag not in NO_VERSION and len(digests) <= 1
        self.bad = [(one, v) for one, v in self.bad if one != left]
        self.bad.append((left, is_version))
        self.unsure -= {left.digest or "", image.digest or ""}
        self.bad = [(one, v) for one, v in self.bad if not one.is_written_as(image)]
        # Back to what is not known to have run: a tag that may be one of those, or more ran.
        known = (*self.whole, *self.deeds)
        self.is_folded |= not any(one.is_surely(image) for one in known)
        self.whole, self.deeds = gone_back(self.whole, image), gone_back(self.deeds, image)
        self.ever.add(image)
        self.holds, self.went_back, self.deed_went_back = holds, True, True

    def lose_deeds(self) -> None:
        """Only one of two accounts is left, which may tell of fewer deeds."""
        self.taken |= self.ever
        self.is_folded = True

    def edited(self, image: Ran, text: str) -> None:
        if self.top == image or (image.digest and self.top.digest == image.digest):
            return
        is_again = bool(self.deeds and image.digest) and self.deeds[-1].is_surely(image)
        if is_again or text == self.text:
            self.edits, self.went_back = [], self.deed_went_back  # it stands as the tool left it
            return
        self.went_back = replayed_edit(self._edited(self.whole), image)[1]
        self.edits.append(image)
        self.ever.add(image)

    def expected(self) -> Ran | None:
        """The image to go back to: the newest below the top that is good."""
        bad = {one.digest for one, _v in self.bad} | {self.top.digest}
        below = (one for stack in self.accounts() for one in reversed(stack[:-1]))
        return next((one for one in below if one.digest not in bad), None)

    @property
    def is_certain(self) -> bool:
        """Whether what is to be gone back to can be told: by digests, and within reach."""
        stacks = self.accounts()
        if self.doubt or self.is_folded or self.count > MOST_DEEDS:
            return False
        if self.is_moved and self.edits:
            return False  # what ran before the move is not in the history of the path
        if not all(one.digest for stack in stacks for one in stack):
            return False
        if any(one.digest in self.unsure for stack in stacks for one in stack):
            return False
        wanted = self.expected()
        if wanted is None or not self.is_moved:
            return True
        # That it ran before a tag alone was bad, stands in the history of the path before.
        is_like = any(one.digest is None and one.tag == wanted.tag for one, _v in self.bad)
        return not is_like and wanted in self._edited(self.deeds)


@dataclass(frozen=True)
class Proposal:
    """A pull request: what its commit does, on which files, and what is so when it is merged."""

    place: int
    before: Mapping[str, bytes]
    files: Mapping[str, bytes | None]
    message: str
    image: Ran
    begins: tuple[str, ...]  # a hold
    ends: tuple[str, ...]
    action: str
    count: int  # of deeds before it


def gone_back(stack: list[Ran], image: Ran) -> list[Ran]:
    """A rollback drops what is above its target; one that is not known takes the top's place."""
    places = [i for i, one in enumerate(stack) if one.is_surely(image)]
    places = places or [i for i, one in enumerate(stack[:-1]) if one.may_be(image)]
    return [*stack[: places[-1]], image] if places else [*stack[:-1], image]


def replayed_edit(stack: list[Ran], image: Ran) -> tuple[list[Ran], bool]:
    """An edit back to an earlier image drops what is above it, as a rollback does."""
    places = [i for i, one in enumerate(stack[:-1]) if one.is_surely(image)]
    return (stack[: places[-1] + 1], True) if places else ([*stack, image], False)

r"""Any order of deeds by several people, judged by a model written from design 7 and 8 alone.

The model (`Field`) knows of an image field what a careful person would write on a whiteboard: what
ran, in which order, what was rolled back from, who holds it. It knows nothing of files, of formats,
of names or of how anything is found out. The real thing is the pure core on a branch in memory.

    HYPOTHESIS_PROFILE=long GITOPS_JUDGE=10000 \
      .venv/bin/python -m pytest -q -s -n 0 tests/python/unit/test_judge.py --hypothesis-seed=1

plays 10,000 sequences of 30 deeds and prints the table of docs/choosing.md.
"""

# ruff: noqa: FBT001 - whether somebody does this or that is drawn

from __future__ import annotations

import json
import os
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import MovedError, NotFoundError, RefusedError
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.ledger.state import FOLDER
from gitops_rollback.model import Build
from gitops_rollback.refusals import AGAIN, ALLOW_OLDER, RELEASE, TABLE
from gitops_rollback.services.config import FILE
from unit.branch import MANIFEST, Branch, Commit, Registry, seen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TAGS = st.sampled_from(["1.0", "1.1", "1.2", "main"])
PEOPLE = st.sampled_from(["ann", "bob", "eve"])
SERVICES = st.sampled_from(["cart", "cart-web"])  # two names of one field
PLACES = st.sampled_from([0, 1])  # two environments
NO_VERSION = {"main"}
MOST_DEEDS = 20  # that a state file has
COUNTS: Counter[str] = Counter()
LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))


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
    taken: set[Ran] = field(default_factory=set)  # of these, what reverts took back: it ran, too
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
        kept = {one.digest for one in self.ever - self.taken} - bad - {None}
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
        self.whole, self.deeds = gone_back(self.whole, image), gone_back(self.deeds, image)
        self.ever.add(image)
        self.holds, self.went_back, self.deed_went_back = holds, True, True

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
        return wanted is None or not self.is_moved or wanted in self._edited(self.deeds)


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


class Judge(RuleBasedStateMachine):
    """The branch and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        registry = Registry()
        first = registry.push("1.0")
        self.paths = ["production/cart.yaml", "staging/cart.yaml"]
        self.environments = ["production", "staging"]
        self.renamed = 0
        files = {FILE: self._config()}
        for path, name in zip(self.paths, self.environments, strict=True):
            files[path] = MANIFEST.format(image=first, namespace=name).encode()
        start = Commit(0, "2026-01-01T00:00:00Z", "ann", "Begin", files)
        self.branch = Branch([start], registry)
        began = Ran(first.digest, "1.0")
        self.fields = [Field([began], ever={began}) for _ in self.paths]
        self.stale: list[tuple[str, ...]] = [(), ()]  # holds that somebody saw earlier
        self.names: list[set[str]] = [{name} for name in self.environments]  # they ever had
        self.proposals: list[Proposal] = []
        self.judged: Commit | None = None  # the tip at which the invariants were held
        # The newest commit, if it is a deploy, what stood before it, and where it was.
        self.before: tuple[Commit, list[Field], int] | None = None

    # What people do by the tool

    @rule(who=PEOPLE, service=SERVICES, place=PLACES, tag=TAGS, again=st.booleans(),
          ends=st.booleans(), accepts=st.booleans())  # fmt: skip
    def deploy(
        self, who: str, service: str, place: int, tag: str, again: bool, ends: bool, accepts: bool
    ) -> None:
        """Deploy what a tag means, pushed anew or not."""
        image = self._pushed(tag, anew=again)
        wish = self._wish("deploy", who, image=image, ends=ends, accepts=accepts)
        self._judge_deploy(wish, service, place, image)

    @rule(who=PEOPLE, service=SERVICES, place=PLACES, again=st.booleans())
    def roll_back(self, who: str, service: str, place: int, again: bool) -> None:
        self._judge_rollback(self._wish("rollback", who, again=again), service, place)

    @rule(who=PEOPLE, service=SERVICES, place=PLACES, knows=st.booleans())
    def release(self, who: str, service: str, place: int, knows: bool) -> None:
        """End the hold that one sees, or the one that one saw some time ago."""
        model = self.fields[place]
        meant = model.holds if knows else self.stale[place]
        answer = self._decide(self._wish("release", who, holds=meant), service, place)
        if meant and not set(model.holds) <= set(meant):
            assert isinstance(self._error(answer), MovedError), "a hold that nobody saw stays"
            return
        self._write(answer, who)
        model.holds = ()

    @precondition(lambda self: len(self.proposals) < 3)
    @rule(who=PEOPLE, service=SERVICES, place=PLACES, tag=TAGS, anew=st.booleans(),
          again=st.booleans(), ends=st.booleans(), deploys=st.booleans())  # fmt: skip
    def propose(  # noqa: PLR0913, PLR0917 - drawn
        self, who: str, service: str, place: int, tag: str, anew: bool, again: bool, ends: bool,
        deploys: bool,
    ) -> None:  # fmt: skip
        """Write a deploy or a rollback as a pull request: nothing happens until it is merged."""
        model = self.fields[place]
        image = self._pushed(tag, anew=anew) if deploys else None
        action = "deploy" if deploys else "rollback"
        wish = self._wish(action, who, image=image, again=again, ends=ends and deploys)
        answer = self._decide(wish, service, place)
        if not isinstance(answer, Change) or not answer.edits:
            return
        commit = self.branch.propose(answer)
        to, hold = answer.summary.to, answer.state.hold if answer.state else None
        self.proposals.append(
            Proposal(
                place, self.branch.tip.files, commit.files, commit.message,
                Ran(to.digest, to.tag or ""),
                (hold.id,) if hold and not deploys else (),
                model.holds if ends or not deploys else (),
                action, model.count,
            )
        )  # fmt: skip
        COUNTS["pull requests"] += 1

    @precondition(lambda self: self.proposals)
    @rule(who=PEOPLE, newest=st.booleans(), squashed=st.booleans())
    def merge(self, who: str, newest: bool, squashed: bool) -> None:
        """Merge a pull request; one that conflicts with what was done meanwhile is closed."""
        one = self.proposals.pop(-1 if newest else 0)
        now = self.branch.tip.files
        if any(now.get(path) != one.before.get(path) for path in one.files):
            COUNTS["pull requests in conflict"] += 1
            return
        message = "Merge (#7)" if squashed else one.message
        self.branch.commit(one.files, who, message)
        COUNTS["merges"] += 1
        model = self.fields[one.place]
        # Dated before deeds that it follows: their order is told by Git's history alone.
        model.is_folded |= one.count != model.count
        if one.action == "rollback":
            left = [hold for hold in model.holds if hold not in one.ends]
            model.rolled_back(one.image, *one.begins, *left)
        else:
            model.holds = () if one.ends else model.holds
            model.deployed(one.image, forgives=False)
        model.text = str(self._running(one.place))

    @rule(place=PLACES)
    def remember(self, place: int) -> None:
        self.stale[place] = self.fields[place].holds

    @rule(who=PEOPLE, other=PEOPLE, place=PLACES, tag=TAGS, again=st.booleans(),
          action=st.sampled_from(["deploy", "rollback", "release"]))  # fmt: skip
    def two_at_once(
        self, who: str, other: str, place: int, action: str, tag: str, again: bool
    ) -> None:
        """One decides, another is faster, and the first decides again on the new tip."""
        image = self._pushed(tag, anew=True)
        wish = self._wish(action, who, image=image if action == "deploy" else None, again=again)
        model = self.fields[place]
        first = seen(self._decide(wish, "cart", place))
        before, held = self.branch.tip, model.holds
        self._judge_rollback(self._wish("rollback", other, again=True), "cart-web", place)
        if self.branch.tip is before:
            return
        at = self.branch.look("cart", self.environments[place])
        answer = self.branch.decide(wish, at, first)
        COUNTS["two at once"] += 1
        if action == "release" and not held:
            assert model.holds
            assert isinstance(self._error(answer), MovedError), "it did not see that hold"
            return
        assert isinstance(answer, Refused), f"{action} goes on over another's rollback"
        assert isinstance(answer.error, MovedError | RefusedError | NotFoundError)

    # What people do by hand

    @rule(who=PEOPLE, place=PLACES, tag=TAGS, pinned=st.booleans())
    def edit(self, who: str, place: int, tag: str, pinned: bool) -> None:
        """Write an image by hand, with its digest or by its tag alone."""
        image = self._pushed(tag, anew=False)
        text = str(image if pinned else image.with_version(tag, None))
        path = self.paths[place]
        data = MANIFEST.format(image=text, namespace=["production", "staging"][place]).encode()
        if self.branch.tip.files[path] == data:
            return
        self.branch.commit({path: data}, who, f"Set {tag}")
        self.fields[place].edited(Ran(image.digest if pinned else None, tag), text)
        COUNTS["edits by hand"] += 1

    @rule(who=PEOPLE, place=PLACES)
    def move_the_manifest(self, who: str, place: int) -> None:
        old = self.paths[place]
        folder, _slash, name = old.partition("/")
        new = f"{folder}/{'web' if name == 'cart.yaml' else 'cart'}.yaml"
        self.branch.commit({new: self.branch.tip.files[old], old: None}, who, "Move it")
        self.paths[place] = new
        model = self.fields[place]
        model.doubt |= bool(model.edits) or not model.deeds
        model.is_moved = True
        COUNTS["moved manifests"] += 1

    @rule(who=PEOPLE, place=PLACES)
    def rename_the_environment(self, who: str, place: int) -> None:
        if self.is_deleted(place):
            return  # under a name of before, only a file of the very place is known again
        self.renamed += 1
        self.names[place].add(f"env{self.renamed}")
        self.environments[place] = f"env{self.renamed}"
        self.branch.commit({FILE: self._config()}, who, "Name it as we all do")
        self.fields[place].doubt |= bool(self.fields[place].edits)
        COUNTS["renamed environments"] += 1

    @rule(who=PEOPLE, place=PLACES, whole=st.booleans())
    def delete_the_state(self, who: str, place: int, whole: bool) -> None:
        """Delete what tells of a field: its state files, or with them the file of its hold."""
        if self.is_deleted(place):
            return
        gone: dict[str, bytes | None] = {}
        for path, data in self.branch.tip.files.items():
            is_its = path.rpartition("/")[0] in {f"{FOLDER}/{name}" for name in self.names[place]}
            if whole and path.startswith(f"{FOLDER}/.held/"):
                is_its = json.loads(data)["environment"] in self.names[place]
            if is_its:
                gone[path] = None
        if gone:
            self.branch.commit(gone, who, "Tidy up")
            # A pull request that was written before would bring a file without what was deleted.
            self.proposals = [one for one in self.proposals if one.place != place]
            COUNTS["deleted state files"] += 1

    def is_deleted(self, place: int) -> bool:
        """Whether no state file of a field stands under its environment's name of today."""
        folder = f"{FOLDER}/{self.environments[place]}/"
        return not any(path.startswith(folder) for path in self.branch.tip.files)

    @precondition(lambda self: len(self.branch.commits) > 3)
    @rule(who=PEOPLE, count=st.integers(2, 3))
    def squash(self, who: str, count: int) -> None:
        """Put the last commits into one whose message says nothing, as a merge of a host may."""
        if len(self.branch.commits) <= count:
            return
        folded = self.branch.commits[-count:]
        if any(commit.message == "Tidy up" for commit in folded):
            return  # what somebody deletes and folds into what wrote it never was there
        for path, model in zip(self.paths, self.fields, strict=True):
            before = self.branch.commits[-count - 1].files.get(path)
            for commit in folded:
                by_hand = "Gitops-Action" not in commit.message
                model.is_folded |= by_hand and commit.files.get(path) != before
                before = commit.files.get(path)
            model.doubt |= bool(model.edits)
            model.is_squashed = True
        self.branch.squash(count, who)
        COUNTS["squashes"] += 1

    @precondition(lambda self: self.before is not None and self.before[0] is self.branch.tip)
    @rule(who=PEOPLE)
    def revert_the_deploy(self, who: str) -> None:
        """Take the newest commit back, a deploy, as `git revert` does: with its state file."""
        assert self.before is not None
        commit, fields, place = self.before
        files = self.branch.commits[-2].files
        changes: dict[str, bytes | None] = {path: files.get(path) for path in commit.files}
        changes |= {path: data for path, data in files.items() if path not in commit.files}
        subject = commit.message.partition("\n")[0]
        text = f'Revert "{subject}"\n\nThis reverts commit {commit.id}.\n'
        self.branch.commit(changes, who, text)
        ran = self.fields[place].ever
        self.fields = fields
        model = self.fields[place]
        model.taken |= ran - model.ever
        model.ever |= ran
        model.went_back = True
        COUNTS["reverts by hand"] += 1

    # What always holds

    @invariant()
    def a_hold_stands_until_somebody_who_saw_it_ends_it(self) -> None:
        """What runs is what the model says, and a release would end the hold that it knows."""
        if self.judged is self.branch.tip:
            return
        self.judged = self.branch.tip
        for place, model in enumerate(self.fields):
            text = self._running(place)
            for service in ("cart", "cart-web"):
                at = self.branch.look(service, self.environments[place])
                ends = self.branch.decide(self._wish("release", "ann"), at)
                assert isinstance(ends, Change), ends
                assert set(ends.ends or ()) == set(model.holds), f"{service} {place}"
                running = ends.at.read.image
                assert (running.digest, running.tag) == (model.top.digest, model.top.tag)
                assert text.digest in (None, running.digest)

    # How it is judged

    def _judge_deploy(self, wish: Wish, service: str, place: int, image: ImageReference) -> None:
        model, wanted = self.fields[place], Ran(image.digest, image.tag or "")
        answer = self._decide(wish, service, place)
        code = self._code(answer)
        is_running = model.top.digest == wanted.digest
        if is_running:
            assert code == "", "what runs is deployed already"
        elif model.holds and not wish.releases:
            assert code == "held"
        elif "bad" in wish.accept:
            assert code == "", code
        else:
            reasons = model.reasons(wanted)
            assert code in {"bad" if reason else "" for reason in reasons}, f"bad by {reasons}"
        if code:
            self._follow(wish, service, place, answer)
            return
        before = deepcopy(self.fields)
        if self._write(answer, wish.by or "") and not is_running:
            self.before = (self.branch.tip, before, place)
        if wish.releases:
            model.holds = ()
        if not is_running:
            model.deployed(wanted, forgives="bad" in wish.accept)
            model.text = str(self._running(place))

    def _judge_rollback(self, wish: Wish, service: str, place: int) -> None:
        model = self.fields[place]
        answer = self._decide(wish, service, place)
        code = self._code(answer)
        if model.is_certain:
            expected = model.expected()
            if model.went_back and not wish.again:
                assert code == "already", code
            elif expected is None:
                assert isinstance(self._error(answer), NotFoundError), code
            else:
                assert code == "", code
                assert isinstance(answer, Change)
                to = answer.summary.to
                is_named = model.is_squashed and (to.digest, to.tag) == (None, expected.tag)
                assert is_named or to.digest == expected.digest
        if code or isinstance(answer, Refused):
            self._follow(wish, service, place, answer)
            return
        to = answer.summary.to
        assert to.digest not in {one.digest for one, _v in model.bad if one.digest}
        if not self._write(answer, wish.by or ""):
            return
        hold = answer.state.hold if answer.state else None
        assert hold is not None
        model.rolled_back(Ran(to.digest, to.tag or ""), hold.id)
        model.text = str(self._running(place))

    def _follow(self, wish: Wish, service: str, place: int, answer: Change | Refused) -> None:
        """Do what the refusals say until it is done, or no refusal is left that can be accepted."""
        options = {row.code: row.option for row in TABLE}
        met: list[str] = []
        while isinstance(answer, Refused) and isinstance(answer.error, RefusedError):
            code = answer.error.code or ""
            assert code not in met, f"{code} again, though it was accepted: {met}"
            assert answer.error.hint
            met.append(code)
            values = {**vars(wish), "accept": wish.accept | {code}}
            values["again"] = wish.again or options[code] == AGAIN
            values["releases"] = wish.releases or options[code] == RELEASE
            assert options[code] is not None or code == "lost-hold"
            assert options[code] != ALLOW_OLDER or code == "outdated"
            wish = Wish(**values)
            answer = self._decide(wish, service, place, counted=False)
        COUNTS["chains of refusals longer than two"] += len(met) > 2

    def _decide(
        self, wish: Wish, service: str, place: int, *, counted: bool = True
    ) -> Change | Refused:
        at = self.branch.look(service, self.environments[place])
        answer = self.branch.decide(wish, at)
        if counted:
            COUNTS[wish.action] += 1
            if isinstance(answer, Refused):
                COUNTS[f"refused: {answer.code}"] += 1
        return answer

    def _write(self, answer: Change | Refused, by: str) -> bool:
        assert isinstance(answer, Change), answer
        return self.branch.write(answer, by)

    def _wish(
        self, action: str, by: str, *, image: ImageReference | None = None, again: bool = False,
        ends: bool = False, accepts: bool = False, holds: tuple[str, ...] = (),
    ) -> Wish:  # fmt: skip
        accept = {"bad"} if accepts else set()
        return Wish(
            action,  # type: ignore[arg-type]
            self.branch.now,
            by=by,
            reason="why",
            build=Build("shop/cart", self.branch.ticks + 1),
            accept=frozenset(accept | ({"held"} if ends else set())),
            image=image,
            releases=ends,
            again=again,
            holds=holds or None,
        )

    def _pushed(self, tag: str, *, anew: bool) -> ImageReference:
        registry = self.branch.registry
        return registry.push(tag) if anew or tag not in registry.tags else registry.image(tag)

    def _running(self, place: int) -> ImageReference:
        text = self.branch.tip.files[self.paths[place]].decode()
        return parse_image(text.partition("image: ")[2].split()[0])

    def _config(self) -> bytes:
        texts = (
            f'[environments.{name}]\npath = "{path.partition("/")[0]}"\n'
            for name, path in zip(self.environments, self.paths, strict=True)
        )
        return "".join(texts).encode()

    @staticmethod
    def _code(answer: Change | Refused) -> str:
        return answer.code if isinstance(answer, Refused) else ""

    @staticmethod
    def _error(answer: Change | Refused) -> Exception | None:
        return answer.error if isinstance(answer, Refused) else None


TestJudge = Judge.TestCase
TestJudge.settings = settings(
    max_examples=int(os.environ.get("GITOPS_JUDGE", "10000" if LONG else "40")),
    stateful_step_count=30,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(scope="module", autouse=True)
def _table_of_what_was_judged() -> Iterator[None]:
    """Say at the end how often what was done and refused, for docs/choosing.md."""
    yield
    for what, number in sorted(COUNTS.items()):
        print(f"{number:8} {what}")  # noqa: T201 - asked for by running with -s
    assert COUNTS["rollback"] > 0

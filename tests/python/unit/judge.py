"""Any order of deeds by several people on a branch, beside a model of what has to come of it.

The model (`judge_model.Field`) knows what ran, in which order, what was rolled back from, who holds
it. The branch is the pure core with files in memory, or real git (`integration.test_judge_on_git`):
whatever answers as `World` says.
"""

# ruff: noqa: FBT001 - whether somebody does this or that is drawn

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.plan import PlanFile, PlannedService
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import Exit
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.ledger.state import FOLDER, path_of
from gitops_rollback.look.environment_files import is_held
from gitops_rollback.model import Build
from gitops_rollback.refusals import AGAIN, ALLOW_OLDER, RELEASE, TABLE
from gitops_rollback.services.config import FILE
from unit.branch import MANIFEST, URL, Branch, Commit, Registry, seen
from unit.judge_model import Field, Proposal, Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

TAGS = st.sampled_from(["1.0", "1.1", "1.2", "main"])
PEOPLE = st.sampled_from(["ann", "bob", "eve"])
SERVICES = st.sampled_from(["cart", "cart-web"])  # two names of one field
PLACES = st.sampled_from([0, 1])  # two environments
COUNTS: Counter[str] = Counter()
NOTHING = Ran(None, "")


@dataclass(frozen=True)
class Answer:
    """What a run comes to: what runs after it, or which error ends it.

    `code` is that of a refusal, or an error's category. `ends` are the holds that a release ends,
    `made` is what carries it out.
    """

    exit: int
    code: str = ""
    to: Ran = NOTHING
    edits: bool = False
    ends: frozenset[str] = frozenset()
    hint: str = ""
    made: Any = None


class World(Protocol):
    """A branch, and what people do to it."""

    commits: list[Commit]
    registry: Registry
    ticks: int

    @property
    def tip(self) -> Commit: ...

    @property
    def now(self) -> str: ...

    def commit(self, files: Mapping[str, bytes | None], by: str, message: str) -> None:
        """Commit files by hand."""

    def squash(self, count: int, by: str) -> None:
        """Put the last commits into one."""

    def ask(self, wish: Wish, service: str, environment: str) -> Answer:
        """Tell what a run would come to."""

    def carry_out(self, answer: Answer, by: str) -> bool:
        """Do it; return whether a commit was made."""

    def planned(self, answer: Answer, running: ImageReference) -> PlanFile:
        """Return the plan that a rollback would follow."""

    def propose(self, answer: Answer) -> tuple[Mapping[str, bytes | None], str]:
        """Return files and message of the commit that it would make."""

    def race(
        self, wish: Wish, service: str, environment: str, other: Callable[[], bool]
    ) -> Answer | None:
        """Let another one act while a run is under way; None where nothing came of that."""


class InMemory(Branch):
    """The pure core on a branch in memory."""

    def ask(self, wish: Wish, service: str, environment: str) -> Answer:
        """Decide."""
        return answer_of(self.decide(wish, self.look(service, environment)))

    def carry_out(self, answer: Answer, by: str) -> bool:
        """Commit what was decided."""
        return self.write(answer.made, by)

    def planned(self, answer: Answer, running: ImageReference) -> PlanFile:
        """Write the plan down."""
        told = answer.made.summary
        one = PlannedService(told.service, told.environment, "auto", running, told.to)
        return PlanFile("plan.json", URL, "main", (one,))

    def propose(self, answer: Answer) -> tuple[Mapping[str, bytes | None], str]:
        """Archive the record, and return the commit."""
        made = self.proposed(answer.made)
        return made.files, made.message

    def race(
        self, wish: Wish, service: str, environment: str, other: Callable[[], bool]
    ) -> Answer | None:
        """Decide, and once more on the tip that another one made meanwhile."""
        first = seen(self.decide(wish, self.look(service, environment)))
        if not other():
            return None
        return answer_of(self.decide(wish, self.look(service, environment), first))


def answer_of(decided: Change | Refused) -> Answer:
    """Return what was decided, as the model reads it."""
    if isinstance(decided, Refused):
        error = decided.error
        return Answer(error.exit_code, decided.code, hint=error.hint)
    to = decided.summary.to
    ends = frozenset(decided.ends or ())
    ran = Ran(to.digest, to.tag or "")
    return Answer(Exit.DONE, "", ran, bool(decided.edits), ends, made=decided)


class Judge(RuleBasedStateMachine):
    """The branch and the model, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.paths = ["production/cart.yaml", "staging/cart.yaml"]
        self.environments = ["production", "staging"]
        self.renamed = 0
        self.writes_tags = False  # the service is configured so
        self.branch, first = self.begin()
        began = Ran(first.digest, "1.0")
        self.fields = [Field([began], ever={began}) for _ in self.paths]
        self.stale: list[tuple[str, ...]] = [(), ()]  # holds that somebody saw earlier
        self.names: list[set[str]] = [{name} for name in self.environments]  # they ever had
        self.proposals: list[Proposal] = []
        self.plans: list[tuple[int, Ran, Wish, str, str]] = []
        self.judged: Commit | None = None  # the tip at which the invariants were held
        # The newest commit, if it is a deploy, what stood before it, and where it was.
        self.before: tuple[Commit, list[Field], int] | None = None

    def begin(self) -> tuple[World, ImageReference]:
        """Return a branch on which an image runs in both places, and the image."""
        registry = Registry()
        first = registry.push("1.0")
        start = Commit(0, "2026-01-01T00:00:00Z", "ann", "Begin", self.first_files(first))
        return InMemory([start], registry), first

    def first_files(self, first: ImageReference) -> dict[str, bytes]:
        """Return what the branch begins with."""
        files = {FILE: self._config()}
        for path, name in zip(self.paths, self.environments, strict=True):
            files[path] = MANIFEST.format(image=first, namespace=name).encode()
        return files

    @initialize(writes_tags=st.booleans())
    def configure(self, writes_tags: bool) -> None:
        """Let the tool write tags alone, or not."""
        self.writes_tags = writes_tags
        if writes_tags:
            self.branch.commit({FILE: self._config()}, "ann", "Write tags alone")

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
            assert answer.exit == Exit.MOVED, "a hold that nobody saw stays"
            return
        self._write(answer, who)
        model.holds = ()

    @precondition(lambda self: len(self.plans) < 3)
    @rule(who=PEOPLE, service=SERVICES, place=PLACES)
    def plan(self, who: str, service: str, place: int) -> None:
        """Make a plan, which somebody follows later."""
        environment, model = self.environments[place], self.fields[place]
        wish = self._wish("rollback", who, again=True)
        answer = self._decide(wish, service, place)
        if answer.exit or not answer.edits or None in {model.top.digest, answer.to.digest}:
            return
        running = self._running(place).with_version(model.top.tag, model.top.digest)
        wish = replace(wish, planned=self.branch.planned(answer, running))
        self.plans.append((place, model.top, wish, service, environment))
        COUNTS["plans"] += 1

    @precondition(lambda self: self.plans)
    @rule(newest=st.booleans(), again=st.booleans())
    def follow(self, newest: bool, again: bool) -> None:
        """Follow a plan that was made before, whatever was done since."""
        place, ran, wish, service, environment = self.plans.pop(-1 if newest else 0)
        if environment != self.environments[place]:
            return  # it names one that there is no more
        model, wish = self.fields[place], replace(wish, present=self.branch.now, again=again)
        assert wish.planned is not None
        to = wish.planned.target(service, environment)
        answer = self._decide(wish, service, place)
        COUNTS["plans followed"] += 1
        if model.top.digest is None:
            return  # whether it is what the plan says is not known
        if model.top.digest != ran.digest:
            assert answer.exit == Exit.MOVED, answer
            return
        assert answer.exit != Exit.MOVED, answer
        may_be_bad = {code for code in model.reasons(Ran(to.digest, to.tag or "")) if code}
        if model.is_certain:
            codes = {"bad"} if may_be_bad == {"digest"} else {"bad" for _one in may_be_bad}
            codes |= {"already"} if model.went_back and not again else set()
            codes |= self._refusals_of(Ran(to.digest, to.tag or ""), place) if not codes else set()
            assert answer.code in codes, f"{answer.code} and not {codes}"
        if answer.exit == Exit.REFUSED:
            self._follow(wish, service, place, answer)
        if answer.exit:
            return
        assert answer.to.digest == to.digest
        assert answer.to.digest not in {one.digest for one, _v in model.bad if one.digest}
        self._write_rollback(answer, wish, service, place)

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
        if answer.exit or not answer.edits:
            return
        files, message = self.branch.propose(answer)
        begins = () if deploys else self._held_by(files, service, place)
        ends_ = model.holds if ends or not deploys else ()
        before = self.branch.tip.files
        self.proposals.append(
            Proposal(place, before, files, message, answer.to, begins, ends_, action, model.count)
        )
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
        is_dated_before = one.count != model.count
        model.is_folded |= is_dated_before
        text = self._running(one.place)
        # By another name somebody did something since: what a text was written with is not known.
        is_known = text.digest is not None or not is_dated_before
        image = one.image if is_known else Ran(None, one.image.tag)
        # It ends what its person saw: no hold that came between.
        left = tuple(hold for hold in model.holds if hold not in one.ends)
        if one.action == "rollback":
            model.rolled_back(image, *one.begins, *left)
        else:
            model.holds = left
            model.deployed(image, forgives=False)
        model.text = str(text)

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
        before, held = self.branch.tip, model.holds

        def rolls_back() -> bool:
            self._judge_rollback(self._wish("rollback", other, again=True), "cart-web", place)
            return self.branch.tip is not before

        answer = self.branch.race(wish, "cart", self.environments[place], rolls_back)
        if answer is None:
            return
        COUNTS["two at once"] += 1
        if action == "release" and not held:
            assert model.holds
            assert answer.exit == Exit.MOVED, "it did not see that hold"
            return
        told = f"{action} goes on over another's rollback: {answer}"
        assert answer.exit in {Exit.MOVED, Exit.REFUSED, Exit.NOT_FOUND}, told

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
        self.renamed += 1
        self.names[place].add(f"env{self.renamed}")
        self.environments[place] = f"env{self.renamed}"
        self.branch.commit({FILE: self._config()}, who, "Name it as we all do")
        self.fields[place].doubt |= bool(self.fields[place].edits)
        COUNTS["renamed environments"] += 1

    @rule(who=PEOPLE, place=PLACES, whole=st.booleans(), only=st.none() | SERVICES)
    def delete_the_state(self, who: str, place: int, whole: bool, only: str | None) -> None:
        """Delete what tells of a field: its state files, or with them the file of its hold.

        Or only the state file of one name, where that of another one is left.
        """
        if self.is_deleted(place):
            return
        gone: dict[str, bytes | None] = {}
        for path, data in self.branch.tip.files.items():
            folder, _slash, name = path.rpartition("/")
            is_its = folder in {f"{FOLDER}/{name}" for name in self.names[place]}
            is_its = is_its and only in {None, name.removesuffix(".json")}
            if whole and is_held(path):
                is_its = json.loads(data)["environment"] in self.names[place]
            if is_its:
                gone[path] = None
        is_alone = all(map(is_held, gone)) or not self.is_left(place, gone)
        if only is not None and is_alone:
            return
        if gone:
            self.branch.commit(gone, who, "Tidy up")
            # A pull request that was written before would bring a file without what was deleted.
            self.proposals = [one for one in self.proposals if one.place != place]
            COUNTS["deleted state files"] += 1
        if only is not None:
            self.fields[place].lose_deeds()

    def is_left(self, place: int, gone: Collection[str]) -> bool:
        """Whether a state file of a field is left where some are deleted."""
        folder = f"{FOLDER}/{self.environments[place]}/"
        return any(path.startswith(folder) and path not in gone for path in self.branch.tip.files)

    def is_deleted(self, place: int) -> bool:
        """Whether no state file of a field stands under its environment's name of today."""
        return not self.is_left(place, ())

    @precondition(lambda self: len(self.branch.commits) > 3)
    @rule(who=PEOPLE, count=st.integers(2, 3))
    def squash(self, who: str, count: int) -> None:
        """Put the last commits into one whose message says nothing, as a merge of a host may."""
        if len(self.branch.commits) <= count:
            return
        base, folded = self.branch.commits[-count - 1], self.branch.commits[-count:]
        if not all(map(self.is_told_of, [base] * count, [base, *folded], folded)):
            return  # what somebody deletes and folds into what wrote it never was there
        if self.writes_tags and any(one.message.startswith("Revert ") for one in folded):
            return  # without its words it deletes by hand a file that tells what a tag meant
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

    @staticmethod
    def is_told_of(base: Commit, before: Commit, commit: Commit) -> bool:
        """Whether what a commit deletes stood there before others that it is folded with."""
        gone = before.files.keys() - commit.files.keys()
        ledger = {path for path in gone if path.startswith(f"{FOLDER}/")}
        is_by_hand = "Gitops-Action" not in commit.message  # or was folded before
        return not is_by_hand or all(base.files.get(path) == before.files[path] for path in ledger)

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
                wish = self._wish("release", "ann")
                answer = self.branch.ask(wish, service, self.environments[place])
                assert answer.exit == Exit.DONE, answer
                assert answer.ends == set(model.holds), f"{service} {place}"
                assert answer.to == model.top
                assert text.digest in (None, answer.to.digest)

    # How it is judged

    def _judge_deploy(self, wish: Wish, service: str, place: int, image: ImageReference) -> None:
        model, wanted = self.fields[place], Ran(image.digest, image.tag or "")
        answer = self._decide(wish, service, place)
        code = answer.code
        is_running = model.top.digest == wanted.digest
        is_written = self.writes_tags and self._running(place) == image.with_version(
            image.tag, None
        )
        if is_running:
            assert code == "", "what runs is deployed already"
        elif model.holds and not wish.releases:
            assert code == "held"
        elif "bad" in wish.accept:
            assert code == "", code
        else:
            reasons = model.reasons(wanted)
            other = "same-tag" if is_written else ""
            assert code in {"bad" if reason else other for reason in reasons}, f"bad by {reasons}"
        if code:
            self._follow(wish, service, place, answer)
            return
        before = deepcopy(self.fields)
        COUNTS["written down"] += is_written and not is_running
        if self._write(answer, wish.by or "") and not (is_running or is_written):
            self.before = (self.branch.tip, before, place)
        if wish.releases:
            model.holds = ()
        if not is_running:
            model.deployed(wanted, forgives="bad" in wish.accept)
            model.text = str(self._running(place))

    def _judge_rollback(self, wish: Wish, service: str, place: int) -> None:
        model = self.fields[place]
        answer = self._decide(wish, service, place)
        code = answer.code
        if model.is_certain:
            expected = model.expected()
            if model.went_back and not wish.again:
                assert code == "already", code
            elif expected is None:
                assert answer.exit == Exit.NOT_FOUND, code
            else:
                assert code in self._refusals_of(expected, place), code
                is_named = model.is_squashed and answer.to == Ran(None, expected.tag)
                assert code or is_named or answer.to.digest == expected.digest
        if code:
            self._follow(wish, service, place, answer)
            return
        assert answer.to.digest not in {one.digest for one, _v in model.bad if one.digest}
        self._write_rollback(answer, wish, service, place)

    def _write_rollback(self, answer: Answer, wish: Wish, service: str, place: int) -> None:
        model = self.fields[place]
        if not self._write(answer, wish.by or ""):
            return
        holds = self._held_by(self.branch.tip.files, service, place)
        assert holds
        model.rolled_back(answer.to, *holds)
        model.text = str(self._running(place))

    def _refusals_of(self, target: Ran, place: int) -> set[str]:
        """Return what may refuse a rollback to a good image: that its tag alone stands there."""
        is_its = self.branch.registry.tags.get(target.tag) == target.digest
        text = self._running(place)
        is_there = self.writes_tags and is_its and (text.tag, text.digest) == (target.tag, None)
        return {"", "same-tag"} if is_there else {""}

    def _follow(self, wish: Wish, service: str, place: int, answer: Answer) -> None:
        """Do what the refusals say until it is done, or no refusal is left that can be accepted."""
        options = {row.code: row.option for row in TABLE}
        met: list[str] = []
        while answer.exit == Exit.REFUSED:
            code = answer.code
            assert code not in met, f"{code} again, though it was accepted: {met}"
            assert answer.hint
            met.append(code)
            assert options[code] is not None or code == "lost-hold"
            assert options[code] != ALLOW_OLDER or code == "outdated"
            wish = replace(
                wish,
                accept=wish.accept | {code},
                again=wish.again or options[code] == AGAIN,
                releases=wish.releases or options[code] == RELEASE,
            )
            answer = self._decide(wish, service, place, counted=False)
        COUNTS["chains of refusals longer than two"] += len(met) > 2

    def _held_by(
        self, files: Mapping[str, bytes | None], service: str, place: int
    ) -> tuple[str, ...]:
        """Return the hold that the state file of a service names."""
        data = files[path_of(self.environments[place], service)] or b"{}"
        hold = json.loads(data).get("hold")
        return (hold["id"],) if hold else ()

    def _decide(self, wish: Wish, service: str, place: int, *, counted: bool = True) -> Answer:
        answer = self.branch.ask(wish, service, self.environments[place])
        if counted:
            COUNTS[wish.action] += 1
            if answer.exit:
                COUNTS[f"refused: {answer.code}"] += 1
        return answer

    def _write(self, answer: Answer, by: str) -> bool:
        assert answer.exit == Exit.DONE, answer
        return self.branch.carry_out(answer, by)

    def _wish(
        self, action: str, by: str, *, image: ImageReference | None = None, again: bool = False,
        ends: bool = False, accepts: bool = False, holds: tuple[str, ...] = (),
    ) -> Wish:  # fmt: skip
        accept = {"bad", "same-tag"} if accepts else set()
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
        pin = '[defaults]\npin = "tag"\n' if self.writes_tags else ""
        return f"{pin}{''.join(texts)}".encode()

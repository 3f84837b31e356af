"""Any order of deploys, rollbacks, releases, deletions and retags against a model of three lines.

The model is a list of what ran and a set of what is bad; the real thing is the state file, the
manifest's text, the records, and the rules of choosing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gitops_rollback.decide.change import Refused
from gitops_rollback.decide.facts import (
    Check,
    Facts,
    Need,
    NeedCheck,
    NeedRecord,
    NeedRecords,
    Records,
    ServiceAtTip,
)
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import RefusedError
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.merge import merge
from gitops_rollback.ledger.records import StoredRecord
from gitops_rollback.ledger.stack import build_timeline
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.model import Build
from gitops_rollback.repo.objects import Tip
from unit.builders import (
    DEPLOYMENT,
    NAME,
    PATH,
    at,
    changed,
    decided,
    digest,
    found_service,
    plainly,
    record,
    stored,
)

if TYPE_CHECKING:
    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.decide.wish import Action
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.state import State

TAGS = st.sampled_from(["1.0", "1.1", "dev"])
CONTENTS = st.sampled_from("ABCDE")
FIRST = parse_image(f"{NAME}:1.0@{digest('A')}")


class Shop(RuleBasedStateMachine):
    """One service: the model in `ran` and `bad`, the real thing in `text`, `state`, `records`."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = [FIRST.digest or ""]
        self.bad: dict[str, str | None] = {}  # by digest, the version tag that was bad with it
        self.ever: dict[str, set[str]] = {"1.0": {FIRST.digest or ""}}  # digests by tag
        self.held = self.is_rolled_back = False
        self.text = DEPLOYMENT.replace("{image}", str(FIRST))
        self.state: State | None = None
        self.records: list[StoredRecord] = []
        self.tags: dict[str, str] = {"1.0": FIRST.digest or ""}
        self.there: set[str] = {FIRST.digest or ""}
        self.clock = 0

    # What people do

    @initialize(tag=TAGS)
    def open(self, tag: str) -> None:
        self._deploy(self._pushed(tag, "B"), Wish("deploy", at(0)))

    @rule(tag=TAGS, content=CONTENTS)
    def deploy(self, tag: str, content: str) -> None:
        image = self._pushed(tag, content)
        is_running = image.digest == self.ran[-1]
        is_refused = not is_running and (self.held or self._is_bad(image))
        if is_refused:
            with pytest.raises(RefusedError) as caught:
                self._deploy(image, self._wish("deploy"))
            assert caught.value.code == ("held" if self.held else "bad")
            return
        self._deploy(image, self._wish("deploy"))
        if not is_running:
            self._ran(image)

    @rule(tag=TAGS, content=CONTENTS)
    def deploy_all_the_same(self, tag: str, content: str) -> None:
        image = self._pushed(tag, content)
        is_running = image.digest == self.ran[-1]
        was_bad = self._is_bad(image)
        self._deploy(image, self._wish("deploy", "bad", "held", releases=True))
        self.held = False
        if not is_running:
            if was_bad:  # forgiven: digest and tag together
                self.bad = {d: t for d, t in self.bad.items() if t is None or t != tag}
            self._ran(image)

    @rule()
    def redeploy(self) -> None:
        before = (self.text, self.state)
        self._deploy(self._running(), self._wish("deploy"))
        assert (self.text, self.state) == before

    @rule(again=st.booleans())
    def roll_back(self, again: bool) -> None:  # noqa: FBT001 - drawn
        plan = self._plan(self.state, [], again=again)
        self._is_as_expected(plan)
        if self.is_rolled_back and not again:
            assert [block.code for block in plan.blocks] == ["already"]
            return
        assert plan.blocks == ()
        if plan.chosen is None:
            return
        tag = self._running().tag or ""
        filed = self._record("rollback", plan.chosen.image)
        wish = replace(self._wish("rollback"), again=again)
        self._apply(changed(wish, self._at(), self._answer, filed=filed))
        is_version = tag != "dev" and len(self.ever[tag]) == 1
        self.bad = {self.ran[-1]: tag if is_version else None, **self.bad}
        self.bad.pop(plan.chosen.image.digest or "", None)
        newest = max(i for i, ran in enumerate(self.ran) if ran == plan.chosen.image.digest)
        del self.ran[newest + 1 :]
        self.held = self.is_rolled_back = True

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        self._apply(changed(self._wish("release"), self._at()))
        self.held = False

    @rule(content=CONTENTS)
    def delete(self, content: str) -> None:
        """Delete an image from the registry, and its tags."""
        self.there.discard(digest(content))
        self.tags = {tag: found for tag, found in self.tags.items() if found in self.there}

    @rule(tag=TAGS, content=CONTENTS)
    def retag(self, tag: str, content: str) -> None:
        self._pushed(tag, content)

    # What always holds

    @invariant()
    def the_manifest_runs_what_the_model_says(self) -> None:
        assert self._running().digest == self.ran[-1]

    @invariant()
    def the_stack_of_the_state_file_is_the_model_s(self) -> None:
        if self.state is None:
            return
        timeline = build_timeline(self._running(), self.state, None, None)
        assert [level.image.digest for level in timeline.levels] == self.ran
        assert {bad.image.digest for bad in self.state.bad} == set(self.bad)
        assert (self.state.hold is not None) == self.held

    @invariant()
    def records_alone_choose_the_same(self) -> None:
        if self.records:
            self._is_as_expected(self._plan(None, self.records, again=True))

    @invariant()
    def history_lists_each_change_once_with_both_proofs(self) -> None:
        if self.state is None:
            return
        newest_first = list(reversed(self.records))
        events = merge(self._running(), self.state, (), newest_first, {}).events
        assert [event.record for event in events] == [stored.sha256 for stored in newest_first]
        assert {event.proofs for event in events} == {frozenset({"artifact", "git"})}
        assert [event.conflicts for event in events if event.conflicts] == []

    # How it is done

    def _is_as_expected(self, plan: Plan) -> None:
        """Compare the chosen image with the newest below the top that is good and there."""
        running = self.ran[-1]
        knows_running = running in self.there
        good = (
            ran
            for ran in reversed(self.ran[:-1])
            if ran != running and ran not in self.bad and (ran in self.there or not knows_running)
        )
        chosen = plan.chosen.image.digest if plan.chosen else None
        assert chosen == next(good, None)

    def _plan(self, state: State | None, records: list[StoredRecord], *, again: bool) -> Plan:
        at_tip = replace(self._at(), state=state)
        strategy = "auto" if state else "artifact"
        wish = replace(self._wish("rollback"), strategy=strategy, again=again)

        def answer(need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
            if isinstance(need, NeedRecords):
                return Records(tuple(reversed(records)))
            return self._answer(need, facts)

        plan = decided(wish, at_tip, answer, filed=stored("0", None)).plan
        assert plan is not None
        return plan

    def _answer(self, need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
        match need:
            case NeedCheck(image=image):
                return self._check(image)
            case NeedRecord(sha256=sha256):
                return next(one for one in self.records if one.sha256 == sha256)
        return plainly(need, facts)

    def _check(self, image: ImageReference) -> Check:
        if image.digest in self.there:
            has_tag = self.tags.get(image.tag or "") == image.digest
            return Check("there", image.digest, has_tag=has_tag)
        if self.ran[-1] in self.there:
            return Check("gone", message="it was deleted")
        return Check("unknown", message="it knows neither")

    def _deploy(self, image: ImageReference, wish: Wish) -> None:
        wish = replace(wish, image=image)
        at_tip = self._at()
        answer = decided(wish, at_tip, filed=stored("0", None))
        if isinstance(answer, Refused):
            raise answer.error
        if answer.edits:
            filed = self._record("deploy", image)
            answer = changed(wish, at_tip, filed=filed)
        self._apply(answer)
        if answer.edits and self.clock == 1:
            self._ran(image)

    def _ran(self, image: ImageReference) -> None:
        self.ran.append(image.digest or "")
        self.bad.pop(image.digest or "", None)
        self.ever.setdefault(image.tag or "", set()).add(image.digest or "")
        self.is_rolled_back = False

    def _is_bad(self, image: ImageReference) -> bool:
        """By digest; or built again under its version tag, if this digest did not run here."""
        ran = {digest for digests in self.ever.values() for digest in digests} - set(self.bad)
        by_tag = image.tag in self.bad.values() and image.digest not in ran
        return image.digest in self.bad or by_tag

    def _record(self, action: str, replaced_by: ImageReference) -> StoredRecord:
        self.clock += 1
        running = self._running()
        made = record("1", "2", self.clock, action=action, image=running, replaced_by=replaced_by)
        field = replace(made.fields[0], image=running.canonical, value=str(running))
        made = replace(made, fields=(field,))
        filed = StoredRecord(made, digest(f"record {self.clock}"), f"record {self.clock}")
        self.records.append(filed)
        return filed

    def _apply(self, change: Change) -> None:
        file = change.at.found.manifests.files[PATH]
        splices = [marker.splice for marker in change.markers]
        self.text = rewritten(file, change.edits, splices).data.decode()
        self.state = change.state or self.state

    def _wish(self, action: Action, *accept: str, releases: bool = False) -> Wish:
        return Wish(
            action,
            at(self.clock + 1),
            accept=frozenset(accept),
            releases=releases,
            build=Build("shop/cart", self.clock + 1),
            reason="why",
        )

    def _at(self) -> ServiceAtTip:
        found = found_service({PATH: self.text.encode()})
        return ServiceAtTip(Tip("main", "1" * 40), found, self.state)

    def _running(self) -> ImageReference:
        return found_service({PATH: self.text.encode()}).image

    def _pushed(self, tag: str, content: str) -> ImageReference:
        """Push an image under a tag: the registry has it (again), and the tag means it."""
        self.tags[tag] = digest(content)
        self.there.add(digest(content))
        return parse_image(f"{NAME}:{tag}@{digest(content)}")


# Fewer steps than a state file keeps: what is older is proven by records alone.
TestShop = Shop.TestCase
TestShop.settings = settings(
    max_examples=settings().max_examples // 5,
    stateful_step_count=15,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

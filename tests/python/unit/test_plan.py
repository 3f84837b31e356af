"""The decision table of `decide`: facts in, needs answered from a dict, a plan out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide import decide
from gitops_rollback.decide.choose import choose
from gitops_rollback.decide.facts import (
    Check,
    Facts,
    History,
    MissingFactError,
    NeedCheck,
    NeedHistory,
    NeedLog,
    NeedPlatforms,
    NeedRecord,
    NeedRecords,
    NeedRemoved,
    NeedTags,
    Platforms,
    Records,
    Tags,
)
from gitops_rollback.decide.plan import PlanFile, PlannedService
from gitops_rollback.decide.rollback import obstacle
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import (
    ConfigError,
    Exit,
    JenkinsError,
    MovedError,
    RegistryError,
    UsageError,
)
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.message import Told
from gitops_rollback.ledger.records import MissingRecord
from gitops_rollback.model import DEPLOY, Build, Deed
from gitops_rollback.query.tags import Tag
from gitops_rollback.services.config import Settings
from unit.builders import (
    NAME,
    PRESENT,
    URL,
    at,
    bad_entry,
    changed,
    digest,
    history,
    hold_of,
    image,
    records,
    service_at_tip,
    state,
    stored,
)

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.holds import Bad
    from gitops_rollback.ledger.records import StoredRecord
    from gitops_rollback.ledger.state import State

BAD = bad_entry(image("2"), at(5), "it crashed", "joe")
UNKNOWN = Check("unknown", message="registry.example did not answer in 3 s")
NO_ARM = Platforms(frozenset({"linux/amd64"}), frozenset({"linux/amd64", "linux/arm64"}))
SAME = Platforms(is_same=True)
GONE = Check("gone", message="the registry no longer has it")


@dataclass
class World:
    """What answers needs. Where nothing is said the registry has everything, by its tag too, and
    archived records are as the state file names them.
    """

    running: str
    state: State | None = None
    history: tuple[HistoryEntry, ...] = ()
    records: tuple[StoredRecord, ...] = ()
    stored: dict[str, StoredRecord | MissingRecord] = field(default_factory=dict)
    checks: dict[str, Check] = field(default_factory=dict)
    platforms: dict[str, Platforms] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    settings: Settings = field(default_factory=lambda: Settings(configured=False))
    fails: tuple[str, ...] = ()
    asked: list[str] = field(default_factory=list)

    def facts(self) -> Facts:
        """What is known before anybody is asked."""
        there = service_at_tip(str(image(self.running)), self.state)
        found = replace(there.found, settings=self.settings)
        return Facts(replace(there, found=found), URL)

    def plan(self, **choice: Any) -> Plan:  # noqa: ANN401 - what Wish takes
        facts = self.facts()
        wish = Wish("rollback", PRESENT, **choice)
        while True:
            try:
                return choose(wish, facts)
            except MissingFactError as missing:
                need = missing.need
            self.asked.append(type(need).__name__)
            assert len(self.asked) < 30, self.asked
            facts = facts.knowing({need: self.answer(need)})

    def answer(self, need: object) -> Any:  # noqa: ANN401, PLR0911 - of the need's own type
        match need:
            case NeedHistory(until=until):
                return History(self.history, is_whole=until is not None)
            case NeedLog():
                return ()
            case NeedRecords():
                failure = JenkinsError("no answer", "-") if "artifact" in self.fails else None
                return Records(self.records, has_more=False, failure=failure)
            case NeedRecord(sha256=sha256, build=build):
                return self.stored.get(sha256 or str(build or ""), self._fitting(sha256))
            case NeedTags():
                problem = RegistryError("no answer", "-") if "registry" in self.fails else None
                return Tags(tuple(self._tag(i, text) for i, text in enumerate(self.tags)), problem)
            case NeedCheck(image=asked):
                there = Check("there", asked.digest or digest(asked.label), has_tag=True)
                return self.checks.get(asked.label, there)
            case NeedPlatforms(image=asked):
                return self.platforms.get(asked.label, Platforms())
        raise AssertionError(need)

    def _fitting(self, sha256: str | None) -> StoredRecord:
        """The record that the state file names: of what its entry replaced."""
        found = stored("1", None, sha256=sha256)
        entries = self.state.deployed if self.state else ()
        before = next((e.from_image for e in entries if e.record == sha256), None)
        return replace(found, record=replace(found.record, image=before)) if before else found

    @staticmethod
    def _tag(index: int, text: str) -> Tag:
        reference = image(text)
        moment = f"2026-01-30T10:{59 - index:02}:00Z"  # the first is the newest
        return Tag(str(reference.tag), reference.digest, moment, moment)


def planned(to: str) -> PlanFile:
    """A plan that was made before, to go back to an image from whatever runs."""
    services = (PlannedService("cart", "production", "auto", image("3"), image(to)),)
    return PlanFile("plan.json", URL, "main", services)


def outcome(plan: Plan) -> tuple[str | None, list[str], dict[str, str]]:
    """What a plan says: the chosen image, the codes that block, the refusals by image."""
    chosen = None
    if plan.chosen is not None:
        target = plan.chosen.image
        chosen = target.label if target.digest else f"~{target.label}"
    refused = {
        c.image.label: c.reason or "no record" for c in plan.candidates if c.verdict == "refused"
    }
    return chosen, [block.code for block in plan.blocks], refused


def by_state(*steps: str, bad: tuple[Bad, ...] = (), **more: Any) -> World:  # noqa: ANN401
    """A world in which the state file's newest image runs."""
    newest = steps[-1].replace("<", ">").split(">")[1]
    return World(**{"running": newest, "state": state(*steps, bad=bad), **more})


def by_records(*steps: str, running: str | None = None, **more: Any) -> World:  # noqa: ANN401
    newest = steps[-1].replace("<", ">").split(">")[1]
    return World(running or newest, records=records(*steps), **more)


def by_history(*images: str, **more: Any) -> World:  # noqa: ANN401
    return World(images[-1], history=history(*images), **more)


UNPROVEN = frozenset({"unproven"})


def long_ago(*images: str) -> tuple[HistoryEntry, ...]:
    """History that goes back to before anything was pushed."""
    return tuple(
        replace(entry, at=f"2020-01-0{9 - index}T00:00:00Z")
        for index, entry in enumerate(history(*images))
    )


AB = ("1>2",)
ABA = ("1>2", "2<1")
LONG = ("1>2", "2>3", "3>4")
MOVED = stored("~1", "2", digest_from="moved")
CHANGED = stored("1", "2", sha256=digest("changed"))
LATER = stored("5", "6", 9)  # of a build that has the number of an earlier one
AT_ONCE = stored("5", "6", sha256=digest("other"))  # the same, made in the second of the deploy
QUERY = Settings(configured=True, query="tags[?older]")
LABELLED: list[tuple[str, World, dict[str, Any], str | None, list[str], dict[str, str]]] = [
    # The state file explains what runs.
    ("A B", by_state(*AB), {}, "1", [], {}),
    ("A B, then C", by_state("1>2", "2>3"), {}, "2", [], {}),
    ("A B A C", by_state(*ABA, "1>3"), {}, "1", [], {}),
    ("A B, A deployed again", by_state("1>2", "2>1"), {}, "2", [], {"1": "running"}),
    ("a redeploy", by_state("1>2", "2>2"), {}, "1", [], {}),
    ("rolled back already", by_state(*LONG, "4<3"), {}, "2", ["already"], {}),
    ("one further", by_state(*LONG, "4<3"), {"again": True}, "2", [], {}),
    ("two further", by_state(*LONG, "4<3", "3<2"), {"again": True}, "1", [], {}),
    ("already, with nothing below", by_state(*ABA), {}, None, ["already"], {}),
    ("again, with nothing below", by_state(*ABA), {"again": True}, None, [], {}),
    ("the first deploy of all", by_state(">1"), {}, None, [], {}),
    ("a bad one below", by_state("1>2", "2>3", bad=(BAD,)), {}, "1", [], {"2": "bad"}),
    (
        "a tag that was moved to the bad image",
        by_state("~1>2", "2>3", bad=(BAD,), checks={"1": Check("there", digest("2"))}),
        {"strategy": "git"},
        None,
        [],
        {"2": "bad", "1": "bad"},
    ),
    (
        "a bad one without a digest makes no other of its tag bad",
        by_state("1>2", "2>3", bad=(bad_entry("~2", at(5), "it crashed", "joe"),)),
        {},
        "2",
        [],
        {},
    ),
    ("a git revert took the state back", by_state(*AB, history=history("1", "2", "3", "2")), {},
     "1", [], {}),
    ("an edit by hand on top", World("3", state(*AB), history("1", "2", "3")), {}, "2", [], {}),
    ("an edit back by hand", World("1", state(*AB), history("1", "2", "1")), {}, None,
     ["already"], {}),
    ("an edit back by hand, again", World("2", state("1>2", "2>3"), history("2", "3", "2")),
     {"again": True}, "1", [], {}),
    ("an edit by hand between deploys", by_state("1>2", "7>3"), {}, "7", [], {}),
    ("the state is of other images", World("9", state(*AB), history("8", "9")), {}, "8", [], {}),
    ("bad counts beside a foreign state", World("9", state(*AB, bad=(BAD,)), history("2", "9")),
     {}, "1", [], {"2": "bad"}),
    # Records of no build, of another image, with a digest the manifest did not name.
    ("the registry lost it", by_state("1>2", "2>3", checks={"2": GONE}), {}, "1", [],
     {"2": "gone"}),
    ("all are gone", by_state(*AB, checks={"1": GONE}), {}, None, [], {"1": "gone"}),
    ("the registry is unreachable", by_state(*AB, checks={"1": UNKNOWN}), {}, "1", [], {}),
    ("a tampered record", by_state("1>2", "2>3", stored={digest("record 2"): stored("2", "3")}),
     {}, "1", [], {"2": "tampered"}),
    (
        "a record of another image",
        by_state("1>2", "2>3", stored={digest("record 2"): stored("9", "3", 2)}),
        {},
        "1",
        [],
        {"2": "tampered"},
    ),
    (
        "what stands where the record was is none",
        by_state(*AB, stored={digest("record 1"): MissingRecord("cut off", is_tampered=True)}),
        {},
        None,
        [],
        {"1": "tampered"},
    ),
    ("a record that is lost", by_state(*AB, stored={digest("record 1"): MissingRecord("deleted")}),
     {}, "1", [], {}),
    (
        "a record that is lost, and no other source",
        by_state(*AB, stored={digest("record 1"): MissingRecord("build 1 was deleted")}),
        {"strategy": "artifact"},
        None,
        [],
        {"1": "no record"},
    ),
    ("the artifact strategy", by_state(*AB), {"strategy": "artifact"}, "1", [], {}),
    ("the git strategy", by_state(*AB), {"strategy": "git"}, "1", [], {}),
    # Platforms.
    ("one that lacks arm64", by_state("1>2", "2>3", platforms={"2": NO_ARM}), {}, "1", [],
     {"2": "platform"}),
    ("to one that lacks arm64", by_state("1>2", "2>3", platforms={"2": NO_ARM}), {"to": "2"}, None,
     ["platform"], {"2": "platform"}),
    ("to one that lacks arm64, accepted", by_state("1>2", "2>3", platforms={"2": NO_ARM}),
     {"to": "2", "accept": frozenset({"platform"})}, "2", [], {}),
    ("one for more platforms", by_state("1>2", platforms={"1": Platforms(NO_ARM.running,
     NO_ARM.candidate)}), {}, "1", [], {}),
    ("platforms that nobody tells", by_state("1>2", platforms={"1": Platforms(frozenset(),
     NO_ARM.running)}), {}, "1", [], {}),
    # Tags without digests.
    ("a tag only", by_state("~1>2"), {"strategy": "git"}, "~1", [], {}),
    ("a tag only, unreachable", by_state("~1>2", checks={"1": UNKNOWN}), {}, "~1", [], {}),
    (
        "a tag whose record knows the digest",
        by_state("~1>2", stored={digest("record 1"): stored("1", "2", digest_from="registry")}),
        {},
        "1",
        [],
        {},
    ),
    ("a tag used again", by_state("~dev>1", "1>dev@B"), {}, "1", [],
     {"dev": "mutable-tag"}),
    ("a tag by hand that ran with a digest before", by_state("1>2", "2>3", "~2>4"), {}, "~2", [],
     {}),
    ("a mutable tag", by_state("~dev>dev@A", "dev@A>dev@B"), {}, "dev", [],
     {"dev": "mutable-tag"}),
    (
        "a tag used again whose record knows the digest",
        by_state(
            "~dev>dev@B",
            stored={digest("record 1"): stored("dev@A", "dev@B", digest_from="registry")},
        ),
        {},
        "dev",
        [],
        {},
    ),
    (
        "a record whose tag had moved",
        by_state("~1>2", stored={digest("record 1"): MOVED}),
        {},
        None,
        [],
        {"1": "mutable-tag"},
    ),
    (
        "a tag that has the running digest by now",
        by_state("~1>2", checks={"1": Check("there", digest("2"), has_tag=True)}),
        {"strategy": "git"},
        None,
        [],
        {"1": "running"},
    ),
    # Without a state file.
    ("records only", by_records("1>2", "2>3"), {}, "2", [], {}),
    ("records only, A B A C", by_records(*ABA, "1>3"), {}, "1", [], {}),
    ("records only, rolled back", by_records(*LONG, "4<3"), {}, "2", ["already"], {}),
    ("records without replacedBy", by_records("1>", "2>", running="3"), {}, "2", [], {}),
    ("an aborted build", by_records("1>2", "2>3", "2>4", running="3"), {}, "2", [],
     {"4": "never-deployed"}),
    ("a re-run build", by_records("1>2", "2>2"), {}, "1", [], {}),
    (
        "a mutable tag in records",
        by_records("1>dev@A", "~dev>dev@B"),
        {},
        "1",
        [],
        {"dev": "mutable-tag"},
    ),
    ("records and history that agree", by_records("1>2", history=history("1", "2")), {}, "1", [],
     {}),
    ("records of something else", by_records("1>2", running="9", history=history("8", "9")), {},
     "8", [], {}),
    ("the archive fails", by_history("1", "2", fails=("artifact",)), {}, "1", [], {}),
    ("history only", by_history("1", "2", "3"), {}, "2", [], {}),
    ("history only, git", by_history("1", "2"), {"strategy": "git"}, "1", [], {}),
    ("history only, edited back", by_history("1", "2", "3", "2"), {}, "1", ["already"], {}),
    ("history only, no record", by_history("1", "2"), {"strategy": "artifact"}, None, [],
     {"1": "no record"}),
    ("nothing at all", World("2"), {}, None, [], {}),
    # The registry.
    ("the registry strategy", by_state(*AB, tags=("2", "1")), {"strategy": "registry"}, "1", [],
     {}),
    ("by a query of one's own", by_state(*AB, tags=("2", "1", "0")),
     {"strategy": "registry", "query": "tags[?name=='0']"}, "0", [], {}),
    ("bad by the registry", by_state("1>3", bad=(BAD,), tags=("3", "2", "1")),
     {"strategy": "registry"}, "1", [], {"2": "bad"}),
    ("bad by its records", by_records(*ABA, "1>3", tags=("3", "2", "1")), {"strategy": "auto",
     "to": "2"}, None, ["bad"], {"2": "bad"}),
    ("to one never deployed", World("3", records=records("1>2", "1>3")), {"to": "2"}, None,
     ["never-deployed"], {"2": "never-deployed"}),
    ("to one never deployed, accepted", World("3", records=records("1>2", "1>3")),
     {"to": "2", "accept": UNPROVEN | {"never-deployed"}}, "2", [], {}),
    ("that one was recorded proves nothing", World("3", records=records("1>2", "1>3")),
     {"to": "2", "accept": frozenset({"never-deployed"})}, None, ["unproven"], {"2": "unproven"}),
    ("an old image was pushed again", by_state("1>2", "2>3", tags=("1", "3", "2")),
     {"strategy": "registry"}, "2", [], {}),
    ("the newest tag was never deployed", by_state(*AB, tags=("9", "2", "1")),
     {"strategy": "registry"}, "1", [], {}),
    ("two tags, one digest", by_state("1>2@X", tags=("latest@X", "2@X", "1@Y")),
     {"strategy": "registry"}, "1", [], {}),
    ("clocks that disagree", World("3", replace(state("1>2", "2>3"), deployed=(
        replace(state("1>2", "2>3").deployed[0], at=at(1)),
        replace(state("1>2", "2>3").deployed[1], at=at(50))))), {}, "2", [], {}),
    ("a rollback of a rollback", by_state(*LONG, "4<3", "3>4"), {}, "3", [], {}),
    ("the registry knows nothing older", by_state(*AB, tags=("2",)), {"strategy": "registry"},
     None, [], {}),
    ("rolled back already, by the registry", by_state(*ABA, tags=("1", "0")),
     {"strategy": "registry"}, "0", ["already"], {}),
    ("auto only shows what the registry has", World("2", tags=("2", "1")), {}, None, [], {}),
    ("auto takes it by a configured query", World("2", tags=("2", "1"), settings=QUERY), {}, "1",
     [], {}),
    ("auto takes it by a query", World("2", tags=("2", "1")), {"query": "tags[?older]"}, "1", [],
     {}),
    ("auto goes on when the registry fails", World("2", fails=("registry",)), {}, None, [], {}),
    # Named.
    ("to a tag", by_state(*LONG), {"to": "1"}, "1", [], {}),
    ("to a digest", by_state(*LONG), {"to": digest("2")}, "2", [], {}),
    ("to an image", by_state(*LONG), {"to": "acme/cart:3"}, "3", [], {}),
    ("to a build", by_state(*LONG), {"to": "#1"}, "2", [], {}),
    ("to a build of a job", by_state(*LONG), {"to": "shop/cart#2"}, "3", [], {}),
    ("to what runs", by_state(*LONG), {"to": "4"}, None, ["running"], {"4": "running"}),
    ("to a tag nobody deployed", by_state(*AB), {"to": "0"}, None, ["unproven"],
     {"0": "unproven"}),
    ("to a tag nobody deployed, accepted", by_state(*AB), {"to": "0", "accept": UNPROVEN}, "0", [],
     {}),
    ("to a digest nobody deployed", by_state(*AB, checks={digest("0")[:19]: UNKNOWN}),
     {"to": digest("0"), "accept": UNPROVEN}, digest("0")[:19], [], {}),
    ("to a tag that never ran", by_state(*AB, history=history("1", "2")), {"to": "0"}, None,
     ["never-ran"], {"0": "never-ran"}),
    ("to a tag that ran long ago", by_state(*AB, history=history("0", "1", "2")), {"to": "0"}, "0",
     [], {}),
    ("the registry's order, never ran", by_state("1>3", tags=("3", "2", "1"), history=long_ago("1",
     "3")), {"strategy": "registry", "query": "tags[?older]"}, "1", [], {"2": "never-ran"}),
    ("the registry's order, unproven", World("3", tags=("3", "2", "1"), history=history("3")),
     {"strategy": "registry"}, "2", [], {}),
    ("a chart by the registry", World("3", tags=("3", "2", "1"), history=history("3"),
     platforms={"2": Platforms(no_image="a Helm chart")}), {"strategy": "registry"}, "1", [],
     {"2": "not-an-image"}),
    ("the running digest under another tag, by the registry", World("3", tags=("3", "2", "1"),
     history=history("3"), platforms={"2": SAME}), {"strategy": "registry"}, "1", [],
     {"2": "running"}),
    ("what ran and has the digest of the running tag now", by_state("1>2", platforms={"1": SAME}),
     {}, "1", [], {}),
    ("to a tag that is known, unreachable", by_state("~1>2", checks={"1": UNKNOWN}), {"to": "1"},
     "~1", [], {}),
    ("to what was rolled back from", by_state(*ABA, bad=(BAD,)), {"to": "2"}, None, ["bad"],
     {"2": "bad"}),
    ("to a bad one, accepted", by_state(*ABA, bad=(BAD,)),
     {"to": "2", "accept": frozenset({"bad"})}, "2", [], {}),
    ("to one that is gone", by_state(*AB, checks={"1": GONE}), {"to": "1"}, None, ["gone"],
     {"1": "gone"}),
    ("to one that is gone, accepted", by_state(*AB, checks={"1": GONE}),
     {"to": "1", "accept": frozenset({"gone"})}, "1", [], {}),
    ("a tag that was pinned since, unreachable", by_history("1", "~2", "2", checks={"2": UNKNOWN}),
     {}, "1", [], {"2": "mutable-tag"}),
    ("a tag that was pinned since, and has that digest", by_history("1", "~2", "2"), {}, "1", [],
     {"2": "running"}),
    ("a tag that was pinned since, and was moved", by_history("1", "~2", "2",
     checks={"2": Check("found", digest("9"), has_tag=True)}), {}, "1", [], {"2": "mutable-tag"}),
    ("to a tag that was pinned since, accepted", by_history("1", "~2", "2",
     checks={"2": UNKNOWN}), {"to": "2", "accept": frozenset({"mutable-tag"})}, None, ["running"],
     {"2": "running"}),
    ("to a mutable tag", by_state("~1>2", stored={digest("record 1"): MOVED}), {"to": "1"},
     None, ["mutable-tag"], {"1": "mutable-tag"}),
    ("to a mutable tag, accepted", by_state("~1>2", stored={digest("record 1"): MOVED}),
     {"to": "1", "accept": frozenset({"mutable-tag"})}, "~1", [], {}),
    ("to a tampered one", by_state(*AB, stored={digest("record 1"): CHANGED}),
     {"to": "1"}, None, ["tampered"], {"1": "tampered"}),
    ("a job made anew, whose numbers began again",
     by_state(*AB, stored={digest("record 1"): LATER}), {}, "1", [], {}),
    ("a job made anew in the second of the deploy",
     by_state(*AB, stored={digest("record 1"): AT_ONCE}), {}, "1", [], {}),
    ("to a tampered one, accepted", by_state(*AB, stored={digest("record 1"): CHANGED}),
     {"to": "1", "accept": frozenset({"tampered"})}, "1", [], {}),
    ("to one that is not asked about again", by_state(*ABA), {"to": "2"}, "2", [], {}),
    ("a plan that was made before", by_state(*LONG), {"planned": planned("2")}, "2", [], {}),
    ("a plan, and rolled back since", by_state(*LONG, "4<3"), {"planned": planned("2")}, "2",
     ["already"], {}),
    ("a plan made with --again", by_state(*LONG, "4<3"), {"planned": planned("2"), "again": True},
     "2", [], {}),
    ("a plan whose image is bad by now", by_state("1>2", "2>3", bad=(BAD,)),
     {"planned": planned("2")}, None, ["bad"], {"2": "bad"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("world", "choice", "chosen", "blocks", "refused"),
    [pytest.param(*row[1:], id=row[0]) for row in LABELLED],
)
def test_the_decision(
    world: World,
    choice: dict[str, Any],
    chosen: str | None,
    blocks: list[str],
    refused: dict[str, str],
) -> None:
    assert outcome(world.plan(**choice)) == (chosen, blocks, refused)


@pytest.mark.parametrize(
    ("world", "choice", "asked"),
    [
        pytest.param(
            by_state(*LONG), {}, ["NeedRecord", "NeedCheck"], id="the state file explains"
        ),
        pytest.param(by_state(*LONG), {"strategy": "git"}, ["NeedCheck"], id="git"),
        pytest.param(
            by_state(*AB, tags=("2", "1")),
            {"strategy": "registry"},
            ["NeedTags", "NeedCheck"],
            id="registry",
        ),
        pytest.param(
            by_records(*LONG),
            {"strategy": "artifact"},
            ["NeedRecords", "NeedHistory", "NeedCheck"],
            id="records without a state file",
        ),
        pytest.param(
            by_records(*LONG),
            {},
            ["NeedRecords", "NeedHistory", "NeedCheck"],
            id="auto without one",
        ),
        pytest.param(
            World("3", state(*AB), history("1", "2", "3")),
            {"strategy": "artifact"},
            ["NeedRecords", "NeedHistory"],
            id="an edit by hand has no record",
        ),
    ],
)
def test_only_what_is_needed_is_asked_for(
    world: World, choice: dict[str, Any], asked: list[str]
) -> None:
    world.asked.clear()
    world.plan(**choice)
    assert world.asked[: len(asked)] == asked
    assert world.asked.count("NeedCheck") <= 2


@pytest.mark.parametrize(
    ("world", "choice", "source"),
    [
        pytest.param(by_state(*AB), {}, "artifact", id="a record that fits"),
        pytest.param(by_state(*AB), {"strategy": "git"}, "git", id="the state file alone"),
        pytest.param(by_history("1", "2"), {}, "git", id="history"),
        pytest.param(by_records(*AB), {}, "artifact", id="a chain of records"),
        pytest.param(by_state(*AB), {"to": "0", "accept": UNPROVEN}, "registry", id="the registry"),
        pytest.param(by_state(*ABA), {}, None, id="none"),
    ],
)
def test_a_plan_names_the_best_proof(
    world: World, choice: dict[str, Any], source: str | None
) -> None:
    assert world.plan(**choice).source == source


def test_what_an_unreachable_registry_did_not_confirm_is_marked_unverified() -> None:
    plan = by_state(*AB, checks={"1": UNKNOWN}).plan()
    assert plan.chosen is not None
    assert not plan.chosen.verified
    assert plan.warnings[0].startswith(f"1: not verified: {UNKNOWN.message}; ")


def test_platforms_that_nobody_tells_in_time_are_said_not_to_be_known() -> None:
    late = Platforms(problem="asked registry-1.docker.io for its platforms: no answer in 3 s")
    plan = by_state("1>2", platforms={"1": late}).plan()
    unknown = "1: whether it is there for every platform of the running image is not known"
    assert plan.warnings == (f"{unknown}: {late.problem}",)
    assert by_state("1>2", platforms={"1": Platforms()}).plan().warnings == ()


def test_a_source_that_failed_is_reported() -> None:
    plan = World("2", fails=("artifact", "registry")).plan()
    told = [finding.partition(";")[0] for finding in plan.findings]
    assert told[:2] == ["artifact: no answer", "registry: no answer"]
    assert "rests on what Git tells" in plan.findings[0]
    assert "no state file, record or commit explains" in plan.findings[2]


def test_a_lost_record_is_reported_beside_what_git_chose() -> None:
    lost = {digest("record 1"): MissingRecord("build 1 was deleted")}
    plan = by_state(*AB, stored=lost).plan()
    assert plan.findings == ("1: no record proves it: build 1 was deleted; Git alone does",)


def test_the_registry_s_candidates_are_shown_with_the_command_that_takes_one() -> None:
    [shown] = World("2", tags=("2", "1")).plan().candidates
    assert (shown.verdict, shown.message) == ("acceptable", "take it with --strategy registry")


def test_already_says_when_by_whom_and_from_what_to_what() -> None:
    [block] = by_state(*LONG, "4<3").plan().blocks
    assert block.message == "cart production was rolled back 116 min ago by jane, 4 → 3"
    assert block.hint.endswith("to go one further: --again")


def test_bad_says_when_by_whom_and_why() -> None:
    plan = by_state("1>2", "2>3", bad=(BAD,)).plan()
    assert plan.candidates[0].message == (
        "it was rolled back from on 2026-01-31T10:05:00Z by joe: it crashed"
    )


def test_a_refusal_of_a_named_image_says_how_to_accept_it() -> None:
    [block] = by_state(*ABA, bad=(BAD,)).plan(to="2").blocks
    assert block.hint.endswith(": --accept bad")


def test_a_hold_is_part_of_the_plan() -> None:
    hold = hold_of("2", "1", "it crashed", at(2))
    world = World("1", state(*ABA, hold=hold))
    assert world.plan(again=True).hold == hold


def test_another_running_image_than_from_says_is_moved() -> None:
    wish = Wish("rollback", PRESENT, expected=image("1"))
    with pytest.raises(MovedError, match=r"runs docker\.io/acme/cart:2@sha256.*as --from says"):
        changed(wish, by_state(*AB).facts().at)


@pytest.mark.parametrize(
    ("to", "error", "message"),
    [
        ("1 2", UsageError, "no tag, digest, image or build"),
        ("-x", UsageError, "no tag, digest, image or build"),
        ("acme/Cart:1", UsageError, "must be lower case"),
        ("acme/shop:1", ConfigError, "another repository"),
        ("ghcr.io/acme/cart:1", ConfigError, "another repository"),
        ("#9", ConfigError, "no deployment of cart production is known from build #9"),
        ("other/job#1", ConfigError, "no deployment"),
        ("#", ConfigError, "no deployment"),
    ],
)
def test_a_target_that_cannot_be_meant_is_an_error(
    to: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        by_state(*AB).plan(to=to)


def test_a_build_number_of_two_jobs_is_an_error_that_names_both() -> None:
    first, second = reversed(state("1>2", "2>3").deployed)
    other = replace(second, build=Build("shop/rollback", 1))
    world = World("3", replace(state(), deployed=(other, first)))
    with pytest.raises(
        ConfigError, match=r"any of shop/rollback #1 \(.*3@sha256:3+\), shop/cart #1 \(.*2@sha256:"
    ):
        world.plan(to="#1")
    assert outcome(world.plan(to="shop/cart#1"))[0] == "2"


def test_a_build_that_put_two_images_there_is_an_error_that_names_both() -> None:
    first, second, third = reversed(state("1>2", "2>3", "3>4").deployed)
    twice = replace(second, build=first.build)  # as after a restart from a stage
    world = World("4", replace(state(), deployed=(third, twice, first)))
    with pytest.raises(ConfigError, match="more than one image") as caught:
        world.plan(to="#1")
    for meant in (image("2"), image("3")):
        assert meant.canonical in caught.value.message
        assert outcome(world.plan(to=meant.canonical))[0] == meant.tag
    again = World("4", replace(state(), deployed=(third, replace(twice, image=image("2")), first)))
    assert outcome(again.plan(to="#1"))[0] == "2"


def test_a_tag_that_only_the_registry_could_resolve_needs_its_answer() -> None:
    world = by_state(*AB, checks={"0": UNKNOWN})
    (block,) = world.plan(to="0", accept=UNPROVEN).blocks
    assert block.code == "tag"
    assert "names no digest, and it is not found out: " in block.message
    assert outcome(world.plan(to="0", accept=UNPROVEN | {"tag"}))[0] == "~0"
    by_tag = replace(world, settings=Settings(configured=True, pin="tag"))
    assert outcome(by_tag.plan(to="0", accept=UNPROVEN))[0] == "~0"


def test_a_tag_that_is_resolved_gets_its_digest() -> None:
    plan = by_state(*AB).plan(to="0", accept=UNPROVEN)
    assert plan.chosen is not None
    assert plan.chosen.image == parse_image(f"{NAME}:0@{digest('0')}")


def test_an_image_that_was_rolled_back_from_is_named_with_its_digest_and_record() -> None:
    plan = by_state("2<1").plan(to="2")
    assert plan.chosen is not None
    assert plan.chosen.image == image("2")
    assert plan.chosen.stored is not None


def test_a_query_that_cannot_be_read_is_refused_before_anybody_is_asked() -> None:
    for strategy in ("auto", "registry"):
        world = by_state(*AB, fails=("registry",))
        with pytest.raises(UsageError, match="cannot be read"):
            world.plan(query="tags[?", strategy=strategy)
        assert world.asked == []


def test_records_are_taken_one_by_one_until_one_can_be_chosen() -> None:
    wish = Wish("rollback", PRESENT)
    facts = (
        World("3")
        .facts()
        .knowing({NeedHistory(): History(), NeedLog(): (), NeedRemoved(frozenset({"cart"})): ()})
    )
    some = facts.knowing({NeedRecords(1): Records(records("2>3"), has_more=True)})
    assert decide(wish, facts) == NeedRecords(1)
    assert decide(replace(wish, to="1"), some) == NeedRecords(2), "a name may be in any of them"
    over = facts.knowing({NeedRecords(1): Records()})
    assert decide(wish, over) == NeedTags(patient=False)


def test_an_image_that_ran_twice_is_one_candidate() -> None:
    plan = by_state("1>2", "2>1", "1>2", "2>3").plan()
    assert [c.image.label for c in plan.candidates] == ["2", "1"]


def test_a_tag_that_had_moved_when_it_was_recorded_is_refused_without_a_state_file() -> None:
    assert outcome(World("2", records=(MOVED,)).plan()) == (None, [], {"1": "mutable-tag"})


def test_an_edit_between_two_deploys_hides_nothing_from_git() -> None:
    world = by_state("1>2", "7>3", checks={"7": GONE})
    assert outcome(world.plan(strategy="git")) == ("2", [], {"7": "gone"})


def test_a_plan_file_is_plain_unless_to_is_given_again_with_it() -> None:
    world = World("3", state=state("1>2", "2>3", "3>4", "4<3"))
    assert [block.code for block in world.plan(planned=planned("2")).blocks] == ["already"]
    assert world.plan(planned=planned("2"), to="2").blocks == ()


def test_going_back_by_hand_to_a_tag_is_no_new_use_of_it() -> None:
    world = World("~3", history=history("~1", "~2", "~1", "~3"))
    plan = world.plan(strategy="git")
    assert plan.chosen is not None
    assert plan.chosen.image == image("~1")


def test_with_the_record_of_the_next_image_missing_records_alone_choose_no_older_one() -> None:
    world = World(
        "3", state=state("1>2", "2>3"), stored={digest("record 2"): MissingRecord("gone")}
    )
    plan = world.plan(strategy="artifact")
    assert plan.chosen is None
    assert [candidate.verdict for candidate in plan.candidates] == ["refused", "acceptable"]


@pytest.mark.parametrize("tag", ["1.2.sig", "sha256-" + "a" * 64, f"sha256-{'b' * 64}.att"])
def test_a_tag_of_a_signature_or_attestation_is_no_image_unless_accepted(tag: str) -> None:
    world = World("2", state=state("1>2"))
    plan = world.plan(to=tag)
    assert [block.code for block in plan.blocks] == ["not-an-image"]
    assert plan.chosen is None
    accepted = world.plan(to=f"{NAME}:{tag}@{digest('x')}", accept=UNPROVEN | {"not-an-image"})
    assert accepted.chosen is not None


def test_a_query_that_is_given_chooses_by_the_registry() -> None:
    world = by_state(*AB, tags=("9", "2", "1"))
    plan = world.plan(query="tags[?name=='9']")
    assert plan.chosen is not None
    assert (plan.strategy, plan.chosen.image.label) == ("registry", "9")
    for other in ({"strategy": "git"}, {"to": "1"}):
        with pytest.raises(UsageError, match="--query chooses among the registry's tags"):
            world.plan(query="tags", **other)


def test_what_ran_just_before_and_is_passed_over_is_said_or_refused_unattended() -> None:
    world = by_state("1>2", "2>3", checks={"2": GONE})
    plan = world.plan()
    assert plan.chosen is not None
    assert plan.chosen.image == image("1")
    assert plan.passed_over == ("2 (gone)",)
    [warning] = plan.warnings
    assert "passed over what ran just before: 2 (gone" in warning
    assert [block.code for block in plan.blocks] == []
    [block] = world.plan(unattended=True).blocks
    assert block.code == "passed-over"
    assert "gitops-rollback plan cart --environment production, " in block.hint
    assert world.plan(to="1").warnings == ()


def test_what_was_rolled_back_from_is_not_passed_over() -> None:
    plan = by_state("1>2", "2>3", bad=(BAD,)).plan()
    assert (plan.passed_over, plan.warnings) == ((), ())


def test_what_ran_before_the_chosen_image_is_not_passed_over() -> None:
    plan = by_state("~dev>dev@A", "dev@A>dev@B", "dev@B>dev@C").plan()
    assert [(c.image.digest, c.verdict, c.reason) for c in plan.candidates] == [
        (digest("B"), "chosen", None),
        (digest("A"), "acceptable", None),
        (None, "refused", "mutable-tag"),
    ]
    assert plan.passed_over == ()


def test_a_digest_may_be_given_as_short_as_it_is_printed() -> None:
    world = by_state("main@A>main@B", "main@B>main@C")
    plan = world.plan(to=digest("A")[:19])
    assert plan.chosen is not None
    assert plan.chosen.image.digest == digest("A")
    with pytest.raises(ConfigError, match="no image of cart production that is known"):
        world.plan(to="sha256:0123456")
    twins = by_state(f"main@{'A' * 9}1>main@{'A' * 9}2", f"main@{'A' * 9}2>main@B")
    with pytest.raises(ConfigError, match="can be any of sha256:"):
        twins.plan(to=digest("A" * 9)[:14])


@pytest.mark.parametrize("written", ["1", "~1"], ids=["with its digest", "by its tag alone"])
def test_a_build_or_a_short_digest_is_found_beyond_what_the_state_file_keeps(written: str) -> None:
    told = Told("cart", "production", Deed(DEPLOY, image("1"), image("0"), build=Build("shop", 7)))
    again = Told("cart", "production", Deed(DEPLOY, image("0"), image("1"), build=Build("shop", 7)))
    newest, first, oldest = history("0", written, "2")
    world = by_state("2>3", history=(newest, replace(first, told=told), oldest))
    for name in ("#7", "shop#7", digest("1")[:19], "1"):
        plan = world.plan(to=name)
        assert plan.chosen is not None, name
        assert plan.chosen.image == image("1")
        assert plan.source == "git"
        assert plan.blocks == ()
    assert world.plan(to="#7").chosen.placed.build.number == 7  # type: ignore[union-attr]
    for name in ("#8", "other#7"):
        with pytest.raises(ConfigError, match="no deployment of cart production is known"):
            world.plan(to=name)
    twice = by_state(
        "2>3", history=(newest, replace(first, told=told), replace(oldest, told=again))
    )
    with pytest.raises(ConfigError, match="put more than one image there"):
        twice.plan(to="#7")


def test_a_plan_of_a_named_image_is_followed_although_it_was_rolled_back() -> None:
    world = World("1", state("1>2", "2<1"))
    assert world.plan(planned=planned("0")).blocks != ()
    followed = planned("0")
    named = replace(followed, services=(replace(followed.services[0], is_named=True),))
    assert "already" not in [block.code for block in world.plan(planned=named).blocks]


def test_a_plan_of_a_named_image_proves_nothing_of_it() -> None:
    world, followed = by_state(*AB), planned("0")
    named = replace(followed, services=(replace(followed.services[0], is_named=True),))
    assert [block.code for block in world.plan(planned=named).blocks] == ["unproven"]
    assert world.plan(planned=named, accept=UNPROVEN).blocks == ()
    assert world.plan(planned=followed).blocks == ()


def test_an_image_of_the_repository_before_a_move_is_written_under_its_own_name() -> None:
    moved = image("2", "ghcr.io/acme/cart")
    whole = state("1>2", "2>3")
    newest = replace(whole.deployed[0], image=image("3", "ghcr.io/acme/cart"), from_image=moved)
    there = service_at_tip(str(newest.image), replace(whole, deployed=(newest, whole.deployed[1])))
    one = changed(Wish("rollback", PRESENT), there)
    assert [edit.value for edit in one.edits] == [str(moved)]
    assert one.plan is not None
    assert [c.image for c in one.plan.candidates] == [moved, image("1")]
    two = changed(Wish("rollback", PRESENT, to=image("1").canonical), there)
    assert [edit.value for edit in two.edits] == [str(image("1"))]
    with pytest.raises(ConfigError, match="is of another repository"):
        changed(Wish("rollback", PRESENT, to="quay.io/acme/cart:1"), there)


def test_how_to_take_a_tag_all_the_same_is_said_in_the_words_of_where_it_is_read() -> None:
    plan = World("1.1", tags=("1.2", "1.0-alpine", "1.1")).plan(strategy="registry")
    error = obstacle(plan)
    assert error is not None
    assert error.exit_code == Exit.NOT_FOUND
    way = ("--query \"tags[?name=='1.0-alpine']\"", "--to 1.0-alpine")
    assert error.hint == f"to take one all the same: {', or '.join(way)}"
    in_jenkins = "QUERY tags[?name=='1.0-alpine'], or TO 1.0-alpine"
    assert error.jenkins_hint == f"to take one all the same: {in_jenkins}"


def test_nobody_is_led_to_a_newer_version_to_go_back() -> None:
    plan = World("1.1", tags=("1.2", "1.1")).plan(strategy="registry")
    error = obstacle(plan)
    assert error is not None
    assert error.message.endswith("(1.2: it is a newer version than the running one)")
    assert error.hint.startswith("nothing older is there: deploy a fixed image")
    assert not any("1.2" in one for one in plan.findings if "all the same" in one)


def test_why_there_is_none_is_told_by_what_is_said_of_tags_alone() -> None:
    plan = World("1", tags=("2", "1")).plan(strategy="registry")
    whole = replace(plan, findings=("the branch moved", *plan.findings, "not taken: 3: too new"))
    error = obstacle(whole)
    assert error is not None
    assert "the branch moved" not in error.message
    assert "not taken" not in error.message
    assert "3: too new" in error.message


def test_where_the_registry_has_one_the_ledger_is_not_spoken_of() -> None:
    plan = by_state("1>2", tags=("2", "1")).plan(strategy="registry")
    assert plan.chosen is not None
    assert not any("what ran before is known" in text for text in plan.findings)


def test_where_the_registry_has_none_it_is_said_that_the_ledger_knows_one() -> None:
    plan = by_state("1>2", tags=("2",)).plan(strategy="registry")
    error = obstacle(plan)
    assert error is not None
    assert error.hint == "what ran before is known: 1; --strategy auto goes by it"


def test_where_no_image_is_known_the_commit_is_named_at_which_history_ends() -> None:
    [first] = history("7")
    where = f"before {first.commit[:12]} of {first.at}"
    of_all = World("7", history=(first,)).plan()
    of_some = World("7", history=(replace(first, is_oldest=True),)).plan()
    assert of_all.chosen is of_some.chosen is None
    what = "Deployment cart, container 'server', with this repository"
    assert f"Git tells of no {what}, {where}" in of_all.findings
    assert f"Git tells nothing of {where}" in of_some.findings

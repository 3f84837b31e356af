"""What is said of a rollback and what refuses it, beyond the choice of its image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.effect import restored
from gitops_rollback.decide.facts import (
    Facts,
    FirstTry,
    NeedFilesAt,
    NeedSchemaLabels,
    NeedStorage,
    Platforms,
    Revision,
    SchemaLabels,
    ServiceAtTip,
    StorageFacts,
)
from gitops_rollback.decide.plan import PlanFile, PlannedService
from gitops_rollback.decide.wish import Wish
from gitops_rollback.effective.effect import OTHER, UNKNOWN, WARNING, Finding
from gitops_rollback.effective.proof import Recipe
from gitops_rollback.errors import ConfigError, GitopsRollbackError, MovedError, RefusedError
from gitops_rollback.ledger.records import ManifestCopy, digest_of_bytes
from gitops_rollback.repo.objects import Tip
from unit.builders import (
    DEPLOYMENT,
    PATH,
    PRESENT,
    URL,
    bad_entry,
    changed,
    decided,
    digest,
    found_service,
    image,
    manifest,
    plainly,
    record,
    service_at_tip,
    state,
    stored,
    telling,
)

if TYPE_CHECKING:
    from gitops_rollback.ledger.records import StoredRecord

AB = state("1>2")
CLAIM = (
    DEPLOYMENT + "      volumes: [{name: data, persistentVolumeClaim: {claimName: cart-data}}]\n"
)
CHANGED = StorageFacts(("it is small",), ("the claim shrank",), ("one file was not read",))
KUSTOMIZATION = "apps/cart/kustomization.yaml"


def wish(*accept: str, **more: Any) -> Wish:  # noqa: ANN401
    return Wish("rollback", PRESENT, **{"accept": frozenset(accept), "reason": "bad", **more})


def there(template: str = DEPLOYMENT, config: str = "") -> ServiceAtTip:
    """The service, which ran image 1 and runs image 2."""
    return service_at_tip(str(image("2")), AB, template, config)


def code_of(found: Change | Refused) -> str | None:
    return found.code if isinstance(found, Refused) else None


@pytest.mark.parametrize(
    ("config", "doing", "template", "code"),
    [
        pytest.param("", wish(), CLAIM, None, id="a warning"),
        pytest.param("storage-guard = 'refuse'", wish(), CLAIM, "storage", id="guarded"),
        pytest.param("storage-guard = 'refuse'", wish("storage"), CLAIM, None, id="accepted"),
        pytest.param("", wish(unattended=True), CLAIM, "storage", id="nobody looks on"),
        pytest.param(
            "", wish(unattended=True), DEPLOYMENT, "storage", id="nor where none is mentioned"
        ),
    ],
)
def test_storage_that_changed_since_the_image_ran_is_told_or_refused(
    config: str, doing: Wish, template: str, code: str | None
) -> None:
    at = there(template, f"[defaults]\n{config}\n")
    found = decided(doing, at, telling(NeedStorage=CHANGED))
    assert code_of(found) == code
    assert found.plan is not None
    assert found.plan.storage_changes == ("storage changed since 1 ran: the claim shrank",)
    assert {*found.plan.storage_changes, "it is small"} <= {*found.plan.warnings}
    assert "one file was not read" in found.plan.findings
    if isinstance(found, Change):
        assert found.summary.storage == found.plan.storage_changes


def test_of_many_changes_of_storage_a_plan_has_all_and_a_refusal_the_first_eight() -> None:
    many = StorageFacts(changes=tuple(f"change {number}" for number in range(9)))
    change = changed(wish(), there(CLAIM), telling(NeedStorage=many))
    assert [one.rpartition(" ")[2] for one in change.summary.storage] == [*"012345678"]
    with pytest.raises(RefusedError, match=r"change 7; and 1 more$"):
        changed(wish(unattended=True), there(CLAIM), telling(NeedStorage=many))


def of_manifest(data: bytes) -> StoredRecord:
    """The record of image 1, when the manifest had some bytes."""
    copy = ManifestCopy(PATH, digest_of_bytes(data), copied=True)
    return stored("1", "2", sha256=digest("record 1"), manifests=(copy,))


@pytest.mark.parametrize(
    ("then", "template", "is_asked"),
    [
        pytest.param(DEPLOYMENT, DEPLOYMENT, False, id="but for the image all is as it was"),
        pytest.param(CLAIM, DEPLOYMENT, True, id="something else changed"),
        pytest.param(DEPLOYMENT.replace("image: ", "image:  "), DEPLOYMENT, True, id="a blank"),
        pytest.param(CLAIM, CLAIM, True, id="the service has storage"),
    ],
)
def test_storage_is_looked_into_where_it_could_matter(
    then: str,
    template: str,
    is_asked: bool,  # noqa: FBT001
) -> None:
    own = of_manifest(manifest(str(image("1")), then))
    asked = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        asked.append(type(need))
        return telling(NeedRecord=own, NeedChanges=("a port",))(need, facts)

    change = changed(wish(), there(template), answer)
    assert (NeedStorage in asked) == is_asked
    assert "changed since it ran, and not undone by a rollback: a port" in change.warnings


NINE, TEN = SchemaLabels("10", "9"), SchemaLabels("9", "10")


@pytest.mark.parametrize(
    ("labels", "doing", "code", "told"),
    [
        pytest.param(NINE, wish(), "schema", "", id="it went forward"),
        pytest.param(TEN, wish(), None, "", id="numbers count, not characters"),
        pytest.param(SchemaLabels("1.10", "1.9"), wish(), "schema", "", id="each of them"),
        pytest.param(SchemaLabels("1.9-rc", "1.9-a"), wish(), "schema", "", id="and words"),
        pytest.param(SchemaLabels("1.rc", "1.9"), wish(), "schema", "", id="a word after all"),
        pytest.param(SchemaLabels("1.9", "1.rc"), wish(), None, "", id="a number before a word"),
        pytest.param(SchemaLabels("9", "9"), wish(), None, "", id="the same"),
        pytest.param(SchemaLabels(None, "9"), wish(), None, "", id="the running needs none"),
        pytest.param(
            NINE, wish("schema"), None, "went forward, 9 → 10 (org.gitops", id="accepted"
        ),
        pytest.param(
            SchemaLabels("10"), wish(), None, "needs schema 10, and 1 does not say", id="one alone"
        ),
        pytest.param(
            SchemaLabels(problem="no answer"), wish(), None,
            "org.gitops-rollback.schema was not compared: no answer", id="nobody told",
        ),
    ],
)  # fmt: skip
def test_a_schema_that_went_forward_refuses_the_way_back(
    labels: SchemaLabels, doing: Wish, code: str | None, told: str
) -> None:
    found = decided(doing, there(CLAIM), telling(NeedSchemaLabels=labels))
    assert code_of(found) == code
    assert found.plan is not None
    said = [one for one in (*found.plan.findings, *found.plan.warnings) if "schema" in one]
    assert told in "".join(said)
    assert bool(said) == bool(told)


@pytest.mark.parametrize(
    ("template", "config", "is_asked"),
    [
        (DEPLOYMENT, "", False),
        (CLAIM, "", True),
        (CLAIM, "schema-label = 'ignore'", False),
        (DEPLOYMENT, "schema-label = 'refuse'", True),
    ],
)
def test_schemas_are_compared_where_there_is_data_or_the_configuration_says_so(
    template: str,
    config: str,
    is_asked: bool,  # noqa: FBT001
) -> None:
    asked = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        asked.append(type(need))
        return telling(NeedSchemaLabels=SchemaLabels())(need, facts)

    changed(wish(), there(template, f"[defaults]\n{config}\n"), answer)
    assert (NeedSchemaLabels in asked) == is_asked


def test_a_plan_is_followed_only_in_its_repository_and_branch() -> None:
    services = (PlannedService("cart", "production", "auto", image("2"), image("1")),)
    for url, branch in ((URL, "main"), (URL.removesuffix(".git"), "main")):
        plan = PlanFile("plan.json", url, branch, services)
        assert changed(wish(planned=plan), there()).summary.to == image("1")
    for url, branch in ((URL, "next"), ("https://github.com/acme/other.git", "main")):
        plan = PlanFile("plan.json", url, branch, services)
        with pytest.raises(ConfigError, match=r"the plan plan\.json is for"):
            changed(wish(planned=plan), there())


def test_a_plan_is_followed_where_it_says_what_runs_or_from_does() -> None:
    planned = PlannedService("cart", "production", "auto", image("3"), image("1"))
    other = PlanFile("plan.json", URL, "main", (planned,))
    with pytest.raises(MovedError, match=r"not .*cart:3@.* as the plan says") as caught:
        changed(wish(planned=other), there())
    assert "make the plan again" in (caught.value.hint or "")
    assert changed(wish(planned=other, expected=image("2")), there()).summary.to == image("1")


def test_a_service_that_a_plan_does_not_name_is_not_rolled_back_by_it() -> None:
    other = PlannedService("shop", "production", "auto", image("2"), image("1"))
    with pytest.raises(GitopsRollbackError, match="the plan does not name cart production"):
        changed(wish(planned=PlanFile("plan.json", URL, "main", (other,))), there())


@pytest.mark.parametrize(
    ("running", "target", "message"),
    [
        ("2", "1", None),
        ("3", "1", "not docker.io/acme/cart:3@.* as the plan says (newest commit by joe)"),
        ("2", "0", "what it would go back to changed while this was being pushed"),
    ],
)
def test_a_try_on_a_moved_branch_does_what_the_first_one_meant_or_nothing(
    running: str, target: str, message: str | None
) -> None:
    first = FirstTry(image(running), image(target), ())
    if message is None:
        assert changed(wish(), there(), first=first).summary.to == image("1")
        return
    with pytest.raises(MovedError, match=message.replace("(", r"\(").replace(")", r"\)")):
        changed(wish(), there(), first=first)


@pytest.mark.parametrize(
    ("platforms", "revision"),
    [
        pytest.param(Platforms(), "c0ffee", id="the registry was asked anyway"),
        pytest.param(Platforms(problem="no answer"), None, id="and does not answer"),
    ],
)
def test_the_bad_list_has_the_commit_that_the_image_was_built_from(
    platforms: Platforms, revision: str | None
) -> None:
    answer = telling(NeedPlatforms=platforms, NeedRevision=Revision("c0ffee"))
    after = changed(wish(), there(), answer).state
    assert after is not None
    assert [entry.revision for entry in after.bad] == [revision]


def test_without_a_digest_no_commit_is_told_of_what_runs() -> None:
    at = service_at_tip(str(image("~9")))
    doing = wish("never-ran", "unproven", to=image("1").canonical)
    after = changed(doing, at, telling(NeedRevision=Revision("c0ffee"))).state
    assert after is not None
    assert [(entry.image, entry.revision) for entry in after.bad] == [(image("~9"), None)]


def test_a_record_that_was_made_before_has_to_be_of_this_rollback() -> None:
    own = replace(stored("2", "1"), record=record("2", "1", action="rollback"))
    change = changed(wish(record=own), there())
    assert (change.record, change.summary.deed.record) == (None, own.sha256)
    other = replace(own, record=replace(own.record, replaced_by=image("0")))
    with pytest.raises(MovedError, match=r"was made for docker\.io/acme/cart:0"):
        changed(wish(record=other), there())
    earlier = replace(own, record=record("3", "1", action="rollback"))
    with pytest.raises(MovedError, match=r"is not what the record says: .* recorded .*cart:3"):
        changed(wish(record=earlier), there())


def test_a_bad_image_that_is_accepted_is_bad_no_more_by_its_commit_either() -> None:
    was = bad_entry("0", "2026-01-01T00:00:00Z", revision="c0ffee")
    at = service_at_tip(str(image("2")), state("1>2", bad=(was,)))
    answer = telling(NeedRevision=Revision("c0ffee"))
    named = wish("bad", "unproven", "never-ran", to=image("7").canonical)
    after = changed(named, at, answer).state
    assert after is not None
    assert [entry.image for entry in after.bad] == [image("2")]


def built(transformer: str = "t.yaml") -> ServiceAtTip:
    """The service below a kustomization whose transformer nobody follows."""
    files = {
        PATH: manifest(str(image("2"))),
        KUSTOMIZATION: f"resources: [deployment.yaml]\ntransformers: [{transformer}]\n".encode(),
    }
    return ServiceAtTip(Tip("main", "1" * 40), found_service(files), AB)


@pytest.mark.parametrize(
    ("then", "code"),
    [
        pytest.param({}, None, id="all as it was"),
        pytest.param({PATH: manifest(str(image("1")))}, None, id="but for the image"),
        pytest.param({KUSTOMIZATION: b"resources: [deployment.yaml]\n"}, "effect", id="a file"),
        pytest.param({KUSTOMIZATION: None}, "effect", id="a file that was not there"),
        pytest.param({PATH: CLAIM.encode()}, "effect", id="the manifest itself"),
        pytest.param({PATH: b"image: [\n"}, "effect", id="a manifest that was none"),
    ],
)
def test_an_unknown_effect_is_restored_where_no_file_of_it_changed(
    then: dict[str, bytes | None], code: str | None
) -> None:
    at = built()
    raw = {path: bytes(data) for path, data in at.found.manifests.raw.items()}
    own = of_manifest(manifest(str(image("1"))))
    answer = telling(NeedRecord=own, NeedFilesAt={**raw, **then})
    found = decided(wish(), at, answer)
    assert code_of(found) == code
    assert found.plan is not None
    told = any(one.endswith("but nothing of it changed since the image ran")
               for one in found.plan.findings)  # fmt: skip
    assert told == (code is None)


def test_an_unknown_effect_of_which_no_commit_is_known_is_refused_unless_it_is_accepted() -> None:
    found = decided(wish(), built())
    assert code_of(found) == "effect"
    assert isinstance(found, Refused)
    assert found.error.message.endswith("t.yaml: what it does is not followed")
    assert found.error.hint.endswith("--accept effect")
    assert code_of(decided(wish("effect"), built())) is None


def test_plainly_nobody_is_asked_for_more_than_the_choice() -> None:
    asked = []

    def answer(need: Any, facts: Any) -> Any:  # noqa: ANN401
        asked.append(type(need).__name__)
        return plainly(need, facts)

    changed(wish(), there(), answer)
    assert asked == ["NeedRecord", "NeedCheck", "NeedPlatforms", "NeedLog", "NeedRevision"]


@pytest.mark.parametrize("code", [UNKNOWN, OTHER, WARNING])
@pytest.mark.parametrize("recipe", [None, Recipe("apps")])
@pytest.mark.parametrize("commit", [None, "2" * 40])
@pytest.mark.parametrize("paths", [(), (PATH,)])
@pytest.mark.parametrize("is_as_then", [True, False])
def test_an_effect_is_restored_unless_another_is_sure_or_a_file_changed(
    code: str,
    recipe: Recipe | None,
    commit: str | None,
    paths: tuple[str, ...],
    *,
    is_as_then: bool,
) -> None:
    """What takes effect surely, and is not what was meant, is so whatever was before."""
    at = built()
    then = {PATH: at.found.manifests.raw[PATH]} if is_as_then else {PATH: CLAIM.encode()}
    facts = Facts(at, URL)
    if commit:
        facts = facts.knowing({NeedFilesAt(commit, (PATH,)): then})
    found = restored(facts, [Finding(code, "it may not", paths=paths, recipe=recipe)], (), commit)
    is_restored = code == UNKNOWN or (code == OTHER and recipe is not None)
    is_restored = is_restored and is_as_then and bool(commit and paths)
    told = "cart production: it may not; but nothing of it changed since the image ran"
    assert found == (told if is_restored else "")

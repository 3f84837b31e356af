"""Several changes are one commit, all or nothing, and each has the effect it was judged by."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest

from gitops_rollback.decide import record as recorded
from gitops_rollback.decide.change import Change, Refused, together
from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.decide.effect import findings_of, findings_of_each
from gitops_rollback.decide.facts import (
    Digest,
    Facts,
    Need,
    NeedDigest,
    NeedFindings,
    Platforms,
    ServiceAtTip,
    StateVersions,
)
from gitops_rollback.decide.standing import tells_what_stands
from gitops_rollback.decide.wish import Wish
from gitops_rollback.effective import resolve as resolve_module
from gitops_rollback.effective.effect import Effect, Idle, Landed, judge_each
from gitops_rollback.errors import (
    ConfigError,
    GitopsRollbackError,
    ManifestError,
    MovedError,
    NotFoundError,
    RefusedError,
)
from gitops_rollback.ledger.events import from_state
from gitops_rollback.ledger.fields import note_written
from gitops_rollback.ledger.holds import Bad, HeldFile, Holds
from gitops_rollback.ledger.records import MadeRecord
from gitops_rollback.ledger.state import LONGEST_BAD_LIST, State, parse_state, render_state
from gitops_rollback.manifest.edit import FieldEdit
from gitops_rollback.repo.objects import Tip
from gitops_rollback.run import settle
from gitops_rollback.services import inventory
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import (
    PATH,
    PRESENT,
    URL,
    at,
    bad_entry,
    changed,
    decided,
    digest,
    hold_of,
    image,
    manifest,
    plainly,
    record,
    service_at_tip,
    state,
    stored,
    telling,
)
from unit.test_noted_fields import NOTED
from unit.test_repair import told, version
from unit.test_transitions import HELD, MARKED, MARKER

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.look.looker import Looker

STATE = ".gitops-rollback/production/cart.json"
HOLD = hold_of("2", "1", "it crashed", at(2), "jane")
SHOP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {containers: [{name: web, image: 'acme/shop:1'}]}}}
"""


def deploy(to: str, name: str = "docker.io/acme/cart", *accept: str) -> Wish:
    return Wish("deploy", PRESENT, image=image(to, name), accept=frozenset(accept))


def two_services(**files: bytes) -> tuple[ServiceAtTip, ServiceAtTip]:
    """Cart and shop of one branch, which share its files."""
    found = {PATH: manifest("acme/cart:1"), "apps/shop.yaml": SHOP.encode(), **files}
    manifests = read_manifests(found)
    tip, production = Tip("main", "1" * 40), Environment("production")
    cart, shop = (resolve(name, production, Config(), manifests) for name in ("cart", "shop"))
    return ServiceAtTip(tip, cart, None), ServiceAtTip(tip, shop, None)


def test_a_commit_writes_each_file_once_with_all_that_changes_in_it() -> None:
    change = changed(
        Wish("rollback", PRESENT), service_at_tip(str(image("2")), state("1>2"), MARKED)
    )
    commit = together([change], skip=False)
    text = (commit.files[PATH] or b"").decode()
    assert f"image: {image('1')} # {HELD}\n" in text
    assert {*commit.files} == {PATH, STATE, f".gitops-rollback/.held/{change.state.hold.id}.json"}  # type: ignore[union-attr]
    assert change.state is not None
    assert commit.files[STATE] == render_state(change.state)
    assert commit.changes_what_runs
    assert commit.diff.splitlines()[:2] == [f"--- a/{PATH}", f"+++ b/{PATH}"]
    assert [line for line in commit.diff.splitlines() if line[0] == "+"][1:] == [
        f"+          image: {image('1')} # {HELD}"
    ]
    assert MARKER not in text


def test_a_file_that_is_deleted_stands_in_no_diff() -> None:
    at_tip = service_at_tip("acme/cart:1", state("0>1"))
    commit = together([changed(Wish("retire", PRESENT), at_tip)], skip=False)
    assert (commit.files, commit.diff) == ({STATE: None}, "")


def test_two_services_are_deployed_by_one_commit_with_their_joint_effect() -> None:
    cart, shop = two_services()
    changes = [changed(deploy("2"), cart), changed(deploy("2", "docker.io/acme/shop"), shop)]
    files = together(changes, skip=False).files
    assert f"acme/cart:2@{digest('2')}" in (files[PATH] or b"").decode()
    assert f"acme/shop:2@{digest('2')}" in (files["apps/shop.yaml"] or b"").decode()


def test_two_names_of_one_field_that_go_back_are_held_by_one_hold() -> None:
    cart = service_at_tip(str(image("2")), state("1>2"))
    other = replace(cart, found=replace(cart.found, service="basket"))
    changes = [changed(Wish("rollback", PRESENT), one) for one in (cart, other)]
    commit = together(changes, skip=False)
    first, second = (one.state for one in commit.changes)
    assert first is not None
    assert first.hold is not None
    assert second is not None
    assert second.hold == first.hold
    held = [path for path in commit.files if path.startswith(".gitops-rollback/.held/")]
    assert held == [f".gitops-rollback/.held/{first.hold.id}.json"]
    assert second.deployed[0].id != first.deployed[0].id, "each name tells of its own deed"


def test_two_names_of_one_field_get_one_image_in_a_commit_and_each_its_state_file() -> None:
    cart = service_at_tip("acme/cart:1")
    web = replace(cart, found=replace(cart.found, service="web"))
    both = [changed(deploy("2"), cart), changed(deploy("2"), web)]
    assert STATE.replace("cart.json", "web.json") in together(both, skip=False).files
    with pytest.raises(ConfigError, match="the field of web production, and of another"):
        together([both[0], changed(deploy("3"), web)], skip=False)


KUSTOMIZATION = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
"""
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./apps, sourceRef: {kind: GitRepository, name: flux-system}}
"""
NAMES = tuple(f"svc-{number}" for number in range(12))


def plain() -> dict[str, str]:
    return {f"apps/{n}/deployment.yaml": SHOP.replace("shop", n) for n in NAMES}


def listed() -> dict[str, str]:
    """All in one kustomization, which Flux applies."""
    inner = {
        f"apps/{n}/kustomization.yaml": f"{KUSTOMIZATION}resources: [deployment.yaml]\n"
        for n in NAMES
    }
    above = f"{KUSTOMIZATION}resources: [{', '.join(NAMES)}]\n"
    return {**plain(), **inner, "apps/kustomization.yaml": above, "clusters/apps.yaml": FLUX}


def entered() -> dict[str, str]:
    """All versions in the entries of one overlay."""
    entries = "".join(f"- {{name: acme/{n}, newTag: '1', digest: ''}}\n" for n in NAMES)
    return {
        "base/kustomization.yaml": f"{KUSTOMIZATION}resources: [all.yaml]\n",
        "base/all.yaml": "---\n".join(plain().values()),
        "apps/kustomization.yaml": f"{KUSTOMIZATION}resources: [../base]\nimages:\n{entries}",
    }


def failing() -> dict[str, str]:
    """A patch that fails, and the build with it, once the image of one service is another."""
    above = f"""{KUSTOMIZATION}resources: [{", ".join(NAMES)}]
patches:
  - target: {{kind: Deployment, name: svc-3}}
    patch: |
      - {{op: test, path: /spec/template/spec/containers/0/image, value: 'acme/svc-3:1'}}
"""
    return {**listed(), "apps/kustomization.yaml": above}


def copying(source: str = "kind: Deployment, name: svc-3", more: str = "") -> dict[str, str]:
    """The tag of one service is written into the image of another."""
    above = f"""{KUSTOMIZATION}resources: [{", ".join(NAMES)}]
{more}
replacements:
  - source:
      {source.replace(", ", chr(10) + "      ")}
      fieldPath: spec.template.spec.containers.0.image
      options: {{delimiter: ':', index: 1}}
    targets:
      - select: {{kind: Deployment, name: svc-7}}
        fieldPaths: [spec.template.spec.containers.0.image]
        options: {{delimiter: ':', index: 1}}
"""
    return {**listed(), "apps/kustomization.yaml": above}


def in_a_file() -> dict[str, str]:
    """What is copied is told by another file."""
    above = f"{KUSTOMIZATION}resources: [{', '.join(NAMES)}]\nreplacements: [{{path: copy.yaml}}]\n"
    return {**listed(), "apps/kustomization.yaml": above, "apps/copy.yaml": "targets: []\n"}


def in_no_list() -> dict[str, str]:
    """What is copied stands where kustomize takes none."""
    above = f"{KUSTOMIZATION}resources: [{', '.join(NAMES)}]\nreplacements: {{source: {{}}}}\n"
    return {**listed(), "apps/kustomization.yaml": above}


def asked(files: dict[str, str]) -> list[tuple[NeedFindings, ServiceAtTip]]:
    """What all services want to write, at once."""
    manifests = read_manifests({path: text.encode() for path, text in files.items()})
    found: list[tuple[NeedFindings, ServiceAtTip]] = []
    for name in NAMES:
        try:
            fields = resolve(name, Environment("production"), Config(), manifests)
        except ManifestError:
            continue  # a replacement sets its image
        to = image("2", f"docker.io/acme/{name}")
        edits = deploy_edits(fields.fields, to, frozenset({"tag"}), "tag")
        written = tuple((edit.field.key, edit.value) for edit in edits)
        at_tip = ServiceAtTip(Tip("main", "1" * 40), fields, None)
        found.append((NeedFindings(written, to, edits), at_tip))
    return found


@pytest.mark.parametrize(
    ("make", "resolved", "alone"),
    [
        pytest.param(plain, 1, 0, id="plain files"),
        pytest.param(listed, 1, 0, id="one folder of Flux"),
        pytest.param(entered, 1, 0, id="entries of one overlay"),
        pytest.param(failing, 6, 1, id="one that the build fails on"),
        pytest.param(copying, 1, 1, id="a tag that is copied"),
        pytest.param(
            partial(copying, more="namePrefix: x-"), 0, 11, id="of what may be called otherwise"
        ),
        pytest.param(partial(copying, "name: svc-3"), 1, 1, id="of any kind"),
        pytest.param(partial(copying, "kind: Deployment"), 0, 12, id="of any name"),
        pytest.param(partial(copying, "kind: ConfigMap, name: svc-3"), 1, 0, id="of no workload"),
        pytest.param(
            partial(copying, more="patches: [{path: svc-0, options: {allowNameChange: true}}]"),
            0,
            11,
            id="where a patch renames",
        ),
        pytest.param(in_a_file, 0, 12, id="as a file tells"),
        pytest.param(in_no_list, 0, 12, id="in no list"),
    ],
)
def test_what_many_edits_do_is_computed_once_for_all_and_is_what_each_does_alone(
    make: Callable[[], dict[str, str]],
    resolved: int,
    alone: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = asked(make())
    resolve_fields = Mock(wraps=resolve_module.resolve_fields)
    monkeypatch.setattr(inventory, "resolve_fields", resolve_fields)
    together_ = findings_of_each(wanted)
    assert (resolve_fields.call_count, together_.count(None)) == (resolved, alone)
    by_itself = [findings_of(at_tip, need.edits, need.image) for need, at_tip in wanted]
    assert [one or b for one, b in zip(together_, by_itself, strict=True)] == by_itself


def test_an_edit_that_cannot_be_made_is_left_to_whoever_judges_it_alone() -> None:
    bad, *others = asked(entered())
    edit = FieldEdit(bad[0].edits[0].field, "no version")
    with pytest.raises(ManifestError, match="has no place for"):
        findings_of(bad[1], (edit,), bad[0].image)
    found = findings_of_each([(replace(bad[0], edits=(edit,)), bad[1]), *others])
    assert found == [None, *([()] * len(others))]


def landed(name: str, tag: str) -> Landed:
    place = ("apps", "Deployment", "", name, "web")
    return Landed(*place, f"acme/{name}", f":{tag}", (f"{name}.yaml", 0, "/image"))


def test_edits_that_together_do_more_than_was_meant_are_judged_alone() -> None:
    before = Effect((landed("a", "1"), landed("b", "1"), landed("c", "1")))
    meant = [{one.decider: image("2", f"docker.io/acme/{one.workload}")} for one in before.landed]
    right = Effect((landed("a", "2"), landed("b", "2"), landed("c", "1")))
    moved = Effect((landed("a", "2"), landed("b", "2"), landed("c", "2")))
    wrong = Effect((landed("a", "2"), landed("b", "3"), landed("c", "1")))
    gone = Effect((landed("a", "2"), landed("b", "2")))
    idle = replace(right, idle={("a.yaml", 0, "/other"): Idle("it is new")})
    for after in (moved, wrong, gone, idle, None):
        assert judge_each(before, Mock(return_value=after), meant[:2]) == [None, None]
    assert judge_each(before, Mock(return_value=right), meant[:2]) == [(), ()]
    assert judge_each(before, Mock(return_value=right), [meant[0], meant[0]]) == [None, None]


@pytest.mark.parametrize("make", [plain, failing])
def test_services_of_one_run_ask_together_for_what_their_edits_do(
    make: Callable[[], dict[str, str]],
) -> None:
    wanted = asked(make())
    asked_for: list[int] = []

    class Answers:
        def answer(self, need: Need[Any], facts: Facts) -> object:
            assert not isinstance(need, NeedFindings)
            return plainly(need, facts)

        def answer_together(self, asked: list[tuple[Need[Any], Facts]]) -> dict[int, object]:
            effects = [(n, f.at) for n, f in asked if isinstance(n, NeedFindings)]
            if len(effects) < len(asked):
                return {place: plainly(*one) for place, one in enumerate(asked)}
            asked_for.extend([len(effects)] if effects else [])
            return dict(enumerate(findings_of_each(effects)))

    wishes = [(replace(deploy("2"), image=need.image), Facts(at_, URL)) for need, at_ in wanted]
    found = settle(cast("Looker", Answers()), wishes)
    alone = [decided(wish, facts.at) for wish, facts in wishes]
    assert asked_for == [len(wishes)]
    assert [type(one) for one in found] == [type(one) for one in alone]
    for one, other in zip(found, alone, strict=True):
        if isinstance(one, Refused) and isinstance(other, Refused):
            assert one.error.message == other.error.message
        elif isinstance(one, Change) and isinstance(other, Change):
            assert (one.edits, one.proof) == (other.edits, other.proof)


REFUSED = RefusedError("held", "it is held", "release it")
NO_IMAGE = NotFoundError("there is no image", "name one")


def refused(error: GitopsRollbackError) -> Refused:
    return Refused(service_at_tip("acme/cart:1"), error)


@pytest.mark.parametrize(
    ("errors", "is_one_more", "skip", "message", "hint"),
    [
        ([REFUSED], False, False, "it is held", "release it"),
        ([REFUSED], False, True, "it is held", "release it"),
        (
            [REFUSED], True, False, "1 of 2 services cannot be done, so none was: it is held",
            "release it; --skip-blocked does the others",
        ),
        (
            [REFUSED, NO_IMAGE], False, True,
            "2 of 2 services cannot be done, so none was: there is no image", "name one",
        ),
        ([REFUSED], True, True, None, None),
    ],
)  # fmt: skip
def test_all_is_done_or_nothing_but_what_is_skipped(
    errors: list[GitopsRollbackError],
    is_one_more: bool,  # noqa: FBT001
    skip: bool,  # noqa: FBT001
    message: str | None,
    hint: str | None,
) -> None:
    done = changed(deploy("2"), service_at_tip("acme/cart:1"))
    decisions: list[Change | Refused] = [*map(refused, errors)]
    decisions += [done] if is_one_more else []
    if message is None:
        commit = together(decisions, skip=skip)
        assert (commit.changes, [one.error for one in commit.blocked]) == ((done,), errors)
        return
    with pytest.raises(GitopsRollbackError) as caught:
        together(decisions, skip=skip)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert len(caught.value.found["blocked"]) == len(errors)


def test_what_does_not_concern_one_service_alone_is_never_skipped() -> None:
    done = changed(deploy("2"), service_at_tip("acme/cart:1"))
    moved = MovedError("the branch moved", "again")
    with pytest.raises(MovedError) as caught:
        together([done, refused(REFUSED), refused(moved)], skip=True)
    assert caught.value is moved


def ledger_of(at_tip: ServiceAtTip, after: State) -> dict[str, bytes | None]:
    """The files that a change of the state alone writes."""
    change = changed(Wish("release", PRESENT), replace(at_tip, state=None))
    return dict(together([replace(change, at=at_tip, state=after)], skip=False).files)


def test_a_state_that_moved_is_written_under_the_name_of_its_fields_too() -> None:
    displaced = replace(state("3>4"), service="shop")
    at_tip = replace(service_at_tip("acme/cart:1", state("0>1")), displaced=displaced)
    files = ledger_of(at_tip, state("0>1", hold=HOLD))
    path = ".gitops-rollback/production/shop.json"
    assert parse_state(files[path] or b"", "production", "shop") == displaced


def test_a_new_hold_takes_the_place_of_the_file_of_the_one_before() -> None:
    before = HeldFile("cart", "production", HOLD, (NOTED,))
    next_ = replace(HOLD, deed=replace(HOLD.deed, id="held2"))
    at_tip = replace(service_at_tip("acme/cart:1", state("0>1")), holds=Holds(ours=(before,)))
    files = ledger_of(at_tip, state("0>1", hold=next_))
    assert files[before.path] is None
    held = json.loads(files[".gitops-rollback/.held/held2.json"] or b"")
    assert [one["container"] for one in held["fields"]] == ["server"]
    same = ledger_of(at_tip, state("0>1", hold=HOLD))
    assert same[before.path] is not None


def test_a_full_bad_list_forgives_nothing_under_other_names() -> None:
    bad = tuple(bad_entry(f"9.{number}", at(1)) for number in range(LONGEST_BAD_LIST))
    other = replace(state("0>1", bad=bad[:1]), service="shop")
    at_tip = replace(service_at_tip("acme/cart:1", state("0>1", bad=bad)), aliases=(other,))
    new = bad_entry("10", at(2))
    path = ".gitops-rollback/production/shop.json"

    def theirs(after: State) -> tuple[Bad, ...]:
        return parse_state(ledger_of(at_tip, after)[path] or b"", "production", "shop").bad

    assert theirs(state("0>1", bad=(new, *bad[1:])))[:2] == (new, bad[0])
    assert bad[0] not in theirs(state("0>1", bad=bad[1:]))


def test_a_hold_and_what_is_bad_stand_in_the_state_files_of_all_names() -> None:
    other = replace(state("0>1"), service="shop")
    at_tip = replace(service_at_tip("acme/cart:1", state("0>1")), aliases=(other,))
    after = state("0>1", "1>2", bad=(bad_entry("1", at(2)),), hold=HOLD)
    files = ledger_of(at_tip, after)
    theirs = parse_state(
        files[".gitops-rollback/production/shop.json"] or b"", "production", "shop"
    )
    assert theirs == replace(other, bad=after.bad, hold=HOLD)
    assert {*ledger_of(replace(at_tip, state=after, aliases=(theirs,)), state("1>2"))} > {STATE}


def test_an_edit_after_which_something_else_would_take_effect_is_an_error() -> None:
    kustomization = b"""\
resources: [cart/deployment.yaml, shop.yaml]
replacements:
  - source:
      kind: Deployment
      name: cart
      fieldPath: spec.template.spec.containers.0.image
      options: {delimiter: ':', index: 1}
    targets:
      - select: {kind: Deployment, name: shop}
        fieldPaths: [spec.template.spec.containers.0.image]
        options: {delimiter: ':', index: 1}
"""
    files = {
        PATH: manifest("acme/cart:1"),
        "apps/shop.yaml": SHOP.encode(),
        "apps/kustomization.yaml": kustomization,
    }
    found = resolve("cart", Environment("production"), Config(), read_manifests(files))
    answer = decided(deploy("2"), ServiceAtTip(Tip("main", "1" * 40), found, None))
    assert isinstance(answer, Refused)
    assert isinstance(answer.error, ManifestError)
    assert "shop" in answer.error.message


TWO = """\
kind: Pod
metadata: {name: cart}
spec:
  containers:
    - {name: server, image: '{image}'}
    - {name: worker, image: 'acme/cart:2@DIGEST'}
""".replace("DIGEST", digest("2"))


def test_fields_that_were_written_for_two_images_disagree() -> None:
    at_tip = service_at_tip("acme/cart:2", template=TWO)
    noted = note_written(at_tip.found.fields[0], "acme/cart:2", image("2@B"))
    with pytest.raises(ConfigError, match="cart"):
        changed(deploy("3"), replace(at_tip, state=replace(state("1>2"), fields=(noted,))))
    assert tells_what_stands(replace(state("1>2"), fields=(noted,)), at_tip.found.fields[:1])
    assert not tells_what_stands(replace(state("1>2"), fields=(noted,)), at_tip.found.fields)
    assert not tells_what_stands(None, at_tip.found.fields)


def test_a_tag_that_the_registry_knows_is_deployed_with_its_digest() -> None:
    answer = telling(NeedDigest=Digest(digest("3")))
    for text in ("acme/cart:3", "acme/cart"):
        doing = Wish("deploy", PRESENT, image=image("~3", text.partition(":")[0]))
        doing = replace(doing, image=replace(doing.image, tag="3" if ":" in text else None))  # type: ignore[type-var]
        to = changed(doing, service_at_tip("acme/cart:1"), answer).summary.to
        assert (to.tag, to.digest) == ("3" if ":" in text else "latest", digest("3"))


def test_what_ran_before_the_first_deploy_of_all_does_not_soften_a_missing_platform() -> None:
    lacks = Platforms(frozenset({"linux/amd64"}), frozenset({"linux/arm64"}))
    at_tip = service_at_tip(str(image("1")), state(">1"))
    found = decided(deploy("2"), at_tip, telling(NeedPlatforms=lacks))
    assert isinstance(found, Refused)
    assert found.code == "platform"


def test_a_record_of_fields_that_are_another_service_s_by_now_does_not_fit() -> None:
    noted = replace(record("1", "2").fields[0], path="apps/other.yaml", name="other")
    own = stored("1", "2", sha256=digest("x"), fields=(noted,))
    displaced = replace(state("0>1"), service="shop", fields=(noted,))
    at_tip = replace(service_at_tip(str(image("1")), state("0>1")), displaced=displaced)
    with pytest.raises(ConfigError, match="its fields are those of another service by now"):
        changed(replace(deploy("2"), record=own), at_tip)


def test_a_record_is_made_by_itself_or_asks_for_what_is_missing() -> None:
    facts = Facts(service_at_tip("acme/cart:1"), URL)
    doing = Wish("record", PRESENT)
    made = recorded(doing, facts, "deploy", None)
    assert isinstance(made, MadeRecord)
    assert made.stored.record.digest_from is None
    need = recorded(doing, facts, "deploy", image("2"))
    assert isinstance(need, NeedDigest)
    answered = facts.knowing({need: plainly(need, facts)})
    assert isinstance(recorded(doing, answered, "deploy", image("2")), MadeRecord)
    with pytest.raises(ConfigError, match="of another repository"):
        recorded(doing, facts, "deploy", image("2", "docker.io/acme/shop"))


RIGHT = version(1, told("deploy"), state("1>2"))


def repaired(versions: StateVersions, *events: Any) -> Change:  # noqa: ANN401
    answer = telling(NeedStateVersions=versions, NeedAccount=events)
    at_tip = service_at_tip(str(image("2")))
    return changed(Wish("repair", PRESENT), at_tip, answer)


def test_a_broken_state_file_is_mended_from_its_last_sound_version() -> None:
    change = repaired(StateVersions(b"{", (version(2, "By hand", b"{"), RIGHT)))
    assert change.state == state("1>2")
    assert "is no complete JSON" in change.warnings[0]
    assert change.at.state is None


def test_a_sound_state_file_stays_as_it_is() -> None:
    change = repaired(StateVersions(RIGHT.data, (RIGHT,)))
    assert not change.changes_anything


def test_without_a_sound_version_commits_and_records_tell() -> None:
    change = repaired(StateVersions(None), *reversed(from_state(state("1>2"))))
    assert change.state is not None
    assert change.state.deployed[0].image == image("2")
    assert "no sound version of .gitops-rollback/production/cart.json" in change.warnings[0]


def test_where_nothing_tells_there_is_nothing_to_rebuild() -> None:
    with pytest.raises(NotFoundError, match="neither commits nor records tell of a deployment"):
        repaired(StateVersions(None))

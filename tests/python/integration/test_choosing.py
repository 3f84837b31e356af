"""What a rollback goes back to: from state, history and edits by hand, and by `--to`."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.refusals import JOB_ALLOWS
from integration.shop import (
    CART,
    CART_PATH,
    CART_STATE,
    FILES,
    Shop,
    canonical,
    digest,
    image,
    names,
)

if TYPE_CHECKING:
    from integration.conftest import Workshop

PLAN = ("--service", "cart")


def test_the_first_plan_on_a_repository_without_any_state_uses_its_history(shop: Shop) -> None:
    shop.edit("replicas: 2", "replicas: 4", by="Ada")
    shop.edit("acme/cart:1.4.1", "acme/cart:1.4.2", by="Ben")
    shop.commit({"README.md": "# Another file\n"})
    shop.edit("acme/cart:1.4.2", "acme/cart:1.5.0", by="Cleo")
    shop.edit("replicas: 4", "replicas: 5", by="Ada")
    plan = shop.ok("plan", *PLAN).service()
    assert plan["current"]["image"] == "docker.io/acme/cart:1.5.0"
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.2"
    assert plan["to"]["source"] == "git"
    assert names(plan["candidates"], "image") == [
        "docker.io/acme/cart:1.4.2",
        "docker.io/acme/cart:1.4.1",
    ]
    run = shop.roll_back()
    assert run.service()["to"] == "docker.io/acme/cart:1.4.2"
    assert "replicas: 5" in shop.text()


def test_an_edit_by_hand_on_top_of_the_state_is_spliced_on(released: Shop) -> None:
    released.edit(image("1.5.0"), "acme/cart:1.6.0", by="Ada")
    plan = released.ok("plan", *PLAN).service()
    assert plan["current"]["image"] == "docker.io/acme/cart:1.6.0"
    assert plan["to"]["image"] == canonical("1.5.0")
    assert names(plan["candidates"], "image") == [
        canonical("1.5.0"),
        canonical("1.4.2"),
        "docker.io/acme/cart:1.4.1",
    ]
    released.roll_back()
    assert released.state()["bad"][0]["image"] == "docker.io/acme/cart:1.6.0"


def test_an_edit_back_by_hand_counts_as_a_rollback(released: Shop) -> None:
    released.edit(image("1.5.0"), image("1.4.2"), by="Ada")
    run = released.refused(6, "refused", "rollback", *PLAN, "--reason", "x")
    assert run.error["code"] == "already"
    assert "Ada" in run.error["message"]
    run = released.ok("rollback", *PLAN, "--reason", "x", "--again")
    assert run.service()["to"] == "docker.io/acme/cart:1.4.1"


def test_a_bad_image_that_was_put_back_by_hand_is_never_gone_back_to(held: Shop) -> None:
    held.edit(image("1.4.2"), image("1.5.0"), by="Ada")
    held.edit(image("1.5.0"), "acme/cart:1.7.0", by="Ada")
    plan = held.ok("plan", *PLAN).service()
    verdicts = {c["image"]: (c["verdict"], c.get("reason")) for c in plan["candidates"]}
    assert verdicts[canonical("1.5.0")] == ("refused", "bad")
    assert plan["to"]["image"] == canonical("1.4.2")


def test_a_git_revert_of_a_rollback_reads_as_if_it_had_never_been(held: Shop) -> None:
    rollback = held.tip() or ""
    before = held.git("rev-parse", f"{rollback}^")
    there = held.git("ls-tree", "-r", "--name-only", before).splitlines()
    written = held.changed()
    assert any(path.startswith(".gitops-rollback/.held/") for path in written)
    files = {p: held.bytes_of(p, before) if p in there else None for p in written}
    held.commit(files, "Revert the rollback")
    plan = held.ok("plan", *PLAN).service()
    assert plan["current"]["image"] == canonical("1.5.0")
    assert "hold" not in plan
    assert plan["blockedBy"] == []
    assert held.roll_back().service()["to"] == canonical("1.4.2")


def test_a_merge_that_brought_a_deploy_is_reverted_with_it(released: Shop) -> None:
    deploy = released.tip() or ""
    before = released.git("rev-parse", f"{deploy}^")
    commit = ("-c", "user.name=Ada", "-c", "user.email=ada@acme.example", "commit-tree")
    merged = (f"{deploy}^{{tree}}", "-p", before, "-p", deploy, "-m", "Merge pull request #3")
    merge = released.git(*commit, *merged)
    undo = f'Revert "Merge"\n\nThis reverts commit {merge}, reversing\nchanges made to {before}.'
    taken = released.git(*commit, f"{before}^{{tree}}", "-p", merge, "-m", undo)
    released.git("update-ref", "refs/heads/main", taken)
    run = released.refused(6, "refused", "rollback", *PLAN, "--reason", "x")
    assert "1.5.0 was reverted by hand" in run.error["message"]
    assert "by Ada, 1.5.0 → 1.4.2" in run.error["message"]


@pytest.fixture
def built_thrice(workshop: Workshop) -> Shop:
    """A shop in which the builds 7, 8 and 9 of a job have deployed."""

    def make(shop: Shop) -> Shop:
        shop.open(FILES)
        for number, tag in ((7, "1.4.2"), (8, "1.5.0"), (9, "1.6.0")):
            build = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": str(number)}
            shop.deploy(tag, environment=build)
        return shop

    return workshop.shop("built thrice", make)


@pytest.mark.parametrize(
    "to",
    [
        "1.4.2",
        digest("cart:1.4.2"),
        image("1.4.2"),
        "docker.io/acme/cart:1.4.2",
        "#7",
        "shop/cart#7",
    ],
)
def test_to_names_a_tag_a_digest_an_image_or_a_build(built_thrice: Shop, to: str) -> None:
    plan = built_thrice.ok("plan", *PLAN, "--to", to).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["build"]["number"] == 7, "the build that deployed it"
    assert plan["to"]["archivedBy"]["number"] == 8, "the archive that holds its record"


@pytest.mark.parametrize(
    ("to", "code", "category", "words"),
    [
        ("#77", 1, "config", "#8"),
        ("other/job#7", 1, "config", "shop/cart #7"),
        ("acme/payment:2.0.0", 1, "config", "another repository"),
        ("-- no tag", 2, "usage", "1.4.2"),
        ("acme/CART:1", 2, "usage", "acme/cart"),
        ("sha256:beef", 2, "usage", ""),
    ],
)
def test_a_wrong_to_is_one_clear_error(
    built_thrice: Shop, to: str, code: int, category: str, words: str
) -> None:
    run = built_thrice.refused(code, category, "plan", *PLAN, f"--to={to}")
    assert words in run.error["message"] + run.error["hint"]


def test_a_tag_that_no_registry_tells_the_digest_of_is_refused_by_its_code(
    built_thrice: Shop,
) -> None:
    plan = built_thrice.ok("plan", *PLAN, "--to=9.9.9").service()
    assert [block["code"] for block in plan["blockedBy"]] == ["tag", "never-ran"]
    why = ("--to=9.9.9", "--reason", "x")
    run = built_thrice.refused(6, "refused", "rollback", *PLAN, *why)
    assert (run.error["code"], "9.9.9" in run.error["message"]) == ("tag", True)
    assert "--accept tag" in run.error["hint"]


def test_to_the_bad_image_is_refused_until_it_is_accepted(held: Shop) -> None:
    run = held.refused(6, "refused", "rollback", *PLAN, "--to", "1.5.0", "--reason", "x")
    assert run.error["code"] == "bad"
    assert "--accept bad" in run.error["hint"]
    run = held.ok("rollback", *PLAN, "--to", "1.5.0", "--reason", "x", "--accept", "bad,gone")
    assert run.service()["to"] == canonical("1.5.0")
    assert names(held.state()["bad"], "image") == [canonical("1.4.2")]


def test_a_rollback_to_what_runs_is_done_with_0(released: Shop) -> None:
    tip = released.tip()
    run = released.ok("rollback", *PLAN, "--to", "1.5.0", "--reason", "x")
    assert run.result["changed"] is False
    assert released.tip() == tip


def test_from_names_what_must_run_now(released: Shop) -> None:
    for wanted in ("acme/cart:1.5.0", image("1.5.0"), f"acme/cart@{digest('cart:1.5.0')}"):
        released.ok("plan", *PLAN, "--from", wanted)
    for command in ("plan", "rollback", "deploy"):
        more = {
            "plan": (),
            "rollback": ("--reason", "x"),
            "deploy": ("--image", image("1.6.0")),
        }[command]
        run = released.refused(5, "moved", command, *PLAN, *more, "--from", "acme/cart:1.4.2")
        assert canonical("1.5.0") in run.error["message"]
        assert "docker.io/acme/cart:1.4.2" in run.error["message"]


def test_the_line_that_a_plan_ends_with_does_what_it_shows(held: Shop) -> None:
    asked = ("--again", "--strategy", "git", "--from", image("1.4.2"), "--accept", "bad")
    run = held.ok("plan", *PLAN, *asked)
    line = run.stderr.rpartition("to do it: ")[2].strip()
    words = shlex.split(line.replace("TEXT", "'one further'"))
    assert words[:2] == ["gitops-rollback", "rollback"]
    assert not {"--environment", "--timeout", "--skip-blocked"} & set(words)
    done = held.ok(*words[1:])
    assert done.service()["to"] == run.service()["to"]["image"] == "docker.io/acme/cart:1.4.1"
    by_variable = {"GITOPS_STRATEGY": "git", "GITOPS_TO": "1.4.2", "GITOPS_ACCEPT": "bad"}
    said = held.ok("plan", *PLAN, environment=by_variable).stderr
    assert re.search(r"to do it: \S+ rollback cart --repository \S+ --reason TEXT\n", said)


def test_the_line_below_a_refusal_does_what_was_refused(held: Shop) -> None:
    seen = []
    for arguments in (
        ("rollback", *PLAN, "--reason", "it fails still"),
        ("deploy", *PLAN, "--image", image("1.6.0")),
        ("deploy", *PLAN, "--image", image("1.5.0")),
    ):
        run = held.run(*arguments)
        while run.code == 6:
            seen.append(run.error["code"])
            line = re.search(r"^[^:]+: gitops-rollback (.+ --.+)$", run.stderr, re.MULTILINE)
            assert line is not None, run.stderr
            run = held.run(*shlex.split(line[1]))
        assert run.code == 0, run.stderr
        assert run.result["changed"]
    assert seen == ["already", "held", "automation", "bad"]


def test_no_previous_image_is_4_with_the_candidates_beside_it(shop: Shop) -> None:
    run = shop.refused(4, "not-found", "plan", *PLAN)
    assert run.service()["candidates"] == []
    run = shop.refused(4, "not-found", "rollback", *PLAN, "--reason", "x")
    assert "--to" in run.error["hint"]


@pytest.mark.parametrize("strategy", ["artifact", "git", "auto"])
def test_every_ledger_finds_the_same_previous_image(released: Shop, strategy: str) -> None:
    plan = released.ok("plan", *PLAN, "--strategy", strategy).service()
    assert plan["strategy"] == strategy
    assert plan["to"]["image"] == canonical("1.4.2")
    assert plan["to"]["source"] == ("git" if strategy == "git" else "artifact")


def test_the_registry_strategy_needs_the_registry(released: Shop) -> None:
    run = released.refused(1, "registry", "plan", *PLAN, "--strategy", "registry")
    assert "127.0.0.1:1" in run.error["message"]


def test_a_broken_state_file_is_named_with_how_to_mend_it(released: Shop) -> None:
    for data in ("{", "[]", '{"schemaVersion": 1}', '{"schemaVersion": 2}'):
        released.commit({CART_STATE: data})
        run = released.refused(1, "repository", "plan", *PLAN)
        assert CART_STATE in run.error["message"]
    released.commit({CART_STATE: None})
    released.ok("plan", *PLAN)


def test_history_across_a_merge_counts_when_it_was_merged(shop: Shop) -> None:
    base = shop.tip()
    shop.git("update-ref", "refs/heads/side", base or "")
    shop.commit({CART_PATH: CART.replace("1.4.1", "1.5.0")}, "New cart", branch="side", by="Ben")
    shop.commit({"README.md": "# Meanwhile\n"})
    tree = shop.git("merge-tree", "--write-tree", "main", "side").splitlines()[0]
    merge = shop.git(
        *("-c", "user.name=Ada", "-c", "user.email=a@b.example"),
        *("commit-tree", "-p", "main", "-p", "side", "-m", "Merge", tree),
    )
    shop.git("update-ref", "refs/heads/main", merge)
    plan = shop.ok("plan", *PLAN).service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.1"


def test_a_digest_that_never_ran_is_not_let_in_by_a_tag_that_did(released: Shop) -> None:
    """1.4.1 ran, and nobody wrote down with which digest."""
    named = f"acme/cart:1.4.1@{digest('of a build that was never deployed')}"
    accept = ("--accept", ",".join(JOB_ALLOWS), "--allowed-accept", ",".join(JOB_ALLOWS))
    run = released.refused(6, "refused", "rollback", *PLAN, "--to", named, "--reason", "x", *accept)
    assert run.error["code"] == "never-ran"
    released.ok("plan", *PLAN, "--to", "1.4.1")

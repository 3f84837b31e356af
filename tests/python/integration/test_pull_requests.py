"""Protected branches: a pull request instead of a push, on GitHub and on GitLab."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.ledger.holds import path_of_hold
from integration.shop import (
    CART_PATH,
    CART_STATE,
    FILES,
    LEDGER,
    Shop,
    canonical,
    checked_result,
    digest,
    image,
)
from servers.forge import Forge, GitHubServer, GitLabServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.conftest import Workshop
    from integration.shop import Run

TOKEN = "secret-token-4711"
BRANCH = f"gitops-rollback/cart-{digest('cart:1.4.2').partition(':')[2][:12]}"
ROLLBACK = ("--service", "cart", "--reason", "carts are `empty` @team", "--by", "jane")
PROTECTED = {
    GitHubServer: (
        "GH006: Protected branch update failed for refs/heads/main.\n"
        "Changes must be made through a pull request."
    ),
    GitLabServer: "GitLab: You are not allowed to push code to protected branches on this project.",
}
PROJECTS = {GitHubServer: "acme/manifests", GitLabServer: "acme/platform/live/manifests"}


class Guarded:
    """A shop on a Git host whose main branch only takes merges."""

    def __init__(self, shop: Shop, forge: Forge) -> None:
        self.shop = shop
        self.forge = forge
        self.environment = {
            "GIT_USERNAME": "robot",
            "GIT_PASSWORD": TOKEN,
            "GITOPS_FORGE": forge.kind,
            "GITOPS_STORE": f"directory:{shop.root}/records",
        }

    def run(self, command: str, *arguments: str, **more: str) -> Run:
        environment = {**self.environment, **more}
        return self.shop.run(
            command, *arguments, repository=self.forge.remote, environment=environment
        )

    def propose(self, *arguments: str, **more: str) -> Run:
        """Propose the rollback, which has to wait for its merge."""
        run = self.run("rollback", *ROLLBACK, "--pull-request", *arguments, **more)
        assert run.code == 7, run.stderr
        assert run.error["category"] == "waiting"
        assert "commit" not in run.result
        assert run.result["pullRequest"]["url"] in run.stderr
        return run

    @property
    def lines(self) -> list[str]:
        """The requests to the API, without what stands behind a question mark."""
        return [asked.line.partition("?")[0] for asked in self.forge.requests]


@pytest.fixture(params=[GitHubServer, GitLabServer], ids=["github", "gitlab"])
def guarded(request: pytest.FixtureRequest, released: Shop) -> Iterator[Guarded]:
    kind = request.param
    project = PROJECTS[kind]
    bare = released.root / f"{project}.git"
    bare.parent.mkdir(parents=True)
    released.bare.rename(bare)
    released.bare = bare
    released.hook(
        "update",
        f'[ "$1" = refs/heads/main ] || exit 0\ncat >&2 <<END\n{PROTECTED[kind]}\nEND\nexit 1',
    )
    with kind(released.root, project, TOKEN, ("robot", TOKEN)) as forge:
        yield Guarded(released, forge)


def test_a_push_to_a_protected_branch_says_how_to_go_on(guarded: Guarded) -> None:
    tip = guarded.shop.tip()
    run = guarded.run("rollback", *ROLLBACK)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "rotected branch" in run.error["message"]
    assert "--pull-request" in run.error["hint"]
    assert guarded.shop.tip() == tip


def test_a_rollback_becomes_a_pull_request_and_exit_7(guarded: Guarded) -> None:
    tip = guarded.shop.tip()
    run = guarded.propose()
    assert guarded.shop.tip() == tip, "nothing is done before the merge"
    (proposal,) = guarded.forge.proposals
    assert (proposal.head, proposal.base) == (BRANCH, "main")
    assert run.result["pullRequest"]["number"] == 1
    assert run.result["pullRequest"]["url"].endswith("/1")
    assert proposal.title == "cart: 1.5.0 → 1.4.2 (rollback)"
    assert guarded.shop.log("%P", BRANCH)[0] == tip
    assert image("1.4.2") in guarded.shop.text(branch=BRANCH)
    hold = path_of_hold(json.loads(guarded.shop.text(CART_STATE, branch=BRANCH))["hold"]["id"])
    assert guarded.shop.changed(BRANCH) == [hold, CART_STATE, CART_PATH]
    assert run.result["seconds"]["push"] > 0


def test_the_body_has_plan_reason_and_diff_and_mentions_nobody(guarded: Guarded) -> None:
    guarded.propose()
    body = guarded.forge.proposals[0].body
    assert f"- from: `{canonical('1.5.0')}`" in body
    assert f"- to: `{canonical('1.4.2')}`" in body
    assert "- reason: `` carts are `empty` @team ``" in body
    assert "- by: `jane`" in body
    assert f"- `{CART_PATH}:" in body
    assert "- hold: held until it is released" in body
    chosen = next(line for line in body.splitlines() if line.startswith("| chosen"))
    assert chosen.startswith("| chosen | `1.4.2` | ")
    assert chosen.endswith(" | `told by git` |")
    diff = body.partition("```diff\n")[2].partition("\n```")[0]
    assert f'-          image: "{image("1.5.0")}" # {{"$imagepolicy"' in diff
    assert f'+          image: "{image("1.4.2")}" # {{"$imagepolicy-held"' in diff


def test_run_again_it_finds_the_same_pull_request_and_pushes_nothing(guarded: Guarded) -> None:
    first = guarded.propose()
    tip = guarded.shop.tip(BRANCH)
    second = guarded.propose("--reason", "asked again", "--by", "ben")
    assert guarded.shop.tip(BRANCH) == tip
    assert second.result["pullRequest"] == first.result["pullRequest"]
    assert len(guarded.forge.proposals) == 1


def test_what_moved_elsewhere_leaves_the_branch_as_it_is(guarded: Guarded) -> None:
    guarded.propose()
    tip = guarded.shop.tip(BRANCH)
    guarded.shop.commit({"apps/ledger/statefulset.yaml": LEDGER.replace("3.1", "3.2")})
    guarded.propose()
    assert guarded.shop.tip(BRANCH) == tip


def test_what_moved_in_the_same_file_is_merged_into_the_branch_without_force(
    guarded: Guarded,
) -> None:
    guarded.propose()
    earlier = guarded.shop.tip(BRANCH)
    base = guarded.shop.edit("replicas: 2", "replicas: 7")
    guarded.propose()
    assert guarded.shop.log("%P", BRANCH)[0] == f"{earlier} {base}"
    assert "replicas: 7" in guarded.shop.text(branch=BRANCH)
    assert image("1.4.2") in guarded.shop.text(branch=BRANCH)
    assert len(guarded.forge.proposals) == 1
    merged = guarded.forge.merge(1)
    assert guarded.shop.tip() == merged
    assert guarded.shop.state()["hold"]["reason"] == "carts are `empty` @team"


def test_a_branch_that_people_changed_is_brought_back_to_the_plan(guarded: Guarded) -> None:
    guarded.propose()
    text = guarded.shop.text(branch=BRANCH).replace(image("1.4.2"), "acme/cart:evil")
    by_hand = guarded.shop.commit({CART_PATH: text}, branch=BRANCH)
    guarded.propose()
    assert image("1.4.2") in guarded.shop.text(branch=BRANCH)
    assert by_hand in guarded.shop.log("%H", BRANCH), "and nothing is forced away"


@pytest.mark.parametrize("left", [None, b'{"schemaVersion": 2}'], ids=["deleted", "emptied"])
def test_a_hold_that_people_took_from_the_branch_is_brought_back(
    guarded: Guarded, left: bytes | None
) -> None:
    guarded.propose()
    state = json.loads(guarded.shop.text(CART_STATE, branch=BRANCH))
    guarded.shop.commit({path_of_hold(state["hold"]["id"]): left}, branch=BRANCH)
    guarded.propose()
    again = json.loads(guarded.shop.text(CART_STATE, branch=BRANCH))
    path = path_of_hold(again["hold"]["id"])
    held = json.loads(guarded.shop.text(path, branch=BRANCH))
    assert held["hold"]["from"] == canonical("1.5.0")
    listed = guarded.shop.git("ls-tree", "-r", "--name-only", BRANCH, ".gitops-rollback/.held")
    assert listed == path, "and none is left of the first run"


def test_a_branch_left_from_an_earlier_time_is_used_again(guarded: Guarded) -> None:
    guarded.propose()
    guarded.forge.merge(1, "squash")
    guarded.shop.hook("update", "exit 0")
    reason = ("--service", "cart", "--reason", "fixed", "--accept", "automation")
    assert guarded.run("release", *reason).code == 0
    service = ("--service", "cart", "--image", image("1.6.0"))
    assert guarded.run("deploy", *service).code == 0
    run = guarded.run("rollback", *ROLLBACK, "--pull-request")
    assert run.code == 7, run.stderr
    assert run.result["pullRequest"]["number"] == 2
    assert guarded.forge.proposals[1].head == BRANCH
    guarded.forge.merge(2)
    assert image("1.4.2") in guarded.shop.text()


def test_one_opened_meanwhile_by_another_run_is_taken(guarded: Guarded) -> None:
    guarded.propose()
    guarded.forge.force(200, [])
    guarded.propose()
    assert len(guarded.forge.proposals) == 1
    assert [line.partition(" ")[0] for line in guarded.lines[-3:]] == ["GET", "POST", "GET"]


def test_one_of_a_fork_with_a_branch_of_the_same_name_is_not_taken(guarded: Guarded) -> None:
    foreign = guarded.forge.add(BRANCH, "main", "Merge me", "from elsewhere")
    foreign.is_of_fork = True
    run = guarded.propose()
    assert run.result["pullRequest"]["number"] == 2
    again = guarded.propose()
    assert again.result["pullRequest"] == run.result["pullRequest"]


def test_one_of_another_branch_is_not_taken_where_a_host_does_not_look_for_ours(
    guarded: Guarded,
) -> None:
    other = guarded.forge.add("their-branch", "main", "Another change", "")
    guarded.forge.force(200, [guarded.forge.show(other)])
    assert guarded.propose().result["pullRequest"]["number"] == 2


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_waiting_for_the_merge_ends_with_the_commit_on_the_base(guarded: Guarded, how: str) -> None:
    arguments = ("--pull-request", "--wait-for-merge", "--timeout", "300")
    process = guarded.shop.start(
        "rollback",
        *(*ROLLBACK, *arguments),
        repository=guarded.forge.remote,
        environment=guarded.environment,
    )
    end = time.monotonic() + 120
    while len(guarded.lines) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    guarded.shop.commit({"README.md": "# before\n"})
    commit = guarded.forge.merge(1, how)
    if how == "squash":  # as people do, and GitLab by itself
        guarded.forge.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    guarded.shop.commit({"README.md": "# after\n"})
    shown, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    result = checked_result(guarded.shop.root / "result.json", "rollback")
    assert result["commit"] == commit
    assert result["pullRequest"]["number"] == 1
    assert result["seconds"]["merge"] > 0
    assert "cart: 1.5.0 → 1.4.2 rolled back, held" in shown.decode()


def test_waiting_ends_with_the_timeout_and_exit_7(guarded: Guarded) -> None:
    run = guarded.propose()
    again = guarded.propose("--wait-for-merge", "--timeout", "8")
    assert again.result["pullRequest"] == run.result["pullRequest"]


def test_one_that_was_closed_is_a_failure(guarded: Guarded) -> None:
    guarded.propose()
    guarded.forge.force(200, [guarded.forge.show(guarded.forge.proposals[0])])
    guarded.forge.close(1)
    run = guarded.run("rollback", *ROLLBACK, "--pull-request", "--wait-for-merge")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "closed and not merged" in run.error["message"]
    assert run.result["pullRequest"]["number"] == 1


def test_one_that_is_merged_and_taken_back_at_once_is_said(guarded: Guarded) -> None:
    guarded.propose()
    guarded.forge.force(200, [guarded.forge.show(guarded.forge.proposals[0])])
    tip = guarded.shop.tip() or ""
    guarded.forge.merge(1)
    guarded.shop.git("update-ref", "refs/heads/main", tip)
    run = guarded.run("rollback", *ROLLBACK, "--pull-request", "--wait-for-merge", "--timeout", "3")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "is merged, but main does not have" in run.error["message"]


def test_after_the_merge_it_is_as_if_it_had_been_pushed(guarded: Guarded) -> None:
    guarded.propose()
    guarded.forge.merge(1, "squash")
    assert guarded.shop.state()["hold"]["by"] == "jane"
    second = guarded.run("rollback", *ROLLBACK, "--pull-request")
    assert (second.code, second.error.get("code")) == (6, "already")
    deploy = ("--service", "cart", "--image", image("1.6.0"))
    held = guarded.run("deploy", *deploy, "--pull-request")
    assert (held.code, held.error.get("code")) == (6, "held")


def test_deploy_and_release_can_be_proposed_too(guarded: Guarded) -> None:
    deploy = ("--service", "cart", "--image", image("1.6.0"), "--pull-request")
    assert guarded.run("deploy", *deploy).code == 7
    guarded.forge.merge(1)
    assert guarded.run("deploy", *deploy).code == 0, "it runs: nothing is left to do"
    guarded.run("rollback", *ROLLBACK, "--pull-request")
    guarded.forge.merge(2)
    release = ("--service", "cart", "--reason", "fixed", "--accept", "automation", "--pull-request")
    run = guarded.run("release", *release)
    assert run.code == 7, run.stderr
    assert guarded.shop.state()["hold"]
    assert guarded.forge.proposals[2].title == "cart: 1.5.0 (release)"
    guarded.forge.merge(3, "rebase")
    assert "hold" not in guarded.shop.state()
    assert '"$imagepolicy"' in guarded.shop.text()


def test_a_dry_run_opens_nothing(guarded: Guarded) -> None:
    run = guarded.run("rollback", *ROLLBACK, "--pull-request", "--dry-run")
    assert run.code == 0
    assert guarded.lines == []
    assert guarded.shop.tip(BRANCH) is None


def test_waiting_without_a_pull_request_is_a_usage_error(guarded: Guarded) -> None:
    run = guarded.run("rollback", *ROLLBACK, "--wait-for-merge")
    assert (run.code, run.error["category"]) == (2, "usage")


def test_without_a_token_nothing_is_pushed(guarded: Guarded) -> None:
    askpass = guarded.shop.root / "askpass"
    askpass.write_text(f"#!/bin/sh\ncase $1 in User*) echo robot;; *) echo {TOKEN};; esac\n")
    askpass.chmod(0o755)
    run = guarded.run(
        "rollback", *ROLLBACK, "--pull-request", GIT_PASSWORD="", GIT_ASKPASS=str(askpass)
    )
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "there is no token" in run.error["message"]
    assert f"{guarded.forge.kind.upper()}_TOKEN" in run.error["hint"]
    assert guarded.shop.tip(BRANCH) is None


def test_a_token_of_the_public_host_does_not_go_to_this_one(guarded: Guarded) -> None:
    name = f"{guarded.forge.kind.upper()}_TOKEN"
    guarded.propose(**{name: "token-of-another-host"})
    assert {asked.authorization for asked in guarded.forge.requests} == {f"Bearer {TOKEN}"}


def test_a_token_goes_to_the_host_that_a_person_names(guarded: Guarded) -> None:
    name = f"{guarded.forge.kind.upper()}_TOKEN"
    guarded.forge.token = "api-token"
    url = f"{guarded.forge.url}{guarded.forge.api}"
    guarded.propose("--forge-url", url, **{name: "api-token"})
    assert {asked.authorization for asked in guarded.forge.requests} == {"Bearer api-token"}


def test_the_token_never_shows(guarded: Guarded) -> None:
    guarded.forge.force(403, {"message": f"token {TOKEN} has no access"})
    run = guarded.run("rollback", *ROLLBACK, "--pull-request", GITOPS_VERBOSE="1")
    assert run.code == 1
    assert TOKEN not in run.stderr + str(run.result)
    for path in guarded.shop.root.rglob("*"):
        if path.is_file():
            assert TOKEN.encode() not in path.read_bytes(), path


REFUSALS = [
    (401, {"message": "Bad credentials"}, {}, "401 (Bad credentials)", "_TOKEN"),
    (
        403,
        {"message": "Resource not accessible by personal access token"},
        {},
        "403 (Resource not accessible",
        "it needs",
    ),
    (
        403,
        {"error": "insufficient_scope", "error_description": "The request requires api"},
        {},
        "insufficient_scope; The request requires api",
        "it needs",
    ),
    (404, {"message": "Not Found"}, {}, "404 (Not Found)", "may the token see it?"),
    (
        422,
        {"message": "Validation Failed", "errors": [{"field": "base", "code": "invalid"}]},
        {},
        "422 (Validation Failed; base; invalid)",
        "run this again",
    ),
    (
        403,
        {"message": "API rate limit exceeded for user ID 1."},
        {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": "9999999999"},
        "too many requests",
        "try again in",
    ),
    (
        403,
        {"message": "You have exceeded a secondary rate limit."},
        {"Retry_After": "77"},
        "too many requests",
        "try again in 77 s",
    ),
    (429, {"message": "Too many requests"}, {"Retry_After": "999"}, "429", "came from here: wait"),
    (301, {"message": "Moved Permanently"}, {}, "redirects", "look at"),
    (200, {"message": "welcome"}, {}, "200", "proxy"),
    (500, {"message": "500 Internal Server Error"}, {}, "500", "status page"),
]


@pytest.mark.parametrize("guarded", [GitHubServer], indirect=True)
@pytest.mark.parametrize(("status", "body", "headers", "message", "hint"), REFUSALS)
def test_what_the_host_refuses_is_said_with_the_page_that_does_it_by_hand(
    guarded: Guarded,
    status: int,
    body: dict[str, object],
    headers: dict[str, str],
    message: str,
    hint: str,
) -> None:
    guarded.forge.force(status, body, **headers)
    run = guarded.run("rollback", *ROLLBACK, "--pull-request")
    assert (run.code, run.error["category"]) == (1, "repository"), run.stderr
    assert message in run.error["message"]
    assert f"{BRANCH} is pushed, but it has no pull request yet" in run.error["message"]
    assert hint in run.error["hint"]
    assert "open it by hand: http" in run.error["hint"]


def test_run_again_after_a_refusal_it_goes_on(guarded: Guarded) -> None:
    guarded.forge.force(403, {"message": "no"})
    assert guarded.run("rollback", *ROLLBACK, "--pull-request").code == 1
    tip = guarded.shop.tip(BRANCH)
    guarded.propose()
    assert len(guarded.forge.proposals) == 1
    assert guarded.shop.tip(BRANCH) == tip


def test_two_at_once_end_with_one_pull_request(guarded: Guarded) -> None:
    line = guarded.shop.line("rollback", *ROLLBACK, "--pull-request")
    line[line.index("--repository") + 1] = guarded.forge.remote
    environment = {**guarded.shop.environment, **guarded.environment}
    pair = [
        subprocess.Popen(
            [*line[:-1], str(guarded.shop.root / f"{number}.json")],
            env=environment,
            stderr=subprocess.PIPE,
        )
        for number in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in pair]
    assert [process.returncode for process in pair] == [7, 7], said
    assert len(guarded.forge.proposals) == 1


def test_several_services_are_one_pull_request(guarded: Guarded) -> None:
    both = [f"--image={name}={image('3.0.0', name)}" for name in ("cart", "payment")]
    run = guarded.run("deploy", *both, "--pull-request")
    assert run.code == 7, run.stderr
    (proposal,) = guarded.forge.proposals
    assert proposal.head.startswith("gitops-rollback/cart-and-1-more-")
    assert proposal.title == "cart, payment: deploy"
    assert "| `payment` | `2.0.0` | `3.0.0` |" in proposal.body
    assert guarded.run("deploy", *both, "--pull-request").result["pullRequest"]["number"] == 1
    commit = guarded.forge.merge(1, "rebase")
    for name in ("cart", "payment"):
        assert image("3.0.0", name) in guarded.shop.text(f"apps/{name}/deployment.yaml")
    again = guarded.run("deploy", *both, "--pull-request")
    assert (again.code, again.result["changed"], guarded.shop.tip()) == (0, False, commit)


REFUSED: dict[str, list[object]] = {
    "github": [{"protected": True}, [{"type": "deletion"}, {"type": "pull_request"}]],
    "gitlab": [{"name": "main", "protected": True, "can_push": False}],
}
OPEN: dict[str, list[object]] = {
    "github": [{"protected": False}, []],
    "gitlab": [{"protected": True, "can_push": True}],
}


def _push(run: Run) -> tuple[str, str]:
    [found] = [one for one in run.result["findings"] if one["check"] == "push"]
    return found["level"], found["message"]


def test_the_drill_tells_of_a_branch_that_takes_no_push(guarded: Guarded) -> None:
    for answer in REFUSED[guarded.forge.kind]:
        guarded.forge.force(200, answer)
    run = guarded.run("check", "--service", "cart")
    assert run.code == 8, run.stderr
    words = "rule that a push does not meet: pull_request", "it takes no push from this token"
    verdict, message = _push(run)
    assert verdict == "warning"
    assert words[guarded.forge.kind == "gitlab"] in message
    assert "hint: ask for a merge with --pull-request" in run.said


def test_the_drill_says_what_is_known_of_a_branch_s_rules(guarded: Guarded) -> None:
    for answer in OPEN[guarded.forge.kind]:
        guarded.forge.force(200, answer)
    _verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert message == "these credentials may push, and no rule of the branch is against it"
    guarded.forge.force(403, {"message": "no"})
    verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert (verdict, "may push; its rules are not known: asked" in message) == ("ok", True)
    for nonsense in ({"welcome": True}, [{"protected": False, "can_push": True}]):
        guarded.forge.force(200, nonsense)
        _verdict, message = _push(guarded.run("check", "--service", "cart"))
        assert "its rules are not known: asked" in message
    _verdict, message = _push(guarded.run("check", "--service", "cart", GITOPS_FORGE="auto"))
    assert message == "these credentials may push; its rules and hooks were not asked"


def test_protection_without_a_rule_by_name_is_a_warning_too(guarded: Guarded) -> None:
    if guarded.forge.kind == "gitlab":
        return  # it tells whether this token may push
    guarded.forge.force(200, {"protected": True})
    guarded.forge.force(200, [])
    assert _push(guarded.run("check", "--service", "cart")) == (
        "warning",
        "main is protected: pushes may have to meet conditions",
    )


@pytest.mark.parametrize("guarded", [GitLabServer], indirect=True)
def test_push_rules_that_this_token_may_not_read_are_no_all_clear(guarded: Guarded) -> None:
    for answer in (*OPEN["gitlab"], {"archived": False}):
        guarded.forge.force(200, answer)
    guarded.forge.force(403, {"message": "403 Forbidden"})
    _verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert "its rules are not known: asked" in message
    for answer in (*REFUSED["gitlab"], {"archived": False}):
        guarded.forge.force(200, answer)
    guarded.forge.force(403, {"message": "403 Forbidden"})
    run = guarded.run("check", "--service", "cart")
    verdict, message = _push(run)
    assert (verdict, "it takes no push from this token" in message) == ("warning", True)
    assert "further rules are not known: asked" in message
    assert "--pull-request" not in run.said, "a rule that nobody could read may refuse it"


def test_where_a_host_stops_answering_no_all_clear_is_given(guarded: Guarded) -> None:
    for answer in OPEN[guarded.forge.kind]:
        guarded.forge.force(200, answer)
    guarded.forge.force(500, {"message": "500 Internal Server Error"})
    _verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert "its rules are not known: asked" in message


@pytest.mark.parametrize("guarded", [GitHubServer], indirect=True)
def test_rules_that_are_no_list_or_more_than_a_page_are_no_all_clear(guarded: Guarded) -> None:
    guarded.forge.force(200, {"protected": False})
    guarded.forge.force(200, {"message": "welcome"})
    _verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert "its rules are not known: asked" in message
    guarded.forge.force(200, {"protected": False})
    guarded.forge.force(200, [{"type": "deletion"}] * 100)
    verdict, message = _push(guarded.run("check", "--service", "cart"))
    assert verdict == "warning"
    assert "main has more rules than are read here" in message


def test_another_environment_has_a_branch_of_its_own(workshop: Workshop) -> None:
    shop = workshop.shop("staged", lambda shop: shop.open(FILES))
    shop.commit({".gitops-rollback.toml": '[environments.staging]\npath = "apps"\n'})
    bare = shop.root / "acme" / "manifests.git"
    bare.parent.mkdir()
    shop.bare.rename(bare)
    shop.bare = bare
    with GitHubServer(shop.root, "acme/manifests", TOKEN) as forge:
        guarded = Guarded(shop, forge)
        deploy = ("--service", "cart", "--image", image("1.6.0"), "--pull-request")
        run = guarded.run("deploy", *deploy)
        assert run.code == 7, run.stderr
        assert forge.proposals[0].head.startswith("gitops-rollback/staging/cart-")

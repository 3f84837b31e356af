"""Going back by asking the registry, and what registries prove of recorded images."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest

from integration.shop import CART, CART_PATH, FILES, Run, Shop, digest, names, program
from servers.docker_registry import DockerRegistry
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from integration.conftest import Workshop
    from standin_answers import Question, Reply

PLAN = ("--service", "cart")
REGISTRY = (*PLAN, "--strategy", "registry")
UNSET = {"GITOPS_REGISTRY_URL": "", "GITOPS_HUB_URL": ""}
TAGS = ("1.4.0", "1.4.1", "1.4.2", "1.5.0")


@pytest.fixture(scope="module")
def server() -> Iterator[RegistryStandIn]:
    """Docker Hub at one address for all tests, so that what was deployed from it can be kept."""
    with RegistryStandIn(require_token=True) as standin:
        yield standin


@pytest.fixture
def hub(server: RegistryStandIn) -> RegistryStandIn:
    """Docker Hub with four tags of the cart, pushed one a day."""
    server.recover()
    server.service.repositories.clear()
    start = datetime.now(UTC) - timedelta(days=len(TAGS))
    for number, tag in enumerate(TAGS):
        server.push("acme/cart", tag, pushed=start + timedelta(days=number))
    server.requests.clear()
    server.headers.clear()
    return server


@pytest.fixture
def connected(workshop: Workshop, hub: RegistryStandIn) -> Shop:
    """A shop whose configuration says where Docker Hub is; 1.4.2 and then 1.5.0 are deployed."""

    def make(shop: Shop) -> Shop:
        urls = f'hub-url = "{hub.url}"\nregistry-url = "{hub.url}"\n'
        shop.open({**FILES, ".gitops-rollback.toml": f'[registries."docker.io"]\n{urls}'})
        shop.environment |= UNSET
        for tag in ("1.4.2", "1.5.0"):
            shop.ok("deploy", *PLAN, "--image", f"acme/cart:{tag}")
        return shop

    shop = workshop.shop("connected", make)
    shop.environment |= UNSET
    hub.requests.clear()
    hub.headers.clear()
    return shop


def digest_of(hub: RegistryStandIn, tag: str) -> str:
    return hub.service.repositories["acme/cart"].tags[tag]


def asked(hub: RegistryStandIn) -> list[str]:
    """Return what was asked, tokens and the questions that led to them not counted."""
    seen: list[str] = []
    for line in hub.requests:
        if "/token" not in line and line != "GET /v2/" and line not in seen:
            seen.append(line)
    return seen


def test_an_image_without_a_digest_gets_the_one_its_tag_has_now(
    connected: Shop, hub: RegistryStandIn
) -> None:
    assert f'"acme/cart:1.5.0@{digest_of(hub, "1.5.0")}"' in connected.text()


def test_the_record_resolves_the_digest_of_a_tag_where_nothing_proves_it(
    shop: Shop, hub: RegistryStandIn
) -> None:
    shop.environment["GITOPS_REGISTRY_URL"] = hub.url
    shop.ok("deploy", *PLAN, "--image", "acme/cart:1.5.0")
    record = shop.records.read(1)
    assert record["image"] == f"docker.io/acme/cart:1.4.1@{digest_of(hub, '1.4.1')}"
    assert record["digestFrom"] == "registry"
    assert record["fields"][0]["value"] == "acme/cart:1.4.1"


def test_hub_is_asked_one_page_of_tags_and_one_manifest(
    connected: Shop, hub: RegistryStandIn
) -> None:
    plan = connected.ok("plan", *REGISTRY).service()
    assert plan["strategy"] == "registry"
    assert plan["to"]["image"] == f"docker.io/acme/cart:1.4.2@{digest_of(hub, '1.4.2')}"
    assert plan["to"]["source"] == "registry"
    assert plan["to"]["verified"] is True
    questions = asked(hub)
    assert len(questions) == 2, questions
    assert "/namespaces/acme/repositories/cart/tags?" in questions[0]
    assert questions[1] == "HEAD /v2/acme/cart/manifests/1.4.2"


def test_a_candidate_whose_tag_is_intact_costs_a_look_at_it_and_at_the_running_one(
    connected: Shop, hub: RegistryStandIn
) -> None:
    plan = connected.ok("plan", *PLAN).service()
    assert plan["to"]["verified"] is True
    assert plan["to"]["source"] == "artifact"
    requests = asked(hub)
    assert sorted(line for line in requests if "/blobs/" not in line) == both_at_once(hub)
    assert len(requests) == 4, "a manifest and its configuration each: what they are, for what"
    assert len([line for line in hub.requests if "/token" in line]) == 1, "they share a token"


@pytest.mark.parametrize("command", ["plan", "deploy"])
def test_both_images_are_looked_at_at_the_same_time(
    connected: Shop, hub: RegistryStandIn, command: str
) -> None:
    """Each is told only when the other one has been asked for."""
    older, running = digest_of(hub, "1.4.2"), digest_of(hub, "1.5.0")
    asked_for = {"1.4.2": Event(), running: Event()}
    answer = hub.answer

    def together(question: Question) -> Reply:
        asked = asked_for.get(question.path.rpartition("/")[2])
        if asked is not None and "authorization" in question.headers:
            asked.set()
            assert all(one.wait(2) for one in asked_for.values()), "one after the other"
        return answer(question)

    with patch.object(hub, "answer", together):
        image = ("--image", f"acme/cart:1.4.2@{older}") if command == "deploy" else ()
        connected.ok(command, *PLAN, *image)
    assert all(one.is_set() for one in asked_for.values())


def both_at_once(hub: RegistryStandIn) -> list[str]:
    """What is asked for when 1.5.0 runs and 1.4.2 is to: its tag, which proves both, and 1.5.0."""
    return [f"GET /v2/acme/cart/manifests/{one}" for one in ("1.4.2", digest_of(hub, "1.5.0"))]


ARM = ("linux/amd64", "linux/arm64/v8")


@pytest.mark.parametrize("strategy", ["auto", "registry"])
@pytest.mark.parametrize("older", [(), ("linux/amd64",), ("linux/amd64", "windows/amd64")])
def test_an_image_that_lacks_a_platform_of_the_running_one_is_refused(
    shop: Shop, hub: RegistryStandIn, strategy: str, older: tuple[str, ...]
) -> None:
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": hub.url}
    start = datetime.now(UTC) - timedelta(hours=9)
    for number, (tag, platforms) in enumerate((("2.0", ARM), ("2.1", older), ("2.2", ARM))):
        moment = start + timedelta(hours=number)
        hub.push("acme/cart", tag, platforms=platforms, pushed=moment)
        accept = ("--accept", "platform") if tag != "2.0" else ()
        shop.ok("deploy", *PLAN, "--image", f"acme/cart:{tag}", *accept)
    hub.requests.clear()
    query = ("--query", "tags[?starts_with(name, '2')]") if strategy == "registry" else ()
    plan = shop.ok("plan", *PLAN, "--strategy", strategy, *query).service()
    assert plan["to"]["image"].startswith("docker.io/acme/cart:2.0@")
    refused = plan["candidates"][0]
    assert (refused["reason"], refused["verdict"]) == ("platform", "refused")
    assert "linux/arm64" in refused["message"]
    # The tags of Hub tell the platforms; else manifests are read, and a configuration if need be.
    assert len(asked(hub)) <= (3 if strategy == "registry" else 8)
    run = shop.refused(6, "refused", "rollback", *PLAN, "--to", "2.1", "--reason", "x")
    assert run.error["code"] == "platform"
    shop.ok("rollback", *PLAN, "--to", "2.1", "--reason", "x", "--accept", "platform")


def test_only_a_rollback_asks_from_which_commit_the_running_image_was_built(
    shop: Shop, hub: RegistryStandIn
) -> None:
    """It is written to the bad list. Of an image for several platforms that is two requests."""
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": hub.url}
    for tag in ("2.0", "2.1"):
        hub.push("acme/cart", tag, platforms=ARM)
        shop.ok("deploy", *PLAN, "--image", f"acme/cart:{tag}")
    costs = []
    for command in ("plan", "rollback"):
        hub.requests.clear()
        shop.ok(command, *PLAN, *(("--reason", "x") if command == "rollback" else ()))
        costs.append(len(asked(hub)))
    assert costs == [2, 4], "two indexes; then a manifest and its configuration, too"


def test_going_back_by_the_registry_writes_tag_and_digest_and_holds(
    connected: Shop, hub: RegistryStandIn
) -> None:
    run = connected.roll_back("--strategy", "registry")
    assert run.service()["to"].endswith(digest_of(hub, "1.4.2"))
    assert connected.state()["hold"]
    again = connected.refused(6, "refused", "rollback", *REGISTRY, "--reason", "x")
    assert again.error["code"] == "already"
    run = connected.roll_back("--strategy", "registry", "--again")
    assert run.service()["to"] == f"docker.io/acme/cart:1.4.1@{digest_of(hub, '1.4.1')}"


def test_the_registry_never_goes_back_to_a_bad_image(connected: Shop, hub: RegistryStandIn) -> None:
    connected.roll_back()
    accept = ("--release", "--accept", "automation")
    hub.push("acme/cart", "1.6.0")
    connected.ok("deploy", *PLAN, "--image", "acme/cart:1.6.0", *accept)
    plan = connected.ok("plan", *REGISTRY).service()
    refused = {c["image"].partition("@")[0]: c.get("reason") for c in plan["candidates"]}
    assert refused["docker.io/acme/cart:1.5.0"] == "bad"
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.2@")


def test_a_query_chooses_among_the_tags(connected: Shop, hub: RegistryStandIn) -> None:
    query = "tags[?older && name == '1.4.0']"
    plan = connected.ok("plan", *REGISTRY, "--query", query).service()
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.0@")
    toml = connected.text(".gitops-rollback.toml") + f'[services.cart]\nquery = "{query}"\n'
    connected.commit({".gitops-rollback.toml": toml})
    plan = connected.ok("plan", *REGISTRY).service()
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.0@")
    run = connected.refused(2, "usage", "plan", *REGISTRY, "--query", "tags[?")
    assert "query" in run.error["message"].lower()
    none = connected.refused(4, "not-found", "plan", *REGISTRY, "--query", "tags[?name=='x']")
    assert none.service()["candidates"] == []
    del hub


def test_a_configured_query_that_is_none_is_told_by_the_drill_and_is_no_wrong_use(
    connected: Shop, hub: RegistryStandIn
) -> None:
    """The command line is right: it is the configuration's error, with the place in the query."""
    toml = connected.text(".gitops-rollback.toml") + "[services.cart]\nquery = 'tags[?older'\n"
    connected.commit({".gitops-rollback.toml": toml}, "Choose a query")
    drilled = connected.run("check", "--service", "cart")
    told = [one for one in drilled.result["findings"] if one["check"] == "query"]
    assert [one["level"] for one in told] == ["warning"]
    assert "at character 12" in told[0]["message"]
    run = connected.refused(1, "config", "plan", *REGISTRY)
    assert ".gitops-rollback.toml" in run.error["message"]
    assert "at character 12" in run.error["message"]
    assert connected.run("plan", *PLAN).code == 0, "what the ledger tells needs no query"
    del hub


def test_times_of_build_are_read_only_where_a_query_asks_and_bounded(
    shop: Shop, hub: RegistryStandIn
) -> None:
    hub.service.repositories.clear()
    for number in range(40):
        built = f"2026-01-{30 - number % 30:02}T00:00:00Z"
        hub.push("acme/cart", f"1.{number}.0", created=built)
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": ""}
    name = f"{hub.host}/acme/cart"
    shop.edit("acme/cart:1.4.1", f"{name}:1.39.0")
    shop.ok("plan", *REGISTRY)
    gets = [line for line in hub.requests if line.startswith("GET") and "manifests" in line]
    assert len(gets) == 2, "the chosen image and the running one"
    hub.requests.clear()
    query = "sort_by(tags[?created], &created)"
    plan = shop.ok("plan", *REGISTRY, "--query", query).service()
    # Of the twenty highest versions, 1.29.0 was built first.
    assert plan["to"]["image"].startswith(f"{name}:1.29.0@")
    gets = [line for line in hub.requests if line.startswith("GET") and "manifests" in line]
    assert len(gets) == 22


def test_a_query_that_sorts_by_a_date_that_old_tags_lack_is_explained(
    connected: Shop, hub: RegistryStandIn
) -> None:
    hub.push("acme/cart", "0.1", pushed=None)
    query = "reverse(sort_by(tags, &pushed))"
    run = connected.refused(2, "usage", "plan", *REGISTRY, "--query", query)
    assert "pushed" in run.error["message"] + run.error["hint"]


def test_auto_shows_what_the_registry_knows_where_no_ledger_does(
    shop: Shop, hub: RegistryStandIn
) -> None:
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": hub.url}
    run = shop.refused(4, "not-found", "plan", *PLAN)
    assert run.service()["candidates"][0]["sources"] == ["registry"]
    assert "--strategy registry" in run.error["hint"]
    shop.commit(
        {".gitops-rollback.toml": "[services.cart]\nquery = 'tags[?older]'\n"}, "Choose a query"
    )
    plan = shop.ok("plan", *PLAN).service()
    assert plan["to"]["source"] == "registry"
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.0@")


def test_a_deleted_image_is_gone_and_the_next_is_taken(
    connected: Shop, hub: RegistryStandIn
) -> None:
    hub.delete("acme/cart", digest_of(hub, "1.4.2"))
    plan = connected.ok("plan", *PLAN).service()
    first = plan["candidates"][0]
    assert (first["verdict"], first["reason"]) == ("refused", "gone")
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.1")
    run = connected.refused(
        6, "refused", "rollback", *PLAN, "--to", "1.4.2", "--reason", "cached on every node"
    )
    assert run.error["code"] == "gone"
    accept = ("--to", "1.4.2", "--accept", "gone")
    assert connected.roll_back(*accept).service()["to"].startswith("docker.io/acme/cart:1.4.2@")


def test_a_deleted_tag_whose_image_is_still_there_is_gone_back_to_by_digest(
    connected: Shop, hub: RegistryStandIn
) -> None:
    old = digest_of(hub, "1.4.2")
    hub.delete("acme/cart", "1.4.2")
    run = connected.roll_back()
    assert run.service()["to"] == f"docker.io/acme/cart:1.4.2@{old}"
    assert f"GET /v2/acme/cart/manifests/{old}" in asked(hub)


def test_a_tag_that_moved_is_gone_back_to_by_the_digest_that_ran(
    connected: Shop, hub: RegistryStandIn
) -> None:
    old = digest_of(hub, "1.4.2")
    hub.push("acme/cart", "1.4.2", content=b"something else")
    run = connected.roll_back()
    assert run.service()["to"] == f"docker.io/acme/cart:1.4.2@{old}"
    assert f"acme/cart:1.4.2@{old}" in connected.text()


def test_with_pin_tag_the_confirmed_tag_alone_is_written(
    connected: Shop, hub: RegistryStandIn
) -> None:
    toml = connected.text(".gitops-rollback.toml") + '[defaults]\npin = "tag"\n'
    connected.commit({".gitops-rollback.toml": toml, CART_PATH: CART.replace("1.4.1", "1.5.0")})
    for tag in ("1.6.0", "1.7.0"):
        hub.push("acme/cart", tag)
        connected.ok("deploy", *PLAN, "--image", f"acme/cart:{tag}")
    assert 'acme/cart:1.7.0"' in connected.text()
    connected.roll_back()
    assert 'acme/cart:1.6.0"' in connected.text()


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_registry_that_forbids_or_fails_proves_nothing(
    connected: Shop, hub: RegistryStandIn, status: int
) -> None:
    hub.fail_with("/v2/acme/", status)
    run = connected.ok("plan", *PLAN)
    plan = run.service()
    assert plan["to"]["image"].startswith("docker.io/acme/cart:1.4.2@")
    assert plan["to"]["verified"] is False
    assert any("not verified" in finding for finding in plan["findings"])
    both, asked = both_at_once(hub), sorted(hub.requests)
    # A host that is busy or failed is asked nothing more: the second of both may come after that.
    failed = status in (429, 500, 503)
    assert asked == both or (failed and asked in ([both[0]], [both[1]])), "it is not asked again"
    hub.fail_with("/v2/", status)
    run = connected.refused(1, "registry", "plan", *REGISTRY)
    assert str(status) in run.error["message"]


def test_a_slow_registry_costs_at_most_three_seconds(connected: Shop, hub: RegistryStandIn) -> None:
    """It is asked once for each, and given up when the three seconds of all questions are over."""
    hub.delay("/v2/", 600)
    [finding] = connected.ok("plan", *PLAN).service()["findings"]
    assert finding.startswith("1.4.2: not verified: ")
    [given] = re.findall(r"no complete answer within ([0-9.]+) s;", finding)
    assert float(given) <= 3
    assert sorted(hub.requests) == both_at_once(hub)
    hub.requests.clear()
    run = connected.roll_back()
    assert run.service()["to"].startswith("docker.io/acme/cart:1.4.2@")
    assert sorted(hub.requests) == both_at_once(hub)


def test_a_credential_does_not_follow_a_url_of_the_repositorys_file(
    connected: Shop, hub: RegistryStandIn
) -> None:
    secret = {"DOCKERHUB_USERNAME": "jane", "DOCKERHUB_TOKEN": "dckr_pat_hush"}
    run = connected.ok("plan", *REGISTRY, environment=secret)
    sent = json.dumps(hub.headers)
    assert "authorization" in sent, "anonymous tokens are"
    assert not [h for h in hub.headers if h.get("authorization", "").startswith("Basic")]
    assert "dckr_pat_hush" not in sent + run.stderr + str(run.result)


def test_a_credential_follows_a_url_that_the_person_named(shop: Shop) -> None:
    with RegistryStandIn(accounts={"jane": "dckr_pat_hush"}) as hub:
        for tag in ("1.4.0", "1.4.1"):
            hub.push("acme/cart", tag, pushed=datetime(2020, 1, int(tag[-1]) + 1, tzinfo=UTC))
        shop.environment |= UNSET
        urls = ("--hub-url", hub.url, "--registry-url", hub.url)
        secret = {"DOCKERHUB_USERNAME": "jane", "DOCKERHUB_TOKEN": "dckr_pat_hush"}
        run = shop.ok("plan", *REGISTRY, *urls, environment=secret)
        assert run.service()["to"]["image"].startswith("docker.io/acme/cart:1.4.0@")
        assert "dckr_pat_hush" not in run.stderr + str(run.result)
        wrong = {**secret, "DOCKERHUB_TOKEN": "wrong-one"}
        refused = shop.refused(1, "registry", "plan", *REGISTRY, *urls, environment=wrong)
        assert "wrong-one" not in refused.stderr


@pytest.mark.parametrize("url", ["ftp://x", "http://u:p@127.0.0.1:1", "127.0.0.1:1", "http://"])
def test_a_registry_url_that_cannot_be_asked_is_one_clear_error(released: Shop, url: str) -> None:
    for line in ((*REGISTRY, "--hub-url"), (*PLAN, "--registry-url")):
        run = released.run("plan", *line, url)
        assert (run.code, run.error["category"]) in ((1, "config"), (2, "usage"))
        assert "u:p" not in run.stderr


@pytest.mark.parametrize(
    ("tags", "running", "right", "pages"),
    [
        # each release for 80 bases: the one before stands behind all of this one's
        (
            [f"1.{release}.0-base{base}x" for release in range(4) for base in range(80)],
            "1.3.0-base7x",
            "1.2.0-base7x",
            4,  # 1.2.1 could be older than what is on the second
        ),
        # a hotfix of an older version on the first page, the version before on the second
        (["1.1.0", *(f"pr-{n}" for n in range(120)), "1.0.9", "1.2.0"], "1.2.0", "1.1.0", 2),
        ([f"1.2.{n}" for n in range(300)], "1.2.299", "1.2.298", 1),
    ],
)
def test_as_many_pages_of_tags_are_read_as_the_choice_needs(
    shop: Shop, hub: RegistryStandIn, tags: list[str], running: str, right: str, pages: int
) -> None:
    shop.environment |= {"GITOPS_REGISTRY_URL": hub.url, "GITOPS_HUB_URL": hub.url}
    start = datetime.now(UTC) - timedelta(days=9)
    for number, tag in enumerate(tags):
        hub.push("acme/cart", tag, pushed=start + timedelta(minutes=number))
    shop.edit("acme/cart:1.4.1", f"acme/cart:{running}", by="Ada")
    hub.requests.clear()
    plan = shop.ok("plan", *REGISTRY).service()
    assert plan["to"]["image"].partition("@")[0] == f"docker.io/acme/cart:{right}"
    assert len([line for line in asked(hub) if "/tags?" in line]) == pages


def test_platforms_and_signatures_are_no_candidates(connected: Shop, hub: RegistryStandIn) -> None:
    hub.push("acme/cart", f"sha256-{'0' * 64}.sig", pushed=datetime.now(UTC) - timedelta(hours=30))
    plan = connected.ok("plan", *REGISTRY).service()
    assert not any("sha256-" in name for name in names(plan["candidates"], "image"))


def test_a_person_deploys_no_digest_that_the_registry_does_not_have(connected: Shop) -> None:
    wanted = ("--image", f"acme/cart:1.6.0@{digest('x')}")
    run = connected.refused(6, "refused", "deploy", *PLAN, *wanted)
    assert run.error["code"] == "gone"
    assert "--accept tag" not in run.error["hint"]
    connected.ok("deploy", *PLAN, *wanted, "--accept", "gone")


def test_a_chart_that_has_the_name_of_the_image_is_not_deployed(shop: Shop, tmp_path: Path) -> None:
    program("docker-registry", "docker-registry")
    with DockerRegistry(tmp_path) as registry:
        chart = registry.push_chart("acme/cart", "1.6.0")
        shop.environment |= {"GITOPS_REGISTRY_URL": registry.url, "GITOPS_HUB_URL": registry.url}
        wanted = ("--image", "acme/cart:1.6.0")
        before = shop.everything()
        run = shop.refused(6, "refused", "deploy", *PLAN, *wanted)
        assert run.error["code"] == "not-an-image"
        assert "Helm chart" in run.error["message"]
        assert shop.everything() == before
        shop.ok("deploy", *PLAN, *wanted, "--accept", "not-an-image")
    assert f"acme/cart:1.6.0@{chart}" in shop.text()


def test_a_build_that_deploys_the_digest_it_pushed_asks_nobody(
    connected: Shop, hub: RegistryStandIn
) -> None:
    wanted = f"acme/cart:1.6.0@{digest('x')}"
    line = connected.line("deploy", *PLAN, "--image", wanted)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *line],
        env={**connected.environment, "JOB_NAME": "shop/cart", "BUILD_NUMBER": "7"},
        cwd=connected.root,
        capture_output=True,
        check=True,
        text=True,
    )
    assert hub.requests == []
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "gitops_rollback.manifest.edit" in imported
    for module in ("requests", "urllib3", "http.client", "jmespath", "jenkins"):
        assert module not in imported


def test_a_candidate_tells_when_it_was_built_and_of_which_commit(
    connected: Shop, hub: RegistryStandIn
) -> None:
    """As far as that is read with what it is; texts that are no time and no commit are none."""
    revision = "4BB21FD09c1f4ad6a8b5c1b9f6c4c1a2d3e4f506"
    told = {"org.opencontainers.image.revision": revision}
    hub.push("acme/cart", "1.7.0", created="2026-01-31T03:03:04.567+01:00", labels=told)
    hub.push("acme/cart", "1.8.0", created="yesterday", labels={**dict.fromkeys(told, "main")})
    hub.push("acme/cart", "1.9.0")
    for tag in ("1.7.0", "1.8.0", "1.9.0"):
        connected.ok("deploy", *PLAN, "--image", f"acme/cart:{tag}")
    run = connected.ok("plan", *PLAN, "--to", "1.7.0", "--explain")
    (candidate,) = (c for c in run.service()["candidates"] if c["verdict"] == "chosen")
    assert (candidate["builtAt"], candidate["revision"]) == (
        "2026-01-31T02:03:04Z",
        revision.lower(),
    )
    assert "built: 2026-01-31 02:03" in run.stdout
    assert f"revision: {revision.lower()}" in run.stdout
    plain = connected.ok("plan", *PLAN).service()["candidates"][0]
    assert plain["image"].startswith("docker.io/acme/cart:1.8.0@")
    assert not {"builtAt", "revision"} & plain.keys()


def test_a_release_that_is_built_again_is_known_by_its_commit_and_tag(
    connected: Shop, hub: RegistryStandIn
) -> None:
    labels = {"org.opencontainers.image.revision": "4bb21fd09c1f4ad6a8b5c1b9f6c4c1a2d3e4f506"}

    def push(tag: str, content: bytes, said: dict[str, str] | None = None) -> None:
        hub.push("acme/cart", tag, content=content, labels=said or labels)

    def deployed(tag: str) -> Run:
        return connected.run("deploy", *PLAN, "--image", f"acme/cart:{tag}")

    push("1.6.0", b"bad")
    assert deployed("1.6.0").code == 0
    connected.roll_back()
    (bad,) = connected.state()["bad"]
    assert bad["revision"] == labels["org.opencontainers.image.revision"]
    connected.ok("release", *PLAN, "--reason", "on to the next", "--accept", "automation")
    push("1.6.1", b"built again, with another version")
    run = deployed("1.6.1")
    assert run.error["code"] == "bad"
    assert "has the revision of 1.6.0@" in run.error["message"]
    # Nor does a query, or a name, go "back" to a build of that commit which never ran.
    for choice in (("--query", "tags[?name == '1.6.1']"), ("--to", "1.6.1")):
        found = connected.run("plan", *PLAN, *choice).service()["candidates"]
        assert [candidate["reason"] for candidate in found] == ["bad"], choice
    push("1.6.2", b"mended", {"org.opencontainers.image.revision": "unknown"})
    assert deployed("1.6.2").code == 0
    push("1.6.3", b"bad after all", labels)
    assert deployed("1.6.3").error["code"] == "bad"
    accepted = (*PLAN, "--image", "acme/cart:1.6.3", "--accept", "bad")
    connected.ok("deploy", *accepted)
    assert connected.state()["bad"] == []

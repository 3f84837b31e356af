"""The scenarios of the golden files: what people, jobs and other tools do, one after the other."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from integration.shop import CART, CART_PATH, CART_STATE, FILES, PAYMENT, digest, image
from integration.stage import REMOTE
from integration.test_hold import POLICY, POLICY_PATH
from integration.test_keep import JOB
from integration.test_overlays import LAYOUTS
from integration.test_sets_and_environments import ENVIRONMENTS, SETS
from integration.test_storage_guard import CLAIM, CLAIM_PATH, GUARDED, STATEFUL
from servers.forge import GitHubServer, GitLabServer
from servers.jenkins_server import JenkinsServer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integration.stage import Stage
    from servers.forge import Forge

    Scene = Callable[[Stage], None]

SCENES: dict[str, Scene] = {}
CART_SERVICE = ("--service", "cart")
UNDO = (*CART_SERVICE, "--reason", "carts are empty", "--by", "jane")
BUILD = {"JOB_NAME": JOB, "BUILD_NUMBER": "41", "BUILD_URL": "https://ci.example/job/41/"}
TAGS = ("1.4.0", "1.4.1", "1.4.2", "1.5.0")


def scene(act: Scene) -> Scene:
    """Add a scenario; its file has its name."""
    SCENES[act.__name__.replace("_", "-")] = act
    return act


def released(stage: Stage) -> Stage:
    """Deploy 1.4.2 and 1.5.0, and write nothing of it."""
    stage.open(FILES)
    for tag in ("1.4.2", "1.5.0"):
        stage.run("deploy", *CART_SERVICE, "--image", image(tag), "--by", "ben")
    stage.pass_over()
    return stage


def held(stage: Stage) -> Stage:
    """Roll the cart back to 1.4.2, and write nothing of it."""
    released(stage).run("rollback", *UNDO)
    stage.pass_over()
    return stage


def deploy(stage: Stage, tag: str, *more: str, **environment: str) -> None:
    """Deploy an image of the cart."""
    arguments = (*CART_SERVICE, "--image", image(tag), *more)
    stage.run("deploy", *arguments, environment=environment)


# Deploying


@scene
def deploy_of_the_first_image(stage: Stage) -> None:
    stage.open(FILES)
    deploy(stage, "1.4.2", "--dry-run", "--by", "ben")
    deploy(stage, "1.4.2", "--by", "ben")
    deploy(stage, "1.4.2", "--by", "ben")
    deploy(stage, "1.5.0", "--by", "ben", "--reason", "a new checkout", **BUILD)


@scene
def deploy_of_a_service_with_three_fields(stage: Stage) -> None:
    stage.open(FILES)
    named = ("--service", "payment", "--image", image("2.1.0", "payment"))
    stage.run("deploy", *named, "--by", "ben")


@scene
def deploy_with_a_record_that_was_archived(stage: Stage) -> None:
    stage.open(FILES)
    where = ("--record-dir", "archive")
    stage.run("record", *CART_SERVICE, "--image", image("1.4.2"), *where, environment=BUILD)
    path = "archive/gitops-rollback/default/cart/record.json"
    deploy(stage, "1.4.2", "--record", path, **BUILD)
    stage.note("the same record again: the push had succeeded")
    deploy(stage, "1.4.2", "--record", path, **BUILD)
    stage.note("a record made for another image, and one of a file that was edited since")
    deploy(stage, "1.5.0", "--record", path, **BUILD)
    stage.edit("1.4.2", "1.4.3")
    deploy(stage, "1.4.2", "--record", path, **BUILD)


@scene
def deploy_to_a_place_of_a_tool(stage: Stage) -> None:
    files, _path = LAYOUTS["kustomize entry"]
    stage.open(files)
    deploy(stage, "1.4.2", "--by", "ben")
    deploy(stage, "1.5.0", "--by", "ben")
    stage.run("rollback", *UNDO)


@scene
def deploy_of_a_tag_with_pin_tag(stage: Stage) -> None:
    stage.open({**FILES, ".gitops-rollback.toml": '[services.cart]\npin = "tag"\n'})
    deploy(stage, "1.4.2", "--by", "ben")
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.5.0", "--by", "ben")
    stage.run("rollback", *UNDO)


@scene
def deploy_that_is_refused(stage: Stage) -> None:
    released(stage)
    stage.note("without a digest, and no registry to ask")
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.6.0")
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.6.0", "--accept", "tag")
    stage.note("another repository, and what must run now")
    stage.run("deploy", *CART_SERVICE, "--image", image("1.6.0", "card"))
    deploy(stage, "1.6.0", "--from", "acme/cart:1.4.2")
    stage.note("no image, no service, a name that is almost right, a word that is none")
    stage.run("deploy", *CART_SERVICE)
    stage.run("deploy", "--image", image("1.6.0"))
    stage.run("deploy", "--service", "crat", "--image", image("1.6.0"))
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.6.0@sha256:12")
    stage.run("deploi", *CART_SERVICE)
    stage.run("deploy", *CART_SERVICE, "--imaeg", image("1.6.0"))


@scene
def outdated(stage: Stage) -> None:
    stage.open(FILES)
    deploy(stage, "1.5.0", **{**BUILD, "BUILD_NUMBER": "42"})
    deploy(stage, "1.4.2", **BUILD)
    deploy(stage, "1.4.2", "--allow-older", **BUILD)


# Going back by the ledgers


@scene
def rollback_to_the_previous_image(stage: Stage) -> None:
    released(stage)
    stage.run("plan", *CART_SERVICE)
    stage.run("plan", *CART_SERVICE, "--explain")
    stage.run("rollback", *UNDO, "--dry-run")
    stage.run("rollback", *UNDO)
    stage.run("history", *CART_SERVICE)


@scene
def rollback_again(stage: Stage) -> None:
    held(stage)
    stage.let_pass(3)
    stage.run("rollback", *UNDO)
    stage.run("plan", *CART_SERVICE, "--again")
    stage.run("rollback", *UNDO, "--again")
    stage.run("rollback", *UNDO, "--again")
    stage.run("history", *CART_SERVICE)


@scene
def rollback_by_one_source(stage: Stage) -> None:
    released(stage)
    for strategy in ("artifact", "git", "registry"):
        stage.run("plan", *CART_SERVICE, "--strategy", strategy)
    stage.run("rollback", *UNDO, "--strategy", "git")


@scene
def rollback_to_a_target(stage: Stage) -> None:
    stage.open(FILES)
    for number, tag in ((41, "1.4.2"), (42, "1.5.0"), (43, "1.6.0")):
        deploy(stage, tag, **{**BUILD, "BUILD_NUMBER": str(number)})
    stage.pass_over()
    for target in ("1.4.2", "#42", f"{JOB}#41", digest("cart:1.4.2"), image("1.4.2"), "9.9", "#7"):
        stage.run("plan", *CART_SERVICE, "--to", target)
    stage.run("plan", *CART_SERVICE, "--as-of", "2m")
    stage.run("rollback", *UNDO, "--to", "1.4.2")
    stage.run("rollback", *UNDO, "--to", "1.6.0", "--again")


@scene
def rollback_by_a_plan_file(stage: Stage) -> None:
    released(stage)
    plan = stage.run("plan", *CART_SERVICE)
    path = stage.root / "plan.json"
    path.write_text(json.dumps(plan.result, indent=1), encoding="utf-8")
    stage.run("record", *CART_SERVICE, "--plan", str(path), "--record-dir", "archive")
    stage.run("rollback", "--plan", str(path), "--reason", "carts are empty", "--by", "jane")
    stage.run("rollback", "--plan", str(path), "--reason", "carts are empty", "--by", "jane")


@scene
def rollback_where_no_image_is_known(stage: Stage) -> None:
    stage.open(FILES)
    stage.run("plan", *CART_SERVICE)
    stage.run("rollback", *UNDO)
    stage.run("rollback", *CART_SERVICE)


@scene
def rollback_of_edits_by_hand(stage: Stage) -> None:
    stage.open(FILES)
    stage.edit("1.4.1", "1.4.2")
    stage.edit("1.4.2", "1.5.0", by="Ben Doe")
    stage.pass_over()
    stage.run("plan", *CART_SERVICE)
    stage.run("rollback", *UNDO)
    stage.edit("acme/cart:1.4.2", "acme/cart:1.6.0")
    stage.run("history", *CART_SERVICE)
    stage.run("plan", *CART_SERVICE)


@scene
def rollback_with_records_that_were_lost_or_changed(stage: Stage) -> None:
    released(stage)
    path = stage.records.folder(2) / "record.json"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("ben", "eve"), encoding="utf-8")
    stage.pass_over()
    stage.run("plan", *CART_SERVICE)
    stage.run("rollback", *UNDO)
    stage.run("rollback", *UNDO, "--accept", "tampered")


@scene
def rollback_without_a_state_file(stage: Stage) -> None:
    held(stage).commit({CART_STATE: None}, "Lose the state")
    stage.pass_over()
    stage.run("plan", *CART_SERVICE, "--again")
    stage.run("history", *CART_SERVICE)


@scene
def rollback_of_a_tag_that_was_used_again(stage: Stage) -> None:
    stage.open(FILES)
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.4.2", "--accept", "tag")
    stage.run("deploy", *CART_SERVICE, "--image", "acme/cart:1.5.0", "--accept", "tag")
    deploy(stage, "1.4.2", "--accept", "tag")
    stage.pass_over()
    stage.run("plan", *CART_SERVICE, "--to", "acme/cart:1.4.2")
    stage.run("rollback", *UNDO)


# Holding and releasing


@scene
def hold_and_release(stage: Stage) -> None:
    held(stage)
    deploy(stage, "1.6.0")
    deploy(stage, "1.5.0", "--release")
    deploy(stage, "1.4.2")
    stage.run("release", *UNDO, "--dry-run")
    stage.run("release", *UNDO)
    stage.run("release", *UNDO)
    deploy(stage, "1.5.0")
    deploy(stage, "1.5.0", "--accept", "bad")


@scene
def hold_that_a_deploy_ends(stage: Stage) -> None:
    held(stage)
    deploy(stage, "1.6.0", "--release", "--reason", "mended", "--by", "ben")


@scene
def hold_of_the_image_alone(stage: Stage) -> None:
    stage.open({**FILES, ".gitops-rollback.toml": '[services.cart]\nhold = "image"\n'})
    for tag in ("1.4.2", "1.5.0"):
        deploy(stage, tag)
    stage.pass_over()
    stage.run("rollback", *UNDO)
    deploy(stage, "1.5.0")
    deploy(stage, "1.6.0")


@scene
def release_that_a_policy_forbids(stage: Stage) -> None:
    held(stage).commit({POLICY_PATH: POLICY})
    stage.pass_over()
    stage.run("release", *UNDO)
    deploy(stage, "1.4.9", "--release")
    stage.run("release", *UNDO, "--accept", "automation")


# Several services


@scene
def several_services_in_one_commit(stage: Stage) -> None:
    stage.open({**FILES, ".gitops-rollback.toml": SETS})
    named = ("--set", "checkout", "--by", "ben")
    for cart, payment in (("1.4.2", "2.1.0"), ("1.5.0", "2.2.0")):
        images = (f"cart={image(cart)}", f"payment={image(payment, 'payment')}")
        stage.run("deploy", *named, "--image", images[0], "--image", images[1])
    stage.run("plan", "--set", "checkout")
    stage.run("rollback", "--set", "checkout", "--reason", "no sales", "--by", "jane")
    stage.run("release", "--set", "checkout", "--reason", "mended", "--by", "jane")
    stage.run("services")
    stage.run("rollback", "--set", "chekout", "--reason", "no sales")


@scene
def several_services_of_which_one_is_refused(stage: Stage) -> None:
    stage.open({**FILES, ".gitops-rollback.toml": SETS})
    deploy(stage, "1.4.2")
    deploy(stage, "1.5.0")
    stage.pass_over()
    both = ("--service", "cart", "--service", "payment", "--reason", "no sales")
    stage.run("rollback", *both)
    stage.run("rollback", *both, "--skip-blocked")
    stage.run("plan", "--all")
    stage.run("plan", *both[:4], "--allowed-services", "payment")


@scene
def environments_of_their_own(stage: Stage) -> None:
    stage.open(
        {
            ".gitops-rollback.toml": ENVIRONMENTS,
            "clusters/staging/cart.yaml": CART.replace("1.4.1", "2.0.0"),
            "clusters/staging/payment.yaml": PAYMENT,
        }
    )
    stage.commit({"clusters/production/cart.yaml": CART}, branch="live")
    stage.pass_over()
    deploy(stage, "1.4.2")
    deploy(stage, "1.4.2", "--environment", "prodution")
    deploy(stage, "1.4.2", "--environment", "production")
    stage.run("rollback", *UNDO, "--environment", "production")
    stage.run("services", "--environment", "staging")


# Repairing


@scene
def repair_of_a_state_file(stage: Stage) -> None:
    held(stage)
    stage.commit({CART_STATE: "{"}, "Break the state")
    stage.run("plan", *CART_SERVICE)
    stage.run("history", *CART_SERVICE, "--repair", "--dry-run")
    stage.run("history", *CART_SERVICE, "--repair")
    stage.commit({CART_STATE: '{"schemaVersion": 99}'}, "Break it in another way")
    stage.run("deploy", *CART_SERVICE, "--image", image("1.6.0"))


# Storage


def stateful(stage: Stage) -> Stage:
    """Deploy a cart that keeps its data on a claim twice, and let the claim grow."""
    stage.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM})
    for tag in ("1.4.2", "1.5.0"):
        deploy(stage, tag)
    stage.edit("5Gi", "10Gi", CLAIM_PATH)
    stage.pass_over()
    return stage


@scene
def storage_that_changed(stage: Stage) -> None:
    stateful(stage)
    stage.run("plan", *CART_SERVICE)
    stage.run("rollback", *UNDO, "--unattended")
    stage.run("rollback", *UNDO)


@scene
def storage_with_a_guard(stage: Stage) -> None:
    stateful(stage).commit({".gitops-rollback.toml": GUARDED})
    stage.pass_over()
    stage.run("plan", *CART_SERVICE)
    stage.run("rollback", *UNDO)
    stage.run("rollback", *UNDO, "--accept", "storage")


@scene
def storage_checked(stage: Stage) -> None:
    broken = CLAIM.replace("  resources", "   resources").replace("ReadWriteOnce", "ReadWriteTwice")
    stage.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM, "apps/x/claim.yaml": broken})
    for form in ("text", "json", "github"):
        stage.run("check", "--storage", "--format", form)


# With servers


@contextmanager
def hub(stage: Stage) -> Iterator[RegistryStandIn]:
    """Docker Hub with four tags of the cart, pushed one a day before the scenario begins."""
    with RegistryStandIn(require_token=True) as server:
        for number, tag in enumerate(TAGS):
            pushed = datetime(2026, 1, 26 + number, 9, tzinfo=UTC)
            server.push("acme/cart", tag, pushed=pushed, created=f"2026-01-{26 + number}T08:00:00Z")
        stage.environment |= {"GITOPS_REGISTRY_URL": server.url, "GITOPS_HUB_URL": server.url}
        yield server


@scene
def registry_chooses_the_previous_tag(stage: Stage) -> None:
    with hub(stage):
        stage.open({**FILES, CART_PATH: CART.replace("1.4.1", "1.5.0")})
        stage.run("plan", *CART_SERVICE)
        by_registry = ("--strategy", "registry")
        stage.run("plan", *CART_SERVICE, *by_registry)
        query = "tags[?older && starts_with(name, '1.4')]|[-1]"
        stage.run("plan", *CART_SERVICE, *by_registry, "--query", query)
        stage.run("plan", *CART_SERVICE, *by_registry, "--query", "tags[")
        stage.run("rollback", *UNDO, *by_registry)


@scene
def registry_proves_what_is_recorded(stage: Stage) -> None:
    with hub(stage) as server:
        stage.open(FILES)
        for tag in ("1.4.0", "1.4.2", "1.5.0"):
            stage.run("deploy", *CART_SERVICE, "--image", f"acme/cart:{tag}", "--by", "ben")
        stage.run("plan", *CART_SERVICE)
        server.delete("acme/cart", server.service.repositories["acme/cart"].tags["1.4.2"])
        stage.note("the image of 1.4.2 is deleted")
        stage.run("plan", *CART_SERVICE)
        stage.run("plan", *CART_SERVICE, "--to", "1.4.2")
        server.fail_with("/v2/", 503)
        stage.note("the registry fails")
        stage.run("rollback", *UNDO)


@scene
def registry_lacks_a_platform_or_has_a_newer_schema(stage: Stage) -> None:
    with hub(stage) as server:
        stage.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM})
        arm = ("linux/amd64", "linux/arm64/v8")
        for number, tag in enumerate(("1.6.0", "1.7.0", "1.8.0")):
            server.push(
                *("acme/cart", tag),
                pushed=datetime(2026, 1, 30, number, tzinfo=UTC),
                platforms=arm if tag != "1.6.0" else arm[:1],
                labels={"org.gitops-rollback.schema": str(9 + number)},
            )
            stage.run("deploy", *CART_SERVICE, "--image", f"acme/cart:{tag}", "--by", "ben")
        stage.pass_over()
        stage.run("plan", *CART_SERVICE, "--to", "1.6.0")
        stage.run("rollback", *UNDO)
        stage.run("rollback", *UNDO, "--accept", "schema")


@scene
def jenkins_keeps_the_records(stage: Stage) -> None:
    with JenkinsServer(("jane", "token")) as jenkins:
        stage.open(FILES)
        stage.environment |= {
            "JENKINS_URL": jenkins.url, "JENKINS_USER": "jane", "JENKINS_TOKEN": "token",
        }  # fmt: skip
        for number, tag in ((41, "1.4.2"), (42, "1.5.0")):
            build = {**BUILD, "BUILD_NUMBER": str(number)}
            named = (*CART_SERVICE, "--image", image(tag))
            where = f"build-{number}"
            stage.run("record", *named, "--record-dir", where, environment=build)
            archived = {
                path.relative_to(stage.root / where).as_posix(): path.read_bytes()
                for path in (stage.root / where).rglob("*")
                if path.is_file()
            }
            jenkins.add(JOB, number, archived)
            record = ("--record", f"{where}/gitops-rollback/default/cart/record.json", "--keep")
            stage.run("deploy", *named, *record, environment=build)
        stage.run("deploy", *CART_SERVICE, "--image", image("1.6.0"))
        stage.run("plan", *CART_SERVICE, "--strategy", "artifact")
        stage.run("check", *CART_SERVICE)
        rollback = {"JOB_NAME": "shop/rollback", "BUILD_NUMBER": "7"}
        stage.run("rollback", *UNDO, "--record-dir", "build-7", environment=rollback)
        stage.run("history", *CART_SERVICE)


@contextmanager
def forge(stage: Stage, kind: type[Forge]) -> Iterator[Forge]:
    """Serve the pull requests of the repository."""
    with kind(stage.root, "acme/manifests", "secret-token") as server:
        server.bare = stage.bare
        name = "GITHUB_TOKEN" if kind is GitHubServer else "GITLAB_TOKEN"
        stage.environment |= {
            name: "secret-token",
            "GITOPS_FORGE": kind.kind,
            "GITOPS_FORGE_URL": f"{server.url}{kind.api}",
            "GITOPS_REPOSITORY": REMOTE.replace("manifests", "acme/manifests"),
        }
        (stage.root / "acme").mkdir()
        (stage.root / "acme" / "manifests.git").symlink_to(stage.bare)
        yield server


def propose(stage: Stage, server: Forge) -> None:
    """Propose a rollback, again, and after its merge."""
    proposed = ("rollback", *UNDO, "--pull-request")
    stage.run(*proposed)
    show(stage, server)
    stage.run(*proposed)
    server.close(1)
    stage.note("it was closed without a merge")
    stage.run("deploy", *CART_SERVICE, "--image", image("1.6.0"), "--pull-request")
    show(stage, server)


def show(stage: Stage, server: Forge) -> None:
    """Write down what the host was asked to open."""
    found: Any = server.proposals[-1]
    stage.lines += [f"--- pull request {found.number}: {found.head} into {found.base}"]
    stage.lines += [f"  {line}".rstrip() for line in (found.title, "", *found.body.splitlines())]
    stage.lines.append("")


@scene
def pull_request_on_github(stage: Stage) -> None:
    released(stage)
    with forge(stage, GitHubServer) as server:
        propose(stage, server)


@scene
def pull_request_on_gitlab(stage: Stage) -> None:
    released(stage)
    with forge(stage, GitLabServer) as server:
        propose(stage, server)


# Looking


@scene
def check_finds_that_a_rollback_would_work(stage: Stage) -> None:
    released(stage)
    stage.run("check", *CART_SERVICE)
    stage.run("check")
    stage.edit("acme/cart", "acme/card")
    stage.run("check", *CART_SERVICE)


@scene
def report_history_and_fields(stage: Stage) -> None:
    held(stage)
    stage.run("report", *CART_SERVICE, "--report-dir", "page")
    stage.run("history", *CART_SERVICE)
    (stage.root / "work").mkdir()
    (stage.root / "work" / "cart.yaml").write_text(CART, encoding="utf-8")
    stage.run("fields", "work/cart.yaml", "--prove", environment={"GITOPS_REPOSITORY": ""})


@scene
def configuration_that_is_wrong(stage: Stage) -> None:
    wrong = {
        "an unknown key": '[services.cart]\nmanifest = ["a"]\n',
        "no TOML": "[services\n",
        "a value of another type": "[defaults]\npin = 3\n",
        "two repositories": "",
    }
    stage.open(FILES)
    for what, text in wrong.items():
        stage.note(what)
        stage.commit({".gitops-rollback.toml": text})
        if not text:
            stage.edit("envoyproxy/envoy:v1.29.0", "elsewhere/cart:3")
        stage.run("plan", *CART_SERVICE)


@scene
def manifests_that_are_broken(stage: Stage) -> None:
    stage.open(FILES)
    stage.commit({CART_PATH: CART.replace("containers:", "containers: [")})
    stage.run("plan", *CART_SERVICE)
    stage.commit({CART_PATH: CART.replace("acme/cart:1.4.1", "${CART_IMAGE}")})
    deploy(stage, "1.4.2")


@scene
def a_repository_that_is_not_there(stage: Stage) -> None:
    stage.open(FILES)
    stage.run("plan", *CART_SERVICE, repository="https://git.acme.example/nothing.git")
    stage.run("plan", *CART_SERVICE, "--branch", "nowhere")
    stage.run("plan", *CART_SERVICE, repository="https://jane:hush@git.acme.example/manifests.git")
    stage.hook("pre-receive", "echo 'the server says no' >&2; exit 1")
    deploy(stage, "1.4.2")

"""`jobs install` against a Jenkins that keeps what it is sent, and edits it as Jenkins does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest

from gitops_rollback.jobs.install import PLUGINS
from servers.jenkins_answer import Answer
from servers.jenkins_server import JenkinsServer
from unit.builders import DEPLOYMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.shop import Run, Shop

ROOT = Path(__file__).resolve().parents[3]
USER = ("jane", "11c0ffee")
LIBRARY = "https://git.example.com/gitops-rollback.git"
SOURCE = "https://git.example.com/shop/{service}.git"
LIBRARY_FOLDER = (
    b"<?xml version='1.1'?><com.cloudbees.hudson.plugins.folder.Folder><properties>"
    b"<org.jenkinsci.plugins.workflow.libs.FolderLibraries><libraries>"
    b"<org.jenkinsci.plugins.workflow.libs.LibraryConfiguration><name>gitops-rollback</name>"
    b"</org.jenkinsci.plugins.workflow.libs.LibraryConfiguration></libraries>"
    b"</org.jenkinsci.plugins.workflow.libs.FolderLibraries></properties>"
    b"</com.cloudbees.hudson.plugins.folder.Folder>"
)
CONFIG = """\
[services.cart]
[services.payment]
deploy-job = "pay/deploy"
[sets]
checkout = ["cart", "payment"]
"""


@pytest.fixture
def server() -> Iterator[JenkinsServer]:
    with JenkinsServer(USER) as server:
        yield server


def install(
    shop: Shop, server: JenkinsServer, *arguments: str, token: str = USER[1], **more: str
) -> Run:
    secrets = {"JENKINS_USER": USER[0], "JENKINS_TOKEN": token, **more}
    named = ("install", "--jenkins", server.url, "--library-url", LIBRARY)
    return shop.run("jobs", *named, *arguments, environment=secrets)


def actions(run: Run) -> dict[str, str]:
    assert run.code == 0, run.stderr
    return {job["job"]: job["action"] for job in run.result["jobs"]}


def config_of(server: JenkinsServer, job: str) -> ET.Element:
    return ET.fromstring(server.configs[job])


def parameter(root: ET.Element, name: str) -> list[str]:
    for found in root.iter("hudson.model.ChoiceParameterDefinition"):
        if found.findtext("name") == name:
            return [element.text or "" for element in found.iter("string")]
    return []


def posts(server: JenkinsServer) -> list[str]:
    return [path for path in server.paths if path.startswith("POST")]


def test_everything_is_created_once_and_a_second_run_changes_nothing(
    shop: Shop, server: JenkinsServer
) -> None:
    shop.commit({".gitops-rollback.toml": CONFIG})
    places = ("--source", SOURCE, "--folder", "shop", "--drill-job", "drill")
    options = (*places, "--git-credentials-id", "git-bot")
    assert actions(install(shop, server, *options)) == {
        "shop": "created",
        "shop/cart": "created",
        "pay": "created",
        "pay/deploy": "created",
        "shop/rollback": "created",
        "shop/drill": "created",
    }
    cart = config_of(server, "shop/cart")
    assert cart.findtext(".//hudson.plugins.git.UserRemoteConfig/url") == LIBRARY
    assert cart.findtext("definition/scriptPath") == "Jenkinsfile"
    assert parameter(cart, "GITOPS_SOURCE") == ["https://git.example.com/shop/cart.git"]
    assert parameter(cart, "GITOPS_IMAGE_REPOSITORY") == ["docker.io/acme/cart"]
    assert parameter(cart, "GITOPS_GIT_CREDENTIALS_ID") == ["git-bot"]
    assert parameter(cart, "GITOPS_REPOSITORY") == [str(shop.bare)]
    assert parameter(config_of(server, "pay/deploy"), "GITOPS_SERVICE") == ["payment"]
    rollback = config_of(server, "shop/rollback")
    assert rollback.findtext("definition/scriptPath") == "Jenkinsfile.rollback"
    assert parameter(rollback, "SERVICE") == ["", "cart", "checkout", "payment"]
    wrote = len(posts(server))
    assert set(actions(install(shop, server, *options)).values()) == {"unchanged"}
    assert len(posts(server)) == wrote == 6


def test_a_dry_run_shows_the_difference_and_writes_nothing(
    shop: Shop, server: JenkinsServer
) -> None:
    run = install(shop, server, "--dry-run")
    assert actions(run) == {"rollback": "created"}
    assert run.result["dryRun"] is True
    assert "+    <scriptPath>Jenkinsfile.rollback</scriptPath>" in run.stdout
    assert posts(server) == []
    install(shop, server)
    run = install(shop, server, "--library-branch", "v2", "--dry-run")
    assert actions(run) == {"rollback": "updated"}
    changed = [
        line for line in run.result["jobs"][0]["diff"].splitlines()[3:] if line[:1] in ("+", "-")
    ]
    assert [line.replace(" ", "") for line in changed] == [
        "-<name>*/main</name>",
        "+<name>*/v2</name>",
    ]


def test_a_tag_of_the_library_is_named_in_full_and_a_branch_by_its_name(
    shop: Shop, server: JenkinsServer
) -> None:
    """Jenkins looks for `*/NAME` among branches only: a job of such a tag never starts."""
    for given, specifier in (("refs/tags/v1.0.0", "refs/tags/v1.0.0"), ("v1", "*/v1")):
        install(shop, server, "--library-branch", given)
        root = config_of(server, "rollback")
        assert root.findtext("definition/scm/branches/*/name") == specifier


def test_the_drill_starts_every_night_from_its_creation_on(
    shop: Shop, server: JenkinsServer
) -> None:
    install(shop, server, "--drill-job", "drill")
    trigger = config_of(server, "drill").findtext("properties/*/triggers/*/spec")
    text = (ROOT / "Jenkinsfile.drill").read_text(encoding="utf-8")
    assert f"cron('{trigger}')" in text
    assert "triggers" not in server.configs["rollback"].decode()
    server.configs["drill"] = server.configs["drill"].replace(b"H 3 * * *", b"H 5 * * *")
    assert actions(install(shop, server, "--drill-job", "drill"))["drill"] == "unchanged"


def form_of(root: ET.Element) -> set[str]:
    """The names of the parameters that a job asks for."""
    path = "properties/hudson.model.ParametersDefinitionProperty/parameterDefinitions/*/name"
    return {element.text or "" for element in root.findall(path)}


def test_the_rollback_job_offers_services_and_sets_and_nothing_first(
    shop: Shop, server: JenkinsServer
) -> None:
    environments = '[environments.staging]\npath = "apps"\n[environments.live]\npath = "live"\n'
    shop.commit({".gitops-rollback.toml": CONFIG + environments})
    install(shop, server)
    root = config_of(server, "rollback")
    assert root.findtext("definition/scriptPath") == "Jenkinsfile.rollback"
    assert parameter(root, "SERVICE") == ["", "cart", "checkout", "payment"]
    assert parameter(root, "ENVIRONMENT") == ["", "staging", "live"]
    assert parameter(root, "GITOPS_SERVICES") == ["cart,checkout,payment"]
    assert {"ACTION", "OTHER", "OTHER_ENVIRONMENT", "REASON", "DRY_RUN"} <= form_of(root)
    assert not {"MANIFESTS", "LIBRARY"} & form_of(root)
    install(shop, server, "--no-lists")
    root = config_of(server, "rollback")
    assert parameter(root, "MANIFESTS") == [str(shop.bare)]
    assert not {"OTHER", "OTHER_ENVIRONMENT"} & form_of(root)


def test_a_job_of_the_old_form_with_lists_is_moved(shop: Shop, server: JenkinsServer) -> None:
    install(shop, server)
    there = server.configs["rollback"]
    server.configs["rollback"] = there.replace(b"Jenkinsfile.rollback", b"Jenkinsfile.dropdown")
    assert actions(install(shop, server)) == {"rollback": "updated"}
    root = config_of(server, "rollback")
    assert root.findtext("definition/scriptPath") == "Jenkinsfile.rollback"


def test_the_first_run_of_an_installed_job_asks_for_its_parameters(
    shop: Shop, server: JenkinsServer
) -> None:
    install(shop, server, "--source", "https://git.example.com/{service}.git")
    root = config_of(server, "shop/cart" if "shop/cart" in server.configs else "cart")
    assert {"SERVICE", "IMAGE", "VERSION", "RELEASE", "ACCEPT"} <= form_of(root)


def test_what_people_edited_in_a_job_stays(shop: Shop, server: JenkinsServer) -> None:
    install(shop, server)
    edited = server.configs["rollback"].replace(
        b"Puts a service", b"<b>Read the runbook first.</b> Puts a service"
    )
    trigger = b"<hudson.triggers.TimerTrigger><spec>H 3 * * *</spec></hudson.triggers.TimerTrigger>"
    own = (
        b"<hudson.model.StringParameterDefinition><name>TICKET</name><trim>true</trim>"
        b"</hudson.model.StringParameterDefinition></parameterDefinitions>"
    )
    edited = edited.replace(b"Read the runbook first.", b"Runbook.").replace(b"<b>", b"")
    edited = edited.replace(b"</b>", b"").replace(b"</parameterDefinitions>", own)
    edited = edited.replace(b"</flow-definition>", trigger + b"</flow-definition>")
    server.configs["rollback"] = edited
    assert actions(install(shop, server)) == {"rollback": "unchanged"}
    assert actions(install(shop, server, "--library-branch", "v2")) == {"rollback": "updated"}
    after = server.configs["rollback"]
    for kept in (b"Runbook. Puts", b"H 3 * * *", b"TICKET", b"GITOPS_REPOSITORY", b"*/v2"):
        assert kept in after


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b"<?xml version='1.1'?><project/>", "freestyle project"),
        (b"<?xml version='1.1'?><!DOCTYPE x [<!ENTITY a 'b'>]><project>&a;</project>", "document"),
        (b"<?xml version='1.1'?><flow-definition>", "cannot be read"),
    ],
)
def test_a_job_of_another_kind_is_left_as_it_is(
    shop: Shop, server: JenkinsServer, config: bytes, words: str
) -> None:
    server.configs["rollback"] = config
    run = install(shop, server)
    assert (run.code, run.error["category"]) == (1, "jenkins")
    assert words in run.error["message"]
    assert posts(server) == []


DEEP = b"<?xml version='1.1'?><flow-definition>" + b"<a>" * 5000 + b"</a>" * 5000


def test_a_job_of_thousands_of_levels_is_left_as_it_is(shop: Shop, server: JenkinsServer) -> None:
    server.configs["rollback"] = DEEP + b"</flow-definition>"
    run = install(shop, server)
    assert (run.code, run.error["category"]) == (1, "jenkins")
    assert "levels" in run.error["message"]


@pytest.mark.parametrize("text", ["a\x01b", "a\x1b[31m", "a\u202eb", "a\nb", "a\udcffb", "a\ufffe"])
@pytest.mark.parametrize(
    "option", ["--agent", "--approvers", "--library-branch", "--folder", "--rollback-job"]
)
def test_what_no_job_can_hold_is_refused_before_anything_is_sent(
    shop: Shop, server: JenkinsServer, option: str, text: str
) -> None:
    run = install(shop, server, option, text)
    assert (run.code, run.error["category"]) == (1, "config")
    assert server.requests == []


@pytest.mark.parametrize(
    "given",
    [
        ("--agent", "linux-hunter2hunter2"),
        ("--library-branch", "hunter2hunter2"),
        ("--git-credentials-id", "bot:hunter2hunter2"),
        ("--source", "cart=https://bot:hunter2hunter2@git.example.com/cart.git"),
        ("--source", "cart=https://git.example.com/cart.git?token=hunter2hunter2"),
        ("--source", "cart=https://bot:hunter3%2Fhunter3@git.example.com/cart.git"),
        ("--library", "lib@hunter2%68unter2"),
    ],
)
def test_no_job_is_given_a_secret(
    shop: Shop, server: JenkinsServer, given: tuple[str, str]
) -> None:
    run = install(shop, server, *given, GIT_PASSWORD="hunter2hunter2")
    assert (run.code, run.error["category"]) == (1, "config")
    assert "unter" not in run.stderr + str(run.result)
    assert server.requests == []


def test_the_difference_shows_no_token_that_starts_a_job(shop: Shop, server: JenkinsServer) -> None:
    install(shop, server)
    old = server.configs["rollback"].replace(b"<lightweight>true<", b"<lightweight>false<")
    kept = b"<authToken>start-me</authToken>"
    server.configs["rollback"] = old.replace(b"</definition>", b"</definition>" + kept)
    run = install(shop, server)
    assert actions(run)["rollback"] == "updated"
    assert "authToken" in str(run.result)
    assert "start-me" not in str(run.result) + run.stdout + run.stderr
    assert kept in server.configs["rollback"]


def test_a_starting_jenkins_is_not_an_empty_one(shop: Shop, server: JenkinsServer) -> None:
    server.force("/job/", Answer(503))
    run = install(shop, server)
    assert (run.code, run.error["category"]) == (1, "jenkins")
    assert "503" in run.error["message"]
    assert posts(server) == []


def test_a_missing_right_is_named(shop: Shop, server: JenkinsServer) -> None:
    server.configs.lacks.add("Job/Create")
    run = install(shop, server)
    assert "Job/Create" in run.error["message"]
    assert "jane" in run.error["hint"]
    server.configs.lacks = {"Job/ExtendedRead"}
    assert "Job/ExtendedRead" in install(shop, server).error["message"]


def test_a_password_instead_of_a_token_is_refused_with_words(
    shop: Shop, server: JenkinsServer
) -> None:
    server.configs.wants_crumb = True
    assert "API token" in install(shop, server).error["hint"]


def test_a_job_that_somebody_made_meanwhile_is_said(shop: Shop, server: JenkinsServer) -> None:
    exists = Answer(400, headers=(("X-Error", "A job already exists with the name 'rollback'"),))
    server.force("/createItem", exists)
    run = install(shop, server)
    assert "already exists" in run.error["message"]


def test_what_is_missing_is_asked_for(shop: Shop, server: JenkinsServer) -> None:
    run = shop.run("jobs", "install", "--library-url", LIBRARY)
    assert (run.code, "--jenkins" in run.error["hint"]) == (2, True)
    run = install(shop, server, "--source", "https://git.example.com/cart.git")
    assert (run.code, "{service}" in run.error["hint"]) == (2, True)
    run = install(shop, server, "--source", "crat=https://git.example.com/cart.git")
    assert (run.code, run.error["hint"]) == (1, "did you mean cart?")
    run = install(shop, server, "--folder", "a:b")
    assert (run.code, run.error["category"]) == (1, "config")


def test_a_service_is_built_from_one_source_and_pushed_to_one_repository(
    shop: Shop, server: JenkinsServer
) -> None:
    run = install(shop, server, "--source", "cart=https://a.example/", "--source", "cart=b/{x}")
    assert (run.code, run.error["category"]) == (2, "usage")
    assert "two addresses for cart: https://a.example/ and b/{x}" in run.error["message"]
    environments = "".join(f'[environments.{name}]\npath = "{name}"\n' for name in ("a", "b"))
    shop.commit(
        {
            ".gitops-rollback.toml": f"{environments}[services.cart]\n",
            "a/cart.yaml": DEPLOYMENT.format(image="acme/cart:1"),
            "b/cart.yaml": DEPLOYMENT.format(image="ghcr.io/acme/cart:1"),
        }
    )
    run = install(shop, server, "--source", SOURCE)
    assert (run.code, run.error["category"]) == (1, "config")
    assert "cart is ghcr.io/acme/cart in b, and docker.io/acme/cart in a" in run.error["message"]
    assert posts(server) == []
    assert "rollback" in actions(install(shop, server))
    there = actions(install(shop, server, "--source", SOURCE, "--environment", "b"))
    assert there["cart"] == "created"
    assert parameter(config_of(server, "cart"), "GITOPS_IMAGE_REPOSITORY") == ["ghcr.io/acme/cart"]


def test_the_token_goes_nowhere_but_into_the_header(shop: Shop, server: JenkinsServer) -> None:
    run = install(shop, server)
    assert USER[1] not in run.stderr + str(run.result)
    assert all(
        USER[1].encode() not in asked.body + asked.path.encode() for asked in server.requests
    )


ALL_PLUGINS = [{"shortName": name, "active": True} for name in PLUGINS]


def look(shop: Shop, server: JenkinsServer, *options: str) -> Run:
    """What `jobs check` says."""
    secrets = {"JENKINS_USER": USER[0], "JENKINS_TOKEN": USER[1], "JENKINS_URL": server.url}
    words = ("--folder", "shop", "--git-credentials-id", "git-bot", "--agent", "linux")
    return shop.run("jobs", "check", *words, *options, environment=secrets)


def knows(server: JenkinsServer, path: str, document: dict[str, object]) -> None:
    server.force(path, Answer(200, json.dumps(document).encode(), "application/json"))


def states(run: Run) -> dict[str, str]:
    return {f"{one['kind']} {one['name']}": one["state"] for one in run.result["needs"]}


def test_check_finds_what_the_jobs_need_and_changes_nothing(
    shop: Shop, server: JenkinsServer
) -> None:
    server.configs["shop"] = LIBRARY_FOLDER
    knows(server, "/api/json", {"mode": "NORMAL"})
    knows(server, "/pluginManager/api/json", {"plugins": ALL_PLUGINS})
    store = "/job/shop/credentials/store/folder/domain/_/credential/git-bot/api/json"
    knows(server, store, {"id": "git-bot"})
    knows(server, "/label/linux/api/json", {"nodes": [{"nodeName": "agent-1"}]})
    run = look(shop, server)
    assert run.code == 0, run
    assert {name for name, state in states(run).items() if state != "found"} == set(), run.result
    assert "library gitops-rollback" in states(run)
    assert "plugin pipeline-utility-steps" in states(run)
    assert posts(server) == []


def test_check_says_what_is_missing_and_where_it_is_mended(
    shop: Shop, server: JenkinsServer
) -> None:
    knows(server, "/api/json", {"mode": "NORMAL"})
    knows(server, "/pluginManager/api/json", {"plugins": ALL_PLUGINS[:-2]})
    knows(server, "/label/linux/api/json", {"nodes": [], "clouds": []})
    run = look(shop, server)
    assert run.code == 1
    assert run.error["category"] == "jenkins"
    missing = {name for name, state in states(run).items() if state == "missing"}
    assert missing == {
        "plugin git",
        "plugin cloudbees-folder",
        "folder shop",
        "credentials git-bot (of shop)",
        "agents linux",
    }
    hints = {one["name"]: one["hint"] for one in run.result["needs"] if "hint" in one}
    assert hints["git"].endswith("/manage/pluginManager/")
    page = "/job/shop/credentials/store/folder/domain/_/newCredentials"
    assert hints["git-bot (of shop)"].endswith(page)
    assert states(run)["library gitops-rollback"] == "unknown"


def test_credentials_are_found_in_whatever_domain_they_are(
    shop: Shop, server: JenkinsServer
) -> None:
    knows(server, "/api/json", {"mode": "NORMAL"})
    store = "/job/shop/credentials/store/folder"
    knows(server, f"{store}/api/json", {"domains": {"_": {}, "git hub": {}}})
    knows(server, f"{store}/domain/git%20hub/credential/git-bot/api/json", {"id": "git-bot"})
    assert states(look(shop, server))["credentials git-bot (of shop)"] == "found"
    server.unforce()
    knows(server, "/api/json", {"mode": "NORMAL"})
    knows(server, f"{store}/api/json", {"domains": {"_": {}, "git hub": {}}})
    server.force(f"{store}/domain/git%20hub/", Answer(403, b"<html>no</html>"))
    assert states(look(shop, server))["credentials git-bot (of shop)"] == "unknown"


def test_what_the_token_may_not_see_is_unknown_and_no_failure(
    shop: Shop, server: JenkinsServer
) -> None:
    server.configs["shop"] = LIBRARY_FOLDER
    knows(server, "/api/json", {"mode": "NORMAL"})
    for path in (
        "/pluginManager/api/json",
        "/label/linux/api/json",
        "/credentials/store/system/domain/_/credential/git-bot/api/json",
    ):
        server.force(path, Answer(403, b"<html>jane is missing Overall/SystemRead</html>"))
    run = look(shop, server)
    assert run.code == 0, run
    assert sorted(states(run).values()) == ["found", "found", "unknown", "unknown", "unknown"]


def test_install_tells_what_is_missing_and_installs_all_the_same(
    shop: Shop, server: JenkinsServer
) -> None:
    knows(server, "/api/json", {"mode": "NORMAL"})
    knows(server, "/pluginManager/api/json", {"plugins": []})
    run = install(shop, server)
    assert run.code == 0, run
    assert actions(run) == {"rollback": "created"}
    assert states(run)["plugin git"] == "missing"

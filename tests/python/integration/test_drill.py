"""The drill: `check` finds each planted fault, and no other, and changes nothing."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.errors import Exit
from integration.shop import CART_PATH, CART_STATE, FILES, Run, Shop
from integration.test_storage_guard import CLAIM, CLAIM_PATH, STATEFUL
from servers.git_http import GitHttpServer
from servers.jenkins_server import JenkinsServer
from servers.serving import Serving
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from integration.conftest import Workshop

TAGS = ("1.4.0", "1.4.2", "1.5.0")
QUIET = ("ok", "skipped")


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        yield standin


@pytest.fixture(scope="module")
def git(workshop: Workshop) -> Iterator[GitHttpServer]:
    """One address for all tests, since records know the one they were made for."""
    with GitHttpServer(workshop.folder / "shop") as server:
        yield server


class Drilled:
    """A shop behind a Git server, a registry that has its images, three releases of the cart."""

    def __init__(self, shop: Shop, git: GitHttpServer, registry: RegistryStandIn) -> None:
        self.shop = shop
        self.git = git
        self.registry = registry
        self.url = f"{git.url}/manifests.git"

    def check(self, *arguments: str, **environment: str) -> Run:
        before = self.shop.everything()
        run = self.shop.run("check", *arguments, repository=self.url, environment=environment)
        assert self.shop.everything() == before, "a drill changes nothing"
        return run

    def found(self, run: Run) -> list[tuple[str, str, str]]:
        """Return what is not in order: check, subject, level."""
        return [
            (found["check"], found["subject"], found["level"])
            for found in run.result["findings"]
            if found["level"] not in QUIET
        ]

    def edit_state(self, change: Callable[[dict[str, dict[str, str]]], None]) -> None:
        state = self.shop.state()
        change(state)
        self.shop.commit({CART_STATE: json.dumps(state)})


@pytest.fixture
def drilled(workshop: Workshop, git: GitHttpServer, registry: RegistryStandIn) -> Drilled:
    git.refuses_writes = False
    registry.recover()
    registry.service.repositories.clear()
    start = datetime.now(UTC) - timedelta(days=len(TAGS))
    for number, tag in enumerate(TAGS):
        registry.push("acme/cart", tag, pushed=start + timedelta(days=number))
    urls = {"GITOPS_REGISTRY_URL": registry.url, "GITOPS_HUB_URL": registry.url}

    url = f"{git.url}/manifests.git"

    def make(shop: Shop) -> Shop:
        shop.open({**FILES, CART_PATH: STATEFUL, CLAIM_PATH: CLAIM})
        for tag in TAGS:
            image = ("--service", "cart", "--image", f"acme/cart:{tag}")
            store = ("--store", f"directory:{shop.root}/store")
            shop.ok("deploy", *image, *store, repository=url, environment=urls)
        return shop

    shop = workshop.shop("drilled", make)
    shop.environment |= {**urls, "GITOPS_STORE": f"directory:{shop.root}/store"}
    return Drilled(shop, git, registry)


def test_all_is_well(drilled: Drilled, tmp_path: Path) -> None:
    run = drilled.check("--report-dir", str(tmp_path))
    assert run.code == 0, run.stderr
    assert run.result["verdict"] == "ok"
    assert run.result["summary"] == "a rollback would work: 1 service could go back"
    assert drilled.found(run) == []
    checks = [found["check"] for found in run.result["findings"]]
    assert checks == ["push", "target", "record", "registry", "storage", "jenkins", "flux"]
    page = (tmp_path / "gitops-rollback/report/report.html").read_text(encoding="utf-8")
    assert "Would a rollback work?" in page
    assert "these credentials may push" in page
    assert run.result["plans"][0]["to"]["image"].startswith("docker.io/acme/cart:1.4.2@")


# Each plants one fault and says what is to be found, and the exit code.


def expire_record(drilled: Drilled) -> None:
    shutil.rmtree(drilled.shop.root / "store" / "3")


def delete_image(drilled: Drilled) -> None:
    repository = drilled.registry.service.repositories["acme/cart"]
    drilled.registry.delete("acme/cart", repository.tags["1.4.2"])


def move_tag(drilled: Drilled) -> None:
    drilled.registry.push("acme/cart", "1.4.2", content=b"something else")


def take_right(drilled: Drilled) -> None:
    drilled.git.refuses_writes = True


def make_ambiguous(drilled: Drilled) -> None:
    other = FILES[CART_PATH].replace("acme/cart:1.4.1", "other/cart:7")
    drilled.shop.commit({"apps/other/deployment.yaml": other, "apps/kustomization.yaml": None})


def change_storage(drilled: Drilled) -> None:
    drilled.shop.edit("5Gi", "10Gi", CLAIM_PATH)


def lose_claim(drilled: Drilled) -> None:
    drilled.shop.commit({CLAIM_PATH: None})


def forget_hold(drilled: Drilled) -> None:
    drilled.shop.roll_back(repository=drilled.url)
    then = (datetime.now(UTC) - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def change(state: dict[str, dict[str, str]]) -> None:
        state["hold"]["at"] = then

    drilled.edit_state(change)


def put_marker_back(drilled: Drilled) -> None:
    drilled.shop.roll_back(repository=drilled.url)
    drilled.shop.edit("$imagepolicy-held", "$imagepolicy")


SUMS: dict[Callable[[Drilled], None], str] = {
    take_right: "a rollback would fail: branch main: ",
    make_ambiguous: "a rollback would fail: 1 of 1 service could not go back",
    move_tag: "a rollback would work: 1 service could go back, with warnings",
    forget_hold: "a rollback would work: 1 service could go back, with warnings",
}
FAULTS: dict[Callable[[Drilled], None], tuple[int, tuple[str, str, str]]] = {
    expire_record: (8, ("record", "cart", "warning")),
    delete_image: (8, ("image", "cart", "warning")),
    move_tag: (8, ("tag", "cart", "warning")),
    take_right: (1, ("push", "branch main", "failed")),
    make_ambiguous: (1, ("service", "cart", "failed")),
    change_storage: (8, ("storage", "cart", "warning")),
    forget_hold: (8, ("hold", "cart", "warning")),
    put_marker_back: (1, ("marker", "cart", "failed")),
}


def test_storage_that_is_guarded_fails_the_drill(drilled: Drilled) -> None:
    drilled.shop.commit({".gitops-rollback.toml": '[defaults]\nstorage-guard = "refuse"\n'})
    change_storage(drilled)
    run = drilled.check()
    assert (run.code, drilled.found(run)) == (1, [("refused", "cart", "failed")])
    assert drilled.check("--accept", "storage").code == 8
    assert drilled.check("--accept", "cart=storage").code == 8
    other = drilled.check("--accept", "basket=storage")
    assert other.code == Exit.USAGE
    assert "--accept names basket, which is none of the services: cart" in other.said


def test_what_is_left_of_a_service_that_is_gone_is_passed_by_unless_it_is_named(
    drilled: Drilled,
) -> None:
    drilled.shop.deploy("2.0.1", name="payment", repository=drilled.url)
    kept = FILES["apps/kustomization.yaml"].replace("- payment/deployment.yaml\n", "")
    drilled.shop.commit({"apps/payment/deployment.yaml": None, "apps/kustomization.yaml": kept})
    run = drilled.check()
    assert ("service", "payment", "warning") in drilled.found(run), run.result["findings"]
    assert run.code == Exit.WARNINGS
    assert "history payment --retire --reason TEXT" in run.said
    assert drilled.check("--service", "payment").code == Exit.FAILED


def test_a_claim_that_is_gone_is_a_risk(drilled: Drilled) -> None:
    lose_claim(drilled)
    run = drilled.check()
    assert run.code == 8
    assert {found[0] for found in drilled.found(run)} == {"storage"}
    assert "no claim cart-data" in run.said


class _Cluster(BaseHTTPRequestHandler):
    """The API server of a cluster with Flux, as far as a drill asks it."""

    kustomizations: list[dict[str, object]]
    token: str

    def do_GET(self) -> None:
        known = "/apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
        status = 200 if self.path.partition("?")[0] == known else 404
        if self.headers["Authorization"] != f"Bearer {self.token}":
            status = 401
        body = json.dumps({"items": self.kustomizations}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


def kustomization(name: str, path: str, status: str = "True", **spec: object) -> dict[str, object]:
    ready = {"type": "Ready", "status": status, "message": "build failed"}
    return {
        "metadata": {"namespace": "flux-system", "name": name},
        "spec": {"path": path, **spec},
        "status": {"conditions": [ready]},
    }


def test_flux_is_asked_where_there_is_a_cluster(drilled: Drilled, tmp_path: Path) -> None:
    pytest.importorskip("kubernetes")
    found = [kustomization("apps", "./apps"), kustomization("infra", "./infra", "False")]
    handler = type("Handler", (_Cluster,), {"kustomizations": found, "token": "right"})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with Serving(server):

        def check(token: str = "right") -> Run:
            config = {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {"server": f"http://127.0.0.1:{server.server_port}"},
                    }
                ],
                "users": [{"name": "u", "user": {"token": token}}],
            }
            path = tmp_path / "kubeconfig"
            path.write_text(json.dumps(config), encoding="utf-8")
            return drilled.check(KUBECONFIG=str(path))

        well = check()
        assert well.code == 0, well.stderr
        assert "1 Kustomizations apply these files" in well.said
        found.append(kustomization("shop", "", suspend=True))
        assert drilled.found(check()) == [("flux", "flux-system/shop", "warning")]
        found[0] = kustomization("apps", "./apps", "False")
        found.pop()
        broken = check()
        assert drilled.found(broken) == [("flux", "flux-system/apps", "warning")]
        assert "build failed" in broken.said
        assert drilled.found(check("wrong")) == [("flux", "cluster", "warning")]


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_and_no_other(
    drilled: Drilled, plant: Callable[[Drilled], None]
) -> None:
    plant(drilled)
    code, fault = FAULTS[plant]
    run = drilled.check()
    assert drilled.found(run) == [fault], run.stderr
    assert run.code == code
    assert ("error" in run.result) == (code == 1)
    assert run.result["verdict"] == {1: "failed", 8: "warnings"}[code]
    assert run.result["summary"].startswith(SUMS.get(plant, "a rollback would "))
    shown = next(f for f in run.result["findings"] if f["check"] == fault[0])
    assert shown["hint"] in run.said


def test_jenkins_is_asked_with_these_credentials_for_the_jobs_that_hold_records(
    drilled: Drilled,
) -> None:
    drilled.shop.commit({".gitops-rollback.toml": '[services.cart]\ndeploy-job = "shop/cart"\n'})
    with JenkinsServer(("jane", "right"), anonymous="none") as jenkins:
        jenkins.add("shop/cart", 1, {})
        secrets = {"JENKINS_URL": jenkins.url, "JENKINS_USER": "jane", "GITOPS_STORE": "jenkins"}
        good = drilled.check(**secrets, JENKINS_TOKEN="right")
        assert ("jenkins", "shop/cart", "warning") not in drilled.found(good)
        wrong = drilled.check(**secrets, JENKINS_TOKEN="wrong")
        assert ("jenkins", "shop/cart", "warning") in drilled.found(wrong)
        assert "new API token" in wrong.said
        assert "wrong" not in str(wrong.result["findings"]).replace("is wrong", "")


def test_a_limit_that_is_near_is_said_before_it_is_reached(drilled: Drilled) -> None:
    limits = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "4;w=21600"}
    drilled.registry.limits.update(limits)
    run = drilled.check()
    assert [found[0] for found in drilled.found(run)] == ["limit"]
    assert "4 more requests of 100" in run.said


def test_a_registry_that_does_not_answer_is_a_warning(drilled: Drilled) -> None:
    nowhere = {"GITOPS_REGISTRY_URL": "http://127.0.0.1:1", "GITOPS_HUB_URL": "http://127.0.0.1:1"}
    run = drilled.check(**nowhere)
    assert run.code == 8
    assert drilled.found(run) == [("registry", "docker.io", "warning")]


def test_nothing_to_check_is_no_success(shop: Shop) -> None:
    there = shop.git("ls-tree", "-r", "--name-only", "main").split()
    shop.commit({**dict.fromkeys(there), "README.md": "nothing is here"})
    run = shop.refused(1, "config", "check")
    assert "--service" in run.error["hint"]


def test_where_nothing_was_deployed_yet_what_is_found_is_checked(shop: Shop) -> None:
    found = {one["service"] for one in shop.ok("services").result["services"]}
    run = shop.run("check")
    assert {one["service"] for one in run.result["plans"]} == found
    run = shop.run("check", "--service", "payment")
    assert (run.code, run.result["verdict"]) == (8, "warnings")
    assert "nothing ran before" in run.said
    new = "a rollback would not work yet: 1 service has nothing to go back to yet"
    assert run.result["summary"].startswith(new)
    assert run.stdout.splitlines()[-1] == run.result["summary"]


def test_a_service_that_is_not_there_fails_the_drill_and_the_others_are_looked_at(
    drilled: Drilled,
) -> None:
    drilled.shop.commit({".gitops-rollback.toml": "[services.cart]\n[services.ghost]\n"})
    run = drilled.check()
    assert run.code == 1
    assert drilled.found(run) == [("service", "ghost", "failed")]
    assert any(f["subject"] == "cart" for f in run.result["findings"])


def test_services_are_found_by_globs_below_the_path_of_their_environment(shop: Shop) -> None:
    shop.commit(
        {
            CART_PATH: None,
            f"clusters/production/{CART_PATH}": FILES[CART_PATH],
            ".gitops-rollback.toml": (
                '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'
                '[environments.production]\npath = "clusters/production"\n'
            ),
        }
    )
    run = shop.run("check")
    assert (run.code, run.result["verdict"]) == (8, "warnings"), run.stderr
    assert any(f["subject"] == "cart production" for f in run.result["findings"])


def test_in_an_environment_of_many_files_the_services_are_drilled_and_the_rest_is_named(
    two_thousand: Shop,
) -> None:
    for tag in ("1.4.2", "1.5.0"):
        two_thousand.deploy(tag)
    run = two_thousand.run("check", "--service", "cart")
    assert run.code in (0, 8), run.stderr
    assert run.result["plans"][0]["to"]["image"].startswith("docker.io/acme/cart:1.4.2")
    (storage,) = (one for one in run.result["findings"] if one["check"] == "storage")
    assert storage["level"] == "skipped"
    assert "YAML files, too many" in storage["message"]


def test_what_an_environment_of_many_files_is_told_to_do_can_be_done(two_thousand: Shop) -> None:
    refused = two_thousand.run("services")
    assert (refused.code, refused.error["category"]) == (1, "config")
    assert "gitops-rollback plan SERVICE" in refused.error["hint"]
    toml = two_thousand.text(".gitops-rollback.toml")
    part = '[environments.some]\npath = "apps/s7"\n'
    assert 'path = "FOLDER"' in refused.error["hint"]
    two_thousand.commit(
        {".gitops-rollback.toml": toml.replace("apps/{service}/*.yaml", "*.yaml") + part}
    )
    two_thousand.ok("services", "--environment", "some")

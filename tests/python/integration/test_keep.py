"""Which builds Jenkins keeps: the one whose record a rollback needs, and no other of ours."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, image
from servers.jenkins_answer import Answer
from servers.jenkins_server import JenkinsServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from integration.shop import Run

JOB = "shop/deploy"
ROLLBACK = "shop/rollback"


@pytest.fixture
def jenkins() -> Iterator[JenkinsServer]:
    with JenkinsServer(("jane", "token")) as server:
        yield server


class Pipeline:
    """What the steps do: record, archive in a build, deploy with `--keep`."""

    def __init__(self, shop: Shop, jenkins: JenkinsServer) -> None:
        self.shop = shop
        self.jenkins = jenkins
        shop.environment |= {
            "JENKINS_URL": jenkins.url, "JENKINS_USER": "jane", "JENKINS_TOKEN": "token",
        }  # fmt: skip

    def deploy(self, number: int, tag: str, name: str = "cart", job: str = JOB) -> Run:
        folder = self.shop.root / f"build-{number}-{name}"
        named = ("--service", name, "--image", image(tag, name))
        build = {"JOB_NAME": job, "BUILD_NUMBER": str(number)}
        made = self.shop.ok("record", *named, "--record-dir", str(folder), environment=build)
        self.archive(job, number, folder)
        record = ("--record", made.result["records"][0]["file"], "--keep")
        return self.shop.ok("deploy", *named, *record, environment=build)

    def roll_back(self, number: int, *more: str) -> Run:
        folder = self.shop.root / f"rollback-{number}"
        build = {"JOB_NAME": ROLLBACK, "BUILD_NUMBER": str(number)}
        run = self.shop.roll_back("--keep", "--record-dir", str(folder), *more, environment=build)
        self.archive(ROLLBACK, number, folder)
        return run

    def archive(self, job: str, number: int, folder: Path) -> None:
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        before = self.jenkins.jobs.get(job, {}).get(number)
        artifacts = {**(before.artifacts if before else {}), **files}
        self.jenkins.add(job, number, artifacts, is_kept=bool(before and before.is_kept))

    def kept(self) -> list[str]:
        return [
            f"{job}#{number}"
            for job, builds in self.jenkins.jobs.items()
            for number, build in sorted(builds.items())
            if build.is_kept
        ]

    def toggles(self) -> list[str]:
        return [path for path in self.jenkins.paths if path.startswith("POST")]


@pytest.fixture
def pipeline(shop: Shop, jenkins: JenkinsServer) -> Pipeline:
    return Pipeline(shop, jenkins)


def test_each_deploy_keeps_its_build_and_lets_the_one_before_go(pipeline: Pipeline) -> None:
    for number, tag in enumerate(("1.4.2", "1.5.0", "1.6.0"), start=41):
        run = pipeline.deploy(number, tag)
        assert pipeline.kept() == [f"{JOB}#{number}"]
        assert run.service()["warnings"] == []
    assert f"Jenkins keeps {JOB} #43" in run.stderr
    assert f"Jenkins no longer keeps {JOB} #42" in run.stderr
    assert len(pipeline.toggles()) == 5, "three kept, two let go"


def test_what_is_kept_already_is_not_turned_over(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    pipeline.jenkins.requests.clear()
    run = pipeline.deploy(41, "1.4.2")
    assert run.result["changed"] is False
    assert pipeline.kept() == [f"{JOB}#41"]
    assert pipeline.toggles() == []


def test_a_rollback_keeps_what_a_further_one_would_need(pipeline: Pipeline) -> None:
    for number, tag in enumerate(("1.4.2", "1.5.0", "1.6.0"), start=41):
        pipeline.deploy(number, tag)
    pipeline.roll_back(7)
    assert pipeline.kept() == [f"{JOB}#42"], "the record of 1.4.2"


def test_a_build_that_another_service_still_needs_stays_kept(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    pipeline.deploy(41, "2.1.0", "payment")
    run = pipeline.deploy(42, "1.5.0")
    assert pipeline.kept() == [f"{JOB}#41", f"{JOB}#42"]
    assert "payment would go back by its record" in run.stderr
    pipeline.deploy(43, "2.2.0", "payment")
    assert pipeline.kept() == [f"{JOB}#42", f"{JOB}#43"]


def test_without_the_right_to_keep_it_says_so_and_the_deploy_stands(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    pipeline.jenkins.forbidden = frozenset({"keep"})
    run = pipeline.deploy(42, "1.5.0")
    assert run.result["changed"] is True
    (warning,) = run.service()["warnings"]
    assert f"{JOB} #42 is not kept" in warning
    assert "give the user 'jane' Run/Update" in warning
    assert pipeline.kept() == [f"{JOB}#41"], "nothing is let go for a build that is not kept"


def test_a_password_in_place_of_a_token_is_named_and_no_right_is_asked_for(
    pipeline: Pipeline,
) -> None:
    crumb = Answer(403, b"<html>No valid crumb was included in the request</html>")
    pipeline.jenkins.force("/job/shop/job/deploy/41/toggleLogKeep", crumb)
    (warning,) = pipeline.deploy(41, "1.4.2").service()["warnings"]
    assert "JENKINS_TOKEN is a password" in warning
    assert "for the user 'jane': it needs no crumb" in warning
    assert "Run/Update" not in warning


def test_without_the_right_to_let_go_it_says_so(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    pipeline.jenkins.forbidden = frozenset({"let go"})
    (warning,) = pipeline.deploy(42, "1.5.0").service()["warnings"]
    assert f"{JOB} #41 stays kept" in warning
    assert "Run/Delete" in warning


def test_a_build_that_is_gone_is_a_warning(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    del pipeline.jenkins.jobs[JOB][41]
    (warning,) = pipeline.deploy(42, "1.5.0").service()["warnings"]
    assert f"{JOB} #41 stays kept" in warning
    assert pipeline.kept() == [f"{JOB}#42"]


def test_a_build_without_a_record_of_the_service_is_never_let_go(pipeline: Pipeline) -> None:
    pipeline.deploy(41, "1.4.2")
    pipeline.jenkins.add("release/forever", 41, {"dist.tar": b""}, is_kept=True)
    state = pipeline.shop.bytes_of(".gitops-rollback/default/cart.json")
    forged = state.replace(JOB.encode(), b"release/forever")
    pipeline.shop.commit({".gitops-rollback/default/cart.json": forged})
    pipeline.deploy(42, "1.5.0")
    assert "release/forever#41" in pipeline.kept()


def test_a_dry_run_keeps_nothing_and_a_directory_needs_not_to(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    pipeline.deploy(41, "1.4.2")
    before = pipeline.kept()
    shop = pipeline.shop
    jenkins.requests.clear()
    shop.roll_back("--keep", "--dry-run", "--record-dir", str(shop.root / "dry"))
    assert pipeline.kept() == before
    assert pipeline.toggles() == []
    run = shop.roll_back("--keep", "--store", f"directory:{shop.root / 'records'}")
    assert "nothing to keep" in run.stderr


def test_two_services_rolled_back_together_let_their_common_build_go(
    workshop_of_two: Pipeline,
) -> None:
    pipeline = workshop_of_two
    reason = ("--reason", "x", "--keep", "--record-dir", str(pipeline.shop.root / "r"))
    run = pipeline.shop.ok("rollback", "--service", "cart", "--service", "payment", *reason)
    assert run.warnings == []
    assert pipeline.kept() == [f"{JOB}#41"]


@pytest.fixture
def workshop_of_two(pipeline: Pipeline) -> Pipeline:
    """Two services that were deployed twice, each time by one build for both."""
    for number, tag in ((41, "3.0"), (42, "3.1")):
        for name in ("cart", "payment"):
            pipeline.deploy(number, tag, name)
    assert pipeline.kept() == [f"{JOB}#42"]
    return pipeline


def busy(jenkins: JenkinsServer, *statuses: int) -> None:
    """Answer the next requests to keep build 2 so, and then as always."""
    path = "/job/shop/job/deploy/2/toggleLogKeep"
    jenkins.force(path, *(Answer(status, b"<html>busy</html>") for status in statuses))


def test_a_busy_jenkins_is_asked_again_to_keep_a_build(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    pipeline.deploy(1, "1.5.0")
    busy(jenkins, 503, 302)
    run = pipeline.deploy(2, "1.6.0")
    assert len([path for path in pipeline.toggles() if "/2/" in path]) == 2
    assert "is not kept" in run.stderr  # the stand-in answers 302 and does nothing: it is looked at


def test_a_jenkins_that_stays_busy_is_told_and_the_next_run_keeps_the_build(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    pipeline.deploy(1, "1.5.0")
    busy(jenkins, 503)
    run = pipeline.deploy(2, "1.6.0")
    assert "shop/deploy #2 is not kept" in run.stderr
    assert len([path for path in pipeline.toggles() if "/2/" in path]) == 3
    jenkins.unforce()
    pipeline.deploy(2, "1.6.0")
    assert "shop/deploy#2" in pipeline.kept()


def test_a_mark_that_cannot_be_looked_at_is_not_turned_a_second_time(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    pipeline.deploy(1, "1.5.0")
    build = "/job/shop/job/deploy/2/"
    not_kept = b'{"keepLog": false, "artifacts": []}'
    jenkins.force(f"{build}api/json", Answer(200, not_kept), Answer(500, b"<html>oops</html>"))
    jenkins.force(f"{build}toggleLogKeep", Answer(503, b"<html>busy</html>"))
    run = pipeline.deploy(2, "1.6.0")
    assert "shop/deploy #2 is not kept" in run.stderr
    assert len([path for path in pipeline.toggles() if "/2/" in path]) == 1


@pytest.mark.parametrize(
    "answer",
    [b'{"artifacts": []}', b'{"keepLog": null, "artifacts": []}', b'{"keepLog": false}'],
)
def test_a_build_of_which_jenkins_does_not_say_whether_it_is_kept_is_left_as_it_is(
    pipeline: Pipeline, jenkins: JenkinsServer, answer: bytes
) -> None:
    jenkins.force("/job/shop/job/deploy/1/api/json", Answer(200, answer))
    run = pipeline.deploy(1, "1.5.0")
    assert "shop/deploy #1 is not kept" in run.stderr
    assert "it does not say whether it keeps that build" in run.stderr
    assert pipeline.toggles() == []


def test_the_drill_lists_the_record_that_a_discarder_would_take(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    for number, tag in ((41, "1.4.2"), (42, "1.5.0")):
        pipeline.deploy(number, tag)

    def told() -> list[str]:
        run = pipeline.shop.run("check", "--service", "cart")
        return [f["message"] for f in run.result["findings"] if "not kept" in f["message"]]

    assert told() == [], "42 is kept, and 41 is not needed"
    jenkins.jobs[JOB][42].is_kept = False
    assert told() == [], "nothing discards builds of the job"
    jenkins.discards.add(JOB)
    (message,) = told()
    assert message.startswith(f"{JOB} #42 has the record by which cart would go back, is not kept")
    del jenkins.jobs[JOB][42].artifacts["gitops-rollback/default/cart/record.json"]
    assert told() == [], "what is lost already is told otherwise"


def test_the_drill_keeps_what_a_run_could_not_keep(
    pipeline: Pipeline, jenkins: JenkinsServer
) -> None:
    pipeline.deploy(1, "1.5.0")
    jenkins.jobs[JOB][1].is_kept = False
    run = pipeline.shop.run("check", "--service", "cart", "--keep")
    assert pipeline.kept() == ["shop/deploy#1"]
    assert "kept from now on" in json.dumps(run.result)
    again = pipeline.shop.run("check", "--service", "cart", "--keep")
    assert "kept from now on" not in json.dumps(again.result)
    jenkins.jobs[JOB][1].is_kept = False
    jenkins.forbidden = frozenset({"keep"})
    refused = pipeline.shop.run("check", "--service", "cart", "--keep")
    assert "a discarder of builds may take it: it is not kept" in json.dumps(refused.result)
    pipeline.shop.run("check", "--service", "cart")
    assert pipeline.kept() == []

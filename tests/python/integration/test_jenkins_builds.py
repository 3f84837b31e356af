"""Builds as Jenkins has them: shared jobs, aborted and replayed builds, several environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gitops_rollback.refusals import JOB_ALLOWS
from integration.shop import CART, CART_STATE, Shop, canonical, image, names
from integration.test_keep import JOB, Pipeline, jenkins

if TYPE_CHECKING:
    from servers.jenkins_server import JenkinsServer

__all__ = ["jenkins"]
PLAN = ("plan", "--service", "cart")
RECORDS = ("--strategy", "artifact", "--store", f"jenkins:{JOB}")


@pytest.fixture
def pipeline(shop: Shop, jenkins: JenkinsServer) -> Pipeline:
    """A job that deploys every service: the cart by builds 41 and 45, the payment in between."""
    pipeline = Pipeline(shop, jenkins)
    pipeline.deploy(41, "1.4.2")
    for number, tag in ((42, "2.1.0"), (43, "2.2.0"), (44, "2.3.0")):
        pipeline.deploy(number, tag, "payment")
    pipeline.deploy(45, "1.5.0")
    return pipeline


def lose_state(pipeline: Pipeline) -> None:
    pipeline.shop.take_back(CART_STATE)
    pipeline.jenkins.requests.clear()


def archive_without_deploying(pipeline: Pipeline, number: int, tag: str) -> None:
    """Record and archive, as a build does that is aborted before it deploys."""
    folder = pipeline.shop.root / f"aborted-{number}"
    build = {"JOB_NAME": JOB, "BUILD_NUMBER": str(number)}
    named = ("--service", "cart", "--image", image(tag))
    pipeline.shop.ok("record", *named, "--record-dir", str(folder), environment=build)
    pipeline.archive(JOB, number, folder)
    pipeline.jenkins.jobs[JOB][number].result = "ABORTED"


def test_in_a_job_of_many_services_only_the_service_s_own_records_are_read(
    pipeline: Pipeline,
) -> None:
    lose_state(pipeline)
    plan = pipeline.shop.ok(*PLAN, *RECORDS).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    read = [path for path in pipeline.jenkins.paths if path.endswith("record.json")]
    assert len(read) == 1
    assert "/45/" in read[0]


def test_a_build_that_archived_and_was_aborted_is_no_deployment(pipeline: Pipeline) -> None:
    archive_without_deploying(pipeline, 46, "1.6.0")
    plan = pipeline.shop.ok(*PLAN).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    lose_state(pipeline)
    plan = pipeline.shop.ok(*PLAN, *RECORDS).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    verdicts = {entry["image"]: entry.get("reason") for entry in plan["candidates"]}
    assert verdicts[canonical("1.6.0")] == "never-deployed"
    history = pipeline.shop.ok("history", "--service", "cart", *RECORDS[2:]).service()
    assert "1.6.0 was archived by shop/deploy #46 and never deployed" in history["findings"]


def test_without_a_state_file_trailers_name_the_builds_whose_records_prove_them(
    pipeline: Pipeline,
) -> None:
    lose_state(pipeline)
    history = pipeline.shop.ok("history", "--service", "cart").service()
    assert names(history["entries"], "proofs")[:2] == [["artifact", "git"], ["artifact", "git"]]
    assert [entry["build"]["number"] for entry in history["entries"][:2]] == [45, 41]
    plan = pipeline.shop.ok(*PLAN).service()
    assert (plan["to"]["image"], plan["to"]["source"]) == (canonical("1.4.2"), "artifact")


def test_a_build_that_failed_after_its_commit_is_a_deployment(pipeline: Pipeline) -> None:
    pipeline.deploy(46, "1.6.0")
    pipeline.jenkins.jobs[JOB][46].result = "ABORTED"
    for strategy in ("auto", "artifact"):
        plan = pipeline.shop.ok(*PLAN, "--strategy", strategy).service()
        assert plan["to"]["image"] == canonical("1.5.0")
        assert plan["to"]["build"]["number"] == 45
        assert plan["to"]["archivedBy"]["number"] == 46


def test_a_replayed_build_records_nothing_and_hides_nothing(pipeline: Pipeline) -> None:
    run = pipeline.deploy(46, "1.5.0")
    assert run.result["changed"] is False
    # It archived all the same, as a pipeline of one's own may do: an unchanged record.
    lose_state(pipeline)
    plan = pipeline.shop.ok(*PLAN, *RECORDS).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    entries = pipeline.shop.ok("history", "--service", "cart", *RECORDS[2:]).service()["entries"]
    assert names(entries, "action")[:2] == ["deploy", "deploy"]


def test_records_of_two_environments_in_one_job_are_told_apart(
    shop: Shop, jenkins: JenkinsServer
) -> None:
    config = '[environments.staging]\npath = "staging"\n[environments.live]\npath = "live"\n'
    files = {f"{name}/cart.yaml": CART for name in ("staging", "live")}
    old = dict.fromkeys(("apps/cart/deployment.yaml",))
    shop.commit({".gitops-rollback.toml": config, **files, **old})
    pipeline = Pipeline(shop, jenkins)
    for number, (environment, tag) in enumerate(
        [("live", "1.4.2"), ("staging", "3.0"), ("live", "1.5.0"), ("staging", "3.1")], start=1
    ):
        shop.environment["GITOPS_ENVIRONMENT"] = environment
        pipeline.deploy(number, tag)
    shop.environment["GITOPS_ENVIRONMENT"] = "live"
    shop.commit({".gitops-rollback/live/cart.json": None})
    plan = shop.ok(*PLAN, *RECORDS).service()
    assert plan["to"]["image"] == canonical("1.4.2")
    assert not any("3." in name for name in names(plan["candidates"], "image"))


def test_a_record_that_anybody_can_archive_makes_no_image_one_that_may_be_gone_back_to(
    shop: Shop, jenkins: JenkinsServer
) -> None:
    pipeline = Pipeline(shop, jenkins)
    shop.edit("acme/cart:1.4.1", image("1.4.2"))
    shop.edit(image("1.4.2"), image("1.5.0"))
    named = ("rollback", "--service", "cart", "--reason", "x", *RECORDS[2:], "--to", image("1.6.0"))
    accept = ("--accept", "never-deployed,unproven", "--allowed-accept", ",".join(JOB_ALLOWS))
    assert shop.refused(6, "refused", *named, *accept).error["code"] == "never-ran"
    archive_without_deploying(pipeline, 46, "1.6.0")
    assert shop.refused(6, "refused", *named).error["code"] == "never-deployed"
    assert shop.refused(6, "refused", *named, *accept).error["code"] == "never-ran"

"""`check --storage`, on local files and on an environment of the repository."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback import schema
from gitops_rollback.look import builds
from integration.shop import COMMAND
from servers.jenkins_server import JenkinsServer

if TYPE_CHECKING:
    import pytest

    from integration.shop import Shop

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/storage"
GOOD = (EXAMPLE / "storage.yaml").read_text(encoding="utf-8")
BAD = GOOD.replace("  hostPath:\n    path: /data\n", "  path: /data\n").replace("5Gi", "15Gi")


def test_the_example_is_found_to_be_right_and_its_claim_to_bind(shop: Shop) -> None:
    run = shop.run("check", "--storage", str(EXAMPLE))
    assert run.code == 0, run.stderr
    assert run.result["findings"] == []
    assert run.result["claims"][0] | {"path": "", "line": 0} == {
        "name": "pvc-example",
        "path": "",
        "line": 0,
        "state": "bound",
        "volume": "pv-example",
        "reason": "binds pv-example",
    }
    assert "bound to pv-example" in run.stdout


def test_errors_are_exit_1_with_line_meaning_and_mend(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    run = shop.run("check", "--storage", str(tmp_path))
    assert run.code == 1
    assert run.error["category"] == "manifest"
    assert "2 errors" in run.error["message"]
    found = run.result["findings"]
    assert [(f["code"], f["severity"]) for f in found] == [
        ("misplaced-field", "error"),
        ("claim-pending", "error"),
    ]
    line = BAD.splitlines().index("  path: /data") + 1
    assert f"bad.yaml:{line}:3: error: `path` stands in `spec`" in run.stdout
    assert "    means: the API server drops it" in run.stdout
    assert "    mend:  write `spec.hostPath:`" in run.stdout
    assert "it has 10Gi, and 15Gi are asked for" in found[1]["message"]


def test_warnings_alone_are_exit_0(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD.replace("Retain ", "Delete "), encoding="utf-8")
    run = shop.run("check", "--storage", str(tmp_path))
    assert run.code == 0, run.stderr
    assert [f["code"] for f in run.result["findings"]] == ["reclaim-delete"]


def test_an_environment_of_the_repository_is_read_where_no_path_is_given(shop: Shop) -> None:
    shop.commit({"apps/storage/all.yaml": BAD})
    run = shop.run("check", "--storage")
    assert run.code == 1
    assert "the storage of this repository" in run.error["message"]
    assert {f["path"] for f in run.result["findings"] if f["severity"] == "error"} == {
        "apps/storage/all.yaml"
    }


def test_the_format_github_marks_the_line(tmp_path: Path) -> None:
    path = tmp_path / "50%,a:b.yaml"
    path.write_text(BAD, encoding="utf-8")
    done = subprocess.run(
        [COMMAND, "check", "--storage", "--format", "github", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    first, second = done.stdout.splitlines()
    line = BAD.splitlines().index("  path: /data") + 1
    assert first.startswith(f"::error file={tmp_path}/50%25%2Ca%3Ab.yaml,line={line},col=3,title=")
    assert "?%0AThat means: the API server drops it" in first
    assert second.startswith("::error ")
    assert done.returncode == 1


def test_the_format_json_is_the_result_on_stdout(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD, encoding="utf-8")
    done = subprocess.run(
        [COMMAND, "check", "--storage", "--format", "json", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    document = json.loads(done.stdout)
    schema.check(document, "result-storage")
    assert document["error"]["category"] == "manifest"
    assert len(document["findings"]) == 2
    assert done.returncode == 1


def test_a_path_where_nothing_is_is_a_usage_error(shop: Shop) -> None:
    run = shop.run("check", "--storage", "/nowhere.yaml")
    assert run.code == 2
    assert "there is no file or folder /nowhere.yaml" in run.error["message"]


def test_one_service_is_checked_where_it_is_named(shop: Shop) -> None:
    shop.commit({"apps/other.yaml": BAD})
    ledger = shop.text("apps/ledger/statefulset.yaml")
    shop.commit({"apps/ledger/statefulset.yaml": ledger.replace("[{name: data,", "[{name: dat,")})
    assert shop.ok("check", "--storage", "--service", "cart").result["findings"] == []
    run = shop.run("check", "--storage", "--service", "ledger")
    assert run.code == 1
    assert [f["code"] for f in run.result["findings"] if f["severity"] == "error"] == [
        "mount-without-volume"
    ]
    assert "ledger default" in run.error["message"]


def test_a_service_and_paths_are_one_too_many(shop: Shop) -> None:
    run = shop.run("check", "--storage", str(EXAMPLE), "--service", "cart")
    assert run.code == 2


def test_a_deploy_job_that_keeps_too_few_builds_is_a_warning(shop: Shop) -> None:
    for number, tag in enumerate(("1.4.2", "1.5.0", "1.6.0"), start=7):
        build = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": str(number)}
        shop.deploy(tag, environment=build)
    record = "gitops-rollback/default/cart/record.json"
    with JenkinsServer() as server:
        server.add("shop/cart", 9, {record: b"{}"})
        server.add("shop/cart", 10, {})
        run = shop.ok("check", "--storage", environment={"JENKINS_URL": server.url})
        assert len(server.requests) == 1
    found = [f for f in run.result["findings"] if f["code"] == "builds-lost"]
    assert [f["severity"] for f in found] == ["warning"]
    assert "the records of #8, #7 are gone" in found[0]["message"]
    assert "keep at least 30 builds" in found[0]["mend"]
    assert found[0]["path"] == ".gitops-rollback/default/cart.json"


def test_the_drill_warns_of_lost_builds_too(shop: Shop) -> None:
    shop.deploy("1.4.2", environment={"JOB_NAME": "shop/cart", "BUILD_NUMBER": "7"})
    with JenkinsServer() as server:
        server.add("shop/cart", 9, {})
        done = subprocess.run(
            shop.line("check"),
            env={**shop.environment, "JENKINS_URL": server.url},
            cwd=shop.root,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "the deploy job shop/cart keeps too few builds" in done.stdout


def test_a_jenkins_that_does_not_answer_is_said_in_the_result_and_left(shop: Shop) -> None:
    shop.deploy("1.4.2", environment={"JOB_NAME": "shop/cart", "BUILD_NUMBER": "7"})
    silent = {"JENKINS_URL": "http://127.0.0.1:1/"}
    run = shop.ok("check", "--storage", environment=silent)
    [found] = [f for f in run.result["findings"] if f["code"] == "builds-not-asked"]
    assert found["severity"] == "note"
    assert "were not looked at, of cart: asked Jenkins at 127.0.0.1:1" in found["message"]
    drilled = shop.run("check", environment=silent).result["findings"]
    assert [one["level"] for one in drilled if one["check"] == "builds"] == ["skipped"]


def test_of_how_many_services_the_builds_were_not_asked_is_said(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "_MOST_SERVICES", 1)
    for service in ("cart", "ledger"):
        build = {"JOB_NAME": f"shop/{service}", "BUILD_NUMBER": "7"}
        shop.deploy("1.4.2", name=service, environment=build)
    with JenkinsServer() as server:
        server.add("shop/cart", 9, {})
        run = shop.ok("check", "--storage", environment={"JENKINS_URL": server.url})
    codes = {f["code"]: f["message"] for f in run.result["findings"]}
    assert "shop/cart keeps too few builds" in codes["builds-lost"]
    assert codes["builds-not-asked"].endswith("of 1 more services: 1 are asked at once")


def test_a_state_file_that_is_broken_hides_no_other_services_builds(shop: Shop) -> None:
    shop.deploy("1.4.2", environment={"JOB_NAME": "shop/cart", "BUILD_NUMBER": "7"})
    shop.commit({".gitops-rollback/default/basket.json": "{"})
    with JenkinsServer() as server:
        server.add("shop/cart", 9, {})
        run = shop.ok("check", "--storage", environment={"JENKINS_URL": server.url})
    codes = {f["code"]: f["message"] for f in run.result["findings"]}
    assert "of basket: " in codes["builds-not-asked"]
    assert "builds-lost" in codes

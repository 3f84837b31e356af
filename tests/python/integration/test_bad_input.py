"""Bad input: one clear error, the right exit code, and nothing written anywhere."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from inprocess import run_command
from integration.shop import CART, CART_PATH, COMMAND, PAYMENT, PAYMENT_PATH, Shop, image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PLAN = ("--service", "cart")
DEPLOY = ("--service", "cart", "--image", image("1.5.0"))
TOML = ".gitops-rollback.toml"


# The command line


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("deploi", *DEPLOY), "did you mean deploy"),
        (("deploy", *DEPLOY, "--alow-older"), "did you mean --allow-older?"),
        (("services", "extra"), "extra"),
        (("deploy", "--service", "cart"), "--image"),
        (("deploy", "--image", image("1.5.0")), "--service"),
        (("deploy", "--service", "cart", "--image"), "--image"),
        (("deploy", "--service", "Cart", "--image", image("1.5.0")), "small letters"),
        (("deploy", "--service", "../cart", "--image", image("1.5.0")), "small letters"),
        (("deploy", "--service", "cart", "--image", "acme/CART:1"), "acme/cart"),
        (("deploy", "--service", "cart", "--image", "acme/cart:1@sha256:beef"), "sha256"),
        (("deploy", "--service", "cart", "--image", ""), "--image"),
        (("deploy", *DEPLOY, "--timeout", "soon"), "number of seconds"),
        (("deploy", *DEPLOY, "--timeout=-1"), "number of seconds"),
        (("deploy", *DEPLOY, "--timeout", "nan"), "number of seconds"),
        (("deploy", *DEPLOY, "--store", "jenkinz"), "--store"),
        (("deploy", *DEPLOY, "--store", "directory"), "--store"),
        (("plan", *PLAN, "--store", "https://jenkins.acme.example"), "directory:PATH"),
        (("plan", *PLAN, "--store", "directory:"), "directory:PATH"),
        (("rollback", *PLAN, "--reason", "x", "--store", "s3://records"), "directory:PATH"),
        (("deploy", *DEPLOY, "--from", "not an image"), "--from"),
        (("deploy", *DEPLOY, "--accept", "outdatd"), "did you mean outdated?"),
        (("plan", *PLAN, "--accept", "everything"), "there is bad, "),
        (("rollback", *PLAN), "--reason"),
        (("rollback", *PLAN, "--reason", "  \n"), "--reason"),
        (("rollback", *PLAN, "--reason", "x", "--strategy", "guess"), "guess"),
        (("rollback", "--plan", "nowhere.json", "--reason", "x"), "nowhere.json"),
        (("release", *PLAN), "--reason"),
        (("plan", *PLAN, "--environment", "PROD"), "small letters"),
        (("services", "--environment", "a/../b"), "environment"),
        (("undo", "cart"), "did you mean rollback?"),
        (("status", "cart"), "did you mean history or wait?"),
        (("version",), "did you mean --version?"),
        (("-q", "plan", "cart"), "behind: gitops-rollback COMMAND -q"),
        (("rollback", *PLAN, "-m", "x"), "did you mean --reason?"),
        (("plan", *PLAN, "-n", "default"), "did you mean --environment?"),
        (("plan", *PLAN, "--format", "json"), "did you mean --output?"),
        (("plan", *PLAN, "-q"), "see gitops-rollback plan --help"),
        (("plan", "deployment/cart"), "without their kind: cart"),
        (("plan", "cart", image("1.4.2")), f"--to {image('1.4.2')}"),
        (("plan", "cart", "#3"), "--to '#3'"),
        (("deploy", "cart", image("1.6.0")), f"--image {image('1.6.0')}"),
        (("deploy", "cart", image("1.6.0"), *DEPLOY), f"--image {image('1.6.0')}"),
        (("history", image("1.4.2")), "small letters"),
        (("history", "apps/cart.yaml"), "small letters"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else None,
)
def test_a_wrong_command_line_is_a_usage_error(
    released: Shop, line: tuple[str, ...], words: str
) -> None:
    run = released.refused(2, "usage", *line)
    assert words in run.error["message"] + run.error["hint"]


def test_a_version_where_a_service_is_meant_is_told_where_it_belongs(released: Shop) -> None:
    run = released.refused(1, "config", "plan", "cart", "1.4.2")
    assert run.error["hint"].startswith("if that is a version: --to 1.4.2; else name it in ")


def test_help_of_a_command_is_asked_for_before_it_or_behind_it(tmp_path: Path) -> None:
    asked = run_command(["help", "rollback"], {}, tmp_path)
    assert (asked.code, asked.stderr) == (0, b"")
    assert asked.stdout == run_command(["rollback", "--help"], {}, tmp_path).stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"GITOPS_DRY_RUN": "maybe"}, "GITOPS_DRY_RUN"),
        ({"GITOPS_RELEASE": "2"}, "GITOPS_RELEASE"),
        ({"GITOPS_VERBOSE": "very"}, "GITOPS_VERBOSE"),
        ({"GITOPS_TIMEOUT": "1 minute"}, "1 minute"),
        ({"GITOPS_SERVICE": "Cart"}, "Cart"),
        ({"GITOPS_FROM": ":::"}, "from"),
    ],
)
def test_a_malformed_variable_is_a_usage_error(
    shop: Shop, variables: Mapping[str, str], words: str
) -> None:
    line = ("--image", image("1.5.0"))
    service = () if "GITOPS_SERVICE" in variables else PLAN
    run = shop.refused(2, "usage", "deploy", *line, *service, environment=variables)
    assert words in run.error["message"]


ODD = (b"r\xe9s\x1b[31m\nFORGED", b"9" * 5000, b"x" * 100_000)
TOLD = (
    "BUILD_NUMBER",
    "JOB_NAME",
    "BUILD_URL",
    "GIT_AUTHOR_NAME",
    "GIT_CONFIG_COUNT",
    "GITOPS_LIMIT",
)


@pytest.mark.parametrize("text", ODD, ids=["bytes", "digits", "long"])
@pytest.mark.parametrize("variable", TOLD)
def test_whatever_stands_in_a_variable_it_is_no_bug_and_no_line(
    shop: Shop, variable: str, text: bytes
) -> None:
    variables = {"JOB_NAME": "shop/cart", "BUILD_NUMBER": "7", variable: os.fsdecode(text)}
    run = shop.run("deploy", *PLAN, "--image", image("1.5.0"), environment=variables)
    assert run.code in (0, 1, 2), run.stderr
    assert "\nFORGED" not in run.stdout + run.stderr
    assert "\x1b" not in run.stdout + run.stderr


def test_a_name_and_an_origin_that_are_no_utf_8_are_no_bug(shop: Shop) -> None:
    (shop.home / ".gitconfig").write_bytes(b"[user]\n\tname = R\xe9my\n\temail = x@x.example\n")
    shop.ok("deploy", *PLAN, "--image", image("1.5.0"))
    assert shop.state()["deployed"][0]["by"] == "R my"
    work = shop.root / "work"
    shop.git("clone", "-q", str(shop.bare), str(work))
    origin = os.fsdecode(b"/nowhere/r\xe9sum\xe9.git")
    shop.git("-C", str(work), "remote", "set-url", "origin", origin)
    run = shop.refused(2, "usage", "plan", *PLAN, repository=str(work))
    assert "is no repository" in run.error["message"]


def test_empty_variables_are_unset_and_options_win_over_variables(shop: Shop) -> None:
    empty = {
        f"GITOPS_{name}": ""
        for name in (
            *("REPOSITORY", "BRANCH", "ENVIRONMENT", "STORE", "TIMEOUT", "OUTPUT", "SERVICE"),
            *("SET", "IMAGE", "RECORD", "FROM", "RELEASE", "ALLOW_OLDER", "ACCEPT", "DRY_RUN"),
            *("REASON", "BY", "HUB_URL", "VERBOSE"),
        )
    } | {"JOB_NAME": "", "BUILD_NUMBER": "", "JENKINS_URL": ""}
    ann = {"GIT_AUTHOR_NAME": "Ann Lee", "GIT_AUTHOR_EMAIL": "ann@example.com"}
    shop.deploy("1.4.2", environment={**empty, **ann})
    entry = shop.state()["deployed"][0]
    assert (entry["by"], "build" in entry) == ("Ann Lee", False), "whom git is set up for"
    shop.deploy("1.4.3", environment={"GITOPS_SERVICE": "payment", "GITOPS_IMAGE": "acme/x:1"})
    variables = {
        "GITOPS_SERVICE": "cart",
        "GITOPS_IMAGE": image("1.5.0"),
        "GITOPS_DRY_RUN": "TRUE",
        "GITOPS_REPOSITORY": str(shop.bare),
        "GITOPS_BY": "jane",
    }
    run = shop.ok("deploy", repository="", environment=variables)
    assert run.result["dryRun"] is True


def test_an_output_that_cannot_be_written_is_a_usage_error_before_anything_is_done(
    shop: Shop,
) -> None:
    before = shop.everything()
    for target in ("missing/folder/result.json", str(shop.root)):
        line = [*shop.line("deploy", *DEPLOY)[:-1], target]
        done = subprocess.run(
            line, env=shop.environment, cwd=shop.root, capture_output=True, check=False
        )
        said = done.stderr.decode()
        assert done.returncode == 2, said
        assert "--output" in said
        assert said.count("error: ") == 1
        assert "Traceback" not in said
        assert shop.everything() == before


def test_help_and_version_need_nothing(shop: Shop) -> None:
    for line in (["--help"], ["--version"], ["deploy", "--help"], []):
        done = subprocess.run(
            [shop.line("x")[0], *line], env=shop.environment, capture_output=True, check=False
        )
        assert done.returncode == (0 if line else 2)
        assert b"gitops-rollback" in done.stdout
        assert done.stderr == b""


# Plans as files


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b'{"schemaVersion": 1}', b"\xff\xfe", b"[" * 50_000],
    ids=["a folder", "empty", "truncated", "no object", "no services", "no text", "deep"],
)
def test_a_plan_that_cannot_be_read_is_a_usage_error(shop: Shop, content: bytes | None) -> None:
    path = shop.root / "plan.json"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for command in ("rollback", "record"):
        more = ("--reason", "x") if command == "rollback" else ()
        run = shop.refused(2, "usage", command, "--plan", str(path), *more)
        assert "plan.json" in run.error["message"]


def test_a_pipe_that_nobody_writes_to_is_waited_for_and_named(released: Shop) -> None:
    path = released.root / "pipe"
    os.mkfifo(path)
    more = ("--plan", str(path), "--reason", "x", "--timeout", "0.1")
    run = released.run("rollback", *more)
    assert (run.code, run.error["category"]) == (2, "usage")
    assert f"the plan {path} was not there in whole when" in run.error["message"]
    for command in ("fields", "check"):
        line = [str(COMMAND), command, *(["--storage"] if command == "check" else []), str(path)]
        done = subprocess.run(line, env=released.environment, capture_output=True, check=False)
        assert done.returncode == 2
        assert f"{path} is neither a file nor a folder".encode() in done.stderr


def test_a_plan_comes_by_a_pipe_as_well(released: Shop) -> None:
    released.ok("plan", *PLAN)
    plan = (released.root / "result.json").read_bytes()
    reading, writing = os.pipe()
    os.write(writing, plan)
    os.close(writing)
    released.ok("rollback", "--plan", f"/dev/fd/{reading}", "--reason", "x")
    os.close(reading)
    assert image("1.4.2") in released.text()


def test_a_plan_for_another_repository_or_branch_is_refused(released: Shop) -> None:
    released.ok("plan", *PLAN)
    good = json.loads((released.root / "result.json").read_bytes())
    path = released.root / "plan.json"
    for change in ({"repository": "https://github.com/acme/other.git"}, {"branch": "release"}):
        path.write_text(json.dumps({**good, **change}), encoding="utf-8")
        run = released.refused(1, "config", "rollback", "--plan", str(path), "--reason", "x")
        assert next(iter(change.values())) in run.error["message"]


def test_a_plan_that_names_another_service_is_a_usage_error(released: Shop) -> None:
    released.ok("plan", *PLAN)
    path = (released.root / "result.json").rename(released.root / "plan.json")
    more = ("--plan", str(path), "--reason", "x")
    run = released.refused(2, "usage", "rollback", "--service", "payment", *more)
    assert "payment" in run.error["message"]


# Services and manifests


@pytest.mark.parametrize(
    ("service", "words"),
    [("kart", "cart"), ("pay", "payment"), ("unheard-of", ".gitops-rollback.toml")],
)
def test_an_unknown_service_is_an_error_with_the_nearest_names(
    shop: Shop, service: str, words: str
) -> None:
    run = shop.refused(1, "config", "deploy", "--service", service, "--image", image("1.5.0"))
    assert words in run.error["message"] + run.error["hint"]


def test_an_image_of_another_repository_is_refused(shop: Shop) -> None:
    for reference in ("acme/basket:1.5.0", "ghcr.io/acme/cart:1.5.0"):
        other = f"{reference}@sha256:{'0' * 64}"
        for command in ("deploy", "record"):
            run = shop.refused(1, "config", command, *PLAN, "--image", other)
            assert "another repository" in run.error["message"]


@pytest.mark.parametrize(
    ("files", "category", "words"),
    [
        ({CART_PATH: None}, "config", "there is no service 'cart'"),
        ({CART_PATH: CART.replace("  name: cart", "\tname: cart")}, "manifest", "never with tabs"),
        (
            {CART_PATH: CART.replace("  containers:", "  containers: [")},
            "manifest",
            "deployment.yaml:22",
        ),
        ({CART_PATH: CART.replace('"acme/cart:1.4.1"', "{{ .Values.image }}")}, "manifest", "Helm"),
        ({CART_PATH: "{{- if .x }}\n" + CART + "{{- end }}\n"}, "manifest", "is a Helm template"),
        (
            {CART_PATH: CART.replace('"acme/cart:1.4.1"', "|-\n            acme/cart:1.4.1\n")},
            "manifest",
            "several lines",
        ),
        (
            {CART_PATH: None, "apps/cm.yaml": "kind: ConfigMap\ndata:\n  x: |\n    acme/cart:1\n"},
            "config",
            "there is no service",
        ),
        (
            {
                "apps/cart/canary.yaml": CART.replace("1.4.1", "1.5.0"),
                "apps/kustomization.yaml": None,
            },
            "config",
            "disagree",
        ),
        (
            {
                "apps/cart/other.yaml": CART.replace("acme/cart", "ghcr.io/acme/cart"),
                "apps/kustomization.yaml": None,
            },
            "config",
            "2 image repositories",
        ),
        (
            {
                "apps/kustomization.yaml": (
                    "resources: [cart/deployment.yaml, payment/deployment.yaml]\n"
                    "images: [{name: acme/.*, newTag: x}]\n"
                )
            },
            "manifest",
            "would take effect in Deployment payment",
        ),
        (
            {
                CART_PATH: CART.replace(
                    "          name: proxy", "          name: proxy\n          name: p2"
                )
            },
            "manifest",
            "twice",
        ),
        (
            {CART_PATH: CART.replace("kind: Deployment", "kind: Job")},
            "manifest",
            "kinds = { Job",
        ),
        ({CART_PATH: CART.encode() + b"# \xff\xfe\n"}, "manifest", "UTF-8"),
    ],
    ids=[
        *("no manifest", "tab", "not YAML", "helm value", "helm block", "block string"),
        *("only in text", "fields disagree", "two repositories", "overridden"),
        *("key twice", "a job", "not UTF-8"),
    ],
)
def test_a_manifest_that_cannot_be_edited_is_one_clear_error(
    shop: Shop, files: dict[str, str | bytes | None], category: str, words: str
) -> None:
    shop.commit(files)
    run = shop.refused(1, category, "deploy", *DEPLOY)
    assert words in run.error["message"] + run.error["hint"]


def test_an_entry_for_a_pattern_of_names_is_edited_where_it_reaches_this_image_alone(
    shop: Shop,
) -> None:
    text = "resources: [cart/deployment.yaml]\nimages: [{name: .*/cart, newTag: x}]\n"
    shop.commit({"apps/kustomization.yaml": text})
    shop.deploy("1.5.0")
    tag = image("1.5.0").partition(":")[2]
    assert shop.text("apps/kustomization.yaml") == text.replace("newTag: x", f"newTag: {tag}")
    assert shop.text() == CART


def test_a_broken_manifest_beside_the_service_does_not_stop_it(shop: Shop) -> None:
    shop.commit({"apps/broken.yaml": "image: [\n"})
    shop.deploy("1.5.0")


def test_too_many_files_to_discover_in_ask_for_manifests(shop: Shop) -> None:
    shop.commit({f"generated/{number}.yaml": "a: 1\n" for number in range(2001)})
    run = shop.refused(1, "config", "plan", *PLAN)
    assert "manifests = " in run.error["hint"]
    shop.commit({TOML: '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'})
    shop.deploy("1.5.0")


# The configuration


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[services.cart]\nmanifest = ['x']\n", "did you mean manifests"),
        ("[service.cart]\n", "did you mean services"),
        ("[services.cart\n", "no TOML"),
        ("[services.cart]\npin = 'tags'\n", "pin"),
        ("[services.cart]\nmanifests = ['../x.yaml']\n", ".."),
        ("[services.cart]\nmanifests = ['/etc/*.yaml']\n", "/etc"),
        ("[services.cart]\nmanifests = ['kart/*.yaml']\n", "nothing matches"),
        ("[services.cart]\nimage = 'acme/cart:1.4'\n", "names a version"),
        ("[services.cart]\nimage = 'ACME'\n", "ACME"),
        ("[services.'Cart']\n", "Cart"),
        ("[environments.'a/b']\n", "a/b"),
        ("[environments.live]\npath = '../..'\n", "out of the repository"),
        ("[sets]\ncart = ['cart']\n[services.cart]\n", "a set and a service"),
        ("[registries.'docker.io']\nregistry = 'x'\n", "registry-url"),
        ("\xff", "no TOML"),
    ],
)
def test_a_wrong_configuration_is_one_clear_error(shop: Shop, toml: str, words: str) -> None:
    shop.commit({TOML: toml.encode("latin-1")})
    run = shop.refused(1, "config", "deploy", *DEPLOY)
    assert words in run.error["message"] + run.error["hint"]


def test_a_service_that_is_reached_from_two_environments_is_refused(shop: Shop) -> None:
    toml = "[environments.a]\npath = 'apps'\n[environments.b]\npath = 'apps/cart'\n"
    shop.commit({TOML: toml})
    run = shop.refused(1, "config", "deploy", *DEPLOY, "--environment", "a")
    assert "an edit would change both" in run.error["message"]
    assert "images:" in run.error["hint"]


def test_a_containers_setting_chooses_among_fields_that_disagree(shop: Shop) -> None:
    changed = PAYMENT.replace(
        "image: acme/payment:2.0.0\n        args", "image: acme/payment:1.9\n        args"
    )
    shop.commit({PAYMENT_PATH: changed})
    deploy = ("deploy", "--service", "payment", "--image", image("2.1.0", "payment"))
    run = shop.refused(1, "config", *deploy)
    assert "containers = " in run.error["hint"]
    shop.commit({TOML: '[services.payment]\ncontainers = ["server", "report"]\n'})
    run = shop.ok(*deploy)
    assert [edit["container"] for edit in run.service()["edits"]] == ["server", "report"]
    assert "acme/payment:1.9" in shop.text(PAYMENT_PATH)


def test_a_manifest_that_no_kustomization_lists_is_named_and_left_as_it_is(shop: Shop) -> None:
    canary = CART.replace("1.4.1", "1.4.0")
    shop.commit({"apps/cart/canary.yaml": canary})
    run = shop.ok("deploy", *DEPLOY)
    [warning] = run.service()["warnings"]
    assert warning == (
        "apps/cart/canary.yaml:23 (acme/cart:1.4.0) is left as it is: apps/ has a kustomization "
        "that does not list it"
    )
    assert shop.text("apps/cart/canary.yaml") == canary


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (PermissionError(errno.EACCES, "Permission denied"), 1),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), 1),
        (FileNotFoundError(errno.ENOENT, "No such file or directory"), 3),
        (OSError(errno.EBADF, "Bad file descriptor"), 3),
        (OSError("of no kind"), 3),
    ],
    ids=str,
)
def test_what_a_machine_refuses_is_no_bug_and_a_file_that_nobody_named_is(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: OSError, code: int
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr("gitops_rollback.commands.services.run", fail)
    done = run_command(shop.line("services")[1:], shop.environment, shop.root)
    assert done.code == code
    assert (b"Traceback" in done.stderr) is (code == 3)
    assert str(error) in done.stderr.decode()


def test_a_folder_that_was_removed_is_said_as_such(shop: Shop, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f"cd {gone} && rmdir {gone} && exec {COMMAND} plan cart"
    done = subprocess.run(
        ["sh", "-c", script], env=shop.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "not there any more" in done.stderr


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("command", "given", "variable"),
    [
        ("record", ("--record-dir", LONG), "_"),
        ("report", ("--report-dir", LONG), "_"),
        ("plan", ("--store", f"directory:{LONG}"), "_"),
        ("plan", ("--cache", LONG), "_"),
        ("deploy", ("--image", image("1.5.0"), "--record", LONG), "_"),
        ("wait", ("--change", LONG), "KUBECONFIG"),
        ("wait", ("--image", image("1.5.0")), "KUBECONFIG"),
        ("plan", (), "DOCKER_CONFIG"),
        ("plan", (), "TMPDIR"),
        ("plan", (), "HOME"),
        ("plan", (), "XDG_STATE_HOME"),
    ],
)
def test_a_name_that_is_too_long_for_a_file_is_no_bug(
    shop: Shop, command: str, given: tuple[str, ...], variable: str
) -> None:
    run = shop.run(command, *PLAN, *given, environment={variable: f"/{LONG}"})
    assert run.code in (0, 1, 2, 4), run.stderr

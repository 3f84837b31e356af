"""The Jenkins of the examples: what can be known of it without starting it."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from servers.serving import Serving

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples/jenkins"
SECRET = "0123456789abcdef" * 4


def load(name: str) -> dict[str, Any]:
    document = yaml.safe_load((EXAMPLE / name).read_text(encoding="utf-8"))
    assert isinstance(document, dict)
    return document


def variables(name: str) -> set[str]:
    """Return the variables that a file takes from its environment."""
    lines = (EXAMPLE / name).read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    return set(re.findall(r"\$\{([A-Z_]+)\}", text)) | set(re.findall(r"getenv\('(\w+)'\)", text))


def test_every_plugin_is_pinned_once() -> None:
    lines = (EXAMPLE / "plugins.txt").read_text(encoding="utf-8").splitlines()
    plugins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+:\d[\w.-]*", plugin) for plugin in plugins)
    names = [plugin.partition(":")[0] for plugin in plugins]
    assert names == sorted(set(names))
    # What the library's steps, the pipelines and the configuration use.
    needed = {"configuration-as-code", "job-dsl", "matrix-auth", "pipeline-utility-steps", "git"}
    assert {*needed, "credentials-binding", "pipeline-model-definition"} <= set(names)


def test_the_images_are_pinned() -> None:
    for name in ("Dockerfile", "agent/Dockerfile"):
        first = re.search(r"^FROM (\S+)$", (EXAMPLE / name).read_text(), re.MULTILINE)
        assert first is not None
        assert re.search(r":\d[\w.-]+-jdk21$", first[1]), first[1]


def test_the_controller_gets_every_variable_that_its_configuration_asks_for() -> None:
    services = load("compose.yaml")["services"]
    given = set(services["controller"]["environment"])
    assert variables("jenkins.yaml") | variables("jobs.groovy") == given
    agent = services["agent"]["environment"]
    script = (EXAMPLE / "agent/start.sh").read_text(encoding="utf-8")
    assert set(agent) == set(re.findall(r"\$\{?(JENKINS_(?:URL|AGENT_\w+))", script))


def test_no_secret_stands_in_the_files_and_every_one_has_to_be_given() -> None:
    configuration = load("jenkins.yaml")
    for user in configuration["jenkins"]["securityRealm"]["local"]["users"]:
        assert re.fullmatch(r"\$\{\w+\}", user["password"])
    for entry in configuration["credentials"]["system"]["domainCredentials"][0]["credentials"]:
        assert re.fullmatch(r"\$\{\w+\}", entry["usernamePassword"]["password"])
    for service in load("compose.yaml")["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:\?\}", value), name


def test_names_are_the_same_everywhere() -> None:
    configuration = load("jenkins.yaml")
    node = configuration["jenkins"]["nodes"][0]["permanent"]
    agent = load("compose.yaml")["services"]["agent"]["environment"]
    assert node["name"] == agent["JENKINS_AGENT_NAME"]
    users = {user["id"] for user in configuration["jenkins"]["securityRealm"]["local"]["users"]}
    entries = configuration["jenkins"]["authorizationStrategy"]["projectMatrix"]["entries"]
    assert {entry["user"]["name"] for entry in entries} == users
    assert agent["JENKINS_AGENT_USER"] in users
    stored = configuration["credentials"]["system"]["domainCredentials"][0]["credentials"]
    ids = {entry["usernamePassword"]["id"] for entry in stored}
    values = configuration["jenkins"]["globalNodeProperties"][0]["envVars"]["env"]
    named = {entry["key"]: entry["value"] for entry in values}
    assert {value for key, value in named.items() if key.endswith("_ID")} == ids
    pipelines = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("Jenkinsfile*"))
    assert all(key in pipelines for key in named)
    copied = (EXAMPLE / "Dockerfile").read_text(encoding="utf-8")
    assert configuration["jobs"][0]["file"].rpartition("/")[0] + "/" in copied


def test_the_person_on_call_has_no_more_than_the_page_on_security_says() -> None:
    entries = load("jenkins.yaml")["jenkins"]["authorizationStrategy"]["projectMatrix"]["entries"]
    rights = {entry["user"]["name"]: entry["user"]["permissions"] for entry in entries}
    assert rights["oncall"] == ["Overall/Read"]
    assert rights["records"] == ["Overall/Read", "Job/Read", "Run/Update", "Run/Delete"]


class _Controller(http.server.BaseHTTPRequestHandler):
    """Not up at first; then it shows the agent's page to whoever has the password."""

    asked: list[str | None]

    def do_GET(self) -> None:
        self.asked.append(self.headers["Authorization"])
        if len(self.asked) == 1:
            self.send_error(503)
            return
        body = f"<jnlp><argument>{SECRET}</argument><argument>agent-1</argument></jnlp>".encode()
        self.send_response(200 if self.path == "/computer/agent-1/jenkins-agent.jnlp" else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


def test_the_agent_waits_for_its_controller_asks_for_its_secret_and_starts(tmp_path: Path) -> None:
    if not any(Path(folder, "curl").exists() for folder in os.environ["PATH"].split(":")):
        pytest.skip("curl is missing: apt-get install -y curl")
    program = tmp_path / "jenkins-agent"
    program.write_text(
        '#!/bin/sh\necho "$JENKINS_SECRET $JENKINS_WEB_SOCKET ${JENKINS_AGENT_PASSWORD:-none}"\n'
    )
    program.chmod(0o755)
    asked: list[str | None] = []
    handler = type("Handler", (_Controller,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with Serving(server):
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "JENKINS_URL": f"http://127.0.0.1:{server.server_port}/",
            "JENKINS_AGENT_NAME": "agent-1",
            "JENKINS_AGENT_USER": "agent",
            "JENKINS_AGENT_PASSWORD": "s3cret",
            "GITOPS_AGENT_PAUSE": "0",
        }
        done = subprocess.run(
            ["sh", EXAMPLE / "agent/start.sh"],
            env=environment, capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
    assert done.stdout == f"{SECRET} true none\n"
    assert "s3cret" not in done.stderr
    assert len(asked) == 2
    assert asked[1] == "Basic YWdlbnQ6czNjcmV0"

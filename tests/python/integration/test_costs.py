"""What runs cost, counted: requests, git processes, time to start."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from random import randbytes
from threading import Event
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from weakref import ReferenceType, ref

import pytest
import yaml

import gitops_rollback
from gitops_rollback.commands import drilling
from gitops_rollback.effective.resolve import resolve_fields
from gitops_rollback.errors import nearest
from gitops_rollback.look.snapshot import read_snapshot
from gitops_rollback.manifest import document
from gitops_rollback.repo.copy import MANY
from gitops_rollback.repo.process import Git
from gitops_rollback.services import inventory
from integration.shop import CART_PATH, CART_STATE, COMMAND, FILES, Shop, image
from integration.test_keep import JOB, Pipeline, jenkins
from integration.test_overlays import FLUX
from servers.git_http import GitHttpServer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.server import BaseHTTPRequestHandler
    from types import FrameType

    from _typeshed import TraceFunction

    from gitops_rollback.look.snapshot import Snapshot
    from integration.conftest import Workshop
    from servers.jenkins_server import JenkinsServer

__all__ = ["jenkins"]
PACKAGE = Path(gitops_rollback.__file__).parent
TOML = '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'


def test_a_deploy_over_http_takes_five_requests_whatever_the_number_of_services(
    workshop: Workshop,
) -> None:
    many = {
        f"apps/s{number}/deployment.yaml": FILES["apps/cart/deployment.yaml"].replace(
            "cart", f"s{number}"
        )
        for number in range(300)
    }
    shop = workshop.shop("many", lambda shop: shop.open({**FILES, **many}))
    shop.commit({".gitops-rollback.toml": TOML})
    shop.deploy("1.4.2")
    with GitHttpServer(shop.root) as server:
        shop.deploy("1.5.0", repository=f"{server.url}/manifests.git")
        requests, received = list(server.traffic.requests), server.traffic.sent
    assert len(requests) == 5, requests
    assert received < 100_000, "the tip with its small files, and nothing of what was before"


def test_of_a_large_repository_files_are_fetched_one_by_one_from_the_second_run_on(
    workshop: Workshop,
) -> None:
    def large(shop: Shop) -> Shop:
        shop.open(FILES | {".gitops-rollback.toml": TOML})
        shop.commit({f"data/{n}.txt": randbytes(40_000).hex()[:60_000] for n in range(150)})
        shop.deploy("1.4.2")
        return shop

    shop = workshop.shop("large", large)
    large_ones = shop.home / ".cache" / "gitops-rollback" / "large"
    shutil.rmtree(large_ones)
    costs = []
    with GitHttpServer(shop.root) as server:
        for tag in ("1.5.0", "1.6.0"):
            server.traffic.reset()
            shop.deploy(tag, repository=f"{server.url}/manifests.git")
            costs.append((len(server.traffic.requests), server.traffic.sent))
    assert len(list(large_ones.iterdir())) == 1
    assert costs[1][0] == 7, "one fetch of files"
    assert costs[1][1] < 60_000
    assert costs[0][1] > 4_000_000


def test_of_many_files_the_few_that_are_read_are_fetched_by_one_fetch_until_most_are(
    workshop: Workshop,
) -> None:
    """With a cache all come, once: it has them from then on."""

    def many(shop: Shop) -> Shop:
        shop.open(FILES | {".gitops-rollback.toml": TOML})
        shop.commit({f"apps/s{n}/deployment.yaml": f"number: {n}\n" for n in range(MANY)})
        shop.deploy("1.4.2")
        return shop

    shop = workshop.shop("many files", many)
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"

        def cost(*arguments: str) -> int:
            server.traffic.reset()
            shop.ok(*arguments, repository=url)
            return len(server.traffic.requests)

        def deploy(tag: str, *options: str) -> int:
            return cost("deploy", "--service", "cart", "--image", image(tag), *options)

        assert [deploy("1.5.0"), deploy("1.6.0"), deploy("1.7.0")] == [5, 7, 7]
        assert cost("plan", "--service", "cart", "--strategy", "git") == 5
        assert deploy("1.8.0", "--cache", str(shop.home / "cache")) == 5
        with patch("gitops_rollback.look.snapshot.nearest", wraps=nearest) as near:
            assert shop.run("check", "--all", repository=url).code == 1, "none of them is a service"
        assert near.call_count <= 20, "among all paths, for each of all services"
        assert deploy("1.9.0") == 5
    assert "1.9.0" in shop.text()


def test_a_deploy_over_a_hand_edit_asks_in_two_requests_more_what_was_deleted(
    released: Shop,
) -> None:
    released.commit({CART_PATH: released.text().replace(image("1.5.0"), image("1.4.9"))})
    released.commit_many(60)
    with GitHttpServer(released.root) as server:
        released.deploy("1.6.0", repository=f"{server.url}/manifests.git")
        assert len(server.traffic.requests) == 7, server.traffic.requests


def test_who_bears_another_name_in_a_mailmap_is_not_asked_for(released: Shop) -> None:
    """Git reads it for each `git log`, where nobody tells it not to: of a pusher's, of any size."""
    names = "".join(f"{randbytes(40).hex()} <a@x> <b@x>\n" for _ in range(5000))
    released.commit({".mailmap": names})
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        for command in ("history", "plan"):
            released.ok(command, "--service", "cart", repository=url)
        assert server.traffic.sent < 100_000, server.traffic.requests


def test_a_large_file_beside_small_ones_is_fetched_where_it_is_needed(shop: Shop) -> None:
    filler = "".join(f"# {randbytes(40).hex()}\n" for _ in range(2000))
    shop.commit({CART_PATH: f"{shop.text()}{filler}", ".gitops-rollback.toml": TOML})
    with GitHttpServer(shop.root) as server:
        shop.deploy("1.4.2", repository=f"{server.url}/manifests.git")
        # Two of them read the log: before a service's first deploy nothing else tells whether a
        # state file was deleted.
        assert len(server.traffic.requests) == 9, server.traffic.requests
    assert "1.4.2" in shop.text()


def test_a_plan_over_http_takes_three_requests_where_the_state_file_explains_all(
    released: Shop,
) -> None:
    released.commit_many(60)
    released.commit({".gitops-rollback.toml": TOML})
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        released.ok("plan", "--service", "cart", "--strategy", "git", repository=url)
        requests = list(server.traffic.requests)
    assert len(requests) == 3, "the last commits come with the tip"


def test_a_plan_of_a_large_repository_fetches_the_last_commits_apart(released: Shop) -> None:
    released.commit({".gitops-rollback.toml": TOML})
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        name = sha256(url.encode()).hexdigest()[:32]
        mark = released.home / ".cache" / "gitops-rollback" / "large" / name
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        released.ok("plan", "--service", "cart", "--strategy", "git", repository=url)
        requests = list(server.traffic.requests)
    assert len(requests) == 7, "the tip, one fetch of the last commits, one of files"


def test_what_is_wrong_with_the_options_leaves_nothing_behind(shop: Shop, tmp_path: Path) -> None:
    """git has begun to fetch by then, in a folder of its own."""
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"
        environment = {"TMPDIR": str(tmp_path)}
        run = shop.run("deploy", "--service", "cart", repository=url, environment=environment)
    assert (run.code, run.error["category"]) == (2, "usage")
    assert list(tmp_path.iterdir()) == []


READ = ["config", "clone", "cat-file", "ls-tree", "cat-file"]  # the configuration, then the rest


@pytest.mark.parametrize(
    ("command", "wanted"),
    [
        ("deploy", [*READ, "remote-http", "fast-import", "commit-tree"]),
        ("plan", [*READ, "log"]),
    ],
)
def test_git_is_started_once_for_each_thing_that_it_does(
    released: Shop, command: str, wanted: list[str]
) -> None:
    """Each process costs as much as a request; by https one tells of the login and the committer.

    Counted by a program that stands before git: no call escapes it.
    """
    folder, said = released.root / "before-git", released.root / "calls"
    folder.mkdir()
    before = folder / "git"
    before.write_text(f'#!/bin/sh\necho "$*" >>{said}\nexec {shutil.which("git")} "$@"\n')
    before.chmod(0o755)
    released.commit({".gitops-rollback.toml": TOML})
    path = {"PATH": f"{folder}:{released.environment['PATH']}", "GITOPS_BY": "jane"}
    arguments = ("--image", image("1.6.0")) if command == "deploy" else ("--strategy", "git")
    with GitHttpServer(released.root) as server:
        url = f"{server.url}/manifests.git"
        named = ("--service", "cart", *arguments)
        subprocess.run(
            [COMMAND, command, *named, "--repository", url],
            env={**released.environment, **path}, cwd=released.root, check=True,
        )  # fmt: skip
    calls = [
        next(word for word in line.split() if not word.startswith("-"))
        for line in said.read_text().splitlines()
        if "http-backend" not in line
    ]
    assert sorted(calls) == sorted(wanted)


@pytest.mark.parametrize("command", ["plan", "history", "check"])
def test_services_without_a_state_file_share_one_walk_of_the_history(
    workshop: Workshop, command: str
) -> None:
    def edited(shop: Shop) -> Shop:
        shop.open({_path(number): _manifest(number, "1.4.1") for number in range(12)})
        shop.commit({".gitops-rollback.toml": TOML})
        for number in range(12):
            shop.commit({_path(number): _manifest(number, "1.4.2")})
        return shop

    shop = workshop.shop("edited by hand", edited)

    def cost(*services: str) -> tuple[int, int]:
        """Requests over HTTP, and git processes of this program."""
        named = [f"--service={name}" for name in services]
        with GitHttpServer(shop.root) as server:
            url = f"{server.url}/manifests.git"
            verbose = {"GITOPS_VERBOSE": "1"}
            run = shop.run(command, *named, repository=url, environment=verbose)
            assert run.code in (0, 8), run.stderr
            calls = [line for line in run.stderr.splitlines() if line.startswith("git ")]
            return len(server.traffic.requests), len(calls)

    assert cost("s0") == cost(*(f"s{number}" for number in range(12)))
    found = shop.ok("plan", "--all").result["services"]
    assert [one["to"]["image"].rpartition(":")[2] for one in found] == ["1.4.1"] * 12


@pytest.mark.parametrize("command", ["deploy", "plan", "rollback", "history", "check"])
def test_a_file_is_parsed_once_in_a_run(released: Shop, command: str) -> None:
    """But for the proof of an edit, which parses what is to be written whenever it is decided."""
    parsed: Counter[str] = Counter()
    compose = yaml.compose_all

    def counted(text: str, **settings: Any) -> Any:  # noqa: ANN401 - of yaml
        parsed[text] += 1
        return compose(text, **settings)

    before = {text for path, text in FILES.items() if path.endswith(".yaml")} | {released.text()}
    arguments = {
        "deploy": ("--image", image("1.6.0"), "--release"),
        "rollback": ("--reason", "x", "--by", "jane"),
    }.get(command, ())
    nothing = patch.object(document, "_PARSED", document.Parsed())  # other tests left something
    with nothing, patch.object(yaml, "compose_all", counted):
        released.run(command, "--service", "cart", *arguments)
    again = {text: times for text, times in parsed.items() if times > 1}
    assert parsed
    assert set(again) & before == set()
    assert max(again.values(), default=1) <= 2, "decided, and decided again with what was asked for"


def test_the_definitions_of_kinds_are_never_parsed(shop: Shop) -> None:
    definition = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata:\n  name: carts.acme.example\nspec:\n  image: described\n"
    )
    shop.commit({"crds/carts.yaml": definition, "crds/all.yaml": f"{definition}---\n{definition}"})
    compose = yaml.compose_all

    def watched(text: str, **settings: Any) -> Any:  # noqa: ANN401 - of yaml
        assert "CustomResourceDefinition" not in text
        return compose(text, **settings)

    with patch.object(yaml, "compose_all", watched):
        shop.deploy("1.4.2")
        shop.ok("plan", "--service", "cart")


APPLIED = f"{FLUX}  postBuild:\n    substitute:\n"
WIDE = '[defaults]\nmanifests = ["fleet/*/{service}/*.yaml"]\n'


@pytest.mark.parametrize(
    "command", [("plan", "--all"), ("check", "--all"), ("services",)], ids=" ".join
)
def test_a_service_costs_the_same_whatever_the_number_of_others(
    workshop: Workshop, command: tuple[str, ...]
) -> None:
    """Counted are the lines of the program that run; the fields of every second service disagree.

    With twice as many services twice as many run.
    """

    def lines(number: int) -> int:
        def wide(shop: Shop) -> Shop:
            tags = {"server": ("1.4.1", "1.4.1"), "worker": ("1.4.1", "1.4.2")}
            files = {
                f"fleet/team/s{place}/{part}.yaml": _manifest(place, tag[place % 2])
                for place in range(number)
                for part, tag in tags.items()
            }
            return shop.open(files | {".gitops-rollback.toml": WIDE})

        shop = workshop.shop(f"{number} wide", wide)
        document.let_go()
        gc.collect()  # files that the run before has parsed, in this process
        with counted_lines() as ran:
            run = shop.run(*command)
        assert run.code in (0, 1, 4), run.stderr
        assert f"s{number - 1}" in run.stdout + run.stderr
        return ran.total()

    _first_use, few, some, many = (lines(number) for number in (5, 20, 40, 80))
    assert (many - some) / (some - few) < 2.05


def test_versions_of_the_variables_of_many_services_are_looked_at_once(workshop: Workshop) -> None:
    """One file has the tags of all: what took effect with each version of it is told of all."""

    def looks(number: int) -> int:
        def variables(shop: Shop) -> Shop:
            places = range(number)
            files = {
                _path(n): _manifest(n, "1.4.1").replace(":1.4.1", f":${{T{n}}}") for n in places
            }
            shop.open(files)
            for tag in ("1.4.1", "1.4.2"):
                shop.commit({"clusters/apps.yaml": APPLIED + "".join(
                    f"      T{n}: {tag}\n" for n in places
                )})  # fmt: skip
            return shop

        shop = workshop.shop(f"variables of {number}", variables)
        with patch.object(inventory, "resolve_fields", wraps=resolve_fields) as resolved:
            named = (f"--service=s{place}" for place in range(number))
            plans = shop.ok("plan", *named, "--strategy", "git").result["services"]
        assert [one["to"]["image"].rpartition(":")[2] for one in plans] == ["1.4.1"] * number
        return resolved.call_count

    assert looks(3) == looks(6)


@pytest.fixture
def eight(workshop: Workshop) -> Shop:
    """Eight services, one of whose state files is broken."""
    files = {_path(number): _manifest(number, "1.4.1") for number in range(8)}
    broken = {".gitops-rollback/default/s3.json": "{"}
    toml = {".gitops-rollback.toml": TOML}
    return workshop.shop("eight, one broken", lambda shop: shop.open({**files, **broken, **toml}))


@pytest.mark.parametrize(
    ("most", "files", "looks"),
    [
        pytest.param(document.MOST_AT_ONCE, 8, 1, id="at once"),
        pytest.param(document.MOST_AT_ONCE, 7, 3, id="many files: 3 at once"),
        pytest.param(300, 8, 7, id="in quarters, of all and of each half first"),
    ],
)
def test_a_drill_looks_at_all_services_at_once_or_at_as_many_as_there_is_room_for(
    eight: Shop, most: int, files: int, looks: int
) -> None:
    """What cannot be read of one service is told beside the others; what was read is let go."""
    were_read: list[ReferenceType[Snapshot]] = []

    def alone(*arguments: Any) -> Snapshot:  # noqa: ANN401 - of read_snapshot
        gc.collect()
        assert not any(one() for one in were_read)
        snapshot = read_snapshot(*arguments)
        were_read.append(ref(snapshot))
        return snapshot

    with (
        patch.object(drilling, "read_snapshot", side_effect=alone) as read,
        patch.object(inventory, "MOST_DISCOVERED_FILES", files),
        patch.object(drilling, "_FILES_AT_ONCE", 3),
        patch.object(document, "MOST_AT_ONCE", most),
        patch.object(document, "_READ", document._Read()),  # noqa: SLF001 - and what others left
        patch.object(document, "_PARSED", document.Parsed()),
    ):
        run = eight.run("check")
    assert "findings" in run.result, run.stderr
    told = {
        one["subject"]: one["level"] for one in run.result["findings"] if one["check"] != "push"
    }
    assert [name for name, level in told.items() if level == "failed"] == ["s3"]
    assert {f"s{number}" for number in range(8)} <= {name.split()[0] for name in told}
    assert read.call_count == looks


@contextmanager
def counted_lines() -> Iterator[Counter[str]]:
    """Count the lines of the package that run in this thread, each as often as it does."""
    ran: Counter[str] = Counter()
    package = str(PACKAGE)

    def trace(frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        name = frame.f_code.co_filename
        if event == "call" and not name.startswith(package):
            return None
        ran[name] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield ran
    finally:
        sys.settrace(before)


def _path(number: int) -> str:
    return f"apps/s{number}/deployment.yaml"


def _manifest(number: int, tag: str) -> str:
    text = FILES["apps/cart/deployment.yaml"].replace("cart", f"s{number}")
    assert "1.4.1" in text
    return text.replace("1.4.1", tag)


def test_a_plan_among_1000_builds_and_4000_tags_asks_for_four_answers(
    shop: Shop, jenkins: JenkinsServer
) -> None:
    with RegistryStandIn() as hub:
        start = datetime.now(UTC) - timedelta(days=9)
        for number in range(4000):
            hub.push("acme/cart", f"1.{number}", pushed=start + timedelta(minutes=number))
        shop.environment |= {"GITOPS_HUB_URL": hub.url, "GITOPS_REGISTRY_URL": hub.url}
        digests = hub.service.repositories["acme/cart"].tags
        pipeline = Pipeline(shop, jenkins)
        for build, tag in ((998, "1.3997"), (999, "1.3999")):
            folder = shop.root / f"build-{build}"
            named = ("--service", "cart", "--image", f"acme/cart:{tag}@{digests[tag]}")
            names = {"JOB_NAME": JOB, "BUILD_NUMBER": str(build)}
            made = shop.ok("record", *named, "--record-dir", str(folder), environment=names)
            pipeline.archive(JOB, build, folder)
            record = ("--record", made.result["records"][0]["file"])
            shop.ok("deploy", *named, *record, environment=names)
        for build in (*range(1, 998), 1000):
            jenkins.add(JOB, build, {"gitops-rollback/default/payment/record.json": b"{}"})

        def asked(*arguments: str) -> tuple[str, int, int]:
            """The tag that is chosen, and the requests to Jenkins and to Docker Hub."""
            jenkins.requests.clear()
            hub.requests.clear()
            plan = shop.ok("plan", "--service", "cart", *arguments).service()
            tag = plan["to"]["image"].partition("@")[0].rpartition(":")[2]
            return tag, len(jenkins.requests), len(hub.requests)

        assert asked() == ("1.3997", 1, 4), "a record; a look at what both images are"
        assert asked("--strategy", "registry") == ("1.3997", 0, 2), "a page of tags and a HEAD"
        shop.take_back(CART_STATE)
        store = ("--strategy", "artifact", "--store", f"jenkins:{JOB}")
        assert asked(*store) == ("1.3997", 2, 4), "a list of 100 builds and a record"


def test_what_each_push_asks_first_is_asked_while_the_run_decides(released: Shop) -> None:
    """So of five requests four follow one upon another, whatever is asked of registries between."""
    started: list[str] = []
    start = Git.start

    def watched(self: Git, *arguments: str, **settings: Any) -> Any:  # noqa: ANN401 - of git
        started.append(arguments[0])
        return start(self, *arguments, **settings)

    with GitHttpServer(released.root) as server, patch.object(Git, "start", watched):
        url = f"{server.url}/manifests.git"
        deploy = ("deploy", "--service", "cart", "--image", image("1.6.0"))
        released.ok(*deploy, "--dry-run", repository=url)
        assert "remote-http" not in started, "it will not push"
        started.clear()
        server.traffic.reset()
        released.ok(*deploy, repository=url)
        assert started[:3] == ["config", "clone", "remote-http"]
        assert "push" not in started
        assert len(server.traffic.requests) == 5, server.traffic.requests


WATCHED = """
import os, sys
from gitops_rollback import cli
from gitops_rollback.repo.repository import Repository
begin = Repository.begin
def watched(self, *arguments):
    slow = {"yaml", "requests", "jmespath", "gitops_rollback.decide"}
    print("loaded before git began:", sorted(slow & set(sys.modules)), file=sys.stderr)
    return begin(self, *arguments)
Repository.begin = watched
there = set()
end = Repository.open
def opened(self, branch):
    tip = end(self, branch)
    there.update(sys.modules)
    return tip
Repository.open = opened
code = cli.run(sys.argv[1:], os.environ)
late = {name for name in sys.modules if name.startswith(("gitops_rollback.", "urllib3", "yaml"))}
last = ("gitops_rollback.tell.", "gitops_rollback.stores")  # words, and one of two stores
late = sorted(name for name in late - there if not name.startswith(last))
print("loaded after git ended:", late, file=sys.stderr)
raise SystemExit(code)
"""


@pytest.mark.parametrize("command", ["deploy", "plan", "history", "release", "services", "record"])
def test_what_decides_is_loaded_while_git_fetches(released: Shop, command: str) -> None:
    """So what Python takes to load is not added to what the server takes to answer."""
    named = () if command == "services" else ("--service", "cart")
    arguments = {
        "deploy": ("--image", image("1.6.0")),
        "release": ("--reason", "x", "--by", "jane"),
        "record": ("--record-dir", str(released.root / "records")),
    }.get(command, ())
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, command, *named, *arguments, "--repository", released.bare],
        env=released.environment, cwd=released.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "loaded before git began: []" in done.stderr, done.stderr
    assert "loaded after git ended: []" in done.stderr, done.stderr


class Patient(GitHttpServer):
    """Tells no tip before it was asked what a push asks first."""

    def __init__(self, root: Path) -> None:
        self.is_asked = Event()
        super().__init__(root)

    def extend(self, handler: type[BaseHTTPRequestHandler]) -> type[BaseHTTPRequestHandler]:
        server = self

        class Waiting(handler):  # type: ignore[misc,valid-type]
            def parse_request(self) -> bool:
                parsed: bool = super().parse_request()
                if "git-receive-pack" in self.path:
                    server.is_asked.set()
                elif self.command == "POST" and not server.is_asked.wait(60):
                    self.close_connection = True
                return parsed

        return Waiting


@pytest.mark.parametrize("command", ["deploy", "rollback"])
def test_what_a_push_asks_first_is_asked_beside_the_tip(released: Shop, command: str) -> None:
    arguments = ("--image", image("1.6.0")) if command == "deploy" else ("--reason", "x")
    with Patient(released.root) as server:
        url = f"{server.url}/manifests.git"
        released.ok(command, "--service", "cart", *arguments, repository=url)
    assert len(server.traffic.requests) == 5, server.traffic.requests


def test_before_its_build_a_deploy_asks_nothing_of_a_push(released: Shop) -> None:
    arguments = ("--service", "cart", "--image", image("1.6.0"), "--before-build")
    with GitHttpServer(released.root) as server:
        released.ok("deploy", *arguments, repository=f"{server.url}/manifests.git")
    assert not [one for one in server.traffic.requests if "receive" in one]

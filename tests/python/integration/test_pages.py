"""Every command of the pages in `docs` runs as it is written, in a shop like that of the pages.

The command is of a fresh clone, with nothing installed: the environment has a PATH, an empty HOME,
the records of what was deployed before, and what stands in for the network (the addresses of the
registry, of the Git host, of Jenkins).
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.options import TABLE
from integration.shop import CART_PATH, Shop
from servers.forge import GitHubServer
from servers.jenkins_server import JenkinsServer
from standin import RegistryStandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
PAGES = (
    *("install", "first-rollback", "on-call", "numbers", "security", "troubleshooting"),
    *("flux", "manifests", "many", "pull-requests", "storage"),
)
TAGS = ("1.4.2", "1.5.0", "1.5.1")
REPOSITORY = "https://github.com/acme/manifests.git"
JENKINS = "https://jenkins.example.com"
_BLOCK = re.compile(r"(?:<!-- exit (\d+) -->\n)?```sh\n(.*?)```", re.DOTALL)
_INDENTED = re.compile(r"^    (gitops-rollback .*)$", re.MULTILINE)
# What pipx makes of it: an environment of its own, and the command on the PATH.
PIPX = {
    "pipx install .": (
        f'{sys.executable} -m venv --without-pip "$HOME/pipx" && '
        f'{sys.executable} -m pip --python "$HOME/pipx/bin/python" install -q "$CLONE" && '
        'cd / && "$HOME/pipx/bin/gitops-rollback" --version | grep -q "^gitops-rollback " && '
        '"$HOME/pipx/bin/gitops-rollback" completion bash | grep -q rollback'
    )
}
VOLUME = """\
apiVersion: v1
kind: PersistentVolume
metadata: {name: carts}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  nfs: {server: files.example.com, path: /carts}
"""


@pytest.fixture(scope="module")
def registry() -> Iterator[RegistryStandIn]:
    with RegistryStandIn() as standin:
        start = datetime.now(UTC) - timedelta(days=len(TAGS))
        for number, tag in enumerate(TAGS):
            standin.push("acme/cart", tag, pushed=start + timedelta(days=number))
            standin.push("acme/payment", f"2{tag[1:]}", pushed=start + timedelta(days=number))
        yield standin


@pytest.fixture
def jenkins() -> Iterator[JenkinsServer]:
    with JenkinsServer(("jane", "token")) as server:
        yield server


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a fresh clone of this repository, and an environment with the command it makes."""
    folder = tmp_path_factory.mktemp("installed")
    clone, bins = folder / "clone", folder / "bin"
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    line = ["make", "--silent", "release", f"PYTHON={sys.executable}"]
    bare = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}
    subprocess.run(line, cwd=clone, env=bare, check=True, capture_output=True)
    bins.mkdir()
    command = bins / "gitops-rollback"
    single = clone / "build/gitops-rollback.pyz"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} {single} "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    return clone, {"PATH": f"{bins}:{bare['PATH']}", "CLONE": str(clone)}


@pytest.fixture
def told(shop: Shop, registry: RegistryStandIn) -> Iterator[Shop]:
    """The shop of the pages: its repository has the address that they name, on a Git host."""
    shop.environment |= {
        "GITOPS_REGISTRY_URL": registry.url, "GITOPS_HUB_URL": registry.url,
        "JENKINS_USER": "jane", "JENKINS_TOKEN": "token",
        "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": f"url.file://{shop.bare}.insteadOf",
        "GIT_CONFIG_VALUE_0": REPOSITORY,
    }  # fmt: skip
    manifest = shop.text().replace(' # {"$imagepolicy": "flux-system:cart"}', "")
    shop.commit({".gitops-rollback.toml": "[services.cart]\n", CART_PATH: manifest})
    for tag in TAGS[:2]:
        image = ("--service", "cart", "--image", f"acme/cart:{tag}")
        shop.ok("deploy", *image, repository=REPOSITORY)
    shop.git("clone", "-q", REPOSITORY, "clone", cwd=shop.root)
    (shop.root / "clone/volume.yaml").write_text(VOLUME, encoding="utf-8")
    (shop.root / "acme").mkdir()
    (shop.root / "acme/manifests.git").symlink_to(shop.bare)
    with GitHubServer(shop.root, "acme/manifests", "token") as host:
        api = f"{host.url}{host.api}"
        shop.environment |= {"GITOPS_FORGE_URL": api, "GITHUB_TOKEN": "token"}
        yield shop


def take_payment(told: Shop) -> None:
    """Let the shop have a second service, and a set of both."""
    config = '[services.cart]\n[services.payment]\n[sets]\ncheckout = ["cart", "payment"]\n'
    told.commit({".gitops-rollback.toml": config})
    for tag in TAGS[:2]:
        image = ("--service", "payment", "--image", f"acme/payment:2{tag[1:]}")
        told.ok("deploy", *image, repository=REPOSITORY)


def commands(page: str) -> list[tuple[int, str]]:
    """Return the commands of a page, each with the exit code it is said to have."""
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    found = []
    for code, block in _BLOCK.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        found += [(int(code or 0), line) for line in lines if line.strip()]
    return found + [(0, line) for line in _INDENTED.findall(text)]


def test_every_page_with_commands_is_tried() -> None:
    assert {page.stem for page in (ROOT / "docs").glob("*.md") if commands(page.stem)} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work_in_their_order(
    page: str, told: Shop, jenkins: JenkinsServer, installed: tuple[Path, dict[str, str]]
) -> None:
    assert commands(page)
    home = told.root / "empty"
    home.mkdir()
    environment = {**told.environment, **installed[1], "HOME": str(home)}
    if page == "many":
        take_payment(told)
    if page != "install":  # there, a clone is stood in
        environment["GITOPS_REPOSITORY"] = REPOSITORY
    for code, line in commands(page):
        assert line in PIPX or line.startswith("gitops-rollback "), line
        done = subprocess.run(
            ["bash", "-c", PIPX.get(line, line).replace(JENKINS, jenkins.url)],
            env=environment,
            cwd=told.root / "clone",
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, f"{line}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_option_that_the_commands_lack(page: str) -> None:
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    text = re.sub(r"`(?:git|kubectl|flux|helm|kustomize|--collector)\b[^`]*`", "", text)
    text = re.sub(r"(?:^ +|# )(?:kubectl|flux|git) .*$", "", text, flags=re.MULTILINE)
    known = {f"--{row.name}" for row in TABLE if row.commands} | {"--all", "--verbose", "--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) - known == set()


def test_each_message_of_the_troubleshooting_page_is_one_that_is_said() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    sources = [*(ROOT / "python").rglob("*.py"), *(ROOT / "src").rglob("*.groovy")]
    sources += [*(ROOT / "vars").glob("*.groovy"), *ROOT.glob("Jenkinsfile*")]
    said = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    said = re.sub(r"\"\s*\n\s*f?\"|' \+\s*\n\s*'", "", said)  # texts over several lines
    rows = re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
    assert len(rows) > 20
    for row in rows:
        for message in re.findall(r"`([^`]+)`", row):
            assert message.replace(r"\|", "|") in said, message


def test_the_card_fits_on_one_sheet_with_all_that_one_does_on_its_front() -> None:
    text = (ROOT / "docs/on-call.md").read_text(encoding="utf-8")
    front, mark, back = text.partition("## The back")
    assert mark
    assert len(front.splitlines()) <= 50
    assert len(front.split()) <= 420
    assert len(back.splitlines()) <= 50
    lines = back.splitlines()[1:]
    assert not [x for x in lines if x and not x.startswith(("|", "**", "<!--"))], "tables alone"


def test_each_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs").glob("*.md")):
        others = [p for p in (ROOT / "docs").glob("*.md") if p != page]
        linked = [p for p in others if f"({page.name}" in p.read_text(encoding="utf-8")]
        assert f"(docs/{page.name}" in readme or linked, page.name


def test_words_for_a_shell_are_whole() -> None:
    for page in PAGES:
        for _code, line in commands(page):
            assert shlex.split(line)

"""What the documents say is what the program does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops_rollback import cli
from gitops_rollback.errors import Exit
from gitops_rollback.image import parse_image
from gitops_rollback.parsing import parse
from gitops_rollback.query.choose import choose
from gitops_rollback.query.tags import Tag
from gitops_rollback.services.config import parse_config

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMAND = Path(sys.executable).with_name("gitops-rollback")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def block(text: str, mark: str) -> str:
    """Return the code block that follows a mark."""
    match = re.search(rf"<!-- {re.escape(mark)} -->\n```\w*\n(.*?)```", text, re.DOTALL)
    assert match, f"no block marked {mark}"
    return match[1]


def test_the_readme_shows_what_help_prints() -> None:
    printed = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True).stdout
    assert block(README, "help: gitops-rollback --help") == printed


def test_every_command_has_a_help_that_lists_each_option_with_words() -> None:
    for name in cli.COMMANDS:
        done = subprocess.run(
            [COMMAND, name, "--help", "--all"], capture_output=True, text=True, check=True
        )
        options = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", done.stdout, re.MULTILINE)
        assert "--output" in options or name == "completion", name


def test_the_readme_lists_the_exit_codes() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README, re.MULTILINE)}
    assert listed == set(Exit)


def test_the_configuration_of_the_docs_is_sound() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    config = parse_config(block(page, "config").encode())
    assert config.settings("cart").manifests == ("cart/deployment.yaml",)
    assert config.expand(["checkout"]) == ("cart", "payment")
    assert config.environments["staging"].path == "clusters/staging"


def test_every_line_of_jq_that_the_docs_translate_is_a_query_that_gives_tags() -> None:
    page = (ROOT / "docs" / "queries.md").read_text(encoding="utf-8")
    table = page.partition("| jq | query |")[2].partition("\n\n")[0]
    queries = [
        query.replace("\\|", "|")
        for row in table.splitlines()[2:]
        for query in re.findall(r"`([^`]+)`", row)
        if not query.startswith((".", "[.", "jq "))
    ]
    assert len(queries) > 10
    start = datetime(2026, 1, 1, tzinfo=UTC)
    tags = [
        Tag(name, f"sha256:{index:064x}", f"{start + timedelta(hours=index):%Y-%m-%dT%H:%M:%SZ}",
            platforms=("linux/arm64",), images=(("linux/arm64", f"sha256:{index:064x}"),))
        for index, name in enumerate(("v1.2.0", "1.2", "1.3.0", "1.4.0", "v1.4.1", "1.5", "1.4"))
    ]  # fmt: skip
    for query in queries:
        assert choose(tuple(tags), parse_image("acme/cart:1.2"), query).names, query


def test_the_queries_of_the_docs_find_the_previous_image() -> None:
    page = (ROOT / "docs/queries.md").read_text(encoding="utf-8")
    days = {"v1.3.0": 1, "v1.4.0": 2, "v1.5.0": 3}
    tags = [
        Tag(
            name,
            f"sha256:{day:064x}",
            f"2026-01-0{day}T00:00:00Z",
            platforms=("linux/amd64", "linux/arm64"),
            created=f"2026-01-0{day}T00:00:00Z",
        )
        for name, day in days.items()
    ]
    running = parse_image(f"acme/cart:v1.5.0@sha256:{3:064x}")
    for text in block(page, "queries").splitlines():
        assert choose(tuple(tags), running, text).names[0] == "v1.4.0", text


def test_the_schemas_of_the_docs_are_there() -> None:
    page = (ROOT / "docs/formats.md").read_text(encoding="utf-8")
    folder = ROOT / "python/gitops_rollback/schemas"
    files = {path.name.removesuffix(".schema.json") for path in folder.glob("*.json")}
    assert set(re.findall(r"^\| `([a-z-]+)` \| (?!1)", page, re.MULTILINE)) >= files
    for path in folder.glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["title"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def test_the_first_rollback_of_the_readme_works_as_written(tmp_path: Path) -> None:
    environment = _shop(tmp_path)
    section = README.partition("## First rollback, without Jenkins")[2].partition("\n## ")[0]
    commands = re.findall(r"^    (gitops-rollback .*)$", section, re.MULTILINE)
    assert len(commands) == 3
    _run(environment, "deploy --service cart --image " + _image("1.4.2", 1))
    _run(environment, "deploy --service cart --image " + _image("1.5.0", 2))
    for command in commands:
        line = command.removeprefix("gitops-rollback ")
        _run(environment, line.replace("acme/cart:1.5.1", _image("1.5.1", 3)))
    shown = subprocess.run(
        ["git", "-C", tmp_path / "shop.git", "show", "main:apps/cart/deployment.yaml"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert _image("1.5.1", 3) in shown


def _image(tag: str, number: int) -> str:
    return f"acme/cart:{tag}@sha256:{number:064x}"


def _run(environment: dict[str, str], line: str) -> None:
    done = subprocess.run(
        [COMMAND, *shlex.split(line)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def _shop(folder: Path) -> dict[str, str]:
    """Make the demo's manifests repository; no registry is there to ask."""
    identity = ["-c", "user.name=Shop", "-c", "user.email=shop@example.com"]
    shop = ROOT / "examples/demo/shop"
    bare = folder / "shop.git"
    work = [*identity, "--git-dir", str(folder / "work.git"), "--work-tree", str(shop)]
    for arguments in (
        ["init", "-q", "--bare", "-b", "main", str(folder / "work.git")],
        [*work, "add", "--all"],
        [*work, "commit", "-q", "-m", "The shop"],
        ["clone", "-q", "--bare", str(folder / "work.git"), str(bare)],
    ):
        subprocess.run(["git", *arguments], check=True, capture_output=True)
    return {
        "PATH": str(Path(sys.executable).parent) + ":/usr/bin:/bin",
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GITOPS_REPOSITORY": str(bare),
        "GITOPS_REGISTRY_URL": "http://127.0.0.1:9",
        "GITOPS_HUB_URL": "http://127.0.0.1:9",
    }


def test_each_message_that_is_explained_is_one_that_is_told() -> None:
    """What the program no longer says, nobody looks up."""
    folders = ("python/gitops_rollback", "src", "vars")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*") if file.is_file()]
    code = "".join(f.read_text() for f in files if f.suffix in (".py", ".groovy"))
    # Adjacent literals are one text; what is filled in stands for itself.
    told = re.sub(r"""(?:"|')\s*(?:\+ )?(?:#[^\n]*)?\n\s*f?(?:"|')""", "", code)
    page = (ROOT / "docs" / "troubleshooting.md").read_text().replace("\\|", "|")
    cells = [row.split(" | ")[0] for row in re.findall(r"^\| (`.*) \|$", page, re.MULTILINE)]
    quotes = [quote for cell in cells for quote in re.findall(r"`([^`]{12,})`", cell)]
    assert len(quotes) > 40
    assert [quote for quote in quotes if quote not in told and quote not in code] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_each_page_begins_with_whom_it_is_for(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert lines[2].startswith("For ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_the_pages_is_understood(page: Path) -> None:
    """Each line of a page that is a command of this tool has options that it takes."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    blocks += re.findall(r"(?m)^    (gitops-rollback [^\n]*)$", text)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip(), comments=True)
        if words[:1] != ["gitops-rollback"] or words[1:2] in ([], ["--help"], ["--version"]):
            continue
        name, *arguments = [word for word in words[1:] if word != "-v"]
        if name == "COMMAND" or {"--help", "|", ">"} & set(arguments):
            continue
        assert parse(name, arguments, {}), line


def test_each_row_of_the_model_of_threats_names_tests_that_are_there() -> None:
    """And what tests hostile input, faults and secrets is named by a row."""
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    model = page.partition("## Who could do harm")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in model.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    modules = {
        path.stem: path.read_text(encoding="utf-8")
        for path in (ROOT / "tests/python").glob("*/test_*.py")
    }
    named = set()
    for row in rows:
        found = re.findall(r"`(test_\w+)`", row[-1])
        assert found, f"no test holds: {row[0]}"
        named.update(found)
    for name in named:
        assert "\ndef test_" in modules[name], name
    words = re.compile("fuzz|fault|hostile|secrets|redaction|outlet|alarm|reading|killed|signals")
    assert {name for name in modules if words.search(name)} - named == {"test_manifest_secrets"}

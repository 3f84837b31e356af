"""What the library runs on an agent: which unpacked copy of the command it takes, and which never.

The program stands in `HelperProgram.groovy`; here it runs as `sh` gets it, on real folders.
"""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import resource
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from unit.test_helper_archive import ARCHIVE, DEPENDENCIES, RESOURCES, ROOT, needs_archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [needs_archive, pytest.mark.slow]
GROOVY = ROOT / "src" / "io" / "github" / "gitopsrollback" / "HelperProgram.groovy"
EVERYBODY = 0o777


def program() -> str:
    """The script as Groovy hands it to `sh`."""
    parts: list[str] = re.findall(r"'''(.*?)'''", GROOVY.read_text(), re.DOTALL)
    shell, end, *python = (part.replace("\\\\", "\\") for part in parts)
    return shell + "".join(python) + end


@dataclass(frozen=True)
class Agent:
    """A folder to keep the command in, and one of the run with both archives."""

    root: Path
    below: str = ""

    @property
    def home(self) -> Path:
        return self.root / self.below / "home"

    @property
    def fallback(self) -> Path:
        return self.root / "fallback"

    def copy(self, name: str = "package") -> Path:
        lines = (RESOURCES / "helper.properties").read_text().splitlines()
        return self.home / dict(line.split("=", 1) for line in lines)[name]

    def deliver(self) -> None:
        for archive in (ARCHIVE, DEPENDENCIES):
            shutil.copy(archive, self.root)

    def run(self, **options: Any) -> tuple[int, str]:  # noqa: ANN401 - of Popen
        """Run `services` without a repository; return exit code and message: 2 and its own."""
        output = self.root / "result.json"
        output.unlink(missing_ok=True)
        names = {"package": (ARCHIVE.name, 1), "dependencies": (DEPENDENCIES.name, 2)}
        order = {
            "command": "services", "options": {}, "output": str(output), "version": "0",
            "installed": False, "fallback": str(self.fallback),
            "archives": [{"file": str(self.root / file), "sha256": self.copy(name).name,
                          "lacks": lacks} for name, (file, lacks) in names.items()],
        }  # fmt: skip
        environment = {
            "PATH": os.environ["PATH"], "GITOPS_ORDER": json.dumps(order),
            "GITOPS_OUTPUT": str(output), "GITOPS_HELPER_HOME": str(self.home),
        }  # fmt: skip
        work = self.root / "workspace"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            ["sh", "-e", "-c", program()], env=environment, cwd=work, check=False,
            capture_output=True, **options,
        )  # fmt: skip
        said = json.loads(output.read_bytes())["error"]["message"] if output.exists() else ""
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done.returncode, said


# How the command ends where it runs: it finds no repository, and says so.
RAN = (2, "is no Git work tree")


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """An agent to which both archives were brought."""
    agent = Agent(tmp_path)
    agent.deliver()
    return agent


@pytest.fixture(scope="module")
def unpacked_once(tmp_path_factory: pytest.TempPathFactory) -> Agent:
    agent = Agent(tmp_path_factory.mktemp("agent"))
    agent.deliver()
    assert runs(agent)
    return agent


@pytest.fixture
def settled(agent: Agent, unpacked_once: Agent) -> Agent:
    """An agent that has unpacked both, and to which they are brought once more."""
    shutil.copytree(unpacked_once.home, agent.home)
    return agent


def runs(agent: Agent) -> bool:
    code, said = agent.run()
    return code == RAN[0] and RAN[1] in said


def test_any_python3_understands_the_program() -> None:
    python = program().partition("-X utf8 -c '\n")[2].rpartition("\n'")[0]

    assert "'" not in python
    assert "\\" not in python
    assert ast.parse(python, feature_version=(3, 6)).body


def test_an_agent_says_which_archive_it_lacks(settled: Agent) -> None:
    for archive in (ARCHIVE, DEPENDENCIES):
        (settled.root / archive.name).unlink()
    assert runs(settled)

    found = {}
    for names in (("package",), ("dependencies",), ("package", "dependencies")):
        for name in names:
            settled.copy(name).rename(settled.root / name)
        found[names] = settled.run()[0]
        for name in names:
            (settled.root / name).rename(settled.copy(name))

    assert list(found.values()) == [97, 98, 99]


def test_what_is_unpacked_is_private(settled: Agent) -> None:
    for folder in (settled.home, settled.copy(), settled.copy("dependencies")):
        assert folder.stat().st_mode & EVERYBODY == 0o700


@pytest.mark.parametrize("name", ["package", "dependencies"])
@pytest.mark.parametrize("damage", ["a file is lost", "a file is cut", "the list is cut",
                                    "the list is lost", "the list is no text",
                                    "a folder is lost", "a file is a link"])  # fmt: skip
def test_a_damaged_copy_is_unpacked_anew(settled: Agent, name: str, damage: str) -> None:
    copy = settled.copy(name)
    inside = {"package": "gitops_rollback/image.py", "dependencies": "yaml/scanner.py"}[name]
    module = copy / inside
    kept = module.read_bytes()
    files = copy / ".files"
    match damage:
        case "a file is lost":
            module.unlink()
        case "a file is cut":
            module.write_bytes(kept[:-1])
        case "the list is cut":
            files.write_text("".join(files.read_text().splitlines(keepends=True)[:-1]))
        case "the list is lost":
            files.unlink()
        case "the list is no text":
            files.write_bytes(b"\xff\xfe12 x\nwhole\n")
        case "a folder is lost":
            shutil.rmtree(module.parent)
        case "a file is a link":
            module.rename(settled.root / "elsewhere.py")
            module.symlink_to(settled.root / "elsewhere.py")

    assert runs(settled)

    assert module.read_bytes() == kept
    assert not module.is_symlink()
    assert files.read_text().endswith("\nwhole\n")
    assert sorted(settled.home.iterdir()) == sorted(map(settled.copy, ("package", "dependencies")))


def plant(folder: Path) -> None:
    """Put a copy there that is whole, but of somebody else."""
    module = folder / "gitops_rollback" / "__main__.py"
    text = "raise SystemExit('taken in')\n".ljust(module.stat().st_size)
    module.write_text(text)


def test_a_copy_that_others_may_write_to_is_not_run(settled: Agent) -> None:
    plant(settled.copy())
    settled.copy().chmod(0o777)

    assert runs(settled)

    assert settled.copy().stat().st_mode & EVERYBODY == 0o700


def test_a_copy_that_is_a_link_is_not_followed(settled: Agent) -> None:
    elsewhere = settled.root / "elsewhere"
    settled.copy().rename(elsewhere)
    plant(elsewhere)
    before = sorted(path.stat().st_mtime_ns for path in elsewhere.rglob("*"))
    settled.copy().symlink_to(elsewhere)

    assert runs(settled)

    assert not settled.copy().is_symlink()
    assert sorted(path.stat().st_mtime_ns for path in elsewhere.rglob("*")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_copy_of_another_user_is_not_run(settled: Agent) -> None:
    plant(settled.copy())
    os.chown(settled.copy(), 12345, 12345)

    assert runs(settled)

    assert settled.copy().stat().st_uid == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_home_of_another_user_is_left_alone(agent: Agent) -> None:
    agent.home.mkdir()
    os.chown(agent.home, 12345, 12345)

    assert runs(agent)

    assert list(agent.home.iterdir()) == []
    assert len(list(agent.fallback.iterdir())) == 2


def test_a_home_that_others_may_write_to_is_made_private(agent: Agent) -> None:
    agent.home.mkdir()
    agent.home.chmod(0o777)

    assert runs(agent)

    assert agent.home.stat().st_mode & 0o022 == 0


def test_a_home_that_others_may_write_to_by_now_is_made_private_before_it_is_used(
    settled: Agent,
) -> None:
    """Who may write there could put another copy in the place of the one that was looked at."""
    settled.home.chmod(0o777)

    assert runs(settled)

    assert settled.home.stat().st_mode & 0o022 == 0


def test_a_link_to_the_home_is_followed_once(agent: Agent) -> None:
    """Who turns it round later does not choose what runs: the command has the place it led to."""
    elsewhere = agent.root / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    agent.home.symlink_to(elsewhere)

    assert runs(agent)

    text = program()
    assert text.count("yield os.path.realpath(") == text.count("    yield ") == 3
    assert {path.name for path in elsewhere.iterdir()} == {
        agent.copy().name,
        agent.copy("dependencies").name,
    }


def test_what_a_killed_run_left_is_removed_by_the_next(agent: Agent) -> None:
    left = agent.home / ".unpacking-left"
    (left / "gitops_rollback").mkdir(parents=True)
    agent.home.chmod(0o700)

    assert runs(agent)

    assert not left.exists()


def test_what_it_is_kept_in_is_private_whatever_the_umask(agent: Agent) -> None:
    agent = replace(agent, below="cache")
    assert agent.run(umask=0)[0] == RAN[0]
    for folder in (agent.home, agent.home.parent):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_another_run_unpacks_just_now_is_left_to_it(agent: Agent) -> None:
    busy = agent.home / ".unpacking-busy"
    busy.mkdir(parents=True)
    agent.home.chmod(0o700)
    lock = os.open(agent.home, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        assert runs(agent)
    finally:
        os.close(lock)

    assert busy.exists()


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(agent: Agent) -> None:
    def smaller() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    code, said = agent.run(preexec_fn=smaller)

    assert code == 96
    assert said.startswith("this agent has no place for the command: ")
    assert "File too large" in said
    assert list(agent.home.iterdir()) == []
    assert list(agent.fallback.iterdir()) == []
    assert runs(agent)


def test_a_run_killed_while_it_unpacks_harms_no_later_one(agent: Agent) -> None:
    """Killed after more and more time, until it was done before that."""
    for number in range(6):
        shutil.rmtree(agent.home, ignore_errors=True)
        with suppress(subprocess.TimeoutExpired):
            agent.run(timeout=0.06 * (number + 1))
        assert runs(agent)
        kept = {path.name for path in agent.home.iterdir()}
        assert kept == {agent.copy().name, agent.copy("dependencies").name}

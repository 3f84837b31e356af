"""The helper from commit to commit: built without a network, in each of them, for few bytes."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import helper_dependencies as dependencies
from unit.test_helper_archive import ARCHIVE, PYTHON, RESOURCES, ROOT, SOURCE, needs_archive, run

if TYPE_CHECKING:
    import subprocess

pytestmark = [needs_archive, pytest.mark.slow]
NO_CACHE = shutil.ignore_patterns("__pycache__")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with this package and the tools, beside whose sources the helper is built."""
    project = tmp_path / "project"
    shutil.copytree(SOURCE, project / "python" / "gitops_rollback", ignore=NO_CACHE)
    shutil.copytree(ROOT / "tools", project / "tools", ignore=NO_CACHE)
    shutil.copytree(RESOURCES, project / RESOURCES.relative_to(ROOT))
    shutil.copy(ROOT / "LICENSE", project)
    git(project, "init", "-q", "-b", "main")
    git(project, "add", ".")
    git(project, "commit", "-qm", "Begin")
    return project


def git(project: Path, *arguments: str) -> str:
    person = ("-c", "user.name=jane", "-c", "user.email=jane@example.org", "-c", "gc.auto=0")
    done = run("git", *person, *arguments, cwd=project)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def build(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # A proxy that answers nobody: who asks the network, fails.
    nobody = "http://127.0.0.1:1"
    tool = str(project / "tools" / "build_helper.py")
    return run(PYTHON, tool, *options, cwd=project, HTTPS_PROXY=nobody, PIP_RETRIES="0")


def packed_in(project: Path) -> dict[str, bytes]:
    return dependencies.unpack((project / ARCHIVE.relative_to(ROOT)).read_bytes())


def test_without_a_new_pin_it_is_built_without_a_network(project: Path) -> None:
    (project / "python" / "gitops_rollback" / "added.py").write_text("NEW = 1\n")

    done = build(project)

    assert done.returncode == 0, done.stderr
    assert packed_in(project)["gitops_rollback/added.py"] == b"NEW = 1\n"
    changed = git(project, "diff", "--name-only").splitlines()
    assert [Path(name).name for name in changed] == ["gitops-rollback.tar", "helper.properties"]


def test_a_new_pin_is_fetched_and_checked(project: Path) -> None:
    pins = project / "tools" / "helper-requirements.txt"
    pins.write_text(pins.read_text().replace("semver==3.1.1", "semver==3.1.0"))

    done = build(project)

    assert done.returncode != 0
    assert "pip" in done.stderr


def test_half_an_edit_is_not_packed(project: Path) -> None:
    before = packed_in(project)
    (project / "python" / "gitops_rollback" / "errors.py").write_text("class Half(\n")

    assert build(project).returncode != 0
    assert packed_in(project) == before


def test_staged_means_the_next_commit_and_not_the_work_tree(project: Path) -> None:
    package = project / "python" / "gitops_rollback"
    (package / "staged.py").write_text("STAGED = 1\n")
    git(project, "add", str(package / "staged.py"))
    (package / "staged.py").write_text("LATER = 1\n")
    (package / "untracked.py").write_text("LATER = 1\n")

    done = build(project, "--staged")

    assert done.returncode == 0, done.stderr
    assert packed_in(project)["gitops_rollback/staged.py"] == b"STAGED = 1\n"
    assert "gitops_rollback/untracked.py" not in packed_in(project)
    assert "helper.properties" in git(project, "diff", "--cached", "--name-only")


def test_the_hook_puts_the_archive_of_its_source_into_each_commit(project: Path) -> None:
    shutil.copytree(ROOT / ".ci" / "hooks", project / ".ci" / "hooks")
    git(project, "config", "core.hooksPath", ".ci/hooks")
    changed = project / "python" / "gitops_rollback" / "errors.py"
    changed.write_text(f"{changed.read_text()}# changed\n")

    git(project, "commit", "-qam", "Change something")

    assert packed_in(project)["gitops_rollback/errors.py"] == changed.read_bytes()
    assert git(project, "status", "--porcelain", "--untracked-files=no") == ""
    (project / "LICENSE.md").write_text("nothing of the helper")
    git(project, "add", "LICENSE.md")
    git(project, "commit", "-qm", "Change something else")
    assert git(project, "show", "--name-only", "--format=") == "LICENSE.md"


def test_a_merge_of_two_changes_leaves_what_is_built_to_be_built_again(project: Path) -> None:
    shutil.copy(ROOT / ".gitattributes", project)
    git(project, "add", ".gitattributes")
    git(project, "commit", "-qm", "Set up")
    git(project, "config", "merge.built-helper.driver", "true")
    for branch, name in (("one", "errors.py"), ("other", "model.py")):
        git(project, "checkout", "-q", "-b", branch, "main")
        changed = project / "python" / "gitops_rollback" / name
        changed.write_text(f"{changed.read_text()}# changed\n")
        assert build(project).returncode == 0
        git(project, "commit", "-qam", f"Change {name}")

    git(project, "merge", "-q", "--no-commit", "one")
    assert build(project, "--staged").returncode == 0

    held = packed_in(project)
    for name in ("errors.py", "model.py"):
        assert held[f"gitops_rollback/{name}"].endswith(b"# changed\n")


def test_fifteen_commits_of_the_source_cost_less_than_100_kb(project: Path) -> None:
    def size() -> int:
        # One thread: with more, what is stored as a difference depends on how they share the work.
        git(project, "-c", "pack.threads=1", "gc", "--quiet", "--prune=now")
        folder = project / ".git" / "objects" / "pack"
        return sum(path.stat().st_size for path in folder.glob("*.pack"))

    modules = sorted((project / "python" / "gitops_rollback").rglob("*.py"))
    largest = sorted(modules, key=lambda path: path.stat().st_size)[-15:]
    begin = size()
    for number, module in enumerate(largest):
        lines = module.read_text().splitlines(keepends=True)
        middle = len(lines) // 2
        added = [f"# {hashlib.sha256(bytes([number, at])).hexdigest()}\n" for at in range(20)]
        module.write_text("".join(lines[:middle] + added + lines[middle + 10 :]), newline="")
        git(project, "commit", "-qam", f"Change {module.name}")
    source = size()
    git(project, "checkout", "-q", "--detach", "HEAD~15")
    for module in largest:
        git(project, "checkout", "-q", "main", "--", str(module))
        assert build_without_compiling(project).returncode == 0
        git(project, "commit", "-qam", f"Change {module.name}, packed")

    assert size() - source < 100_000
    assert source > begin


def build_without_compiling(project: Path) -> subprocess.CompletedProcess[str]:
    """Pack sources that were cut at random, which the tool refuses otherwise."""
    program = (
        "import sys, build_helper; sys.argv = ['build', '--staged']\n"
        "build_helper.refuse_half_an_edit = lambda own, directory: None\n"
        "sys.exit(build_helper.main())\n"
    )
    return run(PYTHON, "-c", program, cwd=project / "tools", PYTHONPATH=str(project / "tools"))


@pytest.fixture
def proven(project: Path) -> Path:
    """The project, of which CI checks every commit from now on."""
    (project / ".ci").mkdir(exist_ok=True)
    (project / ".ci" / "helper-proven").write_text("# none of these is proven\n")
    assert build(project, "--staged").returncode == 0
    git(project, "add", ".")
    git(project, "commit", "-qm", "Check each commit")
    return project


def change(project: Path, name: str) -> None:
    changed = project / "python" / "gitops_rollback" / name
    changed.write_text(f"{changed.read_text()}# changed\n")
    git(project, "add", ".")


def check(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(PYTHON, str(project / "tools" / "check_helper.py"), *options, cwd=project)


def test_commits_that_carry_their_own_helper_pass(proven: Path) -> None:
    for name in ("errors.py", "model.py"):
        change(proven, name)
        assert build(proven, "--staged").returncode == 0
        git(proven, "commit", "-qm", f"Change {name}")

    done = check(proven)

    assert (done.returncode, done.stdout) == (
        0, "the helper of 3 commits: 3 are of their source\n"
    )  # fmt: skip


def test_a_commit_whose_helper_is_another_one_is_found_though_the_next_is_right(
    proven: Path,
) -> None:
    change(proven, "errors.py")
    git(proven, "commit", "-qm", "Forget the helper")
    wrong = git(proven, "rev-parse", "HEAD")
    assert build(proven, "--staged").returncode == 0
    git(proven, "commit", "-qm", "Build it too late")

    done = check(proven)

    assert done.returncode == 1
    assert done.stderr == (
        f"{wrong}: gitops-rollback.tar is not the source: gitops_rollback/errors.py;"
        " build it again in that commit: make helper\n"
    )


def test_what_was_proven_once_is_not_looked_at_again(proven: Path) -> None:
    change(proven, "errors.py")
    git(proven, "commit", "-qm", "Forget the helper")
    head = git(proven, "rev-parse", "HEAD")
    (proven / ".ci" / "helper-proven").write_text(f"# proven\n{head}\n")

    assert check(proven).returncode == 0

    (proven / ".ci" / "helper-proven").write_text(f"{'0' * 40}\n")
    assert "git fetch --unshallow" in check(proven).stderr


@pytest.mark.parametrize(
    ("path", "old", "new", "fault"),
    [
        (RESOURCES / "helper.properties", "package=", "package=0", "does not name the sums"),
        (ROOT / "tools" / "helper-requirements.txt", "semver==3.1.1", "semver==3.1.0",
         "dependencies.tar.gz does not hold semver 3.1.0, semver 3.1.1"),
    ],
)  # fmt: skip
def test_sums_and_pins_that_are_not_those_of_the_archives_are_found(
    proven: Path, path: Path, old: str, new: str, fault: str
) -> None:
    changed = proven / path.relative_to(ROOT)
    assert old in changed.read_text()
    changed.write_text(changed.read_text().replace(old, new))
    git(proven, "commit", "-qam", "Change one alone")

    done = check(proven)

    assert done.returncode == 1
    assert fault in done.stderr


def test_a_commit_without_the_helper_is_found(proven: Path) -> None:
    git(proven, "rm", "-q", str(ARCHIVE.relative_to(ROOT)))
    git(proven, "commit", "-qm", "Lose it")

    assert "lacks gitops-rollback.tar" in check(proven).stderr

"""README's commands, in a fresh clone, with nothing installed, in a bare environment."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    folder = tmp_path_factory.mktemp("demo")
    subprocess.run(["git", "clone", "-q", ROOT, folder / "clone"], check=True)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder)}

    def make(target: str, **more: str) -> str:
        done = subprocess.run(
            ["make", "--silent", target, f"PYTHON={sys.executable}"],
            cwd=folder / "clone", env={**environment, **more},
            capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert re.fullmatch(r"[0-9a-f]{64}  .*gitops-rollback\.pyz\n", make("release"))
    assert not (folder / "clone/.venv").exists(), "nothing is installed"
    return make("demo", KEEP="1"), environment


def test_the_demo_tells_its_story_with_nothing_installed(
    played: tuple[str, dict[str, str]],
) -> None:
    told, _environment = played
    for words in ("1.4.2 → 1.5.0 deployed", "1.5.0 → 1.4.2 rolled back, held", "has been held"):
        assert words in told


def test_the_five_commands_that_it_prints_work_as_they_stand(
    played: tuple[str, dict[str, str]],
) -> None:
    told, environment = played
    script = told.partition("Go on by hand, in this order:")[2].partition("Remove it with")[0]
    assert len(re.findall(r"^  .*gitops-rollback\.pyz ", script, re.MULTILINE)) == 5
    done = subprocess.run(
        ["sh", "-e", "-c", script],
        env=environment, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1.6.0" in done.stdout
    # Of 1.4.2, 1.5.0, 1.5.1 and 1.6.0 all but the first were rolled back, the last is held.
    assert re.search(r"^cart +4 +\S+ +3 +75% +3 .* 1$", done.stdout, re.MULTILINE)


def test_the_single_file_is_the_same_whenever_it_is_built(tmp_path: Path) -> None:
    files = [tmp_path / "a.pyz", tmp_path / "b.pyz"]
    odd = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "SOURCE_DATE_EPOCH": "1"}
    for file, umask, more in zip(files, (0o022, 0o077), ({}, odd), strict=True):
        line = [sys.executable, str(ROOT / "tools" / "release.py"), "--output", str(file)]
        environment = {"PATH": os.environ["PATH"], **more}
        subprocess.run(line, umask=umask, env=environment, check=True, capture_output=True)
    assert files[0].read_bytes() == files[1].read_bytes()
    for file in files:
        told = (tmp_path / f"{file.name}.sha256").read_text()
        assert told == f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"


def test_what_a_killed_run_of_the_single_file_left_is_removed_by_the_next(tmp_path: Path) -> None:
    file, home = tmp_path / "a.pyz", tmp_path / "cache" / "gitops-rollback"
    line = [sys.executable, str(ROOT / "tools" / "release.py"), "--output", str(file)]
    subprocess.run(line, check=True, capture_output=True)
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(home.parent)}

    def run() -> list[str]:
        line = [sys.executable, "-I", str(file), "--version"]
        subprocess.run(line, env=environment, umask=0, check=True, capture_output=True)
        return sorted(path.name.partition("-")[0] for path in home.iterdir())

    assert run() == ["pyz"]
    assert {path.stat().st_mode & 0o777 for path in (home, home.parent)} == {0o700}
    shutil.rmtree(next(home.iterdir()))
    (home / ".unpacking-left" / "gitops_rollback").mkdir(parents=True)
    lock = os.open(home, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_SH)
    assert run() == [".unpacking", "pyz"], "another run may be at it"
    os.close(lock)
    shutil.rmtree(next(home.glob("pyz-*")))
    assert run() == ["pyz"]


def test_the_single_file_runs_nothing_that_others_may_have_laid_down(tmp_path: Path) -> None:
    file = tmp_path / "a.pyz"
    line = [sys.executable, str(ROOT / "tools" / "release.py"), "--output", str(file)]
    subprocess.run(line, check=True, capture_output=True)
    home = tmp_path / "cache" / "gitops-rollback"

    def version() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-I", str(file), "--version"],
            env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(home.parent)},
            capture_output=True,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    first = version()
    assert first[0] == 0
    (unpacked,) = home.iterdir()
    for mode in (0o777, 0o775):
        (unpacked / "gitops_rollback" / "cli.py").write_text("def main(): print('STOLEN')\n")
        unpacked.chmod(mode)
        home.chmod(mode)
        assert version() == first
        assert home.stat().st_mode & 0o022 == 0
    assert list(home.iterdir()) == [unpacked]
    if os.getuid() == 0:
        (unpacked / "gitops_rollback" / "cli.py").write_text("def main(): print('STOLEN')\n")
        os.chown(unpacked, 20001, 20001)
        assert version() == first
        os.chown(home, 20001, 20001)
        code, said = version()
        assert code == 1
        assert "set XDG_CACHE_HOME to a folder of your own" in said

"""The packed helper: that it is built right, and that the archives are the current source.

After any change of `python/gitops_rollback` it has to be built again: `make helper`, or at each
commit by itself: `make hooks`.
"""

from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import build_helper
import helper_dependencies as dependencies
from gitops_rollback import __version__

ROOT = Path(__file__).parents[3]
RESOURCES = ROOT / "resources" / "io" / "github" / "gitopsrollback"
ARCHIVE = RESOURCES / "gitops-rollback.tar"
DEPENDENCIES = RESOURCES / "dependencies.tar.gz"
SOURCE = ROOT / "python" / "gitops_rollback"
# The base interpreter, not that of the virtual environment: it finds what is unpacked, or nothing.
PYTHON = str(Path(sys.executable).resolve())
COMPILED = (b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xfe\xed\xfa")

needs_archive = pytest.mark.skipif(
    not ARCHIVE.exists(), reason="the helper is not built: make helper"
)


@pytest.fixture(scope="module")
def packed() -> dict[str, bytes]:
    """Every file of both archives: an agent has them side by side on one path."""
    own, others = (dependencies.unpack(path.read_bytes()) for path in (ARCHIVE, DEPENDENCIES))
    assert not own.keys() & others.keys()
    return own | others


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("helper")
    for archive in (ARCHIVE, DEPENDENCIES):
        with tarfile.open(archive) as tar:
            tar.extractall(directory, filter="data")
    return directory


def pins() -> dict[str, str]:
    text = (ROOT / "tools" / "helper-requirements.txt").read_text()
    return {
        normal(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    }


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def run(*command: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": os.environ["PATH"], "HOME": str(cwd), **environment}
    return subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False)


# The tool


def test_the_same_files_give_the_same_bytes_in_any_order() -> None:
    files = {"b/c.py": b"2", "a.py": b"1"}

    assert dependencies.pack(files) == dependencies.pack(dict(reversed(files.items())))


def test_the_compressed_bytes_hold_no_time_name_or_system() -> None:
    assert dependencies.compress(b"x")[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    assert gzip.decompress(dependencies.compress(b"x")) == b"x"


def test_a_wheel_gives_its_modules_and_licence_and_nothing_compiled(tmp_path: Path) -> None:
    wanted = ["yaml/__init__.py", "requests/py.typed", "certifi/cacert.pem", "x-1.dist-info/RECORD",
              "x-1.dist-info/licenses/LICENSE", "x-1.dist-info/METADATA"]  # fmt: skip
    left_out = ["yaml/_yaml.cpython-311-x86_64-linux-gnu.so", "yaml/cyaml.py", "_yaml/__init__.py",
                "certifi/tests/test_x.py", "x-1.data/scripts/jp.py", "x-1.dist-info/WHEEL",
                "x-1.dist-info/", "urllib3/contrib/emscripten/fetch.py"]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "x-1-py3-none-any.whl", "w") as wheel:
        for name in wanted + left_out:
            wheel.writestr(name, name)

    assert sorted(dependencies.files_of(tmp_path)) == sorted(wanted)


def test_a_source_archive_gives_its_module_without_its_setup(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "multi_key_dict-2.zip", "w") as sdist:
        for name in ("multi_key_dict.py", "setup.py", "PKG-INFO", "LICENSE.txt", "docs/conf.py"):
            sdist.writestr(f"multi_key_dict-2/{name}", name)

    assert sorted(dependencies.files_of(tmp_path)) == [
        "multi_key_dict-2.dist-info/LICENSE.txt",
        "multi_key_dict-2.dist-info/METADATA",
        "multi_key_dict.py",
    ]


def constraints() -> dict[str, str]:
    text = (ROOT / "constraints.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {normal(name): version for name, version in (line.split("==") for line in lines)}


def test_what_the_tests_run_with_is_what_the_packed_helper_holds() -> None:
    assert pins().items() <= constraints().items()


def test_every_dependency_is_a_range_that_the_tested_version_is_in() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [
        Requirement(line)
        for line in (*project["dependencies"], *project["optional-dependencies"]["cluster"])
    ]

    assert {normal(one.name) for one in declared} <= constraints().keys()
    for one in declared:
        assert one.specifier.contains(constraints()[normal(one.name)])
        assert not any(bound.operator == "==" for bound in one.specifier)


def test_every_pin_has_a_hash() -> None:
    text = (ROOT / "tools" / "helper-requirements.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]

    assert all(re.search(r" --hash=sha256:[0-9a-f]{64}$", line) for line in lines)


# The archive


@needs_archive
def test_the_archive_holds_exactly_the_current_source(packed: dict[str, bytes]) -> None:
    current = {
        f"gitops_rollback/{path.relative_to(SOURCE).as_posix()}": path.read_bytes()
        for path in SOURCE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name: data for name, data in packed.items() if name.startswith("gitops_rollback/")}
    different = sorted(n for n in current.keys() | held if current.get(n) != held.get(n))

    assert not different, "the helper is not the current source; build it again: make helper"


@needs_archive
def test_the_properties_name_version_and_sums() -> None:
    lines = (RESOURCES / "helper.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    others = DEPENDENCIES.read_bytes()
    assert properties == {
        "version": __version__,
        "package": hashlib.sha256(ARCHIVE.read_bytes()).hexdigest(),
        "dependencies": hashlib.sha256(others).hexdigest(),
        "contents": hashlib.sha256(gzip.decompress(others)).hexdigest(),
        "pins": dependencies.rules((ROOT / "tools" / "helper-requirements.txt").read_bytes()),
    }


@needs_archive
def test_the_archives_are_as_the_tool_packs_these_files() -> None:
    # The tar, not the compressed bytes: those may differ between versions of zlib.
    for tar in (ARCHIVE.read_bytes(), gzip.decompress(DEPENDENCIES.read_bytes())):
        assert tar == dependencies.pack(dependencies.unpack(tar))


@needs_archive
@pytest.mark.parametrize("archive", [ARCHIVE, DEPENDENCIES], ids=lambda path: path.name)
def test_every_entry_is_a_plain_file_of_nobody_in_order(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        entries = tar.getmembers()

    assert [entry.name for entry in entries] == sorted({entry.name for entry in entries})
    assert all(entry.isreg() and entry.mode == 0o644 for entry in entries)
    assert {(e.uid, e.gid, e.uname, e.gname) for e in entries} == {(0, 0, "", "")}
    assert len({entry.mtime for entry in entries}) == 1
    assert not any(Path(e.name).is_absolute() or ".." in Path(e.name).parts for e in entries)


@needs_archive
def test_nothing_in_the_archive_is_compiled_and_it_stays_small(packed: dict[str, bytes]) -> None:
    suffixes = {Path(name).suffix for name in packed}

    assert not suffixes & {".so", ".pyd", ".pyc", ".dll", ".dylib", ".a", ".exe"}
    assert not [name for name, data in packed.items() if data.startswith(COMPILED)]
    assert sum(map(len, packed.values())) < 10_000_000


@needs_archive
def test_the_dependencies_are_the_pinned_ones(packed: dict[str, bytes]) -> None:
    held = {}
    for name, data in packed.items():
        if name.endswith(".dist-info/METADATA"):
            text = data.decode()
            found = [
                re.search(rf"^{key}: (\S+)", text, re.MULTILINE) for key in ("Name", "Version")
            ]
            title, version = (match[1] for match in found if match)
            held[normal(title)] = version

    assert held == pins()


@needs_archive
def test_every_dependency_is_byte_for_byte_as_it_was_published(packed: dict[str, bytes]) -> None:
    sums: dict[str, str] = {}
    for name, data in packed.items():
        if name.endswith(".dist-info/RECORD"):
            sums |= {row[0]: row[1] for row in csv.reader(data.decode().splitlines())}
    own = {name for name in packed if name.startswith("gitops_rollback/")}
    unlisted = packed.keys() - own - sums.keys()
    changed = [
        name
        for name in packed.keys() & sums.keys()
        if sums[name] not in ("", record_sum(packed[name]))
    ]
    installed = importlib.util.find_spec("multi_key_dict")

    assert changed == []
    assert unlisted == {
        "LICENSE", "__main__.py", "multi_key_dict.py", "multi_key_dict-2.0.3.dist-info/METADATA",
    }  # fmt: skip
    assert installed is not None
    assert packed["multi_key_dict.py"] == Path(str(installed.origin)).read_bytes()


def record_sum(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return f"sha256={digest}"


# Running it


@needs_archive
@pytest.mark.parametrize("options", [["-I", "-S", "-X", "utf8"], ["-I"], []])
def test_it_runs_from_its_folder(unpacked: Path, tmp_path: Path, options: list[str]) -> None:
    done = run(PYTHON, *options, str(unpacked), "--version", cwd=tmp_path)

    assert (done.stdout, done.returncode) == (f"gitops-rollback {__version__}\n", 0), done.stderr


@needs_archive
def test_it_runs_as_a_module_on_the_path(unpacked: Path, tmp_path: Path) -> None:
    done = run(PYTHON, "-m", "gitops_rollback", "--help", cwd=tmp_path, PYTHONPATH=str(unpacked))

    assert done.returncode == 0, done.stderr
    assert "usage: gitops-rollback" in done.stdout


@needs_archive
def test_every_command_tells_its_options(unpacked: Path, tmp_path: Path) -> None:
    shown = run(PYTHON, "-I", "-S", str(unpacked), "--help", cwd=tmp_path).stdout
    commands = re.findall(r"^  ([a-z]+)  ", shown.partition("commands:")[2], re.MULTILINE)
    assert "plan" in commands
    for command in commands:
        done = run(PYTHON, "-I", "-S", str(unpacked), command, "--help", cwd=tmp_path)
        assert f"usage: gitops-rollback {command}" in done.stdout, done.stderr


@needs_archive
def test_an_error_reaches_the_result_file(unpacked: Path, tmp_path: Path) -> None:
    done = run(
        PYTHON, "-I", "-S", str(unpacked), "plan", "--service", "cart", "--output", "result.json",
        cwd=tmp_path,
    )  # fmt: skip
    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())

    assert done.returncode == 2, done.stderr
    assert result["error"]["category"] == "usage"
    assert done.stderr.startswith("error: ")


@needs_archive
def test_it_plans_on_a_real_repository(unpacked: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    image = f"acme/cart:1.4.2@sha256:{'0' * 64}"
    (work / "cart.yaml").write_text(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\nspec:\n  template:\n"
        f"    spec:\n      containers:\n        - name: server\n          image: {image}\n"
    )
    identity = ("-c", "user.name=jane", "-c", "user.email=jane@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
        assert run("git", *identity, *command, cwd=work).returncode == 0
    assert run("git", "clone", "-q", "--bare", str(work), "bare.git", cwd=tmp_path).returncode == 0

    done = run(
        PYTHON, "-I", "-S", str(unpacked), "plan", "--service", "cart", "--strategy", "git",
        "--repository", str(tmp_path / "bare.git"), "--output", "result.json", cwd=tmp_path,
    )  # fmt: skip

    result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
    assert done.returncode == 4, done.stderr
    assert result["error"]["category"] == "not-found"


@needs_archive
def test_its_dependencies_are_its_own_and_complete(unpacked: Path, tmp_path: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import certifi, charset_normalizer, idna, jenkins, jmespath, requests\n"
        "import urllib3, yaml\n"
        "import gitops_rollback.web.http, gitops_rollback.stores.jenkins_http\n"
        "for module in (certifi, jenkins, requests, urllib3, yaml):\n"
        "    assert module.__file__.startswith(sys.argv[1]), module\n"
        "assert certifi.contents().count('BEGIN CERTIFICATE') > 50\n"
        "settings = requests.Session().merge_environment_settings('https://x', {}, 0, None, None)\n"
        "print(settings['verify'])\n"
    )

    done = run(
        PYTHON, "-I", "-S", "-W", "error", "-c", program, str(unpacked),
        cwd=tmp_path, REQUESTS_CA_BUNDLE="/etc/own-ca.pem",
    )  # fmt: skip

    assert (done.stdout, done.stderr) == ("/etc/own-ca.pem\n", "")


@needs_archive
def test_files_beside_a_build_cannot_stand_in_for_its_modules(
    unpacked: Path, tmp_path: Path
) -> None:
    for name in ("gitops_rollback.py", "json.py", "yaml.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('taken in')")

    done = run(
        PYTHON, "-I", "-S", str(unpacked), "plan", "--help", cwd=tmp_path, PYTHONPATH=str(tmp_path)
    )

    assert done.returncode == 0, done.stderr


# What is in it, for who checks it


@needs_archive
def test_the_bill_of_materials_names_every_pin_with_its_sum_and_licence() -> None:
    bill = json.loads((RESOURCES / "dependencies.cdx.json").read_text())
    requirements = (ROOT / "tools" / "helper-requirements.txt").read_text()
    found = {
        (part["name"], part["version"], part["hashes"][0]["content"]) for part in bill["components"]
    }

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert found == {
        (name, version, total)
        for name, version, total in re.findall(
            r"^([\w.-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", requirements, re.MULTILINE
        )
    }
    assert all(part["licenses"][0]["expression"] for part in bill["components"])
    assert {part["purl"] for part in bill["components"]} == {
        f"pkg:pypi/{name}@{version}" for name, version in pins().items()
    }


@needs_archive
def test_built_twice_it_is_the_same(tmp_path: Path) -> None:
    """And as it is here, wherever, whenever and by whomever."""
    odd = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7", "PYTHONUTF8": "0",
           "SOURCE_DATE_EPOCH": "1"}  # fmt: skip
    for name, umask, more in (("one", 0o022, {}), ("an öther", 0o077, odd)):
        folder = tmp_path / name
        folder.mkdir()
        for kept in (DEPENDENCIES, RESOURCES / build_helper.PROPERTIES):
            shutil.copy(kept, folder)
        tool = [sys.executable, str(ROOT / "tools" / "build_helper.py"), "--output", str(folder)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **more}
        subprocess.run(tool, umask=umask, env=environment, check=True, capture_output=True)
        for path in folder.iterdir():
            assert path.read_bytes() == (RESOURCES / path.name).read_bytes(), path


@needs_archive
def test_the_published_files_give_the_archive_that_is_here(tmp_path: Path) -> None:
    """The judge is the registry: what it has under the pinned sums, fetched anew."""
    done = run(
        sys.executable, str(ROOT / "tools" / "build_helper.py"), "--fresh", "--output",
        str(tmp_path), cwd=tmp_path, **pip_settings(),
    )  # fmt: skip
    if done.returncode and re.search(r"Connection|resolve|Network|timed out", done.stderr):
        pytest.skip("no network to fetch the dependencies by")

    assert done.returncode == 0, done.stderr
    fresh = gzip.decompress((tmp_path / DEPENDENCIES.name).read_bytes())
    assert fresh == gzip.decompress(DEPENDENCIES.read_bytes())


def pip_settings() -> dict[str, str]:
    """What tells pip on this machine where packages are."""
    wanted = ("PIP_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "HOME", "SSL_", "REQUESTS_")
    found = {k: v for k, v in os.environ.items() if k.upper().startswith(wanted)}
    return {key: value for key, value in found.items() if key != "HOME"}

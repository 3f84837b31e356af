"""A password that somebody repeats reaches no log, result, record, commit or page."""

from __future__ import annotations

import subprocess
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from integration.shop import Shop, image

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hunter2-Geheim/x"
BASIC = b64encode(f"robot:{SECRET}".encode()).decode()
QUOTED = quote(SECRET, safe="")
BROKEN = f"{SECRET[:8]}\n   {SECRET[8:]}"
ENVIRONMENT = {
    "GIT_USERNAME": "robot",
    "GIT_PASSWORD": SECRET,
    "JOB_NAME": "shop/cart",
    "BUILD_NUMBER": "7",
    "BUILD_URL": f"https://jane:{SECRET}@ci.acme.example/7/",
}
TOLD = f"it is {SECRET}, {QUOTED}, {BASIC} or {BROKEN}"


@pytest.fixture
def private(shop: Shop) -> Shop:
    shop.environment |= ENVIRONMENT
    return shop


def everything(shop: Shop, said: str) -> Iterator[tuple[str, str]]:
    """Yield all texts that a run has left anywhere."""
    yield "said", said
    whole = subprocess.run(
        ["git", "log", "-p", "--all", "--format=raw"],
        cwd=shop.bare,
        capture_output=True,
        check=True,
    )
    yield "git", whole.stdout.decode()
    for path in shop.root.rglob("*"):
        inside = path.relative_to(shop.root).parts[0]
        if path.is_file() and inside not in ("manifests.git", "forge.py"):
            yield str(path), path.read_text(encoding="utf-8", errors="replace")


def check_nothing_is_told(shop: Shop, said: str) -> None:
    for where, text in everything(shop, said):
        squeezed = "".join(text.replace("remote:", "").split())
        for form in (SECRET, QUOTED, BASIC[8:-3], SECRET[:10], SECRET.encode().hex()):
            assert form not in squeezed, f"{where} has {form}"


def test_who_and_why_are_written_without_it(private: Shop) -> None:
    named = ("--service", "cart", "--reason", TOLD, "--by", f"jane {QUOTED}")
    said = ""
    for tag in ("1.4.2", "1.5.0"):
        said += private.ok("deploy", *named, "--image", image(tag)).stderr
    said += private.ok("rollback", *named).stderr
    run = private.ok("history", "--service", "cart")
    said += run.stdout + run.stderr
    run = private.ok("report", "--service", "cart", "--report-dir", str(private.root / "page"))
    said += private.ok("release", *named, "--accept", "automation").stderr + run.stdout
    check_nothing_is_told(private, said)
    assert "it is ***, ***, " in private.git("log", "-1", "--format=%B")


def test_what_a_server_repeats_is_told_without_it(private: Shop) -> None:
    lines = "; ".join(f"echo '{text}' >&2" for text in TOLD.split("\n"))
    private.hook("pre-receive", f"{lines}; exit 1")
    run = private.run("deploy", "--service", "cart", "--image", image("1.4.2"))
    assert run.code == 1
    assert "it is ***" in run.error["message"]
    check_nothing_is_told(private, run.stdout + run.stderr)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--branch", TOLD),
        ("--environment", TOLD),
        ("--cache", f"/nonexistent/{SECRET}"),
        ("--store", f"directory:/proc/{SECRET}"),
        ("--hub-url", f"https://jane:{SECRET}@hub.example"),
        ("--forge-url", f"https://jane:{SECRET}@hub.example"),
        ("--to", SECRET),
        ("--query", SECRET, "--strategy", "registry"),
        ("--as-of", SECRET),
        ("--plan", f"/nonexistent/{SECRET}"),
        (f"--{SECRET}",),
        (SECRET,),
    ],
    ids=lambda arguments: arguments[0][:10],
)
def test_a_wrong_option_is_told_without_it(private: Shop, arguments: tuple[str, ...]) -> None:
    run = private.run("rollback", "--service", "cart", "--reason", "x", *arguments)
    assert run.code != 3
    check_nothing_is_told(private, run.stdout + run.stderr)


@pytest.mark.parametrize(
    "url",
    [
        f"https://robot:{SECRET}@git.invalid/x.git",
        f"https://robot:{SECRET}@git.invalid:99999/x.git",
        f"https://robot:a#{SECRET}@git.invalid/x.git",
        f"https://robot:a?{SECRET}@git.invalid/x.git",
        f"https://robot:{SECRET}@git.invalid/x.git\n",
        f"robot:{SECRET}@git.invalid:x.git",
        f"ext::sh -c {SECRET}",
        f"-u{SECRET}",
    ],
)
def test_an_address_with_it_is_refused_without_it(shop: Shop, url: str) -> None:
    shop.environment |= {"GIT_PASSWORD": SECRET} if "@" not in url else {}
    run = shop.run("plan", "--service", "cart", repository=f"{url}")
    assert run.code in (1, 2)
    check_nothing_is_told(shop, run.stdout + run.stderr)

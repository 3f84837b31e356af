"""`report` as a process, and its page in a browser under the headers that Jenkins sends."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, image, program
from servers.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

# Measured on Jenkins 2.426, and the one of its documentation, which lacks `allow-same-origin`.
POLICIES = [
    f"{sandbox}; default-src 'none'; img-src 'self'; style-src 'self';"
    for sandbox in ("sandbox", "sandbox allow-same-origin")
]
REASON = "checkout fails: <script>document.title='x'</script>"


def report(shop: Shop, *arguments: str) -> Path:
    run = shop.ok("report", *arguments, "--report-dir", str(shop.root / "made"))
    folder = shop.root / "made/gitops-rollback/report"
    assert run.result["page"] == str(folder / "report.html")
    assert run.result["files"] == sorted(path.name for path in folder.iterdir())
    return folder


def test_a_service_alone_gives_its_plan_and_its_timeline(released: Shop) -> None:
    before = released.git("for-each-ref")
    folder = report(released, "--service", "cart")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "1.5.0 → 1.4.2, planned" in page
    assert "deploy 1.5.0" in (folder / "timeline-default-cart.svg").read_text(encoding="utf-8")
    assert released.git("for-each-ref") == before


@pytest.mark.parametrize("link", ["gitops-rollback", "gitops-rollback/report"])
def test_a_link_in_the_place_of_its_folder_leads_nowhere(released: Shop, link: str) -> None:
    """In a workspace stands what somebody pushed to the repository of the service."""
    elsewhere = released.root / "elsewhere"
    (elsewhere / "report").mkdir(parents=True)
    place = released.root / "made" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(elsewhere)
    made = ("report", "--service", "cart", "--report-dir", str(released.root / "made"))
    run = released.refused(2, "usage", *made)
    assert "the report cannot be written" in run.error["message"]
    assert [path.name for path in elsewhere.rglob("*")] == ["report"]
    place.unlink()
    report(released, "--service", "cart")
    report(released, "--service", "cart")
    assert {path.name for path in (released.root / "made").iterdir()} == {"gitops-rollback"}


def test_the_files_of_a_rollback_are_shown_as_they_are(released: Shop) -> None:
    released.ok("plan", "--service", "cart")
    plan = shutil.copy(released.root / "result.json", released.root / "plan.json")
    released.ok("rollback", "--service", "cart", "--reason", REASON)
    done = shutil.copy(released.root / "result.json", released.root / "done.json")
    commit = json.loads(Path(done).read_text(encoding="utf-8"))["commit"]
    page = (report(released, "--plan", str(plan), "--result", str(done)) / "report.html").read_text(
        encoding="utf-8"
    )
    assert "1.5.0 → 1.4.2, rolled back" in page
    assert "<h1>Rolled back: cart 1.5.0 → 1.4.2</h1>" in page
    assert commit[:12] in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert image("1.4.2") in page
    again = released.run("rollback", "--service", "cart", "--reason", "once more")
    assert again.code == 6
    refused = shutil.copy(released.root / "result.json", released.root / "refused.json")
    page = (report(released, "--result", str(refused)) / "report.html").read_text(encoding="utf-8")
    assert again.error["hint"].split(":")[0] in page


def test_a_file_that_is_none_is_refused(shop: Shop) -> None:
    wrong = shop.root / "wrong.json"
    wrong.write_text('{"schemaVersion": 1, "services": 3}')
    for option in ("--plan", "--result", "--history"):
        run = shop.run("report", option, str(wrong))
        assert (run.code, run.error["category"]) == (2, "usage")
        assert run.error["message"].startswith(f"{wrong} is no {option[2:]} to show: ")


class Served:
    """A folder as Jenkins serves artifacts; `paths` are those that were asked for."""

    def __init__(self, folder: Path, policy: str) -> None:
        self.folder = folder
        self.paths: list[str] = []
        served = self

        class Handler(SimpleHTTPRequestHandler):
            def end_headers(self) -> None:
                served.paths.append(self.path)
                self.send_header("Content-Security-Policy", policy)
                self.send_header("X-Content-Type-Options", "nosniff")
                super().end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Stay quiet."""

        handler = functools.partial(Handler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def browse(self, name: str, profile: Path) -> str:
        """Open a page in a browser; return what its console says."""
        logged = self.open(name, profile, "--enable-logging=stderr", "--window-size=375,800").stderr
        return "\n".join(line for line in logged.splitlines() if "CONSOLE" in line)

    def open(self, name: str, profile: Path, *options: str) -> subprocess.CompletedProcess[str]:
        """Open a page in a browser, which prints what became of it."""
        chromium = program("chromium", "chromium")
        self.paths.clear()
        return subprocess.run(
            [
                *(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *(f"--user-data-dir={profile}", *options),
                f"http://127.0.0.1:{self.server.server_port}/{name}",
            ],
            capture_output=True, text=True, check=True, timeout=90,
        )  # fmt: skip


# What axe finds wrong stands in the page then; what it could not decide is no finding.
AXE_RUNS = """\
<script src="axe.js"></script><script>
axe.run(document, {resultTypes: ["violations"]}).then(function (found) {
  const told = document.createElement("pre");
  told.id = "axe";
  told.textContent = JSON.stringify(found.violations.map(one => one.id));
  document.body.appendChild(told);
});
</script></body>"""


@pytest.fixture(params=POLICIES, ids=["plain", "same-origin"])
def served(request: pytest.FixtureRequest, released: Shop) -> Iterator[Served]:
    """The page of a rollback with a hostile reason."""
    released.ok("rollback", "--service", "cart", "--reason", REASON)
    served = Served(report(released, "--service", "cart"), request.param)
    with Serving(served.server):
        yield served


def test_a_browser_loads_style_and_picture_and_finds_nothing_to_block(
    served: Served, tmp_path: Path
) -> None:
    assert served.browse("report.html", tmp_path) == ""
    assert {"/report.css", "/timeline-default-cart.svg"} <= set(served.paths)
    # What is forbidden does make it complain: so silence means something.
    page = (served.folder / "report.html").read_text(encoding="utf-8")
    wrong = page.replace("<main>", '<main style="color: red"><script>alert(1)</script>')
    (served.folder / "wrong.html").write_text(wrong, encoding="utf-8")
    complaints = served.browse("wrong.html", tmp_path)
    assert "inline style" in complaints
    assert "script" in complaints


@pytest.fixture
def axe() -> Path:
    """Return axe-core's one file (https://github.com/dequelabs/axe-core), which AXE_CORE names."""
    named = os.environ.get("AXE_CORE")
    if not named:
        pytest.skip("AXE_CORE does not name axe-core's axe.min.js: npm install axe-core")
    return Path(named)


@pytest.mark.parametrize(("scheme", "width"), [("light", 380), ("dark", 1280)])
def test_axe_finds_nothing_that_keeps_anybody_from_reading(
    released: Shop, axe: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    plan = released.ok("plan", "--service", "cart").result
    (released.root / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    folder = report(released, "--plan", str(released.root / "plan.json"))
    shutil.copy(axe, folder / "axe.js")
    page = (folder / "report.html").read_text(encoding="utf-8").replace("</body>", AXE_RUNS)
    (folder / "judged.html").write_text(page, encoding="utf-8")
    unnamed = page.replace("</main>", '<img src="report.css"></main>')
    (folder / "wrong.html").write_text(unnamed, encoding="utf-8")
    served = Served(folder, "default-src 'self' 'unsafe-inline'")
    dark = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    options = (dark, f"--window-size={width},800", "--virtual-time-budget=20000")
    with Serving(served.server):
        for name, found in (("judged.html", "[]"), ("wrong.html", '["image-alt"]')):
            printed = served.open(name, tmp_path, *options).stdout
            assert f'<pre id="axe">{found}</pre>' in printed

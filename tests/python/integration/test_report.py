"""`report` as a process, and its page in a browser under the headers that Jenkins sends."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from integration.shop import Shop, image, program

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
        chromium = program("chromium", "chromium")
        self.paths.clear()
        done = subprocess.run(
            [
                *(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *("--enable-logging=stderr", f"--user-data-dir={profile}", "--window-size=375,800"),
                f"http://127.0.0.1:{self.server.server_port}/{name}",
            ],
            capture_output=True, text=True, check=True, timeout=90,
        )  # fmt: skip
        return "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.fixture(params=POLICIES, ids=["plain", "same-origin"])
def served(request: pytest.FixtureRequest, released: Shop) -> Iterator[Served]:
    """The page of a rollback with a hostile reason."""
    released.ok("rollback", "--service", "cart", "--reason", REASON)
    served = Served(report(released, "--service", "cart"), request.param)
    with served.server as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield served
        server.shutdown()


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

"""Render a page and write it with its style sheet and pictures, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback import __version__, scratch
from gitops_rollback.errors import UsageError

if TYPE_CHECKING:
    from gitops_rollback.report.page import Page

FOLDER = "gitops-rollback/report"
PAGE = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_STYLE = "report.css"


def render(page: Page) -> dict[str, str]:
    """Return the files of a page by name: HTML, CSS, and one SVG for each timeline.

    They keep to Jenkins' Content-Security-Policy for artifacts (`default-src 'none'; img-src
    'self'; style-src 'self'`): no script, no style in the page, no `data:` address.
    """
    from jinja2 import Environment, FileSystemLoader  # noqa: PLC0415 - slow import

    templates = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = templates.get_template("report.html.j2").render(page=page, version=__version__)
    files = {
        PAGE: html.lstrip(),
        _STYLE: (_TEMPLATES / _STYLE).read_text(encoding="utf-8"),
    }
    picture = templates.get_template("timeline.svg.j2")
    for service in page.services:
        if service.picture is not None:
            files[f"timeline-{service.key}.svg"] = picture.render(picture=service.picture)
    return files


def write(page: Page, directory: Path) -> Path:
    """Write a page below `directory`, in place of an earlier one; return the HTML's path.

    Raises `UsageError` if one cannot write there.
    """
    files = render(page)
    target = directory / FOLDER
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch.folder(target.parent, scratch.RESULT) as made:
            fresh = made.path / "report"
            fresh.mkdir()
            for name, text in files.items():
                (fresh / name).write_text(text, encoding="utf-8")
            if target.is_dir():
                shutil.rmtree(target)
            fresh.rename(target)
        scratch.sweep(target.parent, scratch.RESULT)
    except OSError as error:
        raise UsageError(
            f"the report cannot be written to {target}: {error.strerror or error}",
            "give a folder one can write to with --report-dir",
        ) from error
    return target / PAGE

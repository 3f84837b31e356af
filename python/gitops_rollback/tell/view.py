"""How a text is to be: how much of it, in which colours, as of when, in whose words."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.image import find_image
from gitops_rollback.late import dataclass, field
from gitops_rollback.options import MOST_LINES
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.tell.terminal import Ink, ink_of

if TYPE_CHECKING:
    from gitops_rollback.tell.output import Output


@dataclass(frozen=True)
class View:
    """How a text is to be; `limit` 0 shows lists as long as they are."""

    is_wide: bool = False
    ink: Ink = field(default_factory=Ink)
    present: str = ""
    limit: int = MOST_LINES
    command: str = ""
    explains: bool = False
    form: str = "text"
    is_in_jenkins: bool = False


def view_of(output: Output) -> View:
    """Return the view for what a run was given."""
    options = vars(output.options) if output.options is not None else {}
    limit = options.get("limit")
    return View(
        is_wide=output.format == "wide",
        ink=ink_of(sys.stdout),
        present=clock.now(),
        limit=MOST_LINES if limit is None else int(limit),
        command=output.command,
        explains=bool(options.get("explain")),
        form=str(options.get("format") or "text"),
        is_in_jenkins=place_of(output.environment) is Place.JENKINS,
    )


def label(image: object) -> str:
    """Return what people call an image: its tag, else the beginning of its digest."""
    found = find_image(str(image))
    return found.label if found else str(image)


def moment(at: object, present: str) -> str:
    """Return a time as people read it, with its age: `2026-01-31 02:03 (2 d ago)`."""
    text = str(at or "")
    if not text:
        return ""
    shown = text[:16].replace("T", " ")
    try:
        return f"{shown} ({clock.age(text, present)} ago)"
    except ValueError:
        return shown  # a record may hold another way to write a time

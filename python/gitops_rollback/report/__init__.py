"""The report: this is the door, by which the rest of the house comes in.

`make_page` makes one page to archive of the documents of plans, results and histories, `write` puts
it into a file, with its style sheet and pictures beside it.
"""

from __future__ import annotations

from gitops_rollback.report.page import Documents, make_page, write

__all__ = ["Documents", "make_page", "write"]

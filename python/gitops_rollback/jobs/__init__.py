"""The ready-made Jenkins jobs: this is the door, by which the rest of the house comes in.

`wanted_jobs` says which jobs there are to be, `install` creates and updates them, `check` looks
whether Jenkins has what they need, `names_of_forms` tells the fields of their forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.jobs.wanted import Scm, Wishes, names_of_forms, parse_sources, wanted_jobs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gitops_rollback.clock import Deadline
    from gitops_rollback.jobs.install import Change, Seen
    from gitops_rollback.jobs.wanted import Job

__all__ = ["Scm", "Wishes", "at_jenkins", "names_of_forms", "parse_sources", "wanted_jobs"]


def at_jenkins(
    url: str,
    environment: Mapping[str, str],
    deadline: Deadline,
    jobs: Sequence[Job],
    *,
    installs: bool,
    writes: bool,
) -> tuple[list[Change], list[Seen]]:
    """Install jobs if that is wanted, and look whether Jenkins has what they need.

    Returns what was done with each job, and what was seen. Raises `JenkinsError` if Jenkins does
    not answer or refuses.
    """
    from gitops_rollback.jobs.install import Checker, Installer  # noqa: PLC0415 - a slow import
    from gitops_rollback.stores.jenkins_http import JenkinsHttp  # noqa: PLC0415 - the same

    http = JenkinsHttp(url, environment, deadline)
    changes = Installer(http, writes=writes).install(jobs) if installs else []
    return changes, Checker(http).check(jobs)

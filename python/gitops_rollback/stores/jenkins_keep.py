"""Keep a Jenkins build and let it go again: what `Keep this build forever` does, by REST.

`toggleLogKeep` turns the mark over, whatever it is (hudson.model.Run.doToggleLogKeep), so it is
looked at before and after. Setting it needs Run/Update, lifting it Run/Delete.
"""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from gitops_rollback.errors import JenkinsError
from gitops_rollback.late import dataclass
from gitops_rollback.ledger.records import RECORD_FOLDER
from gitops_rollback.stores.jenkins_failures import nonsense, refusal, wants_crumb

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitops_rollback.model import Build
    from gitops_rollback.stores.jenkins_http import JenkinsHttp
    from gitops_rollback.web.answers import Answer

_LARGEST_ANSWER = 4_000_000
_DONE = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.FOUND, HTTPStatus.SEE_OTHER})
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, 502, HTTPStatus.SERVICE_UNAVAILABLE, 504})
_PAUSES = (0.5, 2.0)  # seconds, before it is tried again where Jenkins was busy
_PARTS = 4  # of gitops-rollback/ENVIRONMENT/SERVICE/record.json


@dataclass(frozen=True)
class KeptBuild:
    """A build, whether Jenkins keeps it, and the (environment, service) of each record it holds."""

    build: Build
    is_kept: bool
    records: frozenset[tuple[str, str]]


class Keeper:
    """Marks builds of one Jenkins; `place` gives the address of a build."""

    def __init__(self, http: JenkinsHttp, place: Callable[[Build], str]) -> None:
        self._http = http
        self._address = place

    def look(self, build: Build) -> KeptBuild:
        """Return what Jenkins says of a build; raise `JenkinsError` if it does not tell."""
        found = self._http.get_tree(
            self._address(build), "keepLog,artifacts[relativePath]", str(build), _LARGEST_ANSWER
        )
        is_kept, listed = found.get("keepLog"), found.get("artifacts")
        if not isinstance(is_kept, bool) or not isinstance(listed, list):
            reason = "it does not say whether it keeps that build, and what the build archived"
            raise nonsense(str(build), self._http.access, reason)
        paths = [a.get("relativePath") for a in listed if isinstance(a, dict)]
        names = [path.split("/") for path in paths if isinstance(path, str)]
        records = frozenset(
            (parts[1], parts[2])
            for parts in names
            if len(parts) == _PARTS and (parts[0], parts[3]) == (RECORD_FOLDER, "record.json")
        )
        return KeptBuild(build, is_kept, records)

    def _turned(self, kept: KeptBuild, what: str) -> Answer | None:
        """Ask to turn the mark over, again where Jenkins is busy; None: it was turned all the same.

        What answers 503 (a proxy, mostly) may have let the request through: it is looked at first,
        for another one would turn the mark back. Raises `JenkinsError` where that cannot be seen.
        """
        address = f"{self._address(kept.build)}toggleLogKeep"
        answer = self._http.post(address, b"", what)
        for pause in _PAUSES:
            if answer.status not in _BUSY:
                return answer
            time.sleep(pause)
            if self._has_turned(kept):
                return None
            answer = self._http.post(address, b"", what)
        return None if answer.status in _BUSY and self._has_turned(kept) else answer

    def _has_turned(self, kept: KeptBuild) -> bool:
        """Tell whether the mark is the other one by now; raise where Jenkins does not tell."""
        return self.look(kept.build).is_kept != kept.is_kept

    def turn_over(self, kept: KeptBuild) -> None:
        """Keep a build that is not kept, or let go one that is; raise `JenkinsError` if refused."""
        wanted = not kept.is_kept
        what = f"{'keeping' if wanted else 'letting go'} {kept.build}"
        answer = self._turned(kept, what)
        if answer is None:
            return
        if answer.status == HTTPStatus.FORBIDDEN and not wants_crumb(answer):
            error = refusal(answer, what, self._http.access)
            right = "Run/Update" if wanted else "Run/Delete"
            raise JenkinsError(error.message, f"give {self._http.access.person} {right} in Jenkins")
        if answer.status not in _DONE:
            raise refusal(answer, what, self._http.access)
        if self.look(kept.build).is_kept != wanted:
            raise JenkinsError(
                f"asked Jenkins at {self._http.access.host} for {what}: it did not do so",
                "somebody may have done the same at the same time: look at the build",
            )

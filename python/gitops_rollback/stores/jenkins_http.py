"""Requests to one Jenkins server: python-jenkins' addresses, and our own way to ask.

python-jenkins waits without end, mounts its retries where they are never used, asks for a crumb
that no GET needs, decodes what has to stay bytes, logs the headers of JENKINS_API_EXTRA_HEADERS and
says "does not exist" for 429, 502 and 503. So it says where things are, and `web` asks for them.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jenkins

from gitops_rollback.errors import ConfigError
from gitops_rollback.reading import read_json
from gitops_rollback.redaction import HEADERS
from gitops_rollback.stores.jenkins_failures import (
    Access,
    explain,
    nonsense,
    page_instead,
    refusal,
)
from gitops_rollback.web.hosts import basic, bound_to, is_base_address
from gitops_rollback.web.http import Http, Manners, Sent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.web.answers import Answer

LONGEST_REQUEST = 30.0  # seconds, its retries and redirects included
_LARGEST_COMPLAINT = 65_536
# After one of these the same question is not asked again: nothing would change but the time left.
_LASTING = frozenset({HTTPStatus.UNAUTHORIZED, 429, 502, 503, 504})
_XML = "text/xml; charset=utf-8"
_JOB = "%(folder_url)sjob/%(short_name)s/"


class JenkinsHttp:
    """Ask one Jenkins; user and token come from the environment and go to its host only."""

    def __init__(self, url: str, environment: Mapping[str, str], deadline: Deadline) -> None:
        base = _checked_base(url)
        user, token = environment.get("JENKINS_USER"), environment.get("JENKINS_TOKEN")
        self.access = Access(base, user if user and token else None)
        self._places = _Places(base)
        self._who = bound_to(
            base,
            basic(user, token) if user and token else None,
            _extra_headers(environment.get(HEADERS, "")),
        )
        manners = Manners(explain, retries=2, waits=False, longest=LONGEST_REQUEST)
        self._http = Http(environment, deadline.remaining, manners)
        self._http.hide(token or "")

    def address(self, job: str, *, number: int | None = None, artifact: str | None = None) -> str:
        """Return the address of a job, of one of its builds, or of a build's artifact."""
        return self._places.of(job, number, artifact)

    def get_tree(self, address: str, tree: str, what: str, largest: int) -> dict[str, Any]:
        """Return the object that Jenkins' JSON interface answers for some fields."""
        url = f"{address}api/json?tree={quote(tree, safe=',')}"
        answer = self.get(url, what, largest)
        try:
            document = read_json(answer.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise nonsense(what, self.access, "what it answered is no JSON object")
        return document

    def get(self, url: str, what: str, largest: int) -> Answer:
        """Return the answer to a GET that succeeded; `what` is for messages.

        Raises `AbsentError` for 404, and `JenkinsError` for all else that is no data.
        """
        answer = self._http.send("GET", url, what=what, who=self._who, largest=largest)
        if answer.status != HTTPStatus.OK:
            failure = refusal(answer, what, self.access)
            if answer.status in _LASTING:
                self._http.give_up(url, failure)
            raise failure
        if answer.is_page:
            raise page_instead(answer, url, what, self.access)
        return answer

    def post(self, url: str, document: bytes, what: str) -> Answer:
        """Send an XML document, once, and return whatever the answer is.

        No crumb is fetched: Jenkins asks none of API tokens, and a password is refused with words.
        """
        return self._http.send(
            "POST",
            url,
            what=what,
            who=self._who,
            sent=Sent(document, _XML),
            largest=_LARGEST_COMPLAINT,
        )


class _Places(jenkins.Jenkins):  # type: ignore[misc] # python-jenkins has no types
    """Knows where jobs, builds and artifacts are, as python-jenkins does, and asks for nothing."""

    def __init__(self, base: str) -> None:
        self.server = base  # not its own __init__: that makes a session, and logs headers

    def of(self, job: str, number: int | None, artifact: str | None) -> str:
        folder, name = self._get_job_folder(job)
        names: dict[str, Any] = {"folder_url": folder, "short_name": name}
        form = _JOB
        if number is not None:
            form, names["number"] = f"{_JOB}%(number)d/", number
        if artifact is not None:
            form, names["artifact"] = jenkins.BUILD_ARTIFACT, artifact
        return str(self._build_url(form, names))


def _extra_headers(text: str) -> dict[str, str]:
    """Read `Name: value` lines, as python-jenkins reads JENKINS_API_EXTRA_HEADERS."""
    pairs = (line.split(":", 1) for line in text.split("\n") if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def _checked_base(url: str) -> str:
    """Return JENKINS_URL with one slash at its end; raise `ConfigError` if it cannot be asked."""
    if not is_base_address(url):
        # The URL is not repeated: it may hold a password.
        raise ConfigError(
            "JENKINS_URL is no address that can be asked",
            "write it as https://host[:port][/path]/, without user, password or query",
        )
    return f"{url.rstrip('/')}/"

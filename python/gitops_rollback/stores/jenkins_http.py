"""Requests to one Jenkins server: python-jenkins' addresses and session, its traps mended.

python-jenkins waits without end, mounts its retries where they are never used, asks for a crumb
that no GET needs, decodes what has to stay bytes, and says "does not exist" for 429, 502 and 503.
So its session is asked directly: each answer is judged by its status, bounded in size, and in time
by a thread that is left behind; only so does the bound hold for name look-ups and slow senders.
"""

from __future__ import annotations

import json
import logging
from concurrent.futures import Future
from contextlib import contextmanager
from http import HTTPStatus
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jenkins
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from urllib3.util import Retry

from gitops_rollback import __version__
from gitops_rollback.errors import JenkinsError
from gitops_rollback.stores.jenkins_address import AstrayError, checked_base, is_own, target_of
from gitops_rollback.stores.jenkins_failures import (
    Access,
    Answer,
    no_time,
    nonsense,
    page_instead,
    refusal,
    too_large,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.clock import Deadline

LONGEST_REQUEST = 30.0  # seconds, its retries and redirects included
_LARGEST_COMPLAINT = 65_536
_CHUNK = 16_384
_MOST_REDIRECTS = 5
_PASSING = (429, 502, 503, 504)
# After one of these the same question is not asked again: nothing would change but the time left.
_LASTING = frozenset({HTTPStatus.UNAUTHORIZED, *_PASSING})
_XML = {"Content-Type": "text/xml; charset=utf-8"}
_JOB = "%(folder_url)sjob/%(short_name)s/"


class _TooLargeError(Exception):
    pass


class JenkinsHttp:
    """Ask one Jenkins; user and token come from the environment and go to its host only."""

    def __init__(self, url: str, environment: Mapping[str, str], deadline: Deadline) -> None:
        base = checked_base(url)
        user, token = environment.get("JENKINS_USER"), environment.get("JENKINS_TOKEN")
        self.requests = 0
        self.access = Access(base, user if user and token else None)
        self._deadline = deadline
        self._token = token or ""
        self._failure: JenkinsError | None = None
        bundle = environment.get("REQUESTS_CA_BUNDLE") or environment.get("SSL_CERT_FILE")
        self._verify: str | bool = bundle or True
        with _quiet():
            self._server = jenkins.Jenkins(base, timeout=LONGEST_REQUEST)
        self._session: requests.Session = self._server._session  # noqa: SLF001 - it has no public name
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries are no news
        adapter = HTTPAdapter(max_retries=_retries())
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        self._session.headers["User-Agent"] = f"gitops-rollback/{__version__}"
        self._session.verify = True  # whatever PYTHONHTTPSVERIFY says
        self._session.auth = _Nobody()
        if user and token:
            self._session.auth = HTTPBasicAuth(user.encode(), token.encode())

    def address(self, job: str, *, number: int | None = None, artifact: str | None = None) -> str:
        """Return the address of a job, of one of its builds, or of a build's artifact."""
        folder, name = self._server._get_job_folder(job)  # noqa: SLF001 - quoting as python-jenkins does
        names: dict[str, Any] = {"folder_url": folder, "short_name": name}
        form = _JOB
        if number is not None:
            form, names["number"] = f"{_JOB}%(number)d/", number
        if artifact is not None:
            form, names["artifact"] = jenkins.BUILD_ARTIFACT, artifact
        return str(self._server._build_url(form, names))  # noqa: SLF001 - the same

    def get_tree(self, address: str, tree: str, what: str, largest: int) -> dict[str, Any]:
        """Return the object that Jenkins' JSON interface answers for some fields."""
        url = f"{address}api/json?tree={quote(tree, safe=',')}"
        answer = self.get(url, what, largest)
        try:
            document = json.loads(answer.body)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise nonsense(what, self.access, "what it answered is no JSON object")
        return document

    def get(self, url: str, what: str, largest: int) -> Answer:
        """Return the answer to a GET that succeeded; `what` is for messages.

        Raises `AbsentError` for 404, and `JenkinsError` for all else that is no data.
        """
        answer = self._exchange(url, what, largest, None)
        if answer.status != HTTPStatus.OK:
            failure = refusal(answer, what, self.access)
            self._failure = failure if answer.status in _LASTING else None
            raise failure
        if answer.is_page:
            raise page_instead(answer, url, what, self.access)
        return answer

    def post(self, url: str, document: bytes, what: str) -> Answer:
        """Send an XML document, once, and return whatever the answer is.

        No crumb is fetched: Jenkins asks none of API tokens, and a password is refused with words.
        """
        return self._exchange(url, what, _LARGEST_COMPLAINT, document)

    def _exchange(self, url: str, what: str, largest: int, document: bytes | None) -> Answer:
        if self._failure is not None:
            raise JenkinsError(self._failure.message, self._failure.hint)
        seconds = min(LONGEST_REQUEST, self._deadline.remaining)
        if seconds <= 0:
            raise no_time(what, self.access)
        try:
            return self._in_time(url, largest, seconds, document)
        except _TooLargeError as error:
            raise too_large(what, self.access, largest) from error
        except AstrayError as error:
            raise nonsense(what, self.access, str(error)) from error
        except (requests.RequestException, OSError, ValueError) as error:
            self._failure = unreachable(what, self.access, error, seconds)
            raise self._failure from error

    def _in_time(self, url: str, largest: int, seconds: float, document: bytes | None) -> Answer:
        future: Future[Answer] = Future()
        end = monotonic() + seconds
        Thread(target=self._work, args=(future, url, largest, end, document), daemon=True).start()
        return future.result(timeout=seconds)

    def _work(
        self, future: Future[Answer], url: str, largest: int, end: float, document: bytes | None
    ) -> None:
        try:
            if document is not None:
                future.set_result(self._ask(self._session, url, largest, end, document))
                return
            future.set_result(self._follow(url, largest, end))
        except BaseException as error:  # noqa: BLE001 - handed over to the thread that waits
            future.set_exception(error)

    def _follow(self, url: str, largest: int, end: float) -> Answer:
        for _ in range(_MOST_REDIRECTS + 1):
            if is_own(url, self.access.url):
                answer = self._ask(self._session, url, largest, end)
            else:
                with requests.Session() as stranger:
                    stranger.auth = _Nobody()
                    answer = self._ask(stranger, url, largest, end)
            location = answer.headers.get("Location", "")
            if not 300 <= answer.status < 400 or not location:  # noqa: PLR2004 - 3xx
                return answer
            url = target_of(url, location)
        raise AstrayError(f"it redirects more than {_MOST_REDIRECTS} times")

    def _ask(
        self,
        session: requests.Session,
        url: str,
        largest: int,
        end: float,
        document: bytes | None = None,
    ) -> Answer:
        self.requests += 1
        method, headers = ("GET", {}) if document is None else ("POST", _XML)
        request = session.prepare_request(requests.Request(method, url, headers, data=document))
        settings: Any = session.merge_environment_settings(url, {}, True, self._verify, None)
        # Not session.send: that reads the bodies of redirects to their end, and keeps cookies.
        with session.get_adapter(url).send(
            request, timeout=max(0.1, end - monotonic()), **settings
        ) as response:
            retries = response.raw.retries
            self.requests += len(retries.history) if retries is not None else 0
            is_data = response.status_code == HTTPStatus.OK
            body = _read(response, largest if is_data else _LARGEST_COMPLAINT, end, cut=not is_data)
            if not is_data and self._token:
                body = body.replace(self._token.encode(), b"***")
            return Answer(url, response.status_code, response.headers, body)


class _Nobody(requests.auth.AuthBase):
    """No credential at all; without it, requests takes one from ~/.netrc."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _retries() -> Retry:
    """Try again twice, at once and shortly after; nothing is waited for that Jenkins names."""
    return Retry(
        total=2,
        backoff_factor=0.2,
        status_forcelist=_PASSING,
        raise_on_status=False,
        respect_retry_after_header=False,
    )


def _read(response: requests.Response, largest: int, end: float, *, cut: bool) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(_CHUNK):
        body += chunk
        if len(body) > largest:
            if cut:
                break
            raise _TooLargeError
        if monotonic() > end:
            raise TimeoutError
    return bytes(body[:largest])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep python-jenkins from logging the headers that JENKINS_API_EXTRA_HEADERS gives it.

    They can hold a password, and its first message would set up the root logger for good.
    """
    root, silent = logging.getLogger(), logging.NullHandler()
    before = root.manager.disable
    root.addHandler(silent)
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        root.removeHandler(silent)

"""The Jenkins store against a server that answers as Jenkins does."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.errors import ConfigError, JenkinsError
from gitops_rollback.ledger.records import MissingRecord, StoredRecord, digest_of_bytes
from gitops_rollback.model import Build
from gitops_rollback.stores.jenkins import JenkinsStore
from gitops_rollback.web.hosts import belongs_to, origin_of, target_of
from servers.jenkins_answer import Answer
from servers.jenkins_server import LOGIN_PAGE, JenkinsServer
from servers.serving import Serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.stores.directory import RecordStore

JOB = "shop/cart"
PATH = "gitops-rollback/production/cart/record.json"
TOKEN = "t0ken-of-jane"
RECORDED = Path(__file__).parents[4] / "shared" / "data" / "jenkins"


def record(number: int = 41, **changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    digest = f"sha256:{number:064x}"
    document = {
        "schemaVersion": 1,
        "service": "cart",
        "environment": "production",
        "repository": "https://github.com/acme/manifests.git",
        "branch": "main",
        "commit": "a" * 40,
        "image": f"docker.io/acme/cart:1.{number}@{digest}",
        "action": "deploy",
        "fields": [
            {
                "path": "cart/deployment.yaml",
                "document": 0,
                "kind": "Deployment",
                "name": "cart",
                "container": "server",
                "pointer": "/spec/template/spec/containers/0/image",
                "image": f"docker.io/acme/cart:1.{number}@{digest}",
                "value": f"acme/cart:1.{number}@{digest}",
            }
        ],
        "manifests": [{"path": "cart/deployment.yaml", "sha256": digest, "copied": False}],
        "unchanged": False,
        "recordedAt": "2026-01-31T02:03:04Z",
        "build": {"job": "somewhere/else", "number": 1},
        **changes,
    }
    return json.dumps(document).encode()


@pytest.fixture
def server() -> Iterator[JenkinsServer]:
    with JenkinsServer(("jane", TOKEN)) as server:
        yield server


def store_of(
    server: JenkinsServer,
    *,
    job: str | None = None,
    deploy_job: str | None = JOB,
    seconds: float = 20,
    **environment: str,
) -> JenkinsStore:
    jobs = {"cart": deploy_job}
    return JenkinsStore(server.url, environment, Deadline(seconds), job=job, jobs=jobs)


def signed_in(server: JenkinsServer, **more: Any) -> JenkinsStore:  # noqa: ANN401 - of store_of
    return store_of(server, JENKINS_USER="jane", JENKINS_TOKEN=TOKEN, **more)


def find(store: RecordStore, job: str = JOB, number: int = 41) -> StoredRecord | MissingRecord:
    return store.find("production", "cart", Build(job, number), None)


def found(store: RecordStore, job: str = JOB, number: int = 41) -> StoredRecord:
    stored = find(store, job, number)
    assert isinstance(stored, StoredRecord), stored
    return stored


def missing(store: RecordStore, job: str = JOB, number: int = 41) -> str:
    stored = find(store, job, number)
    assert isinstance(stored, MissingRecord)
    return stored.reason


def failure(store: RecordStore, job: str = JOB) -> JenkinsError:
    with pytest.raises(JenkinsError) as caught:
        find(store, job)
    return caught.value


def numbers(records: tuple[StoredRecord, ...]) -> list[int]:
    return [stored.record.build.number for stored in records if stored.record.build]


def forbid_listing(server: JenkinsServer, body: bytes, status: int = 200) -> None:
    server.force("/job/shop/job/cart/api/json", Answer(status, body, "application/json"))


# A named build


def test_a_named_build_costs_one_get_and_no_crumb(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: record()})
    store = signed_in(server)

    found(store)

    assert server.paths == [f"GET /job/shop/job/cart/41/artifact/{PATH}"]
    assert len(server.requests) == 1


def test_the_build_of_a_record_is_where_it_was_found(server: JenkinsServer) -> None:
    data = record()
    server.add(JOB, 41, {PATH: data})

    stored = found(signed_in(server))

    assert stored.record.build == Build(JOB, 41, f"{server.url}job/shop/job/cart/41/")
    assert stored.location == f"{server.url}job/shop/job/cart/41/artifact/{PATH}"
    assert stored.sha256 == digest_of_bytes(data)


def test_the_sha256_is_of_the_bytes_that_were_archived(server: JenkinsServer) -> None:
    data = record(by="Zoë ☃") + b"\r\n \n"
    server.add(JOB, 41, {PATH: data})
    server.compresses = True

    assert found(signed_in(server)).sha256 == digest_of_bytes(data)
    assert "gzip" in server.requests[0].headers["Accept-Encoding"]


@pytest.mark.parametrize(
    ("job", "path"),
    [
        ("cart", "/job/cart/41/"),
        ("a/b/c d", "/job/a/job/b/job/c%20d/41/"),
        ("shop/mb/feature%2Fx", "/job/shop/job/mb/job/feature%252Fx/41/"),
        ("grün/#1?", "/job/gr%C3%BCn/job/%231%3F/41/"),
    ],
)
def test_folders_and_branches_are_addressed_as_jenkins_does(
    server: JenkinsServer, job: str, path: str
) -> None:
    server.add(job, 41, {PATH: record()})

    stored = found(signed_in(server), job)

    assert stored.record.build is not None
    assert stored.record.build.job == job
    assert server.requests[0].path.startswith(path)


@pytest.mark.parametrize("job", ["", "/cart", "a//b", "../cart", "a/./b", "a/..", "a\nb"])
def test_a_job_that_leads_elsewhere_is_not_asked_for(server: JenkinsServer, job: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a Jenkins job"):
        find(signed_in(server), job)
    assert server.requests == []


def test_the_explicit_job_wins_over_the_one_of_the_state(server: JenkinsServer) -> None:
    server.add("moved/cart", 41, {PATH: record()})

    stored = found(signed_in(server, job="moved/cart"), "shop/cart")

    assert stored.record.build is not None
    assert stored.record.build.job == "moved/cart"


def test_no_build_means_no_request(server: JenkinsServer) -> None:
    answer = signed_in(server).find("production", "cart", None, "sha256:" + "0" * 64)

    assert isinstance(answer, MissingRecord)
    assert server.requests == []


def test_a_server_below_a_path_is_asked_there() -> None:
    with JenkinsServer() as server:
        server.force("/jenkins/job/shop/job/cart/41/", Answer(200, record(), "application/json"))
        store = JenkinsStore(
            f"{server.url}jenkins", {}, Deadline(20), job=None, jobs={"cart": None}
        )

        assert found(store).location.startswith(f"{server.url}jenkins/job/shop/")


# What is not there


def test_a_deleted_build_is_told_by_one_more_get(server: JenkinsServer) -> None:
    server.add(JOB, 42, {PATH: record()})

    reason = missing(signed_in(server))

    assert reason == (
        "Jenkins has no build shop/cart #41: it was deleted (the job's discarder does that), "
        "or the user 'jane' may not read the job"
    )
    assert len(server.requests) == 2


def test_a_build_without_the_artifact_is_told_from_a_deleted_one(server: JenkinsServer) -> None:
    server.add(JOB, 41, {}, result="FAILURE")

    reason = missing(signed_in(server))

    assert reason.startswith("shop/cart #41 (FAILURE) has no gitops-rollback/production/cart/")
    assert server.requests[1].path.endswith("/41/api/json?tree=keepLog,building,result")


def test_a_build_that_still_runs_is_said_to_run(server: JenkinsServer) -> None:
    server.add(JOB, 41, {}, building=True, result=None)

    assert "still runs" in missing(signed_in(server))


def test_an_address_that_is_not_jenkins_is_suspected(server: JenkinsServer) -> None:
    server.force("/", Answer(404, b"nothing here", is_from_jenkins=False))

    assert "check JENKINS_URL" in missing(signed_in(server))


def test_a_failing_second_question_still_names_the_first_answer(server: JenkinsServer) -> None:
    server.add(JOB, 41, {})
    server.force("/job/shop/job/cart/41/api/json", Answer(500, b"Oops!"))

    assert "has no gitops-rollback/production/cart/record.json" in missing(signed_in(server))


def test_an_unsound_record_is_missing_with_the_reason(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: record(schemaVersion=1, commit="no commit")})

    assert "is not sound" in missing(signed_in(server))


# What Jenkins refuses


def test_something_else_where_a_named_record_was_is_tampered(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: b"{"})

    answer = signed_in(server).find("production", "cart", Build(JOB, 41), "sha256:" + "0" * 64)

    assert isinstance(answer, MissingRecord)
    assert answer.is_tampered


def test_a_wrong_token_is_told_from_a_missing_job(server: JenkinsServer) -> None:
    store = store_of(server, JENKINS_USER="jane", JENKINS_TOKEN="wr0ng")

    error = failure(store)

    assert "401 Unauthorized: user or token is wrong" in error.message
    assert "JENKINS_TOKEN" in error.hint


def test_a_refused_token_is_not_tried_again(server: JenkinsServer) -> None:
    store = store_of(server, JENKINS_USER="jane", JENKINS_TOKEN="wr0ng")

    assert failure(store).message == failure(store).message
    assert len(server.requests) == 1


def test_nobody_without_a_token_is_told_to_set_one(server: JenkinsServer) -> None:
    server.anonymous = "none"

    error = failure(store_of(server))

    assert "403 Forbidden: nobody may read it without a login" in error.message
    assert "set JENKINS_USER and JENKINS_TOKEN" in error.hint
    assert server.requests[0].headers["Authorization"] is None


def test_a_user_without_a_token_is_nobody(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: record()})

    found(store_of(server, JENKINS_USER="jane"))

    assert server.requests[0].headers["Authorization"] is None


def test_a_proxy_that_wants_a_login_is_understood(server: JenkinsServer) -> None:
    server.force("/", Answer(401, b"login"))

    error = failure(store_of(server))

    assert "it wants to know who asks" in error.message
    assert "set JENKINS_USER" in error.hint


def test_a_missing_permission_is_named(server: JenkinsServer) -> None:
    server.force("/", Answer(403, b"<p>jane is missing the Run/Artifacts permission</p>"))

    error = failure(signed_in(server))

    assert "the user 'jane' is missing the Run/Artifacts permission" in error.message
    assert error.hint == "give the user 'jane' Run/Artifacts in Jenkins"
    assert "of a user with Run/Artifacts" in failure(store_of(server)).hint


def test_a_403_without_a_reason_names_what_is_needed(server: JenkinsServer) -> None:
    server.force("/", Answer(403, b"Forbidden"))

    assert "Overall/Read and Job/Read" in failure(signed_in(server)).hint


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, "429 Too Many Requests: too many requests"),
        (502, "502 Bad Gateway: Jenkins is starting, or is down"),
        (503, "503 Service Unavailable: Jenkins is starting, or is down"),
        (504, "504 Gateway Timeout: Jenkins is starting, or is down"),
    ],
)
def test_an_overloaded_server_is_asked_thrice_and_named(
    server: JenkinsServer, status: int, words: str
) -> None:
    server.force("/", Answer(status, b"<html>later</html>", headers=(("Retry-After", "600"),)))
    store = signed_in(server)

    error = failure(store)

    assert words in error.message
    assert "does not exist" not in error.message
    assert len(server.requests) == 3
    failure(store)
    assert len(server.requests) == 3


def test_a_passing_failure_is_waited_out(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: record()})
    server.force("/", Answer(503), Answer(200, record(), "application/json"))

    found(signed_in(server))


def test_an_error_of_jenkins_itself_is_not_repeated(server: JenkinsServer) -> None:
    server.force("/", Answer(500, b"Oops! A problem occurred"))
    store = signed_in(server)

    assert "500 Internal Server Error: Jenkins itself failed" in failure(store).message
    assert len(server.requests) == 1


def test_any_other_status_is_nonsense(server: JenkinsServer) -> None:
    server.force("/", Answer(418))
    assert "it answered 418" in failure(signed_in(server)).message
    server.force("/", Answer(299, b"x"))
    assert "it answered 299" in failure(signed_in(server)).message


def test_a_token_that_a_server_repeats_stays_secret(server: JenkinsServer) -> None:
    body = f"{TOKEN} is missing the {TOKEN} permission".encode()
    server.force("/", Answer(403, body))

    error = failure(signed_in(server))

    assert TOKEN not in error.message + error.hint


# What is no record


def test_a_login_page_is_told_from_a_record(server: JenkinsServer) -> None:
    server.force("/job", Answer(200, LOGIN_PAGE))

    error = failure(signed_in(server))

    assert "it answered a web page" in error.message
    assert "a login" in error.hint


def test_a_redirect_to_a_login_page_is_told_from_a_folder(server: JenkinsServer) -> None:
    server.force("/job", Answer(302, headers=(("Location", "/login?from=%2Fjob"),)))
    server.force("/login", Answer(200, b"<html>Welcome</html>"))

    error = failure(signed_in(server))

    assert f"({server.url}login)" in error.message


def test_an_artifact_that_is_a_folder_is_named_so(server: JenkinsServer) -> None:
    server.add(JOB, 41, {f"{PATH}/inside.json": b"{}"})

    assert "the artifact is a folder, not a file" in failure(signed_in(server)).message


def test_an_artifact_over_a_megabyte_is_not_read(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: b" " * 1_000_001})

    assert "larger than 1 MB" in failure(signed_in(server)).message


def test_a_compressed_bomb_is_not_unpacked(server: JenkinsServer) -> None:
    server.add(JOB, 41, {PATH: b" " * 50_000_000})
    server.compresses = True

    assert "larger than 1 MB" in failure(signed_in(server)).message


def test_a_body_that_breaks_off_is_no_record(server: JenkinsServer) -> None:
    data = record()
    server.force("/job", Answer(200, data, "application/json", length=len(data) + 10))

    error = failure(signed_in(server))

    assert "the answer broke off before its end" in error.message
    assert error.hint == "try again"


# Where a credential goes


def test_a_redirect_to_another_host_carries_no_credential(server: JenkinsServer) -> None:
    data = record()
    with JenkinsServer() as bucket:
        signed = f"{bucket.url}archive/1?X-Amz-Signature=abc"
        bucket.force("/archive", Answer(200, data, "binary/octet-stream", is_from_jenkins=False))
        headers = (("Location", signed), ("Set-Cookie", "JSESSIONID=1; Path=/"))
        server.force("/job", Answer(302, headers=headers))
        store = signed_in(server)

        assert found(store).sha256 == digest_of_bytes(data)

    headers_sent = bucket.requests[0].headers
    assert server.requests[0].headers["Authorization"] is not None
    assert [headers_sent[name] for name in ("Authorization", "Cookie", "Jenkins-Crumb")] == [
        None
    ] * 3
    assert (len(server.requests), len(bucket.requests)) == (1, 1)


def test_headers_from_the_environment_go_to_jenkins_only_and_are_not_logged(
    server: JenkinsServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("JENKINS_API_EXTRA_HEADERS", raising=False)
    with JenkinsServer() as bucket:
        bucket.force("/", Answer(200, record(), "application/json"))
        server.force("/job", Answer(307, headers=(("Location", f"{bucket.url}x"),)))

        found(signed_in(server, JENKINS_API_EXTRA_HEADERS="X-Gate: s3cret"))

    assert server.requests[0].headers["X-Gate"] == "s3cret"
    assert bucket.requests[0].headers["X-Gate"] is None
    assert "s3cret" not in caplog.text
    assert logging.getLogger().isEnabledFor(logging.WARNING)


def test_a_header_from_the_environment_may_have_any_name(server: JenkinsServer) -> None:
    server.force("/job", Answer(200, record(), "application/json"))
    found(signed_in(server, JENKINS_API_EXTRA_HEADERS="authorization: Bearer gate\nurl: a"))
    sent = server.requests[0].headers
    assert (sent["Authorization"], sent["url"]) == ("Bearer gate", "a")


def test_a_password_of_netrc_is_not_used(
    server: JenkinsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login joe password s3cret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.add(JOB, 41, {PATH: record()})

    found(store_of(server))

    assert server.requests[0].headers["Authorization"] is None


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("ftp://127.0.0.1/x", "not safe to ask"),
        ("http://joe:pw@127.0.0.1/x", "not safe to ask"),
        ("/job/shop/", "more than 5 redirects"),
        ("//[::1", "not safe to ask"),
    ],
)
def test_a_redirect_that_leads_astray_is_not_followed(
    server: JenkinsServer, location: str, words: str
) -> None:
    server.force("/job", Answer(302, headers=(("Location", location),)))

    assert words in failure(signed_in(server)).message


@pytest.mark.parametrize(
    "url",
    [
        "",
        "jenkins.example",
        "ftp://jenkins.example/",
        "https://jane:s3cret@jenkins.example/",
        "https://jenkins.example/?token=s3cret",
        "https://[::1/",
        "https://jenkins.example:0/",
    ],
)
def test_an_address_that_cannot_be_asked_is_not_repeated(url: str) -> None:
    store = JenkinsStore(url, {}, Deadline(5), job=None, jobs={})

    with pytest.raises(ConfigError, match="JENKINS_URL is no address") as caught:
        find(store)
    assert "s3cret" not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize(
    ("url", "is_jenkins"),
    [
        ("http://ci.example/job/x", True),
        ("http://CI.example:80/", True),
        ("https://ci.example/login", True),
        ("https://ci.example:8443/", False),
        ("http://ci.example:8080/", False),
        ("http://ci.example.evil/", False),
    ],
)
def test_only_the_host_of_jenkins_is_its_own(url: str, is_jenkins: bool) -> None:  # noqa: FBT001 - a row of a table
    assert belongs_to(url, origin_of("http://ci.example/")) is is_jenkins
    assert not belongs_to("http://ci.example/", "https://ci.example")
    assert not belongs_to("https://ci.example:8080/", "http://ci.example:8080")


def test_a_redirect_away_from_tls_is_refused() -> None:
    assert target_of("https://ci.example/a/b", "c") == "https://ci.example/a/c"
    assert target_of("https://ci.example/a", "http://ci.example/a") is None


# When nothing answers


def test_a_server_that_is_down_is_asked_once() -> None:
    with JenkinsServer() as gone:
        store = signed_in(gone)
        port = int(gone.url.rpartition(":")[2].strip("/"))
    assert "connection refused" in failure(store).message
    with socket.create_server(("127.0.0.1", port)) as back:
        back.settimeout(0)
        assert "connection refused" in failure(store).message
        with pytest.raises(BlockingIOError):
            back.accept()


def test_an_unknown_name_is_told_from_a_refusal() -> None:
    store = JenkinsStore("https://jenkins.invalid/", {}, Deadline(20), job=None, jobs={})

    assert "no address is known" in failure(store).message


def test_a_server_that_hangs_up_is_named_so(server: JenkinsServer) -> None:
    server.force("/", Answer(200, record(), hangs_up=True))

    assert "the connection broke off" in failure(signed_in(server)).message


def test_a_sender_of_single_bytes_costs_no_more_than_the_deadline(server: JenkinsServer) -> None:
    server.force("/", Answer(200, b"x" * 200, "application/json", drip=0.25))

    assert "no complete answer within 0.3 s" in failure(signed_in(server, seconds=0.3)).message


def test_a_slow_server_costs_no_more_than_the_deadline(server: JenkinsServer) -> None:
    server.force("/", Answer(200, record(), "application/json", delay=60))
    store = signed_in(server, seconds=0.3)

    assert "no complete answer within 0.3 s" in failure(store).message
    assert "no complete answer" in failure(store).message


def test_nothing_is_asked_when_the_time_is_up(server: JenkinsServer) -> None:
    assert "for waiting are used up" in failure(signed_in(server, seconds=0)).message
    assert server.requests == []


def test_a_certificate_that_nobody_signed_is_refused_and_its_ca_accepted(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-keyout", str(certificate), "-out", str(tmp_path / "ca.pem"), "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    certificate.write_text(certificate.read_text() + (tmp_path / "ca.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(record())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    plain = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plain.socket = context.wrap_socket(plain.socket, server_side=True)
    url = f"https://localhost:{plain.server_port}/"
    with Serving(plain):
        error = failure(JenkinsStore(url, {}, Deadline(20), job=None, jobs={}))
        trusting = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        found(JenkinsStore(url, trusting, Deadline(20), job=None, jobs={}))
        wrong = {"REQUESTS_CA_BUNDLE": str(tmp_path / "none.pem")}
        other = failure(JenkinsStore(url, wrong, Deadline(20), job=None, jobs={}))
    assert "no trusted TLS connection: self-signed certificate" in error.message
    assert "REQUESTS_CA_BUNDLE" in error.hint
    assert "names no file" in other.message


# The newest records


def test_the_newest_record_of_1000_builds_costs_one_list_and_one_download(
    server: JenkinsServer,
) -> None:
    for number in range(1, 1001):
        server.add(JOB, number, {PATH: record(number)})
    store = signed_in(server)

    first = next(store.newest("production", "cart"))

    assert numbers((first,)) == [1000]
    assert server.paths == [
        "GET /job/shop/job/cart/api/json",
        f"GET /job/shop/job/cart/1000/artifact/{PATH}",
    ]


def test_each_further_record_of_1000_builds_costs_one_more_download(
    server: JenkinsServer,
) -> None:
    for number in range(1, 1001):
        server.add(JOB, number, {PATH: record(number)})
    store = signed_in(server)

    newest = tuple(islice(store.newest("production", "cart"), 10))

    assert numbers(newest) == list(range(1000, 990, -1))
    assert len(server.requests) == 1 + 10


def test_services_that_share_a_job_share_its_list(
    server: JenkinsServer,
) -> None:
    shop = PATH.replace("/cart/", "/shop/")
    server.add(JOB, 1, {PATH: record(1)})
    server.add(JOB, 2, {shop: record(2, service="shop")})
    store = signed_in(server, job=JOB)
    assert numbers(tuple(store.newest("production", "cart"))) == [1]
    assert numbers(tuple(store.newest("production", "shop"))) == [2]
    assert len(server.requests) == 3, "one list, two records"


def test_builds_without_the_record_are_not_asked_for_it(server: JenkinsServer) -> None:
    for number in range(1, 31):
        server.add(JOB, number, {"app.jar": b"", f"other/{PATH}": b""})
    server.add(JOB, 7, {PATH: record(7), "log": b""})

    assert numbers(tuple(signed_in(server).newest("production", "cart"))) == [7]
    assert len(server.requests) == 2


def test_further_builds_are_listed_only_while_too_few_records_are_found(
    server: JenkinsServer,
) -> None:
    for number in range(1, 1501):
        server.add(JOB, number, {PATH: record(number)} if number % 150 == 0 else {})

    assert numbers(tuple(signed_in(server).newest("production", "cart"))) == [1500, 1350, 1200]
    lists = [path for path in server.paths if path.endswith("api/json")]
    assert len(lists) == 4


def test_no_more_than_1000_builds_are_listed(server: JenkinsServer) -> None:
    for number in range(1, 1501):
        server.add(JOB, number, {})
    server.add(JOB, 3, {PATH: record(3)})

    assert tuple(signed_in(server).newest("production", "cart")) == ()
    assert len(server.requests) == 10


def test_records_that_changed_nothing_do_not_count_as_enough(server: JenkinsServer) -> None:
    for number in range(1, 151):
        server.add(JOB, number, {})
    for number in (150, 149, 148):
        server.add(JOB, number, {PATH: record(number, unchanged=True)})
    server.add(JOB, 5, {PATH: record(5)})

    assert numbers(tuple(signed_in(server).newest("production", "cart"))) == [150, 149, 148, 5]


def test_a_build_deleted_after_it_was_listed_is_passed_over(server: JenkinsServer) -> None:
    server.add(JOB, 2, {}, listed={PATH: b""})
    server.add(JOB, 1, {PATH: record(1)})
    store = signed_in(server)

    assert numbers(tuple(store.newest("production", "cart"))) == [1]
    assert store.problems == ["shop/cart #2 or its record was deleted while it was looked at"]


def test_a_record_that_cannot_be_used_does_not_hide_the_others(server: JenkinsServer) -> None:
    server.add(JOB, 4, {PATH: b"{"})
    server.add(JOB, 3, {PATH: b" " * 1_000_001})
    server.add(JOB, 2, {f"{PATH}/x": b""}, listed={PATH: b""})
    server.add(JOB, 1, {PATH: record(1)})
    store = signed_in(server)

    assert numbers(tuple(store.newest("production", "cart"))) == [1]
    assert [word in problem for word, problem in zip(
        ("no complete JSON", "larger than 1 MB", "is a folder"), store.problems, strict=True
    )] == [True] * 3  # fmt: skip


def test_a_job_full_of_records_that_cannot_be_used_is_given_up(server: JenkinsServer) -> None:
    for number in range(1, 1001):
        server.add(JOB, number, {PATH: b"{}"})
    store = signed_in(server)

    assert tuple(store.newest("production", "cart")) == ()
    assert len(server.requests) == 1 + 30
    assert len(store.problems) == 30


def test_a_server_that_fails_half_way_is_an_error(server: JenkinsServer) -> None:
    server.add(JOB, 1, {PATH: record(1)})
    server.force("/job/shop/job/cart/1/", Answer(502))

    with pytest.raises(JenkinsError, match="502"):
        tuple(signed_in(server).newest("production", "cart"))


def test_the_job_of_the_configuration_holds_the_newest_records(server: JenkinsServer) -> None:
    server.add("team/deploy", 1, {PATH: record(1)})

    assert numbers(
        tuple(signed_in(server, deploy_job="team/deploy").newest("production", "cart"))
    ) == [1]
    assert numbers(tuple(signed_in(server, job="team/deploy").newest("production", "cart"))) == [1]


def test_without_a_job_it_says_how_to_name_one(server: JenkinsServer) -> None:
    with pytest.raises(ConfigError, match="which Jenkins job") as caught:
        tuple(signed_in(server, deploy_job=None).newest("production", "cart"))
    assert "--store jenkins:JOB" in caught.value.hint
    assert "deploy-job" in caught.value.hint


def test_a_missing_job_is_told_from_a_wrong_address(server: JenkinsServer) -> None:
    with pytest.raises(JenkinsError, match="has no job shop/cart, or does not") as caught:
        tuple(signed_in(server).newest("production", "cart"))
    assert "give that user Job/Read" in caught.value.hint

    server.anonymous = "overall"
    with pytest.raises(JenkinsError, match="show it to nobody") as caught:
        tuple(store_of(server).newest("production", "cart"))
    assert "JENKINS_TOKEN" in caught.value.hint

    server.force("/", Answer(404, b"", is_from_jenkins=False))
    with pytest.raises(JenkinsError, match="not as Jenkins does") as caught:
        tuple(signed_in(server).newest("production", "cart"))
    assert server.url in caught.value.hint


def test_a_folder_is_told_from_a_job(server: JenkinsServer) -> None:
    server.folders.add(JOB)

    with pytest.raises(JenkinsError, match="a folder or a multibranch project") as caught:
        tuple(signed_in(server).newest("production", "cart"))
    assert "shop/cart/main" in caught.value.hint


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff", b"[" * 100_000, b"", b'"x"'])
def test_a_list_that_is_no_json_object_is_an_error(server: JenkinsServer, body: bytes) -> None:
    forbid_listing(server, body)

    with pytest.raises(JenkinsError, match="no JSON object"):
        tuple(signed_in(server).newest("production", "cart"))


def test_a_login_page_instead_of_the_list_is_named(server: JenkinsServer) -> None:
    forbid_listing(server, b"\n<html>Welcome</html>")

    with pytest.raises(JenkinsError, match="it answered a web page"):
        tuple(signed_in(server).newest("production", "cart"))


@pytest.mark.parametrize(
    "builds",
    [
        [None, 1, "x", [], {}],
        [{"number": None, "artifacts": [{"relativePath": PATH}]}],
        [{"number": True, "artifacts": [{"relativePath": PATH}]}],
        [{"number": "1", "artifacts": [{"relativePath": PATH}]}],
        [{"number": [1], "artifacts": [{"relativePath": PATH}]}],
        [{"number": -1, "artifacts": [{"relativePath": PATH}]}],
        [{"number": 1.5, "artifacts": [{"relativePath": PATH}]}],
        [{"number": 1, "artifacts": None}, {"number": 2, "artifacts": [None, 3, {}]}],
        [{"number": 1, "artifacts": [{"relativePath": [PATH]}]}],
    ],
)
def test_a_strange_list_is_read_without_trust(server: JenkinsServer, builds: list[object]) -> None:
    forbid_listing(server, json.dumps({"allBuilds": builds}).encode())

    assert tuple(signed_in(server).newest("production", "cart")) == ()
    assert len(server.requests) == 1


def test_a_server_that_ignores_the_window_is_not_asked_for_ever(server: JenkinsServer) -> None:
    builds = [{"number": number, "artifacts": []} for number in range(1, 301)]
    forbid_listing(server, json.dumps({"allBuilds": builds}).encode())

    assert tuple(signed_in(server).newest("production", "cart")) == ()
    assert len(server.requests) == 2


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded answers are not on this machine")
class TestRecordedAnswers:
    """Answers that real servers gave."""

    def test_a_404_page_of_jenkins_is_a_missing_job(self, server: JenkinsServer) -> None:
        name = "wiremock-body-job-it-job-getBuildInfoJsonFiles-job-abort-1-cobertura-api-json-QPHoF"
        page = (RECORDED / f"{name}.txt").read_bytes()
        forbid_listing(server, page, 404)

        with pytest.raises(JenkinsError, match="has no job"):
            tuple(signed_in(server).newest("production", "cart"))

    @pytest.mark.parametrize(
        "name",
        [
            "jenkinsapi-configs-BUILD_DATA-L78.json",
            "jenkins-rest-build-info.json",
            "jenkins-rest-build-info-git-commit.json",
            "jenkins-rest-build-info-empty-and-null-params.json",
            "node-jenkins-buildGet.json",
        ],
    )
    def test_a_build_of_any_version_tells_why_a_record_is_missing(
        self, server: JenkinsServer, name: str
    ) -> None:
        whole = json.loads((RECORDED / name).read_bytes())
        server.add(JOB, 41, {})
        server.force("/job/shop/job/cart/41/api/json", Answer(200, (RECORDED / name).read_bytes()))

        reason = missing(signed_in(server))

        assert ("still runs" if whole["building"] else f"({whole['result']})") in reason

    def test_artifacts_of_real_builds_are_recognised_by_their_path(
        self, server: JenkinsServer
    ) -> None:
        names = ("jenkinsapi-configs-BUILD_DATA-L78.json", "jenkins-rest-build-info.json")
        builds = [json.loads((RECORDED / name).read_bytes()) for name in names]
        builds[1]["artifacts"].append({"relativePath": PATH})
        server.add(JOB, builds[1]["number"], {PATH: record()})
        forbid_listing(server, json.dumps({"allBuilds": builds}).encode())

        newest = tuple(signed_in(server).newest("production", "cart"))

        assert numbers(newest) == [builds[1]["number"]]

    def test_an_answer_about_a_folder_has_no_builds(self, server: JenkinsServer) -> None:
        answer = (RECORDED / "hygieia-instanceJobs_multibranchPipeline.json").read_bytes()
        forbid_listing(server, answer)

        with pytest.raises(JenkinsError, match="multibranch"):
            tuple(signed_in(server).newest("production", "cart"))

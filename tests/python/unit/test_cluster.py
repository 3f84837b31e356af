"""The client of a cluster, against a server that answers as an API server does."""

from __future__ import annotations

import gzip
import json
import os
import sys
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from gitops_rollback.errors import ClusterError
from gitops_rollback.rollout import access
from gitops_rollback.rollout.access import Asked, NoAccessError, asked
from gitops_rollback.rollout.cluster import Cluster, DeniedError
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.raw import Name
from servers.any_answer import AnyAnswer
from servers.kubernetes_api import KubernetesApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[[KubernetesApi], Cluster]

EVERYWHERE = "GET /apis/kustomize.toolkit.fluxcd.io/v1/kustomizations"
WITHIN = "GET /apis/kustomize.toolkit.fluxcd.io/v1/namespaces/flux-system/kustomizations"
FLUX = Query("Kustomization", instead=("flux-system",))
POD = Name("Pod", "shop", "cart-1")


def named(name: str, namespace: str = "flux-system") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}}


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Open]:
    """Connect to servers; all connections are closed at the end."""
    opened: list[Cluster] = []

    def connect_one(api: KubernetesApi) -> Cluster:
        config = tmp_path / "kubeconfig"
        config.write_text(api.kubeconfig, encoding="utf-8")
        opened.append(Cluster("", {"KUBECONFIG": str(config)}))
        return opened[-1]

    yield connect_one
    for cluster in opened:
        cluster.close()


# Access


def test_a_cluster_is_asked_for_by_name_and_only_at_hand_by_the_usual_file(tmp_path: Path) -> None:
    config = tmp_path / ".kube" / "config"
    assert asked((), {"HOME": str(tmp_path)}) is Asked.NO
    assert asked((), {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is Asked.NO  # no token is there
    config.parent.mkdir()
    config.write_text("{}", encoding="utf-8")
    assert asked((), {"HOME": str(tmp_path)}) is Asked.AT_HAND
    assert asked(("production",), {}) is Asked.NAMED
    assert asked((), {"KUBECONFIG": "/nowhere"}) is Asked.NAMED
    assert asked((), {"KUBECONFIG": "", "HOME": str(tmp_path)}) is Asked.AT_HAND


def test_a_kubeconfig_that_this_account_may_not_read_is_said_to_be_so(tmp_path: Path) -> None:
    """As with the HOME of another account, which `sudo` leaves."""
    pytest.importorskip("kubernetes.watch")
    folder = tmp_path / ".kube"
    folder.mkdir()
    (folder / "config").write_text("{}", encoding="utf-8")
    folder.chmod(0)
    account = os.geteuid()
    try:
        if account == 0:  # to whom no folder is closed
            os.seteuid(65534)
        for environment in ({"HOME": str(tmp_path)}, {"KUBECONFIG": str(folder / "config")}):
            assert asked((), environment) is not Asked.NO
            with pytest.raises(NoAccessError, match=r"\.kube/config cannot be used: .* denied"):
                access.open_access("", environment)
    finally:
        os.seteuid(account)
        folder.chmod(0o700)


def test_a_plugin_that_gives_no_credentials_is_why_nothing_may_be_read(tmp_path: Path) -> None:
    plugin = tmp_path / "sign-in"
    plugin.write_text("#!/bin/sh\necho 'session expired' >&2\nexit 1\n", encoding="utf-8")
    plugin.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    command = {"apiVersion": version, "command": str(plugin), "interactiveMode": "Never"}
    with KubernetesApi([], "GET .*") as api:
        document = json.loads(api.kubeconfig)
        document["users"][0]["user"] = {"exec": command}
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(document), encoding="utf-8")
        cluster = Cluster("", {"KUBECONFIG": str(config)})
        with pytest.raises(ClusterError, match="session expired") as got:
            cluster.list(Query("Kustomization"))
        cluster.close()
    assert "plugin gave no credentials: renew it" in got.value.hint


def test_a_machine_without_the_client_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(NoAccessError, match="lacks the Kubernetes client") as got:
        Cluster("", {"KUBECONFIG": "any"})
    assert "pip install 'gitops-rollback[cluster]'" in got.value.hint


def signed_in_by(user: dict[str, Any], path: Path, url: str = "https://127.0.0.1:1") -> Cluster:
    """Connect by a kubeconfig with a user of this kind."""
    document = json.loads(Path(config_of(url, path)).read_text(encoding="utf-8"))
    document["users"][0]["user"] = user
    path.write_text(json.dumps(document), encoding="utf-8")
    return Cluster("", {"KUBECONFIG": str(path)})


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ({"auth-provider": {"name": "gcp"}}, "gke-gcloud-auth-plugin"),
        ({"auth-provider": {"name": "azure"}}, "kubelogin"),
        ({"exec": {"command": "no-such-plugin"}}, "wants the program no-such-plugin"),
        ({"token": "x", "as": "admin", "as-groups": ["a"]}, r"acts as another \(as, as-groups\)"),
        ({"tokenFile": "/no/token"}, "No such file or directory: '/no/token'"),
    ],
)
def test_a_way_to_sign_in_that_cannot_work_is_named(
    tmp_path: Path, user: dict[str, Any], said: str
) -> None:
    with pytest.raises(NoAccessError, match=said):
        signed_in_by(user, tmp_path / "kubeconfig")


def test_a_client_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    user = dict.fromkeys(("client-certificate-data", "client-key-data"), "Z2FyYmFnZQ==")
    with AnyAnswer(b"") as url:
        cluster = signed_in_by(user, tmp_path / "kubeconfig", url.replace("http:", "https:"))
        with pytest.raises(ClusterError, match=r"the certificate or the key .* is none") as got:
            cluster.list(FLUX)
    assert "client-certificate and client-key" in got.value.hint


def test_an_account_that_is_nobodys_has_no_credentials_and_lacks_no_right() -> None:
    said = DeniedError('403 User "system:anonymous" cannot list resource "kustomizations"')
    assert "gives no credentials that count there" in said.hint


@pytest.mark.parametrize("text", ["{}", "{", "clusters: 3", "", "- a", "[" * 5000])
def test_a_kubeconfig_that_is_no_good_is_no_access(tmp_path: Path, text: str) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(NoAccessError, match=r"the kubeconfig .*config cannot be used"):
        Cluster("", {"KUBECONFIG": str(config)})


def test_of_a_kubeconfig_that_is_endless_no_more_is_read_than_one_is_long(tmp_path: Path) -> None:
    config = tmp_path / "kubeconfig"
    with config.open("wb") as stream:
        stream.truncate(5_000_000_000)
    with pytest.raises(NoAccessError, match=r"cannot be used: .*has more than 10000000 bytes"):
        Cluster("", {"KUBECONFIG": str(config)})


def test_without_a_kubeconfig_and_outside_of_a_pod_there_is_no_access(tmp_path: Path) -> None:
    with pytest.raises(NoAccessError):
        Cluster("", {"HOME": str(tmp_path)})


# Answers without end

LONG = b"x" * 50_000


@pytest.fixture
def _little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "LARGEST_ANSWER", 20_000)


def config_of(url: str, path: Path) -> str:
    """Write a kubeconfig for an API server, and return its path."""
    named = {
        "clusters": [{"name": "k", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    }
    path.write_text(json.dumps({**named, "current-context": "c"}), encoding="utf-8")
    return str(path)


@pytest.mark.usefixtures("_little")
@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"200 OK\r\n", LONG),
        (b"404 Not Found\r\n", LONG),
        (b"200 OK\r\nContent-Encoding: gzip\r\n", gzip.compress(LONG)),
        (b"200 OK\r\nContent-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(b"{}"))),
        (b"200 OK\r\nContent-Encoding: zstd\r\n", b"{}"),
        (b"500 Error\r\nTransfer-Encoding: chunked\r\n", b"%x\r\n%s\r\n0\r\n\r\n" % (50_000, LONG)),
    ],
    ids=["list", "error", "packed", "packed twice", "packed otherwise", "chunks"],
)
def test_an_api_server_that_says_too_much_gave_no_answer(
    tmp_path: Path, head: bytes, body: bytes
) -> None:
    with AnyAnswer(b"HTTP/1.1 " + head + b"Connection: close\r\n\r\n" + body) as url:
        cluster = Cluster("", {"KUBECONFIG": config_of(url, tmp_path / "kubeconfig")})
        with pytest.raises(ClusterError, match="its answer is larger than"):
            cluster.list(FLUX)


@pytest.mark.usefixtures("_little")
def test_a_watch_may_say_much_but_no_endless_line() -> None:
    pool = urllib3.PoolManager(retries=0)
    for line_end, is_good in ((b"\n", True), (b"", False)):
        body = (b"x" * 10_000 + line_end) * 8
        with AnyAnswer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body) as url:
            answer = pool.request("GET", url, preload_content=False)
            if is_good:
                assert [*access.lines_of(answer)] == [b"x" * 10_000] * 8
                continue
            with pytest.raises(access.TooLargeError):
                list(access.lines_of(answer))


# Lists


def test_what_may_not_be_listed_everywhere_is_listed_where_it_usually_is(connect: Open) -> None:
    with KubernetesApi([], EVERYWHERE) as api:
        api.take("Kustomization", named("apps"), named("other", "elsewhere"))
        found = connect(api).list(FLUX)
        assert [one["metadata"]["name"] for one in found] == ["apps"]
        assert api.requests == [EVERYWHERE, WITHIN]


def test_what_may_not_be_listed_at_all_names_the_right_and_the_page(connect: Open) -> None:
    with (
        KubernetesApi([], EVERYWHERE, WITHIN) as api,
        pytest.raises(ClusterError, match="the cluster refused: 403 User ") as got,
    ):
        connect(api).list(FLUX)
    assert "docs/flux.md" in got.value.hint


def test_a_kind_that_the_cluster_does_not_have_is_an_empty_list(connect: Open) -> None:
    with KubernetesApi([]) as api:
        assert connect(api).list(Query("HelmRelease")) == ()
        assert [one.split("/")[3] for one in api.requests] == ["v2", "v2beta2", "v2beta1"]


def test_a_cluster_that_does_not_answer_is_named_with_what_it_was_asked_for(connect: Open) -> None:
    api = KubernetesApi([])
    with api:
        cluster = connect(api)
    with pytest.raises(ClusterError, match="was asked for its Kustomization objects and did not"):
        cluster.list(FLUX)


# Watches


def brought(changes: Queue[Change]) -> Change:
    return changes.get(timeout=10)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("<html>Sign in</html>", "no list of Kubernetes: <html>Sign in</html>"),
        ("[1]", r"no list of Kubernetes: \[1\]"),
        ('{"items": 3}', "no list of Kubernetes"),
        ("", "no list of Kubernetes"),
    ],
)
def test_what_answers_and_is_no_api_server_is_said(connect: Open, said: str, told: str) -> None:
    with KubernetesApi([]) as api:
        api.says = said
        with pytest.raises(ClusterError, match=told) as got:
            connect(api).list(FLUX)
    assert "a login page, a proxy?" in got.value.hint


def test_an_answer_that_is_cut_off_is_a_cluster_that_did_not_answer(connect: Open) -> None:
    with KubernetesApi([]) as api:
        api.says, api.cut = '{"items": [', 100
        with pytest.raises(ClusterError, match="did not answer: ProtocolError"):
            connect(api).list(FLUX)


def test_a_context_whose_user_is_not_there_is_no_access(connect: Open) -> None:
    with KubernetesApi([]) as api:
        api.user = "gone"
        with pytest.raises(NoAccessError, match="wants the user gone, which it does not have"):
            connect(api)


def test_a_watch_brings_all_there_is_and_then_each_change(connect: Open) -> None:
    changes: Queue[Change] = Queue()
    with KubernetesApi([]) as api:
        api.take("Kustomization", named("apps"))
        connect(api).watch(FLUX, changes.put)
        assert brought(changes) == Change(FLUX, (named("apps"),), whole=True)
        api.take("Kustomization", named("more"))
        assert brought(changes) == Change(FLUX, (named("more"),))
        api.take("Kustomization", named("more"), deleted=True)
        assert brought(changes) == Change(FLUX, (named("more"),), deleted=True)


def test_what_may_not_be_watched_everywhere_is_watched_in_the_namespaces_apart(
    connect: Open,
) -> None:
    changes: Queue[Change] = Queue()
    with KubernetesApi([], EVERYWHERE) as api:
        api.take("Kustomization", named("apps"))
        connect(api).watch(FLUX, changes.put)
        assert brought(changes) == Change(FLUX, (named("apps"),), whole=True)
        assert brought(changes).query == Query("Kustomization", "flux-system")
        api.take("Kustomization", named("more"))
        assert brought(changes).objects == (named("more"),)


@pytest.mark.parametrize("query", [FLUX, Query("Kustomization", "flux-system")])
def test_what_may_not_be_watched_at_all_is_said_once(connect: Open, query: Query) -> None:
    changes: Queue[Change] = Queue()
    with KubernetesApi([], EVERYWHERE, WITHIN) as api:
        connect(api).watch(query, changes.put)
        assert brought(changes) == Change(query, denied=True)


def test_a_watch_on_a_kind_that_is_not_there_is_tried_again(connect: Open) -> None:
    changes: Queue[Change] = Queue()
    query = Query("HelmRelease")
    with KubernetesApi([]) as api:
        connect(api).watch(query, changes.put)
        assert brought(changes) == Change(query, whole=True)
        assert brought(changes) == Change(query, whole=True)


def test_a_watch_that_breaks_begins_anew_with_all_there_is(connect: Open) -> None:
    changes: Queue[Change] = Queue()
    with KubernetesApi([]) as api:
        connect(api).watch(FLUX, changes.put)
        assert brought(changes).whole
        api.take("Kustomization", {"kind": "Status", "code": 410, **named("gone")})
        assert brought(changes).objects
        api.break_watches()
        again = brought(changes)
        assert again.whole
        assert len(again.objects) == 1


# What is asked and told beside that


def test_a_nudge_that_is_not_allowed_is_no_error(connect: Open) -> None:
    apps = Name("Kustomization", "flux-system", "apps")
    with KubernetesApi([], "PATCH .*") as api:
        assert not connect(api).nudge(apps, "1")
    with KubernetesApi([]) as api:
        assert connect(api).nudge(apps, "1")
        assert api.nudges == ["1"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_nudge_is_given_again_where_the_api_server_is_busy(connect: Open, status: int) -> None:
    with KubernetesApi([]) as api:
        cluster = connect(api)
        api.busy, api.busy_with = 1, status
        assert cluster.nudge(Name("Kustomization", "flux-system", "apps"), "1")
        assert api.nudges == ["1"]


def test_an_api_server_that_is_busy_while_namespaces_are_asked_apart_is_asked_again(
    connect: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_rollback.rollout.cluster._PAUSE", 0.01)
    changes: Queue[Change] = Queue()
    with KubernetesApi([], EVERYWHERE) as api:
        api.take("Kustomization", named("apps"))
        api.busy_at = WITHIN
        connect(api).watch(FLUX, changes.put)
        assert brought(changes) == Change(FLUX, (named("apps"),), whole=True)


def test_an_account_that_has_run_out_meanwhile_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_RENEWAL", 0.0)
    with KubernetesApi([]) as api:
        api.take("Kustomization", named("apps"))
        path = tmp_path / "kubeconfig"
        token = tmp_path / "token"
        token.write_text("first", encoding="utf-8")
        api.token = "first"
        cluster = signed_in_by({"tokenFile": str(token)}, path, api.url)
        assert len(cluster.list(FLUX)) == 1
        api.token = "second"
        with pytest.raises(ClusterError, match="does not know who asks"):
            cluster.list(FLUX)
        token.write_text("second", encoding="utf-8")
        assert len(cluster.list(FLUX)) == 1
        token.unlink()
        api.token = "third"
        with pytest.raises(ClusterError, match="does not know who asks"):
            cluster.list(FLUX)
        Path(config_of("http://127.0.0.1:1", path))  # another server is never given the account
        with pytest.raises(ClusterError, match="does not know who asks"):
            cluster.list(FLUX)
        cluster.close()


@pytest.mark.parametrize(
    ("ended", "running", "words"),
    [
        (["a", "b"], ["c"], ("a", "b")),
        (None, ["c"], ("c",)),
        ([], ["c"], ("c",)),
        (None, None, ()),
    ],
)
def test_the_last_words_are_those_of_the_container_that_ended_if_it_left_any(
    connect: Open, ended: list[str] | None, running: list[str] | None, words: tuple[str, ...]
) -> None:
    with KubernetesApi([]) as api:
        api.logs = {True: ended, False: running}
        assert connect(api).last_words(POD, "server") == words


def test_what_kubernetes_warned_of_is_told_once_and_newest_last(connect: Open) -> None:
    with KubernetesApi([]) as api:
        failed, backoff = ({"reason": "Failed", "message": text} for text in ("no", "again"))
        api.events = [failed, failed, backoff]
        assert connect(api).warnings(POD) == ("Failed: no", "Failed: again")


def test_events_that_may_not_be_read_tell_nothing(connect: Open) -> None:
    with KubernetesApi([], "GET .*/events") as api:
        assert connect(api).warnings(POD) == ()


def test_the_account_of_the_own_pod_is_taken_where_there_is_no_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KubernetesApi([]) as api:
        api.take("Kustomization", named("apps"))

        def load(client_configuration: Any) -> None:  # noqa: ANN401 - the client's, without types
            client_configuration.host = api.url

        monkeypatch.setattr("kubernetes.config.load_incluster_config", load)
        cluster = Cluster("", {"HOME": str(tmp_path)})
        assert len(cluster.list(FLUX)) == 1
        cluster.close()

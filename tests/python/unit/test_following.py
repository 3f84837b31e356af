"""A change followed through a cluster: what is nudged, what is looked up, when it ends."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from itertools import count
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.errors import ClusterError
from gitops_rollback.image import parse_image
from gitops_rollback.rollout.cluster import Cluster
from gitops_rollback.rollout.follow import Follower, NotHereError, Relations, follow
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.standing import State
from gitops_rollback.rollout.target import Place, Stand, Target
from servers.kubernetes_api import KubernetesApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gitops_rollback.rollout.track import Track

URL = "https://github.com/acme/fleet.git"
COMMIT = "c" * 40
DIGEST = "sha256:" + "2" * 64
IMAGE = f"docker.io/acme/cart:1.5.0@{DIGEST}"


def target(service: str = "cart", branch: str = "main", path: str = "apps/x.yaml") -> Target:
    place = Place(path, "Deployment", service)
    image = parse_image(f"docker.io/acme/{service}:1.5.0@{DIGEST}")
    return Target(service, "default", image, COMMIT, branch, (place,))


def source(name: str = "fleet", commit: str = COMMIT, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - fields
    return {
        "metadata": {"name": name, "namespace": "flux-system"},
        "spec": {"url": URL, "ref": {"branch": "main"}, **spec},
        "status": {
            "artifact": {"revision": f"main@sha1:{commit}"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def kustomization(commit: str = COMMIT, ready: str = "True") -> dict[str, Any]:
    return {
        "metadata": {"name": "apps", "namespace": "flux-system"},
        "spec": {"path": "./apps", "sourceRef": {"kind": "GitRepository", "name": "fleet"}},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "reason": "BuildFailed"}],
            "lastAppliedRevision": f"main@sha1:{commit if ready == 'True' else 'b' * 40}",
            "lastAttemptedRevision": f"main@sha1:{commit}",
            "inventory": {
                "entries": [{"id": f"shop_{name}_apps_Deployment"} for name in ("cart", "payment")]
            },
        },
    }


def workload(name: str = "cart", tag: str = "1.5.0", manager: str = "") -> dict[str, Any]:
    reference = f"docker.io/acme/{name}:{tag}" + (f"@{DIGEST}" if tag == "1.5.0" else "")
    image: dict[str, Any] = {'k:{"name":"server"}': {"f:image": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": image}}}}
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"},
            "managedFields": [{"manager": manager or "kustomize-controller", "fieldsV1": fields}],
        },
        "spec": {
            "replicas": 0,
            "template": {"spec": {"containers": [{"name": "server", "image": reference}]}},
        },
    }


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Follower]]:
    """Connect to a server, and discover."""
    opened: list[Cluster] = []

    def start_one(api: KubernetesApi, *, hasten: bool = False, namespace: str = "") -> Follower:
        config = tmp_path / "kubeconfig"
        document = json.loads(api.kubeconfig)
        document["contexts"][0]["context"]["namespace"] = namespace
        config.write_text(json.dumps(document), encoding="utf-8")
        opened.append(Cluster("", {"KUBECONFIG": str(config)}))
        follower = Follower(opened[-1], URL, "token", hasten=hasten)
        follower.discover()
        return follower

    yield start_one
    for cluster in opened:
        cluster.close()


class Branch:
    """A repository whose branch is at a commit, and what stands at commits."""

    def __init__(self, tip: str = "", **stands: Stand | None) -> None:
        self.at = tip
        self.stands = stands

    def stand(self, _target: Target, commit: str) -> Stand | None:
        return self.stands.get(commit, Stand(None))

    def tip(self, _branch: str) -> str:
        return self.at


class Quiet(SimpleQueue[tuple[Follower, Change]]):
    """Time goes on a second whenever the server has brought nothing more for half a second."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def get(self, block: bool = True, timeout: float | None = None) -> tuple[Follower, Change]:  # noqa: ARG002, FBT001, FBT002 - the queue's own
        try:
            return super().get(timeout=0.5)
        except Empty:
            self.now += 1
            raise


def followed(follower: Follower, limit: float = 3, git: Branch | None = None) -> list[str]:
    """Follow until the server has long been quiet; return what was told."""
    lines: list[str] = []
    inbox = Quiet()
    follow([follower], Relations(git or Branch()), inbox, lambda: inbox.now, limit,
           lambda track, line: lines.append(f"{track.target.service}: {line}"))  # fmt: skip
    return lines


def patches(api: KubernetesApi) -> list[str]:
    return [one.rpartition("/")[2] for one in api.requests if one.startswith("PATCH")]


def test_every_source_of_the_repository_is_nudged_but_a_suspended_one(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        other = source("other", url="https://github.com/acme/other.git")
        api.take("GitRepository", source(), source("stopped", suspend=True), other)
        start(api)
        assert patches(api) == ["fleet"]


@pytest.mark.parametrize(
    ("objects", "of", "said"),
    [
        ({}, target(), "no GitRepository in this cluster has the URL"),
        (
            {"GitRepository": source("all", url="ssh://git@ssh.github.com:443/acme/fleet.git")},
            target(),
            "fleet.git: GitRepository/flux-system/all has ssh.github.com/acme/fleet",
        ),
        (
            {"GitRepository": source()},
            target(branch="next"),
            "next: GitRepository/flux-system/fleet follows branch main",
        ),
        (
            {"GitRepository": source()},
            target(),
            "no Kustomization in this cluster applies apps/x",
        ),
    ],
)
def test_what_does_not_apply_the_change_is_told_with_why(
    start: Callable[..., Follower], objects: dict[str, Any], of: Target, said: str
) -> None:
    with KubernetesApi([]) as api:
        for kind, one in objects.items():
            api.take(kind, one)
        with pytest.raises(NotHereError) as error:
            start(api).expect([of])
        assert said in str(error.value)


def test_ways_by_which_it_may_be_applied_that_cannot_be_followed_are_named(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        include = [{"repository": {"name": "fleet"}}]
        platform = source("platform", url="https://github.com/acme/platform.git", include=include)
        packed = kustomization()
        packed["spec"]["sourceRef"]["kind"] = "OCIRepository"
        api.take("GitRepository", source(), platform)
        api.take("Kustomization", packed)
        with pytest.raises(NotHereError) as error:
            start(api).expect([target()])
        said = str(error.value)
        assert "GitRepository/flux-system/platform includes fleet" in said
        assert "Kustomization/flux-system/apps applies from OCIRepository/flux-system/fleet" in said


def test_what_failed_before_the_wait_began_is_told_to_try_again(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization(ready="False"))
        follower = start(api)
        follower.expect([target()])
        assert patches(api) == ["fleet", "apps"]
        told = followed(follower)
        assert any("once more" in line for line in told), told


def test_an_edit_by_hand_is_nudged_away_once(start: Callable[..., Follower]) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        api.take("Deployment", workload(tag="1.6.0", manager="kubectl-set"))
        follower = start(api)
        follower.expect([target()])
        assert any("Flux to undo an edit by hand" in line for line in followed(follower))
        assert patches(api) == ["fleet", "apps"]
        failure = follower.tracks[0].time_is_up(3)
    assert (failure.code, failure.by_image) == ("overridden", False)
    assert "set by kubectl-set" in failure.message


def test_a_kustomization_that_is_not_told_of_what_was_fetched_is_nudged(
    start: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flux tells none of a source of which any two wait for each other."""
    monkeypatch.setattr("gitops_rollback.rollout.judge._IDLE", 2.0)
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization(commit="b" * 40))
        follower = start(api)
        follower.expect([target()])
        followed(follower, limit=1)
        assert patches(api) == ["fleet"]
        followed(follower, limit=4)
        assert patches(api) == ["fleet", "apps"]


def test_what_is_edited_again_and_again_is_nudged_away_again(
    start: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_rollback.rollout.follow._TELL_AGAIN", 1.0)
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        api.take("Deployment", workload(tag="1.6.0", manager="kubectl-set"))
        follower = start(api)
        follower.expect([target()])
        followed(follower)
        source_told, *told = api.nudges
    assert len(told) > 1
    assert len({source_told, *told}) == len(told)  # Flux takes none twice


def test_a_service_that_is_done_is_not_looked_at_again(start: Callable[..., Follower]) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        api.take("Deployment", workload(), workload("payment", "1.4.0"))
        follower = start(api)
        follower.expect([target(), target("payment")])
        told = followed(follower)
        assert len([line for line in told if line.startswith("cart: ready")]) == 1
        states = [one.standing.state for one in follower.tracks if one.standing]
        assert states == [State.READY, State.APPLYING]


def test_where_nothing_may_be_nudged_the_commit_before_is_no_revert(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([], "PATCH .*") as api:
        before = source(commit="b" * 40)
        before["status"]["lastHandledReconcileAt"] = "token"
        api.take("GitRepository", before)
        api.take("Kustomization", kustomization("b" * 40))
        follower = start(api)
        follower.expect([target()])
        assert "waiting for GitRepository/flux-system/fleet to fetch" in followed(follower)[-1]


def test_a_kustomization_that_goes_away_meanwhile_is_waited_for(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        follower = start(api)
        follower.expect([target()])
        api.take("Kustomization", kustomization(), deleted=True)
        follower.take(Change(Query("Kustomization"), (kustomization(),), deleted=True))
        followed(follower, limit=3)
        failure = follower.tracks[0].time_is_up(3)
        assert failure.code == "missing"
        assert "no Kustomization in this cluster applies apps/x.yaml from" in failure.message


# The branch is looked at again before anything is called failed


def failing(api: KubernetesApi) -> None:
    """Let the cart's image be one that cannot be pulled."""
    api.take("GitRepository", source())
    api.take("Kustomization", kustomization())
    found = workload()
    found["spec"] |= {"replicas": 1, "selector": {"matchLabels": {"app": "cart"}}}
    image = found["spec"]["template"]["spec"]["containers"][0]["image"]
    status = {"name": "server", "state": {"waiting": {"reason": "InvalidImageName"}}}
    api.take("Deployment", found)
    api.take(
        "Pod",
        {
            "metadata": {"name": "cart-1", "namespace": "shop", "labels": {"app": "cart"}},
            "spec": {"containers": [{"name": "server", "image": image}]},
            "status": {"containerStatuses": [status]},
        },
    )


NEWER = "d" * 40
FIX = Stand(parse_image("docker.io/acme/cart:1.5.1"), ("newer", "ours"))


@pytest.mark.parametrize(
    ("git", "state", "said"),
    [
        (Branch(NEWER, **{NEWER: FIX}), State.REPLACED, "a newer change of the service was pushed"),
        (Branch(NEWER, **{NEWER: Stand(None)}), State.REPLACED, "the branch was forced"),
        (Branch(NEWER, **{NEWER: None}), State.FAILED, "cannot pull"),
        (Branch(COMMIT), State.FAILED, "cannot pull"),
        (Branch(""), State.FAILED, "cannot pull"),
    ],
    ids=["a fix", "a revert", "what cannot be read", "nothing new", "no answer"],
)
def test_what_the_branch_has_replaced_has_not_failed(
    start: Callable[..., Follower], git: Branch, state: State, said: str
) -> None:
    with KubernetesApi([]) as api:
        failing(api)
        follower = start(api)
        follower.expect([replace(target(), entry="ours")])
        told = followed(follower, limit=60, git=git)
        standing = follower.tracks[0].standing
        assert standing is not None
        assert standing.state is state, told
        assert said in told[-1]


def test_a_change_that_is_not_done_in_time_may_have_been_replaced(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source(commit="b" * 40))
        api.take("Kustomization", kustomization("b" * 40))
        follower = start(api)
        follower.expect([replace(target(), entry="ours")])
        told = followed(follower, limit=4, git=Branch(NEWER, **{NEWER: FIX}))
        assert told[-1].startswith("cart: overtaken: main@dddddddddddd has replaced 1.5.0")


# What applies it may still be made


@pytest.mark.parametrize(
    ("fetched", "applied", "may_come"),
    [("b" * 40, "b" * 40, True), (COMMIT, "b" * 40, True), (COMMIT, COMMIT, False)],
)
def test_what_applies_a_change_may_come_with_it(
    start: Callable[..., Follower],
    fetched: str,
    applied: str,
    may_come: bool,  # noqa: FBT001 - of a table
) -> None:
    elsewhere = target(path="clusters/production/x.yaml")
    with KubernetesApi([]) as api:
        api.take("GitRepository", source(commit=fetched))
        api.take("Kustomization", kustomization(applied))
        follower = start(api)
        with pytest.raises(NotHereError):
            follower.expect([elsewhere])
        assert follower.tracks == []
        assert follower.may_come([elsewhere]) == may_come


# Hastening


def checked(api: KubernetesApi) -> Target:
    """Let Flux still check the health of a bad image, and have fetched ours."""
    api.take("GitRepository", source())
    earlier = kustomization("b" * 40)
    said = f"Running health checks for revision main@sha1:{'b' * 40} with a timeout of 10m"
    earlier["status"]["conditions"] = [
        {"type": "Reconciling", "status": "True", "message": said},
        {"type": "Ready", "status": "Unknown", "reason": "Progressing"},
    ]
    api.take("Kustomization", earlier)
    bad = workload(tag="bad")
    bad["spec"]["replicas"] = 2
    api.take("Deployment", bad)
    place = Place("apps/x.yaml", "Deployment", "cart", "", "server", IMAGE)
    return replace(target(), places=(place,))


def test_a_live_image_is_set_once_to_what_git_holds_where_that_is_wanted(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([]) as api:
        of = checked(api)
        follower = start(api, hasten=True)
        follower.expect([of])
        told = followed(follower, limit=8, git=Branch(COMMIT))
        assert any("as Git holds it, to end the health check" in line for line in told)
        [patch] = api.patches
        at = "/spec/template/spec/containers/0"
        assert patch == [
            {"op": "test", "path": f"{at}/name", "value": "server"},
            {"op": "test", "path": f"{at}/image", "value": "docker.io/acme/cart:bad"},
            {"op": "replace", "path": f"{at}/image", "value": IMAGE},
        ]


@pytest.mark.parametrize(
    ("hasten", "git"),
    [(False, Branch(COMMIT)), (True, Branch("")), (True, Branch(NEWER, **{NEWER: Stand(None)}))],
    ids=["not wanted", "the tip is not known", "the tip is another"],
)
def test_nothing_is_set_that_is_not_wanted_or_not_what_stands_at_the_tip(
    start: Callable[..., Follower],
    hasten: bool,  # noqa: FBT001 - of a table
    git: Branch,
) -> None:
    with KubernetesApi([]) as api:
        of = checked(api)
        follower = start(api, hasten=hasten)
        follower.expect([of])
        told = followed(follower, limit=4, git=git)
        assert api.patches == []
        if git.at == COMMIT:
            assert any(f"set image deployment/cart server={IMAGE}" in line for line in told)
            hint = follower.tracks[0].time_is_up(4).hint
            assert f"wait --service cart --commit {COMMIT} --hasten" in hint


def test_a_right_that_is_missing_to_hasten_is_told_with_the_command(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([], "PATCH /apis/apps/.*") as api:
        of = checked(api)
        follower = start(api, hasten=True)
        follower.expect([of])
        told = followed(follower, limit=6, git=Branch(COMMIT))
        [line] = [line for line in told if "could not set" in line]
        assert "403" in line
        assert "by hand: kubectl --namespace shop set image deployment/cart server=" in line


# What may not be seen, and what falls silent


def test_a_cluster_without_flux_is_told(
    start: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("servers.kubernetes_api._KINDS", {})
    with KubernetesApi([]) as api:
        follower = start(api)
        with pytest.raises(NotHereError, match="no GitRepository is known in this cluster: Flux"):
            follower.expect([target()])


def test_a_server_that_is_only_starting_is_asked_again(
    start: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_rollback.rollout.cluster._BUSY_PAUSES", (0.0,) * 4)
    with KubernetesApi([]) as api:
        api.take("GitRepository", source())
        api.busy = 3
        assert [one.url for one in start(api).objects.sources()] == [URL]
        assert api.busy == 0
        api.busy = 99
        with pytest.raises(ClusterError, match=r"429 storage is \(re\)initializing"):
            start(api)


def test_without_the_right_to_helm_releases_all_else_is_followed(
    start: Callable[..., Follower],
) -> None:
    with KubernetesApi([], "GET /apis/helm.*") as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        api.take("Deployment", workload())
        follower = start(api)
        follower.expect([target()])
        assert any(line.startswith("cart: ready") for line in followed(follower))


def test_an_account_of_one_namespace_looks_in_its_own_too(start: Callable[..., Follower]) -> None:
    everywhere = "GET /apis/[^/]+toolkit.fluxcd.io/v[^/]+/[a-z]+"
    elsewhere = "GET .*/namespaces/flux-system/.*"
    own = [source(), kustomization()]
    for one in own:
        one["metadata"]["namespace"] = "team"
    with KubernetesApi([], everywhere, elsewhere) as api:
        api.take("GitRepository", own[0])
        api.take("Kustomization", own[1])
        follower = start(api, namespace="team")
        assert follower.expect([target()])


def test_a_workload_in_a_namespace_that_may_not_be_read_is_not_called_missing(
    start: Callable[..., Follower],
) -> None:
    everywhere = "GET /apis/apps/v1/[a-z]+"
    closed = "GET /apis/apps/v1/namespaces/shop/.*"
    with KubernetesApi([], everywhere, closed) as api:
        api.take("GitRepository", source())
        api.take("Kustomization", kustomization())
        api.take("Deployment", workload())
        follower = start(api)
        follower.expect([target()])
        told = followed(follower, limit=30)
        standing = follower.tracks[0].standing
        assert standing is not None
        assert standing.state is State.APPLIED, told
        assert "its workloads may not be read here" in standing.message


def test_a_cluster_that_falls_silent_is_said_and_ends_the_wait_in_time(
    start: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gitops_rollback.rollout.cluster._PULSE", 0.2)
    monkeypatch.setattr("gitops_rollback.rollout.cluster._PULSE_TIMES", (0.5, 0.5))
    with KubernetesApi([]) as api:
        api.take("GitRepository", source(commit="b" * 40))
        api.take("Kustomization", kustomization("b" * 40))
        follower = start(api)
        follower.expect([target()])
        lines: list[str] = []

        def tell(_track: Track, line: str) -> None:
            lines.append(line)
            api.is_silent = True

        began = time.monotonic()
        follow(
            *(
                [follower],
                Relations(Branch()),
                SimpleQueue(),
                lambda: time.monotonic() - began,
                4.0,
                tell,
            )
        )
        assert lines[0].startswith("waiting for GitRepository/flux-system/fleet to fetch")
        assert lines[-1].startswith("the cluster no longer answers: ")
        failure = follower.tracks[0].time_is_up(4, time.monotonic() - began)
        assert failure.code == "silent"
        assert "has not answered for" in failure.message
        assert "which may be so no more" in failure.message
        api.is_silent = False


def test_who_looks_on_sees_every_second_what_is_waited_for(start: Callable[..., Follower]) -> None:
    with KubernetesApi([]) as api:
        api.take("GitRepository", source(commit="b" * 40))
        api.take("Kustomization", kustomization("b" * 40))
        follower = start(api)
        follower.expect([target()])
        shown: list[str] = []
        seconds = count()
        follow(
            *([follower], Relations(Branch()), SimpleQueue(), lambda: float(next(seconds)), 4.0),
            lambda _track, _line: None,
            shown.append,
        )
        assert [text.partition(":")[0] for text in shown] == [f"{n} s of 4" for n in range(4)]
        assert ": cart: waiting for GitRepository/flux-system/fleet to fetch" in shown[-1]

"""A change followed through a cluster: what is nudged, what is looked up, when it ends."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.image import parse_image
from gitops_rollback.rollout.cluster import Cluster
from gitops_rollback.rollout.follow import Follower, Inbox, NotHereError, Relations, follow
from gitops_rollback.rollout.objects import Change, Query
from gitops_rollback.rollout.standing import State
from gitops_rollback.rollout.target import Place, Stand, Target
from servers.kubernetes_api import KubernetesApi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

URL = "https://github.com/acme/fleet.git"
COMMIT = "c" * 40
IMAGE = "docker.io/acme/cart:1.5.0"


def target(service: str = "cart", branch: str = "main", path: str = "apps/x.yaml") -> Target:
    place = Place(path, "Deployment", service)
    image = parse_image(f"docker.io/acme/{service}:1.5.0")
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
    reference = f"docker.io/acme/{name}:{tag}"
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

    def start_one(api: KubernetesApi) -> Follower:
        config = tmp_path / "kubeconfig"
        config.write_text(api.kubeconfig, encoding="utf-8")
        opened.append(Cluster("", {"KUBECONFIG": str(config)}))
        follower = Follower(opened[-1], URL, "token")
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


def followed(follower: Follower, limit: float = 5, git: Branch | None = None) -> list[str]:
    """Follow by a clock that goes on a second with every look; return what was told."""
    lines: list[str] = []
    seconds = count()
    relations = Relations(git or Branch())
    follow([follower], relations, Inbox(), lambda: float(next(seconds)), limit,
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
        gone = Change(Query("Kustomization"), (kustomization(),), deleted=True)
        follower.take(gone)
        assert followed(follower, limit=3) == []
        said = follower.tracks[0].time_is_up(3).message
        assert said.endswith("waiting for the cluster to answer")

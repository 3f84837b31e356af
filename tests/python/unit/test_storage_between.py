"""What changed in a service's storage between two commits, and what it means."""

from __future__ import annotations

import pytest

from gitops_rollback.storage.review import read_objects, review
from gitops_rollback.storage.service import (
    ServiceKeys,
    StorageChange,
    changes_between,
    findings_of,
    parts_of,
    titles_of,
)
from unit.test_storage_binding import claim, volume
from unit.test_storage_risks import CLASS, KEPT, stateful, workload

KEYS = ServiceKeys(frozenset({("all.yaml", "Deployment", "web")}), "docker.io/library/postgres")


def changes(then: tuple[str, ...], now: tuple[str, ...]) -> tuple[StorageChange, ...]:
    before, after = (
        read_objects({"all.yaml": "---\n".join(texts).encode()}).items for texts in (then, now)
    )
    return changes_between(
        parts_of(before, KEYS), parts_of(after, KEYS), titles_of(after), titles_of(before)
    )


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        (
            (workload(), claim()),
            (workload(), claim(size="10Gi")),
            "claim data: spec.resources.requests.storage 5Gi → 10Gi",
        ),
        (
            (workload(), claim()),
            (workload(), claim(more="  storageClassName: fast\n")),
            "claim data: spec.storageClassName slow → fast",
        ),
        (
            (workload(), claim(), volume()),
            (workload(), claim(), volume(more="  persistentVolumeReclaimPolicy: Delete\n")),
            "volume one: spec.persistentVolumeReclaimPolicy (none) → Delete",
        ),
        (
            (workload(), claim(), KEPT),
            (workload(), claim(), CLASS),
            "class slow: reclaimPolicy Retain → Delete, allowVolumeExpansion True → (none)",
        ),
        ((stateful(),), (stateful(more="storageClassName: fast"),), "claim template data of Stat"),
        (
            (workload(mount="{name: data, mountPath: /old}"), claim()),
            (workload(), claim()),
            "mount of data in container main of Deployment web: mountPath /old → /data",
        ),
        (
            (workload(), claim()),
            (workload(source="persistentVolumeClaim: {claimName: new}"), claim("new")),
            "volume data of Deployment web: persistentVolumeClaim.claimName data → new",
        ),
        ((workload(),), (workload(), claim()), "claim data: it is new"),
        ((workload(), claim()), (workload(),), "claim data: it is no longer there"),
    ],
)
def test_each_part_of_the_storage_is_compared(
    then: tuple[str, ...], now: tuple[str, ...], told: str
) -> None:
    sentences = [change.sentence for change in changes(then, now)]
    assert any(sentence.startswith(told) for sentence in sentences), sentences


def test_images_replicas_and_the_storage_of_others_are_no_change() -> None:
    then = (workload(), claim(), workload(name="other"), claim("theirs"))
    now = (
        workload().replace("nginx:1", "nginx:2").replace("Recreate}", "Recreate}\n  replicas: 2"),
        claim(),
        workload(name="other", mount="{name: data, mountPath: /x}"),
        claim("theirs", size="9Gi"),
    )
    assert changes(then, now) == ()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (claim(), claim(size="5120Mi")),
        (claim(), claim(size="5368709120")),
        (claim(), claim(size='"5Gi"')),
        (claim(), claim(more="  storageClassName: slow\n  volumeMode: Filesystem\n")),
    ],
)
def test_the_same_storage_in_other_words_is_no_change(then: str, now: str) -> None:
    assert changes((workload(), then), (workload(), now)) == ()
    assert changes((workload(), now), (workload(), then)) == ()


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (volume(), volume(more="  persistentVolumeReclaimPolicy: Retain\n")),
        (CLASS, CLASS.replace("reclaimPolicy: Delete\n", "")),
        (CLASS, CLASS + "allowVolumeExpansion: false\nvolumeBindingMode: Immediate\n"),
    ],
)
def test_what_the_api_server_fills_in_is_no_change_where_it_is_written(then: str, now: str) -> None:
    assert changes((workload(), claim(), then), (workload(), claim(), now)) == ()
    assert changes((workload(), claim(), now), (workload(), claim(), then)) == ()


def test_a_claim_that_is_only_no_longer_mounted_has_not_lost_its_data() -> None:
    then = (workload(), claim())
    now = (workload(source="persistentVolumeClaim: {claimName: new}"), claim("new"), claim())
    found = {change.title: change for change in changes(then, now)}
    assert found["claim data"].what == "it is still there, and the service no longer takes it"
    assert "its data stay as they are" in found["claim data"].effect
    assert "prune" not in found["claim data"].effect
    assert found["claim new"].what == "it is new"
    back = {change.title: change for change in changes(now, then)}
    assert back["claim data"].what == "it is mounted now, and was there before"
    assert "prune" in back["claim new"].effect


def test_volumes_that_hold_no_data_are_no_storage() -> None:
    then = (workload(source="configMap: {name: a}"),)
    assert changes(then, (workload(source="configMap: {name: b}"),)) == ()


def test_a_claim_that_grew_is_never_to_be_shrunk_and_its_class_has_to_let_it_grow() -> None:
    then, now = (workload(), claim(), KEPT), (workload(), claim(size="10Gi"), KEPT)
    assert "a claim never shrinks" in changes(then, now)[0].effect
    assert "allowVolumeExpansion" not in changes(then, now)[0].effect
    stuck = changes((workload(), claim(), CLASS), (workload(), claim(size="10Gi"), CLASS))
    assert "class slow has no allowVolumeExpansion" in stuck[0].effect
    smaller = changes(now, then)[0]
    assert "shrinks" not in smaller.effect


STOPS = "Flux stops at it, and applies no other image either"
STATEFUL_LARGER = stateful().replace("storage: 5Gi", "storage: 6Gi")


@pytest.mark.parametrize(
    ("then", "now", "stops"),
    [
        (stateful(), stateful(more="storageClassName: fast"), True),
        (stateful(), STATEFUL_LARGER, True),
        (claim(size="10Gi"), claim(), True),
        (claim(), claim(size="10Gi"), False),
        (claim(), claim(more="  storageClassName: fast\n"), True),
        (
            claim(),
            claim(more="  storageClassName: slow\n  selector: {matchLabels: {a: b}}\n"),
            True,
        ),
        (claim(), claim(more="  storageClassName: slow\n  volumeName: one\n"), False),
        (volume(), volume().replace("path: /", "path: /other"), True),
        (volume(), volume(more="  persistentVolumeReclaimPolicy: Delete\n"), False),
        (CLASS, CLASS.replace("Delete", "Retain"), True),
        (CLASS, CLASS + "allowVolumeExpansion: true\n", False),
    ],
)
def test_a_change_that_the_api_server_refuses_stops_a_rollback_of_the_image_too(
    then: str, now: str, *, stops: bool
) -> None:
    """What stands beside the image keeps Flux from applying it, whatever the image is."""
    beside = () if then.startswith("apiVersion: apps/") else (workload(), claim(), volume())
    kinds = [text for text in beside if text.split("\n")[1] != then.split("\n")[1]]
    found = changes((*kinds, then), (*kinds, now))
    assert found
    assert any(STOPS in one.effect for one in found) == stops, [one.sentence for one in found]
    assert not stops or all("never shrinks" not in one.effect for one in found)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("containers:", "securityContext: {fsGroup: 5}\n      containers:",
         "owners of files of Deployment web: fsGroup (none) → 5"),
        ("image: nginx:1", "image: nginx:1\n        securityContext: {runAsUser: 5}",
         "owners of files of container main of Deployment web: runAsUser (none) → 5"),
        ("containers:", "securityContext: {runAsNonRoot: true}\n      containers:", ""),
    ],
)  # fmt: skip
def test_who_owns_the_files_of_a_claim_is_storage_too(before: str, after: str, told: str) -> None:
    """The older image runs as whom the manifest says now, and may not write what it has written."""
    own = workload()
    found = changes((own, claim()), (own.replace(before, after), claim()))
    assert [one.sentence.partition(" (all.yaml")[0] for one in found] == ([told] if told else [])
    without = workload(source="emptyDir: {}")
    assert changes((without,), (without.replace(before, after),)) == ()


def test_a_workload_is_known_by_its_image_too() -> None:
    then, now = (stateful(),), (stateful(more="storageClassName: fast"),)
    assert changes(then, now)


def test_findings_of_a_service_are_those_of_its_pods_and_the_storage_behind_them() -> None:
    texts = (
        workload(),
        claim(),
        volume(more="  persistentVolumeReclaimPolicy: Delete\n"),
        workload(name="other", source="persistentVolumeClaim: {claimName: nowhere}"),
    )
    found = review({"all.yaml": "---\n".join(texts).encode()})
    assert [f.code for f in findings_of(found, KEYS, is_all=True)] == ["reclaim-delete"]
    assert {f.code for f in found.findings} == {"reclaim-delete", "claim-missing"}


def test_what_may_stand_elsewhere_is_not_missed_where_not_all_was_read() -> None:
    found = review({"all.yaml": workload().encode()})
    assert findings_of(found, KEYS, is_all=False) == ()
    assert [f.code for f in findings_of(found, KEYS, is_all=True)] == ["claim-missing"]

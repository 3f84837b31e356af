"""Which claim binds which volume, held against what a real cluster did, and why one stays Pending.

`golden/binding/recorded.json` is what the controllers of Kubernetes did with each case; it is
recorded by `tests/flux/test_storage.py`.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from gitops_rollback.storage.kubernetes import parse_quantity
from gitops_rollback.storage.review import Review, review

CASES = Path(__file__).parent / "golden/binding"
RECORDED: dict[str, Any] = json.loads((CASES / "recorded.json").read_text(encoding="utf-8"))


def look(*texts: str) -> Review:
    return review({"all.yaml": "---\n".join(texts).encode()})


def case(name: str) -> Review:
    return look((CASES / f"{name}.yaml").read_text(encoding="utf-8"))


def volume(
    name: str = "one", size: str = "10Gi", storage_class: str = "slow", more: str = ""
) -> str:
    return f"""\
apiVersion: v1
kind: PersistentVolume
metadata: {{name: {name}}}
spec:
  capacity: {{storage: {size}}}
  accessModes: [ReadWriteOnce]
  storageClassName: {storage_class}
  hostPath: {{path: /{name}}}
{more}"""


def claim(name: str = "data", size: str = "5Gi", more: str = "  storageClassName: slow\n") -> str:
    return f"""\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: shop}}
spec:
  accessModes: [ReadWriteOnce]
  resources: {{requests: {{storage: {size}}}}}
{more}"""


def test_every_case_is_recorded_and_there_are_more_than_a_dozen() -> None:
    assert {path.stem for path in CASES.glob("*.yaml")} == set(RECORDED["cases"])
    assert len(RECORDED["cases"]) > 12


@pytest.mark.parametrize("name", sorted(RECORDED["cases"]))
def test_the_prediction_is_what_the_controllers_did(name: str) -> None:
    found = {binding.claim.name: binding for binding in case(name).bindings}
    facts = RECORDED["cases"][name]
    assert found.keys() == facts.keys()
    for claim_name, fact in facts.items():
        binding = found[claim_name]
        if fact["phase"] == "Bound":
            assert fact["volume"] in {volume.name for volume in binding.volumes}, binding.reason
        elif fact.get("reason") == "ExternalProvisioning":
            assert binding.state == "provisioned"
        else:
            assert binding.state in ("pending", "unknown"), binding.reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("too-small", "it has 4Gi, and 5Gi are asked for"),
        ("decimal-units", "it has 10G, and 10Gi are asked for"),
        ("access-modes", "its access modes are ReadWriteOnce, and ReadWriteMany is asked for"),
        ("volume-mode", "its volumeMode is Block, not Filesystem"),
        ("selector-without-match", "its labels are not those that the selector wants"),
        ("volume-name-too-small", "which does not fit: it has 4Gi, and 5Gi are asked for"),
        ("empty-class-no-volume", "its class is gitops-empty-class-no-volume, not"),
        ("no-provisioner", "makes no volumes (kubernetes.io/no-provisioner)"),
        ("one-to-one", "it is bound by claim first"),
    ],
)
def test_why_a_claim_stays_pending_is_said(name: str, reason: str) -> None:
    found = [f for f in case(name).findings if f.code == "claim-pending"]
    assert [f.severity for f in found] == ["error"], case(name).findings
    text = (CASES / f"{name}.yaml").read_text(encoding="utf-8")
    assert reason in found[0].message or (
        "900Ti" in text and "are asked for" in found[0].message
    ), found[0].message
    assert "stays Pending" in found[0].effect


@pytest.mark.parametrize("name", ["too-small", "access-modes", "volume-mode", "one-to-one"])
def test_the_event_that_people_will_see_is_the_one_that_was_recorded(name: str) -> None:
    found = next(f for f in case(name).findings if f.code == "claim-pending")
    messages = [fact.get("message", "") for fact in RECORDED["cases"][name].values()]
    assert any(message and message in found.effect for message in messages), found.effect


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("too-small", "resources:"),
        ("access-modes", "accessModes:"),
        ("selector-without-match", "selector:"),
    ],
)
def test_a_pending_claim_is_shown_at_the_field_that_does_not_fit(name: str, field: str) -> None:
    found = next(f for f in case(name).findings if f.code == "claim-pending")
    lines = (CASES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[found.line - 1].strip().startswith(field)


def test_the_mend_is_of_the_volume_that_lacks_least() -> None:
    found = look(volume("small", "1Gi"), volume("block", more="  volumeMode: Block\n"), claim())
    assert found.findings[0].mend == "write the same volumeMode in claim and volume"


def test_a_claim_without_a_class_and_a_volume_with_one_do_not_meet() -> None:
    found = look(volume(), claim(more="")).findings
    assert [(f.code, f.severity) for f in found] == [("class-differs", "warning")]
    assert "write storageClassName: slow" in found[0].mend


def test_a_claim_of_another_class_than_a_free_volume_that_fits_is_told() -> None:
    found = look(volume(), claim(more="  storageClassName: slw\n")).findings
    assert [f.code for f in found] == ["class-differs"]
    both = look(volume(), claim("a"), claim("b", more="  storageClassName: fast\n"))
    assert both.findings == (), "the volume has its claim; class fast is the cluster's"


def test_a_default_class_of_the_cluster_may_come_between_two_without_a_class() -> None:
    found = look(volume(storage_class='""'), claim(more="")).findings
    assert [f.code for f in found] == ["default-class"]
    assert found[0].mend == 'write storageClassName: "" in the claim'


def test_the_default_class_of_the_manifests_counts() -> None:
    default = (
        "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: std, annotations: "
        '{storageclass.kubernetes.io/is-default-class: "true"}}\nprovisioner: example.com/x\n'
    )
    assert look(volume(storage_class='""'), claim(more=""), default).bindings[0].state == (
        "provisioned"
    )
    bound = look(volume(storage_class="std"), claim(more=""), default).bindings[0]
    assert bound.volume is not None


def test_a_selector_keeps_a_class_from_making_a_volume() -> None:
    made = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: slow}\n"
    text = claim(more="  storageClassName: slow\n  selector: {matchLabels: {a: b}}\n")
    binding = look(volume(), made + "provisioner: example.com/x\n", text).bindings[0]
    assert (binding.state, binding.reason) == (
        "pending",
        "a claim with a selector is given no new volume",
    )


def test_a_claim_ref_without_a_namespace_keeps_a_volume_for_nobody() -> None:
    found = look(volume(more="  claimRef: {name: data}\n"), claim()).findings
    assert {"claim-ref", "claim-pending"} == {f.code for f in found}
    assert any(f.mend == "write spec.claimRef.namespace" for f in found)


def test_a_claim_ref_that_is_misspelt_is_corrected() -> None:
    text = volume(more="  claimRef: {namespace: shop, name: pvc-exmaple}\n")
    found = look(text, claim("pvc-example")).findings
    assert any("did you mean shop/pvc-example?" in f.message for f in found)


def test_a_volume_name_that_is_misspelt_is_corrected() -> None:
    text = claim(more="  storageClassName: slow\n  volumeName: volume-on\n")
    found = look(volume("volume-one"), text).findings
    assert found[0].code == "volume-missing"
    assert found[0].mend == "write volumeName: volume-one"


def test_the_same_objects_in_two_folders_are_looked_at_one_by_one() -> None:
    one = (volume() + "---\n" + claim()).encode()
    two = (volume(size="1Gi") + "---\n" + claim()).encode()
    found = review({"staging/a.yaml": one, "production/a.yaml": two})
    assert [(f.path, f.code) for f in found.findings] == [("production/a.yaml", "claim-pending")]
    assert {b.claim.item.path: b.state for b in found.bindings} == {
        "staging/a.yaml": "bound",
        "production/a.yaml": "unknown",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10Gi", 10 * 1024**3),
        ("1.5G", 1_500_000_000),
        ("5", 5),
        (5, 5),
        ("1e3", 1000),
        ("100m", Fraction(1, 10)),
        ("1E", 10**18),
        ("10GB", None),
        ("ten", None),
        ("", None),
        (True, None),
        (None, None),
        ("1e999999999", None),
        ("9" * 100, None),
    ],
)
def test_quantities_are_read_as_kubernetes_does(text: object, value: object) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "broken",
    [
        volume().replace("  hostPath: {path: /one}\n", ""),
        volume(size="lots"),
        volume(more="  persistentVolumeReclaimPolicy: Keep\n"),
        volume().replace("  hostPath:", "hostPath:"),
    ],
)
def test_a_volume_that_the_api_server_refuses_binds_nobody(broken: str) -> None:
    for more in ("  storageClassName: slow\n", "  storageClassName: slow\n  volumeName: one\n"):
        found = look(broken, claim(more=more))
        [binding] = found.bindings
        assert (binding.volumes, binding.state in ("pending", "unknown")) == ((), True)
        assert any("the API server refuses it as it is written" in one for one in binding.refused)


def test_a_claim_that_the_api_server_refuses_leaves_its_volume_to_others() -> None:
    refused = claim("first").replace("[ReadWriteOnce]", "[RWO]")
    found = {binding.claim.name: binding for binding in look(refused, claim(), volume()).bindings}
    assert (found["first"].state, found["data"].state) == ("pending", "bound")


def replicas(policy: str, *volumes: str) -> Review:
    template = claim().partition("spec:\n")[2].replace("\n", "\n      ").rstrip()
    return look(
        f"""\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: shop}}
spec:
  replicas: 2
  {policy}
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec: {{containers: [{{name: main, image: "postgres:16"}}]}}
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec:
      {template}
""",
        *volumes,
    )


def test_which_volume_a_replica_gets_is_either_where_all_are_made_at_once() -> None:
    parallel = replicas("podManagementPolicy: Parallel", volume(), volume("two", "20Gi"))
    for binding in parallel.bindings:
        assert binding.state == "bound"
        assert binding.reason == "binds either one or two"
        assert {one.name for one in binding.volumes} == {"one", "two"}
    assert [one["volume"] for one in parallel.claims_to_json()] == ["one or two"] * 2
    in_order = replicas("podManagementPolicy: OrderedReady", volume(), volume("two", "20Gi"))
    assert [binding.volume and binding.volume.name for binding in in_order.bindings] == [
        "one",
        "two",
    ]


def test_of_volumes_that_are_equal_nobody_knows_which_is_taken() -> None:
    found = replicas("podManagementPolicy: OrderedReady", volume(), volume("two"))
    assert [one["volume"] for one in found.claims_to_json()] == ["one or two"] * 2
    three = look(
        volume(), volume("two"), claim(), claim("more"), claim("late"), claim("big", "9Ti")
    )
    told = {one["name"]: one.get("volume") for one in three.claims_to_json()}
    assert told == {"data": "one or two", "more": "one or two", "late": None, "big": None}
    apart = look(volume(), volume("two", "20Gi"), claim(), claim("big", "20Gi"))
    assert [one["volume"] for one in apart.claims_to_json()] == ["one", "two"]


def test_a_volume_that_is_kept_for_a_claim_of_before_is_nobodys_and_that_is_said() -> None:
    kept = volume(more="  claimRef: {namespace: shop, name: data, uid: 1f0c}\n")
    found = look(kept, claim())
    assert [binding.state for binding in found.bindings] == ["unknown"]
    assert [(one.severity, one.code) for one in found.findings] == [("warning", "claim-ref")]
    assert "take uid and resourceVersion out" in found.findings[0].mend
    other = look(kept, claim("other"))
    assert [binding.state for binding in other.bindings] == ["unknown"]


def test_of_two_default_classes_nobody_knows_here_which_is_the_newer_one() -> None:
    mark = (
        'metadata: {name: %s, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}'
    )
    kind = "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nprovisioner: a.example\n"
    made = [f"{kind}{mark % name}\n" for name in ("one", "two")]
    plain = claim(more="")
    assert [one.state for one in look(made[0], plain).bindings] == ["provisioned"]
    assert [one.state for one in look(*made, plain).bindings] == ["unknown"]


def test_a_volume_that_is_kept_for_one_replica_is_its_own_in_any_case() -> None:
    kept = volume("two", more="  claimRef: {namespace: shop, name: data-db-1}\n")
    found = replicas("podManagementPolicy: Parallel", volume(), kept)
    assert [binding.volume and binding.volume.name for binding in found.bindings] == ["one", "two"]


@pytest.mark.parametrize(
    ("size", "asks"), [("10", True), ('"10"', True), ("10m", True), ("500k", True), ("1M", False)]
)
def test_a_size_that_nobody_means_is_asked_about(size: str, asks: bool) -> None:  # noqa: FBT001 - of a table
    found = [f for f in look(claim(size=size)).findings if f.code == "tiny-size"]
    assert bool(found) == asks
    if asks:
        assert found[0].severity == "warning"
        assert "Gi meant?" in found[0].message


def pods_of(kind: str, replicas: int) -> str:
    """Return a workload whose pods each make a claim of 5Gi."""
    asks = {"accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
            "resources": {"requests": {"storage": "5Gi"}}}  # fmt: skip
    own = {"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": asks}}}
    mounts = [{"name": "own", "mountPath": "/own"}]
    box = {"name": "main", "image": "nginx", "volumeMounts": mounts}
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [box], "volumes": [own]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod}
    metadata = {"name": "web", "namespace": "shop"}
    more = {"serviceName": "web"} if kind == "StatefulSet" else {}
    document = {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec | more}
    return json.dumps(document) + "\n"


@pytest.mark.parametrize(
    ("kind", "name"), [("StatefulSet", "web-0-own"), ("Deployment", "web-*-own")]
)
def test_pods_that_make_claims_of_their_own_want_a_volume_each(kind: str, name: str) -> None:
    found = look(volume("one", size="6Gi"), volume("two"), pods_of(kind, 3))
    assert found.bindings[0].claim.name == name
    assert [one.state for one in found.bindings] == ["bound", "bound", "unknown"]
    is_chance = all(len(one.volumes) > 1 for one in found.bindings[:2])
    assert is_chance == (kind == "Deployment")  # its pods start at once
    pending = [one for one in found.findings if one.code == "claim-pending"]
    assert len(pending) == 1
    assert "is bound by claim web-" in pending[0].message


def test_pods_that_are_not_there_make_no_claims() -> None:
    assert look(volume(), pods_of("Deployment", 0)).bindings == ()

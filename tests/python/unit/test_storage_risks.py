"""What pods mount and what puts data at risk."""

from __future__ import annotations

import pytest

from gitops_rollback.storage.review import review
from unit.test_storage_binding import claim, volume

RWX = claim().replace("[ReadWriteOnce]", "[ReadWriteMany]")
RWOP = claim().replace("[ReadWriteOnce]", "[ReadWriteOncePod]")
CLASS = """\
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: slow}
provisioner: example.com/disk
reclaimPolicy: Delete
"""
KEPT = CLASS.replace("Delete", "Retain\nallowVolumeExpansion: true")


def workload(
    kind: str = "Deployment",
    spec: str = "strategy: {type: Recreate}",
    *,
    name: str = "web",
    source: str = "persistentVolumeClaim: {claimName: data}",
    mount: str = "{name: data, mountPath: /data}",
    namespace: str = "shop",
) -> str:
    return f"""\
apiVersion: apps/v1
kind: {kind}
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  {spec}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
      - name: main
        image: nginx:1
        volumeMounts: [{mount}]
      volumes:
      - name: data
        {source}
"""


def stateful(spec: str = "replicas: 2", more: str = "storageClassName: slow") -> str:
    return f"""\
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db, namespace: shop}}
spec:
  {spec}
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec:
      containers:
      - name: main
        image: postgres:16
        volumeMounts: [{{name: data, mountPath: /data}}]
  volumeClaimTemplates:
  - metadata: {{name: data}}
    spec:
      accessModes: [ReadWriteOnce]
      resources: {{requests: {{storage: 5Gi}}}}
      {more}
"""


def codes(*texts: str) -> list[tuple[str, str]]:
    found = review({"all.yaml": "---\n".join(texts).encode()}).findings
    return [(f.severity, f.code) for f in found]


def test_a_deployment_with_one_claim_and_recreate_is_right() -> None:
    assert codes(workload(), claim(), volume()) == []
    assert codes(workload(), claim(), KEPT) == []


ON_WEST = """\
  nodeAffinity:
    required:
      nodeSelectorTerms:
      - matchExpressions:
        - {key: zone, operator: In, values: [west]}
        - {key: disk, operator: Exists}
"""


@pytest.mark.parametrize(
    ("wants", "is_told"),
    [("{zone: east}", True), ("{zone: west}", False), ("{size: large}", False), ("{}", False)],
)
def test_a_pod_that_wants_other_nodes_than_its_volume_is_told(
    wants: str,
    is_told: bool,  # noqa: FBT001 - of a table
) -> None:
    pod = workload().replace("      containers:", f"      nodeSelector: {wants}\n      containers:")
    told = ("error", "other-node") in codes(pod, claim(), volume(more=ON_WEST))
    assert told == is_told
    free = volume("two", "20Gi")
    assert ("error", "other-node") not in codes(pod, claim(), free)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # a mount without a volume or a claim
        ((workload(mount="{name: dta, mountPath: /d}"), claim(), volume()), "mount-without-volume"),
        (
            (workload(source="persistentVolumeClaim: {claimName: dat}"), claim(), volume()),
            "claim-m",
        ),
        ((workload(namespace="bank"), claim(), volume()), "claim-namespace"),
        (
            (workload(mount="{name: data, mountPath: /a}, {name: data, mountPath: /a}"), claim()),
            "mounted-twice",
        ),
        # replicas
        ((workload(spec="replicas: 2", source="hostPath: {path: /x}"),), "local-replicas"),
        ((workload(spec="replicas: 3"), RWX, volume().replace("Once", "Many")), "local-replicas"),
        ((workload(spec="replicas: 2"), claim(), KEPT), "shared-claim"),
        ((workload("DaemonSet", "minReadySeconds: 1"), claim(), KEPT), "shared-claim"),
        ((workload(spec="replicas: 1"), claim(), KEPT), "rolling-update"),
        # what is deleted with a claim
        ((workload(), claim(), CLASS), "reclaim-delete"),
        ((stateful(), CLASS), "reclaim-delete"),
        (
            (workload(), claim(), volume(more="  persistentVolumeReclaimPolicy: Delete\n")),
            "reclaim-delete",
        ),
        (
            (stateful("persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}"), KEPT),
            "claims-deleted",
        ),
        # two writers
        ((workload(), workload(name="worker"), claim(), KEPT), "two-writers"),
        ((workload(mount=""), claim(), volume()), "claim-not-mounted"),
    ],
)
def test_a_risk_is_found(texts: tuple[str, ...], expected: str) -> None:
    assert any(code.startswith(expected) for _severity, code in codes(*texts)), codes(*texts)


@pytest.mark.parametrize(
    "texts",
    [
        (workload(spec="replicas: 2", source="emptyDir: {}"),),
        (workload(spec="replicas: 2", source="hostPath: {path: /s, type: Socket}"),),
        (
            workload(
                spec="replicas: 2",
                source="hostPath: {path: /etc/x}",
                mount="{name: data, mountPath: /x, readOnly: true}",
            ),
        ),
        (workload("DaemonSet", "minReadySeconds: 1", source="hostPath: {path: /var/log}"),),
        (workload(spec="replicas: 2"), RWX, KEPT),
        (workload(spec="replicas: 0"), claim(), KEPT),
        (
            workload(spec="strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}"),
            claim(),
            KEPT,
        ),
        (stateful(), KEPT),
        (
            workload(),
            workload(
                name="backup",
                source="persistentVolumeClaim: {claimName: data, readOnly: true}",
            ),
            claim(),
            KEPT,
        ),
    ],
)
def test_what_is_no_risk_is_not_called_one(texts: tuple[str, ...]) -> None:
    assert codes(*texts) == []


def test_a_claim_for_one_pod_alone_and_two_replicas_is_an_error() -> None:
    assert ("error", "shared-claim") in codes(workload(spec="replicas: 2"), RWOP, KEPT)


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("storage: 5Gi", "storage: 5GB", "bad-quantity", "requests.storage` is 5GB"),
        ("[ReadWriteOnce]", "[RWO]", "bad-value", "volumeClaimTemplates[0].spec.accessModes[0]"),
        ("      accessModes: [ReadWriteOnce]\n", "", "missing", "accessModes` is missing"),
        ("      resources:", "      resource:", "misspelt-field", "did you mean"),
    ],
)
def test_a_template_of_claims_is_checked_as_a_claim_is(
    old: str, new: str, code: str, words: str
) -> None:
    found = review({"all.yaml": f"{stateful()}---\n{KEPT}".replace(old, new).encode()}).findings
    assert [f.code for f in found] == [code]
    assert words in found[0].message
    assert found[0].path == "all.yaml"


def test_a_claim_that_nobody_makes_here_may_be_made_elsewhere() -> None:
    assert codes(workload()) == [("warning", "claim-missing")]
    assert ("error", "claim-missing") in codes(
        workload(source="persistentVolumeClaim: {claimName: cart-dta}"), claim("cart-data"), KEPT
    )


def test_a_namespace_that_only_one_of_two_names_is_a_note() -> None:
    text = workload().replace(", namespace: shop", "")
    assert codes(text, claim(), KEPT) == [("note", "namespace-unwritten")]


def test_a_class_that_is_not_here_may_delete_what_a_stateful_set_keeps() -> None:
    assert codes(stateful()) == [("note", "reclaim-unknown")]


def test_a_class_that_cannot_grow_is_a_note() -> None:
    assert codes(workload(), claim(), CLASS.replace("Delete", "Retain")) == [
        ("note", "no-expansion")
    ]


def test_two_writers_of_a_shared_claim_are_a_note() -> None:
    assert codes(workload(), workload(name="worker"), RWX, KEPT) == [("note", "two-writers")]


def test_a_kustomization_gives_its_namespace_to_all_in_its_folder() -> None:
    files = {
        "web/kustomization.yaml": "namespace: bank\nresources: [all.yaml]\n",
        "web/all.yaml": workload(namespace="shop") + "---\n" + claim().replace("shop", "other"),
        "web/class.yaml": KEPT,
        "other.yaml": workload(name="else", namespace="elsewhere"),
    }
    found = review({path: text.encode() for path, text in files.items()})
    assert [(f.path, f.code) for f in found.findings] == [("other.yaml", "claim-namespace")]
    assert "is in namespace bank" in found.findings[0].message

"""A volume that the API server refuses is told so, and no claim is said to be bound to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitops_rollback.storage.review import Review, review
from gitops_rollback.storage.volumes import sources_of

TERMS = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["a"]}
ISCSI = {"targetPortal": "192.0.2.1", "iqn": "iqn.2020-01.example.com:data", "lun": 0}
CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data"},
    "spec": {
        "accessModes": ["ReadWriteOnce"],
        "volumeName": "data",
        "resources": {"requests": {"storage": "5Gi"}},
    },
}


def volume(
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **spec: Any,  # noqa: ANN401 - fields of a specification
) -> dict[str, Any]:
    """Return a volume with these fields in its specification."""
    source = {} if sources_of(spec) else {"hostPath": {"path": "/a"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "data", "labels": labels or {}, "annotations": annotations or {}},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "slow",
            **source,
            **spec,
        },
    }


def reviewed(**fields: Any) -> Review:  # noqa: ANN401 - of a volume
    """Review a volume with these fields, and a claim that names it."""
    found, claim = volume(**fields), json.loads(json.dumps(CLAIM))
    for key in ("storageClassName", "volumeAttributesClassName"):
        claim["spec"][key] = found["spec"].get(key)
    return review({"a.yaml": json.dumps(found).encode(), "b.yaml": json.dumps(claim).encode()})


def nodes(operator: str, **expression: Any) -> dict[str, Any]:  # noqa: ANN401 - fields
    term = {"matchExpressions": [{**TERMS, "operator": operator, **expression}]}
    return {"required": {"nodeSelectorTerms": [term]}}


def fields(**one: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a condition
    return {"required": {"nodeSelectorTerms": [{"matchFields": [one]}]}}


CSI = {"driver": "csi.example.com", "volumeHandle": "x"}
DISK = {"diskName": "a", "diskURI": "https://a/b.vhd"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a type of path that is none": ({"hostPath": {"path": "/a", "type": "Dir"}}, "type"),
    "a path that goes up": ({"hostPath": {"path": "/a/../b"}}, "`..`"),
    "a local path that goes up": (
        {"local": {"path": "/a/.."}, "nodeAffinity": nodes("In")},
        "`..`",
    ),
    "a root that is recycled": (
        {"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"},
        "may not be recycled",
    ),
    "a path of NFS without a root": ({"nfs": {"server": "a", "path": "x"}}, "spec.nfs.path"),
    "an operator that is none": (
        {"local": {"path": "/a"}, "nodeAffinity": nodes("Is")},
        "operator` is Is",
    ),
    "no node": (
        {"local": {"path": "/a"}, "nodeAffinity": {"required": {"nodeSelectorTerms": []}}},
        "names no node",
    ),
    "an initiator that is none": ({"iscsi": {**ISCSI, "iqn": "x"}}, "spec.iscsi.iqn"),
    "a channel without a target": ({"fc": {}}, "targetWWNs or wwids"),
    "a channel with both": ({"fc": {"targetWWNs": ["5"], "lun": 1, "wwids": ["6"]}}, "not both"),
    "a class that is no name": ({"storageClassName": "Slow_One"}, "cannot be a name"),
    "an empty class of attributes": ({"volumeAttributesClassName": ""}, "is empty"),
    "a path that says nothing": ({"hostPath": {"path": ""}}, "hostPath.path` says nothing"),
    "a server that says nothing": ({"nfs": {"server": "", "path": "/a"}}, "nfs.server` says"),
    "a portal that says nothing": ({"iscsi": {**ISCSI, "targetPortal": ""}}, "targetPortal` says"),
    "no monitor": ({"cephfs": {"monitors": []}}, "spec.cephfs.monitors` says nothing"),
    "a system without a volume": (
        {"scaleIO": {"gateway": "a", "system": "b", "secretRef": {"name": "c"}}},
        "spec.scaleIO.volumeName` says nothing",
    ),
    "a unit that is too large": ({"iscsi": {**ISCSI, "lun": 256}}, "0 to 255 are allowed"),
    "a unit below none": ({"fc": {"targetWWNs": ["6"], "lun": -1}}, "0 to 255 are allowed"),
    "a partition that is too large": (
        {"awsElasticBlockStore": {"volumeID": "a", "partition": 300}},
        "0 to 255 are allowed",
    ),
    "a channel without a unit": ({"fc": {"targetWWNs": ["5"]}}, "has targetWWNs and no lun"),
    "an initiator's name that is none": (
        {"iscsi": {**ISCSI, "initiatorName": "x"}},
        "spec.iscsi.initiatorName",
    ),
    "a challenge without a secret": (
        {"iscsi": {**ISCSI, "chapAuthSession": True}},
        "asks for CHAP",
    ),
    "a driver that is no name": ({"csi": {**CSI, "driver": "a b"}}, "spec.csi.driver"),
    "a driver with a long name": ({"csi": {**CSI, "driver": "a" * 64}}, "spec.csi.driver"),
    "a handle that says nothing": ({"csi": {**CSI, "volumeHandle": ""}}, "volumeHandle` says"),
    "a secret without a name": (
        {"csi": {**CSI, "controllerPublishSecretRef": {"namespace": "a"}}},
        "controllerPublishSecretRef` lacks name",
    ),
    "a secret without a namespace": (
        {"csi": {**CSI, "nodePublishSecretRef": {"name": "a"}}},
        "nodePublishSecretRef` lacks namespace",
    ),
    "a cache that is none": (
        {"azureDisk": {**DISK, "cachingMode": "Some"}},
        "azureDisk.cachingMode",
    ),
    "a disk of another kind": ({"azureDisk": {**DISK, "kind": "Managed"}}, "azureDisk.diskURI"),
    "a namespace that is empty": (
        {"azureFile": {"secretName": "a", "shareName": "b", "secretNamespace": ""}},
        "secretNamespace` is empty",
    ),
    "a registry that is none": ({"quobyte": {"registry": "a", "volume": "b"}}, "quobyte.registry"),
    "a second size": ({"capacity": {"storage": "10Gi", "cpu": "1"}}, "spec.capacity.cpu"),
    "nodes of no condition": ({"nodeAffinity": {}}, "names no node"),
    "a condition without values": ({"nodeAffinity": nodes("In", values=[])}, "and no values"),
    "a condition with values": ({"nodeAffinity": nodes("Exists")}, "and has values"),
    "a condition on no label": ({"nodeAffinity": nodes("In", key="a b")}, "key` is a b"),
    "a field of nodes that is none": (
        {"nodeAffinity": fields(key="metadata.uid", operator="In", values=["a"])},
        "is metadata.uid",
    ),
    "attributes of a volume that has none": (
        {"volumeAttributesClassName": "gold"},
        "for volumes of csi alone",
    ),
    "attributes of no name": (
        {"csi": CSI, "volumeAttributesClassName": "Gold_1"},
        "cannot be a name",
    ),
    "an annotation with a blank": ({"annotations": {"a b": "c"}}, "cannot be one"),
    "a label with a blank": ({"labels": {"a b": "c"}}, "cannot be one"),
    "a label whose value has a blank": ({"labels": {"a": "b c"}}, "cannot be one"),
}
TAKEN: dict[str, dict[str, Any]] = {
    "a type of path": {"hostPath": {"path": "/a..b", "type": "DirectoryOrCreate"}},
    "a folder that is recycled": {"persistentVolumeReclaimPolicy": "Recycle"},
    "an operator": {"local": {"path": "/a"}, "nodeAffinity": nodes("NotIn")},
    "an initiator": {"iscsi": ISCSI},
    "an initiator of unit 0": {"iscsi": {k: v for k, v in ISCSI.items() if k != "lun"}},
    "a channel": {"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0}},
    "labels": {"labels": {"example.com/tier": "gold", "empty": ""}},
    "a channel by its world-wide id": {"fc": {"wwids": ["6"]}},
    "a driver with capital letters": {"csi": {**CSI, "driver": "Csi.Example.com"}},
    "a secret for staging, which nobody looks into": {
        "csi": {**CSI, "nodeStageSecretRef": {"name": "a"}}
    },
    "attributes": {"csi": CSI, "volumeAttributesClassName": "gold"},
    "a field of nodes": {"nodeAffinity": fields(key="metadata.name", operator="In", values=["a"])},
    "a disk": {"azureDisk": DISK},
    "annotations": {"annotations": {"pv.kubernetes.io/Bound-by": "any text, of course"}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_volume_that_is_refused_binds_no_claim(case: str) -> None:
    fields, said = REFUSED[case]
    found = reviewed(**fields)
    errors = [one for one in found.findings if one.severity == "error" and one.path == "a.yaml"]
    assert [one.code for one in errors] == ["bad-value"], [one.message for one in errors]
    assert said in errors[0].message
    assert found.bindings[0].state != "bound"


@pytest.mark.parametrize("case", TAKEN)
def test_a_volume_that_is_taken_binds_its_claim(case: str) -> None:
    found = reviewed(**TAKEN[case])
    assert [one.message for one in found.findings if one.severity == "error"] == []
    assert found.bindings[0].state == "bound"


# Claims, classes, and what mounts them


def claim(**spec: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a specification
    found: dict[str, Any] = json.loads(json.dumps(CLAIM))
    found["spec"].update(volumeName="", **spec)
    return found


def selecting(**expression: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of a condition
    return claim(selector={"matchExpressions": [{"key": "a", **expression}]})


def storage_class(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields
    kind = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass"}
    return {**kind, "metadata": {"name": "slow"}, "provisioner": "example.com/disk", **more}


def template(
    source: dict[str, Any], mount: dict[str, Any] | None = None, *, twice: bool = False
) -> dict[str, Any]:
    mounts = [{"name": "data", "mountPath": "/data", **(mount or {})}]
    volumes = [{"name": "data", **source}] * (2 if twice else 1)
    container = {"name": "server", "image": "cart:1", "volumeMounts": mounts}
    return {"containers": [container], "volumes": volumes}


def pod(
    source: dict[str, Any], mount: dict[str, Any] | None = None, *, twice: bool = False
) -> dict[str, Any]:
    spec = template(source, mount, twice=twice)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "cart"}, "spec": spec}


def workload(kind: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 - fields
    labels = {"app": "cart"}
    made = {"metadata": {"labels": labels}, "spec": template(EMPTY)}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "cart"},
        "spec": {"selector": {"matchLabels": labels}, "template": made, **spec},
    }


EMPTY: dict[str, Any] = {"emptyDir": {}}
COPY = {"kind": "PersistentVolumeClaim", "name": "other"}
ITEM = {"key": "a", "path": "../b"}
NO_SIZE = {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}
OBJECTS_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a class of no name": (claim(storageClassName="Slow_1"), "cannot be a name"),
    "attributes of no name": (claim(volumeAttributesClassName="Gold_1"), "cannot be a name"),
    "a selector without values": (selecting(operator="In", values=[]), "and no values"),
    "a selector by number": (selecting(operator="Gt", values=["1"]), "operator` is Gt"),
    "a selector with values": (selecting(operator="Exists", values=["1"]), "and has values"),
    "a selector of no label": (claim(selector={"matchLabels": {"a": "b c"}}), "a: b c"),
    "a copy of nothing": (claim(dataSource={**COPY, "name": ""}), "says nothing"),
    "copies of two": (
        claim(dataSource=COPY, dataSourceRef={**COPY, "name": "third"}),
        "two sources of data that differ",
    ),
    "a driver that says nothing": (storage_class(provisioner=""), "provisioner` says nothing"),
    "a driver of no name": (storage_class(provisioner="a b"), "cannot be a name"),
    "a parameter of no name": (storage_class(parameters={"": "x"}), "parameters"),
    "a place without values": (
        storage_class(allowedTopologies=[{"matchLabelExpressions": [{"key": "a", "values": []}]}]),
        "values` says nothing",
    ),
    "a place named twice": (
        storage_class(
            allowedTopologies=[{"matchLabelExpressions": [{"key": "a", "values": ["x", "x"]}]}]
        ),
        "has a value twice",
    ),
    "a pod's path that goes up": (pod({"hostPath": {"path": "/a/.."}}), "`..`"),
    "a pod's type of path": (pod({"hostPath": {"path": "/a", "type": "Dir"}}), "type"),
    "a claim that says nothing": (
        pod({"persistentVolumeClaim": {"claimName": ""}}),
        "claimName` says nothing",
    ),
    "two sources": (pod({**EMPTY, "hostPath": {"path": "/a"}}), "more than one source"),
    "a size below none": (pod({"emptyDir": {"sizeLimit": "-1"}}), "sizeLimit` is -1"),
    "a secret of no name": (pod({"secret": {}}), "secretName` says nothing"),
    "a map of no name": (pod({"configMap": {}}), "name` says nothing"),
    "a mode in decimal": (pod({"configMap": {"name": "a", "defaultMode": 777}}), "defaultMode"),
    "a key that goes up": (pod({"configMap": {"name": "a", "items": [ITEM]}}), "leads out"),
    "two in one source": (
        pod({"projected": {"sources": [{"secret": {"name": "a"}, "configMap": {"name": "b"}}]}}),
        "in one source",
    ),
    "a field that no file can tell": (
        pod(
            {"downwardAPI": {"items": [{"path": "a", "fieldRef": {"fieldPath": "spec.nodeName"}}]}}
        ),
        "has the field spec.nodeName",
    ),
    "a size that no container has": (
        pod(
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "a",
                            "resourceFieldRef": {
                                "containerName": "server",
                                "resource": "limits.gpu",
                            },
                        }
                    ]
                }
            }
        ),
        "has the resource limits.gpu",
    ),
    "a field among sources that no file can tell": (
        pod(
            {
                "projected": {
                    "sources": [
                        {
                            "downwardAPI": {
                                "items": [{"path": "a", "fieldRef": {"fieldPath": "status.podIP"}}]
                            }
                        }
                    ]
                }
            }
        ),
        "has the field status.podIP",
    ),
    "an entry without a source": (
        pod({"downwardAPI": {"items": [{"path": "a"}]}}),
        "not one source",
    ),
    "a claim of no size": (pod({"ephemeral": NO_SIZE}), "storage` is missing"),
    "an image that says nothing": (pod({"image": {"reference": ""}}), "reference` says nothing"),
    "a volume named twice": (pod(EMPTY, twice=True), "two volumes are named data"),
    "a mount that says nothing": (pod(EMPTY, {"mountPath": ""}), "mountPath` says nothing"),
    "a mount that goes up": (pod(EMPTY, {"subPath": "../a"}), "leads out of the volume"),
    "a mount from the root": (pod(EMPTY, {"subPath": "/a"}), "leads out of the volume"),
    "a mount of two parts": (pod(EMPTY, {"subPath": "a", "subPathExpr": "b"}), "subPathExpr"),
    "a mount that spreads": (
        pod(EMPTY, {"mountPropagation": "Bidirectional"}),
        "the container is not privileged",
    ),
    "a mount that spreads nowhere": (pod(EMPTY, {"mountPropagation": "Some"}), "is Some"),
    "a mount that is read only below": (
        pod(EMPTY, {"recursiveReadOnly": "Enabled"}),
        "readOnly is not",
    ),
    "a strategy that is none": (workload("Deployment", strategy={"type": "Rolling"}), "Rolling"),
    "a strategy of two kinds": (
        workload("Deployment", strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "is Recreate, and has rollingUpdate",
    ),
    "a strategy that does nothing": (
        workload("Deployment", strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}),
        "both are 0",
    ),
    "a set's strategy that is none": (
        workload("StatefulSet", updateStrategy={"type": "Recreate"}),
        "spec.updateStrategy.type",
    ),
    "a retention that is none": (
        workload("StatefulSet", persistentVolumeClaimRetentionPolicy={"whenDeleted": "Keep"}),
        "whenDeleted` is Keep",
    ),
}
OBJECTS_TAKEN: dict[str, dict[str, Any]] = {
    "a class of its own": claim(storageClassName="slow.example"),
    "a selector": selecting(operator="NotIn", values=["a"]),
    "a copy": claim(dataSource=COPY, dataSourceRef=COPY),
    "a driver with capital letters": storage_class(provisioner="Example.com/Disk"),
    "no volume at all": pod({}),
    "a secret": pod({"secret": {"secretName": "a", "defaultMode": 0o400}}),
    "a map that may be missing": pod({"configMap": {"name": "a", "optional": True}}),
    "sources": pod({"projected": {"sources": [{"secret": {"name": "a"}}]}}),
    "what a pod can tell": pod(
        {
            "downwardAPI": {
                "items": [
                    {"path": "a", "fieldRef": {"fieldPath": "metadata.labels['app']"}},
                    {"path": "b", "fieldRef": {"fieldPath": "metadata.uid"}},
                    {
                        "path": "c",
                        "resourceFieldRef": {"containerName": "server", "resource": "limits.cpu"},
                    },
                ]
            }
        }
    ),
    "an image": pod({"image": {"reference": "cart:1"}}),
    "a part": pod(EMPTY, {"subPath": "a..b/c"}),
    "a part that is filled in": pod(EMPTY, {"subPathExpr": "$(NAME)"}),
    "a mount that takes in": pod(EMPTY, {"mountPropagation": "HostToContainer"}),
    "a strategy": workload("Deployment", strategy={"rollingUpdate": {"maxSurge": 0}}),
    "a set by hand": workload("StatefulSet", updateStrategy={"type": "OnDelete"}),
}


def errors_of(one: dict[str, Any]) -> list[str]:
    found = review({"a.yaml": json.dumps(one).encode()}).findings
    return [finding.message for finding in found if finding.severity == "error"]


@pytest.mark.parametrize("case", OBJECTS_REFUSED)
def test_an_object_that_is_refused_is_told_so_once(case: str) -> None:
    one, said = OBJECTS_REFUSED[case]
    [message] = errors_of(one)
    assert said in message


@pytest.mark.parametrize("case", OBJECTS_TAKEN)
def test_an_object_that_is_taken_has_no_error(case: str) -> None:
    assert errors_of(OBJECTS_TAKEN[case]) == []

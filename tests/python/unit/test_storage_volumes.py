"""A volume that the API server refuses is told so, and no claim is said to be bound to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitops_rollback.storage.review import Review, review

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


def volume(labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return a volume with these fields in its specification."""
    source = {} if spec.keys() & {"local", "nfs", "iscsi", "fc"} else {"hostPath": {"path": "/a"}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "data", "labels": labels or {}},
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
    claim["spec"]["storageClassName"] = found["spec"]["storageClassName"]
    return review({"a.yaml": json.dumps(found).encode(), "b.yaml": json.dumps(claim).encode()})


def nodes(operator: str) -> dict[str, Any]:
    term = {"matchExpressions": [{**TERMS, "operator": operator}]}
    return {"required": {"nodeSelectorTerms": [term]}}


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
    "a label with a blank": ({"labels": {"a b": "c"}}, "cannot be one"),
    "a label whose value has a blank": ({"labels": {"a": "b c"}}, "cannot be one"),
}
TAKEN: dict[str, dict[str, Any]] = {
    "a type of path": {"hostPath": {"path": "/a..b", "type": "DirectoryOrCreate"}},
    "a folder that is recycled": {"persistentVolumeReclaimPolicy": "Recycle"},
    "an operator": {"local": {"path": "/a"}, "nodeAffinity": nodes("NotIn")},
    "an initiator": {"iscsi": ISCSI},
    "a channel": {"fc": {"targetWWNs": ["50060e801049cfd1"], "lun": 0}},
    "labels": {"labels": {"example.com/tier": "gold", "empty": ""}},
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

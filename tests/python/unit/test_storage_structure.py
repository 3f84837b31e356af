"""What does not fit the Kubernetes schema is found at its line, with the place it belongs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.storage.kubernetes import published
from gitops_rollback.storage.review import Review, review

if TYPE_CHECKING:
    from gitops_rollback.storage.model import Finding

ROOT = Path(__file__).parents[3]
EXAMPLE = (ROOT / "examples/storage/storage.yaml").read_text(encoding="utf-8")
PV, PVC, POD = (
    f"apiVersion: v1{part}".removesuffix("---\n") for part in EXAMPLE.split("apiVersion: v1")[1:]
)


def look(text: str, **others: str) -> Review:
    files = {"a.yaml": text, **{f"{name}.yaml": other for name, other in others.items()}}
    return review({path: content.encode() for path, content in files.items()})


def findings(text: str) -> tuple[Finding, ...]:
    return look(text).findings


def only(text: str) -> Finding:
    found = findings(text)
    assert len(found) == 1, [f"{f.place} {f.message}" for f in found]
    return found[0]


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if part in line)


def without(text: str, *parts: str) -> str:
    lines = text.splitlines()
    return "\n".join(line for line in lines if not any(part in line for part in parts)) + "\n"


def unindented(text: str, *parts: str) -> str:
    """Take a level of indentation from the lines with these parts."""
    return "".join(
        line.removeprefix("  ") if any(part in line for part in parts) else line
        for line in text.splitlines(keepends=True)
    )


@pytest.mark.parametrize("folder", ["storage", "jenkins-home"])
def test_an_example_has_nothing_to_be_found_and_its_claim_binds(folder: str) -> None:
    paths = sorted((ROOT / "examples" / folder).glob("*.yaml"))
    found = review({path.name: path.read_bytes() for path in paths})
    assert found.findings == ()
    assert [binding.state for binding in found.bindings] == ["bound"]


@pytest.mark.parametrize(
    ("text", "field", "target"),
    [
        (PV, "name: pv-example", "metadata.name"),
        (PV, "capacity:", "spec.capacity"),
        (PV, "accessModes:", "spec.accessModes"),
        (PV, "persistentVolumeReclaimPolicy:", "spec.persistentVolumeReclaimPolicy"),
        (PV, "storageClassName:", "spec.storageClassName"),
        (PV, "hostPath:", "spec.hostPath"),
        (PVC, "storageClassName:", "spec.storageClassName"),
        (PVC, "accessModes:", "spec.accessModes"),
        (PVC, "resources:", "spec.resources"),
        (PVC, "name: pvc-example", "metadata.name"),
        (POD, "containers:", "spec.containers"),
        (POD, "volumes:", "spec.volumes"),
        (POD, "name: pod-storage", "metadata.name"),
    ],
)
def test_a_field_at_the_top_level_is_found_with_its_place(
    text: str, field: str, target: str
) -> None:
    key = field.partition(":")[0]
    block = _block(text, field)
    moved = text.replace(block, "") + block.replace("\n  ", "\n").removeprefix("  ")
    found = next(f for f in findings(moved) if f.code == "misplaced-field")
    assert f"did you mean `{target}`?" in found.message
    assert moved.splitlines()[found.line - 1].startswith(f"{key}:")
    assert found.column == 1
    assert found.severity == "error"
    assert [f.code for f in findings(moved)] == ["misplaced-field"], "said once, not missed too"


def _block(text: str, field: str) -> str:
    """Return the lines of a field two spaces deep, with all that is below it."""
    lines = text.splitlines(keepends=True)
    start = next(n for n, line in enumerate(lines) if line.startswith(f"  {field}"))
    end = start + 1
    while end < len(lines) and (lines[end].startswith("   ") or lines[end].startswith("  -")):
        end += 1
    return "".join(lines[start:end])


def test_a_manifest_that_lost_all_its_indentation_is_found_field_by_field() -> None:
    text = "\n".join(line.removeprefix("  ") for line in PV.splitlines()) + "\n"
    text = text.replace("  path: /data", "path: /data")
    found = findings(text)
    targets = [f.message.partition("did you mean `")[2].partition("`")[0] for f in found]
    assert targets == [
        *("metadata.name", "spec.capacity", "spec.accessModes"),
        *("spec.persistentVolumeReclaimPolicy", "spec.storageClassName"),
        *("spec.hostPath", "spec.hostPath.path"),
    ]
    assert [f.line for f in found] == sorted(f.line for f in found)


def test_a_path_without_its_host_path_is_asked_for_it() -> None:
    text = without(PV, "hostPath:").replace("    path: /data", "  path: /data")
    found = only(text)
    assert "did you mean `spec.hostPath.path`?" in found.message
    assert (found.line, found.column) == (line_of(text, "path: /data"), 3)
    assert found.mend == "write `spec.hostPath:`, and `path` below it, two spaces further"


def test_a_path_with_a_server_beside_it_belongs_to_nfs() -> None:
    text = without(PV, "hostPath:").replace("    path: /data", "  path: /data\n  server: nas")
    assert [f.message.partition("did you mean ")[2] for f in findings(text)] == [
        "`spec.nfs.path`?",
        "`spec.nfs.server`?",
    ]


def test_what_lost_its_indentation_belongs_to_the_empty_field_above_it() -> None:
    text = PV.replace("    path: /data", "  path: /data")
    found = only(text)
    assert "`spec.hostPath.path`" in found.message
    assert found.mend == "indent `path` below `spec.hostPath:`, two spaces further than it"


def test_a_policy_among_the_sizes_is_found_although_any_name_is_allowed_there() -> None:
    text = PV.replace("  persistentVolumeReclaimPolicy", "    persistentVolumeReclaimPolicy")
    text = text.replace("    storage: 10Gi\n", "").replace(
        "  accessModes:\n    - ReadWriteOnce\n", ""
    )
    text = text.replace("Retain", "Retain\n    storage: 10Gi\n  accessModes: [ReadWriteOnce]\n  #")
    found = only(text)
    assert "`spec.persistentVolumeReclaimPolicy`" in found.message


def test_the_claim_of_a_volume_stands_below_its_kind_of_source() -> None:
    text = without(POD, "persistentVolumeClaim:").replace("        claimName", "      claimName")
    found = only(text)
    assert "`spec.volumes[0].persistentVolumeClaim.claimName`" in found.message
    assert (
        found.effect == "the API server drops it, and Flux says nothing: the volume names no claim"
    )


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("hostPath:", "hostpath:", "spec.hostPath"),
        ("accessModes:", "accesModes:", "spec.accessModes"),
        ("storageClassName:", "storageclass:", "spec.storageClassName"),
    ],
)
def test_a_misspelt_field_is_corrected(old: str, new: str, meant: str) -> None:
    text = PV.replace(old, new)
    found = findings(text)[0]
    assert found.code == "misspelt-field"
    assert f"did you mean `{meant}`?" in found.message
    assert found.line == line_of(text, new)


def test_a_field_that_no_such_object_has_is_said_to_be_none() -> None:
    found = only(PV.replace("spec:\n", "spec:\n  zebra: 1\n"))
    assert found.code == "unknown-field"
    assert published()["version"] in found.message


@pytest.mark.parametrize(
    ("text", "code", "words", "line"),
    [
        (
            PVC.replace("    - ReadWriteOnce", "    - ReadWriteTwice"),
            "bad-value",
            "ReadWriteOnce",
            8,
        ),
        (PV.replace("Retain ", "Keep "), "bad-value", "Retain, Delete, Recycle", 10),
        (PV.replace("10Gi", "10GB"), "bad-quantity", "10GB, which is no size", 7),
        (PV.replace("pv-example", "PV_NAME"), "bad-value", "PV_NAME, which cannot be a name", 4),
        (PV.replace("10Gi", "ten"), "bad-quantity", "ten", 7),
        (without(PV, "hostPath:", "path:"), "no-source", "nowhere", 5),
        (PV.replace("  hostPath:", "  local: {path: /x}\n  hostPath:"), "two-sources", "local", 13),
        (without(PVC, "resources:", "requests:", "storage:"), "missing", "requests.storage", 5),
        (POD.replace("nginx:1.27", "127"), "wrong-type", "`spec.containers[0].image` is 127", 8),
        (POD.replace("claimName: pvc-example", "claimName: 5"), "wrong-type", "a text is due", 15),
        (POD.replace("v1", "apps/v1", 1), "api-version", "a Pod is of v1", 1),
        (
            PV.replace("PersistentVolume\n", "PersistantVolume\n"),
            "unknown-kind",
            "PersistentVol",
            2,
        ),
        (PV.replace("spec:\n", "spec:\n  hostPath: {path: /x}\n"), "duplicate-key", "hostPath", 13),
    ],
)
def test_what_the_api_server_refuses_is_found_at_its_line(
    text: str, code: str, words: str, line: int
) -> None:
    found = [f for f in findings(text) if f.code == code]
    assert found, [f.code for f in findings(text)]
    assert words in found[0].message
    assert found[0].line == line


def test_tabs_are_found_with_every_line_that_has_them() -> None:
    text = PV.replace("  capacity:\n    storage", "\tcapacity:\n\t\tstorage")
    found = only(text)
    assert found.code == "tab"
    assert (found.line, found.column) == (6, 1)
    assert "also lines 7" in found.message
    assert "spaces" in found.mend


def test_a_tab_that_yaml_takes_for_more_of_the_line_above_is_found() -> None:
    found = findings(PV.replace("  name: pv-example\n", "  name: pv-example\n\tlabels\n"))
    assert [(f.code, f.line) for f in found][:1] == [("tab", 5)]


def test_what_is_no_yaml_is_found_at_its_line() -> None:
    found = only(PVC.replace("  storageClassName: slow", "  storageClassName: 'slow"))
    assert found.code == "yaml"
    assert found.line >= 6


def test_a_helm_template_is_left_out_and_named() -> None:
    for text in ("{{- if .Values.x }}\nkind: Pod # containers\n", "containers: {{ .Values.x }}\n"):
        found = look(text)
        assert found.findings == ()
        assert [path for path, _reason in found.skipped] == ["a.yaml"]


def test_a_text_that_flux_fills_in_is_of_any_type() -> None:
    text = PVC.replace("5Gi", "${SIZE}") + "---\n" + _deployment("${REPLICAS}")
    assert [f for f in findings(text) if f.code != "no-source"] == []


def _deployment(replicas: str) -> str:
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{containers: [{{name: web, image: nginx}}]}}
"""


def test_a_field_that_says_nothing_is_as_good_as_none() -> None:
    text = POD.replace("      persistentVolumeClaim:\n", "      emptyDir:\n")
    assert findings(without(text, "claimName")) == (), "the API server makes it an emptyDir"
    found = only(without(PV, "storage: 10Gi"))
    assert "`spec.capacity.storage` is missing" in found.message


def test_merged_and_aliased_parts_count_where_they_are_used() -> None:
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec:
  containers:
  - &one
    name: one
    image: nginx
    volumMounts: []
  - <<: *one
    name: two
"""
    found = findings(text)
    assert {f.code for f in found} == {"misspelt-field"}
    assert {f.line for f in found} == {9}


def test_aliases_that_never_end_or_blow_up_are_left_out() -> None:
    endless = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: &s\n  containers: [*s]\n"
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    itself = "&own\nkind: PersistentVolumeClaimList\nitems: [*own]\n"
    for text in (endless, itself, f"kind: Pod # containers\n{bomb}"):
        assert [path for path, _reason in look(text).skipped] == ["a.yaml"]


def test_a_patch_of_a_kustomization_lacks_nothing_but_may_be_misspelt() -> None:
    patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
    patch += "spec: {template: {spec: {container: []}}}\n"
    kustomization = "patches:\n- path: ./patch.yaml\n"
    found = look(PV, kustomization=kustomization, patch=patch).findings
    assert [(f.path, f.code) for f in found] == [("patch.yaml", "misspelt-field")]


def test_objects_in_a_list_are_looked_into() -> None:
    text = "apiVersion: v1\nkind: List\nitems:\n- " + PV.replace("\n", "\n  ").rstrip() + "\n"
    assert findings(text) == ()
    assert only(text.replace("hostPath", "hostpath")).code == "misspelt-field"


def test_other_kinds_are_nobodys_business_here() -> None:
    text = "apiVersion: acme.example/v1\nkind: Deployment\nspec: {containers: 3, volume: 1}\n"
    assert findings(text) == ()

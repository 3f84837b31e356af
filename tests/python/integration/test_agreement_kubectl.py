"""An edited workload is, as data, what `kubectl set image` makes of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import may_hold_image, parse
from gitops_rollback.manifest.edit import FieldEdit, rewritten
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import CONTAINER
from unit.builders import digest
from unit.test_manifest_fields import POD, TEMPLATE, workload

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.manifest.image_field import ImageField

COLLECTED = Path(__file__).resolve().parents[4] / "shared" / "data" / "manifests"
NEW = f"acme/proof:1@{digest('proof')}"
# Kinds with a field that kubectl has no code for: it edits only what Kubernetes itself defines.
BEYOND = {"Rollout", "Service", "Configuration", "PodTemplate"}


@dataclass(frozen=True)
class Case:
    """A field, with the object it stands in before and after the edit; both have one name."""

    field: ImageField
    before: dict[str, Any]
    after: dict[str, Any]


def cases(path: str, data: bytes) -> Iterator[Case]:
    """Edit each container of a file on its own; that container is called `target` in the case."""
    file = parse(path, data)
    for field in find_fields(file):
        if field.form != CONTAINER or field.problem or field.kind in BEYOND:
            continue
        edited = rewritten(file, [FieldEdit(field, NEW)]).data
        yield Case(field, _object(data, field), _object(edited, field))


def _object(data: bytes, field: ImageField) -> dict[str, Any]:
    """The object around a field, as another parser reads it, with its container named `target`."""
    node: Any = _document(data.decode("utf-8-sig"), field.document)
    keys = field.pointer.strip("/").split("/")
    if keys[0] == "items":
        node, keys = node["items"][int(keys[1])], keys[2:]
    root = node = deepcopy(node)  # what an alias repeats becomes a place of its own
    for key in keys[:-1]:
        node = node[int(key)] if isinstance(node, list) else node[key]
    node["name"] = "target"
    assert isinstance(root, dict)
    return root


def _document(text: str, number: int) -> object:
    """One document of a file; another one may be a template, which is no object."""
    loader = yaml.CSafeLoader(text)
    while loader.check_node():
        node = loader.get_node()
        if number == 0:
            return loader.construct_document(node)
        number -= 1
    raise AssertionError("there is no such document")


def kubectl(folder: Path, objects: Mapping[str, Any], *command: str) -> dict[str, Any]:
    """Let kubectl change objects, all in one process; return those it can read, by their name."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, item in objects.items():
        text = json.dumps({**item, "metadata": {**item["metadata"], "name": name}}, default=str)
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    line = ["kubectl", "set", *command, "--local", "--filename", str(folder), "--output", "json"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    refused = re.findall(r'unable to decode "([^"]+)"', done.stderr)
    if refused:  # then it prints nothing of the others either
        for file in refused:
            Path(file).unlink()
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    decoder, found, rest = json.JSONDecoder(), {}, done.stdout.strip()
    while rest:
        item, end = decoder.raw_decode(rest)
        found[item["metadata"]["name"]] = item
        rest = rest[end:].strip()
    return found


def assert_agreement(folder: Path, all_cases: list[Case]) -> int:
    """Compare all cases; the change of an account only makes kubectl print ours in its own way."""
    before = {f"case-{number}": case.before for number, case in enumerate(all_cases)}
    after = {f"case-{number}": case.after for number, case in enumerate(all_cases)}
    account = ("serviceaccount", "proof")
    edited = kubectl(folder, before, "image", f"target={NEW}")
    theirs, ours = kubectl(folder, edited, *account), kubectl(folder, after, *account)
    assert theirs == ours
    return len(theirs)


pytestmark = pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not on PATH: nothing to agree with"
)

KINDS: dict[str, dict[str, Any]] = {
    "v1": {"Pod": POD, "ReplicationController": TEMPLATE},
    "apps/v1": dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), TEMPLATE),
    "batch/v1": {"CronJob": {"jobTemplate": {"spec": TEMPLATE}}},
}
TEXT = "---\n".join(
    yaml.safe_dump({**workload(kind, spec), "apiVersion": group})
    for group, kinds in KINDS.items()
    for kind, spec in kinds.items()
)


def test_each_container_of_every_kind_is_edited_as_kubectl_does(tmp_path: Path) -> None:
    found = list(cases("a.yaml", TEXT.encode()))
    assert len(found) == 14
    assert assert_agreement(tmp_path, found) == 14


@pytest.mark.skipif(not COLLECTED.is_dir(), reason=f"the real manifests are not at {COLLECTED}")
def test_each_container_of_real_manifests_is_edited_as_kubectl_does(tmp_path: Path) -> None:
    found: list[Case] = []
    known = {kind for kinds in KINDS.values() for kind in kinds}  # OpenShift's and KEDA's are not
    for path in sorted(COLLECTED.rglob("*")):
        if path.parent == COLLECTED or not path.is_file() or not may_hold_image(path.read_bytes()):
            continue
        try:
            met = [*cases(path.name, path.read_bytes())]
        except ManifestError:
            continue
        found += [case for case in met if case.field.kind in known]
    agreed = assert_agreement(tmp_path, found)
    assert agreed >= 225
    assert agreed >= len(found) - 2, "two are a Deployment of `v1`, which kubectl does not know"

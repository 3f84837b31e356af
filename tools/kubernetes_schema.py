"""Cut the published Kubernetes schema down to the kinds that `check --storage` looks into.

The source is `api/openapi-spec/v3` of https://github.com/kubernetes/kubernetes at a release's tag
(Apache-2.0, Copyright The Kubernetes Authors): a checkout, or the Go module, whose folder
`go mod download -json k8s.io/kubernetes@v1.36.3` prints as `Dir`.

    .venv/bin/python tools/kubernetes_schema.py --source DIR --version 1.36.3

What is left out: descriptions, defaults, and the contents of `status` and `managedFields`, which
nobody writes. What is added: an object with named fields takes no others, as strict decoding does.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "python" / "gitops_rollback" / "storage" / "kubernetes.json"
FILES = ("api__v1", "apis__apps__v1", "apis__batch__v1", "apis__storage.k8s.io__v1")
KINDS = (
    *("v1 PersistentVolume", "v1 PersistentVolumeClaim", "v1 Pod", "v1 ReplicationController"),
    *("apps/v1 Deployment", "apps/v1 StatefulSet", "apps/v1 DaemonSet", "apps/v1 ReplicaSet"),
    *("batch/v1 Job", "batch/v1 CronJob", "storage.k8s.io/v1 StorageClass"),
)
_KEPT = ("type", "required", "enum")
_UNWRITTEN = ("status", "managedFields")
_PREFIXES = ("io.k8s.api.", "io.k8s.apimachinery.pkg.apis.", "io.k8s.apimachinery.pkg.")


# Fields that are published as required, and that the API server takes as 0, "" or [] where they are
# not written: each was asked of one.
_MAY_BE_LEFT_OUT = {
    "batch.v1.PodFailurePolicy": "rules",
    "core.v1.HTTPHeader": "value",
    "core.v1.ISCSIPersistentVolumeSource": "lun",
    "core.v1.ISCSIVolumeSource": "lun",
    "core.v1.SleepAction": "seconds",
    "core.v1.Sysctl": "value",
}


def main() -> int:
    """Write the schema; return 0."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--source", type=Path, required=True, help="folder of kubernetes")
    parser.add_argument("--version", required=True, help="its release, for example 1.36.3")
    options = parser.parse_args()
    published = read(options.source / "api" / "openapi-spec" / "v3")
    kinds = {key: name for name, schema in published.items() for key in kinds_of(schema)}
    wanted = {kind: short(kinds[kind]) for kind in KINDS}
    definitions = reachable({short(n): s for n, s in published.items()}, list(wanted.values()))
    TARGET.write_text(render(options.version, wanted, definitions), encoding="utf-8")
    print(f"{TARGET}: {len(definitions)} definitions, {TARGET.stat().st_size} bytes")
    return 0


def read(folder: Path) -> dict[str, Any]:
    """Return the schemas of all files by their full name."""
    schemas: dict[str, Any] = {}
    for name in FILES:
        document = json.loads((folder / f"{name}_openapi.json").read_text(encoding="utf-8"))
        schemas.update(document["components"]["schemas"])
    return schemas


def kinds_of(schema: dict[str, Any]) -> list[str]:
    """Return what a schema describes, as `apps/v1 Deployment`."""
    return [
        f"{entry['group']}/{entry['version']} {entry['kind']}".removeprefix("/")
        for entry in schema.get("x-kubernetes-group-version-kind", [])
    ]


def short(name: str) -> str:
    """Return a definition's name without what all have in common."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name


def reachable(published: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the trimmed definitions that are needed for some."""
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = trim(published[name])
            if name in _MAY_BE_LEFT_OUT:
                found[name]["required"].remove(_MAY_BE_LEFT_OUT[name])
            waiting += references(found[name])
    return found


def trim(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what validation needs of a schema, as JSON Schema draft 7."""
    if len(schema.get("allOf", ())) == 1:  # a reference with a description beside it
        return trim(schema["allOf"][0])
    if "$ref" in schema:
        return {"$ref": f"#/definitions/{short(schema['$ref'].rpartition('/')[2])}"}
    trimmed: dict[str, Any] = {key: schema[key] for key in _KEPT if key in schema}
    if "oneOf" in schema:  # quantities, ports: a number or a text
        trimmed["type"] = sorted(option["type"] for option in schema["oneOf"])
    if "items" in schema:
        trimmed["items"] = trim(schema["items"])
    if isinstance(schema.get("additionalProperties"), dict):
        trimmed["additionalProperties"] = trim(schema["additionalProperties"])
    if "properties" in schema:
        trimmed["properties"] = {
            key: {} if key in _UNWRITTEN else trim(value)
            for key, value in schema["properties"].items()
        }
        trimmed["additionalProperties"] = False
    return trimmed


def references(schema: object) -> list[str]:
    """Return the names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        return [name for part in schema for name in references(part)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for part in schema.values() for name in references(part)]


def render(version: str, kinds: dict[str, str], definitions: dict[str, Any]) -> str:
    """Return the file: one definition a line, so that a new version shows what changed."""
    head = {
        "title": "Kubernetes objects with storage",
        "version": version,
        "source": f"github.com/kubernetes/kubernetes v{version}, api/openapi-spec/v3, trimmed",
        "licence": "Apache-2.0, Copyright The Kubernetes Authors",
        "kinds": kinds,
    }
    lines = [
        f"{json.dumps(name)}:{json.dumps(definitions[name], separators=(',', ':'))}"
        for name in sorted(definitions)
    ]
    return json.dumps(head, indent=1)[:-2] + ',\n "definitions":{\n' + ",\n".join(lines) + "\n}}\n"


if __name__ == "__main__":
    raise SystemExit(main())

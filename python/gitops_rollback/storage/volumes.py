"""What the API server asks of volumes, claims and classes beyond the schema.

The rules are those of `ValidatePersistentVolume`, `ValidatePersistentVolumeClaimSpec`,
`ValidateVolumes`, `ValidateVolumeMounts` and what they call in kubernetes/kubernetes,
pkg/apis/core/validation/validation.go, and of pkg/apis/storage/validation, release 1.36: an object
that breaks one is refused, and no claim is bound to it. Each was asked of a real API server
(tests/flux/test_storage.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import regex
from gitops_rollback.storage.kubernetes import (
    definition,
    definition_of,
    parse_quantity,
    published,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.storage.kubernetes import Steps
    from gitops_rollback.storage.model import KubernetesObject
    from gitops_rollback.storage.structure import Wrong

_NO_SOURCE = frozenset(
    {"accessModes", "capacity", "claimRef", "mountOptions", "nodeAffinity"}
    | {"persistentVolumeReclaimPolicy", "storageClassName", "volumeAttributesClassName"}
    | {"volumeMode"}
)
# The values that a field of a source may have, and the numbers between which one may lie.
_VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("hostPath", "type"): (
        *("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate"),
        *("File", "FileOrCreate", "Socket"),
    ),
    ("azureDisk", "cachingMode"): ("None", "ReadOnly", "ReadWrite"),
    ("azureDisk", "kind"): ("Shared", "Dedicated", "Managed"),
    ("image", "pullPolicy"): ("Always", "IfNotPresent", "Never"),
}
_LARGEST = 255
_NUMBERS = {
    ("iscsi", "lun"): (0, _LARGEST),
    ("gcePersistentDisk", "partition"): (0, _LARGEST),
    ("awsElasticBlockStore", "partition"): (0, _LARGEST),
    ("configMap", "defaultMode"): (0, 0o777),
    ("secret", "defaultMode"): (0, 0o777),
    ("downwardAPI", "defaultMode"): (0, 0o777),
    ("projected", "defaultMode"): (0, 0o777),
}
# What a source has to have though the schema does not say so.
_NEEDED = {
    "configMap": ("name",),
    "ephemeral": ("volumeClaimTemplate",),
    "image": ("reference",),
    "scaleIO": ("volumeName",),
    "secret": ("secretName",),
}
# What files can tell of a pod and of its containers (validVolumeDownwardAPIFieldPathExpressions).
_OF_POD = tuple(f"metadata.{key}" for key in ("name", "namespace", "uid", "labels", "annotations"))
_OF_LABELS = regex(r"metadata\.(labels|annotations)\['[^']+'\]")
_OF_CONTAINER = regex(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)")
_PROPAGATIONS = ("None", "HostToContainer", "Bidirectional")
_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
_NUMBER_OPERATORS = ("Gt", "Lt")
_SUBDOMAIN = regex(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INITIATOR = (
    regex(
        r"iqn\.\d{4}-\d{2}\.[A-Za-z0-9.-]+(:[^,;*&$|\s]+)?|eui\.[A-Za-z0-9]{16}|naa\.[A-Za-z0-9]{32}"
    ),
    "write iqn.YYYY-MM.domain:id",
)
# What a field of a source has to look like, and what to write.
_PATTERNS = {
    ("iscsi", "iqn"): _INITIATOR,
    ("iscsi", "initiatorName"): _INITIATOR,
    ("nfs", "path"): (regex(r"/[\s\S]*"), "write it from the root: /…"),
    ("quobyte", "registry"): (regex(r"[^,:\s]*:[^,:\s]*(,[^,:\s]*:[^,:\s]*)*"), "write host:port"),
}
_NAME = regex(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")  # of a label, after its prefix
_LONGEST_DRIVER = 63
_CSI_SECRETS = frozenset(  # nodeStageSecretRef is not looked into
    {"controllerPublishSecretRef", "controllerExpandSecretRef"}
    | {"nodePublishSecretRef", "nodeExpandSecretRef"}
)
_TERMS: Steps = ("spec", "nodeAffinity", "required", "nodeSelectorTerms")
_LETTERS = "write small letters, digits, dashes and dots"
_LABEL = "write letters, digits, dashes, underscores and dots, at most 63"


def volume_rules(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield what the API server refuses in a volume though its fields are all there."""
    found = sources_of(item.mapping("spec"))
    yield from _sources(item, ("spec",), dict.fromkeys(found, _of_volumes()))
    yield from _of_volume(item)
    yield from _nodes(item)


def pod_rules(item: KubernetesObject, pod: Steps) -> Iterator[Wrong]:
    """Yield what it refuses in the volumes of a pod's specification, and in their mounts."""
    known = _properties(published()["definitions"]["core.v1.Volume"])
    names: set[str] = set()
    for steps, volume in item.mappings(*pod, "volumes"):
        found = [key for key in volume if key in known and key != "name"]
        name = volume.get("name")
        if name in names:
            yield steps, f"two volumes are named {name}", "name one of them otherwise"
        names.add(str(name))
        if found[1:]:
            many = f"volume {name} has more than one source: {', '.join(found)}"
            yield (*steps, found[-1]), many, "keep one"
        yield from _sources(item, steps, dict.fromkeys(found, known))
    for key in ("initContainers", "containers"):
        for steps, container in item.mappings(*pod, key):
            for place, mount in item.mappings(*steps, "volumeMounts"):
                yield from _of_mount(place, mount, container)


def name_rules(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield labels and keys of annotations that can be none."""
    for key, value in item.mapping("metadata", "labels").items():
        if not is_label(str(key), value):
            yield ("metadata", "labels", key), f"the label `{key}: {value}` cannot be one", _LABEL
    for key in item.mapping("metadata", "annotations"):
        if not is_label(str(key).lower(), ""):
            yield ("metadata", "annotations", key), f"the annotation `{key}` cannot be one", _LABEL


def sources_of(spec: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the sources of a PersistentVolume's specification."""
    known = _of_volumes()
    return tuple(key for key in spec if key in known and key not in _NO_SOURCE)


def _of_volumes() -> dict[str, Any]:
    """Return what the specification of a PersistentVolume can have, by name."""
    return _properties(definition(definition_of("PersistentVolume")["properties"]["spec"]))


def is_label(key: str, value: object) -> bool:
    """Tell whether a label may be so; what is filled in later, or no text, may."""
    prefix, slash, name = key.rpartition("/")
    if "${" in f"{key}{value}" or not isinstance(value, str):
        return True
    is_prefix = not slash or bool(_SUBDOMAIN.fullmatch(prefix))
    return is_prefix and bool(_NAME.fullmatch(name)) and bool(not value or _NAME.fullmatch(value))


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["properties"]
    return found


# Sources, of volumes of a cluster and of a pod


def _sources(
    item: KubernetesObject, base: Steps, sources: dict[str, dict[str, Any]]
) -> Iterator[Wrong]:
    """Yield what is wrong with the sources of one volume, given with what they stand among."""
    for source, known in sources.items():
        found = item.get(*base, source)
        if isinstance(found, dict):
            needed = definition(known[source]).get("required", ())
            yield from _fields((*base, source), found, needed)
            special = _SPECIAL.get(source)
            for key, why, mend in special(found) if special else ():
                steps = (*base, source, key) if key else (*base, source)
                yield steps, f"`{written(steps)}` {why}", mend


def _fields(steps: Steps, found: dict[str, Any], needed: Sequence[str]) -> Iterator[Wrong]:
    source = str(steps[-1])
    for key in (*needed, *_NEEDED.get(source, ())):
        value = found.get(key)
        if value in ("", []) or (value is None and key not in needed):
            place = written((*steps, key))
            yield (*steps, key), f"`{place}` says nothing", f"write {place}"
    for key, value in found.items():
        allowed = _VALUES.get((source, key))
        if allowed and isinstance(value, str) and "${" not in value and value not in allowed:
            named = ", ".join(one for one in allowed if one)
            yield (*steps, key), f"`{written((*steps, key))}` is {value}", f"write {named}"
        least, most = _NUMBERS.get((source, key), (None, 0))
        if least is not None and isinstance(value, int) and not least <= value <= most:
            why = f"`{written((*steps, key))}` is {value}, and {least} to {most} are allowed"
            yield (*steps, key), why, f"write a number from {least} to {most}"
    for (of, key), (pattern, mend) in _PATTERNS.items():
        text = _plain(found.get(key)) if of == source else None
        if text and not pattern.fullmatch(text):
            yield (*steps, key), f"`{written((*steps, key))}` is {text}", mend
    path = _plain(found.get("path"))
    if source in ("hostPath", "local") and path and ".." in path.split("/"):
        where = (*steps, "path")
        yield where, f"`{written(where)}` is {path}, which has `..` in it", "write it out"


_Part = tuple[str, str, str]  # the field, or "" for all of it; why; what to write


def _of_iscsi(found: dict[str, Any]) -> Iterator[_Part]:
    asks = found.get("chapAuthSession") is True or found.get("chapAuthDiscovery") is True
    if asks and not found.get("secretRef"):
        yield "", "asks for CHAP and names no secret", "write its secretRef"


def _of_fc(found: dict[str, Any]) -> Iterator[_Part]:
    if bool(found.get("targetWWNs")) == bool(found.get("wwids")):
        yield "", "needs targetWWNs or wwids, and not both", "write one of them"
        return
    unit = found.get("lun")
    if found.get("targetWWNs") and unit is None:
        yield "", "has targetWWNs and no lun", "write its lun"
    elif found.get("targetWWNs") and isinstance(unit, int) and not 0 <= unit <= _LARGEST:
        yield "lun", f"is {unit}, and 0 to {_LARGEST} are allowed", "write its number"


def _of_csi(found: dict[str, Any]) -> Iterator[_Part]:
    driver = _plain(found.get("driver"))
    if driver and (len(driver) > _LONGEST_DRIVER or not _SUBDOMAIN.fullmatch(driver.lower())):
        yield "driver", f"is {driver[:80]}, which cannot be a name", f"{_LETTERS}, at most 63"
    # A pod's own volume of csi has no handle, and takes secrets of the pod's namespace.
    parts = ("name", "namespace") if "volumeHandle" in found else ("name",)
    for key in _CSI_SECRETS & found.keys():
        value = found[key]
        lacking = [part for part in parts if isinstance(value, dict) and not value.get(part)]
        if lacking:
            yield key, f"lacks {' and '.join(lacking)}", f"write its {' and '.join(parts)}"


def _of_azure_disk(found: dict[str, Any]) -> Iterator[_Part]:
    uri = _plain(found.get("diskURI"))
    begins = "/subscriptions/" if found.get("kind") == "Managed" else "https://"
    if uri and not uri.startswith(begins):
        yield "diskURI", f"is {uri}", f"write it with {begins}… at its beginning"


def _of_azure_file(found: dict[str, Any]) -> Iterator[_Part]:
    if found.get("secretNamespace") == "":
        yield "secretNamespace", "is empty", "write it, or take the line out"


def _of_empty_dir(found: dict[str, Any]) -> Iterator[_Part]:
    size = parse_quantity(found.get("sizeLimit"))
    if size is not None and size < 0:
        yield "sizeLimit", f"is {found['sizeLimit']}", "write a size, for example 1Gi"


def _of_items(found: dict[str, Any]) -> Iterator[_Part]:
    """Yield paths below a mount that lead out of it."""
    entries = found.get("items")
    for one in entries if isinstance(entries, list) else ():
        path = _plain(one.get("path")) if isinstance(one, dict) else None
        if path and (path.startswith("/") or ".." in path.split("/")):
            yield "items", f"has the path {path}, which leads out of it", "write it from the mount"


def _of_downward(found: dict[str, Any]) -> Iterator[_Part]:
    """Yield what no pod can tell of itself in a file."""
    yield from _of_items(found)
    entries = found.get("items")
    for one in entries if isinstance(entries, list) else ():
        field, resource = (
            part if isinstance(part := one.get(key), dict) else {}
            for key in ("fieldRef", "resourceFieldRef")
        )
        path, size = _plain(field.get("fieldPath")), _plain(resource.get("resource"))
        if path and path not in _OF_POD and not _OF_LABELS.fullmatch(path):
            yield "items", f"has the field {path}", f"write {', '.join(_OF_POD)}"
        if size and not _OF_CONTAINER.fullmatch(size):
            yield "items", f"has the resource {size}", "write limits.memory, requests.cpu, …"
        if bool(field) == bool(resource):
            yield "items", "has an entry with not one source", "write fieldRef or resourceFieldRef"


def _of_projected(found: dict[str, Any]) -> Iterator[_Part]:
    entries = found.get("sources")
    for one in entries if isinstance(entries, list) else ():
        if isinstance(one, dict) and len(one) > 1:
            yield "sources", f"has {' and '.join(one)} in one source", "write two sources"
        for kind, part in one.items() if isinstance(one, dict) else ():
            check = _of_downward if kind == "downwardAPI" else _of_items
            yield from check(part) if isinstance(part, dict) else ()


_SPECIAL = {
    "azureDisk": _of_azure_disk,
    "azureFile": _of_azure_file,
    "configMap": _of_items,
    "csi": _of_csi,
    "downwardAPI": _of_downward,
    "emptyDir": _of_empty_dir,
    "fc": _of_fc,
    "iscsi": _of_iscsi,
    "projected": _of_projected,
    "secret": _of_items,
}


def _of_mount(steps: Steps, mount: dict[str, Any], container: dict[str, Any]) -> Iterator[Wrong]:
    where = written(steps)
    if mount.get("mountPath") == "":
        yield (*steps, "mountPath"), f"`{where}.mountPath` says nothing", "write a path"
    for key in ("subPath", "subPathExpr"):
        path = _plain(mount.get(key))
        if path and (path.startswith("/") or ".." in path.split("/")):
            why = f"`{where}.{key}` is {path}, which leads out of the volume"
            yield (*steps, key), why, "write it from the volume's root, without `..`"
    if mount.get("subPath") and mount.get("subPathExpr"):
        yield (*steps, "subPathExpr"), f"`{where}` has subPath and subPathExpr", "keep one"
    said = _plain(mount.get("mountPropagation"))
    if said is not None and said not in _PROPAGATIONS:
        why = f"`{where}.mountPropagation` is {said}"
        yield (*steps, "mountPropagation"), why, f"write {', '.join(_PROPAGATIONS)}"
    context = container.get("securityContext")
    is_privileged = isinstance(context, dict) and context.get("privileged") is True
    if said == "Bidirectional" and not is_privileged:
        why = f"`{where}.mountPropagation` is {said}, and the container is not privileged"
        yield (*steps, "mountPropagation"), why, "write HostToContainer"
    if mount.get("recursiveReadOnly") not in (None, "Disabled") and not mount.get("readOnly"):
        why = f"`{where}.recursiveReadOnly` is set, and readOnly is not"
        yield (*steps, "recursiveReadOnly"), why, "write readOnly: true"


# Volumes of a cluster, claims, classes


def _of_volume(item: KubernetesObject) -> Iterator[Wrong]:
    recycles = item.get("spec", "persistentVolumeReclaimPolicy") == "Recycle"
    if recycles and item.get("spec", "hostPath", "path") == "/":
        yield (
            ("spec", "persistentVolumeReclaimPolicy"),
            "a volume that is all of its node, `/`, may not be recycled: that would empty it",
            "write Retain, and a folder as spec.hostPath.path",
        )
    for key, value in item.mapping("spec", "capacity").items():
        if key != "storage" and parse_quantity(value) is not None:
            why = f"`spec.capacity.{key}` is no size of a volume"
            yield ("spec", "capacity", key), why, "take the line out: there is storage alone"
    yield from _class_name(item, ("spec", "storageClassName"))
    attributes = ("spec", "volumeAttributesClassName")
    if item.get(*attributes) == "":
        yield attributes, f"`{written(attributes)}` is empty", "take the line out"
    elif item.get(*attributes) is not None and item.get("spec", "csi") is None:
        why = f"`{written(attributes)}` is for volumes of csi alone"
        yield attributes, why, "take the line out"
    yield from _class_name(item, attributes)


def _class_name(item: KubernetesObject, steps: Steps) -> Iterator[Wrong]:
    name = _plain(item.get(*steps))
    if name and not _SUBDOMAIN.fullmatch(name):
        yield steps, f"`{written(steps)}` is {name}, which cannot be a name", _LETTERS


def _nodes(item: KubernetesObject) -> Iterator[Wrong]:
    affinity = item.get("spec", "nodeAffinity")
    if affinity == {}:
        yield _TERMS[:2], "`spec.nodeAffinity` names no node", "write required.nodeSelectorTerms"
    if item.get(*_TERMS[:-1]) is not None and item.get(*_TERMS) in (None, []):
        yield _TERMS, f"`{written(_TERMS)}` names no node", "write a term with matchExpressions"
    for steps, _term in item.mappings(*_TERMS):
        allowed = (*_OPERATORS, *_NUMBER_OPERATORS)
        yield from _expressions(item, (*steps, "matchExpressions"), allowed)
        for place, one in item.mappings(*steps, "matchFields"):
            if one.get("key") not in (None, "metadata.name"):
                why = f"`{written((*place, 'key'))}` is {one['key']}"
                yield (*place, "key"), why, "write metadata.name, or use matchExpressions"
        yield from _expressions(item, (*steps, "matchFields"), _OPERATORS[:2])


def _expressions(
    item: KubernetesObject, steps: Steps, operators: tuple[str, ...]
) -> Iterator[Wrong]:
    """Yield what is wrong with conditions on labels, which `steps` lead to."""
    for place, one in item.mappings(*steps):
        said = _plain(one.get("operator"))
        if said is not None and said not in operators:
            where = (*place, "operator")
            yield where, f"`{written(where)}` is {said}", f"write {', '.join(operators)}"
        key, values = _plain(one.get("key")), one.get("values")
        if key and not is_label(key, ""):
            yield (*place, "key"), f"`{written((*place, 'key'))}` is {key}", _LABEL
        if said in _OPERATORS[:2] and not values:
            yield place, f"`{written(place)}` says {said}, and no values", "write its values"
        if said in _OPERATORS[2:] and values:
            why = f"`{written(place)}` says {said}, and has values"
            yield (*place, "values"), why, "take the values out, or write In"


def claim_rules(item: KubernetesObject, base: Steps) -> Iterator[Wrong]:
    """Yield what it refuses in the specification of a claim, which `base` leads to."""
    yield from _class_name(item, (*base, "storageClassName"))
    yield from _class_name(item, (*base, "volumeAttributesClassName"))
    yield from _expressions(item, (*base, "selector", "matchExpressions"), _OPERATORS)
    labels = (*base, "selector", "matchLabels")
    for key, value in item.mapping(*labels).items():
        if not is_label(str(key), value):
            yield (*labels, key), f"`{written(labels)}` has `{key}: {value}`", _LABEL
    source, reference = item.get(*base, "dataSource"), item.get(*base, "dataSourceRef")
    for key, value in (("dataSource", source), ("dataSourceRef", reference)):
        if isinstance(value, dict) and value.get("name") == "":
            where = (*base, key, "name")
            yield where, f"`{written(where)}` says nothing", "write the name of what is copied"
    if isinstance(source, dict) and isinstance(reference, dict) and source != reference:
        why = f"`{written(base)}` has two sources of data that differ"
        yield (*base, "dataSourceRef"), why, "keep one of dataSource and dataSourceRef"


def class_rules(item: KubernetesObject) -> Iterator[Wrong]:
    """Yield what it refuses in a StorageClass."""
    provisioner = _plain(item.get("provisioner"))
    if provisioner == "":
        yield ("provisioner",), "`provisioner` says nothing", "write the name of the driver"
    elif provisioner and not is_label(provisioner.lower(), ""):
        yield ("provisioner",), f"`provisioner` is {provisioner}, which cannot be a name", _LABEL
    if "" in item.mapping("parameters"):
        yield ("parameters", ""), "`parameters` has a key that says nothing", "take the line out"
    for steps, _term in item.mappings("allowedTopologies"):
        for place, one in item.mappings(*steps, "matchLabelExpressions"):
            values = one.get("values")
            where = (*place, "values")
            if values == []:
                yield where, f"`{written(where)}` says nothing", "write its values"
            texts = [str(value) for value in values] if isinstance(values, list) else []
            if len(set(texts)) < len(texts):
                yield where, f"`{written(where)}` has a value twice", "take one out"


def _plain(value: object) -> str | None:
    """Return a text; None where there is none, or Flux fills it in."""
    return value if isinstance(value, str) and "${" not in value else None

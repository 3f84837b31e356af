"""Trees of YAML nodes, and patches of them, which make new trees: what is shared stays. Pure.

A scalar keeps its identity through overlays and patches, so that at the end it is known which
place of which file an image comes from. Strategic merge as in kustomize (kyaml/yaml/merge2,
kyaml/yaml/walk): mappings are merged, null removes, lists are replaced but for those that the
Kubernetes schema merges by a key; what a patch adds to these stands before what was there. JSON
patches (RFC 6902) as in evanphx/json-patch, which kustomize uses. Both raise `TreeError` where the
tools fail, and where they do what is not followed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.document import is_null, items_of, lookup, text_of
from gitops_rollback.manifest.scan import MAP, SEQUENCE, STRING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OPAQUE = "!opaque"  # of a node that stands where something is, of which nothing is known


class TreeError(ValueError):
    """Raised for a change that a tree does not allow; the text says why, for people."""


class UnfollowedError(TreeError):
    """Raised for a change that the tools do, and that is not followed here."""


def mapping(entries: Iterable[tuple[yaml.Node, yaml.Node]], like: yaml.Node) -> yaml.MappingNode:
    """Return a new mapping with some entries, at the place of another node."""
    return yaml.MappingNode(MAP, list(entries), like.start_mark, like.end_mark)


def sequence(items: Iterable[yaml.Node], like: yaml.Node) -> yaml.SequenceNode:
    """Return a new sequence with some items, at the place of another node."""
    return yaml.SequenceNode(SEQUENCE, list(items), like.start_mark, like.end_mark)


def text_node(text: str, like: yaml.Node) -> yaml.ScalarNode:
    """Return a new scalar with a text, at the place of another node."""
    return yaml.ScalarNode(STRING, text, like.start_mark, like.end_mark)


def opaque_node(like: yaml.Node) -> yaml.ScalarNode:
    """Return a node that says that something stands there, at the place of another node."""
    return yaml.ScalarNode(OPAQUE, "", like.start_mark, like.end_mark)


def entries(node: yaml.Node | None) -> dict[str, yaml.Node]:
    """Return the values of a mapping by the texts of its keys; nothing for anything else.

    Of a key that stands there twice the first counts, as for `lookup`.
    """
    if not isinstance(node, yaml.MappingNode):
        return {}
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        text = text_of(key)
        if text is not None:
            found.setdefault(text, value)
    return found


def find(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    """Return the node below some keys, or None."""
    for key in keys:
        node = lookup(node, key)
    return node


def with_entry(node: yaml.Node, key: str, value: yaml.Node) -> yaml.MappingNode:
    """Return a mapping with another value for a key, which is added if it is not there."""
    if not isinstance(node, yaml.MappingNode):
        raise TreeError(f"there is no mapping to set '{key}' in")
    out = [(k, value if text_of(k) == key else v) for k, v in node.value]
    if lookup(node, key) is None:
        out.append((text_node(key, node), value))
    return mapping(out, node)


def without(node: yaml.Node, key: str) -> yaml.MappingNode:
    """Return a mapping without a key."""
    return mapping(((k, v) for k, v in node.value if text_of(k) != key), node)


def with_path(node: yaml.Node | None, keys: tuple[str, ...], value: yaml.Node) -> yaml.Node:
    """Return a mapping with a value below some keys; mappings on the way are made."""
    if not keys:
        return value
    base = mapping((), value) if node is None or is_null(node) else node
    return with_entry(base, keys[0], with_path(lookup(base, keys[0]), keys[1:], value))


def same(one: yaml.Node | None, other: yaml.Node | None) -> bool:
    """Tell whether two trees say the same, as JSON has it: mappings without an order."""
    if isinstance(one, yaml.MappingNode) and isinstance(other, yaml.MappingNode):
        mine, others = entries(one), entries(other)
        return mine.keys() == others.keys() and all(same(mine[k], others[k]) for k in mine)
    if isinstance(one, yaml.SequenceNode) and isinstance(other, yaml.SequenceNode):
        mine_, others_ = items_of(one), items_of(other)
        return len(mine_) == len(others_) and all(map(same, mine_, others_))
    if isinstance(one, yaml.ScalarNode) and isinstance(other, yaml.ScalarNode):
        return bool(one.tag == other.tag and one.value == other.value)
    return one is None and other is None


_DIRECTIVE = "$patch"
_DIRECTIVES = ("merge", "replace", "delete")
# `$retainKeys`, `$setElementOrder` and the like are the API server's own, and kustomize's not.
_LEFT = "is left in what kustomize makes, where no kind has such a field"
# The lists that kustomize merges, and by which keys: those whose patch strategy is `merge` in its
# schema (Kubernetes 1.21), of which a manifest writes items that are no plain texts.
_NAME = ("name",)
_OF_CONTAINERS = {"env": _NAME, "volumeDevices": ("devicePath",), "volumeMounts": ("mountPath",)}
_PORTS = ("containerPort", "protocol")
_OF_PODS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("hostAliases",): ("ip",),
    ("imagePullSecrets",): _NAME,
    ("topologySpreadConstraints",): ("topologyKey", "whenUnsatisfiable"),
    ("volumes",): _NAME,
    ("containers", "[]", "ports"): _PORTS,
    ("initContainers", "[]", "ports"): _PORTS,
}
for _list in ("containers", "initContainers", "ephemeralContainers"):
    _OF_PODS[(_list,)] = _NAME
    _OF_PODS |= {(_list, "[]", key): by for key, by in _OF_CONTAINERS.items()}
_WEBHOOKS: dict[tuple[str, ...], tuple[str, ...]] = {("webhooks",): _NAME}
_OF_OTHERS: dict[tuple[str, str], dict[tuple[str, ...], tuple[str, ...]]] = {
    ("v1", "Service"): {("spec", "ports"): ("port", "protocol")},
    ("v1", "ServiceAccount"): {("secrets",): _NAME},
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration"): _WEBHOOKS,
    ("admissionregistration.k8s.io/v1beta1", "ValidatingWebhookConfiguration"): _WEBHOOKS,
}
# Where the pod is in the kinds that the schema knows; a kind it does not know has no merged lists.
_PODS: dict[tuple[str, str], tuple[str, ...]] = {
    ("v1", "Pod"): ("spec",),
    ("v1", "PodTemplate"): ("template", "spec"),
    ("v1", "ReplicationController"): ("spec", "template", "spec"),
    ("apps/v1", "Deployment"): ("spec", "template", "spec"),
    ("apps/v1", "StatefulSet"): ("spec", "template", "spec"),
    ("apps/v1", "DaemonSet"): ("spec", "template", "spec"),
    ("apps/v1", "ReplicaSet"): ("spec", "template", "spec"),
    ("batch/v1", "Job"): ("spec", "template", "spec"),
    ("batch/v1", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
    ("batch/v1beta1", "CronJob"): ("spec", "jobTemplate", "spec", "template", "spec"),
}
_ANNOTATIONS = ("metadata", "annotations")
_INDEX = regex(r"0|[1-9][0-9]{0,8}")


def strategic_merge(dest: yaml.Node, patch: yaml.Node) -> yaml.Node | None:
    """Return an object with a strategic merge patch applied; None where it deletes the object."""
    kind = (text_of(lookup(dest, "apiVersion")) or "", text_of(lookup(dest, "kind")) or "")
    pod = _PODS.get(kind)
    lists = _OF_OTHERS.get(kind, {}) if pod is None else _OF_PODS
    return _merge(dest, patch, (), _Lists(pod or (), lists))


@dataclass(frozen=True)
class _Lists:
    """The lists of a kind that are merged, by where they stand below a place."""

    below: tuple[str, ...]
    keys: Mapping[tuple[str, ...], tuple[str, ...]]

    def at(self, path: tuple[str, ...]) -> tuple[str, ...] | None:
        """Return the keys by which a list is merged; None for one that a patch replaces."""
        place = len(self.below)
        return self.keys.get(path[place:]) if path[:place] == self.below else None


def _merge(
    dest: yaml.Node | None, patch: yaml.Node | None, path: tuple[str, ...], lists: _Lists
) -> yaml.Node | None:
    """Return what a patch makes of a node; None where nothing is left."""
    if patch is None:
        return dest
    keys = lists.at(path)
    if isinstance(patch, yaml.SequenceNode) and keys is None:
        _refuse_directives(patch.value, path)
    directive, patch = _directive(patch)
    if is_null(patch) or directive == "delete":
        return None
    if dest is None or is_null(dest) or directive == "replace":
        return _added(patch, path)
    if type(dest) is not type(patch):
        raise TreeError(f"the patch has another shape than what it patches at {_shown(path)}")
    if isinstance(patch, yaml.MappingNode):
        return _merged_mapping(dest, patch, path, lists)
    return _merged_list(dest, patch, path, lists, keys) if keys is not None else patch


def _refuse_directives(nodes: Iterable[yaml.Node], path: tuple[str, ...]) -> None:
    """Raise `TreeError` for a directive that kustomize does not follow in some nodes."""
    odd = next((key for one in nodes for key in entries(one) if key.startswith("$")), None)
    if odd is not None:
        raise TreeError(f"{odd} at {_shown(path)} {_LEFT}")


def _merged_mapping(
    dest: yaml.Node, patch: yaml.Node, path: tuple[str, ...], lists: _Lists
) -> yaml.Node:
    changes = entries(patch)
    _refuse_directives((patch,), path)
    out = []
    for key, value in dest.value:
        text = text_of(key) or ""
        merged = _merge(value, changes.pop(text, None), (*path, text), lists)
        if merged is not None:
            out.append((key, merged))
    for key, value in patch.value:
        text = text_of(key) or ""
        if text in changes:
            added = _merge(None, value, (*path, text), lists)
            if added is not None:
                out.append((key, added))
    return mapping(out, dest)


def _merged_list(
    dest: yaml.Node, patch: yaml.Node, path: tuple[str, ...], lists: _Lists, keys: tuple[str, ...]
) -> yaml.Node | None:
    every = (*items_of(patch), *items_of(dest))
    used = [key for key in keys if any(text_of(lookup(one, key)) for one in every)]  # by the others
    present = _by_names(items_of(dest), path, used or keys)
    wanted = _by_names(items_of(patch), path, used or keys)
    out = []
    keep = len(used) > 1  # then what was there keeps its order, behind what is new
    begin = (name for name in wanted if not keep or name not in present)
    for name in dict.fromkeys((*begin, *present)):
        old, change = present.get(name, ()), wanted[name][0] if name in wanted else None
        if old and change is not None and _directive(change)[0] == "replace":
            change = None  # kustomize 5.7 puts the item first and leaves it as it was
        merged = _merge(old[0] if old else None, change, (*path, "[]"), lists)
        if merged is not None and merged.value:  # of several of one name the last is left, alone
            out.append(old[-1] if len(old) > 1 else merged)
    return sequence(out, dest) if out or not dest.value else None


def _by_names(
    items: Iterable[yaml.Node], path: tuple[str, ...], keys: Sequence[str]
) -> dict[tuple[str, ...], list[yaml.Node]]:
    """Return the items of a list by what they are merged by."""
    found: dict[tuple[str, ...], list[yaml.Node]] = {}
    for item in items:
        name = tuple(text_of(lookup(item, key)) or "" for key in keys)
        if not all(name):
            what = keys[name.index("")]
            raise UnfollowedError(f"an item of {_shown(path)} has no {what} to merge it by")
        same_name = found.pop(name, []) if len(keys) > 1 else found.get(name, [])
        found[name] = [*same_name, item]
    return found


def _directive(patch: yaml.Node) -> tuple[str, yaml.Node]:
    """Return what a patch says to do with its place, and the patch without that."""
    if isinstance(patch, yaml.MappingNode):
        found = text_of(lookup(patch, _DIRECTIVE))
        if found is None:
            return "merge", patch
        rest: yaml.Node = without(patch, _DIRECTIVE)
    elif isinstance(patch, yaml.SequenceNode):
        items = (item for item in patch.value if lookup(item, _DIRECTIVE) is not None)
        first = next(items, None)
        if first is None or len(first.value) > 1:  # it is of that item
            return "merge", patch
        found = text_of(lookup(first, _DIRECTIVE))
        rest = sequence((item for item in patch.value if item is not first), patch)
    else:
        return "merge", patch
    if found not in _DIRECTIVES:
        raise TreeError(f"the directive $patch: {found} is not known")
    return found, rest


def _added(patch: yaml.Node, path: tuple[str, ...]) -> yaml.Node | None:
    """Return what a patch adds where nothing was: nulls and directives in it mean nothing there."""
    if isinstance(patch, yaml.SequenceNode):
        return sequence(
            (one for item in patch.value if (one := _added(item, path)) is not None), patch
        )
    if not isinstance(patch, yaml.MappingNode):
        return patch
    directive, rest = _directive(patch)
    if directive == "delete":
        return None
    _refuse_directives((rest,), path)
    pairs = ((key, None if is_null(value) else _added(value, path)) for key, value in rest.value)
    return mapping(((key, value) for key, value in pairs if value is not None), rest)


def _shown(path: tuple[str, ...]) -> str:
    return ".".join(path) or "its top"


@dataclass(frozen=True)
class Operation:
    """One operation of a JSON patch; `path` is its pointer in steps."""

    op: str
    path: tuple[str, ...]
    source: tuple[str, ...] | None
    value: yaml.Node | None


def operations(patch: yaml.Node) -> tuple[Operation, ...]:
    """Return the operations of a JSON patch; raise `TreeError` where it is none."""
    found = []
    for item in items_of(patch):
        op, path = text_of(lookup(item, "op")), text_of(lookup(item, "path"))
        source = text_of(lookup(item, "from"))
        if op is None or path is None:
            raise TreeError("an operation of the JSON patch has no op or no path")
        steps = _steps(source) if source is not None else None
        found.append(Operation(op, _steps(path), steps, lookup(item, "value")))
    return tuple(found)


def apply_operations(root: yaml.Node, patch: Iterable[Operation]) -> yaml.Node:
    """Return a tree with the operations of a JSON patch done, in their order."""
    for operation in patch:
        root = _operated(root, operation)
    return root


def _operated(root: yaml.Node, operation: Operation) -> yaml.Node:
    path, value = operation.path, operation.value
    match operation.op:
        case "test":
            found = _at(root, path)
            if not same(found, value) and not (is_null(found) and is_null(value)):
                raise TreeError(f"the JSON patch tests {_pointer(path)}, which is another value")
            return root
        case "add" if value is not None:
            if path[:-1] == _ANNOTATIONS and _at(root, path[:-1]) is None:  # of its own, by then
                root = with_path(root, path[:-1], mapping((), value))
            return _changed(root, path, value, "add")
        case "replace" if value is not None:  # of a key that is not there it adds one
            return _changed(root, path, value, "replace")
        case "remove":
            _demand(root, path)
            return _changed(root, path, None, "remove")
        case "copy" | "move" if operation.source is not None:
            moved = _demand(root, operation.source)
            if operation.op == "move":
                root = _changed(root, operation.source, None, "remove")
            return _changed(root, path, moved, "add")
    raise TreeError(f"the operation {operation.op} of {_pointer(path)} is not followed")


def _demand(root: yaml.Node, path: tuple[str, ...]) -> yaml.Node:
    found = _at(root, path)
    if found is None or not path:
        raise TreeError(f"the JSON patch wants {_pointer(path)}, which is not there")
    return found


def _at(root: yaml.Node, path: tuple[str, ...]) -> yaml.Node | None:
    node: yaml.Node | None = root
    for step in path:
        if isinstance(node, yaml.SequenceNode):
            index = _index(step, len(node.value) - 1)
            node = node.value[index]
        else:
            node = lookup(node, step)
    return node


def _changed(node: yaml.Node, path: tuple[str, ...], value: yaml.Node | None, op: str) -> yaml.Node:
    if not path:
        raise TreeError("a JSON patch of the whole object is not followed")
    step, rest = path[0], path[1:]
    if isinstance(node, yaml.SequenceNode):
        return _changed_list(node, step, rest, value, op)
    below = lookup(node, step)
    if rest:
        if below is None:
            raise TreeError(f"the JSON patch wants {step}, which is not there")
        return with_entry(node, step, _changed(below, rest, value, op))
    return without(node, step) if value is None else with_entry(node, step, value)


def _changed_list(
    node: yaml.Node, step: str, rest: tuple[str, ...], value: yaml.Node | None, op: str
) -> yaml.Node:
    items = list(node.value)
    if rest:
        index = _index(step, len(items) - 1)
        items[index] = _changed(items[index], rest, value, op)
    elif value is None:
        del items[_index(step, len(items) - 1)]
    elif op == "replace":
        items[_index(step, len(items) - 1)] = value
    else:
        items.insert(len(items) if step == "-" else _index(step, len(items)), value)
    return sequence(items, node)


def _index(step: str, last: int) -> int:
    if not _INDEX.fullmatch(step) or int(step) > last:
        raise TreeError(f"the JSON patch wants item {step} of a list, which is not there")
    return int(step)


def _steps(pointer: str) -> tuple[str, ...]:
    if pointer and not pointer.startswith("/"):
        raise TreeError(f"'{pointer}' is no JSON pointer")
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _pointer(path: tuple[str, ...]) -> str:
    return "/" + "/".join(path)

"""The whole grammar of what can change an image on its way to the cluster, as one table. Pure.

Every field of kustomize's Kustomization and Component (api/types/kustomization.go, v5, with the
old fields it still reads), of Flux's Kustomization (kustomize.toolkit.fluxcd.io/v1) and HelmRelease
(helm.toolkit.fluxcd.io/v2) is in here as one of: it cannot touch an image, it is followed exactly,
or it is not understood. A field that is not in here is not understood: what could touch an image
and is not followed makes the effect unknown. docs/manifests.md has the same tables.
"""

from __future__ import annotations

import posixpath
from enum import Enum
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.objects import ACCEPT, LOOK, Unknown
from gitops_rollback.manifest.document import (
    is_null,
    items_of,
    line_of,
    lookup,
    printed,
    reads_as_text,
    text_of,
    truth_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Shape = str | list["Shape"] | dict[str, "Shape"]

_MERGED = "<<"  # the key by which YAML takes in another mapping
_NO_FIELD = "kustomize has no such field that is known here: the build fails"
_MEND, _QUOTE = (
    f"mend it, {ACCEPT}",
    f"write it so (a text that looks like none in quotes), {ACCEPT}",
)


class Touch(Enum):
    """What a field means for images."""

    NEVER = "cannot touch an image"
    FOLLOWED = "followed"
    NOT_UNDERSTOOD = "not understood"


def _table(*, followed: str = "", never: str = "", not_understood: str = "") -> dict[str, Touch]:
    """Return fields, given as words, with what they mean."""
    return {
        **dict.fromkeys(followed.split(), Touch.FOLLOWED),
        **dict.fromkeys(never.split(), Touch.NEVER),
        **dict.fromkeys(not_understood.split(), Touch.NOT_UNDERSTOOD),
    }


# `openapi` says how lists are merged: a patch that merges some is not followed.
KUSTOMIZATION = _table(
    followed="""
        kind openapi namePrefix nameSuffix namespace commonLabels labels commonAnnotations
        patchesStrategicMerge patchesJson6902 patches images imageTags replacements vars resources
        components bases configMapGenerator configurations generators transformers
    """,
    never="""
        apiVersion metadata replicas sortOptions crds secretGenerator helmGlobals generatorOptions
        validators buildMetadata
    """,
    not_understood="helmCharts helmChartInflationGenerator",
)
_TEXT, _NUMBER, _TRUTH = "a text", "a whole number", "true or false"
_ANY = "*"  # key of a mapping


def _texts(names: str) -> dict[str, Shape]:
    return dict.fromkeys(names.lower().split(), _TEXT)


def _lists(names: str) -> dict[str, Shape]:
    return {key: [_TEXT] for key in names.lower().split()}


_TEXTS: dict[str, Shape] = {_ANY: _TEXT}
_MARKS: dict[str, Shape] = {"labels": _TEXTS, "annotations": _TEXTS}
_CHOICE = _texts("group version kind name namespace annotationSelector labelSelector")
_PART: dict[str, Shape] = {**_texts("delimiter encoding"), "index": _NUMBER, "create": _TRUTH}
_PLACE: dict[str, Shape] = {**_texts("group version kind path"), "create": _TRUTH}
_PATCH: dict[str, Shape] = {**_texts("path patch"), "target": _CHOICE, "options": {_ANY: _TRUTH}}
_OPTIONS: dict[str, Shape] = {**_MARKS, "disablenamesuffixhash": _TRUTH, "immutable": _TRUTH}
_GENERATOR: dict[str, Shape] = {
    **_texts("name namespace behavior env type"),
    **_lists("literals files envs"),
    "options": _OPTIONS,
}
_IMAGE = _texts("name newName newTag tagSuffix digest")
# What kustomize reads the fields into (api/types, v5), which it refuses to do with anything else;
# their names in small letters, for it takes any case.
_SHAPE: Shape = {
    **_texts("apiVersion kind namePrefix nameSuffix namespace"),
    **_lists("patchesStrategicMerge resources components crds bases configurations generators"),
    **_lists("transformers validators buildMetadata"),
    **dict.fromkeys(("openapi", "commonlabels", "commonannotations"), _TEXTS),
    **{key: [_PATCH] for key in ("patches", "patchesjson6902")},
    **{key: [_IMAGE] for key in ("images", "imagetags")},
    **{key: [_GENERATOR] for key in ("configmapgenerator", "secretgenerator")},
    "metadata": {**_texts("name namespace"), **_MARKS},
    "labels": [
        {
            "pairs": _TEXTS,
            "includeselectors": _TRUTH,
            "includetemplates": _TRUTH,
            "fields": [_PLACE],
        }
    ],
    "replacements": [
        {
            **_texts("path sourceValue"),
            "source": {**_texts("group version kind name namespace fieldPath"), "options": _PART},
            "targets": [
                {
                    "select": _CHOICE,
                    "reject": [_CHOICE],
                    "fieldpaths": [_TEXT],
                    "options": _PART,
                }
            ],
        }
    ],
    "replicas": [{"name": _TEXT, "count": _NUMBER}],
    "vars": [
        {
            "name": _TEXT,
            "objref": _texts("apiVersion group version kind name namespace"),
            "fieldref": {"fieldpath": _TEXT},
        }
    ],
    "sortoptions": {"order": _TEXT, "legacysortoptions": _lists("orderFirst orderLast")},
    "generatoroptions": _OPTIONS,
}
# What `configurations` say (api/internal/plugins/builtinconfig/transformerconfig.go).
_LISTS = """
    namePrefix nameSuffix namespace commonLabels labels templateLabels commonAnnotations
    varReference images replicas
"""
CONFIGURATION: Shape = {
    **{key: [_PLACE] for key in _LISTS.lower().split()},
    "namereference": [{**_texts("group version kind"), "fieldspecs": [_PLACE]}],
}
# The transformers that `transformers` can name and kustomize has built in (api/internal/plugins).
TRANSFORMERS = _table(
    followed="""
        AnnotationsTransformer ImageTagTransformer LabelTransformer NamespaceTransformer
        PatchJson6902Transformer PatchStrategicMergeTransformer PatchTransformer
        PrefixSuffixTransformer PrefixTransformer SuffixTransformer ReplacementTransformer
    """,
    never="HashTransformer ReplicaCountTransformer SortOrderTransformer",
    not_understood="ValueAddTransformer",
)
GENERATORS = _table(
    followed="ConfigMapGenerator",
    never="SecretGenerator IAMPolicyGenerator",
    not_understood="HelmChartInflationGenerator",
)
# `commonMetadata` is set by Flux on what was built.
FLUX_KUSTOMIZATION = _table(
    followed="""
        components decryption ignore ignoreMissingComponents images namePrefix nameSuffix patches
        patchesJson6902 patchesStrategicMerge path postBuild sourceRef suspend targetNamespace
    """,
    never="""
        buildMetadata commonMetadata deletionPolicy dependsOn force healthCheckExprs healthChecks
        interval kubeConfig prune retryInterval serviceAccountName timeout validation wait
    """,
)
POST_BUILD = _table(followed="substitute substituteFrom substituteStrategy")
# What lies in a submodule (`recurseSubmodules`) is no file of this repository.
GIT_REPOSITORY = _table(
    followed="ignore include ref sparseCheckout suspend url verify",
    never="""
        accessFrom gitImplementation interval provider proxySecretRef recurseSubmodules secretRef
        serviceAccountName timeout
    """,
)
# `postRenderStrategy` says whether hooks are rendered, too.
HELM_RELEASE = _table(
    followed="chart chartRef postRenderers suspend values valuesFrom",
    never="""
        commonMetadata dependsOn driftDetection healthCheckExprs install interval kubeConfig
        maxHistory persistentClient postRenderStrategy releaseName rollback serviceAccountName
        storageNamespace targetNamespace test timeout uninstall upgrade waitStrategy
    """,
)
# What an Application of Argo CD says of kustomize, and of a chart (argoproj/argo-cd,
# ApplicationSourceKustomize, ApplicationSourceHelm).
ARGO_KUSTOMIZE = _table(
    followed="images",
    never="""
        version namePrefix nameSuffix commonLabels commonAnnotations commonAnnotationsEnvsubst
        forceCommonLabels forceCommonAnnotations labelWithoutSelector labelIncludeTemplates replicas
        namespace
    """,
)
ARGO_HELM = _table(
    followed="fileParameters parameters valueFiles values valuesObject",
    never="""
        ignoreMissingValueFiles namespace passCredentials releaseName skipCrds skipSchemaValidation
        skipTests version
    """,
)
POST_RENDERER = _table(followed="images patches patchesJson6902 patchesStrategicMerge")


def odd_fields(
    path: str, node: yaml.Node | None, table: Mapping[str, Touch], of: str
) -> Iterator[Unknown]:
    """Yield the fields of a mapping that the table does not know, or does not understand."""
    for key, _value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = text_of(key) or ""
        touch = table.get(name)
        if touch is None:
            why = f"{of} has no such field that is known here"
            yield Unknown(path, key.start_mark.line + 1, name, why, LOOK)
        elif touch is Touch.NOT_UNDERSTOOD:
            why = "what it makes is not followed"
            yield Unknown(path, key.start_mark.line + 1, name, why, LOOK)


def misshapen(
    path: str, node: yaml.Node, line: int = 1, shape: Shape = _SHAPE, of: str = ""
) -> Iterator[Unknown]:
    """Yield what of a kustomization cannot be read: a number for a text, one item for a list.

    `line` is that of its key. Fields of the whole that there are not are told by `odd_fields`.
    """
    if is_null(node) or _is_of(node, shape):
        return
    if isinstance(shape, list) and isinstance(node, yaml.SequenceNode):
        for item in node.value:
            start = line if isinstance(item, yaml.ScalarNode) else line_of(item)
            yield from misshapen(path, item, start, shape[0], of)
    elif isinstance(shape, dict) and isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            name = text_of(key) or ""
            inner = shape.get(_ANY) or shape.get(name.lower())
            within = f"{of}.{name}" if of else name
            if inner is not None:
                yield from misshapen(path, value, line_of(key), inner, within)
            elif of and name != _MERGED:
                yield Unknown(path, line_of(key), within, _NO_FIELD, _MEND, is_of_form=True)
    else:
        wanted = "a list" if isinstance(shape, list) else "a mapping"
        wanted, hint = (shape, _QUOTE) if isinstance(shape, str) else (wanted, _MEND)
        why = f"kustomize reads {wanted} there, and this is none: the build fails"
        yield Unknown(path, line, of or "this file", why, hint, is_of_form=True)


def unmakeable(path: str, root: yaml.Node | None) -> Iterator[Unknown]:
    """Yield what kustomize reads, and cannot make: generators without names or keys.

    Its own rules (api/kv, api/internal/generators, PatchTransformer, SortOrderTransformer).
    """

    def unknown(node: yaml.Node, what: str, why: str) -> Unknown:
        return Unknown(path, line_of(node), what, f"{why}: the build fails", _MEND)

    for kind in ("configMapGenerator", "secretGenerator"):
        for one in items_of(lookup(root, kind)):
            yield from (unknown(one, kind, why) for why in _flaws_of(one))
    for key in ("patches", "patchesJson6902"):
        for one in items_of(lookup(root, key)):
            if text_of(lookup(one, "path")) and text_of(lookup(one, "patch")):
                yield unknown(one, key, "it has a path and a patch, of which it takes one")
    openapi = lookup(root, "openapi")
    if openapi is not None and text_of(lookup(openapi, "path")) and lookup(openapi, "version"):
        yield unknown(openapi, "openapi", "it has a path and a version, of which it takes one")
    order = lookup(lookup(root, "sortOptions"), "order")
    if order is not None and text_of(order) not in ("", "fifo", "legacy"):
        yield unknown(order, "sortOptions", "its order is fifo or legacy")


def _flaws_of(generator: yaml.Node) -> Iterator[str]:
    """Yield why nothing is generated."""
    if not text_of(lookup(generator, "name")):
        yield "it has no name"
    keys: list[str] = []
    for one in _texts_of(lookup(generator, "literals")):
        key, is_given, _value = one.partition("=")
        if not (key and is_given):
            yield f"{one} in literals is no key=value"
        keys.append(key)
    for one in _texts_of(lookup(generator, "files")):
        key, is_given, named = one.partition("=")
        if (is_given and not key) or "=" in named:
            yield f"{one} in files is no path, nor key=path"
        keys.append(key if is_given else posixpath.basename(one))
    twice = next((key for number, key in enumerate(keys) if key in keys[:number]), None)
    if twice is not None:
        yield f"the key {twice} is there twice"


def _texts_of(listed: yaml.Node | None) -> list[str]:
    """Return the texts of a list; what is none is told by `misshapen`."""
    scalars = (one for one in items_of(listed) if isinstance(one, yaml.ScalarNode))
    return [str(one.value) for one in scalars if reads_as_text(one)]


def _is_of(node: yaml.Node, shape: Shape) -> bool:
    if not isinstance(node, yaml.ScalarNode):
        return False
    if shape == _TEXT:
        return reads_as_text(node)
    if shape == _TRUTH:
        return truth_of(node) is not None
    return shape == _NUMBER and printed(node).removeprefix("-").isdecimal()

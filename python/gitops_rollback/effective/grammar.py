"""The whole grammar of what can change an image on its way to the cluster, as one table. Pure.

Every field of kustomize's Kustomization and Component (api/types/kustomization.go, v5, with the
old fields it still reads), of Flux's Kustomization (kustomize.toolkit.fluxcd.io/v1) and HelmRelease
(helm.toolkit.fluxcd.io/v2) is in here as one of: it cannot touch an image, it is followed exactly,
or it is not understood. A field that is not in here is not understood: what could touch an image
and is not followed makes the effect unknown. docs/manifests.md has the same tables.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import yaml

from gitops_rollback.effective.objects import LOOK, Unknown
from gitops_rollback.manifest.document import text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


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

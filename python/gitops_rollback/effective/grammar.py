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


_NEVER, _FOLLOWED, _UNKNOWN = Touch.NEVER, Touch.FOLLOWED, Touch.NOT_UNDERSTOOD

KUSTOMIZATION: dict[str, Touch] = {
    "apiVersion": _NEVER,
    "kind": _FOLLOWED,
    "metadata": _NEVER,
    "openapi": _FOLLOWED,  # it says how lists are merged: a patch that merges some is not followed
    "namePrefix": _FOLLOWED,
    "nameSuffix": _FOLLOWED,
    "namespace": _FOLLOWED,
    "commonLabels": _FOLLOWED,
    "labels": _FOLLOWED,
    "commonAnnotations": _FOLLOWED,
    "patchesStrategicMerge": _FOLLOWED,
    "patchesJson6902": _FOLLOWED,
    "patches": _FOLLOWED,
    "images": _FOLLOWED,
    "imageTags": _FOLLOWED,
    "replacements": _FOLLOWED,
    "replicas": _NEVER,
    "vars": _FOLLOWED,
    "sortOptions": _NEVER,
    "resources": _FOLLOWED,
    "components": _FOLLOWED,
    "crds": _NEVER,
    "bases": _FOLLOWED,
    "configMapGenerator": _FOLLOWED,
    "secretGenerator": _NEVER,
    "helmGlobals": _NEVER,
    "helmCharts": _UNKNOWN,
    "helmChartInflationGenerator": _UNKNOWN,
    "generatorOptions": _NEVER,
    "configurations": _FOLLOWED,
    "generators": _FOLLOWED,
    "transformers": _FOLLOWED,
    "validators": _NEVER,
    "buildMetadata": _NEVER,
}

# The transformers that `transformers` can name and kustomize has built in (api/internal/plugins).
TRANSFORMERS: dict[str, Touch] = {
    "AnnotationsTransformer": _FOLLOWED,
    "HashTransformer": _NEVER,
    "ImageTagTransformer": _FOLLOWED,
    "LabelTransformer": _FOLLOWED,
    "NamespaceTransformer": _FOLLOWED,
    "PatchJson6902Transformer": _FOLLOWED,
    "PatchStrategicMergeTransformer": _FOLLOWED,
    "PatchTransformer": _FOLLOWED,
    "PrefixSuffixTransformer": _FOLLOWED,
    "PrefixTransformer": _FOLLOWED,
    "SuffixTransformer": _FOLLOWED,
    "ReplacementTransformer": _FOLLOWED,
    "ReplicaCountTransformer": _NEVER,
    "SortOrderTransformer": _NEVER,
    "ValueAddTransformer": _UNKNOWN,
}
GENERATORS: dict[str, Touch] = {
    "ConfigMapGenerator": _FOLLOWED,
    "SecretGenerator": _NEVER,
    "IAMPolicyGenerator": _NEVER,
    "HelmChartInflationGenerator": _UNKNOWN,
}

FLUX_KUSTOMIZATION: dict[str, Touch] = {
    "buildMetadata": _NEVER,
    "commonMetadata": _NEVER,  # Flux sets it on what was built
    "components": _FOLLOWED,
    "decryption": _FOLLOWED,
    "deletionPolicy": _NEVER,
    "dependsOn": _NEVER,
    "force": _NEVER,
    "healthCheckExprs": _NEVER,
    "healthChecks": _NEVER,
    "ignore": _FOLLOWED,
    "ignoreMissingComponents": _FOLLOWED,
    "images": _FOLLOWED,
    "interval": _NEVER,
    "kubeConfig": _NEVER,
    "namePrefix": _FOLLOWED,
    "nameSuffix": _FOLLOWED,
    "patches": _FOLLOWED,
    "patchesJson6902": _FOLLOWED,
    "patchesStrategicMerge": _FOLLOWED,
    "path": _FOLLOWED,
    "postBuild": _FOLLOWED,
    "prune": _NEVER,
    "retryInterval": _NEVER,
    "serviceAccountName": _NEVER,
    "sourceRef": _FOLLOWED,
    "suspend": _FOLLOWED,
    "targetNamespace": _FOLLOWED,
    "timeout": _NEVER,
    "validation": _NEVER,
    "wait": _NEVER,
}
GIT_REPOSITORY: dict[str, Touch] = {
    "accessFrom": _NEVER,
    "gitImplementation": _NEVER,
    "ignore": _FOLLOWED,
    "include": _FOLLOWED,
    "interval": _NEVER,
    "provider": _NEVER,
    "proxySecretRef": _NEVER,
    "recurseSubmodules": _NEVER,  # what lies in a submodule is no file of this repository
    "ref": _FOLLOWED,
    "secretRef": _NEVER,
    "serviceAccountName": _NEVER,
    "sparseCheckout": _FOLLOWED,
    "suspend": _FOLLOWED,
    "timeout": _NEVER,
    "url": _FOLLOWED,
    "verify": _FOLLOWED,
}
POST_BUILD: dict[str, Touch] = {
    "substitute": _FOLLOWED,
    "substituteFrom": _FOLLOWED,
    "substituteStrategy": _FOLLOWED,
}

HELM_RELEASE: dict[str, Touch] = {
    "chart": _FOLLOWED,
    "chartRef": _FOLLOWED,
    "commonMetadata": _NEVER,
    "dependsOn": _NEVER,
    "driftDetection": _NEVER,
    "healthCheckExprs": _NEVER,
    "install": _NEVER,
    "interval": _NEVER,
    "kubeConfig": _NEVER,
    "maxHistory": _NEVER,
    "persistentClient": _NEVER,
    "postRenderStrategy": _NEVER,  # whether hooks are rendered, too
    "postRenderers": _FOLLOWED,
    "releaseName": _NEVER,
    "rollback": _NEVER,
    "serviceAccountName": _NEVER,
    "storageNamespace": _NEVER,
    "suspend": _FOLLOWED,
    "targetNamespace": _NEVER,
    "test": _NEVER,
    "timeout": _NEVER,
    "uninstall": _NEVER,
    "upgrade": _NEVER,
    "values": _FOLLOWED,
    "valuesFrom": _FOLLOWED,
    "waitStrategy": _NEVER,
}
POST_RENDERER: dict[str, Touch] = {
    "images": _FOLLOWED,
    "patches": _FOLLOWED,
    "patchesJson6902": _FOLLOWED,
    "patchesStrategicMerge": _FOLLOWED,
}


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

"""A chart beside the manifests that use it, and releases of it."""

from __future__ import annotations

import json
from typing import Any

from flux.fleet import CART, image

CHART = "charts/cart"
VALUES = f"{CHART}/values.yaml"
SOURCE = {"kind": "GitRepository", "name": "shop"}
TEMPLATED = {"chart": f"./{CHART}", "sourceRef": SOURCE, "reconcileStrategy": "Revision"}
# The image is one text in a release's values, or a mapping as charts have it: see `chart`.
TEMPLATE = """\
{{- if eq .Values.mode "broken" }}{{ fail "the mode broken is not known" }}{{ end }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 2
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers:
        - name: server
          image: {{ .Values.image }}
"""
_IN_PARTS = "{{ .Values.image.repository }}:{{ .Values.image.tag }}@{{ .Values.image.digest }}"


def chart(tag: str = "") -> dict[str, str]:
    """Return the files of the chart; with a tag its values name an image."""
    repository, _, rest = image(tag).partition(":")
    version, _, digest = rest.partition("@")
    parts = {"repository": repository, "tag": version, "digest": digest}
    values = {"mode": "fine", "image": parts if tag else ""}
    return {
        f"{CHART}/Chart.yaml": "apiVersion: v2\nname: cart\nversion: 0.1.0\n",
        f"{CHART}/templates/deployment.yaml": TEMPLATE.replace("{{ .Values.image }}", _IN_PARTS)
        if tag
        else TEMPLATE,
        VALUES: json.dumps(values, indent=1) + "\n",
    }


def helm_chart() -> str:
    """Return the manifest of a HelmChart of the chart, which a `chartRef` may name."""
    document = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "HelmChart",
        "metadata": {"name": "cart"},
        "spec": {"interval": "10m", **TEMPLATED},
    }
    return json.dumps(document, indent=1) + "\n"


def release(values: dict[str, Any], **spec: Any) -> str:  # noqa: ANN401 - fields of a spec
    """Return the manifest of a HelmRelease of the chart; `spec` goes into its spec.

    None takes a field away.
    """
    document: dict[str, Any] = {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "cart"},
        "spec": {
            "interval": "10m",
            "timeout": "30s",
            "chart": {"spec": TEMPLATED},
            "values": values,
            **spec,
        },
    }
    wanted = {key: value for key, value in document["spec"].items() if value is not None}
    return json.dumps(document | {"spec": wanted}, indent=1) + "\n"


def released(tag: str = "3.8", **spec: Any) -> dict[str, str]:  # noqa: ANN401 - the same
    """Return a repository whose release names the image in its values."""
    return {CART: release({"mode": "fine", "image": image(tag)}, **spec), **chart()}

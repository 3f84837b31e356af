"""Random layers of Helm values: a chart in the repository, and what Flux or Argo CD give to it.

Each is made from a seed alone. The judge is `helm template`, to which the layers are handed as the
documentation of the two says, written here a second time.
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass, field

import yaml

from integration.random_trees import as_yaml
from unit.builders import digest

_TAGS = ("1.4.2", "v2", "main-3f2a1", "1.10", "20260115")
_OTHER = ({"replicas": 2}, {"resources": {"limits": {"cpu": 1}}}, {"extra": [1, 2]})
CHART = "charts/cart"
SPLIT, WHOLE, PARTS = "split", "whole", "parts"
_TEMPLATES = {
    SPLIT: '"{{ .Values.%(at)s.repository }}:{{ .Values.%(at)s.tag }}"',
    WHOLE: '"{{ .Values.%(at)s }}"',
    PARTS: (
        '"{{ .Values.%(at)s.registry }}/{{ .Values.%(at)s.repository }}'
        "{{ with .Values.%(at)s.tag }}:{{ . }}{{ end }}"
        '{{ with .Values.%(at)s.digest }}@{{ . }}{{ end }}"'
    ),
}
_UNREAD, _HELPED = 0.1, 0.15  # of so many charts
_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: {{ .Values.replicas | default 1 }}
  template:
    spec:
      containers:
      - name: server
        image: %s
      - name: proxy
        image: "envoyproxy/envoy:v1.29"
"""


@dataclass
class RandomChart:
    """Files by path; `argo` tells that Argo CD applies them, else Flux; `root` is what is built."""

    seed: int
    files: dict[str, str] = field(default_factory=dict)
    argo: bool = False
    root: str = ""

    def put(self, path: str, value: object) -> None:
        """Write a value as YAML."""
        self.files[path] = as_yaml(value, self.seed)


def random_chart(seed: int) -> RandomChart:
    """Make the chart of a seed, with its layers."""
    return _Maker(seed).make()


class _Maker:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.tree = RandomChart(seed)
        self.shape = self.draw.choice([SPLIT, SPLIT, WHOLE, PARTS])
        self.at = self.draw.choice([("image",), ("server", "image")])
        self.said = False

    def make(self) -> RandomChart:
        """Make the chart, and what gives values to it."""
        tree, draw = self.tree, self.draw
        tree.put(f"{CHART}/Chart.yaml", {"apiVersion": "v2", "name": "cart", "version": "0.1.0"})
        image = self._image()
        tree.files[f"{CHART}/templates/deployment.yaml"] = _DEPLOYMENT % image
        tree.put(f"{CHART}/values.yaml", self._values(whole=draw.random() < 0.8))
        tree.argo = draw.random() < 0.4
        if tree.argo:
            self._application()
        else:
            self._release()
        return tree

    def _image(self) -> str:
        """Make what the template says of the image: a few read no value, some by a helper."""
        image = _TEMPLATES[self.shape] % {"at": ".".join(self.at)}
        kind = self.draw.random()
        if kind < _UNREAD:
            return '"acme/cart:1.0.0"'
        if kind < _UNREAD + _HELPED:
            text = f'{{{{- define "cart.image" -}}}}{image.strip(chr(34))}{{{{- end -}}}}\n'
            self.tree.files[f"{CHART}/templates/_helpers.tpl"] = text
            return '"{{ include "cart.image" . }}"'
        return image

    def _values(self, *, whole: bool) -> dict[str, object]:
        """Make a layer: the image as a whole, a part of it, or something else."""
        draw = self.draw
        tag = draw.choice(_TAGS)
        image: object = f"acme/cart:{tag}"
        if self.shape != WHOLE:
            parts = {"repository": "acme/cart", "tag": tag}
            if self.shape == PARTS:
                parts = {"registry": "docker.io", **parts}
                if draw.random() < 0.3:
                    parts["digest"] = digest("old")
            image = parts if whole or draw.random() < 0.4 else {"tag": tag}
        layer: object = image
        for key in reversed(self.at):
            layer = {key: layer}
        assert isinstance(layer, dict)
        if not whole and draw.random() < 0.4:
            layer = {}
        return {**layer, **copy.deepcopy(draw.choice(_OTHER))}

    def _layer(self) -> dict[str, object]:
        return self._values(whole=self.draw.random() < 0.3)

    def _release(self) -> None:
        draw, tree = self.draw, self.tree
        chart: dict[str, object] = {
            "chart": f"./{CHART}",
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
        }
        if draw.random() < 0.8:
            chart["reconcileStrategy"] = "Revision"
        spec: dict[str, object] = {"interval": "5m", "chart": {"spec": chart}}
        if draw.random() < 0.3:
            tree.put(f"{CHART}/values-prod.yaml", self._layer())
            chart["valuesFiles"] = [f"./{CHART}/values.yaml", f"./{CHART}/values-prod.yaml"]
        objects: list[dict[str, object]] = []
        if draw.random() < 0.4:
            key = draw.choice(["values.yaml", "prod.yaml"])
            text = yaml.safe_dump(self._layer(), sort_keys=False)
            objects.append(_object("v1", "ConfigMap", "cart-values", {"data": {key: text}}))
            source = {"kind": "ConfigMap", "name": "cart-values"}
            spec["valuesFrom"] = [source if key == "values.yaml" else {**source, "valuesKey": key}]
        if draw.random() < 0.7:
            spec["values"] = self._layer()
        group = "helm.toolkit.fluxcd.io/v2"
        objects.insert(0, _object(group, "HelmRelease", "cart", {"spec": spec}))
        folder = "base" if draw.random() < 0.6 else "apps"
        for number, one in enumerate(objects):
            tree.put(f"{folder}/{number}.yaml", one)
        if folder == "base":
            listed = [f"{number}.yaml" for number in range(len(objects))]
            tree.put("base/kustomization.yaml", {"resources": listed})
            self._overlay(group)

    def _overlay(self, group: str) -> None:
        draw, tree = self.draw, self.tree
        overlay: dict[str, object] = {"resources": ["../base"]}
        patch = _object(group, "HelmRelease", "cart", {"spec": {"values": self._layer()}})
        form = draw.choice(["none", "file", "inline", "json"])
        if form == "file":
            tree.put("prod/patch.yaml", patch)
            overlay["patches"] = [{"path": "patch.yaml"}]
        elif form == "inline":
            overlay["patches"] = [{"patch": yaml.safe_dump(patch, sort_keys=False)}]
        elif form == "json":
            value = {"op": "add", "path": "/spec/values", "value": self._layer()}
            tree.put("prod/json.yaml", [value])
            overlay["patches"] = [{"path": "json.yaml", "target": {"kind": "HelmRelease"}}]
        if draw.random() < 0.2:
            overlay["namespace"] = "shop"
        tree.put("prod/kustomization.yaml", overlay)
        tree.root = "prod"

    def _application(self) -> None:
        draw, tree = self.draw, self.tree
        helm: dict[str, object] = {}
        source: dict[str, object] = {"repoURL": "https://github.com/acme/fleet", "path": CHART}
        sources = [source]
        if draw.random() < 0.3:
            tree.put(f"{CHART}/values-prod.yaml", self._layer())
            helm["valueFiles"] = ["values-prod.yaml"]
        elif draw.random() < 0.3:
            tree.put("envs/prod.yaml", self._layer())
            helm["valueFiles"] = ["$here/envs/prod.yaml"]
            sources.append({"repoURL": "https://github.com/acme/fleet", "ref": "here"})
        if draw.random() < 0.4:
            helm["values"] = yaml.safe_dump(self._layer(), sort_keys=False)
        if draw.random() < 0.3:
            helm["valuesObject"] = self._layer()
        if draw.random() < 0.3:
            key = ".".join(self.at) + (".tag" if self.shape != WHOLE else "")
            text = "1.7" if self.shape != WHOLE else "acme/cart:1.7"
            helm["parameters"] = [{"name": key, "value": text}]
        if draw.random() < 0.2:
            overrides = {"parameters": [{"name": "replicas", "value": "3"}]}
            tree.put(f"{CHART}/.argocd-source-cart.yaml", {"helm": overrides})
        if helm:
            source["helm"] = helm
        spec = {"source": source} if len(sources) == 1 else {"sources": sources}
        one = _object("argoproj.io/v1alpha1", "Application", "cart", {"spec": spec})
        tree.put("argo/cart.yaml", one)


def _object(version: str, kind: str, name: str, more: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def _laid(under: dict[str, object], over: dict[str, object]) -> dict[str, object]:
    """Flux's own way (fluxcd/pkg, chartutil/merge.go): what is not merged is shared, not copied."""
    out = dict(under)
    for key, value in over.items():
        known = out.get(key)
        both = isinstance(value, dict) and isinstance(known, dict)
        out[key] = _laid(known, value) if both else value  # type: ignore[arg-type]
    return out


def _put(values: object, keys: list[str], text: str) -> None:
    """Set a text in values as they are, whoever shares what it stands in (helm, pkg/strvals).

    Raises `TypeError` where helm fails: what is on the way is no mapping.
    """
    if not isinstance(values, dict):
        raise TypeError(keys)
    if len(keys) > 1:
        _put(values.setdefault(keys[0], {}), keys[1:], text)
        return
    is_number = text.isdecimal() and (text == "0" or text[0] != "0")
    typed: dict[str, object] = {"true": True, "false": False}
    values[keys[0]] = int(text) if is_number else typed.get(text, text)


def post_renderers_of(tree: RandomChart, built: str) -> list[dict[str, object]]:
    """Return what the post-renderers of a release are to kustomize."""
    objects = [] if tree.argo else [one for one in yaml.safe_load_all(built) if one]
    specs = (one["spec"] for one in objects if one.get("kind") == "HelmRelease")
    return [one["kustomize"] for spec in specs for one in spec.get("postRenderers", [])]


def layers_of(tree: RandomChart, files: dict[str, str], built: str) -> list[object]:
    """Return the layers of values, the chart's own first: mappings, or `NAME=TEXT` of a parameter.

    `built` is what kustomize makes of the tree, or all of its files one after the other.
    """
    objects = [one for one in yaml.safe_load_all(built) if isinstance(one, dict)]

    def read(path: str) -> object:
        return yaml.safe_load(files[path.removeprefix("./")])

    if tree.argo:
        spec = next(one for one in objects if one.get("kind") == "Application")["spec"]
        source = spec.get("source") or spec["sources"][0]
        helm = dict(source.get("helm", {}))
        helm |= yaml.safe_load(files.get(f"{CHART}/.argocd-source-cart.yaml", "{}")).get("helm", {})
        layers = [read(f"{CHART}/values.yaml")]
        written = helm.get("valueFiles", [])
        paths = [p.partition("/")[2] if p[0] == "$" else f"{CHART}/{p}" for p in written]
        layers += [read(path) for path in paths]
        own = helm.get("valuesObject") or yaml.safe_load(helm.get("values", "{}"))
        return [*layers, own, *(f"{p['name']}={p['value']}" for p in helm.get("parameters", []))]
    spec = next(one for one in objects if one.get("kind") == "HelmRelease")["spec"]
    chart = spec["chart"]["spec"]
    layers = [read(path) for path in chart.get("valuesFiles", [f"{CHART}/values.yaml"])]
    given: dict[str, object] = {}
    own = spec.get("values", {})
    for source in spec.get("valuesFrom", []):
        named = (one for one in objects if one.get("kind") == "ConfigMap")
        data = next(one for one in named if one["metadata"]["name"] == source["name"])["data"]
        text = data[source.get("valuesKey", "values.yaml")]
        if "targetPath" not in source:
            given = _laid(given, yaml.safe_load(text) or {})
            continue
        given = _laid(given, own)
        _put(given, source["targetPath"].split("."), text)
    return [*layers, _laid(given, own)]

"""Random charts with what is rarer in them: libraries, charts within, post-renderers and more.

A chart of a seed is taken (`random_charts`), and gets one or two constructs more.
"""

from __future__ import annotations

import random
import re
from typing import Any

import yaml

from integration.random_charts import CHART, RandomChart, random_chart

_TEMPLATE = f"{CHART}/templates/deployment.yaml"
_VALUES = f"{CHART}/values.yaml"
_TAG = ".tag }}"
_CONDITIONS = (
    ".Values.web.enabled",
    "(.Values.web).enabled",
    "and .Values.web .Values.web.enabled",
    'or (not (hasKey .Values "web")) .Values.web.enabled',
    "not .Values.web",
    'eq (.Values.stage | default "prod") "prod"',
    'ne .Values.stage "prod"',
    "gt (int .Values.replicas) 1",
    '.Capabilities.APIVersions.Has "apps/v1"',
    'semverCompare ">=1.99-0" .Capabilities.KubeVersion.GitVersion',
    'contains "a" .Release.Name',
)


def wide_chart(seed: int) -> RandomChart:
    """Make the chart of a seed, with more in it."""
    maker = _Widener(random_chart(seed))
    maker.widen()
    return maker.tree


class _Widener:
    def __init__(self, tree: RandomChart) -> None:
        self.tree = tree
        self.draw = random.Random(f"wide {tree.seed}")

    def widen(self) -> None:
        """Add a few constructs."""
        of_templates = [
            self._library,
            self._ignored,
            self._functions,
            self._global,
            self._label,
            self._beside,
            self._nothing,
            self._within,
            self._condition,
            self._imports,
        ]
        of_releases = [] if self.tree.argo else [self._target, self._post_renderer, self._harmless]
        some = [*of_templates, *of_releases, *of_releases]
        for feature in dict.fromkeys(self.draw.sample(some, self.draw.choice([1, 2]))):
            feature()

    def _change(self, old: str, new: str) -> None:
        """Write something else into the templates of the chart."""
        for path in [one for one in self.tree.files if one.startswith(f"{CHART}/templates/")]:
            self.tree.files[path] = self.tree.files[path].replace(old, new)

    def _library(self) -> None:
        """Let a library make the workload."""
        text = self.tree.files[_TEMPLATE]
        folder = f"{CHART}/charts/common"
        head = {"apiVersion": "v2", "name": "common", "version": "0.1.0"}
        self.tree.put(f"{folder}/Chart.yaml", {**head, "type": "library"})
        define = f'{{{{- define "common.workload" -}}}}\n{text}{{{{- end -}}}}\n'
        self.tree.files[f"{folder}/templates/_workload.tpl"] = define
        self.tree.files[_TEMPLATE] = '{{ include "common.workload" . }}\n'

    def _ignored(self) -> None:
        """Leave something out of the chart, mostly nothing that is there."""
        lines = ["*.swp", ".git/", "values.yaml", "templates/_*", "deployment.*", "values-*.yaml"]
        line = self.draw.choice([*lines, *lines[:2]])
        self.tree.files[f"{CHART}/.helmignore"] = f"# no chart\n{line}\n"

    def _functions(self) -> None:
        """Read the tag by a function."""
        forms = [
            ".tag | toString }}",
            ".tag | default .Chart.AppVersion }}",
            ".tag | trunc 20 }}",
            ".tag | trim }}",
            '.tag | replace "+" "_" }}',
        ]
        self._change(_TAG, self.draw.choice(forms))

    def _global(self) -> None:
        """Let a value of all charts come before the name."""
        asks = "{{ with .Values.global }}{{ with .imageRegistry }}{{ . }}/{{ end }}{{ end }}"
        self._change('image: "{{ .Values', f'image: "{asks}{{{{ .Values')
        if self.draw.random() < 0.5:
            self._set({"global": {"imageRegistry": "ghcr.io"}})

    def _set(self, values: dict[str, object]) -> None:
        own = yaml.safe_load(self.tree.files[_VALUES]) or {}
        self.tree.put(_VALUES, {**own, **values})

    def _label(self) -> None:
        """Write the tag into a label."""
        key = "server.image.tag" if "server.image.tag" in self._text() else "image.tag"
        tag = f"{{{{ .Values.{key} | quote }}}}"
        old, new = "metadata: {name: cart}", f"metadata:\n  name: cart\n  labels:\n    v: {tag}"
        if f".Values.{key}" in self._text():
            self._change(old, new)

    def _text(self) -> str:
        paths = (one for one in self.tree.files if one.startswith(f"{CHART}/"))
        return "".join(self.tree.files[path] for path in paths)

    def _beside(self) -> None:
        """Write something behind the tag, or before it."""
        self._change(_TAG, self.draw.choice([".tag }}-alpine", ".tag }}{{ .Values.flavour }}"]))

    def _condition(self) -> None:
        """Make the workload, or its image, under a condition, and mostly another one else."""
        condition, draw = self.draw.choice(_CONDITIONS), self.draw
        if draw.random() < 0.7:
            self._set({"web": draw.choice([{"enabled": True}, {"enabled": False}, {}])})
        if draw.random() < 0.3:
            self._set({"stage": draw.choice(["prod", "test"])})
        text = self.tree.files[_TEMPLATE]
        lines = [one for one in text.splitlines(keepends=True) if "image: " in one]
        part = draw.choice([text, lines[0]]) if lines else text
        others = [part, re.sub("image: .*", "image: acme/cart:0", part), ""]
        other = draw.choice(others)
        otherwise = f"{{{{- else }}}}\n{other}" if other else ""
        made = f"{{{{- if {condition} }}}}\n{part}{otherwise}{{{{- end }}}}\n"
        self.tree.files[_TEMPLATE] = text.replace(part, made)
        if draw.random() < 0.3:  # one that is made whatever holds
            self.tree.files[f"{CHART}/templates/second.yaml"] = text.replace("cart}", "second}")

    def _imports(self) -> None:
        """Add a chart within whose values are put over some of the chart's own."""
        folder, draw = f"{CHART}/charts/base", self.draw
        self.tree.put(f"{folder}/Chart.yaml", {"apiVersion": "v2", "name": "base", "version": "1"})
        values = {"exports": {"data": {"image": {"tag": "7"}}}, "more": {"a": "b"}}
        self.tree.put(f"{folder}/values.yaml", {**values, "image": {"tag": "8"}})
        forms: list[object] = [
            "data",
            {"child": "image", "parent": "image"},
            {"child": "image", "parent": "server.image"},
            {"child": "more", "parent": "labels"},
            {"child": "nothing", "parent": "image"},
        ]
        self._depend({"name": "base", "version": "1", "import-values": [draw.choice(forms)]})

    def _depend(self, dependency: dict[str, object]) -> None:
        chart = yaml.safe_load(self.tree.files[f"{CHART}/Chart.yaml"])
        chart["dependencies"] = [*chart.get("dependencies", []), dependency]
        self.tree.put(f"{CHART}/Chart.yaml", chart)

    def _nothing(self) -> None:
        """Let the last layer of values take the tag away."""
        path = next(p for p, t in self.tree.files.items() if "HelmRelease" in t or "kind: App" in t)
        one = yaml.safe_load(self.tree.files[path])
        null: dict[str, Any] = {"replicas": None}
        if self.draw.random() < 0.3:
            null = {"image": {"tag": None}, "server": None}
        if one["kind"] == "HelmRelease":
            one["spec"]["values"] = {**one["spec"].get("values", {}), **null}
            self.tree.put(path, one)

    def _within(self) -> None:
        """Add a chart within, which has its own image below its name or an alias."""
        folder = f"{CHART}/charts/web"
        self.tree.put(f"{folder}/Chart.yaml", {"apiVersion": "v2", "name": "web", "version": "1"})
        image = '"{{ .Values.image.repository }}:{{ .Values.image.tag }}"'
        workload = (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
            f"spec:\n  containers:\n  - name: web\n    image: {image}\n"
        )
        self.tree.files[f"{folder}/templates/pod.yaml"] = workload
        self.tree.put(f"{folder}/values.yaml", {"image": {"repository": "acme/web", "tag": "1"}})
        key = self.draw.choice(["web", "front"])
        depends: dict[str, object] = {"name": "web", "version": "1"}
        depends |= self.draw.choice(
            [
                {"condition": f"{key}.enabled"},
                {"condition": f"{key}.on,{key}.enabled"},
                {"tags": ["some", "others"]},
                {"tags": ["some"], "condition": f"{key}.enabled"},
            ]
        )
        self._depend(depends if key == "web" else {**depends, "alias": key})
        if self.draw.random() < 0.7:
            self._set({"tags": self.draw.choice([{"some": True}, {"some": False}, {}])})
        ours = {"repository": "acme/cart", "tag": "1.4.2"}
        values: dict[str, object] = {"enabled": self.draw.random() < 0.8}
        if self.draw.random() < 0.6:
            values["image"] = ours
        self._set({key: values})

    def _release(self) -> tuple[str, dict[str, Any]]:
        path = next(path for path, text in self.tree.files.items() if "kind: HelmRelease" in text)
        return path, yaml.safe_load(self.tree.files[path])

    def _target(self) -> None:
        """Take a single value from a ConfigMap."""
        path, release = self._release()
        key = "server.image" if "Values.server.image" in self._text() else "image"
        text = f"Values.{key}.tag"
        name = f"{key}.tag" if text in self._text() else key
        value = "1.9" if name.endswith("tag") else "acme/cart:1.9"
        config = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "single"},
            "data": {"it": self.draw.choice([value, "acme/cart:7"] if name == key else [value])},
        }
        source = {"kind": "ConfigMap", "name": "single", "valuesKey": "it", "targetPath": name}
        release["spec"]["valuesFrom"] = [*release["spec"].get("valuesFrom", []), source]
        self.tree.put(path, release)
        folder = path.rpartition("/")[0]
        self.tree.put(f"{folder}/single.yaml", config)
        if f"{folder}/kustomization.yaml" in self.tree.files:
            own = yaml.safe_load(self.tree.files[f"{folder}/kustomization.yaml"])
            own["resources"] = [*own["resources"], "single.yaml"]
            self.tree.put(f"{folder}/kustomization.yaml", own)

    def _post_renderer(self) -> None:
        """Change what the chart makes."""
        path, release = self._release()
        entry = {"name": self.draw.choice(["acme/cart", "docker.io/acme/cart", "envoyproxy/envoy"])}
        if self.draw.random() < 0.7:
            entry["newTag"] = "1.4.2"
        where = {"kind": "Deployment", "name": "cart"}
        patch = [{"op": "replace", "path": "/spec/replicas", "value": 3}]
        if self.draw.random() < 0.3:
            containers = "/spec/template/spec/containers"
            patch = [{"op": "replace", "path": f"{containers}/0/image", "value": "acme/cart:3"}]
        kustomize: dict[str, object] = {"images": [entry]}
        if self.draw.random() < 0.5:
            kustomize = {"patches": [{"target": where, "patch": yaml.safe_dump(patch)}]}
        release["spec"]["postRenderers"] = [{"kustomize": kustomize}]
        self.tree.put(path, release)

    def _harmless(self) -> None:
        """Add fields that change no image."""
        path, release = self._release()
        fields = {"targetNamespace": "shop", "timeout": "5m", "upgrade": {"force": True},
                  "driftDetection": {"mode": "enabled"}, "maxHistory": 3}  # fmt: skip
        release["spec"].update(dict(self.draw.sample(list(fields.items()), 2)))
        self.tree.put(path, release)

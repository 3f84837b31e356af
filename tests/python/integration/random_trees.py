"""Random trees of manifests: bases, overlays, components, patches, transformers, Flux, charts.

Each is made from a seed alone, so that a failing one can be made again. What a tree has is drawn
from all that kustomize's grammar offers for images, much of it at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import yaml

from unit.builders import digest

_IMAGES = ("acme/cart", "envoyproxy/envoy", "acme/other")
_TAGS = ("1.4.2", "v2", "main-3f2a1", "1.10", "2026.01.15")
_POD = "spec/template/spec"
APPLIED = "clusters/apps.yaml"  # what Flux applies the tree by, without its spec
FLUX: dict[str, object] = {
    "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
    "kind": "Kustomization",
    "metadata": {"name": "apps", "namespace": "flux-system"},
}


class _Blocks(yaml.SafeDumper):
    """Writes texts of several lines as literal blocks (`|`), as people do."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Blocks.add_representer(str, _text)
_QUOTED = 8  # one tree of so many has its texts in quotes, on several lines


@dataclass
class RandomTree:
    """Files by path; `roots` are the folders that are built, each by itself, `flux` by Flux."""

    seed: int
    files: dict[str, str] = field(default_factory=dict)
    root: str = "prod"
    used: list[str] = field(default_factory=list)
    flux: dict[str, object] | None = None

    def put(self, path: str, value: object) -> None:
        """Write a value as YAML, or a text as it is."""
        self.files[path] = value if isinstance(value, str) else as_yaml(value, self.seed)


def as_yaml(value: object, seed: int) -> str:
    """Write a value as YAML, in a tree of some seed: most have their texts in literal blocks."""
    dumper = yaml.SafeDumper if seed % _QUOTED == 0 else _Blocks
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False))


def random_tree(seed: int) -> RandomTree:
    """Make the tree of a seed."""
    return _Maker(seed).make()


class _Maker:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.tree = RandomTree(seed)
        self.tag = self.draw.choice(_TAGS)
        self.digest = digest("old") if self.draw.random() < 0.3 else ""
        self.containers = ["server"]
        self.name = "cart"

    @property
    def version(self) -> str:
        return f":{self.tag}" + (f"@{self.digest}" if self.digest else "")

    def make(self) -> RandomTree:
        """Make a base and what stands on it."""
        self._base()
        layers = self.draw.choice([1, 1, 2])
        below = "../base"
        for number in range(layers):
            last = number == layers - 1
            folder = "prod" if last else "middle"
            self._layer(folder, below)
            below = f"../{folder}"
        if self.draw.random() < 0.25:
            self._flux()
        return self.tree

    def _base(self) -> None:
        draw = self.draw
        containers: list[dict[str, object]] = [
            {
                "name": "server",
                "image": f"acme/cart{self.version}",
                "env": [{"name": "A", "value": "b"}],
            }
        ]
        if draw.random() < 0.5:
            containers.insert(
                draw.choice([0, 1]), {"name": "proxy", "image": "envoyproxy/envoy:v1.29"}
            )
            self.containers.append("proxy")
        pod: dict[str, object] = {"containers": containers}
        if draw.random() < 0.3:
            pod["initContainers"] = [{"name": "migrate", "image": f"acme/cart{self.version}"}]
        kind = draw.choice(["Deployment", "Deployment", "StatefulSet", "DaemonSet"])
        self.kind = kind
        metadata: dict[str, object] = {"name": "cart", "labels": {"app": "cart", "team": "shop"}}
        if draw.random() < 0.2:
            metadata["namespace"] = "shop"
        self.namespace = str(metadata.get("namespace", ""))
        workload = {
            "apiVersion": "apps/v1",
            "kind": kind,
            "metadata": metadata,
            "spec": {"template": {"metadata": {"labels": {"app": "cart"}}, "spec": pod}},
        }
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"}, "spec": {}}
        job = {
            "apiVersion": "batch/v1",
            "kind": "CronJob",
            "metadata": {"name": "report"},
            "spec": {
                "jobTemplate": {
                    "spec": {
                        "template": {
                            "spec": {
                                "containers": [
                                    {"name": "server", "image": f"acme/cart{self.version}"}
                                ]
                            }
                        }
                    }
                }
            },
        }
        objects = [workload]
        if draw.random() < 0.4:
            objects.append(service)
        if draw.random() < 0.3:
            objects.append(job)
        form = draw.choice(["files", "documents", "list"])
        resources = []
        if form == "files":
            for one in objects:
                path = f"{str(one['kind']).lower()}.yaml"
                self.tree.put(f"base/{path}", one)
                resources.append(path)
        elif form == "documents":
            self.tree.put("base/all.yaml", yaml.safe_dump_all(objects, sort_keys=False))
            resources.append("all.yaml")
        else:
            self.tree.put("base/all.yaml", {"apiVersion": "v1", "kind": "List", "items": objects})
            resources.append("all.yaml")
        base: dict[str, object] = {"resources": resources}
        if draw.random() < 0.2:
            base["images"] = [self._entry()]
        self.tree.put("base/kustomization.yaml", base)

    def _layer(self, folder: str, below: str) -> None:
        draw = self.draw
        self.folder = folder
        layer: dict[str, object] = {"resources": [below]}
        features = [
            (self._images, 0.45),
            (self._patch_file, 0.3),
            (self._patch_inline, 0.25),
            (self._json_file, 0.2),
            (self._json_inline, 0.2),
            (self._component, 0.2),
            (self._names, 0.25),
            (self._labels, 0.15),
            (self._replacement, 0.08),
            (self._transformer, 0.12),
            (self._harmless, 0.3),
            (self._old_fields, 0.1),
            (self._directive, 0.08),
        ]
        draw.shuffle(features)
        for feature, chance in features:
            if draw.random() < chance:
                self.tree.used.append(feature.__name__.removeprefix("_"))
                feature(layer)
        keys = list(layer)
        if draw.random() < 0.5:
            draw.shuffle(keys)
        self.tree.put(f"{folder}/kustomization.yaml", {key: layer[key] for key in keys})

    def _entry(self) -> dict[str, str]:
        draw = self.draw
        names = ["acme/cart"] * 5 + [
            "acme.cart",
            "acme/.*",
            f"acme/cart:{self.tag}",
            "envoyproxy/envoy",
            "nothing",
        ]
        entry = {"name": draw.choice(names)}
        if draw.random() < 0.2:
            entry["newName"] = draw.choice(["acme/cart", "ghcr.io/acme/cart"])
        if draw.random() < 0.75:
            entry["newTag"] = self.tag
        if draw.random() < 0.3:
            entry["digest"] = digest("old")
        return entry

    def _images(self, layer: dict[str, object]) -> None:
        layer["images"] = [self._entry() for _ in range(self.draw.choice([1, 1, 2]))]

    def _old_fields(self, layer: dict[str, object]) -> None:
        if self.draw.random() < 0.5:
            layer["imageTags"] = [self._entry()]
        else:
            layer["bases"] = layer.pop("resources")

    def _target(self) -> dict[str, str]:
        draw = self.draw
        return draw.choice(
            [
                {"kind": self.kind},
                {"kind": self.kind, "name": "cart"},
                {"kind": self.kind, "name": "ca.*"},
                {"kind": ".*Set|Deployment"},
                {"group": "apps", "kind": self.kind},
                {"group": "apps", "version": "v1"},
                {"group": "extensions", "kind": self.kind},
                {"version": "v2", "kind": self.kind},
                {"kind": self.kind, "namespace": "default|shop"},
                {"kind": self.kind, "namespace": "elsewhere"},
                {"labelSelector": "app=cart"},
                {"labelSelector": "team in (shop, web),app!=x"},
                {"labelSelector": "team=other"},
                {"kind": self.kind, "annotationSelector": "none"},
                {"kind": "Deploy"},
            ]
        )

    def _container_patch(self) -> dict[str, object]:
        draw = self.draw
        container = draw.choice([*self.containers, "server", "more"])
        image = f"{draw.choice(['acme/cart', 'acme/cart', 'envoyproxy/envoy'])}:{self.tag}"
        if container == "proxy":
            image = "envoyproxy/envoy:v1.30"
        body: dict[str, object] = {"name": container}
        if draw.random() < 0.8:
            body["image"] = image
        else:
            body["env"] = [{"name": "B", "value": "c"}]
        return {"spec": {"template": {"spec": {"containers": [body]}}}}

    def _merge(self, *, named: bool) -> dict[str, object]:
        metadata = {"name": "cart" if named else "any"}
        if named and self.namespace:
            metadata["namespace"] = self.namespace
        return {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": metadata,
            **self._container_patch(),
        }

    def _add_patch(self, layer: dict[str, object], patch: dict[str, object]) -> None:
        listed = layer.setdefault("patches", [])
        assert isinstance(listed, list)
        listed.append(patch)

    def _patch_file(self, layer: dict[str, object]) -> None:
        path = f"merge-{len(self.tree.files)}.yaml"
        targeted = self.draw.random() < 0.5
        self.tree.put(f"{self.folder}/{path}", self._merge(named=not targeted))
        patch: dict[str, object] = {"path": path}
        if targeted:
            patch["target"] = self._target()
        if not targeted and self.draw.random() < 0.3:
            merges = layer.setdefault("patchesStrategicMerge", [])
            assert isinstance(merges, list)
            merges.append(path)
        else:
            self._add_patch(layer, patch)

    def _patch_inline(self, layer: dict[str, object]) -> None:
        targeted = self.draw.random() < 0.5
        patch: dict[str, object] = {
            "patch": yaml.safe_dump(self._merge(named=not targeted), sort_keys=False)
        }
        if targeted:
            patch["target"] = self._target()
        self._add_patch(layer, patch)

    def _operations(self) -> list[dict[str, object]]:
        image, old = f"acme/cart:{self.tag}", f"acme/cart{self.version}"
        containers = f"/{_POD}/containers"
        replace = _operation("replace", f"{containers}/0/image", image)
        choices: list[list[dict[str, object]]] = [
            [replace],
            [_operation("add", f"{containers}/-", {"name": "x", "image": image})],
            [_operation("add", f"{containers}/0", {"name": "y", "image": "envoy:1"})],
            [_operation("add", "/spec/replicas", 2)],
            [_operation("test", "/metadata/name", "cart"), replace],
            [_operation("test", f"{containers}/0/image", old)],
            [
                {"op": "copy", "from": f"{containers}/0", "path": f"{containers}/-"},
                _operation("replace", f"{containers}/1/name", "copy"),
            ],
            [{"op": "remove", "path": f"{containers}/0/env"}],
        ]
        return self.draw.choice(choices)

    def _json_file(self, layer: dict[str, object]) -> None:
        path = f"json-{len(self.tree.files)}.yaml"
        self.tree.put(f"{self.folder}/{path}", self._operations())
        key = "patches" if self.draw.random() < 0.8 else "patchesJson6902"
        target = {"kind": self.kind, "name": "cart"} if key != "patches" else self._target()
        if key != "patches":
            target |= {"group": "apps", "version": "v1"}
            if self.namespace:
                target["namespace"] = self.namespace
        listed = layer.setdefault(key, [])
        assert isinstance(listed, list)
        listed.append({"path": path, "target": target})

    def _json_inline(self, layer: dict[str, object]) -> None:
        text = yaml.safe_dump(self._operations(), sort_keys=False)
        self._add_patch(layer, {"patch": text, "target": self._target()})

    def _component(self, layer: dict[str, object]) -> None:
        folder = f"component-{len(self.tree.files)}"
        component: dict[str, object] = {
            "apiVersion": "kustomize.config.k8s.io/v1alpha1",
            "kind": "Component",
        }
        own, self.folder = self.folder, folder
        feature = self.draw.choice(
            [self._images, self._patch_inline, self._json_file, self._labels]
        )
        feature(component)
        self.folder = own
        self.tree.put(f"{folder}/kustomization.yaml", component)
        layer["components"] = [f"../{folder}"]

    def _names(self, layer: dict[str, object]) -> None:
        draw = self.draw
        names = (("namePrefix", "p-"), ("nameSuffix", "-s"), ("namespace", "other"))
        layer.update({key: value for key, value in names if draw.random() < 0.5})

    def _labels(self, layer: dict[str, object]) -> None:
        key = self.draw.choice(["commonLabels", "labels", "commonAnnotations"])
        pairs = {"team": self.draw.choice(["shop", "other"])}
        layer[key] = [{"pairs": pairs}] if key == "labels" else pairs

    def _replacement(self, layer: dict[str, object]) -> None:
        draw = self.draw
        path = f"{_POD.replace('/', '.')}.containers.[name=server].image"
        self.tree.put(
            f"{self.folder}/versions.yaml",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "versions", **self._local()},
                "data": {"TAG": self.tag, "REPLICAS": "2"},
            },
        )
        resources = layer.get("resources") or layer.get("bases")
        assert isinstance(resources, list)
        resources.append("versions.yaml")
        target: dict[str, object] = {"select": {"kind": self.kind}, "fieldPaths": [path]}
        if draw.random() < 0.7:
            target["options"] = {"delimiter": ":", "index": 1}
        if draw.random() < 0.3:
            target = {"select": {"kind": self.kind}, "fieldPaths": ["metadata.labels.team"]}
        replacement = {
            "source": {"kind": "ConfigMap", "name": "versions", "fieldPath": "data.TAG"},
            "targets": [target],
        }
        if draw.random() < 0.5:
            layer["replacements"] = [replacement]
        else:
            self.tree.put(f"{self.folder}/replacement.yaml", replacement)
            layer["replacements"] = [{"path": "replacement.yaml"}]

    def _local(self) -> dict[str, object]:
        """Half of what is copied from is built from alone, and is not applied."""
        is_local = self.draw.random() < 0.5
        return {"annotations": {"config.kubernetes.io/local-config": "true"}} if is_local else {}

    def _transformer(self, layer: dict[str, object]) -> None:
        draw = self.draw
        kind = draw.choice(
            ["ImageTagTransformer", "PatchTransformer", "PrefixTransformer", "LabelTransformer"]
        )
        body: dict[str, object] = {
            "apiVersion": "builtin",
            "kind": kind,
            "metadata": {"name": "some-image"},
        }
        if kind == "ImageTagTransformer":
            body["imageTag"] = {"name": "acme/cart", "newTag": self.tag}
        elif kind == "PatchTransformer":
            body["target"] = self._target()
            body["patch"] = yaml.safe_dump(self._merge(named=False), sort_keys=False)
        elif kind == "PrefixTransformer":
            body["prefix"] = "t-"
            body["fieldSpecs"] = [{"path": "metadata/name"}]
        else:
            body["labels"] = {"team": "shop"}
            body["fieldSpecs"] = [{"path": "metadata/labels", "create": True}]
        form = draw.choice(["file", "inline", "folder"])
        name = f"transformer-{len(self.tree.files)}"
        if form == "file":
            self.tree.put(f"{self.folder}/{name}.yaml", body)
            layer["transformers"] = [f"{name}.yaml"]
        elif form == "inline":
            layer["transformers"] = [yaml.safe_dump(body, sort_keys=False)]
        else:
            self.tree.put(f"{name}/t.yaml", body)
            self.tree.put(f"{name}/kustomization.yaml", {"resources": ["t.yaml"]})
            layer["transformers"] = [f"../{name}"]

    def _harmless(self, layer: dict[str, object]) -> None:
        draw = self.draw
        choices: list[tuple[str, object]] = [
            ("replicas", [{"name": "cart", "count": 2}]),
            ("configMapGenerator", [{"name": "image-settings", "literals": ["image=acme/cart:0"]}]),
            ("generatorOptions", {"disableNameSuffixHash": True}),
            ("sortOptions", {"order": "fifo"}),
            ("buildMetadata", ["originAnnotations"]),
        ]
        layer.update(dict(draw.sample(choices, 2)))

    def _directive(self, layer: dict[str, object]) -> None:
        draw = self.draw
        containers = draw.choice(
            [
                [{"name": "proxy", "$patch": "delete"}],
                [{"name": "server", "$patch": "delete"}],
                [{"$patch": "replace"}, {"name": "server", "image": f"acme/cart:{self.tag}"}],
                [{"name": "server", "image": f"acme/cart:{self.tag}", "$patch": "replace"}],
            ]
        )
        patch = self._merge(named=True)
        patch["spec"] = {"template": {"spec": {"containers": containers}}}
        path = f"directive-{len(self.tree.files)}.yaml"
        self.tree.put(f"{self.folder}/{path}", patch)
        self._add_patch(layer, {"path": path})

    def _flux(self) -> None:
        draw = self.draw
        spec: dict[str, object] = {
            "path": f"./{self.tree.root}",
            "interval": "10m",
            "prune": True,
            "sourceRef": {"kind": "GitRepository", "name": "flux-system"},
        }
        if draw.random() < 0.4:
            spec["images"] = [self._entry()]
        if draw.random() < 0.3:
            text = yaml.safe_dump(self._operations(), sort_keys=False)
            spec["patches"] = [{"patch": text, "target": self._target()}]
        if draw.random() < 0.2:
            spec["targetNamespace"] = "apps"
        if draw.random() < 0.3:
            pin = {
                "apiVersion": "kustomize.config.k8s.io/v1alpha1",
                "kind": "Component",
                "images": [self._entry()],
            }
            self.tree.put("pins/kustomization.yaml", pin)
            spec["components"] = ["../pins"]
        self.tree.used.append("flux")
        self.tree.flux = spec
        self.tree.put(APPLIED, {**FLUX, "spec": spec})


def _operation(op: str, path: str, value: object) -> dict[str, object]:
    return {"op": op, "path": path, "value": value}

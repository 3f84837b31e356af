"""Random trees with what is rarer in them: the rest of kustomize's grammar, over `random_trees`.

A tree of a seed is taken, and its outermost kustomization gets two or three constructs more.
"""

from __future__ import annotations

import json
import random
import re
from typing import Any

import yaml

from integration.random_trees import APPLIED, FLUX, RandomTree, random_tree

SETTINGS = "clusters/settings.yaml"
_POD = ("spec", "template", "spec")
_IMAGE = "spec.template.spec.containers.[name=server].image"
_RUNNER = {"apiVersion": "acme.io/v1", "kind": "Runner", "metadata": {"name": "runner"}}


def wide_tree(seed: int) -> RandomTree:
    """Make the tree of a seed, with more in it."""
    maker = _Widener(random_tree(seed))
    maker.widen()
    return maker.tree


class _Widener:
    def __init__(self, tree: RandomTree) -> None:
        self.tree = tree
        self.draw = random.Random(f"wide {tree.seed}")
        self.folder = tree.root
        self.top: dict[str, Any] = yaml.safe_load(tree.files[f"{tree.root}/kustomization.yaml"])
        self.kind = self._kind()
        text = "".join(text for path, text in tree.files.items() if path.startswith("base/"))
        self.tag = text.partition("image: acme/cart:")[2].splitlines()[0].partition("@")[0]

    def _kind(self) -> str:
        """Return the kind of the workload of the base."""
        kinds = ("Deployment", "StatefulSet", "DaemonSet")
        text = "\n".join(text for path, text in self.tree.files.items() if "base/" in path)
        return next(kind for kind in kinds if f"kind: {kind}" in text)

    def widen(self) -> None:
        """Add a few constructs."""
        features = [
            self._variable,
            self._copy,
            self._custom_resource,
            self._generators,
            self._labels,
            self._patch_options,
            self._patch_texts,
            self._transformers,
            self._suffix,
            self._nested,
            self._base_texts,
            self._directives,
            self._plain_fields,
            self._names_of_flux,
            self._variables_of_flux,
        ]
        for feature in self.draw.sample(features, self.draw.choice([1, 2, 2, 3])):
            self.tree.used.append(feature.__name__.removeprefix("_"))
            feature()
        self.tree.put(f"{self.folder}/kustomization.yaml", self.top)

    def _add(self, key: str, *items: object) -> None:
        self.top[key] = [*self.top.get(key, []), *items]

    def _resource(self, name: str, value: object) -> None:
        self.tree.put(f"{self.folder}/{name}", value)
        self._add("resources" if "resources" in self.top else "bases", name)

    def _variable(self) -> None:
        """Add a `vars` of the image, or of a text, and what uses it."""
        path = self.draw.choice(["spec.template.spec.containers[0].image", "metadata.name"])
        reference = {"apiVersion": "apps/v1", "kind": self.kind, "name": "cart"}
        variable = {"name": "IT", "objref": reference, "fieldref": {"fieldpath": path}}
        self._add("vars", variable)
        use = {"name": "USES", "value": "$(IT)"}
        body = {"containers": [{"name": "server", "env": [use]}]}
        self._merge({"template": {"spec": body}})

    def _merge(self, spec: dict[str, object], **more: object) -> None:
        patch = {"kind": self.kind, "apiVersion": "apps/v1", "metadata": {"name": "any"}}
        text = yaml.safe_dump({**patch, "spec": spec}, sort_keys=False)
        self._add("patches", {"patch": text, "target": {"kind": self.kind}, **more})

    def _copy(self) -> None:
        """Copy the image, or its tag, to somewhere else."""
        source: dict[str, object] = {"kind": self.kind, "fieldPath": _IMAGE}
        if self.draw.random() < 0.5:
            source["options"] = {"delimiter": ":", "index": 1}
        self._resource(
            "copies.yaml",
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "copies"}, "data": {}},
        )
        target = self.draw.choice(
            [
                ({"kind": "ConfigMap", "name": "copies"}, "data.it"),
                ({"kind": self.kind}, "metadata.annotations.runs"),
                ({"kind": self.kind}, "spec.template.metadata.labels.version"),
                ({"kind": self.kind}, "spec.template.spec.initContainers.[name=migrate].image"),
            ]
        )
        one = {"select": target[0], "fieldPaths": [target[1]], "options": {"create": True}}
        self._add("replacements", {"source": source, "targets": [one]})

    def _custom_resource(self) -> None:
        """Add an object of an unknown kind, whose image a configuration may name."""
        is_ours = self.draw.random() < 0.7
        image = f"acme/cart:{self.tag}" if is_ours else "acme/runner:1"
        spec = {"image": image, "side": {"image": "acme/side:v1"}}
        self._resource("runner.yaml", {**_RUNNER, "spec": spec})
        if is_ours:
            specs = [{"path": "spec/image", "kind": "Runner"}]
            if self.draw.random() < 0.5:
                specs.append({"path": "spec/side/image", "group": "acme.io", "kind": "Runner"})
            self.tree.put(f"{self.folder}/where.yaml", {"images": specs})
            self._add("configurations", "where.yaml")
            self._add("images", {"name": "acme/cart", "newTag": self.tag})

    def _generators(self) -> None:
        """Add generators: of Secrets, of a file of their own, of files."""
        draw = self.draw
        body = {
            "apiVersion": "builtin",
            "kind": "ConfigMapGenerator",
            "metadata": {"name": "made"},
            "literals": ["image=acme/cart:0"],
        }
        form = draw.choice(["secret", "file", "own", "merge"])
        if form == "secret":
            self._add("secretGenerator", {"name": "keys", "literals": ["tag=1.4.2"]})
        elif form == "file":
            self.tree.files[f"{self.folder}/some.env"] = "IMAGE=acme/cart:1.4.2\n"
            self._add("configMapGenerator", {"name": "some", "envs": ["some.env"]})
        elif form == "own":
            self.tree.put(f"{self.folder}/generator.yaml", body)
            self._add("generators", "generator.yaml")
        else:
            self._add("generators", yaml.safe_dump(body, sort_keys=False))

    def _labels(self) -> None:
        """Add labels that reach selectors and templates."""
        pairs = {"pairs": {"team": self.draw.choice(["shop", "other"])}}
        key = self.draw.choice(["includeSelectors", "includeTemplates", "fields"])
        more = [{"path": "metadata/labels", "create": True}] if key == "fields" else True
        self._add("labels", {**pairs, key: more})

    def _patch_options(self) -> None:
        """Patch with another name or kind, allowed or not."""
        image = {"containers": [{"name": "server", "image": f"acme/cart:{self.tag}"}]}
        options = self.draw.choice([{"allowNameChange": True}, {"allowKindChange": True}, {}])
        self._merge({"template": {"spec": image}}, **({"options": options} if options else {}))

    def _patch_texts(self) -> None:
        """Patch in other texts: JSON, several documents, with anchors."""
        image = {"containers": [{"name": "server", "image": f"acme/cart:{self.tag}"}]}
        patch = {
            "apiVersion": "apps/v1",
            "kind": self.kind,
            "metadata": {"name": "cart"},
            "spec": {"template": {"spec": image}},
        }
        form = self.draw.choice(["json", "json file", "documents", "anchors"])
        target = {"target": {"kind": self.kind}}
        if form == "json":
            self._add("patches", {"patch": json.dumps(patch), **target})
        elif form == "json file":
            self.tree.files[f"{self.folder}/patch.json"] = json.dumps(patch, indent=1)
            self._add("patches", {"path": "patch.json", **target})
        elif form == "documents":
            self.tree.put(f"{self.folder}/two.yaml", yaml.safe_dump_all([patch, patch]))
            self._add("patches", {"path": "two.yaml"})
        else:
            text = yaml.safe_dump(patch).replace("image: acme", "image: &it acme")
            self.tree.put(f"{self.folder}/anchored.yaml", f"{text}")
            self._add("patches", {"path": "anchored.yaml", **target})

    def _transformers(self) -> None:
        """Add one of the transformers that are built in."""
        image = [{"op": "replace", "path": "/" + "/".join((*_POD, "containers/0/image")),
                  "value": f"acme/cart:{self.tag}"}]  # fmt: skip
        merge = {"apiVersion": "apps/v1", "kind": self.kind, "metadata": {"name": "cart"},
                 "spec": {"template": {"spec": {"containers": [
                     {"name": "server", "image": f"acme/cart:{self.tag}"}]}}}}  # fmt: skip
        target = {"kind": self.kind, "name": "cart"}
        bodies: list[tuple[str, dict[str, object]]] = [
            ("AnnotationsTransformer", {"annotations": {"a": "b"}, "fieldSpecs": [
                {"path": "metadata/annotations", "create": True}]}),
            ("NamespaceTransformer", {}),
            ("SuffixTransformer", {"suffix": "-t", "fieldSpecs": [{"path": "metadata/name"}]}),
            ("ReplicaCountTransformer", {"replica": {"name": "cart", "count": 3}, "fieldSpecs": [
                {"path": "spec/replicas", "create": True, "kind": self.kind}]}),
            ("PatchJson6902Transformer", {"target": target, "jsonOp": json.dumps(image)}),
            ("PatchStrategicMergeTransformer", {"patches": yaml.safe_dump(merge)}),
            ("HashTransformer", {}),
            ("ValueAddTransformer", {"value": "x", "targets": [
                {"fieldPath": "metadata/namespace"}]}),
            ("ImageTagTransformer", {"imageTag": {"name": "acme/cart", "newTag": self.tag},
                                     "fieldSpecs": [{"path": "spec/image"}]}),
            ("ReplacementTransformer", {"replacements": [{
                "source": {"kind": self.kind, "fieldPath": _IMAGE},
                "targets": [{"select": {"kind": self.kind}, "options": {"create": True},
                             "fieldPaths": ["metadata.annotations.it"]}]}]}),
        ]  # fmt: skip
        kind, body = self.draw.choice(bodies)
        metadata = {"name": "more", **({"namespace": "deep"} if kind.startswith("Name") else {})}
        whole = {"apiVersion": "builtin", "kind": kind, "metadata": metadata, **body}
        self.tree.put(f"{self.folder}/more.yaml", whole)
        self._add("transformers", "more.yaml")

    def _suffix(self) -> None:
        """Add an entry that puts something behind the tag."""
        self._add("images", {"name": "acme/cart", "tagSuffix": "-debug"})

    def _nested(self) -> None:
        """Add a component that takes another, which has objects of its own."""
        extra = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "extra"},
            "spec": {"containers": [{"name": "server", "image": f"acme/cart:{self.tag}"}]},
        }
        head = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
        entry = {"name": "acme/cart", "newTag": self.tag}
        self.tree.put("inner/extra.yaml", extra)
        self.tree.put("inner/kustomization.yaml", {**head, "resources": ["extra.yaml"]})
        self.tree.put(
            "outer/kustomization.yaml", {**head, "components": ["../inner"], "images": [entry]}
        )
        self._add("components", "../outer")

    def _base_texts(self) -> None:
        """Write a workload beside the base in other texts: anchors, merge keys, image volumes."""
        name = self.draw.choice(["anchor", "merge", "volume", "list"])
        pod = {
            "anchor": "containers:\n- {name: a, image: &i 'acme/cart:TAG'}\n- {name: b, image: *i}",
            "merge": "containers:\n- &c {name: a, image: 'acme/cart:TAG'}\n- {<<: *c, name: b}",
            "volume": (
                "containers: [{name: a, image: 'envoyproxy/envoy:v1'}]\n"
                "volumes: [{name: v, image: {reference: 'acme/cart:TAG'}}]"
            ),
            "list": "containers: [{name: a, image: acme/cart:TAG}]",
        }[name]
        head = "apiVersion: v1\nkind: Pod\nmetadata: {name: beside}\nspec:\n"
        lines = pod.replace("TAG", self.tag).splitlines()
        body = "".join(f"  {line}\n" for line in lines)
        self._resource("beside.yaml", head + body)

    def _directives(self) -> None:
        """Patch with the rarer directives of strategic merges."""
        server: dict[str, object] = {"name": "server", "image": f"acme/cart:{self.tag}"}
        specs: list[dict[str, object]] = [
            {"$setElementOrder/containers": [{"name": "server"}], "containers": [server]},
            {"containers": [{**server, "$patch": "merge"}]},
            {"$retainKeys": ["containers"], "containers": [server]},
            {"containers": [{"name": "server", "image": None}]},
            {"initContainers": None},
        ]
        self._merge({"template": {"spec": self.draw.choice(specs)}})

    def _plain_fields(self) -> None:
        """Add fields that change no image."""
        fields: list[dict[str, object]] = [
            {"metadata": {"name": "top"}},
            {"openapi": {"version": "v1.20.4"}},
            {"crds": []},
            {"buildMetadata": ["managedByLabel"]},
            {"sortOptions": {"order": "legacy", "legacySortOptions": {"orderLast": ["Service"]}}},
            {"generatorOptions": {"labels": {"a": "b"}}},
        ]
        self.top.update(self.draw.choice(fields))

    def _flux(self) -> dict[str, Any]:
        """Return what a Flux Kustomization says that applies the tree."""
        if self.tree.flux is None:
            reference = {"kind": "GitRepository", "name": "flux-system"}
            self.tree.flux = {"path": f"./{self.folder}", "sourceRef": reference}
        return self.tree.flux

    def _flux_with(self, **fields: object) -> None:
        self.tree.flux = {**self._flux(), **fields}
        self.tree.put(APPLIED, {**FLUX, "spec": self.tree.flux})

    def _names_of_flux(self) -> None:
        """Let Flux give names and a namespace."""
        fields = {"namePrefix": "f-", "nameSuffix": "-g", "targetNamespace": "flux-apps"}
        self._flux_with(**dict(self.draw.sample(list(fields.items()), self.draw.choice([1, 2]))))

    def _variables_of_flux(self) -> None:
        """Write a tag as a variable of Flux, wherever it stands, and what gives it a value."""
        draw = self.draw
        name, use = draw.choice(
            [("TAG", "${TAG}"), ("TAG", "${TAG:=0.1}"), ("OTHER", f"${{TAG:-{self.tag}}}")]
        )
        top = f"{self.folder}/kustomization.yaml"
        self.tree.put(top, self.top)
        written = re.compile(rf"(cart:|newTag: )'?{re.escape(self.tag)}'?(?![\w.])")
        paths = [path for path, text in self.tree.files.items() if written.search(text)]
        path = draw.choice(paths)
        self.tree.files[path] = written.sub(rf"\1{use}", self.tree.files[path])
        self.top = yaml.safe_load(self.tree.files[top])
        values = {name: self.tag, "TEAM": "shop"}
        data = {"apiVersion": "v1", "kind": "ConfigMap", "data": values}
        metadata = {"name": "settings", "namespace": "flux-system"}
        reference = {"kind": "ConfigMap", "name": "settings"}
        form = draw.choice(["substitute", "from", "both", "optional"])
        build: dict[str, object] = {"substitute": values}
        if form != "substitute":
            self.tree.put(SETTINGS, {**data, "metadata": metadata})
            build = {"substituteFrom": [reference]}
        if form == "both":
            build["substitute"] = {"TEAM": "other", **draw.choice([{}, {name: "5.0"}])}
        if form == "optional":
            build["substituteFrom"] = [reference, {**reference, "name": "no", "optional": True}]
        if draw.random() < 0.3:  # where it stands beside images
            self._merge({"template": {"metadata": {"annotations": {"runs": "${TAG}"}}}})
        self._flux_with(postBuild=build)

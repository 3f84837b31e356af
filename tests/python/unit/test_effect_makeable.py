"""What makes a whole build fail though no image is concerned: objects that meet, or do not.

`test_agreement_kustomize` has the tools themselves judge each row.
"""

from __future__ import annotations

import re

import pytest

from unit.test_effect_grammar import CART, unknowns

SETTINGS = (
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b-c, none: null}\n"
)
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: s
spec: {ports: [{port: 80, name: http}]}
"""
DEFINITION = """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: &name carts.acme.example
"""
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
CM, SECRET = "configMapGenerator", "secretGenerator"
MADE, FAILS = True, False
Files = dict[str, str]


def top(text: str, **files: str) -> Files:
    """A kustomization of the workload and further files: `c` is c.yaml."""
    more = {f"{name}.yaml": content for name, content in files.items()}
    taken = ", ".join(("a.yaml", *(name for name in more if name[0] in "cd")))
    head = "" if "resources:" in text else f"resources: [{taken}]\n"
    return {"kustomization.yaml": f"{head}{text}\n", "a.yaml": CART, **more}


def on_base(base: str, text: str, **files: str) -> Files:
    """A kustomization on another, which has the workload."""
    more = {f"base/{name}.yaml": content for name, content in files.items()}
    taken = ", ".join(("a.yaml", *(f"{name}.yaml" for name in files)))
    return {
        "kustomization.yaml": f"resources: [base]\n{text}\n",
        "base/kustomization.yaml": f"resources: [{taken}]\n{base}\n",
        "base/a.yaml": CART,
        **more,
    }


def copied(
    source: str = "{kind: ConfigMap, name: settings, fieldPath: data.a}",
    select: str = "{kind: Deployment}",
    paths: str = "[metadata.name]",
    options: str = "{}",
) -> str:
    target = f"{{select: {select}, fieldPaths: {paths}, options: {options}}}"
    return f"replacements: [{{source: {source}, targets: [{target}]}}]"


def variable(reference: str, field: str = "metadata.name") -> str:
    return f"vars: [{{name: X, objref: {reference}, fieldref: {{fieldpath: {field}}}}}]"


def operation(text: str, target: str = "{kind: Service}") -> str:
    return f"patches: [{{target: {target}, patch: '[{text}]'}}]"


def merge(kind: str, rest: str, metadata: str = "{name: s}") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {metadata}\n{rest}\n"


NAME = "spec.template.spec.containers.0.name"
CREATE = "{create: true}"
THERE = "{kind: ConfigMap, name: settings, apiVersion: v1}"
OBJECTS: dict[str, tuple[Files, bool]] = {
    "an object twice": (top("", c=SETTINGS, d=SETTINGS), FAILS),
    "an object twice in a file": (top("", c=f"{SETTINGS}---\n{SETTINGS}"), FAILS),
    "a file twice": (top("resources: [a.yaml, c.yaml, ./c.yaml]", c=SERVICE), FAILS),
    "a base by two ways": (
        {
            **on_base("", "", c=SETTINGS),
            "kustomization.yaml": "resources: [x, c]\n",
            "x/kustomization.yaml": "resources: [../base]\n",
            "c/kustomization.yaml": "resources: [../base/c.yaml]\n",
        },
        FAILS,
    ),
    "one name in two namespaces": (
        top("", c=SETTINGS, d=SETTINGS.replace("settings}", "settings, namespace: n}")),
        MADE,
    ),
    "two namespaces that become one": (
        top("namespace: z", c=SETTINGS, d=SETTINGS.replace("settings}", "settings, namespace: n}")),
        FAILS,
    ),
    "two Namespaces that become one": (
        top("namespace: z", c=merge("Namespace", "", "{name: q}"), d=merge("Namespace", "")),
        FAILS,
    ),
    "a Namespace that is renamed": (top("namespace: z", c=merge("Namespace", "")), MADE),
    "a name by a prefix": (
        on_base("namePrefix: p-", "", c=SETTINGS)
        | {
            "kustomization.yaml": "resources: [base, d.yaml]\n",
            "d.yaml": SETTINGS.replace("settings", "p-settings"),
        },
        FAILS,
    ),
    "a component twice, with an object": (
        top("components: [k, k]")
        | {"k/kustomization.yaml": f"{COMPONENT}resources: [c.yaml]\n", "k/c.yaml": SETTINGS},
        FAILS,
    ),
    "a component twice, with a label": (
        top("components: [k, k]")
        | {"k/kustomization.yaml": f"{COMPONENT}commonLabels: {{x: z}}\n"},
        MADE,
    ),
    "a component that takes itself": (
        top("components: [k]") | {"k/kustomization.yaml": f"{COMPONENT}components: [../k]\n"},
        FAILS,
    ),
    "a definition in crds": (
        top("crds: [x.yaml]", x=merge("CustomResourceDefinition", "spec: {}")),
        FAILS,
    ),
    "a definition with an anchor": (top("", c=DEFINITION), MADE),
    "a schema of its own and another": (
        top("openapi: {path: x.json, version: v1.21.2}") | {"x.json": "{}"},
        FAILS,
    ),
}
GENERATED: dict[str, tuple[Files, bool]] = {
    f"{key}, {behavior}, {name}": (files, made)
    for key in (CM, SECRET)
    for behavior in ("create", "merge", "replace")
    for own in (f"{key}: [{{name: settings, behavior: {behavior}, literals: [a=c]}}]",)
    for base in (f"{key}: [{{name: settings, literals: [a=b]}}]",)
    for file in (SETTINGS if key == CM else SETTINGS.replace("ConfigMap", "Secret"),)
    for name, files, made in (
        ("nothing there", top(own), behavior == "create"),
        ("of a file", top(own, c=file), behavior != "create"),
        ("of a base", on_base(base, own), behavior != "create"),
        ("of a base with a prefix", on_base(f"namePrefix: p-\n{base}", own), behavior != "create"),
        (
            "of a base, by its new name",
            on_base(f"namePrefix: p-\n{base}", own.replace("name: s", "name: p-s")),
            behavior != "create",
        ),
        (
            "in another namespace",
            on_base(base, own.replace("name:", "namespace: z, name:")),
            behavior == "create",
        ),
        (
            "in a component",
            on_base(base, "components: [k]") | {"k/kustomization.yaml": f"{COMPONENT}{own}\n"},
            behavior != "create",
        ),
    )
}
GENERATED |= {
    "a patch of what is generated": (
        top(
            f"{CM}: [{{name: settings, literals: [a=b]}}]\npatches: [{{path: p.yaml}}]", p=SETTINGS
        ),
        MADE,
    ),
    "merged, with nothing": (top(f"{CM}: [{{name: settings, behavior: merge}}]", c=SETTINGS), MADE),
    "merged, with a file of variables": (
        top(f"{CM}: [{{name: settings, behavior: merge, envs: [x.env]}}]", c=SETTINGS)
        | {"x.env": "A=b\n"},
        MADE,
    ),
    "merged into one of two": (
        on_base(
            f"namePrefix: p-\n{CM}: [{{name: settings, literals: [a=b]}}]",
            f"components: [../k]\n{CM}: [{{name: settings, behavior: merge, literals: [a=c]}}]",
        )
        | {
            "kustomization.yaml": f"resources: [base, c.yaml]\n{CM}: [{{name: settings, "
            "behavior: merge, literals: [a=c]}]\n",
            "c.yaml": SETTINGS,
        },
        FAILS,
    ),
    "merged into another's": (
        top(
            f"{CM}: [{{name: settings, namespace: z, behavior: merge, literals: [a=b]}}]",
            c=SETTINGS.replace("settings}", "settings, namespace: z}"),
            d=SETTINGS.replace("{name: settings}", "{name: other, namespace: z}"),
        ),
        MADE,
    ),
}
COPIED: dict[str, tuple[Files, bool]] = {
    name: (top(text, c=SETTINGS), made)
    for name, text, made in (
        ("a name", copied(paths=f"[{NAME}]"), MADE),
        ("to nobody", copied(select="{kind: StatefulSet}", paths="[spec.replicas]"), MADE),
        ("to nobody, as all are rejected",
         copied(select="{name: cart}, reject: [{name: cart}]", paths="[spec.replicas]"), MADE),
        ("to no field", copied(paths="[spec.replicas]"), FAILS),
        ("to a new field", copied(paths="[metadata.annotations.x]", options=CREATE), MADE),
        ("to no container", copied(paths="['spec.template.spec.containers.[name=x].name']"), FAILS),
        ("to a container by a part of its name",
         copied(paths="['spec.template.spec.containers.[name=s.r].name']"), MADE),
        ("to no item", copied(paths="[spec.template.spec.containers.3.name]"), FAILS),
        ("to all of nothing",
         copied(paths="['spec.template.spec.initContainers.*.name']"), FAILS),
        ("from nothing", copied("{kind: Secret, name: settings}"), FAILS),
        ("from no field",
         copied("{kind: ConfigMap, name: settings, fieldPath: data.z}"), FAILS),
        ("from all fields", copied("{kind: ConfigMap, fieldPath: 'data.*'}"), FAILS),
        ("from what is null",
         copied("{kind: ConfigMap, name: settings, fieldPath: data.none}"), FAILS),
        ("from no part", copied(
            "{kind: ConfigMap, fieldPath: data.a, options: {delimiter: '-', index: 4}}",
            paths=f"[{NAME}]"), FAILS),
        ("from a part", copied(
            "{kind: ConfigMap, fieldPath: data.a, options: {delimiter: '-', index: 1}}",
            paths=f"[{NAME}]"), MADE),
        ("from one of several",
         f"{CM}: [{{name: q, literals: [a=b]}}]\n" + copied("{kind: ConfigMap}"), FAILS),
        ("from what is generated", f"{CM}: [{{name: q, literals: [a=b]}}]\n"
         + copied("{kind: ConfigMap, name: q, fieldPath: data.a}", paths=f"[{NAME}]"), MADE),
        ("from a file that is generated", f"{CM}: [{{name: q, files: [c.yaml]}}]\n"
         + copied("{kind: ConfigMap, name: q, fieldPath: 'data.[c.yaml]'}",
                  paths="[metadata.annotations.x]", options=CREATE), MADE),
        ("without targets", "replacements: [{source: {kind: ConfigMap}}]", FAILS),
        ("with no targets", "replacements: [{source: {kind: ConfigMap}, targets: []}]", FAILS),
        ("without a source", "replacements: [{targets: [{select: {kind: Deployment}}]}]", FAILS),
        ("without a choice",
         "replacements: [{source: {kind: ConfigMap}, targets: [{fieldPaths: [a]}]}]", FAILS),
        ("to a name, as no field is said",
         "replacements: [{source: {kind: ConfigMap}, targets: [{select: {kind: Deployment}}]}]",
         MADE),
        ("a variable", variable(THERE), MADE),
        ("a variable of a field", variable(THERE, "data.a"), MADE),
        ("a variable of no field", variable(THERE, "data.z"), FAILS),
        ("a variable of nothing", variable(THERE.replace("settings", "none")), FAILS),
        ("a variable of no version", variable("{kind: ConfigMap, name: settings}"), FAILS),
        ("a variable of another version", variable(THERE.replace("v1", "v2")), FAILS),
        ("a variable twice",
         f"vars: [{{name: X, objref: {THERE}}}, {{name: X, objref: {THERE}}}]", FAILS),
    )
}  # fmt: skip
COPIED["a variable of a base again"] = (
    on_base(variable(THERE), variable(THERE), c=SETTINGS),
    FAILS,
)
LABELLED = """\
commonLabels: {a: b}
patchesJson6902:
- target: {version: v1, kind: Service, name: s, labelSelector: a=b}
  patch: '[{"op": "remove", "path": "/spec/type"}]'
"""
PATCHED: dict[str, tuple[Files, bool]] = {
    name: (top(text, c=SERVICE), made)
    for name, text, made in (
        ("nothing to remove", operation('{"op": "remove", "path": "/spec/type"}'), FAILS),
        ("something to remove", operation('{"op": "remove", "path": "/spec/ports"}'), MADE),
        ("some to add", operation('{"op": "add", "path": "/spec/ports/-", "value": {}}'), MADE),
        ("far to add", operation('{"op": "add", "path": "/spec/ports/5", "value": {}}'), FAILS),
        ("a first annotation",
         operation('{"op": "add", "path": "/metadata/annotations/a~1b", "value": "c"}'), MADE),
        ("a first label",
         operation('{"op": "add", "path": "/metadata/labels/a", "value": "c"}'), FAILS),
        ("a test that fails",
         operation('{"op": "test", "path": "/spec/ports/0/port", "value": 81}'), FAILS),
        ("nobody to remove from",
         operation('{"op": "remove", "path": "/spec/type"}', "{kind: Ingress}"), MADE),
        ("what no label chooses",
         operation('{"op": "remove", "path": "/spec/type"}', "{labelSelector: a=b}"), MADE),
        ("what a label of the overlay chooses", LABELLED, FAILS),
    )
} | {
    name: (top("patches: [{path: p.yaml}]", c=SERVICE, p=text), made)
    for name, text, made in (
        ("a field", merge("Service", "spec: {type: LoadBalancer}"), MADE),
        ("a list for a mapping", merge("Service", "spec: [a]"), FAILS),
        ("a mapping for a list", merge("Service", "spec: {ports: {a: b}}"), FAILS),
        ("of another kind", merge("ConfigMap", "data: {a: b}"), FAILS),
        ("in another namespace", merge("Service", "spec: {}", "{name: s, namespace: z}"), FAILS),
        ("an item of no key", merge("Service", "spec: {ports: [{name: x}]}"), MADE),
    )
}  # fmt: skip
CONFIGURED: dict[str, tuple[Files, bool]] = {
    name: (top("configurations: [x.yaml]", x=text), made)
    for name, text, made in (
        ("a name", "nameReference: [{kind: Secret, fieldSpecs: [{kind: Cart, path: a/b}]}]", MADE),
        ("a field that there is not", "a: b", FAILS),
        ("a mapping for a list", "namePrefix: {path: x}", FAILS),
    )
}
ROWS = {**OBJECTS, **GENERATED, **COPIED, **PATCHED, **CONFIGURED}


@pytest.mark.parametrize("name", ROWS)
def test_what_fails_the_build_of_a_workload_is_known_wherever_it_stands(name: str) -> None:
    files, is_made = ROWS[name]
    found = unknowns(files)
    assert bool(found) != is_made, found
    words = "the build fails|the JSON patch (wants|tests)|another shape|a circle"
    assert all(re.search(words, one) for one in found)


def test_what_another_repository_may_have_is_not_missed() -> None:
    text = f"resources: [a.yaml, https://acme.example/x]\n{CM}: [{{name: c, behavior: merge}}]"
    found = unknowns(top(f"{text}\n{copied(paths=f'[{NAME}]')}\n{variable(THERE)}"))
    assert not any("the build fails" in one for one in found)


def test_a_pattern_that_is_not_read_as_the_tool_reads_it_leaves_the_image_unknown() -> None:
    paths = r"['spec.template.spec.containers.[name=\pL].name']"
    [found] = unknowns(top(copied(paths=paths), c=SETTINGS))
    assert "is not read as Go reads it" in found

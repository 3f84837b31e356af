"""The layers of values that kustomize, helmfile, Fleet, charts and releases give to a chart.

Which layers there are, in which order, and where each stands is what these tools document; what of
an image is known is judged by it in `test_effect_sources`.
"""

from __future__ import annotations

import pytest

from gitops_rollback.effective.charts import Charts
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.stacks import Layer, is_replaced, overridden, stacks_of
from gitops_rollback.manifest.document import ParsedFile, parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.kustomize import is_kustomization, read_kustomization

VALUES = "image: {repository: acme/cart, tag: '1'}\n"
CUSTOM = "/targetCustomizations/0/helm"
SUB = "charts/shop/charts/cart/values.yaml"
HEAD = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec:
  chart: {spec: {chart: ./charts/shop/}}
  valuesFrom: [{kind: ConfigMap, name: values}, {kind: ConfigMap, name: values, valuesKey: b}]
  values: {cart: {image: {tag: '2'}}, other: 1}
"""


def stacks(files: dict[str, str]) -> list[list[str]]:
    """The layers of each stack as `place title`; one that is not read ends in a mark."""
    return [[shown(layer) for layer in stack] for stack in found(files)]


def found(files: dict[str, str]) -> list[tuple[Layer, ...]]:
    parsed = {path: parse(path, text.encode()) for path, text in files.items()}
    kustomizations = [read_kustomization(f) for p, f in parsed.items() if is_kustomization(p)]
    others: list[ParsedFile] = [f for p, f in parsed.items() if not is_kustomization(p)]
    charts = Charts(Raw({path: text.encode() for path, text in files.items()}), parsed.get)
    return stacks_of([one for one in kustomizations if one], others, charts)


def shown(layer: Layer) -> str:
    is_read = "" if layer.node is not None else " ?"
    return f"{layer.path}:{layer.line}{layer.pointer} {layer.title}{is_read}"


STACKS = {
    "kustomize: files in their order, then what is written in place": (
        {
            "shop/kustomization.yaml": f"{HEAD}helmCharts:\n- name: a\n"
            "- valuesFile: ../v/own.yaml\n  additionalValuesFiles: [more.yaml, gone.yaml]\n"
            "  valuesInline: {image: {tag: '2'}}\n",
            "v/own.yaml": VALUES,
            "shop/more.yaml": VALUES,
            "shop/charts/a/values.yaml": VALUES,
        },
        [
            ["shop/charts/a/values.yaml:1 the values file shop/charts/a/values.yaml"],
            [
                "v/own.yaml:1 the values file v/own.yaml",
                "shop/more.yaml:1 the values file shop/more.yaml",
                "shop/gone.yaml:1 the values file shop/gone.yaml ?",
                "shop/kustomization.yaml:7/helmCharts/1/valuesInline valuesInline",
            ],
        ],
    ),
    "helmfile: files and values in their order, then what sets one": (
        {
            "f/helmfile.yaml": "releases:\n- name: none\n- values:\n  - ../a.yaml\n"
            "  - image: {tag: '2'}\n"
            "  setTemplate: [{name: c, value: x}]\n  setString: [{name: b, value: '1'}]\n"
            "  set: [{name: image.tag, value: '3'}, {name: image.name}]\n",
            "a.yaml": VALUES,
        },
        [
            [],
            [
                "a.yaml:1 the values file a.yaml",
                "f/helmfile.yaml:5/releases/1/values/1 values",
                "f/helmfile.yaml:8- set",
                "f/helmfile.yaml:8- set ?",
                "f/helmfile.yaml:7- setString",
                "f/helmfile.yaml:6- setTemplate",
            ],
        ],
    ),
    "helmfile: the chart's own values come first, then what is not followed": (
        {
            "f/helmfile.yaml": "releases:\n- chart: ../charts/a\n  secrets: [s.yaml]\n"
            "  values: [v.yaml]\n  inherit: [{template: x}]\n- chart: stable/a\n",
            "charts/a/values.yaml": VALUES,
            "f/v.yaml": VALUES,
        },
        [
            [
                "charts/a/values.yaml:1 the values file charts/a/values.yaml",
                "f/helmfile.yaml:5- inherit ?",
                "f/v.yaml:1 the values file f/v.yaml",
                "f/s.yaml:1 the values file f/s.yaml ?",
            ],
            [],
        ],
    ),
    "kustomize: the charts stand in the folder that it says": (
        {
            "shop/kustomization.yaml": f"{HEAD}helmGlobals: {{chartHome: ../c}}\n"
            "helmCharts: [{name: a, valuesInline: {b: 1}}]\n",
            "c/a/values.yaml": VALUES,
        },
        [
            [
                "c/a/values.yaml:1 the values file c/a/values.yaml",
                "shop/kustomization.yaml:4/helmCharts/0/valuesInline valuesInline",
            ],
        ],
    ),
    "fleet: what comes over the chart beside it": (
        {"f/fleet.yaml": "helm: {values: {a: 1}}\n", "f/values.yaml": VALUES},
        [
            [
                "f/values.yaml:1 the values file f/values.yaml",
                "f/fleet.yaml:1/helm/values values at /helm",
            ],
        ],
    ),
    "helmfile: an object of Kubernetes with releases is none": (
        {"a.yaml": "kind: X\nreleases: [{values: [{a: b}]}]\n"},
        [],
    ),
    "fleet: what all get, then what some get": (
        {
            "f/fleet.yaml": "helm:\n  valuesFiles: [v.yaml]\n  values: {a: 1}\n"
            "targetCustomizations:\n- helm:\n    values: {a: 2}\n- name: plain\n",
            "f/v.yaml": VALUES,
            "f/other.yaml": "targetCustomizations: [{helm: {values: {a: 2}}}]\n",
        },
        [
            [
                "f/v.yaml:1 the values file f/v.yaml",
                "f/fleet.yaml:3/helm/values values at /helm",
            ],
            [
                "f/v.yaml:1 the values file f/v.yaml",
                "f/fleet.yaml:3/helm/values values at /helm",
                f"f/fleet.yaml:6{CUSTOM}/values values at {CUSTOM}",
            ],
            [
                "f/v.yaml:1 the values file f/v.yaml",
                "f/fleet.yaml:3/helm/values values at /helm",
            ],
        ],
    ),
    "kluctl: the chart's own, then what stands beside": (
        {
            "d/helm-chart.yaml": "helmChart: {path: ../cart}\n",
            "d/helm-values.yml": VALUES,
            "e/helm-chart.yml": "helmChart: {repo: 'https://charts.example'}\n",
            "cart/values.yaml": VALUES,
        },
        [
            [
                "cart/values.yaml:1 the values file cart/values.yaml",
                "d/helm-values.yml:1 the values file d/helm-values.yml",
            ],
            [],
        ],
    ),
    "skaffold: files, then what it says itself, in profiles too": (
        {
            "skaffold.yaml": "apiVersion: skaffold/v4beta6\nkind: Config\n"
            "manifests: {helm: {releases: [{chartPath: cart, overrides: {a: 1}}]}}\n"
            "profiles:\n- deploy: {helm: {releases: [{chartPath: cart, valuesFiles: [v.yaml],\n"
            "    setValues: {image.tag: '2'}, setValueTemplates: {a: b}}]}}\n",
            "other.yaml": "deploy: {helm: {releases: [{chartPath: cart}]}}\n",
            "cart/values.yaml": VALUES,
            "v.yaml": VALUES,
        },
        [
            [
                "cart/values.yaml:1 the values file cart/values.yaml",
                "skaffold.yaml:3- overrides",
            ],
            [
                "cart/values.yaml:1 the values file cart/values.yaml",
                "v.yaml:1 the values file v.yaml",
                "skaffold.yaml:6- setValues",
                "skaffold.yaml:6- setValueTemplates",
            ],
        ],
    ),
    "a release: the files that its ConfigMaps are made of, then its own": (
        {
            "kustomization.yaml": f"{HEAD}configMapGenerator:\n- name: other\n"
            "- {name: values, files: [v/values.yaml, b=c.yaml],\n"
            "   options: {disableNameSuffixHash: true}}\n",
            "v/values.yaml": VALUES,
            "c.yaml": VALUES,
            "release.yaml": RELEASE,
            "foreign.yaml": RELEASE.replace("helm.toolkit.fluxcd.io", "acme.example")
            + "---\n"
            + RELEASE.replace("  values: {cart", "  none: {cart"),
            "alone.yaml": RELEASE.replace("name: values", "name: unknown"),
        },
        [
            [
                "v/values.yaml:1 the values file v/values.yaml",
                "c.yaml:1 the values file c.yaml",
                "release.yaml:7/spec/values spec.values of HelmRelease cart",
            ],
            [
                "v/values.yaml:1 the values file v/values.yaml",
                "c.yaml:1 the values file c.yaml",
            ],
            [],
        ],
    ),
    "a chart in the charts folder of another: its own, then what that one says": (
        {
            "charts/shop/Chart.yaml": "name: shop\n",
            "charts/shop/values.yaml": "other: 1\ncart: {image: {tag: '2'}}\n",
            "charts/shop/charts/cart/Chart.yaml": "name: cart\n",
            SUB: VALUES,
        },
        [
            [
                f"{SUB}:1 the values file {SUB}",
                "charts/shop/values.yaml:2/cart cart in charts/shop/values.yaml",
            ]
        ],
    ),
    "a chart in the charts folder of one that calls it otherwise: by that name alone": (
        {
            "charts/shop/Chart.yaml": "name: shop\ndependencies: [{name: cart, alias: main}]\n",
            "charts/shop/values.yaml": "cart: {image: {tag: '3'}}\nmain: {image: {tag: '2'}}\n",
            "charts/shop/charts/cart/Chart.yaml": "name: cart\n",
            SUB: VALUES,
        },
        [
            [
                f"{SUB}:1 the values file {SUB}",
                "charts/shop/values.yaml:2/main main in charts/shop/values.yaml",
            ]
        ],
    ),
    "a chart that others name by its path, once by another name": (
        {
            "cart/Chart.yaml": "name: cart\n",
            "cart/values.yaml": VALUES,
            "a/Chart.yaml": "dependencies:\n- {name: cart, repository: 'file://../cart'}\n"
            "- {name: cart, alias: basket, repository: 'file://../cart/'}\n"
            "- {name: cart, repository: 'https://charts.example'}\n- {name: sub}\n",
            "a/values.yaml": "basket: {image: {tag: '2'}}\n",
        },
        [
            ["cart/values.yaml:1 the values file cart/values.yaml"],
            [
                "cart/values.yaml:1 the values file cart/values.yaml",
                "a/values.yaml:1/basket basket in a/values.yaml",
            ],
        ],
    ),
    "a chart's own folder: its values, and those of a stage": (
        {
            "cart/Chart.yaml": "name: cart\n",
            "cart/values.yaml": VALUES,
            "cart/values-prod.yaml": "tag: '2'\n",
            "cart/empty-values.yaml": "",
            "cart/values-none.yaml": "---\n# nothing yet\n",
            "cart/other.yaml": "tag: '2'\n",
            "elsewhere/values-prod.yaml": "tag: '2'\n",
            "bare/Chart.yaml": "name: bare\n",
            "bare/values-prod.yaml": "tag: '2'\n",
        },
        [
            [
                "cart/values.yaml:1 values.yaml",
                "cart/values-prod.yaml:1 the values file cart/values-prod.yaml",
            ]
        ],
    ),
}


@pytest.mark.parametrize(("files", "expected"), STACKS.values(), ids=STACKS)
def test_values_come_in_layers_of_which_the_last_one_wins(
    files: dict[str, str], expected: list[list[str]]
) -> None:
    assert stacks(files) == expected


@pytest.mark.parametrize(
    ("stage", "places"),
    [
        ("image: {tag: '2'}", ["cart/values-prod.yaml"]),
        ("image: {repository: acme/cart}", []),  # it names an image of its own
        ("image: {name: acme/cart, tag: '2'}", []),
        ("image: {tag: ''}", ["cart/values-prod.yaml"]),
        ("image: 'acme/cart:2'", []),  # a whole image is a field of its own
        ("image: {pullPolicy: Always}", []),
        ("name: cart\nimage: {tag: '2'}", ["cart/values-prod.yaml"]),
        ("image: acme/sidecar\ntag: '3'", []),
        ("tag: acme/sidecar:3\nimage: {tag: '2'}", ["cart/values-prod.yaml"]),
        ("other: {tag: '2'}", []),
        ("[]", ["cart/values-prod.yaml"]),
    ],
)
def test_what_a_stage_sets_of_an_image_takes_its_place(stage: str, places: list[str]) -> None:
    files = {
        "cart/Chart.yaml": "name: cart\n",
        "cart/values.yaml": VALUES,
        "cart/values-prod.yaml": f"{stage}\n",
    }
    [field] = find_fields(parse("cart/values.yaml", VALUES.encode()))
    told = list(overridden(field, found(files)))
    assert [one.path for one in told] == places
    assert {one.why for one in told} <= {"it comes later and sets the same value"}


@pytest.mark.parametrize(
    ("stage", "is_told"),
    [("acme/cart:2", False), ("acme/cart", True), ("cart:2", True), ("''", True)],
)
def test_only_a_whole_image_of_a_stage_is_a_field_of_its_own(stage: str, *, is_told: bool) -> None:
    own = "cartImage: acme/cart:1\n"
    files = {
        "cart/Chart.yaml": "name: cart\n",
        "cart/values.yaml": own,
        "cart/values-prod.yaml": f"cartImage: {stage}\n",
    }
    [field] = find_fields(parse("cart/values.yaml", own.encode()))
    assert bool(list(overridden(field, found(files)))) == is_told


def test_a_layer_that_is_not_read_may_set_what_stands_before_it_and_nothing_behind_it() -> None:
    chart = "helmCharts: [{additionalValuesFiles: [gone.yaml, a.yaml, none.yaml]}]"
    files = {"kustomization.yaml": f"{HEAD}{chart}\n", "a.yaml": VALUES, "b.yaml": VALUES}
    [field] = find_fields(parse("a.yaml", VALUES.encode()))
    [told] = overridden(field, found(files))
    assert (told.path, told.why) == ("none.yaml", "it comes later and may set the same value")
    [other] = find_fields(parse("b.yaml", VALUES.encode()))
    assert list(overridden(other, found(files))) == []


def test_of_one_file_in_two_places_only_what_holds_the_image_is_its_layer() -> None:
    text = (
        "helm: {values: {image: {repository: acme/cart, tag: '1'}}}\n"
        "targetCustomizations: [{helm: {values: {image: {tag: '2'}}}}]\n"
    )
    fields = find_fields(parse("fleet.yaml", text.encode()))
    [told] = [one for f in fields for one in overridden(f, found({"fleet.yaml": text}))]
    assert (told.line, told.construct) == (2, "values at /targetCustomizations/0/helm")


@pytest.mark.parametrize(
    ("later", "is_gone"),
    [
        ("image: {repository: acme/cart, tag: '2'}", True),
        ("image: {tag: '2'}", False),
        ("image: {repository: acme/cart, tag: ''}", False),
        ("image: acme/cart:2", True),
        ("image: 2", False),
        ("other: {repository: acme/cart, tag: '2'}", False),
    ],
)
def test_a_field_decides_nothing_where_all_layers_behind_it_say_it_anew(
    later: str, *, is_gone: bool
) -> None:
    [field] = find_fields(parse("charts/a/values.yaml", VALUES.encode()))
    release = "- chart: charts/a\n  values: [v.yaml]\n"
    files = {"charts/a/values.yaml": VALUES, "v.yaml": f"{later}\n"}
    once = found(files | {"helmfile.yaml": f"releases:\n{release}"})
    assert is_replaced(field, once) == is_gone
    twice = found(files | {"helmfile.yaml": f"releases:\n{release}- chart: charts/a\n"})
    assert not is_replaced(field, twice)
    assert not is_gone or not list(overridden(field, once))
    assert not is_replaced(field, [])

"""The values that a HelmRelease gives to its chart, and what makes them unknown."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gitops_rollback.effective.charts import Charts
from gitops_rollback.effective.helm import Layers, layers_of
from gitops_rollback.effective.objects import Resource
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.sources import Sources
from gitops_rollback.manifest.document import ParsedFile, parse
from unit.test_effect_sources import OURS, deployed, flux, git, release
from unit.test_effective import effect_of

CHART = "chart: {spec: {chart: ./charts/cart, sourceRef: {kind: GitRepository, name: flux}%s}}"
REVISION = CHART % ", reconcileStrategy: Revision"
FILES = {
    "charts/cart/Chart.yaml": "name: cart\nversion: 1.0.0\n",
    "charts/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\nport: 1\n",
    "charts/cart/other.yaml": "image: {tag: '2'}\n",
}


def resource(text: str, path: str = "b.yaml") -> Resource:
    root = parse(path, text.encode()).trees[0]
    assert root is not None
    return Resource(root, path, 0)


def layers(spec: str, *others: str, files: dict[str, str] | None = None) -> Layers:
    """The layers of a release with a specification, among other objects."""
    known = FILES if files is None else files
    head = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
    one = resource(f"{head}metadata: {{name: cart, namespace: shop}}\nspec:\n  {spec}\n", "r.yaml")

    def parsed(path: str) -> ParsedFile | None:
        return parse(path, known[path].encode()) if path in known else None

    return layers_of(one, [resource(text) for text in others], Charts(Raw(), parsed), Sources())


def plain(found: yaml.Node | None) -> Any:  # noqa: ANN401 - whatever the YAML has
    return None if found is None else yaml.safe_load(yaml.serialize(found))


def config(data: str, name: str = "values", namespace: str = "shop") -> str:
    head = f"kind: ConfigMap\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"{head}data: {data}\n" if data else head


SOURCE = "valuesFrom: [{kind: ConfigMap, name: values%s}]"


@pytest.mark.parametrize(
    ("spec", "others", "expected"),
    [
        ("values: {a: 1}", (), {"a": 1}),
        ("values: ~", (), None),
        (REVISION, (), {"image": {"repository": "acme/cart", "tag": "1"}, "port": 1}),
        (
            f"{REVISION}\n  values: {{image: {{tag: '3'}}}}", (),
            {"image": {"repository": "acme/cart", "tag": "3"}, "port": 1},
        ),
        (
            f"{REVISION}\n  values: {{port: ~, image: {{tag: ~}}}}", (),
            {"image": {"repository": "acme/cart"}},
        ),
        (
            REVISION.replace("Revision", "Revision, valuesFiles: [charts/cart/values.yaml, "
                             "charts/cart/other.yaml]"), (),
            {"image": {"repository": "acme/cart", "tag": "2"}, "port": 1},
        ),
        (
            REVISION.replace("Revision", "Revision, valuesFile: charts/cart/other.yaml"), (),
            {"image": {"tag": "2"}},
        ),
        (REVISION.replace("GitRepository", "HelmRepository"), (), None),
        (REVISION.replace("./charts/cart", "./charts/none"), (), None),
        (SOURCE % "", (config("{values.yaml: 'a: 1'}"),), {"a": 1}),
        (SOURCE % ", valuesKey: x", (config("{x: 'a: 2'}"),), {"a": 2}),
        (
            SOURCE % ", targetPath: image.tag, valuesKey: x", (config("{x: '7'}"),),
            {"image": {"tag": "7"}},
        ),
        (SOURCE % "", (config("{values.yaml: ''}"),), None),
        (SOURCE % "", (config("{values.yaml: 'a: 1'}", namespace="''"),), {"a": 1}),
        (SOURCE % ", optional: true", (), None),
        (f"{SOURCE % ''}\n  values: {{a: 2}}", (config("{values.yaml: 'a: 1'}"),), {"a": 2}),
    ],
)  # fmt: skip
def test_a_release_s_values_are_merged_layer_by_layer(
    spec: str,
    others: tuple[str, ...],
    expected: Any,  # noqa: ANN401
) -> None:
    found = layers(spec, *others)
    assert plain(found.values) == expected
    assert found.unread == ()


ONE_BY_ONE = (
    "valuesFrom: [{kind: ConfigMap, name: a, valuesKey: x, targetPath: image.tag},"
    " {kind: ConfigMap, name: %s, valuesKey: %s}]\n  values: %s"
)


# As helm-controller 1.6.1 makes them of these.
@pytest.mark.parametrize(
    ("second", "key", "own", "expected"),
    [
        ("none, optional: true", "x", "{image: {tag: own}}", {"image": {"tag": "7"}}),
        ("none, optional: true", "x", "{tag: own}", {"image": {"tag": "7"}, "tag": "own"}),
        ("b", "values.yaml", "{image: {a: 1}}", {"image": {"tag": "7", "a": 1, "b": 1}}),
        ("b", "values.yaml", "{}", {"image": {"tag": "8", "b": 1}}),
        ("b", "x, targetPath: image.tag", "{image: {tag: own}}", {"image": {"tag": "7"}}),
        ("b", "x, targetPath: tag", "{tag: own}", {"image": {"tag": "7"}, "tag": "own"}),
        ("b", "x, targetPath: image.b", "{image: {tag: own}}", {"image": {"tag": "7", "b": "9"}}),
    ],
)
def test_a_value_at_a_path_is_over_the_mapping_that_the_release_itself_brings(
    second: str, key: str, own: str, expected: object
) -> None:
    one = config("{x: '7'}", name="a")
    other = config("{values.yaml: '{image: {tag: \"8\", b: 1}}', x: '9'}", name="b")
    found = layers(ONE_BY_ONE % (second, key, own), one, other)
    assert (plain(found.values), found.over) == (expected, ())


def test_a_null_in_one_layer_still_removes_what_the_chart_says() -> None:
    first, second = config("{values.yaml: 'image: {a: 1}'}"), "image: {tag: ~}"
    found = layers(f"{REVISION}\n  {SOURCE % ''}\n  values: {{{second}}}", first)
    assert plain(found.values) == {"image": {"repository": "acme/cart", "a": 1}, "port": 1}


@pytest.mark.parametrize(
    ("source", "own", "why"),
    [
        ("kind: Secret, name: a, targetPath: image.tag", "{image: {tag: 1}}", "it is not read"),
        ("kind: Secret, name: a, targetPath: image.tag", "{a: 1}", ""),
        ("kind: ConfigMap, name: a, valuesKey: x, targetPath: 'image[0].tag'", "{image: {}}", ""),
        (
            "kind: ConfigMap, name: a, valuesKey: x, targetPath: image.tag",
            "{image: acme/cart:1}",
            "there is no mapping to set 'tag' in",
        ),
    ],
)
def test_what_is_put_over_the_release_s_own_values_and_is_not_known(
    source: str, own: str, why: str
) -> None:
    found = layers(f"valuesFrom: [{{{source}}}]\n  values: {own}", config("{x: '7'}", name="a"))
    assert [one.why for _steps, one in found.over] == ([why] if why else [])


def test_an_image_over_which_a_secret_puts_its_tag_is_not_proven() -> None:
    secret = "valuesFrom: [{kind: Secret, name: a, valuesKey: x, targetPath: %s}]"
    own = "values: {image: {repository: acme/cart, tag: '1'}}"
    head = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: cart}\n"
    for path, told in (("image.tag", 1), ("image.secret", 1), ("other.tag", 0)):
        [found] = effect_of({"r.yaml": f"{head}spec:\n  {secret % path}\n  {own}\n"}).landed
        assert len(found.unknowns) == told, path


@pytest.mark.parametrize(
    ("spec", "others"),
    [
        (SOURCE % "", ()),
        (SOURCE % "", (config("{values.yaml: 'a: 1'}", name="other"),)),
        (SOURCE % "", (config("{values.yaml: 'a: 1'}", namespace="other"),)),
        (SOURCE % "", (config("{values.yaml: 'a: ['}"),)),
        (SOURCE % "", (config(""),)),
        (SOURCE.replace("ConfigMap", "Secret") % "", (config("{values.yaml: 'a: 1'}"),)),
        (SOURCE.replace("ConfigMap", "Secret") % ", optional: true", ()),
    ],
)
def test_a_layer_that_nobody_reads_is_said(spec: str, others: tuple[str, ...]) -> None:
    [(steps, unread)] = layers(spec, *others).unread
    assert not steps
    assert unread.why == "it is not read"
    assert unread.path == "r.yaml"


def test_a_chart_s_own_file_counts_only_with_a_new_version_unless_flux_goes_by_revision() -> None:
    [doubt] = layers(CHART % "").of_chart
    assert "only with a new version in charts/cart/Chart.yaml" in doubt.why
    assert layers(REVISION).of_chart == ()
    assert layers(REVISION).paths == ("charts/cart/values.yaml",)
    assert layers(CHART % ", valuesFiles: [none.yaml]").of_chart == ()


def test_a_chart_may_be_named_as_an_object_of_its_own() -> None:
    def chart(name: str, namespace: str, kind: str = "HelmChart") -> str:
        spec = REVISION.removeprefix("chart: {spec: ").removesuffix("}")
        return f"kind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"

    named = "chartRef: {kind: HelmChart, name: cart}"
    assert layers(named, chart("cart", "shop")).chart == ("charts/cart/values.yaml",)
    assert layers(named, chart("cart", "''")).chart == ("charts/cart/values.yaml",)
    elsewhere = "chartRef: {kind: HelmChart, name: cart, namespace: charts}"
    assert layers(elsewhere, chart("cart", "charts")).chart == ("charts/cart/values.yaml",)
    for other in (chart("cart", "charts"), chart("shop", "shop"), chart("cart", "shop", "X")):
        assert layers(named, other).chart == ()
    assert layers(named.replace("HelmChart", "OCIRepository"), chart("cart", "shop")).chart == ()


def test_a_release_that_is_suspended_applies_nothing() -> None:
    [suspended] = layers("suspend: true\n  values: {a: 1}").unknowns
    assert "suspended" in suspended.why
    assert layers("suspend: false\n  values: {a: 1}").unknowns == ()


RENDERED = "postRenderers: [{kustomize: {patches: [{patch: '%s'}]}}]"


@pytest.mark.parametrize(
    ("patch", "is_told"),
    [
        ("{spec: {replicas: 2}}", False),
        ("{spec: {image: acme/cart}}", True),
        ("{spec: {template: {spec: {containers: [{name: a, image: b}]}}}}", True),
        ("[{op: replace, path: /spec/replicas, value: 2}]", False),
        ("[{op: replace, path: /spec/template/spec/containers/0/image, value: a}]", True),
        ("[{op: add, path: /spec/template/spec/containers/-, value: {image: a}}]", True),
        ("[{op: test, path: /spec/template/spec/containers/0/image, value: a}]", False),
        ("[{op: remove, path: /spec/template}]", True),
        ("[{op: remove, path: /metadata/labels/a}]", False),
        ("{spec: {template: {spec: {containers: [{name: a, $patch: delete}]}}}}", True),
        ("{spec: {template: {spec: {initContainers: null}}}}", True),
        ("{spec: {replicas: null}}", False),
        ("[", True),
        ("text", True),
        ("~", False),
    ],
)
def test_a_patch_of_a_post_renderer_that_may_set_an_image_makes_it_unknown(
    patch: str,
    is_told: bool,  # noqa: FBT001
) -> None:
    found = layers(RENDERED % patch).unknowns
    assert bool(found) == is_told
    assert all("may set an image of what the chart makes" in one.why for one in found)


# fluxcd.io, HelmReleases v2beta2, "Post renderers": texts, or objects and operations themselves.
PATCHES = {
    "patches": ("{patch: '{spec: {%s: a}}'}", "{target: {kind: A}, patch: '{spec: {%s: a}}'}"),
    "patchesStrategicMerge": ("{kind: A, spec: {%s: a}}", "'{kind: A, spec: {%s: a}}'"),
    "patchesJson6902": ("{target: {kind: A}, patch: [{op: add, path: /spec/%s, value: a}]}",),
}


@pytest.mark.parametrize("key", PATCHES)
def test_a_patch_is_read_in_each_way_that_a_post_renderer_has_it(key: str) -> None:
    for form in PATCHES[key]:
        for name in ("image", "replicas"):
            text = f"postRenderers: [{{kustomize: {{{key}: [{form % name}]}}}}]"
            found = [one.construct for one in layers(text).unknowns]
            assert found == ([f"postRenderers {key}"] if name == "image" else []), text


def test_the_scalars_of_a_text_are_known_by_where_they_stand() -> None:
    found = layers(SOURCE % "", config("{values.yaml: 'a: {b: 1}'}"))
    assert {one.name for one in found.embedded.values()} == {"values"}
    assert len(found.embedded) == 5


# What a release names -----------------------------------------------------------------------------

NAMING = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart, namespace: shop}
spec:
  chart: {spec: {chart: cart, sourceRef: {kind: HelmRepository, name: acme}}}
  valuesFrom: [{kind: ConfigMap, name: cart-values}]
"""
NAMED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: cart-values, namespace: shop}
data: {values.yaml: "image: {repository: acme/cart, tag: '1'}"}
"""
FOLLOWS = {
    "apps/cart/names.yaml": (
        "nameReference:\n- kind: ConfigMap\n  fieldSpecs:\n"
        "  - {kind: HelmRelease, path: spec/valuesFrom/name}\n"
    )
}
TAKES = {"apps/cart/r.yaml": NAMING, "apps/cart/cm.yaml": NAMED}
GENERATED = {
    "apps/cart/r.yaml": NAMING,
    "apps/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
}
BOTH = "resources: [r.yaml, cm.yaml]\n"
PREFIX, BY_NAMES = "namePrefix: p-\n", "configurations: [names.yaml]\n"
MADE = "resources: [r.yaml]\nconfigMapGenerator: [{name: cart-values, files: [values.yaml]%s}]\n"
SAME_NAME = ", options: {disableNameSuffixHash: true}"
ANOTHER = "gives the ConfigMap cart-values another name"


@pytest.mark.parametrize(
    ("files", "kustomization", "why"),
    [
        (TAKES, BOTH, ""),
        (TAKES, BOTH + "namespace: web\n", ""),
        (TAKES, BOTH + PREFIX, "which is no image field"),
        (TAKES | FOLLOWS, BOTH + PREFIX + BY_NAMES, ""),
        (GENERATED, MADE % "", ANOTHER),
        (GENERATED, MADE % SAME_NAME, ""),
        (GENERATED, MADE % "" + "generatorOptions: {disableNameSuffixHash: true}\n", ""),
        (GENERATED, MADE % SAME_NAME + PREFIX, ANOTHER),
        (GENERATED | FOLLOWS, MADE % "" + PREFIX + BY_NAMES, ""),
    ],
    ids=[
        "as it is",
        "in another namespace",
        "with another name",
        "with another name that is followed",
        "generated",
        "generated without a hash",
        "generated without any hash",
        "generated without a hash, with a prefix",
        "generated, and followed",
    ],
)
def test_values_of_a_release_come_from_what_bears_the_name_that_it_says(
    files: dict[str, str], kustomization: str, why: str
) -> None:
    some = {**files, "apps/cart/kustomization.yaml": kustomization}
    flux_files = {"clusters/s.yaml": git("ours", OURS), "clusters/a.yaml": flux("ours")}
    found = deployed({**flux_files, **some})
    assert why in found if why else not isinstance(found, str), found


POST_RENDERED = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart, namespace: shop}
spec:
  chart: {spec: {chart: cart, sourceRef: {kind: HelmRepository, name: charts}}}
  values: {image: {repository: acme/cart, tag: '1'}}
  postRenderers:
  - kustomize: {patches: []}
  - kustomize: {images: [%s]}
"""
NOT_SEEN = "whether the chart makes an image of that name is not known"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{name: acme/cart, newTag: '2'}", {"acme/cart:2": ""}),
        ("{name: acme/cart, newTag: '2'}, {name: acme/cart, newTag: '2'}", {"acme/cart:2": ""}),
        ("{name: acme/cart, newName: x.io/cart}", {"x.io/cart:1": ""}),
        ("{name: acme/cart, newName: x.io/cart, newTag: '2'}", {"x.io/cart:2": ""}),
        ("{name: 'acme/c.*', newTag: '2'}", {"acme/cart:2": ""}),
        ("{name: acme/car, newName: x.io/cart}", {"acme/cart:1": ""}),
        ("{name: acme/car, newTag: '2'}", {"acme/cart:1": "", "acme/car:2": NOT_SEEN}),
        ("{name: 'acme/(cart', newTag: '2'}", {"acme/cart:1": "unterminated subpattern"}),
        ("{name: 'acme/(cart', newName: x.io/cart}", {"acme/cart:1": "unterminated subpattern"}),
    ],
)
def test_an_entry_of_a_post_renderer_makes_another_image_of_what_it_is_for(
    entry: str, expected: dict[str, str]
) -> None:
    landed = effect_of({"r.yaml": POST_RENDERED % entry}).landed
    assert [one.image for one in landed] == list(expected)
    for one, why in zip(landed, expected.values(), strict=True):
        assert bool(one.unknowns) == bool(why)
        assert all(why in doubt.why and doubt.line == 9 for doubt in one.unknowns)


@pytest.mark.parametrize("listed", ["other.yaml, r.yaml", "r.yaml, other.yaml"])
def test_an_entry_of_a_post_renderer_is_of_its_own_release_alone(listed: str) -> None:
    """Not of those that the kustomization lists before it, either."""
    release = POST_RENDERED % "{name: acme/cart, newTag: '2'}"
    other = release.replace("name: cart,", "name: other,").partition("  postRenderers")[0]
    files = {
        "kustomization.yaml": f"resources: [{listed}]\n",
        "r.yaml": release,
        "other.yaml": other,
    }
    landed = effect_of(files).landed
    assert {one.workload: one.version for one in landed} == {"cart": ":2", "other": ":1"}


SINGLE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: single, namespace: shop}
data: {it: "1"}
"""
BY_TARGET = NAMING.replace(
    "[{kind: ConfigMap, name: cart-values}]",
    "[{kind: ConfigMap, name: single, valuesKey: it, targetPath: image.tag}]",
)
OWN_VALUES = "  values: {image: {repository: acme/cart%s}}\n"


@pytest.mark.parametrize("listed", [True, False], ids=["by a kustomization", "by the folder"])
def test_a_single_value_is_edited_in_the_file_that_it_comes_from(*, listed: bool) -> None:
    files = {
        "clusters/s.yaml": git("ours", OURS),
        "clusters/a.yaml": flux("ours"),
        "apps/cart/r.yaml": BY_TARGET + OWN_VALUES % "",
        "apps/cart/single.yaml": SINGLE,
    }
    if listed:
        files["apps/cart/kustomization.yaml"] = "resources: [r.yaml, single.yaml]\n"
    found = deployed(files)
    assert not isinstance(found, str), found
    assert set(found) == {"apps/cart/single.yaml"}
    both = deployed(files | {"apps/cart/r.yaml": BY_TARGET + OWN_VALUES % ", tag: '2'"})
    assert set(both) == {"apps/cart/single.yaml"}


def test_a_registry_for_all_images_counts_from_whichever_layer() -> None:
    text = NAMED.replace("image: {", "{global: {registry: ghcr.io}, image: {").replace('}"', '}}"')
    files = {
        "clusters/s.yaml": git("ours", OURS),
        "clusters/a.yaml": flux("ours"),
        "apps/cart/r.yaml": NAMING + OWN_VALUES % ", tag: '2'",
        "apps/cart/cm.yaml": text,
    }
    assert "global.imageRegistry may stand in the place of its registry" in deployed(files)


UMBRELLA = {
    "shop/Chart.yaml": (
        "name: shop\ndependencies:\n- {name: cart, alias: main, repository: 'file://../cart'}\n"
        "- {name: away, repository: 'https://charts.example'}\n"
    ),
    "shop/values.yaml": "none: 1\n",
    "cart/Chart.yaml": "name: cart\n",
    "cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
}
OF_SHOP = release("flux-system").replace("./charts/cart", "./shop")
APPLICATION = (
    "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\nspec:\n"
    "  source:\n    repoURL: https://github.com/acme/fleet\n    path: shop\n    helm:\n%s"
)


@pytest.mark.parametrize(
    ("applier", "changed"),
    [
        (OF_SHOP + "  values: {main: {image: {tag: '2'}}}\n", "a.yaml"),
        (OF_SHOP + "  values: {cart: {image: {tag: '2'}}}\n", "cart/values.yaml"),
        (APPLICATION % "      valuesObject: {main: {image: {tag: '2'}}}\n", "a.yaml"),
        (
            APPLICATION % "      parameters: [{name: main.image.tag, value: '2'}]\n",
            "a.yaml",
        ),
        (APPLICATION % "      valuesObject: {main: {port: 1}}\n", "cart/values.yaml"),
    ],
)
def test_the_values_of_a_chart_below_another_are_under_those_that_this_one_gets(
    applier: str, changed: str
) -> None:
    found = deployed(UMBRELLA | {"a.yaml": applier})
    assert set(found) == {changed}, found


def test_what_the_tag_is_written_to_is_said_of_a_chart_that_nothing_here_takes_too() -> None:
    files = {
        "cart/Chart.yaml": "name: cart\n",
        "cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
        "cart/templates/d.yaml": (
            'image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"\n'
            "value: {{ .Values.image.tag | quote }}\n"
        ),
    }
    [found] = effect_of(files).landed
    [said] = found.warnings
    assert said == "the chart writes its tag to what is no image, too: cart/templates/d.yaml:2"

"""Rules that are tables, or have few ways through: every row and every way of them."""

from __future__ import annotations

import pytest
import yaml

from gitops_rollback.effective.appliers import left_alone, paused, reaches_of_set
from gitops_rollback.effective.expressions import (
    FailsError,
    Made,
    NotFollowedError,
    Reading,
    Table,
    What,
    flat,
    made_of,
)
from gitops_rollback.effective.proof import Built, Reached, Recipe, judge_build
from gitops_rollback.effective.rendering import Chart
from gitops_rollback.effective.replace import read_replacements, replaced
from gitops_rollback.effective.sources import LeftOut
from gitops_rollback.image import parse_image
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.manifest.scan import compose
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from unit.test_effect_argo import LAYERS
from unit.test_effect_builds import tree, workload
from unit.test_effect_replacements import CART, VERSIONS, resource
from unit.test_effect_sources import APPLICATION_SET, OURS, deployed
from unit.test_effect_templates import CHART, READS, chart
from unit.test_effective import BASE, WHOLE, effect_of

# argo-cd.readthedocs.io, operator manual, application.yaml: what says of an image, and what not.
SAYS_IMAGES = {
    "helm": (
        *("values", "valuesObject", "parameters", "fileParameters", "valueFiles"),
        *("kubeVersion", "apiVersions", "not-known"),
    ),
    "kustomize": ("images", "patches", "components", "kubeVersion", "apiVersions", "not-known"),
}
SAYS_NONE = {
    "helm": (
        *("releaseName", "version", "passCredentials", "skipCrds", "ignoreMissingValueFiles"),
        *("namespace", "skipTests", "skipSchemaValidation"),
    ),
    "kustomize": (
        *("version", "namePrefix", "nameSuffix", "commonLabels", "commonAnnotations", "namespace"),
        *("commonAnnotationsEnvsubst", "forceCommonLabels", "forceCommonAnnotations", "replicas"),
        *("labelWithoutSelector", "labelIncludeTemplates"),
    ),
}


@pytest.mark.parametrize("tool", SAYS_IMAGES)
def test_a_template_of_applications_matters_where_it_may_set_images(tool: str) -> None:
    def reached(key: str) -> list[str]:
        text = APPLICATION_SET % (OURS, f"path: apps\n        {tool}: {{{key}: []}}")
        [item] = objects_of(parse("a.yaml", text.encode()))
        return [one.unknown.why for one in reaches_of_set(item)]

    for key in SAYS_IMAGES[tool]:
        assert reached(key) == [f"it sets {tool}.{key} by a template, which is not followed"]
    assert [key for key in SAYS_NONE[tool] if reached(key)] == []


@pytest.mark.parametrize("said", ["templatePatch", "plugin"])
def test_a_template_of_applications_is_not_followed_where_something_else_makes_them(
    said: str,
) -> None:
    text = APPLICATION_SET % (OURS, "path: apps" + "\n        plugin: {}" * (said == "plugin"))
    text += "  templatePatch: 'spec: {}'\n" * (said == "templatePatch")
    [item] = objects_of(parse("a.yaml", text.encode()))
    [one] = reaches_of_set(item)
    assert one.unknown.why == f"it sets {said} by a template, which is not followed"


# What gives a Deployment `cart` another name, and which one: by kustomize, by a transformer of it.
NAMED = {
    "namePrefix: p-\n": "p-cart",
    "nameSuffix: -s\n": "cart-s",
    "namePrefix: p-\nnameSuffix: -s\n": "p-cart-s",
    "transformers:\n- |\n  {apiVersion: builtin, kind: PrefixTransformer, metadata: {name: x},"
    " prefix: p-}\n": "p-cart",
    "transformers:\n- |\n  {apiVersion: builtin, kind: SuffixTransformer, metadata: {name: x},"
    " suffix: -s}\n": "cart-s",
    "transformers:\n- |\n  {apiVersion: builtin, kind: PrefixSuffixTransformer,"
    " metadata: {name: x}, prefix: p-, suffix: -s}\n": "p-cart-s",
    "openapi: {version: v1.21.2}\n": "cart",
    "patches:\n- {target: {name: cart}, options: {allowNameChange: true},"
    " patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: p-cart}}'}\n": "p-cart",
}
NEW_IMAGE = "- {op: replace, path: /spec/template/spec/containers/0/image, value: 'acme/cart:3'}"


@pytest.mark.parametrize(("text", "name"), NAMED.items())
@pytest.mark.parametrize("wanted", ["cart", "p-cart", "cart-s", "p-cart-s"])
def test_an_overlay_chooses_an_object_by_the_name_that_its_base_gave_it_or_its_first(
    text: str, name: str, wanted: str
) -> None:
    files = {
        **BASE,
        "base/kustomization.yaml": f"{BASE['base/kustomization.yaml']}{text}",
        "overlay/kustomization.yaml": "resources: [../base]\npatches:\n"
        f'- {{target: {{name: {wanted}}}, patch: "{NEW_IMAGE}"}}\n',
    }
    [one] = effect_of(files, Environment("production", "overlay")).landed
    assert one.image == ("acme/cart:3" if wanted in ("cart", name) else "acme/cart:1")
    assert one.unknowns == ()


LOWERED = 'image: "{{ .Values.image.repository | lower }}:{{ .Values.image.tag }}"\n'
# What stands beside an image that is known exactly, and whether it still is.
BESIDE = {
    "nothing": ("", True),
    "an image of its own variable": (
        '{{ $own := "acme/side:1" }}{{ $own = "acme/side:2" }}\nsideImage: acme/other:1\n',
        True,
    ),
    "an image of a variable that is not followed": (
        "{{ $own := now }}{{ $own = .Release.Name }}\nsideImage: {{ $own }}\n",
        True,  # of no value
    ),
}


@pytest.mark.parametrize(("beside", "is_known"), BESIDE.values(), ids=BESIDE)
def test_an_image_is_known_exactly_where_no_other_may_be_made_of_its_values(
    beside: str,
    is_known: bool,  # noqa: FBT001
) -> None:
    found = deployed(chart(f"{LOWERED}{beside}"))
    assert isinstance(found, dict) is is_known, found


IMAGES = ("acme/cart", "acme/cart:1", "acme/cart@sha256:a", "acme/cart:1@sha256:a")
OPTIONS = ("", "{delimiter: ':', index: 1}", "{delimiter: ':'}", "{delimiter: '@', index: 1}")


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("options", OPTIONS)
def test_what_is_copied_as_it_is_or_as_the_whole_tag_is_decided_where_it_comes_from(
    image: str, options: str
) -> None:
    where = "select: {kind: Deployment}, fieldPaths: ['spec.template.spec.containers.0.image']"
    text = (
        "source: {kind: ConfigMap, fieldPath: data.cart}\n"
        f"targets: [{{{where}{f', options: {options}' if options else ''}}}]\n"
    )
    replacement = read_replacements(parse("k.yaml", text.encode()).documents[0])
    cart, versions = resource(CART.replace("acme/cart:1", image)), resource(VERSIONS)
    _cart, [made] = replaced(cart, replacement, [cart, versions])
    is_tag = options == OPTIONS[1] and "@" not in image
    assert made.is_tag is is_tag
    assert (made.origin is versions) is (is_tag or not options)


def test_each_target_that_chooses_an_object_is_written_to() -> None:
    path = "spec.template.spec.containers.0.image"
    text = (
        "source: {kind: ConfigMap, fieldPath: data.whole}\n"
        f"targets: [{{select: {{kind: Job}}, fieldPaths: [{path}]}},"
        f" {{select: {{kind: Deployment}}, fieldPaths: [{path}]}}]\n"
    )
    replacement = read_replacements(parse("k.yaml", text.encode()).documents[0])
    _cart, made = replaced(resource(CART), replacement, [resource(CART), resource(VERSIONS)])
    assert [one.node.value for one in made] == ["acme/cart:3"]


def test_a_text_that_ends_without_a_line_end_is_left_to_pyyaml() -> None:
    assert compose("a: |\n  b\n") is not None
    assert compose("a: |\n  b") is None


HELM = {
    "{image: 'acme/cart:1'}": [],
    "{valuesObject: {image: 'acme/cart:1'}}": ["/spec/source/helm/valuesObject/image"],
    "{values: 'image: acme/cart:1'}": ["/spec/source/helm/values#/image"],
    "{values: 'image: acme/cart:2', valuesObject: {image: 'acme/cart:1'}}": [
        "/spec/source/helm/valuesObject/image"
    ],
    "{valueFiles: [image]}, kustomize: {images: ['acme/cart:1']}": [
        "/spec/source/kustomize/images/0"
    ],
}


@pytest.mark.parametrize(("helm", "pointers"), HELM.items())
def test_the_images_of_an_application_stand_where_it_gives_values_itself(
    helm: str, pointers: list[str]
) -> None:
    text = (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\n"
        f"spec: {{source: {{repoURL: x, helm: {helm}}}}}\n"
    )
    found = find_fields(parse("a.yaml", text.encode()))
    assert [one.pointer for one in found] == pointers


@pytest.mark.parametrize("is_followed", [True, False])
@pytest.mark.parametrize("repository", ["acme/cart", "acme/side"])
@pytest.mark.parametrize("is_known", [True, False])
def test_a_build_may_change_another_image_of_ours_where_nobody_knows_who_decides_it(
    repository: str,
    *,
    is_followed: bool,
    is_known: bool,
) -> None:
    """Of what is edited elsewhere for sure nothing may change, nor what is of another's."""
    side = workload(f"{repository}:1", "side")
    files = tree("acme/cart:1") | ({"apps/side.yaml": side} if is_known else {})
    listed = f"resources: [deployment.yaml{', side.yaml' if is_known else ''}]\n"
    more = "" if is_followed else "transformers: [add.yaml]\n"
    files["apps/kustomization.yaml"] = f"{listed}{more}"
    was, meant = effect_of(files), parse_image("acme/cart:2")
    [key] = {one.decider for one in was.landed if one.workload == "cart"}
    texts = [
        "---\n".join((workload(f"acme/cart:{n}"), workload(text, "side")))
        for n, text in ((1, f"{repository}:1"), (2, "acme/cart:2"))
    ]
    built = Built(Recipe("apps"), *(text.encode() for text in texts))
    found = [one.message for one in judge_build(built, Reached(was, {key: meant}, {}))]
    is_refused = is_followed if is_known else repository == "acme/side"
    assert [one.startswith("the edit changes more than was meant") for one in found] == (
        [True] if is_refused else []
    )


GIVEN = """\
text: cart
whole: 3
zero: 0
nought: -0.0
half: 1.5
empty: ""
word: "true"
on: true
off: false
none: null
flux: ${TAG}
list: [a, b]
no_items: []
map: {key: v, nothing: null}
no_keys: {}
"""
FAILS, OPEN = "Helm fails", "not followed"
# pkg.go.dev/text/template, "Functions", and masterminds.github.io/sprig: what each makes.
MAKES = {
    ".Values.text": "cart",
    "$.Values.map.key": "v",
    ".Values.gone": None,
    ".Values.none": None,
    ".Values.whole": 3.0,  # as Helm reads all numbers
    ".Values.on": True,
    ".Values.word": "true",
    ".Values.flux": OPEN,
    ".Values.gone.below": FAILS,
    ".Values.none.below": FAILS,
    ".Values.text.below": FAILS,
    ".Values.whole.below": FAILS,
    ".Values.list.below": FAILS,
    "(.Values.map).key": "v",
    "(.Values.map).gone": None,
    "(.Values.gone).below": None,
    "(.Values.gone).below.more": None,
    "(.Values.map).gone.more": FAILS,
    "(.Values.text).below": FAILS,
    "(.Values.text": OPEN,
    ".Values.text)": OPEN,
    "`a` `b`": OPEN,
    "`a": OPEN,
    "": OPEN,
    "|": OPEN,
    "`a` | `b`": OPEN,
    "$own": 1,
    "$other": OPEN,
    "true": True,
    "false": False,
    "nil": None,
    "12": 12,
    "-3": -3,
    "007": OPEN,
    "1.5": OPEN,
    "`a b`": "a b",
    '"a b"': "a b",
    '"a\\n"': "a\n",
    "and 1 2": 2,
    "and 0 2": 0,
    "and 1 0 2": 0,
    "or 0 2": 2,
    "or 2 1": 2,
    "or 0 0": 0,
    "and .Values.off (fail `no`)": False,
    "and .Values.on (fail `no`)": FAILS,
    "or .Values.on (fail `no`)": True,
    "or .Values.off (fail `no`)": FAILS,
    "and .Values.off fail": False,
    "or (now) (fail `no`)": OPEN,
    "and (or 0 1) 2": 2,
    "not .Values.on": False,
    "not .Values.zero": True,
    "not .Values.nought": True,
    "not .Values.half": False,
    "not .Values.no_items": True,
    "not .Values.no_keys": True,
    "not .Values.list": False,
    "not .Values.map": False,
    "not .Values.word": False,
    "empty .Values.empty": True,
    "empty .Values.none": True,
    "empty .Values.text": False,
    "eq .Values.text `cart`": True,
    "eq .Values.text `a`": False,
    "eq .Values.text `a` `cart`": True,
    "eq 1 1": True,
    "eq 1 2": False,
    "eq 1 `1`": OPEN,
    "eq .Values.on true": True,
    "eq .Values.whole 3": OPEN,
    "eq .Values.none `a`": False,
    "eq `a` .Values.none": False,
    "eq `a` .Values.none `a`": True,
    "eq .Values.none .Values.none": OPEN,
    "ne 1 2": True,
    "ne 1 1": False,
    **{
        f"{name} {one} 2": value
        for name, values in {
            "gt": (False, False, True),
            "ge": (False, True, True),
            "lt": (True, False, False),
            "le": (True, True, False),
        }.items()
        for one, value in enumerate(values, start=1)
    },
    "gt .Values.whole 2": OPEN,
    "gt (int .Values.whole) 2": True,
    "gt `b` `a`": OPEN,
    "int .Values.whole": 3,
    "int .Values.none": 0,
    "int .Values.half": OPEN,
    "int .Values.text": OPEN,
    "default `x` .Values.empty": "x",
    "default `x` .Values.text": "cart",
    ".Values.none | default `x`": "x",
    "default `x` (now)": OPEN,
    "default (now) .Values.text": "cart",
    "coalesce .Values.none .Values.empty `x` `y`": "x",
    "coalesce .Values.none": None,
    "hasKey .Values.map `key`": True,
    "hasKey .Values.map `other`": False,
    "hasKey .Values.map `nothing`": OPEN,
    "hasKey .Values.text `a`": OPEN,
    "index .Values.map `key`": "v",
    "index .Values.map `other`": None,
    "index .Values.map `other` `more`": FAILS,
    "index .Values.list 0": "a",
    "index .Values.list 1": "b",
    "index .Values.list 2": FAILS,
    "index .Values.list -1": FAILS,
    "index .Values.list `a`": OPEN,
    "index .Values.map 0": OPEN,
    "index .Values.text `a`": OPEN,
    "required `no` .Values.text": "cart",
    "required `no` .Values.off": False,
    "required `no` .Values.empty": FAILS,
    "required `no` .Values.none": FAILS,
    "fail `no`": FAILS,
    "ternary 1 2 .Values.on": 1,
    "ternary 1 2 .Values.off": 2,
    ".Values.on | ternary 1 2": 1,
    "ternary 1 2 .Values.text": FAILS,
    "ternary 1 2 (now)": OPEN,
    "print `a` .Values.text": "acart",
    "print `a` 1": OPEN,
    "printf `%s-%v` .Values.text `b`": "cart-b",
    "printf `a`": "a",
    "printf `%s`": OPEN,
    "printf `%s` `a` `b`": OPEN,
    "printf `%d` `a`": OPEN,
    "printf `%s` 1": OPEN,
    "quote .Values.text": '"cart"',
    "squote .Values.text": "'cart'",
    "toString .Values.text": "cart",
    "toString .Values.whole": OPEN,
    "trim ` a `": "a",
    "lower `A`": "a",
    "trunc 2 .Values.text": "ca",
    "trunc 0 .Values.text": "",
    "trunc 9 .Values.text": "cart",
    "trunc -2 .Values.text": "rt",
    "replace `a` `o` .Values.text": "cort",
    ".Values.text | replace `a` `o` | trimSuffix `t`": "cor",
    "trimPrefix `ca` .Values.text": "rt",
    "trimPrefix `x` .Values.text": "cart",
    "tpl .Values.text .": "cart",
    "tpl `{{ 1 }}` .": "1",
    "include `name` .": "of cart",
    "include `name` $": "of cart",
    "include `name` .Values": FAILS,
    "include `name`": OPEN,
    "include `gone` .": OPEN,
    "include `itself` .": OPEN,
    "print (include `key` .Values.map) (include `key` .)": "of vof ",
    "print (include `key` .) (include `key` .Values.map)": "of of v",
    "include `fails` .": FAILS,
    "now": OPEN,
    "lower (now)": OPEN,
    "lower": OPEN,
}
HELPERS = {
    "a": "{{ define `name` }}of {{ .Values.text }}{{ end }}",
    "b": "{{ define `itself` }}a{{ include `itself` . }}{{ end }}",
    "c": "{{ define `fails` }}{{ .Values.gone.below }}{{ end }}",
    "d": "{{ define `key` }}of {{ .key }}{{ end }}",
}


@pytest.mark.parametrize(
    ("expression", "what"),
    [
        ("include `gone` .", What.UNREAD),
        ("or `` (include `gone` .)", What.UNREAD),
        ("and `a` (include `gone` .)", What.UNREAD),
        ("default (include `gone` .) ``", What.UNREAD),
        ("or (include `gone` .) `a`", What.UNREAD),
        ("default `a` (include `gone` .)", What.UNKNOWN),
        ("coalesce `` (include `gone` .)", What.UNKNOWN),
    ],
)
def test_what_is_not_read_is_told_from_what_is_not_known(expression: str, what: What) -> None:
    root = Made(Table({}))
    assert isinstance(root.data, Table)
    chart = Chart({}, [], root.data, is_open=False)
    assert flat(Reading(chart, root, {"$": [root]}, expression).value()).data is what


@pytest.mark.parametrize(("expression", "made"), MAKES.items())
def test_an_expression_makes_what_helm_does_or_is_not_followed(
    expression: str, made: object
) -> None:
    root = Made(Table({"Values": made_of(yaml.compose(GIVEN), ())}))
    assert isinstance(root.data, Table)
    helpers = Chart(HELPERS, [], root.data, is_open=False)
    cells = {"$": [root], "$own": [Made(1)]}
    try:
        found = flat(Reading(helpers, root, cells, expression).value()).data
    except FailsError:
        found = FAILS
    except NotFollowedError:
        found = OPEN
    found = FAILS if helpers.failing else OPEN if isinstance(found, What) else found
    assert (type(found), found) == (type(made), made)


@pytest.mark.parametrize("form", ["k{0}:\n  a:\n  - b: 1\n", "k{0}: {{a: [1, {{b: 2}}]}}\n"])
def test_collections_beside_each_other_are_not_deep(form: str) -> None:
    assert compose("".join(form.format(number) for number in range(200))) is not None


IMAGE = "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
IN_DOUBT = f"{{{{- if lookup `v1` `Pod` `a` `b` }}}}\nimage: {IMAGE}\n{{{{- end }}}}\n"
HELPED_IN_DOUBT = IN_DOUBT.replace(IMAGE, "{{ include `image` . }}")
HELPER = '{{ define "image" }}%s{{ end }}\n'
# What stands in further files of a chart, and whether the image is surely made of its values.
FILES = {
    "nothing": ({}, False),
    "it without a condition": ({"b.yaml": READS}, True),
    "it in another doubt": ({"b.yaml": IN_DOUBT}, False),
    "it and what makes none": ({"b.yaml": READS, "c.yaml": "a: {{ .Chart.Name }}\n"}, True),
    "a helper": ({"b.yaml": "image: {{ include `image` . }}\n", "_h.tpl": HELPER % IMAGE}, True),
    "a helper that is not included": ({"_h.tpl": HELPER % IMAGE}, False),
    "a helper in doubt": ({"a.yaml": HELPED_IN_DOUBT, "_h.tpl": HELPER % IMAGE}, False),
    "a helper in doubt first": (
        {
            "a.yaml": HELPED_IN_DOUBT,
            "b.yaml": "image: {{ include `image` . }}\n",
            "_h.tpl": HELPER % IMAGE,
        },
        True,
    ),
    "a helper that is there twice": (
        {
            "b.yaml": "image: {{ include `image` . }}\n",
            "_h.tpl": HELPER % IMAGE,
            "_i.tpl": HELPER % "acme/other:{{ .Chart.Version }}",
        },
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("more", "is_sure"), FILES.values(), ids=FILES)
def test_an_image_in_doubt_is_proven_by_one_that_is_surely_made_of_the_same_values(
    more: dict[str, str],
    is_sure: bool,  # noqa: FBT001
) -> None:
    files = {f"{CHART}templates/{name}": text for name, text in more.items()}
    found = deployed(chart(IN_DOUBT) | files)
    assert isinstance(found, dict) is is_sure, found


GONE = {
    "components": "[gone]",
    "patches": "[{path: gone.yaml}]",
    "patchesStrategicMerge": "[gone.yaml]",
    "patchesJson6902": "[{path: gone.yaml, target: {kind: Deployment}}]",
    "transformers": "[gone.yaml]",
    "configurations": "[gone.yaml]",
    "replacements": "[{path: gone.yaml}]",
    "openapi": "{version: v1.19.0}",
}


@pytest.mark.parametrize("key", GONE)
def test_what_a_kustomization_does_not_find_is_told_at_its_line(key: str) -> None:
    workload_ = BASE["base/deployment.yaml"]
    text = f"resources: [deployment.yaml]\n# one\n# two\n{key}: {GONE[key]}\n"
    [one] = effect_of({"kustomization.yaml": text, "deployment.yaml": workload_}).landed
    assert {(unknown.path, unknown.line) for unknown in one.unknowns} == {("kustomization.yaml", 4)}


# What is edited of the layers of values, whose it is and where it stands.
VALUES = ("Application", "cart", "/spec/source/helm/")
OF_LISTS = ("ConfigMap", "cart-values", "/data/values.yaml#/image")
OWNERS = {
    "text": (*VALUES, "values#/image"),
    "text under an object": (*VALUES, "valuesObject/image"),
    "parameter over a text": (*VALUES, "parameters/0"),
    "parameters alone": (*VALUES, "parameters/1"),
    "file over the chart": ("Application", "cart", "/image"),
    "object over a file that is fetched": (*VALUES, "valuesObject/image"),
    "file of another source": ("Values", "cart-values", "/image"),
    "image of kustomize": ("Application", "cart", "/spec/source/kustomize/images/0"),
    "ConfigMap of a release": OF_LISTS,
    "ConfigMap in a list that is applied": OF_LISTS,
}


@pytest.mark.parametrize("name", LAYERS)
def test_what_is_edited_bears_the_name_of_its_object_or_of_the_one_that_takes_it(name: str) -> None:
    files, path = LAYERS[name]
    data = {path: text.encode() for path, text in files.items()}
    [found] = [one for one in read_manifests(data).effective({}, WHOLE).live if one.path == path]
    kind, owner, *pointer = OWNERS[name]
    assert (found.kind, found.name, found.document) == (kind, owner, 0)
    assert found.pointer == "".join(pointer)


# fluxcd.io, GitRepositories, "Default exclusions"; what is Git's is left out in any case.
GITS = (".git/config", ".gitignore", ".gitmodules", ".gitattributes")
DEFAULTS = (
    *(f"a/b.{end}" for end in ["jpg", "jpeg", "gif", "png", "wmv", "flv", "tar.gz", "zip"]),
    *(".github/a.yaml", ".circleci/a.yaml", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml"),
    *(".drone.yml", "cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml"),
    *("a/.goreleaser.yml", "a/.sops.yaml", "a/.flux.yaml"),
)


@pytest.mark.parametrize("path", [*GITS, *DEFAULTS, "a/b.yaml"])
def test_flux_leaves_out_what_it_says_unless_the_repository_says_itself(path: str) -> None:
    assert (LeftOut({}, None).why(path) is not None) is (path != "a/b.yaml")
    assert (LeftOut({".sourceignore": b"x"}, None).why(path) is not None) is (path in GITS)


# fluxcd.io, Kustomizations, "Controlling the apply behavior of resources".
LEAVES = {
    "kustomize.toolkit.fluxcd.io/reconcile: disabled": True,
    "kustomize.toolkit.fluxcd.io/reconcile: enabled": False,
    "kustomize.toolkit.fluxcd.io/ssa: Ignore": True,
    "kustomize.toolkit.fluxcd.io/ssa: IfNotPresent": True,
    "kustomize.toolkit.fluxcd.io/ssa: Merge": False,
    "kustomize.toolkit.fluxcd.io/ssa: Override": False,
    "argocd.argoproj.io/skip-reconcile: 'true'": True,
}


@pytest.mark.parametrize("note", LEAVES)
@pytest.mark.parametrize("where", ["labels", "annotations"])
def test_an_object_is_left_alone_where_a_note_says_so(note: str, where: str) -> None:
    found = left_alone(resource(f"kind: A\nmetadata: {{name: a, {where}: {{{note}}}}}\n"))
    assert (found is not None and found.construct == note.partition(":")[0]) is LEAVES[note]


@pytest.mark.parametrize(
    ("triggers", "is_paused"),
    [("[{type: ConfigChange}]", False), ("[{type: ImageChange}]", True), ("[]", True)],
)
def test_openshift_rolls_a_change_out_where_a_trigger_says_so(
    triggers: str,
    is_paused: bool,  # noqa: FBT001
) -> None:
    found = paused(resource(f"kind: DeploymentConfig\nspec: {{triggers: {triggers}}}\n"))
    assert (found is not None) is is_paused


PLACES = {
    "/spec/template/spec/containers/0/image": "reference",
    "/spec/values/image/tag": "tag",
    "/spec/values/imageTag": "tag",
    "/spec/values/image_tag": "tag",
    "/spec/values/image/digest": "digest",
    "/spec/values/web/image": "reference",
    "/spec/replicas": "",
    "/spec/values/replicas": "",
}


@pytest.mark.parametrize(("path", "role"), PLACES.items())
@pytest.mark.parametrize("op", ["add", "replace", "remove", "test"])
def test_an_operation_writes_the_part_of_an_image_that_its_path_names(
    path: str, role: str, op: str
) -> None:
    value = {"tag": "'1'", "digest": f"sha256:{'a' * 64}"}.get(role, "acme/cart:1")
    found = find_fields(parse("p.yaml", f"- {{op: {op}, path: {path}, value: {value}}}".encode()))
    is_one = bool(role) and op in ("add", "replace")
    assert [one.parts[0].role for one in found] == ([role] if is_one else [])


# The API references of Kubernetes, Argo Rollouts, Knative, OpenShift, KEDA and OpenKruise.
TEMPLATE = "spec.template.spec"
PODS = {
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"), TEMPLATE),
    **dict.fromkeys(("ReplicationController", "Rollout", "DeploymentConfig"), TEMPLATE),
    **dict.fromkeys(("CloneSet", "Configuration", "Job"), TEMPLATE),
    "CronJob": "spec.jobTemplate.spec.template.spec",
    "ScaledJob": "spec.jobTargetRef.template.spec",
    "PodTemplate": "template.spec",
    "Pod": "spec",
}


@pytest.mark.parametrize("kind", [*PODS, "Service", "Other"])
@pytest.mark.parametrize("key", ["containers", "initContainers", "ephemeralContainers"])
def test_the_images_of_a_kind_stand_where_its_pods_do(kind: str, key: str) -> None:
    pod: object = {key: [{"name": "c", "image": "acme/cart:1"}]}
    steps = PODS.get(kind, TEMPLATE).split(".")
    for step in reversed(steps):
        pod = {step: pod}
    group = "serving.knative.dev/v1" if kind == "Configuration" else "v1"
    head = {"apiVersion": group, "kind": kind, "metadata": {"name": "a"}}
    assert isinstance(pod, dict)
    found = find_fields(parse("a.yaml", yaml.safe_dump({**head, **pod}).encode()))
    is_one = kind in PODS and key != "ephemeralContainers"
    pointer = f"/{'/'.join(steps)}/{key}/0/image"
    assert [(one.pointer, one.container) for one in found] == [(pointer, "c")] * is_one
    assert all(one.reported_only is (kind == "Job") for one in found)


@pytest.mark.parametrize(
    ("kind", "pod"), [(kind, PODS[kind]) for kind in ("Deployment", "CronJob")]
)
def test_a_difference_in_a_pod_is_told_from_the_pod_on(kind: str, pod: str) -> None:
    def text(image: str) -> bytes:
        lines = [f"{'  ' * n}{key}:" for n, key in enumerate(pod.split("."))]
        containers = f"{'  ' * len(lines)}nodeName: {image}"
        return "\n".join((f"kind: {kind}\nmetadata: {{name: a}}", *lines, containers)).encode()

    [found] = differences(parse("a", text("1")), parse("a", text("2")), ())
    assert "nodeName" in found.what
    assert "template" not in found.what

"""What is said of nodes, conditions, builds and edits, over all rows that there are."""

from __future__ import annotations

import json
import operator
from dataclasses import fields, replace
from itertools import product
from typing import Any, cast

import pytest
import yaml

from gitops_rollback.effective.appliers import Applier, as_built, pinned_revision
from gitops_rollback.effective.effect import Beside, judge
from gitops_rollback.effective.objects import Unknown, Work
from gitops_rollback.effective.proof import Recipe
from gitops_rollback.effective.replace import read_replacements
from gitops_rollback.effective.sources import GitSource, LeftOut
from gitops_rollback.effective.templates import is_beside
from gitops_rollback.effective.tree import same
from gitops_rollback.image import parse_image
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.flux import flux_kustomization
from gitops_rollback.manifest.objects import POD_SPECS, objects_of
from unit.test_effect_expressions import rendered
from unit.test_effect_releases import RENDERED, layers
from unit.test_effect_replacements import resource
from unit.test_effect_sources import APPS, OURS, application, deployed
from unit.test_effective import BASE, FLUX, RELEASE, effect_of
from unit.test_effective import fields as fields_of

TEXTS = ("{}", "[]", "''", "a", "1", "{a: 1}", "{a: 2}", "{b: 1}", "{a: 1, b: 2}", "[1]", "[1, 2]")


@pytest.mark.parametrize(("one", "other"), [*product(TEXTS, repeat=2)])
def test_two_nodes_say_the_same_where_json_would(one: str, other: str) -> None:
    mine, theirs = (yaml.safe_load(text) for text in (one, other))
    is_same = json.dumps(mine, sort_keys=True) == json.dumps(theirs, sort_keys=True)
    assert same(yaml.compose(one), yaml.compose(other)) == is_same


def test_the_order_of_keys_says_nothing_and_nothing_is_nothing_alone() -> None:
    assert same(yaml.compose("{a: 1, b: 2}"), yaml.compose("{b: 2, a: 1}"))
    assert same(None, None)
    assert not same(None, yaml.compose("{}"))


COMPARISONS = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}


@pytest.mark.parametrize("name", COMPARISONS)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_comparison_is_judged_as_go_does(name: str, number: int) -> None:
    template = f"{{{{ if {name} (int .Values.n) 2 }}}}made{{{{ end }}}}"
    assert rendered(template, f"n: {number}") == ("made" if COMPARISONS[name](number, 2) else "")


@pytest.mark.parametrize("value", ["1.5", "a", "[1]", "{a: 1}"])
def test_what_is_no_whole_number_is_not_judged_to_be_one(value: str) -> None:
    assert rendered("{{ if lt (int .Values.n) 2 }}made{{ end }}", f"n: {value}") is None


BESIDES = {
    "charts/cart/templates/_helpers.tpl": True,
    "charts/cart/templates/a/b.tpl": True,
    "charts/cart/b.tpl": False,
    "charts/cart/.helmignore": True,
    "values.yaml.gotmpl": True,
    "values.yml.gotmpl": True,
    "values.gotmpl": False,
    "a/.sourceignore": True,
    "a/sourceignore": False,
    "a/deployment.yaml": False,
}


@pytest.mark.parametrize(("path", "is_one"), BESIDES.items(), ids=BESIDES)
def test_what_says_what_becomes_of_others_is_known_by_its_name(path: str, *, is_one: bool) -> None:
    assert is_beside(path) == is_one


def test_a_kustomization_of_kustomize_is_none_of_flux_whatever_it_is_called() -> None:
    file = parse("flux.yaml", FLUX.encode())
    [item] = objects_of(file)
    written = flux_kustomization(item)
    assert written is not None
    for head in ("kustomize.config.k8s.io/v1beta1\nkind: Kustomization",
                 "kustomize.toolkit.fluxcd.io/v1\nkind: Other"):  # fmt: skip
        text = f"apiVersion: {head}\nmetadata: {{name: apps}}\nspec: {{path: ./other}}\n"
        made = resource(text, "flux.yaml")
        assert as_built([written], [made], {"flux.yaml": file}, ()) == [Applier(written)]


POINTERS = sorted(set(POD_SPECS.values()))


@pytest.mark.parametrize("pod", POINTERS)
@pytest.mark.parametrize("key", ["containers", "initContainers", "volumes"])
def test_a_post_renderer_that_takes_away_what_is_above_an_image_may_set_it(
    pod: str, key: str
) -> None:
    steps = f"{pod}/{key}/0".split("/")[1:]
    above = ["/" + "/".join(steps[: number + 1]) for number in range(len(steps))]
    told = [bool(layers(RENDERED % f"[{{op: remove, path: {one}}}]").unknowns) for one in above]
    assert told == [True] * len(above)
    for beside in (f"{pod}/replicas", f"{pod}/{key}/0/name", f"{pod}x/{key}"):
        assert layers(RENDERED % f"[{{op: remove, path: {beside}}}]").unknowns == ()


def test_a_build_that_takes_another_takes_all_that_was_found_in_it() -> None:
    lists = [one.name for one in fields(Work) if one.name not in ("there", "names_values")]
    theirs, own = ({name: [text or name] for name in lists} for text in ("", "own"))
    other, work = Work(**cast("Any", theirs), names_values=True), Work(**cast("Any", own))
    work.add(other)
    assert {name: getattr(work, name) for name in lists} == {n: ["own", n] for n in lists}
    assert work.names_values
    assert other.copy() == replace(other, there=set())


UNKNOWN = Unknown("a.yaml", 1, "vars", "they may fill its text")


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("now", ["gone", "with", "without"])
def test_a_build_tells_of_an_edit_where_the_model_does_not_know_and_kustomize_does(
    now: str,
    is_known: bool,  # noqa: FBT001
) -> None:
    recipe = Recipe("base")
    before = effect_of(BASE)
    one = replace(before.landed[0], recipe=recipe, unknowns=() if is_known else (UNKNOWN,))
    after = replace(one, version=":2", recipe=recipe if now == "with" else None)
    found = judge(
        replace(before, landed=(one,)),
        replace(before, landed=() if now == "gone" else (after,)),
        {one.decider: parse_image("acme/cart:2")},
    )
    assert len(found) == (now == "gone") + (not is_known)
    tells = now != "without" and not is_known
    assert {finding.recipe for finding in found} <= {recipe if tells else None}


def test_a_plugin_of_an_application_makes_what_is_of_its_own_folder_alone() -> None:
    plugin = application(f"repoURL: {OURS}\npath: apps/shop\nplugin: {{name: x}}")
    assert not isinstance(deployed({**APPS, "a.yaml": plugin}), str)
    assert "a plugin makes" in deployed({**APPS, "a.yaml": plugin.replace("shop", "cart")})


@pytest.mark.parametrize(("written", "counts"), [("/v.yaml", True), ("v.yaml", False)])
def test_a_file_of_values_is_below_the_source_unless_it_begins_with_a_slash(
    written: str,
    counts: bool,  # noqa: FBT001
) -> None:
    """argo-cd.readthedocs.io, Helm, "Values Files"."""
    files = {
        "a.yaml": application(
            f"repoURL: {OURS}\npath: charts/cart\nhelm: {{valueFiles: [{written}], "
            "valuesObject: {image: {repository: acme/cart}}}"
        ),
        "charts/cart/v.yaml": "image: {tag: '2'}\n",
        "v.yaml": "image: {tag: '3'}\n",
    }
    [image] = {one.image for one in effect_of(files).landed if one.root == "a.yaml"}
    assert image == ("acme/cart:3" if counts else "acme/cart:2")


NAMELESS = RELEASE.replace('      tag: "1"\n', "      registry: ghcr.io\n")
STANDS = {  # whose the field is that has the version, where the name stands in the release
    "in the release": ({"r.yaml": f"{NAMELESS}      tag: '7'\n"}, ("HelmRelease", "cart", "helm")),
    "in a text": (
        {
            "r.yaml": f"{NAMELESS}  valuesFrom: [{{kind: ConfigMap, name: t, valuesKey: t, "
            "targetPath: image.tag}]\n",
            "t.yaml": "kind: ConfigMap\nmetadata: {name: t}\ndata: {t: '7'}\n",
        },
        ("HelmRelease", "cart", "substitution"),
    ),
    "in values": (
        {
            "r.yaml": f"{NAMELESS}  valuesFrom: [{{kind: ConfigMap, name: v}}]\n",
            "v.yaml": "kind: ConfigMap\nmetadata: {name: v}\ndata:\n  values.yaml: |\n"
            "    image: {tag: '7'}\n",
        },
        ("ConfigMap", "v", "helm"),
    ),
    "in a patch": (
        {
            "b/r.yaml": NAMELESS,
            "kustomization.yaml": "resources: [b/r.yaml]\n"
            "patches: [{target: {kind: HelmRelease}, path: p.yaml}]\n",
            "p.yaml": "kind: HelmRelease\nmetadata: {name: p}\n"
            "spec: {values: {image: {tag: '7'}}}\n",
        },
        ("HelmRelease", "p", "helm"),
    ),
}


@pytest.mark.parametrize(("files", "whose"), STANDS.values(), ids=STANDS)
def test_a_version_that_stands_apart_from_its_name_is_edited_as_what_it_stands_in(
    files: dict[str, str], whose: tuple[str, str, str]
) -> None:
    [field] = fields_of(files)
    assert (field.kind, field.name, field.form) == whose
    assert field.image == parse_image("ghcr.io/acme/cart:7")
    assert field.shown_name in (None, "ghcr.io/acme/cart")


def test_a_map_of_one_text_beside_a_release_gives_it_its_tag() -> None:
    values = RELEASE.replace('      tag: "1"\n', "")
    more = "  valuesFrom: [{kind: ConfigMap, name: tags, valuesKey: t, targetPath: image.tag}]\n"
    tags = "kind: ConfigMap\nmetadata: {name: tags}\ndata: {t: '7'}\n"
    for folder, image in (("apps", "acme/cart:7"), ("other", "acme/cart")):
        files = {"apps/r.yaml": values + more, f"{folder}/tags.yaml": tags}
        assert image in {one.image for one in effect_of(files).landed}


PINNED = {
    "spec: {template: {}}": "",
    "spec: {traffic: [{latestRevision: true, percent: 100}]}": "",
    "spec: {traffic: [{latestRevision: true}, {revisionName: cart-1, percent: 90}]}": "",
    "spec: {traffic: [{revisionName: cart-1, percent: 100}]}": "cart-1",
    "spec: {template: {metadata: {name: cart-2}}}": "cart-2",
}


@pytest.mark.parametrize(("spec", "pinned"), PINNED.items())
def test_a_service_of_knative_turns_to_a_new_image_unless_a_revision_is_named(
    spec: str, pinned: str
) -> None:
    """knative.dev, Serving, "Traffic management"."""
    head = "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: cart}\n"
    found = pinned_revision(resource(f"{head}{spec}\n"))
    assert (found.construct if found is not None else "") == pinned
    assert pinned_revision(resource(f"{head.replace('serving.knative.dev/', '')}{spec}\n")) is None


TRUTHS = [*product(("true", "false"), repeat=2)]


@pytest.mark.parametrize(("one", "other"), TRUTHS)
@pytest.mark.parametrize("name", ["and", "or"])
@pytest.mark.parametrize("form", ["%s .Values.a .Values.b", ".Values.b | %s .Values.a"])
def test_and_and_or_are_what_go_makes_of_them_also_of_what_is_piped(
    form: str, name: str, one: str, other: str
) -> None:
    both = [one == "true", other == "true"]
    holds = all(both) if name == "and" else any(both)
    made = rendered(f"{{{{ if {form % name} }}}}made{{{{ end }}}}", f"{{a: {one}, b: {other}}}")
    assert made == ("made" if holds else "")


@pytest.mark.parametrize("key", ["group", "version", "kind", "name", "namespace"])
def test_a_replacement_chooses_by_each_part_of_an_identity(key: str) -> None:
    text = f"source: {{{key}: a}}\ntargets: [{{select: {{{key}: b}}, fieldPaths: [spec.image]}}]\n"
    tree = yaml.compose(text)
    assert tree is not None
    read = read_replacements(tree)
    assert (read.source, read.targets[0].select) == ({key: "a"}, {key: "b"})


@pytest.mark.parametrize(
    ("pointer", "is_one"),
    [
        ("/spec/template/spec/containers/0/env/0/value", True),
        ("/spec/jobTemplate/metadata/labels/version", True),
        ("/metadata/labels/version", False),
        ("/spec/selector/matchLabels/version", False),
    ],
)
def test_what_stands_in_a_template_of_pods_is_of_pods(pointer: str, *, is_one: bool) -> None:
    assert Beside(("a", "CronJob", "", "b"), pointer, "x").is_of_pods == is_one


SPARSE = {
    "apps": True,
    "apps/": True,
    "./apps": True,
    "": True,
    "apps/.sourceignore": True,
    "app": False,
    "other": False,
    "apps/cart": False,
}


@pytest.mark.parametrize(("folder", "is_there"), SPARSE.items(), ids=SPARSE)
def test_a_list_counts_where_a_sparse_checkout_has_it(folder: str, *, is_there: bool) -> None:
    """fluxcd.io, GitRepositories, "Sparse checkout"."""
    spec = yaml.compose(f"sparseCheckout: ['{folder}', apps/cart/a.yaml]")
    source = GitSource("s", "", "s.yaml", OURS, "main", "branch main", spec=spec)
    left = LeftOut({"apps/.sourceignore": b"cart/a.yaml\n"}, source).why("apps/cart/a.yaml")
    assert (left is not None) == is_there


GENERATED = {
    "builtin": False,
    "v1": True,
    "builtin/v1": True,
    "acme.example/builtin": True,
}


@pytest.mark.parametrize(("version", "is_told"), GENERATED.items(), ids=GENERATED)
def test_a_generator_is_built_in_by_its_version_alone(version: str, *, is_told: bool) -> None:
    """api/internal/plugins/loader, `isBuiltinPlugin`: anything else is a program."""
    generator = f"apiVersion: {version}\nkind: ConfigMapGenerator\nmetadata: {{name: x}}\n"
    files = {
        "flux.yaml": FLUX,
        "apps/kustomization.yaml": "resources: [d.yaml]\ngenerators: [g.yaml]\n",
        "apps/d.yaml": BASE["base/deployment.yaml"],
        "apps/g.yaml": generator,
    }
    [one] = effect_of(files).landed
    assert bool(one.unknowns) == is_told

"""What the tools do, row by row: who wins, what is reached, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import pytest

from gitops_rollback.effective.appliers import paused
from gitops_rollback.effective.effect import judge
from gitops_rollback.effective.images import split_image
from gitops_rollback.effective.objects import read_selector
from gitops_rollback.effective.replace import passed_on, read_replacements
from gitops_rollback.effective.sources import applies
from gitops_rollback.effective.tree import TreeError
from gitops_rollback.image import parse_image
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.kustomize import inside
from gitops_rollback.manifest.objects import POD_SPECS
from gitops_rollback.services.config import Environment
from unit.builders import DEPLOYMENT
from unit.test_effect_replacements import CART, resource
from unit.test_effect_sources import LISTED, OURS, application, deployed
from unit.test_effect_templates import chart
from unit.test_effective import BASE, FLUX, effect_of

PLACES = ("substitute", "one", "two")  # each wins over those before, `substitute` over all
WAYS = [places for number in range(4) for places in combinations(PLACES, number)]


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
@pytest.mark.parametrize(("first", "second"), [*product(WAYS, repeat=2)])
def test_the_last_source_of_a_variable_counts_and_what_flux_is_told_itself(
    kind: str, first: tuple[str, ...], second: tuple[str, ...]
) -> None:
    """fluxcd.io, Kustomizations, "Post build variable substitution"."""
    names = {"A": first, "B": second}

    def said(place: str) -> str:
        return ", ".join(f"{name}: {place}" for name, places in names.items() if place in places)

    files = {
        "flux.yaml": f"{FLUX}  postBuild:\n    substitute: {{{said('substitute')}}}\n"
        f"    substituteFrom: [{{kind: ConfigMap, name: one}}, {{kind: {kind}, name: two}}]\n",
        "one.yaml": f"kind: ConfigMap\nmetadata: {{name: one}}\ndata: {{{said('one')}}}\n",
        "two.yaml": f"kind: {kind}\nmetadata: {{name: two}}\n"
        f"{'data' if kind == 'ConfigMap' else 'stringData'}: {{{said('two')}}}\n",
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${A}"'),
        "apps/b.yaml": DEPLOYMENT.format(image='"acme/cart:${B}"').replace("cart\n", "b\n", 1),
    }

    def wanted(name: str) -> str:
        by = [one for one in ("substitute", "two", "one") if one in names[name]]
        is_read = by and not (by[0] == "two" and kind == "Secret")
        return f"acme/cart:{by[0]}" if is_read else f"acme/cart:${{{name}}}"

    found = {one.applied: one.image for one in effect_of(files).landed}
    assert found == {"apps/a.yaml": wanted("A"), "apps/b.yaml": wanted("B")}


PODS = sorted({pointer.strip("/").replace("/", ".") for pointer in POD_SPECS.values()})
LISTS = ("containers", "initContainers")


def target(path: str) -> str:
    return f"source: {{kind: ConfigMap}}\ntargets: [{{select: {{}}, fieldPaths: ['{path}']}}]\n"


def touches(path: str) -> bool:
    tree = parse("k.yaml", target(path).encode()).trees[0]
    assert tree is not None
    return read_replacements(tree).touches_images


@pytest.mark.parametrize("pod", PODS)
def test_what_is_written_at_an_image_or_above_it_can_change_it(pod: str) -> None:
    steps = pod.split(".")
    above = [".".join(steps[: number + 1]) for number in range(len(steps))]
    above += [f"{pod}.{key}{item}" for key in LISTS for item in ("", ".0", ".*", ".[name=a]")]
    images = [f"{pod}.{key}.0.image" for key in LISTS] + [f"{pod}.volumes.0.image.reference"]
    beside = [f"{pod}.{key}" for key in ("replicas", "serviceAccountName", "nodeSelector.image-a")]
    beside += [f"{pod}.containers.0.{key}" for key in ("name", "env", "args.0")]
    assert [path for path in (*above, *images) if not touches(path)] == []
    assert [path for path in beside if touches(path)] == []


VALUES = ("image", "reference", "tag", "digest", "repository", "registry", "version", "webImage")


@pytest.mark.parametrize("key", [*VALUES, "imageTag"])
def test_a_part_of_an_image_is_one_but_for_what_stands_in_metadata(key: str) -> None:
    assert touches(f"spec.values.web.{key}")
    assert not touches(f"metadata.labels.{key}")
    assert not touches(f"spec.values.web.{key}s")


NARROW = {
    "metadata.labels.version": True,
    "spec.selector.matchLabels.version": True,
    "spec.template.metadata.name": True,
    "spec.template.spec.containers.0.image": False,
    "spec.values.image.tag": False,
    "spec.template.spec.containers.0.env.0.value": False,
}


@pytest.mark.parametrize(("path", "is_narrow"), NARROW.items(), ids=NARROW)
@pytest.mark.parametrize("is_whole", [True, False])
def test_no_digest_can_stand_in_a_label_or_a_name_nor_in_what_is_no_whole_image(
    path: str,
    is_narrow: bool,  # noqa: FBT001
    is_whole: bool,  # noqa: FBT001
) -> None:
    field = "image" if is_whole else "name"
    text = (
        f"source: {{kind: Deployment, fieldPath: 'spec.template.spec.containers.0.{field}'}}\n"
        f"targets: [{{select: {{kind: Deployment}}, fieldPaths: ['{path}']}}]\n"
    )
    tree = parse("k.yaml", text.encode()).trees[0]
    assert tree is not None
    [one] = passed_on(read_replacements(tree), [resource(CART)], "k.yaml")
    is_image = path.endswith((".image", ".tag"))
    assert one.is_narrow == (is_narrow or (not is_whole and not is_image))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("acme/cart", ("acme/cart", "", "")),
        ("acme/cart:1", ("acme/cart", "1", "")),
        ("acme/cart@sha256:a", ("acme/cart", "", "sha256:a")),
        ("acme/cart:1@sha256:a", ("acme/cart", "1", "sha256:a")),
        ("host:5000/cart", ("host:5000/cart", "", "")),
        ("host:5000/cart:1@sha256:a", ("host:5000/cart", "1", "sha256:a")),
        ("cart:1", ("cart", "1", "")),
        ("@sha256:a", ("", "", "sha256:a")),
        (":1", ("", "1", "")),
        ("", ("", "", "")),
    ],
)
def test_an_image_is_taken_apart_as_kustomize_does(text: str, parts: tuple[str, str, str]) -> None:
    """api/internal/image/image.go, `Split`."""
    assert split_image(text) == parts


@pytest.mark.parametrize("text", ["[{kind: Deployment}]", "Deployment", "{kind: a, app: b}"])
def test_a_target_that_is_no_selector_is_none_to_kustomize(text: str) -> None:
    with pytest.raises(TreeError, match="is not known"):
        read_selector(parse("k.yaml", text.encode()).trees[0])


def test_an_image_that_is_gone_after_the_edit_of_it_is_not_what_was_meant() -> None:
    before = effect_of(BASE)
    [one] = before.landed
    [found] = judge(before, replace(before, landed=()), {one.decider: parse_image("acme/cart:2")})
    assert (found.code, found.hint) == ("other", "look at what the overlays make of it")
    assert found.message == f"after the edit {one.title} would be gone"


IN_A_CIRCLE = """\
{{ define "a" }}{{ include "b" . }}{{ end }}
{{ define "b" }}{{ include "c" . }}{{ .Values.image.%s }}{{ end }}
{{ define "c" }}{{ include "b" . }}{{ end }}
labels: {{ include "a" . }}
image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
"""


@pytest.mark.parametrize(("key", "is_read"), [("pullPolicy", False), ("tag", True)])
def test_helpers_in_a_circle_read_what_stands_in_them_and_no_more(
    key: str, *, is_read: bool
) -> None:
    found = deployed(chart(IN_A_CIRCLE % key))
    assert ("the chart writes the tag into a label" in str(found)) is is_read, found


APPLIERS = {
    "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization": True,
    "apiVersion: argoproj.io/v1alpha1\nkind: Application": True,
    "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet": True,
    "apiVersion: argoproj.io/v1alpha1\nkind: Rollout": False,
    "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization": False,
    "apiVersion: app.k8s.io/v1beta1\nkind: Application": False,
    "kustomize.toolkit.fluxcd.io/substitute: disabled": False,
}


@pytest.mark.parametrize(("text", "is_one"), APPLIERS.items())
def test_what_may_apply_manifests_is_known_by_its_group_and_kind(
    text: str,
    is_one: bool,  # noqa: FBT001
) -> None:
    assert applies(text.encode()) == is_one


OVERRIDES = {"apps/cart/.argocd-source-cart.yaml": "kustomize: {images: ['acme/cart:2']}\n"}
IN_THE_FOLDER = application(f"repoURL: {OURS}\npath: apps/cart")


@pytest.mark.parametrize(
    ("application_", "is_of_it"),
    [
        (IN_THE_FOLDER, True),
        (IN_THE_FOLDER.replace("name: cart", "name: shop"), False),
        (IN_THE_FOLDER.replace("apps/cart", "apps/shop"), False),
    ],
    ids=["its own", "another's of the folder", "one of another folder"],
)
def test_a_file_of_overrides_is_for_the_application_of_its_name_and_folder(
    application_: str,
    is_of_it: bool,  # noqa: FBT001
) -> None:
    """argo-cd.readthedocs.io, Parameter Overrides, "Store Overrides In Git"."""
    data = {**LISTED, **OVERRIDES, "a.yaml": application_}
    roots = {one.root for one in effect_of(data).landed if one.image == "acme/cart:2"}
    by = "a.yaml" if is_of_it else "apps/cart/.argocd-source-cart.yaml"
    assert roots == {f"{by} cart"}


TRANSFORMER = "kind: {0}\napiVersion: builtin\nmetadata: {{name: x}}\n{1}: {{team: shop}}\n"
MARKS = {
    "labels": ("labels: [{pairs: {team: shop}}]\n", "labelSelector"),
    "commonLabels": ("commonLabels: {team: shop}\n", "labelSelector"),
    "commonAnnotations": ("commonAnnotations: {team: shop}\n", "annotationSelector"),
    "LabelTransformer": ("transformers: [t.yaml]\n", "labelSelector"),
    "AnnotationsTransformer": ("transformers: [t.yaml]\n", "annotationSelector"),
}


@pytest.mark.parametrize("name", MARKS)
@pytest.mark.parametrize("value", ["shop", "other"])
def test_what_a_base_marks_its_objects_with_is_what_an_overlay_chooses_them_by(
    name: str, value: str
) -> None:
    marks, selector = MARKS[name]
    key = "labels" if "Label" in name else "annotations"
    patch = "{op: replace, path: /spec/template/spec/containers/0/image, value: 'acme/cart:3'}"
    files = {
        **BASE,
        "base/kustomization.yaml": f"{BASE['base/kustomization.yaml']}{marks}",
        "base/t.yaml": TRANSFORMER.format(name, key),
        "overlay/kustomization.yaml": "resources: [../base]\npatches:\n"
        f"- {{target: {{{selector}: team={value}}}, path: p.yaml}}\n",
        "overlay/p.yaml": f"- {patch}\n",
    }
    [one] = effect_of(files, Environment("production", "overlay")).landed
    assert one.image == ("acme/cart:3" if value == "shop" else "acme/cart:1")


@pytest.mark.parametrize("folder", ["", "apps/"])
def test_entries_of_a_kustomization_that_lists_nothing_are_for_what_is_below_it(
    folder: str,
) -> None:
    other = DEPLOYMENT.format(image="acme/cart:1")
    files = {
        f"{folder}kustomization.yaml": "images: [{name: acme/cart, newTag: '2'}]\n",
        f"{folder}web/a.yaml": other,
        "beside/b.yaml": other.replace("cart\n", "b\n", 1),
    }
    found = {one.workload: one.image for one in effect_of(files).landed}
    assert found == {"cart": "acme/cart:2", "b": "acme/cart:1" if folder else "acme/cart:2"}


@pytest.mark.parametrize(
    ("folder", "text", "path"),
    [
        ("apps", "x.yaml", "apps/x.yaml"),
        ("apps", "./b/../x.yaml", "apps/x.yaml"),
        ("apps", "../b", "b"),
        ("apps", "..", ""),
        ("", ".", ""),
        ("", "..", None),
        ("apps", "../..", None),
        ("apps", "../../x", None),
        ("..", "..", "../.."),  # of local files
        ("../up", "../x", "../x"),
        ("apps", "/x.yaml", None),
        ("apps", "https://example.com/x.yaml", None),
        ("apps", "git@example.com:acme/x", None),
        ("apps", "git::x", None),
        ("apps", "x?ref=main", None),
    ],
)
def test_a_path_leads_to_what_is_in_this_repository_and_nowhere_else(
    folder: str, text: str, path: str | None
) -> None:
    assert inside(folder, text) == path


@pytest.mark.parametrize("kind", ["Deployment", "Rollout", "DeploymentConfig", "CloneSet", "Job"])
@pytest.mark.parametrize("where", ["paused: %s", "updateStrategy: {paused: %s}"])
def test_a_workload_is_paused_where_its_own_kind_says_so(kind: str, where: str) -> None:
    """Kubernetes, Argo Rollouts, OpenShift and OpenKruise; a Job is not: it has `suspend`."""
    ways = {"CloneSet": "updateStrategy: {paused: %s}", "Job": ""}
    for said in ("true", "false"):
        found = paused(resource(f"kind: {kind}\nspec: {{{where % said}}}\n"))
        is_one = said == "true" and where == ways.get(kind, "paused: %s")
        assert (found is not None and found.construct == "paused: true") is is_one


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
@pytest.mark.parametrize("extra", ["", "labels: {a: b}", "namespace: other"])
def test_a_patch_that_is_chosen_gives_of_its_metadata_what_is_not_the_choice(
    kind: str, extra: str
) -> None:
    """With a target, kustomize keeps name, namespace and kind of the object itself."""
    patch = f"{{kind: {kind}, metadata: {{name: any, {extra}}}, spec: {{replicas: 2}}}}"
    top = "resources: [../base]\npatches: [{target: {kind: Deployment}, path: p.yaml}]\n"
    selector = "patches: [{target: {labelSelector: 'a=b'}, path: q.yaml}]\n"
    changed = "spec: {template: {spec: {containers: [{name: server, image: 'acme/cart:9'}]}}}"
    files = {
        **BASE,
        "overlay/kustomization.yaml": top,
        "overlay/p.yaml": patch,
        "top/kustomization.yaml": f"resources: [../overlay]\n{selector}",
        "top/q.yaml": f"{{kind: Deployment, metadata: {{name: any}}, {changed}}}",
    }
    [landed] = effect_of(files, Environment("production", "top")).landed
    assert landed.image == ("acme/cart:9" if "labels" in extra else "acme/cart:1")
    assert (landed.kind, landed.workload, landed.namespace) == ("Deployment", "cart", "")

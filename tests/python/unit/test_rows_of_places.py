"""What is told of where things stand, whole: every form of an image, with and without each part."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from gitops_rollback.effective.appliers import charts_to_follow
from gitops_rollback.effective.objects import Selector
from gitops_rollback.effective.raw import Raw, decoded
from gitops_rollback.effective.replace import read_replacements, replaced
from gitops_rollback.effective.roots import Tree
from gitops_rollback.effective.sources import git_source, warnings_of
from gitops_rollback.effective.tree import strategic_merge
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.document import are_named, are_objects, outlines, parse
from gitops_rollback.manifest.edit import can_stand
from gitops_rollback.manifest.fields import find_fields
from gitops_rollback.manifest.image_field import (
    CONTAINER,
    HELM,
    KUSTOMIZE,
    PATCH,
    POINTED,
    SUBSTITUTION,
    VOLUME,
    Place,
)
from gitops_rollback.manifest.kustomize import read_entries
from gitops_rollback.manifest.objects import image_nodes, objects_of
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import DEPLOYMENT
from unit.test_effect_patches import node
from unit.test_effect_replacements import CART, resource
from unit.test_effect_sources import OURS, git
from unit.test_effective import BASE, effect_of

HEAD = {
    "Deployment": "apiVersion: apps/v1\n",
    "HelmRelease": "apiVersion: helm.toolkit.fluxcd.io/v2\n",
    "Application": "apiVersion: argoproj.io/v1alpha1\n",
}
SPEC = {
    "Deployment": "{template: {spec: {containers: [{name: c, image: 'acme/cart:1'}]}}}",
    "HelmRelease": "{values: {c: {image: {repository: acme/cart, tag: '1'}}}}",
    "Application": "{source: {helm: {valuesObject: {c: {image: 'acme/cart:1'}}}}}",
}
CALLED = {"Deployment": "c", "HelmRelease": "c.image", "Application": "c.image"}


@pytest.mark.parametrize("kind", HEAD)
@pytest.mark.parametrize("namespace", ["", "shop"])
@pytest.mark.parametrize("folder", ["", "apps"])
def test_an_image_is_told_with_the_whole_identity_of_its_object(
    kind: str, namespace: str, folder: str
) -> None:
    metadata = f"{{name: cart{f', namespace: {namespace}' if namespace else ''}}}"
    text = f"{HEAD[kind]}kind: {kind}\nmetadata: {metadata}\nspec: {SPEC[kind]}\n"
    path = f"{folder}/a.yaml".lstrip("/")
    [one] = effect_of({path: text}).landed
    assert one.place == (path, kind, namespace, "cart", CALLED[kind])
    assert (one.image, one.applied, one.decider[:2]) == ("acme/cart:1", path, (path, 0))


# What an image is copied from, and what decides it then: where it stands, whose, which parts.
VERSIONS = "kind: ConfigMap\nmetadata: {name: versions%s}\ndata: {whole: 'acme/cart:2', tag: '2'}\n"
LOCAL = ", namespace: n, annotations: {config.kubernetes.io/local-config: 'true'}"
OTHER = BASE["base/deployment.yaml"].replace("cart", "other").replace("other:1", "other:2")
IMAGE = "spec.template.spec.containers.0.image"
TAG = "options: {delimiter: ':', index: 1}"
FROM_IMAGE = f"kind: Deployment, name: other, fieldPath: {IMAGE}"
POINTER = f"/{IMAGE.replace('.', '/')}"
ITSELF = ("base/deployment.yaml", "Deployment", "", "cart", POINTER, "reference", False)
COPIED = {
    "an image": (
        *(OTHER, FROM_IMAGE, ""),
        ("base/from.yaml", "Deployment", "", "other", POINTER, "reference", True),
    ),
    "an image's tag": (OTHER, f"{FROM_IMAGE}, {TAG}", TAG, ITSELF),
    "a text that is applied": (VERSIONS % "", "fieldPath: data.whole", "", ITSELF),
    "a text that is not": (
        *(VERSIONS % LOCAL, "fieldPath: data.whole", ""),
        ("base/from.yaml", "ConfigMap", "n", "versions", "/data/whole", "reference", True),
    ),
    "a tag that is not applied": (
        *(VERSIONS % LOCAL, "fieldPath: data.tag", TAG),
        ("base/from.yaml", "ConfigMap", "n", "versions", "/data/tag", "tag", True),
    ),
}


@pytest.mark.parametrize(("source", "chosen", "options", "decider"), COPIED.values(), ids=COPIED)
def test_what_is_copied_into_an_image_is_decided_where_nothing_else_has_it(
    source: str, chosen: str, options: str, decider: tuple[object, ...]
) -> None:
    chosen = chosen if "kind" in chosen else f"kind: ConfigMap, {chosen}"
    target = f"{{select: {{name: cart}}, fieldPaths: [{IMAGE}]{', ' if options else ''}{options}}}"
    files = {
        **BASE,
        "base/kustomization.yaml": "resources: [deployment.yaml, from.yaml]\nreplacements:\n"
        f"- source: {{{chosen}}}\n  targets: [{target}]\n",
        "base/from.yaml": source,
    }
    data = {path: text.encode() for path, text in files.items()}
    live = read_manifests(data).effective({}, Environment("production", "base")).live
    [one] = [one for one in live if "cart" in one.labels]
    shown = (one.path, one.kind, one.namespace, one.name, one.pointer, one.parts[0].role)
    assert (*shown, not one.problem) == decider


@pytest.mark.parametrize(
    ("data", "text"), [(b"a: \xc3\xa9", "a: \xe9"), (b"a: \xff", "a: \ufffd"), (b"", "")]
)
def test_what_is_no_text_all_through_is_read_around_what_is_none(data: bytes, text: str) -> None:
    assert decoded(data) == text


def test_files_that_were_not_parsed_are_looked_through_for_a_word() -> None:
    raw = Raw({"a.yaml": b"a Secret", "b.yaml": b"a Secret", "c.yaml": b"none"})
    tree = Tree({"a.yaml": parse("a.yaml", raw["a.yaml"])}, raw=raw)
    assert tree.unparsed(b"Secret") == ["b.yaml"]


@pytest.mark.parametrize(
    ("kind", "source", "folders"),
    [
        ("HelmRelease", "GitRepository", ["charts/cart"]),
        ("HelmRelease", "HelmRepository", []),
        ("HelmChart", "GitRepository", []),
    ],
)
@pytest.mark.parametrize("written", ["charts/cart", "./charts/cart", "/charts/cart/"])
def test_the_chart_of_a_release_is_read_where_it_stands_in_the_repository(
    kind: str, source: str, folders: list[str], written: str
) -> None:
    text = (
        f"spec: {{chart: {{spec: {{chart: {written}, sourceRef: {{kind: {source}, name: a}}}}}}}}"
    )
    file = parse(
        "a.yaml", f"apiVersion: a/v1\nkind: {kind}\nmetadata: {{name: a}}\n{text}".encode()
    )
    assert charts_to_follow({}, {"a.yaml": file}, ["a.yaml"]) == folders


KUSTOMIZATION = "images: [{name: acme/cart, newTag: '1'}]\n"
TEXT = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: cart}
spec: {source: {repoURL: x, helm: {values: 'image: acme/cart:1'}}}
"""


def test_what_is_read_twice_from_the_same_bytes_is_equal() -> None:
    """An effect before an edit is compared with the one after it: of two readings."""
    for path, text in (("a.yaml", TEXT), ("kustomization.yaml", KUSTOMIZATION)):
        one, other = (find_fields(parse(path, text.encode())) for _ in range(2))
        assert one == other
        assert one


NESTED = {
    "apps/cart/kustomization.yaml": "resources: [a.yaml]\n",
    "apps/cart/a.yaml": BASE["base/deployment.yaml"],
    "apps/cart/deep/kustomization.yaml": "resources: [b.yaml]\n",
    "apps/cart/deep/b.yaml": OTHER,
    "apps/plain/c.yaml": OTHER.replace("other", "plain"),
}
BY_FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./%s, prune: true, sourceRef: {kind: GitRepository, name: flux-system}}
"""


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("apps", ["cart", "plain"]),
        ("apps/cart", ["cart"]),
        ("apps/cart/deep", ["other"]),
        ("apps/plain", ["plain"]),
    ],
)
def test_flux_takes_of_a_folder_the_highest_kustomizations_and_what_is_in_none(
    folder: str, names: list[str]
) -> None:
    files = {**NESTED, "flux.yaml": BY_FLUX % folder}
    landed = [one for one in effect_of(files).landed if one.root.startswith("flux.yaml")]
    assert sorted(one.workload for one in landed) == names


RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart, namespace: shop}
spec:
  valuesFrom: [{kind: ConfigMap, name: cart-values}]
  values: {image: {repository: acme/cart}}
"""
VALUES = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: cart-values, namespace: shop}
data: {values.yaml: 'image: {tag: v1}'}
"""


@pytest.mark.parametrize("listed", ["[release.yaml]", "[release.yaml, values.yaml]", ""])
def test_values_beside_a_release_count_where_they_are_applied_with_it(listed: str) -> None:
    files = {"apps/release.yaml": RELEASE, "apps/values.yaml": VALUES}
    if listed:
        files["apps/kustomization.yaml"] = f"resources: {listed}\n"
    landed = effect_of(files).landed
    assert ("acme/cart:v1" in [one.image for one in landed]) is (listed != "[release.yaml]")


# fluxcd.io, GitRepositories, "Reference": of several the first of these counts; without, master.
REFERENCES = {
    "commit": ("abc123", ("", "commit abc123")),
    "name": ("refs/tags/v1", ("", "name refs/tags/v1")),
    "semver": (">=1", ("", "semver >=1")),
    "tag": ("v1", ("", "tag v1")),
    "branch": ("main", ("main", "branch main")),
}


@pytest.mark.parametrize("first", REFERENCES)
@pytest.mark.parametrize("second", REFERENCES)
def test_the_first_of_what_a_repository_refers_to_counts(first: str, second: str) -> None:
    reference = ", ".join(f"{key}: '{REFERENCES[key][0]}'" for key in {first: 0, second: 0})
    text = git("apps", OURS, reference)
    source = git_source(*objects_of(parse("a.yaml", text.encode())))
    counts = next(key for key in REFERENCES if key in (first, second))
    assert source is not None
    assert (source.branch, source.revision) == REFERENCES[counts][1]


@pytest.mark.parametrize(
    ("reference", "branch"),
    [("", "master"), ("name: refs/heads/a/b", "a/b"), ("branch: refs/heads/main", "main")],
)
def test_a_repository_follows_the_branch_that_it_names_or_master(
    reference: str, branch: str
) -> None:
    source = git_source(*objects_of(parse("a.yaml", git("apps", OURS, reference).encode())))
    assert source is not None
    assert (source.name, source.namespace, source.url) == ("apps", "flux-system", OURS)
    assert (source.branch, source.revision) == (branch, f"branch {branch}")


def test_a_folder_is_built_by_itself_and_with_what_flux_adds_whichever_comes_first() -> None:
    plain, adds = "spec: {path: ", "spec: {images: [{name: acme/cart, newTag: '2'}], path: "
    for number, paths in enumerate((("overlay", "base"), ("base", "overlay"))):
        files = {**BASE, "overlay/kustomization.yaml": "resources: [../base]\n"}
        for name, path in zip("ab", paths, strict=True):
            text = (BY_FLUX % path).replace("name: apps", f"name: {name}")
            files[f"{name}.yaml"] = text.replace(plain, adds if path == "base" else plain)
        found = {one.root: one.image for one in effect_of(files).landed}
        tags = ("1", "2") if number == 0 else ("2", "1")
        assert found == {
            f"{name}.yaml {name}": f"acme/cart:{tag}" for name, tag in zip("ab", tags, strict=True)
        }


@pytest.mark.parametrize(("more", "is_told"), [("verify: {mode: HEAD}", True), ("", False)])
def test_a_repository_of_which_commits_are_verified_is_told(more: str, *, is_told: bool) -> None:
    text = git("apps", OURS).replace("spec: {", f"spec: {{{more}{', ' if more else ''}")
    source = git_source(*objects_of(parse("a.yaml", text.encode())))
    assert source is not None
    told = "the GitRepository apps takes only commits that are signed as it wants (verify)"
    assert warnings_of([source]) == ((told,) if is_told else ())


# kustomize: kinds that no namespace is given to (the Kubernetes API), and that no prefix is.
OF_CLUSTERS = (
    *("APIService", "CSIDriver", "CSINode", "ClusterRole", "ClusterRoleBinding", "FlowSchema"),
    *("CustomResourceDefinition", "IngressClass", "MutatingWebhookConfiguration", "Namespace"),
    *("Node", "PersistentVolume", "PodSecurityPolicy", "PriorityClass", "RuntimeClass"),
    *("PriorityLevelConfiguration", "StorageClass", "ValidatingWebhookConfiguration"),
    "VolumeAttachment",
)
OF_NO_PREFIX = ("APIService", "CustomResourceDefinition", "Namespace")


@pytest.mark.parametrize("kind", [*OF_CLUSTERS, "Deployment", "Role", "Cart"])
def test_an_object_gets_the_name_and_namespace_that_kustomize_gives_to_its_kind(kind: str) -> None:
    was = resource(f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: a}}\n")
    is_named, is_placed = kind not in OF_NO_PREFIX, kind not in OF_CLUSTERS
    for added, name, namespace in (
        ({"prefix": "p-"}, "p-a" if is_named else "a", ""),
        ({"suffix": "-s"}, "a-s" if is_named else "a", ""),
        ({"namespace": "n"}, "a", "n" if is_placed else ""),
        ({"prefix": "p-", "namespace": "n"}, "p-a" if is_named else "a", "n" if is_placed else ""),
        ({}, "a", ""),
    ):
        now = was.renamed(**added)
        is_whole = kind == "Namespace" and "namespace" in added  # it is called by its own name
        assert (now.identity.name, now.identity.namespace) == ("n" if is_whole else name, namespace)
        assert now.earlier == ((was.identity,) if now.identity != was.identity else ())
        assert now.identity.effective_namespace == ((namespace or "default") if is_placed else "")


@pytest.mark.parametrize("key", ["group", "version", "kind", "name", "namespace"])
@pytest.mark.parametrize("which", ["first", "now", "neither"])
def test_a_target_chooses_by_each_key_the_present_name_and_namespace_or_the_first(
    key: str, which: str
) -> None:
    text = "apiVersion: apps/v1\nkind: Cart\nmetadata: {name: a, namespace: b}\n"
    one = resource(text).renamed(prefix="p-", namespace="n")
    first = {"group": "apps", "version": "v1", "kind": "Cart", "name": "a", "namespace": "b"}
    now = {**first, "name": "p-a", "namespace": "n"}
    pattern = {"first": first, "now": now, "neither": {key: "other"}}[which][key]
    assert Selector(**{key: pattern}).chooses(one) is (which != "neither")
    assert not Selector(**{key: f"{pattern}x"}).chooses(one)
    assert Selector().chooses(one)


VERSION, KIND, NAME = b"apiVersion: v1\n", b"kind: A\n", b"metadata:\n  name: a\n"


@pytest.mark.parametrize("has_version", [True, False])
@pytest.mark.parametrize("has_kind", [True, False])
@pytest.mark.parametrize("has_name", [True, False])
@pytest.mark.parametrize("other", [b"", b"# none\n---\n", VERSION + KIND + NAME + b"---\n"])
def test_what_documents_are_is_known_by_their_keys(
    *, has_version: bool, has_kind: bool, has_name: bool, other: bytes
) -> None:
    data = other + b"a: b\n"
    data += VERSION * has_version + KIND * has_kind + NAME * has_name
    assert are_objects(data) is (has_version and has_kind)
    assert are_named(data) is (has_kind and has_name)


PLAIN = b"apiVersion: v1\nkind: Secret\n"
NAMED = b"metadata:\n  name: a\n"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (PLAIN + NAMED, ["v1 Secret  a"]),
        (PLAIN + NAMED + b"  namespace: 'n' # x\n", ["v1 Secret n a"]),
        (PLAIN + NAMED + b"  labels:\n    name: b\n", ["v1 Secret  a"]),
        (b"---\n" + PLAIN + NAMED + b"--- # x\n" + NAMED + PLAIN, ["v1 Secret  a", "v1 Secret  a"]),
        (
            PLAIN.replace(b"v1", b"apps/v1") + b"\nmetadata: # x\n\n    name: a",
            ["apps/v1 Secret  a"],
        ),
        (b"# nothing\n", []),
        (PLAIN + b"metadata: {name: a}\n", None),
        (PLAIN + NAMED.replace(b" a", b" &a a"), None),
        (PLAIN + NAMED.replace(b" a", b" 12"), None),
        (PLAIN + NAMED + b"  <<: *b\n", None),
        (PLAIN + NAMED + b"  name: b\n", None),
        (PLAIN + NAMED + PLAIN, None),
        (PLAIN + b"metadata:\n", None),
        (PLAIN.replace(b"Secret", b"SecretList") + NAMED, None),
        (NAMED, None),
    ],
)
def test_what_objects_are_called_is_known_by_their_first_columns(
    data: bytes, names: list[str] | None
) -> None:
    found = outlines(data)
    assert (None if found is None else [" ".join(one) for one in found]) == names


# Whether what takes an image reads a raw text at all: kustomize and Flux take no number.
@pytest.mark.parametrize(
    ("raw", "is_text"),
    [("v1", True), ("1.10", False), ("'1.10'", True), ('"1"', True), ("", False)],
)
@pytest.mark.parametrize("form", [CONTAINER, VOLUME, KUSTOMIZE, HELM, SUBSTITUTION, POINTED, PATCH])
def test_a_raw_text_can_stand_where_it_is_read(raw: str, form: str, *, is_text: bool) -> None:
    [field] = find_fields(parse("a.yaml", DEPLOYMENT.format(image="acme/cart:1").encode()))
    found = can_stand(replace(field, form=form), raw)
    assert found is (is_text or form not in (KUSTOMIZE, SUBSTITUTION))


@pytest.mark.parametrize("select", ["", "kind: Deployment", "name: cart", "kind: Job"])
@pytest.mark.parametrize("reject", ["", "{}", "{name: cart}", "{name: other}, {kind: Deployment}"])
def test_a_replacement_writes_to_what_it_selects_and_does_not_reject(
    select: str, reject: str
) -> None:
    text = (
        "source: {kind: ConfigMap, fieldPath: data.whole}\n"
        f"targets: [{{select: {{{select}}}, reject: [{reject}], fieldPaths: [{IMAGE}]}}]\n"
    )
    replacement = read_replacements(parse("k.yaml", text.encode()).documents[0])
    versions = resource(VERSIONS % "")
    _cart, made = replaced(resource(CART), replacement, [resource(CART), versions])
    is_rejected = "name: cart" in reject or "Deployment" in reject
    assert bool(made) is (select != "kind: Job" and not is_rejected)


@pytest.mark.parametrize("prefix", ["", "p-"])
@pytest.mark.parametrize("suffix", ["", "-s"])
@pytest.mark.parametrize("namespace", ["", "n"])
@pytest.mark.parametrize("is_patched", [True, False])
def test_flux_gives_names_and_a_namespace_to_what_it_applies(
    prefix: str, suffix: str, namespace: str, *, is_patched: bool
) -> None:
    added = {"namePrefix": prefix, "nameSuffix": suffix, "targetNamespace": namespace}
    said = "".join(f"{key}: {text}, " for key, text in added.items() if text)
    if is_patched:
        said += "images: [{name: acme/cart, newTag: '2'}], "
    flux = BY_FLUX.replace("spec: {", f"spec: {{{said}") % "base"
    [one] = effect_of({**BASE, "flux.yaml": flux}).landed
    assert (one.namespace, one.workload) == (namespace, f"{prefix}cart{suffix}")
    assert one.image == ("acme/cart:2" if is_patched else "acme/cart:1")
    assert (one.unknowns, one.root) == ((), "flux.yaml apps")


def test_the_value_of_a_patch_is_told_as_one() -> None:
    text = "- {op: replace, path: /spec/template/spec/containers/0/image, value: 'acme/cart:1'}\n"
    [field] = find_fields(parse("p.yaml", text.encode()))
    assert (field.kind, field.name, field.pointer) == ("Patch", "patch", "/0/value")
    assert (field.container, field.form) == (POINTER, PATCH)


# The lists that a strategic merge goes into, and by which keys (Kubernetes 1.21, patchMergeKey).
CONTAINERS = ("containers", "initContainers", "ephemeralContainers")
MERGED: dict[tuple[str, ...], tuple[str, ...]] = {
    **dict.fromkeys((("imagePullSecrets",), ("volumes",)), ("name",)),
    ("hostAliases",): ("ip",),
    ("topologySpreadConstraints",): ("topologyKey", "whenUnsatisfiable"),
    **{(key,): ("name",) for key in CONTAINERS},
    **{(key, "env"): ("name",) for key in CONTAINERS},
    **{(key, "volumeDevices"): ("devicePath",) for key in CONTAINERS},
    **{(key, "volumeMounts"): ("mountPath",) for key in CONTAINERS},
    **{(key, "ports"): ("containerPort", "protocol") for key in CONTAINERS[:2]},
}
REPLACED = (
    ("tolerations",),
    ("readinessGates",),
    ("containers", "args"),
    ("containers", "envFrom"),
)
OTHERS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("v1", "Service", "spec", "ports"): ("port", "protocol"),
    ("v1", "ServiceAccount", "secrets"): ("name",),
    **{
        (f"admissionregistration.k8s.io/{version}", f"{kind}WebhookConfiguration", "webhooks"): (
            "name",
        )
        for version in ("v1", "v1beta1")
        for kind in ("Mutating", "Validating")
    },
}


def in_lists(path: tuple[str, ...], items: list[object]) -> object:
    """A pod with a list at a place: below the first container, where it has one more step."""
    if len(path) == 1:
        return {path[0]: items}
    return {path[0]: [{"name": "c", path[1]: items}]}


def merged_of(kind: dict[str, str], base: object, patch: object) -> object:
    found = strategic_merge(
        node(yaml.safe_dump({**kind, "spec": base})), node(yaml.safe_dump({**kind, "spec": patch}))
    )
    assert found is not None
    return yaml.safe_load(yaml.serialize(found))["spec"]


@pytest.mark.parametrize("path", [*MERGED, *REPLACED], ids="/".join)
def test_a_list_of_a_pod_is_merged_by_its_keys_or_replaced(path: tuple[str, ...]) -> None:
    pod = {"apiVersion": "v1", "kind": "Pod"}
    keys = MERGED.get(path, ("name",))
    one, other = ({key: f"{key}{n}" for key in keys} for n in (1, 2))
    base = in_lists(path, [{**one, "was": "a"}])
    found = merged_of(pod, base, in_lists(path, [{**one, "is": "b"}]))
    was = {"was": "a"} if path in MERGED else {}
    assert found == in_lists(path, [{**one, **was, "is": "b"}])
    both = merged_of(pod, base, in_lists(path, [{**other, "is": "b"}]))
    kept = [{**one, "was": "a"}] if path in MERGED else []
    assert both == in_lists(path, [{**other, "is": "b"}, *kept])


@pytest.mark.parametrize("place", OTHERS, ids="/".join)
def test_a_list_of_another_kind_is_merged_by_its_keys(place: tuple[str, ...]) -> None:
    version, kind, *path = place
    one = {key: f"{key}1" for key in OTHERS[place]}

    def whole(more: dict[str, str], kind: str = kind, version: str = version) -> str:
        value: object = [{**one, **more}]
        for key in reversed(path):
            value = {key: value}
        assert isinstance(value, dict)
        return yaml.safe_dump({"apiVersion": version, "kind": kind, **value})

    for named, wanted in ((kind, {"was": "a", "is": "b"}), ("Other", {"is": "b"})):
        base, patch = (node(whole(more, named)) for more in ({"was": "a"}, {"is": "b"}))
        found = strategic_merge(base, patch)
        assert found is not None
        assert yaml.safe_load(yaml.serialize(found)) == yaml.safe_load(whole(wanted, named))


TWICE = "{name: acme/cart, newTag: '1', newTag: '2'}"
FLUX_TWICE = (BY_FLUX % "apps").replace("spec: {", f"spec: {{images: [{TWICE}], ")
KEYS_TWICE = {
    "images": ("apps/kustomization.yaml", f"images: [{TWICE}]\n"),
    "imageTags": ("apps/kustomization.yaml", f"imageTags: [{TWICE}]\n"),
    "of Flux": ("flux.yaml", FLUX_TWICE),
}


@pytest.mark.parametrize("name", KEYS_TWICE)
def test_an_entry_in_which_a_key_stands_twice_is_refused(name: str) -> None:
    path, text = KEYS_TWICE[name]
    with pytest.raises(ManifestError, match="the key 'newTag' stands twice"):
        find_fields(parse(path, text.encode()))


def test_entries_in_which_a_key_stands_twice_are_not_read_wherever_they_stand() -> None:
    file = parse("a.yaml", f"[{TWICE}]".encode())
    with pytest.raises(ManifestError, match=r"a\.yaml:1:33: the key 'newTag' stands twice"):
        list(read_entries(Place(file, 0, "A", "a"), file.trees[0]))


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a:\n  b: c\n d: e\n", 3, 2),
        ("a: b\nc: *d\n", 2, 4),
        ("a: 'b\n", 2, 1),
        ("a: b\n\tc: d\n", 2, 1),
        ("{{- if .a }}\na: b\n", 1, 3),
        ("a:\n  b: c\n{{- end }}\n", 4, 1),
    ],
)
def test_what_is_no_yaml_is_told_with_its_place(text: str, line: int, column: int) -> None:
    with pytest.raises(ManifestError) as caught:
        parse("a.yaml", text.encode())
    assert (caught.value.line, caught.value.column) == (line, column)
    assert caught.value.message.startswith(f"a.yaml:{line}:{column} is ")


@pytest.mark.parametrize("kind", ["Cart", "Deployment"])
def test_an_image_at_a_pointer_is_called_by_its_way(kind: str) -> None:
    text = f"kind: {kind}\nmetadata: {{name: a}}\nspec: {{web: {{main: 'acme/cart:1'}}}}\n"
    [item] = objects_of(parse("a.yaml", f"apiVersion: v1\n{text}".encode()))
    found = image_nodes(item, {}, ["/spec/web/main", "/spec/web/gone", "/spec/web"])
    assert [(one.container, one.pointer, one.form) for one in found] == [
        ("spec.web.main", "/spec/web/main", POINTED)
    ]


@pytest.mark.parametrize("blank", ["", "\n", "\n\n"])
def test_a_text_within_a_file_is_told_where_it_stands_below_empty_lines(blank: str) -> None:
    pod = SPEC["Deployment"].replace("name: c,", "name: server,")
    patch = f"spec: {pod}".replace("acme/cart:1", "acme/cart:2")
    head = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: cart}, "
    text = f'{blank}patches: [{{patch: "{head}{patch}}}"}}]\nresources: [../base]\n'
    files = {**BASE, "overlay/kustomization.yaml": text}
    [field] = (
        read_manifests({p: t.encode() for p, t in files.items()})
        .effective({}, Environment("production", "overlay"))
        .live
    )
    assert (field.effective, field.scalar.line) == ("acme/cart:2", len(blank) + 1)

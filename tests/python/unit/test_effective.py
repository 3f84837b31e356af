"""Which field decides an image, after overlays, Helm and Flux had their say."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.effective.effect import judge
from gitops_rollback.effective.objects import Unknown
from gitops_rollback.errors import ConfigError, GitopsRollbackError, ManifestError
from gitops_rollback.image import parse_image
from gitops_rollback.manifest.document import parse
from gitops_rollback.manifest.edit import FieldEdit, rewritten, value_of
from gitops_rollback.manifest.kustomize import read_kustomization
from gitops_rollback.services import inventory
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment, parse_config
from gitops_rollback.services.inventory import parts_of, read_manifests
from unit.builders import DEPLOYMENT, digest, found_service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gitops_rollback.effective.effect import Effect, Finding
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.image_field import ImageField

A = digest("a")
CART = DEPLOYMENT.format(image="acme/cart:1")
NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n"
WHOLE = Environment("production")
OVERLAY = Environment("production", "overlay")
BASE_ALONE = Environment("production", "base")


def deciders(
    files: Mapping[str, str], environment: Environment = WHOLE, config: str = ""
) -> list[str]:
    """What decides each image of service cart: `path:line container → image that takes effect`."""
    return [shown(field) for field in fields(files, environment, config)]


def fields(
    files: Mapping[str, str], environment: Environment = WHOLE, config: str = ""
) -> tuple[ImageField, ...]:
    data = {path: text.encode() for path, text in files.items()}
    settings = parse_config(config.encode()) if config else Config()
    return resolve("cart", environment, settings, read_manifests(data)).fields


def effect_of(files: Mapping[str, str], environment: Environment = WHOLE) -> Effect:
    data = {path: text.encode() for path, text in files.items()}
    return read_manifests(data).effective({}, environment).effect


def test_a_patch_that_nobody_takes_has_no_effect() -> None:
    operation = "{op: replace, path: /spec/template/spec/containers/0/image, value: 'acme/cart:1'}"
    [(key, idle)] = effect_of({**BASE, "p.yaml": f"- {operation}\n"}).idle.items()
    assert (key, idle.why) == (("p.yaml", 0, "/0/value"), "no kustomization takes the patch")


def findings(
    files: Mapping[str, str], path: str, environment: Environment = WHOLE
) -> tuple[Finding, ...]:
    """What stands against version 2 in the Deployment of service cart in a file."""
    after = {**files, path: files[path].replace("acme/cart:1", "acme/cart:2")}
    meant = {(path, 0, "/spec/template/spec/containers/0/image"): parse_image("acme/cart:2")}
    return judge(effect_of(files, environment), effect_of(after, environment), meant)


def test_what_is_not_known_of_an_image_after_an_edit_alone_is_told_too() -> None:
    unknown = Unknown("base/kustomization.yaml", 4, "vars", "they may fill its text")
    after = {**BASE, "base/deployment.yaml": CART.replace("acme/cart:1", "acme/cart:2")}
    found = effect_of(after, BASE_ALONE)
    doubted = replace(
        found, landed=tuple(replace(one, unknowns=(unknown,)) for one in found.landed)
    )
    meant = {
        ("base/deployment.yaml", 0, "/spec/template/spec/containers/0/image"): parse_image(
            "acme/cart:2"
        )
    }
    assert judge(effect_of(BASE, BASE_ALONE), found, meant) == ()
    [told] = judge(effect_of(BASE, BASE_ALONE), doubted, meant)
    assert unknown.text in told.message


def test_the_images_that_a_definition_describes_are_none() -> None:
    definition = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: carts.acme.example}\nspec: {containers: [{image: {type: string}}]}\n"
    )
    files = {
        "base/kustomization.yaml": "resources: [deployment.yaml, crd.yaml]\n"
        "images: [{name: acme/cart, newTag: '2'}]\n",
        "base/deployment.yaml": CART,
        "base/crd.yaml": definition,
    }
    found = effect_of(files, BASE_ALONE).landed
    assert [(one.image, one.unknowns) for one in found] == [("acme/cart:2", ())]
    odd = definition.replace("CustomResourceDefinition", "Cart")
    doubted = effect_of({**files, "base/crd.yaml": odd}, BASE_ALONE).landed
    assert all(one.unknowns for one in doubted)


def shown(field: ImageField) -> str:
    image = field.image
    return f"{field.place} {field.container} → {image.canonical if image else field.effective}"


BASE = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "base/deployment.yaml": CART,
}


@pytest.mark.parametrize(
    ("entry", "image"),
    [
        ('{name: acme/cart, newTag: "2"}', "docker.io/acme/cart:2"),
        (f"{{name: acme/cart, digest: '{A}'}}", f"docker.io/acme/cart@{A}"),
        (f'{{name: acme/cart, newTag: "2", digest: "{A}"}}', f"docker.io/acme/cart:2@{A}"),
        ('{name: acme/cart, newName: x.io/cart, newTag: "2"}', "x.io/cart:2"),
        (f"{{name: acme/cart, newName: x.io/cart, digest: '{A}'}}", f"x.io/cart@{A}"),
        (f"{{name: acme/cart, newTag: '2@{A}'}}", f"docker.io/acme/cart:2@{A}"),
        ('{name: acme.cart, newTag: "2"}', "docker.io/acme/cart:2"),
    ],
)
def test_an_entry_that_sets_a_version_decides(entry: str, image: str) -> None:
    files = {**BASE, "overlay/kustomization.yaml": f"resources: [../base]\nimages:\n- {entry}\n"}
    [found] = fields(files, OVERLAY)
    assert found.path == "overlay/kustomization.yaml"
    assert found.image is not None
    assert found.image.canonical == image
    assert found.overrides == ("base/deployment.yaml:10",)


def test_a_key_that_stands_twice_beside_an_entry_ends_no_run() -> None:
    twice = CART.replace("spec:\n", "spec:\n  a b c\nspec:\n", 1)
    assert twice != CART
    for text in (twice, f"{CART}spec: text\n", f"{CART}spec: [1]\nspec: {{}}\n"):
        files = {
            "kustomization.yaml": "resources: [a.yaml]\nimages: [{name: acme/cart, newTag: '2'}]\n",
            "a.yaml": text,
        }
        assert deciders(files) is not None


def test_an_entry_that_only_renames_leaves_the_version_to_the_workload() -> None:
    files = {
        "kustomization.yaml": (
            "resources: [a.yaml]\nimages: [{name: acme/cart, newName: x.io/cart}]\n"
        ),
        "a.yaml": CART,
    }
    assert deciders(files) == ["a.yaml:10 server → x.io/cart:1"]


def test_the_outermost_entry_decides_and_sees_the_name_that_an_inner_one_gave() -> None:
    files = {
        **BASE,
        "base/kustomization.yaml": (
            "resources: [deployment.yaml]\n"
            'images: [{name: acme/cart, newName: x.io/cart, newTag: "2"}]\n'
        ),
        "overlay/kustomization.yaml": (
            "resources: [../base]\n"
            'images: [{name: acme/cart, newTag: "8"}, {name: x.io/cart, newTag: "3"}]\n'
        ),
    }
    assert deciders(files, OVERLAY) == ["overlay/kustomization.yaml:2 x.io/cart → x.io/cart:3"]


def test_components_come_before_the_entries_of_who_uses_them() -> None:
    files = {
        **BASE,
        "pin/kustomization.yaml": ('kind: Component\nimages: [{name: acme/cart, newTag: "2"}]\n'),
        "overlay/kustomization.yaml": "resources: [../base]\ncomponents: [../pin]\n",
    }
    production = Environment("production")
    assert deciders(files, production) == [
        "pin/kustomization.yaml:2 acme/cart → docker.io/acme/cart:2"
    ]
    with pytest.raises(ConfigError, match=r"pin/kustomization\.yaml:2 lies outside") as caught:
        fields(files, OVERLAY)
    assert "add to overlay/kustomization.yaml `images:` [{name: acme/cart" in caught.value.hint


def test_a_patch_in_a_file_of_its_own_decides_where_it_sets_the_image() -> None:
    files = {
        **BASE,
        "overlay/kustomization.yaml": "resources: [../base]\npatches: [{path: patch.yaml}]\n",
        "overlay/patch.yaml": DEPLOYMENT.format(image="acme/cart:4"),
    }
    assert deciders(files, OVERLAY) == ["overlay/patch.yaml:10 server → docker.io/acme/cart:4"]
    files["overlay/kustomization.yaml"] += 'images: [{name: acme/cart, newTag: "5"}]\n'
    assert deciders(files, OVERLAY) == [
        "overlay/kustomization.yaml:3 acme/cart → docker.io/acme/cart:5"
    ]


def test_a_patch_with_a_target_is_for_what_the_target_names() -> None:
    files = {
        **BASE,
        "overlay/kustomization.yaml": (
            "resources: [../base]\n"
            "patches: [{path: p.yaml, target: {kind: Deployment, name: ca.*}}]\n"
        ),
        "overlay/p.yaml": DEPLOYMENT.format(image="acme/cart:4").replace("name: cart", "name: any"),
    }
    assert deciders(files, OVERLAY) == ["overlay/p.yaml:10 server → docker.io/acme/cart:4"]


MERGE = """\
resources: [../base]
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: cart}
    spec:
      template:
        spec:
          containers:
          - name: server
            image: acme/cart:9
"""
OPERATIONS = """\
resources: [../base]
patches:
- target: {kind: Deployment}
  patch: |-
    - op: replace
      path: /spec/template/spec/containers/0/image
      value: acme/cart:9
"""


FOLDED = """\
resources: [../base]
patches:
- target: {kind: Deployment}
  patch: >-
    [{"op": "replace", "path": "/spec/template/spec/containers/0/image",
    "value": "acme/cart:9"}]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            OPERATIONS.replace("|-", "&p |-") + "- {target: {kind: Job}, patch: *p}\n",
            r"overlay/kustomization\.yaml:7:\d+: .* inline patch sets it, .* move the patch to",
        ),
        (
            "resources: [../base]\nimages: [{name: acme/cart, tagSuffix: -x}]\n",
            r"the tagSuffix in overlay/kustomization\.yaml:2 changes its tag",
        ),
    ],
    ids=["operations for two", "suffix"],
)
def test_what_sets_an_image_and_cannot_be_edited_is_refused_with_its_place(
    text: str, message: str
) -> None:
    files = {**BASE, "overlay/kustomization.yaml": text}
    with pytest.raises(GitopsRollbackError) as caught:
        fields(files)
    assert re.search(message, caught.value.message), caught.value.message


QUOTED = OPERATIONS.partition("|-")[0] + (
    """'[{"op": "replace", "path": "/spec/template/spec/containers/0/image", """
    """"value": "acme/cart:9"}]'\n"""
)
LISTED = re.sub("(?m)^    ", "  ", MERGE.replace("patches:", "patchesStrategicMerge:")).replace(
    "patch: |-", "|-"
)

# What PyYAML and people make of a patch in quotes: escapes, lines that go on, doubled quotes.
HEAD = "resources: [../base]\npatches:\n- target: {kind: Deployment}\n  patch: "
PLACE = "/spec/template/spec/containers/0/image"
ESCAPED = (
    HEAD
    + r""""[{\"op\": \"replace\", \
    \"path\":\x20\"/spec/template/spec/containers/0/image\",
    \"value\":\t\"acme/cart:9\"}]"
""",
    HEAD + rf'"- op: replace\n  path: {PLACE}\n  value: acme/cart:9\n"' + "\n",
    HEAD
    + f"""\
'[{{"op": "add", "path": "/metadata/annotations", "value": {{"a": "it''s"}}}},

    {{"op": "replace", "path": "{PLACE}",
    "value": "acme/cart:9"}}]'
""",
)


def in_overlay(files: Mapping[str, str]) -> tuple[ParsedFile, ImageField]:
    """The overlay's file, and the one field in it that decides."""
    manifests = read_manifests({path: text.encode() for path, text in files.items()})
    [field] = resolve("cart", OVERLAY, Config(), manifests).fields
    return manifests.files["overlay/kustomization.yaml"], field


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "text",
    [MERGE, OPERATIONS, QUOTED, LISTED, FOLDED, FOLDED.replace(">-", "|+"), *ESCAPED],
)
def test_an_inline_patch_is_edited_however_its_text_is_written(text: str, ends: str) -> None:
    text = text.replace("\n", ends)
    files = {**BASE, "overlay/kustomization.yaml": text}
    file, field = in_overlay(files)
    place = text[: text.index("acme/cart:9")]
    assert field.scalar.line == place.count("\n") + 1
    assert field.scalar.column == len(place.rpartition("\n")[2].rstrip("\\\"'")) + 1
    edited = rewritten(file, [FieldEdit(field, "acme/cart:10")]).data.decode()
    assert edited == text.replace("acme/cart:9", "acme/cart:10")
    _file, again = in_overlay({**files, "overlay/kustomization.yaml": edited})
    assert again.key == field.key
    assert again.value == "acme/cart:10"


def test_a_text_that_an_edit_would_break_is_not_edited() -> None:
    file, field = in_overlay({**BASE, "overlay/kustomization.yaml": QUOTED})
    for broken in ('acme/cart:1", "x": "y', "acme/cart:\n1"):
        with pytest.raises(ManifestError):
            rewritten(file, [FieldEdit(field, broken)])


COPY = """\
resources: [cart.yaml, worker.yaml]
replacements:
- source: {kind: Deployment, name: cart, fieldPath: spec.template.spec.containers.0.image%s}
  targets:
  - select: {kind: Deployment, name: worker}
    fieldPaths: [spec.template.spec.containers.0.image]
"""
WORKER = CART.replace("name: cart", "name: worker").replace("acme/cart:1", "acme/cart:0")


def test_an_image_that_is_copied_from_another_one_is_decided_there() -> None:
    files = {"kustomization.yaml": COPY % "", "cart.yaml": CART, "worker.yaml": WORKER}
    assert deciders(files) == ["cart.yaml:10 server → docker.io/acme/cart:1"]
    assert findings(files, "cart.yaml") == ()
    entry = 'images: [{name: acme/cart, newTag: "5"}]\n'
    assert deciders({**files, "kustomization.yaml": COPY % "" + entry}) == [
        "kustomization.yaml:7 acme/cart → docker.io/acme/cart:5"
    ]


def test_an_image_of_which_a_part_is_copied_is_refused_and_its_hint_works() -> None:
    part = COPY.rstrip().rstrip("]") % ", options: {delimiter: ':', index: 1}" + "]\n"
    part += "    options: {delimiter: ':', index: 1}\n"
    files = {"kustomization.yaml": part, "cart.yaml": CART, "worker.yaml": WORKER}
    with pytest.raises(ManifestError, match=r"the replacement in kustomization\.yaml:3") as caught:
        fields(files)
    assert caught.value.hint.startswith("write an `images:` entry in the place of that replacement")
    files["kustomization.yaml"] = (
        'resources: [cart.yaml, worker.yaml]\nimages: [{name: acme/cart, newTag: "1"}]\n'
    )
    assert deciders(files) == ["kustomization.yaml:2 acme/cart → docker.io/acme/cart:1"]


@pytest.mark.parametrize("text", [MERGE, OPERATIONS])
def test_an_entry_above_an_inline_patch_decides_after_all(text: str) -> None:
    files = {
        **BASE,
        "overlay/kustomization.yaml": text + 'images: [{name: acme/cart, newTag: "5"}]\n',
    }
    [found] = fields(files, OVERLAY)
    assert (found.container, found.value) == ("acme/cart", "acme/cart:5")


def test_a_patch_that_leaves_images_alone_does_not_matter() -> None:
    text = (
        "resources: [../base]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n"
        "    - {op: add, path: /metadata/labels, value: {image: x}}\n"
    )
    assert deciders({**BASE, "overlay/kustomization.yaml": text}) == [
        "base/deployment.yaml:10 server → docker.io/acme/cart:1"
    ]


def test_two_overlays_of_one_base_that_disagree_are_an_error_that_lists_both() -> None:
    overlay = 'resources: [../base]\nimages: [{{name: acme/cart, newTag: "{}"}}]\n'
    files = {
        **BASE,
        "staging/kustomization.yaml": overlay.format(3),
        "overlay/kustomization.yaml": overlay.format(2),
    }
    with pytest.raises(ConfigError, match=r"disagree.*staging/kust.*overlay/kust") as caught:
        fields(files)
    assert '[environments.staging] path = "staging"' in caught.value.hint
    assert deciders(files, OVERLAY) == [
        "overlay/kustomization.yaml:2 acme/cart → docker.io/acme/cart:2"
    ]


def test_a_workload_that_its_kustomization_does_not_list_only_counts_if_nothing_else_does() -> None:
    files = {
        "kustomization.yaml": "resources: [b.yaml]\n",
        "a.yaml": CART,
        "b.yaml": DEPLOYMENT.format(image="acme/cart:2"),
    }
    assert deciders(files) == ["b.yaml:10 server → docker.io/acme/cart:2"]
    del files["b.yaml"]
    found = found_service({path: text.encode() for path, text in files.items()})
    assert [field.path for field in found.fields] == ["a.yaml"]
    assert "has a kustomization that does not list it" in found.notes[0]


LISTS_ANOTHER = {"apps/kustomization.yaml": "resources: [ns.yaml]\n", "apps/ns.yaml": NAMESPACE}


@pytest.mark.parametrize(
    ("path", "ruling", "remedies"),
    [
        ("apps/deployment.yaml", "apps", ["apps/kustomization.yaml"]),
        (
            "apps/cart/deployment.yaml",
            "apps",
            ["apps/kustomization.yaml", "apps/cart/kustomization.yaml"],
        ),
        (
            "apps/shop/cart/deployment.yaml",
            "apps",
            ["apps/kustomization.yaml", "apps/shop/cart/kustomization.yaml"],
        ),
    ],
)
def test_a_workload_beside_or_below_a_kustomization_that_leaves_it_out_has_no_known_effect(
    path: str, ruling: str, remedies: list[str]
) -> None:
    files = {**LISTS_ANOTHER, path: CART}
    [finding] = findings(files, path)
    assert finding.code == "unknown"
    assert finding.message.endswith(f"{ruling}/ has a kustomization that does not list it")
    assert finding.hint.endswith("or, if you know that it has effect, --accept effect")
    assert finding.paths == (path, f"{ruling}/kustomization.yaml")
    for remedy in remedies:
        folder = remedy.removesuffix("/kustomization.yaml")
        assert remedy in finding.hint or f"{folder} by itself" in finding.hint
        listed = f"resources: [{path.removeprefix(f'{folder}/')}]\n"
        assert findings({**files, remedy: listed}, path) == ()


def test_a_kustomization_at_the_root_rules_all_folders_below_it() -> None:
    files = {"kustomization.yaml": "resources: [ns.yaml]\n", "ns.yaml": NAMESPACE}
    [finding] = findings({**files, "cart/deployment.yaml": CART}, "cart/deployment.yaml")
    assert finding.message.endswith("./ has a kustomization that does not list it")
    assert "list it in kustomization.yaml, or" in finding.hint


FLUX_CART = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cart}
spec: {path: %s}
"""


@pytest.mark.parametrize(
    ("more", "environment"),
    [
        ({}, WHOLE),
        ({**LISTS_ANOTHER, "flux.yaml": FLUX_CART % "./apps/cart"}, WHOLE),
        ({"apps/other/kustomization.yaml": "resources: [ns.yaml]\n"}, WHOLE),
        ({**LISTS_ANOTHER, "apps/cart/Chart.yaml": "name: cart\n"}, WHOLE),
        (LISTS_ANOTHER, Environment("production", "apps/cart")),
        ({"apps/kustomization.yaml": 'images: [{name: acme/other, newTag: "2"}]\n'}, WHOLE),
    ],
    ids=[
        "no kustomization above it",
        "Flux applies its folder",
        "a kustomization beside its folder",
        "it is of a chart",
        "its folder is an environment",
        "the kustomization above it lists nothing",
    ],
)
def test_a_workload_that_no_kustomization_rules_is_applied_by_itself(
    more: dict[str, str], environment: Environment
) -> None:
    path = "apps/cart/deployment.yaml"
    assert findings({**more, path: CART}, path, environment) == ()


def test_a_workload_below_a_kustomization_that_cannot_be_read_is_doubted_with_its_reason() -> None:
    files = {**LISTS_ANOTHER, "apps/cart/kustomization.yaml": "resources: ["}
    path = "apps/cart/deployment.yaml"
    [finding] = findings({**files, path: CART}, path)
    assert "apps/cart/kustomization.yaml:1: kustomization: " in finding.message
    assert finding.hint == "mend it, or, if you know that it has effect, --accept effect"


@pytest.mark.parametrize("folder", ["apps", "apps/cart"])
def test_what_flux_finds_below_a_kustomization_that_cannot_be_read_is_doubted(folder: str) -> None:
    path = "apps/cart/deployment.yaml"
    broken = {f"{folder}/kustomization.yaml": "resources: [", "flux.yaml": FLUX_CART % "./apps"}
    [finding] = findings({**broken, path: CART}, path)
    assert finding.code == "unknown"
    assert f"{folder}/kustomization.yaml:1: kustomization: " in finding.message


def test_a_folder_without_a_kustomization_that_one_takes_fails_its_build() -> None:
    path = "apps/cart/deployment.yaml"
    files = {"apps/kustomization.yaml": "resources: [cart]\n", path: CART}
    [finding] = findings(files, path)
    assert "apps/cart/ is taken by a kustomization and has none" in finding.message
    assert finding.hint.startswith("list it in apps/cart/kustomization.yaml, or, if")
    files["apps/cart/kustomization.yaml"] = "resources: [deployment.yaml]\n"
    assert findings(files, path) == ()


def test_a_folder_with_a_kustomization_that_leaves_a_file_out_is_not_called_one_without() -> None:
    path = "apps/cart/web/deployment.yaml"
    files = {
        "apps/kustomization.yaml": "resources: [cart]\n",
        "apps/cart/kustomization.yaml": "resources: [ns.yaml]\n",
        "apps/cart/ns.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
        path: CART,
    }
    [finding] = findings(files, path)
    assert "apps/cart/ has a kustomization that does not list it" in finding.message


def test_two_kustomizations_in_one_folder_fail_its_build() -> None:
    path = "apps/cart/deployment.yaml"
    names = ("kustomization.yml", "kustomization.yaml", "Kustomization")
    files = {f"apps/cart/{name}": "resources: [deployment.yaml]\n" for name in names}
    found = findings({**files, path: CART}, path)
    assert len(found) == 2
    assert all("stands beside it: the build fails" in one.message for one in found)
    del files["apps/cart/Kustomization"], files["apps/cart/kustomization.yml"]
    assert findings({**files, path: CART}, path) == ()


def test_an_entry_counts_where_the_base_is_in_another_repository() -> None:
    files = {
        "kustomization.yaml": (
            "resources: [https://github.com/acme/base?ref=v1]\n"
            'images: [{name: acme/cart, newTag: "2"}]\n'
        )
    }
    assert deciders(files) == ["kustomization.yaml:2 acme/cart → docker.io/acme/cart:2"]


def test_an_entry_that_decides_a_job_too_is_refused() -> None:
    files = {
        "kustomization.yaml": (
            'resources: [a.yaml, b.yaml]\nimages: [{name: acme/cart, newTag: "2"}]\n'
        ),
        "a.yaml": CART,
        "b.yaml": CART.replace("Deployment", "Job"),
    }
    with pytest.raises(ManifestError, match=r"decides the image of Job cart \(b.yaml:10\) too"):
        fields(files)


def test_kustomizations_that_contain_each_other_do_not_hang() -> None:
    files = {
        "a/kustomization.yaml": "resources: [../b]\n",
        "b/kustomization.yaml": "resources: [../a, deployment.yaml]\n",
        "b/deployment.yaml": CART,
    }
    found = found_service({path: text.encode() for path, text in files.items()})
    assert "may have no effect" in found.notes[0]
    files["c/kustomization.yaml"] = "resources: [../a]\n"
    [unknown] = effect_of(files).landed[0].unknowns
    assert unknown.text.endswith("resources: it takes itself: a circle")


RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec:
  values:
    image:
      repository: acme/cart
      tag: "1"
"""


def test_a_patch_of_a_helm_release_is_merged_key_by_key() -> None:
    patch = RELEASE.replace("      repository: acme/cart\n", "").replace('"1"', '"2"')
    files = {
        "base/kustomization.yaml": "resources: [release.yaml]\n",
        "base/release.yaml": RELEASE,
        "overlay/kustomization.yaml": "resources: [../base]\npatches: [{path: values.yaml}]\n",
        "overlay/values.yaml": patch,
    }
    [found] = fields(files, OVERLAY)
    assert shown(found) == "overlay/values.yaml:7 image → docker.io/acme/cart:2"
    files["base/release.yaml"] += f"      digest: {A}\n"
    with pytest.raises(ManifestError, match=r"the digest in base/release\.yaml:9 counts"):
        fields(files, OVERLAY)


def test_a_part_of_a_release_is_not_the_service_that_bears_the_release_s_name() -> None:
    text = RELEASE.replace("image:\n", "redis:\n").replace("acme/cart", "library/redis")
    with pytest.raises(ConfigError, match="there is no service 'cart'"):
        fields({"release.yaml": text})


def test_a_release_outside_the_environment_is_refused_with_the_patch_to_add() -> None:
    files = {
        "base/kustomization.yaml": "resources: [release.yaml]\n",
        "base/release.yaml": RELEASE,
        "overlay/kustomization.yaml": "resources: [../base]\n",
    }
    with pytest.raises(ConfigError) as caught:
        fields(files, OVERLAY)
    assert "a patch of HelmRelease cart, in a file of its own" in caught.value.hint


def test_the_images_of_a_post_renderer_decide_over_the_values() -> None:
    text = RELEASE + (
        "  postRenderers:\n  - kustomize:\n      images: [{name: acme/cart, newTag: '7'}]\n"
    )
    assert deciders({"release.yaml": text}) == ["release.yaml:11 acme/cart → docker.io/acme/cart:7"]


def test_values_that_leave_the_name_to_the_chart_need_it_from_the_configuration() -> None:
    text = RELEASE.replace("      repository: acme/cart\n", "")
    with pytest.raises(ManifestError, match="the image's name is the chart's"):
        fields({"release.yaml": text})
    assert deciders({"release.yaml": text}, config='[services.cart]\nimage = "acme/cart"\n') == [
        "release.yaml:7 image → docker.io/acme/cart:1"
    ]


FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec:
  path: ./apps
"""


def test_the_images_of_a_flux_kustomization_decide_over_all_below_its_path() -> None:
    files = {
        "flux.yaml": FLUX + '  images: [{name: acme/cart, newTag: "3"}]\n',
        "apps/cart/deployment.yaml": CART,
        "other/deployment.yaml": DEPLOYMENT.format(image="acme/other:1"),
    }
    assert deciders(files) == ["flux.yaml:6 acme/cart → docker.io/acme/cart:3"]


def test_an_entry_does_not_reach_an_image_whose_tag_is_a_flux_variable() -> None:
    files = {
        "flux.yaml": FLUX + SUBSTITUTE,
        "apps/kustomization.yaml": (
            "resources: [a.yaml]\nimages: [{name: acme/cart, newTag: never}]\n"
        ),
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${CART_TAG}"'),
    }
    assert deciders(files) == ["flux.yaml:8 CART_TAG → docker.io/acme/cart:1.4"]


@pytest.mark.parametrize(
    ("name", "is_for_it"),
    [
        ("acme/.*", True),
        ("acme/c[a]rt", True),
        ("acme/cartx?", True),
        ("^acme.ca.t$", True),
        ("(other|acme)/cart", True),
        ("(.*)", True),
        ("acme/cart:1", True),
        ("acme/p.*", False),
        ("other/.*cart", False),
        ("acme/cart/.*", False),
        ("acme/cart:2", False),
    ],
)
def test_the_name_of_an_entry_is_an_expression_of_the_whole_name(
    name: str,
    is_for_it: bool,  # noqa: FBT001
) -> None:
    text = f"resources: [../base]\nimages: [{{name: '{name}', newTag: x}}]\n"
    found = effect_of({**BASE, "overlay/kustomization.yaml": text}, OVERLAY)
    assert [one.image for one in found.landed] == ["acme/cart:x" if is_for_it else "acme/cart:1"]
    assert not found.landed[0].unknowns


@pytest.mark.parametrize("name", ["other|acme/cart", "(acme/c*)*art", r"\Qacme\E/cart"])
def test_a_name_that_is_not_read_as_go_reads_it_leaves_the_image_unproven(name: str) -> None:
    text = f"resources: [../base]\nimages: [{{name: '{name}', newTag: x}}]\n"
    [landed] = effect_of({**BASE, "overlay/kustomization.yaml": text}, OVERLAY).landed
    assert landed.image == "acme/cart:1"
    assert landed.unknowns[0].text.startswith("overlay/kustomization.yaml:2: images: ")


def test_an_entry_of_a_kustomization_does_not_reach_the_values_of_a_release() -> None:
    files = {
        "kustomization.yaml": (
            "resources: [release.yaml, service.yaml]\nimages: [{name: acme/cart, newTag: '2'}]\n"
        ),
        "release.yaml": RELEASE,
        "service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\n",
    }
    assert deciders(files) == ["release.yaml:8 image → docker.io/acme/cart:1"]


def test_a_patch_for_what_is_not_there_decides_nothing() -> None:
    patch = "patches: [{path: p.yaml, target: {name: other}}]\n"
    files = {
        **BASE,
        "overlay/kustomization.yaml": "resources: [../base]\n" + patch,
        "overlay/p.yaml": DEPLOYMENT.format(image="acme/cart:4"),
    }
    assert deciders(files) == ["base/deployment.yaml:10 server → docker.io/acme/cart:1"]
    files["overlay/kustomization.yaml"] = "resources: ['https://a.b/c?ref=1']\n" + patch
    assert deciders(files, OVERLAY) == ["overlay/p.yaml:10 server → docker.io/acme/cart:4"]


SUBSTITUTE = '  postBuild:\n    substitute:\n      CART_TAG: "1.4"\n      REGISTRY: ghcr.io\n'


@pytest.mark.parametrize(
    ("image", "substitute", "expected"),
    [
        ("acme/cart:${CART_TAG}", SUBSTITUTE, "flux.yaml:8 CART_TAG → docker.io/acme/cart:1.4"),
        ("acme/cart:v${CART_TAG}", SUBSTITUTE, "flux.yaml:8 CART_TAG → docker.io/acme/cart:v1.4"),
        (
            "${REGISTRY:-docker.io}/acme/cart:${CART_TAG:-1}",
            SUBSTITUTE,
            "flux.yaml:8 CART_TAG → ghcr.io/acme/cart:1.4",
        ),
        ("${REGISTRY}/acme/cart:9", SUBSTITUTE, "apps/a.yaml:10 server → ghcr.io/acme/cart:9"),
        (
            "${NOWHERE:=quay.io}/acme/cart:9",
            SUBSTITUTE,
            "apps/a.yaml:10 server → quay.io/acme/cart:9",
        ),
        (
            "${IMAGE}",
            "  postBuild: {substitute: {IMAGE: 'acme/cart:1'}}\n",
            "flux.yaml:6 IMAGE → docker.io/acme/cart:1",
        ),
        (
            "acme/cart@${DIGEST}",
            f"  postBuild: {{substitute: {{DIGEST: '{A}'}}}}\n",
            f"flux.yaml:6 DIGEST → docker.io/acme/cart@{A}",
        ),
        (
            "acme/cart:${CART_TAG}",
            "  postBuild: {substituteFrom: [{kind: ConfigMap, name: versions}]}\n",
            "versions.yaml:4 CART_TAG → docker.io/acme/cart:0.9",
        ),
    ],
)
def test_a_flux_variable_is_edited_where_it_is_defined(
    image: str, substitute: str, expected: str
) -> None:
    files = {
        "flux.yaml": FLUX + substitute,
        "apps/a.yaml": DEPLOYMENT.format(image=f'"{image}"'),
        "versions.yaml": (
            "kind: ConfigMap\nmetadata: {name: versions}\ndata:\n  CART_TAG: '0.9' # tag\n"
        ),
    }
    assert deciders(files) == [expected]


@pytest.mark.parametrize(
    ("image", "substitute", "message"),
    [
        ("acme/cart:${TAG}", SUBSTITUTE, "defines the variable TAG"),
        ("acme/cart:${TAG:-1}", SUBSTITUTE, "its version is the default of TAG"),
        ("acme/cart:${CART_TAG%x}", SUBSTITUTE, "in a form that is not understood"),
        ("acme/cart:${CART_TAG}${CART_TAG}", SUBSTITUTE, "more than one variable"),
        (f"acme/cart:${{CART_TAG}}@{A}", SUBSTITUTE, "tag and digest stand in different files"),
        (
            "acme/cart:${TAG}",
            "  postBuild: {substituteFrom: [{kind: Secret, name: s}]}\n",
            "the variable TAG may stand in the Secret s",
        ),
    ],
)
def test_a_variable_that_cannot_be_edited_is_refused_with_the_reason(
    image: str, substitute: str, message: str
) -> None:
    files = {"flux.yaml": FLUX + substitute, "apps/a.yaml": DEPLOYMENT.format(image=f'"{image}"')}
    with pytest.raises(ManifestError) as caught:
        fields(files)
    assert message in caught.value.message


def test_a_variable_for_the_digest_is_never_emptied() -> None:
    both = f'  postBuild: {{substitute: {{TAG: "1", DIGEST: "{A}"}}}}\n'
    files = {
        "flux.yaml": FLUX + both,
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${TAG}@${DIGEST}"'),
    }
    [found] = fields(files)
    assert value_of(found, "2", digest("b")) == f"acme/cart:2@{digest('b')}"
    with pytest.raises(ManifestError, match="has no place for a tag alone"):
        value_of(found, "2", None)  # the image would end with an at-sign


def test_a_variable_that_two_images_share_is_no_service_s_to_edit() -> None:
    files = {
        "flux.yaml": FLUX + SUBSTITUTE,
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${CART_TAG}"'),
        "apps/b.yaml": DEPLOYMENT.format(image='"acme/shop:${CART_TAG}"').replace("cart\n", "b\n"),
    }
    with pytest.raises(ManifestError, match="it is the version of several images: acme/cart, acme"):
        fields(files)


def test_a_variable_that_stands_in_more_than_images_cannot_hold_a_digest() -> None:
    label = "kind: Service\nmetadata: {labels: {version: '${CART_TAG}'}}\n# ${CART_TAG}\n"
    files = {
        "flux.yaml": FLUX + SUBSTITUTE,
        "apps/a.yaml": DEPLOYMENT.format(image='"acme/cart:${CART_TAG}"'),
    }
    assert fields(files)[0].tag_only == ""
    [found] = fields({**files, "apps/service.yaml": label})
    assert (
        found.tag_only == "the variable CART_TAG stands in another place too, which may be no image"
    )


@pytest.mark.parametrize(
    ("path", "resources", "remote"),
    [
        ("overlay/kustomization.yaml", ("base",), ("../../other",)),
        ("../repo/overlay/kustomization.yaml", ("../repo/base", "../other"), ()),
    ],
)
def test_what_a_kustomization_takes_is_named_from_where_its_own_path_is(
    path: str, resources: tuple[str, ...], remote: tuple[str, ...]
) -> None:
    found = read_kustomization(parse(path, b"resources: [../base, ../../other]\n"))
    assert (found.resources, tuple(one.text for one in found.remote)) == (resources, remote)


VERSIONS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: versions}\ndata: {CART: %s}\n"


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("1.4.2", "9.9.9"),
        ('"1.10"', '"9.9.9"'),
        ("1.10", "9.9.9"),
        ("v2", "9.9.9"),
        ("3f2a1bc", "9.9.9"),
        ("main-3f2a1", "9.9.9"),
        ("acme/cart:1", "acme/cart:9.9.9"),
    ],
)
def test_a_pointer_leads_to_an_image_or_to_a_tag_alone_in_any_file(text: str, edited: str) -> None:
    config = parse_config(
        b'[services.cart]\nimage = "acme/cart"\nfields = ["/data/CART"]\n', "main"
    )
    data = {"v.yaml": (VERSIONS % text).encode(), "other.yaml": (VERSIONS % "x").encode()}
    manifests = read_manifests(data, words=config.words)
    [field] = resolve("cart", config.choose_environment(None), config, manifests).fields
    after = rewritten(
        manifests.files["v.yaml"], [FieldEdit(field, value_of(field, "9.9.9", None))]
    ).data
    assert after == (VERSIONS % edited).encode()


def test_a_tag_alone_at_a_pointer_asks_whose_it_is() -> None:
    config = parse_config(
        b'[services.cart]\nmanifests = ["v.yaml"]\nfields = ["/data/CART"]\n', "main"
    )
    manifests = read_manifests({"v.yaml": (VERSIONS % "1.4.2").encode()}, words=config.words)
    with pytest.raises(ManifestError, match="the image's name is the chart's"):
        resolve("cart", config.choose_environment(None), config, manifests)


ALIASED = """\
apiVersion: v1
kind: Pod
metadata: {name: cart}
spec:
  containers:
  - {name: a, image: &i "acme/cart:1"}
  - %s
"""


@pytest.mark.parametrize("second", ["{name: b, image: *i}", "{name: b, args: [x], image: *i}"])
def test_an_alias_of_two_containers_of_one_service_is_two_fields_with_one_text(second: str) -> None:
    one, two = fields({"a.yaml": ALIASED % second})
    assert (one.container, two.container) == ("a", "b")
    assert one.scalar.node is two.scalar.node
    assert not one.problem
    assert one.users == 2


PODS = {f"apps/{name}/pod.yaml": CART.replace("cart", name) for name in ("a", "b", "c", "d", "e")}
KUSTOMIZATION = "kind: Kustomization\nresources: [%s]\n"


@pytest.mark.parametrize(
    ("more", "sizes"),
    [
        ({}, [2, 2, 1]),
        ({"apps/a/values.yaml": "image: {repository: acme/a, tag: 1}\n"}, [1, 2, 2, 1]),
        ({"apps/a/kustomization.yaml": KUSTOMIZATION % ""}, [2, 2, 2]),
        ({"kustomization.yaml": KUSTOMIZATION % "apps/a/pod.yaml"}, [6]),
        ({"prod/kustomization.yaml": KUSTOMIZATION % "../apps/b/pod.yaml"}, [2, 2, 2]),
        ({"apps/c/Chart.yaml": "apiVersion: v2\nname: c\n"}, [2, 2, 2]),
        ({"apps/c/.sourceignore": "/apps/d\n"}, [6]),
        ({"apps/c/.argocd-source-c.yaml": "kustomize: {images: []}\n"}, [6]),
        ({"flux.yaml": "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"}, [6]),
        ({"apps/f/list.yaml": "- apiVersion: v1\n  kind: Pod\n"}, [1, 2, 2, 1]),
        ({"apps/f/empty.yaml": "# nothing\n"}, [2, 2, 2]),
    ],
)
def test_files_that_nothing_ties_together_are_read_in_parts_of_the_same_effect(
    more: dict[str, str], sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "_FILES_OF_A_PART", 2)
    files = {path: text.encode() for path, text in {**PODS, **more}.items()}
    parts = list(parts_of(files, files.__getitem__))
    assert [len(part) for part in parts] == sizes
    assert {path: data for part in parts for path, data in part.items()} == files
    effects = [read_manifests(part).effective({}, WHOLE).effect for part in parts]
    whole = read_manifests(files).effective({}, WHOLE).effect
    assert {one for effect in effects for one in effect.landed} == set(whole.landed)
    assert {key: why for effect in effects for key, why in effect.idle.items()} == whole.idle


def test_of_no_files_there_is_one_part_with_none() -> None:
    nothing: dict[str, bytes] = {}
    assert list(parts_of((), nothing.__getitem__)) == [nothing]

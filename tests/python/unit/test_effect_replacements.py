"""Replacements, JSON patches and charts: where an image's text comes from, beside its own field.

What kustomize 5.7.1 makes of a replacement is in api/filters/replacement (its `TestFilter`).
"""

from __future__ import annotations

import pytest
import yaml

from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.decide.effect import findings_of
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.effective.charts import Charts
from gitops_rollback.effective.objects import Resource
from gitops_rollback.effective.raw import Raw
from gitops_rollback.effective.replace import read_replacements, replaced
from gitops_rollback.effective.templates import Templates
from gitops_rollback.effective.tree import TreeError
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.manifest.document import lookup, parse
from gitops_rollback.manifest.fields import patch_fields
from gitops_rollback.manifest.helm import NO_NAME
from gitops_rollback.manifest.image_field import Place
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import digest
from unit.test_effect_sources import DEPLOYMENT as PLAIN
from unit.test_effect_sources import HOME, OURS, flux, git

CART = """\
kind: Deployment
metadata: {name: cart}
spec:
  template:
    spec:
      containers:
      - {name: server, image: "acme/cart:1"}
      - {name: worker, image: "acme/cart:1"}
"""
VERSIONS = "kind: ConfigMap\nmetadata: {name: versions}\ndata: {cart: '2', whole: 'acme/cart:3'}\n"
IMAGE = "spec.template.spec.containers.[name=server].image"
DEPLOYMENT = f"select: {{kind: Deployment}}, fieldPaths: ['{IMAGE}']"


def resource(text: str, path: str = "a.yaml") -> Resource:
    node = parse(path, text.encode()).trees[0]
    assert node is not None
    return Resource(node, path, 0)


def images_after(replacement: str, *others: str) -> list[str]:
    """The images of the Deployment, after a replacement among it and other objects."""
    tree = parse("kustomization.yaml", replacement.encode()).trees[0]
    assert tree is not None
    cart = resource(CART)
    among = (cart, *(resource(text, "b.yaml") for text in others))
    after, _made = replaced(cart, read_replacements(tree), among)
    whole = yaml.safe_load(yaml.serialize(after.node))
    return [one["image"] for one in whole["spec"]["template"]["spec"]["containers"]]


def from_versions(field: str, target: str) -> str:
    return f"source: {{kind: ConfigMap, fieldPath: {field}}}\ntargets:\n- {target}\n"


@pytest.mark.parametrize(
    ("field", "target", "expected"),
    [
        (
            "data.cart",
            f"{{{DEPLOYMENT}, options: {{delimiter: ':', index: 1}}}}",
            ["acme/cart:2", "acme/cart:1"],
        ),
        (
            "data.whole",
            "{select: {name: cart}, fieldPaths: [spec.template.spec.containers.*.image]}",
            ["acme/cart:3", "acme/cart:3"],
        ),
        (
            "data.whole",
            "{select: {kind: Deployment}, fieldPaths: [spec.template.spec.containers.1.image]}",
            ["acme/cart:1", "acme/cart:3"],
        ),
        (
            "data.whole",
            f"{{select: {{kind: Deployment}}, reject: [{{name: cart}}], fieldPaths: ['{IMAGE}']}}",
            ["acme/cart:1", "acme/cart:1"],
        ),
        (
            "data.whole",
            f"{{select: {{kind: Deployment, name: shop}}, fieldPaths: ['{IMAGE}']}}",
            ["acme/cart:1", "acme/cart:1"],
        ),
        (
            "data.cart",
            f"{{{DEPLOYMENT}, options: {{delimiter: ':', index: 9}}}}",
            ["acme/cart:1:2", "acme/cart:1"],
        ),
        (
            "data.cart",
            f"{{{DEPLOYMENT}, options: {{delimiter: '/', index: -1}}}}",
            ["2/acme/cart:1", "acme/cart:1"],
        ),
    ],
    ids=[
        *("the tag", "every container", "by number", "rejected", "of another name"),
        *("behind the last part", "before the first"),
    ],
)
def test_a_replacement_writes_what_kustomize_writes(
    field: str, target: str, expected: list[str]
) -> None:
    assert images_after(from_versions(field, target), VERSIONS) == expected


def test_a_part_of_the_source_is_copied() -> None:
    source = (
        "source: {kind: ConfigMap, fieldPath: data.whole, options: {delimiter: ':', index: 1}}\n"
    )
    target = f"targets:\n- {{select: {{kind: Deployment}}, fieldPaths: ['{IMAGE}']}}\n"
    assert images_after(source + target, VERSIONS)[0] == "3"
    with pytest.raises(TreeError, match="a part that is not there"):
        images_after(source.replace("index: 1", "index: 4") + target, VERSIONS)


def test_of_several_containers_of_one_name_the_first_is_copied_and_none_by_a_wildcard() -> None:
    """kustomize 5.7: the second's image is copied nowhere; "wildcard is not supported"."""
    source = "source: {kind: Deployment, name: from, fieldPath: 'spec.containers.%s.image'}\n"
    target = f"targets:\n- {{select: {{kind: Deployment, name: cart}}, fieldPaths: ['{IMAGE}']}}\n"
    other = (
        "kind: Deployment\nmetadata: {name: from}\n"
        "spec: {containers: [{name: a, image: 'b:1'}, {name: a, image: 'b:2'}]}\n"
    )
    assert images_after(source % "[name=a]" + target, other)[0] == "b:1"
    with pytest.raises(TreeError, match="by a wildcard"):
        images_after(source % "*" + target, other)


@pytest.mark.parametrize(
    ("replacement", "others", "message"),
    [
        (
            from_versions(
                "data.cart", f"{{select: {{kind: Deployment}}, fieldPaths: ['{IMAGE}']}}"
            ),
            (),
            "what it copies from was not read",
        ),
        (
            from_versions(
                "data.cart", f"{{select: {{kind: Deployment}}, fieldPaths: ['{IMAGE}']}}"
            ),
            (VERSIONS, VERSIONS.replace("versions", "others")),
            "what it copies from was not read",
        ),
        *(
            (
                from_versions(
                    "data.cart",
                    f"{{select: {{kind: Deployment}}, fieldPaths: ['{IMAGE}'],"
                    f" options: {{delimiter: ':', index: {index}}}}}",
                ),
                (VERSIONS,),
                "is no number",
            )
            for index in ("--5", "9" * 5000, "\u0663", "x")
        ),
        (
            from_versions(
                "data.cart",
                "{select: {name: cart}, fieldPaths: ['spec.template.spec.containers.[name=\\pL]']}",
            ),
            (VERSIONS,),
            "is not read as Go reads it",
        ),
        ("sourceValue: x\ntargets: [{select: {name: cart}}]\n", (), "no source that is followed"),
        ("path: replacement.yaml\n", (), "has a source and targets"),
        (
            from_versions("data.cart", "{select: {labelSelector: a=b}, fieldPaths: [spec]}"),
            (VERSIONS,),
            "it chooses by labelSelector",
        ),
        (
            from_versions(
                "data.cart",
                f"{{select: {{name: cart}}, fieldPaths: ['{IMAGE}'], options: {{encoding: hex}}}}",
            ),
            (VERSIONS,),
            "its encoding is not followed",
        ),
    ],
    ids=[
        "not there",
        "two of them",
        "signs",
        "many digits",
        "other digits",
        "x",
        "another pattern",
        "a text",
        "in a file",
        "by labels",
        "encoded",
    ],
)
def test_a_replacement_that_is_not_followed_exactly_is_said_to_touch_images(
    replacement: str, others: tuple[str, ...], message: str
) -> None:
    with pytest.raises(TreeError, match=message):
        images_after(replacement, *others)


@pytest.mark.parametrize(
    ("container", "options", "is_followed"),
    [
        ("server", "{create: true}", True),
        ("sidecar", "{}", True),
        ("sidecar", "{create: true}", False),
    ],
)
def test_an_image_that_a_replacement_creates_is_not_followed(
    container: str,
    options: str,
    is_followed: bool,  # noqa: FBT001
) -> None:
    path = IMAGE.replace("server", container)
    target = f"{{select: {{kind: Deployment}}, fieldPaths: ['{path}'], options: {options}}}"
    replacement = from_versions("data.whole", target)
    if is_followed:
        assert images_after(replacement, VERSIONS)[1] == "acme/cart:1"
        return
    with pytest.raises(TreeError, match="it creates a field"):
        images_after(replacement, VERSIONS)


def test_a_replacement_far_from_images_asks_for_nothing() -> None:
    target = "{select: {kind: Deployment}, fieldPaths: [metadata.annotations.version]}"
    assert images_after(from_versions("data.nowhere", target)) == ["acme/cart:1", "acme/cart:1"]


# The value of a JSON patch's operation ------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [
        ("/spec/template/spec/containers/0/image", "acme/cart:1", ["/0/value reference"]),
        ("/spec/jobImage", "acme/cart:1", ["/0/value reference"]),
        ("/spec/values/image/tag", "'1'", ["/0/value tag"]),
        ("/spec/values/web/imageTag", "'1'", ["/0/value tag"]),
        ("/spec/values/image/digest", digest("1"), ["/0/value digest"]),
        (
            "/spec/values/image",
            "{repository: acme/cart, tag: '1'}",
            ["/0/value name,tag"],
        ),
        (
            "/spec/template/spec/containers/-",
            "{name: side, image: acme/side:1}",
            ["/0/value/image reference"],
        ),
        ("/spec/template/spec/initContainers/0", "{name: side}", []),
        ("/spec/replicas", "3", []),
        ("/spec/values/image", "true", []),
        ("/spec/useImage", "yes", []),
        ("/spec/tag", "'1'", []),
    ],
)
def test_the_value_of_an_operation_is_a_field_where_it_writes_an_image(
    target: str, value: str, expected: list[str]
) -> None:
    file = parse("patch.yaml", f"- {{op: replace, path: {target}, value: {value}}}\n".encode())
    assert file.trees[0] is not None
    place = Place(file, 0, "Patch", "patch", "/0/value")
    found = patch_fields(place, target, lookup(file.trees[0].value[0], "value"))
    shown = [f"{one.pointer} {','.join(part.role for part in one.parts)}" for one in found]
    assert shown == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [("'${REGISTRY}/cart:1'", "a Flux variable"), ("'acme/cart:'", "malformed tag")],
)
def test_the_value_of_an_operation_that_is_no_plain_image_says_why_it_is_not_edited(
    value: str, problem: str
) -> None:
    file = parse("patch.yaml", f"value: {value}\n".encode())
    place = Place(file, 0, "Patch", "patch", "/value")
    image = "/spec/template/spec/containers/0/image"
    [field] = patch_fields(place, image, lookup(file.trees[0], "value"))
    assert problem in field.problem


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('"\\x31"', "the value is written with escapes"),
        ("'${TAG}'", "a Flux variable"),
        ("1", NO_NAME),
    ],
)
def test_a_version_alone_that_an_operation_writes_says_why_it_is_not_edited(
    value: str, problem: str
) -> None:
    file = parse("patch.yaml", f"value: {value}\n".encode())
    place = Place(file, 0, "Patch", "patch", "/value")
    [field] = patch_fields(place, "/spec/values/image/tag", lookup(file.trees[0], "value"))
    assert problem in field.problem


# What moves with an image -------------------------------------------------------------------------

CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: versions}\ndata: {TAG: '%s'}\n"
SHOP = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec: {template: {spec: {containers: [{name: server, image: "acme/shop:1", env: [%s]}]}}}
"""
COPIES = """\
resources: [deployment.yaml, shop.yaml, versions.yaml]
replacements:
- source: {kind: Deployment, name: cart, fieldPath: spec.template.spec.containers.0.image%s}
  targets:
  - {select: %s, fieldPaths: ["%s"], options: {create: true}}
"""
TAG_OF_IT = ", options: {delimiter: ':', index: 1}"
SHOPS_ENV = "{kind: Deployment, name: shop}", "spec.template.spec.containers.0.env.0.value"
OWN_NOTE = "{name: cart}", "metadata.annotations.runs"
OWN_LABEL = "{name: cart}", "metadata.labels.version"
ALL_TAKEN = "resources: [deployment.yaml, shop.yaml, versions.yaml]\n"
OLD_VARS = ALL_TAKEN + (
    "vars:\n- {name: IT, objref: {kind: Deployment, name: %s, apiVersion: apps/v1}, "
    "fieldref: {fieldpath: '%s'}}\n"
)
SUBSTITUTED = "postBuild: {substitute: {TAG: '1'}}"
TO_IMAGE = """\
replacements:
- source: {kind: ConfigMap, name: versions, fieldPath: data.TAG}
  targets:
  - select: {name: cart}
    fieldPaths: [spec.template.spec.containers.0.image]
    options: {delimiter: ":", index: 1}
"""
FROM_CONFIG = COPIES.replace(
    "kind: Deployment, name: cart, fieldPath: spec.template.spec.containers.0.image%s",
    "kind: ConfigMap, fieldPath: data.TAG",
)


def told(
    kustomization: str, *, tag: str = "1", config: str = "0", env: str = "", more: str = ""
) -> tuple[str, ...]:
    """What is said of a deploy of cart, or why it is refused; the tag alone where no digest can."""
    files = {
        "clusters/s.yaml": git("ours", OURS),
        "clusters/a.yaml": flux("ours", more),
        "apps/cart/deployment.yaml": PLAIN.replace("cart:1", f"cart:{tag}"),
        "apps/cart/shop.yaml": SHOP % (env or "{name: A, value: b}"),
        "apps/cart/versions.yaml": CONFIG % config,
        "apps/cart/kustomization.yaml": kustomization,
    }
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    try:
        found = resolve("cart", Environment("production"), Config(), manifests)
        image = found.image.with_version("9", digest("9"))
        said = tuple(one.tag_only for one in found.fields if one.tag_only)
        accepted = frozenset({"tag"} if said else ())
        edits = deploy_edits(found.fields, image, accepted, "digest")
    except GitopsRollbackError as error:
        return (error.message,)
    at = ServiceAtTip(Tip("main", "0" * 40), found, None)
    return (*said, *(f"{one.code}: {one.message}" for one in findings_of(at, edits, image)))


BY = "the replacement in apps/cart/kustomization.yaml:3"
VARIABLE = "the variable TAG stands in another place too, which may be no image"
MOVED = {
    "another's environment": (
        COPIES % ("", *SHOPS_ENV),
        {},
        (("unknown: the edit changes more than images, and replaces other pods: "
         "/spec/template/spec/containers/0/env/0/value of Deployment shop "
         f"(by clusters/a.yaml apps), by {BY}"),),
    ),
    "the workload's own annotation": (
        COPIES % ("", *OWN_NOTE),
        {},
        (("warning: it changes more than images: /metadata/annotations/runs of Deployment cart "
         f"(by clusters/a.yaml apps), by {BY}"),),
    ),
    "a label": (
        COPIES % (TAG_OF_IT, *OWN_LABEL),
        {},
        (f"{BY} writes it to other places too",
         ("warning: it changes more than images: /metadata/labels/version of Deployment cart "
         f"(by clusters/a.yaml apps), by {BY}")),
    ),
    "an object that was not read": (
        COPIES % ("", "{kind: Ingress, name: web}", "spec.rules"),
        {},
        (("warning: it changes more than images: spec.rules of Ingress web "
         f"(by clusters/a.yaml apps), by {BY}"),),
    ),
    "nothing, as it is of another image": (
        COPIES.replace("name: cart", "name: shop") % ("", *OWN_NOTE),
        {},
        (),
    ),
    "an argument, by old variables": (
        OLD_VARS % ("cart", "spec.template.spec.containers[0].image"),
        {"env": "{name: A, value: '$(IT)'}"},
        (("unknown: the edit changes more than images, and replaces other pods: "
         "/spec/template/spec/containers/0/env/0/value of Deployment shop "
         "(by clusters/a.yaml apps), by `vars` in apps/cart/kustomization.yaml:2"),),
    ),
    "another's environment, by old variables of Flux's": (
        OLD_VARS % ("cart", "spec.template.spec.containers[0].image"),
        {"tag": "${TAG}", "env": "{name: A, value: $(IT)}", "more": SUBSTITUTED},
        (("unknown: the edit changes more than images, and replaces other pods: "
         "/spec/template/spec/containers/0/env/0/value of Deployment shop "
         "(by clusters/a.yaml apps), by `vars` in apps/cart/kustomization.yaml:2"),),
    ),
    "nothing, by old variables of something else": (
        OLD_VARS % ("cart", "metadata.name"), {"env": "{name: A, value: '$(IT)'}"}, ()
    ),
    "nothing, by old variables of what is not there": (
        OLD_VARS % ("none", "metadata.name"),
        {"env": "{name: A, value: '$(IT)'}"},
        (("unknown: the image of Deployment cart, container 'server' (by clusters/a.yaml apps) is "
         "not proven: apps/cart/kustomization.yaml:2: vars: IT: Deployment none is not there: the "
         "build fails"),),
    ),
    "a label by a variable": (
        ALL_TAKEN,
        {"tag": "${TAG}", "config": "${TAG}", "more": SUBSTITUTED},
        (VARIABLE,
         ("warning: it changes more than images: /data/TAG of ConfigMap versions "
         "(by clusters/a.yaml apps), by a variable of Flux")),
    ),
    "another's environment by a variable": (
        ALL_TAKEN,
        {"tag": "${TAG}", "env": "{name: A, value: '${TAG}'}", "more": SUBSTITUTED},
        (VARIABLE,
         ("unknown: the edit changes more than images, and replaces other pods: "
         "/spec/template/spec/containers/0/env/0/value of Deployment shop "
         "(by clusters/a.yaml apps), by a variable of Flux")),
    ),
    "a ConfigMap that is applied and copied into the image": (
        ALL_TAKEN + TO_IMAGE,
        {"config": "${TAG}", "more": SUBSTITUTED},
        (("clusters/a.yaml:7:33: the image of 'cart' (container 'TAG') cannot be edited safely: "
         "the replacement in apps/cart/kustomization.yaml:3 sets it; write an `images:` entry "
         "in the place of that replacement"),),
    ),
    "a label, from the ConfigMap that variables come from": (
        FROM_CONFIG % OWN_LABEL,
        {"tag": "${TAG}", "config": "1",
         "more": "postBuild: {substituteFrom: [{kind: ConfigMap, name: versions}]}"},
        (f"{BY} writes it to other places too",
         ("warning: it changes more than images: /metadata/labels/version of Deployment cart "
         f"(by clusters/a.yaml apps), by {BY}")),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kustomization", "options", "expected"), MOVED.values(), ids=MOVED)
def test_what_moves_with_an_image_and_is_none_is_said_and_pods_of_others_are_refused(
    kustomization: str, options: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert told(kustomization, **options) == expected


# Charts in the repository -------------------------------------------------------------------------

TEMPLATE = """\
metadata:
  annotations:
    version: {{ .Values.image.tag }}
  labels:
    app: cart
    version: {{ .Values.image.tag | quote }}
spec:
  template:
    spec:
      containers:
        - image: {{ .Values.image.repository }}:{{ .Values.image.tag }}
"""


@pytest.mark.parametrize(
    ("text", "container", "expected"),
    [
        (TEMPLATE, "image", "charts/cart/templates/a.yaml:6"),
        (TEMPLATE.replace("labels:", "matchLabels:"), "image", "charts/cart/templates/a.yaml:6"),
        (TEMPLATE.replace("labels:", "other:"), "image", ""),
        (TEMPLATE, "web.image", ""),
        (TEMPLATE.replace("image.tag", "web.image.imageTag"), "web.image",
         "charts/cart/templates/a.yaml:6"),
        (TEMPLATE.replace("image.tag", "image.tags"), "image", ""),
    ],
    ids=["a label", "a selector", "no label", "of another image", "nested", "another value"],
)  # fmt: skip
def test_a_chart_that_writes_the_tag_into_a_label_is_told_with_the_line(
    text: str, container: str, expected: str
) -> None:
    raw = {
        "charts/cart/values.yaml": b"image: {tag: 1}\n",
        "charts/cart/templates/a.yaml": text.encode(),
    }
    why = f"the chart writes the tag into a label or a name too ({expected})" if expected else ""
    assert Templates(Charts(Raw(raw))).no_digest("charts/cart", container) == why
    assert Templates(Charts(Raw(raw))).no_digest("charts/shop", container) == ""

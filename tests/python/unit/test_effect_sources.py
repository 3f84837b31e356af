"""Objects that apply manifests: whose files they mean, and what others make of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.decide.effect import blocks_of, edited, findings_of
from gitops_rollback.decide.facts import ServiceAtTip
from gitops_rollback.effective.appliers import Reach
from gitops_rollback.effective.objects import Unknown
from gitops_rollback.effective.sources import NOWHERE, Home, Sources, Whose
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import Config, Environment
from gitops_rollback.services.inventory import read_manifests
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OURS = "https://github.com/acme/fleet.git"
HOME = Home(OURS, "main")
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec: {template: {spec: {containers: [{name: server, image: "acme/cart:1"}]}}}
"""
IMAGES = "images: [{name: acme/cart, newTag: '2'}]"


def git(name: str, url: str, ref: str = "branch: main") -> str:
    return (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: GitRepository\n"
        f"metadata: {{name: {name}, namespace: flux-system}}\n"
        f"spec: {{url: {url}, ref: {{{ref}}}}}\n"
    )


def flux(source: str, more: str = "", *, name: str = "apps", path: str = "./apps/cart") -> str:
    lines = "".join(f"  {line}\n" for line in more.splitlines())
    return (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        f"metadata: {{name: {name}, namespace: flux-system}}\n"
        f"spec:\n  path: {path}\n  sourceRef: {{kind: GitRepository, name: {source}}}\n{lines}"
    )


def noted(annotation: str) -> str:
    return DEPLOYMENT.replace("{name: cart}", f"{{name: cart, annotations: {{{annotation}}}}}", 1)


def application(*sources: str) -> str:
    indented = ("\n".join(f"    {line}" for line in one.splitlines()) for one in sources)
    items = "\n".join(f"  -{text[3:]}" for text in indented)
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\n"
        f"metadata: {{name: cart, namespace: argocd}}\nspec:\n  sources:\n{items}\n"
    )


def release(source: str, values: str = "") -> str:
    return (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
        "metadata: {name: cart, namespace: flux-system}\nspec:\n"
        "  chart: {spec: {chart: ./charts/cart, reconcileStrategy: Revision, sourceRef: "
        f"{{kind: GitRepository, name: {source}}}}}}}\n{values}"
    )


def deployed(
    files: Mapping[str, str], home: Home = HOME, absent: Iterable[str] = ()
) -> dict[str, str] | str:
    """The files that a deploy of cart changes; why it is refused."""
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, home)
    manifests = replace(manifests, absent=frozenset(absent))
    try:
        found = resolve("cart", Environment("production"), Config(), manifests)
        image = found.image.with_version("9", digest("9"))
        edits = deploy_edits(found.fields, image, frozenset(), "digest")
        at = ServiceAtTip(Tip("main", "0" * 40), found, None)
        for block in blocks_of(at, findings_of(at, edits, image)):
            return block.message
    except GitopsRollbackError as error:
        return error.message
    after = edited(manifests.files, edits)
    return {path: file.encode(file.text).decode() for path, file in after.items()}


@pytest.mark.parametrize(
    ("home", "url"),
    [
        (OURS, "https://github.com/acme/fleet"),
        (OURS, "ssh://git@github.com/Acme/Fleet"),
        (OURS, "git@github.com:acme/fleet.git"),
        (OURS, "ssh://git@ssh.github.com:443/acme/fleet.git"),
        ("ssh://git@host:7999/proj/fleet.git", "https://host/scm/proj/fleet.git"),
        ("https://me@dev.azure.com/o/p/_git/fleet", "git@ssh.dev.azure.com:v3/o/p/fleet"),
        ("https://gitlab.com/acme/fleet", "ssh://git@altssh.gitlab.com:443/acme/fleet.git"),
        ("https://bitbucket.org/acme/fleet", "ssh://git@altssh.bitbucket.org:443/acme/fleet"),
        ("/srv/git/fleet.git", "file:///srv/git/fleet.git"),
    ],
)
def test_spellings_of_one_repository_are_one(home: str, url: str) -> None:
    assert Sources(Home(home, "main")).of_url(url, "HEAD").whose is Whose.OURS


@pytest.mark.parametrize(
    ("home", "url", "whose"),
    [
        (OURS, "https://github.com/acme/other", Whose.ANOTHERS),
        (OURS, "https://github.com/fork/fleet", Whose.ANOTHERS),
        (OURS, "https://gitlab.com/acme/apps", Whose.ANOTHERS),
        (OURS, "http://gitea.git.svc/acme/fleet", Whose.UNKNOWN),  # it may be a mirror
        (OURS, "https://github.com/${owner}/fleet", Whose.UNKNOWN),
        ("/srv/git/fleet.git", "https://github.com/acme/fleet", Whose.UNKNOWN),
    ],
)
def test_what_is_no_spelling_of_it_is_anothers_or_not_known(
    home: str, url: str, whose: Whose
) -> None:
    assert Sources(Home(home, "main")).of_url(url, "").whose is whose


APPS = {"apps/cart/deployment.yaml": DEPLOYMENT}
BESIDE = {"clusters/apps.yaml": git("ours", OURS) + "---\n" + git("other", OURS + "x")}
CHART = {"charts/cart/Chart.yaml": "name: cart\n"}
CHART_VALUES = {**CHART, "charts/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n"}
HELM_CHART = {  # a release whose chart stands in an object of its own
    "r.yaml": (
        "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
        "metadata: {name: cart}\nspec: {chartRef: {kind: HelmChart, name: cart}}\n"
    ),
    "c.yaml": (
        "apiVersion: source.toolkit.fluxcd.io/v1\nkind: HelmChart\n"
        "metadata: {name: cart}\nspec:\n  chart: ./charts/cart\n"
        "  sourceRef: {kind: GitRepository, name: flux-system}\n"
    ),
}
EDITED = "apps/cart/deployment.yaml"
TAKEN = application(f"repoURL: {OURS}\npath: apps/cart")
SKIPPED = TAKEN.replace(
    "argocd}", "argocd, annotations: {argocd.argoproj.io/skip-reconcile: 'true'}}"
)
UPDATED = SKIPPED.replace(
    "argocd.argoproj.io/skip-reconcile: 'true'", "argocd-image-updater.argoproj.io/image-list: cart"
)
TRIGGERS = "image.openshift.io/triggers: '[]'"
NOTED = "{name: cart, annotations: {%s}}"
KNATIVE = (
    "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: cart}\n"
    "spec: {template: {spec: {containers: [{name: cart, image: 'acme/cart:1'}]}}}\n"
)
HELM_VALUES = "    helm: {valuesObject: {image: {repository: acme/cart, tag: '1'}}}"
RESPECTING = """\
  ignoreDifferences:
  - group: apps
    kind: Deployment
    %s
  syncPolicy: {syncOptions: [RespectIgnoreDifferences=true]}
"""
IGNORE = """\
ignore:
- paths: [/%s]
  target: {kind: %s}
"""
PARENT = """\
patches:
- target: {kind: Kustomization}
  patch: |
    - {op: add, path: /spec/%s, value: %s}
"""
APPLICATION_SET = """\
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: {name: apps}
spec:
  template:
    spec:
      source:
        repoURL: %s
        %s
"""
LISTED = APPS | {"apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n"}
OVERLAY = {
    "prod/kustomization.yaml": "resources: [../clusters]\n" + PARENT % ("path", "./apps/cart"),
    "clusters/kustomization.yaml": "resources: [k.yaml]\n",
    "clusters/k.yaml": flux("flux-system", IMAGES, path="./apps/base"),
}
VALUES = {"v.yaml": "image: {repository: acme/cart, tag: '1'}\n"}
OF_CHART = "helmCharts:\n- {name: cart, repo: 'https://charts.acme.com', valuesFile: v.yaml%s}\n"
HELMFILE = "releases:\n- name: cart\n  values:\n  - image: {repository: acme/cart, tag: '1'}\n"
QUOTED = """\
{"releases": [{"chart": "./charts/cart", "values": ["production.yaml"]}]}
"""
FLEET = "helm:\n  values: {image: {repository: acme/cart, tag: '1'}}\ntargetCustomizations:\n"
GENERATED = {
    "apps/kustomization.yaml": (
        "resources: [r.yaml]\ngeneratorOptions: {disableNameSuffixHash: true}\n"
        "configMapGenerator:\n- {name: v, files: [values.yaml=../v.yaml]}\n"
    )
}
TAKES = "  valuesFrom: [{kind: ConfigMap, name: v}]\n"
LOCAL = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: versions
  annotations: {config.kubernetes.io/local-config: "true"}
data: {TAG: "1", IMAGE: "acme/cart:1"}
"""
COPIES = """\
resources: [d.yaml, v.yaml]
replacements:
- source: {kind: ConfigMap, name: versions, fieldPath: data.%s}
  targets:
  - select: {kind: Deployment}
    fieldPaths: ["spec.template.spec.containers.[name=server].image"]
"""
INTO_TAG = '    options: {delimiter: ":", index: 1}\n'
INTO_LABEL = "  - {select: {kind: Deployment}, fieldPaths: [metadata.labels.version]}\n"
IN_PLACE = """\
resources: [d.yaml]
transformers:
- |
  apiVersion: builtin
  kind: ImageTagTransformer
  metadata: {name: tags}
  imageTag: {name: acme/cart, newTag: "1"}
"""
STAGES = CHART_VALUES | {"charts/cart/values-prod.yaml": "image: {tag: '2'}\n"}
ABOVE = {"charts/shop/values.yaml": "cart: {image: {tag: '2'}}\n"}
FOLLOWED = {
    "values beside which nothing sets the same": (
        CHART_VALUES | {"charts/cart/values-prod.yaml": "replicas: 2\n"},
        "charts/cart/values.yaml",
    ),
    "components that may be missing": (
        APPS
        | {
            "k.yaml": flux("flux-system", "components: [../../gone]\nignoreMissingComponents: true")
        },
        EDITED,
    ),
    "a StatefulSet whose pods somebody deletes": (
        {
            "s.yaml": DEPLOYMENT.replace("Deployment", "StatefulSet").replace(
                "spec: {template", "spec: {updateStrategy: {type: OnDelete}, template"
            )
        },
        "s.yaml",
    ),
    "a tag that is copied from a local object": (
        {
            "kustomization.yaml": COPIES % "TAG" + INTO_TAG,
            "d.yaml": DEPLOYMENT,
            "v.yaml": LOCAL,
        },
        "v.yaml",
    ),
    "a workload beside one that only configures something": (
        {
            "kustomization.yaml": "resources: [d.yaml, l.yaml]\n",
            "d.yaml": DEPLOYMENT,
            "l.yaml": noted('config.kubernetes.io/local-config: "true"').replace(
                "{name: cart,", "{name: local,"
            ),
        },
        "d.yaml",
    ),
    "images of the branch that an Application names by its reference": (
        LISTED
        | {
            "a.yaml": application(
                f"repoURL: {OURS}\ntargetRevision: refs/heads/main\npath: apps/cart\n"
                "kustomize: {images: ['acme/cart:2']}"
            )
        },
        "a.yaml",
    ),
    "a branch by the name of its reference": (
        APPS | {"k.yaml": git("apps", OURS, "name: refs/heads/main") + "---\n" + flux("apps")},
        EDITED,
    ),
    "an image that is copied from a local object": (
        {"kustomization.yaml": COPIES % "IMAGE", "d.yaml": DEPLOYMENT, "v.yaml": LOCAL},
        "v.yaml",
    ),
    "a transformer in place": (
        {"kustomization.yaml": IN_PLACE, "d.yaml": DEPLOYMENT},
        "kustomization.yaml",
    ),
    "a release beside a ConfigMap without an image": (
        {
            "r.yaml": release(
                "flux-system",
                "  valuesFrom: [{kind: ConfigMap, name: v}]\n"
                "  values: {image: {repository: acme/cart, tag: '1'}}\n",
            ),
            "c.yaml": "kind: ConfigMap\nmetadata: {name: v}\ndata: {values.yaml: 'replicas: 2'}\n",
        },
        "r.yaml",
    ),
    "a path that an overlay sets": (APPS | OVERLAY, "clusters/k.yaml"),
    "a path that two overlays set alike": (
        APPS | OVERLAY | {"stage/kustomization.yaml": OVERLAY["prod/kustomization.yaml"]},
        "clusters/k.yaml",
    ),
    "a folder that an ApplicationSet applies as it is": (
        APPS | {"a.yaml": APPLICATION_SET % (OURS, "path: apps/cart")},
        EDITED,
    ),
    "images for what is made of a chart from elsewhere, by an ApplicationSet": (
        APPS
        | {
            "a.yaml": APPLICATION_SET
            % ("https://charts.acme.com", "chart: x\n        kustomize: {images: ['acme/cart:2']}")
        },
        EDITED,
    ),
    "images that an Application sets where there is no kustomization": (
        APPS
        | {
            "a.yaml": application(
                f"repoURL: {OURS}\npath: apps/cart\nkustomize: {{images: ['acme/cart:2']}}"
            )
        },
        EDITED,
    ),
    "an Application of which an overlay changes what is no image": (
        LISTED
        | {
            "argo/kustomization.yaml": "resources: [a.yaml]\npatches:\n"
            "- {target: {kind: Application}, patch: '[{op: add, path: /spec/project, value: x}]'}\n"
            "- {target: {kind: Application}, "
            "patch: '[{op: add, path: /spec/sources/-, value: {chart: x, repoURL: y}}]'}\n",
            "argo/a.yaml": application(f"repoURL: {OURS}\npath: apps/cart"),
        },
        EDITED,
    ),
    "values that an entry of kustomize reaches": (
        {
            "kustomization.yaml": (
                "resources: [r.yaml]\nconfigurations: [c.yaml]\n"
                "images: [{name: acme/cart, newTag: '2'}]\n"
            ),
            "c.yaml": "images: [{kind: HelmRelease, path: spec/values/image}]\n",
            "r.yaml": release("other", "  values: {image: 'acme/cart:1'}\n"),
        },
        "kustomization.yaml",
    ),
    "an object that Flux merges": (
        {"a.yaml": noted("kustomize.toolkit.fluxcd.io/ssa: Merge")},
        "a.yaml",
    ),
    "what Flux leaves as it is besides": (
        APPS
        | {
            "k.yaml": flux(
                "flux-system",
                f"{IGNORE % ('spec/replicas', 'Deployment')}{IGNORE[8:] % ('spec', 'Service')}"
                "buildMetadata: [originAnnotations]\npostBuild: {substituteStrategy: Always}",
            )
        },
        EDITED,
    ),
    "defaults, always": (
        {
            "k.yaml": flux("flux-system", "postBuild: {substituteStrategy: Always}"),
            EDITED: DEPLOYMENT.replace("acme/cart", "${REGISTRY:=docker.io}/acme/cart"),
        },
        EDITED,
    ),
    "what an Application leaves as it is besides": (
        APPS
        | {
            "a.yaml": TAKEN
            + RESPECTING
            % "managedFieldsManagers: [kube-controller-manager]\n    jsonPointers: [/spec/replicas]"
        },
        EDITED,
    ),
    "what an Application would leave as it is": (
        APPS | {"a.yaml": TAKEN + RESPECTING.partition("  syncPolicy")[0] % "jsonPointers: [/]"},
        EDITED,
    ),
    "a plugin of another repository's": (
        APPS | {"a.yaml": application(f"repoURL: {OURS}x\npath: apps/cart\nplugin: {{name: x}}")},
        EDITED,
    ),
    "a template of a chart that is taken by its revision": (
        CHART | BESIDE | {"charts/cart/templates/d.yaml": DEPLOYMENT, "r.yaml": release("ours")},
        "charts/cart/templates/d.yaml",
    ),
    "a file of values that need not be there": (
        CHART_VALUES
        | BESIDE
        | {
            "r.yaml": release("ours").replace(
                "reconcileStrategy",
                "ignoreMissingValuesFiles: true, valuesFiles: [charts/cart/values.yaml, x], "
                "reconcileStrategy",
            )
        },
        "charts/cart/values.yaml",
    ),
    "images that override an Application's": (
        LISTED | {"apps/cart/.argocd-source-cart.yaml": "kustomize: {images: ['acme/cart:2']}\n"},
        "apps/cart/.argocd-source-cart.yaml",
    ),
    "images that override those of an Application that is there": (
        LISTED
        | {
            "a.yaml": application(
                f"repoURL: {OURS}\npath: apps/cart\nkustomize: {{images: ['acme/cart:3']}}"
            ),
            "apps/cart/.argocd-source.yaml": "kustomize: {images: ['acme/cart:2']}\n",
        },
        "apps/cart/.argocd-source.yaml",
    ),
    "images of an Application of whose overrides a file has none": (
        LISTED
        | {
            "a.yaml": application(
                f"repoURL: {OURS}\npath: apps/cart\nkustomize: {{images: ['acme/cart:3']}}"
            ),
            "apps/cart/.argocd-source.yaml": "kustomize: {namePrefix: a-}\n",
        },
        "a.yaml",
    ),
    "an Application of a chart elsewhere that an overlay changes": (
        LISTED
        | {
            "argo/kustomization.yaml": (
                "resources: [a.yaml]\npatches:\n- target: {kind: Application}\n  patch: |\n"
                "    - {op: replace, path: /spec/sources/0/targetRevision, value: 2.0.0}\n"
            ),
            "argo/a.yaml": application(
                "repoURL: https://charts.acme.com\nchart: db\ntargetRevision: 1.0.0"
            ),
        },
        EDITED,
    ),
    "parameters that override an Application's": (
        {
            "charts/cart/Chart.yaml": "name: cart\n",
            "charts/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
            "charts/cart/.argocd-source-cart.yaml": (
                "helm: {parameters: [{name: image.tag, value: '2'}]}\n"
            ),
        },
        "charts/cart/.argocd-source-cart.yaml",
    ),
    "values of a chart that kustomize inflates": (
        VALUES | {"kustomization.yaml": OF_CHART % ", valuesInline: {replicas: 2}"},
        "v.yaml",
    ),
    "values that a ConfigMap is generated from": (
        VALUES | GENERATED | {"apps/r.yaml": release("other", TAKES)},
        "v.yaml",
    ),
    "values of a helmfile": (
        {"helmfile.yaml": HELMFILE + "  set: [{name: image.pullPolicy, value: Always}]\n"},
        "helmfile.yaml",
    ),
    "an object of this repository": (APPS | BESIDE | {"k.yaml": flux("ours", IMAGES)}, "k.yaml"),
    "images of another repository": (APPS | BESIDE | {"k.yaml": flux("other", IMAGES)}, EDITED),
    "what nobody names but all do": (APPS | {"k.yaml": flux("gone", IMAGES)}, "k.yaml"),
    "nothing changed by an unknown one": (
        APPS | {"k.yaml": flux("gone"), "l.yaml": flux("flux-system", name="l", path="./x")},
        EDITED,
    ),
    "another branch beside this one": (
        APPS
        | {"s.yaml": git("ours", OURS) + "---\n" + git("next", OURS, "branch: next")}
        | {"k.yaml": flux("ours", name="a") + "---\n" + flux("next", IMAGES, name="b")},
        EDITED,
    ),
    "the source of its own cluster": (
        APPS
        | {"clusters/a/s.yaml": git("apps", OURS + "x") + "---\n" + flux("apps", IMAGES)}
        | {"clusters/b/s.yaml": git("apps", OURS) + "---\n" + flux("apps")},
        EDITED,
    ),
    "a mirror of what bootstrap wrote": (
        APPS
        | {"c/flux-system/gotk-sync.yaml": git("flux-system", "ssh://git@gitlab.com/old/name")}
        | {"k.yaml": flux("flux-system", IMAGES)},
        "k.yaml",
    ),
    "Argo CD's images of another repository": (
        APPS
        | {"apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n"}
        | {
            "a.yaml": application(
                f"repoURL: {OURS}x\npath: apps/cart\nkustomize: {{images: ['acme/cart:2']}}"
            )
        },
        EDITED,
    ),
    "files of another repository under own values": (
        {
            "a.yaml": application(
                "chart: cart\nrepoURL: https://charts.acme.com\nhelm: {valueFiles: "
                "[$x/v.yaml], valuesObject: {image: {repository: acme/cart, tag: '1'}}}",
                f"repoURL: {OURS}x\nref: x",
            ),
            "v.yaml": "image: {tag: '2'}\n",
        },
        "a.yaml",
    ),
    "a file that only sets what is no image": (
        {
            "a.yaml": application(
                f"repoURL: {OURS}\npath: charts/cart\nhelm: {{fileParameters: "
                "[{name: config.text, path: c.json}], "
                "valuesObject: {image: {repository: acme/cart, tag: '1'}}}"
            )
        },
        "a.yaml",
    ),
}


@pytest.mark.parametrize(("files", "path"), FOLLOWED.values(), ids=FOLLOWED)
def test_only_what_means_this_repository_is_followed(files: dict[str, str], path: str) -> None:
    after = deployed(files)
    assert isinstance(after, dict), after
    assert {name for name, text in after.items() if digest("9") in text} == {path}


REFUSED = {
    "a stage of a chart that sets the same": (
        STAGES,
        "the values file charts/cart/values-prod.yaml: it comes later",
    ),
    "a stage of a chart at the root": (
        {path.removeprefix("charts/cart/"): text for path, text in STAGES.items()},
        "the values file values-prod.yaml: it comes later",
    ),
    "a chart in the folder of another": (
        {
            "charts/shop/Chart.yaml": "name: shop\n",
            "charts/shop/charts/cart/Chart.yaml": "name: cart\n",
            "charts/shop/charts/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
        }
        | ABOVE,
        "cart in charts/shop/values.yaml: it comes later",
    ),
    "a chart that another names": (
        CHART_VALUES
        | ABOVE
        | {
            "charts/shop/Chart.yaml": (
                "name: shop\ndependencies: [{name: cart, repository: 'file://../cart'}]\n"
            )
        },
        "cart in charts/shop/values.yaml: it comes later",
    ),
    "a Deployment that is paused": (
        {"d.yaml": DEPLOYMENT.replace("spec: {template", "spec: {paused: true, template")},
        "no pod is replaced until somebody resumes it",
    ),
    "a CloneSet that is paused": (
        {
            "d.yaml": DEPLOYMENT.replace("Deployment", "CloneSet").replace(
                "spec: {template", "spec: {updateStrategy: {paused: true}, template"
            )
        },
        "no pod is replaced until somebody resumes it",
    ),
    "a DeploymentConfig that nothing starts": (
        {
            "d.yaml": DEPLOYMENT.replace("Deployment", "DeploymentConfig").replace(
                "spec: {template", "spec: {triggers: [{type: ImageChange}], template"
            )
        },
        "d.yaml:4: triggers: no pod is replaced until somebody rolls it out",
    ),
    "a Deployment that gets its image from an ImageStream": (
        {
            "d.yaml": DEPLOYMENT.replace(
                "{name: cart}", NOTED % "image.openshift.io/triggers: '[]'", 1
            )
        },
        "OpenShift puts the image of an ImageStream there",
    ),
    "a DeploymentConfig that does": (
        {
            "kustomization.yaml": "resources: [d.yaml]\nimages: [{name: acme/cart, newTag: '1'}]\n",
            "d.yaml": DEPLOYMENT.replace("apps/v1", "apps.openshift.io/v1")
            .replace("Deployment", "DeploymentConfig")
            .replace("spec: {", "spec: {triggers: [{imageChangeParams: {automatic: true}}], ", 1),
        },
        "OpenShift puts the image of an ImageStream there",
    ),
    "a file that ytt makes another of": (
        {"d.yaml": DEPLOYMENT, "o.yaml": "#@overlay/match by=overlay.all\n---\na: b\n"},
        "o.yaml:1: what makes it: ytt or kbld makes what is applied of the files beside it",
    ),
    "what an ApplicationSet makes by a plugin": (
        APPS
        | {
            "a.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: ApplicationSet\n"
            "metadata: {name: all}\nspec: {template: {spec: {source: "
            "{repoURL: x, path: apps/{{name}}, plugin: {}}}}}\n".replace(
                "apps/{{name}}", "'apps/{{name}}'"
            )
        },
        "ApplicationSet all: it sets plugin by a template",
    ),
    "a kustomization whose files an Application takes as they are": (
        {
            "apps/cart/d.yaml": DEPLOYMENT,
            "apps/cart/kustomization.yaml": f"resources: [d.yaml]\n{IMAGES}\n",
            "a.yaml": application(
                f"repoURL: {OURS}\npath: apps/cart\ndirectory: {{recurse: true}}"
            ),
        },
        "its `directory` takes the files as they are, without the kustomization",
    ),
    "a Deployment that Keel keeps new": (
        {"d.yaml": DEPLOYMENT.replace("{name: cart}", NOTED % "keel.sh/policy: minor", 1)},
        "Keel puts later versions there by itself",
    ),
    "values of an Application that its Image Updater keeps new": (
        {
            "a.yaml": UPDATED.replace("    path: apps/cart", f"    chart: x\n{HELM_VALUES}"),
        },
        "Argo CD's Image Updater puts later versions there by itself",
    ),
    "a folder of an Application that its Image Updater keeps new": (
        {
            "a.yaml": UPDATED,
            "apps/cart/d.yaml": DEPLOYMENT,
        },
        "Argo CD's Image Updater puts later versions there by itself",
    ),
    "a revision of Knative that has a name": (
        {"d.yaml": KNATIVE.replace("template: {", "template: {metadata: {name: cart-1}, ")},
        "names a revision, which keeps the image that it has",
    ),
    "traffic of Knative to a revision": (
        {"d.yaml": KNATIVE.replace("spec: {", "spec: {traffic: [{revisionName: cart-1}], ", 1)},
        "cart-1: its template, or its traffic, names a revision, which keeps the image that it has",
    ),
    "a schema that few releases of kustomize have": (
        {
            "kustomization.yaml": "resources: [d.yaml]\nopenapi: {version: v1.20.4}\n",
            "d.yaml": DEPLOYMENT,
        },
        "releases of kustomize differ in which they have",
    ),
    "a tag that is copied into a label too": (
        {
            "kustomization.yaml": COPIES % "TAG" + INTO_TAG + INTO_LABEL,
            "d.yaml": DEPLOYMENT.replace("cart}", "cart, labels: {version: a}}", 1),
            "v.yaml": LOCAL,
        },
        "writes it to other places too",
    ),
    "a tag that is copied from what is applied": (
        {
            "kustomization.yaml": COPIES % "TAG" + INTO_TAG,
            "d.yaml": DEPLOYMENT,
            "v.yaml": LOCAL.replace("local-config", "other"),
        },
        "the replacement in kustomization.yaml:3 sets it",
    ),
    "a transformer in place that is no literal block": (
        {
            "kustomization.yaml": IN_PLACE.replace("- |", "- >"),
            "d.yaml": DEPLOYMENT,
        },
        "not",
    ),
    "images that a Kustomization adds to another": (
        APPS
        | {
            "c/k.yaml": flux(
                "flux-system",
                PARENT % ("images", "[{name: acme/cart, newTag: '2'}]"),
                name="flux-system",
                path="./c",
            ),
            "c/apps.yaml": flux("flux-system"),
        },
        "images of Flux Kustomization apps",
    ),
    "variables that a Kustomization adds to another": (
        {
            "a/d.yaml": DEPLOYMENT.replace("cart:1", "cart:${TAG:=1}"),
            "c/k.yaml": flux(
                "flux-system",
                PARENT % ("postBuild", "{substitute: {TAG: '2'}}"),
                name="flux-system",
                path="./c",
            ),
            "c/a.yaml": flux("flux-system", "postBuild: {substitute: {TAG: '1'}}", path="./a"),
        },
        "postBuild of Flux Kustomization apps",
    ),
    "a path with a variable": (
        APPS | {"k.yaml": flux("flux-system", IMAGES, path="./apps/${app}")},
        "which folder its variable makes of it is not known",
    ),
    "a container of the image whose version is not known": (
        {
            "k.yaml": flux("flux-system", "postBuild: {substitute: {TAG: '1'}}"),
            EDITED: DEPLOYMENT.replace(
                '"acme/cart:1"}',
                f'"acme/cart:${{TAG}}@sha256:{"a" * 64}"}}, {{name: more, image: "acme/cart:1"}}',
            ),
        },
        "tag and digest stand in different files",
    ),
    "a container of the workload whose image is not known": (
        {
            "k.yaml": flux("flux-system", "postBuild: {substituteFrom: [{kind: Secret, name: x}]}"),
            EDITED: DEPLOYMENT.replace(
                '"acme/cart:1"}', '"${IMAGE}"}, {name: more, image: "acme/cart:1"}'
            ),
        },
        "may stand in the Secret x",
    ),
    "defaults where no variable is defined": (
        {
            "k.yaml": flux("flux-system", "postBuild: {substitute: {}}"),
            EDITED: DEPLOYMENT.replace("acme/cart", "${REGISTRY:=docker.io}/acme/cart"),
        },
        "Flux fills in no variable",
    ),
    "a chart beside it that only helm inflates": (
        APPS
        | {
            "k.yaml": flux("flux-system"),
            "apps/cart/kustomization.yaml": (
                "resources: [deployment.yaml]\nhelmCharts: [{name: x, repo: 'https://x'}]\n"
            ),
        },
        "Flux inflates no chart and runs no plugin",
    ),
    "a validator": (
        APPS
        | {
            "k.yaml": flux("flux-system"),
            "apps/cart/kustomization.yaml": "resources: [../../base]\n",
            "base/kustomization.yaml": "resources: [d.yaml]\nvalidators: [v.yaml]\n",
            "base/d.yaml": DEPLOYMENT,
        },
        "validators: Flux inflates no chart and runs no plugin",
    ),
    "an object that Flux leaves alone": (
        {"a.yaml": noted("kustomize.toolkit.fluxcd.io/reconcile: disabled")},
        "Flux leaves the object alone",
    ),
    "an object that Flux makes once": (
        {"a.yaml": noted("kustomize.toolkit.fluxcd.io/ssa: IfNotPresent")},
        "Flux leaves the object alone",
    ),
    "an object that Flux leaves alone by a label, in whatever case": (
        {
            "a.yaml": DEPLOYMENT.replace(
                "{name: cart}",
                "{name: cart, annotations: {kustomize.toolkit.fluxcd.io/ssa: Merge}, "
                "labels: {kustomize.toolkit.fluxcd.io/ssa: ignore}}",
                1,
            )
        },
        "Flux leaves the object alone",
    ),
    "an image that Flux leaves as it is": (
        APPS | {"k.yaml": flux("flux-system", IGNORE % ("spec/template", "Deployment"))},
        "Flux applies no change of /spec/template",
    ),
    "whatever a selector may choose": (
        APPS | {"k.yaml": flux("flux-system", IGNORE % ("spec", "'('"))},
        "Flux applies no change of /spec",
    ),
    "a variable that is not filled": (
        {
            "k.yaml": flux("flux-system", "postBuild: {substitute: {TAG: '1'}}"),
            "apps/cart/a.yaml": noted("kustomize.toolkit.fluxcd.io/substitute: disabled").replace(
                "cart:1", "cart:${TAG}"
            ),
        },
        "its variables stay as they are written",
    ),
    "what a plugin of Argo CD makes": (
        APPS | {"a.yaml": application(f"repoURL: {OURS}\npath: apps/cart\nplugin: {{name: x}}")},
        "a.yaml:8: Application cart: a plugin makes what is applied of the folder",
    ),
    "an Application that is left alone": (
        APPS | {"a.yaml": SKIPPED},
        "Argo CD leaves it alone (skip-reconcile)",
    ),
    "values of an Application that is left alone": (
        {"a.yaml": SKIPPED.replace("    path: apps/cart", f"    chart: x\n{HELM_VALUES}")},
        "Argo CD leaves the object alone",
    ),
    **{
        f"what an Application leaves as it is, by {name}": (
            APPS | {"a.yaml": TAKEN + RESPECTING % rule},
            "it leaves images as they are",
        )
        for name, rule in {
            "pointer": "jsonPointers: [/spec/template/spec/containers/0/image]",
            "a pointer above": "jsonPointers: [/spec/template]",
            "a pointer above jobs": "jsonPointers: [/spec/jobTargetRef]",
            "a query": "jqPathExpressions: ['.spec.template.spec.containers[].image']",
            "a query above jobs": "jqPathExpressions: [.spec.jobTemplate]",
            "a query of all": "jqPathExpressions: [.]",
            "manager": "managedFieldsManagers: [keel]",
        }.items()
    },
    "a template of a chart that waits for a new version": (
        CHART
        | BESIDE
        | {"charts/cart/templates/d.yaml": DEPLOYMENT}
        | {"r.yaml": release("ours").replace("reconcileStrategy: Revision, ", "")},
        "with a new version in charts/cart/Chart.yaml",
    ),
    "a file of values that is not there": (
        CHART_VALUES
        | {
            "r.yaml": release("ours").replace(
                "reconcileStrategy", "valuesFiles: [charts/cart/values.yaml, x], reconcileStrategy"
            )
        },
        "valuesFiles x: it is not there",
    ),
    "images of an ApplicationSet": (
        LISTED
        | {
            "a.yaml": APPLICATION_SET
            % (OURS, "path: 'apps/{{app}}'\n        kustomize: {images: ['acme/cart:2']}")
        },
        "it sets kustomize.images by a template",
    ),
    "an Application that an overlay changes": (
        LISTED
        | {
            "argo/kustomization.yaml": (
                "resources: [a.yaml]\npatches:\n- target: {kind: Application}\n  patch: |\n"
                "    - op: add\n      path: /spec/sources/0/kustomize\n"
                "      value: {images: ['acme/cart:2']}\n"
            ),
            "argo/a.yaml": application(f"repoURL: {OURS}\npath: apps/cart"),
        },
        "an overlay changes it",
    ),
    "a file that an Application leaves out": (
        APPS
        | {
            "kustomization.yaml": "resources: []\n",
            "a.yaml": application(
                f"repoURL: {OURS}\npath: apps/cart\ndirectory: {{exclude: deployment.yaml}}"
            ),
        },
        "does not list it",
    ),
    "values over those of a chart that kustomize inflates": (
        VALUES | {"kustomization.yaml": OF_CHART % ", valuesInline: {image: {tag: '2'}}"},
        "valuesInline: it comes later and sets the same value",
    ),
    "values over those of a generated ConfigMap": (
        VALUES
        | GENERATED
        | {"apps/r.yaml": release("other", TAKES + "  values: {image: 'x:1'}\n")},
        "spec.values of HelmRelease cart: it comes later",
    ),
    "a single value of a helmfile": (
        {"helmfile.yaml": HELMFILE + "  set: [{name: image.tag, value: '2'}]\n"},
        "set: it comes later",
    ),
    "a file of a helmfile, whose keys are quoted, over the values of the chart": (
        CHART_VALUES | {"helmfile.yaml": QUOTED, "production.yaml": "image: {tag: '2'}\n"},
        "production.yaml: it comes later and sets the same value",
    ),
    "a file of a helmfile that is not read": (
        {"helmfile.yaml": HELMFILE + "  - '{{ .Environment.Name }}.yaml'\n"},
        "may set the same value",
    ),
    "what a cluster of a fleet has otherwise": (
        {"fleet.yaml": FLEET + "- {name: a, helm: {values: {image: {tag: '2'}}}}\n"},
        "values at /targetCustomizations/0/helm: it comes later",
    ),
    "a HelmChart that waits for a version": (
        CHART_VALUES | HELM_CHART,
        "c.yaml:5: reconcileStrategy: ChartVersion: Flux takes a changed file of the chart only "  # noqa: ISC004
        "with a new version in charts/cart/Chart.yaml",
    ),
    "a template of a HelmChart that waits for a version": (
        CHART | {"charts/cart/templates/d.yaml": DEPLOYMENT} | HELM_CHART,
        "c.yaml:5: reconcileStrategy: ChartVersion",
    ),
    "a file of values of a HelmChart that is not there": (
        CHART_VALUES
        | HELM_CHART
        | {"c.yaml": HELM_CHART["c.yaml"] + "  valuesFiles: [charts/cart/values.yaml, x]\n"},
        "c.yaml:7: valuesFiles x: it is not there",
    ),
    "a source that stands nowhere": (
        APPS
        | BESIDE
        | {"k.yaml": flux("ours", name="a", path="./x") + "---\n" + flux("gone", IMAGES)},
        "which stands in no file",
    ),
    "a source that is no repository of Git": (
        APPS | {"k.yaml": flux("apps", IMAGES).replace("GitRepository", "ExternalArtifact")},
        "whether the ExternalArtifact apps was made of these files is not known",
    ),
    "two repositories of one name": (
        APPS
        | {"s.yaml": git("apps", OURS) + "---\n" + git("apps", f"{OURS}x")}
        | {"k.yaml": flux("apps", IMAGES)},
        "there are several GitRepositorys apps, of different repositories or branches",
    ),
    "another branch by the name of its reference": (
        APPS | {"k.yaml": git("apps", OURS, "name: refs/heads/next") + "---\n" + flux("apps")},
        "the branch next of this repository is applied, not the branch main",
    ),
    "a commit beside a branch": (
        APPS
        | {"k.yaml": git("apps", OURS, "branch: main, commit: 0123abc") + "---\n" + flux("apps")},
        "the commit 0123abc of this repository is applied, not the branch main",
    ),
    "a repository without a branch": (
        APPS | {"k.yaml": git("apps", OURS).replace("branch: main", "") + "---\n" + flux("apps")},
        "the branch master of this repository is applied, not the branch main",
    ),
    "a repository that may be this one": (
        APPS
        | {"s.yaml": git("apps", "http://gitea.git.svc/acme/fleet") + "---\n" + git("o", OURS)}
        | {"k.yaml": flux("apps", IMAGES)},
        "is not known",
    ),
    "another branch alone": (
        APPS | {"k.yaml": git("next", OURS, "branch: next") + "---\n" + flux("next")},
        "the branch next of this repository is applied, not the branch main",
    ),
    "a tag alone": (
        APPS | {"k.yaml": git("prod", OURS, "semver: '>=1'") + "---\n" + flux("prod")},
        "the semver >=1 of this repository is applied",
    ),
    "what is suspended": (
        APPS | BESIDE | {"k.yaml": flux("ours", "suspend: true")},
        "it is suspended",
    ),
    "a release that is suspended": (
        {
            "r.yaml": release(
                "ours", "  suspend: true\n  values: {image: {repository: acme/cart, tag: '1'}}\n"
            )
        },
        "is suspended",
    ),
    "entries for another repository alone": (
        BESIDE | {"k.yaml": flux("other", IMAGES)},
        "not on this branch",
    ),
    "an object that cannot be read": (
        APPS | {"k.yaml": flux("ours", IMAGES) + "\tx: [\n"},
        "an object that applies manifests",
    ),
    "Argo CD's images of another branch": (
        APPS
        | {"apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n"}
        | {
            "a.yaml": application(
                f"repoURL: {OURS}\ntargetRevision: v1\npath: apps/cart\n"
                "kustomize: {images: ['acme/cart:2']}"
            )
        },
        "targetRevision v1 of this repository is applied",
    ),
    "values of another branch": (
        CHART_VALUES
        | {"a.yaml": application(f"repoURL: {OURS}\ntargetRevision: v1\npath: charts/cart")},
        "targetRevision v1 of this repository is applied",
    ),
    "a folder that only another repository's Application takes": (
        {
            "kustomization.yaml": "resources: [other.yaml]\n",
            "other.yaml": DEPLOYMENT.replace("cart", "other"),
            **APPS,
            "a.yaml": application(f"repoURL: {OURS}x\npath: apps/cart"),
        },
        "does not list it",
    ),
    "a tag in this repository's chart under a release of another's": (
        CHART
        | {"charts/cart/values.yaml": "image: {tag: '1'}\n"}
        | BESIDE
        | {"r.yaml": release("other", "  values: {image: {repository: acme/cart}}\n")},
        "a release's own `values`, where there is one",
    ),
    "a chart whose source stands nowhere": (
        CHART_VALUES | BESIDE | {"r.yaml": release("gone"), "k.yaml": flux("ours", path="./x")},
        "which stands in no file",
    ),
    "a parameter that a file gives": (
        {
            "a.yaml": application(
                f"repoURL: {OURS}\npath: charts/cart\nhelm: {{fileParameters: "
                "[{name: image.tag, path: tag.txt}], "
                "valuesObject: {image: {repository: acme/cart, tag: '1'}}}"
            )
        },
        "is not read",
    ),
}


@pytest.mark.parametrize(
    ("name", "is_template"),
    [
        ("{{ .name }}", True),
        ("{{ .name }}-apps", True),
        ("apps\n{{- if .on }}", True),
        ("{{ .name }}\n\n\n    a: b", True),
        ("apps\n\n\n  a: [", False),
        ("'{{ .name }}'\n  a: [", False),
        ("apps # {{ .name }}\n  a: [", False),
        ("apps\n  a: [", False),
    ],
)
def test_a_template_of_what_applies_manifests_applies_nothing_itself(
    name: str, *, is_template: bool
) -> None:
    """Nobody's YAML reads it; what has a mistake may be in the cluster as it was before."""
    kind = "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
    text = f"{kind}metadata:\n  name: {name}\n"
    said = deployed(APPS | {"boilerplate/app.yaml": text})
    assert isinstance(said, dict) is is_template, said


def test_two_texts_within_one_file_are_edited_at_once() -> None:
    patch = (
        "- patch: |-\n    apiVersion: apps/v1\n    kind: Deployment\n    metadata: {name: %s}\n"
        "    spec: {template: {spec: {containers: [{name: server, image: 'acme/cart:1'}]}}}\n"
    )
    top = "resources: [d.yaml, e.yaml]\npatches:\n"
    files = {
        "kustomization.yaml": top + patch % "cart" + patch % "cart-worker",
        "d.yaml": DEPLOYMENT,
        "e.yaml": DEPLOYMENT.replace("{name: cart}", "{name: cart-worker}"),
    }
    new = f"acme/cart:9@{digest('9')}"
    assert deployed(files) == {
        "kustomization.yaml": files["kustomization.yaml"].replace("acme/cart:1", new)
    }


def test_what_kustomize_is_told_of_a_chart_from_elsewhere_is_none_of_a_folder() -> None:
    chart = "repoURL: https://charts.example\nchart: cart\nkustomize: {images: ['acme/cart:2']}"
    after = deployed(APPS | {"a.yaml": application(chart)})
    assert isinstance(after, dict), after
    assert set(after) == {"apps/cart/deployment.yaml"}


@pytest.mark.parametrize(("files", "why"), REFUSED.values(), ids=REFUSED)
def test_what_may_mean_this_repository_makes_the_effect_unknown(
    files: dict[str, str], why: str
) -> None:
    said = deployed(files)
    assert isinstance(said, str), said
    assert why in said


@pytest.mark.parametrize(
    ("tag", "runs"), [("1.20", "1.2"), ("010", "8"), ("v1.20", "v1.20"), ("2026-01-15",) * 2]
)
def test_a_variable_alone_in_values_is_a_number_to_the_chart(tag: str, runs: str) -> None:
    """As Flux itself builds it: no quotes, in the manifest or around the variable, prevent it."""
    values = "  values: {image: {repository: acme/cart, tag: '${TAG}'}}\n"
    files = {
        "apps/cart/r.yaml": release("other", values).replace("./charts/cart", "cart"),
        "k.yaml": flux("flux-system", f"postBuild: {{substitute: {{TAG: '{tag}'}}}}"),
    }
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    found = resolve("cart", Environment("production"), Config(), manifests)
    assert found.image.tag == runs
    [landed] = manifests.effective({}, Environment("production")).effect.landed
    assert landed.image == f"acme/cart:{runs}"


def chain_of(number: int) -> str:
    """Flux Kustomizations of one folder of which each changes the next, until one sets images."""
    added: dict[str, object] = {"images": [{"name": "acme/cart", "newTag": "2"}]}
    for one in range(number, 1, -1):
        patch = json.dumps(
            [{"op": "add", "path": f"/spec/{k}", "value": v} for k, v in added.items()]
        )
        target = {"kind": "Kustomization", "name": f"k{one}"}
        added = {"patches": [{"target": target, "patch": patch}]}
    first = flux(
        "flux-system", f"patches: {json.dumps(added['patches'])}", name="k1", path="./apps"
    )
    others = (flux("flux-system", name=f"k{n}", path="./apps") for n in range(2, number + 1))
    return "---\n".join([first, *others])


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (2, "which is not followed"),
        (3, "which is not followed"),
        (4, "again and again"),
        (6, "again"),
    ],
)
def test_what_kustomizations_make_of_one_another_is_known_or_refused(number: int, why: str) -> None:
    """However many of one name come of it: the others apply the image as it is written."""
    assert why in deployed(APPS | {"apps/k.yaml": chain_of(number)})


def test_patches_that_a_kustomization_gives_to_all_others_are_known() -> None:
    """A cluster gives its defaults to all of its applications so (onedr0p's cluster template)."""
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "_"}}
    inner = {
        "patch": json.dumps({**body, "spec": {"replicas": 2}}),
        "target": {"kind": "Deployment"},
    }
    group = "kustomize.toolkit.fluxcd.io/v1"
    outer = {"apiVersion": group, "kind": "Kustomization", "metadata": {"name": "_"}}
    patch = json.dumps({**outer, "spec": {"patches": [inner]}})
    patches = json.dumps([{"patch": patch, "target": {"kind": "Kustomization"}}])
    files = {
        "clusters/all.yaml": flux("flux-system", f"patches: {patches}", name="all", path="./of"),
        "of/cart.yaml": flux("flux-system", name="cart", path="./apps"),
    }
    after = deployed(APPS | files)
    assert isinstance(after, dict), after
    assert set(after) == set(deployed(APPS))


def test_a_template_of_a_chart_applies_nothing_and_stops_nothing() -> None:
    template = flux("ours", IMAGES) + "{{- if .Values.on }}\n"
    after = deployed(APPS | {"chart/Chart.yaml": "name: x\n", "chart/templates/k.yaml": template})
    assert isinstance(after, dict), after


def test_where_the_repository_is_not_known_all_objects_mean_it() -> None:
    files = APPS | BESIDE | {"k.yaml": flux("other", IMAGES)}
    after = deployed(files, NOWHERE)
    assert isinstance(after, dict), after
    assert set(after) == {"k.yaml"}


def test_what_a_repository_given_by_its_path_is_called_says_the_configuration() -> None:
    files = APPS | {"k.yaml": git("apps", OURS) + "---\n" + flux("apps", IMAGES)}
    said = deployed(files, Home("/srv/mirror.git", "main"))
    assert isinstance(said, str)
    assert "is this repository (/srv/mirror.git) is not known" in said
    after = deployed(files, Home("/srv/mirror.git", "main", (OURS,)))
    assert isinstance(after, dict), after
    assert set(after) == {"k.yaml"}


RUNNER = """\
kind: Runner
metadata: {name: cart}
spec: {pool: {containers: [{name: server, image: 'acme/cart:1'}]}, image: 'acme/cart:1'}
"""


def test_an_entry_decides_the_containers_of_any_kind_and_what_configurations_name() -> None:
    """Values from kustomize 5.7.1: it sets containers anywhere, and `spec/image` of a Runner."""
    files = {
        "kustomization.yaml": (
            "resources: [r.yaml]\nconfigurations: [c.yaml]\n"
            "images: [{name: acme/cart, newTag: '2'}]\n"
        ),
        "r.yaml": RUNNER,
        "c.yaml": "images: [{kind: Runner, path: spec/image}]\n",
    }
    manifests = read_manifests({path: text.encode() for path, text in files.items()})
    landed = manifests.effective({}, Environment("production")).effect.landed
    assert {(one.container, one.image) for one in landed} == {
        ("spec.pool.containers.0.image", "acme/cart:2"),
        ("spec.image", "acme/cart:2"),
    }
    after = deployed(files)
    assert isinstance(after, dict), after
    assert set(after) == {"kustomization.yaml"}
    # It takes no variable for a tag: the entry leaves that image to Flux.
    own = RUNNER.replace("image: 'acme/cart:1'}\n", "image: 'acme/cart:${TAG}'}\n")
    assert "(container 'spec.image') cannot be edited" in deployed(files | {"r.yaml": own})
    # One that only renames leaves the version to where the image stands.
    top = files["kustomization.yaml"].replace("newTag: '2'", "newName: x.io/cart")
    renamed = deployed(files | {"kustomization.yaml": top})
    assert isinstance(renamed, dict), renamed
    assert renamed["r.yaml"].count("acme/cart:9@") == 2


@pytest.mark.parametrize(
    ("kind", "strategy", "said"),
    [
        ("StatefulSet", "{type: OnDelete}", "a pod gets the image when somebody deletes it"),
        ("StatefulSet", "{rollingUpdate: {partition: 2}}", "pods below number 2 keep their image"),
        ("CloneSet", "{partition: 2}", "pods below number 2 keep their image (partition)"),
    ],
)
def test_pods_that_are_not_replaced_by_themselves_are_told(
    kind: str, strategy: str, said: str
) -> None:
    text = DEPLOYMENT.replace("Deployment", kind).replace(
        "spec: {template", f"spec: {{updateStrategy: {strategy}, template"
    )
    manifests = read_manifests({"s.yaml": text.encode()})
    landed = manifests.effective({}, Environment("production")).effect.landed
    assert [said in warning for one in landed for warning in one.warnings] == [True]


ODD_IMAGE = """\
apiVersion: k8s.mariadb.com/v1
kind: MariaDB
metadata: {name: db}
spec: {initContainers: [{image: {repository: mariadb, tag: '10'}}]}
"""
FAILING = {
    "an image that is a mapping, met by an entry of another name": (
        {"kustomization.yaml": f"resources: [d.yaml, m.yaml]\n{IMAGES}\n", "m.yaml": ODD_IMAGE},
        "the image in m.yaml:4 is no text: it fails",
    ),
    "an object that is taken twice": (
        {
            "kustomization.yaml": "resources: [a, b]\n",
            "a/kustomization.yaml": "resources: [../d.yaml]\n",
            "b/kustomization.yaml": "resources: [../d.yaml]\n",
        },
        "Deployment cart is there already: the build fails",
    ),
    "a file that is listed twice": (
        {"kustomization.yaml": "resources: [d.yaml, ./d.yaml]\n"},
        "Deployment cart is there already: the build fails",
    ),
    "a new name with a version": (
        {
            "kustomization.yaml": "resources: [d.yaml]\n"
            "images: [{name: acme/cart, newName: 'acme/cart:v1'}]\n"
        },
        "'acme/cart:v1:1' is no image: write name and version apart",
    ),
}


@pytest.mark.parametrize(("files", "why"), FAILING.values(), ids=FAILING)
def test_what_the_tool_does_not_build_is_not_deployed(files: dict[str, str], why: str) -> None:
    """Values from kustomize 5.7.1."""
    found = deployed({"d.yaml": DEPLOYMENT} | files)
    assert isinstance(found, str), "it was deployed"
    assert why in found


def test_one_name_in_two_namespaces_is_no_object_twice() -> None:
    files = {
        "kustomization.yaml": "resources: [a, b]\n",
        **{
            f"{one}/kustomization.yaml": f"namespace: {one}\nresources: [../d.yaml]\n"
            for one in ("a", "b")
        },
        "d.yaml": DEPLOYMENT,
    }
    assert not isinstance(deployed(files), str)


ENTRY = "resources: [deployment.yaml]\nimages: [{name: acme/cart%s}]\n"


@pytest.mark.parametrize(
    ("own", "of_flux", "lost"),
    [
        (", newTag: '2'", ", newName: x.io/acme/cart", "newTag or digest"),
        (", newName: x.io/acme/cart, newTag: '2'", ", newTag: '3'", "newName"),
        (", newTag: '2'", ", newTag: '3'", ""),
        (", newTag: '2'", ", newName: x.io/acme/cart, newTag: '3'", ""),
    ],
)
def test_what_releases_of_flux_make_of_one_entry_otherwise_is_not_known(
    own: str, of_flux: str, lost: str
) -> None:
    """Until July 2026 an entry of the Flux Kustomization replaced the kustomization's whole."""
    files = {
        **APPS,
        "apps/cart/kustomization.yaml": ENTRY % own,
        "k.yaml": flux("flux-system", f"images: [{{name: acme/cart{of_flux}}}]"),
    }
    found = deployed(files)
    if lost:
        assert f"releases of Flux differ in whether the {lost} of apps/cart/kust" in found
    else:
        assert isinstance(found, dict), found


WITH_TAG = {"apps/cart/deployment.yaml": DEPLOYMENT.replace("cart:1", "cart:${TAG}")}
VARS = """\
apiVersion: v1
kind: %s
metadata: {name: %s, namespace: flux-system}
%s: {%s: '1'}
"""
SETTINGS = {"vars/settings.yaml": VARS % ("ConfigMap", "settings", "data", "TAG")}
FROM = "postBuild: {substituteFrom: [%s]}"
CONFIG, SECRET = "{kind: ConfigMap, name: settings}", "{kind: Secret, name: secrets}"


@pytest.mark.parametrize(
    ("sources", "more", "why"),
    [
        (f"{CONFIG}, {SECRET}", {}, "comes later, stands in none of these files"),
        (f"{SECRET}, {CONFIG}", {}, ""),
        (f"{CONFIG}, {{kind: ConfigMap, name: other, optional: true}}", {}, "comes later"),
        (
            f"{CONFIG}, {SECRET}",
            {"vars/secrets.yaml": VARS % ("Secret", "secrets", "stringData", "PASSWORD")},
            "",
        ),
        (
            f"{CONFIG}, {SECRET}",
            {"vars/secrets.yaml": VARS % ("Secret", "secrets", "stringData", "TAG")},
            "the variable TAG may stand in the Secret secrets",
        ),
        (
            f"{CONFIG}, {SECRET}",
            {"vars/secrets.yaml": VARS % ("Secret", "secrets", "data", "TAG")},
            "the variable TAG may stand in the Secret secrets",
        ),
    ],
)
def test_a_variable_that_a_later_source_may_define_is_not_known(
    sources: str, more: dict[str, str], why: str
) -> None:
    found = deployed(WITH_TAG | SETTINGS | more | {"k.yaml": flux("flux-system", FROM % sources)})
    if why:
        assert why in found
    else:
        assert isinstance(found, dict), found
        assert set(found) == {"vars/settings.yaml"}


def test_an_application_of_another_revision_applies_nothing_of_this_branch() -> None:
    source = f"{{source: {{repoURL: {OURS}, path: apps/cart, targetRevision: v1.0}}}}"
    files = APPS | {
        "a.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Application\n"
        f"metadata: {{name: cart}}\nspec: {source}\n"
    }
    assert "targetRevision v1.0 of this repository is applied" in deployed(files)
    both = files | {"b.yaml": files["a.yaml"].replace("v1.0", "HEAD").replace("cart}", "now}")}
    assert isinstance(deployed(both), dict)


@pytest.mark.parametrize(
    ("written", "is_read"),
    [
        ("${TAG}", True),
        ("${TAG:-2}", True),
        ("${TAG:=2}", True),
        ("${TAG=2}", True),
        ("${TAG-2}", False),  # Flux fails
        ("$${TAG}", False),  # it stays as it is
        ("${TAG:+2}", False),
        ("${TAG^^}", False),
        ("${TAG/a/b}", False),
        ("$TAG", False),
    ],
)
def test_variables_are_read_as_flux_reads_them(written: str, *, is_read: bool) -> None:
    """Values from fluxcd/pkg, envsubst: what is not read alike is refused."""
    files = {"apps/cart/deployment.yaml": DEPLOYMENT.replace("cart:1", f"cart:{written}")}
    found = deployed(files | {"k.yaml": flux("flux-system", "postBuild: {substitute: {TAG: '1'}}")})
    assert isinstance(found, dict) is is_read, found


NOT_THERE = {
    "resources:\n- a.yaml\n- gone.yaml\n": ("apps/gone.yaml", "3: gone.yaml"),
    "resources: [a.yaml]\ncrds: [gone.yaml]\n": ("apps/gone.yaml", "2: gone.yaml"),
    "resources: [a.yaml]\nopenapi: {path: gone.json}\n": ("apps/gone.json", "2: gone.json"),
    "resources: [a.yaml]\nconfigMapGenerator:\n- name: c\n  files: [k=x/gone]\n": (
        "apps/x/gone",
        "4: k=x",
    ),
    "resources: [a.yaml]\nsecretGenerator: [{name: c, env: gone.env}]\n": (
        "apps/gone.env",
        "2: gone.env",
    ),
}


@pytest.mark.parametrize(("text", "gone"), NOT_THERE.items(), ids=NOT_THERE)
def test_a_build_that_takes_what_is_not_in_the_repository_fails(
    text: str, gone: tuple[str, str]
) -> None:
    """What is only not read, as another service's, may be there."""
    path, place = gone
    files = {"apps/a.yaml": DEPLOYMENT, "apps/kustomization.yaml": text}
    why = deployed(files, absent=[path, "apps/another.yaml"])
    assert isinstance(why, str)
    assert f"apps/kustomization.yaml:{place}" in why
    assert "it is not there: the build fails" in why
    assert not isinstance(deployed(files, absent=["apps/another.yaml"]), str)


BASES = {
    "shop/base/d.yaml": DEPLOYMENT,
    "shop/base/kustomization.yaml": "resources: [d.yaml]\n",
}
PROD = "shop/prod/kustomization.yaml"
MISSED = {
    "a slip in an overlay": ({PROD: "resources: [../bsae]\n"}, "shop/bsae", True),
    "a slip in a file": (
        {"plain/cart.yaml": DEPLOYMENT, PROD: "resources: [../../plain/crat.yaml]\n"},
        "plain/crat.yaml",
        True,
    ),
    "another's overlay": ({PROD: "resources: [../../x]\n"}, "x", False),
    "an overlay that is taken": (
        {PROD: "resources: [../bsae]\n", "k/kustomization.yaml": "resources: [../shop/prod]\n"},
        "shop/bsae",
        False,
    ),
    "a component": (
        {PROD: "kind: Component\nresources: [../bsae]\n"},
        "shop/bsae",
        False,
    ),
    "a slip in a Flux Kustomization": (
        {"k.yaml": flux("flux-system", path="shop/bsae")},
        "shop/bsae",
        True,
    ),
    "one beside another that applies it": (
        {
            "k.yaml": flux("flux-system", path="shop/bsae"),
            "l.yaml": flux("flux-system", path="shop/base").replace("name: apps", "name: b"),
        },
        "shop/bsae",
        False,
    ),
}


@pytest.mark.parametrize(("files", "gone", "is_missed"), MISSED.values(), ids=MISSED)
def test_whoever_takes_what_is_not_there_may_have_meant_what_nobody_takes(
    files: dict[str, str], gone: str, *, is_missed: bool
) -> None:
    found = deployed(BASES | files, absent=[gone])
    assert isinstance(found, str) is is_missed
    assert not is_missed or "it is not there, so that what takes it fails" in found
    assert isinstance(deployed(BASES | files), dict)  # it may be another service's


def test_a_release_of_a_chart_that_is_not_there_fails() -> None:
    files = {
        "r.yaml": release("flux-system", "  values: {image: {repository: acme/cart, tag: '1'}}")
    }
    assert "chart ./charts/cart: it is not there" in deployed(files, absent=["charts/cart"])
    others = {**files, "s.yaml": git("flux-system", "https://github.com/acme/other")}
    assert isinstance(deployed(others, absent=["charts/cart"]), dict)


VARIABLE = "postBuild: {substitute: {A: b}}"
RUNS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x%s}\ndata: {run: 'a %s'}\n"
LEFT = ", annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}"
UNFILLED = {
    "a name": ("postBuild: {substitute: {a-b: c}}", "", "'a-b' is no name of a variable"),
    "a name in a ConfigMap": (
        "postBuild: {substituteFrom: [{kind: ConfigMap, name: x}]}",
        RUNS.replace("run:", "run.sh:") % ("", ""),
        "'run.sh' is no name of a variable",
    ),
    "a number": ("postBuild: {substitute: {A: 1}}", "", "the variable A is no text"),
    "no end": (
        VARIABLE,
        RUNS % ("", "${FOO"),
        "no '${FOO', at /data/run of ConfigMap x",
    ),
    "a dot": (VARIABLE, RUNS % ("", "${__field.name}"), "it fills in no '${__field.'"),
    "nothing": (VARIABLE, RUNS % ("", "${}"), "it fills in no '${}'"),
    "a default": (VARIABLE, RUNS % ("", "${FOO:-a.b}"), ""),
    "a function": (VARIABLE, RUNS % ("", "${FOO##*/} ${#FOO} ${FOO/a/b} ${1}"), ""),
    "what is escaped": (VARIABLE, RUNS % ("", "$${FOO.a}"), ""),
    "what is left alone": (VARIABLE, RUNS % (LEFT, "${FOO.a}"), ""),
    "no variables": ("prune: true", RUNS % ("", "${FOO.a}"), ""),
}


@pytest.mark.parametrize(("spec", "text", "why"), UNFILLED.values(), ids=UNFILLED)
def test_flux_applies_nothing_where_it_cannot_fill_in_a_variable(
    spec: str, text: str, why: str
) -> None:
    """fluxcd/pkg, kustomize/kustomize_varsub.go and envsubst/parse."""
    files = {"apps/cart/deployment.yaml": DEPLOYMENT, "k.yaml": flux("flux-system", spec)}
    found = deployed(files | ({"apps/cart/x.yaml": text} if text else {}))
    assert why in found if why else isinstance(found, dict), found


@pytest.mark.parametrize(
    ("text", "gone", "near"),
    [
        ("resources: [a.yaml, servce.yaml]\n", "apps/servce.yaml", "apps/service.yaml"),
        ("resources: [a.yaml]\ncomponents: [tagz]\n", "apps/tagz", "apps/tags"),
        ("resources: [a.yaml, quite/another.yaml]\n", "apps/quite/another.yaml", ""),
    ],
)
def test_what_is_not_there_is_to_be_added_and_what_is_near_is_named(
    text: str, gone: str, near: str
) -> None:
    """To accept what no build makes leads nowhere: it is not the first that is advised."""
    files = {"apps/a.yaml": DEPLOYMENT, "apps/kustomization.yaml": text}
    files |= {
        "apps/service.yaml": "kind: Service\n",
        "apps/tags/kustomization.yaml": "images: []\n",
    }
    manifests = read_manifests({path: text.encode() for path, text in files.items()}, HOME)
    manifests = replace(manifests, absent=frozenset([gone]))
    [landed] = manifests.effective({}, Environment("production")).effect.landed
    hints = [one.hint for one in landed.unknowns if one.why == "it is not there: the build fails"]
    assert hints
    told = f"did you mean {near}? add it" if near else "add it"
    assert all(hint.startswith(told) for hint in hints)


def test_what_is_written_in_place_of_a_path_stands_in_no_line() -> None:
    [one] = read_manifests({"k/kustomization.yaml": b"crds: [a.yaml]\n"}).kustomizations.values()
    assert one.taken == ("k/a.yaml",)
    assert one.named("k/a.yaml") == (1, "a.yaml")
    assert one.named("k/b.yaml") == (1, "k/b.yaml")


def filled_by_overlays(number: int) -> dict[str, str]:
    """Clusters that take Flux Kustomizations without paths, and patch these in from files."""
    files = {"apps/kustomization.yaml": "resources: [cart/deployment.yaml]\n", **APPS}
    for place in map(str, range(number)):
        base, own = f"base/{place}/k.yaml", f"own/{place}/k.yaml"
        whole = flux("flux-system", name=f"of-{place}", path=f"./{'apps' if place == '0' else 'x'}")
        lines = whole.splitlines()
        path = next(line for line in lines if line.startswith("  path:"))
        files[base] = "\n".join(line for line in lines if line != path)
        head = lines[: lines.index("spec:") + 1]
        files[own] = "\n".join([*head, path, "  postBuild: {substitute: {PLACE: here}}", ""])
        files[f"clusters/{place}/kustomization.yaml"] = (
            f"resources: [../../{base}]\npatches: [{{path: ../../{own}}}]\n"
        )
    return files


def test_a_kustomization_without_a_path_waits_for_what_an_overlay_gives_it() -> None:
    """Each, taken as it is written, was the whole repository's (hmcts/sds-flux-config)."""
    after = deployed(filled_by_overlays(3))
    assert isinstance(after, dict), after
    assert set(after) == set(APPS)


def test_a_patch_of_a_kustomization_is_none_by_itself() -> None:
    files = filled_by_overlays(1)
    patch = files["own/0/k.yaml"] + f"  {IMAGES}\n"
    alone = {**APPS, "own/0/k.yaml": patch, "clusters/kustomization.yaml": "resources: [k.yaml]\n"}
    alone["clusters/k.yaml"] = flux("flux-system", name="of-0", path="./apps/cart")
    alone["clusters/kustomization.yaml"] += "patches: [{path: ../own/0/k.yaml}]\n"
    assert "an overlay or another Kustomization changes them" in deployed(alone)
    scanned = {**alone, "all.yaml": flux("flux-system", name="all", path="./own")}
    assert isinstance(deployed(scanned), str)


@pytest.mark.parametrize("folder", ["apps/cart", "/whole/path/apps/cart"])
def test_what_is_reached_is_looked_for_up_to_the_root_of_any_path(folder: str) -> None:
    unknown = Unknown("set.yaml", 1, "a path", "it is not known")
    assert Reach(re.compile(re.escape(folder)), unknown).has(f"{folder}/deep/below")
    assert not Reach(re.compile("other"), unknown).has(folder)

"""Deploys and rollbacks where overlays, Helm or Flux keep the image; real git, the real command."""

from __future__ import annotations

import pytest

from integration.shop import CART, FILES, Shop, digest, image
from servers.git_http import GitHttpServer

WORKLOAD = CART.replace(' # {"$imagepolicy": "flux-system:cart"}', "")
BASE = {
    "base/kustomization.yaml": "resources: [deployment.yaml]\n",
    "base/deployment.yaml": WORKLOAD,
}
PRODUCTION = '[environments.production]\npath = "overlays/production"\n'
OVERLAY = """\
resources:
- ../../base   # shared with staging
images:
- name: acme/cart
  newTag: 1.4.1 # {"$imagepolicy": "flux-system:cart:tag"}
"""
RELEASE = """\
apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: cart}
spec:
  values:
    image:
      repository: acme/cart # {"$imagepolicy": "flux-system:cart:name"}
      tag: '1.4.1'   # {"$imagepolicy": "flux-system:cart:tag"}
    sidecar: {image: {repository: envoyproxy/envoy, tag: v1.29.0}}
"""
FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec:
  path: ./apps
  sourceRef: {kind: GitRepository, name: flux-system}
"""
VARIABLE = WORKLOAD.replace("acme/cart:1.4.1", "${REGISTRY:-docker.io}/acme/cart:${CART_TAG}")

LAYOUTS: dict[str, tuple[dict[str, str], str]] = {
    "first of two services in one file": (
        {"all.yaml": WORKLOAD + "---\n" + WORKLOAD.replace("cart", "payment")},
        "all.yaml",
    ),
    "kustomize entry": (
        {
            **BASE,
            ".gitops-rollback.toml": PRODUCTION,
            "overlays/production/kustomization.yaml": OVERLAY,
        },
        "overlays/production/kustomization.yaml",
    ),
    "kustomize entry with a digest": (
        {
            "kustomization.yaml": (
                "resources: [a.yaml]\nimages:\n- {name: acme/cart, newTag: 1.4.1, digest: "
                f"{digest('cart:1.4.1')}}}\n"
            ),
            "a.yaml": WORKLOAD,
        },
        "kustomization.yaml",
    ),
    "patch in a file": (
        {
            **BASE,
            ".gitops-rollback.toml": PRODUCTION,
            "overlays/production/kustomization.yaml": (
                "resources: [../../base]\npatches: [{path: image.yaml}]\n"
            ),
            "overlays/production/image.yaml": (
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: cart}\n"
                "spec: {template: {spec: {containers: "
                '[{name: server, image: "acme/cart:1.4.1"}]}}}\n'
            ),
        },
        "overlays/production/image.yaml",
    ),
    "Helm release": ({"release.yaml": RELEASE}, "release.yaml"),
    "Helm values file": (
        {"cart-values.yaml": "image: {registry: docker.io, repository: acme/cart, tag: 1.41}\n"},
        "cart-values.yaml",
    ),
    "Flux images": (
        {
            "flux.yaml": FLUX + "  images:\n  - {name: acme/cart, newTag: '1.4.1'}\n",
            "apps/cart.yaml": WORKLOAD,
        },
        "flux.yaml",
    ),
    "Flux substitution": (
        {
            "flux.yaml": FLUX + '  postBuild: {substitute: {CART_TAG: "1.4.1"}}\n',
            "apps/cart.yaml": VARIABLE,
        },
        "flux.yaml",
    ),
    "Flux substitution from a ConfigMap": (
        {
            "flux.yaml": FLUX
            + "  postBuild: {substituteFrom: [{kind: ConfigMap, name: versions}]}\n",
            "versions.yaml": (
                "kind: ConfigMap\nmetadata: {name: versions}\ndata:\n"
                '  CART_TAG: 1.4.1 # {"$imagepolicy": "flux-system:cart:tag"}\n'
            ),
            "apps/cart.yaml": VARIABLE,
        },
        "versions.yaml",
    ),
    "image volume": (
        {
            "pod.yaml": (
                "kind: Pod\nmetadata: {name: x}\nspec:\n  containers: [{name: a, image: b:1}]\n"
                "  volumes:\n  - name: cart\n    image: {reference: acme/cart:1.4.1}\n"
            )
        },
        "pod.yaml",
    ),
    "Rollout": (
        {
            "r.yaml": WORKLOAD.replace("apps/v1", "argoproj.io/v1alpha1").replace(
                "Deployment", "Rollout"
            )
        },
        "r.yaml",
    ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest, shop: Shop) -> tuple[Shop, str, str]:
    """A shop whose cart is kept in one of many ways; the file to edit, and its bytes."""
    files, path = LAYOUTS[request.param]
    emptied = dict.fromkeys(shop.git("ls-tree", "-r", "--name-only", "main").splitlines())
    shop.commit({**emptied, **files})
    return shop, path, files[path]


def test_a_rollback_gives_the_file_back_to_the_byte(layout: tuple[Shop, str, str]) -> None:
    shop, path, before = layout
    run = shop.deploy("1.5.0")
    assert (
        shop.changed()
        == [
            f".gitops-rollback/{run.service()['environment']}/cart.json",
            path,
        ]
        or shop.changed()[-1] == path
    )
    assert [edit["path"] for edit in run.service()["edits"]] == [path]
    edited = shop.text(path)
    assert edited != before
    assert digest("cart:1.5.0") in edited
    assert run.service()["to"] == f"docker.io/{image('1.5.0')}"
    shop.roll_back()
    held = shop.text(path)
    assert held.replace("imagepolicy-held", "imagepolicy") == before
    shop.ok("release", "--service", "cart", "--reason", "fixed", "--accept", "automation")
    assert shop.text(path) == before


def test_every_other_file_stays(layout: tuple[Shop, str, str]) -> None:
    shop, path, _before = layout
    others = [p for p in shop.git("ls-tree", "-r", "--name-only", "main").splitlines() if p != path]
    texts = {p: shop.bytes_of(p) for p in others}
    shop.deploy("1.5.0")
    shop.roll_back()
    assert {p: shop.bytes_of(p) for p in others} == texts


def test_a_field_outside_the_environment_is_refused_with_the_lines_to_add(shop: Shop) -> None:
    shop.commit(
        {
            **BASE,
            "apps/cart/deployment.yaml": None,
            ".gitops-rollback.toml": PRODUCTION,
            "overlays/production/kustomization.yaml": "resources: [../../base]\n",
        }
    )
    run = shop.refused(1, "config", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert (
        "base/deployment.yaml:23 lies outside the environment 'production'" in run.error["message"]
    )
    assert (
        "add to overlays/production/kustomization.yaml `images:` "
        '[{name: acme/cart, newTag: "1.4.1"}]'
    ) in run.error["hint"]


def test_a_field_that_a_flux_kustomization_takes_from_outside_gets_its_entry_there(
    shop: Shop,
) -> None:
    applying = (
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n"
        "metadata: {name: apps}\nspec: {path: ./apps/cart}\n"
    )
    files = {
        ".gitops-rollback.toml": '[environments.production]\npath = "clusters/production"\n',
        "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n",
        "clusters/production/apps.yaml": applying,
    }
    shop.commit(files)
    run = shop.refused(1, "config", "deploy", "--service", "cart", "--image", image("1.5.0"))
    place = "the spec of Flux Kustomization apps in clusters/production/apps.yaml"
    entry = '{name: acme/cart, newTag: "1.4.1"}'
    assert f"add to {place} `images:` [{entry}]" in run.error["hint"]
    followed = applying.replace("cart}", f"cart, images: [{entry}]}}")
    shop.commit({"clusters/production/apps.yaml": followed})
    shop.deploy("1.5.0")
    assert 'newTag: "1.5.0@sha256' in shop.bytes_of("clusters/production/apps.yaml").decode()


FLUX_OVER = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: cart, namespace: flux-system}
spec:
  path: ./apps/cart
  images: [{name: acme/cart, newTag: 1.4.1}]
"""
SYSTEM = {"clusters/flux-system/kustomization.yaml": "resources: [sync.yaml]\n"}


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (
            {
                ".gitops-rollback.toml": (
                    '[services.cart]\nmanifests = ["*/cart/deployment.yaml"]\n'
                ),
                "apps/cart/kustomization.yaml": (
                    "resources: [deployment.yaml]\nimages: [{name: acme/cart, newTag: 1.4.1}]\n"
                ),
            },
            "apps/cart/kustomization.yaml",
        ),
        (
            {
                **SYSTEM,
                ".gitops-rollback.toml": '[services.cart]\nmanifests = ["apps/cart/*.yaml"]\n',
                "clusters/cart.yaml": FLUX_OVER,
            },
            "clusters/cart.yaml",
        ),
        (
            {
                ".gitops-rollback.toml": (
                    '[defaults]\nmanifests = ["apps/{service}/*.yaml"]\n'
                    '[environments.production]\nflux = ["clusters/*.yaml"]\n'
                ),
                "clusters/cart.yaml": FLUX_OVER,
            },
            "clusters/cart.yaml",
        ),
        (
            {
                **SYSTEM,
                ".gitops-rollback.toml": '[services.cart]\nmanifests = ["apps/cart/*.yaml"]\n',
                "clusters/cart.yaml": FLUX_OVER.replace(
                    "images: [{name: acme/cart, newTag: 1.4.1}]", "components: [../../pin]"
                ),
                "pin/kustomization.yaml": (
                    "kind: Component\nimages: [{name: acme/cart, newTag: 1.4.1}]\n"
                ),
            },
            "pin/kustomization.yaml",
        ),
    ],
    ids=["kustomization", "Flux beside flux-system", "Flux in its globs", "component of Flux"],
)
def test_what_overrides_a_manifest_counts_where_only_the_manifest_is_configured(
    shop: Shop, files: dict[str, str], path: str
) -> None:
    shop.commit({"apps/kustomization.yaml": None, "apps/cart/deployment.yaml": WORKLOAD, **files})
    before = shop.bytes_of("apps/cart/deployment.yaml")
    shop.deploy("1.5.0")
    assert f"1.5.0@{digest('cart:1.5.0')}" in shop.text(path)
    assert shop.bytes_of("apps/cart/deployment.yaml") == before


def test_a_kustomization_above_the_environment_that_flux_applies_is_refused_with_its_path(
    shop: Shop,
) -> None:
    files = {
        **SYSTEM,
        "apps/cart/deployment.yaml": WORKLOAD,
        "apps/kustomization.yaml": (
            "resources: [cart/deployment.yaml]\nimages: [{name: acme/cart, newTag: 1.4.1}]\n"
        ),
        "clusters/cart.yaml": FLUX.replace("name: apps", "name: cart"),
        ".gitops-rollback.toml": '[environments.production]\npath = "apps/cart"\n',
    }
    shop.commit(files)
    run = shop.refused(1, "config", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert "apps/kustomization.yaml:2 lies above the environment" in run.error["message"]
    assert 'with path = "apps"' in run.error["hint"]
    shop.commit({".gitops-rollback.toml": '[environments.production]\npath = "apps"\n'})
    shop.deploy("1.5.0")
    assert f"1.5.0@{digest('cart:1.5.0')}" in shop.text("apps/kustomization.yaml")


GIT = """\
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: source, namespace: flux-system}
spec: {url: "https://github.com/acme/%s", ref: {branch: main}}
"""
OF_SOURCE = FLUX_OVER.replace(
    "  images", "  sourceRef: {kind: GitRepository, name: source}\n  images"
)
APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: shop, namespace: argocd}
spec:
  source:
    repoURL: https://github.com/acme/fleet
    path: apps/cart
    kustomize: {images: ["acme/cart:1.4.1"]}
"""
ELSEWHERE = {
    "a source that is this repository": (
        {"clusters/cart.yaml": OF_SOURCE, "clusters/source.yaml": GIT % "fleet"},
        "",
    ),
    "a source that may be this repository": (
        {
            "clusters/cart.yaml": OF_SOURCE,
            "clusters/source.yaml": (GIT % "fleet").replace("github.com", "git.svc"),
        },
        "whether https://git.svc/acme/fleet is this repository",
    ),
    "an object that cannot be read": (
        {"clusters/cart.yaml": FLUX_OVER + "  images: []\n  a: [\n"},
        "clusters/cart.yaml:1: an object that applies manifests",
    ),
    "an Application": ({"clusters/cart.yaml": APPLICATION}, ""),
}


@pytest.mark.parametrize(("files", "why"), ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_stands_outside_of_the_environment_and_applies_it_is_looked_at(
    shop: Shop, files: dict[str, str], why: str
) -> None:
    shop.commit(
        {
            "apps/kustomization.yaml": None,
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n",
            "apps/cart/deployment.yaml": WORKLOAD,
            ".gitops-rollback.toml": '[environments.production]\npath = "apps"\n'
            '[defaults]\nurls = ["https://github.com/acme/fleet"]\n',
            **files,
        }
    )
    run = shop.run("deploy", "--service", "cart", "--image", image("1.5.0"))
    if why:
        assert run.code != 0
        assert why in run.error["message"]
    else:
        assert digest("cart:1.5.0") in shop.text("clusters/cart.yaml")


def test_the_plan_says_what_a_field_overrides(shop: Shop) -> None:
    files, _path = LAYOUTS["kustomize entry"]
    shop.commit({**files, "apps/cart/deployment.yaml": None})
    shop.deploy("1.5.0")
    run = shop.ok("plan", "--service", "cart")
    words = " ".join(run.stdout.split())
    assert "edit overlays/production/kustomization.yaml:5 (acme/cart): acme/cart:1.4.1" in words
    assert "which overrides base/deployment.yaml:" in words


def test_what_overlays_take_from_elsewhere_costs_one_batch_a_level(shop: Shop) -> None:
    files, _path = LAYOUTS["kustomize entry"]
    shop.commit({**files, "apps/cart/deployment.yaml": None})
    with GitHttpServer(shop.root) as server:
        shop.ok(
            *("deploy", "--service", "cart", "--image", image("1.5.0"), "--dry-run"),
            repository=f"{server.url}/manifests.git",
        )
        followed = len(server.traffic.requests)
    shop.commit({".gitops-rollback.toml": '[environments.production]\npath = "."\n'})
    with GitHttpServer(shop.root) as server:
        shop.ok(
            *("deploy", "--service", "cart", "--image", image("1.5.0"), "--dry-run"),
            repository=f"{server.url}/manifests.git",
        )
        assert followed - len(server.traffic.requests) <= 4, "kustomization, then deployment"


def test_a_variable_that_a_label_uses_too_takes_the_tag_alone(shop: Shop) -> None:
    files, _path = LAYOUTS["Flux substitution"]
    label = "kind: Service\nmetadata: {name: cart, labels: {version: '${CART_TAG}'}}\n"
    emptied = dict.fromkeys(shop.git("ls-tree", "-r", "--name-only", "main").splitlines())
    shop.commit({**emptied, **files, "apps/service.yaml": label})
    run = shop.refused(1, "manifest", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert (
        "no digest can stand there: the variable CART_TAG stands in another place"
        in (run.error["message"])
    )
    assert "--accept tag" in run.error["hint"]
    shop.ok("deploy", "--service", "cart", "--image", image("1.5.0"), "--accept", "tag")
    assert 'CART_TAG: "1.5.0"' in shop.text("flux.yaml")
    shop.ok("rollback", "--service", "cart", "--reason", "bad")
    assert shop.text("flux.yaml") == files["flux.yaml"]


# What an overlay takes and nobody has committed, and in which line. kustomize 5.7 fails on each:
# "evalsymlink failure", "must resolve to a file", "no such file or directory".
BOTH = "resources: [../../base]\n"
NOT_THERE = {
    "a resource": ("resources:\n- ../../base\n- route.yaml\n", "3: route.yaml"),
    "a folder": ("resources: [../../base, ../../shop]\n", "1: ../../shop"),
    "a folder that is no base": ("resources: [../../base, ../../notes]\n", "1: ../../notes"),
    "what a ConfigMap is of": (
        f"{BOTH}configMapGenerator:\n- name: c\n  files: [key=cart.conf]\n",
        "4: key=cart.conf",
    ),
    "what a Secret is of": (f"{BOTH}secretGenerator: [{{name: c, envs: [c.env]}}]\n", "2: c.env"),
    "a definition": (f"{BOTH}crds: [definition.yaml]\n", "2: definition.yaml"),
    "a schema": (f"{BOTH}openapi: {{path: schema.json}}\n", "2: schema.json"),
}
ENTRY = "images: [{name: acme/cart, newTag: 1.4.1}]\n"
APPLIES = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps, namespace: flux-system}
spec: {path: ./bsae}
"""
SLIPS = {
    "an overlay": ("overlays/production/kustomization.yaml", "resources: [../../bsae]\n"),
    "a Flux Kustomization": ("clusters/apps.yaml", APPLIES),
}


@pytest.mark.parametrize(("path", "text"), SLIPS.values(), ids=SLIPS)
def test_a_slip_in_the_path_of_what_applies_a_base_is_refused_until_it_is_mended(
    shop: Shop, path: str, text: str
) -> None:
    shop.commit({**dict.fromkeys(FILES), **BASE, path: text})
    run = shop.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert "it is not there, so that what takes it fails" in run.said
    shop.commit({path: text.replace("bsae", "base")})
    shop.ok("deploy", "--service", "cart", "--image", image("1.5.0"))


@pytest.mark.parametrize(("overlay", "place"), NOT_THERE.values(), ids=NOT_THERE)
def test_a_build_that_takes_what_is_not_there_is_refused_with_its_line(
    shop: Shop, overlay: str, place: str
) -> None:
    path = "overlays/production/kustomization.yaml"
    files = {**BASE, ".gitops-rollback.toml": PRODUCTION, "notes/day.txt": "fine\n"}
    shop.commit({**dict.fromkeys(FILES), **files, path: f"{overlay}{ENTRY}"})
    run = shop.refused(6, "refused", "deploy", "--service", "cart", "--image", image("1.5.0"))
    assert f"{path}:{place}: it is not there: the build fails" in run.said
    shop.ok("deploy", "--service", "cart", "--image", image("1.5.0"), "--accept", "effect")


def test_what_lies_below_a_link_or_a_submodule_may_be_there(shop: Shop) -> None:
    path = "overlays/production/kustomization.yaml"
    overlay = f"resources: [../../base, linked/route.yaml]\n{ENTRY}"
    files = {**BASE, ".gitops-rollback.toml": PRODUCTION, path: overlay}
    shop.commit({**dict.fromkeys(FILES), **files})
    shop.commit({"overlays/production/linked": "../../routes"}, mode="120000")
    shop.deploy("1.5.0")
    assert digest("cart:1.5.0") in shop.text(path)

"""What Flux and Argo CD do not take of a repository is never called deployed."""

from __future__ import annotations

import re

import pytest

from gitops_rollback.effective.sources import LeftOut
from gitops_rollback.manifest.patterns import go_glob
from unit.test_effect_sources import APPS, OURS, deployed, flux, git

CART = "apps/cart/deployment.yaml"
SOURCE = git("ours", OURS)
APPLIED = APPS | {"clusters/apps.yaml": SOURCE + "---\n" + flux("ours")}


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("*.yaml", "cart.yaml", True),
        ("*.yaml", "cart.yml", False),
        ("c?rt", "cart", True),
        ("c*r*t*", "chart-test", True),
        ("c*r*x*", "chart-test", False),
        ("[a-c]art", "cart", True),
        ("[^a-c]art", "cart", False),
        ("[]art", "cart", False),
        ("[a-", "a", False),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("a\\", "a", False),
        ("[z-a]", "b", False),
        ("[^z-a]", "b", True),
        ("[\\]]", "]", True),
    ],
)
def test_names_are_matched_as_go_matches_them(pattern: str, name: str, *, fits: bool) -> None:
    glob = go_glob(pattern)
    assert (glob is not None and glob.fullmatch(name) is not None) is fits


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    glob = go_glob("*a" * 60 + "b")
    assert glob is not None
    assert glob.fullmatch("a" * 250) is None


@pytest.mark.parametrize(
    ("lists", "path", "is_left_out"),
    [
        ({}, "apps/cart.yaml", False),
        ({}, ".github/workflows/cart.yaml", True),
        ({}, "apps/cloudbuild.yaml", True),
        ({}, "apps/.sops.yaml", True),
        ({".sourceignore": "x\n"}, "apps/cloudbuild.yaml", False),  # the defaults are no more
        ({".sourceignore": "# x\n \n"}, "apps/cloudbuild.yaml", True),
        ({".sourceignore": "x\n"}, "apps/.gitignore", True),
        ({".sourceignore": "apps\n"}, "apps/cart.yaml", True),
        ({".sourceignore": "apps/\n"}, "apps", False),
        ({".sourceignore": "/cart.yaml\n"}, "apps/cart.yaml", False),
        ({".sourceignore": "/*\n!/apps\n"}, "apps/cart.yaml", False),
        ({".sourceignore": "/*\n!/apps\n"}, "infra/cart.yaml", True),
        ({".sourceignore": "apps/*\n!apps/cart.yaml\n"}, "apps/cart.yaml", False),
        ({".sourceignore": "apps/**/old\n"}, "apps/a/b/old/cart.yaml", True),
        ({".sourceignore": "apps/**\n"}, "apps/cart.yaml", True),
        ({".sourceignore": "apps**/cart.yaml\n"}, "apps/cart.yaml", False),
        ({".sourceignore": "cart.yaml   \r\n"}, "apps/cart.yaml", True),
        ({"apps/.sourceignore": "cart.yaml\n"}, "apps/cart.yaml", True),
        ({"apps/.sourceignore": "cart.yaml\n"}, "infra/cart.yaml", False),
        ({".sourceignore": "cart.yaml\n", "apps/.sourceignore": "!*.yaml\n"}, "apps/cart.yaml", 0),
        ({"apps/.sourceignore": "!*.yaml\n", ".sourceignore": "cart.yaml\n"}, "apps/cart.yaml", 0),
    ],
)
def test_patterns_are_read_as_flux_reads_them(
    lists: dict[str, str], path: str, *, is_left_out: bool
) -> None:
    raw = {name: text.encode() for name, text in lists.items()}
    assert (LeftOut(raw, None).why(path) is not None) is bool(is_left_out)


def with_spec(spec: str) -> dict[str, str]:
    """The repository with more in the spec of its GitRepository."""
    lines = "".join(f"  {line}\n" for line in spec.splitlines())
    head, _, own = SOURCE.partition("spec: {")
    own = own.rstrip().removesuffix("}").replace(", ref", "\n  ref", 1)
    source = f"{head}spec:\n  {own}\n{lines}"
    return APPS | {"clusters/apps.yaml": source + "---\n" + flux("ours")}


LEFT_OUT = {
    "list at the root": (APPLIED | {".sourceignore": "apps/cart/\n"}, ".sourceignore:1"),
    "list in the folder": (
        APPLIED | {"apps/cart/.sourceignore": "# old\n*.yaml\n"},
        "apps/cart/.sourceignore:2",
    ),
    "file of another service of the kustomization": (
        APPLIED
        | {
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml, service.yaml]\n",
            "apps/cart/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: cart}\n",
            ".sourceignore": "service.yaml\n",
        },
        "service.yaml out of what",
    ),
    "kustomization alone": (
        APPLIED
        | {
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n",
            ".sourceignore": "kustomization.yaml\n",
        },
        "kustomization.yaml out of what",
    ),
    "picture that a ConfigMap is generated from": (
        APPLIED
        | {
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n"
            "configMapGenerator: [{name: logo, files: [l=logo.png]}]\n"
        },
        "'\\*.png' leaves apps/cart/logo.png",
    ),
    "picture that a Secret is generated from": (
        APPLIED
        | {
            "apps/cart/kustomization.yaml": "resources: [deployment.yaml]\n"
            "secretGenerator: [{name: logo, envs: [logo.png]}]\n"
        },
        "'\\*.png' leaves apps/cart/logo.png",
    ),
    "pattern of the source": (with_spec("ignore: |\n  # all\n  /*\n  !/clusters"), r"yaml:9: spec"),
    "sparse checkout": (with_spec("sparseCheckout: [clusters]"), "sparseCheckout"),
    "another repository over it": (
        with_spec("include: [{repository: {name: x}, toPath: apps}]"),
        "spec.include",
    ),
    "suspended source": (with_spec("suspend: true"), "it is suspended: no commit is taken"),
    "field of the source that is not known": (with_spec("only: []"), "no such field"),
    "no Flux object for it": (APPS | {".sourceignore": "cart\n"}, ".sourceignore:1"),
    "chart's values": (
        {
            "clusters/r.yaml": SOURCE
            + "---\napiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\n"
            "metadata: {name: cart}\nspec:\n  chart: {spec: {chart: charts/cart, "
            "reconcileStrategy: Revision, sourceRef: {kind: GitRepository, name: ours}}}\n",
            "charts/cart/Chart.yaml": "name: cart\n",
            "charts/cart/values.yaml": "image: {repository: acme/cart, tag: '1'}\n",
            ".sourceignore": "values.yaml\n",
        },
        ".sourceignore:1",
    ),
}


@pytest.mark.parametrize(("files", "why"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_flux_leaves_out_has_no_effect_that_is_known(files: dict[str, str], why: str) -> None:
    found = deployed(files)
    assert isinstance(found, str), "it was deployed"
    assert re.search(why, found), found


TAKEN = {
    "list of something else": APPLIED | {".sourceignore": "docs/\n"},
    "list that takes it back": APPLIED | {".sourceignore": "/*\n!/apps\n"},
    "source that takes it back": with_spec("ignore: '!/apps'") | {".sourceignore": "/*\n"},
    "sparse checkout": with_spec("sparseCheckout: [./apps]"),
    "sparse checkout without the list": with_spec("sparseCheckout: [apps]")
    | {".sourceignore": "apps\n"},
    "another repository beside it": with_spec("include: [{repository: {name: apps-x}}]"),
    "source of another": APPLIED
    | {"clusters/b.yaml": git("other", OURS + "x") + "  # \n", "clusters/.sourceignore": "/x\n"},
}


def test_where_nothing_is_of_flux_its_own_list_leaves_nothing_out() -> None:
    files, _why = LEFT_OUT["picture that a ConfigMap is generated from"]
    found = deployed({p: text for p, text in files.items() if not p.startswith("clusters")})
    assert not isinstance(found, str), found


@pytest.mark.parametrize("files", TAKEN.values(), ids=TAKEN)
def test_what_flux_takes_is_deployed(files: dict[str, str]) -> None:
    found = deployed(files)
    assert not isinstance(found, str), found
    assert ":9@" in found[CART]


def directory(text: str) -> str:
    return (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: cart}\n"
        f"spec: {{source: {{repoURL: {OURS}, path: apps, directory: {{{text}}}}}}}\n"
    )


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("recurse: true", True),
        ("", False),
        ("recurse: true, exclude: '*/service.yaml'", True),
        ("recurse: true, exclude: '*/deployment.yaml'", False),
        ("recurse: true, exclude: '{cart/*,old/*}'", False),
        ("recurse: true, include: '*.yaml'", True),
        ("recurse: true, include: '***.yaml'", True),
        ("recurse: true, include: 'cart/d?ployment.yaml'", True),
        ("recurse: true, include: 'other/*'", False),
        ("recurse: true, include: '[c]art/*'", False),  # not followed
        ("recurse: true, include: '*a*a*a*a*a*a*a*'", False),
        ("recurse: true, include: '*c*r*t*d*yaml*'", True),
        ("recurse: true, include: '*c*r*t*d*m*yaml*'", False),
    ],
)
def test_files_that_an_application_leaves_are_not_deployed(text: str, *, is_taken: bool) -> None:
    found = deployed(APPS | {"argo/cart.yaml": directory(text), ".sourceignore": "apps\n"})
    if is_taken:  # and what is said to Flux is not said to Argo CD
        assert not isinstance(found, str), found
    else:
        assert "is not proven" in found


SYSTEM = {
    "clusters/prod/flux-system/gotk-sync.yaml": git("flux-system", OURS)
    + "---\n"
    + flux("flux-system", name="flux-system", path="./clusters/prod")
}
OTHER = {"clusters/prod/shop.yaml": flux("flux-system", name="shop", path="./apps/shop")}


@pytest.mark.parametrize(
    ("files", "is_taken"),
    [
        (SYSTEM | OTHER, False),
        (SYSTEM, True),  # what applies the rest is not among the files
        (OTHER, True),
        (SYSTEM | OTHER | {"clusters/prod/apps.yaml": flux("flux-system")}, True),
        (SYSTEM | OTHER | {"clusters/prod/apps.yaml": flux("flux-system", path="./${x}")}, True),
        (SYSTEM | OTHER | {"argo.yaml": directory("recurse: true")}, True),
    ],
)
def test_a_folder_that_no_kustomization_of_flux_takes_is_not_deployed(
    files: dict[str, str], *, is_taken: bool
) -> None:
    found = deployed(APPS | files)
    if is_taken:
        assert not isinstance(found, str), found
    else:
        assert "no Flux Kustomization among these files takes it" in found

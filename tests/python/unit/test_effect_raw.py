"""What files that were read tell by themselves is looked for once, and is that of these files."""

from __future__ import annotations

import pytest

from gitops_rollback.effective.raw import Raw

FILES = {
    "apps/cart/deployment.yaml": b"image: acme/cart:1\n",
    "apps/cart/config.yml": b"#@ data\n",
    "apps/.sourceignore": b"docs/\n",
    "apps/helmfile.yaml": b"releases: [{chart: ../charts/cart}]\n",
    "charts/cart/Chart.yaml": b"name: cart\n",
    "charts/cart/templates/a.yaml": b"image: {{ .Values.image }}\n",
    "charts/cart/charts/shop/Chart.yaml": b"name: shop\n",
}
TOLD = ("order", "ignores", "charts", "giving_values", "helmfiles", "of_charts", "of_carvel")


def told(raw: Raw) -> dict[str, object]:
    return {name: getattr(raw, name) for name in TOLD}


@pytest.mark.parametrize(
    ("path", "text", "is_kept"),
    [
        ("apps/cart/deployment.yaml", b"image: acme/cart:2\n", True),
        ("apps/cart/config.yml", b"#@ other data\n", True),
        ("apps/cart/config.yml", b"a: '#@'\n", False),
        ("apps/cart/deployment.yaml", b"apiVersion: kbld.k14s.io/v1alpha1\n", False),
        ("apps/cart/deployment.yaml", b"{'apiVersion': 'kbld.k14s.io/v1alpha1'}\n", False),
        ("apps/cart/deployment.yaml", b'"apiVersion": "kbld.k14s.io/v1alpha1"\n', False),
        ("apps/cart/deployment.yaml", b"# apiVersion: kbld.k14s.io/v1alpha1\n", True),
        ("apps/helmfile.yaml", b"releases: [{chart: ../charts/shop}]\n", True),
        ("apps/helmfile.yaml", b"'releases' : [{'chart' : ../charts/shop}]\n", True),
        ("apps/helmfile.yaml", b"releases: []\n", False),
        ("apps/.sourceignore", b"apps/\n", False),
        ("apps/shop/deployment.yaml", b"image: acme/shop:1\n", False),
        ("charts/cart/charts/basket/Chart.yaml", b"name: basket\n", False),
    ],
)
def test_what_is_known_is_kept_where_a_file_says_the_same_as_before(
    path: str,
    text: bytes,
    is_kept: bool,  # noqa: FBT001
) -> None:
    raw = Raw(FILES)
    before = told(raw)
    after = raw.with_files({path: text})
    assert (vars(after) == before) is is_kept
    assert told(after) == told(Raw({**FILES, path: text}))
    assert told(raw) == before == told(Raw(FILES))


def test_each_thing_is_told_of_the_files_that_have_it() -> None:
    assert told(Raw(FILES)) == {
        "order": {path: number for number, path in enumerate(FILES)},
        "ignores": {"apps/.sourceignore": b"docs/\n"},
        "charts": ["charts/cart/Chart.yaml", "charts/cart/charts/shop/Chart.yaml"],
        "giving_values": [
            "apps/helmfile.yaml",
            "charts/cart/Chart.yaml",
            "charts/cart/charts/shop/Chart.yaml",
        ],
        "helmfiles": ["apps/helmfile.yaml"],
        "of_charts": {
            "charts": [path for path in FILES if path.startswith("charts/")],
            "charts/cart/templates": ["charts/cart/templates/a.yaml"],
            "charts/cart/charts": ["charts/cart/charts/shop/Chart.yaml"],
        },
        "of_carvel": {"apps/cart": ["apps/cart/config.yml"]},
    }


@pytest.mark.parametrize(
    ("path", "is_template"),
    [
        ("charts/cart/templates/a.yaml", True),
        ("charts/cart/templates/web/b.yaml", True),
        ("charts/cart/charts/shop/templates/a.yaml", True),
        ("charts/cart/values.yaml", False),
        ("charts/templates/cart.yaml", False),
        ("apps/templates/cart.yaml", False),
        ("templates", False),
    ],
)
def test_a_file_is_a_template_where_its_chart_is_and_not_by_the_name_of_its_folder(
    path: str, *, is_template: bool
) -> None:
    assert Raw(FILES).is_of_templates(path) is is_template

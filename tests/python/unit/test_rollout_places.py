"""Which live objects manifests become: by root, namespace and name, never by likeness."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.rollout.judge import judge
from gitops_rollback.rollout.standing import State
from gitops_rollback.rollout.target import Place
from unit.test_rollout_proofs import seen, spec, stand, template
from unit.test_rollout_standing import ended

if TYPE_CHECKING:
    from gitops_rollback.rollout.standing import Standing
    from unit.test_rollout_proofs import Found

OLD = "registry.k8s.io/pause:3.8"
CART = Place("apps/cart.yaml", "Deployment", "cart", container="server", is_sure=True)


def in_namespace(namespace: str) -> Place:
    return Place(
        *("apps/cart.yaml", "Deployment", "cart", "", "server"), namespace=namespace, is_sure=True
    )


def copied(objects: Found, namespace: str, name: str = "cart", image: str = "") -> None:
    """Add another Deployment with its pods, of the same labels, to what the Kustomization has."""
    for key in [key for key in objects if key.startswith(("Deployment/", "Pod/"))]:
        one = json.loads(json.dumps(objects[key]).replace("cart", name))
        one["metadata"]["namespace"] = namespace
        pod = one["spec"] if one["kind"] == "Pod" else one["spec"]["template"]["spec"]
        if image:
            pod["containers"][0]["image"] = image
        objects[f"{key}.{namespace}.{name}"] = one
    entries(objects).append({"id": f"{namespace}_{name}_apps_Deployment", "v": "v1"})


def entries(objects: Found, kustomization: str = "apps") -> list[dict[str, Any]]:
    status = objects[f"Kustomization/{kustomization}"]["status"]
    found: list[dict[str, Any]] = status["inventory"]["entries"]
    return found


def second(objects: Found, **more: Any) -> None:  # noqa: ANN401 - fields of a spec
    """Add a second Kustomization for the same path, which has applied nothing of it yet."""
    one = json.loads(json.dumps(objects["Kustomization/apps"]))
    one["metadata"]["name"] = "twin"
    one["spec"].update(more)
    one["status"]["inventory"] = {"entries": []}
    objects["Kustomization/twin"] = one


def lost(standing: Standing) -> str:
    """Return what is said to be missing: the change is not ready for it."""
    assert standing.state is State.APPLYING, standing.message
    assert standing.suspicion is not None
    assert standing.suspicion.code == "missing"
    return standing.suspicion.message


def test_the_same_name_in_another_namespace_is_another_environments() -> None:
    def edit(objects: Found) -> None:
        del spec(objects)["targetNamespace"]
        copied(objects, "staging", image=OLD)

    standing = stand(edit, lands=(in_namespace("shop"),))
    assert standing.state is State.READY, standing.message
    assert "shop/cart" in standing.message
    assert "staging" not in standing.message


def test_what_stands_in_another_namespace_alone_is_not_the_workload_of_git() -> None:
    edit = lambda objects: spec(objects).pop("targetNamespace")  # noqa: E731
    said = lost(stand(edit, lands=(in_namespace("staging"),)))
    assert "Deployment/staging/cart, which Git holds in apps/cart.yaml" in said


def test_the_namespace_that_flux_gives_counts_before_that_of_git() -> None:
    def edit(objects: Found) -> None:
        spec(objects)["targetNamespace"] = "shop"

    standing = stand(edit, lands=(in_namespace("written"),))
    assert standing.state is State.READY, standing.message


def test_a_workload_whose_name_only_resembles_it_is_another_one() -> None:
    def edit(objects: Found) -> None:
        copied(objects, "shop", "cart-worker")
        del objects["Deployment/cart"]
        entries(objects)[:] = [one for one in entries(objects) if "_cart_" not in one["id"]]

    assert "Deployment/cart" in lost(stand(edit, lands=(CART,)))


@pytest.mark.parametrize(
    ("name", "live"), [("cart", {"namePrefix": "prod-"}), ("${WHERE}-cart", {})]
)
def test_a_name_that_flux_makes_is_found(name: str, live: dict[str, str]) -> None:
    def edit(objects: Found) -> None:
        spec(objects).update(live)
        objects["Deployment/cart"]["metadata"]["name"] = "prod-cart"
        for key in [key for key in objects if key.startswith("Pod/")]:
            for owner in objects[key]["metadata"].get("ownerReferences", []):
                owner["name"] = f"prod-{owner['name']}"
        one = next(one for one in entries(objects) if "_cart_" in one["id"])
        one["id"] = one["id"].replace("_cart_", "_prod-cart_")

    place = Place("apps/cart.yaml", "Deployment", name, container="server", is_sure=True)
    standing = stand(edit, lands=(place,))
    assert standing.state is State.READY, standing.message


def test_each_kustomization_of_a_path_has_to_have_the_workload() -> None:
    said = lost(stand(lambda objects: second(objects, targetNamespace="twin"), lands=(CART,)))
    assert "Deployment/cart (of Kustomization/shop/twin)" in said


def test_two_kustomizations_of_a_path_are_both_proven() -> None:
    def edit(objects: Found) -> None:
        second(objects, targetNamespace="twin")
        copied(objects, "twin", image=OLD)
        entries(objects, "twin").append(entries(objects).pop())
        spec(objects)["targetNamespace"] = "shop"

    standing = stand(edit, lands=(CART,))
    assert standing.state is State.APPLYING, standing.message
    assert f"Deployment/twin/cart to be told, it has {OLD}" in standing.message


def test_an_overlay_that_nothing_here_applies_is_named_and_what_it_holds_is_not_proven() -> None:
    elsewhere = Place(
        *("apps/cart.yaml", "Deployment", "cart", "west/kustomization.yaml", "server"),
        namespace="west",
        is_sure=True,
    )
    standing = stand(lambda _objects: None, lands=(CART, elsewhere))
    assert standing.state is State.APPLIED, standing.message
    [warning] = standing.warnings
    assert warning.startswith(
        "Deployment/west/cart is not looked at: nothing here applies west/kustomization.yaml"
    )
    assert "--kube-context" in warning


@pytest.mark.parametrize("path", ["apps/cart.yaml", "west/cart.yaml"])
def test_what_another_cluster_applies_is_left_to_who_follows_it_there(path: str) -> None:
    """By an overlay of the same base, or by a file of its own."""
    overlay = "west/kustomization.yaml" if path == "apps/cart.yaml" else ""
    theirs = Place(path, "Deployment", "cart", overlay, "server", namespace="west", is_sure=True)
    target, objects = ended()
    target = replace(target, places=(CART, theirs), lands=(CART, theirs))
    view = seen(target, objects, elsewhere=theirs.applied)
    assert view is not None
    assert judge(target, view).state is State.READY
    alone = seen(target, objects)
    assert alone is not None
    assert judge(target, alone).state is not State.READY


def test_a_kind_of_another_operator_is_not_taken_for_one_of_kubernetes() -> None:
    def edit(objects: Found) -> None:
        template(objects)["image"] = OLD
        one = next(one for one in entries(objects) if "_cart_" in one["id"])
        one["id"] = one["id"].replace("_apps_Deployment", "_apps.kruise.io_Deployment")

    standing = stand(edit, lands=(CART,))
    assert standing.state is State.APPLIED, standing.message
    assert any("of another API than Kubernetes' own" in one for one in standing.warnings)


def test_of_two_sources_the_one_that_has_not_fetched_the_change_is_judged() -> None:
    def edit(objects: Found) -> None:
        source = objects["GitRepository/shop"]
        late = json.loads(json.dumps(source))
        late["metadata"]["name"] = "late"
        late["spec"]["suspend"] = True
        late["status"]["artifact"]["revision"] = f"main@sha1:{'e' * 40}"
        objects["GitRepository/late"] = late
        second(objects, sourceRef={"kind": "GitRepository", "name": "late"})
        status = objects["Kustomization/twin"]["status"]
        status["lastAppliedRevision"] = status["lastAttemptedRevision"] = f"main@sha1:{'e' * 40}"

    standing = stand(edit, lands=(CART,))
    assert standing.state is not State.READY
    assert "GitRepository/shop/late" in standing.message

"""A rollback stays until a person releases it: markers, policies, people, and builds under way."""

from __future__ import annotations

import pytest

from integration.shop import CART, CART_PATH, Shop, image

RELEASE = ("--service", "cart", "--reason", "calm again")
POLICY_PATH = "clusters/flux/policies.yaml"
POLICY = """\
apiVersion: image.toolkit.fluxcd.io/v1
kind: ImagePolicy
metadata:
  name: cart
  namespace: flux-system
spec:
  imageRepositoryRef: {name: cart}
  policy:
    semver:
      range: '>=1.0.0'   # everything
"""
MARKER = '{"$imagepolicy": "flux-system:cart"}'
HELD_MARKER = MARKER.replace("policy", "policy-held", 1)


@pytest.fixture
def automated(held: Shop) -> Shop:
    """The cart held at 1.4.2, with a policy that takes every version."""
    held.commit({POLICY_PATH: POLICY})
    return held


def test_release_is_refused_while_the_policy_would_take_the_bad_image_again(
    automated: Shop,
) -> None:
    run = automated.refused(6, "refused", "release", *RELEASE)
    assert run.error["code"] == "automation"
    assert f"{POLICY_PATH}:10, semver >=1.0.0" in run.error["message"]
    assert "1.5.0" in run.error["message"]
    assert "range: '>=1.0.0 !=1.5.0'" in run.error["hint"]
    automated.edit("'>=1.0.0'", "'>=1.0.0 !=1.5.0'", POLICY_PATH)
    automated.ok("release", *RELEASE)
    assert f"# {MARKER}" in automated.text()


def test_a_newer_good_image_ends_the_hold_although_the_policy_is_wide(automated: Shop) -> None:
    older = ("--service", "cart", "--image", image("1.4.9"), "--release")
    assert automated.refused(6, "refused", "deploy", *older).error["code"] == "automation"
    automated.deploy("1.5.1", "--release")
    assert f'{image("1.5.1")}" # {MARKER}' in automated.text()
    assert "hold" not in automated.state()


def test_a_policy_that_is_not_in_the_repository_cannot_be_judged(held: Shop) -> None:
    held.commit({"broken.yaml": "kind: ImagePolicy\n\tmetadata: x\n"})
    run = held.refused(6, "refused", "release", *RELEASE)
    assert "cannot be judged: the repository does not hold it" in run.error["message"]
    assert "broken.yaml" in run.error["message"]
    assert "--accept automation" in run.error["hint"]
    held.ok("release", *RELEASE, "--accept", "automation")


def test_the_policy_of_another_environment_is_not_ours(shop: Shop) -> None:
    toml = '[environments.a]\npath = "a"\n[environments.b]\npath = "b"\n'
    wide = POLICY.replace("'>=1.0.0'", "'*'")
    shop.commit(
        {
            ".gitops-rollback.toml": toml,
            "a/cart.yaml": CART,
            "b/cart.yaml": CART,
            "b/policy.yaml": wide,
            "policies/cart.yaml": POLICY.replace(">=1.0.0", "1.4.x"),
        }
    )
    for name in ("a", "b"):
        shop.deploy("1.5.0", "--environment", name)
        shop.roll_back("--environment", name)
    shop.ok("release", *RELEASE, "--environment", "a")
    run = shop.refused(6, "refused", "release", *RELEASE, "--environment", "b")
    assert "b/policy.yaml" in run.error["message"]
    assert CART_PATH not in shop.changed()

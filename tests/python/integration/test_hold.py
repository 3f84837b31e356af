"""A rollback stays until a person releases it: markers, policies, people, and builds under way."""

from __future__ import annotations

import pytest

from integration.shop import CART, CART_PATH, CART_STATE, Shop, canonical, image

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


def test_two_fields_with_policies_of_their_own_are_held_and_restored(shop: Shop) -> None:
    second = (
        '      - name: old\n        image: acme/cart:1.4.1 # {"$imagepolicy":"apps:cart-old:tag"}\n'
    )
    both = CART.replace(
        "        - image: envoy", second.replace("      -", "        -") + "        - image: envoy"
    )
    both = both.replace(
        "\n        image: acme/cart:1.4.1 #", "\n          image: acme/cart:1.4.1 #"
    )
    shop.commit({CART_PATH: both})
    shop.deploy("1.5.0")
    shop.roll_back()
    assert shop.text() == both.replace('"$imagepolicy"', '"$imagepolicy-held"')
    markers = [marker["marker"] for marker in shop.state()["hold"]["markers"]]
    assert markers == [MARKER, '{"$imagepolicy":"apps:cart-old:tag"}']
    narrow = POLICY.replace(">=1.0.0", "1.4.x")
    shop.commit({POLICY_PATH: narrow})
    run = shop.refused(6, "refused", "release", *RELEASE)
    assert "ImagePolicy apps:cart-old" in run.error["message"]
    shop.commit(
        {"apps/old.yaml": narrow.replace("name: cart\n  namespace: flux-system", "name: cart-old")}
    )
    shop.ok("release", *RELEASE)
    assert shop.text() == both


def test_a_marker_that_people_removed_while_held_is_told_of_when_the_hold_ends(held: Shop) -> None:
    held.edit(f" # {HELD_MARKER}", "")
    [hold] = held.holds()
    run = held.ok("release", *RELEASE)
    [warning] = run.service()["warnings"]
    assert f"warning: {warning}" in run.stderr
    assert warning.startswith(f"{CART_PATH}:23: the marker of container 'server' was removed")
    assert f"# {MARKER}" in warning
    assert "hold" not in held.state()
    assert held.holds() == []
    assert held.changed() == [hold, CART_STATE]


def test_a_file_that_was_moved_while_held_keeps_its_marker(held: Shop) -> None:
    listed = held.text("apps/kustomization.yaml").replace("cart/deployment.yaml", "shop/cart.yaml")
    files = {"apps/shop/cart.yaml": held.text(), "apps/kustomization.yaml": listed}
    held.commit({CART_PATH: None, **files})
    held.commit({"apps/shop/p.yaml": POLICY.replace(">=1.0.0", "1.4.x")})
    run = held.ok("release", *RELEASE)
    assert run.service()["warnings"] == []
    assert f"# {MARKER}" in held.text("apps/shop/cart.yaml")


def test_a_container_that_was_replaced_while_held_is_told_of(automated: Shop) -> None:
    text = automated.text().replace("name: server", "name: web").replace(f" # {HELD_MARKER}", "")
    automated.commit({CART_PATH: text})
    run = automated.deploy("1.6.0", "--release")
    [warning] = run.service()["warnings"]
    assert "no longer has the container 'server' whose marker was held" in warning
    assert f"({CART_PATH}:23): # {MARKER}" in warning


def test_a_lost_state_file_ends_no_hold_and_a_release_puts_its_markers_back(held: Shop) -> None:
    held.commit({CART_STATE: None})
    fix = ("--service", "cart", "--image", image("1.6.0"))
    run = held.refused(6, "refused", "deploy", *fix)
    assert run.error["code"] == "held"
    [hold] = held.holds()
    run = held.refused(6, "refused", "release", *RELEASE)
    assert run.error["code"] == "automation", "what is bad is not forgotten either"
    held.ok("release", *RELEASE, "--accept", "automation")
    assert f"# {MARKER}" in held.text()
    assert held.holds() == []
    assert {hold, CART_PATH} <= set(held.changed())
    assert "hold" not in held.state()


def test_where_all_is_lost_that_tells_of_a_hold_a_release_puts_its_markers_back(held: Shop) -> None:
    held.commit({CART_PATH: held.text()}, "Begin anew", branch="anew")  # without its history
    held.git("update-ref", "refs/heads/main", "anew")
    run = held.deploy("1.6.0")
    assert "is out of action although nothing is held" in run.service()["warnings"][0]
    held.ok("release", *RELEASE)
    assert f"# {MARKER}" in held.text()
    assert held.changed() == [CART_PATH]


def test_an_edit_by_hand_while_held_keeps_the_hold_and_the_next_rollback_goes_below_it(
    held: Shop,
) -> None:
    held.edit(image("1.4.2"), image("1.4.9"), by="Ben Roe")
    refused = ("--service", "cart", "--image", image("1.6.0"))
    run = held.refused(6, "refused", "deploy", *refused)
    assert "by jane" in run.error["message"]
    assert "(checkout fails)" in run.error["message"]
    run = held.roll_back()
    assert run.service()["to"].startswith("docker.io/acme/cart:1.4.2@")
    state = held.state()
    assert [entry["image"].split("@")[0] for entry in state["bad"]] == [
        "docker.io/acme/cart:1.4.9",
        "docker.io/acme/cart:1.5.0",
    ]
    assert len(state["hold"]["markers"]) == 1


def test_a_rollback_of_a_rollback_goes_forward_by_name_and_the_hold_goes_on(held: Shop) -> None:
    forward = ("--to", "1.5.0", "--again")
    run = held.refused(6, "refused", "rollback", "--service", "cart", "--reason", "x", *forward)
    assert run.error["code"] == "bad"
    held.roll_back(*forward, "--accept", "bad")
    state = held.state()
    assert [entry["image"].split(":")[1].split("@")[0] for entry in state["bad"]] == ["1.4.2"]
    assert state["hold"]["to"].startswith("docker.io/acme/cart:1.5.0@")
    assert [marker["marker"] for marker in state["hold"]["markers"]] == [MARKER]
    assert HELD_MARKER in held.text()


def test_a_marker_that_people_hold_themselves_is_no_reason_to_refuse_a_deploy(held: Shop) -> None:
    """Nothing is held, so nothing ends, and the marker stays as it is."""
    held.commit({".gitops-rollback.toml": '[defaults]\nhold = "image"\n'})
    held.ok("release", *RELEASE, "--accept", "automation")
    held.edit("$imagepolicy", "$imagepolicy-held")
    run = held.deploy("1.4.9")
    assert "out of action although nothing is held" in run.service()["warnings"][0]
    assert HELD_MARKER in held.text()


REPAIR = ("history", "--service", "cart", "--repair", "--by", "jane")


def test_a_broken_state_file_is_rebuilt_as_it_was_with_hold_and_bad_list(held: Shop) -> None:
    before = held.bytes_of(CART_STATE)
    held.commit({CART_STATE: before[:-20]}, "Merge by hand")
    run = held.refused(1, "repository", "plan", "--service", "cart")
    assert CART_STATE in run.error["message"]
    assert "history --repair --service cart" in run.error["hint"]
    tip = held.tip()
    assert held.ok(*REPAIR, "--dry-run").result["changed"] is True
    assert held.tip() == tip
    held.ok(*REPAIR)
    assert held.bytes_of(CART_STATE) == before
    assert held.changed() == [CART_STATE]
    assert held.log()[0] == "cart: 1.4.2 (repair)"
    assert held.ok(*REPAIR).result["changed"] is False


def test_a_state_file_that_was_edited_by_hand_is_put_right(held: Shop) -> None:
    before = held.bytes_of(CART_STATE)
    text = held.text(CART_STATE).replace(canonical("1.5.0"), canonical("1.4.9"))
    held.commit({CART_STATE: text}, "Tidy up")
    held.ok(*REPAIR)
    assert held.bytes_of(CART_STATE) == before


def test_a_git_revert_is_no_edit_that_a_repair_takes_back(held: Shop) -> None:
    rollback = held.tip() or ""
    message = f'Revert "cart: 1.5.0"\n\nThis reverts commit {rollback}.\n'
    [began] = held.holds()
    before = {path: held.bytes_of(path, "main~1") for path in (CART_PATH, CART_STATE)}
    held.commit({**before, began: None}, message)
    assert held.ok(*REPAIR).result["changed"] is False


def test_without_a_sound_version_commits_and_records_tell_what_was_deployed(held: Shop) -> None:
    import subprocess  # noqa: PLC0415 - the one test that rewrites history

    broken = "$(echo '{' | git hash-object -w --stdin)"
    script = f"git update-index --add --cacheinfo 100644,{broken},{CART_STATE}"
    subprocess.run(
        ["git", "filter-branch", "-f", "--index-filter", script, "main"],
        cwd=held.bare,
        env={**held.environment, "FILTER_BRANCH_SQUELCH_WARNING": "1"},
        capture_output=True,
        check=True,
    )
    run = held.ok(*REPAIR)
    assert "rebuilt from commits and records" in run.stderr
    state = held.state()
    assert [entry["action"] for entry in state["deployed"]] == ["rollback", "deploy", "deploy"]
    assert [entry["image"] for entry in state["bad"]] == [canonical("1.5.0")]
    assert state["hold"]["reason"] == "checkout fails"
    assert [marker["marker"] for marker in state["hold"]["markers"]] == [MARKER]
    plan = held.ok("plan", "--service", "cart").service()
    assert plan["blockedBy"][0]["code"] == "already"


def test_where_nothing_tells_of_a_deployment_there_is_nothing_to_rebuild(shop: Shop) -> None:
    shop.commit({CART_STATE: "{"})
    run = shop.refused(4, "not-found", *REPAIR)
    assert "nothing to rebuild" in run.error["message"]

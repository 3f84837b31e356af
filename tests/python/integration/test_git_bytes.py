"""Whatever a manifest looks like, nothing of it changes but the image."""

from __future__ import annotations

import pytest

from integration.shop import CART, CART_PATH, Shop, image

STATE = ".gitops-rollback/default/cart.json"


def test_an_executable_manifest_stays_executable(shop: Shop) -> None:
    shop.commit({CART_PATH: CART}, mode="100755")
    shop.deploy("1.5.0")
    assert shop.git("ls-tree", "main", CART_PATH).startswith("100755 blob")
    assert shop.git("ls-tree", "main", STATE).startswith("100644 blob")


@pytest.mark.parametrize(
    "text",
    [
        CART.replace("\n", "\r\n"),
        "\ufeff" + CART,
        "\ufeff" + CART.replace("\n", "\r\n"),
        CART.rstrip("\n"),
        CART + "\n\n# the end, with blanks  \n\t\n".replace("\t", ""),
        CART.replace("héllo", "日本語 🚀 \u2028 x"),
    ],
    ids=["crlf", "bom", "bom and crlf", "no newline at the end", "blanks", "unicode"],
)
def test_line_ends_byte_order_marks_and_unicode_survive(shop: Shop, text: str) -> None:
    shop.commit({CART_PATH: text})
    shop.deploy("1.5.0")
    assert shop.bytes_of(CART_PATH) == text.replace("acme/cart:1.4.1", image("1.5.0")).encode()
    shop.roll_back()
    held = text.replace('{"$imagepolicy"', '{"$imagepolicy-held"')
    assert shop.bytes_of(CART_PATH) == held.encode()


def test_git_attributes_of_the_repository_are_ignored(shop: Shop) -> None:
    shop.commit(
        {
            ".gitattributes": "* text=auto eol=crlf working-tree-encoding=UTF-16\n*.yaml ident\n",
            CART_PATH: CART.replace("\n", "\r\n") + "# $Id$\r\n",
        }
    )
    before = shop.bytes_of(CART_PATH)
    shop.deploy("1.5.0")
    expected = before.replace(b"acme/cart:1.4.1", image("1.5.0").encode())
    assert shop.bytes_of(CART_PATH) == expected


def test_the_users_git_configuration_does_not_change_bytes(shop: Shop) -> None:
    (shop.home / ".gitconfig").write_text(
        "[core]\nautocrlf = true\nsafecrlf = true\nquotePath = true\n"
        "[fetch]\nprune = true\n[push]\ndefault = nothing\n[init]\ndefaultBranch = other\n"
        "[transfer]\nfsckObjects = true\n[log]\nshowSignature = true\n[color]\nui = always\n"
    )
    shop.commit({CART_PATH: CART.replace("\n", "\r\n")})
    shop.deploy("1.5.0")
    assert shop.bytes_of(CART_PATH).count(b"\r\n") == CART.count("\n")
    shop.commit({STATE: None})
    plan = shop.ok("plan", "--service", "cart", "--strategy", "git").service()
    assert plan["to"]["image"] == "docker.io/acme/cart:1.4.1"
    shop.roll_back()


@pytest.mark.parametrize(
    "path",
    ['apps/with space/cart\'s "own".yaml', "apps/ünïcødé/日本.yaml", "apps/back\\slash.yaml"],
)
def test_paths_with_blanks_quotes_and_unicode_work(shop: Shop, path: str) -> None:
    shop.commit({CART_PATH: None, path: CART})
    shop.deploy("1.5.0")
    assert shop.text(path) == CART.replace("acme/cart:1.4.1", image("1.5.0"))
    run = shop.roll_back()
    assert run.service()["edits"][0]["path"] == path
    assert shop.records.read(1)["manifests"][0]["path"] == path


def test_links_and_submodules_are_not_followed(shop: Shop) -> None:
    shop.commit({"apps/link.yaml": "cart/deployment.yaml"}, mode="120000")
    shop.deploy("1.5.0")
    assert shop.git("ls-tree", "main", "apps/link.yaml").startswith("120000 blob")
    assert shop.changed() == [STATE, CART_PATH]

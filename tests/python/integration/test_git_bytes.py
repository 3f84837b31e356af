"""Whatever a manifest looks like, nothing of it changes but the image."""

from __future__ import annotations

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.repo.repository import Repository
from integration.shop import CART, CART_PATH, FILES, Shop, digest, image

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
    ['apps/with space/cart\'s "own".yaml', "apps/ünïcødé/日本.yaml", "edge/%5C.yaml"],
)
def test_paths_with_blanks_quotes_and_unicode_work(shop: Shop, path: str) -> None:
    shop.commit({CART_PATH: None, "apps/kustomization.yaml": None, path: CART})
    shop.deploy("1.5.0")
    assert shop.text(path) == CART.replace("acme/cart:1.4.1", image("1.5.0"))
    run = shop.roll_back()
    assert run.service()["edits"][0]["path"] == path
    assert shop.records.read(1)["manifests"][0]["path"] == path


def test_a_path_that_no_record_could_name_is_refused_before_anything_is_written(
    shop: Shop,
) -> None:
    tip = shop.commit({CART_PATH: None, "edge/back\\slash.yaml": CART})
    run = shop.run("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert run.code == 1
    assert r"the path 'edge/back\\slash.yaml' is no plain path" in run.error["message"]
    assert "without control characters and backslashes" in run.error["hint"]
    assert shop.tip() == tip
    shop.git("fast-import", "--quiet", stdin=_renamed(tip))
    shop.deploy("1.5.0")


def _renamed(tip: str) -> bytes:
    """Return the commit that the hint advises."""
    head = "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
    return f'{head}data 4\nmove\nfrom {tip}\nR "edge/back\\\\slash.yaml" edge/cart.yaml\n'.encode()


def test_some_files_are_found_among_all_that_were_listed_as_git_finds_them(shop: Shop) -> None:
    """Once all files of a commit are listed, git is asked no more: so the answer must be its."""
    names = (
        "a/x",
        "a/b/y",
        "a-/x",
        "a.yaml",
        "a0",
        "ab",
        "a/\xdf",
        "z\U0001f600/x",
        "z\uffee/x",
        "q",
    )
    tip = shop.commit({name: name for name in names})
    latin = b"commit refs/heads/main\ncommitter x <x> 0 +0000\ndata 1\nx\nfrom " + tip.encode()
    latin += b'\nM 100755 inline "z\\337/x"\ndata 1\nx\nM 120000 inline a/link\ndata 1\nx\n'
    shop.git("fast-import", "--quiet", stdin=latin)
    asked = (
        ["a"],
        ["a", "a/b"],
        ["a.yaml", "none", "z"],
        ["z\udcdf"],
        ["q/", "a/x", "a/x"],
        ["a/link"],
    )
    with Repository(str(shop.bare), shop.environment, Deadline(60)) as repository:
        commit = repository.open(None).commit
        by_git = [sorted(repository.list_files(commit, paths)) for paths in asked]
        folders = [sorted(repository.list_folders(commit, path)) for path in ("a", "apps", "none")]
        everything = repository.list_files(commit, [""])
        assert [sorted(repository.list_files(commit, paths)) for paths in asked] == by_git
        found = [sorted(repository.list_folders(commit, path)) for path in ("a", "apps", "none")]
    assert found == folders
    assert len(everything) == len(FILES) + len(names) + 1
    assert [len(found) for found in by_git] == [3, 3, 1, 1, 1, 0]


def test_links_and_submodules_are_not_followed(shop: Shop) -> None:
    shop.commit({"apps/link.yaml": "cart/deployment.yaml"}, mode="120000")
    shop.deploy("1.5.0")
    assert shop.git("ls-tree", "main", "apps/link.yaml").startswith("120000 blob")
    assert shop.changed() == [STATE, CART_PATH]


def _is_alone_in_its_commit(shop: Shop, files: int) -> None:
    """Deploy and roll back; nothing but the manifest, its state file and the hold may differ."""
    before = shop.git("ls-tree", "-r", "main").splitlines()
    shop.deploy("1.5.0")
    shop.deploy("1.6.0")
    shop.roll_back()
    assert image("1.5.0") in shop.text()
    after = shop.git("ls-tree", "-r", "main").splitlines()
    assert len(after) == files + 2
    differ = {line.partition("\t")[2] for line in set(before) ^ set(after)}
    assert differ == {CART_PATH, STATE, f".gitops-rollback/.held/{shop.state()['hold']['id']}.json"}
    shop.git("fsck", "--strict")


def test_pointers_of_large_files_stay_pointers(shop: Shop) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid {digest('film')}\nsize 123456\n"
    attributes = "*.mp4 filter=lfs diff=lfs merge=lfs -text\n*.yaml filter=lfs\n"
    paths = ("apps/cart/film.mp4", "apps/cart/large.yaml")
    (shop.home / ".gitconfig").write_text(
        '[filter "lfs"]\nclean = not-here\nsmudge = not-here\nprocess = not-here\nrequired = true\n'
    )
    shop.commit({".gitattributes": attributes, **dict.fromkeys(paths, pointer)})
    _is_alone_in_its_commit(shop, 8)
    for path in paths:
        assert shop.text(path) == pointer


def test_a_submodule_stays_at_its_commit(shop: Shop) -> None:
    modules = '[submodule "base"]\n\tpath = apps/cart/base\n\turl = ../nobody-has-it.git\n'
    tip = shop.commit({".gitmodules": modules})
    elsewhere = "1234567890" * 4
    lines = (
        "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
        f"data 3\nadd\nfrom {tip}\nM 160000 {elsewhere} apps/cart/base\n"
    )
    shop.git("fast-import", "--quiet", stdin=lines.encode())
    _is_alone_in_its_commit(shop, 7)
    entry = shop.git("ls-tree", "main", "apps/cart/base")
    assert entry == f"160000 commit {elsewhere}\tapps/cart/base"


IN_THE_WAY = {
    "a link": ".gitops-rollback",
    "a submodule": ".gitops-rollback/default",
    "a file": ".gitops-rollback/default",
    "a folder": STATE,
}


@pytest.mark.parametrize(("what", "way"), IN_THE_WAY.items())
def test_what_stands_where_the_state_belongs_is_not_taken_away(
    shop: Shop, what: str, way: str
) -> None:
    entries = {
        "a link": f"M 120000 inline {way}\ndata 4\n/etc\n",
        "a submodule": f"M 160000 {'1234567890' * 4} {way}\n",
        "a file": f"M 100644 inline {way}\ndata 2\nx\n\n",
        "a folder": f"M 100644 inline {way}/x.txt\ndata 2\nx\n\n",
    }
    lines = (
        "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
        f"data 3\nadd\nfrom {shop.tip()}\n{entries[what]}"
    )
    shop.git("fast-import", "--quiet", stdin=lines.encode())
    before = shop.git("ls-tree", "-r", "main")
    run = shop.refused(1, "repository", "plan", "--service", "cart")
    assert f"{STATE} is not read: {way} is a link, a submodule, or a file" in run.error["message"]
    assert shop.run("check", "--service", "cart").code == 1
    run = shop.run("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert (run.code, run.error["category"]) == (1, "repository")
    assert not shop.store.exists(), "no record is filed"
    assert shop.git("ls-tree", "-r", "main") == before


@pytest.mark.parametrize("what", ["link", "submodule", "folder"])
def test_a_configuration_that_is_no_file_is_not_passed_over(shop: Shop, what: str) -> None:
    config = ".gitops-rollback.toml"
    shop.commit({config: None, "config.toml": '[defaults]\nhold = "image"\n'})
    entry = {
        "link": f"M 120000 inline {config}\ndata 11\nconfig.toml\n",
        "submodule": f"M 160000 {'1234567890' * 4} {config}\n",
        "folder": f"M 100644 inline {config}/a.toml\ndata 2\nx\n\n",
    }[what]
    lines = (
        "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
        f"data 3\nadd\nfrom {shop.tip()}\n{entry}"
    )
    shop.git("fast-import", "--quiet", stdin=lines.encode())
    run = shop.refused(1, "repository", "plan", "--service", "cart")
    assert f"{config} is not read" in run.error["message"]


@pytest.mark.parametrize("name", [".GitOps-Rollback.toml", ".gitops-rollback.TOML"])
def test_a_configuration_in_odd_case_is_not_passed_over(shop: Shop, name: str) -> None:
    shop.commit({name: '[defaults]\nstorage-guard = "refuse"\n'})
    run = shop.refused(1, "config", "plan", "--service", "cart")
    assert f"{name} is not read" in run.error["message"]
    shop.commit({".gitops-rollback.toml": ""})
    shop.ok("deploy", "--service", "cart", "--image", image("1.5.0"))


def test_what_stands_where_a_hold_belongs_is_not_taken_away(shop: Shop) -> None:
    shop.deploy("1.5.0")
    shop.commit({".gitops-rollback/.held": "mine"})
    before = sorted(shop.store.rglob("*"))
    run = shop.run("rollback", "--service", "cart", "--reason", "slow")
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "is not read: .gitops-rollback/.held is a link" in run.error["message"]
    assert shop.text(".gitops-rollback/.held") == "mine"
    assert sorted(shop.store.rglob("*")) == before, "no record is filed"


def replace_folder(shop: Shop, entries: list[tuple[str, str, str]]) -> None:
    """Commit another folder of the cart's manifests, whatever git thinks of it."""
    packed = (f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries)
    tree = ("hash-object", "-t", "tree", "-w", "--stdin", "--literally")
    made = shop.git(*tree, stdin=b"".join(packed))
    lines = (
        "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
        f"data 3\nadd\nfrom {shop.tip()}\nM 040000 {made} apps/cart\n"
    )
    shop.git("fast-import", "--quiet", stdin=lines.encode())


def test_a_path_that_stands_twice_in_a_commit_is_not_guessed_at(shop: Shop) -> None:
    name = CART_PATH.rpartition("/")[2]
    other = shop.git("hash-object", "-w", "--stdin", stdin=CART.replace("1.4.1", "6.6.6").encode())
    oid = shop.git("rev-parse", f"main:{CART_PATH}")
    replace_folder(shop, [("100644", name, oid), ("100644", name, other)])
    run = shop.run("deploy", "--service", "cart", "--image", image("1.5.0"))
    assert (run.code, run.error["category"]) == (1, "repository")
    assert f"{CART_PATH} stands twice in one commit" in run.error["message"]


def test_a_file_of_an_old_git_s_mode_is_a_file(shop: Shop) -> None:
    name = CART_PATH.rpartition("/")[2]
    replace_folder(shop, [("100664", name, shop.git("rev-parse", f"main:{CART_PATH}"))])
    shop.deploy("1.5.0")
    assert image("1.5.0") in shop.text()


def test_files_of_others_beside_the_state_files_are_none_of_ours(shop: Shop) -> None:
    shop.deploy("1.5.0")
    folder = ".gitops-rollback/default"
    shop.commit(
        {
            f"{folder}/README.md": "hello",
            f"{folder}/kustomization.yaml": "x",
            f"{folder}/a/b.json": "x",
        }
    )
    shop.take_back(STATE)  # so that all names that there are, are looked through
    shop.ok("plan", "--service", "cart")
    shop.deploy("1.6.0")


def test_names_that_differ_in_case_only_are_different_files(shop: Shop) -> None:
    other = CART.replace("name: cart", "name: CART").replace("acme/cart", "acme/other")
    other = other.replace("flux-system:cart", "flux-system:other")  # a policy's markers go together
    paths = ("apps/cart/Deployment.yaml", "apps/Cart/deployment.yaml", "readme.md")
    shop.commit({paths[0]: other, paths[1]: other.replace("CART", "Cart"), paths[2]: "other\n"})
    _is_alone_in_its_commit(shop, 8)


def test_a_folder_of_20000_files_stays_as_it_is(shop: Shop) -> None:
    tip = shop.tip()
    head = "commit refs/heads/main\ncommitter Jane Doe <jane@acme.example> 1700000000 +0000\n"
    lines = [f"{head}data 4\nmany\nfrom {tip}\n"]
    for number in range(20_000):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}}}\n"
        lines.append(f"M 100644 inline apps/many/{number:05}.txt\ndata {len(text)}\n{text}\n")
    shop.git("fast-import", "--quiet", stdin="".join(lines).encode())
    _is_alone_in_its_commit(shop, 20_005)


def test_what_is_pushed_is_compressed_for_the_server_keeps_it_as_it_is_sent(shop: Shop) -> None:
    shop.deploy("1.4.2")
    state = "main:.gitops-rollback/default/cart.json"
    told = shop.git(
        "cat-file", "--batch-check=%(objectsize) %(objectsize:disk)", stdin=f"{state}\n".encode()
    )
    size, on_disk = map(int, told.split())
    assert on_disk < size * 2 / 3

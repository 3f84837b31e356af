"""A repository, a store and a server that mean harm: one clear end, in time, in little memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from integration.shop import CART, CART_PATH, COMMAND, Shop, image
from servers.any_answer import AnyAnswer

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAN = ("plan", "--service", "cart")
UNDO = ("rollback", "--service", "cart", "--reason", "x")
MOST_MEMORY = 512  # MB


# What is measured begins with as much memory as who starts it has: so somebody small does.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024))
sys.exit(code)
"""


class Peak:
    """Runs the command as a process of its own and keeps how much memory it took, in MB."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.memory = 0

    def run(self, *arguments: str) -> tuple[int, str]:
        peak = self.shop.root / "peak"
        line = [sys.executable, "-I", "-c", MEASURE, str(peak), str(COMMAND), *arguments]
        done = subprocess.run(
            [*line, "--repository", str(self.shop.bare)],
            env=self.shop.environment,
            cwd=self.shop.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        self.memory = int(peak.read_text())
        return done.returncode, done.stdout.decode()


def bomb(shop: Shop, levels: int, wide: int = 10) -> None:
    """Commit trees of which each names the next some times: wide ** levels files."""

    def store(kind: str, data: bytes) -> str:
        return shop.git("hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=data)

    def tree(entries: Sequence[tuple[str, str, str]]) -> str:
        lines = (f"{mode} {name}\0".encode() + bytes.fromhex(oid) for mode, name, oid in entries)
        return store("tree", b"".join(lines))

    blob = store("blob", CART.encode())
    inner = tree([("100644", f"{n}.yaml", blob) for n in range(wide)])
    for _level in range(levels - 1):
        inner = tree([("40000", str(n), inner) for n in range(wide)])
    top = tree([("40000", "bomb", inner), ("100644", "cart.yaml", blob)])
    person = "x <x@x.example> 0 +0000"
    text = f"tree {top}\nauthor {person}\ncommitter {person}\n\nx"
    shop.git("update-ref", "refs/heads/main", store("commit", text.encode()))


@pytest.mark.parametrize("command", [PLAN, UNDO, ("services",), ("history", "--service", "cart")])
def test_a_commit_that_names_a_billion_files_is_not_read(
    shop: Shop, command: tuple[str, ...]
) -> None:
    bomb(shop, 9)
    peak = Peak(shop)
    code, said = peak.run(*command)
    assert code == 1, said
    assert "names more than 500000 files" in said or "says more than 100 MB" in said
    assert "on a branch, that has them alone" in said
    assert peak.memory < MOST_MEMORY


@pytest.mark.parametrize("command", [PLAN, UNDO, ("services",), ("history", "--service", "cart")])
def test_a_commit_too_large_for_the_memory_of_git_is_told_as_such(
    released: Shop, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.setattr("gitops_rollback.repo.process._MOST_MEMORY", 60_000_000)
    before, tree = released.git("rev-parse", "main", "main^{tree}").split()
    person = "x <x@x.example> 1700000000 +0000"
    head = f"tree {tree}\nparent {before}\nauthor {person}\ncommitter {person}\n\nlarge\n\n"
    large = head.encode() + b"x y\n" * 20_000_000
    commit = released.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=large)
    released.git("update-ref", "refs/heads/main", commit)
    run = released.run(*command)
    assert (run.code, run.error["category"]) == (1, "repository")
    assert "needs more than 60 MB of memory" in run.error["message"]
    released.git("update-ref", "refs/heads/other", before)
    assert released.run(*command, "--branch", "other").code == 0
    assert released.git("rev-parse", "main") == commit


def test_beside_a_commit_of_too_many_files_a_branch_of_the_manifests_alone_is_read(
    released: Shop,
) -> None:
    released.git("branch", "manifests", "main")
    bomb(released, 9)
    code, said = Peak(released).run(*PLAN)
    assert (code, "--branch" in said) == (1, True)
    code, said = Peak(released).run(*PLAN, "--branch", "manifests")
    assert code == 0, said


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n"
            for p, n in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "a: " + "[" * 20_000,
        "a: " + "{a: " * 20_000,
        "- " * 20_000 + "x",
        "x: &x\n  y: *x\n",
        "a: {<<: [" + ", ".join(["{k: v}"] * 5000) + "]}\n",
        "? " * 5000 + "x",
        "a: " + "!!python/object/apply:os.system ['true']\n",
        "a: " + "9" * 100_000 + "\nb: " + "1:" * 5000 + "1\n",
    ],
    ids=["aliases", "lists", "maps", "dashes", "itself", "merges", "keys", "tags", "numbers"],
)
def test_a_bomb_in_yaml_beside_a_manifest_or_in_it_ends(shop: Shop, text: str) -> None:
    shop.commit({"apps/cart/bomb.yaml": text, CART_PATH: f"{CART}---\nimage: x\n{text}"})
    peak = Peak(shop)
    for command in (PLAN, ("services",), ("check", "--storage"), ("deploy", "--service", "cart",
                    "--image", image("1.4.2"))):  # fmt: skip
        code, said = peak.run(*command, "--timeout", "10")
        assert code in (0, 1, 4, 8) or (code == 6 and "no object of Kubernetes" in said), said
        assert "Traceback" not in said
        assert peak.memory < MOST_MEMORY


@pytest.mark.parametrize(
    "text",
    ["image: x\nl:\n" + "- a\n" * 2_000_000, "image: x\na: [" + "a," * 3_000_000 + "]\n"],
    ids=["lines", "commas"],
)
def test_millions_of_values_beside_a_manifest_are_skipped_and_named(shop: Shop, text: str) -> None:
    shop.commit({"apps/cart/many.yaml": text})
    peak = Peak(shop)
    code, said = peak.run("services")
    assert code == 0, said
    assert "apps/cart/many.yaml has more than 300000 keys and values" in said
    code, said = peak.run("deploy", "--service", "cart", "--image", image("1.4.2"))
    assert code == 0, said
    assert peak.memory < MOST_MEMORY


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({f"m/{n}.yaml": f"image: x\nl: [{'a,' * 140_000}]\n" for n in range(9)}, "1100000 keys"),
        ({f"m/{n}.yaml": f"image: x\nl: {'a' * 9_000_000}\n" for n in range(13)}, "1100000 keys"),
        ({f"m/{n}.yaml": f"image: {n}\nl: {'a' * 9_000_000}\n" for n in range(13)}, "100 MB"),
        ({"m.yaml": "image: x\nl:\n" + f"{'- ' * 2400}a\n" * 300}, "300000 keys"),
    ],
    ids=["values", "copies", "bytes", "dashes"],
)
def test_many_files_take_no_more_memory_than_a_run_may(
    shop: Shop, files: dict[str, str], words: str
) -> None:
    shop.commit(files)
    peak = Peak(shop)
    code, said = peak.run("services")
    assert code == (0 if "m.yaml" in files else 1), said
    assert words in said
    assert "`path`" in said or "m.yaml" in said
    assert peak.memory < MOST_MEMORY


@pytest.mark.parametrize(
    "words", ["yes", "head -c 50000000 /dev/zero | tr '\\0' x", "printf '\\033[31m'"]
)
def test_a_server_that_talks_without_end_is_cut_short(shop: Shop, words: str) -> None:
    shop.hook("pre-receive", f"({words}) >&2 & sleep 1; kill $! 2>/dev/null; exit 1")
    peak = Peak(shop)
    code, said = peak.run("deploy", "--service", "cart", "--image", image("1.4.2"))
    assert code == 1, said
    assert len(said) < 10_000
    assert "\x1b" not in said
    assert peak.memory < MOST_MEMORY


# What three bytes of an answer become in memory, for each of many services at once.
ANSWERS = {
    "objects": b"{}," * 900_000,
    "levels": (b"[" * 400 + b"]" * 400 + b",") * 19_000,
    "text": b'"' + b"a" * 2_900_000 + "😀".encode() + b'",',
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_answers_that_take_a_hundred_times_their_size_take_no_more_than_a_run_may(
    shop: Shop, answer: str
) -> None:
    many = [f"c{n}" for n in range(24)]
    shop.commit({f"apps/{one}.yaml": CART.replace("cart", one) for one in many})
    shop.commit({".gitops-rollback.toml": "".join(f"[services.{one}]\n" for one in many)})
    body = b'{"results":[' + ANSWERS[answer] + b'1],"allBuilds":[],"next":null}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    peak = Peak(shop)
    with AnyAnswer(head + body) as url:
        shop.environment |= {"GITOPS_REGISTRY_URL": url, "GITOPS_HUB_URL": url, "JENKINS_URL": url}
        code, said = peak.run("plan", "--all", "--strategy=registry", "--store=directory:records")
        assert code in (1, 4), said
        assert peak.memory < MOST_MEMORY
        code, said = peak.run("plan", "--service=c1", "--strategy=artifact", "--store=jenkins:a/b")
        assert code in (1, 4), said
        assert peak.memory < MOST_MEMORY

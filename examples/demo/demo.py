"""The main job, end to end, on this machine alone: `make demo`; with KEEP=1 to go on by hand.

Nothing is installed: the command is the single file that `make release` builds.

A bare manifests repository with a small shop, a stand-in for Docker Hub on loopback, and records in
a directory. Everything is real but the registry: the command, git, the commits.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from standin import RegistryStandIn

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PROGRAM = ROOT / "build" / "gitops-rollback.pyz"
REFUSED = 6


class Demo:
    """One run; everything it makes is below `root`."""

    def __init__(self, root: Path, hub: RegistryStandIn) -> None:
        self._root = root
        self._hub = hub
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(root),
            "XDG_STATE_HOME": str(root / "records"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GITOPS_REPOSITORY": str(root / "manifests.git"),
            "GITOPS_HUB_URL": hub.url,
            "GITOPS_REGISTRY_URL": hub.url,
            "XDG_CACHE_HOME": str(root / "cache"),
        }

    def prepare(self) -> None:
        """Make the manifests repository and push what has been released so far."""
        work = self._root / "work"
        shutil.copytree(HERE / "shop", work)
        identity = ("-c", "user.name=Shop", "-c", "user.email=shop@example.com")
        self._git("init", "--quiet", "--initial-branch=main", str(work))
        self._git("-C", str(work), "add", "--all")
        self._git("-C", str(work), *identity, "commit", "--quiet", "--message=The shop")
        self._git("clone", "--quiet", "--bare", str(work), str(self._root / "manifests.git"))
        shutil.rmtree(work)
        for day, tag in enumerate(("1.4.0", "1.4.1", "1.4.2", "1.5.0", "1.5.1"), start=1):
            moment = datetime(2026, 1, day, 12, 0, tzinfo=UTC)
            self._hub.push("acme/cart", tag, content=tag.encode(), pushed=moment)

    def step(self, heading: str, *arguments: str, expected: int = 0) -> None:
        """Run the command, show it and what it says; leave if it ends otherwise than expected."""
        print(f"\n== {heading}\n$ gitops-rollback {shlex.join(arguments)}", flush=True)
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(PROGRAM), *arguments],
            env=self._environment,
            check=False,
            stderr=sys.stdout,
        )
        seconds = time.monotonic() - start
        print(
            f"(exit {done.returncode}, {seconds:.2f} s with the start of the command)", flush=True
        )
        if done.returncode != expected:
            sys.exit(f"demo: expected exit {expected}, got {done.returncode}")

    def show_log(self) -> None:
        """Show what is in the manifests repository now."""
        print("\n== What the manifests repository tells, newest first", flush=True)
        self._git("-C", str(self._root / "manifests.git"), "log", "--format=%h %s")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], env=self._environment, check=True)


def main() -> None:
    """Run the demo below the folder that is named, else below `build/demo`."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build" / "demo").absolute()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    start = time.monotonic()
    subprocess.run([sys.executable, str(ROOT / "tools" / "release.py")], check=True)
    with RegistryStandIn() as hub:
        demo = Demo(root, hub)
        demo.prepare()
        play(demo)
        demo.show_log()
    print(f"\nDone in {time.monotonic() - start:.1f} s.")
    if os.environ.get("KEEP"):
        show_how_to_go_on(root)
    else:
        shutil.rmtree(root)
        print("To go on by hand: make demo KEEP=1")


def show_how_to_go_on(root: Path) -> None:
    """Print what to type to go on with what was left; the stand-in registry is gone by now."""
    run = f"{shlex.quote(sys.executable)} {shlex.quote(str(PROGRAM))}"
    image = f"acme/cart:1.6.0@sha256:{'6' * 64}"
    print(
        f"Left behind: {root}\n"
        f"  manifests.git  the manifests repository\n"
        f"  records        the archived records\n\n"
        "Go on by hand, in this order:\n\n"
        f"  export GITOPS_REPOSITORY={shlex.quote(f'{root}/manifests.git')} "
        f"XDG_STATE_HOME={shlex.quote(f'{root}/records')}\n"
        "  export GITOPS_REGISTRY_URL=http://127.0.0.1:9 GITOPS_HUB_URL=http://127.0.0.1:9\n"
        f"  {run} history cart\n"
        f"  {run} plan cart --again\n"
        f"  {run} deploy cart --image {image} --release\n"
        f"  {run} rollback cart --reason 'I try it'\n"
        f"  {run} stats\n\n"
        f"Remove it with: rm -r {root}"
    )


def play(demo: Demo) -> None:
    """Tell the story: two releases, a rollback, a refusal, a fix, a rollback by asking the Hub."""
    cart = ("--service", "cart")
    demo.step("What there is", "services")
    demo.step("Release 1.4.2", "deploy", *cart, "--image", "acme/cart:1.4.2", "--by", "jane")
    demo.step("Release 1.5.0, which is bad", "deploy", *cart, "--image", "acme/cart:1.5.0",
              "--by", "jane")  # fmt: skip
    demo.step("Where would a rollback go?", "plan", *cart)
    demo.step("Roll back from the archived record", "rollback", *cart, "--strategy", "artifact",
              "--reason", "carts are empty since 02:40", "--by", "bob")  # fmt: skip
    demo.step("The next automatic deploy of the bad release is refused", "deploy", *cart,
              "--image", "acme/cart:1.5.0", "--by", "nightly", expected=REFUSED)  # fmt: skip
    demo.step("The fix, which ends the hold", "deploy", *cart, "--image", "acme/cart:1.5.1",
              "--release", "--by", "jane")  # fmt: skip
    demo.step("Roll back by asking Docker Hub (the stand-in)", "rollback", *cart,
              "--strategy", "registry", "--reason", "the fix is slow", "--by", "bob")  # fmt: skip


if __name__ == "__main__":
    main()

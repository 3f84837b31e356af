"""The judge's machine on real git: the same people, the same model, the command itself.

What a run would come to is asked with `--dry-run`, then it is done; hands commit with git; of two
at once the other one acts while the first waits before its push; a pull request is made in a copy
of the repository. A few sequences in CI; 300 with `GITOPS_LONG_TESTS=1`.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gitops_rollback.decide.plan import parse_plan
from gitops_rollback.errors import Exit
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.repo.objects import read_batch, read_tree
from integration.remedies import undone
from integration.shop import Shop
from standin import RegistryStandIn
from unit.branch import Commit, Registry
from unit.judge import Answer, Judge
from unit.judge_model import Ran

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pytest

    from gitops_rollback.decide.plan import PlanFile
    from gitops_rollback.decide.wish import Wish
    from integration.shop import Run
    from unit.judge import World

    Line = tuple[str, ...]

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))
GIT = shutil.which("git")
# Waits, once, before the first push.
WAITS = """\
#!/bin/sh
if [ "$1" = push ] && [ ! -e {root}/waits ]; then
  touch {root}/waits
  while [ ! -e {root}/goes ]; do sleep 0.02; done
fi
exec {git} "$@"
"""


@dataclass
class Hub(Registry):
    """A registry on loopback."""

    standin: RegistryStandIn = field(default_factory=RegistryStandIn)

    def push(self, tag: str) -> ImageReference:
        """Push an image nobody has seen yet under a tag."""
        self.pushed += 1
        content = f"image {self.pushed}".encode()
        self.tags[tag] = self.standin.push("acme/cart", tag, content=content)
        return self.image(tag)


class OnGit:
    """A branch of a bare repository; `commits` is what was seen of it, the oldest first."""

    def __init__(self, shop: Shop, registry: Hub) -> None:
        self.shop = shop
        self.registry: Registry = registry
        self.commits: list[Commit] = []
        self.ticks = 0
        self._blobs: dict[str, bytes] = {}
        self._look()

    @property
    def tip(self) -> Commit:
        return self.commits[-1]

    @property
    def now(self) -> str:
        return "2026-01-01T00:00:00Z"  # a run has its own clock

    def commit(self, files: Mapping[str, bytes | None], by: str, message: str) -> None:
        """Commit as a person does."""
        self.shop.commit(files, message, by=by)
        self._look()

    def squash(self, count: int, by: str) -> None:
        """Put the last commits into one, whose message says nothing."""
        person = ("-c", f"user.name={by}", "-c", f"user.email={by}@acme.example")
        line = ("commit-tree", "main^{tree}", "-p", f"main~{count}", "-m", "Merge (#7)")
        self.shop.git("update-ref", "refs/heads/main", self.shop.git(*person, *line))
        del self.commits[len(self.commits) - count :]
        self._look()

    def ask(self, wish: Wish, service: str, environment: str) -> Answer:
        """Run the command without writing anything."""
        line = typed(wish, service, environment)
        done = self.shop.run(*line, "--dry-run", environment=environment_of(wish))
        return self._answer(done, line, wish)

    def carry_out(self, answer: Answer, by: str) -> bool:
        """Run the command."""
        line, wish = answer.made
        before = self.tip
        self.shop.ok(*line, "--by", by, environment=environment_of(wish))
        self._look()
        return self.tip is not before

    def planned(self, answer: Answer, running: ImageReference) -> PlanFile:
        """Let the command write the plan, of what runs by its own account."""
        (_rollback, *line), _wish = answer.made
        run = self.shop.ok("plan", *(one for one in line if one not in {"--reason", "why"}))
        data = json.dumps(run.result).encode()
        path = self.shop.root.with_name(f"plan-{sha256(data).hexdigest()}.json")
        path.write_bytes(data)
        plan = parse_plan(data, str(path))
        assert plan.services[0].running.digest == running.digest
        return plan

    def propose(self, answer: Answer) -> tuple[Mapping[str, bytes | None], str]:
        """Run the command where it counts for nothing, and return its commit."""
        line, wish = answer.made
        with undone(self.shop.root):
            self.shop.ok(*line, environment=environment_of(wish))
            files = self._files()
            message = self.shop.git("log", "-1", "--format=%B", "main")
        before = self.tip.files
        paths = [p for p in {*files, *before} if files.get(p) != before.get(p)]
        return {path: files.get(path) for path in paths}, f"{message}\n"

    def race(
        self, wish: Wish, service: str, environment: str, other: Callable[[], bool]
    ) -> Answer | None:
        """Let another one act while a run waits before its push; None where nothing came of it."""
        root, line = self.shop.root, typed(wish, service, environment)
        for name in ("waits", "goes"):
            (root / name).unlink(missing_ok=True)
        (root / "bin").mkdir(exist_ok=True)
        shim = root / "bin" / "git"
        shim.write_text(WAITS.format(root=root, git=GIT), encoding="utf-8")
        shim.chmod(0o755)
        (root / "own").mkdir(exist_ok=True)  # a run finds its temporary folder empty
        own = {"PATH": f"{root / 'bin'}:{self.shop.environment['PATH']}", "TMPDIR": f"{root}/own"}
        first = self.shop.start(*line, environment={**environment_of(wish), **own})
        while not (root / "waits").exists() and first.poll() is None:
            time.sleep(0.02)
        is_there = first.poll() is None
        acted = other()
        if not (is_there and acted):
            self._give_up(first)
            return None
        (root / "goes").touch()
        first.communicate(timeout=120)
        return Answer(first.returncode)

    def _give_up(self, first: subprocess.Popen[bytes]) -> None:
        """End a run that waits: nothing came between."""
        first.terminate()
        (self.shop.root / "goes").touch()
        first.communicate(timeout=120)
        self._look()

    def _answer(self, done: Run, line: Line, wish: Wish) -> Answer:
        if done.code:
            error = done.error
            code = error.get("code", error["category"])
            return Answer(done.code, code, hint=error["hint"])
        one = done.service()
        to = parse_image(one["to"])
        ran = Ran(to.digest, to.tag or "")
        ends = frozenset(one.get("holds", ()))
        return Answer(Exit.DONE, "", ran, bool(one["edits"]), ends, made=(line, wish))

    def _look(self) -> None:
        """See the new tip, if there is one."""
        self.ticks += 1
        sha, at, by, message = self.shop.git(
            "log", "-1", "--format=%H%x00%cI%x00%an%x00%B", "main"
        ).split("\0")
        if not self.commits or self.commits[-1].id != sha:
            self.commits.append(Commit(self.ticks, at, by, f"{message}\n", self._files(), sha))

    def _files(self) -> dict[str, bytes]:
        listed = read_tree(self.shop.git("ls-tree", "-r", "-z", "main").encode())
        missing = "".join(f"{e.oid}\n" for e in listed if e.oid not in self._blobs)
        if missing:
            self._blobs |= dict(read_batch(self._batch(missing.encode())))
        return {entry.path: self._blobs[entry.oid] for entry in listed}

    def _batch(self, oids: bytes) -> bytes:
        return self.shop.git_bytes("cat-file", "--batch", stdin=oids)


def typed(wish: Wish, service: str, environment: str) -> Line:
    """Return what a person types for a wish."""
    line = [wish.action, "--service", service, "--environment", environment]
    if wish.image is not None:
        line += ["--image", str(wish.image)]
    else:
        line += ["--reason", wish.reason or ""]
    line += ["--release"] if wish.releases else []
    line += ["--again"] if wish.again else []
    line += ["--plan", wish.planned.path] if wish.planned is not None else []
    line += ["--hold", ",".join(wish.holds)] if wish.holds is not None else []
    accepted = sorted(wish.accept - {"held", "already"})
    return (*line, *(["--accept", ",".join(accepted)] if accepted else []))


def environment_of(wish: Wish) -> dict[str, str]:
    """Return what a build's environment tells."""
    if wish.action != "deploy" or wish.build is None:
        return {}
    return {"JOB_NAME": wish.build.job, "BUILD_NUMBER": str(wish.build.number)}


def test_real_git_comes_to_what_the_model_says(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder: Path = tmp_path_factory.mktemp("judge")

    class JudgeOnGit(Judge):
        def begin(self) -> tuple[World, ImageReference]:
            self.standin = RegistryStandIn()
            self.standin.__enter__()
            shutil.rmtree(folder, ignore_errors=True)
            shop = Shop(folder / "shop")
            url = self.standin.url
            shop.environment |= {"GITOPS_REGISTRY_URL": url, "GITOPS_HUB_URL": url}
            registry = Hub(standin=self.standin)
            first = registry.push("1.0")
            shop.open(self.first_files(first))
            return OnGit(shop, registry), first

        def teardown(self) -> None:
            self.standin.__exit__(None, None, None)

    run_state_machine_as_test(
        JudgeOnGit,
        settings=settings(
            max_examples=int(os.environ.get("GITOPS_JUDGE", "300" if LONG else "3")),
            stateful_step_count=int(os.environ.get("GITOPS_STEPS", "30" if LONG else "10")),
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

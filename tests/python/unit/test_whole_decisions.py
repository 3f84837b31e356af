"""What is told of whole plays, word for word: each decision, plan, commit and refusal in its turn.

A play is a branch on which people deploy, roll back, release, edit by hand, squash, move files and
lose images, drawn from a seed. Whether a decision is right is judged elsewhere (`judge.py`, which
plays such deeds against a model); here nothing that is written or said may change unseen.

    GITOPS_GOLDEN=write .venv/bin/python -m pytest -q tests/python/unit/test_whole_decisions.py

writes the golden files anew after a change that is meant: look at the difference, and say why in
the commit.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.change import Refused, together
from gitops_rollback.decide.drill import judge_service
from gitops_rollback.decide.facts import (
    Check,
    NeedCheck,
    NeedPlatforms,
    NeedTags,
    Platforms,
    Tags,
)
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.image import parse_image
from gitops_rollback.ledger.merge import entry_to_json, merge
from gitops_rollback.model import Build
from gitops_rollback.query.tags import Tag
from gitops_rollback.services.config import FILE
from unit.branch import MANIFEST, Branch, Commit, Registry
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.facts import Facts, Need, ServiceAtTip
    from gitops_rollback.decide.plan import Plan

GOLDEN = Path(__file__).parent / "golden" / "decisions"
WRITES = os.environ.get("GITOPS_GOLDEN") == "write"
PLAYS, DEEDS = 40, 12
TAGS = ("1.0", "1.1", "1.2", "2.0-rc1", "dev", "latest")
NAMES = ("cart-web", "cart")  # of one field
PEOPLE = ("ann", "bob", None)
CODES = ("bad", "held", "tag", "same-tag", "unproven", "never-ran", "mutable-tag", "gone")
CONFIGURED = (
    "",
    'pin = "tag"\n',
    'hold = "image"\n',
    "query = \"tags[?starts_with(name, '1')]\"\n",
)
MARKED = MANIFEST.replace("{image}", '{image} # {{"$imagepolicy": "flux-system:cart"}}')


@pytest.mark.parametrize("seed", range(PLAYS))
def test_every_word_of_a_play_is_that_of_the_golden_file(seed: int) -> None:
    path = GOLDEN / f"{seed}.txt"
    play = Play(seed)
    said = "".join(f"{line}\n" for line in play.told())
    for number in range(1, play.registry.pushed + 1):  # for who reads it
        said = said.replace(digest(f"i{number}"), f"<i{number}>")
    if WRITES:
        path.write_text(said, encoding="utf-8")
    assert said == path.read_text(encoding="utf-8")


class Play(Branch):
    """A branch with one service, and who does what to it."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        registry = Registry()
        first = registry.push("1.0")
        settings = f"[defaults]\n{self.draw.choice(CONFIGURED)}"
        self.path = "apps/cart.yaml"
        self.manifest = self.draw.choice([MANIFEST, MARKED])
        files = {
            FILE: f'{settings}[environments.production]\npath = "apps"\n'.encode(),
            self.path: self._manifest(str(first)),
        }
        super().__init__([Commit(0, "2026-01-01T00:00:00Z", "ann", "Begin", files)], registry)
        self.gone: set[str] = set()

    def told(self) -> Iterator[str]:
        """Yield what is done, and what is said of it."""
        deeds = [
            *([self._deploy] * 4),
            *([self._roll_back] * 4),
            *([self._release] * 2),
            *(self._edit, self._lose, self._squash, self._move, self._revert, self._repair),
        ]
        for _number in range(DEEDS):
            yield from self.draw.choice(deeds)()
        for path, data in sorted(self.tip.files.items()):
            if path.endswith(".json"):
                yield from (f"{path} {key}: {one}" for key, one in json.loads(data).items())
        yield from self._account()

    def _account(self) -> Iterator[str]:
        at = self.look(NAMES[0], "production")
        records = list(reversed(self.records[-3:]))  # an archive lists its newest builds
        named = {one.sha256: one for one in self.records[:-3]}
        found = merge(at.found.image, at.account, self._history(at), records, named)
        yield from (f"{json.dumps(entry_to_json(one), sort_keys=True)}" for one in found.events)
        yield from (f"never deployed: {one.sha256}" for one in found.never_deployed)

    # What people do

    def _deploy(self) -> Iterator[str]:
        tag = self.draw.choice(TAGS)
        is_new = tag not in self.registry.tags or self.draw.random() < 0.5
        image = self.registry.push(tag) if is_new else self.registry.image(tag)
        if self.draw.random() < 0.1:
            image = image.with_version(tag, None)
        more = {
            "image": image,
            "releases": self.draw.random() < 0.3,
            "before_build": self.draw.random() < 0.1,
        }
        yield from self._done("deploy", **more)

    def _roll_back(self) -> Iterator[str]:
        running = parse_image(self._text().partition("image: ")[2].split()[0])
        named = [
            *TAGS,
            running.canonical,
            f"#{self.draw.randrange(1, 12)}",
            digest(f"i{self.draw.randrange(1, 6)}")[:19],
            "docker.io/acme/other:1",
        ]
        to = self.draw.choice(named) if self.draw.random() < 0.4 else None
        as_of = f"2026-01-01T00:{self.draw.randrange(12):02}:00Z"
        more = {
            "strategy": self.draw.choice(["auto", "auto", "auto", "git", "artifact", "registry"]),
            "to": to,
            "as_of": as_of if to is None and self.draw.random() < 0.15 else None,
            "again": self.draw.random() < 0.4,
            "unattended": self.draw.random() < 0.2,
        }
        yield from self._done("rollback", **more)

    def _release(self) -> Iterator[str]:
        bad = [one.image.canonical for one in self._bad()]
        forgive = (self.draw.choice(bad),) if bad and self.draw.random() < 0.4 else ()
        yield from self._done("release", forgive=forgive)

    def _repair(self) -> Iterator[str]:
        yield from self._done("repair")

    def _edit(self) -> Iterator[str]:
        tag = self.draw.choice(list(self.registry.tags))
        image = self.registry.image(tag)
        text = str(image if self.draw.random() < 0.5 else image.with_version(tag, None))
        yield f"{text} is written by hand"
        self.commit({self.path: self._manifest(text)}, "eve", f"Set {tag}")

    def _lose(self) -> Iterator[str]:
        known = sorted(self.registry.tags.values())
        lost = self.draw.choice(known)
        yield f"{lost} is deleted from the registry"
        self.gone.add(lost)

    def _squash(self) -> Iterator[str]:
        count = min(self.draw.choice([2, 3]), len(self.commits) - 1)
        if count:
            yield f"{count} commits become one"
            self.squash(count, "eve")

    def _move(self) -> Iterator[str]:
        old, self.path = self.path, f"apps/{self.draw.choice('abc')}.yaml"
        if self.path != old:
            yield f"{old} becomes {self.path}"
            self.commit({self.path: self.tip.files[old], old: None}, "eve", "Move it")

    def _revert(self) -> Iterator[str]:
        """Take the last commit back, as git does."""
        if len(self.commits) < 2:
            return
        before, last = self.commits[-2], self.tip
        if self.path not in before.files:
            return
        yield f"{last.message.splitlines()[0]!r} is reverted"
        every = {**dict.fromkeys(last.files), **before.files}
        text = f'Revert "{last.message.splitlines()[0]}"\n\nThis reverts commit {last.id}.\n'
        self.commit(every, "eve", text)

    # How it is done

    def _done(self, action: Any, **more: Any) -> Iterator[str]:  # noqa: ANN401 - of a wish
        codes = [code for code in CODES if self.draw.random() < 0.15]
        by = self.draw.choice(PEOPLE)
        shown = [f"{key} {value}" for key, value in more.items() if value]
        yield f"{self.now} {by}: {', '.join([action, *shown, *(f'accept {c}' for c in codes)])}"
        is_build = self.draw.random() < 0.8
        build = Build("shop/cart", self.draw.randrange(1, 12)) if is_build else None
        reason = self.draw.choice(["it is slow", None]) if action != "rollback" else "it is slow"
        if self.draw.random() < 0.1:
            more["expected"] = self.registry.image(self.draw.choice(list(self.registry.tags)))
        if self.draw.random() < 0.1:
            more["holds"] = self.draw.choice([(), ("0123456789abcdef",)])
        wish = Wish(action, self.now, by, reason, build, frozenset(codes), **more)
        try:
            at = self.look(self.draw.choice(NAMES), "production")
            answer = self.decide(wish, at)
            yield from _of_plan(answer.plan, at, self.now)
            if isinstance(answer, Refused):
                yield from _refused(answer.error)
                return
            yield from self._written(answer, by or "jenkins")
        except GitopsRollbackError as error:
            yield from _refused(error)

    def _written(self, change: Change, by: str) -> Iterator[str]:
        yield from (f"  warning: {one}" for one in change.warnings)
        yield f"  ends {change.ends}, before {change.before}, proof {change.proof}"
        commit = together([change], skip=False)
        yield from (f"  | {line}" for line in (commit.message + commit.diff).splitlines())
        self.write(change, by)

    def answer(self, need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401 - of its own type
        """Answer as a registry does that lacks some images, and tells when each was pushed."""
        match need:
            case NeedCheck(image=image) if (image.digest or "") in self.gone:
                return Check("gone", message="it was deleted")
            case NeedPlatforms(image=image) if image.tag == "2.0-rc1":
                return Platforms(frozenset({"linux/arm64"}), frozenset({"linux/amd64"}))
            case NeedTags():
                tags = [Tag(n, d) for n, d in self.registry.tags.items() if d not in self.gone]
                return Tags(tuple(reversed(tags)))
        return super().answer(need, facts)

    def _manifest(self, image: str) -> bytes:
        return self.manifest.format(image=image, namespace="shop").encode()

    def _text(self) -> str:
        return self.tip.files[self.path].decode()

    def _bad(self) -> Any:  # noqa: ANN401
        return self.look(NAMES[0], "production").account.bad


def _refused(error: GitopsRollbackError) -> Iterator[str]:
    yield f"  {type(error).__name__} {error.code} {int(error.exit_code)}: {error.message}"
    yield f"    {error.hint}"
    yield f"    {error.jenkins_hint}"


def _of_plan(plan: Plan | None, at: ServiceAtTip, present: str) -> Iterator[str]:
    if plan is None:
        return
    for key, value in plan.to_json().items():
        each = value if isinstance(value, list) else [value]
        yield from (f"  plan {key}: {json.dumps(one, sort_keys=True)}" for one in each)
    yield f"  plan source {plan.source}, left {plan.left}, storage {plan.storage_changes}"
    yield from (f"  lost {one.message}; {one.hint}" for one in plan.lost)
    for one in judge_service(plan, at.account, at.found.fields, present):
        yield f"  drill {one.check} {one.level}: {one.message}; {one.hint}"

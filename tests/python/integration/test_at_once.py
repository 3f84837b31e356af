"""Many deploys, rollbacks and releases at once, of different services and of the same ones.

Twenty of them; with `GITOPS_LONG_TESTS=1` fifty, without and with a cache for all.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from integration.shop import FILES, LEDGER, Shop, image
from servers.git_http import GitHttpServer

if TYPE_CHECKING:
    from integration.conftest import Workshop

LONG = bool(os.environ.get("GITOPS_LONG_TESTS"))
MOST = 50 if LONG else 20
SERVICES = [f"s{number:02}" for number in range(20 if LONG else 8)]
CONTESTED = SERVICES[: 5 if LONG else 2]
HELD = SERVICES[-5:] if LONG else SERVICES[-2:]
TOML = '[defaults]\nmanifests = ["services/{service}.yaml"]\n'


@dataclass(frozen=True)
class Ended:
    """One of the many: who did what to which service, and how it ended."""

    by: str
    command: str
    service: str
    code: int
    result: dict[str, Any]

    @property
    def commit(self) -> str | None:
        """The commit it says it made; beside a refusal stands a plan, with the commit it read."""
        return self.result.get("commit") if self.code == 0 else None


def _wanted() -> list[tuple[str, ...]]:
    """What they do: every service has one visitor, and a quarter of them seven."""
    acts: list[tuple[str, ...]] = []
    for number, name in enumerate(SERVICES):
        if name in HELD:
            acts.append(("release", name, "--reason", "fixed"))
        elif number % 2:
            acts.append(("rollback", name, "--reason", "slow"))
        else:
            acts.append(("deploy", name, "--image", image("3.0", name)))
    for name in CONTESTED:
        acts += [("deploy", name, "--image", image(f"4.{n}", name)) for n in range(3)]
        acts += [("rollback", name, "--reason", "slow")] * 2
        acts.append(("release", name, "--reason", "fixed"))
    return acts


def _open(shop: Shop) -> Shop:
    files = {f"services/{name}.yaml": LEDGER.replace("ledger", name) for name in SERVICES}
    shop.open({**FILES, **files, ".gitops-rollback.toml": TOML})
    for tag in ("1.0", "2.0"):
        images = [f"--image={name}={image(tag, name)}" for name in SERVICES]
        shop.ok("deploy", *(f"--service={name}" for name in SERVICES), *images)
    shop.ok("rollback", *(f"--service={name}" for name in HELD), "--reason", "bad")
    return shop


@pytest.mark.parametrize("cached", [False, *([True] if LONG else [])])
def test_many_at_once_over_http(workshop: Workshop, *, cached: bool) -> None:
    shop = workshop.shop("services for many", _open)
    before = shop.log("%H")
    texts = {name: shop.text(f"services/{name}.yaml") for name in SERVICES}
    with GitHttpServer(shop.root) as server:
        url = f"{server.url}/manifests.git"
        more = ("--cache", str(shop.root / "cache")) if cached else ()

        def act(numbered: tuple[int, tuple[str, ...]]) -> Ended:
            number, (command, service, *rest) = numbered
            output = shop.root / f"{number}.json"
            line = shop.line(command, "--service", service, *rest, "--by", f"w{number}", *more)
            line[line.index("--repository") + 1] = url
            done = subprocess.run(
                [*line[:-1], str(output), "--timeout", "300"],
                env=shop.environment,
                capture_output=True,
                check=False,
            )
            assert b"Traceback" not in done.stderr, done.stderr.decode()
            result = json.loads(output.read_bytes())
            return Ended(f"w{number}", command, service, done.returncode, result)

        with ThreadPoolExecutor(MOST) as pool:
            ended = list(pool.map(act, enumerate(_wanted())))
    assert len(ended) == MOST
    _check(shop, before, texts, ended)


def _check(shop: Shop, before: list[str], texts: dict[str, str], ended: list[Ended]) -> None:
    form = "%H %P|%(trailers:key=Gitops-By,valueonly,separator=%x2C)"
    new = dict(line.split("|") for line in shop.log(form)[: -len(before)])
    assert shop.log("%H")[-len(before) :] == before, "what was there is there"
    made = {line.split()[0]: who for line, who in new.items()}
    assert all(len(line.split()) == 2 for line in new), "no merges"

    for one in ended:
        mine = [commit for commit, who in made.items() if who == one.by]
        if one.commit:
            assert mine == [one.commit], "every success is exactly one commit"
        else:
            assert mine == [], f"{one} left a commit"
        assert one.code in (0, 4, 5, 6), one
    assert len(made) == sum(1 for one in ended if one.commit), "and there are no others"
    for name in SERVICES[len(CONTESTED) :]:
        assert [one.code for one in ended if one.service == name] == [0], "nobody was in its way"

    last: dict[str, Ended] = {}
    by_commit = {one.commit: one for one in ended}
    count: dict[str, int] = defaultdict(int)
    for commit in reversed(made):
        one = by_commit[commit]
        last[one.service] = one
        count[one.service] += one.command != "release"
        state_path = f".gitops-rollback/default/{one.service}.json"
        paths = {f"services/{one.service}.yaml", state_path, *_holds(shop, commit, state_path)}
        assert set(shop.changed(commit)) <= paths, "other files are untouched"
    for name in SERVICES:
        state = shop.state(name)
        runs = last[name].result["services"][0]["to"].removeprefix("docker.io/")
        assert state["deployed"][0]["image"].endswith(runs)
        assert len(state["deployed"]) == 2 + count[name] + (name in HELD), "nothing is lost"
        text = shop.text(f"services/{name}.yaml")
        old = next(line for line in texts[name].splitlines() if "image:" in line)
        assert text == texts[name].replace(old, f"        image: {runs}"), "one value changed"
    for path, content in FILES.items():
        assert shop.text(path) == content
    shop.git("fsck", "--strict")


def _holds(shop: Shop, commit: str, path: str) -> set[str]:
    """Return the files of the holds that a service's state names before and after a commit."""
    states = [
        json.loads(shop.git("cat-file", "blob", f"{at}:{path}")) for at in (f"{commit}^", commit)
    ]
    return {f".gitops-rollback/.held/{one['hold']['id']}.json" for one in states if "hold" in one}

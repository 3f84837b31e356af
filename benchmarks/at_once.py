"""Fifty builds that end at once, by this command and by the loop that people write: `make bench`.

Deploys of fifty services; and deploys, rollbacks and releases of twenty, seven each for five of
them. The repository is served over smart HTTP from this machine. Every way begins with the same
repository; the ways take turns. What is left on the branch is looked at after each.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lab import COMMAND, make_repository, print_heading, print_table, run, servers

if TYPE_CHECKING:
    from lab import Run
    from servers.git_http import GitHttpServer

ROUNDS, LONGEST = 2, 200  # seconds, after which no round begins
AT_ONCE = 50
DIGEST = "@sha256:" + "0" * 63
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      containers:
        - name: server
          image: {image} # {{"{key}": "flux-system:{name}"}}
        - name: proxy
          image: envoyproxy/envoy:v1.29.0
"""
HOLDS = ".gitops-rollback/.held/"
WARM = 'exec "$COMMAND" record --repository "$URL" --service "$NAME" --cache "$CACHE"'
OURS = 'exec "$COMMAND" "$ACT" --repository "$URL" --service "$NAME" --timeout 600'
# As it is published again and again: five tries, a pause that grows, whatever `pull` says. It is
# given its best: a clone without history, an expression that meets the one image and its marker.
LOOP = """\
git clone --quiet --depth 1 "$URL" work && cd work || exit 1
change() {
  sed -i "s|acme/$NAME:[^ ]*|$IMAGE|; s|$OLD|$NEW|" "apps/$NAME.yaml"
  git diff --quiet && exit 0
  git commit --quiet --all --message "$BY"
}
change
"""
FIVE = """\
for try in 1 2 3 4 5; do
  git push --quiet origin HEAD:main && exit 0
  sleep $((try * 2))
  git pull --quiet --rebase origin main
done
exit 1
"""
# The same with all patience: short pauses, and after a conflict the edit is made again.
PATIENT = """\
until git push --quiet origin HEAD:main; do
  sleep "0.$(($$ % 10))"
  git pull --quiet --rebase origin main && continue
  git rebase --quiet --abort
  git reset --quiet --hard FETCH_HEAD
  change
done
"""
HERE, CACHED, BY_HAND = "gitops-rollback", "gitops-rollback --cache", "clone, sed, push, one by one"
WAYS = {
    HERE: (OURS, AT_ONCE),
    CACHED: (f'{OURS} --cache "$CACHE"', AT_ONCE),
    "clone, sed, push, 5 x pull --rebase": (LOOP + FIVE, AT_ONCE),
    "the same until it is done": (LOOP + PATIENT, AT_ONCE),
    "gitops-rollback, one by one": (OURS, 1),
    BY_HAND: (LOOP + FIVE, 1),
}


def image(name: str, version: str) -> str:
    """Return an image with a digest of its own."""
    return f"acme/{name}:{version}{DIGEST}{version[0]}"


@dataclass(frozen=True)
class Act:
    """What one of the fifty does, and with which image as people would tell a loop."""

    number: int
    command: str
    name: str
    version: str

    @property
    def by(self) -> str:
        """Who it is, as its commit tells."""
        return f"w{self.number}"

    @property
    def environment(self) -> dict[str, str]:
        """What the scripts read."""
        keys = ['"$imagepolicy"', '"$imagepolicy-held"']
        if self.command == "release":
            keys.reverse()
        is_deploy = self.command == "deploy"
        return {
            "ACT": self.command,
            "NAME": self.name,
            "BY": self.by,
            "GITOPS_BY": self.by,
            "GITOPS_REASON": "" if is_deploy else "bench",
            "GITOPS_IMAGE": image(self.name, self.version) if is_deploy else "",
            "IMAGE": "&" if self.command == "release" else image(self.name, self.version),
            "OLD": "nothing-like-it" if is_deploy else keys[0].replace("$", "[$]"),
            "NEW": "" if is_deploy else keys[1],
        }


@dataclass(frozen=True)
class Scene:
    """What happens at once, in which ways; the last five of twenty services are held before it."""

    title: str
    services: list[str]
    held: list[str]
    acts: list[Act]
    ways: tuple[str, ...]


def deploys() -> Scene:
    """Return fifty deploys of fifty services: nobody is in anybody's way but on the branch."""
    names = [f"s{number:02}" for number in range(AT_ONCE)]
    acts = [Act(number, "deploy", name, "3.0") for number, name in enumerate(names)]
    title = f"{AT_ONCE} deploys of {AT_ONCE} services at once over HTTP"
    return Scene(title, names, [], acts, (HERE, CACHED, BY_HAND))


def everything() -> Scene:
    """Return one act for each of twenty services, and six more for five of them."""
    names = [f"s{number:02}" for number in range(20)]
    held = names[15:]
    found: list[tuple[str, str, str]] = []
    for number, name in enumerate(names):
        if name in held:
            found.append(("release", name, "1.0"))
        else:
            found.append(("rollback", name, "1.0") if number % 2 else ("deploy", name, "3.0"))
    for name in names[:5]:
        found += [("deploy", name, f"{version}.0") for version in (4, 5, 6)]
        found += [("rollback", name, "1.0")] * 2 + [("release", name, "1.0")]
    acts = [Act(number, *what) for number, what in enumerate(found)]
    title = f"{AT_ONCE} deploys, rollbacks and releases of 20 services at once over HTTP"
    return Scene(title, names, held, acts, tuple(WAYS))


@dataclass
class Measured:
    """What the runs of one way cost, and what they left."""

    seconds: list[float] = field(default_factory=list)
    slowest: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    size: list[int] = field(default_factory=list)
    codes: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    undone: int = 0
    stray: int = 0


class Bench:
    """A repository to begin with, and a copy of it for each run."""

    def __init__(self, root: Path, server: GitHttpServer, scene: Scene) -> None:
        self._root = root
        self._server = server
        self._scene = scene
        self._begin = root / "begin.git"
        self._open()
        self.measured = {way: Measured() for way in scene.ways}

    def run(self, way: str) -> None:
        """Let the fifty do their work in one way."""
        script, at_once = WAYS[way]
        repository = self._root / "m.git"
        shutil.rmtree(repository, ignore_errors=True)
        shutil.copytree(self._begin, repository)
        work = Path(tempfile.mkdtemp(dir=self._root))
        if "$CACHE" in script:  # as on an agent, where others have been before
            self._sh(WARM, work, {"NAME": self._scene.services[0]}, work / "cache")
        self._server.traffic.reset()
        started, cpu = time.perf_counter(), _cpu()
        with ThreadPoolExecutor(at_once) as pool:
            ended = list(pool.map(lambda act: self._act(act, script, work), self._scene.acts))
        measured = self.measured[way]
        measured.seconds.append(time.perf_counter() - started)
        measured.cpu.append(_cpu() - cpu)
        measured.slowest.append(max(done.seconds for _act, done in ended))
        measured.requests.append(len(self._server.traffic.requests))
        measured.size.append(self._server.traffic.sent + self._server.traffic.received)
        measured.codes.update(done.code for _act, done in ended)
        self._look(repository, {act.by: (act, done.code) for act, done in ended}, measured)
        shutil.rmtree(work)

    def _act(self, act: Act, script: str, work: Path) -> tuple[Act, Run]:
        folder = work / act.by
        folder.mkdir()
        return act, self._sh(script, folder, act.environment, work / "cache", None)

    def _sh(
        self,
        script: str,
        folder: Path,
        environment: dict[str, str],
        cache: Path,
        fine: tuple[int, ...] | None = (0,),
    ) -> Run:
        person = {"NAME": "bench", "EMAIL": "bench@localhost"}
        identity = {f"GIT_{r}_{k}": v for r in ("AUTHOR", "COMMITTER") for k, v in person.items()}
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(cache.parent),  # of all: as on one agent, on which builds take turns
            "COMMAND": COMMAND,
            "URL": f"{self._server.url}/m.git",
            "CACHE": str(cache),
            "GITOPS_REGISTRY_URL": "http://127.0.0.1:1",  # nobody: no way asks a registry
            "GITOPS_HUB_URL": "http://127.0.0.1:1",
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return run(["sh", "-c", script], {**given, **identity, **environment}, folder, fine)

    def _look(
        self, repository: Path, ended: dict[str, tuple[Act, int]], measured: Measured
    ) -> None:
        """Count what went wrong: successes without a commit, rollbacks undone, other files."""
        form = "%x00%(trailers:key=Gitops-By,valueonly,separator=)%x01%s%x01%s"
        log = _git(repository, "log", "--reverse", "--raw", f"--format={form}", "begin..main")
        commits = []
        for block in log.split("\0")[1:]:
            head, _, raw = block.partition("\n")
            trailer, subject, _subject = head.split("\x01")
            paths = {line.rpartition("\t")[2] for line in raw.splitlines() if "\t" in line}
            commits.append((trailer or subject, paths))
        made = Counter(by for by, _paths in commits)
        rolled_back: set[str] = set()
        for by, paths in commits:
            act, code = ended[by]
            measured.lost += code != 0
            own = {f"apps/{act.name}.yaml", f".gitops-rollback/default/{act.name}.json"}
            others = {path for path in paths - own if not path.startswith(HOLDS)}
            measured.stray += bool(others)
            measured.undone += act.command == "deploy" and act.name in rolled_back
            if act.command == "rollback":
                rolled_back.add(act.name)
            else:
                rolled_back.discard(act.name)
        measured.lost += sum(count - 1 for count in made.values())
        measured.stray += self._broken(repository)

    def _broken(self, repository: Path) -> int:
        """Count the manifests that are not as one of the fifty would have left them."""
        count = 0
        for name in self._scene.services:
            text = _git(repository, "cat-file", "blob", f"main:apps/{name}.yaml")
            versions = [f"{number}.0" for number in range(1, 7)]
            keys = ("$imagepolicy", "$imagepolicy-held")
            sound = {_manifest(name, version, key) for version in versions for key in keys}
            count += text not in sound
        return count

    def _open(self) -> None:
        """Make a repository in which every service was deployed once, and some are held."""
        folder = self._root / "opening"
        folder.mkdir()
        names, held = self._scene.services, self._scene.held
        files = {f"apps/{name}.yaml": _manifest(name, "1.0", "$imagepolicy") for name in names}
        files[".gitops-rollback.toml"] = '[defaults]\nmanifests = ["apps/{service}.yaml"]\n'
        make_repository(self._begin, files)
        git = ["git", "-C", str(self._begin)]
        images = " ".join(f"--image={name}={image(name, '2.0')}" for name in names)
        rolled_back = " ".join(f"--service={name}" for name in held)
        script = f'R="{self._begin}"; "$COMMAND" deploy --repository "$R" {images}'
        if held:
            script += f' && "$COMMAND" rollback --repository "$R" {rolled_back} --reason bench'
        self._sh(script, folder, {}, folder)
        subprocess.run([*git, "update-ref", "refs/heads/begin", "main"], check=True)


def _manifest(name: str, version: str, key: str) -> str:
    return MANIFEST.format(name=name, image=image(name, version), key=key)


def _git(repository: Path, *arguments: str) -> str:
    line = ["git", "-C", str(repository), *arguments]
    return subprocess.run(line, capture_output=True, check=True, text=True).stdout


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(way: str, measured: Measured) -> tuple[str, ...]:
    refused = sorted((code, n) for code, n in measured.codes.items() if code)
    return (
        way,
        f"{statistics.median(measured.seconds):.1f}",
        f"{statistics.median(measured.slowest):.1f}",
        f"{statistics.median(measured.cpu):.1f}",
        f"{statistics.median(measured.requests):,.0f}",
        f"{statistics.median(measured.size) / 1000:,.0f}",
        f"{measured.codes[0]} of {measured.codes.total()}",
        ", ".join(f"{n} x {code}" for code, n in refused) or "0",
        str(measured.lost),
        str(measured.undone),
        str(measured.stray),
    )


def main() -> None:
    """Measure all ways of both scenes, and print a table for each."""
    for scene in (deploys(), everything()):
        with servers() as there:
            bench = Bench(there.root, there.git, scene)
            end = time.monotonic() + LONGEST
            for number in range(ROUNDS):
                if time.monotonic() < end:
                    rounds = number + 1
                    for way in scene.ways:
                        bench.run(way)
        print_heading(f"{scene.title}, {rounds} rounds")
        rows = [("way", "seconds", "slowest", "CPU, s", "requests", "kB", "done", "not done: exit",
                 "lost or twice", "rollbacks undone", "other changes")]  # fmt: skip
        print_table(rows + [_row(way, measured) for way, measured in bench.measured.items()])


if __name__ == "__main__":
    main()

"""A branch in memory, with a registry and an archive: what look/ and write/ are around the core.

Everything that decides is the real thing: configuration, fields, state files, holds, `decide`, and
`together`, whose files and message become the next commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from hashlib import sha1
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide import decide
from gitops_rollback.decide.change import Change, Refused, together
from gitops_rollback.decide.change import Commit as Made
from gitops_rollback.decide.facts import (
    Check,
    Digest,
    Facts,
    FirstTry,
    History,
    Need,
    NeedBeside,
    NeedCheck,
    NeedDigest,
    NeedHistory,
    NeedLog,
    NeedRecord,
    NeedRecords,
    NeedRemoved,
    NeedStateVersions,
    Records,
    Removed,
    ServiceAtTip,
    StateVersions,
    Version,
)
from gitops_rollback.decide.holds import to_end
from gitops_rollback.decide.standing import names_of, standing
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.ledger.fields import once
from gitops_rollback.ledger.holds import FOLDER as HELD
from gitops_rollback.ledger.holds import HeldFile, parse_held, place_holds
from gitops_rollback.ledger.records import MissingRecord, StoredRecord
from gitops_rollback.ledger.state import FOLDER, State, parse_state, path_of
from gitops_rollback.look.git_history import read_entries
from gitops_rollback.model import LogEntry
from gitops_rollback.repo.objects import PathChange, Tip
from gitops_rollback.services.catalogue import resolve
from gitops_rollback.services.config import FILE, Config, parse_config
from gitops_rollback.services.inventory import Manifests, read_manifests
from unit.builders import NAME, digest, plainly

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.ledger.fields import Likeness
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.catalogue import ServiceFields

URL = "https://github.com/acme/manifests.git"
MANIFEST = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart-web
  namespace: {namespace}
spec:
  template:
    spec:
      containers:
        - name: server
          image: {image}
"""


@dataclass(frozen=True)
class Commit:
    """A commit of the branch, with all of its files."""

    number: int
    at: str
    by: str
    message: str
    files: Mapping[str, bytes]
    sha: str = ""

    @property
    def id(self) -> str:
        return (
            self.sha
            or sha1(f"{self.number} {self.message}".encode(), usedforsecurity=False).hexdigest()
        )


@dataclass
class Registry:
    """What tags mean now: each push gives a digest that was never there."""

    tags: dict[str, str] = field(default_factory=dict)
    pushed: int = 0

    def push(self, tag: str) -> ImageReference:
        """Push an image nobody has seen yet under a tag."""
        self.pushed += 1
        self.tags[tag] = digest(f"i{self.pushed}")
        return self.image(tag)

    def image(self, tag: str) -> ImageReference:
        return parse_image(f"{NAME}:{tag}@{self.tags[tag]}")


@lru_cache(maxsize=512)
def _manifests(files: tuple[tuple[str, bytes], ...]) -> Manifests:
    return read_manifests(dict(files))


@lru_cache(maxsize=32)
def _config(data: bytes) -> Config:
    return parse_config(data)


@lru_cache(maxsize=512)
def _found(
    service: str, environment: str, config: bytes, files: tuple[tuple[str, bytes], ...]
) -> tuple[ServiceFields, tuple[ImageField, ...]]:
    """Return the fields of a service, and all that the manifests have."""
    chosen = _config(config).environments[environment]
    everything = _manifests(files)
    own = [path for path, _data in files if chosen.holds(path)]
    found = resolve(service, chosen, _config(config), everything.only(own))
    return found, tuple(one for fields in everything.fields.values() for one in fields)


# One file is read again and again: what it says does not change.
_parsed_state = lru_cache(maxsize=2048)(parse_state)
_parsed_held = lru_cache(maxsize=2048)(parse_held)


@dataclass
class Branch:
    """The branch `main`, what is archived, and what registries have."""

    commits: list[Commit]
    registry: Registry = field(default_factory=Registry)
    records: list[StoredRecord] = field(default_factory=list)
    ticks: int = 0

    @property
    def tip(self) -> Commit:
        return self.commits[-1]

    @property
    def now(self) -> str:
        minutes = self.ticks
        return f"2026-01-{1 + minutes // 1440:02}T{minutes // 60 % 24:02}:{minutes % 60:02}:00Z"

    def commit(self, files: Mapping[str, bytes | None], by: str, message: str) -> None:
        """Commit the new bytes of files on the tip; None deletes."""
        after = {**self.tip.files, **files}
        kept = {path: data for path, data in after.items() if data is not None}
        self.ticks += 1
        self.commits.append(Commit(self.ticks, self.now, by, message, kept))

    def squash(self, count: int, by: str) -> None:
        """Put the last commits into one, whose message says nothing."""
        files = self.tip.files
        del self.commits[len(self.commits) - count :]
        self.ticks += 1
        self.commits.append(Commit(self.ticks, self.now, by, "Merge (#7)", files))

    def config(self) -> Config:
        return _config(self.tip.files[FILE])

    # What look/ does

    def look(self, service: str, environment: str) -> ServiceAtTip:
        """Read a service at the tip, as `look.snapshot` does."""
        config, files = self.config(), self.tip.files
        yaml = tuple(sorted((p, d) for p, d in files.items() if p.endswith(".yaml")))
        found, branch = _found(service, environment, files[FILE], yaml)
        own_path = path_of(environment, service)
        own = _parsed_state(files[own_path], environment, service) if own_path in files else None
        names = {*names_of(found.fields), service}
        others = [state for state in self.states() if state.service in names
                  and (state.service, state.environment) != (service, environment)]  # fmt: skip
        every = once([*found.fields, *branch])
        at = ServiceAtTip(
            Tip("main", self.tip.id),
            found,
            own,
            elsewhere=frozenset(config.environments) - {environment},
            named=frozenset((state.service, state.environment) for state in others),
        )
        return standing(at, others, place_holds(self.held(), every), every)

    def states(self) -> Iterator[State]:
        for path, data in self.tip.files.items():
            parts = path.split("/")
            if parts[0] == FOLDER and len(parts) == 3 and not path.startswith(HELD):
                yield _parsed_state(data, parts[1], parts[2].removesuffix(".json"))

    def held(self) -> list[HeldFile]:
        paths = (path for path in self.tip.files if path.startswith(f"{HELD}/"))
        return [_parsed_held(self.tip.files[path], path) for path in paths]

    def answer(self, need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401, PLR0911
        """Answer a need, as `look.looker` does."""
        match need:
            case NeedHistory():
                return History(self._history(facts.at), is_whole=True)
            case NeedLog():
                newest = reversed(self.commits[-50:])
                return tuple(LogEntry(c.id, c.at, c.by, c.message) for c in newest)
            case NeedRemoved(services=services):
                return tuple(self._removed(services))
            case NeedBeside():
                return self._stood_beside(need)
            case NeedStateVersions():
                return self._versions(path_of(facts.at.environment, facts.at.service))
            case NeedRecords(count=count):
                fitting = [s for s in reversed(self.records) if self._is_of(s, facts.at)]
                return Records(tuple(fitting[:count]), len(fitting) > count)
            case NeedRecord(sha256=sha256):
                found = (stored for stored in self.records if stored.sha256 == sha256)
                return next(found, MissingRecord("it was deleted"))
            case NeedCheck(image=image):
                now = self.registry.tags.get(image.tag or "")
                return Check("there", image.digest or now, has_tag=image.digest in (None, now))
            case NeedDigest(image=image):
                return Digest(self.registry.tags.get(image.tag or "latest"))
        return plainly(need, facts)

    def _versions(self, path: str) -> StateVersions:
        versions = []
        for before, after in zip([None, *self.commits], self.commits, strict=False):
            data = after.files.get(path)
            if data is not None and (before is None or before.files.get(path) != data):
                versions.append(Version(after.id, after.message, data))
        return StateVersions(self.tip.files.get(path), tuple(reversed(versions)))

    def _removed(self, services: frozenset[str]) -> Iterator[Removed]:
        """Yield the state files that are there no more, as `look.looker` finds them."""
        for before, after in reversed(list(pairwise(self.commits))):
            for path in before.files.keys() - after.files.keys() - self.tip.files.keys():
                folder, _slash, name = path.removeprefix(f"{FOLDER}/").rpartition("/")
                service = name.removesuffix(".json")
                is_its = service in services or path.startswith(f"{HELD}/")
                if is_its and path == path_of(folder, service):
                    data = before.files[path]
                    yield Removed(after.id, after.message, service, folder, data)

    def _stood_beside(self, need: NeedBeside) -> bool:
        """Tell it of files that have one field each."""
        last = next(commit for commit in reversed(self.commits) if need.path in commit.files)
        if last is self.tip:
            return True
        names = {name for path, like in need.fields for name in self._names(path, like)}
        return need.path not in names and any(path in last.files for path in names)

    def _names(self, path: str, like: Likeness) -> Iterator[str]:
        """Yield the path of a file, and those that it had before."""
        yield path
        for before, after in reversed(list(pairwise(self.commits))):
            if path in before.files or path not in after.files:
                continue
            gone = [one for one in before.files.keys() - after.files.keys()
                    if like.namespace and like.namespace.encode() in before.files[one]
                    and one.endswith(".yaml")]  # fmt: skip
            if len(gone) != 1:
                return
            [path] = gone
            yield path

    def _history(self, at: ServiceAtTip) -> tuple[Any, ...]:
        path = at.found.fields[0].path
        changes, blobs = [], {}
        for before, after in zip([None, *self.commits], self.commits, strict=False):
            data = after.files.get(path)
            if data is None or (before is not None and before.files.get(path) == data):
                continue
            oid = sha1(data, usedforsecurity=False).hexdigest()
            blobs[oid] = data
            changes.append(PathChange(after.id, after.at, after.by, oid, after.message))
        return read_entries(reversed(changes), blobs, at)

    @staticmethod
    def _is_of(stored: StoredRecord, at: ServiceAtTip) -> bool:
        record = stored.record
        return (record.service, record.environment) == (at.service, at.environment)

    # What run and write/ do

    def decide(
        self, wish: Wish, at: ServiceAtTip, first: FirstTry | None = None
    ) -> Change | Refused:
        """Decide with all that is looked up; a record that is made is filed, refused or not."""
        facts = Facts(at, URL, first=first)
        answer = decide(wish, facts)
        while isinstance(answer, Need):
            facts = facts.knowing({answer: self.answer(answer, facts)})
            answer = decide(wish, facts)
        return answer

    def proposed(self, change: Change) -> Made:
        """Archive the record of a change, and return the commit that would make it."""
        if change.record is not None:
            self.records.append(replace(change.record.stored, location="the archive"))
        return together([change], skip=False)

    def write(self, change: Change, by: str, message: str | None = None) -> bool:
        """Commit a change; return whether it changed anything."""
        commit = self.proposed(change)
        if not commit.files:
            return False
        self.commit(commit.files, by, message or commit.message)
        return True


def seen(decided: Change | Refused) -> FirstTry:
    """What a run read on its first tip."""
    plan = decided.plan
    target = plan.chosen.image if plan is not None and plan.chosen is not None else None
    return FirstTry(decided.at.read.image, target, to_end(Facts(decided.at, "")))

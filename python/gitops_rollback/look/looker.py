"""Look up the facts that `decide` misses: a fact for each need, from whoever knows it.

Among them what a real kustomize makes of a part of the repository: the files it reads, the builds.
And what else changed in a service's manifests since an image ran, which a rollback leaves as it is:
the copies that were archived beside the image's record are compared with the tip. Where undoing the
image alone gives the archived bytes, nothing else changed and no copy is fetched.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide import candidates
from gitops_rollback.decide.effect import findings_of_each
from gitops_rollback.decide.facts import (
    Blobs,
    Facts,
    History,
    Need,
    NeedAccount,
    NeedAuthor,
    NeedBeside,
    NeedBlobs,
    NeedChanges,
    NeedCheck,
    NeedDigest,
    NeedFilesAt,
    NeedFindings,
    NeedHistory,
    NeedLog,
    NeedPlatforms,
    NeedPolicies,
    NeedRecord,
    NeedRecords,
    NeedRemoved,
    NeedRendered,
    NeedRevision,
    NeedSchemaLabels,
    NeedStateVersions,
    NeedStorage,
    NeedTags,
    Records,
    Removed,
    Rendered,
    StateVersions,
    Version,
)
from gitops_rollback.decide.recording import as_recorded
from gitops_rollback.effective.proof import NotBuiltError, as_applied, blob_id, files_of
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.merge import is_placed, reaches_below
from gitops_rollback.ledger.message import is_own, read_trailers
from gitops_rollback.ledger.records import StoredRecord, digest_of_bytes
from gitops_rollback.ledger.state import FOLDER, LONGEST_HISTORY, path_of
from gitops_rollback.look import git_history
from gitops_rollback.look.environment_files import Here, is_held, read_policies
from gitops_rollback.look.retrace import Archive, retrace_all
from gitops_rollback.look.standings import stood_beside
from gitops_rollback.manifest.compare import Difference, differences
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.model import is_name, some
from gitops_rollback.repo.builder import BuildError
from gitops_rollback.web.hosts import MOST_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.effective.proof import Recipe
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.records import ManifestCopy
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.model import LogEntry
    from gitops_rollback.policies import Policies
    from gitops_rollback.repo.builder import KustomizeBuilder
    from gitops_rollback.repo.objects import Entry, PathChange, Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.directory import RecordStore

_ENOUGH_IMAGES = 3
_MOST_FILES = 2_000
_LARGEST = 50_000_000  # bytes of all files of a build
_MOST_LEVELS = 50  # of folders that take each other, each a batch of its own
_MOST_LINES = 10
_MOST_COMMITS = 5
_DEPTH = 50  # commits that are looked at for who changed it


@dataclass
class Looker:
    """Answers needs from the repository, the store and the registry, at one tip.

    `make_store`, `make_registry` and `make_builder` are called when first asked: most deploys need
    none of them.
    """

    repository: Repository
    snapshot: Snapshot
    make_store: Callable[[], RecordStore]
    make_registry: Callable[[], RegistryFacts]
    make_builder: Callable[[], KustomizeBuilder]
    _archives: dict[tuple[str, str], Archive] = field(default_factory=dict)

    @cached_property
    def store(self) -> RecordStore:
        """Where records are."""
        return self.make_store()

    @cached_property
    def registry(self) -> RegistryFacts:
        """What registries say."""
        return self.make_registry()

    def answer(self, need: Need[Any], facts: Facts) -> Any:  # noqa: ANN401, C901, PLR0911, PLR0912
        """Return what answers a need of a service: of the need's own type."""
        at = facts.at
        match need:
            case NeedCheck(image=image, looks=looks):
                return self.registry.check(image, facts.running, looks=looks)
            case NeedPlatforms(image=image):
                return self.registry.platforms(image, facts.running)
            case NeedRevision(image=image):
                return self.registry.revision(image)
            case NeedDigest(image=image, patient=patient):
                return self.registry.digest(image, patient=patient)
            case NeedTags():
                return self.registry.tags(facts.running, need)
            case NeedSchemaLabels(image=image):
                return self.registry.schema_labels(facts.running, image)
            case NeedRecord(deed=deed):
                return self._archive(at).named(deed)
            case NeedRecords(count=count):
                return self._archive(at).newest(count)
            case NeedHistory():
                return self.answer_together([(need, facts)])[0]
            case NeedAccount():
                only = replace(self.snapshot, services=(at,))
                return retrace_all(self.repository, self.store, only, LONGEST_HISTORY)[0].events
            case NeedLog():
                return self._log
            case NeedStateVersions():
                return self._versions(facts)
            case NeedRemoved(services=services):
                return self._removed(services)
            case NeedBeside():
                return stood_beside(self.repository, self._tip, self.snapshot.config, need)
            case NeedChanges(sha256=sha256):
                return self._changes(sha256, facts)
            case NeedStorage():
                from gitops_rollback.look.storage import StorageReader  # noqa: PLC0415 - most have none

                return StorageReader(self.repository).facts(at, need)
            case NeedPolicies():
                return self._policies
            case NeedFilesAt(commit=commit, paths=paths):
                return self._files_at(commit, paths)
            case NeedBlobs(recipe=recipe):
                return self._builds.blobs(recipe)
            case NeedRendered():
                return self._builds.build(need)
            case NeedAuthor():
                return self.repository.author(at.tip.commit)
        raise AssertionError(need)

    def answer_together(self, asked: Sequence[tuple[Need[Any], Facts]]) -> dict[int, Any]:
        """Answer needs of many services, by their place; what is not answered is to be asked again.

        Where history is missing, that first: it may change what is asked next, and one walk serves
        all. What edits do comes last, once it is asked for all that come so far. Registries are
        asked by several threads; the first question to one is asked alone: it opens the connection,
        and tells if nobody is there.
        """
        past = [
            (i, need, facts)
            for i, (need, facts) in enumerate(asked)
            if isinstance(need, NeedHistory)
        ]
        if past:
            wanted = [(facts.at, is_enough(facts, need)) for _i, need, facts in past]
            found = git_history.walk_all(self.repository, self.snapshot.config, wanted)
            return {
                i: History(entries, is_whole=need.until is not None)
                for (i, need, _facts), entries in zip(past, found, strict=True)
            }
        of_edits = [(need, facts.at) for need, facts in asked if isinstance(need, NeedFindings)]
        if len(of_edits) == len(asked):
            return dict(enumerate(findings_of_each(of_edits)))
        others = [i for i, (need, _f) in enumerate(asked) if not isinstance(need, NeedFindings)]
        answers = [self.answer(*asked[place]) for place in others[:1]]
        with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
            answers += pool.map(lambda place: self.answer(*asked[place]), others[1:])
        return dict(zip(others, answers, strict=True))

    @property
    def _tip(self) -> Tip:
        """The tip that all services of the run stand at."""
        services = self.snapshot.services
        return services[0].tip if services else self.snapshot.tip

    @cached_property
    def _builds(self) -> BuildReader:
        return BuildReader(self.repository, self._tip.commit, self.make_builder)

    @cached_property
    def _log(self) -> tuple[LogEntry, ...]:
        return tuple(self.repository.log(self._tip, git_history.DEPTHS[0]))

    @cached_property
    def _removals(self) -> list[tuple[str, PathChange]]:
        """What was deleted of the state folder: one walk, for whatever service asks first."""
        return self.repository.removals(self._tip, FOLDER, git_history.DEPTHS[-1])

    def _removed(self, services: frozenset[str]) -> tuple[Removed, ...]:
        """Return the files of services and of holds that were deleted and are there no more."""
        wanted = []
        for path, change in self._removals:
            folder, _slash, name = path.removeprefix(f"{FOLDER}/").rpartition("/")
            service = name.removesuffix(".json")
            is_theirs = service in services and is_name(folder)
            if path == path_of(folder, service) and (is_theirs or is_held(path)):
                wanted.append((path, change, service, folder))
        if not wanted:
            return ()
        paths = {path for path, *_rest in wanted}
        there = {entry.path for entry in self.repository.list_files(self._tip.commit, paths)}
        gone = [one for one in wanted if one[0] not in there]
        by_hand = (change for _path, change, *_rest in gone if not is_own(change.message))
        blobs = self.repository.read(change.oid for change in by_hand)
        return tuple(
            Removed(change.commit, change.message, service, folder, blobs.get(change.oid, b""))
            for _path, change, service, folder in gone
        )

    @cached_property
    def _policies(self) -> Policies:
        snapshot = self.snapshot
        return read_policies(
            Here(self.repository, self._tip, snapshot.config, snapshot.environment)
        )

    def _archive(self, at: ServiceAtTip) -> Archive:
        key = (at.environment, at.service)
        if key not in self._archives:
            self._archives[key] = Archive(self.repository, self.store, at)
        return self._archives[key]

    def _files_at(self, commit: str, paths: tuple[str, ...]) -> dict[str, bytes | None]:
        """Read files at a commit, in one batch; a commit that is gone has none of them."""
        try:
            self.repository.fetch_commit(commit)
            entries = {e.path: e for e in self.repository.list_files(commit, paths)}
            found = self.repository.read(e.oid for e in entries.values() if e.path in paths)
        except GitopsRollbackError:
            return dict.fromkeys(paths)
        return {path: found[entries[path].oid] if path in entries else None for path in paths}

    def _versions(self, facts: Facts) -> StateVersions:
        at = facts.at
        path = path_of(at.environment, at.service)
        present = self.repository.read_file(at.tip.commit, path)
        changes = self.repository.history(at.tip, path, git_history.DEPTHS[-1])
        blobs = self.repository.read(change.oid for change in changes)
        versions = (Version(c.commit, c.message, blobs[c.oid]) for c in changes)
        return StateVersions(present, tuple(versions))

    def _changes(self, sha256: str, facts: Facts) -> tuple[str, ...]:
        known = [one for one in facts.known.values() if isinstance(one, StoredRecord)]
        lists = (one.found for one in facts.known.values() if isinstance(one, Records))
        known += [stored for found in lists for stored in found]
        stored = next(one for one in known if one.sha256 == sha256)
        try:
            return tuple(changes_since(self.repository, self.store, facts.at, stored))
        except GitopsRollbackError as error:
            return (f"what else changed is not known: {error.message}",)


def is_enough(facts: Facts, need: NeedHistory) -> git_history.IsEnough:
    """Tell how far to walk back: to a time, the state's newest image, or a few images.

    With `below`: to a few changes below the state's oldest deed.
    """
    state = facts.state
    newest = state.newest if state else None

    def told(entries: Sequence[HistoryEntry]) -> bool:
        if need.until is not None and not candidates.reaches(entries, need.until):
            return False
        if state is not None and need.below:
            return reaches_below(state, entries) >= _ENOUGH_IMAGES
        if newest is not None:
            return is_placed(state, entries)
        return len({entry.image.canonical for entry in entries}) >= _ENOUGH_IMAGES

    return told


class BuildReader:
    """Builds at one commit; `make_builder` is called when a tool is needed."""

    def __init__(
        self, repository: Repository, commit: str, make_builder: Callable[[], KustomizeBuilder]
    ) -> None:
        self._repository = repository
        self._commit = commit
        self._make_builder = make_builder
        self._files: dict[str, bytes] = {}
        self._paths: dict[Recipe, frozenset[str]] = {}

    def blobs(self, recipe: Recipe) -> Blobs:
        """Return the blobs that a build of a recipe reads, by their paths."""
        try:
            return Blobs({path: self._entries[path].oid for path in sorted(self._read(recipe))})
        except NotBuiltError as error:
            return Blobs(problem=str(error))

    def build(self, need: NeedRendered) -> Rendered:
        """Return what a tool makes of a recipe before some edits and after them, or why nothing."""
        try:
            tool = self._builder.tool
            files = {path: self._files[path] for path in self._read(need.recipe)}
            edited = {path: data for path, data in need.edited if path in files}
            made = (as_applied(need.recipe, files), as_applied(need.recipe, {**files, **edited}))
            versions = ({**files, **made[0]}, {**edited, **made[1]})
            tool, (before, after) = self._builder.build(need.recipe.folder, versions)
        except BuildError as error:
            return Rendered(problem=str(error), is_missing=error.is_missing)
        except NotBuiltError as error:
            return Rendered(problem=str(error))
        return Rendered(tool.name, tool.version, before, after)

    @cached_property
    def _builder(self) -> KustomizeBuilder:
        return self._make_builder()

    @cached_property
    def _entries(self) -> Mapping[str, Entry]:
        return {entry.path: entry for entry in self._repository.list_files(self._commit, [""])}

    def _read(self, recipe: Recipe) -> frozenset[str]:
        """Read the files of a recipe, a batch for each level; raise `NotBuiltError` of too many."""
        if recipe in self._paths:
            return self._paths[recipe]
        for _level in range(_MOST_LEVELS):
            paths = files_of(recipe, self._entries, self._files)
            if len(paths) > _MOST_FILES:
                raise NotBuiltError(f"{recipe.title} is made of more than {_MOST_FILES} files")
            missing = [self._entries[path] for path in paths if path not in self._files]
            if not missing:
                self._paths[recipe] = paths
                return paths
            found = self._repository.read(entry.oid for entry in missing)
            self._files |= {entry.path: found[entry.oid] for entry in missing}
            if sum(map(len, self._files.values())) > _LARGEST:
                raise NotBuiltError(f"{recipe.title} is of more than {_LARGEST // 1_000_000} MB")
        raise NotBuiltError(f"{recipe.title}: more than {_MOST_LEVELS} folders take each other")


def changes_since(
    repository: Repository, store: RecordStore, at: ServiceAtTip, stored: StoredRecord
) -> list[str]:
    """Return a line for each manifest of a record that changed otherwise than in its image."""
    found = []
    for copy in stored.record.manifests:
        file = at.found.manifests.files.get(copy.path)
        if file is None:
            found.append(f"{copy.path} is no longer a manifest of {at.title}")
        elif digest_of_bytes(as_recorded(file, at, stored)) != copy.sha256:
            found += _changes(repository, store, at, stored, copy, file)
    return found


def _changes(
    repository: Repository,
    store: RecordStore,
    at: ServiceAtTip,
    stored: StoredRecord,
    copy: ManifestCopy,
    file: ParsedFile,
) -> list[str]:
    if not copy.copied:
        return [f"{copy.path} changed; it holds a Secret, so no copy tells in what"]
    try:
        data = store.manifest(stored, copy.path)
        old = parse_once(copy.path, data) if data is not None else None
    except GitopsRollbackError as error:
        return [f"{copy.path} changed; its archived copy cannot be read: {error.message}"]
    if data is None or old is None:
        return [f"{copy.path} changed; its archived copy is gone"]
    ignored = {(f.document, f.pointer) for f in at.found.fields if f.path == copy.path}
    try:
        places = differences(old, file, ignored)
    except RecursionError:
        return [f"{copy.path} changed; it is nested too deep to say in what"]
    if not places:
        return []  # comments, blanks, order of keys
    return [f"{_places(copy.path, places)}{_commits(repository, at, copy.path, data)}"]


def _places(path: str, places: list[Difference]) -> str:
    told = [f"line {place.line}: {place.what}" for place in places]
    return f"{path} {some(told, _MOST_LINES, '; ')}"


def _commits(repository: Repository, at: ServiceAtTip, path: str, data: bytes) -> str:
    """Name who changed a file since it was as archived; this tool's own commits do not count."""
    archived = blob_id(data, at.tip.commit)
    names = []
    for change in repository.history(at.tip, path, _DEPTH):
        if change.oid == archived or change.is_oldest:
            break
        if read_trailers(change.message, at.service, at.environment) is None:
            names.append(f"{change.commit[:12]} by {change.by}")
    return f" ({some(names, _MOST_COMMITS)})" if names else ""

"""Read the storage of a service: as it is now, and as it was when another image ran."""

from __future__ import annotations

from itertools import dropwhile, takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from gitops_rollback.decide.facts import StorageFacts
from gitops_rollback.errors import GitopsRollbackError, ResourceError
from gitops_rollback.image import contradicts
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.events import is_unchanged
from gitops_rollback.ledger.state import parse_state, path_of
from gitops_rollback.look.environment_files import is_manifest, read_files
from gitops_rollback.look.git_history import read_entries
from gitops_rollback.storage import (
    ServiceKeys,
    changes_between,
    findings_of,
    parts_of,
    read_objects,
    review,
    storage_in,
    titles_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.decide.facts import NeedStorage, ServiceAtTip
    from gitops_rollback.image import ImageReference
    from gitops_rollback.repo.objects import PathChange
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.storage import StorageChange


_DEPTH = 50  # commits in which the one that changed storage is looked for
_MOST_PATHS = 3  # whose history is read for it
_MOST_FILES = 2_000


@dataclass(frozen=True)
class StorageReader:
    """Reads the manifests beside a service; nothing more where no storage is in sight."""

    repository: Repository

    def facts(self, at: ServiceAtTip, need: NeedStorage) -> StorageFacts:
        """Return what is to be said of a service's storage if it goes back to an image.

        Where nobody can tell how the manifests were when it ran, that is said, and no more.
        """
        keys = keys_of(at)
        lines: tuple[str, ...] = ()
        try:
            now = self._files(at, at.tip.commit)
            findings = findings_of(review(now), keys, is_all=not at.found.settings.manifests)
            lines = tuple(finding.sentence for finding in findings if not finding.is_note)
            commit = self._commit(at, need)
            if commit is None:
                unknown = f"no record or commit tells when {need.label} ran"
                return StorageFacts(lines, problems=(f"storage was not compared: {unknown}",))
            changes = self._changes(at, keys, now, commit)
        except GitopsRollbackError as error:
            problem = f"storage was not compared with when {need.label} ran: {error.message}"
            return StorageFacts(lines, problems=(problem,))
        return StorageFacts(lines, tuple(change.sentence for change in changes))

    def _changes(
        self, at: ServiceAtTip, keys: ServiceKeys, now: Mapping[str, bytes], commit: str
    ) -> tuple[StorageChange, ...]:
        self.repository.fetch_commit(commit)
        then = self._files(at, commit)
        if then == now:
            return ()
        before, after = (read_objects(files).items for files in (then, now))
        changes = changes_between(
            parts_of(before, keys), parts_of(after, keys), titles_of(after), titles_of(before)
        )
        return tuple(self._with_commits(at, changes))

    def _files(self, at: ServiceAtTip, commit: str) -> dict[str, bytes]:
        """Read the manifests of a commit beside the service, or of the whole environment.

        The whole is read where services are discovered in it, for then it is here already.
        """
        entries = self.repository.list_files(commit, _roots(at))
        manifests = [entry for entry in entries if is_manifest(entry.path)]
        if len(manifests) > _MOST_FILES:
            raise ResourceError(
                f"{len(manifests)} manifests stand beside it, more than {_MOST_FILES}",
                "keep the service's manifests in folders of their own",
            )
        return read_files(self.repository, manifests)

    def _commit(self, at: ServiceAtTip, need: NeedStorage) -> str | None:
        """Return the commit that brought the image where it is asked for, else one in which it ran.

        What is changed for a release comes shortly before its image, while the image before it
        still runs: of that, the last commit in which it ran says nothing.
        """
        if need.released or need.commit is None:
            return self._placing(at, need.image) or self._bringing(at, need.image) or need.commit
        return need.commit

    def _bringing(self, at: ServiceAtTip, image: ImageReference) -> str | None:
        """Return the commit that wrote the image into its field, of those that are looked at.

        At first use no state file tells when the image came: its field does.
        """
        history = self.repository.history(at.tip, at.found.fields[0].path, _DEPTH)
        entries = read_entries(history, self.repository.read(one.oid for one in history), at)
        before = dropwhile(lambda entry: contradicts(entry.image, image), entries)
        own = list(takewhile(lambda entry: not contradicts(entry.image, image), before))
        return own[-1].commit if own else None

    def _placing(self, at: ServiceAtTip, image: ImageReference) -> str | None:
        """Return the newest commit after which the state file said that the image came."""
        if at.state is None:
            return None
        path = path_of(at.environment, at.service)
        changes = self.repository.history(at.tip, path, _DEPTH)
        blobs = self.repository.read(change.oid for change in changes)
        for change in changes:
            newest = parse_state(blobs[change.oid], at.environment, at.service).newest
            if newest is not None and is_unchanged(newest.image, image):
                return change.commit
        return None

    def _with_commits(
        self, at: ServiceAtTip, changes: Iterable[StorageChange]
    ) -> Iterator[StorageChange]:
        """Add who changed it, where that is found in the last commits."""
        found: dict[str, str] = {}
        for change in changes:
            if change.path not in found and len(found) < _MOST_PATHS:
                found[change.path] = self._who(at, change.path)
            yield replace(change, commit=found.get(change.path, ""))

    def _who(self, at: ServiceAtTip, path: str) -> str:
        history = self.repository.history(at.tip, path, _DEPTH)
        blobs = self.repository.read(change.oid for change in history)
        said = [_storage_of(path, blobs[change.oid]) for change in history]
        for change, after, before in zip(history, said, said[1:], strict=False):
            if after != before:
                return _named(change)
        last = history[-1] if history else None
        return _named(last) if last is not None and not last.is_oldest else ""


def keys_of(at: ServiceAtTip) -> ServiceKeys:
    """Return how the workloads of a service are known."""
    places = frozenset((f.path, f.kind, f.name) for f in at.found.fields)
    return ServiceKeys(places, at.found.image.full_repository)


def _roots(at: ServiceAtTip) -> list[str]:
    """Return the folders of a service's manifests, those of its overlays' bases too."""
    paths = [*(field.path for field in at.found.fields), *at.found.manifests.files]
    folders = {str(PurePosixPath(path).parent).removeprefix(".") for path in paths}
    if at.found.settings.manifests:
        return sorted(folders)
    environment = at.found.environment
    return [environment.path, *sorted(f for f in folders if not environment.holds(f))]


def _storage_of(path: str, data: bytes) -> Any:  # noqa: ANN401 - only compared
    return [storage_in(item) for item in read_objects({path: data}).items]


def _named(change: PathChange) -> str:
    return f"commit {change.commit[:12]} by {change.by}, {change.at}"

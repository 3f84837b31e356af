"""What else changed in a service's manifests since an image ran: a rollback leaves it as it is.

The copies that were archived beside the image's record are compared with the tip. Where undoing
the image alone gives the archived bytes, nothing else changed and no copy is fetched.
"""

from __future__ import annotations

from hashlib import new
from typing import TYPE_CHECKING

from gitops_rollback.decide.recording import as_recorded
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.ledger.message import read_trailers
from gitops_rollback.ledger.records import digest_of_bytes
from gitops_rollback.manifest.compare import Difference, differences
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.model import some

if TYPE_CHECKING:
    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.ledger.records import ManifestCopy, StoredRecord
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.stores.base import RecordStore

_MOST_LINES = 10
_MOST_COMMITS = 5
_DEPTH = 50  # commits that are looked at for who changed it
_SHA1_LENGTH = 40


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
    blob = b"blob %d\0" % len(data) + data
    archived = new("sha1" if len(at.tip.commit) == _SHA1_LENGTH else "sha256", blob).hexdigest()
    names = []
    for change in repository.history(at.tip, path, _DEPTH):
        if change.oid == archived or change.is_oldest:
            break
        if read_trailers(change.message, at.service, at.environment) is None:
            names.append(f"{change.commit[:12]} by {change.by}")
    return f" ({some(names, _MOST_COMMITS)})" if names else ""

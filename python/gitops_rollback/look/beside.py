"""Whether fields stood beside one that was written down, or are that one, which was moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import replace
from gitops_rollback.ledger.fields import likeness_of
from gitops_rollback.look.environment_files import read_files
from gitops_rollback.repo.repository import LAST_LOOK, MOST_MOVES
from gitops_rollback.services import inventory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gitops_rollback.decide.facts import NeedBeside
    from gitops_rollback.ledger.fields import Likeness
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository


def stood_beside(repository: Repository, tip: Tip, need: NeedBeside) -> bool:
    """Tell whether a field stood on the branch when the one of before last stood at its place.

    Under whatever path it had then: a file is followed back through the commits that moved it.
    """
    if need.path in _with_field(repository, tip.commit, [need.path], need.like):
        return True
    gone = repository.removals(tip, need.path, LAST_LOOK)
    if not gone:
        return False
    before = f"{gone[0][1].commit}~1"
    names = {name for path, like in need.fields for name in _names(repository, tip, path, like)}
    if need.path in names:
        return False
    return any(entry.path in names for entry in repository.list_files(before, names))


def _names(repository: Repository, tip: Tip, path: str, like: Likeness) -> Iterator[str]:
    """Yield the path of a field's file, and those that it had before, the newest first."""
    yield path
    for _ in range(MOST_MOVES):
        commit = repository.added(tip, path, LAST_LOOK)
        if commit is None:
            return
        removed = repository.removed_in(commit, (".yaml", ".yml"))
        was = _with_field(repository, f"{commit}~1", removed, like) if removed else []
        if len(was) != 1:
            return
        path = was[0]
        yield path
        tip = replace(tip, commit=f"{commit}~1")


def _with_field(
    repository: Repository, commit: str, paths: Iterable[str], like: Likeness
) -> list[str]:
    """Return those of some files that have a field, as they are at a commit."""
    entries = repository.list_files(commit, paths)
    return [
        path
        for path, data in read_files(repository, entries).items()
        for fields in inventory.read_manifests({path: data}).fields.values()
        if any(like.fits(likeness_of(field)) for field in fields)
    ]

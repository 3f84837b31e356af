"""What Flux leaves out of the files that it takes from a repository. Pure.

A GitRepository is packed without what its `ignore` and every `.sourceignore` of the repository
name, and without a list of Flux's own where neither says anything; with `sparseCheckout` nothing
but some folders is there at all (fluxcd.io/flux/components/source/gitrepositories, "Excluding
files"). Patterns are those of gitignore as Flux reads them (fluxcd/pkg, sourceignore): the last one
that fits a file counts, also below a folder that another one leaves out.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from gitops_rollback.effective.grammar import GIT_REPOSITORY, odd_fields
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.late import dataclass
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.patterns import go_glob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from gitops_rollback.effective.sources import GitSource

IGNORE_FILE = ".sourceignore"
_ALWAYS = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
_BY_DEFAULT = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml"),
    *("cloudbuild.yaml", "codeship-services.yml", "codeship-steps.yml"),
    *("**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
_ANY_FOLDERS = "**"
_DEFAULTS = "Flux's default exclusions"


@dataclass(frozen=True)
class _Pattern:
    """One line of a list: whose files it is about (`domain`), and where it stands."""

    domain: tuple[str, ...]
    text: str
    path: str
    line: int

    @property
    def takes_in(self) -> bool:
        """Whether it takes back in what others leave out."""
        return self.text.startswith("!")

    def fits(self, steps: tuple[str, ...]) -> bool:
        """Tell whether it is about a file, whose path has these steps."""
        if steps[: len(self.domain)] != self.domain:
            return False
        below = steps[len(self.domain) :]
        text = self.text.removeprefix("!")
        text = text if text.endswith("\\ ") else text.rstrip(" ")
        is_folder = text.endswith("/")
        names = text.removesuffix("/").split("/")
        if len(names) > 1:
            return _fits_all(names, below, is_folder=is_folder)
        first = next((n for n, step in enumerate(below) if _is(names[0], step)), None)
        return first is not None and not (is_folder and first == len(below) - 1)


def _is(pattern: str, name: str) -> bool:
    glob = go_glob(pattern)
    return glob is not None and glob.fullmatch(name) is not None


def _fits_all(names: list[str], steps: tuple[str, ...], *, is_folder: bool) -> bool:
    """Tell whether a pattern with slashes fits, name by name (globMatch of go-git's gitignore)."""
    rest, crosses, fits = list(steps), False, False
    for number, name in enumerate(names):
        if not name:
            crosses = False
        elif name == _ANY_FOLDERS:
            if number == len(names) - 1:
                break
            crosses = True
        elif _ANY_FOLDERS in name or not rest:
            return False
        elif crosses:
            crosses = False
            found = next((n for n, step in enumerate(rest) if _is(name, step)), None)
            fits = found is not None
            rest = rest[found + 1 :] if found is not None else []
        elif not _is(name, rest.pop(0)):
            return False
        else:
            fits = True
    return fits and not (is_folder and not rest)


class LeftOut:
    """What a GitRepository leaves out; without one, what any of this repository would.

    `lists` are the files that say so.
    """

    def __init__(self, lists: Mapping[str, bytes], source: GitSource | None) -> None:
        self._source = source
        self._sparse = [
            (text_of(one) or "").removeprefix("./")
            for one in items_of(lookup(source.spec, "sparseCheckout") if source else None)
        ]
        there = sorted(filter(self._is_there, lists), key=lambda one: one.split("/"))
        own = [pattern for path in there for pattern in _patterns(path, lists[path])]
        ignore = lookup(source.spec, "ignore") if source else None
        if source is not None and ignore is not None:
            text = (text_of(ignore) or "").encode()
            own += _patterns(source.path, text, ignore.start_mark.line + 1)
        default = [_Pattern((), text, "", 0) for text in (*_ALWAYS, *(() if own else _BY_DEFAULT))]
        self._patterns = [*default, *own]

    def why(self, path: str) -> Unknown | None:
        """Return that a file is left out, and by what; None where it is taken."""
        if not self._is_there(path):
            return self._unknown("spec.sparseCheckout", path)
        steps = tuple(path.split("/"))
        found = next((one for one in reversed(self._patterns) if one.fits(steps)), None)
        if found is None or found.takes_in:
            return self._covered(path)
        place = (found.path, found.line) if found.path else (path, 1)
        what = f"'{found.text}' leaves {path} out of what Flux takes"
        name = IGNORE_FILE if found.path.endswith(IGNORE_FILE) else "spec.ignore"
        hint = f"take the pattern out, or take the file in with a later `!{path}`, {ACCEPT}"
        if not found.path:
            hint = f"rename it, or give the GitRepository an `ignore` of its own, {ACCEPT}"
        return Unknown(*place, name if found.path else _DEFAULTS, what, hint)

    def _is_there(self, path: str) -> bool:
        return not self._sparse or any(
            not one or path == one or path.startswith(f"{one.rstrip('/')}/") for one in self._sparse
        )

    def _covered(self, path: str) -> Unknown | None:
        """Return that another repository's files are put over a path (`spec.include`)."""
        for item in items_of(lookup(self._source.spec, "include") if self._source else None):
            name = text_of(lookup(lookup(item, "repository"), "name")) or ""
            to = posixpath.normpath(text_of(lookup(item, "toPath")) or name)
            if to == "." or f"{path}/".startswith(f"{to}/"):
                return self._unknown("spec.include", path)
        return None

    def _unknown(self, key: str, path: str) -> Unknown:
        assert self._source is not None  # noqa: S101 - what a source says is asked for one
        why = f"{path} is not taken from this branch"
        hint = f"change {key} of the GitRepository {self._source.name}, {ACCEPT}"
        return Unknown(self._source.path, self._source.line, key, why, hint)


def is_ignore_file(path: str) -> bool:
    """Tell whether a file is one of those lists."""
    return posixpath.basename(path) == IGNORE_FILE


def _patterns(path: str, data: bytes, first: int = 0) -> Iterator[_Pattern]:
    """Yield the patterns of a file, or of a text in an object that begins in line `first`."""
    above = posixpath.dirname(path) if not first else ""
    domain = tuple(above.split("/")) if above else ()
    for number, line in enumerate(data.decode(errors="replace").split("\n"), start=1):
        text = line.removesuffix("\r")
        if text.strip() and not text.startswith("#"):
            yield _Pattern(domain, text, path, first + number if first else number)


def doubts_of(source: GitSource) -> Iterator[Unknown]:
    """Yield what keeps a GitRepository from taking a commit, or is not known of it."""
    if text_of(lookup(source.spec, "suspend")) == "true":
        why = "it is suspended: no commit is taken until somebody resumes it"
        hint = f"take `suspend: true` out of it, {ACCEPT}"
        yield Unknown(source.path, source.line, f"GitRepository {source.name}", why, hint)
    yield from odd_fields(source.path, source.spec, GIT_REPOSITORY, "a GitRepository")


def warnings_of(sources: Iterable[GitSource]) -> tuple[str, ...]:
    """Return what people should know of sources: that they take no commit without a signature."""
    return tuple(
        f"the GitRepository {one.name} takes only commits that are signed as it wants (verify)"
        for one in sources
        if lookup(one.spec, "verify") is not None
    )

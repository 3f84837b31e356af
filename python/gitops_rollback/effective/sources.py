"""Whose files Flux and Argo CD apply, and which of these they leave out. Pure.

An object names a repository by its URL (Argo CD), or a GitRepository that has one (Flux). What
points to another repository says nothing about the files of this one, whatever its path. URLs are
compared as hosts spell them: by https or ssh, with or without user, port and `.git`.

A GitRepository is packed without what its `ignore` and every `.sourceignore` of the repository
name, and without a list of Flux's own where neither says anything; with `sparseCheckout` nothing
but some folders is there at all (fluxcd.io/flux/components/source/gitrepositories, "Excluding
files"). Patterns are those of gitignore as Flux reads them (fluxcd/pkg, sourceignore): the last one
that fits a file counts, also below a folder that another one leaves out.
"""

from __future__ import annotations

import posixpath
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from gitops_rollback.effective.grammar import GIT_REPOSITORY, odd_fields
from gitops_rollback.effective.objects import ACCEPT, Unknown
from gitops_rollback.effective.raw import IGNORE_FILE, Raw, decoded
from gitops_rollback.late import dataclass, field
from gitops_rollback.manifest.argo import ARGO_GROUP
from gitops_rollback.manifest.document import items_of, lookup, text_of
from gitops_rollback.manifest.flux import KUSTOMIZE_GROUP
from gitops_rollback.manifest.patterns import go_glob
from gitops_rollback.model import repository_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import yaml

    from gitops_rollback.manifest.objects import ManifestObject

SOURCE_GROUP = "source.toolkit.fluxcd.io"
# What `flux bootstrap` calls the source of the repository that it writes to.
SYSTEM = "flux-system"
_GIT = "GitRepository"
# What hosts are called for ssh besides (docs.github.com, docs.gitlab.com, learn.microsoft.com).
_HOSTS = {
    "ssh.github.com": "github.com",
    "altssh.gitlab.com": "gitlab.com",
    "altssh.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com",
}


class Whose(Enum):
    """Whose files an object means."""

    OURS = "this repository's"
    OTHER_REVISION = "this repository's, of another branch or a tag"
    ANOTHERS = "another repository's"
    UNKNOWN = "not known"


@dataclass(frozen=True)
class Home:
    """The repository and the branch that a run is about; both are empty where that is not known.

    `urls` are what else the repository is called, as the configuration has it.
    """

    url: str = ""
    branch: str = ""
    urls: tuple[str, ...] = ()


NOWHERE = Home()


@dataclass(frozen=True)
class Pointing:
    """Whose files an object means; `why` says it for people.

    `sources` are the GitRepositories that it takes them from, as far as they stand in files.
    """

    whose: Whose
    why: str = ""
    hint: str = ""
    sources: tuple[GitSource, ...] = ()


@dataclass(frozen=True)
class GitSource:
    """A GitRepository of Flux: its URL, and what it follows there.

    `revision` is how it says that, for people; `branch` is empty where it follows no branch, or
    does not say which.
    """

    name: str
    namespace: str
    path: str
    url: str
    branch: str
    revision: str
    line: int = 1
    spec: yaml.Node | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Sources:
    """What the files say of repositories, and where the run itself is at home.

    `named` are the sources that Flux's objects refer to, by kind and name; `raw` has the bytes of
    all files.
    """

    home: Home = field(default_factory=Home)
    git: tuple[GitSource, ...] = ()
    named: frozenset[tuple[str, str]] = frozenset()
    raw: Raw = field(default_factory=Raw, repr=False)
    _left_out: dict[int, LeftOut] = field(default_factory=dict, repr=False)

    def left_out(self, path: str, sources: Iterable[GitSource] = ()) -> Unknown | None:
        """Return why Flux does not take a file from some GitRepositories; None where it does.

        Without any, what every one of this repository leaves out counts; where nothing in it is
        Flux's, nothing is left out.
        """
        named = tuple(sources)
        whys = (self._leaving(one).why(path) for one in named)
        if named:
            return next((why for why in whys if why is not None), None)
        if not (self.git or self.named or self.raw.ignores):
            return None
        found = None
        for one in self._ours or (None,):
            why = self._leaving(one).why(path)
            if why is None:
                return None
            found = found or why
        return found

    def _leaving(self, source: GitSource | None) -> LeftOut:
        key = id(source)
        if key not in self._left_out:
            self._left_out[key] = LeftOut(self.raw.ignores, source)
        return self._left_out[key]

    @cached_property
    def _ours(self) -> tuple[GitSource, ...]:
        """The GitRepositories of this repository and branch."""
        return tuple(one for one in self.git if self._of_source(one).whose is Whose.OURS)

    def of_flux(self, reference: yaml.Node | None, namespace: str, path: str) -> Pointing:
        """Return whose files a `sourceRef` means, in an object of a namespace in a file."""
        kind = text_of(lookup(reference, "kind")) or ""
        name = text_of(lookup(reference, "name")) or ""
        wanted = text_of(lookup(reference, "namespace")) or namespace
        found = tuple(self._nearest(name, wanted, path)) if kind == _GIT else ()
        if not self.home.url or not name:
            return Pointing(Whose.OURS, sources=found)
        if kind != _GIT:
            return Pointing(
                Whose.UNKNOWN,
                f"whether the {kind} {name} was made of these files is not known",
                f"apply them from a GitRepository, {ACCEPT}",
            )
        if not found:
            return self._absent(kind, name)
        told = [self._of_source(one) for one in found]
        if len({one.whose for one in told}) > 1:
            why = f"there are several {kind}s {name}, of different repositories or branches"
            return Pointing(Whose.UNKNOWN, why, f"name one of them, {ACCEPT}", found)
        return Pointing(told[0].whose, told[0].why, told[0].hint, found)

    def of_url(self, url: str, revision: str) -> Pointing:
        """Return whose files a URL means with what Argo CD follows there."""
        if not self.home.url or not url:
            return Pointing(Whose.OURS)
        told = self._of_url(url)
        if told.whose is Whose.OURS and revision.removeprefix("refs/heads/") not in (
            "",
            "HEAD",
            self.home.branch,
        ):
            return self._other_revision(f"targetRevision {revision}")
        return told

    def _of_source(self, source: GitSource) -> Pointing:
        told = Pointing(Whose.OURS) if is_system(source) else self._of_url(source.url)
        if told.whose is Whose.OURS and source.branch != self.home.branch:
            return self._other_revision(f"the {source.revision}")
        return told

    def _other_revision(self, what: str) -> Pointing:
        return Pointing(
            Whose.OTHER_REVISION,
            f"{what} of this repository is applied, not the branch {self.home.branch}",
            "deploy to the branch that is applied (`branch` of an environment in "
            f".gitops-rollback.toml), {ACCEPT}",
        )

    def _of_url(self, url: str) -> Pointing:
        if "$" in url or "{{" in url:
            why = f"the repository {url} is not known: its URL has a variable"
            return Pointing(Whose.UNKNOWN, why, f"write it out, {ACCEPT}")
        other = _key(url)
        if other in self._own:
            return Pointing(Whose.OURS)
        host, path = _parts(other)
        mine = [_parts(one) for one in self._own if not one.startswith("/")]
        is_neighbour = any(its_host == host for its_host, _path in mine)
        names = {posixpath.basename(its_path) for _host, its_path in mine}
        if mine and (is_neighbour or posixpath.basename(path) not in names):
            return Pointing(Whose.ANOTHERS, f"its repository is {url}")
        return Pointing(
            Whose.UNKNOWN,
            f"whether {url} is this repository ({self.home.url}) is not known",
            f'say that it is: [defaults] urls = ["{url}"] in .gitops-rollback.toml, or give the '
            f"repository by that URL (--repository), {ACCEPT}",
        )

    @cached_property
    def _own(self) -> frozenset[str]:
        """What this repository is called.

        By the run, by the configuration, and by the source of `flux bootstrap` in it.
        """
        named = (one.url for one in self.git if is_system(one))
        return frozenset(map(_key, (self.home.url, *self.home.urls, *named)))

    def _nearest(self, name: str, namespace: str, path: str) -> list[GitSource]:
        """Return the sources of a name: where several clusters have one, that beside the object."""
        found = [
            one
            for one in self.git
            if one.name == name
            and (not one.namespace or not namespace or one.namespace == namespace)
        ]
        shared = [
            len(posixpath.commonprefix([_folders(one.path), _folders(path)])) for one in found
        ]
        return [one for one, count in zip(found, shared, strict=True) if count == max(shared)]

    def _absent(self, kind: str, name: str) -> Pointing:
        """Return whose files a source means that stands in no file.

        The one source that all objects name applies this repository, or none of them would.
        """
        if name == SYSTEM or self.named == {(kind, name)}:
            return Pointing(Whose.OURS)
        return Pointing(
            Whose.UNKNOWN,
            f"its source is the {kind} {name}, which stands in no file: whose files it means is "
            "not known",
            f"put the {kind} into this repository, {ACCEPT}",
        )


def is_system(source: GitSource) -> bool:
    """Tell whether a source is what `flux bootstrap` wrote into this repository about this itself.

    It is believed whatever its URL: repositories are renamed, and have mirrors.
    """
    folder = posixpath.basename(posixpath.dirname(source.path))
    return source.name == SYSTEM and folder == SYSTEM


def git_source(item: ManifestObject) -> GitSource | None:
    """Return an object as the GitRepository it is, or None if it is another."""
    if item.kind != _GIT or item.api_group != SOURCE_GROUP:
        return None
    reference = item.find("spec", "ref")
    branch, revision = _followed(reference)
    return GitSource(
        name=item.name,
        namespace=item.namespace or "",
        path=item.file.path,
        url=text_of(item.find("spec", "url")) or "",
        branch=branch,
        revision=revision,
        line=item.line,
        spec=item.find("spec"),
    )


def read_sources_of(items: Iterable[ManifestObject], home: Home, raw: Raw) -> Sources:
    """Return what objects say of repositories, for a run that is at home in one of them."""
    git: list[GitSource] = []
    named: set[tuple[str, str]] = set()
    for item in items:
        source = git_source(item)
        if source is not None:
            git.append(source)
        elif item.kind == "Kustomization" and item.api_group == KUSTOMIZE_GROUP:
            reference = item.find("spec", "sourceRef")
            kind, name = lookup(reference, "kind"), lookup(reference, "name")
            named.add((text_of(kind) or "", text_of(name) or ""))
    return Sources(home, tuple(git), frozenset(named), raw)


def applies(data: bytes) -> bool:
    """Tell cheaply whether a file may have an object of Flux or Argo CD that applies manifests."""
    is_flux = KUSTOMIZE_GROUP.encode() in data and b"Kustomization" in data
    return is_flux or (ARGO_GROUP.encode() in data and b"Application" in data)


def names_repositories(data: bytes) -> bool:
    """Tell cheaply whether a file may have a GitRepository of Flux."""
    return SOURCE_GROUP.encode() in data and b"GitRepository" in data


def _followed(reference: yaml.Node | None) -> tuple[str, str]:
    """Return the branch that a `ref` names, and all that it says; the first of these counts.

    Without any, Flux follows master (fluxcd.io/flux/components/source/gitrepositories/#reference).
    """
    for key in ("commit", "name", "semver", "tag", "branch"):
        text = text_of(lookup(reference, key))
        if text and (key == "branch" or text.startswith("refs/heads/")):
            branch = text.removeprefix("refs/heads/")
            return branch, f"branch {branch}"
        if text:
            return "", f"{key} {text}"
    return "master", "branch master"


def _key(url: str) -> str:
    """Return host and path of a repository, as one service's spellings have it alike."""
    host, _, path = repository_key(url).lower().partition("/")
    host = _HOSTS.get(host, host)
    if host == "dev.azure.com":
        path = path.removeprefix("v3/").replace("/_git/", "/")
    return f"{host}/{path.removeprefix('scm/')}"  # Bitbucket's, by https alone


def _parts(key: str) -> tuple[str, str]:
    host, _, path = key.partition("/")
    return host, path


def _folders(path: str) -> list[str]:
    return posixpath.dirname(path).split("/")


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
    for name in names:
        if not name:
            crosses = False
        elif name == _ANY_FOLDERS:
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
        default = [_Pattern((), text, "", 1) for text in (*_ALWAYS, *(() if own else _BY_DEFAULT))]
        self._patterns = [*default, *own]
        self._whys: dict[str, Unknown | None] = {}

    def why(self, path: str) -> Unknown | None:
        """Return that a file is left out, and by what; None where it is taken.

        Every Flux Kustomization above a file asks.
        """
        if path not in self._whys:
            self._whys[path] = self._why(path)
        return self._whys[path]

    def _why(self, path: str) -> Unknown | None:
        if not self._is_there(path):
            return self._unknown("spec.sparseCheckout", path)
        steps = tuple(path.split("/"))
        found = next((one for one in reversed(self._patterns) if one.fits(steps)), None)
        if found is None or found.takes_in:
            return self._covered(path)
        what = f"'{found.text}' leaves {path} out of what Flux takes"
        name = IGNORE_FILE if found.path.endswith(IGNORE_FILE) else "spec.ignore"
        hint = f"take the pattern out, or take the file in with a later `!{path}`, {ACCEPT}"
        if not found.path:
            name = _DEFAULTS
            hint = f"rename it, or give the GitRepository an `ignore` of its own, {ACCEPT}"
        return Unknown(found.path or path, found.line, name, what, hint)

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


def _patterns(path: str, data: bytes, first: int = 0) -> Iterator[_Pattern]:
    """Yield the patterns of a file, or of a text in an object that begins in line `first`."""
    above = posixpath.dirname(path) if not first else ""
    domain = tuple(above.split("/")) if above else ()
    for number, line in enumerate(decoded(data).split("\n"), start=1):
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

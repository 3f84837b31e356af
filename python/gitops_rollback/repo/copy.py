"""Our own copy of the manifests repository for one run: bare, partial, perhaps from a cache.

It is made without git: a process less at each start. That objects may be missing and are to be
fetched when they are needed is said to git by each call (`process`), not by the repository: a push
must not fetch. Of a branch that moved, it would fetch the new tip with all its trees, only to
reject it in other words.

A repository of some hundred services is told whole in one answer; to ask for trees first and for
files then takes two requests more, and each costs a round trip. How large a repository is nobody
knows before it is fetched. So the first fetch asks for all small files and is watched: where it
grows beyond a bound it is given up, and the files are left out; that it was so is remembered on
this machine for a month.
"""

from __future__ import annotations

import logging
import shutil
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from gitops_rollback.alarm import undisturbed
from gitops_rollback.errors import RepositoryError, ResourceError
from gitops_rollback.late import regex
from gitops_rollback.repo.location import without_user
from gitops_rollback.repo.messages import UnknownCommitError, explain_fetch, explain_local
from gitops_rollback.repo.objects import garbled, read_oid
from gitops_rollback.repo.process import REMOTE, Git, GitFailedError, TimeIsUpError, may_be_web
from gitops_rollback.scratch import RUN, own_folder, private, sweep

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.repo.cache import Cache
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.scratch import Own


SMALL = "--filter=blob:limit=64k"  # a manifest of that size holds several hundred objects
NONE = "--filter=blob:none"
WHOLE = "--no-filter"
_REFUSED = regex(r"filter '[^'\n]*' not supported")  # a server may allow some kinds, or none
LARGEST = 4_000_000  # bytes of a pack; compressed, of some thousand manifests
MANY = (
    5_000  # files: to make and to send so many takes as long as the two requests for some of them
)
FEW = 10  # of so many files one was read
_REMEMBERED = 30 * 86400  # seconds
_PAUSE = 0.02  # seconds between two looks


class FirstFetch:
    """Chooses and watches the first fetch of a URL. A home that cannot be written costs time only.

    `option` is what git is told to leave out: with the tip come small files, none, or all, where
    the server leaves nothing out. Of many files they are left out too, but for a `cache`: that has
    them from then on.
    """

    def __init__(self, url: str, environment: Mapping[str, str], cache: Path | None = None) -> None:
        self._large = place_of("large", url, environment)
        self._many = place_of("many", url, environment)
        self._is_large = _is_remembered(self._large)
        is_for_few = cache is None and _is_remembered(self._many)
        self.option = NONE if self._is_large or is_for_few else SMALL
        self._given_up = False

    @property
    def is_bounded(self) -> bool:
        """Whether it is watched, so that commits may come with the tip whose size nobody knows."""
        return self.option != WHOLE and not self._is_large

    def watch(self, running: subprocess.Popen[bytes], repository: Path) -> None:
        """Look after a fetch that was started, and end it where more comes than the bound."""
        self._given_up = False  # what was ended before this one says nothing of it
        packs = repository / "objects" / "pack"
        most = LARGEST + _size(packs)
        Thread(target=self._watch, args=(running, packs, most), daemon=True).start()

    def gave_up(self) -> bool:
        """Tell, once, whether the clone was ended as too large; from then on files are left out."""
        if not self._given_up or not self.is_bounded:
            return False
        self.option = NONE
        self._is_large = True
        _remember(self._large)
        return True

    def is_refused(self, words: str) -> bool:
        """Tell whether a server refused what it was to leave out; it is asked for more then."""
        if self.option == WHOLE or not is_filter_refused(words):
            return False
        self.option = NONE if self.option == SMALL else WHOLE
        return True

    def end(self, repository: Path) -> None:
        """Look at what came: of a repository that is large the next run will ask less."""
        if self.option == SMALL and _size(repository / "objects" / "pack") > LARGEST:
            _remember(self._large)

    def learn(self, files: int, read: int) -> None:
        """Note for the next run, of the files that a tip has, whether a few of many were read."""
        if files < MANY or read * FEW > files:
            with suppress(OSError):
                self._many.unlink(missing_ok=True)
        else:
            _remember(self._many)

    def _watch(self, running: subprocess.Popen[bytes], packs: Path, most: int) -> None:
        while running.poll() is None:
            if _size(packs) > most:
                self._given_up = True
                running.terminate()
                return
            time.sleep(_PAUSE)


def _remember(mark: Path) -> None:
    with suppress(OSError):
        private(mark.parent)
        mark.touch(mode=0o600)


def _is_remembered(mark: Path) -> bool:
    try:
        return time.time() - mark.stat().st_mtime < _REMEMBERED
    except OSError:
        return False


def is_filter_refused(words: str) -> bool:
    """Tell whether a server says that it leaves nothing, or not this, out."""
    return _REFUSED.search(words) is not None


def place_of(kind: str, what: str, environment: Mapping[str, str]) -> Path:
    """Return the file in which something is noted for all runs of this account."""
    home = environment.get("XDG_CACHE_HOME") or f"{environment.get('HOME', '')}/.cache"
    return Path(home) / "gitops-rollback" / kind / short_of(what)


def short_of(text: str) -> str:
    """Return what can stand in the name of a file for any text."""
    return sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _size(packs: Path) -> int:
    """Return the bytes of the packs that are there, or are being written."""
    total = 0
    with suppress(OSError):  # not there yet, or gone again
        for path in packs.glob("*pack*"):
            total += path.stat().st_size
    return total


_LOG = logging.getLogger("gitops_rollback")
_DIRECTORY = "repository.git"
TRANSFER = ("--quiet", "--no-tags")
# With what is here already, a server sends only what that lacks. Not for blobs: a server takes it
# that who has a commit has its blobs, too.
TELL_WHAT_IS_HERE = {"fetch.negotiationAlgorithm": "consecutive"}
Result = TypeVar("Result")
CONFIG = "config"
PACKED_REFS = "packed-refs"
SHALLOW = "shallow"
_SHA256_LENGTH = 64
# What `git clone --bare --filter=blob:none` writes (git 2.39), but for what makes it partial.
_CONFIG = """\
[core]
\trepositoryformatversion = 1
\tbare = true
{extensions}[remote "{remote}"]
\turl = "{url}"
"""


class Copy:
    """A bare partial repository in a folder of its own.

    It begins with what a cache has, if there is one, and leaves there what it has got. `cached` are
    the tips by branch that came from it, for as long as it is trusted.
    """

    def __init__(
        self, url: str, environment: Mapping[str, str], deadline: Deadline, cache: Path | None
    ) -> None:
        self._url = without_user(url)
        self._environment = environment
        self._cache: Cache | None = None
        if cache is not None:
            from gitops_rollback.repo.cache import open_cache  # noqa: PLC0415 - only with --cache

            self._cache = open_cache(cache, self._url)
        self._own = self._cache.own if self._cache is not None else _own_folder()
        self.root = self._own.path
        self.path = self.root / _DIRECTORY
        self.git = Git(self.root, url, environment, deadline)
        self.first = FirstFetch(self._url, environment, cache)
        self.cached: dict[str, str] = {}
        self.depths: dict[str, int] = {}  # how many commits of a branch are here, where deepened
        self._tips: dict[str, str] = {}  # by branch, the newest that is here
        self._given: dict[str, None] = {}  # every commit a caller may come back with
        self.files = self.files_read = 0  # of a tip, and of them

    def close(self, *, keep: bool) -> None:
        """Remove the copy; `keep` adds what it has to the cache first."""
        try:
            self.git.end()
            if self.files:
                self.first.learn(self.files, self.files_read)
            if self._cache is not None and keep and self._tips:
                self._cache.add(self.path, self._tips, goes_on=bool(self.cached))
        finally:
            with undisturbed():
                self.git.end()
                self._own.end()
        if self._cache is None:
            sweep(self.root.parent, RUN)
        else:
            self._cache.sweep()

    def take(self) -> bool:
        """Begin with what is cached, if anything is.

        Where a login may be sent, git is asked first whether it is sent along with any redirect.
        """
        if may_be_web(self._url):
            make_skeleton(self.path, self._url, "")
            self.git.directory = self.path
            self.git.guard_login()
        self.cached = self._cache.take(self.path) if self._cache else {}
        return bool(self.cached)

    @property
    def turn(self) -> Path:
        """The file that all runs with this cache, or without one, lock while they push by turns."""
        if self._cache is not None:
            return self._cache.place.with_suffix(".turn")
        return place_of("turns", self._url, self._environment)

    def settle(self, tip: Tip) -> Tip:
        """Go on with what a clone of a tip has left; its settings become those of a skeleton.

        Of missing objects git is told by what it is called with alone.
        """
        self.git.directory = self.path
        write_config(self.path, self._url, tip.commit)
        self.first.end(self.path)
        return self.know(tip)

    def drop_cache(self) -> None:
        """Throw away what is cached."""
        if self._cache is not None:
            self._cache.drop()
        self.cached = {}

    def know(self, tip: Tip) -> Tip:
        """Remember a tip that is here now, and return it."""
        if self._tips.get(tip.branch) != tip.commit:
            self.depths.pop(tip.branch, None)
        self._tips[tip.branch] = tip.commit
        self._given[tip.commit] = None
        return tip

    def know_cached(self, tip: Tip) -> Tip:
        """Remember a tip that was fetched upon what is cached; git tells of it from now on."""
        self.cached[tip.branch] = tip.commit
        (self.path / PACKED_REFS).write_text(render_tips(self.cached), encoding="utf-8")
        return self.know(tip)

    def tip(self, branch: str) -> str | None:
        """Return the newest tip of a branch that is here; None where it was not asked for."""
        return self._tips.get(branch)

    def run(
        self, *arguments: str, stdin: bytes = b"", environment: Mapping[str, str] | None = None
    ) -> bytes:
        """Run git on the copy and return what it says; raises `RepositoryError`."""
        try:
            return self.git.run(*arguments, stdin=stdin, environment=environment).stdout
        except GitFailedError as failure:
            raise explain_local(failure) from failure

    def batch(self, oids: Iterable[str]) -> bytes:
        """Return what `git cat-file --batch` says of objects; it fetches none that is missing."""
        feed = "".join(f"{oid}\n" for oid in oids).encode()
        return self.run("cat-file", "--batch", stdin=feed, environment=self.git.fetching_nothing)

    def fetch(
        self,
        *arguments: str,
        is_tip: bool = False,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Fetch from the server; raises `RepositoryError`."""
        told = ("fetch", *self.transfer(is_tip=is_tip), *arguments)
        try:
            done = self.git.run(*told, stdin=stdin, environment=environment)
        except GitFailedError as failure:
            if is_filter_refused(failure.stderr) and self.first.option != WHOLE:
                self.first.option = WHOLE
                if not self.cached:  # else what is cached may have gaps: it is built anew
                    self.fetch(*arguments, is_tip=is_tip, stdin=stdin, environment=environment)
                    return
            raise explain_fetch(failure, self._url) from failure
        self.heard(done.stderr)

    def heard(self, words: bytes) -> None:
        """Take note where a server sent every blob, whether it was asked to or not."""
        if b"filtering not recognized" in words:
            self.first.option = WHOLE

    def transfer(self, *, is_tip: bool) -> tuple[str, ...]:
        """Return what a fetch is told; without a filter where the server would not fill the gaps.

        With a tip come its small files as at the first fetch: of those that are new.
        """
        is_as_first = is_tip or self.first.option == WHOLE
        return (*TRANSFER, self.first.option if is_as_first else NONE)

    def fetched_tip(self) -> str:
        """Return the tip that was fetched last, as git left it in a file: a process less."""
        heads = self.path / "FETCH_HEAD"
        text = heads.read_text(encoding="utf-8") if heads.exists() else ""
        return read_oid(text.partition("\t")[0], "fetch")

    def fetch_commits(self, *commits: str) -> None:
        """Fetch commits by their ids, with their trees, and nothing of what was before them."""
        told = self.git.with_settings(TELL_WHAT_IS_HERE) if self.cached else {}
        only = ("--depth=1", "--no-write-fetch-head", REMOTE)
        self.fetch(*only, *commits, is_tip=True, environment=told)

    def fetch_depth(self, branch: str, depth: int) -> None:
        """Fetch the last `depth` commits of a branch, as it is known here.

        Of a commit the server need not tell its tips first, which is a request; one by protocol v0
        may give out nothing but tips.
        """
        told = (f"--depth={depth}", "--no-write-fetch-head", REMOTE)
        reference = f"refs/heads/{branch}"
        try:
            self.fetch(*told, self._tips.get(branch, reference))
        except UnknownCommitError:
            self.fetch(*told, reference)

    def fetch_whole(self) -> None:
        """Fetch the branches that are known here again, with every blob: no filter from now on.

        Raises `UnknownCommitError` where a branch moved meanwhile, so that what is here is no more
        to be had.
        """
        _LOG.info("the server gives out no single files: every file of the tip is fetched")
        shutil.rmtree(self.path)
        make_skeleton(self.path, self._url, next(iter(self._given)))
        self.first.option = WHOLE
        self.cached = {}
        for branch in self._tips:
            self.fetch_depth(branch, self.depths.get(branch, 1))
        for commit in self._tips.values():
            self.run("cat-file", "-e", f"{commit}^{{commit}}")

    def are_known(self, branch: str, depth: int) -> bool:
        """Tell whether the last `depth` commits of a branch were fetched, or came from a cache."""
        if self.depths.get(branch, 0) >= depth:
            return True
        tip = self._tips.get(branch)
        return bool(self.cached) and tip is not None and self.leads_back(tip, depth)

    def leads_back(self, tip: str, depth: int) -> bool:
        """Tell whether the last `depth` commits up to a tip are here, along first parents.

        With fewer they are if they lead back to the first of all, behind which nothing is.
        """
        most = f"--max-count={depth}"
        nothing = self.git.fetching_nothing
        listed = self.run("rev-list", "--first-parent", most, tip, environment=nothing).split()
        boundary = self.path / SHALLOW
        cut_off = boundary.read_bytes().split() if boundary.exists() else []
        if not listed:
            raise garbled("rev-list")
        return len(listed) == depth or listed[-1] not in cut_off

    def sound(self, act: Callable[[], Result]) -> Result:
        """Return what `act` returns; if what was cached may be why it fails, do it once more."""
        try:
            return act()
        except TimeIsUpError:
            raise
        except (GitFailedError, RepositoryError, ValueError) as error:
            if not self.cached:
                raise
            self.build_anew(str(error))
        return act()

    def build_anew(self, reason: str) -> None:
        """Leave what was cached, and fetch again what callers know of."""
        _LOG.info("cache: built anew: %s", reason)
        tip = next(iter(self.cached.values()))
        self.drop_cache()
        self.depths.clear()
        shutil.rmtree(self.path, ignore_errors=True)
        make_skeleton(self.path, self._url, tip)
        if self._given:
            self.fetch_commits(*self._given)


def _own_folder() -> Own:
    try:
        return own_folder(None, RUN)
    except OSError as error:
        raise ResourceError(
            f"there is no folder for what a run fetches: {error.strerror or error}",
            "set TMPDIR to a folder that this account may write to",
        ) from error


def make_skeleton(
    repository: Path, url: str, tip: str, tips: Mapping[str, str] | None = None
) -> None:
    """Make a bare repository of a URL with these tips by branch; its objects are to come.

    Its object format is that of `tip`, an object id. Raises `OSError`.
    """
    for folder in ("objects/pack", "objects/info", "refs/heads"):
        (repository / folder).mkdir(parents=True, exist_ok=True)
    (repository / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
    (repository / PACKED_REFS).write_text(render_tips(tips or {}), encoding="utf-8")
    write_config(repository, url, tip)


def write_config(repository: Path, url: str, tip: str) -> None:
    """Write what git is to know of a repository: its format, its server, and nothing else."""
    extensions = "[extensions]\n\tobjectFormat = sha256\n" if len(tip) == _SHA256_LENGTH else ""
    quoted = url.replace("\\", "\\\\").replace('"', '\\"')
    (repository / CONFIG).write_text(
        _CONFIG.format(url=quoted, extensions=extensions, remote=REMOTE), encoding="utf-8"
    )


def make_partial(repository: Path) -> None:
    """Let git know of a new skeleton, whoever calls it, that its objects may be missing."""
    with (repository / CONFIG).open("a", encoding="utf-8") as config:
        config.write("\tpromisor = true\n\tpartialclonefilter = blob:none\n")


def render_tips(tips: Mapping[str, str]) -> str:
    """Return tips by branch as git's `packed-refs`."""
    lines = [f"{tip} refs/heads/{branch}\n" for branch, tip in sorted(tips.items())]
    return "# pack-refs with: peeled fully-peeled sorted \n" + "".join(lines)


def read_tips(text: str) -> dict[str, str]:
    """Read tips by branch from git's `packed-refs`."""
    pairs = (line.split(" ", 1) for line in text.split("\n") if line and line[0] not in "#^")
    return {name.removeprefix("refs/heads/"): tip for tip, name in pairs}

"""What every command has in common: its repository, store, registries, time and person."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.alarm import undisturbed
from gitops_rollback.clock import Deadline, Stopwatch
from gitops_rollback.errors import UsageError
from gitops_rollback.late import dataclass, field
from gitops_rollback.model import Build, one_line, repository_key, whole_number
from gitops_rollback.options import repeated
from gitops_rollback.redaction import hide
from gitops_rollback.repo.location import person, repository_url, without_user
from gitops_rollback.repo.repository import FIRST_LOOK, Repository
from gitops_rollback.tell.terminal import say, show_progress
from gitops_rollback.web.hosts import is_web_address

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from gitops_rollback.ledger.records import MadeRecord
    from gitops_rollback.look.looker import Looker
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.model import Request
    from gitops_rollback.repo.builder import KustomizeBuilder
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.services.config import Config
    from gitops_rollback.stores.directory import DirectoryStore, RecordStore
    from gitops_rollback.stores.jenkins import JenkinsStore

_LONGEST_REASON = 500
_JENKINS, _DIRECTORY = "jenkins", "directory"  # kinds of stores
# What reads the manifests repository whatever it is given, and how many commits of it.
_READS = {
    "record": 1,
    "deploy": 1,
    "release": 1,
    "services": 1,
    "plan": FIRST_LOOK,
    "rollback": FIRST_LOOK,
    "history": FIRST_LOOK,
}
_PUSHES = ("deploy", "rollback", "release")


@dataclass(frozen=True)
class Session:
    """One run of a command; `present` is the time it counts as now, `remote` what git is given."""

    options: argparse.Namespace
    environment: Mapping[str, str]
    remote: str
    deadline: Deadline
    watch: Stopwatch
    present: str
    _registries: list[RegistryFacts] = field(default_factory=list)
    _begun: list[Repository] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The manifests repository as records and results name it."""
        return without_user(self.remote)

    @property
    def build(self) -> Build | None:
        """The Jenkins build this runs in, if it does."""
        job = self.environment.get("JOB_NAME")
        number = whole_number(self.environment.get("BUILD_NUMBER", ""))
        if not job or not number:
            return None
        # An address is written down, and linked to: without who may stand in it.
        url = without_user(self.environment.get("BUILD_URL", ""))
        return Build(hide(job), number, url if is_web_address(url) else None)

    @cached_property
    def by(self) -> str | None:
        """Who does this; None for a command that changes nothing.

        `--by` (the steps give who started the build), else in a build whom the build user plugin
        names, else the build itself; elsewhere whom git is set up for, else the account.
        """
        if not hasattr(self.options, "by"):
            return None
        given = self.options.by or (self._by_of_build if self.build else person(self.environment))
        return one_line(given, 200)

    @property
    def _by_of_build(self) -> str:
        named = self.environment.get("BUILD_USER") or self.environment.get("BUILD_USER_ID")
        return named or str(self.build)

    @property
    def reason(self) -> str | None:
        """Why, as one line."""
        given = getattr(self.options, "reason", None)
        return one_line(given, _LONGEST_REASON) if given else None

    @property
    def skips_blocked(self) -> bool:
        """Whether those of several services are to be done that nothing stands in the way of."""
        return bool(getattr(self.options, "skip_blocked", False))

    def looker(self, repository: Repository, snapshot: Snapshot) -> Looker:
        """Return what looks up facts of the services of a snapshot."""
        from gitops_rollback.look.looker import Looker  # noqa: PLC0415 - see open_repository

        return Looker(
            repository,
            snapshot,
            lambda: self.store(snapshot),
            lambda: self.registry(snapshot.config),
            self._builder,
        )

    def _builder(self) -> KustomizeBuilder:
        from gitops_rollback.repo.builder import KustomizeBuilder  # noqa: PLC0415 - most need none

        return KustomizeBuilder(self.environment, self.deadline)

    @contextmanager
    def open_repository(self) -> Iterator[Repository]:
        """Give the manifests repository, of which git begins to fetch the tip, or has begun."""
        with self._begun.pop() if self._begun else self._begin(1) as repository:
            from gitops_rollback.look import looker, snapshot  # noqa: F401, PLC0415 - while git waits

            yield repository

    @contextmanager
    def ahead(self, commits: int, *, pushes: bool) -> Iterator[None]:
        """Let git begin to fetch the tip, or so many commits, for the next `open_repository`.

        Where this `pushes` in the end, it asks meanwhile what each push asks first.
        """
        self._begun.append(self._begin(commits))
        if pushes:
            self._begun[-1].begin_push()
        try:
            yield
        finally:
            for repository in self._begun:  # what failed before it opened the repository
                with repository:
                    pass

    def _begin(self, commits: int) -> Repository:
        cache = Path(self.options.cache).absolute() if self.options.cache else None
        with ExitStack() as stack:
            with undisturbed():
                repository = stack.enter_context(
                    Repository(self.remote, self.environment, self.deadline, cache)
                )
            repository.begin(self.options.branch, commits)
            stack.pop_all()
        return repository

    def read(self, repository: Repository, request: Request, tip: Tip) -> Snapshot:
        """Read the services that are meant at a tip."""
        from gitops_rollback.look.snapshot import read_snapshot  # noqa: PLC0415 - see open_repository

        with self.watch.phase("fetch"):
            snapshot = read_snapshot(repository, request, tip)
        for reason in snapshot.left_out:
            say(f"left out: {reason}")
        for reason, way in snapshot.retired:
            say(f"{reason}; {way}")
        return snapshot

    def open_tip(self, repository: Repository) -> Tip:
        """Fetch the tip of the configuration's branch."""
        with self.watch.phase("fetch"):
            return repository.open(self.options.branch)

    def registry(self, config: Config) -> RegistryFacts:
        """Return the facts of registries, as options and environment reach them."""
        from gitops_rollback.look.registry import RegistryFacts  # noqa: PLC0415 - slow import

        if not self._registries:  # once for a run: what it was told does not change
            self._registries.append(
                RegistryFacts(
                    config,
                    self.environment,
                    self.deadline,
                    hub_url=self.options.hub_url,
                    registry_url=self.options.registry_url,
                )
            )
        return self._registries[0]

    def store(self, snapshot: Snapshot) -> RecordStore:
        """Return the store of records: Jenkins where JENKINS_URL is set, else a directory."""
        services = snapshot.services
        jobs = {state.service: at.deploy_job for at in services for state in at.aliases}
        return self.store_of({**jobs, **{at.service: at.deploy_job for at in services}})

    def store_of(self, jobs: Mapping[str, str | None]) -> RecordStore:
        """Return the store of records of services, with the job of each as far as it is known."""
        kind, rest = self._store
        return self._jenkins_store(rest, jobs) if kind == _JENKINS else self._directory_store(rest)

    def jenkins_store(self) -> JenkinsStore | None:
        """Return the store where Jenkins archives records; None where a directory does."""
        kind, rest = self._store
        return self._jenkins_store(rest, {}) if kind == _JENKINS else None

    @cached_property
    def filing_store(self) -> DirectoryStore | None:
        """The store to file records in; None where Jenkins archives them: it is only read."""
        kind, rest = self._store
        return None if kind == _JENKINS else self._directory_store(rest)

    @property
    def _store(self) -> tuple[str, str]:
        return _store_of(self.options, self.environment)

    def file_record(self, made: MadeRecord) -> None:
        """File a record in a directory store; write it to `--record-dir` where that is given.

        With a Jenkins store, the step archives what is written. A dry run writes nothing.
        """
        from gitops_rollback.stores.directory import write_record  # noqa: PLC0415 - see open_repository

        if self.options.dry_run:
            return
        image = made.stored.record.image.canonical
        directory = getattr(self.options, "record_dir", None)
        store = self.filing_store
        if directory is not None:
            say(f"archived {image} in {write_record(made, Path(directory))}")
        if store is not None:
            say(f"archived {image} in {store.file(made)}")

    def _directory_store(self, path: str) -> DirectoryStore:
        from gitops_rollback.stores.directory import DirectoryStore  # noqa: PLC0415 - one of two

        if path:
            return DirectoryStore(Path(path).absolute())
        base = self.environment.get("XDG_STATE_HOME") or ""
        home = self.environment.get("HOME") or ""
        if not base and not home:
            return DirectoryStore(None)
        root = Path(base) if base else Path(home) / ".local" / "state"
        own = root / "gitops-rollback" / repository_key(self.url).strip("/")
        return DirectoryStore(own, is_own=True)

    def _jenkins_store(self, job: str, jobs: Mapping[str, str | None]) -> JenkinsStore:
        from gitops_rollback.stores.jenkins import JenkinsStore  # noqa: PLC0415 - slow import

        url = self.environment.get("JENKINS_URL")
        if not url:
            raise UsageError(
                "--store jenkins needs JENKINS_URL", "set it to the address of the Jenkins server"
            )
        return JenkinsStore(url, self.environment, self.deadline, job=job or None, jobs=jobs)


def _store_of(options: argparse.Namespace, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the kind of store that is meant, and where: a job or a folder, empty the default."""
    text: str = options.store or ""
    if not text:
        return (_JENKINS if environment.get("JENKINS_URL") else _DIRECTORY), ""
    kind, _, rest = text.partition(":")
    if text != _JENKINS and (kind not in (_JENKINS, _DIRECTORY) or not rest):
        raise UsageError(
            f"--store {text} is no store", "write jenkins, jenkins:JOB or directory:PATH"
        )
    return kind, rest


def start(options: argparse.Namespace, environment: Mapping[str, str]) -> Session:
    """Begin a run: find the repository's URL and start the clocks, but where `ahead` has."""
    begun: Session | None = vars(options).pop("begun", None)
    if hasattr(options, "store"):
        _store_of(options, environment)  # what is no store is said before anything is done
    if begun is not None:
        return begun
    deadline = Deadline(options.timeout)
    remote = repository_url(options.repository, environment)
    return Session(options, environment, remote, deadline, Stopwatch(show_progress), clock.now())


def _asks_a_registry(
    command: str, options: argparse.Namespace, environment: Mapping[str, str]
) -> bool:
    """Tell whether a command asks a registry, as good as always.

    A build that deploys the digest that it pushed does not (`decide/deploy.py`).
    """
    if command != "deploy":
        return command in ("plan", "rollback")
    if options.before_build:
        return False
    is_built = "JOB_NAME" in environment and all("@" in one for one in repeated(options, "image"))
    return not is_built


def _pushes(command: str, options: argparse.Namespace) -> bool:
    """Tell whether a command pushes to the branch, as good as always."""
    others = ("dry_run", "pull_request", "before_build")
    return command in _PUSHES and not any(getattr(options, name, False) for name in others)


@contextmanager
def ahead(
    command: str, options: argparse.Namespace, environment: Mapping[str, str]
) -> Iterator[None]:
    """Let git begin to fetch what a command reads, while all that it is made of is loaded.

    That takes as long as the server takes to answer.
    """
    if command not in _READS:
        yield
        return
    session = start(options, environment)
    with session.ahead(_READS[command], pushes=_pushes(command, options)):
        options.begun = session
        if _asks_a_registry(command, options, environment):
            from gitops_rollback.look import registry  # noqa: F401, PLC0415 - while git waits
        yield

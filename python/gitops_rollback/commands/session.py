"""What every command has in common: its repository, store, registries, time and person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.clock import Deadline, Stopwatch
from gitops_rollback.errors import ConfigError, UsageError
from gitops_rollback.model import Build, is_name, one_line
from gitops_rollback.options import repeated
from gitops_rollback.output import say
from gitops_rollback.plan.facts import Act
from gitops_rollback.plan.files import read_plan
from gitops_rollback.recording import MadeRecord, write_record
from gitops_rollback.records import repository_key
from gitops_rollback.repo.location import repository_url, without_user
from gitops_rollback.repo.repository import Repository
from gitops_rollback.snapshot import Request, Snapshot, read_snapshot

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.config import Config
    from gitops_rollback.options import Options
    from gitops_rollback.registry_facts import RegistryFacts
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.snapshot import ServiceAtTip
    from gitops_rollback.stores.base import RecordStore
    from gitops_rollback.stores.directory import DirectoryStore

_LONGEST_REASON = 500
_WAITING = 120.0  # seconds


def add_common_options(options: Options) -> None:
    """Add the options of every command that works on the manifests repository."""
    options.text(
        "repository",
        "URL or path of the manifests repository; a work tree means its origin (default: the "
        "work tree one stands in)",
        metavar="URL",
    )
    options.text("branch", "where the configuration is read (default: HEAD)", metavar="NAME")
    options.text("environment", "the environment, where several are configured", metavar="NAME")
    options.number("timeout", "bound on all waiting for others (default: 120)", metavar="SECONDS",
                   default=_WAITING)  # fmt: skip
    options.text("output", "write the result as JSON; - is stdout", metavar="FILE")


def add_service_options(options: Options) -> None:
    """Add the options that choose services."""
    options.names("service", "a service, or a set of them; may be repeated", metavar="NAME")
    options.names("set", "a set of services; may be repeated", metavar="NAME")


def add_store_options(options: Options) -> None:
    """Add the options of commands that read or file records or ask registries."""
    options.text("store", "where records are: jenkins[:JOB] or directory:PATH", metavar="STORE")
    options.text("hub-url", "where the Docker Hub API is", metavar="URL")
    options.text("registry-url", "where the registry of the images is", metavar="URL")


def add_person_options(options: Options) -> None:
    """Add the options that say who does something, and why."""
    options.text("reason", "why, for commit, state file and hold", metavar="TEXT")
    options.text("by", "who (default: the user of this machine, outside Jenkins)", metavar="NAME")


def accepted(options: argparse.Namespace) -> frozenset[str]:
    """Return the codes of the refusals a person accepts, by `--accept` or an option of its own."""
    codes = set(repeated(options, "accept"))
    if getattr(options, "release", False):
        codes.add("held")
    if getattr(options, "allow_older", False):
        codes.add("outdated")
    return frozenset(codes)


@dataclass(frozen=True)
class Session:
    """One run of a command; `present` is the time it counts as now, `remote` what git is given."""

    options: argparse.Namespace
    environment: Mapping[str, str]
    remote: str
    deadline: Deadline
    watch: Stopwatch
    present: str

    @property
    def url(self) -> str:
        """The manifests repository as records and results name it."""
        return without_user(self.remote)

    @property
    def request(self) -> Request:
        """The services, the environment and the branch that are meant."""
        named = (*repeated(self.options, "service"), *repeated(self.options, "set"))
        environment = self.options.environment
        followed = getattr(self.options, "plan", None)
        if followed and not named:
            planned = read_plan(Path(followed)).services
            named = tuple(service.service for service in planned)
            environment = environment or planned[0].environment
        if not named:
            raise UsageError("no service is named", "give one with --service NAME")
        for name in (*named, *((environment,) if environment else ())):
            if not is_name(name):
                raise UsageError(
                    f"'{one_line(name, 80)}' cannot name a service or an environment",
                    "names have small letters, digits, dots, dashes, underscores; at most 63",
                )
        return Request(named, environment, self.options.branch)

    @property
    def build(self) -> Build | None:
        """The Jenkins build this runs in, if it does."""
        job, number = self.environment.get("JOB_NAME"), self.environment.get("BUILD_NUMBER", "")
        if not job or not number.isdecimal() or int(number) < 1:
            return None
        return Build(job, int(number), self.environment.get("BUILD_URL") or None)

    @property
    def by(self) -> str | None:
        """Who does this: `--by`, else the user of this machine where it is no Jenkins agent."""
        if self.options.by:
            return one_line(self.options.by, 200)
        if self.environment.get("JENKINS_URL") or self.build:
            return None
        return self.environment.get("USER") or self.environment.get("LOGNAME") or None

    @property
    def reason(self) -> str | None:
        """Why, as one line."""
        return one_line(self.options.reason, _LONGEST_REASON) if self.options.reason else None

    def act(self, at: ServiceAtTip) -> Act:
        """Who changes a service, when, why, and what that person accepts."""
        return Act(
            present=self.present,
            accept=accepted(self.options),
            releases=getattr(self.options, "release", False),
            pin=at.found.settings.pin,
            hold_kind=at.found.settings.hold,
            build=self.build,
            by=self.by,
            reason=self.reason,
        )

    def open_repository(self) -> Repository:
        """Return the manifests repository, not yet fetched."""
        return Repository(self.remote, self.environment, self.deadline)

    def read(self, repository: Repository, tip: Tip) -> Snapshot:
        """Read the services that are meant at a tip."""
        with self.watch.phase("fetch"):
            return read_snapshot(repository, self.request, tip)

    def open_tip(self, repository: Repository) -> Tip:
        """Fetch the tip of the configuration's branch."""
        with self.watch.phase("fetch"):
            return repository.open(self.options.branch)

    def registry(self, config: Config) -> RegistryFacts:
        """Return the facts of registries, as options and environment reach them."""
        from gitops_rollback.registry_facts import RegistryFacts  # noqa: PLC0415 - slow import

        return RegistryFacts(
            config,
            self.environment,
            self.deadline,
            hub_url=self.options.hub_url,
            registry_url=self.options.registry_url,
        )

    def store(self, snapshot: Snapshot) -> RecordStore:
        """Return the store of records: Jenkins where JENKINS_URL is set, else a directory."""
        kind, _, rest = self._store_text().partition(":")
        if kind == "jenkins":
            return self._jenkins_store(rest, snapshot)
        return self._directory_store(rest)

    def directory_store(self) -> DirectoryStore | None:
        """Return the store to file records in; None where Jenkins archives them."""
        kind, _, rest = self._store_text().partition(":")
        return None if kind == "jenkins" else self._directory_store(rest)

    def file_record(self, made: MadeRecord) -> None:
        """File a record in a directory store; write it to `--record-dir` where that is given.

        With a Jenkins store, the step archives what is written. A dry run writes nothing.
        """
        if self.options.dry_run:
            return
        image = made.stored.record.image.canonical
        directory = getattr(self.options, "record_dir", None)
        store = self.directory_store()
        if directory is not None:
            say(f"archived {image} in {write_record(made, Path(directory))}")
        if store is not None:
            say(f"archived {image} in {store.file(made)}")

    def _store_text(self) -> str:
        text: str = self.options.store or ""
        if not text:
            text = "jenkins" if self.environment.get("JENKINS_URL") else "directory"
        kind, _, rest = text.partition(":")
        if kind not in ("jenkins", "directory") or (
            kind == text != "jenkins" and self.options.store
        ):
            raise UsageError(
                f"--store {text} is no store", "write jenkins, jenkins:JOB or directory:PATH"
            )
        return f"{kind}:{rest}"

    def _directory_store(self, path: str) -> DirectoryStore:
        from gitops_rollback.stores.directory import DirectoryStore  # noqa: PLC0415 - one of two

        if path:
            return DirectoryStore(Path(path).absolute())
        base = self.environment.get("XDG_STATE_HOME") or ""
        home = self.environment.get("HOME") or ""
        if not base and not home:
            raise ConfigError(
                "there is no HOME to keep records in", "name a store: --store directory:PATH"
            )
        root = Path(base) if base else Path(home) / ".local" / "state"
        return DirectoryStore(root / "gitops-rollback" / repository_key(self.url).strip("/"))

    def _jenkins_store(self, job: str, snapshot: Snapshot) -> RecordStore:
        from gitops_rollback.stores.jenkins import JenkinsStore  # noqa: PLC0415 - slow import

        url = self.environment.get("JENKINS_URL")
        if not url:
            raise UsageError(
                "--store jenkins needs JENKINS_URL", "set it to the address of the Jenkins server"
            )
        jobs = {s.service: s.found.settings.deploy_job for s in snapshot.services}
        return JenkinsStore(url, self.environment, self.deadline, job=job or None, jobs=jobs)


def start(options: argparse.Namespace, environment: Mapping[str, str]) -> Session:
    """Begin a run: find the repository's URL and start the clocks."""
    deadline = Deadline(options.timeout)
    remote = repository_url(options.repository, environment)
    return Session(options, environment, remote, deadline, Stopwatch(), clock.now())

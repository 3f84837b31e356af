"""How `check` goes: plan each service as if it were rolled back, ask whoever it would need.

Asked are git's server and its host, registries, Jenkins, the cluster; storage is looked at.
"""

from __future__ import annotations

import gc
from functools import cached_property
from itertools import accumulate, groupby, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback import errors
from gitops_rollback.commands.keeping import kept_now
from gitops_rollback.commands.wishes import plain_wish, refuse_accepted_others, with_accepted
from gitops_rollback.decide.change import Refused
from gitops_rollback.decide.drill import (
    FAILED,
    OK,
    SKIPPED,
    WARNING,
    Finding,
    failed,
    judge_builds,
    judge_flux,
    judge_limit,
    judge_push,
    judge_registry,
    judge_service,
    judge_sets,
    judge_storage,
    summary,
    verdict,
    worst_first,
)
from gitops_rollback.decide.facts import NeedTags
from gitops_rollback.decide.standing import are_of_others, retired_holds, retiring
from gitops_rollback.errors import (
    ConfigError,
    Exit,
    GitopsRollbackError,
    OutOfTime,
    RepositoryError,
    ResourceError,
    UsageError,
)
from gitops_rollback.forges.address import address_of
from gitops_rollback.forges.client import ForgeError
from gitops_rollback.forges.rules import BranchRules, Commit
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.ledger.state import path_of
from gitops_rollback.look.builds import lost_builds
from gitops_rollback.look.environment_files import Paths, list_entries, meant_paths
from gitops_rollback.look.snapshot import known_names, read_config, read_environment, read_snapshot
from gitops_rollback.manifest.document import let_go
from gitops_rollback.model import Request, title
from gitops_rollback.options import limits, repeated
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.run import look_only
from gitops_rollback.services.config import DEFAULT_ENVIRONMENT, FILE
from gitops_rollback.services.ownership import UnknownServiceError
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_rollback.decide.change import Change
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import EnvironmentFiles, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session

_DOCKER_HUB = "docker.io"
_MESSAGE = "SERVICE ENVIRONMENT: 1.5.0 → 1.4.2 (rollback)"  # the form of this tool's subjects
_LARGEST_ANSWER = 100_000
_FILES_AT_ONCE = 1_000  # some 100 MB, where they have 200 lines each


@dataclass
class _Drill:
    """One drill: what was found so far, the plans, the jobs and files that matter."""

    session: Session
    repository: Repository
    tip: Tip
    findings: list[Finding] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    @cached_property
    def allowed(self) -> tuple[str, ...]:
        """The only services and sets that may be looked at; empty if any may."""
        return limits(self.session.options, "allowed_services")

    def run(self) -> None:
        """Look at every environment, or at the one that is named."""
        options = self.session.options
        configured = [*read_config(self.repository, self.tip).environments]
        self.findings += ask_push(self.session, self.repository, self.tip)
        named = [options.environment] if options.environment else configured
        for name in named or [DEFAULT_ENVIRONMENT]:
            request = Request((), name, None)
            read = read_environment(self.repository, request, self.tip, or_none=True)
            if read.tip.branch != self.tip.branch:
                self.findings += ask_push(self.session, self.repository, read.tip)
            self._environment(read)
        if not self.names:
            raise ConfigError(
                "there is nothing to check: no service that may be named here is configured, and "
                "none has a state file",
                f"name one with --service, or configure it in {FILE}",
            )
        refuse_accepted_others(self.session, sorted(self.names))  # of all parts
        self.findings += ask_jenkins(self.session, self.jobs)
        self.findings += ask_flux(self.session, self.paths)

    def _environment(self, read: EnvironmentFiles) -> None:
        """Look at all services, in parts; what is nobody's is known once all were looked at."""
        names = self._names(read)
        self.names.update(names)
        unread: dict[str, Finding] = {}
        in_sets = self._only_in_sets(read, names)
        theirs: set[tuple[str, str]] = set()
        retired: list[dict[tuple[str, str], None]] = []
        for snapshot in self._snapshots(read, (*names, *in_sets), unread):
            theirs |= are_of_others(snapshot.services)
            if snapshot.services:
                retired.append(dict.fromkeys(retired_holds(snapshot.services)))
                self._services(snapshot)
            del snapshot  # before the next one is read
        here = read.environment.name
        absent = {name: one for name in in_sets if (one := unread.pop(name, None))}
        told, sets = read.environment.told, read.config.sets
        is_only = read.config.environments.keys() <= {here}
        self.findings += judge_sets(told, sets, absent, is_only=is_only)
        self.findings += (one for name, one in unread.items() if (name, here) not in theirs)
        self.findings += (
            Finding("hold", read.environment.told, WARNING, *one)
            for one in (retired[0] if retired else ())
            if all(one in others for others in retired)
        )
        self.findings += storage_risks(read)
        self.findings += judge_builds(
            lost_builds(self.session.jenkins_store(), self.repository, read, names)
        )

    def _snapshots(
        self, read: EnvironmentFiles, names: tuple[str, ...], unread: dict[str, Finding]
    ) -> Iterator[Snapshot]:
        """Yield as many services at once as have few files, or where these are too large, half.

        What is found of those that cannot be read goes into `unread`.
        """
        environment = read.environment.name if read.config.environments else None
        parts = _parts(read, names)[::-1] if names else []
        if len(parts) > 1:  # in one batch
            listed = list_entries(read, names)
            self.repository.read(entry.oid for entry in listed.values())
        while parts:
            part = parts.pop()
            half = len(part) // 2
            try:
                request = Request(part, environment, None, allowed=self.allowed, apart=True)
                snapshot = read_snapshot(self.repository, request, self.tip)
            except GitopsRollbackError as error:
                if not half:
                    unread[part[0]] = self._unread(read, part[0], error)
                    continue
                parts += [part[half:], part[:half]]
                error.__traceback__ = None  # it holds what was read: more than there is room for
                gc.collect()
            else:
                unread |= {n: self._unread(read, n, one) for n, one in snapshot.unread.items()}
                yield snapshot
                del snapshot
            if parts:
                let_go()

    def _names(self, read: EnvironmentFiles) -> tuple[str, ...]:
        """Return the services that are meant: named, else configured or with a state file."""
        options = self.session.options
        named = (*repeated(options, "service"), *repeated(options, "set"))
        if named:
            found = read.config.expand(named, repeated(options, "set"))
            read.config.check_allowed(found, self.allowed)
            return found
        found = known_names(read)
        return read.config.of_allowed(found, self.allowed)

    def _only_in_sets(self, read: EnvironmentFiles, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return what only a set names, where all services are meant: nobody else may know it."""
        if self._is_named:
            return ()
        members = dict.fromkeys(name for one in read.config.sets.values() for name in one)
        others = [name for name in members if name not in names]
        return read.config.of_allowed(others, self.allowed)

    @property
    def _is_named(self) -> bool:
        options = self.session.options
        return bool(repeated(options, "service") or repeated(options, "set"))

    def _unread(self, read: EnvironmentFiles, name: str, error: GitopsRollbackError) -> Finding:
        """Return what is found of a service that cannot be read: one that is gone is passed by."""
        environment = read.environment.name
        subject = title(name, environment)
        left = self.repository.read_file(read.tip.commit, path_of(environment, name))
        if self._is_named or left is None or not isinstance(error, UnknownServiceError):
            return failed("service", subject, error)
        is_only = read.config.environments.keys() <= {environment}
        hint = f"{retiring(name, environment, is_only=is_only)}, if it is gone"
        return Finding("service", subject, WARNING, f"retired: {error.message}", hint)

    def _services(self, snapshot: Snapshot) -> None:
        session = self.session
        for one in self._decided(snapshot):
            at = one.at
            if one.plan is None:
                assert isinstance(one, Refused)  # noqa: S101 - a change of a rollback has its plan
                self.findings.append(failed("target", at.title, one.error))
                continue
            self.plans.append(one.plan)
            self.paths += [field.path for field in at.found.fields]
            fields, query = at.found.fields, at.found.settings.query
            self.findings += judge_service(one.plan, at.account, fields, session.present, query)
            if session.options.keep:
                self.findings += kept_now(session, at)
            if at.found.settings.deploy_job:
                self.jobs.append(at.found.settings.deploy_job)
        self.findings += ask_registries(session.registry(snapshot.config), snapshot)

    def _decided(self, snapshot: Snapshot) -> list[Change | Refused]:
        """Decide for all services at once, else for each alone, so that one does not fail all."""
        plain = repeat(plain_wish(self.session, "rollback"), len(snapshot.services))
        wishes = with_accepted(self.session, snapshot, plain)
        try:
            return look_only(self.session, self.repository, snapshot, wishes)
        except GitopsRollbackError as error:
            if len(snapshot.services) == 1:
                return [Refused(snapshot.services[0], error)]
        single = (replace(snapshot, services=(at,)) for at in snapshot.services)
        return [one for alone in single for one in self._decided(alone)]


def _parts(read: EnvironmentFiles, names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return services in parts of a bounded number of files; all at once where all files are few.

    So they are where one is looked for in all of them.
    """
    config, environment = read.config, read.environment
    if not (read.unread and all(config.settings(name).manifests for name in names)):
        return [names]
    paths = Paths(read.paths)
    files = accumulate(len(meant_paths(name, environment, config, paths)) for name in names)
    parts = groupby(zip(names, files, strict=True), lambda one: one[1] // _FILES_AT_ONCE)
    return [tuple(name for name, _files in part) for _number, part in parts]


def drill(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Drill; raise the error that a rollback would end with if one would fail."""
    session = start(options, environment)
    with session.open_repository() as repository:
        drilled = _Drill(session, repository, session.open_tip(repository))
        drilled.run()
    drilled.findings = worst_first(drilled.findings)
    result = _result(drilled)
    error = _error(drilled.findings)
    if options.report_dir:
        _write_report(drilled, result)
    if error is not None:
        error.found = result
        raise error
    write_result(result, options.output)
    return Exit.WARNINGS if result["verdict"] == "warnings" else Exit.DONE


def _result(drilled: _Drill) -> dict[str, Any]:
    return {
        "verdict": verdict(drilled.findings),
        "summary": summary(drilled.findings, drilled.plans),
        "repository": drilled.session.url,
        "branch": drilled.tip.branch,
        "commit": drilled.tip.commit,
        "findings": [finding.to_json() for finding in drilled.findings],
        "plans": [plan.to_json() for plan in drilled.plans],
        "seconds": drilled.session.watch.seconds(),
    }


def _error(findings: Sequence[Finding]) -> GitopsRollbackError | None:
    """Return the first failure as the error of its category."""
    faults = [finding for finding in findings if finding.level == FAILED]
    if not faults:
        return None
    first = faults[0]
    kinds = {kind.category: kind for kind in (errors.RepositoryError, errors.RegistryError)}
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    message = f"a rollback would fail: {first.subject}: {first.message}{more}"
    return kinds.get(first.category, ConfigError)(message, first.hint)


def _write_report(drilled: _Drill, result: Mapping[str, Any]) -> None:
    from gitops_rollback.report import Documents, make_page, write  # noqa: PLC0415 - only if wanted

    session = drilled.session
    build = session.build.to_json() if session.build else {}
    plan = {key: result[key] for key in ("repository", "branch", "commit")}
    documents = Documents(plan={**plan, "services": result["plans"]}, check=result)
    page = make_page(documents, session.url, session.present, build)
    path = write(page, Path(session.options.report_dir))
    if place_of(session.environment) is not Place.JENKINS:  # there a step archives and links it
        say(f"report: {path}")


def ask_push(session: Session, repository: Repository, tip: Tip) -> Iterator[Finding]:
    """Ask git's server whether it would take a push to a branch, and its host for the rules."""
    subject = f"branch {tip.branch}"
    try:
        repository.rehearse_push(tip)
    except RepositoryError as error:
        yield failed("push", subject, error)
        return
    try:
        rules = _rules_of(session)
        who = repository.identity()
        commit = Commit(who.is_signed, _MESSAGE, who.author, who.committer)
        against = rules.against_push(tip.branch, commit) if rules is not None else None
    except ForgeError as error:
        yield judge_push(subject, None, f"its rules are not known: {error.message}")
    else:
        yield judge_push(subject, against, "its rules and hooks were not asked")


def _rules_of(session: Session) -> BranchRules | None:
    """Return what asks the repository's host for its rules; None where it is not to be asked."""
    try:
        address = address_of(session.remote, session.options.forge, session.options.forge_url)
    except UsageError:
        if session.options.forge != "auto" or session.options.forge_url:
            raise
        return None  # nobody said that it is on such a host
    if not address.token(session.environment):
        return None
    return BranchRules(address, session.environment, session.deadline)


def ask_registries(facts: RegistryFacts, snapshot: Snapshot) -> Iterator[Finding]:
    """Ask the registries of the running images, and how near their limits are."""
    running = {at.found.image.registry: at for at in snapshot.services}
    for registry, at in running.items():
        image = at.read.image
        check = facts.check(image, image)
        message = check.message
        if check.status == "there" and registry == _DOCKER_HUB:
            message = _hub_problem(facts, snapshot)
        yield judge_registry(registry, message)
    for limit in facts.limits:
        yield judge_limit(limit.host, str(limit), is_near=limit.is_near)


def _hub_problem(facts: RegistryFacts, snapshot: Snapshot) -> str:
    """Ask the API of Docker Hub too, which the strategy `registry` needs."""
    image = next(
        at.found.image for at in snapshot.services if at.found.image.registry == _DOCKER_HUB
    )
    failure = facts.tags(image, NeedTags(patient=False)).failure
    return failure.message if failure is not None else ""


def ask_jenkins(session: Session, jobs: Sequence[str]) -> Iterator[Finding]:
    """Ask Jenkins for the jobs that hold records, with these credentials."""
    url = session.environment.get("JENKINS_URL")
    if session.filing_store is not None or not url:
        yield Finding("jenkins", "store", SKIPPED, "not asked: records are in a directory")
        return
    from gitops_rollback.stores.jenkins_http import JenkinsHttp  # noqa: PLC0415 - slow import

    http = JenkinsHttp(url, session.environment, session.deadline)
    hint = "without records a rollback goes by what Git tells"
    addresses = {job: http.address(job) for job in jobs} or {http.access.host: http.access.url}
    for subject, address in addresses.items():
        try:
            http.get_tree(address, "name,mode", f"what it shows of {subject}", _LARGEST_ANSWER)
        except GitopsRollbackError as error:
            yield Finding("jenkins", subject, WARNING, error.message, f"{error.hint}; {hint}")
        else:
            yield Finding("jenkins", subject, OK, f"answers {http.access.person}")


def ask_flux(session: Session, paths: Sequence[str]) -> Iterator[Finding]:
    """Ask the cluster, where one can be reached, how the Kustomizations of these files stand."""
    from gitops_rollback.rollout import (  # noqa: PLC0415 - one question
        Asked,
        NoAccessError,
        asked,
        kustomizations,
    )

    if asked((), session.environment) is Asked.NO:
        message = "not asked: no kubeconfig and no account of the cluster is here"
        yield Finding("flux", "cluster", SKIPPED, message)
        return
    try:
        yield from judge_flux(kustomizations(session.environment), paths)
    except NoAccessError as error:
        yield Finding("flux", "cluster", SKIPPED, f"not asked: {error}")
    except OutOfTime:  # nothing is asked after it
        message, hint = "did not answer within --timeout", "a rollback needs no cluster"
        yield Finding("flux", "cluster", WARNING, message, hint, "cluster")
    except GitopsRollbackError as error:
        hint = "a rollback needs no cluster, but nobody sees whether it is applied"
        yield Finding("flux", "cluster", WARNING, error.message, f"{error.hint}; {hint}", "cluster")


def storage_risks(read: EnvironmentFiles) -> Iterator[Finding]:
    """Look for what would hinder pods or lose data in volumes and claims."""
    from gitops_rollback.storage import review  # noqa: PLC0415 - many modules

    unread = read.unread
    try:
        found = () if unread else review(read.files).findings
    except ResourceError as error:
        found, unread = (), error.message
    yield from judge_storage(read.environment.told, found, unread)

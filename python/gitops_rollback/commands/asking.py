"""Ask whoever a rollback would need: git's server, registries, Jenkins; and look at storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.drill import FAILED, OK, SKIPPED, WARNING, Finding, judge_flux
from gitops_rollback.decide.facts import NeedTags
from gitops_rollback.errors import GitopsRollbackError, RepositoryError, UsageError
from gitops_rollback.forges.client import ForgeError
from gitops_rollback.forges.rules import Commit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitops_rollback.forges.rules import BranchRules
    from gitops_rollback.look.registry import RegistryFacts
    from gitops_rollback.look.snapshot import EnvironmentFiles, Snapshot
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session

_DOCKER_HUB = "docker.io"
_MESSAGE = "SERVICE ENVIRONMENT: 1.5.0 → 1.4.2 (rollback)"  # the form of this tool's subjects
_MAY_PUSH = "these credentials may push"
_LARGEST_ANSWER = 100_000


def ask_push(session: Session, repository: Repository, tip: Tip) -> Iterator[Finding]:
    """Ask git's server whether it would take a push to a branch, and its host for the rules."""
    subject = f"branch {tip.branch}"
    try:
        repository.rehearse_push(tip)
    except RepositoryError as error:
        yield Finding("push", subject, FAILED, error.message, error.hint, error.category)
        return
    try:
        rules = _rules_of(session)
        who = repository.identity()
        commit = Commit(who.is_signed, _MESSAGE, who.author, who.committer)
        against = rules.against_push(tip.branch, commit) if rules is not None else None
    except ForgeError as error:
        yield Finding("push", subject, OK, f"{_MAY_PUSH}; its rules are not known: {error.message}")
        return
    if against is None:
        yield Finding("push", subject, OK, f"{_MAY_PUSH}; its rules and hooks were not asked")
    elif against:
        passes = all(obstacle.by_proposal for obstacle in against)
        hint = "let this account pass the rules by, or meet them: by night the push is refused"
        if passes:
            hint = "ask for a merge with --pull-request, or let this account pass the rules by"
        text = "; ".join(obstacle.text for obstacle in against)
        yield Finding("push", subject, WARNING, text, hint, "repository")
    else:
        yield Finding("push", subject, OK, f"{_MAY_PUSH}, and no rule of the branch is against it")


def _rules_of(session: Session) -> BranchRules | None:
    """Return what asks the repository's host for its rules; None where it is not to be asked."""
    from gitops_rollback.forges.address import address_of  # noqa: PLC0415 - few runs ask a host

    try:
        address = address_of(session.remote, session.options.forge, session.options.forge_url)
    except UsageError:
        if session.options.forge != "auto" or session.options.forge_url:
            raise
        return None  # nobody said that it is on such a host
    if not address.token(session.environment):
        return None
    from gitops_rollback.forges.rules import BranchRules  # noqa: PLC0415 - slow import

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
        if message:
            hint = "look at its credentials and at the network; a rollback goes on, unverified"
            yield Finding("registry", registry, WARNING, message, hint, "registry")
        else:
            yield Finding("registry", registry, OK, "answers with these credentials")
    for limit in facts.limits:
        if limit.is_near:
            hint = "log in (an account has a higher limit), or wait until it is reset"
            yield Finding("limit", limit.host, WARNING, str(limit), hint, "registry")
        else:
            yield Finding("limit", limit.host, OK, str(limit))


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
    if not session.is_archived_by_jenkins or not url:
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


def ask_builds(
    session: Session, repository: Repository, read: EnvironmentFiles, services: Sequence[str]
) -> Iterator[Finding]:
    """Ask Jenkins whether the deploy jobs keep the builds that a rollback would go by."""
    from gitops_rollback.commands.checking_builds import lost_builds  # noqa: PLC0415 - slow import

    for one in lost_builds(session, repository, read, services):
        yield Finding("builds", one.subject, WARNING, f"{one.message}; {one.effect}", one.mend)


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
    except GitopsRollbackError as error:
        hint = "a rollback needs no cluster, but nobody sees whether it is applied"
        yield Finding("flux", "cluster", WARNING, error.message, f"{error.hint}; {hint}", "cluster")


def storage_risks(read: EnvironmentFiles) -> Iterator[Finding]:
    """Look for what would hinder pods or lose data in volumes and claims."""
    from gitops_rollback.storage import NOTE, review  # noqa: PLC0415 - many modules

    if read.unread:
        yield Finding(
            "storage", read.environment.told, SKIPPED,
            f"not looked at: {read.unread}",
            "gitops-rollback check --storage FOLDER looks at the files of a clone",
        )  # fmt: skip
        return
    found = [one for one in review(read.files).findings if one.severity != NOTE]
    subject = read.environment.told
    if not found:
        yield Finding("storage", subject, OK, "nothing is at risk")
    for one in found:
        message = f"{one.place}: {one.message}; {one.effect}"
        yield Finding("storage", one.subject or subject, WARNING, message, one.mend, "manifest")

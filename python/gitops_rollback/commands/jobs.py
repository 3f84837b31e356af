"""The Jenkins jobs: create or update them (install), look at what they need (check)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import (
    ConfigError,
    Exit,
    GitopsRollbackError,
    JenkinsError,
    UsageError,
    nearest_hint,
)
from gitops_rollback.jobs import Scm, Wishes, at_jenkins, parse_sources, wanted_jobs
from gitops_rollback.look.snapshot import Overview, read_config, read_overview
from gitops_rollback.model import Request, is_name, one_line
from gitops_rollback.options import repeated, variable_name
from gitops_rollback.services import catalogue, inventory
from gitops_rollback.services.config import DEFAULT_ENVIRONMENT
from gitops_rollback.session import start
from gitops_rollback.tell.output import write_result
from gitops_rollback.tell.terminal import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.repo.repository import Repository
    from gitops_rollback.session import Session

# What the pipelines read from the environment (see the top of each Jenkinsfile), by option.
_VARIABLES = (
    "library",
    "agent",
    "store",
    "git-credentials-id",
    "dockerhub-credentials-id",
    "jenkins-credentials-id",
    "registry-credentials-id",
    "registry-host",
    "approvers",
    "self-approval",
    "approval-hours",
    "allowed-services",
    "allowed-accept",
)


def run(options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Install the jobs, of which a second run changes nothing, or only look at what they need."""
    url = options.jenkins or environment.get("JENKINS_URL")
    if not url:
        raise UsageError("no Jenkins is named", "give its address with --jenkins URL")
    installs = options.action == "install"
    if not options.library_url and installs:
        raise UsageError(
            "nothing says where the jobs get their pipelines from",
            "give the Git URL of this library with --library-url",
        )
    session = start(options, environment)
    with session.open_repository() as repository:
        tip = session.open_tip(repository)
        overviews = _overviews(session, repository, tip)
    wishes = _wishes(session, overviews)
    jobs = wanted_jobs(wishes, overviews[0].config)
    changes, seen = at_jenkins(
        url, environment, session.deadline, jobs, installs=installs, writes=not options.dry_run
    )
    if not wishes.sources:
        say("no deploy jobs: --source URL says where the services are built from")
    needs = [one.to_json() for one in seen]
    result: dict[str, Any] = {"needs": needs}
    if installs:
        result |= {"dryRun": options.dry_run, "jobs": [change.to_json() for change in changes]}
    missing = [f"{one['kind']} {one['name']}" for one in needs if one["state"] == "missing"]
    if missing and not installs:
        raise JenkinsError(
            f"the jobs lack {len(missing)} of what they need: {', '.join(missing)}",
            "mend them in this order, each at the page that stands beside it; then run this again",
            result,
        )
    write_result(result, options.output)
    return Exit.DONE


def _overviews(session: Session, repository: Repository, tip: Tip) -> list[Overview]:
    """Read every environment, or the one that is named."""
    name = session.options.environment
    if name is not None and not is_name(name):
        raise UsageError(f"'{name}' cannot name an environment", "give a configured name")
    configured = [name] if name else [*read_config(repository, tip).environments]
    names = configured or [DEFAULT_ENVIRONMENT]
    return [read_overview(repository, Request((), one, None), tip) for one in names]


def _wishes(session: Session, overviews: list[Overview]) -> Wishes:
    options = session.options
    sources = parse_sources(repeated(options, "source"))
    wanted = {*repeated(options, "service"), *(name for name in sources if name)}
    images = _images(overviews, wanted, sources, is_limited=bool(repeated(options, "service")))
    for name in sorted(wanted - images.keys()):
        raise ConfigError(
            f"the service '{one_line(name, 80)}' is not in the manifests repository",
            nearest_hint(name, images) or "gitops-rollback services lists what is",
        )
    variables = {name: getattr(options, name.replace("-", "_")) for name in _VARIABLES}
    shared = {"repository": session.url, "environment": options.environment, **variables}
    return Wishes(
        scm=Scm(options.library_url, options.library_branch, options.library_credentials_id),
        variables={variable_name(key): value for key, value in shared.items() if value},
        rollback_job=options.rollback_job,
        images=images,
        sources=sources,
        source_branch=options.source_branch,
        folder=options.folder,
        drill_job=options.drill_job,
        has_lists=not options.no_lists,
    )


def _images(
    overviews: list[Overview],
    wanted: set[str],
    sources: Mapping[str, str],
    *,
    is_limited: bool,
) -> dict[str, str]:
    """Return the image repositories of services: those named or configured, else all found.

    What is merely found may be somebody else's image, such as a proxy: it gets a job only where
    nothing is configured. Raises `ConfigError` where a service that is to be built has images in
    several repositories: its deploy job pushes to one.
    """
    found: dict[str, str] = {}
    sure: dict[str, str] = {}
    for overview in overviews:
        names = inventory.service_names(
            overview.manifests, overview.config, overview.environment, overview.paths
        )
        for name, source in sorted(names.items()):
            try:
                resolved = catalogue.resolve(
                    name, overview.environment, overview.config, overview.of(name)
                )
            except GitopsRollbackError as error:
                if name in wanted or source == "config":
                    say(f"left out: {name} in {overview.environment.name}: {error.message}")
                continue
            repository = resolved.image.full_repository
            if found.get(name, repository) != repository and sources.keys() & {name, ""}:
                raise ConfigError(
                    f"{name} is {repository} in {overview.environment.name}, and {found[name]} in "
                    "another environment: one deploy job pushes to one of them",
                    "install the jobs of one environment, with --environment NAME and a --folder",
                )
            found[name] = repository
            if name in wanted or (source == "config" and not is_limited):
                sure[name] = found[name]
    return sure or found

"""Which Jenkins jobs are wanted, and what each has to say. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError, UsageError
from gitops_rollback.jobs.parameters import Parameter, deploy_parameters, rollback_parameters
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.services.config import Config

DEPLOY, ROLLBACK, DRILL = "deploy", "rollback", "drill"
NIGHTLY = "H 3 * * *"  # as Jenkinsfile.drill says, which Jenkins reads with the first run only
_DESCRIPTIONS = {
    DEPLOY: "Builds {service}, archives what runs, deploys the new image. Made by gitops-rollback.",
    ROLLBACK: "Puts a service's previous image back and holds it there. Made by gitops-rollback.",
    DRILL: "Asks every night whether a rollback would work. Made by gitops-rollback.",
}


@dataclass(frozen=True)
class Scm:
    """The Git repository that a job's pipeline script is read from."""

    url: str
    branch: str
    credentials_id: str | None = None

    @property
    def specifier(self) -> str:
        """The branch specifier: a tag is found by its whole name only, `refs/tags/v1.0.0`.

        `*/NAME` is a branch of that name (git-plugin, GitSCMFileSystem).
        """
        return self.branch if self.branch.startswith("refs/") else f"*/{self.branch}"


@dataclass(frozen=True)
class Job:
    """One pipeline job: `fixed` are variables with their only value, `form` is for people.

    `cron` says when it starts by itself, from its creation on; empty: it does not.
    """

    name: str
    kind: str
    description: str
    scm: Scm
    script: str
    fixed: Mapping[str, str] = field(default_factory=dict)
    form: tuple[Parameter, ...] = ()
    cron: str = ""

    @property
    def folder(self) -> str:
        """The folder that it is in; empty at the top."""
        return self.name.rpartition("/")[0]

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that have to be there, outermost first."""
        parts = self.name.split("/")[:-1]
        return tuple("/".join(parts[: end + 1]) for end in range(len(parts)))


@dataclass(frozen=True)
class Wishes:
    """What a person asks for; `images` are image repositories by service, `sources` Git URLs.

    `sources` may have the key `""`: a pattern with `{service}` for every service not named.
    """

    scm: Scm
    variables: Mapping[str, str]
    rollback_job: str
    images: Mapping[str, str]
    sources: Mapping[str, str]
    source_branch: str
    folder: str | None = None
    drill_job: str | None = None
    has_lists: bool = True


def wanted_jobs(wishes: Wishes, config: Config) -> tuple[Job, ...]:
    """Return the jobs, deploy jobs first; raise `ConfigError` if two would have one name."""
    jobs = [*_deploy_jobs(wishes, config), _rollback_job(wishes, config)]
    if wishes.drill_job:
        drill = _job(DRILL, _in_folder(wishes, wishes.drill_job), wishes, "Jenkinsfile.drill")
        jobs.append(replace(drill, cron=NIGHTLY))
    names: set[str] = set()
    for job in jobs:
        if job.name in names:
            raise ConfigError(
                f"two jobs would be named {job.name}",
                'give each service its own: deploy-job = "FOLDER/{service}"',
            )
        names.add(job.name)
        _check(job.name)
    return tuple(jobs)


def parse_sources(texts: Sequence[str]) -> dict[str, str]:
    """Read `SERVICE=URL`, or one URL with `{service}` that stands for all others."""
    sources: dict[str, str] = {}
    for text in texts:
        service, equals, url = text.partition("=")
        if not equals or "/" in service:
            service, url = "", text
        if not service and "{service}" not in url:
            raise UsageError(
                f"--source {one_line(text, 100)} does not say of which service",
                "write SERVICE=URL, or a URL with {service} in it",
            )
        sources[service] = url
    return sources


def _deploy_jobs(wishes: Wishes, config: Config) -> Iterable[Job]:
    for service, repository in wishes.images.items():
        source = wishes.sources.get(service) or wishes.sources.get("", "")
        if not source:
            continue
        name = config.settings(service).deploy_job or _in_folder(wishes, service)
        own = {
            "GITOPS_SERVICE": service,
            "GITOPS_IMAGE_REPOSITORY": repository,
            "GITOPS_SOURCE": source.replace("{service}", service),
            "GITOPS_SOURCE_BRANCH": wishes.source_branch,
        }
        job = _job(DEPLOY, name, wishes, "Jenkinsfile", own, service)
        yield replace(job, form=deploy_parameters())


def _rollback_job(wishes: Wishes, config: Config) -> Job:
    name = _in_folder(wishes, wishes.rollback_job)
    services = tuple(sorted({*wishes.images, *config.sets})) if wishes.has_lists else ()
    environments = tuple(config.environments) if wishes.has_lists else ()
    offered = {
        "GITOPS_SERVICES": ",".join(services),
        "GITOPS_ENVIRONMENTS": ",".join(environments),
    }
    own = {key: value for key, value in offered.items() if value}
    variables = wishes.variables
    form = rollback_parameters(
        services,
        environments,
        variables.get("GITOPS_REPOSITORY", ""),
        variables.get("GITOPS_LIBRARY", "gitops-rollback"),
    )
    return replace(_job(ROLLBACK, name, wishes, "Jenkinsfile.rollback", own), form=form)


def _job(
    kind: str,
    name: str,
    wishes: Wishes,
    script: str,
    own: Mapping[str, str] | None = None,
    service: str = "",
) -> Job:
    description = _DESCRIPTIONS[kind].format(service=service)
    return Job(name, kind, description, wishes.scm, script, {**wishes.variables, **(own or {})})


def _in_folder(wishes: Wishes, name: str) -> str:
    return f"{wishes.folder}/{name}" if wishes.folder and "/" not in name else name


def _check(name: str) -> None:
    """Refuse what Jenkins takes for no name (hudson.model.Job: `Jenkins.checkGoodName`)."""
    for part in name.split("/"):
        if not part.strip(". ") or any(c in '?*\\%!@#$^&|<>[]:;"' for c in part):
            raise ConfigError(
                f"'{one_line(name, 100)}' cannot be a Jenkins job",
                "write its full name, FOLDER/JOB, without ?*\\%!@#$^&|<>[]:;",
            )

"""Which Jenkins jobs are wanted, what each has to say, and which parameters it asks for. Pure.

A Jenkinsfile declares them, but Jenkins knows them only after a first run. `jobs install` writes
the same ones into a job's configuration, so that the first "Build" is a "Build with Parameters". A
test holds each Jenkinsfile to this table, word for word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import ConfigError, UsageError
from gitops_rollback.late import dataclass, field, replace
from gitops_rollback.model import one_line
from gitops_rollback.options import STRATEGIES
from gitops_rollback.redaction import holds
from gitops_rollback.refusals import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.services.config import Config

DEPLOY, ROLLBACK, DRILL = "deploy", "rollback", "drill"
NIGHTLY = "H 3 * * *"  # as Jenkinsfile.drill says, which Jenkins reads with the first run only
_DESCRIPTIONS = {
    DEPLOY: "Builds {service}, archives what runs, deploys the new image. Made by gitops-rollback.",
    ROLLBACK: "Puts a service's previous image back and holds it there. Made by gitops-rollback.",
    DRILL: "Asks every night whether a rollback would work. Made by gitops-rollback.",
}
TEXT, FLAG, CHOICE = "string", "boolean", "choice"
ACTIONS = ("rollback", "plan", "release", "history")


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
        for name, text in _texts(job):
            _check_text(job.name, name, text)
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
        if sources.setdefault(service, url) != url:
            raise UsageError(
                f"--source names two addresses for {service or 'every other service'}: "
                f"{one_line(sources[service], 100)} and {one_line(url, 100)}",
                "give one",
            )
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
        is_sound = part.strip(". ") and part.isprintable()
        if not is_sound or any(c in '?*\\%!@#$^&|<>[]:;"' for c in part):
            raise ConfigError(
                f"'{one_line(name, 100)}' cannot be a Jenkins job",
                "write its full name, FOLDER/JOB, without ?*\\%!@#$^&|<>[]:; and line ends",
            )


def _texts(job: Job) -> Iterator[tuple[str, str]]:
    """Yield what people wrote that goes into a job's configuration, each with what it is called."""
    yield "the address of its pipeline", job.scm.url or ""
    yield "the branch of its pipeline", job.scm.branch
    yield "the credentials to read its pipeline with", job.scm.credentials_id or ""
    yield from job.fixed.items()


def _check_text(job: str, name: str, text: str) -> None:
    """Refuse what no XML can hold, or what people would not see, and what nobody is to see."""
    if not text.isprintable():
        raise ConfigError(
            f"{name} of the job {job} has a character that cannot be seen: '{one_line(text, 100)}'",
            "write it on one line, without controls, and as UTF-8",
        )
    if holds(text):
        raise ConfigError(
            f"{name} of the job {job} has a secret in it, which all who may see the job would read",
            "leave it out: a job names credentials of Jenkins' by their id (--git-credentials-id "
            "and the like)",
        )


@dataclass(frozen=True)
class Parameter:
    """One field of a job's form; `choices` are for a choice, the first is its default."""

    kind: str
    name: str
    description: str
    choices: tuple[str, ...] = ()


def accepted_codes(*commands: str) -> str:
    """Return the codes that a form's ACCEPT takes for commands, as its description lists them."""
    return ", ".join(
        row.code
        for row in TABLE
        if row.option == "accept" and row.job_allows and set(row.commands) & set(commands)
    )


def deploy_parameters() -> tuple[Parameter, ...]:
    """Return the form of the deploy job."""
    return (
        Parameter(TEXT, "SERVICE", "The service to build and deploy."),
        Parameter(TEXT, "IMAGE", "Where its images go, without a tag: docker.io/acme/cart"),
        Parameter(
            TEXT, "VERSION", "The new tag; if empty the Git tag, else build number and commit."
        ),
        Parameter(TEXT, "ENVIRONMENT", "The environment, where there are several."),
        Parameter(TEXT, "REASON", "Why, for the commit."),
        Parameter(FLAG, "RELEASE", "Deploy although the service is held, and end the hold."),
        Parameter(FLAG, "ALLOW_OLDER", "Deploy although a later build has deployed."),
        _accept("deploy"),
    )


def rollback_parameters(
    services: Sequence[str],
    environments: Sequence[str],
    repository: str,
    library: str = "gitops-rollback",
) -> tuple[Parameter, ...]:
    """Return the form of the rollback job: lists where services or environments are given.

    The first entry of a list is empty: nobody rolls back what merely stood at its top. Where there
    is no list, the form tells in its place what the job works with: a Jenkinsfile declares as many
    choices with a list as without.
    """
    return (
        Parameter(
            CHOICE,
            "ACTION",
            "Roll back, only show what would be done, end a hold, or show what ran when.",
            ACTIONS,
        ),
        *_service(services, repository),
        *_environment(environments, library),
        Parameter(TEXT, "REASON", "Why; needed to roll back and to release."),
        Parameter(
            TEXT,
            "TO",
            "The image to go back to: a tag, a digest, an image, or a build such as #41. "
            "If empty, the previous one.",
        ),
        Parameter(
            TEXT,
            "AS_OF",
            "Go back to what ran then: an age such as 2h, or a time such as "
            "2026-01-31T02:40+01:00.",
        ),
        Parameter(CHOICE, "STRATEGY", "Where the previous image is looked for.", STRATEGIES),
        Parameter(TEXT, "QUERY", "JMESPath query over the tags of the registry."),
        Parameter(FLAG, "AGAIN", "Go one further back although it was just rolled back."),
        Parameter(
            FLAG, "SKIP_BLOCKED", "Of several services, do those that nothing stands in the way of."
        ),
        _accept("rollback", "release"),
        Parameter(FLAG, "DRY_RUN", "Write nothing: for rollback the same as ACTION plan."),
    )


def names_of_forms() -> frozenset[str]:
    """Return every name that a form of ours can have: what is of another form is taken away."""
    every = (
        *deploy_parameters(),
        *rollback_parameters(("x",), ("x",), ""),
        *rollback_parameters((), (), ""),
    )
    return frozenset(parameter.name for parameter in every)


def _service(services: Sequence[str], repository: str) -> tuple[Parameter, ...]:
    if services:
        return (
            Parameter(CHOICE, "SERVICE", "The service, or a set.", ("", *services)),
            Parameter(
                TEXT,
                "OTHER",
                "Instead of SERVICE: several separated by commas, or one that the list lacks.",
            ),
        )
    return (
        Parameter(
            CHOICE,
            "MANIFESTS",
            "The repository that this job changes: nothing to choose.",
            (repository or "not set",),
        ),
        Parameter(TEXT, "SERVICE", "The service, several separated by commas, or a set."),
    )


def _environment(environments: Sequence[str], library: str) -> tuple[Parameter, ...]:
    if environments:
        return (
            Parameter(CHOICE, "ENVIRONMENT", "The environment.", ("", *environments)),
            Parameter(
                TEXT, "OTHER_ENVIRONMENT", "Instead of ENVIRONMENT: one that the list lacks."
            ),
        )
    return (
        Parameter(
            CHOICE,
            "LIBRARY",
            "The library that this job runs: nothing to choose.",
            (library,),
        ),
        Parameter(TEXT, "ENVIRONMENT", "The environment, where there are several."),
    )


def _accept(*commands: str) -> Parameter:
    codes = accepted_codes(*commands)
    return Parameter(TEXT, "ACCEPT", f"Codes of refusals to accept, separated by commas: {codes}")

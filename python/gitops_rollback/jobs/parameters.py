"""The parameters that the ready-made jobs ask for. Pure.

A Jenkinsfile declares them, but Jenkins knows them only after a first run. `jobs install` writes
the same ones into a job's configuration, so that the first "Build" is a "Build with Parameters". A
test holds each Jenkinsfile to this table, word for word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass
from gitops_rollback.options import STRATEGIES
from gitops_rollback.refusals import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

TEXT, FLAG, CHOICE = "string", "boolean", "choice"
ACTIONS = ("rollback", "plan", "release", "history")


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

"""What went wrong between us and a registry, in words. Pure: no client is needed to explain."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gitops_rollback.errors import RegistryError
from gitops_rollback.model import one_line
from gitops_rollback.web.answers import LONGEST_QUOTE, NO_TIME, told_pause
from gitops_rollback.web.hosts import host_of

if TYPE_CHECKING:
    from gitops_rollback.registries.credentials import Access
    from gitops_rollback.web.answers import Answer, NoAnswer

_STRANGER = (
    "a proxy or a login page may have answered, or the configured URL is of something else;"
    " look at {address}"
)
_OFFSET_CAP = "pagination offset too large"


class ManifestMissingError(RegistryError):
    """The registry knows no such tag or digest."""


class RepositoryMissingError(ManifestMissingError):
    """The registry knows no such repository, or does not show it to us."""


class RegistryUnavailableError(RegistryError):
    """The registry could or would not answer: that proves nothing about any image."""


class NoHubError(RegistryUnavailableError):
    """There is no Hub API at an address that was named as one."""


def nonsense(answer: Answer, what: str, reason: str) -> RegistryUnavailableError:
    """Explain an answer that cannot be one of a registry."""
    return RegistryUnavailableError(
        f"asked {host_of(answer.url)} for {what}: {reason}",
        _STRANGER.format(address=one_line(answer.url.partition("?")[0], LONGEST_QUOTE)),
    )


def unexpected(answer: Answer, what: str, access: Access) -> RegistryUnavailableError:
    """Explain a status that is no success: no access, or one that does not belong here."""
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}"
    if is_offset_cap(answer):
        return RegistryUnavailableError(
            f"{message}: without a login it shows only the newest tags",
            f"{access.how_to_sign_in}, or name the image to go back to with --to",
        )
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return RegistryUnavailableError(message, access.hint)
    if answer.status == HTTPStatus.FORBIDDEN:
        return RegistryUnavailableError(f"{message}: no permission", access.hint)
    if answer.status == HTTPStatus.OK:
        return nonsense(answer, what, "it answered 200, but not as a registry does")
    return nonsense(answer, what, f"it answered {answer}, as no registry should")


def is_offset_cap(answer: Answer) -> bool:
    """Tell whether Docker Hub shows so old tags only to who is signed in."""
    return answer.status == HTTPStatus.FORBIDDEN and _OFFSET_CAP in str(answer)


def too_many(answer: Answer, what: str, number: int) -> RegistryUnavailableError:
    """Explain a list of tags that is too long to be read to its end."""
    return RegistryUnavailableError(
        f"asked {host_of(answer.url)} for {what}: there are more than {number}, too many to choose"
        " from",
        "name the image to go back to with --to; old tags are best deleted by the registry's rules",
    )


def without_labels(image: str, url: str) -> RegistryUnavailableError:
    """Explain what is there under a reference and has no configuration that could have labels."""
    return RegistryUnavailableError(
        f"asked {host_of(url)} for the labels of {image}: no image's configuration is named there",
        "push the image again with a builder that writes an image's configuration",
    )


def second_factor(answer: Answer, what: str) -> RegistryUnavailableError:
    """Explain that Hub wants a second factor, which only a person can give."""
    return RegistryUnavailableError(
        f"asked {host_of(answer.url)} for {what}: it wants a second factor of that user",
        "set DOCKERHUB_TOKEN to a personal access token (or an organization's, with the "
        "organization as DOCKERHUB_USERNAME): it needs none",
    )


def try_later(answer: Answer, what: str, seconds: float | None) -> RegistryUnavailableError:
    """Explain 429 and 5xx; `seconds` is when it may be asked again, if it says so."""
    when, wait = told_pause(seconds)
    message = f"asked {host_of(answer.url)} for {what}: it answered {answer}{when}"
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        hint = f"too many requests came from here: {wait}, or sign in for a higher limit"
        return RegistryUnavailableError(message, hint)
    hint = "the service itself has failed: look at its status page and try again"
    return RegistryUnavailableError(message, hint)


def explain(none: NoAnswer) -> RegistryUnavailableError:
    """Explain why no answer came."""
    if none.kind == NO_TIME:
        return RegistryUnavailableError(
            f"{none.host} was not asked for {none.what}: {none.reason}",
            "check what was slow before; --timeout allows more time",
        )
    hint = none.hint or _STRANGER.format(address=none.host)
    return RegistryUnavailableError(f"asked {none.host} for {none.what}: {none.reason}", hint)

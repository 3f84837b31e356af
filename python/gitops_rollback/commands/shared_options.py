"""Options that several commands take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.forges.address import KINDS
from gitops_rollback.options import repeated
from gitops_rollback.refusals import Acceptance, acceptable_codes, read_acceptance

if TYPE_CHECKING:
    import argparse

    from gitops_rollback.options import Options

STRATEGIES = ("auto", "artifact", "git", "registry")
_WAITING = 120.0  # seconds


def add_common_options(options: Options, timeout: float = _WAITING) -> None:
    """Add the options of every command that works on the manifests repository."""
    options.text(
        "repository",
        "URL or path of the manifests repository; a work tree means its origin (default: the "
        "work tree one stands in)",
        metavar="URL",
    )
    options.text("branch", "where the configuration is read (default: HEAD)", metavar="NAME")
    options.text("environment", "the environment, where several are configured", metavar="NAME")
    options.number("timeout", f"bound on all waiting for others (default: {timeout:g})",
                   metavar="SECONDS", default=timeout)  # fmt: skip
    options.text(
        "cache", "keep what was fetched in this directory, for the next run", metavar="DIR"
    )
    options.text("output", "write the result as JSON; - is stdout", metavar="FILE")


def add_service_options(options: Options) -> None:
    """Add the options that choose services."""
    options.names("service", "a service, or a set of them; may be repeated", metavar="NAME")
    options.names("set", "a set of services; may be repeated", metavar="NAME")
    options.flag("all", "all services of the environment: configured, or deployed before")
    options.names(
        "allowed-services",
        "refuse all services but these; sets too (default: none)",
        metavar="NAME",
    )


def add_store_options(options: Options) -> None:
    """Add the options of commands that read or file records or ask registries."""
    options.text("store", "where records are: jenkins[:JOB] or directory:PATH", metavar="STORE")
    options.text("hub-url", "where the Docker Hub API is", metavar="URL")
    options.text("registry-url", "where the registry of the images is", metavar="URL")


def add_skip_option(options: Options) -> None:
    """Add the option of commands that may do a part of what they were asked for."""
    options.flag("skip-blocked", "do those of several services that nothing stands in the way of")


def add_proposal_options(options: Options) -> None:
    """Add the options of commands that can ask for a merge instead of pushing to the branch."""
    options.flag("pull-request", "push a branch of its own and open a pull request; exit 7")
    options.flag("wait-for-merge", "wait until it is merged, at most --timeout")
    add_forge_options(options)


def add_forge_options(options: Options) -> None:
    """Add the options of commands that ask the host of the repository by its API."""
    options.choice("forge", "what hosts the repository (default: by its name)", choices=KINDS)
    options.text("forge-url", "the host's API, where the remote does not tell", metavar="URL")


def add_keep_option(options: Options) -> None:
    """Add the option to keep the build that a rollback would need."""
    options.flag(
        "keep",
        "let Jenkins keep the build with the record of what one would go back to, and no longer "
        "the one before",
    )


def add_person_options(options: Options) -> None:
    """Add the options that say who does something, and why."""
    options.text("reason", "why, for commit, state file and hold", metavar="TEXT")
    options.text("by", "who (default: the user of this machine, outside Jenkins)", metavar="NAME")


def acceptance(options: argparse.Namespace) -> Acceptance:
    """Return what a person accepts by `--accept`, as far as `--allowed-accept` lets it."""
    texts = options.accept
    if texts is None:
        texts = [",".join(options.accept_variable)]
    allowed = repeated(options, "allowed_accept")
    return read_acceptance(texts, allowed or None)


def accepted(options: argparse.Namespace, service: str | None = None) -> frozenset[str]:
    """Return the codes of the refusals a person accepts, by `--accept` or an option of its own.

    Those of one service; without `service` what is accepted for single ones is refused, because
    whoever asks so does not tell them apart.
    """
    all_ = acceptance(options)
    if service is None and all_.by_service:
        raise UsageError(
            f"--accept {next(iter(all_.by_service))}=…: this command accepts for all alike",
            "write --accept CODE, and name the services that are meant with --service",
        )
    codes = set(all_.of(service or ""))
    if getattr(options, "release", False):
        codes.add("held")
    if getattr(options, "allow_older", False):
        codes.add("outdated")
    return frozenset(codes)


def add_accept_options(options: Options, command: str) -> None:
    """Add the options that accept refusals, and that limit which may be accepted."""
    codes = ", ".join(acceptable_codes(command))
    options.names("accept", f"refusals to accept, by code: {codes}", metavar="[SERVICE=]CODE[,…]")
    options.names(
        "allowed-accept", "the only codes that may be accepted (default: all)", metavar="CODE"
    )


def add_choice_options(options: Options) -> None:
    """Add the options that say which image to go back to."""
    options.choice(
        "strategy", "what to choose by: records and Git (auto), or one source", choices=STRATEGIES
    )
    options.text("as-of", "go back to what ran then: 2h, or a time with offset", metavar="TIME")
    options.text("to", "go back to this tag, digest, image or build (#41, JOB#41)", metavar="WHAT")
    options.text("query", "JMESPath over the registry's tags", metavar="QUERY")
    options.flag("again", "go one further, although the service was rolled back already")
    add_accept_options(options, "rollback")
    add_from_option(options)


def add_from_option(options: Options) -> None:
    """Add the option that says what must run now."""
    options.names(
        "from",
        "what must run now, else exit 5; SERVICE=IMAGE for each of several",
        metavar="IMAGE",
    )

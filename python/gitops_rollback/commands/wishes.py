"""What the options mean: which services, and what is wished for each of them."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from gitops_rollback import clock
from gitops_rollback.commands.given import plan_of, read_records, record_of
from gitops_rollback.decide.wish import Wish
from gitops_rollback.errors import UsageError
from gitops_rollback.image import find_image
from gitops_rollback.late import regex, replace
from gitops_rollback.model import Request, is_name, one_line, some
from gitops_rollback.options import (
    NO_HOLD,
    acceptance,
    accepted,
    images_by_service,
    limits,
    repeated,
    split,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gitops_rollback.decide.facts import ServiceAtTip
    from gitops_rollback.decide.wish import Action
    from gitops_rollback.image import ImageReference
    from gitops_rollback.look.snapshot import Snapshot
    from gitops_rollback.session import Session

# As kubectl and flux take them before a slash.
_KINDS = frozenset(("cronjob", "daemonset", "deploy", "deployment", "ds", "helmrelease", "hr"))
_KINDS |= {"cj", "job", "pod", "po", "service", "statefulset", "sts", "svc"}
_MOST_NAMED = 5  # services, in an error
_BUILD_OR_DIGEST = regex(r"#[0-9]{1,9}|sha256:[0-9a-f]{64}")


def request_of(options: argparse.Namespace) -> Request:
    """Return what the options ask for; raise `UsageError` if they name nothing, or no names."""
    sets = repeated(options, "set")
    named = (*repeated(options, "service"), *sets)
    environment = options.environment
    plan = plan_of(options)
    if options.all and named:
        raise UsageError(f"--all and {named[0]} are named", "name services, or give --all alone")
    if not named and not options.all and plan is not None:
        named = tuple(service.service for service in plan.services)
        environment = environment or plan.services[0].environment
    if not named and not options.all and hasattr(options, "image"):
        named = tuple(service for service in images_by_service(options, "image") if service)
    if not named and not options.all:
        raise UsageError(
            "no service is named", "give one with --service NAME; --all takes every one"
        )
    for name in (*named, *((environment,) if environment else ())):
        if not is_name(name):
            raise UsageError(
                f"'{one_line(name, 80)}' cannot name a service or an environment",
                _meant_by(name, options)
                or "names have small letters, digits, dots, dashes, underscores; at most 63",
            )
    allowed = limits(options, "allowed_services")
    return Request(
        named,
        environment,
        options.branch,
        sets,
        allowed,
        everything=options.all,
        without_states=getattr(options, "repair", False),
    )


def _meant_by(name: str, options: argparse.Namespace) -> str:
    """Return where what is no name of a service belongs, as a hint, or nothing."""
    kind, slash, rest = name.partition("/")
    if slash and kind in _KINDS and is_name(rest):
        return f"services are named without their kind: {rest}"
    if hasattr(options, "image") and _is_version(name):
        return f"the image is given with --image: --image {quote(name)}"
    if hasattr(options, "to") and (_is_version(name) or _BUILD_OR_DIGEST.fullmatch(name)):
        return f"what to go back to is given with --to: --to {quote(name)}"
    if is_name(name.lower()):
        return f"names have small letters: did you mean {name.lower()}?"
    return ""


def _is_version(name: str) -> bool:
    image = find_image(name)
    return image is not None and image.name != name  # it has a tag or a digest


def deploy_wishes(session: Session) -> Callable[[Snapshot], list[Wish]]:
    """Return what `deploy` wishes for each service; raise `UsageError` if no image is named."""
    options = session.options
    wanted = images_by_service(options, "image")
    if not wanted:
        image = next(filter(_is_version, repeated(options, "service")), "IMAGE")
        raise UsageError("no image is named", f"give it with --image {image}")
    expected = images_by_service(options, "from")
    records = read_records(options.record)
    wish = replace(
        plain_wish(session, "deploy"), releases=options.release, before_build=options.before_build
    )

    def wishes(snapshot: Snapshot) -> list[Wish]:
        images = assign_images(wanted, snapshot.services)
        running = expected_images(expected, snapshot.services)
        return [
            replace(
                wish,
                image=images[at.service],
                expected=running.get(at.service),
                record=record_of(at, records),
            )
            for at in snapshot.services
        ]

    return accepting(session, wishes)


def rollback_wishes(session: Session) -> Callable[[Snapshot], list[Wish]]:
    """Return what `rollback`, `plan` and `report` wish for each service."""
    options = session.options
    expected = images_by_service(options, "from")
    records = read_records(getattr(options, "record", ()))
    wish = replace(
        plain_wish(session, "rollback"),
        strategy=options.strategy,
        query=options.query,
        to=options.to,
        as_of=_as_of(session),
        planned=plan_of(options),
        again=options.again,
        unattended=getattr(options, "unattended", False),
    )

    def wishes(snapshot: Snapshot) -> list[Wish]:
        running = expected_images(expected, snapshot.services)
        return [
            replace(wish, expected=running.get(at.service), record=record_of(at, records))
            for at in snapshot.services
        ]

    return accepting(session, wishes)


def release_wishes(session: Session) -> Callable[[Snapshot], list[Wish]]:
    """Return what `release` wishes for each service."""
    wish = replace(plain_wish(session, "release"), forgive=repeated(session.options, "forgive"))
    return accepting(session, for_each(wish))


def accepting(
    session: Session, wishes: Callable[[Snapshot], list[Wish]]
) -> Callable[[Snapshot], list[Wish]]:
    """Return the same wishes, each with what is accepted for its service alone.

    Raises `UsageError` if what is none of the services is named.
    """

    def of_services(snapshot: Snapshot) -> list[Wish]:
        refuse_accepted_others(session, [at.service for at in snapshot.services])
        return with_accepted(session, snapshot, wishes(snapshot))

    return of_services


def refuse_accepted_others(session: Session, names: Sequence[str]) -> None:
    """Raise `UsageError` if something is accepted for what is none of these services."""
    _refuse_others(acceptance(session.options).by_service, names, "accept")


def with_accepted(session: Session, snapshot: Snapshot, wishes: Iterable[Wish]) -> list[Wish]:
    """Return the wishes of a snapshot's services, each with what is accepted for it alone."""
    given = acceptance(session.options)
    return [
        replace(wish, accept=wish.accept | given.of(at.service))
        for at, wish in zip(snapshot.services, wishes, strict=True)
    ]


def for_each(wish: Wish) -> Callable[[Snapshot], list[Wish]]:
    """Return the same wish for each service."""
    return lambda snapshot: [wish for _at in snapshot.services]


def plain_wish(session: Session, action: Action) -> Wish:
    """Return who does something when, why, and what that person accepts."""
    options = session.options
    return Wish(
        action,
        session.present,
        by=session.by,
        reason=session.reason,
        build=session.build,
        accept=accepted(options) if hasattr(options, "accept") else frozenset(),
        holds=_seen_holds(options),
        effect_proof=getattr(options, "effect_proof", "") or None,
    )


def _seen_holds(options: argparse.Namespace) -> tuple[str, ...] | None:
    """Return the ids that `--hold` names; empty where it says that nothing was held."""
    text = getattr(options, "hold", None)
    if text is None:
        return None
    return () if text.strip() == NO_HOLD else tuple(split(text))


def _as_of(session: Session) -> str | None:
    """Return the time of `--as-of`; raise `UsageError` if it is none, or not the only choice."""
    options = session.options
    if options.as_of is None:
        return None
    other = next((name for name in ("to", "query", "again") if getattr(options, name)), None)
    if other is not None or options.strategy == "registry":
        raise UsageError(
            f"--as-of and --{other or 'strategy registry'} are two ways to choose",
            "give one of them",
        )
    try:
        return clock.instant(options.as_of, session.present)
    except ValueError as error:
        raise UsageError(
            f"--as-of {options.as_of} {error}",
            "write an age (2h, 30min, 1d12h) or a time with offset (2026-01-31T02:00:00+01:00)",
        ) from error


def assign_images(
    wanted: Mapping[str, ImageReference], services: Sequence[ServiceAtTip]
) -> dict[str, ImageReference]:
    """Return the image of each service; raise `UsageError` unless all have one, and nothing else.

    A plain image, without a service's name, is that of the only service.
    """
    names = [at.service for at in services]
    wanted = _named(wanted, names, "image")
    lacking = [name for name in names if name not in wanted]
    if lacking:
        raise UsageError(
            f"no image is named for {some(lacking, _MOST_NAMED)}",
            f"give it with --image {lacking[0]}=IMAGE",
        )
    _refuse_others(wanted, names, "image")
    return {name: wanted[name] for name in names}


def expected_images(
    wanted: Mapping[str, ImageReference], services: Sequence[ServiceAtTip]
) -> dict[str, ImageReference]:
    """Return what must run now, of the services for which `--from` says it.

    Raises `UsageError` if it names what is none of them, or does not say which one it means.
    """
    names = [at.service for at in services]
    expected = _named(wanted, names, "from")
    _refuse_others(expected, names, "from")
    return dict(expected)


def _named(
    wanted: Mapping[str, ImageReference], names: Sequence[str], option: str
) -> Mapping[str, ImageReference]:
    """Return images by service, where a plain image is that of the only service."""
    if "" not in wanted:
        return wanted
    if len(wanted) == len(names) == 1:
        return {names[0]: wanted[""]}
    raise UsageError(
        f"--{option} {wanted['']} names no service, and there are {len(names)}: "
        f"{some(names, _MOST_NAMED)}",
        f"write --{option} {names[0]}=IMAGE, once for each service",
    )


def _refuse_others(wanted: Iterable[str], names: Sequence[str], option: str) -> None:
    further = [name for name in wanted if name not in names]
    if further:
        raise UsageError(
            f"--{option} names {some(further, _MOST_NAMED)}, which is none of the services: "
            f"{some(names, _MOST_NAMED)}",
            f"name the same services, or --{option} alone",
        )

"""Which services a run means: by name, by set, all, by the images, or by the plan it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.model import Request, is_name, one_line
from gitops_rollback.options import images_by_service, repeated

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping, Sequence

    from gitops_rollback.image import ImageReference
    from gitops_rollback.look.snapshot import ServiceAtTip


def request_of(options: argparse.Namespace) -> Request:
    """Return what the options ask for; raise `UsageError` if they name nothing, or no names."""
    sets = repeated(options, "set")
    named = (*repeated(options, "service"), *sets)
    environment = options.environment
    followed = getattr(options, "plan", None)
    if options.all and named:
        raise UsageError(f"--all and {named[0]} are named", "name services, or give --all alone")
    if not named and not options.all and followed:
        from gitops_rollback.commands.given import read_plan  # noqa: PLC0415 - not without a plan

        planned = read_plan(followed).services
        named = tuple(service.service for service in planned)
        environment = environment or planned[0].environment
    if not named and not options.all and hasattr(options, "image"):
        named = tuple(service for service in images_by_service(options, "image") if service)
    if not named and not options.all:
        raise UsageError("no service is named", "give one with --service NAME")
    for name in (*named, *((environment,) if environment else ())):
        if not is_name(name):
            raise UsageError(
                f"'{one_line(name, 80)}' cannot name a service or an environment",
                "names have small letters, digits, dots, dashes, underscores; at most 63",
            )
    allowed = repeated(options, "allowed_services")
    return Request(
        named,
        environment,
        options.branch,
        sets,
        allowed,
        everything=options.all,
        without_states=getattr(options, "repair", False),
    )


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
            f"no image is named for {_some(lacking)}", f"give it with --image {lacking[0]}=IMAGE"
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
        f"--{option} {wanted['']} names no service, and there are {len(names)}: {_some(names)}",
        f"write --{option} {names[0]}=IMAGE, once for each service",
    )


def _refuse_others(wanted: Iterable[str], names: Sequence[str], option: str) -> None:
    further = [name for name in wanted if name not in names]
    if further:
        raise UsageError(
            f"--{option} names {_some(further)}, which is none of the services: {_some(names)}",
            f"name the same services, or --{option} alone",
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"  # noqa: PLR2004

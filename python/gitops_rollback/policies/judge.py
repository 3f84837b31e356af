"""Would Flux's image automation bring a bad image back once held markers are in action? Pure.

A policy takes the highest of all tags that match it. The running image's tag is one of them, so a
bad image comes back only if its tag matches too and is not lower. What cannot be judged counts as
a refusal that a person may accept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import regex
from gitops_rollback.manifest.patterns import UnreadablePatternError
from gitops_rollback.model import one_line
from gitops_rollback.policies.semver_range import (
    UnreadableRangeError,
    takes_version,
    version_of,
)
from gitops_rollback.policies.tag_filter import apply_filter
from gitops_rollback.refusals import Place, Refusal, accepted_by, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.image import ImageReference
    from gitops_rollback.policies.objects import ImagePolicy, Policies

_NUMBER = regex(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_OBJECT = regex(r"[a-z0-9.-]+:[a-z0-9.-]+")
_NO_VERSION = ":name"  # such a marker takes the image's name from its policy, never a version


class _UnjudgedError(ValueError):
    """Raised where it cannot be said what a policy takes; its message says why."""


def automation_blocks(
    title: str,
    markers: Iterable[str],
    bad: Iterable[ImageReference],
    after: ImageReference,
    policies: Policies,
) -> tuple[Refusal, ...]:
    """Return what stands in the way of putting markers back into action.

    `markers` are their policies' texts, `bad` the images that must not come back, `after` is the
    image that will run then.
    """
    images = tuple(bad)
    meant = dict.fromkeys(
        ":".join(marker.split(":")[:2]) for marker in markers if not marker.endswith(_NO_VERSION)
    )
    if not images:
        return ()
    found = (_block(title, marker, images, after, policies) for marker in meant)
    return tuple(block for block in found if block is not None)


def _block(
    title: str,
    marker: str,
    bad: tuple[ImageReference, ...],
    after: ImageReference,
    policies: Policies,
) -> Refusal | None:
    named = policies.named(marker)
    if not named:
        unread = f"; not looked into: {policies.unread[0]}" if policies.unread else ""
        reason = f"the repository does not hold it{unread}"
        return _unjudged(title, marker, bad, reason)
    for policy in named:
        for image in bad:
            try:
                if takes_again(policy, image, after):
                    return _taken(title, marker, policy, image)
            except _UnjudgedError as error:
                return _unjudged(title, marker, bad, f"{policy.place}: {error}")
    return None


def takes_again(policy: ImagePolicy, bad: ImageReference, after: ImageReference) -> bool:
    """Tell whether a policy can take a bad image although another one runs.

    Raises `ValueError`, saying why, if that cannot be judged.
    """
    if bad.tag is None:
        raise _UnjudgedError(f"which tags {bad.label} has is not known, and policies go by tags")
    try:
        key = _key(policy, bad.tag)
    except (UnreadablePatternError, UnreadableRangeError) as error:
        raise _UnjudgedError(str(error)) from error
    if key is None:
        return False
    try:
        other = _key(policy, after.tag) if after.tag is not None else None
    except _UnjudgedError:
        other = None  # what runs is none of its tags
    if other is None:
        return True
    is_descending = policy.order != "semver" and policy.value.lower() == "desc"
    return not (other < key if is_descending else other > key)


def _key(policy: ImagePolicy, tag: str) -> Any:  # noqa: ANN401 - a text, number or version
    """Return what a policy orders a tag by, None if it does not match."""
    text = apply_filter(policy.pattern, policy.extract, tag)
    if text is None:
        return None
    if policy.order == "semver":
        takes = takes_version(policy.value, text)
        if takes is None:
            raise _UnjudgedError(f"releases of Flux disagree whether {policy.value} takes {tag}")
        return version_of(text) if takes else None
    if policy.order not in ("alphabetical", "numerical"):
        raise _UnjudgedError("it names no policy that is known here")
    if policy.value.lower() not in ("", "asc", "desc"):
        raise _UnjudgedError(f"'{policy.value}' is no order")
    if policy.order == "alphabetical":
        return text
    if _NUMBER.fullmatch(text) is None:
        raise _UnjudgedError(f"it orders by numbers, and {tag} gives '{text}'")
    return float(text)


def _taken(title: str, marker: str, policy: ImagePolicy, image: ImageReference) -> Refusal:
    hint = (
        "{narrower}, or deploy a newer good image with {release}; where neither is needed: {accept}"
    )
    return refusal(
        "automation",
        f"{title}: ImagePolicy {marker} ({policy.place}, {one_line(policy.rule, 200)}) would take "
        f"{image.label} again, which was rolled back from",
        shell=hint.replace("{release}", accepted_by("held")),
        jenkins=hint.replace("{release}", accepted_by("held", Place.JENKINS)),
        narrower=_narrower(policy, image),
    )


def _narrower(policy: ImagePolicy, image: ImageReference) -> str:
    """Say how the policy leaves the image out, with the exact range where that is proven."""
    range_ = f"{policy.value} !={image.tag}"
    is_plain = policy.order == "semver" and not (policy.extract or "||" in range_)
    try:
        leaves_out = is_plain and takes_version(range_, image.tag or "") is False
    except UnreadableRangeError:
        leaves_out = False
    if leaves_out:
        return f"narrow the policy in {policy.place} (range: '{range_}')"
    return f"narrow the policy in {policy.place} so that it leaves {image.label} out"


def _unjudged(title: str, marker: str, bad: tuple[ImageReference, ...], reason: str) -> Refusal:
    labels = ", ".join(dict.fromkeys(image.label for image in bad))
    namespace, _, name = marker.partition(":")
    where = f" (kubectl -n {namespace} get imagepolicy {name} -o yaml)"
    hint = "look at it{where}; if it does not take {labels}: {accept}"
    return refusal(
        "automation",
        f"{title}: whether ImagePolicy {one_line(marker, 200)} would take {labels} again, which "
        f"was rolled back from, cannot be judged: {reason}",
        shell=hint,
        jenkins=hint,
        where=where if _OBJECT.fullmatch(marker) else "",
        labels=labels,
    )

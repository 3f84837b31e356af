"""Which tag Flux's image automation takes for a marker, and whether that is a bad image. Pure.

This is the door, by which the rest of the house comes in; queries judge versions as Flux does, too.

Image policies are `ImagePolicy` of `image.toolkit.fluxcd.io`, v1beta1 to v1 (fluxcd/
image-reflector-controller, `docs/spec/v1/imagepolicies.md`, `internal/policy`): of the tags that
match `filterTags.pattern`, or of what `extract` makes of them (Go's `Regexp.Expand`), the highest
by `semver.range`, `alphabetical.order` or `numerical.order`.

The running image's tag is one of them, so a bad image comes back only if its tag matches too and is
not lower. What cannot be judged counts as a refusal that a person may accept.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, regex
from gitops_rollback.manifest.document import lookup, text_of
from gitops_rollback.manifest.objects import objects_of
from gitops_rollback.manifest.patterns import UnreadablePatternError, go_pattern
from gitops_rollback.model import one_line, whole_number
from gitops_rollback.policies.semver_range import (
    UnreadableRangeError,
    takes_version,
    version_of,
)
from gitops_rollback.refusals import Place, Refusal, accepted_by, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.objects import ManifestObject

__all__ = [
    "ImagePolicy",
    "Policies",
    "apply_filter",
    "automation_blocks",
    "find_policies",
    "may_hold_policy",
    "takes_version",
    "version_of",
]

_NUMBER = regex(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_OBJECT = regex(r"[a-z0-9.-]+:[a-z0-9.-]+")
_NO_VERSION = ":name"  # such a marker takes the image's name from its policy, never a version
_GROUP = "image.toolkit.fluxcd.io"
_KIND = "ImagePolicy"
ORDERS = ("semver", "alphabetical", "numerical")
_REFERENCE = regex(r"\$(?:\$|\{(\w+)\}|(\w+))")


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
    if _NUMBER.fullmatch(text) is None or math.isinf(float(text)):
        raise _UnjudgedError(f"it orders by numbers, and {tag} gives '{text}'")
    return float(text)


def _taken(title: str, marker: str, policy: ImagePolicy, image: ImageReference) -> Refusal:
    service, _blank, environment = title.partition(" ")
    hint = "{narrower}, or deploy a newer good image%s; where neither is needed: {accept}"
    return refusal(
        "automation",
        f"{title}: ImagePolicy {marker} ({policy.place}, {one_line(policy.rule, 200)}) would take "
        f"{image.label} again, which was rolled back from",
        service=service,
        environment=environment,
        shell=hint % f": gitops-rollback deploy {{service}} --image IMAGE {accepted_by('held')}",
        jenkins=hint % f" with {accepted_by('held', Place.JENKINS)}",
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


@dataclass(frozen=True)
class ImagePolicy:
    """One image policy and its place; `line` counts from 1.

    `order` is one of `ORDERS`, or empty where the object names none; `value` is the range, or the
    direction (`asc`, `desc`, or empty). `namespace` is empty where kustomize or Flux sets it.
    """

    path: str
    line: int
    namespace: str
    name: str
    order: str
    value: str
    pattern: str = ""
    extract: str = ""

    @property
    def place(self) -> str:
        """Where the policy stands, for people: `path:line`."""
        return f"{self.path}:{self.line}"

    @property
    def rule(self) -> str:
        """What it takes, for people: `semver >=1.0.0`."""
        filtered = f" of tags like {self.pattern}" if self.pattern else ""
        return f"{self.order} {self.value or 'asc'}{filtered}"

    def is_named(self, namespace: str, name: str) -> bool:
        """Tell whether a marker with this namespace and name can mean this policy."""
        return self.name == name and self.namespace in ("", namespace)


@dataclass(frozen=True)
class Policies:
    """The image policies of the repository, and why some files could not be looked into."""

    found: tuple[ImagePolicy, ...] = ()
    unread: tuple[str, ...] = ()

    def named(self, marker: str) -> tuple[ImagePolicy, ...]:
        """Return the policies that a marker's text, `namespace:policy[:part]`, can mean."""
        namespace, _, rest = marker.partition(":")
        name = rest.partition(":")[0]
        return tuple(policy for policy in self.found if policy.is_named(namespace, name))


def may_hold_policy(data: bytes) -> bool:
    """Tell cheaply whether a file is worth parsing for policies."""
    return _KIND.encode() in data


def find_policies(file: ParsedFile) -> tuple[ImagePolicy, ...]:
    """Return the image policies of a file, also those in a `List`."""
    return tuple(
        _policy(item)
        for item in objects_of(file)
        if item.kind == _KIND and item.api_group == _GROUP
    )


def _policy(item: ManifestObject) -> ImagePolicy:
    spec = item.find("spec")
    chosen = lookup(spec, "policy")
    order = next((name for name in ORDERS if lookup(chosen, name) is not None), "")
    key = "range" if order == "semver" else "order"
    value = lookup(lookup(chosen, order), key) if order else None
    filter_ = lookup(spec, "filterTags")
    place = value if value is not None else item.node
    return ImagePolicy(
        path=item.file.path,
        line=place.start_mark.line + 1,
        namespace=item.namespace or "",
        name=text_of(item.find("metadata", "name")) or "",
        order=order,
        value=text_of(value) or "",
        pattern=text_of(lookup(filter_, "pattern")) or "",
        extract=text_of(lookup(filter_, "extract")) or "",
    )


def apply_filter(pattern: str, extract: str, tag: str) -> str | None:
    """Return what a policy orders a tag by, None where the pattern does not match it.

    Raises `UnreadablePatternError` if that cannot be said.
    """
    match = go_pattern(pattern).search(tag)
    if match is None:
        return None
    if not extract:
        return tag
    return _REFERENCE.sub(lambda reference: _expanded(reference, match), extract)


def _expanded(reference: re.Match[str], match: re.Match[str]) -> str:
    """Return what `$name`, `${name}` or `$1` stands for: nothing where there is no such group."""
    name = reference[1] or reference[2]
    if name is None:
        return "$"
    number = whole_number(name)
    key = name if number is None or str(number) != name else number  # `$01` is a name
    try:
        return match[key] or ""
    except IndexError:
        return ""

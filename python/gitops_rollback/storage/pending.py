"""Why a claim stays Pending, and what is surprising about the volume it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.model import some
from gitops_rollback.storage import binding as bound
from gitops_rollback.storage.findings import ERROR, WARNING
from gitops_rollback.storage.suggest import NAME, misspelt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gitops_rollback.storage.binding import Binding
    from gitops_rollback.storage.findings import Finding
    from gitops_rollback.storage.model import Claim, Volume
    from gitops_rollback.storage.values import Steps
    from gitops_rollback.storage.world import World

_STAYS = "the claim stays Pending, and every pod that mounts it"
_DEFAULT = "the cluster has a default class"
_NONE = '""'
_MOST_REASONS = 3
# The field of a claim that a volume does not satisfy.
_FIELDS: dict[str, Steps] = {
    "its labels": ("selector",),
    "its access modes are": ("accessModes",),
    "its volumeMode is": ("volumeMode",),
    "are asked for": ("resources", "requests", "storage"),
    "its class is": ("storageClassName",),
}
# By what a volume lacks, beginning with the one that lacks least.
_MENDS = {
    "its labels": "give a volume the labels of the selector, or leave the selector out",
    bound.REFUSED: "mend the volume: there is none as long as it is refused",
    "it is bound by": "add a volume: each serves one claim",
    "it is kept for": "add a volume, or name this claim in the volume's claimRef",
    "its access modes are": "ask for an access mode that a volume has",
    "its volumeMode is": "write the same volumeMode in claim and volume",
    "are asked for": "ask for no more than a volume has, or make a larger volume",
    "its class is": "write the same storageClassName in claim and volume",
}


def check_bindings(world: World) -> Iterator[Finding]:
    """Yield the findings about claims that do not bind, and volumes that nobody can."""
    told: set[tuple[int, str]] = set()
    for binding in world.bindings:
        key = (id(binding.claim.item), binding.claim.template)
        if binding.claim.request is None or binding.claim.item.is_refused or key in told:
            continue  # what the API server refuses is said where it stands
        found = list(_of_binding(world, binding))
        if found:
            told.add(key)  # the claims of one template have the same story
        yield from found
    for volume in world.volumes:
        yield from _claim_ref(world, volume)


def _of_binding(world: World, binding: Binding) -> Iterator[Finding]:
    if binding.reason in (bound.WAITS, bound.OF_ONE):  # no fault; told at the volume
        return
    match binding.state:
        case bound.PENDING:
            here = bool(world.volumes)
            condition = "" if here else ", unless somebody else makes a volume for it"
            yield _pending(binding, ERROR if here else WARNING, binding.reason, condition)
        case bound.UNKNOWN if binding.claim.volume_name:
            yield _named_volume(world, binding)
        case bound.UNKNOWN:
            yield from _class_unknown(world, binding)
        case bound.BOUND:
            yield from _default_class(world, binding)


def _pending(binding: Binding, severity: str, reason: str, condition: str = "") -> Finding:
    why = some(_nearest(binding), _MOST_REASONS, "; ")
    claim = binding.claim
    return claim.item.finding(
        severity,
        "claim-pending",
        (*claim.steps, *_field(binding)),
        f"{claim.title} binds no volume: {reason}"
        + (f" ({why})" if why and why not in reason else ""),
        effect=f"{_STAYS}{condition}{_event(binding)}",
        mend=_mend(binding),
    )


def _event(binding: Binding) -> str:
    """Return what the cluster says of it, where that is not as plain: `kubectl describe pvc`."""
    wanted = binding.claim.storage_class
    if binding.claim.volume_name or binding.state == bound.PENDING:
        return ""
    if wanted:
        return f'; its event is: storageclass.storage.k8s.io "{wanted}" not found'
    return (
        "; its event is: no persistent volumes available for this claim and no storage class is set"
    )


def _nearest(binding: Binding) -> list[str]:
    """Return why volumes are not taken: those of another class only where there are no others."""
    reasons = list(binding.refused)
    same = [reason for reason in reasons if "its class is" not in reason]
    return same or reasons


def _field(binding: Binding) -> Steps:
    """Return the field of the claim that the nearest volume does not satisfy."""
    reasons = " ".join(_nearest(binding))
    return next((_FIELDS[words] for words in _MENDS if words in reasons and words in _FIELDS), ())


def _mend(binding: Binding) -> str:
    reasons = " ".join(_nearest(binding))
    for words, mend in _MENDS.items():
        if words in reasons:
            return mend
    wanted = binding.claim.storage_class or _NONE
    return f"add a PersistentVolume of class {wanted}, or name a class with a provisioner"


def _class_unknown(world: World, binding: Binding) -> Iterator[Finding]:
    """Tell of a claim whose class is not here, but volumes are that it was probably made for."""
    claim = binding.claim
    wanted = claim.storage_class
    if any(v.storage_class == (wanted or "") for v in world.volumes):
        makes = f"the cluster's class {wanted} makes volumes" if wanted else _DEFAULT
        sure = bool(claim.selector)  # then no class makes a volume for it
        reason = f"none of class {wanted} fits" if wanted else "none fits"
        yield _pending(binding, ERROR, reason, "" if sure else f", unless {makes}")
        return
    free = _free(world)
    fitting = [v for v in free if bound.misfit(v, claim, v.storage_class) is None]
    if fitting:
        first = fitting[0]
        yield claim.item.finding(
            WARNING,
            "class-differs",
            claim.steps,
            f"{claim.title} names {f'class {wanted}' if wanted else 'no class'}, and volume "
            f"{first.name}, which fits and is free, has class {first.storage_class or _NONE}",
            effect="it is not bound: the class makes another volume, or the claim stays Pending",
            mend=f"write storageClassName: {first.storage_class or _NONE} in the claim",
        )
    elif wanted is None and free:
        yield _pending(binding, WARNING, "it names no class", f", unless {_DEFAULT}")


def _free(world: World) -> list[Volume]:
    """Return the volumes that no claim binds, and that are kept for none."""
    taken = {volume.name for binding in world.bindings for volume in binding.volumes}
    return [v for v in world.volumes if v.name not in taken and v.claim_ref is None]


def _named_volume(world: World, binding: Binding) -> Finding:
    claim = binding.claim
    near = misspelt(claim.volume_name, {v.name for v in world.volumes}, NAME)
    return claim.item.finding(
        ERROR if near else WARNING,
        "volume-missing",
        (*claim.steps, "volumeName"),
        f"{claim.title} names volume {claim.volume_name}, which is not in these manifests"
        + (f"; did you mean {near}?" if near else ""),
        effect=f"{_STAYS}, as long as there is no such volume",
        mend=f"write volumeName: {near}" if near else f"add PersistentVolume {claim.volume_name}",
    )


def _default_class(world: World, binding: Binding) -> Iterator[Finding]:
    """Warn of a claim without a class: the cluster may have a default that takes it over."""
    claim, volume = binding.claim, next(iter(binding.volumes), None)
    if volume is None or claim.storage_class is not None or world.storage.default_class:
        return
    if bound.is_kept_for(volume, claim) or claim.volume_name:
        return
    yield claim.item.finding(
        WARNING,
        "default-class",
        claim.steps,
        f"{claim.title} names no class, and is to bind volume {volume.name}, which has none",
        effect="in a cluster with a default class, that one makes another, empty volume",
        mend='write storageClassName: "" in the claim',
    )


def _claim_ref(world: World, volume: Volume) -> Iterator[Finding]:
    if volume.claim_ref is None or any(bound.is_kept_for(volume, c) for c in world.claims):
        return
    namespace, name = volume.claim_ref
    steps: Steps = ("spec", "claimRef")
    severity = ERROR
    near = _near_claim(world, name, namespace) if namespace is not None else None
    kept = f"volume {volume.name} is kept for"
    if volume.claim_uid:
        steps, severity = (*steps, "uid"), WARNING
        what = f"{kept} the one claim that has the uid {volume.claim_uid}"
        effect = (
            "a claim that is made anew, in this cluster or another, has another uid: it stays "
            "Pending, and the volume Released"
        )
        mend = "take uid and resourceVersion out of spec.claimRef"
    elif namespace is None:
        what = f"{kept} claim {name} of no namespace"
        effect = "no claim matches: the volume stays Available, or binds nobody"
        mend = "write spec.claimRef.namespace"
    elif near is not None:
        meant = f"{near.namespace or namespace}/{near.name}"
        what = f"{kept} claim {namespace}/{name}, which is not here; did you mean {meant}?"
        effect = "nobody else binds it, so it stays Available"
        mend = f"write name: {near.name} and namespace: {near.namespace or namespace}"
    else:
        return
    yield volume.item.finding(severity, "claim-ref", steps, what, effect=effect, mend=mend)


def _near_claim(world: World, name: str, namespace: str) -> Claim | None:
    same = [claim for claim in world.claims if claim.name == name]
    if same:
        return same[0]
    near = misspelt(name, {c.name for c in world.claims if c.namespace in (None, namespace)}, NAME)
    return next((claim for claim in world.claims if claim.name == near), None)

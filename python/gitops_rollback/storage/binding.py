"""Which claim binds which volume, as the PersistentVolume controller and the scheduler decide.

The rules are those of `syncUnboundClaim`, `checkVolumeSatisfyClaim` and `findByClaim` in
kubernetes/kubernetes, pkg/controller/volume/persistentvolume, and of `FindMatchingVolume` in
k8s.io/component-helpers, storage/volume, release 1.36; `tests/flux` compares them with a real
controller. Nothing is known of the cluster but what the manifests say. Why a claim stays Pending,
and what is surprising about the volume it gets, is told here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.objects import selects
from gitops_rollback.model import some
from gitops_rollback.storage.kubernetes import NAME, misspelt
from gitops_rollback.storage.model import ERROR, NO_PROVISIONER, WARNING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gitops_rollback.storage.kubernetes import Steps
    from gitops_rollback.storage.model import Claim, Finding, StorageClass, Volume
    from gitops_rollback.storage.mounts import World

BOUND, PROVISIONED, PENDING, UNKNOWN = "bound", "provisioned", "pending", "unknown"
REFUSED = "the API server refuses it as it is written"
OF_ONE = "a volume is kept for the one claim of this name that has a certain uid"
WAITS = "its class waits for the first pod that mounts it, and no pod here does"
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
    REFUSED: "mend the volume: there is none as long as it is refused",
    "it is bound by": "add a volume: each serves one claim",
    "it is kept for": "add a volume, or name this claim in the volume's claimRef",
    "its access modes are": "ask for an access mode that a volume has",
    "its volumeMode is": "write the same volumeMode in claim and volume",
    "are asked for": "ask for no more than a volume has, or make a larger volume",
    "its class is": "write the same storageClassName in claim and volume",
}


@dataclass(frozen=True)
class Binding:
    """What becomes of a claim: `state`, the volume it binds, and why.

    `bound` to `volume`; `provisioned` by its class; `pending`, for `reason`; `unknown` where its
    class is not in the manifests, so that it depends on the cluster. `refused` tells of each volume
    that comes near why it is not taken. `either` are the volumes of which it binds one, where the
    controller decides by chance which; `volume` is None then.
    """

    claim: Claim
    state: str
    reason: str
    volume: Volume | None = None
    refused: tuple[str, ...] = ()
    either: tuple[Volume, ...] = ()

    @property
    def volumes(self) -> tuple[Volume, ...]:
        """The volumes that can become the claim's."""
        return (self.volume,) if self.volume is not None else self.either


@dataclass(frozen=True)
class Storage:
    """The storage that some manifests make; `used` are (namespace, name) of mounted claims."""

    volumes: Sequence[Volume]
    claims: Sequence[Claim]
    classes: Mapping[str, StorageClass]
    used: frozenset[tuple[str | None, str]] = frozenset()

    @property
    def default_class(self) -> StorageClass | None:
        """The default class, if the manifests have one, and no second one, made later."""
        found = [c for c in self.classes.values() if c.is_default]
        return found[0] if len(found) == 1 else None


def bind(storage: Storage) -> tuple[Binding, ...]:
    """Return what becomes of each claim, in their order; one volume serves one claim."""
    taken: dict[str, Claim] = {}
    bindings: dict[int, Binding] = {}
    for index in _order(storage):
        binding = _bind(storage.claims[index], storage, taken)
        if binding.volume is not None:
            taken[binding.volume.name] = binding.claim
        bindings[index] = binding
    return tuple(_by_chance([bindings[index] for index in range(len(storage.claims))]))


@dataclass(frozen=True)
class _Lot:
    """Claims among which it is chance which of the same volumes each binds."""

    claims: frozenset[int]
    volumes: dict[str, Volume]
    sets: frozenset[tuple[int, str]]


def _by_chance(bindings: list[Binding]) -> Iterator[Binding]:
    """Say of claims that nobody can know which of some volumes they bind.

    Volumes that are equally good are taken as they come; and the claims of one template
    whose pods start in parallel, as all but some StatefulSets' do, ask for the same at one moment.
    """
    lots: list[_Lot] = []
    for index, one in enumerate(bindings):
        volumes = {volume.name: volume for volume in (one.volume, *one.either) if volume}
        sets = frozenset({(id(one.claim.item), one.claim.template)} if _races(one) else ())
        near = [lot for lot in lots if lot.volumes.keys() & volumes or lot.sets & sets]
        lots = [lot for lot in lots if lot not in near]
        for lot in near:
            volumes = lot.volumes | volumes
            sets |= lot.sets
        lots.append(_Lot(frozenset({index}).union(*(lot.claims for lot in near)), volumes, sets))
    drawn = {index: lot for lot in lots for index in lot.claims if len(lot.volumes) > 1}
    for index, one in enumerate(bindings):
        if index not in drawn or one.volume is None:
            yield replace(one, either=())
            continue
        found = sorted(drawn[index].volumes.values(), key=lambda volume: volume.name)
        names = " or ".join(volume.name for volume in found)
        yield replace(one, volume=None, either=tuple(found), reason=f"binds either {names}")


def _races(binding: Binding) -> bool:
    claim = binding.claim
    item = claim.item
    is_parallel = (
        item.kind != "StatefulSet" or item.get("spec", "podManagementPolicy") == "Parallel"
    )
    kept = binding.volume is not None and is_kept_for(binding.volume, claim)
    return bool(claim.template) and is_parallel and not kept


def _as_good(matching: list[Volume], best: Volume, claim: Claim, *, waits: bool) -> list[Volume]:
    """Return the volumes that may be taken instead: equal ones, and on each node the best there.

    The controller goes through them in no order; the scheduler chooses a node first.
    """
    if is_kept_for(best, claim):
        return []
    nodes: dict[str, list[Volume]] = {}
    for one in matching:
        where = repr(one.item.get("spec", "nodeAffinity")) if waits else ""
        nodes.setdefault(where, []).append(one)

    def rank(volume: Volume) -> tuple[object, ...]:
        return _preference(volume, claim, waits=waits)[:-1]

    return [one for there in nodes.values() for one in there if rank(one) == min(map(rank, there))]


def is_kept_for(volume: Volume, claim: Claim) -> bool:
    """Tell whether a volume names a claim; where no namespace is written, any may be meant.

    One that names it by its uid too is another's, unless that is the very claim.
    """
    return not volume.claim_uid and _is_named_by(volume, claim)


def _is_named_by(volume: Volume, claim: Claim) -> bool:
    if volume.claim_ref is None:
        return False
    namespace, name = volume.claim_ref
    return name == claim.name and namespace is not None and claim.namespace in (None, namespace)


def effective_class(claim: Claim, storage: Storage) -> str | None:
    """Return the class that counts: the claim's, else the default's; None if that is not known."""
    if claim.storage_class is not None:
        return claim.storage_class
    default = storage.default_class
    return default.name if default else None


def misfit(volume: Volume, claim: Claim, wanted: str) -> str | None:
    """Return why a volume does not satisfy a claim, in the controller's order; None if it does."""
    if volume.capacity is None or claim.request is None:
        return "its size is not known"
    if volume.capacity < claim.request:
        has = volume.item.get("spec", "capacity", "storage")
        asked = claim.item.get(*claim.steps, "resources", "requests", "storage")
        return f"it has {has}, and {asked} are asked for"
    if volume.storage_class != wanted:
        return f"its class is {_quoted(volume.storage_class)}, not {_quoted(wanted)}"
    return _other_misfit(volume, claim)


def _other_misfit(volume: Volume, claim: Claim) -> str | None:
    if volume.attributes_class != claim.attributes_class:
        return "its volumeAttributesClassName is another"
    if volume.volume_mode != claim.volume_mode:
        return f"its volumeMode is {volume.volume_mode}, not {claim.volume_mode}"
    if not claim.modes <= volume.modes:
        have, want = (", ".join(sorted(m)) or "none" for m in (volume.modes, claim.modes))
        return f"its access modes are {have}, and {want} is asked for"
    return None


def _order(storage: Storage) -> list[int]:
    """Those come first that a volume names, then those that name one."""
    kept = {i for i, c in enumerate(storage.claims) for v in storage.volumes if is_kept_for(v, c)}
    return sorted(
        range(len(storage.claims)),
        key=lambda i: (i not in kept, not storage.claims[i].volume_name, i),
    )


def _bind(claim: Claim, storage: Storage, taken: Mapping[str, Claim]) -> Binding:
    if claim.item.is_refused:
        return Binding(claim, PENDING, REFUSED)
    if any(one.claim_uid and _is_named_by(one, claim) for one in storage.volumes):
        return Binding(claim, UNKNOWN, OF_ONE)
    if claim.volume_name:
        return _bind_named(claim, storage, taken)
    known = effective_class(claim, storage)
    wanted = known or ""
    matching = [v for v in storage.volumes if _why_not(v, claim, wanted, taken) is None]
    if matching:
        waits = _waits(wanted, storage)
        best = min(matching, key=lambda v: _preference(v, claim, waits=waits))
        if waits and not is_kept_for(best, claim) and not _is_used(claim, storage):
            return Binding(claim, PENDING, WAITS)
        either = _as_good(matching, best, claim, waits=waits)
        return Binding(claim, BOUND, f"binds {best.name}", best, either=tuple(either))
    refused = tuple(
        f"{volume.name}: {_why_not(volume, claim, wanted, taken)}" for volume in storage.volumes
    )
    return _without_volume(claim, storage, known, refused)


def _bind_named(claim: Claim, storage: Storage, taken: Mapping[str, Claim]) -> Binding:
    volume = next((v for v in storage.volumes if v.name == claim.volume_name), None)
    if volume is None:
        return Binding(claim, UNKNOWN, f"volume {claim.volume_name}, which it names, is not here")
    is_done = claim.is_completed and volume.claim_ref is None and volume.name not in taken
    if (is_kept_for(volume, claim) or is_done) and not volume.item.is_refused:
        return Binding(claim, BOUND, f"binds {volume.name}", volume)
    why = _others(volume, claim, taken) or misfit(
        volume, claim, effective_class(claim, storage) or ""
    )
    if why is None:
        return Binding(claim, BOUND, f"binds {volume.name}", volume)
    reason = f"it names volume {volume.name}, which does not fit: {why}"
    return Binding(claim, PENDING, reason, refused=(f"{volume.name}: {why}",))


def _without_volume(
    claim: Claim, storage: Storage, known: str | None, refused: tuple[str, ...]
) -> Binding:
    """Say what becomes of a claim that no volume fits."""
    if known == "":
        return Binding(claim, PENDING, 'class "" takes no new volumes', refused=refused)
    if known is None:
        reason = "no volume here fits, and the cluster's default class decides"
        return Binding(claim, UNKNOWN, reason, refused=refused)
    found = storage.classes.get(known)
    if found is None:
        reason = f"no volume here fits, and class {known} is not here"
        return Binding(claim, UNKNOWN, reason, refused=refused)
    why = _makes_none(found, claim, storage)
    if why is not None:
        return Binding(claim, PENDING, why, refused=refused)
    return Binding(claim, PROVISIONED, f"{found.provisioner} makes a volume", refused=refused)


def _makes_none(found: StorageClass, claim: Claim, storage: Storage) -> str | None:
    """Return why a class makes no volume for a claim; None if it does."""
    if found.provisioner == NO_PROVISIONER:
        return f"class {found.name} makes no volumes ({NO_PROVISIONER})"
    if claim.selector:
        return "a claim with a selector is given no new volume"
    return WAITS if found.waits and not _is_used(claim, storage) else None


def _why_not(volume: Volume, claim: Claim, wanted: str, taken: Mapping[str, Claim]) -> str | None:
    """Return why the controller does not choose a volume for a claim that names none."""
    other = _others(volume, claim, taken)
    if other is not None:
        return other
    # A volume that names the claim is taken whatever its class and labels are.
    why = misfit(volume, claim, volume.storage_class if is_kept_for(volume, claim) else wanted)
    if (
        why is None
        and not is_kept_for(volume, claim)
        and not selects(claim.selector or {}, volume.labels)
    ):
        return "its labels are not those that the selector wants"
    return why


def _others(volume: Volume, claim: Claim, taken: Mapping[str, Claim]) -> str | None:
    if volume.item.is_refused:
        return REFUSED
    if volume.name in taken:
        return f"it is bound by claim {taken[volume.name].name}"
    if volume.claim_ref is not None and not is_kept_for(volume, claim):
        namespace, name = volume.claim_ref
        number = f" of the uid {volume.claim_uid}" if volume.claim_uid else ""
        return f"it is kept for claim {namespace or '(no namespace)'}/{name}{number}"
    return None


def _preference(volume: Volume, claim: Claim, *, waits: bool) -> tuple[object, ...]:
    """Order volumes: by few access modes, then by size; for the scheduler by size alone."""
    modes = 0 if waits else len(volume.modes)
    return (modes, not is_kept_for(volume, claim), volume.capacity, volume.name)


def _waits(wanted: str, storage: Storage) -> bool:
    found = storage.classes.get(wanted)
    return found is not None and found.waits


def _is_used(claim: Claim, storage: Storage) -> bool:
    return bool(claim.template) or (claim.namespace, claim.name) in storage.used


def _quoted(name: str) -> str:
    return name or '""'


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
    if binding.reason in (WAITS, OF_ONE):  # no fault; told at the volume
        return
    if binding.state == PENDING:
        here = bool(world.volumes)
        condition = "" if here else ", unless somebody else makes a volume for it"
        yield _pending(binding, ERROR if here else WARNING, binding.reason, condition)
    elif binding.state == UNKNOWN and binding.claim.volume_name:
        yield _named_volume(world, binding)
    elif binding.state == UNKNOWN:
        yield from _class_unknown(world, binding)
    elif binding.state == BOUND:
        yield from _default_class(world, binding)


def _pending(binding: Binding, severity: str, reason: str, condition: str) -> Finding:
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
    if binding.claim.volume_name or binding.state == PENDING:
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
    fitting = [v for v in free if misfit(v, claim, v.storage_class) is None]
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
    if is_kept_for(volume, claim) or claim.volume_name:
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
    if volume.claim_ref is None or any(is_kept_for(volume, c) for c in world.claims):
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

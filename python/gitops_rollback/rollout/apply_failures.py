"""What Flux says when it cannot apply a revision, as a failure with a name. Pure.

The messages are those of kustomize-controller v1.7 to v1.9 and of the API server behind it.
"""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING

from gitops_rollback.late import regex
from gitops_rollback.rollout.appliers import NOT_YET
from gitops_rollback.rollout.pod_failures import refuses_image
from gitops_rollback.rollout.standing import FOREVER, IN_STEP, Failure, Whose, go_back, short
from gitops_rollback.rollout.target import parts_of

if TYPE_CHECKING:
    from gitops_rollback.rollout.appliers import Reconciler, Source
    from gitops_rollback.rollout.target import Target
    from gitops_rollback.rollout.workloads import Workload

HEALTH_REASON = "HealthCheckFailed"
# What comes after all was applied (kustomize-controller:internal/controller, `reconcile`).
APPLIED_REASONS = frozenset({HEALTH_REASON, "PruneFailed"})
_OBJECT = r"(?P<object>[A-Z][A-Za-z0-9]*(?:/[a-z0-9][a-z0-9.:-]*){1,2})"
_DRY_RUN = regex(
    rf"^{_OBJECT} dry-run failed(?:, reason: \w+(?:, error)?| \(\w+\))?:? (?P<rest>.*)$"
)
_NO_NAMESPACE = regex(rf'^{_OBJECT} not found: namespaces "(?P<namespace>[^"]*)" not found')
_INVALID = regex(r" is invalid: \[?(?P<field>[\w.\[\]/()-]+): (?P<why>.*)$")
_TYPED = regex(
    r"typed patch object \([^)]*\):(?: errors:)? \.?(?P<field>[\w.\[\]=\"-]+): (?P<why>.*)$"
)
_CONVERT = regex(r"unable to convert unstructured object to [^:]*: (?P<why>.*)$")
_NO_KIND = regex(r'no matches for kind "(?P<kind>[^"]*)" in version "(?P<version>[^"]*)"')
_FILE = regex(r"from (?:/\S*?/kustomization-[0-9a-z]+/)?(?P<path>[^\s:]+): (?P<why>.*)$")
_UNDER_TEMPORARY = regex(r"/\S*?/kustomization-[0-9a-z]+/")
_UNHEALTHY = regex(rf"{_OBJECT} status: '(?P<status>\w+)'")
# As sentences have it: files, fields and objects are called `timeout` or `unavailable`, too.
PASSING = regex(
    r"connection refused|connection reset|\btimed out\b|(i/o|handshake|request|gateway) timeout|"
    r"timeout (exceeded|waiting)|(^|: )timeout: |requested timeout|deadline exceeded|"
    r"no endpoints available|(: |unexpected )EOF\b|TLS handshake|too many requests|"
    r"object has been modified|etcdserver: |(service|code =|currently) ?unavailable|"
    r"unable to handle the request|artifact not found|retrying in|failed calling webhook",
    re.IGNORECASE,
)
_NO_RIGHT = regex(r'forbidden: User "(?P<who>[^"]*)" cannot (?P<what>\w+ resource "[^"]*")')
_ACCESS = regex(
    r"authenticat|authoriz|permission denied|access denied|repository not found|"
    r"could not find|couldn't find|reference not found|\b40[134]\b",
    re.IGNORECASE,
)
_STUCK_PATIENCE = 10.0  # seconds: the change may take it out itself
_GONE_PATIENCE = 15.0  # seconds: what is made anew is deleted first
_IMMUTABLE = "field is immutable"
# How to change what the API server changes in no object that is there, and to keep its data.
_ANEW = {
    "PersistentVolumeClaim": "make another claim, and copy the data: with this one they may go",
    "PersistentVolume": "make another volume: what is deleted here may take its data with it",
    "StatefulSet": "delete it and leave its pods and claims: kubectl --namespace {} delete "
    "statefulset {} --cascade=orphan",
}
_ENDING = "is being terminated"
_KEY = regex(r"decrypt|sops", re.IGNORECASE)
_SIGNATURE = "signature verification"
_RETRY = "Flux tries again by itself, with the same result until this is changed"
UNTOUCHED = "what ran before goes on running"


def apply_failure(target: Target, by: Reconciler) -> Failure:
    """Name why a Kustomization does not apply the change; it is in `by.ready`."""
    message = by.ready.message
    if by.ready.reason == NOT_YET:
        why = f" ({by.held_by})" if by.held_by else ""
        look = f"flux get {by.name.kind.lower()}s --all-namespaces"
        hint = f"resume it, or take it out of dependsOn: {look}" if by.is_stuck else look
        return _cluster("dependency", f"{by.name} waits for another one: {message}{why}", hint,
                        _STUCK_PATIENCE if by.is_stuck else FOREVER)  # fmt: skip
    if PASSING.search(message) and not _INVALID.search(message):
        return _cluster(
            "apply", f"{by.name} could not be applied: {message}",
            "this can pass by itself; if it lasts, ask who runs the cluster", FOREVER,
        )  # fmt: skip
    if by.ready.reason == "BuildFailed":
        return _build_failure(target, by)
    right, found = _NO_RIGHT.search(message), _DRY_RUN.match(message)
    if found and not right:
        return _dry_run(target, found["object"], found["rest"])
    found = _NO_NAMESPACE.match(message)
    if found:
        return _of_object(
            target, "namespace", found["object"], "metadata.namespace",
            f"the namespace {found['namespace']} does not exist",
            "create the namespace, or mend metadata.namespace",
        )  # fmt: skip
    hint = f"kubectl -n {by.name.namespace} describe kustomization {by.name.name} tells more"
    if right:
        hint = f"give {right['who']}, by which it applies, the right to {right['what']}"
    return _cluster("apply", f"{by.name} could not be applied: {by.ready.reason}: {message}", hint)


def unhealthy_objects(message: str) -> tuple[str, ...]:
    """Return the objects that a failed health check names: `Deployment/default/web`."""
    return tuple(found["object"] for found in _UNHEALTHY.finditer(message))


def ended_early(message: str) -> bool:
    """Tell whether a health check ended before its time, for what seemed never to become ready.

    It counts every pod of a workload: those that crashed with the image before as well, which are
    still there in the moment in which another one is applied (fluxcd/cli-utils:pkg/kstatus/polling/
    statusreaders, `readStatus`; fluxcd/pkg:ssa/manager_wait.go). The pods themselves tell more.
    """
    return "failed early due to stalled resources" in message


def health_failure(
    by: Reconciler, objects: tuple[str, ...], *, ours: bool, by_image: bool
) -> Failure:
    """Name a failed health check, where the pods themselves tell no more.

    The service's own claim or Ingress may be what is not ready: no other image helps that.
    """
    named = ", ".join(objects) or "what it applied"
    return Failure(
        code="health",
        message=f"{by.name} failed its health check: {named} did not become ready in time",
        hint="look at the pods of it, and at their events",
        whose=Whose.OURS if ours else Whose.OTHER,
        object=named,
        by_image=by_image,
        retries="Flux checks again by itself",
        patience=0.0 if ours else FOREVER,
    )


def source_failure(source: Source) -> Failure:
    """Name why a GitRepository does not fetch."""
    said = source.ready.message
    unsigned = said.startswith(_SIGNATURE)
    lasting = unsigned or (_ACCESS.search(said) and not PASSING.search(said))
    hint = "look at the credentials and the address of the GitRepository"
    if unsigned:  # by whoever pushes: this command signs where git is set up to (commit.gpgSign)
        hint = "it takes signed commits only (spec.verify): sign them, by a key that it knows"
    return Failure(
        code="source",
        message=short(f"{source.name} cannot fetch {source.url}: {said}"),
        hint=f"{hint}; nothing is applied until it can fetch",
        whose=Whose.CLUSTER,
        object=str(source.name),
        retries="Flux tries again by itself",
        serving=UNTOUCHED,
        patience=10.0 if lasting else FOREVER,
    )


def suspended(what: Reconciler | Source) -> Failure:
    """Name a suspended object: nothing goes on until it is resumed."""
    kind = {"GitRepository": "source git", "HelmRelease": "helmrelease"}.get(
        what.name.kind, "kustomization"
    )
    return Failure(
        code="suspended",
        message=f"{what.name} is suspended: it applies nothing until somebody resumes it",
        hint=f"flux resume {kind} {what.name.name} --namespace {what.name.namespace}",
        whose=Whose.CLUSTER,
        object=str(what.name),
        serving=UNTOUCHED,
        patience=IN_STEP,
    )


def leaving(what: Reconciler | Source | Workload) -> Failure:
    """Name an object that is being deleted: nothing more comes of it, and something keeps it."""
    name = what.name
    return Failure(
        code="missing",
        message=f"{name} is being deleted, and is still there: nothing more comes of it",
        hint="see what keeps it, and whether it is to be made anew: kubectl --namespace "
        f"{name.namespace} get {name.kind.lower()} {name.name} -o yaml (metadata.finalizers)",
        whose=Whose.CLUSTER,
        object=str(name),
        patience=_GONE_PATIENCE,
    )


def unheard(target: Target, what: Reconciler | Source) -> Failure:
    """Name an object that nobody has looked at, though it was asked to, or has something to do."""
    who = "source-controller" if what.name.kind == "GitRepository" else "kustomize-controller"
    return Failure(
        code="timeout",
        message=f"{what.name} does not begin",
        hint=f"see whether {who} runs, and takes what has such a label (sharding.fluxcd.io/key): "
        "kubectl --namespace flux-system get pods; then wait on: "
        + target.look_on(f"--commit {target.commit}"),
        whose=Whose.CLUSTER,
        object=str(what.name),
        patience=FOREVER,
    )


def _build_failure(target: Target, by: Reconciler) -> Failure:
    said = _UNDER_TEMPORARY.sub("", by.ready.message)
    found = _FILE.search(by.ready.message)
    path = found["path"] if found else ""
    why = found["why"].removesuffix(" <nil>") if found else said
    where = path or str(by.name)
    hint = "mend the kustomization in the repository: kustomize build tells more"
    if _KEY.search(said):
        hint = "see whether the Kustomization has the key (spec.decryption), and what is encrypted "
        hint += "for it; another image does not help"
    elif path:
        hint = f"mend {where} in the repository (git log -- {quote(path)} tells who changed it)"
    return Failure(
        code="build",
        message=short(f"{by.name} cannot be built: {where}: {why}"),
        hint=hint,
        whose=Whose.OURS if path in target.paths else Whose.OTHER,
        object=where,
        retries=_RETRY,
        serving=UNTOUCHED,
    )


def _dry_run(target: Target, name: str, rest: str) -> Failure:
    """Name what the API server refused of an object, and on which field."""
    for pattern in (_INVALID, _TYPED):
        found = pattern.search(rest)
        if found:
            why = found["why"].rstrip("]")
            if why.endswith(_IMMUTABLE):  # after all of what it would become
                why = _IMMUTABLE
            return _of_object(target, "invalid", name, found["field"], why, _hint_for(name, why))
    found = _NO_KIND.search(rest)
    if found:
        return _of_object(
            target, "unknown-kind", name, "kind",
            f"the cluster knows no kind {found['kind']} in {found['version']}",
            "install its CustomResourceDefinition first, or mend apiVersion and kind",
        )  # fmt: skip
    found = _CONVERT.search(rest)
    why = found["why"] if found else rest
    if why.endswith(_ENDING):
        hint = "see what keeps the namespace from its end: kubectl get namespace -o yaml (status)"
        return _of_object(target, "namespace", name, "metadata.namespace", why, hint)
    return _of_object(target, "invalid", name, "", why, _hint_for(name, why))


def _hint_for(name: str, why: str) -> str:
    if "immutable" in why or "updates to statefulset spec" in why:
        kind, space, own = parts_of(name)
        anew = _ANEW.get(kind)
        change = f"delete {name} first" if anew is None else anew.format(space, own)
        return f"put the field back as it was; to really change it, {change}"
    if "can not be less than" in why or "does not support shrinking" in why:
        return "put the size back as it was: a claim cannot shrink, and images are not to blame"
    if "field not declared in schema" in why:
        return "remove the field, or mend its name or level"
    if "quota" in why:
        return "ask for more quota, or take something else away"
    return "mend the manifest: an edit of the image alone did not cause it"


def _of_object(target: Target, code: str, name: str, field: str, why: str, hint: str) -> Failure:
    ours = target.owns(name)
    where = f"{name}: {field}" if field else name
    policy = ours and refuses_image(target, why)
    image = field.rpartition(".")[2] == "image" or policy
    if why == _IMMUTABLE and field == "spec.template" and target.holds_image(name):
        image = True  # of a Job
        hint = f"its image cannot change: delete {name}, and Flux makes it anew; {go_back(target)}"
    elif image:
        hint = "mend the image reference"
    if policy:
        code = "policy"
        hint = f"a policy refuses this image: sign it, or use one that it allows; {go_back(target)}"
    return Failure(
        code=code,
        message=short(f"{where}: {why}"),
        hint=hint,
        whose=Whose.OURS if ours else Whose.OTHER,
        object=name,
        field=field,
        by_image=ours and image,
        retries=_RETRY,
        serving=UNTOUCHED,
    )


def _cluster(code: str, message: str, hint: str, patience: float = 0.0) -> Failure:
    return Failure(
        code, short(message), hint, Whose.CLUSTER, retries="Flux tries again by itself",
        serving=UNTOUCHED, patience=patience,
    )  # fmt: skip

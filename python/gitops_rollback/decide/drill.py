"""Would a rollback work, and stay? What a drill found out, judged; and which builds that needs."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from gitops_rollback.clock import age, days_between
from gitops_rollback.decide.candidates import from_timeline
from gitops_rollback.decide.choose import LOST
from gitops_rollback.effective.proof import BUILD, RESTORED
from gitops_rollback.errors import UsageError
from gitops_rollback.image import step
from gitops_rollback.late import dataclass
from gitops_rollback.ledger.events import ARTIFACT
from gitops_rollback.ledger.holds import bad_match
from gitops_rollback.ledger.stack import build_timeline
from gitops_rollback.model import EDIT, by_whom, one_line, some, told_why
from gitops_rollback.refusals import ALREADY
from gitops_rollback.services.config import FILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback import storage
    from gitops_rollback.decide.plan import Candidate, Plan
    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.forges.rules import Obstacle
    from gitops_rollback.ledger.state import State
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.model import Build

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"
_LONGEST_HOLD = 7.0  # days
_OF_A_SERVICE = frozenset(("service", "target"))  # checks whose subject is a service by its title
_NOTHING_BEFORE = "nothing ran before what runs now: there is nothing to go back to yet"
_PROVED = {
    BUILD: "a rollback takes effect: {0.tool} {0.version} built it",
    RESTORED: "a rollback restores what was in effect: nothing of it changed since the image ran",
}
RECORDS_WANTED = 5  # deployments that a rollback should be able to go back by
BUILDS_LISTED = 100  # builds that are listed at most; of older ones nothing is known


@dataclass(frozen=True)
class Finding:
    """What one check found; `category` is that of the error a rollback would end with."""

    check: str
    subject: str
    level: str
    message: str
    hint: str = ""
    category: str = "config"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in results."""
        found = {
            "check": self.check,
            "subject": self.subject,
            "level": self.level,
            "message": self.message,
        }
        return {**found, **({"hint": self.hint} if self.hint else {})}


def failed(check: str, subject: str, error: GitopsRollbackError) -> Finding:
    """Return the finding of a check that ended with an error."""
    return Finding(check, subject, FAILED, error.message, error.hint, error.category)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return each finding once: what fails a rollback first, what was not asked last."""
    levels = (FAILED, WARNING, OK, SKIPPED)
    return sorted(dict.fromkeys(findings), key=lambda finding: levels.index(finding.level))


def verdict(findings: Iterable[Finding]) -> str:
    """Return `failed`, `warnings` or `ok`: the worst that was found."""
    levels = {finding.level for finding in findings}
    if FAILED in levels:
        return "failed"
    return "warnings" if WARNING in levels else "ok"


def summary(findings: Sequence[Finding], plans: Sequence[Plan]) -> str:
    """Say in one line how a rollback of each service would end; `plans` are those of its services.

    A service that never ran anything else could not go back, though nothing is wrong with it: a
    line that calls that a success would contradict what stands below it.
    """
    titles = {plan.title for plan in plans}
    titles |= {one.subject for one in findings if one.check in _OF_A_SERVICE}
    faults = [one for one in findings if one.level == FAILED]
    if faults:
        broken = {one.subject for one in faults} & titles
        if len(broken) < len({one.subject for one in faults}):
            first = next(one for one in faults if one.subject not in titles)
            return f"a rollback would fail: {first.subject}: {first.message}"
        return f"a rollback would fail: {len(broken)} of {_services(len(titles))} could not go back"
    ways = [plan for plan in plans if plan.chosen is not None]
    new = [plan for plan in plans if plan.chosen is None and plan.hold is None]
    kept = len(plans) - len(ways) - len(new)
    mind = any(one.level == WARNING and not _is_new(one) for one in findings)
    parts = [f"{_services(len(ways))} could go back"] if ways else []
    if kept:
        parts.append(f"{_counted(kept, parts)} back as far as anybody knows, and held")
    if new:
        parts.append(f"{_counted(len(new), parts, 'has', 'have')} nothing to go back to yet")
    answer = "a rollback would work" if ways or kept else "a rollback would not work yet"
    if not parts:
        parts = ["no service that can be read is here"]
    return f"{answer}: {'; '.join(parts)}{', with warnings' if mind else ''}"


def _services(number: int) -> str:
    return f"{number} service{'' if number == 1 else 's'}"


def _counted(number: int, before: Sequence[str], one: str = "is", more: str = "are") -> str:
    """`2 services have`; behind another part `2 have`."""
    return f"{number if before else _services(number)} {one if number == 1 else more}"


def _is_new(finding: Finding) -> bool:
    return finding.check == "target" and finding.message == _NOTHING_BEFORE


def judge_flux(
    kustomizations: Sequence[Mapping[str, Any]], paths: Iterable[str]
) -> tuple[Finding, ...]:
    """Judge the Kustomizations of a cluster that apply some files: would a commit be applied."""
    manifests = tuple(paths)
    found = [one for one in kustomizations if _applies(one, manifests)]
    findings = [finding for one in found for finding in _standing(one)]
    return tuple(findings) or (
        Finding("flux", "cluster", OK, f"answers; {len(found)} Kustomizations apply these files"),
    )


def _applies(kustomization: Mapping[str, Any], paths: Iterable[str]) -> bool:
    text = str((kustomization.get("spec") or {}).get("path") or "")
    folder = "/".join(part for part in text.split("/") if part not in ("", "."))
    return any(not folder or path.startswith(f"{folder}/") for path in paths)


def _standing(kustomization: Mapping[str, Any]) -> Iterator[Finding]:
    metadata = kustomization.get("metadata") or {}
    name = one_line(f"{metadata.get('namespace')}/{metadata.get('name')}", 120)
    if (kustomization.get("spec") or {}).get("suspend") is True:
        message = "is suspended: Flux would not apply a rollback"
        space, _slash, own = map(quote, name.partition("/"))
        hint = f"flux resume kustomization {own} --namespace {space}"
        yield Finding("flux", name, WARNING, message, hint)
        return
    conditions = (kustomization.get("status") or {}).get("conditions") or ()
    ready: Mapping[str, Any] = next((c for c in conditions if c.get("type") == "Ready"), {})
    if ready.get("status") == "False":
        message = f"is not ready: {one_line(str(ready.get('message')), 300)}"
        hint = "mend that first: Flux applies nothing of it until then"
        yield Finding("flux", name, WARNING, message, hint, "cluster")


def judge_push(subject: str, against: Sequence[Obstacle] | None, why_not: str) -> Finding:
    """Judge the rules that a push would not meet, where the server lets these credentials push.

    None where nobody told them, for `why_not`.
    """
    may = "these credentials may push"
    if against is None:
        return Finding("push", subject, OK, f"{may}; {why_not}")
    if not against:
        return Finding("push", subject, OK, f"{may}, and no rule of the branch is against it")
    hint = "let this account pass the rules by, or meet them: by night the push is refused"
    if all(obstacle.by_proposal for obstacle in against):
        hint = "ask for a merge with --pull-request, or let this account pass the rules by"
    text = "; ".join(obstacle.text for obstacle in against)
    return Finding("push", subject, WARNING, text, hint, "repository")


def judge_sets(
    where: str,
    sets: Mapping[str, Sequence[str]],
    absent: Mapping[str, Finding],
    *,
    is_only: bool,
) -> Iterator[Finding]:
    """Judge the sets of which some services are in an environment, and others are `absent` there.

    A set with none there is not meant for it, unless it is the only one.
    """
    for name, members in sets.items():
        missing = [absent[member] for member in members if member in absent]
        if is_only or len(missing) < len(members):
            for one in missing:
                message = f"{one.message}; a rollback of the set in {where} would fail"
                yield Finding("service", f"set {name}", WARNING, message, one.hint)


def judge_registry(registry: str, problem: str) -> Finding:
    """Judge what kept a registry from telling of a running image; nothing did if it is empty."""
    if not problem:
        return Finding("registry", registry, OK, "answers with these credentials")
    hint = "look at its credentials and at the network; a rollback goes on, unverified"
    return Finding("registry", registry, WARNING, problem, hint, "registry")


def judge_limit(host: str, told: str, *, is_near: bool) -> Finding:
    """Judge how many more requests a registry allows."""
    if not is_near:
        return Finding("limit", host, OK, told)
    hint = "log in (an account has a higher limit), or wait until it is reset"
    return Finding("limit", host, WARNING, told, hint, "registry")


def judge_builds(found: Iterable[storage.Finding]) -> Iterator[Finding]:
    """Judge what is known of the builds that hold records; a note is that nobody was asked."""
    for one in found:
        level = SKIPPED if one.is_note else WARNING
        yield Finding("builds", one.subject, level, f"{one.message}; {one.effect}", one.mend)


def judge_storage(subject: str, found: Iterable[storage.Finding], unread: str) -> Iterator[Finding]:
    """Judge what would hinder pods or lose data; `unread` says why nothing was looked at."""
    if unread:
        hint = "gitops-rollback check --storage FOLDER looks at the files of a clone"
        yield Finding("storage", subject, SKIPPED, f"not looked at: {unread}", hint)
        return
    risks = [one for one in found if not one.is_note]
    if not risks:
        yield Finding("storage", subject, OK, "nothing is at risk")
    for one in risks:
        message = f"{one.place}: {one.message}; {one.effect}"
        yield Finding("storage", one.subject or subject, WARNING, message, one.mend, "manifest")


def judge_service(
    plan: Plan,
    state: State,
    fields: Iterable[ImageField],
    present: str,
    query: str | None = None,
) -> tuple[Finding, ...]:
    """Judge one service, with its configured query, by the plan of a rollback that is not made."""
    return (
        *_target(plan),
        *_record(plan),
        *_tag(plan),
        *_blocks(plan),
        *_effect(plan),
        *_storage(plan),
        *_hold(plan.title, state, present),
        *_bad_image(plan, state),
        *(Finding("hold", plan.title, WARNING, one.message, one.hint) for one in plan.lost),
        *_markers(plan.title, state, fields),
        *_query(plan.title, query),
    )


def _target(plan: Plan) -> Iterator[Finding]:
    """Tell where it would go: to the image that ran before, further back, or nowhere."""
    passed = [c for c in plan.candidates if c.is_refused and c.reason in LOST]
    if plan.chosen is not None:
        message = step(plan.running, plan.chosen.image)
        if not passed:
            verified = "" if plan.chosen.verified else ", not verified at the registry"
            yield Finding("target", plan.title, OK, message + verified)
        for candidate in passed[:1]:
            yield _passed_over(plan, candidate, WARNING, f"a rollback would go on to {message}")
        return
    if plan.hold is not None:
        yield Finding("target", plan.title, OK, "is rolled back as far as anybody knows")
    elif passed:
        yield _passed_over(plan, passed[0], FAILED, "there is no other image to go back to")
    elif any(c.reason != "running" for c in plan.candidates):
        refused = next(c for c in plan.candidates if c.reason != "running")
        why = refused.message or refused.reason or "it is shown only"
        yield Finding(
            *("target", plan.title, FAILED),
            f"there is no image to go back to: {refused.image.label}: {why}",
            "gitops-rollback plan shows every candidate and what to do",
            "not-found",
        )
    else:
        yield Finding(
            *("target", plan.title, WARNING),
            _NOTHING_BEFORE,
            "after the next deploy there is",
        )


def _passed_over(plan: Plan, candidate: Candidate, level: str, meaning: str) -> Finding:
    return Finding(
        *("image", plan.title, level),
        f"{candidate.image.label} cannot be gone back to ({candidate.reason}): "
        f"{candidate.message}; {meaning}",
        f"push {candidate.image.label} again with the same digest, or deploy anew",
        "not-found",
    )


def _record(plan: Plan) -> Iterator[Finding]:
    """Tell whether the record is kept and readable."""
    if plan.chosen is None or plan.strategy not in ("auto", ARTIFACT):
        return
    if plan.chosen.stored is not None:
        yield Finding("record", plan.title, OK, "is kept and readable")
        return
    if plan.strategy != ARTIFACT and _is_replaced_by_hand(plan.chosen):
        message = "none was made, for a commit by hand replaced that image: Git's history tells it"
        yield Finding("record", plan.title, OK, message)
        return
    archive = plan.chosen.archived_by
    where = f" in {archive}" if archive else ""
    why = next((f for f in plan.findings if "record" in f or f.startswith("artifact:")), "")
    yield Finding(
        *("record", plan.title, WARNING),
        f"the record of {plan.chosen.image.label} is not to be had{where}"
        + (f": {why}" if why else ""),
        "keep the builds that hold records (the step does so), on storage that lasts",
        "jenkins",
    )


def _is_replaced_by_hand(candidate: Candidate) -> bool:
    return candidate.replaced is not None and candidate.replaced.deed.action == EDIT


def _tag(plan: Plan) -> Iterator[Finding]:
    """Tell whether the tag still means the image that ran."""
    chosen = plan.chosen
    if chosen is None or chosen.check is None or not chosen.verified:
        return
    image = chosen.image
    if image.tag is None or image.digest is None or chosen.check.has_tag:
        return
    yield Finding(
        *("tag", plan.title, WARNING),
        f"the tag {image.tag} no longer has the digest that ran ({image.digest}): a rollback goes "
        "by the digest, but the registry may delete what has no tag",
        "do not push to a tag twice; forbid it at the registry (immutable tags)",
        "registry",
    )


def _blocks(plan: Plan) -> Iterator[Finding]:
    """Tell what would be refused; that it was rolled back already is no fault."""
    for block in plan.blocks:
        if block.code != ALREADY:
            yield Finding("refused", plan.title, FAILED, block.message, block.hint, "refused")


def _effect(plan: Plan) -> Iterator[Finding]:
    """Tell what proves that the rollback takes effect, where that is more than the files."""
    if plan.proof is None or plan.proof.by not in _PROVED:
        return
    yield Finding("effect", plan.title, OK, _PROVED[plan.proof.by].format(plan.proof))


def _storage(plan: Plan) -> Iterator[Finding]:
    """Tell whether storage changed since the image ran, where that does not refuse the rollback."""
    if any(block.code == "storage" for block in plan.blocks):
        return
    if plan.storage_changes:
        yield Finding(
            *("storage", plan.title, WARNING),
            some(plan.storage_changes, 1, "; "),
            "see that the older image can live with it: a rollback leaves storage and data alone",
            "manifest",
        )


def _hold(title: str, state: State, present: str) -> Iterator[Finding]:
    hold = state.hold
    if hold is None or days_between(hold.at, present) <= _LONGEST_HOLD:
        return
    yield Finding(
        *("hold", title, WARNING),
        f"held for {age(hold.at, present)}{by_whom(hold.by)}: "
        f"{hold.reason or 'no reason was given'}",
        "deploy the fix with --release, or gitops-rollback release",
    )


def _bad_image(plan: Plan, state: State) -> Iterator[Finding]:
    """Tell that what is held for runs all the same, as after an edit by hand."""
    found = bad_match(state.bad, plan.running, state.ran) if state.hold is not None else None
    if found is None:
        return
    deed = found.entry.deed
    yield Finding(
        *("hold", plan.title, WARNING),
        f"{plan.running.label} runs, which was rolled back from"
        f"{by_whom(deed.by)}{told_why(deed.reason)}, though the service is held",
        "roll back again, or end the hold if it is good after all: gitops-rollback release",
        "refused",
    )


def _markers(title: str, state: State, fields: Iterable[ImageField]) -> Iterator[Finding]:
    """Tell whether every Flux marker is out of action under a hold."""
    if state.hold is None:
        return
    active = [(f.place, m.text) for f in fields for m in f.markers if not m.is_held]
    for place, text in active[:1]:
        yield Finding(
            *("marker", title, FAILED),
            f"{place}: the marker {text} is in action although the service is held: Flux may bring "
            "the bad image back",
            'write "$imagepolicy-held" for "$imagepolicy" there, until the hold ends',
            "refused",
        )


def _query(title: str, query: str | None) -> Iterator[Finding]:
    """Tell whether the configured query can be read: most rollbacks need none."""
    if query is None:
        return
    from gitops_rollback.query.search import read_query  # noqa: PLC0415 - slow, and few have one

    try:
        read_query(query)
    except UsageError as error:
        message = f"{FILE}: {error.message}; a rollback that asks the registry would fail"
        yield Finding("query", title, WARNING, message, error.hint)


def build_to_keep(state: State) -> Build | None:
    """Return the build with the record of what a service would go back to; None if none has it."""
    newest = state.newest
    if newest is None:
        return None
    timeline = build_timeline(newest.image, state, None, None)
    good = (c for c in from_timeline(timeline) if bad_match(state.bad, c.image, state.ran) is None)
    return next((candidate.archived_by for candidate in good), None)


def builds_lost(state: State, job: str, listed: Mapping[int, bool]) -> tuple[Build, ...]:
    """Return those builds of the last deployments whose records are no longer there.

    `listed` are the newest builds that the job has (100 at most), and whether each archived a
    record of the service.
    """
    builds = [entry.build for entry in state.deployed if entry.build and entry.build.job == job]
    oldest = min(listed, default=0) if len(listed) >= BUILDS_LISTED else 0
    return tuple(
        build
        for build in builds[:RECORDS_WANTED]
        if build.number >= oldest and not listed.get(build.number)
    )


def advice_on_builds(listed: Mapping[int, bool]) -> str:
    """Return how many builds to keep, from how many of them deployed lately."""
    deployed = sum(listed.values())
    each = len(listed) / deployed if deployed else len(listed) or 1
    wanted = max(30, round(each * RECORDS_WANTED * 2))
    return (
        f"keep at least {wanted} builds (buildDiscarder, numToKeepStr), or deploy with keep: true"
    )

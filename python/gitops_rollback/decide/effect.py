"""Whether an edit takes effect, and nothing else by it: the rule of `effect`. Pure.

What takes effect is computed before the edit and after it (`effective/`). An image that an edited
field decides has to become the one that is meant, and every other has to stay: what is known to
come out otherwise is never done. Where the model does not know what kustomize itself could tell,
and `effect-proof` lets it, the agent's own kustomize builds both (`effective/proof`); a plan that
was proven so is proven for whoever follows it, while the blobs are the same. What is not proven is
refused unless `effect` is accepted; a rollback is not stopped by it where no file of the effect but
the edited values differs from when the image ran, for then it restores that effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import NeedBlobs, NeedFilesAt, NeedFindings, NeedRendered
from gitops_rollback.effective.effect import OTHER, UNKNOWN, WARNING, Finding, judge, judge_each
from gitops_rollback.effective.proof import (
    ACCEPTED,
    BUILD,
    MODEL,
    Built,
    Proof,
    Reached,
    blob_id,
    judge_build,
)
from gitops_rollback.errors import ManifestError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.manifest.image_field import CONTAINER
from gitops_rollback.manifest.kustomize import may_copy, may_rename
from gitops_rollback.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import Facts, Rendered, ServiceAtTip
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.effective.effect import Effect
    from gitops_rollback.effective.proof import Recipe
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.manifest.image_field import FieldKey
    from gitops_rollback.refusals import Refusal
    from gitops_rollback.services.inventory import Manifests


_OFF, _ALWAYS = "off", "build"  # values of effect-proof; else a build is made where it helps
_A_TOOL = "put kustomize (v5) or kubectl on PATH, which proves it; or "


@dataclass(frozen=True)
class Judged:
    """What stands against the edits of a service, or is to be said of them, and what proves them.

    `proof` is absent where nothing is edited, and where nothing proves it.
    """

    findings: tuple[Finding, ...] = ()
    proof: Proof | None = None

    @property
    def is_proven(self) -> bool:
        """Whether nothing stands against the edits."""
        return not any(one.code in (UNKNOWN, OTHER) for one in self.findings)


def judged(wish: Wish, facts: Facts, edits: Sequence[FieldEdit], image: ImageReference) -> Judged:
    """Judge the edits of a service by the model, and by a build where that is wanted and helps."""
    if not edits:
        return Judged()
    at, settings = facts.at, facts.settings
    before = at.found.manifests
    findings = _found(facts, tuple(edits), image)
    meant = {edit.field.key: image for edit in edits}
    was = at.found.effective_in(before).effect
    reached = Reached(was, meant, settings.kinds, settings.fields)
    by_model = Judged(findings, Proof(MODEL))
    mode = wish.effect_proof or settings.effect_proof
    recipes = _to_build(mode, facts, findings, reached)
    if not recipes:
        return _told(wish, by_model)
    after = edited(before.files, edits)
    data = {path: file.data for path, file in after.items()}
    planned = _planned(wish, facts)
    if planned is not None and _is_proven_by(planned, facts, recipes, data):
        return _told(wish, Judged(_without(findings, recipes), planned))
    builds = {one: facts.ask(NeedRendered(one, tuple(sorted(data.items())))) for one in recipes}
    failed = next((one for one in builds.values() if one.problem), None)
    if failed is not None:
        return _told(wish, replace(by_model, findings=_unbuilt(findings, failed, mode)))
    tool = next(iter(builds.values()))
    tree, edits_of = _blobs(facts, recipes, data)
    paths = tuple(sorted(tree.keys() | data.keys()))
    found = [
        replace(finding, recipe=recipe, paths=paths)
        for recipe, build in builds.items()
        for finding in judge_build(Built(recipe, build.before, build.after), reached)
    ]
    proof = Proof(BUILD, tool.tool, tool.version, tuple(recipes), tree, edits_of)
    return _told(wish, Judged((*_without(findings, recipes), *found), proof))


def _told(wish: Wish, found: Judged) -> Judged:
    """Return what was judged, with what proves it if anything does, or was accepted."""
    if found.is_proven:
        return found
    return replace(found, proof=Proof(ACCEPTED) if "effect" in wish.accept else None)


def _to_build(
    mode: str, facts: Facts, findings: Iterable[Finding], reached: Reached
) -> tuple[Recipe, ...]:
    """Return what is to be built: what the model does not know and kustomize can tell.

    Nothing where that would change nothing: what is surely another effect, or is not known of
    Flux or Helm. With `build` all that the edit reaches.
    """
    against = [one for one in findings if one.code in (UNKNOWN, OTHER)]
    if mode == _OFF or any(one.recipe is None and one.idle is None for one in against):
        return ()
    wanted = [one.recipe for one in against]
    if mode == _ALWAYS:
        wanted += [one.recipe for one in reached.was.decided_by(reached.meant)]
    idle = {one.idle[0] for one in against if one.idle is not None}
    for recipe in reached.was.doubtful if idle else ():
        if idle & facts.ask(NeedBlobs(recipe)).tree.keys():
            wanted.append(recipe)
    return tuple(dict.fromkeys(one for one in wanted if one is not None))


def _without(findings: Iterable[Finding], recipes: Iterable[Recipe]) -> tuple[Finding, ...]:
    """Return the findings that builds do not take the place of."""
    built = set(recipes)
    return tuple(one for one in findings if one.recipe not in built and one.idle is None)


def _unbuilt(findings: Sequence[Finding], failed: Rendered, mode: str) -> tuple[Finding, ...]:
    """Return findings with why no build took their place."""
    if mode == _ALWAYS and not any(one.code == UNKNOWN for one in findings):
        why = f"nothing was built that would prove it, as effect-proof asks: {failed.problem}"
        return (*findings, Finding(UNKNOWN, why, f"{_A_TOOL}--accept effect"))
    help_ = _A_TOOL if failed.is_missing else ""
    is_told = mode == _ALWAYS or not failed.is_missing
    told = f"; and no build proves it: {failed.problem}" if is_told else ""
    return tuple(
        replace(one, message=one.message + told, hint=help_ + one.hint)
        if one.code == UNKNOWN
        else one
        for one in findings
    )


def _is_proven_by(
    planned: Proof, facts: Facts, recipes: Sequence[Recipe], data: Mapping[str, bytes]
) -> bool:
    """Tell whether a plan's proof is of these builds still; of what is not built nothing is."""
    if any(facts.ask(NeedBlobs(recipe)).problem for recipe in recipes):
        return False
    return planned.covers(recipes, *_blobs(facts, recipes, data))


def _blobs(
    facts: Facts, recipes: Iterable[Recipe], data: Mapping[str, bytes]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the blobs that builds read, by path, and those that the edits make of them."""
    trees = [facts.ask(NeedBlobs(recipe)) for recipe in recipes]
    tree = {path: blob for one in trees for path, blob in one.tree.items()}
    commit = facts.at.tip.commit
    return tree, {path: blob_id(text, commit) for path, text in data.items() if path in tree}


def _planned(wish: Wish, facts: Facts) -> Proof | None:
    """Return the proof of the plan that is followed, if it has one."""
    if wish.planned is None:
        return None
    return wish.planned.planned(facts.at.service, facts.at.environment).proof


def _found(
    facts: Facts, edits: tuple[FieldEdit, ...], image: ImageReference
) -> tuple[Finding, ...]:
    """Return what stands against edits: as it was found for all services of the run, else alone."""
    if facts.among:
        written = tuple((edit.field.key, edit.value) for edit in edits)
        found = facts.ask(NeedFindings(written, image, edits))
        if found is not None:
            return found
    return findings_of(facts.at, edits, image)


def findings_of_each(
    asked: Sequence[tuple[NeedFindings, ServiceAtTip]],
) -> list[tuple[Finding, ...] | None]:
    """Return what stands against the edits of each of some services, as `findings_of` does.

    Services that share an effect share its computing, before and after; None for what is not told
    so, which is to be judged alone.
    """
    found: list[tuple[Finding, ...] | None] = [None] * len(asked)
    sharing: dict[int, list[int]] = {}
    for place, (_need, at) in enumerate(asked):
        sharing.setdefault(id(at.found.effective_in(at.found.manifests)), []).append(place)
    for places in sharing.values():
        for place, one in zip(places, _found_together([asked[p] for p in places]), strict=True):
            found[place] = one
    return found


def _found_together(
    asked: Sequence[tuple[NeedFindings, ServiceAtTip]],
) -> list[tuple[Finding, ...] | None]:
    found = next(at.found for _need, at in asked)  # of all of them the same
    before = found.manifests
    judged = [
        place for place, (need, _at) in enumerate(asked) if not _is_copied(before, need.edits)
    ]

    def after(places: Sequence[int]) -> Effect | None:
        edits = [edit for place in places for edit in asked[judged[place]][0].edits]
        try:
            files = edited(before.files, edits)
        except ManifestError:  # of one of them, whoever judges that alone is told
            return None
        return found.effective_in(before.with_files(files)).effect

    meant = [
        {key: asked[place][0].image for key, _value in asked[place][0].written} for place in judged
    ]
    told = judge_each(found.effective_in(before).effect, after, meant)
    by_place = dict(zip(judged, told, strict=True))
    return [by_place.get(place) for place in range(len(asked))]


def _is_copied(before: Manifests, edits: Iterable[FieldEdit]) -> bool:
    """Tell whether a part of what edits write may get into the images of others, too.

    Together with theirs such an edit could look as if each did what it means by itself.
    """
    listed = before.kustomizations.values()
    copying = [one for one in listed if one.copies]
    renames = any(may_rename(one) for one in listed)
    return any(
        edit.field.form != CONTAINER
        or edit.field.users > 1
        or may_copy(one, edit.field.kind, None if renames else edit.field.name)
        for one in copying
        for edit in edits
    )


def findings_of(
    at: ServiceAtTip, edits: Sequence[FieldEdit], image: ImageReference
) -> tuple[Finding, ...]:
    """Return what stands against the edits of a service by the model, and what is to be said."""
    before = at.found.manifests
    after = before.with_files(edited(before.files, edits))
    return findings_between(at, after, {edit.field.key: image for edit in edits})


def findings_between(
    at: ServiceAtTip, after: Manifests, meant: Mapping[FieldKey, ImageReference]
) -> tuple[Finding, ...]:
    """Return what stands against some manifests in the place of those of a service."""
    was, will = (at.found.effective_in(one).effect for one in (at.found.manifests, after))
    return judge(was, will, meant)


def edited(files: Mapping[str, ParsedFile], edits: Iterable[FieldEdit]) -> dict[str, ParsedFile]:
    """Return the files that some edits change, as they will be."""
    by_path: dict[str, list[FieldEdit]] = {}
    for edit in edits:
        by_path.setdefault(edit.field.path, []).append(edit)
    return {path: rewritten(files[path], own) for path, own in by_path.items()}


def unwritten(facts: Facts, edits: Sequence[FieldEdit], image: ImageReference) -> Iterator[Refusal]:
    """Yield that an image is another than the one that runs, and yet a field keeps its text.

    Nothing but a tag would be written there, and it stands there already: no pod would be replaced.
    All fields run the same image before (`read_running`), so none that is kept is the new one.
    """
    written = {edit.field.key for edit in edits}
    kept = next((one for one in facts.at.found.fields if one.key not in written), None)
    if kept is None:
        return
    running = facts.running
    where = f" in {kept.place}" if edits else ""
    yield refusal(
        "same-tag",
        f"{facts.title}: only the tag is written, and {running.label} stands there already{where}, "
        f"{_of_digest(running)}: {image.label} {_of_digest(image)} would not be rolled out",
    )


def _of_digest(image: ImageReference) -> str:
    return f"of {image.short_digest}" if image.digest else "of a digest that is not known"


def blocks_of(at: ServiceAtTip, findings: Sequence[Finding]) -> tuple[Refusal, ...]:
    """Return the refusal of an effect that is not proven; raise for one that is another.

    Raises `ManifestError` where something else than was meant would take effect.
    """
    others = [one for one in findings if one.code == OTHER]
    if others:
        raise ManifestError(_with_number(others), others[0].hint)
    unknown = [one for one in findings if one.code == UNKNOWN]
    if not unknown:
        return ()
    hint = unknown[0].hint.removesuffix(" --accept effect") + " {accept}"
    return (
        refusal(
            "effect",
            f"{at.title}: {_with_number(unknown)}",
            service=at.service,
            environment=at.environment,
            shell=hint,
            jenkins=hint,
        ),
    )


def warnings_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what is only said of an effect."""
    return tuple(one.message for one in findings if one.code == WARNING)


def restored(
    facts: Facts, findings: Iterable[Finding], edits: Sequence[FieldEdit], commit: str | None
) -> str:
    """Say that a rollback restores what an image had as effect when it ran, at a commit.

    That is where the files that the effect rests on are those of then, but for the edited values:
    whatever the model does not follow in them did then what it does. Empty where it is not so.
    """
    against = [one for one in findings if one.code in (UNKNOWN, OTHER)]
    paths = tuple(sorted({path for one in against for path in one.paths}))
    is_sure = any(one.code == OTHER and one.recipe is None for one in against)
    if commit is None or not paths or is_sure:
        return ""
    then = facts.ask(NeedFilesAt(commit, paths))
    manifests = facts.at.found.manifests
    unread = tuple(path for path in paths if path not in manifests.raw)
    more = facts.ask(NeedFilesAt(facts.at.tip.commit, unread)) if unread else {}
    now = {**manifests.raw, **more}
    after = edited(manifests.files, edits)
    if not all(_is_as_then(p, then.get(p), after.get(p), now.get(p), edits) for p in paths):
        return ""
    told = f"{facts.title}: {_with_number(against)}"
    return f"{told}; but nothing of it changed since the image ran"


def _is_as_then(
    path: str,
    then: bytes | None,
    after: ParsedFile | None,
    now: bytes | None,
    edits: Iterable[FieldEdit],
) -> bool:
    if after is None or then is None:
        return then == now
    ignored = [(e.field.document, e.field.pointer) for e in edits if e.field.path == path]
    try:
        return not differences(parse_once(path, then), after, ignored)
    except ManifestError:
        return False


def _with_number(findings: Sequence[Finding]) -> str:
    first, *more = findings
    return first.message + (f" (and {len(more)} more)" if more else "")

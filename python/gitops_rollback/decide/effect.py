"""Whether an edit takes effect, and nothing else by it: the rule of `effect`. Pure.

What takes effect is computed before the edit and after it (`effective/`). An image that an edited
field decides has to become the one that is meant, and every other has to stay: what is known to
come out otherwise is never done. What is not proven is refused unless `effect` is accepted; a
rollback is not stopped by it where no file of the effect but the edited values differs from when
the image ran, for then it restores that effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitops_rollback.decide.facts import NeedFilesAt
from gitops_rollback.effective.effect import OTHER, UNKNOWN, WARNING, judge
from gitops_rollback.errors import ManifestError
from gitops_rollback.manifest.compare import differences
from gitops_rollback.manifest.document import parse_once
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from gitops_rollback.decide.facts import Facts, ServiceAtTip
    from gitops_rollback.effective.effect import Finding
    from gitops_rollback.image import ImageReference
    from gitops_rollback.manifest.document import ParsedFile
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.manifest.image_field import FieldKey
    from gitops_rollback.refusals import Refusal
    from gitops_rollback.services.inventory import Manifests


def findings_of(
    at: ServiceAtTip, edits: Sequence[FieldEdit], image: ImageReference
) -> tuple[Finding, ...]:
    """Return what stands against the edits of a service, and what is to be said of them."""
    if not edits:
        return ()
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


def restores_effect(
    facts: Facts, findings: Iterable[Finding], edits: Sequence[FieldEdit], commit: str | None
) -> bool:
    """Tell whether a rollback restores what an image had as effect when it ran, at a commit.

    That is where the files that the effect rests on are those of then, but for the edited values.
    """
    paths = {path for one in findings if one.code == UNKNOWN for path in one.paths}
    if commit is None or not paths:
        return False
    then = facts.ask(NeedFilesAt(commit, tuple(sorted(paths))))
    manifests = facts.at.found.manifests
    after = edited(manifests.files, edits)
    return all(
        _is_as_then(path, then.get(path), after.get(path), manifests.raw.get(path), edits)
        for path in paths
    )


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
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return findings[0].message + more

"""What is told of whole trees of manifests, word for word: each image, what decides it, each doubt.

Whether an answer is right is judged by real kustomize and Helm, which make these very trees
(`integration/test_effect_by_build.py`, `test_effect_by_helm.py`). What no tool says stands in
golden files: places, files that an answer rests on, reasons, hints.

    GITOPS_GOLDEN=write .venv/bin/python -m pytest -q tests/python/unit/test_whole_answers.py

writes them anew after a change that is meant: look at the difference, and say why in the commit.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gitops_rollback.decide.edits import deploy_edits
from gitops_rollback.effective.effect import judge
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.manifest.edit import rewritten
from gitops_rollback.services.config import Environment
from gitops_rollback.services.inventory import read_manifests
from integration.random_charts import random_chart
from integration.random_trees import random_tree
from integration.wide_charts import wide_chart
from integration.wide_trees import wide_tree
from unit.builders import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.effective.resolve import EffectiveFields
    from gitops_rollback.manifest.image_field import ImageField
    from gitops_rollback.services.inventory import Manifests

GOLDEN = Path(__file__).parent / "golden" / "answers"
WRITES = os.environ.get("GITOPS_GOLDEN") == "write"
WHOLE = Environment("production")
MAKERS: dict[str, Callable[[int], Any]] = {
    "tree": random_tree,
    "wide-tree": wide_tree,
    "chart": random_chart,
    "wide-chart": wide_chart,
}
SEEDS = {"tree": 20, "wide-tree": 40, "chart": 20, "wide-chart": 40}  # of those that are judged


@pytest.mark.parametrize(
    ("kind", "seed"), [(kind, seed) for kind, count in SEEDS.items() for seed in range(count)]
)
def test_every_word_of_a_tree_is_that_of_the_golden_file(kind: str, seed: int) -> None:
    path = GOLDEN / f"{kind}-{seed}.txt"
    answer = "".join(f"{line}\n" for line in told(MAKERS[kind](seed).files))
    if WRITES:
        path.write_text(answer, encoding="utf-8")
    assert answer == path.read_text(encoding="utf-8")


def told(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield all that is told of some files, and of a deploy to each field that decides there."""
    manifests = read_manifests({path: text.encode() for path, text in texts.items()})
    found = manifests.effective({}, WHOLE)
    yield from _told_of(found)
    for one in found.live:
        yield f"deploy to {one.place} {one.pointer}"
        yield from _told_of_deploy(manifests, found, one)


def _told_of(found: EffectiveFields) -> Iterator[str]:
    for one in found.live:
        yield f"field {one.place} {one.pointer}: {one.effective}"
        yield from _values(one, "kind namespace name container form users reported_only")
        yield from _values(one, "labels containers shown_name other_name problem overrides")
        yield from _values(one, "tag_only overlay")
    for one, idle in found.spare:
        yield f"spare {one.place} {one.pointer}: {one.effective}"
        yield from _values(idle, "why hint paths")
    for image in found.effect.landed:
        yield f"image {image.image} in {image.title}"
        yield from _values(image, "namespace decider other_name applied recipe warnings paths")
        for unknown in image.unknowns:
            yield f"  unknown: {unknown.text}"
            yield f"    {unknown.hint}{' (of form)' if unknown.is_of_form else ''}"
    yield from (f"doubtful {recipe}" for recipe in found.effect.doubtful)
    for one_beside, text in found.effect.beside.items():
        yield f"beside {one_beside}: {text}"


def _values(one: object, names: str) -> Iterator[str]:
    """Yield what some attributes say, but for what is empty."""
    for name in names.split():
        value = getattr(one, name)
        if value:
            yield f"  {name}: {sorted(value) if isinstance(value, frozenset) else value}"


def _told_of_deploy(manifests: Manifests, found: EffectiveFields, one: ImageField) -> Iterator[str]:
    if one.image is None:
        return
    image = one.image.with_version("9.9.9", digest("new"))
    try:
        edits = deploy_edits([one], image, frozenset({"tag"}), "digest")
        file = rewritten(manifests.files[one.path], edits)
    except GitopsRollbackError as error:
        yield f"  refused: {error.message}; {error.hint}"
        return
    after = manifests.with_files({one.path: file}).effective({}, WHOLE)
    for finding in judge(found.effect, after.effect, {one.key: image}):
        yield f"  {finding.code}: {finding.message}"
        yield from _values(finding, "hint recipe idle paths")

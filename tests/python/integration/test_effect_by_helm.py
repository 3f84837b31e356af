"""What is said to be deployed takes effect: random layers of values, held against `helm template`.

As for kustomize (`test_effect_by_build`): before a deploy, after it and after its undoing.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import yaml

from integration.random_charts import (
    CHART,
    RandomChart,
    layers_of,
    post_renderers_of,
    random_chart,
)
from integration.test_effect_by_build import (
    Kustomize,
    Outcome,
    images_of,
    is_cart,
    outcome_of,
    said_by,
)
from integration.wide_charts import wide_chart

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CHARTS = 2_000 if os.environ.get("GITOPS_LONG_TESTS") else 100
WIDE_CHARTS = 1_000 if os.environ.get("GITOPS_LONG_TESTS") else 40
MOST_NEEDLESS = 0.10
# Refusals for which a value could have been edited alone.
NEEDLESS = ("is not proven", "there is no service", "has no effect", "cannot be edited safely")
# What is right to refuse: Flux would not take the change, or no value is the image's alone.
RIGHT = (
    "only with a new version",
    "its name has a version",
    "names two digests",
    "counts",
    "it changes nothing",
    "-alpine",  # which the template writes behind every tag
)


@dataclass(frozen=True)
class Helm:
    """The real tools, and a folder to put a chart in."""

    program: str
    kustomize: Kustomize
    folder: Path

    def render(self, tree: RandomChart, files: Mapping[str, str]) -> str | None:
        """Return what the chart makes of its values; None where it or a layer fails."""
        built = "---\n".join(text for path, text in files.items() if CHART not in path)
        if tree.root:
            made = self.kustomize.build(files, tree.root)
            if made is None:
                return None
            built = made
        shutil.rmtree(self.folder, ignore_errors=True)
        for path, text in files.items():
            is_own = path == f"{CHART}/values.yaml"  # it is handed over as the first layer
            if path.startswith(f"{CHART}/") and not is_own:
                file = self.folder / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
        arguments: list[str] = []
        try:
            layers = layers_of(tree, dict(files), built)
        except TypeError:
            return None
        for number, layer in enumerate(layers):
            if isinstance(layer, str):
                arguments += ["--set", layer]
                continue
            path_ = self.folder / f"{number}.yaml"
            path_.write_text(yaml.safe_dump(layer), encoding="utf-8")
            arguments += ["-f", str(path_)]
        line = ["template", "x", str(self.folder / CHART), *arguments]
        made = said_by(self.program, *line, folder=self.folder)
        for renderer in post_renderers_of(tree, built):
            top = yaml.safe_dump({"resources": ["all.yaml"], **renderer})
            some = {"all.yaml": made or "", "kustomization.yaml": top}
            made = self.kustomize.build(some, ".") if made is not None else None
        return made


@pytest.fixture(scope="module")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    program = os.environ.get("HELM") or shutil.which("helm")
    kustomize = os.environ.get("KUSTOMIZE") or shutil.which("kustomize")
    if program is None or kustomize is None:  # in CI, .ci/run says that nothing is compared
        pytest.skip("helm and kustomize are not on PATH: nothing to judge by")
    folder = tmp_path_factory.mktemp("charts")
    return Helm(program, Kustomize(kustomize, folder / "tree"), folder / "chart")


def judged(helm: Helm, tree: RandomChart) -> Outcome:
    """Deploy and roll back in a tree, and hold both against what the chart makes."""
    before = helm.render(tree, tree.files)
    if before is None or not any(map(is_cart, images_of(before).values())):
        return Outcome("no build")
    return outcome_of(tree.files, before, lambda files: helm.render(tree, files))


def test_no_chart_with_rarer_constructs_is_called_deployed_that_helm_says_is_not(
    helm: Helm,
) -> None:
    outcomes = {seed: judged(helm, wide_chart(seed)) for seed in range(WIDE_CHARTS)}
    wrong = {seed: one.why for seed, one in outcomes.items() if one.kind == "wrong"}
    assert not wrong, wrong
    total = Counter(one.kind for one in outcomes.values())
    assert total["deployed"] > total["refused"] / 2, total


def test_no_chart_is_called_deployed_that_helm_says_is_not(helm: Helm) -> None:
    outcomes = {seed: judged(helm, random_chart(seed)) for seed in range(CHARTS)}
    wrong = {seed: one.why for seed, one in outcomes.items() if one.kind == "wrong"}
    assert not wrong, wrong
    total = Counter(one.kind for one in outcomes.values())
    refused = [one.why for one in outcomes.values() if one.kind == "refused"]
    needless = [
        why
        for why in refused
        if any(part in why for part in NEEDLESS) and not any(part in why for part in RIGHT)
    ]
    answered = total["deployed"] + total["refused"]
    assert len(needless) <= MOST_NEEDLESS * answered, (total, Counter(needless))
    assert total["deployed"] > answered / 2, (total, Counter(refused))

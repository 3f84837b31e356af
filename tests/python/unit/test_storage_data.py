"""`check --storage` on 396 manifests of 19 public repositories: no crash, no false alarm."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gitops_rollback.storage.review import Review, review

DATA = Path(__file__).parents[4] / "shared/data/manifests"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"there are no real manifests in {DATA}")


@pytest.fixture(scope="module")
def found() -> Review:
    files = {
        path.relative_to(DATA).as_posix(): path.read_bytes()
        for path in sorted(DATA.rglob("*"))
        if path.suffix in (".yaml", ".yml", ".json")
    }
    return review(files)


def test_every_file_is_read_or_named_as_a_template(found: Review) -> None:
    assert found.objects > 200
    assert all("template" in reason for _path, reason in found.skipped), found.skipped
    for finding in found.findings:
        lines = (DATA / finding.path).read_bytes().decode(errors="replace").splitlines()
        assert 1 <= finding.line <= len(lines)
        assert finding.column >= 1
        assert finding.effect
        assert finding.mend


def test_each_finding_was_looked_at_and_is_true(found: Review) -> None:
    """The counts are those of docs/storage.md, where each kind is explained."""
    assert Counter((f.severity, f.code) for f in found.findings) == {
        ("error", "missing"): 16,
        ("error", "api-version"): 7,
        ("error", "mount-without-volume"): 4,
        ("error", "claim-pending"): 2,
        ("error", "bad-quantity"): 2,
        ("error", "bad-value"): 4,
        ("error", "yaml"): 2,
        ("error", "duplicate-key"): 1,
        ("warning", "claim-pending"): 2,
        ("warning", "two-writers"): 1,
        ("warning", "claim-missing"): 1,
        ("note", "reclaim-unknown"): 9,
        ("note", "two-writers"): 1,
        ("note", "namespace-unwritten"): 1,
    }

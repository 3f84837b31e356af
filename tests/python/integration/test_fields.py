"""`gitops-rollback fields` on local files, as a process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from integration.shop import CART

FLUX = """\
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: apps}
spec: {path: ./, suspend: true}
"""
COMMAND = Path(sys.executable).with_name("gitops-rollback")
SHOP = Path(__file__).parents[3] / "examples" / "demo" / "shop"
SHARED = Path(__file__).parents[4] / "shared" / "data" / "manifests"


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "fields", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_field_of_a_folder_is_listed_with_its_place(tmp_path: Path) -> None:
    done = run("--output", str(tmp_path / "result.json"), cwd=SHOP)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    fields = {(f["path"], f["line"], f["container"]): f["value"] for f in result["fields"]}
    assert fields["apps/cart/deployment.yaml", 19, "server"] == "acme/cart:1.4.1"
    assert len(fields) == 5
    assert "proof" not in result


def test_a_whole_path_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "a.yaml").write_text(CART, encoding="utf-8")
    for path in (tmp_path, tmp_path / "deep" / "er" / "a.yaml"):
        done = run("--prove", str(path), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert "0 not exact" in done.stdout


def test_a_proof_edits_every_field_and_leaves_the_files_alone(tmp_path: Path) -> None:
    file = tmp_path / "crlf.yaml"
    text = '\ufeffkind: Pod\r\nspec:\r\n  containers:\r\n    - image: "a/b:1" # {"x": 1}\r\n'
    file.write_bytes(text.encode())
    done = run("--prove", "--output", "-", str(file), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["proof"] == {"edited": 1, "failed": [], "effect": []}
    assert file.read_bytes() == text.encode()


def test_a_proof_says_which_edits_have_no_effect_that_is_known(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\nimages: [{name: x}]\n")
    for name in "abcdefghijklmn":
        (tmp_path / f"{name}.yaml").write_text(CART, encoding="utf-8")
    done = run("--prove", "--output", "json", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    doubts = json.loads(done.stdout)["proof"]["effect"]
    assert len(doubts) == 13 * 3
    assert all("has a kustomization that does not list it" in one for one in doubts)
    assert "no effect is proven of 29 more" in run("--prove", ".", cwd=tmp_path).stdout
    (tmp_path / "k.yaml").write_text(FLUX, encoding="utf-8")
    said = json.loads(run("--prove", "--output", "json", ".", cwd=tmp_path).stdout)["proof"]
    assert any("it is suspended" in one for one in said["effect"])


def test_what_cannot_be_read_is_skipped_with_file_and_reason(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("{{- if .Values.x }}\nimage: {{ .Values.image }}\n")
    done = run(cwd=tmp_path)
    assert done.returncode == 0
    assert "template.yaml:1:3 is a Helm template" in done.stdout
    assert "1 files skipped" in done.stderr


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    done = run("nowhere", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no file or folder nowhere" in done.stderr


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real manifests are not at {SHARED}")
def test_every_field_of_the_real_manifests_can_be_edited_and_undone() -> None:
    done = run("--prove", "--output", "-", ".", cwd=SHARED)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert result["proof"]["failed"] == []
    assert result["proof"]["edited"] >= 230
    assert all(skip["path"] and skip["reason"] for skip in result["skipped"])

"""The command on a laptop: installed, completing, on a terminal, in a bare clone."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from integration.shop import COMMAND, Shop, program

ROOT = Path(__file__).parents[3]
MANIFESTS = ROOT.parent / "shared/data/manifests"

# What bash does when somebody presses the tabulator behind $LINE.
_ASK_BASH = r"""
spec=$(complete -p gitops-rollback); function=${spec#*-F }; function=${function%% *}
read -r -a COMP_WORDS <<<"$LINE"; COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE=$LINE; COMP_POINT=${#LINE}
"$function" gitops-rollback
printf '%s\n' "${COMPREPLY[@]}"
"""


def completions(shell: str, words: list[str], folder: Path) -> list[str]:
    """Return what a shell offers for the last of some words."""
    script = folder / f"completion.{shell}"
    with script.open("wb") as stream:
        subprocess.run([COMMAND, "completion", shell], stdout=stream, check=True)
    line = " ".join(words)
    asking = {
        "bash": f"source {script}\n{_ASK_BASH}",
        "fish": f"source {script}; complete -C '{line}'",
    }[shell]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LINE": line}
    done = subprocess.run(
        [program(shell, shell), "-c", asking],
        env=environment, cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return [entry.split("\t")[0] for entry in done.stdout.split()]


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_shell_completes_commands_options_and_choices(shell: str, tmp_path: Path) -> None:
    assert "rollback" in completions(shell, ["gitops-rollback", "roll"], tmp_path)
    assert "--reason" in completions(shell, ["gitops-rollback", "rollback", "--rea"], tmp_path)
    strategies = completions(shell, ["gitops-rollback", "plan", "--strategy", "a"], tmp_path)
    assert {"auto", "artifact"} <= set(strategies)


def test_the_script_for_zsh_is_one(tmp_path: Path) -> None:
    made = subprocess.run([COMMAND, "completion", "zsh"], capture_output=True, check=True).stdout
    script = tmp_path / "_gitops-rollback"
    script.write_bytes(made)
    subprocess.run([program("zsh", "zsh"), "-n", str(script)], check=True)
    assert made.startswith(b"#compdef gitops-rollback")


def test_progress_is_shown_on_a_terminal_and_never_in_a_log(released: Shop) -> None:
    line = released.line("plan", "--service", "cart")
    primary, secondary = pty.openpty()
    environment = {**released.environment, "TERM": "xterm"}
    subprocess.run(line, env=environment, stderr=secondary, cwd=released.root, check=True)
    os.close(secondary)
    shown = b""
    while True:
        try:
            chunk = os.read(primary, 65536)
        except OSError:  # the end of a terminal, on Linux
            break
        if not chunk:
            break
        shown += chunk
    os.close(primary)
    assert "fetching the tip of the manifests repository …".encode() in shown
    assert b"\r\x1b[Kto do it: gitops-rollback rollback cart" in shown
    plain = released.ok("plan", "--service", "cart").stdout
    assert "\x1b" not in plain
    assert "fetching" not in plain


def test_a_clone_of_somebody_elses_repository_needs_no_configuration(shop: Shop) -> None:
    source = MANIFESTS / "microservices-demo__microservices-demo"
    if not source.is_dir():
        pytest.skip("the manifests of real repositories are not here")
    files = {
        str(path.relative_to(source)): path.read_bytes()
        for path in sorted(source.rglob("*"))
        if path.is_file()
    }
    shop.commit(files, "What others wrote")
    clone = shop.root / "clone"
    shop.git("clone", "-q", str(shop.bare), str(clone), cwd=shop.root)
    found = shop.ok("services", repository="", cwd=clone).result["services"]
    assert len({entry["service"] for entry in found}) > 10
    path = "deploy/kubernetes/manifests/09-front-end-dep.yaml"
    old, new = "weaveworksdemos/front-end:0.3.12", "weaveworksdemos/front-end:0.3.13"
    assert old in shop.text(path)
    shop.edit(old, new, path)
    run = shop.ok("plan", "--service", "front-end", repository="", cwd=clone)
    assert run.service()["to"]["image"] == f"docker.io/{old}"

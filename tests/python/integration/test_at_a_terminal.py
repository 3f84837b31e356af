"""What a person at a terminal is asked, and where the shell's help is put."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from integration.shop import COMMAND, Shop

if TYPE_CHECKING:
    from pathlib import Path


def at_a_terminal(shop: Shop, answer: str, *arguments: str) -> tuple[int, str, str]:
    """Run the rollback at a terminal, answer once; return exit code, stdout and what was asked."""
    primary, secondary = pty.openpty()
    line = [str(COMMAND), "rollback", "cart", "--repository", str(shop.bare), *arguments]
    with subprocess.Popen(
        line,
        env={**shop.environment, "TERM": "xterm", "NO_COLOR": "1"},
        cwd=shop.root,
        stdin=secondary,
        stdout=subprocess.PIPE,
        stderr=secondary,
    ) as process:
        os.close(secondary)
        os.write(primary, answer.encode())
        out = process.communicate(timeout=60)[0].decode()
    asked = b""
    while True:
        try:
            chunk = os.read(primary, 65536)
        except OSError:  # the end of a terminal, on Linux
            break
        if not chunk:
            break
        asked += chunk
    os.close(primary)
    return process.returncode, out, asked.decode()


def test_a_rollback_asks_for_nothing_but_the_reason_once_the_plan_is_shown(released: Shop) -> None:
    code, out, asked = at_a_terminal(released, "checkout fails\n")
    assert code == 0, asked
    assert "reason (nothing: leave it as it is): " in asked
    assert out.index("cart: 1.5.0 → 1.4.2\n") < out.index("cart: 1.5.0 → 1.4.2 rolled back, held")
    assert released.state()["hold"]["reason"] == "checkout fails"


def test_without_an_answer_nothing_is_done(released: Shop) -> None:
    tip = released.tip()
    code, _out, asked = at_a_terminal(released, "\n")
    assert code == 2
    assert "no reason was given: nothing was changed" in asked
    assert released.tip() == tip


def test_what_would_be_refused_is_refused_before_anybody_is_asked(held: Shop) -> None:
    code, _out, asked = at_a_terminal(held, "never read\n")
    assert code == 6
    assert "reason (" not in asked
    assert "--again" in asked


def test_a_log_is_asked_nothing(released: Shop) -> None:
    run = released.refused(2, "usage", "rollback", "--service", "cart")
    assert "--reason" in run.error["hint"]


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/gitops-rollback"),
        ("zsh", ".local/share/zsh/site-functions/_gitops-rollback"),
        ("fish", ".config/fish/completions/gitops-rollback.fish"),
    ],
)
def test_completion_installs_itself_where_the_shell_looks(
    shell: str, place: str, tmp_path: Path
) -> None:
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    printed = subprocess.run(
        [COMMAND, "completion", shell], env=environment, capture_output=True, check=True
    ).stdout
    done = subprocess.run(
        [COMMAND, "completion", shell, "--install"],
        env=environment, capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert (tmp_path / place).read_bytes() == printed
    assert str(tmp_path / place) in done.stdout


@pytest.mark.parametrize("line", [("-v", "plan", "cart"), ("plan", "cart", "-v")])
def test_each_call_of_git_is_shown_wherever_that_is_asked_for(
    shop: Shop, line: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [COMMAND, *line, "--repository", str(shop.bare)],
        env=shop.environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "git clone --bare" in done.stderr

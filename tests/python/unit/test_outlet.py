"""What leaves by stdout and stderr is text that no terminal and no log obeys."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from errno import ENOSPC, EPIPE
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback import outlet, redaction
from gitops_rollback.errors import UsageError
from gitops_rollback.outlet import Outlet, escaped, one, opened
from gitops_rollback.tell import output, terminal, view
from gitops_rollback.tell.output import Output

# What a terminal obeys, hides or breaks a line at (Unicode's general categories).
UNSAFE = ("Cc", "Cf", "Cs", "Zl", "Zp")


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    redaction.forget()


def unsafe(text: str) -> list[str]:
    return [ascii(c) for c in text if c not in "\n\t" and unicodedata.category(c) in UNSAFE]


def test_no_character_that_is_unsafe_by_unicode_comes_through() -> None:
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    assert unsafe(escaped(everything)) == []


def test_letters_of_all_languages_stay() -> None:
    text = "Größe, naïve, 価格, цена, τιμή, ราคา, 🛒, →, … \t|"
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("char", "shown"),
    [
        ("\x1b", "\\x1b"),
        ("\r", "\\x0d"),
        ("\x9b", "\\x9b"),
        ("\u202e", "\\u202e"),
        ("\ufeff", "\\ufeff"),
        ("\udce9", "\\xe9"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_a_character_is_shown_as_programmers_write_it(char: str, shown: str) -> None:
    assert escaped(f"a{char}b") == f"a{shown}b"


@given(st.text(st.characters(), max_size=200))
def test_one_line_stays_one_line(text: str) -> None:
    line = one(text)
    assert len(line.splitlines()) <= 1
    assert unsafe(line) == []
    assert "\n" not in line


@pytest.mark.parametrize(
    "order", ["::error file=a::b", "::Stop-Commands::x", "##[error]x", "##vso[x]"]
)
def test_nothing_is_an_order_to_a_ci_system_wherever_a_line_is_broken(order: str) -> None:
    reason = " ".join(f"{'w' * length} {order}" for length in range(1, 60, 3))
    lines = [*view.wrapped(reason), one(order), *view.wrapped(order, "    ")]
    # As GitHub's runner reads them: actions/runner, src/Runner.Common/ActionCommand.cs.
    assert [line for line in lines if line.lstrip().startswith("::") or "##" in line] == []
    assert order[1:] in one(order)
    assert one("std::vector, a ::1 and # [") == "std::vector, a ::1 and # ["


def test_a_line_of_a_megabyte_is_cut_and_says_so() -> None:
    line = one("x" * 1_000_000)
    assert len(line) < 5000
    assert line.endswith("… (1000000 characters)")


def printed(*parts: str) -> str:
    behind = io.StringIO()
    stream = Outlet(behind)
    for part in parts:
        stream.write(part)
    stream.flush()
    return behind.getvalue()


def test_what_is_printed_in_pieces_is_looked_at_as_a_whole() -> None:
    redaction.know("hunter2!")
    assert printed("the hun", "ter2! is", " here\nand hunter", "2!") == "the *** is here\nand ***"


def test_our_own_escapes_go_through_where_they_are_meant() -> None:
    behind = io.StringIO()
    stream = Outlet(behind)
    stream.write("a\x1b[1m")
    stream.write_own("\r\x1b[K")
    assert behind.getvalue() == "a\\x1b[1m\r\x1b[K"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    return capsys


def test_a_text_with_line_ends_makes_no_line_of_its_own(said: pytest.CaptureFixture[str]) -> None:
    terminal.say("deployed by x\nFinished: SUCCESS\r\x1b[2K")
    assert said.readouterr().err == "deployed by x\\nFinished: SUCCESS\\x0d\\x1b[2K\n"


def test_a_secret_over_two_printed_lines_is_hidden(said: pytest.CaptureFixture[str]) -> None:
    redaction.know("hunter2-SECRET")
    terminal.say("the password is hunter2-", "  SECRET, no?")
    assert said.readouterr().err == "the password is ***, no?\n"


def test_a_secret_is_hidden_before_a_text_is_wrapped_or_cut() -> None:
    redaction.know("hunter2 SECRET with blanks")
    text = "x " * 45 + "hunter2 SECRET with blanks"
    assert not any("SECRET" in line for line in view.wrapped(text))
    rows = [("a", "b"), ("hunter2 SECRET with blanks", "c")]
    assert not any("hunter2" in line for line in view.narrow_table(rows))
    assert view.table(rows)[1].startswith("***")


def test_a_cell_of_a_table_makes_no_row() -> None:
    rows = view.table([("name", "image"), ("cart\nFORGED", "x\x1b[31m")])
    assert rows == ["name          image", "cart\\nFORGED  x\\x1b[31m"]


def test_json_is_exact_but_for_secrets_and_obeyed_by_no_terminal() -> None:
    redaction.know("hunter2!")
    document = {"a": "\x1b[1m\u202e\U000e0041\x7f\x85 ü", "b": "hunter2!", "c": "r\udce9s"}
    text = output.json_text(document)
    assert unsafe(text) == []
    assert json.loads(text) == {"a": document["a"], "b": "***", "c": "r\\xe9s"}


class _Full(io.StringIO):
    """A stream that answers with an error."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def write(self, _text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "code", "is_changed", "expected"),
    [
        (ENOSPC, 0, False, 1),
        (ENOSPC, 0, True, 0),
        (ENOSPC, 6, False, 6),
        (EPIPE, 0, False, 0),
        (EPIPE, 0, True, 0),
        (EPIPE, 8, False, 8),
    ],
)
def test_a_result_that_cannot_be_printed_counts_where_nothing_was_changed(
    monkeypatch: pytest.MonkeyPatch, number: int, code: int, *, is_changed: bool, expected: int
) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "stdout", _Full(number))
    monkeypatch.setattr(sys, "stderr", err)
    with opened() as streams:
        sys.stdout.write("a\n")
        sys.stdout.write("b\n")
        if is_changed:
            outlet.note_change()
        ended = streams.counted(code)
    assert ended == expected
    told = err.getvalue()
    if number == EPIPE and not is_changed:
        assert told == "", "a reader that closed the pipe has had enough"
    else:
        assert told.startswith("error: the result cannot be written to stdout: ")


@pytest.mark.parametrize("behind", [None, _Full(EPIPE)])
def test_without_a_stderr_a_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, behind: TextIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", behind)
    with opened() as streams:
        terminal.say("nobody hears this")
        assert streams.counted(6) == 6


def test_a_result_file_that_cannot_be_written_leaves_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_more: object) -> None:
        raise OSError(ENOSPC, os.strerror(ENOSPC))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(UsageError, match="No space left"):
        output.write_result({"changed": False}, Output(file=str(tmp_path / "result.json")))
    assert list(tmp_path.iterdir()) == []


def test_a_change_that_was_pushed_is_no_error_where_its_result_is_lost(
    tmp_path: Path, said: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "gone" / "result.json"
    output.write_result({"changed": True, "commit": "c" * 40}, Output(file=str(target)))
    message = said.readouterr().err
    assert "the change is done" in message
    assert "c" * 40 in message


def test_every_text_of_a_result_is_one_line_where_it_is_printed() -> None:
    redaction.know("hunter2-SECRET")
    document = {"a": ["x\nFORGED", {"b": "hunter2-\nSECRET"}], "n": 1, "t": True}
    assert outlet.one_in(document) == {"a": ["x\\nFORGED", {"b": "***"}], "n": 1, "t": True}


@pytest.mark.parametrize("waits", [True, False])
def test_a_run_ends_without_the_interpreter_being_taken_down(*, waits: bool) -> None:
    """A thread is left where it waits, and what is registered for the end of the process is done.

    To take it down would take a third of the CPU of a run.
    """
    program = """
import atexit, os, sys, threading
from gitops_rollback.outlet import leave

class Left:
    def __del__(self):
        print("the interpreter was taken down", flush=True)

left = Left()
read, write = os.pipe()
atexit.register(print, "removed")
if "waits" in sys.argv:
    threading.Thread(target=os.read, args=(read, 1), daemon=True).start()
leave(6)
"""
    line = [sys.executable, "-c", program, *(["waits"] if waits else [])]
    done = subprocess.run(line, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (6, b"removed\n", b"")

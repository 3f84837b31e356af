"""Where a result goes: text, names, JSON or YAML to stdout, JSON to a file, or both."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import UsageError
from gitops_rollback.late import dataclass, field
from gitops_rollback.outlet import ESCAPED_BYTES, UNSAFE, escaped, note_change, one_in, shortened
from gitops_rollback.redaction import hide, hide_in
from gitops_rollback.refusals import Place, place_of
from gitops_rollback.scratch import write_whole
from gitops_rollback.tell.terminal import say, show

if TYPE_CHECKING:
    import argparse
    import re
    from collections.abc import Mapping, Sequence

    from gitops_rollback.errors import GitopsRollbackError

FORMATS = ("text", "wide", "name", "json", "yaml")
_FORMATS_OF_STATS = ("csv", "prometheus")
_TARGET_HINT = "give a file in a folder one can write to with --output"


@dataclass(frozen=True)
class Output:
    """What a run's result becomes: a format for stdout, and a file if one is wanted.

    `command`, `options` and `environment` are what the run was given: the text names what to type
    next in the same words.
    """

    format: str = "text"
    file: str | None = None
    command: str = ""
    options: argparse.Namespace | None = field(default=None, compare=False)
    environment: Mapping[str, str] = field(default_factory=dict, compare=False)


def read_output(given: Sequence[str], variable: str | None) -> Output:
    """Read `--output`, which may be given twice: a format, and a file; else its variable.

    Raises `UsageError` for two of one kind, and for a bare word that is no format: `result` could
    be meant as either.
    """
    formats: list[str] = []
    files: list[str] = []
    for text in given:
        _sort(text, formats, files)
    if variable and not files:
        _sort(variable, [] if formats else formats, files)
    for kind, values in (("formats", formats), ("files", files)):
        if len(set(values)) > 1:
            raise UsageError(
                f"--output names two {kind}: {' and '.join(values)}", "give a format, and a file"
            )
    output = Output(formats[0] if formats else "text", files[0] if files else None)
    _check_file(output.file)
    return output


def _sort(text: str, formats: list[str], files: list[str]) -> None:
    if text == "-":
        formats.append("json")
    elif text in FORMATS:
        formats.append(text)
    elif "/" in text or "." in text:
        files.append(text)
    else:
        raise UsageError(
            f"--output {text or '(nothing)'} is no format ({', '.join(FORMATS)})",
            f"it is a --format of stats: --format {text}"
            if text in _FORMATS_OF_STATS
            else f"a file of that name is ./{text or 'result.json'}",
        )


def _check_file(file: str | None) -> None:
    """Raise `UsageError` if a result could not be written: before anything is done for it."""
    if file is None:
        return
    path = Path(file)
    is_folder = os.path.isdir(file)  # noqa: PTH112 - `Path` fails for a name that is too long
    if is_folder or not os.access(path.parent, os.W_OK | os.X_OK):
        reason = "it is a folder" if is_folder else f"{path.parent} is no folder to write to"
        raise UsageError(f"the result cannot be written to {file}: {reason}", _TARGET_HINT)


def write_result(document: Mapping[str, Any], output: Output, before: Sequence[str] = ()) -> None:
    """Write a result to stdout in its format, and to its file; `before` stands above a text.

    What was pushed stays pushed if its result cannot be written: then this says so and returns.
    Else a file that cannot be written raises `UsageError`. What became of stdout is `outlet`'s
    matter.
    """
    whole = {"schemaVersion": 1, **document}
    if place_of(os.environ) is Place.JENKINS:
        from gitops_rollback.tell.jenkins import hinted  # noqa: PLC0415 - read there alone

        whole = hinted(whole)
    is_pushed = "commit" in whole and "changed" in whole
    if is_pushed:
        note_change()
    try:
        _write_file(whole, output.file)
    except UsageError as error:
        if not is_pushed:
            raise
        say(f"warning: {error.message}; the change is done: {whole['commit']} is pushed")
    _write_stdout(whole, output, before)
    _tell_next(whole, output)


def _write_stdout(document: Mapping[str, Any], output: Output, before: Sequence[str]) -> None:
    if output.format == "json":
        show(json_text(document).rstrip("\n").split("\n"))
    elif output.format == "none":
        return
    elif output.format == "yaml":
        import yaml  # noqa: PLC0415 - for this format alone

        plain = json.loads(json_text(document))
        text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=1000)
        show(text.splitlines())
    else:
        from gitops_rollback.tell.texts import lines_of  # noqa: PLC0415 - for people alone

        lines = lines_of(one_in(document), output)
        show(lines if output.format == "name" else [*before, *lines])


def _write_file(document: Mapping[str, Any], file: str | None) -> None:
    """Write a file whole or not at all, and leave nothing else behind."""
    if file is None:
        return
    try:
        write_whole(Path(file), json_text(document) + "\n")
    except OSError as error:
        raise UsageError(
            f"the result cannot be written to {file}: {error.strerror or error}", _TARGET_HINT
        ) from error


def json_text(document: Mapping[str, Any]) -> str:
    """Return a result as JSON, without secrets, and with escapes for what a terminal would obey."""
    text = json.dumps(hide_in(document), indent=1, ensure_ascii=False)
    return UNSAFE.sub(_in_json, text)


def _in_json(found: re.Match[str]) -> str:
    r"""Return a character as JSON's own escape; a byte that is no UTF-8 as the text `\xe9`."""
    shown = escaped(found[0])
    return f"\\{shown}" if ord(found[0]) in ESCAPED_BYTES else json.dumps(found[0])[1:-1]


def _tell_next(document: Mapping[str, Any], output: Output) -> None:
    """Say what to type next, where a person reads the result."""
    if output.format not in ("text", "wide") or output.options is None:
        return
    from gitops_rollback.tell.following import next_commands  # noqa: PLC0415 - for people alone

    for words, command in next_commands(document, output):
        say(f"{words}: {command}")


def error_to_json(error: GitopsRollbackError) -> dict[str, Any]:
    """Return an error as it stands in results, beside what was found."""
    code = {"code": error.code} if error.code else {}
    message, hint = (shortened(hide(text)) for text in (error.message, error.hint))
    body = {"category": error.category, **code, "message": message, "hint": hint}
    return {**error.found, "error": body}

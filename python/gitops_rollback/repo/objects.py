"""What git says of commits, trees and blobs, as values; and what `git fast-import` is told."""

from __future__ import annotations

from bisect import bisect_left
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from gitops_rollback.errors import RepositoryError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import LogEntry

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

# Hash, time, author, "grafted" where the fetch ends, the whole message; what --raw says follows.
_NO_TIME = "1970-01-01T00:00:00Z"
MESSAGE_FORMAT = "%H%x1f%P%x1f%cd%x1f%an%x1f%B"
LOG_FORMAT = "%x00%H%x1f%cd%x1f%an%x1f%D%x1f%B%x1f"

# By protocol v2, and by v0, which tells it among its capabilities.
_HEAD = regex(r"< ([0-9a-f]+) HEAD( .*|\\0.*)\n")
_NAMED = regex(r"(?: symref-target:|(?: |\\0)symref=HEAD:)(\S+)")
_BRANCH = "refs/heads/"
_OCTAL = regex(r"\\(37777777[0-7]{3}|[23][0-7]{2})")  # of a signed or an unsigned byte
_BLOBS = ("100644 blob ", "100755 blob ")  # a mode is of six digits
_NEW_FILE_MODE = "100644"
_HALF_A_MESSAGE = 500_000  # bytes: ours name a service in some 600
_FILE_MODE, _FOLDER_MODE = b"100", b"040000"  # what they begin with: git of old wrote 100664
_IN_THE_WAY = {b"120000": "a link", b"160000": "a submodule", b"040000": "a folder"}
_OID = regex(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Tip:
    """The newest commit of a branch."""

    branch: str
    commit: str


class Entry(NamedTuple):
    """A regular file in a commit: its mode and the object that holds its content.

    A tuple, since there are tens of thousands.
    """

    path: str
    mode: str
    oid: str


@dataclass(frozen=True)
class PathChange:
    """A commit that changed a file: when, by whom, and the object with the new content.

    `is_oldest` tells that nothing before it was fetched: whether it changed the file is not known.
    """

    commit: str
    at: str
    by: str
    oid: str
    message: str = ""
    is_oldest: bool = False


def garbled(command: str) -> RepositoryError:
    """Return the error for a git that ends without one, and did not say what git says."""
    return RepositoryError(
        f"git {command} ended without an error, and without its answer",
        "look whether the `git` that PATH names first is git (`git --version`), and at the memory"
        " and the disk of this machine; then run the same command again",
    )


@contextmanager
def _answer_of(command: str) -> Iterator[None]:
    """Read what git says in the form in which it says it; raises `RepositoryError` for another."""
    try:
        yield
    except ValueError as error:
        raise garbled(command) from error


def read_oid(output: bytes | str, command: str) -> str:
    """Read the id of one object; nothing else may ever stand in the place of a commit to push."""
    text = (output.decode(errors="replace") if isinstance(output, bytes) else output).strip()
    if not _OID.fullmatch(text):
        raise garbled(command)
    return text


def read_tree(output: bytes) -> list[Entry]:
    """Read the regular files of `git ls-tree -r -z`: no links, no submodules.

    Raises `RepositoryError` where a path stands there twice, as in a folder that no git makes.
    """
    if not output.endswith(b"\0") and output:
        raise garbled("ls-tree")
    text = output.decode(errors="surrogateescape")
    lines = [line for line in text.split("\0") if line.startswith(_BLOBS)]
    with _answer_of("ls-tree"):
        tab = lines[0].index("\t") if lines else 0  # as in each: ids are of one length
    made = tuple.__new__  # as `Entry(…)`, in half the time
    entries = [made(Entry, (line[tab + 1 :], line[:6], line[12:tab])) for line in lines]
    if len({entry.path for entry in entries}) < len(entries):
        paths = sorted(entry.path for entry in entries)
        twice = next(one for one, other in pairwise(paths) if one == other)
        raise RepositoryError(
            f"{twice} stands twice in one commit: nothing tells which of them counts",
            "remove one of them on the branch (git fsck shows the folder), then run this again",
        )
    return entries


def read_others(output: bytes) -> frozenset[str]:
    """Read the paths of the links and submodules of `git ls-tree -r -z`."""
    lines = output.decode(errors="surrogateescape").split("\0")
    return frozenset(line.partition("\t")[2] for line in lines if not line.startswith(_BLOBS))


def between(paths: Sequence[str], folder: str) -> range:
    """Return the places, among sorted paths, of those that lie below a folder."""
    # 0 is the character that follows the slash
    return range(bisect_left(paths, f"{folder}/"), bisect_left(paths, f"{folder}0"))


def read_heads(output: bytes) -> dict[str, str]:
    """Read `git ls-remote`: tips by branch."""
    lines = (line.partition("\t") for line in output.decode(errors="replace").split("\n"))
    return {
        name.removeprefix(_BRANCH): tip for tip, _tab, name in lines if name.startswith(_BRANCH)
    }


def head_in(packets: str, commit: str) -> str | None:
    """Return the branch that HEAD is, by what `GIT_TRACE_PACKET` wrote of a server's answer.

    None where that was another commit, or the server did not say, or said several.
    """
    lines = (told[2] for told in _HEAD.finditer(packets) if told[1] == commit)
    name, *others = {name for line in lines for name in _NAMED.findall(line)} or {""}
    if others or not name.startswith(_BRANCH):
        return None
    # What is not ASCII is written in octal digits, and no branch has a backslash.
    raw = _OCTAL.sub(lambda found: chr(int(found[1], 8) % 256), name.removeprefix(_BRANCH))
    return raw.encode("latin-1").decode(errors="surrogateescape")


def read_log(output: bytes) -> list[LogEntry]:
    """Read `git log -z` with `MESSAGE_FORMAT`, newest first."""
    entries = []
    for part in output.split(b"\0"):
        fields = _decoded(part).strip("\n").split("\x1f", 4)
        if len(fields) == MESSAGE_FORMAT.count("%x1f") + 1:
            commit, parents, at, by, message = fields
            entries.append(LogEntry(commit, _moment(at), by, message, tuple(parents.split())))
    return entries


def _decoded(part: bytes) -> str:
    """Return a commit as text: of a message that is none of ours its beginning and its end.

    One character of another language makes four bytes in memory of each.
    """
    if len(part) > 2 * _HALF_A_MESSAGE:
        part = part[:_HALF_A_MESSAGE] + part[-_HALF_A_MESSAGE:]
    return part.decode(errors="replace")


def _moment(at: str) -> str:
    """Return the time of a commit, which anybody can write: the beginning of time for no year."""
    return at if len(at) == len(_NO_TIME) else _NO_TIME


def read_changes(output: bytes) -> list[tuple[str, bool, PathChange]]:
    """Read `git log --raw -z` with `LOG_FORMAT`: each change of a file, newest first.

    With its path, and whether it was there after it; else the object is the one with what the file
    held before.
    """
    with _answer_of("log"):
        return [*_raw_changes(output)]


def _raw_changes(output: bytes) -> Iterator[tuple[str, bool, PathChange]]:
    commit = at = by = decoration = message = ""
    parts = iter(output.split(b"\0"))
    for part in parts:
        if b"\x1f" in part:
            head = _decoded(part).rpartition("\x1f")[0]
            commit, at, by, decoration, message = head.split("\x1f", 4)
        elif part.lstrip().startswith(b":"):
            _mode, _old_mode, old, new, status = part.decode().split(" ")
            path = next(parts, b"").decode(errors="surrogateescape")
            is_there = status != "D"
            is_oldest = "grafted" in decoration.split(", ")
            oid = new if is_there else old
            yield path, is_there, PathChange(commit, _moment(at), by, oid, message, is_oldest)


def read_batch(output: bytes) -> list[tuple[str, bytes]]:
    """Read the answer of `git cat-file --batch`; what is missing is left out."""
    found = []
    offset = 0
    with _answer_of("cat-file"):
        while offset < len(output):
            end = output.index(b"\n", offset)
            start = end + 1
            if output.endswith(b" missing", offset, end):
                offset = start
                continue
            oid, _kind, size = output[offset:end].decode().split(" ")
            offset = start + int(size)
            if output[offset : offset + 1] != b"\n":
                raise garbled("cat-file")
            found.append((oid, output[start:offset]))
            offset += 1
    return found


def import_stream(
    ref: str, parent: str, files: Mapping[str, bytes | None], modes: Mapping[str, str]
) -> bytes:
    """Return what makes `git fast-import` put files on a commit; a file keeps its mode.

    A file without bytes (None) is deleted. First it is asked what stands at each path and above:
    what it answers is for `check_ways`.
    """
    stream = [f"commit {ref}\ncommitter x <x> 0 +0000\ndata 0\nfrom {parent}\n".encode()]
    stream += [b"ls " + _quoted(way) + b"\n" for way in ways_to(files)]
    for path, data in files.items():
        if data is None:
            stream.append(b"D " + _quoted(path) + b"\n")
            continue
        head = f"M {modes.get(path, _NEW_FILE_MODE)} inline ".encode() + _quoted(path)
        stream.append(head + f"\ndata {len(data)}\n".encode() + data + b"\n")
    return b"".join(stream)


def check_ways(output: bytes, files: Collection[str]) -> None:
    """Raise `RepositoryError` where a link, a submodule or the like is in the way of a file.

    `git fast-import` would put the file in its place: nobody asked that it be taken away.
    """
    ways, answers = ways_to(files), output.splitlines()
    if len(ways) != len(answers):
        raise garbled("fast-import")
    for way, answer in zip(ways, answers, strict=True):
        mode = answer.partition(b" ")[0]
        if not mode.startswith((b"missing", _FILE_MODE if way in files else _FOLDER_MODE)):
            path = next(path for path in files if path == way or path.startswith(f"{way}/"))
            raise RepositoryError(
                f"{path} cannot be written: {way} is {_IN_THE_WAY.get(mode, 'a file')} there",
                f"give {way} another name on the branch, or remove it; then run this again",
            )


def ways_to(files: Iterable[str]) -> list[str]:
    """Return the folders above some files, and the files, from the top down."""
    steps = (path.split("/") for path in files)
    ways = ("/".join(names[:end]) for names in steps for end in range(1, len(names) + 1))
    return list(dict.fromkeys(ways))


def _quoted(path: str) -> bytes:
    """Quote a path for `git fast-import`."""
    raw = path.encode(errors="surrogateescape")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'

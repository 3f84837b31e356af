"""What a tag is made of: a version, a date, a number, a commit id, and the text around them. Pure.

A tag is read in the company of the others, for alone it can be ambiguous: `1932033` is a commit id
among commit ids and a number among numbers, and `-17` after a version is a build where it counts
builds and a base image where it names one. What stands around the ordered parts is the variant and
is compared exactly, as Renovate's docker versioning does (renovatebot/renovate,
lib/modules/versioning/docker): digits in it (`-alpine3.18`, `python3.12-`, `-cuda12.4`) are no
version. `v` before a version is no variant. Where two tags have no order, the reason is said.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass, regex, replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

OLDER, NEWER, SAME, UNORDERED, OTHER = "older", "newer", "same", "unordered", "other"

VERSION, DATE, TIME, NUMBER, COMMIT = "version", "date", "time", "number", "commit"
_NAMES = {
    VERSION: "a version",
    DATE: "a date",
    TIME: "a time",
    NUMBER: "a number",
    COMMIT: "a commit id",
}

# Words of a pre-release, and their order; what is not here is a variant.
_PRE_RANKS = {
    **dict.fromkeys(("dev", "snapshot", "nightly", "canary", "unstable", "ea", "next"), 0),
    **dict.fromkeys(("alpha", "a"), 1),
    **dict.fromkeys(("beta", "b"), 2),
    **dict.fromkeys(("pre", "preview", "milestone", "m"), 3),
    **dict.fromkeys(("rc", "cr", "c"), 4),
}
_LETTERS = ("a", "b", "c", "m")  # too short to be read without a number
# Words whose number counts builds or revisions, wherever they stand.
_COUNTED = ("build", "r", "rev", "revision", "ci", "run", "job", "jenkins", "pipeline", "post", "p",
            "patch", "hotfix", "sp", "update", "u", "bld")  # fmt: skip
# Words whose number says whose the image is: another number is another thing, not another time.
_NAMED = ("pr", "mr", "pull", "merge", "issue", "ticket", "branch", "feature", "bug", "fix")
# Words of bases, platforms and languages: their number is a part of the variant.
_BASES = (
    "alpine", "debian", "ubuntu", "ubi", "centos", "rocky", "rockylinux", "alma", "almalinux",
    "fedora", "el", "rhel", "photon", "amazonlinux", "al", "busybox", "wolfi", "distroless",
    "bookworm", "bullseye", "buster", "jammy", "noble", "focal", "trixie", "slim", "ltsc",
    "windows", "windowsservercore", "nanoserver", "servercore", "python", "py", "cpython", "pypy",
    "node", "nodejs", "php", "ruby", "perl", "go", "golang", "rust", "jdk", "jre", "java",
    "openjdk", "temurin", "corretto", "zulu", "graalvm", "dotnet", "net", "aspnet", "cuda", "rocm",
    "cudnn", "tensorrt", "torch", "tf", "gcc", "clang", "llvm", "musl", "glibc", "pg", "postgres",
    "postgresql", "mysql", "mariadb", "redis", "nginx", "apache", "tomcat", "jetty", "mssql",
    "arm", "arm64v", "armv", "armhf", "amd", "x", "i", "aarch", "ppc", "s", "riscv", "mips", "win",
    "linux", "darwin", "api", "scala", "spark", "hadoop", "erlang", "otp", "elixir", "qt", "maven",
    "gradle", "k8s", "kubernetes", "helm", "openssl", "fips", "eclipse", "buildpack", "stack",
)  # fmt: skip

_PLAUSIBLE_DATE = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?"
_END = r"(?![A-Za-z0-9])"
_COMMIT = r"g?(?=[0-9]*[a-f])[0-9a-f]{7,64}"
_TOKEN = regex(
    rf"""
    (?P<dashed>(?:19|20)\d\d(?P<s>[-_])(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12]\d|3[01])
        (?:[T_-](?:[01]\d|2[0-3])[-_.]?[0-5]\d(?:[-_.]?[0-5]\d)?Z?)?){_END}
  | (?P<date>{_PLAUSIBLE_DATE}(?:[T]?{_CLOCK}Z?|[-_](?:[01]\d|2[0-3])[0-5]\d[0-5]\d)?){_END}
  | (?P<version>[vV]?\d+(?:\.\d+)+|[vV]\d+)
    (?P<pre>(?![-_.]{_COMMIT}{_END})(?:[-_.]?(?P<word>[A-Za-z]+)(?:[-_.]?(?P<count>\d+(?:\.\d+)*))?){_END})?
    (?P<describe>-(?P<distance>\d+)-g(?P<tip>[0-9a-f]{{7,40}}){_END})?
  | (?P<commit>{_COMMIT}){_END}
  | (?P<digits>\d+){_END}
  | (?P<counted>(?i:{"|".join(sorted(_COUNTED, key=len, reverse=True))}))(?=[.-]?\d+{_END})
  | (?P<text>[A-Za-z]+(?:\d+(?:\.\d+)*)?[A-Za-z0-9]*|[A-Za-z0-9]+)
  | (?P<separator>[^A-Za-z0-9]+)
    """,
    re.VERBOSE | re.ASCII,
)
_UNIX = regex(r"1\d{9}|1\d{12}", re.ASCII)  # seconds of 2001 to 2033, or milliseconds
_ATTACHED = regex(r"([A-Za-z][A-Za-z._-]*?)(\d+(?:\.\d+)*)", re.ASCII)
_LEAST_COMMIT = 7  # digits of a short commit id

Order = tuple[Any, ...]  # parts of one template are of the same kinds, and compare


@dataclass(frozen=True)
class Relation:
    """How a tag stands to the running one, and why where that is not plain."""

    kind: str
    reason: str = ""


@dataclass(frozen=True)
class _Piece:
    """A part of a tag: an ordered one, a commit id, or (kind "") text."""

    kind: str
    text: str
    numbers: tuple[int, ...] = ()
    pre: tuple[int, str, tuple[int, ...]] | None = None
    distance: int = 0
    commit: str = ""
    is_counter: bool = False  # a word before says that it counts builds


@dataclass(frozen=True)
class Shape:
    """A tag taken apart. Tags whose `template` is the same are tags of one kind of image."""

    name: str
    pieces: tuple[_Piece, ...]

    @cached_property
    def template(self) -> tuple[str, ...]:
        """The text as it stands, and the kinds of what varies; compared exactly."""
        parts: list[str] = []
        for piece in self.pieces:
            if not piece.kind:
                parts.append(piece.text)
            elif piece.kind == VERSION:
                parts.append(f"<{VERSION} of {len(piece.numbers)}>")
            else:
                parts.append(f"<{piece.kind}>")
        return tuple(parts)

    @cached_property
    def order(self) -> Order:
        """What tags of one template are ordered by; empty where nothing orders them."""
        key: list[Any] = []
        for piece in self.pieces:
            if piece.kind == VERSION:
                release = (1,) if piece.pre is None else (0, *piece.pre)
                key += [piece.numbers, release, piece.distance]
            elif piece.kind in (DATE, TIME, NUMBER):
                key.append(piece.numbers)
        return tuple(key)

    @property
    def kind(self) -> str:
        """What orders it: the first of version, date, time, number; else commit; else ""."""
        kinds = [piece.kind for piece in self.pieces]
        return next((k for k in (VERSION, DATE, TIME, NUMBER, COMMIT) if k in kinds), "")

    @property
    def version(self) -> _Piece | None:
        """The version in it, if there is one."""
        return next((piece for piece in self.pieces if piece.kind == VERSION), None)

    @property
    def is_pre_release(self) -> bool:
        """Whether it is a pre-release, or a commit after a release."""
        version = self.version
        return version is not None and (version.pre is not None or version.distance > 0)

    @property
    def form(self) -> str:
        """The tag with names for what varies, for people: `VERSION-alpine3.18`."""
        return "".join(
            piece.text if not piece.kind else piece.kind.upper() for piece in self.pieces
        )


class Shapes:
    """The shapes of all tags of a repository."""

    def __init__(self, names: Iterable[str]) -> None:
        raw = [Shape(name, tuple(_pieces(name))) for name in dict.fromkeys(names)]
        self._commits = _commit_forms(raw)
        settled = [self._settle(shape) for shape in raw]
        self._named = _named_numbers(settled)
        self._shapes = {shape.name: _with_named(shape, self._named) for shape in settled}

    def of(self, name: str) -> Shape:
        """Return the shape of a tag, among the others or not."""
        if name not in self._shapes:
            settled = self._settle(Shape(name, tuple(_pieces(name))))
            self._shapes[name] = _with_named(settled, self._named)
        return self._shapes[name]

    def _settle(self, shape: Shape) -> Shape:
        told = _with_commits(shape, self._commits)
        return Shape(shape.name, tuple(_settled(shape.name, told.pieces)))

    def compare(self, name: str, running: str) -> Relation:
        """Tell whether a tag is of the running tag's kind, and before or after it."""
        one, other = self.of(name), self.of(running)
        if one.template != other.template:
            return Relation(OTHER, _why_other(one, other))
        if one.is_pre_release and not other.is_pre_release:
            return Relation(OTHER, "it is a pre-release, and the running one is a release")
        if not other.order:
            what = "commit ids have no order" if other.kind == COMMIT else "words have no order"
            return Relation(UNORDERED, what)
        if one.order == other.order:
            return Relation(SAME, f"it is of the same {_plain(other.kind)} as the running one")
        if one.order < other.order:
            return Relation(OLDER)
        return Relation(NEWER, f"it is a newer {_plain(other.kind)} than the running one")

    def is_version_tag(self, name: str) -> bool:
        """Tell whether a tag names one build: a version, date, number or commit id.

        Words alone are none, nor is what moves on: `v1`, and `1.4` where there is a 1.4.2.
        """
        shape = self.of(name)
        return bool(shape.kind) and not self.is_floating(name)

    def is_floating(self, name: str) -> bool:
        """Tell whether a tag is moved from release to release, as `1.4` is where 1.4.2 exists."""
        version = self.of(name).version
        if version is None:
            piece = self.of(name).pieces
            numbers = piece[0].numbers if len(piece) == 1 and piece[0].kind == NUMBER else ()
        else:
            numbers = version.numbers
        if not numbers:
            return False
        if version is not None and len(numbers) == 1:
            return True
        return numbers in self._beginnings

    @cached_property
    def _beginnings(self) -> frozenset[tuple[int, ...]]:
        found = set()
        for shape in self._shapes.values():
            version = shape.version
            if version is not None:
                found |= {version.numbers[:end] for end in range(1, len(version.numbers))}
        return frozenset(found)


def is_version_tag(name: str, others: Iterable[str] = ()) -> bool:
    """Tell whether a tag names one build, in the company of others: see `Shapes`."""
    return Shapes([name, *others]).is_version_tag(name)


def _plain(kind: str) -> str:
    return _NAMES[kind].partition(" ")[2]


def _why_other(one: Shape, other: Shape) -> str:
    """Say in what a tag is of another kind than the running one."""
    if one.kind != other.kind:
        if not one.kind:
            return f"it names no {_plain(other.kind)}" if other.kind else "it is another word"
        runs = _NAMES.get(other.kind, "a word")
        return f"it is {_NAMES[one.kind]}, and what runs is {runs}"
    one_version, other_version = one.version, other.version
    if one_version and other_version:
        lengths = len(one_version.numbers), len(other_version.numbers)
        if lengths[0] != lengths[1]:
            return f"its version has {_count(lengths[0])}, the running one {lengths[1]}"
    return f"it is of another form, {one.form}, than the running tag, {other.form}"


def _count(number: int) -> str:
    return f"{number} number{'s' if number > 1 else ''}"


def _pieces(text: str) -> Iterator[_Piece]:
    tokens = list(_TOKEN.finditer(text))
    for index, token in enumerate(tokens):
        yield from _read(token, _at(tokens, index))


def _at(tokens: Sequence[re.Match[str]], index: int) -> str:
    """Return the word before a token, without its separator, in small letters."""
    before = tokens[index - 1] if index else None
    if before is not None and before["separator"] and index > 1:
        before = tokens[index - 2]
    return before[0].lower() if before is not None else ""


def _read(token: re.Match[str], before: str) -> list[_Piece]:
    text = token[0]
    if token["version"]:
        return _read_version(token, before)
    if token["dashed"] or token["date"]:
        return [_Piece(DATE, text, tuple(int(n) for n in re.findall(r"\d+", _whole(token))))]
    if token["commit"]:
        return [_Piece(COMMIT, text, commit=text.removeprefix("g"))]
    if token["digits"]:
        if before in _BASES or before in _NAMED:
            return [_Piece("", text)]
        kind = TIME if _UNIX.fullmatch(text) else NUMBER
        return [_Piece(kind, text, (int(text),), is_counter=before in _COUNTED)]
    return [_Piece("", text)]


def _whole(token: re.Match[str]) -> str:
    """Return a date as `YYYYMMDD HHMMSS`, however it was written."""
    digits = "".join(re.findall(r"\d", token[0]))
    return f"{digits[:8]} {digits[8:]:0<6}"


def _read_version(token: re.Match[str], before: str) -> list[_Piece]:
    text = token["version"]
    numbers = tuple(int(number) for number in text.lstrip("vV").split("."))
    if before in _BASES:
        return [_Piece("", token[0])]
    word, count = (token["word"] or "").lower(), token["count"]
    pre = None
    rest = token["pre"] or ""
    if word in _PRE_RANKS and (count or word not in _LETTERS):
        pre = (_PRE_RANKS[word], word, tuple(int(n) for n in count.split(".")) if count else ())
        rest = ""
    distance = int(token["distance"]) if token["describe"] else 0
    version = _Piece(VERSION, text, numbers, pre, distance)
    tail = list(_pieces(rest))
    if not token["describe"]:
        return [version, *tail]
    if tail:  # what is described is a variant: 1.4.2-lts-5-gabc1234
        return [version, *tail, _Piece("", token["describe"])]
    return [version]


def _attached(name: str, pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """Read `build123` and `cart1.4.2`, where nothing else orders a tag and it is no base."""
    found = _ATTACHED.fullmatch(name)
    word = re.split(r"[._-]", found[1].lower())[-1] if found else ""
    if found is None or word in _BASES or word in _NAMED or not word:
        yield from pieces
        return
    numbers = tuple(int(number) for number in found[2].split("."))
    yield _Piece("", found[1])
    yield _Piece(VERSION if len(numbers) > 1 else NUMBER, found[2], numbers)


def _settled(name: str, pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """Let the first version be the version, and leave to the variant what only looks like one."""
    kinds = [piece.kind for piece in pieces]
    if not any(kinds):
        yield from _attached(name, pieces)
        return
    version = kinds.index(VERSION) if VERSION in kinds else None
    stamp = next((i for i, kind in enumerate(kinds) if kind in (DATE, TIME)), None)
    for index, piece in enumerate(pieces):
        is_late = piece.kind == VERSION and index != version
        is_early = piece.kind in (NUMBER, DATE, TIME) and version is not None and index < version
        is_branch = piece.kind == NUMBER and version is None and stamp is not None and index < stamp
        is_far = (
            piece.kind == NUMBER
            and version is not None
            and index > version
            and not piece.is_counter
            and any(not other.kind and other.text.isalnum() for other in pieces[version:index])
        )
        text_only = is_late or is_early or (is_branch and not piece.is_counter) or is_far
        yield _Piece("", piece.text) if text_only else piece


def _commit_forms(shapes: Iterable[Shape]) -> frozenset[tuple[tuple[str, ...], int, int]]:
    """Return where commit ids stand that have a letter: template, place, and length."""
    return frozenset(
        (shape.template, place, len(piece.commit))
        for shape in shapes
        for place, piece in enumerate(shape.pieces)
        if piece.kind == COMMIT
    )


def _with_commits(shape: Shape, forms: frozenset[tuple[tuple[str, ...], int, int]]) -> Shape:
    """Read digits as a commit id where the others of its length there are commit ids."""
    for place, piece in enumerate(shape.pieces):
        if piece.kind not in (NUMBER, TIME) or len(piece.text) < _LEAST_COMMIT:
            continue
        as_commit = _Piece(COMMIT, piece.text, commit=piece.text)
        other = replace(
            shape, pieces=(*shape.pieces[:place], as_commit, *shape.pieces[place + 1 :])
        )
        if (other.template, place, len(piece.text)) in forms:
            return _with_commits(other, forms)
    return shape


_Named = frozenset[tuple[tuple[str, ...], int]]


def _named_numbers(shapes: Iterable[Shape]) -> _Named:
    """Return where numbers stand that name a thing and do not count builds.

    A build number belongs to one build. Where the same number stands beside several commit ids it
    is a branch's or an issue's; where it stands behind several versions it counts the revisions of
    each (1, 2, 3) or names a base (8, 11, 17).
    """
    groups: dict[tuple[tuple[str, ...], int], dict[object, set[int]]] = {}
    beside: dict[tuple[tuple[str, ...], int], dict[int, set[object]]] = {}
    for shape in shapes:
        company = _company(shape)
        for place, piece in enumerate(shape.pieces):
            if piece.kind != NUMBER or piece.is_counter or company is None:
                continue
            key = (shape.template, place)
            groups.setdefault(key, {}).setdefault(company, set()).add(piece.numbers[0])
            beside.setdefault(key, {}).setdefault(piece.numbers[0], set()).add(company)
    return frozenset(
        key
        for key, companies in beside.items()
        if any(len(with_it) > 1 for with_it in companies.values())
        and not all(_counts_up(numbers) for numbers in groups[key].values())
    )


def _company(shape: Shape) -> object | None:
    """Return what a number of a tag should belong to alone: its version, else its commit."""
    version = shape.version
    if version is not None:
        return version.numbers, version.pre
    return next((piece.commit for piece in shape.pieces if piece.kind == COMMIT), None)


def _counts_up(numbers: set[int]) -> bool:
    """Tell whether numbers count from 0 or 1 without a gap, as the revisions of a release do."""
    return numbers in ({*range(len(numbers))}, {*range(1, len(numbers) + 1)})


def _with_named(shape: Shape, named: _Named) -> Shape:
    places = {place for template, place in named if template == shape.template}
    if not places:
        return shape
    pieces = (
        _Piece("", piece.text) if place in places else piece
        for place, piece in enumerate(shape.pieces)
    )
    return replace(shape, pieces=tuple(pieces))

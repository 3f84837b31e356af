"""The parts of one tag, read alone: a version, a date, a number, a commit id, text. Pure.

What stands around the ordered parts is the variant, as in Renovate's docker versioning
(renovatebot/renovate, lib/modules/versioning/docker): digits in it (`-alpine3.18`, `python3.12-`,
`-cuda12.4`) are no version. What is ambiguous alone is settled in `shapes`, in company.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gitops_rollback.late import dataclass, regex, replace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSION, DATE, TIME, NUMBER, COMMIT = "version", "date", "time", "number", "commit"
DAY = "day"  # a date that ends in its year: which number is the month tells the company
# Words of a pre-release, and their order; what is not here is a variant.
_PRE_RANKS = {
    **dict.fromkeys(("dev", "snapshot", "nightly", "canary", "unstable", "ea", "next"), 0),
    **dict.fromkeys(("alpha", "a"), 1),
    **dict.fromkeys(("beta", "b"), 2),
    **dict.fromkeys(("pre", "preview", "milestone", "m"), 3),
    **dict.fromkeys(("rc", "cr", "c"), 4),
}
_LETTERS = ("a", "b", "c", "m")  # too short to be read without a number
# Words whose number behind a version counts what came after that release, which has none.
AFTER = ("post", "p", "patch", "hotfix", "sp", "update", "u")
# Words whose number counts builds or revisions, wherever they stand.
# `ls` is linuxserver.io's, `k3s` and `rke2r` are Rancher's, `gke` Google's, `ga` Liferay's.
COUNTED = ("build", "b", "r", "rev", "revision", "ci", "run", "job", "jenkins", "pipeline",
            *AFTER, "bld", "ls", "k3s", "rke2r", "gke", "ga", "alpha", "beta", "rc", "cr",
            "preview", "milestone", "snapshot", "security")  # fmt: skip
_CUMULATIVE = "CU"  # Microsoft SQL Server's updates; in small letters it is a version of CUDA
# Words whose number says whose the image is: another number is another thing, not another time.
NAMED = ("pr", "mr", "pull", "merge", "issue", "ticket", "branch", "feature", "bug", "fix", "feat",
         "bugfix", "story", "task", "chore", "dependabot", "renovate", "backport")  # fmt: skip
MACHINES = ("x86", "i386", "i486", "i586", "i686", "s390")
# Words of lines of development, whose number counts builds: that of SHOP-41 is a ticket's.
_TRUNKS = ("MAIN", "MASTER", "TRUNK", "DEVELOP", "DEV", "RELEASE", "REL", "VERSION", "VER", "PROD",
           "PRODUCTION", "STAGING", "STAGE", "TEST", "QA", "UAT", "STABLE", "NIGHTLY", "SPRINT",
           "HEAD", "LTS")  # fmt: skip
_COMMITTED = ("sha", "sha1", "git", "gitsha", "commit")  # words that a commit id follows
# Words of bases, platforms and languages: their number is a part of the variant.
BASES = (
    "alpine", "debian", "ubuntu", "ubi", "centos", "rocky", "rockylinux", "alma", "almalinux",
    "fedora", "el", "rhel", "photon", "amazonlinux", "al", "busybox", "wolfi", "distroless",
    "bookworm", "bullseye", "buster", "jammy", "noble", "focal", "trixie", "slim", "ltsc",
    "windows", "windowsservercore", "nanoserver", "servercore", "python", "py", "cpython", "pypy",
    "node", "nodejs", "php", "ruby", "perl", "go", "golang", "rust", "jdk", "jre", "java",
    "openjdk", "temurin", "corretto", "zulu", "graalvm", "dotnet", "net", "aspnet", "cuda", "rocm",
    "cudnn", "tensorrt", "torch", "tf", "gcc", "clang", "llvm", "musl", "glibc", "pg", "postgres",
    "postgresql", "mysql", "mariadb", "redis", "nginx", "apache", "tomcat", "jetty", "mssql",
    "arm", "arm64v", "armv", "armhf", "amd", "aarch", "ppc", "riscv", "mips", "win",
    "linux", "darwin", "scala", "spark", "hadoop", "erlang", "otp", "elixir", "qt", "maven",
    "gradle", "k8s", "kubernetes", "helm", "openssl", "fips", "eclipse", "buildpack",
    "cu", "sm", "ol", "fc", "sles", "leap", "opensuse", "stretch", "bionic", "xenial", "sid",
    "manylinux", "ros", "vs", "rails", "django", "sqlite", "psql", "abi",
)  # fmt: skip

# What may be a version of a base, of the few whose versions are known: `alpine-3.18`, `-318`;
# Debian's and Ubuntu's `-12.5`, `-2204`, also behind their names. Others have none.
_OF_DEBIAN = regex(r"[123]?\d(?:\.\d+)?|[12]\d{3}", re.ASCII)
_NONE = regex(r"(?!)")
_BASE_VERSIONS = {
    "alpine": regex(r"[23](?:\.\d+){0,2}|3\d{1,2}", re.ASCII),
    "distroless": _NONE,
    "wolfi": _NONE,
    **dict.fromkeys(("debian", "ubuntu", "bookworm", "bullseye", "buster", "trixie", "stretch",
                     "sid", "jammy", "noble", "focal", "bionic", "xenial", "slim"), _OF_DEBIAN),
}  # fmt: skip

_PLAUSIBLE_DATE = r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_CLOCK = r"(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?"
_END = r"(?![A-Za-z0-9])"
_COMMIT = r"(?:g|(?=[0-9]*[a-f]))[0-9a-f]{7,64}"
_TOKEN = regex(
    rf"""
    (?P<dashed>(?:19|20)\d\d(?P<s>[-_])(?:0[1-9]|1[0-2])(?P=s)(?:0[1-9]|[12]\d|3[01])
        (?:[Tt_-](?:[01]\d|2[0-3])[-_.]?[0-5]\d(?:[-_.]?[0-5]\d)?[Zz]?)?
      | (?:19|20)\d\d\.(?:0[1-9]|1[0-2])\.(?:0[1-9]|[12]\d|3[01])
        [Tt_-](?:[01]\d|2[0-3])[-_.][0-5]\d(?:[-_.][0-5]\d)?){_END}
  | (?P<date>[vV]?{_PLAUSIBLE_DATE}
        (?:[Tt]?{_CLOCK}[Zz]?|[-_](?:[01]\d|2[0-3])[0-5]\d[0-5]\d)?){_END}
  | (?P<week>(?:19|20)\d\d[-_.]?[WwQqRrHh]\d{{1,2}}){_END}
  | (?P<yearly>[rR]?(?:19|20)\d\d[a-z]){_END}
  | (?P<day>\d\d(?P<t>[-_.])\d\d(?P=t)(?:19|20)\d\d){_END}
  | (?P<line>[vV]?\d+(?:\.\d+)*\.[xX]){_END}
  | (?P<java>\d+u\d+(?:-b\d+)?){_END}
  | (?P<version>[vV]?\d+(?:\.(?!{_COMMIT}{_END})\d+)+|[vV]\d+)
    (?P<pre>(?![-_.]{_COMMIT}{_END})(?:[-_.]?(?P<word>[A-Za-z]+)(?:[-_.]?(?P<count>\d+(?:\.\d+)*))?){_END})?
    (?P<describe>-(?P<distance>\d+)-g(?P<tip>[0-9a-f]{{7,40}}){_END})?
  | (?P<commit>{_COMMIT}){_END}
  | (?P<digits>\d+){_END}
  | (?P<revision>\d+(?:ubuntu|build|nmu)(?:0\.\d\d\.\d\d\.)?\d+){_END}
  | (?P<ticket>(?!(?:{"|".join(_TRUNKS)}|(?i:{"|".join(COUNTED)}))-)[A-Z]{{2,10}}-\d+){_END}
  | (?P<counted>(?i:{"|".join(sorted(COUNTED, key=len, reverse=True))})|{_CUMULATIVE})
        (?=[.-]?\d+{_END})
  | (?P<text>[A-Za-z][A-Za-z0-9]*[A-Za-z]\d+(?:\.\d+)+{_END}
      | [A-Za-z]+(?:\d+(?:\.\d+)*)?[A-Za-z0-9]*|[A-Za-z0-9]+)
  | (?P<separator>[^A-Za-z0-9]+)
    """,
    re.VERBOSE | re.ASCII,
)
_UNIX = regex(r"1\d{9}|1\d{12}", re.ASCII)  # seconds of 2001 to 2033, or milliseconds
_COMMIT_DIGITS = regex(r"\d{7,64}", re.ASCII)
_RELEASE = regex(r"\d+(?:\.\d+){2,}", re.ASCII)
LEAST_RELEASE = 3  # numbers of a version that is a release whatever stands before it
_BEHIND = 2  # the place behind a word and a separator
_NAME_END = regex(r"\.|\d+|[A-Z]+-\d+", re.ASCII)
_REVISION = regex(r"(\d+)([a-z]+.*?)(\d+)", re.ASCII)
_ATTACHED = regex(r"([A-Za-z][A-Za-z._-]*?)(\d+(?:\.\d+)*)", re.ASCII)


@dataclass(frozen=True)
class Piece:
    """A part of a tag: an ordered one, a commit id, or (kind "") text, with what numbers it has."""

    kind: str
    text: str
    numbers: tuple[int, ...] = ()
    pre: tuple[int, str, tuple[int, ...]] | None = None
    distance: int = 0
    commit: str = ""
    letters: int = 0  # of a version: the place of what counts its patches, `w` of 1.1.1w
    is_counter: bool = False  # a word before says that it counts builds


def may_be_base(word: str, number: str) -> bool:
    """Tell whether a number behind the word of a base may be the base's version."""
    versions = _BASE_VERSIONS.get(word)
    return versions is None or versions.fullmatch(number) is not None


def letter_rank(letters: str) -> int:
    """Return the place of letters that count: a, b, …, z, za, zb, … as OpenSSL's releases do."""
    return 26 * (len(letters) - 1) + ord(letters[-1]) - ord("a") + 1


def pieces_of(text: str) -> Iterator[Piece]:
    """Yield the parts of a tag in order; together their texts are the tag.

    Behind a word that names a thing the first number is its name's, and no count of builds, where
    no dot or commit id or date comes first: `feature-shop-41-7` is a build of `feature-shop-41`.
    """
    tokens = list(_TOKEN.finditer(text))
    is_name = False
    for index, token in enumerate(tokens):
        for piece in _read(token, _at(tokens, index)):
            is_part = is_name and piece.kind in (NUMBER, VERSION)
            yield Piece("", piece.text, piece.numbers) if is_part else piece
            if piece.text.lower() in NAMED:
                is_name = True
            elif piece.kind or _NAME_END.fullmatch(piece.text):
                is_name = False


def _at(tokens: Sequence[re.Match[str]], index: int) -> str:
    """Return the word before a token, without its separator."""
    before = tokens[index - 1] if index else None
    if before is not None and before["separator"] and index > 1:
        before = tokens[index - 2]
    return before[0] if before is not None else ""


def _read(token: re.Match[str], before: str) -> list[Piece]:
    if before.lower() in _COMMITTED and _COMMIT_DIGITS.fullmatch(token[0]):
        return [Piece(COMMIT, token[0], commit=token[0])]
    if token["version"]:
        return _read_version(token, before)
    if token["digits"]:
        return [_read_digits(token[0], before)]
    if token["revision"]:
        return _read_revision(token[0])
    return [_read_plain(token)]


def _read_plain(token: re.Match[str]) -> Piece:
    """Read what means the same whatever stands beside it."""
    text = token[0]
    if token["java"] or token["week"]:
        kind = VERSION if token["java"] else DATE
        return Piece(kind, text, tuple(int(number) for number in re.findall(r"\d+", text)))
    if token["yearly"]:  # 2024a, r2024b: the first, the second of a year
        return Piece(DATE, text, (int(text[-5:-1]), letter_rank(text[-1])))
    if token["dashed"] or token["date"]:
        return Piece(DATE, text, tuple(int(n) for n in re.findall(r"\d+", _whole(token))))
    if token["commit"]:
        return Piece(COMMIT, text, commit=text.removeprefix("g"))
    return Piece(DAY if token["day"] else "", text)


def _read_digits(text: str, before: str) -> Piece:
    word = before.lower()
    is_counter = before == _CUMULATIVE or word in COUNTED or word.upper() in _TRUNKS
    if not is_counter and word in (*BASES, *NAMED):
        return Piece("", text)
    kind = TIME if _UNIX.fullmatch(text) else NUMBER
    return Piece(kind, text, (int(text),), is_counter=is_counter)


def _read_revision(text: str) -> list[Piece]:
    """Read `0ubuntu2`, and `1ubuntu0.22.04.3`, as Ubuntu counts what it makes of a package."""
    first, word, last = _REVISION.fullmatch(text).groups()  # type: ignore[union-attr]
    counts = (Piece(NUMBER, one, (int(one),), is_counter=True) for one in (first, last))
    return [next(counts), Piece("", word), next(counts)]


def _whole(token: re.Match[str]) -> str:
    """Return a date as `YYYYMMDD HHMMSS`, however it was written."""
    digits = "".join(re.findall(r"\d", token[0]))
    return f"{digits[:8]} {digits[8:]:0<6}"


def _read_version(token: re.Match[str], before: str) -> list[Piece]:
    text = token["version"]
    numbers = tuple(int(number) for number in text.lstrip("vV").split("."))
    if before.lower() in BASES and may_be_base(before.lower(), text):
        return [Piece("", text), *pieces_of(token[0].removeprefix(text))]
    word, count = (token["word"] or "").lower(), token["count"]
    pre = None
    rest = token["pre"] or ""
    if word in _PRE_RANKS and (count or word not in _LETTERS):
        pre = (_PRE_RANKS[word], word, tuple(int(n) for n in count.split(".")) if count else ())
        rest = ""
    distance = int(token["distance"]) if token["describe"] else 0
    version = Piece(VERSION, text, numbers, pre, distance)
    tail = list(pieces_of(rest))
    if not token["describe"]:
        return [version, *tail]
    if tail:  # what is described is a variant: 1.4.2-lts-5-gabc1234
        return [version, *tail, Piece("", token["describe"])]
    return [version]


def _of_base(pieces: Sequence[Piece]) -> list[Piece]:
    """Read `node-20.11.0-alpine`, which names nothing else: the version of its base is its own."""
    if len(pieces) <= _BEHIND or not _RELEASE.fullmatch(pieces[_BEHIND].text):
        return []
    numbers = tuple(int(number) for number in pieces[_BEHIND].text.split("."))
    version = Piece(VERSION, pieces[_BEHIND].text, numbers)
    return [*pieces[:_BEHIND], version, *pieces[_BEHIND + 1 :]]


def _attached(name: str, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Read `build123` and `cart1.4.2`, where nothing else orders a tag and it is no base."""
    found = _ATTACHED.fullmatch(name)
    word = re.split(r"[._-]", found[1].lower())[-1] if found else ""
    if found is None or word in BASES or word in NAMED or not word:
        yield from pieces
        return
    numbers = tuple(int(number) for number in found[2].split("."))
    yield Piece("", found[1])
    yield Piece(VERSION if len(numbers) > 1 else NUMBER, found[2], numbers)


def settled(name: str, pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Let the first version be the version, and leave to the variant what only looks like one."""
    pieces = list(_with_generations(pieces))
    kinds = [piece.kind for piece in pieces]
    if not any(kinds):
        yield from _of_base(pieces) or _attached(name, pieces)
        return
    version = _release_at(pieces)
    pieces = list(_counting(pieces, version))
    stamp = next((i for i, kind in enumerate(kinds) if kind in (DATE, TIME)), None)
    for index, piece in enumerate(pieces):
        is_other = piece.kind == VERSION and index != version
        is_early = piece.kind == NUMBER and version is not None and index < version
        is_branch = piece.kind == NUMBER and version is None and stamp is not None and index < stamp
        is_far = (
            piece.kind == NUMBER
            and version is not None
            and index > version
            and any(not other.kind and other.text.isalnum() for other in pieces[version:index])
        )
        stamped = _stamped(piece) if is_other and index == (version or 0) + _BEHIND else ()
        if stamped:
            yield from stamped
        elif is_other or is_early or ((is_branch or is_far) and not piece.is_counter):
            yield Piece("", piece.text, piece.numbers)
        else:
            yield piece


def _counting(pieces: Sequence[Piece], version: int | None) -> Iterator[Piece]:
    """Mark numbers that count builds by what stands before them.

    That is a dot somewhere behind a version, as semantic versions count; `_` directly behind it,
    which stands for `+`, for a tag has none: `17.0.12_7`; or a date, of which they are the builds.
    """
    for index, piece in enumerate(pieces):
        before = pieces[index - 1].text if index else ""
        is_dotted = before == "." and version is not None
        is_metadata = before == "_" and version is not None and index == version + _BEHIND
        is_of_day = index >= _BEHIND and pieces[index - _BEHIND].kind == DATE
        counts = piece.kind == NUMBER and (is_dotted or is_metadata or is_of_day)
        yield replace(piece, is_counter=True) if counts else piece


def _release_at(pieces: Sequence[Piece]) -> int | None:
    """Return the place of the version that is the release: the first, but for a short one's next.

    `8.3-1.4.2` is 1.4.2 upon 8.3, as `2.13-3.7.0` is Kafka 3.7.0 upon Scala 2.13.
    """
    places = [index for index, piece in enumerate(pieces) if piece.kind == VERSION]
    if len(places) > 1 and places[1] == places[0] + _BEHIND:
        one, other = pieces[places[0]], pieces[places[1]]
        if len(one.numbers) < LEAST_RELEASE <= len(other.numbers):
            return places[1]
    return places[0] if places else None


def _stamped(piece: Piece) -> tuple[Piece, ...]:
    """Return what `1123.1719560047` behind a version is: a build's number and its time.

    So is `0.20240501103000` behind a version that Go makes of a commit.
    """
    number, dot, time = piece.text.partition(".")
    told = tuple(pieces_of(time))
    if not number.isdecimal() or [one.kind for one in told] not in ([TIME], [DATE]):
        return ()
    build = Piece(NUMBER, number, (int(number),), is_counter=True)
    return build, Piece("", dot), *told


def _with_generations(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Read a lone `v2` beside a version: before it a line of its own, directly behind it a count.

    `v2-api-1.4.2` and `v1-api-1.4.2` are two things; `7.2.4-v9` is the ninth build of 7.2.4.
    """
    places = [i for i, piece in enumerate(pieces) if piece.kind == VERSION]
    version = next((i for i in places if len(pieces[i].numbers) > 1), None)
    for index, piece in enumerate(pieces):
        if version is None or piece.kind != VERSION or len(piece.numbers) > 1 or piece.pre:
            yield piece
        elif index == version + 2 and not pieces[version + 1].text.isalnum():
            yield Piece("", piece.text[0])
            yield Piece(NUMBER, piece.text[1:], piece.numbers, is_counter=True)
        else:
            yield Piece("", piece.text)

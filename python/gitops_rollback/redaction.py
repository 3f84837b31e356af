"""Known secrets, and the one filter through which all that leaves has gone: log, result, page.

A secret is known from where it enters: `know`. From then on `hide` takes it out of every text, also
where a server, a library or a person repeats it percent-encoded, as base64 (as `Authorization`
headers have it), as JSON or a shell would quote it, or over several lines. What stands in the place
of a user and a password in an address is hidden even where nobody knew of it.

The secrets are the process's, as its environment is; they are kept nowhere else. No I/O.
"""

from __future__ import annotations

import json
import re
import sys
from base64 import b64encode
from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_rollback.late import regex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

MASK = "***"
SHORTEST = 4  # characters: a shorter one stands in any text by chance
# The variables that hold secrets (design 4).
VARIABLES = (
    "GIT_PASSWORD",
    "JENKINS_TOKEN",
    "JENKINS_PASSWORD",
    "DOCKERHUB_TOKEN",
    "REGISTRY_PASSWORD",
    "GITHUB_TOKEN",
    "GH_TOKEN",
    "GITLAB_TOKEN",
)
HEADERS = "JENKINS_API_EXTRA_HEADERS"  # lines, some of which are secrets: by the header's name,
_SECRET_HEADER = regex(
    r"auth|cookie|token|secret|passw|key|credential|session|signature|jwt", re.IGNORECASE
)
_LIKE_A_TOKEN = regex(r"[\w+/=-]{16,}")  # or by what it is: no name, host or path
# How git is told a password for ssh, which it repeats where that program cannot be run.
_SSH, _SSH_PASSWORD = "GIT_SSH_COMMAND", "SSHPASS"
_OF_SSHPASS = regex(r"\bsshpass\s+(?:-[^p\s]\S*\s+)*-p\s*(?:\"([^\"]*)\"|'([^']*)'|(\S+))")
# The options whose value is an address or begins with a host, whatever is wrong with it.
ADDRESSES = (
    *("repository", "hub-url", "registry-url", "forge-url", "jenkins", "library-url", "source"),
    *("registry-host", "image", "from", "to", "store"),
)
# Variables of others that hold one.
_ADDRESS_VARIABLES = (
    *("JENKINS_URL", "BUILD_URL", "REGISTRY_HOST", "http_proxy", "https_proxy", "all_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"),
)
_LEAST_TOKEN = 16  # characters: who stands alone before a host may be a token; a name is shorter
_LEAST_TORN = 8  # characters: a shorter one is looked for only as it is, or broken at a line end
# Who stands before the host in an address, whatever is wrong with the address; not a folder's name.
_USER_IN_URL = regex(
    r"\b(?!directory:[/.~]|file:///)([A-Za-z][A-Za-z0-9+.-]{0,20}:[/\\]{1,9})(?:[^\s'\"<>@]{1,2000}@)+"
)
# A secret in an address's question, as in one that is signed, or in its fragment.
_QUESTION = regex(
    r"([?&;#][\w.-]{0,40}(?:token|secret|passw(?:or)?d|signature|sig|credential|api_?key)=)"
    r"[^\s&;'\"<>]{1,4000}",
    re.IGNORECASE,
)
# What people hand to one another as a token, by the forms that GitHub, GitLab and Docker gave them.
_TOKENS = regex(
    r"\b(?:gh[pousr]_\w{20,255}|github_pat_\w{20,255}|gl(?:pat|ptt|dt|rt|cbt)-[\w.-]{16,255}"
    r"|dckr_[op]at_[\w-]{16,255})"
)
# Without one of these there is neither: most texts are looked through by this alone.
_HEADS = (
    *("uthorization", "UTHORIZATION", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "glptt-", "gldt-", "glrt-", "glcbt-", "dckr_"),
)
_HEADER = regex(
    r"(\b(?:proxy-)?authorization['\"]?\s{0,9}[:=]\s{0,9}['\"]?(?:basic|bearer|token)?\s{1,9})"
    r"[\w.~+/=-]{4,8000}",
    re.IGNORECASE,
)
# `user:password@host:path`, as ssh's addresses are written; not `name:tag@sha256:…`, nor a list of
# folders of which one has a `@` in its name, as Jenkins' second workspace of a job has.
_SCP = regex(r"[^\s/@:]{1,200}:([^\s@/.~][^\s@]{0,1999})@(?!sha\d{3}:)[^\s@/:]+:")
# What is written like an address, whatever is wrong with it: where none has to stand.
_LIKE_AN_ADDRESS = regex(
    r"\W*(?:(?:https?|ssh|git)\W*[:/\\]|[A-Za-z][A-Za-z0-9+.-]{0,20}:[/\\]"
    r"|[^\s/@:]{1,200}:[^\s@/.~][^\s@]{0,1999}(?:@|%40)[\w.-]+[:/])"
)
_FILE = regex(r"\s*file:///")
_STORE = regex(r"\s*(?:directory|jenkins):")
# In what has to be an address: what stands before who asks (`https://`, also where it is written
# wrong, and the service of a list), what separates who asks from the host, and a digest at the end.
_BEFORE = regex(
    r"\s*(?:[a-z0-9._-]{0,63}=)?\s*"
    r"(?:(?:[A-Za-z][A-Za-z0-9+.-]{0,20}\s{0,9})?(?::[/\\]|[/\\]{2})[/\\]*|https?:)?"
)
_AT = regex("@|%40|\uff20|\ufe6b", re.IGNORECASE)
_DIGEST = regex(r"@[a-z0-9]+:[0-9a-fA-F]+\s*\Z")
# Nobody is named in it: a host, a port where there is one, and no more of it before the path.
_SOUND = regex(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://[\w.-]+(?::\d{1,5})?(?:[/?#]|\Z)")
_ENDS = regex(r"[/#?\\@'\"<>\s]")
_URL_WITH_USER = regex(r"://([^\s/][^\s]{0,1999})@")
# What is written otherwise than it is meant: percent-encoded and as C, Git or JSON escape it, each
# also twice; as pages and job configurations do; as a shell quotes a quote. What breaks a text into
# lines says nothing: a blank, which forms write as `+`, a line end that is written as `\n`, what
# Git begins each line of a server with, and a backslash.
_HEX = "[0-9A-Fa-f]"
_BYTE = regex(rf"%(?:25)*({_HEX}{{2}})|\\++x({_HEX}{{2}})|\\++([0-3][0-7]{{2}})")
_UNIT = regex(rf"\\++u({_HEX}{{4}})")
_ENTITY = (
    rf"&(?:amp;)*(?:#0*(?P<decimal>\d{{1,7}})|#[xX]0*(?P<hex>{_HEX}{{1,6}})"
    r"|(?P<name>amp|lt|gt|quot|apos));"
)
_PIECE = regex(
    rf"(?=[%&\\'])(?:(?P<bytes>(?:%(?:25)*{_HEX}{{2}}"
    rf"|(?<!\\)\\++x{_HEX}{{2}}|(?<!\\)\\++[0-3][0-7]{{2}})+)"
    rf"|(?P<units>(?:(?<!\\)\\++u{_HEX}{{4}})+)|{_ENTITY}|(?P<quote>'(?:\"'\"|\\++')'))"
)
_BREAKS = regex(r"(?:\s|remote:|\\++[nrt]?|\+)+")
# What is escaped may be broken within an escape, or be escaped again, by another kind's rules.
_ROUNDS = 3
_NAMES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_MARKUP = str.maketrans({mark: f"&{name};" for name, mark in _NAMES.items()})
_LINE_END = regex(r"\\?[\r\n][ \t]*|\\n")  # within a secret that is short, nothing else is left out

_known: set[str] = set()
_forms: set[str] = set()  # what they look like, each as `_meant` has it


def know(*secrets: str | None) -> None:
    """Remember secrets, from where they enter; what is empty or too short is left out."""
    for secret in secrets:
        if secret and len(secret) >= SHORTEST and secret not in _known:
            _known.add(secret)
            bare = (_BREAKS.sub("", secret), *map(_meant, _forms_of(secret)))
            _forms.update(form for form in bare if len(form) >= SHORTEST)


def know_environment(environment: Mapping[str, str]) -> None:
    """Remember the secrets that variables hold, those in addresses too."""
    know(*(environment.get(name) for name in (*VARIABLES, _SSH_PASSWORD)))
    know(*_of_headers(environment.get(HEADERS, "")))
    know(*(one for found in _OF_SSHPASS.findall(environment.get(_SSH, "")) for one in found))
    know_addresses(environment.values())
    for name in (*_ADDRESS_VARIABLES, *map(variable_of, ADDRESSES)):
        know_address(environment.get(name, ""))
    for name, text in environment.items():
        if name.startswith(variable_of("")):
            _know_like_an_address(text)


def _of_headers(lines: str) -> Iterator[str]:
    for line in lines.splitlines():
        name, _colon, text = line.partition(":")
        value = text.strip()
        if _SECRET_HEADER.search(name):
            yield value
            yield from value.split()[-1:]  # `Bearer …`
            yield from (cookie.partition("=")[2] for cookie in value.split(";"))
        elif _LIKE_A_TOKEN.fullmatch(value):
            yield value


def know_arguments(arguments: Sequence[str]) -> None:
    """Remember the passwords in a command line: in any address, and in what has to be one.

    An address may also stand where none belongs: as a service, or behind an option written wrong.
    """
    know_addresses(arguments)
    for argument, following in pairwise((*arguments, "")):
        name, is_joined, value = argument.partition("=")
        is_option = name.startswith("-")
        if name.removeprefix("--") in ADDRESSES and name.startswith("--"):
            know_address(value if is_joined else following)
        _know_like_an_address(value if is_option else argument)


def _know_like_an_address(text: str) -> None:
    if _LIKE_AN_ADDRESS.match(text):
        know_address(text)


def variable_of(option: str) -> str:
    """Return the variable that gives an option, too; as `options` has it, which is slow to load."""
    return f"GITOPS_{option.upper().replace('-', '_')}"


def know_address(text: str) -> None:
    """Remember what may be a password in a text that has to be an address, well-formed or not."""
    if text:
        know(*_passwords_of(_STORE.sub("", text, count=1)))


def know_addresses(texts: Iterable[str]) -> None:
    """Remember the passwords that stand in addresses: in variables, in a command line."""
    for text in texts:
        if "@" in text and ":" in text:
            know(*_passwords(text))


def forget() -> None:
    """Forget all secrets: before another run in the same process."""
    _known.clear()
    _forms.clear()


def hide(text: str) -> str:
    """Return a text without known secrets, and without users and passwords in addresses."""
    if "@" in text:
        text = _USER_IN_URL.sub(rf"\1{MASK}@", text)
    if "=" in text and ("?" in text or "#" in text):
        text = _QUESTION.sub(rf"\1{MASK}", text)
    if any(word in text for word in _HEADS):
        text = _HEADER.sub(rf"\1{MASK}", _TOKENS.sub(MASK, text))
    forms = tuple(_forms)  # another thread may get to know more
    meant = _meant(text) if forms else ""
    found = [form for form in forms if form in meant]
    if found:
        text = _without(text, found)
    for secret in tuple(_known):  # what stands before one may change what it means
        text = text.replace(secret, MASK)
    return text


def holds(text: str) -> bool:
    """Tell whether a known secret stands in a text that has to leave as it is, or not at all."""
    meant = _meant(text)
    return any(form in meant for form in _forms) or any(secret in text for secret in _known)


def _without(text: str, forms: Iterable[str]) -> str:
    """Return a text without what means any of some forms."""
    length = len(text)
    meant: str = text
    starts: Sequence[int] = range(length)
    ends: Sequence[int] = range(1, length + 1)
    for _round in range(_ROUNDS):
        meant, starts, ends = _traced(meant, starts, ends, _PIECE, _said)
        meant, starts, ends = _traced(meant, starts, ends, _BREAKS, lambda _break: "")
    spans: list[tuple[int, int]] = []
    for form in forms:
        at = meant.find(form)
        while at >= 0:
            start, end = starts[at], ends[at + len(form) - 1]
            torn = _LINE_END.sub("", text[start:end])
            if len(form) >= _LEAST_TORN or torn == "".join(torn.split()):
                spans.append((start, end))
            at = meant.find(form, at + 1)
    kept: list[str] = []
    behind = 0
    for start, end in sorted(spans):
        if start >= behind:
            kept += (text[behind:start], MASK)
        behind = max(behind, end)
    return "".join((*kept, text[behind:]))


def _traced(
    text: str,
    starts: Sequence[int],
    ends: Sequence[int],
    pattern: re.Pattern[str],
    said: Callable[[re.Match[str]], str],
) -> tuple[str, list[int], list[int]]:
    """Return a text in which pieces are replaced, and where each of its characters came from."""
    texts: list[str] = []
    begin: list[int] = []
    end: list[int] = []
    behind = 0
    for found in pattern.finditer(text):
        first, after = found.span()
        word = said(found)
        texts += (text[behind:first], word)
        begin += (*starts[behind:first], *[starts[first]] * len(word))
        end += (*ends[behind:first], *[ends[after - 1]] * len(word))
        behind = after
    texts.append(text[behind:])
    return "".join(texts), [*begin, *starts[behind:]], [*end, *ends[behind:]]


def hide_in(document: Any, shown: Callable[[str], str] = hide) -> Any:  # noqa: ANN401 - any JSON
    """Return a JSON document whose texts, keys too, have gone through `hide`, or what calls it."""
    if isinstance(document, str):
        return shown(document)
    if isinstance(document, Mapping):
        return {shown(key): hide_in(value, shown) for key, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [hide_in(item, shown) for item in document]
    return document


def _forms_of(secret: str) -> Iterator[str]:
    """Yield a secret, what it looks like where its own characters are escaped, and as digits."""
    data = secret.encode(errors="surrogateescape")
    yield from (secret, quote(data, safe=""), json.dumps(secret)[1:-1], secret.translate(_MARKUP))
    for before in range(3):  # whatever stands before it, as in `user:password`
        yield from _base64_forms(data, before)
    yield from (data.hex(), data.hex().upper())


def _base64_forms(data: bytes, before: int) -> Iterator[str]:
    """Yield the characters that a secret alone decides, some bytes into a base64 text."""
    whole = b64encode(b"\0" * before + data).decode()
    first = -(-before * 8 // 6)  # a character that holds bits of what stands before says nothing
    last = (before + len(data)) * 8 // 6
    sure = whole[first:last]
    if len(sure) >= SHORTEST:
        yield sure
        yield sure.replace("+", "-").replace("/", "_")


def _meant(text: str) -> str:
    """Return what a text means, however it is escaped, without what breaks it into lines."""
    for _round in range(_ROUNDS):
        before = text
        text = _BREAKS.sub("", _PIECE.sub(_said, text))
        if text == before:
            break
    return text


def _said(found: re.Match[str]) -> str:
    """Return what a piece of a text means."""
    kind, text = found.lastgroup, found[0]
    if kind == "bytes":
        digits = _BYTE.findall(text)
        data = bytes(int(a or b, 16) if a or b else int(c, 8) for a, b, c in digits)
        text = data.decode(errors="surrogateescape")
    elif kind == "units":
        units = "".join(chr(int(digits, 16)) for digits in _UNIT.findall(text))
        text = units.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    elif kind in ("decimal", "hex"):
        code = int(found[kind], 10 if kind == "decimal" else 16)
        text = chr(code) if code <= sys.maxunicode else ""
    else:
        text = _NAMES[found["name"]] if kind == "name" else "'"
    return text


def _passwords(text: str) -> Iterator[str]:
    """Yield what may be a password in an address that stands in a text, well-formed or not."""
    for found in _SCP.finditer(text):
        yield found[1]
    for found in _URL_WITH_USER.finditer(text):
        user, colon, password = found[1].partition(":")
        if colon:
            yield from _pieces(password)
        elif len(user) >= _LEAST_TOKEN:
            yield user


def _passwords_of(address: str) -> Iterator[str]:
    """Yield what may be a password in what has to be an address: all that stands at its place."""
    yield from (found[0].rpartition("=")[2] for found in _QUESTION.finditer(address))
    if _SOUND.match(address):
        return
    before = _BEFORE.match(address)
    start = before.end() if before else 0
    is_url = any(mark in address[:start] for mark in ":/\\")
    rest = _DIGEST.sub("", address[start:])
    ends = [found.start() for found in _AT.finditer(rest)]
    name, colon, password = (rest[: ends[-1]] if ends else rest).partition(":")
    # Without anybody who asks, what follows the colon of a URL is no port: else it were sound.
    if colon and (is_url or ends) and (("/" not in name) or (is_url and ends)):
        yield from _pieces(password)
    elif ends and is_url and len(name) >= _LEAST_TOKEN and not _FILE.match(address):
        yield name


def _pieces(password: str) -> Iterator[str]:
    """Yield a password, and what is left of it where it is taken for the end of an address."""
    yield password
    yield from (part for part in _ENDS.split(password) if len(part) > SHORTEST)

"""Whatever stands in bytes from outside, it is read, or refused in words: never a traceback.

Each reader of outside bytes is given sound examples that are changed at random: bytes, words of its
language, values of JSON that are moved, nested, made huge or of another type. CI draws a few
hundred for each; `make test-long` draws GITOPS_FUZZ of them (docs/security.md has the table).
"""

from __future__ import annotations

import json
import os
import random
import signal
import traceback
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gitops_rollback.errors import GitopsRollbackError, OutOfTime
from gitops_rollback.repo.objects import LOG_FORMAT, read_batch, read_changes, read_log, read_tree
from unit.fuzz_readers import IMAGE, LOG, READERS, TREE, D, Reader, check

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = int(os.environ.get("GITOPS_FUZZ") or "0")
FEW = 60
PATIENCE = 30  # seconds to compute for one input: what takes longer has no end
# What languages of configuration, of servers and of terminals take for more than text.
WORDS = (
    *(b"\0", b"\n", b"\r\n", b"\x1b[31m", b"\xff\xfe", b"\xed\xb3\xa9", b"\xe2\x80\xae"),
    *(b"\xef\xbb\xbf", b"---\n", b"...\n", b"&a ", b"*a ", b"<<: *a\n", b"!!python/name:x "),
    *(b"!x ", b"? ", b"- - - ", b"|+\n", b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"\\u0000"),
    *(b"\\ud800", b",", b":", b"\t", b" " * 40, b"null", b"true", b"NaN", b"-Infinity", b"1e999"),
    *(b"-1", b"9" * 5000, b"0x1F", b"1_0", b"12:30:00", b"[" * 2000, b'{"a":' * 1500, b"../"),
    *(b"/etc/passwd", b"$(id)", b"${X}", b"{{ x }}", b"%s", b"@sha256:", b"x" * 70_000),
    *("ä€😀".encode(), b"2026-02-30T25:61:61Z", b"9999-12-31T23:59:59-23:59"),
    b'# {"$imagepolicy":',
)
ODD: tuple[Any, ...] = (
    *(None, "", "x", 0, -1, 1.5, True, [], {}, ["x"], [None], [[]], {"x": None}, [{"name": 1}]),
    *("\x1b[31m\nFORGED", "\u202e", "x" * 100_000, 10**400, -(10**30), float("inf"), "9" * 400),
    *(IMAGE, D, "2026-01-31T02:03:04Z", "../../x", "\ud800", {"": ""}, [[[[[[[]]]]]]]),
)
Edit = tuple[int, float, float, bytes]  # what is done, from where to where, and with which word
EDITS = st.lists(
    st.tuples(st.integers(0, 5), st.floats(0, 1), st.floats(0, 1), st.sampled_from(WORDS)),
    min_size=1,
    max_size=5,
)


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """Return bytes after some edits: put in, cut out, doubled, moved, flipped, cut off."""
    for kind, at, until, word in edits:
        start, end = sorted((int(at * len(data)), int(until * len(data))))
        match kind:
            case 0:
                data = data[:start] + word + data[start:]
            case 1:
                data = data[:start] + data[end:]
            case 2:
                data = data[:end] + data[start:end] * 3 + data[end:]
            case 3:
                data = data[:start] + word + data[start + len(word) :]
            case 4:
                data = data[:start] + bytes(b ^ 0x20 for b in data[start:end]) + data[end:]
            case _:
                data = data[:end]
    return data[:2_000_000]


def reshaped(document: Any, edits: list[Edit]) -> Any:  # noqa: ANN401
    """Return a JSON document in which values were replaced by odd ones, or by each other."""
    places = list(places_of(document))
    for kind, at, until, _word in edits if places else ():
        holder, key = places[int(at * (len(places) - 1))]
        other, other_key = places[int(until * (len(places) - 1))]
        odd = ODD[int(until * (len(ODD) - 1))]
        if kind == 0 and isinstance(holder, dict):
            holder.pop(key, None)
        elif kind == 1 and (isinstance(other, list) or other_key in other):
            holder[key] = json.loads(json.dumps(other[other_key]))
        else:
            holder[key] = json.loads(json.dumps(odd))
    return document


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - JSON
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    if isinstance(value, (dict, list)):
        for key in keys:
            yield value, key
            yield from places_of(value[key]) if isinstance(value[key], (dict, list)) else ()


@pytest.fixture(scope="module", autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give readers a folder, and no pause before they ask a busy server again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITOPS_FUZZ_FOLDER", str(tmp_path_factory.mktemp("fuzz")))
        patch.setattr("gitops_rollback.web.http.sleep", lambda _seconds: None)
        yield


def is_json(seed: bytes) -> bool:
    try:
        json.loads(seed)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_whatever_stands_in_bytes_from_outside_it_is_read_or_refused(reader: Reader) -> None:
    for seed in reader.seeds:  # what is sound is read, but where it is an answer of another kind
        attempt(reader, seed)
    if LONG:
        at_length(reader)
        return

    @settings(
        max_examples=FEW,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        derandomize=True,
    )
    @given(st.sampled_from(reader.seeds), EDITS, EDITS)
    def draw(seed: bytes, shape: list[Edit], edits: list[Edit]) -> None:
        attempt(reader, changed(seed, shape, edits))

    draw()


def at_length(reader: Reader) -> None:
    """Draw inputs without end but a number, and say of every kind of fault which input shows it.

    Hypothesis takes a hundred times as long to draw one; what it finds is smaller.
    """
    dice = random.Random(f"{reader.name} {os.environ.get('GITOPS_FUZZ_SEED', '')}")
    faults: dict[str, str] = {}
    for _ in range(LONG):
        data = changed(dice.choice(reader.seeds), drawn(dice), drawn(dice))
        try:
            attempt(reader, data)
        except (Exception, OutOfTime) as error:  # noqa: BLE001 - whatever it is, it is a fault
            frames = traceback.extract_tb(error.__traceback__)
            where = f"{type(error).__name__} at {frames[-1].filename}:{frames[-1].lineno}"
            faults.setdefault(where, f"{error}"[:300] + f" for {data[:5000]!r}")
    assert not faults, "\n".join(f"{where}: {what}" for where, what in faults.items())


def changed(seed: bytes, shape: list[Edit], edits: list[Edit]) -> bytes:
    """Return a sound example as somebody changed it: its values, or its bytes."""
    if is_json(seed) and edits[0][0] % 2:
        document = reshaped(json.loads(seed), shape)
        return json.dumps(document).encode(errors="surrogatepass")
    return edited(seed, edits)


def drawn(dice: random.Random) -> list[Edit]:
    """Draw edits."""
    return [
        (dice.randint(0, 5), dice.random(), dice.random(), dice.choice(WORDS))
        for _ in range(dice.randint(1, 5))
    ]


def attempt(reader: Reader, data: bytes) -> None:
    """Read bytes; what is raised is an error for people, or how this reader says no."""
    with suppress(*reader.refuses), computing(PATIENCE):
        try:
            reader.read(data)
        except GitopsRollbackError as error:
            check(error)


@contextmanager
def computing(seconds: float) -> Iterator[None]:
    """Raise `OutOfTime` where a block computes for so long, on however busy a machine."""

    def ring(*_signal: object) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@given(EDITS)
@settings(max_examples=FEW, deadline=None)
def test_what_git_says_is_read_as_it_is_made(edits: list[Edit]) -> None:
    """Git makes these, of names that anybody chose: any name comes back as it was."""
    for _kind, _at, _until, word in edits:
        name = word.replace(b"\0", b"").replace(b"/", b"") or b"x"
        tree = read_tree(TREE.replace(b"apps/cart.yaml", name))
        assert tree[0].path.encode(errors="surrogateescape") == name
        path = name.decode(errors="surrogateescape")
        log = LOG.replace(b"apps/cart.yaml", name).replace(b"message", word.replace(b"\0", b""))
        assert LOG_FORMAT
        assert [(told, change.oid) for told, _, change in read_changes(log)] == [(path, "b" * 40)]
        data = b"%s blob %d\n%s\n" % (b"a" * 40, len(word), word)
        assert list(read_batch(data * 2)) == [("a" * 40, word)] * 2


@pytest.mark.parametrize("at", ["10000-01-01T00:00:00Z", "", "x" * 30])
def test_a_commit_of_no_time_that_there_is_counts_as_the_oldest(at: str) -> None:
    assert read_log(f"{'a' * 40}\x1f\x1f{at}\x1fjane\x1fx\0".encode())[0].at[:4] == "1970"
    log = LOG.replace(b"2026-01-31T02:03:04Z", at.encode())
    assert read_changes(log)[0][2].at[:4] == "1970"


def test_of_a_long_message_its_subject_and_its_trailers_are_kept() -> None:
    message = f"subject {'a' * 5_000_000} 😀 Gitops-Service: cart"
    log = f"{'a' * 40}\x1f\x1f2026-01-31T02:03:04Z\x1fjane\x1f{message}\0".encode()
    (entry,) = read_log(log)
    assert entry.message.startswith("subject a")
    assert entry.message.endswith("😀 Gitops-Service: cart")
    assert len(entry.message) < 1_100_000
    ((_path, _is_there, change),) = read_changes(LOG.replace(b"message", message.encode()))
    assert change.message == f"{entry.message}" or len(change.message) < 1_100_000

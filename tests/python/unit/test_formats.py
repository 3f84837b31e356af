"""What is written is read again and equal: everything that legal input can make (design 3).

References go to the limits of Docker's grammar, names and reasons to those of the schemas; where a
text is beyond them, it is refused before anything is written.
"""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_rollback.errors import UnwritableError
from gitops_rollback.image import InvalidImageError, parse_image
from gitops_rollback.ledger.fields import NotedField
from gitops_rollback.ledger.holds import (
    BAD,
    Bad,
    HeldFile,
    HeldMarker,
    Hold,
    parse_held,
    render_held,
)
from gitops_rollback.ledger.message import Told, read_trailers, render
from gitops_rollback.ledger.records import ManifestCopy, Record, parse_record, render_record
from gitops_rollback.ledger.state import State, parse_state, render_state
from gitops_rollback.model import Build, Deed, identified, is_name, one_line
from unit.builders import at, record

LONGEST_NAME = 255
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"


def legal(characters: str, longest: int) -> st.SearchStrategy[str]:
    return st.text(characters, min_size=1, max_size=longest)


@st.composite
def references(draw: st.DrawFn) -> str:
    """Any reference of the grammar, up to the longest: 255 characters of name, tag and digest."""
    component = draw(st.sampled_from(["a", "a1", "a.b", "a_b", "a__b", "a-b", "a---b", "9"]))
    registry = draw(st.sampled_from(["", "docker.io/", "localhost:5000/", "R.example-1.io:1/"]))
    name = f"{registry}{component}/{draw(legal(LOWER, 20))}"
    room = LONGEST_NAME - len(name) - len("docker.io/")
    name += draw(st.sampled_from(["", "/x", "x" * room]))
    word = draw(st.sampled_from(["", "1", "_", "v1.2-rc.1_X"]))
    tag = draw(st.one_of(st.just(word), st.just("T" * 128), legal(LOWER + "_", 128)))
    algorithm, length = draw(st.sampled_from([("sha256", 64), ("sha384", 96), ("sha512", 128)]))
    hexes = draw(st.sampled_from(HEX)) * length
    digest = draw(st.sampled_from(["", f"@{algorithm}:{hexes}"]))
    return f"{name}{':' + tag if tag else ''}{digest}"


IMAGES = references().map(lambda text: parse_image(parse_image(text).canonical))
# Of what YAML, Jenkins and people can say: every character, also those that JSON has to escape.
CHARACTERS = st.characters(codec="utf-8")
TEXTS = st.one_of(
    st.text(CHARACTERS, max_size=40),
    st.sampled_from(["", "ä" * 2000, '"\\\b\0\x1f\u2028', "Gitops-To: x\n"]),
)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?", fullmatch=True).filter(is_name)
BUILDS = st.builds(
    Build, st.text(CHARACTERS, min_size=1, max_size=40), st.integers(1, 2**31), st.none() | TEXTS
)
TIMES = st.integers(0, 59).map(at)
HASHES = st.sampled_from(HEX).map(lambda digit: "sha256:" + digit * 64)
PATHS = st.lists(
    legal(LOWER + "äß☃ .-", 40).filter(lambda p: p not in (".", "..", ".git")),
    min_size=1,
    max_size=5,
).map("/".join)
FIELDS = st.builds(
    NotedField,
    path=PATHS,
    document=st.integers(0, 10**6),
    kind=TEXTS.map(lambda text: text[:253]),
    name=TEXTS.map(lambda text: text[:253]),
    container=TEXTS.map(lambda text: text[:253]),
    pointer=TEXTS,
    image=IMAGES.map(str),
    value=TEXTS,
    parts=st.dictionaries(TEXTS, TEXTS, max_size=2),
    namespace=st.none() | st.just("") | st.just("shop"),
)


@st.composite
def deeds(draw: st.DrawFn, action: str = "") -> Deed:
    deed = Deed(
        action=action or draw(st.sampled_from(["deploy", "rollback", "recorded"])),
        image=draw(IMAGES),
        from_image=draw(st.none() | IMAGES),
        at=draw(TIMES),
        by=draw(st.none() | TEXTS),
        reason=draw(st.none() | TEXTS),
        build=draw(st.none() | BUILDS),
        record=draw(st.none() | HASHES),
    )
    return identified(deed, "cart", "production")


@st.composite
def bad_entries(draw: st.DrawFn) -> Bad:
    deed = Deed(BAD, draw(IMAGES), at=draw(TIMES), by=draw(st.none() | TEXTS), id="x")
    return Bad(deed, draw(st.none() | st.just("T" * 128)), draw(st.none() | st.just("r" * 255)))


@st.composite
def holds(draw: st.DrawFn) -> Hold:
    deed = Deed(
        "rollback", draw(IMAGES), draw(IMAGES), draw(TIMES), draw(st.none() | TEXTS), draw(TEXTS),
        draw(st.none() | BUILDS), draw(st.none() | HASHES),
    )  # fmt: skip
    marker = st.builds(HeldMarker, PATHS, st.just("c"), st.just('{"$imagepolicy": "a:b"}'))
    markers = draw(st.lists(marker, max_size=3))
    return Hold(identified(deed, "cart", "production"), tuple(markers))


def tuples(of: st.SearchStrategy[object], most: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=most).map(tuple)


@given(
    st.builds(
        State,
        NAMES,
        NAMES,
        tuples(deeds(), 20),
        tuples(bad_entries(), 3),
        st.none() | holds(),
        tuples(FIELDS, 3),
    )
)
def test_every_state_is_read_as_it_was_written(state: State) -> None:
    data = render_state(state)
    assert parse_state(data, state.environment, state.service) == state


@given(st.builds(HeldFile, NAMES, NAMES, holds(), tuples(FIELDS, 3), tuples(bad_entries(), 3)))
def test_every_hold_is_read_as_it_was_written(held: HeldFile) -> None:
    read = parse_held(render_held(held), held.path)
    assert read.hold.deed == held.hold.deed
    assert (read.fields, read.bad) == (held.fields, held.bad)


@given(
    st.builds(
        Record,
        service=NAMES,
        environment=NAMES,
        repository=TEXTS.filter(bool),
        branch=st.text(CHARACTERS, min_size=1, max_size=255),
        commit=st.just("0" * 40),
        image=IMAGES,
        action=st.sampled_from(["deploy", "rollback"]),
        fields=st.lists(FIELDS, min_size=1, max_size=3).map(tuple),
        manifests=st.lists(
            st.builds(ManifestCopy, PATHS, HASHES, st.booleans()), min_size=1, max_size=3
        ).map(tuple),
        unchanged=st.booleans(),
        recorded_at=TIMES,
        digest_from=st.none() | st.sampled_from(["manifest", "state", "registry", "moved"]),
        replaced_by=st.none() | IMAGES,
        build=st.none() | BUILDS,
        by=st.none() | TEXTS,
    )
)
def test_every_record_is_read_as_it_was_written(made: Record) -> None:
    assert parse_record(render_record(made), "record.json").record == made


@given(st.lists(st.tuples(NAMES, NAMES, deeds()), min_size=1, max_size=5))
def test_every_message_tells_each_of_its_services_what_was_done(
    told: list[tuple[str, str, Deed]],
) -> None:
    message = render([Told(service, environment, deed) for service, environment, deed in told])
    assert message.isprintable() or set(filter(lambda c: not c.isprintable(), message)) == {"\n"}
    seen: set[tuple[str, str]] = set()
    for service, environment, deed in told:
        if (service, environment) in seen or deed.action == "recorded" or deed.from_image is None:
            seen.add((service, environment))
            continue
        seen.add((service, environment))
        read = read_trailers(message, service, environment)
        assert read is not None
        assert (read.to, read.from_image, read.record) == (deed.image, deed.from_image, deed.record)
        assert read.by == (one_line(deed.by) or None if deed.by else None)
        assert deed.build is None or not one_line(deed.build.job) or read.build is not None


def test_two_hundred_services_in_one_commit_are_each_told() -> None:
    image, before = parse_image("x/" + "y" * 240 + ":" + "T" * 128), parse_image("x/y:1")
    told = [
        Told(f"s{number}", "production", Deed("deploy", image, before, reason="ä" * 2000))
        for number in range(200)
    ]
    message = render(told)
    assert message.startswith("200 services production: deploy\n")
    assert all(read_trailers(message, one.service, "production") for one in told)


@pytest.mark.parametrize(
    ("path", "reason"),
    [("a\nb", "is no plain path"), ("../x", "is no plain path"), ("x" * 5000, "path must be")],
)
def test_a_record_that_could_not_be_read_again_is_not_written(path: str, reason: str) -> None:
    made = record("1", "2", manifests=(ManifestCopy(path, "sha256:" + "0" * 64, copied=True),))
    with pytest.raises(UnwritableError, match=reason):
        render_record(made)


def test_the_longest_reference_is_as_long_as_the_schemas_allow() -> None:
    name = "docker.io/" + "x" * (LONGEST_NAME - len("docker.io/a/")) + "/a"
    longest = f"{name}:{'T' * 128}@sha512:{'0' * 128}"
    assert len(parse_image(longest).canonical) == 520
    with pytest.raises(InvalidImageError):
        parse_image(longest.replace("/a:", "/ab:"))

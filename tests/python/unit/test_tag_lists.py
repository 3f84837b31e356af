"""300 lists of tags as repositories have them, with the previous image known by construction.

Each list is made release by release, so that it is known what was released before what. How tags
are named (versions, dates, numbers, commit ids, with variants and branches), what stands beside
them (floating tags, pre-releases, signatures, caches, builds of pull requests, nightlies) and
whether the registry tells times is drawn at random, from a seed. docs/queries.md has the count.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from gitops_rollback.image import parse_image
from gitops_rollback.query.choose import choose
from gitops_rollback.query.tags import Ran, Tag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LISTS = 300
START = datetime(2025, 3, 1, 9, tzinfo=UTC)


@dataclass(frozen=True)
class Scheme:
    """How a team names its releases: the nth release's tag, and whether names have an order."""

    name: str
    names: Callable[[random.Random, list[datetime]], list[str]]
    is_ordered: bool = True


def commit(rng: random.Random, *, digits_only: float = 0.04) -> str:
    if rng.random() < digits_only:
        return "".join(rng.choice("0123456789") for _ in range(7))
    while True:
        text = "".join(rng.choice("0123456789abcdef") for _ in range(7))
        if not text.isdecimal():
            return text


def versions(rng: random.Random, count: int) -> list[tuple[int, int, int]]:
    """Versions as they go up: patches mostly, sometimes a minor or a major one."""
    major, minor, patch = rng.randint(0, 12), rng.randint(0, 20), rng.randint(0, 9)
    found = []
    for _ in range(count):
        step = rng.random()
        if step < 0.6:
            patch += rng.randint(1, 2)
        elif step < 0.93:
            minor, patch = minor + 1, 0
        else:
            major, minor, patch = major + 1, 0, 0
        found.append((major, minor, patch))
    return found


def dotted(prefix: str = "", suffix: str = "") -> Callable[..., list[str]]:
    def names(rng: random.Random, moments: list[datetime]) -> list[str]:
        tuples = versions(rng, len(moments))
        return [f"{prefix}{a}.{b}.{c}{suffix}" for a, b, c in tuples]

    return names


def numbered(prefix: str) -> Callable[..., list[str]]:
    def names(rng: random.Random, moments: list[datetime]) -> list[str]:
        number = rng.randint(7, 900)
        return [f"{prefix}{number + index}" for index in range(len(moments))]

    return names


def stamped(form: str) -> Callable[..., list[str]]:
    return lambda _rng, moments: [moment.strftime(form) for moment in moments]


def by_commit(prefix: str) -> Callable[..., list[str]]:
    def names(rng: random.Random, moments: list[datetime]) -> list[str]:
        found = [commit(rng, digits_only=0)]
        while len(found) < len(moments):
            found = list(dict.fromkeys([*found, commit(rng)]))
        return [f"{prefix}{one}" for one in found]

    return names


def branch_commit_time(rng: random.Random, moments: list[datetime]) -> list[str]:
    return [f"main-{commit(rng)}-{int(moment.timestamp())}" for moment in moments]


def version_commit(rng: random.Random, moments: list[datetime]) -> list[str]:
    return [f"{a}.{b}.{c}-{commit(rng)}" for a, b, c in versions(rng, len(moments))]


def build_commit(rng: random.Random, moments: list[datetime]) -> list[str]:
    first = rng.randint(3, 800)
    return [f"main-{first + index}-{commit(rng)}" for index in range(len(moments))]


def described(rng: random.Random, moments: list[datetime]) -> list[str]:
    (a, b, c), distance = versions(rng, 1)[0], 0
    names = []
    for _ in moments:
        distance += rng.randint(1, 9)
        names.append(f"v{a}.{b}.{c}-{distance}-g{commit(rng)}")
    return names


def candidates_of_a_release(rng: random.Random, moments: list[datetime]) -> list[str]:
    a, b, c = versions(rng, 1)[0]
    return [f"{a}.{b}.{c}-rc.{index + 1}" for index in range(len(moments))]


def revisions(rng: random.Random, moments: list[datetime]) -> list[str]:
    names, (a, b, c), revision = [], versions(rng, 1)[0], 0
    for _ in moments:
        if rng.random() < 0.4:
            c, revision = c + 1, 0
        names.append(f"{a}.{b}.{c}-debian-12-r{revision}")
        revision += 1
    return names


def versions_with_builds(rng: random.Random, moments: list[datetime]) -> list[str]:
    build = rng.randint(40, 400)
    found = []
    for a, b, c in versions(rng, len(moments)):
        build += rng.randint(1, 5)
        found.append(f"{a}.{b}.{c}-{build}")
    return found


SCHEMES = (
    Scheme("1.4.2", dotted()),
    Scheme("v1.4.2", dotted("v")),
    Scheme("cart-1.4.2", dotted("cart-")),
    Scheme("1.4.2-alpine3.18", dotted(suffix="-alpine3.18")),
    Scheme("1.4.2-python3.12-slim", dotted(suffix="-python3.12-slim")),
    Scheme("cuda12.4-1.4.2", dotted("cuda12.4-")),
    Scheme("41", numbered("")),
    Scheme("build-41", numbered("build-")),
    Scheme("v41", numbered("v")),
    Scheme("2026.01.15", stamped("%Y.%m.%d")),
    Scheme("20260115", stamped("%Y%m%d")),
    Scheme("2026-01-15", stamped("%Y-%m-%d")),
    Scheme("20260115-103000", stamped("%Y%m%d-%H%M%S")),
    Scheme("20260115103000", stamped("%Y%m%d%H%M%S")),
    Scheme("1a2b3c4", by_commit(""), is_ordered=False),
    Scheme("sha-1a2b3c4", by_commit("sha-"), is_ordered=False),
    Scheme("main-1a2b3c4-TIME", branch_commit_time),
    Scheme("main-41-1a2b3c4", build_commit),
    Scheme("1.4.2-1a2b3c4", version_commit),
    Scheme("1.4.2-41", versions_with_builds),
    Scheme("v1.4.2-5-g1a2b3c4", described),
    Scheme("1.4.2-rc.2", candidates_of_a_release),
    Scheme("1.4.2-debian-12-r3", revisions),
)
OTHER_BASES = {"3.18": ("3.17", "3.19"), "3.12": ("3.11", "3.13"), "12.4": ("12.3", "12.6")}


@dataclass(frozen=True)
class Drawn:
    """A list, what runs, and the image that was released before it; None where nothing tells."""

    scheme: str
    tags: tuple[Tag, ...]
    running: str
    right: str | None
    released: tuple[str, ...]


def digest(name: str) -> str:
    return f"sha256:{sha256(name.encode()).hexdigest()}"


def tag(name: str, moment: datetime | None, of: str | None = None, no_image: str = "") -> Tag:
    if moment is None:
        return Tag(name, no_image=no_image)
    return Tag(name, digest(of or name), f"{moment:%Y-%m-%dT%H:%M:%SZ}", no_image=no_image)


def noise(rng: random.Random, names: list[str], moments: list[datetime]) -> Iterator[Tag]:
    """What stands beside releases: none of it was ever released."""
    span = int((moments[-1] - moments[0]).total_seconds())

    def moment() -> datetime:
        return moments[0] + timedelta(seconds=rng.randrange(span))

    hexadecimal = "".join(rng.choice("0123456789abcdef") for _ in range(64))
    some: list[Callable[[], Tag]] = [
        lambda: tag(f"sha256-{hexadecimal}.sig", moment()),
        lambda: tag("buildcache", moment(), no_image="a build cache"),
        lambda: tag(f"pr-{rng.randint(1, 99)}", moment()),
        lambda: tag(f"pr-{rng.randint(1, 99)}-{commit(rng, digits_only=0)}", moment()),
        lambda: tag(f"feature-login-{commit(rng, digits_only=0)}", moment()),
        lambda: tag(f"nightly-{moment():%Y%m%d}", moment()),
        lambda: tag("edge", moment()),
        lambda: tag("test", moment()),
        lambda: tag(f"dev-{commit(rng, digits_only=0)}-{int(moment().timestamp())}", moment()),
    ]
    if (
        names[0][:1].isdecimal()
        and names[0].count(".") == 2
        and names[0].replace(".", "").isdecimal()
    ):
        some += [
            lambda: tag(f"{rng.choice(names)}-beta.{rng.randint(1, 9)}", moment()),
            lambda: tag(f"{rng.choice(names)}-debug", moment()),
            lambda: tag(f"{moment():%Y%m%d}", moment()),
        ]
    for make in rng.sample(some, rng.randint(2, len(some))):
        yield make()


def floating(names: list[str], last: str, moment: datetime) -> Iterator[Tag]:
    """Tags that are moved along with the newest release."""
    yield tag("latest", moment, of=last)
    parts = last.split(".")
    if len(parts) == 3 and all(part.isdecimal() for part in parts) and len(names) > 3:
        yield tag(parts[0], moment, of=last)
        yield tag(".".join(parts[:2]), moment, of=last)


def drawn(seed: int) -> Drawn:
    rng = random.Random(seed)
    scheme = SCHEMES[seed % len(SCHEMES)]
    count = rng.randint(3, 14)
    moments = [START + timedelta(days=rng.randint(0, 400), hours=rng.randint(0, 9))]
    while len(moments) < count:
        step = timedelta(days=rng.randint(1, 20), seconds=rng.randint(0, 3000))
        moments.append(moments[-1] + step)
    names = scheme.names(rng, moments)
    is_dated = rng.random() < 0.6
    tags = [tag(name, moment) for name, moment in zip(names, moments, strict=True)]
    for old, others in OTHER_BASES.items():
        if old in scheme.name:
            for name, moment in zip(names, moments, strict=True):
                for other in others:
                    shift = timedelta(minutes=rng.randint(-20, 20))
                    tags.append(tag(name.replace(old, other), moment + shift))
    place = rng.randrange(1, count)
    tags += floating(names, names[-1], moments[-1])
    tags += (one for one in noise(rng, names, moments) if one.name not in names)
    if is_dated and rng.random() < 0.2 and scheme.is_ordered:
        # An old release is built anew, long after: its time of push says nothing of its age.
        again = rng.randrange(count)
        if again not in (place, place - 1):
            tags[again] = tag(names[again], moments[-1] + timedelta(days=3))
    if not is_dated:
        tags = [Tag(one.name, no_image=one.no_image) for one in tags]
    rng.shuffle(tags)
    right = names[place - 1] if scheme.is_ordered or is_dated else None
    kept = {one.name: one for one in tags}
    return Drawn(scheme.name, tuple(kept.values()), names[place], right, tuple(names[: place + 1]))


def chosen(one: Drawn, *, with_ledger: bool = False) -> str | None:
    ran = tuple(Ran(digest(name)) for name in one.released) if with_ledger else ()
    image = parse_image(f"acme/cart:{one.running}")
    if with_ledger:
        image = image.with_version(one.running, digest(one.running))
    return next(iter(choose(one.tags, image, None, ran).names), None)


def test_of_300_lists_the_previous_image_is_never_another_and_seldom_missing() -> None:
    results: Counter[str] = Counter()
    wrong = []
    for seed in range(LISTS):
        one = drawn(seed)
        found = chosen(one)
        if found == one.right:
            results["right" if found else "rightly none"] += 1
        elif found is None:
            results["needlessly none"] += 1
        else:
            results["wrong"] += 1
            wrong.append((seed, one.scheme, one.running, one.right, found))
    assert not wrong, wrong
    assert results["needlessly none"] < LISTS * 0.02, results
    assert results["right"] > LISTS * 0.85, results


def test_the_registry_and_the_ledger_agree_wherever_both_can_answer() -> None:
    """What ran tells what was before: the second way. Both must name one image."""
    for seed in range(LISTS):
        one = drawn(seed)
        if all(tag.digest for tag in one.tags):
            assert chosen(one, with_ledger=True) == one.released[-2], seed
            assert chosen(one) in (one.released[-2], None), seed

"""Builders for the values the pure layers work on; everything not said has a plain default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.decide import decide
from gitops_rollback.decide.change import Change, Refused
from gitops_rollback.decide.facts import (
    Blobs,
    Check,
    Digest,
    Facts,
    History,
    Need,
    NeedAccount,
    NeedAuthor,
    NeedBeside,
    NeedBlobs,
    NeedChanges,
    NeedCheck,
    NeedDigest,
    NeedHistory,
    NeedLog,
    NeedPlatforms,
    NeedPolicies,
    NeedRecord,
    NeedRecords,
    NeedRemoved,
    NeedRendered,
    NeedRevision,
    NeedSchemaLabels,
    NeedStorage,
    NeedTags,
    Platforms,
    Records,
    Rendered,
    Revision,
    SchemaLabels,
    ServiceAtTip,
    StorageFacts,
    Tags,
)
from gitops_rollback.image import ImageReference, parse_image
from gitops_rollback.ledger.events import HistoryEntry
from gitops_rollback.ledger.fields import NotedField
from gitops_rollback.ledger.holds import BAD, Bad, HeldMarker, Hold
from gitops_rollback.ledger.records import (
    ManifestCopy,
    MissingRecord,
    Record,
    StoredRecord,
)
from gitops_rollback.ledger.state import State
from gitops_rollback.model import Build, Deed
from gitops_rollback.policies import Policies
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import ServiceFields, resolve
from gitops_rollback.services.config import Config, Environment, parse_config
from gitops_rollback.services.inventory import read_manifests

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gitops_rollback.decide.wish import Wish


NAME = "docker.io/acme/cart"
PATH = "apps/cart/deployment.yaml"
URL = "https://github.com/acme/manifests.git"
PRESENT = "2026-01-31T12:00:00Z"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: cart
spec:
  template:
    spec:
      containers:
        - name: server
          image: {image}
"""


def digest(label: str, algorithm: str = "sha256") -> str:
    """A digest that is always the same for a label, and different for others."""
    length = {"sha256": 64, "sha512": 128}[algorithm]
    return f"{algorithm}:{(label.encode().hex() * length)[:length]}"


def image(text: str, name: str = NAME) -> ImageReference:
    """`1.0` with the digest of `1.0`; `dev@A` with the digest of `A`; `~dev` without a digest."""
    if text.startswith("~"):
        return parse_image(f"{name}:{text[1:]}")
    tag, _, label = text.partition("@")
    return parse_image(f"{name}:{tag}@{digest(label or tag)}")


def at(minute: int) -> str:
    return f"2026-01-31T{10 + minute // 60:02}:{minute % 60:02}:00Z"


def deployment(action: str, number: int, old: str | None, new: str) -> Deed:
    """The entry of build `number`, whose record has the digest of `record NUMBER`."""
    return Deed(
        id=f"id{number}",
        action=action,
        image=image(new),
        at=at(number),
        from_image=image(old) if old else None,
        by="jane",
        build=Build("shop/cart", number),
        record=digest(f"record {number}"),
    )


def bad_entry(
    label: str | ImageReference,
    when: str,
    reason: str | None = None,
    by: str | None = None,
    **more: Any,  # noqa: ANN401
) -> Bad:
    """An entry of the bad list; `tag` and `revision` as it says them."""
    marked = label if isinstance(label, ImageReference) else image(label)
    return Bad(Deed(BAD, marked, at=when, reason=reason, by=by), **more)


def hold_of(
    old: str,
    new: str,
    reason: str,
    when: str,
    by: str | None = None,
    *,
    markers: tuple[HeldMarker, ...] = (),
) -> Hold:
    """The hold of a rollback from `old` to `new`, whose id is `held1`."""
    return Hold(Deed("rollback", image(new), image(old), when, by, reason, id="held1"), markers)


def state(*steps: str, bad: tuple[Bad, ...] = (), hold: Hold | None = None) -> State:
    """A state from steps, oldest first: `1.0>2.0` is a deploy, `2.0<1.0` a rollback to 1.0."""
    entries = []
    for number, step in enumerate(steps, start=1):
        action = "rollback" if "<" in step else "deploy"
        old, new = step.split("<" if action == "rollback" else ">")
        entries.append(deployment(action, number, old or None, new))
    return State("cart", "production", tuple(reversed(entries)), bad, hold)


def record(old: str, new: str | None, number: int = 1, **more: Any) -> Record:  # noqa: ANN401
    """The record of a build that was about to replace `old` by `new`."""
    before = image(old)
    value = more.pop("value", str(before))
    settings: dict[str, Any] = {
        "service": "cart",
        "environment": "production",
        "repository": "https://github.com/acme/manifests.git",
        "branch": "main",
        "commit": "0" * 40,
        "image": before,
        "action": "deploy",
        "fields": (
            NotedField(
                path=PATH,
                document=0,
                kind="Deployment",
                name="cart",
                container="server",
                pointer="/spec/template/spec/containers/0/image",
                image=before.canonical,
                value=value,
            ),
        ),
        "manifests": (ManifestCopy(PATH, digest("manifest"), copied=True),),
        "unchanged": False,
        "recorded_at": at(number),
        "digest_from": "manifest" if before.digest else None,
        "replaced_by": image(new) if new else None,
        "build": Build("shop/cart", number),
        "by": "jane",
    }
    return Record(**{**settings, **more})


def stored(old: str, new: str | None, number: int = 1, **more: Any) -> StoredRecord:  # noqa: ANN401
    sha256 = more.pop("sha256", digest(f"record {number}"))
    return StoredRecord(record(old, new, number, **more), sha256, f"record {number}")


def records(*steps: str) -> tuple[StoredRecord, ...]:
    """Records, newest first, from steps, oldest first: `1.0>2.0`, `2.0<1.0`, `1.0>` (no image)."""
    found = []
    for number, step in enumerate(steps, start=1):
        action = "rollback" if "<" in step else "deploy"
        old, new = step.split("<" if action == "rollback" else ">")
        found.append(stored(old, new or None, number, action=action))
    return tuple(reversed(found))


def history(*images: str) -> tuple[HistoryEntry, ...]:
    """Git's history, newest first, from images, oldest first."""
    entries = [
        HistoryEntry(f"{number:040x}", at(number), "joe", image(text))
        for number, text in enumerate(images, start=1)
    ]
    return tuple(reversed(entries))


def manifest(text: str, template: str = DEPLOYMENT) -> bytes:
    return template.replace("{image}", text).encode()


def found_service(
    files: dict[str, bytes],
    config: str = "",
    service: str = "cart",
    environment: str = "production",
    paths: Sequence[str] | None = None,
) -> ServiceFields:
    """What `resolve` finds in files, under a configuration given as TOML."""
    parsed = parse_config(config.encode()) if config else Config()
    chosen = parsed.environments.get(environment) or Environment(environment)
    manifests = read_manifests(files)
    return resolve(service, chosen, parsed, manifests.only(paths) if paths else manifests)


def service_at_tip(
    text: str,
    state: State | None = None,
    template: str = DEPLOYMENT,
    config: str = "",
) -> ServiceAtTip:
    """The service as it stands with one manifest, whose `{image}` is a text."""
    found = found_service({PATH: manifest(text, template)}, config)
    return ServiceAtTip(Tip("main", "1" * 40), found, state)


_PLAIN: dict[type[Need[Any]], Any] = {
    NeedAccount: (),
    NeedAuthor: "joe",
    NeedBeside: False,
    NeedBlobs: Blobs(),
    NeedChanges: (),
    NeedDigest: Digest(None),
    NeedHistory: History(),
    NeedLog: (),
    NeedRemoved: (),
    NeedPlatforms: Platforms(),
    NeedPolicies: Policies(),
    NeedRecord: MissingRecord("it was deleted"),
    NeedRecords: Records(),
    NeedRendered: Rendered(problem="there is no tool", is_missing=True),
    NeedRevision: Revision(),
    NeedSchemaLabels: SchemaLabels(),
    NeedStorage: StorageFacts(),
    NeedTags: Tags(),
}


def plainly(need: Need[Any], _facts: Facts) -> Any:  # noqa: ANN401 - of the need's own type
    """Answer as where nobody knows anything but that images are there, under other tags by now."""
    if isinstance(need, NeedCheck):
        return Check("there", need.image.digest)
    return _PLAIN[type(need)]


def telling(**told: Any) -> Callable[[Need[Any], Facts], Any]:  # noqa: ANN401
    """Answer by the name of a need, and plainly what is not told: `telling(NeedCheck=GONE)`."""
    return lambda need, facts: told.get(type(need).__name__) or plainly(need, facts)


def decided(
    wish: Wish,
    at: ServiceAtTip,
    answer: Callable[[Need[Any], Facts], Any] = plainly,
    **more: Any,  # noqa: ANN401 - further facts
) -> Change | Refused:
    """What `decide` makes of a wish, where `answer` looks up what it misses."""
    facts = Facts(at, URL, **more)
    found = decide(wish, facts)
    while isinstance(found, Need):
        assert found not in facts.known, "what is known is asked for again"
        assert len(facts.known) < 100, "there is no end to what is asked"
        facts = facts.knowing({found: answer(found, facts)})
        found = decide(wish, facts)
    return found


def changed(
    wish: Wish,
    at: ServiceAtTip,
    answer: Callable[[Need[Any], Facts], Any] = plainly,
    **more: Any,  # noqa: ANN401
) -> Change:
    """The change that `decide` makes of a wish; raise what refuses it."""
    found = decided(wish, at, answer, **more)
    if isinstance(found, Refused):
        raise found.error
    return found

"""What the archive alone knows where Git does not answer: a plan, and how to go round Git.

Nothing is written, here or in the cluster: the commands are for a person to judge and to run.
"""

from __future__ import annotations

import shlex
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitops_rollback.commands.wishes import request_of, rollback_wishes
from gitops_rollback.decide.choose import choose
from gitops_rollback.decide.facts import (
    Facts,
    History,
    MissingFactError,
    Need,
    NeedCheck,
    NeedHistory,
    NeedLog,
    NeedPlatforms,
    NeedRecords,
    NeedTags,
    Platforms,
    Records,
    ServiceAtTip,
)
from gitops_rollback.errors import GitopsRollbackError
from gitops_rollback.late import dataclass, replace
from gitops_rollback.ledger.records import elsewhere_from
from gitops_rollback.look.snapshot import Snapshot
from gitops_rollback.manifest.document import lookup, parse_once, text_of
from gitops_rollback.repo.objects import Tip
from gitops_rollback.services.catalogue import ServiceFields
from gitops_rollback.services.config import Config, Environment, Settings
from gitops_rollback.services.inventory import read_manifests
from gitops_rollback.tell.terminal import say
from gitops_rollback.tell.view import wrapped

if TYPE_CHECKING:
    from gitops_rollback.decide.plan import Plan
    from gitops_rollback.decide.wish import Wish
    from gitops_rollback.ledger.fields import NotedField
    from gitops_rollback.ledger.records import Record, StoredRecord
    from gitops_rollback.model import Request
    from gitops_rollback.session import Session
    from gitops_rollback.stores.directory import RecordStore

_MOST_RECORDS = 20
_ENVIRONMENT = "default"
# What `kubectl set image` knows, by the kind in a manifest.
_KINDS = ("CronJob", "DaemonSet", "Deployment", "Job", "Pod", "ReplicaSet", "StatefulSet")
_LABEL = (
    "GIT DOES NOT ANSWER. This plan is from the archive alone: what runs now, what is bad or held, "
    "and edits by hand are not known. Nothing was changed."
)


@dataclass(frozen=True)
class _Shard:
    """A plan for one service, and the commands that go round Git."""

    plan: Plan
    commands: tuple[str, ...]


def plan_without_git(session: Session) -> dict[str, Any]:
    """Show what the archive tells of the services that are meant; return it as a result.

    Returns {} where the archive does not answer either, or knows nothing of them.
    """
    request = request_of(session.options)
    shards = [shard for name in request.names for shard in _shards(session, request, name)]
    if not shards:
        return {}
    say(*wrapped(_LABEL))
    for shard in shards:
        _show(shard, request.branch)
    services = []
    for shard in shards:
        findings = (_LABEL, *(f"break the glass: {line}" for line in shard.commands))
        plan = replace(shard.plan, findings=(*findings, *shard.plan.findings))
        services.append(plan.to_json())
    return {"repository": session.url, "services": services}


def _shards(session: Session, request: Request, service: str) -> list[_Shard]:
    store = session.store_of({service: None})
    environment = request.environment or _ENVIRONMENT
    try:
        found = islice(store.newest(environment, service), _MOST_RECORDS)
        records = tuple(
            stored
            for stored in found
            if not elsewhere_from(stored.record, session.url, request.branch)
        )
    except GitopsRollbackError as error:
        say(*wrapped(f"nor does the archive tell: {error.message}"))
        return []
    newest = next((stored.record for stored in records if not stored.record.unchanged), None)
    if newest is None:
        return []
    at = _as_recorded(newest, service, environment)
    snapshot = Snapshot(at.tip, Config(), at.found.environment, (at,))
    (wish,) = rollback_wishes(session)(snapshot)
    try:
        plan = _plan(replace(wish, strategy="artifact"), Facts(at, session.url), records, session)
    except GitopsRollbackError as error:  # of the image that is named: Git's error is what counts
        say(*wrapped(f"nor does the archive tell: {error.message}"))
        return []
    return [_Shard(plan, _commands(plan, store))]


def _as_recorded(record: Record, service: str, environment: str) -> ServiceAtTip:
    """Return the service as it stood after what its newest record was made for: one field of it."""
    running = record.replaced_by or record.image
    field = record.fields[0]
    pod = f"{{containers: [{{name: {service}, image: {running}}}]}}"
    text = f"kind: Pod\nmetadata: {{name: {service}}}\nspec: {pod}\n"
    manifests = read_manifests({field.path: text.encode()})
    found = manifests.fields[field.path]
    place = Environment(environment)
    fields = ServiceFields(
        service, place, Settings(configured=False), "record", found, (), manifests
    )
    return ServiceAtTip(Tip(record.branch, record.commit), fields, None)


def _plan(wish: Wish, facts: Facts, records: tuple[StoredRecord, ...], session: Session) -> Plan:
    """Ask for no more than the registry: all records that there are were read, and Git is gone.

    No commit is known then: that nobody reverted by hand is not known either, as the label says.
    """
    registry = session.registry(Config())
    known: dict[type[Need[Any]], object] = {
        NeedPlatforms: Platforms(),
        NeedRecords: Records(records),
        NeedHistory: History(),
        NeedLog: (),  # that edits by hand are not known is said
    }
    while True:
        try:
            return choose(wish, facts)
        except MissingFactError as missing:
            need = missing.need
        if isinstance(need, NeedCheck):
            answer: object = registry.check(need.image, facts.running)
        elif isinstance(need, NeedTags):
            answer = registry.tags(facts.running, need)
        else:
            answer = known[type(need)]
        facts = facts.knowing({need: answer})


def _commands(plan: Plan, store: RecordStore) -> tuple[str, ...]:
    chosen = plan.chosen
    stored = chosen.stored if chosen else None
    if chosen is None or stored is None:
        return ()
    image = str(chosen.image.with_version(chosen.image.tag, chosen.image.digest))
    return tuple(_command(field, image, stored, store) for field in stored.record.fields)


def _command(field: NotedField, image: str, stored: StoredRecord, store: RecordStore) -> str:
    """Return the kubectl command for one field, quoted: a record may hold anything."""
    if field.kind not in _KINDS:
        return f"# set the image of {shlex.quote(f'{field.kind} {field.name}')} by hand"
    namespace = _namespace(field, stored, store) or "NAMESPACE"
    words = (
        *("kubectl", "--namespace", namespace, "set", "image"),
        *(f"{field.kind.lower()}/{field.name}", f"{field.container}={image}"),
    )
    return shlex.join(words)


def _namespace(field: NotedField, stored: StoredRecord, store: RecordStore) -> str | None:
    """Return the namespace that the record or the archived manifest names, if one does."""
    if field.namespace:
        return field.namespace
    try:
        data = store.manifest(stored, field.path)
        documents = parse_once(field.path, data).documents if data is not None else ()
    except GitopsRollbackError:
        return None  # a namespace is a help only: the command then shows where it is to be put
    if field.document >= len(documents):
        return None
    return text_of(lookup(lookup(documents[field.document], "metadata"), "namespace"))


def _show(shard: _Shard, branch: str | None) -> None:
    plan, chosen = shard.plan, shard.plan.chosen
    target = chosen.image.label if chosen else "no image to go back to"
    say(*wrapped(f"{plan.title}: {plan.running.label} (the last that was recorded) → {target}"))
    for note in plan.findings:
        say(*wrapped(f"note: {note}", "  "))
    if chosen is None:
        return
    say(
        *wrapped("To break the glass, in the cluster and behind Git's back:", "  "),
        "    flux suspend kustomization NAME",
        *(f"    {command}" for command in shard.commands),
    )
    at = f" --branch {branch}" if branch else ""
    say(
        *wrapped("As soon as Git answers again, else Flux undoes it:", "  "),
        f"    gitops-rollback rollback --service {plan.service}{at} "
        f"--to {chosen.image.digest or chosen.image.label} --reason TEXT",
        "    flux resume kustomization NAME",
    )

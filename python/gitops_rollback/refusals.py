"""Every refusal there is: ONE table, and how a refusal is made, worded and accepted. Pure.

A refusal is an answer of exit code 6 that names a code. Each code is one row of `TABLE`: what it
means, how one goes on where it is read (a shell, or Jenkins, where nobody can type an option),
which option accepts it, and whether the ready-made rollback job lets its users accept it.
Everything that lists codes is made from the table or held to it by a test: `--accept`, its help,
the schemas of results, the hints, docs/troubleshooting.md. To add a refusal: a row here, and the
rule in `decide/`.
"""

from __future__ import annotations

from enum import Enum
from string import Formatter
from typing import TYPE_CHECKING, Any

from gitops_rollback.errors import RefusedError, UsageError, nearest_hint
from gitops_rollback.late import dataclass, field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

RUNNING = "running"  # why a candidate is passed over that is none: not a refusal
ALREADY = "already"  # it went back: what is told of it differs from what is told of other refusals
ACCEPT, AGAIN, RELEASE, ALLOW_OLDER = "accept", "again", "release", "allow-older"
STEP_VARIABLE = "GITOPS_STEP"  # names the step of the library that runs the command, if one does


class Place(Enum):
    """Where what the command says is read."""

    SHELL = "shell"
    JENKINS = "jenkins"


def place_of(environment: Mapping[str, str]) -> Place:
    """Return where this run is read: in Jenkins where a step of the library runs it."""
    return Place.JENKINS if environment.get(STEP_VARIABLE) else Place.SHELL


@dataclass(frozen=True)
class Row:
    """A kind of refusal.

    `commands` meet it; plan and check meet it where rollback does. `meaning` completes "refused
    because …". `shell` and `jenkins` (empty: the same words) say how
    to go on; `{accept}` stands there for what accepts it, `{service}` for the service as one types
    it, further names for facts that the rule gives. `option` is the option that accepts it, None
    where none does.
    """

    code: str
    commands: tuple[str, ...]
    meaning: str
    shell: str
    jenkins: str = ""
    option: str | None = ACCEPT
    is_candidate: bool = False  # it is a reason why a candidate is passed over
    job_allows: bool = True  # the ready-made rollback job lets its users accept it

    def template(self, place: Place) -> str:
        """Return the template of how to go on."""
        return (self.jenkins or self.shell) if place is Place.JENKINS else self.shell

    def accepting(self, place: Place) -> str:
        """Return the words that accept it: an option, or the parameter of job and step."""
        if self.option is None:
            return ""
        if place is Place.SHELL:
            return f"--accept {self.code}" if self.option == ACCEPT else f"--{self.option}"
        return _PARAMETERS[self.option].format(code=self.code)


_PARAMETERS = {
    ACCEPT: "ACCEPT {code} (in a step accept: '{code}')",
    AGAIN: "AGAIN (in a step again: true)",
    RELEASE: "RELEASE (in a step release: true)",
    ALLOW_OLDER: "ALLOW_OLDER (in a step allowOlder: true)",
}
# What a template says where nothing is known of the service: the words of the help.
_ANY = {"service": "SERVICE", "hold": "ID"}
_ALL_THE_SAME = "name another image; to take it all the same: {accept}"

TABLE = (
    Row(
        "held",
        ("deploy",),
        "a rollback holds the service: no deploy brings an image back before a person says so",
        "if this is the fix: {accept}; to end the hold: gitops-rollback release {service} "
        "--reason TEXT",
        "deploy the fix with {accept}, or end the hold with the rollback job, ACTION release",
        option=RELEASE,
    ),
    Row(
        ALREADY,
        ("rollback",),
        "the service was rolled back already, or what was deployed was reverted by hand",
        "look whether the service is well; to go one further: {accept}",
        option=AGAIN,
    ),
    Row(
        "outdated",
        ("deploy",),
        "a later build of the same job has deployed",
        "run the newest build again; to deploy the older image all the same: {accept}",
        "build the newest again; to deploy the older image all the same: {accept}",
        option=ALLOW_OLDER,
    ),
    Row(
        "bad",
        ("deploy", "rollback"),
        "the image was rolled back from before: by its digest, its version tag or its revision",
        "take a fixed image; if this one is good after all: {accept}",
        is_candidate=True,
    ),
    Row(
        "retag",
        ("deploy",),
        "a version that was deployed would be built again under the same tag",
        "give the new image a tag of its own; to build over the old one: {accept}",
        "give the new image a tag of its own (VERSION); to build over the old one: {accept}",
    ),
    Row(
        "same-tag",
        ("deploy", "rollback"),
        'only the tag is written (pin = "tag"), and the one that stands there has another digest',
        "give the new image a tag of its own; to write down that its digest changed: {accept}",
        "give the new image a tag of its own (VERSION); to write down that its digest changed: "
        "{accept}",
    ),
    Row(
        "tag",
        ("deploy", "rollback"),
        "no digest is known: what a tag means can change between now and the pods' pull",
        "name the image with its digest (NAME:TAG@sha256:…); to go by the tag alone: {accept}",
    ),
    Row(
        "effect",
        ("deploy", "rollback"),
        "whether the cluster would get this image is not known",
        "configure what is named; if you looked, and the cluster gets it: {accept}",
    ),
    Row(
        "automation",
        ("deploy", "release"),
        "an image policy of Flux would take the bad image again",
        "narrow the policy so that it leaves the image out; if the policy does not take it: "
        "{accept}",
    ),
    Row(
        "storage",
        ("rollback",),
        'storage changed since the image ran, and storage-guard = "refuse" (or nobody looks on)',
        "see that the image can live with it; to put it back all the same: {accept}",
    ),
    Row(
        "schema",
        ("rollback",),
        "the schema label went forward: the older code may not be able to use the data",
        "take the schema back first; if the old code can use it: {accept}",
    ),
    Row(
        "gone",
        ("deploy", "rollback"),
        "the registry no longer has the image",
        "push it, or name one that is there; if the cluster can pull it all the same: {accept}",
        is_candidate=True,
    ),
    Row(
        "platform",
        ("deploy", "rollback"),
        "the image is not there for a platform of the one that runs",
        "take another image; if no node has that platform: {accept}",
        is_candidate=True,
    ),
    Row(
        "not-an-image",
        ("deploy", "rollback"),
        "it is a signature, an attestation, a chart or a build cache",
        _ALL_THE_SAME,
        is_candidate=True,
    ),
    Row(
        "mutable-tag",
        ("rollback",),
        "only the tag is known, and the tag has meant another image since",
        "name the image by its digest; to go by what the tag means now: {accept}",
        "name the image by its digest (TO); to go by what the tag means now: {accept}",
        is_candidate=True,
    ),
    Row(
        "never-deployed",
        ("rollback",),
        "a build recorded it, but its deploy was never pushed",
        _ALL_THE_SAME,
        is_candidate=True,
    ),
    Row(
        "never-ran",
        ("rollback",),
        "it never ran in this service's fields, as their history shows",
        "deploy it by its own build; to put it there by a rollback: {accept}",
        is_candidate=True,
        job_allows=False,
    ),
    Row(
        "unproven",
        ("rollback",),
        "nothing shows that it ran in this service's fields",
        "look at gitops-rollback history {service}; if you know that it ran: {accept}",
        "look at the history (ACTION history); if you know that it ran: {accept}",
        is_candidate=True,
    ),
    Row(
        "tampered",
        ("rollback",),
        "the archived record is not the one that was made at the deploy",
        "find out who changed the archive; Git proves the image without it: --strategy git; to "
        "trust the archive: {accept}",
        "find out who changed the archive; Git proves the image without it: STRATEGY git; to trust "
        "the archive: {accept}",
        is_candidate=True,
        job_allows=False,
    ),
    Row(
        "passed-over",
        ("rollback",),
        "nobody looks on, and the image that ran just before would be passed over",
        "look at gitops-rollback plan {service}, then roll back by hand, without --unattended",
        "look at the plan (ACTION plan), then roll back by hand with the rollback job",
        option=None,
    ),
    Row(
        "lost-hold",
        ("deploy",),
        "a hold is in force on a field that is found no more, and it could be this one",
        "if it is this one, tie the hold to it: gitops-rollback history {service} --repair --hold "
        "{hold} --reason TEXT; else end it: gitops-rollback release {service} --hold {hold} "
        "--reason TEXT",
        "end the hold with the rollback job, ACTION release; or let a person with a shell tie it "
        "to the field again (hold {hold}: docs/hold.md)",
        option=None,
    ),
)
ROWS = {row.code: row for row in TABLE}
CODES = tuple(ROWS)
ACCEPTABLE = tuple(row.code for row in TABLE if row.option == ACCEPT)
REASONS = (RUNNING, *(row.code for row in TABLE if row.is_candidate))  # of candidates
JOB_ALLOWS = tuple(row.code for row in TABLE if row.option == ACCEPT and row.job_allows)


@dataclass(frozen=True)
class Refusal:
    """Why something is not done, and how to go on: `hint` for a shell, `jenkins` for Jenkins."""

    code: str
    message: str
    hint: str
    jenkins: str = ""

    def hint_in(self, place: Place) -> str:
        """Return how to go on in the words of the place where it is read."""
        return (self.jenkins or self.hint) if place is Place.JENKINS else self.hint

    def to_json(self, place: Place = Place.SHELL) -> dict[str, str]:
        """Return it as it stands in `blockedBy` of a plan."""
        return {"code": self.code, "message": self.message, "hint": self.hint_in(place)}

    def error(self, found: dict[str, Any] | None = None) -> RefusedError:
        """Return the error that ends a run with this refusal; `found` stands beside it."""
        error = RefusedError(self.code, self.message, self.hint, found)
        error.jenkins_hint = self.jenkins or None
        return error


def refusal(
    code: str,
    message: str,
    *,
    service: str = "",
    environment: str = "",
    shell: str | None = None,
    jenkins: str | None = None,
    **facts: str,
) -> Refusal:
    """Make the refusal of a code.

    `message` is one line: what was tried and what was found. `service` and `environment` are what
    the hint names. `shell` and `jenkins` take the place of the row's templates where a rule knows
    better what to do; both or none, and with `{accept}` where it can be accepted. `facts` fill
    further names in the templates. Raises `KeyError` for a code without a row or a missing fact.
    """
    row = ROWS[code]
    if (shell is None) != (jenkins is None):
        raise ValueError(f"{code}: a hint of its own is given for one place only")
    filled = {**facts, "service": typed(service, environment)}
    return Refusal(
        code,
        message,
        _fill(row.shell if shell is None else shell, row, Place.SHELL, filled),
        _fill(
            row.template(Place.JENKINS) if jenkins is None else jenkins, row, Place.JENKINS, filled
        ),
    )


def acceptable_codes(command: str) -> tuple[str, ...]:
    """Return what `--accept` of a command takes that matters to it, in the table's order."""
    met = "rollback" if command in ("plan", "check") else command
    return tuple(code for code in ACCEPTABLE if met in ROWS[code].commands)


def codes_of(option: str) -> frozenset[str]:
    """Return the codes that an option accepts: `release` accepts `held`."""
    return frozenset(row.code for row in TABLE if row.option == option)


def accepted_by(code: str, place: Place = Place.SHELL) -> str:
    """Return the words that accept a code: `--accept bad`, `AGAIN (in a step again: true)`."""
    return ROWS[code].accepting(place)


def released_with(codes: Iterable[str], place: Place = Place.SHELL) -> str:
    """Return the words that accept a hold and further codes at once."""
    listed = ",".join(codes)
    if place is Place.SHELL:
        return f"--{RELEASE} --{ACCEPT} {listed}"
    return f"RELEASE and ACCEPT {listed} (in a step release: true, accept: '{listed}')"


def typed(service: str, environment: str) -> str:
    """Return the service as one types it behind a command."""
    elsewhere = f" --environment {environment}" if environment not in ("", "default") else ""
    return f"{service or 'SERVICE'}{elsewhere}"


def _fill(template: str, row: Row, place: Place, facts: Mapping[str, str]) -> str:
    named = {name for _text, name, _form, _how in Formatter().parse(template) if name}
    known = {**facts, "accept": row.accepting(place)}
    return template.format(**{name: known[name] for name in named})


@dataclass(frozen=True)
class Acceptance:
    """Which refusals a person accepts: for every service, and for single ones."""

    everywhere: frozenset[str] = frozenset()
    by_service: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def of(self, service: str) -> frozenset[str]:
        """Return the codes that are accepted for a service."""
        return self.everywhere | self.by_service.get(service, frozenset())

    @property
    def codes(self) -> frozenset[str]:
        """All codes that are accepted for one service or another."""
        return self.everywhere.union(*self.by_service.values())


def read_acceptance(texts: Iterable[str], allowed: Iterable[str] | None = None) -> Acceptance:
    """Read `--accept`, each text `[SERVICE=]CODE[,…]`, and hold it to `--allowed-accept`.

    Codes behind a `SERVICE=` are accepted for that service alone, up to the next one. `allowed` is
    what the job allows to accept, None if it says nothing. Raises `UsageError` for what is no code
    or is accepted by an option of its own, `RefusedError` for what is not allowed.
    """
    everywhere: set[str] = set()
    by_service: dict[str, set[str]] = {}
    for text in texts:
        accepted = everywhere
        for part in text.replace(",", " ").split():
            name, equals, code = part.rpartition("=")
            if equals and not name:
                raise UsageError(f"--accept {part}: no service is named", "write SERVICE=CODE")
            if equals:
                accepted = by_service.setdefault(name, set())
            _check_code("accept", code)
            accepted.add(code)
    acceptance = Acceptance(
        frozenset(everywhere), {name: frozenset(codes) for name, codes in by_service.items()}
    )
    if allowed is not None:
        _check_allowed(acceptance, tuple(allowed))
    return acceptance


def _check_code(option: str, code: str) -> None:
    if code in ACCEPTABLE:
        return
    row = ROWS.get(code)
    if row is None:
        hint = f"{nearest_hint(code, CODES)} there is {', '.join(ACCEPTABLE)}".strip()
        raise UsageError(f"--{option} {code}: no refusal has this code", hint)
    own = row.accepting(Place.SHELL)
    by_hand = _fill(row.shell, row, Place.SHELL, _ANY)
    raise UsageError(
        f"--{option} {code}: this refusal is not accepted so",
        f"go on with {own}" if own else f"do this: {by_hand}",
    )


def _check_allowed(acceptance: Acceptance, allowed: tuple[str, ...]) -> None:
    for code in allowed:
        _check_code("allowed-accept", code)
    for code in sorted(acceptance.codes):
        if code not in allowed:
            raise not_allowed(code, allowed).error()


def not_allowed(code: str, allowed: Iterable[str]) -> Refusal:
    """Return the refusal of who may not accept a code here; `allowed` are those that may be."""
    others = ", ".join(sorted(allowed)) or "none"
    return Refusal(
        code,
        f"'{code}' may not be accepted here ({ROWS[code].meaning}); what may: {others}",
        "ask who may set GITOPS_ALLOWED_ACCEPT, or who may deploy this service",
        "ask who configures this job (GITOPS_ALLOWED_ACCEPT), or who may deploy this service",
    )

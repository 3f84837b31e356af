"""What is known of a service, and what may still be asked for.

A rule asks for a fact by `Facts.ask(NeedX(…))`. Where it is not known yet, `decide` ends with that
`Need`; whoever called looks it up and calls again. So a rule reads as if everything were known,
nobody is asked for what is not needed, and nothing here talks to anybody.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast

from gitops_rollback.effective.effect import Finding
from gitops_rollback.late import dataclass, field, regex, replace
from gitops_rollback.ledger.events import Event
from gitops_rollback.ledger.fields import likeness_of
from gitops_rollback.ledger.holds import Holds, path_of_hold
from gitops_rollback.ledger.records import MissingRecord, StoredRecord
from gitops_rollback.ledger.stack import Running, read_running
from gitops_rollback.ledger.state import State, path_of
from gitops_rollback.model import DEPLOY, RECORDED, LogEntry, title
from gitops_rollback.policies import Policies
from gitops_rollback.services.ownership import disagreement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gitops_rollback.effective.proof import Recipe
    from gitops_rollback.errors import GitopsRollbackError
    from gitops_rollback.image import ImageReference
    from gitops_rollback.ledger.events import HistoryEntry
    from gitops_rollback.ledger.fields import Likeness, NotedField
    from gitops_rollback.manifest.edit import FieldEdit
    from gitops_rollback.manifest.image_field import FieldKey, ImageField
    from gitops_rollback.model import Build, Deed
    from gitops_rollback.query.tags import Ran, Tag
    from gitops_rollback.repo.objects import Tip
    from gitops_rollback.services.catalogue import ServiceFields
    from gitops_rollback.services.config import Settings

T = TypeVar("T")
BEGINNING = "0001"  # a time before all commits: history is walked to its bound
# A platform is `os/architecture[/variant][@os.version]`. What runs where: github.com/containerd/
# platforms (compare.go: arm, amd64) and learn.microsoft.com, "Windows container version
# compatibility": a container of process isolation needs the build of its host.
_BUILD = regex(r"\d+\.\d+\.\d+")
# Without a variant these are what all builders mean by it.
_DEFAULTS = {"arm": 7, "arm64": 8, "amd64": 1}
_VARIANT = regex(r"v(\d{1,9})(?:\.(\d{1,9}))?")


class Need(Generic[T]):
    """A fact that is missing; `T` is the type of what answers it.

    `together` tells that look/ answers it for many services at once.
    """

    together: ClassVar[bool] = False


class MissingFactError(Exception):
    """Raised by `Facts.ask` and caught by `decide` alone, which returns the need."""

    def __init__(self, need: Need[Any]) -> None:
        super().__init__(repr(need))
        self.need = need


@dataclass(frozen=True)
class ServiceAtTip:
    """One service as it stands at a tip: its image fields, and what counts for them.

    `state` is the one account of its fields, if there is one; `aliases` are the state files that
    these fields have under other names, `holds` the files of the holds that concern them, `lost`
    the state files that may be of them. `displaced` is what stands under the service's name and is
    of other fields, as it stands under theirs: it moves there with the next change. `elsewhere` are
    the names of the other environments. `named` are the services and
    environments of which a state file is there, of those that may be of these fields.
    `restored`: the paths of files that were deleted, and of which `state` is, with the environment
    of each.
    """

    tip: Tip
    found: ServiceFields
    state: State | None
    aliases: tuple[State, ...] = ()
    holds: Holds = field(default_factory=Holds)
    lost: tuple[State, ...] = ()
    displaced: State | None = None
    elsewhere: frozenset[str] = frozenset()
    named: frozenset[tuple[str, str]] = frozenset()
    restored: Mapping[str, str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The service's name."""
        return self.found.service

    @property
    def environment(self) -> str:
        """The environment's name."""
        return self.found.environment.name

    @property
    def title(self) -> str:
        """Service and environment, as people read them: `cart production`."""
        return title(self.service, self.environment)

    @cached_property
    def read(self) -> Running:
        """What runs, as fields and state file tell; raises `ConfigError` if fields disagree."""
        read = read_running(self.found.fields, self.state)
        if read is None:
            raise disagreement(self.service, self.found.fields)
        return read

    @property
    def account(self) -> State:
        """The one account of its fields: an empty one where there is none."""
        return self.state or State(self.service, self.environment)

    @property
    def deploy_job(self) -> str | None:
        """The job that holds the service's records: its last deploy's, else the configured."""
        own = (one for one in self.account.deployed if one.action in (DEPLOY, RECORDED))
        jobs = (entry.build.job for entry in own if entry.build)
        return next(jobs, self.found.settings.deploy_job)


@dataclass(frozen=True)
class Check:
    """What the registry says of an image: `there`, `gone` or `unknown`.

    `digest` is what it has now under the reference; `has_tag` tells whether the reference's tag
    still has the reference's digest.
    """

    status: str
    digest: str | None = None
    has_tag: bool = False
    message: str = ""


@dataclass(frozen=True)
class Platforms:
    """What a candidate is, and its platforms and the running image's; empty where not known.

    `no_image` says what it is where that is no image ("a Helm chart"); `problem` why nobody told,
    where it was asked for. `is_same`: the references of both have one digest at the registry.
    `built` and `revision`: when the candidate was built, and of which commit, if it tells.
    """

    candidate: frozenset[str] = frozenset()
    running: frozenset[str] = frozenset()
    problem: str = ""
    no_image: str = ""
    is_same: bool = False
    built: str | None = None
    revision: str | None = None

    @property
    def lacking(self) -> tuple[str, ...]:
        """Where the running image runs and the candidate cannot, if both are known."""
        if not self.candidate or not self.running:
            return ()
        return lacking(self.candidate, self.running)

    def is_in_place_of(self, former: frozenset[str]) -> bool:
        """Tell whether a candidate goes back to what the running image took the place of.

        It is there for all platforms of a former image, and the running image for no more of them
        than that one: so it did not add those that the candidate lacks, but came in their place.
        """
        is_more = len(self.running) > len(former)
        return bool(self.candidate) and not is_more and not lacking(self.candidate, former)


@dataclass(frozen=True)
class History:
    """What commits tell of a service's fields, newest first; `is_whole`: there is no more of it."""

    entries: tuple[HistoryEntry, ...] = ()
    is_whole: bool = False

    @property
    def begins(self) -> bool:
        """Whether it reaches back to the commit that brought the fields."""
        return bool(self.entries) and not self.entries[-1].is_oldest


@dataclass(frozen=True)
class Records:
    """A service's newest records, newest first: as many as were asked for, or all there are.

    `failure` says why the archive did not answer, `unread` which records were passed over.
    """

    found: tuple[StoredRecord, ...] = ()
    has_more: bool = False
    failure: GitopsRollbackError | None = None
    unread: str = ""


@dataclass(frozen=True)
class Tags:
    """The tags of the running image's repository; `failure` says why nobody told."""

    found: tuple[Tag, ...] = ()
    failure: GitopsRollbackError | None = None


@dataclass(frozen=True)
class Digest:
    """What a reference's tag means at the registry now; None with the reason where nobody tells."""

    digest: str | None
    failure: GitopsRollbackError | None = None


@dataclass(frozen=True)
class Revision:
    """The commit that an image's label says it was built from; None where it says none.

    `problem` says why nobody told.
    """

    commit: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Unanswered:
    """A source that did not answer, and the error that says why."""

    error: GitopsRollbackError


@dataclass(frozen=True)
class StorageFacts:
    """What was found about the storage of a service.

    `findings` are those of `check --storage`, `changes` what is other than when the chosen image
    ran, `problems` what could not be found out; all as lines.
    """

    findings: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class SchemaLabels:
    """The schema that two images say they need, by their label; None where they say nothing."""

    running: str | None = None
    target: str | None = None
    problem: str = ""


@dataclass(frozen=True)
class Version:
    """A version of a state file: the commit that left it so, its message, and the bytes."""

    commit: str
    message: str
    data: bytes


@dataclass(frozen=True)
class StateVersions:
    """The bytes of a state file at the tip, if there is one, and its versions, newest first."""

    present: bytes | None
    versions: tuple[Version, ...] = ()


@dataclass(frozen=True)
class Blobs:
    """The blobs that a build of kustomize reads, by path; or why nothing is built (`problem`)."""

    tree: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class Rendered:
    """What a tool made of a folder before some edits and after them; or why not (`problem`).

    `is_missing`: there is no tool on this machine that could.
    """

    tool: str = ""
    version: str = ""
    before: bytes = b""
    after: bytes = b""
    problem: str = ""
    is_missing: bool = False


@dataclass(frozen=True)
class Removed:
    """A state file that a commit took away: the commit, its message, and what the file held.

    Or the file of a hold, with the hold's id for a service, and its folder for an environment.
    `data` is not read where this tool took the file away itself: then that is over.
    """

    commit: str
    message: str
    service: str
    environment: str
    data: bytes

    @property
    def path(self) -> str:
        """Where the file stood."""
        return path_of(self.environment, self.service)

    @property
    def is_hold(self) -> bool:
        """Whether it is the file of a hold."""
        return self.path == path_of_hold(self.service)


@dataclass(frozen=True)
class NeedHistory(Need[History]):
    """The bounded history of the service's fields; if possible, back to a time.

    With `below` it is walked on below the oldest deed of the state file.
    """

    together: ClassVar[bool] = True
    until: str | None = None
    below: bool = False


@dataclass(frozen=True)
class NeedRecords(Need[Records]):
    """The newest `count` records of the service: each may cost a download."""

    count: int


@dataclass(frozen=True)
class NeedRecord(Need[StoredRecord | MissingRecord | Unanswered]):
    """The record that a deed names, by the build that archived it and by its sha256."""

    build: Build | None
    sha256: str | None
    deed: Deed = field(compare=False)


@dataclass(frozen=True)
class NeedTags(Need[Tags]):
    """The registry's tags, as many as a choice among them needs; `patient` if all waits for them.

    `query` and `ran` are what is chosen by: see `query.choose`.
    """

    patient: bool
    query: str | None = None
    ran: tuple[Ran, ...] = ()


@dataclass(frozen=True)
class NeedCheck(Need[Check]):
    """Whether the registry still has an image; with `looks` it will be asked what it is, too."""

    together: ClassVar[bool] = True
    image: ImageReference
    looks: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class NeedPlatforms(Need[Platforms]):
    """What an image is, and for which platforms it and the running one are there."""

    together: ClassVar[bool] = True
    image: ImageReference


@dataclass(frozen=True)
class NeedRevision(Need[Revision]):
    """The commit that an image was built from, as its label says."""

    image: ImageReference


@dataclass(frozen=True)
class NeedDigest(Need[Digest]):
    """What a tag means now; `patient` where nothing can be written without it."""

    image: ImageReference
    patient: bool


@dataclass(frozen=True)
class NeedPolicies(Need[Policies]):
    """The image policies of the manifests repository."""


@dataclass(frozen=True)
class NeedStorage(Need[StorageFacts]):
    """The storage now, and when an image ran: at its last commit, or when it was `released`."""

    label: str
    commit: str | None
    image: ImageReference
    released: bool


@dataclass(frozen=True)
class NeedSchemaLabels(Need[SchemaLabels]):
    """The schema labels of the running image and of the chosen one."""

    image: ImageReference


@dataclass(frozen=True)
class NeedChanges(Need[tuple[str, ...]]):
    """What else changed in the manifests since the record of an image, by its sha256, was made."""

    sha256: str


@dataclass(frozen=True)
class NeedFilesAt(Need["Mapping[str, bytes | None]"]):
    """Files as they stood at a commit; None for one that was not there, or cannot be read."""

    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class NeedBlobs(Need[Blobs]):
    """Which blobs a build of kustomize would read."""

    recipe: Recipe


@dataclass(frozen=True)
class NeedRendered(Need[Rendered]):
    """What kustomize itself builds, as it stands and with some files as they would be."""

    recipe: Recipe
    edited: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class NeedFindings(Need[tuple[Finding, ...] | None]):
    """What the effect shows of edits that are judged together with those of other services.

    None where only what they do by themselves tells it. `written` is each field with its new value.
    """

    together: ClassVar[bool] = True
    written: tuple[tuple[FieldKey, str], ...]
    image: ImageReference
    edits: tuple[FieldEdit, ...] = field(compare=False, repr=False)


@dataclass(frozen=True)
class NeedAuthor(Need[str]):
    """Who made the newest commit of the branch."""


@dataclass(frozen=True)
class NeedLog(Need[tuple[LogEntry, ...]]):
    """The newest commits of the branch, with their messages."""


@dataclass(frozen=True)
class NeedStateVersions(Need[StateVersions]):
    """The state file as it stands and as it stood."""


@dataclass(frozen=True)
class NeedRemoved(Need[tuple[Removed, ...]]):
    """The state files of some services, and the files of holds, that are not there any more.

    One bounded walk over the branch's commits: each that took such a file away, newest first.
    """

    services: frozenset[str]


@dataclass(frozen=True)
class NeedBeside(Need["bool | None"]):
    """Whether fields stood on the branch when one of before, which was at a path, last did.

    So it is where that one stands there still; not where they came later, or are that one, which
    was moved. None where nothing in reach tells. Each of `fields` is its path and its likeness.
    """

    path: str
    like: Likeness
    fields: frozenset[tuple[str, Likeness]]

    @classmethod
    def of(cls, noted: NotedField, fields: Iterable[ImageField]) -> NeedBeside | None:
        """Return what to ask of a field that was written down; None if fields are of its file."""
        others = [(one.path, likeness_of(one)) for one in fields if one.path != noted.path]
        return cls(noted.path, noted.likeness, frozenset(others)) if others else None


@dataclass(frozen=True)
class NeedAccount(Need[tuple[Event, ...]]):
    """What commits and records tell of the service, newest first, without its state file."""


@dataclass(frozen=True)
class FirstTry:
    """What this run read and decided on the first tip it met: a later tip must not change it.

    `holds` are the ids of the holds that it would have ended, as `holds.to_end` tells them.
    """

    running: ImageReference
    target: ImageReference | None
    holds: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """All that is known about one service at a tip.

    `url` is the repository as records name it. `known` has the answers so far, by need. `first` is
    what this run saw before the branch moved, `filed` the record that it has filed already.
    `among`: other services are decided with it.
    """

    at: ServiceAtTip
    url: str
    known: Mapping[Need[Any], Any] = field(default_factory=dict)
    first: FirstTry | None = None
    filed: StoredRecord | None = None
    among: bool = False

    def ask(self, need: Need[T]) -> T:
        """Return a fact; raise `MissingFactError` if it is not known yet."""
        if need not in self.known:
            raise MissingFactError(need)
        return cast("T", self.known[need])

    def has(self, need: Need[T]) -> T | None:
        """Return a fact if it is known already, else None."""
        return self.known.get(need)

    def knowing(self, answers: Mapping[Need[Any], Any]) -> Facts:
        """Return the facts with more answers."""
        return replace(self, known={**self.known, **answers})

    @property
    def state(self) -> State | None:
        """The state file, if there is one."""
        return self.at.state

    @property
    def account(self) -> State:
        """What the state file says; an empty one where there is none."""
        return self.at.account

    @property
    def settings(self) -> Settings:
        """What the configuration says of the service."""
        return self.at.found.settings

    @property
    def title(self) -> str:
        """Service and environment, as people read them."""
        return self.at.title

    @property
    def running(self) -> ImageReference:
        """The image that runs, with its digest if that is proven."""
        return self.at.read.image


def lacking(candidate: Iterable[str], running: Iterable[str]) -> tuple[str, ...]:
    """Return the platforms of the running image for which a candidate cannot run.

    A lower variant serves: a node for arm/v7 runs arm/v6, one for amd64/v3 runs amd64. What a
    candidate does not say, such as Windows' version, does not count against it.
    """
    offered = [_parts(platform) for platform in candidate]
    return tuple(
        platform
        for platform in sorted(running)
        if not any(_serves(one, _parts(platform)) for one in offered)
    )


def _parts(platform: str) -> tuple[str, str, str, str]:
    name, _, version = platform.partition("@")
    system, architecture, variant = (*name.split("/"), "", "")[:3]
    return system, architecture, variant, version


def _serves(offered: tuple[str, str, str, str], wanted: tuple[str, str, str, str]) -> bool:
    if offered[:2] != wanted[:2]:
        return False
    return _is_lower_variant(offered[1], offered[2], wanted[2]) and _is_same_build(
        offered[3], wanted[3]
    )


def _is_lower_variant(architecture: str, offered: str, wanted: str) -> bool:
    if offered == wanted:
        return True
    default = _DEFAULTS.get(architecture)
    if default is None:
        return False
    one, other = _level(offered, default), _level(wanted, default)
    return one is not None and other is not None and one <= other


def _level(variant: str, default: int) -> tuple[int, int] | None:
    if not variant:
        return default, 0
    found = _VARIANT.fullmatch(variant)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _is_same_build(offered: str, wanted: str) -> bool:
    one, other = _BUILD.match(offered), _BUILD.match(wanted)
    return one is None or other is None or one[0] == other[0]

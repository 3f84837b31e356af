"""Every option of the command and every parameter of the steps: ONE table. Pure.

A row is an option of some commands, a parameter of some steps of the Jenkins library, or both. From
it come the parsers, the `GITOPS_` variables, `--help`, what a step lets through, the help of each
step in `vars/*.txt`, and the tables in docs/ (`tools/tables.py` writes what lies in files; a test
holds them to this). To add an option: a row here, and the rule that reads it.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from gitops_rollback.errors import UsageError
from gitops_rollback.forges.address import KINDS
from gitops_rollback.image import ImageReference, InvalidImageError, parse_image
from gitops_rollback.late import dataclass, field
from gitops_rollback.refusals import (
    ALLOW_OLDER,
    RELEASE,
    Acceptance,
    acceptable_codes,
    codes_of,
    read_acceptance,
)

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

PREFIX = "GITOPS_"
STRATEGIES = ("auto", "artifact", "git", "registry")
SHELLS = ("bash", "zsh", "fish")
EFFECT_PROOFS = ("off", "auto", "build")
NO_HOLD = "none"  # for --hold: nothing was held when one looked
WAITING, PATIENCE = 120.0, 300.0  # seconds: a push; a rollout, which takes longer
MOST_LINES = 10  # of a list in a text
MOST_ENTRIES = 20  # of a history: as many as a state file keeps


class Kind(Enum):
    """What an option takes."""

    TEXT = "text"
    SECONDS = "seconds"
    COUNT = "count"  # a whole number of at least 1
    FLAG = "flag"
    CHOICE = "choice"
    NAMES = "names"  # may be repeated; in the variable commas or blanks separate
    FILES = "files"  # may be repeated; in the variable each stands on its own line
    LIMIT = "limit"  # a whole number; 0: no limit
    OUTPUT = "output"  # a format, a file, or both
    WORD = "word"  # an argument without an option's name: one of some words
    ARGUMENTS = "arguments"  # any number of arguments without an option's name


class Group(Enum):
    """What an option is about: the headings of a command's whole help."""

    WHICH = "which services"
    IMAGE = "what to deploy or to go back to"
    HOW = "how"
    WHERE = "where"
    RECORDS = "records and registries"
    MERGE = "pull requests"
    WAITING = "waiting for the cluster"
    WHO = "who and why"
    RESULTS = "results"
    JOBS = "what the jobs are given"
    AGENT = "agent and credentials"  # of steps alone


@dataclass(frozen=True)
class Variant:
    """In what an option is another for one command; None is as the row says."""

    help: str | None = None
    default: str | float | None = None
    kind: Kind | None = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Parameter:
    """A row as a parameter of steps: what Groovy calls its type, what it means, its default.

    `steps` maps each step that takes it to when it must be given (`Required`, `Required without
    plan`) or to an empty text. `variants` gives (default, meaning) where a step means it otherwise.
    `is_handed_on`: the command reads it, from the variable of the option.
    """

    type: str
    meaning: str
    default: str = ""
    steps: Mapping[str, str] = field(default_factory=dict)
    variants: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    is_handed_on: bool = True

    def words(self, step: str) -> str:
        """Return how a step's help tells of it: `(Optional, defaults to …) …`."""
        default, meaning = self.variants.get(step, (self.default, self.meaning))
        when = self.steps[step] or "Optional"
        shown = f", {default}" if default.startswith(("by ", "derived ")) else ""
        shown = shown or (f", defaults to {default}" if default else "")
        return f"({when}{shown}) {meaning}"


@dataclass(frozen=True)
class Row:
    """An option (of `commands`), a parameter of steps, or both; `is_basic`: in the short help.

    Of choices the first is the default, unless `default` is empty: then nothing is said.
    """

    name: str
    group: Group
    kind: Kind = Kind.TEXT
    help: str = ""
    commands: tuple[str, ...] = ()
    metavar: str = ""
    letter: str = ""
    default: str | float | None = None
    choices: tuple[str, ...] = ()
    is_basic: bool = False
    variants: Mapping[str, Variant] = field(default_factory=dict)
    step: Parameter | None = None

    @property
    def key(self) -> str:
        """The parameter's name in a step: `allowOlder`."""
        first, *rest = self.name.split("-")
        return first + "".join(word.title() for word in rest)

    @property
    def variable(self) -> str:
        """The environment variable that gives it, too."""
        return variable_name(self.name)

    @property
    def is_argument(self) -> bool:
        """Whether it stands on the command line without its name."""
        return self.kind in (Kind.WORD, Kind.ARGUMENTS)

    def for_command(self, command: str) -> Row:
        """Return the row as one command means it."""
        from gitops_rollback.late import replace  # noqa: PLC0415 - where a command differs only

        variant = self.variants.get(command)
        if variant is None:
            return self
        changed = {name: value for name, value in vars(variant).items() if value is not None}
        return replace(self, **changed)


def variable_name(name: str) -> str:
    """Return the environment variable by which an option is given, too."""
    return PREFIX + name.upper().replace("-", "_")


# Commands and steps -------------------------------------------------------------------------------

_CHOOSING = ("plan", "rollback", "report")
_CHANGING = ("deploy", "rollback", "release")
_SERVICES = (
    "record",
    "deploy",
    "plan",
    "rollback",
    "release",
    "history",
    "check",
    "wait",
    "report",
    "stats",
)
_REPOSITORY = (*_SERVICES, "services", "jobs")
_STORE = tuple(name for name in _SERVICES if name not in ("wait", "stats"))
_SEEN_THROUGH = ("deploy", "rollback")  # what can wait until it runs
_FORGE = (*_CHANGING, "check", "wait")
_BUILD, _CHECK, _DEPLOY = "gitopsBuildImage", "gitopsCheck", "gitopsDeploy"
_PLAN, _RECORD = "gitopsFindPreviousImage", "gitopsRecordImage"
_RELEASE, _ROLLBACK, _HISTORY = "gitopsRelease", "gitopsRollback", "gitopsHistory"
_APPROVE, _JOB = "gitopsApprove", "gitopsJob"  # these two run no command
STEPS = (
    _APPROVE, _BUILD, _CHECK, _DEPLOY, _PLAN, _HISTORY, _JOB, _RECORD, _RELEASE, _ROLLBACK
)  # fmt: skip
_REQUIRED = "Required"


def _of(*steps: str, **required: str) -> dict[str, str]:
    return {step: required.get(step, "") for step in STEPS if step in steps or step in required}


_ON_AGENTS = _of(*(step for step in STEPS if step not in (_APPROVE, _JOB)))
_ON_SERVICES = _of(*(step for step in _ON_AGENTS if step != _BUILD))
_WRITING = _of(_DEPLOY, _RELEASE, _ROLLBACK)
_FALSE = "false"
_WAIT_DEPLOYED = (
    "Wait until Flux has applied it and the pods run the image, also where it was deployed "
    "already; fail if they do not, and say why."
)
_PAGE = (
    "Archive a page with plan, difference, timeline and timings, and link it in the build's "
    "description."
)
_KEPT_NOW = (
    "Keep those builds whose records a rollback would go by, and that a discarder of Jenkins may "
    "take; jenkinsCredentialsId needs Run/Update on the deploy jobs."
)
_CREATED = (
    "For the label org.opencontainers.image.created; without it two builds of the same content are "
    "the same image."
)
_OF_HUB = "User name and token of Docker Hub."
_OF_REGISTRY = "User name and password of another registry."


def _accepts(command: str) -> Variant:
    codes = ", ".join(acceptable_codes(command))
    return Variant(help=f"refusals to accept, by code: {codes}")


# One row, some lines: the formatter would give each word a line of its own.
# fmt: off
TABLE: tuple[Row, ...] = (
    Row("service", Group.WHICH, Kind.NAMES, "the same as an option; may be repeated",
        (*_SERVICES, "jobs"), "NAME",
        variants={"jobs": Variant(help="deploy jobs of these services only (default: all)")},
        step=Parameter("String", "The service, several separated by commas, or a set.",
            steps={**dict.fromkeys((_BUILD, _PLAN, _HISTORY, _RECORD, _RELEASE), _REQUIRED),
            _CHECK: "", _DEPLOY: "Required without images", _ROLLBACK: "Required without plan"},
            variants={_BUILD: ("", "The service, for the label org.opencontainers.image.title."),
            _CHECK: ("all that are configured or have been deployed",
            "The service, several separated by commas, or a set."), _DEPLOY: ("",
            "The service; with images, also several separated by commas, or a set.")})),
    Row("services", Group.WHICH, Kind.ARGUMENTS, "services, or sets of them", _SERVICES,
        "SERVICE", is_basic=True,
        step=Parameter("List", "The services as a list, instead of service.",
            steps=_ON_SERVICES, is_handed_on=False),
        variants={"check": Variant(help="services, or sets; with --storage files and folders "
            "to read", metavar="SERVICE|PATH")}),
    Row("set", Group.WHICH, Kind.NAMES, "a set of services; may be repeated", _SERVICES,
        "NAME"),
    Row("all", Group.WHICH, Kind.FLAG,
        "all services of the environment: configured, or deployed before", _SERVICES,
        step=Parameter("Boolean", "All services of the environment, instead of service.",
            _FALSE, _ON_SERVICES)),
    Row("environment", Group.WHICH, help="the environment, where several are configured",
        commands=_REPOSITORY, metavar="NAME", is_basic=True,
        step=Parameter("String", "The environment.", "the only one", _ON_SERVICES)),
    Row("allowed-services", Group.WHICH, Kind.NAMES,
        "refuse all services but these; sets too (default: none)", (*_SERVICES, "jobs"), "NAME",
        variants={"jobs": Variant(help="for the jobs: the only services and sets these jobs "
            "may touch", kind=Kind.TEXT, metavar="VALUE")},
        step=Parameter("List",
            "The only services and sets that may be named; checked before anything is asked.",
            "GITOPS_ALLOWED_SERVICES, else all", _of(_CHECK, _PLAN, _HISTORY, _RELEASE,
            _ROLLBACK))),
    Row("skip-blocked", Group.WHICH, Kind.FLAG,
        "do those of several services that nothing stands in the way of", ("plan", *_CHANGING),
        step=Parameter("Boolean",
            "Of several services, do those that nothing stands in the way of; the build is "
            "unstable then, and blocked says what was left.", _FALSE, _of(_PLAN, _DEPLOY, _RELEASE,
            _ROLLBACK))),
    Row("paths", Group.WHICH, Kind.ARGUMENTS, "files or folders (default: this folder)",
        ("fields",), "PATH", is_basic=True),
    Row("action", Group.WHICH, Kind.WORD, "what to do with the jobs", ("jobs",),
        choices=("install", "check"), is_basic=True),
    Row("shell", Group.WHICH, Kind.WORD, "the shell", ("completion",), choices=SHELLS,
        is_basic=True),
    Row("install", Group.RESULTS, Kind.FLAG, "write it where the shell looks for it",
        ("completion",), is_basic=True),
    Row("image", Group.IMAGE, Kind.NAMES,
        "the image to deploy; SERVICE=IMAGE for each of several services", ("deploy", "record"),
        "IMAGE", is_basic=True,
        variants={"record": Variant(help="the image that is about to replace the present "
            "one; SERVICE=IMAGE for each of several")},
        step=Parameter("String", "The new image, with its digest.", steps=_of(_RECORD,
            gitopsBuildImage=_REQUIRED, gitopsDeploy="Required without images"),
            variants={_BUILD: ("", "Where the image goes, with its tag and without a digest."),
            _RECORD: ("", "The image that is about to replace it.")})),
    Row("images", Group.IMAGE,
        step=Parameter("Map",
            "The new image of each of several services, instead of image: one commit.",
            steps=_of(_DEPLOY, _RECORD),
            variants={_RECORD: ("",
            "The image that is about to replace each of several services, instead of image.")},
            is_handed_on=False)),
    Row("to", Group.IMAGE, help="go back to this tag, digest, image or build (#41, JOB#41)",
        commands=_CHOOSING, metavar="WHAT", is_basic=True,
        step=Parameter("String",
            'The image to go back to: a tag, a digest, an image, or a build such as "#41".',
            steps=_of(_PLAN, _ROLLBACK))),
    Row("as-of", Group.IMAGE, help="go back to what ran then: 2h, or a time with offset",
        commands=_CHOOSING, metavar="TIME", is_basic=True,
        step=Parameter("String",
            'Go back to what ran then: an age such as "2h", or a time with its offset from UTC.',
            steps=_of(_PLAN, _ROLLBACK))),
    Row("again", Group.IMAGE, Kind.FLAG,
        "go one further, although the service was rolled back already", _CHOOSING,
        is_basic=True,
        step=Parameter("Boolean", "Go one further back although it was just rolled back.",
            _FALSE, _of(_PLAN, _ROLLBACK))),
    Row("strategy", Group.IMAGE, Kind.CHOICE,
        "what to choose by: records and Git (auto), or one source", _CHOOSING,
        choices=STRATEGIES,
        step=Parameter("String", 'Where to look: "auto", "artifact", "git" or "registry".',
            '"auto"', _of(_PLAN, _ROLLBACK))),
    Row("query", Group.IMAGE, help="JMESPath over the registry's tags", commands=_CHOOSING,
        metavar="QUERY",
        step=Parameter("String", "JMESPath query over the registry's tags.", steps=_of(_PLAN,
            _ROLLBACK))),
    Row("from", Group.IMAGE, Kind.NAMES,
        "what must run now, else exit 5; SERVICE=IMAGE for each of several", ("deploy",
            *_CHOOSING), "IMAGE",
        step=Parameter("Object",
            "The image that must run now, of several services a map such as [cart: '…', payment: "
            "'…']; if another does, the step fails.", steps=_of(_DEPLOY, _ROLLBACK))),
    Row("plan", Group.IMAGE, help="the plan to follow, as plan -o FILE wrote it",
        commands=("rollback", "record", "report"), metavar="FILE",
        variants={"record": Variant(help="the plan of the rollback that is about to replace "
            "it"), "report": Variant(help="what plan -o FILE wrote (default: plan now)")},
        step=Parameter("Object",
            "What gitopsFindPreviousImage returned, or a file with it: it fixes from and to.",
            steps=_of(_APPROVE, _ROLLBACK),
            variants={_APPROVE: ("",
            "What gitopsFindPreviousImage, or gitopsRelease with dryRun, returned.")})),
    Row("forgive", Group.IMAGE, Kind.NAMES, "a bad image that may be deployed again",
        ("release",), "IMAGE", is_basic=True,
        step=Parameter("String", "An image to take off the list of bad ones.",
            steps=_of(_RELEASE))),
    Row("explain", Group.IMAGE, Kind.FLAG, "print all that is known of every candidate",
        ("plan",), is_basic=True),
    Row("release", Group.HOW, Kind.FLAG, "deploy, and end the hold in the same commit",
        ("deploy",), is_basic=True,
        step=Parameter("Boolean",
            "Deploy although the service is held, and end the hold in the same commit.", _FALSE,
            _of(_DEPLOY))),
    Row("allow-older", Group.HOW, Kind.FLAG,
        "deploy although a later build of the same job did", ("deploy",),
        step=Parameter("Boolean", "Deploy although a later build of this job has deployed.",
            _FALSE, _of(_DEPLOY))),
    Row("accept", Group.HOW, Kind.NAMES,
        "refusals to accept, by code: see troubleshooting.md",
        commands=(*_CHOOSING, "deploy", "release", "check"),
        metavar="[SERVICE=]CODE[,…]",
        variants={command: _accepts(command) for command in (*_CHOOSING, "deploy", "release",
            "check")},
        step=Parameter("String", 'Codes of refusals to accept, such as "bad"; a list too.',
            steps=_of(_CHECK, _DEPLOY, _PLAN, _RELEASE, _ROLLBACK),
            variants={_CHECK: ("",
            'Codes of refusals that a rollback would accept, such as "platform"; a list too.'),
            _RELEASE: ("", 'Codes of refusals to accept, such as "automation"; a list too.')})),
    Row("allowed-accept", Group.HOW, Kind.NAMES,
        "the only codes that may be accepted (default: all)",
        (*_CHOOSING, "deploy", "release", "check", "jobs"), "CODE",
        variants={"jobs": Variant(help="for the jobs: the only codes that may be accepted",
            kind=Kind.TEXT, metavar="VALUE")},
        step=Parameter("List", "The only codes of refusals that may be accepted.",
            "GITOPS_ALLOWED_ACCEPT, else all", _of(_CHECK, _DEPLOY, _PLAN, _RELEASE, _ROLLBACK))),
    Row("effect-proof", Group.HOW, Kind.CHOICE,
        "whether the machine's kustomize builds to prove an effect: never, where it is not known "
        "otherwise, always (default: as configured, else auto)", (*_CHOOSING, "deploy", "check"),
        choices=EFFECT_PROOFS, default="",
        step=Parameter("String", 'Whether the agent\'s kustomize (or kubectl) builds to prove an '
            'effect: "off", "auto" (where it is not known otherwise) or "build" (always).',
            "GITOPS_EFFECT_PROOF, else as configured",
            _of(_CHECK, _DEPLOY, _PLAN, _ROLLBACK))),
    Row("before-build", Group.HOW, Kind.FLAG,
        "judge by name and tag before the image is built; write nothing", ("deploy",),
        step=Parameter("Boolean",
            "Only ask whether a rule would refuse the image, by its name and tag, before it is "
            "built: a hold, the bad list, a later build, a tag that was deployed.", _FALSE,
            _of(_DEPLOY))),
    Row("fail-blocked", Group.HOW,
        step=Parameter("Boolean",
            "Fail where something stands in the way, as the rollback would.", _FALSE, _of(_PLAN),
            is_handed_on=False)),
    Row("dry-run", Group.HOW, Kind.FLAG, "show what would be done; change nothing", (*_CHANGING,
            "history", "jobs"), is_basic=True,
        variants={"history": Variant(help="with --repair: show what would be done")},
        step=Parameter("Boolean", "Show what would be done, write nothing.", _FALSE, _WRITING)),
    Row("unattended", Group.HOW, Kind.FLAG,
        "nobody looks on: refuse (6, storage) where the storage changed", ("rollback",)),
    Row("keep", Group.HOW, Kind.FLAG,
        "let Jenkins keep the build with the record of what one would go back to, and no "
        "longer the one before", ("deploy", "rollback", "check"),
        variants={"check": Variant(help="keep those builds whose records a rollback would go by, "
            "and that a discarder of Jenkins may take")},
        step=Parameter("Boolean",
            "Let Jenkins keep the build with the record of what one would go back to, and no "
            "longer the one before; jenkinsCredentialsId needs Run/Update and Run/Delete on the "
            "deploy jobs, and a warning says if it has not.", "GITOPS_KEEP, else false",
            _of(_CHECK, _DEPLOY, _ROLLBACK), variants={_CHECK: ("GITOPS_KEEP, else false",
            _KEPT_NOW)})),
    Row("hold", Group.HOW, Kind.TEXT,
        "the hold that is meant, by its id as plan shows it (several: separated by commas; none: "
        "nothing is held); exit 5 if another is in force",
        ("deploy", "release", "history"), "ID",
        variants={"history": Variant(help="with --repair: tie this hold, whose field is lost, to "
            "the service's field")},
        step=Parameter("String", "The id of the hold that is meant, as this step told it with "
            "dryRun or beforeBuild; another: the step fails.",
            steps=_of(_DEPLOY, _RELEASE))),
    Row("retire", Group.HOW, Kind.FLAG,
        "remove the state file and holds of a service that is gone: one commit", ("history",)),
    Row("repair", Group.HOW, Kind.FLAG,
        "rebuild the state files from commits and records: one commit", ("history",)),
    Row("storage", Group.HOW, Kind.FLAG,
        "check PersistentVolumes, claims, classes and the pods that use them", ("check",),
        is_basic=True),
    Row("prove", Group.HOW, Kind.FLAG,
        "edit each field in memory to another image and back; exit 1 if a byte differs",
        ("fields",), is_basic=True),
    Row("lock", Group.HOW,
        step=Parameter("Boolean",
            "Hold the lock gitops-rollback/<environment>/<service> from record to push. Not "
            "needed to be correct.", _FALSE, _of(_DEPLOY), is_handed_on=False)),
    Row("reason", Group.WHO, help="why, for commit, state file and hold", commands=(*_CHANGING,
            "history"), metavar="TEXT", is_basic=True,
        step=Parameter("String", "Why, for commit, state file and hold.", steps=_of(_DEPLOY,
            gitopsApprove=_REQUIRED, gitopsRelease=_REQUIRED, gitopsRollback=_REQUIRED),
            variants={_APPROVE: ("", "Why, for the question."), _DEPLOY: ("",
            "Why, for the commit."), _RELEASE: ("", "Why, for the commit.")})),
    Row("by", Group.WHO,
        help="who (default: who started the build, else git's user.name, else the account)",
        commands=(*_CHANGING, "history", "record"), metavar="NAME",
        step=Parameter("String", "The person, for commit and state file.",
            "whoever started the build, also through other builds", _of(_APPROVE, _DEPLOY, _RECORD,
            _RELEASE, _ROLLBACK))),
    Row("approved-by", Group.WHO,
        step=Parameter("String", 'Who approved it: "jane, approved by bob".', steps=_of(_DEPLOY,
            _RECORD, _RELEASE, _ROLLBACK), is_handed_on=False)),
    Row("repository", Group.WHERE,
        help="URL or path of the manifests repository; a work tree means its origin "
        "(default: the work tree one stands in)", commands=_REPOSITORY, metavar="URL",
        step=Parameter("String", "URL of the manifests repository.",
            "GITOPS_REPOSITORY, else to what the workspace was checked out from", _ON_SERVICES)),
    Row("branch", Group.WHERE, help="where the configuration is read (default: HEAD)",
        commands=_REPOSITORY, metavar="NAME",
        step=Parameter("String", "Where the configuration is read.", "the remote's HEAD",
            _ON_SERVICES)),
    Row("timeout", Group.WHERE, Kind.SECONDS,
        f"bound on all waiting for others (default: {WAITING:g})", _REPOSITORY, "SECONDS",
        default=WAITING,
        variants={"wait": Variant(
            help=f"bound on all waiting for others (default: {PATIENCE:g})", default=PATIENCE)},
        step=Parameter("Number", "Seconds to wait for others in all.", f"{WAITING:g}",
            _ON_SERVICES)),
    Row("cache", Group.WHERE, help="keep what was fetched in this directory, for the next run",
        commands=_REPOSITORY, metavar="DIR",
        step=Parameter("String",
            "A directory of the agent that keeps what was fetched from Git, for the next build.",
            "GITOPS_CACHE", _ON_SERVICES)),
    Row("store", Group.RECORDS, help="where records are: jenkins[:JOB] or directory:PATH",
        commands=(*_STORE, "jobs"), metavar="STORE",
        variants={"jobs": Variant(help="for the jobs: where the records are: "
            "jenkins:FOLDER/JOB")},
        step=Parameter("String",
            'Where records are: "jenkins", "jenkins:FOLDER/JOB" or "directory:PATH".', '"jenkins"',
            _ON_SERVICES)),
    Row("record", Group.RECORDS, Kind.FILES, "the record of what this replaces; one for each",
        ("deploy", "rollback"), "FILE"),
    Row("record-dir", Group.RECORDS, help="where to write the record of what this replaces",
        commands=("record", "rollback"), metavar="DIR",
        variants={"record": Variant(help="where to write the record (default: . but in no clone of "
            "the manifests repository)")}),
    Row("hub-url", Group.RECORDS, help="where the Docker Hub API is", commands=_STORE,
        metavar="URL"),
    Row("registry-url", Group.RECORDS, help="where the registry of the images is",
        commands=_STORE, metavar="URL"),
    Row("pull-request", Group.MERGE, Kind.FLAG,
        "push a branch of its own and open a pull request; exit 7", _CHANGING,
        step=Parameter("Boolean",
            "Open a pull request instead of pushing to the branch; until it is merged, the build "
            "is unstable.", "GITOPS_PULL_REQUEST", _WRITING)),
    Row("wait-for-merge", Group.MERGE, Kind.FLAG, "wait until it is merged, at most --timeout",
        _CHANGING,
        step=Parameter("Boolean", "Wait until it is merged, at most timeout.", _FALSE,
            _WRITING)),
    Row("forge", Group.MERGE, Kind.CHOICE, "what hosts the repository (default: by its name)",
        _FORGE, choices=KINDS,
        step=Parameter("String", 'What hosts the repository: "github" or "gitlab".',
            "by the host's name", _WRITING)),
    Row("forge-url", Group.MERGE, help="the host's API, where the remote does not tell",
        commands=_FORGE, metavar="URL",
        step=Parameter("String", "Where the host's API is.", "derived from the repository",
            _WRITING)),
    Row("commit", Group.WAITING, help="the commit to wait for (default: the branch's tip)",
        commands=("wait",), metavar="COMMIT", is_basic=True),
    Row("change", Group.WAITING, help="the result of the deploy or rollback to wait for",
        commands=("wait",), metavar="FILE", is_basic=True),
    Row("wait", Group.WAITING, Kind.FLAG,
        "wait until Flux has applied it and the pods run the image; fail if they do not",
        _SEEN_THROUGH,
        step=Parameter("Boolean",
            "Wait until Flux has applied it and the pods run the image; fail if they do not, and "
            "say why.", "GITOPS_WAIT, else false", _of(_DEPLOY, _ROLLBACK),
            variants={_DEPLOY: ("GITOPS_WAIT, else false",
            _WAIT_DEPLOYED)}, is_handed_on=False)),
    Row("wait-timeout", Group.WAITING, Kind.SECONDS,
        f"of --wait: how long (default: {PATIENCE:g})", _SEEN_THROUGH, "SECONDS",
        default=PATIENCE,
        step=Parameter("Number", "Seconds to wait for that.",
            f"GITOPS_WAIT_TIMEOUT, else {PATIENCE:g}", _of(_DEPLOY, _ROLLBACK),
            is_handed_on=False)),
    Row("kube-context", Group.WAITING, Kind.NAMES,
        "a context of the kubeconfig; may be repeated (default: its current one)",
        ("wait", *_SEEN_THROUGH), "NAME",
        step=Parameter("String",
            "A context of the kubeconfig; a list of them has to be done all.", "its current one",
            _of(_DEPLOY, _ROLLBACK))),
    Row("kustomization", Group.WAITING, Kind.NAMES,
        "without a cluster: whose commit status counts; may be repeated",
        ("wait", *_SEEN_THROUGH), "NAME",
        step=Parameter("String",
            "Name of the Kustomization whose commit status counts; a list too.", "all that report",
            _of(_DEPLOY, _ROLLBACK))),
    Row("hasten", Group.WAITING, Kind.FLAG,
        "where Flux still checks the health of a bad image, set the live image to what stands at "
        "the tip of Git: that ends the check", ("wait", *_SEEN_THROUGH)),
    Row("auto-rollback", Group.WAITING, Kind.FLAG,
        "wait, and roll back what was deployed if its image is to blame: once", ("deploy",),
        step=Parameter("Boolean",
            "Wait, and if the image is to blame, roll back what was deployed: once, and not if "
            "the storage changed. The build fails all the same.",
            "GITOPS_AUTO_ROLLBACK, else false", _of(_DEPLOY), is_handed_on=False)),
    Row("output", Group.RESULTS, Kind.OUTPUT,
        "text, wide, name, json or yaml on stdout; or a file, for JSON; or both",
        (*_REPOSITORY, "fields"), "FORMAT|FILE", "o", is_basic=True),
    Row("verbose", Group.RESULTS, Kind.FLAG, "show each git call and each wait",
        (*_REPOSITORY, "fields"), letter="v"),
    Row("since", Group.WHICH, help="from when on: an age, or a time with offset (default: 90d)",
        commands=("stats",), metavar="TIME", default="90d", is_basic=True),
    Row("drill", Group.RESULTS, Kind.FILES,
        "what check -o FILE wrote, for the share of drills that went well; may be repeated",
        ("stats",), "FILE"),
    Row("waited", Group.RESULTS, Kind.FILES,
        "what wait -o FILE wrote, for the time until rollbacks were applied; may be repeated",
        ("stats",), "FILE"),
    Row("format", Group.RESULTS, Kind.CHOICE,
        "of --storage: text, json, or commands for GitHub Actions", ("check", "stats"),
        choices=("text", "json", "github"),
        variants={"stats": Variant(help="text, CSV, or a textfile for Prometheus",
            choices=("text", "csv", "prometheus"))}),
    Row("limit", Group.RESULTS, Kind.LIMIT,
        f"lines of a list, such as that of candidates (default: {MOST_LINES}; 0: all)",
        ("plan", *_CHANGING, "history"), "NUMBER",
        variants={"history": Variant(f"how many entries (default: {MOST_ENTRIES})", MOST_ENTRIES,
            Kind.COUNT)},
        step=Parameter("Number", "How many entries of each service.", f"{MOST_ENTRIES}",
            _of(_HISTORY))),
    Row("report", Group.RESULTS,
        step=Parameter("Boolean", _PAGE, "GITOPS_REPORT, else true", _of(_DEPLOY, _PLAN, _ROLLBACK),
            variants={_DEPLOY: ("GITOPS_REPORT, else false", _PAGE)}, is_handed_on=False)),
    Row("report-dir", Group.RESULTS, help="write gitops-rollback/report/ below it",
        commands=("report", "check"), metavar="DIR", is_basic=True,
        variants={"report": Variant(help="write gitops-rollback/report/ below it (default: .)",
            default="."), "check": Variant(help="also write gitops-rollback/report/ below it")}),
    *(
        Row(name, Group.RESULTS, help=text, commands=("report",), metavar="FILE")
        for name, text in (
            ("result", "what rollback, deploy or release wrote with -o FILE"),
            ("history", "what history -o FILE wrote (default: look now)"),
            ("check", "what check -o FILE wrote: no plan is made"),
            ("rollout", "what wait -o FILE wrote of the change"),
        )
    ),
    # The jobs
    Row("jenkins", Group.WHERE, help="the server (default: JENKINS_URL)", commands=("jobs",),
        metavar="URL", is_basic=True),
    Row("library-url", Group.WHERE, help="Git repository of this library, with its pipelines",
        commands=("jobs",), metavar="URL", is_basic=True),
    Row("library-branch", Group.WHERE, help="its branch, or a tag as refs/tags/NAME",
        commands=("jobs",), metavar="NAME", default="main"),
    Row("library-credentials-id", Group.WHERE, help="credentials to read it with",
        commands=("jobs",), metavar="ID"),
    Row("source", Group.WHERE, Kind.NAMES,
        "SERVICE=URL, or one URL with {service}: where a service is built from; without it "
        "there is no deploy job", ("jobs",), "SOURCE", is_basic=True,
        step=Parameter("String", "For the label org.opencontainers.image.source.",
            "the context's Git origin", _of(_BUILD), is_handed_on=False)),
    Row("source-branch", Group.WHERE, help="the branch that is built", commands=("jobs",),
        metavar="NAME", default="main"),
    Row("folder", Group.WHERE, help="folder of jobs that `deploy-job` does not place",
        commands=("jobs",), metavar="NAME"),
    Row("rollback-job", Group.WHERE, help="name of the rollback job", commands=("jobs",),
        metavar="NAME", default="rollback"),
    Row("drill-job", Group.WHERE, help="also install the nightly drill, of this name",
        commands=("jobs",), metavar="NAME"),
    Row("no-lists", Group.WHERE, Kind.FLAG,
        "SERVICE and ENVIRONMENT stay texts, not choices from the catalogue", ("jobs",)),
    *(
        Row(name, Group.JOBS, help=f"for the jobs: {text}", commands=("jobs",), metavar="VALUE")
        for name, text in (
            ("library", "the library as Jenkins knows it (gitops-rollback)"),
            ("agent", "label of the agents to run on"),
        )
    ),
    Row("approvers", Group.JOBS, commands=("jobs",), metavar="VALUE",
        help="for the jobs: who has to approve a rollback: users and groups",
        step=Parameter("String", "Who may approve: users and groups, separated by commas.",
            "GITOPS_APPROVERS, else whoever may build the job", _of(_APPROVE),
            is_handed_on=False)),
    Row("self-approval", Group.JOBS, commands=("jobs",), metavar="VALUE",
        help="for the jobs: false: whoever started a rollback may not approve it",
        step=Parameter("Boolean", "Whether whoever started the build may approve it.",
            "GITOPS_SELF_APPROVAL, else true", _of(_APPROVE), is_handed_on=False)),
    Row("approval-hours", Group.JOBS, commands=("jobs",), metavar="VALUE",
        help="for the jobs: how long an approval is waited for",
        step=Parameter("Number", "How many hours to wait for the answer.",
            "GITOPS_APPROVAL_HOURS, else 8", _of(_APPROVE), is_handed_on=False)),
    Row("version", Group.JOBS,
        step=Parameter("String", "The version of gitops-rollback that the Jenkinsfile is of.",
            steps=_of(gitopsJob=_REQUIRED), is_handed_on=False)),
    Row("writes", Group.JOBS,
        step=Parameter("Boolean",
            "Whether the run may change anything: if not, it does not wait for its parameters.",
            "true", _of(_JOB), is_handed_on=False)),
    # Of the steps: credentials, by the names that Jenkins has for them; the agent
    Row("git-credentials-id", Group.JOBS,
        help="for the jobs: may push to the manifests repository, and read the sources",
        commands=("jobs",), metavar="VALUE",
        step=Parameter("String", "User name and token for the manifests repository.",
            "GITOPS_GIT_CREDENTIALS_ID", _ON_SERVICES, is_handed_on=False)),
    Row("jenkins-credentials-id", Group.JOBS,
        help="for the jobs: API token that may read the deploy jobs", commands=("jobs",),
        metavar="VALUE",
        step=Parameter("String", "User name and API token that may read the deploy jobs.",
            "GITOPS_JENKINS_CREDENTIALS_ID", _ON_SERVICES, is_handed_on=False)),
    Row("docker-hub-credentials-id", Group.AGENT,
        step=Parameter("String", _OF_HUB, "GITOPS_DOCKERHUB_CREDENTIALS_ID", _ON_AGENTS,
            is_handed_on=False)),
    Row("dockerhub-credentials-id", Group.JOBS, help="for the jobs: Docker Hub",
        commands=("jobs",), metavar="VALUE"),
    Row("registry-credentials-id", Group.JOBS, help="for the jobs: another registry",
        commands=("jobs",), metavar="VALUE",
        step=Parameter("String", _OF_REGISTRY, "GITOPS_REGISTRY_CREDENTIALS_ID", _ON_AGENTS,
            variants={_BUILD: ("GITOPS_REGISTRY_CREDENTIALS_ID",
            "User name and password of the image's registry.")}, is_handed_on=False)),
    Row("registry-host", Group.JOBS, help="for the jobs: the host of that registry",
        commands=("jobs",), metavar="VALUE",
        step=Parameter("String", "The host that the registry's credentials are for.",
            "GITOPS_REGISTRY_HOST", _ON_AGENTS,
            variants={_BUILD: ("GITOPS_REGISTRY_HOST",
            "The host that the registry's credentials are for; needed with them.")},
            is_handed_on=False)),
    Row("kubeconfig-credentials-id", Group.AGENT,
        step=Parameter("String",
            "Secret file with the kubeconfig to look with; without it, Flux's commit statuses "
            "are read.", "GITOPS_KUBECONFIG_CREDENTIALS_ID", _of(_DEPLOY, _ROLLBACK),
            is_handed_on=False)),
    Row("use-installed", Group.AGENT,
        step=Parameter("Boolean",
            "Use the agent's own gitops-rollback if it has exactly this version.",
            "GITOPS_USE_INSTALLED", _ON_SERVICES, is_handed_on=False)),
    # Of gitopsBuildImage alone
    *(
        Row(name, Group.IMAGE,
            step=Parameter(type_, meaning, default, _of(_BUILD), is_handed_on=False))
        for name, type_, default, meaning in (
            ("context", "String", '"."', "The folder to build."),
            ("dockerfile", "String", '"Dockerfile" in the context', "The Dockerfile."),
            ("target", "String", "", "The stage to build."),
            ("build-args", "Map", "",
             "Build arguments. They stay visible in the image: never secrets."),
            ("labels", "Map", "", "Further labels; they win over the ones above."),
            ("platforms", "String", "", 'Platforms such as "linux/amd64,linux/arm64"; a list too.'),
            ("cache-from", "String", "",
             "Where cached layers come from, in the tool's words; a list too."),
            ("cache-to", "String", "", "Where cached layers go, in the tool's words; a list too."),
            ("pull", "Boolean", _FALSE, "Fetch the base images again."),
            ("no-cache", "Boolean", _FALSE, "Build every layer again."),
            ("push", "Boolean", "true",
             "Push the image; if not, no registry is logged in to, and image has no digest."),
            ("tool", "String", "the first of these that the agent has",
             '"docker", "podman" or "buildah".'),
            ("revision", "String", "the context's Git commit",
             "For the label org.opencontainers.image.revision."),
            ("created", "String", "",
             _CREATED),
        )
    ),
)
# fmt: on


def rows_of(command: str) -> Iterator[Row]:
    """Return the options and arguments of a command, as it means them, in the order of its help."""
    groups = list(Group)
    found = [row.for_command(command) for row in TABLE if command in row.commands]
    yield from sorted(found, key=lambda row: groups.index(row.group))


def parameters_of(step: str) -> Iterator[tuple[Row, Parameter]]:
    """Return the parameters of a step, in the table's order."""
    for row in TABLE:
        if row.step is not None and step in row.step.steps:
            yield row, row.step


# What was given -----------------------------------------------------------------------------------


def repeated(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return the values of a repeatable option: those given, else those of its variable."""
    given = getattr(options, name)
    values = given if given is not None else getattr(options, f"{name}_variable")
    return tuple(part for value in values or () for part in split(value))


def limits(options: argparse.Namespace, name: str) -> tuple[str, ...]:
    """Return what an option that sets limits lets through; empty where nothing set any.

    Raises `UsageError` where it was given and names nothing: that would let everything through.
    """
    found = repeated(options, name)
    is_given = getattr(options, name) is not None
    if not found and (is_given or getattr(options, f"{name}_variable") is not None):
        option = f"--{name.replace('_', '-')}"
        raise UsageError(
            f"{option if is_given else variable_name(option[2:])} is given and names nothing",
            "name what is allowed, or leave it out where everything is",
        )
    return found


def split(text: str) -> list[str]:
    """Return the names in a text, which commas or blanks separate."""
    return text.replace(",", " ").split()


def images_by_service(options: argparse.Namespace, name: str) -> dict[str, ImageReference]:
    """Return the images of an option, `SERVICE=IMAGE`, by service; a plain one has an empty name.

    Raises `UsageError` if one is malformed, or if a service is named twice.
    """
    found: dict[str, ImageReference] = {}
    for text in repeated(options, name):
        service, equals, image = text.rpartition("=")
        if service in found or (equals and not service):
            raise UsageError(
                f"--{name} {text}: {service or 'no service'} is named{' twice' if service else ''}",
                f"write --{name} SERVICE=IMAGE, once for each service",
            )
        found[service] = _parsed(image, name)
    return found


def _parsed(text: str, name: str) -> ImageReference:
    try:
        return parse_image(text)
    except InvalidImageError as error:
        raise UsageError(
            f"--{name}: {error}",
            "write registry/repository:tag@sha256:…, for example acme/cart:1.4.2",
        ) from error


def acceptance(options: argparse.Namespace) -> Acceptance:
    """Return what a person accepts by `--accept`, as far as `--allowed-accept` lets it."""
    texts = options.accept
    if texts is None:
        texts = [",".join(options.accept_variable or ())]
    allowed = limits(options, "allowed_accept")
    return read_acceptance(texts, allowed or None)


def accepted(options: argparse.Namespace) -> frozenset[str]:
    """Return the codes of the refusals a person accepts for all services alike.

    By `--accept`, or by an option of its own.
    """
    codes = set(acceptance(options).everywhere)
    for option in (RELEASE, ALLOW_OLDER):
        if getattr(options, option.replace("-", "_"), False):
            codes |= codes_of(option)
    return frozenset(codes)

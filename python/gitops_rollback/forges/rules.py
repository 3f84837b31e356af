"""What GitHub and GitLab say of a branch: of pushes to it, and of how Flux fared with its commits.

A rehearsed push runs no hooks and no rules. docs.github.com: REST API, repositories, branches,
rules for a branch, commit statuses; docs.gitlab.com: projects, branches, push rules, commits API.
A rule that is not known here is named, too: an all-clear is never given for what was not
understood. Of commit statuses both answer with the newest of each context.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gitops_rollback.forges.address import GITLAB
from gitops_rollback.forges.client import ForgeError, ForgeHttp, ForgeMissingError, inner
from gitops_rollback.late import dataclass, regex
from gitops_rollback.model import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gitops_rollback.clock import Deadline
    from gitops_rollback.forges.address import Address

_HINT = "it needs to read the repository (GitHub: metadata and contents, GitLab: read_api)"
# Those of GitHub's rules that a plain push of one commit on the tip cannot break.
_HARMLESS = frozenset(
    {"deletion", "non_fast_forward", "required_linear_history", "creation", "branch_name_pattern",
     "tag_name_pattern", "copilot_code_review"}
)  # fmt: skip
# Those that a pull request meets. Scans are waited for before a plain push, too
# (github/codeql#19671: GH013, "Code scanning is waiting for results").
_BY_PROPOSAL = frozenset({"pull_request", "update", "required_status_checks", "merge_queue",
                          "required_deployments", "workflows", "code_scanning",
                          "code_quality"})  # fmt: skip
_NAMES = {
    "required_signatures": "commits have to be signed",
    "commit_message_pattern": "commit messages have to follow a pattern",
    "commit_author_email_pattern": "the author's e-mail address has to follow a pattern",
    "committer_email_pattern": "the committer's e-mail address has to follow a pattern",
    "file_path_restriction": "some files must not be changed",
    "max_file_path_length": "paths must not be long",
    "file_extension_restriction": "files of some kinds must not be changed",
    "max_file_size": "files must not be large",
}
_LONGEST = 100  # characters of a rule's name or pattern
_MOST_RULES = 100  # that GitHub tells in one answer


@dataclass(frozen=True)
class Commit:
    """What the rules of a host judge of a commit of ours: signed or not, message and addresses."""

    is_signed: bool
    message: str
    author: str
    committer: str


@dataclass(frozen=True)
class Obstacle:
    """What stands against a push; `by_proposal` tells whether a pull request passes it."""

    text: str
    by_proposal: bool = False


class BranchRules:
    """The rules of a repository's branches; raises `ForgeError` where they cannot be read."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._is_gitlab = address.kind == GITLAB
        self._http = ForgeHttp(address, environment, deadline, _HINT)
        self._path, self._root = address.path, address.git

    def against_push(self, branch: str, commit: Commit) -> tuple[Obstacle, ...]:
        """Return what stands against a push of a commit to a branch.

        Where the host tells a part of its rules only, the rest may stand against it, too: no pull
        request is sure to pass that.
        """
        found: list[Obstacle] = []
        try:
            for obstacle in (self._gitlab if self._is_gitlab else self._github)(branch, commit):
                found.append(obstacle)  # noqa: PERF402 - what was found before a failure counts
        except ForgeError as error:
            if not found:
                raise
            found.append(Obstacle(f"further rules are not known: {error.message}"))
        return tuple(found)

    def _github(self, branch: str, commit: Commit) -> Iterator[Obstacle]:
        what = f"the rules of {branch}"
        name = quote(branch, safe="")
        found = self._http.document(f"{self._root}/branches/{name}", what, "protected")
        path = f"{self._root}/rules/branches/{name}?per_page={_MOST_RULES}"
        rules = self._http.documents(path, what)
        obstacles = list(_of_rules(rules, commit))
        yield from obstacles
        if len(rules) >= _MOST_RULES:
            yield Obstacle(f"{branch} has more rules than are read here: each may refuse a push")
        if found["protected"] and not obstacles:
            text = f"{branch} is protected: pushes may have to meet conditions"
            yield Obstacle(text, by_proposal=True)
        yield from _of_repository(self._told(self._path))

    def _gitlab(self, branch: str, commit: Commit) -> Iterator[Obstacle]:
        what = f"the rules of {branch}"
        name = quote(branch, safe="")
        found = self._http.document(f"{self._root}/branches/{name}", what, "can_push")
        if not found["can_push"]:
            text = f"{branch} is protected: it takes no push from this token"
            yield Obstacle(text, by_proposal=True)
        yield from _of_repository(self._told(self._path))
        yield from _of_push_rule(self._told(f"{self._path}/push_rule"), commit)

    def _told(self, path: str) -> dict[str, Any]:
        """Return what the host tells; {} where it has nothing of the kind.

        Raises `ForgeError` where it gave no answer, or does not let this token know.
        """
        try:
            return self._http.document(path, "its settings")
        except ForgeMissingError:
            return {}


def _of_repository(document: Mapping[str, Any]) -> Iterator[Obstacle]:
    if document.get("archived") is True:
        yield Obstacle("the repository is archived: it takes no pushes")
    if document.get("disabled") is True:
        yield Obstacle("the repository is disabled: it takes no pushes")
    if inner(document, "permissions").get("push") is False:  # GitHub's word
        yield Obstacle("this token may not push to the repository")


def _of_rules(rules: list[dict[str, Any]], commit: Commit) -> Iterator[Obstacle]:
    for rule in rules:
        kind = one_line(str(rule.get("type")), _LONGEST)
        if kind in _HARMLESS or _is_met(kind, rule, commit):
            continue
        if kind in _BY_PROPOSAL:
            yield Obstacle(f"a rule that a push does not meet: {kind}", by_proposal=True)
        else:
            known = _NAMES.get(kind, "a rule that is not known here, and may refuse a push")
            pattern = _pattern_of(rule)
            shown = f": {one_line(pattern, _LONGEST)}" if pattern else ""
            yield Obstacle(f"{known} ({kind}{shown})")


def _is_met(kind: str, rule: Mapping[str, Any], commit: Commit) -> bool:
    """Tell whether a commit of ours surely meets a rule."""
    if kind == "required_signatures":
        return commit.is_signed
    judged = {
        "commit_message_pattern": commit.message,
        "commit_author_email_pattern": commit.author,
        "committer_email_pattern": commit.committer,
    }.get(kind)
    parameters = inner(rule, "parameters")
    test = _OPERATORS.get(str(parameters.get("operator")))
    pattern = _pattern_of(rule)
    if judged is None or test is None or not pattern:
        return False
    return test(judged, pattern) is not (parameters.get("negate") is True)


def _pattern_of(rule: Mapping[str, Any]) -> str:
    pattern = inner(rule, "parameters").get("pattern")
    return pattern if isinstance(pattern, str) else ""


# A regular expression is the host's (RE2): it is not tried here, and said instead.
_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "starts_with": str.startswith,
    "ends_with": str.endswith,
    "contains": str.__contains__,
}


def _of_push_rule(rule: Mapping[str, Any], commit: Commit) -> Iterator[Obstacle]:
    """Read GitLab's push rule (docs.gitlab.com/ee/api/project_push_rules.html)."""
    if rule.get("reject_unsigned_commits") is True and not commit.is_signed:
        yield Obstacle("commits have to be signed (reject_unsigned_commits)")
    texts = {
        "commit_message_regex": "commit messages have to follow a pattern",
        "commit_message_negative_regex": "commit messages must not have a pattern",
        "author_email_regex": "the author's e-mail address has to follow a pattern",
        "file_name_regex": "files of some names must not be pushed",
    }
    for key, text in texts.items():
        pattern = rule.get(key)
        if isinstance(pattern, str) and pattern:
            yield Obstacle(f"{text} ({key}: {one_line(pattern, _LONGEST)})")
    flags = {
        "commit_committer_check": "the committer has to be the user who pushes",
        "commit_committer_name_check": "the committer's name has to be the user's",
        "member_check": "the author has to be a member",
        "reject_non_dco_commits": "commit messages have to be signed off",
    }
    for key, text in flags.items():
        if rule.get(key) is True:
            yield Obstacle(f"{text} ({key})")


_STATUSES_HINT = "it needs to read commit statuses (GitHub classic: repo, GitLab: read_api)"
_EARLIER = 3  # commits before


# notification-controller names a status by the object and the provider's uid
# (fluxcd/notification-controller:internal/notifier/github.go, gitlab.go, util.go).
_FLUX = regex(r"(?:.*/)?(?P<kind>kustomization|helmrelease)/(?P<name>[^/]+)/[0-9a-f]{8}$")


@dataclass(frozen=True)
class CommitStatus:
    """One status of a commit: the newest of its context."""

    context: str
    state: str
    description: str = ""

    @property
    def name(self) -> str:
        """The Kustomization's or HelmRelease's name; empty where Flux did not post it."""
        found = _FLUX.match(self.context)
        return found["name"] if found else ""

    def is_called(self, name: str) -> bool:
        """Tell whether it is by that name, alone or with the id behind it, or of that context."""
        return name in (self.name, self.context) or self.context.endswith(f"/{name}")


class CommitStatuses:
    """The commit statuses of one repository; raises `ForgeError` where they cannot be read."""

    def __init__(
        self, address: Address, environment: Mapping[str, str], deadline: Deadline
    ) -> None:
        self._is_gitlab = address.kind == GITLAB
        self._http = ForgeHttp(address, environment, deadline, _STATUSES_HINT)
        self._root = f"{address.git}/commits"

    def of(self, commit: str) -> list[CommitStatus]:
        """Return the statuses of a commit."""
        what = f"the statuses of {commit[:12]}"
        if self._is_gitlab:
            found = self._http.documents(f"{self._root}/{commit}/statuses?per_page=100", what)
            return [_status(one, "name", "status") for one in found]
        path = f"{self._root}/{commit}/status?per_page=100"
        found = self._http.documents(path, what, "statuses")
        return [_status(one, "context", "state") for one in found]

    def before(self, commit: str) -> list[str]:
        """Return a few commits before one, newest first."""
        which = "ref_name" if self._is_gitlab else "sha"
        path = f"{self._root}?{which}={commit}&per_page={_EARLIER + 1}"
        found = self._http.documents(path, f"the commits before {commit[:12]}")
        ids = [str(one.get("id" if self._is_gitlab else "sha", "")) for one in found]
        return [one for one in ids if one and one != commit]


def _status(found: dict[str, Any], context: str, state: str) -> CommitStatus:
    return CommitStatus(
        one_line(str(found.get(context) or ""), 300),
        str(found.get(state) or ""),
        one_line(str(found.get("description") or ""), 300),
    )

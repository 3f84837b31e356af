"""What hosts mean when they refuse a push: their own words, and a hint that is true of each.

GitHub (docs.github.com: about protected branches, rulesets, push protection), GitLab (gitlab-org/
gitlab, lib/ee/gitlab/checks and lib/gitlab/checks, locale texts), Gitea and Forgejo (routers/
private/hook_pre_receive.go), Bitbucket (support.atlassian.com: branch permissions, commit checks),
Azure DevOps (TF402455, TF401027). Pure.
"""

from __future__ import annotations

import re

from gitops_rollback.late import dataclass, regex


@dataclass(frozen=True)
class Rule:
    """A rule of a host: the words by which it is known, and what to do about it.

    `passes_as_proposal` tells that a pull request meets it; else the same commit is refused there,
    too, or its branch is.
    """

    words: re.Pattern[str]
    hint: str
    passes_as_proposal: bool


def _rule(words: str, hint: str, *, passes_as_proposal: bool = False) -> Rule:
    return Rule(regex(words, re.IGNORECASE), hint, passes_as_proposal)


_SIGN = (
    "commits have to be signed there: give git a key that the host knows (git config commit.gpgsign"
    " true, user.signingkey, gpg.format), or let this account pass the rule by"
)
_MESSAGE = (
    "the host wants another commit message, and this tool's messages (SERVICE ENVIRONMENT: FROM →"
    " TO (ACTION)) cannot be configured: let this account pass the rule by, or widen its pattern"
)
_WHO = (
    "the host wants another author or committer: set user.name and user.email (or GIT_AUTHOR_EMAIL"
    " and GIT_COMMITTER_EMAIL) to those of the account that pushes"
)
_RIGHT = (
    "this account may not write to the repository: give it (or its key) the right to; a pull"
    " request needs it, too"
)
_ELSEWHERE = (
    "let this account push (an exception in the branch's rules): this tool opens pull requests on"
    " GitHub and GitLab only"
)
_READ_ONLY = "the repository or branch takes no pushes from anybody now: ask whoever runs it"
_SIZE = (
    "the host's limit for size or quota is reached: ask whoever runs it; no other way is smaller"
)
_LEAK = (
    "the host found what looks like a secret in the files: it was there before, for this tool"
    " writes none; take it out of them, or let the host know that it is none"
)

RULES = (
    _rule(
        r"verified signatures|must be signed|signed with a|unsigned commit|unverified commit"
        r"|not signed|signature (?:is )?required|valid signatures?\b|reject unsigned",
        _SIGN,
    ),
    _rule(
        r"commit message (?:does not|doesn't|must|contains|should|is not)|commit_message"
        r"|message does(?: not|n't) (?:follow|match)|DCO sign|missing Change-Id|jira issue key",
        _MESSAGE,
    ),
    _rule(
        r"email privacy|private email|committer'?s? email|author'?s? email|author_email"
        r"|committer_email|not a member of team|cannot push commits for|invalid committer"
        r"|expected (?:committer|author)|email .{0,80}(?:does not|doesn't) (?:follow|match)"
        r"|committer (?:is )?not|username is inconsistent|not registered in your account",
        _WHO,
    ),
    _rule(
        r"secrets? detected|contain secrets|secret.{0,20}push protection|GH009|PUSH BLOCKED"
        r"|contains (?:an? |one or more |a potential )?"
        r"(?:private keys?|secrets?|credentials?|tokens?)\b",
        _LEAK,
    ),
    _rule(
        r"exceed(?:s|ed)? .{0,60}(?:limit|size|quota)|larger than the|large files detected"
        r"|over its .{0,30}limit|over (?:its )?(?:data )?quota|exceeding quota|too large|GH001"
        r"|size limit .{0,40}exceeded"
        r"|maximum allowed size|file size limit|quota exceeded|user limit|error: 413|HTTP 413",
        _SIZE,
    ),
    _rule(
        r"archived|read-only|read only|being migrated|is locked(?! (?:by|in)\b)"
        r"|\b(?:ref|branch|repository)\b.{0,100} is locked"
        r"|repository.{0,30}disabled|frozen|suspended|in maintenance|maintenance mode|\bfreeze\b"
        r"|locked branch|secondary .{0,20}site|does not permit write",
        _READ_ONLY,
    ),
    _rule(
        r"account (?:has been|is) (?:blocked|deactivated|disabled)|password (?:has )?expired"
        r"|accept the terms|address is not confirmed|SAML SSO|single sign-on|two-factor|\b2FA\b"
        r"|OTP verification|IP allow ?list",
        "the account that pushes has to be put in order on the host first, as its words say",
    ),
    _rule(
        r"internal (?:server error|api unreachable)|unpacker error|no space left"
        r"|hook timed out|execution exceeded|encryption ?key"
        r"|insufficient permission for adding|operation timed out",
        "the host itself failed: look at its status, tell whoever runs it, then run this again",
    ),
    _rule(
        r"already been updated by another client",
        "somebody pushed at the same time: run the same command again",
    ),
    _rule(
        r"checked.out branch|branch is currently checked out",
        "the repository there has a work tree: name a bare one, or let it take pushes (there: git"
        " config receive.denyCurrentBranch updateInstead)",
    ),
    _rule(
        r"LFS objects?\b",
        "the branch names files of Git LFS that the host does not have: push them (git lfs push"
        " --all), or ask who changed them last to",
    ),
    _rule(
        r"creations? being restricted|cannot create ref"
        r"|branch name.{0,100}(?:does not|doesn't|must)"
        r"|not allowed to create (?:this )?(?:new |protected )?branch|cannot create branch",
        "",
    ),
    _rule(
        r"must not contain merge commits|linear history",
        "the branch takes no merge commits: delete the pull request's branch, then run this again",
    ),
    _rule(
        r"file (?:path|name|extension).{0,60}(?:restricted|prohibited|not allowed)|path lock"
        r"|restricted paths?\b"
        r"|(?:path|file)\b.{0,200}locked (?:by|in)\b|LFS.{0,40}lock|protected from changing"
        r"|VS403654(?!.{0,200}secrets?\b)|file path length",
        "the host forbids changes of these files: let this account pass the rule, or unlock them",
    ),
    _rule(
        r"error: 429|HTTP 429|too many requests|rate.?limit",
        "the host limits requests from here: wait as long as it says, then run this again",
    ),
    _rule(
        r"not have write access|write access to repository not granted|permission denied to push"
        r"|permission denied for writing|permission to .{1,200} denied to|lack .{0,40}scopes?\b"
        r"|not allowed to push code to this project"
        r"|(?:don't|do not) have permission to push|prohibited by Gerrit|TF401027"
        r"|need 'push' rights|not authorized to perform|without being a member"
        r"|refusing to allow an? |PERMISSION_DENIED|not have the required permissions",
        _RIGHT,
    ),
    _rule(
        r"(?:Gitea|Forgejo|Gogs): .{0,200}protected|TF402455|only be modified through pull"
        r"|permission denied to update branch|requires passing merge checks",
        _ELSEWHERE,
        passes_as_proposal=True,
    ),
    _rule(
        r"GH006|protected branch|branch .{0,100}is protected|not allowed to push code to"
        r"|through (?:a )?pull request|through the merge queue|approving review|status check"
        r"|required (?:deployment|workflow)|code scanning|code ?owners?\b"
        r"|merge request|not authorized to push|cannot update this protected ref",
        "run this again with --pull-request, or let this account push",
        passes_as_proposal=True,
    ),
)
_NO_WORDS = regex(r"[\[\]() ]*(?:remote rejected)?[\[\]() ]*[a-z-]* ?hook declined[) ]*")
_SILENT = (
    "the host does not say why: ask whoever runs it; if the branch is protected, run this again"
    " with --pull-request (GitHub, GitLab), or let this account push"
)
_OTHERS = "do what the host says, or let this account pass its rule by: more of it is not known"
_PROPOSAL = (
    "the host does not let this account make or change the branch {branch}: let it, or go without a"
    " pull request; by hand: push the change under a name that is allowed"
)


def broken_rules(words: str) -> tuple[Rule, ...]:
    """Return the rules that a host's words speak of."""
    return tuple(rule for rule in RULES if rule.words.search(words))


def hint_for(words: str, branch: str, *, is_proposal: bool) -> str:
    """Return what to do about a refused push; `--pull-request` only where it passes the rules.

    `is_proposal` tells that the push was that of a pull request's own branch.
    """
    broken = broken_rules(words)
    lasting = [rule for rule in broken if not rule.passes_as_proposal]
    hints = [rule.hint for rule in lasting if rule.hint]
    if hints:
        return "; ".join(hints)
    if is_proposal or lasting:
        return _PROPOSAL.format(branch=branch)
    if broken:
        return broken[0].hint
    return _SILENT if _NO_WORDS.fullmatch(words) else _OTHERS

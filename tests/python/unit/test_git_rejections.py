"""What to do about a refused push, by the words of hosts: a pull request only where it helps."""

from __future__ import annotations

import pytest

from gitops_rollback.repo.messages import explain_fetch, explain_push
from gitops_rollback.repo.process import GitFailedError
from gitops_rollback.repo.rejections import hint_for

GH006 = (
    "remote rejected] (protected branch hook declined) error: GH006: Protected branch update failed"
)
GH013 = "[remote rejected] (push declined due to repository rule violations) error: GH013: "


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (f"{GH013}- Commits must have verified signatures.", "commits have to be signed"),
        (f"{GH006} for refs/heads/main. Commits must have verified signatures", "to be signed"),
        ("GitLab: Commit must be signed with a GPG key.", "commits have to be signed"),
        ("Gitea: branch main is protected from unverified commit 1a2b3c4", "have to be signed"),
        ("GitLab: Commit message does not follow the pattern '^[A-Z]+-'", "another commit message"),
        (f"{GH013}- Commit message must start with a matching pattern", "another commit message"),
        ("GitLab: Author's email 'x@y' does not follow the pattern '@acme$'", "user.email"),
        ("GitLab: You cannot push commits for 'x@y'. You can only push commits if", "user.email"),
        ("push declined due to email privacy restrictions (GH007)", "user.email"),
        ("expected committer email 'a@b' but found 'c@d'", "user.email"),
        (f"{GH013}- Push cannot contain secrets", "looks like a secret"),
        ("GitLab: PUSH BLOCKED: Secrets detected in code changes", "looks like a secret"),
        ("GH001: Large files detected. File a is 101 MB; this exceeds GitHub's limit", "limit for"),
        (
            "Your push has been rejected, because this repository has exceeded its size limit",
            "size",
        ),
        ("Your push failed because the account has exceeded its user limit", "limit for size"),
        ("This repository was archived so it is read-only.", "no pushes from anybody"),
        ("GitLab: The repository is temporarily read-only. Please try again later.", "no pushes"),
        ("this branch is frozen until Monday", "no pushes from anybody"),
        (f"{GH013}- This branch must not contain merge commits.", "takes no merge commits"),
        ("The file path 'apps/x' is locked by bob", "forbids changes of these files"),
        ("The requested URL returned error: 429", "limits requests"),
        (f"{GH013}- File extension is restricted: .json", "forbids changes of these files"),
        (f"{GH013}- File size limit exceeded", "limit for size"),
        ("Gitea: Quota exceeded", "limit for size or quota"),
        ("Gitea: branch main is protected from changing file a.yaml", "forbids changes of these"),
        ("VS403654: it contains one or more files with a reserved path", "forbids changes"),
        ("VS403654: The push was rejected because it contains one or more secrets.", "a secret"),
        ("TF402462: The ref refs/heads/main is locked by user Ann", "no pushes from anybody"),
        ("repository is locked by user admin", "no pushes from anybody"),
        ("GitLab: The path 'apps/x.yaml' is locked in Git LFS by Ann", "forbids changes of these"),
        ("VS403403: the repository is in maintenance", "no pushes from anybody"),
        ("Repository size limit of 4 GB exceeded", "limit for size"),
        ("refusing to allow a Personal Access Token to create or update", "may not write"),
        ("PERMISSION_DENIED: The caller does not have permission", "may not write"),
        ("The `acme' organization has enabled or enforced SAML SSO.", "put in order"),
        ("the organization has an IP allow list enabled, and 1.2.3.4 is not", "put in order"),
        ("GitLab: OTP verification is required to access the repository.", "put in order"),
        ("pre-receive hook timed out", "the host itself failed"),
        ("EncryptionKeyDisabledException: the KMS key is disabled", "the host itself failed"),
        ("GitLab: The path 'apps/cart.yaml' is locked by Ann", "forbids changes of these files"),
        ("GitLab: This deploy key does not have write access to this project.", "may not write"),
        ("GitLab: You are not allowed to push code to this project.", "may not write"),
        ("Permission denied to push", "may not write"),
        ("You don't have permission to push changes to this branch.", "may not write"),
        ("TF401027: You need the Git 'GenericContribute' permission", "may not write"),
        ("prohibited by Gerrit: not permitted: update", "may not write"),
        ("The push was rejected because it contains a private key.", "looks like a secret"),
        (f"{GH013}- Commits must have valid signatures.", "commits have to be signed"),
        (
            "GitLab: You check in one or more blobs which exceed the 100.0MiB limit",
            "limit for size",
        ),
        (
            "GitLab: Your push has been rejected because it would exceed storage limits.",
            "limit for size",
        ),
        ("This repository is over its 4.0 GB size limit", "limit for size"),
        ("GitLab: Your git username is inconsistent with GitLab account name", "user.email"),
        ("VS403702: The push was rejected because it contains secrets.", "looks like a secret"),
        ("VS403684: commit author email 'a@b' didn't match the pattern", "user.email"),
        ("Gitea: User permission denied for writing.", "may not write"),
        ("Write access to repository not granted.", "may not write"),
        ("Permission to acme/manifests.git denied to jane.", "may not write"),
        ("Your credentials lack one or more required privilege scopes.", "may not write"),
        ("deployment freeze in effect until Monday", "no pushes from anybody"),
        ("GitLab: You can't push code to a read-only GitLab instance.", "no pushes from anybody"),
        (f"{GH006} - This branch is locked", "no pushes from anybody"),
        ("GitLab: File name id_rsa was prohibited by the pattern 'id_rsa'", "forbids changes"),
        ("Commit 1a2b3c4 does not have a Jira issue key in its message", "another commit message"),
        (f"{GH006} Cannot change this locked branch", "no pushes from anybody"),
        (f"{GH013}- Changes to restricted paths: apps/cart.yaml", "forbids changes of these"),
        ("GH008: Your push referenced at least 1 unknown Git LFS object", "git lfs push"),
        ("GitLab: LFS objects are missing. Ensure LFS is properly set up", "git lfs push"),
        ("GitLab: You can't push code on a secondary Geo site", "no pushes from anybody"),
        ("project state does not permit write", "no pushes from anybody"),
        ("GitLab: Your account has been deactivated by your administrator.", "put in order"),
        ("GitLab: Your password expired. Please access GitLab from a browser", "put in order"),
        ("GitLab: You must accept the Terms of Service to do this", "put in order"),
        ("GitLab: Push operation timed out", "the host itself failed"),
        ("GitLab: Internal API unreachable", "the host itself failed"),
        ("(unpacker error) error: insufficient permission for adding an object", "itself failed"),
        ("TF401028: it has already been updated by another client", "same command again"),
        ("refusing to update checked out branch: refs/heads/main", "has a work tree"),
        ("email address a@b is not registered in your account", "user.email"),
        ("User is not authorized to perform: codecommit:GitPush", "may not write"),
        ("refs/heads/main: You need 'Push' rights to update a reference", "may not write"),
    ],
)
def test_a_rule_that_a_pull_request_meets_too_is_not_answered_with_one(
    words: str, advice: str
) -> None:
    for is_proposal in (False, True):
        hint = hint_for(words, "main", is_proposal=is_proposal)
        assert advice in hint
        assert "--pull-request" not in hint


@pytest.mark.parametrize(
    "words",
    [
        f"{GH006} for refs/heads/main. Changes must be made through a pull request.",
        f"{GH006} At least 1 approving review is required",
        f'{GH006} Required status check "ci" is expected.',
        f"{GH013}- Cannot update this protected ref.",
        "GitLab: You are not allowed to push code to protected branches on this project.",
        f"{GH006} Changes must be made through the merge queue",
        f"{GH013}- Required deployments: production must succeed",
        "GitLab: Pushes to protected branches that contain changes to files that match CODEOWNERS",
        "[remote rejected] (pre-receive hook declined) ",
        f"{GH013}- Waiting for Code Scanning results.",
        "GitLab: Push failed: code owner approval is required",
        f"{GH006} - Review required by code owners",
        f"{GH013}- Changes must be made through the merge queue",
    ],
)
def test_a_protected_branch_is_answered_with_a_pull_request_but_not_to_one(words: str) -> None:
    assert "--pull-request" in hint_for(words, "main", is_proposal=False)
    hint = hint_for(words, "gitops-rollback/cart-1", is_proposal=True)
    assert "--pull-request" not in hint
    assert "gitops-rollback/cart-1" in hint


@pytest.mark.parametrize(
    "words",
    [
        "Gitea: Not allowed to push to protected branch main",
        "Forgejo: Not allowed to push to protected branch main",
        "Gogs: Branch 'main' is protected and commits must be merged",
        "Branch refs/heads/main can only be modified through pull requests.",
        "Permission denied to update branch main.",
        "TF402455: Pushes to this branch are not permitted; you must use a pull request",
        "Pushing to this branch requires passing merge checks",
    ],
)
def test_where_this_tool_opens_no_pull_request_none_is_advised(words: str) -> None:
    hint = hint_for(words, "main", is_proposal=False)
    assert "let this account push" in hint
    assert "--pull-request" not in hint


@pytest.mark.parametrize(
    "words", [f"{GH013}- A rule of next year", "change window closed (policy 7)"]
)
def test_a_rule_that_nobody_here_knows_is_left_to_the_host_s_own_words(words: str) -> None:
    assert "do what the host says" in hint_for(words, "main", is_proposal=False)
    assert "a, main," in hint_for(words, "a, main,", is_proposal=True)


def test_a_name_of_a_branch_that_a_host_does_not_take_is_told() -> None:
    words = "GitLab: Branch name 'gitops-rollback/cart-1' does not follow the pattern '^feature'"
    hint = hint_for(words, "gitops-rollback/cart-1", is_proposal=True)
    assert "gitops-rollback/cart-1" in hint
    assert "--pull-request" not in hint


def test_of_several_rules_those_that_last_are_named_all() -> None:
    hint = hint_for(
        f"{GH013}- Changes must be made through a pull request. - Commits must have verified"
        " signatures. - Commit message must match a given pattern",
        "main",
        is_proposal=False,
    )
    assert "to be signed" in hint
    assert "another commit message" in hint
    assert "--pull-request" not in hint


def test_a_reason_of_a_megabyte_is_cut() -> None:
    line = f"!\tHEAD:refs/heads/main\t[remote rejected] (no{' way' * 300_000})\n".encode()
    failure = GitFailedError("push", 1, line, line)
    error = explain_push(failure, "https://git.example/m.git", "main")
    assert error.message.startswith("https://git.example/m.git rejected the push to main ([remote")
    assert len(error.message) < 500


def test_a_branch_that_may_not_be_made_is_named() -> None:
    words = f"{GH013}- Cannot create ref due to creations being restricted."
    assert "gitops-rollback/cart-1" in hint_for(words, "gitops-rollback/cart-1", is_proposal=True)


@pytest.mark.parametrize("file", ["/etc/gitconfig", "/home/jane/.config/git/config"])
def test_a_configuration_that_may_not_be_read_is_no_refused_login(file: str) -> None:
    words = f"fatal: unable to access '{file}': Permission denied\n"
    error = explain_fetch(
        GitFailedError("fetch", 128, b"", words.encode()), "https://git.example/m"
    )
    assert error.message.startswith("git cannot read its own configuration: fatal")
    words = (
        "fatal: unable to access 'https://git.example/m/': The requested URL returned error: 403\n"
    )
    error = explain_fetch(
        GitFailedError("fetch", 128, b"", words.encode()), "https://git.example/m"
    )
    assert "does not let us in" in error.message

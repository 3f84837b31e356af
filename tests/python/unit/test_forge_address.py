from __future__ import annotations

import pytest

from gitops_rollback.clock import Deadline
from gitops_rollback.errors import UsageError
from gitops_rollback.forges.address import address_of, page_of_commit
from gitops_rollback.forges.client import ForgeError
from gitops_rollback.forges.rules import BranchRules

SECRETS = {
    "GITHUB_TOKEN": "of-github",
    "GITLAB_TOKEN": "of-gitlab",
    "GIT_PASSWORD": "of-the-remote",
}


@pytest.mark.parametrize(
    ("remote", "kind", "api", "project"),
    [
        ("https://github.com/acme/live.git", "github", "https://api.github.com", "acme/live"),
        ("https://github.com/acme/live", "github", "https://api.github.com", "acme/live"),
        ("https://token@github.com/acme/live/", "github", "https://api.github.com", "acme/live"),
        ("git@github.com:acme/live.git", "github", "https://api.github.com", "acme/live"),
        ("ssh://git@github.com/acme/live.git", "github", "https://api.github.com", "acme/live"),
        (
            "ssh://git@ssh.github.com:443/acme/live.git",
            *("github", "https://api.github.com", "acme/live"),
        ),
        (
            "https://acme.ghe.com/acme/live.git",
            *("github", "https://api.acme.ghe.com", "acme/live"),
        ),
        (
            "https://github.acme.example/acme/live.git",
            *("github", "https://github.acme.example/api/v3", "acme/live"),
        ),
        (
            "ssh://git@github.acme.example:2222/acme/live.git",
            *("github", "https://github.acme.example/api/v3", "acme/live"),
        ),
        ("https://gitlab.com/acme/live.git", "gitlab", "https://gitlab.com/api/v4", "acme/live"),
        (
            "https://gitlab.com/acme/shop/eu/live.git",
            *("gitlab", "https://gitlab.com/api/v4", "acme/shop/eu/live"),
        ),
        (
            "git@gitlab.com:acme/shop/live.git",
            *("gitlab", "https://gitlab.com/api/v4", "acme/shop/live"),
        ),
        (
            "ssh://git@altssh.gitlab.com:443/acme/live.git",
            *("gitlab", "https://gitlab.com/api/v4", "acme/live"),
        ),
        (
            "https://gitlab.acme.example:8443/acme/live.git",
            *("gitlab", "https://gitlab.acme.example:8443/api/v4", "acme/live"),
        ),
    ],
)
def test_the_api_is_derived_from_the_remote(remote: str, kind: str, api: str, project: str) -> None:
    found = address_of(remote, "auto", None)
    assert (found.kind, found.api, found.project) == (kind, api, project)


def test_a_host_of_another_name_has_to_be_told() -> None:
    with pytest.raises(UsageError, match="GitHub or a GitLab") as caught:
        address_of("https://git.acme.example/acme/live.git", "auto", None)
    assert "--forge" in caught.value.hint
    found = address_of("https://git.acme.example/acme/live.git", "gitlab", None)
    assert found.api == "https://git.acme.example/api/v4"
    found = address_of(
        "git@git.acme.example:acme/live.git", "auto", "https://git.acme.example:8443/api/v3/"
    )
    assert (found.kind, found.api) == ("github", "https://git.acme.example:8443/api/v3")


def test_a_gitlab_below_a_path_is_not_part_of_the_project() -> None:
    found = address_of(
        "https://acme.example/gitlab/shop/live.git", "auto", "https://acme.example/gitlab/api/v4"
    )
    assert (found.kind, found.project) == ("gitlab", "shop/live")


@pytest.mark.parametrize(
    ("remote", "kind", "api"),
    [
        ("/srv/git/live.git", "github", None),
        ("file:///srv/git/live.git", "gitlab", None),
        ("https://github.com/live.git", "auto", None),
        ("https://github.com:99999/acme/live.git", "auto", None),
        ("https://github.com:secret/acme/live.git", "auto", None),
        ("https://github.com/acme/too/deep.git", "auto", None),
        ("https://gitlab.com/live.git", "auto", None),
        ("https://gitlab.com/acme//live.git", "auto", None),
        ("https://gitlab.com/acme/live.git", "auto", "https://user:secret@gitlab.com/api/v4"),
        ("https://gitlab.com/acme/live.git", "auto", "ftp://gitlab.com/api/v4"),
        ("https://gitlab.com/acme/live.git", "auto", "https://gitlab.com/api/v4?private_token=x"),
    ],
)
def test_what_has_no_pull_requests_is_a_usage_error(
    remote: str, kind: str, api: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        address_of(remote, kind, api)
    assert caught.value.hint
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("remote", "more", "token"),
    [
        ("https://github.com/acme/live.git", {}, "of-github"),
        ("https://acme.ghe.com/acme/live.git", {}, "of-github"),
        ("https://gitlab.com/acme/live.git", {}, "of-gitlab"),
        ("https://github.acme.example/acme/live.git", {}, "of-the-remote"),
        (
            "https://github.acme.example/acme/live.git",
            {"GH_HOST": "github.acme.example"},
            "of-github",
        ),
        ("https://gitlab.acme.example/acme/live.git", {}, "of-the-remote"),
        (
            "https://gitlab.acme.example/acme/live.git",
            {"GITLAB_HOST": "https://gitlab.acme.example"},
            "of-gitlab",
        ),
        ("https://GitHub.com:443/acme/live.git", {}, "of-github"),
        ("https://github.com:8443/acme/live.git", {}, "of-the-remote"),
        (
            "https://gitlab.acme.example:443/acme/live.git",
            {"GITLAB_HOST": "https://GitLab.acme.example/"},
            "of-gitlab",
        ),
        ("https://github.com/acme/live.git", {"GITHUB_TOKEN": ""}, "of-the-remote"),
        ("https://github.com/acme/live.git", {"GITHUB_TOKEN": "", "GIT_PASSWORD": ""}, None),
    ],
)
def test_a_token_goes_to_its_own_host_only(
    remote: str, more: dict[str, str], token: str | None
) -> None:
    assert address_of(remote, "auto", None).token({**SECRETS, **more}) == token


@pytest.mark.parametrize(
    ("remote", "more", "token"),
    [
        ("http://gitlab.com/acme/live.git", {}, None),
        ("http://github.com/acme/live.git", {}, "of-github"),  # api.github.com is asked by TLS
        (
            "http://git.acme.example/acme/live.git",
            {"GITLAB_HOST": "https://git.acme.example"},
            None,
        ),
        ("http://git.acme.example/acme/live.git", {"GITLAB_HOST": "git.acme.example"}, None),
        (
            "http://git.acme.example/acme/live.git",
            {"GITLAB_HOST": "http://git.acme.example"},
            "of-gitlab",
        ),
        ("http://127.0.0.1:8080/acme/live.git", {"GITLAB_HOST": "127.0.0.1:8080"}, "of-gitlab"),
    ],
)
def test_a_token_goes_without_tls_only_where_that_is_what_a_person_named(
    remote: str, more: dict[str, str], token: str | None
) -> None:
    kind = "github" if "github" in remote else "gitlab"
    secrets = {**SECRETS, **more, "GIT_PASSWORD": ""}
    assert address_of(remote, kind, None).token(secrets) == token


def test_a_token_that_is_not_sent_without_tls_says_what_to_do() -> None:
    plain, by_tls = (
        address_of(f"{scheme}://gitlab.com/acme/live.git", "auto", None)
        for scheme in ("http", "https")
    )
    environment = {"GITLAB_TOKEN": "of-gitlab"}
    with pytest.raises(ForgeError, match=r"no token to ask gitlab\.com") as caught:
        BranchRules(plain, environment, Deadline(1))
    assert "give the repository's https URL" in caught.value.hint
    BranchRules(by_tls, environment, Deadline(1))


def test_the_password_of_the_remote_does_not_go_to_another_host_that_is_named() -> None:
    named = address_of("https://github.acme.example/a/b", "auto", "https://api.evil.example/api/v3")
    assert named.token({"GIT_PASSWORD": "of-the-remote"}) is None
    assert named.token({"GITHUB_TOKEN": "of-the-named"}) == "of-the-named"
    same = address_of(
        "https://github.acme.example/a/b", "auto", "https://github.acme.example/api/v3"
    )
    assert same.token({"GIT_PASSWORD": "of-the-remote"}) == "of-the-remote"
    without_tls = address_of(
        "https://git.acme.example/a/b", "github", "http://git.acme.example/api"
    )
    assert without_tls.token({"GIT_PASSWORD": "of-the-remote"}) is None
    as_it_was = address_of("http://git.acme.example/a/b", "github", "http://git.acme.example/api")
    assert as_it_was.token({"GIT_PASSWORD": "of-the-remote"}) == "of-the-remote"


def test_the_page_for_a_new_pull_request_is_known() -> None:
    hub = address_of("git@github.com:acme/live.git", "auto", None)
    assert hub.new_page("a/b") == "https://github.com/acme/live/pull/new/a/b"
    lab = address_of("https://gitlab.com/acme/shop/live.git", "auto", None)
    assert lab.new_page("a/b") == (
        "https://gitlab.com/acme/shop/live/-/merge_requests/new"
        "?merge_request%5Bsource_branch%5D=a%2Fb"
    )


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        ("https://github.com/a/b.git", "https://github.com/a/b/commit/1f"),
        ("git@github.com:a/b.git", "https://github.com/a/b/commit/1f"),
        ("ssh://git@gitlab.acme.example:2222/a/b/c.git", "https://gitlab.acme.example/a/b/c/-/commit/1f"),
        ("http://gitlab.local:8080/a/b", "http://gitlab.local:8080/a/b/-/commit/1f"),
        ("https://bitbucket.org/a/b", "https://bitbucket.org/a/b/commits/1f"),
        ("https://bot:secret@github.com/a/b", "https://github.com/a/b/commit/1f"),
        ("https://git.example.com:8443/a/b/", "https://git.example.com:8443/a/b/commit/1f"),
        ("git@git.example.com:a/b.git", None),
        ("/srv/git/manifests.git", None),
        ("http://[::1", None),
        ("https://a b/c", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_page_of_a_commit_is_where_its_host_shows_it(repository: str, page: str | None) -> None:
    assert page_of_commit(repository, "1f") == page


def test_a_host_whose_name_speaks_of_both_is_neither_without_a_word() -> None:
    remote = "https://gitlab.github-team.acme.example/acme/live.git"
    with pytest.raises(UsageError, match="nothing tells whether"):
        address_of(remote, "auto", None)
    assert address_of(remote, "gitlab", None).api.endswith("/api/v4")

"""Which host has a repository, where its API is, and which token is its own. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from gitops_rollback.errors import UsageError
from gitops_rollback.late import dataclass, regex
from gitops_rollback.web.hosts import host_of, is_base_address, is_loopback, is_web_address

if TYPE_CHECKING:
    from collections.abc import Mapping

GITHUB, GITLAB = "github", "gitlab"
KINDS = ("auto", GITHUB, GITLAB)
_SCP = regex(r"(?:[^@/\s]+@)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(?P<path>[^/].*|/.*)")
# Other names of the same host, for ssh through port 443.
_ALIASES = {"ssh.github.com": "github.com", "altssh.gitlab.com": "gitlab.com"}
_GITHUB_PARTS = 2  # owner and repository
_VARIABLES = {GITHUB: "GITHUB_TOKEN", GITLAB: "GITLAB_TOKEN"}
_HOST_VARIABLES = {GITHUB: "GH_HOST", GITLAB: "GITLAB_HOST"}
_PUBLIC = {GITHUB: "github.com", GITLAB: "gitlab.com"}
# Gitea and Forgejo, under whatever name, show a commit where GitHub does.
_COMMITS = {"gitlab": "-/commit", "bitbucket": "commits"}


@dataclass(frozen=True)
class Address:
    """A repository at its host: `kind`, the API without a slash at its end, the project's path.

    `host` is the remote's; `web` the address of the project's page. `is_named` is True where the
    person, not the remote, said where the API is.
    """

    kind: str
    api: str
    project: str
    host: str
    web: str
    is_named: bool = False

    @property
    def path(self) -> str:
        """The repository's path in the host's API: `/repos/acme/shop`, `/projects/acme%2Fshop`."""
        if self.kind == GITLAB:
            return f"/projects/{quote(self.project, safe='')}"
        return f"/repos/{quote(self.project)}"

    @property
    def git(self) -> str:
        """Where its API has what is git's own: branches, commits."""
        return f"{self.path}/repository" if self.kind == GITLAB else self.path

    @property
    def variable(self) -> str:
        """The environment variable that is the field's custom for this host's token."""
        return _VARIABLES[self.kind]

    def token(self, environment: Mapping[str, str]) -> str | None:
        """Return the token for this host and no other.

        GITHUB_TOKEN and GITLAB_TOKEN are of github.com (with its *.ghe.com) and gitlab.com, as the
        hosts' own programs read them, or of the host that GH_HOST or GITLAB_HOST names, or that
        the person named with --forge-url; without TLS only where one of these says http.
        GIT_PASSWORD is of the remote's host, as git sends it.
        """
        named = environment.get(_HOST_VARIABLES[self.kind], "").lower().rstrip("/")
        mine = {_PUBLIC[self.kind], named.partition("://")[2] or named}
        is_mine = self.host in mine or self._is_github_cloud
        may_be_sent = self.is_safe or named == f"http://{self.host}"
        if self.is_named or (is_mine and may_be_sent):
            token = environment.get(self.variable)
            if token:
                return token
        if self._belongs_to_remote:
            return environment.get("GIT_PASSWORD") or None
        return None

    @property
    def is_safe(self) -> bool:
        """Whether what is sent to the API is seen by nobody else: by TLS, or on this machine."""
        return self.api.startswith("https://") or is_loopback(self.api)

    def new_page(self, branch: str) -> str:
        """Return the page on which a person opens a pull request for a branch."""
        if self.kind == GITLAB:
            name = quote(branch, safe="")
            return f"{self.web}/-/merge_requests/new?merge_request%5Bsource_branch%5D={name}"
        return f"{self.web}/pull/new/{quote(branch)}"

    @property
    def _is_github_cloud(self) -> bool:
        return self.kind == GITHUB and self.host.endswith(".ghe.com")

    @property
    def _belongs_to_remote(self) -> bool:
        if not self.is_named:
            return True
        is_its = host_of(self.api) in (self.host, f"api.{self.host}")
        return is_its and (self.is_safe or self.web.startswith("http://"))


def address_of(remote: str, kind: str, api: str | None) -> Address:
    """Return where a remote's repository has its pull requests.

    `remote` is what git is given: https, ssh, or `user@host:path`. `kind` is one of `KINDS`; `api`
    the address of the API, where a person named it. Raises `UsageError`.
    """
    scheme, host, path = _parts(remote)
    chosen = kind if kind != "auto" else _kind_of(host, api)
    project = path.strip("/").removesuffix(".git")
    if api is not None:
        root = _checked(api)
        prefix = urlsplit(root).path.partition("/api")[0].strip("/")
        if prefix:
            project = project.removeprefix(f"{prefix}/")
    else:
        root = _api_of(chosen, scheme, host)
    parts = project.split("/")
    if "" in parts or len(parts) < _GITHUB_PARTS or (
        chosen == GITHUB and len(parts) != _GITHUB_PARTS
    ):  # fmt: skip
        raise UsageError(
            f"'{project}' at {host or 'this path'} is no repository of a {chosen} host",
            "a pull request needs a repository as OWNER/NAME: look at --repository",
        )
    web = f"{scheme}://{host}/{path.strip('/').removesuffix('.git')}"
    return Address(chosen, root, project, host, web, is_named=api is not None)


def page_of_commit(remote: str, commit: str) -> str | None:
    """Return where a remote's host shows a commit; None where no page of it is known.

    Hosts are known by their names: `github.com`, `gitlab.acme.example`, `bitbucket.org`. Another
    one has to be named by a web address.
    """
    try:
        scheme, host, path = _parts(remote)
    except UsageError:
        return None
    names = set(host.partition(":")[0].split("."))
    kind = next((name for name in (GITHUB, *_COMMITS) if name in names), None)
    if kind is None and not remote.startswith(("http://", "https://")):
        return None
    project = quote(path.strip("/").removesuffix(".git"), safe="/~")
    page = f"{scheme}://{host}/{project}/{_COMMITS.get(kind or '', 'commit')}/{quote(commit)}"
    return page if is_web_address(page) else None


def _parts(remote: str) -> tuple[str, str, str]:
    """Return the scheme of the host's web pages, the host (with its port there), and the path."""
    if "://" in remote:
        try:
            parts, host = urlsplit(remote), host_of(remote)
        except ValueError as error:
            reason = "a pull request needs a repository's address, and this one is none"
            raise UsageError(reason, "look at the host and the port in --repository") from error
        if parts.scheme in ("http", "https"):
            return parts.scheme, host, parts.path
        if parts.scheme != "file":
            return "https", _without_alias(parts.hostname or ""), parts.path
    elif match := _SCP.fullmatch(remote):
        return "https", _without_alias(match["host"].lower()), match["path"]
    raise UsageError(
        "a pull request needs a repository on GitHub or GitLab, and this one is a path",
        "name it by its https or ssh URL with --repository",
    )


def _without_alias(host: str) -> str:
    return _ALIASES.get(host, host)


def _kind_of(host: str, api: str | None) -> str:
    if host == "github.com" or host.endswith(".ghe.com"):
        return GITHUB
    named = [kind for kind in (GITHUB, GITLAB) if kind in host]
    if len(named) == 1:
        return named[0]
    if api is not None and api.rstrip("/").endswith("/api/v4"):
        return GITLAB
    if api is not None and api.rstrip("/").endswith("/api/v3"):
        return GITHUB
    raise UsageError(
        f"nothing tells whether {host} is a GitHub or a GitLab",
        "say so with --forge github or --forge gitlab",
    )


def _api_of(kind: str, scheme: str, host: str) -> str:
    if kind == GITLAB:
        return f"{scheme}://{host}/api/v4"
    if host == "github.com" or host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return f"{scheme}://{host}/api/v3"


def _checked(api: str) -> str:
    plain = api.rstrip("/")
    if not is_base_address(plain):
        # It is not repeated: it may hold a password.
        raise UsageError(
            "--forge-url is no address that can be asked",
            "write it as https://git.acme.example/api/v4, without user, password or query",
        )
    return plain

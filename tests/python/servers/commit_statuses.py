"""A Git host that has commit statuses too, as those of GitHub and GitLab are read and posted."""

from __future__ import annotations

from typing import Any

from servers.forge import Forge, GitLabServer


def reporting(kind: type[Forge]) -> type[Forge]:
    """Return a host of a kind with commit statuses: `posted` is (commit, context, state, words)."""
    gitlab = kind is GitLabServer
    names = ("name", "status") if gitlab else ("context", "state")

    def reply(self: Any, method: str, target: str, document: Any) -> Any:  # noqa: ANN401 - JSON
        path, _, query = target.partition("?")
        root = f"{self.api}{self.root_of_project()}"
        commits = f"{root}/repository/commits" if gitlab else f"{root}/commits"
        if method == "POST" and path.startswith(f"{root}/statuses/"):
            told = (document["name" if gitlab else "context"], document["state"])
            self.posted.append((path.rpartition("/")[2], *told, document.get("description", "")))
            return 201, _shown(self.posted[-1:], names)[0], {}
        if path == commits:
            first = query.partition("=")[2].partition("&")[0]
            ids = self.git("rev-list", "--max-count=4", first).split()
            return 200, [{"id" if gitlab else "sha": one} for one in ids], {}
        commit, _, which = path.removeprefix(f"{commits}/").partition("/")
        found = _shown([one for one in self.posted if one[0] == commit], names)
        if which == "statuses":  # newest first
            return 200, found[::-1], {}
        if which == "status" and not gitlab:
            return 200, {"state": "success", "statuses": found}, {}
        return kind._reply(self, method, target, document)  # noqa: SLF001 - the host's own

    return type(kind.__name__, (kind,), {"_reply": reply, "posted": []})


def _shown(posted: list[Any], names: tuple[str, str]) -> list[dict[str, str]]:
    return [dict(zip((*names, "description"), one[1:], strict=True)) for one in posted]

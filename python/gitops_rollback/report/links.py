"""Which addresses a page may link to, and where a forge shows a commit. Pure.

What names an address comes from records and repositories, so from anybody who may write to them.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from gitops_rollback.late import regex

_SCP = regex(r"(?:[\w.-]+@)?([\w.-]+\.[\w.-]+):(?!//)([\w./~-]+)")
_COMMITS = {"github": "commit", "gitlab": "-/commit", "bitbucket": "commits"}


def safe_url(text: str | None) -> str | None:
    """Return an http or https address without a user in it; None for everything else."""
    if not text or not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        is_safe = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        return None
    return text if is_safe else None


def commit_url(repository: str, commit: str) -> str | None:
    """Return where GitHub, GitLab or Bitbucket shows a commit; None for other hosts.

    The hosts are known by their names: `github.com`, `gitlab.acme.example`, `bitbucket.org`.
    """
    scp = _SCP.fullmatch(repository)
    if scp:
        scheme, host, path = "https", scp[1], scp[2]
    else:
        try:
            parts = urlsplit(repository)
            host, path = parts.hostname or "", parts.path
        except ValueError:
            return None
        scheme = "http" if parts.scheme == "http" else "https"
        if parts.scheme in ("http", "https") and parts.port:
            host = f"{host}:{parts.port}"
    forge = next((name for name in _COMMITS if name in host.split(":")[0].split(".")), None)
    if forge is None:
        return None
    project = quote(path.strip("/").removesuffix(".git"), safe="/~")
    return safe_url(f"{scheme}://{host}/{project}/{_COMMITS[forge]}/{quote(commit)}")

"""A finding: what is wrong with a storage object, where, what comes of it, and the mend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitops_rollback.late import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable

ERROR, WARNING, NOTE = "error", "warning", "note"
SEVERITIES = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Finding:
    """One thing to know about a storage object.

    `severity` is `error` (the cluster refuses it, drops it, or the pod never starts), `warning`
    (it runs, and data or a rollout is at risk) or `note`; `line` and `column` count from 1;
    `message` says what is wrong, `effect` what it means at run time, `mend` what to write.
    `subject` is the object, as `PersistentVolumeClaim data`, where there is one.
    """

    severity: str
    code: str
    path: str
    line: int
    column: int
    message: str
    effect: str
    mend: str
    subject: str = ""

    @property
    def is_refusal(self) -> bool:
        """Whether it keeps the object from being made at all, and not only part of it."""
        return self.severity == ERROR and "the API server refuses" in self.effect

    @property
    def is_note(self) -> bool:
        """Whether nothing is at risk."""
        return self.severity == NOTE

    @property
    def place(self) -> str:
        """Where it is, for people and editors: `path:line:column`."""
        return f"{self.path}:{self.line}:{self.column}"

    @property
    def sentence(self) -> str:
        """The finding as one line, for plans and commits."""
        return f"storage {self.severity}: {self.path}:{self.line}: {self.message}; {self.effect}"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as it stands in results."""
        subject = {"subject": self.subject} if self.subject else {}
        return {
            "severity": self.severity,
            "code": self.code,
            "path": self.path,
            "line": self.line,
            "column": self.column,
            **subject,
            "message": self.message,
            "effect": self.effect,
            "mend": self.mend,
        }


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by file, line and column; the same one only once."""
    return tuple(
        sorted(
            dict.fromkeys(findings),
            key=lambda f: (f.path, f.line, f.column, SEVERITIES.index(f.severity), f.code),
        )
    )

"""The names these had before there was one table of options; see `gitops_rollback.options`."""

from __future__ import annotations

from gitops_rollback.options import STRATEGIES, acceptance, accepted

__all__ = ["STRATEGIES", "acceptance", "accepted"]

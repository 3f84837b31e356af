"""What property tests draw: always the same few hundred, or new ones at length.

A run of all tests fails by what was changed and by nothing else; `HYPOTHESIS_PROFILE=long` looks
for what nobody has seen.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from gitops_rollback import redaction

settings.register_profile("short", max_examples=300, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> None:
    """Forget the secrets of the test before: what is one there would be hidden here, too."""
    redaction.forget()

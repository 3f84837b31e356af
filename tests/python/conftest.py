"""What property tests draw: always the same few hundred, or new ones at length.

A run of all tests fails by what was changed and by nothing else; `HYPOTHESIS_PROFILE=long` looks
for what nobody has seen.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("short", max_examples=300, deadline=None, derandomize=True)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

"""How many examples property tests draw: a few hundred, or `HYPOTHESIS_PROFILE=long`."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("short", max_examples=300, deadline=None)
settings.register_profile("long", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

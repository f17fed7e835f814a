"""The same few examples in every run: these tests guard the build, they do not search."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("engram", derandomize=True, max_examples=25, deadline=None, database=None)
settings.load_profile("engram")

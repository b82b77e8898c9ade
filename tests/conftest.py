"""Hypothesis profiles: `ci` by default; `--hypothesis-profile nightly` for the long random run."""

from hypothesis import settings

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile("ci")

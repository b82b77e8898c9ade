"""Hypothesis profiles: `ci` by default, `--hypothesis-profile nightly` for the long random run. Shared fixtures."""

import pytest
from hypothesis import settings

from _support.browser import browser  # noqa: F401 - pytest finds fixtures by name
from _support.mutants import pytest_generate_tests, pytest_pyfunc_call  # noqa: F401 - pytest calls them by name

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("nightly", deadline=None, max_examples=1000)
settings.load_profile("ci")


@pytest.fixture(scope="session")
def torchvision_imports():
    """For tests that import torchvision, or what does: with a torch that it was not built for, too."""
    from vistok.metrics.networks._torchvision_schemas import declare_missing_operators

    declare_missing_operators()

"""Fuzzers run as long as their cases need when there are many of them."""

import pytest

from _support.fuzzing import many


def pytest_collection_modifyitems(items):
    for item in items if many() else ():
        if "fuzz" in item.path.parts:
            item.add_marker(pytest.mark.timeout(2 * 60 * 60))

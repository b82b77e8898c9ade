"""The tests of this folder need one CUDA device; VISTOK_GPU_TESTS=cpu runs their code on the CPU, to try the code."""

import os
from pathlib import Path

import pytest
import torch

DEVICE = os.environ.get("VISTOK_GPU_TESTS", "cuda")
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    there = DEVICE != "cuda" or torch.cuda.is_available()
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)
            if not there:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device; `make gpu` runs it where there is one"))


@pytest.fixture(scope="session")
def device():
    """The device under test."""
    return torch.device(DEVICE)

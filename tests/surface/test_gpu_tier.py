"""The tests that need a CUDA device are left out with a reason where there is none, and their code runs on the CPU."""

import os
import subprocess
import sys

import pytest
import torch

from surface.repository import ROOT


def run(*command: str, **environment: str) -> str:
    known = os.environ | {"CUDA_VISIBLE_DEVICES": ""} | environment
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, cwd=ROOT, env=known)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_the_benchmark_says_so_in_a_line():
    assert run("benchmarks/gpu.py") == "no CUDA device here: nothing was run\n"


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_the_tests_say_why_they_are_left_out():
    assert "needs a CUDA device; `make gpu` runs it" in run("-m", "pytest", "-rs", "tests/gpu/test_steps.py")


@pytest.mark.slow
def test_every_test_for_a_card_holds_for_the_cpu():
    assert "skipped" not in run("-m", "pytest", "tests/gpu", VISTOK_GPU_TESTS="cpu")

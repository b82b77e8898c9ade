"""Steps of every training of every recipe on the device under test: none waits for it; compiled they are the same."""

import importlib

import pytest
import torch

from _support.glotok_runs import tiny
from surface.repository import RECIPES, ROOT
from vistok.workbench.cost.trainings import DryRun


def trainings(recipe, device):
    """All trainings of the tiny configuration, with values."""
    config = importlib.import_module(f"{recipe}.config").load(str(ROOT / "tests" / "_support" / f"tiny_{recipe}.yaml"))
    torch.manual_seed(0)
    return importlib.import_module(f"{recipe}.cost").trainings(config, DryRun(device, pretend=False))


@pytest.fixture
def no_waiting(device):
    """Torch raises where the host waits for the device."""
    if device.type != "cuda":
        yield
        return
    before = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode(before)


@pytest.mark.parametrize("recipe", RECIPES)
def test_no_step_waits_for_the_device(recipe, device, no_waiting):
    for training in trainings(recipe, device):
        for start in training.starts:
            for index in range(2):
                training.step(4, start + index)


@pytest.mark.parametrize("name", ["xar", "far", "masked"])
def test_a_compiled_step_learns_as_the_eager_one(name, device):
    backend = "inductor" if device.type == "cuda" else "aot_eager"
    weights = []
    for compiles in (False, True):
        torch.compiler.reset()
        torch.manual_seed(0)
        cost = importlib.import_module("glotok.cost")
        training = cost.generator_training(tiny(), DryRun(device, pretend=False), name)
        network = training.networks["generator"]
        if compiles:
            network.compile(backend=backend)
        for index in range(2):
            training.step(4, index)
        weights.append(torch.cat([p.detach().flatten().cpu() for p in network.parameters()]))
    torch.testing.assert_close(*weights, rtol=1e-2, atol=2e-3)  # Adam makes a sign of a gradient near zero a whole step

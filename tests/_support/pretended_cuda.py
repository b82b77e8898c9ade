"""Training steps on the meta device, which says that it is CUDA: whoever asks it for a value fails.

So the checks that keep to the CPU are passed over as they are on CUDA, and a step that asks for a value anywhere (an
``item``, the truth of a tensor, indices from a mask, a copy that waits) stops the test with that line.
"""

import contextlib
import itertools

import torch
from accelerate import Accelerator
from torch import Tensor

from vistok.workbench.cost.pretended_cuda import META, PretendedCuda


class Passed(Exception):
    """All steps that were to be watched have run."""


class OnCuda(Tensor):
    """A tensor of values that says it is on CUDA; whoever asks it, or what is computed from it, for one fails."""

    is_cuda = True

    def _refuse(self, *_):
        raise AssertionError("the host waits for a value")

    __bool__ = __int__ = __float__ = __index__ = item = tolist = _refuse


class OnMeta(Accelerator):
    device = META


class Event:
    """Stands for an event of CUDA; counts how often its past was waited for."""

    waited = 0

    def record(self):
        """Nothing runs, so nothing is recorded."""

    def synchronize(self):
        Event.waited += 1


def on_pretended_cuda(monkeypatch, stage, *, steps):
    """Let the training of a module ``stage`` run on the meta device, and raise `Passed` after some steps."""
    training_steps = stage.training_steps

    def watched(*args, **kwargs):
        for step in itertools.islice(training_steps(*args, **kwargs), steps):
            with PretendedCuda():
                yield step
        raise Passed

    autocast = torch.autocast
    monkeypatch.setattr(stage, "open_accelerator", lambda **options: OnMeta(cpu=True))
    monkeypatch.setattr(stage, "training_steps", watched)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Event, "waited", 0)
    for name in ("Adam", "AdamW"):  # their fused kernels do not know the meta device
        monkeypatch.setattr(torch.optim, name, _not_fused(getattr(torch.optim, name)))
    monkeypatch.setattr(
        torch,
        "autocast",
        lambda device_type, *args, **kwargs: (
            contextlib.nullcontext() if device_type == "meta" else autocast(device_type, *args, **kwargs)
        ),
    )


def _not_fused(optimizer):
    return lambda *args, fused=False, **kwargs: optimizer(*args, **kwargs)

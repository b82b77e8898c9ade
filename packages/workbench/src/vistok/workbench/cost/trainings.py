"""A recipe's trainings as they are counted: networks without memory, learners without processes."""

import contextlib
import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from vistok.workbench.cost.counting import Counts, count
from vistok.workbench.cost.pretended_cuda import META, PretendedCuda
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.generator_training import (
    Examples,
    GeneratorTrainConfig,
    TrainingLoss,
    generator_step,
)
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.optimizers import build_optimizer, hidden_matrices
from vistok.workbench.training.update import Learner
from vistok.workbench.training.weight_average import weight_average


@dataclass(frozen=True)
class Training:
    """One training of a recipe.

    Attributes:
        name: What its command calls it.
        settings: Its optimisation.
        learners: The networks that learn, by name.
        frozen: The networks that only take part, by name.
        step: One update on a micro-batch of so many images, at the step of that number.
        starts: The steps from which on more is computed, 0 the first.
        decodes: Whether a step takes images, not cached tokens.
        on: Where it is counted.
    """

    name: str
    settings: TrainConfig
    learners: Mapping[str, Learner]
    frozen: Mapping[str, nn.Module]
    step: Callable[[int, int], object]
    starts: tuple[int, ...]
    decodes: bool
    on: "DryRun"
    average: nn.Module | None = field(init=False)

    def __post_init__(self) -> None:
        first = next(iter(self.networks.values()))
        object.__setattr__(self, "average", weight_average(first, self.settings.ema_decay))

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The networks that learn, by name."""
        return {name: learner.model for name, learner in self.learners.items()}

    def count(self, size: int, start: int) -> Counts:
        """Count an update on a micro-batch of ``size`` images from step ``start`` on, the optimizers' states there."""
        with self.on.pretending():
            if not self.states():
                self.step(size, start)
            for learner in self.learners.values():
                learner.optimizer.zero_grad(set_to_none=True)
            return count(functools.partial(self.step, size, start), self.held(), self.networks.values())

    def held(self) -> list[Tensor]:
        """All that is there between two steps."""
        return [*self._tensors(*self.networks.values(), *self.frozen.values(), self.average), *self.states()]

    def states(self) -> list[Tensor]:
        """What the optimizers keep; nothing before the first step."""
        kept = [learner.optimizer.state.values() for learner in self.learners.values()]
        return [tensor for states in kept for state in states for tensor in state.values()]

    @staticmethod
    def _tensors(*networks: nn.Module | None) -> list[Tensor]:
        return [t for network in networks if network is not None for t in (*network.parameters(), *network.buffers())]


class DryRun:
    """Where trainings are counted: the meta device, as if it were a card; or the CPU, with values, to check the counts.

    Args:
        device: Of the networks and of what they are given.
        pretend: Whether the device says that it is CUDA. On the CPU both make sense: its own paths, and a card's.
    """

    def __init__(self, device: torch.device = META, *, pretend: bool = True) -> None:
        self.device, self._cuda = device, PretendedCuda(device) if pretend else None
        self._accelerator = _AnyDevice(cpu=True)
        self._accelerator.device = device

    def building(self) -> contextlib.AbstractContextManager[object]:
        """Within the block, networks are made on the device."""
        return self.device

    def pretending(self) -> contextlib.AbstractContextManager[object]:
        """Within the block, steps run."""
        return self._cuda or contextlib.nullcontext()

    def learner(self, network: nn.Module, settings: TrainConfig, optimizer: Any = None) -> Learner:
        """A network that learns, by Adam unless an optimizer is given."""
        given = optimizer or self._optimizer(network, settings)
        losses = _Unread(Path(tempfile.gettempdir()))
        if self._cuda is None:
            return Learner.prepared(network, given, self._accelerator, settings, losses)
        learner = _PretendedLearner.prepared(network, given, self._accelerator, settings, losses)
        object.__setattr__(learner, "cuda", self._cuda)
        return learner

    def _optimizer(self, network: nn.Module, settings: TrainConfig, weight_decay: float | None = None) -> Any:
        """The training's own; on the meta device, which fused kernels do not know, what it keeps."""
        if self.device == META:
            return _OnlyStates(network, settings)
        return build_optimizer(network, settings, weight_decay)

    def images(self, size: int, channels: int, side: int) -> Tensor:
        """A micro-batch of images."""
        return torch.rand(size, channels, side, side, device=self.device) * 2 - 1

    def generator(
        self, name: str, build: Callable[[], nn.Module], settings: GeneratorTrainConfig, inputs: Callable[[int], Tensor]
    ) -> Training:
        """The training of a generator.

        Args:
            name: The generator's.
            build: Makes it.
            settings: Its optimisation.
            inputs: So many examples, made on the device.
        """
        with self.building():
            model = build()
        optimizer = self._optimizer(model, settings, settings.weight_decay)
        learner = self.learner(TrainingLoss(model), settings, optimizer)

        def step(size: int, index: int) -> None:
            def batch(indices: Tensor, draws: torch.Generator) -> tuple[Tensor, Tensor]:
                return inputs(size), torch.zeros(size, dtype=torch.int64, device=self.device)

            indices = torch.empty(size, dtype=torch.int64, device=self.device)
            generator_step(learner, Examples(size, batch), [indices], stage=name, step=index, seed=0)

        return Training(f"generator {name}", settings, {"generator": learner}, {}, step, (0,), False, self)


class _AnyDevice(Accelerator):
    """One process, on a device that accelerate need not know."""

    device = META


class _PretendedLearner(Learner):
    """Computes in mixed precision as CUDA does."""

    cuda: PretendedCuda

    def precision(self) -> contextlib.AbstractContextManager[None]:
        if self.settings.mixed_precision == "bf16":
            return self.cuda.bfloat16()
        return contextlib.nullcontext()


class _OnlyStates(torch.optim.Adam):
    """Keeps the moments of a training's optimizer and computes nothing: two a weight, one where Muon learns it."""

    def __init__(self, network: nn.Module, settings: TrainConfig) -> None:
        super().__init__(network.parameters(), betas=settings.betas)
        matrices = hidden_matrices(network) if settings.optimizer == "muon" else []
        self._hidden = {id(matrix) for matrix in matrices}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for parameter in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            if not self.state[parameter]:
                moments = ("momentum_buffer",) if id(parameter) in self._hidden else ("exp_avg", "exp_avg_sq")
                self.state[parameter] |= {name: torch.zeros_like(parameter) for name in moments}


class _Unread(FiniteLosses):
    """Looks at no loss: none has a value."""

    def check(self, terms: Mapping[str, Tensor], step: int, batch: Mapping[str, Tensor]) -> None:
        """Pass."""

"""From counts to a plan: bytes of each kind under DDP and FSDP, the largest micro-batch, time, cores and disk."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from vistok.workbench.config import ConfigError
from vistok.workbench.cost.cards import Card
from vistok.workbench.cost.counting import Counts
from vistok.workbench.cost.trainings import Training

#: The part of a card's memory that is planned with; the rest is CUDA's own, the libraries' workspaces and gaps.
USABLE = 0.9
_FITTED = (8, 16)  # images of the micro-batches that the line through the peaks is drawn by
_TRIES = 6


@dataclass(frozen=True)
class Plan:
    """What is bought, and what is assumed.

    Attributes:
        card: Each of them.
        gpus: How many.
        utilisation: The part of the peak rate that a step reaches on the whole.
        decode_seconds: Of one core, for one image.
    """

    card: Card
    gpus: int
    utilisation: float
    decode_seconds: float


class Fixed(NamedTuple):
    """Bytes that do not depend on the micro-batch, of one process with everything.

    Attributes:
        weights: Parameters and buffers of the networks that learn.
        frozen: Those of the networks that only take part.
        gradients: Of the parameters.
        optimizer: Its states.
        average: Of the weights.
        largest_block: Parameters of the largest block that FSDP gathers: an entry of a list of modules.
        outside_blocks: Parameters in no such block.
    """

    weights: int
    frozen: int
    gradients: int
    optimizer: int
    average: int
    largest_block: int
    outside_blocks: int

    @property
    def held(self) -> int:
        """What one process holds between two steps, once gradients are forgotten."""
        return self.weights + self.frozen + self.optimizer + self.average

    def ddp(self, counts: Counts, gpus: int) -> int:
        """The most bytes of a process: all, and the buckets that gradients travel in."""
        return counts.peak + (self.gradients if gpus > 1 else 0)

    def fsdp(self, counts: Counts, gpus: int) -> int:
        """The most bytes of a process: a share, the step's own, and what is gathered (a block, and the next one)."""
        share = -(-(self.held - self.frozen + self.gradients) // gpus)
        own = counts.peak_without_gradients - self.held
        return share + self.frozen + own + (self.outside_blocks + 2 * self.largest_block if gpus > 1 else 0)


@dataclass(frozen=True)
class Estimate:
    """What one training takes.

    Attributes:
        training: Which.
        fixed: Bytes whatever the micro-batch.
        micro_batch: Images of one micro-batch, as many as are planned.
        accumulation: Micro-batches a step and process.
        counts: Of one micro-batch, from the last of the training's starts on.
        ddp, fsdp: The most bytes of a process with that micro-batch.
        largest_ddp, largest_fsdp: Images of the largest micro-batch that fits; 0 where none does.
        step_flops: Of one step, all processes, from the last start on.
        step_seconds: Of one step, from the last start on.
        seconds: Of all steps.
        cores: That decode as fast as a step takes images; 0 where it takes none.
    """

    training: Training
    fixed: Fixed
    micro_batch: int
    accumulation: int
    counts: Counts
    ddp: int
    fsdp: int
    largest_ddp: int
    largest_fsdp: int
    step_flops: int
    step_seconds: float
    seconds: float
    cores: float


def estimate(training: Training, plan: Plan) -> Estimate:
    """Count a training and plan it.

    Raises:
        ConfigError: The batch does not divide among the cards.
    """
    settings, last = training.settings, training.starts[-1]
    if settings.batch_size % (plan.gpus * settings.accumulation):
        raise ConfigError(
            f"{training.name}: expected a batch_size that is a multiple of {plan.gpus} cards x "
            f"{settings.accumulation} micro-batches, got {settings.batch_size}"
        )
    fitted = {size: training.count(size, last) for size in _FITTED}
    fixed, room = fixed_bytes(training), int(USABLE * plan.card.gigabytes * 1e9)
    largest = [_largest(training, fitted, room, which, plan.gpus) for which in (fixed.ddp, fixed.fsdp)]
    micro, accumulation = _divided(settings.batch_size // plan.gpus, settings.accumulation, max(largest))
    phases = [training.count(micro, start) for start in training.starts[:-1]]
    phases.append(fitted[micro] if micro in fitted else training.count(micro, last))
    seconds = [accumulation * _seconds(counts, settings.mixed_precision, plan) for counts in phases]
    ends = (*(min(start, settings.steps) for start in training.starts[1:]), settings.steps)
    total = sum((end - start) * each for start, end, each in zip(training.starts, ends, seconds, strict=True))
    images_a_second = settings.batch_size / seconds[-1]
    return Estimate(
        training,
        fixed,
        micro_batch=micro,
        accumulation=accumulation,
        counts=phases[-1],
        ddp=fixed.ddp(phases[-1], plan.gpus),
        fsdp=fixed.fsdp(phases[-1], plan.gpus),
        largest_ddp=largest[0],
        largest_fsdp=largest[1],
        step_flops=plan.gpus * accumulation * phases[-1].flops,
        step_seconds=seconds[-1],
        seconds=total,
        cores=images_a_second * plan.decode_seconds if training.decodes else 0.0,
    )


def fixed_bytes(training: Training) -> Fixed:
    """Count what does not depend on the micro-batch; the optimizers' states are there from the first step on."""
    networks, frozen = list(training.networks.values()), list(training.frozen.values())
    learned = [p for network in networks for p in network.parameters() if p.requires_grad]
    blocks = [sum(p.nbytes for p in block.parameters()) for network in networks for block in _blocks(network)]
    gradients = sum(p.nbytes for p in learned)
    return Fixed(
        _bytes(networks),
        _bytes(frozen),
        gradients,
        sum(state.nbytes for state in training.states() if state.ndim),
        _bytes([] if training.average is None else [training.average]),
        max(blocks, default=0),
        gradients - sum(blocks),
    )


def token_bytes(positions: int, codebook_sizes: Sequence[int], *, variants: int) -> int:
    """Bytes of an image's cached tokens: two a token of up to 65,536 codes, else four.

    Example:
        >>> token_bytes(256, [16384, 16384], variants=2)
        2048
    """
    return variants * positions * sum(2 if size <= 2**16 else 4 for size in codebook_sizes)


def _seconds(counts: Counts, precision: str, plan: Plan) -> float:
    lower = (counts.flops - counts.flops_float32) / plan.card.bfloat16
    return (lower + counts.flops_float32 / plan.card.float32) / plan.utilisation


def _divided(images: int, least: int, largest: int) -> tuple[int, int]:
    """The largest micro-batch that fits and divides a process's images, and how many there are of it."""
    for accumulation in range(least, images + 1):
        if images % accumulation == 0 and images // accumulation <= largest:
            return images // accumulation, accumulation
    return images // least, least


def _largest(
    training: Training, fitted: dict[int, Counts], room: int, total: Callable[[Counts, int], int], gpus: int
) -> int:
    """The largest micro-batch that fits, found along the line through two peaks and counted there."""
    counted = {size: total(counts, gpus) for size, counts in fitted.items()}
    for _ in range(_TRIES):
        (low, below), (high, above) = sorted(counted.items())[-2:]
        slope = (above - below) / (high - low)
        size = math.floor(high + (room - above) / slope) if slope > 0 else 2 * high
        if size in counted or size < 1:
            break
        fitted[size] = training.count(size, training.starts[-1])
        counted[size] = total(fitted[size], gpus)
    return max((size for size, taken in counted.items() if taken <= room), default=0)


def _blocks(network: nn.Module) -> list[nn.Module]:
    """The entries of the outermost lists of modules."""
    found: list[nn.Module] = []
    for child in network.children():
        found += list(child) if isinstance(child, nn.ModuleList | nn.Sequential) else _blocks(child)
    return found


def _bytes(networks: Sequence[nn.Module]) -> int:
    return sum(t.nbytes for network in networks for t in (*network.parameters(), *network.buffers()))

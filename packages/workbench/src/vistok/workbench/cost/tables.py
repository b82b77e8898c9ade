"""Estimates as Markdown: parameters, memory and time of each training, and what is assumed."""

from collections.abc import Iterator, Sequence

from torch import nn

from vistok.metrics.report.page import Table
from vistok.workbench.cost.estimate import USABLE, Estimate, Plan

_NETWORKS = ("training", "network", "parameters, M", "learns")
_MEMORY = (
    *("training", "weights", "frozen", "gradients", "optimizer", "average", "kept for the backward pass", "images"),
    *("peak, DDP", "peak, FSDP", "largest micro-batch, DDP", "FSDP"),
)
_TIME = (
    *("training", "images a step", "micro-batches", "PFLOP a step", "s a step", "images/s", "steps"),
    *("days", "GPU hours", "data cores"),
)


def tables(estimates: Sequence[Estimate], plan: Plan) -> str:
    """The three tables of some trainings on one machine, in gigabytes of 10^9 bytes a process."""
    gigabytes = f"gigabytes a process; {plan.gpus} x {plan.card.title}, of which {USABLE:.0%} are planned with"
    rates = f"{plan.utilisation:.0%} of {plan.card.bfloat16 / 1e12:.0f} TFLOP/s in bfloat16"
    rates += f" and {plan.card.float32 / 1e12:.0f} in float32"
    parts = [
        ("Networks", _table(_NETWORKS, _networks(estimates))),
        (f"Memory, {gigabytes}", _table(_MEMORY, map(_memory, estimates))),
        (f"Time, at {rates}", _table(_TIME, (_time(one, plan.gpus) for one in estimates))),
    ]
    return "\n\n".join(f"{title}:\n\n{table}" for title, table in parts)


def disk_line(bytes_an_image: int, images: int) -> str:
    """What the cache of tokens takes.

    Example:
        >>> disk_line(2048, 1_000_000)
        'Token cache of 1,000,000 images: 2.0 GB (2,048 bytes an image).'
    """
    total = bytes_an_image * images / 1e9
    return f"Token cache of {images:,} images: {total:.1f} GB ({bytes_an_image:,} bytes an image)."


def _networks(estimates: Sequence[Estimate]) -> Iterator[list[str]]:
    for one in estimates:
        for kind, networks in (("yes", one.training.networks), ("no", one.training.frozen)):
            for name, network in networks.items():
                yield [one.training.name, name, _millions(network), kind]


def _memory(one: Estimate) -> list[str]:
    fixed = one.fixed
    parts = (fixed.weights, fixed.frozen, fixed.gradients, fixed.optimizer, fixed.average, one.counts.saved)
    return [
        one.training.name,
        *map(_gigabytes, parts),
        str(one.micro_batch),
        *map(_gigabytes, (one.ddp, one.fsdp)),
        *(str(size) if size else "none fits" for size in (one.largest_ddp, one.largest_fsdp)),
    ]


def _time(one: Estimate, gpus: int) -> list[str]:
    settings, days = one.training.settings, one.seconds / 86_400
    return [
        one.training.name,
        f"{settings.batch_size:,}",
        str(one.accumulation),
        _short(one.step_flops / 1e15),
        _short(one.step_seconds),
        _short(settings.batch_size / one.step_seconds),
        f"{settings.steps:,}",
        _short(days),
        _short(gpus * 24 * days),
        _short(one.cores) if one.training.decodes else "",
    ]


def _table(header: Sequence[str], rows: Iterator[list[str]]) -> str:
    return Table(header, list(rows)).markdown()


def _millions(network: nn.Module) -> str:
    return f"{sum(p.numel() for p in network.parameters()) / 1e6:,.1f}"


def _gigabytes(count: int) -> str:
    return _short(count / 1e9)


def _short(number: float) -> str:
    """Three digits, or all before the point.

    Example:
        >>> [_short(number) for number in (0.00123, 12.34, 12345.6)]
        ['0.00123', '12.3', '12,346']
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:#.3g}" if number else "0"

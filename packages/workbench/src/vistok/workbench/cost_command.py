"""The command ``cost`` of a recipe: what its trainings would take on cards that need not be here."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from vistok.workbench.config import ConfigError
from vistok.workbench.cost.cards import find_card
from vistok.workbench.cost.estimate import Plan, estimate, token_bytes
from vistok.workbench.cost.tables import disk_line, tables
from vistok.workbench.cost.trainings import DryRun, Training
from vistok.workbench.output import Output, OutputOptions

_PLANNED = ("micro_batch", "accumulation", "ddp", "fsdp", "step_flops", "step_seconds", "seconds", "cores")


@dataclass(frozen=True, kw_only=True)
class CostOptions(OutputOptions):
    """What the command takes; the strings are the help texts."""

    config: str = "digits"
    """A shipped configuration by its name, or the path of a YAML file."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Change one value of the configuration, as in --set train.batch_size=512; may be given several times."""
    gpus: int = 8
    """How many cards take part."""
    gpu: str = "h100"
    """Which card: a100-40, a100, h100, h200, l40s or rtx4090."""
    utilisation: float = 0.4
    """The part of the card's peak rate that a step reaches on the whole; an assumption, not a measurement."""
    decode_ms: float = 13.5
    """Milliseconds of one core to decode and crop an image; 13.5 is a JPEG of 500x375 pixels."""
    images: int = 1_281_167
    """Images of the data set, for the disk that their tokens take; by default ImageNet's."""

    def plan(self) -> Plan:
        """What they ask for.

        Raises:
            ConfigError: A value is out of range, or there is no such card.
        """
        for name in ("gpus", "images"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not 0 < self.utilisation <= 1:
            raise ConfigError(f"utilisation: expected a part of 1, got {self.utilisation}")
        if not 0 <= self.decode_ms < math.inf:
            raise ConfigError(f"decode_ms: expected a number of at least 0, got {self.decode_ms}")
        return Plan(find_card(self.gpu), self.gpus, self.utilisation, self.decode_ms / 1e3)


def cost_command(
    load: Callable[[str, Sequence[str]], Any],
    trainings: Callable[[Any, DryRun], Sequence[Training]],
    token_streams: Callable[[Any], tuple[int, Sequence[int]]],
) -> dict[str, Callable[[CostOptions], Output]]:
    """The command ``cost`` of a recipe, by name.

    Args:
        load: Reads a configuration by its name, with changes.
        trainings: Of a configuration.
        token_streams: Tokens an image has in each stream, and the codes of each.
    """

    def cost(options: CostOptions) -> Output:
        """Print what the trainings take: parameters, memory, the largest micro-batch, FLOPs, time, cores, disk.

        Counted on a device without memory; no card, no images and no weights are needed.
        """
        plan = options.plan()
        config = load(options.config, options.set)
        estimates = [estimate(training, plan) for training in trainings(config, DryRun())]
        positions, sizes = token_streams(config)
        variants = len(config.data.token_variants)
        disk = disk_line(token_bytes(positions, sizes, variants=variants), options.images)
        planned = [{"name": each.training.name} | {key: getattr(each, key) for key in _PLANNED} for each in estimates]
        return Output({"trainings": planned, "disk": disk}, text=f"{tables(estimates, plan)}\n\n{disk}")

    return {"cost": cost}

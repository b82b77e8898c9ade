"""The command line of a recipe: options, how a stage is opened, all stages in turn, errors in one line."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import tyro

from vistok.workbench.config import ConfigError
from vistok.workbench.data import SourceDescription, describe_source
from vistok.workbench.run.checkpoint import CheckpointError
from vistok.workbench.run.files import NoSpaceError
from vistok.workbench.run.folder import CONFIG, is_run
from vistok.workbench.run.processes import close_processes, process_count, process_index, speaks_first
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.signals import Interrupted

logger = logging.getLogger(__name__)

_OptionsT = TypeVar("_OptionsT", bound="RunOptions")

#: Errors whose message is for the user; anything else leaves its traceback in a file.
USER_ERRORS = (ConfigError, CheckpointError, NonFiniteLossError, OSError, ValueError)

#: The name of the configuration that is made for the images of --data.
AUTO = "auto"

_LONGEST_ARGUMENT = 4096  # the longest path there is; an error repeats what it cannot read
_LONGEST_REASON = 300
_NOISY = ("httpx", "datasets", "timm", "huggingface_hub", "matplotlib")


class UnexpectedError(RuntimeError):
    """Something that no check foresaw; the message is one line and names the file with the traceback."""


@dataclass(frozen=True)
class RunOptions:
    """What every command takes. A recipe adds its own in a subclass; the strings are the help texts."""

    config: str | None = None
    """A shipped configuration by its name, the path of a YAML file, or auto: one that is made for the images of --data.
    By default that of the run, if --name names one that exists; else auto with --data, and digits without."""
    name: str | None = None
    """The run: everything lands in RUNS/NAME. By default the configuration's own name."""
    runs: Path = Path("runs")
    """The folder of all runs."""
    data: str | None = None
    """An image folder, a Parquet file or folder, or the id of a hub data set, in place of the configuration's."""
    image_size: int | None = None
    """Resize and crop the images to this side."""
    seed: int | None = None
    """The seed that everything random follows from."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Override any setting, as in --set train.steps=100; may be repeated."""
    generator: str | None = None
    """Which of the configuration's generators is trained and drawn from; the first by default. The report shows all
    that have samples."""
    samples: str | None = None
    """Which of the generator's sample sets is drawn; the first by default."""
    evaluation: str | None = None
    """Which of the configuration's evaluations is made and shown; the first by default."""
    resume: bool = False
    """Continue the run: finished stages stay, an interrupted one goes on from its newest checkpoint."""
    fresh: bool = False
    """Set aside what the command made earlier, and what followed from it, and make it again."""

    def config_or_default(self) -> str:
        """The configuration that is meant: the one named, or that of the run named if it exists, or a default."""
        if self.config is not None:
            return self.config
        if self.data is None and self.name is not None and is_run(self.runs / self.name):
            return str(self.runs / self.name / CONFIG)
        return "digits" if self.data in (None, "digits") else AUTO

    def describe_images(self) -> tuple[SourceDescription, int]:
        """What ``data`` holds, and the size its images are brought to: ``image_size``, or one that a device can train.

        Raises:
            ConfigError: There is no ``data`` to look at.
        """
        if self.data is None:
            raise ConfigError(f"config {AUTO}: expected --data, whose images the configuration is made for")
        images = describe_source(self.data)
        affordable = 256 if torch.cuda.is_available() else 32
        size = self.image_size or max(8, min(affordable, 2 ** (images.image_size.bit_length() - 1)))
        logger.info(
            "config auto: %d images in %d classes, %d channels, typically %d px; trained at %d px",
            images.num_images, images.num_classes, images.channels, images.image_size, size,
        )  # fmt: skip
        return images, size

    def hint(self) -> str:
        """The options that were given, as they would be typed, for commands in messages."""
        given = [(field, getattr(self, field.name)) for field in dataclasses.fields(self)]
        words: list[str] = []
        for field, value in given:
            if value == field.default or field.name in ("resume", "fresh"):
                continue
            for item in value if isinstance(value, tuple) else (value,):
                words += [f"--{field.name.replace('_', '-')}", *([] if item is True else [str(item)])]
        return shlex.join(words)

    def overrides(self) -> dict[str, Any]:
        """What the options by name change in a recipe's configuration: dotted keys and plain values.

        They are the ``values`` of :func:`vistok.workbench.config.load_config`, and ``set`` its ``overrides``, which
        have the last word. Data other than the embedded digits are in colour.

        Example:
            >>> RunOptions(name="2024", image_size=64, set=("train.steps=9",)).overrides()
            {'name': '2024', 'data.image_size': 64, 'tokenizer.image_size': 64}
        """
        named = {
            "name": self.name,
            "seed": self.seed,
            "data.source": self.data,
            "tokenizer.image_channels": None if self.data in (None, "digits") else 3,
            "data.image_size": self.image_size,
            "tokenizer.image_size": self.image_size,
        }
        return {key: value for key, value in named.items() if value is not None}


@contextlib.contextmanager
def opened_stage(
    options: RunOptions, stages: Stages, stage: Stage, training: TrainConfig | None = None
) -> Iterator[None]:
    """Open the run's folder for a stage, and keep what went wrong in it.

    Of several processes the first one checks, writes and moves; the others only take part in a training.

    Args:
        options: The command's options.
        stages: Of the run.
        stage: The one to run.
        training: Its optimisation, if it trains; such a stage divides its work among processes.

    Raises:
        ConfigError: As :meth:`vistok.workbench.run.stages.Stages.opened`; or there are several processes and nothing
            for them to do.
        UnexpectedError: Anything else went wrong; the traceback is in the run's ``error.log``.
    """
    rank, count = process_index(), process_count()
    if options.fresh and options.resume:
        raise ConfigError("fresh: expected either --fresh or --resume, got both")
    if training is None and count > 1:
        raise ConfigError(f"{stage.command} runs in one process, got {count}; start it without torchrun")
    if training is not None and training.batch_size % (count * training.accumulation):
        raise ConfigError(
            f"batch_size: expected a multiple of {count} processes x {training.accumulation} micro-batches, "
            f"got {training.batch_size}"
        )
    opened = stages.opened(stage, resume=options.resume, fresh=options.fresh) if rank == 0 else contextlib.nullcontext()
    with opened:
        try:
            yield
        except (*USER_ERRORS, Interrupted):
            raise
        except Exception as error:
            log = stages.folder / ("error.log" if rank == 0 else f"error-{rank}.log")
            log.write_text(traceback.format_exc(), encoding="utf-8")
            raise UnexpectedError(f"{stage.name}: {_one_line(error)}; the traceback is in {log}") from error


def run_stages(options: _OptionsT, stages: Stages, commands: Mapping[str, Callable[[_OptionsT], None]]) -> None:
    """Run every stage that is not done yet, in order, and say where the last one's page is.

    Args:
        options: Given to each command, without ``fresh``.
        stages: Of the run.
        commands: The command of each stage.

    Raises:
        ConfigError: There is an unfinished run, and neither ``resume`` nor ``fresh``; or what a stage will read beside
            the others' files was made with other settings.
    """
    everything = list(stages.by_name.values())
    page = everything[-1].outputs[0]
    if options.fresh:
        stages.restart()
    elif all(stages.is_done(stage) for stage in everything):
        logger.info("finished earlier; the report is %s (--fresh runs everything again)", page)
        return
    elif not options.resume and stages.has_begun():
        raise ConfigError(
            f"{stages.folder}: this run exists; --resume continues it, --fresh sets it aside and starts from nothing"
        )
    stages.check_others()
    begin = time.monotonic()
    within = replace(options, fresh=False)
    for index, stage in enumerate(everything, 1):
        if stages.is_done(stage):
            logger.info("[%d/%d] %s: done earlier", index, len(everything), stage.command)
            continue
        logger.info("[%d/%d] %s", index, len(everything), stage.command)
        commands[stage.command](within)
    logger.info("done in %.1f minutes; open %s", (time.monotonic() - begin) / 60, page)


def run_command_line(program: str, description: str, commands: Mapping[str, Callable[[Any], None]]) -> None:
    """Parse the command line and run its command.

    User errors end with one line and exit code 2, an interrupted run with 130; of several processes one speaks.

    Args:
        program: The recipe's command, such as ``glotok``.
        description: One sentence for ``--help``.
        commands: Each takes one data class, whose fields are the command's options.
    """
    level = logging.INFO if process_index() == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    message, code = "", 0
    try:
        _check_lengths(sys.argv[1:])
        tyro.extras.subcommand_cli_from_dict(
            dict(commands),
            prog=program,
            description=description,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except (*USER_ERRORS, UnexpectedError) as error:
        foreseen = not isinstance(error, OSError) or isinstance(error, FileNotFoundError | NoSpaceError)
        message, code = str(error) if foreseen else _one_line(error), 2
    except Interrupted as error:
        message, code = str(error), 130
    except KeyboardInterrupt:
        message, code = "interrupted; --resume continues from the newest checkpoint", 130
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", prefix=f"{program}-error-", suffix=".log", delete=False) as log:
            log.write(traceback.format_exc())
        message, code = f"{_one_line(error)}; the traceback is in {log.name}", 2
    if message and speaks_first():
        logger.error("%s: %s", program, " ".join(message.split()))
    close_processes()  # after the error: its traceback holds what is to be closed
    if code:
        sys.exit(code)


def _check_lengths(arguments: Sequence[str]) -> None:
    for position, argument in enumerate(arguments, 1):
        if len(argument) > _LONGEST_ARGUMENT:
            before = f" (after {arguments[position - 2]:.40})" if position > 1 else ""
            raise ConfigError(
                f"argument {position}{before}: expected at most {_LONGEST_ARGUMENT} characters, got {len(argument)}"
            )


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_LONGEST_REASON]}" if text else type(error).__name__

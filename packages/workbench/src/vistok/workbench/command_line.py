"""The command line of a recipe: options, how a stage is opened, all stages in turn, errors in one line."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
import tyro

from vistok.workbench.checkpoint import CheckpointError, list_checkpoints
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.files import NoSpaceError
from vistok.workbench.finite import NonFiniteLossError
from vistok.workbench.processes import close_processes, process_index, speaks_first
from vistok.workbench.run import open_run
from vistok.workbench.tensor_files import is_whole
from vistok.workbench.training import Interrupted

logger = logging.getLogger(__name__)

_OptionsT = TypeVar("_OptionsT", bound="RunOptions")

_NOISY = ("httpx", "datasets", "timm", "huggingface_hub", "matplotlib")


@dataclass(frozen=True)
class RunOptions:
    """What every command takes. A recipe adds its own in a subclass; the strings are the help texts."""

    config: str = "digits"
    """A shipped configuration by its name, or the path of a YAML file."""
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
    resume: bool = False
    """Continue the run: finished stages stay, an interrupted one goes on from its newest checkpoint."""
    fresh: bool = False
    """Remove the run's folder first."""

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


def open_stage(
    program: str,
    options: RunOptions,
    config: Config,
    folder: Path,
    *,
    needs: Mapping[str, Path] | None = None,
    checkpoints: Path | None = None,
    resume: bool = True,
) -> None:
    """Open the run's folder for a stage; a launched process that is not the first only reads it.

    Args:
        program: The recipe's command, for messages.
        options: The command's options.
        config: The resolved configuration, kept in the folder.
        folder: The run's folder, below ``options.runs``.
        needs: Stages that must have run before, each with the file that shows it.
        checkpoints: Where this stage's checkpoints are; only with ``--resume`` may there be any.
        resume: Whether the run's folder may exist.

    Raises:
        ConfigError: A file of ``needs`` is missing, there are checkpoints, or as
            :func:`vistok.workbench.run.open_run`.
    """
    first = process_index() == 0
    if first:
        open_run(options.runs, folder.relative_to(options.runs).as_posix(), config, resume=resume, fresh=options.fresh)
    for stage, output in (needs or {}).items():
        if not output.exists():
            raise ConfigError(f"{folder}: {output.name} is missing; run {program} {stage} first")
    if first and checkpoints is not None and not options.resume and list_checkpoints(checkpoints):
        raise ConfigError(f"{checkpoints}: holds checkpoints; --resume continues from the newest one")


def run_stages(options: _OptionsT, stages: Mapping[str, tuple[Callable[[_OptionsT], None], Path]]) -> None:
    """Run every stage whose file is not there yet, in order, and say where the last one's is.

    Args:
        options: Given to each stage, without ``fresh``.
        stages: Name of each stage to its command and the file whose presence says that it is done.
    """
    *_, (_, last) = stages.values()
    if last.exists():
        logger.info("finished earlier; the report is %s (--fresh runs everything again)", last)
        return
    begin = time.monotonic()
    within = replace(options, fresh=False)
    for index, (name, (command, output)) in enumerate(stages.items(), 1):
        if is_whole(output):
            logger.info("[%d/%d] %s: done earlier", index, len(stages), name)
            continue
        logger.info("[%d/%d] %s", index, len(stages), name)
        command(within)
    logger.info("done in %.1f minutes; open %s", (time.monotonic() - begin) / 60, last)


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
        tyro.extras.subcommand_cli_from_dict(
            dict(commands),
            prog=program,
            description=description,
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except (CheckpointError, NonFiniteLossError, FileNotFoundError, NoSpaceError, ValueError) as error:
        message, code = str(error), 2
    except Interrupted as error:
        message, code = str(error), 130
    except KeyboardInterrupt:
        message, code = "interrupted; --resume continues from the newest checkpoint", 130
    except Exception:
        if speaks_first():
            raise
        code = 1  # the end of another process ended this one, and that one has said why
    if message and speaks_first():
        logger.error("%s: %s", program, message)
    close_processes()  # after the error: its traceback holds what is to be closed
    if code:
        sys.exit(code)

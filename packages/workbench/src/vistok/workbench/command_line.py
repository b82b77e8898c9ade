"""The command line of a recipe: a command a stage, how it is opened, all of them in turn, errors in one line."""

import contextlib
import logging
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import torch
import tyro

from vistok.workbench.config import ConfigError, ConfigT
from vistok.workbench.options import RunOptions
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.allocator import keep_freed_memory
from vistok.workbench.run.checkpoint import CheckpointError
from vistok.workbench.run.files import NoSpaceError
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.processes import (
    close_processes,
    meet_processes,
    process_count,
    process_index,
    speaks_first,
)
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.training.finite import NonFiniteLossError
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.signals import Interrupted
from vistok.workbench.training.switches import check_switches

logger = logging.getLogger(__name__)

_OptionsT = TypeVar("_OptionsT", bound=RunOptions)
_PathsT = TypeVar("_PathsT", bound=RunPaths)
_RunT = TypeVar("_RunT", bound="Run[Any, Any]")

#: Errors whose message is for the user; anything else leaves its traceback in a file.
USER_ERRORS = (ConfigError, CheckpointError, NonFiniteLossError, OSError, ValueError)

_LONGEST_ARGUMENT = 4096  # the longest path there is; an error repeats what it cannot read
_LONGEST_REASON = 300
_NOISY = ("httpx", "datasets", "timm", "huggingface_hub", "matplotlib")


class UnexpectedError(RuntimeError):
    """Something that no check foresaw; the message is one line and names the file with the traceback."""


@dataclass(frozen=True)
class Run(Generic[ConfigT, _PathsT]):
    """What the commands of a recipe work with.

    Attributes:
        config: The resolved configuration.
        paths: Where the run keeps what.
        choice: The generator, the sample set and the evaluation that are meant.
        stages: All stages of the run.
        resume: Whether a training goes on from its newest checkpoint.
    """

    config: ConfigT
    paths: _PathsT
    choice: Choice
    stages: Stages
    resume: bool


@dataclass(frozen=True)
class Command(Generic[_RunT]):
    """A stage as a command.

    Args:
        name: That of the stage, without its variant.
        help: The help text.
        work: Does it.
        training: Gives the optimisation of a stage that trains; such a stage divides its work among processes.
        divides: Whether a stage that trains nothing does, too; all of them have met when it begins.
    """

    name: str
    help: str
    work: Callable[[_RunT], None]
    training: Callable[[_RunT], TrainConfig] | None = None
    divides: bool = False


def recipe_commands(
    prepare: Callable[[_OptionsT], _RunT],
    table: Sequence[Command[_RunT]],
    *,
    demo: str,
    options_type: type[_OptionsT],
) -> dict[str, Callable[[_OptionsT], None]]:
    """The commands of a recipe by name: ``demo``, which runs all stages in turn, and each stage alone.

    Args:
        prepare: Resolves and checks what the options ask for, images included; writes nothing.
        table: The stages, in order.
        demo: The help text of ``demo``.
        options_type: What every command takes.
    """

    def alone(command: Command[_RunT]) -> Callable[[_OptionsT], None]:
        def run_one(options: _OptionsT) -> None:
            run = prepare(options)
            listed = {stage.command: stage for stage in run.stages.by_name.values()}
            if command.name not in listed:
                raise ConfigError(f"{command.name}: this configuration has no such stage, but {', '.join(listed)}")
            stage = listed[command.name]
            training = command.training and command.training(run)
            with opened_stage(options, run.stages, stage, training, divides=command.divides):
                command.work(run)

        return run_one

    stages = {command.name: alone(command) for command in table}

    def run_all(options: _OptionsT) -> None:
        if process_count() > 1:
            raise ConfigError(f"demo runs in one process, got {process_count()}; start it without torchrun")
        run = prepare(options)
        for command in table:
            if command.training is not None:
                check_switches(command.training(run))
        run_stages(options, run.stages, stages)

    commands = {"demo": run_all, **stages}
    for command, text in zip(commands.values(), (demo, *(command.help for command in table)), strict=True):
        command.__doc__, command.__annotations__["options"] = text, options_type
    return commands


@contextlib.contextmanager
def opened_stage(
    options: RunOptions, stages: Stages, stage: Stage, training: TrainConfig | None = None, *, divides: bool = False
) -> Iterator[None]:
    """Open the run's folder for a stage, and keep what went wrong in it.

    Of several processes the first one checks, writes and moves; the others only take part in the work.

    Args:
        options: The command's options.
        stages: Of the run.
        stage: The one to run.
        training: Its optimisation, if it trains; such a stage divides its work among processes.
        divides: Whether one that trains nothing does, too.

    Raises:
        ConfigError: As :meth:`vistok.workbench.run.stages.Stages.opened`; or there are several processes and nothing
            for them to do.
        UnexpectedError: Anything else went wrong; the traceback is in the run's ``error.log``.
    """
    rank, count = process_index(), process_count()
    if options.fresh and options.resume:
        raise ConfigError("fresh: expected either --fresh or --resume, got both")
    if options.skip:
        raise ConfigError(f"skip: expected only with demo, got it with {stage.command}")
    if training is None and not divides and count > 1:
        raise ConfigError(f"{stage.command} runs in one process, got {count}; start it without torchrun")
    if training is not None and training.batch_size % (count * training.accumulation):
        raise ConfigError(
            f"batch_size: expected a multiple of {count} processes x {training.accumulation} micro-batches, "
            f"got {training.batch_size}"
        )
    if training is not None:
        check_switches(training)
    opened = stages.opened(stage, resume=options.resume, fresh=options.fresh) if rank == 0 else contextlib.nullcontext()
    with opened:
        try:
            if divides:
                meet_processes()  # once the first has checked and set aside
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
        options: Given to each command, without ``fresh``; the stages that it names under ``skip`` do not run.
        stages: Of the run.
        commands: The command of each stage.

    Raises:
        ConfigError: There is an unfinished run, and neither ``resume`` nor ``fresh``; ``skip`` names one that there
            is not; or what a stage will read beside the others' files was made with other settings.
    """
    everything = _not_skipped(stages, options.skip)
    page = everything[-1].outputs[0]
    if options.fresh:
        stages.restart()
    elif all(stages.is_done(stage) for stage in everything):
        logger.info("finished earlier; open %s (--fresh runs everything again)", page)
        return
    elif not options.resume and stages.has_begun():
        raise ConfigError(
            f"{stages.folder}: this run exists; --resume continues it, --fresh sets it aside and starts from nothing"
        )
    stages.check_others()
    begin = time.monotonic()
    within = replace(options, fresh=False, skip=())
    for index, stage in enumerate(everything, 1):
        if stages.is_done(stage):
            logger.info("[%d/%d] %s: done earlier", index, len(everything), stage.command)
            continue
        logger.info("[%d/%d] %s", index, len(everything), stage.command)
        commands[stage.command](within)
    logger.info("done in %.1f minutes; open %s", (time.monotonic() - begin) / 60, page)


def _not_skipped(stages: Stages, names: Sequence[str]) -> list[Stage]:
    commands = [stage.command for stage in stages.by_name.values()]
    for name in names:
        if name not in commands:
            raise ConfigError(f"skip: expected some of {', '.join(commands)}, got {name!r}")
    left = [stage for stage in stages.by_name.values() if stage.command not in names]
    if not left:
        raise ConfigError("skip: expected to leave a stage over, got all of them")
    return left


def run_command_line(program: str, description: str, commands: Mapping[str, Callable[[Any], None]]) -> None:
    """Parse the command line and run its command.

    User errors end with one line and exit code 2, an interrupted run with 130; of several processes one speaks.

    Args:
        program: The recipe's command.
        description: One sentence for ``--help``.
        commands: Each takes one data class, whose fields are the command's options.
    """
    keep_freed_memory()
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

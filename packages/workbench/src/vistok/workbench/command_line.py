"""The commands of a recipe: one a stage, how it is opened, and all of them in turn."""

import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from vistok.workbench.config import ConfigError, ConfigT
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.program import USER_ERRORS, UnexpectedError, one_line
from vistok.workbench.progress import Progress, TimeLeft, duration
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.expected import expected_seconds
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.processes import meet_processes, process_count, process_index
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.run.summary import run_values
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.signals import Interrupted
from vistok.workbench.training.switches import check_switches

logger = logging.getLogger(__name__)

_OptionsT = TypeVar("_OptionsT", bound=RunOptions)
_PathsT = TypeVar("_PathsT", bound=RunPaths)
_RunT = TypeVar("_RunT", bound="Run[Any, Any]")


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
    seconds: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Callable[[_OptionsT], Output]]:
    """The commands of a recipe by name: ``demo``, which runs all stages in turn, and each stage alone.

    With ``resume`` a stage that is done stays, in the demo and alone.

    Args:
        prepare: Resolves and checks what the options ask for, images included; writes nothing.
        table: The stages, in order.
        demo: The help text of ``demo``.
        options_type: What every command takes.
        seconds: What each stage takes, and each step of one that trains, by the names of configurations, the default
            one first: what the demo says of the time that is left until runs of one's own are there.
    """

    def alone(command: Command[_RunT]) -> Callable[[_OptionsT], Output]:
        def run_one(options: _OptionsT) -> Output:
            run = prepare(options)
            listed = {stage.command: stage for stage in run.stages.by_name.values()}
            if command.name not in listed:
                raise ConfigError(f"{command.name}: this configuration has no such stage, but {', '.join(listed)}")
            stage = listed[command.name]
            training = command.training and command.training(run)
            _check_options(options, stage, training, command.divides)
            if options.resume and run.stages.stays(stage):
                logger.info("%s: done earlier (--fresh runs it again)", command.name)
            else:
                with opened_stage(options, run.stages, stage, training, divides=command.divides):
                    command.work(run)
            return run_output(run.stages, stage.outputs[0])

        return run_one

    stages = {command.name: alone(command) for command in table}

    def run_all(options: _OptionsT) -> Output:
        if process_count() > 1:
            raise ConfigError(f"demo runs in one process, got {process_count()}; start it without torchrun")
        run, shipped = prepare(options), _of_configuration(seconds or {}, options.config)
        for command in table:
            if command.training is not None:
                training = command.training(run)
                check_switches(training)
                if command.name in shipped:
                    shipped[command.name] *= training.steps
        page = run_stages(options, run.stages, stages, shipped)
        return run_output(run.stages, page)

    commands = {"demo": run_all, **stages}
    for command, text in zip(commands.values(), (demo, *(command.help for command in table)), strict=True):
        command.__doc__, command.__annotations__["options"] = text, options_type
    return commands


@contextlib.contextmanager
def opened_stage(
    options: RunOptions,
    stages: Stages,
    stage: Stage,
    training: TrainConfig | None = None,
    *,
    divides: bool = False,
    check: Callable[[], Any] | None = None,
) -> Iterator[None]:
    """Open the run's folder for a stage, and keep what went wrong in it.

    Of several processes the first one checks, writes and moves; the others only take part in the work.

    Args:
        options: The command's options.
        stages: Of the run.
        stage: The one to run.
        training: Its optimisation, if it trains; such a stage divides its work among processes.
        divides: Whether one that trains nothing does, too.
        check: Raises where something else is missing; called before anything is set aside.

    Raises:
        ConfigError: As :meth:`vistok.workbench.run.stages.Stages.opened`; ``resume`` and ``fresh`` are both given; or
            there are several processes and nothing for them to do.
        UnexpectedError: Anything else went wrong; the traceback is in the run's ``error.log``.
    """
    rank = process_index()
    _check_options(options, stage, training, divides)
    opened = stages.opened(stage, resume=options.resume, fresh=options.fresh, check=check)
    with opened if rank == 0 else contextlib.nullcontext():
        try:
            if divides:
                meet_processes()  # once the first has checked and set aside
            yield
        except (*USER_ERRORS, Interrupted):
            raise
        except Exception as error:
            log = stages.folder / ("error.log" if rank == 0 else f"error-{rank}.log")
            log.write_text(traceback.format_exc(), encoding="utf-8")
            raise UnexpectedError(f"{stage.name}: {one_line(error)}; the traceback is in {log}") from error


def run_stages(
    options: _OptionsT,
    stages: Stages,
    commands: Mapping[str, Callable[[_OptionsT], Any]],
    shipped: Mapping[str, float] | None = None,
) -> Path:
    """Run every stage that is not done yet, in order, and say where the last one's page is.

    Args:
        options: Given to each command, without ``fresh``; the stages that it names under ``skip`` do not run.
        stages: Of the run.
        commands: The command of each stage that runs; those without one are left to be asked for.
        shipped: About how many seconds each command takes, where no run says.

    Returns:
        The page.

    Raises:
        ConfigError: There is an unfinished run, and neither ``resume`` nor ``fresh``, or both; or one of other images;
            ``skip`` names one that there is not, or one that is not done and that another needs; or what a stage will
            read beside the others' files was made with other settings.
    """
    _check_contradiction(options)
    everything = _not_skipped([stage for stage in stages.by_name.values() if stage.command in commands], options.skip)
    page = everything[-1].outputs[0]
    if not options.fresh:
        stages.check_images()
    _check_skipped(stages, everything, fresh=options.fresh)
    if options.fresh:
        stages.restart()
    elif all(stages.is_done(stage) for stage in everything):
        logger.info("finished earlier; open %s (--fresh runs everything again)", page)
        return page
    elif not options.resume and stages.has_begun():
        raise ConfigError(
            f"{stages.folder}: this run exists; --resume continues it, --fresh sets it aside and starts from nothing"
        )
    stages.check_others()
    seconds, source = expected_seconds(stages, options.runs, shipped or {})
    left = TimeLeft({stage.name: seconds[stage.name] for stage in everything if stage.name in seconds})
    told, within = Progress(left), replace(options, fresh=False, skip=())
    logger.info("%s: %d stages; their times: %s", stages.folder, len(everything), source)
    for index, stage in enumerate(everything, 1):
        label = f"[{index}/{len(everything)}] {stage.command}"
        if stages.is_done(stage):
            left.skip(stage.name)
            logger.info("%s: done earlier", label)
            continue
        with told.stage(stage.name, label):
            commands[stage.command](within)
    logger.info("done in %s; open %s", duration(told.passed), page)
    return page


def run_output(stages: Stages, place: Path) -> Output:
    """What a command that has worked on a run gives back; of several processes one says it."""
    if process_index() > 0:
        return Output()
    return Output({**run_values(stages.folder), "result": str(place)}, place)


def _check_options(options: RunOptions, stage: Stage, training: TrainConfig | None, divides: bool) -> None:
    count = process_count()
    _check_contradiction(options)
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


def _check_contradiction(options: RunOptions) -> None:
    if options.fresh and options.resume:
        raise ConfigError("fresh: expected either --fresh or --resume, got both")


def _of_configuration(seconds: Mapping[str, Mapping[str, float]], config: str | None) -> dict[str, float]:
    """Those of the configuration that is asked for, or of the first."""
    name = "" if config is None else Path(config).stem
    return dict(seconds.get(name) or next(iter(seconds.values()), {}))


def _not_skipped(stages: Sequence[Stage], names: Sequence[str]) -> list[Stage]:
    commands = [stage.command for stage in stages]
    for name in names:
        if name not in commands:
            raise ConfigError(f"skip: expected some of {', '.join(commands)}, got {name!r}")
    left = [stage for stage in stages if stage.command not in names]
    if not left:
        raise ConfigError("skip: expected to leave a stage over, got all of them")
    return left


def _check_skipped(stages: Stages, left: Sequence[Stage], *, fresh: bool) -> None:
    """What the stages that are left need is done where it is not among them, so that none runs in vain."""
    to_come = {stage.name for stage in left}
    for stage in left:
        skipped = [name for name in stages.needs_of(stage) if name not in to_come]
        if skipped and fresh:
            need = stages.by_name[skipped[0]].command
            raise ConfigError(f"skip: {stage.command} needs {need}, of which --fresh leaves nothing")
        if skipped and not stages.is_done(stage):
            stages.check_needs(stage, to_come)

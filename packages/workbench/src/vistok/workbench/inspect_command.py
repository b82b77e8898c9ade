"""The command that looks into a run's tokenizer: a page for every reader, or a local app that decodes on the spot."""

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import tyro

from vistok.workbench.command_line import Run, opened_stage, run_output
from vistok.workbench.inspection.app import editor_app, load_gradio
from vistok.workbench.inspection.contents import Inspection
from vistok.workbench.inspection.editor import TokenEditor
from vistok.workbench.inspection.page import write_inspection
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.run.folder import check_folder

logger = logging.getLogger(__name__)

STAGE = "inspect"


@dataclass(frozen=True, kw_only=True)
class InspectOptions(RunOptions):
    """What the command takes."""

    name: Annotated[str | None, tyro.conf.arg(aliases=["--run"])] = None
    """The run: everything lands in RUNS/NAME. By default the configuration's own name."""
    serve: bool = False
    """Write no page, but start a local app in which any token of any image is replaced; needs the extra app:
    pip install 'vistok-workbench[app]'."""


def inspect_command(
    prepare: Callable[[RunOptions], Run[Any, Any]],
    gather: Callable[[Run[Any, Any]], Inspection],
    open_editor: Callable[[Run[Any, Any]], TokenEditor],
    report: Callable[[Run[Any, Any]], None],
) -> dict[str, Callable[[InspectOptions], Output]]:
    """The command ``inspect`` of a recipe, by name.

    Args:
        prepare: As :func:`vistok.workbench.command_line.recipe_commands` takes it.
        gather: What the page shows of a run.
        open_editor: A run's tokenizer, for the app.
        report: Writes the run's report, which links to the page.
    """

    def inspect_tokens(options: InspectOptions) -> Output:
        """Write a page to look into the codes: neighbours, classes, parts, replaced tokens (needs reconstruct)."""
        plain = options.of_a_run()
        run = prepare(plain)
        stages, stage = run.stages, run.stages.by_name[STAGE]
        if options.serve:
            load_gradio()
            check_folder(stages.folder, stages.program)
            for name in stage.needs:
                stages.check_done(stages.by_name[name])
            editor_app(open_editor(run)).launch()
            return Output()
        shown = stages.by_name[f"report.{run.choice.evaluation}"]
        reported = stages.is_done(shown)
        with opened_stage(plain, stages, stage):
            write_inspection(run.paths.inspection, gather(run))
        if reported:
            with opened_stage(dataclasses.replace(plain, fresh=False), stages, shown):
                report(run)
        logger.info("open %s", run.paths.inspection)
        return run_output(stages, run.paths.inspection)

    return {STAGE: inspect_tokens}

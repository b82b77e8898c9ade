"""The command that makes of a run's tokenizer two graphs that run without its code."""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vistok.workbench.command_line import Run
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.pipelines.graphs import (
    INTERFACE,
    ExportableTokenizer,
    GraphFormat,
    check_format,
    export_tokenizer,
)
from vistok.workbench.run.folder import check_folder

logger = logging.getLogger(__name__)
_COMPARED = 16  # validation images


@dataclass(frozen=True, kw_only=True)
class GraphOptions(RunOptions):
    """What the command takes."""

    folder: Path
    """The folder to write; it must be new or empty."""
    format: GraphFormat = "onnx"
    """onnx, for onnxruntime and others (by the extra of that name), or torch, for torch.export.load."""


def graph_command(
    prepare: Callable[[RunOptions], Run[Any, Any]],
    open_tokenizer: Callable[[Run[Any, Any]], ExportableTokenizer],
    *,
    stage: str,
) -> dict[str, Callable[[GraphOptions], Output]]:
    """The command ``export-tokenizer`` of a recipe, by name.

    Args:
        prepare: As :func:`vistok.workbench.command_line.recipe_commands` takes it.
        open_tokenizer: Opens a run's tokenizer on the CPU.
        stage: The stage that it comes from.
    """

    def export(options: GraphOptions) -> Output:
        """Write encoder and decoder as ONNX or torch.export graphs that run without this code."""
        check_format(options.format)
        run = prepare(options.of_a_run())
        check_folder(run.stages.folder, run.stages.program)
        run.stages.check_done(run.stages.by_name[stage])
        _, validation = run.config.data.load()
        images = validation.batch(range(min(_COMPARED, len(validation))))
        about = {"recipe": run.stages.program, "run": run.config.name}
        found = export_tokenizer(open_tokenizer(run), options.folder, images, format=options.format, about=about)
        logger.info(
            "wrote %s; %s in it tells shapes and ranges. On %d images: %.2f %% of the tokens equal, images within %.1g",
            options.folder,
            INTERFACE,
            found.images,
            100 * found.equal_tokens,
            found.largest_difference,
        )
        return Output({"folder": str(options.folder), **asdict(found)}, options.folder)

    return {"export-tokenizer": export}

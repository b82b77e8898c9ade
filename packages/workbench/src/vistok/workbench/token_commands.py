"""The commands that bring a run's cached tokens to Parquet and back."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vistok.workbench.command_line import Run, opened_stage
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.run.folder import check_folder
from vistok.workbench.tokens.parquet import export_tokens, import_tokens, open_export


@dataclass(frozen=True, kw_only=True)
class ParquetOptions(RunOptions):
    """What these commands take."""

    parquet: Path
    """The folder of the Parquet files; export-tokens asks for a new or empty one."""


def token_commands(
    prepare: Callable[[RunOptions], Run[Any, Any]], *, stage: str, made_by: Callable[[Run[Any, Any]], str]
) -> dict[str, Callable[[ParquetOptions], Output]]:
    """The commands ``export-tokens`` and ``import-tokens`` of a recipe, by name.

    Args:
        prepare: As :func:`vistok.workbench.command_line.recipe_commands` takes it.
        stage: The name of the stage that caches the tokens; its first output is their folder.
        made_by: What makes the tokens of a run, as its cache says it.
    """

    def opened(options: ParquetOptions) -> tuple[RunOptions, Run[Any, Any], Path]:
        plain = options.of_a_run()
        run = prepare(plain)
        return plain, run, run.stages.by_name[stage].outputs[0]

    def export_all(options: ParquetOptions) -> Output:
        """Write the cached tokens as Parquet, with labels, for other trainers (needs encode)."""
        _, run, folder = opened(options)
        check_folder(run.stages.folder, run.stages.program)
        run.stages.check_done(run.stages.by_name[stage])
        export_tokens(folder, options.parquet)
        return Output({"parquet": str(options.parquet)}, options.parquet)

    def import_all(options: ParquetOptions) -> Output:
        """Read what export-tokens wrote, in place of encoding the images (needs the tokenizer)."""
        plain, run, folder = opened(options)

        def check() -> None:
            open_export(options.parquet, made_by=made_by(run))

        with opened_stage(plain, run.stages, run.stages.by_name[stage], check=check):
            images = run.stages.images
            classes = None if images is None else len(images.classes)
            import_tokens(options.parquet, folder, made_by=made_by(run), num_classes=classes)
        return Output({"tokens": str(folder)}, folder)

    return {"export-tokens": export_all, "import-tokens": import_all}

"""The command that makes of a run a folder for others: tokenizer, generator, and a card that tells of them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from vistok.workbench.command_line import Run
from vistok.workbench.evaluation.measures import load_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_label
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.pipelines.card import CardFacts, Paper
from vistok.workbench.pipelines.export import export_pipeline
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.reporting.sections import load_environment, sample_picture
from vistok.workbench.run.folder import check_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PipelineOptions(RunOptions):
    """What the command takes."""

    folder: Path
    """The folder to write; it must be new or empty."""
    license: str | None = None
    """Of the weights, for the card, by its name on the hub, such as apache-2.0 or cc-by-sa-4.0."""
    push_to_hub: str | None = None
    """Upload the folder as this model, organisation/name."""


def pipeline_command(
    prepare: Callable[[RunOptions], Run[Any, Any]],
    open_pipeline: Callable[[Run[Any, Any]], Pipeline],
    files: Callable[[Run[Any, Any]], Sequence[Path]],
    paper: Paper,
    *,
    reconstruction: str = "reconstruction",
) -> dict[str, Callable[[PipelineOptions], Output]]:
    """The command ``export-pipeline`` of a recipe, by name.

    Args:
        prepare: As :func:`vistok.workbench.command_line.recipe_commands` takes it.
        open_pipeline: Opens a run's tokenizer and chosen generator.
        files: The files and folders of a run that ``open_pipeline`` reads.
        paper: That the recipe follows.
        reconstruction: The section of an evaluation's measures that holds the tokenizer's.
    """

    def export(options: PipelineOptions) -> Output:
        """Write tokenizer and generator as a folder for others, with a model card (needs train-generator)."""
        run = prepare(options.of_a_run())
        check_folder(run.stages.folder, run.stages.program)
        run.stages.check_done(run.stages.by_name[f"train-generator.{run.choice.generator}"])
        pipeline, paths, label = open_pipeline(run), run.paths, sample_label(run.choice.generator, run.choice.samples)
        evaluation = paths.evaluation(run.choice.evaluation)
        facts = CardFacts(
            program=run.stages.program,
            name=run.config.name,
            generator=run.choice.generator,
            parameters=(_parameters(pipeline.tokenizer), _parameters(pipeline.generator)),
            data=_data(run.config),
            class_names=pipeline.class_names,
            paper=paper,
            versions=load_environment(paths)["versions"],
            licence=options.license,
            measures=load_evaluation(paths, run.choice.evaluation) if evaluation.exists() else None,
            reconstruction=reconstruction,
            label=label,
        )
        drawn = paths.samples(run.choice.generator, run.choice.samples)
        picture = sample_picture(load_samples(drawn), pipeline.class_names).png if drawn.exists() else None
        export_pipeline(paths.folder, files(run), run.config, options.folder, facts, picture=picture)
        logger.info("wrote %s; its README.md is the model card", options.folder)
        if options.push_to_hub:
            api = HfApi()
            api.create_repo(options.push_to_hub, exist_ok=True)
            api.upload_folder(repo_id=options.push_to_hub, folder_path=options.folder)
            logger.info("uploaded as %s", options.push_to_hub)
        return Output({"folder": str(options.folder), "model": options.push_to_hub}, options.folder)

    return {"export-pipeline": export}


def _parameters(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())


def _data(config: Any) -> str:
    train, _ = config.data.load()
    size, name = config.data.image_size, Path(config.data.source).name
    return f"{len(train):,} images of {name} at {size} x {size} pixels, {len(train.class_names)} classes"

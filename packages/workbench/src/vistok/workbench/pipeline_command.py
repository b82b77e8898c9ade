"""The command that makes of a run a folder for others: tokenizer, generator, and a card that tells of them."""

import contextlib
import logging
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from torch import Tensor

from vistok.workbench.command_line import Run
from vistok.workbench.config import ConfigError
from vistok.workbench.evaluation.evaluation_file import load_evaluation
from vistok.workbench.evaluation.sampling import load_samples, sample_label
from vistok.workbench.options import RunOptions
from vistok.workbench.output import Output
from vistok.workbench.pipelines.card import CardFacts, Paper
from vistok.workbench.pipelines.export import export_pipeline
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.program import one_line
from vistok.workbench.reporting.sections import load_environment, sample_picture
from vistok.workbench.run.folder import check_folder
from vistok.workbench.run.stages import Stage, Stages

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
) -> dict[str, Callable[[PipelineOptions], Output]]:
    """The command ``export-pipeline`` of a recipe, by name.

    Args:
        prepare: As :func:`vistok.workbench.command_line.recipe_commands` takes it.
        open_pipeline: Opens a run's tokenizer and chosen generator.
        files: The files and folders of a run that ``open_pipeline`` reads.
        paper: That the recipe follows.

    The recipe has the stages ``train-generator``, ``sample`` and ``evaluate``; the card shows what the last two wrote
    with the settings of the export, and a line says what is left out of it.
    """

    def export(options: PipelineOptions) -> Output:
        """Write tokenizer and generator as a folder for others, with a model card (needs train-generator)."""
        run = prepare(options.of_a_run())
        check_folder(run.stages.folder, run.stages.program)
        run.stages.check_done(run.stages.by_name[f"train-generator.{run.choice.generator}"])
        pipeline, paths, label = open_pipeline(run), run.paths, sample_label(run.choice.generator, run.choice.samples)
        measures, samples = _current(run, label)
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
            measures=measures,
            label=label,
        )
        picture = None if samples is None else sample_picture(samples, pipeline.class_names).png
        model = options.push_to_hub
        if model:  # before anything is written: the same command can be given again
            with _hub_is_told(f"{model} cannot be written to, and nothing was made"):
                HfApi().create_repo(model, exist_ok=True)
        export_pipeline(paths.folder, files(run), run.config, options.folder, facts, picture=picture)
        logger.info("wrote %s; its README.md is the model card", options.folder)
        if model:
            command = shlex.join(["hf", "upload", model, str(options.folder)])
            with _hub_is_told(f"{options.folder} is whole and was not uploaded, {command} does it"):
                HfApi().upload_folder(repo_id=model, folder_path=options.folder)
            logger.info("uploaded as %s", model)
        return Output({"folder": str(options.folder), "model": model}, options.folder)

    return {"export-pipeline": export}


@contextlib.contextmanager
def _hub_is_told(text: str) -> Iterator[None]:
    """What it comes to where the hub fails, in one line with the reason."""
    try:
        yield
    except Exception as error:  # the client's own errors, and those of whatever it uploads with
        raise ConfigError(f"push_to_hub: {text} ({one_line(error)})") from error


def _current(run: Run[Any, Any], label: str) -> tuple[dict[str, Any] | None, dict[str, Tensor] | None]:
    """Measures and samples that the settings of now give, as far as there are any."""
    listed, choice = run.stages.by_name, run.choice
    drawing, measuring = listed[f"sample.{choice.generator}.{choice.samples}"], listed[f"evaluate.{choice.evaluation}"]
    samples = load_samples(drawing.outputs[0]) if _is_current(run.stages, drawing) else None
    if not _is_current(run.stages, measuring, *(listed[name] for name in measuring.needs)):
        return None, samples
    measures = load_evaluation(run.paths, choice.evaluation)
    if samples is None:
        measures.pop(f"samples {label}", None)
    return measures, samples


def _is_current(stages: Stages, stage: Stage, *needs: Stage) -> bool:
    """Whether what a stage wrote is there and of these settings, those of what it needs too; a line says if not so."""
    stale = next((each for each in (stage, *needs) if not stages.is_done(each)), None)
    if stale is not None and stage.outputs[0].exists():
        told = "%s: not what the run gives with these settings, and left out of the card; run %s"
        logger.warning(told, stage.outputs[0], stages.command(stale))
    return stale is None


def _parameters(network: Any) -> int:
    return sum(p.numel() for p in network.parameters())


def _data(config: Any) -> str:
    train, _ = config.data.load()
    size, name = config.data.image_size, Path(config.data.source).name
    return f"{len(train):,} images of {name} at {size} x {size} pixels, {len(train.class_names)} classes"

"""A run's tokenizer and one of its generators as one call: ``load_pipeline("runs/demo")(["7"])``."""

from pathlib import Path

import torch
from torch import Tensor

from vistok.workbench.pipelines.card import Paper
from vistok.workbench.pipelines.graphs import ExportableTokenizer
from vistok.workbench.pipelines.pipeline import Pipeline, pipeline_folder
from vistok.workbench.recipe_config import choose_entries
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.folder import CONFIG
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.tokens.latent_scale import LatentScale
from vistok.workbench.training.generator_training import generator_classes
from vqgan.config import VQGANConfig, load
from vqgan.encode import CODES
from vqgan.generator import generate, load_generator
from vqgan.model import VQGAN

PAPER = Paper(
    "esser2021taming",
    "Taming Transformers for High-Resolution Image Synthesis",
    "Esser, Patrick and Rombach, Robin and Ommer, Björn",
    "2012.09841",
)


def load_pipeline(
    source: str | Path, *, generator: str | None = None, samples: str | None = None, revision: str | None = None
) -> Pipeline:
    """Open a run or an exported pipeline, from a folder or from the hub, on the best device.

    Args:
        source: The folder, or ``organisation/name``.
        generator: Which generator of the configuration; the first by default.
        samples: Which of its sample sets says how it draws; the first by default.
        revision: Of the hub.

    Raises:
        FileNotFoundError: There is no such folder, or the run has no trained generator of that name.
        ConfigError: The folder is of something else, or names something that its configuration has not.
    """
    paths = RunPaths(pipeline_folder(source, "vqgan", revision=revision))
    config = load(str(paths.folder / CONFIG))
    chosen = choose_entries(config, generator, samples, None)
    return open_pipeline(config, paths, chosen.generator, chosen.samples)


def open_pipeline(config: VQGANConfig, paths: RunPaths, generator: str, samples: str) -> Pipeline:
    """The same of a run that is known: its sample set says how the generator draws."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval().to(best_device())
    model = load_generator(config, paths, generator).to(best_device())
    scale, settings = LatentScale.load(paths.tokens / CODES), config.generators[generator].samples[samples]

    def draw(labels: Tensor, draws: torch.Generator) -> Tensor:
        return generate(model, tokenizer, scale, labels.to(tokenizer.device), settings, draws)

    return Pipeline(tokenizer, model, settings, generator_classes(paths, generator), draw)


def pipeline_files(paths: RunPaths, generator: str) -> list[Path]:
    """What :func:`open_pipeline` reads of a run."""
    weights = paths.generator(generator)
    return [paths.tokenizer, paths.tokens / CODES, weights, weights.with_suffix(".json")]


def exportable_tokenizer(paths: RunPaths) -> ExportableTokenizer:
    """The run's tokenizer, to be written as graphs."""
    tokenizer = VQGAN.from_pretrained(paths.tokenizer).eval()
    sizes, books = tokenizer.settings, tokenizer.codebook_sizes
    names = ["tokens"] if len(books) == 1 else [f"tokens_{stream}" for stream in range(len(books))]
    return ExportableTokenizer(
        tokenizer,
        (sizes.image_channels, sizes.image_size, sizes.image_size),
        dict(zip(names, books, strict=True)),
        tokenizer.encode,
        lambda *tokens: tokenizer.decode(tokens),
    )

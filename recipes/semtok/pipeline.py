"""A run's tokenizer and one of its generators as one call: ``load_pipeline("runs/demo")(["7"])``."""

from pathlib import Path

import torch
from torch import Tensor, nn

from semtok.config import SemTokConfig, load
from semtok.generator import generate, load_generator, token_groups
from semtok.model import LatentSpace, SemTok
from semtok.paths import RunPaths
from semtok.space import AutoencoderSpace, open_space
from semtok.stages import choose_entries
from semtok.trained import trained_tokenizer
from vistok.workbench.config import ConfigError
from vistok.workbench.pipelines.card import Paper
from vistok.workbench.pipelines.graphs import ExportableTokenizer
from vistok.workbench.pipelines.pipeline import Pipeline, pipeline_folder
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.folder import CONFIG
from vistok.workbench.training.generator_training import generator_classes

PAPER = Paper(
    "semtok2026",
    "Semantic One-Dimensional Tokenizer for Image Reconstruction and Generation",
    "Qu, Yunpeng and Zhang, Kaidong and Ding, Yukang and Chen, Ying and Wang, Jian",
    "2603.16373",
)


def load_pipeline(
    source: str | Path,
    *,
    generator: str | None = None,
    samples: str | None = None,
    revision: str | None = None,
    space: LatentSpace | None = None,
) -> Pipeline:
    """Open a run or an exported pipeline, from a folder or from the hub, on the best device.

    Args:
        source: The folder, or ``organisation/name``.
        generator: Which generator of the configuration; the first by default.
        samples: Which of its sample sets says how it draws; the first by default.
        revision: Of the hub.
        space: The latent space of a run that works in one; by default that of its configuration.

    Raises:
        FileNotFoundError: There is no such folder, or the run has no trained generator of that name.
        ConfigError: The folder is of something else, or names something that its configuration has not.
    """
    paths = RunPaths(pipeline_folder(source, "semtok", revision=revision))
    config = load(str(paths.folder / CONFIG))
    chosen = choose_entries(config, generator, samples, None)
    return open_pipeline(config, paths, chosen.generator, chosen.samples, space or open_space(config))


def open_pipeline(
    config: SemTokConfig, paths: RunPaths, generator: str, samples: str, space: LatentSpace | None = None
) -> Pipeline:
    """The same of a run that is known: its sample set says how the generator draws."""
    tokenizer = trained_tokenizer(config, paths, space)
    model = load_generator(config, paths, generator).to(best_device())
    settings, groups = config.generators[generator].samples[samples], token_groups(config, generator)

    def draw(labels: Tensor, draws: torch.Generator) -> Tensor:
        tokens = generate(model, labels.to(tokenizer.device), groups, settings, draws)
        return tokenizer.decode(tokens, generator=draws)

    return Pipeline(tokenizer, model, settings, generator_classes(paths, generator), draw)


def pipeline_files(paths: RunPaths, generator: str) -> list[Path]:
    """What :func:`open_pipeline` reads of a run."""
    weights = paths.generator(generator)
    return [paths.last_tokenizer, weights, weights.with_suffix(".json")]


def exportable_tokenizer(
    paths: RunPaths, space: LatentSpace | None = None, *, num_steps: int | None = None
) -> ExportableTokenizer:
    """The run's tokenizer with its refiner, to be written as graphs.

    Args:
        paths: The run's.
        space: The latent space that it works in.
        num_steps: Of a refiner that takes a few; by default those that it was saved with.

    Raises:
        ConfigError: There is no refiner, or it starts from a sample, which is drawn in many steps; or it works in the
            latents of an autoencoder of diffusers, whose decoder asks how many images a batch has.
    """
    if isinstance(space, AutoencoderSpace):
        raise ConfigError("space: expected pixels, as a graph of diffusers' decoder takes no batch of any size")
    tokenizer = SemTok.from_pretrained(paths.last_tokenizer, space=space).eval()
    refiner, sizes = tokenizer.refiner, tokenizer.settings
    if refiner is None:
        raise ConfigError(f"{paths.folder}: expected a tokenizer with a refiner, which train-refiner makes, got none")
    if refiner.kind == "sample":
        raise ConfigError("refiner.input: expected constant or noise, which decode in few steps, got sample")
    refiner.num_steps = num_steps or refiner.num_steps
    shape = (sizes.channels, sizes.working_size, sizes.working_size)

    def decode(tokens: Tensor, start: Tensor | None = refiner.constant) -> Tensor:
        return tokenizer.from_space(refiner(start, tokenizer.codes(tokens))).clamp(-1, 1)

    modules = [part for part in (tokenizer, space) if isinstance(part, nn.Module)]
    return ExportableTokenizer(
        tokenizer if len(modules) == 1 else nn.ModuleList(modules),
        (sizes.image_channels, sizes.image_size, sizes.image_size),
        {"tokens": tokenizer.codebook_sizes[0]},
        lambda images: (tokenizer.encode(images),),
        decode,
        shape if refiner.constant is None else None,
    )

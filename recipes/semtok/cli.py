"""The command ``semtok``: each stage of a run, and the demo that runs them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from semtok.auto import BASE, auto_values
from semtok.config import SemTokConfig, load
from semtok.networks import check_networks
from semtok.paths import RunPaths
from semtok.stages import choose_entries, stages
from vistok.workbench.command_line import AUTO, opened_stage, run_command_line, run_stages
from vistok.workbench.command_line import RunOptions as Options
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.stages import Stages


class Run(NamedTuple):
    """What a command works with."""

    config: SemTokConfig
    paths: RunPaths
    choice: Choice
    stages: Stages


def resolve(options: Options) -> SemTokConfig:
    """The configuration that the options ask for."""
    name, values = options.config_or_default(), options.overrides()
    if name == AUTO:
        images, size = options.describe_images()
        name, values = BASE, auto_values(images, size) | values
    return load(name, options.set, values=values)


def prepare(options: Options) -> Run:
    """Resolve the configuration, and check that its networks fit; nothing is written."""
    config = resolve(options)
    check_networks(config)
    choice = choose_entries(config, options.generator, options.samples, options.evaluation)
    paths = RunPaths(options.runs / config.name)
    listed = stages(config, paths, choice)
    return Run(config, paths, choice, Stages("semtok", options.hint(), paths.folder, config, listed))


@contextmanager
def opened(options: Options, command: str) -> Iterator[Run]:
    """Open the images and the run's folder for a command."""
    run = prepare(options)
    run.config.data.load()
    stage = next(stage for stage in run.stages.by_name.values() if stage.command == command)
    trainings = {
        "train-tokenizer": run.config.train,
        "train-refiner": run.config.train_refiner,
        "train-generator": run.config.generators[run.choice.generator].train,
    }
    with opened_stage(options, run.stages, stage, trainings.get(command)):
        yield run


def train_tokenizer(options: Options) -> None:
    """Stage I: train encoder, quantizer and diffusion decoder.

    Several processes: torchrun --nproc_per_node 2 -m semtok train-tokenizer ...
    """
    from semtok.train_tokenizer import train_tokenizer

    with opened(options, "train-tokenizer") as run:
        train_tokenizer(run.config, run.paths, resume=options.resume)


def train_refiner(options: Options) -> None:
    """Stage II: train the one-step refiner (needs the tokenizer).

    Several processes: torchrun --nproc_per_node 2 -m semtok train-refiner ...
    """
    from semtok.train_refiner import train_refiner

    with opened(options, "train-refiner") as run:
        train_refiner(run.config, run.paths, resume=options.resume)


def encode(options: Options) -> None:
    """Cache the training images' tokens (needs the tokenizer)."""
    from semtok.encode import encode_data_set

    with opened(options, "encode") as run:
        encode_data_set(run.config, run.paths)


def train_generator(options: Options) -> None:
    """Train a generator on the cached tokens.

    Several processes: torchrun --nproc_per_node 2 -m semtok train-generator ...
    """
    from semtok.train_generator import train_generator

    with opened(options, "train-generator") as run:
        train_generator(run.config, run.paths, run.choice.generator, resume=options.resume)


def sample(options: Options) -> None:
    """Generate images (needs refiner and generator)."""
    from semtok.sample import sample_images

    with opened(options, "sample") as run:
        sample_images(run.config, run.paths, run.choice.generator, run.choice.samples)


def reconstruct(options: Options) -> None:
    """Reconstruct the validation images with both stages, from several noises and from parts of their tokens."""
    from semtok.reconstruct import reconstruct_validation

    with opened(options, "reconstruct") as run:
        reconstruct_validation(run.config, run.paths)


def evaluate(options: Options) -> None:
    """Measure reconstructions, tokens, and all samples that there are."""
    from semtok.evaluate import evaluate_run

    with opened(options, "evaluate") as run:
        evaluate_run(run.config, run.paths, run.choice.evaluation)


def report(options: Options) -> None:
    """Write the run's page: pictures, curves, figures."""
    from semtok.report import write_report

    with opened(options, "report") as run:
        write_report(run.config, run.paths, run.choice.evaluation)


STAGES: dict[str, Callable[[Options], None]] = {
    "train-tokenizer": train_tokenizer,
    "train-refiner": train_refiner,
    "encode": encode,
    "train-generator": train_generator,
    "sample": sample,
    "reconstruct": reconstruct,
    "evaluate": evaluate,
    "report": report,
}


def demo(options: Options) -> None:
    """Run every stage on the embedded digits (or --data): tokenizer to report, in one command."""
    run = prepare(options)
    run.config.data.load()
    run_stages(options, run.stages, STAGES)


COMMANDS = {"demo": demo, **STAGES}


def main() -> None:
    """Entry point."""
    run_command_line("semtok", "Train, run and measure the SemTok image tokenizer and its generators.", COMMANDS)

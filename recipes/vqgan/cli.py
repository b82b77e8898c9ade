"""The command ``vqgan``: each stage of a run, and the demo that runs them all."""

from collections.abc import Callable
from typing import Any

from vistok.workbench.command_line import Command, Run, recipe_commands
from vistok.workbench.compare_command import compare_command
from vistok.workbench.cost_command import cost_command
from vistok.workbench.graph_command import graph_command
from vistok.workbench.inspect_command import inspect_command
from vistok.workbench.options import AUTO
from vistok.workbench.options import RunOptions as Options
from vistok.workbench.output import Output
from vistok.workbench.pipeline_command import pipeline_command
from vistok.workbench.program import run_command_line
from vistok.workbench.recipe_config import choose_entries
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.stages import Stages
from vistok.workbench.runs_command import runs_command
from vistok.workbench.token_commands import token_commands
from vistok.workbench.tokens.encoding import tokenizer_checksum
from vqgan.auto import BASE, auto_values
from vqgan.config import VQGANConfig, load
from vqgan.cost import token_streams, trainings
from vqgan.encode import encode_data_set
from vqgan.evaluate import evaluate_run
from vqgan.inspection import gather, run_editor
from vqgan.networks import check_networks
from vqgan.pipeline import PAPER, exportable_tokenizer, open_pipeline, pipeline_files
from vqgan.reconstruct import reconstruct_validation
from vqgan.report import write_report
from vqgan.sample import sample_images
from vqgan.stages import SECONDS, stages
from vqgan.train_generator import train_generator
from vqgan.train_tokenizer import train_tokenizer

#: The keys of the configuration that each option sets.
OPTION_KEYS = {
    "name": ["name"],
    "seed": ["seed"],
    "data": ["data.source"],
    "image_size": ["data.image_size", "tokenizer.image_size"],
    "image_channels": ["tokenizer.image_channels"],
}


def resolve(options: Options) -> VQGANConfig:
    """The configuration that the options ask for."""
    name, values = options.config_or_default("digits"), options.overrides(OPTION_KEYS)
    if name == AUTO:
        images, size = options.describe_images()
        name, values = BASE, auto_values(images, size) | values
    return load(name, options.set, values=values)


def prepare(options: Options) -> Run[VQGANConfig, RunPaths]:
    """Resolve the configuration, check that its networks fit, open and list its images; nothing is written."""
    config = resolve(options)
    check_networks(config)
    choice = choose_entries(config, options.generator, options.samples, options.evaluation)
    images = config.data.inventory()
    config.data.check_channels(config.tokenizer.image_channels)
    paths = RunPaths(options.runs / config.name)
    listed = Stages("vqgan", options.hint(), paths.folder, config, stages(config, paths, choice), images)
    return Run(config, paths, choice, listed, options.resume)


STAGES: list[Command[Run[VQGANConfig, RunPaths]]] = [
    Command(
        "train-tokenizer",
        "Train the tokenizer.\n\nSeveral processes: torchrun --nproc_per_node 2 -m vqgan train-tokenizer ...",
        lambda run: train_tokenizer(run.config, run.paths, resume=run.resume),
        training=lambda run: run.config.train,
    ),
    Command(
        "encode",
        "Cache the training images' tokens (needs the tokenizer).\n\n"
        "Several processes: torchrun --nproc_per_node 2 -m vqgan encode ...",
        lambda run: encode_data_set(run.config, run.paths, resume=run.resume),
        divides=True,
    ),
    Command(
        "train-generator",
        "Train a generator on the cached tokens.\n\n"
        "Several processes: torchrun --nproc_per_node 2 -m vqgan train-generator ...",
        lambda run: train_generator(run.config, run.paths, run.choice.generator, resume=run.resume),
        training=lambda run: run.config.generators[run.choice.generator].train,
    ),
    Command(
        "sample",
        "Generate images (needs tokenizer and generator).",
        lambda run: sample_images(run.config, run.paths, run.choice.generator, run.choice.samples),
        divides=True,
    ),
    Command(
        "reconstruct",
        "Reconstruct the validation images.",
        lambda run: reconstruct_validation(run.config, run.paths),
        divides=True,
    ),
    Command(
        "evaluate",
        "Measure reconstructions, and all samples that there are.",
        lambda run: evaluate_run(run.config, run.paths, run.choice.evaluation),
        divides=True,
    ),
    Command(
        "report",
        "Write the run's page: pictures, curves, numbers.",
        lambda run: write_report(run.config, run.paths, run.choice.evaluation),
    ),
]

COMMANDS: dict[str, Callable[[Any], Output]] = {
    **recipe_commands(
        prepare,
        STAGES,
        demo="Run every stage on the embedded digits (or --data): tokenizer to report, in one command.",
        options_type=Options,
        seconds=SECONDS,
    ),
    **token_commands(prepare, stage="encode", made_by=lambda run: tokenizer_checksum(run.paths.tokenizer)),
    **pipeline_command(
        prepare,
        lambda run: open_pipeline(run.config, run.paths, run.choice.generator, run.choice.samples),
        lambda run: pipeline_files(run.paths, run.choice.generator),
        PAPER,
    ),
    **graph_command(prepare, lambda run: exportable_tokenizer(run.paths), stage="train-tokenizer"),
    **inspect_command(
        prepare,
        lambda run: gather(run.config, run.paths, run.choice),
        lambda run: run_editor(run.config, run.paths),
        lambda run: write_report(run.config, run.paths, run.choice.evaluation),
    ),
    **runs_command(),
    **compare_command(),
    **cost_command(load, trainings, token_streams),
}


def main() -> None:
    """Entry point."""
    run_command_line(
        "vqgan",
        "Train, run and measure an image tokenizer with one codebook, of any quantizer, and its generators.",
        COMMANDS,
    )

"""The command ``semtok``: each stage of a run, and the demo that runs them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from semtok.config import Kind, SemTokConfig, check_kind, load
from semtok.paths import RunPaths
from vistok.workbench import command_line
from vistok.workbench.command_line import RunOptions, run_command_line, run_stages


@dataclass(frozen=True)
class Options(RunOptions):
    """What every command takes."""

    config: str = "digits"
    """A shipped configuration (digits, emoji64, imagenet256, imagenet256_xxl) or the path of a YAML file."""
    generator: Kind = "masked"
    """Which generator train-generator trains and sample draws from; the report shows all that have samples."""


def resolve(options: Options) -> SemTokConfig:
    """The configuration that the options ask for."""
    return load(options.config, options.set, values=options.overrides())


def open_stage(
    options: Options, *needs: str, checkpoints: Callable[[RunPaths], Path] | None = None, resume: bool = True
) -> tuple[SemTokConfig, RunPaths]:
    """Resolve the configuration and open the run; ``needs`` are the stages that must have run before."""
    config = resolve(options)
    check_kind(config, options.generator)
    paths = RunPaths(options.runs / config.name)
    command_line.open_stage(
        "semtok", options, config, paths.folder,
        needs={stage: STAGES[stage][1](paths, options.generator) for stage in needs},
        checkpoints=checkpoints(paths) if checkpoints else None, resume=resume,
    )  # fmt: skip
    return config, paths


def train_tokenizer(options: Options) -> None:
    """Stage I: train encoder, quantizer and diffusion decoder.

    Several processes: torchrun --nproc_per_node 2 -m semtok train-tokenizer ...
    """
    from semtok.train_tokenizer import train_tokenizer

    config, paths = open_stage(options, checkpoints=lambda paths: paths.tokenizer_checkpoints)
    train_tokenizer(config, paths, resume=options.resume)


def train_refiner(options: Options) -> None:
    """Stage II: train the one-step refiner (needs the tokenizer)."""
    from semtok.train_refiner import train_refiner

    config, paths = open_stage(options, "train-tokenizer", checkpoints=lambda paths: paths.refiner_checkpoints)
    train_refiner(config, paths, resume=options.resume)


def encode(options: Options) -> None:
    """Cache the training images' tokens (needs the tokenizer)."""
    from semtok.encode import encode_data_set

    encode_data_set(*open_stage(options, "train-tokenizer"))


def train_generator(options: Options) -> None:
    """Train the generator on the cached tokens."""
    from semtok.train_generator import train_generator

    kind = options.generator
    config, paths = open_stage(options, "encode", checkpoints=lambda paths: paths.generator_checkpoints(kind))
    train_generator(config, paths, kind, resume=options.resume)


def sample(options: Options) -> None:
    """Generate images (needs refiner and generator)."""
    from semtok.sample import sample_images

    sample_images(*open_stage(options, "train-refiner", "encode", "train-generator"), options.generator)


def reconstruct(options: Options) -> None:
    """Reconstruct the validation images with both stages, from several noises and from parts of their tokens."""
    from semtok.reconstruct import reconstruct_validation

    reconstruct_validation(*open_stage(options, "train-refiner"))


def evaluate(options: Options) -> None:
    """Measure reconstructions, tokens and samples."""
    from semtok.evaluate import evaluate_run

    evaluate_run(*open_stage(options, "reconstruct"))


def report(options: Options) -> None:
    """Write the run's page: pictures, curves, figures."""
    from semtok.report import write_report

    write_report(*open_stage(options, "reconstruct", "evaluate"))


#: Each stage in order: its command, and the file whose presence says that it is done.
STAGES: dict[str, tuple[Callable[[Options], None], Callable[[RunPaths, Kind], Path]]] = {
    "train-tokenizer": (train_tokenizer, lambda paths, _: paths.tokenizer / "model.safetensors"),
    "train-refiner": (train_refiner, lambda paths, _: paths.refined / "model.safetensors"),
    "encode": (encode, lambda paths, _: paths.tokens),
    "train-generator": (train_generator, lambda paths, kind: paths.generator(kind)),
    "sample": (sample, lambda paths, kind: paths.samples(kind)),
    "reconstruct": (reconstruct, lambda paths, _: paths.reconstructions),
    "evaluate": (evaluate, lambda paths, _: paths.evaluation),
    "report": (report, lambda paths, _: paths.report),
}


def demo(options: Options) -> None:
    """Run every stage on the embedded digits (or --data): tokenizer to report, in one command."""
    finished = not options.fresh and RunPaths(options.runs / resolve(options).name).report.exists()
    _, paths = open_stage(options, resume=options.resume or finished)
    stages = {name: (command, output(paths, options.generator)) for name, (command, output) in STAGES.items()}
    run_stages(options, stages)


COMMANDS = {"demo": demo, **{name: command for name, (command, _) in STAGES.items()}}


def main() -> None:
    """Entry point."""
    run_command_line("semtok", "Train, run and measure the SemTok image tokenizer and its generators.", COMMANDS)

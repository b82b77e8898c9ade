"""The command ``glotok``: each stage of a run, and the demo that runs them all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glotok.config import GloTokConfig, Kind, load
from glotok.paths import RunPaths
from vistok.workbench import command_line
from vistok.workbench.command_line import RunOptions, run_command_line, run_stages


@dataclass(frozen=True)
class Options(RunOptions):
    """What every command takes."""

    config: str = "digits"
    """A shipped configuration (digits, emoji64, imagenet256_16k, imagenet256_2x) or the path of a YAML file."""
    generator: Kind = "xar"
    """Which generator train-generator trains and sample draws from; the report shows all that have samples."""


def resolve(options: Options) -> GloTokConfig:
    """The configuration that the options ask for."""
    return load(options.config, options.set, values=options.overrides())


def open_stage(
    options: Options, *needs: str, checkpoints: Callable[[RunPaths], Path] | None = None, resume: bool = True
) -> tuple[GloTokConfig, RunPaths]:
    """Resolve the configuration and open the run; ``needs`` are the stages that must have run before."""
    config = resolve(options)
    paths = RunPaths(options.runs / config.name)
    command_line.open_stage(
        "glotok", options, config, paths.folder,
        needs={stage: STAGES[stage][1](paths, options.generator) for stage in needs},
        checkpoints=checkpoints(paths) if checkpoints else None, resume=resume,
    )  # fmt: skip
    return config, paths


def teacher(options: Options) -> None:
    """Make the teacher: pretrained features, clustered, and the histogram of their similarities."""
    from glotok.teacher import make_teacher

    make_teacher(*open_stage(options))


def train_tokenizer(options: Options) -> None:
    """Train the tokenizer (needs the teacher).

    Several processes: torchrun --nproc_per_node 2 -m glotok train-tokenizer ...
    """
    from glotok.train_tokenizer import train_tokenizer

    config, paths = open_stage(options, "teacher", checkpoints=lambda paths: paths.tokenizer_checkpoints)
    train_tokenizer(config, paths, resume=options.resume)


def encode(options: Options) -> None:
    """Cache the training images' tokens (needs the tokenizer)."""
    from glotok.encode import encode_data_set

    encode_data_set(*open_stage(options, "train-tokenizer"))


def train_generator(options: Options) -> None:
    """Train the generator on the cached tokens."""
    from glotok.train_generator import train_generator

    kind = options.generator
    config, paths = open_stage(options, "encode", checkpoints=lambda paths: paths.generator_checkpoints(kind))
    train_generator(config, paths, kind, resume=options.resume)


def sample(options: Options) -> None:
    """Generate images (needs tokenizer and generator)."""
    from glotok.sample import sample_images

    sample_images(*open_stage(options, "train-tokenizer", "encode", "train-generator"), options.generator)


def reconstruct(options: Options) -> None:
    """Reconstruct the validation images, whole and from parts of their features."""
    from glotok.reconstruct import reconstruct_validation

    reconstruct_validation(*open_stage(options, "train-tokenizer"))


def evaluate(options: Options) -> None:
    """Measure reconstructions and samples."""
    from glotok.evaluate import evaluate_run

    evaluate_run(*open_stage(options, "teacher", "train-tokenizer", "reconstruct"))


def report(options: Options) -> None:
    """Write the run's page: pictures, curves, figures."""
    from glotok.report import write_report

    write_report(*open_stage(options, "reconstruct", "evaluate"))


#: Each stage in order: its command, and the file whose presence says that it is done.
STAGES: dict[str, tuple[Callable[[Options], None], Callable[[RunPaths, Kind], Path]]] = {
    "teacher": (teacher, lambda paths, _: paths.teacher),
    "train-tokenizer": (train_tokenizer, lambda paths, _: paths.tokenizer / "model.safetensors"),
    "encode": (encode, lambda paths, _: paths.tokens),
    "train-generator": (train_generator, lambda paths, kind: paths.generator(kind)),
    "sample": (sample, lambda paths, kind: paths.samples(kind)),
    "reconstruct": (reconstruct, lambda paths, _: paths.reconstructions),
    "evaluate": (evaluate, lambda paths, _: paths.evaluation),
    "report": (report, lambda paths, _: paths.report),
}


def demo(options: Options) -> None:
    """Run every stage on the embedded digits (or --data): teacher to report, in one command."""
    finished = not options.fresh and RunPaths(options.runs / resolve(options).name).report.exists()
    _, paths = open_stage(options, resume=options.resume or finished)
    stages = {name: (command, output(paths, options.generator)) for name, (command, output) in STAGES.items()}
    run_stages(options, stages)


COMMANDS = {"demo": demo, **{name: command for name, (command, _) in STAGES.items()}}


def main() -> None:
    """Entry point."""
    run_command_line("glotok", "Train, run and measure the GloTok image tokenizer and its generators.", COMMANDS)

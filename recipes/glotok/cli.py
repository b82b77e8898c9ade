"""The command ``glotok``: each stage of a run, and the demo that runs them all."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import tyro

from glotok.config import GloTokConfig, Kind, load
from glotok.paths import RunPaths
from vistok.workbench.checkpoint import CheckpointError, list_checkpoints
from vistok.workbench.config import ConfigError
from vistok.workbench.finite import NonFiniteLossError
from vistok.workbench.run import open_run
from vistok.workbench.training import Interrupted

logger = logging.getLogger("glotok")


@dataclass(frozen=True)
class Options:
    """What every command takes."""

    config: str = "digits"
    """A shipped configuration (digits, emoji64, imagenet256_16k, imagenet256_2x) or the path of a YAML file."""
    name: str | None = None
    """The run: everything lands in RUNS/NAME. By default the configuration's own name."""
    runs: Path = Path("runs")
    """The folder of all runs."""
    data: str | None = None
    """An image folder, a Parquet file or folder, or the id of a hub data set, in place of the configuration's."""
    image_size: int | None = None
    """Resize and crop the images to this side."""
    seed: int | None = None
    """The seed that everything random follows from."""
    set: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Override any setting, as in --set train.steps=100; may be repeated."""
    generator: Kind = "xar"
    """Which generator train-generator trains and sample draws from; the report shows all that have samples."""
    resume: bool = False
    """Continue the run: finished stages stay, an interrupted one goes on from its newest checkpoint."""
    fresh: bool = False
    """Remove the run's folder first."""


def resolve(options: Options) -> GloTokConfig:
    """The configuration that the options ask for."""
    named = {"name": options.name, "seed": options.seed, "data.source": options.data}
    overrides = [f"{key}={value}" for key, value in named.items() if value is not None]
    if options.data not in (None, "digits"):
        overrides.append("tokenizer.image_channels=3")
    if options.image_size is not None:
        overrides += [f"data.image_size={options.image_size}", f"tokenizer.image_size={options.image_size}"]
    return load(options.config, (*overrides, *options.set))


def open_stage(
    options: Options, *needs: str, checkpoints: Callable[[RunPaths], Path] | None = None, resume: bool = True
) -> tuple[GloTokConfig, RunPaths]:
    """Resolve the configuration and open the run's folder; a launched process that is not the first only reads it.

    Args:
        options: The command's options.
        needs: Stages that must have run before, as named in ``OUTPUTS``.
        checkpoints: Where this stage's checkpoints are; only with ``--resume`` may there be any.
        resume: Whether the run's folder may exist.
    """
    config = resolve(options)
    first = int(os.environ.get("RANK", "0")) == 0
    if first:
        open_run(options.runs, config.name, config, resume=resume, fresh=options.fresh)
    paths = RunPaths(options.runs / config.name)
    for stage in needs:
        output = OUTPUTS[stage](paths, options.generator)
        if not output.exists():
            raise ConfigError(f"{paths.folder}: {output.name} is missing; run glotok {stage} first")
    if first and checkpoints and not options.resume and list_checkpoints(checkpoints(paths)):
        raise ConfigError(f"{checkpoints(paths)}: holds checkpoints; --resume continues from the newest one")
    return config, paths


OUTPUTS: dict[str, Callable[[RunPaths, Kind], Path]] = {
    "teacher": lambda paths, _: paths.teacher,
    "train-tokenizer": lambda paths, _: paths.tokenizer / "model.safetensors",
    "encode": lambda paths, _: paths.tokens,
    "train-generator": lambda paths, kind: paths.generator(kind),
    "sample": lambda paths, kind: paths.samples(kind),
    "reconstruct": lambda paths, _: paths.reconstructions,
    "evaluate": lambda paths, _: paths.evaluation,
    "report": lambda paths, _: paths.report,
}


def teacher(options: Options) -> None:
    """Make the teacher: pretrained features, clustered, and the histogram of their similarities."""
    from glotok.teacher import make_teacher

    make_teacher(*open_stage(options))


def train_tokenizer(options: Options) -> None:
    """Train the tokenizer (needs the teacher).

    Several processes: accelerate launch --cpu --num_processes 2 -m glotok train-tokenizer ...
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


def demo(options: Options) -> None:
    """Run every stage on the embedded digits (or --data): teacher to report, in one command."""
    _, paths = open_stage(options, resume=options.resume or _is_finished(options))
    if paths.report.exists():
        logger.info("finished earlier; the report is %s (--fresh runs everything again)", paths.report)
        return
    begin = time.monotonic()
    within = replace(options, fresh=False)
    for index, (stage, output) in enumerate(OUTPUTS.items(), 1):
        if output(paths, options.generator).exists():
            logger.info("[%d/%d] %s: done earlier", index, len(OUTPUTS), stage)
            continue
        logger.info("[%d/%d] %s", index, len(OUTPUTS), stage)
        COMMANDS[stage](within)
    logger.info("done in %.1f minutes; open %s", (time.monotonic() - begin) / 60, paths.report)


def _is_finished(options: Options) -> bool:
    return not options.fresh and RunPaths(options.runs / resolve(options).name).report.exists()


COMMANDS = {
    command.__name__.replace("_", "-"): command
    for command in (demo, teacher, train_tokenizer, encode, train_generator, sample, reconstruct, evaluate, report)
}


def main() -> None:
    """Entry point. User errors end with one line and exit code 2, an interrupted run with 130."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for noisy in ("httpx", "datasets", "timm", "huggingface_hub", "matplotlib"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("high")
    try:
        tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="glotok",
            description="Train, run and measure the GloTok image tokenizer and its generators.",
            config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        )
    except (ConfigError, CheckpointError, NonFiniteLossError, FileNotFoundError, ValueError) as error:
        logger.error("glotok: %s", error)
        sys.exit(2)
    except Interrupted as error:
        logger.error("glotok: %s", error)
        sys.exit(130)
    except KeyboardInterrupt:
        logger.error("glotok: interrupted; --resume continues from the newest checkpoint")
        sys.exit(130)

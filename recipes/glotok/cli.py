"""The command ``glotok``: each stage of a run, and the demo that runs them all."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

# ruff: noqa: E402 - the environment must be set before the libraries are read
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch
import tyro

from glotok.config import GloTokConfig, load
from glotok.paths import RunPaths
from vistok.workbench.checkpoint import CheckpointError
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
    resume: bool = False
    """Continue the run: finished stages stay, an interrupted one goes on from its newest checkpoint."""
    fresh: bool = False
    """Remove the run's folder first."""


def resolve(options: Options) -> GloTokConfig:
    """The configuration that the options ask for."""
    overrides = list(options.set)
    named = {"name": options.name, "seed": options.seed, "data.source": options.data}
    overrides += [f"{key}={value}" for key, value in named.items() if value is not None]
    if options.data not in (None, "digits"):
        overrides.append("tokenizer.image_channels=3")
    if options.image_size is not None:
        overrides += [f"data.image_size={options.image_size}", f"tokenizer.image_size={options.image_size}"]
    return load(options.config, tuple(overrides))


def open_stage(options: Options, *, resume: bool = True) -> tuple[GloTokConfig, RunPaths]:
    """Resolve the configuration and open the run's folder; a launched process that is not the first only reads it."""
    config = resolve(options)
    if int(os.environ.get("RANK", "0")) == 0:
        open_run(options.runs, config.name, config, resume=resume, fresh=options.fresh)
    return config, RunPaths(options.runs / config.name)


def teacher(options: Options) -> None:
    """Make the teacher: pretrained features, clustered, and the histogram of their similarities."""
    from glotok.teacher import make_teacher

    make_teacher(*open_stage(options))


def train_tokenizer(options: Options) -> None:
    """Train the tokenizer (needs the teacher). Several processes: accelerate launch --cpu --num_processes 2 -m glotok ..."""
    from glotok.train_tokenizer import train_tokenizer

    config, paths = open_stage(options)
    train_tokenizer(config, paths, resume=options.resume)


def encode(options: Options) -> None:
    """Cache the training images' tokens (needs the tokenizer)."""
    from glotok.encode import encode_data_set

    encode_data_set(*open_stage(options))


def train_generator(options: Options) -> None:
    """Train the generator on the cached tokens."""
    from glotok.train_generator import train_generator

    config, paths = open_stage(options)
    train_generator(config, paths, resume=options.resume)


def sample(options: Options) -> None:
    """Generate images (needs tokenizer and generator)."""
    from glotok.sample import sample_images

    sample_images(*open_stage(options))


def reconstruct(options: Options) -> None:
    """Reconstruct the validation images, whole and from parts of their features."""
    from glotok.reconstruct import reconstruct_validation

    reconstruct_validation(*open_stage(options))


def evaluate(options: Options) -> None:
    """Measure reconstructions and samples."""
    from glotok.evaluate import evaluate_run

    evaluate_run(*open_stage(options))


def report(options: Options) -> None:
    """Write the run's page: pictures, curves, figures."""
    from glotok.report import write_report

    write_report(*open_stage(options))


def demo(options: Options) -> None:
    """Run every stage on the embedded digits (or --data): teacher to report, in one command."""
    config, paths = open_stage(options, resume=options.resume or _is_finished(options))
    if paths.report.exists():
        logger.info("finished earlier; the report is %s (--fresh runs everything again)", paths.report)
        return
    stages: list[tuple[Callable[[Options], None], Path]] = [
        (teacher, paths.teacher),
        (train_tokenizer, paths.tokenizer / "model.safetensors"),
        (encode, paths.tokens),
        (train_generator, paths.generator),
        (sample, paths.samples),
        (reconstruct, paths.reconstructions),
        (evaluate, paths.evaluation),
        (report, paths.report),
    ]
    begin = time.monotonic()
    within = Options(**{**vars(options), "fresh": False})
    for index, (stage, output) in enumerate(stages, 1):
        title = stage.__name__.replace("_", "-")
        if output.exists():
            logger.info("[%d/%d] %s: done earlier", index, len(stages), title)
            continue
        logger.info("[%d/%d] %s", index, len(stages), title)
        stage(within)
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

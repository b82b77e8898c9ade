"""Speed of SemTok's parts: decoding in one call against sampling, a training step of stage I, masked generation.

    python benchmarks/semtok_speed.py [--config digits] [--repeats 7] [--batch 32]   # all parts
    python benchmarks/semtok_speed.py --part decode                                  # decode, train or generate

The networks are untrained and on the CPU: times depend on sizes only. The rows of a part run in one process, in turn,
so that a busy machine slows them alike; medians are shown, the first round is not counted.
"""

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from machine import header, medians, row
from semtok.alignment import TargetSource, alignment_loss
from semtok.config import SamplerConfig, SemTokConfig, load
from semtok.draws import draw
from semtok.generator import Generator, TokenGroups, build_generator, generate, token_groups
from semtok.generator_config import AnySampleConfig, FARConfig
from semtok.model import SemTok
from semtok.paths import RunPaths
from semtok.train_tokenizer import LossTerms, StageOne
from vistok.workbench.config import ConfigError
from vistok.workbench.data import ImageSet
from vistok.workbench.run.folder import environment_record
from vistok.workbench.training.micro_batches import training_batches
from vistok.workbench.training.precision import mixed_precision

CLASSES = 10
STEPS = (1, 5, 25)
GENERATION_STEPS = (1, 4, 16)
CACHED_BATCHES = 4  # images whose features are cached for the training step, in batches


def count_of(steps: int) -> str:
    return f"{steps} step" + "s" * (steps > 1)


def decode(config: SemTokConfig, batch: int, repeats: int) -> None:
    sizes = config.tokenizer
    model = SemTok(sizes, refiner="constant").eval()
    tokens = torch.randint(2**sizes.bits, (batch, sizes.num_tokens))
    codes, t = model.codes(tokens), torch.ones(batch)
    noise = torch.randn(batch, sizes.channels, sizes.working_size, sizes.working_size)
    calls: list[str] = []
    for network in (model.decoder, model.refiner.network):
        network.register_forward_hook(lambda *_: calls.append(name))
    interval = f"{config.sampler.guidance_low:g} <= t <= {config.sampler.guidance_high:g}"
    guidances = {
        "no guidance": {"guidance": 1.0},
        f"guidance where {interval}": {},
        "guidance at all times": {"guidance_low": 0.0, "guidance_high": 1.0},
    }
    rows: dict[str, Callable[[], object]] = {
        "decoder, one call": partial(model.decoder, noise, codes, t),
        "stage II, one call": partial(model.refine, tokens),
    }
    for steps in STEPS:
        for title, changes in guidances.items():
            sampler = SamplerConfig(**(config.sampler.model_dump() | changes | {"num_steps": steps}))
            rows[f"stage I, {count_of(steps)}, {title}"] = partial(model.sample, tokens, sampler)

    def counted(title: str) -> None:
        nonlocal name
        name = title
        rows[title]()

    name = ""
    with torch.no_grad():
        seconds = medians({title: partial(counted, title) for title in rows}, repeats)
    base = seconds["decoder, one call"]
    print(f"\nDecoding the same {batch} images' tokens ({sizes.num_tokens} of {sizes.bits} bits)\n")
    header("decoding", "network calls", "ms", "ratio to one decoder call")
    for title, value in seconds.items():
        row(title, f"{calls.count(title) / (repeats + 1):g}", f"{1e3 * value:.1f}", f"{value / base:.2f}")


def train(config: SemTokConfig, batch: int, repeats: int) -> None:
    sizes, accelerator = config.tokenizer, Accelerator(cpu=True)
    shape = (CACHED_BATCHES * batch, sizes.image_channels, sizes.image_size, sizes.image_size)
    pixels = torch.randint(256, shape, dtype=torch.uint8)
    images = ImageSet(pixels, torch.zeros(len(pixels), dtype=torch.int64), ("all",), "noise")
    sources = {}
    with tempfile.TemporaryDirectory() as folder:
        for cache in (True, False):
            settings = config.alignment.model_copy(update={"cache": cache})
            asked = config.model_copy(update={"alignment": settings})
            sources[cache] = TargetSource(asked, RunPaths(Path(folder)), images, accelerator)
    model = StageOne(config, SemTok(sizes), sources[True].dim)
    terms = LossTerms(config.losses, model.tokenizer)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, betas=config.train.betas, fused=True)
    settings = config.train.model_copy(update={"batch_size": batch, "accumulation": 1})
    places = torch.arange(batch)

    def step(precision: str, targets: TargetSource | None) -> None:
        optimizer.zero_grad(set_to_none=True)
        (given,) = next(training_batches(images, settings, config.data, accelerator, start=0, seed=0))
        draws = draw(places, 0, 0, sizes, config.losses)
        wanted = targets(given) if targets else None
        with mixed_precision(given.images.device, precision):
            out, predicted = model(given.images, draws, wanted)
        values = terms(given.images, draws, out)
        if wanted is not None:
            values["alignment"] = alignment_loss(predicted, wanted)
        terms.total(values).backward()
        if config.train.clip_norm:
            torch.nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_norm)
        optimizer.step()

    rows = {
        "float32, cached features": partial(step, "no", sources[True]),
        "float32, features in every step": partial(step, "no", sources[False]),
        "bfloat16 autocast, cached features": partial(step, "bf16", sources[True]),
        "bfloat16 autocast, features in every step": partial(step, "bf16", sources[False]),
        "bfloat16 autocast, no alignment": partial(step, "bf16", None),
    }
    seconds = medians(rows, repeats)
    base = seconds["float32, cached features"]
    backbone = f"{config.alignment.backbone} at {config.alignment.image_size} px"
    print(f"\nOne training step of stage I: {batch} images at {sizes.image_size} px, aligned to {backbone}\n")
    header("step", "ms", "ratio to float32")
    for title, value in seconds.items():
        row(title, f"{1e3 * value:.0f}", f"{value / base:.2f}")


def generation(config: SemTokConfig, batch: int, repeats: int) -> None:
    labels, length = torch.arange(batch) % CLASSES, config.tokenizer.num_tokens
    rows: dict[str, Callable[[], object]] = {}
    for name, sizes in config.generators.items():
        model, groups = build_generator(config, name, CLASSES).eval(), token_groups(config, name)
        given = next(iter(sizes.samples.values()))
        made = f"{name} ({sizes.depth} blocks of width {sizes.width}, {sizes.num_groups} groups of bits)"
        if isinstance(sizes, FARConfig):
            title = f"FAR {made} with its cache, {length} steps, guidance {given.guidance:g}"
            rows[title] = partial(draw_tokens, model, labels, groups, given)
            continue
        for steps in sorted({*(count for count in GENERATION_STEPS if count < length), length}):
            title = f"masked AR {made}, {count_of(steps)}, guidance up to {given.guidance:g}"
            rows[title] = partial(draw_tokens, model, labels, groups, given.model_copy(update={"num_steps": steps}))
    seconds = medians(rows, repeats)
    base = next((title for title in rows if title.startswith("FAR")), next(iter(rows)))
    print(f"\nGenerating {batch} images' tokens: {length} tokens of {config.tokenizer.bits} bits\n")
    header("generator", "s", "samples/s", f"ratio to the samples/s of {base.partition(' (')[0]}")
    for title, value in seconds.items():
        row(title, f"{value:.3f}", f"{batch / value:.1f}", f"{seconds[base] / value:.2f}")


def draw_tokens(model: Generator, labels: Tensor, groups: TokenGroups, settings: AnySampleConfig) -> Tensor:
    return generate(model, labels, groups, settings, torch.Generator().manual_seed(0))


PARTS = {"decode": decode, "train": train, "generate": generation}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="digits")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override a setting")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--part", choices=PARTS, action="append")
    options = parser.parse_args()
    try:
        config = load(options.config, tuple(options.set))
    except ConfigError as error:
        parser.exit(2, f"semtok_speed: {error}\n")
    machine = environment_record()
    print(f"{machine['processor']}, {machine['torch_threads']} threads, torch {machine['versions']['torch']}")
    print(f"configuration {' '.join((options.config, *options.set))}, median of {options.repeats}")
    for name in options.part or PARTS:
        torch.manual_seed(0)
        PARTS[name](config, options.batch, options.repeats)


if __name__ == "__main__":
    main()

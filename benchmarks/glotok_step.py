"""Time of one tokenizer training step: float32 against bfloat16, and the histogram loss against contrastive alignment.

    python benchmarks/glotok_step.py [--config digits] [--repeats 7]

All rows run in one process, in turn, so that a busy machine slows them alike; medians are shown. The contrastive row
runs the teacher network on the batch in every step, as local alignment does; the others are GloTok's step as it is.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F

from glotok.config import load
from glotok.model import GloTok
from glotok.train_tokenizer import LossTerms
from machine import medians
from vistok.metrics import FeatureBackbone
from vistok.workbench.run.folder import environment_record
from vistok.workbench.training.precision import mixed_precision


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="digits")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--teacher-size", type=int, default=128, help="pixels a side that the teacher network sees")
    options = parser.parse_args()
    config = load(options.config)
    torch.manual_seed(0)
    model = GloTok(config.tokenizer)
    size, batch = config.data.image_size, config.train.batch_size
    images = torch.rand(batch, config.tokenizer.image_channels, size, size) * 2 - 1
    terms = LossTerms(config.losses, torch.full((config.losses.histogram_bins,), 1 / config.losses.histogram_bins))
    teacher = FeatureBackbone(config.teacher.backbone)
    head = torch.nn.Linear(config.tokenizer.code_dim, teacher.dim)

    def step(precision: str, *, contrastive: bool = False) -> None:
        with mixed_precision(images.device, precision):
            out = model(images)
        values = terms(images, out, model.quantizer.semantic.codebook, None)
        if contrastive:
            del values["histogram"]
            with torch.no_grad():
                target = F.normalize(teacher.pooled(images, image_size=options.teacher_size), dim=1)
            pooled = F.normalize(head(out.semantic.codes.float().mean((2, 3))), dim=1)
            values["residual"] = values["residual"] + F.cross_entropy(pooled @ target.T, torch.arange(batch))
        terms.total(values).backward()
        model.zero_grad(set_to_none=True)

    rows: dict[str, Callable[[], None]] = {
        "float32": lambda: step("no"),
        "bfloat16 autocast": lambda: step("bf16"),
        "bfloat16, contrastive alignment for the histogram": lambda: step("bf16", contrastive=True),
    }
    times = medians(rows, options.repeats)
    machine = environment_record()
    print(f"{machine['processor']}, {machine['torch_threads']} threads, torch {machine['versions']['torch']}")
    print(f"one step of {batch} images at {size} px, configuration {options.config}, median of {options.repeats}\n")
    print("| step | ms | ratio to float32 |\n|---|---|---|")
    for name, seconds in times.items():
        print(f"| {name} | {1e3 * seconds:.0f} | {seconds / times['float32']:.2f} |")


if __name__ == "__main__":
    main()

"""Bits and distortion: the tokenizer's point and those of parts of its tokens, among the curves of codecs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.model import SemTok
from semtok.reconstruct import in_one_step, last_stage
from vistok.metrics import NotMeasurableError, codec_curves, psnr, ssim
from vistok.metrics.report.page import Picture, Section, Table
from vistok.workbench.data import Images
from vistok.workbench.data.drawing import some_images
from vistok.workbench.evaluation.measures import Evaluation
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.reporting.plots import plot_labelled_points

SECTION = "rate and distortion"
IMAGES = 500  # validation images that are coded, at most
BUDGETS = (1 / 8, 1 / 4, 1 / 2, 1, 2, 8 / 3)  # of principal components, times the tokenizer's bits: 48 to 1,024 of 384
MOST_VALUES = 12_288  # of an image that plain codes (pixels, principal components) are for
FITTED_VALUES = 2**25  # of all training images that they are fitted to, at most


def add_codecs(evaluation: Evaluation, tokenizer: SemTok, tokens: Tensor, config: SemTokConfig) -> None:
    """Add ``rate and distortion``: ``bits``, ``psnr`` and ``ssim`` of the tokenizer, and of each codec lists of them.

    Without stage II the tokenizer decodes in stage I's one step, as on the curve of its first tokens. ``pca_psnr`` is
    that of principal components at as many bits. All on the same validation images, at most 500; components are fitted
    to training images.
    """
    evaluation.add(SECTION, "codecs", lambda: rate_measures(evaluation, tokenizer, tokens, config))


@torch.no_grad()
def rate_measures(evaluation: Evaluation, tokenizer: SemTok, tokens: Tensor, config: SemTokConfig) -> dict[str, Any]:
    """The values of :func:`add_codecs`, and of how many images."""
    train, validation = evaluation.train, evaluation.validation
    pixels = train.image_size**2
    if train.channels * pixels > MOST_VALUES:
        raise NotMeasurableError(
            f"images of {train.channels * pixels:,} values are more than {MOST_VALUES:,} for codecs"
        )
    bits = image_bits(tokenizer)
    some = spread(len(validation), IMAGES)
    images = torch.cat([validation.batch(part) for part in some.split(100)])
    noise, quick = torch.Generator().manual_seed(config.seed), in_one_step(tokenizer)
    made = torch.cat([quick.decode(part, generator=noise).cpu() for part in tokens[some].long().split(100)])
    fitted = fitted_images(train, config.seed)
    budgets = sorted({max(1, round(factor * bits)) for factor in BUDGETS})
    curves = {
        name: {
            "bits": [point.bits_per_pixel * pixels for point in points],
            "psnr": [point.psnr for point in points],
            "ssim": [point.ssim for point in points],
        }
        for name, points in codec_curves(images, fitted, bits_per_image=budgets).items()
    }
    own = {"bits": bits, "psnr": psnr(made, images).mean().item(), "ssim": ssim(made, images).mean().item()}
    own["pca_psnr"] = curves["PCA"]["psnr"][budgets.index(bits)]
    return {"images": len(images), "fitted to": len(fitted), **own, "curves": curves}


def rate_section(measures: Mapping[str, Any], config: SemTokConfig) -> Section:
    """The tokenizer's point among the curves, PSNR by bits; its first tokens are a curve of their own."""
    found, sizes = measures[SECTION], config.tokenizer
    label = f"{sizes.num_tokens} tokens"
    curves = {"first tokens": first_tokens(measures, sizes.num_tokens)}
    rows: list[list[str | float | int | None]] = [[label, found["bits"], found["psnr"], found["ssim"]]]
    for name, points in found["curves"].items():
        curves[name] = list(zip(points["bits"], points["psnr"], strict=True))
        rows += [[name, *each] for each in zip(points["bits"], points["psnr"], points["ssim"], strict=True)]
    plot = plot_labelled_points(
        {label: (found["bits"], found["psnr"])}, curves, x_label="bits an image", y_label="PSNR, dB"
    )
    caption = (
        f"Tokens decoded by {last_stage(measures, one_step=True)}, and codecs, on the same {found['images']:,} "
        "validation images; principal components (PCA), each with a scalar codebook, fitted to "
        f"{found['fitted to']:,} training images; WebP and JPEG with headers."
    )
    table = Table(["code", "bits an image", "PSNR, dB", "SSIM"], rows, caption)
    return Section("Rate and distortion", [Picture(plot, "Up and left is better."), table])


def first_tokens(measures: Mapping[str, Any], num_tokens: int) -> list[tuple[float, float]]:
    """Bits and PSNR from the first tokens alone, then from all of them: a measured curve, or its parts."""
    whole, parts = measures[SECTION], measures.get("parts of the tokens", {})
    if curve := measures.get("lengths"):
        shares = [
            (length / num_tokens, value) for length, value in zip(curve["tokens"], curve["prefix_psnr"], strict=True)
        ]
    else:
        shares = sorted((int(key[7:-1]) / 100, value) for key, value in parts.items() if key.startswith("prefix_"))
    firsts = [(share * whole["bits"], value) for share, value in shares if share < 1]
    return [*firsts, (whole["bits"], whole["psnr"])]


def fitted_images(train: Images, seed: int) -> Tensor:
    """The training images that components are fitted to."""
    return train.batch(some_images(train, FITTED_VALUES // (train.channels * train.image_size**2), seed))


def image_bits(tokenizer: SemTok) -> int:
    """Bits of an image's tokens as written."""
    return round(tokenizer.settings.num_tokens * tokenizer.settings.token_bits)

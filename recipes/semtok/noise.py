"""The noise that decoding leaves, by stage and number of steps: on flat background, between samples, in the velocity.

Samples of what the tokens leave open would differ from each other as much as from the original: the gap of the two PSNR
would be zero (a sample has twice the squared error of the posterior's mean). A gap above zero says that they vary less.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.model import SemTok
from semtok.reconstruct import StageOneDecoder, stage_one
from vistok.generators import flow_path
from vistok.metrics import NotMeasurableError, psnr, to_uint8
from vistok.metrics.report.page import Picture, Section, Table
from vistok.workbench.data import Images
from vistok.workbench.evaluation.measures import Evaluation
from vistok.workbench.evaluation.sampling import spread
from vistok.workbench.reporting.plots import plot_lines

SECTION = "error by time"
TIMES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
_FLAT = 5  # pixels along each side of a window that is constant in the original
_COLUMNS = {
    "background_noise": "background noise",
    "background_error": "background error",
    "psnr_between": "between two noises, dB",
    "psnr_to_original": "to the original, dB",
    "calibration_gap": "gap, dB",
}

Decode = Callable[[Tensor, torch.Generator], Tensor]


@torch.no_grad()
def add_noise(evaluation: Evaluation, tokenizer: SemTok, tokens: Tensor, images: Images, config: SemTokConfig) -> None:
    """Put the noise of each reconstruction into its section, and the error of the velocity by time into one of its own.

    Args:
        evaluation: Filled.
        tokenizer: With or without stage II.
        tokens: Of all of ``images``.
        images: The validation images; ``reconstruct.noise_images`` of them are taken.
        config: The run's.
    """
    some = spread(len(images), config.reconstruct.noise_images)
    originals, known = images.batch(some), tokens[some].long()
    for name, decode in decoders(tokenizer, config).items():
        evaluation.add(name, "noise", partial(noise_of, decode, known, originals, config.seed))
    evaluation.add(SECTION, "velocity", partial(velocity_errors, tokenizer, known, originals, config.seed))


def decoders(tokenizer: SemTok, config: SemTokConfig) -> dict[str, Decode]:
    """Stage I in each number of steps and stage II, by the names of their reconstructions."""
    found: dict[str, Decode] = {}
    for steps in config.reconstruct.stage_one_steps:
        found[stage_one(steps)] = StageOneDecoder(tokenizer, steps).decode
    if tokenizer.refiner is not None:
        found["refined"] = lambda tokens, draws: tokenizer.refine(tokens, generator=draws)
    return found


def noise_of(decode: Decode, tokens: Tensor, originals: Tensor, seed: int) -> dict[str, float]:
    """Background of one sample of each image, and the PSNR between two; without the latter where some are equal."""
    draws = (torch.Generator().manual_seed((seed + 1) * 6_007 + part) for part in (0, 1))
    one, two = (to_uint8(decode(tokens, each)).cpu() for each in draws)
    wanted = to_uint8(originals)
    found = calibration(one, two, wanted)
    found = found if all(map(math.isfinite, found.values())) else {}
    try:
        return background(one, wanted) | found
    except NotMeasurableError:
        if not found:
            raise
        return found


def calibration(one: Tensor, two: Tensor, originals: Tensor) -> dict[str, float]:
    """PSNR between two samples of the same tokens, and of both to the originals; the first less the second, in dB."""
    between = psnr(one, two).mean().item()
    to_original = torch.stack([psnr(one, originals), psnr(two, originals)]).mean().item()
    return {"psnr_between": between, "psnr_to_original": to_original, "calibration_gap": between - to_original}


def flat_pixels(images: Tensor) -> Tensor:
    """Where an image ``(B, C, H, W)`` is constant, all 5 x 5 pixels around: ``(B, H, W)`` bool."""
    values = images.float()
    largest, smallest = (sign * F.max_pool2d(sign * values, _FLAT, 1, _FLAT // 2) for sign in (1, -1))
    return (largest == smallest).all(dim=1)


def background(made: Tensor, originals: Tensor) -> dict[str, float]:
    """What 8-bit images have where their originals are constant, in 8-bit units, roots of means over all such pixels.

    ``background_noise`` is the deviation within 3 x 3 pixels around, so that what is smooth does not count;
    ``background_error`` that from the original, which has no noise and is none.
    """
    flat = flat_pixels(originals)[:, 1:-1, 1:-1]
    if not flat.any():
        raise NotMeasurableError("background noise needs pixels that are constant in the originals, got none")
    values = made.double()
    mean, square = (F.avg_pool2d(part, 3, 1) for part in (values, values.square()))
    variance = ((square - mean.square()) * 9 / 8).clamp_min(0).mean(dim=1)
    error = (values - originals.double()).square().mean(dim=1)[:, 1:-1, 1:-1]
    return {
        "background_noise": variance[flat].mean().sqrt().item(),
        "background_error": error[flat].mean().sqrt().item(),
    }


@torch.no_grad()
def velocity_errors(tokenizer: SemTok, tokens: Tensor, originals: Tensor, seed: int) -> dict[str, float]:
    """Root of the mean squared error of stage I's velocity, unguided, on images with noise of each of :data:`TIMES`.

    ``velocity_at_<t>`` over all values, ``background_at_<t>`` where the image is constant (of networks that see
    pixels): there the noisy image says what the velocity is, but for what the tokens say. The error of the image
    estimate is ``t`` times that.
    """
    x, codes = tokenizer.to_space(originals), tokenizer.codes(tokens)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed((seed + 1) * 6_011)).to(x.device)
    flat = flat_pixels(originals).to(x.device) if tokenizer.settings.space_channels is None else None
    found = {}
    for time in TIMES:
        t = torch.full((len(x),), time, device=x.device)
        path = flow_path(x, noise, t[:, None, None, None])
        error = (tokenizer.velocity(path.x_t, codes, t) - path.velocity).double().square()
        found[f"velocity_at_{time}"] = error.mean().sqrt().item()
        if flat is not None and flat.any():
            found[f"background_at_{time}"] = error.mean(dim=1)[flat].mean().sqrt().item()
    return found


def noise_by_step_section(measures: dict[str, Any], names: list[str], images: int) -> Section:
    """The noise of the reconstructions ``names``, and the curve of the velocity's error."""
    table = Table(
        ["reconstruction", *_COLUMNS.values()],
        [["stage II" if name == "refined" else name, *(measures[name].get(key) for key in _COLUMNS)] for name in names],
        caption=(
            f"{images} validation images. Background: where the original is constant, of 255; noise is the deviation "
            "among neighbours, error that from the original. Gap: 0 if calibrated, above it samples vary too little."
        ),
    )
    errors = measures.get(SECTION, {})
    series = {
        label: [errors[f"{key}_at_{time}"] for time in TIMES]
        for key, label in (("velocity", "all pixels"), ("background", "constant background"))
        if f"{key}_at_{TIMES[0]}" in errors
    }
    curve = plot_lines(list(TIMES), series, x_label="time, 1 is noise", y_label="error of the velocity")
    note = "Root mean squared error of stage I's velocity; the image estimate's is that times the time."
    return Section("Noise by step", [table, Picture(curve, note)])

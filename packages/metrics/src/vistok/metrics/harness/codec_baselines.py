"""Classical codecs beside a tokenizer: what JPEG, WebP and principal components make of the same bits."""

import math

import torch

from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.images.sources import ImageSource
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.rate.baselines import rate_distortion_baselines

SECTION = "baselines"
#: Images that are coded, and training images that components are fitted to, at most.
IMAGES, TRAINING = 500, 2000
#: Bytes of the training images in float64, at most: fitting holds about four such copies. 2,000 images of 149 pixels
#: a side are below it, of 256 pixels 682.
TRAINING_BYTES = 1 << 30


def add_codecs(found: Evaluation, images: ImageSource, training: ImageSource, bits_per_pixel: float | None) -> None:
    """Put the PSNR, the SSIM and the bits of each codec at a tokenizer's rate into the section ``baselines``.

    Args:
        found: Where they go; how many training images components were fitted to is a choice, ``training: fitted``.
        images: Those that the tokenizer was measured on; a random 500 of them are coded.
        training: Those that it was trained on; components are fitted to a random 2,000 of them, or as many as
            ``TRAINING_BYTES`` hold.
        bits_per_pixel: The tokenizer's rate, as written; of none the codecs are left out, with the reason.
    """

    def measured() -> dict[str, float]:
        if bits_per_pixel is None:
            raise NotMeasurableError("a tokenizer with codebooks of known sizes is needed, for its rate")
        most = min(TRAINING, max(2, TRAINING_BYTES // (8 * math.prod(training.shape))))
        coded, fitted = (_some(source, count) for source, count in ((images, IMAGES), (training, most)))
        found.choices["training: fitted"] = len(fitted)
        points = rate_distortion_baselines(coded, fitted, bits_per_pixel=bits_per_pixel)
        return {
            f"{name}: {what}": value
            for name, point in points.items()
            for what, value in (
                ("PSNR (dB)", point.psnr),
                ("SSIM", point.ssim),
                ("bits per pixel", point.bits_per_pixel),
            )
        }

    found.add(SECTION, "codecs", measured)


def _some(source: ImageSource, count: int) -> torch.Tensor:
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:count]
    return torch.cat([source.batch(part.tolist()) for part in order.sort().values.split(50)])

"""Classical codecs beside a tokenizer: what JPEG, WebP and principal components make of the same bits."""

import torch

from vistok.metrics.harness.evaluation import Evaluation
from vistok.metrics.images.sources import ImageSource
from vistok.metrics.rate.baselines import rate_distortion_baselines

SECTION = "baselines"
#: Images that are coded, and training images that components are fitted to, at most.
IMAGES, TRAINING = 500, 2000


def add_codecs(found: Evaluation, images: ImageSource, training: ImageSource, bits_per_pixel: float) -> None:
    """Put the PSNR, the SSIM and the bits of each codec at a tokenizer's rate into the section ``baselines``.

    Args:
        found: Where they go.
        images: Those that the tokenizer was measured on; a random 500 of them are coded.
        training: Those that it was trained on; components are fitted to a random 2,000 of them.
        bits_per_pixel: The tokenizer's rate, as written.
    """

    def measured() -> dict[str, float]:
        coded, fitted = (_some(source, count) for source, count in ((images, IMAGES), (training, TRAINING)))
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

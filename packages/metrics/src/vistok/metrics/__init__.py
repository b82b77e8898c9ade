"""Numbers about tokenizers and generators; every definition is in the docstring of its function."""

from vistok.metrics.codes.cosine import CosineMoments, cosine_moments, welch_bound
from vistok.metrics.codes.linear_probe import linear_probe_accuracy
from vistok.metrics.codes.uniformity import (
    DensityUniformity,
    density_uniformity,
    evenness,
    one_position_per_image,
    wang_isola_uniformity,
)
from vistok.metrics.distribution.frechet import FeatureStatistics, frechet_distance
from vistok.metrics.distribution.neighbours import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
    relative_diversity,
)
from vistok.metrics.distribution.recognition import Recognizer, fit_recognizer
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.pixels import from_uint8, to_uint8
from vistok.metrics.reconstruction.perceptual import perceptual_distance
from vistok.metrics.reconstruction.psnr import psnr
from vistok.metrics.reconstruction.ssim import ssim

__all__ = [
    "CosineMoments",
    "DensityCoverage",
    "DensityUniformity",
    "FeatureStatistics",
    "NotMeasurableError",
    "PrecisionRecall",
    "Recognizer",
    "cosine_moments",
    "density_coverage",
    "density_uniformity",
    "evenness",
    "fit_recognizer",
    "frechet_distance",
    "from_uint8",
    "linear_probe_accuracy",
    "one_position_per_image",
    "perceptual_distance",
    "precision_recall",
    "psnr",
    "relative_diversity",
    "ssim",
    "to_uint8",
    "wang_isola_uniformity",
    "welch_bound",
]

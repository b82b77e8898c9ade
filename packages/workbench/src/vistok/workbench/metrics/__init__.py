"""What a report says about a tokenizer or a generator; every definition is in the docstring of its function."""

from vistok.workbench.metrics.cosine import CosineMoments, cosine_moments, welch_bound
from vistok.workbench.metrics.features import pooled_features
from vistok.workbench.metrics.frechet import FeatureStatistics, frechet_distance
from vistok.workbench.metrics.neighbours import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
    relative_diversity,
)
from vistok.workbench.metrics.not_measurable import NotMeasurableError
from vistok.workbench.metrics.perceptual import perceptual_distance
from vistok.workbench.metrics.psnr import psnr
from vistok.workbench.metrics.ssim import ssim
from vistok.workbench.metrics.uniformity import (
    DensityUniformity,
    density_uniformity,
    evenness,
    one_position_per_image,
    wang_isola_uniformity,
)

__all__ = [
    "CosineMoments",
    "DensityCoverage",
    "DensityUniformity",
    "FeatureStatistics",
    "NotMeasurableError",
    "PrecisionRecall",
    "cosine_moments",
    "density_coverage",
    "density_uniformity",
    "evenness",
    "frechet_distance",
    "one_position_per_image",
    "perceptual_distance",
    "pooled_features",
    "precision_recall",
    "psnr",
    "relative_diversity",
    "ssim",
    "wang_isola_uniformity",
    "welch_bound",
]

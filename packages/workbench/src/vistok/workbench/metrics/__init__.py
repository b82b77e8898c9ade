"""What a report says about a tokenizer or a generator; every definition is in the docstring of its function."""

from vistok.workbench.metrics.cosine import (
    CosineMoments,
    cosine_histogram,
    cosine_moments,
    histogram_distance,
    welch_bound,
)
from vistok.workbench.metrics.features import pooled_features
from vistok.workbench.metrics.frechet import FeatureStatistics, frechet_distance
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
    "DensityUniformity",
    "FeatureStatistics",
    "cosine_histogram",
    "cosine_moments",
    "density_uniformity",
    "evenness",
    "frechet_distance",
    "histogram_distance",
    "one_position_per_image",
    "perceptual_distance",
    "pooled_features",
    "psnr",
    "ssim",
    "wang_isola_uniformity",
    "welch_bound",
]

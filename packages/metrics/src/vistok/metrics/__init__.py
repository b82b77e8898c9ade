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
from vistok.metrics.reconstruction.perceptual import PerceptualDistance, perceptual_distance
from vistok.metrics.reconstruction.pixel_errors import (
    MeanAbsoluteError,
    MeanSquaredError,
    mean_absolute_error,
    mean_squared_error,
)
from vistok.metrics.reconstruction.psnr import (
    PeakSignalNoiseRatio,
    PooledPeakSignalNoiseRatio,
    pooled_psnr,
    psnr,
)
from vistok.metrics.reconstruction.ssim import StructuralSimilarity, ssim
from vistok.metrics.streaming import StreamingMetric

__all__ = [
    "CosineMoments",
    "DensityCoverage",
    "DensityUniformity",
    "FeatureStatistics",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "NotMeasurableError",
    "PeakSignalNoiseRatio",
    "PerceptualDistance",
    "PooledPeakSignalNoiseRatio",
    "PrecisionRecall",
    "Recognizer",
    "StreamingMetric",
    "StructuralSimilarity",
    "cosine_moments",
    "density_coverage",
    "density_uniformity",
    "evenness",
    "fit_recognizer",
    "frechet_distance",
    "from_uint8",
    "linear_probe_accuracy",
    "mean_absolute_error",
    "mean_squared_error",
    "one_position_per_image",
    "perceptual_distance",
    "pooled_psnr",
    "precision_recall",
    "psnr",
    "relative_diversity",
    "ssim",
    "to_uint8",
    "wang_isola_uniformity",
    "welch_bound",
]

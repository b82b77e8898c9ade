"""Numbers about tokenizers and generators; every definition is in the docstring of its function."""

from vistok.metrics.codes.bit_balance import BitBalance, BitMeasures, index_bits
from vistok.metrics.codes.class_information import ClassInformation, class_information
from vistok.metrics.codes.code_pairs import CodePairs, PairMeasures
from vistok.metrics.codes.code_usage import CodeUsage, UsageMeasures
from vistok.metrics.codes.cosine import CosineMoments, cosine_moments, welch_bound
from vistok.metrics.codes.linear_probe import linear_probe_accuracy
from vistok.metrics.codes.nearest_neighbour_probe import nearest_neighbour_accuracy
from vistok.metrics.codes.uniformity import (
    DensityUniformity,
    density_uniformity,
    evenness,
    one_position_per_image,
    wang_isola_uniformity,
)
from vistok.metrics.distribution.bootstrap import Interval, bootstrap_interval
from vistok.metrics.distribution.diversity import relative_diversity
from vistok.metrics.distribution.extrapolation import ExtrapolatedDistance, frechet_distance_infinity
from vistok.metrics.distribution.feature_bank import FeatureBank
from vistok.metrics.distribution.frechet import (
    FeatureStatistics,
    GaussianFactor,
    GaussianStatistics,
    frechet_distance,
    gaussian_factor,
)
from vistok.metrics.distribution.inception_score import InceptionScore, SplitScores, inception_score
from vistok.metrics.distribution.kernel import KernelDistance, kernel_distance, kernel_distance_of_subsets
from vistok.metrics.distribution.neighbours import (
    DensityCoverage,
    NeighbourMeasures,
    PrecisionRecall,
    RealNeighbourhoods,
    density_coverage,
    neighbour_measures,
    precision_recall,
    real_neighbourhoods,
)
from vistok.metrics.distribution.recognition import Recognizer, fit_recognizer
from vistok.metrics.distribution.reference import (
    ReferenceStatistics,
    read_reference_statistics,
    write_reference_statistics,
)
from vistok.metrics.distribution.spatial import spatial_features
from vistok.metrics.harness.compare import NotComparableError, compare
from vistok.metrics.harness.diffusers_autoencoders import DiffusersAutoencoder
from vistok.metrics.harness.distances import Resampling
from vistok.metrics.harness.evaluation import Evaluation, read_evaluation
from vistok.metrics.harness.loaders import load_tokenizer
from vistok.metrics.harness.reconstruction_measures import Measurement
from vistok.metrics.harness.reconstructions import evaluate_pairs, evaluate_tokenizer
from vistok.metrics.harness.reconstructor import Reconstruction, reconstruct
from vistok.metrics.harness.samples import evaluate_samples
from vistok.metrics.harness.statistics import measure_statistics
from vistok.metrics.images.crops import adm_crop, centre_crop
from vistok.metrics.images.grey import GreyImages
from vistok.metrics.images.pairs import ImagePairs, open_pairs
from vistok.metrics.images.sources import ImageSource, open_images
from vistok.metrics.networks.by_name import open_network
from vistok.metrics.networks.feature_backbone import LITE0, FeatureBackbone, count_stages
from vistok.metrics.networks.features import BackboneFeatures, FeatureNetwork, Features
from vistok.metrics.networks.inception import InceptionFeatures
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.pixels import from_uint8, to_uint8
from vistok.metrics.ranks import merged_over_ranks
from vistok.metrics.rate.baselines import rate_distortion_baselines
from vistok.metrics.rate.codec_curves import codec_curves
from vistok.metrics.rate.image_codecs import image_codec_point
from vistok.metrics.rate.principal_components import PrincipalComponentCodec, fit_principal_component_codec
from vistok.metrics.rate.rate_distortion import RateDistortion, RateDistortionPoint, rate_distortion_point
from vistok.metrics.rate.token_rate import TokenRate, token_rate
from vistok.metrics.reconstruction.frequency_bands import BandMeasures, FrequencyBands, frequency_bands
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
    "LITE0",
    "BackboneFeatures",
    "BandMeasures",
    "BitBalance",
    "BitMeasures",
    "ClassInformation",
    "CodePairs",
    "CodeUsage",
    "CosineMoments",
    "DensityCoverage",
    "DensityUniformity",
    "DiffusersAutoencoder",
    "Evaluation",
    "ExtrapolatedDistance",
    "FeatureBackbone",
    "FeatureBank",
    "FeatureNetwork",
    "FeatureStatistics",
    "Features",
    "FrequencyBands",
    "GaussianFactor",
    "GaussianStatistics",
    "GreyImages",
    "ImagePairs",
    "ImageSource",
    "InceptionFeatures",
    "InceptionScore",
    "Interval",
    "KernelDistance",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Measurement",
    "NeighbourMeasures",
    "NotComparableError",
    "NotMeasurableError",
    "PairMeasures",
    "PeakSignalNoiseRatio",
    "PerceptualDistance",
    "PooledPeakSignalNoiseRatio",
    "PrecisionRecall",
    "PrincipalComponentCodec",
    "RateDistortion",
    "RateDistortionPoint",
    "RealNeighbourhoods",
    "Recognizer",
    "Reconstruction",
    "ReferenceStatistics",
    "Resampling",
    "SplitScores",
    "StreamingMetric",
    "StructuralSimilarity",
    "TokenRate",
    "UsageMeasures",
    "adm_crop",
    "bootstrap_interval",
    "centre_crop",
    "class_information",
    "codec_curves",
    "compare",
    "cosine_moments",
    "count_stages",
    "density_coverage",
    "density_uniformity",
    "evaluate_pairs",
    "evaluate_samples",
    "evaluate_tokenizer",
    "evenness",
    "fit_principal_component_codec",
    "fit_recognizer",
    "frechet_distance",
    "frechet_distance_infinity",
    "frequency_bands",
    "from_uint8",
    "gaussian_factor",
    "image_codec_point",
    "inception_score",
    "index_bits",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "linear_probe_accuracy",
    "load_tokenizer",
    "mean_absolute_error",
    "mean_squared_error",
    "measure_statistics",
    "merged_over_ranks",
    "nearest_neighbour_accuracy",
    "neighbour_measures",
    "one_position_per_image",
    "open_images",
    "open_network",
    "open_pairs",
    "perceptual_distance",
    "pooled_psnr",
    "precision_recall",
    "psnr",
    "rate_distortion_baselines",
    "rate_distortion_point",
    "read_evaluation",
    "read_reference_statistics",
    "real_neighbourhoods",
    "reconstruct",
    "relative_diversity",
    "spatial_features",
    "ssim",
    "to_uint8",
    "token_rate",
    "wang_isola_uniformity",
    "welch_bound",
    "write_reference_statistics",
]

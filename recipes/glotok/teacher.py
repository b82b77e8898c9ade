"""The teacher: a token set whose pairwise similarities the semantic codebook learns. Made once, before training.

No network leaves this file: what training reads is a matrix of centres.
"""

import json
import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from glotok.config import GloTokConfig, LossConfig, TeacherConfig
from glotok.paths import RunPaths
from vistok.losses import relation_histogram
from vistok.metrics import FeatureBackbone, cosine_moments, welch_bound
from vistok.workbench.backbones.weights import WeightsError, read_tensor
from vistok.workbench.config import ConfigError
from vistok.workbench.data import Images
from vistok.workbench.data.drawing import drawn_images
from vistok.workbench.progress import progress
from vistok.workbench.run.devices import best_device
from vistok.workbench.run.files import write_atomically
from vistok.workbench.run.tensor_files import load_tensors, save_tensors

logger = logging.getLogger(__name__)


def make_teacher(config: GloTokConfig, paths: RunPaths) -> None:
    """Compute the teacher's token set and save it with a record of how it was made."""
    count = config.tokenizer.semantic_codebook_size
    centres = token_set(config)
    mean, rms = cosine_moments(centres)
    floor = welch_bound(count, config.tokenizer.code_dim)
    record = {
        **config.teacher.model_dump(mode="json"),
        "data": config.data.source,
        "num_centres": centres.shape[0],
        "dimension": centres.shape[1],
        "mean_cosine": mean,
        "rms_cosine": rms,
        "welch_bound": floor,
        "seed": config.seed,
    }
    logger.info("teacher: %d vectors of dimension %d, cosine mean %.3f, rms %.3f", *centres.shape, mean, rms)
    if rms < floor:
        logger.warning(
            "the teacher's rms cosine %.3f is below %.3f, the least that %d codes of dimension %d can have "
            "(Welch bound): the histogram cannot be reached exactly and the relation loss will have a floor",
            rms,
            floor,
            count,
            config.tokenizer.code_dim,
        )
    write_atomically(paths.teacher.with_suffix(".json"), json.dumps(record, indent=2) + "\n")
    save_tensors(paths.teacher, {"centres": centres})


def token_set(config: GloTokConfig) -> Tensor:
    """The teacher's vectors ``(n, D)``: read, drawn, or the centres of features."""
    teacher, count = config.teacher, config.tokenizer.semantic_codebook_size
    if teacher.source == "checkpoint":
        try:
            return read_token_set(Path(str(teacher.checkpoint)), str(teacher.key))
        except WeightsError as error:
            raise ConfigError(f"teacher.checkpoint and teacher.key: {error}") from error
    if teacher.source == "random":
        return random_directions(count, teacher, config.seed)
    return cluster_features(config.data.load().train, teacher, count, config.seed)


def load_teacher(paths: RunPaths, losses: LossConfig) -> Tensor:
    """The teacher's histogram ``(bins,)`` as ``losses`` counts it."""
    return teacher_histogram(load_tensors(paths.teacher, "centres")["centres"], losses)


def teacher_histogram(centres: Tensor, losses: LossConfig) -> Tensor:
    """The relation histogram of a token set."""
    return relation_histogram(centres, **losses.histogram)


def cluster_features(train: Images, config: TeacherConfig, count: int, seed: int) -> Tensor:
    """k-means centres ``(count, D)`` of backbone features of training images."""
    from sklearn.cluster import MiniBatchKMeans

    points = pooled_features(train, config, seed)
    if len(points) < count:
        raise ConfigError(
            f"teacher: {len(points)} feature vectors cannot give {count} centres; "
            "raise teacher.num_images or teacher.pool_grid"
        )
    kmeans = MiniBatchKMeans(n_clusters=count, random_state=seed, batch_size=max(2048, count), n_init=1, max_iter=30)
    kmeans.fit(points.numpy())
    return torch.from_numpy(kmeans.cluster_centers_).float()


def pooled_features(train: Images, config: TeacherConfig, seed: int) -> Tensor:
    """Features ``(n, D)`` of ``config.num_images`` images, ``config.pool_grid ** 2`` of each.

    They keep their mean unless ``config.centre``: without it the cosines are pushed towards zero, where few dimensions
    cannot follow.
    """
    backbone = FeatureBackbone(config.backbone, weights=config.weights).to(best_device())
    order = drawn_images(train, config.num_images, seed)
    vectors = []
    for chunk in progress(order.split(20), "teacher features", unit="batches"):
        with torch.inference_mode():
            features = feature_map(backbone, train.batch(chunk).to(backbone.mean.device), config)
            vectors.append(F.adaptive_avg_pool2d(features, config.pool_grid).flatten(2).transpose(1, 2).flatten(0, 1))
    points = torch.cat(vectors).float().cpu()
    return points - points.mean(dim=0) if config.centre else points


def feature_map(backbone: FeatureBackbone, images: Tensor, config: TeacherConfig) -> Tensor:
    """Features ``(B, D, h, w)`` of the stage that is asked for, or the network's last ones."""
    if config.stage is None:
        return backbone.patches(images, image_size=config.image_size).permute(0, 3, 1, 2)
    return backbone.stages(images, num_stages=config.stage, image_size=config.image_size)[-1]


def random_directions(count: int, config: TeacherConfig, seed: int) -> Tensor:
    """Unit vectors ``(count, D)`` drawn evenly from the sphere: a teacher that knows nothing of images."""
    dimension = config.dimension
    if dimension is None:
        backbone = FeatureBackbone(config.backbone, weights=config.weights)
        dimension = backbone.dim if config.stage is None else backbone.stage_channels[config.stage - 1]
    return F.normalize(torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed)), dim=1)


def read_token_set(path: Path, key: str) -> Tensor:
    """A 2-D tensor of a checkpoint by its (dotted) key, such as a pretrained semantic codebook, in float32."""
    tensor = read_tensor(path, key)
    if tensor.ndim != 2 or not tensor.is_floating_point():
        got = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        raise WeightsError(f"{path}: expected {key} to be a 2-D tensor of floating point, got {got}")
    return tensor.float()

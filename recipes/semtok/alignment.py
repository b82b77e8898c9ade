"""Semantic alignment at the encoder's end: the heads of both streams, and the frozen features they are to match."""

import json
import logging
from typing import NamedTuple

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from semtok.config import AlignedStreams, SemTokConfig
from semtok.paths import RunPaths
from vistok.losses import patch_alignment_loss
from vistok.metrics import FeatureBackbone
from vistok.workbench.data import Images
from vistok.workbench.progress import progress
from vistok.workbench.run.devices import to_device
from vistok.workbench.run.tensor_files import is_whole, load_tensors, save_tensors, tensor_metadata
from vistok.workbench.training.micro_batches import MicroBatch

logger = logging.getLogger(__name__)

_MADE_FROM = "made_from"  # in the cache's metadata


class Targets(NamedTuple):
    """A frozen backbone's features of some images: ``patches (B, h, w, D)`` and ``pooled (B, D)``."""

    patches: Tensor
    pooled: Tensor


class AlignmentHeads(nn.Module):
    """Both streams to the backbone's features.

    The image stream, brought to the backbone's grid, goes through a three-layer network patch by patch; the query
    stream as a whole (its tokens in order) through another to the pooled feature.
    """

    def __init__(self, stream_width: int, num_tokens: int, bits: int, hidden_width: int, target_dim: int) -> None:
        super().__init__()
        self.patch_head = nn.Sequential(
            nn.Linear(stream_width, hidden_width),
            nn.SiLU(),
            nn.Linear(hidden_width, hidden_width),
            nn.SiLU(),
            nn.Linear(hidden_width, target_dim),
        )
        self.query_head = nn.Sequential(
            nn.Linear(num_tokens * bits, hidden_width), nn.SiLU(), nn.Linear(hidden_width, target_dim)
        )

    def forward(self, patches: Tensor, queries: Tensor, grid: tuple[int, int]) -> Targets:
        """Predictions from ``patches (B, h, w, width)`` and ``queries (B, N, L)`` for a backbone's ``grid``."""
        return Targets(self.patch_head(on_grid(patches, grid)), self.query_head(queries.flatten(1)))


def on_grid(stream: Tensor, grid: tuple[int, int]) -> Tensor:
    """A stream of patches ``(B, h, w, width)`` brought to another grid."""
    stream = stream.permute(0, 3, 1, 2)
    if stream.shape[-2:] != grid:
        smaller = grid[0] < stream.shape[-2]
        stream = F.interpolate(stream, size=grid, mode="bilinear", antialias=smaller)
    return stream.permute(0, 2, 3, 1)


def alignment_loss(predicted: Targets, targets: Targets, streams: AlignedStreams = "both") -> Tensor:
    """One minus the cosine, averaged over patches, plus the same of the pooled features; or one of the two."""
    fields = {"both": ("patches", "pooled"), "patches": ("patches",), "queries": ("pooled",)}[streams]
    terms = [patch_alignment_loss(getattr(predicted, f), getattr(targets, f), channel_dim=-1) for f in fields]
    return torch.stack(terms).sum()


class TargetSource:
    """Gives the targets of a micro-batch: from the cache of the run, or from the backbone itself."""

    def __init__(self, config: SemTokConfig, paths: RunPaths, train: Images, accelerator: Accelerator) -> None:
        settings = config.alignment
        self.image_size, self.device = settings.image_size, accelerator.device
        self.backbone = FeatureBackbone(settings.backbone, weights=settings.weights).to(accelerator.device)
        self.cache: dict[str, Tensor] | None = None
        if settings.cache:
            if accelerator.is_main_process:
                write_cache(self.backbone, config, paths, train)
            accelerator.wait_for_everyone()
            self.cache = load_tensors(paths.alignment, "patches", "pooled")

    @property
    def dim(self) -> int:
        """Channels of the features."""
        return self.backbone.dim

    def __call__(self, batch: MicroBatch) -> Targets:
        """The targets of the images of a micro-batch, flipped as they are."""
        if self.cache is None:
            return backbone_features(self.backbone, batch.images, self.image_size)
        patches, pooled = (self.cache[name][batch.flips.long(), batch.indices] for name in ("patches", "pooled"))
        return Targets(to_device(patches, self.device).float(), to_device(pooled, self.device).float())


@torch.no_grad()
def backbone_features(backbone: FeatureBackbone, images: Tensor, image_size: int) -> Targets:
    """Patch and pooled features of images in [-1, 1]."""
    return Targets(*backbone.patches_and_pooled(images, image_size=image_size))


def write_cache(backbone: FeatureBackbone, config: SemTokConfig, paths: RunPaths, train: Images) -> None:
    """Features of all training images (and of the flipped ones, where they are flipped) in half precision.

    Those that are there stay if they were made from the same images, wherever these lie, by the same backbone.
    """
    record = {
        "data": {**config.data.recorded(), "source": config.data.load().checksum or config.data.source},
        "images": len(train),
        "backbone": config.alignment.backbone,
        "image_size": config.alignment.image_size,
        "weights": backbone.fingerprint(),
    }
    made_from = json.dumps(record)
    if is_whole(paths.alignment):
        if tensor_metadata(paths.alignment).get(_MADE_FROM) == made_from:
            return
        logger.info("%s: not known to be of these images and this backbone; it is made again", paths.alignment)
    variants = [False, True] if config.data.horizontal_flip else [False]
    columns: dict[str, list[Tensor]] = {"patches": [], "pooled": []}
    for flip in variants:
        parts = []
        for chunk in progress(torch.arange(len(train)).split(50), "alignment features", unit="batches", brief=True):
            images = train.batch(chunk).to(backbone.mean.device)
            features = backbone_features(backbone, images.flip(-1) if flip else images, config.alignment.image_size)
            parts.append([part.half().cpu() for part in features])
        for name, column in zip(columns, zip(*parts, strict=True), strict=True):
            columns[name].append(torch.cat(column))
    tensors = {name: torch.stack(parts) for name, parts in columns.items()}
    save_tensors(paths.alignment, tensors, {_MADE_FROM: made_from})

"""Images for training and evaluation: load any image data set, split it, and address its batches by step."""

from vistok.workbench.data.batch_order import batch_indices
from vistok.workbench.data.batches import Draw, load_batches
from vistok.workbench.data.description import SourceDescription, describe_source
from vistok.workbench.data.image_check import check_images, check_values
from vistok.workbench.data.image_set import Images, ImageSet
from vistok.workbench.data.lazy_images import LazyImageSet
from vistok.workbench.data.loading import STREAMING_LIMIT, ImageSplits, load_images
from vistok.workbench.data.named_sets import DIGITS
from vistok.workbench.data.resize import decode_image

__all__ = [
    "DIGITS",
    "STREAMING_LIMIT",
    "Draw",
    "ImageSet",
    "ImageSplits",
    "Images",
    "LazyImageSet",
    "SourceDescription",
    "batch_indices",
    "check_images",
    "check_values",
    "decode_image",
    "describe_source",
    "load_batches",
    "load_images",
]

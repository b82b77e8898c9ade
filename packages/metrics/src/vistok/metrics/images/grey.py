"""Images in one channel, for tokenizers of grey images: files are read in colour."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vistok.metrics.images.sources import ImageSource

# Rec. 601 in sixteen bits, as Pillow's mode "L" weighs red, green and blue: equal channels stay what they are.
_WEIGHTS = (19595, 38470, 7471)
_HALF = 1 << 15


class GreyImages:
    r"""A source of images whose three channels become one; what is grey already stays to the bit.

    .. math::
        L = \lfloor (19595 R + 38470 G + 7471 B + 2^{15}) / 2^{16} \rfloor

    Source:
        Rec. ITU-R BT.601, section 2.5.1, in the integers of Pillow's conversion.

    Args:
        source: Images with three channels or one.

    Shape:
        - batch: ``(B, 1, H, W)``, uint8.

    Example:
        >>> from vistok.metrics import open_images
        >>> GreyImages(open_images(torch.tensor([255, 0, 0], dtype=torch.uint8).view(1, 3, 1, 1))).batch([0]).item()
        76
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.names, self.named, self.classes = source.names, source.named, source.classes
        self.shape = (1, *source.shape[1:])

    def __len__(self) -> int:
        return len(self.source)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Images of these indices, in one channel."""
        weights = torch.tensor(_WEIGHTS).view(1, 3, 1, 1)  # they sum to one: a single channel stays what it is
        return ((self.source.batch(indices) * weights).sum(dim=1, keepdim=True) + _HALF >> 16).to(torch.uint8)

    def describe(self) -> dict[str, str]:
        """What the source says, and that its colours became grey."""
        return {**self.source.describe(), "channels": "1", "colour": "luma of Rec. 601"}

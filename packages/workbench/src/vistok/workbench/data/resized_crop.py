"""The random-resized crop: a part of any size and shape, resized to a square."""

import math
from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from vistok.metrics.images.decoding import image_to_tensor, tensor_to_image

#: Shares of an image's area that a part has by default, from and to.
SCALE = (0.08, 1.0)
_RATIO = (3 / 4, 4 / 3)  # width by height
_TRIES = 10
#: How many numbers say which part: an area and a shape for each try, a row and a column.
NUMBERS = 2 * _TRIES + 2


def resized_crop(
    pixels: Tensor, image_size: int, draw: Sequence[float], *, scale: tuple[float, float] = SCALE
) -> Tensor:
    """A drawn part of an image, resized to a square of ``image_size`` pixels a side with Pillow's bilinear filter.

    Source:
        ``RandomResizedCrop`` of torchvision with its ratio of 3/4 to 4/3, on Pillow images; equal to it to the bit.

    Args:
        pixels: ``(C, H, W)``, uint8, the whole image.
        image_size: Pixels a side.
        draw: Numbers in ``[0, 1)``, :data:`NUMBERS` of them: area and shape of each try, then row and column.
        scale: Least and largest share of the image's area.

    Shape:
        - crop: ``(C, image_size, image_size)``, uint8.
    """
    left, top, width, height = resized_crop_box(pixels.shape[2], pixels.shape[1], draw, scale)
    part = tensor_to_image(pixels[:, top : top + height, left : left + width])
    return image_to_tensor(part.resize((image_size, image_size), Image.Resampling.BILINEAR))


def resized_crop_box(
    width: int, height: int, draw: Sequence[float], scale: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Left, top, width and height of the part: of the first try that fits into the image, else the centre.

    Areas are equally likely, and so are logarithms of shapes. The centre is all of the image, or as much of its longer
    side as the ratio allows.
    """
    shapes = tuple(map(math.log, _RATIO))
    for area, shape in zip(draw[: 2 * _TRIES : 2], draw[1 : 2 * _TRIES : 2], strict=True):
        pixels = width * height * (scale[0] + area * (scale[1] - scale[0]))
        ratio = math.exp(shapes[0] + shape * (shapes[1] - shapes[0]))
        across, down = round(math.sqrt(pixels * ratio)), round(math.sqrt(pixels / ratio))
        if 0 < across <= width and 0 < down <= height:
            row, column = draw[2 * _TRIES :]
            return int(column * (width - across + 1)), int(row * (height - down + 1)), across, down
    across = min(width, round(height * _RATIO[1]))
    down = min(height, round(width / _RATIO[0]))
    return (width - across) // 2, (height - down) // 2, across, down

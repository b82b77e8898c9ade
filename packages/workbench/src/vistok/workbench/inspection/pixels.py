"""Pixels for a page: many small images as one PNG, and the part of an image around a token."""

import base64
import io
import math

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

_MARGIN = 4  # pixels around a token's patch, at most


def sprite(images: Tensor) -> dict[str, object]:
    """Images of one size as a single lossless picture, in rows, and how it is cut: what the page's script reads.

    Args:
        images: ``(n, C, H, W)`` uint8, one at least; one or three channels.

    Returns:
        ``picture`` (an address that holds the PNG itself), and ``columns``, ``width``, ``height``, ``count``.
    """
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    filled = F.pad(images, (0, 0, 0, 0, 0, 0, 0, rows * columns - count))
    grid = filled.unflatten(0, (rows, columns)).permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, channels)
    pixels = grid.cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(buffer, format="PNG", compress_level=9)
    address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"picture": address, "columns": columns, "width": width, "height": height, "count": count}


def patch(image: Tensor, place: int, grid: tuple[int, ...]) -> Tensor:
    """The part of an image that a token stands for, with a margin; beyond the border it is repeated.

    Of tokens that do not divide the image all parts are of the size above, each where its token lies.

    Args:
        image: ``(C, H, W)`` uint8.
        place: Of the token, in row-major order.
        grid: Tokens of a column and of a row. Where it says their number only, each stands for the whole image.

    Returns:
        ``(C, h + 2 m, w + 2 m)`` with ``m`` the smaller of the patch's side and 4; or the image.

    Example:
        >>> import torch
        >>> patch(torch.arange(64).view(1, 8, 8).byte(), 3, (2, 2))[0, 4:8, 4].tolist()
        [36, 44, 52, 60]
    """
    if len(grid) == 1:
        return image
    (rows, columns), (bottom, right) = grid, image.shape[-2:]
    row, column = divmod(place, columns)
    height, width = -(-bottom // rows), -(-right // columns)
    top = min(round(row * bottom / rows), bottom - height)
    left = min(round(column * right / columns), right - width)
    margin = min(height, width, _MARGIN)
    padded = F.pad(image[None].float(), (margin,) * 4, mode="replicate")[0].to(image.dtype)
    return padded[:, top : top + height + 2 * margin, left : left + width + 2 * margin]

"""Grids of images as PNG files, with labels where they help."""

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vistok.metrics.pixels import to_uint8

_GAP = 2
_MARGIN = 6
_FONT_SIZE = 13
_BACKGROUND = 255
# Small images are enlarged by whole factors (each pixel a square) until a side is about this long.
_COMFORTABLE_SIDE = 64


def image_grid(
    images: Tensor,
    *,
    columns: int,
    row_labels: Sequence[str] = (),
    column_labels: Sequence[str] = (),
    scale: int | None = None,
) -> bytes:
    r"""A PNG with the images in rows, in order, two pixels apart on white.

    Args:
        images: In ``[-1, 1]`` or uint8.
        columns: Images a row; the last row may be shorter.
        row_labels: Text left of each row, one a row, or none.
        column_labels: Text above each column, one a column, or none; cut off where it is wider than the column.
        scale: Pixels a side that each pixel becomes; ``None`` enlarges small images to about 64 pixels.

    Shape:
        - images: ``(N, 1 or 3, H, W)``.

    Raises:
        ValueError: There are no images, they have another shape, or the number of labels does not fit.

    Example:
        >>> image_grid(torch.zeros(4, 1, 32, 32), columns=2)[:4]
        b'\x89PNG'
    """
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be (N, 1 or 3, H, W) with N >= 1, got {tuple(images.shape)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    rows = -(-len(images) // columns)
    for name, labels, count in (("row_labels", row_labels, rows), ("column_labels", column_labels, columns)):
        if labels and len(labels) != count:
            raise ValueError(f"{name} must hold {count} texts or none, got {len(labels)}")
    factor = scale if scale is not None else max(1, _COMFORTABLE_SIDE // max(images.shape[-2:]))
    pixels = to_uint8(images.cpu()).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = pixels.shape[1] + _GAP, pixels.shape[2] + _GAP
    left, top = _label_width(row_labels), (_FONT_SIZE + _MARGIN if column_labels else 0)
    canvas = np.full((top + rows * height - _GAP, left + columns * width - _GAP, 3), _BACKGROUND, dtype=np.uint8)
    for index, image in enumerate(pixels):
        y, x = top + index // columns * height, left + index % columns * width
        canvas[y : y + height - _GAP, x : x + width - _GAP] = image
    picture = Image.fromarray(canvas)
    _draw_labels(picture, row_labels, column_labels, (left, top), (height, width))
    return png_bytes(picture)


def pair_grid(
    originals: Tensor, others: Tensor, *, columns: int = 8, names: tuple[str, str] = ("original", "reconstruction")
) -> bytes:
    r"""A PNG with rows of originals, each over the row of what became of them.

    Args:
        originals: ``(N, 1 or 3, H, W)``, in ``[-1, 1]`` or uint8.
        others: The same shape.
        columns: Pairs a row.
        names: Labels of the two kinds of rows.

    Raises:
        ValueError: Shapes differ, or as :func:`image_grid`.

    Example:
        >>> pair_grid(torch.zeros(3, 3, 8, 8), torch.ones(3, 3, 8, 8), columns=2)[:4]
        b'\x89PNG'
    """
    if originals.shape != others.shape:
        shapes = f"{tuple(originals.shape)} and {tuple(others.shape)}"
        raise ValueError(f"originals and others must have the same shape, got {shapes}")
    originals, others = to_uint8(originals), to_uint8(others)
    missing = -len(originals) % columns if len(originals) > columns else 0
    blank = originals.new_full((missing, *originals.shape[1:]), _BACKGROUND)
    columns = min(columns, max(1, len(originals)))
    kinds = [torch.cat([side, blank]).unflatten(0, (-1, columns)) for side in (originals, others) if len(side)]
    if not kinds:
        raise ValueError("originals must hold at least one image, got none")
    alternating = torch.stack(kinds, dim=1).flatten(0, 2)
    return image_grid(alternating, columns=columns, row_labels=names * len(kinds[0]))


def png_bytes(picture: Image.Image) -> bytes:
    """The picture as the content of a PNG file (never JPEG: its losses would be judged with the model's)."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(_FONT_SIZE)


def _label_width(labels: Sequence[str]) -> int:
    """Pixels left of the images: the longest label with a margin on both sides, or nothing."""
    return 2 * _MARGIN + max(round(_font().getlength(label)) for label in labels) if labels else 0


def _draw_labels(
    picture: Image.Image,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    origin: tuple[int, int],
    cell: tuple[int, int],
) -> None:
    draw = ImageDraw.Draw(picture)
    (left, top), (height, width) = origin, cell
    for row, label in enumerate(row_labels):
        draw.text((left - _MARGIN, top + row * height + height / 2), label, fill="black", font=_font(), anchor="rm")
    for column, label in enumerate(column_labels):
        place = (left + column * width + width / 2, top - _MARGIN / 2)
        draw.text(place, _fitting(label, width - _GAP), fill="black", font=_font(), anchor="md")


def _fitting(label: str, width: int) -> str:
    """The label, or as much of it as is not wider, with an ellipsis."""
    if _font().getlength(label) <= width:
        return label
    end = next(n for n in range(len(label), -1, -1) if n == 0 or _font().getlength(f"{label[:n]}…") <= width)
    return f"{label[:end].rstrip()}…"

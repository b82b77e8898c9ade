"""Images beside their reconstructions: two sources matched by name or by position."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from torch import Tensor

from vistok.metrics.images.sources import Batches, ImageSource, open_images

_NAMES_SHOWN = 3


class ImagePairs:
    """Equally sized images of two sources, a pair at a time; made by :func:`open_pairs`.

    Args:
        first: One source.
        second: The other.
        matches: Index in the first and in the second of each pair.
        unmatched: One line of what has no counterpart; empty where all have.
        by_name: Whether names were matched, or positions.

    Shape:
        - batch: twice ``(B, 3 or 1, H, W)``, uint8.
    """

    def __init__(
        self,
        first: ImageSource,
        second: ImageSource,
        matches: Sequence[tuple[int, int]],
        *,
        unmatched: str,
        by_name: bool,
    ) -> None:
        self.first, self.second, self._matches = first, second, matches
        self.unmatched, self.by_name = unmatched, by_name
        #: The first source's name of each pair.
        self.names: Sequence[str] = [first.names[index] for index, _ in matches]

    def __len__(self) -> int:
        return len(self._matches)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Both sides of these pairs."""
        matches = [self._matches[int(index)] for index in indices]
        return self.first.batch([one for one, _ in matches]), self.second.batch([other for _, other in matches])

    def describe(self) -> dict[str, str]:
        """What both sources say (``first: crop``, ``second: crop``), how they were matched, what was left out."""
        sides = {"first": self.first.describe(), "second": self.second.describe()}
        return {
            "pairs": str(len(self)),
            "matched": "by name" if self.by_name else "by position",
            "unmatched": self.unmatched or "none",
            **{f"{side}: {key}": value for side, said in sides.items() for key, value in said.items()},
        }


def open_pairs(
    first: str | Path | Tensor | Batches | ImageSource,
    second: str | Path | Tensor | Batches | ImageSource,
    *,
    image_size: int | None = None,
    crop: str = "none",
) -> ImagePairs:
    """Open two sources and match their images, by name where both have names, else by position.

    Names are paths below the folder; what follows the last dot does not count, so that ``a/1.jpg`` meets ``a/1.png``.
    Images without a counterpart are left out, and ``unmatched`` of :class:`ImagePairs` says so in one line.

    Args:
        first: As in :func:`vistok.metrics.open_images`; the originals, say.
        second: The other side; their reconstructions.
        image_size: Pixels a side after the crop.
        crop: Both sides go through the same one; a side that has that size already is left as it is.

    Raises:
        ValueError: Sizes or channels differ, no names match, two names of one side are equal but for what follows the
            dot, or there are no names and the counts differ; and all that :func:`vistok.metrics.open_images` raises.

    Example:
        >>> import torch
        >>> originals = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
        >>> pairs = open_pairs(originals, originals + 1)
        >>> len(pairs), [int(side.max()) for side in pairs.batch([0, 1])]
        (4, [0, 1])
    """
    one, other = (open_images(side, image_size=image_size, crop=crop) for side in (first, second))
    check_one_size("both sides", one, other)
    if not (one.named and other.named):
        if len(one) != len(other):
            raise ValueError(f"images that are matched by position must be as many, got {len(one)} and {len(other)}")
        return ImagePairs(one, other, [(i, i) for i in range(len(one))], unmatched="", by_name=False)
    places, others = _by_stem(one), _by_stem(other)
    matches = [(index, others[stem]) for stem, index in places.items() if stem in others]
    missing = [_listed("first", places, others), _listed("second", others, places)]
    unmatched = "; ".join(part for part in missing if part)
    if not matches:
        raise ValueError(f"no names match: {unmatched}")
    return ImagePairs(one, other, matches, unmatched=unmatched, by_name=True)


def check_one_size(what: str, one: ImageSource, other: ImageSource) -> None:
    """Raise ``ValueError`` unless the images of two sources have one size and as many channels."""
    if one.shape != other.shape:
        sizes = " and ".join("{2} x {1} with {0} channels".format(*side.shape) for side in (one, other))
        raise ValueError(f"{what} must have one size, got {sizes}")


def _by_stem(source: ImageSource) -> dict[str, int]:
    places: dict[str, int] = {}
    for index, name in enumerate(source.names):
        stem = str(PurePosixPath(name).with_suffix(""))
        if stem in places:
            raise ValueError(f"names must differ before the dot, got {source.names[places[stem]]} and {name}")
        places[stem] = index
    return places


def _listed(side: str, stems: dict[str, int], others: dict[str, int]) -> str:
    missing = [stem for stem in stems if stem not in others]
    if not missing:
        return ""
    shown = ", ".join(missing[:_NAMES_SHOWN])
    more = f" and {len(missing) - _NAMES_SHOWN} more" if len(missing) > _NAMES_SHOWN else ""
    return f"{len(missing)} of {len(stems)} only in the {side}: {shown}{more}"

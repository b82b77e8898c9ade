"""Which sides of images a configuration can be made for."""

from collections.abc import Callable
from itertools import count

from vistok.workbench.config import ConfigError


def check_side(side: int, fits: Callable[[int], bool], expected: str) -> None:
    """Check that a configuration can be made for images of a size.

    Args:
        side: Pixels a side.
        fits: Whether it can for some side.
        expected: Which sides about as large fit, in words.

    Raises:
        ConfigError: It cannot; the message names the nearest side that fits.

    Example:
        >>> check_side(97, lambda side: side % 4 == 0, "a multiple of 4")
        Traceback (most recent call last):
        vistok.workbench.config.ConfigError: image_size: expected a multiple of 4, the nearest is 96, got 97
    """
    if not fits(side):
        begin = max(side, 1)
        nearest = next(near for away in count() for near in (begin - away, begin + away) if near > 0 and fits(near))
        raise ConfigError(f"image_size: expected {expected}, the nearest is {nearest}, got {side}")


def token_stride(side: int, *, largest: int, smallest_grid: int) -> int:
    """The pixels of a token a side: the largest power of two that leaves a grid of a size, or half of it.

    Half of it where that divides the side and it itself does not.

    Args:
        side: Pixels of an image a side.
        largest: The stride of large images, a power of two.
        smallest_grid: Tokens a side, at least.

    Raises:
        ConfigError: The grid would have more than twice as many tokens a side as halvings of this size could give.

    Example:
        >>> [token_stride(side, largest=16, smallest_grid=8) for side in (32, 100, 512)]
        [4, 4, 16]
    """
    wanted = largest
    while wanted > 1 and side // wanted < smallest_grid:
        wanted //= 2
    least = max(1, wanted // 2)
    expected = f"a multiple of {least}" if least > 1 else f"at least {smallest_grid} pixels"
    check_side(side, lambda near: near >= smallest_grid and near % least == 0, expected)
    return wanted if side % wanted == 0 else least

"""Cards by name: memory and the rates that their makers state for dense products."""

from typing import NamedTuple

from vistok.workbench.config import ConfigError


class Card(NamedTuple):
    """A graphics card.

    Attributes:
        title: Its maker's name for it.
        gigabytes: Of memory, powers of ten.
        bfloat16: Peak FLOP/s of dense products in bfloat16, sums in float32.
        float32: The same of float32 numbers, rounded to TF32, which is what trainings here use.
    """

    title: str
    gigabytes: float
    bfloat16: float
    float32: float


CARDS = {
    "a100-40": Card("A100 40 GB", 40, 312e12, 156e12),
    "a100": Card("A100 80 GB", 80, 312e12, 156e12),
    "h100": Card("H100 SXM 80 GB", 80, 989e12, 494e12),
    "h200": Card("H200 SXM 141 GB", 141, 989e12, 494e12),
    "l40s": Card("L40S 48 GB", 48, 362e12, 183e12),
    "rtx4090": Card("GeForce RTX 4090 24 GB", 24, 165e12, 82.6e12),
}


def find_card(name: str) -> Card:
    """The card of that name, whatever its case.

    Raises:
        ConfigError: There is none; the message lists those that there are.
    """
    if name.lower() not in CARDS:
        raise ConfigError(f"gpu: expected one of {', '.join(CARDS)}, got {name!r}")
    return CARDS[name.lower()]

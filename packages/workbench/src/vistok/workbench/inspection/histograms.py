"""Histograms as a drawing inside a page, in the page's own colours."""

import html
from collections.abc import Mapping

from torch import Tensor

_WIDTH, _HEIGHT = 640, 220


def histogram_figure(histograms: Mapping[str, Tensor]) -> str:
    """Histograms over equal bins of ``[-1, 1]``, each of sum 1, as stairs, with their means in words.

    Args:
        histograms: The ``(bins,)`` of each, by its name.
    """
    shares = {name: (values.double() / values.double().sum()).tolist() for name, values in histograms.items()}
    highest = max(max(values) for values in shares.values())
    lines, legend, words = [], [], []
    for number, (name, values) in enumerate(shares.items()):
        lines.append(f'<path class="line{number}" d="{stairs(values, highest)}"/>')
        mean = sum((2 * index + 1) / len(values) * share - share for index, share in enumerate(values))
        words.append(f"{name}: mean {mean:.3f}")
        legend.append(f'<li class="line{number}"><span>{html.escape(words[-1])}</span></li>')
    label = html.escape(f"Histograms of pairwise cosines. {'; '.join(words)}. Highest share {highest:.3f}.")
    ticks = "".join(
        f'<text x="{(value + 1) / 2 * _WIDTH:g}" y="{_HEIGHT + 16}">{value:g}</text>' for value in (-1, -0.5, 0, 0.5, 1)
    )
    return (
        f'<svg role="img" aria-label="{label}" viewBox="-14 -4 {_WIDTH + 28} {_HEIGHT + 26}">{"".join(lines)}'
        f'<path class="axis" d="M0 {_HEIGHT}H{_WIDTH}"/>{ticks}</svg><ul class="legend">{"".join(legend)}</ul>'
    )


def stairs(shares: list[float], highest: float) -> str:
    """The path of a histogram whose highest bin would be ``highest``.

    Example:
        >>> stairs([0.25, 0.75], 0.75)
        'M0 220V146.67H320V0H640V220'
    """
    steps = []
    for index, share in enumerate(shares):
        steps.append(f"V{round(_HEIGHT * (1 - share / highest), 2):g}H{round((index + 1) * _WIDTH / len(shares), 2):g}")
    return f"M0 {_HEIGHT}{''.join(steps)}V{_HEIGHT}"

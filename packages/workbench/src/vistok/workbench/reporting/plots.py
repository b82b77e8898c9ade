"""Plots as PNG files: curves, histograms, code usage, rows, points. matplotlib is imported when the first is drawn."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PANEL_WIDTH = 4.2
_PANEL_HEIGHT = 2.8
_DPI = 110
_SMOOTHING_POINTS = 200
_FEW_POINTS = 30
_FEW_NAMES = 8


def plot_curves(records: Sequence[Mapping[str, Any]], panels: Mapping[str, Sequence[str]]) -> bytes:
    """Training curves from the records of ``metrics.jsonl``, one panel a group of keys.

    Curves with more than 200 points show their running mean, with the points behind it; a single point is marked.
    Records without a key are left out of its curve; a panel none of whose keys occurs is left out of the picture.

    Args:
        records: Mappings with ``step`` and values, in any order.
        panels: Title of each panel to the keys of its curves.

    Raises:
        ValueError: No record holds any of the keys.
    """
    curves = {
        title: {key: _series(records, key) for key in keys if any(key in record for record in records)}
        for title, keys in panels.items()
    }
    curves = {title: lines for title, lines in curves.items() if lines}
    if not curves:
        raise ValueError(f"no record holds any of the keys {sorted({key for keys in panels.values() for key in keys})}")
    figure, axes = _panels(len(curves))
    for axis, (title, lines) in zip(axes, curves.items(), strict=True):
        for number, (key, (steps, values)) in enumerate(lines.items()):
            smooth = _running_mean(values)
            if smooth is not None:
                axis.plot(steps, values, color=f"C{number}", alpha=0.2, linewidth=0.8)
            line = values if smooth is None else smooth
            marker = "o" if len(values) == 1 else None  # a line of one point is nothing to see
            axis.plot(steps, line, color=f"C{number}", label=key, linewidth=1.5, marker=marker)
        axis.set_title(title)
        axis.set_xlabel("step")
        axis.legend(fontsize=8, frameon=False)
    return _png(figure)


def plot_histograms(histograms: Mapping[str, Tensor]) -> bytes:
    """Histograms of cosines over equal bins of ``[-1, 1]``, each normalised to sum 1, on one pair of axes.

    Args:
        histograms: Name of each to its ``(bins,)`` entries.

    Raises:
        ValueError: There is none, or one is not ``(bins,)`` with a positive sum.
    """
    if not histograms:
        raise ValueError("histograms must hold at least one, got none")
    figure, (axis,) = _panels(1, widen=1.4)
    for name, histogram in histograms.items():
        mass = histogram.detach().cpu().double()
        if mass.ndim != 1 or not float(mass.sum()) > 0:
            raise ValueError(f"histogram {name!r} must be (bins,) with a positive sum, got {tuple(mass.shape)}")
        edges = np.linspace(-1.0, 1.0, len(mass) + 1)
        axis.stairs((mass / mass.sum()).numpy(), edges, label=name, linewidth=1.6, fill=False)
    axis.set_xlabel("cosine of a pair")
    axis.set_ylabel("share of pairs")
    axis.legend(frameon=False)
    return _png(figure)


def plot_usage(counts: Mapping[str, Tensor]) -> bytes:
    """How often each code was used, sorted, one panel a codebook, beside the level of perfectly even use.

    Args:
        counts: Name of each codebook to its ``(K,)`` counts.

    Raises:
        ValueError: There is none, or one is not ``(K,)`` with a positive sum.
    """
    if not counts:
        raise ValueError("counts must hold at least one codebook, got none")
    figure, axes = _panels(len(counts))
    for axis, (name, count) in zip(axes, counts.items(), strict=True):
        values = count.detach().cpu().double()
        if values.ndim != 1 or not float(values.sum()) > 0:
            raise ValueError(f"counts of {name!r} must be (K,) with a positive sum, got {tuple(values.shape)}")
        shares = values.sort(descending=True).values / values.sum()
        used = int((shares > 0).sum())
        perplexity = float(torch.exp(-torch.special.xlogy(shares, shares).sum()))
        axis.fill_between(np.arange(1, len(shares) + 1), shares.numpy(), step="mid", alpha=0.5)
        axis.axhline(1 / len(shares), color="black", linestyle=":", linewidth=1, label="even use")
        axis.set_title(f"{name}: {used} of {len(shares)} used, perplexity {perplexity:.0f}", fontsize=10)
        axis.set_xlabel("code, most used first")
        axis.set_ylabel("share of tokens")
        axis.legend(frameon=False, fontsize=8)
    return _png(figure)


def plot_lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, x_label: str, y_label: str, title: str = ""
) -> bytes:
    """Several measured series over the same points, with markers where the points are few.

    Raises:
        ValueError: There is no series, or one has another length than ``x``.
    """
    if not series:
        raise ValueError("series must hold at least one, got none")
    figure, (axis,) = _panels(1, widen=1.4)
    for name, values in series.items():
        if len(values) != len(x):
            raise ValueError(f"series {name!r} must hold {len(x)} values, got {len(values)}")
        axis.plot(x, values, marker="o" if len(x) <= _FEW_POINTS else None, label=name)
    axis.set_title(title)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.legend(frameon=False)
    return _png(figure)


def plot_rows(
    rows: Mapping[str, Sequence[float]],
    intervals: Mapping[str, tuple[float, float]],
    *,
    label: str,
    reference: str | None = None,
) -> bytes:
    """A line for each row: a point for each of its values, their mean, and the mean's interval where there is one.

    The picture shows all points and once their span to either side; of two values the interval may be far wider.

    Args:
        rows: The values of each row, from the top down; a row without values keeps its line.
        intervals: Of some rows.
        label: What the horizontal axis shows.
        reference: The row whose mean is drawn through all lines.

    Raises:
        ValueError: No row has a value.
    """
    if not any(len(values) for values in rows.values()):
        raise ValueError("rows must hold at least one value, got none")
    figure, (axis,) = _panels(1, widen=1.4, height=0.9 + 0.34 * len(rows))
    for line, (name, values) in enumerate(rows.items()):
        if name in intervals:
            axis.plot(intervals[name], (line, line), color="C0", linewidth=2, alpha=0.35, solid_capstyle="butt")
        axis.plot(values, [line] * len(values), "o", color="C0", markersize=5, alpha=0.8, markeredgewidth=0)
        if len(values):
            axis.plot(np.mean(values), line, "|", color="black", markersize=11, markeredgewidth=1.8)
    if reference is not None and len(rows.get(reference, ())):
        axis.axvline(np.mean(rows[reference]), color="black", linestyle=":", linewidth=1)
    points = [value for values in rows.values() for value in values]
    span = max(points) - min(points)
    left, right = axis.get_xlim()
    if span:
        axis.set_xlim(max(left, min(points) - span), min(right, max(points) + span))
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xlabel(label)
    return _png(figure)


def plot_scatter(panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], *, y_label: str) -> bytes:
    """Points of several groups, a panel each of what the horizontal axis shows.

    Args:
        panels: Label of the horizontal axis to the groups of points by name, each with its x and its y.
        y_label: What the vertical axis shows.

    Raises:
        ValueError: There is no panel.
    """
    if not panels:
        raise ValueError("panels must hold at least one, got none")
    figure, axes = _panels(len(panels))
    for axis, (label, groups) in zip(axes, panels.items(), strict=True):
        for name, (x, y) in groups.items():
            axis.plot(x, y, "o", markersize=4, alpha=0.7, markeredgewidth=0, label=name)
        axis.set_xlabel(label)
        axis.set_ylabel(y_label)
    names = list(dict.fromkeys(name for groups in panels.values() for name in groups))
    if 1 < len(names) <= _FEW_NAMES:
        axes[0].legend(frameon=False, fontsize=7)
    return _png(figure)


def plot_labelled_points(
    points: Mapping[str, tuple[float, float]],
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_label: str,
    y_label: str,
) -> bytes:
    """Named points, and curves to compare them with, such as codecs at several rates.

    Args:
        points: Each with its x and its y.
        curves: Each a sequence of x and y, in the order of the line.
        x_label: What the horizontal axis shows.
        y_label: What the vertical axis shows.

    Raises:
        ValueError: There is no point.
    """
    if not points:
        raise ValueError("points must hold at least one, got none")
    figure, (axis,) = _panels(1, widen=1.9)
    for number, (name, curve) in enumerate(curves.items()):
        axis.plot(*zip(*curve, strict=True), ".--", color=f"C{number + 1}", linewidth=1, label=name)
    for number, (name, (x, y)) in enumerate(points.items(), 1):
        axis.plot(x, y, "o", color="C0", markersize=5)
        axis.annotate(str(number), (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
        axis.plot([], [], " ", label=f"{number}  {name}")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    axis.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return _png(figure)


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[float], list[float]]:
    points = sorted((record["step"], record[key]) for record in records if key in record and "step" in record)
    return [step for step, _ in points], [value for _, value in points]


def _running_mean(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Mean over a centred window of a fiftieth of the curve, narrower at its ends; none for short curves."""
    if len(values) <= _SMOOTHING_POINTS:
        return None
    half = len(values) // 100
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(values, dtype=np.float64))])
    starts = np.maximum(np.arange(len(values)) - half, 0)
    stops = np.minimum(np.arange(len(values)) + half + 1, len(values))
    means: np.ndarray[Any, np.dtype[np.float64]] = (sums[stops] - sums[starts]) / (stops - starts)
    return means


def _panels(count: int, *, widen: float = 1.0, height: float | None = None) -> tuple[Any, list[Any]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(count, 3)
    rows = -(-count // columns)
    size = (_PANEL_WIDTH * widen * columns, height or _PANEL_HEIGHT * widen * rows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # Without the writer's version and the time of writing, equal plots are equal files.
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()

"""Plots: pictures that are equal for equal input, and errors that name what is missing."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from _support.mutants import catches
from vistok.workbench.reporting.plots import (
    _running_mean,
    _series,
    plot_curves,
    plot_histograms,
    plot_labelled_points,
    plot_lines,
    plot_rows,
    plot_scatter,
    plot_usage,
)

SUBJECT = "vistok.workbench.reporting.plots"

RECORDS = [{"step": step, "loss": 1 / (1 + step)} for step in (2, 0, 1)] + [{"step": 1, "psnr": 20.0}]


@catches(SUBJECT, "points = sorted(", "points = list(")
def test_curves_are_sorted_and_skip_records_without_their_key():
    assert _series(RECORDS, "loss") == ([0, 1, 2], [1.0, 0.5, pytest.approx(1 / 3)])
    assert _series(RECORDS, "psnr") == ([1], [20.0])


@catches(SUBJECT, "np.arange(len(values)) + half + 1", "np.arange(len(values)) + half")
@catches(SUBJECT, "/ (stops - starts)", "/ (2 * half + 1)")
def test_long_curves_get_a_running_mean_that_keeps_a_constant():
    assert _running_mean([1.0] * 200) is None
    assert _running_mean([3.0] * 500) == pytest.approx([3.0] * 500)
    assert _running_mean([float(v) for v in range(500)])[250] == pytest.approx(250)


@catches(SUBJECT, '"o" if len(values) == 1 else None', "None")
def test_a_curve_of_a_single_point_can_be_seen():
    blue = (31, 119, 180)
    picture = plot_curves([{"step": 1, "loss": 0.5}], {"loss": ["loss"]})
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    blue_pixels = (pixels == blue).all(-1)
    height, width = blue_pixels.shape
    assert blue_pixels[height // 5 : height * 4 // 5, width * 2 // 5 : width * 3 // 5].sum() > 20  # not the legend's


def test_every_plot_is_a_png_and_equal_for_equal_input():
    for draw in (
        lambda: plot_curves(RECORDS, {"loss": ["loss"], "quality": ["psnr"], "absent": ["nothing"]}),
        lambda: plot_histograms({"teacher": torch.ones(40), "student": torch.arange(40)}),
        lambda: plot_usage({"semantic": torch.arange(16), "visual": torch.ones(4)}),
        lambda: plot_labelled_points({"a": (1, 2), "b": (2, 1)}, {"JPEG": [(0, 1), (2, 3)]}, x_label="r", y_label="q"),
        lambda: plot_lines([25, 50], {"with": [1, 2], "without": [0, 1]}, x_label="kept (%)", y_label="PSNR (dB)"),
    ):
        picture = draw()
        assert picture.startswith(b"\x89PNG")
        assert picture == draw()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: plot_curves(RECORDS, {"none": ["absent"]}), "absent"),
        (lambda: plot_histograms({}), "at least one"),
        (lambda: plot_histograms({"empty": torch.zeros(3)}), "'empty'"),
        (lambda: plot_usage({}), "at least one"),
        (lambda: plot_labelled_points({}, {}, x_label="x", y_label="y"), "at least one"),
        (lambda: plot_usage({"semantic": torch.zeros(3)}), "'semantic'"),
        (lambda: plot_lines([1], {}, x_label="x", y_label="y"), "at least one"),
        (lambda: plot_lines([1], {"a": [1, 2]}, x_label="x", y_label="y"), "'a' must hold 1"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def coloured(picture):
    """The share of columns in which each pixel is neither grey nor white, by line."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    return (pixels.max(-1) - pixels.min(-1)) > 30


@catches(SUBJECT, "if name in intervals:", "if False:")
@catches(SUBJECT, "max(left, min(points) - span), min(right, max(points) + span)", "left, right")
def test_rows_show_their_points_and_their_intervals_and_a_wide_one_hides_no_point():
    rows = {"a": [1.0, 2.0], "b": [1.5], "c": []}
    plain = coloured(plot_rows(rows, {}, label="score"))
    narrow = coloured(plot_rows(rows, {"a": (0.9, 2.1)}, label="score"))
    wide = coloured(plot_rows(rows, {"a": (-100.0, 100.0)}, label="score"))
    assert plain.sum() < narrow.sum() < wide.sum()
    apart = np.flatnonzero(wide.any(0))
    assert np.ptp(apart) > wide.shape[1] // 2
    points = np.flatnonzero(coloured(plot_rows({"a": [1.0, 2.0]}, {"a": (-100.0, 100.0)}, label="s")).sum(0) > 4)
    assert np.ptp(points) > wide.shape[1] // 5


@catches(SUBJECT, "if reference is not None and", "if False and")
def test_the_mean_of_the_reference_is_drawn_through_all_rows():
    rows = {"a": [1.0, 2.0], "b": [1.5, 3.0]}
    assert plot_rows(rows, {}, label="score") != plot_rows(rows, {}, label="score", reference="a")


@catches(SUBJECT, "if 1 < len(names) <= _FEW_NAMES:", "if True:")
def test_scattered_points_have_a_legend_where_their_groups_are_few():
    few = plot_scatter({"gini": {"a": ([1.0], [2.0])}}, y_label="FID")
    many = plot_scatter({"gini": {str(n): ([1.0], [2.0]) for n in range(20)}}, y_label="FID")
    assert Image.open(io.BytesIO(few)).size == Image.open(io.BytesIO(many)).size
    assert coloured(few).sum() < 150  # a point, and no second one in a legend
    assert coloured(many).sum() < 150


def test_rows_without_values_and_scatter_without_panels_are_refused():
    with pytest.raises(ValueError, match="rows must hold at least one value, got none"):
        plot_rows({"a": []}, {}, label="score")
    with pytest.raises(ValueError, match="panels must hold at least one, got none"):
        plot_scatter({}, y_label="FID")

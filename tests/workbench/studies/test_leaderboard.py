"""A leaderboard: rows and codecs in one table, their rates and qualities, reconstructions under their originals."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.metrics import RateDistortionPoint
from vistok.metrics.report.page import Picture, Table
from vistok.workbench.config import ConfigError, parse_config
from vistok.workbench.run.tensor_files import save_tensors
from vistok.workbench.studies import leaderboard
from vistok.workbench.studies.cells import cells_of
from vistok.workbench.studies.leaderboard import leaderboard_sections
from vistok.workbench.studies.outcomes import FAILED, FINISHED, Outcome, keep_outcome
from vistok.workbench.studies.results import Results
from vistok.workbench.studies.schema import Leaderboard, Study

SUBJECT = "vistok.workbench.studies.leaderboard"
MEASURES = {"rate": {"path": "rate"}, "PSNR": {"path": "psnr"}, "usage": {"path": "usage"}}
BOARD = {
    "rate": "rate",
    "quality": {"PSNR": "psnr"},
    "originals": "pictures.safetensors/originals",
    "reconstructions": {"_support.toy_recipe": "pictures.safetensors/made"},
}
ROWS = {"base": {}, "heavy": {"set": {"weight": 2}}, "small": {"set": {"weight": 3}}, "failed": {"set": {"weight": 4}}}
VALUES = {
    "base": {"rate": {0: 0.5, 1: 0.7}, "PSNR": {0: 20.0, 1: 22.0}, "usage": {0: 0.9}},
    "heavy": {"rate": {0: 1.0}, "PSNR": {0: 25.0}, "usage": {}},
    "small": {"rate": {0: 0.2}, "PSNR": {}, "usage": {}},
    "failed": {"rate": {}, "PSNR": {}, "usage": {}},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two rows with the same originals, one with others, one that failed; digits at 16 pixels."""
    runs = tmp_path_factory.mktemp("runs")
    study = Study.model_validate(STUDY | {"measures": MEASURES, "rows": ROWS, "leaderboard": BOARD, "seeds": (0, 1)})
    cells = cells_of(study, Path(), data=None)
    for cell in cells:
        folder = runs / cell.run.name
        folder.mkdir(exist_ok=True)
        (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"source": "digits", "image_size": 16}}))
        originals = torch.full((20, 1, 16, 16), 9 if cell.row == "small" else 5, dtype=torch.uint8)
        made = torch.full_like(originals, 50 + cell.run.seed)
        save_tensors(folder / "pictures.safetensors", {"originals": originals, "made": made})
    outcomes = [Outcome(FAILED if cell.row == "failed" else FINISHED) for cell in cells]
    for cell, outcome in zip(cells, outcomes, strict=True):
        keep_outcome(cell, runs, outcome)
    return Results("mine", study, None, runs, cells, VALUES, outcomes, [{}] * len(cells))


def with_few_images(monkeypatch):
    """Codecs fitted to 300 images in place of 4,500 and measured on 60 in place of 500, of all classes."""
    read = leaderboard._images

    def few(cells, runs):
        (parts, why), steps = read(cells, runs), (15, 8)
        return tuple(
            dataclasses.replace(part, images=part.images[::step][:300], labels=part.labels[::step][:300])
            for part, step in zip(parts, steps, strict=True)
        ), why

    monkeypatch.setattr(leaderboard, "_images", few)


def stand_ins(images, train_images, *, bits_per_pixel):
    """Codecs under the names that real ones have, with a quality that nothing was measured for."""
    point = RateDistortionPoint(bits_per_pixel, bits_per_pixel, 30.0 + bits_per_pixel, 0.9)
    names = ("JPEG, quality 20", "WebP, quality 30", f"PCA, {int(bits_per_pixel * 256 + 1e-6)} bits")
    return dict.fromkeys(names, point)


def blocks(sections, heading):
    (found,) = [section.blocks for section in sections if section.heading == heading]
    return found


@catches(SUBJECT, "summary and summary.mean", "summary and summary.num")
@catches(SUBJECT, "{board.rate: point.bits_per_pixel}", "{board.rate: point.psnr}")
@catches(SUBJECT, "factor * (sum(rows) / len(rows))", "factor")
def test_rows_and_codecs_stand_in_one_table_that_can_be_sorted(results, monkeypatch):
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", stand_ins)
    (table,) = blocks(leaderboard_sections(results), "Leaderboard")
    assert isinstance(table, Table)
    assert table.sortable
    rows = {name: numbers for name, *numbers in table.rows}
    assert table.header == ["row", "seeds", "rate", "PSNR", "usage"]
    assert rows["base"] == pytest.approx([2, 0.6, 21.0, 0.9])
    assert rows["heavy"] == [1, 1.0, 25.0, None]
    mean = (0.6 + 1.0 + 0.2) / 3
    components = {name: numbers for name, numbers in rows.items() if name.startswith("PCA")}
    assert components == {
        f"PCA, {int(rate * 256 + 1e-6)} bits": [None, pytest.approx(rate), pytest.approx(30 + rate), None]
        for rate in (0.5 * mean, mean, 2 * mean, 4 * mean)
    }
    assert {"JPEG", "WebP"} <= {name.partition(",")[0] for name in rows}


def test_codecs_are_measured_on_images_of_the_run(results, monkeypatch):
    with_few_images(monkeypatch)
    (table,) = blocks(leaderboard_sections(results), "Leaderboard")
    codecs = {name: numbers for name, *numbers in table.rows if "," in name}
    assert {name.partition(",")[0] for name in codecs} == {"JPEG", "WebP", "PCA"}
    assert sum(name.startswith("PCA") for name in codecs) == 4
    components = [numbers for name, numbers in codecs.items() if name.startswith("PCA")]
    assert all(rate < 2.5 and 8 < quality < 60 and usage is None for _, rate, quality, usage in components)


@catches(SUBJECT, "max(fewer, min(more, held))", "fewer")
@catches(SUBJECT, "_VALUES // (train.channels * train.image_size**2)", "_VALUES // train.image_size")
def test_codecs_are_fitted_to_all_small_images_and_to_some_large_ones(monkeypatch):
    """Of 4,500 images of 32 x 32 all are used, where memory may hold them; 0.9 dB more than 2,000 give at 384 bits."""
    counts = []
    monkeypatch.setattr(leaderboard, "_some", lambda images, count: counts.append(count) or torch.zeros(1))
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", lambda *_, **__: {})
    for channels, side in ((1, 32), (3, 64), (3, 256)):
        images = SimpleNamespace(channels=channels, image_size=side)
        leaderboard._codecs(images, images, [1.0])
    assert counts == [500, 5000, 500, 2730, 500, 2000]


@catches(SUBJECT, 'if board.codec_rates == "rows":', "if False:")
@catches(SUBJECT, "return sorted(set(rows))", "return list(rows)")
def test_codecs_stand_at_the_rows_own_rates_where_these_are_a_curve():
    board = Leaderboard.model_validate(BOARD | {"codec_rates": "rows"})
    assert leaderboard._rates(board, [1.0, 0.2, 1.0, 0.5]) == [0.2, 0.5, 1.0]


@catches(SUBJECT, "(rate.mean, quality.mean)", "(quality.mean, rate.mean)")
@catches(SUBJECT, 'name.partition(",")[0], []', "name, []")
@catches(SUBJECT, "if quality and not rate]", "if not rate]")
def test_codecs_are_curves_and_rows_points(results, monkeypatch):
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", stand_ins)
    drawn = []
    monkeypatch.setattr(
        leaderboard, "plot_labelled_points", lambda *given, **labels: drawn.append((*given, labels)) or b"\x89PNG"
    )
    unrated = VALUES | {"small": {"rate": {}, "PSNR": {0: 9.0}, "usage": {}}}
    (whole,) = blocks(leaderboard_sections(results), "Rate and distortion")
    (picture,) = blocks(leaderboard_sections(dataclasses.replace(results, values=unrated)), "Rate and distortion")
    assert whole.caption.endswith("up and left is better.")
    assert picture.caption == f"{whole.caption} Without rate, so not here: small."
    points, curves, labels = drawn[0]
    assert points == {"base": pytest.approx((0.6, 21.0)), "heavy": (1.0, 25.0)}
    assert set(curves) == {"JPEG", "WebP", "PCA"}
    assert len(curves["PCA"]) == 4
    assert labels == {"x_label": "rate", "y_label": "PSNR"}


@catches(SUBJECT, "if torch.equal(group[0], originals)", "")
@catches(SUBJECT, "if cell.row in seen:", "if False:")
def test_each_rows_reconstructions_lie_under_their_own_originals(results, monkeypatch):
    grids = []

    def image_grid(rows, *, columns, row_labels):
        grids.append((rows[::columns, 0, 0, 0].tolist(), row_labels))
        return b"\x89PNG"

    monkeypatch.setattr(leaderboard, "image_grid", image_grid)
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", lambda *_, **__: {})
    pictures = blocks(leaderboard_sections(results), "Reconstructions")
    assert all(isinstance(picture, Picture) for picture in pictures)
    assert grids == [([5, 50, 50], ["original", "base", "heavy"]), ([9, 50], ["original", "small"])]


@catches(SUBJECT, "if read_outcome(cell, results.runs).state == FINISHED]", "]")
@catches(SUBJECT, "if not cells:", "if False:")
def test_what_was_made_elsewhere_has_numbers_and_no_picture(results, monkeypatch):
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", lambda *_, **__: {})
    labels = []
    monkeypatch.setattr(
        leaderboard, "image_grid", lambda rows, *, columns, row_labels: labels.append(row_labels) or b"\x89PNG"
    )
    joined = cells_of(results.study, Path(), data=None, seeds=(7,))
    (results.runs / joined[0].run.name).mkdir(exist_ok=True)  # begun here, and not finished
    cells = [*joined, *(cell for cell in results.cells if cell.row in ("base", "small"))]
    outcomes = [Outcome(FINISHED)] * len(cells)
    found = Results("mine", results.study, None, results.runs, cells, VALUES, outcomes, [{}] * len(cells))
    sections = leaderboard_sections(found)
    assert labels == [["original", "base"], ["original", "small"]]
    assert len(blocks(sections, "Leaderboard")[0].rows) == 4
    elsewhere = Results("mine", results.study, None, results.runs, joined, VALUES, outcomes[:4], [{}] * 4)
    sections = leaderboard_sections(elsewhere)
    assert [section.heading for section in sections] == ["Leaderboard", "Rate and distortion", "Codecs"]
    assert blocks(sections, "Codecs")[0].text == "Left out: no cell is finished here."
    assert len(blocks(sections, "Leaderboard")[0].rows) == 4


@catches(SUBJECT, "except (OSError, ValueError) as error:", "except (OSError, KeyError) as error:")
def test_images_that_are_gone_leave_out_the_codecs_alone(results, monkeypatch):
    def gone(self):
        raise ValueError("data '/data/photos' is no file or folder here")

    monkeypatch.setattr(leaderboard.DataConfig, "load", gone)
    sections = leaderboard_sections(results)
    assert blocks(sections, "Codecs")[0].text == "Left out: data '/data/photos' is no file or folder here."
    assert len(blocks(sections, "Leaderboard")[0].rows) == 4
    assert len(blocks(sections, "Rate and distortion")) == 1
    assert len(blocks(sections, "Reconstructions")) == 2


@catches(SUBJECT, "if pictures and images and images[0].attribution", "if False")
def test_who_made_the_images_stands_under_them(results, monkeypatch):
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", lambda *_, **__: {})
    (train, validation), _ = leaderboard._images(results.cells, results.runs)
    assert len(leaderboard_sections(results)[-1].blocks) == 2
    made = dataclasses.replace(train, attribution="drawn by somebody, CC BY")
    monkeypatch.setattr(leaderboard, "_images", lambda *_: ((made, validation), ""))
    assert blocks(leaderboard_sections(results), "Reconstructions")[-1].text == "Images: drawn by somebody, CC BY"


@catches(SUBJECT, "or all(outcome.state != FINISHED for outcome in results.outcomes)", "")
def test_there_is_nothing_to_show_before_a_cell_is_finished(results, monkeypatch):
    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", lambda *_, **__: {})
    unfinished = Results(
        "mine", results.study, None, results.runs, results.cells, VALUES, [Outcome(FAILED)] * 8, [{}] * 8
    )
    assert leaderboard_sections(unfinished) == []


@catches(SUBJECT, "return [], str(error)", "raise")
def test_codecs_that_cannot_be_measured_are_left_out_with_the_reason(results, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("less than one bit an image")

    monkeypatch.setattr(leaderboard, "rate_distortion_baselines", refuse)
    sections = leaderboard_sections(results)
    (text,) = blocks(sections, "Codecs")
    assert "less than one bit an image" in text.text
    (table,) = blocks(sections, "Leaderboard")
    assert len(table.rows) == 4


def test_a_measure_that_there_is_not_is_told():
    with pytest.raises(ConfigError, match="leaderboard: expected measures of score, got 'rate'"):
        parse_config(Study, STUDY | {"leaderboard": BOARD}, source="a.yaml")

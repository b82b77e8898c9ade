"""The shared sections of a report show what they say, and the page and its pictures are written."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from _support.mutants import catches
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.workbench.recipe_config import SampleConfig
from vistok.workbench.reporting.sections import (
    data_line,
    generator_rows,
    load_environment,
    making_section,
    missing_sections,
    reconstruction_section,
    reconstruction_table,
    sample_picture,
    sample_section,
    sample_table,
    training_section,
    write_page,
)
from vistok.workbench.run.folder import environment_record, write_config
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.training.loop import TrainConfig

SUBJECT = "vistok.workbench.reporting.sections"

RECONSTRUCTION = {"psnr": 21.5, "ssim": 0.75, "perceptual_distance": 0.125, "frechet_distance": 3.5}
MEASURES = {
    "images": {"train": 1200, "validation": 34, "skipped": []},
    "features": "lite0 at 32 px",
    "names": {"perceptual_distance": "Lite0 perceptual distance", "frechet_distance": "Lite0-FID"},
    "reference": {"of": "training", "count": 1200, "real images": "held-out"},
    "left out": {},
    "mean image": {"psnr": 11.25},
    "reconstruction": RECONSTRUCTION,
    "real images": {"count": 12.0, "frechet_distance": 1.5},
    "samples xar": {"count": 12.0, "frechet_distance": 2.5},
}


def where_red_is(picture, shade):
    """Rows and columns of the pixels of this red; labels are grey."""
    pixels = np.asarray(Image.open(io.BytesIO(picture.png)))
    return np.nonzero((pixels == (shade, 0, 0)).all(-1))


def red(shades):
    """Images of 64 pixels a side, each of one red."""
    images = torch.zeros(len(shades), 3, 64, 64, dtype=torch.uint8)
    images[:, 0] = torch.as_tensor(shades, dtype=torch.uint8)[:, None, None]
    return images


def blocks(section, kind):
    return [block for block in section.blocks if isinstance(block, kind)]


def table_values(section):
    (table,) = blocks(section, Table)
    return {row[0]: row[1] for row in table.rows}


def test_reconstructions_stand_under_their_originals():
    section = reconstruction_section(red([60] * 24), red([160] * 24), MEASURES, caption="what they are")
    (picture,) = blocks(section, Picture)
    assert picture.caption == "what they are"
    above, below = (where_red_is(picture, shade) for shade in (60, 160))
    assert len(above[0]) == len(below[0]) == 24 * 64 * 64
    assert np.array_equal(above[0] + 66, below[0])
    assert np.array_equal(above[1], below[1])
    assert table_values(section) == {
        "PSNR": 21.5,
        "PSNR of the mean training image": 11.25,
        "SSIM": 0.75,
        "Lite0 perceptual distance": 0.125,
        "Lite0-FID": 3.5,
    }


def test_figures_are_called_after_the_network_that_they_were_measured_in():
    names = {"perceptual_distance": "perceptual distance on dino", "frechet_distance": "Frechet distance on dino"}
    measures = {**MEASURES, "names": names}
    shown = [row[0] for row in (*reconstruction_table(measures).rows, *sample_table(measures, "xar").rows)]
    assert shown.count("Frechet distance on dino") == 2
    assert not any("Lite0" in name or "FID" in name for name in shown)


@catches(SUBJECT, "± {deviation:.2g}", "± {value:.2g}")
def test_a_distance_has_its_deviation_and_its_value_at_infinity_beside_it_and_says_what_it_is_to():
    certain = {"frechet_distance_at_infinity": 2.25, "frechet_distance_deviation": 0.125}
    measures = {**MEASURES, "reconstruction": {**RECONSTRUCTION, "frechet_distance_deviation": 0.125}}
    measures["samples xar"] = {**MEASURES["samples xar"], **certain}
    shown = {row[0]: row[1:3] for row in sample_table(measures, "xar").rows}
    assert shown["Lite0-FID"] == ["2.500 ± 0.12", 1.5]
    assert shown["Lite0-FID at infinity"] == [2.25, None]
    assert (
        "12 held-out images as the floor, each beside 1,200 training images;" in sample_table(measures, "xar").caption
    )
    measures["reference"] = MEASURES["reference"] | {"statistics": "adm.npz"}
    assert "training images (Frechet distances: the statistics adm.npz);" in sample_table(measures, "xar").caption
    shown = {row[0]: row[1] for row in reconstruction_table(measures).rows}
    assert shown["Lite0-FID"] == "3.500 ± 0.12"


def test_a_figure_that_is_missing_has_no_line_and_its_reason_is_told():
    measures = {
        **MEASURES,
        "reconstruction": {"psnr": 21.5},
        "left out": {"reconstruction: SSIM": "images must be at least 11 pixels a side"},
        "images": {**MEASURES["images"], "skipped": ["train/a.png (truncated)", "validation/b.png (empty)"]},
    }
    assert len(reconstruction_table(measures).rows) == 2
    (section,) = missing_sections(measures)
    reasons, unreadable = blocks(section, Table)
    assert reasons.rows == [["reconstruction: SSIM", "images must be at least 11 pixels a side"]]
    assert [row[0] for row in unreadable.rows] == ["train/a.png (truncated)", "validation/b.png (empty)"]
    assert missing_sections(MEASURES) == []


def test_the_table_of_another_section_can_be_asked_for():
    other = {**RECONSTRUCTION, "psnr": 30.0}
    table = reconstruction_table({**MEASURES, "refined": other}, "refined")
    assert table.rows[0][1] == 30.0
    assert table.caption == "All 34 validation images; features: lite0 at 32 px."


@catches(SUBJECT, 'samples["labels"].unique().tolist()[', "[*range(10)][")
def test_samples_of_classes_far_apart_are_shown_for_the_first_ten_that_have_some():
    labels = torch.linspace(0, 199, 16).long()
    names = [str(number) for number in range(200)]
    picture = sample_picture({"images": red(40 * torch.ones(16)), "labels": labels}, names)
    assert where_red_is(picture, 40)[1].max() == 66 * 9 + 63


@catches(SUBJECT, "for c in classes], dim=1).flatten()", "for c in classes], dim=0).flatten()")
def test_samples_stand_in_the_column_of_their_class():
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 0])
    section = sample_section(
        {"images": red(40 * (labels + 1)), "labels": labels}, MEASURES, ("a", "b", "c"), label="xar"
    )
    (picture,) = blocks(section, Picture)
    for column, shade in enumerate((40, 80, 120)):
        rows, columns = where_red_is(picture, shade)
        assert len(rows) == 2 * 64 * 64  # two of each class, since class b has no more
        assert columns.min() == 66 * column
        assert columns.max() == 66 * column + 63
    assert section.heading == "Samples: xar"


@catches(
    SUBJECT,
    '_share(values["recognised"]), _share(real["recognised"])',
    '_share(real["recognised"]), _share(values["recognised"])',
)
def test_recognition_is_shown_where_it_was_measured():
    samples = {"images": torch.zeros(4, 1, 8, 8, dtype=torch.uint8), "labels": torch.arange(4) % 2}
    plain = table_values(sample_section(samples, MEASURES, ("a", "b"), label="xar"))
    assert plain == {"Lite0-FID": 2.5}
    judged = {
        "samples xar": {**MEASURES["samples xar"], "recognised": 0.5, "recall": 0.25, "diversity": 0.5},
        "real images": {**MEASURES["real images"], "recognised": 0.975, "recall": 0.75, "diversity": 1.1},
    }
    (table,) = blocks(sample_section(samples, {**MEASURES, **judged}, ("a", "b"), label="xar"), Table)
    assert [row[:3] for row in table.rows] == [
        ["Lite0-FID", 2.5, 1.5],
        ["recall", "25.0%", "75.0%"],
        ["diversity", 0.5, 1.1],
        ["recognised", "50.0%", "97.5%"],
    ]


def test_classes_without_a_sample_have_no_column():
    samples = {"images": red([40, 80]), "labels": torch.tensor([2, 0])}
    (picture,) = blocks(sample_section(samples, MEASURES, ("a", "b", "c"), label="xar"), Picture)
    assert where_red_is(picture, 80)[1].min() == 0
    assert where_red_is(picture, 40)[1].min() == 66


@catches(SUBJECT, "        if curve:\n", "        if records:\n")
def test_only_trainings_that_ran_have_curves():
    records = [
        {"stage": stage, "step": step, name: 1.0 / step}
        for stage, name in (("tokenizer", "reconstruction"), ("far", "loss"))
        for step in (1, 2)
    ]
    trainings = [("tokenizer", {"reconstruction": ["reconstruction"]}, "Terms."), ("refiner", {"l1": ["l1"]}, "Other.")]
    section = training_section(records, trainings, ["xar", "far"])
    assert [picture.caption for picture in blocks(section, Picture)] == ["Terms.", "far: training loss."]


@catches(SUBJECT, "named_versions(versions)] for stage", "named_versions({})] for stage")
def test_how_it_was_made_names_the_machine_and_the_recipes_settings():
    environment = environment_record()
    section = making_section(environment, [["tokenizer", "6 steps of 8 images"]])
    values = table_values(section)
    assert list(values) == ["command", "machine", "python", "versions", "tokenizer"]
    assert values["machine"].endswith(f"{environment['cores']} cores, {environment['torch_threads']} threads")
    assert f"torch {environment['versions']['torch']}" in values["versions"]
    assert blocks(section, Text)
    later = environment | {"versions by stage": {"encode": {"torch": "9", "timm": "2"}}}
    assert table_values(making_section(later, []))["versions of encode"] == "torch 9, timm 2"


def test_the_environment_is_the_one_the_run_recorded(tmp_path):
    from vistok.workbench.config import Config

    write_config(tmp_path, Config(), "train", anew=True)
    assert load_environment(RunPaths(tmp_path)) == environment_record()


@catches(SUBJECT, 'return f"{line}. {counts[\'attribution\']}" if "attribution" in counts else line', "return line")
@catches(
    SUBJECT,
    "{counts['train']:,} training and {counts['validation']:,} validation",
    "{counts['validation']:,} training and {counts['train']:,} validation",
)
def test_the_line_under_the_title():
    line = data_line(MEASURES, "digits train", image_size=16, seed=3, processor="a processor")
    assert line == "digits train: 1,200 training and 34 validation images at 16 px; seed 3; a processor"
    named = MEASURES | {"images": MEASURES["images"] | {"attribution": "Drawn by Ada, CC BY-SA 4.0"}}
    assert data_line(named, "digits train", image_size=16, seed=3, processor="a processor") == (
        f"{line}. Drawn by Ada, CC BY-SA 4.0"
    )


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, format="PNG")
    return buffer.getvalue()


def test_the_page_and_its_pictures_are_written(tmp_path, png):
    one, two = (
        Section("Samples: masked AR", [Picture(png, "p")]),
        Section("Two", [Picture(png, "p"), Picture(png, "q")]),
    )
    paths = RunPaths(tmp_path)
    for _ in range(2):  # a second report replaces the first
        write_page(paths, "default", "Title", [one, two, Section("None")], subtitle="line")
    names = sorted(path.name for path in paths.pictures.iterdir())
    assert names == ["samples-masked-ar.png", "two-1.png", "two-2.png"]
    assert (paths.pictures / "two-2.png").read_bytes() == png
    assert "<h1>Title</h1>" in paths.report().read_text()


@catches(SUBJECT, "if paths.inspection.exists():", "if True:")
def test_a_page_links_to_the_one_that_looks_into_the_codes_where_there_is_one(tmp_path):
    paths = RunPaths(tmp_path)
    write_page(paths, "default", "Title", [], subtitle="")
    assert "inspect.html" not in paths.report().read_text()
    paths.inspection.write_text("page")
    write_page(paths, "default", "Title", [], subtitle="")
    assert '<a href="inspect.html">The inspector</a>' in paths.report().read_text()


@catches(SUBJECT, 'if key != "batch_size")', ")")
def test_each_generator_has_a_line_of_its_training_and_one_a_sample_set():
    train = TrainConfig(steps=40, batch_size=8)
    cold = SampleConfig(num_samples=10, batch_size=5)
    rows = generator_rows({"far": SimpleNamespace(train=train, samples={"default": SampleConfig(), "cold": cold})})
    assert rows == [
        ["generator far", "40 steps of 8 images"],
        ["samples far, default", "num samples 500, mixed precision bf16"],
        ["samples far, cold", "num samples 10, mixed precision bf16"],
    ]

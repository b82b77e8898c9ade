"""The verdict: each threshold, from both sides; what is missing is not judged."""

import pytest

from _support.mutants import catches
from vistok.metrics.report.page import Table, Text, render_report
from vistok.workbench.reporting.verdict import findings, verdict_section

SUBJECT = "vistok.workbench.reporting.verdict"

REAL = {
    "count": 500.0,
    "frechet_distance": 20.0,
    "recognised": 0.95,
    "chance": 0.1,
    "precision": 0.9,
    "coverage": 0.8,
    "diversity": 1.0,
}


def judged(values, usage=None, **sections):
    """Level of every finding of one kind of samples with some values, beside the floor's."""
    measures = {"mean image": {"psnr": 11.0}, "real images": REAL, **sections}
    if values is not None:
        measures["samples xar"] = {"count": 500.0, **values}
    return {found.subject: found.level for found in findings(measures, reconstruction="final", usage=usage or {})}


@pytest.mark.parametrize(
    ("psnr", "level"), [(8.0, "did not work"), (11.0, "did not work"), (13.0, "in part"), (14.0, "worked")]
)
def test_a_reconstruction_must_beat_the_mean_image(psnr, level):
    assert judged(None, final={"psnr": psnr}) == {"reconstruction": level}


@pytest.mark.parametrize(
    ("share", "level"), [(0.0, "did not work"), (0.2, "did not work"), (0.4, "in part"), (0.6, "worked")]
)
def test_most_codes_must_be_in_use(share, level):
    assert judged(None, usage={"visual codebook": share}) == {"visual codebook": level}


@pytest.mark.parametrize(
    ("values", "subject", "level"),
    [
        ({"frechet_distance": 90.0}, "distance", "worked"),
        ({"frechet_distance": 150.0}, "distance", "in part"),
        ({"frechet_distance": 200.0}, "distance", "did not work"),
        ({"recognised": 0.2}, "classes", "did not work"),
        ({"recognised": 0.5}, "classes", "in part"),
        ({"recognised": 0.9}, "classes", "worked"),
        ({"precision": 0.1}, "quality", "did not work"),
        ({"precision": 0.3}, "quality", "in part"),
        ({"precision": 0.7}, "quality", "worked"),
        ({"coverage": 0.1}, "coverage", "did not work"),
        ({"diversity": 0.1}, "variety", "did not work"),
        ({"diversity": 1.1}, "variety", "worked"),
        ({"diversity": 0.0}, "variety", "did not work"),
        ({"diversity": 0.8}, "variety", "worked"),
        ({"diversity": 1.45}, "variety", "in part"),
        ({"diversity": 2.5}, "variety", "did not work"),
    ],
)
def test_samples_are_judged_beside_real_images(values, subject, level):
    assert judged(values) == {f"samples xar: {subject}": level}


@catches(SUBJECT, "fewer >= max(FEWEST_IMAGES, AS_MANY * more)", "fewer >= FEWEST_IMAGES")
@catches(SUBJECT, "fewer >= max(FEWEST_IMAGES, AS_MANY * more)", "fewer >= AS_MANY * more")
@catches(SUBJECT, "numbers is None or key not in _BY_NUMBER", "True")
@catches(SUBJECT, '_BY_NUMBER = ("frechet_distance", "coverage")', '_BY_NUMBER = ("frechet_distance",)')
@catches(SUBJECT, "{words}; of real images", "{words}; of training images")
def test_what_changes_with_the_number_of_images_is_judged_between_about_equal_and_enough():
    """Noise has 7 times the distance of 20 real digits, and 33 times that of 200."""
    values = {"frechet_distance": 90.0, "coverage": 0.8, "precision": 0.9}
    enough, few = ((500, 500), (200, 200), (500, 449), (400, 500)), ((500, 20), (199, 199), (500, 399), (218, 500))
    for samples, images in (*enough, *few):
        judged_by_number = (samples, images) in enough
        found = findings(
            {"real images": {**REAL, "count": float(images)}, "samples xar": {**values, "count": float(samples)}},
            reconstruction="final",
            usage={},
        )
        levels = {each.subject.removeprefix("samples xar: "): each.level for each in found}
        by_number = {"distance": "worked", "coverage": "worked"}
        unjudged = {"distance and coverage": "not judged"}
        assert levels == {"quality": "worked"} | (by_number if judged_by_number else unjudged)
        if not judged_by_number:
            (said,) = [each for each in found if each.level == "not judged"]
            assert said.measured.startswith(f"{samples} samples beside {images} real images; ")
            assert "as many samples" in said.advice
            assert "Not judged: samples xar: distance and coverage." in verdict_section(found).blocks[0].text
        assert "90% lie among real images; of real images 90%" in [each.measured for each in found]


@catches(SUBJECT, 'if "recognised" not in values or "chance" not in real:', 'if "recognised" not in values:')
def test_what_was_not_measured_is_not_judged():
    assert findings({}, reconstruction="final", usage={}) == []
    assert judged({"count": 5.0}) == {}
    assert findings({"real images": {}, "samples far": {"recognised": 1.0}}, reconstruction="final", usage={}) == []


@catches(SUBJECT, "if good <= nothing:", "if good < 0:")
def test_a_judge_that_hardly_tells_classes_apart_judges_nothing():
    weak = {**REAL, "recognised": 0.2}
    assert judged({"recognised": 0.15}, **{"real images": weak}) == {}


@catches(SUBJECT, '"" if level == "worked" else advice', "advice")
def test_the_section_says_in_words_what_worked_and_what_to_try():
    found = findings(
        {"final": {"psnr": 9.5}, "mean image": {"psnr": 11.0}}, reconstruction="final", usage={"a": 0.9, "b": 0.05}
    )
    section = verdict_section(found)
    words, table = section.blocks
    assert isinstance(words, Text)
    assert isinstance(table, Table)
    assert words.text == "Worked: a. Did not work: reconstruction, b."
    rows = {row[0]: row for row in table.rows}
    assert rows["reconstruction"][2] == "PSNR 9.5 dB; the mean training image has 11.0 dB"
    assert "train the tokenizer longer" in rows["reconstruction"][3]
    assert rows["a"][3] == ""
    assert "What to try".lower() in render_report("t", [section])
    assert verdict_section([]).blocks[0].text == "Nothing could be judged."

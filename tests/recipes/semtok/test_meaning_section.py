"""What tokens mean, on the page: each number under its name, beside what it is to be read with."""

import shutil

import pytest
import torch

from _support.mutants import catches
from _support.semtok_runs import TINY, tiny
from semtok import meaning_section as module
from semtok.cli import COMMANDS, Options
from semtok.meaning_section import meaning_section
from semtok.paths import RunPaths
from semtok.stages import choose_entries, stages
from vistok.metrics.report.page import Table
from vistok.workbench.evaluation.evaluation_file import load_evaluation

SUBJECT = "semtok.meaning_section"
STORED = {"images": torch.zeros(2, 4, 1, 16, 16, dtype=torch.uint8), "places": torch.tensor([0, 3])}
MEASURES = {
    "agreement": {"class_between": 0.9, "class_as_original": 0.8, "class_other_image": 0.1, "cosine_between": 0.7},
    "swaps": {"change": 5.0, "area": 0.02, "all_change": 50.0, "all_area": 0.3},
    "information": {"mean": 0.2, "most": 0.5, "permuted": 0.001, "class_entropy": 3.3},
    "probe": {"accuracy": 0.94, "most_frequent_class": 0.11, "pixels": 0.91, "pca_codes": 0.88},
    "places": {"place": [0, 3], "change": [4.0, 6.0], "area": [0.01, 0.03], "information": [0.1, 0.3]},
}


@catches(SUBJECT, 'found.get(f"{key}_other_image")', 'found.get("class_other_image")')
@catches(SUBJECT, 'found["most"], found["class_entropy"]', 'found["class_entropy"], found["most"]')
@catches(SUBJECT, 'found[key], found[f"all_{key}"]', 'found[f"all_{key}"], found[key]')
def test_every_number_stands_beside_what_bounds_it():
    table = next(block for block in meaning_section(STORED, MEASURES).blocks if isinstance(block, Table))
    assert [row[1:3] for row in table.rows] == [
        *([0.9, 0.1], [0.8, 0.1], [0.7, None], [5.0, 50.0], [0.02, 0.3], [0.2, 0.001], [0.5, 3.3]),
        *([0.94, 0.11], [0.88, 0.11], [0.91, 0.11]),
    ]
    few = {"swaps": MEASURES["swaps"]}
    table = next(block for block in meaning_section(STORED, few).blocks if isinstance(block, Table))
    assert [row[1:3] for row in table.rows] == [[5.0, 50.0], [0.02, 0.3]]


@catches("semtok.reconstruct", 'if "refined" in measures:', "if measures:")
def test_the_pictures_are_named_by_the_stage_that_decoded_them():
    for measures, stage in ((MEASURES, "stage I"), (MEASURES | {"refined": {}}, "stage II")):
        assert meaning_section(STORED, measures).blocks[0].caption.startswith(f"What {stage} makes of an image's own")


@catches(SUBJECT, "value / whole for value", "value for value")
@catches(SUBJECT, 'place + 1 for place in found["place"]', 'place for place in found["place"]')
def test_places_are_counted_from_1_and_changes_are_shares(monkeypatch):
    drawn = []
    monkeypatch.setattr(module, "plot_lines", lambda x, lines, **_: drawn.append((x, lines)) or b"\x89PNG")
    meaning_section(STORED, MEASURES)
    assert drawn == [
        ([1, 4], {"share of the change that all tokens make": [0.08, 0.12], "area of the change": [0.01, 0.03]}),
        ([1, 4], {"mean over its bits": [0.1, 0.3]}),
    ]


@catches("semtok.stages", "if config.evaluations[evaluation].meaning else ()", "")
def test_pictures_belong_to_an_evaluation_that_measures_meaning(tmp_path):
    paths = RunPaths(tmp_path)
    for meaning, written in (("true", ["evaluation.json", "swaps.safetensors"]), ("false", ["evaluation.json"])):
        config = tiny(f"evaluations.default.meaning={meaning}")
        found = stages(config, paths, choose_entries(config, None, None, None))
        (outputs,) = [stage.outputs for stage in found if stage.name == "evaluate.default"]
        assert [path.name for path in outputs] == written
    assert paths.swaps("fine").name == "swaps--fine.safetensors"


@pytest.mark.slow
def test_a_run_that_is_asked_for_them_has_both_on_its_page(stage_two, tmp_path):
    shutil.copytree(stage_two, tmp_path / "tiny")
    settings = ("evaluations.default.meaning=true", "evaluations.default.codecs=true")
    options = Options(config=TINY, runs=tmp_path, set=settings)
    for command in ("reconstruct", "evaluate", "report"):
        COMMANDS[command](options)
    paths = RunPaths(tmp_path / "tiny")
    measures = load_evaluation(paths)
    assert {"agreement", "swaps", "information", "places", "rate and distortion"} <= set(measures)
    assert {"accuracy", "pixels", "pca_codes"} <= set(measures["probe"])
    assert measures["rate and distortion"]["psnr"] == pytest.approx(measures["refined"]["psnr"])
    page = paths.report().read_text()
    assert "What tokens mean</h2>" in page
    assert "Rate and distortion</h2>" in page

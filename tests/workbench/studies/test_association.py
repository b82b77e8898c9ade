"""Correlations over studies: which cells are compared, which are one, and what the page says."""

import json

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.studies.association import Group, points_of, read_cells, write_correlations

SUBJECT = "vistok.workbench.studies.association"


def write_study(folder, cells, *, data="digits", study="mine", overrides=None, reads=None):
    """A study.json; ``cells`` are row, seed, generators, and values by (measure, generator).

    ``reads`` are rows by the row whose run they read from at the same seed.
    """
    entries, values = [], []
    for row, seed, generators, numbers in cells:
        other = (reads or {}).get(row)
        settings = {"row": row} if other is None else {"teacher": {"checkpoint": f"{{runs}}/{data}-{other}-{seed}/a"}}
        run = {"recipe": "glotok", "config": "digits", "content": None, "set": settings}
        made = {"samples": None, "evaluation": None, "folder": f"{data}-{row}-{seed}"}
        entries.append({"row": row, "seed": seed, "generators": generators, **run, **made})
        values += [
            {"row": row, "seed": seed, "measure": name, "generator": generator, "value": value}
            for (name, generator), value in numbers.items()
        ]
    folder.mkdir(parents=True, exist_ok=True)
    found = {"study": study, "data": data, "cells": entries, "values": values, "try": overrides or {}}
    (folder / "study.json").write_text(json.dumps(found))


def five_rows(generator="xar"):
    """Gini falls where FID falls, but for one pair."""
    numbers = [(0.1, 10.0), (0.2, 20.0), (0.3, 40.0), (0.4, 30.0), (0.5, 50.0)]
    return [
        (f"row {index}", seed, [generator], {("Gini", None): gini + seed / 100, ("FID", generator): fid + seed})
        for index, (gini, fid) in enumerate(numbers)
        for seed in (0, 1)
    ]


@catches(SUBJECT, 'images = found["data"] or _images_of(cell)', 'images = "data"')
@catches(SUBJECT, 'each["generator"] in (None, generator)', "True")
def test_neither_data_sets_nor_generators_are_pooled(tmp_path):
    both = {("Gini", None): 0.5, ("FID", "xar"): 1.0, ("FID", "far"): 2.0}
    write_study(tmp_path / "a", [("base", 0, ["xar", "far"], both)])
    write_study(tmp_path / "b", [("base", 0, ["xar"], {("FID", "xar"): 9.0})], data="emoji64")
    found = read_cells([tmp_path])
    values = {group: [cell.values for cell in cells] for group, cells in found.items()}
    assert values == {
        Group("digits", "xar"): [{"Gini": 0.5, "FID": 1.0}],
        Group("digits", "far"): [{"Gini": 0.5, "FID": 2.0}],
        Group("emoji64", "xar"): [{"FID": 9.0}],
    }


def write_unnamed(folder, **changes):
    """A study of one cell that names no images."""
    write_study(folder, [(folder.name, 0, ["xar"], {("FID", "xar"): 1.0})], data=None)
    found = json.loads((folder / "study.json").read_text())
    found["cells"][0].update({"set": {}, **changes})
    (folder / "study.json").write_text(json.dumps(found))


@catches(SUBJECT, 'found["data"] or _images_of(cell)', 'found["data"] or "data"')
@catches(SUBJECT, 'if section == "data":', "if False:")
@catches(SUBJECT, "settings | {name: value} if name else", "")
@catches(SUBJECT, 'else _section(cell["set"], "data")', "else settings")
@catches(SUBJECT, 'sorted(cell["set"].items())', 'cell["set"].items()')
@catches(SUBJECT, "plain_value(settings[name])", "settings[name]")
@catches(SUBJECT, 'cell["content"] is not None and "source" in settings', '"source" in settings')
@catches(SUBJECT, 'cell["content"] is not None and "source" in settings', 'cell["content"] is not None')
def test_images_that_studies_do_not_name_are_told_apart_by_configurations_and_what_they_say_of_them(tmp_path):
    write_unnamed(tmp_path / "a")
    write_unnamed(tmp_path / "b", config="openmoji32")
    write_unnamed(tmp_path / "c", recipe="vqgan")
    write_unnamed(tmp_path / "d", set={"data.horizontal_flip": True, "train.steps": 9})
    write_unnamed(tmp_path / "e", set={"data.source": "x", "data": {"source": "y", "image_size": 64}})
    own = {"train": {"steps": 9}, "data": {"source": "x", "image_size": "64.0", "workers": 2}}
    write_unnamed(tmp_path / "f", config="mine", content=own)
    write_unnamed(tmp_path / "g", config="other", content={"data": {"source": "x"}}, set={"data.image_size": 64})
    write_unnamed(tmp_path / "h", config="other", content={"data": {"source": "y", "image_size": 64}})
    write_unnamed(tmp_path / "i", config="other", content={"data": {"image_size": 64}})
    write_unnamed(tmp_path / "j", config="other", content={"data": None})
    rows = {group.data: [cell.label for cell in cells] for group, cells in read_cells([tmp_path]).items()}
    assert rows == {
        "glotok digits": ["mine: a", "mine: d"],
        "glotok openmoji32": ["mine: b"],
        "vqgan digits": ["mine: c"],
        "glotok digits, source=x, image_size=64": ["mine: e"],
        "source=x, image_size=64": ["mine: f", "mine: g"],
        "source=y, image_size=64": ["mine: h"],
        "glotok other, image_size=64": ["mine: i"],
        "glotok other": ["mine: j"],
    }
    page = write_correlations([tmp_path], ["FID"], ["FID"], tmp_path / "out")
    assert "glotok openmoji32, xar" in page.read_text()


@catches(SUBJECT, '.setdefault((row, cell["folder"]), drawn)', '.setdefault((file, row, cell["folder"]), drawn)')
def test_a_cell_of_two_studies_is_one_point_with_the_measures_of_both(tmp_path):
    write_study(tmp_path / "a", [("base", 0, ["xar"], {("Gini", None): 0.5})], study="one")
    write_study(tmp_path / "b", [("base", 0, ["xar"], {("FID", "xar"): 7.0})], study="other")
    (cells,) = read_cells([tmp_path]).values()
    assert [cell.values for cell in cells] == [{"Gini": 0.5, "FID": 7.0}]


@catches(SUBJECT, "text = text.replace(folder,", "text.replace(folder,")
@catches(SUBJECT, "{short_checksum(_made_of(other, cells))}", "any")
@catches(SUBJECT, "{short_checksum(_made_of(other, cells))}", "{other['row']}")
def test_a_row_that_reads_from_the_run_of_another_is_one_row_at_all_seeds_and_in_all_studies(tmp_path):
    rows = ("base", "other", "learner", "pupil")
    cells = [(row, seed, ["xar"], {("Gini", None): 0.5, ("FID", "xar"): 7.0}) for seed in (0, 1, 2) for row in rows]
    write_study(tmp_path / "a", cells, reads={"learner": "base", "pupil": "other"})
    (found,) = read_cells([tmp_path]).values()
    assert [cell.label for cell in found] == [f"mine: {row}" for row in rows] * 3
    identities = [cell.row for cell in found]
    assert len(set(identities)) == 4
    assert identities[:4] == identities[4:8] == identities[8:]
    (tmp_path / "b").mkdir()
    text = (tmp_path / "a" / "study.json").read_text().replace('"row": "base", "seed"', '"row": "teacher", "seed"')
    (tmp_path / "b" / "study.json").write_text(text)
    (both,) = read_cells([tmp_path]).values()
    assert len(both) == 12


@catches(SUBJECT, 'if found.get("try"):', "if False:")
def test_a_try_is_left_out_and_said_so(tmp_path, caplog):
    write_study(tmp_path / "a", [("base", 0, ["xar"], {("FID", "xar"): 7.0})])
    write_study(tmp_path / "b", [("base", 0, ["xar"], {("FID", "xar"): 700.0})], overrides={"train.steps": 20})
    with caplog.at_level("INFO"):
        (cells,) = read_cells([tmp_path]).values()
    assert [cell.values for cell in cells] == [{"FID": 7.0}]
    assert caplog.messages == [f"left out: {tmp_path / 'b' / 'study.json'}, a try with train.steps"]


@catches(SUBJECT, 'if not any(cell["generators"] for cell in found["cells"]):', "if False:")
@catches(SUBJECT, "if not merged:", "if False:")
def test_studies_without_generators_are_named_and_an_error_where_there_are_no_others(tmp_path, caplog):
    bare = [("base", seed, [], {("PSNR", None): 20.0}) for seed in (0, 1)]
    write_study(tmp_path / "a", bare)
    with pytest.raises(
        ConfigError, match=r"folders: expected a study with generators that is no try, got .*study\.json$"
    ):
        write_correlations([tmp_path / "a"], ["PSNR"], ["FID"], tmp_path / "out")
    write_study(tmp_path / "b", five_rows())
    caplog.clear()
    with caplog.at_level("INFO"):
        read_cells([tmp_path])
    assert caplog.messages == [f"left out: {tmp_path / 'a' / 'study.json'}, whose cells have no generator"]


@catches(SUBJECT, "if predictor in cell.values and outcome in cell.values]", "if predictor in cell.values]")
def test_points_are_of_cells_that_have_both_and_know_their_row(tmp_path):
    write_study(tmp_path, [*five_rows(), ("new", 0, ["xar"], {("Gini", None): 0.9})])
    (cells,) = read_cells([tmp_path]).values()
    points = points_of(cells, "Gini", "FID")
    assert points.predictor.tolist() == pytest.approx([0.1, 0.11, 0.2, 0.21, 0.3, 0.31, 0.4, 0.41, 0.5, 0.51])
    assert len(set(points.rows)) == 5
    assert points.rows[0] == points.rows[1] != points.rows[2]


@catches(SUBJECT, "for each in (points, points.row_means())", "for each in (points, points)")
@catches(SUBJECT, "points = points_of(cells, predictor, outcome)", "points = points_of(cells, outcome, outcome)")
def test_the_page_has_both_correlations_of_cells_and_of_row_means(tmp_path):
    write_study(tmp_path / "studies", five_rows())
    page = write_correlations([tmp_path / "studies"], ["Gini"], ["FID"], tmp_path / "out")
    (entry,) = json.loads((tmp_path / "out" / "correlations.json").read_text())
    assert (entry["data"], entry["generator"], entry["cells"], entry["rows"]) == ("digits", "xar", 10, 5)
    assert entry["Spearman of row means"][0] == pytest.approx(0.9)  # one pair of five turned: 1 - 6 * 2 / 120
    assert entry["Kendall of row means"][0] == pytest.approx(8 / 10)
    assert entry["Kendall of cells"][0] == pytest.approx(37 / 45)  # 4 of the 45 pairs of cells are turned
    assert "+0.90" in page.read_text()
    assert (tmp_path / "out" / "pictures" / "correlations-1.png").exists()


@catches(SUBJECT, "enough = count >= FEWEST_ROWS", "enough = True")
def test_too_few_rows_are_said(tmp_path):
    write_study(tmp_path / "a", five_rows()[:8])
    page = write_correlations([tmp_path / "a"], ["Gini"], ["FID"], tmp_path / "out")
    assert "fewer than 5 rows" in page.read_text()


@catches(SUBJECT, "if name not in known:", "if False:")
@catches(SUBJECT, "if not files:", "if False:")
def test_measures_and_studies_that_there_are_not_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"folders: expected at least one study\.json in .*, got none"):
        read_cells([tmp_path])
    write_study(tmp_path, five_rows())
    with pytest.raises(ConfigError, match="predictors: expected some of FID, Gini, got 'Gigi'"):
        write_correlations([tmp_path], ["Gigi"], ["FID"], tmp_path / "out")
    with pytest.raises(ConfigError, match="outcomes: expected some of FID, Gini, got 'IS'"):
        write_correlations([tmp_path], ["Gini"], ["IS"], tmp_path / "out")

"""The page of a study: every number where it belongs, and what is missing said."""

from pathlib import Path

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.metrics.report.page import Picture, Section, Table, Text
from vistok.workbench.studies.cells import cells_of
from vistok.workbench.studies.outcomes import FINISHED, Outcome
from vistok.workbench.studies.pages import study_sections, verdict, write_page, write_study
from vistok.workbench.studies.results import Results
from vistok.workbench.studies.schema import Measure, Study
from vistok.workbench.studies.statistics import Summary, paired_difference, summarize

SUBJECT = "vistok.workbench.studies.pages"
MEASURES = {
    "FID": {"path": "fid", "better": "lower", "digits": 1},
    "PSNR": {"path": "psnr", "better": "higher", "unit": "dB"},
}
ROWS = {"base": {"paper": {"FID": 1.43}}, "heavy": {"set": {"weight": 2}, "note": "much"}}
VALUES = {
    "base": {"FID": {0: 10.0, 1: 12.0, 2: 14.0}, "PSNR": {0: 20.0, 1: 21.0, 2: 22.0}},
    "heavy": {"FID": {0: 8.0, 1: 10.1, 2: 12.1}, "PSNR": {0: 20.5}},
}
COST = {"wall_seconds": 120.0, "cpu_seconds": 60.0, "peak_memory_bytes": 2**31}


def results(values=VALUES, outcomes=None, **changes):
    study = Study.model_validate(
        STUDY | {"measures": MEASURES, "rows": ROWS, "reference": "base", "seeds": (0, 1, 2)} | changes
    )
    cells = cells_of(study, Path(), data=None)
    outcomes = outcomes or [Outcome(FINISHED)] * len(cells)
    costs = [{"train": COST, "evaluate.default": COST}] * len(cells)
    return Results("mine", study, None, Path("/runs"), cells, values, outcomes, costs)


def table(found, heading):
    (section,) = [section for section in study_sections(found) if section.heading.startswith(heading)]
    return section.blocks[0]


@catches(SUBJECT, 'if summary and summary.num < most else ""', 'if False else ""')
@catches(SUBJECT, "summary.deviation:.{measure.digits}f", "summary.mean:.{measure.digits}f")
@catches(SUBJECT, "study.rows[row].paper.get(column)", "study.rows[row].paper.get(row)")
@catches("vistok.workbench.studies.results", "return max(len(", "return min(len(")
def test_the_table_has_mean_deviation_seeds_and_the_papers_numbers():
    found = table(results(), "Results")
    assert found.header == ["row", "seeds", "FID ↓", "FID, paper", "PSNR, dB ↑"]
    assert found.rows == [
        ["base", "3", "12.0 ± 2.0", "1.43", "21.00 ± 1.00"],
        ["heavy", "3", "10.1 ± 2.1", "–", "20.50 (of 1)"],
    ]


@catches(SUBJECT, "summary.mean:+z.", "summary.mean:z.")
@catches(SUBJECT, "if row == study.reference:", "if False:")
@catches(SUBJECT, "if each and each.interval]", "if each]")
@catches(SUBJECT, "(1 - LEVEL) * len(certain)", "LEVEL * len(certain)")
def test_differences_have_an_interval_and_a_word_where_it_excludes_zero():
    found = table(results(), "Differences to base")
    difference = paired_difference(VALUES["heavy"]["FID"], VALUES["base"]["FID"])
    low, high = difference.interval
    assert found.rows == [["heavy", f"-1.9 [{low:+.1f}, {high:+.1f}] better", "+0.50 (one seed)"]]
    assert found.caption.endswith(
        "One seed has no interval. Of 1 intervals 1 exclude 0; of rows that are alike about 0.1 would."
    )


@catches(SUBJECT, '(difference.mean > 0) == (measure.better == "higher")', "difference.mean > 0")
@catches(SUBJECT, "if not difference.excludes_zero", "if difference.interval is None")
def test_what_is_better_depends_on_the_measure():
    more, less = summarize([1.0, 1.1, 0.9]), summarize([-1.0, -1.1, -0.9])
    words = {
        better: [verdict(each, Measure(path="m", better=better)) for each in (more, less)]
        for better in ("higher", "lower", "none")
    }
    assert words == {"higher": [" better", " worse"], "lower": [" worse", " better"], "none": [" other", " other"]}
    assert verdict(Summary(2, 1.0, 1.0, (-1.0, 3.0)), Measure(path="m", better="higher")) == ""


@catches(SUBJECT, "ended.state == FINISHED and costs]", "costs]")
@catches(SUBJECT, "((WALL, 60), (CPU, 60), (MEMORY, 2**30))", "((WALL, 60), (CPU, 1), (MEMORY, 2**30))")
@catches(SUBJECT, 'name.partition(".")[0] == stage', "name == stage")
@catches(SUBJECT, "map(total_cost, costs) if total]", "map(total_cost, costs)]")
def test_costs_are_means_over_the_finished_cells():
    outcomes = [Outcome(FINISHED)] * 5 + [Outcome("failed", "toy: broken")]
    found = table(results(outcomes=outcomes, costs=["evaluate", "report"]), "Costs")
    assert found.header[5:8] == ["evaluate, minutes", "evaluate, CPU minutes", "evaluate, GiB"]
    means, nothing = [4.0, 2.0, 2.0, 2.0, 1.0, 2.0], [None, None, None]
    assert found.rows == [["base", 3, *means, *nothing], ["heavy", 2, *means, *nothing]]
    assert len(found.header) == len(found.rows[0])


@catches(SUBJECT, "if not any(values.values()):", "if False:")
def test_an_empty_study_has_a_page_that_says_so(tmp_path):
    nothing = {row: {name: {} for name in MEASURES} for row in ROWS}
    found = results(nothing, [Outcome("not finished")] * 6)
    missing = table(found, "What is missing")
    assert missing.rows == [["base", "0, 1, 2", "not finished"], ["heavy", "0, 1, 2", "not finished"]]
    assert missing.caption == "0 of 6 cells are finished."
    page = write_study(found, tmp_path)
    assert "not finished" in page.read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"study.html", "study.md", "study.json"}


@catches(
    SUBJECT,
    "intervals = {row: each.interval for row, each in summaries.items() if each and each.interval}",
    "intervals = {}",
)
def test_every_measure_has_a_picture_and_every_row_its_settings(tmp_path):
    sections = {section.heading: section.blocks for section in study_sections(results())}
    missing = ["What is missing"]  # PSNR at two seeds
    assert list(sections) == ["What is tested", *missing, "Results", "Differences to base", "Plots", "Rows", "Costs"]
    pictures = sections["Plots"]
    assert [picture.caption.partition(".")[0] for picture in pictures] == [
        "FID ↓",
        "PSNR, dB ↑",
    ]
    assert all("95 % interval" in picture.caption for picture in pictures)
    (rows,) = sections["Rows"]
    assert rows.rows[1] == ["heavy", STUDY["recipe"], "any", "", "weight = 2", "much"]


@catches(SUBJECT, "key in each and each[key] == value", "key in each")
@catches(SUBJECT, "if key not in common}\n        config", "}\n        config")
def test_settings_of_all_rows_stand_once_those_of_the_command_among_them():
    rows = {"a": {"set": {"weight": 1, "deep": True}}, "b": {"set": {"weight": 2}}}
    study = Study.model_validate(STUDY | {"rows": rows, "set": {"train.steps": 9}})
    cells = cells_of(study, Path(), data=None, overrides={"train.steps": 5, "size": 8})
    values = {row: {"score": {}} for row in rows}
    found = table(Results("mine", study, None, Path(), cells, values, [Outcome(FINISHED)] * 4, [{}] * 4), "Rows")
    assert [row[4] for row in found.rows] == ["weight = 1, deep = true", "weight = 2"]
    assert found.caption == "All rows: train.steps = 5, size = 8."
    only = Results("mine", study, None, Path(), cells[:1], {"a": {"score": {}}}, [Outcome(FINISHED)], [{}])
    assert table(only, "Rows").rows[0][4] == "weight = 1, deep = true"


def test_both_pages_hold_the_same(tmp_path):
    png = b"\x89PNG picture"
    blocks = [Text("Words."), Table(["a", "b"], [["x|y", 0.12345], [None, 3]], "Caption."), Picture(png, "Seen.")]
    page = write_page(tmp_path, "mine", "Title", [Section("Part", blocks)], subtitle="Below")
    assert page == tmp_path / "mine.html"
    assert (tmp_path / "mine.md").read_text() == (
        "# Title\n\nBelow\n\n## Part\n\nWords.\n\n"
        "| a | b |\n| --- | --- |\n| x\\|y | 0.1235 |\n|  | 3 |\n\nCaption.\n\n"
        "![Seen.](pictures/mine-1.png)\n\nSeen.\n"
    )
    assert (tmp_path / "pictures" / "mine-1.png").read_bytes() == png
    assert all(word in page.read_text() for word in ("Title", "Below", "Words.", "0.1235", "Caption.", "Seen."))

"""Measures of runs in one table: which differ, which way is better, and what is within their spread."""

from _support.mutants import catches
from vistok.workbench.reporting.measure_table import comparable, measure_tables

SUBJECT = "vistok.workbench.reporting.measure_table"


def evaluation(**changes):
    own = {
        "features": "Lite0",
        "names": {"frechet_distance": "Lite0-FID"},
        "images": {"train": 40, "validation": 5},
        "reconstruction": {
            "psnr": 20.0,
            "mean_absolute_error": 9.0,
            "frechet_distance": 40.0,
            "frechet_distance_deviation": 3.0,
        },
        "codes": {"bits_per_image": 64.0},
        "uniformity": {"gini": 0.5},
        "real images": {"recognised": 0.9},
    }
    return own | changes


def rows(table):
    return {row[0]: row[1:] for row in table.rows}


@catches(SUBJECT, '" ▲" if difference > 0 else " ▼"', '" ▼" if difference > 0 else " ▲"')
@catches(SUBJECT, '" ▼" if difference > 0 else " ▲"', '" ▲" if difference > 0 else " ▼"')
@catches(SUBJECT, "difference = run[key] - reference[key]", "difference = reference[key] - run[key]")
@catches(SUBJECT, "_DEVIATIONS * hypot", "3 * _DEVIATIONS * hypot")
@catches(SUBJECT, "if name.endswith(_DEVIATION):", "if False:")
def test_each_run_is_beside_the_first_with_its_sign():
    better = {"psnr": 22.5, "frechet_distance": 48.0, "frechet_distance_deviation": 4.0}
    worse = {"psnr": 19.0, "frechet_distance": 55.0, "frechet_distance_deviation": 4.0}
    main, others = measure_tables(
        {"A": evaluation(), "B": evaluation(reconstruction=better), "C": evaluation(reconstruction=worse)}
    )
    found = rows(main)
    assert main.header == ["measure", "A", "B", "C"]
    assert found["reconstruction: PSNR, dB"] == ["20.00", "22.50 (+2.5 ▲)", "19.00 (−1 ▼)"]
    # 8 is within twice the root of 3² + 4², which is 10, and 15 is not.
    assert found["reconstruction: Lite0-FID"] == ["40.00", "48.00 (+8 ≈)", "55.00 (+15 ▼)"]
    assert others.rows == []
    assert found["codes: bits per image"] == ["64.00", "64.00 (=)", "64.00 (=)"]


@catches(SUBJECT, '"reconstruction" if section == own else section', "section")
@catches(SUBJECT, "not section.startswith(_ASIDE)", "True")
def test_a_recipe_may_call_its_reconstructions_otherwise_and_measures_of_one_run_stay_alone():
    other = evaluation(
        refined={"psnr": 23.0, "mean_absolute_error": 9.0}, uniformity={"gini": 0.25}, bits={"alive": 1.0}
    )
    del other["reconstruction"]
    main, others = measure_tables({"A": evaluation(), "B": other})
    assert rows(main)["reconstruction: PSNR, dB"] == ["20.00", "23.00 (+3 ▲)"]
    assert rows(main)["reconstruction: Lite0-FID"] == ["40.00", "–"]
    assert not any("real images" in name or "deviation" in name for name in rows(main))
    assert rows(others) == {"uniformity: gini": ["0.5000", "0.2500 (−0.25)"]}


@catches(SUBJECT, "if len(set(values)) > 1:\n            said", "if False:\n            said")
@catches(SUBJECT, '_DATA = ("source", ', '_DATA = ("streaming", ')
def test_what_keeps_numbers_from_being_compared_is_said():
    data = {"source": "digits", "image_size": 32, "validation_fraction": 0.1, "streaming": False}
    assert comparable({"A": evaluation(), "B": evaluation()}, [data, data | {"streaming": True}]) == []
    other = evaluation(features="Inception", images={"train": 40, "validation": 6})
    first, second = comparable({"A": evaluation(), "B": other}, [data, data])
    assert first == "Not to be compared as they stand: the features differ (Lite0; Inception)."
    assert "(40 train, 5 validation; 40 train, 6 validation)" in second
    for key, value in (("source", "openmoji"), ("image_size", 64), ("validation_fraction", 0.2)):
        (said,) = comparable({"A": evaluation(), "B": evaluation()}, [data, data | {key: value}])
        assert said == f"Not to be compared as they stand: the values of data.{key} differ ({data[key]}; {value})."


@catches(SUBJECT, "    return said + _of_other_counts(runs)", "    return said")
@catches(SUBJECT, 'if run.get((section, "count")) != reference.get((section, "count")):', "if False:")
def test_measures_of_other_numbers_of_samples_have_no_sign_and_are_told():
    drawn = {"count": 500.0, "precision": 0.5, "recall": 0.5}
    runs = {
        "A": evaluation(**{"samples xar": drawn, "real images": {"count": 500.0}}),
        "B": evaluation(**{"samples xar": drawn | {"count": 100.0, "recall": 0.75}, "real images": {"count": 100.0}}),
        "C": evaluation(**{"samples xar": drawn | {"recall": 0.75}}),
    }
    found = rows(measure_tables(runs)[0])
    assert found["samples xar: recall"] == ["0.5000", "0.7500 (+0.25)", "0.7500 (+0.25 ▲)"]
    assert comparable(runs, [{}] * 3) == [
        "Not to be compared as they stand: the numbers of real images differ (500; 100).",
        "Not to be compared as they stand: the numbers of samples xar differ (500; 100; 500).",
    ]

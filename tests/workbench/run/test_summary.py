"""What a run's folder says without its configuration: state, time, main measures."""

import math

from _support.mutants import catches
from _support.run_folders import DONE, run_of
from vistok.workbench.run.lock import run_lock
from vistok.workbench.run.records import Record
from vistok.workbench.run.summary import run_values, summarise_run, tokenizer_section

SUBJECT = "vistok.workbench.run.summary"


@catches(SUBJECT, "if is_locked(folder):", "if False:")
@catches(SUBJECT, "if not record.outputs", "if record.outputs")
@catches(SUBJECT, 'name.startswith("report.")', 'name.startswith("reports")')
@catches(SUBJECT, "state=_state(folder, records)", 'state="finished"')
def test_the_state_is_told_from_what_the_folder_holds(tmp_path):
    trained, stopped = Record("train", [], {}, DONE), Record("encode", ["train"], {})
    finished = Record("report.default", [], {}, DONE)
    for name, records, state in (
        ("half", (trained,), "train done"),
        ("cut", (trained, stopped), "stopped in encode"),
        ("whole", (trained, finished), "finished"),
        ("bundle", (), "exported"),
    ):
        assert summarise_run(run_of(tmp_path / name, *records)).state == state
    with run_lock(tmp_path / "cut"):
        assert summarise_run(tmp_path / "cut").state == "working: encode"
    assert summarise_run(tmp_path / "cut").state == "stopped in encode"


@catches(SUBJECT, "record.cost.get(WALL, 0.0) for record", "1.0 for record")
@catches(SUBJECT, "/ 60", "/ 3600")
@catches(SUBJECT, "measures.get(tokenizer_section(measures)", 'measures.get("reconstruction"')
@catches(SUBJECT, 'key.startswith("samples ")', 'key.startswith("real")')
@catches(SUBJECT, 'distance=tokenizer.get("frechet_distance")', 'distance=samples.get("frechet_distance")')
def test_time_adds_up_and_measures_are_the_evaluations(tmp_path):
    records = [Record(name, [], {}, DONE, cost={"wall_seconds": 90.0, "cpu_seconds": 1.0}) for name in ("a", "b")]
    measures = {
        "real images": {"frechet_distance": 1.0},
        "refined": {"psnr": 22.5, "mean_absolute_error": 9.0, "frechet_distance": 60.0},
        "samples xar": {"frechet_distance": 70.0, "recognised": 0.95},
        "samples far": {"frechet_distance": 80.0, "recognised": 0.5},
    }
    found = summarise_run(run_of(tmp_path / "mine", *records, evaluation=measures))
    assert (found.name, found.recipe, found.minutes) == ("mine", "toy", 3.0)
    assert (found.psnr, found.distance, found.samples_distance, found.recognised) == (22.5, 60.0, 70.0, 0.95)


@catches(SUBJECT, '"finished": bool(record.outputs)', '"finished": True')
@catches(SUBJECT, "record.cost.get(WALL),", "record.cost.get(CPU),")
@catches(SUBJECT, '"measures": measures}', '"measures": {}}')
def test_plain_values_name_each_stage_with_its_seconds_and_the_main_measures(tmp_path):
    trained = Record("train", [], {}, DONE, cost={"wall_seconds": 9.0, "cpu_seconds": 17.0})
    measures = {"refined": {"psnr": 22.5, "mean_absolute_error": 9.0}}
    folder = run_of(tmp_path / "a", trained, Record("encode", ["train"], {}), evaluation=measures)
    values = run_values(folder)
    assert (values["run"], values["state"], values["minutes"]) == (str(folder), "stopped in encode", 0.15)
    assert values["stages"][0] == {"name": "train", "finished": True, "wall_seconds": 9.0, "cpu_seconds": 17.0}
    assert values["stages"][1] == {"name": "encode", "finished": False, "wall_seconds": None, "cpu_seconds": None}
    assert values["measures"] == {"psnr": 22.5, "distance": None, "samples_distance": None, "recognised": None}


@catches(SUBJECT, "measures = read_measures(file)", "measures = __import__('json').loads(file.read_text())")
@catches(SUBJECT, "with_strings(asdict(summarise_run(folder)))", "asdict(summarise_run(folder))")
def test_an_infinite_measure_is_a_number_here_and_a_text_for_scripts(tmp_path):
    measures = {"refined": {"psnr": "inf", "mean_absolute_error": 0.0}}
    folder = run_of(tmp_path / "a", Record("train", [], {}, DONE), evaluation=measures)
    assert summarise_run(folder).psnr == math.inf
    assert run_values(folder)["measures"]["psnr"] == "inf"


@catches(SUBJECT, "return found[-1] if found", "return found[0] if found")
@catches(SUBJECT, "isinstance(values, Mapping) and _IS_RECONSTRUCTION in values", '"psnr" in values')
def test_the_tokenizers_own_measures_are_those_of_the_last_reconstructions():
    """Whatever a recipe calls them, and whichever of its stages there are."""
    made = {"psnr": 20.0, "mean_absolute_error": 9.0}
    others = {"features": "psnr of Lite0", "mean image": {"psnr": 11.0}, "rate and distortion": {"psnr": 20.0}}
    for names in (("reconstruction",), ("stage I, 1 step", "stage I, 25 steps"), ("stage I, 1 step", "refined")):
        assert tokenizer_section(dict.fromkeys(names, made) | others) == names[-1]
    assert tokenizer_section(others) is None

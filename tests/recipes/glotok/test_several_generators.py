"""Four generators of one tokenizer (Table 2 of the paper) in one run: other sets, other measures, mistakes."""

import json
import math
import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from _support.few_images import few_images_for_a_while
from _support.glotok_runs import TINY
from glotok.cli import COMMANDS, Options, prepare
from glotok.paths import RunPaths
from vistok.workbench.config import ConfigError
from vistok.workbench.evaluation.sampling import load_samples
from vistok.workbench.training.finite import NonFiniteLossError

TRAINING = {"steps": 4, "batch_size": 8, "checkpoint_every": 2, "log_every": 1}
XAR = {
    "kind": "xar",
    "width": 16,
    "depth": 2,
    "num_heads": 2,
    "cell_size": 4,
    "train": TRAINING,
    "samples": {"default": {"num_samples": 20, "num_steps": 2, "batch_size": 10}},
}
FAR = {
    "kind": "far",
    "width": 16,
    "depth": 2,
    "num_heads": 2,
    "head_depth": 1,
    "train": TRAINING,
    "samples": {"default": {"num_samples": 20, "guidance": 1.5, "batch_size": 10}},
}
TABLE_2 = {
    "xar-b": XAR,
    "xar-h": {**XAR, "width": 24, "depth": 4},
    "far-b": {**FAR, "samples": {**FAR["samples"], "strong": {"num_samples": 20, "guidance": 9.0, "batch_size": 10}}},
    "far-l": {**FAR, "width": 24, "head_depth": 2},
}
QUICK = "reference_images: 200, resamples: 2, uniformity_points: 50"
LARGER = f"evaluations.larger={{image_size: 48, {QUICK}}}"


def asked(runs, *further, **options):
    """Options for the run with the four generators and two evaluations; later settings win."""
    settings = (f"generators={json.dumps(TABLE_2)}", LARGER, *further)
    return Options(config=TINY, runs=runs, set=settings, **options)


@pytest.fixture(scope="module", autouse=True)
def _few_images():
    with few_images_for_a_while():
        yield


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """As for the other files' tests, of few images."""
    options = Options(config=TINY, runs=tmp_path_factory.mktemp("encoded"))
    for name in ("teacher", "train-tokenizer", "encode"):
        COMMANDS[name](options)
    return options.runs / "tiny"


@pytest.fixture(scope="module")
def table(encoded, tmp_path_factory):
    """A finished run, begun with other generators in its configuration; never written to by a test."""
    options = asked(tmp_path_factory.mktemp("table"))
    shutil.copytree(encoded, options.runs / "tiny")
    for name in TABLE_2:
        COMMANDS["train-generator"](replace(options, generator=name))
        COMMANDS["sample"](replace(options, generator=name))
    COMMANDS["sample"](replace(options, generator="far-b", samples="strong"))
    COMMANDS["reconstruct"](options)
    for name in ("default", "larger"):
        COMMANDS["evaluate"](replace(options, evaluation=name))
        COMMANDS["report"](replace(options, evaluation=name))
    return options.runs / "tiny"


@pytest.fixture
def copied(table, tmp_path):
    """The runs' folder and the paths of a copy that a test may change."""
    shutil.copytree(table, tmp_path / "tiny")
    return tmp_path, RunPaths(tmp_path / "tiny")


def contents(folder, *, without=()):
    """Every file's bytes, but those of records, logs and what was set aside."""
    passed_over = ("aside", "stages", "config.yaml", "metrics.jsonl", ".lock", *without)
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return {name: value for name, value in found.items() if not name.startswith(passed_over)}


def test_four_generators_of_one_tokenizer_are_trained_drawn_from_measured_and_shown(table, encoded):
    paths = RunPaths(table)
    figures, page = json.loads(paths.evaluation().read_text()), paths.report().read_text()
    for name in TABLE_2:
        drawn = load_samples(paths.samples(name))
        assert drawn["images"].shape == (20, 1, 16, 16)
        assert math.isfinite(figures[f"samples {name}"]["frechet_distance"])
        assert f"Samples: {name}</h2>" in page
    sizes = {name: sum(w.numel() for w in load_file(paths.generator(name)).values()) for name in TABLE_2}
    assert sizes["xar-b"] < sizes["xar-h"]
    assert sizes["far-b"] < sizes["far-l"]
    assert contents(table).items() >= contents(encoded).items()  # the tokenizer and its tokens are as they were
    assert not (table / "aside").exists()


def test_two_sample_sets_of_one_generator_stand_beside_each_other(table):
    paths = RunPaths(table)
    one, other = (load_samples(paths.samples("far-b", name)) for name in ("default", "strong"))
    assert one["labels"].tolist() == other["labels"].tolist()
    assert (one["images"] != other["images"]).any()
    figures = json.loads(paths.evaluation().read_text())
    assert figures["samples far-b"] != figures["samples far-b, strong"]
    assert "Samples: far-b, strong</h2>" in paths.report().read_text()


def test_a_second_evaluation_stands_beside_the_first(table):
    paths = RunPaths(table)
    first, second = (json.loads(paths.evaluation(name).read_text()) for name in ("default", "larger"))
    assert "at 32 px" in first["features"]
    assert "at 48 px" in second["features"]
    assert first["reconstruction"]["psnr"] == second["reconstruction"]["psnr"]
    assert first["reconstruction"]["frechet_distance"] != second["reconstruction"]["frechet_distance"]
    assert "at 48 px" in paths.report("larger").read_text()
    assert "at 48 px" not in paths.report().read_text()


def test_a_third_evaluation_leaves_the_others_as_they_are(copied):
    runs, paths = copied
    before = contents(paths.folder)
    COMMANDS["evaluate"](asked(runs, f"evaluations.third={{image_size: 40, {QUICK}}}", evaluation="third"))
    after = contents(paths.folder)
    assert after.items() >= before.items()
    assert after.keys() - before.keys() == {"evaluation--third.json"}


def test_a_generators_width_is_corrected_without_a_new_run(copied):
    runs, paths = copied
    corrected = asked(runs, "generators.far-b.width=32", generator="far-b")
    before = contents(paths.folder)
    with pytest.raises(
        ConfigError, match=r"train-generator\.far-b was begun .*\(generators\.far-b\.width was 16, now 32\)"
    ):
        COMMANDS["train-generator"](corrected)
    with pytest.raises(ConfigError, match=r"sample\.far-b\.default was run with another configuration"):
        COMMANDS["evaluate"](corrected)  # which would show the old samples under the new width
    assert contents(paths.folder) == before
    COMMANDS["train-generator"](replace(corrected, fresh=True))
    (aside,) = (paths.folder / "aside").iterdir()
    of_far_b = ("generator-far-b", "samples-far-b", "checkpoints/far-b")
    gone = {name for name in before if name.startswith((*of_far_b, "evaluation", "report"))}
    assert (
        contents(paths.folder, without=(*of_far_b, "evaluation", "report")).items()
        >= {name: value for name, value in before.items() if name not in gone}.items()
    )
    assert {name: value for name, value in contents(aside).items() if name in gone} == {
        name: before[name] for name in gone
    }
    assert load_file(paths.generator("far-b"))["norm.weight"].shape == (32,)


def test_a_generator_that_failed_before_its_first_checkpoint_takes_other_settings_at_once(encoded, tmp_path):
    shutil.copytree(encoded, tmp_path / "tiny")
    late = "generators.far-b.train.checkpoint_every=4"
    rate = "generators.far-b.train.learning_rate=1e30"
    with pytest.raises(NonFiniteLossError):
        COMMANDS["train-generator"](asked(tmp_path, late, rate, generator="far-b"))
    COMMANDS["train-generator"](asked(tmp_path, late, generator="far-b"))
    assert RunPaths(tmp_path / "tiny").generator("far-b").exists()
    assert not (tmp_path / "tiny" / "aside").exists()


def test_another_guidance_draws_again_and_keeps_what_was_drawn(copied):
    runs, paths = copied
    before = contents(paths.folder)
    COMMANDS["sample"](asked(runs, "generators.far-b.samples.default.guidance=9", generator="far-b"))
    after = contents(paths.folder)
    assert after["samples-far-b.safetensors"] != before["samples-far-b.safetensors"]
    kept = [name for name in before if not name.startswith(("samples-far-b.", "evaluation", "report"))]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    (aside,) = (paths.folder / "aside").iterdir()
    assert contents(aside)["samples-far-b.safetensors"] == before["samples-far-b.safetensors"]


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_what_shows_samples_refuses_settings_that_they_do_not_have(copied, command):
    runs, paths = copied
    before = contents(paths.folder)
    with pytest.raises(ConfigError, match=r"sample\.far-b\.default was run .*guidance was 1\.5, now 9"):
        COMMANDS[command](asked(runs, "generators.far-b.samples.default.guidance=9"))
    assert contents(paths.folder) == before


def test_fresh_samples_leave_the_trained_generator_alone(copied):
    runs, paths = copied
    before = contents(paths.folder)
    COMMANDS["sample"](asked(runs, fresh=True))
    after = contents(paths.folder)
    assert {name for name in before if name not in after} == {
        "evaluation.json",
        "evaluation--larger.json",
        "report.html",
        "report--larger.html",
    }
    assert all(before[name] == value for name, value in after.items())
    stages = prepare(asked(runs)).stages
    assert [name for name, stage in stages.by_name.items() if not stages.is_done(stage)] == [
        "evaluate.default",
        "inspect",  # which no demo runs
        "report.default",
    ]


@pytest.mark.parametrize("command", ["demo", "train-tokenizer", "sample"])
def test_fresh_with_images_that_are_not_there_leaves_a_finished_run_as_it_is(table, command):
    everything = {path: path.stat().st_mtime_ns for path in sorted(table.rglob("*"))}
    with pytest.raises(ValueError, match="typo"):
        COMMANDS[command](asked(table.parent, data="/typo", fresh=True))
    assert {path: path.stat().st_mtime_ns for path in sorted(table.rglob("*"))} == everything


def test_the_run_is_finished_and_says_so(table, caplog):
    with caplog.at_level("INFO"):
        COMMANDS["demo"](asked(table.parent))
    assert "finished earlier" in caplog.text

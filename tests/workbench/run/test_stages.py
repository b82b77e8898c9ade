"""The stages of a toy run: train, then sample and measure; what each depends on decides what may change."""

import json
import time
from contextlib import nullcontext, suppress
from dataclasses import replace

import pytest

from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run.inventory import Inventory
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.run.stages"


class Training(Config):
    steps: int = 1


class Data(Config):
    source: str = "photos"


class Toy(Config):
    seed: int = 0
    data: Data = Data()
    train: Training = Training()
    guidance: int = 1
    network: str = "a"


IMAGES = Inventory(18, 2, ["cats", "dogs"], "a", "b")


def toy(folder, *, images=IMAGES, **changes):
    """The stages of a run, with the settings that are changed."""
    listed = [
        Stage("train", ("seed", "data", "train"), (folder / "weights",), checkpoints=folder / "checkpoints" / "net"),
        Stage("sample.net.one", ("guidance",), (folder / "samples",), needs=("train",)),
        Stage("measure", ("network",), (folder / "measures",), needs=("train",), reads=("sample.net.one",)),
    ]
    return Stages("toy", "--name mine", folder, Toy(**changes), listed, images)


def run(stages, name, *, resume=False, fresh=False, text=None):
    stage = stages.by_name[name]
    with stages.opened(stage, resume=resume, fresh=fresh):
        for path in stage.outputs:
            path.write_text(text or f"{name} of {stages.config}")


@pytest.fixture
def finished(tmp_path):
    folder = tmp_path / "mine"
    for name in ("train", "sample.net.one", "measure"):
        run(toy(folder), name)
    return folder


def leave_unfinished(stages, checkpoints):
    """A training that fails after its first checkpoint."""
    with suppress(ValueError), stages.opened(stages.by_name["train"], resume=False, fresh=False):
        checkpoints.mkdir(parents=True)
        (checkpoints / "step-000000002.pt").touch()
        raise ValueError("out of memory")


def done(stages):
    return [name for name, stage in stages.by_name.items() if stages.is_done(stage)]


def cost(folder, name):
    return json.loads((folder / "stages" / f"{name}.json").read_text())["cost"]


def everything_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_is_done_and_a_new_one_is_not(finished, tmp_path):
    assert done(toy(finished)) == ["train", "sample.net.one", "measure"]
    assert toy(finished).has_begun()
    assert done(toy(tmp_path / "new")) == []
    assert not toy(tmp_path / "new").has_begun()


@catches(
    SUBJECT,
    "and not self._differences(record, self._settings(stage))",
    "and record.settings.keys() == self._settings(stage).keys()",
)
def test_only_what_a_stage_depends_on_decides_whether_it_is_done(finished):
    assert done(toy(finished, guidance=2)) == ["train", "measure"]
    assert done(toy(finished, network="b")) == ["train", "sample.net.one"]
    assert done(toy(finished, seed=1)) == ["sample.net.one", "measure"]


@catches(SUBJECT, "differences(record.settings, settings, defaults)", "differences(record.settings, settings)")
def test_a_run_of_before_a_setting_came_is_that_of_its_default(finished):
    file = finished / "stages" / "train.json"
    record = json.loads(file.read_text())
    record["settings"] = {"train": {}}
    file.write_text(json.dumps(record))
    assert done(toy(finished)) == ["train", "sample.net.one", "measure"]
    assert done(toy(finished, train=Training(steps=2))) == ["sample.net.one", "measure"]
    run(toy(finished), "sample.net.one")


@catches(
    SUBJECT,
    "            self.check_needs(stage)  # before there is a folder: nothing is made for a stage that cannot run",
    "            pass",
)
def test_a_stage_that_is_needed_must_have_run_and_the_message_is_a_command(tmp_path):
    with pytest.raises(ConfigError, match=r"mine: weights is missing; run toy train --name mine first$"):
        run(toy(tmp_path / "mine"), "sample.net.one")
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_text("trai")])
def test_a_lost_or_cut_off_file_is_not_done_and_is_named_where_it_is_needed(finished, damage):
    damage(finished / "weights")
    assert done(toy(finished)) == ["sample.net.one", "measure"]
    with pytest.raises(ConfigError, match=r"weights: missing, or not as train wrote it; run toy train --name mine -"):
        run(toy(finished), "measure")


def test_a_stage_that_is_needed_must_have_had_the_same_settings(finished):
    before = everything_in(finished)
    with pytest.raises(ConfigError, match=r"train was run with another configuration \(train\.steps was 1, now 2\)"):
        run(toy(finished, train={"steps": 2}), "sample.net.one")
    assert everything_in(finished) == before


def test_a_training_with_other_settings_is_refused_until_it_is_asked_for(finished):
    before = everything_in(finished)
    changed = toy(finished, seed=5)
    for resume in (False, True):
        with pytest.raises(ConfigError, match=r"train was begun with another configuration \(seed was 0, now 5\)"):
            run(changed, "train", resume=resume)
    assert everything_in(finished) == before
    run(changed, "train", fresh=True)
    assert done(changed) == ["train"]  # what followed from the old weights is set aside with them
    (aside,) = (finished / "aside").iterdir()
    for name in ("weights", "samples", "measures"):
        assert (aside / name).read_bytes() == before[(finished / name).relative_to(finished)]


def test_a_stage_that_trains_nothing_sets_its_old_files_aside_when_its_settings_change(finished):
    run(toy(finished, guidance=3), "sample.net.one")
    assert done(toy(finished, guidance=3)) == ["train", "sample.net.one"]
    (aside,) = (finished / "aside").iterdir()
    kept = ["config.yaml", "environment.json", "measures", "samples", "stages"]
    assert sorted(path.name for path in aside.iterdir()) == kept


@catches(SUBJECT, "if different and learned:", "if learned:")
@catches(SUBJECT, "if different and learned:", "if False:")
@catches(SUBJECT, "if each.checkpoints is not None and self._has_made(each)]", "if self._has_made(each)]")
def test_a_training_that_learned_from_a_stage_is_not_thrown_away_by_other_settings_of_that_stage(tmp_path):
    def pair(**changes):
        listed = [
            Stage("teach", ("seed",), (tmp_path / "mine" / "teacher",)),
            Stage("train", (), (tmp_path / "mine" / "weights",), ("teach",), checkpoints=tmp_path / "mine" / "net"),
            Stage("measure", ("network",), (tmp_path / "mine" / "measures",), ("train",)),
            Stage("look", ("network",), (tmp_path / "mine" / "page",), ("measure",)),
        ]
        return Stages("toy", "--name mine", tmp_path / "mine", Toy(**changes), listed, IMAGES)

    for name in ("teach", "train", "measure", "look"):
        run(pair(), name)
    run(pair(), "teach")  # with the settings that it had
    before = everything_in(tmp_path)
    said = (
        r"mine: teach was run with another configuration \(seed was 0, now 5\), and train learned from what it made; "
    )
    for resume in (False, True):
        with pytest.raises(ConfigError, match=said):
            run(pair(seed=5), "teach", resume=resume)
    assert everything_in(tmp_path) == before
    run(pair(network="b"), "measure")  # of which only a page was made
    assert done(pair(network="b")) == ["teach", "train", "measure"]
    run(pair(seed=5), "teach", fresh=True)
    assert done(pair(seed=5)) == ["teach"]


@catches("vistok.workbench.run.records", "name in (record.name, *all_needs(record, records))", "name == record.name")
def test_fresh_touches_the_stage_and_what_follows_and_nothing_else(finished):
    weights = (finished / "weights").read_bytes()
    run(toy(finished), "sample.net.one", fresh=True)
    assert (finished / "weights").read_bytes() == weights
    assert done(toy(finished)) == ["train", "sample.net.one"]


def test_the_same_stage_again_keeps_what_followed(finished):
    run(toy(finished), "sample.net.one")
    assert done(toy(finished)) == ["train", "sample.net.one", "measure"]
    assert not (finished / "aside").exists()


@catches(SUBJECT, "and record.needs == self._present(stage)", "")
def test_a_measure_is_done_again_when_there_is_more_to_read(tmp_path):
    folder = tmp_path / "mine"
    run(toy(folder), "train")
    run(toy(folder), "measure")
    assert done(toy(folder)) == ["train", "measure"]
    run(toy(folder), "sample.net.one")
    assert done(toy(folder)) == ["train", "sample.net.one"]


def test_what_is_read_beside_the_needs_must_be_what_the_configuration_says(tmp_path):
    """Whether this command lists the stage that wrote it or not: no figure is of other settings than the page says."""
    folder = tmp_path / "mine"
    for name in ("train", "sample.net.one"):
        run(toy(folder), name)
    asked, before = toy(folder, guidance=2), everything_in(folder)
    del asked.by_name["sample.net.one"]
    with pytest.raises(ConfigError, match=r"guidance was 1, now 2\); run sample for it again, or give those settings"):
        run(asked, "measure")
    assert everything_in(folder) == before


def test_samples_of_a_generator_of_another_kind_are_not_read(tmp_path):
    """A setting that the new kind does not have is a difference, too."""
    folder = tmp_path / "mine"
    for name in ("train", "sample.net.one"):
        run(toy(folder), name)
    record = folder / "stages" / "sample.net.one.json"
    record.write_text(record.read_text().replace('"guidance": 1', '"guidance.schedule": "linear"'))
    with pytest.raises(ConfigError, match=r"guidance\.schedule was linear, now not there"):
        run(toy(folder), "measure")


def test_a_damaged_file_that_is_read_beside_the_needs_is_named(tmp_path):
    folder = tmp_path / "mine"
    for name in ("train", "sample.net.one"):
        run(toy(folder), name)
    (folder / "samples").write_text("sam")
    with pytest.raises(ConfigError, match=r"samples: missing, or not as sample\.net\.one wrote it"):
        run(toy(folder), "measure")


def test_a_first_call_that_fails_does_not_fix_the_configuration(tmp_path):
    folder = tmp_path / "mine"
    stages = toy(folder)
    with pytest.raises(ValueError, match="no"), stages.opened(stages.by_name["train"], resume=False, fresh=False):
        raise ValueError("no")
    run(toy(folder, seed=7), "train")
    assert done(toy(folder, seed=7)) == ["train"]
    assert "seed: 7" in (folder / "config.yaml").read_text()


@catches(SUBJECT, "anew=not self.has_begun()", "anew=False")
@catches(SUBJECT, "anew=not self.has_begun()", "anew=fresh")
@catches(SUBJECT, "self.config, stage.name,", "self.config, self.program,")
def test_a_run_that_begins_anew_records_what_it_runs_on_anew(finished):
    file = finished / "environment.json"
    old = json.loads(file.read_text())
    old["versions"]["torch"] = "1.0"
    file.write_text(json.dumps(old))
    run(toy(finished), "measure", fresh=True)
    kept = json.loads(file.read_text())
    assert (kept["versions"], list(kept["versions by stage"])) == (old["versions"], ["measure"])
    run(toy(finished), "train", fresh=True)
    assert json.loads(file.read_text())["versions"]["torch"] != "1.0"


@pytest.mark.parametrize(
    ("how", "expected"),
    [({}, "--resume continues from the newest one, --fresh sets"), ({"resume": True}, None), ({"fresh": True}, None)],
)
def test_checkpoints_are_continued_or_set_aside_only_when_asked_to(tmp_path, how, expected):
    folder = tmp_path / "mine"
    leave_unfinished(toy(folder), folder / "checkpoints" / "net")
    with pytest.raises(ConfigError, match=expected) if expected else nullcontext():
        run(toy(folder), "train", **how)
    assert (folder / "checkpoints" / "net" / "step-000000002.pt").exists() == (how != {"fresh": True})


@catches(SUBJECT, "before is not None and not before.outputs", "before is not None")
@catches(SUBJECT, "with_earlier(cost, earlier)", "cost")
@catches(SUBJECT, "            finally:", "            except KeyboardInterrupt:")
def test_the_cost_of_a_stage_is_that_of_all_its_parts_and_begins_anew_when_it_is_run_again(finished):
    seconds = cost(finished, "sample.net.one")["wall_seconds"]
    stages = toy(finished)
    with suppress(ValueError), stages.opened(stages.by_name["measure"], resume=False, fresh=True):
        time.sleep(0.02)
        raise ValueError("interrupted")
    part = cost(finished, "measure")["wall_seconds"]
    assert part >= 0.02
    with stages.opened(stages.by_name["measure"], resume=False, fresh=False):
        time.sleep(0.02)
        (finished / "measures").write_text("whole")
    assert cost(finished, "measure")["wall_seconds"] >= part + 0.02
    run(toy(finished), "measure")
    assert cost(finished, "measure")["wall_seconds"] < 0.02
    assert cost(finished, "sample.net.one")["wall_seconds"] == seconds


def test_a_foreign_folder_is_never_written_to(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "config.yaml").write_text("mine\n")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match="is not a run"):
            run(toy(folder), "train", fresh=fresh)
    with pytest.raises(ConfigError, match="is not a run"):
        toy(folder).restart()
    assert everything_in(tmp_path) == {(folder / "config.yaml").relative_to(tmp_path): b"mine\n"}


@pytest.mark.parametrize("content", ["{", "[]", '{"name": 1, "extra": 2}', "\x00"])
def test_a_damaged_record_is_named(finished, content):
    (finished / "stages" / "train.json").write_text(content)
    with pytest.raises(ConfigError, match=r"train\.json: damaged"):
        done(toy(finished))


def test_restarting_keeps_the_old_run_whole(finished):
    before = everything_in(finished)
    toy(finished).restart()
    assert done(toy(finished)) == []
    (aside,) = (finished / "aside").iterdir()
    kept = everything_in(aside)
    assert {path: content for path, content in before.items() if path.name not in ("vistok-run.json", ".lock")} == kept


def with_a_folder(folder):
    """A run whose samples are a folder now; they were a file once."""
    before, stages = toy(folder), toy(folder)
    one = stages.by_name["sample.net.one"]
    stages.by_name[one.name] = replace(one, outputs=(folder / "drawn",))
    stages.by_name["show"] = Stage("show", (), (folder / "shown",), needs=(one.name,))
    return before, stages


@catches(SUBJECT, "and not self._records.lacks(record, stage.outputs)", "")
@catches(SUBJECT, "or not record.outputs or self._records.lacks(record, need.outputs):", "or not record.outputs:")
@catches(SUBJECT, "self._records.lacks(records[name], self.by_name[name].outputs):", "False:")
def test_a_stage_that_wrote_another_file_once_is_told_in_a_line_to_run_again(tmp_path):
    before, now = with_a_folder(tmp_path / "mine")
    for name in ("train", "sample.net.one"):
        run(before, name)
    assert before.is_done(before.by_name["sample.net.one"])
    assert not now.is_done(now.by_name["sample.net.one"])
    with pytest.raises(ConfigError, match="drawn is missing; run toy sample --name mine first"):
        run(now, "show")
    with pytest.raises(ConfigError, match=r"sample\.net\.one wrote other files than it does now; run that again"):
        run(now, "measure")


def test_a_folder_is_done_while_it_is_whole_and_is_set_aside_as_one(tmp_path):
    _, stages = with_a_folder(tmp_path / "mine")
    run(stages, "train")
    drawn = tmp_path / "mine" / "drawn"
    with stages.opened(stages.by_name["sample.net.one"], resume=False, fresh=False):
        drawn.mkdir()
        for name in ("a", "b"):
            (drawn / name).write_text(name)
    assert stages.is_done(stages.by_name["sample.net.one"])
    run(stages, "show")
    run(stages, "train", fresh=True)
    assert not drawn.exists()
    (aside,) = (tmp_path / "mine" / "aside").iterdir()
    assert sorted(path.name for path in (aside / "drawn").iterdir()) == ["a", "b"]


# the images of a run

MORE = Inventory(27, 3, ["ants", "cats", "dogs"], "c", "d")


@catches(SUBJECT, "self.check_images(stage if fresh else None)", "pass")
@catches(SUBJECT, "record not in gone and self._has_made(record)", "record.checkpoints and record not in gone")
def test_no_stage_goes_on_with_other_images_and_nothing_is_touched(finished):
    before = everything_in(finished)
    with pytest.raises(ConfigError, match=r"cats, dogs that train was run with, got 27 and 3 in the classes ants, cat"):
        run(toy(finished, images=MORE), "measure")
    for name, fresh in (("sample.net.one", True), ("measure", True), ("sample.net.one", False)):
        with pytest.raises(ConfigError, match="data: expected the 18 training and 2 validation images in the classes"):
            run(toy(finished, images=MORE), name, fresh=fresh)
    assert everything_in(finished) == before
    (finished / "stages" / "train.json").unlink()  # as where a stage that trains nothing came first
    with pytest.raises(ConfigError, match=r"--fresh with demo or train, or another --name, begins anew"):
        run(toy(finished, images=MORE), "train")


@catches(SUBJECT, "        self.check_images()\n", "")
def test_a_stage_is_not_done_with_other_images_where_a_command_reads_it(finished):
    toy(finished).check_done(toy(finished).by_name["measure"])
    with pytest.raises(ConfigError, match="got 27 and 3"):
        toy(finished, images=MORE).check_done(toy(finished).by_name["measure"])


@catches("vistok.workbench.run.records", "name in (record.name, *all_needs(record, records))", "name == record.name")
def test_fresh_of_the_first_stage_begins_anew_with_the_images_that_there_are(finished):
    run(toy(finished, images=MORE), "train", fresh=True)
    run(toy(finished, images=MORE), "measure")
    with pytest.raises(ConfigError, match="expected the 27 training and 3 validation images in the classes ants, cats"):
        run(toy(finished), "measure")


@catches(SUBJECT, "bool(record.outputs) or self._records.has_checkpoints(record)", "bool(record.outputs)")
def test_an_interrupted_training_goes_on_with_its_own_images_and_one_that_made_nothing_with_any(tmp_path):
    folder = tmp_path / "mine"
    with suppress(ValueError), toy(folder).opened(toy(folder).by_name["train"], resume=False, fresh=False):
        raise ValueError("a label is missing")
    leave_unfinished(toy(folder, images=MORE), folder / "checkpoints" / "net")
    with pytest.raises(ConfigError, match="expected the 27 training"):
        run(toy(folder), "train", resume=True)
    run(toy(folder, images=MORE), "train", resume=True)


@catches(SUBJECT, "change.startswith(_IMAGES)", "False")
def test_images_of_another_source_are_a_matter_of_settings(finished):
    with pytest.raises(ConfigError, match=r"another configuration \(data\.source was photos, now drawings\)"):
        run(toy(finished, images=MORE, data={"source": "drawings"}), "measure")


@catches("vistok.workbench.run.records", "if record.images is not None:", "if True:")
def test_a_run_of_before_images_were_written_down_goes_on_as_it_did(finished):
    for file in (finished / "stages").iterdir():
        record = json.loads(file.read_text())
        del record["images"]
        file.write_text(json.dumps(record))
    run(toy(finished, images=MORE), "measure")
    assert done(toy(finished, images=MORE)) == ["train", "sample.net.one", "measure"]
    with pytest.raises(ConfigError, match="that measure was run with"):  # from here on they are known
        run(toy(finished), "sample.net.one")


@catches(SUBJECT, "each.startswith(_PLACE) and surely_same", "False and surely_same")
@catches(SUBJECT, "each.startswith(_PLACE) and surely_same", "surely_same")
def test_the_same_images_in_another_place_are_no_other_settings(finished):
    moved = {"source": "/elsewhere/photos"}
    assert done(toy(finished, data=moved)) == ["train", "sample.net.one", "measure"]
    run(toy(finished, data=moved), "measure")
    with pytest.raises(ConfigError, match=r"another configuration \(data\.source was photos, now /elsewhere/photos\)"):
        run(toy(finished, images=None, data=moved), "measure")
    with pytest.raises(ConfigError, match=r"another configuration \(seed was 0, now 1\)"):
        run(toy(finished, data=moved, seed=1), "measure")


@catches(SUBJECT, "more = record.needs != self._present(stage)", "more = False")
@catches(SUBJECT, "more = record.needs != self._present(stage)", "more = True")
@catches(SUBJECT, "if more and each is not record]", "if more]")
def test_what_was_made_of_less_than_there_is_now_is_made_again(tmp_path):
    folder = tmp_path / "mine"
    stages = toy(folder)
    stages.by_name["page"] = Stage("page", (), (folder / "page",), needs=("measure",))
    for name in ("train", "measure", "page"):
        run(stages, name)
    assert done(stages) == ["train", "measure", "page"]
    run(stages, "measure")
    assert done(stages) == ["train", "measure", "page"]
    run(stages, "sample.net.one")
    assert done(stages) == ["train", "sample.net.one", "page"]
    run(stages, "measure", text="with samples")
    assert done(stages) == ["train", "sample.net.one", "measure"]
    assert not (folder / "page").exists()
    (aside,) = (folder / "aside").iterdir()
    assert (aside / "page").exists()
    assert not (aside / "measures").exists()
    run(stages, "page")
    assert done(stages) == ["train", "sample.net.one", "measure", "page"]

"""Stages that runs have in common: taken over where no setting touches them, and only then."""

import hashlib
import json

import pytest

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.records import Record, Records
from vistok.workbench.studies.cells import Data, Run
from vistok.workbench.studies.sharing import check_source, share_stages

SUBJECT = "vistok.workbench.studies.sharing"
STAGES = [
    ("teacher", [], ["seed", "teacher"]),
    ("train", ["teacher"], ["train", "losses"]),
    ("generate.net", ["train"], ["generators.net"]),
    ("evaluate", ["generate.net"], ["evaluations.default"]),
]


def run(**changes):
    return Run(**({"recipe": "toy", "config": "any", "data": None, "seed": 0, "set": {}} | changes))


def make(runs, made, *, until=4):
    """A run with its first stages finished and the next one begun."""
    share_stages(made, runs)
    folder = runs / made.name
    (folder / "vistok-run.json").write_text(json.dumps({"made by": "toy"}))
    (folder / "metrics.jsonl").write_text('{"stage": "train", "step": 0}\n{"stage": "tr')
    for number, (name, needs, settings) in enumerate(STAGES):
        path = folder / "weights" / f"{name}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"{name} of {made.name}")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        outputs = {f"weights/{name}.bin": digest} if number < until else {}
        Records(folder).write(Record(name, needs, dict.fromkeys(settings), outputs, cost={"wall_seconds": 7.0}))
    return folder


@catches(SUBJECT, "{name, *all_needs(record, finished)} <= untouched", "name in untouched")
@catches(SUBJECT, "return all(a == b for a, b in zip(one, other, strict=False))", "return key == setting")
def test_a_stage_is_shared_if_no_changed_setting_is_its_own_or_one_that_it_needs(tmp_path):
    make(tmp_path, run())
    for changed, shared in [
        ({"evaluations.default.image_size": 64}, ["teacher", "train", "generate.net"]),
        ({"generators": {}}, ["teacher", "train"]),
        ({"generators.net.steps": 5}, ["teacher", "train"]),
        ({"generators.network": 5}, ["teacher", "train", "generate.net", "evaluate"]),
        ({"losses.weight": 1}, ["teacher"]),
        ({"teacher.size": 1}, []),
    ]:
        other = run(set=changed)
        assert sorted(share_stages(other, tmp_path)) == sorted(shared), changed
        (tmp_path / other.name / "study" / "run.json").unlink()  # so that no later one takes from it


@catches(SUBJECT, '{**theirs, "set": None} != {**ours, "set": None}', "False")
def test_nothing_is_shared_with_another_seed_recipe_or_configuration(tmp_path):
    make(tmp_path, run())
    for other in (run(seed=1), run(recipe="other"), run(config="other")):
        assert share_stages(other, tmp_path) == []
        assert not (tmp_path / other.name / "vistok-run.json").exists()


@catches(SUBJECT, "key = {**run.key, _SOURCE: run.source}", "key = {**run.key, _SOURCE: None}")
@catches(SUBJECT, "theirs = {_SOURCE: ours[_SOURCE], **theirs}", "")
def test_nothing_is_shared_with_other_images_of_the_same_name_as_far_as_they_are_known(tmp_path):
    giver = make(tmp_path, run(data=Data("images", "/a/images")), until=2)
    elsewhere, here = (run(data=Data("images", f"/{place}/images"), set={"losses.x": 1}) for place in "ba")
    assert share_stages(elsewhere, tmp_path) == []
    (tmp_path / elsewhere.name / "study" / "run.json").unlink()
    assert share_stages(here, tmp_path) == ["teacher"]
    file = giver / "study" / "run.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "source"}))
    another = run(data=Data("images", "/b/images"), set={"losses.x": 2})
    (tmp_path / here.name / "study" / "run.json").unlink()
    assert share_stages(another, tmp_path) == ["teacher"]  # of before places were written down


@catches(SUBJECT, "is_run(folder) and ", "")
def test_a_name_belongs_to_images_once_something_is_made_of_them(tmp_path):
    here, elsewhere = (run(data=Data("images", f"/{place}/images")) for place in "ab")
    share_stages(elsewhere, tmp_path)  # began, and met no images
    check_source(here, tmp_path)
    make(tmp_path, here, until=0)
    with pytest.raises(ConfigError, match=r"data: expected images to be /a/images, of which .* is made, got /b/images"):
        check_source(elsewhere, tmp_path)


@catches(SUBJECT, '(key in theirs["set"], theirs["set"].get(key)) !=', '(key in theirs["set"], None) !=')
@catches(SUBJECT, 'theirs["set"].keys() | ours["set"].keys()', 'ours["set"].keys()')
def test_what_the_other_run_has_set_counts_as_well_as_what_this_one_sets(tmp_path):
    make(tmp_path, run(set={"losses.weight": 1, "generators.net.steps": 1}))
    assert share_stages(run(), tmp_path) == ["teacher"]
    second = run(set={"losses.weight": 1, "generators.net.steps": 2})
    assert sorted(share_stages(second, tmp_path)) == ["teacher", "train"]
    third = run(set={"losses.weight": 2, "generators.net.steps": 1})
    assert share_stages(third, tmp_path) == ["teacher"]


@catches(SUBJECT, "if is_run(folder):\n        return []", "if False:\n        return []")
def test_a_run_that_has_begun_is_left_alone(tmp_path):
    make(tmp_path, run())
    mine = make(tmp_path, run(set={"losses.weight": 1}), until=0)
    before = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    assert share_stages(run(set={"losses.weight": 1}), tmp_path) == []
    assert before == {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}


@catches(SUBJECT, "if record.outputs}", "}")
@catches(SUBJECT, 'text[: text.rfind(b"\\n") + 1]', "text")
@catches(SUBJECT, "[MARK, *(path", "[*(path")
def test_what_is_shared_is_whole_and_what_is_being_made_is_not_shared(tmp_path):
    giver = make(tmp_path, run(), until=2)
    mine = run(set={"evaluations.default.image_size": 64})
    share_stages(mine, tmp_path)
    folder = tmp_path / mine.name
    records = Records(folder).read()
    assert list(records) == ["teacher", "train"]
    assert all(Records(folder).damaged(record) is None for record in records.values())
    assert records["train"].cost == {"wall_seconds": 7.0}
    assert (folder / "metrics.jsonl").read_text() == '{"stage": "train", "step": 0}\n'
    assert (folder / "vistok-run.json").read_bytes() == (giver / "vistok-run.json").read_bytes()


@catches(SUBJECT, "and not any(map(Records(giver).damaged, shared.values()))", "")
def test_a_damaged_run_gives_nothing_and_the_next_best_does(tmp_path):
    damaged = make(tmp_path, run())
    (damaged / "weights" / "train.bin").write_text("cut")
    make(tmp_path, run(set={"losses.weight": 3}), until=1)
    assert share_stages(run(set={"generators.net.steps": 5}), tmp_path) == ["teacher"]


@catches(SUBJECT, "-len(item[1])", "len(item[1])")
def test_the_run_with_most_in_common_gives(tmp_path):
    make(tmp_path, run(set={"losses.weight": 1}))
    make(tmp_path, run(set={"teacher.size": 1}))
    make(tmp_path, run(set={"generators.net.steps": 5}))
    assert sorted(share_stages(run(), tmp_path)) == ["teacher", "train"]

"""The records of stages: what each depended on, what it wrote, and whether that is still there."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.run.records import Record, Records, all_needs, differences

SUBJECT = "vistok.workbench.run.records"


def test_a_record_comes_back_as_it_was_kept(tmp_path):
    records = Records(tmp_path)
    assert records.read() == {}
    kept = [
        Record("train", [], {"seed": 0, "train": {"steps": 2}}, checkpoints="checkpoints/net"),
        Record("sample.net.one", ["train"], {}),
    ]
    for record in kept:
        records.write(record)
    assert records.read() == {record.name: record for record in kept}
    assert records.file("train") == tmp_path / "stages" / "train.json"


@catches(SUBJECT, "except FileNotFoundError:", "except IsADirectoryError:")
def test_a_record_that_goes_while_all_are_read_is_none(tmp_path):
    records = Records(tmp_path)
    records.write(Record("train", [], {}))
    records.file("gone").symlink_to(tmp_path / "nowhere")  # listed, and not there when it is read
    assert list(records.read()) == ["train"]


@catches(SUBJECT, "record.outputs.update(zip(map(self.relative, files), _checksums(files), strict=True))", "")
@catches(SUBJECT, "if digest != record.outputs[path]", "if not digest")
def test_a_finished_stage_is_damaged_when_a_file_is_gone_or_holds_other_bytes(tmp_path):
    records, record = Records(tmp_path), Record("train", [], {})
    files = (tmp_path / "weights", tmp_path / "pictures" / "a.png")
    files[1].parent.mkdir()
    for file in files:
        file.write_text(file.name)
    records.finish(record, files)
    record = records.read()["train"]
    assert record.outputs == {
        "weights": hashlib.sha256(b"weights").hexdigest(),
        "pictures/a.png": hashlib.sha256(b"a.png").hexdigest(),
    }
    assert records.damaged(record) is None
    files[1].write_text("a.pnG")
    assert records.damaged(record) == "pictures/a.png"
    files[0].unlink()
    assert records.damaged(record) == "weights"


def test_there_are_checkpoints_where_a_training_left_one(tmp_path):
    records = Records(tmp_path)
    record = Record("train", [], {}, checkpoints="checkpoints/net")
    assert not records.has_checkpoints(Record("sample", [], {}))
    assert not records.has_checkpoints(record)
    (tmp_path / "checkpoints" / "net").mkdir(parents=True)
    (tmp_path / "checkpoints" / "net" / ".step-000000001.pt.partial").touch()
    assert not records.has_checkpoints(record)
    (tmp_path / "checkpoints" / "net" / "step-000000001.pt").touch()
    assert records.has_checkpoints(record)


@catches(SUBJECT, "found |= all_needs(records[name], records)", "pass")
def test_what_a_stage_read_is_all_that_led_to_it():
    records = {
        name: Record(name, needs, {}) for name, needs in {"a": [], "b": ["a"], "c": ["b", "gone"], "d": ["a"]}.items()
    }
    assert all_needs(records["c"], records) == {"a", "b", "gone"}
    assert all_needs(records["d"], records) == {"a"}
    assert all_needs(records["a"], records) == set()


@catches(SUBJECT, "dict.fromkeys((*saved, *asked))", "saved")
@catches(SUBJECT, 'f"{prefix}{key}.")', 'f"{key}.")')
def test_settings_that_differ_are_told_by_their_dotted_keys():
    saved = {"seed": 0, "train": {"steps": 1, "rate": 0.1, "betas": {"first": 0.5}}, "old": 1}
    asked = {"seed": 0, "train": {"steps": 2, "rate": 0.1, "betas": {"first": 0.9}}, "new": None}
    assert differences(saved, asked) == [
        "train.steps was 1, now 2",
        "train.betas.first was 0.5, now 0.9",
        "old was 1, now not there",
        "new was not there, now None",
    ]


@catches(SUBJECT, 'saved.get(key, defaults.get(key, "not there"))', "defaults.get(key, saved.get(key))")
@catches(SUBJECT, 'defaults.get(key), f"{prefix}', 'None, f"{prefix}')
def test_a_setting_that_is_not_in_the_record_counts_as_its_default():
    saved, defaults = {"train": {"steps": 1}}, {"train": {"steps": 9, "sharding": "none", "loss": {"weight": 0}}}
    same = {"train": {"steps": 1, "sharding": "none", "loss": {"weight": 0}}}
    assert differences(saved, same, defaults) == []
    other = {"train": {"steps": 9, "sharding": "full", "loss": {"weight": 1}}}
    assert differences(saved, other, defaults) == [
        "train.steps was 1, now 9",
        "train.sharding was none, now full",
        "train.loss.weight was 0, now 1",
    ]


VALUES = st.recursive(st.integers(0, 2), lambda inner: st.dictionaries(st.sampled_from("ab"), inner, max_size=2))


@given(st.dictionaries(st.sampled_from("ab"), VALUES), st.dictionaries(st.sampled_from("ab"), VALUES))
def test_equal_settings_and_no_others_have_no_differences(saved, asked):
    assert differences(saved, saved) == []
    assert bool(differences(saved, asked)) == bool(differences(asked, saved)) == (saved != asked)


def test_a_damaged_record_says_what_to_do(tmp_path):
    (tmp_path / "stages").mkdir()
    for text in ("{", '{"name": "train"}', "[1]", '{"name": "a", "needs": [], "settings": {}, "more": 1}'):
        (tmp_path / "stages" / "train.json").write_text(text)
        with pytest.raises(ConfigError, match=r"train\.json: damaged \(.*\); remove it to run its stage again$"):
            Records(tmp_path).read()


@catches(SUBJECT, "if not path.is_dir():", "if path.exists():")
@catches(SUBJECT, 'and not file.name.startswith(".")', "")
def test_of_a_folder_every_file_in_it_is_an_output_but_for_what_is_being_written(tmp_path):
    records, record = Records(tmp_path), Record("encode", [], {})
    for name in ("b", "a", "inner/c", ".d.partial"):
        (tmp_path / "tokens" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tokens" / name).write_text(name)
    records.finish(record, (tmp_path / "tokens",))
    assert list(record.outputs) == ["tokens/a", "tokens/b", "tokens/inner/c"]
    assert records.damaged(record) is None
    (tmp_path / "tokens" / "inner" / "c").write_text("C")
    assert records.damaged(record) == "tokens/inner/c"


@catches(SUBJECT, "any(file.is_relative_to(path) for file in written)", "any(written)")
@catches(SUBJECT, "return any(not any(", "return all(not any(")
def test_an_output_is_lacking_that_the_stage_did_not_write_when_it_ran(tmp_path):
    records = Records(tmp_path)
    record = Record("encode", [], {}, {"tokens.safetensors": "0", "codes/a": "1"})
    assert not records.lacks(record, (tmp_path / "tokens.safetensors", tmp_path / "codes"))
    assert records.lacks(record, (tmp_path / "tokens",))
    assert records.lacks(record, (tmp_path / "codes", tmp_path / "tokens"))

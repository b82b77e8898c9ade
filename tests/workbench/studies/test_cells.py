"""Cells: who shares a folder, in which order they come, and which command makes them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.workbench.config import ConfigError
from vistok.workbench.run.folder import plain_name
from vistok.workbench.studies.cells import Cell, Data, Run, cells_of, chosen_data, named_data, plain_value
from vistok.workbench.studies.schema import Study

SUBJECT = "vistok.workbench.studies.cells"
DIGITS = Data("digits", "digits")


def toy(**changes):
    return Study.model_validate(STUDY | changes)


def toy_cells(**changes):
    return cells_of(toy(**changes), Path(), data=None)


def run(**changes):
    return Run(**({"recipe": "glotok", "config": "digits", "data": DIGITS, "seed": 0, "set": {}} | changes))


@catches(SUBJECT, "json.dumps(self.key, sort_keys=True)", "json.dumps(self.key)")
@given(st.permutations([("a.x", 1), ("b", {"c": 2, "d": 3}), ("e", [1])]), st.booleans())
def test_the_order_of_keys_makes_no_other_folder(pairs, turn):
    settings = dict(pairs)
    if turn:
        settings["b"] = {"d": 3, "c": 2}
    assert run(set=settings).name == run(set={"a.x": 1, "b": {"c": 2, "d": 3}, "e": [1]}).name


@catches(SUBJECT, "os.path.realpath(path) if", "path if")
@catches(SUBJECT, "and source not in (DIGITS, OPENMOJI)", "")
def test_the_source_of_a_run_is_a_whole_path_where_it_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("images", "digits"):
        (tmp_path / name).mkdir()
    sources = ("images", str(tmp_path / "images"), "images/", "digits", "org/name", "train-{0..3}.tar")
    assert [run(data=Data("mine", source)).source for source in sources] == [
        *[str(tmp_path.resolve() / "images")] * 3,
        *sources[3:],
    ]
    assert run(data=None).source is None


@catches(SUBJECT, "and not os.path.exists(os.path.expanduser(self.source))", "and not os.path.exists(self.source)")
@catches(SUBJECT, """ and not {"*", "{"} & {*self.source}""", "")
def test_a_source_is_missing_where_it_is_a_path_of_which_nothing_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "images").mkdir()
    for source, missing in [
        (f"{tmp_path}/images", False),
        ("~/images", False),
        ("~/photos", True),
        ("./photos", True),
        ("/no/photos", True),
        ("/no/photos-{000..146}.tar", False),
        ("org/photos", False),
        ("digits", False),
    ]:
        assert Data("mine", source).is_missing == missing, source


@catches(SUBJECT, '"seed": self.seed,', '"seed": 0,')
@catches(SUBJECT, '"recipe": self.recipe,', "")
@catches(SUBJECT, '"data": self.data and self.data.name,', "")
def test_whatever_decides_what_is_in_a_folder_makes_another_one():
    others = [
        run(),
        run(recipe="semtok"),
        run(config="emoji64"),
        run(data=None),
        run(data=Data("mine", "digits")),
        run(seed=1),
        run(set={"a": 1}),
        run(set={"a": 2}),
        run(set={"b": 1}),
    ]
    assert len({each.name.rpartition("-")[2] for each in others}) == len(others)
    assert all(plain_name(each.name) for each in others)
    assert run().name.startswith("glotok-digits-s0-")


def test_where_the_same_data_lie_makes_no_other_folder():
    assert run(data=Data("emoji64", "/a/emoji64")).name == run(data=Data("emoji64", "/b/emoji64")).name


@catches(SUBJECT, "int(value) if isinstance(value, float) and value.is_integer() else value", "value")
@catches(SUBJECT, "value = float(value)", "pass")
def test_a_number_is_the_same_however_it_is_written():
    assert plain_value(1.0) == 1
    assert isinstance(plain_value(1.0), int)
    assert plain_value("1e-4") == 1e-4
    assert plain_value({"a": ["2.0", "far", True, None]}) == {"a": [2, "far", True, None]}
    assert plain_value(True) is True
    assert run(set={"a": "1e-3"}).name == run(set={"a": 0.001}).name


@catches(SUBJECT, "Path(self.config).stem if content is not None else self.config", "self.config")
@catches(SUBJECT, '"content": content,', "")
def test_of_a_file_the_content_counts_and_not_its_place(tmp_path):
    for folder, text in (("a", "x: 1\ny: 2"), ("b", "y: 2\nx: 1  # the same"), ("c", "x: 1\ny: 3")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.yaml").write_text(text)
    names = [run(config=str(tmp_path / folder / "mine.yaml")).name for folder in "abc"]
    assert names[0] == names[1] != names[2]


@catches(
    SUBJECT,
    "for seed in seeds or study.seeds for name, row in rows.items()",
    "for name, row in rows.items() for seed in seeds or study.seeds",
)
def test_all_rows_come_at_one_seed_before_the_next_seed():
    assert [(cell.row, cell.run.seed) for cell in toy_cells()] == [("base", 0), ("heavy", 0), ("base", 1), ("heavy", 1)]


@catches(SUBJECT, "(study.set, per_data, own, overrides or {})", "(overrides or {}, own, per_data, study.set)")
@catches(SUBJECT, "(study.set, per_data, own,", "(study.set, own, per_data,")
def test_the_nearer_setting_has_the_last_word():
    study = toy(
        set={"a": "study", "b": "study", "c": "study", "d": "study"},
        data={"digits": {"set": {"b": "data", "c": "data", "d": "data"}}},
        rows={"base": {"set": {"c": "row", "d": "row"}}},
    )
    (cell,) = cells_of(study, Path(), data=DIGITS, seeds=(5,), overrides={"d": "option"})
    assert cell.run.set == {"a": "study", "b": "data", "c": "row", "d": "option"}
    assert cell.run.seed == 5
    (elsewhere,) = cells_of(study, Path(), data=Data("photos", "photos"), seeds=(5,))
    assert elsewhere.run.set["b"] == "study"


@catches(SUBJECT, "                    del settings[within]", "                    pass")
@catches(SUBJECT, " and key not in layer]", "]")
def test_a_nearer_section_takes_the_place_of_what_was_set_within_it():
    rows = {"base": {"set": {"train.rate": 3, "train": {"steps": 20}, "tokenizer.quantizer": {"kind": "fsq"}}}}
    general = {"train": {"steps": 5}, "train.steps": 10, "tokenizer.quantizer.size": 64, "trainer": 1}
    (cell,) = cells_of(toy(set=general, rows=rows), Path(), data=None, seeds=(0,))
    assert cell.run.set == {
        "train": {"steps": 20},
        "train.rate": 3,
        "tokenizer.quantizer": {"kind": "fsq"},
        "trainer": 1,
    }
    (cell,) = cells_of(toy(set=general, rows=rows), Path(), data=None, seeds=(0,), overrides={"train": {"steps": 3}})
    assert [key for key in cell.run.set if key.startswith("train.")] == []


@catches(SUBJECT, "{} if listed else row.set_elsewhere", "row.set_elsewhere")
@catches(SUBJECT, "own = {**row.set, **({} if", "own = {**({} if")
def test_a_row_may_be_set_otherwise_with_images_that_the_study_does_not_list():
    row = {"set": {"a": 1, "b": 1}, "set_elsewhere": {"b": 2, "c": 2}}
    study = toy(data={"digits": {}}, rows={"base": row}, seeds=(0,))
    settings = {}
    for name in ("digits", "photos"):
        (cell,) = cells_of(study, Path(), data=Data(name, name), overrides={"c": 3})
        settings[name] = cell.run.set
    assert settings == {"digits": {"a": 1, "b": 1, "c": 3}, "photos": {"a": 1, "b": 2, "c": 3}}
    (own,) = cells_of(toy(rows={"base": row}, seeds=(0,)), Path(), data=None)
    assert own.run.set == {"a": 1, "b": 1}


def with_configuration(folder, text):
    (folder / "cell_recipe" / "configs").mkdir(parents=True, exist_ok=True)
    (folder / "cell_recipe" / "__init__.py").write_text("raise RuntimeError('imported')")
    (folder / "cell_recipe" / "configs" / "small.yaml").write_text(text)
    return run(recipe="cell_recipe", config="small")


@catches(SUBJECT, "read_mapping(file) if file and file.is_file() else None", "read_mapping(file)")
@catches(SUBJECT, "    except ModuleNotFoundError:", "    except ZeroDivisionError:")
def test_a_run_knows_what_its_shipped_configuration_says_without_importing_the_recipe(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    first = with_configuration(tmp_path, "steps: 100\nwidth: 8")
    assert first.shipped == {"steps": 100, "width": 8}
    changed = with_configuration(tmp_path, "steps: 200\nwidth: 8")
    assert changed.shipped == {"steps": 200, "width": 8}
    assert changed.name == first.name  # published studies are joined by it
    for recipe in ("no_such_recipe", "no_such_package.recipe", "_support.toy_recipe"):
        assert run(recipe=recipe, config="small").shipped is None
    assert run(recipe="cell_recipe", config="large").shipped is None
    assert run(recipe="cell_recipe", config=str(tmp_path / "cell_recipe" / "configs" / "small.yaml")).shipped is None


CHANGES = (("steps", "steps: 100", "steps: 200"), ("far", "width: 8", "width: 9"), ("xar", "width: 16", "width: 17"))
TWO_GENERATORS = "steps: 100\ngenerators: {far: {width: 8}, xar: {width: 16}}"


@catches(SUBJECT, "json.dumps(read, sort_keys=True)", "json.dumps(read)")
@catches(SUBJECT, "() if _TRAIN_GENERATOR in self.skip else self.generators or every", "self.generators or every")
@catches(SUBJECT, "else self.generators or every", "else every")
@catches(SUBJECT, "else self.generators or every", "else self.generators")
@catches(SUBJECT, "if self.run.shipped is None:", "if False:")
def test_a_cell_depends_on_what_its_stages_read_of_the_shipped_configuration(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))

    def checksums(text):
        made = with_configuration(tmp_path, text)
        whole, one, none = ((), ()), (("far",), ()), (("far",), ("train-generator", "sample"))
        return [Cell("row", made, generators, None, None, skip).shipped for generators, skip in (whole, one, none)]

    first = checksums(TWO_GENERATORS)
    assert [len(checksum) for checksum in first] == [10, 10, 10]
    assert checksums("generators: {xar: {width: 16}, far: {width: 8}}\nsteps: 100  # few") == first
    changed = {name: checksums(TWO_GENERATORS.replace(old, new)) for name, old, new in CHANGES}
    same = {name: [a == b for a, b in zip(first, found, strict=True)] for name, found in changed.items()}
    assert same == {"steps": [False] * 3, "far": [False, False, True], "xar": [False, True, True]}
    assert Cell("row", run(recipe="no_such_recipe", config="small"), (), None, None, ()).shipped is None


@catches(SUBJECT, "row.recipe or study.recipe", "study.recipe or row.recipe")
@catches(SUBJECT, "row.samples or study.samples", "study.samples or row.samples")
@catches(SUBJECT, "row.config or study.config", "study.config or row.config")
def test_a_row_may_be_of_another_recipe():
    rows = {"base": {}, "other": {"recipe": "semtok", "config": {"digits": "d"}, "generator": "far", "samples": "few"}}
    study = toy(rows=rows, generators=["xar"], samples="many")
    base, other = cells_of(study, Path(), data=DIGITS, seeds=(0,))
    assert (base.run.recipe, base.run.config, base.generators, base.samples) == (study.recipe, "any", ("xar",), "many")
    assert (other.run.recipe, other.run.config, other.generators, other.samples) == ("semtok", "d", ("far",), "few")


def test_rows_that_differ_in_what_is_drawn_share_a_folder_and_are_other_requests():
    rows = {"a": {"generator": "xar"}, "b": {"generator": "far"}, "c": {"generator": "far", "samples": "few"}}
    cells = toy_cells(rows=rows, seeds=(0,))
    assert len({cell.run.name for cell in cells}) == 1
    assert len({cell.request for cell in cells}) == 3


@catches(SUBJECT, ', "--resume"]', "]")
@catches(SUBJECT, "in sorted(self.run.set.items()):  # a", "in self.run.set.items():  # a")
@catches(SUBJECT, "json.dumps(value, ensure_ascii=False)", "value")
def test_a_command_says_all_that_the_recipe_needs():
    settings = {"b.c": "1e-3", "b": {"x": True}, "a": "ü #1"}
    cell = Cell(
        "row", run(set=settings, data=Data("mine", "/my data")), ("xar", "far"), "few", "fid", ("train", "evaluate")
    )
    first, second = cell.commands(Path("/runs"))
    assert first[1:4] == ["-m", "glotok", "demo"]
    words = first[4:]
    assert words[words.index("--name") + 1] == cell.run.name
    assert words[words.index("--data") + 1] == "/my data"
    assert words[words.index("--skip") + 1 :][:2] == ["train", "evaluate"]
    assert "--resume" in words
    assert [words[i + 1] for i, word in enumerate(words) if word == "--set"] == [
        'a="ü #1"',
        'b={"x": true}',
        'b.c="1e-3"',
    ]
    assert [each[each.index("--generator") + 1] for each in (first, second)] == ["xar", "far"]
    (plain,) = Cell("row", run(data=None), (), None, None, ()).commands(Path("/runs"))
    assert not {"--generator", "--samples", "--evaluation", "--skip", "--set", "--data"} & set(plain)


@catches(SUBJECT, "study.rows[other], seed).run.name", "study.rows[other], 0).run.name")
@catches(SUBJECT, "after |= {name: other for other, name in needed.items()}", "pass")
@catches(SUBJECT, "text.replace(RUNS, str(runs.resolve()))", "text")
def test_a_row_may_read_the_run_of_another_one_wherever_the_runs_lie():
    rows = {"base": {}, "learner": {"set": {"teacher.checkpoint": "{run of base}/tokenizer/model.safetensors"}}}
    base, learner = toy_cells(rows=rows, seeds=(1,))
    assert (base.after, learner.after) == ({}, {base.run.name: "base"})
    assert base.run.name in learner.run.set["teacher.checkpoint"]
    (words,) = learner.commands(Path("/runs"))
    assert f'teacher.checkpoint="/runs/{base.run.name}/tokenizer/model.safetensors"' in words


@catches(SUBJECT, "{key: _with_folders(part, names) for key, part in value.items()}", "value")
@catches(SUBJECT, "[_with_folders(part, names) for part in value]", "value")
def test_a_row_may_read_the_run_of_another_one_within_a_section():
    section = {"checkpoint": "{run of base}/tokenizer", "images": ["a", "{run of base}"], "weight": 2}
    base, learner = toy_cells(rows={"base": {}, "learner": {"set": {"teacher": section}}}, seeds=(1,))
    assert learner.after == {base.run.name: "base"}
    (words,) = learner.commands(Path("/runs"))
    (told,) = [json.loads(word.removeprefix("teacher=")) for word in words if word.startswith("teacher=")]
    folder = f"/runs/{base.run.name}"
    assert told == {"checkpoint": f"{folder}/tokenizer", "images": ["a", folder], "weight": 2}


@catches(SUBJECT, "shared = {**study.set, **per_data, **(overrides or {})}", "shared = {**study.set}")
@catches(SUBJECT, "shared = {**study.set, **per_data, **(overrides or {})}", "shared = {**(overrides or {})}")
def test_all_rows_cannot_read_the_run_of_one():
    told = r"set: expected \{run of ROW\} in the settings of a row alone, got x='\{run of base\}'"
    asked = {"x": "{run of base}"}
    with pytest.raises(ConfigError, match=told):
        toy_cells(set=asked)
    with pytest.raises(ConfigError, match=told):
        cells_of(toy(), Path(), data=None, overrides=asked)
    with pytest.raises(ConfigError, match=told):
        cells_of(toy(data={"digits": {"set": asked}}), Path(), data=DIGITS)


@catches(SUBJECT, 'if not equals or "/" in name:', "if not equals:")
def test_data_are_called_as_their_source_ends_or_as_one_says():
    assert named_data("/data/emoji64/") == Data("emoji64", "/data/emoji64/")
    assert named_data("org/photos").name == "photos"
    assert named_data("my/set.parquet").name == "set"
    assert named_data("mine=/data/a=b") == Data("mine", "/data/a=b")
    assert named_data("/data/a=b").source == "/data/a=b"
    with pytest.raises(ConfigError, match="data: expected a plain name"):
        named_data("/")


@catches(SUBJECT, "if listed and listed.source and data.source == data.name", "if listed and listed.source")
def test_the_first_data_of_the_file_are_meant_where_none_are_named():
    study = toy(data={"mine": {"source": "/data/mine"}, "digits": {}})
    assert chosen_data(study, None) == Data("mine", "/data/mine")
    assert chosen_data(study, "digits") == DIGITS
    assert chosen_data(study, "/elsewhere/mine") == Data("mine", "/elsewhere/mine")
    assert chosen_data(toy(), None) is None


@catches(SUBJECT, "read_mapping(self.config) if", "read_mapping(Path(self.config).name) if")
def test_a_configuration_of_ones_own_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("a: [1")
    for name, said in (("mine", "not valid YAML"), ("yours", "cannot be read")):
        with pytest.raises(ConfigError, match=rf"^{tmp_path / name}.yaml: {said}"):
            _ = run(config=str(tmp_path / f"{name}.yaml")).name


def test_rows_that_there_are_not_are_told():
    with pytest.raises(ConfigError, match="only: expected some of base, heavy, got 'hevy'"):
        cells_of(toy(), Path(), data=None, only=("base", "hevy"))
    assert {cell.row for cell in cells_of(toy(), Path(), data=None, only=("heavy",))} == {"heavy"}


@catches(SUBJECT, "if not only or name in wanted}", "if not only or name in only}")
def test_rows_that_are_read_from_come_with_those_that_are_asked_for():
    rows = {"base": {}, "other": {}, "learner": {"set": {"teacher.checkpoint": "{run of base}/tokenizer"}}}
    cells = cells_of(toy(rows=rows, seeds=(0,)), Path(), data=None, only=("learner",))
    assert [cell.row for cell in cells] == ["base", "learner"]

"""The file of a study: what it may say, and how it is told what it may not."""

import pytest

from _support.mutants import catches
from _support.toy_studies import STUDY
from vistok.workbench.config import ConfigError, parse_config
from vistok.workbench.studies.schema import Measure, Study, config_for, load_study

SUBJECT = "vistok.workbench.studies.schema"
SAMPLES = {"gFID": {"path": "samples {samples}.distance", "better": "lower"}}


MISTAKES = [
    ({"colour": 1}, "unknown key colour; the nearest valid name is"),
    ({"measures": {"a": {"path": "a", "beter": "lower"}}}, "unknown key measures.a.beter; the nearest .* better"),
    ({"rows": {"a": {"papre": {}}}}, "unknown key rows.a.papre; the nearest valid name is paper"),
    ({"rows": {}}, "rows: "),
    ({"claims": []}, "claims: "),
    ({"recipe": "glo tok"}, "recipe: expected a module that python -m can run, got 'glo tok'"),
    ({"reference": "bass"}, "reference: expected one of the rows base, heavy, got 'bass'"),
    ({"seeds": [1, 2, 1]}, "seeds: expected each once, got"),
    ({"generators": ["a", "a"]}, "generators: expected each once, got"),
    ({"rows": {"a": {"paper": {"PNSR": 22}}}}, "rows.a.paper: expected measures of score, got 'PNSR'"),
    ({"measures": SAMPLES}, "rows.base.generator: expected one, for the measures of samples, got none"),
    ({"generators": ["a", "b"], "rows": {"x": {"generator": "a"}}}, "rows.x.generator: expected none where"),
    ({"rows": {"a": {"set": {"x": "{run of b}/y"}}}}, "rows.a.set: expected {run of ROW} with another row .* got 'b'"),
    ({"rows": {"a": {"set": {"x": "{run of a}"}}}}, "rows.a.set: expected {run of ROW} with another row"),
    ({"rows": {"a": {"set_elsewhere": {"x": "{run of b}"}}}}, "rows.a.set: expected {run of ROW} with .* got 'b'"),
    ({"data": {"a/b": {}}}, "data"),
    ({"rows": {" ": {}}}, "expected 1 to 80 printable characters"),
]


def toy(**changes):
    return Study.model_validate(STUDY | changes)


@catches(SUBJECT, "self.reference not in self.rows", "self.reference in self.rows")
@catches(SUBJECT, "len(set(self.seeds)) < len(self.seeds)", "len(set(self.seeds)) > len(self.seeds)")
@catches(SUBJECT, "len(set(self.generators)) < len(self.generators)", "False")
@catches(SUBJECT, "unknown = row.paper.keys() - self.columns", "unknown = row.paper.keys() - row.paper.keys()")
@catches(SUBJECT, "other not in self.rows or self.rows[other].needs", "other not in self.rows")
@catches(SUBJECT, "*self.set_elsewhere.values()", "")
@catches(SUBJECT, "[name for part in parts for name in runs_in(part)]", "[]")
@catches(SUBJECT, "and not self.generators_of(name)", "and self.generators_of(name)")
@catches(SUBJECT, "if row.generator is not None and len(self.generators) > 1", "if False")
def test_a_mistake_is_told_in_one_line_with_its_key():
    toy(reference="heavy", measures=SAMPLES, generators=["a"])
    for changes, message in MISTAKES:
        with pytest.raises(ConfigError, match=message) as error:
            parse_config(Study, STUDY | changes, source="a.yaml")
        assert "\n" not in str(error.value)


@catches(SUBJECT, "measure.of_samples and len(self.generators) > 1", "measure.of_samples")
@catches(SUBJECT, 'f"{name} {generator}": (name, generator)', 'f"{name} {generator}": (generator, name)')
def test_measures_of_samples_have_a_column_for_each_of_several_generators():
    measures = STUDY["measures"] | SAMPLES
    assert toy(measures=measures, generators=["xar"]).columns == {"score": ("score", None), "gFID": ("gFID", None)}
    several = toy(measures=measures, generators=["xar", "far"])
    assert list(several.columns) == ["score", "gFID xar", "gFID far"]
    assert several.columns["gFID far"] == ("gFID", "far")


@catches(SUBJECT, "self.generators if own is None else (own,)", "self.generators")
def test_a_row_may_have_a_generator_of_its_own():
    study = toy(generators=["xar"], rows={"base": {}, "other": {"generator": "far"}})
    assert study.generators_of("base") == ("xar",)
    assert study.generators_of("other") == ("far",)


@catches(SUBJECT, "self.path.get(recipe)", "None")
def test_recipes_may_call_the_same_measure_by_other_names():
    measure = Measure(path={"glotok": "reconstruction.psnr", "semtok": "refined.psnr"})
    assert [measure.path_of(recipe) for recipe in ("glotok", "semtok", "vqgan")] == [
        "reconstruction.psnr",
        "refined.psnr",
        None,
    ]
    assert Measure(path="psnr").path_of("any") == "psnr"
    assert not measure.of_samples
    assert Measure(path={"glotok": "samples {samples}.x"}).of_samples


@catches(SUBJECT, "if OTHERWISE in config:", "if False:")
def test_a_configuration_is_found_by_the_data_or_the_default_one_or_told():
    assert config_for("small", None, key="config") == "small"
    assert config_for({"digits": "a", "default": "b"}, "digits", key="config") == "a"
    assert config_for({"digits": "a", "default": "b"}, None, key="config") == "b"
    with pytest.raises(ConfigError, match=r"rows\.x\.config: .* for one of digits, got .*'photos'"):
        config_for({"digits": "a"}, "photos", key="rows.x.config")


@catches(SUBJECT, "(value,) if isinstance(value, str) else value", "value")
def test_one_claim_is_a_list_of_one(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("title: t\nclaims: only one\nrecipe: r\nconfig: c\nmeasures: {m: {path: m}}\nrows: {base: {}}\n")
    study = load_study(path)
    assert study.claims == ("only one",)
    assert study.seeds == (0,)


@catches(SUBJECT, 'raise ConfigError(f"{path}: the study\'s name: {error}") from None', "raise")
def test_a_file_whose_name_no_folder_may_have_is_named(tmp_path):
    path = tmp_path / "my: own.yaml"
    path.write_text("title: t\nclaims: c\nrecipe: r\nconfig: c\nmeasures: {m: {path: m}}\nrows: {base: {}}\n")
    with pytest.raises(ConfigError, match=r"my: own\.yaml: the study's name: expected a plain name .* got 'my: own'"):
        load_study(path)


def test_a_file_that_is_no_study_is_named(tmp_path):
    (tmp_path / "mine.yaml").write_text("title: t\ntitle: t\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: not valid YAML \(line 2, column 1: duplicate key 'title'"):
        load_study(tmp_path / "mine.yaml")

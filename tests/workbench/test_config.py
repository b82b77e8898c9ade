"""Configuration errors are one line with the key and the nearest valid name."""

import os
from typing import Annotated, ClassVar, Literal

import pytest
from pydantic import Field

from _support.fuzzing import check_told, succeeds_or_is_told
from _support.mutants import catches
from vistok.workbench.config import (
    MOST_BYTES,
    Config,
    ConfigError,
    MixedPrecision,
    Seed,
    default_values,
    load_config,
)
from vistok.workbench.recipe_config import EntryName, other_than
from vistok.workbench.run.folder import save_config
from vistok.workbench.training.seeds import seed_step

SUBJECT = "vistok.workbench.config"


class Inner(Config):
    learning_rate: float = Field(1e-3, gt=0)
    steps: int = 10
    betas: tuple[float, float] = (0.9, 0.95)


class Outer(Config):
    name: str = "run"
    train: Inner = Inner()
    extra: Inner | None = None


def write(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return path


@catches(SUBJECT, "if isinstance(entry, Config)", "if False")
@catches(SUBJECT, "found[name] = default_values(value)", "found[name] = value.model_dump()")
def test_defaults_have_the_shape_of_the_values_and_required_settings_have_none():
    class Named(Config):
        size: int
        parts: dict[str, Inner]
        train: Inner

    one = Inner(steps=3)
    defaults = {"learning_rate": 1e-3, "steps": 10, "betas": [0.9, 0.95]}
    assert default_values(Named(size=1, parts={"a": one}, train=one)) == {"parts": {"a": defaults}, "train": defaults}


@catches(SUBJECT, "recorded and key in self.switches", "key in self.switches")
@catches(SUBJECT, "        if name in config.switches:\n            continue\n", "")
def test_records_leave_switches_out_and_files_keep_them():
    class Fast(Config):
        switches: ClassVar[tuple[str, ...]] = ("workers",)
        workers: int = 2
        size: int = 1

    class Whole(Config):
        fast: Fast = Fast()

    assert Whole().recorded() == {"fast": {"size": 1}} == default_values(Whole())
    assert Whole().model_dump() == {"fast": {"workers": 2, "size": 1}}


def test_numbers_that_yaml_reads_as_strings_are_numbers(tmp_path):
    assert load_config(Outer, write(tmp_path, "train: {learning_rate: 1e-4}")).train.learning_rate == 1e-4


@catches(SUBJECT, '"." if isinstance(said, _BooleanForNumber) else ": "', '": "')
@catches(SUBJECT, "kinds & {int, float} and", "kinds & {int} and")
@catches(SUBJECT, "kinds & {int, float} and", "kinds & {float} and")
@catches(SUBJECT, "for part in typing.get_args(annotation) for found in _named(part)", "for found in ()")
@catches(SUBJECT, "isinstance(value, list | tuple)", "isinstance(value, tuple)")
@catches(SUBJECT, "value.values() if isinstance(value, dict) else", "")
@catches(SUBJECT, "(found := _boolean_in(part)) is not None", "(found := _boolean_in(part))")
def test_a_boolean_is_no_number(tmp_path):
    class Numbers(Config):
        steps: int = 1
        seed: Seed | None = None
        rate: float | Literal["auto"] = "auto"
        scale: tuple[float, float] = (0.5, 1.0)
        weights: dict[str, float] = Field({})

    class Whole(Config):
        train: Numbers = Numbers()

    for key, value, got in (
        ("steps", "true", "true"),
        ("seed", "no", "false"),
        ("rate", "on", "true"),
        ("scale", "[0.5, no]", "false"),
        ("weights", "{a: yes}", "true"),
    ):
        with pytest.raises(ConfigError, match=rf"yaml: train\.{key}: expected a number, got {got}$"):
            load_config(Whole, write(tmp_path, "{}"), (f"train.{key}={value}",))
        with pytest.raises(ConfigError, match=rf"yaml: {key}: expected a number, got {got}$"):
            load_config(Numbers, write(tmp_path, f"{key}: {value}"))


@catches(SUBJECT, "and bool not in kinds", "")
@catches(SUBJECT, "kinds & {int, float} and", "")
def test_a_boolean_is_one_where_it_may_be(tmp_path):
    class Kinds(Config):
        crop: bool | Literal["resized"] = False
        flips: bool | int = 0
        mixed_precision: MixedPrecision = "bf16"

    read = load_config(Kinds, write(tmp_path, "crop: yes\nflips: on\nmixed_precision: no"))
    assert (read.crop, read.flips, read.mixed_precision) == (True, True, "no")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {learning_rat: 1}", "unknown key train.learning_rat; the nearest valid name is learning_rate"),
        ("nmae: x", "unknown key nmae; the nearest valid name is name"),
        ("extra: {stepz: 1}", "unknown key extra.stepz; the nearest valid name is steps"),
        ("train: {steps: many}", "train.steps: input should be a valid integer.*got 'many'"),
        ("train: {steps: 1.5}", "train.steps: input should be a valid integer.*got 1.5"),
        ("train: {learning_rate: -1}", "train.learning_rate: input should be greater than 0, got -1"),
        ("- a\n- b", "expected a mapping of keys to values, got list"),
        ("", "expected a mapping of keys to values, got nothing"),
        ("a: [", r"not valid YAML \(line 1, column 5: "),
        ("train: {steps: 1}\ntrain: {steps: 2}", "duplicate key 'train', first on line 1"),
        ("train: {learning_rate: .inf}", "train.learning_rate: input should be a finite number, got inf"),
        ("train: {learning_rate: .nan}", "train.learning_rate: input should be"),
        ("train: {learning_rate: 1e999}", "train.learning_rate: input should be a finite number, got '1e999'"),
        ("train: {betas: [0.9, .inf]}", r"train\.betas\.1: input should be a finite number, got inf"),
        ("x" * 2000 + ": 1", "not valid YAML"),
        ("? " + "x" * 1000 + "\n: 1", "unknown key xxx.* [.]{3} x*; the nearest valid name is extra"),
        (
            "train: {steps: '" + "x" * 100_000 + "'}",
            "train.steps: input should be a valid integer.*, got 'x* [.]{3} x*'$",
        ),
        (
            "train: {steps: [" + "1, " * 5000 + "]}",
            r"train.steps: input should be a valid integer, got \[1, .* [.]{3} ",
        ),
        ('train: {steps: "a\\nb\\u0007"}', r"got 'a\\nb\\x07'"),
        ('"a\\nb": 1', r"unknown key a\\nb"),
        ('name: "\\ud800"', "line 1, column 7: half of a surrogate pair, which is no character"),
    ],
    ids=lambda value: value[:40],
)
def test_a_bad_file_gives_one_line_with_the_key(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(Outer, write(tmp_path, text))
    check_told(caught.value, mentions="config.yaml: ")


class Small(Config):
    kind: Literal["small"]
    width: int = Field(8, ge=8)


class Deep(Config):
    kind: Literal["deep", "deeper"]
    depth: int = 1
    sets: dict[EntryName, Inner] = Field({})


NetworkName = Annotated[EntryName, other_than("tokenizer", "refiner", "evaluation")]


class Several(Config):
    networks: dict[NetworkName, Annotated[Small | Deep, Field(discriminator="kind")]] = Field({}, max_length=3)


@pytest.mark.parametrize(
    ("networks", "message"),
    [
        ("{a: {kind: small, widt: 9}}", "unknown key networks.a.widt; the nearest valid name is width"),
        ("{a: {kind: deep, width: 9}}", "unknown key networks.a.width; the nearest valid name is depth"),
        ("{a: {kind: small, width: 1}}", "networks.a.width: input should be greater than or equal to 8, got 1"),
        (
            "{a: {kind: deep, sets: {b: {stepz: 1}}}}",
            "unknown key networks.a.sets.b.stepz; the nearest valid name is s",
        ),
        ("{a: {kind: deep, sets: {b: {steps: x}}}}", "networks.a.sets.b.steps: input should be a valid integer"),
        ("{a: {kind: large}}", "networks.a.kind: expected one of small, deep, deeper, got 'large'"),
        ("{a: {kind: [1]}}", "networks.a.kind: expected one of small, deep, deeper, got '[1]'"),
        ("{a: {width: 9}}", "networks.a.kind is missing; expected one of small, deep, deeper"),
        ("{a: 3}", "networks.a: input should be a valid dictionary"),
        ("{small: {kind: deep, width: 3}}", "unknown key networks.small.width; the nearest valid name is depth"),
        ("{a/b: {kind: small}}", "networks.a/b: expected a name of letters and digits, - or _ between them, got 'a/b'"),
        (
            "{refiner: {kind: small}}",
            "networks.refiner: expected another name than tokenizer, refiner, evaluation, got",
        ),
        ("{a: {kind: deep, sets: {-b: {}}}}", "networks.a.sets.-b: expected a name of letters and digits"),
        ("{a: {kind: small, '[key]': 1}}", "unknown key networks.a.[key]; the nearest valid name is"),
    ],
    ids=lambda value: value[:40],
)
def test_a_mistake_in_an_entry_of_several_kinds_names_its_place_in_the_file(tmp_path, networks, message):
    with pytest.raises(ConfigError) as caught:
        load_config(Several, write(tmp_path, f"networks: {networks}"))
    check_told(caught.value, mentions=f"config.yaml: {message}")


@catches(SUBJECT, 'data.count(b"\\n", 0, error.start) + 1', 'data.count(b"\\n", 0, error.start)')
def test_bytes_that_are_no_text_are_told_with_their_line(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes("name: a\n# Größe\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.yaml: line 2: expected UTF-8, got the byte 0xf6$"):
        load_config(Outer, path)
    path.write_bytes("name: ä\n".encode("utf-8-sig"))
    assert load_config(Outer, path).name == "ä"


def special(folder, kind):
    path = folder / "config.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "circle":
        path.symlink_to(path)
    elif kind == "large":
        path.write_text("#" * (MOST_BYTES + 1))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("folder", "expected a file, got a folder"),
        ("pipe", "expected a file, got a device or a pipe"),
        ("device", "expected a file, got a device or a pipe"),
        ("circle", "cannot be read"),
        ("large", "expected at most 256 KiB for a configuration, got more"),
        ("missing", r"cannot be read \(No such file or directory\)"),
    ],
)
def test_what_is_no_file_of_a_configurations_size_is_told_at_once(tmp_path, kind, message):
    path = special(tmp_path, kind)
    with succeeds_or_is_told():
        with pytest.raises(ConfigError, match=rf"config\.yaml: {message}"):
            load_config(Outer, path)


@catches(SUBJECT, "{text[-(longest // 2 - 3) :]}", "")
def test_a_long_path_keeps_its_end_in_messages(tmp_path):
    path = tmp_path / ("a" * 200) / ("b" * 200) / "mine.yaml"
    with pytest.raises(ConfigError, match=r"mine\.yaml: cannot be read") as caught:
        load_config(Outer, path)
    check_told(caught.value)
    with pytest.raises(ConfigError, match=r"cannot be read \(.*embedded null .*\)"):
        load_config(Outer, "\0.yaml")


def test_any_message_becomes_one_short_line():
    check_told(ConfigError("the key\n" + "x" * 10_000 + "\0 the end"), mentions="the key\\n")
    assert str(ConfigError("as it is:  'a  b'")) == "as it is:  'a  b'"


def test_the_largest_seed_can_be_mixed_with_step_and_process(tmp_path):
    class Seeded(Config):
        seed: Seed = 0

    largest = load_config(Seeded, write(tmp_path, f"seed: {2**31 - 1}")).seed
    seed_step(largest, 10**9, 4098)
    for seed in (2**31, 2**63 - 1, -1):
        with pytest.raises(ConfigError, match=r"seed: input should be (less|greater) than"):
            load_config(Seeded, write(tmp_path, f"seed: {seed}"))


@catches(SUBJECT, "for override in overrides:", "for override in reversed(overrides):")
def test_overrides_win_and_later_ones_win_over_earlier_ones(tmp_path):
    path = write(tmp_path, "train: {steps: 5}")
    config = load_config(Outer, path, ("train.steps=6", "train.steps=7", "name=other", "train.betas=[0.5, 0.6]"))
    assert (config.train.steps, config.name, config.train.betas) == (7, "other", (0.5, 0.6))


@catches(
    SUBJECT,
    "        _set(tree, key, value, source=key)",
    "        _set(tree, key, _parse(str(value), key), source=key)",
)
def test_values_come_before_overrides_and_are_taken_as_they_are(tmp_path):
    path = write(tmp_path, "train: {steps: 5}")
    config = load_config(Outer, path, ("train.steps=7",), values={"name": "yes", "train.steps": 6, "extra.steps": 8})
    assert config == Outer(name="yes", train=Inner(steps=7), extra=Inner(steps=8))


@catches(SUBJECT, "tree[parent] = dict(section)", "tree[parent] = section")
def test_a_section_that_two_keys_share_is_set_for_one(tmp_path):
    config = load_config(Outer, write(tmp_path, "train: &t {steps: 5}\nextra: *t"), ("train.steps=6",))
    assert (config.train.steps, config.extra.steps) == (6, 5)


@pytest.mark.parametrize("override", ["train.steps", "=3", "name.x=1"])
def test_a_malformed_override_is_named(tmp_path, override):
    with pytest.raises(ConfigError, match=f"override '{override}'"):
        load_config(Outer, write(tmp_path, "name: x"), (override,))


@pytest.mark.parametrize("value", ["[1", "{", "*a", "&a [*a]", "9" * 5000, "[" * 10_000, "!!int x", "\0", "1: 2: 3"])
def test_an_override_that_is_no_yaml_is_named(tmp_path, value):
    with pytest.raises(ConfigError, match=r"^override 'train\.steps=.*: not valid YAML \(line 1") as caught:
        load_config(Outer, write(tmp_path, "name: x"), (f"train.steps={value}",))
    check_told(caught.value)


@pytest.mark.parametrize(
    "name", ["ä", "two words", "\x85", "a\u2028b", "a\nb\t", "\xa0", "x " * 100, "\U0001f600", "\ufeff"]
)
def test_a_saved_configuration_reads_back_equal(tmp_path, name):
    config = Outer(name=name, train=Inner(steps=3))
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(Outer, tmp_path / "saved.yaml") == config

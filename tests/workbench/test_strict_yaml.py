"""YAML for configurations: what works as ever, and what is told where YAML itself is silent, hangs or breaks off."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from _support.fuzzing import succeeds_or_is_told
from _support.mutants import catches
from vistok.workbench.strict_yaml import MOST_DIGITS, MOST_LEVELS, MOST_NODES, StrictYAMLError, read_yaml, write_yaml

SUBJECT = "vistok.workbench.strict_yaml"


def test_ordinary_values_are_those_of_yaml():
    text = "a: [1, -2.5, true, null, ~, x, 'y z']\nb: {c: 0x10, d: 1.0e-3, e: 1e-3}\nf: |\n  two\n  lines\ng:\n- h: 1\n"
    assert read_yaml(text) == yaml.safe_load(text)
    assert read_yaml("") is None


@catches(SUBJECT, "list((pairs | own).values())", "list((own | pairs).values())")
def test_anchors_aliases_and_merge_keys_work():
    read = read_yaml("base: &b {steps: 5, rate: 0.1}\nbetas: &r [1, 2]\nmine: {<<: *b, steps: 6}\nmore: {betas: *r}")
    assert read["mine"] == {"steps": 6, "rate": 0.1}
    assert read["more"] == {"betas": [1, 2]}
    assert list(read) == ["base", "betas", "mine", "more"]


def test_a_merged_mapping_that_is_itself_merged_is_no_duplicate():
    text = "a: &a {x: 1, y: 2}\nb: &b {<<: *a, x: 3}\nc: {<<: *b, y: 4}"
    assert read_yaml(text)["c"] == {"x": 3, "y": 4}


@catches(SUBJECT, "for source in reversed(merged):", "for source in merged:")
def test_of_several_merged_mappings_the_first_wins():
    text = "a: &a {x: 1, y: 2}\nb: &b {x: 3, z: 4}\nc: {<<: [*b, *a], y: 5}"
    assert read_yaml(text)["c"] == {"x": 3, "y": 5, "z": 4}


@catches(SUBJECT, 'yaml.ScalarNode(_TAG + "str", key.value', "yaml.ScalarNode(key.tag, key.value")
def test_keys_are_names_as_they_are_written():
    text = "yes: 1\n2024: 2\n~: 3\n1e3: 4\n2024-01-01: 5"
    assert list(read_yaml(text)) == ["yes", "2024", "~", "1e3", "2024-01-01"]


@pytest.mark.parametrize("text", ["2024-01-01", "2024-99-99", "2024-01-01 10:00:00", "="])
def test_dates_and_other_rare_scalars_are_strings(text):
    assert read_yaml(f"a: {text}") == {"a": text}


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, levels)]
    return "\n".join(lines)


def bomb_of_merges(levels: int) -> str:
    lines = ["a0: &a0 {x: 1}", *(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, levels))]
    return "\n".join(lines)


TOO_MANY = f"more than {MOST_NODES} values, aliases expanded"
TOO_DEEP = f"nested deeper than {MOST_LEVELS} levels"

MISTAKES = {
    "a duplicate key": ("a: 1\nb: {c: 1,\n  c: 2}", "line 3, column 3: duplicate key 'c', first on line 2"),
    "the same name quoted": ("a: 1\n'a': 2", "line 2, column 1: duplicate key 'a', first on line 1"),
    "a list as key": ("? [a]\n: 1", "line 1, column 3: expected a name as key, got a list or a mapping"),
    "an open bracket": ("train:\n  steps: [1", "line 2, column 12: while parsing a flow sequence, expected ','"),
    "an integer of 5,000 digits": ("a: " + "9" * 5000, f"line 1, column 4: a number of more than {MOST_DIGITS} digits"),
    "a float of 5,000 digits": ("a: 0." + "9" * 5000, f"line 1, column 4: a number of more than {MOST_DIGITS} digits"),
    "an integer of 65 bits": (f"a: {2**64}", "line 1, column 4: an integer of more than 64 bits"),
    "a negative one": (f"a: {-(2**63) - 1}", "an integer of more than 64 bits"),
    "a version of 5,000 digits": ("%YAML " + "1" * 5000 + ".1\n--- a", "line 1, column 7: "),
    "deep lists": ("[" * 50_000, f"line 1, column {MOST_LEVELS + 1}: {TOO_DEEP}"),
    "deep mappings": ("{a: " * 50_000, TOO_DEEP),
    "deep blocks": ("- " * 50_000, TOO_DEEP),
    "a small bomb": (bomb(6), TOO_MANY),
    "a large bomb": (bomb(60), TOO_MANY),
    "a bomb of merges": (bomb_of_merges(12), TOO_MANY),
    "very many values": ("[" + "1," * 100_000 + "]", TOO_MANY),
    "an alias within itself": ("a: &a [*a]", r"line 1, column 8: the alias \*a is within what it stands for"),
    "a merge with itself": ("a: &a {<<: *a}", r"the alias \*a is within what it stands for"),
    "a merge of no mapping": ("a: &a [1]\nb: {<<: *a}", "line 1, column 8: expected a mapping to merge"),
    "two merges": ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2, column 13: duplicate key '<<', first on line 2"),
    "half of a pair": ('a: "\\ud800"', "line 1, column 4: half of a surrogate pair"),
    "an unknown alias": ("a: *b", "line 1, column 4: found undefined alias 'b'"),
    "a tag of Python": ("a: !!python/object/apply:os.getcwd []", "line 1, column 4: could not determine a constructor"),
    "a set": ("a: !!set {b}", "line 1, column 4: could not determine a constructor"),
    "a tag that does not fit": ("a: !!int many", "line 1, column 4: expected a value of type int"),
    "a truth value that is none": ("a: !!bool maybe", "expected a value of type bool"),
    "an empty integer": ("a: !!int ''", "expected a value of type int"),
    "a number without digits": ("a: 0x_", "expected a value of type int"),
    "an escape beyond Unicode": ('a: "\\UFFFFFFFF"', "line 1"),
    "a zero": ("a: 1\nb: \0", "line 2: character 0x0000 is not allowed"),
    "two documents": ("--- a\n--- b", "expected a single document in the stream"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_in_time(mistake):
    text, message = MISTAKES[mistake]
    with succeeds_or_is_told():
        with pytest.raises(StrictYAMLError, match=message):
            read_yaml(text)


def test_as_many_values_and_levels_as_allowed_are_read():
    assert len(read_yaml("[" + "1," * (MOST_NODES - 1) + "]")) == MOST_NODES - 1
    assert read_yaml("[" * MOST_LEVELS + "]" * MOST_LEVELS)
    assert read_yaml(f"[{2**63 - 1}, {-(2**63)}]") == [2**63 - 1, -(2**63)]


@catches(SUBJECT, "-_LARGEST <= value < _LARGEST", "-_LARGEST < value <= _LARGEST")
def test_integers_are_those_of_64_bits():
    for fits, next_to_it in ((2**63 - 1, 2**63), (-(2**63), -(2**63) - 1)):
        assert read_yaml(f"a: {fits}") == {"a": fits}
        with pytest.raises(StrictYAMLError, match="an integer of more than 64 bits"):
            read_yaml(f"a: {next_to_it}")


@catches(SUBJECT, "style=None if text.isprintable() else", "style=None if text else")
@given(st.text() | st.sampled_from(["\x85", "a\u2028b", "yes", "2024-01-01", "~", "1e3", "\n", " x ", "\ufeff"]))
def test_what_is_written_reads_back(text):
    for value in (text, {"key": [text, 1, 2.5, None, True]}):
        assert read_yaml(write_yaml(value)) == value

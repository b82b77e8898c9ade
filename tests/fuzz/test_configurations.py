"""Shipped configurations, damaged in bytes, lines, values and structure: read, or told in one short line in time."""

import importlib
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from _support.fuzzing import cases, succeeds_or_is_told
from vistok.workbench.config import ConfigError, load_config
from vistok.workbench.run.folder import save_config

RECIPES = {name: importlib.import_module(f"{name}.config") for name in ("glotok", "semtok")}
SHIPPED = [(name, path) for name, recipe in RECIPES.items() for path in sorted(recipe.CONFIGS.glob("*.yaml"))]

#: What a hand, an editor, another program or a bad copy leaves in a file.
PIECES = [
    *("", "~", "null", "yes", "off", "-1", "0", "1.5", "1e999", ".inf", "-.inf", ".nan", "9" * 30, "9" * 5000, "0x_"),
    *(
        "010",
        "1:30",
        "1_000",
        "1e-4",
        "2024-01-01",
        "2024-99-99",
        "=",
        "<<",
        "*a",
        "&a",
        "&a [*a]",
        "!!int x",
        "!!set {a}",
    ),
    *(
        "!!python/name:os.system",
        "[",
        "]",
        "{",
        "}",
        "{}",
        "[]",
        "[1",
        "[[[[",
        "'",
        '"',
        "|",
        ">",
        "%",
        "@",
        "`",
        "- ",
        "? ",
    ),
    *(
        ": ",
        "#",
        "---",
        "...",
        "\t",
        "\r",
        "\0",
        "\ufeff",
        "\x85",
        "\u2028",
        "ä",
        "\U0001f600",
        '"\\UFFFFFFFF"',
        '"\\ud800"',
    ),
    *("[" * 3000, "{a: " * 3000, "- " * 3000, "x" * 5000, "[" + "1," * 3000 + "]", "{a: 1, a: 2}", "[.inf, .nan]"),
    *(
        "&a [x, x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b]",
        "{<<: {steps: 1}}",
        "%YAML 9.9\n---",
        "a: b: c",
        "\n\n",
        " \n",
    ),
]

#: What another program could put in place of a value.
VALUES = [
    *(None, True, -1, 0, 1, 2**31, 2**63 - 1, -(2**63), 0.0, -1.5, 1e-300, 1e300, float("inf"), float("nan")),
    *("", "x", "1", "nan", "1e999", "x" * 2000, "a\nb", [], {}, [[]], [0], [1, 2], [1, "x"], {"a": 1}, {"": None}),
    *(
        [None] * 50,
        {"steps": {"steps": {"steps": 1}}},
        list(range(300)),
        [0.9, float("inf")],
        "\U0001f600",
        "2024-01-01",
    ),
]


def other_bytes(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data) + 1)
    end = min(len(data), start + draw.choice((1, 1, 4, 40)))
    return draw.choice(
        (
            data[:start] + bytes([draw.randrange(256)]) + data[start + 1 :],
            data[:start] + draw.randbytes(3) + data[start:],
            data[:start] + data[end:],
            data[:start],
            data[:end] + data[start:],
        )
    )


def other_lines(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    line = draw.choice(
        (b"", lines[j], b" " + lines[i], lines[i].lstrip(), b"\t" + lines[i], lines[i] + b" " + lines[j])
    )
    lines[i : i + draw.choice((0, 1, 1, 2))] = [line] * draw.choice((1, 1, 1, 2))
    return b"\n".join(lines)


def other_value(data: bytes, draw: random.Random) -> bytes:
    lines = data.split(b"\n")
    i = draw.choice([i for i, line in enumerate(lines) if b":" in line] or [0])
    key, colon, value = lines[i].partition(b":")
    piece = draw.choice(PIECES).encode()
    lines[i] = draw.choice((key + colon + b" " + piece, piece + colon + value, key + piece + value, lines[i] + piece))
    return b"\n".join(lines)


def other_structure(data: bytes, draw: random.Random) -> bytes:
    """A section's key renamed, moved or given another value; bytes that are no mapping any more stay as they are."""
    try:
        tree = yaml.load(data, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
    except (yaml.YAMLError, ValueError):
        return data
    if not isinstance(tree, dict) or not tree:
        return data
    place = tree
    while True:
        key = draw.choice(list(place))
        if not isinstance(place[key], dict) or not place[key] or draw.random() < 0.2:
            break
        place = place[key]
    kind = draw.randrange(4)
    if kind == 0:
        place[draw.choice((f"{key}x", "", "steps", "name", "x" * 2000, "a\nb"))] = place.pop(key)
    elif kind == 1:
        tree[key] = place.pop(key)
    else:
        place[key] = draw.choice(VALUES)
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=draw.random() < 0.5).encode()


KINDS = (other_bytes, other_lines, other_value, other_structure)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configurations")


@cases(300)
@given(
    st.sampled_from(SHIPPED),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_a_damaged_configuration_is_read_or_told(folder, shipped, kinds, seed):
    recipe, source = shipped
    data, draw = source.read_bytes(), random.Random(seed)
    for kind in kinds:
        data = kind(data, draw)
    path = folder / "damaged.yaml"
    path.write_bytes(data)
    with succeeds_or_is_told(ConfigError, mentions="damaged.yaml: "):
        config = RECIPES[recipe].load(str(path))
        reads_back(config, folder)


def reads_back(config, folder: Path) -> None:
    """What was accepted is kept with the run, and read again when the run goes on."""
    save_config(config, folder / "saved.yaml")
    assert load_config(type(config), folder / "saved.yaml") == config


KEYS = [
    f"{section}.{key}"
    for section, keys in yaml.safe_load(SHIPPED[0][1].read_text()).items()
    if isinstance(keys, dict)
    for key in keys
]


@cases(100)
@given(
    st.sampled_from([*KEYS, "name", "seed", "losses", "losses.x", "a.b.c", "", "."]),
    st.sampled_from(["=", "=", "=", ""]),
    st.one_of(st.sampled_from(PIECES), st.text(max_size=20), st.builds(str, st.sampled_from(VALUES))),
)
def test_any_override_is_taken_or_told(folder, key, equals, value):
    with succeeds_or_is_told(ConfigError):
        reads_back(RECIPES["glotok"].load("digits", (f"{key}{equals}{value}",)), folder)


@cases(50)
@given(st.sampled_from(["data.source", "name"]), st.one_of(st.sampled_from(PIECES), st.text(max_size=20)))
def test_any_text_given_by_name_is_taken_as_it_is_or_told(folder, key, text):
    with succeeds_or_is_told(ConfigError, mentions="digits.yaml: "):
        config = RECIPES["glotok"].load("digits", values={key: text})
        assert (config.data.source if key == "data.source" else config.name) == text
        reads_back(config, folder)

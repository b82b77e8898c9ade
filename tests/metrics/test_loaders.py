"""A tokenizer is loaded by whoever ships it; what cannot be is one line."""

import json
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

from _support.mutants import catches
from vistok.metrics import load_tokenizer
from vistok.metrics.harness.loaders import loader

SUBJECT = "vistok.metrics.harness.loaders"


@pytest.fixture
def announced(monkeypatch):
    """Two entry points: one that loads, one whose distribution is broken."""

    def broken():
        raise ImportError("No module named 'gone'")

    points = [
        SimpleNamespace(name="mine", load=lambda: lambda path: f"mine from {path}"),
        SimpleNamespace(name="broken", load=broken),
    ]
    groups = []

    def entry_points(*, group):
        groups.append(group)
        return points

    monkeypatch.setattr(metadata, "entry_points", entry_points)
    return groups


@catches(SUBJECT, "load(path)", 'load("path")')
@catches(SUBJECT, 'GROUP = "vistok.tokenizers"', 'GROUP = "vistok.tokenizer"')
def test_an_announced_loader_is_given_the_path(announced):
    assert load_tokenizer("mine", "a/folder") == "mine from a/folder"
    assert announced == ["vistok.tokenizers"]


def test_a_name_that_is_nobodys_lists_those_that_there_are(announced):
    message = "tokenizer 'glotk': expected one of broken, diffusers, mine, or module:function"
    with pytest.raises(ValueError, match=f"^{message}$"):
        loader("glotk")


@catches(SUBJECT, "except Exception as error:  # importing", "except LookupError as error:  # importing")
@catches(SUBJECT, "if not callable(found):", "if False:")
def test_what_cannot_be_imported_is_one_line(announced, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "unfinished_module.py").write_text("def load(path:\n")
    (tmp_path / "failing_module.py").write_text("raise RuntimeError('two\\nlines')\n")
    for name, said in (
        ("broken", "No module named 'gone'"),
        ("no_such_module:load", "No module named 'no_such_module'"),
        ("json:no_such", "AttributeError: .*no_such"),
        ("unfinished_module:load", "SyntaxError"),
        ("failing_module:load", "RuntimeError: two lines"),
        ("json:__name__", "expected a function of a path, got str"),
    ):
        with pytest.raises(ValueError, match=rf"\Atokenizer '{name}'[^\n]*{said}[^\n]*\Z"):
            load_tokenizer(name, "path")


@catches(SUBJECT, 'names.split(".")', "[names]")
def test_a_function_may_be_of_a_class():
    assert loader("json:JSONDecoder.decode") is json.JSONDecoder.decode


@catches(SUBJECT, "except Exception as error:  # a loader", "except ValueError as error:  # a loader")
def test_what_a_loader_raises_is_one_line_with_the_path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_loaders.py").write_text(
        "def missing(path): open(path)\n"
        "def wrong(path): return {}['weights']\n"
        "def other(path): raise ValueError('no\\nfit')\n"
    )
    for function, said in (("missing", "No such file"), ("wrong", "KeyError: 'weights'"), ("other", "no fit")):
        pattern = rf"\Atokenizer 'my_loaders:{function}' could not be loaded from [^\n]*nowhere: [^\n]*{said}[^\n]*\Z"
        with pytest.raises(ValueError, match=pattern):
            load_tokenizer(f"my_loaders:{function}", tmp_path / "nowhere")


@catches(SUBJECT, '"diffusers": lambda: load_diffusers_autoencoder, ', "")
def test_autoencoders_of_diffusers_are_opened_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(
        ValueError, match=rf"\Atokenizer 'diffusers' could not be loaded from {tmp_path}: it needs diff"
    ):
        load_tokenizer("diffusers", tmp_path)

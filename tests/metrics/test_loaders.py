"""A tokenizer is loaded by whoever ships it; what cannot be is one line."""

import json
import sys
from importlib import metadata
from types import ModuleType, SimpleNamespace

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


@catches(SUBJECT, "except ImportError as error:", "except KeyError as error:")
def test_without_diffusers_the_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"\A[^\n]*it needs diffusers [^\n]*\[diffusers\]'\Z"):
        load_tokenizer("diffusers", tmp_path)


@catches(SUBJECT, "from_pretrained(str(path)).eval()", "from_pretrained(str(path))")
@catches(SUBJECT, "except (OSError, ValueError, KeyError, TypeError, AttributeError)", "except OSError")
def test_an_autoencoder_of_diffusers_is_of_the_class_that_its_folder_names(tmp_path, monkeypatch):
    class AutoencoderKL:
        def __init__(self, path):
            self.path, self.training = path, True

        @classmethod
        def from_pretrained(cls, path):
            return cls(path)

        def eval(self):
            self.training = False
            return self

    diffusers = ModuleType("diffusers")
    diffusers.AutoencoderKL = AutoencoderKL
    monkeypatch.setitem(sys.modules, "diffusers", diffusers)
    (tmp_path / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    model = load_tokenizer("diffusers", tmp_path)
    assert (type(model), model.path, model.training) == (AutoencoderKL, str(tmp_path), False)
    for text in ("", "{}", "3", '{"_class_name": "NoSuchModel"}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=r"\A[^\n]*config\.json is not that of an autoenc[^\n]*\Z"):
            load_tokenizer("diffusers", tmp_path)
    with pytest.raises(ValueError, match=r"No such file"):
        load_tokenizer("diffusers", tmp_path / "nowhere")

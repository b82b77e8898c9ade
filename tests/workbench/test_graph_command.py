"""Only a tokenizer that is whole is exported; the log says how near its graphs are."""

import logging
from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from _support.toy_stages import Settings
from vistok.workbench import graph_command as module
from vistok.workbench.command_line import Run
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.graph_command import GraphOptions, graph_command
from vistok.workbench.pipelines.graphs import Comparison
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.graph_command"


class Forty(list):
    """Forty images."""

    def batch(self, indices):
        return torch.tensor(list(indices))


class Named(Config):
    name: str = "mine"

    @property
    def data(self):
        return SimpleNamespace(load=lambda: (None, Forty(range(40))))


@catches(SUBJECT, "run.stages.check_done(run.stages.by_name[stage])", "pass")
@catches(SUBJECT, "_, validation = run.config.data.load()", "validation, _ = run.config.data.load()")
@catches(SUBJECT, "format=options.format", 'format="onnx"')
@catches(SUBJECT, "100 * found.equal_tokens", "found.equal_tokens")
def test_a_tokenizer_is_exported_once_it_is_whole(tmp_path, monkeypatch, caplog):
    paths, given = RunPaths(tmp_path / "mine"), {}
    weights = paths.folder / "refined"

    def prepare(options):
        stages = Stages("toy", options.hint(), paths.folder, Settings(), [Stage("train-refiner", (), (weights,))])
        return Run(Named(), paths, Choice("xar", "strong", "default"), stages, options.resume)

    def write(tokenizer, folder, images, *, format, about):
        given.update(tokenizer=tokenizer, folder=folder, images=images.tolist(), format=format, about=about)
        return Comparison(len(images), 0.5, 2e-6)

    monkeypatch.setattr(module, "export_tokenizer", write)
    export = graph_command(prepare, lambda run: "tokenizer", stage="train-refiner")["export-tokenizer"]
    options = GraphOptions(folder=tmp_path / "out", name="mine", format="torch")
    with pytest.raises(ConfigError, match=r"refined: missing, or not as it was written; run toy train-refiner"):
        export(options)
    stages = prepare(options).stages
    with stages.opened(stages.by_name["train-refiner"], resume=False, fresh=False):
        weights.write_bytes(b"weights")
    with caplog.at_level(logging.INFO):
        export(options)
    assert given == {
        "tokenizer": "tokenizer",
        "folder": tmp_path / "out",
        "images": list(range(16)),
        "format": "torch",
        "about": {"recipe": "toy", "run": "mine"},
    }
    assert "On 16 images: 50.00 % of the tokens equal, images within 2e-06" in caplog.text

"""Only a generator that is whole is exported; what is uploaded is what was written."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from _support.toy_stages import Settings
from vistok.workbench import pipeline_command as module
from vistok.workbench.command_line import Run
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.evaluation.sampling import write_samples
from vistok.workbench.pipeline_command import PipelineOptions, pipeline_command
from vistok.workbench.pipelines.card import Paper
from vistok.workbench.pipelines.pipeline import Pipeline
from vistok.workbench.recipe_config import Choice, SampleConfig
from vistok.workbench.run.paths import RunPaths
from vistok.workbench.run.stages import Stage, Stages

SUBJECT = "vistok.workbench.pipeline_command"


class Five(list):
    """Five images."""

    class_names = ("round", "square")


class Named(Config):
    name: str = "mine"

    @property
    def data(self):
        return SimpleNamespace(source="far/away/shapes", image_size=8, load=lambda: (Five(range(5)), None))


def recipe(tmp_path):
    """A run whose generator is to be trained, and the command of its recipe."""
    paths = RunPaths(tmp_path / "mine")
    listed = [Stage("train-generator.xar", (), (paths.generator("xar"),))]

    def prepare(options):
        stages = Stages("toy", options.hint(), paths.folder, Settings(), listed)
        return Run(Named(), paths, Choice("xar", "strong", "default"), stages, options.resume)

    def opened(run):
        return Pipeline(torch.nn.Linear(3, 2), torch.nn.Linear(9, 2), SampleConfig(), ("round", "square"), None)

    commands = pipeline_command(
        prepare, opened, lambda run: [paths.generator("xar")], Paper("a", "b", "c", "2601.00001")
    )
    return commands["export-pipeline"], prepare, paths


@catches(SUBJECT, 'run.stages.check_done(run.stages.by_name[f"train-generator.{run.choice.generator}"])', "pass")
@catches(SUBJECT, "Path(config.data.source).name", "config.data.source")
@catches(SUBJECT, "if drawn.exists() else None", "if False else None")
@catches(SUBJECT, "licence=options.license", "licence=None")
def test_a_run_is_exported_once_its_generator_is_whole(tmp_path):
    export, prepare, paths = recipe(tmp_path)
    options = PipelineOptions(folder=tmp_path / "out", name="mine", license="mit")
    with pytest.raises(
        ConfigError, match=r"generator-xar\.safetensors: missing, or not as it was written; run toy train"
    ):
        export(options)
    stages = prepare(options).stages
    with stages.opened(stages.by_name["train-generator.xar"], resume=False, fresh=False):
        paths.generator("xar").write_bytes(b"weights")
    write_samples(
        paths.samples("xar", "strong"),
        lambda labels, draws: torch.zeros(len(labels), 1, 8, 8),
        SampleConfig(num_samples=4),
        2,
        seed=0,
    )
    export(options)
    card = (tmp_path / "out" / "README.md").read_text()
    for text in ("5 images of shapes at 8 x 8 pixels, 2 classes", "license: mit", "samples.png"):
        assert text in card, text
    assert (tmp_path / "out" / "generator-xar.safetensors").read_bytes() == b"weights"


@catches(SUBJECT, "if options.push_to_hub:", "if False:")
def test_what_was_written_is_uploaded(tmp_path, monkeypatch):
    calls = []

    class Hub:
        def create_repo(self, name, *, exist_ok):
            calls.append(("create", name, exist_ok))

        def upload_folder(self, *, repo_id, folder_path):
            calls.append(("upload", repo_id, sorted(file.name for file in folder_path.iterdir())))

    monkeypatch.setattr(module, "HfApi", Hub)
    export, prepare, paths = recipe(tmp_path)
    options = PipelineOptions(folder=tmp_path / "out", name="mine", push_to_hub="org/shapes")
    stages = prepare(options).stages
    with stages.opened(stages.by_name["train-generator.xar"], resume=False, fresh=False):
        paths.generator("xar").write_bytes(b"weights")
    export(options)
    files = ["README.md", "config.yaml", "generator-xar.safetensors", "vistok-run.json"]
    assert calls == [("create", "org/shapes", True), ("upload", "org/shapes", files)]

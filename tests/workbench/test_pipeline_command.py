"""Only a generator that is whole is exported; the card shows what it gives; what is uploaded is what was written."""

import json
import logging
from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
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
MEASURES = {
    "names": {"frechet_distance": "Lite0-FID", "perceptual_distance": "distance"},
    "features": "Lite0 at 128 px",
    "images": {"validation": 5},
    "mean image": {"psnr": 13.0},
    "refined": {"psnr": 27.25, "mean_absolute_error": 9.0},
    "real images": {"count": 4.0, "frechet_distance": 14.0},
    "reference": {"count": 5, "of": "training", "real images": "held-out"},
    "samples xar, strong": {"count": 4.0, "frechet_distance": 70.5},
}
PICTURE, SAMPLES, RECONSTRUCTIONS = "(samples.png)", "| Lite0-FID | 70.50 | 14.00 |", "| PSNR | 27.25 |"
UNMEASURED = "This run was not evaluated with these settings; `toy evaluate` measures it."


class Settings(Config):
    drawing: int = 1
    decoding: int = 1
    measuring: int = 1


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
    trained, drawn, back = "train-generator.xar", "sample.xar.strong", "reconstruct"
    listed = [
        Stage(trained, (), (paths.generator("xar"),)),
        Stage(drawn, ("drawing",), (paths.samples("xar", "strong"),), needs=(trained,)),
        Stage(back, ("decoding",), (paths.folder / "reconstructions",)),
        Stage("evaluate.default", ("measuring",), (paths.evaluation(),), needs=(back,), reads=(drawn,)),
    ]

    def prepare(options):
        settings = Settings(**{key: int(value) for key, _, value in (each.partition("=") for each in options.set)})
        stages = Stages("toy", options.hint(), paths.folder, settings, listed)
        return Run(Named(), paths, Choice("xar", "strong", "default"), stages, options.resume)

    def opened(run):
        return Pipeline(torch.nn.Linear(3, 2), torch.nn.Linear(9, 2), SampleConfig(), ("round", "square"), None)

    commands = pipeline_command(
        prepare, opened, lambda run: [paths.generator("xar")], Paper("a", "b", "c", "2601.00001")
    )
    return commands["export-pipeline"], prepare, paths


def make(stages, paths, *names):
    """Run some of the stages."""
    whole = SampleConfig(num_samples=4)
    work = {
        "train-generator.xar": lambda: paths.generator("xar").write_bytes(b"weights"),
        "sample.xar.strong": lambda: write_samples(
            paths.samples("xar", "strong"), lambda labels, _: torch.zeros(len(labels), 1, 8, 8), whole, 2, seed=0
        ),
        "reconstruct": lambda: (paths.folder / "reconstructions").write_bytes(b"images"),
        "evaluate.default": lambda: paths.evaluation().write_text(json.dumps(MEASURES)),
    }
    for name in names:
        with stages.opened(stages.by_name[name], resume=False, fresh=False):
            work[name]()


@catches(SUBJECT, 'run.stages.check_done(run.stages.by_name[f"train-generator.{run.choice.generator}"])', "pass")
@catches(SUBJECT, "Path(config.data.source).name", "config.data.source")
@catches(SUBJECT, "licence=options.license", "licence=None")
def test_a_run_is_exported_once_its_generator_is_whole(tmp_path):
    export, prepare, paths = recipe(tmp_path)
    options = PipelineOptions(folder=tmp_path / "out", name="mine", license="mit")
    with pytest.raises(
        ConfigError, match=r"generator-xar\.safetensors: missing, or not as it was written; run toy train"
    ):
        export(options)
    make(prepare(options).stages, paths, "train-generator.xar")
    export(options)
    card = (tmp_path / "out" / "README.md").read_text()
    for text in ("5 images of shapes at 8 x 8 pixels, 2 classes", "license: mit"):
        assert text in card, text
    assert (tmp_path / "out" / "generator-xar.safetensors").read_bytes() == b"weights"


@catches(SUBJECT, "if not stages.is_done(each)", "if False")
@catches(SUBJECT, "for each in (stage, *needs)", "for each in (stage,)")
@catches(SUBJECT, "if samples is None:\n        measures", "if False:\n        measures")
@catches(SUBJECT, "and stage.outputs[0].exists()", "")
@catches(SUBJECT, "stages.command(stale)", "stages.command(stage)")
def test_the_card_shows_what_was_drawn_and_measured_with_the_settings_of_the_export(tmp_path, caplog):
    export, prepare, paths = recipe(tmp_path)

    def shown(*changes):
        """What of all there might be is on the card, and what the log says is left out."""
        caplog.clear()
        folder = tmp_path / "-".join(("out", *changes, str(len(list(tmp_path.iterdir())))))
        export(PipelineOptions(folder=folder, name="mine", set=changes))
        card = (folder / "README.md").read_text()
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        return {text for text in (PICTURE, SAMPLES, RECONSTRUCTIONS, UNMEASURED) if text in card}, told

    run = prepare(PipelineOptions(folder=tmp_path))
    make(run.stages, paths, "train-generator.xar")
    assert shown() == ({UNMEASURED}, [])
    make(run.stages, paths, "sample.xar.strong", "reconstruct", "evaluate.default")
    assert shown() == ({PICTURE, SAMPLES, RECONSTRUCTIONS}, [])
    for change, left, file, command in (
        ("drawing=2", {RECONSTRUCTIONS}, paths.samples("xar", "strong"), "sample"),
        ("decoding=2", {PICTURE, UNMEASURED}, paths.evaluation(), "reconstruct"),
        ("measuring=2", {PICTURE, UNMEASURED}, paths.evaluation(), "evaluate"),
    ):
        again = f"toy {command} --name mine --set {change}"
        told = f"{file}: not what the run gives with these settings, and left out of the card; run {again}"
        assert shown(change) == (left, [told])


@catches(SUBJECT, "HfApi().upload_folder(repo_id=model, folder_path=options.folder)", "pass")
def test_what_was_written_is_uploaded(tmp_path, monkeypatch):
    calls = []

    class Hub:
        def create_repo(self, name, *, exist_ok):
            calls.append(("create", name, exist_ok, (tmp_path / "out").exists()))

        def upload_folder(self, *, repo_id, folder_path):
            calls.append(("upload", repo_id, sorted(file.name for file in folder_path.iterdir())))

    monkeypatch.setattr(module, "HfApi", Hub)
    export, prepare, paths = recipe(tmp_path)
    options = PipelineOptions(folder=tmp_path / "out", name="mine", push_to_hub="org/shapes")
    make(prepare(options).stages, paths, "train-generator.xar")
    export(options)
    files = ["README.md", "config.yaml", "generator-xar.safetensors", "vistok-run.json"]
    assert calls == [("create", "org/shapes", True, False), ("upload", "org/shapes", files)]


@catches(SUBJECT, "HfApi().create_repo(model, exist_ok=True)", "pass")
@catches(SUBJECT, "except Exception as error:", "except KeyError as error:")
def test_a_hub_that_fails_leaves_nothing_or_all_of_it_and_says_how_to_go_on(tmp_path, monkeypatch):
    class Hub:
        def create_repo(self, name, *, exist_ok):
            if name == "org/shapes":
                raise RuntimeError("401: no token")

        def upload_folder(self, *, repo_id, folder_path):
            raise RuntimeError("connection lost")

    monkeypatch.setattr(module, "HfApi", Hub)
    export, prepare, paths = recipe(tmp_path)
    folder = tmp_path / "out"
    make(prepare(PipelineOptions(folder=folder)).stages, paths, "train-generator.xar")
    said = r"^push_to_hub: org/shapes cannot be written to, and nothing was made \(RuntimeError: 401: no token\)$"
    with pytest.raises(ConfigError, match=said):
        export(PipelineOptions(folder=folder, name="mine", push_to_hub="org/shapes"))
    assert not folder.exists()
    said = rf"^push_to_hub: {folder} is whole and was not uploaded, hf upload me/shapes {folder} does it \(.* lost\)$"
    with pytest.raises(ConfigError, match=said):
        export(PipelineOptions(folder=folder, name="mine", push_to_hub="me/shapes"))
    assert (folder / "README.md").exists()

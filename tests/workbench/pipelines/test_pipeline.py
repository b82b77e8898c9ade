"""Classes in, images out; and where a pipeline comes from."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.pipelines import pipeline as module
from vistok.workbench.pipelines.pipeline import Pipeline, pipeline_folder
from vistok.workbench.recipe_config import SampleConfig
from vistok.workbench.run.folder import mark_run

SUBJECT = "vistok.workbench.pipelines.pipeline"
NAMES = ("cat", "dog", "2")


def labelled(labels, draws):
    """Images whose first channel is the label, and whose second is drawn."""
    drawn = torch.rand(len(labels), generator=draws) * 2 - 1
    return torch.stack([labels / 127.5 - 1, drawn, drawn], dim=1)[..., None, None].expand(-1, -1, 2, 4)


def pipeline(batch_size=3, draw=labelled):
    return Pipeline(None, None, SampleConfig(batch_size=batch_size), NAMES, draw)


@catches(SUBJECT, "if isinstance(name, str) and name in self.class_names:", "if False:")
@catches(SUBJECT, "0 <= number < len(self.class_names)", "0 <= number <= len(self.class_names)")
@catches(SUBJECT, "0 <= number < len(self.class_names)", "number < len(self.class_names)")
@catches(SUBJECT, "return self.class_names.index(name)", "return 0")
def test_classes_are_names_first_and_numbers_else():
    images = pipeline()(["dog", 0, 2, "2", "cat"])
    assert [image.getpixel((0, 0))[0] for image in images] == [1, 0, 2, 2, 0]
    assert [image.size for image in images] == [(4, 2)] * 5
    assert len(pipeline()("dog")) == len(pipeline()(1)) == 1
    for unknown, expected in (
        ("dgo", "class 'dgo': expected cat, dog, 2, or a whole number below 3; did you mean 'dog'"),
        (3, "class 3: expected cat"),
        (-1, "class -1: expected cat"),
    ):
        with pytest.raises(ValueError, match=expected):
            pipeline()(unknown)


@catches(SUBJECT, "isinstance(name, bool) or ", "")
@catches(SUBJECT, ' or getattr(name, "dtype", None) == torch.bool', "")
@catches(SUBJECT, "number = operator.index(name)", "number = int(name)")
@catches(SUBJECT, "suppress(TypeError):  # a number", "suppress(KeyError):  # a number")
def test_whole_numbers_of_other_libraries_are_numbers_and_truths_and_fractions_are_none():
    given = (np.int64(1), np.array(1), torch.tensor(1), [np.uint8(1)], np.array([1]), torch.tensor([1]), {1})
    assert [pipeline().tensors(each)[:, 0, 0, 0].tolist() for each in given] == [[1]] * len(given)
    assert pipeline().tensors(torch.tensor([1, 0, 2]))[:, 0, 0, 0].tolist() == [1, 0, 2]
    for wrong in (True, np.True_, torch.tensor(True), 1.0, np.float32(1), None, np.int64(3), [[1]]):
        with pytest.raises(ValueError, match=r"\Aclass .*: expected cat, dog, 2, or a whole number below 3[^\n]*\Z"):
            pipeline()(wrong)


@catches(SUBJECT, "draw_batch(self.draw, part, seed, index)", "draw_batch(self.draw, part, 0, index)")
@catches(SUBJECT, "draw_batch(self.draw, part, seed, index)", "draw_batch(self.draw, part, seed, 0)")
@given(st.integers(1, 7), st.integers(0, 5))
def test_the_seed_and_the_place_decide_an_image(count, seed):
    drawn, longer, other = (
        pipeline().tensors(["cat"] * many, seed=each)[:, 1, 0, 0].tolist()
        for many, each in ((count, seed), (count + 3, seed), (count, seed + 1))
    )
    assert longer[: count // 3 * 3] == drawn[: count // 3 * 3]
    assert drawn == pipeline().tensors(["cat"] * count, seed=seed)[:, 1, 0, 0].tolist()
    assert other != drawn
    assert longer[:3] != longer[3:6]


@catches(SUBJECT, "image[..., 0] if image.shape[-1] == 1 else image", "image")
def test_grey_images_are_grey():
    images = pipeline(draw=lambda labels, draws: labelled(labels, draws)[:, :1])(["dog", "2"])
    assert [image.mode for image in images] == ["L", "L"]
    assert images[1].getpixel((0, 0)) == 2


@catches(SUBJECT, "if (maker := run_maker(folder)) != program:", "if False:")
@catches(SUBJECT, "if not is_run(folder):", "if False:")
@catches("vistok.workbench.backbones.pretrained", "if isinstance(name, Path) or not", "if not")
def test_a_folder_is_one_that_the_recipe_made_and_what_is_none_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mark_run(tmp_path / "runs" / "demo", "toy")
    assert pipeline_folder("runs/demo", "toy").samefile("runs/demo")
    with pytest.raises(ConfigError, match=r"runs/demo: made by toy, expected other; load it with toy\.pipeline"):
        pipeline_folder("runs/demo", "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty: expected a run of toy or an exported pipeline, found no vistok-run"):
        pipeline_folder("empty", "toy")
    called = []
    monkeypatch.setattr(module, "snapshot_download", lambda *given, **_: called.append(given))
    for missing in ("runs/demmo", tmp_path / "a" / "b", module.Path("org/name"), "nothing"):
        with pytest.raises(FileNotFoundError, match="no such folder"):
            pipeline_folder(missing, "toy")
    assert not called


@catches(SUBJECT, "revision=revision", "revision=None")
def test_a_name_is_looked_up_on_the_hub_and_a_failure_is_one_line(tmp_path, monkeypatch):
    mark_run(tmp_path / "cached", "toy")
    asked = []

    def download(name, *, revision):
        asked.append((name, revision))
        if name == "org/there":
            return str(tmp_path / "cached")
        raise RuntimeError("not\nfound")

    monkeypatch.setattr(module, "snapshot_download", download)
    assert pipeline_folder("org/there", "toy", revision="v2") == tmp_path / "cached"
    assert asked == [("org/there", "v2")]
    with pytest.raises(FileNotFoundError, match=r"org/missing: no folder here, and the hub gave none \(not found\)"):
        pipeline_folder("org/missing", "toy")

"""What is drawn so far: an interrupted drawing goes on behind it, and gives what an uninterrupted one gives."""

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.evaluation.sampling import load_samples, write_samples
from vistok.workbench.recipe_config import SampleConfig

SUBJECT = "vistok.workbench.evaluation.drawn_parts"


def noise(labels, draws):
    return torch.rand(len(labels), 1, 4, 4, generator=draws) * 2 - 1


def samples(path, generate=noise, count=10, *, seed=0, made_by=""):
    settings = SampleConfig(num_samples=count, batch_size=2)
    write_samples(path, generate, settings, 3, seed=seed, made_by=made_by)
    return load_samples(path)


class Interrupting:
    """Draws so many batches, then is interrupted."""

    def __init__(self, batches):
        self.batches = batches

    def __call__(self, labels, draws):
        if not self.batches:
            raise RuntimeError("interrupted")
        self.batches -= 1
        return noise(labels, draws)


def interrupted(path, monkeypatch, **options):
    """Ten images in batches of two, parts of two batches: one part is written when the fourth batch is not drawn."""
    monkeypatch.setattr(f"{SUBJECT}.IMAGES", 4)
    with pytest.raises(RuntimeError, match="interrupted"):
        samples(path, Interrupting(3), **options)
    assert [file.name for file in path.with_name("s.parts").iterdir()] == ["00000.safetensors"]
    assert not path.exists()


@catches(SUBJECT, "if not is_made_of(file, self._made_of)", "if True")
@catches(SUBJECT, "done += len(part)", "done = len(part)")
@catches(SUBJECT, "            self._held.clear()\n", "")
@catches("vistok.workbench.evaluation.sampling", "        parts.remove()\n", "")
def test_an_interrupted_drawing_goes_on_and_gives_the_same_file(tmp_path, monkeypatch):
    whole = samples(tmp_path / "whole")
    interrupted(tmp_path / "s", monkeypatch)
    again = Interrupting(3)
    drawn = samples(tmp_path / "s", again)
    assert again.batches == 0
    assert all(torch.equal(drawn[name], whole[name]) for name in whole)
    assert (tmp_path / "s").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not (tmp_path / "s.parts").exists()


@pytest.mark.parametrize("change", [{"seed": 1}, {"made_by": "other weights"}, {"count": 11}])
@catches("vistok.workbench.run.tensor_files", ".get(MADE_OF) == what", ".get(MADE_OF) is not None")
def test_what_something_else_drew_is_drawn_again(tmp_path, monkeypatch, change):
    interrupted(tmp_path / "s", monkeypatch, made_by="weights")
    again = Interrupting(6)
    drawn = samples(tmp_path / "s", again, **{"made_by": "weights", **change})
    assert again.batches == 6 - -(-change.get("count", 10) // 2)
    expected = samples(tmp_path / "t", **change)
    assert torch.equal(drawn["images"], expected["images"])


@catches("vistok.workbench.run.tensor_files", "(FileNotFoundError, DamagedFileError)", "FileNotFoundError")
def test_a_part_that_is_cut_off_is_drawn_again(tmp_path, monkeypatch):
    interrupted(tmp_path / "s", monkeypatch)
    part = tmp_path / "s.parts" / "00000.safetensors"
    part.write_bytes(part.read_bytes()[:-5])
    assert torch.equal(samples(tmp_path / "s")["images"], samples(tmp_path / "t")["images"])

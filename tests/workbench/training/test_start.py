"""A training begins with a checkpoint or with saved weights, and refuses what is neither or built otherwise."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from vistok.workbench.backbones.pretrained import Pretrained
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run.checkpoint import save_checkpoint
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.start import begins_anew, start_from
from vistok.workbench.training.state import TrainState

SUBJECT = "vistok.workbench.training.start"


class Sizes(Config):
    width: int = 4


class Network(
    nn.Module,
    Pretrained,
    library_name="vistok",
    coders={Sizes: (lambda c: c.model_dump(mode="json"), lambda values: Sizes(**values))},
):
    def __init__(self, settings: Sizes) -> None:
        super().__init__()
        self.settings = settings
        self.first = nn.Linear(3, settings.width)
        self.second = nn.Linear(settings.width, 3)


def network(seed, width=4):
    torch.manual_seed(seed)
    return Network(Sizes(width=width))


def equal(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@catches(SUBJECT, "in parts:\n        load_whole(model.get", 'in [""]:\n        load_whole(model.get')
def test_saved_weights_begin_the_whole_network_or_the_parts_that_are_named(tmp_path):
    network(0).save_pretrained(tmp_path)
    whole, part = network(1), network(1)
    start_from(tmp_path, whole, None)
    start_from(tmp_path, part, None, parts=["second"])
    assert equal(whole, network(0))
    assert equal(part.second, network(0).second)
    assert equal(part.first, network(1).first)


@catches(SUBJECT, "(read or type(model).from_pretrained)(source)", "type(model).from_pretrained(source)")
def test_a_network_that_wants_more_than_a_folder_is_opened_as_told(tmp_path):
    network(0).save_pretrained(tmp_path)
    opened, begun = [], network(1)
    start_from(tmp_path, begun, None, read=lambda source: opened.append(source) or network(2))
    assert opened == [tmp_path]
    assert equal(begun, network(2))


@catches(SUBJECT, 'source.suffix == ".pt" or list_checkpoints(source)', 'source.suffix == ".pt"')
def test_a_checkpoint_or_a_folder_of_them_begins_all_that_it_holds(tmp_path):
    model = network(0)
    TrainState(tmp_path, {"model": model}, every=1, writes=True, losses=FiniteLosses(tmp_path)).save(3)
    for source in (tmp_path, tmp_path / "step-000000003.pt"):
        begun = network(1)
        start_from(
            source,
            begun,
            TrainState(tmp_path / "new", {"model": begun}, every=1, writes=True, losses=FiniteLosses(tmp_path)),
        )
        assert equal(begun, model)


@catches(SUBJECT, "if different:", "if False:")
def test_another_architecture_is_refused_by_what_differs(tmp_path):
    network(0, width=5).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match=r"^train.init_from: .* has another architecture: width 5 \(here 4\)$"):
        start_from(tmp_path, network(1), None)


@catches(SUBJECT, "if not (source / ", "if not (source.parent / ")
def test_what_is_neither_is_refused_in_one_line(tmp_path):
    (tmp_path / "config.json").touch()
    expected = "^train.init_from: expected a checkpoint, a folder of them or one of save_pretrained, got .*nowhere$"
    with pytest.raises(ConfigError, match=expected):
        start_from(tmp_path / "nowhere", network(1), None)


@catches(SUBJECT, "not (resume and list_checkpoints(checkpoints))", "not resume")
@catches(SUBJECT, "not (resume and list_checkpoints(checkpoints))", "not list_checkpoints(checkpoints)")
@catches(SUBJECT, " and not init_from", "")
def test_a_training_begins_anew_without_a_checkpoint_to_resume_and_without_other_weights(tmp_path):
    assert begins_anew(tmp_path / "none", resume=True, init_from=None)
    assert not begins_anew(tmp_path / "none", resume=True, init_from="other")
    save_checkpoint(tmp_path, 3, {})
    assert begins_anew(tmp_path, resume=False, init_from=None)
    assert not begins_anew(tmp_path, resume=True, init_from=None)

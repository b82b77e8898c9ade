"""Which optimizer learns which weights, and that two in one are the two, saved and resumed as one."""

import copy

import pytest
import torch
from torch import nn

from _support.mutants import catches
from vistok.generators import DoubleStreamBlock
from vistok.workbench.config import ConfigError
from vistok.workbench.training.learning_rate import set_learning_rate
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.muon import Muon
from vistok.workbench.training.optimizers import MuonWithAdam, build_optimizer, hidden_matrices, parameter_groups

SUBJECT = "vistok.workbench.training.optimizers"
ADAM = TrainConfig(steps=10, batch_size=4)
MUON = ADAM.model_copy(update={"optimizer": "muon"})


class Transformer(nn.Module):
    """Linear in, two blocks, linear out, a learned vector."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(3, 8)
        self.blocks = nn.ModuleList(DoubleStreamBlock(8, 2, conditioned=False) for _ in range(2))
        self.out = nn.Linear(8, 3)
        self.other = nn.Parameter(torch.randn(1, 2, 8))

    def forward(self, x):
        x, other = self.embed(x), self.other.expand(len(x), -1, -1)
        for block in self.blocks:
            x, other = block(x, other)
        return self.out(x), other


def steps(network, optimizer, count, start=0):
    for index in range(start, start + count):
        given = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(index))
        optimizer.zero_grad(set_to_none=True)
        out, other = network(given)
        ((out - given.flip(-1)).square().mean() + other.square().mean()).backward()
        set_learning_rate(optimizer, 0.002 * (index + 1))
        optimizer.step()


def made(settings=MUON, weight_decay=None):
    torch.manual_seed(0)
    network = Transformer()
    return network, build_optimizer(network, settings, weight_decay)


def test_adam_is_pytorchs_to_the_bit():
    ours, optimizer = made(ADAM)
    theirs, _ = made(ADAM)
    steps(ours, optimizer, 3)
    steps(theirs, torch.optim.Adam(theirs.parameters(), betas=ADAM.betas, fused=True), 3)
    assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    assert isinstance(made(ADAM, 0.0)[1], torch.optim.AdamW)


@catches(SUBJECT, "id(parameter) not in hidden", "id(parameter) in hidden")
@catches(SUBJECT, "isinstance(layer, nn.Linear)", "hasattr(layer, 'weight')")
def test_muons_are_the_linear_weights_within_blocks_and_all_else_is_adams():
    network, optimizer = made()
    muons, *adams = optimizer.param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = {names[id(parameter)] for parameter in muons["params"]}
    layers = ("qkv", "proj", "up", "down")
    sides = [
        f"blocks.{block}.{side}.{layer}.weight" for block in (0, 1) for side in ("first", "second") for layer in layers
    ]
    assert found == set(sides)
    rest = {names[id(parameter)] for group in adams for parameter in group["params"]}
    assert rest == set(names.values()) - found


@catches(SUBJECT, '"modulation" not in name', "name")
def test_layers_that_modulate_a_block_are_adams():
    block = DoubleStreamBlock(8, 2)
    found = hidden_matrices(nn.ModuleList([block]))
    modulations = [*block.first.modulation.parameters(), *block.second.modulation.parameters()]
    assert len(found) == 8
    assert not set(map(id, found)) & set(map(id, modulations))


def test_a_matrix_moves_by_singular_values_of_one_times_rate_and_scale():
    network, optimizer = made()
    matrix = network.blocks[0].first.up.weight
    before = matrix.detach().clone()
    steps(network, optimizer, 1)
    moved = torch.linalg.svdvals(before - matrix.detach())  # (32, 8)
    scale = 5.0 * 0.002 * 0.2 * 32**0.5
    assert 0.6 < moved.mean() / scale < 1.2
    assert moved.max() / scale < 1.3


@catches(SUBJECT, "for part in self._parts:", "for part in self._parts[:1]:")
@catches(SUBJECT, "muon.state = adam.state = self.state", "muon.state = self.state")
@catches(SUBJECT, '"rate_scale": settings.muon_rate', '"rate_scale": 1.0')
def test_it_is_muon_and_adamw_side_by_side_to_the_bit():
    ours, optimizer = made(weight_decay=0.1)
    theirs, _ = made()
    hidden = hidden_matrices(theirs)
    others = [p for p in theirs.parameters() if all(p is not matrix for matrix in hidden)]
    muon = Muon(hidden, weight_decay=0.1)
    adam = torch.optim.AdamW(parameter_groups(others, 0.1), betas=MUON.betas, fused=True)
    steps(ours, optimizer, 3)
    for index in range(3):
        given = torch.randn(4, 5, 3, generator=torch.Generator().manual_seed(index))
        theirs.zero_grad(set_to_none=True)
        out, other = theirs(given)
        ((out - given.flip(-1)).square().mean() + other.square().mean()).backward()
        for part, scale in ((muon, 5.0), (adam, 1.0)):
            for group in part.param_groups:
                group["lr"] = 0.002 * (index + 1) * scale
            part.step()
    assert all(map(torch.equal, ours.state_dict().values(), theirs.state_dict().values()))
    moments = {key for state in optimizer.state_dict()["state"].values() for key in state}
    assert moments == {"momentum_buffer", "exp_avg", "exp_avg_sq", "step"}


@catches(
    SUBJECT,
    "        super().load_state_dict(state_dict)\n        self._share()",
    "        super().load_state_dict(state_dict)",
)
def test_resumed_equals_uninterrupted_to_the_bit():
    whole, optimizer = made()
    steps(whole, optimizer, 4)
    part, optimizer = made()
    steps(part, optimizer, 2)
    saved = copy.deepcopy((part.state_dict(), optimizer.state_dict()))
    torch.manual_seed(7)
    resumed = Transformer()
    optimizer = build_optimizer(resumed, MUON)
    resumed.load_state_dict(saved[0])
    optimizer.load_state_dict(saved[1])
    steps(resumed, optimizer, 2, start=2)
    assert all(map(torch.equal, whole.state_dict().values(), resumed.state_dict().values()))


@catches(SUBJECT, "if not matrices:", "if matrices is None:")
def test_a_network_without_such_matrices_is_refused():
    with pytest.raises(ConfigError, match="optimizer: expected adam for a network whose blocks have no linear layers"):
        MuonWithAdam(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), MUON)


@catches(SUBJECT, "if p.ndim > 1]", "if p.ndim > 0]")
def test_only_matrices_decay():
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    decayed, kept = parameter_groups(model.parameters(), 0.1)
    assert [tuple(p.shape) for p in decayed["params"]] == [(3, 2)]
    assert decayed["weight_decay"] == 0.1
    assert len(kept["params"]) == 3
    assert kept["weight_decay"] == 0.0

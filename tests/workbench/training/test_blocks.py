"""What counts as a block; a block that is recomputed, or compiled, gives what it gave before."""

import copy
from types import SimpleNamespace

import torch
import torch._dynamo.config
from torch import nn

from _support.mutants import catches
from _support.sharded_network import INPUTS, Block, Network
from vistok.generators import FAR, XAR, FAROptions
from vistok.tokenizers import Encoder
from vistok.workbench.training.blocks import blocks_of, checkpoint_activations, compile_blocks

SUBJECT = "vistok.workbench.training.blocks"


@catches(SUBJECT, "if any(True for _ in member.children())", "if True")
@catches(SUBJECT, "if part is not block)", "if part is block)")
@catches(SUBJECT, "if not isinstance(member, nn.ModuleList)", "if True")
def test_blocks_are_the_innermost_members_of_lists_that_are_made_of_layers():
    network = Network()
    assert blocks_of(network) == list(network.blocks)  # the head's layers are none
    nested = nn.ModuleList([nn.Sequential(Block(), nn.GELU()), nn.ModuleList([nn.Linear(2, 2)])])
    assert blocks_of(nested) == [nested[0][0]]
    far = FAR((4, 4), 2, 3, width=16, depth=2, num_heads=2, options=FAROptions(head_depth=1))
    assert blocks_of(far) == [*far.blocks, *far.head_blocks]
    xar = XAR(4, 4, 2, 3, width=16, depth=4, num_heads=2)
    assert blocks_of(xar) == [*xar.first_blocks, *xar.second_blocks]


def saved_bytes(network, x):
    """The gradients of a pass, and how many bytes autograd kept for them."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(x).square().mean()
    loss.backward()
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}
    gradients = {name: p.grad for name, p in network.named_parameters()}
    return gradients, sum(size for place, size in kept.items() if place not in weights)


@catches(SUBJECT, "partial(checkpoint, inner, use_reentrant=False)", "inner")
def test_recomputed_blocks_keep_far_fewer_bytes_and_give_the_same_gradients():
    torch.manual_seed(0)
    whole = Encoder(3, 16, (1, 2), 2)
    recomputed = copy.deepcopy(whole)
    checkpoint_activations(recomputed)
    x = torch.randn(2, 3, 16, 16)
    (expected, many), (found, few) = (saved_bytes(network, x) for network in (whole, recomputed))
    assert found.keys() == expected.keys()
    assert few < 0.5 * many
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=lambda text, name=name: f"{name}: {text}")


@catches(SUBJECT, "torch.compile(inner)", "inner")
def test_each_block_is_compiled_where_it_stands(monkeypatch):
    """The names of weights stay; what compiles is torch's."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda function: compiled.append(function) or function)
    network, names = Network(), list(Network().state_dict())
    compile_blocks(network)
    assert [function.__self__ for function in compiled] == list(network.blocks)
    assert list(network.state_dict()) == names
    assert network(INPUTS[0]).shape == (8, 3)


@catches(SUBJECT, "max(limit, _SHAPES)", "limit")
@catches(SUBJECT, "limit = torch._dynamo.config.cache_size_limit", "limit = torch._dynamo.config.recompile_limit")
def test_blocks_of_many_shapes_are_compiled_by_any_torch(monkeypatch):
    """The setting has had another name since torch 2.7, which knows this one, too."""
    assert torch._dynamo.config.cache_size_limit == torch._dynamo.config.recompile_limit
    monkeypatch.setattr(torch._dynamo, "config", SimpleNamespace(cache_size_limit=8))
    monkeypatch.setattr(torch, "compile", lambda function: function)
    compile_blocks(Network())
    assert torch._dynamo.config.cache_size_limit == 64

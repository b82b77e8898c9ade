"""Sampling leaves each module in the mode that it was in, and a batch may be empty."""

import pytest
import torch
from torch import nn

from _support.mutants import catches
from _support.strategies import seeded
from vistok import generators as g
from vistok.generators._evaluating import evaluating

SUBJECT = "vistok.generators._evaluating"
SIZES = {"width": 16, "depth": 2, "num_heads": 2}
NONE = torch.zeros(0, dtype=torch.int64)


def networks():
    return {
        "xar": g.XAR(2, 4, 2, 3, **SIZES),
        "xar of a cell": g.XAR(2, 4, 4, 3, **SIZES),
        "far": g.FAR((5, 7), 2, 3, **SIZES),
        "masked ids": g.MaskedAR(g.IdTokens((5, 7)), 4, 3, **SIZES),
        "masked bits": g.MaskedAR(g.BitTokens(6, 2), 4, 3, **SIZES),
    }


@catches(SUBJECT, "module.training = training", "pass")
@catches(SUBJECT, "network.eval()", "pass")
def test_each_module_is_put_back_into_its_own_mode():
    network = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout().eval(), nn.Dropout()).eval())
    network[1][1].train()
    modes = [module.training for module in network.modules()]
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network.modules()] == modes


@catches("vistok.generators.xar", "with evaluating(self):", "for _ in [self.eval()]:")
@catches("vistok.generators.far", "with evaluating(self):", "for _ in [self.eval()]:")
@catches("vistok.generators.masked_ar", "with evaluating(self):", "for _ in [self.eval()]:")
def test_sampling_leaves_what_is_frozen_frozen():
    for name, network in networks().items():
        network.train().labels.eval()
        options = {"num_steps": 2} if "far" not in name else {}
        network.sample(torch.tensor([0]), generator=seeded(0), **options)
        assert (network.training, network.labels.training) == (True, False), name


@catches("vistok.generators.layers._xar_block", "flatten(1, 2).unflatten(-1, (3,", "reshape(len(x), -1, *(3,")
@catches("vistok.generators.layers._causal_block", "unflatten(-1, (3, ", "reshape(batch, tokens, *(3, ")
@catches("vistok.generators.layers._bidirectional_block", "unflatten(-1, (3, ", "reshape(batch, tokens, *(3, ")
@catches("vistok.generators.xar", "len(cells), self.in_channels,", "len(cells), -1,")
@catches("vistok.generators.masked_tokens", "bits.flatten(-2)", "bits.reshape(*groups.shape[:-1], -1)")
def test_samples_of_no_labels_are_an_empty_batch():
    for name, network in networks().items():
        options = {"num_steps": 3} if "far" not in name else {}
        for guidance in (1.0, 2.0):
            drawn = network.sample(NONE, guidance=guidance, generator=seeded(0), **options)
            one = network.sample(torch.tensor([0]), generator=seeded(0), **options)
            assert drawn.shape == (0, *one.shape[1:]), name
            assert drawn.dtype == one.dtype


@catches("vistok.generators.sampling._masked_cache", " or not len(active)", "")
def test_masked_samples_with_a_cache_may_be_none():
    model = networks()["masked ids"]
    settings = g.MaskedSampling(refresh_every=2)
    assert model.sample(NONE, num_steps=4, settings=settings).shape == (0, 4, 2)


@catches("vistok.generators._checks", "if not len(labels):", "if False:")
@catches("vistok.generators.xar", "        check_not_empty(labels)\n", "")
@catches("vistok.generators.far", "        check_not_empty(labels)\n", "")
@catches("vistok.generators.masked_ar", "        check_not_empty(labels)\n", "")
def test_a_loss_of_no_samples_is_one_line():
    for name, network in networks().items():
        empty = network.sample(NONE, **({"num_steps": 1} if "far" not in name else {}))
        with pytest.raises(ValueError, match=r"\Alabels must hold at least 1, a label a sample, got 0\Z"):
            network.loss(empty, NONE)


@catches("vistok.generators.layers.double_stream", "unflatten(-1, (3, ", "reshape(*x.shape[:2], *(3, ")
def test_two_streams_of_an_empty_batch_stay_empty():
    first, second = g.DoubleStreamBlock(16, 2, conditioned=False)(torch.zeros(0, 3, 16), torch.zeros(0, 5, 16))
    assert (first.shape, second.shape) == ((0, 3, 16), (0, 5, 16))

"""Convolutional stacks without attention: what a block computes, and how levels change the resolution."""

import pytest
import torch
import torch.nn.functional as F

from _support.mutants import catches
from _support.strategies import normal
from vistok.tokenizers.maskgit_vqgan import MaskGITBlock, MaskGITDecoder, MaskGITEncoder

SUBJECT = "vistok.tokenizers.maskgit_vqgan"


@catches(SUBJECT, "self.shortcut(h)", "self.shortcut(x)")
@catches(SUBJECT, "self.conv2(normalised_swish(h, self.norm2))", "self.conv2(h)")
def test_a_block_is_that_of_the_formula():
    torch.manual_seed(0)
    for before in (12, 8):
        check_block(before)


def check_block(before):
    block, x = MaskGITBlock(before, 8).double(), normal(0, 2, before, 5, 6).double()
    h = x
    for norm, conv in ((block.norm1, block.conv1), (block.norm2, block.conv2)):
        parts = h.reshape(2, norm.num_groups, -1)
        parts = (parts - parts.mean(-1, keepdim=True)) / (parts.var(-1, keepdim=True, unbiased=False) + 1e-6).sqrt()
        h = parts.reshape(h.shape)
        h = F.conv2d(h / (1 + (-h).exp()), conv.weight, padding=1)
    expected = h + (x if before == 8 else torch.einsum("oc,bchw->bohw", block.shortcut.weight[:, :, 0, 0], h))
    torch.testing.assert_close(block(x), expected)


@catches(
    SUBJECT,
    "if index < len(multipliers) - 1:\n                levels.append(Down",
    "if True:\n                levels.append(Down",
)
@catches(SUBJECT, "reversed(multipliers)", "multipliers")
def test_each_level_but_the_last_halves_the_sides_and_the_decoder_goes_back():
    encoder, decoder = MaskGITEncoder(3, 5, 8, (1, 2, 3), 2), MaskGITDecoder(5, 3, 8, (1, 2, 3), 2)
    features = encoder(torch.zeros(1, 3, 16, 24))
    assert features.shape == (1, 5, 4, 6)
    assert decoder(features).shape == (1, 3, 16, 24)
    assert [level[0].conv1.weight.shape[:2] for level in encoder.levels[::2]] == [(8, 8), (16, 8), (24, 16)]
    assert [level[0].conv1.weight.shape[:2] for level in decoder.levels[::2]] == [(24, 24), (16, 24), (8, 16)]
    assert {len(level) for level in (*encoder.levels[::2], *decoder.levels[::2], encoder.middle, decoder.middle)} == {2}


@catches(
    SUBJECT,
    "self.conv_in = nn.Conv2d(image_channels, base_channels, 3, padding=1, bias=False)",
    "self.conv_in = nn.Conv2d(image_channels, base_channels, 3, padding=1)",
)
def test_biases_are_where_the_published_networks_have_them():
    stacks = torch.nn.ModuleDict({"e": MaskGITEncoder(3, 5, 8, (1, 2), 1), "d": MaskGITDecoder(5, 3, 8, (1, 2), 1)})
    found = {
        name
        for name, module in stacks.named_modules()
        if isinstance(module, torch.nn.Conv2d) and module.bias is not None
    }
    assert found == {"e.levels.1.conv", "e.conv_out", "d.conv_in", "d.levels.1.conv", "d.conv_out"}


@pytest.mark.parametrize("build", [MaskGITEncoder, MaskGITDecoder])
def test_sizes_below_one_are_refused(build):
    with pytest.raises(ValueError, match=rf"{build.__name__}: expected sizes of at least 1, got num_blocks=0"):
        build(3, 4, 8, (1, 2), 0)

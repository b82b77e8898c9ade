"""Where the parts of the convolutional stacks stand in the authors' files."""

import torch

from _support.mutants import catches
from _support.published_tokenizers import OneCodebook, Shapes
from vistok.tokenizers.autoencoder import ResidualBlock
from vistok.tokenizers.published._autoencoder_names import VQGAN, autoencoder_sources, block_sources, other_groups

SUBJECT = "vistok.tokenizers.published._autoencoder_names"
ELSEWHERE = ("quant", "post_quant", "encoder.norm_out", "encoder.conv_out")  # the way to the codes and back


@catches(SUBJECT, "index // 2, len", "index, len")
@catches(SUBJECT, "if not isinstance(module, nn.Identity):", "if module is not None:")
@catches(SUBJECT, '        **layer("decoder.norm_out", "decoder.norm_out"),\n', "")
def test_every_name_of_the_published_stacks_fills_one_place_and_every_place_is_filled():
    with torch.device("meta"):
        model = OneCodebook()
    sources = autoencoder_sources(model.encoder, model.decoder)
    taken = [name for source in sources.values() for name in source.names]
    assert sorted(taken) == sorted(name for name in Shapes("llamagen") if not name.startswith(ELSEWHERE))
    assert set(sources) == {name for name in model.state_dict() if name.startswith(("encoder.", "decoder."))}


@catches(SUBJECT, '("q", "k", "v")', '("k", "q", "v")')
@catches(SUBJECT, "{counts[kind]}", "{place}")
@catches(SUBJECT, '"downsample" if isinstance(level, Downsample)', '"upsample" if isinstance(level, Downsample)')
def test_blocks_stand_where_the_description_says():
    with torch.device("meta"):
        model = OneCodebook()
    sources = autoencoder_sources(model.encoder, model.decoder)
    for ours, theirs in (
        ("encoder.levels.8.3.qkv.bias", [f"encoder.conv_blocks.4.attn.1.{part}.bias" for part in "qkv"]),
        ("encoder.levels.3.conv.weight", ["encoder.conv_blocks.1.downsample.conv.weight"]),
        ("decoder.levels.0.4.shortcut.weight", []),
        ("decoder.levels.2.0.shortcut.weight", ["decoder.conv_blocks.1.res.0.nin_shortcut.weight"]),
        ("decoder.levels.0.5.out.weight", ["decoder.conv_blocks.0.attn.2.proj_out.weight"]),
        ("decoder.levels.7.conv.bias", ["decoder.conv_blocks.3.upsample.conv.bias"]),
        ("encoder.middle.2.norm1.weight", ["encoder.mid.2.norm1.weight"]),
    ):
        assert list(sources[ours].names if ours in sources else ()) == theirs


@catches(SUBJECT, "count - 1 - place", "place")
@catches(SUBJECT, "len(stack.levels) // 2 + 1", "len(stack.levels)")
@catches(SUBJECT, '("mid.block_1", "mid.attn_1", "mid.block_2")', '("mid.block_0", "mid.attn_1", "mid.block_2")')
def test_in_vqgans_layout_the_decoders_levels_are_counted_from_full_resolution():
    with torch.device("meta"):
        model = OneCodebook()
    sources = autoencoder_sources(model.encoder, model.decoder, VQGAN)
    for ours, theirs in (
        ("encoder.levels.8.3.qkv.bias", [f"encoder.down.4.attn.1.{part}.bias" for part in "qkv"]),
        ("encoder.levels.3.conv.weight", ["encoder.down.1.downsample.conv.weight"]),
        ("encoder.middle.0.conv1.weight", ["encoder.mid.block_1.conv1.weight"]),
        ("decoder.levels.0.5.out.weight", ["decoder.up.4.attn.2.proj_out.weight"]),
        ("decoder.levels.2.0.shortcut.weight", ["decoder.up.3.block.0.nin_shortcut.weight"]),
        ("decoder.levels.7.conv.bias", ["decoder.up.1.upsample.conv.bias"]),
    ):
        assert list(sources[ours].names) == theirs
    assert set(sources) == {name for name in model.state_dict() if name.startswith(("encoder.", "decoder."))}


@catches(SUBJECT, "bias=bias).items()", "bias=True).items()")
def test_a_convolution_without_a_bias_has_no_source_for_one():
    sources = dict(block_sources("ours", "theirs", ResidualBlock(8, 8, bias=False)))
    assert "ours.conv1.bias" not in sources
    assert sources["ours.norm1.bias"].names == ("theirs.norm1.bias",)


@catches(SUBJECT, "module.num_groups != _GROUPS", "module.num_groups > _GROUPS")
def test_only_normalisations_of_other_groups_are_named():
    norms = {"one": torch.nn.GroupNorm(32, 64), "two": torch.nn.GroupNorm(16, 64), "three": torch.nn.LayerNorm(64)}
    assert list(other_groups(torch.nn.ModuleDict(norms))) == ["two: 16 groups, the published network has 32"]

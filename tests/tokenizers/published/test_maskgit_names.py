"""Where the parts of the stacks without attention stand in the authors' files, in both dialects."""

import torch

from _support.mutants import catches
from vistok.tokenizers.maskgit_vqgan import MaskGITDecoder, MaskGITEncoder
from vistok.tokenizers.published._maskgit_names import Dialect, decoder_sources, encoder_sources, stack_sizes

SUBJECT = "vistok.tokenizers.published._maskgit_names"
PLUS, PIXELS = Dialect("res_blocks", "mid.res_blocks", False), Dialect("block", "mid", True)
SIZES = {"base_channels": 32, "multipliers": (1, 1, 2), "num_blocks": 3}


def stacks():
    with torch.device("meta"):
        return MaskGITEncoder(3, 5, **SIZES), MaskGITDecoder(5, 3, **SIZES)


@catches(SUBJECT, '"nin_shortcut" if part == "shortcut" else part', "part")
@catches(SUBJECT, "last - i // 2 if dialect.finest_first else i // 2", "i // 2")
@catches(SUBJECT, "last - i // 2 if dialect.finest_first else i // 2", "last - i // 2")
@catches(SUBJECT, '"up": "upsample_conv"', '"up": "up_conv"')
def test_blocks_stand_where_the_description_says():
    encoder, decoder = stacks()
    down = encoder_sources("e", "encoder", encoder, PLUS)
    up, pixels = (decoder_sources("d", "decoder", decoder, dialect) for dialect in (PLUS, PIXELS))
    for sources, ours, theirs in (
        (down, "e.levels.3.conv.bias", "encoder.down.1.down_conv.bias"),
        (down, "e.levels.4.0.shortcut.weight", "encoder.down.2.res_blocks.0.nin_shortcut.weight"),
        (down, "e.middle.2.norm1.bias", "encoder.mid.res_blocks.2.norm1.bias"),
        (up, "d.levels.0.1.conv2.weight", "decoder.up.0.res_blocks.1.conv2.weight"),
        (up, "d.levels.3.conv.weight", "decoder.up.1.upsample_conv.weight"),
        (pixels, "d.levels.0.1.conv2.weight", "decoder.up.2.block.1.conv2.weight"),
        (pixels, "d.levels.4.0.norm1.weight", "decoder.up.0.block.0.norm1.weight"),
        (pixels, "d.middle.0.norm2.weight", "decoder.mid.0.norm2.weight"),
        (pixels, "d.conv_in.bias", "decoder.conv_in.bias"),
    ):
        assert sources[ours].names == (theirs,)


@catches(SUBJECT, '("conv_in", "norm_out", "conv_out")', '("conv_in", "norm_out")')
def test_every_place_is_filled_once():
    encoder, decoder = stacks()
    for dialect in (PLUS, PIXELS):
        sources = encoder_sources("e", "there", encoder, dialect) | decoder_sources("d", "back", decoder, dialect)
        assert set(sources) == set(torch.nn.ModuleDict({"e": encoder, "d": decoder}).state_dict())
        assert len({source.names for source in sources.values()}) == len(sources)


@catches(SUBJECT, 'if kind == "up" and not dialect.finest_first', 'if kind == "up"')
@catches(SUBJECT, 'f"{first}.conv_out.weight", 1', 'f"{first}.conv_out.weight", 0')
def test_sizes_are_read_from_the_names_and_shapes():
    encoder, decoder = stacks()
    for dialect in (PLUS, PIXELS):
        sources = encoder_sources("e", "e", encoder, dialect) | decoder_sources("d", "d", decoder, dialect)
        ours = torch.nn.ModuleDict({"e": encoder, "d": decoder}).state_dict()
        state = {source.names[0]: ours[name] for name, source in sources.items()}
        assert stack_sizes(state, "e.down", dialect) == stack_sizes(state, "d.up", dialect) == SIZES

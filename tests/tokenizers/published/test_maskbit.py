"""Weights in the layout of MaskBit's code give what MaskBit's tokenizer gave for them."""

import re

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import assert_close, golden, spread, state_of
from vistok.tokenizers import load_maskbit_tokenizer

SUBJECT = "vistok.tokenizers.published.maskbit"
IMAGES = spread("images", (2, 3, 8, 8))


def constants(bits):
    """What the published quantizer keeps beside no weights: the value of each bit, and the bits of each index."""
    values = 2 ** torch.arange(bits)
    codes = (torch.arange(2**bits)[:, None] & values) != 0
    return {"quantize.bits_to_indices": values.int(), "quantize.codebook": codes.float() * 2 - 1}


def saved(**changed):
    return state_of("maskbit") | constants(6) | changed


@catches(SUBJECT, "lowest_bit_first=True", "lowest_bit_first=False")
@catches(SUBJECT, 'decoder_sources("decoder", "decoder"', 'decoder_sources("decoder", "encoder"')
@torch.no_grad()
def test_features_tokens_and_images_are_those_of_the_published_network():
    case = golden("maskbit")
    model = load_maskbit_tokenizer(saved())
    assert not model.training
    assert_close(model.features(IMAGES), case["features"], case["every_feature"])
    tokens = model.encode(IMAGES)
    assert tokens.flatten().tolist() == case["indices"]
    codes = model.quantizer.indices_to_codes(tokens)
    assert_close(model.decode_codes(codes), case["images"], case["every_pixel"])
    torch.testing.assert_close(model(IMAGES), model.decode_codes(codes), atol=1e-4, rtol=0)


@catches(SUBJECT, 'finest_first="decoder.up.0.upsample_conv.weight" not in state', "finest_first=False")
@torch.no_grad()
def test_the_older_decoder_that_names_its_levels_in_reverse_is_the_same_network():
    turned = {}
    for name, tensor in saved().items():
        turned[re.sub(r"^decoder\.up\.(\d)", lambda found: f"decoder.up.{1 - int(found[1])}", name)] = tensor
    expected = load_maskbit_tokenizer(saved()).state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in load_maskbit_tokenizer(turned).state_dict().items())


@catches(SUBJECT, 'metric="euclidean"', 'metric="cosine"')
@torch.no_grad()
def test_with_a_codebook_it_is_vqgan_plus_and_the_nearest_code_is_taken():
    book = spread("codes", (12, 6)) * torch.arange(1, 13)[:, None]
    model = load_maskbit_tokenizer(state_of("maskbit") | {"quantize.embedding.weight": book})
    rows = model.features(IMAGES).permute(0, 2, 3, 1).double()
    nearest = (rows[..., None, :] - book.double()).square().sum(-1).argmin(-1)
    assert torch.equal(model.encode(IMAGES), nearest)
    assert model.codebook_sizes == (12,)


@catches(SUBJECT, "otherwise += _other_bits(state, quantizer)", "pass")
@catches(SUBJECT, "if not torch.equal(found.long(), ours)", "if found.long().shape != ours.shape")
def test_bits_in_another_order_are_refused():
    given = constants(6)
    for name, other in (
        ("quantize.bits_to_indices", given["quantize.bits_to_indices"].flip(0)),
        ("quantize.codebook", given["quantize.codebook"].flip(1)),
    ):
        with pytest.raises(ValueError, match=f"1 entries: {name}: the lowest bit is not the first channel"):
            load_maskbit_tokenizer(saved(**{name: other}))
    with pytest.raises(ValueError, match=r"2 entries: quantize\.bits_to_indices: not in the checkpoint; quantize"):
        load_maskbit_tokenizer(state_of("maskbit"))


@pytest.mark.parametrize(
    ("bits", "parameters"), [(10, 54_469_005), (12, 54_479_247), (14, 54_489_489), (18, 54_509_973)]
)
def test_every_published_size_follows_from_its_file(bits, parameters):
    model = on_meta(published_shapes(bits), bits)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert (model.stride, model.codebook_sizes) == (16, (2**bits,))


def on_meta(shapes, bits):
    with torch.device("meta"):
        state = {name: torch.empty(shape) for name, shape in shapes.items()}
        state["quantize.bits_to_indices"] = torch.empty(bits, dtype=torch.int32)
        return load_maskbit_tokenizer(state | {"quantize.codebook": torch.empty(2**bits, bits)})


def published_shapes(bits):
    """The names and shapes of a published tokenizer, written down from its description."""
    shapes = {"encoder.conv_in.weight": (128, 3, 3, 3), "encoder.conv_out.weight": (bits, 512, 1, 1)}
    shapes |= {"encoder.conv_out.bias": (bits,), "decoder.conv_in.weight": (512, bits, 3, 3)}
    shapes |= {"decoder.conv_in.bias": (512,), "decoder.conv_out.weight": (3, 128, 3, 3), "decoder.conv_out.bias": (3,)}
    for part, width, kind, change in (("encoder", 512, "down", "down_conv"), ("decoder", 128, "up", "upsample_conv")):
        shapes |= {f"{part}.norm_out.weight": (width,), f"{part}.norm_out.bias": (width,)}
        widths = (128, 128, 128, 256, 256, 512) if kind == "down" else (512, 512, 256, 256, 128, 128)
        for level in range(5):
            for index in range(2):
                before = widths[level] if index == 0 else widths[level + 1]
                shapes |= block(f"{part}.{kind}.{level}.res_blocks.{index}", before, widths[level + 1])
            if level < 4:
                after = widths[level + 1]
                shapes[f"{part}.{kind}.{level}.{change}.weight"] = (after, after, 3, 3)
                shapes[f"{part}.{kind}.{level}.{change}.bias"] = (after,)
        for index in range(2):
            shapes |= block(f"{part}.mid.res_blocks.{index}", 512, 512)
    return shapes


def block(key, before, after):
    shapes = {
        f"{key}.{norm}.{leaf}": (size,)
        for norm, size in (("norm1", before), ("norm2", after))
        for leaf in ("weight", "bias")
    }
    shapes |= {f"{key}.conv1.weight": (after, before, 3, 3), f"{key}.conv2.weight": (after, after, 3, 3)}
    return shapes | ({f"{key}.nin_shortcut.weight": (after, after, 1, 1)} if before != after else {})


@catches(SUBJECT, "[*other_groups(model)]", "[]")
def test_other_groups_of_normalisation_are_refused():
    halved = {
        name: [side // 2 if side > 100 else side for side in shape] for name, shape in published_shapes(6).items()
    }
    with pytest.raises(ValueError, match=r"encoder\.levels\.0\.0\.norm1: 16 groups, the published network has 32"):
        on_meta(halved, 6)

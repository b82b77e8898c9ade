"""Weights in the layout of TiTok's code give what TiTok's network gave for them."""

from itertools import pairwise

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import assert_close, golden, spread, state_of
from vistok.tokenizers import load_titok

SUBJECT = "vistok.tokenizers.published.titok"
IMAGES = spread("images", (2, 3, 8, 8))


@catches(SUBJECT, 'metric="cosine" if _PIXEL_CODES in state else "euclidean"', 'metric="euclidean"')
@catches(SUBJECT, "mixed_features=_PIXEL_CODES in state", "mixed_features=False")
@catches(SUBJECT, "mixed_features=_PIXEL_CODES in state", "mixed_features=True")
@catches(SUBJECT, 'f"{name}.norm_in", f"{name}.ln_pre"', 'f"{name}.norm_in", f"{name}.ln_post"')
@torch.no_grad()
def test_features_tokens_and_images_are_those_of_the_published_network():
    for author in ("titok", "titok_direct"):
        case = golden(author)
        model = load_titok(state_of(author))
        assert not model.training
        assert_close(model.features(IMAGES), case["features"])
        tokens = model.encode(IMAGES)
        assert tokens.flatten().tolist() == case["indices"]
        codes = model.quantizer.indices_to_codes(tokens)
        assert_close(model.decode_codes(codes), case["images"], case["every_pixel"])
        torch.testing.assert_close(model(IMAGES), model.decode_codes(codes), atol=1e-4, rtol=0)


class Shapes(dict):
    """The names and shapes of a published two-stage network, written down from its description."""

    def __init__(self, width, depth, num_tokens, base=128):
        super().__init__()
        self["latent_tokens"], self["quantize.embedding.weight"] = (num_tokens, width), (4096, 12)
        self.layer("encoder.patch_embed", width, 3, 16, 16)
        self.layer("encoder.conv_out", 12, width, 1, 1)
        self.layer("decoder.decoder_embed", width, 12)
        self["decoder.mask_token"] = (1, 1, width)
        self.layer("decoder.ffn.0", 2 * width, width, 1, 1)
        self.layer("decoder.ffn.2", 1024, 2 * width, 1, 1)
        for part in ("encoder", "decoder"):
            self[f"{part}.class_embedding"], self[f"{part}.positional_embedding"] = (1, width), (257, width)
            self[f"{part}.latent_token_positional_embedding"] = (num_tokens, width)
            self.layer(f"{part}.ln_pre", width)
            self.layer(f"{part}.ln_post", width)
            for index in range(depth):
                self.transformer_block(f"{part}.transformer.{index}", width)
        self["pixel_quantize.embedding.weight"] = (1024, 256)
        self.pixel_decoder("pixel_decoder", base)

    def layer(self, key, *shape):
        self[f"{key}.weight"], self[f"{key}.bias"] = shape, shape[:1]

    def transformer_block(self, key, width):
        self.layer(f"{key}.ln_1", width)
        self.layer(f"{key}.ln_2", width)
        self[f"{key}.attn.in_proj_weight"], self[f"{key}.attn.in_proj_bias"] = (3 * width, width), (3 * width,)
        self.layer(f"{key}.attn.out_proj", width, width)
        self.layer(f"{key}.mlp.c_fc", 4 * width, width)
        self.layer(f"{key}.mlp.c_proj", width, 4 * width)

    def pixel_decoder(self, key, base):
        self.layer(f"{key}.conv_in", 4 * base, 256, 3, 3)
        self.layer(f"{key}.norm_out", base)
        self.layer(f"{key}.conv_out", 3, base, 3, 3)
        for index in range(2):
            self.residual_block(f"{key}.mid.{index}", 4 * base, 4 * base)
        widths = [base * multiplier for multiplier in (1, 1, 2, 2, 4, 4)]
        for level, (after, before) in enumerate(pairwise(widths)):
            self.residual_block(f"{key}.up.{level}.block.0", before, after)
            self.residual_block(f"{key}.up.{level}.block.1", after, after)
            if level:
                self.layer(f"{key}.up.{level}.upsample_conv", after, after, 3, 3)

    def residual_block(self, key, before, after):
        self.layer(f"{key}.norm1", before)
        self[f"{key}.conv1.weight"] = (after, before, 3, 3)
        self.layer(f"{key}.norm2", after)
        self[f"{key}.conv2.weight"] = (after, after, 3, 3)
        if before != after:
            self[f"{key}.nin_shortcut.weight"] = (after, after, 1, 1)


def on_meta(shapes):
    with torch.device("meta"):
        return load_titok({name: torch.empty(shape) for name, shape in shapes.items()})


@pytest.mark.parametrize(
    ("shapes", "parameters"),
    [
        (Shapes(512, 8, 128), 83_674_639),
        (Shapes(768, 12, 64), 204_814_095),
        (Shapes(1024, 24, 32), 641_054_735),
    ],
    ids=["S-128", "B-64", "L-32"],
)
def test_every_published_size_follows_from_its_file(shapes, parameters):
    model = on_meta(shapes)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert (model.image_size, model.codebook_sizes, model.mixed_features) == (256, (4096,), True)
    assert (model.quantizer.metric, model.quantizer.channel_dim) == ("cosine", -1)
    assert model.encoder.blocks[0].num_heads == model.decoder.blocks[0].num_heads == shapes["latent_tokens"][1] // 64


@catches(SUBJECT, "[*other_groups(model)]", "[]")
def test_other_groups_of_normalisation_are_refused():
    with pytest.raises(ValueError, match=r"pixels\.decoder\.norm_out: 16 groups, the published network has 32"):
        on_meta(Shapes(512, 8, 128, base=64))


def test_everything_that_does_not_match_is_named_in_one_line():
    state = state_of("titok")
    state["decoder.text_guidance_proj.weight"] = state.pop("decoder.transformer.1.ln_2.bias")
    with pytest.raises(ValueError, match=r"2 entries: decoder\.text_guidance_proj\.weight: no place in the") as caught:
        load_titok(state)
    assert "decoder.transformer.1.ln_2.bias: not in the checkpoint, for decoder.blocks.1.norm2.bias" in str(
        caught.value
    )
    with pytest.raises(ValueError, match=r"expected quantize\.embedding\.weight to tell the network's size, got none"):
        load_titok({name: tensor for name, tensor in state.items() if not name.startswith("quantize.")})
    with pytest.raises(TypeError, match="state: expected a dictionary of tensors by name, got str"):
        load_titok("titok.bin")

"""Weights in the authors' layouts give the outputs that the authors' networks gave for them."""

import argparse
import json
import math
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from glotok.config import TokenizerConfig
from glotok.model import GloTok
from glotok.published_tokenizers import SingleCodebookTokenizer, load_fqgan_dual, load_llamagen_vq16

GOLDEN = json.loads(Path(__file__).with_name("published_tokenizers.json").read_text())


def spread(name, shape, size=1.0):
    """Values in ``[-size, size]`` that look random and follow from the name and the place alone."""
    phase = sum((place + 1) * ord(letter) for place, letter in enumerate(name)) % 10007
    waves = 43758.5453 * torch.sin(12.9898 * torch.arange(math.prod(shape), dtype=torch.float64) + phase)
    return (size * (2 * (waves - waves.floor()) - 1)).float().reshape(tuple(shape))


def weight(name, shape):
    """Gains around one, matrices and convolutions scaled by their input size."""
    if len(shape) == 1:
        return spread(name, shape, 0.3) + name.endswith("weight")
    return spread(name, shape, 1.7 / math.sqrt(math.prod(shape[1:])))


@cache
def weights(case):
    return {name: weight(name, shape) for name, shape in GOLDEN[case]["shapes"].items()}


def state_of(case):
    return dict(weights(case))


def images():
    return spread("images", (2, 3, 32, 32))


def single():
    return SingleCodebookTokenizer(24, 8, multipliers=(1, 1, 2), num_blocks=1, latent_channels=16).eval()


def dual(**changes):
    settings = {
        "image_size": 32, "multipliers": (1, 1, 1, 1), "num_blocks": 1, "adapter_depth": 2, "latent_channels": 16,
        "semantic_codebook_size": 24, "visual_codebook_size": 24, "residual": False,
    }  # fmt: skip
    return GloTok(TokenizerConfig(**{**settings, **changes})).eval()


CASES = {"llamagen": (single, load_llamagen_vq16), "fqgan": (dual, load_fqgan_dual)}


def assert_close(ours, expected, every=1):
    torch.testing.assert_close(ours.flatten()[::every], torch.tensor(expected), atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_single_codebook_gives_features_tokens_and_images_of_the_published_network():
    case = GOLDEN["llamagen"]
    model = load_llamagen_vq16(state_of("llamagen"), single())
    assert_close(model.features(images()), case["features"], case["every_feature"])
    tokens = model.encode(images())
    assert tokens.flatten().tolist() == case["indices"]
    assert tokens.shape == (2, 8, 8)
    assert_close(model(images()), case["images"], case["every_pixel"])
    torch.testing.assert_close(model.decode(tokens), model(images()).clamp(-1, 1))


@torch.no_grad()
def test_the_dual_codebook_gives_features_tokens_and_images_of_the_published_network():
    case = GOLDEN["fqgan"]
    model = load_fqgan_dual(state_of("fqgan"), dual())
    semantic, visual = model.features(images())
    assert_close(semantic, case["semantic_features"], case["every_feature"])
    assert_close(visual, case["visual_features"], case["every_feature"])
    tokens = model.encode(images())
    assert tokens.semantic.flatten().tolist() == case["semantic_indices"]
    assert tokens.visual.flatten().tolist() == case["visual_indices"]
    assert_close(model(images()).reconstruction, case["images"], case["every_pixel"])


@pytest.mark.parametrize("name", ["llamagen", "fqgan"])
@pytest.mark.parametrize(("first", "second"), [("q", "k"), ("k", "v")])
def test_the_golden_numbers_tell_queries_keys_and_values_apart(name, first, second):
    build, load = CASES[name]
    state = state_of(name)
    for leaf in ("weight", "bias"):
        one, other = (f"encoder.mid.1.{part}.{leaf}" for part in (first, second))
        state[one], state[other] = state[other], state[one]
    model = load(state, build())
    with torch.no_grad():
        features = model.features(images())
    ours, key = (features, "features") if name == "llamagen" else (features[0], "semantic_features")
    with pytest.raises(AssertionError):
        assert_close(ours, GOLDEN[name][key], GOLDEN[name]["every_feature"])


@pytest.mark.parametrize("name", ["llamagen", "fqgan"])
def test_everything_that_does_not_match_is_named_and_nothing_is_loaded(name):
    build, load = CASES[name]
    state = state_of(name)
    del state["encoder.mid.1.k.bias"], state["decoder.conv_blocks.0.upsample.conv.weight"]
    state["decoder.conv_blocks.9.res.0.conv1.weight"] = torch.zeros(2)
    state["post_quant_conv.bias"] = torch.zeros(3)
    state["encoder.mid.1.v.weight"] = torch.zeros(64, 128, 1, 1)
    model = build()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="checkpoint does not fit, 5 entries: ") as caught:
        load(state, model)
    for part in (
        "encoder.mid.1.k.bias: not in the checkpoint, for encoder.middle.1.qkv.bias",
        "decoder.conv_blocks.0.upsample.conv.weight: not in the checkpoint, for decoder.levels.1.conv.weight",
        "decoder.conv_blocks.9.res.0.conv1.weight: no place in the model",
        "post_quant_conv.bias: expected shape (16,) for post_quantization.bias, got (3,)",
        "encoder.mid.1.v.weight: expected shape",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": True}, r"visual_recovery\.\S+: the published network has none"),
        ({"adapter_heads": 4}, r"semantic_adapter\.blocks\.0: 4 heads, the published network has 8"),
        ({"image_size": 64}, r"positional_embedding: expected shape \(64, 128\) for semantic_adapter\.positions"),
        ({"base_channels": 64}, r"encoder\.levels\.0\.0\.norm1: 16 groups, the published network has 32"),
        ({"adapter_depth": 1}, r"semantic_head\.0\.transformer\.1\.ln_1\.weight: no place in the model"),
    ],
)
def test_a_model_that_is_built_differently_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        load_fqgan_dual(state_of("fqgan"), dual(**changes))


def test_what_only_their_training_needs_is_left_out_and_nothing_else():
    ring, head = torch.zeros(65536), torch.zeros(2)
    load_llamagen_vq16(state_of("llamagen") | {"quantize.codebook_used": ring}, single())
    state = state_of("fqgan") | {"quantize_sem.codebook_used": ring, "quantize_vis.codebook_used": ring}
    load_fqgan_dual(state | {"feat_pred_head.upscale.0.weight": head}, dual())
    with pytest.raises(ValueError, match=r"1 entries: feat_pred_head\.upscale\.0\.weight: no place in the model"):
        load_llamagen_vq16(state_of("llamagen") | {"feat_pred_head.upscale.0.weight": head}, single())


@pytest.mark.parametrize("name", ["llamagen", "fqgan"])
def test_the_statistics_of_our_quantizers_stay(name):
    build, load = CASES[name]
    model = build()
    quantizer = model.quantizer if name == "llamagen" else model.quantizer.visual
    quantizer.steps_unused.fill_(3)
    load(state_of(name), model)
    assert quantizer.steps_unused.tolist() == [3] * 24


@pytest.mark.parametrize(("name", "parameters"), [("llamagen", 71_883_403), ("fqgan", 111_294_355)])
def test_the_default_is_the_network_of_the_published_size(name, parameters):
    _, load = CASES[name]
    with torch.device("meta"):
        model = load({key: torch.empty(shape) for key, shape in full_shapes(name).items()})
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert not model.training


def full_shapes(name):
    """The names and shapes of the published networks, written down from their description."""
    shapes = {}

    def layer(key, *shape):
        shapes[f"{key}.weight"], shapes[f"{key}.bias"] = shape, shape[:1]

    def block(key, before, after):
        layer(f"{key}.norm1", before)
        layer(f"{key}.conv1", after, before, 3, 3)
        layer(f"{key}.norm2", after)
        layer(f"{key}.conv2", after, after, 3, 3)
        if before != after:
            layer(f"{key}.nin_shortcut", after, before, 1, 1)

    def attention(key, width):
        layer(f"{key}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            layer(f"{key}.{part}", width, width, 1, 1)

    def stack(key, widths, blocks, change):
        for level, (before, after) in enumerate(pairwise(widths)):
            for index in range(blocks):
                block(f"{key}.conv_blocks.{level}.res.{index}", after if index else before, after)
                if level == (4 if change == "downsample" else 0):
                    attention(f"{key}.conv_blocks.{level}.attn.{index}", after)
            if level < 4:
                layer(f"{key}.conv_blocks.{level}.{change}.conv", after, after, 3, 3)
        block(f"{key}.mid.0", 512, 512)
        attention(f"{key}.mid.1", 512)
        block(f"{key}.mid.2", 512, 512)

    layer("encoder.conv_in", 128, 3, 3, 3)
    stack("encoder", (128, 128, 128, 256, 256, 512), 2, "downsample")
    layer("decoder.conv_in", 512, 256, 3, 3)
    stack("decoder", (512, 512, 256, 256, 128, 128), 3, "upsample")
    layer("decoder.norm_out", 128)
    layer("decoder.conv_out", 3, 128, 3, 3)
    layer("post_quant_conv", 256, 8 if name == "llamagen" else 16, 1, 1)
    for branch, end in (("", ""),) if name == "llamagen" else (("semantic", "_sem"), ("visual", "_vis")):
        layer(f"encoder.norm_out{end}", 512)
        layer(f"encoder.conv_out{end}", 256, 512, 3, 3)
        layer(f"quant_conv{end}", 8, 256, 1, 1)
        shapes[f"quantize{end}.embedding.weight"] = (16384, 8)
        if branch:
            adapter(layer, shapes, f"encoder.{branch}_head.0")
    return shapes


def adapter(layer, shapes, head):
    shapes[f"{head}.positional_embedding"] = (256, 512)
    layer(f"{head}.ln_pre", 512)
    layer(f"{head}.ln_post", 512)
    for index in range(6):
        key = f"{head}.transformer.{index}"
        layer(f"{key}.ln_1", 512)
        layer(f"{key}.ln_2", 512)
        shapes[f"{key}.attn.in_proj_weight"], shapes[f"{key}.attn.in_proj_bias"] = (1536, 512), (1536,)
        layer(f"{key}.attn.out_proj", 512, 512)
        layer(f"{key}.mlp.c_fc", 2048, 512)
        layer(f"{key}.mlp.c_proj", 512, 2048)


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 30, 32), (3, 32, 32)])
def test_images_that_do_not_fit_the_single_codebook_are_refused(shape):
    with pytest.raises(ValueError, match=r"images: expected \(B, 3, H, W\) with sides divisible by 4, got"):
        single().encode(torch.zeros(shape))


def test_the_reconstruction_trains_all_of_the_single_codebook_network_but_its_codes():
    model = single()
    model(images()).square().mean().backward()
    still = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == {"quantizer.weight"}


@pytest.mark.parametrize("name", ["llamagen", "fqgan"])
def test_the_published_file_is_read_as_it_is(tmp_path, name):
    build, load = CASES[name]
    arguments = argparse.Namespace(codebook_size=24, image_size=256)
    torch.save({"model": state_of(name), "args": arguments, "steps": 3, "optimizer": {}}, tmp_path / "theirs.pt")
    ours, expected = load(tmp_path / "theirs.pt", build()), load(state_of(name), build())
    assert all(torch.equal(tensor, expected.state_dict()[key]) for key, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(16, dtype=torch.int8), r"expected floating point of 16 to 64 bits.*got torch\.int8"),
        (torch.zeros(16, dtype=torch.int64), r"expected floating point, got torch\.int64"),
        (torch.zeros(16, dtype=torch.complex64), r"got torch\.complex64"),
        (torch.full((16,), float("nan")), "holds values that are not finite"),
        ([0.0], "expected a tensor, got list"),
    ],
)
@pytest.mark.parametrize("name", ["llamagen", "fqgan"])
def test_what_is_no_tensor_of_weights_is_refused_in_one_line(name, value, message):
    build, load = CASES[name]
    with pytest.raises(ValueError, match=f"1 entries: post_quant_conv.bias: .*{message}"):
        load({**state_of(name), "post_quant_conv.bias": value}, build())

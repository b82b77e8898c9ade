"""Weights in the layout of FlowMo's code give what FlowMo's network gave for them."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import asked_for, assert_close, golden, images, spread, state_of
from vistok.tokenizers import FlowSampling, FlowTokenizer, StackSize, load_flowmo

SUBJECT = "vistok.tokenizers.published.flowmo"


def small(bits=6, **changes):
    sizes = {"image_size": 16, "encoder": StackSize(64, 2, 2), "decoder": StackSize(128, 2, 2)}
    return FlowTokenizer(5, bits, **{**sizes, **changes}).eval()


def loaded():
    return load_flowmo(state_of("flowmo"), small(), num_heads=2)


@catches(SUBJECT, "8 / math.sqrt(part.head_dim)", "1.0")
@catches(SUBJECT, '{"first": "txt", "second": "img"}', '{"first": "img", "second": "txt"}')
@torch.no_grad()
def test_features_and_tokens_are_those_of_the_published_network(monkeypatch):
    case, model = golden("flowmo"), loaded()
    features = model.features(images(16))
    assert_close(features, case["features"], case["every_feature"])
    assert model.encode(images(16)).flatten().tolist() == case["indices"]
    monkeypatch.setattr(model.encoder, "forward", lambda *_: spread("features", tuple(features.shape)))
    assert model.encode(images(16)).flatten().tolist() == case["indices_of_random_features"]


@catches(SUBJECT, '("decoder.out", "decoder.final_layer_img.linear")', '("decoder.out", "decoder.img_in")')
@catches(
    SUBJECT,
    '("decoder.time.hidden", "decoder.time_in.in_layer")',
    '("decoder.time.hidden", "decoder.time_in.out_layer")',
)
@catches(SUBJECT, '"up": "mlp.0"', '"up": "mlp.2"')
@torch.no_grad()
def test_the_velocity_and_the_samples_are_those_of_the_published_network():
    case, model = golden("flowmo"), loaded()
    codes, noise, t = model.codes(model.encode(images(16))), spread("noise", (2, 3, 16, 16)), torch.full((2,), 0.3)
    assert_close(model.velocity(noise, codes, t), case["velocity"], case["every_pixel"])
    assert_close(model.velocity(noise, codes, t, known=False), case["unconditional"], case["every_pixel"])
    sampled = model.solve(codes, noise, FlowSampling(num_steps=case["num_steps"]))
    assert_close(sampled, case["images"], case["every_pixel"])


@catches(SUBJECT, "FlowTokenizer().eval()", "FlowTokenizer(bits=18, num_groups=1).eval()")
def test_the_published_sizes_are_built():
    with torch.device("meta"):
        model = FlowTokenizer()
        shapes = asked_for(load_flowmo, model)
        assert load_flowmo({name: torch.empty(shape) for name, shape in shapes.items()}).codebook_sizes == (512,)
        high = FlowTokenizer(bits=56, num_groups=4)
    assert sum(p.numel() for p in model.parameters()) == 882_797_762
    assert sum(p.numel() for p in high.parameters()) == 882_870_760


@catches(SUBJECT, "if heads != num_heads:", "if heads < num_heads:")
@catches(SUBJECT, "if theirs not in (None, ours):", "if False:")
def test_what_no_shape_shows_is_refused():
    with pytest.raises(ValueError, match=r"2 entries: encoder: 2 heads, the saved network has 1; decoder: 2 heads"):
        load_flowmo(state_of("flowmo"), small(), num_heads=1)
    with pytest.raises(ValueError, match="quantizer: 3 tokens a place of 18 bits, the published network has 2"):
        load_flowmo(state_of("flowmo"), small(18, num_groups=3), num_heads=2)


@catches(SUBJECT, r"|double_blocks\.\d+\.(img|txt)_mod\..*)", r"|double_blocks\.\d+\.img_mod\..*)")
def test_what_the_published_networks_never_use_is_left_out_and_nothing_else():
    assert any(name.startswith("encoder.double_blocks.0.txt_mod") for name in state_of("flowmo"))
    loaded()
    with pytest.raises(ValueError, match=r"1 entries: decoder\.extra\.weight: no place in the model"):
        load_flowmo({**state_of("flowmo"), "decoder.extra.weight": torch.zeros(2)}, small(), num_heads=2)

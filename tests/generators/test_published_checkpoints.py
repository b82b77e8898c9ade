"""Weights in the authors' layouts give the outputs that the authors' networks gave for them."""

import json
from pathlib import Path

import pytest
import torch

from _support.formula_weights import formula, weights
from vistok import generators as g

GOLDEN = Path(__file__).parent / "golden"


def golden(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def far_like(case, streams):
    options = g.FAROptions(prefix_rotation="zero", head_depth=case["head_depth"])
    sizes = (case["codebook_size"],) * streams
    width, depth, heads = case["width"], case["depth"], case["num_heads"]
    return g.FAR(sizes, case["grid"], 10, width=width, depth=depth, num_heads=heads, options=options).eval()


def xar_like(case):
    options = g.XAROptions(gate="gelu", integer_time=True)
    width, depth, heads = case["width"], case["depth"], case["num_heads"]
    return g.XAR(16, 16, 8, 1000, width=width, depth=depth, num_heads=heads, options=options).eval()


def test_xar_gives_the_velocity_of_the_published_network():
    case = golden("xar")
    model = xar_like(case)
    g.load_published_xar(model, weights(case["shapes"]))
    x = formula("x", (2, 16, 16, 16), size=1.5)
    velocity = model(x, torch.tensor(case["t"]), torch.tensor(case["labels"]))
    torch.testing.assert_close(velocity.flatten()[:: case["every"]], torch.tensor(case["velocity"]), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "streams"), [("far", 2), ("llamagen", 1)])
def test_far_gives_the_logits_of_the_published_network(name, streams):
    case = golden(name)
    model = far_like(case, streams)
    load = g.load_published_far if streams == 2 else g.load_published_llamagen
    load(model, weights(case["shapes"]))
    count = 2 * model.length * streams
    tokens = (torch.arange(count).reshape(2, model.length, streams) * 7) % case["codebook_size"]
    for logits, expected in zip(model(tokens, torch.tensor(case["labels"])), case["logits"], strict=True):
        torch.testing.assert_close(logits.flatten()[:: case["every"]], torch.tensor(expected), atol=1e-4, rtol=0)


def test_caches_and_tables_of_the_authors_files_are_left_out():
    case = golden("xar")
    state = weights(case["shapes"]) | {"mask": torch.zeros(1), "encoder_blocks.0.attn.rope.freqs_cos": torch.zeros(1)}
    g.load_published_xar(xar_like(case), state)


def test_everything_that_does_not_match_is_named():
    case = golden("far")
    state = weights(case["shapes"])
    del state["layers.1.attention.wo.weight"]
    state["layers.9.ffn_norm.weight"] = torch.zeros(32)
    state["caption.weight"] = torch.zeros(2)
    state["norm.weight"] = torch.zeros(31)
    model = far_like(case, 2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="4 entries") as caught:
        g.load_published_far(model, state)
    for name in ("blocks.1.proj.weight", "layers.9.ffn_norm.weight", "caption.weight", "norm.weight"):
        assert name in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())

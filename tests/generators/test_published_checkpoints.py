"""Weights in the authors' layouts give the outputs that the authors' networks gave for them."""

import json
from pathlib import Path

import pytest
import torch

from _support.formula_weights import formula, weights
from _support.mutants import catches
from vistok import generators as g

SUBJECT = "vistok.generators.published_checkpoints"
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


@catches(SUBJECT, r"first_blocks.\1.mlp.gate_proj.\2", r"first_blocks.\1.mlp.value_proj.\2")
@catches(SUBJECT, '"encoder_pos_embed_learned", "first_positions"', '"encoder_pos_embed_learned", "second_positions"')
def test_xar_gives_the_velocity_of_the_published_network():
    case = golden("xar")
    model = xar_like(case)
    g.load_published_xar(model, weights(case["shapes"]), num_heads=case["num_heads"])
    x = formula("x", (2, 16, 16, 16), size=1.5)
    velocity = model(x, torch.tensor(case["t"]), torch.tensor(case["labels"]))
    torch.testing.assert_close(velocity.flatten()[:: case["every"]], torch.tensor(case["velocity"]), atol=1e-4, rtol=0)


@catches(SUBJECT, r'(r"feed_forward\.w1", "mlp.gate_proj")', r'(r"feed_forward\.w1", "mlp.value_proj")')
@pytest.mark.parametrize(("name", "streams"), [("far", 2), ("llamagen", 1)])
def test_far_gives_the_logits_of_the_published_network(name, streams):
    case = golden(name)
    model = far_like(case, streams)
    load = g.load_published_far if streams == 2 else g.load_published_llamagen
    load(model, weights(case["shapes"]), grid_size=case["grid"], num_heads=case["num_heads"])
    count = 2 * model.length * streams
    tokens = (torch.arange(count).reshape(2, model.length, streams) * 7) % case["codebook_size"]
    for logits, expected in zip(model(tokens, torch.tensor(case["labels"])), case["logits"], strict=True):
        torch.testing.assert_close(logits.flatten()[:: case["every"]], torch.tensor(expected), atol=1e-4, rtol=0)


def test_caches_and_tables_of_the_authors_files_are_left_out():
    case = golden("xar")
    state = weights(case["shapes"]) | {"mask": torch.zeros(1), "encoder_blocks.0.attn.rope.freqs_cos": torch.zeros(1)}
    g.load_published_xar(xar_like(case), state, num_heads=case["num_heads"])


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
        g.load_published_far(model, state, grid_size=case["grid"], num_heads=case["num_heads"])
    for name in ("blocks.1.proj.weight", "layers.9.ffn_norm.weight", "caption.weight", "norm.weight"):
        assert name in str(caught.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def load_far(state=None, options=None, heads=2, grid=4, **saved):
    """The golden FAR's weights into a model that is built with other options."""
    case = golden("far")
    options = g.FAROptions(**{"prefix_rotation": "zero", "head_depth": case["head_depth"], **(options or {})})
    sizes, width, depth = (case["codebook_size"],) * 2, case["width"], case["depth"]
    model = g.FAR(sizes, grid, 10, width=width, depth=depth, num_heads=heads, options=options)
    g.load_published_far(model, state or weights(case["shapes"]), **{"grid_size": 4, "num_heads": 2, **saved})


def load_xar(state=None, options=None, heads=2, grid=16, cell=8, **saved):
    case = golden("xar")
    options = g.XAROptions(**{"gate": "gelu", "integer_time": True, **(options or {})})
    model = g.XAR(16, grid, cell, 1000, width=case["width"], depth=case["depth"], num_heads=heads, options=options)
    g.load_published_xar(model, state or weights(case["shapes"]), **{"num_heads": 2, **saved})


@pytest.mark.parametrize(
    ("load", "built", "message"),
    [
        (
            load_far,
            {"options": {"prefix_rotation": "identity"}},
            "prefix_rotation: 'identity' in the model",
        ),
        (load_far, {"heads": 4}, "heads: 4 in the model, 2 in the saved network"),
        (load_far, {"grid": (2, 8)}, r"grid: \(2, 8\) in the model, \(4, 4\) in the saved network"),
        (load_far, {"grid": 3}, r"grid: \(3, 3\) in the model, \(4, 4\) in the saved network"),
        (
            load_far,
            {"num_heads": None},
            "num_heads: expected .*no published one has width 32",
        ),
        (load_xar, {"options": {"gate": "silu"}}, "gate: 'silu' in the model, 'gelu' in the saved network"),
        (load_xar, {"options": {"integer_time": False}}, "integer_time: False in the model, True in the saved network"),
        (
            load_xar,
            {"options": {"order": "interleaved"}},
            "order of cells: 'interleaved' in the model",
        ),
        (load_xar, {"heads": 8}, "heads: 8 in the model, 2 in the saved network"),
        (load_xar, {"grid": (8, 32)}, r"grid: \(8, 32\) in the model, \(16, 16\) in the saved network"),
        (load_xar, {"cell": 4}, r"cell: \(4, 4\) in the model, \(8, 8\) in the saved network"),
        (load_xar, {"cell": (4, 16)}, r"cell: \(4, 16\) in the model, \(8, 8\) in the saved network"),
    ],
)
def test_a_model_that_would_compute_something_else_with_the_weights_is_refused(load, built, message):
    load()
    with pytest.raises(ValueError, match=f"checkpoint does not fit, 1 entries: {message}"):
        load(**built)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(32, dtype=torch.int8), r"expected dense floating point of 16 to 64 bits, got torch\.int8"),
        (torch.zeros(32, dtype=torch.complex64), r"got torch\.complex64"),
        (torch.zeros(32).to_sparse(), r"got torch\.float32, torch\.sparse_coo"),
        (torch.full((32,), float("inf")), "holds values that are not finite"),
        ([0.0] * 32, "expected a tensor, got list"),
        (None, "expected a tensor, got NoneType"),
    ],
)
@pytest.mark.parametrize(("load", "name"), [(load_far, "norm.weight"), (load_xar, "z_proj.bias")])
def test_what_is_no_tensor_of_weights_is_refused_in_one_line(load, name, value, message):
    state = weights(golden("far" if load is load_far else "xar")["shapes"])
    with pytest.raises(ValueError, match=f"1 entries: {name}: .*{message}") as caught:
        load({**state, name: value})
    assert "\n" not in str(caught.value)


def test_a_whole_training_file_is_answered_with_the_entry_to_give():
    with pytest.raises(ValueError, match="model: a dictionary of 1 entries; give the one that holds the weights"):
        load_far({"model": {"norm.weight": torch.ones(32)}, "args": 3})
    with pytest.raises(TypeError, match="state: expected a dictionary of tensors by name, got list"):
        load_far([1])


def test_the_presets_have_the_heads_and_the_grid_of_the_published_networks():
    with torch.device("meta"):
        for model in (g.xar_base(), g.xar_large(), g.xar_huge()):
            with pytest.raises(ValueError, match=f"does not fit, {len(model.state_dict())} entries"):
                g.load_published_xar(model, {})
        for model in (g.far_base(), g.far_large()):
            with pytest.raises(ValueError, match=f"does not fit, {len(model.state_dict())} entries"):
                g.load_published_far(model, {})
        for build in (g.llamagen_b, g.llamagen_l, g.llamagen_xl, g.llamagen_xxl, g.llamagen_3b):
            model = build()
            with pytest.raises(ValueError, match=f"does not fit, {len(model.state_dict())} entries"):
                g.load_published_llamagen(model, {})


def maskbit_like(case, **options):
    options = g.MaskedAROptions(**{"post_norm": True, **options})
    sizes = {"width": case["width"], "depth": case["depth"], "num_heads": case["num_heads"]}
    return g.MaskedAR(g.BitTokens(case["num_bits"], 2), case["positions"], 10, **sizes, options=options).eval()


def maskbit_state(**changed):
    return weights(golden("maskbit")["shapes"]) | {"bits_to_indices": torch.tensor([1, 2, 4, 8])} | changed


@catches(SUBJECT, "tensor.roll(1, dims=-2)", "tensor")
@catches(SUBJECT, "tensor.roll(1, dims=-2)", "tensor.roll(-1, dims=-2)")
@catches(SUBJECT, "enumerate(tensor.chunk(num_groups))", "enumerate(tensor.chunk(num_groups)[::-1])")
@catches(SUBJECT, r'\.0\.norm\.(\w+)", r"blocks.\1.attention_norm', r'\.0\.norm\.(\w+)", r"blocks.\1.mlp_norm')
def test_maskbit_gives_the_logits_of_the_published_network():
    case, shape = golden("maskbit"), (2, 16, 2)
    model = maskbit_like(case)
    g.load_published_maskbit(model, maskbit_state(), num_heads=case["num_heads"])
    tokens, mask = (torch.arange(64).reshape(shape) * 7) % 16, torch.arange(64).reshape(shape) % 3 == 0
    for logits, expected in zip(model(tokens, mask, torch.tensor(case["labels"])), case["logits"], strict=True):
        torch.testing.assert_close(logits.flatten()[:: case["every"]], torch.tensor(expected), atol=1e-4, rtol=0)


def test_the_older_name_of_maskbits_projection_of_bits_is_taken_too():
    case, state = golden("maskbit"), maskbit_state()
    for leaf in ("weight", "bias"):
        state[f"token_emb.{leaf}"] = state.pop(f"input_proj.{leaf}")
    g.load_published_maskbit(maskbit_like(case), state, num_heads=case["num_heads"])


@catches(SUBJECT, '"post_norm": (model.options.post_norm, True)', '"post_norm": (True, True)')
@catches(SUBJECT, "not (saved.is_meta or torch.equal(saved.long(), ours))", "not saved.numel()")
@catches(SUBJECT, "saved.shape != ours.shape or ", "")
def test_a_maskbit_that_would_compute_something_else_with_the_weights_is_refused():
    case = golden("maskbit")
    turned, shorter = torch.tensor([8, 4, 2, 1]), torch.empty(2, device="meta")
    for model, state, heads, message in (
        (maskbit_like(case, post_norm=False), maskbit_state(), 2, "post_norm: False in the model, True in"),
        (maskbit_like(case, positions="rotary"), maskbit_state(), 2, "positions: 'rotary' in the model, 'learned' in"),
        (maskbit_like(case), maskbit_state(), 4, "heads: 2 in the model, 4 in the saved network"),
        (maskbit_like(case), maskbit_state(), None, "num_heads: expected .*no published one has width 32"),
        (
            maskbit_like(case),
            maskbit_state(bits_to_indices=turned),
            2,
            "bits_to_indices: expected the powers of",
        ),
        (
            maskbit_like(case),
            maskbit_state(bits_to_indices=shorter),
            2,
            "bits_to_indices: expected the powers",
        ),
        (maskbit_like(case), weights(case["shapes"]), 2, "bits_to_indices: not in the checkpoint"),
        (maskbit_like(case), maskbit_state(pos_emb=torch.ones(3)), 2, r"pos_emb: shape \(3,\) for positions of shape"),
        (maskbit_like(case), maskbit_state(**{"prediction_layer.bias": 3.0}), 2, "prediction_layer.bias: no place"),
    ):
        with pytest.raises(ValueError, match=f"checkpoint does not fit, .*{message}"):
            g.load_published_maskbit(model, state, num_heads=heads)


@pytest.mark.parametrize("num_bits", [10, 12, 14, 16, 18])
def test_the_published_maskbit_fits_its_preset(num_bits):
    shapes = {"class_emb.weight": (1001, 1024), "pos_emb": (1, 257, 1024), "bits_to_indices": (num_bits // 2,)}
    layers = {"input_proj": (1024, num_bits), "prediction_layer": (2 * 2 ** (num_bits // 2), 1024)}
    layers |= {"first_layer.0": (1024,), "last_layer.0": (1024, 1024), "last_layer.2": (1024,)}
    for key in (f"transformer.layers.{index}" for index in range(24)):
        shapes |= {f"{key}.0.mha.in_proj_weight": (3072, 1024), f"{key}.0.mha.in_proj_bias": (3072,)}
        layers |= {f"{key}.0.mha.out_proj": (1024, 1024), f"{key}.0.norm": (1024,), f"{key}.1.norm": (1024,)}
        layers |= {f"{key}.1.net.0": (4096, 1024), f"{key}.1.net.2": (1024, 4096)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    with torch.device("meta"):
        g.load_published_maskbit(g.maskbit(num_bits), {name: torch.empty(shape) for name, shape in shapes.items()})

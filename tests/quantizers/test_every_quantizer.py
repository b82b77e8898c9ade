"""The contract that all quantizers share: one return type, any layout, float32 inside, defined values everywhere."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.every_quantizer import CHANNELS, NAMES, build
from _support.strategies import normal, seeds, spatial_shapes
from _support.tf32 import products_on_a_card
from vistok.quantizers import Quantized

GROUPS = {"binary spherical groups": (3,), "lookup free groups": (2,), "residual": (3,)}
SIZES = {
    "binary spherical": 64,
    "binary spherical groups": 4,
    "lookup free": 64,
    "lookup free groups": 8,
    "finite scalar": 20160,
}
every = pytest.mark.parametrize("name", NAMES)


@every
@given(spatial_shapes, seeds)
def test_shapes_and_types_are_those_of_the_input_in_both_layouts(name, spatial, seed):
    z = normal(seed, 2, CHANNELS, *spatial)
    first = build(name)(z)
    assert isinstance(first, Quantized)
    assert first.quantized.shape == first.codes.shape == z.shape
    assert first.indices.shape == (2, *spatial, *GROUPS.get(name, ()))
    assert first.indices.dtype == torch.int64
    last = build(name, channel_dim=-1)(z.movedim(1, -1))
    assert torch.equal(last.indices, first.indices)
    assert torch.equal(last.codes.movedim(-1, 1), first.codes)
    assert torch.equal(last.quantized.movedim(-1, 1), first.quantized)


@every
@given(spatial_shapes, seeds, st.sampled_from([1, -1]))
def test_indices_survive_the_round_trip_through_codes(name, spatial, seed, channel_dim):
    quantizer = build(name, channel_dim, seed)
    size = SIZES.get(name, 20)
    shape = (2, *spatial, *GROUPS.get(name, ()))
    indices = torch.randint(0, size, shape, generator=torch.Generator().manual_seed(seed))
    if name == "residual":
        stages = quantizer.indices_to_stages(indices)
        assert torch.equal(quantizer.stages_to_indices(stages), indices)
        total = stages.sum(-2).movedim(-1, channel_dim)
        torch.testing.assert_close(quantizer.indices_to_codes(indices), total)
        return
    codes = quantizer.indices_to_codes(indices)
    assert codes.shape[channel_dim] == CHANNELS
    assert torch.equal(quantizer.codes_to_indices(codes), indices)


@every
@given(seeds, st.integers(1, 7))
def test_training_and_evaluation_give_the_same_output_and_codes_match_indices(name, seed, tokens):
    quantizer = build(name, seed=seed)
    z = normal(seed, 2, CHANNELS, tokens)
    train, evaluation = quantizer.train()(z), quantizer.eval()(z)
    for a, b in zip(train, evaluation, strict=True):
        assert torch.equal(a, b)
    assert torch.equal(train.quantized, train.codes)
    torch.testing.assert_close(quantizer.indices_to_codes(train.indices), train.codes)


@every
def test_the_search_is_float32_inside_autocast_and_the_callers_dtype_outside(name):
    z = normal(0, 3, CHANNELS, 40)
    quantizer = build(name)
    plain = quantizer(z)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = quantizer(z)
    for a, b in zip(plain, inside, strict=True):
        assert torch.equal(a, b)
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        out = quantizer(z.to(dtype))
        assert out.quantized.dtype == out.codes.dtype == dtype
        assert torch.equal(out.indices, quantizer(z.to(dtype).float()).indices)


@every
def test_no_product_is_rounded_to_tf32(name):
    quantizer, z = build(name), normal(0, 3, CHANNELS, 40)
    with products_on_a_card() as products:
        codes = quantizer(z).codes
        if name != "residual":
            quantizer.codes_to_indices(codes)
    assert not products.rounded
    assert bool(products.count) == hasattr(quantizer, "token_block")


@every
def test_tokens_that_are_not_finite_get_index_zero_and_nan_and_disturb_no_other(name):
    z = normal(0, 2, CHANNELS, 3)
    bad = z.clone()
    bad[0, 2, 1], bad[1, 0, 2] = float("nan"), -float("inf")
    quantizer = build(name).eval()
    good, out = quantizer(z), quantizer(bad)
    hit = torch.zeros(2, 3, dtype=torch.bool)
    hit[0, 1] = hit[1, 2] = True
    assert (out.indices[hit] == 0).all()
    assert torch.equal(out.indices[~hit], good.indices[~hit])
    assert out.quantized.movedim(1, -1)[hit].isnan().all()
    assert torch.equal(out.quantized.movedim(1, -1)[~hit], good.quantized.movedim(1, -1)[~hit])
    assert out.codes.isfinite().all()


@every
def test_zero_features_and_single_elements_have_finite_values_and_gradients(name):
    for z in (torch.zeros(1, CHANNELS), torch.zeros(1, CHANNELS, 1, 1), 1e-30 * torch.ones(1, CHANNELS)):
        z.requires_grad_()
        out = build(name)(z)
        assert out.quantized.isfinite().all()
        (out.quantized.sum() + out.codes.sum()).backward()
        assert z.grad.isfinite().all()


@every
def test_an_empty_batch_gives_empty_results_on_the_graph(name):
    z = torch.empty(0, CHANNELS, 4, requires_grad=True)
    quantizer = build(name)
    out = quantizer(z)
    assert out.quantized.shape == (0, CHANNELS, 4)
    assert out.indices.shape == (0, 4, *GROUPS.get(name, ()))
    out.quantized.sum().backward()
    if hasattr(quantizer, "update"):
        quantizer.update()


@every
def test_wrong_input_is_refused_with_what_was_expected_and_what_came(name):
    quantizer = build(name)
    for call in (quantizer, quantizer.to_code_space):
        with pytest.raises(ValueError, match=r"6 channels at channel_dim=1, got shape \(2, 5\)"):
            call(torch.zeros(2, 5))
        with pytest.raises(ValueError, match="at least 2 dimensions"):
            call(torch.zeros(6))
        with pytest.raises(TypeError, match=r"floating-point tensor, got torch\.int64"):
            call(torch.zeros(2, 6, dtype=torch.int64))
    with pytest.raises(TypeError, match=r"integer tensor, got torch\.float32"):
        quantizer.indices_to_codes(torch.zeros(2, 3))
    single = torch.zeros(GROUPS.get(name, ()), dtype=torch.int64)
    with pytest.raises(ValueError, match=r"indices must be at least .-dimensional, .* got shape \(.*\)$"):
        quantizer.indices_to_codes(single)
    if GROUPS.get(name):
        with pytest.raises(ValueError, match="last dimension"):
            quantizer.indices_to_codes(torch.zeros(2, 5, dtype=torch.int64))


NO_TENSORS = (None, [[1.0] * CHANNELS], np.zeros((2, CHANNELS), np.float32), torch.zeros(2, CHANNELS).to_sparse())


@every
@pytest.mark.parametrize("thing", NO_TENSORS, ids=["none", "list", "numpy", "sparse"])
def test_what_is_no_dense_tensor_is_a_type_error(name, thing):
    quantizer = build(name)
    for call in (quantizer, quantizer.to_code_space):
        with pytest.raises(TypeError, match="z must be a dense tensor, got"):
            call(thing)
    indices = thing.long() if isinstance(thing, torch.Tensor) else thing
    with pytest.raises(TypeError, match="indices must be a dense tensor, got"):
        quantizer.indices_to_codes(indices)


@every
@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.uint16])
def test_an_index_outside_the_codebook_is_refused_and_never_wraps(name, dtype):
    quantizer, size = build(name), SIZES.get(name, 20)
    shape = (4, *GROUPS.get(name, ()))
    for wrong in (-1, size) if dtype.is_signed else (size,):
        indices = torch.zeros(shape, dtype=dtype)
        indices.view(-1)[-1] = wrong
        with pytest.raises(ValueError, match=rf"must lie in 0 \.\. {size - 1}, got values from") as caught:
            quantizer.indices_to_codes(indices)
        assert "\n" not in str(caught.value)
    edge = torch.full(shape, size - 1, dtype=dtype)
    assert torch.equal(quantizer.indices_to_codes(edge), quantizer.indices_to_codes(edge.long()))
    assert quantizer.indices_to_codes(torch.empty(0, *GROUPS.get(name, ()), dtype=dtype)).numel() == 0


@every
def test_a_compiled_lookup_is_one_graph_and_asserts_the_range(name):
    torch._dynamo.reset()
    quantizer = build(name)
    lookup = torch.compile(quantizer.indices_to_codes, fullgraph=True, backend="aot_eager")
    indices = torch.zeros(4, *GROUPS.get(name, ()), dtype=torch.int64)
    torch.testing.assert_close(lookup(indices), quantizer.indices_to_codes(indices))
    with pytest.raises(RuntimeError, match="must lie in 0"):
        lookup(indices + SIZES.get(name, 20))


@every
def test_a_block_of_tokens_changes_no_result(name):
    z = normal(0, 2, CHANNELS, 37)
    quantizer = build(name)
    if not hasattr(quantizer, "token_block"):
        pytest.skip("searches nothing")
    whole = quantizer(z)
    for block in (1, 2, 16, 37, 1000):
        quantizer.token_block = block
        for a, b in zip(quantizer(z), whole, strict=True):
            assert torch.equal(a, b), block


@every
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_full_graph_compile_gives_the_same_values_gradients_and_state(name, backend):
    torch._dynamo.reset()
    eager = build(name)
    compiled = copy.deepcopy(eager)
    results = []
    for module, call in ((eager, eager), (compiled, torch.compile(compiled, fullgraph=True, backend=backend))):
        z = normal(0, 2, CHANNELS, 5).requires_grad_()
        out = call(z)
        (out.quantized.square().sum() + 3 * out.codes.sum()).backward()
        results.append([*out, z.grad, *(p.grad for p in module.parameters()), *module.buffers()])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


@every
def test_a_state_dict_restores_everything(name):
    one, two = build(name, seed=1), build(name, seed=2)
    z = normal(0, 2, CHANNELS, 5)
    one(z)
    two.load_state_dict(one.state_dict())
    for a, b in zip(one(z), two(z), strict=True):
        assert torch.equal(a, b)


@every
def test_modules_build_and_run_on_the_meta_device(name):
    with torch.device("meta"):
        quantizer = build(name)
        out = quantizer(torch.zeros(2, CHANNELS, 5))
        assert out.quantized.is_meta
        assert out.quantized.shape == quantizer.to_code_space(out.codes).shape == (2, CHANNELS, 5)
        assert quantizer.indices_to_codes(out.indices).shape == (2, CHANNELS, 5)
    if name in ("cosine", "ema"):
        quantizer.update()
        quantizer.initialize(torch.zeros(2, CHANNELS, 10, device="meta"), generator=torch.Generator())
        with pytest.raises(ValueError, match="num_clusters=20"):
            quantizer.initialize(torch.zeros(2, CHANNELS, 9, device="meta"), generator=torch.Generator())


@every
def test_code_space_has_the_layout_and_type_of_the_input_and_meets_the_codes(name):
    quantizer = build(name)
    z = normal(0, 2, CHANNELS, 5)
    space = quantizer.to_code_space(z.bfloat16())
    assert space.dtype == torch.bfloat16
    assert space.shape == z.shape
    features, out = quantizer.to_code_space(z), quantizer(z)
    if name in ("cosine", "euclidean", "ema", "binary spherical", "projected"):
        rival = quantizer.indices_to_codes((out.indices + 1) % SIZES.get(name, 20))
        assert ((features - out.codes).square().sum(1) <= (features - rival).square().sum(1) + 1e-6).all()
    if name == "finite scalar":
        half = torch.tensor([3, 4, 5, 6, 7, 8]).view(1, -1, 1) // 2
        torch.testing.assert_close(torch.round(features * half) / half, out.codes)


class ThereAndBack(torch.nn.Module):
    """Features to indices, and these to codes."""

    def __init__(self, quantizer):
        super().__init__()
        self.quantizer = quantizer

    def forward(self, z):
        indices = self.quantizer(z).indices
        return indices, self.quantizer.indices_to_codes(indices)


@every
@pytest.mark.slow
def test_an_exported_graph_of_any_batch_gives_the_same_indices_and_codes(name):
    module, batch = ThereAndBack(build(name).eval()), torch.export.Dim("batch")
    with torch.no_grad():
        program = torch.export.export(module, (normal(0, 2, CHANNELS, 3),), dynamic_shapes=({0: batch},), strict=False)
        z = normal(1, 7, CHANNELS, 3)
        for found, wanted in zip(program.module()(z), module(z), strict=True):
            assert torch.equal(found, wanted)

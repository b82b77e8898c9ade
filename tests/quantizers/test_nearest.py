import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from _support.strategies import integer_tensors, normal, seeds
from vistok.quantizers import IndexBackpropagationQuantizer, VectorQuantizer, nearest_codes

metrics = st.sampled_from(["euclidean", "cosine", "dot"])


def first_best(rows, codebook, metric):
    """The lowest index of the best code, in float64 by loops of full matrices."""
    rows, codebook = rows.double(), codebook.double()
    if metric == "euclidean":
        return (rows.unsqueeze(1) - codebook).square().sum(2).argmin(1)
    return (rows @ codebook.t()).argmax(1)


@given(integer_tensors((6, 3)), integer_tensors((70, 3)), st.sampled_from(["euclidean", "dot"]))
def test_of_equal_scores_the_lowest_index_wins_whatever_the_blocks(rows, codebook, metric):
    wanted = first_best(rows, codebook, metric)
    for token_block, code_block in ((1, 1), (4, 33), (5, 64), (100, 100)):
        found = nearest_codes(rows, codebook, metric=metric, token_block=token_block, code_block=code_block)
        assert torch.equal(found, wanted)


@given(seeds, metrics, st.integers(1, 200), st.integers(1, 40), st.integers(1, 300), st.integers(1, 300))
def test_block_sizes_change_nothing_for_real_valued_input(seed, metric, size, tokens, token_block, code_block):
    rows, codebook = normal(seed, tokens, 8), normal(seed + 1, size, 8)
    blocked = nearest_codes(rows, codebook, metric=metric, token_block=token_block, code_block=code_block)
    assert torch.equal(blocked, nearest_codes(rows, codebook, metric=metric))


@given(seeds, st.floats(0.01, 100))
def test_cosine_ignores_the_length_of_rows_and_codes(seed, scale):
    rows, codebook = normal(seed, 9, 4), normal(seed + 1, 50, 4)
    lengths = torch.rand(50, 1, generator=torch.Generator().manual_seed(0)) + 0.5
    wanted = nearest_codes(rows, codebook, metric="cosine")
    found = nearest_codes(rows * scale, codebook * lengths, metric="cosine")
    cosine = torch.cosine_similarity(rows.double().unsqueeze(1), codebook.double(), dim=2)
    best = cosine.gather(1, torch.stack([wanted, found], 1))
    torch.testing.assert_close(best[:, 0], best[:, 1])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e38])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_indices_stay_in_range_for_any_value(value, metric):
    rows, codebook = torch.full((3, 2), value), normal(0, 40, 2)
    for a, b in ((rows, codebook), (codebook, rows)):
        found = nearest_codes(a, b, metric=metric)
        assert ((found >= 0) & (found < len(b))).all()


def test_no_rows_give_no_indices():
    assert nearest_codes(torch.empty(0, 3), torch.ones(5, 3)).shape == (0,)


def test_half_precision_input_is_searched_in_float32():
    codebook = torch.linspace(1.0, 1.001, 9).unsqueeze(1)
    rows = codebook.clone()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert nearest_codes(rows, codebook).tolist() == list(range(9))


def test_wrong_arguments_are_refused():
    for rows, codebook in ((torch.ones(3), torch.ones(2, 3)), (torch.ones(1, 2), torch.ones(2, 3))):
        with pytest.raises(ValueError, match="rows must be"):
            nearest_codes(rows, codebook)
    with pytest.raises(ValueError, match="K > 0"):
        nearest_codes(torch.ones(1, 2), torch.ones(0, 2))
    with pytest.raises(ValueError, match=r"metric must be .* got 'manhattan'"):
        nearest_codes(torch.ones(1, 2), torch.ones(3, 2), metric="manhattan")
    for name in ("token_block", "code_block"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            nearest_codes(torch.ones(1, 2), torch.ones(3, 2), **{name: 0})


class LargestTensor(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operator returns."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        out = operator(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(value, torch.Tensor):
                self.elements = max(self.elements, value.numel())
        return out


@pytest.mark.parametrize("learning", ["gradient", "ema"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_nothing_of_size_tokens_times_codes_is_ever_held(metric, learning):
    tokens, size = 2048, 16384
    quantizer = VectorQuantizer(size, 4, metric=metric, learning=learning)
    z = normal(0, tokens, 4).requires_grad_()
    with LargestTensor() as largest:
        out = quantizer(z)
        out.quantized.sum().backward()
        quantizer.update()
    assert largest.elements <= max(1024 * 256, 33 * tokens * 4)
    assert largest.elements < tokens * size / 50


def test_index_backpropagation_holds_a_block_of_scores():
    quantizer = IndexBackpropagationQuantizer(4096, 4)
    z = normal(0, 1024, 4).requires_grad_()
    with LargestTensor() as largest:
        quantizer(z).quantized.sum().backward()
    assert largest.elements <= 2**20

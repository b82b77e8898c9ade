"""The search for the nearest code: exact, in blocks, the lowest of equals."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.float64 import distances64
from _support.mutants import catches
from _support.strategies import integer_tensors, normal, seeded, seeds
from _support.tf32 import products_on_a_card
from vistok.quantizers import VectorQuantizer, nearest_codes

SUBJECT = "vistok.quantizers.nearest"
metrics = st.sampled_from(["euclidean", "cosine", "dot"])


@catches(SUBJECT, "mul_(-0.5)", "mul_(0.5)")
@catches(SUBJECT, "mul_(-0.5)", "mul_(-1.0)")
@catches(SUBJECT, "codebook = unit(codebook)", "pass")
@catches(SUBJECT, "if full < size:", "if False:")
@catches(SUBJECT, "groups[-1] = torch", "groups[0] = torch")
@catches(SUBJECT, "range(0, full, step)", "range(0, full - step + 1, step)")
def test_it_finds_the_nearest_code():
    for metric in ("euclidean", "cosine", "dot"):
        for size in (1, 5, 32, 33, 64, 100, 1500):
            rows, codebook = normal(size, 70, 5), normal(size + 1, size, 5) * 2
            found = nearest_codes(rows, codebook, metric=metric, token_block=16, code_block=64)
            wanted = distances64(rows, codebook, metric)
            assert torch.allclose(wanted.gather(1, found.unsqueeze(1)).squeeze(1), wanted.min(1).values, atol=1e-5)


@catches(SUBJECT, 'metric == "euclidean":', 'metric != "cosine":')
def test_by_hand():
    """Of the codes (1, 0) and (0, -3) the token (1, -1.1) is nearer to the first; the second is more its direction."""
    rows, codebook = torch.tensor([[1.0, -1.1]]), torch.tensor([[1.0, 0.0], [0.0, -3.0]])
    assert nearest_codes(rows, codebook).tolist() == [0]
    assert nearest_codes(rows, codebook, metric="cosine").tolist() == [1]
    assert nearest_codes(rows, codebook, metric="dot").tolist() == [1]
    unlike = torch.tensor([[1.0, -1.0], [4.0, 0.0]])
    assert nearest_codes(rows, unlike, metric="cosine").tolist() == [0]
    assert nearest_codes(rows, unlike, metric="dot").tolist() == [1]


@catches(SUBJECT, "rows, codebook = rows - centre, codebook - centre", "pass")
def test_it_keeps_its_digits_far_from_the_origin():
    rows, codebook = normal(0, 200, 4) + 1000, normal(1, 500, 4) + 1000
    wanted = distances64(rows, codebook, "euclidean")
    got = wanted.gather(1, nearest_codes(rows, codebook).unsqueeze(1)).squeeze(1)
    assert torch.allclose(got, wanted.min(1).values, atol=1e-5)


@catches(SUBJECT, "groups.max(0).indices", "groups.flip(0).max(0).indices")
@catches(SUBJECT, "groups.max(0).indices", "len(groups) - 1 - groups.flip(0).max(0).indices")
@catches(SUBJECT, "again.max(1).indices", "GROUP - 1 - again.flip(1).max(1).indices")
def test_the_lowest_of_equal_codes_wins():
    for metric in ("euclidean", "cosine", "dot"):
        codebook = torch.ones(200, 3)
        codebook[:70] = -1.0
        rows = torch.ones(4, 3)
        for block in (32, 64, 1024):
            assert nearest_codes(rows, codebook, metric=metric, code_block=block).tolist() == [70] * 4
    assert nearest_codes(torch.zeros(1, 3), torch.ones(100, 3), metric="cosine").tolist() == [0]


@catches(SUBJECT, "groups[start // GROUP : stop", "groups[: (stop - start)")
@catches(SUBJECT, "torch.round(mean / unit_of_grid) * unit_of_grid", "mean")
def test_block_sizes_change_nothing_for_whole_numbers():
    rows = torch.randint(-4, 5, (37, 3), generator=seeded(0)).float()
    codebook = torch.randint(-4, 5, (333, 3), generator=seeded(1)).float()
    for metric in ("euclidean", "dot"):
        whole = nearest_codes(rows, codebook, metric=metric, token_block=1000, code_block=1000)
        for token_block, code_block in ((1, 1), (2, 40), (7, 100), (36, 333)):
            parts = nearest_codes(rows, codebook, metric=metric, token_block=token_block, code_block=code_block)
            assert torch.equal(parts, whole)


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
    lengths = torch.rand(50, 1, generator=seeded(0)) + 0.5
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


@catches(SUBJECT, 'rows."""\n    with torch.no_grad(), autocast_off(rows):', 'rows."""\n    with torch.no_grad():')
def test_scores_on_a_card_are_not_rounded_to_tf32():
    with products_on_a_card() as products:
        nearest_codes(normal(0, 9, 4), normal(1, 70, 4))
    assert products.count
    assert not products.rounded


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


@pytest.mark.parametrize("thing", [None, np.zeros((4, 3), np.float32), torch.zeros(4, 3).to_sparse()])
def test_what_is_no_dense_tensor_is_named(thing):
    dense = torch.zeros(4, 3)
    with pytest.raises(TypeError, match="rows must be a dense tensor, got"):
        nearest_codes(thing, dense)
    with pytest.raises(TypeError, match="codebook must be a dense tensor, got"):
        nearest_codes(dense, thing)


@catches(
    SUBJECT,
    "scores = rows.new_empty(code_block * token_block)",
    "scores = rows.new_empty(codebook.shape[0] * token_block)",
)
@pytest.mark.parametrize("learning", ["gradient", "ema"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_nothing_of_size_tokens_times_codes_is_ever_held(metric, learning, largest_tensor):
    tokens, size = 2048, 16384
    quantizer = VectorQuantizer(size, 4, metric=metric, learning=learning)
    z = normal(0, tokens, 4).requires_grad_()
    with largest_tensor as largest:
        out = quantizer(z)
        out.quantized.sum().backward()
        quantizer.update()
    assert largest.elements <= max(1024 * 256, 33 * tokens * 4)
    assert largest.elements < tokens * size / 50


class EveryMetric(torch.nn.Module):
    """The search by each metric among the same codes."""

    def __init__(self, codebook):
        super().__init__()
        self.codebook = codebook

    def forward(self, rows):
        return [nearest_codes(rows, self.codebook, metric=metric) for metric in ("euclidean", "cosine", "dot")]


@catches(SUBJECT, "torch.addmm(bias.t(), rows", "torch.addmm(0 * bias.t(), rows")
@catches(SUBJECT, "codebook.t()).argmax(1)", "codebook.t()).argmin(1)")
@catches(SUBJECT, "    if is_exporting():", "    if False:")
def test_an_exported_graph_finds_the_same_codes_without_an_operator_of_ours():
    search = EveryMetric(normal(0, 70, 5) * 2)
    rows = {"rows": {0: torch.export.Dim("rows")}}
    program = torch.export.export(search, (normal(1, 4, 5),), dynamic_shapes=rows, strict=False)
    assert not any("vistok" in str(node.target) for node in program.graph.nodes)
    some = normal(2, 300, 5)
    for found, wanted in zip(program.module()(some), search(some), strict=True):
        assert torch.equal(found, wanted)

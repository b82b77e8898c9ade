"""Sums over tokens, computed again in backward."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeds
from vistok.losses._precision import autocast_off
from vistok.losses._token_blocks import as_tokens, sum_over_blocks

SUBJECT = "vistok.losses._token_blocks"


def sums(rows, codes):
    scores = (rows @ codes.T).softmax(1)
    return (scores * scores.log()).sum(), scores.sum(0)


@catches(SUBJECT, "token_gradient[rows] = block_gradient", "token_gradient[rows] = 0")
@catches(SUBJECT, "total += gradient", "total.copy_(gradient)")
@catches(SUBJECT, "total += result", "total.copy_(result)")
@given(seeds, st.integers(1, 9))
def test_blocks_of_any_size_give_the_sums_and_gradients_of_the_whole(seed, block_size):
    results = []
    for size in (10, block_size):
        tokens, codes = normal(seed, 10, 3).requires_grad_(), normal(seed + 1, 4, 3).requires_grad_()
        scalar, vector = sum_over_blocks(sums, tokens, codes, block_size=size)
        (scalar + (vector * normal(seed + 2, 4)).sum()).backward()
        results.append((scalar.detach(), vector.detach(), tokens.grad, codes.grad))
    torch.testing.assert_close(results[1], results[0], atol=1e-5, rtol=1e-4)


def test_by_hand_with_one_result():
    tokens = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    (total,) = sum_over_blocks(lambda rows: rows.square().sum(), tokens, block_size=2)
    total.backward()
    assert total.item() == 14
    assert tokens.grad.flatten().tolist() == [2, 4, 6]


@catches(SUBJECT, "function(blocks[0], *shared)", "function(tokens, *shared)")
def test_never_more_than_a_block_is_held():
    seen = []

    def total(rows):
        seen.append(len(rows))
        return rows.sum()

    tokens = torch.ones(7, 2, requires_grad=True)
    sum_over_blocks(total, tokens, block_size=3)[0].backward()
    assert seen == [3, 3, 1] * 2


@catches(SUBJECT, "features.movedim(channel_dim, -1)", "features")
def test_tokens_are_the_vectors_along_the_channel_dimension():
    features = normal(0, 2, 3, 4, 5)
    assert torch.equal(as_tokens(features, 1)[4 * 5 + 7], features[1, :, 1, 2])
    assert torch.equal(as_tokens(features, -1), features.reshape(-1, 5))


@catches(SUBJECT, "with autocast_off(tokens), torch.enable_grad():", "with torch.enable_grad():")
def test_backward_within_autocast_is_that_of_float32():
    tokens, codes = normal(0, 9, 4), normal(1, 5, 4)

    def products(rows, table):
        return (rows @ table.T).exp().sum()

    found = []
    for enabled in (False, True):
        rows = tokens.clone().requires_grad_()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            with autocast_off(rows):
                (value,) = sum_over_blocks(products, rows, codes, block_size=4)
            value.backward()
        found.append(rows.grad)
    assert torch.equal(*found)

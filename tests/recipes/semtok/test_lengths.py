"""Sequences shorter than the whole: encoded, decoded with what is missing hidden, and refused where there are none."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.semtok_runs import generator, pictures, tiny_tokenizer
from semtok.config import SamplerConfig
from semtok.lengths import check_length, doubling, with_missing
from semtok.model import SemTok

SUBJECT = "semtok.lengths"
FEW = SamplerConfig(num_steps=2)
TOKENIZERS = {kind: tiny_tokenizer(kind) for kind in (None, "constant", "noise", "sample")}


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("length", [1, 3])
def test_decoding_the_first_tokens_is_decoding_all_with_the_rest_hidden_to_the_bit(kind, length):
    tokenizer, images = TOKENIZERS[kind], pictures()
    tokens = tokenizer.encode(images)
    few = tokenizer.encode(images, num_tokens=length)
    assert torch.equal(few, tokens[:, :length])
    assert torch.equal(tokenizer.codes(few), tokenizer.codes(tokens)[:, :length])
    rest = (torch.arange(4) >= length).expand(3, -1)
    for decode in (tokenizer.sample, tokenizer.decode):
        one, two = decode(few, generator=generator()), decode(tokens, hidden=rest, generator=generator())
        assert torch.equal(one, two)
        assert not torch.equal(one, decode(tokens, generator=generator()))


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_longest_length_is_the_whole_to_the_bit(kind):
    tokenizer, images = TOKENIZERS[kind], pictures()
    tokens = tokenizer.encode(images, num_tokens=4)
    assert torch.equal(tokens, tokenizer.encode(images))
    nothing = torch.zeros(3, 4, dtype=torch.bool)
    one, two = (tokenizer.decode(tokens, hidden=each, generator=generator()) for each in (nothing, None))
    assert torch.equal(one, two)


@catches(SUBJECT, "torch.cat([hidden, rest], dim=1)", "torch.cat([rest, hidden], dim=1)")
@catches(SUBJECT, "hidden.new_ones(len(codes), missing)", "hidden.new_zeros(len(codes), missing)")
@catches(SUBJECT, "(0, 0, 0, missing)", "(0, 0, missing, 0)")
def test_the_rest_is_hidden_behind_what_is_there():
    codes, hidden = torch.randn(2, 3, 6, generator=generator()), torch.tensor([[True, False, False]] * 2)
    filled, unseen = with_missing(codes, hidden, 5)
    assert torch.equal(filled[:, :3], codes)
    assert filled.shape == (2, 5, 6)
    assert unseen.tolist() == [[True, False, False, True, True]] * 2
    assert with_missing(codes, None, 5)[1].tolist() == [[False, False, False, True, True]] * 2
    same, none = with_missing(codes, None, 3)
    assert same is codes
    assert none is None


def test_tokens_of_a_shortened_sequence_can_be_hidden_too():
    tokenizer = TOKENIZERS["constant"]
    tokens = tokenizer.encode(pictures())
    one = tokenizer.refine(tokens[:, :3], hidden=torch.tensor([[False, True, False]] * 3))
    assert torch.equal(one, tokenizer.refine(tokens, hidden=torch.tensor([[False, True, False, True]] * 3)))


@catches(SUBJECT, "hidden.dtype != torch.bool or ", "")
@catches(SUBJECT, " or hidden.shape != codes.shape[:2]", "")
@pytest.mark.parametrize("length", [3, 4])
def test_what_is_hidden_is_said_of_each_token_by_a_bool(length):
    """Of a whole sequence, too."""
    tokenizer = tiny_tokenizer("constant", model=SemTok)
    tokens = tokenizer.encode(pictures(), num_tokens=length)
    for shape, dtype, got in (
        ((3, 2), torch.bool, r"bool \(3, 2\)"),
        ((1, length), torch.bool, rf"bool \(1, {length}\)"),
        ((3, length), torch.int64, rf"int64 \(3, {length}\)"),
    ):
        with pytest.raises(ValueError, match=rf"^hidden: expected bool \(3, {length}\) for these tokens, got {got}$"):
            tokenizer.refine(tokens, hidden=torch.zeros(shape, dtype=dtype))


@catches(SUBJECT, "not 1 <= num_tokens <= most", "num_tokens > most")
def test_lengths_that_there_are_not_are_refused_in_one_line():
    for wrong in (5, 0):
        with pytest.raises(ValueError, match=f"^num_tokens: expected 1 to 4, got {wrong}$"):
            check_length(wrong, 4)
        with pytest.raises(ValueError, match=f"^num_tokens: expected 1 to 4, got {wrong}$"):
            tiny_tokenizer().encode(pictures(), num_tokens=wrong)


@catches("semtok.model", "not 1 <= tokens.shape[1] <= most", "tokens.shape[1] > most")
def test_no_tokens_decode_to_nothing():
    with pytest.raises(ValueError, match=r"tokens: expected \(B, 4\), or fewer of each image, got \(3, 0\)"):
        tiny_tokenizer("constant", model=SemTok).decode(torch.zeros(3, 0, dtype=torch.long))


@catches(SUBJECT, "(num_tokens - 1).bit_length()", "num_tokens.bit_length()")
@given(st.integers(1, 5000))
def test_lengths_double_up_to_the_whole(num_tokens):
    found = doubling(num_tokens)
    assert found[-1] == num_tokens
    assert found[:-1] == [2**i for i in range(len(found) - 1)]
    assert len(found) == 1 or found[-2] < num_tokens <= 2 * found[-2]

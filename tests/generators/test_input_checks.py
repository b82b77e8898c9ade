"""Labels and ids that no table holds are named where they come in, on the CPU by a line that says what came."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import seeded
from vistok import generators as g
from vistok.generators import _checks

SIZES = {"width": 16, "depth": 2, "num_heads": 2}
XAR = g.XAR(2, 4, 2, 10, **SIZES)
FAR = g.FAR((5, 7), 2, 10, **SIZES)
MASKED = g.MaskedAR(g.IdTokens((5, 7)), 4, 10, **SIZES)
BITS = g.MaskedAR(g.BitTokens(6, 2), 4, 10, **SIZES)
TABLE = g.LabelEmbedding(10, 4)

LATENTS = torch.zeros(2, 2, 4, 4)
TOKENS = torch.zeros(2, 4, 2, dtype=torch.int64)
HIDDEN = torch.ones(2, 4, 2, dtype=torch.bool)
LABELS = torch.tensor([1, 10])

WITH_LABELS = {
    "xar loss": lambda labels: XAR.loss(LATENTS, labels),
    "xar forward": lambda labels: XAR(LATENTS, torch.zeros(2, 4), labels),
    "xar sample": lambda labels: XAR.sample(labels, num_steps=1),
    "far loss": lambda labels: FAR.loss(TOKENS, labels),
    "far forward": lambda labels: FAR(TOKENS, labels),
    "far sample": lambda labels: FAR.sample(labels),
    "masked loss": lambda labels: MASKED.loss(TOKENS, labels),
    "masked forward": lambda labels: MASKED(TOKENS, HIDDEN, labels),
    "masked sample": lambda labels: MASKED.sample(labels, num_steps=1),
    "embedding": lambda labels: TABLE(labels),
}
WITH_TOKENS = {
    "far loss": lambda tokens: FAR.loss(tokens, LABELS),
    "far forward": lambda tokens: FAR(tokens, LABELS),
    "masked loss": lambda tokens: MASKED.loss(tokens, LABELS),
    "masked forward": lambda tokens: MASKED(tokens, ~HIDDEN, LABELS),
}
NO_TENSORS = [
    (None, "NoneType"),
    ([1, 2], "list"),
    (np.array([1, 2]), "ndarray"),
    (torch.tensor([1, 2]).to_sparse(), r"torch\.sparse_coo"),
]


def names(calls):
    return pytest.mark.parametrize("call", calls.values(), ids=calls)


@names(WITH_LABELS)
@pytest.mark.parametrize(("value", "low", "high"), [(11, 1, 11), (-1, -1, 1), (2**40, 1, 2**40)])
def test_a_label_outside_the_table_is_named(call, value, low, high):
    call(LABELS)
    with pytest.raises(ValueError, match=rf"^labels must lie in \[0, 10\], got values from {low} to {high}$"):
        call(torch.tensor([1, value]))


@names(WITH_LABELS)
@pytest.mark.parametrize(("labels", "got"), NO_TENSORS)
def test_labels_that_are_no_dense_tensor_are_named(call, labels, got):
    with pytest.raises(TypeError, match=f"^labels must be a dense tensor, got {got}$"):
        call(labels)


@names(WITH_LABELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8, torch.complex64])
def test_labels_of_another_type_are_named(call, dtype):
    with pytest.raises(TypeError, match=rf"^labels must be integers \(int64 or int32\), got {dtype}$"):
        call(torch.ones(2).to(dtype))


@names({name: call for name, call in WITH_LABELS.items() if name.endswith(("loss", "forward"))})
@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_is_a_label_a_sample(call, count):
    with pytest.raises(ValueError, match=rf"labels must have shape \(2,\), a label a sample, got \({count},\)"):
        call(torch.ones(count, dtype=torch.int64))


@names(WITH_TOKENS)
@given(st.integers(0, 1), st.integers(0, 3), st.sampled_from([-(2**40), -1, 0, 4, 5, 6, 7, 2**40]))
def test_an_id_outside_its_codebook_is_named(call, stream, position, value):
    tokens = TOKENS.clone()
    tokens[1, position, stream] = value
    size = (5, 7)[stream]
    if 0 <= value < size:
        call(tokens)
        return
    low, high = min(value, 0), max(value, 0)
    expected = rf"^tokens\[\.\.\., {stream}\] must lie in \[0, {size - 1}\], got values from {low} to {high}$"
    with pytest.raises(ValueError, match=expected):
        call(tokens)


@names(WITH_TOKENS)
@pytest.mark.parametrize(("tokens", "got"), NO_TENSORS)
def test_tokens_that_are_no_dense_tensor_are_named(call, tokens, got):
    with pytest.raises(TypeError, match=f"^tokens must be a dense tensor, got {got}$"):
        call(tokens)


@names(WITH_TOKENS)
def test_tokens_of_another_type_are_named_and_small_integers_will_do(call):
    with pytest.raises(TypeError, match=r"^tokens must be integers \(int64 or int32\), got torch\.float32$"):
        call(TOKENS.float())
    call(TOKENS.int())


def test_a_group_of_bits_outside_its_range_is_named():
    with pytest.raises(ValueError, match=r"^tokens\[\.\.\., 0\] must lie in \[0, 7\], got values from 8 to 8$"):
        BITS.loss(TOKENS + 8, LABELS)


def test_under_the_mask_any_ids_will_do():
    anything = torch.full_like(TOKENS, 99)
    seen, expected = (MASKED(ids, HIDDEN, LABELS, generator=seeded(0)) for ids in (anything, TOKENS))  # drops labels
    assert all(torch.equal(*pair) for pair in zip(seen, expected, strict=True))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: XAR.loss(x, LABELS), "latents"),
        (lambda x: XAR(x, torch.zeros(2, 4), LABELS), "latents"),
        (lambda x: XAR(LATENTS, x, LABELS), "t"),
        (lambda x: MASKED(TOKENS, x, LABELS), "mask"),
    ],
)
@pytest.mark.parametrize(("value", "got"), NO_TENSORS)
def test_the_other_inputs_must_be_dense_tensors(call, name, value, got):
    with pytest.raises(TypeError, match=f"^{name} must be a dense tensor, got {got}$"):
        call(value)


def test_latents_must_be_floating_point():
    with pytest.raises(TypeError, match=r"^latents must be a floating point tensor, got torch\.int64$"):
        XAR.loss(LATENTS.long(), LABELS)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (lambda: XAR.loss(LATENTS, LABELS + 1), r"labels must lie in \[0, 10\]"),
        (lambda: FAR.loss(TOKENS + 5, LABELS), r"tokens\[\.\.\., 0\] must lie in \[0, 4\]"),
        (lambda: MASKED.loss(TOKENS - 1, LABELS), r"tokens\[\.\.\., 0\] must lie in \[0, 4\]"),
    ],
)
def test_a_compiled_graph_fails_an_assertion_with_the_same_words(loss, message):
    torch._dynamo.reset()
    with torch.no_grad(), pytest.raises(RuntimeError, match=message):
        torch.compile(loss, fullgraph=True, backend="aot_eager")()


class OnCuda(torch.Tensor):
    """Stands for a tensor on CUDA; whoever asks it, or what is computed from it, for a value would wait."""

    is_cuda = True

    def refuse(self, *_):
        raise AssertionError("the host waits for a value")

    __bool__ = __int__ = __float__ = __index__ = item = tolist = refuse


RANGES = [("tokens[..., 0]", 4), ("tokens[..., 1]", 6), ("labels", 10)]


@pytest.mark.parametrize(
    ("loss", "ranges"),
    [
        (lambda cast: XAR.loss(LATENTS, cast(LABELS)), RANGES[2:]),
        (lambda cast: FAR.loss(cast(TOKENS), cast(LABELS)), RANGES),
        (lambda cast: MASKED.loss(cast(TOKENS), cast(LABELS)), RANGES),
    ],
)
def test_in_training_nothing_waits_for_a_cuda_device(loss, ranges, monkeypatch):
    asserted = []
    monkeypatch.setattr(torch, "_assert_async", lambda condition, message: asserted.append(message))
    value = loss(lambda tensor: tensor.as_subclass(OnCuda))
    value.backward()
    assert isinstance(value, OnCuda)
    assert set(asserted) == {f"{name} must lie in [0, {high}]" for name, high in ranges}


def test_the_meta_device_has_no_values_to_check(monkeypatch):
    monkeypatch.setattr(torch, "_assert_async", None)
    _checks.check_labels(torch.zeros(3, dtype=torch.int64, device="meta"), 10, 3)
    assert XAR.to_cells(LATENTS[:0]).shape == (0, 4, 4, 2)


@catches("vistok.generators._checks", "high > highest", "high > highest + 1")
@catches("vistok.generators._checks", "low < 0 or", "")
@catches("vistok.generators._checks", "tokens[..., unit], size - 1)", "tokens[..., unit], size)")
@catches(
    "vistok.generators.far",
    "check_ids(tokens, self.codebook_sizes)",
    "check_ids(tokens, self.codebook_sizes[::-1])",
)
@catches(
    "vistok.generators.masked_ar",
    "check_ids(tokens.masked_fill(mask, 0), self",
    "check_ids(tokens, self",
)
def test_both_ends_are_checked():
    table = g.LabelEmbedding(10, 4)
    far = g.FAR((5, 7), 2, 10, **SIZES)
    masked = g.MaskedAR(g.IdTokens((5, 7)), 4, 10, **SIZES)
    masked(TOKENS + 99, HIDDEN, LABELS)
    far.loss(torch.stack([TOKENS[..., 0] + 4, TOKENS[..., 1] + 6], -1), LABELS)
    for call in (
        lambda: table(torch.tensor([11])),
        lambda: table(torch.tensor([-1])),
        lambda: far.loss(torch.stack([TOKENS[..., 0] + 5, TOKENS[..., 1]], -1), LABELS),
        lambda: far.loss(torch.stack([TOKENS[..., 0], TOKENS[..., 1] + 7], -1), LABELS),
    ):
        with pytest.raises(ValueError, match="must lie in"):
            call()

"""Between the caller's layout and rows of channels, and what is refused on the way."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from _support.mutants import catches
from _support.strategies import normal, seeded, spatial_shapes
from vistok.quantizers._rows import (
    channels_back,
    channels_last,
    check_dense,
    check_features,
    check_indices,
    check_sizes,
    check_token_block,
    finite_rows,
    random_order,
)

SUBJECT = "vistok.quantizers._rows"


@catches(SUBJECT, "return rows.movedim(-1, channel_dim)", "return rows.movedim(0, channel_dim)")
@catches(SUBJECT, "return z.movedim(channel_dim, -1)", "return z.transpose(channel_dim, -1)")
def test_by_hand_channels_go_last_and_back():
    z = normal(0, 2, 3, 4, 5)
    rows = channels_last(z, 1)
    assert rows.shape == (2, 4, 5, 3)
    assert torch.equal(rows[1, 2, 4], z[1, :, 2, 4])
    assert torch.equal(channels_back(rows, 1), z)


@catches(SUBJECT, "return rows.movedim(-1, channel_dim)", "return rows")
@given(spatial_shapes, st.integers(-2, 1))
def test_back_undoes_last_in_any_layout(spatial, channel_dim):
    z = normal(0, 2, 3, *spatial)
    assert torch.equal(channels_back(channels_last(z, channel_dim), channel_dim), z)


@catches(SUBJECT, "rows[rows.isfinite().all(1)]", "rows[rows.isfinite().any(1)]")
def test_finite_rows_are_those_without_any_other_value():
    rows = torch.tensor([[1.0, 2.0], [float("nan"), 0.0], [0.0, -float("inf")], [3.0, 4.0]])
    assert finite_rows(rows).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert finite_rows(rows.to("meta")).shape == (4, 2)


@catches(SUBJECT, "or x.layout != torch.strided", "")
@pytest.mark.parametrize(
    "thing", [torch.ones(2, 3).to_sparse(), torch.ones(2, 3).to_mkldnn()], ids=["sparse", "mkldnn"]
)
def test_a_tensor_of_another_layout_is_no_dense_one(thing):
    with pytest.raises(TypeError, match=r"^Owner: z must be a dense tensor, got torch\."):
        check_dense("z", thing, "Owner")


@pytest.mark.parametrize(("thing", "came"), [(None, "NoneType"), ([1.0], "list"), (np.ones(2), "ndarray")])
def test_what_is_no_tensor_is_a_type_error(thing, came):
    with pytest.raises(TypeError, match=f"^Owner: z must be a dense tensor, got {came}$"):
        check_dense("z", thing, "Owner")


@catches(SUBJECT, "if not z.is_floating_point():", "if False:")
@catches(SUBJECT, "if z.shape[channel_dim] != channels:", "if z.shape[-1] != channels:")
@catches(SUBJECT, "z.ndim < 2 or", "")
@catches(SUBJECT, "not -z.ndim <= channel_dim < z.ndim", "False")
def test_features_have_their_channels_where_they_should():
    check_features(torch.ones(2, 3, 4), 1, 3, "Owner")
    with pytest.raises(TypeError, match=r"^Owner: z must be a floating-point tensor, got torch\.int64$"):
        check_features(torch.ones(2, 3, dtype=torch.int64), 1, 3, "Owner")
    with pytest.raises(ValueError, match=r"^Owner: z must have 3 channels at channel_dim=1, got shape \(2, 4, 3\)$"):
        check_features(torch.ones(2, 4, 3), 1, 3, "Owner")
    for shape, dim in (((3,), 0), ((2, 3), 2)):
        with pytest.raises(ValueError, match=rf"^Owner: z must .* and a dimension {dim} \(channel_dim\), got shape"):
            check_features(torch.ones(shape), dim, 3, "Owner")


@catches(SUBJECT, "if low < 0 or high >= size:", "if high >= size:")
@catches(SUBJECT, "if low < 0 or high >= size:", "if low < 0 or high > size:")
@catches(SUBJECT, "if indices.is_meta or indices.numel() == 0:", "if indices.is_meta:")
@catches(SUBJECT, "indices.shape[-1] != per_token", "False")
@catches(SUBJECT, "per_token is not None and (", "per_token is not None and per_token > 1 and (")
@catches(SUBJECT, "indices.long().aminmax()", "indices.aminmax()")
@catches(SUBJECT, "torch.uint16, ", "")
def test_indices_are_whole_and_inside_the_codebook():
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint16, torch.uint8):
        check_indices(torch.tensor([0, 7], dtype=dtype), "Owner", 8)
    check_indices(torch.empty(0, dtype=torch.int64), "Owner", 8)
    check_indices(torch.full((3,), 99, device="meta"), "Owner", 8)
    for dtype in (torch.float32, torch.bool):
        with pytest.raises(TypeError, match=f"^Owner: indices must be an integer tensor, got {dtype}$"):
            check_indices(torch.ones(2, dtype=dtype), "Owner", 8)
    for values, came in (([0, 8], "0 to 8"), ([-1, 7], "-1 to 7")):
        with pytest.raises(ValueError, match=rf"^Owner: indices must lie in 0 \.\. 7, got values from {came}$"):
            check_indices(torch.tensor(values), "Owner", 8)
    for per_token in (1, 2):
        expected = rf"^Owner: the last dimension of indices must be {per_token} .*, got shape \(3,\)$"
        with pytest.raises(ValueError, match=expected):
            check_indices(torch.zeros(3, dtype=torch.int64), "Owner", 8, per_token)


@catches(SUBJECT, "(ndim < 2 or not", "(not")
@catches(SUBJECT, "ndim < 2 or not -ndim <= channel_dim < ndim)", "ndim < 2)")
@catches(SUBJECT, "least = 1 if per_token is None else 2", "least = 1")
def test_the_codes_of_indices_have_the_dimension_of_the_channels():
    for shape, per_token, channel_dim in (
        ((3,), None, 1),
        ((3,), None, -2),
        ((3, 4), None, 2),
        ((3, 2), 2, 1),
        ((3, 1), 1, 1),
    ):
        check_indices(torch.zeros(shape, dtype=torch.int64), "Owner", 8, per_token, channel_dim=channel_dim)
    for shape, per_token, channel_dim in (
        ((), None, -1),
        ((3,), None, 2),
        ((3,), None, -3),
        ((1,), 1, -1),
        ((2,), 2, -1),
        ((3, 2), 2, 2),
    ):
        with pytest.raises(ValueError, match=r"^Owner: indices must be at least") as caught:
            check_indices(torch.zeros(shape, dtype=torch.int64), "Owner", 8, per_token, channel_dim=channel_dim)
        expected = f"{2 if per_token else 1}-dimensional, with codes that have a dimension {channel_dim} (channel_dim)"
        assert str(caught.value) == f"Owner: indices must be at least {expected}, got shape {shape}"
    check_indices(torch.tensor(3), "Owner", 8)


@catches(SUBJECT, "or size < 1:", "or size < 0:")
@catches(SUBJECT, "not isinstance(size, Integral) or", "")
def test_sizes_are_whole_numbers_from_one_on():
    check_sizes("Owner", {"one": 1, "two": np.int64(2)})
    for wrong in (0, -3, 16.0, "4", None, (4, 4)):
        with pytest.raises(ValueError, match=r"^Owner: two must be a whole number of at least 1, got") as caught:
            check_sizes("Owner", {"one": 1, "two": wrong})
        assert str(caught.value).endswith(f"got {wrong!r}")


@catches(SUBJECT, '"cpu" if generator is None else generator.device', "generator.device")
@catches(SUBJECT, "count, generator=generator,", "count,")
def test_an_order_is_the_generators_or_the_global_ones():
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        orders.append(random_order(20, None).tolist())
        assert sorted(orders[-1]) == list(range(20))
    assert orders[0] == orders[1] != orders[2]
    assert torch.equal(random_order(20, seeded(3)), random_order(20, seeded(3)))


@catches(SUBJECT, "token_block < 1:", "token_block < 0:")
@catches(SUBJECT, "token_block < 1:", "token_block == 0:")
def test_a_block_holds_a_token_at_least():
    for fit in (None, 1, 99):
        check_token_block(fit, "Owner")
    for wrong in (0, -3):
        with pytest.raises(ValueError, match=f"^Owner: token_block must be at least 1, got {wrong}$"):
            check_token_block(wrong, "Owner")

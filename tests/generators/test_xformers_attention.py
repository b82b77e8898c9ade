"""What xformers' kernels want of layout, mask and device; a stand-in computes what xformers documents."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import seeded
from vistok.generators import attention, check_attention_backend
from vistok.generators.layers._xformers_attention import xformers_attention

SUBJECT = "vistok.generators.layers._xformers_attention"
CUDA = torch.device("cuda")


def masks(queries, keys):
    square = torch.rand(queries, keys, generator=seeded(1)) < 0.5
    square[:, 0] = True
    yield square
    yield square.expand(2, 1, queries, keys)
    yield square.expand(1, 3, queries, keys)
    yield torch.ones(queries, 1, dtype=torch.bool)


@catches(SUBJECT, "-(-keys // _ROW_MULTIPLE) * _ROW_MULTIPLE)", "keys)")
@catches(SUBJECT, "query.new_zeros(", "torch.zeros(")
@catches(SUBJECT, "masked_fill_(~mask", "masked_fill_(mask")
@catches(SUBJECT, "bias.expand(*query.shape[:-1], keys)", "bias")
def test_a_mask_gives_the_same_by_both_and_its_rows_are_aligned(stand_in):
    query = torch.randn(2, 3, 5, 8, generator=seeded(0))
    for keys in (1, 5, 8, 11):
        key, value = torch.randn(2, 2, 3, keys, 8, generator=seeded(2))
        for mask in masks(5, keys):
            for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 2e-2)):
                parts = [part.to(dtype) for part in (query, key, value)]
                expected = attention(*parts, mask=mask)
                got = xformers_attention(*parts, mask, False, 0.0)
                torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("capability", "dtype", "masked", "refused"),
    [
        ((8, 0), torch.float32, True, None),
        ((9, 0), torch.float32, True, None),
        ((10, 0), torch.bfloat16, False, None),
        ((10, 0), torch.float32, False, r"torch\.float32 on a device of compute capability 10\.0"),
        ((12, 0), torch.bfloat16, True, r"a mask on a device of compute capability 12\.0"),
    ],
)
def test_new_devices_have_no_kernel_for_float32_nor_for_a_mask(
    stand_in, monkeypatch, capability, dtype, masked, refused
):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    if refused is None:
        check_attention_backend("xformers", CUDA, dtype=dtype, masked=masked)
        return
    with pytest.raises(ValueError, match=f"backend must be 'sdpa' for {refused}, got 'xformers'") as caught:
        check_attention_backend("xformers", CUDA, dtype=dtype, masked=masked)
    assert "\n" not in str(caught.value)


def test_what_xformers_has_no_kernel_for_is_told_in_one_line(on_any_device, monkeypatch):
    def without_kernels(*_, **__):
        raise NotImplementedError("No operator found for\n  query: ...\n  `ckF` is not supported because:")

    monkeypatch.setattr(on_any_device, "memory_efficient_attention", without_kernels)
    with pytest.raises(ValueError, match=r"'sdpa' for torch.float32 queries of shape \(1, 1, 2, 4\) on cpu") as caught:
        attention(*torch.zeros(3, 1, 1, 2, 4), backend="xformers")
    assert "\n" not in str(caught.value)

"""Layers give what autocast or their weights say; keys and values are kept in the type that attention takes."""

import torch

from _support.mutants import catches
from vistok.generators.sampling._dtypes import cache_dtype, layer_dtype

SUBJECT = "vistok.generators.sampling._dtypes"


@catches(SUBJECT, "return torch.get_autocast_dtype(like.device.type)", "return like.dtype")
@catches(SUBJECT, "    return like.dtype\n", "    return torch.float32\n")
def test_it_is_that_of_a_linear_layer_here_and_now():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    assert layer_dtype(x) == layer(x).dtype == torch.float32
    assert layer_dtype(x.double()) == layer.double()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer_dtype(x) == layer.float()(x).dtype == torch.bfloat16


@catches(SUBJECT, "torch.promote_types(dtype, torch.float32)", "torch.float32")
@catches(SUBJECT, 'if like.device.type == "cpu" else dtype', 'if like.device.type != "cpu" else dtype')
def test_on_a_cpu_keys_and_values_are_kept_in_float32_or_wider():
    x = torch.ones(1, 2)
    assert [cache_dtype(x.to(dtype)) for dtype in (torch.bfloat16, torch.float16, torch.float32)] == [torch.float32] * 3
    assert cache_dtype(x.double()) == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert cache_dtype(x) == torch.float32


@catches(SUBJECT, "not like.is_meta and ", "")
def test_the_meta_device_has_no_autocast_and_keeps_what_layers_give():
    half = torch.ones(1, device="meta", dtype=torch.float16)
    assert layer_dtype(half) == cache_dtype(half) == torch.float16

"""The type in which keys and values are stored is the one that linear layers give."""

import torch

from _support.mutants import catches
from vistok.generators.sampling._dtypes import activation_dtype

SUBJECT = "vistok.generators.sampling._dtypes"


@catches(SUBJECT, "return torch.get_autocast_dtype(like.device.type)", "return like.dtype")
@catches(SUBJECT, "    return like.dtype", "    return torch.float32")
def test_it_is_that_of_a_linear_layer_here_and_now():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    assert activation_dtype(x) == layer(x).dtype == torch.float32
    assert activation_dtype(x.double()) == layer.double()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert activation_dtype(x) == layer.float()(x).dtype == torch.bfloat16


@catches(SUBJECT, "not like.is_meta and ", "")
def test_the_meta_device_has_no_autocast():
    assert activation_dtype(torch.ones(1, device="meta", dtype=torch.float16)) == torch.float16

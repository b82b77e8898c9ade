"""The type in which keys and values are stored is the one that attention takes."""

import torch

from _support.mutants import catches
from vistok.generators.sampling._dtypes import activation_dtype

SUBJECT = "vistok.generators.sampling._dtypes"


@catches(SUBJECT, "else dtype", "else torch.float32")
@catches(SUBJECT, "dtype.itemsize < 4", "dtype.itemsize < 2")
@catches(SUBJECT, 'like.device.type == "cpu" and', 'like.device.type != "cpu" and')
def test_on_a_cpu_it_is_that_of_a_linear_layer_but_no_half_precision():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    assert activation_dtype(x) == layer(x).dtype == torch.float32
    assert activation_dtype(x.double()) == layer.double()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert activation_dtype(x) == torch.float32
    assert activation_dtype(x.bfloat16()) == torch.float32


@catches(SUBJECT, "like.is_meta or ", "")
def test_the_meta_device_has_no_autocast():
    assert activation_dtype(torch.ones(1, device="meta", dtype=torch.float16)) == torch.float16


@catches(SUBJECT, "dtype = torch.get_autocast_dtype(like.device.type)", "dtype = like.dtype")
def test_elsewhere_autocast_decides(monkeypatch):
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: True)
    monkeypatch.setattr(torch, "get_autocast_dtype", lambda device: torch.float64)
    assert activation_dtype(torch.ones(1)) == torch.float64

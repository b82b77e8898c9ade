"""What a network computes in: bfloat16 where asked for and where the device has it, and float32 afterwards."""

import logging

import torch

from _support.mutants import catches
from vistok.workbench.training import precision
from vistok.workbench.training.precision import mixed_precision

SUBJECT = "vistok.workbench.training.precision"
CPU = torch.device("cpu")


@catches(SUBJECT, 'lower = kind == "bf16" and', "lower =")
@catches(SUBJECT, "torch.bfloat16, enabled", "torch.float16, enabled")
def test_a_network_computes_in_bfloat16_where_asked_for_and_keeps_float32_parameters(monkeypatch):
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda device: True)
    network, images = torch.nn.Linear(3, 2), torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for kind, dtype in (("no", torch.float32), ("bf16", torch.bfloat16)):
        with mixed_precision(CPU, kind):
            out = network(images)
        assert out.dtype == dtype
        out.float().sum().backward()
        assert {(p.dtype, p.grad.dtype) for p in network.parameters()} == {(torch.float32, torch.float32)}
    assert network(images).dtype == torch.float32


@catches(SUBJECT, "and computes_in_bfloat16(device)", "and True")
@catches(SUBJECT, 'if kind == "bf16" and not lower:', "if not lower:")
@catches(SUBJECT, "@functools.cache", "")
def test_a_processor_without_it_computes_in_float32_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda device: False)
    precision._say_once.cache_clear()
    network = torch.nn.Linear(3, 2)
    for kind in ("no", "bf16", "bf16"):
        with caplog.at_level(logging.INFO), mixed_precision(CPU, kind):
            assert network(torch.ones(1, 3)).dtype == torch.float32
        assert len(caplog.messages) == (kind == "bf16")
    assert caplog.messages == [
        "mixed_precision: bf16 is computed in float32: this processor has no products in bfloat16"
    ]

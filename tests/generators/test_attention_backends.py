"""Which kernels a network takes: PyTorch's, or xformers' by name."""

import builtins

import pytest
import torch

from _support.small_generators import LABELS, far_tokens, masked_tokens, small_far, small_masked, small_xar
from vistok import generators as g


def refuse_import(monkeypatch, error):
    real = builtins.__import__

    def fake(name, *arguments, **options):
        if name.startswith("xformers"):
            raise error
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", fake)


def models():
    yield small_xar, torch.randn(3, 3, 4, 8)
    yield small_far, far_tokens(small_far())
    yield small_masked, masked_tokens(small_masked())


def test_a_model_takes_the_kernels_that_its_options_name(on_any_device, monkeypatch):
    calls, kernels = [], on_any_device.memory_efficient_attention

    def counted(*arguments, **options):
        calls.append(options)
        return kernels(*arguments, **options)

    monkeypatch.setattr(on_any_device, "memory_efficient_attention", counted)
    for network, data in models():
        plain, asked = (network(attention=backend) for backend in ("sdpa", "xformers"))
        losses = []
        for model, backend in ((plain, "sdpa"), (asked, "xformers")):
            calls.clear()
            losses.append(model.loss(data, LABELS, generator=torch.Generator().manual_seed(0)))
            assert bool(calls) == (backend == "xformers")
        torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)


def test_the_double_stream_takes_the_kernels_that_it_is_asked_for(on_any_device, monkeypatch):
    torch.manual_seed(0)
    block = g.DoubleStreamBlock(16, 2, conditioned=False, backend="xformers")
    streams = torch.randn(1, 6, 16), torch.randn(1, 3, 16)
    got = block(*streams)
    block.backend = "sdpa"
    for part, expected in zip(got, block(*streams), strict=True):
        torch.testing.assert_close(part, expected, atol=1e-5, rtol=1e-5)
    block.backend = "xformers"
    monkeypatch.setattr(on_any_device, "memory_efficient_attention", None)
    with pytest.raises(TypeError):
        block(*streams)


def test_nothing_takes_xformers_that_does_not_name_it(monkeypatch):
    refuse_import(monkeypatch, AssertionError("imported"))
    for network, data in models():
        model = network()
        assert all(block.backend == "sdpa" for block in model.modules() if hasattr(block, "backend"))
        model.loss(data, LABELS)


BUILDERS = [
    lambda: g.XAR(2, 4, 2, 3, width=16, depth=2, num_heads=2, options=g.XAROptions(attention="xformers")),
    lambda: g.FAR((4,), 2, 3, width=16, depth=1, num_heads=2, options=g.FAROptions(attention="xformers")),
    lambda: g.MaskedAR(
        g.IdTokens((4,)), 16, 3, width=16, depth=1, num_heads=2, options=g.MaskedAROptions(attention="xformers")
    ),
]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ModuleNotFoundError("No module named 'xformers'"), "ModuleNotFoundError: No module named 'xformers'"),
        (ImportError("undefined symbol:\n  _ZN3c10"), "ImportError: undefined symbol: _ZN3c10"),
        (OSError("libcudart.so.12: cannot open"), "OSError: libcudart.so.12: cannot open"),
        (AttributeError("module 'torch' has no attribute 'x'"), "AttributeError: module 'torch'"),
    ],
)
@pytest.mark.parametrize("build", BUILDERS)
def test_a_model_says_when_it_is_built_that_xformers_cannot_be_imported(build, error, reason, monkeypatch):
    refuse_import(monkeypatch, error)
    with pytest.raises(
        ValueError, match=r"^attention must be 'sdpa' where xformers cannot be imported, got "
    ) as caught:
        build()
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_model_for_xformers_can_be_built_anywhere_and_says_that_it_runs_on_cuda_only(build, stand_in):
    model = build()
    with pytest.raises(ValueError, match=r"^backend must be 'sdpa' for tensors on cpu, got 'xformers'"):
        model.sample(torch.tensor([1]))

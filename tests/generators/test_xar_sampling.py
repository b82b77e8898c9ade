"""The sampler of xAR: cells in turn, each from noise."""

import math
from itertools import pairwise

import torch

from _support.mutants import catches
from _support.small_generators import LABELS, small_xar
from _support.strategies import seeded
from vistok.generators import XAR, Guidance

SUBJECT = "vistok.generators.sampling._xar_sampling"


@catches(SUBJECT, "self._run(x, 0.0, index, len(x))", "self._run(x, 1.0, index, len(x))")
@catches(SUBJECT, "context.finish(x, index)", "pass")
def test_sampling_follows_the_published_steps():
    """Cell after cell from noise: Euler-Maruyama with d = (2 - t) v + x, clean context, guidance linear over cells."""
    model = small_xar()
    steps, scale, rng = 5, 3.0, seeded(3)
    times = [*torch.linspace(1, 0.04, steps, dtype=torch.float64).tolist(), 0.0]
    null = torch.full_like(LABELS, model.null_label)
    cells = torch.zeros(3, 4, 8, 3, dtype=torch.float64)
    for cell in range(4):
        x = torch.randn(3, 1, 8, 3, generator=rng, dtype=torch.float64)
        strength = 1 + (scale - 1) * cell / 3
        for number, (now, then) in enumerate(pairwise(times)):
            cells[:, cell] = x[:, 0]
            t = torch.zeros(3, 4)
            t[:, cell] = now
            image = model.from_cells(cells).float()
            with torch.no_grad():
                c, u = (model.to_cells(model(image, t, y))[:, cell : cell + 1].double() for y in (LABELS, null))
            velocity = u + strength * (c - u)
            x = x + ((2 - now) * velocity + x) * (then - now)
            if number < steps - 1:
                x = x + math.sqrt(2 * now * (now - then)) * torch.randn(x.shape, generator=rng, dtype=torch.float64)
        cells[:, cell] = x[:, 0]
    expected = model.from_cells(cells).float()
    for use_cache in (True, False):
        got = model.sample(LABELS, num_steps=steps, guidance=scale, generator=seeded(3), use_cache=use_cache)
        torch.testing.assert_close(got, expected, atol=2e-4, rtol=2e-4)


@catches(
    "vistok.generators.layers.kv_cache",
    "self.values[:batch, :, start:end] = value",
    "self.values[:batch, :, start:end] = key",
)
def test_cached_and_uncached_sampling_agree():
    model = small_xar()
    for method in ("sde", "ode", "heun"):
        both = [
            model.sample(LABELS, num_steps=3, guidance=2.0, generator=seeded(1), method=method, use_cache=cache)
            for cache in (True, False)
        ]
        torch.testing.assert_close(*both, atol=1e-4, rtol=1e-4)


@catches(SUBJECT, "torch.full_like(labels, model.null_label)", "labels")
def test_guidance_one_is_no_guidance_and_zero_is_the_null_label():
    model = small_xar()
    plain = model.sample(LABELS, num_steps=3, generator=seeded(0))
    assert torch.equal(plain, model.sample(LABELS, num_steps=3, guidance=Guidance(1.0), generator=seeded(0)))
    null = torch.full_like(LABELS, model.null_label)
    unconditional = model.sample(null, num_steps=3, generator=seeded(0))
    zero = model.sample(LABELS, num_steps=3, guidance=Guidance(0.0), generator=seeded(0))
    torch.testing.assert_close(zero, unconditional, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, unconditional, atol=1e-3)


@catches(
    "vistok.generators.xar",
    'schedule = as_guidance(guidance, "linear")',
    'schedule = as_guidance(guidance, "constant")',
)
@catches(SUBJECT, "guidance.at(n / last if last else 1.0)", "guidance.at((n + 1) / (last + 1))")
def test_guidance_grows_over_the_cells():
    model = small_xar()
    plain = model.to_cells(model.sample(LABELS, num_steps=3, generator=seeded(0)))
    guided = model.to_cells(model.sample(LABELS, num_steps=3, guidance=4.0, generator=seeded(0)))
    assert torch.equal(plain[:, 0], guided[:, 0])
    assert not torch.allclose(plain[:, 1], guided[:, 1], atol=1e-3)


def test_one_generator_gives_one_result():
    model = small_xar().train()
    x = torch.randn(3, 3, 4, 8)
    assert torch.equal(model.loss(x, LABELS, generator=seeded(0)), model.loss(x, LABELS, generator=seeded(0)))
    first, second = (model.sample(LABELS, num_steps=2, generator=seeded(0)) for _ in range(2))
    assert torch.equal(first, second)
    assert model.training


@catches(SUBJECT, "packed(model, layer_dtype(model.stem.weight)) if", "packed(model, torch.bfloat16) if")
def test_packed_layers_give_the_latents_of_the_plain_ones(monkeypatch):
    """Without the cache nothing is packed."""
    # Whatever this processor has: layers packed in bfloat16 by mistake must not pass for plain ones.
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    torch.manual_seed(0)
    model = XAR(3, 4, 2, 5, width=256, depth=2, num_heads=4).eval()
    both = [
        model.sample(torch.tensor([1, 3]), num_steps=3, guidance=2.0, generator=seeded(0), use_cache=cache)
        for cache in (True, False)
    ]
    torch.testing.assert_close(*both, atol=1e-4, rtol=1e-4)
    assert {type(m) for m in model.modules() if "Linear" in type(m).__name__} == {torch.nn.Linear}

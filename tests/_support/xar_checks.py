"""What xAR must satisfy; each check takes the package, so a mutant can be handed in."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F

LABELS = torch.tensor([1, 4, 2])


def network(g, **options):
    torch.manual_seed(0)
    model = g.XAR(3, (4, 8), (2, 4), 5, width=32, depth=4, num_heads=2, options=g.XAROptions(**options))
    for position in (model.first_positions, model.second_positions, model.labels.table.weight):
        torch.nn.init.normal_(position)
    return model.eval()


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def later_cells_change_nothing_before_them(g):
    for order in ("block", "interleaved"):
        model = network(g, order=order)
        x, t = torch.randn(3, 3, 4, 8, generator=seeded()), torch.rand(3, 4, generator=seeded(1))
        before = model.to_cells(model(x, t, LABELS))
        for first in (1, 2, 3):
            cells = model.to_cells(x).clone()
            cells[:, first:] += 5
            later = t.clone()
            later[:, first:] = 0.9
            after = model.to_cells(model(model.from_cells(cells), later, LABELS))
            assert torch.equal(before[:, :first], after[:, :first])
            assert not torch.allclose(before[:, first], after[:, first])


def every_earlier_cell_and_the_own_one_are_seen(g):
    model = network(g)
    x, t = torch.randn(1, 3, 4, 8, generator=seeded()), torch.rand(1, 4, generator=seeded(1))
    before = model.to_cells(model(x, t, LABELS[:1]))[:, 3]
    for cell in range(4):
        cells = model.to_cells(x).clone()
        cells[:, cell, 0] += 5
        assert not torch.allclose(before, model.to_cells(model(model.from_cells(cells), t, LABELS[:1]))[:, 3])


def cells_go_there_and_back(g):
    for order in ("block", "interleaved"):
        model = network(g, order=order)
        x = torch.randn(2, 3, 4, 8)
        assert torch.equal(model.from_cells(model.to_cells(x)), x)
    x = torch.arange(32.0).reshape(1, 1, 4, 8).expand(1, 3, 4, 8)
    assert network(g).to_cells(x)[0, 1, :, 0].tolist() == [4, 5, 6, 7, 12, 13, 14, 15]


def rotation_follows_the_place_of_a_token(g):
    model = network(g)
    table = g.rotary_table_2d((4, 8), 16)
    rows = torch.arange(32.0).reshape(1, 1, 4, 8).expand(1, 3, 4, 8)
    for place, row in enumerate(model.to_cells(rows)[0, :, :, 0].flatten().int().tolist()):
        assert torch.equal(model.rotary[place], table[row])


def the_loss_is_flow_matching_with_a_time_for_each_cell(g):
    model = network(g)
    x = torch.randn(3, 3, 4, 8, generator=seeded(5))
    loss = model.loss(x, LABELS, generator=seeded(7))
    rng = seeded(7)
    t = torch.randn(3, 4, generator=rng).sigmoid()
    noise = model.from_cells(torch.randn(3, 4, 8, 3, generator=rng))
    weight = model.from_cells(t[:, :, None, None].expand(3, 4, 8, 3))
    velocity = model((1 - weight) * x + weight * noise, t, LABELS)
    expected = ((velocity.double() - (noise - x).double()) ** 2).mean()
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), expected, atol=1e-5, rtol=1e-5)


def dropped_labels_are_the_null_label(g):
    model = network(g, label_drop_prob=0.999)
    x = torch.randn(3, 3, 4, 8)
    null = torch.full_like(LABELS, model.null_label)
    expected = model.loss(x, null, generator=seeded())
    torch.testing.assert_close(model.train().loss(x, LABELS, generator=seeded()), expected)


def sampling_follows_the_published_steps(g):
    """Cell after cell from noise: Euler-Maruyama with d = (2 - t) v + x, clean context, guidance linear over cells."""
    model = network(g)
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


def cached_and_uncached_sampling_agree(g):
    model = network(g)
    for method in ("sde", "ode", "heun"):
        both = [
            model.sample(LABELS, num_steps=3, guidance=2.0, generator=seeded(1), method=method, use_cache=cache)
            for cache in (True, False)
        ]
        torch.testing.assert_close(*both, atol=1e-4, rtol=1e-4)


def guidance_one_is_no_guidance_and_zero_is_the_null_label(g):
    model = network(g)
    plain = model.sample(LABELS, num_steps=3, generator=seeded())
    assert torch.equal(plain, model.sample(LABELS, num_steps=3, guidance=g.Guidance(1.0), generator=seeded()))
    null = torch.full_like(LABELS, model.null_label)
    unconditional = model.sample(null, num_steps=3, generator=seeded())
    zero = model.sample(LABELS, num_steps=3, guidance=g.Guidance(0.0), generator=seeded())
    torch.testing.assert_close(zero, unconditional, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(plain, unconditional, atol=1e-3)


def guidance_grows_over_the_cells(g):
    model = network(g)
    plain = model.to_cells(model.sample(LABELS, num_steps=3, generator=seeded()))
    guided = model.to_cells(model.sample(LABELS, num_steps=3, guidance=4.0, generator=seeded()))
    assert torch.equal(plain[:, 0], guided[:, 0])
    assert not torch.allclose(plain[:, 1], guided[:, 1], atol=1e-3)


def a_batch_is_its_elements(g):
    model = network(g)
    x, t = torch.randn(3, 3, 4, 8), torch.rand(3, 4)
    alone = torch.cat([model(x[i : i + 1], t[i : i + 1], LABELS[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(model(x, t, LABELS), alone, atol=1e-5, rtol=1e-5)


def one_generator_gives_one_result(g):
    model = network(g).train()
    x = torch.randn(3, 3, 4, 8)
    assert torch.equal(model.loss(x, LABELS, generator=seeded()), model.loss(x, LABELS, generator=seeded()))
    first, second = (model.sample(LABELS, num_steps=2, generator=seeded()) for _ in range(2))
    assert torch.equal(first, second)
    assert model.training


def one_block_follows_its_equations(g):
    """The block of one cell written out in float64 from its weights."""
    model = network(g, gate="gelu").double()
    block = model.first_blocks[0]
    x, condition = torch.randn(1, 1, 8, 32).double(), torch.randn(1, 1, 32).double()
    parts = block.modulation.proj(F.silu(condition)).reshape(6, 32)
    gate_a, gate_m, scale_a, scale_m, shift_a, shift_m = parts

    def norm(v):
        return v / (v.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    h = norm(x[0, 0]) * (1 + scale_a) + shift_a
    q, k, v = (block.qkv(h)[:, i * 32 : (i + 1) * 32].reshape(8, 2, 16).transpose(0, 1) for i in range(3))
    q, k = (g.rotate(part, model.rotary[:8]) for part in (q, k))
    out = ((q @ k.mT / 4).softmax(-1) @ v).transpose(0, 1).reshape(8, 32)
    y = x[0, 0] + gate_a * block.proj(out)
    h = norm(y) * (1 + scale_m) + shift_m
    mlp = block.mlp
    y = y + gate_m * mlp.out_proj(F.gelu(mlp.gate_proj(h)) * mlp.value_proj(h))
    got = block(x, condition, model.rotary[:8])[0, 0]
    torch.testing.assert_close(got, y, atol=1e-4, rtol=1e-4)


CHECKS = [
    value
    for value in list(globals().values())
    if callable(value)
    and getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("g",)
    and value.__code__.co_argcount == 1
    and value.__name__ != "variants"
]

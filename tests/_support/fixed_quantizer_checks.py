"""Checks of the quantizers with fixed codes or other estimators, and of usage; see `quantizer_checks`."""

import math
from itertools import product
from types import ModuleType

import torch

from _support.quantizer_checks import generator, unit64
from _support.strategies import normal


def sphere_codes_are_the_nearest_corners(q: ModuleType) -> None:
    corners = torch.tensor(list(product((-1.0, 1.0), repeat=5))).double() / math.sqrt(5)
    z = normal(0, 50, 5)
    out = q.BinarySphericalQuantizer(5)(z)
    nearest = (unit64(z).unsqueeze(1) - corners).square().sum(2).argmin(1)
    assert torch.allclose(out.codes.double(), corners[nearest], atol=1e-6)
    bits = (z > 0).long()
    assert out.indices.tolist() == [sum(int(b) << k for k, b in enumerate(row)) for row in bits]


def sphere_groups_hold_the_lowest_bits_first(q: ModuleType) -> None:
    z = torch.tensor([[1.0, -1.0, -1.0, 1.0, 1.0, -1.0]])
    assert q.BinarySphericalQuantizer(6, num_groups=2)(z).indices.tolist() == [[1, 3]]
    assert q.BinarySphericalQuantizer(6)(z).indices.tolist() == [25]
    assert q.BinarySphericalQuantizer(2)(torch.zeros(1, 2)).indices.tolist() == [0]


def sphere_gradient_goes_to_the_direction(q: ModuleType) -> None:
    z, up = normal(0, 4, 6).requires_grad_(), normal(1, 4, 6)
    (q.BinarySphericalQuantizer(6)(z).quantized * up).sum().backward()
    z64 = z.detach().double().requires_grad_()
    (unit64(z64) * up).sum().backward()
    assert torch.allclose(z.grad.double(), z64.grad, atol=1e-6)


def index_backpropagation_has_the_gradient_of_the_dense_formula(q: ModuleType) -> None:
    for temperature in (1.0, 0.3):
        z, up = normal(0, 11, 3).requires_grad_(), normal(1, 11, 3)
        quantizer = q.IndexBackpropagationQuantizer(7, 3, temperature=temperature, token_block=4)
        quantizer.codebook.data.copy_(normal(2, 7, 3))
        out = quantizer(z)
        (out.quantized * up).sum().backward()
        z64 = z.detach().double().requires_grad_()
        table = quantizer.codebook.detach().double().requires_grad_()
        logits = z64 @ table.t()
        p = (logits / temperature).softmax(1)
        hard = torch.nn.functional.one_hot(logits.argmax(1), 7).double()
        dense = (hard + p - p.detach()) @ table
        (dense * up).sum().backward()
        assert torch.equal(out.indices, logits.argmax(1))
        assert torch.allclose(out.quantized.double(), dense, atol=1e-6)
        assert torch.equal(out.quantized, out.codes)
        assert torch.allclose(z.grad.double(), z64.grad, atol=1e-5)
        assert torch.allclose(quantizer.codebook.grad.double(), table.grad, atol=1e-5)


def projection_alone_learns(q: ModuleType) -> None:
    quantizer = q.ProjectedVectorQuantizer(15, 3, generator=generator(0))
    quantizer.projection.data.copy_(normal(3, 3, 3))
    z, g = normal(1, 8, 3).requires_grad_(), normal(2, 8, 3)
    out = quantizer(z)
    table = quantizer.frozen_codebook.double() @ quantizer.projection.detach().double().t()
    assert torch.equal(out.indices, (z.double().unsqueeze(1) - table).square().sum(2).argmin(1))
    assert torch.allclose(out.codes.double(), table[out.indices], atol=1e-6)
    (out.codes * g).sum().backward()
    wanted = g.double().t() @ quantizer.frozen_codebook.double()[out.indices]
    assert torch.allclose(quantizer.projection.grad.double(), wanted, atol=1e-5)
    assert z.grad is None
    assert [name for name, _ in quantizer.named_parameters()] == ["projection"]


def usage_by_hand(q: ModuleType) -> None:
    """Eight codes, counts 4 2 2 0 ...: usage 3/8, entropy 1.5 bits, ones 2/8 in the lowest bit and 2/8 in the next."""
    usage = q.CodebookUsage(8)
    usage(torch.tensor([[0, 1, 2, 0], [0, 2, 1, 0]]))
    report = usage.report()
    assert report.counts.tolist() == [[4, 2, 2, 0, 0, 0, 0, 0]]
    assert report.usage.tolist() == [0.375]
    assert abs(report.perplexity.item() - 2**1.5) < 1e-12
    assert report.bit_balance.tolist() == [[0.25, 0.25, 0.0]]
    usage.reset()
    assert usage.report().perplexity.item() == 0
    assert usage.report().usage.item() == 0


def usage_streams_and_keeps_codebooks_apart(q: ModuleType) -> None:
    indices = torch.randint(0, 10, (6, 5, 3), generator=generator(0))
    whole, parts = q.CodebookUsage(10, 3), q.CodebookUsage(10, 3)
    whole(indices)
    for piece in indices:
        parts(piece)
    assert torch.equal(whole.report().counts, parts.report().counts)
    for book in range(3):
        column = indices[..., book].flatten()
        p = torch.tensor([(column == k).double().mean() for k in range(10)])
        assert torch.equal(whole.report().counts[book], torch.bincount(column, minlength=10))
        wanted = math.exp(-sum(float(v) * math.log(v) for v in p if v > 0))
        assert abs(whole.report().perplexity[book].item() - wanted) < 1e-9
    assert whole.report().bit_balance.shape == (3, 0)


def residual_recovery_starts_at_zero_and_matches_its_formula(q: ModuleType) -> None:
    torch.manual_seed(0)
    module = q.ResidualRecovery(3, (2, 2), width=8, heads=2)
    x = normal(0, 2, 3, 2, 2)
    assert not module(x).any()
    torch.nn.init.normal_(module.project_out.weight)
    got = module(x)
    p = {name: value.detach().double() for name, value in module.named_parameters()}

    def norm(h: torch.Tensor, name: str) -> torch.Tensor:
        centred = h - h.mean(-1, keepdim=True)
        scale = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / scale * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(h: torch.Tensor, name: str) -> torch.Tensor:
        return h @ p[f"{name}.weight"].t() + p[f"{name}.bias"]

    for image, result in zip(x.double(), got, strict=True):
        h = linear(image.reshape(3, 4).t(), "project_in") + p["positions"]
        q_, k, v = linear(norm(h, "norm_attention"), "qkv").split(8, dim=1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            weights = (q_[:, part] @ k[:, part].t() / 2).softmax(1)
            heads.append(weights @ v[:, part])
        h = h + linear(torch.cat(heads, 1), "attention_out")
        inner = linear(norm(h, "norm_mlp"), "mlp.0")
        h = h + linear(0.5 * inner * (1 + torch.erf(inner / math.sqrt(2))), "mlp.2")
        wanted = linear(norm(h, "norm_out"), "project_out").t().reshape(3, 2, 2)
        assert torch.allclose(result.double(), wanted, atol=1e-5)


def each_branch_of_the_dual_quantizer_has_its_codebook(q: ModuleType) -> None:
    dual = q.DualQuantizer(8, 12, 3, learning="ema", generator=generator(0))
    order = generator(0)
    semantic, visual = (q.VectorQuantizer(size, 3, learning="ema", generator=order) for size in (8, 12))
    a, b = normal(1, 2, 3, 4), normal(2, 2, 3, 4)
    out = dual(a, b)
    for mine, single, z in ((out.semantic, semantic, a), (out.visual, visual, b)):
        for left, right in zip(mine, single(z), strict=True):
            assert torch.equal(left, right)
    codes = dual.indices_to_codes(out.semantic.indices, out.visual.indices)
    assert torch.equal(codes[0], out.semantic.codes)
    assert torch.equal(codes[1], out.visual.codes)
    dual.update()
    semantic.update()
    visual.update()
    assert torch.equal(dual.semantic.codebook, semantic.codebook)
    assert torch.equal(dual.visual.codebook, visual.codebook)
    dual.freeze()
    assert dual.semantic.frozen
    assert dual.visual.frozen
    dual.unfreeze()
    assert not dual.semantic.frozen
    assert not dual.visual.frozen


CHECKS = [
    value
    for name, value in list(globals().items())
    if callable(value) and getattr(value, "__annotations__", {}).get("q") is ModuleType
]

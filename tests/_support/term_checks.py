"""Checks of the losses that compare two tensors; each takes the package, so that a planted bug can be put under it."""

import math
from types import ModuleType

import torch
from torch import Tensor, nn

from _support.strategies import normal


def _close(got: Tensor, wanted: Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance)


def _unit(x: Tensor, dim: int) -> Tensor:
    return x / x.norm(dim=dim, keepdim=True)


def beta_sits_on_the_commitment_term(losses: ModuleType) -> None:
    for beta in (0.0, 0.25, 3.0):
        z_e, z_q = normal(0, 2, 3, 4).requires_grad_(), normal(1, 2, 3, 4).requires_grad_()
        loss = losses.codebook_commitment_loss(z_e, z_q, beta=beta)
        loss.backward()
        gap = (z_q - z_e).detach().double()
        assert _close(loss, (1 + beta) * gap.square().mean())
        assert _close(z_q.grad, 2 * gap / 24)
        assert _close(z_e.grad, -2 * beta * gap / 24)
        assert torch.equal(losses.CodebookCommitmentLoss(beta)(z_e, z_q), loss)


def codebook_commitment_by_hand(losses: ModuleType) -> None:
    assert losses.codebook_commitment_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0]), beta=0.5).item() == 3.0


def residual_forms_are_those_of_the_equation(losses: ModuleType) -> None:
    target, quantized, residual = (normal(seed, 3, 4, 5) for seed in range(3))
    gap = (target - quantized - residual).double()
    assert _close(losses.residual_loss(target, quantized, residual), gap.square().mean())
    assert _close(losses.residual_loss(target, quantized, residual, norm="l1"), gap.abs().mean())
    norms = torch.stack([sample.square().sum().sqrt() for sample in gap])
    assert _close(losses.residual_loss(target, quantized, residual, norm="norm"), norms.mean())
    row = losses.residual_loss(torch.tensor([3.0, 4.0]), torch.zeros(2), torch.zeros(2), norm="norm")
    assert row.item() == 5.0


def residual_gradient_takes_the_chosen_way(losses: ModuleType) -> None:
    for detach in (False, True):
        target, quantized, residual = (normal(seed, 3, 4).requires_grad_() for seed in range(3))
        losses.ResidualLoss(detach_quantized=detach)(target, quantized, residual).backward()
        wanted = 2 * (quantized + residual - target).detach() / 12
        assert target.grad is None
        assert _close(residual.grad, wanted)
        assert quantized.grad is None if detach else _close(quantized.grad, wanted)
    for norm in ("squared", "l1", "norm"):
        same = torch.ones(2, 3, requires_grad=True)
        losses.residual_loss(torch.ones(2, 3), same, torch.zeros(2, 3), norm=norm).backward()
        assert not same.grad.any()


def reconstruction_kinds_are_means(losses: ModuleType) -> None:
    for shape in ((7,), (2, 3, 4, 5)):
        a, b = normal(0, *shape).requires_grad_(), normal(1, *shape)
        gap = (a.detach() - b).double()
        smooth = (gap.square() + 0.01).sqrt()
        cases = {
            "l2": (gap.square().mean(), 2 * gap / gap.numel()),
            "l1": (gap.abs().mean(), gap.sign() / gap.numel()),
            "charbonnier": (smooth.mean(), gap / smooth / gap.numel()),
        }
        for kind, (value, gradient) in cases.items():
            a.grad = None
            loss = losses.reconstruction_loss(a, b, kind=kind, eps=0.1)
            loss.backward()
            assert _close(loss, value)
            assert _close(a.grad, gradient)
            assert torch.equal(losses.ReconstructionLoss(kind, eps=0.1)(a, b), loss)
    assert abs(losses.reconstruction_loss(torch.ones(3), torch.ones(3), kind="charbonnier").item() - 1e-3) < 1e-9


def chroma_is_the_mean_square_of_cb_and_cr(losses: ModuleType) -> None:
    a, b = normal(0, 2, 3, 4, 5).requires_grad_(), normal(1, 2, 3, 4, 5).requires_grad_()
    red, green, blue = (a - b).detach().double().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    cb, cr = (blue - luma) / 1.772, (red - luma) / 1.402
    loss = losses.chroma_loss(a, b)
    loss.backward()
    assert _close(loss, (cb.square().mean() + cr.square().mean()) / 2)
    to_blue, to_red = (
        torch.tensor(row, dtype=torch.float64) for row in ((-0.299, -0.587, 0.886), (0.701, -0.587, -0.114))
    )
    slope = cb.unsqueeze(1) * to_blue.view(1, 3, 1, 1) / 1.772 + cr.unsqueeze(1) * to_red.view(1, 3, 1, 1) / 1.402
    assert _close(a.grad, slope / cb.numel())
    assert _close(b.grad, -slope / cb.numel())
    assert torch.equal(losses.ChromaLoss()(a, b), loss)
    brighter = b.detach() + normal(2, 2, 1, 4, 5)
    assert losses.chroma_loss(brighter, b.detach()) < 1e-10


def chroma_by_hand(losses: ModuleType) -> None:
    yellow, orange = (torch.tensor(rgb).view(1, 3, 1) for rgb in ((1.0, 1.0, 0.0), (1.0, 0.5, 0.0)))
    assert abs(losses.chroma_loss(yellow, orange).item() - 0.5 * (0.165632**2 + 0.209344**2)) < 1e-6


def disentanglement_is_the_mean_squared_cosine(losses: ModuleType) -> None:
    a, b = normal(0, 2, 5, 3), normal(1, 2, 5, 3)
    for dim in (1, 2, -1):
        wanted = (_unit(a.double(), dim) * _unit(b.double(), dim)).sum(dim).square().mean()
        assert _close(losses.disentanglement_loss(a, b, channel_dim=dim), wanted)
        assert _close(losses.DisentanglementLoss(channel_dim=dim)(-3 * a, 0.1 * b), wanted)
    assert losses.disentanglement_loss(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 4.0]])).item() == 0.0
    zero = torch.zeros(2, 5, 3, requires_grad=True)
    losses.disentanglement_loss(zero, b).backward()
    assert not zero.grad.any()


def patch_alignment_is_one_minus_the_mean_cosine(losses: ModuleType) -> None:
    a, b = normal(0, 2, 5, 3).requires_grad_(), normal(1, 2, 5, 3).requires_grad_()
    for dim in (1, -1):
        wanted = 1 - (_unit(a.double(), dim) * _unit(b.double(), dim)).sum(dim).mean()
        loss = losses.PatchAlignmentLoss(channel_dim=dim)(a, b)
        assert _close(loss, wanted)
    loss.backward()
    assert b.grad is None
    assert (a.grad * a).sum(-1).abs().max() < 1e-6
    assert abs(losses.patch_alignment_loss(-2 * b, b).item() - 2) < 1e-6


def pooled_alignment_compares_the_mean_feature(losses: ModuleType) -> None:
    a, y = normal(0, 2, 5, 3).requires_grad_(), normal(1, 2, 5).requires_grad_()
    wanted = 1 - (_unit(a.double().mean(2), 1) * _unit(y.double(), 1)).sum(1).mean()
    loss = losses.PooledAlignmentLoss()(a, y)
    assert _close(loss, wanted)
    assert _close(losses.pooled_alignment_loss(a.movedim(1, -1), y, channel_dim=-1), wanted)
    loss.backward()
    assert y.grad is None
    assert _close(a.grad[..., 0], a.grad[..., 1])


def contrastive_is_info_nce(losses: ModuleType) -> None:
    for temperature in (1.0, 0.07):
        a, y = normal(0, 6, 5).requires_grad_(), normal(1, 6, 5).requires_grad_()
        cosines = (_unit(a.detach().double(), 1) @ _unit(y.detach().double(), 1).T) / temperature
        wanted = -sum(cosines[i, i] - cosines[i].exp().sum().log() for i in range(6)) / 6
        loss = losses.ContrastiveLoss(temperature=temperature)(a, y)
        loss.backward()
        assert _close(loss, wanted)
        assert y.grad is None
        assert (a.grad * a).sum(1).abs().max() < 1e-5
    same = losses.contrastive_loss(a, torch.ones(6, 5))
    assert abs(same.item() - math.log(6)) < 1e-6
    assert losses.contrastive_loss(a[:1], y[:1]).item() == 0.0


class Stages(nn.Module):
    """A small network with parameters and batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(6, 4, 3, 2, 1), nn.ReLU())
        generator = torch.Generator().manual_seed(3)
        for parameter in self.parameters():
            parameter.data.normal_(0, 0.5, generator=generator)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.first(images)
        return [x, self.second(x)]


def _lpips_term(a: Tensor, b: Tensor, head: Tensor | None = None) -> Tensor:
    a, b = (x.double() / (x.double().square().sum(1, keepdim=True).sqrt() + 1e-10) for x in (a, b))
    gap = (a - b) ** 2
    if head is not None:
        gap = gap * head.double().view(1, -1, 1, 1)
    return gap.sum(1).mean(dim=(1, 2))


def perceptual_sums_its_weighted_stages(losses: ModuleType) -> None:
    a = [normal(0, 2, 3, 4, 4), normal(1, 2, 5, 2, 2)]
    b = [normal(2, 2, 3, 4, 4), normal(3, 2, 5, 2, 2)]
    terms = [_lpips_term(x, y).mean() for x, y in zip(a, b, strict=True)]
    squares = [(x.double() - y.double()).square().mean() for x, y in zip(a, b, strict=True)]
    assert _close(losses.perceptual_loss(a, b), (terms[0] + terms[1]) / 2)
    assert _close(losses.perceptual_loss(a, b, [0.3, 2.0]), 0.3 * terms[0] + 2 * terms[1])
    assert _close(losses.perceptual_loss(a, b, normalize=False), (squares[0] + squares[1]) / 2)
    assert losses.perceptual_loss(a, a).item() == 0.0
    zero = torch.zeros(1, 3, 2, 2, requires_grad=True)
    losses.perceptual_loss([zero * 1.0], [a[0][:1, :, :2, :2]]).backward()
    assert torch.isfinite(zero.grad).all()


def the_perceptual_network_is_frozen(losses: ModuleType) -> None:
    network = Stages()
    module = losses.PerceptualLoss(network).train()
    image, target = normal(0, 2, 3, 8, 8).requires_grad_(), normal(1, 2, 3, 8, 8).requires_grad_()
    statistics = network.first[1].running_mean.clone()
    module(image, target).backward()
    assert torch.equal(network.first[1].running_mean, statistics)
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert target.grad is None
    assert image.grad.any()
    assert _close(module(image, target), losses.perceptual_loss(network(image), network(target)))


def lpips_is_the_published_formula(losses: ModuleType) -> None:
    network, heads = Stages(), [torch.rand(6, generator=torch.Generator().manual_seed(0)), torch.ones(4)]
    x, y = normal(0, 2, 3, 8, 8).clamp(-1, 1), normal(1, 2, 3, 8, 8).clamp(-1, 1)
    module = losses.LPIPS(network, heads)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    a, b = network((x - shift) / scale), network((y - shift) / scale)
    wanted = sum(_lpips_term(p, q, head) for p, q, head in zip(a, b, heads, strict=True))
    assert _close(module.distances(x, y), wanted)
    assert _close(module(x, y), wanted.mean())
    assert _close(module(y, x), wanted.mean())
    assert module(x, x).item() == 0.0
    half = losses.LPIPS(network, heads, value_range=(0.0, 1.0))
    assert _close(half((x + 1) / 2, (y + 1) / 2), wanted.mean())
    by_hand = losses.lpips_distance(
        [torch.tensor([[[[3.0]], [[4.0]]]])], [torch.tensor([[[[1.0]], [[0.0]]]])], [torch.tensor([1.0, 2.0])]
    )
    assert abs(by_hand.item() - (0.4**2 + 2 * 0.8**2)) < 1e-6


CHECKS = [
    beta_sits_on_the_commitment_term,
    codebook_commitment_by_hand,
    residual_forms_are_those_of_the_equation,
    residual_gradient_takes_the_chosen_way,
    reconstruction_kinds_are_means,
    chroma_is_the_mean_square_of_cb_and_cr,
    chroma_by_hand,
    disentanglement_is_the_mean_squared_cosine,
    patch_alignment_is_one_minus_the_mean_cosine,
    pooled_alignment_compares_the_mean_feature,
    contrastive_is_info_nce,
    perceptual_sums_its_weighted_stages,
    the_perceptual_network_is_frozen,
    lpips_is_the_published_formula,
]

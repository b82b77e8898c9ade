"""Textures whose entropy is known in closed form, and short training runs on them."""

import math

import torch
from torch import Tensor, nn

from vistok import generators as g

SIDE, FLIP, CLASSES = 4, 0.25, 2
LENGTH = SIDE * SIDE


def follow_entropy(values: int) -> float:
    """Of a token given its neighbour: it follows with probability 1 - FLIP, else it is one of the other values."""
    return -(1 - FLIP) * math.log(1 - FLIP) - FLIP * math.log(FLIP / (values - 1))


def markov_texture(batch: int, rng: torch.Generator, values: int = 4) -> tuple[Tensor, Tensor]:
    """A comb of Markov chains: each token follows its left neighbour, the first of a row the one above.

    To follow is to be the neighbour's value plus the label. The first token is uniform, so every token is.
    Tokens (B, 16, 1) and labels (B,).
    """
    labels = torch.randint(CLASSES, (batch,), generator=rng)
    jump = torch.randint(1, values, (batch, SIDE, SIDE), generator=rng)
    jump *= torch.rand(batch, SIDE, SIDE, generator=rng) < FLIP
    jump += labels[:, None, None]
    jump[:, 0, 0] = torch.randint(values, (batch,), generator=rng)
    first = jump[:, :, 0].cumsum(1)
    rest = torch.cat([first[:, :, None], jump[:, :, 1:]], dim=2).cumsum(2)
    return (rest % values).flatten(1)[..., None], labels


def binary_texture(batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    return markov_texture(batch, rng, 2)


def markov_entropy(values: int = 4) -> float:
    """A token, of the whole texture."""
    return (math.log(values) + (LENGTH - 1) * follow_entropy(values)) / LENGTH


def two_streams(batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """The texture and beside it a second stream that follows the first; entropy a token is the mean of both."""
    tokens, labels = markov_texture(batch, rng)
    jump = torch.randint(1, 4, tokens.shape, generator=rng)
    jump *= torch.rand(tokens.shape, generator=rng) < FLIP
    return torch.cat([tokens, (tokens + jump) % 4], dim=-1), labels


def train(model: nn.Module, draw, steps: int, *, lr: float = 2e-3) -> None:
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr, betas=(0.9, 0.95), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(*draw(64, rng), generator=rng).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


@torch.no_grad()
def far_run(draw, streams: int, steps: int = 500) -> float:
    torch.manual_seed(0)
    options = g.FAROptions(head_depth=streams - 1)
    model = g.FAR((4,) * streams, SIDE, CLASSES, width=64, depth=2, num_heads=4, options=options)
    with torch.enable_grad():
        train(model, draw, steps)
    return model.loss(*draw(2000, torch.Generator().manual_seed(1))).item()


@torch.no_grad()
def masked_run(steps: int = 1000) -> float:
    """Mean over all numbers of hidden tokens: by the chain rule over random orders that is the entropy a token."""
    torch.manual_seed(0)
    options = g.MaskedAROptions(schedule="linear", label_smoothing=0.0)
    model = g.MaskedAR(g.IdTokens((2,)), (SIDE, SIDE), CLASSES, width=64, depth=3, num_heads=4, options=options)
    with torch.enable_grad():
        train(model, binary_texture, steps, lr=3e-3)
    rng = torch.Generator().manual_seed(1)
    tokens, labels = binary_texture(LENGTH * 500, rng)
    hidden = torch.arange(len(tokens)) % LENGTH + 1
    mask = torch.rand(len(tokens), LENGTH, generator=rng).argsort(-1).argsort(-1) < hidden[:, None]
    log_prob = model(tokens, mask[..., None], labels)[0].log_softmax(-1).gather(-1, tokens)[..., 0]
    return -((log_prob * mask).sum(-1) / hidden).mean().item()


def gaussian_covariance(correlation: float = 0.8) -> Tensor:
    """Unit variance on the 4x4 grid, correlation ``0.8 ** distance`` in the city-block metric."""
    place = torch.arange(SIDE, dtype=torch.float64)
    line = correlation ** (place[:, None] - place[None]).abs()
    return torch.kron(line, line)


def gaussian_texture(batch: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    factor = torch.linalg.cholesky(gaussian_covariance()).float()
    x = torch.randn(batch, LENGTH, generator=rng) @ factor.T
    return x.reshape(batch, 1, SIDE, SIDE), torch.zeros(batch, dtype=torch.int64)


def best_flow_loss(times: Tensor, cells: Tensor) -> float:
    """Least loss any network can have: the variance of noise - x given the noisy cells up to the own one.

    ``times``: (draws, cells); ``cells``: positions of each cell.
    """
    covariance, total = gaussian_covariance(), 0.0
    for t in times.double():
        for number in range(len(cells)):
            seen = cells[: number + 1].flatten()
            at = t[: number + 1].repeat_interleave(cells.shape[1])
            own = slice(-cells.shape[1], None)
            prior = covariance[seen][:, seen]
            noisy = (1 - at)[:, None] * prior * (1 - at)[None] + torch.diag(at**2)
            cross = torch.diag(at) - prior * (1 - at)[None]
            left = prior + torch.eye(len(seen), dtype=torch.float64) - cross @ torch.linalg.solve(noisy, cross.T)
            total += left.diagonal()[own].mean().item()
    return total / (len(times) * len(cells))


def xar_run(steps: int = 1200) -> tuple[float, float]:
    """Loss of a trained network and the least possible one, at the same drawn times."""
    torch.manual_seed(0)
    model = g.XAR(1, SIDE, 2, 1, width=64, depth=4, num_heads=4, options=g.XAROptions(label_drop_prob=0.0))
    train(model, gaussian_texture, steps)
    latents, labels = gaussian_texture(4000, torch.Generator().manual_seed(1))
    with torch.no_grad():
        loss = model.loss(latents, labels, generator=torch.Generator().manual_seed(2)).item()
    times = torch.randn(4000, 4, generator=torch.Generator().manual_seed(2)).sigmoid()
    cells = g.cell_permutation((SIDE, SIDE), (2, 2)).reshape(4, 4)
    return loss, best_flow_loss(times[:1000], cells)

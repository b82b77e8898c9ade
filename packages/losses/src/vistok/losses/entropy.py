"""Entropy terms of a codebook of vectors: each token sure of its code, all codes in use."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_channel_dim, check_features, check_non_negative, check_positive
from vistok.losses._distributed import sum_across_ranks
from vistok.losses._precision import autocast_off, widen
from vistok.losses._token_blocks import as_tokens, sum_over_blocks

# Assignment probabilities held at a time; a few temporaries of this size are the whole cost in memory.
_BLOCK_ELEMENTS = 1 << 21


class EntropyTerms(NamedTuple):
    """Both entropies in nats, scalars on the graph.

    Attributes:
        sample: Mean entropy of a token's own distribution over codes: low when each token is sure.
        codebook: Entropy of the mean distribution: high when all codes are in use.
    """

    sample: Tensor
    codebook: Tensor


def plogp(probability: Tensor) -> Tensor:
    """Return ``p log p`` with value 0 and a finite gradient at 0."""
    return probability * probability.clamp_min(torch.finfo(probability.dtype).tiny).log()


def check_entropy_options(temperature: float, codebook_weight: float) -> None:
    """Raise unless the temperature is positive and the weight of the codebook term is not negative."""
    check_positive("temperature", temperature)
    check_non_negative("codebook_weight", codebook_weight)


def vector_entropy_terms(
    z: Tensor, codebook: Tensor, *, temperature: float = 0.01, channel_dim: int = 1, across_ranks: bool = False
) -> EntropyTerms:
    """Both terms of :class:`VectorEntropyLoss`; same contract."""
    check_positive("temperature", temperature)
    check_features("z", z, min_dims=2)
    check_features("codebook", codebook, min_dims=2)
    check_channel_dim(z, channel_dim)
    if codebook.ndim != 2 or codebook.shape[1] != z.shape[channel_dim]:
        raise ValueError(
            f"codebook must have shape (K, {z.shape[channel_dim]}) for the channels of z, got {tuple(codebook.shape)}"
        )
    with autocast_off(z):
        dtype = torch.promote_types(widen(z).dtype, widen(codebook).dtype)
        tokens, codes = as_tokens(z.to(dtype), channel_dim), codebook.to(dtype)

        def block_sums(rows: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
            # |z|^2 is the same for all codes of a row: the softmax does not see it.
            affinity = (2.0 * rows @ codes.T - codes.square().sum(dim=1)) / temperature
            log_p = affinity.log_softmax(dim=1)
            p = log_p.exp()
            return -(p * log_p).sum(), p.sum(dim=0)

        block_size = max(1, _BLOCK_ELEMENTS // codes.shape[0])
        sample, usage = sum_over_blocks(block_sums, tokens, codes, block_size=block_size)
        if across_ranks:
            usage = sum_across_ranks(usage)
        return EntropyTerms(sample / tokens.shape[0], -plogp(usage / usage.sum().detach()).sum())


def vector_entropy_loss(
    z: Tensor,
    codebook: Tensor,
    *,
    temperature: float = 0.01,
    codebook_weight: float = 1.0,
    channel_dim: int = 1,
    across_ranks: bool = False,
) -> Tensor:
    """Functional form of :class:`VectorEntropyLoss`; same contract."""
    check_entropy_options(temperature, codebook_weight)
    terms = vector_entropy_terms(
        z, codebook, temperature=temperature, channel_dim=channel_dim, across_ranks=across_ranks
    )
    return terms.sample - codebook_weight * terms.codebook


class VectorEntropyLoss(nn.Module):
    r"""Each token close to one code, all codes used equally.

    .. math::
        p(k \mid z) = \mathrm{softmax}_k\big( -\lVert z - c_k \rVert^2 / \tau \big), \qquad
        L = \mathbb E_z[H(p(\cdot \mid z))] - \gamma \, H(\mathbb E_z[p(\cdot \mid z)])

    Source:
        Chang et al. 2022 (MaskGIT), arXiv:2202.04200, its public quantizer; Yu et al. 2023 (MAGVIT-v2),
        arXiv:2310.05737, Eq. 7 and 8 for the two terms. Entropies are in nats.

    Args:
        temperature: ``tau``, finite and ``> 0``. Small values see only the nearest codes.
        codebook_weight: ``gamma``, finite and ``>= 0``.
        channel_dim: The dimension of ``z`` that holds a vector; never the batch dimension ``0``.
        across_ranks: Average the code distribution over all ranks before its entropy.

    Shape:
        - z: ``(B, C, *spatial)`` with ``channel_dim=1`` or ``(B, N, C)`` with ``channel_dim=-1``.
        - codebook: ``(K, C)``; both normalised by the caller if the quantizer compares directions.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[-gamma log K, log K]``; with ``gamma = 1`` at most ``0``, up to rounding.

    Gradient:
        Flows to ``z`` and ``codebook``. Finite also where a probability underflows to zero. Tokens times codes is
        never held: blocks of tokens are computed again in backward.

    Raises:
        ValueError: ``temperature <= 0``, ``codebook_weight < 0``, widths differ, the input is empty, or
            ``channel_dim`` is no dimension after the batch.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        Without ``across_ranks`` no collectives. With it one all-reduce of ``(K,)`` each way; ranks with the same
        number of tokens then get, after DDP's average, the gradient of one rank with the joint batch.

    Example:
        >>> import torch
        >>> codebook = torch.eye(4)
        >>> loss = VectorEntropyLoss(temperature=0.01)(torch.eye(4), codebook)
        >>> round(loss.item(), 4), round(-torch.tensor(4.0).log().item(), 4)
        (-1.3863, -1.3863)
    """

    def __init__(
        self,
        *,
        temperature: float = 0.01,
        codebook_weight: float = 1.0,
        channel_dim: int = 1,
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        check_entropy_options(temperature, codebook_weight)
        self.temperature, self.codebook_weight = temperature, codebook_weight
        self.channel_dim, self.across_ranks = channel_dim, across_ranks

    def forward(self, z: Tensor, codebook: Tensor) -> Tensor:
        """Return the sample entropy minus ``codebook_weight`` times the codebook entropy."""
        return vector_entropy_loss(
            z,
            codebook,
            temperature=self.temperature,
            codebook_weight=self.codebook_weight,
            channel_dim=self.channel_dim,
            across_ranks=self.across_ranks,
        )

"""Entropy terms of free bits, exact for all 2^L codes at the cost of one matrix product."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_channel_dim, check_features
from vistok.losses._distributed import sum_across_ranks
from vistok.losses._precision import autocast_off, unit_directions, widen
from vistok.losses._token_blocks import as_tokens, sum_over_blocks
from vistok.losses.entropy import EntropyTerms, check_entropy_options, plogp

_MOST_JOINT_BITS = 24
_BLOCK_ELEMENTS = 1 << 18
# Beyond it a bit is sure, its entropy and gradient 0 in float64, too; sums of larger ones overflow.
_SUREST_LOGIT = 1e4


def _groups(num_bits: int, group_bits: int | None) -> list[int]:
    size = num_bits if group_bits is None else group_bits
    if not 1 <= size <= _MOST_JOINT_BITS:
        raise ValueError(f"group_bits must be from 1 to {_MOST_JOINT_BITS}, got {size} for {num_bits} bits")
    return [min(size, num_bits - start) for start in range(0, num_bits, size)]


def _half_distribution(logits: Tensor) -> Tensor:
    """Return the distribution ``(tokens, 2^l)`` of ``l`` independent bits, as one softmax over sign patterns."""
    num_bits = logits.shape[1]
    codes = torch.arange(2**num_bits, device=logits.device)
    bits = torch.arange(num_bits, device=logits.device)
    signs = ((codes >> bits[:, None]) & 1).to(logits.dtype) - 0.5
    return (logits @ signs).softmax(dim=1)


def _binary_entropy(logits: Tensor) -> Tensor:
    # Even in the logit; on the negative side both terms are positive, so nothing cancels.
    distance = logits.abs()
    return F.softplus(-distance) + distance * torch.sigmoid(-distance)


def _entropy_of_means(tokens: Tensor, across_ranks: bool) -> Tensor:
    """Sum over bits of the entropy of each one's mean probability: all groups of one bit at once."""
    ones = torch.stack([torch.sigmoid(-tokens), torch.sigmoid(tokens)]).sum(dim=1)
    if across_ranks:
        ones = sum_across_ranks(ones)
    return -plogp(ones / ones.sum(dim=0).detach()).sum()


def bit_entropy_terms(
    logits: Tensor, *, group_bits: int | None = None, channel_dim: int = 1, across_ranks: bool = False
) -> EntropyTerms:
    """Both entropies of independent bits with probabilities ``sigmoid(logits)``.

    A token's distribution over all codes is the outer product of the distributions of its first and second half, so
    the mean over tokens is one matrix product. The terms are those of :class:`LookupFreeEntropyLoss`.
    """
    check_features("logits", logits, min_dims=2)
    check_channel_dim(logits, channel_dim)
    with autocast_off(logits):
        tokens = as_tokens(widen(logits).clamp(-_SUREST_LOGIT, _SUREST_LOGIT), channel_dim)
        sample = _binary_entropy(tokens).sum() / tokens.shape[0]
        if group_bits == 1:
            return EntropyTerms(sample, _entropy_of_means(tokens, across_ranks))
        codebook = torch.zeros_like(sample)
        for group in tokens.split(_groups(tokens.shape[1], group_bits), dim=1):
            left = group.shape[1] // 2

            def joint_sums(rows: Tensor, left: int = left) -> Tensor:
                return _half_distribution(rows[:, :left]).T @ _half_distribution(rows[:, left:])

            block_size = max(1, _BLOCK_ELEMENTS >> (group.shape[1] - left))
            (joint,) = sum_over_blocks(joint_sums, group, block_size=block_size)
            if across_ranks:
                joint = sum_across_ranks(joint)
            codebook = codebook - plogp(joint / joint.sum().detach()).sum()
        return EntropyTerms(sample, codebook)


def lookup_free_entropy_loss(
    u: Tensor,
    *,
    temperature: float = 0.01,
    codebook_weight: float = 1.0,
    group_bits: int | None = None,
    channel_dim: int = 1,
    across_ranks: bool = False,
) -> Tensor:
    """Functional form of :class:`LookupFreeEntropyLoss`; same contract."""
    check_entropy_options(temperature, codebook_weight)
    check_features("u", u, min_dims=2)
    terms = bit_entropy_terms(
        widen(u) * (4.0 / temperature), group_bits=group_bits, channel_dim=channel_dim, across_ranks=across_ranks
    )
    return terms.sample - codebook_weight * terms.codebook


def binary_spherical_entropy_loss(
    v: Tensor,
    *,
    temperature: float = 0.01,
    codebook_weight: float = 1.0,
    group_bits: int | None = None,
    channel_dim: int = 1,
    across_ranks: bool = False,
) -> Tensor:
    """Functional form of :class:`BinarySphericalEntropyLoss`; same contract."""
    check_entropy_options(temperature, codebook_weight)
    check_features("v", v, min_dims=2)
    check_channel_dim(v, channel_dim)
    with autocast_off(v):
        scale = 4.0 / (temperature * v.shape[channel_dim] ** 0.5)
        logits = unit_directions(widen(v), dim=channel_dim) * scale
    terms = bit_entropy_terms(logits, group_bits=group_bits, channel_dim=channel_dim, across_ranks=across_ranks)
    return terms.sample - codebook_weight * terms.codebook


class LookupFreeEntropyLoss(nn.Module):
    r"""Each bit sure of its sign, all ``2^L`` codes in use.

    .. math::
        p(c \mid u) = \mathrm{softmax}_c(2\, u \cdot c / \tau) = \prod_k \sigma(4\, u_k c_k / \tau)
        \ \text{for } c \in \{-1, 1\}^L, \qquad
        L = \mathbb E_u[H(p(\cdot \mid u))] - \gamma \, H(\mathbb E_u[p(\cdot \mid u)])

    Source:
        Yu et al. 2023 (MAGVIT-v2), arXiv:2310.05737, Eqs. 7 and 8. Entropies are in nats.

    Args:
        temperature: ``tau``, finite and ``> 0``.
        codebook_weight: ``gamma``, finite and ``>= 0``.
        group_bits: Bits whose joint codes are counted together; the codebook entropy is the sum over groups, an upper
            bound of the joint one. All bits by default (at most 24); ``1`` gives the entropy of each bit on its own.
        channel_dim: The dimension of ``u`` that holds the bits; never the batch dimension ``0``.
        across_ranks: Average the code distribution over all ranks before its entropy.

    Shape:
        - u: ``(B, L, *spatial)`` with ``channel_dim=1`` or ``(B, N, L)`` with ``channel_dim=-1``, before the sign.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[-gamma L log 2, L log 2]``; with ``gamma = 1`` at most ``0``, up to rounding.

    Gradient:
        Flows to ``u``; finite for every finite ``u``. Memory is that of ``2^(L / 2)`` columns a token, in blocks, not
        ``2^L``.

    Raises:
        ValueError: ``temperature <= 0``, ``codebook_weight < 0``, a group outside 1 to 24 bits, the input is empty,
            or ``channel_dim`` is no dimension after the batch.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        Without ``across_ranks`` no collectives. With it one all-reduce of ``2^group_bits`` numbers a group each way;
        ranks with the same number of tokens then get, after DDP's average, the gradient of one rank with the joint
        batch.

    Example:
        >>> import torch
        >>> u = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(LookupFreeEntropyLoss()(u).item(), 4)
        -1.3863
    """

    def __init__(
        self,
        *,
        temperature: float = 0.01,
        codebook_weight: float = 1.0,
        group_bits: int | None = None,
        channel_dim: int = 1,
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        check_entropy_options(temperature, codebook_weight)
        if group_bits is not None:
            _groups(group_bits, group_bits)
        self.temperature, self.codebook_weight, self.group_bits = temperature, codebook_weight, group_bits
        self.channel_dim, self.across_ranks = channel_dim, across_ranks

    def forward(self, u: Tensor) -> Tensor:
        """Return the sample entropy minus ``codebook_weight`` times the codebook entropy."""
        return lookup_free_entropy_loss(
            u,
            temperature=self.temperature,
            codebook_weight=self.codebook_weight,
            group_bits=self.group_bits,
            channel_dim=self.channel_dim,
            across_ranks=self.across_ranks,
        )


class BinarySphericalEntropyLoss(nn.Module):
    r"""The lookup-free entropy terms for codes on the unit sphere.

    .. math::
        u = v / \lVert v \rVert, \quad c \in \{-1/\sqrt L, 1/\sqrt L\}^L, \quad
        p(c \mid u) = \mathrm{softmax}_c(2\, u \cdot c / \tau), \quad
        L = \mathbb E_u[H(p(\cdot \mid u))] - \gamma \, H(\mathbb E_u[p(\cdot \mid u)])

    Source:
        Zhao et al. 2024, arXiv:2406.07548, Section 3.2. The paper writes an inverse temperature: ``tau`` here is one
        over it. With ``tau = 1`` the bits stay nearly fair and the terms hardly teach.

    Args:
        temperature: ``tau``, finite and ``> 0``.
        codebook_weight: ``gamma``, finite and ``>= 0``.
        group_bits: As in :class:`LookupFreeEntropyLoss`.
        channel_dim: The dimension of ``v`` that holds the bits; never the batch dimension ``0``.
        across_ranks: Average the code distribution over all ranks before its entropy.

    Shape:
        - v: ``(B, L, *spatial)`` with ``channel_dim=1`` or ``(B, N, L)`` with ``channel_dim=-1``, of any norm.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[-gamma L log 2, L log 2]``; with ``gamma = 1`` at most ``0``, up to rounding. Does not change with the norm
        of a token.

    Gradient:
        Orthogonal to each token, ``0`` for a zero token, finite for every finite ``v``.

    Raises:
        ValueError: As :class:`LookupFreeEntropyLoss`.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        As :class:`LookupFreeEntropyLoss`.

    Example:
        >>> import torch
        >>> v = torch.tensor([[3.0, 3.0], [1.0, -1.0], [-2.0, 2.0], [-1.0, -1.0]])
        >>> round(BinarySphericalEntropyLoss()(v).item(), 4)
        -1.3863
    """

    def __init__(
        self,
        *,
        temperature: float = 0.01,
        codebook_weight: float = 1.0,
        group_bits: int | None = None,
        channel_dim: int = 1,
        across_ranks: bool = False,
    ) -> None:
        super().__init__()
        check_entropy_options(temperature, codebook_weight)
        if group_bits is not None:
            _groups(group_bits, group_bits)
        self.temperature, self.codebook_weight, self.group_bits = temperature, codebook_weight, group_bits
        self.channel_dim, self.across_ranks = channel_dim, across_ranks

    def forward(self, v: Tensor) -> Tensor:
        """Return the sample entropy minus ``codebook_weight`` times the codebook entropy."""
        return binary_spherical_entropy_loss(
            v,
            temperature=self.temperature,
            codebook_weight=self.codebook_weight,
            group_bits=self.group_bits,
            channel_dim=self.channel_dim,
            across_ranks=self.across_ranks,
        )

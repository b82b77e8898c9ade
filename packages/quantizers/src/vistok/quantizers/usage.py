"""How much of a codebook is used, counted exactly over a stream."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from vistok.quantizers._collectives import sum_over_ranks
from vistok.quantizers._rows import check_indices, check_sizes, grouped

_MOST_COUNTS = 2**32  # 32 GiB


class UsageReport(NamedTuple):
    """Numbers of one stream; every field has one value a codebook.

    Attributes:
        usage: Share of the codes that occurred, ``(num_codebooks,)`` float64.
        perplexity: Exponential of the entropy of the empirical distribution, ``(num_codebooks,)`` float64.
        bit_balance: Share of ones of each bit of the index, lowest bit first, ``(num_codebooks, bits)`` float64;
            no bits when the size is not a power of two.
        counts: Occurrences of each code, ``(num_codebooks, codebook_size)`` int64.
    """

    usage: Tensor
    perplexity: Tensor
    bit_balance: Tensor
    counts: Tensor


class CodebookUsage(nn.Module):
    r"""Count codes over any number of batches; report usage, perplexity and the balance of bits.

    .. math::
        \mathrm{usage} = \frac{|\{k : n_k > 0\}|}{K}, \qquad
        \mathrm{perplexity} = \exp\Big(-\sum_k \tfrac{n_k}{n} \log \tfrac{n_k}{n}\Big), \qquad
        \mathrm{balance}_b = \sum_k \tfrac{n_k}{n}\, \mathrm{bit}_b(k)

    Exact: one integer a code, no window, any batch size. Reset it before a run over a fixed set, and say
    which set, when you publish the number.

    Source:
        Perplexity of a codebook: van den Oord et al. 2017, arXiv:1711.00937. Bits: index ``= sum_b bit_b 2^b``.

    Args:
        codebook_size: Number of codes ``K`` of each codebook.
        num_codebooks: Indices a token, counted apart. With more than 1 they are the last dimension of ``indices``.

    Shape:
        - indices: any integer shape; ``(*, num_codebooks)`` with more than one codebook.
        - report: see :class:`UsageReport`.

    Range:
        ``usage`` and ``bit_balance`` in ``[0, 1]``, ``perplexity`` in ``[1, K]``; all 0 before the first index.

    Gradient:
        None.

    Raises:
        TypeError: ``indices`` is not a dense integer tensor.
        ValueError: sizes below 1, or more than ``2^32`` counts (at construction); the last dimension is not
            ``num_codebooks``, or an index is outside ``0 .. K - 1`` (at call; on CUDA an assertion on the device, so
            that nothing waits).

    Distributed:
        ``report`` sums over ranks: every rank must call it. ``forward`` and ``reset`` are local. Keep it out of a
        module that DDP wraps, or wrap with ``broadcast_buffers=False``: else DDP overwrites every rank's counts with
        those of rank 0 at each of its forward passes.

    Example:
        >>> import torch
        >>> usage = CodebookUsage(4)
        >>> usage(torch.tensor([[0, 0], [1, 1]]))
        >>> report = usage.report()
        >>> report.usage.item(), round(report.perplexity.item(), 6), report.bit_balance.tolist()
        (0.5, 2.0, [[0.5, 0.0]])
    """

    counts: Tensor

    def __init__(self, codebook_size: int, num_codebooks: int = 1) -> None:
        super().__init__()
        check_sizes("CodebookUsage", {"codebook_size": codebook_size, "num_codebooks": num_codebooks})
        if codebook_size * num_codebooks > _MOST_COUNTS:
            raise ValueError(
                f"CodebookUsage: codebook_size * num_codebooks must be at most 2^32 (count bits in groups), "
                f"got {codebook_size} * {num_codebooks}"
            )
        self.codebook_size, self.num_codebooks = codebook_size, num_codebooks
        self.register_buffer("counts", torch.zeros(num_codebooks, codebook_size, dtype=torch.int64))

    @torch.no_grad()
    def forward(self, indices: Tensor) -> None:
        """Count ``indices``."""
        check_indices(indices, "CodebookUsage", self.codebook_size, grouped(self.num_codebooks))
        columns = indices.long().reshape(-1, self.num_codebooks)
        for counts, column in zip(self.counts, columns.unbind(1), strict=True):
            counts.index_add_(0, column, torch.ones_like(column))

    def reset(self) -> None:
        """Forget everything counted so far."""
        self.counts.zero_()

    @torch.no_grad()
    def report(self) -> UsageReport:
        """Return the numbers over everything counted on all ranks since the last :meth:`reset`."""
        counts = sum_over_ranks(self.counts)
        counts = counts.cpu() if counts.device.type == "mps" else counts  # which has no float64
        n = counts.sum(1, keepdim=True)
        p = counts.double() / n.clamp_min(1)
        perplexity = torch.special.entr(p).sum(1).exp() * (n.squeeze(1) > 0)
        bits = int(math.log2(self.codebook_size)) if self.codebook_size.bit_count() == 1 else 0
        codes = torch.arange(self.codebook_size, device=counts.device)
        balance = [(p * (codes >> bit & 1)).sum(1) for bit in range(bits)]
        return UsageReport(
            usage=(counts > 0).double().mean(1),
            perplexity=perplexity,
            bit_balance=torch.stack(balance, 1) if balance else p.new_zeros(self.num_codebooks, 0),
            counts=counts.clone(),
        )

"""Finite scalar quantization, by vector-quantize-pytorch."""

import math
from collections.abc import Iterable, Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

from vistok.quantizers._precision import autocast_off
from vistok.quantizers._rows import channels_back, channels_last, check_features, check_indices
from vistok.quantizers._tokens import quantize_tokens
from vistok.quantizers.quantized import Quantized


class FiniteScalarQuantizer(nn.Module):
    r"""Round each bounded channel to one of a few levels.

    .. math::
        \hat u_c = \frac{\mathrm{round}(b_c(z_c))}{\lfloor l_c / 2 \rfloor}, \qquad
        b_c(x) = \tfrac{(l_c - 1)(1 + \epsilon)}{2} \tanh(x + s_c) - o_c, \qquad
        i = \sum_c \big(\hat u_c + 1\big) \lfloor l_c / 2 \rfloor \prod_{c' < c} l_{c'}

    with offset ``o_c`` one half for an even number of levels, else 0, and ``tanh(s_c)`` making ``b_c(0) = 0``.
    Bounding and rounding are ``FSQ`` of vector-quantize-pytorch; the indices are computed in integers.

    Source:
        Mentzer et al. 2023, arXiv:2309.15505, Sec. 3.

    Args:
        levels: Levels ``l_c >= 3`` of each channel, integers of Python or numpy; their product is the codebook size, at
            most ``2^62``.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.

    Shape:
        - z: ``len(levels)`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64.

    Range:
        Codes in ``[-1, 1]``; indices in ``0 .. codebook_size - 1``. A token with a value that is not finite gets
        index 0 and NaN in ``quantized``.

    Gradient:
        ``quantized``: to ``z`` through ``b_c`` with the rounding passed straight through. ``codes``: none.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: levels that are no whole numbers or below 3, none, or too many codes (at construction); wrong
            channels or indices out of range (at call).

    Distributed:
        No collectives and no learned state.

    Example:
        >>> import torch
        >>> quantizer = FiniteScalarQuantizer([5, 3])
        >>> quantized, codes, indices = quantizer(torch.tensor([[0.0, 9.0]]))
        >>> codes.tolist(), indices.tolist()
        ([[0.0, 1.0]], [12])
    """

    half_levels: Tensor
    basis: Tensor

    def __init__(self, levels: Sequence[int], *, channel_dim: int = 1) -> None:
        from vector_quantize_pytorch import FSQ  # here: its import doubles the time to import this package

        super().__init__()
        self.levels, self.channel_dim = _whole_levels(levels), channel_dim
        self.wrapped = FSQ(list(self.levels), return_indices=False)
        basis = [math.prod(self.levels[:c]) for c in range(len(self.levels))]
        self.register_buffer("half_levels", torch.tensor([level // 2 for level in self.levels]), persistent=False)
        self.register_buffer("basis", torch.tensor(basis, dtype=torch.int64), persistent=False)

    @property
    def codebook_size(self) -> int:
        """Product of the levels."""
        return math.prod(self.levels)

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return the bounded features before rounding, scaled as the codes are, in the layout and dtype of ``z``."""
        check_features(z, self.channel_dim, len(self.levels), "FiniteScalarQuantizer")
        with autocast_off(z):
            x = channels_last(z, self.channel_dim).float()
            levels = x.new_tensor(self.levels)
            reach = (levels - 1) * 1.001 / 2
            offset = (levels % 2 == 0) * 0.5
            bounded = torch.tanh(x + torch.atanh(offset / reach)) * reach - offset
            return channels_back(bounded / self.half_levels, self.channel_dim).to(z.dtype)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, len(self.levels), "FiniteScalarQuantizer")
        return quantize_tokens(
            z,
            self.channel_dim,
            scale=Tensor.float,
            assign=lambda rows: self._count(self.wrapped.quantize(rows)),
            lookup=self._lookup,
            estimate=lambda features, codes: codes.detach() + _no_value(self.wrapped.quantize(features)),
        )[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the float32 codes of ``indices``, channels at ``channel_dim``."""
        check_indices(indices, "FiniteScalarQuantizer", self.codebook_size, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices.long()), self.channel_dim)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the index nearest to each of ``codes`` (not features): the inverse of :meth:`indices_to_codes`."""
        check_features(codes, self.channel_dim, len(self.levels), "FiniteScalarQuantizer")
        return self._count(channels_last(codes.detach(), self.channel_dim).float())

    def _count(self, codes: Tensor) -> Tensor:
        digits = (codes * self.half_levels).round().long() + self.half_levels
        most = torch.tensor(self.levels, device=codes.device) - 1
        return (digits.clamp_min(0).minimum(most) * self.basis).sum(-1)

    def _lookup(self, indices: Tensor) -> Tensor:
        levels = torch.tensor(self.levels, device=indices.device)
        digits = indices.unsqueeze(-1) // self.basis % levels
        return (digits - self.half_levels).float() / self.half_levels


def _whole_levels(levels: object) -> tuple[int, ...]:
    """Return ``levels`` as Python's integers, whose product does not wrap."""
    given = list(levels) if isinstance(levels, Iterable) else levels
    if isinstance(given, list) and given and all(isinstance(level, Integral) and int(level) >= 3 for level in given):
        whole = tuple(int(level) for level in given)
        if math.prod(whole) <= 2**62:
            return whole
    raise ValueError(
        f"FiniteScalarQuantizer: levels must be at least 3 and whole, with a product up to 2^62, got {given}"
    )


def _no_value(x: Tensor) -> Tensor:
    return x - x.detach()

"""Binary codes without a sphere, by vector-quantize-pytorch."""

import torch
from torch import Tensor, nn

from vistok.quantizers._bits import check_groups
from vistok.quantizers._rows import channels_back, check_features, check_indices, grouped
from vistok.quantizers._tokens import quantize_tokens
from vistok.quantizers.quantized import Quantized


class LookupFreeQuantizer(nn.Module):
    r"""Round each channel to -1 or 1.

    .. math::
        \hat u = \mathrm{sign}(z), \qquad \mathrm{quantized} = z + \mathrm{sg}[\hat u - z]

    The lookup is ``LFQ`` of vector-quantize-pytorch, kept in evaluation so that it never builds its
    tokens-by-codes entropy; ``sign(0)`` counts as -1. Its indices have the *highest* bit in the first channel (of a
    group), or with ``lowest_bit_first`` the lowest, as MaskBit's code has it.

    Source:
        Yu et al. 2023, arXiv:2310.05737, Sec. 3.1.

    Args:
        bits: Bits of a token, which is also the number of channels.
        num_groups: Indices a token; divides ``bits``, and a group has at most 18 bits.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.
        lowest_bit_first: Which bit of an index the first channel is.

    Shape:
        - z: ``bits`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64; with ``num_groups > 1`` groups are the last dimension.

    Range:
        Codes are -1 or 1; indices in ``0 .. 2^(bits / num_groups) - 1``. A token with a value that is not finite
        gets index 0 and NaN in ``quantized``.

    Gradient:
        ``quantized``: identity to ``z``. ``codes``: none.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: ``bits`` or ``num_groups`` do not fit (at construction); wrong channels or indices out of range
            (at call).

    Distributed:
        No collectives and no state.

    Example:
        >>> import torch
        >>> quantized, codes, indices = LookupFreeQuantizer(3)(torch.tensor([[0.2, -1.5, 4.0]]))
        >>> codes.tolist(), indices.tolist()
        ([[1.0, -1.0, 1.0]], [5])
    """

    def __init__(self, bits: int, *, num_groups: int = 1, channel_dim: int = 1, lowest_bit_first: bool = False) -> None:
        from vector_quantize_pytorch import LFQ  # here: its import doubles the time to import this package

        super().__init__()
        check_groups("LookupFreeQuantizer", bits, num_groups, most=18)
        self.bits, self.num_groups, self.channel_dim = bits, num_groups, channel_dim
        self.lowest_bit_first = lowest_bit_first
        self.wrapped = LFQ(codebook_size=2 ** (bits // num_groups), num_codebooks=num_groups, channel_first=False)
        self.wrapped.eval()

    def train(self, mode: bool = True) -> "LookupFreeQuantizer":
        """Set the mode of this module; the wrapped one stays in evaluation."""
        super().train(mode)
        self.wrapped.eval()
        return self

    @property
    def codebook_size(self) -> int:
        """Codes of one group: ``2^(bits / num_groups)``."""
        return int(2 ** (self.bits // self.num_groups))

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``z``: codes are compared with the features themselves."""
        check_features(z, self.channel_dim, self.bits, "LookupFreeQuantizer")
        return z

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, self.bits, "LookupFreeQuantizer")
        return quantize_tokens(z, self.channel_dim, scale=Tensor.float, assign=self._assign, lookup=self._lookup)[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the float32 codes of ``indices``, channels at ``channel_dim``."""
        per_token = grouped(self.num_groups)
        check_indices(indices, "LookupFreeQuantizer", self.codebook_size, per_token, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices), self.channel_dim)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the indices of ``codes``: the inverse of :meth:`indices_to_codes`."""
        result: Quantized = self(codes.detach())
        return result.indices

    def _assign(self, rows: Tensor) -> Tensor:
        indices: Tensor = self.wrapped(self._highest_first(rows).unsqueeze(0)).indices
        return indices.squeeze(0).long()

    def _lookup(self, indices: Tensor) -> Tensor:
        lead = indices.shape[:-1] if self.num_groups > 1 else indices.shape
        flat = indices.reshape(1, -1, self.num_groups) if self.num_groups > 1 else indices.reshape(1, -1)
        codes: Tensor = self.wrapped.indices_to_codes(flat)
        return self._highest_first(codes.detach().reshape(*lead, self.bits).to(torch.float32))

    def _highest_first(self, rows: Tensor) -> Tensor:
        """From our order of the bits in a group to that of the wrapped module, or back."""
        if not self.lowest_bit_first:
            return rows
        turned: Tensor = rows.unflatten(-1, (self.num_groups, -1)).flip(-1).flatten(-2)
        return turned

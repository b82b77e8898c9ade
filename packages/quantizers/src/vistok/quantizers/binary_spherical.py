"""Binary codes on the unit sphere."""

import math

from torch import Tensor, nn

from vistok.quantizers._bits import bits_to_indices, check_groups, indices_to_bits
from vistok.quantizers._precision import autocast_off, unit
from vistok.quantizers._rows import channels_back, channels_last, check_features, check_indices, grouped
from vistok.quantizers._tokens import quantize_tokens
from vistok.quantizers.quantized import Quantized


class BinarySphericalQuantizer(nn.Module):
    r"""Round a direction to the nearest corner of the cube inside the unit sphere.

    .. math::
        u = \frac{z}{\lVert z \rVert}, \qquad \hat u = \frac{\mathrm{sign}(u)}{\sqrt L}, \qquad
        \mathrm{quantized} = u + \mathrm{sg}[\hat u - u], \qquad i = \sum_b [u_b > 0]\, 2^b

    There are ``2^L`` codes and no codebook to learn or to search. ``sign(0)`` counts as -1, and a vector shorter than
    1e-8 as zero. With ``num_groups > 1`` the bits are split into equal groups, lowest bits first, and a token has one
    index a group.

    Source:
        Zhao et al. 2024, arXiv:2406.07548, Sec. 3. Their code scales the straight-through gradient by
        ``1/sqrt(L)``; here it is the identity to ``u``.

    Args:
        bits: Bits ``L`` of a token, which is also the number of channels.
        num_groups: Indices a token; divides ``bits``, and a group has at most 62 bits.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.

    Shape:
        - z: ``bits`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64; with ``num_groups > 1`` groups are the last dimension.

    Range:
        Codes are ``+-1/sqrt(L)`` and have length 1; indices in ``0 .. 2^(L / num_groups) - 1``. A token with a value
        that is not finite gets index 0 and NaN in ``quantized``.

    Gradient:
        ``quantized``: identity to ``u``, none to a zero ``z``. ``codes``: none.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: ``bits`` or ``num_groups`` do not fit (at construction); wrong channels or indices out of range
            (at call).

    Distributed:
        No collectives and no state.

    Example:
        >>> import torch
        >>> quantized, codes, indices = BinarySphericalQuantizer(4)(torch.tensor([[3.0, -1.0, 0.5, 2.0]]))
        >>> codes.tolist(), indices.tolist()
        ([[0.5, -0.5, 0.5, 0.5]], [13])
    """

    def __init__(self, bits: int, *, num_groups: int = 1, channel_dim: int = 1) -> None:
        super().__init__()
        check_groups("BinarySphericalQuantizer", bits, num_groups, most=62)
        self.bits, self.num_groups, self.channel_dim = bits, num_groups, channel_dim

    @property
    def codebook_size(self) -> int:
        """Codes of one group: ``2^(bits / num_groups)``."""
        return int(2 ** (self.bits // self.num_groups))

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``u``, the direction of ``z``, in its layout and dtype."""
        check_features(z, self.channel_dim, self.bits, "BinarySphericalQuantizer")
        with autocast_off(z):
            return channels_back(_direction(channels_last(z, self.channel_dim)), self.channel_dim).to(z.dtype)

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, self.bits, "BinarySphericalQuantizer")
        return quantize_tokens(z, self.channel_dim, scale=_direction, assign=self._assign, lookup=self._lookup)[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the float32 codes of ``indices``, channels at ``channel_dim``."""
        per_token = grouped(self.num_groups)
        check_indices(indices, "BinarySphericalQuantizer", self.codebook_size, per_token, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices), self.channel_dim)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the indices of ``codes``: the inverse of :meth:`indices_to_codes`."""
        result: Quantized = self(codes.detach())
        return result.indices

    def _assign(self, rows: Tensor) -> Tensor:
        return bits_to_indices(rows > 0, self.num_groups)

    def _lookup(self, indices: Tensor) -> Tensor:
        signs: Tensor = indices_to_bits(indices, self.bits, self.num_groups).float() * 2 - 1
        return signs / math.sqrt(self.bits)


def _direction(x: Tensor) -> Tensor:
    return unit(x.float())

"""A frozen codebook seen through a learned linear map."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.quantizers._precision import autocast_off
from vistok.quantizers._rows import (
    channels_back,
    channels_last,
    check_features,
    check_indices,
    check_sizes,
    check_token_block,
)
from vistok.quantizers._tokens import quantize_tokens
from vistok.quantizers.nearest import nearest_codes
from vistok.quantizers.quantized import Quantized


class ProjectedVectorQuantizer(nn.Module):
    r"""Quantize to a fixed random codebook under a learned linear map (SimVQ).

    .. math::
        i = \arg\min_k \lVert z - W c_k \rVert, \qquad \mathrm{codes} = W c_i, \qquad
        \mathrm{quantized} = z + \mathrm{sg}[W c_i - z]

    A gradient at any chosen code moves ``W`` and with it all codes, so none can be left behind.

    Source:
        Zhu et al. 2024, arXiv:2411.02038.

    Args:
        codebook_size: Number of codes ``K``.
        code_dim: Channels ``d`` of a code.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.
        generator: Draws the frozen codebook, normal with standard deviation ``1 / sqrt(d)``; the global generator if
            ``None``. ``W`` starts as the identity.
        token_block: Tokens searched at a time; bounds the memory and changes no result.

    Shape:
        - z: ``code_dim`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64.

    Range:
        ``indices`` in ``0 .. K - 1``; ``quantized`` equals ``codes``. A token with a value that is not finite gets
        index 0 and NaN in ``quantized``.

    Gradient:
        ``quantized``: identity to ``z``. ``codes``: to ``W``, none to ``z`` or to the frozen codebook.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: sizes or ``token_block`` below 1 (at construction); wrong channels or indices out of range (at
            call).

    Distributed:
        No collectives. The frozen codebook is in the state dict; DDP sends rank 0's to all ranks when it wraps, but not
        with ``broadcast_buffers=False``: broadcast it before.

    Example:
        >>> import torch
        >>> quantizer = ProjectedVectorQuantizer(16, 4, generator=torch.Generator().manual_seed(0))
        >>> quantizer(torch.randn(2, 4, 3, 3)).indices.shape
        torch.Size([2, 3, 3])
    """

    frozen_codebook: Tensor

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        channel_dim: int = 1,
        generator: torch.Generator | None = None,
        token_block: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes("ProjectedVectorQuantizer", {"codebook_size": codebook_size, "code_dim": code_dim})
        check_token_block(token_block, "ProjectedVectorQuantizer")
        self.codebook_size, self.code_dim, self.channel_dim = codebook_size, code_dim, channel_dim
        self.token_block = token_block
        frozen = torch.empty(codebook_size, code_dim).normal_(std=code_dim**-0.5, generator=generator)
        self.register_buffer("frozen_codebook", frozen)
        self.projection = nn.Parameter(torch.eye(code_dim))

    @property
    def codebook(self) -> Tensor:
        """The ``(K, d)`` codes ``W c_k`` as used."""
        return self._projected(self.frozen_codebook)

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``z``: codes are compared with the features themselves."""
        check_features(z, self.channel_dim, self.code_dim, "ProjectedVectorQuantizer")
        return z

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, self.code_dim, "ProjectedVectorQuantizer")
        return quantize_tokens(z, self.channel_dim, scale=Tensor.float, assign=self._assign, lookup=self._lookup)[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the codes of ``indices``, channels at ``channel_dim``, in the dtype of the codebook."""
        check_indices(indices, "ProjectedVectorQuantizer", self.codebook_size, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices.long()), self.channel_dim).to(self.frozen_codebook.dtype)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the index nearest to each of ``codes``: the inverse of :meth:`indices_to_codes`."""
        check_features(codes, self.channel_dim, self.code_dim, "ProjectedVectorQuantizer")
        rows = channels_last(codes.detach(), self.channel_dim)
        return self._assign(rows.reshape(-1, self.code_dim)).view(rows.shape[:-1])

    def _projected(self, codes: Tensor) -> Tensor:
        with autocast_off(codes):
            return F.linear(codes.float(), self.projection.float())

    def _assign(self, rows: Tensor) -> Tensor:
        return nearest_codes(rows, self.codebook.detach(), token_block=self.token_block)

    def _lookup(self, indices: Tensor) -> Tensor:
        return self._projected(F.embedding(indices, self.frozen_codebook))

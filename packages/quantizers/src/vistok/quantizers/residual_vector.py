"""Residual vector quantization."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.quantizers._rows import (
    channels_back,
    channels_last,
    check_dense,
    check_features,
    check_indices,
    check_sizes,
    check_token_block,
    finite_rows,
)
from vistok.quantizers._tokens import quantize_tokens
from vistok.quantizers.k_means import k_means
from vistok.quantizers.nearest import nearest_codes
from vistok.quantizers.quantized import Quantized


class ResidualVectorQuantizer(nn.Module):
    r"""Quantize in stages, each coding what the stages before left over.

    .. math::
        r_0 = z, \qquad i_m = \arg\min_k \lVert r_m - c^m_k \rVert, \qquad r_{m+1} = r_m - c^m_{i_m}, \qquad
        \mathrm{codes} = \sum_m c^m_{i_m}

    The codebooks, learned by gradient, are those of a ``ResidualVQ`` of vector-quantize-pytorch. Each stage is searched
    by :func:`nearest_codes`, which holds no tokens x codes and finds the same indices but for ties.

    Source:
        Lee et al. 2022, arXiv:2203.01941, Sec. 3.1 (greedy, depth by depth).

    Args:
        codebook_size: Codes ``K`` of each stage.
        code_dim: Channels of a code.
        num_stages: Stages, which is also the number of indices a token.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.
        generator: Draws the codebooks, uniform in ``(-1/K, 1/K)``; the global generator if ``None``.
        token_block: Tokens searched at a time; bounds the memory and changes no result. The default suits the device.

    Shape:
        - z: ``code_dim`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension and with ``num_stages`` as the last dimension, int64.

    Range:
        ``indices`` in ``0 .. K - 1``. A token with a value that is not finite gets indices 0 and NaN in ``quantized``.

    Gradient:
        ``quantized``: identity to ``z``. ``codes``: to the chosen rows of every stage, none to ``z``.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: sizes or ``token_block`` below 1 (at construction); wrong channels or stages, indices out of range
            (at call).

    Distributed:
        No collectives but in ``initialize``, which all ranks must call and which leaves the same codebooks on all. DDP
        averages their gradient as of any parameter.

    Example:
        >>> import torch
        >>> quantizer = ResidualVectorQuantizer(16, 4, num_stages=3, generator=torch.Generator().manual_seed(0))
        >>> quantizer(torch.randn(2, 4, 5, 5)).indices.shape
        torch.Size([2, 5, 5, 3])
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        num_stages: int,
        channel_dim: int = 1,
        generator: torch.Generator | None = None,
        token_block: int | None = None,
    ) -> None:
        from vector_quantize_pytorch import ResidualVQ  # here: its import doubles the time to import this package

        super().__init__()
        check_sizes(
            "ResidualVectorQuantizer", {"codebook_size": codebook_size, "code_dim": code_dim, "num_stages": num_stages}
        )
        check_token_block(token_block, "ResidualVectorQuantizer")
        self.codebook_size, self.code_dim, self.channel_dim = codebook_size, code_dim, channel_dim
        self.num_stages, self.token_block = num_stages, token_block
        self.wrapped = ResidualVQ(
            dim=code_dim,
            num_quantizers=num_stages,
            codebook_size=codebook_size,
            learnable_codebook=True,
            ema_update=False,
            threshold_ema_dead_code=0,
            sync_codebook=False,
        )
        for layer in self.wrapped.layers:  # initialised here, and no part of the state
            del layer._codebook.initted
            layer._codebook.initted = True
        for codebook in self.codebooks:
            nn.init.uniform_(codebook, -1 / codebook_size, 1 / codebook_size, generator=generator)

    @property
    def codebooks(self) -> list[Tensor]:
        """The ``(1, K, d)`` parameter of each stage."""
        return [layer._codebook.embed for layer in self.wrapped.layers]

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``z``: codes are compared with the features themselves."""
        check_features(z, self.channel_dim, self.code_dim, "ResidualVectorQuantizer")
        return z

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, self.code_dim, "ResidualVectorQuantizer")
        return quantize_tokens(z, self.channel_dim, scale=Tensor.float, assign=self._assign, lookup=self._lookup)[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the sum of the codes of all stages, channels at ``channel_dim``, in the dtype of the codebooks."""
        check_indices(
            indices, "ResidualVectorQuantizer", self.codebook_size, self.num_stages, channel_dim=self.channel_dim
        )
        return channels_back(self._lookup(indices.long()), self.channel_dim).to(self.codebooks[0].dtype)

    def indices_to_stages(self, indices: Tensor) -> Tensor:
        """Return the code of each stage, ``(*, num_stages, code_dim)``, in the dtype of the codebooks.

        Their sum is :meth:`indices_to_codes`.
        """
        check_indices(indices, "ResidualVectorQuantizer", self.codebook_size, self.num_stages)
        pairs = zip(indices.long().unbind(-1), self.codebooks, strict=True)
        return torch.stack([F.embedding(index, codebook[0]) for index, codebook in pairs], dim=-2)

    def stages_to_indices(self, stages: Tensor) -> Tensor:
        """Return the index of each stage's code: the inverse of :meth:`indices_to_stages`.

        The sum alone has no inverse: coding it again may choose another combination.
        """
        check_dense("stages", stages, "ResidualVectorQuantizer")
        if stages.ndim < 2 or stages.shape[-2:] != (self.num_stages, self.code_dim):
            raise ValueError(
                f"ResidualVectorQuantizer: stages must be (*, {self.num_stages}, {self.code_dim}), "
                f"got {tuple(stages.shape)}"
            )
        found = [
            nearest_codes(part.reshape(-1, self.code_dim), codebook[0]).view(part.shape[:-1])
            for part, codebook in zip(stages.detach().unbind(-2), self.codebooks, strict=True)
        ]
        return torch.stack(found, dim=-1)

    @torch.no_grad()
    def initialize(self, z: Tensor, *, generator: torch.Generator | None, iterations: int = 10) -> None:
        """Set each stage's codebook to the k-means centres of what the stages before leave of all ranks' features.

        ``generator`` draws as for :func:`k_means`.
        """
        rows = finite_rows(channels_last(self.to_code_space(z), self.channel_dim).reshape(-1, self.code_dim).float())
        for codebook in self.codebooks:
            centres = k_means(rows, self.codebook_size, generator=generator, iterations=iterations)
            codebook[0].copy_(centres)
            rows = rows - centres[nearest_codes(rows, centres)]

    def _assign(self, rows: Tensor) -> Tensor:
        found = []
        for codebook in self.codebooks:
            codes = codebook[0].float()
            found.append(nearest_codes(rows, codes, token_block=self.token_block))
            rows = rows - codes[found[-1]]
        return torch.stack(found, dim=-1)

    def _lookup(self, indices: Tensor) -> Tensor:
        pairs = zip(indices.unbind(-1), self.codebooks, strict=True)
        total: Tensor = torch.stack([F.embedding(index, codebook[0]).float() for index, codebook in pairs]).sum(0)
        return total

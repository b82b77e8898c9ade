"""Index backpropagation: every code gets a gradient at every step."""

from typing import Any

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

BLOCK_ELEMENTS = 2**20
"""Tokens times codes held at a time in the backward pass, unless ``token_block`` says otherwise."""
_ACCELERATOR_BLOCK_ELEMENTS = 2**24  # fewer, larger launches


class IndexBackpropagationQuantizer(nn.Module):
    r"""Take the code of largest dot product and send the gradient through the softmax over all codes (IBQ).

    .. math::
        p = \mathrm{softmax}(C z / \tau), \qquad i = \arg\max_k p_k, \qquad
        \mathrm{quantized} = C^\top (\mathrm{onehot}(i) + p - \mathrm{sg}[p])

    The backward pass recomputes ``p`` for a block of tokens at a time; tokens x codes are never held.

    Source:
        Shi et al. 2024, arXiv:2412.02692, Sec. 3. Add their codebook and commitment terms from ``codes``.

    Args:
        codebook_size: Number of codes ``K``.
        code_dim: Channels ``d`` of a code.
        temperature: ``tau > 0``.
        channel_dim: Dimension of the channels: 1 for ``(B, C, *spatial)``, -1 for ``(B, N, C)``.
        generator: Draws the codebook, uniform in ``(-1/K, 1/K)``; the global generator if ``None``.
        token_block: Tokens processed at a time; bounds the memory and changes no result. The default holds about
            a million scores on a CPU, 17 million elsewhere.

    Shape:
        - z: ``code_dim`` channels at ``channel_dim``, any float dtype.
        - quantized, codes: as ``z``, dtype of ``z``.
        - indices: ``z`` without the channel dimension, int64.

    Range:
        ``indices`` in ``0 .. K - 1``; ``quantized`` equals ``codes``. A token with a value that is not finite gets
        index 0 and NaN in ``quantized``.

    Gradient:
        With ``g`` arriving at ``quantized`` and ``s = sum_k p_k g . c_k``: ``dz = sum_k p_k (g . c_k - s) c_k / tau``;
        ``dc_k`` sums ``p_k (g . c_k - s) z / tau`` over all tokens, and ``g`` over the tokens that chose ``k``.
        ``codes``: to the chosen rows, none to ``z``. A token with a value that is not finite adds to none of it.

    Raises:
        TypeError: ``z`` is not a dense floating-point tensor, ``indices`` not a dense integer tensor.
        ValueError: an argument out of range (at construction); wrong channels or indices out of range (at call).

    Distributed:
        No collectives. DDP averages the gradient of the codebook as of any parameter.

    Example:
        >>> import torch
        >>> quantizer = IndexBackpropagationQuantizer(16, 4, generator=torch.Generator().manual_seed(0))
        >>> quantizer(torch.randn(2, 4, 3, 3)).quantized.sum().backward()
        >>> int((quantizer.codebook.grad.abs().sum(1) > 0).sum())
        16
    """

    def __init__(
        self,
        codebook_size: int,
        code_dim: int,
        *,
        temperature: float = 1.0,
        channel_dim: int = 1,
        generator: torch.Generator | None = None,
        token_block: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes("IndexBackpropagationQuantizer", {"codebook_size": codebook_size, "code_dim": code_dim})
        if not 0 < temperature < float("inf"):
            raise ValueError(
                f"IndexBackpropagationQuantizer: temperature must be positive and finite, got {temperature}"
            )
        check_token_block(token_block, "IndexBackpropagationQuantizer")
        self.codebook_size, self.code_dim, self.channel_dim = codebook_size, code_dim, channel_dim
        self.temperature, self.token_block = temperature, token_block
        start = torch.empty(codebook_size, code_dim).uniform_(-1, 1, generator=generator)
        self.weight = nn.Parameter(start / codebook_size)

    @property
    def codebook(self) -> Tensor:
        """The ``(K, d)`` codes, a parameter."""
        return self.weight

    def to_code_space(self, z: Tensor) -> Tensor:
        """Return ``z``: codes are compared with the features themselves."""
        check_features(z, self.channel_dim, self.code_dim, "IndexBackpropagationQuantizer")
        return z

    def forward(self, z: Tensor) -> Quantized:
        """Quantize ``z``."""
        check_features(z, self.channel_dim, self.code_dim, "IndexBackpropagationQuantizer")
        return quantize_tokens(
            z,
            self.channel_dim,
            scale=Tensor.float,
            assign=self._assign,
            lookup=self._lookup,
            estimate=self._estimate,
        )[0]

    def indices_to_codes(self, indices: Tensor) -> Tensor:
        """Return the codes of ``indices``, channels at ``channel_dim``, in the dtype of the codebook."""
        check_indices(indices, "IndexBackpropagationQuantizer", self.codebook_size, channel_dim=self.channel_dim)
        return channels_back(self._lookup(indices.long()), self.channel_dim).to(self.weight.dtype)

    def codes_to_indices(self, codes: Tensor) -> Tensor:
        """Return the index of the code *closest* to each of ``codes``: the inverse of :meth:`indices_to_codes`."""
        check_features(codes, self.channel_dim, self.code_dim, "IndexBackpropagationQuantizer")
        rows = channels_last(codes.detach(), self.channel_dim)
        flat = nearest_codes(rows.reshape(-1, self.code_dim), self.weight.detach(), token_block=self.token_block)
        return flat.view(rows.shape[:-1])

    def _assign(self, rows: Tensor) -> Tensor:
        return nearest_codes(rows, self.weight.detach(), metric="dot", token_block=self.token_block)

    def _lookup(self, indices: Tensor) -> Tensor:
        return F.embedding(indices, self.weight).float()

    def _estimate(self, features: Tensor, codes: Tensor) -> Tensor:
        elements = BLOCK_ELEMENTS if features.device.type == "cpu" else _ACCELERATOR_BLOCK_ELEMENTS
        block = self.token_block or max(1, elements // self.codebook_size)
        # no gradient arrives at a token with a value that is not finite: with 0 for it, none leaves
        rows = features.nan_to_num(0.0, 0.0, 0.0).reshape(-1, self.code_dim)
        hard = codes.reshape(-1, self.code_dim)
        through_softmax: Tensor = _SoftmaxGradient.apply(rows, self.weight.float(), self.temperature, block)
        return (hard + through_softmax).view(features.shape)


class _SoftmaxGradient(torch.autograd.Function):
    """Zero in value; in gradient ``softmax(C z / tau)`` applied to the codes held constant."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, codebook: Tensor, temperature: float, block: int) -> Tensor:
        ctx.save_for_backward(rows, codebook)
        ctx.temperature, ctx.block = temperature, block
        return torch.zeros_like(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        rows, codebook = ctx.saved_tensors
        parts, grad_codebook = [], torch.zeros_like(codebook)
        with autocast_off(rows):
            for z, g in zip(rows.split(ctx.block), grads[0].split(ctx.block), strict=True):
                p = (z @ codebook.t()).div_(ctx.temperature)
                p.sub_(p.amax(1, keepdim=True)).exp_()
                p.div_(p.sum(1, keepdim=True))
                towards = g @ codebook.t()
                mean = torch.linalg.vecdot(p, towards).unsqueeze(1)
                d_logits = p.mul_(towards.sub_(mean)).div_(ctx.temperature)
                del towards
                parts.append(d_logits @ codebook)
                grad_codebook.addmm_(d_logits.t(), z)
                del p, d_logits
        return torch.cat(parts), grad_codebook, None, None

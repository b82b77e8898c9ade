"""How well a residual module recovers what quantization took away."""

from typing import Literal

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_choice, check_features, check_same_shape
from vistok.losses._precision import autocast_off, widen

ResidualNorm = Literal["squared", "l1", "norm"]
_NORMS = ("squared", "l1", "norm")


def residual_loss(
    target: Tensor,
    quantized: Tensor,
    residual: Tensor,
    *,
    norm: ResidualNorm = "squared",
    detach_quantized: bool = False,
) -> Tensor:
    """Functional form of :class:`ResidualLoss`; same contract."""
    check_choice("norm", norm, _NORMS)
    for name, tensor in (("target", target), ("quantized", quantized), ("residual", residual)):
        check_features(name, tensor, min_dims=1)
        check_same_shape("target", target, name, tensor)
    with autocast_off(target):
        code = widen(quantized.detach() if detach_quantized else quantized)
        difference = widen(target.detach()) - code - widen(residual)
        if norm == "squared":
            return difference.square().mean()
        if norm == "l1":
            return difference.abs().mean()
        norms: Tensor = torch.linalg.vector_norm(difference.reshape(len(difference), -1), dim=-1)
        return norms.mean()


class ResidualLoss(nn.Module):
    r"""Distance of code plus recovered residual from the feature before quantization.

    .. math::
        L = \lVert \mathrm{sg}[Z] - \hat Z - Z_{res} \rVert

    The paper writes no exponent. ``"squared"`` and ``"l1"`` are means over all elements; ``"norm"`` is the Euclidean
    norm of each sample (everything after dimension 0), averaged over the batch. One call is one branch: a tokenizer
    with two codebooks adds two calls.

    Source:
        GloTok, arXiv:2511.14184, Eq. 10.

    Args:
        norm: ``"squared"``, ``"l1"`` or ``"norm"``.
        detach_quantized: Keep this loss out of the codebook. As printed (``False``) only the target is stopped, so
            the code is pulled to the target too. For full isolation also give the residual module a detached code:
            ``residual = module(quantized.detach())``.

    Shape:
        - target: any shape of at least one dimension, the feature before quantization (normalised if the code is).
        - quantized, residual: the shape of ``target``.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)``; ``0`` exactly when ``quantized + residual == target`` everywhere.

    Gradient:
        None for ``target``. For ``"squared"``, ``d loss / d residual = 2 (quantized + residual - target) / n`` with
        ``n = target.numel()``; ``quantized`` gets the same, or none with ``detach_quantized``. All three forms have
        the subgradient ``0`` where the difference is zero.

    Raises:
        ValueError: ``norm`` is unknown, shapes differ, or the input is empty.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> target = torch.ones(1, 2, 4)
        >>> ResidualLoss()(target, torch.zeros(1, 2, 4), torch.full((1, 2, 4), 0.5)).item()
        0.25
    """

    def __init__(self, *, norm: ResidualNorm = "squared", detach_quantized: bool = False) -> None:
        super().__init__()
        check_choice("norm", norm, _NORMS)
        self.norm: ResidualNorm = norm
        self.detach_quantized = detach_quantized

    def forward(self, target: Tensor, quantized: Tensor, residual: Tensor) -> Tensor:
        """Return the loss of ``quantized + residual`` against ``target``."""
        return residual_loss(target, quantized, residual, norm=self.norm, detach_quantized=self.detach_quantized)

    def extra_repr(self) -> str:
        """Show the options in ``print(module)``."""
        return f"norm={self.norm!r}, detach_quantized={self.detach_quantized}"

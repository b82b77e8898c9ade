"""The one return type of every quantizer."""

from typing import NamedTuple

from torch import Tensor

from vistok.quantizers._rows import check_dense


class Quantized(NamedTuple):
    r"""What every quantizer returns, in training and in evaluation.

    Attributes:
        quantized: Straight-through features for the decoder: the value of ``codes``, the gradient goes to the
            encoder. Same shape and dtype as the input.
        codes: The same values without an estimator: the gradient goes to the codebook, if it is learned by
            gradient. Feed these to losses. Same shape and dtype as the input.
        indices: ``int64``, the shape of the input without its channel dimension; quantizers with several
            indices a token add them as the last dimension.
    """

    quantized: Tensor
    codes: Tensor
    indices: Tensor


def straight_through(z: Tensor, codes: Tensor) -> Tensor:
    """Return the exact value of ``codes`` with the gradient of the identity to ``z`` and none to ``codes``.

    Both have one shape, else ``ValueError``: a gradient that broadcasting sums up would be no identity.

    Example:
        >>> import torch
        >>> z, codes = torch.zeros(2, requires_grad=True), torch.ones(2, requires_grad=True)
        >>> straight_through(z, codes).sum().backward()
        >>> z.grad.tolist(), codes.grad
        ([1.0, 1.0], None)
    """
    check_dense("z", z, "straight_through")
    check_dense("codes", codes, "straight_through")
    if z.shape != codes.shape:
        raise ValueError(
            f"straight_through: z and codes must have the same shape, got {tuple(z.shape)} and {tuple(codes.shape)}"
        )
    return codes.detach() + (z - z.detach())

"""A gradient that is turned and scaled as the feature is on its way to its code."""

import torch
from torch import Tensor

from vistok.quantizers._precision import SMALLEST_LENGTH, autocast_off, unit
from vistok.quantizers._rows import channels_back, channels_last, check_dense, check_features


def rotation_trick(z: Tensor, codes: Tensor, *, channel_dim: int = 1) -> Tensor:
    r"""Return the value of ``codes`` with the gradient of the rotation and scaling that take each ``z`` there.

    .. math::
        \tilde q = \mathrm{sg}\Big[\tfrac{\lVert q \rVert}{\lVert z \rVert} R\Big] z, \qquad
        R = I - 2 r r^\top + 2 \hat q \hat z^\top, \qquad r = \frac{\hat z + \hat q}{\lVert \hat z + \hat q \rVert}

    with hats for unit length. It takes the place of :func:`straight_through`, behind any quantizer with codes of its
    own: ``rotation_trick(quantizer.to_code_space(z), quantizer(z).codes)``. Angles between gradients and features stay
    as they are between gradients and codes.

    Source:
        Fifty et al. 2024, arXiv:2410.06424, Sec. 4.

    Args:
        z: Features in code space.
        codes: Their codes.
        channel_dim: Dimension of the channels.

    Shape:
        - z, codes: one shape; result: the same, in the dtype of ``z``.

    Range:
        The values of ``codes``.

    Gradient:
        To ``z``: :math:`\lVert q \rVert / \lVert z \rVert \, R^\top g` for ``g`` arriving, ``g`` itself where ``z`` is
        zero. None to ``codes``.

    Raises:
        TypeError: not dense tensors, or ``z`` is not floating point.
        ValueError: the shapes differ, or have no such dimension of at least two.

    Distributed:
        No collectives.

    Example:
        >>> z, code = torch.tensor([[2.0, 0.0]], requires_grad=True), torch.tensor([[0.0, 1.0]])
        >>> out = rotation_trick(z, code)
        >>> out.tolist(), (out * code).sum().backward()  # the code's direction comes back as that of z
        ([[0.0, 1.0]], None)
        >>> z.grad.round(decimals=3)
        tensor([[0.5000, 0.0000]])
    """
    check_dense("z", z, "rotation_trick")
    check_dense("codes", codes, "rotation_trick")
    if z.shape != codes.shape:
        raise ValueError(
            f"rotation_trick: z and codes must have the same shape, got {tuple(z.shape)} and {tuple(codes.shape)}"
        )
    if not -z.ndim <= channel_dim < z.ndim:
        raise ValueError(f"rotation_trick: z must have a dimension {channel_dim} (channel_dim), got {tuple(z.shape)}")
    check_features(z, channel_dim, z.shape[channel_dim], "rotation_trick")
    with autocast_off(z):
        features, q = channels_last(z, channel_dim).float(), channels_last(codes.detach(), channel_dim).float()
        z_hat, q_hat = unit(features.detach()), unit(q)
        r = unit(z_hat + q_hat)
        length = torch.linalg.vector_norm(features.detach(), dim=-1, keepdim=True)
        scale = torch.linalg.vector_norm(q, dim=-1, keepdim=True) / length.clamp_min(SMALLEST_LENGTH)
        along_r, along_z = ((features * axis).sum(-1, keepdim=True) for axis in (r, z_hat))
        turned = scale * (features - 2 * along_r * r + 2 * along_z * q_hat)
        turned = torch.where(length > SMALLEST_LENGTH, turned, features)
        return channels_back(q + (turned - turned.detach()), channel_dim).to(z.dtype)

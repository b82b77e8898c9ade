"""Batch norms of a frozen network, folded into the convolutions before them."""

import torch
from torch import nn


def fold_batch_norms(network: nn.Module) -> None:
    r"""Fold each evaluation-mode batch norm into the convolution registered right before it, in place.

    .. math::
        \mathrm{BN}(W * x) = (s W) * x + \beta - s m, \qquad s = \gamma / \sqrt{v + \epsilon}

    Correct for networks whose modules run in the order in which they are registered, such as timm's EfficientNets; what
    follows the normalisation (timm keeps the activation inside) stays. Computed in float64, kept in the weights' dtype.
    """
    for module in network.modules():
        convolution: nn.Conv2d | None = None
        for child_name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and convolution is not None:
                _fold(convolution, child)
                setattr(module, child_name, getattr(child, "act", nn.Identity()))
                convolution = None
            elif not isinstance(child, nn.Identity):
                convolution = child if isinstance(child, nn.Conv2d) else None


@torch.no_grad()
def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise ValueError("a batch norm without running statistics cannot be folded")
    weight, bias = convolution.weight, convolution.bias
    gamma = norm.weight.double() if norm.affine else torch.ones_like(norm.running_var, dtype=torch.float64)
    beta = norm.bias.double() if norm.affine else torch.zeros_like(gamma)
    scale = gamma / torch.sqrt(norm.running_var.double() + norm.eps)
    offset = torch.zeros_like(scale) if bias is None else bias.double()
    folded = (offset - norm.running_mean.double()) * scale + beta
    convolution.bias = nn.Parameter(folded.to(weight.dtype), requires_grad=weight.requires_grad)
    weight.copy_(weight.double() * scale.view(-1, 1, 1, 1))

"""The LPIPS distance, exact, for features and linear heads that you bring."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_features, check_pair
from vistok.losses._frozen import FrozenNetwork
from vistok.losses._precision import autocast_off, widen
from vistok.losses.alexnet import AlexNetFeatures
from vistok.losses.perceptual import check_stages, stage_distance
from vistok.losses.vgg import VGG16Features

# What the published heads were trained with, for images in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_NETWORKS: dict[str, tuple[str, Callable[[], Any]]] = {
    "vgg16": ("VGG16", VGG16Features),
    "alexnet": ("AlexNet", AlexNetFeatures),
}


def lpips_heads(state_dict: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the channel weights of the published linear heads, in stage order.

    Args:
        state_dict: Holds entries ``lin<stage>.model.1.weight`` of shape ``(1, C, 1, 1)``, as released.

    Example:
        >>> import torch
        >>> [head.shape for head in lpips_heads({"lin0.model.1.weight": torch.ones(1, 64, 1, 1)})]
        [torch.Size([64])]
    """
    heads: list[Tensor] = []
    while (key := f"lin{len(heads)}.model.1.weight") in state_dict:
        heads.append(state_dict[key].detach().flatten())
    if not heads:
        raise ValueError(f"state_dict must hold lin0.model.1.weight and so on, got {sorted(state_dict)[:3]}")
    return heads


def lpips_distance(features_a: Sequence[Tensor], features_b: Sequence[Tensor], heads: Sequence[Tensor]) -> Tensor:
    """Distances ``(B,)`` of :class:`LPIPS` for features that are already there; same contract."""
    check_stages(features_a, features_b)
    if len(heads) != len(features_a):
        raise ValueError(f"heads must have one entry for each of the {len(features_a)} maps, got {len(heads)}")
    for index, (feature, head) in enumerate(zip(features_a, heads, strict=True)):
        check_features(f"heads[{index}]", head)
        if tuple(head.shape) != (feature.shape[1],):
            raise ValueError(f"heads[{index}] must have shape ({feature.shape[1]},), got {tuple(head.shape)}")
    with autocast_off(features_a[0]):
        terms = [
            stage_distance(widen(a), widen(b), widen(head))
            for a, b, head in zip(features_a, features_b, heads, strict=True)
        ]
        return torch.stack(terms).sum(dim=0)


class LPIPS(nn.Module):
    r"""Learned perceptual image patch similarity.

    .. math::
        d(x, \hat x) = \sum_l \frac1{H_l W_l} \sum_{h, w}
            w_l \cdot \big( \bar\phi_l(x)_{hw} - \bar\phi_l(\hat x)_{hw} \big)^2,
        \qquad \bar\phi = \phi / (\lVert \phi \rVert + 10^{-10}), \qquad L = \mathbb E[d]

    Only with the published network and heads is the number an LPIPS. No weights are loaded here: a head that was
    never loaded cannot pass unseen, because heads are an argument.

    Source:
        Zhang et al. 2018, arXiv:1801.03924, Eq. 1, version 0.1 of the released heads.

    Args:
        network: Maps shifted and scaled images to a sequence of feature maps, for example :class:`VGG16Features`.
            Its parameters are frozen here and it stays in eval mode.
        heads: Channel weights ``(C_l,)`` of each map, ``>= 0``; :func:`lpips_heads` reads the released file.
        value_range: Lowest and highest pixel value of the images you pass; mapped to ``[-1, 1]``.

    Shape:
        - reconstruction: ``(B, 3, H, W)``.
        - target: the shape of ``reconstruction``.
        - loss: ``()``, float32 (float64 for a network in float64).

    Range:
        ``[0, 4 * sum of heads]``; ``0`` for equal images. Symmetric in its arguments.

    Gradient:
        Flows to ``reconstruction`` only: ``target`` is seen without a graph. Finite also where all channels are zero.

    Raises:
        ValueError: Images are not ``(B, 3, H, W)`` or differ in shape; ``target`` leaves ``value_range`` (on a CUDA
            device and in a compiled graph an assertion on the device fails instead); a head is negative, not finite,
            missing or of the wrong width; ``value_range`` is not ascending.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. DDP averages the gradient as for any mean-reduced loss.

    Example:
        >>> import torch
        >>> class Pixels(torch.nn.Module):
        ...     def forward(self, images):
        ...         return [images]
        >>> loss = LPIPS(Pixels(), [torch.ones(3)])
        >>> image = torch.zeros(1, 3, 4, 4)
        >>> loss(image, image).item()
        0.0
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, network: nn.Module, heads: Sequence[Tensor], *, value_range: tuple[float, float] = (-1.0, 1.0)
    ) -> None:
        super().__init__()
        low, high = value_range
        if not low < high:
            raise ValueError(f"value_range must be ascending, got {value_range}")
        for index, head in enumerate(heads):
            check_features(f"heads[{index}]", head)
            if not head.is_meta and not bool((torch.isfinite(head) & (head >= 0)).all()):
                least, most = (end.item() for end in head.detach().aminmax())
                raise ValueError(f"heads[{index}] must be finite and >= 0, got values from {least:.3g} to {most:.3g}")
        self.network = FrozenNetwork(network)
        self.heads = nn.ParameterList(nn.Parameter(head.detach().clone(), requires_grad=False) for head in heads)
        self.value_range = (low, high)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def from_weights(
        cls,
        weights: Mapping[str, Tensor],
        heads: Mapping[str, Tensor] | None = None,
        *,
        network: Literal["vgg16", "alexnet"] = "vgg16",
    ) -> "LPIPS":
        """The published distance, of images in ``[-1, 1]``, with the weights of files that you have read.

        Args:
            weights: torchvision's state dict of the network; what is no convolution's is passed over.
            heads: The channel weights as :func:`lpips_heads` takes them; ``None`` where ``weights`` holds them too.
            network: Which version: distances of the two do not compare, so say it beside the number.

        Raises:
            ValueError: A convolution or a head is missing or of another shape, or there is no such network.
        """
        if network not in _NETWORKS:
            raise ValueError(f"network must be one of {', '.join(_NETWORKS)}, got {network!r}")
        name, build = _NETWORKS[network]
        features = build()
        wanted = features.state_dict()
        for key, own in wanted.items():
            if key not in weights or weights[key].shape != own.shape:
                raise ValueError(f"expected {name}, got no {key} of {tuple(own.shape)}")
        features.load_state_dict({key: weights[key] for key in wanted})
        linear = lpips_heads(weights if heads is None else heads)
        if (lengths := [len(head) for head in linear]) != list(features.widths):
            raise ValueError(f"expected heads of {list(features.widths)} channels, got {lengths}")
        return cls(features, linear)

    def _features(self, images: Tensor) -> Sequence[Tensor]:
        low, high = self.value_range
        centred = images if self.value_range == (-1.0, 1.0) else (images - low) * (2.0 / (high - low)) - 1.0
        features: Sequence[Tensor] = self.network((centred - self.shift) / self.scale)
        return features

    def distances(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the distance of each image of the batch, ``(B,)``."""
        check_pair("reconstruction", reconstruction, "target", target)
        if target.ndim != 4 or target.shape[1] != 3:
            raise ValueError(f"images must have shape (B, 3, H, W), got {tuple(target.shape)}")
        if not target.is_meta:
            self._check_range(target)
        with torch.no_grad():
            target_features = self._features(target)
        return lpips_distance(self._features(reconstruction), target_features, [head.detach() for head in self.heads])

    def _check_range(self, target: Tensor) -> None:
        low, high = self.value_range
        slack = 1e-2 * (high - low)
        lowest, highest = torch.aminmax(target.detach())
        outside = (lowest < low - slack) | (highest > high + slack)
        expected = f"target must lie in value_range {self.value_range}"
        if torch.compiler.is_compiling() or target.is_cuda:
            torch._assert_async(~outside, expected)
        elif bool(outside):
            raise ValueError(f"{expected}, got [{lowest.item():.3g}, {highest.item():.3g}]")

    def forward(self, reconstruction: Tensor, target: Tensor) -> Tensor:
        """Return the mean distance over the batch."""
        return self.distances(reconstruction, target).mean()

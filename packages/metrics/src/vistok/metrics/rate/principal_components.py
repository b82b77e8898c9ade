"""Principal components of the training images with a scalar codebook each: the tokenizer to beat."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.pixels import to_uint8

_LLOYD_STEPS = 50


class PrincipalComponentCodec:
    """A linear tokenizer: an image is some leading components, each rounded to its codebook's nearest level.

    Made by :func:`fit_principal_component_codec`. Its tokens go where any tokenizer's go: into
    :func:`rate_distortion_point`.

    Args:
        mean: ``(C H W,)``, of the training images.
        components: ``(M, C H W)``, orthonormal.
        levels: ``M`` ascending codebooks ``(K_m,)``.
        image_shape: ``(C, H, W)``.

    Shape:
        - images: ``(N, C, H, W)``, in ``[-1, 1]`` or uint8.
        - tokens: ``(N, M)``, int64, each column of its own codebook.

    Raises:
        ValueError: Images or tokens of another shape.

    Example:
        >>> images = torch.linspace(-1, 1, 8).view(8, 1, 1, 1).expand(8, 1, 2, 2)
        >>> codec = fit_principal_component_codec(images, bits_per_image=3)
        >>> codec.codebook_sizes, torch.equal(codec.decode(codec.encode(images)), to_uint8(images))
        ((8,), True)
    """

    def __init__(
        self, mean: Tensor, components: Tensor, levels: Sequence[Tensor], image_shape: tuple[int, int, int]
    ) -> None:
        self.mean, self.components, self.levels, self.image_shape = mean, components, tuple(levels), image_shape

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Levels of each component."""
        return tuple(len(levels) for levels in self.levels)

    def encode(self, images: Tensor) -> Tensor:
        """Tokens of images."""
        if images.ndim != 4 or tuple(images.shape[1:]) != self.image_shape:
            raise ValueError(f"images must be (N, {', '.join(map(str, self.image_shape))}), got {tuple(images.shape)}")
        values = (_flat(images) - self.mean) @ self.components.T
        columns = [_nearest(column, levels) for column, levels in zip(values.unbind(1), self.levels, strict=True)]
        return torch.stack(columns, dim=1)

    def values(self, tokens: Tensor) -> Tensor:
        """The levels ``(N, M)``, float64, that tokens stand for."""
        if tokens.ndim != 2 or tokens.shape[1] != len(self.levels):
            raise ValueError(f"tokens must be (N, {len(self.levels)}), got {tuple(tokens.shape)}")
        columns = zip(tokens.cpu().unbind(1), self.levels, strict=True)
        return torch.stack([levels[column] for column, levels in columns], dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Images ``(N, C, H, W)``, uint8, of tokens."""
        pixels = self.values(tokens) @ self.components + self.mean
        return pixels.round().clamp(0, 255).to(torch.uint8).view(-1, *self.image_shape)


def fit_principal_component_codec(
    train_images: Tensor, *, bits_per_image: int, most_bits: int = 8
) -> PrincipalComponentCodec:
    r"""Fit principal components and their scalar codebooks to training images, for so many bits an image.

    Bits are given out one by one, each to the component whose error is largest: with variance :math:`\sigma^2` and
    ``b`` bits it is taken as :math:`4^{-b} \sigma^2`. A codebook's levels are those of Lloyd's algorithm, from evenly
    filled cells on. No network is involved, nothing is random, and only the training images are seen.

    Source:
        Huang and Schultheiss 1963, "Block quantization of correlated Gaussian random variables"; Lloyd 1982, "Least
        squares quantization in PCM".

    Args:
        train_images: Images ``(N, C, H, W)``, in ``[-1, 1]`` or uint8, at least two. All are held in float64, and
            about four times that is needed: a few thousand are enough.
        bits_per_image: The tokens of an image take this many bits, or fewer if no component is left.
        most_bits: No component gets more.

    Raises:
        ValueError: Not ``(N, C, H, W)``, or bits below 1.
        NotMeasurableError: Fewer than two images, or all equal.

    Example:
        >>> images = torch.rand(64, 1, 4, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
        >>> codec = fit_principal_component_codec(images, bits_per_image=12)
        >>> codec.encode(images).shape == (64, len(codec.codebook_sizes))
        True
    """
    return fit_principal_component_codecs(train_images, (bits_per_image,), most_bits=most_bits)[0]


def fit_principal_component_codecs(
    train_images: Tensor, budgets: Sequence[int], *, most_bits: int = 8
) -> list[PrincipalComponentCodec]:
    """One of :func:`fit_principal_component_codec` for each number of bits; the components are computed once."""
    if train_images.ndim != 4:
        raise ValueError(f"train_images must be (N, C, H, W), got {tuple(train_images.shape)}")
    if len(train_images) < 2:
        raise NotMeasurableError(f"train_images must be at least 2, got {len(train_images)}")
    for bits_per_image in budgets:
        if bits_per_image < 1 or most_bits < 1:
            raise ValueError(f"bits_per_image and most_bits must be at least 1, got {bits_per_image} and {most_bits}")
    pixels = _flat(train_images)
    mean = pixels.mean(dim=0)
    _, deviations, components = torch.linalg.svd(pixels - mean, full_matrices=False)
    if not float(deviations[0]) > 0:
        raise NotMeasurableError("train_images must not be all equal")
    channels, height, width = train_images.shape[1:]
    codecs = []
    for budget in budgets:
        bits = _shared_out(deviations.square(), budget, most_bits)
        leading = components[: len(bits)]
        values = (pixels - mean) @ leading.T
        levels = [_lloyd_levels(column, 2**count) for column, count in zip(values.unbind(1), bits, strict=True)]
        codecs.append(PrincipalComponentCodec(mean, leading, levels, (channels, height, width)))
    return codecs


def _shared_out(variances: Tensor, budget: int, most: int) -> list[int]:
    """Bits of each component, descending; components without bits are left out."""
    errors, bits = variances.clone(), torch.zeros(len(variances), dtype=torch.int64)
    for _ in range(budget):
        best = int(errors.argmax())
        if not float(errors[best]) > 1e-9 * float(variances[0]):
            break
        bits[best] += 1
        errors[best] = errors[best] / 4 if bits[best] < most else 0.0
    return bits[bits > 0].tolist()


def _lloyd_levels(values: Tensor, count: int) -> Tensor:
    ordered = values.sort().values
    levels = torch.stack([part.mean() for part in ordered.tensor_split(count) if len(part)])
    for _ in range(_LLOYD_STEPS):
        cells = _nearest(values, levels)
        sizes = cells.bincount(minlength=len(levels))
        sums = torch.zeros_like(levels).index_add_(0, cells, values)
        levels = torch.where(sizes > 0, sums / sizes.clamp_min(1), levels)
    return levels


def _nearest(values: Tensor, levels: Tensor) -> Tensor:
    return torch.bucketize(values.contiguous(), (levels[1:] + levels[:-1]) / 2)


def _flat(images: Tensor) -> Tensor:
    return to_uint8(images).cpu().flatten(1).double()

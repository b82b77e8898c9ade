"""What a tokenizer is shown beside: codecs that spend as many bits."""

from torch import Tensor

from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.rate.image_codecs import Codec, codec_bits_per_pixel, image_codec_point
from vistok.metrics.rate.principal_components import fit_principal_component_codec
from vistok.metrics.rate.rate_distortion import RateDistortionPoint, rate_distortion_point


def rate_distortion_baselines(
    images: Tensor, train_images: Tensor, *, bits_per_pixel: float
) -> dict[str, RateDistortionPoint]:
    """Points of JPEG, WebP and principal components on the same images, at a tokenizer's rate.

    JPEG and WebP take the highest quality that does not need more bits; where even the lowest does, that one is shown
    with its own rate. Principal components (:func:`fit_principal_component_codec`) are fitted on training images and
    take the rate itself, as far as components are left.

    Args:
        images: The images that the tokenizer was measured on, ``(N, 1 or 3, H, W)``.
        train_images: Images that it was trained on, of the same shape: a few thousand are enough.
        bits_per_pixel: The tokenizer's rate, as written.

    Raises:
        ValueError: Images of another shape.
        NotMeasurableError: Images are smaller than SSIM's window, the rate is less than one bit an image, or training
            images are fewer than two or all equal.

    Example:
        >>> import torch
        >>> images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
        >>> list(rate_distortion_baselines(images, images, bits_per_pixel=0.2))
        ['JPEG, quality 1', 'WebP, quality 1', 'PCA, 51 bits']
    """
    bits = int(bits_per_pixel * images.shape[-2] * images.shape[-1] + 1e-6)
    if bits < 1:
        raise NotMeasurableError(f"bits_per_pixel must be at least one bit an image, got {bits_per_pixel:g}")
    points = {}
    codecs: tuple[tuple[str, Codec, int], ...] = (("JPEG", "jpeg", 95), ("WebP", "webp", 100))
    for name, codec, best in codecs:
        quality = _best_quality(images, codec, best, bits_per_pixel)
        points[f"{name}, quality {quality}"] = image_codec_point(images, codec=codec, quality=quality)
    fitted = fit_principal_component_codec(train_images, bits_per_image=bits)
    tokens = fitted.encode(images)
    point = rate_distortion_point(fitted.decode(tokens), images, tokens.unbind(1), fitted.codebook_sizes)
    return {**points, f"PCA, {bits} bits": point}


def _best_quality(images: Tensor, codec: Codec, best: int, rate: float) -> int:
    """The highest quality that needs no more than a rate, by halving; the lowest if none does."""
    low = 1
    while low < best:
        middle = (low + best + 1) // 2
        if codec_bits_per_pixel(images, codec=codec, quality=middle) <= rate:
            low = middle
        else:
            best = middle - 1
    return low

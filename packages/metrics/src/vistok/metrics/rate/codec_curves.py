"""The curves of rate and distortion that a tokenizer's own is shown among."""

from collections.abc import Sequence

from torch import Tensor

from vistok.metrics.rate.image_codecs import Codec, image_codec_point
from vistok.metrics.rate.principal_components import fit_principal_component_codecs
from vistok.metrics.rate.rate_distortion import RateDistortionPoint, rate_distortion_point

#: Of JPEG and WebP, from the smallest files on; of an image of 32 pixels even these are large, for their headers.
QUALITIES = (1, 10, 30)


def codec_curves(
    images: Tensor, train_images: Tensor, *, bits_per_image: Sequence[int], qualities: Sequence[int] = QUALITIES
) -> dict[str, list[RateDistortionPoint]]:
    """Curves of principal components, WebP and JPEG on the same images, each from its lowest rate on.

    Principal components (:func:`vistok.metrics.fit_principal_component_codec`) take the bits that are asked for, as far
    as components are left. They get better with the number of training images: on 4,500 digits of 32 pixels 0.9 dB
    over 2,000 at 384 bits. Files take the bits that their quality makes of them.

    Args:
        images: The images that the tokenizer was measured on, ``(N, 1 or 3, H, W)``.
        train_images: Images that it was trained on, of the same shape.
        bits_per_image: Of principal components, one point each.
        qualities: Of JPEG and WebP, one point each.

    Raises:
        ValueError: Images of another shape, less than one bit an image, or no such quality.
        NotMeasurableError: Images are smaller than SSIM's window.

    Example:
        >>> import torch
        >>> images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
        >>> curves = codec_curves(images, images, bits_per_image=(8, 16), qualities=(1,))
        >>> {name: len(points) for name, points in curves.items()}
        {'PCA': 2, 'WebP': 1, 'JPEG': 1}
    """
    linear = []
    for fitted in fit_principal_component_codecs(train_images, sorted(bits_per_image)):
        tokens = fitted.encode(images)
        linear.append(rate_distortion_point(fitted.decode(tokens), images, tokens.unbind(1), fitted.codebook_sizes))
    files: dict[str, Codec] = {"WebP": "webp", "JPEG": "jpeg"}
    return {"PCA": linear} | {
        name: [image_codec_point(images, codec=codec, quality=quality) for quality in sorted(qualities)]
        for name, codec in files.items()
    }

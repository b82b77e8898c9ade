"""Codecs that spend as many bits as a tokenizer."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import image_codec_point, rate_distortion_baselines, to_uint8

SUBJECT = "vistok.metrics.rate.baselines"


@pytest.fixture(scope="module")
def images():
    """Smooth pictures of 48 pixels a side, with some noise."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
    waves = torch.stack([torch.sin(3 * x + n) * torch.cos(2 * y - n) for n in range(30)]).view(10, 3, 48, 48)
    return to_uint8(0.8 * waves + 0.1 * uniform(0, 10, 3, 48, 48))


@catches(SUBJECT, "quality=middle) <= rate", "quality=middle) >= rate")
@catches(SUBJECT, "best = middle - 1", "best = middle - 2")
@catches(SUBJECT, "bits_per_pixel * images.shape[-2] * images.shape[-1]", "bits_per_pixel * images[0].numel()")
def test_each_takes_the_most_that_the_rate_allows(images):
    points = rate_distortion_baselines(images[:3], images[3:], bits_per_pixel=2.6)
    assert [name.split()[0] for name in points] == ["JPEG,", "WebP,", "PCA,"]
    for name, point in points.items():
        assert point.bits_per_pixel <= 2.6
        codec, _, quality = name.partition(", quality ")
        if quality:
            after = image_codec_point(images[:3], codec=codec.lower(), quality=int(quality) + 1)
            assert point == image_codec_point(images[:3], codec=codec.lower(), quality=int(quality))
            assert after.bits_per_pixel > 2.6
    assert list(points)[-1] == f"PCA, {int(2.6 * 48 * 48)} bits"


@catches(SUBJECT, "fit_principal_component_codec(train_images", "fit_principal_component_codec(images")
def test_components_are_of_the_training_images(images):
    flat = torch.zeros_like(images)
    flat[0] += 1
    point = list(rate_distortion_baselines(images, flat, bits_per_pixel=0.1).values())[-1]
    assert point.psnr < 15


def test_where_the_lowest_quality_needs_more_it_is_shown_with_its_rate(images):
    points = rate_distortion_baselines(images[:2], images[2:], bits_per_pixel=0.01)
    assert list(points)[:2] == ["JPEG, quality 1", "WebP, quality 1"]
    assert points["JPEG, quality 1"].bits_per_pixel > 0.01


def test_less_than_a_bit_an_image_is_an_error(images):
    with pytest.raises(ValueError, match="bits_per_pixel must be at least one bit an image, got 1e-05"):
        rate_distortion_baselines(images, images, bits_per_pixel=1e-5)

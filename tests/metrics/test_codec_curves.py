"""Curves of codecs on the same images."""

import pytest

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import codec_curves, fit_principal_component_codec, image_codec_point, rate_distortion_point

SUBJECT = "vistok.metrics.rate.codec_curves"


@catches(SUBJECT, "fitted.encode(images)", "fitted.encode(train_images)")
@catches(SUBJECT, "fit_principal_component_codecs(train_images,", "fit_principal_component_codecs(images,")
@catches(SUBJECT, '"WebP": "webp", "JPEG": "jpeg"', '"WebP": "jpeg", "JPEG": "webp"')
@catches(SUBJECT, "sorted(bits_per_image)", "bits_per_image")
@catches(SUBJECT, "in sorted(qualities)", "in qualities")
def test_each_curve_rises_from_its_lowest_rate_and_holds_what_its_codec_gives():
    train, images = uniform(0, 30, 1, 16, 16), uniform(1, 10, 1, 16, 16)
    curves = codec_curves(images, train, bits_per_image=(40, 10), qualities=(60, 1))
    assert list(curves) == ["PCA", "WebP", "JPEG"]
    for points in curves.values():
        assert points[0].bits_per_pixel < points[1].bits_per_pixel
    for point, bits in zip(curves["PCA"], (10, 40), strict=True):
        codec = fit_principal_component_codec(train, bits_per_image=bits)
        tokens = codec.encode(images)
        wanted = rate_distortion_point(codec.decode(tokens), images, tokens.unbind(1), codec.codebook_sizes)
        assert point == pytest.approx(wanted)
        assert point.bits_per_pixel * 256 == pytest.approx(bits)
    assert curves["WebP"][1] == image_codec_point(images, codec="webp", quality=60)
    assert curves["JPEG"][0] == image_codec_point(images, codec="jpeg", quality=1)

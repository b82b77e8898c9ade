"""xAR at the published sizes; nothing is allocated."""

import pytest
import torch

from _support.mutants import catches
from vistok.generators import xar_base, xar_huge, xar_large

SUBJECT = "vistok.generators.xar_presets"


def xar_count(width, depth):
    """The sum over the layers of the published network."""
    hidden = width * 8 // 3
    block = 10 * width**2 + 10 * width + 3 * width * hidden + 2 * hidden + width
    tables = 1001 * width + 2 * 256 * width
    linear = 256 * width + width + 2 * (width**2 + width) + 16 * width + width + 16 * width + 16 + 3 * width
    return depth * block + tables + linear


@pytest.mark.parametrize(
    ("preset", "published", "exact"),
    [
        (xar_base, 172e6, xar_count(768, 16)),
        (xar_large, 608e6, xar_count(1024, 32)),
        (xar_huge, None, xar_count(1280, 40)),  # printed as "1.1B"
    ],
)
def test_a_preset_has_its_published_size(preset, published, exact):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in preset().parameters())
    assert published is None or abs(count / published - 1) < 0.01
    assert exact is None or count == exact


@catches(SUBJECT, "in_channels, 16, 8, num_classes, width=768", "16, 16, 8, num_classes, width=768")
@catches(SUBJECT, "in_channels, 16, 8, num_classes, width=768", "in_channels, 16, 8, 1000, width=768")
def test_presets_take_other_channels_and_classes():
    with torch.device("meta"):
        model = xar_base(8, num_classes=10)
    assert model.stem.in_features == 8
    assert model.head.out_features == 8
    assert model.null_label == 10


@catches(SUBJECT, "dropout=0.1, ", "")
@catches(SUBJECT, 'gate="gelu", ', "")
@catches(SUBJECT, ", integer_time=True", "")
def test_presets_are_built_as_the_published_networks():
    with torch.device("meta"):
        options = xar_base().options
    assert (options.dropout, options.gate, options.integer_time) == (0.1, "gelu", True)

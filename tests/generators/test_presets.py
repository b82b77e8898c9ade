"""Every preset has the published size; nothing is allocated."""

import pytest
import torch

from vistok import generators as g

# The exact counts are sums over the layers of the published networks.


def xar_count(width, depth):
    hidden = width * 8 // 3
    block = 10 * width**2 + 10 * width + 3 * width * hidden + 2 * hidden + width
    tables = 1001 * width + 2 * 256 * width
    linear = 256 * width + width + 2 * (width**2 + width) + 16 * width + width + 16 * width + 16 + 3 * width
    return depth * block + tables + linear


def gpt_count(width, layers, hidden, codebook_size, streams):
    layer = 4 * width**2 + 3 * width * hidden + 2 * width
    merge = streams * width**2 + width if streams > 1 else 0
    return layers * layer + 2 * streams * codebook_size * width + merge + 1001 * width + width


@pytest.mark.parametrize(
    ("preset", "published", "exact"),
    [
        (g.xar_base, 172e6, xar_count(768, 16)),
        (g.xar_large, 608e6, xar_count(1024, 32)),
        (g.xar_huge, None, xar_count(1280, 40)),  # printed as "1.1B"
        (g.far_base, 417e6, gpt_count(1024, 27, 2816, 16384, 2)),
        (g.far_large, 901e6, gpt_count(1280, 40, 3584, 16384, 2)),
        (g.llamagen_b, 111e6, gpt_count(768, 12, 2048, 16384, 1)),
        (g.llamagen_l, 343e6, gpt_count(1024, 24, 2816, 16384, 1)),
        (g.llamagen_xl, 775e6, gpt_count(1280, 36, 3584, 16384, 1)),
        (g.llamagen_xxl, 1.41e9, gpt_count(1536, 48, 4096, 16384, 1)),
        (g.llamagen_3b, 3.1e9, gpt_count(3200, 24, 8704, 16384, 1)),
        (g.maskbit, 305e6, None),
    ],
)
def test_a_preset_has_its_published_size(preset, published, exact):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in preset().parameters())
    assert published is None or abs(count / published - 1) < 0.01
    assert exact is None or count == exact


def test_presets_take_other_channels_and_classes():
    with torch.device("meta"):
        model = g.xar_base(8, num_classes=10)
    assert model.stem.in_features == 8
    assert model.head.out_features == 8
    assert model.null_label == 10

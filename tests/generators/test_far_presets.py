"""FAR and LlamaGen at the published sizes; nothing is allocated."""

import pytest
import torch

from _support.mutants import catches
from vistok.generators import (
    far_base,
    far_large,
    llamagen_3b,
    llamagen_b,
    llamagen_l,
    llamagen_xl,
    llamagen_xxl,
    published_far_options,
)

SUBJECT = "vistok.generators.far_presets"


def gpt_count(width, layers, hidden, codebook_size, streams):
    """The sum over the layers of the published network."""
    layer = 4 * width**2 + 3 * width * hidden + 2 * width
    merge = streams * width**2 + width if streams > 1 else 0
    return layers * layer + 2 * streams * codebook_size * width + merge + 1001 * width + width


@pytest.mark.parametrize(
    ("preset", "published", "exact"),
    [
        (far_base, 417e6, gpt_count(1024, 27, 2816, 16384, 2)),
        (far_large, 901e6, gpt_count(1280, 40, 3584, 16384, 2)),
        (llamagen_b, 111e6, gpt_count(768, 12, 2048, 16384, 1)),
        (llamagen_l, 343e6, gpt_count(1024, 24, 2816, 16384, 1)),
        (llamagen_xl, 775e6, gpt_count(1280, 36, 3584, 16384, 1)),
        (llamagen_xxl, 1.41e9, gpt_count(1536, 48, 4096, 16384, 1)),
        (llamagen_3b, 3.1e9, gpt_count(3200, 24, 8704, 16384, 1)),
    ],
)
def test_a_preset_has_its_published_size(preset, published, exact):
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in preset().parameters())
    assert published is None or abs(count / published - 1) < 0.01
    assert exact is None or count == exact


@catches(SUBJECT, 'prefix_rotation="zero", ', "")
@catches(SUBJECT, "head_depth=head_depth", "head_depth=3")
@catches(SUBJECT, "published_far_options(0)", "published_far_options(1)")
def test_presets_are_built_as_the_published_networks():
    options = published_far_options(4)
    assert (options.prefix_rotation, options.dropout, options.head_depth) == ("zero", 0.1, 4)
    with torch.device("meta"):
        assert len(llamagen_b().head_blocks) == 0
        assert far_base((4, 5), (2, 3), 7).grid_size == (2, 3)

"""Masked generators at published sizes; nothing is allocated."""

import torch

from _support.mutants import catches
from vistok.generators import maskbit

SUBJECT = "vistok.generators.masked_presets"


@catches(SUBJECT, "depth=24", "depth=23")
@catches(SUBJECT, "width=1024", "width=1008")
def test_maskbit_has_its_published_size():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in maskbit().parameters())
    assert abs(count / 305e6 - 1) < 0.01


@catches(SUBJECT, "independent_masks=True, unmasked_weight=1.0", "unmasked_weight=0.0")
@catches(SUBJECT, ", post_norm=True", "")
@catches(SUBJECT, "BitTokens(num_bits, 2)", "BitTokens(num_bits, 1)")
def test_maskbit_is_built_as_the_published_network():
    with torch.device("meta"):
        model = maskbit(12, num_classes=10)
    assert (model.options.unmasked_weight, model.options.independent_masks, model.options.post_norm) == (1, True, True)
    assert (model.tokens.unit_sizes, model.null_label) == ((64, 64), 10)

"""Feature vectors of many images."""

import pytest
import torch

from _support.mutants import catches
from _support.strategies import uniform
from vistok.metrics import FeatureBackbone
from vistok.workbench.data import ImageSet
from vistok.workbench.evaluation.features import pooled_features

SUBJECT = "vistok.workbench.evaluation.features"


@pytest.fixture(scope="module")
def backbone():
    return FeatureBackbone()


@catches(SUBJECT, "from_uint8(batch) if batch.dtype == torch.uint8 else batch", "batch.float()")
@catches(SUBJECT, "stop = min(start + batch_size, len(images))", "stop = min(start + batch_size, len(images) - 1)")
def test_features_of_a_data_set_and_of_its_pixels_agree_for_every_batch_size(backbone):
    pixels = (uniform(0, 5, 1, 32, 32) * 127 + 127).byte()
    data = ImageSet(pixels, torch.zeros(5, dtype=torch.int64), ("all",), "five")
    whole = pooled_features(backbone, data, image_size=64)
    assert whole.shape == (5, backbone.dim)
    for source, size in ((pixels, 2), (data.batch(range(5)), 3)):
        assert torch.allclose(whole, pooled_features(backbone, source, image_size=64, batch_size=size), atol=1e-4)


def test_features_of_nothing_are_an_error(backbone):
    with pytest.raises(ValueError, match="at least one image"):
        pooled_features(backbone, torch.zeros(0, 3, 32, 32))

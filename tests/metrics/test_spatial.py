"""Features of places, in the order of the published statistics."""

import numpy as np
import pytest
import torch

from _support.mutants import catches
from _support.strategies import normal
from vistok.metrics import spatial_features

SUBJECT = "vistok.metrics.distribution.spatial"


@catches(SUBJECT, ".permute(0, 2, 3, 1)", "")
@catches(SUBJECT, "maps[:, :channels]", "maps[:, -channels:]")
def test_they_are_the_evaluators_reshape_of_channels_last_maps():
    maps = normal(0, 2, 9, 3, 4)
    channels_last = maps.numpy().transpose(0, 2, 3, 1)
    wanted = channels_last[..., :7].reshape(2, -1)
    assert np.array_equal(spatial_features(maps).numpy(), wanted)
    assert spatial_features(torch.zeros(1, 768, 17, 17)).shape == (1, 2023)


@catches(SUBJECT, "not 1 <= channels <= maps.shape[1]", "channels < 1")
def test_maps_with_too_few_channels_are_named():
    with pytest.raises(ValueError, match=r"at least 7 channels, got \(1, 3, 2, 2\)"):
        spatial_features(torch.zeros(1, 3, 2, 2))

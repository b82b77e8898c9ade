"""The embedded digits: split by class, once and for all, in any size."""

import torch

from _support.mutants import catches
from vistok.workbench.data import load_images
from vistok.workbench.data.digits import load_digits

SUBJECT = "vistok.workbench.data.digits"


@catches(SUBJECT, "seed=split_seed", "seed=0")
def test_digits_are_split_by_class_once_and_for_all():
    digits = load_images()
    assert digits.train.images.shape == (4500, 1, 32, 32)
    assert digits.validation.labels.bincount().tolist() == [50] * 10
    assert torch.equal(load_images("digits").validation.images, digits.validation.images)
    everything = torch.cat([digits.train.images, digits.validation.images]).flatten(1)
    assert everything.unique(dim=0).shape[0] >= 4990  # nearly all distinct: no digit is on both sides
    other = load_images(split_seed=1).validation.images
    assert not torch.equal(other, digits.validation.images)
    border = torch.ones(32, 32, dtype=torch.bool)
    border[2:-2, 2:-2] = False
    assert digits.train.images[..., border].max() == 0
    assert digits.train.class_names == tuple("0123456789")


@catches(SUBJECT, "fraction=validation_fraction", "fraction=0.1")
@catches("vistok.workbench.data.loading", ", validation_fraction=request.validation_fraction)", ")")
def test_as_many_digits_are_held_out_as_asked_for():
    more = load_images(validation_fraction=0.3)
    assert more.validation.labels.bincount().tolist() == [150] * 10
    assert len(more.train) == 3500
    few = load_images(validation_fraction=1e-6).validation
    assert few.labels.bincount().tolist() == [1] * 10


@catches(SUBJECT, "validation_fraction: float = 0.1", "validation_fraction: float = 0.2")
def test_which_digits_are_held_out_is_pinned():
    """On every machine, and in later versions: figures of two runs are of the same digits."""
    held_out = load_digits().validation
    assert held_out.images.flatten(1).long().sum(1)[::100].tolist() == [25073, 24635, 19443, 17476, 32565]
    assert held_out.labels[::100].tolist() == [0, 2, 4, 6, 8]


def test_digits_come_in_any_size():
    assert load_images(image_size=16).validation.batch([0]).shape == (1, 1, 16, 16)

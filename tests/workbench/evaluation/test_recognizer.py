"""The recognizer of images is fitted on real training images, some of a large set."""

import torch

from _support.mutants import catches
from vistok.metrics import fit_recognizer
from vistok.workbench.data import ImageSet
from vistok.workbench.data.drawing import some_images
from vistok.workbench.evaluation import recognizer
from vistok.workbench.evaluation.recognizer import recognizer_of

SUBJECT = "vistok.workbench.evaluation.recognizer"


@catches(SUBJECT, "min(MOST, most)", "most")
@catches(SUBJECT, "4 * train.channels", "train.channels")
@catches(SUBJECT, "max(2, BYTES", "max(0, BYTES")
def test_it_is_fitted_on_fewer_images_where_these_are_large(monkeypatch):
    fitted = []
    monkeypatch.setattr(recognizer, "BYTES", 4 * 8 * 8 * 7)
    monkeypatch.setattr(recognizer, "fit_recognizer", lambda images, labels: fitted.append(images))
    for size in (4, 8, 32):
        images = torch.zeros(40, 1, size, size, dtype=torch.uint8)
        recognizer_of(ImageSet(images, torch.arange(40) // 20, ("dark", "light"), "greys"), 3)
    monkeypatch.setattr(recognizer, "MOST", 5)
    recognizer_of(ImageSet(images[:, :, :8, :8], torch.arange(40) // 20, ("dark", "light"), "greys"), 3)
    assert [len(images) for images in fitted] == [28, 7, 2, 5]
    assert {images.dtype for images in fitted} == {torch.uint8}


@catches(SUBJECT, "train.labels[fitted]", "train.labels[: len(fitted)]")
@catches(SUBJECT, "train.pixels(fitted)", "train.pixels(range(len(fitted)))")
def test_it_sees_the_images_that_the_seed_draws_with_their_own_labels(monkeypatch):
    labels = torch.arange(40) // 20
    greys = (labels * 120 + torch.arange(40)).to(torch.uint8)
    images = greys[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    train = ImageSet(images, labels, ("dark", "light"), "greys")
    monkeypatch.setattr(recognizer, "MOST", 30)
    some = some_images(train, 30, 3)
    assert len(some) == 30
    made, wanted = recognizer_of(train, 3), fit_recognizer(images[some], labels[some])
    tried = torch.arange(0, 256, 5).to(torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    assert torch.equal(made.predict(tried), wanted.predict(tried))
    assert torch.equal(made.predict(images), labels)

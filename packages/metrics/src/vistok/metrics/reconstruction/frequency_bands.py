"""Which spatial frequencies of an image a reconstruction keeps."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.not_measurable import NotMeasurableError
from vistok.metrics.reconstruction._pixel_pairs import pixel_pairs
from vistok.metrics.streaming import StreamingMetric

_ROUNDING = 1e-9  # energies below are those of rounding: one pixel off by one level has 1


class BandMeasures(NamedTuple):
    """Figures of each band, ``(bands,)`` float64, from low frequencies to high ones.

    Attributes:
        share: Of the references' energy, constant part left out; sums to 1.
        energy: Of the images over that of the references.
        explained: Part of the references' energy that the images, taken as they are, predict; at most 1.
        correlation: Of the images with the references; its square is what they explain, scaled at best.
    """

    share: Tensor
    energy: Tensor
    explained: Tensor
    correlation: Tensor


class FrequencyBands(StreamingMetric):
    r"""Energy of images and references, and what they have in common, in bands of spatial frequency.

    .. math::
        E_x(b) = \sum_{f \in b} |X(f)|^2, \quad E_y(b) = \sum_{f \in b} |Y(f)|^2, \quad
        C(b) = \sum_{f \in b} \mathrm{Re}\, X(f) \overline{Y(f)}

    .. math::
        \text{energy} = \frac{E_x}{E_y}, \quad
        \text{explained} = 1 - \frac{\sum_{f \in b} |X(f) - Y(f)|^2}{E_y} = \frac{2 C - E_x}{E_y}, \quad
        \text{correlation} = \frac{C}{\sqrt{E_x E_y}}

    with the orthonormal discrete Fourier transforms :math:`X` of an image's channels and :math:`Y` of the
    reference's, on 8-bit pixels, summed over channels and images. A frequency of :math:`(u, v)` cycles a pixel has
    the radius :math:`2 \sqrt{u^2 + v^2}`, 1 at Nyquist's frequency along an axis. Band :math:`b` of the edges
    :math:`e_1 < \dots < e_n` holds the radii :math:`e_b \le r < e_{b+1}`, with :math:`e_0 = 0` and no upper end
    (the corners reach :math:`\sqrt 2`); the constant part, :math:`r = 0`, belongs to none.

    An image with a gain or an offset of its own keeps its correlation and loses explained energy: the first says
    which structure is there, the second what is predicted as it stands.

    Args:
        edges: Radii between the bands, increasing, in ``(0, sqrt(2))``; by default a quarter of Nyquist's frequency.

    Shape:
        - update: images and references ``(B, C, H, W)``, in ``[-1, 1]`` (rounded to 8 bits first) or uint8.
        - compute: ``len(edges) + 1`` bands.

    Range:
        share and energy ``>= 0``, explained ``<= 1``, correlation in ``[-1, 1]`` (0 where the images have no energy);
        explained at most the square of correlation, and both 1 for equal images.

    Raises:
        TypeError: What is given as images are no tensors.
        ValueError: Edges do not increase within ``(0, sqrt(2))``; shapes differ, are not ``(B, C, H, W)``, or values
            cannot be meant as ``[-1, 1]``.
        NotMeasurableError: ``compute`` where the references have no energy in a band: before the first image, too.

    Distributed:
        See :class:`vistok.metrics.StreamingMetric`.

    Example:
        >>> slow = torch.tensor([1, 1, -1, -1]).expand(1, 1, 4, 4)  # a quarter of a cycle a pixel: half of Nyquist's
        >>> fast = torch.tensor([1, -1, 1, -1]).expand(1, 1, 4, 4)
        >>> image, original = (pixels.add(128).to(torch.uint8) for pixels in (32 * slow, 32 * slow + 8 * fast))
        >>> metric = FrequencyBands((0.75,))
        >>> metric.update(image, original)
        >>> metric.compute().explained.round(decimals=6).tolist()
        [1.0, 0.0]
    """

    def __init__(self, edges: Sequence[float] = (0.25,)) -> None:
        self.edges = tuple(float(edge) for edge in edges)
        bounds = (0.0, *self.edges, 2**0.5)
        if not self.edges or any(not low < high for low, high in itertools.pairwise(bounds)):
            raise ValueError(f"edges must increase within (0, sqrt(2)), got {tuple(edges)}")
        super().__init__()

    def _empty(self) -> dict[str, Tensor]:
        return {
            name: torch.zeros(len(self.edges) + 1, dtype=torch.float64) for name in ("images", "references", "both")
        }

    def update(self, images: Tensor, references: Tensor) -> None:
        """Take in a batch of images and their references."""
        for block in pixel_pairs(images, references) if len(images) else ():
            x, y = (torch.fft.fft2(to_float64(side), norm="ortho") for side in block)
            bands = band_of_frequency(x.shape[-2:], self.edges).to(x.device)
            pairs = {"images": (x, x), "references": (y, y), "both": (x, y)}
            self._add({name: self._sums(*pair, bands) for name, pair in pairs.items()})

    def _sums(self, x: Tensor, y: Tensor, bands: Tensor) -> Tensor:
        """The sum of the real part of ``x`` times the conjugate of ``y`` in each band."""
        products = (x * y.conj()).real.sum(dim=(0, 1))
        sums = products.new_zeros(len(self.edges) + 2)
        return sums.index_add_(0, bands.flatten(), products.flatten())[1:].cpu()

    def compute(self) -> BandMeasures:
        """The figures of all images."""
        energy, reference, both = (self._state[name] for name in ("images", "references", "both"))
        empty = (reference < _ROUNDING).nonzero().flatten().tolist()
        if empty:
            raise NotMeasurableError(f"FrequencyBands needs references with energy in every band, got none in {empty}")
        scale = (energy.clamp_min(_ROUNDING) * reference).sqrt()
        correlation = torch.where(energy < _ROUNDING, 0.0, both / scale)
        explained = (2 * both - energy) / reference
        return BandMeasures(reference / reference.sum(), energy / reference, explained, correlation.clamp(-1, 1))


def frequency_bands(images: Tensor, references: Tensor, *, edges: Sequence[float] = (0.25,)) -> BandMeasures:
    """The figures of some images together; see :class:`FrequencyBands`."""
    metric = FrequencyBands(edges)
    metric.update(images, references)
    return metric.compute()


def band_of_frequency(size: Sequence[int], edges: Sequence[float]) -> Tensor:
    """The number of each frequency's band, from 1, ``(H, W)``; 0 is the constant part.

    Example:
        >>> band_of_frequency((1, 8), (0.5,)).tolist()
        [[0, 1, 2, 2, 2, 2, 2, 1]]
    """
    rows, columns = (torch.fft.fftfreq(side, dtype=torch.float64) for side in size)
    radius = 2 * (rows[:, None].square() + columns.square()).sqrt()
    bands = 1 + torch.bucketize(radius, torch.tensor(tuple(edges), dtype=torch.float64), right=True)
    return torch.where(radius > 0, bands, 0)

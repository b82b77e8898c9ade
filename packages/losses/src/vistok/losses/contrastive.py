"""Tell the feature of each image from those of all other images: the local alternative to a relation histogram."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vistok.losses._checks import check_pair, check_positive
from vistok.losses._distributed import gather_constants
from vistok.losses._precision import autocast_off, unit_directions, widen


def contrastive_loss(
    features: Tensor, target: Tensor, *, temperature: float = 1.0, across_ranks: bool = False
) -> Tensor:
    """Functional form of :class:`ContrastiveLoss`; same contract."""
    check_positive("temperature", temperature)
    check_pair("features", features, "target", target, min_dims=2)
    if features.ndim != 2:
        raise ValueError(f"features must have shape (B, C), got {tuple(features.shape)}")
    with autocast_off(features):
        a = unit_directions(widen(features), dim=1)
        b = unit_directions(widen(target.detach()), dim=1)
        candidates, start = gather_constants(b) if across_ranks else (b, 0)
        labels = torch.arange(start, start + a.shape[0], device=a.device)
        return F.cross_entropy(a @ candidates.to(a.dtype).T / temperature, labels)


class ContrastiveLoss(nn.Module):
    r"""InfoNCE: each image's feature against the targets of the whole batch.

    .. math::
        L = -\frac1B \sum_i \log
            \frac{\exp(\cos(z_i, \mathrm{sg}[y_i]) / \tau)}{\sum_j \exp(\cos(z_i, \mathrm{sg}[y_j]) / \tau)}

    Source:
        van den Oord et al. 2018, arXiv:1807.03748, Eq. 4; as the representation loss of FQGAN, arXiv:2411.16681,
        there with ``tau = 1`` and the negatives of one device.

    Args:
        temperature: ``tau``, finite and ``> 0``.
        across_ranks: Take the targets of all ranks as negatives.

    Shape:
        - features: ``(B, C)``, one feature an image, projected to the width of the target.
        - target: ``(B, C)``, from a frozen network.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, log B + 2 / tau]``; ``log B`` when all targets are equal, ``0`` for one image. ``B`` counts the images
        of all ranks with ``across_ranks``.

    Gradient:
        Orthogonal to each feature; none for ``target``, so no gradient travels between ranks.

    Raises:
        ValueError: ``temperature <= 0``, shapes differ or are not ``(B, C)``, the input is empty, or ranks bring
            different numbers of images.
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        With ``across_ranks`` one all-gather of the targets. Equal batches a rank; the mean over ranks is then the
        loss of one rank with the joint batch, and so is its gradient under DDP.

    Example:
        >>> import torch
        >>> eye = torch.eye(2)
        >>> round(ContrastiveLoss()(eye, eye).item(), 4)
        0.3133
    """

    def __init__(self, *, temperature: float = 1.0, across_ranks: bool = False) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        self.temperature, self.across_ranks = temperature, across_ranks

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy of picking each feature's own target."""
        return contrastive_loss(features, target, temperature=self.temperature, across_ranks=self.across_ranks)

"""The one-step refiner of stage II: the decoder's network, called once."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from semtok.config import Prediction, RefinerInput
from semtok.decoder import Decoder
from semtok.prediction import to_image


class Refiner(nn.Module):
    r"""Tokens to an image in one call of a network that starts as a copy of stage I's.

    - ``"constant"``: :math:`\hat x = s - v_\theta(s, c, 1)` from a learned image ``s`` that starts at zero, the mean of
      the noise; deterministic.
    - ``"noise"``: the same from noise :math:`s \sim N(0, I)`: keeps the sampler's input, and its variance.
    - ``"sample"``: :math:`\hat x = s + f_\theta(s, c, 0)` from a sample ``s`` of stage I, with ``f`` zero at the start.

    Where the decoder predicts the image or the noise, the first two are what that says of the image.
    """

    def __init__(
        self, decoder: Decoder, kind: RefinerInput, channels: int, size: int, prediction: Prediction = "velocity"
    ) -> None:
        super().__init__()
        self.kind, self.prediction = kind, prediction
        self.network = copy.deepcopy(decoder)
        self.constant = nn.Parameter(torch.zeros(1, channels, size, size)) if kind == "constant" else None
        if kind == "sample":
            self.network.reset_output()

    def forward(self, start: Tensor, codes: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The image; ``start (B, C, H, W)`` is noise, a sample, or (with ``"constant"``) only says the size."""
        if self.constant is not None:
            constant: Tensor = self.constant
            if constant.shape[-2:] != start.shape[-2:]:
                constant = F.interpolate(constant, size=start.shape[-2:], mode="bicubic", align_corners=False)
            start = constant.expand(codes.shape[0], -1, -1, -1)
        t = torch.full((codes.shape[0],), 0.0 if self.kind == "sample" else 1.0, device=codes.device)
        out: Tensor = self.network(start, codes, t, hidden).float()
        return start + out if self.kind == "sample" else to_image(out, start, t[:, None, None, None], self.prediction)

"""The refiner of stage II: the decoder's network, called once, or a few times from noise."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from semtok.config import RefinerKind
from semtok.decoder import Decoder
from semtok.prediction import NEAREST, to_image, to_velocity
from semtok.tokenizer_config import Prediction
from vistok.generators import solve_mean_flow, uniform_times


class Refiner(nn.Module):
    r"""Tokens to an image in one call, or a few, of a network that starts as a copy of stage I's.

    - ``"constant"``: :math:`\hat x = s - v_\theta(s, c, 1)` from a learned image ``s`` that starts at zero, the mean of
      the noise; deterministic.
    - ``"noise"``: the same from noise :math:`s \sim N(0, I)`: keeps the sampler's input, and its variance.
    - ``"sample"``: :math:`\hat x = s + f_\theta(s, c, 0)` from a sample ``s`` of stage I, with ``f`` zero at the start.
    - ``"sampler"``: from noise in ``num_steps`` even Euler steps, trained through all of them (FlowMo's stage 1B,
      arXiv:2503.11056). Gradients keep what goes into a step and compute the step once more.
    - ``"mean_flow"``: the same steps along the average velocity :math:`u_\theta(z_t, r, t)` of each, which is what the
      network learns: see :mod:`semtok.mean_flow`.

    Where the decoder predicts the image or the noise, velocities are what that says of them.
    """

    def __init__(
        self,
        decoder: Decoder,
        kind: RefinerKind,
        channels: int,
        size: int,
        prediction: Prediction = "velocity",
        *,
        num_steps: int = 1,
    ) -> None:
        super().__init__()
        self.kind, self.prediction, self.num_steps = kind, prediction, num_steps
        self.network = copy.deepcopy(decoder)
        self.constant = nn.Parameter(torch.zeros(1, channels, size, size)) if kind == "constant" else None
        if kind == "sample":
            self.network.reset_output()
        if kind == "mean_flow":
            self.network.learn_spans()

    def forward(self, start: Tensor, codes: Tensor, hidden: Tensor | None = None) -> Tensor:
        """The image; ``start (B, C, H, W)`` is noise, a sample, or (with ``"constant"``) only says the size."""
        if self.kind in ("sampler", "mean_flow"):
            return self._in_steps(start, codes, hidden)
        if self.constant is not None:
            constant: Tensor = self.constant
            if constant.shape[-2:] != start.shape[-2:]:
                constant = F.interpolate(constant, size=start.shape[-2:], mode="bicubic", align_corners=False)
            start = constant.expand(codes.shape[0], -1, -1, -1)
        t = torch.full((codes.shape[0],), 0.0 if self.kind == "sample" else 1.0, device=codes.device)
        out: Tensor = self.network(start, codes, t, hidden).float()
        return start + out if self.kind == "sample" else to_image(out, start, t[:, None, None, None], self.prediction)

    def average_velocity(
        self, x_t: Tensor, r: Tensor, t: Tensor, codes: Tensor, hidden: Tensor | None = None
    ) -> Tensor:
        """The network's velocity of a step from ``t (B,)`` to ``r (B,)``: the mean over it, or that where it begins."""
        output = self.network(x_t, codes, t, hidden, t - r).float()
        nearest = NEAREST if self.kind == "mean_flow" else 0.0  # asked at any time in training
        return to_velocity(output, x_t, t[:, None, None, None], self.prediction, nearest=nearest)

    def _in_steps(self, start: Tensor, codes: Tensor, hidden: Tensor | None) -> Tensor:
        kept = torch.is_grad_enabled() and self.num_steps > 1

        def step(x: Tensor, r: float, t: float) -> Tensor:
            end, begin = (torch.full((x.shape[0],), time, device=x.device) for time in (r, t))
            if not kept:
                return self.average_velocity(x, end, begin, codes, hidden)
            found: Tensor = checkpoint(self.average_velocity, x, end, begin, codes, hidden, use_reentrant=False)
            return found

        return solve_mean_flow(step, start, uniform_times(self.num_steps))

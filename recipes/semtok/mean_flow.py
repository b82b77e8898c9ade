"""Stage II by mean flow: the refiner's network learns the average velocity between any two times, and so one step."""

from typing import NamedTuple

from torch import Tensor, nn

from semtok.refiner import Refiner
from semtok.times import Interval
from vistok.generators import flow_path, mean_flow_target, mean_velocity, velocity_to_data


class MeanFlowOutput(NamedTuple):
    """What the loss needs of one pass, and where the average velocity would lead to."""

    predicted: Tensor
    target: Tensor
    estimate: Tensor


class MeanFlow(nn.Module):
    """The refiner as it learns: one forward pass, so that a data-parallel wrapper sees all of it."""

    def __init__(self, refiner: Refiner) -> None:
        super().__init__()
        self.refiner = refiner

    def forward(self, x: Tensor, noise: Tensor, times: Interval, codes: Tensor, hidden: Tensor) -> MeanFlowOutput:
        """The average velocity from the times ``t`` back to ``r``, and what it is to be."""
        earlier, later = (time[:, None, None, None] for time in times)
        path = flow_path(x, noise, later)

        def network(x_t: Tensor, r: Tensor, t: Tensor) -> Tensor:
            return self.refiner.average_velocity(x_t, r, t, codes, hidden)

        found = mean_velocity(network, path.x_t, times.r, times.t, path.velocity)
        target = mean_flow_target(path.velocity, found.derivative, earlier, later)
        return MeanFlowOutput(found.value, target, velocity_to_data(found.value, path.x_t, later).detach())

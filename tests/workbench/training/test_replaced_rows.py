"""Rows that were set from outside begin anew, in the average and for the optimizer."""

import torch

from _support.mutants import catches
from vistok.workbench.training.replaced_rows import follow_replaced_rows

SUBJECT = "vistok.workbench.training.replaced_rows"


@catches(SUBJECT, "averaged.data[rows] = parameter.data[rows]", "pass")
@catches(SUBJECT, "averaged.data[rows] = parameter.data[rows]", "parameter.data[rows] = averaged.data[rows]")
@catches(SUBJECT, "moment[rows] = 0.0", "moment[:1] = 0.0")
@catches(SUBJECT, "if moment.shape == parameter.shape:", "if moment.ndim == 0:")
def test_the_average_takes_the_rows_and_the_optimizer_forgets_their_moments_alone():
    parameter, averaged = torch.nn.Parameter(torch.ones(4, 2)), torch.nn.Parameter(torch.zeros(4, 2))
    optimizer = torch.optim.Adam([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    kept = parameter.detach().clone()
    follow_replaced_rows(parameter, averaged, torch.tensor([1, 3]), optimizer)
    assert torch.equal(parameter, kept)
    assert torch.equal(averaged[[1, 3]], kept[[1, 3]])
    assert not averaged[[0, 2]].any()
    state = optimizer.state[parameter]
    assert state["step"] == 1
    for name in ("exp_avg", "exp_avg_sq"):
        assert not state[name][[1, 3]].any()
        assert state[name][[0, 2]].all()


def test_before_the_first_step_there_is_nothing_to_forget():
    parameter = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = torch.optim.Adam([parameter])
    follow_replaced_rows(parameter, parameter, torch.tensor([0]), optimizer)
    assert parameter not in optimizer.state

"""The average of a network's weights, by hand."""

import torch

from _support.mutants import catches
from vistok.workbench.training.weight_average import weight_average

SUBJECT = "vistok.workbench.training.weight_average"


def set_to(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


@catches(SUBJECT, "get_ema_multi_avg_fn(decay)", "get_ema_multi_avg_fn(1 - decay)")
@catches(SUBJECT, "multi_avg_fn=move_local", "")
def test_each_step_moves_the_average_by_what_does_not_decay():
    """The first update copies: what the network began with is in no average."""
    model = torch.nn.Linear(2, 1)
    average = weight_average(model, 0.75)
    for value, expected in ((8.0, 8.0), (0.0, 6.0), (2.0, 5.0)):
        set_to(model, value)
        average.update_parameters(model)
        assert average.module.weight.tolist() == [[expected] * 2]
        assert average.module.bias.tolist() == [expected]
    assert model.weight.tolist() == [[2.0, 2.0]]


@catches(SUBJECT, "if decay else None", "if decay < 1 else None")
def test_without_decay_there_is_no_average():
    assert weight_average(torch.nn.Linear(2, 1), 0.0) is None

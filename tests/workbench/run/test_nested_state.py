"""States as trees: tensors are replaced, all else stays."""

import torch

from _support.mutants import catches
from vistok.workbench.run.nested_state import mapped

SUBJECT = "vistok.workbench.run.nested_state"


@catches(SUBJECT, "type(state)(mapped", "list(mapped")
@catches(SUBJECT, "(*place, key)", "(key,)")
@catches(SUBJECT, "(*place, index)", "(*place, index + 1)")
def test_tensors_are_replaced_by_what_is_made_of_their_place_and_value():
    model = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.5, 0.9))
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {"optimizer": optimizer.state_dict(), "steps": 7, "extra": [None, (torch.ones(1), "x")]}
    found = mapped(state, lambda place, tensor: (place, tuple(tensor.shape)))
    assert found["optimizer"]["state"][1]["exp_avg"] == (("optimizer", "state", 1, "exp_avg"), (3,))
    assert found["optimizer"]["param_groups"] == optimizer.state_dict()["param_groups"]
    assert found["extra"] == [None, ((("extra", 1, 0), (1,)), "x")]
    assert found["steps"] == 7

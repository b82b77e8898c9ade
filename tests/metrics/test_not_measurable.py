"""What tells data that do not allow a figure apart from a mistake."""

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import NotMeasurableError, frechet_distance

SUBJECT = "vistok.metrics.not_measurable"


@catches(SUBJECT, "(ValueError)", "(RuntimeError)")
def test_it_is_a_value_error_that_a_mistake_is_not():
    with pytest.raises(ValueError, match="at least 2") as told:
        frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
    assert isinstance(told.value, NotMeasurableError)
    with pytest.raises(ValueError, match="3 and 4") as mistake:
        frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))
    assert not isinstance(mistake.value, NotMeasurableError)

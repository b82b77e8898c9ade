"""Rows of a parameter that were set from outside, such as codes brought back to life."""

from typing import Any

from torch import Tensor


def follow_replaced_rows(parameter: Tensor, averaged: Tensor, rows: Tensor, optimizer: Any) -> None:
    """Give rows that were replaced to the average of the weights, and let the optimizer forget their moments.

    Args:
        parameter: The one that holds the new rows.
        averaged: Its average, or itself where there is none.
        rows: Their indices.
        optimizer: Of the parameter; what it keeps in another shape, such as the number of steps, stays.
    """
    averaged.data[rows] = parameter.data[rows]
    for moment in optimizer.state.get(parameter, {}).values():
        if moment.shape == parameter.shape:
            moment[rows] = 0.0

"""What every streaming metric shares: tensors that updates add to, and that can be kept, restored and merged."""

from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from vistok.metrics._float64 import to_float64
from vistok.metrics.not_measurable import NotMeasurableError

_ROOM = 4096  # rows that may wait, at least


class StreamingMetric:
    """A metric of a stream: batches go in by ``update``, the figure of all of them comes out of ``compute``.

    What is kept are a few tensors on the CPU whose size does not depend on how many batches came (where a class says
    otherwise, its figure needs more). Sums of integers are int64 and exact, others are float64.

    Distributed:
        No collectives. Each rank updates with its own images; then :func:`vistok.metrics.merged_over_ranks`, or any
        other way to bring the :meth:`state_dict` of all together, merges them, in any order: the figure is that of one
        process that saw all images, to the last digit where only integers are summed, else to 1e-10 of its size. An
        image that two ranks saw counts twice.

    Example:
        >>> from vistok.metrics import MeanSquaredError
        >>> black = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
        >>> first, second = MeanSquaredError(), MeanSquaredError()
        >>> first.update(black, black)
        >>> second.update(black + 4, black)
        >>> first.merge(second)
        >>> first.compute()
        8.0
    """

    def __init__(self) -> None:
        self._state = self._empty()

    def _empty(self) -> dict[str, Tensor]:
        """The state before the first batch."""
        raise NotImplementedError

    def _add(self, state: Mapping[str, Tensor]) -> None:
        """Take in another stream's state."""
        for name, value in state.items():
            self._state[name] = self._state[name] + value

    def _need(self, count: int, what: str) -> None:
        if not count:
            raise NotMeasurableError(f"{type(self).__name__} needs at least 1 {what}, got {count}")

    def reset(self) -> None:
        """Forget everything."""
        self._state = self._empty()

    def state_dict(self) -> dict[str, Tensor]:
        """All that was seen, as tensors by name: enough to go on in another process."""
        return {name: value.clone() for name, value in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what :meth:`state_dict` gave, of a metric with the same settings.

        Raises:
            ValueError: Other names, types or shapes than this metric's.
        """
        self._check_names(state)
        for name, mine in self._state.items():
            given = state[name]
            if given.dtype != mine.dtype or not self._fits(given, mine):
                wanted, came = (f"{value.dtype} {tuple(value.shape)}" for value in (mine, given))
                raise ValueError(f"state {name!r} of {type(self).__name__} must be {wanted}, got {came}")
        self._state = {name: state[name].detach().cpu().clone() for name in self._state}

    def merge(self, other: Self) -> None:
        """Take in everything that another metric of the same settings has seen.

        Raises:
            TypeError: It is another kind of metric.
            ValueError: Its settings differ.
        """
        if type(other) is not type(self):
            raise TypeError(f"{type(self).__name__} merges with its own kind, got {type(other).__name__}")
        for name, mine in vars(self).items():
            if not name.startswith("_") and vars(other)[name] != mine:
                raise ValueError(f"both must have the same {name}, got {mine!r} and {vars(other)[name]!r}")
        self._add(other.state_dict())

    def _fits(self, given: Tensor, mine: Tensor) -> bool:
        return given.shape == mine.shape

    def _check_names(self, state: Mapping[str, Tensor]) -> None:
        if set(state) != set(self._state):
            raise ValueError(f"state of {type(self).__name__} must hold {sorted(self._state)}, got {sorted(state)}")


class MeanOfImages(StreamingMetric):
    """Mean of one value an image; its subclasses say which.

    Raises:
        NotMeasurableError: ``compute`` before the first image.

    Example:
        >>> mean = MeanOfImages()
        >>> mean.add(torch.tensor([1.0, 4.0]))
        >>> mean.compute()
        2.5
    """

    def _empty(self) -> dict[str, Tensor]:
        return {"total": torch.zeros((), dtype=torch.float64), "count": torch.zeros((), dtype=torch.int64)}

    def add(self, values: Tensor) -> None:
        """Take in values ``(B,)``, one an image."""
        self._add({"total": to_float64(values.detach()).sum().cpu(), "count": torch.tensor(len(values))})

    @property
    def count(self) -> int:
        """How many images were seen."""
        return int(self._state["count"])

    def compute(self) -> float:
        """The mean over all images."""
        self._need(self.count, "image")
        return float(self._state["total"] / self.count)


class GatheringMetric(StreamingMetric):
    """A metric whose state has rows that are gathered: its subclasses say what is kept of all that came.

    Rows wait in a buffer as large as what is kept: an update costs no pass over all, and no small pieces of memory lie
    about between the large ones of a network.

    Example:
        >>> issubclass(GatheringMetric, StreamingMetric)
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: dict[str, Tensor] = {}
        self._count_waiting = 0

    def _condensed(self, rows: dict[str, Tensor]) -> dict[str, Tensor]:
        """What is kept of rows."""
        raise NotImplementedError

    def _add(self, state: Mapping[str, Tensor]) -> None:
        stop = self._count_waiting + _rows(state)
        if not self._waiting or stop > _rows(self._waiting):
            self._condense()
            stop, room = _rows(state), max(_ROOM, _rows(self._state), _rows(state))
            self._waiting = {name: kept.new_empty(room, *kept.shape[1:]) for name, kept in self._state.items()}
        for name, buffer in self._waiting.items():
            buffer[self._count_waiting : stop] = state[name]
        self._count_waiting = stop

    def _condense(self) -> None:
        if self._count_waiting:
            parts = {name: (kept, self._waiting[name][: self._count_waiting]) for name, kept in self._state.items()}
            self._state = self._condensed({name: torch.cat(both) for name, both in parts.items()})
            self._count_waiting = 0

    def _fits(self, given: Tensor, mine: Tensor) -> bool:
        return given.ndim == mine.ndim and given.shape[1:] == mine.shape[1:]

    def reset(self) -> None:
        """Forget everything."""
        self._waiting, self._count_waiting = {}, 0
        super().reset()

    def state_dict(self) -> dict[str, Tensor]:
        """All that is kept, as tensors by name: enough to go on in another process."""
        self._condense()
        return super().state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Continue from what :meth:`state_dict` gave, of a metric with the same settings."""
        super().load_state_dict(state)
        self._waiting, self._count_waiting = {}, 0


def _rows(state: Mapping[str, Tensor]) -> int:
    return len(next(iter(state.values())))

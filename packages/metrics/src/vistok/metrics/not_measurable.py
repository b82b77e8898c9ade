"""What a measure raises when the data at hand do not allow it, so that a report can leave it out and say why."""


class NotMeasurableError(ValueError):
    """The input is valid, but too small or too uniform for the figure; the message says what it would need.

    Example:
        >>> import torch
        >>> from vistok.metrics import frechet_distance
        >>> frechet_distance(torch.zeros(1, 3), torch.zeros(5, 3))
        Traceback (most recent call last):
        ...
        vistok.metrics.not_measurable.NotMeasurableError: first must hold at least 2 feature vectors, got 1
    """

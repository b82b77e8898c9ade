"""Checks of what a caller passes in: one line that names the argument, what was expected and what came."""

from numbers import Integral

import torch
from torch import Tensor


def check_dense(name: str, tensor: object) -> None:
    """Raise ``TypeError`` unless ``tensor`` is a tensor that is not sparse."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided:
        got = tensor.layout if isinstance(tensor, Tensor) else type(tensor).__name__
        raise TypeError(f"{name} must be a dense tensor, got {got}")


def check_floating(name: str, tensor: Tensor) -> None:
    """Raise ``TypeError`` unless ``tensor`` is dense floating point."""
    check_dense(name, tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be a floating point tensor, got {tensor.dtype}")


def check_integers(name: str, tensor: Tensor) -> None:
    """Raise ``TypeError`` unless ``tensor`` is dense and of integers that an embedding takes."""
    check_dense(name, tensor)
    if tensor.dtype not in (torch.int64, torch.int32):
        raise TypeError(f"{name} must be integers (int64 or int32), got {tensor.dtype}")


def check_labels(labels: Tensor, null_label: int, batch: int | None = None) -> None:
    """Raise unless ``labels`` are ``(B,)`` integers in ``[0, null_label]``, and as many as ``batch`` where given."""
    check_integers("labels", labels)
    if labels.ndim != 1:
        raise ValueError(f"labels must have shape (B,), got {tuple(labels.shape)}")
    if batch is not None and len(labels) != batch:
        raise ValueError(f"labels must have shape ({batch},), a label a sample, got {tuple(labels.shape)}")
    check_range("labels", labels, null_label)


def check_not_empty(labels: Tensor) -> None:
    """Raise unless there is a sample: a loss is a mean over them."""
    if not len(labels):
        raise ValueError("labels must hold at least 1, a label a sample, got 0")


def check_ids(tokens: Tensor, sizes: tuple[int, ...]) -> None:
    """Raise unless ``tokens`` are ``(B, T, K)`` integers, on the last axis below the size of each stream or unit."""
    for unit, size in enumerate(sizes):
        check_range(f"tokens[..., {unit}]", tokens[..., unit], size - 1)


def check_range(name: str, values: Tensor, highest: int) -> None:
    """Raise unless integers lie in ``[0, highest]``.

    Nothing waits for a CUDA device: there, and in a compiled graph, a wrong value fails an assertion on the device that
    carries the message. The meta device has no values to check.
    """
    expected = f"{name} must lie in [0, {highest}]"
    if values.is_meta or values.numel() == 0:
        return
    if torch.compiler.is_compiling() or values.is_cuda:
        torch._assert_async(((values >= 0) & (values <= highest)).all(), expected)
        return
    low, high = (int(end) for end in values.aminmax())
    if low < 0 or high > highest:
        raise ValueError(f"{expected}, got values from {low} to {high}")


def check_certain(name: str, largest: Tensor) -> None:
    """Raise unless the largest of each row of logits is finite: NaN and an infinite certainty are no distribution.

    Waits for no CUDA device, as :func:`check_range`.
    """
    expected = f"{name} must have a finite maximum"
    if largest.is_meta or largest.numel() == 0:
        return
    finite = torch.isfinite(largest)
    if torch.compiler.is_compiling() or largest.is_cuda:
        torch._assert_async(finite.all(), expected)
    elif not bool(finite.all()):
        raise ValueError(f"{expected}, got {largest[~finite][0].item()}")


def check_whole(name: str, value: object, lowest: int) -> None:
    """Raise ``ValueError`` unless ``value`` is an integer of at least ``lowest``."""
    if not isinstance(value, Integral) or value < lowest:
        raise ValueError(f"{name} must be an integer >= {lowest}, got {value!r}")


def check_length(num_tokens: int | None, length: int) -> int:
    """How many positions to draw, by default all; raise ``ValueError`` unless there are so many."""
    if num_tokens is not None and not (isinstance(num_tokens, Integral) and 1 <= num_tokens <= length):
        raise ValueError(f"num_tokens must lie in 1..{length} (the number of positions), got {num_tokens!r}")
    return length if num_tokens is None else num_tokens


def check_share(name: str, value: float) -> None:
    """Raise ``ValueError`` unless a probability lies in ``[0, 1)``."""
    if not 0 <= value < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value}")


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of ``choices``."""
    if value not in choices:
        *first, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, got {value!r}")

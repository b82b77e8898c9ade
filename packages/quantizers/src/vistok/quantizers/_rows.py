"""Between the caller's layout and rows of channels."""

from collections.abc import Mapping
from numbers import Integral

import torch
from torch import Tensor

#: Whether ``torch.export`` looks, whose graphs hold no loop over a number of rows that is not known yet. torch 2.5 does
#: not tell.
is_exporting = getattr(torch.compiler, "is_exporting", lambda: False)


def check_dense(name: str, x: object, owner: str) -> None:
    """Raise ``TypeError`` unless ``x`` is a tensor that is not sparse."""
    if not isinstance(x, Tensor) or x.layout != torch.strided:
        got = x.layout if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"{owner}: {name} must be a dense tensor, got {got}")


def check_sizes(owner: str, sizes: Mapping[str, object]) -> None:
    """Raise ``ValueError`` unless all ``sizes`` are whole numbers from 1 on."""
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"{owner}: {name} must be a whole number of at least 1, got {size!r}")


def check_features(z: Tensor, channel_dim: int, channels: int, owner: str) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``z`` is a float tensor with ``channels`` at ``channel_dim``."""
    check_dense("z", z, owner)
    if not z.is_floating_point():
        raise TypeError(f"{owner}: z must be a floating-point tensor, got {z.dtype}")
    if z.ndim < 2 or not -z.ndim <= channel_dim < z.ndim:
        raise ValueError(
            f"{owner}: z must have at least 2 dimensions and a dimension {channel_dim} (channel_dim), "
            f"got shape {tuple(z.shape)}"
        )
    if z.shape[channel_dim] != channels:
        raise ValueError(
            f"{owner}: z must have {channels} channels at channel_dim={channel_dim}, got shape {tuple(z.shape)}"
        )


def check_indices(
    indices: Tensor, owner: str, size: int, per_token: int | None = None, *, channel_dim: int | None = None
) -> None:
    """Raise ``TypeError`` or ``ValueError`` unless ``indices`` lie in ``0 .. size - 1``, ``per_token`` last.

    ``per_token=None`` is one index a token and no dimension for it.
    With a ``channel_dim`` also unless the codes of the indices have that dimension.
    The range is checked without waiting for a CUDA device: there, and in a compiled graph, a wrong index fails an
    assertion on the device that carries the message.
    """
    check_dense("indices", indices, owner)
    if indices.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint16, torch.uint8):
        raise TypeError(f"{owner}: indices must be an integer tensor, got {indices.dtype}")
    if per_token is not None and (indices.ndim == 0 or indices.shape[-1] != per_token):
        raise ValueError(
            f"{owner}: the last dimension of indices must be {per_token} (indices a token), "
            f"got shape {tuple(indices.shape)}"
        )
    least = 1 if per_token is None else 2
    ndim = indices.ndim + 2 - least  # of the codes
    if channel_dim is not None and (ndim < 2 or not -ndim <= channel_dim < ndim):
        raise ValueError(
            f"{owner}: indices must be at least {least}-dimensional, with codes that have a dimension {channel_dim} "
            f"(channel_dim), got shape {tuple(indices.shape)}"
        )
    _check_range(indices, owner, size)


def grouped(num_groups: int) -> int | None:
    """What :func:`check_indices` takes as ``per_token`` where a single group has no dimension of its own."""
    return num_groups if num_groups > 1 else None


def check_token_block(token_block: int | None, owner: str) -> None:
    """Raise ``ValueError`` unless ``token_block`` is at least 1, or ``None``."""
    if token_block is not None and token_block < 1:
        raise ValueError(f"{owner}: token_block must be at least 1, got {token_block}")


def _check_range(indices: Tensor, owner: str, size: int) -> None:
    expected = f"{owner}: indices must lie in 0 .. {size - 1}"
    if indices.is_meta or indices.numel() == 0:
        return
    if torch.compiler.is_compiling() or indices.is_cuda:
        wide = indices.long()
        torch._assert_async(((wide >= 0) & (wide < size)).all(), expected)
        return
    low, high = (int(end) for end in indices.long().aminmax())  # which torch has not for uint16
    if low < 0 or high >= size:
        raise ValueError(f"{expected}, got values from {low} to {high}")


def finite_rows(rows: Tensor) -> Tensor:
    """Return the rows of finite values; all of them on the meta device, where there are no values."""
    return rows if rows.is_meta else rows[rows.isfinite().all(1)]


def random_order(count: int, generator: torch.Generator | None) -> Tensor:
    """Draw an order of ``count`` rows, on the generator's device; by the global generator if ``None``."""
    return torch.randperm(count, generator=generator, device="cpu" if generator is None else generator.device)


def channels_last(z: Tensor, channel_dim: int) -> Tensor:
    """Move the channels to the last dimension."""
    return z.movedim(channel_dim, -1)


def channels_back(rows: Tensor, channel_dim: int) -> Tensor:
    """Undo :func:`channels_last`."""
    return rows.movedim(-1, channel_dim)

"""Float64 on devices that have none."""

from torch import Tensor


def to_float64(values: Tensor) -> Tensor:
    """Values in float64; on the CPU where their device has no float64, as Apple's GPUs."""
    return on_float64_device(values).double()


def on_float64_device(values: Tensor) -> Tensor:
    """Values as they are; on the CPU where their device has no float64."""
    return values.cpu() if values.device.type == "mps" else values

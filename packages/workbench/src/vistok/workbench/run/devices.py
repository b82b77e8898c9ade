"""The device of a command: CUDA where there is one, else the CPU."""

import inspect
import logging
from dataclasses import dataclass

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from vistok.workbench.run.processes import LONGEST_WAIT, check_launcher, without_accelerates_sharding

logger = logging.getLogger(__name__)


def best_device() -> torch.device:
    """The first CUDA device where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_in_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 take no longer there than in float32: on a card, and on a CPU with AVX-512."""
    if device.type != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()  # type: ignore[no-any-return]


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor on a device; the CPU does not wait while it is copied to CUDA."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


class Arriving:
    """A tensor on its way to the CPU, which waits for it only to read it."""

    def __init__(self, tensor: Tensor) -> None:
        self._values = tensor.to("cpu", non_blocking=True)
        self._event: torch.cuda.Event | None = None
        if tensor.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def read(self) -> Tensor:
        """The tensor, on the CPU."""
        if self._event is not None:
            self._event.synchronize()
        return self._values


def open_accelerator(*, find_unused_parameters: bool = False) -> Accelerator:
    """The accelerator of a training: CUDA where there is one, else the CPU; buffers stay each process's own.

    Says once how many processes take part. They wait for each other, such as for the first to compute what all read,
    as long as that takes.

    Args:
        find_unused_parameters: For networks of which a forward pass leaves parameters out.

    Raises:
        ConfigError: The launcher's configuration has settings of its own (:func:`check_launcher`).
    """
    check_launcher()
    parallel = _DataParallelOptions(find_unused_parameters=find_unused_parameters)
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters:
        parallel.forward_sync_buffers = False
    else:  # the name before torch 2.13
        parallel.broadcast_buffers = False
    waiting = InitProcessGroupKwargs(timeout=LONGEST_WAIT)
    with without_accelerates_sharding():
        accelerator = Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[waiting])
    accelerator.ddp_handler = parallel  # as a constructor's argument it would have to be accelerate's own class
    accelerator.wait_for_everyone()  # one that ended at once would close the connection another is still opening
    if accelerator.is_main_process:
        count = accelerator.num_processes
        logger.info("training in %d process%s on %s", count, "es" * (count > 1), accelerator.device.type)
    return accelerator


@dataclass
class _DataParallelOptions(DistributedDataParallelKwargs):
    """With the option that torch 2.13 put in the place of ``broadcast_buffers``."""

    forward_sync_buffers: bool | None = None

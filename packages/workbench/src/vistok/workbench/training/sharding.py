"""Weights divided among processes (FSDP2): each keeps its part of every weight, gradient, moment and average.

What only a sharded training needs of torch is imported by it: that takes half a second of every command otherwise.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn

from vistok.workbench.training.blocks import blocks_of


def shard(network: nn.Module, accelerator: Accelerator, *, replicated: type[nn.Module] | None = None) -> None:
    """Divide the weights of a network among the processes, in place; one process keeps all of them.

    Blocks gather their weights when they run, and the rest does when the network is called: from here on the network
    must be called as a whole. Build its optimizer afterwards, on what ``parameters()`` are then.

    Args:
        network: With equal weights on all processes.
        accelerator: Says how many processes there are, and on which kind of device.
        replicated: Modules of this class stay whole on each process, such as a quantizer, whose rows are set from
            outside; :func:`vistok.workbench.training.update.micro_steps` averages their gradients.
    """
    if accelerator.num_processes == 1:
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
    kinds = () if replicated is None else (replicated,)
    kept = {p for module in network.modules() if isinstance(module, kinds) for p in module.parameters()}
    kept |= {p for p in network.parameters() if p.ndim == 0}  # which cannot be divided
    for parameter in set(network.parameters()) - kept:
        parameter.data = parameter.data.contiguous()
    for part in (*blocks_of(network), network):
        fully_shard(part, mesh=mesh, ignored_params=kept)


def is_sharded(item: Any) -> bool:
    """Whether it is a network that :func:`shard` divided."""
    return isinstance(item, nn.Module) and any(map(is_divided, item.parameters()))


def is_divided(tensor: Any) -> bool:
    """Whether a tensor is divided among the processes (a ``DTensor``)."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Any) -> Any:
    """This process's part of a tensor that is divided, or the tensor."""
    return tensor.to_local() if is_divided(tensor) else tensor


def whole(tensor: Any) -> Any:
    """All of a tensor that is divided, gathered by all processes, or the tensor."""
    return tensor.full_tensor() if is_divided(tensor) else tensor


def by_kind(tensors: Any) -> Iterator[list[Any]]:
    """Tensors that are divided, and those that are whole: operations on lists of tensors take one kind at a time."""
    tensors = list(tensors)
    for divided in (True, False):
        if found := [tensor for tensor in tensors if is_divided(tensor) == divided]:
            yield found


def average_replicated(parameters: Iterable[nn.Parameter], accelerator: Accelerator) -> None:
    """Average the gradients of weights that are whole on each process; those of divided ones are averaged already."""
    for parameter in parameters:
        if parameter.grad is not None and not is_divided(parameter):
            parameter.grad = accelerator.reduce(parameter.grad, "mean")


def clip_gradients(parameters: Iterable[nn.Parameter], clip_norm: float) -> None:
    """Scale all gradients together so that their norm is at most ``clip_norm``, over the parts of all processes."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = [torch.nn.utils.get_total_norm(kind) for kind in by_kind(gradients)]
    total = torch.stack([whole(norm) for norm in norms]).norm()
    scale = (clip_norm / (total + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
    for gradient in gradients:
        local(gradient).mul_(scale)


def step_by_kind(optimizer: torch.optim.Optimizer) -> None:
    """A step of an optimizer of divided and whole weights, as its kernels take one kind at a time."""
    groups = optimizer.param_groups
    optimizer.param_groups = [{**group, "params": kind} for group in groups for kind in by_kind(group["params"])]
    try:
        optimizer.step()
    finally:
        optimizer.param_groups = groups

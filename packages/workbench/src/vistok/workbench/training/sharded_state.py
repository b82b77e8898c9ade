"""The state of networks that are sharded: gathered whole, or each process's part of it, wherever it was saved."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vistok.workbench.run.nested_state import Place, mapped
from vistok.workbench.training.sharding import is_divided, whole


def whole_state(network: nn.Module, *, keep: bool) -> dict[str, Tensor]:
    """The state of a network with all weights whole, gathered tensor by tensor; all processes take part.

    Args:
        network: Sharded or not.
        keep: Whether this process wants it; the others get an empty one.
    """
    state = {}
    for name, tensor in network.state_dict().items():
        full = whole(tensor)
        if keep:
            state[name] = full.cpu() if is_divided(tensor) else full
    return state


def save_whole(network: Any, folder: Path, *, writes: bool) -> None:
    """``save_pretrained`` of a network with all weights whole; all processes take part, and one writes."""
    weights = whole_state(network, keep=writes)
    if writes:
        network.save_pretrained(folder, state_dict=weights)


def load_whole(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Fill a network, sharded or not, with weights that each process has whole."""
    network.load_state_dict(Patterns({"": network}).divide({"": state})[""])


class Patterns:
    """How the tensors in a state of objects are divided among the processes, and how they lie in memory.

    An optimizer's are those of its weights: its kernels go through both side by side, whatever their strides say.

    Args:
        objects: Networks and optimizers by name, sharded or not.
    """

    def __init__(self, objects: Mapping[str, Any]) -> None:
        self._found: dict[Place, Any] = {}
        for name, item in objects.items():
            held: dict[Place, Any]
            if isinstance(item, torch.optim.Optimizer):
                weights = itertools.chain.from_iterable(group["params"] for group in item.param_groups)
                held = {(name, "state", index): weight for index, weight in enumerate(weights)}
            else:
                held = {(name, key): tensor for key, tensor in item.state_dict().items()}
            self._found |= held

    def like(self, place: Place, size: torch.Size) -> Any:
        """The tensor that the one at a place is like; none where nothing says so."""
        pattern = self._found.get(place, self._found.get(place[:3]))
        return pattern if pattern is not None and pattern.shape == size else None

    def divide(self, state: dict[str, Any]) -> dict[str, Any]:
        """A state with each process's part of what is whole in it; the same one where nothing is divided."""
        divided: dict[str, Any] = mapped(state, self._divided) if any(map(is_divided, self._found.values())) else state
        return divided

    def _divided(self, place: Place, tensor: Tensor) -> Tensor:
        pattern = self.like(place, tensor.shape)
        if not is_divided(pattern) or is_divided(tensor):
            return tensor
        from torch.distributed.tensor import distribute_tensor

        whole = tensor.contiguous()  # as what is divided lies
        return distribute_tensor(whole, pattern.device_mesh, pattern.placements, src_data_rank=None)

"""What one training step takes: FLOPs, the most bytes held at once, and those kept for the backward pass."""

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_aten = torch.ops.aten


class Counts(NamedTuple):
    """What a step took on one device.

    Attributes:
        flops: Of products, convolutions and attention, forward and backward; a product and its sum are two.
        flops_float32: Those of them in float32, which a card computes at another rate.
        peak: The most bytes held at once, all networks and what was held before included.
        peak_without_gradients: The most bytes held at once besides the parameters' gradients.
        saved: The most bytes held at once for a backward pass, parameters left out, what is shared counted once.
    """

    flops: int
    flops_float32: int
    peak: int
    peak_without_gradients: int
    saved: int


def count(step: Callable[[], object], held: Iterable[Tensor], learning: Iterable[nn.Module]) -> Counts:
    """Count one step.

    Args:
        step: Runs it, on the meta device for counts that take no memory; on the CPU the counts are the same.
        held: What is there before the step: parameters, buffers, states of optimizers, averages.
        learning: The networks whose parameters get gradients.
    """
    before, weights = list(held), [p for network in learning for p in network.parameters()]
    device = weights[0].untyped_storage().device.type
    memory, saved = LiveBytes(device), LiveBytes(device)
    for tensor in before:
        memory.hold(tensor)
    kept = {_place(tensor) for tensor in before}

    def save(tensor: Tensor) -> Tensor:
        if _place(tensor) not in kept:
            saved.hold(tensor)
        return tensor

    hooks = [p.register_post_accumulate_grad_hook(memory.gradient) for p in weights if p.requires_grad]
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [hook.remove() for hook in hooks])
        flops = stack.enter_context(counted_flops())
        stack.enter_context(memory)
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor))
        step()
    wide = sum(flops.get(dtype, 0) for dtype in (torch.float32, torch.float64))
    return Counts(sum(flops.values()), wide, memory.peak, memory.peak_without_gradients, saved.peak)


@contextlib.contextmanager
def counted_flops() -> Iterator[dict[torch.dtype, int]]:
    """FLOPs by the precision of what is multiplied, as torch's counter has them, with the fused attention of CPUs."""
    with FlopCounterMode(display=False, custom_mapping=_CPU_ATTENTION) as counter:
        with _ByPrecision(counter) as split:
            yield split.found


class _ByPrecision(TorchDispatchMode):
    """Tells the FLOPs of a counter that is outside of it apart by the first tensor of each operation."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()
        self.counter, self.found = counter, dict[torch.dtype, int]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked and see what the counter made of it."""
        before = self.counter.get_total_flops()
        out = function(*args, **(kwargs or {}))
        if flops := self.counter.get_total_flops() - before:
            dtype = next(leaf.dtype for leaf in tree_leaves(args) if isinstance(leaf, Tensor))
            self.found[dtype] = self.found.get(dtype, 0) + flops
        return out


class LiveBytes(TorchDispatchMode):
    """How many bytes the tensors hold that are alive, as an allocator would that gives away just what is asked for.

    Attributes:
        now: Bytes held.
        peak: The most so far.
        peak_without_gradients: The most so far besides gradients.

    Args:
        device: The kind of device whose bytes count.
    """

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.now = self.peak = self.peak_without_gradients = 0
        self._gradients = 0
        self._alive: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do what is asked and hold what came of it."""
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.hold(leaf)
        return out

    def hold(self, tensor: Tensor) -> None:
        """Count a tensor's bytes until nothing refers to them; those that are counted already, once."""
        storage = tensor.untyped_storage()
        place, size = _place(tensor), storage.nbytes()
        if place in self._alive or storage.device.type != self.device:
            return
        self._alive.add(place)
        weakref.finalize(storage, self._free, place, size)
        self.now += size
        self.peak = max(self.peak, self.now)
        self.peak_without_gradients = max(self.peak_without_gradients, self.now - self._gradients)

    def gradient(self, parameter: Tensor) -> None:
        """Take note that a parameter's gradient is one."""
        if parameter.grad is not None:
            storage = parameter.grad.untyped_storage()
            self._gradients += storage.nbytes()
            weakref.finalize(storage, self._free_gradient, storage.nbytes())

    def _free(self, place: int, size: int) -> None:
        self._alive.discard(place)
        self.now -= size

    def _free_gradient(self, size: int) -> None:
        self._gradients -= size


def _place(tensor: Tensor) -> int:
    place: int = tensor.untyped_storage()._cdata
    return place


# Of the fused attention of CPUs; the arguments are the operation's, shapes in the place of tensors.
def _forward_flops(
    query: Any,
    key: Any,
    value: Any,
    dropout_p: Any = 0.0,
    is_causal: Any = False,
    attn_mask: Any = None,
    scale: Any = None,
    out_shape: Any = None,
) -> int:
    return int(sdpa_flop_count(query, key, value))


def _backward_flops(
    gradient: Any,
    query: Any,
    key: Any,
    value: Any,
    out: Any,
    logsumexp: Any,
    dropout_p: Any,
    is_causal: Any,
    attn_mask: Any = None,
    scale: Any = None,
    out_shape: Any = None,
) -> int:
    return int(sdpa_backward_flop_count(gradient, query, key, value))


_CPU_ATTENTION: dict[Any, Callable[..., int]] = {
    _aten._scaled_dot_product_flash_attention_for_cpu: _forward_flops,
    _aten._scaled_dot_product_flash_attention_for_cpu_backward: _backward_flops,
}

"""The sampler of xAR: cells in turn, each from noise, with the finished ones in the cache."""

from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from vistok.generators._random import normal
from vistok.generators.flow.solvers import late_jump_times, solve_ode, solve_sde, uniform_times
from vistok.generators.layers._packed_linear import packed
from vistok.generators.layers.kv_cache import KVCache
from vistok.generators.layers.label_embedding import LabelEmbedding
from vistok.generators.layers.time_embedding import TimeEmbedding
from vistok.generators.sampling._dtypes import layer_dtype
from vistok.generators.sampling.guidance import Guidance, guide


class CellModel(Protocol):
    """A velocity of cells, given those before them: :class:`~vistok.generators.XAR`, as the sampler sees it."""

    in_channels: int
    num_cells: int
    cell_tokens: int
    num_heads: int
    stem: nn.Linear
    labels: LabelEmbedding
    time: TimeEmbedding

    @property
    def null_label(self) -> int: ...

    @property
    def num_blocks(self) -> int: ...

    def run_cells(
        self, cells: Tensor, condition: Tensor, *, first_cell: int, caches: list[KVCache] | None = None
    ) -> Tensor: ...


def sample_cells(
    model: CellModel,
    labels: Tensor,
    num_steps: int,
    guidance: Guidance,
    generator: torch.Generator | None,
    method: Literal["sde", "ode", "heun"],
    use_cache: bool,
) -> Tensor:
    """Cells (B, cells, tokens of a cell, channels) in the dtype of the state."""
    device = labels.device
    state_dtype = torch.float32 if device.type == "mps" else torch.float64
    last = model.num_cells - 1
    scales = [guidance.at(n / last if last else 1.0) for n in range(model.num_cells)]
    guided = any(scale != 1 for scale in scales)
    context = _Context(model, labels, guided, use_cache)
    done: list[Tensor] = []
    for index, scale in enumerate(scales):
        shape = (len(labels), 1, model.cell_tokens, model.in_channels)
        x = normal(shape, device, generator, state_dtype)

        def velocity(x: Tensor, t: float, index: int = index, scale: float = scale) -> Tensor:
            return context.velocity(x, t, index, scale)

        if method == "sde":
            x = solve_sde(velocity, x, late_jump_times(num_steps), generator=generator)
        else:
            x = solve_ode(velocity, x, uniform_times(num_steps), method="euler" if method == "ode" else "heun")
        done.append(x)
        if index < last:
            context.finish(x, index)
    return torch.cat(done, dim=1)


class _Context:
    """The finished cells, as keys and values or (without a cache) as they are; both halves of guidance apart."""

    def __init__(self, model: CellModel, labels: Tensor, guided: bool, use_cache: bool) -> None:
        self.model = packed(model, layer_dtype(model.stem.weight)) if use_cache else model
        self.batch = len(labels)
        self.guided = guided
        if guided:
            labels = torch.cat([labels, torch.full_like(labels, model.null_label)])
        self.labels = model.labels(labels)
        self.dtype = model.stem.weight.dtype
        self.finished: list[Tensor] = []
        self.caches: list[KVCache] | None = None
        if use_cache:
            width = model.stem.out_features
            size = (len(labels), model.num_heads, model.num_cells * model.cell_tokens, width // model.num_heads)
            dtype = layer_dtype(self.labels)
            self.caches = [KVCache(*size, dtype=dtype, device=labels.device) for _ in range(model.num_blocks)]

    def velocity(self, x: Tensor, t: float, index: int, scale: float) -> Tensor:
        """Guided velocity of the cell in work, in the dtype of the state."""
        if scale == 1:
            return self._run(x, t, index, self.batch).to(x.dtype)
        conditional, unconditional = self._run(torch.cat([x, x]), t, index, 2 * self.batch).to(x.dtype).chunk(2)
        return guide(conditional, unconditional, scale)

    def finish(self, x: Tensor, index: int) -> None:
        """Remember a finished cell: it is context at time 0 from now on."""
        if self.guided:
            x = torch.cat([x, x])
        if self.caches is None:
            self.finished.append(x)
        else:
            self._run(x, 0.0, index, len(x))

    def _run(self, x: Tensor, t: float, index: int, batch: int) -> Tensor:
        times = torch.full((batch, 1), t, dtype=torch.float32, device=x.device)
        if self.caches is None and self.finished:
            x = torch.cat([*(cell[:batch] for cell in self.finished), x], dim=1)
            times = torch.cat([times.new_zeros(batch, index), times], dim=1)
        condition = self.labels[:batch, None] + self.model.time(times)
        first = index if self.caches is not None else 0
        out = self.model.run_cells(x.to(self.dtype), condition, first_cell=first, caches=self.caches)
        return out[:, -1:]

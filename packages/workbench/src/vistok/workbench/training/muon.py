"""Muon: momentum whose singular values are brought near one."""

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from vistok.workbench.run.devices import computes_in_bfloat16

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_SMALLEST = 1e-7  # norm that is divided by


class Muon(Optimizer):
    r"""Muon with Nesterov's momentum, decoupled weight decay and the size of Adam's updates.

    .. math::
        B \leftarrow \mu B + (1 - \mu) G, \qquad
        W \leftarrow (1 - \eta \lambda) W - 0.2 \, \eta \sqrt{\max(m, n)} \;
        \mathrm{orthogonalized}((1 - \mu) G + \mu B)

    Source:
        Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the scale: Liu et al. 2025,
        arXiv:2502.16982, Section 2.2. The same as ``torch.optim.Muon`` with ``adjust_lr_fn="match_rms_adamw"``, but for
        two things: matrices of one shape are made orthogonal together, and in float32 where the processor has no
        products in bfloat16, which takes most of a step there.

    Args:
        groups: Parameter groups of matrices, or matrices.
        lr: :math:`\eta`.
        momentum: :math:`\mu`.
        weight_decay: :math:`\lambda`.
    """

    def __init__(self, groups: Any, *, lr: float = 1e-3, momentum: float = 0.95, weight_decay: float = 0.0) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient."""
        for group in self.param_groups:
            alike: dict[Any, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    update = self._with_momentum(matrix, matrix.grad, group["momentum"])
                    alike[matrix.shape, matrix.device].append((matrix, update))
            for matrices in alike.values():
                self._update(matrices, group["lr"], group["weight_decay"])

    def _with_momentum(self, matrix: nn.Parameter, gradient: Tensor, momentum: float) -> Tensor:
        state = self.state[matrix]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)

    @staticmethod
    def _update(matrices: list[tuple[nn.Parameter, Tensor]], rate: float, weight_decay: float) -> None:
        updates = orthogonalized(torch.stack([update for _, update in matrices]))
        for (matrix, _), update in zip(matrices, updates.to(matrices[0][0].dtype), strict=True):
            scale = 0.2 * max(matrix.shape) ** 0.5
            matrix.mul_(1 - rate * weight_decay).add_(update, alpha=-rate * scale)


def orthogonalized(matrices: Tensor) -> Tensor:
    r"""Matrices ``(K, m, n)`` with the same singular vectors and singular values between about 0.7 and 1.2.

    Five times :math:`X \leftarrow a X + (b A + c A^2) X` with :math:`A = X X^T`, from the matrix over its norm: a
    Newton-Schulz iteration whose coefficients are chosen for a steep start, not for a limit of one. In bfloat16, which
    is exact enough for that, where the device has products in it.
    """
    a, b, c = _COEFFICIENTS
    lower = computes_in_bfloat16(matrices.device)
    x = matrices.to(torch.bfloat16 if lower else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(_SMALLEST)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x

"""Nearest-code search in blocks: nothing of size tokens x codes is ever held."""

from typing import Literal

import torch
from torch import Tensor

from vistok.quantizers._precision import autocast_off, unit
from vistok.quantizers._rows import check_dense, is_exporting

Metric = Literal["cosine", "euclidean"]
Search = Literal["cosine", "euclidean", "dot"]
GROUP = 32
"""Codes whose best score is found by one vectorised maximum; the winner is looked for only inside its group."""


def nearest_codes(
    rows: Tensor,
    codebook: Tensor,
    *,
    metric: Search = "euclidean",
    token_block: int | None = None,
    code_block: int | None = None,
) -> Tensor:
    r"""Find the code nearest to each row.

    .. math::
        i(z) = \arg\max_k \; z \cdot c_k - \tfrac12 \lVert c_k \rVert^2 \quad\text{(euclidean)}, \qquad
        i(z) = \arg\max_k \; \frac{z \cdot c_k}{\lVert c_k \rVert} \quad\text{(cosine)}, \qquad
        i(z) = \arg\max_k \; z \cdot c_k \quad\text{(dot)}

    (Euclidean scores are taken from a point amid the codes, so that a common offset costs no digits.)
    The largest score of every group of 32 neighbouring codes is taken first (a maximum without positions is
    the fast one), the best group is chosen, and only its codes are scored again to find the winner.

    Source:
        van den Oord et al. 2017, arXiv:1711.00937, Eq. 1; cosine as in Yu et al. 2021, arXiv:2110.04627, Sec. 3.2.

    Args:
        rows: Vectors to look up.
        codebook: The codes. A zero code counts as a vector of cosine 0 to everything.
        metric: ``"euclidean"``, ``"cosine"`` or ``"dot"``.
        token_block: Rows scored at a time; the default suits the device.
        code_block: Codes scored at a time, rounded up to a multiple of 32; the default suits the device.

    Shape:
        - rows: ``(n, d)``, any float dtype, ``n`` may be 0.
        - codebook: ``(K, d)``, any float dtype.
        - result: ``(n,)``, int64.

    Range:
        ``0 .. K - 1``, also for input that is not finite. Of equal scores the lowest index wins. The result does
        not depend on the block sizes (scores that differ by float32 rounding only count as equal).

    Gradient:
        None; the search runs in float32 inside any autocast.

    (A graph of ``torch.export`` holds all scores at once: it has no loop over blocks, and needs no operator of ours.)

    Raises:
        TypeError: ``rows`` or ``codebook`` is not a dense tensor.
        ValueError: the shapes do not fit, the codebook is empty, a block size is not positive or the metric unknown.

    Example:
        >>> import torch
        >>> nearest_codes(torch.tensor([[0.9, 0.1], [0.0, -2.0]]), torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        tensor([0, 1])
    """
    _check(rows, codebook, metric, token_block, code_block)
    small = rows.device.type == "cpu"
    token_block = token_block or (256 if small else 4096)
    code_block = -(-(code_block or (1024 if small else 4096)) // GROUP) * GROUP
    if is_exporting():
        return _search_at_once(rows.detach(), codebook.detach(), metric)
    search = _search_as_operator if torch.compiler.is_compiling() else _search
    return search(rows.detach(), codebook.detach(), metric, token_block, code_block)


def _search(rows: Tensor, codebook: Tensor, metric: str, token_block: int, code_block: int) -> Tensor:
    """Search block after block of rows."""
    with torch.no_grad(), autocast_off(rows):
        rows, codebook, bias = _as_products(rows, codebook, metric)
        token_block = max(1, min(token_block, rows.shape[0]))
        code_block = min(code_block, -(-codebook.shape[0] // GROUP) * GROUP)
        scores = rows.new_empty(code_block * token_block)
        tops = rows.new_empty(-(-codebook.shape[0] // GROUP) * token_block)
        found = rows.new_empty(rows.shape[0], dtype=torch.int64)
        for part, result in zip(rows.split(token_block), found.split(token_block), strict=True):
            _search_block(part, codebook, bias, scores, tops, result)
        return found


def _search_at_once(rows: Tensor, codebook: Tensor, metric: str) -> Tensor:
    """Search by one product: what an exported graph holds, where no operator of ours and no loop over blocks can be."""
    with torch.no_grad(), autocast_off(rows):
        rows, codebook, bias = _as_products(rows, codebook, metric)
        return torch.addmm(bias.t(), rows, codebook.t()).argmax(1)


def _as_products(rows: Tensor, codebook: Tensor, metric: str) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, codes and biases ``(K, 1)`` in float32 such that the nearest code has the largest product plus bias."""
    rows, codebook = rows.float(), codebook.float()
    if metric == "cosine":
        codebook = unit(codebook)
    bias = codebook.new_zeros(codebook.shape[0], 1)
    if metric == "euclidean":
        centre = _centre(codebook)
        rows, codebook = rows - centre, codebook - centre
        bias = torch.linalg.vecdot(codebook, codebook).unsqueeze(1).mul_(-0.5)
    return rows, codebook, bias


def _centre(codebook: Tensor) -> Tensor:
    """Return a point amid the codes, so that a common offset does not cancel the digits of the distances.

    It is rounded to a power of two above the spread: subtracting it from small whole numbers stays exact.
    """
    mean = codebook.mean(0)
    spread = (codebook - mean).abs().amax((0, 1))
    unit_of_grid = torch.exp2(spread.log2().ceil())
    return torch.where(spread > 0, torch.round(mean / unit_of_grid) * unit_of_grid, mean)


# One operator in a compiled graph: the same arithmetic as eager, and no loop over blocks to unroll.
_search_as_operator = torch.library.custom_op("vistok_quantizers::nearest_codes", _search, mutates_args=())


@_search_as_operator.register_fake
def _(rows: Tensor, codebook: Tensor, metric: str, token_block: int, code_block: int) -> Tensor:
    return rows.new_empty(rows.shape[0], dtype=torch.int64)


def _search_block(rows: Tensor, codebook: Tensor, bias: Tensor, scores: Tensor, tops: Tensor, found: Tensor) -> None:
    """Fill ``found`` for one block of rows; ``scores`` and ``tops`` are working memory that all blocks share.

    Best score of each group of codes, then the best group, then the best code inside it.
    """
    count, size, full = rows.shape[0], codebook.shape[0], codebook.shape[0] // GROUP * GROUP
    columns, step = rows.t(), scores.numel() // max(1, count) // GROUP * GROUP
    groups = tops[: -(-size // GROUP) * count].view(-(-size // GROUP), count)
    for start in range(0, full, step):
        stop = min(start + step, full)
        part = scores[: (stop - start) * count].view(stop - start, count)
        torch.addmm(bias[start:stop], codebook[start:stop], columns, out=part)
        torch.amax(part.unflatten(0, (-1, GROUP)), 1, out=groups[start // GROUP : stop // GROUP])
    if full < size:
        groups[-1] = torch.addmm(bias[full:], codebook[full:], columns).amax(0)
    group = groups.max(0).indices
    members = (group.unsqueeze(1) * GROUP + torch.arange(GROUP, device=rows.device)).clamp_max_(size - 1)
    again = torch.baddbmm(bias[members], codebook[members], rows.unsqueeze(2)).squeeze(2)
    found.copy_(members.gather(1, again.max(1).indices.unsqueeze(1)).squeeze(1))


def _check(rows: Tensor, codebook: Tensor, metric: str, token_block: int | None, code_block: int | None) -> None:
    check_dense("rows", rows, "nearest_codes")
    check_dense("codebook", codebook, "nearest_codes")
    if rows.ndim != 2 or codebook.ndim != 2 or rows.shape[1] != codebook.shape[1] or codebook.shape[0] == 0:
        raise ValueError(
            f"nearest_codes: rows must be (n, d) and codebook (K, d) with K > 0, "
            f"got {tuple(rows.shape)} and {tuple(codebook.shape)}"
        )
    if metric not in ("cosine", "euclidean", "dot"):
        raise ValueError(f"nearest_codes: metric must be 'cosine', 'euclidean' or 'dot', got {metric!r}")
    for name, value in (("token_block", token_block), ("code_block", code_block)):
        if value is not None and value < 1:
            raise ValueError(f"nearest_codes: {name} must be at least 1, got {value}")

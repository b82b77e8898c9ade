"""Give the codes of a codebook the distribution of pairwise similarities that a teacher has."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from vistok.losses._checks import check_choice, check_features, check_positive
from vistok.losses._counted_pairs import CountedLogSums
from vistok.losses._exact_pairs import ExactLogSums
from vistok.losses._precision import autocast_off, not_below_zero, unit_directions, widen

HistogramNorm = Literal["l1", "l2"]
_NORMS = ("l1", "l2")
# Up to this many tokens evaluating each pair costs no more than the cells; above this alpha the kernel is too sharp
# for the cells. Both are properties of the input's shape and the options, never of its values.
_FEW_TOKENS = 112
_SHARPEST_COUNTED_ALPHA = 3e3


def _check_options(bins: int, alpha: float, norm: str) -> None:
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    check_positive("alpha", alpha)
    check_choice("norm", norm, _NORMS)


def _log_normalised(log_sums: Tensor, norm: HistogramNorm) -> Tensor:
    power = 1.0 if norm == "l1" else 2.0
    return log_sums - torch.logsumexp(power * log_sums, dim=0) / power


def _log_histogram(
    tokens: Tensor, bins: int, alpha: float, norm: HistogramNorm, include_diagonal: bool, exact: bool
) -> Tensor:
    check_features("tokens", tokens)
    if tokens.ndim != 2:
        raise ValueError(f"tokens must have shape (n, d), got {tuple(tokens.shape)}")
    if tokens.shape[0] < 2:
        raise ValueError(f"tokens must hold at least 2 rows to form a pair, got {tokens.shape[0]}")
    with autocast_off(tokens):
        wide = widen(tokens)
        unit = unit_directions(wide, dim=1)
        centres = torch.linspace(-1.0, 1.0, bins, dtype=wide.dtype, device=wide.device)
        evaluate_each = exact or tokens.shape[0] <= _FEW_TOKENS or alpha > _SHARPEST_COUNTED_ALPHA
        pairs = ExactLogSums if evaluate_each else CountedLogSums
        log_sums: Tensor = pairs.apply(unit, centres, alpha, include_diagonal)
        # A non-finite token must not pass as a zero row or an empty cell: it makes the result NaN.
        return _log_normalised(log_sums, norm).to(wide.dtype) + (wide * 0.0).sum()


def relation_histogram(
    tokens: Tensor,
    *,
    bins: int = 40,
    alpha: float = 190.0,
    norm: HistogramNorm = "l1",
    include_diagonal: bool = False,
    exact: bool = False,
) -> Tensor:
    """Soft histogram ``(bins,)`` of the pairwise cosines of ``tokens``: :math:`P` of :class:`HistogramRelationLoss`."""
    _check_options(bins, alpha, norm)
    return _log_histogram(tokens, bins, alpha, norm, include_diagonal, exact).exp()


def _teacher_histogram(
    teacher: Tensor, bins: int, alpha: float, norm: HistogramNorm, include_diagonal: bool, exact: bool
) -> Tensor:
    check_features("teacher", teacher)
    if teacher.ndim == 2:
        with torch.no_grad():
            teacher = _log_histogram(teacher, bins, alpha, norm, include_diagonal, exact).exp()
    if tuple(teacher.shape) != (bins,):
        raise ValueError(f"teacher must be tokens (m, d) or a histogram ({bins},), got shape {tuple(teacher.shape)}")
    histogram = widen(teacher.detach())
    if not histogram.is_meta:
        _check_values(histogram)
    size: Tensor = torch.linalg.vector_norm(histogram, ord=1 if norm == "l1" else 2)
    return histogram / size


def _check_values(histogram: Tensor) -> None:
    valid = torch.isfinite(histogram).all() & (histogram >= 0).all() & (histogram.sum() > 0)
    expected = "teacher must be a histogram of finite values >= 0 with a positive sum"
    if torch.compiler.is_compiling():
        torch._assert_async(valid, expected)
    elif not bool(valid):
        least, most = (end.item() for end in histogram.aminmax())
        raise ValueError(f"{expected}, got values from {least:.3g} to {most:.3g}")


def _divergence(teacher: Tensor, log_student: Tensor, norm: HistogramNorm) -> Tensor:
    with autocast_off(teacher):
        teacher = teacher.to(log_student.dtype)
        # xlogy gives 0 log 0 = 0; a product with -inf is avoided because log_student is always finite.
        divergence = (torch.xlogy(teacher, teacher) - teacher * log_student).sum()
        return not_below_zero(divergence) if norm == "l1" else divergence


def histogram_relation_loss(
    codes: Tensor,
    teacher: Tensor,
    *,
    bins: int = 40,
    alpha: float = 190.0,
    norm: HistogramNorm = "l1",
    include_diagonal: bool = False,
    exact: bool = False,
) -> Tensor:
    """Functional form of :class:`HistogramRelationLoss`; same contract."""
    _check_options(bins, alpha, norm)
    target = _teacher_histogram(teacher, bins, alpha, norm, include_diagonal, exact)
    return _divergence(target, _log_histogram(codes, bins, alpha, norm, include_diagonal, exact), norm)


class HistogramRelationLoss(nn.Module):
    r"""Kullback-Leibler divergence of the teacher's histogram of pairwise cosines from the codebook's.

    .. math::
        p_k = \sum_{i < j} \exp(-\alpha (\cos(t_i, t_j) - b_k)^2), \quad b_k = -1 + \tfrac{2k}{N - 1}, \quad
        P = p / \lVert p \rVert, \quad
        L = \sum_k P^t_k (\log P^t_k - \log P^s_k)

    A regulariser of the codebook matrix alone: it sees no image and its cost does not depend on the batch. The
    teacher's histogram is computed once, at construction.

    Source:
        GloTok, arXiv:2511.14184, Section 3.3, Eqs. 4 to 7 and Algorithm 1. The paper leaves open the norm, the
        reduction and alpha: here the L1 norm (``P`` is a distribution, the divergence is zero at the teacher), the
        sum over bins, and a kernel as wide as the spacing of 40 bins.

    Args:
        teacher: Tokens ``(m, d')`` (any number, any width) or a ready histogram ``(bins,)``, which is normalised.
        bins: Number of bin centres from -1 to 1, at least 2.
        alpha: Sharpness of the kernel, ``> 0``; its standard deviation is ``1 / sqrt(2 alpha)``.
        norm: ``"l1"``, or ``"l2"`` for the literal reading of Algorithm 1, which pulls towards the square root of
            the teacher's histogram.
        include_diagonal: Also count each token against itself (``i <= j``, Eq. 4 as printed).
        exact: Evaluate every pair at every bin. The default counts similarities in fine cells when there are more
            than 112 codes and ``alpha <= 3000``, far faster: within ``1e-5`` of the exact loss, and for spread codes
            within ``1e-4`` of the exact gradient. Where codes lie in tight clusters the gradient's error grows with the
            square of ``alpha``: up to ``2e-4`` at the default, ``3e-2`` at 3000. All are relative; where codes all but
            coincide, or all but oppose each other, float32 leaves less to both, exact or not.

    Shape:
        - codes: ``(n, d)`` with ``n >= 2``, any floating dtype, any row norms.
        - loss: ``()``, float32 (float64 for float64 input).

    Range:
        ``[0, inf)`` with ``"l1"``, ``0`` exactly when the histograms are equal; with ``"l2"`` it can be negative.
        Does not change with the order of the codes nor with the norm of any code. Finite for equal codes, empty
        bins and zero rows (their cosine with everything counts as 0); NaN for a non-finite code.

    Gradient:
        Orthogonal to each code, ``0`` for a zero row, finite wherever the loss is. None for the teacher. First order
        only.

    Raises:
        ValueError: Fewer than 2 codes or not a matrix; ``bins < 2``, ``alpha <= 0``, an unknown ``norm``; a teacher
            that is neither tokens nor a valid histogram of ``bins`` entries (its values in a compiled graph: an
            assertion on the device fails instead).
        TypeError: The input is not a dense floating point tensor.

    Distributed:
        No collectives. Every rank holds the whole codebook and computes the same value.

    Example:
        >>> import torch
        >>> teacher = torch.randn(64, 16, generator=torch.Generator().manual_seed(0))
        >>> codes = torch.randn(32, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
        >>> loss = HistogramRelationLoss(teacher)(codes)
        >>> loss.backward()
        >>> bool(loss > 0), codes.grad.shape
        (True, torch.Size([32, 8]))
    """

    teacher_histogram: Tensor

    def __init__(
        self,
        teacher: Tensor,
        *,
        bins: int = 40,
        alpha: float = 190.0,
        norm: HistogramNorm = "l1",
        include_diagonal: bool = False,
        exact: bool = False,
    ) -> None:
        super().__init__()
        _check_options(bins, alpha, norm)
        self.bins, self.alpha, self.norm = bins, alpha, norm
        self.include_diagonal, self.exact = include_diagonal, exact
        histogram = _teacher_histogram(teacher, bins, alpha, norm, include_diagonal, exact)
        self.register_buffer("teacher_histogram", histogram)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "HistogramRelationLoss":
        """Keep the teacher in float32 or wider: rounded, it is no distribution any more."""
        before = self.teacher_histogram
        super()._apply(fn, recurse)
        if self.teacher_histogram.dtype.itemsize < 4:
            self.teacher_histogram = before.to(self.teacher_histogram.device)
        return self

    def forward(self, codes: Tensor) -> Tensor:
        """Return the divergence of the teacher's histogram from that of ``codes``."""
        student = _log_histogram(codes, self.bins, self.alpha, self.norm, self.include_diagonal, self.exact)
        return _divergence(self.teacher_histogram, student, self.norm)

    def extra_repr(self) -> str:
        """Show the options in ``print(module)``."""
        return (
            f"bins={self.bins}, alpha={self.alpha}, norm={self.norm!r}, "
            f"include_diagonal={self.include_diagonal}, exact={self.exact}"
        )

"""Quality by the number of tokens, over all validation images; and the fewest tokens that an image needs."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from semtok.config import SemTokConfig
from semtok.lengths import doubling
from semtok.model import SemTok
from semtok.reconstruct import in_one_step
from vistok.metrics import NotMeasurableError, psnr, ssim
from vistok.workbench.data import Images
from vistok.workbench.data.image_set import at_a_time

PARTS = (0.25, 0.5, 0.75)  # of the tokens: lengths of every curve
SETS = ("prefix", "scattered")


def curve_lengths(num_tokens: int, asked: Sequence[int] | None) -> list[int]:
    """The lengths of a curve: those asked for, by default doubling ones, and those of :data:`PARTS`."""
    parts = (round(share * num_tokens) for share in PARTS)
    return sorted({*(asked or doubling(num_tokens)), *(length for length in parts if length)})


@torch.no_grad()
def length_curve(
    tokenizer: SemTok, tokens: Tensor, images: Images, lengths: Sequence[int], seed: int
) -> dict[str, list[float]]:
    """PSNR and SSIM of what is decoded from so many tokens, the others hidden: the first ones, or scattered ones.

    Means over all images. Scattered tokens are drawn for each image; more of them contain the fewer. Images smaller
    than SSIM's window have no SSIM.

    Returns:
        ``tokens``, the lengths, and ``prefix_psnr``, ``prefix_ssim``, ``scattered_psnr``, ``scattered_ssim`` of each.
    """
    found: dict[tuple[str, int], list[Tensor]] = defaultdict(list)
    draws = torch.Generator().manual_seed(seed)
    for chunk in torch.arange(len(images)).split(at_a_time(images.image_size)):
        originals, known = images.batch(chunk), tokens[chunk].long()
        scattered = torch.rand(known.shape, generator=draws).argsort(dim=1).argsort(dim=1)
        for kind, rank in zip(SETS, (torch.arange(known.shape[1]).expand_as(scattered), scattered), strict=True):
            for length in lengths:
                noise = torch.Generator().manual_seed(seed)
                made = tokenizer.decode(known, hidden=rank >= length, generator=noise).cpu()
                for name, values in _measured(made, originals).items():
                    found[f"{kind}_{name}", length].append(values)
    curve: dict[str, list[float]] = {"tokens": list(lengths)}
    for (name, _), parts in found.items():
        curve.setdefault(name, []).append(torch.cat(parts).mean().item())
    return curve


def part_measures(curve: Mapping[str, Sequence[float]], num_tokens: int) -> dict[str, float]:
    """Of a curve the PSNR at a quarter, half and three quarters of the tokens."""
    at = {share: round(share * num_tokens) for share in PARTS}
    return {
        f"{kind}_{share:.0%}": curve[f"{kind}_psnr"][curve["tokens"].index(length)]
        for kind in SETS
        for share, length in at.items()
        if length
    }


def length_measures(
    tokenizer: SemTok, tokens: Tensor, images: Images, config: SemTokConfig
) -> dict[str, dict[str, Any]]:
    """All sections of an evaluation that are about lengths, by name; without stage II decoded in stage I's one step."""
    tokenizer = in_one_step(tokenizer)
    most, settings = config.tokenizer.num_tokens, config.reconstruct
    curve = length_curve(tokenizer, tokens, images, curve_lengths(most, settings.lengths), config.seed)
    parts = part_measures(curve, most)
    wanted = settings.wanted_psnr or (parts.get("prefix_50%", curve["prefix_psnr"][-1]),)
    adaptive = adaptive_measures(tokenizer, images, wanted, curve, config.seed)
    first = {str(length): value for length, value in zip(curve["tokens"], curve["prefix_psnr"], strict=True)}
    return {"lengths": curve, "first tokens": first, "parts of the tokens": parts, "adaptive length": adaptive}


class Fewest(NamedTuple):
    """Of each image the number of tokens, ``lengths (B,)`` int64, and the ``psnr (B,)`` that it gives."""

    lengths: Tensor
    psnr: Tensor


@torch.no_grad()
def fewest_tokens(
    tokenizer: SemTok,
    images: Tensor,
    wanted: float,
    *,
    search: Literal["scan", "bisection"] = "scan",
    seed: int = 0,
) -> Fewest:
    r"""The fewest first tokens of each image from which its PSNR is at least ``wanted`` dB.

    - ``"scan"`` tries all lengths from 1 on, until every image of the batch has enough: exactly the fewest. As many
      decodings as the longest of the lengths found.
    - ``"bisection"`` halves the range: :math:`\lceil \log_2 N \rceil + 1` decodings. It finds a length :math:`k` with
      enough, of which :math:`k - 1` has not: the fewest where PSNR rises with every token, which nothing grants. Where
      it falls in between, fewer may be enough.

    An image that never has enough keeps all tokens: its ``psnr`` is below ``wanted``.

    Args:
        tokenizer: In evaluation mode; images are those of :meth:`SemTok.decode`.
        images: ``(B, C, H, W)`` in [-1, 1].
        wanted: dB, on 8-bit pixels.
        search: See above.
        seed: Of the noise that decoding starts from, the same at each length.

    Raises:
        ValueError: Another ``search``, or a ``wanted`` that is not finite.
    """
    if not math.isfinite(wanted):
        raise ValueError(f"wanted: expected a finite number of dB, got {wanted}")
    if search not in ("scan", "bisection"):
        raise ValueError(f"search: expected scan or bisection, got {search!r}")
    tokens = tokenizer.encode(images)
    places, size = torch.arange(tokens.shape[1]), (images.shape[-2], images.shape[-1])

    def quality(lengths: Tensor) -> Tensor:
        noise = torch.Generator().manual_seed(seed)
        made = tokenizer.decode(tokens, hidden=places >= lengths[:, None], size=size, generator=noise)
        return psnr(made.cpu(), images.cpu())

    return (_scanned if search == "scan" else _bisected)(quality, len(images), tokens.shape[1], wanted)


def _scanned(quality: Callable[[Tensor], Tensor], count: int, most: int, wanted: float) -> Fewest:
    lengths = torch.ones(count, dtype=torch.long)
    found = quality(lengths)
    while ((found < wanted) & (lengths < most)).any():
        lengths = torch.where(found < wanted, lengths + 1, lengths).clamp_max(most)
        found = quality(lengths)
    return Fewest(lengths, found)


def _bisected(quality: Callable[[Tensor], Tensor], count: int, most: int, wanted: float) -> Fewest:
    low, high = torch.zeros(count, dtype=torch.long), torch.full((count,), most)
    found = quality(high)
    while (high - low > 1).any():
        middle = ((low + high) // 2).clamp_min(1)
        here = quality(middle)
        enough = here >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
        found = torch.where(enough, here, found)
    return Fewest(high, found)


def adaptive_measures(
    tokenizer: SemTok, images: Images, wanted: Sequence[float], curve: Mapping[str, Sequence[float]], seed: int
) -> dict[str, list[Any]]:
    """Fewest tokens for each wanted PSNR, by bisection, over all images; beside what one length for all would take.

    Returns:
        ``wanted`` and for each of them the mean number of ``tokens``, the share of images that ``reached`` it, the mean
        ``psnr``, and ``tokens_alike``: the length at which the curve of prefixes has that mean, between its points on a
        line; none where it has not.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for each in wanted:
        parts = [
            fewest_tokens(tokenizer, images.batch(chunk), each, search="bisection", seed=seed)
            for chunk in torch.arange(len(images)).split(at_a_time(images.image_size))
        ]
        lengths, quality = torch.cat([part.lengths for part in parts]), torch.cat([part.psnr for part in parts])
        mean = quality.mean().item()
        found["wanted"].append(each)
        found["tokens"].append(lengths.double().mean().item())
        found["reached"].append((quality >= each).double().mean().item())
        found["psnr"].append(mean)
        found["tokens_alike"].append(length_at(mean, curve["tokens"], curve["prefix_psnr"]))
    return dict(found)


def length_at(wanted: float, lengths: Sequence[float], quality: Sequence[float]) -> float | None:
    """Where a curve, drawn straight between its points, first reaches a value.

    Example:
        >>> length_at(25.0, [1, 2, 4], [10.0, 20.0, 30.0])
        3.0
    """
    points = list(zip(lengths, quality, strict=True))
    if points[0][1] >= wanted:
        return float(points[0][0])
    for (before, low), (after, high) in pairwise(points):
        if high >= wanted:
            return before + (after - before) * (wanted - low) / (high - low)
    return None


def _measured(made: Tensor, originals: Tensor) -> dict[str, Tensor]:
    values = {"psnr": psnr(made, originals)}
    try:
        return values | {"ssim": ssim(made, originals)}
    except NotMeasurableError:
        return values

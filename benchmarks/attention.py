"""Attention and group norms on the CPU, forward and backward, beside PyTorch's own kernels.

    python benchmarks/attention.py [--threads 1 2] [--repeats 7]

Attention is `vistok.generators.attention` in bfloat16 (plain products up to 512 keys, float32 beyond), beside the
kernels that PyTorch has for it, as a training step calls them: queries, keys and values are views of one projection.
Group norms are those of the tokenizers' residual blocks, with their swish, on channels-last bfloat16 images. All
columns of a row run in turn, so that a busy machine slows them alike; medians.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from machine import header, medians, row
from vistok.generators import attention
from vistok.tokenizers._normalisation import normalised_swish

SHAPES = (  # images, heads, tokens, channels of a head
    *((32, 6, tokens, 32) for tokens in (32, 64, 96, 128)),
    *((8, 6, tokens, 32) for tokens in (192, 256, 512, 1024)),
    (2, 12, 256, 64),
)
IMAGES = ((32, 24, 32, 4), (32, 96, 8, 16), (8, 24, 128, 4), (8, 96, 32, 16))  # images, channels, side, groups


def kernel(backend: SDPBackend, dtype: torch.dtype, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(query.to(dtype), key.to(dtype), value.to(dtype)).to(query.dtype)


def attentions(repeats: int) -> None:
    ways = {
        "ours": attention,
        "bfloat16, fused": partial(kernel, SDPBackend.FLASH_ATTENTION, torch.bfloat16),
        "bfloat16, plain": partial(kernel, SDPBackend.MATH, torch.bfloat16),
        "float32, fused": partial(kernel, SDPBackend.FLASH_ATTENTION, torch.float32),
    }
    header("images x heads x channels", "tokens", *(f"{way}, ms" for way in ways), "fastest of PyTorch's / ours")
    for batch, heads, tokens, channels in SHAPES:
        projected = torch.randn(batch, tokens, 3, heads, channels, dtype=torch.bfloat16, requires_grad=True)
        outer = torch.randn(batch, heads, tokens, channels, dtype=torch.bfloat16)

        def step(way: Callable[..., Tensor], projected: Tensor = projected, outer: Tensor = outer) -> object:
            out = way(*projected.permute(2, 0, 3, 1, 4).unbind(0))
            return torch.autograd.grad(out, projected, outer)

        seconds = medians({name: partial(step, way) for name, way in ways.items()}, repeats)
        ours, *theirs = (1e3 * value for value in seconds.values())
        figures = (f"{value:.2f}" for value in (ours, *theirs, min(theirs) / ours))
        row(f"{batch} x {heads} x {channels}", tokens, *figures)


def norms(repeats: int) -> None:
    header(
        "images x channels x side",
        "ours, ms",
        "PyTorch's in bfloat16, ms",
        "in float32, ms",
        "PyTorch's bfloat16 / ours",
    )
    for batch, channels, side, groups in IMAGES:
        norm = nn.GroupNorm(groups, channels)
        images = torch.randn(batch, channels, side, side, dtype=torch.bfloat16)
        images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
        outer = torch.randn_like(images)
        ways: dict[str, Callable[[Tensor], Tensor]] = {
            "ours": partial(normalised_swish, norm=norm),
            "bfloat16": lambda x, norm=norm: F.silu(norm(x)),
            "float32": lambda x, norm=norm: F.silu(norm(x.float())).to(x.dtype),
        }

        def step(way: Callable[[Tensor], Tensor], images: Tensor = images, outer: Tensor = outer) -> object:
            return torch.autograd.grad(way(images), images, outer)

        seconds = medians({name: partial(step, way) for name, way in ways.items()}, repeats)
        took = [1e3 * value for value in seconds.values()]
        row(f"{batch} x {channels} x {side}", *(f"{value:.2f}" for value in (*took, took[1] / took[0])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    for threads in options.threads:
        torch.set_num_threads(threads)
        torch.manual_seed(0)
        for title, part in (("Attention", attentions), ("Group norm and swish", norms)):
            print(f"\n{title}, forward and backward, {threads} thread{'s' * (threads > 1)}\n")
            part(options.repeats)


if __name__ == "__main__":
    main()

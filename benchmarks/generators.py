"""Sampling speed of the generators: each ratio compares runs of one process that follow each other.

    python benchmarks/generators.py                # all parts, about six minutes on one core
    python benchmarks/generators.py --part cache   # one part: floor, refresh, cells, cache, masked, ...

Times are CPU seconds of this process, the best of the runs. On one thread (the default) and a quiet machine that is
the wall time, and on a busy machine it does not count the waiting. With several threads they are seconds of the clock.
"""

import argparse
import platform
import resource
from collections.abc import Callable
from functools import partial

import torch

from machine import header, row, step_clock
from vistok import generators as g
from vistok.generators.layers import _cell_attention

CLASSES = 10


def seconds(call: Callable[[], object], repeats: int = 2) -> float:
    clock = step_clock()
    times = []
    for _ in range(repeats):
        start = clock()
        call()
        times.append(clock() - start)
    return min(times)


def far(width: int, depth: int, grid: int = 16) -> g.FAR:
    options = g.FAROptions(head_depth=0)
    return g.FAR((1024,), grid, CLASSES, width=width, depth=depth, num_heads=width // 64, options=options).eval()


def masked_ar(width: int, depth: int) -> g.MaskedAR:
    return g.MaskedAR(g.IdTokens((1024,)), 256, CLASSES, width=width, depth=depth, num_heads=width // 64).eval()


def labels(batch: int) -> torch.Tensor:
    return torch.arange(batch) % CLASSES


def cache() -> None:
    header("256 tokens, no guidance", "batch", "cached s", "uncached s", "ratio", "images/s cached")
    for width, depth, batch in ((768, 12, 1), (256, 4, 16)):
        sample = partial(far(width, depth).sample, labels(batch))
        cached, uncached = seconds(sample), seconds(partial(sample, use_cache=False), 1)
        row(f"FAR {depth} x {width}", batch, cached, uncached, uncached / cached, batch / cached)


def read_for_each_token(buffer: torch.Tensor) -> None:
    for _ in range(256):
        buffer.sum()


def floor() -> None:
    """Sampling against reading all weights once a token, with a sum: as fast as these threads can."""
    header("256 tokens, FAR 12 x 768", "batch", "guidance", "MB a token", "floor s", "sample s", "sample / floor")
    for dtype, autocast in ((torch.float32, False), (torch.bfloat16, False), (torch.bfloat16, True)):
        model = far(768, 12).to(torch.float32 if autocast else dtype)
        layers = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
        size = sum(layer.weight.numel() for layer in layers) * dtype.itemsize
        read = partial(read_for_each_token, torch.ones(size // 4))
        for batch, guidance in ((1, 1.0), (1, 2.0), (4, 1.0)):
            sample = partial(model.sample, labels(batch), guidance=guidance)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
                rounds = [(seconds(read, 1), seconds(sample, 1)) for _ in range(3)]
            least, took = (min(times) for times in zip(*rounds, strict=True))
            name = f"{str(dtype).removeprefix('torch.')} {'autocast' if autocast else 'weights'}"
            row(name, batch, guidance, size / 1e6, least, took, took / least)


def masked() -> None:
    header("256 tokens, 4 x 256, batch 4", "seconds", "images/s", "faster than token by token")
    batch = 4
    autoregressive = far(256, 4)
    base = seconds(lambda: autoregressive.sample(labels(batch)))
    row("FAR, cached, 256 steps", base, batch / base, 1.0)
    model = masked_ar(256, 4)
    for steps in (8, 16, 64):
        took = seconds(lambda steps=steps: model.sample(labels(batch), num_steps=steps))
        row(f"masked AR, {steps} steps", took, batch / took, base / took)


def refresh() -> None:
    """Masked AR that runs all positions at every step, and at every fourth and at the first alone."""
    header("masked AR, 256 tokens", "batch", "steps", "exact s", "every 4: s", "faster", "first only: s", "faster")
    for width, depth, batch, numbers in ((64, 2, 4, (8, 16, 64)), (256, 4, 4, (8, 16, 64)), (768, 12, 1, (8, 16))):
        model = masked_ar(width, depth)
        for steps in numbers:
            took = {every: [] for every in (1, 4, steps)}
            for _ in range(2):
                for every, times in took.items():
                    settings = g.MaskedSampling(refresh_every=every)
                    times.append(seconds(partial(model.sample, labels(batch), num_steps=steps, settings=settings), 1))
            exact, some, once = (min(took[every]) for every in (1, 4, steps))
            row(f"{depth} x {width}", batch, steps, exact, some, exact / some, once, exact / once)


def compiled() -> None:
    header("training step, batch 8", "eager s", "compiled s", "ratio")
    tokens = torch.randint(1024, (8, 256, 1))
    networks = {
        "FAR 4 x 256": (far(256, 4), tokens),
        "masked AR 4 x 256": (masked_ar(256, 4), tokens),
        "xAR 4 x 256": (g.XAR(16, 16, 8, CLASSES, width=256, depth=4, num_heads=4), torch.randn(8, 16, 16, 16)),
    }
    for name, (model, batch) in networks.items():
        model.train()
        fast = torch.compile(model.loss)
        fast(batch, labels(8)).backward()
        eager = seconds(lambda model=model, batch=batch: model.loss(batch, labels(8)).backward())
        quick = seconds(lambda fast=fast, batch=batch: fast(batch, labels(8)).backward())
        row(name, eager, quick, eager / quick)


def precision() -> None:
    header("forward and backward, batch 8", "float32 s", "bfloat16 autocast s", "ratio", "relative change of the loss")
    model = g.XAR(16, 16, 8, CLASSES, width=256, depth=4, num_heads=4)
    latents, rng = torch.randn(8, 16, 16, 16), torch.Generator()

    def step(enabled: bool) -> float:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            loss = model.loss(latents, labels(8), generator=rng.manual_seed(0))
        loss.backward()
        return loss.item()

    full, half = step(False), step(True)
    times = [seconds(lambda enabled=enabled: step(enabled)) for enabled in (False, True)]
    row("xAR 4 x 256", *times, times[0] / times[1], abs(half / full - 1))


def memory() -> None:
    header("cache of FAR 4 x 256, batch 16", "MiB", "bytes at step 1 and at step 256")
    kept: list[g.KVCache] = []
    original = g.KVCache.update
    sizes: list[int] = []

    def update(self: g.KVCache, *args: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        if not any(self is cache for cache in kept):
            kept.append(self)
        if start in (0, 255):
            sizes.append(self.keys.untyped_storage().nbytes() + self.values.untyped_storage().nbytes())
        return original(self, *args, start=start)

    g.KVCache.update = update  # type: ignore[method-assign]
    try:
        far(256, 4).sample(labels(16))
    finally:
        g.KVCache.update = original  # type: ignore[method-assign]
    row(f"{len(kept)} caches", sum(sizes[:4]) / 2**20, f"{sum(sizes[:4])} and {sum(sizes[-4:])}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\nPeak memory of this whole process: {peak:.0f} MiB")


def cells() -> None:
    """Attention of xAR's cells by one masked call and by a call a cell, whichever of them the limits would take."""
    header("attention of xAR, forward and backward", "cells of tokens", "masked ms", "by calls ms", "masked / calls")
    most, fewest = _cell_attention._MOST_CALLS, _cell_attention._FEWEST_TOKENS
    limits = {"masked": (0, 0), "by calls": (10**6, 0)}
    for batch, heads, head_dim in ((8, 8, 64), (8, 4, 32)):
        for grid, cell in ((8, 4), (16, 8), (16, 4), (8, 2), (16, 2)):
            parts = torch.randn(3, batch, heads, grid**2, head_dim, requires_grad=True)

            def step(parts: torch.Tensor = parts, tokens: int = cell**2) -> None:
                out = _cell_attention.cell_attention(*parts, cell_tokens=tokens, dropout=0.0, backend="sdpa")
                out.sum().backward()

            took = {}
            for name, pair in limits.items():
                _cell_attention._MOST_CALLS, _cell_attention._FEWEST_TOKENS = pair
                took[name] = 1000 * seconds(step, 7)
            row(
                f"{batch} x {heads} heads of {head_dim}, grid {grid}, cell {cell}",
                f"{(grid // cell) ** 2} of {cell**2}",
                took["masked"],
                took["by calls"],
                took["masked"] / took["by calls"],
            )
    _cell_attention._MOST_CALLS, _cell_attention._FEWEST_TOKENS = most, fewest


PARTS = {
    "floor": floor,
    "cells": cells,
    "cache": cache,
    "masked": masked,
    "refresh": refresh,
    "compile": compiled,
    "precision": precision,
    "memory": memory,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=sorted(PARTS), action="append")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    chosen = arguments.part or list(PARTS)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    print(f"# Generators: speed of sampling\n\nMachine: {machine}.")
    for name in chosen:
        print()
        PARTS[name]()


if __name__ == "__main__":
    main()

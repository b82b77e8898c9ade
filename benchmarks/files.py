"""What the checksums of run files and checkpoints cost: time to save and load tensors, with and without them.

    python benchmarks/files.py [--gigabytes 1] [--folder FOLDER]

"Without" is safetensors' and torch's own writer and reader with the same flush to the disk; loading reads every byte.
Each time is the least of three, with the file in the page cache: by the clock, and of the process alone in parentheses.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vistok.workbench.run.checkpoint import load_latest_checkpoint, save_checkpoint
from vistok.workbench.run.folder import environment_record
from vistok.workbench.run.tensor_files import load_tensors, save_tensors


def seconds(call: Callable[[], object]) -> str:
    def once() -> tuple[float, float]:
        clock, process = time.perf_counter(), time.process_time()
        call()
        return time.perf_counter() - clock, time.process_time() - process

    clock, process = (min(times) for times in zip(*(once() for _ in range(3)), strict=True))
    return f"{clock:.2f} ({process:.2f})"


def flushed(save: Callable[..., object], path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save(tensors, path)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def touched(tensors: dict[str, torch.Tensor]) -> None:
    for tensor in tensors.values():
        tensor.sum()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = int(options.gigabytes * 1e9 / 4 / 50)
    tensors = {f"layer.{index}": torch.randn(count) for index in range(50)}
    record = environment_record()
    print(f"{record['processor']}, {record['platform']}, one thread, {options.gigabytes:g} GB in 50 tensors\n")
    print("| what | without, s | with, s |\n|---|---|---|")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        plain, ours, old = folder / "plain.safetensors", folder / "ours.safetensors", folder / "plain.pt"
        steps = folder / "steps"
        row("save safetensors", lambda: flushed(save_file, plain, tensors), lambda: save_tensors(ours, tensors))
        row("load safetensors", lambda: touched(load_file(plain)), lambda: touched(load_tensors(ours)))
        row("save checkpoint", lambda: flushed(torch.save, old, tensors), lambda: save_checkpoint(steps, 1, tensors))
        row("load checkpoint", lambda: touched(torch.load(old, weights_only=True)), lambda: touched(latest(steps)))


def latest(folder: Path) -> dict[str, torch.Tensor]:
    found = load_latest_checkpoint(folder)
    assert found is not None  # noqa: S101
    return found[1]


def row(name: str, without: Callable[[], object], with_checksum: Callable[[], object]) -> None:
    print(f"| {name} | {seconds(without)} | {seconds(with_checksum)} |", flush=True)


if __name__ == "__main__":
    main()

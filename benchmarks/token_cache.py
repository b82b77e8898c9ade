"""What a cache of tokens costs at ImageNet's size, with random tokens: to write, to open, and a batch of random images.

    python benchmarks/token_cache.py [--images 1281167] [--tokens 512] [--variants 2] [--batch 256] [--folder FOLDER]

Every size is opened in a process of its own: the seconds of importing torch are not among those of opening, its memory
is what the process grew by. Batches are of random images and variants, as a generator's training asks for them, with
the files in the page cache; their first pass over the pages is counted apart. Beside it stands the same in one file of
int32 that is checked when it is opened, as runs kept their tokens before.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from vistok.workbench.run.folder import environment_record
from vistok.workbench.run.tensor_files import load_tensors, save_tensors
from vistok.workbench.tokens.encoding import SHARD_SIZE
from vistok.workbench.tokens.shards import about, open_tokens, shard_files, shard_metadata, write_index, write_shard

CODES = 16384
REPEATS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 1_281_167])
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--variants", type=int, default=1)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", help="of an own process: shards or file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.measure:
        print(json.dumps(measured(options)))
        return
    record = environment_record()
    print(
        f"{record['processor']}, {record['platform']}, one thread; {options.tokens} tokens of {CODES} codes an image,"
    )
    print(f"{options.variants} variant(s), batches of {options.batch} images\n")
    print("| images | kept as | GB | written, s | opened, s | memory, MB | a batch, us | first batches, us |")
    print("|---|---|---|---|---|---|---|---|")
    for images in options.images:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            for kind, write in (("shards", write_shards), ("file", write_file)):
                row(kind, write, Path(name), images, options)


def row(kind: str, write: object, folder: Path, images: int, options: argparse.Namespace) -> None:
    begin = time.perf_counter()
    size = write(folder / kind, images, options.tokens, options.variants)  # type: ignore[operator]
    seconds = time.perf_counter() - begin
    arguments = ["--measure", kind, "--folder", folder / kind, "--images", images, "--batch", options.batch]
    told = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout
    found = json.loads(told)
    print(
        f"| {images:,} | {kind} | {size / 1e9:.2f} | {seconds:.1f} | {found['open']:.3f} | {found['memory'] / 1e6:.0f} "
        f"| {found['batch'] * 1e6:.0f} | {found['first'] * 1e6:.0f} |",
        flush=True,
    )


def write_shards(folder: Path, images: int, tokens: int, variants: int) -> int:
    what = about(images, SHARD_SIZE, [f"variant {number}" for number in range(variants)], {"ids": CODES}, "random")
    draws = torch.Generator().manual_seed(0)
    for number, path in enumerate(shard_files(folder, what)):
        count = min(SHARD_SIZE, images - number * SHARD_SIZE)
        drawn = torch.randint(CODES, (count, variants, tokens), generator=draws, dtype=torch.int16)
        labels = torch.randint(1000, (count,), generator=draws)
        write_shard(path, {"ids": drawn.view(torch.uint16)}, labels, shard_metadata(what, number))
    write_index(folder, what)
    return sum(path.stat().st_size for path in folder.iterdir())


def write_file(path: Path, images: int, tokens: int, variants: int) -> int:
    draws = torch.Generator().manual_seed(0)
    drawn = torch.randint(CODES, (variants, images, tokens), generator=draws, dtype=torch.int32)
    save_tensors(path, {"ids": drawn, "labels": torch.zeros(images, dtype=torch.int64)})
    return path.stat().st_size


def resident() -> int:
    """Bytes of this process that are in memory, shared pages included."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return 1024 * int(next(line for line in status if line.startswith("VmRSS:")).split()[1])


def measured(options: argparse.Namespace) -> dict[str, float]:
    before, begin = resident(), time.perf_counter()
    if options.measure == "shards":
        shards = open_tokens(options.folder)
        count, variants = len(shards), len(shards.variants)
    else:
        held = load_tensors(options.folder)["ids"]
        variants, count = held.shape[:2]
    opened, memory = time.perf_counter() - begin, resident() - before
    draws, times = torch.Generator().manual_seed(0), []
    for _ in range(REPEATS):
        indices = torch.randint(count, (options.batch,), generator=draws)
        chosen = torch.randint(variants, (options.batch,), generator=draws)
        begin = time.perf_counter()
        if options.measure == "shards":
            shards.pick("ids", indices, chosen)
        else:
            held[chosen, indices].long()
        times.append(time.perf_counter() - begin)
    half = sorted(times[REPEATS // 2 :])
    return {"open": opened, "memory": memory, "batch": half[len(half) // 2], "first": sum(times[:10]) / 10}


if __name__ == "__main__":
    main()

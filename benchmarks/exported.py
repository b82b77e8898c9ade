"""Tokenizers of finished runs as ONNX and ``torch.export`` graphs: sizes, how near they are, processor seconds.

    python benchmarks/exported.py glotok=runs/demo semtok=runs/semtok-demo [--formats onnx torch] [--images 64]

An image's milliseconds are of the processor, the best of several passes over a batch, as the network is and as its
graph is (onnxruntime, or torch), each on one thread but for what onnxruntime decides itself.
"""

import argparse
import importlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from machine import header, row
from vistok.workbench.pipelines.graphs import ExportableTokenizer, export_tokenizer, open_graph

COLUMNS = (
    *("run", "images", "format", "encoder, MB", "decoder, MB", "to export, s", "tokens equal", "largest difference"),
    *("encode, ms an image", "by its graph", "decode, ms an image", "by its graph"),
)


def milliseconds(call: Callable[[], object], images: int, passes: int = 3) -> float:
    """Of the processor, an image; the best pass, after one that warms up."""
    taken = []
    for _ in range(passes + 1):
        start = time.process_time()
        call()
        taken.append(time.process_time() - start)
    return 1000 * min(taken[1:]) / images


@torch.no_grad()
def measure(name: str, tokenizer: ExportableTokenizer, images: torch.Tensor, format: str) -> tuple[object, ...]:
    """A row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out"
        start = time.process_time()
        found = export_tokenizer(tokenizer, target, images[:16], format=format, about={})
        seconds = time.process_time() - start
        files = [next(target.glob(f"{part}.*")) for part in ("encoder", "decoder")]
        encode, decode = (open_graph(file) for file in files)
        inputs = tokenizer.decoder_inputs(tokenizer.encode(images))
        calls = (
            *(lambda: tokenizer.encode(images), lambda: encode(images)),
            *(lambda: tokenizer.decode(*inputs), lambda: decode(*inputs)),
        )
        size = f"{tokenizer.image_shape[1]} px, {tokenizer.image_shape[0]} channels"
        megabytes = [f"{file.stat().st_size / 1e6:.1f}" for file in files]
        near = (f"{seconds:.1f}", f"{found.equal_tokens:.2%}", f"{found.largest_difference:.1e}")
        return name, size, format, *megabytes, *near, *(f"{milliseconds(call, len(images)):.1f}" for call in calls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="+", help="recipe=folder")
    parser.add_argument("--formats", nargs="+", choices=["onnx", "torch"], default=["onnx", "torch"])
    parser.add_argument("--images", type=int, default=64)
    options = parser.parse_args()
    torch.set_num_threads(1)
    header(*COLUMNS)
    for given in options.runs:
        recipe, _, folder = given.partition("=")
        rooms = (importlib.import_module(f"{recipe}.{room}") for room in ("pipeline", "paths", "config"))
        pipeline, paths, config = rooms
        run = paths.RunPaths(Path(folder))
        _, validation = config.load(str(run.folder / "config.yaml")).data.load()
        images = validation.batch(range(min(options.images, len(validation))))
        tokenizer = pipeline.exportable_tokenizer(run)
        for format in options.formats:
            row(*measure(run.folder.name, tokenizer, images, format))


if __name__ == "__main__":
    main()

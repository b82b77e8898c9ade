"""The pictures of the README, from the runs of `make demo` and `make demo-semtok`.

python docs/demo_pictures.py [--glotok runs/demo] [--semtok runs/semtok-demo]
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from glotok.config import load
from glotok.paths import RunPaths as GloTokPaths
from glotok.pipeline import load_pipeline as load_glotok
from semtok.paths import RunPaths as SemTokPaths
from semtok.pipeline import load_pipeline as load_semtok
from vistok.metrics import to_uint8
from vistok.metrics.report.pictures import image_grid
from vistok.workbench.evaluation.sampling import load_samples, spread

FOLDER = Path(__file__).parent / "pictures"
SHOWN = 12
ROWS = 2
SCALE = 2


@torch.no_grad()
def reconstructions(glotok: Path, semtok: Path) -> bytes:
    """Held-out digits, and what comes back from both tokenizers."""
    _, validation = load(str(glotok / "config.yaml")).data.load()
    images = validation.batch(spread(len(validation), SHOWN))
    both = [opened.tokenizer for opened in (load_glotok(glotok), load_semtok(semtok))]
    found = [each.decode(each.encode(images.to(each.device))) for each in both]
    rows = [to_uint8(row).cpu() for row in (images, *found)]
    labels = ("original", "GloTok, 128 tokens", "SemTok, 32 tokens")
    return image_grid(torch.cat(rows), columns=SHOWN, row_labels=labels, scale=SCALE)


def samples(glotok: Path, semtok: Path) -> bytes:
    """The first images of each class that the generators drew, a column a class."""
    paths = (GloTokPaths(glotok).samples("xar"), SemTokPaths(semtok).samples("masked"))
    rows = torch.cat([_first_of_each(load_samples(path)["images"]) for path in paths])
    labels = [text if row == 0 else "" for text in ("GloTok, xAR", "SemTok, masked AR") for row in range(ROWS)]
    return image_grid(rows, columns=10, row_labels=labels, column_labels=list("0123456789"), scale=SCALE)


def _first_of_each(images: Tensor) -> Tensor:
    """Ten classes come in turn, so that the first images are rows already."""
    return images[: 10 * ROWS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glotok", type=Path, default=Path("runs/demo"))
    parser.add_argument("--semtok", type=Path, default=Path("runs/semtok-demo"))
    given = parser.parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    for name, draw in (("reconstructions", reconstructions), ("samples", samples)):
        (FOLDER / f"{name}.png").write_bytes(draw(given.glotok, given.semtok))


if __name__ == "__main__":
    main()

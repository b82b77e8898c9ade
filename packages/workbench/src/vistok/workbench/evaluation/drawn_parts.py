"""What is drawn so far of many images: a part of the batches a file, so that an interrupted drawing goes on."""

import shutil
from pathlib import Path

import torch
from torch import Tensor

from vistok.workbench.run.tensor_files import MADE_OF, is_made_of, load_tensors, save_tensors

IMAGES = 1000
"""Of a part, about: the most that an interruption costs."""


class DrawnParts:
    """The images of a drawing, which come in the order of :meth:`missing`.

    Args:
        folder: Where the parts lie until the whole is there.
        num_batches: Of the whole drawing.
        batch_size: Images of each batch but the last.
        made_of: What the images follow from: parts of anything else are drawn again.
    """

    def __init__(self, folder: Path, num_batches: int, batch_size: int, made_of: str) -> None:
        self.folder, self._made_of = folder, made_of
        parts = torch.arange(num_batches).split(max(1, IMAGES // batch_size))
        self._files = {folder / f"{number:05d}.safetensors": part.tolist() for number, part in enumerate(parts)}
        self._ends = {part[-1]: file for file, part in self._files.items()}
        self._held: list[Tensor] = []

    def missing(self) -> list[int]:
        """The batches of those parts that are not there, not whole, or made of something else."""
        return [index for file, part in self._files.items() if not is_made_of(file, self._made_of) for index in part]

    def add(self, index: int, images: Tensor) -> None:
        """Take the images of the next batch; the last one of a part has it written."""
        self._held.append(images)
        if index in self._ends:
            save_tensors(self._ends[index], {"images": torch.cat(self._held)}, {MADE_OF: self._made_of})
            self._held.clear()

    def joined(self, count: int) -> Tensor:
        """All images, which are so many; no second copy of them is ever held."""
        joined, done = torch.empty(0), 0
        for file in self._files:
            part = load_tensors(file, "images")["images"]
            if not done:
                joined = torch.empty(count, *part.shape[1:], dtype=part.dtype)
            joined[done : done + len(part)] = part
            done += len(part)
        return joined

    def remove(self) -> None:
        """Remove the parts."""
        shutil.rmtree(self.folder)

"""A trained tokenizer and generator as one call: classes in, images out."""

import contextlib
import difflib
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsIndex

import torch
from huggingface_hub import snapshot_download
from PIL import Image
from torch import Tensor

from vistok.workbench.backbones.pretrained import from_hub
from vistok.workbench.config import ConfigError
from vistok.workbench.evaluation.sampling import draw_batch
from vistok.workbench.progress import progress
from vistok.workbench.recipe_config import SampleConfig
from vistok.workbench.run.folder import MARK, is_run, run_maker

_SHOWN = 8

_Classes = str | SupportsIndex | Sequence[str | SupportsIndex]


@dataclass(frozen=True)
class Pipeline:
    """Draws images of classes by name or number.

    A recipe's ``load_pipeline`` makes one of a run's folder, or of what ``export-pipeline`` wrote, here or on the hub.

    Attributes:
        tokenizer, generator: The networks, in evaluation mode.
        settings: How the generator draws: its sample set in the configuration.
        class_names: One a class.
        draw: From labels ``(b,)`` (on the CPU) and draws to images ``(b, C, H, W)`` in ``[-1, 1]``.

    Example:
        >>> grey = lambda labels, draws: (labels / 9 * 2 - 1)[:, None, None, None].expand(-1, 1, 4, 4)
        >>> pipeline = Pipeline(None, None, SampleConfig(), tuple("0123456789"), grey)
        >>> [image.getpixel((0, 0)) for image in pipeline(["0", 9], seed=0)]
        [0, 255]
    """

    tokenizer: Any
    generator: Any
    settings: SampleConfig
    class_names: tuple[str, ...]
    draw: Callable[[Tensor, torch.Generator], Tensor]

    def __call__(self, classes: _Classes, *, seed: int = 0) -> list[Image.Image]:
        """An image of each class that is named, in their order.

        Args:
            classes: Names, or whole numbers from 0, also of NumPy or torch; one or several, any of them repeated.
            seed: Decides the images, with the place of each in the list and the size of a batch.

        Raises:
            ValueError: There is no such class; the message lists those that there are.
        """
        images = self.tensors(classes, seed=seed).permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image) for image in images]

    def tensors(self, classes: _Classes, *, seed: int = 0) -> Tensor:
        """The same images as ``(N, C, H, W)``, uint8."""
        labels = torch.tensor([self.label(each) for each in _listed(classes)], dtype=torch.long)
        batches = labels.split(self.settings.batch_size)
        told = progress(batches, "images", unit="batches", shown=len(batches) > 1)
        return torch.cat([draw_batch(self.draw, part, seed, index) for index, part in enumerate(told)])

    def label(self, name: str | SupportsIndex) -> int:
        """The number of a class."""
        if isinstance(name, str) and name in self.class_names:
            return self.class_names.index(name)
        with contextlib.suppress(TypeError):  # what is no whole number
            number = operator.index(name)  # type: ignore[arg-type]
            is_truth = isinstance(name, bool) or getattr(name, "dtype", None) == torch.bool
            if not is_truth and 0 <= number < len(self.class_names):
                return number
        near = difflib.get_close_matches(str(name), self.class_names, n=1)
        more = f" and {len(self.class_names) - _SHOWN} more" if len(self.class_names) > _SHOWN else ""
        expected = f"{', '.join(self.class_names[:_SHOWN])}{more}, or a whole number below {len(self.class_names)}"
        raise ValueError(f"class {name!r}: expected {expected}{f'; did you mean {near[0]!r}?' if near else ''}")


def _listed(classes: Any) -> list[Any]:
    if not isinstance(classes, str):
        with contextlib.suppress(TypeError):  # a number, which may be an array of no dimension
            return list(classes)
    return [classes]


def pipeline_folder(source: str | Path, program: str, *, revision: str | None = None) -> Path:
    """The folder of a run, or of an exported pipeline, that ``source`` stands for; downloaded where it is on the hub.

    Args:
        source: A folder, or ``organisation/name``. A ``Path``, and what begins with a folder that exists, is a path.
        program: The recipe that must have made it.
        revision: Of the hub.

    Raises:
        FileNotFoundError: There is neither such a folder nor such a model.
        ConfigError: It is something else, or of another recipe.
    """
    folder = Path(source)
    if not folder.exists():
        folder = from_hub(source, lambda model: snapshot_download(model, revision=revision), missing="none")
    if not is_run(folder):
        raise ConfigError(f"{source}: expected a run of {program} or an exported pipeline, found no {MARK} in it")
    if (maker := run_maker(folder)) != program:
        raise ConfigError(f"{source}: made by {maker}, expected {program}; load it with {maker}.pipeline.load_pipeline")
    return folder

"""A folder of images as tables: where an image lies says of which split and class it is."""

import glob
import itertools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from vistok.metrics.images.folder import files_below
from vistok.workbench.data._table import VALIDATION_NAMES
from vistok.workbench.run.folder import MARK

logger = logging.getLogger(__name__)

_METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")  # columns beside images, as ``datasets`` has them
_NO_PIXELS = (".h5", ".hdf")  # Pillow lists them and opens none
_SPLITS = {word: word for word in ("train", *VALIDATION_NAMES)} | {
    "training": "train",
    "trainval": "train",
    "development": "dev",
    "testing": "test",
}


_Folders = tuple[str, ...]  # that an image lies in, below its split's


class Contents(NamedTuple):
    """The files below a folder that count, by their paths in it, in order."""

    images: list[str]
    parquet: list[str]
    tar: list[str]
    metadata: list[str]


def contents(folder: Path) -> Contents:
    """What lies below a folder; files whose paths in it are no UTF-8, which tables cannot hold, are left out and told.

    Folders of runs are told, too.

    Raises:
        ValueError: There are images and archives, and nothing says which are meant.
    """
    found = Contents([], [], [], [])
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    kinds = dict.fromkeys(endings.difference(_NO_PIXELS), found.images) | {".parquet": found.parquet, ".tar": found.tar}
    left_out: list[str] = []
    shown, runs = _shown(folder)
    if runs:
        logger.info("data: folders of runs, whose pictures are not read: %d, such as %s", len(runs), runs[0])
    for path in sorted(shown):
        ending = os.path.splitext(path)[1].lower()
        if path.encode(errors="ignore").decode() != path:
            left_out += [path] if ending in kinds else []
            continue
        if path.rpartition("/")[2] in _METADATA:
            found.metadata.append(path)
        kinds.get(ending, []).append(path)
    if left_out:
        name = os.fsencode(left_out[0])
        logger.warning("data: files whose names are no UTF-8 are left out: %d, such as %r", len(left_out), name)
    archives = [path for path in (*found.parquet, *found.tar) if path not in found.metadata]
    if found.images and archives:
        raise ValueError(
            f"expected images or archives, got both: {found.images[0]} and {archives[0]}; "
            "give the file or folder that is meant, or move the other away"
        )
    return found


def shown_files(folder: Path) -> list[str]:
    """The files below a folder that count: none in folders of programs, such as ``__MACOSX``, and of runs.

    A folder that is itself a run's is read.
    """
    return _shown(folder)[0]


def _shown(folder: Path) -> tuple[list[str], list[str]]:
    """The files that count, and the folders of runs below this one."""
    paths = [path for path in files_below(folder) if "/__" not in f"/{os.path.dirname(path)}"]
    runs = sorted(path.removesuffix(f"/{MARK}") for path in paths if path.endswith(f"/{MARK}"))
    inside = tuple(f"{run}/" for run in runs)
    return [path for path in paths if not path.startswith(inside)], runs


def split_of(name: str) -> str | None:
    """The split that a file or folder is called after: its first word of small letters says so.

    Example:
        >>> [split_of(name) for name in ("train", "val2017", "testing_set", "trainset", "valley", "my_train")]
        ['train', 'val', 'test', 'train', None, None]
    """
    word = "".join(itertools.takewhile(str.islower, name))
    return _SPLITS.get(word.removesuffix("set"))


def split_folders(images: Sequence[str], root: str = "") -> dict[str, list[str]]:
    """The folders of each split, as the beginnings of their paths: whole folders beside each other.

    They are splits where all that hold images are called so, one of them for training. Else they are classes, which may
    be called train or test.

    Args:
        images: Paths of images below the folder.
        root: What all of them begin with.

    Example:
        >>> split_folders(["set/train_1/7.png", "set/train_2/8.png", "set/val/9.png"])
        {'train': ['set/train_1/', 'set/train_2/'], 'val': ['set/val/']}
        >>> split_folders(["train/7.png", "trams/8.png"])
        {'train': ['']}
    """
    parts = [image.removeprefix(root).partition("/") for image in images]
    folders = dict.fromkeys(name for name, inside, _ in parts if inside)
    splits: dict[str, list[str]] = {}
    classes = [name for name in folders if split_of(name) is None]
    for name in folders:
        splits.setdefault(split_of(name) or "", []).append(f"{root}{name}/")
    if _hold_out(folders):
        if not classes:
            return splits
        logger.warning(
            "data: %s are no splits but classes, as %s beside them is: keep other images elsewhere",
            " and ".join(sorted(set(folders).difference(classes))),
            classes[0],
        )
    elif _hold_out(map(str.lower, folders)):
        capitals = sorted(name for name in classes if split_of(name.lower()))
        logger.warning(
            "data: %s: no splits, whose names are of small letters (%s); their images are not held out",
            ", ".join(capitals),
            ", ".join(map(str.lower, capitals)),
        )
    if len(folders) == 1 and all(inside for _, inside, _ in parts):
        return split_folders(images, f"{root}{next(iter(folders))}/")
    return {"train": [root]}


def _hold_out(names: Iterable[str]) -> bool:
    """Whether folders beside each other are called after splits, one for training, whatever others there are."""
    splits = set(map(split_of, names))
    return "train" in splits and len(splits) > 1 + (None in splits)


def open_image_folder(datasets: Any, folder: Path, found: Contents, cache_dir: str | None) -> Any:
    """A data set of the images in a folder for each split, with labels where the folders in it tell classes.

    Where they do not, columns come from metadata files, if there are any, as the data-set library reads them, and else
    the log says what keeps folders from telling classes.
    """
    places = split_folders(found.images)
    splits = {
        split: [image for image in found.images if image.startswith(tuple(each))] for split, each in places.items()
    }
    above = next(iter(places.values()))[0].count("/")
    folders = {split: [tuple(image.split("/")[above:-1]) for image in images] for split, images in splits.items()}
    if found.metadata and len(_names(folders)) < 2:
        return _with_metadata(datasets, folder, places, cache_dir)
    if found.metadata:
        logger.warning("data: %s is not used: the classes of images are the folders they lie in", found.metadata[0])
    for images in splits.values():
        _tell_depths(images)
    folders = _without_a_common_name(folders)
    names = _names(folders)
    classes = {split: _classes(each) for split, each in folders.items()} if len(names) > 1 else {}
    if classes:
        _tell_joined(folders)
    return {
        split: _table(datasets, [f"{folder}/{image}" for image in images], classes.get(split, []), names)
        for split, images in splits.items()
    }


def _classes(folders: Sequence[_Folders]) -> list[str]:
    """The folder that each image of a split lies in, if all lie equally deep in one."""
    depths = set(map(len, folders))
    return [inside[-1] for inside in folders] if len(depths) == 1 and depths.pop() else []


def _names(folders: Mapping[str, Sequence[_Folders]]) -> list[str]:
    return sorted({name for each in folders.values() for name in _classes(each)})


def _without_a_common_name(folders: dict[str, list[_Folders]]) -> dict[str, list[_Folders]]:
    """The folders without the last, where all of these are called the same and those above them tell classes."""
    last = {inside[-1:] for each in folders.values() for inside in each}
    if len(last) != 1 or len(_names(folders)) != 1:
        return folders
    shorter = {split: [inside[:-1] for inside in each] for split, each in folders.items()}
    name = "".join(*last)
    if len(_names(shorter)) > 1:
        logger.info("data: classes are the folders above those called %r, in which all images lie", name)
        return shorter
    logger.warning("data: folders tell no classes: all images lie in folders called %r", name)
    return folders


def _tell_depths(images: Sequence[str]) -> None:
    first, last = (pick(images, key=lambda image: image.count("/")) for pick in (min, max))
    if first.count("/") != last.count("/"):
        logger.warning("data: folders tell no classes: images lie at different depths, such as %s and %s", first, last)


def _tell_joined(folders: Mapping[str, Sequence[_Folders]]) -> None:
    """Say so where folders of one name lie in several: their images are of one class."""
    found: dict[str, str] = {}
    for inside in (inside for each in folders.values() if _classes(each) for inside in each):
        place = "/".join(inside)
        if found.setdefault(inside[-1], place) != place:
            pair = f"{found[inside[-1]]} and {place}"
            logger.warning("data: folders of one name are one class, such as %s", pair)
            return


def _table(datasets: Any, paths: list[str], classes: list[str], names: list[str]) -> Any:
    import pyarrow as pa

    files = [pa.nulls(len(paths), pa.binary()), pa.array(paths, pa.string())]
    columns = {"image": pa.StructArray.from_arrays(files, names=["bytes", "path"])}
    features = {"image": datasets.Image(decode=False)}
    if classes:
        numbers = {name: number for number, name in enumerate(names)}
        columns["label"] = pa.array([numbers[name] for name in classes], pa.int64())
        features["label"] = datasets.ClassLabel(names=names)
    return datasets.Dataset(pa.table(columns), info=datasets.DatasetInfo(features=datasets.Features(features)))


def _with_metadata(datasets: Any, folder: Path, places: Mapping[str, list[str]], cache_dir: str | None) -> Any:
    if len(places) == 1:
        places = {"train": [""]}
    files = {split: [f"{glob.escape(str(folder / each))}/**" for each in places[split]] for split in places}
    return datasets.load_dataset("imagefolder", data_files=files, drop_labels=True, cache_dir=cache_dir)

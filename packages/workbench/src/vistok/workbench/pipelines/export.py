"""A trained tokenizer and generator as a folder that needs nothing else of the run."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vistok.workbench.config import Config
from vistok.workbench.pipelines.card import PICTURE, CardFacts, write_card
from vistok.workbench.run.files import full_is_told, new_folder, write_atomically
from vistok.workbench.run.folder import CONFIG, mark_run, save_config


def export_pipeline(
    run: Path, files: Sequence[Path], config: Config, target: Path, facts: CardFacts, *, picture: bytes | None
) -> None:
    """Copy files of a run into a new folder, with its configuration and a card; whole or not at all.

    Args:
        run: The run's folder, which the files are in.
        files: Files and folders of it; each keeps its place.
        config: Of the run. Paths of this machine become names: nobody else has them.
        target: The folder to write, new or empty.
        facts: For the card.
        picture: Of samples, a PNG, if there are any.

    Raises:
        ConfigError: ``target`` holds something.
        NoSpaceError: The device is full; nothing is left of it then.
    """
    with new_folder(target) as aside:
        with full_is_told(target):
            for source in files:
                place = aside / source.relative_to(run)
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(source, place) if source.is_dir() else shutil.copyfile(source, place)
            if picture is not None:
                (aside / PICTURE).write_bytes(picture)
        save_config(type(config).model_validate(_without_paths(config.model_dump(mode="json"))), aside / CONFIG)
        write_atomically(aside / "README.md", write_card(facts, pictured=picture is not None))
        mark_run(aside, facts.program)


def _without_paths(value: Any) -> Any:
    """A configuration in which every path that exists here is its last name."""
    if isinstance(value, dict):
        return {key: _without_paths(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_paths(each) for each in value]
    return Path(value).name if isinstance(value, str) and os.sep in value and Path(value).exists() else value

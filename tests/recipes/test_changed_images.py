"""Images that come or go between the commands of a run are told in one line, before anything is done."""

import pytest

import glotok.cli
import semtok.cli
import vqgan.cli
from _support import glotok_runs, semtok_runs, vqgan_runs
from _support.image_files import png, write_folder
from _support.mutants import catches
from vistok.workbench.config import ConfigError
from vistok.workbench.options import RunOptions

CONFIGS = {"glotok": glotok_runs.TINY, "semtok": semtok_runs.TINY, "vqgan": vqgan_runs.TINY}
COLOUR = dict.fromkeys(CONFIGS, ("tokenizer.image_channels=3",))
COLOUR["semtok"] += ("tokenizer.patch_size=2",)  # the small decoder takes no larger patches of colour


@catches("glotok.cli", "choice), images)", "choice))")
@catches("semtok.cli", "choice), images)", "choice))")
@catches("vqgan.cli", "choice), images)", "choice))")
def test_a_run_goes_on_with_the_images_that_it_began_with_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for recipe, cli in {"glotok": glotok.cli, "semtok": semtok.cli, "vqgan": vqgan.cli}.items():
        config, folder = CONFIGS[recipe], write_folder(tmp_path / recipe, 8)
        given = {
            "config": config,
            "data": str(folder),
            "runs": tmp_path / "runs",
            "name": recipe,
            "set": COLOUR[recipe],
        }
        stages = cli.prepare(RunOptions(**given)).stages
        first = next(iter(stages.by_name.values()))
        with stages.opened(first, resume=False, fresh=False):
            for path in first.outputs:
                path.parent.mkdir(exist_ok=True)
                path.touch()
        (folder / "ants").mkdir()
        (folder / "ants" / "1.png").write_bytes(png((200, 0, 0)))
        for command, flags in [("demo", {"resume": True}), ("evaluate", {})]:
            with pytest.raises(ConfigError, match=rf"^data: expected the .* even, odd that {first.name} was run with"):
                cli.COMMANDS[command](RunOptions(**given, **flags))
        assert not (tmp_path / "runs" / recipe / "aside").exists()

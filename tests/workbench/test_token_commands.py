"""Cached tokens of a run are exported once they are whole, and an import is the stage that caches them, done."""

import pytest

from _support.mutants import catches
from _support.toy_stages import Options, Settings
from vistok.workbench.command_line import Run
from vistok.workbench.config import ConfigError
from vistok.workbench.recipe_config import Choice
from vistok.workbench.run.inventory import Inventory
from vistok.workbench.run.stages import Stage, Stages
from vistok.workbench.token_commands import ParquetOptions, token_commands

SUBJECT = "vistok.workbench.token_commands"


def recipe(tmp_path, monkeypatch):
    """A run with its tokenizer, and the two commands of its recipe; what they do is noted."""
    folder, calls = tmp_path / "mine", []
    listed = [
        Stage("train", ("steps",), (folder / "weights",)),
        Stage("cache", (), (folder / "tokens",), needs=("train",)),
        Stage("net", (), (folder / "net",), needs=("cache",)),
    ]

    def prepare(options):
        images = Inventory(4, 1, ["cats", "dogs"], "", "")
        stages = Stages("toy", options.hint(), folder, Settings(), listed, images)
        return Run(Settings(), folder, Choice("a", "b", "c"), stages, options.resume)

    def imported(source, target, *, made_by, num_classes):
        calls.append(("import", source, target, made_by, num_classes))
        target.mkdir(exist_ok=True)
        (target / "index.json").write_text("{}")

    def looked_at(source, *, made_by):
        if (source.name, made_by) != ("out", "me"):
            raise ValueError(f"{source.name}: no export")

    stages = prepare(Options()).stages
    with stages.opened(stages.by_name["train"], resume=False, fresh=False):
        (folder / "weights").write_text("weights")
    monkeypatch.setattr("vistok.workbench.token_commands.open_export", looked_at)
    monkeypatch.setattr("vistok.workbench.token_commands.import_tokens", imported)
    monkeypatch.setattr(
        "vistok.workbench.token_commands.export_tokens", lambda source, target: calls.append(("export", source, target))
    )
    return token_commands(prepare, stage="cache", made_by=lambda run: "me"), stages, calls


@catches("vistok.workbench.run.stages", "if not self.is_done(stage):", "if self.is_done(stage):")
@catches(SUBJECT, "made_by=made_by(run), num", 'made_by="", num')
@catches(SUBJECT, "num_classes=classes", "num_classes=None")
def test_an_import_makes_the_stage_done_and_only_then_there_is_something_to_export(tmp_path, monkeypatch):
    commands, stages, calls = recipe(tmp_path, monkeypatch)
    options = ParquetOptions(parquet=tmp_path / "out", name="mine")
    with pytest.raises(ConfigError, match="tokens: missing, or not as it was written; run toy cache --name mine first"):
        commands["export-tokens"](options)
    commands["import-tokens"](options)
    assert stages.is_done(stages.by_name["cache"])
    commands["export-tokens"](options)
    folder = tmp_path / "mine" / "tokens"
    assert calls == [("import", tmp_path / "out", folder, "me", 2), ("export", folder, tmp_path / "out")]


@catches(SUBJECT, "with opened_stage(plain, run.stages, run.stages.by_name[stage], check=check):", "if True:")
def test_nothing_is_imported_into_a_run_without_its_tokenizer(tmp_path, monkeypatch):
    commands, _, calls = recipe(tmp_path, monkeypatch)
    (tmp_path / "mine" / "weights").unlink()
    with pytest.raises(ConfigError, match="weights: missing"):
        commands["import-tokens"](ParquetOptions(parquet=tmp_path / "out"))
    assert calls == []


@catches(SUBJECT, ", check=check", "")
@catches(SUBJECT, "open_export(options.parquet, made_by=made_by(run))", "open_export(options.parquet, made_by='')")
@catches("vistok.workbench.command_line", "fresh=options.fresh, check=check", "fresh=options.fresh")
@catches("vistok.workbench.run.stages", "            if check is not None:\n                check()\n", "")
def test_a_wrong_export_is_told_before_anything_is_set_aside(tmp_path, monkeypatch):
    commands, stages, calls = recipe(tmp_path, monkeypatch)
    commands["import-tokens"](ParquetOptions(parquet=tmp_path / "out"))
    with stages.opened(stages.by_name["net"], resume=False, fresh=False):
        (tmp_path / "mine" / "net").write_text("weights")
    before = {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="wrong: no export"):
        commands["import-tokens"](ParquetOptions(parquet=tmp_path / "wrong", fresh=True))
    assert {path: path.read_bytes() for path in (tmp_path / "mine").rglob("*") if path.is_file()} == before
    assert len(calls) == 1
    commands["import-tokens"](ParquetOptions(parquet=tmp_path / "out", fresh=True))
    assert not (tmp_path / "mine" / "net").exists()

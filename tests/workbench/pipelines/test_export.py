"""What is exported of a run is whole or not there, and tells nothing of the machine."""

import json
import shutil
from collections.abc import Mapping

import pytest
import yaml
from pydantic import Field

from _support.mutants import catches
from vistok.workbench.config import Config, ConfigError
from vistok.workbench.pipelines.card import CardFacts, Paper
from vistok.workbench.pipelines.export import export_pipeline

SUBJECT = "vistok.workbench.pipelines.export"
FACTS = CardFacts(
    program="toy",
    name="mine",
    generator="xar",
    parameters=(1_500_000, 2_000_000),
    data="9 images",
    class_names=("a", "b"),
    paper=Paper("a", "b", "c", "2601.00001"),
    versions={"torch": "2"},
    licence=None,
    measures=None,
    label="xar",
)


class Sources(Config):
    source: str = "digits"
    others: tuple[str, ...] = ()
    nested: Mapping[str, str] = Field(default_factory=dict)


def run_of(folder):
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "tokenizer" / "model.safetensors").write_bytes(b"weights")
    (folder / "tokens").mkdir()
    for name in ("codes.safetensors", "00000.safetensors"):
        (folder / "tokens" / name).write_bytes(name.encode())
    return [folder / "tokenizer", folder / "tokens" / "codes.safetensors"]


@catches(SUBJECT, "source.relative_to(run)", "source.name")
@catches(SUBJECT, '_without_paths(config.model_dump(mode="json"))', 'config.model_dump(mode="json")')
@catches(SUBJECT, "[_without_paths(each) for each in value]", "value")
@catches(SUBJECT, "{key: _without_paths(each) for key, each in value.items()}", "value")
@catches(SUBJECT, "mark_run(aside, facts.program)", "pass")
def test_files_keep_their_places_and_paths_become_names(tmp_path):
    run = tmp_path / "runs" / "mine"
    files, data = run_of(run), tmp_path / "secret" / "photos"
    data.mkdir(parents=True)
    config = Sources(source=str(data), others=[str(data), "org/name"], nested={"weights": str(data)})
    target = tmp_path / "out" / "deep"
    export_pipeline(run, files, config, target, FACTS, picture=b"png")
    found = {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()}
    made = {"README.md", "config.yaml", "vistok-run.json", "samples.png"}
    assert found == {"tokenizer/model.safetensors", "tokens/codes.safetensors", *made}
    kept = yaml.safe_load((target / "config.yaml").read_text())
    assert kept == {"source": "photos", "others": ["photos", "org/name"], "nested": {"weights": "photos"}}
    assert json.loads((target / "vistok-run.json").read_text()) == {"made by": "toy"}
    assert "samples.png" in (target / "README.md").read_text()
    assert target.stat().st_mode & 0o777 == 0o755
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["deep"]


@catches(SUBJECT, "with new_folder(target) as aside:", "for aside in [target]:")
def test_a_folder_that_holds_something_is_left_alone_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    run, target = tmp_path / "mine", tmp_path / "out" / "there"
    files = run_of(run)
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="there: expected a new or empty folder"):
        export_pipeline(run, files, Sources(), target, FACTS, picture=None)
    assert (target / "mine.txt").read_text() == "keep"
    with pytest.raises(FileNotFoundError):
        export_pipeline(run, [*files, run / "missing"], Sources(), tmp_path / "out" / "new", FACTS, picture=None)
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["there"]
    monkeypatch.setattr(shutil, "copytree", _never)
    (target / "mine.txt").unlink()
    export_pipeline(run, files[1:], Sources(), target, FACTS, picture=None)
    assert "samples.png" not in (target / "README.md").read_text()


def _never(*_, **__):
    raise AssertionError("copied, not moved")

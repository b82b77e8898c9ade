"""The command line of a toy recipe of two stages: options, order, resuming, errors in one line."""

import logging
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
import tyro

from vistok.workbench.command_line import RunOptions, open_stage, run_command_line, run_stages
from vistok.workbench.config import Config, ConfigError, load_config, save_config
from vistok.workbench.files import write_atomically
from vistok.workbench.recipe_config import DataConfig
from vistok.workbench.tensor_files import save_tensors
from vistok.workbench.training import Interrupted


class Settings(Config):
    steps: int = 1


@dataclass(frozen=True)
class Options(RunOptions):
    """What every command takes."""

    loud: bool = False
    """Whether to shout."""


def toy_stages(folder, calls):
    def stage(name):
        def command(options):
            calls.append((name, options))
            (folder / name).touch()

        return command

    return {name: (stage(name), folder / name) for name in ("train", "report")}


def test_options_become_values_without_those_that_were_not_given():
    assert RunOptions().overrides() == {}
    options = RunOptions(name="mine", seed=0, data="photos", image_size=64, set=("steps=3",))
    assert options.overrides() == {
        "name": "mine", "seed": 0, "data.source": "photos", "tokenizer.image_channels": 3,
        "data.image_size": 64, "tokenizer.image_size": 64,
    }  # fmt: skip
    assert RunOptions(data="digits").overrides() == {"data.source": "digits"}


class Named(Config):
    name: str = "unnamed"
    seed: int = 0
    data: DataConfig = DataConfig()


AWKWARD = ["p #1", "2024", "yes", "~", "1e5", "null", "[a]", "{a: b}", "2024-01-01", "a: b", "'", "&x", "!x", " p "]


@pytest.mark.parametrize("text", AWKWARD)
def test_an_option_by_name_is_what_was_typed(text, tmp_path):
    """And stays that through the run's own configuration file."""
    (tmp_path / "c.yaml").write_text("name: shipped\n")
    options = tyro.cli(Options, args=["--data", text, "--name", text, "--seed", "7"])
    values = {key: value for key, value in options.overrides().items() if not key.startswith("tokenizer.")}
    config = load_config(Named, tmp_path / "c.yaml", values=values)
    assert (config.data.source, config.name, config.seed) == (text, text, 7)
    save_config(config, tmp_path / "saved.yaml")
    assert load_config(Named, tmp_path / "saved.yaml") == config


def test_set_has_the_last_word_and_is_yaml(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 1\n")
    options = Options(name="mine", seed=2, set=("name=other", "data={image_size: 64}"))
    config = load_config(Named, tmp_path / "c.yaml", options.set, values=options.overrides())
    assert config == Named(name="other", seed=2, data=DataConfig(image_size=64))


def test_a_recipes_options_are_parsed_after_the_shared_ones():
    arguments = ["--set", "a=1", "--set", "b=2", "--loud", "--runs", "here", "--resume"]
    options = tyro.cli(Options, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))
    assert options == Options(set=("a=1", "b=2"), loud=True, runs=Path("here"), resume=True)


def test_all_stages_run_in_order_and_none_throws_the_run_away(tmp_path, caplog):
    calls = []
    with caplog.at_level(logging.INFO):
        run_stages(Options(fresh=True, seed=3), toy_stages(tmp_path, calls))
    assert [name for name, _ in calls] == ["train", "report"]
    assert {options for _, options in calls} == {Options(fresh=False, seed=3)}
    assert caplog.messages[:2] == ["[1/2] train", "[2/2] report"]
    assert caplog.messages[2].endswith(f"minutes; open {tmp_path / 'report'}")


def test_what_is_done_is_not_done_again(tmp_path, caplog):
    calls = []
    (tmp_path / "train").touch()
    with caplog.at_level(logging.INFO):
        run_stages(Options(), toy_stages(tmp_path, calls))
        run_stages(Options(), toy_stages(tmp_path, calls))
    assert [name for name, _ in calls] == ["report"]
    assert caplog.messages[0] == "[1/2] train: done earlier"
    assert caplog.messages[-1] == (
        f"finished earlier; the report is {tmp_path / 'report'} (--fresh runs everything again)"
    )


@pytest.mark.parametrize("name", ["tokens.safetensors", "figures.json"])
def test_a_stage_whose_file_is_cut_off_is_done_again(tmp_path, caplog, name):
    output = tmp_path / name

    def make(_options):
        if name.endswith("json"):
            write_atomically(output, '{"psnr": 23}')
        else:
            save_tensors(output, {"x": torch.ones(3)})

    make(None)
    whole = output.read_bytes()
    output.write_bytes(whole[:-4])
    run_stages(Options(), {"encode": (make, output), "report": (lambda _: None, tmp_path / "report")})
    assert output.read_bytes() == whole
    assert f"{output}: damaged" in caplog.text
    assert "done earlier" not in caplog.text


def test_a_stage_that_fails_stops_those_after_it(tmp_path):
    calls = []
    stages = toy_stages(tmp_path, calls)

    def fail(options):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run_stages(Options(), {"train": (fail, tmp_path / "train"), "report": stages["report"]})
    assert calls == []


def opened(options, folder, **how):
    open_stage("toy", options, Settings(), folder / "run", **how)


def test_a_stage_keeps_the_configuration_and_asks_for_what_it_needs(tmp_path):
    options = Options(runs=tmp_path)
    with pytest.raises(ConfigError, match=r"run: weights is missing; run toy train first$"):
        opened(options, tmp_path, needs={"train": tmp_path / "run" / "weights"})
    assert (tmp_path / "run" / "config.yaml").read_text() == "steps: 1\n"
    (tmp_path / "run" / "weights").touch()
    opened(options, tmp_path, needs={"train": tmp_path / "run" / "weights"})


def test_checkpoints_are_continued_only_when_asked_to(tmp_path):
    options, folder = Options(runs=tmp_path), tmp_path / "run" / "checkpoints"
    opened(options, tmp_path, checkpoints=folder)
    folder.mkdir(parents=True)
    (folder / "step-000000002.pt").touch()
    with pytest.raises(ConfigError, match="holds checkpoints; --resume continues from the newest one"):
        opened(options, tmp_path, checkpoints=folder)
    opened(replace(options, resume=True), tmp_path, checkpoints=folder)
    opened(replace(options, fresh=True), tmp_path, checkpoints=folder)
    assert not folder.exists()


def test_an_existing_run_is_refused_where_a_stage_does_not_go_on(tmp_path):
    options = Options(runs=tmp_path)
    opened(options, tmp_path, resume=False)
    with pytest.raises(ConfigError, match="--resume continues it, --fresh starts it again"):
        opened(options, tmp_path, resume=False)


def test_only_the_first_of_several_processes_writes(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "step-000000002.pt").touch()
    opened(Options(runs=tmp_path, fresh=True), tmp_path, checkpoints=folder)
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match="run toy train first"):
        opened(Options(runs=tmp_path), tmp_path, needs={"train": tmp_path / "weights"})


def run(monkeypatch, command, *arguments):
    """Exit code (None where there is none) of the toy command."""
    monkeypatch.setattr(sys, "argv", ["toy", "train", *arguments])
    try:
        run_command_line("toy", "A toy.", {"train": command, "other": command})
    except SystemExit as stop:
        return stop.code
    return None


def raising(error):
    def command(options: Options) -> None:
        """Train."""
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("steps: wrong"), 2, "toy: steps: wrong"),
        (FileNotFoundError("nowhere"), 2, "toy: nowhere"),
        (Interrupted("stopped after step 3"), 130, "toy: stopped after step 3"),
        (KeyboardInterrupt(), 130, "toy: interrupted; --resume continues from the newest checkpoint"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_of_users_and_interrupts_end_in_one_line(monkeypatch, caplog, error, code, line):
    assert run(monkeypatch, raising(error)) == code
    assert caplog.messages == [line]


def test_errors_of_ours_keep_their_traceback(monkeypatch):
    with pytest.raises(ZeroDivisionError):
        run(monkeypatch, raising(ZeroDivisionError()))


def test_a_command_gets_its_options(monkeypatch):
    seen = []

    def train(options: Options) -> None:
        """Train."""
        seen.append(options)

    assert run(monkeypatch, train, "--seed", "4", "--loud") is None
    assert seen == [Options(seed=4, loud=True)]


def test_help_shows_shared_and_own_options(monkeypatch, capsys):
    assert run(monkeypatch, raising(ValueError()), "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "Override any setting" in text
    assert "Whether to shout." in text

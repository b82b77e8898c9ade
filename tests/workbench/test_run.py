"""The run's folder: never overwritten by accident, never half written."""

import json

import pytest

from vistok.workbench.config import Config, ConfigError
from vistok.workbench.run import open_run


class Settings(Config):
    steps: int = 1


def test_a_new_run_holds_its_configuration_and_environment(tmp_path):
    folder = open_run(tmp_path, "a", Settings(), resume=False)
    assert (folder / "config.yaml").read_text() == "steps: 1\n"
    record = json.loads((folder / "environment.json").read_text())
    assert {"python", "platform", "cores", "torch_threads", "versions", "command"} <= set(record)


def test_an_existing_run_needs_resume_or_fresh(tmp_path):
    folder = open_run(tmp_path, "a", Settings(), resume=False)
    (folder / "result").touch()
    with pytest.raises(ConfigError, match="--resume continues it, --fresh starts it again"):
        open_run(tmp_path, "a", Settings(), resume=False)
    assert (open_run(tmp_path, "a", Settings(), resume=True) / "result").exists()
    assert not (open_run(tmp_path, "a", Settings(), resume=False, fresh=True) / "result").exists()


def test_a_run_is_not_resumed_with_other_settings(tmp_path):
    open_run(tmp_path, "a", Settings(), resume=False)
    with pytest.raises(ConfigError, match="made with another configuration, steps was 1, now 2"):
        open_run(tmp_path, "a", Settings(steps=2), resume=True)


def test_a_setting_that_came_later_does_not_lock_an_old_run_out(tmp_path):
    class Newer(Settings):
        rate: float = 0.5

    open_run(tmp_path, "a", Settings(), resume=False)
    open_run(tmp_path, "a", Newer(), resume=True)
    with pytest.raises(ConfigError, match=r"rate was 0\.5, now 0\.1"):
        open_run(tmp_path, "a", Newer(rate=0.1), resume=True)


def test_fresh_removes_only_runs(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(ConfigError, match="not a run"):
        open_run(tmp_path, "photos", Settings(), resume=False, fresh=True)
    assert (tmp_path / "photos").exists()

"""A trace of the steps that were asked for, said in the log."""

import json
import logging

import torch

from _support.mutants import catches
from vistok.workbench.training.profiling import profiled

SUBJECT = "vistok.workbench.training.profiling"


@catches(SUBJECT, "active=steps", "active=steps + 1")
@catches(SUBJECT, "wait=_BEFORE, warmup=_WARMUP", "wait=_WARMUP, warmup=_WARMUP")
def test_the_steps_after_the_first_three_are_traced(tmp_path, caplog):
    path = tmp_path / "profile.json"
    with caplog.at_level(logging.INFO), profiled(path, 2) as step:
        for done in range(1, 8):
            torch.ones(2).add(1)
            step()
            assert path.exists() == (done >= 5)
    names = [event.get("name") for event in json.loads(path.read_text())["traceEvents"]]
    assert [name for name in names if name.startswith("ProfilerStep")] == ["ProfilerStep#3", "ProfilerStep#4"]
    assert "aten::add" in names
    assert f"trace of 2 steps in {path}" in caplog.text


def test_no_steps_leave_no_trace(tmp_path):
    with profiled(tmp_path / "profile.json", 0) as step:
        step()
    assert not (tmp_path / "profile.json").exists()

"""A pass sees every image once, whoever sees it, and goes on where it was kept."""

import contextlib
import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from vistok.metrics import MeanSquaredError, PeakSignalNoiseRatio
from vistok.metrics.harness import streamed_pass as module
from vistok.metrics.harness.streamed_pass import forget_pass, streamed_pass
from vistok.metrics.ranks import Rank

SUBJECT = "vistok.metrics.harness.streamed_pass"
DRAWS = torch.Generator().manual_seed(0)
IMAGES, MADE = (torch.randint(0, 256, (11, 1, 4, 4), dtype=torch.uint8, generator=DRAWS) for _ in range(2))


def streams():
    return {"error": MeanSquaredError(), "psnr": PeakSignalNoiseRatio()}


def run(found, *, batch_size=2, until=None, **rest):
    """A pass over all images; with ``until``, killed when it comes to that one."""

    def step(indices):
        if until is not None and until in indices:
            raise KeyboardInterrupt
        for stream in found.values():
            stream.update(MADE[list(indices)], IMAGES[list(indices)])

    streamed_pass(len(IMAGES), step, found, batch_size=batch_size, **rest)
    return {name: stream.compute() for name, stream in found.items()}


def killed(monkeypatch, **rest):
    """A pass that keeps itself after every batch, until image 7 comes."""
    with monkeypatch.context() as patch:
        patch.setattr(module, "KEEP_EVERY", 0.0)
        with pytest.raises(KeyboardInterrupt):
            run(streams(), until=7, **rest)


def expected():
    whole = streams()
    for stream in whole.values():
        stream.update(MADE, IMAGES)
    return {name: pytest.approx(stream.compute(), rel=1e-12) for name, stream in whole.items()}


@catches(SUBJECT, "min(start + batch_size, count)", "start + batch_size - 1")
@pytest.mark.parametrize("batch_size", [1, 2, 11, 50])
def test_every_image_is_seen_once(batch_size):
    assert run(streams(), batch_size=batch_size) == expected()


def of_rank(rank, folder):
    return run(streams(), folder=folder)


@catches(SUBJECT, "[rank::world]", "[rank::1]")
@catches(SUBJECT, "merged_over_ranks(stream).state_dict()", "stream.state_dict()")
def test_two_processes_give_what_one_gives_on_both(tmp_path):
    first, second = run_on_two_ranks(of_rank, tmp_path)
    assert first == second == expected()


@catches(SUBJECT, "own[done:]", "own[0:]")
@catches(SUBJECT, 'return int(kept["done"]),', 'return int(kept["done"]) + 1,')
def test_a_pass_that_was_killed_goes_on_where_it_was_kept(tmp_path, monkeypatch):
    killed(monkeypatch, folder=tmp_path, choices={"crop": "adm"})
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished-0-of-1.pt"]
    found = streams()
    assert run(found, folder=tmp_path, choices={"crop": "adm"}) == expected()


@catches(SUBJECT, "if kept is not None and time", "if kept is not None and number < len(own) and time")
def test_all_is_kept_until_the_results_are_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEEP_EVERY", 0.0)
    run(streams(), folder=tmp_path)
    seen = []
    again = streams()
    streamed_pass(len(IMAGES), seen.append, again, batch_size=2, folder=tmp_path)
    assert seen == []
    assert {name: stream.compute() for name, stream in again.items()} == expected()


@catches(SUBJECT, "unfinished-*-of-*{suffix}", "unfinished-0-of-1{suffix}")
@catches(SUBJECT, '(".pt", ".tmp")', '(".pt",)')
def test_what_any_number_of_processes_kept_is_forgotten_and_nothing_else(tmp_path):
    for name in ("unfinished-0-of-1.pt", "unfinished-1-of-2.pt", "unfinished-0-of-1.tmp", "evaluation.json"):
        (tmp_path / name).touch()
    forget_pass(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["evaluation.json"]


@catches(SUBJECT, "earlier + last - began", "last - began")
def test_the_seconds_of_a_pass_are_those_of_all_its_parts(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    spent = []
    for until in (4, 8, 50):
        found = streams()

        def step(indices, until=until):
            if until in indices:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            spent.append(streamed_pass(11, step, found, batch_size=1, folder=tmp_path))
            break
        spent.append(torch.load(tmp_path / "unfinished-0-of-1.pt")["seconds"])
    assert spent[0] > 0
    assert spent[1] > 2 * spent[0] * 0.9
    assert spent[2] == spent[1]


@catches(SUBJECT, '["disable"] = rank > 0', '["disable"] = rank > 1')
@catches(SUBJECT, '"delay": _LONG', '"delay": 0.0')
def test_progress_is_shown_of_a_long_pass_by_the_first_process(monkeypatch, capsys):
    for rank, long, shown in ((0, 0.0, True), (0, 3.0, False), (1, 0.0, False)):
        monkeypatch.setattr(module, "_LONG", long)
        monkeypatch.setattr(module, "own_rank", lambda rank=rank: Rank(rank, 2))
        streamed_pass(50, lambda indices: time.sleep(0.02), {}, batch_size=5)
        assert ("evaluate" in capsys.readouterr().err) == shown


@catches(SUBJECT, "if different or set(states) != set(streams):", "if False:")
def test_what_was_kept_under_other_choices_is_refused_by_their_names(tmp_path, monkeypatch):
    killed(monkeypatch, folder=tmp_path, choices={"crop": "adm", "size": 8})
    with pytest.raises(ValueError, match=r"other choices: crop 'adm' \(now 'none'\); remove it to begin anew"):
        run(streams(), folder=tmp_path, choices={"crop": "none", "size": 8})
    with pytest.raises(ValueError, match=r"other choices: batch size 2 \(now 3\); remove it to begin anew"):
        run(streams(), folder=tmp_path, choices={"crop": "adm", "size": 8}, batch_size=3)


@catches(SUBJECT, "        _check_written(choices)\n", "        pass\n")
@catches(SUBJECT, "allow_nan=False", "allow_nan=True")
def test_choices_that_cannot_be_written_are_told_before_the_pass(tmp_path):
    for value, got in ((np.int64(5), r"np.int64\(5\) of numpy.int64"), (math.nan, "nan of builtins.float")):
        line = rf"^images: count: expected what JSON holds, such as str, int or float, got {got}$"
        with pytest.raises(TypeError, match=line):
            run(streams(), folder=tmp_path, choices={"images: count": value})
        run(streams(), choices={"images: count": value})


@catches(SUBJECT, "if batch_size < 1:", "if batch_size < 0:")
def test_a_batch_holds_at_least_one_image():
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=rf"^batch_size must be at least 1, got {wrong}$"):
            run(streams(), batch_size=wrong)


def test_a_damaged_file_is_told(tmp_path):
    (tmp_path / "unfinished-0-of-1.pt").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"unfinished-0-of-1\.pt: damaged; remove it to begin anew"):
        run(streams(), folder=tmp_path)

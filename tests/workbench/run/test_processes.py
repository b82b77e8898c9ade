"""Several processes under a launcher: they meet, one speaks, they part; a process alone needs none of it."""

import threading
import time

import pytest
import torch
from torch.distributed import TCPStore

from _support.forked_processes import run_forked_line
from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.recipe_processes import run_line
from vistok.workbench.config import ConfigError
from vistok.workbench.run.processes import (
    beside,
    check_launcher,
    close_processes,
    divided,
    gathered,
    group_beside,
    launched_sharded,
    meet_processes,
    own_place,
    own_share,
    process_count,
    process_index,
    speaking_first,
    without_accelerates_sharding,
)

SUBJECT = "vistok.workbench.run.processes"

PROGRAM = """
import logging, pathlib, sys
from dataclasses import dataclass
import torch, torch.distributed as dist
from vistok.workbench.training.adversarial_training import discriminator_step
from vistok.workbench.config import ConfigError
from vistok.workbench.output import OutputOptions
from vistok.workbench.program import run_command_line
from vistok.workbench.run.devices import open_accelerator
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.loop import TrainConfig
from vistok.workbench.training.update import Learner

@dataclass(frozen=True)
class Options(OutputOptions):
    fails: str = "none"

def work(options: Options) -> None:
    if options.fails == "early":
        raise ConfigError("batch_size: expected 2, got 3")
    accelerator = open_accelerator()
    total = accelerator.reduce(torch.ones(()), "sum").item()
    torch.manual_seed(accelerator.process_index)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 2), torch.nn.BatchNorm2d(2), torch.nn.Conv2d(2, 1, 1))
    settings = TrainConfig(steps=3, batch_size=8, clip_norm=1.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    learner = Learner.prepared(network, optimizer, accelerator, settings, FiniteLosses(pathlib.Path(".")))
    network = learner.model
    for step in range(3):
        discriminator_step(
            learner, torch.randn(2, 4, 1, 4, 4), torch.randn(2, 4, 1, 4, 4),
            lambda real, fake: (fake - real).exp().mean(), step,
        )
    weights = torch.cat([p.detach().flatten() for p in network.parameters()])
    apart = (accelerator.gather(weights[None]) - weights).abs().max().item()
    logging.getLogger("work").info("the sum is %d, the weights are %g apart", total, apart)
    if options.fails == "one" and accelerator.process_index == 1:
        raise ConfigError("only the second knows")
    if options.fails == "one":
        accelerator.reduce(torch.ones(()), "sum")  # what the others wait in while one fails
    if options.fails == "all":
        raise ConfigError("all know")

try:
    run_command_line("program", "", {"work": work, "rest": work})
finally:
    sys.stderr.write(f"grouped at the end: {dist.is_initialized()}\\n")  # in one piece: others write too
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    path = tmp_path_factory.mktemp("program") / "program.py"
    path.write_text(PROGRAM)
    return path


def run(program, fails):
    line = f"torchrun --nproc_per_node 2 {program} work --fails {fails}"
    # A fork that the launcher ends while it waits for another has time for a last word.
    done = run_line(line, timeout=100) if fails in ("all", "one") else run_forked_line(line)
    return done, [line for line in done.stderr.splitlines() if line.startswith("program: ")]


def test_processes_meet_say_once_how_many_they_are_and_part(program):
    """Between, a discriminator with batch norm steps on two passes a micro-batch: its weights stay equal."""
    done, errors = run(program, "none")
    assert done.returncode == 0, done.stderr
    assert errors == []
    assert done.stderr.count("training in 2 processes on ") == 1
    assert done.stderr.count("the sum is 2, the weights are 0 apart") == 1
    assert done.stderr.count("grouped at the end: False") == 2
    assert "deprecated" not in done.stderr
    assert "destroy_process_group" not in done.stderr


@pytest.mark.parametrize(
    ("fails", "line"),
    [
        ("early", "program: batch_size: expected 2, got 3"),
        ("all", "program: all know"),
        ("one", "program: only the second knows"),
    ],
)
def test_an_error_is_told_by_one_process_in_one_line(program, fails, line):
    done, errors = run(program, fails)
    assert done.returncode != 0
    assert errors == [line]
    assert "grouped at the end: True" not in done.stderr


def test_a_process_alone_speaks_and_has_nothing_to_close(monkeypatch):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (process_index(), process_count()) == (0, 1)
    with speaking_first() as speaks:
        assert speaks
    close_processes()


@catches(SUBJECT, "(KeyError, ValueError, RuntimeError)", "(ValueError, RuntimeError)")
def test_where_no_store_answers_everyone_may_speak(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with speaking_first() as speaks:
        assert speaks


@pytest.fixture
def launchers_store(monkeypatch):
    """The one that a launcher of two processes would keep."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    for name, value in (("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", str(store.port))):
        monkeypatch.setenv(name, value)
    return store


@catches(SUBJECT, "store.add(_ASKED, 1) == 1", "store.add(_ASKED, 1) >= 1")
def test_of_those_that_ask_the_launchers_store_one_may_speak(launchers_store):
    told = []
    for _ in range(3):
        with speaking_first() as speaks:
            told.append(speaks)
    assert told == [True, False, False]


@catches(SUBJECT, "else store.wait([_SPOKEN], _PATIENCE)", "else None")
def test_the_others_go_when_the_first_has_spoken(launchers_store):
    """Else the launcher could end it in the middle, as it ends all when one has gone."""
    order = []

    def another():
        with speaking_first() as speaks:
            assert not speaks
        order.append("another")

    with speaking_first() as speaks:
        assert speaks
        thread = threading.Thread(target=another)
        thread.start()
        thread.join(0.3)
        order.append("the first")
    thread.join()
    assert order == ["the first", "another"]


@catches(SUBJECT, 'os.environ.get("RANK", "0")', 'os.environ.get("LOCAL_RANK", "0")')
def test_a_launcher_says_which_process_this_is_of_how_many(monkeypatch):
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):  # the second of the second machine
        monkeypatch.setenv(name, value)
    assert (process_index(), process_count()) == (5, 8)


def square(item):
    return item * item


def divide_on_a_rank(rank, count):
    """All results, and the items that this process worked on."""
    meet_processes()
    own = []

    def work(item):
        own.append(item)
        return square(item)

    return list(divided(range(10, 10 + count), work)), own, process_index(), process_count()


@catches(SUBJECT, "work(together[rank])", "work(together[0])")
@catches(SUBJECT, "yield from results[: len(together)]", "yield from results")
@catches(SUBJECT, "dist.get_rank() if _grouped()", "0 if _grouped()")
@catches(SUBJECT, "if rank < len(together) else None", "")
def test_each_process_works_on_every_second_item_and_has_the_results_of_all_in_order():
    for count in (0, 1, 4, 5):
        first, second = run_on_two_ranks(divide_on_a_rank, count)
        items = range(10, 10 + count)
        assert first == ([square(item) for item in items], list(items[::2]), 0, 2)
        assert second == ([square(item) for item in items], list(items[1::2]), 1, 2)


def share_on_a_rank(rank):
    return own_share(torch.arange(5)).tolist()


@catches(SUBJECT, "items[process_index() :: process_count()]", "items[process_index() :: 3]")
def test_the_shares_of_all_processes_are_everything_once():
    assert run_on_two_ranks(share_on_a_rank) == [[0, 2, 4], [1, 3]]
    assert own_share(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


def test_a_process_alone_does_everything_and_meets_nobody():
    meet_processes()
    assert list(divided("abc", str.upper)) == ["A", "B", "C"]


def say(rank):
    return own_place(), gathered({"rank": rank})


@catches(SUBJECT, "    dist.all_gather_object(values, value, group=group)\n", "")
def test_processes_hear_each_other_in_their_order():
    said = [{"rank": 0}, {"rank": 1}]
    assert run_on_two_ranks(say) == [(0, said), (1, said)]
    assert (own_place(), gathered("alone")) == (0, ["alone"])


@catches(SUBJECT, "            os.environ[_FSDP] = asked\n", "            pass\n")
@catches(SUBJECT, '"FSDP_VERSION", "1"', '"FSDP_VERSION", "2"')
def test_a_launcher_asks_for_the_second_version_of_fsdp_and_accelerate_does_not_see_it(monkeypatch):
    assert not launched_sharded()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="expected fsdp_version 2, got 1"):
        launched_sharded()
    monkeypatch.setenv("FSDP_VERSION", "2")
    with without_accelerates_sharding():
        assert not launched_sharded()
    assert launched_sharded()
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(ConfigError, match="expected fsdp_offload_params false"):
        launched_sharded()


@catches(SUBJECT, '"ACCELERATE_MIXED_PRECISION": "no",', "")
@catches(SUBJECT, '"ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",', "")
@catches(SUBJECT, '"ACCELERATE_DYNAMO_BACKEND": "no",', "")
@catches(SUBJECT, ").lower() != plain:", ") != plain:")
def test_what_a_launcher_says_by_itself_passes_and_what_would_change_a_training_is_told(monkeypatch):
    check_launcher()
    for key, plain, other in (
        ("mixed_precision", "no", "bf16"),
        ("gradient_accumulation_steps", "1", "4"),
        ("dynamo_backend", "NO", "INDUCTOR"),
    ):
        monkeypatch.setenv(f"ACCELERATE_{key.upper()}", plain)  # as accelerate launch writes it
        check_launcher()
        with monkeypatch.context() as asked:
            asked.setenv(f"ACCELERATE_{key.upper()}", other)
            line = rf"\Aaccelerate's configuration: expected {key} {plain.lower()}, [^\n]*, got {other}\Z"
            with pytest.raises(ConfigError, match=line):
                check_launcher()


@catches(SUBJECT, "            thread.join()\n", "            pass\n")
def test_processes_part_once_nothing_runs_beside():
    done = []
    future = beside(lambda: (time.sleep(0.1), done.append(1))[1])
    assert done == []
    close_processes()
    assert done == [1]
    assert future.done()


def meet_beside(rank):
    """Each says something in the second group while the other rank's word in the first one is not there yet."""
    group = group_beside()
    told = beside(lambda: gathered(10 + rank, group))
    if rank == 0:
        told.result(timeout=30)
    first = gathered(rank)
    return told.result(timeout=30), first


@catches(SUBJECT, "    dist.all_gather_object(values, value, group=group)\n", "")
def test_a_second_group_does_not_wait_for_the_first():
    assert run_on_two_ranks(meet_beside) == [([10, 11], [0, 1])] * 2

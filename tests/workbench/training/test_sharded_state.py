"""The whole state of a training comes back, to the last bit, whoever wrote it and whoever reads it."""

import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.sharded_network import Book, Network, Processes, Training
from vistok.workbench.run.nested_state import mapped
from vistok.workbench.training.finite import FiniteLosses
from vistok.workbench.training.sharded_state import Patterns, load_whole, whole_state
from vistok.workbench.training.sharding import is_divided, shard, whole
from vistok.workbench.training.state import TrainState

SUBJECT = "vistok.workbench.training.sharded_state"


def state_of(training, folder, rank):
    return TrainState(folder, training.objects, every=1, writes=rank == 0, losses=FiniteLosses(folder))


def gathered_state(training):
    state = {name: item.state_dict() for name, item in training.objects.items()}
    return mapped(state, lambda place, tensor: whole(tensor).clone())


def train_and_save(rank, folder):
    training = Training(Processes(rank, 2), folder).step(0)
    state_of(training, folder, rank).save(1)
    return gathered_state(training), gathered_state(training.step(1))


def resume(rank, folder, begins=False):
    training = Training(Processes(rank, 2), folder, seed=9)
    state = state_of(training, folder, rank)
    step = state.start_from(folder) if begins else state.resume()
    divided = {place for place, tensor in leaves(training).items() if is_divided(tensor)}
    return step, gathered_state(training), gathered_state(training.step(1)), divided


def leaves(training):
    found = {}
    mapped({name: item.state_dict() for name, item in training.objects.items()}, found.__setitem__)
    return found


def assert_equal(found, expected):
    ours, theirs = {}, {}
    mapped(found, ours.__setitem__)
    mapped(expected, theirs.__setitem__)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[place], theirs[place]) for place in ours)
    assert found["optimizer"]["param_groups"] == expected["optimizer"]["param_groups"]


@catches(SUBJECT, "self._found.get(place[:3])", "None")
def test_two_processes_resume_what_two_saved_and_go_on_as_if_nothing_had_been(tmp_path):
    (saved, after), _ = run_on_two_ranks(train_and_save, tmp_path)
    (step, found, gone_on, divided), _ = run_on_two_ranks(resume, tmp_path)
    assert step == 1
    assert_equal(found, saved)
    assert_equal(gone_on, after)
    assert ("optimizer", "state", 2, "exp_avg") in divided  # of the first matrix of the first block


@catches(SUBJECT, "tensor.contiguous()", "tensor")
@catches("vistok.workbench.run.sharded_checkpoint", "torch.empty_like(pattern)", "torch.empty(tensor.shape)")
def test_one_process_resumes_what_two_saved_and_two_what_one_saved(tmp_path):
    (saved, after), _ = run_on_two_ranks(train_and_save, tmp_path / "two")
    alone = Training(Processes(), tmp_path, seed=9)
    assert state_of(alone, tmp_path / "two", 0).resume() == 1
    assert_equal(gathered_state(alone), saved)
    weight = alone.network.blocks[0].conv.weight
    assert not weight.is_contiguous()
    assert alone.optimizer.state[weight]["exp_avg"].stride() == weight.stride()
    state_of(alone, tmp_path / "one", 0).save(1)
    assert (tmp_path / "one" / "step-000000001.pt").is_file()
    for begins in (False, True):
        (_, found, gone_on, divided), _ = run_on_two_ranks(resume, tmp_path / "one", begins)
        assert_equal(found, saved)
        assert_equal(gone_on, after)
        assert ("average", "module.blocks.0.linear.weight") in divided


def fill(rank, state):
    torch.manual_seed(5)
    network = Network()
    shard(network, Processes(rank, 2), replicated=Book)
    load_whole(network, state)
    return whole_state(network, keep=rank == 1)


@catches(SUBJECT, "if keep:\n            state[name]", "if not keep:\n            state[name]")
def test_weights_that_all_have_fill_a_shared_network_and_are_gathered_where_they_are_wanted():
    state = Network().state_dict()
    nothing, found = run_on_two_ranks(fill, state)
    assert nothing == {}
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)


@catches(SUBJECT, " if any(map(is_divided, self._found.values())) else state", "")
def test_of_a_network_that_nobody_shares_the_state_stays_as_it_is():
    state = {"model": Network().state_dict()}
    assert Patterns({"model": Network()}).divide(state) is state

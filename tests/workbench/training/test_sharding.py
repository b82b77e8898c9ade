"""Two processes that share the weights follow one that has them all."""

import torch

from _support.gloo import run_on_two_ranks
from _support.mutants import catches
from _support.sharded_network import Book, Network, Processes, Training
from vistok.workbench.training.sharded_state import whole_state
from vistok.workbench.training.sharding import is_sharded, local, shard

SUBJECT = "vistok.workbench.training.sharding"
UPDATE = "vistok.workbench.training.update"


def train(rank, folder):
    training = Training(Processes(rank, 2), folder, accumulation=2)
    for index in range(3):
        training.step(index)
    sizes = {name: local(p).numel() for name, p in training.network.named_parameters()}
    sizes |= {f"average {name}": local(p).numel() for name, p in training.average.module.named_parameters()}
    moments = training.optimizer.state
    sizes |= {f"moment {name}": local(moments[p]["exp_avg"]).numel() for name, p in named(training) if p in moments}
    networks = (training.network, training.average.module)
    return [whole_state(network, keep=rank == 0) for network in networks], sizes


def named(training):
    return training.network.named_parameters()


@catches(SUBJECT, 'accelerator.reduce(parameter.grad, "mean")', "parameter.grad")
@catches(SUBJECT, "get_total_norm(kind)", "get_total_norm(list(map(local, kind)))")
@catches(SUBJECT, "local(gradient).mul_(scale)", "gradient")
@catches(UPDATE, "        average_replicated(model.parameters(), accelerator)\n", "        pass\n")
def test_two_processes_that_share_all_weights_follow_one(tmp_path):
    """Clipped together, averaged, with gradients of rows that stay whole; no process holds more than its part."""
    (weights, first), (nothing, second) = run_on_two_ranks(train, tmp_path)
    alone = Training(Processes(), tmp_path)
    for index in range(3):
        alone.step(index)
    for found, network in zip(weights, (alone.network, alone.average.module), strict=True):
        assert found.keys() == network.state_dict().keys()
        torch.testing.assert_close(found, dict(network.state_dict()), rtol=1e-4, atol=1e-6)
    assert nothing == [{}, {}]
    for name, parameter in Network().named_parameters():
        for kind in ("", "average ", "moment "):
            if kind == "moment " and ("conv.bias" in name or name == "unused"):  # which no loss reaches
                continue
            parts = first[kind + name], second[kind + name]
            whole = name in ("scale", "book.weight")
            assert parts == (parameter.numel(),) * 2 if whole else sum(parts) == parameter.numel() > max(parts), name


@catches(SUBJECT, "if accelerator.num_processes == 1:", "if accelerator.num_processes == 0:")
def test_one_process_keeps_its_weights():
    network = Network()
    shard(network, Processes(), replicated=Book)
    assert not is_sharded(network)
    assert type(network) is Network

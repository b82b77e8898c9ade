"""A small network with all that sharding meets, and how two ranks or one process train it."""

import contextlib

import torch
import torch.distributed as dist
from torch import nn

INPUTS = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(1))


class Block(nn.Module):
    """Odd sizes, so that parts differ, and a layout in memory that sharding does not take."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 5)
        self.conv = nn.Conv2d(3, 5, 3).to(memory_format=torch.channels_last)

    def forward(self, x):
        return x + torch.tanh(self.linear(x)) * (1 + self.conv.weight.square().mean())


class Book(nn.Module):
    """Rows that are set from outside."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 5))


class Network(nn.Module):
    """Blocks, rows, one number, and a weight that no loss reaches."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Sequential(nn.Linear(5, 3), nn.GELU(), nn.Linear(3, 3))
        self.book = Book()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.unused = nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x * self.book.weight.mean(dim=0)) * self.scale


class Processes:
    """The accelerator of a rank, or of a process alone."""

    device = torch.device("cpu")

    def __init__(self, rank=0, count=1):
        self.process_index, self.num_processes = rank, count

    def reduce(self, tensor, how):
        assert how == "mean"
        total = tensor.clone()
        dist.all_reduce(total)
        return total / self.num_processes

    def no_sync(self, model):
        return contextlib.nullcontext()

    def backward(self, loss):
        loss.backward()

    def clip_grad_norm_(self, parameters, norm):
        nn.utils.clip_grad_norm_(parameters, norm)

    def prepare(self, *objects):
        return objects


class Training:
    """The network, its average and its optimizer as a training has them.

    The workbench is imported when one begins, so that it is the one with a planted bug.
    """

    def __init__(self, processes, folder, seed=0, **settings):
        from vistok.workbench.training.finite import FiniteLosses
        from vistok.workbench.training.loop import TrainConfig
        from vistok.workbench.training.switches import apply_switches
        from vistok.workbench.training.update import Learner, micro_steps
        from vistok.workbench.training.weight_average import weight_average

        torch.manual_seed(seed)
        self.processes, self.micro_steps = processes, micro_steps
        self.settings = TrainConfig(steps=3, batch_size=8, sharding="full", **{"clip_norm": 0.2, **settings})
        self.network = Network()
        self.average = weight_average(self.network, 0.75)
        apply_switches(self.network, self.average, self.settings, processes, replicated=Book)
        # Of a size that lets the scale of gradients be seen.
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=0.5, eps=0.1, fused=True
        )  # not blind to a scale
        self.objects = {"model": self.network, "optimizer": self.optimizer, "average": self.average}
        finite = FiniteLosses(folder)
        self.learner = Learner.prepared(self.network, self.optimizer, processes, self.settings, finite)

    def step(self, index):
        """One update on this process's share of a batch."""
        own = INPUTS[index].chunk(self.processes.num_processes)[self.processes.process_index]
        for micro, batch in self.micro_steps(self.learner, index, own.chunk(self.settings.accumulation), {}):
            loss = 10 * self.learner.model(batch).square().mean()
            micro.backward({"loss": loss}, loss, {"inputs": batch})
        self.average.update_parameters(self.network)
        return self

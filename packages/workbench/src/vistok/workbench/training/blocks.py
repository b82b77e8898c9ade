"""The repeated parts of a network: what is sharded, recomputed and compiled one at a time."""

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

_SHAPES = 64


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of transformers, encoders and decoders: members of lists that are made of layers, innermost ones."""
    lists = [module for module in network.modules() if isinstance(module, nn.ModuleList | nn.Sequential)]
    members = dict.fromkeys(member for each in lists for member in each if any(True for _ in member.children()))
    blocks = [member for member in members if not isinstance(member, nn.ModuleList)]
    return [block for block in blocks if not any(part in members for part in block.modules() if part is not block)]


def checkpoint_activations(network: nn.Module) -> None:
    """Keep a block's input only, and compute what is inside it once more when gradients need it.

    Source:
        Chen et al. 2016, arXiv:1604.06174; torch.utils.checkpoint, not reentrant.
    """
    for block in blocks_of(network):
        inner: Any = block.forward
        block.forward = partial(checkpoint, inner, use_reentrant=False)


def compile_blocks(network: nn.Module) -> None:
    """Compile each block on its own: equal ones share what is compiled, and it works under sharding and recomputation.

    ``torch.compile`` does it when a block first runs.
    """
    import torch._dynamo.config  # not with every command

    limit = torch._dynamo.config.cache_size_limit  # of shapes of one class of blocks; beyond, it would not compile
    torch._dynamo.config.cache_size_limit = max(limit, _SHAPES)  # by its name in torch 2.5 and 2.6, which stays
    for block in blocks_of(network):
        inner: Any = block.forward
        block.forward = torch.compile(inner)

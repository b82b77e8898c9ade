"""Networks and tensors are found wherever a tokenizer of any kind keeps them."""

from types import ModuleType, SimpleNamespace

import torch
from torch import nn

from _support.mutants import catches
from vistok.metrics.harness.held import held_modules, held_tensors

SUBJECT = "vistok.metrics.harness.held"


class Method(nn.Linear):
    def encode(self, images):
        return images


@catches(SUBJECT, "        yield name, part\n        part = part.state_dict()", "        part = part.state_dict()")
@catches(SUBJECT, "part = part.state_dict()", "part = {}")
@catches(SUBJECT, "part = dict(enumerate(part))", "part = {}")
@catches(SUBJECT, "part if isinstance(part, Mapping) else getattr", "{} if isinstance(part, Mapping) else getattr")
@catches(SUBJECT, "part = part.__self__", "pass")
def test_a_network_is_found_wherever_it_lies():
    network = Method(1, 1)
    for held, where in (
        (network, ""),
        (SimpleNamespace(net=network), ".net"),
        (SimpleNamespace(nets=[None, (network,)]), ".nets.1.0"),
        ({"own": SimpleNamespace(net=network)}, ".own.net"),
        (SimpleNamespace(encode=network.encode), ".encode"),
    ):
        assert held_modules(held) == [network]
        tensors = held_tensors(held)
        assert list(tensors) == [f"{where}.weight", f"{where}.bias"]
        assert tensors[f"{where}.weight"].data_ptr() == network.weight.data_ptr()


@catches(SUBJECT, "or id(part) in seen", "")
@catches(SUBJECT, "ModuleType | type", "type")
@catches(SUBJECT, "if isinstance(part, Tensor):\n        yield name, part", "if False:\n        yield name, part")
def test_each_network_is_told_once_and_what_is_no_tokenizers_not_at_all():
    network = nn.Sequential(nn.Linear(1, 1))
    library = ModuleType("library")
    library.network = nn.Linear(1, 1)
    ring = SimpleNamespace(one=network, other=network, book=torch.ones(2), library=library)
    ring.itself = ring
    assert held_modules(ring) == [network]
    assert list(held_tensors(ring)) == [".one.0.weight", ".one.0.bias", ".book"]

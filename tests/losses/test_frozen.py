"""A network that a loss looks through."""

import torch

from _support.mutants import catches
from _support.stages import Stages
from _support.strategies import normal
from vistok.losses._frozen import FrozenNetwork

SUBJECT = "vistok.losses._frozen"


@catches(SUBJECT, "return super().train(False)", "return super().train(mode)")
def test_it_stays_in_eval_mode_when_a_parent_trains():
    network = Stages()
    parent = torch.nn.Sequential(FrozenNetwork(network)).train()
    assert parent.training
    assert not any(module.training for module in network.modules())
    statistics = network.first[1].running_mean.clone()
    parent(normal(0, 2, 3, 8, 8))
    assert torch.equal(network.first[1].running_mean, statistics)


@catches(SUBJECT, "network.requires_grad_(False).eval()", "network.eval()")
def test_its_parameters_never_learn_and_gradients_pass_through():
    image = normal(0, 1, 3, 8, 8).requires_grad_()
    frozen = FrozenNetwork(Stages())
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    sum(map.sum() for map in frozen(image)).backward()
    assert image.grad.any()
    assert all(parameter.grad is None for parameter in frozen.parameters())


def test_the_feature_maps_are_those_of_the_network_in_eval_mode():
    network, image = Stages(), normal(0, 2, 3, 8, 8)
    wanted = network.eval()(image)
    for got, map in zip(FrozenNetwork(network.train())(image), wanted, strict=True):
        assert torch.equal(got, map)


@catches(SUBJECT, "images.to(weight.dtype)", "images")
def test_images_are_seen_in_the_dtype_of_the_network():
    network, image = Stages(), normal(0, 2, 3, 8, 8)
    for dtype in (torch.bfloat16, torch.float64):
        given = image.to(dtype).requires_grad_()
        maps = FrozenNetwork(network)(given)
        assert {map.dtype for map in maps} == {torch.float32}
        sum(map.sum() for map in maps).backward()
        assert given.grad.dtype == dtype


@catches(SUBJECT, "parameter.requires_grad_(False)", "pass")
def test_a_parent_whose_parameters_are_let_learn_does_not_thaw_it():
    image, frozen = normal(0, 1, 3, 8, 8).requires_grad_(), FrozenNetwork(Stages())
    parent = torch.nn.Sequential(frozen).requires_grad_(True)
    sum(map.sum() for map in parent(image)).backward()
    assert image.grad.any()
    assert all(parameter.grad is None for parameter in frozen.parameters())

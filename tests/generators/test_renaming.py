"""Weights under other names: each finds its place, or everything that does not is named."""

import pytest
import torch

from _support.mutants import catches
from vistok.generators._renaming import load_renamed

SUBJECT = "vistok.generators._renaming"
RULES = ((r"layers\.(\d)\.w", r"\1.weight"), (r"layers\.(\d)\.b", r"\1.bias"), (r"layers\..*", "later"))


def model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))


def saved(**changed):
    named = {"layers.0.w": (3, 2), "layers.0.b": (3,), "layers.1.w": (1, 3), "layers.1.b": (1,)}
    return {**{name: torch.full(shape, 1.0 + len(name)) for name, shape in named.items()}, **changed}


@catches(SUBJECT, "        if re.fullmatch(pattern, name):", "        if re.match(pattern[:6], name):")
@catches(SUBJECT, "tensor.reshape(target[ours].shape)", "tensor.reshape(target[ours].shape) * 0")
@catches(SUBJECT, "_squeezed(value) != _squeezed(target)", "value.shape != target.shape")
def test_every_weight_takes_the_place_of_the_first_rule_that_matches_its_name_as_a_whole():
    target, state = model(), saved()
    state["layers.1.w"] = state["layers.1.w"].reshape(1, 3, 1)
    load_renamed(target, state, RULES, "step")
    for ours, theirs in (("0.weight", "layers.0.w"), ("0.bias", "layers.0.b"), ("1.weight", "layers.1.w")):
        assert torch.equal(target.state_dict()[ours].flatten(), state[theirs].flatten())


@catches(SUBJECT, 'problems += [f"{name}: not in the checkpoint"', '_ = [f"{name}: not in the checkpoint"')
@catches(SUBJECT, "elif ours is None or ours not in target:", "elif ours not in target and False:")
@catches(SUBJECT, "value.numel() != target.numel() or _squeezed(value) != _squeezed(target)", "False")
@catches(SUBJECT, "problems = list(built_otherwise)", "problems = []")
def test_everything_that_does_not_match_is_named_and_the_model_stays_as_it_was():
    target, state = model(), saved(**{"layers.0.b": torch.ones(2), "head.w": torch.ones(2)})
    del state["layers.1.b"]
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ValueError, match=r"^checkpoint does not fit, 4 entries: ") as caught:
        load_renamed(target, state, RULES, "step", ["heads: 2 in the model, 4 in the saved network"])
    for part in ("heads: 2", "0.bias of shape (3,)", "head.w: no place", "1.bias: not in the checkpoint"):
        assert part in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@catches(SUBJECT, " or re.fullmatch(ignored, name)", "")
def test_what_is_ignored_needs_no_place():
    load_renamed(model(), saved(step=torch.ones(1)), RULES, "step")


@catches(SUBJECT, "not bool(value.isfinite().all())", "False")
@catches(SUBJECT, "value.dtype not in _FLOATS", "False")
@catches(SUBJECT, "if not isinstance(value, Tensor):", "if isinstance(value, str):")
def test_what_cannot_be_a_weight_is_refused():
    for value, said in (
        (torch.full((3,), float("nan")), "holds values that are not finite"),
        (torch.ones(3, dtype=torch.int64), "expected dense floating point of 16 to 64 bits, got torch.int64"),
        ([1.0, 1.0, 1.0], "expected a tensor, got list"),
    ):
        with pytest.raises(ValueError, match=r"1 entries: layers\.0\.b: ") as caught:
            load_renamed(model(), saved(**{"layers.0.b": value}), RULES, "step")
        assert said in str(caught.value)

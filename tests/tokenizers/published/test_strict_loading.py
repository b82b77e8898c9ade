"""Weights under other names: each finds its place, or everything that does not is named and nothing is loaded."""

from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import small_llamagen, state_of
from vistok import tokenizers as t
from vistok.tokenizers.published._strict_loading import Source, layer, load_strictly

SUBJECT = "vistok.tokenizers.published._strict_loading"


class Toy(torch.nn.Module):
    """A layer that is saved in two parts, a grid that is saved as rows, and what no other network has."""

    def __init__(self):
        super().__init__()
        self.joined = torch.nn.Linear(2, 4)
        self.positions = torch.nn.Parameter(torch.zeros(1, 5, 2, 3))
        self.quantizer = torch.nn.Module()
        self.quantizer.register_buffer("steps_unused", torch.tensor([3, 4]))


SOURCES = {**layer("joined", "up", "down"), "positions": Source(("where",), rows=True)}


def saved(**changed):
    state = {"up.weight": torch.ones(2, 2), "down.weight": torch.full((2, 2), 2.0), "where": torch.rand(6, 5)}
    return {**state, "up.bias": torch.full((2,), 3.0), "down.bias": torch.full((2,), 4.0), **changed}


@catches(SUBJECT, "parts[0].T.reshape(target.shape)", "parts[0].reshape(target.shape)")
@catches(SUBJECT, "torch.cat(parts) if", "torch.cat(parts[::-1]) if")
@catches(SUBJECT, "            filled[ours] = target\n", "            filled[ours] = torch.zeros_like(target)\n")
def test_parts_are_joined_rows_become_a_grid_and_our_statistics_stay():
    model, state = Toy(), saved()
    load_strictly(model, state, SOURCES, "step")
    assert model.joined.weight.tolist() == [[1, 1], [1, 1], [2, 2], [2, 2]]
    assert model.joined.bias.tolist() == [3, 3, 4, 4]
    for row in range(2):
        for column in range(3):
            assert torch.equal(model.positions[0, :, row, column], state["where"][3 * row + column])
    assert model.quantizer.steps_unused.tolist() == [3, 4]


@catches(SUBJECT, "else whole * source.scale", "else whole")
def test_values_are_multiplied_where_the_source_says_so():
    model, state = Toy(), saved()
    load_strictly(model, state, {**SOURCES, "joined.bias": SOURCES["joined.bias"]._replace(scale=0.5)}, "step")
    assert model.joined.bias.tolist() == [1.5, 1.5, 2, 2]
    assert model.joined.weight.tolist() == [[1, 1], [1, 1], [2, 2], [2, 2]]


@catches(SUBJECT, "if not _is_known(name, known, ignored)", "if False")
@catches(SUBJECT, 'yield f"{name}: not in the checkpoint, for {ours}"', "continue")
@catches(SUBJECT, "elif tuple(state[name].shape) != expected:", "elif state[name].ndim != len(expected):")
@catches(SUBJECT, "    problems += built_otherwise\n", "")
def test_everything_that_does_not_match_is_named():
    state = saved(where=torch.zeros(5, 6), head=torch.zeros(1))
    del state["down.bias"]
    with pytest.raises(ValueError, match=r"^checkpoint does not fit, 4 entries: ") as caught:
        load_strictly(Toy(), state, SOURCES, "step", ["8 heads"])
    said = str(caught.value).partition("entries: ")[2].split("; ")
    assert said == [
        "head: no place in the model",
        "where: expected shape (6, 5) for positions, got (5, 6)",
        "down.bias: not in the checkpoint, for joined.bias",
        "8 heads",
    ]


@catches(SUBJECT, "elif ours not in sources:", "elif False:")
def test_a_part_that_the_published_network_has_not_is_named():
    model = Toy()
    model.residual = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match=r"1 entries: residual: the published network has none$"):
        load_strictly(model, saved(), SOURCES, "step")


@catches(SUBJECT, "re.fullmatch(ignored, name) is not None", "False")
@catches(SUBJECT, "re.fullmatch(ignored, name)", "re.match(ignored, name)")
def test_what_is_ignored_is_matched_as_a_whole():
    load_strictly(Toy(), saved(step=torch.zeros(1)), SOURCES, "step")
    with pytest.raises(ValueError, match=r"1 entries: steps: no place in the model"):
        load_strictly(Toy(), saved(steps=torch.zeros(1)), SOURCES, "step")


@catches(SUBJECT, "raise TypeError(", "raise ValueError(")
def test_a_path_is_no_state_dict():
    with pytest.raises(TypeError, match="state: expected a dictionary of tensors by name, got PosixPath"):
        load_strictly(Toy(), Path("theirs.pt"), SOURCES, "step")


@catches(SUBJECT, "isinstance(name, str) and (name in known", "(name in known")
def test_a_name_that_is_no_text_has_no_place():
    with pytest.raises(ValueError, match="1 entries: 7: no place in the model"):
        load_strictly(Toy(), {**saved(), 7: torch.zeros(1)}, SOURCES, "step")


def small_fqgan():
    sizes = {"multipliers": (1, 1, 1, 1), "num_blocks": 1, "latent_channels": 16, "adapter_depth": 2, "grid_size": 4}
    return t.DualCodebookTokenizer((24, 24), **sizes).eval()


def load(author, state, model):
    return t.load_llamagen_vq16(state, model) if author == "llamagen" else t.load_fqgan_dual(state, model)


def small(author):
    return small_llamagen() if author == "llamagen" else small_fqgan()


@catches(SUBJECT, "    if problems:\n", "    model.load_state_dict(filled, strict=False)\n    if problems:\n")
@pytest.mark.parametrize("author", ["llamagen", "fqgan"])
def test_a_checkpoint_that_does_not_fit_leaves_the_network_as_it_was(author):
    state = state_of(author)
    del state["encoder.mid.1.k.bias"], state["decoder.conv_blocks.0.upsample.conv.weight"]
    state["decoder.conv_blocks.9.res.0.conv1.weight"] = torch.zeros(2)
    state["post_quant_conv.bias"] = torch.zeros(3)
    state["encoder.mid.1.v.weight"] = torch.zeros(64, 128, 1, 1)
    model = small(author)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="checkpoint does not fit, 5 entries: ") as caught:
        load(author, state, model)
    for part in (
        "encoder.mid.1.k.bias: not in the checkpoint, for encoder.middle.1.qkv.bias",
        "decoder.conv_blocks.0.upsample.conv.weight: not in the checkpoint, for decoder.levels.1.conv.weight",
        "decoder.conv_blocks.9.res.0.conv1.weight: no place in the model",
        "post_quant_conv.bias: expected shape (16,) for post_quantization.bias, got (3,)",
        "encoder.mid.1.v.weight: expected shape",
    ):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())


@catches(
    SUBJECT,
    r'r"quantizer\.(semantic\.|visual\.)?(steps_unused|pending_count|wrapped\.mask)"',
    'r"quantizer.pending_count"',
)
@pytest.mark.parametrize("author", ["llamagen", "fqgan"])
def test_the_statistics_of_our_quantizers_stay(author):
    model = small(author)
    quantizer = model.quantizer if author == "llamagen" else model.quantizer.visual
    quantizer.steps_unused.fill_(3)
    load(author, state_of(author), model)
    assert quantizer.steps_unused.tolist() == [3] * 24


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.zeros(16, dtype=torch.int8), r"expected floating point of 16 to 64 bits.*got torch\.int8"),
        (torch.zeros(16, dtype=torch.int64), r"expected floating point of 16 to 64 bits, got torch\.int64"),
        (torch.zeros(16, dtype=torch.complex64), r"got torch\.complex64"),
        (torch.zeros(16).to_sparse(), r"expected a dense tensor, got torch\.sparse_coo"),
        (torch.full((16,), float("nan")), "holds values that are not finite"),
        (torch.full((16,), float("-inf")), "holds values that are not finite"),
        ([0.0], "expected a tensor, got list"),
    ],
)
@pytest.mark.parametrize("author", ["llamagen", "fqgan"])
def test_what_is_no_tensor_of_weights_is_refused_in_one_line(author, value, message):
    with pytest.raises(ValueError, match=f"1 entries: post_quant_conv.bias: .*{message}"):
        load(author, {**state_of(author), "post_quant_conv.bias": value}, small(author))


@catches(SUBJECT, "if value.dtype not in _FLOATS:", "if not value.dtype.is_floating_point:")
@catches(SUBJECT, "not bool(value.isfinite().all())", "bool(value.isnan().all())")
@catches(SUBJECT, "not value.is_meta and not", "value.is_meta and not")
def test_eight_bits_and_one_infinite_value_are_refused():
    for value in (torch.zeros(2).to(torch.float8_e4m3fn), torch.tensor([0.0, float("inf")])):
        with pytest.raises(ValueError, match=r"1 entries: up\.bias: "):
            load_strictly(Toy(), saved(**{"up.bias": value}), SOURCES, "step")

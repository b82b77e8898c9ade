"""The quantizers by configuration: what tokens are, how generators see them, and what does not fit."""

import json
import math

import pytest
import torch
from safetensors.torch import load_file

from _support.mutants import catches
from _support.semtok_runs import generator, pictures, tiny, tiny_tokenizer
from semtok.generator import build_generator, generate, token_groups
from semtok.model import SemTok
from semtok.networks import check_networks
from semtok.quantizer import BinarySphericalConfig, FiniteScalarConfig, LookupFreeConfig, VectorConfig, group_sizes
from semtok.tokenizer_config import TokenizerConfig
from vistok.generators import BitTokens, IdTokens
from vistok.workbench.config import ConfigError
from vistok.workbench.run.tensor_files import save_tensors

SUBJECT = "semtok.quantizer"
KINDS = {
    "bsq": "{kind: bsq}",
    "lfq": "{kind: lfq}",
    "fsq": "{kind: fsq, levels: [5, 3, 4]}",
    "vector": "{kind: vector, codebook_size: 12, dim: 5}",
}


def chosen(kind, *overrides, groups=1):
    groups = [f"generators.{name}.num_groups={groups}" for name in ("masked", "far")]
    return tiny(f"tokenizer.quantizer={KINDS[kind]}", *groups, *overrides)


def tokenizer_of(kind, refiner=None):
    return tiny_tokenizer(refiner, quantizer=chosen(kind).tokenizer.quantizer)


@catches(SUBJECT, "        return self.levels\n", "        return self.levels[::-1]\n")
@catches(SUBJECT, "bits, channel_dim=-1, lowest_bit_first=True", "bits, channel_dim=-1")
def test_parts_of_a_tokens_number_are_the_channels_of_its_code_lowest_first():
    for kind in (
        BinarySphericalConfig(),
        LookupFreeConfig(kind="lfq"),
        FiniteScalarConfig(kind="fsq", levels=(5, 3, 4)),
    ):
        parts, step = kind.parts(6), 1
        every = kind.build(6).indices_to_codes(torch.arange(math.prod(parts)))
        assert every.shape[1] == kind.code_dim(6)
        for channel, values in enumerate(parts):
            codes = every[torch.arange(values) * step]
            assert (codes[:, channel].diff() > 0).all()
            others = [other for other in range(every.shape[1]) if other != channel]
            assert torch.equal(codes[:, others], every[:1, others].expand(values, -1))
            step *= values


@pytest.mark.parametrize(("kind", "size", "dim"), [("bsq", 64, 6), ("lfq", 64, 6), ("fsq", 60, 3), ("vector", 12, 5)])
def test_tokens_are_numbers_of_codes(kind, size, dim):
    model = tokenizer_of(kind)
    assert (model.settings.codebook_size, model.settings.code_dim, model.codebook_sizes) == (size, dim, (size,))
    tokens = model.encode(pictures())
    assert tokens.shape == (3, 4)
    assert bool(((tokens >= 0) & (tokens < size)).all())
    every = model.quantizer.indices_to_codes(torch.arange(size)).detach()
    assert every.shape == (size, dim)
    assert torch.equal(model.quantizer.codes_to_indices(every), torch.arange(size))


@pytest.mark.parametrize("kind", KINDS)
def test_images_go_in_and_come_out_and_a_folder_keeps_the_choice(kind, tmp_path):
    model = tokenizer_of(kind, "constant")
    model.save_pretrained(tmp_path)
    again = SemTok.from_pretrained(tmp_path)
    assert again.settings.quantizer.kind == kind
    assert again.decoder.code_scale == again.refiner.network.code_scale == model.decoder.code_scale
    assert torch.equal(again.reconstruct(pictures()), model.reconstruct(pictures()))


@catches("semtok.model", "if not settings.quantizer.unit_length:", "if settings.quantizer.unit_length:")
def test_the_decoder_sees_codes_of_unit_deviation():
    for kind in ("bsq", "lfq", "vector"):
        model, seen = tiny_tokenizer(model=SemTok, quantizer=chosen(kind).tokenizer.quantizer), []
        model.decoder.embed_codes.register_forward_hook(lambda _, inputs, __, seen=seen: seen.append(inputs[0]))
        model.sample(model.encode(pictures()), generator=generator())
        torch.testing.assert_close(seen[0].square().mean(-1), torch.ones(3, 4), rtol=1e-4, atol=1e-4)


def test_a_tokenizer_that_was_saved_before_there_was_a_choice_loads(tmp_path):
    model = tiny_tokenizer()
    model.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["settings"]["quantizer"]
    text = json.dumps(values, sort_keys=True, indent=2)
    (tmp_path / "config.json").write_text(text)
    weights = load_file(tmp_path / "model.safetensors")
    assert not any(name.startswith("quantizer") for name in weights)
    save_tensors(tmp_path / "model.safetensors", weights, {"format": "pt", "config": text})
    assert torch.equal(SemTok.from_pretrained(tmp_path).encode(pictures()), model.encode(pictures()))


@catches(SUBJECT, "math.prod(parts[start : start + length])", "sum(parts[start : start + length])")
@catches(SUBJECT, "length = len(parts) // count", "length = count")
def test_groups_are_runs_of_parts():
    assert group_sizes((2,) * 6, 2) == (8, 8)
    assert group_sizes((5, 3, 4), 3) == (5, 3, 4)
    assert group_sizes((5, 3, 4, 7), 2) == (15, 28)
    assert group_sizes((12,), 1) == (12,)


@pytest.mark.parametrize("name", ["masked", "far"])
@pytest.mark.parametrize(("kind", "groups"), [("lfq", 2), ("fsq", 3), ("fsq", 1), ("vector", 1)])
def test_generators_learn_and_draw_tokens_of_every_kind(kind, groups, name):
    config = chosen(kind, groups=groups)
    torch.manual_seed(0)
    model, cut = build_generator(config, name, 10), token_groups(config, name)
    if name == "masked":
        assert isinstance(model.tokens, BitTokens if kind == "lfq" else IdTokens)
    size = config.tokenizer.codebook_size
    every = torch.arange(size).repeat(4)[: size // 4 * 4].view(-1, 4)
    assert torch.equal(cut.join(cut.split(every)), every)
    assert math.prod(cut.sizes) == size
    model.loss(cut.split(every[:3]), torch.zeros(3, dtype=torch.int64)).backward()
    drawn = generate(model.eval(), torch.arange(3), cut, config.generators[name].samples["default"], generator())
    assert drawn.shape == (3, 4)
    assert bool(((drawn >= 0) & (drawn < size)).all())


def test_what_does_not_fit_is_told_in_one_line():
    two = ("generators.masked.num_groups=2", "generators.far.num_groups=2")
    for overrides, message in (
        ((f"tokenizer.quantizer={KINDS['vector']}",), r"masked.num_groups: expected 1 with quantizer vector, got 2"),
        (
            (f"tokenizer.quantizer={KINDS['fsq']}", *two),
            r"masked.num_groups: expected a divisor of the 3 channels of quantizer fsq, got 2",
        ),
        (("tokenizer.quantizer={kind: pq}",), r"tokenizer.quantizer"),
    ):
        with pytest.raises(ConfigError, match=message):
            tiny(*overrides)


@catches(SUBJECT, "if math.prod(self.levels) > _MOST_CODES", "if False")
@catches(SUBJECT, "le=_MOST_CODES", "le=2 * _MOST_CODES")
def test_codes_that_are_not_bits_can_be_counted():
    assert math.prod(FiniteScalarConfig(kind="fsq", levels=(64, 64, 64)).parts(6)) == 2**18
    with pytest.raises(ValueError, match=r"levels: expected a product of at most 262,144, got 266,240"):
        FiniteScalarConfig(kind="fsq", levels=(64, 64, 65))
    with pytest.raises(ValueError, match="less than or equal to 262144"):
        VectorConfig(kind="vector", codebook_size=2**18 + 1)


@catches(SUBJECT, "if bits > _MOST_LOOKUP_FREE_BITS", "if bits > 62")
def test_lookup_free_tokens_have_at_most_18_bits():
    with pytest.raises(ValueError, match=r"\Abits: expected at most 18 with quantizer lfq, got 20\Z"):
        LookupFreeConfig(kind="lfq").build(20)
    config = chosen("lfq", "tokenizer.bits=20", groups=2)
    with pytest.raises(ConfigError, match=r"\Atokenizer: bits: expected at most 18 with quantizer lfq, got 20\Z"):
        check_networks(config)


def test_a_token_is_told_in_words():
    assert [chosen(kind).tokenizer.token_words for kind in KINDS] == ["6 bits", "6 bits", "60 codes", "12 codes"]
    assert TokenizerConfig().quantizer.kind == "bsq"

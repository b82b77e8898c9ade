"""Weights in the layouts of SEED-Voken's code give what its networks gave for them."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import OneCodebook, asked_for, assert_close, golden, images, state_of
from vistok.quantizers import IndexBackpropagationQuantizer, VectorQuantizer
from vistok.tokenizers import LookupFreeTokenizer, load_ibq, load_open_magvit2

SUBJECT = "vistok.tokenizers.published.seed_voken"


def small_magvit2(**changes):
    return LookupFreeTokenizer(6, **{"multipliers": (1, 1, 2), "num_blocks": 1, **changes}).eval()


def one_codebook(quantizer, **changes):
    model = OneCodebook(24, **{"multipliers": (1, 1, 2), "num_blocks": 1, "latent_channels": 16, **changes}).eval()
    model.quantizer = quantizer
    return model


def small_ibq(**changes):
    return one_codebook(IndexBackpropagationQuantizer(24, 8), **changes)


def averaged(state):
    """As the authors' training keeps the moving average: names without dots, in the same dictionary."""
    return {f"model_ema.{name.replace('.', '')}": tensor for name, tensor in state.items()}


@catches(SUBJECT, "len(decoder.levels) - 1 - index", "index")
@catches(SUBJECT, 'gain", f"decoder.adaptive.{place}.gamma"', 'gain", f"decoder.adaptive.{place}.beta"')
@catches(SUBJECT, '_blocks(f"{stack}.middle", f"{stack}.mid_block"', '_blocks(f"{stack}.middle", "encoder.mid_block"')
@torch.no_grad()
def test_open_magvit2_gives_the_features_tokens_and_images_of_the_published_network():
    case = golden("open_magvit2")
    model = load_open_magvit2(state_of("open_magvit2"), small_magvit2())
    assert_close(model.features(images(16)), case["features"], case["every_feature"])
    tokens = model.encode(images(16))
    assert tokens.flatten().tolist() == case["indices"]
    assert_close(model.decode_codes(model.codes(tokens)), case["images"], case["every_pixel"])


@catches(SUBJECT, "parts.decoder, VQGAN)", "parts.decoder)")
@catches(SUBJECT, '("head.to_code", "quant_conv")', '("head.to_code", "post_quant_conv")')
@torch.no_grad()
def test_ibq_gives_the_features_tokens_and_images_of_the_published_network():
    case = golden("ibq")
    model = load_ibq(state_of("ibq"), small_ibq())
    assert_close(model.features(images(16)), case["features"], case["every_feature"])
    tokens = model.quantizer(model.features(images(16))).indices
    assert tokens.flatten().tolist() == case["indices"]
    assert_close(model(images(16)), case["images"], case["every_pixel"])


@catches(SUBJECT, 'name.replace(".", "")', "name")
@catches(SUBJECT, 'ignored = f"{_IGNORED}|{_NOT_AVERAGED}"', "ignored = _IGNORED")
@catches(SUBJECT, r'(decay|num_updates|loss.*)"', r'(decay|loss.*)"')
def test_averaged_weights_are_taken_where_there_are_any():
    training = {
        "loss.discriminator.main.0.weight": torch.zeros(2),
        "model_ema.lossdiscriminatormain0bias": torch.ones(2),
    }
    counters = {"model_ema.decay": torch.tensor(0.999), "model_ema.num_updates": torch.tensor(-1, dtype=torch.int32)}
    for author, load, make in (("open_magvit2", load_open_magvit2, small_magvit2), ("ibq", load_ibq, small_ibq)):
        state = state_of(author)
        both = {**state, **averaged({name: 2 * tensor for name, tensor in state.items()}), **training, **counters}
        model, plain = load(both, make()), load(state, make())
        assert torch.equal(model.decoder.conv_out.weight, 2 * plain.decoder.conv_out.weight)
        del both["model_ema.decoderconv_outweight"]
        with pytest.raises(ValueError, match=r"1 entries: model_ema\.decoderconv_outweight: not in the checkpoint"):
            load(both, make())


@catches(SUBJECT, "isinstance(state, Mapping) and any", "any")
def test_what_is_no_dictionary_of_weights_is_one_line():
    with pytest.raises(TypeError, match="state: expected a dictionary of tensors by name, got int"):
        load_open_magvit2(3, small_magvit2())
    with pytest.raises(ValueError, match="1 entries: 7: no place in the model"):
        load_ibq({**state_of("ibq"), 7: torch.zeros(1)}, small_ibq())


def test_the_published_sizes_are_built():
    with torch.device("meta"):
        model = LookupFreeTokenizer()
        assert sum(p.numel() for p in model.parameters()) == 115_127_829
        assert sum(p.numel() for p in LookupFreeTokenizer(multipliers=(1, 2, 2, 4)).parameters()) == 112_021_653
        wide = {"multipliers": (1, 1, 2, 2, 4), "num_blocks": 4, "latent_channels": 256, "code_dim": 256}
        ibq = one_codebook(IndexBackpropagationQuantizer(262_144, 256), **wide)
        assert sum(p.numel() for p in ibq.parameters()) == 173_896_579
        state = {name: torch.empty(shape) for name, shape in asked_for(load_open_magvit2, model).items()}
        assert not load_open_magvit2(state).training


@catches(SUBJECT, "list(other_groups(model))", "[]")
@catches(SUBJECT, "[*other_groups(model), *otherwise]", "otherwise")
def test_other_groups_of_normalisation_are_refused():
    for author, load, model in (("open_magvit2", load_open_magvit2, small_magvit2()), ("ibq", load_ibq, small_ibq())):
        model.decoder.norm_out.num_groups = 16
        with pytest.raises(ValueError, match=r"1 entries: decoder\.norm_out: 16 groups, the published network has 32"):
            load(state_of(author), model)


@catches(SUBJECT, "[*other_groups(model), *otherwise]", "list(other_groups(model))")
def test_a_quantizer_that_chooses_otherwise_is_refused():
    model = one_codebook(VectorQuantizer(24, 8, metric="euclidean"))
    with pytest.raises(ValueError, match="quantizer: VectorQuantizer, the published network takes the largest dot"):
        load_ibq(state_of("ibq"), model)

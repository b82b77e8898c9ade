"""Weights in the layout of LlamaGen's code give what LlamaGen's network gave for them."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import (
    OneCodebook,
    Shapes,
    assert_close,
    golden,
    images,
    small_llamagen,
    state_of,
)
from vistok.tokenizers import load_llamagen_vq16

SUBJECT = "vistok.tokenizers.published.llamagen"


@catches(SUBJECT, '("head.to_code", "quant_conv")', '("head.to_code", "post_quant_conv")')
@catches(SUBJECT, '("head.norm", "encoder.norm_out")', '("head.norm", "decoder.norm_out")')
@torch.no_grad()
def test_features_tokens_and_images_are_those_of_the_published_network():
    case = golden("llamagen")
    model = load_llamagen_vq16(state_of("llamagen"), small_llamagen())
    assert_close(model.features(images()), case["features"], case["every_feature"])
    tokens = model.quantizer(model.features(images())).indices
    assert tokens.flatten().tolist() == case["indices"]
    assert tokens.shape == (2, 8, 8)
    assert_close(model(images()), case["images"], case["every_pixel"])
    decoded = model.decoder(model.post_quantization(model.quantizer.indices_to_codes(tokens)))
    torch.testing.assert_close(decoded, model(images()))


@pytest.mark.parametrize(("first", "second"), [("q", "k"), ("k", "v")])
def test_the_golden_numbers_tell_queries_keys_and_values_apart(first, second):
    state = state_of("llamagen")
    for leaf in ("weight", "bias"):
        one, other = (f"encoder.mid.1.{part}.{leaf}" for part in (first, second))
        state[one], state[other] = state[other], state[one]
    with torch.no_grad():
        features = load_llamagen_vq16(state, small_llamagen()).features(images())
    with pytest.raises(AssertionError):
        assert_close(features, golden("llamagen")["features"], golden("llamagen")["every_feature"])


def test_the_published_size_fits():
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in Shapes("llamagen").items()}
        model = load_llamagen_vq16(state, OneCodebook())
    assert sum(p.numel() for p in model.parameters()) == 71_883_403


def test_a_given_model_stays_in_its_mode():
    for model in (small_llamagen().train(), small_llamagen()):
        was = model.training
        assert load_llamagen_vq16(state_of("llamagen"), model) is model
        assert model.training == was


@catches(SUBJECT, r'r"quantize\.codebook_used"', r'r"quantize\.codebook_used|feat_pred_head\..*"')
def test_what_only_their_training_needs_is_left_out_and_nothing_else():
    load_llamagen_vq16(state_of("llamagen") | {"quantize.codebook_used": torch.zeros(65536)}, small_llamagen())
    with pytest.raises(ValueError, match=r"1 entries: feat_pred_head\.upscale\.0\.weight: no place in the model"):
        load_llamagen_vq16(state_of("llamagen") | {"feat_pred_head.upscale.0.weight": torch.zeros(2)}, small_llamagen())


@catches(SUBJECT, "[*other_groups(model), *otherwise]", "otherwise")
def test_a_model_with_other_groups_of_normalisation_is_refused():
    model = small_llamagen()
    model.encoder.middle[0].norm1.num_groups = 16
    with pytest.raises(ValueError, match=r"1 entries: encoder\.middle\.0\.norm1: 16 groups, the published network has"):
        load_llamagen_vq16(state_of("llamagen"), model)


@catches(SUBJECT, "[*other_groups(model), *otherwise]", "list(other_groups(model))")
def test_codes_that_are_not_compared_by_their_direction_are_refused():
    with pytest.raises(ValueError, match="1 entries: quantizer: metric euclidean, the published network has cosine"):
        load_llamagen_vq16(state_of("llamagen"), small_llamagen(metric="euclidean"))

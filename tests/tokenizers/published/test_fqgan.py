"""Weights in the layout of FQGAN's code give what FQGAN's network gave for them."""

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import Shapes, assert_close, golden, images, state_of
from vistok.tokenizers import DualCodebookTokenizer, load_fqgan_dual

SUBJECT = "vistok.tokenizers.published.fqgan"


def small(**changes):
    sizes = {"multipliers": (1, 1, 1, 1), "num_blocks": 1, "latent_channels": 16, "adapter_depth": 2, "grid_size": 4}
    return DualCodebookTokenizer((24, 24), **{**sizes, **changes}).eval()


@catches(SUBJECT, '"semantic", "sem", model', '"semantic", "vis", model')
@catches(SUBJECT, '"quantize_sem.embedding.weight"', '"quantize_vis.embedding.weight"')
@catches(SUBJECT, 'f"{theirs}.ln_pre"', 'f"{theirs}.ln_post"')
@torch.no_grad()
def test_features_tokens_and_images_are_those_of_the_published_network():
    case = golden("fqgan")
    model = load_fqgan_dual(state_of("fqgan"), small())
    semantic, visual = model.features(images())
    assert_close(semantic, case["semantic_features"], case["every_feature"])
    assert_close(visual, case["visual_features"], case["every_feature"])
    tokens = model.encode(images())
    assert tokens.semantic.flatten().tolist() == case["semantic_indices"]
    assert tokens.visual.flatten().tolist() == case["visual_indices"]
    assert_close(model(images()), case["images"], case["every_pixel"])
    torch.testing.assert_close(model.decode(tokens), model(images()).clamp(-1, 1))


@pytest.mark.parametrize(("first", "second"), [("q", "k"), ("k", "v")])
def test_the_golden_numbers_tell_queries_keys_and_values_apart(first, second):
    state = state_of("fqgan")
    for leaf in ("weight", "bias"):
        one, other = (f"encoder.mid.1.{part}.{leaf}" for part in (first, second))
        state[one], state[other] = state[other], state[one]
    with torch.no_grad():
        semantic, _ = load_fqgan_dual(state, small()).features(images())
    with pytest.raises(AssertionError):
        assert_close(semantic, golden("fqgan")["semantic_features"], golden("fqgan")["every_feature"])


@catches(SUBJECT, "DualCodebookTokenizer().eval()", "DualCodebookTokenizer()")
def test_the_default_is_the_network_of_the_published_size_in_evaluation_mode():
    with torch.device("meta"):
        model = load_fqgan_dual({key: torch.empty(shape) for key, shape in Shapes("fqgan").items()})
    assert sum(p.numel() for p in model.parameters()) == 111_294_355
    assert not model.training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"grid_size": 8}, r"positional_embedding: expected shape \(64, 128\) for semantic_adapter\.positions"),
        ({"adapter_depth": 1}, r"semantic_head\.0\.transformer\.1\.ln_1\.weight: no place in the model"),
    ],
)
def test_a_model_that_is_built_differently_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        load_fqgan_dual(state_of("fqgan"), small(**changes))


@catches(SUBJECT, "[*other_groups(model), *_other_heads(model)]", "[*_other_heads(model)]")
def test_a_model_with_other_groups_of_normalisation_is_refused():
    message = r"encoder\.levels\.0\.0\.norm1: 16 groups, the published network has 32"
    with pytest.raises(ValueError, match=message):
        load_fqgan_dual(state_of("fqgan"), small(base_channels=64))


@catches(SUBJECT, "[*other_groups(model), *_other_heads(model)]", "[*other_groups(model)]")
def test_a_model_with_other_heads_is_refused():
    model = small()
    model.visual_adapter.blocks[1].num_heads = 4
    with pytest.raises(ValueError, match=r"1 entries: visual_adapter\.blocks\.1: 4 heads, the published network has 8"):
        load_fqgan_dual(state_of("fqgan"), model)


@catches(SUBJECT, "_(sem|vis)", "_sem")
@catches(SUBJECT, r"|feat_pred_head\..*", "")
def test_what_only_their_training_needs_is_left_out():
    ring = torch.zeros(65536)
    state = state_of("fqgan") | {"quantize_sem.codebook_used": ring, "quantize_vis.codebook_used": ring}
    load_fqgan_dual(state | {"feat_pred_head.upscale.0.weight": torch.zeros(2)}, small())

"""FQGAN's published weights fill a GloTok without residual recovery, and files are read as they are published."""

import argparse
import tomllib
from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import Shapes, assert_close, golden, images, state_of
from glotok.config import TokenizerConfig
from glotok.model import GloTok
from vistok.metrics import load_tokenizer
from vistok.metrics.harness.loaders import GROUP
from vistok.tokenizers import DualCodebookTokenizer, load_fqgan_dual
from vistok.workbench.backbones.weights import read_weights

ANNOUNCED = tomllib.loads((Path(__file__).parents[3] / "recipes" / "pyproject.toml").read_text())["project"]


def small(**changes):
    sizes = {"image_size": 32, "multipliers": (1, 1, 1, 1), "num_blocks": 1, "adapter_depth": 2, "latent_channels": 16}
    books = {"semantic_codebook_size": 24, "visual_codebook_size": 24, "residual": False}
    return GloTok(TokenizerConfig(**{**sizes, **books, **changes})).eval()


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
    assert_close(model(images()).reconstruction, case["images"], case["every_pixel"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"residual": True}, r"visual_recovery\.\S+: the published network has none"),
        ({"adapter_heads": 4}, r"semantic_adapter\.blocks\.0: 4 heads, the published network has 8"),
        ({"image_size": 64}, r"positional_embedding: expected shape \(64, 128\) for semantic_adapter\.positions"),
        ({"base_channels": 64}, r"encoder\.levels\.0\.0\.norm1: 16 groups, the published network has 32"),
        ({"adapter_depth": 1}, r"semantic_head\.0\.transformer\.1\.ln_1\.weight: no place in the model"),
    ],
)
def test_a_glotok_that_is_built_differently_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        load_fqgan_dual(state_of("fqgan"), small(**changes))


def test_the_published_size_is_the_default_but_for_codebooks_and_recovery():
    settings = TokenizerConfig(semantic_codebook_size=16384, visual_codebook_size=16384, residual=False)
    with torch.device("meta"):
        ours, theirs = GloTok(settings).state_dict(), DualCodebookTokenizer().state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}


def test_the_published_file_is_read_as_it_is(tmp_path):
    arguments = argparse.Namespace(codebook_size=24, image_size=256)
    torch.save({"model": state_of("fqgan"), "args": arguments, "steps": 3, "optimizer": {}}, tmp_path / "theirs.pt")
    ours, expected = (
        load_fqgan_dual(state, small()) for state in (read_weights(tmp_path / "theirs.pt"), state_of("fqgan"))
    )
    assert all(torch.equal(tensor, expected.state_dict()[key]) for key, tensor in ours.state_dict().items())


@catches("glotok.published_weights", "load_fqgan_dual(read_published(name))", "DualCodebookTokenizer()")
def test_an_evaluation_opens_the_published_file_by_name(tmp_path):
    value = torch.full((1,), 0.25)  # a small file of the published shapes: each tensor is one number, repeated
    path = tmp_path / "fqgan.pt"
    torch.save({"model": {key: value.expand(shape) for key, shape in Shapes("fqgan").items()}}, path)
    model = load_tokenizer(ANNOUNCED["entry-points"][GROUP]["fqgan-dual"], path)
    assert not model.training
    assert (model.codebook_sizes, model.stride) == ((16384, 16384), 16)
    assert all((tensor == 0.25).all() for tensor in model.parameters())

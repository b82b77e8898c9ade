"""Published weights fill this recipe's network, and files are read as they are published."""

import argparse
import tomllib
from pathlib import Path

import pytest
import torch

from _support.mutants import catches
from _support.published_tokenizers import Shapes, asked_for, assert_close, golden, images, spread, state_of
from vistok.metrics import load_tokenizer
from vistok.metrics.harness.loaders import GROUP
from vistok.tokenizers import LookupFreeTokenizer, load_ibq, load_llamagen_vq16, load_open_magvit2
from vistok.workbench.backbones.weights import read_weights
from vqgan.config import TokenizerConfig
from vqgan.model import VQGAN

ANNOUNCED = tomllib.loads((Path(__file__).parents[3] / "recipes" / "pyproject.toml").read_text())["project"]
SUBJECT = "vqgan.published_weights"


def small(quantizer=None, **changes):
    sizes = {"image_size": 32, "multipliers": (1, 1, 2), "num_blocks": 1, "latent_channels": 16}
    book = quantizer or {"kind": "vector", "codebook_size": 24, "code_dim": 8}
    return VQGAN(TokenizerConfig(quantizer=book, **{**sizes, **changes})).eval()


@torch.no_grad()
def test_features_tokens_and_images_are_those_of_the_published_network():
    case = golden("llamagen")
    model = load_llamagen_vq16(state_of("llamagen"), small())
    assert_close(model.features(images()), case["features"], case["every_feature"])
    (tokens,) = model.encode(images())
    assert tokens.flatten().tolist() == case["indices"]
    assert_close(model(images()).reconstruction, case["images"], case["every_pixel"])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: small(base_channels=64), r"encoder\.levels\.0\.0\.norm1: 16 groups, the published network has 32"),
        (lambda: small({"kind": "bsq", "bits": 8}), "quantizer: metric None, the published network has cosine"),
        (
            lambda: small({"kind": "projected", "codebook_size": 24}),
            r"quantizer\.projection: the published",
        ),
        (lambda: small({"kind": "vector", "codebook_size": 24, "metric": "euclidean"}), "quantizer: metric euclidean"),
    ],
)
def test_a_network_that_is_built_differently_is_refused(model, message):
    with pytest.raises(ValueError, match=message):
        load_llamagen_vq16(state_of("llamagen"), model())


def test_the_default_is_the_network_of_the_published_size():
    with torch.device("meta"):
        state = {key: torch.empty(shape) for key, shape in Shapes("llamagen").items()}
        model = load_llamagen_vq16(state, VQGAN(TokenizerConfig()))
    assert sum(p.numel() for p in model.parameters()) == 71_883_403


def test_the_published_file_is_read_as_it_is(tmp_path):
    arguments = argparse.Namespace(codebook_size=24, image_size=256)
    torch.save({"model": state_of("llamagen"), "args": arguments, "steps": 3}, tmp_path / "theirs.pt")
    ours, expected = (
        load_llamagen_vq16(state, small()) for state in (read_weights(tmp_path / "theirs.pt"), state_of("llamagen"))
    )
    assert all(torch.equal(tensor, expected.state_dict()[key]) for key, tensor in ours.state_dict().items())


@catches(SUBJECT, "load_llamagen_vq16(read_published(name), VQGAN(TokenizerConfig()).eval())", "VQGAN()")
@catches(SUBJECT, "VQGAN(TokenizerConfig()).eval()", "VQGAN(TokenizerConfig())")
def test_an_evaluation_opens_the_published_file_by_name(tmp_path):
    value = torch.full((1,), 0.25)  # a small file of the published shapes: each tensor is one number, repeated
    path = tmp_path / "llamagen.pt"
    torch.save({"model": {key: value.expand(shape) for key, shape in Shapes("llamagen").items()}}, path)
    model = load_tokenizer(ANNOUNCED["entry-points"][GROUP]["llamagen-vq16"], path)
    assert not model.training
    assert (model.codebook_sizes, model.settings.stride) == ((16384,), 16)
    assert all((tensor == 0.25).all() for tensor in model.parameters())


@catches(SUBJECT, "multipliers=(1, 2, 2, 4)", "multipliers=(1, 1, 2, 2, 4)")
def test_a_file_at_another_stride_is_one_line(tmp_path):
    state = {key: torch.zeros(1).expand(shape) for key, shape in Shapes("llamagen").items()}
    torch.save({"model": state}, tmp_path / "theirs.pt")
    with pytest.raises(ValueError, match=r"could not be loaded from .*theirs\.pt: checkpoint does not fit") as refused:
        load_tokenizer(ANNOUNCED["entry-points"][GROUP]["llamagen-vq8"], tmp_path / "theirs.pt")
    assert "\n" not in str(refused.value)


def written(path, shapes, **entries):
    """A small file of published shapes, as SEED-Voken's training writes it."""
    state = {name: torch.full((1,), 0.25, device="cpu").expand(shape) for name, shape in shapes.items()}
    torch.save(
        {"epoch": 3, "state_dict": {**state, "loss.discriminator.bias": torch.zeros(2, device="cpu")}, **entries}, path
    )
    return path


@pytest.mark.slow  # whole networks, if on the meta device
@catches(SUBJECT, "if codes is None else len(codes)", "if codes is None else codes.shape[1]")
@catches(SUBJECT, "if bits is None else len(bits)", "if bits is None else 18")
@catches(SUBJECT, '"encoder.down.4."', '"encoder.down.3."')
def test_files_of_seed_voken_show_their_codebook_and_their_stride(tmp_path):
    with torch.device("meta"):
        book = {"kind": "ibq", "codebook_size": 1024, "code_dim": 256}
        ibq = asked_for(load_ibq, VQGAN(TokenizerConfig(num_blocks=4, quantizer=book)))
        small = asked_for(load_open_magvit2, LookupFreeTokenizer(14, multipliers=(1, 2, 2, 4)))
        files = {"ibq": (ibq, 1024, 16), "open-magvit2": (small, 2**14, 8)}
        for name, (shapes, size, stride) in files.items():
            path = written(tmp_path / f"{name}.ckpt", shapes)
            model = load_tokenizer(ANNOUNCED["entry-points"][GROUP][name], path)
            assert model.codebook_sizes == (size,)
            assert getattr(model, "stride", 16) == stride
            assert not model.training


@torch.no_grad()
def test_ibq_fills_this_recipes_network():
    case = golden("ibq")
    model = load_ibq(state_of("ibq"), small({"kind": "ibq", "codebook_size": 24, "code_dim": 8}))
    (tokens,) = model.encode(images(16))
    assert tokens.flatten().tolist() == case["indices"]
    assert_close(model(images(16)).reconstruction, case["images"], case["every_pixel"])


@catches(SUBJECT, "load_maskbit_tokenizer(read_published(name))", "load_maskbit_tokenizer({})")
def test_maskbits_tokenizer_is_opened_by_name(tmp_path):
    bits = 2 ** torch.arange(6)
    codes = ((torch.arange(64)[:, None] & bits) != 0).float() * 2 - 1
    constants = {"quantize.bits_to_indices": bits.int(), "quantize.codebook": codes}
    torch.save(state_of("maskbit") | constants, tmp_path / "theirs.bin")
    model = load_tokenizer(ANNOUNCED["entry-points"][GROUP]["maskbit"], tmp_path)
    assert model.encode(spread("images", (2, 3, 8, 8))).flatten().tolist() == golden("maskbit")["indices"]
    assert (model.codebook_sizes, model.training) == ((64,), False)

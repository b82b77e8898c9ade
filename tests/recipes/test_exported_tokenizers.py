"""The tokenizer of each recipe as graphs: every kind of tokens by its name, and the images that its own code gives."""

import importlib

import pytest
import torch

from _support import glotok_runs, semtok_runs, vqgan_runs
from _support.mutants import catches
from glotok.model import GloTok
from glotok.pipeline import exportable_tokenizer as exportable_glotok
from semtok.paths import RunPaths
from semtok.pipeline import exportable_tokenizer as exportable_semtok
from vistok.workbench.config import ConfigError
from vistok.workbench.pipelines.graphs import export_tokenizer
from vqgan.model import VQGAN
from vqgan.pipeline import exportable_tokenizer as exportable_vqgan

NAMES = ["glotok", "semtok constant", "semtok noise", *(f"vqgan {kind}" for kind in vqgan_runs.QUANTIZERS)]


def built(name, folder):
    """An untrained tokenizer, and what is exported of its saved weights."""
    recipe, _, kind = name.partition(" ")
    torch.manual_seed(0)
    if recipe == "glotok":
        network, exportable = GloTok(glotok_runs.tiny().tokenizer), exportable_glotok
    elif recipe == "semtok":
        network, exportable = semtok_runs.tiny_tokenizer(kind), exportable_semtok
    else:
        network = VQGAN(vqgan_runs.tiny(vqgan_runs.with_quantizer(kind)).tokenizer)
        exportable = exportable_vqgan
    paths = importlib.import_module(f"{recipe}.cli").RunPaths(folder)
    network.save_pretrained(paths.refined if recipe == "semtok" else paths.tokenizer)
    return network.eval(), exportable(paths)


def images_of(exported):
    return torch.rand(3, *exported.image_shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", ["glotok", "semtok constant", "vqgan lfq", "vqgan bsq"])
def test_what_is_exported_is_the_whole_way_of_an_image(name, tmp_path):
    network, exported = built(name, tmp_path / "run")
    images = images_of(exported)
    with torch.no_grad():
        tokens = exported.encode(images)
        assert torch.equal(exported.decode(*exported.decoder_inputs(tokens)), network.reconstruct(images))
    assert len(tokens) == len(exported.codebook_sizes)
    assert tuple(exported.codebook_sizes.values()) == network.codebook_sizes


def test_noise_is_asked_for_where_the_refiner_starts_from_it(tmp_path):
    _, exported = built("semtok noise", tmp_path / "run")
    with torch.no_grad():
        (tokens,) = exported.encode(images_of(exported))
        first, second = (exported.decode(tokens, torch.full((3, *exported.noise_shape), fill)) for fill in (0.0, 0.5))
    assert not torch.equal(first, second)
    assert exported.noise_shape == exported.image_shape


def test_a_refiner_that_starts_from_a_sample_cannot_be_a_graph(tmp_path):
    with pytest.raises(ConfigError, match=r"refiner\.input: expected constant or noise"):
        built("semtok sample", tmp_path / "run")


@catches("semtok.pipeline", "num_steps or refiner.num_steps", "refiner.num_steps")
def test_a_refiner_of_few_steps_is_exported_with_as_many_as_are_asked_for(tmp_path):
    paths = RunPaths(tmp_path)
    tokenizer = semtok_runs.tiny_tokenizer("mean_flow")
    tokenizer.save_pretrained(paths.refined)
    tokens, start = torch.arange(8).reshape(2, 4), torch.randn(2, 1, 16, 16, generator=semtok_runs.generator())
    for steps in (1, 3):
        tokenizer.refiner.num_steps = steps
        with torch.no_grad():
            made = exportable_semtok(paths, num_steps=steps).decode(tokens, start)
            torch.testing.assert_close(made, tokenizer.refine_from(tokens, start))
    assert exportable_semtok(paths).decode(tokens, start).shape == (2, 1, 16, 16)


def test_stage_one_alone_is_no_graph(tmp_path):
    paths = RunPaths(tmp_path)
    semtok_runs.tiny_tokenizer().save_pretrained(paths.tokenizer)
    with pytest.raises(ConfigError, match="expected a tokenizer with a refiner, which train-refiner makes, got none"):
        exportable_semtok(paths)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["torch", "onnx"])
@pytest.mark.parametrize("name", NAMES)
def test_graphs_give_the_same_tokens_and_images_within_a_ten_thousandth(name, format, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime") if format == "onnx" else ():
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'vistok-workbench[onnx]'")
    _, exported = built(name, tmp_path / "run")
    found = export_tokenizer(exported, tmp_path / "out", images_of(exported), format=format, about={})
    assert found.equal_tokens == 1
    assert found.largest_difference < 1e-4

"""Graphs give what the network gives, for any number of images, and tell what they take."""

import json

import pytest
import torch

from _support.mutants import catches
from vistok.metrics import to_uint8
from vistok.workbench.config import ConfigError
from vistok.workbench.pipelines import graphs as module
from vistok.workbench.pipelines.graphs import INTERFACE, ExportableTokenizer, check_format, export_tokenizer, open_graph

SUBJECT = "vistok.workbench.pipelines.graphs"
SHAPE = (3, 2, 4)
IMAGES = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1)) * 2 - 1


class Toy(torch.nn.Module):
    """Two tokens an image, each the largest of five products; they decode to a difference, and noise is added."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.Linear(24, 10)
        self.decoder = torch.nn.Embedding(5, 24)
        self.unread = torch.nn.Linear(500, 500)

    def encode(self, images):
        return self.encoder(images.flatten(1)).unflatten(1, (2, 5)).argmax(2).unbind(1)

    def decode(self, first, second, noise=0.0):
        return (self.decoder(first) - self.decoder(second)).unflatten(1, SHAPE) + noise


def toy(decode=None, noise_shape=None):
    torch.manual_seed(0)
    network = Toy().eval()
    sizes = {"first": 5, "second": 5}
    return ExportableTokenizer(network, SHAPE, sizes, network.encode, decode or network.decode, noise_shape)


def export(tokenizer, folder, format="torch"):
    return export_tokenizer(tokenizer, folder, IMAGES, format=format, about={"recipe": "toy"})


@catches(SUBJECT, "tuple({0: batch} for _ in inputs)", "tuple({} for _ in inputs)")
@catches(SUBJECT, '"shape": ["batch", *tensor.shape[1:]]', '"shape": [*tensor.shape]')
@catches(SUBJECT, "            _forget_unused(program)\n", "")
def test_the_graphs_take_any_number_of_images_and_the_interface_tells_how(tmp_path):
    tokenizer, folder = toy(), tmp_path / "out"
    found = export(tokenizer, folder)
    assert (found.images, found.equal_tokens, found.largest_difference) == (6, 1.0, 0.0)
    assert {file.name for file in folder.iterdir()} == {"encoder.pt2", "decoder.pt2", INTERFACE}
    encode, decode = (open_graph(folder / f"{name}.pt2") for name in ("encoder", "decoder"))
    for images in (IMAGES, IMAGES[:1], IMAGES[:5]):
        tokens = encode(images)
        assert [token.tolist() for token in tokens] == [token.tolist() for token in tokenizer.encode(images)]
        assert torch.equal(decode(*tokens)[0], tokenizer.decode(*tokens))
    told = json.loads((folder / INTERFACE).read_text())
    assert told["recipe"] == "toy"
    assert told["encoder"]["inputs"] == {"images": {"dtype": "float32", "shape": ["batch", *SHAPE]}}
    assert told["decoder"]["inputs"]["second"] == {"dtype": "int64", "shape": ["batch"]}
    assert told["codebook_sizes"] == {"first": 5, "second": 5}
    assert max(file.stat().st_size for file in folder.iterdir()) < 4 * 500 * 500  # no weights that nothing reads


@catches(SUBJECT, "[*names, *extra], [", "[*extra, *names], [")
@catches(SUBJECT, "*self.noise_shape, generator=draws)", "*self.noise_shape)")
def test_noise_is_an_input_like_any_other(tmp_path):
    tokenizer = toy(noise_shape=SHAPE)
    assert export(tokenizer, tmp_path / "out").largest_difference == 0
    told = json.loads((tmp_path / "out" / INTERFACE).read_text())["decoder"]["inputs"]
    assert list(told) == ["first", "second", "noise"]
    assert told["noise"] == {"dtype": "float32", "shape": ["batch", *SHAPE]}
    tokens = tokenizer.encode(IMAGES)
    assert torch.equal(tokenizer.decoder_inputs(tokens)[2], tokenizer.decoder_inputs(tokens)[2])


@catches(SUBJECT, "not difference <= MOST_DIFFERENCE", "False")
@catches(SUBJECT, "(decoded - wanted).abs().max()", "(decoded - wanted).max()")
def test_a_graph_that_gives_other_images_is_told_and_nothing_is_written(tmp_path):
    network = toy().network

    def decode(first, second):
        images = network.decode(first, second)
        return images - 0.1 if torch.compiler.is_compiling() else images

    with pytest.raises(RuntimeError, match=r"other values than the network: 100.00% .* differ by up to 0.1"):
        export(toy(decode), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@catches(SUBJECT, "round((value + 1) * 127.5)", "round((value + 1) * 128)")
@catches(SUBJECT, "byte / 127.5 - 1", "byte / 255")
def test_what_it_tells_of_bytes_is_what_the_metrics_do():
    told, byte = module._interface(toy(), "torch")["images"], torch.arange(256)
    value = eval(told["from_bytes"])
    assert [value.min(), value.max()] == told["value_range"]
    assert torch.equal(to_uint8(value).long(), byte)
    assert torch.equal(eval(told["to_bytes"], {"round": torch.round, "value": value}).long(), byte)


@catches(SUBJECT, 'format == "onnx" and find_spec', 'format == "torch" and find_spec')
def test_missing_packages_are_named_with_what_brings_them(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(ConfigError, match=r"onnx needs onnxscript; pip install 'vistok-workbench\[onnx\]'"):
        check_format("onnx")
    check_format("torch")


@pytest.mark.slow
def test_onnx_gives_the_same_tokens_and_images(tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed: pip install 'vistok-workbench[onnx]'")
    found = export(toy(noise_shape=SHAPE), tmp_path / "out", "onnx")
    assert found.equal_tokens == 1
    assert found.largest_difference < 1e-6
    told = json.loads((tmp_path / "out" / INTERFACE).read_text())
    assert told["encoder"]["file"] == "encoder.onnx"
    assert set(told["versions"]) == {"torch", "onnx", "onnxscript", "onnxruntime"}

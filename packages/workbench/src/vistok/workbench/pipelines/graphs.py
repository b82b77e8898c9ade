"""A tokenizer as two graphs that run without its code: images to tokens, tokens to images; ONNX or ``torch.export``."""

import importlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from vistok.workbench.config import ConfigError
from vistok.workbench.run.files import new_folder, write_atomically

GraphFormat = Literal["onnx", "torch"]
INTERFACE = "interface.json"
#: The most that images of an exported graph may differ from the network's, and the least share of equal tokens.
MOST_DIFFERENCE, LEAST_EQUAL = 1e-3, 0.999
_SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}
_ONNX = ("onnx", "onnxscript", "onnxruntime")
_EXAMPLES = 2  # images; of one, a graph would take that it is one


@dataclass(frozen=True)
class ExportableTokenizer:
    """What is exported of a tokenizer.

    Attributes:
        network: Holds the weights; in evaluation, on the CPU.
        image_shape: Channels and sides of the images that the graphs take.
        codebook_sizes: Of each kind of tokens, by name.
        encode: Images to the tokens of each kind.
        decode: Tokens of each kind, then noise if there is any, to images.
        noise_shape: Of what else :attr:`decode` takes, standard normal, for an image; ``None`` if nothing.
    """

    network: nn.Module
    image_shape: tuple[int, int, int]
    codebook_sizes: Mapping[str, int]
    encode: Callable[[Tensor], Sequence[Tensor]]
    decode: Callable[..., Tensor]
    noise_shape: tuple[int, ...] | None = None

    def decoder_inputs(self, tokens: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Tokens, and noise that is the same at every call."""
        if self.noise_shape is None:
            return tuple(tokens)
        draws = torch.Generator().manual_seed(0)
        return *tokens, torch.randn(len(tokens[0]), *self.noise_shape, generator=draws)


class Graph(nn.Module):
    """One call of a network as a module of its own, with what it takes and gives by name."""

    def __init__(
        self, network: nn.Module, call: Callable[..., Sequence[Tensor]], takes: Sequence[str], gives: Sequence[str]
    ) -> None:
        super().__init__()
        self.network, self.call, self.takes, self.gives = network, call, tuple(takes), tuple(gives)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the network gives."""
        return tuple(self.call(*inputs))


@dataclass(frozen=True)
class Comparison:
    """How near exported graphs are to the network that they were made of.

    Attributes:
        images: How many.
        equal_tokens: The share of tokens that are equal; of scores that are equal but for rounding, either may win.
        largest_difference: Of any value of the images that are decoded from the same tokens.
    """

    images: int
    equal_tokens: float
    largest_difference: float


def check_format(format: GraphFormat) -> None:
    """Raise :class:`ConfigError`, with what to install, unless a format can be written and its graphs be run."""
    lacking = [name for name in _ONNX if format == "onnx" and find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"format: onnx needs {', '.join(lacking)}; pip install 'vistok-workbench[onnx]', or choose torch"
        )


def export_tokenizer(
    tokenizer: ExportableTokenizer, target: Path, images: Tensor, *, format: GraphFormat, about: Mapping[str, Any]
) -> Comparison:
    """Write ``encoder``, ``decoder`` and :data:`INTERFACE` into a new folder, and hold them against the network.

    Args:
        tokenizer: What to export.
        target: The folder, new or empty.
        images: ``(B, C, H, W)`` of its ``image_shape``, to compare on.
        format: ``"onnx"``, or ``"torch"`` for a file of ``torch.export``.
        about: What else the interface tells.

    Raises:
        ConfigError: ``target`` holds something, or a package is missing.
        RuntimeError: The graphs do not give what the network gives; nothing is written then.
    """
    check_format(format)
    names = tuple(tokenizer.codebook_sizes)
    encoder = Graph(tokenizer.network, tokenizer.encode, ["images"], names)
    extra = [] if tokenizer.noise_shape is None else ["noise"]
    decoder = Graph(tokenizer.network, lambda *inputs: (tokenizer.decode(*inputs),), [*names, *extra], ["images"])
    example = torch.linspace(-1, 1, _EXAMPLES * torch.Size(tokenizer.image_shape).numel())
    example = example.view(_EXAMPLES, *tokenizer.image_shape)
    with torch.no_grad(), new_folder(target) as folder:
        graphs = {"encoder": (encoder, (example,)), "decoder": (decoder, tokenizer.decoder_inputs(encoder(example)))}
        described, runners = {}, {}
        for name, (graph, inputs) in graphs.items():
            file = folder / (name + _SUFFIXES[format])
            _write(graph, inputs, file, format)
            described[name] = {"file": file.name, **_described(graph, inputs)}
            runners[name] = open_graph(file)
        comparison = _compared(tokenizer, encoder, decoder, runners, images)
        interface = {**about, **_interface(tokenizer, format), **described, "compared": asdict(comparison)}
        write_atomically(folder / INTERFACE, json.dumps(interface, indent=2) + "\n")
    return comparison


def open_graph(file: Path) -> Callable[..., tuple[Tensor, ...]]:
    """Load an exported graph as a function of tensors: by onnxruntime on the CPU, or by torch."""
    if file.suffix == _SUFFIXES["torch"]:
        module = torch.export.load(file).module()
        return lambda *inputs: tuple(module(*inputs))
    options = {"providers": ["CPUExecutionProvider"]}
    session = importlib.import_module("onnxruntime").InferenceSession(str(file), **options)
    names = [taken.name for taken in session.get_inputs()]

    def run(*inputs: Tensor) -> tuple[Tensor, ...]:
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return tuple(torch.from_numpy(array) for array in session.run(None, given))

    return run


def _write(graph: Graph, inputs: tuple[Tensor, ...], file: Path, format: GraphFormat) -> None:
    batch = torch.export.Dim("batch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the tracer, about code that is not ours
        program = torch.export.export(graph, inputs, dynamic_shapes=(tuple({0: batch} for _ in inputs),), strict=False)
        if format == "torch":
            _forget_unused(program)
            torch.export.save(program, file)
            return
        written = torch.onnx.export(
            program, (), input_names=list(graph.takes), output_names=list(graph.gives), dynamo=True, verbose=False
        )
        written.save(file)  # type: ignore[union-attr]


def _forget_unused(program: torch.export.ExportedProgram) -> None:
    """Empty the weights that a graph does not read, those of the tokenizer's other half: a file holds all there are."""
    signature, weights = program.graph_signature, program.state_dict
    names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for node in program.graph.find_nodes(op="placeholder"):
        name = names.get(node.name)
        if name in weights and not node.users:
            weights[name] = nn.Parameter(torch.empty(0)) if name in signature.parameters else torch.empty(0)


def _described(graph: Graph, inputs: Sequence[Tensor]) -> dict[str, Any]:
    def shapes(names: Sequence[str], tensors: Sequence[Tensor]) -> dict[str, Any]:
        return {
            name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": ["batch", *tensor.shape[1:]]}
            for name, tensor in zip(names, tensors, strict=True)
        }

    return {"inputs": shapes(graph.takes, inputs), "outputs": shapes(graph.gives, graph(*inputs))}


def _interface(tokenizer: ExportableTokenizer, format: GraphFormat) -> dict[str, Any]:
    packages = ("torch", *(_ONNX if format == "onnx" else ()))
    return {
        "format": format,
        "images": {
            "axes": ["batch", "channel", "row", "column"],
            "channels": {1: "grey", 3: "red, green, blue"}[tokenizer.image_shape[0]],
            "value_range": [-1.0, 1.0],
            "from_bytes": "byte / 127.5 - 1",
            "to_bytes": "round((value + 1) * 127.5)",
        },
        "codebook_sizes": dict(tokenizer.codebook_sizes),
        "versions": {name: version(name) for name in packages},
    }


def _compared(
    tokenizer: ExportableTokenizer,
    encoder: Graph,
    decoder: Graph,
    runners: Mapping[str, Callable[..., tuple[Tensor, ...]]],
    images: Tensor,
) -> Comparison:
    """Both graphs on all images together and on the first alone."""
    equal, difference = [], 0.0
    for part in (images, images[:1]):
        tokens = encoder(part)
        found = runners["encoder"](part)
        equal += [(ours == theirs).flatten() for ours, theirs in zip(tokens, found, strict=True)]
        inputs = tokenizer.decoder_inputs(tokens)
        decoded, wanted = runners["decoder"](*inputs)[0], decoder(*inputs)[0]
        difference = max(difference, (decoded - wanted).abs().max().item())
    share = torch.cat(equal).float().mean().item()
    if share < LEAST_EQUAL or not difference <= MOST_DIFFERENCE:
        raise RuntimeError(
            f"the exported graphs give other values than the network: {share:.2%} of the tokens are equal, images "
            f"differ by up to {difference:.2g}"
        )
    return Comparison(len(images), share, difference)

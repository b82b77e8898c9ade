"""Published tokenizers: what the authors' networks gave for weights that follow from their names."""

import json
import math
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vistok.quantizers import VectorQuantizer
from vistok.tokenizers import Adapter, Decoder, Encoder

GOLDEN = Path(__file__).parents[1] / "tokenizers" / "golden"


@cache
def golden(author: str) -> dict[str, Any]:
    """Names and shapes of a small network of an author, and what it gave."""
    case: dict[str, Any] = json.loads((GOLDEN / f"{author}.json").read_text())
    return case


def spread(name: str, shape: tuple[int, ...], size: float = 1.0) -> Tensor:
    """Values in ``[-size, size]`` that look random and follow from the name and the place alone."""
    phase = sum((place + 1) * ord(letter) for place, letter in enumerate(name)) % 10007
    waves = 43758.5453 * torch.sin(12.9898 * torch.arange(math.prod(shape), dtype=torch.float64) + phase)
    return (size * (2 * (waves - waves.floor()) - 1)).float().reshape(tuple(shape))


def weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """Gains around one, matrices and convolutions scaled by their input size."""
    if len(shape) == 1:
        return spread(name, shape, 0.3) + name.endswith("weight")
    return spread(name, shape, 1.7 / math.sqrt(math.prod(shape[1:])))


@cache
def _weights(author: str) -> dict[str, Tensor]:
    return {name: weight(name, shape) for name, shape in golden(author)["shapes"].items()}


def state_of(author: str) -> dict[str, Tensor]:
    """The weights of the small network, by the author's names."""
    return dict(_weights(author))


def images(side: int = 32) -> Tensor:
    """What the small networks were given."""
    return spread("images", (2, 3, side, side))


def assert_close(ours: Tensor, expected: list[float], every: int = 1) -> None:
    """Compare with the numbers kept: each ``every``-th one."""
    torch.testing.assert_close(ours.flatten()[::every], torch.tensor(expected), atol=1e-4, rtol=0)


def assert_float32_images_in_bfloat16(model: nn.Module, decode: Callable[[], Tensor]) -> None:
    """``decode`` makes float32 images of the model in bfloat16 too, near to those of the model in float32."""
    whole = decode()
    model.to(torch.bfloat16)
    made = decode()
    assert made.dtype == torch.float32
    assert (made - whole).abs().mean() < 0.05


def asked_for(load: Callable[..., Any], model: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes that a loader asks for when it is given none."""
    try:
        load({}, model)
    except ValueError as error:
        entries = str(error).partition("entries: ")[2].split("; ")
    pairs = [entry.split(": not in the checkpoint, for ") for entry in entries]
    parts = Counter(ours for _, ours in pairs)
    state = model.state_dict()
    return {theirs: (len(state[ours]) // parts[ours], *state[ours].shape[1:]) for theirs, ours in pairs}


class OneCodebook(nn.Module):
    """The parts that LlamaGen's weights fill, by their names; the defaults are VQ-16."""

    def __init__(
        self,
        codebook_size: int = 16384,
        multipliers: tuple[int, ...] = (1, 1, 2, 2, 4),
        num_blocks: int = 2,
        latent_channels: int = 256,
        code_dim: int = 8,
        **quantizer: Any,
    ) -> None:
        super().__init__()
        sizes = (3, 128, multipliers, num_blocks)
        self.encoder, self.decoder = Encoder(*sizes), Decoder(latent_channels, *sizes)
        self.head = Adapter(self.encoder.out_channels, latent_channels, code_dim, grid_size=1, depth=0, num_heads=1)
        self.quantizer = VectorQuantizer(codebook_size, code_dim, **quantizer)
        self.post_quantization = nn.Conv2d(code_dim, latent_channels, 1)

    def features(self, given: Tensor) -> Tensor:
        features: Tensor = self.head(self.encoder(given))
        return features

    def forward(self, given: Tensor) -> Tensor:
        decoded: Tensor = self.decoder(self.post_quantization(self.quantizer(self.features(given)).quantized))
        return decoded


def small_llamagen(**changes: Any) -> OneCodebook:
    """A network of the size of the golden numbers."""
    sizes: dict[str, Any] = {"multipliers": (1, 1, 2), "num_blocks": 1, "latent_channels": 16}
    return OneCodebook(24, **{**sizes, **changes}).eval()


class Shapes(dict[str, tuple[int, ...]]):
    """The names and shapes of a published network at stride 16, written down from its description."""

    def __init__(self, author: str) -> None:
        super().__init__()
        self.layer("encoder.conv_in", 128, 3, 3, 3)
        self.stack("encoder", (128, 128, 128, 256, 256, 512), 2, "downsample")
        self.layer("decoder.conv_in", 512, 256, 3, 3)
        self.stack("decoder", (512, 512, 256, 256, 128, 128), 3, "upsample")
        self.layer("decoder.norm_out", 128)
        self.layer("decoder.conv_out", 3, 128, 3, 3)
        self.layer("post_quant_conv", 256, 8 if author == "llamagen" else 16, 1, 1)
        for branch, end in (("", ""),) if author == "llamagen" else (("semantic", "_sem"), ("visual", "_vis")):
            self.layer(f"encoder.norm_out{end}", 512)
            self.layer(f"encoder.conv_out{end}", 256, 512, 3, 3)
            self.layer(f"quant_conv{end}", 8, 256, 1, 1)
            self[f"quantize{end}.embedding.weight"] = (16384, 8)
            if branch:
                self.adapter(f"encoder.{branch}_head.0")

    def layer(self, key: str, *shape: int) -> None:
        self[f"{key}.weight"], self[f"{key}.bias"] = shape, shape[:1]

    def block(self, key: str, before: int, after: int) -> None:
        self.layer(f"{key}.norm1", before)
        self.layer(f"{key}.conv1", after, before, 3, 3)
        self.layer(f"{key}.norm2", after)
        self.layer(f"{key}.conv2", after, after, 3, 3)
        if before != after:
            self.layer(f"{key}.nin_shortcut", after, before, 1, 1)

    def attention(self, key: str, width: int) -> None:
        self.layer(f"{key}.norm", width)
        for part in ("q", "k", "v", "proj_out"):
            self.layer(f"{key}.{part}", width, width, 1, 1)

    def stack(self, key: str, widths: tuple[int, ...], blocks: int, change: str) -> None:
        for level, (before, after) in enumerate(pairwise(widths)):
            for index in range(blocks):
                self.block(f"{key}.conv_blocks.{level}.res.{index}", after if index else before, after)
                if level == (4 if change == "downsample" else 0):
                    self.attention(f"{key}.conv_blocks.{level}.attn.{index}", after)
            if level < 4:
                self.layer(f"{key}.conv_blocks.{level}.{change}.conv", after, after, 3, 3)
        self.block(f"{key}.mid.0", 512, 512)
        self.attention(f"{key}.mid.1", 512)
        self.block(f"{key}.mid.2", 512, 512)

    def adapter(self, head: str) -> None:
        self[f"{head}.positional_embedding"] = (256, 512)
        self.layer(f"{head}.ln_pre", 512)
        self.layer(f"{head}.ln_post", 512)
        for index in range(6):
            key = f"{head}.transformer.{index}"
            self.layer(f"{key}.ln_1", 512)
            self.layer(f"{key}.ln_2", 512)
            self[f"{key}.attn.in_proj_weight"], self[f"{key}.attn.in_proj_bias"] = (1536, 512), (1536,)
            self.layer(f"{key}.attn.out_proj", 512, 512)
            self.layer(f"{key}.mlp.c_fc", 2048, 512)
            self.layer(f"{key}.mlp.c_proj", 512, 2048)

"""Weights in the layouts of the authors' code into the tokenizers here: LlamaGen's VQ-16 and FQGAN's dual codebook."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from glotok.adapter import Adapter, TransformerBlock
from glotok.autoencoder import Decoder, Downsample, Encoder, ResidualBlock, Upsample, to_channels_last
from glotok.config import TokenizerConfig
from glotok.model import GloTok
from vistok.quantizers import VectorQuantizer
from vistok.workbench.backbones.weights import read_weights, tensor_problem

FQGAN_DUAL = TokenizerConfig(semantic_codebook_size=16384, visual_codebook_size=16384, residual=False)
"""The published dual tokenizer at stride 16; ``multipliers=(1, 2, 2, 4)`` gives the one at stride 8."""

# What the authors' files hold for training only: recent indices, and FQGAN's head that predicts CLIP features.
_LLAMAGEN_IGNORED = r"quantize\.codebook_used"
_FQGAN_IGNORED = r"quantize_(sem|vis)\.codebook_used|feat_pred_head\..*"
# What only we hold: the quantizers' statistics of use in training. They stay as they are.
_OURS_ONLY = r"quantizer\.(semantic\.|visual\.)?(steps_unused|pending_count)"

# The parts of a block: here -> there. Several names are concatenated along the output channels.
_BLOCK = {"shortcut": ("nin_shortcut",), "qkv": ("q", "k", "v"), "out": ("proj_out",)}
_TRANSFORMER_BLOCK = {
    "norm1": "ln_1.",
    "qkv": "attn.in_proj_",
    "out": "attn.out_proj.",
    "norm2": "ln_2.",
    "mlp.0": "mlp.c_fc.",
    "mlp.2": "mlp.c_proj.",
}
_GROUPS, _HEADS = 32, 8  # of every published network; their weights do not show it

Places = dict[str, tuple[str, ...]]  # a name here -> the names in the checkpoint that fill it


class SingleCodebookTokenizer(nn.Module):
    """One codebook between the encoder and the decoder; the defaults are LlamaGen's VQ-16.

    Images are ``(B, 3, H, W)`` in [-1, 1] with H and W multiples of the stride; tokens ``(B, h, w)`` int64.

    Args:
        codebook_size: Number of codes.
        code_dim: Channels of a code.
        base_channels: Width at full resolution.
        multipliers: Width of each level as a multiple of it; each level but the last halves the resolution.
        num_blocks: Residual blocks a level of the encoder; the decoder has one more.
        latent_channels: Channels before the code and at the decoder's input.
    """

    def __init__(
        self,
        codebook_size: int = 16384,
        code_dim: int = 8,
        *,
        base_channels: int = 128,
        multipliers: Sequence[int] = (1, 1, 2, 2, 4),
        num_blocks: int = 2,
        latent_channels: int = 256,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(3, base_channels, multipliers, num_blocks)
        self.head = Adapter(self.encoder.out_channels, latent_channels, code_dim, grid_size=1, depth=0, num_heads=1)
        self.quantizer = VectorQuantizer(codebook_size, code_dim)
        self.post_quantization = nn.Conv2d(code_dim, latent_channels, 1)
        self.decoder = Decoder(latent_channels, 3, base_channels, multipliers, num_blocks)
        self.stride = int(2 ** (len(multipliers) - 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, images: Tensor) -> Tensor:
        """The continuous features ``(B, d, h, w)`` before quantization."""
        sides = images.shape[-2:]
        if images.ndim != 4 or images.shape[1] != 3 or any(side % self.stride or not side for side in sides):
            expected = f"(B, 3, H, W) with sides divisible by {self.stride}"
            raise ValueError(f"images: expected {expected}, got {tuple(images.shape)}")
        return self.head(self.encoder(to_channels_last(images)))  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Images to tokens."""
        return self.quantizer(self.features(images)).indices  # type: ignore[no-any-return]

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes ``(B, d, h, w)`` to images."""
        return self.decoder(self.post_quantization(codes))  # type: ignore[no-any-return]

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """Tokens to images, clamped to [-1, 1]."""
        return self.decode_codes(self.quantizer.indices_to_codes(tokens)).float().clamp(-1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Images through their codes, with gradients to all but the codebook."""
        return self.decode_codes(self.quantizer(self.features(images)).quantized)


def load_llamagen_vq16(
    state: Mapping[str, Tensor] | str | Path, model: SingleCodebookTokenizer | None = None
) -> SingleCodebookTokenizer:
    """Load weights in the layout of LlamaGen's VQ tokenizers.

    Args:
        state: The published file, or the flat state dict that it holds.
        model: The network to fill; VQ-16 if ``None``. VQ-8 is ``SingleCodebookTokenizer(multipliers=(1, 2, 2, 4))``.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match or is no finite tensor, all of it listed; the model is unchanged then.

    Example:
        >>> small = SingleCodebookTokenizer(16, multipliers=(1, 1), num_blocks=1, latent_channels=8)
        >>> load_llamagen_vq16({"decoder.conv_up.bias": torch.zeros(3)}, small)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... entries: decoder.conv_up.bias: no place in the model; ...
    """
    model = SingleCodebookTokenizer().eval() if model is None else model
    places = {
        **dict(_stack_places("encoder", model.encoder)),
        **_leaves("head.norm", "encoder.norm_out"),
        **_leaves("head.conv", "encoder.conv_out"),
        **_leaves("head.to_code", "quant_conv"),
        "quantizer.weight": ("quantize.embedding.weight",),
        **_leaves("post_quantization", "post_quant_conv"),
        **dict(_stack_places("decoder", model.decoder)),
    }
    _load(model, state, places, _LLAMAGEN_IGNORED)
    return model


def load_fqgan_dual(state: Mapping[str, Tensor] | str | Path, model: GloTok | None = None) -> GloTok:
    """Load weights in the layout of FQGAN's dual tokenizer. Its decoder, too, sees [visual, semantic].

    Args:
        state: The published file, or the flat state dict that it holds.
        model: The network to fill, without residual recovery; ``GloTok(FQGAN_DUAL)`` if ``None``.

    Returns:
        The model, in evaluation mode if it was made here.

    Raises:
        ValueError: Anything that does not match or is no finite tensor, all of it listed; the model is unchanged then.
    """
    model = GloTok(FQGAN_DUAL).eval() if model is None else model
    places = {
        **dict(_stack_places("encoder", model.encoder)),
        **dict(_adapter_places("semantic", "sem", model.semantic_adapter)),
        **dict(_adapter_places("visual", "vis", model.visual_adapter)),
        "quantizer.semantic.weight": ("quantize_sem.embedding.weight",),
        "quantizer.visual.weight": ("quantize_vis.embedding.weight",),
        **_leaves("post_quantization", "post_quant_conv"),
        **dict(_stack_places("decoder", model.decoder)),
    }
    _load(model, state, places, _FQGAN_IGNORED)
    return model


def _leaves(ours: str, *theirs: str) -> Places:
    return {f"{ours}.{leaf}": tuple(f"{name}.{leaf}" for name in theirs) for leaf in ("weight", "bias")}


def _block_places(ours: str, theirs: str, block: nn.Module) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of a residual block, an attention block or a change of resolution."""
    for part, module in block.named_children():
        if not isinstance(module, nn.Identity):
            names = (f"{theirs}.{name}" for name in _BLOCK.get(part, (part,)))
            yield from _leaves(f"{ours}.{part}", *names).items()


def _stack_places(name: str, stack: Encoder | Decoder) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of the encoder up to its middle, or of the whole decoder."""
    yield from _leaves(f"{name}.conv_in", f"{name}.conv_in").items()
    for index, block in enumerate(stack.middle):
        yield from _block_places(f"{name}.middle.{index}", f"{name}.mid.{index}", block)
    for index, level in enumerate(stack.levels):  # level, change of resolution, level, ...
        theirs = f"{name}.conv_blocks.{index // 2}"
        if isinstance(level, Downsample | Upsample):
            change = "downsample" if isinstance(level, Downsample) else "upsample"
            yield from _block_places(f"{name}.levels.{index}", f"{theirs}.{change}", level)
            continue
        counts = {"res": 0, "attn": 0}
        for place, block in enumerate(level.children()):
            kind = "res" if isinstance(block, ResidualBlock) else "attn"
            yield from _block_places(f"{name}.levels.{index}.{place}", f"{theirs}.{kind}.{counts[kind]}", block)
            counts[kind] += 1
    if isinstance(stack, Decoder):
        yield from _leaves(f"{name}.norm_out", f"{name}.norm_out").items()
        yield from _leaves(f"{name}.conv_out", f"{name}.conv_out").items()


def _adapter_places(branch: str, short: str, adapter: Adapter) -> Iterator[tuple[str, tuple[str, ...]]]:
    ours, theirs = f"{branch}_adapter", f"encoder.{branch}_head.0"
    if adapter.depth:
        yield f"{ours}.positions", (f"{theirs}.positional_embedding",)
        yield from _leaves(f"{ours}.norm_in", f"{theirs}.ln_pre").items()
        yield from _leaves(f"{ours}.norm_out", f"{theirs}.ln_post").items()
    for index in range(adapter.depth):
        for part, name in _TRANSFORMER_BLOCK.items():
            for leaf in ("weight", "bias"):
                yield f"{ours}.blocks.{index}.{part}.{leaf}", (f"{theirs}.transformer.{index}.{name}{leaf}",)
    yield from _leaves(f"{ours}.norm", f"encoder.norm_out_{short}").items()
    yield from _leaves(f"{ours}.conv", f"encoder.conv_out_{short}").items()
    yield from _leaves(f"{ours}.to_code", f"quant_conv_{short}").items()


def _load(model: nn.Module, source: Mapping[str, Tensor] | str | Path, places: Places, ignored: str) -> None:
    """Fill ``model``, or list everything that does not match."""
    state = read_weights(source) if isinstance(source, str | Path) else source
    known = {name for names in places.values() for name in names}
    problems = [
        f"{name}: no place in the model" for name in state if not (name in known or re.fullmatch(ignored, name))
    ]
    filled: dict[str, Tensor] = {}
    target = model.state_dict()
    for ours, tensor in target.items():
        if re.fullmatch(_OURS_ONLY, ours):
            filled[ours] = tensor
            continue
        if ours not in places:
            problems.append(f"{ours}: the published network has none")
            continue
        missing = [name for name in places[ours] if name not in state]
        problems += [f"{name}: not in the checkpoint, for {ours}" for name in missing]
        if not missing:
            parts = [state[name] for name in places[ours]]
            wrong = _problems(places[ours], parts, ours, tensor)
            problems += wrong
            if not wrong:
                filled[ours] = _converted(parts, ours, tensor)
    problems += _structure_problems(model)
    if problems:
        raise ValueError(f"checkpoint does not fit, {len(problems)} entries: " + "; ".join(problems))
    model.load_state_dict(filled)


def _problems(names: tuple[str, ...], parts: list[Tensor], ours: str, target: Tensor) -> list[str]:
    """What cannot fill ``ours``: not finite floating point, or of another shape."""
    unfit = []
    for name, part in zip(names, parts, strict=True):
        problem = tensor_problem(part)
        if problem or not part.is_floating_point():
            unfit.append(f"{name}: {problem or f'expected floating point, got {part.dtype}'}")
    return unfit or _shape_problems(names, parts, ours, target)


def _shape_problems(names: tuple[str, ...], parts: list[Tensor], ours: str, target: Tensor) -> list[str]:
    expected = (target.shape[0] // len(parts), *target.shape[1:])
    if ours.endswith(".positions"):
        expected = (target.shape[2] * target.shape[3], target.shape[1])
    note = f"a third of {ours}" if len(parts) == 3 else ours
    return [
        f"{name}: expected shape {tuple(expected)} for {note}, got {tuple(part.shape)}"
        for name, part in zip(names, parts, strict=True)
        if tuple(part.shape) != tuple(expected)
    ]


def _converted(parts: list[Tensor], ours: str, target: Tensor) -> Tensor:
    """Concatenate along the output channels; positions ``(h w, C)`` become ``(1, C, h, w)``."""
    if ours.endswith(".positions"):
        return parts[0].T.reshape(target.shape)
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _structure_problems(model: nn.Module) -> list[str]:
    """What would load and still compute something else."""
    problems = []
    for name, module in model.named_modules():
        if isinstance(module, nn.GroupNorm) and module.num_groups != _GROUPS:
            problems.append(f"{name}: {module.num_groups} groups, the published network has {_GROUPS}")
        if isinstance(module, TransformerBlock) and module.num_heads != _HEADS:
            problems.append(f"{name}: {module.num_heads} heads, the published network has {_HEADS}")
    return problems

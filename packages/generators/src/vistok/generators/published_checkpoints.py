"""Weights in the layouts of the authors' code into the models here.

A model that is built otherwise than the published network would take its weights and compute something else: what no
shape shows is stated here and refused.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from vistok.generators._renaming import load_renamed
from vistok.generators.far import FAR
from vistok.generators.masked_ar import MaskedAR
from vistok.generators.masked_tokens import BitTokens, IdTokens
from vistok.generators.xar import XAR

_XAR_RULES = (
    (r"class_emb\.weight", "labels.table.weight"),
    (r"time_embed\.mlp\.0\.(\w+)", r"time.hidden.\1"),
    (r"time_embed\.mlp\.2\.(\w+)", r"time.out.\1"),
    (r"z_proj\.(\w+)", r"stem.\1"),
    (r"z_proj_ln\.weight", "stem_norm.weight"),
    (r"encoder_pos_embed_learned", "first_positions"),
    (r"decoder_pos_embed_learned", "second_positions"),
    (r"encoder_norm\.weight", "first_norm.weight"),
    (r"decoder_norm\.weight", "second_norm.weight"),
    (r"decoder_embed\.(\w+)", r"middle.\1"),
    (r"pred\.(\w+)", r"head.\1"),
    (r"encoder_blocks\.(\d+)\.attn\.(qkv|proj)\.(\w+)", r"first_blocks.\1.\2.\3"),
    (r"decoder_blocks\.(\d+)\.attn\.(qkv|proj)\.(\w+)", r"second_blocks.\1.\2.\3"),
    (r"encoder_blocks\.(\d+)\.ada_lin\.1\.(\w+)", r"first_blocks.\1.modulation.proj.\2"),
    (r"decoder_blocks\.(\d+)\.ada_lin\.1\.(\w+)", r"second_blocks.\1.modulation.proj.\2"),
    (r"encoder_blocks\.(\d+)\.mlp\.fc1_g\.(\w+)", r"first_blocks.\1.mlp.gate_proj.\2"),
    (r"decoder_blocks\.(\d+)\.mlp\.fc1_g\.(\w+)", r"second_blocks.\1.mlp.gate_proj.\2"),
    (r"encoder_blocks\.(\d+)\.mlp\.fc1_x\.(\w+)", r"first_blocks.\1.mlp.value_proj.\2"),
    (r"decoder_blocks\.(\d+)\.mlp\.fc1_x\.(\w+)", r"second_blocks.\1.mlp.value_proj.\2"),
    (r"encoder_blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"first_blocks.\1.mlp.out_proj.\2"),
    (r"decoder_blocks\.(\d+)\.mlp\.fc2\.(\w+)", r"second_blocks.\1.mlp.out_proj.\2"),
)
_XAR_IGNORED = r"mask|.*\.rope\.freqs(_cos|_sin)?"

_CAUSAL_RULES = tuple(
    (rf"{theirs}\.(\d+)\.{part}\.weight", rf"{ours}.\1.{name}.weight")
    for theirs, ours in (("layers", "blocks"), ("ar_head", "head_blocks"))
    for part, name in (
        (r"attention\.wqkv", "qkv"),
        (r"attention\.wo", "proj"),
        (r"feed_forward\.w1", "mlp.gate_proj"),
        (r"feed_forward\.w3", "mlp.value_proj"),
        (r"feed_forward\.w2", "mlp.out_proj"),
        ("attention_norm", "attention_norm"),
        ("ffn_norm", "mlp_norm"),
    )
)
_FAR_RULES = (
    (r"cls_embedding\.embedding_table\.weight", "labels.table.weight"),
    (r"aggregation_layer\.(\w+)", r"merge.\1"),
    (r"norm\.weight", "norm.weight"),
    (r"tok_embeddings_1\.weight", "embeddings.0.weight"),
    (r"tok_embeddings_2\.weight", "embeddings.1.weight"),
    (r"output_1\.weight", "classifiers.0.weight"),
    (r"output_2\.weight", "classifiers.1.weight"),
    *_CAUSAL_RULES,
)
_LLAMAGEN_RULES = (
    (r"cls_embedding\.embedding_table\.weight", "labels.table.weight"),
    (r"norm\.weight", "norm.weight"),
    (r"tok_embeddings\.weight", "embeddings.0.weight"),
    (r"output\.weight", "classifiers.0.weight"),
    *_CAUSAL_RULES,
)
_FAR_IGNORED = r"freqs_cis|causal_mask|.*\.kv_cache\.[kv]_cache"

_MASKBIT_RULES = (
    (r"class_emb\.weight", "labels.table.weight"),
    (r"(?:input_proj|token_emb)\.(\w+)", r"tables.0.\1"),
    (r"pos_emb", "positions"),
    (r"first_layer\.0\.(\w+)", r"input_norm.\1"),
    (r"transformer\.layers\.(\d+)\.0\.mha\.in_proj_(\w+)", r"blocks.\1.qkv.\2"),
    (r"transformer\.layers\.(\d+)\.0\.mha\.out_proj\.(\w+)", r"blocks.\1.proj.\2"),
    (r"transformer\.layers\.(\d+)\.0\.norm\.(\w+)", r"blocks.\1.attention_norm.\2"),
    (r"transformer\.layers\.(\d+)\.1\.net\.0\.(\w+)", r"blocks.\1.up.\2"),
    (r"transformer\.layers\.(\d+)\.1\.net\.2\.(\w+)", r"blocks.\1.down.\2"),
    (r"transformer\.layers\.(\d+)\.1\.norm\.(\w+)", r"blocks.\1.mlp_norm.\2"),
    (r"last_layer\.0\.(\w+)", r"hidden.\1"),
    (r"last_layer\.2\.(\w+)", r"hidden_norm.\1"),
    (r"prediction_layer\.(\d+)\.(\w+)", r"classifiers.\1.\2"),
)

# The heads of the published networks, by width.
_XAR_HEADS = {768: 12, 1024: 16, 1280: 16}
_FAR_HEADS = {1024: 16, 1280: 20}
_LLAMAGEN_HEADS = {768: 12, 1024: 16, 1280: 20, 1536: 24, 3200: 32}
_MASKBIT_HEADS = {1024: 16}


def load_published_xar(model: XAR, state: Mapping[str, Tensor], *, num_heads: int | None = None) -> None:
    """Load weights in the layout of the authors' xAR network.

    Build the model with ``XAROptions(gate="gelu", integer_time=True)`` (the presets do): the published network gates
    with GELU, truncates its time, and has blocks of 8 x 8 on a grid of 16 x 16 for cells.

    Args:
        model: An :class:`XAR` of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` or ``"model_ema"`` entry.
        num_heads: Attention heads of the saved network; needed for widths that were not published.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what shapes do not show (gate, time, heads, cells, grid). The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> model = XAR(4, 8, 4, 10, width=32, depth=2, num_heads=2)
        >>> load_published_xar(model, {"pred.bias": model.head.bias[:3]})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... pred.bias: shape (3,) for head.bias of shape (4,); ...
    """
    stated = {
        "gate": (model.options.gate, "gelu"),
        "integer_time": (model.options.integer_time, True),
        "order of cells": (model.options.order, "block"),
        "grid": (model.grid_size, (16, 16)),
        "cell": (model.cell_size, (8, 8)),
    }
    problems = [*_otherwise(stated), *_other_heads(model, model.stem.out_features, num_heads, _XAR_HEADS)]
    load_renamed(model, state, _XAR_RULES, _XAR_IGNORED, problems)


def load_published_far(
    model: FAR, state: Mapping[str, Tensor], *, grid_size: int = 16, num_heads: int | None = None
) -> None:
    """Load weights in the layout of the authors' dual-code FAR network; stream 1 there is the first predicted one.

    Build the model with ``FAROptions(prefix_rotation="zero", ...)`` (the presets do).

    Args:
        model: A :class:`FAR` with two streams of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` entry.
        grid_size: Side of the saved network's token grid, which no tensor shows: 16 for files of 256 x 256 images, 24
            for those of 384 x 384.
        num_heads: Attention heads of the saved network; needed for widths that were not published.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what shapes do not show (rotation of the class token, heads, grid). The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> load_published_far(FAR((4, 4), 2, 3, width=8, depth=1, num_heads=1), {})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... norm.weight: not in the checkpoint; ...
    """
    problems = _far_problems(model, grid_size, num_heads, _FAR_HEADS)
    load_renamed(model, state, _FAR_RULES, _FAR_IGNORED, problems)


def load_published_llamagen(
    model: FAR, state: Mapping[str, Tensor], *, grid_size: int = 16, num_heads: int | None = None
) -> None:
    """Load weights in the layout of the authors' class-conditional LlamaGen network.

    Build the model with one stream and ``FAROptions(prefix_rotation="zero", head_depth=0)`` (the presets do).

    Args:
        model: A :class:`FAR` with one stream of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` entry.
        grid_size: Side of the saved network's token grid, which no tensor shows: 16 for files of 256 x 256 images, 24
            for those of 384 x 384.
        num_heads: Attention heads of the saved network; needed for widths that were not published.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what shapes do not show (rotation of the class token, heads, grid). The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> from vistok.generators import FAROptions
        >>> model = FAR((4,), 2, 3, width=8, depth=1, num_heads=1, options=FAROptions(head_depth=0))
        >>> load_published_llamagen(model, {"cap_proj.fc1.weight": model.norm.weight})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... cap_proj.fc1.weight: no place in the model; ...
    """
    problems = _far_problems(model, grid_size, num_heads, _LLAMAGEN_HEADS)
    load_renamed(model, state, _LLAMAGEN_RULES, _FAR_IGNORED, problems)


def load_published_maskbit(model: MaskedAR, state: Mapping[str, Tensor], *, num_heads: int | None = None) -> None:
    """Load weights in the layout of the authors' MaskBit generator.

    Build the model on :class:`BitTokens` with ``MaskedAROptions(post_norm=True)`` (:func:`maskbit` does). Our class
    token stands first and theirs last, so the positions move; one matrix there predicts all groups one after another.

    Args:
        model: A :class:`MaskedAR` of the same size.
        state: The flat state dict.
        num_heads: Attention heads of the saved network; needed for widths that were not published.

    Raises:
        ValueError: Anything that does not match, all of it listed: names, shapes, tensors that are not finite floating
            point, and what shapes do not show (order of the bits, place of the norms, kind of the positions, heads).
            The model is unchanged then.
        TypeError: ``state`` is no mapping.

    Example:
        >>> from vistok.generators import BitTokens, MaskedAROptions
        >>> options = MaskedAROptions(post_norm=True)
        >>> model = MaskedAR(BitTokens(4, 2), 4, 3, width=8, depth=1, num_heads=1, options=options)
        >>> load_published_maskbit(model, {"pos_emb": model.positions}, num_heads=1)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... labels.table.weight: not in the checkpoint; ...
    """
    stated = {
        "kind of tokens": (type(model.tokens).__name__, BitTokens.__name__),
        "post_norm": (model.options.post_norm, True),
        "positions": (model.options.positions, "learned"),
    }
    problems = [*_otherwise(stated), *_other_heads(model, model.hidden.in_features, num_heads, _MASKBIT_HEADS)]
    if isinstance(state, Mapping):
        problems += _other_bits(state.get("bits_to_indices"), model.tokens)
        state = dict(_in_our_order(state, model.num_units))
    load_renamed(model, state, _MASKBIT_RULES, "bits_to_indices", problems)


def _in_our_order(state: Mapping[str, Tensor], num_groups: int) -> Iterator[tuple[str, Tensor]]:
    """The class token's position in front, and the rows that predict a group apart from the others."""
    for name, tensor in state.items():
        fits = isinstance(tensor, Tensor) and tensor.ndim > 0
        if name == "pos_emb" and fits and tensor.ndim > 1:
            yield name, tensor.roll(1, dims=-2)
        elif name in ("prediction_layer.weight", "prediction_layer.bias") and fits and not len(tensor) % num_groups:
            leaf = name.rpartition(".")[2]
            for group, rows in enumerate(tensor.chunk(num_groups)):
                yield f"prediction_layer.{group}.{leaf}", rows
        else:
            yield name, tensor


def _other_bits(saved: object, tokens: IdTokens | BitTokens) -> Iterator[str]:
    """Whether the bits of a group have other values in the saved network than in ours; the meta device has none."""
    ours = 2 ** torch.arange(tokens.unit_sizes[0].bit_length() - 1)
    if not isinstance(saved, Tensor):
        yield "bits_to_indices: not in the checkpoint"
    elif saved.shape != ours.shape or not (saved.is_meta or torch.equal(saved.long(), ours)):
        yield f"bits_to_indices: expected the powers of two from 1 to {int(ours[-1])}, the lowest bit first"


def _far_problems(model: FAR, grid_size: int, num_heads: int | None, published: Mapping[int, int]) -> list[str]:
    stated = {
        "prefix_rotation": (model.options.prefix_rotation, "zero"),
        "grid": (model.grid_size, (grid_size, grid_size)),
    }
    return [*_otherwise(stated), *_other_heads(model, model.labels.table.embedding_dim, num_heads, published)]


def _otherwise(stated: Mapping[str, tuple[object, object]]) -> Iterator[str]:
    """What the model has, against what the saved network has."""
    for name, (ours, theirs) in stated.items():
        if ours != theirs:
            yield f"{name}: {ours!r} in the model, {theirs!r} in the saved network"


def _other_heads(
    model: XAR | FAR | MaskedAR, width: int, saved: int | None, published: Mapping[int, int]
) -> Iterator[str]:
    theirs = published.get(width) if saved is None else saved
    if theirs is None:
        yield f"num_heads: expected the heads of the saved network, since no published one has width {width}, got None"
    elif model.num_heads != theirs:
        yield f"heads: {model.num_heads} in the model, {theirs} in the saved network"

"""Weights in the layouts of the authors' code into the models here."""

from collections.abc import Mapping

from torch import Tensor

from ._renaming import load_renamed
from .far import FAR
from .xar import XAR

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


def load_published_xar(model: XAR, state: Mapping[str, Tensor]) -> None:
    """Load weights in the layout of the authors' xAR network.

    Build the model with ``XAROptions(gate="gelu", integer_time=True)`` (the presets do): the published network gates
    with GELU and truncates its time.

    Args:
        model: An :class:`XAR` of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` or ``"model_ema"`` entry.

    Raises:
        ValueError: Anything that does not match, all of it listed.

    Example:
        >>> model = XAR(4, 8, 4, 10, width=32, depth=2, num_heads=2)
        >>> load_published_xar(model, {"pred.bias": model.head.bias[:3]})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... pred.bias: shape (3,) for head.bias of shape (4,); ...
    """
    load_renamed(model, state, _XAR_RULES, _XAR_IGNORED)


def load_published_far(model: FAR, state: Mapping[str, Tensor]) -> None:
    """Load weights in the layout of the authors' dual-code FAR network; stream 1 there is the first predicted one.

    Build the model with ``FAROptions(prefix_rotation="zero", ...)`` (the presets do).

    Args:
        model: A :class:`FAR` with two streams of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` entry.

    Raises:
        ValueError: Anything that does not match, all of it listed.

    Example:
        >>> load_published_far(FAR((4, 4), 2, 3, width=8, depth=1, num_heads=1), {})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... norm.weight: not in the checkpoint; ...
    """
    load_renamed(model, state, _FAR_RULES, _FAR_IGNORED)


def load_published_llamagen(model: FAR, state: Mapping[str, Tensor]) -> None:
    """Load weights in the layout of the authors' class-conditional LlamaGen network.

    Build the model with one stream and ``FAROptions(prefix_rotation="zero", head_depth=0)`` (the presets do).

    Args:
        model: A :class:`FAR` with one stream of the same size.
        state: The flat state dict: of a training checkpoint, its ``"model"`` entry.

    Raises:
        ValueError: Anything that does not match, all of it listed.

    Example:
        >>> from vistok.generators import FAROptions
        >>> model = FAR((4,), 2, 3, width=8, depth=1, num_heads=1, options=FAROptions(head_depth=0))
        >>> load_published_llamagen(model, {"cap_proj.fc1.weight": model.norm.weight})  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ValueError: checkpoint does not fit, ... cap_proj.fc1.weight: no place in the model; ...
    """
    load_renamed(model, state, _LLAMAGEN_RULES, _FAR_IGNORED)

"""The names of CLIP's transformer blocks, which the code of FQGAN and of TiTok took over."""

from collections.abc import Iterator

from vistok.tokenizers.published._strict_loading import Source

_BLOCK = {  # a transformer block: here -> there
    "norm1": "ln_1.",
    "qkv": "attn.in_proj_",
    "out": "attn.out_proj.",
    "norm2": "ln_2.",
    "mlp.0": "mlp.c_fc.",
    "mlp.2": "mlp.c_proj.",
}


def block_sources(ours: str, theirs: str, depth: int) -> Iterator[tuple[str, Source]]:
    """The sources of ``depth`` transformer blocks."""
    for index in range(depth):
        for part, name in _BLOCK.items():
            for leaf in ("weight", "bias"):
                yield f"{ours}.{index}.{part}.{leaf}", Source((f"{theirs}.{index}.{name}{leaf}",))

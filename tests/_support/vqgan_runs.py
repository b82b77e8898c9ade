"""What the recipe's tests share: the smallest configuration, and a small quantizer of each kind."""

from pathlib import Path

from vqgan.config import VQGANConfig, load

TINY = str(Path(__file__).parent / "tiny_vqgan.yaml")
#: The override that sets each kind, by a name.
QUANTIZERS = {
    "gradient": "{kind: vector, codebook_size: 24, code_dim: 4}",
    "ema": "{kind: vector, codebook_size: 24, code_dim: 4, learning: ema, metric: euclidean}",
    "rotation": "{kind: vector, codebook_size: 24, code_dim: 4, rotation: true}",
    "projected": "{kind: projected, codebook_size: 24, code_dim: 4}",
    "ibq": "{kind: ibq, codebook_size: 24, code_dim: 4}",
    "residual": "{kind: residual, codebook_size: 16, code_dim: 4, num_stages: 2}",
    "fsq": "{kind: fsq, levels: [4, 3, 3]}",
    "lfq": "{kind: lfq, bits: 6, num_groups: 2}",
    "bsq": "{kind: bsq, bits: 6}",
}


def tiny(*overrides: str) -> VQGANConfig:
    """The smallest configuration, with changes."""
    return load(TINY, overrides)


def with_quantizer(name: str) -> str:
    """The override that sets a small quantizer of a kind."""
    return f"tokenizer.quantizer={QUANTIZERS[name]}"

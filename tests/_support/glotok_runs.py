"""What the recipe's tests share: the smallest configuration."""

from pathlib import Path

from glotok.config import GloTokConfig, load

TINY = str(Path(__file__).parent / "tiny_glotok.yaml")


def tiny(*overrides: str) -> GloTokConfig:
    """The smallest configuration, with changes."""
    return load(TINY, overrides)

"""Where the recipe's tests find the smallest configuration."""

from pathlib import Path

TINY = str(Path(__file__).parent / "tiny_glotok.yaml")

"""Bits against distortion, and the codecs that a tokenizer is shown beside."""

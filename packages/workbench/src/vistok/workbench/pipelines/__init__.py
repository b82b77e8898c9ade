"""Trained tokenizers and generators as one call, and as folders that others can use."""

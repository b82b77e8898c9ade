"""Networks that come with weights: frozen features, readers of checkpoints, and whether networks can be built."""

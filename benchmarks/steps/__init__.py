"""Training steps that the benchmarks time: ours, and other projects' of the same sizes."""

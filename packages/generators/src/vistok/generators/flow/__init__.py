"""Flow matching and its solvers, without a network."""

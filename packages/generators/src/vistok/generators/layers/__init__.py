"""What the networks are made of: attention, positions, norms, conditions and blocks."""

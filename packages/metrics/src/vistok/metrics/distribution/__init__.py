"""How two sets of images lie to one another."""

"""SemTok: an image as a sequence of semantic tokens, a diffusion decoder, a one-step refiner, masked generation."""

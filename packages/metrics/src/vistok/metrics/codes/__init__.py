"""What tokens, codebooks and latents hold, and how they are spread."""

"""How far one image is from another."""

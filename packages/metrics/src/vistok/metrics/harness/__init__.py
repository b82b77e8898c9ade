"""Whole evaluations: one pass over the images, every choice that moves a number written beside it."""

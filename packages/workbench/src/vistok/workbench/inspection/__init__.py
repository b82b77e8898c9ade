"""What a tokenizer's codes are: where each occurs, what is near it, what an image becomes with it."""

"""What a tokenizer's codes are: where each occurs, what is near it, what images become when it takes another's place."""

"""Images to evaluate: from folders, archives and memory, a batch at a time, and brought to one size as the field does."""

"""Images to evaluate, a batch at a time: from folders, archives and memory, brought to one size as the field does."""

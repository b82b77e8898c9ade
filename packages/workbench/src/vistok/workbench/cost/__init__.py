"""What a training will take of a card: counted on a device that has shapes and no memory, before anything is bought."""

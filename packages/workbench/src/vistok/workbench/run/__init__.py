"""The folder of a run: its mark, its lock, its stages, and files in it that nothing can spoil by half."""

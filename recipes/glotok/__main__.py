"""``python -m glotok``, for launchers."""

from glotok.cli import main

main()

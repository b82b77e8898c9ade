"""``python -m vqgan``, for launchers."""

from vqgan.cli import main

main()

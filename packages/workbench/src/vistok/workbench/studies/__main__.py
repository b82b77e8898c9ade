"""``python -m vistok.workbench.studies``, the same as ``vistok-study``."""

from vistok.workbench.studies.command import main

if __name__ == "__main__":
    main()

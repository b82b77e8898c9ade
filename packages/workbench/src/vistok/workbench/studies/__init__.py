"""Studies: rows of settings, each trained at several seeds, measured, and compared on one page."""

"""What is measured of a run: samples, reconstructions, features; in one file of measures."""

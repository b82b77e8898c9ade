"""What is measured of a run: samples, reconstructions, recognition, a linear probe; in one file of figures."""

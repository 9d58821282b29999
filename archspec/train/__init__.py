"""Training: the sections `train` and `run`, the numbered run folder, and the fit itself, which alone loads Keras."""

"""Data for training: the sources, their splits, and the way from a source's fields to the network's tensors."""

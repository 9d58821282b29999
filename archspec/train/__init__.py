"""Training: the sections `train` and `run`, the numbered run folder, and the fit itself. Keras is loaded by `train`."""

from archspec.train.fit import TrainedRun, train
from archspec.train.folder import RunFailed

__all__ = ["RunFailed", "TrainedRun", "train"]

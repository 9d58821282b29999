"""Keras's callbacks (keras.callbacks)."""

from typing import Annotated, Literal

from annotated_types import Ge, Lt

from archspec.layers.objects.base import AtLeastZero, Callback, Count, Finite

Mode = Literal["auto", "min", "max"]  # whether the watched value should fall or rise; auto: as the metric says
Verbose = Literal[0, 1]


class EarlyStopping(Callback):
    """Ends the training when the watched value has not improved by min_delta for `patience` epochs."""

    monitor: str = "val_loss"
    min_delta: Finite = 0.0
    patience: Count = 0
    verbose: Verbose = 0
    mode: Mode = "auto"
    baseline: Finite | None = None
    restore_best_weights: bool = False
    start_from_epoch: Count = 0


class ReduceLROnPlateau(Callback):
    """Multiplies the learning rate by `factor` when the watched value has not improved for `patience` epochs."""

    monitor: str = "val_loss"
    factor: Annotated[float, Ge(0), Lt(1)] = 0.1
    patience: Count = 10
    verbose: Verbose = 0
    mode: Mode = "auto"
    min_delta: Finite = 0.0001
    cooldown: Count = 0
    min_lr: AtLeastZero = 0.0


class SwapEMAWeights(Callback):
    """Evaluates with the averaged weights that an optimizer with use_ema keeps."""

    swap_on_epoch: bool = False


class TerminateOnNaN(Callback):
    """Ends the training when the loss is no number."""

    raise_error: bool = False

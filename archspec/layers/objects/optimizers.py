"""Keras's optimizers (keras.optimizers)."""

from typing import Annotated, Self

from annotated_types import Ge, Gt, Le
from pydantic import model_validator

from archspec.layers.objects.base import (
    AboveZero,
    AtLeastZero,
    BelowOne,
    Count,
    Finite,
    Fraction,
    Optimizer,
    Positive,
)
from archspec.layers.objects.fields import LearningRate, OptimizerField
from archspec.layers.shapes import argument_clash


class _Update(Optimizer):
    """What all optimizers with an update rule share."""

    weight_decay: AtLeastZero | None = None
    clipnorm: AboveZero | None = None
    clipvalue: AboveZero | None = None
    global_clipnorm: AboveZero | None = None
    use_ema: bool = False
    ema_momentum: Fraction = 0.99
    ema_overwrite_frequency: Positive | None = None
    loss_scale_factor: AboveZero | None = None
    gradient_accumulation_steps: Annotated[int, Ge(2)] | None = None

    @model_validator(mode="after")
    def _clip_once(self) -> Self:
        given = [name for name in ("clipnorm", "clipvalue", "global_clipnorm") if getattr(self, name) is not None]
        if len(given) > 1:
            raise argument_clash(f"gradients are clipped in one way only, got {' and '.join(given)}")
        return self


class SGD(_Update):
    """Gradient descent, with momentum where it is above 0."""

    learning_rate: LearningRate = 0.01
    momentum: Fraction = 0.0
    nesterov: bool = False


class Adam(_Update):
    """Kingma & Ba 2014, arXiv:1412.6980; amsgrad: Reddi et al. 2018."""

    learning_rate: LearningRate = 0.001
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-7
    amsgrad: bool = False


class AdamW(_Update):
    """Adam with decoupled weight decay. Loshchilov & Hutter 2017, arXiv:1711.05101."""

    ALIASES = ("adamw",)

    learning_rate: LearningRate = 0.001
    weight_decay: AtLeastZero = 0.004
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-7
    amsgrad: bool = False


class Adamax(_Update):
    """Adam with the infinity norm. Kingma & Ba 2014, section 7."""

    learning_rate: LearningRate = 0.001
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-7


class Nadam(_Update):
    """Adam with Nesterov momentum. Dozat 2015."""

    learning_rate: LearningRate = 0.001
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-7


class Lamb(_Update):
    """Adam with a trust ratio for each layer, for large batches. You et al. 2019, arXiv:1904.00962."""

    learning_rate: LearningRate = 0.001
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-7


class Lion(_Update):
    """The sign of the momentum. Chen et al. 2023, arXiv:2302.06675."""

    learning_rate: LearningRate = 0.001
    beta_1: Annotated[float, Gt(0), Le(1)] = 0.9
    beta_2: Fraction = 0.99


class RMSprop(_Update):
    """Divides by the root of a moving mean of squares. Hinton 2012."""

    ALIASES = ("rmsprop",)

    learning_rate: LearningRate = 0.001
    rho: Fraction = 0.9
    momentum: Fraction = 0.0
    epsilon: AtLeastZero = 1e-7
    centered: bool = False


class Adagrad(_Update):
    """Divides by the root of the sum of squares. Duchi et al. 2011."""

    learning_rate: LearningRate = 0.001
    initial_accumulator_value: AtLeastZero = 0.1
    epsilon: AtLeastZero = 1e-7


class Adadelta(_Update):
    """Zeiler 2012, arXiv:1212.5701."""

    learning_rate: LearningRate = 0.001
    rho: Fraction = 0.95
    epsilon: AtLeastZero = 1e-7


class Adafactor(_Update):
    """Second moments as outer products of rows and columns. Shazeer & Stern 2018, arXiv:1804.04235."""

    learning_rate: LearningRate = 0.001
    beta_2_decay: Finite = -0.8
    epsilon_1: AtLeastZero = 1e-30
    epsilon_2: AtLeastZero = 0.001
    clip_threshold: AboveZero = 1.0
    relative_step: bool = True


class Ftrl(_Update):
    """Follow the regularised leader. McMahan et al. 2013."""

    learning_rate: LearningRate = 0.001
    learning_rate_power: Annotated[float, Le(0)] = -0.5
    initial_accumulator_value: AtLeastZero = 0.1
    l1_regularization_strength: AtLeastZero = 0.0
    l2_regularization_strength: AtLeastZero = 0.0
    l2_shrinkage_regularization_strength: AtLeastZero = 0.0
    beta: Finite = 0.0


class Muon(_Update):
    """Orthogonalised momentum for matrices, Adam for the rest. Jordan et al. 2024; rms_rate: arXiv:2502.16982."""

    learning_rate: LearningRate = 0.001
    adam_beta_1: BelowOne = 0.9
    adam_beta_2: BelowOne = 0.999
    adam_weight_decay: AtLeastZero | None = 0.004
    epsilon: AtLeastZero = 1e-7
    weight_decay: AtLeastZero | None = 0.004
    exclude_layers: tuple[str, ...] | None = None
    exclude_embeddings: bool = True
    muon_a: Finite = 3.4445
    muon_b: Finite = -4.775
    muon_c: Finite = 2.0315
    adam_lr_ratio: Finite = 1.0
    momentum: Fraction = 0.95
    ns_steps: Count = 5
    nesterov: bool = True
    rms_rate: Finite | None = 0.2


class ScheduleFreeAdamW(_Update):
    """AdamW that needs no schedule: it averages its own iterates. Defazio et al. 2024, arXiv:2405.15682."""

    ALIASES = ("schedulefreeadamw",)

    learning_rate: LearningRate = 0.0025
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: AtLeastZero = 1e-8
    warmup_steps: Count = 0


class LossScaleOptimizer(Optimizer):
    """Scales the loss so that float16 gradients neither vanish nor overflow, around an optimizer of its own."""

    ALIASES = ("lossscaleoptimizer",)

    inner_optimizer: OptimizerField
    initial_scale: AboveZero = 32768.0
    dynamic_growth_steps: Positive = 2000

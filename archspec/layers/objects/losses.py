"""Keras's losses (keras.losses)."""

from typing import Annotated

from annotated_types import Gt, Lt

from archspec.layers.objects.base import Finite, Fraction, Loss


class MeanSquaredError(Loss):
    """mean((y - p)²)."""

    ALIASES = ("mse", "MSE")

    name: str | None = "mean_squared_error"


class MeanAbsoluteError(Loss):
    """mean(|y - p|)."""

    ALIASES = ("mae", "MAE")

    name: str | None = "mean_absolute_error"


class MeanAbsolutePercentageError(Loss):
    """100 · mean(|y - p| / |y|)."""

    ALIASES = ("mape", "MAPE")

    name: str | None = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Loss):
    """mean((log(y + 1) - log(p + 1))²)."""

    ALIASES = ("msle", "MSLE")

    name: str | None = "mean_squared_logarithmic_error"


class CosineSimilarity(Loss):
    """-cos(y, p) along axis."""

    axis: int = -1
    name: str | None = "cosine_similarity"


class Huber(Loss):
    """Squared up to delta, linear beyond. Huber 1964."""

    delta: Finite = 1.0
    name: str | None = "huber_loss"


class LogCosh(Loss):
    """mean(log(cosh(p - y)))."""

    name: str | None = "log_cosh"


class Hinge(Loss):
    """mean(max(1 - y · p, 0)), targets -1 or 1."""

    name: str | None = "hinge"


class SquaredHinge(Loss):
    """mean(max(1 - y · p, 0)²), targets -1 or 1."""

    name: str | None = "squared_hinge"


class CategoricalHinge(Loss):
    """max(1 + the best wrong class - the right class, 0), targets one-hot."""

    name: str | None = "categorical_hinge"


class KLDivergence(Loss):
    """Σ y · log(y / p)."""

    ALIASES = ("kld", "KLD")

    name: str | None = "kl_divergence"


class Poisson(Loss):
    """mean(p - y · log p)."""

    name: str | None = "poisson"


class _Crossentropy(Loss):
    """What the cross-entropies with probabilities as targets share."""

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1


class BinaryCrossentropy(_Crossentropy):
    """Cross-entropy of independent yes-no targets."""

    ALIASES = ("bce", "BCE")

    name: str | None = "binary_crossentropy"


class BinaryFocalCrossentropy(_Crossentropy):
    """Binary cross-entropy that weighs hard examples by (1 - p)^gamma. Lin et al. 2017, arXiv:1708.02002."""

    apply_class_balancing: bool = False
    alpha: Finite = 0.25
    gamma: Finite = 2.0
    name: str | None = "binary_focal_crossentropy"


class CategoricalCrossentropy(_Crossentropy):
    """Cross-entropy, targets one-hot."""

    name: str | None = "categorical_crossentropy"


class CategoricalFocalCrossentropy(_Crossentropy):
    """Cross-entropy that weighs hard examples by alpha · (1 - p)^gamma. Lin et al. 2017, arXiv:1708.02002."""

    alpha: Finite | tuple[Finite, ...] = 0.25
    gamma: Finite = 2.0
    name: str | None = "categorical_focal_crossentropy"


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy, targets class indices; ignore_class counts for nothing."""

    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1
    name: str | None = "sparse_categorical_crossentropy"


class CategoricalGeneralizedCrossEntropy(Loss):
    """(1 - p^q) / q, targets class indices. Zhang & Sabuncu 2018, arXiv:1805.07836."""

    q: Annotated[float, Gt(0), Lt(1)] = 0.5
    name: str | None = "categorical_generalized_cross_entropy"


class CTC(Loss):
    """Connectionist temporal classification: targets class indices, 0 the padding. Graves et al. 2006."""

    name: str | None = "ctc"


class Dice(Loss):
    """1 - 2 · Σ(y · p) / (Σy + Σp) over axis, else over everything."""

    axis: tuple[int, ...] | None = None
    name: str | None = "dice"


class Tversky(Loss):
    """1 - t / (t + alpha · Σ(y · (1 - p)) + beta · Σ((1 - y) · p)), t = Σ(y · p). Salehi et al. 2017."""

    alpha: Finite = 0.5
    beta: Finite = 0.5
    axis: tuple[int, ...] | None = None
    name: str | None = "tversky"


class Circle(Loss):
    """Pulls embeddings of a class together, others apart; targets class indices. Sun et al. 2020, arXiv:2002.10857."""

    gamma: Finite = 80.0
    margin: Finite = 0.4
    remove_diagonal: bool = True
    name: str | None = "circle"

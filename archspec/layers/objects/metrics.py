"""Keras's metrics (keras.metrics)."""

from typing import Annotated, Literal, Self

from annotated_types import Gt, Le, MinLen
from pydantic import model_validator

from archspec.layers.objects.base import AboveZero, Count, Finite, Fraction, Metric, Positive
from archspec.layers.shapes import argument_clash

Thresholds = Fraction | tuple[Fraction, ...] | None
ClassIds = Annotated[tuple[Count, ...], MinLen(1)]


class Accuracy(Metric):
    """The share of predictions equal to their targets."""

    name: str | None = "accuracy"


class BinaryAccuracy(Metric):
    """The share of predictions on their target's side of the threshold."""

    threshold: Finite = 0.5
    name: str | None = "binary_accuracy"


class CategoricalAccuracy(Metric):
    """The share of examples whose largest prediction is right, targets one-hot."""

    name: str | None = "categorical_accuracy"


class SparseCategoricalAccuracy(Metric):
    """The share of examples whose largest prediction is right, targets class indices."""

    name: str | None = "sparse_categorical_accuracy"


class TopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the k largest predictions, targets one-hot."""

    k: Positive = 5
    name: str | None = "top_k_categorical_accuracy"


class SparseTopKCategoricalAccuracy(Metric):
    """The share of examples whose class is among the k largest predictions, targets class indices."""

    k: Positive = 5
    from_sorted_ids: bool = False
    name: str | None = "sparse_top_k_categorical_accuracy"


class _Counts(Metric):
    """Counts of one cell of the confusion matrix, for each threshold."""

    thresholds: Thresholds = None


class TruePositives(_Counts):
    """Positives found."""


class TrueNegatives(_Counts):
    """Negatives left alone."""


class FalsePositives(_Counts):
    """Negatives taken for positives."""


class FalseNegatives(_Counts):
    """Positives missed."""


class _Rate(Metric):
    """A ratio of counts, of one class or among the k largest predictions where asked."""

    thresholds: Thresholds = None
    top_k: Positive | None = None
    class_id: Count | None = None


class Precision(_Rate):
    """True positives among all that were taken for positives."""


class Recall(_Rate):
    """True positives among all positives."""


class _At(Metric):
    """The best of one rate where another reaches a value."""

    num_thresholds: Positive = 200
    class_id: Count | None = None


class PrecisionAtRecall(_At):
    """The best precision where recall is at least the value."""

    recall: Fraction


class RecallAtPrecision(_At):
    """The best recall where precision is at least the value."""

    precision: Fraction


class SensitivityAtSpecificity(_At):
    """The best sensitivity where specificity is at least the value."""

    specificity: Fraction


class SpecificityAtSensitivity(_At):
    """The best specificity where sensitivity is at least the value."""

    sensitivity: Fraction


class AUC(Metric):
    """The area under the ROC or the precision-recall curve, by sums over thresholds."""

    num_thresholds: Annotated[int, Gt(1)] = 200
    curve: Literal["ROC", "roc", "PR", "pr", "PRGAIN", "prgain"] = "ROC"
    summation_method: Literal[
        "interpolation", "Interpolation", "majoring", "Majoring", "minoring", "Minoring"
    ] = "interpolation"  # fmt: skip
    thresholds: tuple[Fraction, ...] | None = None
    multi_label: bool = False
    num_labels: Positive | None = None
    label_weights: tuple[Finite, ...] | None = None
    from_logits: bool = False

    @model_validator(mode="after")
    def _labels_of_several(self) -> Self:
        if self.num_labels is not None and not self.multi_label:
            raise argument_clash("num_labels needs multi_label: true")
        return self


class FBetaScore(Metric):
    """(1 + beta²) · precision · recall / (beta² · precision + recall)."""

    average: Literal["micro", "macro", "weighted"] | None = None
    beta: AboveZero = 1.0
    threshold: Annotated[float, Gt(0), Le(1)] | None = None
    name: str | None = "fbeta_score"


class F1Score(Metric):
    """2 · precision · recall / (precision + recall)."""

    average: Literal["micro", "macro", "weighted"] | None = None
    threshold: Annotated[float, Gt(0), Le(1)] | None = None
    name: str | None = "f1_score"


class _Overlap(Metric):
    """Intersection over union from a confusion matrix."""

    ignore_class: int | None = None
    axis: int = -1


def _within(ids: tuple[int, ...], classes: int) -> None:
    if max(ids) >= classes:
        raise argument_clash(f"target_class_ids must be below num_classes, got {max(ids)} of {classes}")


class IoU(_Overlap):
    """The mean over the target classes; targets and predictions class indices unless told otherwise."""

    num_classes: Positive
    target_class_ids: ClassIds
    sparse_y_true: bool = True
    sparse_y_pred: bool = True

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        _within(self.target_class_ids, self.num_classes)
        return self


class OneHotIoU(_Overlap):
    """The mean over the target classes, targets one-hot."""

    num_classes: Positive
    target_class_ids: ClassIds
    sparse_y_pred: bool = False

    @model_validator(mode="after")
    def _known_classes(self) -> Self:
        _within(self.target_class_ids, self.num_classes)
        return self


class MeanIoU(_Overlap):
    """The mean over all classes; targets and predictions class indices unless told otherwise."""

    num_classes: Positive
    sparse_y_true: bool = True
    sparse_y_pred: bool = True


class OneHotMeanIoU(_Overlap):
    """The mean over all classes, targets one-hot."""

    num_classes: Positive
    sparse_y_pred: bool = False


class BinaryIoU(Metric):
    """The mean over classes 0 and 1, parted by the threshold."""

    target_class_ids: Annotated[tuple[Annotated[Count, Le(1)], ...], MinLen(1)] = (0, 1)
    threshold: Finite = 0.5


class MeanSquaredError(Metric):
    """mean((y - p)²)."""

    ALIASES = ("mse", "MSE")

    name: str | None = "mean_squared_error"


class RootMeanSquaredError(Metric):
    """sqrt(mean((y - p)²))."""

    name: str | None = "root_mean_squared_error"


class MeanAbsoluteError(Metric):
    """mean(|y - p|)."""

    ALIASES = ("mae", "MAE")

    name: str | None = "mean_absolute_error"


class MeanAbsolutePercentageError(Metric):
    """100 · mean(|y - p| / |y|)."""

    ALIASES = ("mape", "MAPE")

    name: str | None = "mean_absolute_percentage_error"


class MeanSquaredLogarithmicError(Metric):
    """mean((log(y + 1) - log(p + 1))²)."""

    ALIASES = ("msle", "MSLE")

    name: str | None = "mean_squared_logarithmic_error"


class CosineSimilarity(Metric):
    """cos(y, p) along axis."""

    axis: int = -1
    name: str | None = "cosine_similarity"


class LogCoshError(Metric):
    """mean(log(cosh(p - y)))."""

    name: str | None = "logcosh"


class R2Score(Metric):
    """1 - Σ(y - p)² / Σ(y - mean(y))², the coefficient of determination."""

    class_aggregation: Literal["uniform_average", "variance_weighted_average"] | None = "uniform_average"
    num_regressors: Count = 0
    name: str | None = "r2_score"


class PearsonCorrelation(Metric):
    """The correlation of targets and predictions along axis."""

    axis: int = -1
    name: str | None = "pearson_correlation"


class ConcordanceCorrelation(Metric):
    """The correlation with the line y = p along axis. Lin 1989."""

    axis: int = -1
    name: str | None = "concordance_correlation"


class Hinge(Metric):
    """mean(max(1 - y · p, 0)), targets -1 or 1."""

    name: str | None = "hinge"


class SquaredHinge(Metric):
    """mean(max(1 - y · p, 0)²), targets -1 or 1."""

    name: str | None = "squared_hinge"


class CategoricalHinge(Metric):
    """max(1 + the best wrong class - the right class, 0), targets one-hot."""

    name: str | None = "categorical_hinge"


class KLDivergence(Metric):
    """Σ y · log(y / p)."""

    name: str | None = "kl_divergence"


class Poisson(Metric):
    """mean(p - y · log p)."""

    name: str | None = "poisson"


class BinaryCrossentropy(Metric):
    """Cross-entropy of independent yes-no targets."""

    ALIASES = ("bce", "BCE")

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    name: str | None = "binary_crossentropy"


class CategoricalCrossentropy(Metric):
    """Cross-entropy, targets one-hot."""

    from_logits: bool = False
    label_smoothing: Fraction = 0.0
    axis: int = -1
    name: str | None = "categorical_crossentropy"


class SparseCategoricalCrossentropy(Metric):
    """Cross-entropy, targets class indices; ignore_class counts for nothing."""

    from_logits: bool = False
    ignore_class: int | None = None
    axis: int = -1
    name: str | None = "sparse_categorical_crossentropy"

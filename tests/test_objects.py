"""The catalogue of objects against the installed Keras: names, arguments, defaults, ranges and what is made of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from archspec.build.objects import keras_object
from archspec.layers.base import Model
from archspec.layers.objects import (
    Callback,
    Constraint,
    Initializer,
    Loss,
    Metric,
    Object,
    Optimizer,
    Regularizer,
    Schedule,
    known,
    parse_object,
    snake_case,
)
from archspec.layers.objects.base import REFUSED, first_argument
from archspec.layers.objects.fields import LossField, MetricField, OptimizerField

KINDS = (Initializer, Regularizer, Constraint, Loss, Metric, Schedule, Optimizer, Callback)
ABSTRACT = {kind.__name__ for kind in KINDS} | {"LearningRateSchedule"}
CLASSES = sorted({(kind, cls) for kind in KINDS for cls in known(kind).values()}, key=lambda pair: str(pair[1]))

# Arguments that differ from the defaults, for the conversions; every class without an entry is made by its defaults.
SAMPLES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "initializers.GlorotUniform": ({"seed": 3, "input_axes": [0], "output_axes": [1]},),
    "initializers.VarianceScaling": ({"scale": 2, "mode": "fan_avg", "distribution": "uniform", "seed": 1},),
    "initializers.RandomNormal": ({"mean": 1, "stddev": 0.5, "seed": 7},),
    "initializers.RandomUniform": ({"minval": 0, "maxval": 1, "seed": 7},),
    "initializers.Constant": ({"value": 0.25},),
    "initializers.Orthogonal": ({"gain": 2, "seed": 1},),
    "initializers.STFT": ({"side": "imag", "window": "hamming", "scaling": None, "periodic": True},),
    "regularizers.L1L2": ({"l1": 0.5, "l2": 0.25},),
    "regularizers.OrthogonalRegularizer": ({"factor": 0.5, "mode": "columns"},),
    "constraints.MaxNorm": ({"max_value": 3, "axis": [0, 1]},),
    "constraints.UnitNorm": ({"axis": 1}, {"axis": [0, 1]}),
    "constraints.MinMaxNorm": ({"min_value": 0.5, "max_value": 2, "rate": 0.5, "axis": [0, 1, 2]},),
    "losses.BinaryCrossentropy": ({"from_logits": True, "label_smoothing": 0.1, "reduction": "sum", "name": "b"},),
    "losses.BinaryFocalCrossentropy": ({"apply_class_balancing": True, "alpha": 0.5, "gamma": 1},),
    "losses.CategoricalFocalCrossentropy": ({"alpha": [0.5, 0.25], "gamma": 1, "reduction": None},),
    "losses.SparseCategoricalCrossentropy": ({"from_logits": True, "ignore_class": 255, "dtype": "float16"},),
    "losses.CategoricalGeneralizedCrossEntropy": ({"q": 0.7},),
    "losses.Dice": ({"axis": [1, 2]},),
    "losses.Tversky": ({"alpha": 0.3, "beta": 0.7, "axis": [1, 2, 3]},),
    "losses.Circle": ({"gamma": 64, "margin": 0.25, "remove_diagonal": False},),
    "losses.Huber": ({"delta": 2},),
    "metrics.AUC": (
        {"curve": "PR", "num_thresholds": 20, "name": "pr"},
        {"thresholds": [0.25, 0.75], "multi_label": True, "num_labels": 2},
        {"multi_label": True, "num_labels": 2, "label_weights": [0.5, 1.5]},
    ),
    "metrics.BinaryIoU": ({"target_class_ids": [1], "threshold": 0.3},),
    "metrics.IoU": ({"num_classes": 3, "target_class_ids": [0, 2], "ignore_class": 255},),
    "metrics.MeanIoU": ({"num_classes": 3, "sparse_y_pred": False},),
    "metrics.OneHotIoU": ({"num_classes": 3, "target_class_ids": [1]},),
    "metrics.OneHotMeanIoU": ({"num_classes": 3, "axis": 1},),
    "metrics.F1Score": ({"average": "macro", "threshold": 0.5},),
    "metrics.FBetaScore": ({"average": "micro", "beta": 2},),
    "metrics.Precision": ({"thresholds": [0.25, 0.5]}, {"thresholds": 0.5, "class_id": 1}, {"top_k": 2}),
    "metrics.Recall": ({"thresholds": [0.25, 0.5]}, {"top_k": 2}),
    "metrics.TruePositives": ({"thresholds": [0.25, 0.5]}, {"thresholds": 0.3}),
    "metrics.PrecisionAtRecall": ({"recall": 0.5, "num_thresholds": 10, "class_id": 1},),
    "metrics.RecallAtPrecision": ({"precision": 0.5},),
    "metrics.SensitivityAtSpecificity": ({"specificity": 0.5},),
    "metrics.SpecificityAtSensitivity": ({"sensitivity": 1},),
    "metrics.R2Score": ({"class_aggregation": None, "num_regressors": 2},),
    "metrics.SparseTopKCategoricalAccuracy": ({"k": 3, "from_sorted_ids": True},),
    "optimizers.schedules.CosineDecay": (
        {"initial_learning_rate": 0, "decay_steps": 100, "warmup_target": 0.1, "warmup_steps": 10},
    ),
    "optimizers.schedules.CosineDecayRestarts": ({"initial_learning_rate": 0.1, "first_decay_steps": 10, "t_mul": 1},),
    "optimizers.schedules.ExponentialDecay": (
        {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "staircase": True},
    ),
    "optimizers.schedules.InverseTimeDecay": ({"initial_learning_rate": 1, "decay_steps": 10, "decay_rate": 0.5},),
    "optimizers.schedules.PiecewiseConstantDecay": ({"boundaries": [10, 20], "values": [1, 0.5, 0.1]},),
    "optimizers.schedules.PolynomialDecay": ({"initial_learning_rate": 0.1, "decay_steps": 9, "cycle": True},),
    "optimizers.SGD": (
        {"learning_rate": {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10}}, "momentum": 0.9},
        {"learning_rate": 1, "momentum": 1, "nesterov": True, "clipnorm": 1, "weight_decay": 1e-4},
    ),
    "optimizers.AdamW": ({"learning_rate": 2e-3, "weight_decay": 0, "clipvalue": 0.5, "use_ema": True},),
    "optimizers.Adam": ({"amsgrad": True, "global_clipnorm": 1, "gradient_accumulation_steps": 2, "name": "a"},),
    "optimizers.Muon": ({"exclude_layers": ["head.*"], "rms_rate": None, "adam_lr_ratio": 2},),
    "optimizers.LossScaleOptimizer": ({"inner_optimizer": {"SGD": 0.1}, "initial_scale": 1024},),
    "callbacks.EarlyStopping": ({"monitor": "val_acc", "patience": 5, "mode": "max", "restore_best_weights": True},),
    "callbacks.ReduceLROnPlateau": ({"factor": 0.5, "patience": 2, "min_lr": 1e-6},),
    "callbacks.TerminateOnNaN": ({"raise_error": True},),
}  # fmt: skip

# Arguments that Keras's get_config leaves out.
FORGOTTEN = {
    "initializers.Identity": {"gain"},
    "losses.CosineSimilarity": {"axis"},
    "losses.Huber": {"delta"},
    "losses.SparseCategoricalCrossentropy": {"axis"},
    "metrics.CosineSimilarity": {"axis"},
    "metrics.SparseTopKCategoricalAccuracy": {"from_sorted_ids"},  # where false
    "metrics.AUC": {"thresholds"},  # where not given
}


def module_of(kind: type[Object]) -> Any:
    module: Any = keras
    for part in kind.KERAS.split("."):
        module = getattr(module, part)
    return module


def key_of(cls: type[Object]) -> str:
    return f"{cls.KERAS}.{cls.__name__}"


def public_classes(kind: type[Object]) -> dict[str, type]:
    return {name: cls for name, cls in vars(module_of(kind)).items() if inspect.isclass(cls)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_public_class_is_known_or_refused_with_a_reason(kind: type[Object]) -> None:
    ours = known(kind)
    refused = REFUSED.get(kind, {})
    public = public_classes(kind)
    for name, cls in public.items():
        if cls.__name__ in ABSTRACT:
            assert name not in ours
        elif name in refused or cls.__name__ in refused:
            assert len(refused[cls.__name__]) > 20 or name in ("History", "ProgbarLogger")
        else:
            assert name in ours, f"keras.{kind.KERAS}.{name} is neither known nor refused"
            assert ours[name].__name__ == cls.__name__
    assert {cls.__name__ for cls in ours.values()} <= set(public), "a class that Keras does not have"
    by_shape = {"accuracy", "acc", "crossentropy", "ce"}
    assert refused.keys() - by_shape <= set(public), "a refused class that Keras does not have"


@pytest.mark.parametrize("cls", [cls for _, cls in CLASSES], ids=key_of)
def test_arguments_and_defaults_are_keras_own(cls: type[Object]) -> None:
    theirs = inspect.signature(getattr(module_of(cls), cls.__name__).__init__).parameters
    if theirs.keys() == {"self", "args", "kwargs"}:  # Keras's class has no constructor of its own
        theirs = {}
    expected = {
        name: "required" if p.default is p.empty else p.default
        for name, p in theirs.items()
        if name != "self" and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
    }
    ours = {name: "required" if f.is_required() else f.default for name, f in cls.model_fields.items()}
    assert ours == expected


@pytest.mark.parametrize("cls", [cls for _, cls in CLASSES], ids=key_of)
def test_every_field_has_a_description_and_is_hashable(cls: type[Object]) -> None:
    assert cls.__doc__
    for arguments in SAMPLES.get(key_of(cls), ({},)):
        assert isinstance(hash(cls.model_validate(arguments)), int)


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [(cls, sample) for _, cls in CLASSES for sample in SAMPLES.get(key_of(cls), ({},))],
    ids=lambda value: key_of(value) if isinstance(value, type) else "",
)
def test_the_keras_object_has_the_same_arguments_and_survives_serialisation(
    cls: type[Object], arguments: Mapping[str, Any]
) -> None:
    ours = cls.model_validate(arguments)
    theirs = keras_object(ours)
    assert type(theirs) is getattr(module_of(cls), cls.__name__)
    if issubclass(cls, Callback):
        assert {name: getattr(theirs, name) for name in cls.model_fields} == ours.model_dump()
        return
    assert_same(ours, theirs.get_config())
    if "label_weights" not in arguments:  # Keras cannot read back the tensor that it makes of them
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(theirs))
        assert type(again) is type(theirs)
        assert_same(ours, again.get_config())


def assert_same(ours: Object, config: Mapping[str, Any]) -> None:
    missing = type(ours).model_fields.keys() - config.keys()
    assert missing <= FORGOTTEN.get(key_of(type(ours)), set()) | ({"dtype"} if isinstance(ours, Loss) else set())
    for name in type(ours).model_fields.keys() - missing:
        mine, value = getattr(ours, name), config[name]
        if name in ("name", "dtype") and mine is None:  # Keras makes one up
            continue
        if key_of(type(ours)) == "metrics.AUC" and name == "num_thresholds" and ours.thresholds:  # type: ignore[attr-defined]
            continue
        if name == "exclude_layers":
            assert list(value) == list(mine or ())
        elif isinstance(mine, Object):
            assert value["class_name"] == type(mine).__name__
            assert_same(mine, value["config"])
        elif isinstance(mine, float | tuple) and not isinstance(value, str):
            np.testing.assert_allclose(np.asarray(value), np.asarray(mine), rtol=1e-6)
        else:
            assert value == mine, name


NAMES = [
    (kind, name)
    for kind in (Initializer, Regularizer, Constraint, Loss, Metric, Optimizer)
    for name in sorted(vars(inspect.getmodule(module_of(kind).get))["ALL_OBJECTS_DICT"])
]


@pytest.mark.parametrize(("kind", "name"), NAMES, ids=[f"{k.__name__}-{n}" for k, n in NAMES])
def test_every_name_that_keras_accepts_means_the_same_here(kind: type[Object], name: str) -> None:
    theirs = vars(inspect.getmodule(module_of(kind).get))["ALL_OBJECTS_DICT"][name]
    word = theirs.__name__
    abstract = {"Initializer", "Regularizer", "Constraint", "Loss", "LossFunctionWrapper", "Metric", "Optimizer"}
    if word in abstract or name in REFUSED.get(kind, {}) or word in REFUSED.get(kind, {}):
        assert name not in known(kind)
        return
    ours = known(kind)[name]
    if inspect.isclass(theirs):
        assert ours.__name__ == word
    else:  # a loss as a function: the class of ours that computes it
        assert keras_object(ours()).fn is theirs


def test_a_bare_value_is_the_first_argument_of_the_class_s_own() -> None:
    own = {cls.__name__: first_argument(cls) for cls in (c for kind in KINDS[:3] for c in known(kind).values())}
    assert own["L2"] == "l2"
    assert own["VarianceScaling"] == "scale"
    assert own["HeNormal"] == "seed"
    assert own["NonNeg"] is None
    assert {first_argument(cls) for cls in known(Optimizer).values()} == {"learning_rate", "inner_optimizer"}
    assert first_argument(known(Metric)["TopKCategoricalAccuracy"]) == "k"
    assert first_argument(known(Metric)["IoU"]) == "num_classes"
    assert first_argument(known(Loss)["BinaryCrossentropy"]) == "from_logits"
    assert first_argument(known(Loss)["BinaryFocalCrossentropy"]) == "apply_class_balancing"
    assert parse_object(Regularizer, {"L2": 1e-4}) == parse_object(Regularizer, {"l2": {"l2": 1e-4}})


class Compile(Model):
    loss: LossField
    optimizer: OptimizerField
    metrics: tuple[MetricField, ...] = ()


def test_names_that_the_loss_decides_stay_strings() -> None:
    read = Compile.model_validate({"loss": "crossentropy", "optimizer": "sgd", "metrics": ["accuracy", "acc", "mse"]})
    assert read.loss == "crossentropy"
    assert read.metrics[:2] == ("accuracy", "acc")
    assert read.metrics[2] == known(Metric)["MeanSquaredError"]()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    metrics = [m if isinstance(m, str) else keras_object(m) for m in read.metrics]
    loss = read.loss if isinstance(read.loss, str) else keras_object(read.loss)
    model.compile(loss=loss, optimizer=keras_object(read.optimizer), metrics=metrics[:2])
    results = model.evaluate(np.zeros((4, 2)), np.zeros((4, 1)), verbose=0, return_dict=True)
    assert results["accuracy"] == results["acc"] == 1.0


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        (Callback, {"LambdaCallback": {}}, "refused_object"),
        (Callback, "model_checkpoint", "refused_object"),
        (Optimizer, "MultiOptimizer", "refused_object"),
        (Metric, {"accuracy": {"name": "a"}}, "refused_object"),
        (Metric, "MeanMetricWrapper", "refused_object"),
        (Optimizer, "Adma", "unknown_object"),
        (Initializer, "Loss", "unknown_object"),
        (Initializer, {}, "one_name"),
        (Loss, {"class_name": "MeanSquaredError", "config": {}}, "one_name"),
    ],
)
def test_refused_and_unknown_names(kind: type[Object], value: Any, error: str) -> None:
    with pytest.raises(PydanticCustomError) as caught:
        parse_object(kind, value)
    assert caught.value.type == error
    assert caught.value.message()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Regularizer, {"L2": -1}),
        (Initializer, {"VarianceScaling": 0}),
        (Initializer, {"HeNormal": {"class_name": "Lambda"}}),
        (Initializer, {"HeNormal": True}),
        (Initializer, {"Constant": [1, 2]}),
        (Loss, {"CategoricalGeneralizedCrossEntropy": 1.0}),
        (Loss, {"MeanSquaredError": "average"}),
        (Metric, {"IoU": {"num_classes": 2, "target_class_ids": [2]}}),
        (Metric, {"IoU": {"num_classes": 2, "target_class_ids": []}}),
        (Metric, {"Precision": [0.5, 1.5]}),
        (Metric, {"AUC": {"num_thresholds": 1}}),
        (Metric, {"AUC": {"num_labels": 2}}),
        (Metric, {"FBetaScore": {"beta": 0}}),
        (Optimizer, {"SGD": "fast"}),
        (Optimizer, {"SGD": -0.1}),
        (Optimizer, {"SGD": {"momentum": 1.5}}),
        (Optimizer, {"AdamW": {"weight_decay": None}}),
        (Optimizer, {"Adam": {"clipnorm": 1, "clipvalue": 1}}),
        (Optimizer, {"Adam": {"gradient_accumulation_steps": 1}}),
        (Optimizer, {"Lion": {"beta_1": 0}}),
        (Optimizer, {"SGD": {"learning_rate": {"CosineDecay": {"initial_learning_rate": 1, "decay_steps": 0}}}}),
        (Schedule, {"PiecewiseConstantDecay": {"boundaries": [1], "values": [1]}}),
        (Callback, {"ReduceLROnPlateau": {"factor": 1}}),
        (Callback, {"EarlyStopping": {"mode": "best"}}),
    ],
    ids=str,
)
def test_what_keras_would_refuse_is_refused_here(kind: type[Object], value: Any) -> None:
    with pytest.raises(ValidationError):
        parse_object(kind, value)


@pytest.mark.parametrize("cls", [cls for kind, cls in CLASSES if kind is Schedule], ids=key_of)
def test_schedules_compute(cls: type[Object]) -> None:
    (arguments,) = SAMPLES[key_of(cls)]
    schedule = keras_object(cls.model_validate(arguments))
    assert np.isfinite([float(schedule(step)) for step in (0, 5, 10, 30, 200)]).all()


def test_constraints_over_several_axes_compute() -> None:
    weight = keras.ops.ones((2, 3, 4, 5))
    for name in ("MaxNorm", "MinMaxNorm"):
        constraint = keras_object(parse_object(Constraint, {name: {"axis": [0, 1, 2]}}))
        assert constraint(weight).shape == weight.shape


def test_aliases_are_names_that_snake_case_does_not_give() -> None:
    for _, cls in CLASSES:
        assert not {cls.__name__, snake_case(cls.__name__)} & set(cls.ALIASES), cls


def test_any_learning_rate_is_written_alike() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(OptimizerField)
    by_value = adapter.validate_python({"SGD": 1})
    assert type(by_value.learning_rate) is float
    decay = {"cosine_decay": {"initial_learning_rate": 1, "decay_steps": 10}}
    by_name = adapter.validate_python({"SGD": {"learning_rate": decay}})
    assert by_name.learning_rate == known(Schedule)["CosineDecay"](initial_learning_rate=1.0, decay_steps=10)

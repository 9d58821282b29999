"""A call of a layer → the layers of the catalogue that compute the same: one, for most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from archspec.importing.calls import Call, tensors, text
from archspec.importing.exact import Unknown, exact_layer, policy
from archspec.importing.functions import function_layer
from archspec.importing.layers import of_keras
from archspec.layers import find_layer
from archspec.layers.base import Layer, call_fields
from archspec.layers.merging import Multiply
from archspec.layers.regularization import Dropout
from archspec.layers.weight import Weight
from archspec.tensor import TensorType

# Layers that compute with their activation last, so that it may be a layer of its own.
_ACTIVATED = frozenset({
    "Conv1D", "Conv1DTranspose", "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Dense", "DepthwiseConv1D",
    "DepthwiseConv2D", "EinsumDense", "SeparableConv1D", "SeparableConv2D",
})  # fmt: skip
_CONVNEXT = "keras.src.applications.convnext"  # where Keras keeps two layers that are not among keras.layers


@dataclass(frozen=True)
class Reading:
    """The layer, and what stands beside it: a weight that it takes last, a layer that takes what it gives.

    `twice`: it takes its tensor twice; `alone`: it takes none, whatever it is called with in the file.
    """

    layer: Layer
    weight: Weight | None = None
    then: Layer | None = None
    twice: bool = False
    alone: bool = False


def reading(call: Call, types: Sequence[TensorType], masked: bool) -> Reading:
    """What a call of a layer or a function means; `masked`: its tensors may have masks of Keras's. Raises Unknown."""
    if call.is_operation:
        layer, twice = function_layer(call, types, masked)
        return Reading(layer, twice=twice)
    if not call.is_known:
        raise Unknown(f"its code is not Keras's ({call.data.get('registered_name') or call.data.get('module')})")
    if call.data.get("module") == _CONVNEXT:
        return _of_convnext(call, types)
    options = _options(call)
    config = dict(call.config)
    activation = config.get("activation")
    then = _activation(activation) if call.kind in _ACTIVATED else None
    if then is not None:
        config["activation"] = None
    layer = exact_layer(call.kind, config, options)
    return Reading(layer, then=then, alone=isinstance(layer, Weight))


def _options(call: Call) -> dict[str, Any]:
    """The arguments of the call that are no tensors. Raises Unknown."""
    cls = find_layer(call.kind)
    known = call_fields(cls) if cls else frozenset()
    options = {key: value for key, value in call.kwargs.items() if value is not None and not tensors(value)}
    if options.pop("training", False) and not (cls and cls.ROLE == "preprocessing"):  # whose default it is
        raise Unknown("it is called with training=True, which a graph cannot say")
    for key, value in options.items():
        if key not in known:
            raise Unknown(f"the catalogue has no argument {key} of its call ({value!r:.60})")
    for value in call.args:
        if value not in (None, []) and not tensors(value):
            raise Unknown(f"it is called with {value!r:.60}, in an argument without a name")
    return options


def _activation(value: Any) -> Layer | None:
    """An activation that is given as a layer: `Dense(8, activation=LeakyReLU(0.2))`. Raises Unknown."""
    if not isinstance(value, dict) or not isinstance(value.get("config"), dict) or not of_keras(value):
        return None
    name = text(value.get("class_name"))
    cls = find_layer(name)
    if cls is None or cls.weights is not Layer.weights:
        return None
    return exact_layer(name, value["config"], {})


def _of_convnext(call: Call, types: Sequence[TensorType]) -> Reading:
    """x · gamma, and dropping an example's whole branch. Raises Unknown.

    Liu et al. 2022, arXiv:2201.03545; Touvron et al. 2021, arXiv:2103.17239; Huang et al. 2016, arXiv:1603.09382.
    """
    dtype = policy(call.config.get("dtype"))
    options = {"dtype": dtype} if dtype else {}
    if call.kind == "LayerScale" and isinstance(call.config.get("projection_dim"), int):
        initializer = {"Constant": call.config.get("init_values")}
        weight = {"shape": (call.config["projection_dim"],), "initializer": initializer, **options}
        return Reading(Multiply.model_validate(options), weight=Weight.model_validate(weight))
    if call.kind == "StochasticDepth" and len(types) == 1:
        shape = (None, *(1,) * types[0].rank)
        return Reading(Dropout.model_validate({"rate": call.config["drop_path_rate"], "noise_shape": shape, **options}))
    raise Unknown("the catalogue has no layer of this name")

"""A stand-in for Keras that only notes which layer is called on what: code is run with it in milliseconds."""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """An output of a call."""

    call: int
    index: int = 0


@dataclass(frozen=True)
class Object:
    """An initializer, a regularizer or a constraint, by its class and arguments."""

    name: str
    arguments: tuple[tuple[str, Any], ...]


@dataclass
class Recorder:
    """What the code has called, in order: layer, arguments of the layer, tensors and options of the call."""

    calls: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = field(default_factory=list)
    outputs: dict[str, int] = field(default_factory=dict)  # how many tensors a layer of this name gives

    def call(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls.append((layer, args, kwargs))
        count = self.outputs.get(layer.name, 1)
        made = tuple(Tensor(len(self.calls) - 1, i) for i in range(count))
        return made[0] if count == 1 else made


@contextmanager
def stubbed(recorder: Recorder) -> Iterator[None]:
    """Within the context, `import keras` gives the stand-in."""
    kept = {name: sys.modules.pop(name) for name in [*sys.modules] if name.split(".")[0] == "keras"}
    module = types.ModuleType("keras")
    vars(module).update(_namespace(recorder))
    sys.modules["keras"] = module
    try:
        yield
    finally:
        del sys.modules["keras"]
        sys.modules.update(kept)


def _namespace(recorder: Recorder) -> dict[str, Any]:
    class Layer:
        """Notes the arguments of its class, whatever that is."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            made = super().__new__(cls)
            own = "__init__" in vars(cls)
            parameters = list(inspect.signature(cls.__init__).parameters)[1:] if own and cls is not Layer else []
            made.__dict__["given"] = {**dict(zip(parameters, args, strict=False)), **kwargs}
            made.__dict__["first"] = args[0] if args else None
            return made

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.name = kwargs.get("name")

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return recorder.call(self, args, kwargs)

    class Layers:
        def __init__(self) -> None:
            self.Layer = Layer

        def __getattr__(self, name: str) -> Any:
            made = type(name, (Layer,), {})
            setattr(self, name, made)
            return made

    class Objects:
        def get(self, value: Any) -> Any:
            return value

        def __getattr__(self, name: str) -> Any:
            return lambda *args, **kwargs: Object(name, tuple(enumerate(args)) + tuple(sorted(kwargs.items())))

    def given(shape: Any, dtype: str = "float32", name: str = "") -> Any:
        made = Layers().InputLayer(shape=shape, dtype=dtype, name=name)
        return made()

    layers, objects = Layers(), Objects()
    saving = types.SimpleNamespace(register_keras_serializable=lambda package: lambda cls: cls)
    return {
        "layers": layers, "initializers": objects, "regularizers": objects, "constraints": objects, "saving": saving,
        "Input": given, "ops": types.SimpleNamespace(), "KerasTensor": object, "random": objects,
        "tree": types.SimpleNamespace(flatten=lambda value: [*value] if isinstance(value, tuple) else [value]),
        "Model": lambda inputs, outputs, name: (inputs, outputs, name),
    }  # fmt: skip

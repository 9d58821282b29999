"""Formulas over tensors, as papers print them: `softmax(q @ swapaxes(k, 1, 2) / sqrt(64)) @ v`."""

from __future__ import annotations

import ast
import keyword
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import field_validator

from archspec.layers.base import Layer, Outputs
from archspec.layers.evaluator import FormulaError, evaluate, parse
from archspec.layers.ops import arguments as calls
from archspec.layers.ops import elementwise
from archspec.layers.ops import functions as rules
from archspec.tensor import Array, ShapeError, TensorType

__all__ = ["Formula", "FormulaError", "call_text", "evaluate", "first_argument", "parse"]

_ROLES = {  # what a formula of one function is drawn as, by the function or the module of its rule
    "activation": ("softmax", "log_softmax", "sparsemax", "tanh"),
    "merge": ("concatenate", "stack", "add", "subtract", "multiply", "maximum", "minimum", "average"),
    "reshape": ("shaping", "joining", "indexing"),
}


class Formula(Layer):
    """A formula over tensors by name, in the functions of keras.ops.

    Shape: by the functions' rules; axis 0 is the batch, and every result keeps it there.
    MACs: those of its products (matmul, einsum, dot, conv, attention).
    Errors: FormulaError, with the place in the text.
    """

    OWN = True

    expression: str
    arguments: tuple[str, ...]

    @field_validator("arguments")
    @classmethod
    def _identifiers(cls, arguments: tuple[str, ...]) -> tuple[str, ...]:
        for name in arguments:
            if not name.isidentifier() or keyword.iskeyword(name):
                raise ValueError(f"{name!r} cannot name a tensor in a formula")
        if len(set(arguments)) != len(arguments):
            raise ValueError("the tensors of a formula need different names")
        return arguments

    @property
    def role(self) -> str:
        """That of its function, where it is just one."""
        tree = parse(self.expression)
        if isinstance(tree, ast.Subscript) and isinstance(tree.value, ast.Name):
            return "reshape"
        inner = [n for n in ast.walk(tree) if isinstance(n, ast.Call | ast.BinOp)]
        if not isinstance(tree, ast.Call) or len(inner) > 1:
            return "other"
        assert isinstance(tree.func, ast.Name)
        rule = rules().get(tree.func.id)
        module = rule.__module__.rpartition(".")[2] if rule else ""
        keys = (tree.func.id, "activation" if _is_activation(tree.func.id) else module)
        return next((role for role, members in _ROLES.items() if role in keys or set(keys) & set(members)), "other")

    def infer(self, *inputs: TensorType) -> Outputs:
        given = [TensorType(x.shape, self.passed_dtype(x)) for x in inputs]
        result = self._evaluate(given, lambda name: _checked(name))
        if isinstance(result, tuple | list) and result:
            return tuple(self._output(part) for part in result)
        return self._output(result)

    def result(self, *inputs: TensorType) -> Array:
        """What the formula gives, whether or not the batch is its first axis. Raises FormulaError."""
        found = self._evaluate(inputs, lambda name: _checked(name))
        if not isinstance(found, Array):
            raise self._error(f"the formula must give a tensor, not {calls.show(found)}")
        return found

    def macs(self, *inputs: TensorType) -> int:
        total = 0

        def counting(name: str) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal total
                result = _checked(name)(*args, **kwargs)
                if f"{name}_macs" in rules():
                    total += rules()[f"{name}_macs"](*args, **kwargs)
                return result

            return call

        self._evaluate(inputs, counting)
        return total

    def _evaluate(self, inputs: Sequence[TensorType], functions: Callable[[str], Callable[..., Any]]) -> Any:
        tree = parse(self.expression)
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if not names & set(self.arguments) and not names - set(calls.names()):
            help = "a constant tensor is a weight: weight: {shape: …, initializer: …, trainable: false}"
            raise self._error("the formula has no tensor in it", help)
        arrays = [Array.of(x) for x in inputs]
        return evaluate(tree, dict(zip(self.arguments, arrays, strict=True)), functions)

    def _output(self, result: object) -> TensorType:
        if not isinstance(result, Array):
            raise self._error(f"the formula must give a tensor, not {calls.show(result)}")
        try:
            return result.tensor()
        except ShapeError as error:
            raise self._error(error.message, error.help) from error

    def _error(self, message: str, help: str | None = None) -> FormulaError:
        return FormulaError(message, help, 0, len(self.expression))


def _checked(name: str) -> Callable[..., Any]:
    """The rule, which checks its arguments first."""
    rule = calls.find(name)

    def call(*args: Any, **kwargs: Any) -> Any:
        calls.check(name, args, kwargs)
        return rule(*args, **kwargs)

    return call


def _is_activation(name: str) -> bool:
    """Whether the function is one of the neural networks' activations: of one tensor, with the same shape."""
    rule = rules().get(name)
    if rule is None or not rule.__module__.endswith(".nn") or len(_tensors(name)) != 1:
        return False
    return "normal" not in name


def keeps_mask(expression: str, arguments: Sequence[str]) -> bool:
    """Whether a mask of the formula's tensor is one of its result: each element comes from the same element of it."""
    if len(arguments) != 1:
        return False
    for node in ast.walk(parse(expression)):
        if isinstance(node, ast.Subscript | ast.MatMult):
            return False
        if isinstance(node, ast.Call):
            assert isinstance(node.func, ast.Name)
            if calls.find(node.func.id).__module__ != elementwise.__name__:
                return False
    return True


def _tensors(name: str) -> list[str]:
    """The parameters that take tensors, in order."""
    hints = calls.hints(name)
    return [p for p in calls.signature(name).parameters if "tensor" in calls.describe(hints[p])]


def first_argument(function: str) -> str | None:
    """The argument that a bare value stands for (`ops.one_hot: 10`): the first that takes no tensor."""
    calls.find(function)
    parameters = calls.signature(function).parameters
    return next((name for name in parameters if name not in _tensors(function)), None)


def call_text(function: str, arguments: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """The formula of an `ops.NAME` step: the tensors go to the parameters that take them, in order.

    A parameter that `arguments` names takes its value from there. Raises FormulaError.
    """
    try:
        calls.find(function)
    except ShapeError as error:
        raise FormulaError(error.message, error.help) from error
    parameters, tensors, rest = calls.signature(function).parameters, _tensors(function), list(inputs)
    variadic = [n for n, p in parameters.items() if p.kind is p.VAR_POSITIONAL]
    texts: list[str] = []
    for name, parameter in parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            texts += rest
            rest = []
        elif name in arguments:
            before = variadic and list(parameters).index(name) < list(parameters).index(variadic[0])
            value = _text(arguments[name], name in tensors)
            texts.append(value if before else f"{name}={value}")
        elif name in tensors and rest:
            several = calls.describe(calls.hints(function)[name]) == "several tensors"
            value = f"[{', '.join(rest)}]" if several else rest[0]
            rest = [] if several else rest[1:]
            texts.append(value if all("=" not in t for t in texts) else f"{name}={value}")
    if rest:
        raise FormulaError(f"{function} takes {len(inputs) - len(rest)} tensors, got {len(inputs)}")
    texts += [f"{name}={_text(value, False)}" for name, value in arguments.items() if name not in parameters]
    return f"{function}({', '.join(texts)})"


def _text(value: object, tensor: bool) -> str:
    """A value as a formula writes it: lists are tensors of numbers, tuples anything else."""
    if isinstance(value, list | tuple):
        parts = [_text(v, tensor) for v in value]
        if tensor:
            return f"[{', '.join(parts)}]"
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    finite = not isinstance(value, float) or math.isfinite(value)
    if value is None or (isinstance(value, bool | int | float | str) and finite):
        return repr(value)
    raise FormulaError(f"{value!r} cannot stand in a formula")

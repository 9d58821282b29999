"""Formulas: what they may hold, where their mistakes are, what they give beside NumPy and Keras, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from archspec.layers.formula import Formula, FormulaError, call_text, evaluate, first_argument, parse
from archspec.layers.ops import arguments
from archspec.tensor import BATCH, Array, TensorType

X, Y, M = TensorType((4, 6)), TensorType((4, 6)), TensorType((6, 5))


def formula(text: str, *names: str, **fields: Any) -> Formula:
    return Formula(expression=text, arguments=names, **fields)


@pytest.mark.parametrize(
    ("text", "shape", "macs", "role"),
    [
        ("x + y", (4, 6), 0, "other"),
        ("softmax(x)", (4, 6), 0, "activation"),
        ("relu(x)", (4, 6), 0, "activation"),
        ("tanh(x)", (4, 6), 0, "activation"),
        ("concatenate([x, y], axis=1)", (8, 6), 0, "merge"),
        ("add(x, y)", (4, 6), 0, "merge"),
        ("reshape(x, (-1, 24))", (24,), 0, "reshape"),
        ("x[:, 0]", (6,), 0, "reshape"),
        ("take(x, 0, axis=1)", (6,), 0, "reshape"),
        ("x @ m", (4, 5), 120, "other"),
        ("relu(x @ m)", (4, 5), 120, "other"),
        ("softmax(x @ swapaxes(y, -1, -2) / sqrt(6)) @ y", (4, 6), 192, "other"),
        ("einsum('bij,bjk->bik', x, m)", (4, 5), 120, "other"),
    ],
)
def test_shape_cost_and_role(text: str, shape: tuple[int, ...], macs: int, role: str) -> None:
    made = formula(text, "x", "y", "m")
    assert made.infer(X, Y, M) == TensorType(shape)
    assert made.macs(X, Y, M) == macs
    assert made.role == role


def test_several_results() -> None:
    assert formula("split(x, 2, axis=-1)", "x").infer(X) == (TensorType((4, 3)),) * 2
    assert formula("top_k(x, 2)", "x").infer(X) == (TensorType((4, 2)), TensorType((4, 2), "int32"))
    assert formula("(x, x @ swapaxes(x, 1, 2))", "x").infer(X) == (X, TensorType((4, 4)))


def test_dtype_is_that_of_the_layer() -> None:
    assert formula("x / sqrt(64)", "x", dtype="float16").infer(X) == TensorType((4, 6), "float16")
    assert formula("x", "x", dtype="float16").infer(TensorType((4,), "int32")) == TensorType((4,), "int32")
    assert formula("x", "x", dtype="mixed_bfloat16").infer(X) == TensorType((4, 6), "bfloat16")
    halves = formula("split(x, 2, axis=1)", "x").infer(TensorType((4, 6), "float64"))
    assert halves == (TensorType((2, 6)), TensorType((2, 6)))  # Keras casts what it calls a layer with


MISTAKES = [  # text, the part to blame, what the message holds, what the help holds
    ("x +", "", "cannot be read", None),
    ("x + z", "z", "there is no tensor z", None),
    ("x + queri", "queri", "there is no tensor queri", "did you mean 'query'?"),
    ("  softmx(x) + 1", "softmx(x)", "there is no function softmx", "did you mean 'softmax'?"),
    ("x.shape", "x.shape", "no attributes", "shape(x)[1]"),
    ("x.transpose()", "x.transpose", "bare names", "transpose(x)"),
    ("x if True else query", "x if True else query", "no condition", "where("),
    ("x and query", "x and query", "no `and`", "& and |"),
    ("0 < x < 1", "0 < x < 1", "single", "(a < b) & (b < c)"),
    ("x in query", "x in query", "single", "isin"),
    ("lambda: x", "lambda: x", "no lambda", None),
    ("[a for a in x]", "[a for a in x]", "cannot hold this", None),
    ("concatenate([*x])", "*x", "no *", None),
    ("sum(**x)", "**x", "no **", None),
    ("(y := x)", "y := x", "no :=", None),
    ("f'{x}'", "f'{x}'", "no f-strings", None),
    ("x << 1", "x << 1", "no shifts", "left_shift"),
    ("x + 1j", "1j", "constants are", None),
    ("x + b'a'", "b'a'", "constants are", None),
    ("cast(x, '__class__')", "'__class__'", "cannot hold __", None),
    ("x + ...", "...", "in slices only", None),
    ("x # comment", "#", "no comments", None),
    ("x + 9**9**9", "9**9**9", "at most 63 bits", None),
    ("x * 99999999999999999999", "99999999999999999999", "at most 63 bits", None),
    ("x + 2**63", "2**63", "at most 63 bits", None),
    ("x + 1 / 0", "1 / 0", "division by zero", None),
    ("x + 1 % 0", "1 % 0", "division by zero", None),
    ("x + 9.0**9999", "9.0**9999", "cannot be computed", None),
    ("x + (-8) ** 0.5", "(-8) ** 0.5", "no real number", None),
    ("x + sqrt(-1)", "sqrt(-1)", "cannot be computed", None),
    ("x + 'a'", "x + 'a'", "not on 'a'", None),
    ("'a' * 1000000000 + x", "'a' * 1000000000", "not on 'a'", None),
    ("x + shape(x)[0]", "x + shape(x)[0]", "not on the batch", None),
    ("split(x, 2, -1)[2]", "split(x, 2, -1)[2]", "of 2 results", None),
    ("split(x, 2, -1)[x]", "split(x, 2, -1)[x]", "whole numbers and slices", None),
    ("3[0] + x", "3[0]", "has no parts", None),
    ("sum(x, axs=1)", "axs=1", "takes no argument axs", "did you mean 'axis'?"),
    ("transpose(x, 'a')", "'a'", "axes of transpose must be", None),
    ("sum(x, axis=1.5)", "axis=1.5", "axis of sum must be", None),
    ("x @ query", "x @ query", "do not fit", None),
    ("é(x) + 'ü' @ query", "é(x)", "there is no function é", None),
    ("x * 1 + query[:, 9]", "query[:, 9]", "out of range", None),
    ("arange(5)", "arange(5)", "no tensor in it", "weight"),
    ("1 + 1", "1 + 1", "no tensor in it", "weight"),
    ("shape(x)", "shape(x)", "must give a tensor", None),
    ("sum(x)", "sum(x)", "must keep the batch", "axis 0 is the batch"),
    ("x[0]", "x[0]", "must keep the batch", None),
    ("transpose(x)", "transpose(x)", "must keep the batch", None),
    ("x * arange(6", "", "cannot be read", None),
    ("", "", "cannot be read", None),
    ("x; x", ";", "cannot be read", None),
    ("x = 1", "", "cannot be read", None),
    ("import os", "", "cannot be read", None),
]


@pytest.mark.parametrize(("text", "part", "message", "help"), MISTAKES)
def test_mistakes_are_placed(text: str, part: str, message: str, help: str | None) -> None:
    with pytest.raises(FormulaError) as caught:
        formula(text, "x", "query").infer(X, Y)
    error = caught.value
    assert message in error.message
    assert help is None or help in (error.help or "")
    assert not part or text[error.col_offset : error.end_col_offset] == part


DEEP = {
    "parentheses": "(" * 250 + "x" + ")" * 250,
    "open": "(" * 4999 + "x",
    "signs": "-" * 5000 + "x",
    "not": "not " * 2400 + "x",
    "sums": "x" + "+x" * 4000,
    "powers": "x**" * 3000 + "x",
    "calls": "abs(" * 120 + "x" + ")" * 120,
    "lists": "[" * 101 + "x" + "]" * 101,
    "indices": "x" + "[0]" * 3000,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_deep_formulas_are_refused(text: str) -> None:
    with pytest.raises(FormulaError, match="nested"):
        formula(text, "x").infer(X)


def test_long_formulas_are_refused() -> None:
    with pytest.raises(FormulaError, match="10,000 characters, got 10,001"):
        parse("x" + " " * 10_000)
    assert formula("abs(" * 90 + "x" + ")" * 90, "x").infer(X) == X


def test_lines_are_one_formula() -> None:
    with pytest.raises(FormulaError) as caught:
        formula("x\n  + z", "x").infer(X)
    assert (caught.value.col_offset, caught.value.end_col_offset) == (6, 7)


def test_names_of_tensors_are_checked() -> None:
    for names in (("x", "x"), ("a b",), ("lambda",)):
        with pytest.raises(ValidationError):
            formula("x", *names)
    assert formula("sum + norm(norm, axis=-1, keepdims=True)", "sum", "norm").infer(X, Y) == X


@pytest.mark.parametrize(
    ("function", "given", "inputs", "text"),
    [
        ("transpose", {"axes": [0, 2, 1]}, ["x"], "transpose(x, axes=(0, 2, 1))"),
        ("concatenate", {"axis": -1}, ["a", "b"], "concatenate([a, b], axis=-1)"),
        ("stack", {}, ["a", "b", "c"], "stack([a, b, c])"),
        ("matmul", {}, ["a", "b"], "matmul(a, b)"),
        ("einsum", {"subscripts": "bi,bj->bij"}, ["a", "b"], "einsum('bi,bj->bij', a, b)"),
        ("meshgrid", {"indexing": "ij"}, ["a", "b"], "meshgrid(a, b, indexing='ij')"),
        ("where", {"x2": 0}, ["c", "a"], "where(c, a, x2=0)"),
        ("clip", {"x_min": 0, "x_max": 1.5}, ["x"], "clip(x, x_min=0, x_max=1.5)"),
        ("take", {"indices": [0, 2], "axis": 1}, ["x"], "take(x, indices=[0, 2], axis=1)"),
        ("take", {"x": [[1.0, 2.0]], "axis": 1}, ["i"], "take(x=[[1.0, 2.0]], indices=i, axis=1)"),
        ("pad", {"pad_width": [[0, 0], [1, 1]]}, ["x"], "pad(x, pad_width=((0, 0), (1, 1)))"),
        ("squeeze", {"axis": [1]}, ["x"], "squeeze(x, axis=(1,))"),
        ("one_hot", {"num_classes": 3, "dtype": "int32"}, ["x"], "one_hot(x, num_classes=3, dtype='int32')"),
        ("rearrange", {"pattern": "b h -> b h", "h": 2}, ["x"], "rearrange(x, pattern='b h -> b h', h=2)"),
        ("layer_normalization", {"axis": -1}, ["x", "g", "b"], "layer_normalization(x, g, b, axis=-1)"),
        ("sum", {"axis": None, "keepdims": True}, ["x"], "sum(x, axis=None, keepdims=True)"),
        ("fft", {}, ["a", "b"], "fft([a, b])"),
        ("arange", {"start": 3}, [], "arange(start=3)"),
    ],
)
def test_call_text(function: str, given: dict[str, Any], inputs: list[str], text: str) -> None:
    assert call_text(function, given, inputs) == text
    parse(text)


def test_call_text_refuses() -> None:
    for function, values, inputs, message in [
        ("relu", {}, ["a", "b"], "takes 1 tensors, got 2"),
        ("rellu", {}, ["a"], "there is no function rellu"),
        ("clip", {"x_min": {"a": 1}}, ["a"], "cannot stand in a formula"),
        ("clip", {"x_min": float("inf")}, ["a"], "cannot stand in a formula"),
    ]:
        with pytest.raises(FormulaError, match=message):
            call_text(function, values, inputs)
    assert first_argument("one_hot") == "num_classes"
    assert first_argument("reshape") == "newshape"
    assert first_argument("matmul") is None


# Random formulas: one tree, three readings.
leaves = st.sampled_from(["x", "y", "x[:, :1]", "y[:, -1:]", "2", "0.5", "-3"])


def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    unary = st.sampled_from(["-{}", "abs({})", "tanh({})", "sqrt(abs({}) + 1)", "square({})"])
    binary = st.sampled_from(
        ["{} + {}", "{} - {}", "{} * {}", "maximum({}, {})", "where({} > {}, 1.0, 0.5)", "{} / ({} * 0 + 2)"]
    )
    return st.one_of(
        st.tuples(unary, inner).map(lambda t: f"({t[0].format(t[1])})"),
        st.tuples(binary, inner, inner).map(lambda t: f"({t[0].format(t[1], t[2])})"),
    )


@given(st.recursive(leaves, grow, max_leaves=8))
@settings(deadline=None, max_examples=60)
def test_random_formulas_agree_with_numpy_and_keras(text: str) -> None:
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((3, 4, 6)).astype("float32") for _ in range(2))
    tree = parse(text)

    def rule(name: str) -> Any:
        return arguments.find(name)

    expected = evaluate(tree, {"x": Array((BATCH, 4, 6)), "y": Array((BATCH, 4, 6))}, rule)
    tensors = {"x": keras.ops.convert_to_tensor(x), "y": keras.ops.convert_to_tensor(y)}
    found = evaluate(tree, tensors, lambda name: getattr(keras.ops, name))
    calculated = eval(text, {**vars(np), "abs": np.abs}, {"x": x, "y": y})
    if isinstance(expected, Array):
        assert tuple(found.shape) == tuple(3 if d is BATCH else d for d in expected.shape)
        assert keras.backend.standardize_dtype(found.dtype) == expected.dtype
    np.testing.assert_allclose(np.asarray(found), calculated, rtol=1e-4, atol=1e-4)

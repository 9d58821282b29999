"""`keras.ops` as shape rules: each against the real function, on random data with a batch of 3."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archspec.layers.formula import evaluate, parse
from archspec.layers.ops import arguments, functions
from archspec.layers.ops.promotion import DTYPES, promote
from archspec.tensor import BATCH, Array, ShapeError, broadcast
from tests.ops_cases import CASES, FORMULAS, TENSORS

keras = pytest.importorskip("keras")

NAMES = arguments.names()
# What keras.ops has and formulas do not.
LEFT_OUT = {
    **dict.fromkeys(("associative_scan", "custom_gradient", "jvp", "map", "scan", "switch"), "it takes a function"),
    **dict.fromkeys(("cond", "fori_loop", "vectorize", "vectorized_map", "while_loop"), "it takes a function"),
    **dict.fromkeys(("bincount", "nonzero", "unique"), "its shape depends on the data"),
    **dict.fromkeys(
        ("convert_to_numpy", "dtype", "is_tensor", "size", "view"), "its result is no tensor of a network's"
    ),
    **dict.fromkeys(("allclose", "histogram"), "it folds the batch away"),
}
LEFT_OUT_PARAMETERS = {
    "sparse": "sparse tensors are not supported",
    "ragged": "ragged tensors are not supported",
    "kwargs": "it holds former arguments only",
}


def real(x: Array, seed: int = 0) -> Any:
    """Random data for an array, the batch being 3."""
    rng = np.random.default_rng([seed, len(x.shape)])
    shape = tuple(3 if d is BATCH else d for d in x.shape)
    if "int" in x.dtype:
        return rng.integers(1, 3, shape).astype(x.dtype)
    if x.dtype == "bool":
        return rng.random(shape) < 0.5
    if x.dtype.startswith("complex"):
        return (rng.random(shape) + 1j * rng.random(shape)).astype(x.dtype)
    return rng.random(shape).astype(x.dtype)


def data() -> dict[str, Any]:
    arrays = {name: real(x, i) for i, (name, x) in enumerate(TENSORS.items())}
    arrays["s"] = arrays["s"] @ arrays["s"].swapaxes(1, 2) + np.eye(5, dtype="float32")
    arrays["g"] = np.sort(arrays["g"])
    return {name: keras.ops.convert_to_tensor(value) for name, value in arrays.items()}


@pytest.fixture(scope="module")
def tensors() -> dict[str, Any]:
    return data()


def rule(name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        arguments.check(name, args, kwargs)
        return functions()[name](*args, **kwargs)

    return call


def flat(value: Any) -> list[Any]:
    return [part for v in value for part in flat(v)] if isinstance(value, list | tuple) else [value]


def same(rules: Any, found: Any) -> None:
    """Asserts that what the rules foretold has been found."""
    expected, got = flat(rules), flat(found)
    assert len(expected) == len(got)
    for e, f in zip(expected, got, strict=True):
        if isinstance(e, Array):
            assert len(e.shape) == len(f.shape), (e, f.shape)
            for length, actual in zip(e.shape, f.shape, strict=True):
                assert length is None or actual == (3 if length is BATCH else length), (e, f.shape)
            assert e.dtype == keras.backend.standardize_dtype(f.dtype)
        else:
            assert f == (3 if e is BATCH else e)


def cases(text: str) -> list[str]:
    return [case for line in text.strip().splitlines() for case in line.split(" | ")]


@pytest.mark.parametrize("formula", cases(CASES) + FORMULAS.strip().splitlines())
def test_rules_foretell_what_keras_gives(formula: str, tensors: dict[str, Any]) -> None:
    tree = parse(formula)
    same(evaluate(tree, TENSORS, rule), evaluate(tree, tensors, lambda name: getattr(keras.ops, name)))


def families() -> list[tuple[str, tuple[str, ...]]]:
    """Functions of one or two tensors and nothing else that must be given, with tensors of several dtypes."""
    result = []
    for name in NAMES:
        parameters = inspect.signature(functions()[name]).parameters.values()
        must = [p.name for p in parameters if p.default is p.empty]
        elementwise = functions()[name].__module__.rpartition(".")[2] in ("elementwise", "nn", "reductions")
        if elementwise and must in (["x"], ["x1", "x2"], ["x", "y"]):
            kinds = ["x", "k", "b", "half", "z", "bytes"]
            pairs = [
                ("x", "y"),
                ("k", "k"),
                ("b", "b"),
                ("half", "k"),
                ("half", "x"),
                ("k", "bytes"),
                ("k", "x"),
                ("z", "z"),
            ]
            result += [(name, (kind,)) for kind in kinds] if len(must) == 1 else [(name, pair) for pair in pairs]
    return result


@pytest.mark.parametrize(("name", "inputs"), families(), ids=lambda v: v if isinstance(v, str) else "-".join(v))
def test_dtypes_are_taken_and_refused_as_keras_does(
    name: str, inputs: tuple[str, ...], tensors: dict[str, Any]
) -> None:
    try:
        expected = rule(name)(*(TENSORS[i] for i in inputs))
    except ShapeError:
        expected = None
    try:
        found = getattr(keras.ops, name)(*(tensors[i] for i in inputs))
    except Exception as error:  # noqa: BLE001 - backends raise what they like
        assert expected is None or "division by zero" in str(error), f"Keras refuses: {error}"
        return
    if expected is None and "z" in inputs:
        return  # Keras lets TensorFlow drop the imaginary part of some
    assert expected is not None, f"Keras gives {found.dtype}"
    same(expected, found)


def test_all_of_keras_ops_is_covered_or_left_out_with_a_reason() -> None:
    public = {n for n in dir(keras.ops) if n[0] != "_" and inspect.isfunction(getattr(keras.ops, n))}
    assert set(NAMES) | set(LEFT_OUT) == public
    assert not set(NAMES) & set(LEFT_OUT)
    assert len(NAMES) >= 290


@pytest.mark.parametrize("name", NAMES)
def test_signatures_are_keras_s(name: str) -> None:
    ours, theirs = (inspect.signature(f).parameters for f in (functions()[name], getattr(keras.ops, name)))
    expected = [(p.name, p.kind, p.default) for p in theirs.values() if p.name not in LEFT_OUT_PARAMETERS]
    assert [(p.name, p.kind, p.default) for p in ours.values()] == expected
    doc = inspect.getdoc(functions()[name])
    assert doc and "\n" not in doc


def test_every_function_has_a_case() -> None:
    used = set().union(*(parse(f"({c})") and c.replace("(", " ").split() for c in cases(CASES)))
    assert {n for n in NAMES if n not in used} <= {name for name, _ in families()}


@pytest.mark.parametrize("name", [n for n in functions() if n.endswith("_macs")])
def test_macs_have_the_parameters_of_their_rule(name: str) -> None:
    ours, theirs = (inspect.signature(functions()[n]).parameters for n in (name, name.removesuffix("_macs")))
    assert [(p.name, p.default, p.kind) for p in ours.values()] == [
        (p.name, p.default, p.kind) for p in theirs.values()
    ]


def test_promotion_is_keras_s() -> None:
    for pair in itertools.product((*DTYPES, "int", "float"), repeat=2):
        types = [{"int": int, "float": float}.get(d, d) for d in pair]
        try:
            expected = keras.backend.result_type(*types)
        except ValueError:
            with pytest.raises(ShapeError):
                promote(*pair)
        else:
            assert promote(*pair) == expected, pair


MACS = {
    "x @ m": 4 * 6 * 5,
    "x @ w": 4 * 6 * 5,
    "q @ swapaxes(q, -1, -2)": 4 * 6 * 6 * 8,
    "dot(x, w)": 4 * 6 * 5,
    "inner(x, g)": 4 * 6,
    "tensordot(x, w, 1)": 4 * 6 * 5,
    "einsum('bij,bjk->bik', x, m)": 4 * 6 * 5,
    "einsum('bij,jo,op->bip', x, w, s[0])": 4 * 6 * 5 + 4 * 5 * 5,
    "einsum('bij->bji', x)": 0,
    "conv(img, kernel2)": 6 * 7 * 5 * 9 * 4,
    "conv(img, grouped)": 6 * 7 * 6 * 9 * 2,
    "depthwise_conv(img, deep2)": 6 * 7 * 8 * 9,
    "separable_conv(img, deep2, point2)": 6 * 7 * 8 * 9 + 6 * 7 * 8 * 5,
    "conv_transpose(img, wide2)": 8 * 9 * 4 * 9 * 5,
    "dot_product_attention(q, kv, kv)": 2 * 4 * 6 * 8 * 7,
    "w @ swapaxes(w, 0, 1)": 6 * 5 * 6,
    "kron(w, w)": 900,
    "outer(g, g)": 36,
    "vdot(w, w)": 30,
}


@pytest.mark.parametrize(("formula", "expected"), MACS.items())
def test_macs(formula: str, expected: int) -> None:
    found = 0

    def counting(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal found
            if f"{name}_macs" in functions():
                found += functions()[f"{name}_macs"](*args, **kwargs)
            return rule(name)(*args, **kwargs)

        return call

    evaluate(parse(formula), TENSORS, counting)
    assert found == expected


X = "(batch, 4, 6)"
REFUSALS = [  # formula, what the message holds, what the help holds
    ("reshape(x, (3, 24))", "would fix or mix the batch", "write -1 for the batch"),
    ("reshape(x, (24, -1))", "would mix the batch", "write -1 for the batch"),
    ("reshape(x, -1)", "1 elements for one example", "write -1"),
    ("reshape(x, (-1, 6))", "cannot reshape (4, 6) to (6,): 24 and 6 elements for one example", "write -1"),
    ("reshape(x, (-1, 5))", "24 and 5 elements for one example", "write -1"),
    ("reshape(x, (shape(x)[0], -1, 5))", "24 and 5 elements", "write -1"),
    ("reshape(x, (-1, -1))", "at most one -1", None),
    ("reshape(w, (-1, 0))", "30 and 0 elements", None),
    ("transpose(x, (1, 0))", "needs each of the 3 axes of (batch, 4, 6) once", "axis 0 is the batch"),
    ("transpose(x, (0, 1, 1))", "each axis can be given once", None),
    ("sum(x, axis=3)", "there is no axis 3", None),
    ("squeeze(x, 1)", "axis 1 of (batch, 4, 6) is none", None),
    ("broadcast_to(one, (3, 4, 6))", "does not broadcast", "shape(x)[0]"),
    ("pad(x, ((1, 1), (1, 1)))", "pair for each of the 3 axes", "axis 0 is the batch"),
    ("concatenate([x, m], 1)", "needs equal shapes elsewhere, got (batch, 4, 6) and (batch, 6, 5)", None),
    ("split(x, 4, -1)", "cannot part an axis of 6 into 4", "array_split"),
    ("split(x, 3)", "this one is the batch", None),
    ("x[:, 9]", "index 9 is out of range for axis 1 of length 4", None),
    ("x[0, 0, 0, 0]", "has 3 axes with the batch, got 4 indices", None),
    ("take(x, y, axis=1)", "needs integers, got float32", "cast(x, 'int32')"),
    ("x @ y", "matmul: (batch, 4, 6) and (batch, 4, 6) do not fit", "the last axis (6)"),
    ("x + m", "do not broadcast", None),
    ("einsum('bij,bjk->bik', x, y)", "axis j is 6 and 4", None),
    ("einsum('ij,bjk->bik', x, y)", "'ij' does not fit (batch, 4, 6)", None),
    ("einsum('bij->bik', x)", "must name axes of the tensors", None),
    ("einsum('...i,...i', x, y)", "must say its result", "->"),
    ("softmax(k)", "needs floats, got int32", "cast(x, 'float32')"),
    ("conv(img, kernel3)", "needs a kernel of 4 axes", "channels in"),
    ("conv(img, wide2)", "takes 5 channels, the input has 4", None),
    ("max_pool(img, 10)", "a window of 10 does not fit an axis of 8", "padding='same'"),
    ("top_k(x, 7)", "at most 6 elements", None),
    ("where(b)", "depend on the data", None),
    ("cast(x, 'floaty')", "dtype 'floaty' is not known", "float32"),
    ("transpos(x)", "there is no function transpos", "did you mean 'transpose'?"),
    ("matmul_macs(x, m)", "there is no function matmul_macs", None),
    ("sum(x, axes=1)", "sum takes no argument axes", "did you mean 'axis'?"),
    ("transpose(x, axes='abc')", "axes of transpose must be", "transpose(x, axes=None)"),
    ("expand_dims(x)", "missing a required argument: 'axis'", "expand_dims(x, axis)"),
    ("sum(x, 1, keepdims=2)", "keepdims of sum must be true or false, got 2", None),
    ("reshape(x, y)", "newshape of reshape must be", None),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "message", "help"), REFUSALS)
def test_refusals(formula: str, message: str, help: str | None) -> None:
    with pytest.raises(ShapeError) as caught:
        evaluate(parse(formula), TENSORS, lambda name: arguments.find(name) and rule(name))
    assert message in caught.value.message
    assert help is None or help in (caught.value.help or "")


@pytest.mark.parametrize(
    ("formula", "shape"),
    [
        ("u * 2", (BATCH, None, 6)),
        ("reshape(u, (-1, 4, 6))", None),
        ("reshape(u, (shape(u)[0], -1, 3))", (BATCH, None, 3)),
        ("reshape(u, (shape(u)[0], shape(u)[1], 2, -1))", (BATCH, None, 2, 3)),
        ("u[:, 1:]", (BATCH, None, 6)),
        ("u[:, ::-1]", (BATCH, None, 6)),
        ("u @ swapaxes(u, 1, 2)", (BATCH, None, None)),
        ("concatenate([u, x], 1)", (BATCH, None, 6)),
        ("u + x", (BATCH, 4, 6)),
        ("mean(u, 1)", (BATCH, 6)),
        ("arange(shape(u)[1])", (None,)),
        ("x[0]", (4, 6)),
        ("x[1:]", (None, 4, 6)),
        ("ravel(x)", (None,)),
        ("v @ x[:, 0]", (6,)),
        ("x[:, 0] @ transpose(y[:, 0])", (BATCH, BATCH)),
        ("concatenate([x, x], 0)", (None, 4, 6)),
    ],
)
def test_unknown_lengths_and_moved_batches(formula: str, shape: tuple[Any, ...] | None) -> None:
    tensors = {**TENSORS, "u": Array((BATCH, None, 6))}
    if shape is None:
        with pytest.raises(ShapeError):
            evaluate(parse(formula), tensors, rule)
    else:
        assert evaluate(parse(formula), tensors, rule).shape == shape


small = st.lists(st.integers(1, 4), min_size=0, max_size=4).map(tuple)


@given(small, st.permutations([2, 2, 3]), st.booleans(), st.data())
@settings(deadline=None, max_examples=200)
def test_reshape_is_numpy_s(old: tuple[int, ...], new: list[int], hole: bool, data: st.DataObject) -> None:
    """With a batch of 7 (which no other length divides), a shape is taken just where NumPy keeps the batch first."""
    target = [*new[: data.draw(st.integers(0, 3))]]
    if hole and target:
        target[data.draw(st.integers(0, len(target) - 1))] = -1
    for x, numbers in ((Array(old), target), (Array((BATCH, *old)), [-1, *(abs(d) for d in target)])):
        lengths = [7 if d is BATCH else d for d in x.shape]
        try:
            expected = np.zeros(lengths).reshape(numbers).shape
        except ValueError:
            expected = None
        if expected is not None and x.shape[:1] == (BATCH,) and expected[0] != 7:
            expected = None
        try:
            found = functions()["reshape"](x, tuple(numbers)).shape
        except ShapeError:
            assert expected is None
        else:
            assert expected == tuple(7 if d is BATCH else d for d in found)


@given(st.lists(small, min_size=1, max_size=3))
@settings(deadline=None, max_examples=200)
def test_broadcast_is_numpy_s(shapes: list[tuple[int, ...]]) -> None:
    try:
        expected = np.broadcast_shapes(*shapes)
    except ValueError:
        with pytest.raises(ShapeError):
            broadcast(*shapes)
    else:
        assert broadcast(*shapes) == expected


@given(st.data())
@settings(deadline=None, max_examples=200)
def test_einsum_is_numpy_s(data: st.DataObject) -> None:
    labels = data.draw(st.lists(st.text("abcd", min_size=0, max_size=3), min_size=1, max_size=3))
    dots = data.draw(st.booleans())
    hidden = data.draw(st.lists(st.sampled_from([(), (1,), (5,), (1, 5), (6, 5)]), min_size=3, max_size=3))
    sizes = {"a": 2, "b": 3, "c": 1, "d": data.draw(st.integers(1, 4))}
    shapes = [(*(h if dots else ()), *(sizes[c] for c in t)) for t, h in zip(labels, hidden, strict=False)]
    known = sorted(set("".join(labels)))
    output = "".join(data.draw(st.lists(st.sampled_from([*known, "e"]), max_size=3)))
    prefix = "..." if dots else ""
    text = ",".join(prefix + t for t in labels) + "->" + prefix + output
    try:
        expected = np.einsum(text, *(np.zeros(s) for s in shapes)).shape
    except ValueError:
        with pytest.raises(ShapeError):
            functions()["einsum"](text, *map(Array, shapes))
    else:
        assert functions()["einsum"](text, *map(Array, shapes)).shape == expected

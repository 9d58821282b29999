"""The Python code of networks: the same layers with the same arguments on the same tensors, over the whole zoo."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import archspec
from archspec.export.code import Unwritable, python_code
from archspec.export.code.layout import WIDTH
from archspec.export.code.tree import layer_name, sources
from archspec.export.code.values import value_code
from archspec.graph.ir import Edge, Graph
from archspec.layers import catalogue
from archspec.layers.base import (
    Example,
    Layer,
    Model,
    call_fields,
    first_argument,
    group_inputs,
    snake_case,
    tensor_parameters,
)
from archspec.layers.core import InputLayer
from archspec.layers.formula import Formula
from archspec.layers.objects import Object
from archspec.layers.objects.base import Initializer, known
from archspec.layers.weight import Weight
from tests.graphs import (
    GraphBuilder,
    attention,
    example_graph,
    many_to_many,
    masked_lstm,
    perceptron,
    resnet50,
    siamese,
)
from tests.graphs import vision_transformer_stem as stem
from tests.keras_stub import Recorder, Tensor, stubbed

SPECS = Path(__file__).parent.parent / "specs"
INDEX: dict[str, str] = yaml.safe_load((SPECS / "index.yaml").read_text("utf-8"))
BY_FILE = {line.split()[0].split("@")[0]: line for line in reversed(INDEX.values())}


def zoo(line: str) -> Graph:
    spec, *changes = line.split()
    return archspec.load(SPECS / spec, changes=changes).graph


def plain(value: Any) -> Any:
    """A value as both sides have it: objects by class and arguments, names of initializers in snake case."""
    if isinstance(value, Layer | Object):
        own = call_fields(type(value)) if isinstance(value, Layer) else frozenset()
        fields = {name: info.get_default(call_default_factory=True) for name, info in type(value).model_fields.items()}
        given = {n: plain(getattr(value, n)) for n in fields if n not in own and getattr(value, n) != fields[n]}
        return snake_case(type(value).__name__), tuple(sorted(given.items()))
    if isinstance(value, Model):
        return tuple(sorted((n, plain(v)) for n in type(value).model_fields if (v := getattr(value, n)) is not None))
    if isinstance(value, list | tuple):
        return tuple(map(plain, value))
    return (snake_case(value), ()) if isinstance(value, str) and value in known(Initializer) else value


def noted(value: Any) -> Any:
    """What the stand-in noted, likewise."""
    if type(value).__name__ == "Object":
        cls = known(Initializer).get(value.name) or _object_class(value.name)
        return plain(cls.model_validate({(_first(cls) if n == 0 else n): v for n, v in value.arguments}))
    if hasattr(value, "given"):  # a layer inside another
        cls = catalogue()[type(value).__name__]
        given = {n: noted(v) for n, v in arguments(value, cls).items()}
        return snake_case(cls.__name__), tuple(sorted(given.items()))
    if isinstance(value, dict):
        return tuple(sorted((n, noted(v)) for n, v in value.items()))
    if isinstance(value, list | tuple):
        return tuple(map(noted, value))
    return plain(value)


def _object_class(name: str) -> Any:
    from archspec.layers.objects.base import Constraint, Regularizer

    return next(known(kind)[name] for kind in (Regularizer, Constraint) if name in known(kind))


def _first(cls: Any) -> str:
    from archspec.layers.objects.base import first_argument as first

    return first(cls) or ""


def arguments(layer: Any, cls: type[Layer]) -> dict[str, Any]:
    given = {name: value for name, value in layer.given.items() if name != "name"}
    first = first_argument(cls)
    if layer.first is not None and first and not issubclass(cls, Formula):
        given[first] = layer.first
    return given


class Known:
    """Tensors by what they come of: equal numbers mean the same layers on the same tensors, all the way up."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def number(self, *key: Any) -> int:
        return self.numbers.setdefault(repr(key), len(self.numbers))


def of_graph(graph: Graph, numbers: Known) -> dict[str, int]:
    made: dict[Edge, int] = {}
    for node in graph.nodes.values():
        name = layer_name(graph, node)
        layer = graph.nodes[name].layer
        own = call_fields(type(layer))
        defaults = {n: info.get_default(call_default_factory=True) for n, info in type(layer).model_fields.items()}
        given = {
            n: plain(getattr(layer, n)) for n in defaults if n not in own and not same(getattr(layer, n), defaults[n])
        }
        called = {n: plain(getattr(node.layer, n)) for n in own if not same(getattr(node.layer, n), defaults[n])}
        if isinstance(layer, Formula):
            given = {"dtype": layer.dtype} if layer.dtype else {}
        if isinstance(layer, InputLayer):
            given = {"shape": node.outputs[0].shape, "dtype": node.outputs[0].dtype}
        if not graph.nodes[name].trainable:
            given["trainable"] = False
        inputs = [made[edge] for edge in (sources(graph, node) if not isinstance(layer, InputLayer) else ())]
        if isinstance(layer, Weight):
            tensors: Any = (tuple(inputs), ())
        else:
            positional, named = group_inputs(type(layer), node.parameters, tuple(inputs))
            if not positional and named:
                first = tensor_parameters(type(layer))[0].name
                positional = [named.pop(first)]
                positional = [*positional[0]] if isinstance(positional[0], tuple) else positional
            tensors = (tuple(positional), tuple(sorted(named.items())))
        number = numbers.number(name, type(layer).__name__, sorted(given.items()), tensors, sorted(called.items()))
        for index in range(len(node.outputs)):
            made[Edge(node.name, index)] = numbers.number(number, index)
    return {name: made[edge] for name, edge in graph.outputs.items()}


def same(value: Any, default: Any) -> bool:
    from archspec.graph.text import same_value

    return same_value(value, default)


def of_code(code: str, graph: Graph, numbers: Known) -> dict[str, int]:
    recorder = Recorder(outputs={layer_name(graph, n): len(n.outputs) for n in graph.nodes.values()})
    with stubbed(recorder):
        namespace: dict[str, Any] = {"__name__": "made"}
        exec(compile(code, "made.py", "exec"), namespace)
        inputs, outputs, _ = namespace["build_model"]()
    made: dict[Tensor, int] = {}

    def at(value: Any) -> Any:
        if isinstance(value, Tensor):
            return made[value]
        return tuple(map(at, value)) if isinstance(value, list | tuple) else noted(value)

    for call, (layer, args, kwargs) in enumerate(recorder.calls):
        name = type(layer).__name__
        cls = catalogue()[name]
        given = {n: noted(v) for n, v in arguments(layer, cls).items() if not n.startswith(("function", "keeps_mask"))}
        given.pop("per_example", None)
        tensors = {n: at(v) for n, v in kwargs.items() if n not in call_fields(cls)}
        called = {n: noted(v) for n, v in kwargs.items() if n in call_fields(cls)}
        defaults = {n: info.get_default(call_default_factory=True) for n, info in cls.model_fields.items()}
        called = {n: v for n, v in called.items() if not same(v, defaults[n])}  # a function's parameter may be one
        given = {n: v for n, v in given.items() if n not in defaults or not same(v, plain(defaults[n]))}
        given = {n: v for n, v in given.items() if (n, v) != ("trainable", True)}
        positional = at(args[0]) if args else ()
        positional = positional if isinstance(positional, tuple) else (positional,)
        key = (layer.name, name, sorted(given.items()), (positional, tuple(sorted(tensors.items()))))
        number = numbers.number(*key, sorted(called.items()))
        for index in range(recorder.outputs.get(layer.name, 1)):
            made[Tensor(call, index)] = numbers.number(number, index)
    listed = inputs if isinstance(inputs, list) else [inputs]
    assert [recorder.calls[tensor.call][0].name for tensor in listed] == list(graph.inputs)
    given_outputs = outputs if isinstance(outputs, dict) else {next(iter(graph.outputs)): outputs}
    assert list(given_outputs) == list(graph.outputs)
    return {name: made[tensor] for name, tensor in given_outputs.items()}


def assert_same(graph: Graph) -> str:
    code = python_code(graph)
    numbers = Known()
    expected = of_graph(graph, numbers)
    known_before = set(numbers.numbers)
    found = of_code(code, graph, numbers)
    new = [key for key in numbers.numbers if key not in known_before]
    assert found == expected, f"the code makes what the graph has not: {new[:2]}"
    return code


@pytest.mark.parametrize("line", BY_FILE.values())
def test_the_code_makes_the_graph(line: str) -> None:
    code = assert_same(zoo(line))
    assert "archspec" not in code.replace('package="archspec"', "").replace("archspec export", "")


@pytest.mark.slow
@pytest.mark.parametrize("line", INDEX.values())
def test_the_code_makes_every_network_of_the_zoo(line: str) -> None:
    assert_same(zoo(line))


@pytest.mark.parametrize(
    "make", [resnet50, perceptron, siamese, many_to_many, masked_lstm, attention, stem], ids=lambda make: make.__name__
)
def test_graphs_that_no_spec_wrote(make: Any) -> None:
    assert_same(make())


BREAKAGES = {
    "another kernel": ("kernel=7", "kernel=5"),
    "a stride lost": ("strides=2, ", ""),
    "another name": ('f"{name}.relu"', 'f"{name}.relu_9"'),
    "a shortcut from elsewhere": ('.unit.add")([x, y])', '.unit.add")([y, y])'),
    "one turn too few": ("range(2, depth + 1)", "range(2, depth)"),
    "an argument of a call": ("filters=4 * filters", "filters=2 * filters"),
    "an initializer": ('"he_normal"', '"he_uniform"'),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_breakages_are_seen(breakage: str) -> None:
    graph = zoo("resnet.yaml@resnet50")
    code = python_code(graph)
    old, new = BREAKAGES[breakage]
    assert old in code
    numbers = Known()
    expected = of_graph(graph, numbers)
    assert of_code(code.replace(old, new), graph, numbers) != expected


def test_the_code_is_short_and_fits_the_page() -> None:
    code = python_code(zoo("resnet.yaml@resnet152"))
    assert len(code.splitlines()) < 160  # of 155 layers with weights
    assert max(map(len, code.splitlines())) <= WIDTH
    assert code == python_code(zoo("resnet.yaml@resnet152"))


def test_what_is_not_known_cannot_be_written() -> None:
    from archspec.importing.layers import foreign
    from archspec.tensor import TensorType

    builder = GraphBuilder()
    x = builder.apply(foreign("Strange", {}, (TensorType((3,)),)), builder.input("image", (3,)), name="strange")
    with pytest.raises(Unwritable, match="Strange"):
        python_code(builder.graph(x))


@pytest.mark.parametrize("name", ["a{__import__('os').abort()}", 'a"+abort()+"', "a\\", "a\n"])
@pytest.mark.parametrize("form", ["{}_{}", "scope{1}.{0}"])
def test_names_are_no_code(name: str, form: str) -> None:
    """Those of a saved model are its author's, and stand in texts with parts that are computed."""
    builder = GraphBuilder("named")
    x = builder.input("image", (3,))
    for turn in (1, 2, 3):
        x = builder.apply({"Dense": 3}, x, name=form.format(name, turn))
    with pytest.raises(Unwritable, match="rename it"):
        python_code(builder.graph(x))


def test_any_text_may_stand_at_the_top() -> None:
    about = 'm"""\nabort()\n""" \0 \ud800 ' + "\\" * 300 + "x"
    tree = ast.parse(python_code(many_to_many(), about))
    assert isinstance(tree.body[0], ast.Expr) and not any(isinstance(part, ast.Expr) for part in tree.body[1:])


def test_names_of_initializers_are_names_in_keras() -> None:
    import keras

    for cls in set(known(Initializer).values()):
        if all(not info.is_required() for info in cls.model_fields.values()):
            code = value_code(cls())
            made = keras.initializers.get(eval(code, {"keras": keras}))
            assert type(made).__name__ == cls.__name__, code


def test_the_first_argument_is_keras_first() -> None:
    import keras

    for cls in set(catalogue().values()):
        first = first_argument(cls)
        if cls.OWN or first is None:
            continue
        names = list(inspect.signature(getattr(keras.layers, cls.__name__).__init__).parameters)[1:]
        assert names[0] == first, f"{cls.__name__} takes {names[0]} first, not {first}"


def examples() -> list[tuple[str, Example]]:
    own = {name: cls for name, cls in catalogue().items() if name == cls.__name__ != "InputLayer"}
    return [(name, example) for name, cls in own.items() for example in cls.EXAMPLES]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, _ in examples()}))
def test_every_layer_is_made_with_its_arguments(name: str) -> None:
    import keras

    from archspec.build import build

    if name == "Equalization":
        pytest.skip("Keras gives its input as its output, and so cannot build a model with it")
    for example in [example for other, example in examples() if other == name]:
        graph = example_graph(name, example)
        expected, made = (m.get_layer("scope.layer") for m in (build(graph), built(python_code(graph))))
        assert configuration(made) == configuration(expected)
        assert [tuple(w.shape) for w in made.weights] == [tuple(w.shape) for w in expected.weights]
        keras.utils.clear_session(free_memory=False)


def configuration(layer: Any) -> Any:
    """Without the names that Keras numbers as it goes."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: cleaned(v) for k, v in value.items() if k not in ("name", "build_config", "shared_object_id")}
        return [*map(cleaned, value)] if isinstance(value, list | tuple) else value

    return cleaned(layer.get_config()) if type(layer).__name__ != "Formula" else None


# --- against Keras -------------------------------------------------------------------------------


def built(code: str) -> Any:
    namespace: dict[str, Any] = {"__name__": "made"}
    exec(compile(code, "made.py", "exec"), namespace)
    return namespace["build_model"]()


def signature(model: Any) -> Any:
    weights = [(w.path, tuple(w.shape), w.dtype, w.trainable) for w in model.weights]
    return weights, [(layer.name, type(layer).__name__, layer.trainable) for layer in model.layers]


def sample(graph: Graph, batch: int = 2) -> list[Any]:
    random = np.random.default_rng(3)
    types = [graph.nodes[name].outputs[0] for name in graph.inputs]
    shapes = [(batch, *(5 if n is None else n for n in t.shape)) for t in types]
    return [
        random.standard_normal(s).astype(t.dtype) if "float" in t.dtype else random.integers(0, 2, s).astype(t.dtype)
        for s, t in zip(shapes, types, strict=True)
    ]


def randomise(model: Any) -> None:
    """Biases that are zero and scales that are one would hide mistakes."""
    random = np.random.default_rng(7)
    for w in model.weights:
        if "seed" not in w.name:
            values = random.standard_normal(w.shape) * 0.2 if len(w.shape) > 1 else random.uniform(0.5, 1.5, w.shape)
            w.assign(values.astype("float32"))


def outputs(model: Any, inputs: list[Any]) -> Mapping[str, Any]:
    import keras

    made = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return {k: keras.ops.convert_to_numpy(v) for k, v in (made if isinstance(made, dict) else {"": made}).items()}


SMALL = [
    "lenet.yaml@paper1998", "resnet.yaml@cifar20", "gcn.yaml@cora", "seq2seq_char.yaml", "siamese.yaml@omniglot",
    "vit.yaml@b16 params.size=32 params.depth=2", "bert.yaml@base params.depth=2 params.length=8",
    "t5.yaml@small params.depth=1 params.length=8", "swin.yaml@t params.depths=[2,1] params.heads=[3,6] params.size=56",
]  # fmt: skip


@pytest.mark.parametrize("line", SMALL[:2])
def test_keras_builds_the_same_model(line: str) -> None:
    compare(zoo(line))


@pytest.mark.slow
@pytest.mark.parametrize("line", SMALL[2:])
def test_keras_builds_the_same_larger_model(line: str) -> None:
    compare(zoo(line))


@pytest.mark.slow
@pytest.mark.parametrize("line", BY_FILE.values())
def test_weights_have_their_names_shapes_and_order(line: str) -> None:
    from archspec.build import build

    graph = zoo(line)
    assert signature(built(python_code(graph))) == signature(build(graph))


@pytest.mark.parametrize("make", [siamese, many_to_many, masked_lstm, attention, stem], ids=lambda make: make.__name__)
def test_keras_gives_the_same_for_graphs_that_no_spec_wrote(make: Any) -> None:
    compare(make())


def compare(graph: Graph) -> None:
    from archspec.build import build

    model, made = build(graph), built(python_code(graph))
    assert signature(made) == signature(model)
    randomise(model)
    made.set_weights(model.get_weights())
    inputs = sample(graph)
    expected, found = outputs(model, inputs), outputs(made, inputs)
    assert list(expected) == list(found)
    for name, value in expected.items():
        assert np.isfinite(value).all()
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6)

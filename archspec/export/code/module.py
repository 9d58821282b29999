"""The whole file: what it needs of Keras and beyond, a function for each block, and one that builds the model."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import archspec
from archspec.export.code.functions import Function, fresh, functions
from archspec.export.code.layout import INDENT, call_lines, docstring
from archspec.export.code.tree import scope_tree
from archspec.export.code.values import text_code, value_code
from archspec.export.code.writing import Writer, function_lines, taken_names
from archspec.graph.ir import Graph, Node
from archspec.graph.names import legal_name
from archspec.graph.text import types_text
from archspec.importing import unknown
from archspec.layers.core import InputLayer
from archspec.layers.formula import Formula

_FORMULA = '''
class Formula(keras.layers.Layer):
    """A function of keras.ops as a layer, called with a tensor or with a list of them.

    With `keeps_mask`, a mask of its tensor is one of its result.
    """

    def __init__(self, function, keeps_mask=False, **options):
        super().__init__(**options)
        self.function = function
        self.supports_masking = keeps_mask

    def call(self, inputs):
        result = self.function(*inputs) if isinstance(inputs, (list, tuple)) else self.function(inputs)
        return tuple(result) if isinstance(result, list) else result
'''
_REUSED = '''
def reused(made, layer):
    """The layer of this name that was made before, which has its weights already; else the layer itself."""
    return made.setdefault(layer.name, layer)
'''
_MAIN = """
if __name__ == "__main__":
    build_model().summary()
"""


# Names stand in f-strings, where these would be code: names in a saved model are whatever its author chose.
_FORBIDDEN = frozenset("\"'\\{}")


class Unwritable(ValueError):
    """A network that Python code cannot say: a layer of it is not known, or has a name that is none."""


def python_code(graph: Graph, about: str = "", descriptions: Mapping[str, str] = MappingProxyType({})) -> str:
    """Keras code that builds the network: the same layers, names, weights and their order. Raises Unwritable.

    `about` is the text at its top, `descriptions` are those of the spec's blocks by their names.
    """
    if foreign := unknown(graph):
        raise Unwritable(f"Python code cannot be written for layers that archspec does not know: {', '.join(foreign)}")
    for name in graph.nodes:
        if not name.isprintable() or not _FORBIDDEN.isdisjoint(name):
            raise Unwritable(f"Python code cannot be written for a layer of the name {name!r}: rename it")
    made, top = functions(graph, scope_tree(graph))
    whole = Function("build_model", top, 1, inputs=[])
    whole.closed = {(place, key): value for place, item in enumerate(top.items) for key, value in item.values.items()}
    lines = [
        line for function in made for line in ("", "", *function_lines(function, _about(graph, function, descriptions)))
    ]
    build = list(_build_lines(graph, whole, legal_name(graph.name)))
    own = "".join(f"\n\n\n{text}" for text in _own_layers(graph))
    helpers = (_FORMULA, _REUSED)
    wanted = (_has_formula(graph), whole.is_shared)
    helper = "".join(f"\n{text.rstrip()}\n" for text, use in zip(helpers, wanted, strict=True) if use)
    body = "\n".join([*lines, "", "", *build])
    code = f"{own.rstrip()}\n{helper}".strip("\n") + f"\n{body}"
    head = "\n".join(docstring(about or graph.name, ""))
    return f"{head}\n\n{_imports(code)}\n\n\n{code.strip()}\n\n{_MAIN}"


def _imports(code: str) -> str:
    found = "import math\n" if re.search(r"\bmath\.", code) else ""
    found += "from typing import Any\n" if re.search(r"\bAny\b", code) else ""
    names = ["layers"] + (["ops"] if re.search(r"\bops\.", code) else [])
    return f"{found}{found and chr(10)}import keras\nfrom keras import {', '.join(names)}"


def _has_formula(graph: Graph) -> bool:
    return any(isinstance(node.layer, Formula) for node in graph.nodes.values())


def _own_layers(graph: Graph) -> Iterator[str]:
    """The source of the layers that Keras lacks, as archspec itself has them, those that they derive from first."""
    wanted = {type(n.layer).__name__ for n in graph.nodes.values() if n.layer.OWN and not isinstance(n.layer, Formula)}
    if not wanted:
        return
    text = (Path(archspec.__file__).parent / "build" / "layers.py").read_text("utf-8")
    classes = {part.name: part for part in ast.parse(text).body if isinstance(part, ast.ClassDef)}
    bases = {base.id for name in wanted for base in classes[name].bases if isinstance(base, ast.Name)}
    for name, part in classes.items():
        if name in wanted | bases:
            source = ast.get_source_segment(text, part)
            assert source is not None
            source = re.sub(r"  # type: ignore\[[\w-]+\]", "", source)
            register = '@keras.saving.register_keras_serializable(package="archspec")\n'
            yield (register if part.decorator_list else "") + source


def _about(graph: Graph, function: Function, descriptions: Mapping[str, str]) -> str:
    body = function.body
    told = next((text.rstrip(".") for use in body.scope.uses if (text := descriptions.get(use.name))), "")
    given = ", ".join(str(graph.type(edge)) for edge in body.inputs)
    result = types_text(tuple(graph.type(edge) for edge in body.edges))
    shapes = f"{given} → {result}"
    shapes += f" at the first of {function.uses} uses." if function.uses > 1 else "."
    return f"{told}.\n\n{shapes}" if told else shapes


def _build_lines(graph: Graph, whole: Function, name: str) -> Iterator[str]:
    yield "def build_model():"
    yield from docstring(f"The network with fresh weights: {_io(graph)}.", INDENT)
    taken = taken_names(whole)
    for given in graph.inputs:
        node = graph.nodes[given]
        whole.inputs.append(fresh(given, {*taken, *whole.inputs}))
        yield from call_lines(f"{whole.inputs[-1]} = keras.Input", _input(node), "", INDENT)
    if whole.is_shared:
        yield f"{INDENT}made = {{}}  # the layers that are called again"
    writer = Writer(whole, False, taken)
    yield from writer.lines()
    results = [writer.names[ref] for ref in whole.body.outputs]
    inputs = f"[{', '.join(whole.inputs)}]" if len(whole.inputs) > 1 else whole.inputs[0]
    named = ", ".join(f"{text_code(key)}: {value}" for key, value in zip(graph.outputs, results, strict=True))
    outputs = f"{{{named}}}" if len(results) > 1 else results[0]
    yield from call_lines("return keras.Model", [inputs, outputs, f"name={text_code(name)}"], "", INDENT)


def _input(node: Node) -> list[str]:
    assert isinstance(node.layer, InputLayer)
    (tensor,) = node.outputs
    dtype = [] if tensor.dtype == "float32" else [f"dtype={text_code(tensor.dtype)}"]
    return [value_code(tensor.shape), *dtype, f"name={text_code(node.name)}"]


def _io(graph: Graph) -> str:
    inputs = ", ".join(f"{name} {graph.nodes[name].outputs[0]}" for name in graph.inputs)
    return f"{inputs} → {', '.join(f'{name} {graph.type(edge)}' for name, edge in graph.outputs.items())}"

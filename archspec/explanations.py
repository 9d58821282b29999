"""What each diagnostic's code means, with a spec that provokes it: the text of `archspec explain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from textwrap import dedent, fill, indent
from typing import Any, Literal

Stage = Literal["load", "check", "train"]

_WIDTH = 100  # of a page


@dataclass(frozen=True)
class Explanation:
    """A code explained.

    `wrong` is a whole spec that gives the code, when it is loaded or in the stage named; `variant` and `set` are what
    it is loaded with.
    """

    title: str
    meaning: str
    wrong: str
    mend: str
    format: Literal["yaml", "json"] = "yaml"
    stage: Stage = "load"
    variant: str | None = None
    set: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self, code: str) -> str:
        """The explanation as a page."""
        parts = [f"{code}: {self.title}", fill(self.meaning, _WIDTH), "Wrong:", indent(self.wrong, "  ")]
        if self.variant:
            parts.append(f"  loaded as spec.yaml@{self.variant}")
        parts += [f"  with {path}={value}" for path, value in self.set.items()]
        mend = fill(self.mend, _WIDTH, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
        return "\n\n".join([*parts, "To mend it:", mend]) + "\n"


def _spec(text: str, inputs: str = "{image: [8, 8, 1]}") -> str:
    """A spec around the part that matters."""
    return f"archspec: 1\nname: net\ninputs: {inputs}\n{dedent(text).strip()}"


def _steps(*steps: str) -> str:
    return _spec("\n".join(["layers:", *(f"  - {step}" for step in steps)]))


EXPLANATIONS: Mapping[str, Explanation] = {
    "E101": Explanation(
        "the file cannot be read",
        "The file is not there, may not be read, or is not text in UTF-8. The same holds for files named "
        "under `use` and `extends`, whose paths count from the spec's own folder.",
        "archspec: 1\nname: a\x00b",
        "Check the path. A binary file, such as a saved model, is not a spec.",
    ),
    "E102": Explanation(
        "the text is not YAML",
        "The YAML parser stopped. What it was reading when it stopped is often more telling than where. The "
        "usual reasons: an expression that holds [ ] { } or , without quotes inside { } or [ ]; a tab as "
        "indentation; a key that is indented differently from its neighbours.",
        _steps("Reshape: {target_shape: [=x.shape[0], 8]}"),
        'Quote the expression: target_shape: ["=x.shape[0]", 8]',
    ),
    "E103": Explanation(
        "the text is not JSON",
        "JSON knows no comments, no comma behind the last element, and only double quotes.",
        '{"archspec": 1, "name": "net", "layers": ["ReLU",]}',
        "Remove the comma. Or write YAML, which is kinder: any JSON is YAML already.",
        format="json",
    ),
    "E104": Explanation(
        "a key is given twice",
        "A mapping holds each key once. Most YAML readers would silently take the last one.",
        _spec("layers: [ReLU]\nlayers: [Flatten]"),
        "Remove one. The note of the message names the line of the first.",
    ),
    "E105": Explanation(
        "a spec is a mapping",
        "At its top level a spec maps keys (archspec, name, inputs, layers …) to values. This file is empty, "
        "or holds a list or a single value.",
        "- Dense: 10\n- ReLU",
        "Begin with `archspec: 1` and `name: …`, and put steps under `layers:`. `archspec new mlp` prints a "
        "first spec.",
    ),
    "E106": Explanation(
        "a limit is exceeded",
        "Specs come from anywhere, and a line such as `repeat: 1e9` must not bring the machine down. The "
        "limits: nodes (layers of the network), text (bytes of a file), values (of a file, aliases written "
        "out), nesting (levels of lists and mappings, and of blocks), number (size of a whole number).",
        _steps("{Dense: 8, repeat: 5000000}"),
        "If it is meant, raise the limit: archspec check spec.yaml --limit nodes=6000000",
    ),
    "E107": Explanation(
        "YAML tags are not part of the language",
        "A tag (!!python/object, !!binary, !include) asks the reader to make something else of a value. Specs "
        "hold plain values only, so that reading one can never run code.",
        _spec("source: !!binary aGVsbG8=\nlayers: [Flatten]"),
        "Write the value plainly. To take parts from another file: use or extends.",
    ),
    "E108": Explanation(
        "the file lies outside the spec's folder",
        "`use` and `extends` reach files in the spec's own folder and below, so that a spec from elsewhere "
        "cannot read your files. A spec given as text has no folder at all.",
        _spec("use: {backbone: ../secret/resnet.yaml}\nlayers: [backbone]"),
        "Allow the folder: archspec check spec.yaml --allow ../secret. In Python: load(…, allow=[…]), "
        "loads(…, folder=…).",
    ),
    "E201": Explanation(
        "unknown argument or key",
        "Layers take Keras's arguments by Keras's names, blocks their params, and a spec the keys of the "
        "language. The help names the nearest one that there is.",
        _steps("Conv2D: {filter: 8, kernel_size: 3}"),
        "Use the name that it suggests; `archspec layers Conv2D` lists a layer's arguments. `name` and "
        "`trainable` are modifiers: they stand beside the layer, not inside.",
    ),
    "E202": Explanation(
        "something required is missing",
        "A layer's or a block's argument without a default, a param without a value, or a key that every spec "
        "has.",
        _steps("Conv2D: {filters: 8}"),
        "Give it: Conv2D: {filters: 8, kernel_size: 3}. A required param of the spec: archspec check "
        "spec.yaml params.width=8",
    ),
    "E203": Explanation(
        "a value of the wrong type or size",
        "The value is not what this place takes. Nothing is converted silently: 3.0 is no whole number, and "
        '"3" is text. The message says what was found and what is expected.',
        _steps("Conv2D: {filters: many, kernel_size: 3}"),
        "Write a value of the type that the message names. YAML 1.2 counts: true and false are booleans, yes "
        "and no are text.",
    ),
    "E204": Explanation(
        "unknown layer, block or verb",
        "The verb of this step is no layer of Keras's, no block of this spec, and no verb of the language.",
        _steps("Con2D: {filters: 8, kernel_size: 3}"),
        "`archspec layers` lists the layers, `archspec layers --ops` the functions, used as ops.NAME.",
    ),
    "E205": Explanation(
        "a step has another form",
        "A list of steps holds names (`- ReLU`) and mappings with exactly one verb, its arguments inside, and "
        "any of the modifiers name, from, when, repeat, share, for, trainable beside it.",
        _steps("{Dense: 10, activation: relu}"),
        "Put arguments inside: Dense: {units: 10, activation: relu}. Two layers are two steps, each with its "
        "own dash.",
    ),
    "E206": Explanation(
        "refused",
        "Keras has it, but a spec may not use it: it runs code that cannot be checked, or writes where a run "
        "keeps its own files. The message says which.",
        _steps("Lambda: {function: f}"),
        "A formula takes the place of Lambda: expr: x * sigmoid(x)",
    ),
    "E207": Explanation(
        "a name that cannot be used",
        "Blocks, params and inputs have names of letters, digits and _, which begin with no digit. Verbs, "
        "modifiers, x and Keras's layer names mean something already.",
        _spec("blocks:\n  Dense: {layers: [ReLU]}\nlayers: [Flatten]"),
        "Choose another name.",
    ),
    "E208": Explanation(
        "the spec has no such variant",
        "FILE@VARIANT picks one of the sets of params under `variants`.",
        _spec("params: {width: 8}\nvariants: {small: {width: 4}}\nlayers: [Flatten, {Dense: =width}]"),
        "Name one that there is: archspec check spec.yaml@small",
        variant="smal",
    ),
    "E209": Explanation(
        "a path leads nowhere",
        "PATH=VALUE changes a value of the spec by its path, parts joined by dots, places in lists counted "
        "from 0: params.classes, train.epochs, layers.2.Dense.units. A variant sets params, and only those "
        "that there are.",
        _spec("params: {width: 8}\nlayers: [Flatten, {Dense: =width}]"),
        "Name a param that there is: params.width=16",
        set={"params.widht": 16},
    ),
    "E210": Explanation(
        "a circle of blocks or files",
        "A block cannot use itself, directly or through others, and a spec cannot use or extend itself: the "
        "network would never end.",
        _spec("blocks:\n  deep: {layers: [{Dense: 8}, deep]}\nlayers: [deep]"),
        "To apply a block several times: repeat. To build on itself step by step: for.",
    ),
    "E211": Explanation(
        "unknown object",
        "Where Keras takes an object (an initializer, a regularizer, a loss, an optimizer, a metric, a layer "
        "to wrap), a spec takes its name, or a mapping from its name to its arguments.",
        _steps("Dense: {units: 8, kernel_initializer: he_norml}"),
        "`archspec layers --objects` lists them by kind: kernel_initializer: he_normal, or {HeNormal: {seed: "
        "1}}",
    ),
    "E301": Explanation(
        "shapes do not fit",
        "A layer cannot take the tensor that comes to it, or two paths that are merged give different shapes. "
        "The message shows both, and its notes the chain of blocks and loops that led there. Shapes leave the "
        "batch out.",
        _spec("""
            layers:
              - add:
                  skip: x
                  residual: [Conv2D: {filters: 16, kernel_size: 3}]
        """),
        "`archspec show spec.yaml` prints the shape behind each line, once the rest is right. Here: padding: "
        "same, and a 1 × 1 convolution with 16 filters on the other path.",
    ),
    "E302": Explanation(
        "unknown tensor",
        "No tensor of this name is known at this place. Names live in their block; a tensor inside a named "
        "block is reached as block.tensor, and must stand before its use.",
        _steps("Dense: 8", "{Dense: 8, from: encodr}"),
        "Name the step that gives it: {Dense: 8, name: encoder}. With several inputs, the first step says "
        "which: from: image",
    ),
    "E303": Explanation(
        "an expression or formula is wrong",
        "A string that begins with = is an expression, a safe subset of Python's: numbers, strings, lists, "
        "arithmetic, comparisons, and or not, a if b else c, indexing, and a few functions. expr takes a "
        "formula over tensors.",
        _steps("Dense: =4 * (2 + 1"),
        "Close the bracket. Inside { } and [ ], an expression that holds a comma or a bracket must be quoted.",
    ),
    "E304": Explanation(
        "an expression has no value",
        "The expression is well formed but cannot be evaluated: a name that is not known here, a division by "
        "zero, a length that is not known (None), an index outside a list, a function that expressions do not "
        "have.",
        _steps("Dense: =units * 2"),
        "An expression sees the spec's params (in a block, its own too), loop variables, and the shapes of "
        "tensors: x.channels, x.height, x.shape[0]. Functions of tensors stand in formulas: expr: …",
    ),
    "E305": Explanation(
        "a verb takes other tensors",
        "The layer, block or merge takes another number of tensors than it is given, or they go to arguments "
        "that it does not have; a merge needs at least two paths.",
        _steps("Flatten", "add: {skip: x}"),
        "from: [a, b] gives several tensors in order, from: {query: x, value: memory} by the names of "
        "arguments. `archspec layers NAME` says what a layer is called with.",
    ),
    "E306": Explanation(
        "weights cannot be shared",
        "What is reused would have weights of another shape here, or would be made of other layers.",
        _steps("Flatten", "{Dense: 8, name: first}", "Dense: 4", "reuse: first"),
        "Give it an input of the same shape as the first time.",
    ),
    "E307": Explanation(
        "a function cannot be called so",
        "The function of a formula, or of an ops step, does not take these arguments.",
        _steps("{ops.relu: {}, from: [x, x]}"),
        "`archspec layers ops.relu` lists a function's arguments. Axis 0 is the batch.",
    ),
    "E401": Explanation(
        "a claim does not hold",
        "`expect` states figures (params, trainable, macs, output, memory), for the spec or under a variant's "
        "name. The network's are others.",
        _spec("expect: {params: 1000}\nlayers: [Flatten, {Dense: 10}]"),
        "If the network is right, write its figures: archspec check spec.yaml --update-expect. If the figures "
        "are a paper's, the network is not the paper's.",
        stage="check",
    ),
    "E501": Explanation(
        "the data cannot be had",
        "The source does not find or cannot read its files. Paths count from the spec's folder; tfds "
        "downloads only with download: true.",
        _spec("layers: [Flatten, {Dense: 10}]\ndata: {source: {npz: nowhere.npz}}\ntrain: {loss: MeanSquaredError}"),
        "Check the path, or take the digits that are always there: source: {sklearn: digits}",
        stage="train",
    ),
    "E502": Explanation(
        "the data do not fit the network",
        "A field of the data has another shape or type than the input that takes it, there is no such field, "
        "or the targets do not go with the loss.",
        _spec(
            "layers: [Flatten, {Dense: 10}]\ndata: {source: {sklearn: digits}}\n"
            "train: {loss: SparseCategoricalCrossentropy}",
            "{image: [16, 16, 1]}",
        ),
        "Change the data on the way: data: {preprocess: [Resizing: {height: 16, width: 16}]}. Say which field "
        "is meant: data: {inputs: {image: image}, targets: {output: label}}",
        stage="train",
    ),
    "E503": Explanation(
        "the data cannot be split so",
        "The parts for training, validation and test overlap, take more than there is, or leave nothing to "
        "train on.",
        _spec(
            "layers: [Flatten, {Dense: 10}]\ndata: {source: {sklearn: digits}, split: {validation: 0.6, test: 0.6}}\n"
            "train: {loss: SparseCategoricalCrossentropy}"
        ),
        "Give fractions of the whole, counts, or the source's own splits: split: {validation: 0.1, test: 0.2}",
        stage="train",
    ),
    "E504": Explanation(
        "the training does not fit the network",
        "A loss or metric for an output that the network does not have, an output without a loss, a callback "
        "that watches what is not measured, or no loss at all.",
        _spec("layers: [Flatten, {Dense: 10}]\ntrain: {loss: {digit: SparseCategoricalCrossentropy}}"),
        "An only output is called output, and needs no name: loss: SparseCategoricalCrossentropy",
        stage="check",
    ),
}  # fmt: skip

"""Networks in other formats: the same numbers in their own runtimes, and nothing left behind where they are not."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archspec.build.weights import built
from archspec.export.base import ExportFailed, Format, Run, Source, blamed, formats
from archspec.export.formats.onnx import Onnx
from archspec.export.formats.python import Python
from archspec.export.formats.savedmodel import SavedModel
from archspec.export.samples import random_inputs, random_network
from archspec.export.writing import export, find_format
from archspec.graph.ir import Graph
from tests.graphs import GraphBuilder, attention, conv_bn, many_to_many, perceptron, siamese

DIGITS = """
archspec: 1
name: tiny_digits
description: A small network for handwritten digits
inputs: {image: [8, 8, 1]}
layers:
  - {Conv2D: {filters: 8, kernel_size: 3, activation: relu}}
  - Flatten
  - Dense: {units: 10, activation: softmax}
data: {source: {sklearn: digits}}
train: {epochs: 3, loss: SparseCategoricalCrossentropy, metrics: [accuracy], optimizer: {Adam: 0.01}}
"""


def source_of(graph: Graph, **changes: Any) -> Source:
    network = random_network(graph)
    return replace(Source(network, built(network), graph.name, has_weights=False), **changes)


def installed(format: Format) -> bool:
    return all(importlib.util.find_spec(name) for name in format.NEEDS)


def target(folder: Path, format: Format) -> Path:
    return folder / f"made{format.SUFFIX}"


def convolutional() -> Graph:
    builder = GraphBuilder("convolutional")
    x = conv_bn(builder, builder.input("image", (12, 12, 3)), "stem", 6, 3, 2)
    x = builder.chain(x, "ReLU", {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, scope="body")
    return builder.graph(builder.chain(x, "GlobalAveragePooling2D", {"Dense": 5}, scope="head"))


def words() -> Graph:
    """Ids must lie within the table; the loop has a known length."""
    builder = GraphBuilder("words")
    x = builder.apply({"Embedding": {"input_dim": 11, "output_dim": 6}}, builder.input("tokens", (5,), "int32"))
    return builder.graph(builder.chain(x, {"LSTM": 4}, {"Dense": 3}))


def activated() -> Graph:
    """The gradient of silu is one of its own in TensorFlow; gelu is computed by erfc there."""
    builder = GraphBuilder("activated")
    x = builder.input("tokens", (5, 4))
    return builder.graph(builder.chain(x, {"Dense": {"units": 6, "activation": "silu"}}, {"Activation": "gelu"}))


def prepared() -> Graph:
    """Normalization holds its mean as a tensor beside its weights, RandomFlip the state of its seed."""
    builder = GraphBuilder("prepared")
    x = builder.input("image", (6, 6, 3))
    return builder.graph(builder.chain(x, "RandomFlip", "Normalization", "Flatten", {"Dense": 3}))


def both_ways() -> Graph:
    """Keras names the layers inside anew for each model."""
    builder = GraphBuilder("both_ways")
    return builder.graph(builder.chain(builder.input("steps", (5, 4)), {"Bidirectional": {"layer": {"LSTM": 3}}}))


NETWORKS = {each.__name__: each for each in (words, many_to_many, siamese, attention, activated, prepared, both_ways)}


@pytest.mark.parametrize("name", formats())
def test_each_format_gives_what_keras_gives(name: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    exported = export(source_of(convolutional()), formats()[name], target(tmp_path, formats()[name]))
    assert 0 <= exported.error < 1e-4
    assert sorted(exported.files) == sorted(path.name for path in tmp_path.iterdir())
    assert all(exported.files.values())


@pytest.mark.slow
@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("name", formats())
def test_more_networks(name: str, make: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    exported = export(source_of(NETWORKS[make]()), formats()[name], target(tmp_path, formats()[name]))
    assert set(exported.errors) == set(NETWORKS[make]().outputs)


class Wrong(Python):
    """A format that loses a little on the way."""

    NAME = "wrong"
    factor = 1.01

    def open(self, path: Path, source: Source) -> Run:
        run = super().open(path, source)

        def off(inputs: Sequence[Any]) -> Mapping[str, Any]:
            return {name: value * self.factor for name, value in run(inputs).items()}

        return off


class Breaks(SavedModel):
    NAME = "breaks"

    def write(self, source: Source, path: Path) -> None:
        path.mkdir()
        (path / "half").write_text("written")
        raise ExportFailed("no more")


@pytest.mark.parametrize("format", [Wrong(), Breaks()], ids=lambda f: f.NAME)
@pytest.mark.parametrize("there", [False, True])
def test_a_failed_check_leaves_nothing_and_takes_nothing_away(format: Format, there: bool, tmp_path: Path) -> None:
    path = target(tmp_path, format)
    if there:
        path.write_text("before")
    with pytest.raises(ExportFailed, match=r"off by|no more"):
        export(source_of(perceptron()), format, path)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if there else [])
    assert not there or path.read_text() == "before"


def test_an_error_within_the_tolerance_is_kept(tmp_path: Path) -> None:
    exported = export(source_of(perceptron()), Wrong(), tmp_path / "made.py", tolerance=0.5)
    assert 1e-3 < exported.error < 0.5


def test_weights_that_the_code_loses_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from archspec.export.formats import python as module

    code = module.python_code
    monkeypatch.setattr(module, "python_code", lambda *a: code(*a).replace("layers.ReLU(", "layers.Identity("))
    broken = source_of(convolutional())
    with pytest.raises(ExportFailed, match="does not give what Keras gives"):
        export(broken, Python(), tmp_path / "made.py")


def test_a_network_that_was_optimised_is_compared_with_the_original(tmp_path: Path) -> None:
    source, other = source_of(convolutional()), source_of(convolutional())
    other.model.set_weights([weight * 1.5 for weight in other.model.get_weights()])
    with pytest.raises(ExportFailed, match="does not give what Keras gives"):
        export(replace(source, original=other.model), Python(), tmp_path / "made.py")


def drawing() -> Graph:
    builder = GraphBuilder("vae")
    x = builder.input("image", (6,))
    mean, spread = builder.apply({"Dense": 2}, x, name="mean"), builder.apply({"Dense": 2}, x, name="log_var")
    return builder.graph(mean=mean, drawn=builder.apply("Sampling", mean, spread, name="drawn"))


def test_random_outputs_are_not_compared(tmp_path: Path) -> None:
    exported = export(source_of(drawing()), Python(), tmp_path / "made.py")
    assert exported.uncompared == ("drawn",)
    assert list(exported.errors) == ["mean"]


def test_learnt_weights_lie_beside_the_code(tmp_path: Path) -> None:
    source = source_of(convolutional(), has_weights=True)
    exported = export(source, Python(), tmp_path / "made.py")
    assert list(exported.files) == ["made.py", "made.weights.h5"]
    inputs = random_inputs(source.graph, 2)
    found = Python().open(tmp_path / "made.py", source)(inputs)
    np.testing.assert_allclose(found["output"], source.model(inputs[0]), rtol=1e-5, atol=1e-6)


# --- what is told --------------------------------------------------------------------------------


def test_an_unknown_format() -> None:
    with pytest.raises(ExportFailed, match="there is no format 'onxx'") as caught:
        find_format("onxx")
    assert caught.value.help and "onnx" in caught.value.help


@pytest.mark.parametrize(("name", "extra"), [("onnx", "onnx"), ("litert", "litert"), ("openvino", "openvino")])
def test_a_missing_extra(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with pytest.raises(ExportFailed, match="which is not installed") as caught:
        find_format(name)
    assert caught.value.help == f"pip install 'archspec[{extra}]'"


def test_the_layers_that_a_message_names() -> None:
    graph = siamese()
    assert blamed(graph, "Failed at siamese_1/left.tower.dense1/MatMul and left.tower.dense0") == [
        "left.tower.dense0", "left.tower.dense1",
    ]  # fmt: skip


def test_letters_within_words_are_no_layers() -> None:
    builder = GraphBuilder("short")
    x = builder.apply({"Dense": 2}, builder.input("x", (3,)), name="c")
    graph = builder.graph(builder.apply({"Dense": 2}, builder.apply({"Dense": 2}, x, name="g"), name="g_1"))
    assert blamed(graph, "short_1/g_2/while: cannot be converted") == ["g"]
    assert blamed(graph, "cannot convert short_1/g_1/while.") == ["g_1"]


def hashed() -> Graph:
    builder = GraphBuilder("hashed")
    x = builder.apply({"Hashing": {"num_bins": 9}}, builder.input("word", (1,), "string"), name="hash")
    return builder.graph(builder.chain(x, {"Embedding": {"input_dim": 9, "output_dim": 3}}))


@pytest.mark.parametrize(("name", "said"), [("litert", "LiteRT"), ("onnx", "ONNX"), ("openvino", "OpenVINO")])
def test_a_layer_that_a_format_cannot_express(name: str, said: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    with pytest.raises(ExportFailed, match=rf"{said} cannot express hash \(Hashing\): it has no StringToHash"):
        export(source_of(hashed()), formats()[name], target(tmp_path, formats()[name]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "make"), [("onnx", prepared), ("savedmodel", prepared), ("python", both_ways)])
def test_what_layers_hold_besides_weights(name: str, make: Any, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    assert export(source_of(make()), formats()[name], target(tmp_path, formats()[name])).error < 1e-4


@pytest.mark.parametrize("name", ["savedmodel", "onnx"])
@pytest.mark.parametrize("layer", ["a b", "ü"])
def test_names_that_tensorflow_has_not(layer: str, name: str, tmp_path: Path) -> None:
    builder = GraphBuilder("odd")
    graph = builder.graph(builder.apply({"Dense": 2}, builder.input("x", (3,)), name=layer))
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    with pytest.raises(ExportFailed, match=f"no layers of the name '{layer}': rename it"):
        export(source_of(graph), formats()[name], target(tmp_path, formats()[name]))
    assert not list(tmp_path.iterdir())


def test_tables_of_words_are_no_constants(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    builder = GraphBuilder("lookup")
    x = builder.input("word", (3,), "string")
    graph = builder.graph(builder.apply({"StringLookup": {"vocabulary": ["a", "b"]}}, x, name="table"))
    with pytest.raises(ExportFailed, match=r"cannot express table \(StringLookup\)"):
        export(source_of(graph), formats()["litert"], tmp_path / "made.tflite")


@pytest.mark.parametrize("name", ["litert", "openvino"])
def test_what_is_drawn_anew_is_no_constant(name: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    with pytest.raises(ExportFailed, match=r"cannot express drawn \(Sampling\): the state of what it draws") as caught:
        export(source_of(drawing()), formats()[name], target(tmp_path, formats()[name]))
    assert "savedmodel" in str(caught.value.help)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["savedmodel", "onnx", "litert", "openvino"])
def test_sizes_that_keras_needs(name: str, tmp_path: Path) -> None:
    if not installed(formats()[name]):
        pytest.skip(f"{name} is not installed")
    builder = GraphBuilder("free")
    layer = {"UpSampling2D": {"interpolation": "bilinear"}}
    enlarged = builder.apply(layer, builder.input("image", (None, None, 2)), name="up")
    with pytest.raises(ExportFailed, match=r"cannot express up \(UpSampling2D\): Keras needs the sizes"):
        export(source_of(builder.graph(enlarged)), formats()[name], target(tmp_path, formats()[name]))
    assert not list(tmp_path.iterdir())


def padded_words() -> Graph:
    """Both ways over sequences with zeros in them, the second of results that the first gives under a mask."""
    builder = GraphBuilder("padded_words")
    table = {"Embedding": {"input_dim": 5, "output_dim": 4, "mask_zero": True}}
    x = builder.apply(table, builder.input("tokens", (6,), "int32"))
    both = {"Bidirectional": {"layer": {"LSTM": {"units": 3, "return_sequences": True}}}}
    return builder.graph(builder.chain(x, both, {"Bidirectional": {"layer": {"GRU": 3}}}, {"Dense": 2}))


def test_masks_backwards_where_steps_are_written_out(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    assert (random_inputs(padded_words(), 3)[0] == 0).any()
    assert export(source_of(padded_words()), formats()["litert"], tmp_path / "made.tflite").error < 1e-4


def test_sizes_in_onnx_are_those_of_the_network(tmp_path: Path) -> None:
    """tf2onnx does not know how many steps a loop gives."""
    if not installed(Onnx()):
        pytest.skip("onnx is not installed")
    import onnxruntime

    builder = GraphBuilder("steps")
    x = builder.apply({"LSTM": {"units": 4, "return_sequences": True}}, builder.input("steps", (5, 3)))
    export(source_of(builder.graph(x)), Onnx(), tmp_path / "made.onnx")
    opened = onnxruntime.InferenceSession(tmp_path / "made.onnx")
    assert [value.shape for value in (*opened.get_inputs(), *opened.get_outputs())] == [
        ["batch", 5, 3],
        ["batch", 5, 4],
    ]


def test_openvino_has_the_name(tmp_path: Path) -> None:
    if not installed(formats()["openvino"]):
        pytest.skip("openvino is not installed")
    export(source_of(perceptron()), formats()["openvino"], tmp_path / "made.xml")
    assert f'<net name="{perceptron().name}"' in (tmp_path / "made.xml").read_text()


def test_half_precision_is_told(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    builder = GraphBuilder("half")
    x = builder.input("image", (8, 8, 2))
    graph = builder.graph(builder.apply({"Conv2D": {"filters": 3, "kernel_size": 3, "dtype": "mixed_float16"}}, x))
    with pytest.raises(ExportFailed, match="it has no Conv2D") as caught:
        export(source_of(graph), formats()["litert"], tmp_path / "made.tflite")
    assert "computes in float16" in str(caught.value.help)


def test_integers_that_litert_makes_and_cannot_run(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    builder = GraphBuilder("masked")
    graph = builder.graph(builder.chain(builder.input("steps", (3, 2)), "Masking", {"LSTM": 2}))
    samples = [random_inputs(graph, 3)]
    with pytest.raises(ExportFailed, match="LiteRT cannot run what it makes of the network"):
        export(source_of(graph, int8=True, samples=samples), formats()["litert"], tmp_path / "made.tflite")
    assert not list(tmp_path.iterdir())


def test_loops_of_unknown_length(tmp_path: Path) -> None:
    if not installed(formats()["litert"]):
        pytest.skip("litert is not installed")
    builder = GraphBuilder("open")
    graph = builder.graph(builder.apply({"LSTM": 4}, builder.input("steps", (None, 3)), name="recurrent"))
    with pytest.raises(ExportFailed, match=r"LiteRT cannot express recurrent \(LSTM\): it has no TensorList") as caught:
        export(source_of(graph), formats()["litert"], tmp_path / "made.tflite")
    assert str(caught.value.help).startswith("steps has sizes that are left open")


def test_integers_only_where_there_are_some(tmp_path: Path) -> None:
    with pytest.raises(ExportFailed, match="onnx is not written with int8"):
        export(source_of(perceptron(), int8=True), Onnx(), tmp_path / "made.onnx")
    builder = GraphBuilder("pools")
    graph = builder.graph(
        builder.chain(builder.input("image", (8, 8, 2)), {"Conv2D": {"filters": 3, "kernel_size": 3}})
    )
    with pytest.raises(ExportFailed, match="rounds dense layers and embeddings"):
        export(source_of(graph, int8=True), formats()["keras"], tmp_path / "made.keras")
    assert not list(tmp_path.iterdir())

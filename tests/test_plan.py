"""What a training is estimated to take: by hand arithmetic, by laws, and against Keras's own variables."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from archspec import load, loads
from archspec.analysis.remat import candidates, choose, runs
from archspec.analysis.state import SLOTS, state_numbers
from archspec.analysis.training import TrainingStep
from archspec.architecture import Architecture
from archspec.cli import cli
from archspec.diagnostics import SpecError
from archspec.layers.base import WeightSpec
from archspec.layers.objects import Optimizer, known, parse_object
from archspec.train.machine import Throughput, known_throughput, read_bytes, read_flops, remember
from archspec.train.plan import PROGRAM_BYTES, Estimate, estimate
from archspec.train.plan_text import memory_warning
from tests.graphs import GraphBuilder

SPECS = Path(__file__).parent.parent / "specs"

TINY = """
archspec: 1
name: tiny
inputs: {features: [10]}
layers:
  - {Dense: {units: 20, activation: relu}, name: hidden}
  - {Dense: 5, name: scores}
data: {batch_size: 8}
train: {loss: MeanSquaredError}
"""


def planned(network: Architecture, *args: Any, **options: Any) -> Estimate:
    return estimate(network.document, network.graph, *args, **options)


def test_two_dense_layers_by_hand() -> None:
    """Batch 8: x 10, hidden 20, scores 5 numbers; 220 + 105 weights; Adam."""
    found = planned(loads(TINY))
    assert (found.parameters, found.trainable) == (325, 325)
    assert found.weight_bytes == found.gradient_bytes == 4 * 325
    assert found.state_bytes == 4 * 2 * 325
    # At scores' backward pass: x, hidden and scores, the gradients of both, scratch for scores and for the loss, and
    # scores' weights have theirs. At hidden's: x, hidden, its gradient and scratch, and all gradients of weights.
    at_scores, at_hidden = 4 * (105 + 8 * (10 + 20 + 5 + 20 + 5 + 5 + 5)), 4 * (325 + 8 * (10 + 20 + 20 + 20))
    assert found.tensors.peak(8) == max(at_scores, at_hidden)
    base, layer, _ = PROGRAM_BYTES["tensorflow"]
    program = base + 2 * layer
    assert found.training_bytes == program + 4 * 3 * 325 + max(at_scores, at_hidden)
    assert found.inference_bytes == program + 4 * 325 + 4 * 8 * (10 + 20)
    # 200 + 100 MACs forward, three times that in all, two operations each, eight examples.
    assert found.seconds(Throughput(1.0, 1e3)) == pytest.approx(2 * 8 * 3 * 300 / 1e3)


def test_frozen_layers_keep_nothing_and_have_no_gradients() -> None:
    found = planned(loads(TINY, set={"train.frozen": ["hidden"]}))
    assert found.gradient_bytes == 4 * 105 and found.state_bytes == 4 * 2 * 105
    # x, hidden, scores, its gradient, and scratch for it and for the loss
    assert found.tensors.peak(8) == 4 * (105 + 8 * (10 + 20 + 5 + 5 + 5 + 5))


def test_mixed_precision_halves_tensors_and_copies_weights() -> None:
    found = planned(loads(TINY, set={"run.precision": "mixed_bfloat16"}))
    assert found.weight_bytes == (4 + 2) * 325 and found.state_bytes == 4 * 2 * 325
    assert max(found.tensors.each) == 4 * 10 + 2 * (20 + 20 + 20)  # as above, at hidden


def test_a_phase_s_optimizer_has_the_state_of_what_it_trains() -> None:
    phase = {"trains": "hidden", "loss": {"expr": "mean(scores)"}, "optimizer": {"SGD": {"momentum": 0.9}}}
    other = {"trains": "scores", "loss": {"expr": "mean(scores)"}, "optimizer": "Adam"}
    text = TINY.replace("loss: MeanSquaredError", f"phases: {json.dumps({'a': phase, 'b': other})}")
    assert planned(loads(text)).state_bytes == 4 * (220 + 2 * 105)


def test_what_layers_keep() -> None:
    """Dropout a byte for each element, batch normalisation its input, relu its output, maximum pooling both."""
    g = GraphBuilder()
    x = g.input("x", (8, 8, 4))
    y = g.apply({"Conv2D": {"filters": 4, "kernel_size": 1}}, x, name="conv")
    y = g.apply("BatchNormalization", y, name="norm")
    y = g.apply("ReLU", y, name="relu")
    y = g.apply({"MaxPooling2D": 2}, y, name="pool")
    g.apply({"Dropout": 0.5}, y, name="drop")
    from archspec.graph.ir import Edge

    each = TrainingStep(g.graph(Edge("drop"))).timeline().each
    kept = 4 * 256 * 3 + 4 * 64 + 64  # conv, relu and x; the pool's output; the mask
    assert each[6] == kept + 4 * 5 * 64  # the result, its gradient, scratch, the loss, and the pool's gradient


@pytest.mark.parametrize("spec", ["resnet.yaml@resnet18", "unet.yaml@small", "bert.yaml", "lstm_text.yaml", "gan.yaml"])
def test_laws_of_batches(spec: str) -> None:
    found = planned(load(SPECS / spec))
    peaks = [found.at(n) for n in (1, 2, 3, 8, 64, 1000)]
    assert peaks == sorted(peaks)
    for memory in (2 * 10**9, 16 * 10**9, 10**11):
        most = found.largest_batch(memory)
        assert most is not None
        assert not most or found.at(most) <= memory
        assert found.at(most + 1) > memory
    assert found.inference_bytes < found.training_bytes


def test_no_batch_where_the_weights_do_not_fit() -> None:
    found = planned(load(SPECS / "resnet.yaml@resnet50"))
    assert found.largest_batch(found.resident_bytes) == 0


@pytest.mark.parametrize("spec", ["resnet.yaml@resnet50", "vit.yaml", "densenet.yaml"])
def test_chosen_blocks_fit_and_one_example_less_memory_does_not_come_free(spec: str) -> None:
    network = load(SPECS / spec, changes=["data.batch_size=64"])
    plain = planned(network)
    memory = (plain.training_bytes * 3) // 4
    found = planned(network, None, memory, remat=True)
    assert found.blocks and found.training_bytes <= memory < plain.training_bytes
    again = found.again_convolution_macs + found.again_product_macs
    assert 0 < again <= plain.convolution_macs + plain.product_macs
    assert found.seconds(Throughput(1e9, 1e9)) > plain.seconds(Throughput(1e9, 1e9))
    assert planned(network, None, plain.training_bytes, remat=True).blocks == {}


def test_every_block_rematerialised_keeps_less() -> None:
    graph = load(SPECS / "resnet.yaml@resnet50").graph
    step = TrainingStep(graph)
    blocks = candidates(graph, 2)
    assert step.timeline(blocks).peak(32) < 0.6 * step.timeline().peak(32)
    assert choose(step, 32, 0).timeline.peak(32) < 0.6 * step.timeline().peak(32)


def test_a_block_that_a_pass_has_parted_runs_again_in_parts() -> None:
    """Neighbours are told apart, and what stands in a block's way parts it: it is kept, not computed again."""
    graph = load(SPECS / "digits_cnn.yaml").graph
    blocks = candidates(graph, 1)
    assert runs(graph, [*blocks]) == [*blocks.values()]
    first, *others = blocks["fine1"]
    order = [first, "max_pooling2d", *others]
    parted = replace(graph, nodes={name: graph.nodes[name] for name in order})
    assert runs(parted, ["fine1"]) == [(first,), tuple(others)]


def test_time_is_linear_in_the_graph() -> None:
    """Ten times the blocks take no more than some ten times as long: of the square it would be a hundred."""

    def seconds(blocks: int) -> float:
        g = GraphBuilder()
        x = g.input("x", (16,))
        for i in range(blocks):
            x = g.chain(x, {"Dense": 16}, "LayerNormalization", "ReLU", {"Dropout": 0.1}, scope=f"block{i}")
        graph = g.graph(x)
        began = time.process_time()
        step = TrainingStep(graph)
        assert step.timeline().largest_batch(10**9)
        assert choose(step, 1000, step.timeline().peak(1000) // 2).blocks
        return time.process_time() - began

    assert seconds(1500) < 30 * min(seconds(150) for _ in range(3))


def test_remat_names_blocks() -> None:
    network = load(SPECS / "resnet.yaml@resnet18", changes=["run.remat=[stage1.*]"])
    assert all(name.startswith("stage1.") for name in planned(network).blocks)
    with pytest.raises(SpecError, match="no block is named"):
        planned(load(SPECS / "resnet.yaml@resnet18", changes=["run.remat=[stag1]"]))
    assert load(SPECS / "resnet.yaml@resnet18", changes=["run.remat=[stag1]"]).check()
    assert not load(SPECS / "resnet.yaml@resnet18", changes=["run.remat=auto"]).check()


def test_masks_beside_tensors_and_losses_of_layers_cannot_be_rematerialised() -> None:
    block = "{name: block, layers: [{Dense: {units: 4, activity_regularizer: L2}}, ReLU]}"
    text = TINY.replace("  - {Dense: 5", f"  - {block}\n  - {{Dense: 5")
    with pytest.raises(SpecError, match="adds a loss of its own in block"):
        planned(loads(text, set={"run.remat": ["block"]}))
    masked = TINY.replace("layers:\n", "layers:\n  - Reshape: [10, 1]\n  - Masking\n").replace(
        "  - {Dense: 5", "  - {name: block, layers: [ReLU, ReLU]}\n  - {Dense: 5"
    )
    with pytest.raises(SpecError, match="masking hands on a mask"):
        planned(loads(masked, set={"run.remat": ["block"]}))


VARIANTS = [
    *sorted(SLOTS), {"SGD": {"momentum": 0.9}}, {"Adam": {"amsgrad": True}}, {"RMSprop": {"centered": True}},
    {"Adam": {"use_ema": True}}, {"Adam": {"gradient_accumulation_steps": 2}},
]  # fmt: skip


def test_all_optimizers_have_a_rule() -> None:
    assert {cls.__name__ for cls in known(Optimizer).values()} == {*SLOTS, "LossScaleOptimizer"}


@pytest.mark.parametrize("given", VARIANTS, ids=str)
def test_state_is_that_of_keras(given: Any) -> None:
    import keras

    from archspec.build.objects import keras_object

    optimizer = parse_object(Optimizer, given)
    shapes = {"kernel": (3, 4, 5), "matrix": (6, 7), "bias": (7,), "scale": ()}
    made = keras_object(optimizer)
    made.build([keras.Variable(keras.ops.ones(shape), name=name) for name, shape in shapes.items()])
    shared = 2 + (type(optimizer).__name__ in ("Nadam",))  # iterations, the learning rate, Nadam's product
    said = sum(state_numbers(optimizer, WeightSpec(name, shape)) for name, shape in shapes.items())
    assert abs(sum(v.value.shape.num_elements() for v in made.variables) - shared - said) <= 2


def test_amounts_are_read() -> None:
    assert read_bytes("16GB") == 16 * 10**9 and read_bytes("512 MiB") == 2**29 and read_bytes("1.5k") == 1500
    assert read_flops("10T").product == 1e13 and read_flops("312e12").convolution == 312e12
    for text in ("", "GB", "16 apples", "0", "-1GB", "1.2.3GB"):
        with pytest.raises(ValueError):
            read_bytes(text)
        with pytest.raises(ValueError):
            read_flops(text)


def test_a_measurement_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert known_throughput("jax", "float32") is None
    remember("jax", "float32", Throughput(1.0, 2.0))
    remember("tensorflow", "float32", Throughput(3.0, 4.0))
    assert known_throughput("jax", "float32") == Throughput(1.0, 2.0)
    file = tmp_path / "archspec" / "throughput.json"
    kept = file.read_text()
    for broken in ("{", "[]", kept.replace("product", "products")):
        file.write_text(broken)
        assert known_throughput("jax", "float32") is None


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is a number without a name."""

    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert known_throughput("jax", "float32") is None
    with pytest.raises(OSError, match="Not a directory"):
        remember("jax", "float32", Throughput(1.0, 2.0))


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    done = CliRunner().invoke(cli, ["plan", str(file), "--memory", "100MB", "--flops", "1G", "--json"])
    found = json.loads(done.output)
    assert found["fits"] and found["parameters"]["total"] == 325 and found["seconds"] > 0
    size = str(found["largest_batch"])
    for batch, says in ((size, "fits into"), (str(int(size) + 1), "does not fit into")):
        text = CliRunner().invoke(cli, ["plan", str(file), "--memory", "100MB", "--batch-size", batch]).output
        assert says in text and f"is {int(size):,}" in text
    assert CliRunner().invoke(cli, ["plan", str(file), "--memory", "lots"]).exit_code == 2
    assert CliRunner().invoke(cli, ["plan", str(file), "--flops", "1G", "--measure"]).exit_code == 2
    assert "it fits as it is" in CliRunner().invoke(cli, ["plan", str(file), "--memory", "1TB", "--remat"]).stderr
    file.write_text("archspec: 1\nname: b\nblocks: {one: {layers: [ReLU]}}\n")
    assert "is a library of blocks" in CliRunner().invoke(cli, ["plan", str(file)]).output


def test_inference_in_both_orders(tmp_path: Path) -> None:
    """Two branches of 40 numbers each that make 5: abreast both are there at once."""
    file = tmp_path / "branches.yaml"
    branch = "[Dense: 40, Dense: 5]"
    file.write_text(TINY.replace("layers:\n", f"layers:\n  - concat: {{one: {branch}, two: {branch}}}\n"))
    found = json.loads(CliRunner().invoke(cli, ["plan", str(file), "--json"]).output)
    inference = found["inference"]
    assert (inference["example_bytes"], inference["best_order_example_bytes"]) == (4 * 90, 4 * 55)
    assert found["inference_bytes"] - inference["best_order_bytes"] == 8 * 4 * (90 - 55)
    assert inference["exact"] and inference["best_order"][0] == "features" and len(inference["best_order"]) == 8
    text = CliRunner().invoke(cli, ["plan", str(file)]).output
    assert "360 B in Keras's order of layers, 220 B in the best, 39% less" in text
    assert "in the best order" in text
    file.write_text(TINY)
    text = CliRunner().invoke(cli, ["plan", str(file)]).output
    assert "120 B in Keras's order of layers, and none takes less" in text and "in the best order" not in text


def test_the_command_loads_no_framework(tmp_path: Path) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    code = (
        "import sys; from archspec.cli import cli; cli(['plan', sys.argv[1]], standalone_mode=False);"
        "assert not {'keras', 'tensorflow', 'jax'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True, capture_output=True)


def test_training_warns_in_one_line() -> None:
    network = loads(TINY)
    assert memory_warning(network.document, network.graph) is None
    huge = loads(TINY, set={"data.batch_size": 10**12})
    text = memory_warning(huge.document, huge.graph)
    assert text is not None and "\n" not in text and "data.batch_size=" in text


BLOCKS = """
archspec: 1
name: blocks
inputs: {image: [8, 8, 1]}
blocks:
  conv:
    layers: [Conv2D: {filters: 4, kernel_size: 3, padding: same}, BatchNormalization, ReLU, Dropout: 0.3]
layers:
  - {conv: , name: one}
  - {name: two, layers: [{conv: , repeat: 2}]}
  - Flatten
  - {Dense: {units: 10, activation: softmax}}
data: {source: {sklearn: digits}, split: {validation: 0.9}, batch_size: 32}
train: {epochs: 1, loss: SparseCategoricalCrossentropy, optimizer: {SGD: {learning_rate: 0.1}}}
"""

COMPARE = """
import sys, numpy as np
from archspec import loads
runs = [loads(open(sys.argv[1]).read(), set={"run.remat": names}).train(f"{sys.argv[2]}/{i}", quiet=True)
        for i, names in enumerate(([], ["one", "two.*"], ["*"]))]
import keras
weights = [keras.saving.load_model(run.path / "model.keras").get_weights() for run in runs]
for other in weights[1:]:
    for a, b in zip(weights[0], other, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)
print(runs[0].history == runs[1].history)
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_rematerialised_training_learns_the_same(backend: str, tmp_path: Path) -> None:
    """Batch normalisation's statistics and dropout's masks among it: the same weights after some forty steps."""
    (tmp_path / "spec.yaml").write_text(BLOCKS)
    command = [sys.executable, "-c", COMPARE, str(tmp_path / "spec.yaml"), str(tmp_path)]
    done = subprocess.run(
        command, env=os.environ | {"KERAS_BACKEND": backend}, capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr[-3000:]

"""Weights from elsewhere: rules, reading files, loading all or nothing, the command."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

import archspec
from archspec.start import start_keras
from archspec.weights import Misshapen, Rule, UnreadableError, WeightsError, find_mapping, load, mappings, read
from archspec.weights.rules import counted_anew

start_keras()
keras = pytest.importorskip("keras")

SPEC = """
archspec: 1
name: small
inputs: {image: [8, 8, 3]}
layers:
  - Conv2D: {filters: 4, kernel_size: 3}
    name: stem
  - BatchNormalization
  - Flatten
  - Dense: 5
    name: top
"""
SAME = (Rule("(.*)", "{1}"),)


@pytest.fixture
def model() -> keras.Model:
    return archspec.loads(SPEC).build()


def values(model: keras.Model) -> dict[str, np.ndarray]:
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def random_values(model: keras.Model) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {path: random.normal(size=array.shape).astype("float32") for path, array in values(model).items()}


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


# --- rules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "name", "path"),
    [
        (r"conv(\d)_block(\d+)", "stage{1-1}.block{2}", "conv2_block10", "stage1.block10"),
        (r"layer\.(\d+)\.weight", "block{1+1#}/kernel", "layer.0.weight", "block/kernel"),
        (r"layer\.(\d+)\.weight", "block{1+1#}/kernel", "layer.2.weight", "block_3/kernel"),
        (r"block([a-z])", "block{1+0}", "blockc", "block3"),
        (r"conv(?:_(\d+))?", "stage{1+1}", "conv", "stage1"),
        (r"(?P<layer>.*)/(?P<variable>\w+)", "{layer}.x/{variable}", "a.b/kernel", "a.b.x/kernel"),
    ],
)
def test_the_path_that_a_rule_gives(source: str, target: str, name: str, path: str):
    rule = Rule(source, target)
    match = rule.matches(name)
    assert match and rule.path(match) == path
    assert not rule.matches(f"{name} and more")


@pytest.mark.parametrize(
    ("transform", "before", "shape", "after"),
    [
        ("same", (2, 3), (2, 3), (2, 3)),
        ("transpose", (2, 3), (3, 2), (3, 2)),
        ("conv", (8, 4, 3, 5), (3, 5, 4, 8), (3, 5, 4, 8)),
        ("conv", (8, 4, 3), (3, 4, 8), (3, 4, 8)),
        ("depthwise", (8, 1, 3, 5), (3, 5, 8, 1), (3, 5, 8, 1)),
        ("axes:1,0,2", (2, 3, 4), (3, 2, 4), (3, 2, 4)),
        ("transpose heads", (6, 4), (4, 2, 3), (4, 2, 3)),
        ("split:3:1", (4, 6), (4, 2), (4, 2)),
        ("split:3:1:0", (6, 4), (2, 4), (2, 4)),
        ("slice:2:", (6, 4), (4, 4), (4, 4)),
        ("slice:0:3:1", (6, 4), (6, 3), (6, 3)),
    ],
)
def test_transforms(transform: str, before: tuple[int, ...], shape: tuple[int, ...], after: tuple[int, ...]):
    array = np.arange(np.prod(before)).reshape(before)
    assert Rule("x", "y", transform).apply(array, shape).shape == after


def test_what_transforms_compute():
    fused = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(Rule("x", "y", "split:3:1").apply(fused, (4, 2)), fused[:, 2:4])
    np.testing.assert_array_equal(Rule("x", "y", "slice:1:3").apply(fused, (2, 6)), fused[1:3])
    kernel = np.arange(120).reshape(5, 4, 3, 2)  # out, in, height, width
    assert Rule("x", "y", "conv").apply(kernel, (3, 2, 4, 5))[2, 1, 3, 4] == kernel[4, 3, 2, 1]
    assert Rule("x", "y", "depthwise").apply(kernel, (3, 2, 5, 4))[2, 1, 4, 3] == kernel[4, 3, 2, 1]


@pytest.mark.parametrize("target", ["{2}", "{name}"])
def test_a_rule_names_groups_that_are_there(target: str):
    with pytest.raises(ValueError, match="names the group"):
        Rule("(a)", target)


def test_a_rule_names_a_transform_that_is_there():
    with pytest.raises(ValueError, match="there is no transform 'turn'"):
        Rule("a", "b", "turn")


def test_numbers_of_keras_are_counted_anew():
    names = ["conv2d_9/kernel", "conv2d_9/bias", "conv2d_10/kernel", "conv2d/kernel", "dense_7/kernel", "named/kernel"]
    assert list(counted_anew(names).values()) == [
        "conv2d_1/kernel", "conv2d_1/bias", "conv2d_2/kernel", "conv2d_0/kernel", "dense_0/kernel", "named_0/kernel",
    ]  # fmt: skip


# --- loading -------------------------------------------------------------------------------------


def test_all_that_fits_is_set(model: keras.Model):
    arrays = random_values(model)
    report = load(model, arrays, SAME)
    assert_equal(values(model), arrays)
    assert report.parameters == model.count_params()
    assert {(match.weight, match.array) for match in report.matches} == {(name, name) for name in arrays}


def test_names_by_position(model: keras.Model):
    arrays = random_values(model)
    counted: dict[str, int] = {}
    by_position = {}
    for name, array in arrays.items():
        layer = name.partition("/")[0]
        by_position[f"{layer}/{counted.get(layer, 0)}"] = array
        counted[layer] = counted.get(layer, 0) + 1
    load(model, by_position, SAME)
    assert_equal(values(model), arrays)


def test_a_normalization_computes_with_what_is_set():
    text = "archspec: 1\nname: n\ninputs: {data: [2]}\nlayers:\n  - Normalization:\n    name: n\n"
    model = archspec.loads(text).build()
    found = {"n/mean": np.array([1.0, 2.0]), "n/variance": np.array([4.0, 9.0]), "n/count": np.array(7)}
    load(model, found, SAME)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(np.array([[3.0, 8.0]]))), [[1.0, 2.0]])


def test_what_is_not_needed(model: keras.Model):
    arrays = random_values(model) | {"position_ids": np.arange(3)}
    report = load(model, arrays, (Rule("(.*/.*)", "{1}"), Rule("position_ids", None)))
    assert report.unused == ("position_ids",)


def test_a_fused_array_goes_to_several_weights():
    model = archspec.loads(
        "archspec: 1\nname: n\ninputs: {features: [2]}\nlayers: [{Dense: {units: 3, use_bias: false}, name: a}, "
        "{Dense: {units: 3, use_bias: false}, from: features, name: b}]\noutputs: [a, b]"
    ).build()
    fused = np.arange(12, dtype="float32").reshape(6, 2)
    rules = (Rule("qk", "a/kernel", "transpose split:2:0"), Rule("qk", "b/kernel", "transpose split:2:1"))
    load(model, {"qk": fused}, rules)
    np.testing.assert_array_equal(values(model)["a/kernel"], fused[:3].T)
    np.testing.assert_array_equal(values(model)["b/kernel"], fused[3:].T)


def broken(model: keras.Model, arrays: dict[str, np.ndarray], rules: tuple[Rule, ...] = SAME) -> WeightsError:
    """The error; the model must be as it was."""
    before = values(model)
    with pytest.raises(WeightsError) as raised:
        load(model, arrays, rules)
    assert_equal(values(model), before)
    return raised.value


def test_weights_without_an_array(model: keras.Model):
    arrays = random_values(model)
    del arrays["top/bias"]
    error = broken(model, arrays)
    assert list(error.unmatched_weights) == ["top/bias"] and len(error) == 1
    assert "no array for 1 weights\n    top/bias" in str(error)
    assert "nothing was changed" in str(error)


def test_arrays_without_a_weight(model: keras.Model):
    error = broken(model, random_values(model) | {"head/kernel": np.zeros(3)})
    assert list(error.unmatched_arrays) == ["head/kernel"] and len(error) == 1
    assert "no weight for 1 arrays\n    head/kernel" in str(error)


def test_misshapen_arrays(model: keras.Model):
    arrays = random_values(model)
    arrays["top/bias"] = np.zeros(7, "float32")
    arrays["stem/kernel"] = arrays["stem/kernel"].transpose(3, 2, 0, 1)
    error = broken(model, arrays)
    assert list(error.misshapen) == [
        Misshapen("stem/kernel", (3, 3, 3, 4), "float32", "stem/kernel", (4, 3, 3, 3), "float32", "same", (4, 3, 3, 3)),
        Misshapen("top/bias", (5,), "float32", "top/bias", (7,), "float32", "same", (7,)),
    ]
    assert "top/bias is (5,) float32, top/bias is (7,) float32" in str(error)


def test_a_transform_that_cannot_be(model: keras.Model):
    rules = (Rule("top/bias", "top/bias", "split:2:0"), Rule("(?!top/bias)(.*)", "{1}"))
    (pair,) = broken(model, random_values(model), rules).misshapen
    assert pair.made is None and "'split:2:0' cannot be applied to" in str(pair)


@pytest.mark.parametrize("array", [np.array(list("abcde")), np.zeros(5, "complex64"), np.zeros(5, object)])
def test_arrays_that_hold_no_real_numbers(model: keras.Model, array: np.ndarray):
    assert len(broken(model, random_values(model) | {"top/bias": array}).misshapen) == 1


def test_several_arrays_for_one_weight(model: keras.Model):
    arrays = random_values(model) | {"extra": np.zeros(5)}
    error = broken(model, arrays, (*SAME, Rule("extra", "top/bias")))
    assert list(error.doubled) == [("top/bias", ("top/bias", "extra"))]


def test_a_shared_array_under_several_names(model: keras.Model):
    arrays = random_values(model)
    load(model, arrays | {"tied": arrays["top/bias"].copy()}, (*SAME, Rule("tied", "top/bias")))
    assert_equal(values(model), arrays)


def test_what_is_not_needed_but_has_a_place(model: keras.Model):
    arrays = random_values(model)
    report = load(model, arrays, (*SAME, Rule("top/.*", None)))
    assert report.unused == () and len(report.matches) == len(arrays)


def test_long_lists_are_cut(model: keras.Model):
    error = broken(model, {f"a{i}": np.zeros(1) for i in range(25)})
    assert "… and 15 more" in str(error) and len(error.unmatched_arrays) == 25


# --- files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["net.weights.h5", "net.keras", "net.h5", "net.npz", "net.safetensors"])
def test_a_file_of_each_kind(model: keras.Model, tmp_path: Path, file: str):
    path = tmp_path / file
    arrays = random_values(model)
    load(model, arrays, SAME)
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    elif path.suffix == ".safetensors":
        save_file(arrays, path)
    elif file == "net.weights.h5":
        model.save_weights(path)
    else:
        model.compile("adam")
        model.optimizer.build(model.trainable_variables)
        model.save(path)
    fresh = archspec.loads(SPEC).build()
    found = read(path)
    assert find_mapping(fresh, found) == "archspec"
    load(fresh, found, mappings()["archspec"])
    assert_equal(values(fresh), arrays)


def refused(path: Path) -> str:
    with pytest.raises(UnreadableError) as raised:
        read(path)
    return str(raised.value)


def test_nothing_is_unpickled(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], object))
    assert "allow_pickle" in refused(tmp_path / "a.npz")
    (tmp_path / "a.bin").write_bytes(pickle.dumps({}))
    assert "weights are read from" in refused(tmp_path / "a.bin")


@pytest.mark.parametrize("suffix", [".h5", ".keras", ".npz", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all, but text"])
def test_files_that_are_none(tmp_path: Path, suffix: str, content: bytes):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    assert str(path) in refused(path)


def test_no_file(tmp_path: Path):
    assert "there is no such file" in refused(tmp_path / "a.h5")


def test_links_out_of_a_file_are_refused(tmp_path: Path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["x"] = np.zeros(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("layers/dense/vars")["0"] = h5py.ExternalLink("secret.h5", "x")
    assert "is a link" in refused(tmp_path / "a.h5")
    layout = h5py.VirtualLayout((3,), "float64")
    layout[:] = h5py.VirtualSource(str(secret), "x", (3,))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_group("layers/dense/vars").create_virtual_dataset("0", layout)
    assert "in the file itself" in refused(tmp_path / "b.h5")
    (tmp_path / "raw").write_bytes(bytes(24))
    with h5py.File(tmp_path / "c.h5", "w") as file:
        group = file.create_group("layers/dense/vars")
        group.create_dataset("0", (3,), "float64", external=[(str(tmp_path / "raw"), 0, 24)])
    assert "in the file itself" in refused(tmp_path / "c.h5")


def test_no_size_is_believed(tmp_path: Path):
    """A small file may not fill the memory, by what it packs or by what it says of itself."""
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros(2**24 + 1, np.float32))
    assert "would unpack to" in refused(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive, archive.open("x.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, {"descr": "<f4", "fortran_order": False, "shape": (2**50,)})
    assert "b.npz cannot be read" in refused(tmp_path / "b.npz")
    with h5py.File(tmp_path / "c.h5", "w") as file:
        options: dict[str, Any] = {"chunks": (1, 1_000_000), "compression": "gzip"}
        file.create_group("layers/dense/vars").create_dataset("0", (4, 10_000_000), "f4", **options)
    assert "c.h5 cannot be read: the weight 0 would unpack to" in refused(tmp_path / "c.h5")


def test_groups_that_hold_themselves(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["layers"] = file["/"]
    assert "a.h5" in refused(tmp_path / "a.h5")


def test_variables_of_old_files_go_by_position(tmp_path: Path):
    """Keras 1 named the weights of VGG block1_conv1_W_1 and block1_conv1_b_1."""
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"block1_conv1", b"flatten"]
        group = file.create_group("block1_conv1")
        group.attrs["weight_names"] = [b"block1_conv1_W_1:0", b"block1_conv1_b_1:0"]
        group["block1_conv1_b_1:0"], group["block1_conv1_W_1:0"] = np.zeros(4), np.zeros((3, 3, 3, 4))
        file.create_group("flatten").attrs["weight_names"] = []
    shapes = {name: array.shape for name, array in read(tmp_path / "old.h5").items()}
    assert shapes == {"block1_conv1/0": (3, 3, 3, 4), "block1_conv1/1": (4,)}


# --- ready mappings and the command --------------------------------------------------------------


def test_the_nearest_mapping_is_named(model: keras.Model):
    with pytest.raises(WeightsError) as raised:
        find_mapping(model, random_values(model) | {"more": np.zeros(1)})
    assert raised.value.mapping == "archspec" and list(raised.value.unmatched_arrays) == ["more"]


def run(*arguments: str | Path) -> tuple[int, str]:
    from archspec.cli import cli

    result = CliRunner().invoke(cli, ["weights", "import", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_command(model: keras.Model, tmp_path: Path):
    spec, weights, output = tmp_path / "small.yaml", tmp_path / "a.weights.h5", tmp_path / "out.keras"
    spec.write_text(SPEC)
    arrays = random_values(model)
    load(model, arrays, SAME)
    model.save_weights(weights)
    code, said = run(weights, spec, "-o", output)
    assert code == 0 and "by the mapping archspec" in said
    assert_equal(values(keras.models.load_model(output)), arrays)
    code, said = run(weights, spec, "-o", output)
    assert code == 1 and "--force" in said
    code, said = run(weights, spec, "-o", tmp_path / "b.keras", "--mapping", "keras_vg")
    assert code == 2 and "did you mean 'keras_vgg'?" in said


def test_the_command_saves_nothing_where_weights_do_not_fit(model: keras.Model, tmp_path: Path):
    spec, weights, output = tmp_path / "small.yaml", tmp_path / "a.weights.h5", tmp_path / "out.keras"
    spec.write_text(SPEC.replace("Dense: 5", "Dense: 6"))
    model.save_weights(weights)
    code, said = run(weights, spec, "-o", output)
    assert code == 1 and "top/bias is (6,) float32, top/1 is (5,) float32" in said
    assert not output.exists()

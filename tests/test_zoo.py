"""The zoo: every network that specs/index.yaml names has exactly the figures of docs/reference.json."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import pytest
import yaml

import archspec
from archspec.cli.check import expand

ROOT = Path(__file__).parent.parent
SPECS = ROOT / "specs"
INDEX: dict[str, str] = yaml.safe_load((SPECS / "index.yaml").read_text("utf-8"))
REFERENCE: dict[str, Any] = json.loads((ROOT / "docs/reference.json").read_text("utf-8"))
NETWORKS: dict[str, dict[str, Any]] = REFERENCE["networks"]
FRAMEWORKS = {"keras", "tensorflow", "jax", "torch", "numpy", "sklearn", "matplotlib", "graphviz"}


def figures(line: str, *changes: str) -> dict[str, Any]:
    """What archspec counts for a line of the index."""
    spec, *overrides = line.split()
    summary = archspec.load(SPECS / spec, changes=[*overrides, *changes]).summary().to_json()
    parameters = summary["parameters"]
    return {
        "params": parameters["total"],
        "trainable": parameters["trainable"],
        "non_trainable": parameters["non_trainable"],
        "macs": summary["macs"],
        "outputs": [output["shape"] for output in summary["outputs"].values()],
    }


def differences(name: str, measured: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where figures are not the reference's: both. What the reference does not know (null) is not compared."""
    wanted = {key: NETWORKS[name][key] for key in ("params", "trainable", "macs", "outputs")}
    if wanted["params"] is not None:
        wanted["non_trainable"] = wanted["params"] - wanted["trainable"]
    return {key: (measured[key], value) for key, value in wanted.items() if value not in (None, measured[key])}


def test_the_index_and_the_reference_have_the_same_names() -> None:
    assert sorted(INDEX) == sorted(NETWORKS)


def test_the_index_has_every_spec_and_family() -> None:
    others = {"digits_cnn.yaml", "gan_training.yaml", "lstm_text.yaml", "mobilenet_v2.yaml"}  # not of the collection
    files = {line.split()[0].split("@")[0] for line in INDEX.values()}
    assert files | others == {path.name for path in SPECS.glob("*.yaml")} - {"index.yaml"}
    assert {network["family"] for network in NETWORKS.values()} == set(REFERENCE["families"])


@pytest.mark.parametrize("name", INDEX)
def test_figures_are_exact(name: str) -> None:
    assert differences(name, figures(INDEX[name])) == {}


def test_only_what_nobody_published_is_not_compared() -> None:
    unknown = {name for name, network in NETWORKS.items() if None in network.values()}
    assert unknown == {"inception-v2-rethinking"}


@pytest.mark.parametrize(
    ("name", "change", "changed"),
    [
        ("cifar-resnet20-optA", "params.n=4", {"params", "trainable", "non_trainable", "macs"}),
        ("dcgan-discriminator-64 (pytorch examples)", "params.kernel=3", {"params", "trainable", "macs", "outputs"}),
        ("resnet50-torchvision", "params.form=paper", {"macs"}),
        ("googlenet-original", "params.batch_norm=true", {"params", "trainable", "non_trainable"}),
        ("t5-small", "params.length=256", {"macs", "outputs"}),
    ],
)
def test_breakages_are_noticed(name: str, change: str, changed: set[str]) -> None:
    assert set(differences(name, figures(INDEX[name], change))) == changed


@pytest.mark.parametrize("name", [name for name, network in NETWORKS.items() if "formula" in network])
def test_the_arithmetic_gives_the_figures(name: str) -> None:
    network = NETWORKS[name]
    found = {
        key: eval(formula, {"__builtins__": {"sum": sum, "range": range}})
        for key, formula in network["formula"].items()
    }
    assert found["trainable"] == network["trainable"] and found["macs"] == network["macs"]
    assert found["trainable"] + found.get("non_trainable", 0) == network["params"]


@pytest.mark.parametrize("path", sorted(SPECS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_specs_are_short(path: Path) -> None:
    limit = {"resnet": 109, "index": 300}.get(path.stem, 120)
    assert len(path.read_text("utf-8").splitlines()) <= limit


def test_every_variant_checks_in_one_process_without_a_framework() -> None:
    """Prints the seconds that it takes; `pytest -s` shows them."""
    script = (
        "import sys, time\nstart = time.perf_counter()\nfrom archspec.cli import main\ncode = main()\n"
        "print(code, time.perf_counter() - start, *{name.partition('.')[0] for name in sys.modules})\n"
    )
    command = [sys.executable, "-c", script, "check", "-q", "specs/"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    code, seconds, *loaded = run.stdout.split()
    print(f"archspec check specs/: {float(seconds):.1f} s")
    assert code == "0", run.stderr
    assert not FRAMEWORKS & set(loaded)


def test_an_index_is_not_a_spec(tmp_path: Path) -> None:
    texts = {
        "index.yaml": "# as one types it after `archspec check`\na: a.yaml # archspec\n",
        "a.yaml": "# a spec\narchspec: 1\n",
        "b.json": '{"name": "b", "archspec": 1}',
        "c.yaml": "\ufeff'archspec': 1\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, "utf-8")
    assert [Path(reference).name for reference in expand([str(tmp_path)])] == ["a.yaml", "b.json", "c.yaml"]
    assert str(SPECS / "index.yaml") not in list(expand([str(SPECS)]))


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("make_zoo", ROOT / "docs/make_zoo.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.PAGE.read_text("utf-8") == module.page(), "make it anew: make docs"


# --- the reference itself: Keras's constructors, counted without archspec ---------------------------

BUILT = [name for name, network in NETWORKS.items() if name.startswith("keras/") and network["params"] < 30_000_000]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_keras_has_the_figures_of_the_reference(name: str) -> None:
    model = _constructed(NETWORKS[name]["source"])
    trainable = sum(prod(weight.shape) for weight in model.trainable_weights)
    found = {"params": model.count_params(), "trainable": trainable, "macs": sum(map(_macs, model.layers))}
    assert found == {key: NETWORKS[name][key] for key in found}
    assert [list(output.shape[1:]) for output in model.outputs] == NETWORKS[name]["outputs"]


@cache
def _applications() -> Any:
    from archspec.start import start_keras

    start_keras()
    from keras import applications

    return applications


def _constructed(source: str) -> Any:
    """The model of `keras.applications.Name(argument=value, …), Keras 3.15.1`."""
    call = source.partition(", Keras ")[0].removeprefix("keras.applications.")
    constructor, _, arguments = call.partition("(")
    given: dict[str, Any] = eval(f"dict({arguments}")
    return getattr(_applications(), constructor)(**given)


def _macs(layer: Any) -> int:
    """A kernel's size, at each place of the output. The kernel of a depthwise convolution has what one place takes."""
    places = prod(layer.output.shape[1:-1])
    kernels = [weight for weight in layer.weights if weight.name.endswith("kernel")]
    return int(places * sum(prod(kernel.shape) for kernel in kernels))

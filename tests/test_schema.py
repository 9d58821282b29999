"""The JSON Schema: valid, up to date, and it tells right specs from wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from archspec.language.source import parse
from archspec.layers import catalogue
from archspec.schema import schema, schema_text

ROOT = Path(__file__).parent.parent
SPECS = sorted({*ROOT.glob("specs/**/*.yaml"), *ROOT.glob("archspec/templates/*.yaml")} - {ROOT / "specs/index.yaml"})


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    made = schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def test_the_file_is_up_to_date() -> None:
    written = (ROOT / "docs/schema.json").read_text("utf-8")
    assert written == schema_text(), "make it anew: archspec schema -o docs/schema.json"


def test_its_size_stays_sensible() -> None:
    assert len(schema_text()) < 600_000


def test_references_lead_somewhere() -> None:
    made = schema()

    def references(value: Any) -> set[str]:
        if isinstance(value, dict):
            own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
            return own.union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    defined = {f"#/$defs/{name}" for name in made["$defs"]}
    assert references(made) == defined, "every definition is used, and every one used is there"


def test_every_layer_is_a_verb_with_its_docstring() -> None:
    made = schema()
    for name, cls in catalogue().items():
        assert made["$defs"]["step"]["anyOf"][0]["properties"][name] == {"$ref": f"#/$defs/layer.{cls.__name__}"}
        assert made["$defs"][f"layer.{cls.__name__}"]["description"]


@pytest.mark.parametrize("path", SPECS, ids=[path.stem for path in SPECS])
def test_right_specs_are_valid(validator: jsonschema.Draft202012Validator, path: Path) -> None:
    data = parse(path.read_text("utf-8"), str(path)).data
    assert [error.message for error in validator.iter_errors(data)] == []


def _spec(**changes: Any) -> dict[str, Any]:
    return {"archspec": 1, "name": "net", "inputs": {"a": [8, None]}, "layers": ["Flatten"], **changes}


RIGHT = [
    _spec(),
    _spec(layers=[{"Dense": 10}, {"Dense": "=classes"}, {"Dense": {"units": "=2 * n"}}, "ReLU", {"ReLU": None}]),
    _spec(layers=[{"conv_bn": {"filters": 3}, "repeat": 2, "share": True}, {"=block": {}}, {"lib.block": None}]),
    _spec(
        layers=[
            {"add": {"skip": "x", "f": [{"Dense": 8}]}},
            {"concat": ["a", []]},
            {"concat": None, "from": ["a", "b"]},
        ]
    ),
    _spec(
        layers=[{"concat": {"a": "a", "b": [], "axis": "=1"}}, {"expr": "x + 1"}, {"let": {"a": "b"}}, {"reuse": "a"}]
    ),
    _spec(layers=[{"Bidirectional": {"layer": {"LSTM": 64}}}, {"RNN": {"cell": [{"LSTMCell": 3}, {"GRUCell": 2}]}}]),
    _spec(layers=[{"Dense": {"units": 3, "kernel_initializer": "he_normal", "kernel_regularizer": {"L2": 1e-4}}}]),
    _spec(layers=[{"ops.transpose": {"axes": [0, 2, 1]}}, {"ops.softmax": -1}, {"layers": ["ReLU"], "when": "=n > 1"}]),
    _spec(
        layers=[{"MultiHeadAttention": {"num_heads": 2, "key_dim": 3, "use_causal_mask": True}, "from": {"query": "x"}}]
    ),
    _spec(params={"a": "int", "b": 3, "c": {"type": "int", "default": 3, "min": 1}, "d": [1, 2]}, variants={"s": None}),
    _spec(data={"source": "sklearn", "preprocess": {"a": [{"Rescaling": {"scale": "=1 / 16"}}]}, "batch_size": 4}),
    _spec(
        train={
            "loss": {"a": "mse", "b": {"Huber": 2.0}},
            "metrics": "accuracy",
            "optimizer": {"SGD": {"momentum": 0.9}},
        }
    ),
    _spec(
        train={
            "metrics": {"a": ["accuracy", {"F1Score": {"average": "macro"}}], "b": "mae"},
            "callbacks": ["TerminateOnNaN"],
        }
    ),
    _spec(run={"backend": "jax", "jit": True}, outputs={"digit": "x"}),
    {"archspec": 1, "name": "library", "blocks": {"b": {"layers": ["ReLU"]}}},
    {"extends": "base.yaml@small", "params": {"n": 3}},
]
WRONG = [
    {"archspec": 1, "name": "net"},
    {"name": "net", "layers": ["ReLU"]},
    _spec(archspec=2),
    _spec(layer=["ReLU"]),
    _spec(layers="ReLU"),
    _spec(layers=[{"Dense": {"units": "many"}}]),
    _spec(layers=[{"Dense": {"units": 0}}]),
    _spec(layers=[{"Dense": {"unit": 3}}]),
    _spec(layers=[{"Dense": {}}]),
    _spec(layers=[{"Conv2D": 8}]),
    _spec(layers=[{"Dropout": 1.5}]),
    _spec(layers=[{"Conv2D": {"filters": 8, "kernel_size": [3, 3, 3]}}]),
    _spec(layers=[{"Dense": {"units": 3, "kernel_initializer": "he_norml"}}]),
    _spec(layers=[{"Dense": {"units": 3, "kernel_regularizer": {"L2": {"l3": 1}}}}]),
    _spec(layers=[{"Bidirectional": {"layer": {"LSTMM": 64}}}]),
    _spec(layers=[{"Dense": 10, "repeat": "twice"}]),
    _spec(layers=[{"Dense": 10, "share": "yes"}]),
    _spec(layers=[{"name": "a", "when": True}]),
    _spec(layers=[{"conv bn": {}}]),
    _spec(layers=[3]),
    _spec(layers=[{"ops.transpose": {"axis": [0, 1]}}]),
    _spec(inputs={"a": ["wide", 3]}),
    _spec(inputs={"a": {"shap": [3]}}),
    _spec(blocks={"b": {"params": {}}}),
    _spec(data={"source": {"sklearn": "mnist"}}),
    _spec(data={"augment": "RandomFlip"}),
    _spec(train={"epochs": 0}),
    _spec(train={"optimizer": {"SDG": {}}}),
    _spec(train={"loss": {"Huber": {"delt": 1.0}}}),
    _spec(run={"backend": "torch"}),
]


@pytest.mark.parametrize("data", RIGHT, ids=str)
def test_right_forms_are_valid(validator: jsonschema.Draft202012Validator, data: dict[str, Any]) -> None:
    assert [error.message for error in validator.iter_errors(data)] == []


@pytest.mark.parametrize("data", WRONG, ids=str)
def test_clear_mistakes_are_not(validator: jsonschema.Draft202012Validator, data: dict[str, Any]) -> None:
    assert not validator.is_valid(data)

"""What a run's network makes of new inputs, in the words of its data: class names, probabilities, amounts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.graph.ir import Graph
from archspec.train.check import check_settings
from archspec.train.evaluate import use_backend
from archspec.train.folder import RunFailed
from archspec.train.inputs import Given, read_inputs
from archspec.train.runs import RunFolder, open_run, trained_model
from archspec.train.saved import load_model, preprocessing
from archspec.train.sections import Sections
from archspec.train.signature import Signature, read_signature

if TYPE_CHECKING:
    import keras
    import numpy as np

    from archspec.train.figures.task import Task

LISTED = 1000  # numbers of an output that are listed; larger ones are for .npz files


@dataclass(frozen=True)
class Answer:
    """What one output says of one example.

    `likely` holds classes with their probabilities (margins for hinge losses), the likeliest first: all labels where
    several may hold, the shares of an example's places where each place has a class. `values` are amounts.
    """

    kind: str
    raw: np.ndarray
    likely: tuple[tuple[str, float], ...] = ()
    values: tuple[float, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        if self.kind == "amounts":
            shape = list(self.raw.shape)
            return {"shape": shape, "values": self.raw.tolist() if self.values is not None else None}
        if self.kind == "labels":
            return {"labels": [name for name, share in self.likely if share > 0.5], "all": dict(self.likely)}
        top = [{"class": name, "probability": share} for name, share in self.likely]
        return top[0] | {"top": top} if self.kind == "class" else {"places": dict(self.likely)}


@dataclass(frozen=True)
class Prediction:
    """One example's name (its file, row or text), and each output's answer."""

    name: str
    answers: Mapping[str, Answer]

    def to_json(self) -> dict[str, Any]:
        return {"input": self.name} | {output: answer.to_json() for output, answer in self.answers.items()}


@dataclass(frozen=True)
class Predictor:
    """A run's network, ready for inputs."""

    run: RunFolder
    graph: Graph
    settings: Sections
    signature: Signature
    network: keras.Model
    preprocess: Mapping[str, keras.Model]

    def predict(self, paths: Sequence[Path], top: int = 3) -> Iterator[Prediction]:
        """The predictions for all examples in the files, a batch at a time. Raises RunFailed."""
        size = self.settings.data.batch_size
        for given in read_inputs(paths, self.signature.inputs, self.settings.data.source):
            for start in range(0, len(given.names), size):
                yield from self._batch(given, start, min(start + size, len(given.names)), top)

    def _batch(self, given: Given, start: int, end: int, top: int) -> Iterator[Prediction]:
        import numpy as np

        from archspec.train.feed import apply, cast

        values = given.take(start, end)
        x = []
        for name in self.graph.inputs:
            made = apply(self.preprocess[name], values[name]) if name in self.preprocess else values[name]
            x.append(cast(made, self.graph.nodes[name].outputs[0].dtype))
        predicted = self.network.predict_on_batch(tuple(x) if len(x) > 1 else x[0])
        if not isinstance(predicted, Mapping):
            predicted = {next(iter(self.graph.outputs)): predicted}
        arrays = {name: np.asarray(value) for name, value in predicted.items()}
        arrays = {name: value.astype("float32") if value.dtype.kind not in "iub" and value.dtype.itemsize < 4 else value
                  for name, value in arrays.items()}  # fmt: skip
        tasks = {name: self._task(name, value) for name, value in arrays.items()}
        for i in range(end - start):
            answers = {name: _answer(tasks[name], value[i], top) for name, value in arrays.items()}
            yield Prediction(given.names[start + i], answers)

    def _task(self, output: str, predicted: np.ndarray) -> Task:
        """What the report took the output for; where there is no report, what its loss says."""
        from archspec.train.figures.task import Task, task

        loss = self.settings.losses(self.graph).get(output)
        judged = self.run.results.get("figures", {}).get(output)
        if loss is None or predicted.ndim < 2 or (judged is not None and judged["task"] == "amounts"):
            return Task(output, "amounts")
        found = task(output, loss, self.signature.classes.get(output), False, None, predicted)
        return found or Task(output, "amounts")


def predictor(path: Path) -> Predictor:
    """Opens a run for predictions: from its folder alone, without its data. Raises RunFailed."""
    run, architecture = open_run(path)
    file = trained_model(run)
    graph = architecture.graph
    settings = check_settings(architecture.document, graph)
    signature = read_signature(path)
    use_backend(run, settings)
    network = load_model(file)
    if len(network.inputs) != len(graph.inputs):
        raise RunFailed(f"{str(file)!r} is not the network of the run's resolved.yaml")
    return Predictor(run, graph, settings, signature, network, preprocessing(run, tuple(graph.inputs)))


def _answer(task: Task, raw: np.ndarray, top: int) -> Answer:
    import numpy as np

    if task.kind == "amounts":
        return Answer("amounts", raw, values=tuple(map(float, raw.reshape(-1))) if raw.size <= LISTED else None)
    scores = _scores(task, raw)
    if task.kind == "labels" and not task.places:
        return Answer("labels", raw, tuple(zip(task.classes, map(float, scores), strict=True)))
    if task.places:
        chosen = scores.argmax(-1) if task.kind == "classes" else (scores > 0.5).reshape(-1)
        shares = np.bincount(chosen.reshape(-1), minlength=len(task.classes)) / chosen.size
        there = [code for code in np.argsort(-shares, kind="stable") if shares[code]]
        return Answer("places", raw, tuple((task.classes[code], float(shares[code])) for code in there))
    if task.kind == "binary":
        scores = np.concatenate([1 - scores.reshape(1), scores.reshape(1)])
    order = np.argsort(-scores, kind="stable")[:top]
    return Answer("class", raw, tuple((task.classes[code], float(scores[code])) for code in order))


def _scores(task: Task, raw: np.ndarray) -> np.ndarray:
    """Probabilities from what the network gives; of a margin, whether it is above its threshold."""
    from scipy.special import expit, softmax

    if task.kind == "classes":
        return softmax(raw, axis=-1) if task.scores == "logits" else raw
    if task.scores == "margins":
        return (raw > 0).astype("float32")
    return expit(raw) if task.scores == "logits" else raw


def write_predictions(path: Path, predictions: Sequence[Prediction]) -> None:
    """Writes all predictions: .json as `to_json` has them, .csv with a line for each, .npz with the raw outputs.

    Raises RunFailed where a table cannot hold them.
    """
    import numpy as np

    if path.suffix == ".json":
        text = json.dumps([each.to_json() for each in predictions], indent=2, ensure_ascii=False)
        path.write_text(f"{text}\n", "utf-8")
    elif path.suffix == ".npz":
        outputs = {name: np.stack([p.answers[name].raw for p in predictions]) for name in predictions[0].answers}
        arrays: dict[str, Any] = {"input": np.array([p.name for p in predictions])} | outputs
        np.savez(path, **arrays)
    else:
        _write_csv(path, predictions)


def _write_csv(path: Path, predictions: Sequence[Prediction]) -> None:
    import csv

    rows = [{"input": each.name} | _row(each) for each in predictions]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)


def _row(prediction: Prediction) -> dict[str, Any]:
    """A prediction as columns, which begin with the output's name where there are several."""
    row: dict[str, Any] = {}
    for output, answer in prediction.answers.items():
        of = f"{output}_" if len(prediction.answers) > 1 else ""
        if answer.kind == "amounts":
            if answer.values is None:
                raise RunFailed(f"{output} has {answer.raw.size:,} numbers, too many for a table", help="write an .npz")
            single = len(answer.values) == 1
            row |= {f"{of}value" if single else f"{of}value_{i}": v for i, v in enumerate(answer.values)}
        elif answer.kind == "class":
            for i, (name, share) in enumerate(answer.likely, 1):
                end = "" if i == 1 else f"_{i}"
                row |= {f"{of}class{end}": name, f"{of}probability{end}": share}
        else:
            row |= {f"{of}{name}": share for name, share in answer.likely}
    return row

"""From a spec to a trained network in a run folder of its own."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.base import Column
from archspec.data.plan import Plan, plan
from archspec.data.split import count
from archspec.diagnostics import Diagnostic, SpecError
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.layers.objects import Object
from archspec.train.check import check_settings, check_validation, require_loss
from archspec.train.class_weight import class_weight
from archspec.train.environment import choose_backend, environment
from archspec.train.folder import RunFailed, Status, new_folder, write_json, write_spec
from archspec.train.report import Outcome, show, write_curves, write_report
from archspec.train.report.inputs import inputs_at
from archspec.train.sections import Sections, sections
from archspec.train.settings import by_output
from archspec.train.signature import write_signature
from archspec.train.tensorboard import check_tensorboard, tensorboard

if TYPE_CHECKING:
    import keras

    from archspec.train.feed import Feed, Feeds
    from archspec.train.figures import Judged
    from archspec.train.record import Record


@dataclass(frozen=True)
class TrainedRun:
    """A run that ended well: its folder, its final figures (on the test split, else on what there is), each epoch's."""

    path: Path
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]


def train(
    document: Document,
    graph: Graph,
    run_dir: Path | str | None = None,
    *,
    runs: Path | str = "runs",
    quiet: bool = False,
) -> TrainedRun:
    """Trains the network and leaves all there is to know in `run_dir`, or in the next `runs/NAME-001`.

    Raises SpecError before anything is written where the spec or the data are wrong, and RunFailed where the run
    cannot begin or breaks off; its folder then holds what there was.
    """
    settings = check_settings(document, graph)
    require_loss(document, settings)
    ready = plan(document, graph, settings.data, settings.losses(graph))
    check_validation(document, settings, count(ready.parts.validation))
    check_tensorboard(document, settings)
    weights = class_weight(document, settings, ready)
    settings = sections(document, -(-count(ready.parts.train) // settings.data.batch_size))
    try:
        choose_backend(settings.run.backend)
    except RuntimeError as error:
        raise RunFailed(str(error), help="train it in a process of its own: archspec train …") from error
    device = _device(document, settings.run.devices)
    folder = new_folder(document.name, Path(run_dir) if run_dir is not None else None, Path(runs))
    try:
        with Status(folder), device:
            return _Run(document, graph, settings, ready, weights, folder, quiet).all()
    except OSError as error:
        raise RunFailed(f"the run broke off: {error}", folder) from error


@dataclass(frozen=True)
class _Run:
    """One run's parts, which its steps share."""

    document: Document
    graph: Graph
    settings: Sections
    plan: Plan
    class_weight: Mapping[int, float] | None
    folder: Path
    quiet: bool

    def all(self) -> TrainedRun:
        import keras

        began, started = time.perf_counter(), datetime.datetime.now(datetime.UTC)
        write_spec(self.folder, self.document)
        write_signature(self.folder, self.document, self.plan)
        self.write_environment(started)
        self.draw()
        keras.utils.set_random_seed(self.settings.run.seed)
        fed = self.feeds()
        network, model = models(self.graph, self.settings, self.plan)
        sizes = ", ".join(f"{split} {size:,}" for split, size in fed.sizes.items())
        parameters = _parameters(self.graph)["total"]
        self.say(f"{self.document.name} → {self.folder}\n{parameters:,} parameters; examples: {sizes}")
        record = self.fit(model, network, fed)
        network.save(self.folder / "model.keras")
        metrics = self.evaluate(model, fed, record)
        judged = self.judge(network, fed)
        seconds = time.perf_counter() - began
        facts = self.write_environment(started, datetime.datetime.now(datetime.UTC))
        self.report(fed, record, metrics, judged, seconds, facts)
        final = metrics["test"] or metrics["validation"] or metrics["train"]
        return TrainedRun(self.folder, final, tuple(record.lines))

    def say(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def feeds(self) -> Feeds:
        """The examples, and the preprocessing that they went through beside the model: one needs the other."""
        from archspec.train.feed import feeds

        data = self.settings.data
        fed = feeds(self.plan, self.graph, data.batch_size, data.shuffle, self.settings.run.seed)
        for name, preprocess in fed.preprocess.items():
            several = f"-{name}" if len(self.graph.inputs) > 1 else ""
            preprocess.save(self.folder / f"preprocess{several}.keras")
        return fed

    def fit(self, model: keras.Model, network: keras.Model, fed: Feeds) -> Record:
        from archspec.train.record import Record

        given = self.settings.train
        record = Record(self.folder / "metrics.csv", fed.validation is not None)
        arguments = self.arguments(fed.train)
        arguments["shuffle"] = self.settings.data.shuffle and fed.train.y is not None  # a stream shuffles itself
        if fed.validation:
            pair = fed.validation.x if fed.validation.y is None else (fed.validation.x, fed.validation.y)
            arguments |= {"validation_data": pair, "validation_freq": given.validation_freq}
        try:
            model.fit(
                **arguments,
                epochs=given.epochs,
                class_weight=self.class_weight,
                callbacks=[*map(_made, given.callbacks), record, *tensorboard(self.folder, self.settings)],
                verbose=self.verbose(),
            )
        except KeyboardInterrupt as error:
            network.save(self.folder / "model.keras")
            when = f"interrupted in epoch {len(record.lines) + 1} of {given.epochs}"
            raise RunFailed(f"{when}; model.keras holds the weights so far", self.folder) from error
        finally:
            if record.lines:
                write_curves(self.folder, record.lines)
        if record.broken:
            help = "lower the learning rate, clip the gradients (clipnorm: 1.0), or look for NaN among the data"
            raise RunFailed(record.broken, self.folder, help)
        return record

    def arguments(self, feed: Feed) -> dict[str, Any]:
        """A split as `fit` and `evaluate` take it: a stream has its batches already."""
        if feed.y is None:
            return {"x": feed.x}
        return {"x": feed.x, "y": feed.y, "batch_size": self.settings.data.batch_size}

    def verbose(self) -> int:
        """Keras's bar on a terminal, a line for each epoch elsewhere."""
        return 0 if self.quiet else 1 if sys.stdout.isatty() else 2

    def evaluate(self, model: keras.Model, fed: Feeds, record: Record) -> dict[str, dict[str, float]]:
        """The figures of each split; the training split's are the last epoch's, measured as it went."""
        figures: dict[str, dict[str, float]] = {"test": {}, "validation": {}}
        for split, feed in (("test", fed.test), ("validation", fed.validation)):
            if feed:
                got = model.evaluate(**self.arguments(feed), verbose=0, return_dict=True)
                figures[split] = {name: float(value) for name, value in got.items()}
        measured = [name for name in record.names if name not in ("epoch", "learning_rate", "seconds")]
        return figures | {"train": {n: record.lines[-1][n] for n in measured if not n.startswith("val_")}}

    def judge(self, network: keras.Model, fed: Feeds) -> dict[str, Judged]:
        """The figures of what the network predicts for the test examples, else for those of validation."""
        from archspec.train.figures import judge

        split, feed = ("test", fed.test) if fed.test else ("validation", fed.validation)
        if feed is None:
            return {}
        losses = self.settings.losses(self.graph)
        return judge(network, self.plan, losses, feed, split, self.settings.data.batch_size)

    def report(
        self,
        fed: Feeds,
        record: Record,
        metrics: Mapping[str, Mapping[str, float]],
        judged: Mapping[str, Judged],
        seconds: float,
        environment: Mapping[str, Any],
    ) -> None:
        import keras

        results = {
            "name": self.document.name,
            "description": self.document.spec.description,
            "metrics": metrics,
            "figures": {output: each.to_json() for output, each in judged.items()},
            "examples": fed.sizes,
            "parameters": _parameters(self.graph),
            "classes": {output: list(names) for output, names in self.plan.classes.items()},
            "epochs": len(record.lines),
            "seconds": round(seconds, 3),
            "backend": keras.backend.backend(),
            "precision": self.settings.run.precision,
            "seed": self.settings.run.seed,
        }
        inputs = self.shown(judged)
        write_report(self.folder, Outcome(results, record.lines, judged, inputs, self.columns(), environment))
        for split in ("test", "validation"):
            if metrics[split]:
                shown = ", ".join(f"{name} {show(name, value)}" for name, value in metrics[split].items())
                self.say(f"{split}: {shown}")
        self.say(f"{seconds:.0f} s; the model and a report lie in {self.folder}")

    def shown(self, judged: Mapping[str, Judged]) -> dict[int, Any]:
        """The inputs of the examples that the report shows, as they were before preprocessing."""
        parts = self.plan.parts
        places = [example.index for each in judged.values() for example in each.collected.examples()]
        return inputs_at(self.plan, parts.test or parts.validation or {}, places)

    def columns(self) -> dict[str, tuple[Column, ...]]:
        """The columns of a table that make up the inputs, by input."""
        source = self.plan.source
        return {name: source.columns[field] for name, field in self.plan.inputs.items() if field in source.columns}

    def write_environment(self, started: datetime.datetime, ended: datetime.datetime | None = None) -> dict[str, Any]:
        """What the run depends on, written before it begins and again with the time it ended."""
        run = self.settings.run
        facts = {
            **environment(),
            "seed": run.seed,
            "precision": run.precision,
            "data": self.plan.source.fingerprint,
            "spec": self.document.file,
            "variant": self.document.variant,
            "started": started.isoformat(timespec="seconds"),
            "ended": ended.isoformat(timespec="seconds") if ended else None,
        }
        write_json(self.folder / "environment.json", facts)
        return facts

    def draw(self) -> None:
        """The network's picture; a machine that cannot draw still trains."""
        from archspec.draw import DrawError, draw

        try:
            draw(self.graph, self.folder / "network.svg")
        except DrawError as error:
            self.say(f"no picture of the network: {error}")


def models(graph: Graph, settings: Sections, plan: Plan) -> tuple[keras.Model, keras.Model]:
    """The network, and the compiled model that trains it."""
    import keras

    from archspec.build import build
    from archspec.train.compose import augment_models, compose

    run = settings.run
    augment = augment_models(plan.augment)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(run.precision)
    try:
        keras.utils.set_random_seed(run.seed)  # weights do not depend on what was built before
        network = build(graph)
        model = compose(network, graph, augment, tuple(settings.losses(graph)))
        model.compile(**_compile_arguments(graph, settings))
    finally:
        keras.config.set_dtype_policy(before)
    return network, model


def _compile_arguments(graph: Graph, settings: Sections) -> dict[str, Any]:
    given, losses = settings.train, settings.losses(graph)
    made = {name: _made(loss) for name, loss in losses.items()}
    metrics = {name: [*map(_made, each)] for name, each in by_output(given.metrics, tuple(losses)).items()}
    one = len(losses) == 1  # a single output stands alone, as its target does
    return {
        "optimizer": _made(given.optimizer),
        "loss": next(iter(made.values())) if one else made,
        "loss_weights": None if one else dict.fromkeys(losses, 1.0) | (given.loss_weights or {}),
        "metrics": next(iter(metrics.values()), None) if one else metrics,
        "jit_compile": settings.run.jit,
        "steps_per_execution": given.steps_per_execution,
    }


def _made(given: Object | str) -> Any:
    """Keras's object; the few names that Keras resolves by shape stay names."""
    from archspec.build.objects import keras_object

    return given if isinstance(given, str) else keras_object(given)


def _parameters(graph: Graph) -> dict[str, int]:
    weights = [(w.size, w.trainable and node.trainable) for node in graph.nodes.values() for w in graph.weights(node)]
    return {"total": sum(size for size, _ in weights), "trainable": sum(size for size, learnt in weights if learnt)}


def _device(document: Document, wanted: str) -> contextlib.AbstractContextManager[Any]:
    """The context in which everything runs on the wanted device. Raises SpecError where there is none."""
    import keras

    if wanted == "auto":
        return contextlib.nullcontext()
    if wanted == "gpu" and not keras.distribution.list_devices("gpu"):
        span = document.mark.at("run", "devices").span
        message = f"no GPU can be seen by {keras.backend.backend()}"
        raise SpecError([Diagnostic("E504", message, span, help="run: {devices: auto}")], document.texts)
    context: contextlib.AbstractContextManager[Any] = keras.device(f"{wanted}:0")
    return context

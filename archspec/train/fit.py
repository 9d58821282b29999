"""From a spec to a trained network in a run folder of its own."""

from __future__ import annotations

import contextlib
import datetime
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.plan import Plan, plan
from archspec.data.split import count
from archspec.diagnostics import Diagnostic, SpecError
from archspec.graph.ir import Graph
from archspec.language import Document
from archspec.layers.objects import Object
from archspec.train.environment import choose_backend, environment
from archspec.train.folder import RunFailed, Status, new_folder, write_json, write_spec
from archspec.train.report import show, write_curves, write_report
from archspec.train.sections import Sections, check_validation, require_loss, sections
from archspec.train.settings import by_output

if TYPE_CHECKING:
    import keras

    from archspec.data.feed import Feed, Feeds
    from archspec.train.record import Record


@dataclass(frozen=True)
class Trained:
    """A run that ended well: its folder, its final figures (the test split's, else the validation's, else the training's)

    and each epoch's."""

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
) -> Trained:
    """Trains the network and leaves all there is to know in `run_dir`, or in the next `runs/NAME-001`.

    Raises SpecError before anything is written where the spec or the data are wrong, and RunFailed where the run
    cannot begin or breaks off; its folder then holds what there was.
    """
    settings = sections(document, graph)
    require_loss(document, settings)
    ready = plan(document, graph, settings.data, settings.losses(graph))
    check_validation(document, settings, count(ready.parts.validation))
    steps = -(-count(ready.parts.train) // settings.data.batch_size)
    settings = sections(document, graph, steps)
    try:
        choose_backend(settings.run.backend)
    except RuntimeError as error:
        raise RunFailed(str(error), help="train it in a process of its own: archspec train …") from error
    device = _device(document, settings)
    folder = new_folder(document.name, Path(run_dir) if run_dir is not None else None, Path(runs))
    say: Callable[[str], None] = (lambda text: None) if quiet else (lambda text: print(text, flush=True))
    try:
        with Status(folder), device:
            run = _Run(document, graph, settings, ready, folder, quiet, say)
            return run.all()
    except OSError as error:
        raise RunFailed(f"the run broke off: {error}", folder) from error


@dataclass
class _Run:
    document: Document
    graph: Graph
    settings: Sections
    plan: Plan
    folder: Path
    quiet: bool
    say: Callable[[str], None]

    def all(self) -> Trained:
        import keras

        began = time.perf_counter()
        write_spec(self.folder, self.document)
        self.write_environment(None)
        keras.utils.set_random_seed(self.settings.run.seed)
        from archspec.data.feed import feeds

        data, seed = self.settings.data, self.settings.run.seed
        fed = feeds(self.plan, self.graph, data.batch_size, data.shuffle, seed)
        for name, preprocess in fed.preprocess.items():
            several = f"-{name}" if len(self.graph.inputs) > 1 else ""
            preprocess.save(self.folder / f"preprocess{several}.keras")
        network, model = self.models()
        self.draw()
        self.say(
            f"{self.document.name} → {self.folder}\n"
            f"{network.count_params():,} parameters; examples: {fed.train.size:,} to train, "
            f"{fed.validation.size if fed.validation else 0:,} to validate, {fed.test.size if fed.test else 0:,} to test"
        )
        record = self.fit(model, network, fed)
        network.save(self.folder / "model.keras")
        metrics = self.evaluate(model, fed, record)
        self.results(network, fed, record, metrics, time.perf_counter() - began)
        self.write_environment(time.perf_counter() - began)
        final = metrics["test"] or metrics["validation"] or metrics["train"]
        return Trained(self.folder, final, tuple(record.lines))

    def models(self) -> tuple[keras.Model, keras.Model]:
        """The network, and the compiled model that trains it."""
        import keras

        from archspec.build import build
        from archspec.train.compose import augment_models, compose

        run = self.settings.run
        augment = augment_models(self.plan.augment)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(run.precision)
        try:
            keras.utils.set_random_seed(run.seed)  # weights do not depend on what was built before
            network = build(self.graph)
            model = compose(network, self.graph, augment, tuple(self.settings.losses(self.graph)))
            model.compile(**self.compile_arguments())
        finally:
            keras.config.set_dtype_policy(before)
        return network, model

    def compile_arguments(self) -> dict[str, Any]:
        settings, run = self.settings.train, self.settings.run
        losses = self.settings.losses(self.graph)
        metrics = by_output(settings.metrics, tuple(losses))
        made_losses = {name: _made(loss) for name, loss in losses.items()}
        made_metrics = {name: [_made(metric) for metric in several] for name, several in metrics.items()}
        one = len(losses) == 1
        return {
            "optimizer": _made(settings.optimizer),
            "loss": next(iter(made_losses.values())) if one else made_losses,
            "loss_weights": settings.loss_weights if not one else None,
            "metrics": next(iter(made_metrics.values()), None) if one else made_metrics,
            "jit_compile": run.jit,
            "steps_per_execution": settings.steps_per_execution,
        }

    def fit(self, model: keras.Model, network: keras.Model, fed: Feeds) -> Record:
        from archspec.train.record import Record

        settings = self.settings.train
        record = Record(self.folder / "metrics.csv", fed.validation is not None)
        validation = fed.validation
        arguments = _arguments(fed.train, self.settings.data.batch_size)
        if fed.train.y is not None:
            arguments["shuffle"] = self.settings.data.shuffle
        if validation is not None:
            pair = (validation.x, validation.y) if validation.y is not None else validation.x
            arguments |= {"validation_data": pair, "validation_freq": settings.validation_freq}
        try:
            model.fit(
                **arguments,
                epochs=settings.epochs,
                class_weight=self.class_weight(),
                callbacks=[*map(_made, settings.callbacks), record],
                verbose=0 if self.quiet else 1 if sys.stdout.isatty() else 2,
            )
        except KeyboardInterrupt as error:
            network.save(self.folder / "model.keras")
            self.curves(record)
            said = f"interrupted in epoch {len(record.lines) + 1} of {settings.epochs}; model.keras holds the weights so far"
            raise RunFailed(said, self.folder) from error
        finally:
            if record.broken:
                self.curves(record)
        if record.broken:
            help = "lower the learning rate, clip the gradients (clipnorm: 1.0), or look for NaN among the data"
            raise RunFailed(record.broken, self.folder, help)
        self.curves(record)
        return record

    def class_weight(self) -> dict[int, float] | None:
        """The weight of each class by its number, as Keras takes it."""
        given = self.settings.train.class_weight
        if given is None:
            return None
        ((output, field),) = self.plan.targets.items()
        names = self.plan.classes.get(output)
        labels = self.plan.source.labels.get(field)
        if names is None or (given == "balanced" and labels is None):
            raise self.error("class_weight", f"{field} is not a class label whose examples can be counted")
        if isinstance(given, str):
            import numpy as np

            assert labels is not None
            drawn = np.concatenate([labels[part][at] for part, at in self.plan.parts.train.items()])
            counts = np.bincount(drawn, minlength=len(names))
            return {code: len(drawn) / (len(names) * max(1, int(n))) for code, n in enumerate(counts)}
        numbers = {name: code for code, name in enumerate(names)}
        unknown = [key for key in given if key not in numbers and not (key.isdigit() and int(key) < len(names))]
        if unknown:
            raise self.error("class_weight", f"there is no class {unknown[0]!r}", f"the classes are {', '.join(names)}")
        chosen = {numbers[key] if key in numbers else int(key): weight for key, weight in given.items()}
        return {code: chosen[code] if code in chosen else 1.0 for code in range(len(names))}

    def error(self, key: str, message: str, help: str | None = None) -> SpecError:
        span = self.document.mark.at("train", key).span
        return SpecError([Diagnostic("E504", message, span, help=help)], self.document.texts)

    def evaluate(self, model: keras.Model, fed: Feeds, record: Record) -> dict[str, dict[str, float]]:
        """The figures of each split; those of the training split are the last epoch's, as it went."""
        figures: dict[str, dict[str, float]] = {}
        for split, feed in (("test", fed.test), ("validation", fed.validation)):
            figures[split] = {}
            if feed is not None:
                got = model.evaluate(**_arguments(feed, self.settings.data.batch_size), verbose=0, return_dict=True)
                figures[split] = {name: float(value) for name, value in got.items()}
        last = record.lines[-1]
        known = figures["validation"] or figures["test"] or last
        figures["train"] = {name: last[name] for name in known if name in last and name != "epoch"}
        return figures

    def results(
        self, network: keras.Model, fed: Feeds, record: Record, metrics: Mapping[str, Any], seconds: float
    ) -> None:
        import keras

        sizes = {split: feed.size for split in ("train", "validation", "test") if (feed := getattr(fed, split))}
        trainable = sum(int(weight.shape.num_elements() if False else _size(weight)) for weight in network.trainable_weights)
        write_report(
            self.folder,
            self.document.name,
            {
                "name": self.document.name,
                "description": self.document.spec.description,
                "metrics": metrics,
                "examples": sizes,
                "parameters": {"total": network.count_params(), "trainable": trainable},
                "classes": {output: list(names) for output, names in self.plan.classes.items()},
                "epochs": len(record.lines),
                "seconds": round(seconds, 3),
                "backend": keras.backend.backend(),
                "precision": self.settings.run.precision,
                "seed": self.settings.run.seed,
            },
            record.lines,
        )
        for split in ("test", "validation"):
            if metrics[split]:
                self.say(f"{split}: " + ", ".join(f"{name} {show(name, value)}" for name, value in metrics[split].items()))
        self.say(f"{seconds:.0f} s; report and model in {self.folder}")

"""From a spec to a trained network in a run folder of its own."""

from __future__ import annotations

import contextlib
import datetime
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archspec.data.base import DataError, reading
from archspec.data.plan import Plan, plan
from archspec.data.split import count
from archspec.files import whole
from archspec.graph.ir import Graph
from archspec.graph.text import to_text
from archspec.language import Document
from archspec.start import set_seed
from archspec.train.check import check_settings, check_validation, require_loss
from archspec.train.class_weight import class_weight
from archspec.train.environment import choose_backend, environment
from archspec.train.folder import RunFailed, Status, locked, new_folder, write_json, write_resolved, write_spec
from archspec.train.objective.aims import aims, read_edges
from archspec.train.objective.initial import Beginning, load_initial, read_initial
from archspec.train.objective.scopes import freeze
from archspec.train.outcome import (
    Metrics,
    closing_lines,
    drawn,
    judged,
    measured,
    parameter_counts,
    results,
    shown_columns,
    shown_inputs,
)
from archspec.train.plan_text import memory_warning
from archspec.train.repeat import kept_weights
from archspec.train.report import Outcome, write_curves, write_report
from archspec.train.resume import Resumed, check_data, history, resumed, trained_seconds
from archspec.train.rewriting import Rewritten, rewritten_for_training
from archspec.train.runs import read_run
from archspec.train.saved import INITIAL, load_weights
from archspec.train.sections import Sections, sections
from archspec.train.signature import write_signature
from archspec.train.stop import Stop
from archspec.train.tensorboard import check_tensorboard, tensorboard

if TYPE_CHECKING:
    import keras

    from archspec.train.checkpoint import Checkpoint
    from archspec.train.feed import Feeds
    from archspec.train.hardware import Hardware
    from archspec.train.loop import Parts
    from archspec.train.objective.trainee import Trainee
    from archspec.train.record import Record


@dataclass(frozen=True)
class TrainedRun:
    """A run that ended well: its folder, its final figures (on the test split, else on what there is), each epoch's.

    `difference` is the first that a repeated run shows from the one that it repeats, if there is any.
    """

    path: Path
    metrics: Mapping[str, float]
    history: Sequence[Mapping[str, float]]
    difference: str | None = None


def train(
    document: Document,
    graph: Graph,
    run_dir: Path | str | None = None,
    *,
    runs: Path | str = "runs",
    quiet: bool = False,
    resume: Path | str | None = None,
    repeat: Path | str | None = None,
    following: Plan | None = None,
) -> TrainedRun:
    """Trains the network and leaves all there is to know in `run_dir`, or in the next `runs/NAME-001`.

    `resume` names a run to go on with; what its spec says differently now is applied where the network and the order of
    its examples stay the same. `repeat` names a run that the new one is compared with.
    `following` is a plan in place of the one that the spec's own split makes: a fold's.

    Raises SpecError before anything is written where the spec or the data are wrong, and RunFailed where the run
    cannot begin or breaks off; its folder then holds what there was.
    """
    if resume is not None:
        folder = read_run(Path(resume)).path
        with locked(folder):
            before = resumed(folder, document, graph)
            ready = replace(_prepared(document, graph, quiet, begun=True), begun=kept_weights(folder, document))
            if ready.hardware.hosts > 1:
                help = "train: {initial_weights: RUN} begins with its weights"
                raise RunFailed("a training on several hosts cannot be resumed", help=help)
            return _train(ready, folder, quiet, before)
    repeated = Path(repeat) if repeat is not None else None
    begun = kept_weights(repeated, document) if repeated is not None else None
    ready = _prepared(document, graph, quiet, following, begun is not None)
    ready = replace(ready, repeated=repeated, begun=begun)
    if ready.hardware.follows:  # the first host keeps the run, what the others write is lost
        with tempfile.TemporaryDirectory() as other:
            return _train(ready, Path(other), True, None)
    folder = new_folder(document.name, Path(run_dir) if run_dir is not None else None, Path(runs))
    with locked(folder):
        made = _train(ready, folder, quiet, None)
    if repeat is None:
        return made
    from archspec.train.repeat import first_difference

    return TrainedRun(made.path, made.metrics, made.history, first_difference(Path(repeat), made.path))


@dataclass(frozen=True)
class _Ready:
    """What is known before anything is written. `begun` holds the weights that the run, or one like it, began with."""

    document: Document
    graph: Graph
    settings: Sections
    plan: Plan
    class_weight: Mapping[int, float] | None
    initial: tuple[Beginning, ...]
    hardware: Hardware
    repeated: Path | None
    begun: Path | None


def _prepared(
    document: Document, graph: Graph, quiet: bool, following: Plan | None = None, begun: bool = False
) -> _Ready:
    """Checks all that can be checked. `begun`: its weights are there, and none to begin with are read."""
    settings = check_settings(document, graph)
    require_loss(document, settings)
    if not quiet and not settings.run.host and (warning := memory_warning(document, graph)):
        print(warning, flush=True)  # before any data or framework is loaded, which takes its time
    graph = freeze(graph, settings.train.frozen)
    ready = following or plan(document, graph, settings.data, settings.losses(graph))
    aims(document, graph, settings.train, ready.target_types())
    check_validation(document, settings, count(ready.parts.validation))
    check_tensorboard(document, settings)
    weights = class_weight(document, settings, ready)
    initial = () if begun else read_initial(document, settings)
    settings = sections(document, -(-count(ready.parts.train) // settings.data.batch_size))
    try:
        choose_backend(settings.run.backend, frugal=bool(settings.run.remat))
    except RuntimeError as error:
        raise RunFailed(str(error), help="train it in a process of its own: archspec train …") from error
    return _Ready(document, graph, settings, ready, weights, initial, _hardware(document, graph, settings), None, None)


def _hardware(document: Document, graph: Graph, settings: Sections) -> Hardware:
    from archspec.train.hardware import hardware

    try:
        return hardware(document, graph, settings)
    except RuntimeError as error:
        raise RunFailed(f"the devices cannot be had: {error}") from error


def _train(ready: _Ready, folder: Path, quiet: bool, before: Resumed | None) -> TrainedRun:
    if before is not None:
        check_data(folder, before.facts, ready.plan.source.fingerprint)
    status = Status(folder)

    def said() -> None:
        status.write("interrupted")
        if not quiet:
            print("\nstopping after this step or validation; a second time ends at once", flush=True)

    with Stop(said) as stop, status, ready.hardware.place(), _told(folder, stop), reading(ready.plan.source):
        return _Run(**vars(ready), folder=folder, quiet=quiet, stop=stop, before=before).all()


@contextlib.contextmanager
def _told(folder: Path, stop: Stop) -> Iterator[None]:
    """What ends a run from outside, told as what it is. Raises RunFailed."""
    from archspec.train.failures import explained

    again = f"archspec train --resume {folder}"
    try:
        yield
    except KeyboardInterrupt as error:
        number = int(stop.asked or 2)
        raise RunFailed("interrupted", folder, again, number) from error
    except DataError as error:
        raise RunFailed(f"the run broke off: {error.message}", folder, error.help or again) from error
    except Exception as error:
        why = explained(error)
        if why is None:
            raise
        raise RunFailed(f"the run broke off: {why}", folder, f"when that is mended: {again}") from error


@dataclass(frozen=True)
class _Run(_Ready):
    """One run under way."""

    folder: Path
    quiet: bool
    stop: Stop
    before: Resumed | None

    def all(self) -> TrainedRun:
        from archspec.train.objective.trainee import objective

        started, begin = datetime.datetime.now(datetime.UTC), self.begin()
        began = time.perf_counter() - trained_seconds(begin.position)
        self.write_environment(started)
        if self.before is None:
            write_spec(self.folder, self.document)
        elif self.before.changes:
            write_resolved(self.folder, self.document)
        write_signature(self.folder, self.plan)
        self.draw()
        set_seed(self.settings.run.seed)
        fed = self.feeds()
        self.rewritten.write(self.folder)
        with self.hardware.model():
            trainee = objective(self.document, self.graph, self.settings, self.plan, self.rewritten)
            initial = [] if begin.arrays else self.initial_weights(trainee)
            sizes = ", ".join(f"{split} {size:,}" for split, size in fed.sizes.items())
            parameters = parameter_counts(self.graph)["total"]
            self.say(f"{self.document.name} → {self.folder}\n{parameters:,} parameters; examples: {sizes}")
            for line in initial:
                self.say(line)
            record = self.fit(trainee, fed, begin)
            self.save(trainee.network)
            metrics = measured(trainee.model, fed, record, self.settings.data.batch_size, self.settings.run.seed)
        self.report(trainee.network, fed, record, metrics, began, started)
        final = metrics["test"] or metrics["validation"] or metrics["train"]
        return TrainedRun(self.folder, final, tuple(record.lines))

    @cached_property
    def rewritten(self) -> Rewritten:
        """What is trained in the network's place."""
        earlier = self.folder if self.before is not None else self.repeated
        read = read_edges(aims(self.document, self.graph, self.settings.train, self.plan.target_types()))
        examples = count(self.plan.parts.train)
        found = rewritten_for_training(self.graph, self.settings, read, examples, earlier)
        for name, share in found.forms.items():
            self.say(f"{name}: its layers take {share:.2f} of their time in this form here")
        return found

    def say(self, text: str) -> None:
        if not self.quiet:
            print(text, flush=True)

    def begin(self) -> Checkpoint:
        """Where the training begins: at its start, or at the last whole checkpoint."""
        from archspec.train.checkpoint import FOLDER, Checkpoint, Position, last

        if self.before is None:
            return Checkpoint(Position())
        found = last(self.folder / FOLDER)
        for name in found.damaged:
            self.say(f"the checkpoint {name} is damaged (its SHA-256 is another), the one before it is used")
        if found.checkpoint is None:
            self.say("there is no checkpoint yet: the training begins anew")
            return Checkpoint(Position())
        self.say(f"going on after {found.checkpoint.position}")
        for line in self.before.changes:
            self.say(f"changed: {line}")
        return found.checkpoint

    def feeds(self) -> Feeds:
        """The examples, and the preprocessing that they went through beside the model: one needs the other."""
        from archspec.train.feed import feeds

        fed = feeds(self.plan, self.graph, self.settings.data.batch_size)
        for name, preprocess in fed.preprocess.items():
            several = f"-{name}" if len(self.graph.inputs) > 1 else ""
            with whole(self.folder / f"preprocess{several}.keras") as draft:
                preprocess.save(draft)
        return fed

    def initial_weights(self, trainee: Trainee) -> list[str]:
        """Sets what the network begins with, where that is not what the seed draws, and says what went where."""
        found = self.initial if self.before is None else read_initial(self.document, self.settings)
        if self.rewritten.keeps_weights and self.begun is None and not found:
            return []
        plain = self.rewritten.plain(trainee.network, self.settings.run)
        if self.begun is not None:
            load_weights(plain, self.begun)
            said = [f"initial weights from {self.begun}"]
        else:
            said = load_initial(self.document, plain, found)
        if said and self.begun != self.folder / INITIAL:
            with whole(self.folder / INITIAL) as draft:
                plain.save(draft)
        self.rewritten.hand_over(plain, trainee.network)
        return said

    def fit(self, trainee: Trainee, fed: Feeds, begin: Checkpoint) -> Record:
        from archspec.build.objects import keras_object
        from archspec.train.batches import training_batches
        from archspec.train.loop import Parts, build, run_loop
        from archspec.train.progress import Progress
        from archspec.train.record import Record

        data, given, run = self.settings.data, self.settings.train, self.settings.run
        record = Record(self.folder / "metrics.csv", fed.validation is not None)
        batches = training_batches(fed.train, data.batch_size, run.seed if data.shuffle else None, self.class_weight)
        progress = Progress(self.quiet, data.batch_size)
        parts = Parts(self.folder, trainee, batches, given.epochs, run.checkpoint.seconds, record, progress, self.stop,
                      begin, self.before.fresh if self.before else ())  # fmt: skip
        build(parts)
        self.tune(parts)
        validation: dict[str, Any] = {}
        if fed.validation:
            pair = fed.validation.x if fed.validation.y is None else (fed.validation.x, fed.validation.y)
            validation = {"validation_data": pair, "validation_freq": given.validation_freq}
            if fed.validation.y is not None:
                validation["validation_batch_size"] = data.batch_size
        try:
            run_loop(parts, [*map(keras_object, given.callbacks)], validation, tensorboard(self.folder, self.settings))
        except RunFailed as error:
            if error.stopped_by is not None:
                self.save(trainee.network)
            raise
        finally:
            if record.lines:
                write_curves(self.folder, record.lines)
        return record

    def tune(self, parts: Parts) -> None:
        """Settles how steps are run, where the spec leaves that open."""
        from archspec.train.cache import key
        from archspec.train.tuning import Open, advice, choose

        run, given = self.settings.run, self.settings.train
        augment = [to_text(steps) for steps in self.plan.augment.values()]
        name = key(to_text(self.graph), augment, type(given.optimizer), given.loss, given.phases, given.metrics,
                   self.settings.data.batch_size, run.precision, run.remat, run.optimize,
                   self.hardware.used())  # fmt: skip
        chosen = choose(parts, Open(run.jit == "auto", given.steps_per_execution == "auto", name),
                        self.folder if self.before is not None else self.repeated)  # fmt: skip
        if said := advice(chosen, name):
            self.say(said)

    def save(self, network: keras.Model) -> None:
        with whole(self.folder / "model.keras") as draft:
            self.rewritten.restored(network, self.settings.run).save(draft)

    def report(
        self, network: keras.Model, fed: Feeds, record: Record, metrics: Metrics, began: float,
        started: datetime.datetime,
    ) -> None:  # fmt: skip
        """Judges the network's predictions and writes down what came out."""
        losses, size, seed = self.settings.losses(self.graph), self.settings.data.batch_size, self.settings.run.seed
        with self.hardware.predicting(network):
            figures = judged(network, self.plan, losses, fed, size, seed)
            images = drawn(network, self.graph, self.plan, fed, size)
        seconds = time.perf_counter() - began
        facts = self.write_environment(started, datetime.datetime.now(datetime.UTC))
        made = results(self.document, self.graph, self.settings, self.plan, fed, record, metrics, figures, seconds,
                       self.rewritten.to_json())  # fmt: skip
        rows, columns = shown_inputs(self.plan, figures), shown_columns(self.plan)
        write_report(self.folder, Outcome(made, record.lines, figures, rows, columns, facts, images))
        for line in closing_lines(self.folder, made):
            self.say(line)

    def write_environment(self, started: datetime.datetime, ended: datetime.datetime | None = None) -> dict[str, Any]:
        """What the run depends on, written before it begins and again with the time it ended."""
        run = self.settings.run
        facts = {
            **environment(),
            "seed": run.seed,
            "precision": run.precision,
            "used": self.hardware.used(),
            "data": self.plan.source.fingerprint,
            "spec": self.document.file,
            "variant": self.document.variant,
            "home": str((self.document.folder or Path()).resolve()),
            "limits": asdict(self.document.limits),
            **history(self.before, started, ended),
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

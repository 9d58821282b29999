"""The public API: a spec loaded, its graph known, ready to be summarised, drawn, built and trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from archspec.diagnostics import Diagnostic, SpecError, in_order
from archspec.graph.ir import Graph
from archspec.language import Document, Limits, elaborate, resolve
from archspec.language.changes import Change, python_changes, read_changes
from archspec.language.source import Format

if TYPE_CHECKING:
    import keras

    from archspec.analysis.summary import Summary
    from archspec.optimize.rewrite import Level
    from archspec.train.fit import TrainedRun
    from archspec.train.folds import CrossValidated


@dataclass(frozen=True, eq=False)
class Architecture:
    """A network with its data and training settings, as a spec describes it.

    `graph` holds its layers with the shapes of all tensors; nothing of a framework is loaded before `build` or `train`.
    """

    document: Document
    graph: Graph

    @property
    def name(self) -> str:
        return self.document.name

    def check(self) -> list[Diagnostic]:
        """What is wrong beyond the network itself: claims under `expect`, the sections `data`, `train`, `run`, `draw`.

        Mistakes in the network were raised when it was loaded. An empty list means that all is well.
        """
        from archspec.analysis.expect import failed_claims
        from archspec.train.check import check_settings

        found = failed_claims(self.document, self.graph)
        for read in (lambda: check_settings(self.document, self.graph), lambda: self.drawing):
            try:
                read()
            except SpecError as error:
                found += error.diagnostics
        return in_order(found)

    def summary(self, depth: int | None = None) -> Summary:
        """Shapes, parameters, MACs and bytes by layer, or by block where `depth` cuts the scopes.

        What the spec freezes, in the network or under `train`, is not trainable. Raises SpecError where it cannot be.
        """
        from archspec.analysis.summary import summary

        return summary(self._trained(), depth)

    def _trained(self) -> Graph:
        """The graph with what the spec freezes under `train`."""
        if not (self.document.train or {}).get("frozen"):
            return self.graph
        from archspec.train.check import check_settings
        from archspec.train.objective.scopes import freeze

        return freeze(self.graph, check_settings(self.document, self.graph).train.frozen)

    @property
    def drawing(self) -> dict[str, Any]:
        """The options of drawing that the spec gives under `draw`. Raises SpecError."""
        from archspec.language.drawing import drawing

        return drawing(self.document)

    def draw(self, path: str | Path, *, optimized: Level = "none", **options: Any) -> Path:
        """Draws the network into a file; the extension gives the format, `archspec.draw.options.Options` the options.

        With `optimized`, it is drawn as it is after the passes of that level, what they rewrote marked. What the spec
        says under `draw` holds where an option is not given. Raises SpecError, `archspec.draw.DrawError`.
        """
        from archspec.draw import draw
        from archspec.optimize.marks import marked

        graph, marks = marked(self.graph, optimized)
        return draw(graph, path, spec=self.drawing, rewritten=marks, **options)

    def build(self) -> keras.Model:
        """The network as a functional Keras model with fresh weights; its layers are named as in the graph.

        It is rewritten as `run.optimize` has it: by default where every weight, the function and its gradients stay as
        they are.
        """
        from archspec.start import start_keras
        from archspec.train.rewriting import rewritten
        from archspec.train.sections import sections

        start_keras()
        from archspec.build import build

        found = rewritten(self.graph, sections(self.document).run.optimize)
        if found.keeps_weights:
            return build(found.graph)
        plain = build(self.graph)  # initializers draw for the weights of the spec
        model = build(found.graph)
        found.hand_over(plain, model)
        return model

    @overload
    def train(self, run_dir: str | Path | None = None, *, folds: None = None, **options: Any) -> TrainedRun: ...
    @overload
    def train(self, run_dir: str | Path | None = None, *, folds: int, **options: Any) -> CrossValidated: ...
    def train(
        self, run_dir: str | Path | None = None, *, folds: int | None = None, **options: Any
    ) -> TrainedRun | CrossValidated:
        """Trains and tests the network as the spec says; everything about the run is kept in `run_dir`.

        Without `run_dir`, a new numbered folder is made under `runs/`. With `folds`, the network is trained so many
        times, each time tested on another part of the examples. The options are those of `archspec.train.fit.train`,
        with folds those of `archspec.train.folds.train_folds`.
        """
        if folds is not None:
            from archspec.train.folds import train_folds

            return train_folds(self.document, self.graph, folds, run_dir, **options)
        from archspec.train.fit import train

        return train(self.document, self.graph, run_dir, **options)


def load(
    reference: str | Path,
    params: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    *,
    changes: Sequence[str] = (),
    limits: Limits = Limits(),
    allow: Sequence[str | Path] = (),
) -> Architecture:
    """Loads a spec: `load("resnet.yaml@resnet50", params={"classes": 10}, set={"train.epochs": 2})`.

    Args:
        reference: the file's path, with `@variant` behind it if one is meant.
        params: values for the spec's params.
        set: new values by their path in the spec.
        changes: the same as on the command line: `"train.epochs=2"`.
        limits: how large the spec may be.
        allow: folders, beside the spec's own, that `use` and `extends` may read.

    Raises:
        SpecError: with every mistake that was found.
    """
    document = resolve.load(reference, _changes(params, set, changes, limits), limits, [Path(p) for p in allow])
    return Architecture(document, elaborate(document))


def loads(
    text: str,
    format: Format = "yaml",
    params: Mapping[str, Any] | None = None,
    set: Mapping[str, Any] | None = None,
    *,
    variant: str | None = None,
    limits: Limits = Limits(),
    folder: str | Path | None = None,
) -> Architecture:
    """Loads a spec given as text, as `load` does; `use` and `extends` look in `folder`."""
    changes = _changes(params, set, (), limits)
    document = resolve.loads(text, format, variant, changes, limits, Path(folder) if folder else None)
    return Architecture(document, elaborate(document))


def _changes(
    params: Mapping[str, Any] | None, set: Mapping[str, Any] | None, texts: Sequence[str], limits: Limits
) -> list[Change]:
    values = {f"params.{name}": value for name, value in (params or {}).items()} | dict(set or {})
    return python_changes(values) + read_changes(texts, limits)

"""The part of the page about one output: its figures, its classes, what was taken for what, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from archspec.train.figures import Judged
from archspec.train.figures.amounts import Amounts
from archspec.train.figures.classification import Classes
from archspec.train.report.curves import roc, scatter
from archspec.train.report.examples import legend
from archspec.train.report.tags import Html, join, table, tag
from archspec.train.report.text import count, shortened, show, title

_MATRIX = 30  # classes that a matrix is readable with
_CLASSES = 100  # rows of the table of classes
_CONFUSED = 20  # rows of the table of confusions
_NAME = 40  # characters of a class's name


def judgement(judged: Judged, cards: Html | None, headline: str) -> Html:
    """The section; `cards` shows the worst examples, and is None where nothing went wrong."""
    figures = judged.figures
    tiles = [tag("div", tag("b", show(n, v)), tag("span", title(n)), class_="tile") for n, v in figures.items()]
    parts: list[object] = [tag("h2", headline, id=f"output-{judged.task.output}")]
    parts.append(tag("p", f"On {count(judged.size)} of the {judged.split} split.", class_="soft"))
    parts.append(tag("div", *tiles, class_="tiles"))
    collected = judged.collected
    if isinstance(collected, Classes):
        parts += [*_confusion(judged, collected), *_classes(judged)]
        rates = collected.roc()
        if rates is not None:
            drawing = tag("figure", roc(rates), class_="chart")
            parts += [tag("h3", "ROC curve"), tag("div", drawing, class_="charts")]
    elif isinstance(collected, Amounts):
        points = collected.points()
        if points is not None and len(points) > 1:
            drawing = tag("figure", scatter(points), class_="chart")
            parts += [tag("h3", "Predictions"), tag("div", drawing, class_="charts")]
    else:
        parts += _classes(judged)
    return join([*parts, *_wrong(judged, cards)])


def _wrong(judged: Judged, cards: Html | None) -> list[object]:
    if cards is None:
        return [] if judged.task.kind == "amounts" else [tag("p", "Nothing went wrong here.")]
    if judged.task.kind == "amounts":
        return [tag("h3", "Farthest from their targets"), cards]
    heading = tag("h3", "Examples that went wrong")
    if judged.task.places or judged.task.kind == "labels":
        return [heading, tag("p", "Those with the most mistakes.", class_="soft"),
                legend(judged) if judged.task.segments else "", cards]  # fmt: skip
    return [heading, tag("p", "Those in which the network was surest of the wrong class.", class_="soft"), cards]


def _confusion(judged: Judged, collected: Classes) -> list[object]:
    """The matrix, or the most frequent confusions where it would be too large to read."""
    names = [shortened(name, _NAME) for name in judged.task.classes]
    heading = tag("h3", "Confusion matrix" if len(names) <= _MATRIX else "Most frequent confusions")
    if len(names) > _MATRIX:
        truth, predicted, counts = collected.pairs.weighted()
        wrong = np.flatnonzero(truth != predicted)
        most = wrong[np.argsort(-counts[wrong], kind="stable")[:_CONFUSED]]
        rows = [(names[truth[i]], names[predicted[i]], f"{counts[i]:,}") for i in most]
        return [heading, table(["is", "taken for", "times"], rows, numbers=1)] if rows else []
    what = "pixels" if judged.task.segments else "places" if judged.task.places else "examples"
    note = f"{what.capitalize()} by their true class (rows) and the predicted one (columns)."
    return [heading, tag("p", note, class_="soft"), _matrix(names, collected.pairs.matrix())]


def _matrix(names: Sequence[str], counts: np.ndarray) -> Html:
    """Darker the larger the share of the row, so that rare classes show too."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    head = tag("tr", tag("th", ""), *(tag("th", name, title=name) for name in names))
    body = []
    for i, name in enumerate(names):
        cells = []
        for j in range(len(names)):
            marks = ["right"] if i == j else []
            marks += ["strong"] if shares[i, j] > 0.55 else ["none"] if not counts[i, j] else []
            hint = f"{name} taken for {names[j]}: {counts[i, j]:,} ({shares[i, j]:.1%})"
            cells.append(
                tag("td", f"{counts[i, j]:,}", class_=" ".join(marks) or None, title=hint,
                    style=f"--share: {shares[i, j]:.3f}")
            )  # fmt: skip
        body.append(tag("tr", tag("th", name, title=name), *cells))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body), class_="matrix"), class_="wide")


def _classes(judged: Judged) -> list[object]:
    rows = judged.by_class
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    shown = [[shortened(name, _NAME), *(show(c, row[c]) if c in row else "" for c in columns)]
             for name, row in list(rows.items())[:_CLASSES]]  # fmt: skip
    made = table(["class", *map(title, columns)], shown, numbers=len(columns))
    more = len(rows) - len(shown)
    note = tag("p", f"{more:,} more are in results.json.", class_="soft") if more else ""
    return [tag("h3", "By class"), made, note]

"""The examples that went wrong, as cards: what went in, what should have come out, and what did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from archspec.data.base import Column
from archspec.train.figures import Example, Judged
from archspec.train.report.inputs import Row
from archspec.train.report.pictures import colour, is_picture, mask, picture, value_range
from archspec.train.report.tags import Html, join, table, tag
from archspec.train.report.text import shortened

_TEXT = 400  # characters of a text
_NUMBERS = 12  # numbers of a vector
_NAME = 60  # characters of a class's name

Rows = Mapping[int, Row]
Columns = Mapping[str, tuple[Column, ...]]


def examples(judged: Judged, rows: Rows, columns: Columns) -> Html | None:
    """The cards of one output's worst examples, the worst first, or None where nothing went wrong."""
    worst = judged.collected.examples()
    if not worst:
        return None
    if judged.task.shape is not None:
        shape = judged.task.shape
        worst = tuple(replace(e, truth=e.truth.reshape(shape), predicted=e.predicted.reshape(shape)) for e in worst)
    arrays = [np.asarray(v) for e in worst for v in (e.truth, e.predicted)]
    pictured = judged.task.kind == "amounts" and all(is_picture(array) for array in arrays)
    limits = value_range(arrays) if pictured else (0.0, 1.0)
    ranges = _ranges([rows[e.index] for e in worst if e.index in rows])
    cards = []
    for example in worst:
        inputs = [_input(name, value, ranges, columns.get(name, ()), len(rows[example.index]) > 1)
                  for name, value in rows.get(example.index, {}).items()]  # fmt: skip
        if judged.task.segments:
            cards.append(_segmented(judged, example, inputs))
        elif pictured:
            cards.append(_pictured(example, inputs, limits))
        else:
            said = _amounts(example) if judged.task.kind == "amounts" else _answers(judged, example)
            cards.append(tag("div", *inputs, said, _place(example), class_="example"))
    broad = " broad" if pictured or judged.task.segments or judged.task.places else ""
    return tag("div", *cards, class_=f"examples{broad}")


def legend(judged: Judged) -> Html:
    """The colours of a segmentation's classes."""
    marks = [tag("span", tag("i", style=f"background: {colour(code)}"), shortened(name, _NAME))
             for code, name in enumerate(judged.task.classes[:20])]  # fmt: skip
    return tag("div", *marks, class_="legend")


def _ranges(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """The range of each input that is a picture, over all that are shown."""
    names = rows[0] if rows else {}
    values = {name: [row[name] for row in rows] for name in names}
    return {name: value_range(each) for name, each in values.items() if all(is_picture(v) for v in each)}


def _input(
    name: str, value: np.ndarray, ranges: Mapping[str, tuple[float, float]], columns: Sequence[Column], several: bool
) -> Html:
    label = tag("div", name, class_="soft") if several else ""
    return join([label, _shown(name, value, ranges, columns)])


def _shown(name: str, value: np.ndarray, ranges: Mapping[str, tuple[float, float]], columns: Sequence[Column]) -> Html:
    if value.dtype.kind in "OUS" and value.ndim == 0:
        text = value.item()
        text = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
        return tag("blockquote", shortened(text, _TEXT))
    if name in ranges:
        return picture(value, ranges[name], f"the input {name}")
    if columns and value.shape == (len(columns),):
        rows = [(c.name, _cell(c, float(number))) for c, number in zip(columns, value, strict=True)]
        more = [(f"… ({len(rows)})", "")] if len(rows) > _NUMBERS else []
        return table(["", ""], [*rows[:_NUMBERS], *more], numbers=1)
    if value.dtype.kind in "uifb" and value.ndim <= 1:
        return tag("p", _numbers(value), class_="soft")
    return tag("p", f"{value.dtype} ({', '.join(map(str, value.shape))})", class_="soft")


def _cell(column: Column, number: float) -> str:
    """A column's number as the table had it."""
    return _name(column.classes, int(number)) if column.classes else f"{number:.4g}"


def _numbers(value: np.ndarray) -> str:
    flat = value.reshape(-1)
    shown = ", ".join(f"{number:.4g}" for number in flat[:_NUMBERS].tolist())
    return f"{shown}, … ({flat.size})" if flat.size > _NUMBERS else shown


def _place(example: Example) -> Html:
    return tag("div", f"example {example.index}", class_="soft")


def _answers(judged: Judged, example: Example) -> Html:
    """The true class and the one that was named instead; for sequences and labels, those of each place."""
    names, truth, said = judged.task.classes, np.asarray(example.truth), np.asarray(example.predicted)
    if judged.task.kind == "labels":
        held = [[i for i in range(len(names)) if which.reshape(-1, len(names))[:, i].any()] for which in (truth, said)]
        return _two(*(", ".join(_name(names, i) for i in each) or "none" for each in held))
    if truth.ndim:
        return _two(*(_sequence(names, codes) for codes in _labelled(names, truth, said)))
    likely = dict(example.likely)
    told = _name(names, int(said))
    if int(said) in likely:
        told = f"{told} {likely[int(said)]:.0%}"
    further = [f"{_name(names, code)} {share:.0%}" for code, share in example.likely if code != said]
    return join([_two(_name(names, int(truth)), told), tag("div", ", ".join(further), class_="soft")])


def _name(names: Sequence[str], code: int) -> str:
    return shortened(names[code], _NAME) if 0 <= code < len(names) else "–"


def _labelled(names: Sequence[str], truth: np.ndarray, said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places that have a class: of a graph some nodes may have none."""
    known = (truth >= 0) & (truth < len(names))
    return truth[known], said[known]


def _sequence(names: Sequence[str], codes: np.ndarray) -> str:
    flat = codes.reshape(-1)
    return shortened(" ".join(_name(names, int(code)) for code in flat[:100]), _TEXT)


def _two(truth: str, said: str) -> Html:
    return join(
        [tag("div", "is ", tag("b", truth, class_="truth")), tag("div", "taken for ", tag("b", said, class_="said"))]
    )


def _amounts(example: Example) -> Html:
    truth, said = (_numbers(np.asarray(value)) for value in (example.truth, example.predicted))
    return join([
        tag("div", "is ", tag("b", truth, class_="truth")),
        tag("div", "predicted ", tag("b", said, class_="said")),
        tag("div", f"off by {example.badness:.4g}", class_="soft"),
    ])  # fmt: skip


def _pictured(example: Example, inputs: Sequence[Html], limits: tuple[float, float]) -> Html:
    parts = [
        _captioned(join(inputs), "input"),
        _captioned(picture(np.asarray(example.truth), limits, "the target"), "target"),
        _captioned(picture(np.asarray(example.predicted), limits, "the output"), "output"),
    ]
    note = tag("div", f"example {example.index}, off by {example.badness:.4g}", class_="soft")
    return tag("div", tag("div", *parts, class_="row"), note, class_="example")


def _segmented(judged: Judged, example: Example, inputs: Sequence[Html]) -> Html:
    truth, said = np.asarray(example.truth), np.asarray(example.predicted)
    parts = [_captioned(join(inputs), "input")]
    if truth.ndim == 2:
        parts += [_captioned(mask(truth, "the target"), "target"), _captioned(mask(said, "the output"), "output")]
    note = tag("div", f"example {example.index}, {example.badness:.1%} of its pixels wrong", class_="soft")
    return tag("div", tag("div", *parts, class_="row"), note, class_="example")


def _captioned(content: Html, caption: str) -> Html:
    return tag("figure", content, tag("figcaption", caption))

"""report.html: one file that needs nothing else, no network and no script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from archspec.train.figures import Judged
from archspec.train.report.curves import Lines, curve, measured
from archspec.train.report.examples import Columns, Rows, examples
from archspec.train.report.judgement import judgement
from archspec.train.report.pictures import gallery, inline_svg
from archspec.train.report.style import CSS
from archspec.train.report.tags import Html, join, table, tag
from archspec.train.report.text import by_split, class_list, duration, last_rates, rewrites, saved

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Outcome:
    """All that a report tells of a run.

    `results` is what results.json holds, `lines` each epoch's figures, `judged` the outputs' figures, `rows` the inputs
    of the examples that are shown and `columns` those of a table, by input, `environment` what environment.json holds.
    `made` are images of outputs that no target is compared with, as a GAN draws them.
    """

    results: Mapping[str, Any]
    lines: Lines
    judged: Mapping[str, Judged]
    rows: Rows
    columns: Columns
    environment: Mapping[str, Any]
    made: Mapping[str, np.ndarray] = field(default_factory=dict)


def page(outcome: Outcome, spec: str, network: str | None) -> Html:
    """The whole report; `spec` is the resolved spec's text, `network` that of its drawing, if there is one."""
    results = outcome.results
    sections = {"Training": _training(outcome)}
    for name, judged in outcome.judged.items():
        headline = "Predictions" if len(outcome.judged) == 1 else f"Predictions of {name}"
        sections[headline] = judgement(judged, examples(judged, outcome.rows, outcome.columns), headline)
    for name, images in outcome.made.items():
        headline = f"Images of {name}"
        note = tag("p", "What the network draws; no target says what they should be.", class_="soft")
        sections[headline] = join([tag("h2", headline, id=f"made-{name}"), note, gallery(images, f"drawn by {name}")])
    drawing = inline_svg(network) if network else None
    if drawing is not None:
        sections["Network"] = join([tag("h2", "Network", id="network"), tag("div", drawing, class_="paper")])
    if results["optimization"]:
        sections["Optimisation"] = _optimisation(results["optimization"])
    sections["Run"] = _run(outcome)
    sections["Settings"] = _settings(spec)
    links = [tag("a", name, href=f"#part-{i}") for i, name in enumerate(sections)]
    parts = [tag("section", content, id=f"part-{i}") for i, content in enumerate(sections.values())]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{results['name']}: report"),
        tag("style", Html(CSS)),
    )
    body = tag("body", _header(results), tag("nav", *links), *parts)
    return Html(f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n")


def _header(results: Mapping[str, Any]) -> Html:
    described = tag("p", results["description"]) if results["description"] else ""
    sizes = ", ".join(f"{size:,} for {_USES[split]}" for split, size in results["examples"].items() if size)
    said = (
        f"{results['parameters']['total']:,} parameters; examples: {sizes}; "
        f"{results['epochs']} epoch{'' if results['epochs'] == 1 else 's'} in {duration(results['seconds'])}"
    )
    return tag("header", tag("h1", results["name"]), described, tag("p", said, class_="soft"))


_USES = {"train": "training", "validation": "validation", "test": "testing"}


def _training(outcome: Outcome) -> Html:
    splits, rows = by_split(outcome.results["metrics"])
    note = "The training split's are those of the last epoch, measured while its weights still changed."
    parts = [tag("h2", "Training"), table(["", *splits], rows, numbers=len(splits)), tag("p", note, class_="soft")]
    charts = [tag("figure", curve(outcome.lines, name), class_="chart") for name in measured(outcome.lines)]
    return join([*parts, tag("div", *charts, class_="charts") if charts else ""])


def _optimisation(optimization: Mapping[str, Any]) -> Html:
    note = "What was trained computes the same with less work; what is saved is the network of the spec."
    head = ["for one example", "of the spec", "as trained", "ratio"]
    parts = [tag("h2", "Optimisation"), table(head, saved(optimization), numbers=3)]
    return join([*parts, tag("p", f"{note} {rewrites(optimization)}", class_="soft")])


def _run(outcome: Outcome) -> Html:
    results, lines, facts = outcome.results, outcome.lines, outcome.environment
    seconds = [line["seconds"] for line in lines if line.get("seconds")]
    rows: list[tuple[object, object]] = [("time", duration(results["seconds"]))]
    if seconds:
        usual = sorted(seconds)[len(seconds) // 2]
        rows.append(("an epoch", f"{duration(usual)} (median), {results['examples']['train'] / usual:,.0f} examples/s"))
    if lines:
        rows.append(("last learning rate", last_rates(lines[-1])))
    parameters = results["parameters"]
    rows.append(("parameters", f"{parameters['total']:,}, {parameters['trainable']:,} of them trainable"))
    rows.append(("backend", f"{results['backend']}, {results['precision']}, seed {results['seed']}"))
    several = len(results["classes"]) > 1
    for output, classes in results["classes"].items():
        rows.append((f"classes of {output}" if several else "classes", class_list(classes)))
    rows += [(key, _fact(value)) for key, value in facts.items() if key not in ("backend", "precision", "seed")]
    return join([tag("h2", "Run"), table(["", ""], rows)])


def _fact(value: Any) -> object:
    if isinstance(value, Mapping):
        return join((f"{key} {_fact(inner)}" for key, inner in value.items()), ", ")
    if isinstance(value, list | tuple):
        return join((_fact(each) for each in value), "; ") or "–"
    return "–" if value is None else str(value)


def _settings(spec: str) -> Html:
    note = "The whole spec as it was trained: what it extends, its variant and changes are in it."
    return join([tag("h2", "Settings"), tag("p", note, class_="soft"), tag("pre", spec)])

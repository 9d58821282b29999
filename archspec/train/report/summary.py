"""report.md: the results in the form that repositories and terminals show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from archspec.train.figures import Judged
from archspec.train.report.page import Outcome
from archspec.train.report.text import (
    by_split,
    class_list,
    count,
    duration,
    last_rates,
    markdown,
    markdown_table,
    rewrites,
    saved,
    show,
    title,
)

_CLASSES = 30  # rows of the table of classes


def summary(outcome: Outcome, folder: Path) -> str:
    """The text; it names those pictures that lie in the folder."""
    results = outcome.results
    parts = [f"# {markdown(results['name'])}\n"]
    if results["description"]:
        parts.append(f"{markdown(results['description'])}\n")
    splits, rows = by_split(results["metrics"])
    parts += ["## Results\n", markdown_table(["", *splits], rows)]
    for name, judged in outcome.judged.items():
        parts += _judged(name if len(outcome.judged) > 1 else "", judged)
    parts += ["## The run\n", markdown_table(["", ""], _facts(results))]
    if optimization := results["optimization"]:
        head = ["for one example", "of the spec", "as trained", "ratio"]
        parts += [
            "## Optimisation\n",
            markdown_table(head, saved(optimization)),
            f"{markdown(rewrites(optimization))}\n",
        ]
    pictures = [file for file in ("curves.svg", "network.svg") if (folder / file).is_file()]
    parts += [f"![{Path(file).stem}]({file})\n" for file in pictures]
    last = f"; the last learning rate was {last_rates(outcome.lines[-1])}" if outcome.lines else ""
    parts.append(f"Each epoch's figures are in metrics.csv{last}. report.html shows more.\n")
    return "\n".join(parts)


def _judged(name: str, judged: Judged) -> list[str]:
    heading = f"## Predictions of {markdown(name)}\n" if name else "## Predictions\n"
    figures = [[title(figure), show(figure, value)] for figure, value in judged.figures.items()]
    parts = [heading, f"On {count(judged.size)} of the {judged.split} split.\n", markdown_table(["", ""], figures)]
    rows = judged.by_class
    if rows and len(rows) <= _CLASSES:
        columns = list(dict.fromkeys(figure for row in rows.values() for figure in row))
        shown = [[n, *(show(c, row[c]) if c in row else "" for c in columns)] for n, row in rows.items()]
        parts.append(markdown_table(["class", *map(title, columns)], shown))
    return parts


def _facts(results: Mapping[str, Any]) -> list[list[str]]:
    sizes, parameters = results["examples"], results["parameters"]
    facts = [
        ["examples", ", ".join(f"{split} {size:,}" for split, size in sizes.items() if size)],
        ["parameters", f"{parameters['total']:,}, {parameters['trainable']:,} of them trainable"],
        ["epochs", f"{results['epochs']}"],
        ["time", duration(results["seconds"])],
        ["backend", f"{results['backend']}, seed {results['seed']}, {results['precision']}"],
    ]
    several = len(results["classes"]) > 1
    for output, classes in results["classes"].items():
        facts.append([f"classes of {output}" if several else "classes", class_list(classes)])
    return facts

"""Figures as people read them, and text from the data made safe for Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from archspec.train.record import RATE

_SHARES = ("accuracy", "precision", "recall", "f1", "iou", "exact_match")
_TITLES = {
    "r2": "R²", "mse": "MSE", "mae": "MAE", "rmse": "RMSE", "roc_auc": "ROC-AUC", "mean_iou": "mean IoU", "iou": "IoU",
    "f1": "F1", "f1_macro": "F1 (macro)", "precision_macro": "precision (macro)", "recall_macro": "recall (macro)",
}  # fmt: skip
_SPECIAL = re.compile(r"([\\`*_\[\]|~#!$])")


def show(metric: str, value: float) -> str:
    """A figure as people read it: rates in per cent."""
    if "roc_auc" in metric:
        return f"{value:.4f}"
    share = any(word in metric for word in _SHARES) and not metric.endswith("loss")
    return f"{value:.2%}" if share and 0 <= value <= 1 else f"{value:,.0f}" if metric == "support" else f"{value:.4g}"


def title(metric: str) -> str:
    return _TITLES.get(metric, metric.replace("_", " "))


def duration(seconds: float) -> str:
    """2 h 05 min, 3 min 20 s, 12.3 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left:02d} min" if hours else f"{minutes} min {rest:02d} s"


def markdown(text: object) -> str:
    """Text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", html.escape(" ".join(str(text).split()), quote=False))


def markdown_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [[markdown(cell) for cell in line] for line in (head, *rows)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def last_rates(line: Mapping[str, float]) -> str:
    """An epoch's learning rate, or those of the phases with their names."""
    rates = {name.removeprefix(RATE).lstrip("_"): rate for name, rate in line.items() if name.startswith(RATE)}
    return ", ".join(f"{name} {rate:.3g}".strip() for name, rate in rates.items())


def count(examples: int) -> str:
    return f"{examples:,} example{'' if examples == 1 else 's'}"


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def class_list(classes: Sequence[str]) -> str:
    return ", ".join(classes) if len(classes) <= 20 else f"{', '.join(classes[:20])}, … ({len(classes)})"


def by_split(metrics: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """The metrics that Keras measured: their splits, and a row for each metric."""
    splits = [split for split in ("test", "validation", "train") if metrics.get(split)]
    names = dict.fromkeys(metric for split in splits for metric in metrics[split])
    return splits, [[n, *(show(n, metrics[s][n]) if n in metrics[s] else "" for s in splits)] for n in names]


def rewrites(optimization: Mapping[str, Any]) -> str:
    """How often each pass rewrote the network, in a sentence."""
    passes = ", ".join(f"{name} {times}" for name, times in optimization["passes"].items())
    forms = ", ".join(f"{name} ({share:.2f} of the time)" for name, share in optimization["forms"].items())
    measured = f"; measured to be faster here: {forms}" if forms else ""
    return f"Rewrites by pass: {passes}{measured}."


def saved(optimization: Mapping[str, Any]) -> list[list[str]]:
    """What one example cost before and after the rewrites, and the ratio."""
    before, after = optimization["before"], optimization["after"]
    return [
        [_COSTS[name], f"{before[name]:,}", f"{after[name]:,}", f"{after[name] / before[name]:.2f}"]
        for name in _COSTS
        if before[name]
    ]


_COSTS = {"layers": "layers", "macs": "MACs", "traffic_bytes": "memory traffic in bytes"}

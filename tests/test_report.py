"""Figures against scikit-learn, and what reports show of them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from archspec.layers.objects import Loss, parse_object
from archspec.train.figures.amounts import Amounts
from archspec.train.figures.classification import Classes, Sample
from archspec.train.figures.labels import Labels
from archspec.train.figures.task import Task, task
from archspec.train.figures.worst import Worst
from archspec.train.report.pictures import inline_svg, value_range
from archspec.train.report.tags import table, tag
from archspec.train.report.text import markdown, show

EVIL = "<script>alert('1')</script>"


# --- figures, against scikit-learn on everything at once ------------------------------------------


def collected(collector: Any, y: np.ndarray, p: np.ndarray, chunk: int = 37) -> Any:
    for start in range(0, len(y), chunk):
        collector.add(start, y[start : start + chunk], p[start : start + chunk])
    return collector


@pytest.mark.parametrize("one_hot", [False, True])
@pytest.mark.parametrize("logits", [False, True])
def test_figures_of_classes(one_hot: bool, logits: bool) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 7, 500)
    raw = rng.normal(size=(500, 7)) + 1.5 * np.eye(7)[y]
    p = np.exp(raw) / np.exp(raw).sum(1, keepdims=True)
    asked = Task("o", "classes", tuple("abcdefg"), not one_hot, "logits" if logits else "probabilities")
    found = collected(Classes(asked, 500), np.eye(7)[y] if one_hot else y[:, None], raw if logits else p)
    said, figures = p.argmax(1), found.figures()
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(y, said))
    assert figures["top_5_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(y, p, k=5))
    wanted = metrics.precision_recall_fscore_support(y, said, average="macro")[:3]
    got = [figures[f"{name}_macro"] for name in ("precision", "recall", "f1")]
    assert got == pytest.approx(list(wanted))
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p, multi_class="ovr"), abs=1e-6)
    np.testing.assert_array_equal(found.pairs.matrix(), metrics.confusion_matrix(y, said))
    by_class = metrics.precision_recall_fscore_support(y, said)
    assert [found.by_class()[3][n] for n in ("precision", "recall", "f1", "support")] == pytest.approx(
        [float(column[3]) for column in by_class]
    )


def test_many_classes_are_counted_where_they_occur() -> None:
    rng = np.random.default_rng(0)
    y, said = rng.integers(0, 5000, 300), rng.integers(0, 5000, 300)
    said[:100] = y[:100]
    p = np.full((300, 5000), 1e-6, "float32")
    p[np.arange(300), said] = 0.9
    found = collected(Classes(Task("o", "classes", tuple(map(str, range(5000))), True), 300), y, p)
    assert found.figures()["accuracy"] == pytest.approx(np.mean(y == said))
    assert found.figures()["f1_macro"] == pytest.approx(metrics.f1_score(y, said, average="macro"))


@pytest.mark.parametrize("scores", ["probabilities", "logits", "margins"])
def test_figures_of_two_classes_from_one_unit(scores: Any) -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 400)
    raw = rng.normal(size=400) + y - 0.5
    p = raw if scores != "probabilities" else 1 / (1 + np.exp(-raw))
    target = 2 * y - 1 if scores == "margins" else y
    found = collected(Classes(Task("o", "binary", ("no", "yes"), True, scores), 400), target, p[:, None])
    figures, said = found.figures(), raw > 0
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(y, said))
    assert figures["f1_macro"] == pytest.approx(metrics.f1_score(y, said, average="macro"))
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, raw), abs=1e-6)
    assert found.by_class()[1]["recall"] == pytest.approx(metrics.recall_score(y, said))
    assert found.roc() is not None


def test_a_probability_of_one_half_is_the_first_class() -> None:
    found = collected(Classes(Task("o", "binary", ("no", "yes"), True), 2), np.array([0, 1]), np.array([[0.5], [0.5]]))
    assert found.pairs.matrix().tolist() == [[1, 0], [1, 0]]


def test_figures_of_amounts() -> None:
    rng = np.random.default_rng(2)
    y = rng.normal(size=(300, 3)) * [1, 10, 100] + 1e4
    p = y + rng.normal(size=(300, 3))
    figures = collected(Amounts(Task("o", "amounts"), 300), y, p).figures()
    assert figures["mse"] == pytest.approx(metrics.mean_squared_error(y, p))
    assert figures["mae"] == pytest.approx(metrics.mean_absolute_error(y, p))
    assert figures["rmse"] == pytest.approx(metrics.mean_squared_error(y, p) ** 0.5)
    assert figures["r2"] == pytest.approx(metrics.r2_score(y, p))


def test_r2_of_images_is_weighted_by_variance() -> None:
    rng = np.random.default_rng(3)
    y = rng.random((50, 4, 4))
    y[:, 0] = 0
    p = y + 0.1 * rng.random((50, 4, 4))
    figures = collected(Amounts(Task("o", "amounts", places=1), 50), y, p).figures()
    wanted = metrics.r2_score(y.reshape(50, -1), p.reshape(50, -1), multioutput="variance_weighted")
    assert figures["r2"] == pytest.approx(wanted)


def test_figures_of_labels() -> None:
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, (200, 4))
    p = np.clip(y * 0.3 + rng.random((200, 4)) * 0.7, 0, 1)
    found = collected(Labels(Task("o", "labels", tuple("abcd")), 200), y, p)
    figures, said = found.figures(), p > 0.5
    assert figures["f1_macro"] == pytest.approx(metrics.f1_score(y, said, average="macro"))
    assert figures["roc_auc"] == pytest.approx(metrics.roc_auc_score(y, p), abs=1e-6)
    assert figures["exact_match"] == pytest.approx((y == said).all(1).mean())
    assert figures["accuracy"] == pytest.approx((y == said).mean())


def test_figures_of_a_segmentation_leave_ignored_pixels_out() -> None:
    rng = np.random.default_rng(5)
    y = rng.integers(0, 3, (20, 8, 8))
    p = rng.random((20, 8, 8, 3)) + np.eye(3)[y]
    y[:, :2] = 255
    asked = Task("o", "classes", tuple("abc"), True, places=2, ignored=255)
    found = collected(Classes(asked, 20), y[..., None], p, chunk=7)
    flat_y, said = y[:, 2:].ravel(), p.argmax(-1)[:, 2:].ravel()
    assert found.figures()["mean_iou"] == pytest.approx(metrics.jaccard_score(flat_y, said, average="macro"))
    assert found.figures()["pixel_accuracy"] == pytest.approx(np.mean(flat_y == said))
    assert [row["iou"] for row in found.by_class().values()] == pytest.approx(
        list(metrics.jaccard_score(flat_y, said, average=None))
    )


def test_a_large_split_is_sampled_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archspec.train.figures.classification._SCORES_BYTES", 100 * 4 * 2)
    sample = Sample(1000)
    y = np.arange(1000)
    p = np.stack([y, y], 1).astype("float32")
    for start in range(0, 1000, 33):
        sample.add(start, y[start : start + 33], p[start : start + 33])
    truth, scores = sample.all()
    assert truth.tolist() == list(range(0, 1000, 10)) and not sample.is_whole
    np.testing.assert_array_equal(scores[:, 0], truth)


def test_the_worst_examples_are_kept_in_order() -> None:
    badness = np.random.default_rng(6).random(200)
    badness[::3] = 0
    worst = Worst(10)
    for start in range(0, 200, 13):
        here = slice(start, start + 13)
        worst.add(start, badness[here], np.zeros(200)[here], np.ones(200)[here])
    assert [e.index for e in worst.examples()] == np.argsort(-badness)[:10].tolist()


@pytest.mark.parametrize(
    ("loss", "y", "width", "reconstructs", "kind"),
    [
        ("SparseCategoricalCrossentropy", [0, 3], 4, False, "classes"),
        ("CategoricalCrossentropy", [[0, 1]], 2, False, "classes"),
        ("crossentropy", [0, 3], 4, False, "classes"),
        ("crossentropy", [0, 1], 1, False, "binary"),
        ("BinaryCrossentropy", [0, 1], 1, False, "binary"),
        ("Hinge", [-1, 1], 1, False, "binary"),
        ("BinaryCrossentropy", [[0, 1, 1]], 3, False, "labels"),
        ("BinaryCrossentropy", [[0, 0.4, 1]], 3, False, "amounts"),
        ("BinaryCrossentropy", [[0, 1, 1]], 3, True, "amounts"),
        ("MeanSquaredError", [0, 1], 1, False, "amounts"),
        ("CTC", [0, 1], 4, False, None),
    ],
)
def test_the_loss_and_the_target_choose_the_figures(
    loss: str, y: list[Any], width: int, reconstructs: bool, kind: str | None
) -> None:
    given = loss if loss == "crossentropy" else parse_object(Loss, loss)
    assert isinstance(given, str | Loss)
    found = task("o", given, None, reconstructs, np.array(y), np.zeros((len(y), width)))
    assert (found.kind if found else None) == kind


# --- what is shown is data, never markup ----------------------------------------------------------


def test_tags_escape_all_text() -> None:
    made = tag("p", EVIL, title='"><b>', class_="x")
    assert made == ('<p title="&quot;&gt;&lt;b&gt;" class="x">&lt;script&gt;alert(&#x27;1&#x27;)&lt;/script&gt;</p>')
    assert EVIL not in table([EVIL], [[EVIL]])
    assert tag("p", tag("b", "x")) == "<p><b>x</b></p>"


def test_markdown_shows_text_as_it_is() -> None:
    assert markdown("a|b *c* `d`\n<i>") == r"a\|b \*c\* \`d\` &lt;i&gt;"


def test_a_drawing_can_neither_act_nor_reach_out() -> None:
    evil = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "x" "y"><svg xmlns="http://www.w3.org/2000/svg" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" onload="a()"><script>a()</script><a xlink:href="http://x" '
        'xlink:title="t"><text>&lt;b&gt;</text></a><foreignObject/></svg>'
    )
    made = inline_svg(evil)
    assert made is not None
    assert "<text>&lt;b&gt;</text>" in made and 'title="t"' in made
    assert not re.search(r"script|onload|href|foreign|DOCTYPE", made)
    assert inline_svg("<svg") is None


def test_figures_as_people_read_them() -> None:
    assert [show("accuracy", 0.98333), show("val_loss", 0.25), show("roc_auc", 0.99996), show("support", 1234.0)] == [
        "98.33%", "0.25", "1.0000", "1,234",
    ]  # fmt: skip
    assert value_range([np.array([0.0, 16.0])]) == (0, 16)
    assert value_range([np.array([0.0, 0.9])]) == (0, 1)
    assert value_range([np.array([3.0, 250.0])]) == (0, 255)

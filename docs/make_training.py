"""Trains small networks of every kind and writes gallery/training.md: what each was trained on, and that it learnt.

    python docs/make_training.py             all of them, in some minutes
    python docs/make_training.py vae gan     these anew; the others stay as they were measured

Each is trained by the command that the page shows. `training.json` keeps what was measured.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import archspec
from archspec.data.plan import plan
from archspec.train.check import check_settings
from archspec.train.outcome import seed_draws
from archspec.train.runs import open_run

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "gallery/training.md"
PICTURES = ROOT / "gallery/training"
HEAD = """\
# Trained

Small networks of every kind, each trained by one command, without any file or download, and measured on test examples
that took no part in the training. `make training` makes this page.

Times are those of all cores in sum, the start of TensorFlow and the report included. Another processor rounds
otherwise, and so does XLA where a run takes it for faster: figures differ a little from run to run.
"""
TABLE = """
| network | data | epochs, seed | CPU time | what shows that it learnt | the network | without it |
|---|---|---|--:|---|--:|---|
"""
_BLUE, _ORANGE = "#2563b8", "#c2570c"
_PIXELS = 64  # dots an inch: the pictures stand beside a table


class Trained:
    """A finished run with its examples as the network takes them."""

    def __init__(self, path: Path) -> None:
        from archspec.train.feed import feeds
        from archspec.train.saved import load_model

        self.run, self.architecture = open_run(path)
        graph = self.architecture.graph
        self.settings = check_settings(self.architecture.document, graph)
        self.plan = plan(self.architecture.document, graph, self.settings.data, self.settings.losses(graph))
        fed = feeds(self.plan, graph, self.settings.data.batch_size)
        self.train, self.test = fed.train, fed.test or fed.validation
        self.network = load_model(path / "model.keras")

    @property
    def figures(self) -> dict[str, float]:
        """Those of the only output, on the test examples."""
        ((_, judged),) = self.run.results["figures"].items()
        return judged["figures"]

    def predict(self, x: Any) -> Any:
        return self.network.predict(x, verbose=0)

    @cached_property
    def made(self) -> Any:
        seed_draws(self.network, self.settings.run.seed)
        return self.predict(self.test.x)

    def raw(self, split: str) -> Any:
        """The examples before any preprocessing, by field."""
        return self.plan.source.read(getattr(self.plan.parts, split)).values

    def curve(self, name: str = "loss") -> tuple[list[float], list[float]]:
        lines = [line.split(",") for line in (self.run.path / "metrics.csv").read_text("utf-8").splitlines()]
        place = {column: i for i, column in enumerate(lines[0])}
        training, validation = ([float(line[place[f"{of}{name}"]]) for line in lines[1:]] for of in ("", "val_"))
        return training, validation


@dataclass(frozen=True)
class Shown:
    """What the page says of a network: a figure, what stands beside it, and a picture beside the loss curve."""

    metric: str
    value: str
    baseline: str
    draw: Callable[[Any], None]


@dataclass(frozen=True)
class Entry:
    name: str
    reference: str  # as typed after `archspec train`
    data: str
    show: Callable[[Trained], Shown]
    caption: str

    @property
    def command(self) -> str:
        return f"archspec train specs/{self.reference}"

    def facts(self) -> dict[str, Any]:
        """What the page says of the spec, which must stay so."""
        network = archspec.load(ROOT / "specs" / self.reference)
        settings = check_settings(network.document, network.graph)
        parameters = network.summary().to_json()["parameters"]["total"]
        return {"epochs": settings.train.epochs, "seed": settings.run.seed, "parameters": parameters}


# --- pictures ------------------------------------------------------------------------------------


def draw(file: Path, run: Trained, shown: Shown) -> None:
    """The loss curve, and beside it the network's own picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
    from PIL import Image

    figure = Figure(figsize=(9, 2.9), dpi=_PIXELS, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    for values, label, colour in zip(run.curve(), ("training", "validation"), (_BLUE, _ORANGE), strict=True):
        left.plot(range(1, len(values) + 1), values, color=colour, label=label)
    left.set(title="loss", xlabel="epoch")
    left.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    left.legend(frameon=False)
    shown.draw(right)
    figure.savefig(file, metadata={"Software": None})
    image = Image.open(file).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(file, optimize=True)


def pictures(rows: list[tuple[str, Any]]) -> Callable[[Any], None]:
    """Rows of square images, each row with its name; values from 0 to 1."""

    def paint(axes: Any) -> None:
        lines = []
        for _, images in rows:
            side = round(images[0].size ** 0.5)
            images = np.reshape(images, (len(images), side, side))
            lines.append(np.hstack([np.pad(image, 1, constant_values=0.5) for image in images]))
        axes.imshow(np.vstack(lines), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        height = lines[0].shape[0]
        axes.set_yticks([height * (i + 0.5) for i in range(len(rows))], [name for name, _ in rows])
        axes.set_xticks([])
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)

    return paint


def bars(values: dict[str, float], title: str) -> Callable[[Any], None]:
    def paint(axes: Any) -> None:
        drawn = axes.barh(list(values), list(values.values()), color=[_BLUE, *["#b8c0cc"] * (len(values) - 1)])
        axes.bar_label(drawn, [f"{value:.1%}" for value in values.values()], padding=3)
        axes.set(title=title, xlim=(0, 1.12))
        axes.invert_yaxis()

    return paint


def matrix(truth: Any, said: Any, names: tuple[str, ...]) -> Callable[[Any], None]:
    def paint(axes: Any) -> None:
        counts = np.zeros((len(names), len(names)), int)
        np.add.at(counts, (truth, said), 1)
        axes.imshow(counts, cmap="Blues")
        for (i, j), count in np.ndenumerate(counts):
            axes.text(j, i, count, ha="center", va="center", color="white" if count > counts.max() / 2 else "black")
        axes.set(xlabel="taken for", ylabel="is")
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)

    return paint


# --- what each has learnt ------------------------------------------------------------------------


def percent(value: float) -> str:
    return f"{value:.1%}"


def digits(run: Trained) -> Shown:
    truth = np.ravel(run.test.y)
    majority = np.bincount(truth).max() / len(truth)
    return Shown("accuracy", percent(run.figures["accuracy"]), f"{majority:.1%} by the most frequent digit",
                 matrix(truth, run.made.argmax(1), tuple("0123456789")))  # fmt: skip


def reconstruction(run: Trained, **rivals: float) -> Shown:
    truth = run.test.x
    error = float(np.mean((run.made - truth) ** 2))
    mean = float(np.mean((run.train.x.mean(0) - truth) ** 2))
    beside = {"the mean image": mean} | rivals
    paint = pictures([("digits", truth[:10]), ("rebuilt", run.made[:10])])
    said = "; ".join(f"{value:.4f} by {name.replace('_', ' ')}" for name, value in beside.items())
    return Shown("mean squared error", f"{error:.4f}", said, paint)


def autoencoder(run: Trained) -> Shown:
    from sklearn.decomposition import PCA

    code = PCA(8).fit(run.train.x)
    flat = code.inverse_transform(code.transform(run.test.x))
    return reconstruction(run, eight_principal_components=float(np.mean((flat - run.test.x) ** 2)))


def gan(run: Trained) -> Shown:
    """Nearness to true digits, and that they are of all kinds: the network has seen the training images only."""
    import keras
    from sklearn.neighbors import NearestNeighbors

    def near(images: Any) -> float:
        return nearest.kneighbors(np.reshape(images, (len(images), -1)))[0].mean()

    nearest = NearestNeighbors(n_neighbors=1).fit(run.train.x.reshape(len(run.train.x), -1))
    keras.utils.set_random_seed(0)
    raw = run.architecture.build().predict(run.test.x, verbose=0)["generated"]
    made = run.made["generated"]
    paint = pictures([("drawn", made[:10] / 2 + 0.5), ("", made[10:20] / 2 + 0.5),
                      ("untrained", raw[:10] / 2 + 0.5)])  # fmt: skip
    said = f"{near(raw):.2f} of an untrained one's; {near(run.test.x):.2f} of true digits that it has not seen"
    return Shown("distance of what it draws to the nearest digit", f"{near(made):.2f}", said, paint)


def siamese(run: Trained) -> Shown:
    left, right = run.test.x
    different = np.ravel(run.test.y) == 1
    distance = np.ravel(run.made)
    seen = np.linalg.norm(run.train.x[0] - run.train.x[1], axis=1)
    other = np.ravel(run.train.y) == 1
    best = max(np.quantile(seen, np.linspace(0, 1, 200)), key=lambda bound: float(((seen > bound) == other).mean()))
    pixels = float(((np.linalg.norm(left - right, axis=1) > best) == different).mean())

    def paint(axes: Any) -> None:
        bins = np.linspace(0, distance.max(), 40)
        for which, label, colour in ((~different, "the same digit", _BLUE), (different, "different digits", _ORANGE)):
            axes.hist(distance[which], bins, alpha=0.75, label=label, color=colour)
        axes.axvline(0.5, color="black", linestyle=":", linewidth=1)
        axes.set(title="pairs by the distance of their codes")
        axes.legend(frameon=False)

    right_ones = float(((distance > 0.5) == different).mean())
    return Shown("pairs told apart", percent(right_ones),
                 f"{pixels:.1%} by the distance of the pixels; 50 % by guessing", paint)  # fmt: skip


def unet(run: Trained) -> Shown:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import jaccard_score

    pixel = LogisticRegression().fit(run.train.x.reshape(-1, 1)[::7], np.ravel(run.train.y)[::7])
    by_pixel = jaccard_score(np.ravel(run.test.y), pixel.predict(run.test.x.reshape(-1, 1)), average="macro")
    none = jaccard_score(np.ravel(run.test.y), np.zeros(run.test.y.size, int), average="macro")
    image = run.test.x[:7, ..., 0]
    scaled = np.clip((image - image.min()) / np.ptp(image), 0, 1)
    paint = pictures([("image", scaled), ("mask", run.test.y[:7]), ("found", run.made[:7].argmax(-1))])
    return Shown("mean IoU", percent(run.figures["mean_iou"]),
                 f"{by_pixel:.1%} by each pixel's value; {none:.1%} by background everywhere", paint)  # fmt: skip


def gcn(run: Trained) -> Shown:
    from sklearn.linear_model import LogisticRegression

    features, truth = run.test.x[0][0], run.test.y[0]
    known, hidden = run.train.y[0] >= 0, truth >= 0
    alone = LogisticRegression(max_iter=1000).fit(features[known], run.train.y[0][known])
    said = run.made[0].argmax(-1)
    scores = {
        "the network": float((said == truth)[hidden].mean()),
        "features alone": float(alone.score(features[hidden], truth[hidden])),
        "guessing": 0.25,
    }
    beside = f"{scores['features alone']:.1%} by logistic regression on the features alone; 25 % by guessing"
    return Shown(f"accuracy on {hidden.sum()} nodes whose class it was not told", percent(scores["the network"]),
                 beside, bars(scores, f"nodes of the test, {known.sum()} nodes having a label"))  # fmt: skip


def lstm(run: Trained) -> Shown:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = run.raw("train"), run.raw("test")
    bag = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1000)).fit(train["text"], train["label"])
    counted = float(bag.score(test["text"], test["label"]))
    scores = {"the network": run.figures["accuracy"], "bag of words": counted, "guessing": 0.5}
    return Shown("accuracy", percent(scores["the network"]),
                 f"{counted:.1%} by logistic regression on the counts of words; 50 % by guessing",
                 bars(scores, "texts of the test"))  # fmt: skip


def clip(run: Trained) -> Shown:
    """The first test example of each kind: every image against every text."""
    kinds = run.raw("test")["label"]
    first = np.array([np.flatnonzero(kinds == kind)[0] for kind in np.unique(kinds)])
    size = len(first)
    image, tokens = (x[first] for x in run.test.x)
    rows, columns = np.repeat(np.arange(size), size), np.tile(np.arange(size), size)
    logits = run.predict((image[rows], tokens[columns])).reshape(size, size)

    def paint(axes: Any) -> None:
        axes.imshow(logits, cmap="magma")
        axes.set(title="logits of all pairs", xlabel="text", ylabel="image", xticks=[], yticks=[])

    found = float((logits.argmax(1) == np.arange(size)).mean())
    return Shown(f"images whose text is found among {size}", percent(found), f"{1 / size:.1%} by guessing", paint)


ENTRIES = (
    Entry("digits_cnn", "digits_cnn.yaml", "scikit-learn's digits", digits, "digits of the test"),
    Entry("autoencoder", "autoencoder.yaml@digits", "scikit-learn's digits", autoencoder,
          "test digits, and what became of them through a code of eight numbers"),
    Entry("vae", "vae.yaml@digits", "scikit-learn's digits", reconstruction,
          "test digits, and what became of them through a sampled code of eight numbers"),
    Entry("gan", "gan_training.yaml", "scikit-learn's digits", gan,
          "two rows that the generator drew from noise, and one that it drew before the training"),
    Entry("siamese", "siamese.yaml@digits", "pairs of scikit-learn's digits", siamese,
          "test pairs, of digits that were in no pair of the training"),
    Entry("unet", "unet.yaml@small", "discs beneath noise, made up", unet, "test images, their masks and those found"),
    Entry("gcn", "gcn.yaml@small", "a graph of four communities, made up", gcn, "beside what uses the features alone"),
    Entry("lstm", "lstm_text.yaml@small", "clauses with and without `not`, made up", lstm,
          "beside what counts words; a fifth of the texts, the shortest, also stand in the training"),
    Entry("clip", "clip.yaml@small", "32 patterns beneath noise with texts, made up", clip,
          "the right text of an image is on the diagonal"),
)  # fmt: skip


# --- the page ------------------------------------------------------------------------------------


def measure(entry: Entry) -> dict[str, Any]:
    """Trains one by its command, draws its picture, and gives what the page says of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / entry.name
        program = [sys.executable, "-m", *entry.command.split(), "--run-dir", str(path), "-q"]
        before = _cpu_seconds()
        subprocess.run(program, cwd=ROOT, check=True)
        seconds = round(_cpu_seconds() - before)
        run = Trained(path)
        shown = entry.show(run)
        draw(PICTURES / f"{entry.name}.png", run, shown)
        examples = {split: run.run.results["examples"][split] for split in ("train", "test")}
    measured = {"metric": shown.metric, "value": shown.value, "baseline": shown.baseline}
    return {**entry.facts(), "examples": examples, "seconds": seconds, **measured}


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def markdown(found: dict[str, dict[str, Any]]) -> str:
    text = HEAD + TABLE
    for entry in ENTRIES:
        one = found[entry.name]
        sizes = ", ".join(f"{split} {size:,}" for split, size in one["examples"].items())
        cells = [
            f"[{entry.reference}](../specs/{entry.reference.split('@')[0]}), {one['parameters']:,} parameters",
            f"{entry.data}; {sizes}",
            f"{one['epochs']}, {one['seed']}",
            f"{one['seconds']} s",
            one["metric"],
            f"**{one['value']}**",
            one["baseline"],
        ]
        text += f"| {' | '.join(cells)} |\n"
    for entry in ENTRIES:
        text += f"\n## {entry.reference}\n\n```sh\n{entry.command}\n```\n\n"
        text += f"![{entry.name}](training/{entry.name}.png)\n\nRight: {entry.caption}.\n"
    return text


def main(names: list[str]) -> None:
    kept = PICTURES / "training.json"
    found = json.loads(kept.read_text("utf-8")) if kept.is_file() else {}
    PICTURES.mkdir(exist_ok=True)
    for entry in ENTRIES:
        if not names or entry.name in names:
            found[entry.name] = measure(entry)
            print(entry.name, found[entry.name], flush=True)
            kept.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", "utf-8")
    if len(found) == len(ENTRIES):
        PAGE.write_text(markdown(found), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

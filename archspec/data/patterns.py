"""Examples made up from a generator of random numbers, each kind with something in it that a network can learn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_COARSE = 4  # a template's cells along each axis of an image: large enough for a pooling network to see
_FOLLOWERS = (0.7, 0.2, 0.1)  # how often each of a token's three successors comes next
_LINKS, _OWN = 3, 0.8  # links that a node of a graph makes, and the share of them within its community
_KNOWN = {"train": 0.1, "validation": 0.2}  # shares of a community's nodes whose labels each split has; test: the rest

# What the texts are made of.
_THINGS = ("film", "plot", "music", "ending", "cast")
_DEGREES = ("", "so", "very", "really")
_BLAME, _PRAISE = ("bad", "dull", "awful", "weak"), ("good", "fine", "great", "strong")
CLAUSE = 6  # words of the longest clause


@dataclass(frozen=True)
class Drawn:
    """The values to draw for one input: shape without the examples, dtype, and the bound of whole numbers."""

    shape: tuple[int, ...]
    dtype: str
    vocabulary: int


def noise_only(rng: np.random.Generator, size: int, drawn: Drawn) -> np.ndarray:
    """Values in which nothing can be learnt: normal, uniform whole numbers, or fair bits."""
    import numpy as np

    shape = (size, *drawn.shape)
    if drawn.dtype == "bool":
        return rng.random(shape, "float32") < 0.5
    if drawn.dtype == "string":
        return _words(rng.integers(drawn.vocabulary, size=shape))
    if np.dtype(drawn.dtype).kind in "iu":
        return rng.integers(drawn.vocabulary, size=shape).astype(drawn.dtype)
    return rng.standard_normal(shape, "float32").astype(drawn.dtype, copy=False)


def of_classes(rng: np.random.Generator, labels: np.ndarray, classes: int, drawn: Drawn, noise: float) -> np.ndarray:
    """Values that tell of their class: a template and noise, or tokens most of which come from the class's own."""
    import numpy as np

    shape = (len(labels), *drawn.shape)
    if drawn.dtype == "bool":
        bits = rng.random((classes, *drawn.shape)) < 0.5
        flipped = rng.random(shape, "float32") < noise / (1 + noise) / 2
        return np.asarray(bits[labels] ^ flipped)
    if drawn.dtype == "string" or np.dtype(drawn.dtype).kind in "iu":
        own = max(1, drawn.vocabulary // classes)
        start = (labels * own % drawn.vocabulary).reshape(-1, *[1] * len(drawn.shape))
        telling = rng.random(shape, "float32") < 1 / (1 + noise)
        tokens = np.where(telling, start + rng.integers(own, size=shape), rng.integers(drawn.vocabulary, size=shape))
        return _words(tokens) if drawn.dtype == "string" else tokens.astype(drawn.dtype)
    values: np.ndarray = templates(rng, classes, drawn.shape)[labels]
    values += noise * rng.standard_normal(shape, "float32")
    return values.astype(drawn.dtype, copy=False)


def templates(rng: np.random.Generator, classes: int, shape: tuple[int, ...]) -> np.ndarray:
    """A pattern for each class, of variance 1; coarse along all axes but the last where there are several."""
    import numpy as np

    cells = (classes, *(min(length, _COARSE) for length in shape[:-1]), *shape[-1:])
    made: np.ndarray = rng.standard_normal(cells).astype("float32")
    for axis, length in enumerate(shape[:-1], 1):
        made = np.take(made, np.arange(length) * made.shape[axis] // length, axis=axis)
    return made


def amounts(rng: np.random.Generator, inputs: Mapping[str, np.ndarray], count: int, noise: float) -> np.ndarray:
    """`count` smooth functions of all inputs, each of variance near 1 before the noise: a vector if several."""
    import numpy as np

    flat = [values.reshape(len(values), -1).astype("float32") for values in inputs.values() if values.dtype.kind != "O"]
    x = np.concatenate(flat, axis=1)
    x = (x - x.mean(0)) / np.maximum(x.std(0), 1e-6)
    weights = rng.standard_normal((2, x.shape[1], count)).astype("float32") / math.sqrt(x.shape[1])
    made: np.ndarray = 0.8 * (x @ weights[0]) + 0.8 * np.sin(2 * (x @ weights[1]))
    made += noise * rng.standard_normal(made.shape, "float32")
    return np.squeeze(made, 1) if count == 1 else made


def discs(
    rng: np.random.Generator, size: int, shape: tuple[int, int, int], classes: int, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Images with one to three discs, each in the colour of its class, and masks of classes: 0 is the background."""
    import numpy as np

    height, width, channels = shape
    colours = rng.uniform(0.5, 1.5, (classes, channels)) * rng.choice([-1, 1], (classes, channels))
    colours[0] = 0
    rows, columns = np.ogrid[:height, :width]
    masks = np.zeros((size, height, width), "int32")
    for mask in masks:
        for _ in range(rng.integers(1, 4)):
            radius = rng.uniform(0.1, 0.25) * min(height, width)
            row, column = rng.uniform(0, height), rng.uniform(0, width)
            mask[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = rng.integers(1, classes)
    images = colours.astype("float32")[masks]
    images += noise * rng.standard_normal(images.shape, "float32")
    return images, masks


def pairs(
    rng: np.random.Generator, size: int, classes: int, drawn: Drawn, noise: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left, right, and whether both are of one class: as often as not."""
    import numpy as np

    left = rng.integers(classes, size=size)
    same = rng.permutation(np.arange(size) % 2)
    right = np.where(same, left, (left + rng.integers(1, classes, size=size)) % classes)
    values = of_classes(rng, np.concatenate([left, right]), classes, drawn, noise)
    return values[:size], values[size:], same.astype("int32")


def partners(rng: np.random.Generator, labels: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The places of left and right for pairs of given examples, and whether both are of one class: as often as not.

    No example is paired with itself where its class has another.
    """
    import numpy as np

    members = {code: np.flatnonzero(labels == code) for code in np.unique(labels)}
    others = {code: np.flatnonzero(labels != code) for code in members}
    left = rng.integers(len(labels), size=size)
    same = rng.permutation(np.arange(size) % 2)
    right = np.empty_like(left)
    for i, (place, alike) in enumerate(zip(left, same, strict=True)):
        code = labels[place]
        among = members[code][members[code] != place] if alike else others[code]
        right[i] = rng.choice(among) if len(among) else place
    return left, right, same.astype("int32")


def motif(classes: int) -> list[tuple[int, ...]]:
    """An order of the same few tokens for each class: what is in a sequence says nothing, its order all."""
    length = next(n for n in itertools.count(2) if math.factorial(n) >= classes)
    return list(itertools.islice(itertools.permutations(range(1, length + 1)), classes))


def sequences(rng: np.random.Generator, labels: np.ndarray, classes: int, length: int, vocabulary: int) -> np.ndarray:
    """Tokens from 1 up, among which those of the class's motif stand in its order; 0 is left for padding."""
    import numpy as np

    orders = np.array(motif(classes), "int32")
    tokens = rng.integers(orders.shape[1] + 1, vocabulary, size=(len(labels), length)).astype("int32")
    places = np.sort(rng.random((len(labels), length)).argsort(axis=1)[:, : orders.shape[1]], axis=1)
    np.put_along_axis(tokens, places, orders[labels], axis=1)
    return tokens


def chains(rng: np.random.Generator, size: int, length: int, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of a Markov chain, and the token that follows each."""
    import numpy as np

    followers = rng.integers(vocabulary, size=(vocabulary, len(_FOLLOWERS)))
    tokens = np.empty((size, length + 1), "int32")
    tokens[:, 0] = rng.integers(vocabulary, size=size)
    for place in range(length):
        which = rng.choice(len(_FOLLOWERS), size=size, p=_FOLLOWERS)
        tokens[:, place + 1] = followers[tokens[:, place], which]
    return tokens[:, :-1], tokens[:, 1:]


def texts(rng: np.random.Generator, labels: np.ndarray, length: int) -> np.ndarray:
    """Clauses joined by `but`, of which the last tells: praise (1) or blame (0), which a `not` turns round.

    Each word is as frequent in texts of praise as in those of blame.
    """
    import numpy as np

    clauses = rng.integers(1, (length + 1) // (CLAUSE + 1) + 1, size=len(labels))
    made = [
        " but ".join([*(_clause(rng, int(rng.integers(2))) for _ in range(count - 1)), _clause(rng, int(label))])
        for label, count in zip(labels, clauses, strict=True)
    ]
    return np.array(made, dtype=object)


def _clause(rng: np.random.Generator, praises: int) -> str:
    turned = int(rng.integers(2))
    words = (_BLAME, _PRAISE)[praises ^ turned]
    degree = _DEGREES[rng.integers(len(_DEGREES))]
    said = ["the", _THINGS[rng.integers(len(_THINGS))], "was", "not" * turned, degree, words[rng.integers(len(words))]]
    return " ".join(filter(None, said))


def graph(
    rng: np.random.Generator, nodes: int, classes: int, drawn: Drawn, noise: float
) -> dict[str, dict[str, np.ndarray]]:
    """One graph as the only example of each split: the nodes' features, the links between them, and the labels of that
    split's nodes, -1 being the label of all others.

    Nodes link mostly to nodes of their own class. The adjacency is D^-1/2 (A + I) D^-1/2, D being the degrees with the
    loops of I (Kipf & Welling 2016, arXiv:1609.02907, equation 2).
    """
    import numpy as np

    labels = rng.permutation(nodes) % classes
    members = [np.flatnonzero(labels == code) for code in range(classes)]
    adjacency = np.eye(nodes, dtype="float32")
    for node, code in enumerate(labels):
        for own in rng.random(_LINKS) < _OWN:
            other = rng.choice(members[code] if own else nodes)
            adjacency[node, other] = adjacency[other, node] = 1
    root = 1 / np.sqrt(adjacency.sum(1))
    adjacency *= root[:, None] * root
    features = of_classes(rng, labels, classes, drawn, noise)
    known = _known(members)
    return {
        part: {
            "features": features[None],
            "adjacency": adjacency[None],
            "label": np.where(known == part, labels, -1).astype("int32")[None],
        }
        for part in ("train", "validation", "test")
    }


def _known(members: Sequence[np.ndarray]) -> np.ndarray:
    """The split that has each node's label: the same share of every class, and one node of each at least."""
    import numpy as np

    known = np.full(sum(map(len, members)), "test", dtype=object)
    for places in members:
        start = 0
        for part, share in _KNOWN.items():
            size = max(1, round(share * len(places)))
            known[places[start : start + size]] = part
            start += size
    return known


def _words(numbers: np.ndarray) -> np.ndarray:
    import numpy as np

    return np.array([f"w{n}" for n in numbers.ravel()], dtype=object).reshape(numbers.shape)

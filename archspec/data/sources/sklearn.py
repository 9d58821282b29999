"""`sklearn`: the small data sets that scikit-learn ships, which need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from archspec.data.base import WHOLE, Loaded, Source

# Of the digits in a random order, those of each split, and the number of pairs.
_PAIRS = {"train": (0, 1260, 2500), "validation": (1260, 1437, 250), "test": (1437, 1797, 500)}


class Sklearn(Source):
    """One of scikit-learn's embedded data sets, or points that it makes up.

    `digits`: 1797 handwritten digits, fields `image` (8, 8, 1) from 0 to 16, `features` (64,) and `label`.
    `iris`, `wine`, `breast_cancer`: fields `features` and `label`. `diabetes`: `features` and a real `target`;
    `linnerud`: 20 examples of `features` (3,) and a `target` of three amounts. `moons` and `circles`: a thousand points
    of two interleaved shapes, `features` (2,) and `label`. `digit_pairs`: the digits two by two, `left` and `right`
    (8, 8, 1), `same`, 1 where both show one figure, and `different`, the opposite; train, validation and test draw
    2,500, 250 and 500 pairs from digits that are in no other split.
    """

    KIND = "sklearn"

    name: Literal[
        "digits", "digit_pairs", "iris", "wine", "breast_cancer", "diabetes", "linnerud", "moons", "circles",
    ] = "digits"  # fmt: skip

    def load(self, folder: Path) -> Loaded:
        import numpy as np
        from sklearn import datasets

        from archspec.data.tables import load_arrays

        if self.name in ("moons", "circles"):
            make = getattr(datasets, f"make_{self.name}")
            points, labels = make(
                1000, noise=0.1, random_state=0, **({"factor": 0.5} if self.name == "circles" else {})
            )
            drawn = {"features": points.astype("float32"), "label": labels.astype("int32")}
            return load_arrays({WHOLE: drawn}, ("features",), ("label",))
        if self.name == "digit_pairs":
            return _digit_pairs()
        bunch = getattr(datasets, f"load_{self.name}")()
        fields = {"features": bunch.data.astype("float32")}
        if self.name in ("diabetes", "linnerud"):
            fields["target"] = bunch.target.astype("float32")
            return load_arrays({WHOLE: fields}, ("features",), ("target",))
        if self.name == "digits":
            fields["image"] = bunch.images.astype("float32")[..., np.newaxis]
        fields["label"] = bunch.target.astype("int32")
        names = tuple(str(name) for name in bunch.target_names)
        return load_arrays(
            {WHOLE: fields}, ("image" if "image" in fields else "features",), ("label",), {"label": names}
        )


def _digit_pairs() -> Loaded:
    import numpy as np
    from sklearn.datasets import load_digits

    from archspec.data.patterns import partners
    from archspec.data.tables import load_arrays

    rng = np.random.default_rng(0)
    digits = load_digits()
    images = digits.images.astype("float32")[..., np.newaxis]
    order = rng.permutation(len(images))
    parts = {}
    for name, (start, end, size) in _PAIRS.items():
        places = order[start:end]
        left, right, same = partners(rng, digits.target[places], size)
        parts[name] = {
            "left": images[places[left]], "right": images[places[right]], "same": same, "different": 1 - same,
        }  # fmt: skip
    classes = {"same": ("different", "same"), "different": ("same", "different")}
    return load_arrays(parts, ("left", "right"), ("same",), classes)

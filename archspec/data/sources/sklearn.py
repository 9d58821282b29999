"""`sklearn`: the small data sets that scikit-learn ships, which need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from archspec.data.base import WHOLE, Loaded, Source


class Sklearn(Source):
    """One of scikit-learn's embedded data sets, or points that it makes up.

    `digits`: 1797 handwritten digits, fields `image` (8, 8, 1) from 0 to 16, `features` (64,) and `label`.
    `iris`, `wine`, `breast_cancer`: fields `features` and `label`. `diabetes`: `features` and a real `target`;
    `linnerud`: 20 examples of `features` (3,) and a `target` of three amounts. `moons` and `circles`: a thousand points
    of two interleaved shapes, `features` (2,) and `label`.
    """

    KIND = "sklearn"

    name: Literal["digits", "iris", "wine", "breast_cancer", "diabetes", "linnerud", "moons", "circles"] = "digits"

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

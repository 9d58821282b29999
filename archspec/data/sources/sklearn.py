"""`sklearn`: the small data sets that scikit-learn ships, which need no download."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from archspec.data.base import Loaded, Source


class Sklearn(Source):
    """One of scikit-learn's embedded data sets.

    `digits`: 1797 handwritten digits, fields `image` (8, 8, 1) from 0 to 16, `features` (64,) and `label`.
    `iris`, `wine`, `breast_cancer`: fields `features` and `label`. `diabetes`: `features` and a real `target`.
    """

    KIND = "sklearn"

    name: Literal["digits", "iris", "wine", "breast_cancer", "diabetes"] = "digits"

    def load(self, folder: Path) -> Loaded:
        import numpy as np
        from sklearn import datasets

        from archspec.data.tables import load_arrays

        bunch = getattr(datasets, f"load_{self.name}")()
        fields = {"features": bunch.data.astype("float32")}
        if self.name == "diabetes":
            fields["target"] = bunch.target.astype("float32")
            return load_arrays({"all": fields}, ("features",), ("target",))
        if self.name == "digits":
            fields["image"] = bunch.images.astype("float32")[..., np.newaxis]
        fields["label"] = bunch.target.astype("int32")
        names = tuple(str(name) for name in bunch.target_names)
        return load_arrays(
            {"all": fields}, ("image" if "image" in fields else "features",), ("label",), {"label": names}
        )

"""Arrays from elsewhere as the weights of a model: pretrained files on disk, models of other libraries.

>>> arrays = read("resnet50_weights_tf_dim_ordering_tf_kernels.h5")
>>> report = load(net.build(), arrays, mappings()["keras_resnet"])

A mapping is a sequence of rules from the source's names to the paths of our weights. `find_mapping` finds the ready one
that fits. No framework is imported here: a model's weights say their paths and shapes themselves.
"""

from archspec.weights.loading import Match, Misshapen, Report, WeightsError, load
from archspec.weights.partial import Partial, load_some
from archspec.weights.reading import UnreadableError, read
from archspec.weights.ready import find_mapping, mappings
from archspec.weights.rules import TRANSFORMS, Rule

__all__ = [
    "TRANSFORMS", "Match", "Misshapen", "Partial", "Report", "Rule", "UnreadableError", "WeightsError", "find_mapping",
    "load", "load_some", "mappings", "read",
]  # fmt: skip

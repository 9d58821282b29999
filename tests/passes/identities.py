"""Cases of the pass `identities`."""

from archspec.graph.ir import Edge, Graph
from archspec.layers import catalogue
from archspec.layers.images import Image
from archspec.optimize.passes.identities import Identities
from archspec.optimize.rewrite import Rewrite
from tests.graphs import LayerLike
from tests.passes import Breakage, Case, Refusal, chain, mutant

DENSE = {"Dense": 5}


def amid(*layers: LayerLike, shape: tuple[int | None, ...] = (6, 6, 4)) -> Graph:
    """Layers between two that do something."""
    return chain(shape, {"Activation": "tanh"}, *layers, DENSE)


AUGMENTATIONS = [
    {cls.__name__: cls.EXAMPLES[0].arguments}
    for cls in catalogue().values()
    if issubclass(cls, Image) and "seed" in cls.model_fields and cls.__name__ != "RandomCrop"
]
CASES = (
    *(Case(f"{kind} of one", amid(kind), 1) for kind in ("Add", "Average", "Concatenate", "Maximum", "Multiply")),
    *(
        Case(str(layer), amid(layer), 1)
        for layer in (
            "Identity",
            {"Activation": "linear"},
            {"Dropout": 0.0},
            {"Dropout": 0.5},
            {"SpatialDropout2D": 0.5},
            {"AlphaDropout": 0.1},
            {"GaussianDropout": 0.1},
            {"GaussianNoise": 0.5},
            {"ActivityRegularization": {"l1": 0.1}},
            {"Reshape": [6, 6, 4]},
            {"Reshape": [6, -1, 4]},
            {"Permute": [1, 2, 3]},
            {"ZeroPadding2D": 0},
            {"Cropping2D": 0},
            {"UpSampling2D": {"size": 1, "interpolation": "bilinear"}},
            {"MaxPooling2D": 1},
            {"Formula": {"expression": "cast(x, 'float32')", "arguments": ["x"]}},
            {"AveragePooling2D": {"pool_size": 1, "padding": "same"}},
        )
    ),
    Case("flatten of a row", chain((7,), "Flatten", DENSE), 1),
    Case("one unknown length", amid({"Reshape": [-1, 4]}, shape=(None, 4)), 1),
    Case("the network's result", chain((4, 3), DENSE, "Identity"), 1),
    Case("the whole network", chain((4, 3), {"Activation": "linear"}), 1),
    Case("in training", amid({"Dropout": 0.0}, {"Dropout": 0.5}, {"GaussianNoise": 0.1}, "Identity"), 2, "training"),
    Case("random changes of images", amid(*AUGMENTATIONS, shape=(8, 8, 3)), len(AUGMENTATIONS)),
    Case("masks go on", chain((4,), {"Embedding": {"input_dim": 9, "output_dim": 3, "mask_zero": True}},
                              {"Dropout": 0.1}, {"LSTM": 3}, dtype="int32"), 1),
)  # fmt: skip
REFUSALS = (
    Refusal("another dtype", chain((4, 3), {"Identity": {"dtype": "float64"}}, DENSE), "it makes"),
    Refusal("integers made floats", chain((3,), {"Add": {}}, DENSE, dtype="int32"), "it makes"),
    Refusal("dropout in training", amid({"Dropout": 0.5}), level="training"),
    Refusal("a penalty in training", amid({"ActivityRegularization": {"l2": 0.1}}), level="training"),
    Refusal("a random crop", amid({"RandomCrop": {"height": 4, "width": 4}})),
    Refusal("flips in training", amid("RandomFlip"), level="training"),
    Refusal("a change of images", amid("AutoContrast")),
    Refusal("a stride", amid({"MaxPooling2D": {"pool_size": 1, "strides": 2}})),
    Refusal("two unknown lengths", amid({"Reshape": [-1, 4]}, shape=(None, 4, 4))),
    Refusal(
        "a mask that ends here",
        chain((4,), {"Embedding": {"input_dim": 9, "output_dim": 3, "mask_zero": True}}, {"Reshape": [4, 3]},
              {"LSTM": 3}, dtype="int32"),
        "mask",
    ),
)  # fmt: skip


def _drop(kind: str) -> Identities:
    """Takes layers of a kind for identities whatever their arguments."""

    def change(draft, node, answer):
        if type(node.layer).__name__ != kind:
            return None
        return Rewrite((node.name,), (), {Edge(node.name): node.inputs[0]}, keeps_masks=True)

    return mutant(Identities(), change)


BREAKAGES = (
    Breakage("relu", _drop("ReLU"), amid("ReLU"), "inference"),
    Breakage("permutations of something", _drop("Permute"), amid({"Permute": [2, 1, 3]}), "inference"),
    Breakage("dropout in training", _drop("Dropout"), amid({"Dropout": 0.5}), "training"),
    Breakage(
        "a penalty in training", _drop("ActivityRegularization"), amid({"ActivityRegularization": 0.1}), "training"
    ),
    Breakage("normalisation", _drop("UnitNormalization"), amid("UnitNormalization"), "inference"),
)

"""Mappings from the layers of `keras.applications`, as the library and its pretrained files name them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from archspec.weights.rules import Rule

CONV, DEPTHWISE, SEPARABLE, BN = "conv2d", "depthwise_conv2d", "separable_conv2d", "batch_normalization"


def _layers(table: Mapping[str, str | tuple[str, ...]], numbered: bool = False) -> tuple[Rule, ...]:
    """Rules for whole layers: all variables of one become those of ours, of the same name or position.

    Where several targets are given, a model has one of them.
    """
    return tuple(
        Rule(rf"{source}/(?P<variable>\w+)", f"{target}/{{variable}}", numbered=numbered)
        for source, targets in table.items()
        for target in ([targets] if isinstance(targets, str) else targets)
    )


def _top(name: str = "top.dense") -> dict[str, str | tuple[str, ...]]:
    """The classifier has had several names."""
    return {"(?:predictions|probs|fc1000)": name}


def _in_order(layers: Iterable[str]) -> tuple[Rule, ...]:
    """Convolutions, each with its normalisation, that Keras has only numbered."""
    pairs = [(f"conv2d_{i}", f"{layer}.{CONV}", f"{BN}_{i}", f"{layer}.{BN}") for i, layer in enumerate(layers)]
    return _layers({s: t for conv, ours, bn, our_bn in pairs for s, t in ((conv, ours), (bn, our_bn))}, numbered=True)


VGG = _layers({r"block(\d)_conv(\d)": f"stage{{1}}.conv{{2}}.{CONV}", "(fc1|fc2|predictions)": "{1}"})

_V1 = "stage{1-1}.bottleneck{2}.unit"
_V2 = "stage{1-1}.preact_bottleneck{2}.preact_unit"
RESNET = _layers({
    "conv1_conv": f"conv.{CONV}",
    "conv1_bn": f"bn_relu.bn.{BN}",
    r"conv(\d)_block(\d+)_0_conv": f"{_V1}.shortcut.resized.conv.{CONV}",
    r"conv(\d)_block(\d+)_0_bn": f"{_V1}.shortcut.bn.{BN}",
    r"conv(\d)_block(\d+)_([123])_conv": f"{_V1}.residual.conv_bn{{3#}}.conv.{CONV}",
    r"conv(\d)_block(\d+)_([123])_bn": f"{_V1}.residual.conv_bn{{3#}}.bn.{BN}",
    **_top(),
})  # fmt: skip
RESNET_V2 = _layers({
    "conv1_conv": f"conv.{CONV}",
    r"conv(\d)_block(\d+)_preact_bn": f"{_V2}.preact.bn.{BN}",
    r"conv(\d)_block(\d+)_0_conv": f"{_V2}.shortcut.resized.conv.{CONV}",
    r"conv(\d)_block(\d+)_([123])_conv": f"{_V2}.residual.conv{{3#}}.{CONV}",
    r"conv(\d)_block(\d+)_([12])_bn": f"{_V2}.residual.bn_relu{{3#}}.bn.{BN}",
    "post_bn": f"bn_relu.bn.{BN}",
    **_top(),
})  # fmt: skip

_DENSE = "stage{1-1}.dense_layer{2}.new.bn_relu_conv"
DENSENET = _layers({
    "conv1[/_]conv": f"imagenet_stem.{CONV}",
    "conv1[/_]bn": f"imagenet_stem.bn_relu.{BN}",
    r"conv(\d)_block(\d+)_([012])_bn": f"{_DENSE}{{3+1#}}.bn_relu.{BN}",
    r"conv(\d)_block(\d+)_([12])_conv": f"{_DENSE}{{3#}}.{CONV}",
    r"pool(\d)_bn": f"stage{{1}}.transition.bn_relu_conv.bn_relu.{BN}",
    r"pool(\d)_conv": f"stage{{1}}.transition.bn_relu_conv.{CONV}",
    "bn": f"bn_relu.{BN}",
    **_top(),
})  # fmt: skip

MOBILENET = _layers({
    "conv1": f"mobilenet_v1.conv.{CONV}",
    "conv1_bn": f"mobilenet_v1.conv.bn.{BN}",
    r"conv_dw_(\d+)": f"mobilenet_v1.stage{{1}}.depthwise.{DEPTHWISE}",
    r"conv_dw_(\d+)_bn": f"mobilenet_v1.stage{{1}}.depthwise.bn.{BN}",
    r"conv_pw_(\d+)": f"mobilenet_v1.stage{{1}}.conv.{CONV}",
    r"conv_pw_(\d+)_bn": f"mobilenet_v1.stage{{1}}.conv.bn.{BN}",
    "conv_preds": f"mobilenet_v1.top.{CONV}",
})  # fmt: skip


def _mobilenet_v2() -> tuple[Rule, ...]:
    """Its blocks are numbered through; ours by stage, of which table 2 gives the depths."""
    places = [(stage, i) for stage, depth in enumerate([1, 2, 3, 4, 3, 3, 1], 1) for i in range(1, depth + 1)]
    table: dict[str, str | tuple[str, ...]] = {
        "Conv1": f"mobilenet_v2.conv.{CONV}",
        "bn_Conv1": f"mobilenet_v2.conv.bn.{BN}",
        "Conv_1": f"mobilenet_v2.conv_2.{CONV}",
        "Conv_1_bn": f"mobilenet_v2.conv_2.bn.{BN}",
        **_top("mobilenet_v2.top.dense"),
    }
    for number, (stage, i) in enumerate(places):
        block = f"block_{number}" if number else "expanded_conv"
        ours = f"mobilenet_v2.stage{stage}.inverted_residual{i}"
        table |= {
            f"{block}_(expand|project)": f"{ours}.{{1}}.{CONV}",
            f"{block}_depthwise": f"{ours}.depthwise.{DEPTHWISE}",
            f"{block}_(expand|depthwise|project)_BN": f"{ours}.{{1}}.bn.{BN}",
        }
    return _layers(table)


# Keras 2 wrote expanded_conv_1/expand/BatchNorm and Conv_1 for what is now expanded_conv_1_expand_bn and conv_1.
_BLOCK, _NORM = r"expanded_conv(?:_(\d+))?[/_]", "(?:_bn|/BatchNorm)"
_GATE = "mobilenet_v3.stage{1+1}.squeeze_excite.gate"
MOBILENET_V3 = _layers({
    "[Cc]onv": f"mobilenet_v3.conv.{CONV}",
    f"[Cc]onv{_NORM}": f"mobilenet_v3.conv.bn.{BN}",
    f"{_BLOCK}(expand|project)": f"mobilenet_v3.stage{{1+1}}.{{2}}.{CONV}",
    f"{_BLOCK}depthwise": f"mobilenet_v3.stage{{1+1}}.depthwise.{DEPTHWISE}",
    f"{_BLOCK}(expand|depthwise|project){_NORM}": f"mobilenet_v3.stage{{1+1}}.{{2}}.bn.{BN}",
    f"{_BLOCK}squeeze_excite[/_][Cc]onv(?:_(1))?": f"{_GATE}.{CONV}{{2+1#}}",
    "[Cc]onv_1": f"mobilenet_v3.conv_2.{CONV}",
    f"[Cc]onv_1{_NORM}": f"mobilenet_v3.conv_2.bn.{BN}",
    "[Cc]onv_2": f"mobilenet_v3.top.{CONV}",
    "[Ll]ogits": f"mobilenet_v3.top.{CONV}_2",
})  # fmt: skip

_MB, _FUSED = "stage{1}.squeezed{2+0}.inverted_residual", "stage{1}.fused_inverted_residual{2+0}"
EFFICIENTNET = _layers({
    r"normalization(?:_\d+)?": "preprocess.normalization",
    "stem_conv": f"conv.{CONV}",
    "stem_bn": f"conv.bn.{BN}",
    r"block(\d)([a-z])_dwconv2?": f"{_MB}.depthwise.{DEPTHWISE}",
    r"block(\d)([a-z])_bn": f"{_MB}.depthwise.bn.{BN}",
    r"block(\d)([a-z])_se_reduce": f"{_MB}.squeeze_excite.gate.{CONV}",
    r"block(\d)([a-z])_se_expand": f"{_MB}.squeeze_excite.gate.{CONV}_2",
    r"block(\d)([a-z])_(expand|project)_conv": (f"{_MB}.{{3}}.{CONV}", f"{_FUSED}.{{3}}.{CONV}"),
    r"block(\d)([a-z])_(expand|project)_bn": (f"{_MB}.{{3}}.bn.{BN}", f"{_FUSED}.{{3}}.bn.{BN}"),
    "top_conv": f"conv_2.{CONV}",
    "top_bn": f"conv_2.bn.{BN}",
    **_top(),
})  # fmt: skip

XCEPTION = _layers({
    r"block1_conv(\d)": f"entry.conv_bn{{1#}}.{CONV}",
    r"block1_conv(\d)_bn": f"entry.conv_bn{{1#}}.{BN}",
    **_top(),
})  # fmt: skip
for _blocks, _place in {
    "([234])": "entry.down{1-1#}.residual.sepconv_bn{2#}",
    "([5-9]|1[012])": "middle.residual{1-4#}.layers{2}.sepconv_bn",
    "(13)": "exit.down.residual.sepconv_bn{2#}",
    "(14)": "exit.sepconv_bn{2#}",
}.items():
    XCEPTION += _layers({
        rf"block{_blocks}_sepconv(\d)": f"{_place}.{SEPARABLE}",
        rf"block{_blocks}_sepconv(\d)_bn": f"{_place}.{BN}",
    })  # fmt: skip
XCEPTION += _layers({
    "conv2d_([012])": f"entry.down{{1+1#}}.shortcut.conv_bn.{CONV}",
    f"{BN}_([012])": f"entry.down{{1+1#}}.shortcut.conv_bn.{BN}",
    "conv2d_3": f"exit.down.shortcut.conv_bn.{CONV}",
    f"{BN}_3": f"exit.down.shortcut.conv_bn.{BN}",
}, numbered=True)  # fmt: skip


def _chain(branch: str, length: int) -> list[str]:
    return [f"{branch}.conv{f'_{i}' if i > 1 else ''}" for i in range(1, length + 1)]


_STEM = _chain("stem", 5)
_MIXED_35 = [*_chain("one", 1), *_chain("five", 2), *_chain("three", 3), "pool.pooled.conv"]
_REDUCE_17 = [*_chain("three", 1), *_chain("double", 3)]
_SEVEN = ["seven.conv", "seven.flat.conv", "seven.tall.conv"]
_DOUBLE = ["double.conv", *(f"double.{way}.conv" for way in ("tall", "flat", "tall_2", "flat_2"))]
_MIXED_17 = ["one.conv", *_SEVEN, *_DOUBLE, "pool.pooled.conv"]
_ENDS = ["split.flat.flat.conv", "split.tall.tall.conv"]
_MIXED_8 = ["one.conv", *(f"three.{c}" for c in ("conv", *_ENDS)), *(f"double.{c}" for c in ("conv", "conv_2", *_ENDS)),
            "pool.pooled.conv"]  # fmt: skip


def _blocks_of(*tables: tuple[str, Sequence[str]]) -> list[str]:
    return [f"{block}.{layer}" for block, layers in tables for layer in layers]


INCEPTION_V3 = _layers(_top()) + _in_order(
    f"v3.{layer}"
    for layer in [
        *_STEM,
        *_blocks_of(*((f"mixed35{i}", _MIXED_35) for i in (1, 2, 3))),
        *_blocks_of(
            ("upper.reduce17", _REDUCE_17),
            *((f"upper.mixed17{i}", _MIXED_17) for i in (1, 2, 3, 4)),
            ("upper.reduce8", [*_chain("three", 2), *_SEVEN, "seven.conv_2"]),
            *((f"upper.mixed8{i}", _MIXED_8) for i in (1, 2)),
        ),
    ]
)

INCEPTION_RESNET_V2 = _layers({
    r"block(35|17|8)_(\d+)_conv": "block{1}{2}.residual.up",
    "block8_10_conv": "block8.residual.up",
    "conv_7b": f"conv.{CONV}",
    "conv_7b_bn": f"conv.{BN}",
    **_top(),
}) + _in_order([
    *_STEM,
    *_blocks_of(
        ("mixed35", _MIXED_35),
        *((f"block35{i}.residual", [*_chain("one", 1), *_chain("three", 2), *_chain("double", 3)])
          for i in range(1, 11)),
        ("reduce17", _REDUCE_17),
        *((f"block17{i}.residual", ["one.conv", *_SEVEN]) for i in range(1, 21)),
        ("reduce8", [*_chain("one", 2), *_chain("three", 2), *_chain("double", 3)]),
        *((f"block8{i}.residual", ["one.conv", "three.conv", "three.flat.conv", "three.tall.conv"])
          for i in (*range(1, 10), "")),
    ),
])  # fmt: skip


def _nasnet(repeats: int) -> tuple[Rule, ...]:
    """Cells are stem_1, stem_2, 0, 1, …, reduce_N, N + 1, …, 2N, reduce_2N, 2N + 1, …; ours are numbered through.

    Before a layer's name may stand name scopes.
    """
    half = 2 * repeats
    cells = {
        r"(?:.*/)?{}_stem_(?P<cell>\d)": "cell{cell}",
        f"(?:.*/)?{{}}_(?!reduce_{half}/)(?:reduce_)?(?P<cell>{_numbers(0, half)})": "cell{cell+3}",
        f"(?:.*/)?{{}}_(?!{half}/)(?:reduce_)?(?P<cell>{_numbers(half, 3 * repeats)})": "cell{cell+4}",
    }
    table: dict[str, str | tuple[str, ...]] = {
        "stem_conv1": f"stem.conv_bn.{CONV}", "stem_bn1": f"stem.conv_bn.bn.{BN}", **_top(),
    }  # fmt: skip
    for source, cell in cells.items():
        table |= {source.format(layer): target for layer, target in _nasnet_cell(f"{cell}.states").items()}
    return _layers(table)


def _numbers(first: int, last: int) -> str:
    return "|".join(str(number) for number in range(first, last + 1))


def _nasnet_cell(cell: str) -> dict[str, str | tuple[str, ...]]:
    table: dict[str, str | tuple[str, ...]] = {
        "(?:normal|reduction)_conv_1": f"{cell}.h0.conv_bn.{CONV}",
        "(?:normal|reduction)_bn_1": f"{cell}.h0.conv_bn.bn.{BN}",
        "adjust_conv_1": f"{cell}.h1.fit.even.half.{CONV}",
        "adjust_conv_2": f"{cell}.h1.fit.odd.half.{CONV}",
        "adjust_conv_projection": f"{cell}.h1.fit.conv_bn.{CONV}",
        "adjust_bn": (f"{cell}.h1.fit.bn.{BN}", f"{cell}.h1.fit.conv_bn.bn.{BN}"),
    }
    branches = {  # the left branch of a reduction's fifth pair is named left4
        "(?:normal|reduction)_(?P<side>left|right)(?P<pair>[1235])": "pair{pair}.{side}",
        "reduction_left4": "pair5.left",
    }
    for source, ours in branches.items():
        table |= {
            rf"separable_conv_(\d)_{source}": f"{cell}.{ours}.sep.layers{{1}}.{SEPARABLE}",
            rf"separable_conv_(\d)_bn_{source}": f"{cell}.{ours}.sep.layers{{1}}.bn.{BN}",
        }
    return table


MAPPINGS: Mapping[str, Sequence[Rule]] = {
    "keras_vgg": VGG,
    "keras_resnet": RESNET,
    "keras_resnet_v2": RESNET_V2,
    "keras_densenet": DENSENET,
    "keras_mobilenet": MOBILENET,
    "keras_mobilenet_v2": _mobilenet_v2(),
    "keras_mobilenet_v3": MOBILENET_V3,
    "keras_efficientnet": EFFICIENTNET,
    "keras_inception_v3": INCEPTION_V3,
    "keras_inception_resnet_v2": INCEPTION_RESNET_V2,
    "keras_xception": XCEPTION,
    "keras_nasnet_mobile": _nasnet(4),
    "keras_nasnet_large": _nasnet(6),
}

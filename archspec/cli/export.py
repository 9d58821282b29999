"""archspec export"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from archspec.cli.common import (
    Above0,
    check_target,
    export_errors,
    failure,
    load_backend,
    print_json,
    run_errors,
    subject_argument,
)
from archspec.cli.passes import also_option, chosen_passes

if TYPE_CHECKING:
    from archspec.cli.subject import Subject
    from archspec.export.base import Format, Source
    from archspec.export.writing import Exported
    from archspec.optimize.rewrite import Pass

EXAMPLES = 200  # to calibrate integers with


@click.command("export")
@subject_argument
@click.option("--to", "name", required=True, metavar="FORMAT", help="keras, litert, onnx, openvino, python, savedmodel")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="PATH", help="Default: the network's name.")
@click.option("--int8", is_flag=True, help="Weights and activations as integers, calibrated on examples of the data.")
@click.option("--examples", type=click.IntRange(1), help=f"To calibrate integers with. Default: {EXAMPLES}.")
@click.option("--optimize/--no-optimize", "optimise", default=None, help="Default: yes, but for python.")
@also_option
@click.option("--tolerance", type=Above0(), help="Default: 1e-4 of an output's spread.")
@click.option("--force", is_flag=True, help="Replace the output if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(
    subject: str, changes: tuple[str, ...], name: str, output: Path | None, int8: bool, examples: int | None,
    optimise: bool | None, also: str | None, tolerance: float | None, force: bool, as_json: bool,
    limits: tuple[str, ...], allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Write a network for another runtime, and check that it gives there what Keras gives.

    \b
        keras        a .keras file
        litert       LiteRT (TensorFlow Lite), .tflite
        onnx         ONNX, for ONNX Runtime and others
        openvino     OpenVINO's IR: .xml and .bin
        python       readable Keras code that builds the network without archspec
        savedmodel   a folder for TensorFlow and its server

    \b
        archspec export runs/digits_cnn-001 --to onnx -o digits.onnx
        archspec export runs/digits_cnn-001 --to litert --int8 -o digits.tflite
        archspec export resnet.yaml@resnet50 --to python -o resnet50.py

    The network is optimised first, but for python. The file is run in its own runtime on random inputs; one that gives
    something else is not kept. A spec that was not trained gets random weights. What was learnt goes into the file; for
    python it lies beside it, in .weights.h5.
    """
    from archspec.cli.subject import open_subject
    from archspec.export.writing import find_format

    if int8 and tolerance is not None:
        raise click.UsageError("integers are judged on examples: --tolerance does not go with --int8")
    if examples is not None and not int8:
        raise click.UsageError("--examples are what integers are calibrated on: they take --int8")
    with export_errors(), run_errors():
        format = find_format(name, int8)
        passes = _passes(name, optimise, also)
        opened = open_subject(subject, changes, limits, allow)
        path = _target(output, format, opened.name, force)
        load_backend(format.BACKEND or opened.backend)
        done = _exported(opened, _source(opened, int8, passes), format, path, tolerance, examples or EXAMPLES)
    if as_json:
        print_json(done.exported.to_json() | done.judged)
    else:
        click.echo(_text(done, opened.has_weights))


def _passes(name: str, optimise: bool | None, also: str | None) -> Sequence[Pass]:
    """Python code is written as the spec has the network, unless it is said."""
    wanted = name != "python" if optimise is None else optimise
    if also is not None and not wanted:
        raise click.UsageError("--also adds passes to the optimisation: it takes --optimize")
    return chosen_passes("inference", also=also) if wanted else ()


@dataclass(frozen=True)
class _Done:
    """What was written; with integers, the figures on a split of the data before and after."""

    exported: Exported
    before: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    split: str = ""

    @property
    def judged(self) -> dict[str, Any]:
        return {"before": self.before, "after": self.after, "split": self.split} if self.split else {}


def _exported(
    opened: Subject, source: Source, format: Format, path: Path, tolerance: float | None, examples: int
) -> _Done:
    if not source.int8:
        return _Done(_written(source, format, path, tolerance))
    judged = _Judged(opened, source, examples)
    before = judged.before()
    exported = _written(judged.source, format, path, tolerance)
    return _Done(exported, before, judged.after(format, path), judged.examples.split)


def _written(source: Source, format: Format, path: Path, tolerance: float | None) -> Exported:
    from archspec.export.writing import export

    try:
        return export(source, format, path, tolerance)
    except OSError as error:
        raise failure(f"cannot write {path}: {error.strerror or error}") from None


class _Judged:
    """Integers need examples: to calibrate them, and to say what they cost."""

    def __init__(self, opened: Subject, source: Source, examples: int) -> None:
        from dataclasses import replace

        from archspec.bench.examples import read_examples

        self.examples = read_examples(opened.architecture, opened.run)
        self.source = replace(source, samples=[self.examples.calibration(examples)])

    def before(self) -> dict[str, float]:
        from archspec.export.formats.keras import keras_run

        return self.examples.judge(keras_run(self.source.original, self.source.graph))

    def after(self, format: Format, path: Path) -> dict[str, float]:
        return self.examples.judge(format.open(path, self.source))


def _target(output: Path | None, format: Format, name: str, force: bool) -> Path:
    path = output or Path(f"{name}{format.SUFFIX or '_savedmodel'}")
    if format.SUFFIX and path.suffix != format.SUFFIX:
        raise click.UsageError(f"{format.NAME} is written into {format.SUFFIX} files, got {path}")
    for file in (path, *(path.with_suffix(suffix) for suffix in format.FILES)):
        check_target(file, force)
        if file.is_dir() and (format.SUFFIX or not (file / "saved_model.pb").is_file()):
            raise failure(f"{file} is a folder of something else, and is not replaced")
    return path


def _source(opened: Subject, int8: bool, passes: Sequence[Pass]) -> Source:
    from archspec.build.weights import built
    from archspec.export.base import Source
    from archspec.export.samples import filled
    from archspec.optimize.driver import run

    network = filled(opened.network())
    original = built(network)
    found = run(network, "inference", passes).network
    model = original if found.graph is network.graph else built(found)
    about, told = opened.about, opened.descriptions
    return Source(found, model, about, opened.has_weights, int8, original=original, descriptions=told)


def _text(done: _Done, has_weights: bool) -> str:
    exported = done.exported
    lines = [f"{name}: {size:,} bytes" for name, size in exported.files.items()]
    if exported.tolerance is not None:
        lines.append(
            f"the same as Keras on random inputs: largest error {exported.error:.1e} of an output's spread"
            f" (tolerance {exported.tolerance:.0e})"
        )
    if exported.uncompared:
        lines.append(f"not compared, as they are drawn at random in each call: {', '.join(exported.uncompared)}")
    if not has_weights:
        lines.append("the network was not trained: its weights are random")
    lines += [f"{name}: {done.before[name]:.4f} before, {done.after[name]:.4f} with integers" for name in done.before]
    lines += [f"as measured on the examples for {done.split}"] if done.before else []
    return "\n".join(lines)

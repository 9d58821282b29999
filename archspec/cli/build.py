"""archspec build"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import load_backend, open_for_file, spec_argument, written


@click.command("build")
@spec_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Default: NAME.keras"
)
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def command(
    spec: str, changes: tuple[str, ...], output: Path | None, force: bool, limits: tuple[str, ...],
    allow: tuple[Path, ...],
) -> None:  # fmt: skip
    """Build a network as a Keras model with fresh weights, and save it as a .keras file.

    \b
        archspec build resnet.yaml@resnet50
        archspec build resnet.yaml@resnet50 params.classes=10 -o classifier.keras

    The model is a functional one; its layers bear the names that `archspec summary` prints. It computes what the spec
    says with less work where that keeps every weight: run.optimize=none builds all layers as they are written. Load it
    with keras.models.load_model("resnet_resnet50.keras"), after `import archspec.build` where the spec has formulas or
    weights of its own. The framework is the one of `run.backend` in the spec, else KERAS_BACKEND, else TensorFlow.
    """
    network, path = open_for_file(spec, changes, limits, allow, output, force)
    from archspec.train.sections import sections

    load_backend(sections(network.document).run.backend)
    model = network.build()
    with written(path) as draft:
        model.save(draft)
    click.echo(f"{path}: {model.count_params():,} parameters", err=True)

"""archspec build"""

from __future__ import annotations

from pathlib import Path

import click

from archspec.cli.common import check_target, failure, load_backend, open_spec, spec_argument, written


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
    network = open_spec(spec, changes, limits, allow)
    path = output or Path(f"{network.name}.keras")
    if path.suffix != ".keras":
        raise click.UsageError(f"models are saved as .keras files, got {path}")
    check_target(path, force)
    if network.document.spec.layers is None:
        raise failure(f"{spec} is a library of blocks without layers")
    from archspec.train.sections import sections

    load_backend(sections(network.document).run.backend)
    model = network.build()
    with written(path) as draft:
        model.save(draft)
    click.echo(f"{path}: {model.count_params():,} parameters", err=True)
